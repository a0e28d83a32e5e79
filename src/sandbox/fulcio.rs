//! The certificate authority's HTTP interface (`fulcio.proto`), with the real one's checks and refusals.
//!
//! A request passes four gates in this order: identity token, public key, proof of possession or CSR
//! signature, permitted algorithm. The messages are those Fulcio 1.8.8 answered when asked.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use der::Decode as _;
use serde::Deserialize;
use serde_json::json;

use crate::crypto::asn1::{self, Tlv};
use crate::crypto::key::KeyKind;
use crate::crypto::pem;
use crate::crypto::{Certificate, HashAlgorithm, PublicKey, TimeRange};
use crate::format::protojson::{self, null_as_default};
use crate::format::sct;

use super::ca::Authority;
use super::clock;
use super::ct::{self, CtLog, Subject};
use super::error::SandboxError;
use super::faults::{Faults, PlainFault};
use super::fulcio1;
use super::identity::{Principal, SubjectName};
use super::keys::EcdsaKey;
use super::leaf::Leaf;
use super::oidc::{AUDIENCE, Issuer};
use super::reply::{self, Grpc};

/// Seconds a certificate is valid (Fulcio, `docs/certificate-specification.md`).
const LIFETIME: i64 = 600;

const BAD_TOKEN: &str = "There was an error processing the identity token";
const BAD_SIGNATURE: &str = "The signature supplied in the request could not be verified";
pub(super) const BAD_KEY: &str = "The public key supplied in the request could not be parsed";
const BAD_CSR: &str = "The certificate signing request could not be parsed";
const WEAK_KEY: &str = "The public key supplied in the request is insecure";
pub(super) const CA_FAILED: &str = "error communicating with CA backend";

/// The service.
pub(super) struct Fulcio {
    pub(super) issuer: Arc<Issuer>,
    pub(super) root: Certificate,
    pub(super) authority: Authority,
    pub(super) ct: Arc<CtLog>,
    pub(super) faults: Faults,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SigningRequest {
    #[serde(deserialize_with = "null_as_default")]
    credentials: Credentials,
    #[serde(alias = "public_key_request", deserialize_with = "null_as_default")]
    public_key_request: PublicKeyRequest,
    #[serde(
        alias = "certificate_signing_request",
        deserialize_with = "null_as_default"
    )]
    certificate_signing_request: protojson::Bytes,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    #[serde(alias = "oidc_identity_token", deserialize_with = "null_as_default")]
    oidc_identity_token: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PublicKeyRequest {
    #[serde(alias = "public_key", deserialize_with = "null_as_default")]
    public_key: RequestedKey,
    #[serde(alias = "proof_of_possession", deserialize_with = "null_as_default")]
    proof_of_possession: protojson::Bytes,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RequestedKey {
    #[serde(deserialize_with = "null_as_default")]
    content: String,
}

/// What a request of either interface asks for. A CSR, where there is one, counts before key and proof.
pub(super) struct Wanted<'a> {
    pub(super) token: &'a str,
    /// PEM text or DER.
    pub(super) key: &'a [u8],
    pub(super) proof: &'a [u8],
    pub(super) csr: &'a [u8],
}

impl Fulcio {
    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v2/signingCert", post(signing_cert))
            .route("/api/v2/trustBundle", get(trust_bundle))
            .route("/api/v2/configuration", get(configuration))
            .route("/api/v1/signingCert", post(fulcio1::signing_cert))
            .route("/api/v1/rootCert", get(root_cert))
            .fallback(reply::grpc_not_found)
            .method_not_allowed_fallback(reply::grpc_no_method)
            .with_state(self)
    }

    /// Certificates above a leaf, nearest first.
    pub(super) fn chain(&self) -> [&Certificate; 2] {
        [self.authority.certificate(), &self.root]
    }

    fn has(&self, fault: PlainFault) -> bool {
        self.faults.has(fault)
    }

    /// Authenticates and checks a request. `Err` holds the refusal.
    pub(super) fn admit(
        &self,
        wanted: &Wanted<'_>,
    ) -> Result<(Principal, PublicKey), (Grpc, String)> {
        let refuse = |message: &str| (Grpc::InvalidArgument, message.to_owned());
        let principal = self
            .issuer
            .authenticate(wanted.token)
            .as_ref()
            .and_then(Principal::from_claims)
            .ok_or_else(|| refuse(BAD_TOKEN))?;
        let key = if wanted.csr.is_empty() {
            let key = requested_key(wanted.key).ok_or_else(|| refuse(BAD_KEY))?;
            check_strength(&key).ok_or_else(|| refuse(WEAK_KEY))?;
            key.verify(
                key.kind().artifact_hash(),
                principal.challenge.as_bytes(),
                wanted.proof,
            )
            .map_err(|_| refuse(BAD_SIGNATURE))?;
            key
        } else {
            let csr = Csr::parse(wanted.csr).ok_or_else(|| refuse(BAD_CSR))?;
            check_strength(&csr.key).ok_or_else(|| refuse(WEAK_KEY))?;
            csr.key
                .verify(csr.hash, &csr.info, &csr.signature)
                .map_err(|_| refuse(BAD_SIGNATURE))?;
            // Fulcio permits one hash a key type; Ed25519 hashes by itself.
            if csr.key.kind() != KeyKind::Ed25519 && csr.hash != csr.key.kind().artifact_hash() {
                let kind = csr.key.kind();
                let message = format!("signing algorithm not permitted: {kind:?}, {:?}", csr.hash);
                return Err(refuse(&message));
            }
            csr.key
        };
        Ok((principal, key))
    }

    /// Issues a certificate and enters it in the CT log.
    pub(super) fn issue(
        &self,
        mut principal: Principal,
        key: &PublicKey,
    ) -> Result<serde_json::Value, SandboxError> {
        let now = clock::now().seconds();
        let start = match self.has(PlainFault::FulcioExpiredCert) {
            true => now - 2 * LIFETIME,
            false => now,
        };
        let range = TimeRange {
            start: crate::crypto::UnixTime::from_seconds(start),
            end: Some(crate::crypto::UnixTime::from_seconds(start + LIFETIME)),
        };
        if self.has(PlainFault::FulcioWrongIdentity) {
            principal.name = match principal.name {
                SubjectName::Email(_) => SubjectName::Email("mallory@example.test".to_owned()),
                SubjectName::Uri(_) => SubjectName::Uri("https://mallory.example.test/".to_owned()),
            };
        }
        if self.has(PlainFault::FulcioWrongIssuer) {
            principal.issuer = "https://mallory.example.test".to_owned();
        }
        let strange = EcdsaKey::generate()?;
        let spki = match self.has(PlainFault::FulcioWrongKey) {
            true => strange.spki(),
            false => key.spki_der(),
        };
        let name = principal
            .name
            .general_name()
            .ok_or_else(|| SandboxError::Identity {
                identity: principal.challenge.clone(),
            })?;
        let extensions = principal.fulcio_extensions();
        let leaf = Leaf::new(&self.authority, spki, name, extensions, range)?;
        let issuer = self.authority.certificate();
        let spoiled = self.has(PlainFault::FulcioBadSct);
        if self.has(PlainFault::FulcioNoSct) || self.has(PlainFault::FulcioDetachedSct) {
            let der = leaf.issue_bare()?;
            let timestamp = match self.has(PlainFault::FulcioNoSct) {
                true => String::new(),
                false => {
                    let sct = self
                        .ct
                        .submit(&Subject::Certificate(&der), issuer, spoiled)?;
                    protojson::encode_base64(ct::add_chain_response(&sct).as_bytes())
                }
            };
            return Ok(json!({ "signedCertificateDetachedSct": {
                "chain": { "certificates": self.chain_pem(&der) },
                "signedCertificateTimestamp": timestamp,
            } }));
        }
        let bare = leaf.issue_bare()?;
        let bare = Certificate::from_der(&bare).map_err(SandboxError::make("certificate"))?;
        let precertificate = leaf.issue_precertificate()?;
        let subject = Subject::Precertificate {
            tbs: bare.tbs(),
            precertificate: &precertificate,
        };
        let sct = self.ct.submit(&subject, issuer, spoiled)?;
        let der = leaf.issue(&sct::encode_list(&[sct]))?;
        Ok(json!({ "signedCertificateEmbeddedSct": {
            "chain": { "certificates": self.chain_pem(&der) },
        } }))
    }

    /// PEM blocks as signingCert has them: no newline at the end.
    fn chain_pem(&self, leaf: &[u8]) -> Vec<String> {
        let mut chain = vec![pem::encode("CERTIFICATE", leaf).trim_end().to_owned()];
        let above = self.chain().map(|certificate| certificate.to_pem());
        chain.extend(above.iter().map(|pem| pem.trim_end().to_owned()));
        chain
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Reads the key of the public-key form: PEM text, else DER in a string.
fn requested_key(content: &[u8]) -> Option<PublicKey> {
    let pem = std::str::from_utf8(content).ok();
    pem.and_then(|text| PublicKey::from_pem(text).ok())
        .or_else(|| PublicKey::from_spki_der(content).ok())
}

/// `None` for an RSA key outside 2048 to 4096 bits or with an exponent other than 65537.
fn check_strength(key: &PublicKey) -> Option<()> {
    if key.kind() != KeyKind::Rsa {
        return Some(());
    }
    let mut fields = Tlv::only(key.raw(), asn1::SEQUENCE)?.content;
    let modulus = Tlv::expect(&mut fields, asn1::INTEGER)?.content;
    let exponent = Tlv::expect(&mut fields, asn1::INTEGER)?.content;
    let modulus = &modulus[modulus.iter().take_while(|byte| **byte == 0).count()..];
    let bits = modulus.len() * 8 - usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    ((2048..=4096).contains(&bits) && exponent == [1, 0, 1]).then_some(())
}

/// A certificate signing request; only key and signature matter, subject and attributes are ignored.
struct Csr {
    key: PublicKey,
    hash: HashAlgorithm,
    info: Vec<u8>,
    signature: Vec<u8>,
}

impl Csr {
    /// Reads the PEM that the request carries in base64.
    fn parse(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        let (label, der) = pem::decode_one(text)?;
        if !matches!(label, "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return None;
        }
        let outer = Tlv::only(&der, asn1::SEQUENCE)?;
        let info = Tlv::expect(&mut { outer.content }, asn1::SEQUENCE)?.raw;
        let request = x509_cert::request::CertReq::from_der(&der).ok()?;
        let hash = match request.algorithm.oid.to_string().as_str() {
            // ECDSA, RSA and Ed25519 (whose hash is not asked for).
            "1.2.840.10045.4.3.2" | "1.2.840.113549.1.1.11" => HashAlgorithm::Sha256,
            "1.2.840.10045.4.3.3" | "1.2.840.113549.1.1.12" => HashAlgorithm::Sha384,
            "1.2.840.10045.4.3.4" | "1.2.840.113549.1.1.13" | "1.3.101.112" => {
                HashAlgorithm::Sha512
            }
            _ => return None,
        };
        let spki = der::Encode::to_der(&request.info.public_key).ok()?;
        Some(Csr {
            key: PublicKey::from_spki_der(&spki).ok()?,
            hash,
            info: info.to_vec(),
            signature: request.signature.as_bytes()?.to_vec(),
        })
    }
}

async fn signing_cert(
    State(fulcio): State<Arc<Fulcio>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request: SigningRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return reply::grpc(Grpc::InvalidArgument, &error.to_string()),
    };
    let wanted = Wanted {
        token: match request.credentials.oidc_identity_token.as_str() {
            "" => bearer(&headers).unwrap_or_default(),
            token => token,
        },
        key: request.public_key_request.public_key.content.as_bytes(),
        proof: &request.public_key_request.proof_of_possession,
        csr: &request.certificate_signing_request,
    };
    let (principal, key) = match fulcio.admit(&wanted) {
        Ok(admitted) => admitted,
        Err((code, message)) => return reply::grpc(code, &message),
    };
    match fulcio.issue(principal, &key) {
        Ok(certificate) => Json(certificate).into_response(),
        Err(_) => reply::grpc(Grpc::Internal, CA_FAILED),
    }
}

async fn trust_bundle(State(fulcio): State<Arc<Fulcio>>) -> Json<serde_json::Value> {
    let chain = fulcio.chain().map(|certificate| certificate.to_pem());
    Json(json!({ "chains": [{ "certificates": chain }] }))
}

async fn root_cert(State(fulcio): State<Arc<Fulcio>>) -> Response {
    let chain = fulcio.chain().map(|certificate| certificate.to_pem());
    reply::text("application/pem-certificate-chain", chain.join("\n"))
}

async fn configuration(State(fulcio): State<Arc<Fulcio>>) -> Json<serde_json::Value> {
    Json(json!({ "issuers": [{
        "issuerUrl": fulcio.issuer.url(),
        "audience": AUDIENCE,
        "challengeClaim": "email",
        "spiffeTrustDomain": "",
        "issuerType": "email",
        "subjectDomain": "",
        "skipEmailVerification": false,
    }] }))
}
