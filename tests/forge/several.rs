//! Several of one kind: entries, logs, authorities, periods. What is right of one is not spoilt by another.

use keyless::crypto::{Certificate, UnixTime};
use keyless::diagnostic::Diagnostic as _;
use keyless::verify::chain::verify_chain_at;
use keyless::verify::{ExpectedContent, Verifier, Waiver};
use serde_json::json;

use crate::Change::Scene as After;
use crate::certificate::key_identifier;
use crate::forge::{COSIGN_SIGN, Forge, LONG_AGO, NOW, Scene};
use crate::key::Key;
use crate::log::{Log, Rekor};
use crate::{Case, PASSES, judge};

fn code(scene: &Scene) -> &'static str {
    scene.verify().map_or_else(|error| error.code(), |_| PASSES)
}

#[test]
fn two_leaves_of_one_log_are_two_entries() {
    let mut forge = Forge::envelope1();
    let mut second = forge.entries[0].clone();
    second.place += 1;
    second.edit = |body| body["spec"]["envelopeHash"]["value"] = json!("00".repeat(32));
    forge.entries.push(second);
    let verdict = forge.make().verify().unwrap();
    assert_eq!(verdict.entries().len(), 2);
    forge.entries[1].edit = |_| {};
    assert_eq!(code(&forge.make()), "log-entry-repeated");
}

#[test]
fn one_leaf_in_two_logs_is_two_entries() {
    let mut forge = Forge::blob2();
    let other = Log {
        rekor: Rekor::V2,
        name: "rekor3.test",
        key: Key::ed25519(),
    };
    let mut second = forge.entries[0].clone();
    second.log = other.clone();
    second.checkpoint.origin = other.name.to_owned();
    second.checkpoint.name = other.name.to_owned();
    second.checkpoint.signer = other.key.clone();
    forge.entries.push(second);
    let mut scene = forge.make();
    scene.trust.logs.push(other.instance(LONG_AGO));
    let verdict = scene.verify().unwrap();
    let urls: Vec<_> = verdict
        .entries()
        .iter()
        .map(|entry| entry.log_url())
        .collect();
    assert_eq!(urls, ["https://rekor2.test", "https://rekor3.test"]);
}

#[test]
fn a_log_that_promised_need_not_be_trusted_later() {
    judge(&[
        Case(
            "log-ended-between-its-promise-and-the-timestamp",
            Forge::stamped1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 1);
                scene.trust.logs[0].valid_for.end = Some(end);
            }),
            PASSES,
        ),
        Case(
            "log-without-promise-ended-before-the-timestamp",
            Forge::unpromised1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 1);
                scene.trust.logs[0].valid_for.end = Some(end);
            }),
            "log-key-not-valid-at",
        ),
    ]);
}

/// A fault on the right path says more than that another authority has none.
#[test]
fn the_authority_on_the_path_is_the_one_that_is_told() {
    let mut forge = Forge::blob1();
    forge.intermediate.basic_constraints = None;
    let mut scene = forge.make();
    let other = Forge::blob1()
        .make()
        .trust
        .certificate_authorities
        .remove(0);
    scene.trust.certificate_authorities.push(other);
    assert_eq!(code(&scene), "certificate-authority-invalid");
    scene.trust.certificate_authorities.swap(0, 1);
    assert_eq!(code(&scene), "certificate-authority-invalid");
    scene.trust.certificate_authorities.truncate(1);
    assert_eq!(code(&scene), "certificate-untrusted");
}

#[test]
fn a_path_without_a_time_is_none() {
    let forge = Forge::blob1();
    let scene = forge.make();
    let verifier = Verifier::new(&scene.trust);
    let leaf = forge.leaf.issue();
    let refused = verify_chain_at(&leaf, &[], &verifier).unwrap_err();
    assert_eq!(refused.code(), "no-trusted-time");
    let now = [UnixTime::from_seconds(NOW)];
    assert!(verify_chain_at(&leaf, &now, &verifier).is_ok());
}

/// Whoever is named by the identifier of a key is nobody without that extension.
#[test]
fn an_authority_without_key_identifier_is_not_named_by_one() {
    let mut forge = Forge::blob2();
    let named = crate::asn1::octets(&key_identifier(forge.tsa.subject));
    forge.tokens[0].identifier = Some([&[0x80], &named[1..]].concat());
    let mut scene = forge.make();
    assert_eq!(code(&scene), PASSES);
    let mut tbs = forge.tsa.tbs(None);
    let oid = [0x06, 3, 0x55, 0x1d, 14];
    let at = tbs.windows(5).position(|window| window == oid).unwrap();
    tbs[at + 4] = 13;
    let unnamed = Certificate::from_der(&forge.tsa.signed(tbs)).unwrap();
    scene.trust.timestamp_authorities[0].leaf = unnamed;
    assert_eq!(code(&scene), "no-trusted-time");
}

fn attestation(scene: &mut Scene) {
    scene.content = ExpectedContent::Attestation {
        predicate_type: COSIGN_SIGN.into(),
    };
}

#[test]
fn attestations_by_their_predicate_type() {
    judge(&[
        Case(
            "predicate-type-asked-for",
            Forge::envelope2,
            After(attestation),
            PASSES,
        ),
        Case(
            "file-where-an-attestation-is-asked-for",
            Forge::blob2,
            After(attestation),
            "not-an-attestation",
        ),
    ]);
    let mut scene = Forge::envelope2().make();
    scene.content = ExpectedContent::Attestation {
        predicate_type: "https://slsa.dev/provenance/v1".into(),
    };
    assert_eq!(code(&scene), "not-an-attestation");
}

#[test]
fn waivers_have_names_of_their_own() {
    for (waiver, name, flag, meaning) in [
        (
            Waiver::TransparencyLog,
            "transparency-log",
            "--insecure-ignore-tlog",
            "transparency log not checked",
        ),
        (
            Waiver::SignedCertificateTimestamp,
            "signed-certificate-timestamp",
            "--insecure-ignore-sct",
            "certificate transparency not checked",
        ),
    ] {
        assert_eq!(
            (waiver.name(), waiver.flag(), waiver.meaning()),
            (name, flag, meaning)
        );
    }
}
