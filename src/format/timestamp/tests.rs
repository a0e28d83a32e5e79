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

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    encode(asn1::SEQUENCE, &parts.concat())
}

fn identifier(oid: &[u8], parameters: &[u8]) -> Vec<u8> {
    let oid = encode(asn1::OBJECT_IDENTIFIER, oid);
    sequence(&[oid, parameters.to_vec()])
}

fn sha2_identifier(last: u8) -> Vec<u8> {
    identifier(&[SHA_2, &[last]].concat(), &[])
}

/// A response by its parts, each of which may be changed. Nothing in it is signed.
struct Parts {
    version: u8,
    content_type: &'static [u8],
    digest_algorithm: Vec<u8>,
    signature_algorithm: Vec<u8>,
    /// What follows genTime in TSTInfo.
    info: Vec<Vec<u8>>,
    /// What stands between content and signer: certificates, revocation lists.
    sets: Vec<Vec<u8>>,
    signer: Vec<u8>,
    signature: Vec<u8>,
    unsigned: Vec<u8>,
}

fn parts() -> Parts {
    Parts {
        version: 3,
        content_type: TST_INFO,
        digest_algorithm: sha2_identifier(1),
        signature_algorithm: identifier(&[ECDSA_WITH_SHA_2, &[2]].concat(), &[]),
        info: Vec::new(),
        sets: Vec::new(),
        signer: sequence(&[sequence(&[]), encode(asn1::INTEGER, &[7])]),
        signature: vec![9],
        unsigned: Vec::new(),
    }
}

impl Parts {
    fn encode(&self) -> Vec<u8> {
        let integer = |n| encode(asn1::INTEGER, &[n]);
        let octets = |bytes: &[u8]| encode(asn1::OCTET_STRING, bytes);
        let oid = |oid: &[u8]| encode(asn1::OBJECT_IDENTIFIER, oid);
        let set = |inner: &[u8]| encode(asn1::SET, inner);
        let imprint = sequence(&[sha2_identifier(1), octets(&[5; 32])]);
        let time = encode(0x18, b"20261122233000Z");
        let mut info = vec![integer(1), oid(&[42]), imprint, integer(1), time];
        info.extend(self.info.iter().cloned());
        let content = encode(asn1::CONTEXT_0, &octets(&sequence(&info)));
        let attributes = [
            sequence(&[oid(CONTENT_TYPE), set(&oid(TST_INFO))]),
            sequence(&[oid(MESSAGE_DIGEST), set(&octets(&[6; 32]))]),
        ];
        let signer = sequence(&[
            integer(1),
            self.signer.clone(),
            self.digest_algorithm.clone(),
            encode(asn1::CONTEXT_0, &attributes.concat()),
            self.signature_algorithm.clone(),
            octets(&self.signature),
            self.unsigned.clone(),
        ]);
        let signed_data = sequence(&[
            integer(self.version),
            set(&[]),
            sequence(&[oid(self.content_type), content]),
            self.sets.concat(),
            set(&signer),
        ]);
        let token = sequence(&[oid(SIGNED_DATA), encode(asn1::CONTEXT_0, &signed_data)]);
        sequence(&[sequence(&[integer(0)]), token])
    }

    fn parse(&self) -> Result<TimestampResponse, TimestampError> {
        TimestampResponse::parse(&self.encode())
    }

    #[track_caller]
    fn refused(&self, reason: &'static str) {
        assert_eq!(self.parse(), Err(TimestampError::Malformed { reason }));
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
fn a_response_has_a_bound() {
    let mut parts = parts();
    parts.signature = vec![9; 60_000];
    let rest = limits::TIMESTAMP_LEN - parts.encode().len();
    parts.signature = vec![9; 60_000 + rest];
    assert_eq!(parts.encode().len(), limits::TIMESTAMP_LEN);
    assert_eq!(parts.parse().unwrap().signature.len(), 60_000 + rest);
    parts.signature.push(9);
    parts.refused("longer than 64 KiB");
}

#[test]
fn hash_and_signature_algorithm_fit() {
    let pkcs1 = |last| identifier(&[PKCS_1, &[last]].concat(), &[5, 0]);
    let ecdsa = |last| identifier(&[ECDSA_WITH_SHA_2, &[last]].concat(), &[]);
    let differs = "the signature algorithm is unknown, or differs from the digest algorithm";
    for (number, hash) in [
        (1, HashAlgorithm::Sha256),
        (2, HashAlgorithm::Sha384),
        (3, HashAlgorithm::Sha512),
    ] {
        let mut parts = parts();
        parts.digest_algorithm = sha2_identifier(number);
        for algorithm in [
            ecdsa(number + 1),
            pkcs1(number + 10),
            pkcs1(1),
            identifier(ED25519, &[]),
        ] {
            parts.signature_algorithm = algorithm;
            let response = parts.parse().unwrap();
            assert_eq!(response.signature_hash, hash);
            assert_eq!(response.content_digest.algorithm(), hash);
        }
        let other = number % 3 + 1;
        for algorithm in [
            ecdsa(other + 1),
            pkcs1(other + 10),
            ecdsa(5),
            pkcs1(5),
            identifier(&[42], &[]),
        ] {
            parts.signature_algorithm = algorithm;
            parts.refused(differs);
        }
    }
    let mut parts = parts();
    parts.digest_algorithm = identifier(&[SHA_2, &[1]].concat(), &[5, 0]);
    assert!(parts.parse().is_ok(), "parameters may be NULL");
    for bad in [
        identifier(&[SHA_2, &[1]].concat(), &[4, 0]),
        sha2_identifier(4),
        identifier(&[0x2b, 14, 3, 2, 26], &[]), // SHA-1
    ] {
        parts.digest_algorithm = bad;
        parts.refused("the signer's digest algorithm is not SHA-2");
    }
}

#[test]
fn further_fields_stand_once_and_in_order() {
    let fields = [
        sequence(&[]),
        encode(1, &[0xff]),
        encode(asn1::INTEGER, &[1, 2, 3]),
        encode(asn1::CONTEXT_0, &[]),
        encode(0xa1, &[]),
    ];
    let with = |info: Vec<Vec<u8>>| {
        let mut parts = parts();
        parts.info = info;
        parts
    };
    let all = with(fields.to_vec()).parse().unwrap();
    assert_eq!(all.nonce.as_deref(), Some(&[1, 2, 3][..]));
    let unreadable = "the TSTInfo cannot be read";
    for (at, field) in fields.iter().enumerate() {
        assert!(with(vec![field.clone()]).parse().is_ok());
        with(vec![field.clone(), field.clone()]).refused(unreadable);
        for earlier in &fields[..at] {
            assert!(with(vec![earlier.clone(), field.clone()]).parse().is_ok());
            with(vec![field.clone(), earlier.clone()]).refused(unreadable);
        }
    }
    with(vec![encode(asn1::UTF8_STRING, &[])]).refused(unreadable);
    with(vec![vec![0xa1, 1]]).refused(unreadable);
}

#[test]
fn signed_data_is_of_version_3_and_over_a_time() {
    let mut older = parts();
    older.version = 1;
    older.refused("signed data is not of version 3");
    let mut other = parts();
    other.content_type = SIGNED_DATA;
    other.refused("the content is not a TSTInfo");
}

#[test]
fn certificates_and_revocation_lists_may_come_along() {
    let certificate = sequence(&[encode(asn1::INTEGER, &[7])]);
    let certificates = |count| encode(asn1::CONTEXT_0, &certificate.repeat(count));
    let mut parts = parts();
    parts.sets = vec![certificates(10), encode(0xa1, &[])];
    assert_eq!(
        parts.parse().unwrap().certificates,
        vec![certificate.clone(); 10]
    );
    let reason = "the certificates cannot be read, or are more than ten";
    parts.sets = vec![certificates(11)];
    parts.refused(reason);
    parts.sets = vec![encode(asn1::CONTEXT_0, &[0x30, 1])];
    parts.refused(reason);
}

#[test]
fn unsigned_attributes_may_follow_and_nothing_else() {
    let mut parts = parts();
    parts.unsigned = encode(0xa1, &[]);
    assert!(parts.parse().is_ok());
    for bad in [encode(0xa2, &[]), encode(0xa1, &[]).repeat(2), vec![0]] {
        parts.unsigned = bad;
        parts.refused("bytes follow the signature");
    }
}

#[test]
fn a_signer_is_identified_in_one_of_two_ways() {
    let mut parts = parts();
    let issuer = sequence(&[]);
    let serial = vec![7];
    let identified = SignerIdentifier::IssuerAndSerial { issuer, serial };
    assert_eq!(parts.parse().unwrap().signer, identified);
    parts.signer = encode(0x80, &[1, 2]);
    let identified = SignerIdentifier::SubjectKeyIdentifier(vec![1, 2]);
    assert_eq!(parts.parse().unwrap().signer, identified);
    for bad in [encode(0x81, &[1, 2]), sequence(&[sequence(&[])])] {
        parts.signer = bad;
        parts.refused("the signer is not identified");
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
