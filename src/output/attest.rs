//! What attestations show: who attested what, and the verified predicates themselves.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::Output;
use super::document::{self, head, verified};
use super::raw::{Raw, raw_member};
use super::summary::Summary;
use crate::crypto::Digest;
use crate::diagnostic::Exit;
use crate::flow::attest_blob::AttestedBlobs;
use crate::flow::image_list::NamedImages;
use crate::flow::verify_blob::VerifiedBlob;
use crate::flow::verify_blob_rules::BlobVerdict;
use crate::flow::verify_image::ImageVerdict;
use crate::format::protojson::encode_base64;
use crate::verify::{Explanation, VerifiedBundle};

/// How verified attestations are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum AttestationFormat {
    /// For people: what was attested on standard output, the predicates byte for byte; who attested it on standard
    /// error.
    #[default]
    Text,
    /// One JSON document, with the predicates.
    Json,
    /// The predicates as they were signed, byte for byte, one after the other.
    Predicate,
    /// The whole statements likewise.
    Statement,
    /// The DSSE envelopes, one a line, as cosign prints them.
    Envelope,
}

/// An attestation that holds, and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The image or file as given.
    pub subject: &'a str,
    /// Digest of the bundle's bytes.
    pub bundle: Digest,
    /// The verdict.
    pub verified: &'a VerifiedBundle,
}

impl Shown<'_> {
    fn predicate(&self) -> &str {
        self.verified.signature().predicate().unwrap_or("null")
    }

    fn payload(&self) -> &[u8] {
        self.verified.signature().payload().map_or(b"", |b| b)
    }

    /// Returns the data of every format but JSON.
    fn raw(&self, format: AttestationFormat) -> Option<Cow<'_, str>> {
        match format {
            AttestationFormat::Json => None,
            AttestationFormat::Text | AttestationFormat::Predicate => Some(self.predicate().into()),
            AttestationFormat::Statement => Some(String::from_utf8_lossy(self.payload())),
            AttestationFormat::Envelope => {
                let envelope = json!({
                    "payloadType": crate::format::dsse::IN_TOTO_PAYLOAD_TYPE,
                    "payload": encode_base64(self.payload()),
                    "signatures": [{
                        "keyid": "",
                        "sig": encode_base64(self.verified.signature().bytes()),
                    }],
                });
                Some(envelope.to_string().into())
            }
        }
    }
}

/// Shows the attestations that hold, in the formats that have nothing but them.
pub fn show(output: &mut Output, format: AttestationFormat, shown: &[Shown<'_>]) {
    for data in shown.iter().filter_map(|shown| shown.raw(format)) {
        match format {
            AttestationFormat::Text => output.data(&data),
            _ => output.raw(&data),
        }
        output.raw("\n");
    }
}

/// Returns the attestations of images that are accepted.
pub fn of_images(verdicts: &[ImageVerdict]) -> Vec<Shown<'_>> {
    let mut shown = Vec::new();
    for verdict in verdicts {
        shown.extend(verdict.accepted.iter().map(|accepted| Shown {
            subject: &verdict.given,
            bundle: accepted.bundle,
            verified: &accepted.verified,
        }));
    }
    shown
}

/// The verified predicates as a member of a document.
fn attestations(shown: &[Shown<'_>]) -> Value {
    let each = shown.iter().enumerate().map(|(i, shown)| {
        let statement = shown.verified.signature().statement();
        json!({
            "subject": shown.subject,
            "bundleDigest": shown.bundle.to_string(),
            "predicateType": statement.map(|statement| statement.predicate_type.as_str()),
            "predicate": raw_member(i),
        })
    });
    each.collect::<Vec<_>>().into()
}

/// The predicates that the members of `attestations` stand for.
pub fn predicates(shown: &[Shown<'_>]) -> Vec<Raw> {
    shown
        .iter()
        .map(|shown| Raw::of(shown.predicate()))
        .collect()
}

/// The document of `keyless verify-attestation`.
pub fn verify_images(
    verdicts: &[ImageVerdict],
    shown: &[Shown<'_>],
    exit: Exit,
    named: &NamedImages,
    accepting: impl Fn(&ImageVerdict) -> Option<String>,
) -> Value {
    let summary = Summary::of(verdicts.iter().map(ImageVerdict::exit));
    let mut document = document::verify_images(verdicts, exit, &summary, named, accepting);
    document["command"] = "verify-attestation".into();
    document["attestations"] = attestations(shown);
    document
}

/// The document of `keyless verify-blob-attestation` by one policy.
pub fn verify_blobs(
    blobs: &[(String, VerifiedBlob, Option<Explanation>)],
    shown: &[Shown<'_>],
) -> Value {
    let found: Vec<Value> = blobs
        .iter()
        .map(|(blob, verdict, explanation)| {
            document::verified_blob(blob, verdict, explanation.as_ref())
        })
        .collect();
    let members = [
        ("blobs", found.into()),
        ("rules", Vec::<Value>::new().into()),
        ("refused", Vec::<Value>::new().into()),
        ("attestations", attestations(shown)),
    ];
    head("verify-blob-attestation", Exit::Accepted, members)
}

/// The document of `keyless verify-blob-attestation` by the rules of a policy file.
pub fn verify_blob_by_rules(blob: &str, verdict: &BlobVerdict, shown: &[Shown<'_>]) -> Value {
    let mut document = super::policy::blob_document(blob, verdict);
    document["command"] = "verify-blob-attestation".into();
    if verdict.error.is_none() {
        document["attestations"] = attestations(shown);
    }
    document
}

/// The document of `keyless attest-blob`.
pub fn attest_blobs(attested: &AttestedBlobs) -> Value {
    let blobs: Vec<Value> = attested
        .blobs
        .iter()
        .map(|(source, digest)| {
            json!({
                "blob": source.to_string(),
                "digest": digest.to_string(),
                "bundle": attested.path.display().to_string(),
                "signature": verified(&attested.bundle.verified),
            })
        })
        .collect();
    head("attest-blob", Exit::Accepted, [("blobs", blobs.into())])
}
