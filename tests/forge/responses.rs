//! RFC 3161 responses by their parts: what is read, and the rule that each other form breaks. Nothing here is
//! signed; what signatures must hold is in `timestamps.rs`.

use keyless::crypto::HashAlgorithm;
use keyless::crypto::asn1::{self, encode};
use keyless::format::limits;
use keyless::format::timestamp::{SignerIdentifier, TimestampError, TimestampResponse};

use crate::asn1::sequence;

// Contents of object identifiers.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
const ECDSA_WITH_SHA_2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
const PKCS_1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

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
        let version = if self.signer.first() == Some(&0x80) {
            3
        } else {
            1
        };
        let signer = sequence(&[
            integer(version),
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
