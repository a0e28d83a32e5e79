//! Entries proposed to Rekor v2: checked, and brought to the canonical body that becomes the leaf
//! (rekor-tiles, `entry.proto`).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::crypto::key::KeyKind;
use crate::crypto::{Certificate, Digest, PublicKey};
use crate::format::log_entry::key_details;
use crate::format::protojson::{Bytes, EnumValue, encode_base64};

use super::error::SandboxError;
use super::keys::EcdsaKey;

/// Entries are framed with 16-bit lengths in bundles (C2SP tlog-tiles).
const MAX_ENTRY: usize = 0xffff;

const INVALID: &str = "invalid hashedrekord request";
const WRONG_TYPE: &str = "invalid type, must be hashedrekord";

/// Names and numbers of `keyDetails` that the log takes (sigstore_common.proto), with the hash each fixes.
const KEY_DETAILS: [(&str, i64, &str); 7] = [
    ("PKIX_ECDSA_P256_SHA_256", 5, "SHA2_256"),
    ("PKIX_ECDSA_P384_SHA_384", 12, "SHA2_384"),
    ("PKIX_ECDSA_P521_SHA_512", 13, "SHA2_512"),
    ("PKIX_RSA_PKCS1V15_2048_SHA256", 9, "SHA2_256"),
    ("PKIX_RSA_PKCS1V15_3072_SHA256", 10, "SHA2_256"),
    ("PKIX_RSA_PKCS1V15_4096_SHA256", 11, "SHA2_256"),
    ("PKIX_ED25519", 7, ""),
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(alias = "hashed_rekord_request_v002")]
    hashed_rekord_request_v002: Option<HashedRekord>,
}

#[derive(Deserialize)]
struct HashedRekord {
    #[serde(default)]
    digest: Bytes,
    signature: Option<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(default)]
    content: Bytes,
    verifier: Option<Verifier>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verifier {
    #[serde(alias = "x509_certificate")]
    x509_certificate: Option<RawBytes>,
    #[serde(alias = "public_key")]
    public_key: Option<RawBytes>,
    #[serde(alias = "key_details")]
    key_details: Option<EnumValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    #[serde(alias = "raw_bytes", default)]
    raw_bytes: Bytes,
}

/// Checks a request and returns its canonical body (RFC 8785). `Err` holds the server's message.
pub(super) fn canonicalize(request: &[u8]) -> Result<Vec<u8>, String> {
    let request: Request = serde_json::from_slice(request).map_err(|error| error.to_string())?;
    let record = request.hashed_rekord_request_v002.ok_or(WRONG_TYPE)?;
    let verifier = record.signature.as_ref().and_then(|s| s.verifier.as_ref());
    if let Some(details) = verifier.and_then(|verifier| verifier.key_details.as_ref()) {
        // An enum value nobody knows is refused while reading.
        if let EnumValue::Name(name) = details
            && !name.starts_with("PKIX_")
            && !name.starts_with("PKCS1_")
        {
            let field = "proto: invalid value for enum field keyDetails";
            return Err(format!("{field}: {name:?}"));
        }
    }
    let body = entry(&record).ok_or(INVALID)?;
    let canonical = serde_json_canonicalizer::to_vec(&body);
    let canonical = canonical.expect("a body of strings has a canonical form");
    if canonical.len() > MAX_ENTRY {
        return Err(INVALID.to_owned());
    }
    Ok(canonical)
}

/// Makes the entry that every log of a sandbox begins with; see [`super::rekor1_entry::first`].
pub(super) fn first() -> Result<Vec<u8>, SandboxError> {
    let key = EcdsaKey::generate()?;
    let artifact = b"the first entry of a keyless sandbox\n";
    let request = json!({ "hashedRekordRequestV002": {
        "digest": encode_base64(Digest::sha256(artifact).as_bytes()),
        "signature": {
            "content": encode_base64(&key.sign(artifact)),
            "verifier": {
                "publicKey": { "rawBytes": encode_base64(key.spki()) },
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            },
        },
    } });
    Ok(canonicalize(request.to_string().as_bytes()).expect("a sound request is accepted"))
}

fn entry(record: &HashedRekord) -> Option<Value> {
    let signature = record.signature.as_ref()?;
    let verifier = signature.verifier.as_ref()?;
    let (name, raw, key) = match (&verifier.x509_certificate, &verifier.public_key) {
        (Some(RawBytes { raw_bytes }), None) => {
            let certificate = Certificate::from_der(raw_bytes).ok()?;
            (
                "x509Certificate",
                raw_bytes,
                certificate.public_key().clone(),
            )
        }
        (None, Some(RawBytes { raw_bytes })) => (
            "publicKey",
            raw_bytes,
            PublicKey::from_spki_der(raw_bytes).ok()?,
        ),
        _ => return None,
    };
    let table = KEY_DETAILS.map(|(name, number, hash)| (name, number, (name, hash)));
    let (details, hash) = verifier.key_details.as_ref()?.find(&table)?;
    // Ed25519 signs no digest that was made outside.
    if key.kind() == KeyKind::Ed25519 || details != key_details(&key) {
        return None;
    }
    let digest = Digest::new(key.kind().artifact_hash(), &record.digest)?;
    key.verify_digest(&digest, &signature.content).ok()?;
    Some(json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": { "hashedRekordV002": {
            "data": { "algorithm": hash, "digest": encode_base64(digest.as_bytes()) },
            "signature": {
                "content": encode_base64(&signature.content),
                "verifier": { "keyDetails": details, name: { "rawBytes": encode_base64(raw) } },
            },
        } },
    }))
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

    /// What the real server made of the same requests, byte for byte.
    #[test]
    fn recorded_requests_become_the_recorded_bodies() {
        for kind in ["blob", "dsse-image", "attest"] {
            let body = canonicalize(&capture(&format!("rekor2.{kind}.req.json"))).unwrap();
            let answer: Value =
                serde_json::from_slice(&capture(&format!("rekor2.{kind}.resp.json"))).unwrap();
            assert_eq!(answer["canonicalizedBody"], encode_base64(&body), "{kind}");
        }
    }

    #[test]
    fn refuses_what_the_real_server_refuses() {
        let good = String::from_utf8(capture("rekor2.blob.req.json")).unwrap();
        let p256 = "PKIX_ECDSA_P256_SHA_256";
        for (request, message) in [
            ("{}".to_owned(), WRONG_TYPE),
            (r#"{"dsseRequestV002":{}}"#.to_owned(), WRONG_TYPE),
            (good.replace("6Hape", "6Hapf"), INVALID),
            (good.replace(p256, "PKIX_ECDSA_P384_SHA_384"), INVALID),
            (good.replace(p256, "PKIX_ED25519"), INVALID),
            (good.replace("x509Certificate", "publicKey"), INVALID),
            (
                good.replace(p256, "FOO"),
                "proto: invalid value for enum field keyDetails: \"FOO\"",
            ),
        ] {
            assert_eq!(canonicalize(request.as_bytes()).unwrap_err(), message);
        }
        let number = good.replace(&format!("\"{p256}\""), "5");
        assert_eq!(
            canonicalize(number.as_bytes()),
            canonicalize(good.as_bytes())
        );
    }
}
