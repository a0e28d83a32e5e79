//! Entries proposed to Rekor v1: checked, and brought to the canonical body that becomes the leaf.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crypto::certificate::Certificate;
use crate::crypto::{Digest, HashAlgorithm, PublicKey};
use crate::format::dsse::PreAuthEncoding;
use crate::format::protojson::{decode_base64, encode_base64};

use super::error::SandboxError;
use super::keys::EcdsaKey;
use super::reply;

/// Signatures and verifiers in one envelope; the real server has no bound but its body limit.
const MAX_SIGNATURES: usize = 16;

/// Why an entry was refused, as the real server says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// 400, `error processing entry: …`.
    Entry(String),
    /// 422 with a validation code.
    Invalid(u16, String),
    /// 500; the real server answers so where the body is no JSON.
    NotJson(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Entry(reason) => {
                let message = format!("error processing entry: {reason}");
                reply::openapi_status(StatusCode::BAD_REQUEST, &message)
            }
            Refusal::Invalid(code, message) => {
                reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, code, &message)
            }
            Refusal::NotJson(message) => {
                reply::openapi_status(StatusCode::INTERNAL_SERVER_ERROR, &message)
            }
        }
    }
}

fn entry<T>(reason: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Entry(reason.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proposal {
    kind: Option<String>,
    api_version: Option<String>,
    spec: Option<Value>,
}

#[derive(Deserialize)]
struct HashedRekord {
    data: Option<Data>,
    signature: Option<Signature>,
}

#[derive(Deserialize)]
struct Data {
    hash: Option<Hash>,
}

#[derive(Deserialize)]
struct Hash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Signature {
    content: Option<String>,
    public_key: Option<Content>,
}

#[derive(Deserialize)]
struct Content {
    content: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dsse {
    proposed_content: Option<Proposed>,
    envelope_hash: Option<Value>,
    payload_hash: Option<Value>,
    signatures: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Proposed {
    envelope: Option<String>,
    #[serde(default)]
    verifiers: Vec<String>,
}

/// `intoto` 0.0.1, which cosign 2 proposes when it is asked for `intoto`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Intoto {
    content: Option<IntotoContent>,
    public_key: Option<String>,
}

#[derive(Deserialize)]
struct IntotoContent {
    envelope: Option<String>,
    hash: Option<Hash>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    #[serde(default)]
    signatures: Vec<EnvelopeSignature>,
}

impl Envelope {
    fn payload(&self) -> Result<Vec<u8>, Refusal> {
        let malformed = "could not verify envelope: the payload is not base64";
        decode_base64(&self.payload).map_or_else(|| entry(malformed), Ok)
    }
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

/// Checks a proposed entry and returns its canonical body (RFC 8785).
pub(super) fn canonicalize(proposal: &[u8]) -> Result<Vec<u8>, Refusal> {
    let proposal: Proposal = serde_json::from_slice(proposal).map_err(|error| {
        let message = error.to_string();
        match error.classify() {
            serde_json::error::Category::Data => Refusal::Invalid(422, message),
            _ => Refusal::NotJson(message),
        }
    })?;
    let invalid = |code, message: &str| Err(Refusal::Invalid(code, message.to_owned()));
    let Some(kind) = proposal.kind.filter(|kind| !kind.is_empty()) else {
        return invalid(602, "kind in body is required");
    };
    let Some(version) = proposal.api_version else {
        return invalid(602, "apiVersion in body is required");
    };
    let Some(spec) = proposal.spec else {
        return invalid(602, "spec in body is required");
    };
    let body = match (kind.as_str(), version.as_str()) {
        ("hashedrekord", "0.0.1") => hashedrekord(read(spec)?)?,
        ("dsse", "0.0.1") => dsse(read(spec)?)?,
        ("intoto", "0.0.1") => intoto(read(spec)?)?,
        ("hashedrekord" | "dsse" | "intoto", _) => {
            return entry(format!(
                "{kind} implementation for version '{version}' not found: \
                 unable to locate entry for version {version}"
            ));
        }
        _ => return invalid(422, &format!("invalid kind value: {kind:?}")),
    };
    let canonical = serde_json_canonicalizer::to_vec(&body);
    Ok(canonical.expect("a body of strings has a canonical form"))
}

fn read<T: serde::de::DeserializeOwned>(spec: Value) -> Result<T, Refusal> {
    serde_json::from_value(spec).or_else(|error| entry(error.to_string()))
}

fn hashedrekord(spec: HashedRekord) -> Result<Value, Refusal> {
    let missing: Vec<_> = [
        ("data", spec.data.is_none()),
        ("signature", spec.signature.is_none()),
    ]
    .into_iter()
    .filter(|(_, missing)| *missing)
    .map(|(name, _)| format!("\n{name} in body is required"))
    .collect();
    let (Some(data), Some(signature)) = (spec.data, spec.signature) else {
        return entry(format!("validation failure list:{}", missing.concat()));
    };
    let Some(bytes) = signature.content.as_deref().and_then(decode_base64) else {
        return entry("missing or malformed signature content");
    };
    let key = signature.public_key.and_then(|key| key.content);
    let Some(key) = key.as_deref().and_then(decode_base64) else {
        return entry("missing or malformed public key");
    };
    let verifiers = Verifiers::from_pem(&key)?;
    let Some(hash) = data.hash else {
        return entry("missing hash");
    };
    let Some(algorithm) = HashAlgorithm::from_name(&hash.algorithm) else {
        return entry("invalid value for hash");
    };
    let lower = hash.value.to_ascii_lowercase();
    let digest = hex::decode(&lower)
        .ok()
        .and_then(|digest| Digest::new(algorithm, &digest));
    let Some(digest) = digest else {
        return entry("invalid value for hash");
    };
    if verifiers.key.verify_digest(&digest, &bytes).is_err() {
        let reason = "invalid signature when validating ASN.1 encoded signature";
        return entry(format!("verifying signature: {reason}"));
    }
    Ok(json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": algorithm.name(), "value": lower } },
            "signature": {
                "content": encode_base64(&bytes),
                "publicKey": { "content": encode_base64(verifiers.pem.as_bytes()) },
            },
        },
    }))
}

fn dsse(spec: Dsse) -> Result<Value, Refusal> {
    let fields =
        "either proposedContent or envelopeHash, payloadHash, and signatures must be present";
    let Some(proposed) = spec.proposed_content else {
        return entry(fields);
    };
    let computed = spec.envelope_hash.is_some_and(|hash| !hash.is_null())
        || spec.payload_hash.is_some_and(|hash| !hash.is_null())
        || spec.signatures.is_some_and(|list| !list.is_empty());
    if computed {
        return entry(format!("{fields} but not both"));
    }
    let Some(envelope_json) = proposed.envelope else {
        return entry("proposed content envelope is missing");
    };
    let envelope: Envelope =
        serde_json::from_str(&envelope_json).or_else(|error| entry(error.to_string()))?;
    if envelope.signatures.is_empty() {
        return entry("DSSE envelope must contain 1 or more signatures");
    }
    let too_many = |count: usize| count > MAX_SIGNATURES;
    if too_many(envelope.signatures.len()) || too_many(proposed.verifiers.len()) {
        return entry(format!(
            "more than {MAX_SIGNATURES} signatures or verifiers"
        ));
    }
    let payload = envelope.payload()?;
    let mut verifiers = Vec::new();
    for verifier in &proposed.verifiers {
        let Some(pem) = decode_base64(verifier) else {
            return entry("failed parsing base64 data for verifier");
        };
        verifiers.push(Verifiers::from_pem(&pem)?);
    }
    let message = PreAuthEncoding::new(&envelope.payload_type, &payload).to_bytes();
    let mut signatures = Vec::new();
    for signature in &envelope.signatures {
        let bytes = decode_base64(&signature.sig).unwrap_or_default();
        let verifier = verifiers.iter().find(|verifier| {
            let hash = verifier.key.kind().artifact_hash();
            verifier.key.verify(hash, &message, &bytes).is_ok()
        });
        let Some(verifier) = verifier else {
            let reason = "accepted signatures do not match threshold, Found: 0, Expected 1";
            return entry(format!("could not verify envelope: {reason}"));
        };
        signatures.push((
            signature.sig.clone(),
            encode_base64(verifier.pem.as_bytes()),
        ));
    }
    signatures.sort();
    let signatures: Vec<_> = signatures
        .into_iter()
        .map(|(signature, verifier)| json!({ "signature": signature, "verifier": verifier }))
        .collect();
    Ok(json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {
            "envelopeHash": sha256(envelope_json.as_bytes()),
            "payloadHash": sha256(&payload),
            "signatures": signatures,
        },
    }))
}

/// Logs an envelope by its digest; the signature is checked, but not kept in the body.
fn intoto(spec: Intoto) -> Result<Value, Refusal> {
    let Some(content) = spec.content else {
        return entry("missing content");
    };
    let Some(envelope_json) = content.envelope.filter(|text| !text.is_empty()) else {
        return entry("missing envelope");
    };
    let key = spec.public_key.as_deref().and_then(decode_base64);
    let Some(key) = key else {
        return entry("missing or malformed public key");
    };
    let verifier = Verifiers::from_pem(&key)?;
    let envelope: Envelope =
        serde_json::from_str(&envelope_json).or_else(|error| entry(error.to_string()))?;
    let payload = envelope.payload()?;
    let message = PreAuthEncoding::new(&envelope.payload_type, &payload).to_bytes();
    let hash = verifier.key.kind().artifact_hash();
    let signed = envelope.signatures.iter().any(|signature| {
        let bytes = decode_base64(&signature.sig).unwrap_or_default();
        verifier.key.verify(hash, &message, &bytes).is_ok()
    });
    if !signed {
        return entry("could not verify envelope");
    }
    let digest = Digest::sha256(envelope_json.as_bytes()).hex();
    let differs = |hash: &Hash| hash.algorithm != "sha256" || hash.value != digest;
    if content.hash.as_ref().is_some_and(differs) {
        return entry("invalid value for hash");
    }
    Ok(json!({
        "apiVersion": "0.0.1",
        "kind": "intoto",
        "spec": {
            "content": {
                "hash": sha256(envelope_json.as_bytes()),
                "payloadHash": sha256(&payload),
            },
            "publicKey": encode_base64(verifier.pem.as_bytes()),
        },
    }))
}

fn sha256(bytes: &[u8]) -> Value {
    json!({ "algorithm": "sha256", "value": Digest::sha256(bytes).hex() })
}

/// A key and the PEM it is logged with: blocks re-encoded, 64 columns, a final newline.
struct Verifiers {
    key: PublicKey,
    pem: String,
}

impl Verifiers {
    /// Reads a public key, or a certificate chain whose first certificate signs.
    fn from_pem(pem: &[u8]) -> Result<Self, Refusal> {
        let unreadable = || Refusal::Entry("unable to parse public key".to_owned());
        let text = std::str::from_utf8(pem).map_err(|_| unreadable())?;
        if let Ok(key) = PublicKey::from_pem(text) {
            let pem = key.to_pem();
            return Ok(Verifiers { key, pem });
        }
        let chain = Certificate::chain_from_pem(text, MAX_SIGNATURES).map_err(|_| unreadable())?;
        let key = chain[0].public_key().clone();
        let pem = chain.iter().map(Certificate::to_pem).collect();
        Ok(Verifiers { key, pem })
    }
}

/// Makes the entry that every log of a sandbox begins with, by a key that signs nothing else.
///
/// Entry 0 of a tree of one has no proof and protobuf's default index; sigstore-python 4.5.1 refuses a
/// bundle in which Go has left both out, so no user's signature should be that entry.
pub(super) fn first() -> Result<Vec<u8>, SandboxError> {
    let key = EcdsaKey::generate()?;
    let artifact = b"the first entry of a keyless sandbox\n";
    let proposal = json!({
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": { "hash": { "algorithm": "sha256", "value": Digest::sha256(artifact).hex() } },
            "signature": {
                "content": encode_base64(&key.sign(artifact)),
                "publicKey": { "content": encode_base64(key.public_pem().as_bytes()) },
            },
        },
    });
    Ok(canonicalize(proposal.to_string().as_bytes()).expect("a sound proposal is accepted"))
}

/// Changes the digest in a canonical body, for a log that enters something else than it was given.
pub(super) fn altered(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).expect("a canonical body is JSON");
    for pointer in [
        "/spec/data/hash/value",
        "/spec/payloadHash/value",
        "/spec/content/payloadHash/value",
        "/spec/hashedRekordV002/data/digest",
    ] {
        if let Some(Value::String(digest)) = value.pointer_mut(pointer) {
            let first = if digest.starts_with('0') { "1" } else { "0" };
            digest.replace_range(..1, first);
        }
    }
    serde_json_canonicalizer::to_vec(&value).expect("a body of strings has a canonical form")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(name: &str) -> Vec<u8> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/captures/http")
            .join(name);
        std::fs::read(path).unwrap()
    }

    /// What the real server made of the same proposals, byte for byte.
    #[test]
    fn recorded_proposals_become_the_recorded_bodies() {
        for kind in [
            "blob",
            "dsse-image",
            "attest",
            "legacy-sign",
            "legacy-attest",
            "intoto-attest",
        ] {
            let body = canonicalize(&capture(&format!("rekor1.{kind}.req.json"))).unwrap();
            let answer: Value =
                serde_json::from_slice(&capture(&format!("rekor1.{kind}.resp.json"))).unwrap();
            let entry = answer.as_object().unwrap().values().next().unwrap();
            assert_eq!(entry["body"], encode_base64(&body), "{kind}");
            assert_ne!(altered(&body), body);
        }
    }

    #[test]
    fn refuses_what_the_real_server_refuses() {
        let text = |name: &str| String::from_utf8(capture(name)).unwrap();
        let blob = text("rekor1.blob.req.json");
        let image = text("rekor1.dsse-image.req.json");
        let intoto = text("rekor1.intoto-attest.req.json");
        let cases = [
            ("{}".to_owned(), "kind in body is required"),
            (
                r#"{"kind":"foo","apiVersion":"0.0.1","spec":{}}"#.to_owned(),
                "invalid kind value: \"foo\"",
            ),
            (
                blob.replacen("0.0.1", "0.9.1", 1),
                "hashedrekord implementation for version '0.9.1' not found: unable to locate entry for version 0.9.1",
            ),
            (
                r#"{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}"#.to_owned(),
                "validation failure list:\ndata in body is required\nsignature in body is required",
            ),
            (
                blob.replace("e876a97b", "e876a97c"),
                "verifying signature: invalid signature when validating ASN.1 encoded signature",
            ),
            (
                blob.replace("e876a97b", "e876a97"),
                "invalid value for hash",
            ),
            (blob.replace("sha256", "sha1"), "invalid value for hash"),
            (
                image.replace("eyJfdHlw", "eyKfdHlw"),
                "could not verify envelope: accepted signatures do not match threshold, Found: 0, Expected 1",
            ),
            (
                intoto.replace("eyJfdHlw", "eyKfdHlw"),
                "could not verify envelope",
            ),
            (
                intoto.replace("\"value\":\"e8a5bbe9", "\"value\":\"e8a5bbe8"),
                "invalid value for hash",
            ),
            (
                intoto.replace("publicKey", "publikKey"),
                "missing or malformed public key",
            ),
            (
                image.replace("\"signatures\":null", "\"signatures\":[{}]"),
                "either proposedContent or envelopeHash, payloadHash, and signatures must be present but not both",
            ),
        ];
        for (proposal, message) in cases {
            let found = match canonicalize(proposal.as_bytes()).unwrap_err() {
                Refusal::Entry(reason) => reason,
                Refusal::Invalid(_, message) | Refusal::NotJson(message) => message,
            };
            assert_eq!(found, message);
        }
    }
}
