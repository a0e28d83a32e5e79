//! RFC 3161 timestamps: what the token says, who signed it, and what their certificate allows.

use keyless::crypto::UnixTime;
use keyless::crypto::asn1::encode;

use crate::Change::{Forge as Before, Scene as After};
use crate::asn1::{name, sequence};
use crate::certificate::{
    CODE_SIGNING, DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, NON_REPUDIATION, SERVER_AUTH, TIME_STAMPING,
    key_identifier,
};
use crate::forge::{Forge, LONG_AGO, NOW};
use crate::token::{Named, Token};
use crate::{Case, PASSES, judge_from};

/// Judges every case as it stands and, where its token is beside a promise, as the only word for the time.
#[track_caller]
fn judge(cases: &[Case]) {
    crate::judge(cases);
    judge_from(Forge::stamped1, Forge::blob2, "-alone", cases);
}

#[test]
fn the_token() {
    judge(&[
        Case(
            "message-digest-of-other-content",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].digested = Some(b"another TSTInfo".to_vec())),
            "timestamp-invalid",
        ),
        Case(
            "signing-certificate-of-another",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].named = Named::Bytes(b"another".to_vec())),
            "timestamp-invalid",
        ),
        Case(
            "signing-certificate-of-the-issuer",
            Forge::stamped1,
            Before(|forge| {
                let issuer = forge.tsa_root.issue().der().to_vec();
                forge.tokens[0].named = Named::Bytes(issuer);
            }),
            "timestamp-invalid",
        ),
        Case(
            "signing-certificate-missing",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].named = Named::Nobody),
            "timestamp-invalid",
        ),
        Case(
            "signed-by-another-key",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].signer = forge.stranger.clone()),
            "timestamp-invalid",
        ),
        Case(
            "signed-by-another-key-for-v2",
            Forge::blob2,
            Before(|forge| forge.tokens[0].signer = forge.stranger.clone()),
            "timestamp-invalid",
        ),
        Case(
            "over-another-signature",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].stamped = Some(b"another signature".to_vec())),
            "timestamp-imprint",
        ),
        Case(
            "not-granted",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].status = 2),
            "timestamp-not-granted",
        ),
        Case(
            "content-type-attribute-not-tst-info",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].content_type = "1.2.840.113549.1.7.1"),
            "timestamp-malformed",
        ),
        Case(
            "bytes-after-the-response",
            Forge::stamped1,
            After(|scene| scene.bundle.timestamps[0].push(0)),
            "timestamp-malformed",
        ),
        Case(
            "bytes-behind-the-tokens-signature",
            Forge::stamped1,
            Before(|forge| forge.tokens[0].behind_signature = vec![5, 0]),
            "timestamp-malformed",
        ),
        Case(
            "second-token-by-another-key",
            Forge::blob2,
            Before(|forge| {
                let token = Token::new(&forge.stranger, NOW + 3);
                forge.tokens.push(token);
            }),
            "timestamp-invalid",
        ),
        Case(
            "signer-of-another-issuer",
            Forge::blob2,
            Before(|forge| forge.tokens[0].identified = Some(("other.test", forge.tsa.serial))),
            "no-trusted-time",
        ),
        Case(
            "signer-of-another-serial-number",
            Forge::blob2,
            Before(|forge| forge.tokens[0].identified = Some((forge.tsa.issuer, 12))),
            "no-trusted-time",
        ),
        Case(
            "authority-not-listed",
            Forge::blob2,
            After(|scene| scene.trust.timestamp_authorities.clear()),
            "no-trusted-time",
        ),
        Case(
            "authority-not-listed-beside-a-promise",
            Forge::stamped1,
            After(|scene| scene.trust.timestamp_authorities.clear()),
            PASSES,
        ),
        Case(
            "no-timestamp",
            Forge::blob2,
            Before(|forge| forge.tokens.clear()),
            "no-trusted-time",
        ),
        Case(
            "time-of-the-entry-is-no-evidence-without-promise",
            Forge::blob2,
            Before(|forge| {
                forge.tokens.clear();
                forge.entries[0].integrated_time = Some(NOW);
            }),
            "no-trusted-time",
        ),
    ]);
}

#[test]
fn the_authority() {
    judge(&[
        Case(
            "anchor-expired",
            Forge::stamped_by_anchor,
            Before(|forge| forge.tsa.not_after = NOW + 1),
            "timestamp-certificate",
        ),
        Case(
            "anchor-not-yet-valid",
            Forge::stamped_by_anchor,
            Before(|forge| forge.tsa.not_before = NOW + 3),
            "timestamp-certificate",
        ),
        Case(
            "signer-expired",
            Forge::stamped1,
            Before(|forge| forge.tsa.not_after = NOW + 1),
            "timestamp-certificate",
        ),
        Case(
            "signer-not-yet-valid",
            Forge::stamped1,
            Before(|forge| forge.tsa.not_before = NOW + 3),
            "timestamp-certificate",
        ),
        Case(
            "issuer-expired",
            Forge::stamped1,
            Before(|forge| forge.tsa_root.not_after = NOW + 1),
            "timestamp-certificate",
        ),
        Case(
            "signer-issued-by-another-key",
            Forge::stamped1,
            Before(|forge| forge.tsa.signer = forge.stranger.clone()),
            "timestamp-certificate",
        ),
        Case(
            "issuer-not-a-ca",
            Forge::stamped1,
            Before(|forge| forge.tsa_root.basic_constraints = None),
            "timestamp-certificate",
        ),
        Case(
            "issuer-may-not-sign-certificates",
            Forge::stamped1,
            Before(|forge| forge.tsa_root.key_usage = Some(DIGITAL_SIGNATURE)),
            "timestamp-certificate",
        ),
        Case(
            "trust-ended",
            Forge::stamped1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 1);
                scene.trust.timestamp_authorities[0].valid_for.end = Some(end);
            }),
            "timestamp-authority-not-valid-at",
        ),
        Case(
            "trust-ended-of-an-anchor",
            Forge::stamped_by_anchor,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 1);
                scene.trust.timestamp_authorities[0].valid_for.end = Some(end);
            }),
            "timestamp-authority-not-valid-at",
        ),
        Case(
            "trust-not-begun",
            Forge::stamped1,
            After(|scene| {
                let start = UnixTime::from_seconds(NOW + 3);
                scene.trust.timestamp_authorities[0].valid_for.start = start;
            }),
            "timestamp-authority-not-valid-at",
        ),
        Case(
            "trusted-up-to-that-second",
            Forge::stamped1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW + 2);
                scene.trust.timestamp_authorities[0].valid_for.end = Some(end);
            }),
            PASSES,
        ),
    ]);
}

#[test]
fn the_signers_profile() {
    judge(&[
        Case(
            "key-usage-without-digital-signature",
            Forge::stamped1,
            Before(|forge| forge.tsa.key_usage = Some(KEY_ENCIPHERMENT)),
            "timestamp-certificate",
        ),
        Case(
            "key-usage-missing",
            Forge::stamped1,
            Before(|forge| forge.tsa.key_usage = None),
            PASSES,
        ),
        Case(
            "key-usage-of-non-repudiation-alone",
            Forge::stamped1,
            Before(|forge| forge.tsa.key_usage = Some(NON_REPUDIATION)),
            PASSES,
        ),
        Case(
            "extended-key-usage-not-critical",
            Forge::stamped1,
            Before(|forge| forge.tsa.extended_key_usage = Some((false, vec![TIME_STAMPING]))),
            "timestamp-certificate",
        ),
        Case(
            "two-extended-key-usages",
            Forge::stamped1,
            Before(|forge| {
                let usages = vec![TIME_STAMPING, SERVER_AUTH];
                forge.tsa.extended_key_usage = Some((true, usages));
            }),
            "timestamp-certificate",
        ),
        Case(
            "extended-key-usage-of-another-purpose",
            Forge::stamped1,
            Before(|forge| forge.tsa.extended_key_usage = Some((true, vec![CODE_SIGNING]))),
            "timestamp-certificate",
        ),
        Case(
            "extended-key-usage-missing",
            Forge::stamped1,
            Before(|forge| forge.tsa.extended_key_usage = None),
            "timestamp-certificate",
        ),
        Case(
            "ca-as-signer",
            Forge::stamped1,
            Before(|forge| forge.tsa.basic_constraints = Some((true, None))),
            "timestamp-certificate",
        ),
        Case(
            "ca-as-signer-and-anchor",
            Forge::stamped_by_anchor,
            Before(|forge| forge.tsa.basic_constraints = Some((true, None))),
            "timestamp-certificate",
        ),
        Case(
            "unknown-critical-extension-on-the-signer",
            Forge::stamped1,
            Before(|forge| {
                forge
                    .tsa
                    .more
                    .push(("1.3.6.1.4.1.99999.1", true, vec![5, 0]))
            }),
            "timestamp-certificate",
        ),
        Case(
            "unknown-critical-extension-on-the-issuer",
            Forge::stamped1,
            Before(|forge| {
                let unknown = ("1.3.6.1.4.1.99999.1", true, vec![5, 0]);
                forge.tsa_root.more.push(unknown);
            }),
            "timestamp-certificate",
        ),
        Case(
            "valid-since-long-before",
            Forge::stamped1,
            Before(|forge| forge.tsa.not_before = LONG_AGO - 1),
            PASSES,
        ),
    ]);
}

/// The identifier of the signer's key, which its certificate carries.
fn by_key_id(name: &str) -> Option<Vec<u8>> {
    Some(encode(0x80, &key_identifier(name)))
}

#[test]
fn who_the_signer_says_it_is() {
    judge(&[
        Case(
            "by-key-identifier",
            Forge::blob2,
            Before(|forge| forge.tokens[0].identifier = by_key_id(forge.tsa.subject)),
            PASSES,
        ),
        Case(
            "by-the-key-identifier-of-another",
            Forge::blob2,
            Before(|forge| forge.tokens[0].identifier = by_key_id("other.test")),
            "no-trusted-time",
        ),
        Case(
            "by-serial-number-with-its-sign",
            Forge::blob2,
            Before(|forge| {
                let serial = encode(0x02, &[0, forge.tsa.serial]);
                let issuer = name(forge.tsa.issuer);
                forge.tokens[0].identifier = Some(sequence(&[issuer, serial]));
            }),
            PASSES,
        ),
        Case(
            "by-a-longer-serial-number",
            Forge::blob2,
            Before(|forge| {
                let serial = encode(0x02, &[forge.tsa.serial, 0]);
                let issuer = name(forge.tsa.issuer);
                forge.tokens[0].identifier = Some(sequence(&[issuer, serial]));
            }),
            "no-trusted-time",
        ),
    ]);
}
