//! What verdicts tell with `--explain`, whole, beside what is written in `explain/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use keyless::crypto::{Digest, UnixTime};
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::Content;
use keyless::verify::explain::{Check, Outcome};
use keyless::verify::policy::{ClaimMatcher, ValueMatcher};
use keyless::verify::{ExpectedContent, VerifyError, Waiver};

use crate::PASSES;
use crate::asn1::utf8;
use crate::certificate::Sct;
use crate::forge::{Forge, NOW, Scene};
use crate::key::Key;
use crate::token::Token;

fn write(check: &Check, depth: usize, text: &mut String) {
    let outcome = match &check.outcome {
        Outcome::Passed => "passed".to_owned(),
        Outcome::Refused { code, message } => format!("refused, {code}: {message}"),
        Outcome::NotCounted { code, reason } => {
            format!("not counted, {}: {reason}", code.unwrap_or("no code"))
        }
        Outcome::Waived(waiver) => format!("waived, {}", waiver.name()),
        Outcome::NotReached => "not reached".to_owned(),
    };
    let indent = "  ".repeat(depth);
    let about = check.about.as_ref().map(|about| format!(" of {about}"));
    let about = about.unwrap_or_default();
    writeln!(text, "{indent}{}{about}: {outcome}", check.step.name).unwrap();
    for (name, value) in &check.facts {
        writeln!(text, "{indent}    {name} = {value}").unwrap();
    }
    for part in &check.parts {
        write(part, depth + 1, text);
    }
}

/// Compares with a file, or writes it where `KEYLESS_BLESS=1`; what is drawn anew each time has a name there.
#[track_caller]
fn told(scene: &Scene, code: &str, name: &str) {
    let code_of = |verdict: Result<_, VerifyError>| verdict.map_or_else(|e| e.code(), |_| PASSES);
    let (verdict, explanation) = scene.explain();
    assert_eq!(code_of(verdict), code);
    assert_eq!(code_of(scene.verify()), code, "without telling");
    let mut text = String::new();
    for check in explanation.checks() {
        write(check, 0, &mut text);
    }
    for (at, entry) in scene.bundle.log_entries.iter().enumerate() {
        text = text.replace(
            &hex::encode(entry.log_id),
            &format!("<log id of entry {at}>"),
        );
    }
    for log in &scene.trust.ct_logs {
        text = text.replace(
            &hex::encode(&log.log_id),
            &format!("<id of {}>", log.base_url),
        );
    }
    for (at, digest) in scene.artifact.digests().iter().enumerate() {
        text = text.replace(
            &digest.to_string(),
            &format!("<digest {at} of the artifact>"),
        );
    }
    let fingerprint = scene.key.fingerprint().to_string();
    text = text.replace(&fingerprint, "<fingerprint of the key>");
    let signature = Digest::sha256(scene.bundle.content.signature()).to_string();
    text = text.replace(&signature, "<digest of the signature>");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/forge/explain/{name}.txt"));
    if std::env::var_os("KEYLESS_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(
        text == expected,
        "{name} differs; KEYLESS_BLESS=1 writes it anew:\n{text}"
    );
}

/// Two logs, a timestamp, promises that do not count, and a claim asked for.
#[test]
fn a_certificate() {
    let mut forge = Forge::logged_twice();
    forge.tokens = vec![Token::new(&forge.tsa.key, NOW + 2)];
    let trigger = ("1.3.6.1.4.1.57264.1.20", false, utf8("push"));
    forge.leaf.more.push(trigger);
    // Beside the one that counts: by a log that begins later, by the same log again, and by one that is no CT
    // log.
    let by = |key: &Key| Sct {
        log: key.clone(),
        signer: key.clone(),
        ..forge.scts[0].clone()
    };
    let more = [by(&forge.stranger), by(&forge.ct), by(&forge.rekor1.key)];
    forge.scts.extend(more);
    let mut scene = forge.make();
    let mut later = scene.trust.ct_logs[0].clone();
    later.base_url = "https://ct2.test".to_owned();
    later.public_key = forge.stranger.public();
    later.log_id = later.public_key.fingerprint().as_bytes().to_vec();
    later.valid_for.start = UnixTime::from_seconds(NOW);
    scene.trust.ct_logs.push(later);
    for (log, operator) in scene.trust.logs.iter_mut().zip(["one", "two"]) {
        log.operator = Some(operator.to_owned());
    }
    let value = ValueMatcher::pattern("push|tag").unwrap();
    scene.claims = vec![ClaimMatcher::new("build-trigger", value).unwrap()];
    scene.thresholds.log = scene.thresholds.log.saturating_add(1);
    told(&scene, PASSES, "certificate");
    scene.trust.ct_logs[0].public_key = forge.stranger.public();
    told(&scene, "sct-untrusted", "unpromised");
    let refused = scene.verify().unwrap_err();
    let counts = VerifyError::NoTrustedSct { found: 4, known: 3 };
    assert_eq!(refused, counts, "by how many listed logs");
}

#[test]
fn an_envelope_with_an_annotation() {
    let mut scene = Forge::envelope2().make();
    scene.ask("env", "prod");
    told(&scene, PASSES, "envelope");
}

#[test]
fn a_key_without_a_time() {
    let scene = Forge::timeless_key2().make();
    told(&scene, PASSES, "key");
}

#[test]
fn waivers() {
    let mut scene = Forge::stamped1().make();
    scene.waivers = vec![Waiver::TransparencyLog, Waiver::SignedCertificateTimestamp];
    told(&scene, PASSES, "waived");
}

#[test]
fn nothing_that_is_listed() {
    let mut scene = Forge::stamped1().make();
    scene.trust.logs.remove(0);
    scene.trust.timestamp_authorities.clear();
    told(&scene, "log-unknown", "unlisted");
}

#[test]
fn a_log_of_two_periods() {
    let mut scene = Forge::blob1().make();
    let mut ended = scene.trust.logs[0].clone();
    ended.valid_for.end = Some(UnixTime::from_seconds(NOW - 1));
    scene.trust.logs.insert(0, ended);
    told(&scene, PASSES, "periods");
    scene.trust.logs.remove(1);
    told(&scene, "log-key-not-valid-at", "ended");
}

#[test]
fn a_signature_that_does_not_verify() {
    let mut scene = Forge::envelope2().make();
    if let Content::DsseEnvelope(envelope) = &mut scene.bundle.content {
        envelope.payload_type.push(' ');
    }
    told(&scene, "signature-invalid", "signature");
    let mut scene = Forge::key1().make();
    scene.bundle.log_entries.clear();
    told(&scene, "log-unknown", "key-unlogged");
}

#[test]
fn a_timestamp_that_does_not_hold() {
    let mut scene = Forge::stamped1().make();
    let mut other = scene.trust.timestamp_authorities[0].clone();
    other.uri = "https://tsa2.test".to_owned();
    other.valid_for.end = Some(UnixTime::from_seconds(NOW + 1));
    scene.trust.timestamp_authorities.insert(0, other);
    told(&scene, PASSES, "authorities");
    scene.trust.timestamp_authorities.remove(1);
    told(&scene, "timestamp-authority-not-valid-at", "timestamp");
}

#[test]
fn somebody_else() {
    let mut scene = Forge::blob1().make();
    scene.subject = ValueMatcher::exact("ci@example.test").unwrap();
    told(&scene, "identity-mismatch", "identity");
    let mut scene = Forge::envelope1().make();
    scene.content = ExpectedContent::Attestation {
        predicate_type: "https://slsa.dev/provenance/v1".into(),
    };
    told(&scene, "not-an-attestation", "content");
    scene.content = ExpectedContent::Signature {
        annotations: BTreeMap::new(),
    };
    scene.trust.ct_logs[0].valid_for.start = UnixTime::from_seconds(NOW);
    told(&scene, "sct-untrusted", "sct");
}
