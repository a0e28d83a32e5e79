//! RFC 3161 timestamps: the query, and the response with its signed token.
//!
//! The token is walked element by element, because its signature covers exact bytes. Nothing is
//! verified here; `verify` judges the signer, the imprint and the time.

use super::limits;
use crate::crypto::asn1::{self, Tlv, encode};
use crate::crypto::{Digest, HashAlgorithm, UnixTime};

/// Why a timestamp response could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not the DER structure of RFC 3161 and RFC 5652.
    #[error("malformed timestamp: {reason}")]
    Malformed {
        /// Which element is wrong.
        reason: &'static str,
    },
    /// The authority did not grant a timestamp.
    #[error("timestamp was not granted (PKIStatus {status})")]
    NotGranted {
        /// Status of RFC 3161 §2.4.2.
        status: u8,
    },
}

const fn malformed<T>(reason: &'static str) -> Result<T, TimestampError> {
    Err(TimestampError::Malformed { reason })
}

// Contents of object identifiers.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
const SHA_2: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2];
const ECDSA_WITH_SHA_2: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
const PKCS_1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Encodes a TimeStampReq (RFC 3161 §2.4.1) for a digest, with a nonce and without a request for
/// certificates: the verifier has them.
pub fn encode_request(digest: &Digest, nonce: &[u8; 8]) -> Vec<u8> {
    let last = match digest.algorithm() {
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha384 => 2,
        HashAlgorithm::Sha512 => 3,
    };
    let algorithm = [
        encode(asn1::OBJECT_IDENTIFIER, &[SHA_2, &[last]].concat()),
        encode(5, &[]),
    ]
    .concat();
    let imprint = [
        encode(asn1::SEQUENCE, &algorithm),
        encode(asn1::OCTET_STRING, digest.as_bytes()),
    ]
    .concat();
    let fields = [
        encode(asn1::INTEGER, &[1]),
        encode(asn1::SEQUENCE, &imprint),
        encode(asn1::INTEGER, &integer(nonce)),
    ];
    encode(asn1::SEQUENCE, &fields.concat())
}

/// Content octets of a non-negative INTEGER: no leading zeros but one where the sign bit needs it.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let skip = bytes
        .iter()
        .take_while(|b| **b == 0)
        .count()
        .min(bytes.len() - 1);
    let mut out = Vec::new();
    if bytes[skip] & 0x80 != 0 {
        out.push(0);
    }
    out.extend_from_slice(&bytes[skip..]);
    out
}

/// How the token names its signer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerIdentifier {
    /// By issuer and serial number.
    IssuerAndSerial {
        /// DER name of the issuer.
        issuer: Vec<u8>,
        /// Content octets of the serial number.
        serial: Vec<u8>,
    },
    /// By subject key identifier.
    SubjectKeyIdentifier(Vec<u8>),
}

/// A timestamp response, parsed; its signature is not verified by that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampResponse {
    /// Digest that was stamped.
    pub imprint: Digest,
    /// Time that was stamped (genTime).
    pub time: UnixTime,
    /// Nonce of the query, content octets of the INTEGER.
    pub nonce: Option<Vec<u8>>,
    /// Policy of the authority, content octets of the OBJECT IDENTIFIER. Shown, never judged.
    pub policy: Vec<u8>,
    /// Serial number of the token, content octets of the INTEGER.
    pub serial: Vec<u8>,
    /// How far the time may be off, content octets of the Accuracy; undecoded, as nothing is judged by it.
    pub accuracy: Option<Vec<u8>>,
    /// Digest of the TSTInfo under the signer's digest algorithm, computed from its bytes.
    pub content_digest: Digest,
    /// Digest of the TSTInfo as the signed attributes state it.
    pub message_digest: Vec<u8>,
    /// SHA-2 digest of the signer's certificate (RFC 5816 ESSCertIDv2); `None` where only the SHA-1 form of
    /// RFC 3161 is there, which is not accepted.
    pub signing_certificate: Option<Digest>,
    /// The signed attributes as they were signed, a SET OF.
    pub signed_attributes: Vec<u8>,
    /// Hash of the signature.
    pub signature_hash: HashAlgorithm,
    /// The signature's bytes.
    pub signature: Vec<u8>,
    /// Who signed.
    pub signer: SignerIdentifier,
    /// Certificates that came along, DER. Hints, never trusted.
    pub certificates: Vec<Vec<u8>>,
}

impl TimestampResponse {
    /// Parses a DER TimeStampResp.
    ///
    /// # Errors
    /// [`TimestampError`].
    pub fn parse(der: &[u8]) -> Result<Self, TimestampError> {
        if der.len() > limits::TIMESTAMP_LEN {
            return malformed("longer than 64 KiB");
        }
        let Some(outer) = Tlv::only(der, asn1::SEQUENCE) else {
            return malformed("not one DER sequence");
        };
        let mut fields = outer.content;
        let status = Tlv::expect(&mut fields, asn1::SEQUENCE)
            .and_then(|info| Tlv::expect(&mut { info.content }, asn1::INTEGER));
        match status.map(|status| status.content) {
            // Granted, or granted with modifications: what was granted is in the token.
            Some([0 | 1]) => {}
            Some([status]) => return Err(TimestampError::NotGranted { status: *status }),
            _ => return malformed("no status"),
        }
        let Some(content_info) = Tlv::only(fields, asn1::SEQUENCE) else {
            return malformed("no token, or bytes after it");
        };
        let mut fields = content_info.content;
        if oid(&mut fields) != Some(SIGNED_DATA) {
            return malformed("the token is not signed data");
        }
        let signed_data = Tlv::only(fields, asn1::CONTEXT_0)
            .and_then(|explicit| Tlv::only(explicit.content, asn1::SEQUENCE));
        let Some(signed_data) = signed_data else {
            return malformed("the signed data is no sequence");
        };
        parse_signed_data(signed_data.content)
    }

    /// Returns the policy in dotted form; `None` for one that is no object identifier.
    pub fn policy_text(&self) -> Option<String> {
        let oid = der::asn1::ObjectIdentifier::from_bytes(&self.policy).ok()?;
        Some(oid.to_string())
    }

    /// Returns the accuracy in microseconds (RFC 3161 §2.4.2); `None` without one, or where it breaks its form.
    pub fn accuracy_micros(&self) -> Option<u64> {
        let mut fields = self.accuracy.as_deref()?;
        let mut micros = 0u64;
        for (tag, unit, limit) in [
            (asn1::INTEGER, 1_000_000, u64::from(u32::MAX)),
            (0x80, 1000, 999),
            (0x81, 1, 999),
        ] {
            let Some(field) = Tlv::expect(&mut fields, tag) else {
                continue;
            };
            let fits = (1..=5).contains(&field.content.len()) && field.content[0] & 0x80 == 0;
            let number = field
                .content
                .iter()
                .take(5)
                .fold(0, |number, byte| (number << 8) | u64::from(*byte));
            if !fits || number > limit {
                return None;
            }
            micros += number * unit;
        }
        fields.is_empty().then_some(micros)
    }
}

fn oid<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    Tlv::expect(input, asn1::OBJECT_IDENTIFIER).map(|tlv| tlv.content)
}

fn sha2(oid: &[u8]) -> Option<HashAlgorithm> {
    match oid.strip_prefix(SHA_2)? {
        [1] => Some(HashAlgorithm::Sha256),
        [2] => Some(HashAlgorithm::Sha384),
        [3] => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

/// Reads an AlgorithmIdentifier of a hash, parameters absent or NULL.
fn hash_algorithm(input: &mut &[u8]) -> Option<HashAlgorithm> {
    let mut fields = Tlv::expect(input, asn1::SEQUENCE)?.content;
    let algorithm = sha2(oid(&mut fields)?)?;
    matches!(fields, [] | [5, 0]).then_some(algorithm)
}

/// The hash that a signature AlgorithmIdentifier implies; `digest` where it implies none.
fn signature_algorithm(input: &mut &[u8], digest: HashAlgorithm) -> Option<HashAlgorithm> {
    let mut fields = Tlv::expect(input, asn1::SEQUENCE)?.content;
    let algorithm = oid(&mut fields)?;
    let implied = match (
        algorithm.strip_prefix(ECDSA_WITH_SHA_2),
        algorithm.strip_prefix(PKCS_1),
    ) {
        (Some([2]), _) | (_, Some([11])) => HashAlgorithm::Sha256,
        (Some([3]), _) | (_, Some([12])) => HashAlgorithm::Sha384,
        (Some([4]), _) | (_, Some([13])) => HashAlgorithm::Sha512,
        (_, Some([1])) => digest,
        _ if algorithm == ED25519 => digest,
        _ => return None,
    };
    (implied == digest).then_some(implied)
}

struct TstInfo {
    imprint: Digest,
    time: UnixTime,
    nonce: Option<Vec<u8>>,
    policy: Vec<u8>,
    serial: Vec<u8>,
    accuracy: Option<Vec<u8>>,
}

fn tst_info(der: &[u8]) -> Option<TstInfo> {
    let mut fields = Tlv::only(der, asn1::SEQUENCE)?.content;
    if Tlv::expect(&mut fields, asn1::INTEGER)?.content != [1] {
        return None;
    }
    let policy = oid(&mut fields)?.to_vec();
    let mut imprint = Tlv::expect(&mut fields, asn1::SEQUENCE)?.content;
    let algorithm = hash_algorithm(&mut imprint)?;
    let imprint = Digest::new(algorithm, Tlv::only(imprint, asn1::OCTET_STRING)?.content)?;
    let serial = Tlv::expect(&mut fields, asn1::INTEGER)?.content.to_vec();
    let time = generalized_time(Tlv::expect(&mut fields, 0x18)?.content)?;
    let (mut nonce, mut accuracy) = (None, None);
    // accuracy, ordering, nonce, [0] tsa, [1] extensions: each at most once, in this order.
    let mut last = 0;
    while !fields.is_empty() {
        let field = Tlv::read(&mut fields)?;
        let place = match field.tag {
            asn1::SEQUENCE => 1,
            0x01 => 2,
            asn1::INTEGER => 3,
            asn1::CONTEXT_0 => 4,
            0xa1 => 5,
            _ => return None,
        };
        if place <= last {
            return None;
        }
        last = place;
        match field.tag {
            asn1::INTEGER => nonce = Some(field.content.to_vec()),
            asn1::SEQUENCE => accuracy = Some(field.content.to_vec()),
            0xa1 if has_critical(field.content)? => return None,
            _ => {}
        }
    }
    Some(TstInfo {
        imprint,
        time,
        nonce,
        policy,
        serial,
        accuracy,
    })
}

/// Returns whether one of the extensions is critical: this program understands none (RFC 3161 §2.4.2).
fn has_critical(mut extensions: &[u8]) -> Option<bool> {
    let mut found = false;
    while !extensions.is_empty() {
        let mut fields = Tlv::expect(&mut extensions, asn1::SEQUENCE)?.content;
        oid(&mut fields)?;
        found |= Tlv::expect(&mut fields, 0x01).is_some_and(|critical| critical.content != [0]);
    }
    Some(found)
}

/// Parses `YYYYMMDDHHMMSS[.f…]Z` (RFC 3161 §2.4.2; the fraction has no trailing zeros there, which is not
/// insisted upon).
fn generalized_time(content: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let part = |range: std::ops::Range<usize>| &whole[range];
    UnixTime::parse_rfc3339(&format!(
        "{}-{}-{}T{}:{}:{}.{fraction}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(8..10),
        part(10..12),
        part(12..14),
    ))
}

fn parse_signed_data(mut fields: &[u8]) -> Result<TimestampResponse, TimestampError> {
    let version = Tlv::expect(&mut fields, asn1::INTEGER).map(|version| version.content);
    if version != Some(&[3]) || Tlv::expect(&mut fields, asn1::SET).is_none() {
        return malformed("signed data is not of version 3");
    }
    let encapsulated = Tlv::expect(&mut fields, asn1::SEQUENCE).and_then(|encapsulated| {
        let mut inner = encapsulated.content;
        let content_type = oid(&mut inner)?;
        let explicit = Tlv::only(inner, asn1::CONTEXT_0)?;
        let content = Tlv::only(explicit.content, asn1::OCTET_STRING)?;
        (content_type == TST_INFO).then_some(content.content)
    });
    let Some(content) = encapsulated else {
        return malformed("the content is not a TSTInfo");
    };
    let Some(info) = tst_info(content) else {
        return malformed("the TSTInfo cannot be read");
    };
    let mut certificates = Vec::new();
    if let Some(set) = Tlv::expect(&mut fields, asn1::CONTEXT_0) {
        let mut rest = set.content;
        while !rest.is_empty() {
            match Tlv::read(&mut rest) {
                Some(certificate) if certificates.len() < limits::CHAIN_CERTIFICATES => {
                    certificates.push(certificate.raw.to_vec());
                }
                _ => return malformed("the certificates cannot be read, or are more than ten"),
            }
        }
    }
    let _revocation_lists = Tlv::expect(&mut fields, 0xa1);
    let Some(signer) =
        Tlv::only(fields, asn1::SET).and_then(|set| Tlv::only(set.content, asn1::SEQUENCE))
    else {
        return malformed("not exactly one signer");
    };
    parse_signer(signer.content, content, info, certificates)
}

fn parse_signer(
    mut fields: &[u8],
    content: &[u8],
    info: TstInfo,
    certificates: Vec<Vec<u8>>,
) -> Result<TimestampResponse, TimestampError> {
    let version = Tlv::expect(&mut fields, asn1::INTEGER).map(|version| version.content);
    let Some(signer) = signer_identifier(&mut fields) else {
        return malformed("the signer is not identified");
    };
    // RFC 5652 §5.3: the version goes with the way in which the signer is identified.
    let expected: &[u8] = match signer {
        SignerIdentifier::IssuerAndSerial { .. } => &[1],
        SignerIdentifier::SubjectKeyIdentifier(_) => &[3],
    };
    if version != Some(expected) {
        return malformed("the signer's version does not go with its identifier");
    }
    let Some(digest_algorithm) = hash_algorithm(&mut fields) else {
        return malformed("the signer's digest algorithm is not SHA-2");
    };
    let Some(attributes) = Tlv::expect(&mut fields, asn1::CONTEXT_0) else {
        return malformed("there are no signed attributes");
    };
    let Some(signature_hash) = signature_algorithm(&mut fields, digest_algorithm) else {
        return malformed(
            "the signature algorithm is unknown, or differs from the digest algorithm",
        );
    };
    let Some(signature) = Tlv::expect(&mut fields, asn1::OCTET_STRING) else {
        return malformed("there is no signature");
    };
    if !fields.is_empty() && Tlv::only(fields, 0xa1).is_none() {
        return malformed("bytes follow the signature");
    }
    let (message_digest, named) = signed_attributes(attributes.content)?;
    if named.as_ref().is_some_and(|named| !named.fits(&signer)) {
        return malformed(
            "the signingCertificateV2 attribute is of another issuer or serial number",
        );
    }
    let signing_certificate = named.map(|named| named.hash);
    // RFC 5652 §5.4: what is signed is the DER encoding, a SET OF in order, whatever order was sent.
    let mut each: Vec<&[u8]> = Vec::new();
    let mut rest = attributes.content;
    while let Some(attribute) = Tlv::read(&mut rest) {
        each.push(attribute.raw);
    }
    each.sort_unstable();
    let signed = encode(asn1::SET, &each.concat());
    Ok(TimestampResponse {
        imprint: info.imprint,
        time: info.time,
        nonce: info.nonce,
        policy: info.policy,
        serial: info.serial,
        accuracy: info.accuracy,
        content_digest: digest_algorithm.digest(content),
        message_digest,
        signing_certificate,
        signed_attributes: signed,
        signature_hash,
        signature: signature.content.to_vec(),
        signer,
        certificates,
    })
}

fn signer_identifier(fields: &mut &[u8]) -> Option<SignerIdentifier> {
    if let Some(key_id) = Tlv::expect(fields, 0x80) {
        return Some(SignerIdentifier::SubjectKeyIdentifier(
            key_id.content.to_vec(),
        ));
    }
    let mut inner = Tlv::expect(fields, asn1::SEQUENCE)?.content;
    let issuer = Tlv::expect(&mut inner, asn1::SEQUENCE)?.raw.to_vec();
    let serial = Tlv::only(inner, asn1::INTEGER)?.content.to_vec();
    Some(SignerIdentifier::IssuerAndSerial { issuer, serial })
}

/// Reads the attributes that RFC 3161 and RFC 5816 demand: each once, with one value.
fn signed_attributes(
    mut attributes: &[u8],
) -> Result<(Vec<u8>, Option<NamedCertificate<'_>>), TimestampError> {
    let (mut content_type, mut message_digest, mut signing_certificate) = (None, None, None);
    while !attributes.is_empty() {
        let attribute = Tlv::expect(&mut attributes, asn1::SEQUENCE).and_then(|attribute| {
            let mut inner = attribute.content;
            Some((oid(&mut inner)?, Tlv::only(inner, asn1::SET)?.content))
        });
        let Some((name, value)) = attribute else {
            return malformed("a signed attribute cannot be read");
        };
        let slot = match name {
            CONTENT_TYPE => &mut content_type,
            MESSAGE_DIGEST => &mut message_digest,
            SIGNING_CERTIFICATE_V2 => &mut signing_certificate,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return malformed("a signed attribute appears twice");
        }
    }
    let content_type = content_type.and_then(|value| Tlv::only(value, asn1::OBJECT_IDENTIFIER));
    if content_type.map(|oid| oid.content) != Some(TST_INFO) {
        return malformed("the contentType attribute is not TSTInfo");
    }
    let Some(digest) = message_digest.and_then(|value| Tlv::only(value, asn1::OCTET_STRING)) else {
        return malformed("there is no messageDigest attribute");
    };
    let certificate = match signing_certificate.map(named_certificate) {
        Some(None) => return malformed("the signingCertificateV2 attribute cannot be read"),
        Some(certificate) => certificate,
        None => None,
    };
    Ok((digest.content.to_vec(), certificate))
}

/// What an ESSCertIDv2 says of a certificate.
struct NamedCertificate<'a> {
    hash: Digest,
    /// GeneralNames of the issuer, and the serial number.
    issuer_serial: Option<(&'a [u8], &'a [u8])>,
}

impl NamedCertificate<'_> {
    /// Returns whether issuer and serial number, where they are given, are the signer's.
    fn fits(&self, signer: &SignerIdentifier) -> bool {
        let (Some((mut names, number)), SignerIdentifier::IssuerAndSerial { issuer, serial }) =
            (self.issuer_serial, signer)
        else {
            return true;
        };
        // directoryName [4], explicit for a Name is a CHOICE.
        let directory = std::iter::from_fn(|| Tlv::read(&mut names))
            .any(|name| name.tag == 0xa4 && name.content == issuer);
        directory && number == serial
    }
}

/// First ESSCertIDv2 of a SigningCertificateV2 (RFC 5035 §4): the signer's own.
fn named_certificate(value: &[u8]) -> Option<NamedCertificate<'_>> {
    let mut certs = Tlv::expect(
        &mut { Tlv::only(value, asn1::SEQUENCE)?.content },
        asn1::SEQUENCE,
    )?
    .content;
    let mut fields = Tlv::expect(&mut certs, asn1::SEQUENCE)?.content;
    let algorithm = match Tlv::expect(&mut { fields }, asn1::SEQUENCE) {
        Some(_) => hash_algorithm(&mut fields)?,
        None => HashAlgorithm::Sha256,
    };
    let hash = Digest::new(
        algorithm,
        Tlv::expect(&mut fields, asn1::OCTET_STRING)?.content,
    )?;
    let issuer_serial = if fields.is_empty() {
        None
    } else {
        let mut inner = Tlv::only(fields, asn1::SEQUENCE)?.content;
        let names = Tlv::expect(&mut inner, asn1::SEQUENCE)?.content;
        Some((names, Tlv::only(inner, asn1::INTEGER)?.content))
    };
    Some(NamedCertificate {
        hash,
        issuer_serial,
    })
}

#[cfg(test)]
mod tests;
