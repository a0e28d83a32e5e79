//! Recorded timestamps, and forged ones by their parts.

use super::*;

fn capture() -> Vec<u8> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/captures/http/tsa.blob.resp.der"
    );
    std::fs::read(path).unwrap()
}

/// Spec 11 §6: our query with that nonce, apart from the certificate request that we leave out.
#[test]
fn query_is_exact() {
    let query = encode_request(&Digest::sha256(b"hello"), &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        hex::encode(query),
        "30400201013031300d0609608648016503040201050004202cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982402080102030405060708"
    );
    let high = encode_request(&Digest::sha256(b"hello"), &[0xff; 8]);
    assert!(hex::encode(high).ends_with("020900ffffffffffffffff"));
    let low = encode_request(&Digest::sha256(b"hello"), &[0; 8]);
    assert!(hex::encode(low).ends_with("020100"));
}

#[test]
fn recorded_response_parses() {
    let response = TimestampResponse::parse(&capture()).unwrap();
    assert_eq!(response.time.rfc3339(), "2026-11-22T23:34:17Z");
    assert_eq!(response.message_digest, response.content_digest.as_bytes());
    assert!(response.nonce.is_none());
    assert!(response.certificates.is_empty());
    assert_eq!(
        response.policy_text().as_deref(),
        Some("1.3.6.1.4.1.57264.2")
    );
    assert_eq!(response.accuracy_micros(), Some(1_000_000));
    assert!((19..=21).contains(&response.serial.len()));
}

#[test]
fn accuracy_of_every_form() {
    let mut response = TimestampResponse::parse(&capture()).unwrap();
    let mut micros = |accuracy: &[u8]| {
        response.accuracy = Some(accuracy.to_vec());
        response.accuracy_micros()
    };
    assert_eq!(micros(&[]), Some(0));
    assert_eq!(micros(&[2, 1, 2, 0x80, 1, 3, 0x81, 1, 4]), Some(2_003_004));
    assert_eq!(micros(&[0x80, 2, 3, 0xe7]), Some(999_000));
    assert_eq!(
        micros(&[2, 5, 0, 0xff, 0xff, 0xff, 0xff]),
        Some(u64::from(u32::MAX) * 1_000_000)
    );
    for bad in [
        &[2, 1][..],
        &[2, 0],
        &[2, 1, 0x80],
        &[2, 5, 1, 0, 0, 0, 0],
        &[2, 6, 0, 0, 0, 0, 0, 1],
        &[0x80, 2, 3, 0xe8],
        &[0x81, 2, 3, 0xe8],
        &[0x81, 1, 1, 0x80, 1, 1],
        &[2, 1, 1, 2, 1, 1],
        &[4, 1, 1],
    ] {
        assert_eq!(micros(bad), None, "{bad:?}");
    }
    response.accuracy = None;
    assert_eq!(response.accuracy_micros(), None);
    response.policy = Vec::new();
    assert_eq!(response.policy_text(), None);
}

#[test]
fn refused_and_broken_responses() {
    let good = capture();
    let mut longer = good.clone();
    longer.push(0);
    assert!(TimestampResponse::parse(&longer).is_err());
    for len in 0..good.len() {
        assert!(
            TimestampResponse::parse(&good[..len]).is_err(),
            "cut at {len}"
        );
    }
    assert_eq!(
        TimestampResponse::parse(&hex::decode("30053003020102").unwrap()),
        Err(TimestampError::NotGranted { status: 2 })
    );
}

#[test]
fn times_with_fractions() {
    let time = |text: &str| generalized_time(text.as_bytes());
    assert_eq!(
        time("20261122233000Z").unwrap().rfc3339(),
        "2026-11-22T23:30:00Z"
    );
    assert_eq!(
        time("20261122233000.123Z").unwrap().rfc3339(),
        "2026-11-22T23:30:00.123Z"
    );
    for bad in [
        "20261122233000",
        "202611222330Z",
        "20261322233000Z",
        "20261122233000.Z",
        "20261122233000+01Z",
    ] {
        assert!(time(bad).is_none(), "{bad}");
    }
}

#[test]
fn queries_name_the_hash_of_the_digest() {
    for (name, last) in [("sha256", 1), ("sha384", 2), ("sha512", 3)] {
        let digest = HashAlgorithm::from_name(name).unwrap().digest(b"hello");
        let query = hex::encode(encode_request(&digest, &[1; 8]));
        let named = hex::encode(encode(asn1::OBJECT_IDENTIFIER, &[SHA_2, &[last]].concat()));
        assert!(query.contains(&named), "{name}");
        assert!(query.contains(&digest.hex()), "{name}");
    }
}

#[test]
fn times_are_digits() {
    let time = |text: &str| generalized_time(text.as_bytes());
    assert_eq!(
        time("20261122233000.123456789Z").unwrap().rfc3339(),
        "2026-11-22T23:30:00.123456789Z"
    );
    for bad in [
        "20261122233000.1234567891Z",
        "20261122233000.1.2Z",
        "20261122233000.1+01Z",
        "2026112223300xZ",
        "1\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}bZ",
        "20261122233000Z\u{e4}Z",
    ] {
        assert!(time(bad).is_none(), "{bad}");
    }
}

#[test]
fn an_extension_is_critical_that_says_so() {
    let extension = |fields: &[&[u8]]| encode(asn1::SEQUENCE, &fields.concat());
    let name = encode(asn1::OBJECT_IDENTIFIER, &[0x2a, 3]);
    let value = encode(asn1::OCTET_STRING, b"value");
    let plain = extension(&[&name, &value]);
    let said = |answer: u8| extension(&[&name, &[1, 1, answer], &value]);
    for (extensions, expected) in [
        (Vec::new(), Some(false)),
        (plain.clone(), Some(false)),
        (said(0), Some(false)),
        (said(0xff), Some(true)),
        (said(1), Some(true)),
        ([plain.clone(), said(0xff)].concat(), Some(true)),
        ([said(0xff), plain.clone()].concat(), Some(true)),
        (extension(&[&value]), None),
        (value.clone(), None),
    ] {
        assert_eq!(has_critical(&extensions), expected, "{extensions:?}");
    }
}

#[test]
fn a_certificate_is_named_by_issuer_and_number() {
    let directory = |name: &[u8]| encode(0xa4, name);
    let signer = SignerIdentifier::IssuerAndSerial {
        issuer: b"issuer".to_vec(),
        serial: vec![7],
    };
    let fits = |names: &[u8], number: &[u8], signer: &SignerIdentifier| {
        let named = NamedCertificate {
            hash: Digest::sha256(b""),
            issuer_serial: Some((names, number)),
        };
        named.fits(signer)
    };
    for (names, number, expected) in [
        (directory(b"issuer"), 7, true),
        (directory(b"issuer"), 8, false),
        (directory(b"other"), 7, false),
        (encode(0x86, b"issuer"), 7, false),
        (Vec::new(), 7, false),
        (
            [directory(b"other"), directory(b"issuer")].concat(),
            7,
            true,
        ),
        (
            [encode(0x86, b"issuer"), directory(b"other")].concat(),
            7,
            false,
        ),
    ] {
        assert_eq!(
            fits(&names, &[number], &signer),
            expected,
            "{names:?} {number}"
        );
    }
    // A signer who is named by the identifier of a key has no issuer to compare.
    let by_key = SignerIdentifier::SubjectKeyIdentifier(b"id".to_vec());
    assert!(fits(&directory(b"issuer"), &[7], &by_key));
}
