//! Bodies of transparency log entries, read and proposed (sigstore/rekor, `pkg/types`; rekor-tiles, `entry.proto`).

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::dsse::Envelope;
use super::limits;
use super::protojson::{Bounded, Bytes, EnumValue, check_shape, decode_base64, encode_base64};
use crate::crypto::key::KeyKind;
use crate::crypto::{Certificate, Digest, HashAlgorithm, PublicKey, pem};

/// Who verifies the signature of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// A SubjectPublicKeyInfo, DER.
    PublicKey(Vec<u8>),
}

impl Verifier {
    fn from_pem(pem: &[u8]) -> Option<Self> {
        if pem.len() > limits::PEM_LEN {
            return None;
        }
        let text = std::str::from_utf8(pem).ok()?;
        let (label, der) = pem::decode_one(text)?;
        match label {
            "CERTIFICATE" => Some(Verifier::Certificate(der)),
            "PUBLIC KEY" => Some(Verifier::PublicKey(der)),
            _ => None,
        }
    }

    fn from_base64_pem(text: &str) -> Option<Self> {
        Verifier::from_pem(&decode_base64(text)?)
    }
}

/// A log entry body of a kind this program verifies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogBody {
    /// `hashedrekord` 0.0.1 and 0.0.2: a signature over a digest.
    HashedRekord {
        /// Digest that was signed: of the artifact, or (0.0.2) of a pre-authentication encoding.
        digest: Digest,
        /// The signature's bytes.
        signature: Vec<u8>,
        /// Who verifies it.
        verifier: Verifier,
        /// Kind of key that the entry states (0.0.2); `None` where its version states none.
        key_kind: Option<KeyKind>,
    },
    /// `intoto` 0.0.1: an envelope by the digest of its bytes as they were stored, signature and all.
    StoredEnvelope {
        /// Digest of the stored envelope.
        envelope_hash: Digest,
        /// Digest of the payload; the oldest entries have none.
        payload_hash: Option<Digest>,
        /// Who verifies it.
        verifier: Verifier,
    },
    /// `dsse` 0.0.1 and 0.0.2, `intoto` 0.0.2: an envelope by the digest of its payload.
    Dsse {
        /// Digest of the payload.
        payload_hash: Digest,
        /// Signature and verifier.
        signature: Vec<u8>,
        /// Who verifies it.
        verifier: Verifier,
        /// Kind of key that the entry states (0.0.2); `None` where its version states none.
        key_kind: Option<KeyKind>,
    },
}

/// Why a body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogBodyError {
    /// Not JSON, or not the canonical shape of its kind.
    #[error("malformed log entry body: {reason}")]
    Malformed {
        /// What the parser met.
        reason: String,
    },
    /// A kind or version that this program does not verify.
    #[error("unsupported log entry kind {kind} {version}")]
    Unsupported {
        /// Kind.
        kind: String,
        /// Version.
        version: String,
    },
    /// The body is of another kind than the entry says.
    #[error("log entry body is of another kind than its kindVersion")]
    KindMismatch {
        /// What `kindVersion` says.
        expected: String,
        /// What the body says.
        found: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Outer<'a> {
    api_version: String,
    kind: String,
    #[serde(borrow)]
    spec: &'a serde_json::value::RawValue,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HexHash {
    algorithm: String,
    value: String,
}

impl HexHash {
    fn digest(&self) -> Option<Digest> {
        Digest::new(
            HashAlgorithm::from_name(&self.algorithm)?,
            &hex::decode(&self.value).ok()?,
        )
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtoHash {
    algorithm: EnumValue,
    digest: Bytes,
}

impl ProtoHash {
    fn digest(&self) -> Option<Digest> {
        Digest::new(
            self.algorithm.find(&super::bundle::HASH_ALGORITHMS)?,
            &self.digest,
        )
    }
}

mod v001 {
    //! Rekor v1 shapes.
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct HashedRekord {
        pub data: Data,
        pub signature: Signature,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Data {
        pub hash: HexHash,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Signature {
        pub content: String,
        pub public_key: Content,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Content {
        pub content: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Dsse {
        #[serde(rename = "envelopeHash")]
        pub _envelope_hash: HexHash,
        pub payload_hash: HexHash,
        pub signatures: Bounded<DsseSignature, 16>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct DsseSignature {
        pub signature: String,
        pub verifier: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct StoredIntoto {
        pub content: StoredContent,
        pub public_key: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct StoredContent {
        pub hash: HexHash,
        pub payload_hash: Option<HexHash>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Intoto {
        pub content: IntotoContent,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct IntotoContent {
        pub envelope: IntotoEnvelope,
        #[serde(rename = "hash")]
        pub _hash: HexHash,
        pub payload_hash: HexHash,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct IntotoEnvelope {
        #[serde(rename = "payloadType")]
        pub _payload_type: String,
        /// Not part of the canonical form, but in some old entries; the payload's hash is what counts.
        #[serde(default, rename = "payload")]
        pub _payload: Option<serde::de::IgnoredAny>,
        pub signatures: Bounded<IntotoSignature, 16>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct IntotoSignature {
        pub sig: String,
        pub public_key: String,
        #[serde(default, rename = "keyid")]
        pub _keyid: Option<String>,
    }
}

mod v002 {
    //! Rekor v2 shapes.
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct HashedRekordSpec {
        #[serde(rename = "hashedRekordV002")]
        pub hashed_rekord: HashedRekord,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct HashedRekord {
        pub data: ProtoHash,
        pub signature: Signature,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct DsseSpec {
        #[serde(rename = "dsseV002")]
        pub dsse: Dsse,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct Dsse {
        pub payload_hash: ProtoHash,
        pub signatures: Bounded<Signature, 16>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Signature {
        pub content: Bytes,
        pub verifier: VerifierMessage,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct VerifierMessage {
        pub x509_certificate: Option<RawBytes>,
        pub public_key: Option<RawBytes>,
        pub key_details: EnumValue,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    pub struct RawBytes {
        pub raw_bytes: Bytes,
    }

    /// PublicKeyDetails of sigstore_common.proto, as far as entries have them.
    const KEY_DETAILS: [(&str, i64, KeyKind); 10] = [
        ("PKIX_ECDSA_P256_SHA_256", 5, KeyKind::EcdsaP256),
        ("PKIX_ECDSA_P384_SHA_384", 12, KeyKind::EcdsaP384),
        ("PKIX_ECDSA_P384_SHA_256", 19, KeyKind::EcdsaP384),
        ("PKIX_ECDSA_P521_SHA_512", 13, KeyKind::EcdsaP521),
        ("PKIX_ECDSA_P521_SHA_256", 20, KeyKind::EcdsaP521),
        ("PKIX_ED25519", 7, KeyKind::Ed25519),
        ("PKIX_ED25519_PH", 8, KeyKind::Ed25519),
        ("PKIX_RSA_PKCS1V15_2048_SHA256", 9, KeyKind::Rsa),
        ("PKIX_RSA_PKCS1V15_3072_SHA256", 10, KeyKind::Rsa),
        ("PKIX_RSA_PKCS1V15_4096_SHA256", 11, KeyKind::Rsa),
    ];

    impl VerifierMessage {
        pub fn key_kind(&self) -> Option<KeyKind> {
            self.key_details.find(&KEY_DETAILS)
        }

        pub fn verifier(self) -> Option<Verifier> {
            match (self.x509_certificate, self.public_key) {
                (Some(certificate), None) => Some(Verifier::Certificate(certificate.raw_bytes.0)),
                (None, Some(key)) => Some(Verifier::PublicKey(key.raw_bytes.0)),
                _ => None,
            }
        }
    }
}

fn malformed<T>(reason: impl Into<String>) -> Result<T, LogBodyError> {
    Err(LogBodyError::Malformed {
        reason: reason.into(),
    })
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, LogBodyError> {
    serde_json::from_str(json).or_else(|e| malformed(e.to_string()))
}

fn only<T>(signatures: Vec<T>) -> Result<T, LogBodyError> {
    match <[T; 1]>::try_from(signatures) {
        Ok([signature]) => Ok(signature),
        Err(_) => malformed("not exactly one signature"),
    }
}

impl<'a> Outer<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, LogBodyError> {
        check_shape(body, &["signatures"], None)
            .and_then(|()| serde_json::from_slice(body))
            .or_else(|e| malformed(e.to_string()))
    }
}

impl LogBody {
    /// Returns kind and version as the body itself names them, where nothing beside it does.
    ///
    /// # Errors
    /// [`LogBodyError`].
    pub fn kind_of(body: &[u8]) -> Result<(String, String), LogBodyError> {
        Outer::parse(body).map(|outer| (outer.kind, outer.api_version))
    }

    /// Parses the canonicalized body of an entry whose `kindVersion` is `kind` and `version`.
    ///
    /// # Errors
    /// [`LogBodyError`]; also when the body names another kind or version (client-spec 4.4).
    pub fn parse(kind: &str, version: &str, body: &[u8]) -> Result<Self, LogBodyError> {
        let outer = Outer::parse(body)?;
        if outer.kind != kind || outer.api_version != version {
            let cut = |text: &str| text.chars().take(60).collect::<String>();
            return Err(LogBodyError::KindMismatch {
                expected: format!("{} {}", cut(kind), cut(version)),
                found: format!("{} {}", cut(&outer.kind), cut(&outer.api_version)),
            });
        }
        let spec = outer.spec.get();
        let body = match (kind, version) {
            ("hashedrekord", "0.0.1") => {
                let spec: v001::HashedRekord = read(spec)?;
                spec.data
                    .hash
                    .digest()
                    .zip(decode_base64(&spec.signature.content))
                    .and_then(|(digest, signature)| {
                        let verifier =
                            Verifier::from_base64_pem(&spec.signature.public_key.content)?;
                        Some(LogBody::HashedRekord {
                            digest,
                            signature,
                            verifier,
                            key_kind: None,
                        })
                    })
            }
            ("hashedrekord", "0.0.2") => {
                let spec: v002::HashedRekordSpec = read(spec)?;
                let record = spec.hashed_rekord;
                record.data.digest().and_then(|digest| {
                    let key_kind = Some(record.signature.verifier.key_kind()?);
                    let verifier = record.signature.verifier.verifier()?;
                    Some(LogBody::HashedRekord {
                        digest,
                        signature: record.signature.content.0,
                        verifier,
                        key_kind,
                    })
                })
            }
            ("dsse", "0.0.1") => {
                let spec: v001::Dsse = read(spec)?;
                let entry = only(spec.signatures.0)?;
                spec.payload_hash
                    .digest()
                    .zip(decode_base64(&entry.signature))
                    .and_then(|(payload_hash, signature)| {
                        let verifier = Verifier::from_base64_pem(&entry.verifier)?;
                        Some(LogBody::Dsse {
                            payload_hash,
                            signature,
                            verifier,
                            key_kind: None,
                        })
                    })
            }
            ("dsse", "0.0.2") => {
                let spec: v002::DsseSpec = read(spec)?;
                let entry = only(spec.dsse.signatures.0)?;
                spec.dsse.payload_hash.digest().and_then(|payload_hash| {
                    let key_kind = Some(entry.verifier.key_kind()?);
                    let verifier = entry.verifier.verifier()?;
                    Some(LogBody::Dsse {
                        payload_hash,
                        signature: entry.content.0,
                        verifier,
                        key_kind,
                    })
                })
            }
            ("intoto", "0.0.1") => {
                let spec: v001::StoredIntoto = read(spec)?;
                spec.content.hash.digest().and_then(|envelope_hash| {
                    let payload_hash = match &spec.content.payload_hash {
                        Some(hash) => Some(hash.digest()?),
                        None => None,
                    };
                    let verifier = Verifier::from_base64_pem(&spec.public_key)?;
                    Some(LogBody::StoredEnvelope {
                        envelope_hash,
                        payload_hash,
                        verifier,
                    })
                })
            }
            ("intoto", "0.0.2") => {
                let spec: v001::Intoto = read(spec)?;
                let entry = only(spec.content.envelope.signatures.0)?;
                // The signature is base64 of base64 (sigstore/rekor, intoto 0.0.2).
                let signature = decode_base64(&entry.sig)
                    .and_then(|once| decode_base64(std::str::from_utf8(&once).ok()?));
                spec.content.payload_hash.digest().zip(signature).and_then(
                    |(payload_hash, signature)| {
                        let verifier = Verifier::from_base64_pem(&entry.public_key)?;
                        Some(LogBody::Dsse {
                            payload_hash,
                            signature,
                            verifier,
                            key_kind: None,
                        })
                    },
                )
            }
            _ => {
                return Err(LogBodyError::Unsupported {
                    kind: kind.chars().take(60).collect(),
                    version: version.chars().take(60).collect(),
                });
            }
        };
        body.map_or_else(
            || malformed("a digest, signature or verifier cannot be read"),
            Ok,
        )
    }
}

/// `keyDetails` of sigstore_common.proto for a key as Rekor v2 wants it; it also fixes the digest.
pub fn key_details(key: &PublicKey) -> &'static str {
    match key.kind() {
        KeyKind::EcdsaP256 => "PKIX_ECDSA_P256_SHA_256",
        KeyKind::EcdsaP384 => "PKIX_ECDSA_P384_SHA_384",
        KeyKind::EcdsaP521 => "PKIX_ECDSA_P521_SHA_512",
        KeyKind::Ed25519 => "PKIX_ED25519_PH",
        // The modulus length decides; SubjectPublicKeyInfo of 2048, 3072 and 4096 bits has 294, 422 and 550 bytes.
        KeyKind::Rsa if key.spki_der().len() < 400 => "PKIX_RSA_PKCS1V15_2048_SHA256",
        KeyKind::Rsa if key.spki_der().len() < 500 => "PKIX_RSA_PKCS1V15_3072_SHA256",
        KeyKind::Rsa => "PKIX_RSA_PKCS1V15_4096_SHA256",
    }
}

/// Body of `POST /api/v1/log/entries` for a signature over an artifact's digest.
pub fn propose_hashedrekord_v001(
    digest: &Digest,
    signature: &[u8],
    certificate: &Certificate,
) -> String {
    json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": digest.algorithm().name(), "value": digest.hex() } },
            "signature": {
                "content": encode_base64(signature),
                "publicKey": { "content": encode_base64(certificate.to_pem().as_bytes()) },
            },
        },
    })
    .to_string()
}

/// Body of `POST /api/v1/log/entries` for an envelope.
pub fn propose_dsse_v001(envelope: &Envelope, certificate: &Certificate) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct EnvelopeJson<'a> {
        payload: String,
        payload_type: &'a str,
        signatures: [SignatureJson; 1],
    }
    #[derive(Serialize)]
    struct SignatureJson {
        sig: String,
    }
    let envelope = serde_json::to_string(&EnvelopeJson {
        payload: encode_base64(&envelope.payload),
        payload_type: &envelope.payload_type,
        signatures: [SignatureJson {
            sig: encode_base64(&envelope.signature),
        }],
    })
    .expect("strings always serialise");
    json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "proposedContent": {
                "envelope": envelope,
                "verifiers": [encode_base64(certificate.to_pem().as_bytes())],
            },
        },
    })
    .to_string()
}

/// Body of `POST /api/v2/log/entries`: a signature over a digest, of an artifact or of a
/// pre-authentication encoding.
pub fn propose_hashedrekord_v002(
    digest: &Digest,
    signature: &[u8],
    certificate: &Certificate,
) -> String {
    json!({
        "hashedRekordRequestV002": {
            "digest": encode_base64(digest.as_bytes()),
            "signature": {
                "content": encode_base64(signature),
                "verifier": {
                    "x509Certificate": { "rawBytes": encode_base64(certificate.der()) },
                    "keyDetails": key_details(certificate.public_key()),
                },
            },
        },
    })
    .to_string()
}

/// What a Rekor v1 signed entry timestamp covers: RFC 8785 JSON of four members (sigstore/rekor,
/// `LogEntry.verification.signedEntryTimestamp`).
pub fn signed_entry_timestamp_input(
    body: &[u8],
    integrated_time: i64,
    log_id: &[u8; 32],
    log_index: u64,
) -> Vec<u8> {
    // Four members in sorted order, ASCII strings without escapes, plain integers: canonical as written.
    format!(
        r#"{{"body":"{}","integratedTime":{integrated_time},"logID":"{}","logIndex":{log_index}}}"#,
        encode_base64(body),
        hex::encode(log_id),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(name: &str) -> serde_json::Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/captures/http")
            .join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// Every body that the real logs answered with is read, and only under its own kind.
    #[test]
    fn recorded_bodies_parse() {
        for (file, kind) in [
            ("rekor1.blob.resp.json", "hashedrekord"),
            ("rekor1.dsse-image.resp.json", "dsse"),
            ("rekor1.attest.resp.json", "dsse"),
            ("rekor1.legacy-sign.resp.json", "hashedrekord"),
            ("rekor1.legacy-attest.resp.json", "dsse"),
        ] {
            let answer = capture(file);
            let entry = answer.as_object().unwrap().values().next().unwrap();
            let body = decode_base64(entry["body"].as_str().unwrap()).unwrap();
            LogBody::parse(kind, "0.0.1", &body).unwrap_or_else(|e| panic!("{file}: {e}"));
            let other = LogBody::parse("intoto", "0.0.2", &body);
            assert!(
                matches!(other, Err(LogBodyError::KindMismatch { .. })),
                "{file}"
            );
        }
        for file in [
            "rekor2.blob.resp.json",
            "rekor2.dsse-image.resp.json",
            "rekor2.attest.resp.json",
        ] {
            let body = decode_base64(capture(file)["canonicalizedBody"].as_str().unwrap()).unwrap();
            LogBody::parse("hashedrekord", "0.0.2", &body)
                .unwrap_or_else(|e| panic!("{file}: {e}"));
        }
    }

    /// What we propose is what cosign proposed for the same signature.
    #[test]
    fn proposals_equal_the_recorded_ones() {
        let request = capture("rekor2.blob.req.json");
        let inner = &request["hashedRekordRequestV002"];
        let bytes = |value: &serde_json::Value| decode_base64(value.as_str().unwrap()).unwrap();
        let digest = Digest::new(HashAlgorithm::Sha256, &bytes(&inner["digest"])).unwrap();
        let verifier = &inner["signature"]["verifier"];
        let certificate =
            Certificate::from_der(&bytes(&verifier["x509Certificate"]["rawBytes"])).unwrap();
        let proposal = propose_hashedrekord_v002(
            &digest,
            &bytes(&inner["signature"]["content"]),
            &certificate,
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&proposal).unwrap(),
            request
        );
    }

    /// Spec 11 §1.
    #[test]
    fn signed_entry_timestamp_input_is_exact() {
        let input = signed_entry_timestamp_input(b"{}", 1_710_869_186, &[0xc0; 32], 79_571_823);
        let expected = format!(
            r#"{{"body":"e30=","integratedTime":1710869186,"logID":"{}","logIndex":79571823}}"#,
            "c0".repeat(32)
        );
        assert_eq!(input, expected.as_bytes());
    }

    #[test]
    fn a_pem_verifier_has_a_bound() {
        let pem = pem::encode("PUBLIC KEY", &[1, 2, 3]);
        let padded = |len: usize| format!("{pem}{}", " ".repeat(len - pem.len()));
        assert_eq!(
            Verifier::from_pem(padded(limits::PEM_LEN).as_bytes()),
            Some(Verifier::PublicKey(vec![1, 2, 3]))
        );
        assert_eq!(
            Verifier::from_pem(padded(limits::PEM_LEN + 1).as_bytes()),
            None
        );
        let private = pem::encode("PRIVATE KEY", &[1, 2, 3]);
        assert_eq!(Verifier::from_pem(private.as_bytes()), None);
    }

    /// Rekor v2 of its first months logged envelopes as such.
    #[test]
    fn an_envelope_in_the_second_log() {
        let verifier = json!({ "publicKey": { "rawBytes": "AQI=" }, "keyDetails": "PKIX_ED25519" });
        let signature = json!({ "content": "Aw==", "verifier": verifier });
        let body = |signatures: &[&serde_json::Value]| {
            json!({
                "apiVersion": "0.0.2",
                "kind": "dsse",
                "spec": { "dsseV002": {
                    "payloadHash": {
                        "algorithm": "SHA2_256",
                        "digest": encode_base64(Digest::sha256(b"p").as_bytes()),
                    },
                    "signatures": signatures,
                } },
            })
            .to_string()
        };
        let parse = |body: String| LogBody::parse("dsse", "0.0.2", body.as_bytes());
        assert_eq!(
            parse(body(&[&signature])),
            Ok(LogBody::Dsse {
                payload_hash: Digest::sha256(b"p"),
                signature: vec![3],
                verifier: Verifier::PublicKey(vec![1, 2]),
                key_kind: Some(KeyKind::Ed25519),
            })
        );
        for signatures in [&[][..], &[&signature, &signature]] {
            assert!(matches!(
                parse(body(signatures)),
                Err(LogBodyError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn details_of_rsa_keys_by_their_modulus() {
        use crate::crypto::asn1::{INTEGER, SEQUENCE, encode};
        for bits in [2048, 3072, 4096] {
            let modulus = encode(INTEGER, &[&[0], &vec![0xa5; bits / 8][..]].concat());
            let pkcs1 = encode(SEQUENCE, &[modulus, encode(INTEGER, &[1, 0, 1])].concat());
            let key = PublicKey::from_pkcs1_der(&pkcs1).unwrap();
            assert_eq!(
                key_details(&key),
                format!("PKIX_RSA_PKCS1V15_{bits}_SHA256")
            );
        }
    }

    /// What we propose to Rekor v1 is what cosign proposed for the same signature.
    #[test]
    fn proposals_to_the_first_log_equal_the_recorded_ones() {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let certificate = |value: &serde_json::Value| {
            let pem = String::from_utf8(decode_base64(&text(value)).unwrap()).unwrap();
            Certificate::chain_from_pem(&pem, 1).unwrap().remove(0)
        };
        let same = |proposal: String, request: &serde_json::Value| {
            let proposal: serde_json::Value = serde_json::from_str(&proposal).unwrap();
            assert_eq!(proposal, *request);
        };
        let request = capture("rekor1.blob.req.json");
        let spec = &request["spec"];
        let digest = format!("sha256:{}", text(&spec["data"]["hash"]["value"]));
        let proposal = propose_hashedrekord_v001(
            &digest.parse().unwrap(),
            &decode_base64(&text(&spec["signature"]["content"])).unwrap(),
            &certificate(&spec["signature"]["publicKey"]["content"]),
        );
        same(proposal, &request);

        let mut request = capture("rekor1.dsse-image.req.json");
        let members = request["spec"].as_object_mut().unwrap();
        assert_eq!(members.remove("signatures"), Some(serde_json::Value::Null));
        let proposed = &request["spec"]["proposedContent"];
        let envelope: serde_json::Value =
            serde_json::from_str(&text(&proposed["envelope"])).unwrap();
        let bytes = |value: &serde_json::Value| decode_base64(&text(value)).unwrap();
        let proposal = propose_dsse_v001(
            &Envelope {
                payload_type: text(&envelope["payloadType"]),
                payload: bytes(&envelope["payload"]).into(),
                signature: bytes(&envelope["signatures"][0]["sig"]),
                keyid: String::new(),
            },
            &certificate(&proposed["verifiers"][0]),
        );
        same(proposal, &request);
    }
}
