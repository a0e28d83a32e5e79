//! Encodings of an ECDSA signature, and what stands beside one.

use keyless::crypto::HashAlgorithm;
use keyless::crypto::asn1::encode;
use keyless::format::bundle::Content;
use keyless::verify::Artifact;

use crate::Change::{Forge as Before, Scene as After};
use crate::asn1::{integer, sequence};
use crate::forge::{ARTIFACT, Forge};
use crate::{Case, PASSES, judge};

/// r and s of a DER signature by a P-256 key, 32 bytes each.
fn numbers(der: &[u8]) -> [Vec<u8>; 2] {
    let mut rest = &der[2..];
    [(); 2].map(|()| {
        let (number, behind) = rest[2..].split_at(usize::from(rest[1]));
        rest = behind;
        let bare = number.strip_prefix(&[0]).unwrap_or(number);
        [vec![0; 32 - bare.len()], bare.to_vec()].concat()
    })
}

fn unsigned(number: &[u8]) -> Vec<u8> {
    let bare: Vec<u8> = number.iter().copied().skip_while(|b| *b == 0).collect();
    let sign: &[u8] = if bare.first().is_some_and(|b| *b >= 0x80) {
        &[0]
    } else {
        &[]
    };
    encode(2, &[sign, &bare].concat())
}

/// The order of the curve.
const ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";

fn with_high_s(der: Vec<u8>) -> Vec<u8> {
    let [r, s] = numbers(&der);
    let order = hex::decode(ORDER).unwrap();
    let mut other = vec![0; 32];
    let mut borrow = 0;
    for at in (0..32).rev() {
        let found = i32::from(order[at]) - i32::from(s[at]) - borrow;
        borrow = i32::from(found < 0);
        other[at] = u8::try_from(found.rem_euclid(256)).unwrap();
    }
    sequence(&[unsigned(&r), unsigned(&s.max(other))])
}

#[test]
fn signatures() {
    judge(&[
        Case(
            "high-s",
            Forge::blob1,
            Before(|forge| forge.reshape = with_high_s),
            PASSES,
        ),
        Case(
            "number-with-a-zero-in-front",
            Forge::blob1,
            Before(|forge| {
                forge.reshape = |der| {
                    let [r, s] = numbers(&der);
                    let r = encode(2, &[&[0, 0], &r[..]].concat());
                    sequence(&[r, unsigned(&s)])
                };
            }),
            "signature-invalid",
        ),
        Case(
            "number-negative",
            Forge::blob1,
            Before(|forge| {
                forge.reshape = |der| {
                    let [r, s] = numbers(&with_high_s(der));
                    sequence(&[unsigned(&r), encode(2, &s)])
                };
            }),
            "signature-invalid",
        ),
        Case(
            "fixed-length",
            Forge::blob1,
            Before(|forge| forge.reshape = |der| numbers(&der).concat()),
            "signature-invalid",
        ),
        Case(
            "byte-behind",
            Forge::blob1,
            Before(|forge| forge.reshape = |der| [&der[..], &[0]].concat()),
            "signature-invalid",
        ),
        Case(
            "byte-behind-inside",
            Forge::blob1,
            Before(|forge| {
                forge.reshape = |der| {
                    let [r, s] = numbers(&der);
                    sequence(&[unsigned(&r), unsigned(&s), vec![5, 0]])
                };
            }),
            "signature-invalid",
        ),
        Case(
            "long-form-length",
            Forge::blob1,
            Before(|forge| forge.reshape = |der| [&[0x30, 0x81], &der[1..]].concat()),
            "signature-invalid",
        ),
        Case(
            "zeros",
            Forge::blob1,
            Before(|forge| forge.reshape = |_| sequence(&[integer(0), integer(0)])),
            "signature-invalid",
        ),
        Case(
            "key-id-in-the-envelope",
            Forge::envelope2,
            After(|scene| {
                if let Content::DsseEnvelope(envelope) = &mut scene.bundle.content {
                    "a key".clone_into(&mut envelope.keyid);
                }
            }),
            PASSES,
        ),
        Case(
            "digest-of-another-algorithm",
            Forge::blob1,
            After(|scene| {
                let other = HashAlgorithm::Sha512.digest(ARTIFACT);
                if let Content::MessageSignature { digest, .. } = &mut scene.bundle.content {
                    *digest = Some(other);
                }
                let digests = [scene.artifact.digests(), &[other]].concat();
                scene.artifact = Artifact::from_digests(digests).unwrap();
            }),
            PASSES,
        ),
    ]);
}
