//! Signed certificate timestamps (RFC 6962 §3.2 and §3.3) and what they sign.

use super::limits;
use crate::crypto::asn1::{self, Tlv, encode};
use crate::crypto::certificate::SCT_LIST;
use crate::crypto::{Certificate, Digest, HashAlgorithm, UnixTime};

/// Why a list of signed certificate timestamps could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed signed certificate timestamp list: {reason}")]
pub struct SctError {
    /// Which rule is broken.
    pub reason: &'static str,
}

const fn malformed<T>(reason: &'static str) -> Result<T, SctError> {
    Err(SctError { reason })
}

/// Signature algorithms of RFC 5246 §7.4.1.4.1 that CT logs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SctSignatureAlgorithm {
    /// RSA PKCS#1 v1.5, code 1.
    Rsa,
    /// ECDSA, code 3.
    Ecdsa,
}

/// A version 1 timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCertificateTimestamp {
    /// SHA-256 over the log's SubjectPublicKeyInfo.
    pub log_id: [u8; 32],
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Extensions, carried into what is signed; static-CT logs put the leaf index here.
    pub extensions: Vec<u8>,
    /// Hash of the signature.
    pub hash: HashAlgorithm,
    /// Kind of the signature.
    pub algorithm: SctSignatureAlgorithm,
    /// The signature's bytes.
    pub signature: Vec<u8>,
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, len: usize) -> Option<u64> {
        Some(
            self.take(len)?
                .iter()
                .fold(0, |n, b| (n << 8) | u64::from(*b)),
        )
    }

    fn vector(&mut self) -> Option<&'a [u8]> {
        let len = self.number(2)?;
        self.take(usize::try_from(len).ok()?)
    }
}

impl SignedCertificateTimestamp {
    /// Returns when the log promised to include the certificate.
    pub fn time(&self) -> UnixTime {
        UnixTime::from_millis(self.timestamp)
    }

    /// Parses one timestamp. `Ok(None)` for a version or algorithm that is not ours: such a timestamp does
    /// not count, and does not spoil the others.
    ///
    /// # Errors
    /// [`SctError`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, SctError> {
        let mut reader = Reader(bytes);
        let fields = (|| {
            let version = reader.number(1)?;
            let log_id: [u8; 32] = reader.take(32)?.try_into().ok()?;
            let timestamp = reader.number(8)?;
            let extensions = reader.vector()?.to_vec();
            let hash = reader.number(1)?;
            let algorithm = reader.number(1)?;
            let signature = reader.vector()?.to_vec();
            Some((
                version, log_id, timestamp, extensions, hash, algorithm, signature,
            ))
        })();
        let Some((version, log_id, timestamp, extensions, hash, algorithm, signature)) = fields
        else {
            return malformed("a timestamp is cut short");
        };
        if version != 0 {
            return Ok(None);
        }
        if !reader.0.is_empty() {
            return malformed("bytes follow a timestamp");
        }
        let hash = match hash {
            4 => HashAlgorithm::Sha256,
            5 => HashAlgorithm::Sha384,
            6 => HashAlgorithm::Sha512,
            _ => return Ok(None),
        };
        let algorithm = match algorithm {
            1 => SctSignatureAlgorithm::Rsa,
            3 => SctSignatureAlgorithm::Ecdsa,
            _ => return Ok(None),
        };
        Ok(Some(SignedCertificateTimestamp {
            log_id,
            timestamp,
            extensions,
            hash,
            algorithm,
            signature,
        }))
    }

    /// Encodes the timestamp.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0];
        out.extend_from_slice(&self.log_id);
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        push_vector(&mut out, &self.extensions);
        out.push(match self.hash {
            HashAlgorithm::Sha256 => 4,
            HashAlgorithm::Sha384 => 5,
            HashAlgorithm::Sha512 => 6,
        });
        out.push(match self.algorithm {
            SctSignatureAlgorithm::Rsa => 1,
            SctSignatureAlgorithm::Ecdsa => 3,
        });
        push_vector(&mut out, &self.signature);
        out
    }

    /// Returns the bytes that the log signed for a precertificate: `tbs` is the leaf's TBSCertificate
    /// without the SCT list, `issuer_key_hash` SHA-256 over the issuer's SubjectPublicKeyInfo.
    pub fn signed_input(&self, issuer_key_hash: &Digest, tbs: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0];
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(issuer_key_hash.as_bytes());
        out.extend_from_slice(&(tbs.len() as u32).to_be_bytes()[1..]);
        out.extend_from_slice(tbs);
        push_vector(&mut out, &self.extensions);
        out
    }
}

fn push_vector(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len())
        .expect("SCT vectors are bounded by what was parsed or made here");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Encodes the value of the SCT list extension: an OCTET STRING of the TLS list.
pub fn encode_list(timestamps: &[SignedCertificateTimestamp]) -> Vec<u8> {
    let mut list = Vec::new();
    for timestamp in timestamps {
        push_vector(&mut list, &timestamp.encode());
    }
    let mut out = Vec::new();
    push_vector(&mut out, &list);
    encode(asn1::OCTET_STRING, &out)
}

/// Reads the embedded timestamps of a certificate; empty without that extension.
///
/// # Errors
/// [`SctError`].
pub fn embedded(leaf: &Certificate) -> Result<Vec<SignedCertificateTimestamp>, SctError> {
    match leaf.extension(&SCT_LIST) {
        Some(extension) => parse_list(&extension.value),
        None => Ok(Vec::new()),
    }
}

/// Parses the value of the SCT list extension. Timestamps of versions and algorithms that are not ours are left out.
///
/// # Errors
/// [`SctError`].
pub fn parse_list(value: &[u8]) -> Result<Vec<SignedCertificateTimestamp>, SctError> {
    let Some(inner) = Tlv::only(value, asn1::OCTET_STRING) else {
        return malformed("the extension is not an OCTET STRING");
    };
    let mut outer = Reader(inner.content);
    let Some(list) = outer.vector().filter(|_| outer.0.is_empty()) else {
        return malformed("the list's length does not match");
    };
    let mut reader = Reader(list);
    let mut timestamps = Vec::new();
    let mut count = 0;
    while !reader.0.is_empty() {
        let Some(bytes) = reader.vector() else {
            return malformed("the list is cut short");
        };
        count += 1;
        if count > limits::SCTS {
            return malformed("more than 16 timestamps");
        }
        timestamps.extend(SignedCertificateTimestamp::parse(bytes)?);
    }
    Ok(timestamps)
}

/// Cuts the SCT list out of a TBSCertificate, leaving every other byte as it stood (RFC 6962 §3.2); only
/// the three lengths around it are written anew. `None` if the structure is not a TBSCertificate's.
pub fn without_sct_list(tbs: &[u8]) -> Option<Vec<u8>> {
    let outer = Tlv::only(tbs, asn1::SEQUENCE)?;
    let oid = der::Encode::to_der(&SCT_LIST).ok()?;
    let mut fields = Vec::new();
    let mut rest = outer.content;
    while !rest.is_empty() {
        let field = Tlv::read(&mut rest)?;
        if field.tag != asn1::CONTEXT_3 {
            fields.extend_from_slice(field.raw);
            continue;
        }
        let list = Tlv::only(field.content, asn1::SEQUENCE)?;
        let mut kept = Vec::new();
        let mut extensions = list.content;
        while !extensions.is_empty() {
            let extension = Tlv::expect(&mut extensions, asn1::SEQUENCE)?;
            let mut inner = extension.content;
            if Tlv::expect(&mut inner, asn1::OBJECT_IDENTIFIER)?.raw != oid {
                kept.extend_from_slice(extension.raw);
            }
        }
        if !kept.is_empty() {
            fields.extend(encode(asn1::CONTEXT_3, &encode(asn1::SEQUENCE, &kept)));
        }
    }
    Some(encode(asn1::SEQUENCE, &fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_round_trip_and_unknown_ones_do_not_count() {
        let sct = SignedCertificateTimestamp {
            log_id: [7; 32],
            timestamp: 1_675_209_600_000,
            extensions: vec![0, 0, 5, 0, 0, 13, 222, 20],
            hash: HashAlgorithm::Sha256,
            algorithm: SctSignatureAlgorithm::Ecdsa,
            signature: vec![1, 2, 3],
        };
        let bytes = sct.encode();
        assert_eq!(SignedCertificateTimestamp::parse(&bytes), Ok(Some(sct)));
        let mut newer = bytes.clone();
        newer[0] = 1;
        assert_eq!(SignedCertificateTimestamp::parse(&newer), Ok(None));
        assert!(SignedCertificateTimestamp::parse(&bytes[..bytes.len() - 1]).is_err());
        let mut longer = bytes;
        longer.push(0);
        assert!(SignedCertificateTimestamp::parse(&longer).is_err());
    }

    #[test]
    fn codes_of_hash_and_algorithm() {
        for (code, hash) in [
            (4, HashAlgorithm::Sha256),
            (5, HashAlgorithm::Sha384),
            (6, HashAlgorithm::Sha512),
        ] {
            for (kind, algorithm) in [
                (1, SctSignatureAlgorithm::Rsa),
                (3, SctSignatureAlgorithm::Ecdsa),
            ] {
                let sct = SignedCertificateTimestamp {
                    log_id: [7; 32],
                    timestamp: 1,
                    extensions: Vec::new(),
                    hash,
                    algorithm,
                    signature: vec![9],
                };
                let bytes = [
                    &[0],
                    &[7; 32][..],
                    &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, code, kind, 0, 1, 9],
                ]
                .concat();
                assert_eq!(sct.encode(), bytes);
                assert_eq!(
                    SignedCertificateTimestamp::parse(&bytes),
                    Ok(Some(sct.clone()))
                );
                let len = bytes.len() as u8;
                let list = [
                    &[asn1::OCTET_STRING, len + 4, 0, len + 2, 0, len],
                    &bytes[..],
                ]
                .concat();
                assert_eq!(encode_list(&[sct]), list);
            }
        }
        for (hash, algorithm) in [(3, 3), (7, 3), (4, 2), (4, 0)] {
            let bytes = [&[0; 43][..], &[hash, algorithm, 0, 0]].concat();
            assert_eq!(SignedCertificateTimestamp::parse(&bytes), Ok(None));
        }
    }

    #[test]
    fn the_list_is_cut_out_with_its_frame_where_nothing_else_is_in_it() {
        let oid =
            |oid: der::asn1::ObjectIdentifier| encode(asn1::OBJECT_IDENTIFIER, oid.as_bytes());
        let extension = |of| {
            encode(
                asn1::SEQUENCE,
                &[oid(of), encode(asn1::OCTET_STRING, &[1])].concat(),
            )
        };
        let tbs = |extensions: &[Vec<u8>]| {
            let serial = encode(asn1::INTEGER, &[7]);
            let framed = match extensions {
                [] => Vec::new(),
                some => encode(asn1::CONTEXT_3, &encode(asn1::SEQUENCE, &some.concat())),
            };
            encode(asn1::SEQUENCE, &[serial, framed].concat())
        };
        let list = extension(SCT_LIST);
        let other = extension(crate::crypto::certificate::SUBJECT_ALT_NAME);
        assert_eq!(
            without_sct_list(&tbs(std::slice::from_ref(&list))),
            Some(tbs(&[]))
        );
        assert_eq!(
            without_sct_list(&tbs(&[other.clone(), list])),
            Some(tbs(std::slice::from_ref(&other)))
        );
        assert_eq!(
            without_sct_list(&tbs(std::slice::from_ref(&other))),
            Some(tbs(&[other]))
        );
    }
}
