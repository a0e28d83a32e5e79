//! Whom the certificate names, and whether that is who is asked for.

use keyless::crypto::asn1::encode;
use keyless::verify::policy::ValueMatcher;

use crate::Change::{Forge as Before, Scene as After};
use crate::asn1::{explicit, oid, utf8};
use crate::certificate::Template;
use crate::forge::{Forge, ISSUER, ISSUER_V1, ISSUER_V2, SUBJECT};
use crate::{Case, PASSES, judge};

fn other_name(type_id: &str, value: Vec<u8>) -> Vec<u8> {
    encode(0xa0, &[oid(type_id), explicit(0, &value)].concat())
}

/// Fulcio's otherName for user names.
const USERNAME: &str = "1.3.6.1.4.1.57264.1.7";

#[test]
fn whom_the_certificate_names() {
    judge(&[
        Case(
            "two-issuers",
            Forge::blob1,
            Before(|forge| forge.leaf.more[0].2.push(b'/')),
            "certificate-identity-malformed",
        ),
        Case(
            "current-issuer-alone",
            Forge::blob1,
            Before(|forge| forge.leaf.more.retain(|(oid, ..)| *oid == ISSUER_V2)),
            PASSES,
        ),
        Case(
            "deprecated-issuer-alone",
            Forge::blob1,
            Before(|forge| forge.leaf.more.retain(|(oid, ..)| *oid == ISSUER_V1)),
            PASSES,
        ),
        Case(
            "no-issuer",
            Forge::blob1,
            Before(|forge| forge.leaf.more.clear()),
            "certificate-identity-malformed",
        ),
        Case(
            "empty-issuer",
            Forge::blob1,
            Before(|forge| forge.leaf.more = vec![(ISSUER_V2, false, utf8(""))]),
            "certificate-identity-malformed",
        ),
        Case(
            "current-issuer-without-its-frame",
            Forge::blob1,
            Before(|forge| {
                forge.leaf.more = vec![(ISSUER_V2, false, ISSUER.as_bytes().to_vec())];
            }),
            "certificate-identity-malformed",
        ),
        Case(
            "two-names",
            Forge::blob1,
            Before(|forge| forge.leaf.names.push(Template::email("ci@example.test"))),
            "certificate-identity-malformed",
        ),
        Case(
            "the-same-name-twice",
            Forge::blob1,
            Before(|forge| forge.leaf.names.push(Template::email(SUBJECT))),
            "certificate-identity-malformed",
        ),
        Case(
            "no-name",
            Forge::blob1,
            Before(|forge| forge.leaf.names.clear()),
            "certificate-identity-malformed",
        ),
        Case(
            "empty-name",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![Template::email("")]),
            "certificate-identity-malformed",
        ),
        Case(
            "dns-name",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![encode(0x82, SUBJECT.as_bytes())]),
            "certificate-identity-malformed",
        ),
        Case(
            "uri",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![encode(0x86, SUBJECT.as_bytes())]),
            PASSES,
        ),
        Case(
            "user-name",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![other_name(USERNAME, utf8(SUBJECT))]),
            PASSES,
        ),
        Case(
            "user-name-of-another-type",
            Forge::blob1,
            Before(|forge| {
                forge.leaf.names = vec![other_name("1.3.6.1.4.1.99999.7", utf8(SUBJECT))];
            }),
            "certificate-identity-malformed",
        ),
        Case(
            "user-name-that-is-no-text",
            Forge::blob1,
            Before(|forge| {
                let value = encode(0x04, SUBJECT.as_bytes());
                forge.leaf.names = vec![other_name(USERNAME, value)];
            }),
            "certificate-identity-malformed",
        ),
    ]);
}

#[test]
fn who_is_asked_for() {
    judge(&[
        Case(
            "another-subject",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![Template::email("ci@example.test")]),
            "identity-mismatch",
        ),
        Case(
            "another-issuer",
            Forge::blob1,
            Before(|forge| forge.leaf.more = vec![(ISSUER_V2, false, utf8("https://other.test"))]),
            "identity-mismatch",
        ),
        Case(
            "subject-in-capitals",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![Template::email("Release@example.test")]),
            "identity-mismatch",
        ),
        Case(
            "subject-with-more-behind",
            Forge::blob1,
            Before(|forge| forge.leaf.names = vec![Template::email("release@example.test.evil")]),
            "identity-mismatch",
        ),
        Case(
            "pattern-of-a-part-of-the-subject",
            Forge::blob1,
            After(|scene| scene.subject = ValueMatcher::pattern("example").unwrap()),
            "identity-mismatch",
        ),
        Case(
            "pattern-of-a-part-of-the-issuer",
            Forge::blob1,
            After(|scene| scene.issuer = ValueMatcher::pattern("https://issuer").unwrap()),
            "identity-mismatch",
        ),
        Case(
            "pattern-of-the-whole-subject",
            Forge::blob1,
            After(|scene| scene.subject = ValueMatcher::pattern(r".*@example\.test").unwrap()),
            PASSES,
        ),
    ]);
}
