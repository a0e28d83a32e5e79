//! The signer's certificate and its path, at every observed time.

use keyless::crypto::certificate::MAX_CERTIFICATE_LEN;
use keyless::crypto::{Certificate, UnixTime};
use keyless::diagnostic::Diagnostic as _;

use crate::Change::{Forge as Before, Scene as After};
use crate::asn1::{bits, oid, sequence};
use crate::certificate::{
    CODE_SIGNING, CRL_SIGN, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, SERVER_AUTH,
};
use crate::forge::{Forge, NOW};
use crate::{Case, PASSES, judge};

fn unknown(critical: bool) -> (&'static str, bool, Vec<u8>) {
    ("1.3.6.1.4.1.99999.1", critical, vec![5, 0])
}

#[test]
fn observed_times() {
    judge(&[
        Case(
            "promise-before-and-timestamp-within",
            Forge::stamped1,
            Before(|forge| forge.entries[0].integrated_time = Some(NOW - 61)),
            "certificate-not-valid-at",
        ),
        Case(
            "promise-within-and-timestamp-after",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].time = NOW + 541),
            "certificate-not-valid-at",
        ),
        Case(
            "promise-after-and-timestamp-within",
            Forge::stamped1,
            Before(|forge| forge.entries[0].integrated_time = Some(NOW + 541)),
            "certificate-not-valid-at",
        ),
        Case(
            "promise-within-and-timestamp-before",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].time = NOW - 61),
            "certificate-not-valid-at",
        ),
        Case(
            "first-timestamp-within-second-after",
            Forge::blob2,
            Before(|forge| {
                let mut token = forge.tokens[0].clone();
                token.time = NOW + 541;
                forge.tokens.push(token);
            }),
            "certificate-not-valid-at",
        ),
        Case(
            "first-timestamp-after-second-within",
            Forge::blob2,
            Before(|forge| {
                let mut token = forge.tokens[0].clone();
                token.time = NOW + 541;
                forge.tokens.insert(0, token);
            }),
            "certificate-not-valid-at",
        ),
        Case(
            "first-instant",
            Forge::blob1,
            Before(|forge| forge.entries[0].integrated_time = Some(NOW - 60)),
            PASSES,
        ),
        Case(
            "last-instant",
            Forge::blob1,
            Before(|forge| forge.entries[0].integrated_time = Some(NOW + 540)),
            PASSES,
        ),
        Case(
            "leaf-expired",
            Forge::blob2,
            Before(|forge| forge.leaf.not_after = NOW + 1),
            "certificate-not-valid-at",
        ),
        Case(
            "leaf-not-yet-valid",
            Forge::blob2,
            Before(|forge| forge.leaf.not_before = NOW + 3),
            "certificate-not-valid-at",
        ),
        Case(
            "intermediate-expired",
            Forge::blob2,
            Before(|forge| forge.intermediate.not_after = NOW + 1),
            "certificate-not-valid-at",
        ),
        Case(
            "intermediate-not-yet-valid",
            Forge::blob2,
            Before(|forge| forge.intermediate.not_before = NOW + 3),
            "certificate-not-valid-at",
        ),
        Case(
            "root-expired",
            Forge::blob2,
            Before(|forge| forge.root.not_after = NOW + 1),
            "certificate-not-valid-at",
        ),
        Case(
            "authority-retired",
            Forge::blob1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW - 1);
                scene.trust.certificate_authorities[0].valid_for.end = Some(end);
            }),
            "certificate-authority-not-valid-at",
        ),
        Case(
            "authority-not-begun",
            Forge::blob1,
            After(|scene| {
                let start = UnixTime::from_seconds(NOW + 1);
                scene.trust.certificate_authorities[0].valid_for.start = start;
            }),
            "certificate-authority-not-valid-at",
        ),
        Case(
            "authority-retired-between-two-times",
            Forge::stamped1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 1);
                scene.trust.certificate_authorities[0].valid_for.end = Some(end);
            }),
            "certificate-authority-not-valid-at",
        ),
        Case(
            "no-authority-listed",
            Forge::blob1,
            After(|scene| scene.trust.certificate_authorities.clear()),
            "certificate-authority-not-valid-at",
        ),
    ]);
}

#[test]
fn the_leafs_profile() {
    judge(&[
        Case(
            "leaf-is-a-ca",
            Forge::blob1,
            Before(|forge| forge.leaf.basic_constraints = Some((true, None))),
            "certificate-profile",
        ),
        Case(
            "leaf-says-that-it-is-no-ca",
            Forge::blob1,
            Before(|forge| forge.leaf.basic_constraints = Some((false, None))),
            PASSES,
        ),
        Case(
            "extended-key-usage-without-code-signing",
            Forge::blob1,
            Before(|forge| forge.leaf.extended_key_usage = Some((false, vec![SERVER_AUTH]))),
            "certificate-profile",
        ),
        Case(
            "extended-key-usage-missing",
            Forge::blob1,
            Before(|forge| forge.leaf.extended_key_usage = None),
            "certificate-profile",
        ),
        Case(
            "extended-key-usage-any",
            Forge::blob1,
            Before(|forge| forge.leaf.extended_key_usage = Some((false, vec!["2.5.29.37.0"]))),
            "certificate-profile",
        ),
        Case(
            "key-usage-without-digital-signature",
            Forge::blob1,
            Before(|forge| forge.leaf.key_usage = Some(KEY_ENCIPHERMENT)),
            "certificate-profile",
        ),
        Case(
            "key-usage-missing",
            Forge::blob1,
            Before(|forge| forge.leaf.key_usage = None),
            "certificate-profile",
        ),
        Case(
            "unknown-critical-extension",
            Forge::blob1,
            Before(|forge| forge.leaf.more.push(unknown(true))),
            "certificate-critical-extension",
        ),
        Case(
            "unknown-extension",
            Forge::blob1,
            Before(|forge| forge.leaf.more.push(unknown(false))),
            PASSES,
        ),
    ]);
}

#[test]
fn the_path() {
    judge(&[
        Case(
            "leaf-signed-by-another-key",
            Forge::blob1,
            Before(|forge| forge.leaf.signer = forge.stranger.clone()),
            "certificate-untrusted",
        ),
        Case(
            "leaf-names-another-issuer",
            Forge::blob1,
            Before(|forge| forge.leaf.issuer = "other.test"),
            "certificate-untrusted",
        ),
        Case(
            "intermediate-signed-by-another-key",
            Forge::blob1,
            Before(|forge| forge.intermediate.signer = forge.stranger.clone()),
            "certificate-untrusted",
        ),
        Case(
            "intermediate-names-another-issuer",
            Forge::blob1,
            Before(|forge| forge.intermediate.issuer = "other.test"),
            "certificate-untrusted",
        ),
        Case(
            "another-root-of-the-same-name",
            Forge::blob1,
            Before(|forge| forge.root.key = forge.stranger.clone()),
            "certificate-untrusted",
        ),
        Case(
            "intermediate-not-listed",
            Forge::blob1,
            After(|scene| drop(scene.trust.certificate_authorities[0].chain.remove(0))),
            "certificate-untrusted",
        ),
        Case(
            "self-signed-leaf",
            Forge::blob1,
            Before(|forge| forge.leaf.signer = forge.key.clone()),
            "certificate-untrusted",
        ),
        Case(
            "intermediate-not-a-ca",
            Forge::blob1,
            Before(|forge| forge.intermediate.basic_constraints = Some((false, None))),
            "certificate-authority-invalid",
        ),
        Case(
            "intermediate-without-basic-constraints",
            Forge::blob1,
            Before(|forge| forge.intermediate.basic_constraints = None),
            "certificate-authority-invalid",
        ),
        Case(
            "root-not-a-ca",
            Forge::blob1,
            Before(|forge| forge.root.basic_constraints = None),
            "certificate-authority-invalid",
        ),
        Case(
            "path-longer-than-the-root-allows",
            Forge::blob1,
            Before(|forge| forge.root.basic_constraints = Some((true, Some(0)))),
            "certificate-authority-invalid",
        ),
        Case(
            "intermediate-may-not-sign-certificates",
            Forge::blob1,
            Before(|forge| forge.intermediate.key_usage = Some(CRL_SIGN)),
            "certificate-authority-invalid",
        ),
        Case(
            "intermediate-without-key-usage",
            Forge::blob1,
            Before(|forge| forge.intermediate.key_usage = None),
            "certificate-authority-invalid",
        ),
        Case(
            "root-may-not-sign-certificates",
            Forge::blob1,
            Before(|forge| forge.root.key_usage = Some(DIGITAL_SIGNATURE)),
            "certificate-authority-invalid",
        ),
        Case(
            "intermediate-for-another-purpose",
            Forge::blob1,
            Before(|forge| {
                forge.intermediate.extended_key_usage = Some((false, vec![SERVER_AUTH]));
            }),
            "certificate-authority-invalid",
        ),
        Case(
            "intermediate-for-two-purposes",
            Forge::blob1,
            Before(|forge| {
                let purposes = vec![SERVER_AUTH, CODE_SIGNING];
                forge.intermediate.extended_key_usage = Some((false, purposes));
            }),
            PASSES,
        ),
        Case(
            "intermediate-for-any-purpose",
            Forge::blob1,
            Before(|forge| {
                forge.intermediate.extended_key_usage = Some((false, vec!["2.5.29.37.0"]));
            }),
            PASSES,
        ),
        Case(
            "root-for-another-purpose",
            Forge::blob1,
            Before(|forge| forge.root.extended_key_usage = Some((false, vec![SERVER_AUTH]))),
            PASSES,
        ),
        Case(
            "unknown-critical-extension-on-the-intermediate",
            Forge::blob1,
            Before(|forge| forge.intermediate.more.push(unknown(true))),
            "certificate-critical-extension",
        ),
        Case(
            "unknown-critical-extension-on-the-root",
            Forge::blob1,
            Before(|forge| forge.root.more.push(unknown(true))),
            "certificate-critical-extension",
        ),
        Case(
            "name-constraints-on-the-intermediate",
            Forge::blob1,
            Before(|forge| {
                let constraints = ("2.5.29.30", true, vec![0x30, 0]);
                forge.intermediate.more.push(constraints);
            }),
            "certificate-critical-extension",
        ),
        Case(
            "uncritical-name-constraints-on-the-intermediate",
            Forge::blob1,
            Before(|forge| {
                let constraints = ("2.5.29.30", false, vec![0x30, 0]);
                forge.intermediate.more.push(constraints);
            }),
            "certificate-critical-extension",
        ),
    ]);
}

#[test]
fn certificates_that_are_not_read() {
    let leaf = Forge::blob1().leaf;
    let read = |der: &[u8]| Certificate::from_der(der).is_ok();
    assert!(read(&leaf.der()));
    let mut longer = leaf.der();
    longer.push(0);
    assert!(!read(&longer), "a byte behind it");
    let mut twice = leaf.clone();
    twice.more.push(twice.more[0].clone());
    assert!(!read(&twice.der()), "an extension twice");
    let tbs = leaf.tbs(None);
    let signature = bits(&leaf.signer.sign(&tbs));
    let other = sequence(&[oid("1.2.840.10045.4.3.3")]);
    let der = sequence(&[tbs, other, signature]);
    assert!(!read(&der), "two signature algorithms");
    let mut first_version = leaf.tbs(None);
    let at = first_version
        .windows(5)
        .position(|w| w == [0xa0, 3, 2, 1, 2]);
    first_version[at.unwrap() + 4] = 0;
    assert!(!read(&leaf.signed(first_version)), "a default written out");
}

/// RFC 5280 §4.2.1.9: certificates that an authority issued to itself do not count.
#[test]
fn a_self_issued_certificate_does_not_lengthen_the_path() {
    let mut forge = Forge::blob1();
    let mut renewed = forge.root.clone();
    renewed.key = forge.stranger.clone();
    forge.intermediate.signer = renewed.key.clone();
    let mut scene = forge.make();
    assert_eq!(scene.verify().unwrap_err().code(), "certificate-untrusted");
    let chain = &mut scene.trust.certificate_authorities[0].chain;
    chain.insert(1, renewed.issue());
    scene.verify().unwrap();
    // Under another name it counts.
    renewed.subject = "renewed.test";
    forge.intermediate.issuer = "renewed.test";
    let mut scene = forge.make();
    let chain = &mut scene.trust.certificate_authorities[0].chain;
    chain.insert(1, renewed.issue());
    let refused = scene.verify().unwrap_err();
    assert_eq!(refused.code(), "certificate-authority-invalid");
}

#[test]
fn a_certificate_has_a_bound() {
    let mut leaf = Forge::blob1().leaf;
    leaf.more.push(("1.3.6.1.4.1.99999.1", false, Vec::new()));
    let mut of_len = |len: usize| {
        leaf.more.last_mut().unwrap().2 = vec![0; 60_000];
        // Signatures differ in length by a byte or two.
        let mut der = leaf.der();
        while der.len() != len {
            let value = &mut leaf.more.last_mut().unwrap().2;
            value.resize(value.len() + len - der.len(), 0);
            der = leaf.der();
        }
        der
    };
    assert!(Certificate::from_der(&of_len(MAX_CERTIFICATE_LEN)).is_ok());
    assert!(Certificate::from_der(&of_len(MAX_CERTIFICATE_LEN + 1)).is_err());
}
