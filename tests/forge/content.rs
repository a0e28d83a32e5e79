//! What was signed: the signature, the artifact, the statement and its annotations, and who signed.

use std::collections::BTreeMap;

use keyless::crypto::Digest;
use keyless::format::bundle::{Content, KeyMaterial};
use keyless::verify::{Artifact, ExpectedContent, VerifyError};

use crate::Change::{Forge as Before, Scene as After};
use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Scene, Signed, statement};
use crate::{Case, PASSES, judge};

fn flip_signature(scene: &mut Scene) {
    let signature = match &mut scene.bundle.content {
        Content::MessageSignature { signature, .. } | Content::SimpleSigning { signature, .. } => {
            signature
        }
        Content::DsseEnvelope(envelope) => &mut envelope.signature,
    };
    *signature.last_mut().unwrap() ^= 1;
}

fn ask_about_another(scene: &mut Scene) {
    scene.artifact = Artifact::from_digest(Digest::sha256(b"image B"));
}

/// Subjects with their annotations.
fn subjects(forge: &mut Forge, subjects: &[(&[u8], &str)]) {
    forge.set_payload(statement(COSIGN_SIGN, subjects));
}

/// An envelope whose subject is the artifact, asked for with an annotation that it carries.
fn annotated() -> Forge {
    Forge::envelope2()
}

#[test]
fn signature_and_artifact() {
    judge(&[
        Case(
            "signature-flipped",
            Forge::blob2,
            After(flip_signature),
            "signature-invalid",
        ),
        Case(
            "envelope-signature-flipped",
            Forge::envelope2,
            After(flip_signature),
            "signature-invalid",
        ),
        Case(
            "signature-by-another-key",
            Forge::blob2,
            Before(|forge| forge.key = forge.stranger.clone()),
            "signature-invalid",
        ),
        Case(
            "artifact-of-another-digest",
            Forge::blob2,
            After(ask_about_another),
            "artifact-mismatch",
        ),
        Case(
            "artifact-of-another-digest-without-hint",
            Forge::unhinted2,
            After(ask_about_another),
            "signature-invalid",
        ),
        Case(
            "hint-of-another-digest",
            Forge::blob2,
            After(|scene| {
                if let Content::MessageSignature { digest, .. } = &mut scene.bundle.content {
                    *digest = Some(Digest::sha256(b"image B"));
                }
            }),
            "artifact-mismatch",
        ),
        Case(
            "only-a-digest-that-was-not-signed",
            Forge::blob2,
            After(|scene| {
                let digest = keyless::crypto::HashAlgorithm::Sha512.digest(ARTIFACT);
                scene.artifact = Artifact::from_digest(digest);
            }),
            "digest-needed",
        ),
        Case(
            "envelope-of-another-image",
            Forge::envelope2,
            After(ask_about_another),
            "artifact-mismatch",
        ),
        Case(
            "envelope-of-another-image-v1",
            Forge::envelope1,
            After(ask_about_another),
            "artifact-mismatch",
        ),
        Case(
            "statement-without-subject",
            Forge::envelope2,
            Before(|forge| subjects(forge, &[])),
            "artifact-mismatch",
        ),
        Case(
            "subject-without-a-name",
            Forge::envelope2,
            Before(|forge| {
                let payload = statement(COSIGN_SIGN, &[(ARTIFACT, "{}")]);
                let payload = String::from_utf8(payload).unwrap();
                let nameless = payload.replace(r#""name":"image","#, "");
                assert_ne!(nameless, payload);
                forge.set_payload(nameless.into_bytes());
            }),
            PASSES,
        ),
        Case(
            "payload-type-not-in-toto",
            Forge::envelope2,
            Before(|forge| {
                if let Signed::Envelope { payload_type, .. } = &mut forge.signed {
                    *payload_type = "application/vnd.example+json".to_owned();
                }
            }),
            "payload-type",
        ),
        Case(
            "payload-type-not-in-toto-v1",
            Forge::envelope1,
            Before(|forge| {
                if let Signed::Envelope { payload_type, .. } = &mut forge.signed {
                    *payload_type = "application/vnd.example+json".to_owned();
                }
            }),
            "payload-type",
        ),
        Case(
            "payload-type-changed-after-signing",
            Forge::envelope2,
            After(|scene| {
                if let Content::DsseEnvelope(envelope) = &mut scene.bundle.content {
                    envelope.payload_type.push(' ');
                }
            }),
            "signature-invalid",
        ),
    ]);
}

#[test]
fn predicate_and_annotations() {
    judge(&[
        Case(
            "attestation-for-a-signature",
            Forge::envelope2,
            Before(|forge| {
                let payload = statement("https://slsa.dev/provenance/v1", &[(ARTIFACT, "{}")]);
                forge.set_payload(payload);
            }),
            "not-a-signature",
        ),
        Case(
            "annotation-carried",
            annotated,
            After(|scene| scene.ask("env", "prod")),
            PASSES,
        ),
        Case(
            "annotation-missing",
            annotated,
            After(|scene| scene.ask("team", "a")),
            "annotation-mismatch",
        ),
        Case(
            "annotation-of-another-value",
            annotated,
            After(|scene| scene.ask("env", "test")),
            "annotation-mismatch",
        ),
        Case(
            "blob-signature-for-an-images",
            Forge::blob2,
            After(|scene| scene.ask("env", "prod")),
            "not-a-signature",
        ),
        Case(
            "blob-signature-for-an-images-without-annotations",
            Forge::blob2,
            After(|scene| {
                let annotations = BTreeMap::new();
                scene.content = ExpectedContent::Signature { annotations };
            }),
            "not-a-signature",
        ),
        Case(
            "image-signature-for-a-files",
            Forge::envelope2,
            After(|scene| scene.content = ExpectedContent::ArtifactSignature),
            "not-a-signature",
        ),
        Case(
            "annotation-not-asked-for",
            annotated,
            After(|scene| scene.content = ExpectedContent::Any),
            PASSES,
        ),
    ]);
}

/// Annotations asked for beside a payload: [`judge`] changes one thing, this case needs the question too.
fn code_for(payload: &[(&[u8], &str)], asked: &[(&str, &str)]) -> &'static str {
    use keyless::diagnostic::Diagnostic as _;
    let mut forge = Forge::envelope2();
    subjects(&mut forge, payload);
    let mut scene = forge.make();
    let annotations = asked
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    scene.content = ExpectedContent::Signature { annotations };
    scene.verify().map_or_else(|error| error.code(), |_| PASSES)
}

#[test]
fn annotations_count_on_the_artifact_alone() {
    let other: &[u8] = b"image B";
    let env = r#"{"env":"prod"}"#;
    let asked = [("env", "prod")];
    assert_eq!(code_for(&[(ARTIFACT, env)], &asked), PASSES);
    assert_eq!(
        code_for(&[(other, "{}"), (ARTIFACT, env)], &asked),
        PASSES,
        "beside a foreign subject"
    );
    assert_eq!(
        code_for(&[(other, env), (ARTIFACT, "{}")], &asked),
        "annotation-mismatch",
        "on a foreign subject"
    );
    assert_eq!(
        code_for(&[(ARTIFACT, r#"{"env":{"prod":"prod"}}"#)], &asked),
        "annotation-mismatch",
        "not a string"
    );
}

#[test]
fn annotations_count_together() {
    let asked = [("env", "prod"), ("team", "a")];
    let both = r#"{"env":"prod","team":"a"}"#;
    assert_eq!(code_for(&[(ARTIFACT, both)], &asked), PASSES);
    assert_eq!(
        code_for(&[(ARTIFACT, "{}"), (ARTIFACT, both)], &asked),
        PASSES,
        "all on the second subject"
    );
    assert_eq!(
        code_for(
            &[
                (ARTIFACT, r#"{"env":"prod"}"#),
                (ARTIFACT, r#"{"team":"a"}"#)
            ],
            &asked
        ),
        "annotation-mismatch",
        "spread over two subjects of the same digest"
    );
}

#[test]
fn key_or_certificate() {
    judge(&[
        Case(
            "key-where-an-identity-is-asked-for",
            Forge::key1,
            After(|scene| scene.expected_key = None),
            "no-certificate",
        ),
        Case(
            "certificate-where-a-key-is-asked-for",
            Forge::blob1,
            After(|scene| scene.expected_key = Some(scene.key.clone())),
            "certificate-not-key",
        ),
        Case(
            "another-key-asked-for",
            Forge::key1,
            After(|scene| scene.expected_key = Some(scene.trust.logs[0].public_key.clone())),
            "signature-invalid",
        ),
        Case(
            "key-hint-of-another-key",
            Forge::key1,
            After(|scene| {
                scene.bundle.key_material = KeyMaterial::PublicKey {
                    hint: "another".to_owned(),
                }
            }),
            PASSES,
        ),
        Case(
            "key-without-entry",
            Forge::key1,
            After(|scene| scene.bundle.log_entries.clear()),
            "log-unknown",
        ),
    ]);
}

/// The refusal names the first annotation that no subject carries.
#[test]
fn the_annotation_that_is_missing_is_named() {
    let mut forge = Forge::envelope2();
    let carried = r#"{"a":"1","c":"other"}"#;
    subjects(&mut forge, &[(ARTIFACT, carried), (ARTIFACT, "{}")]);
    let mut scene = forge.make();
    let asked = [("a", "1"), ("c", "3"), ("d", "4")];
    let annotations = asked.map(|(key, value)| (key.to_owned(), value.to_owned()));
    scene.content = ExpectedContent::Signature {
        annotations: annotations.into(),
    };
    let Err(VerifyError::AnnotationMismatch {
        key,
        expected,
        found,
    }) = scene.verify()
    else {
        panic!("it is refused");
    };
    assert_eq!((key.as_str(), expected.as_str()), ("c", "3"));
    assert_eq!(found.as_deref(), Some("other"));
}
