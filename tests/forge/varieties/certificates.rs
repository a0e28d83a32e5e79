//! Certificates, and how the trusted root lists those of its authorities.

use std::panic::Location;

use keyless::crypto::asn1::{Tlv, encode};

use crate::Change::{Forge as Before, Scene as After};
use crate::asn1::{bits, integer, oid, sequence, set_of};
use crate::certificate::{CODE_SIGNING, Template};
use crate::forge::{Forge, NOW};
use crate::{Case, PASSES, export, judge};

/// Encodes a name with PrintableString.
fn printable(common_name: &str) -> Vec<u8> {
    let text = encode(0x13, common_name.as_bytes());
    sequence(&[set_of(vec![sequence(&[oid("2.5.4.3"), text])])])
}

/// Elements of a TBSCertificate behind its version.
fn without_version(leaf: &Template, list: Option<&[u8]>) -> Vec<u8> {
    let tbs = content(&leaf.tbs(list));
    let mut rest = &tbs[..];
    Tlv::read(&mut rest).unwrap();
    rest.to_vec()
}

#[test]
fn certificates() {
    judge(&[
        Case(
            "issued-by-the-root",
            Forge::blob1,
            Before(|forge| {
                forge.leaf.signer = forge.root.key.clone();
                forge.leaf.issuer = "root.test";
                forge.scts[0].issuer = forge.root.key.clone();
            }),
            PASSES,
        ),
        Case(
            "intermediate-as-anchor",
            Forge::blob1,
            After(|scene| drop(scene.trust.certificate_authorities[0].chain.pop())),
            PASSES,
        ),
        Case(
            "chain-listed-backwards",
            Forge::blob1,
            After(|scene| scene.trust.certificate_authorities[0].chain.reverse()),
            PASSES,
        ),
        Case(
            "another-authority-first",
            Forge::blob1,
            After(|scene| {
                let other = Forge::blob1()
                    .make()
                    .trust
                    .certificate_authorities
                    .remove(0);
                scene.trust.certificate_authorities.insert(0, other);
            }),
            PASSES,
        ),
        Case(
            "issuer-in-another-string-type",
            Forge::blob1,
            Before(|forge| forge.leaf.issuer_name = Some(printable("ca.test"))),
            "certificate-untrusted",
        ),
        Case(
            "issuer-in-capitals",
            Forge::blob1,
            Before(|forge| forge.leaf.issuer = "CA.TEST"),
            "certificate-untrusted",
        ),
        Case(
            "policies-critical",
            Forge::blob1,
            Before(|forge| {
                let policies = sequence(&[sequence(&[oid("1.3.6.1.4.1.57264.2")])]);
                forge.leaf.more.push(("2.5.29.32", true, policies));
            }),
            "certificate-critical-extension",
        ),
        Case(
            "code-signing-beside-another-usage",
            Forge::blob1,
            Before(|forge| {
                let usages = vec![CODE_SIGNING, "1.3.6.1.5.5.7.3.4"];
                forge.leaf.extended_key_usage = Some((false, usages));
            }),
            PASSES,
        ),
        Case(
            "extended-key-usage-critical",
            Forge::blob1,
            Before(|forge| {
                let usages = vec![CODE_SIGNING];
                forge.leaf.extended_key_usage = Some((true, usages));
            }),
            PASSES,
        ),
        Case(
            "path-length-on-the-leaf",
            Forge::blob1,
            Before(|forge| forge.leaf.basic_constraints = Some((false, Some(0)))),
            PASSES,
        ),
        Case(
            "valid-for-years",
            Forge::blob1,
            Before(|forge| forge.leaf.not_after = NOW + 100_000_000),
            PASSES,
        ),
        Case(
            "outlives-its-issuer",
            Forge::blob1,
            Before(|forge| {
                forge.leaf.not_before = NOW - 100_000_000;
                forge.leaf.not_after = NOW + 100_000_000;
            }),
            PASSES,
        ),
        Case(
            "name-with-a-nul",
            Forge::blob1,
            Before(|forge| {
                forge.leaf.names = vec![Template::email("release@example.test\0.evil.test")];
            }),
            "identity-mismatch",
        ),
        Case(
            "serial-number-zero",
            Forge::blob1,
            Before(|forge| forge.leaf.serial = 0),
            PASSES,
        ),
        Case(
            "serial-number-negative",
            Forge::blob1,
            Before(|forge| forge.leaf.serial = 0x80),
            PASSES,
        ),
        Case(
            "version-1",
            Forge::blob1,
            Before(|forge| {
                forge.leaf_tbs = |leaf, list| sequence(&[without_version(leaf, list)]);
            }),
            PASSES,
        ),
        Case(
            "version-2",
            Forge::blob1,
            Before(|forge| {
                forge.leaf_tbs = |leaf, list| {
                    let version = encode(0xa0, &integer(1));
                    sequence(&[version, without_version(leaf, list)])
                };
            }),
            PASSES,
        ),
        Case(
            "precertificate",
            Forge::blob1,
            Before(|forge| {
                let poison = ("1.3.6.1.4.1.11129.2.4.3", true, encode(5, &[]));
                forge.leaf.more.push(poison);
            }),
            "certificate-critical-extension",
        ),
        Case(
            "subject-beside-the-name",
            Forge::blob1,
            Before(|forge| forge.leaf.subject = "release@example.test"),
            PASSES,
        ),
    ]);
}

#[test]
fn certificates_that_are_not_read() {
    type Change = fn(&mut Forge);
    let table = Location::caller();
    let cases: [(&str, Change); 6] = [
        ("leaf-with-a-byte-behind", |forge| {
            forge.leaf_signed = |leaf, tbs| [leaf.signed(tbs), vec![0]].concat();
        }),
        ("leaf-with-an-extension-twice", |forge| {
            let first = forge.leaf.more[0].clone();
            forge.leaf.more.push(first);
        }),
        ("leaf-with-a-second-name-extension", |forge| {
            let other = sequence(&[Template::email("ci@example.test")]);
            forge.leaf.more.push(("2.5.29.17", true, other));
        }),
        ("leaf-with-two-signature-algorithms", |forge| {
            forge.leaf_signed = |leaf, tbs| {
                let signature = bits(&leaf.signer.sign(&tbs));
                sequence(&[tbs, sequence(&[oid("1.2.840.10045.4.3.3")]), signature])
            };
        }),
        ("leaf-of-version-1-written-out", |forge| {
            forge.leaf_tbs = |leaf, list| {
                let version = encode(0xa0, &integer(0));
                sequence(&[version, without_version(leaf, list)])
            };
        }),
        ("leaf-valid-in-generalized-time", |forge| {
            forge.leaf.generalized = true
        }),
    ];
    for (name, change) in cases {
        let mut forge = Forge::blob1();
        let unchanged = forge.clone();
        change(&mut forge);
        let code = export::unread(table, name, &unchanged, &forge.make());
        assert_eq!(code, "bundle-certificate", "{name}");
    }
}

/// Content of an element.
fn content(der: &[u8]) -> Vec<u8> {
    let mut rest = der;
    Tlv::read(&mut rest).unwrap().content.to_vec()
}
