//! Statements and their subjects.

use keyless::crypto::HashAlgorithm;

use crate::Change::Forge as Before;
use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Signed, statement};
use crate::key::sha256;
use crate::{Case, PASSES, judge};

/// Rewrites the text of a statement.
fn restate(forge: &mut Forge, from: &str, to: &str) {
    let Signed::Envelope { payload, .. } = &forge.signed else {
        panic!("not an envelope");
    };
    let text = String::from_utf8(payload.clone()).unwrap();
    assert!(text.contains(from), "{text}");
    forge.set_payload(text.replacen(from, to, 1).into_bytes());
}

fn with_digest(forge: &mut Forge, digest: &str) {
    let sha256 = hex::encode(sha256(ARTIFACT));
    let digest = digest.replace("GOOD", &sha256);
    restate(forge, &format!(r#""sha256":"{sha256}""#), &digest);
}

fn sha512() -> String {
    HashAlgorithm::Sha512.digest(ARTIFACT).hex()
}

#[test]
fn statements() {
    judge(&[
        Case(
            "statement-v0.1",
            Forge::envelope2,
            Before(|forge| restate(forge, "Statement/v1", "Statement/v0.1")),
            PASSES,
        ),
        Case(
            "statement-v0.2",
            Forge::envelope2,
            Before(|forge| restate(forge, "Statement/v1", "Statement/v0.2")),
            "statement-malformed",
        ),
        Case(
            "statement-without-type",
            Forge::envelope2,
            Before(|forge| {
                restate(forge, r#""_type":"https://in-toto.io/Statement/v1","#, "");
            }),
            "statement-malformed",
        ),
        Case(
            "statement-without-predicate",
            Forge::envelope2,
            Before(|forge| restate(forge, r#","predicate":{}"#, "")),
            PASSES,
        ),
        Case(
            "predicate-null",
            Forge::envelope2,
            Before(|forge| restate(forge, r#""predicate":{}"#, r#""predicate":null"#)),
            PASSES,
        ),
        Case(
            "predicate-text",
            Forge::envelope2,
            Before(|forge| restate(forge, r#""predicate":{}"#, r#""predicate":"x""#)),
            PASSES,
        ),
        Case(
            "subject-in-capitals",
            Forge::envelope2,
            Before(|forge| {
                let capitals = hex::encode_upper(sha256(ARTIFACT));
                with_digest(forge, &format!(r#""sha256":"{capitals}""#));
            }),
            PASSES,
        ),
        Case(
            "algorithm-in-capitals",
            Forge::envelope2,
            Before(|forge| with_digest(forge, r#""SHA256":"GOOD""#)),
            "artifact-mismatch",
        ),
        Case(
            "subject-by-sha512",
            Forge::envelope2,
            Before(|forge| with_digest(forge, &format!(r#""sha512":"{}""#, sha512()))),
            PASSES,
        ),
        Case(
            "subject-of-two-digests-one-wrong",
            Forge::envelope2,
            Before(|forge| {
                let wrong = "00".repeat(64);
                with_digest(forge, &format!(r#""sha256":"GOOD","sha512":"{wrong}""#));
            }),
            PASSES,
        ),
        Case(
            "subject-of-a-git-commit-too",
            Forge::envelope2,
            Before(|forge| {
                let commit = "00".repeat(20);
                with_digest(forge, &format!(r#""sha256":"GOOD","gitCommit":"{commit}""#));
            }),
            PASSES,
        ),
        Case(
            "subject-cut-short",
            Forge::envelope2,
            Before(|forge| {
                let half = hex::encode(&sha256(ARTIFACT)[..16]);
                with_digest(forge, &format!(r#""sha256":"{half}""#));
            }),
            "artifact-mismatch",
        ),
        Case(
            "second-subject",
            Forge::envelope2,
            Before(|forge| {
                let payload = statement(COSIGN_SIGN, &[(b"other", "{}"), (ARTIFACT, "{}")]);
                forge.set_payload(payload);
            }),
            PASSES,
        ),
        Case(
            "subjects-1025",
            Forge::envelope2,
            Before(|forge| {
                let payload = statement(COSIGN_SIGN, &[(ARTIFACT, "{}"); 1025]);
                forge.set_payload(payload);
            }),
            "statement-malformed",
        ),
        Case(
            "statement-with-spaces",
            Forge::envelope2,
            Before(|forge| {
                restate(forge, r#""predicate":{}}"#, "\"predicate\" : { } }\n ");
            }),
            PASSES,
        ),
        Case(
            "statement-with-more-behind",
            Forge::envelope2,
            Before(|forge| restate(forge, r#""predicate":{}}"#, r#""predicate":{}}{}"#)),
            "statement-malformed",
        ),
        Case(
            "statement-not-json",
            Forge::envelope2,
            Before(|forge| forge.set_payload(b"not JSON".to_vec())),
            "statement-malformed",
        ),
        Case(
            "statement-with-a-huge-number",
            Forge::envelope2,
            Before(|forge| restate(forge, r#""predicate":{}"#, r#""predicate":{"n":1e999}"#)),
            "statement-malformed",
        ),
    ]);
}
