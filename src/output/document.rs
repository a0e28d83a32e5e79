//! The JSON documents, version 1: complete, so that whatever people see a machine can read. `schema.json`
//! beside this file describes them.

use serde_json::{Map, Value, json};

use super::policy;
use super::summary::Summary;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::attach::AttachedBundle;
use crate::flow::image_list::NamedImages;
use crate::flow::sign_blob::SignedBlob;
use crate::flow::sign_image::SignedImage;
use crate::flow::verify_blob::VerifiedBlob;
use crate::flow::verify_image::{ImageVerdict, Refusal};
use crate::format::certificate_identity::CertificateIdentity;
use crate::net::registry::Attached;
use crate::verify::{Explanation, MatchedSigner, SignerEvidence, TimeSource, VerifiedBundle};

/// Version of these documents; raised when a member changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// Starts a document: version, command, result, exit code.
pub fn head<const N: usize>(command: &str, exit: Exit, members: [(&str, Value); N]) -> Value {
    let mut document = Map::new();
    document.insert("schemaVersion".to_owned(), SCHEMA_VERSION.into());
    document.insert("command".to_owned(), command.into());
    document.insert("result".to_owned(), result(exit).into());
    document.insert("exitCode".to_owned(), exit.code().into());
    for (name, value) in members {
        document.insert(name.to_owned(), value);
    }
    document.into()
}

pub(super) fn result(exit: Exit) -> &'static str {
    match exit.code() {
        0 => "accepted",
        10..=39 => "refused",
        _ => "error",
    }
}

/// An error as JSON.
pub fn error(error: &dyn Diagnostic) -> Value {
    let details: Vec<Value> = error
        .details()
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({
        "code": error.code(),
        "message": error.to_string(),
        "exitCode": error.exit().code(),
        "retryable": error.exit().is_retryable(),
        "details": details,
        "hint": error.hint(),
    })
}

fn identity(identity: &CertificateIdentity) -> Value {
    let claims: Map<String, Value> = identity
        .claims
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
        .collect();
    json!({ "identity": identity.subject, "issuer": identity.issuer, "claims": claims })
}

/// An image or file, and who claims to have signed it, or why that cannot be said.
pub type Claimed<E> = (String, Result<Vec<CertificateIdentity>, E>);

/// The document of a command that was not told whom to expect: the error, and who claims to have signed
/// what. Nothing of it is verified.
pub fn claimed<E: Diagnostic>(
    command: &str,
    failure: &dyn Diagnostic,
    claimed: &[Claimed<E>],
) -> Value {
    let claimed: Vec<Value> = claimed
        .iter()
        .map(|(signed, found)| {
            let signers = found.as_deref().unwrap_or_default();
            json!({
                "signed": signed,
                "signers": signers.iter().map(identity).collect::<Vec<_>>(),
                "error": found.as_ref().err().map(|found| error(found)),
            })
        })
        .collect();
    head(
        command,
        failure.exit(),
        [
            ("error", error(failure)),
            ("claimedSigners", claimed.into()),
        ],
    )
}

/// Who signed, as JSON.
pub(super) fn signer(signer: &MatchedSigner) -> Value {
    match signer {
        MatchedSigner::Identity(found) => identity(found),
        MatchedSigner::Key(key) => json!({ "key": key.fingerprint().to_string() }),
    }
}

/// A verdict as JSON: who, when, where it is logged, and why that is believed.
pub fn verified(bundle: &VerifiedBundle) -> Value {
    let signer = signer(bundle.signer());
    let entries: Vec<Value> = bundle
        .entries()
        .iter()
        .map(|entry| {
            json!({
                "log": entry.log_url(),
                "logId": hex::encode(entry.log_id()),
                "logIndex": entry.log_index(),
                "integratedTime": entry.promised_time().map(|time| time.rfc3339()),
                "inclusionProven": entry.is_proven(),
                "inclusionPromised": entry.promised_time().is_some(),
            })
        })
        .collect();
    let timestamps: Vec<Value> = bundle
        .timestamps()
        .iter()
        .map(|t| json!({ "time": t.time().rfc3339(), "authority": t.authority() }))
        .collect();
    let times: Vec<Value> = bundle
        .times()
        .map(|times| times.all())
        .unwrap_or_default()
        .iter()
        .map(|(time, source)| {
            let source = match source {
                TimeSource::LogPromise => "log-promise",
                TimeSource::TimestampAuthority => "timestamp-authority",
            };
            json!({ "time": time.rfc3339(), "source": source })
        })
        .collect();
    let (authority, sct) = match bundle.signer_evidence() {
        SignerEvidence::Certificate(evidence) => {
            let promises: Option<Vec<Value>> = evidence.sct().checked().map(|sct| {
                sct.promises()
                    .iter()
                    .map(|(log, time)| json!({ "log": log, "time": time.rfc3339() }))
                    .collect()
            });
            (
                Value::from(evidence.chain().authority()),
                Value::from(promises),
            )
        }
        SignerEvidence::Key(_) => (Value::Null, Value::Null),
    };
    let statement = bundle.signature().statement();
    // What all subjects that are the artifact agree about; usually there is one.
    let mut annotations = bundle.annotations().first().cloned().unwrap_or_default();
    annotations.retain(|key, value| {
        let mut subjects = bundle.annotations().iter();
        subjects.all(|subject| subject.get(key) == Some(value))
    });
    let waived: Vec<&str> = bundle
        .waivers()
        .into_iter()
        .map(|waiver| waiver.name())
        .collect();
    json!({
        "signer": signer,
        "waived": waived,
        "predicateType": statement.map(|statement| statement.predicate_type.as_str()),
        "annotations": annotations,
        "subjectAnnotations": bundle.annotations(),
        "logEntries": entries,
        "timestamps": timestamps,
        "observedTimes": times,
        "certificateAuthority": authority,
        "signedCertificateTimestamps": sct,
        "checks": null,
    })
}

fn with(mut value: Value, members: &[(&str, Value)]) -> Value {
    for (name, member) in members {
        value[*name] = member.clone();
    }
    value
}

/// The document of `keyless verify`.
pub fn verify_images(
    verdicts: &[ImageVerdict],
    exit: Exit,
    summary: &Summary,
    named: &NamedImages,
    accepting: impl Fn(&ImageVerdict) -> Option<String>,
) -> Value {
    let images: Vec<Value> = verdicts
        .iter()
        .map(|verdict| {
            let accepting = accepting(verdict);
            with(
                image_verdict(verdict),
                &[
                    ("namedIn", named_in(&verdict.given, named)),
                    ("acceptingCommand", accepting.into()),
                ],
            )
        })
        .collect();
    let members = [("images", images.into()), ("summary", summary.json())];
    head("verify", exit, members)
}

/// Where a file names an image; null for one that is an argument, or was found in an index.
fn named_in(given: &str, named: &NamedImages) -> Value {
    named.origin(given).map_or(
        Value::Null,
        |origin| json!({ "file": origin.file, "line": origin.line, "place": origin.place }),
    )
}

/// The checks that were made; null where nobody asked to be told.
pub fn checks(explanation: Option<&Explanation>) -> Value {
    explanation.map_or(Value::Null, super::explain::json)
}

fn image_verdict(verdict: &ImageVerdict) -> Value {
    let signatures: Vec<Value> = verdict
        .accepted
        .iter()
        .map(|accepted| {
            with(
                verified(&accepted.verified),
                &[
                    (
                        "manifestDigest",
                        accepted.manifest.map(|digest| digest.to_string()).into(),
                    ),
                    ("bundleDigest", accepted.bundle.to_string().into()),
                    ("form", accepted.form.name().into()),
                    ("checks", checks(accepted.explanation.as_ref())),
                    ("rules", policy::judgements_json(&accepted.rules)),
                ],
            )
        })
        .collect();
    let refused: Vec<Value> = verdict
        .refused
        .iter()
        .map(|refused| {
            let mut reason = match &refused.reason {
                Refusal::Verify(reason) => error(reason),
                Refusal::Find(reason) => error(reason),
                Refusal::OtherRule(reason) => error(reason),
            };
            // Nobody is told to trust a stranger where somebody nearer has signed.
            let is_nearest = verdict
                .refused
                .iter()
                .all(|other| other.near <= refused.near);
            if let (Refusal::Verify(_), false) = (&refused.reason, is_nearest) {
                reason["hint"] = Value::Null;
            }
            json!({
                "manifestDigest": refused.manifest.to_string(),
                "form": refused.form.name(),
                "reason": reason,
                "checks": checks(refused.explanation.as_ref()),
                "rules": policy::judgements_json(&refused.rules),
            })
        })
        .collect();
    json!({
        "image": verdict.given,
        "reference": verdict.image.as_ref().map(ToString::to_string),
        "digest": verdict.image.as_ref().map(|image| image.digest().to_string()),
        "listedBy": verdict.listed_by.as_ref().map(|listing| json!({
            "index": listing.index.to_string(),
            "platform": listing.platform.as_ref().map(ToString::to_string),
            "isEnough": listing.is_enough,
        })),
        "result": result(verdict.exit()),
        "exitCode": verdict.exit().code(),
        "signatures": signatures,
        "refused": refused,
        "rules": policy::verdicts_json(&verdict.rules),
        "error": verdict.error.as_ref().map(|found| error(found)),
    })
}

fn attached(attached: &Attached) -> Value {
    match attached {
        Attached::ByApi => json!({ "by": "referrers-api" }),
        Attached::ByFallbackTag(written) => {
            json!({ "by": "fallback-tag", "settled": written.settled, "writes": written.writes })
        }
        Attached::UnderTag(_, written) => {
            json!({ "by": "legacy-tag", "settled": written.settled, "writes": written.writes })
        }
    }
}

/// The document of `keyless sign` and `keyless attest`.
pub fn sign_images(
    command: &str,
    images: &[SignedImage],
    exit: Exit,
    summary: &Summary,
    named: &NamedImages,
) -> Value {
    let images: Vec<Value> = images
        .iter()
        .map(|signed| {
            let (how, failure) = match &signed.attached {
                Ok(how) => (how.as_ref().map(attached), None),
                Err(failure) => (None, Some(error(failure))),
            };
            json!({
                "image": signed.image.given,
                "reference": signed.image.image.to_string(),
                "digest": signed.image.image.digest().to_string(),
                "namedIn": named_in(&signed.image.given, named),
                "bundleDigest": crate::crypto::Digest::sha256(signed.bundle.json.as_bytes()).to_string(),
                "signature": verified(&signed.bundle.verified),
                "attached": how,
                "error": failure,
            })
        })
        .collect();
    let members = [("images", images.into()), ("summary", summary.json())];
    head(command, exit, members)
}

/// The document of `keyless sign-blob`.
pub fn sign_blobs(blobs: &[SignedBlob]) -> Value {
    let blobs: Vec<Value> = blobs
        .iter()
        .map(|blob| {
            json!({
                "blob": blob.source.to_string(),
                "digest": blob.digest.to_string(),
                "bundle": blob.path.display().to_string(),
                "signature": verified(&blob.bundle.verified),
            })
        })
        .collect();
    head("sign-blob", Exit::Accepted, [("blobs", blobs.into())])
}

/// The document of `keyless verify-blob`.
pub fn verify_blob(blob: &str, verdict: &VerifiedBlob, explanation: Option<&Explanation>) -> Value {
    let found = verified_blob(blob, verdict, explanation);
    let members = [
        ("blobs", vec![found].into()),
        ("rules", policy::verdicts_json(&[])),
        ("refused", Vec::<Value>::new().into()),
    ];
    head("verify-blob", Exit::Accepted, members)
}

/// A file that is accepted, as JSON.
pub(super) fn verified_blob(
    blob: &str,
    verdict: &VerifiedBlob,
    explanation: Option<&Explanation>,
) -> Value {
    let digests: Vec<String> = verdict.digests.iter().map(ToString::to_string).collect();
    json!({
        "blob": blob,
        "digests": digests,
        "bundle": verdict.bundle_path.display().to_string(),
        "bundleDigest": verdict.bundle.to_string(),
        "signature": with(
            verified(&verdict.verified),
            &[("checks", checks(explanation))],
        ),
        "rules": policy::judgements_json(&[]),
    })
}

/// The document of `keyless attach bundle`.
pub fn attach_bundle(bundles: &[AttachedBundle]) -> Value {
    let bundles: Vec<Value> = bundles
        .iter()
        .map(|bundle| {
            json!({
                "reference": bundle.image.to_string(),
                "digest": bundle.image.digest().to_string(),
                "bundleDigest": bundle.bundle.to_string(),
                "signature": verified(&bundle.verified),
                "attached": attached(&bundle.attached),
            })
        })
        .collect();
    head(
        "attach bundle",
        Exit::Accepted,
        [("bundles", bundles.into())],
    )
}
