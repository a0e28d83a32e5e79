//! What refusals show of text that is not ours: enough to know it by, and never more than a line or two of it.

use std::fmt::Debug;

use keyless::crypto::Digest;
use keyless::format::bundle::Bundle;
use keyless::format::legacy::SimpleSigning;
use keyless::format::log_entry::LogBody;
use keyless::format::oci::{Document, check_layout_marker};
use keyless::format::predicate::type_uri;
use keyless::format::statement::Statement;
use keyless::trust::{SigningConfig, TrustedRoot};
use keyless::verify::glob::Glob;
use keyless::verify::{PredicateChecks, VerifyError, verify};
use serde_json::{Value, json};

use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Signed, statement};

/// The longest run of `x` in what is told of a refusal.
fn shown<T>(result: Result<T, impl Debug>) -> usize {
    let told = result.map(|_| ()).unwrap_err();
    let told = format!("{told:?}");
    told.split(|c| c != 'x')
        .map(str::len)
        .max()
        .unwrap_or_default()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

#[test]
fn foreign_text_is_cut() {
    let long = "x".repeat(5000);
    let payload = json!({
        "critical": {
            "identity": {},
            "image": { "docker-manifest-digest": Digest::sha256(b"").to_string() },
            "type": long,
        },
    });
    let body = |kind: &str, version: &str| {
        bytes(&json!({ "apiVersion": version, "kind": kind, "spec": {} }))
    };
    let media_type = bytes(&json!({ "mediaType": long, "manifests": [] }));
    let other_statement =
        json!({ "_type": long, "subject": [], "predicateType": "a:b", "predicate": {} });
    for (what, found, most) in [
        ("digest", shown(long.parse::<Digest>()), 160),
        ("bundle", shown(Bundle::parse(&media_type)), 120),
        (
            "payload",
            shown(SimpleSigning::parse(&bytes(&payload))),
            120,
        ),
        (
            "entry",
            shown(LogBody::parse(&long, "1", &body("a", "1"))),
            60,
        ),
        (
            "kind of entry",
            shown(LogBody::parse(&long, "1", &body(&long, "1"))),
            60,
        ),
        (
            "version of entry",
            shown(LogBody::parse("a", &long, &body("a", &long))),
            60,
        ),
        ("index", shown(Document::parse(&media_type)), 160),
        (
            "layout",
            shown(check_layout_marker(&bytes(
                &json!({ "imageLayoutVersion": long }),
            ))),
            40,
        ),
        ("predicate type", shown(type_uri(&long)), 200),
        (
            "statement",
            shown(Statement::parse(&bytes(&other_statement))),
            120,
        ),
        (
            "signing config",
            shown(SigningConfig::parse(&media_type)),
            120,
        ),
        ("trusted root", shown(TrustedRoot::parse(&media_type)), 120),
        ("pattern", shown(Glob::file(&format!("{long}?"))), 200),
    ] {
        assert_eq!(found, most, "{what}");
    }
}

#[test]
fn what_was_signed_is_cut() {
    let long = "x".repeat(5000);
    let mut forge = Forge::envelope2();
    if let Signed::Envelope { payload_type, .. } = &mut forge.signed {
        *payload_type = long.clone();
    }
    assert_eq!(shown(forge.make().verify()), 120, "payload type");

    let mut forge = Forge::envelope2();
    forge.set_payload(statement(&long, &[(ARTIFACT, "{}")]));
    assert_eq!(shown(forge.make().verify()), 200, "predicate type");

    let mut forge = Forge::envelope2();
    let others: Vec<Vec<u8>> = (0..20).map(|i: u8| vec![i]).collect();
    let others: Vec<(&[u8], &str)> = others.iter().map(|other| (&other[..], "{}")).collect();
    forge.set_payload(statement(COSIGN_SIGN, &others));
    let refused = forge.make().verify();
    let Err(VerifyError::ArtifactMismatch { found, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found.len(), 8, "subjects");

    let mut forge = Forge::envelope2();
    let text = String::from_utf8(statement(COSIGN_SIGN, &[(ARTIFACT, "{}")])).unwrap();
    let predicate = format!(r#""predicate":{{"a":"{long}"}}"#);
    forge.set_payload(text.replace(r#""predicate":{}"#, &predicate).into_bytes());
    let scene = forge.make();
    let policy = scene.policy().with_predicate_checks(PredicateChecks {
        requirements: vec!["a=b".parse().unwrap()],
        ..PredicateChecks::default()
    });
    let refused = verify(&scene.bundle, &scene.artifact, &scene.trust, &policy);
    // With the quote before it.
    assert_eq!(shown(refused), 199, "value in the predicate");
}
