//! How much evidence is asked for: thresholds over distinct operators, waivers, claims.

use std::num::NonZeroUsize;

use keyless::crypto::UnixTime;
use keyless::verify::policy::{ClaimMatcher, ValueMatcher};
use keyless::verify::{SignerEvidence, Waiver};

use crate::Change::Scene as After;
use crate::asn1::utf8;
use crate::forge::{Forge, LONG_AGO, NOW, Scene};
use crate::key::Key;
use crate::log::{Entry, Kind, Log, Rekor};
use crate::{Case, PASSES, judge};

const REPOSITORY: &str = "1.3.6.1.4.1.57264.1.12";
const TRIGGER: &str = "1.3.6.1.4.1.57264.1.2";

fn two() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(1)
}

fn two_logs(scene: &mut Scene) {
    scene.thresholds.log = two();
}

fn two_authorities(scene: &mut Scene) {
    scene.thresholds.timestamp = 2;
}

fn two_ct_logs(scene: &mut Scene) {
    scene.thresholds.sct = two();
}

/// Another authority stamps the signature too.
fn stamped_by_another(scene: &mut Scene) {
    let other = Forge::stamped1();
    let signature = scene.bundle.content.signature().to_vec();
    let tsa = other.tsa.issue();
    let token = other.tokens[0].issue(&signature, &other.tsa, &tsa);
    scene.bundle.timestamps.push(token);
    let mut authority = other.make().trust.timestamp_authorities.remove(0);
    authority.uri = "https://tsa2.test".to_owned();
    authority.leaf = tsa;
    scene.trust.timestamp_authorities.push(authority);
}

/// A second log promises to publish the certificate.
fn promised_by_another(forge: &mut Forge) {
    let mut sct = forge.scts[0].clone();
    sct.log = forge.stranger.clone();
    sct.signer = forge.stranger.clone();
    forge.scts.push(sct);
}

fn scts_of_two() -> Forge {
    let mut forge = Forge::blob1();
    promised_by_another(&mut forge);
    forge
}

/// Lists a log of the second key in [`scts_of_two`]; the key lies in the certificate's own list.
fn list_both_ct_logs(scene: &mut Scene, forge: &Forge) {
    let log = Log {
        rekor: Rekor::V1,
        name: "ct2.test",
        key: forge.stranger.clone(),
    };
    scene.trust.ct_logs.push(log.instance(LONG_AGO));
}

fn code(scene: &Scene) -> &'static str {
    use keyless::diagnostic::Diagnostic as _;
    scene.verify().map_or_else(|error| error.code(), |_| PASSES)
}

#[test]
fn logs_count_by_operator() {
    let mut scene = Forge::logged_twice().make();
    two_logs(&mut scene);
    assert_eq!(code(&scene), PASSES, "two logs that name no operator");
    for log in &mut scene.trust.logs {
        log.operator = Some("one.test".to_owned());
    }
    assert_eq!(code(&scene), "log-threshold", "two logs of one operator");
    scene.trust.logs[1].operator = Some("other.test".to_owned());
    assert_eq!(code(&scene), PASSES, "two operators");
    scene.thresholds.log = two().saturating_add(1);
    assert_eq!(code(&scene), "log-threshold");
    judge(&[Case(
        "one-log-of-two",
        Forge::blob1,
        After(two_logs),
        "log-threshold",
    )]);
}

#[test]
fn an_empty_operator_is_no_operator() {
    let mut scene = Forge::logged_twice().make();
    two_logs(&mut scene);
    for log in &mut scene.trust.logs {
        log.operator = Some(String::new());
    }
    assert_eq!(code(&scene), PASSES, "told apart by their keys");
}

#[test]
fn timestamps_count_by_operator() {
    let mut scene = Forge::stamped1().make();
    scene.thresholds.timestamp = 1;
    assert_eq!(code(&scene), PASSES);
    stamped_by_another(&mut scene);
    two_authorities(&mut scene);
    assert_eq!(code(&scene), PASSES, "two addresses");
    for authority in &mut scene.trust.timestamp_authorities {
        authority.operator = Some("one.test".to_owned());
    }
    assert_eq!(code(&scene), "timestamp-threshold", "one operator");
    judge(&[
        Case(
            "none-where-one-is-asked-for",
            Forge::blob1,
            After(|scene| scene.thresholds.timestamp = 1),
            "timestamp-threshold",
        ),
        Case(
            "one-where-two-are-asked-for",
            Forge::stamped1,
            After(two_authorities),
            "timestamp-threshold",
        ),
        Case(
            "one-authority-twice",
            Forge::stamped1,
            After(|scene| {
                let again = scene.bundle.timestamps[0].clone();
                scene.bundle.timestamps.push(again);
                two_authorities(scene);
            }),
            "timestamp-threshold",
        ),
        Case(
            "one-of-an-unlisted-authority",
            Forge::stamped1,
            After(|scene| {
                scene.trust.timestamp_authorities.clear();
                scene.thresholds.timestamp = 1;
            }),
            "timestamp-threshold",
        ),
    ]);
}

#[test]
fn scts_count_by_operator() {
    let forge = scts_of_two();
    let mut scene = forge.make();
    two_ct_logs(&mut scene);
    assert_eq!(
        code(&scene),
        "sct-threshold",
        "the second log is not listed"
    );
    list_both_ct_logs(&mut scene, &forge);
    assert_eq!(code(&scene), PASSES);
    for log in &mut scene.trust.ct_logs {
        log.operator = Some("one.test".to_owned());
    }
    assert_eq!(code(&scene), "sct-threshold", "one operator");
    judge(&[
        Case(
            "one-of-two",
            Forge::blob1,
            After(two_ct_logs),
            "sct-threshold",
        ),
        Case(
            "one-log-twice",
            || {
                let mut forge = Forge::blob1();
                forge.scts.push(forge.scts[0].clone());
                forge
            },
            After(two_ct_logs),
            "sct-threshold",
        ),
    ]);
}

#[test]
fn what_is_waived_does_not_run_and_shows() {
    // Without the log its promise vouches for no time, so a timestamp must.
    let mut scene = Forge::stamped1().make();
    scene.trust.logs.clear();
    assert_eq!(code(&scene), "log-unknown");
    scene.waivers = vec![Waiver::TransparencyLog];
    let verified = scene.verify().unwrap();
    assert_eq!(verified.waivers(), [Waiver::TransparencyLog]);
    assert!(verified.entries().is_empty());
    assert!(
        verified.times().unwrap().all().len() == 1,
        "the promise of a log that nobody checked vouches for nothing"
    );

    let mut scene = Forge::blob1().make();
    scene.waivers = vec![Waiver::TransparencyLog];
    assert_eq!(code(&scene), "no-trusted-time");

    let mut scene = Forge::blob1().make();
    scene.trust.ct_logs.clear();
    assert_eq!(code(&scene), "sct-untrusted");
    scene.waivers = vec![Waiver::SignedCertificateTimestamp];
    let verified = scene.verify().unwrap();
    assert_eq!(verified.waivers(), [Waiver::SignedCertificateTimestamp]);
    let SignerEvidence::Certificate(evidence) = verified.signer_evidence() else {
        panic!("signed with a certificate");
    };
    assert!(evidence.sct().checked().is_none());
    assert!(Forge::blob1().make().verify().unwrap().waivers().is_empty());
}

#[test]
fn a_waiver_waives_one_check() {
    let both = |scene: &mut Scene| {
        scene.waivers = vec![Waiver::TransparencyLog, Waiver::SignedCertificateTimestamp];
    };
    let mut scene = Forge::stamped1().make();
    both(&mut scene);
    assert_eq!(code(&scene), PASSES);
    scene.subject = ValueMatcher::exact("other@example.test").unwrap();
    assert_eq!(code(&scene), "identity-mismatch");

    let mut forge = Forge::stamped1();
    forge.leaf.not_after = NOW - 1;
    let mut scene = forge.make();
    both(&mut scene);
    assert_eq!(code(&scene), "certificate-not-valid-at");

    let mut scene = Forge::stamped1().make();
    scene.waivers = vec![Waiver::SignedCertificateTimestamp];
    scene.trust.logs.clear();
    assert_eq!(code(&scene), "log-unknown");

    let mut scene = Forge::stamped1().make();
    scene.waivers = vec![Waiver::TransparencyLog];
    scene.trust.ct_logs.clear();
    assert_eq!(code(&scene), "sct-untrusted");

    let mut scene = Forge::stamped1().make();
    scene.waivers = vec![Waiver::TransparencyLog];
    scene.trust.timestamp_authorities[0].valid_for.end = Some(UnixTime::from_seconds(NOW));
    assert_eq!(code(&scene), "timestamp-authority-not-valid-at");

    let mut scene = Forge::key1().make();
    scene.waivers = vec![Waiver::TransparencyLog];
    assert_eq!(code(&scene), PASSES);
    scene.expected_key = Some(Key::p256().public());
    assert_eq!(code(&scene), "signature-invalid");
}

fn asks(name: &str, value: &str) -> ClaimMatcher {
    ClaimMatcher::new(name, ValueMatcher::exact(value).unwrap()).unwrap()
}

fn with_claims() -> Forge {
    let mut forge = Forge::blob1();
    forge.leaf.more.extend([
        (REPOSITORY, false, utf8("https://example.test/org/repo")),
        (TRIGGER, false, b"push".to_vec()),
    ]);
    forge
}

#[test]
fn claims_are_asked_for_by_name() {
    judge(&[
        Case(
            "both-as-asked-for",
            with_claims,
            After(|scene| {
                let repository = "https://example.test/org/repo";
                scene.claims.push(asks("source-repository-uri", repository));
                scene.claims.push(asks("github-workflow-trigger", "push"));
            }),
            PASSES,
        ),
        Case(
            "another-value",
            with_claims,
            After(|scene| {
                let repository = "https://example.test/org/repository";
                scene.claims.push(asks("source-repository-uri", repository));
            }),
            "claim-mismatch",
        ),
        Case(
            "the-second-has-another-value",
            with_claims,
            After(|scene| {
                let repository = "https://example.test/org/repo";
                scene.claims.push(asks("source-repository-uri", repository));
                scene
                    .claims
                    .push(asks("github-workflow-trigger", "pull_request"));
            }),
            "claim-mismatch",
        ),
        Case(
            "not-in-the-certificate",
            with_claims,
            After(|scene| {
                scene
                    .claims
                    .push(asks("source-repository-ref", "refs/heads/main"))
            }),
            "claim-mismatch",
        ),
        Case(
            "the-value-under-another-name",
            with_claims,
            After(|scene| {
                let repository = "https://example.test/org/repo";
                scene.claims.push(asks("build-signer-uri", repository));
            }),
            "claim-mismatch",
        ),
    ]);
    assert!(ClaimMatcher::new("no-such-claim", ValueMatcher::exact("x").unwrap()).is_none());
}

#[test]
fn claims_belong_to_the_identity_that_they_are_asked_of() {
    use keyless::verify::{ExpectedContent, IdentityMatcher, Policy, verify};
    let scene = with_claims().make();
    let exact = |text| ValueMatcher::exact(text).unwrap();
    let matching = IdentityMatcher::new(exact(crate::forge::SUBJECT), exact(crate::forge::ISSUER))
        .with_claims(vec![asks("github-workflow-trigger", "schedule")]);
    let other = IdentityMatcher::new(exact("other@example.test"), exact(crate::forge::ISSUER));
    let policy =
        Policy::identities(vec![matching, other], ExpectedContent::ArtifactSignature).unwrap();
    let refused = verify(&scene.bundle, &scene.artifact, &scene.trust, &policy);
    assert!(
        refused.is_err(),
        "claims of one and the name of another are nobody"
    );
}

/// Lists a log once more, before the others, as it was trusted long ago.
fn retired_before(scene: &mut Scene, log: usize) {
    let mut retired = scene.trust.logs[log].clone();
    retired.base_url = "https://retired.test".to_owned();
    retired.operator = None;
    retired.valid_for.start = UnixTime::from_seconds(LONG_AGO - 100);
    retired.valid_for.end = Some(UnixTime::from_seconds(LONG_AGO - 1));
    scene.trust.logs.insert(0, retired);
}

#[test]
fn a_log_is_told_and_counted_as_it_was_at_the_time() {
    let mut scene = Forge::blob2().make();
    let url = scene.trust.logs[1].base_url.clone();
    retired_before(&mut scene, 1);
    assert_eq!(scene.verify().unwrap().entries()[0].log_url(), url);

    let mut scene = Forge::timeless_key2().make();
    retired_before(&mut scene, 1);
    assert_eq!(scene.verify().unwrap().entries()[0].log_url(), url);

    let mut scene = Forge::logged_twice().make();
    for log in &mut scene.trust.logs {
        log.operator = Some("one.test".to_owned());
    }
    retired_before(&mut scene, 1);
    two_logs(&mut scene);
    assert_eq!(code(&scene), "log-threshold");

    // Two times, each in a period of its own; the retired one is none of them.
    let mut scene = Forge::logged_twice().stamped().make();
    let mut later = scene.trust.logs[1].clone();
    later.base_url = "https://later.test".to_owned();
    later.valid_for.start = UnixTime::from_seconds(NOW + 1);
    scene.trust.logs[1].valid_for.end = Some(UnixTime::from_seconds(NOW));
    scene.trust.logs.push(later);
    retired_before(&mut scene, 1);
    let verdict = scene.verify().unwrap();
    assert_eq!(verdict.entries()[1].log_url(), url);
}

/// Two entries under two names and ids, but of one key.
#[test]
fn a_key_under_two_names_is_one_operator() {
    let logged = |key: Option<Key>| {
        let mut forge = Forge::envelope2();
        let first = forge.entries[0].log.clone();
        let other = Log {
            name: "rekor3.test",
            key: key.unwrap_or(first.key),
            ..first
        };
        forge.entries.push(Entry::new(&other, Kind::Dsse2, NOW));
        let mut scene = forge.make();
        scene.trust.logs.push(other.instance(LONG_AGO));
        assert_eq!(scene.verify().unwrap().entries().len(), 2);
        two_logs(&mut scene);
        code(&scene)
    };
    assert_eq!(logged(Some(Key::ed25519())), PASSES);
    assert_eq!(logged(None), "log-threshold");
}

#[test]
fn a_key_under_two_ids_is_one_log() {
    let forge = scts_of_two();
    let mut scene = forge.make();
    two_ct_logs(&mut scene);
    // The second id stands for the first log's key, which has signed the second promise as well.
    list_both_ct_logs(&mut scene, &forge);
    assert_eq!(code(&scene), PASSES);
    let mut forge = scts_of_two();
    forge.scts[1].signer = forge.ct.clone();
    let mut scene = forge.make();
    two_ct_logs(&mut scene);
    list_both_ct_logs(&mut scene, &forge);
    scene.trust.ct_logs[1].public_key = scene.trust.ct_logs[0].public_key.clone();
    assert_eq!(code(&scene), "sct-threshold");
}
