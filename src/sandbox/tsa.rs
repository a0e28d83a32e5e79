//! The timestamp authority (RFC 3161 over HTTP, section 3.4).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use der::Decode as _;
use der::asn1::{Int, ObjectIdentifier, Uint};
use serde::Deserialize;

use crate::crypto::{Certificate, Digest, HashAlgorithm};
use crate::format::protojson;

use super::ca::{self, Authority};
use super::clock;
use super::error::SandboxError;
use super::faults::{Faults, PlainFault};
use super::profile;
use super::reply;
use super::store::Store;
use super::timestamp_token::{
    MessageImprint, POLICY, Stamp, TimestampRequest, encode_rejection, encode_response,
};

const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// The service.
pub(super) struct Tsa {
    root: Certificate,
    signer: Authority,
    faults: Faults,
}

impl Tsa {
    pub(super) fn open(store: &Store, faults: Faults) -> Result<Self, SandboxError> {
        let now = clock::now();
        let root = Authority::open_root(store, "tsa-root", "sandbox timestamp root", 0, now)?;
        let critical = !faults.has(PlainFault::TsaNotCriticalEku);
        let mut purposes = vec![ca::TIME_STAMPING];
        if faults.has(PlainFault::TsaTwoEkus) {
            purposes.push(ca::CODE_SIGNING);
        }
        // A certificate that a fault spoils is not kept.
        let forgetful = Store::open(None)?;
        let store = match critical && purposes.len() == 1 {
            true => store,
            false => &forgetful,
        };
        let name = "sandbox timestamp authority";
        let signer = root.open_timestamper(store, "tsa", name, now, critical, &purposes)?;
        Ok(Tsa {
            root: root.certificate().clone(),
            signer,
            faults,
        })
    }

    /// Returns the signing certificate and its issuer.
    pub(super) fn chain(&self) -> [&Certificate; 2] {
        [self.signer.certificate(), &self.root]
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/timestamp", post(timestamp))
            .route("/api/v1/timestamp/certchain", get(chain))
            .fallback(reply::openapi_not_found)
            .method_not_allowed_fallback(reply::openapi_no_method)
            .with_state(self)
    }

    /// Answers a query. `None` where the authority refuses: another version, a hash of another length,
    /// another policy, an extension.
    fn stamp(&self, request: TimestampRequest) -> Result<Option<Vec<u8>>, SandboxError> {
        let has = |fault| self.faults.has(fault);
        let acceptable = request.version == 1
            && request.req_policy.is_none_or(|policy| policy == POLICY)
            && request.extensions.is_none();
        let Some(digest) = request.message_imprint.digest().filter(|_| acceptable) else {
            return Ok(None);
        };
        let made = SandboxError::make("timestamp");
        if has(PlainFault::TsaStatus2) {
            return encode_rejection(2).map(Some).map_err(made);
        }
        let imprint = match has(PlainFault::TsaWrongImprint) {
            true => MessageImprint::new(&digest.algorithm().digest(b"something else")),
            false => Ok(request.message_imprint),
        };
        let nonce = match has(PlainFault::TsaWrongNonce) {
            true => Int::new(&[1, 2, 3]).map(Some),
            false => Ok(request.nonce),
        };
        let serial = profile::serial_bytes()?;
        let time = u64::try_from(clock::now().seconds()).unwrap_or(0);
        imprint
            .and_then(|imprint| {
                let stamp = Stamp {
                    imprint,
                    nonce: nonce?,
                    serial,
                    time,
                    with_certificate: request.cert_req,
                    with_signing_certificate: !has(PlainFault::TsaNoSigningCertificate),
                };
                encode_response(stamp, self.signer.key(), self.signer.certificate())
            })
            .map(Some)
            .map_err(made)
    }
}

/// The JSON form of a query; nobody's standard, but the real service takes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonRequest {
    artifact_hash: protojson::Bytes,
    hash_algorithm: String,
    #[serde(default)]
    certificates: bool,
    nonce: Option<u64>,
    #[serde(rename = "tsaPolicyOID")]
    policy: Option<String>,
}

impl JsonRequest {
    fn into_request(self) -> Option<TimestampRequest> {
        let algorithm = HashAlgorithm::from_name(&self.hash_algorithm)?;
        let digest = Digest::new(algorithm, &self.artifact_hash)?;
        let policy = match self.policy {
            None => None,
            Some(policy) => Some(policy.parse::<ObjectIdentifier>().ok()?),
        };
        let nonce = match self.nonce {
            None => None,
            Some(nonce) => Some(Uint::new(&nonce.to_be_bytes()).ok()?.into()),
        };
        Some(TimestampRequest {
            version: 1,
            message_imprint: MessageImprint::new(&digest).ok()?,
            req_policy: policy,
            nonce,
            cert_req: self.certificates,
            extensions: None,
        })
    }
}

async fn timestamp(State(tsa): State<Arc<Tsa>>, headers: HeaderMap, body: Bytes) -> Response {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream");
    let request = match media_type.split(';').next().map(str::trim) {
        Some(QUERY) if body.is_empty() => {
            let message = "request in body is required";
            return reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, 602, message);
        }
        Some(QUERY) => TimestampRequest::from_der(&body).ok(),
        Some("application/json") => serde_json::from_slice::<JsonRequest>(&body)
            .ok()
            .and_then(JsonRequest::into_request),
        _ => {
            let message = format!(
                "unsupported media type {media_type:?}, only [{QUERY} application/json] are allowed"
            );
            return reply::openapi_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
        }
    };
    let refuse = |status, message| {
        let mut response = reply::openapi_status(status, message);
        // The real service declares the reply's type for the error too.
        let value = header::HeaderValue::from_static(REPLY);
        response.headers_mut().insert(header::CONTENT_TYPE, value);
        response
    };
    let failed = |status| refuse(status, "Error generating timestamp response");
    let Some(request) = request else {
        return failed(StatusCode::BAD_REQUEST);
    };
    if request.message_imprint.is_weak() {
        let message = "Weak hash algorithm in timestamp request";
        return refuse(StatusCode::BAD_REQUEST, message);
    }
    match tsa.stamp(request) {
        Ok(Some(der)) => {
            let status = match tsa.faults.has(PlainFault::Tsa201) {
                true => StatusCode::CREATED,
                false => StatusCode::OK,
            };
            (status, [(header::CONTENT_TYPE, REPLY)], der).into_response()
        }
        Ok(None) => failed(StatusCode::BAD_REQUEST),
        Err(_) => failed(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn chain(State(tsa): State<Arc<Tsa>>) -> Response {
    let chain = tsa.chain().map(Certificate::to_pem).concat();
    reply::text("application/pem-certificate-chain", chain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::timestamp;

    fn tsa(faults: &[&str]) -> Tsa {
        let faults = Faults::parse(faults).unwrap();
        Tsa::open(&Store::open(None).unwrap(), faults).unwrap()
    }

    fn stamp(tsa: &Tsa, query: &[u8]) -> Option<Vec<u8>> {
        tsa.stamp(TimestampRequest::from_der(query).unwrap())
            .unwrap()
    }

    #[test]
    fn what_it_writes_parses_and_verifies() {
        let tsa = tsa(&[]);
        let digest = Digest::sha256(b"hello");
        let nonce = [0xff, 2, 3, 4, 5, 6, 7, 8];
        let query = timestamp::encode_request(&digest, &nonce);
        let reply = stamp(&tsa, &query).unwrap();
        let token = timestamp::TimestampResponse::parse(&reply).unwrap();
        assert_eq!(token.imprint, digest);
        assert_eq!(token.nonce.unwrap(), [&[0], &nonce[..]].concat());
        assert!(token.certificates.is_empty());
        let [leaf, root] = tsa.chain();
        assert_eq!(token.signing_certificate, Some(Digest::sha256(leaf.der())));
        assert_eq!(token.message_digest, token.content_digest.as_bytes());
        leaf.public_key()
            .verify(
                token.signature_hash,
                &token.signed_attributes,
                &token.signature,
            )
            .unwrap();
        leaf.verify_signed_by(root).unwrap();
        let eku = "2.5.29.37".parse::<ObjectIdentifier>().unwrap();
        assert!(leaf.extension(&eku).unwrap().critical);
    }

    /// Spec 11 §6: the query with a nonce and certReq.
    #[test]
    fn certificates_come_when_asked_for() {
        let query = hex::decode(
            "30430201013031300d0609608648016503040201050004202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824020801020304050607080101ff",
        )
        .unwrap();
        let tsa = tsa(&[]);
        let reply = stamp(&tsa, &query).unwrap();
        let token = timestamp::TimestampResponse::parse(&reply).unwrap();
        assert_eq!(token.certificates, [tsa.chain()[0].der()]);
        assert_eq!(token.nonce.unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn weak_hashes_and_other_policies_are_refused() {
        let tsa = tsa(&[]);
        let sha1 =
            "3026020101302130090605 2b0e03021a05000414aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
        let query = hex::decode(sha1.replace(' ', "")).unwrap();
        assert_eq!(stamp(&tsa, &query), None);
        let good = timestamp::encode_request(&Digest::sha256(b"x"), &[1; 8]);
        let mut request = TimestampRequest::from_der(&good).unwrap();
        request.req_policy = Some("1.2.3".parse().unwrap());
        assert_eq!(tsa.stamp(request).unwrap(), None);
    }

    #[test]
    fn a_fault_changes_what_it_names() {
        let digest = Digest::sha256(b"x");
        let query = timestamp::encode_request(&digest, &[1; 8]);
        let parse = |fault: &str| {
            let reply = stamp(&tsa(&[fault]), &query).unwrap();
            timestamp::TimestampResponse::parse(&reply)
        };
        assert_ne!(parse("tsa-wrong-imprint").unwrap().imprint, digest);
        assert_eq!(parse("tsa-wrong-nonce").unwrap().nonce.unwrap(), [1, 2, 3]);
        assert!(matches!(
            parse("tsa-status-2"),
            Err(timestamp::TimestampError::NotGranted { status: 2 })
        ));
        let bare = parse("tsa-no-signing-certificate").unwrap();
        assert_eq!(bare.signing_certificate, None);
        let eku = "2.5.29.37".parse::<ObjectIdentifier>().unwrap();
        let spoiled = tsa(&["tsa-not-critical-eku"]);
        assert!(!spoiled.chain()[0].extension(&eku).unwrap().critical);
    }
}
