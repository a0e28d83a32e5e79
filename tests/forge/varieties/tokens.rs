//! RFC 3161 responses: their optional parts, and other ways to write the others.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use keyless::crypto::HashAlgorithm;
use keyless::crypto::asn1::{Tlv, encode};

use crate::Change::Forge as Before;
use crate::asn1::{
    explicit, generalized_time, integer, name, octets, oid, sequence, set_of, utc_time, utf8,
};
use crate::forge::{Forge, NOW};
use crate::key::sha256;
use crate::token::attribute;
use crate::{Case, PASSES, judge};

const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
const SIGNING_CERTIFICATE: &str = "1.2.840.113549.1.9.16.2.12";
const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";

/// Replaces the attribute that names the signer's certificate.
fn name_by(attributes: &mut Vec<Vec<u8>>, id: Vec<u8>) {
    let old = oid(SIGNING_CERTIFICATE_V2);
    attributes.retain(|attribute| !attribute.windows(old.len()).any(|part| part == old));
    let value = sequence(&[sequence(&[id])]);
    attributes.push(attribute(SIGNING_CERTIFICATE_V2, value));
    attributes.sort();
}

fn null() -> Vec<u8> {
    encode(5, &[])
}

fn general_names(common_name: &str) -> Vec<u8> {
    sequence(&[explicit(4, &name(common_name))])
}

#[test]
fn tokens() {
    judge(&[
        Case(
            "granted-with-changes",
            Forge::blob2,
            Before(|forge| forge.tokens[0].status = 1),
            "timestamp-not-granted",
        ),
        Case(
            "status-with-text",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.status = |status| {
                    status.push(sequence(&[utf8("granted")]));
                };
            }),
            PASSES,
        ),
        Case(
            "accuracy-ordering-nonce-name",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    info.push(sequence(&[integer(1), encode(0x80, &[5])]));
                    info.push(encode(1, &[0xff]));
                    info.push(encode(2, &[1, 2, 3, 4, 5, 6, 7, 8]));
                    info.push(explicit(0, &explicit(4, &name("tsa.test"))));
                };
            }),
            PASSES,
        ),
        Case(
            "ordering-written-though-default",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.info = |info| info.push(encode(1, &[0]))),
            PASSES,
        ),
        Case(
            "extension-in-the-info",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let extension = sequence(&[oid("1.3.6.1.4.1.99999.1"), octets(&[5, 0])]);
                    info.push(encode(0xa1, &extension));
                };
            }),
            PASSES,
        ),
        Case(
            "critical-extension-in-the-info",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let critical = encode(1, &[0xff]);
                    let extension =
                        sequence(&[oid("1.3.6.1.4.1.99999.1"), critical, octets(&[5, 0])]);
                    info.push(encode(0xa1, &extension));
                };
            }),
            PASSES,
        ),
        Case(
            "info-version-2",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.info = |info| info[0] = integer(2)),
            "timestamp-malformed",
        ),
        Case(
            "fraction-of-a-second",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let mut time = generalized_time(NOW + 2);
                    time.pop();
                    time.extend(b".25Z");
                    info[4] = encode(0x18, &time[2..]);
                };
            }),
            PASSES,
        ),
        Case(
            "time-with-a-zone",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let mut time = generalized_time(NOW + 2);
                    time.pop();
                    time.extend(b"+0000");
                    info[4] = encode(0x18, &time[2..]);
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "imprint-with-null",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let at = info[2].len() - 34;
                    let digest = info[2][at..].to_vec();
                    let algorithm = sequence(&[oid("2.16.840.1.101.3.4.2.1"), null()]);
                    info[2] = sequence(&[algorithm, digest]);
                };
            }),
            PASSES,
        ),
        Case(
            "imprint-of-another-length",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.info = |info| {
                    let at = info[2].len() - 32;
                    let digest = octets(&info[2][at..info[2].len() - 1]);
                    info[2] = sequence(&[sequence(&[oid("2.16.840.1.101.3.4.2.1")]), digest]);
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "no-certificates",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.signed_data = |data| drop(data.remove(3))),
            PASSES,
        ),
        Case(
            "empty-certificates",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| data[3] = encode(0xa0, &[]);
            }),
            PASSES,
        ),
        Case(
            "certificate-of-a-stranger",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| {
                    let stranger = Forge::blob2().tsa.issue();
                    data[3] = encode(0xa0, stranger.der());
                };
            }),
            PASSES,
        ),
        Case(
            "certificate-that-is-none",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| {
                    data[3] = encode(0xa0, &sequence(&[integer(1)]));
                };
            }),
            PASSES,
        ),
        Case(
            "signed-data-version-1",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.signed_data = |data| data[0] = integer(1)),
            "timestamp-malformed",
        ),
        Case(
            "no-digest-algorithms",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| data[1] = set_of(Vec::new());
            }),
            PASSES,
        ),
        Case(
            "two-signers",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| {
                    let inner = content(&data[4]);
                    data[4] = encode(0x31, &[&inner[..], &inner[..]].concat());
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "no-signer",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signed_data = |data| data[4] = set_of(Vec::new());
            }),
            "timestamp-malformed",
        ),
        Case(
            "signer-version-3",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.signer = |signer| signer[0] = integer(3)),
            PASSES,
        ),
        Case(
            "signer-by-key-identifier",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    signer[0] = integer(3);
                    signer[1] = encode(0x80, &sha256(b"tsa.test")[..20]);
                };
            }),
            PASSES,
        ),
        Case(
            "signer-by-another-key-identifier",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    signer[0] = integer(3);
                    signer[1] = encode(0x80, &[7; 20]);
                };
            }),
            "no-trusted-time",
        ),
        Case(
            "digest-algorithm-with-null",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    signer[2] = sequence(&[oid("2.16.840.1.101.3.4.2.1"), null()]);
                };
            }),
            PASSES,
        ),
        Case(
            "digest-algorithm-of-another-hash",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    signer[2] = sequence(&[oid("2.16.840.1.101.3.4.2.3")]);
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "signature-algorithm-is-the-keys",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    signer[4] = sequence(&[oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")]);
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "unsigned-attribute",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    let other = attribute("1.3.6.1.4.1.99999.1", null());
                    signer[6] = encode(0xa1, &other);
                };
            }),
            PASSES,
        ),
        Case(
            "no-signed-attributes",
            Forge::blob2,
            Before(|forge| forge.tokens[0].edit.signer = |signer| drop(signer.remove(3))),
            "timestamp-malformed",
        ),
        Case(
            "signing-time",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, _| {
                    let time = utc_time(NOW + 2);
                    attributes.push(attribute(SIGNING_TIME, time));
                    attributes.sort();
                };
            }),
            PASSES,
        ),
        Case(
            "attributes-not-in-order",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, _| attributes.reverse();
            }),
            PASSES,
        ),
        Case(
            "attributes-not-in-order-but-signed-in-order",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.signer = |signer| {
                    let mut rest = &content(&signer[3])[..];
                    let mut attributes = Vec::new();
                    while !rest.is_empty() {
                        let attribute = Tlv::read(&mut rest).unwrap();
                        attributes.push(attribute.raw.to_vec());
                    }
                    attributes.reverse();
                    signer[3] = encode(0xa0, &attributes.concat());
                };
            }),
            "timestamp-invalid",
        ),
        Case(
            "attribute-twice",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, _| {
                    attributes.push(attributes[0].clone());
                    attributes.sort();
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "content-type-missing",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, _| {
                    let content_type = oid("1.2.840.113549.1.9.3");
                    attributes.retain(|a| !a.windows(11).any(|part| part == content_type));
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "message-digest-missing",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, _| {
                    let digest = oid("1.2.840.113549.1.9.4");
                    attributes.retain(|a| !a.windows(11).any(|part| part == digest));
                };
            }),
            "timestamp-malformed",
        ),
        Case(
            "named-with-algorithm-and-issuer",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, leaf| {
                    let issuer = sequence(&[general_names("tsa-root.test"), integer(11)]);
                    let algorithm = sequence(&[oid("2.16.840.1.101.3.4.2.1")]);
                    let id = sequence(&[algorithm, octets(&sha256(leaf)), issuer]);
                    name_by(attributes, id);
                };
            }),
            PASSES,
        ),
        Case(
            "named-with-another-issuer",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, leaf| {
                    let issuer = sequence(&[general_names("other.test"), integer(12)]);
                    name_by(attributes, sequence(&[octets(&sha256(leaf)), issuer]));
                };
            }),
            PASSES,
        ),
        Case(
            "named-by-sha512",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, leaf| {
                    let digest = HashAlgorithm::Sha512.digest(leaf);
                    let algorithm = sequence(&[oid("2.16.840.1.101.3.4.2.3")]);
                    let id = sequence(&[algorithm, octets(digest.as_bytes())]);
                    name_by(attributes, id);
                };
            }),
            PASSES,
        ),
        Case(
            "named-by-sha1-alone",
            Forge::blob2,
            Before(|forge| {
                forge.tokens[0].edit.attributes = |attributes, leaf| {
                    name_by(attributes, Vec::new());
                    let old = oid(SIGNING_CERTIFICATE_V2);
                    attributes.retain(|a| !a.windows(old.len()).any(|part| part == old));
                    let id = sequence(&[sequence(&[sequence(&[octets(&sha1(leaf))])])]);
                    attributes.push(attribute(SIGNING_CERTIFICATE, id));
                    attributes.sort();
                };
            }),
            "timestamp-invalid",
        ),
    ]);
}

/// Content of an element.
fn content(der: &[u8]) -> Vec<u8> {
    let mut rest = der;
    Tlv::read(&mut rest).unwrap().content.to_vec()
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}
