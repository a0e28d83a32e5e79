//! The JSON document of `keyless inspect`.

use serde_json::{Map, Value, json};

use super::{claimed_times, flags, notice};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::inspect::bundle::{
    BodyFacts, BundleFacts, ContentFacts, EntryFacts, KeyFacts, ProofFacts, StatementFacts,
    TimestampFacts,
};
use crate::flow::inspect::certificate::CertificateFacts;
use crate::flow::inspect::part::{List, Part, cut};
use crate::flow::inspect::{Inspected, Shown};
use crate::output::document::{error, head};

/// Returns the document: one item for each argument.
pub fn document(inspected: &[Inspected], exit: Exit) -> Value {
    let mut document = head(
        "inspect",
        exit,
        [
            ("verified", false.into()),
            ("notice", notice(inspected).into()),
            ("inspected", inspected.iter().map(one).collect()),
        ],
    );
    if exit == Exit::Accepted {
        // Elsewhere this word is a verdict, and here is none.
        document["result"] = "shown".into();
    }
    document
}

/// What is not readable is an object with nothing but an `error`.
fn part<T>(part: &Part<T>, show: impl FnOnce(&T) -> Value) -> Value {
    match part {
        Ok(facts) => show(facts),
        Err(error) => json!({ "error": error }),
    }
}

fn list<T>(list: &List<T>, show: impl Fn(&T) -> Value) -> Value {
    let items: Vec<Value> = list.items.iter().map(show).collect();
    json!({ "total": list.total, "items": items })
}

fn one(inspected: &Inspected) -> Value {
    let (mut bundles, mut certificates) = (Value::Null, Value::Null);
    let (mut image, mut others, mut list_error) = (None, Value::Null, None);
    let kind = match &inspected.shown {
        Shown::Nothing => None,
        Shown::Bundles(found) => {
            bundles = found.iter().map(|b| part(b, bundle)).collect();
            Some("bundle")
        }
        Shown::Certificates(found) => {
            certificates = found.iter().map(|c| part(c, certificate)).collect();
            Some("certificate")
        }
        Shown::Image(facts) => {
            image = Some(&facts.image);
            list_error = facts.cut.as_ref().map(|cut| error(cut));
            bundles = facts
                .bundles
                .iter()
                .map(|(manifest, facts)| {
                    let mut value = bundle(facts);
                    value["manifestDigest"] = manifest.to_string().into();
                    value
                })
                .collect();
            others = facts
                .others
                .iter()
                .map(|(manifest, reason)| {
                    json!({ "manifestDigest": manifest.to_string(), "reason": error(reason) })
                })
                .collect();
            Some("image")
        }
    };
    json!({
        "argument": inspected.argument,
        "kind": kind,
        "reference": image.map(ToString::to_string),
        "digest": image.map(|image| image.digest().to_string()),
        "bundles": bundles,
        "certificates": certificates,
        "others": others,
        "listCut": list_error,
        "exitCode": inspected.exit().code(),
        "error": inspected.error.as_ref().map(|found| error(found as &dyn Diagnostic)),
    })
}

fn bundle(facts: &BundleFacts) -> Value {
    let (mut leaf, mut hint) = (Value::Null, Value::Null);
    match &facts.key {
        KeyFacts::Certificate(found) => leaf = certificate(found),
        KeyFacts::Hint(found) => hint = found.as_str().into(),
    }
    let times: Vec<Value> = claimed_times(facts)
        .into_iter()
        .map(|(time, source)| json!({ "time": time, "source": source }))
        .collect();
    let timestamps: Vec<Value> = facts
        .timestamps
        .iter()
        .map(|stamp| part(stamp, timestamp))
        .collect();
    json!({
        "bundleVersion": facts.version,
        "bundleDigest": facts.digest.to_string(),
        "claimedTimes": times,
        "certificate": leaf,
        "publicKeyHint": hint,
        "content": content(&facts.content),
        "logEntries": facts.entries.iter().map(entry).collect::<Vec<_>>(),
        "timestamps": timestamps,
    })
}

fn certificate(facts: &CertificateFacts) -> Value {
    let claims: Map<String, Value> = facts
        .claims
        .iter()
        .map(|(name, value)| {
            let value = part(value, |text| text.as_str().into());
            ((*name).to_owned(), value)
        })
        .collect();
    let signer = part(&facts.signer, |signer| {
        json!({
            "identity": cut(&signer.identity),
            "issuer": cut(&signer.issuer),
            "acceptWith": flags(signer),
        })
    });
    json!({
        "signer": signer,
        "claims": claims,
        "subject": facts.subject,
        "issuer": facts.issuer,
        "subjectAlternativeNames": part(&facts.names, |names| {
            list(names, |(kind, value)| json!({ "kind": kind, "value": value }))
        }),
        "serial": facts.serial,
        "notBefore": facts.validity.start.rfc3339(),
        "notAfter": facts.validity.end.map(|end| end.rfc3339()),
        "key": facts.key,
        "keyFingerprint": facts.key_fingerprint.to_string(),
        "isCertificateAuthority": facts.is_ca,
        "keyUsage": facts.key_usage,
        "extendedKeyUsage": list(&facts.extended_key_usage, |usage| usage.as_str().into()),
        "subjectKeyId": facts.subject_key_id,
        "authorityKeyId": facts.authority_key_id,
        "signedCertificateTimestamps": part(&facts.scts, |scts| {
            let scts = scts.iter();
            scts.map(|sct| json!({ "time": sct.time.rfc3339(), "logId": sct.log_id })).collect()
        }),
        "otherExtensions": list(&facts.other_extensions, |extension| {
            json!({
                "oid": extension.oid,
                "critical": extension.critical,
                "length": extension.len,
            })
        }),
        "fingerprint": facts.fingerprint.to_string(),
    })
}

fn content(facts: &ContentFacts) -> Value {
    match facts {
        ContentFacts::Message { digest, signature } => json!({
            "kind": "message-signature",
            "messageDigest": digest.map(|digest| digest.to_string()),
            "signatureDigest": signature.to_string(),
        }),
        ContentFacts::Envelope {
            payload_type,
            payload_len,
            payload,
            keyid,
            statement: found,
            signature,
        } => json!({
            "kind": "dsse-envelope",
            "payloadType": payload_type,
            "payloadLength": payload_len,
            "payloadDigest": payload.to_string(),
            "keyid": keyid,
            "statement": found.as_ref().map(|found| part(found, statement)),
            "signatureDigest": signature.to_string(),
        }),
    }
}

fn statement(facts: &StatementFacts) -> Value {
    json!({
        "predicateType": facts.predicate_type,
        "subjects": list(&facts.subjects, |subject| {
            let digests: Vec<String> = subject.digests.iter().map(ToString::to_string).collect();
            json!({
                "name": subject.name,
                "digests": digests,
                "annotations": list(&subject.annotations, |(name, value)| {
                    json!({ "name": name, "value": value })
                }),
            })
        }),
    })
}

fn entry(facts: &EntryFacts) -> Value {
    json!({
        "kind": facts.kind,
        "logId": facts.log_id,
        "logIndex": facts.index,
        "integratedTime": facts.time.map(|time| time.rfc3339()),
        "hasInclusionPromise": facts.promised,
        "inclusionProof": facts.proof.as_ref().map(proof),
        "body": part(&facts.body, body),
    })
}

fn proof(facts: &ProofFacts) -> Value {
    json!({
        "logIndex": facts.index,
        "treeSize": facts.tree_size,
        "hashes": facts.hashes,
        "checkpoint": part(&facts.checkpoint, |checkpoint| json!({
            "origin": checkpoint.origin,
            "treeSize": checkpoint.tree_size,
            "signers": list(&checkpoint.signers, |name| name.as_str().into()),
        })),
    })
}

fn body(facts: &BodyFacts) -> Value {
    json!({
        "digestOf": facts.what,
        "digest": facts.digest.to_string(),
        "verifier": facts.verifier,
        "verifierFingerprint": facts.verifier_fingerprint.to_string(),
        "signatureDigest": facts.signature.map(|digest| digest.to_string()),
    })
}

fn timestamp(facts: &TimestampFacts) -> Value {
    let accuracy = facts.accuracy.as_ref();
    json!({
        "time": facts.time.rfc3339(),
        "imprint": facts.imprint.to_string(),
        "signer": facts.signer,
        "serial": facts.serial,
        "policy": part(&facts.policy, |policy| policy.as_str().into()),
        "accuracyMicroseconds": accuracy.map(|found| part(found, |micros| (*micros).into())),
        "certificates": facts.certificates,
    })
}
