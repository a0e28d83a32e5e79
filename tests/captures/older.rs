//! Recorded signatures and attestations that are older than bundles.

use keyless::crypto::{Digest, pem};
use keyless::format::bundle::{Bundle, Content, KeyMaterial};
use keyless::format::legacy::{Layer, StoredEnvelope};
use keyless::format::oci::Document;
use keyless::format::protojson::encode_base64;
use keyless::verify::{Artifact, ExpectedContent, VerifyError, verify};
use serde_json::{Value, json};

use crate::{IDENTITY, ISSUER, code, policy, read, signature, trust};

const TYPE: &str = "https://slsa.dev/provenance/v1";

fn older(name: &str) -> Bundle {
    let folder = "oci/referrers-api/legacy";
    let manifest = read(&format!("{folder}/tag.{name}.manifest.json"));
    let Ok(Document::Manifest(manifest)) = Document::parse(&manifest) else {
        panic!("the recorded manifest is one");
    };
    let layer = Layer {
        descriptor: manifest.layers[0].clone(),
        content: read(&format!("{folder}/tag.{name}.layer0.json")),
    };
    layer.bundle().unwrap()
}

fn image() -> Artifact {
    let manifest = read("oci/referrers-api/legacy/image.manifest.json");
    Artifact::from_digest(Digest::sha256(&manifest))
}

fn judge(bundle: &Bundle, artifact: &Artifact, content: ExpectedContent) -> Option<VerifyError> {
    verify(
        bundle,
        artifact,
        &trust(),
        &policy(IDENTITY, ISSUER, content),
    )
    .err()
}

fn attestation(predicate_type: &str) -> ExpectedContent {
    ExpectedContent::Attestation {
        predicate_type: predicate_type.into(),
    }
}

/// What a refusal is told as; nothing for what is accepted.
fn said(bundle: &Bundle, content: ExpectedContent) -> &'static str {
    judge(bundle, &image(), content).map_or("accepted", |error| code(Err::<(), _>(error)))
}

#[test]
fn each_is_what_it_is_and_nothing_else() {
    let (signed, attested) = (older("sig"), older("att"));
    assert_eq!(said(&signed, signature()), "accepted");
    assert_eq!(said(&attested, attestation(TYPE)), "accepted");
    let other_type = attestation("https://slsa.dev/provenance/v0.2");
    for (bundle, content, code) in [
        (&signed, attestation(TYPE), "not-an-attestation"),
        // A payload that names an image is no file that somebody signed.
        (
            &signed,
            ExpectedContent::ArtifactSignature,
            "not-a-signature",
        ),
        (&attested, signature(), "not-a-signature"),
        (
            &attested,
            ExpectedContent::ArtifactSignature,
            "not-a-signature",
        ),
        (&attested, other_type, "predicate-type-mismatch"),
    ] {
        assert_eq!(said(bundle, content.clone()), code, "{content:?}");
    }
    let other = Artifact::from_digest(Digest::sha256(b"other"));
    for (bundle, content) in [(&signed, signature()), (&attested, attestation(TYPE))] {
        let refused = judge(bundle, &other, content).unwrap();
        assert_eq!(code(Err::<(), _>(refused)), "artifact-mismatch");
    }
}

#[test]
fn an_envelope_is_the_one_that_was_stored() {
    let mut bundle = older("att");
    let Content::DsseEnvelope(envelope) = &bundle.content else {
        panic!("an attestation is an envelope");
    };
    let mut other = envelope.clone();
    other.payload = b"{}".as_slice().into();
    bundle.stored_envelope = Some(StoredEnvelope::of(&other));
    let refused = judge(&bundle, &image(), attestation(TYPE));
    let what = "the stored envelope";
    assert_eq!(refused, Some(VerifyError::EntryMismatch { what }));
}

/// An `intoto` 0.0.1 entry names the envelope as a whole, so each of its members must be this envelope's. What
/// is bound gets as far as the log's promise, which is over the entry that was recorded.
#[test]
fn an_entry_about_a_stored_envelope_is_about_this_one() {
    let good = older("att");
    let stored = good.stored_envelope.clone().unwrap();
    let KeyMaterial::Certificate(leaf) = &good.key_material else {
        panic!("it is signed with a certificate");
    };
    let hash =
        |bytes: &[u8]| json!({ "algorithm": "sha256", "value": Digest::sha256(bytes).hex() });
    let body = json!({
        "apiVersion": "0.0.1",
        "kind": "intoto",
        "spec": {
            "content": {
                "hash": hash(stored.bytes()),
                "payloadHash": hash(&stored.envelope().payload),
            },
            "publicKey": encode_base64(leaf.to_pem().as_bytes()),
        },
    });
    let with = |change: &dyn Fn(&mut Value), is_stored: bool| {
        let (mut bundle, mut body) = (good.clone(), body.clone());
        change(&mut body["spec"]);
        let entry = &mut bundle.log_entries[0];
        (entry.kind, entry.version) = ("intoto".to_owned(), "0.0.1".to_owned());
        entry.canonicalized_body = body.to_string().into_bytes();
        bundle.stored_envelope = bundle.stored_envelope.filter(|_| is_stored);
        judge(&bundle, &image(), attestation(TYPE)).unwrap()
    };
    let mismatch = |what| VerifyError::EntryMismatch { what };
    assert_eq!(with(&|_| {}, true), VerifyError::PromiseInvalid);
    // The oldest entries say nothing of the payload; the envelope's digest covers it.
    let without = |spec: &mut Value| {
        drop(
            spec["content"]
                .as_object_mut()
                .unwrap()
                .remove("payloadHash"),
        );
    };
    assert_eq!(with(&without, true), VerifyError::PromiseInvalid);
    let wrong =
        |member: &'static str| move |spec: &mut Value| spec["content"][member] = hash(b"other");
    let refused = with(&wrong("hash"), true);
    assert_eq!(refused, mismatch("the envelope's digest"));
    let refused = with(&wrong("payloadHash"), true);
    assert_eq!(refused, mismatch("the payload's digest"));
    let other = pem::encode("PUBLIC KEY", leaf.public_key().spki_der());
    let key = |spec: &mut Value| spec["publicKey"] = encode_base64(other.as_bytes()).into();
    assert_eq!(with(&key, true), mismatch("the certificate or key"));
    // A bundle keeps no envelope as it was stored, so such an entry is about none.
    assert_eq!(with(&|_| {}, false), mismatch("the kind of signature"));
}
