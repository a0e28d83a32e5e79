//! X.509 certificates (RFC 5280): parsed fields beside the exact bytes.
//!
//! Parsing only; which certificate may do what is judged in [`crate::crypto::chain`] and `verify`.

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::asn1::{self, Tlv};
use super::digest::HashAlgorithm;
use super::key::{BadSignature, KeyError, PublicKey};
use super::memo::SignatureMemo;
use super::pem;
use super::time::{TimeRange, UnixTime};

/// Largest certificate accepted, in bytes; Fulcio's are near 1 KiB, CI ones near 2 KiB.
pub const MAX_CERTIFICATE_LEN: usize = 64 * 1024;

/// Why a certificate could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a DER certificate, or longer than [`MAX_CERTIFICATE_LEN`].
    #[error("malformed certificate: {reason}")]
    Malformed {
        /// What the parser met.
        reason: String,
    },
    /// The subject's key is not usable.
    #[error("certificate key: {0}")]
    Key(#[from] KeyError),
    /// Signed with an algorithm that is not used in this field.
    #[error("unsupported certificate signature algorithm {algorithm}")]
    UnsupportedSignature {
        /// Object identifier found.
        algorithm: String,
    },
    /// An extension appears twice, or cannot be decoded.
    #[error("malformed certificate extension {oid}")]
    Extension {
        /// Object identifier of the extension.
        oid: String,
    },
}

/// One extension, value undecoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// Object identifier.
    pub oid: ObjectIdentifier,
    /// Critical flag.
    pub critical: bool,
    /// Content of the extnValue OCTET STRING.
    pub value: Vec<u8>,
}

/// A certificate. Equality is equality of the DER bytes.
#[derive(Clone)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    serial: Vec<u8>,
    validity: TimeRange,
    public_key: PublicKey,
    extensions: Vec<Extension>,
    signature_hash: HashAlgorithm,
    signature: Vec<u8>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    subject_text: String,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Certificate({:?}, serial {})",
            self.subject_text,
            hex::encode(&self.serial)
        )
    }
}

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// Object identifier of the SubjectAltName extension.
pub const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Object identifier of the SCT list extension (RFC 6962 §3.3).
pub const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

fn signature_hash(oid: &ObjectIdentifier) -> Option<HashAlgorithm> {
    match oid.to_string().as_str() {
        "1.2.840.10045.4.3.2" | "1.2.840.113549.1.1.11" => Some(HashAlgorithm::Sha256),
        "1.2.840.10045.4.3.3" | "1.2.840.113549.1.1.12" => Some(HashAlgorithm::Sha384),
        "1.2.840.10045.4.3.4" | "1.2.840.113549.1.1.13" => Some(HashAlgorithm::Sha512),
        "1.3.101.112" => Some(HashAlgorithm::Sha512),
        _ => None,
    }
}

impl Certificate {
    /// Parses a DER certificate.
    ///
    /// # Errors
    /// [`CertificateError`]; trailing bytes, duplicate extensions and a TBS whose parsed form does not
    /// encode back to the same bytes are refused.
    pub fn from_der(der_bytes: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |reason: &str| CertificateError::Malformed {
            reason: reason.to_owned(),
        };
        if der_bytes.len() > MAX_CERTIFICATE_LEN {
            return Err(malformed("longer than 64 KiB"));
        }
        let parsed = x509_cert::Certificate::from_der(der_bytes).map_err(|e| {
            CertificateError::Malformed {
                reason: e.to_string(),
            }
        })?;
        let outer = Tlv::only(der_bytes, asn1::SEQUENCE).ok_or_else(|| malformed("not DER"))?;
        let mut rest = outer.content;
        let tbs_tlv = Tlv::expect(&mut rest, asn1::SEQUENCE).ok_or_else(|| malformed("no TBS"))?;
        // Fields of what was signed are read through a typed parser; make sure that both see one thing.
        let reencoded = parsed
            .tbs_certificate()
            .to_der()
            .map_err(|_| malformed("TBS does not encode"))?;
        if reencoded != tbs_tlv.raw {
            return Err(malformed("not canonical DER"));
        }
        let tbs = parsed.tbs_certificate();
        if tbs.version() != x509_cert::certificate::Version::V3 && tbs.extensions().is_some() {
            return Err(malformed("extensions in a version that has none"));
        }
        if parsed.signature_algorithm() != tbs.signature() {
            return Err(malformed("inner and outer signature algorithms differ"));
        }
        let algorithm = parsed.signature_algorithm().oid;
        let signature_hash =
            signature_hash(&algorithm).ok_or_else(|| CertificateError::UnsupportedSignature {
                algorithm: algorithm.to_string(),
            })?;
        let encode =
            |value: der::Result<Vec<u8>>| value.map_err(|_| malformed("field does not encode"));
        let mut extensions: Vec<Extension> = Vec::new();
        for extension in tbs.extensions().into_iter().flatten() {
            if extensions.iter().any(|seen| seen.oid == extension.extn_id) {
                return Err(CertificateError::Extension {
                    oid: extension.extn_id.to_string(),
                });
            }
            extensions.push(Extension {
                oid: extension.extn_id,
                critical: extension.critical,
                value: extension.extn_value.as_bytes().to_vec(),
            });
        }
        let validity = tbs.validity();
        let time = |t: &x509_cert::time::Time| {
            UnixTime::from_seconds(
                t.to_unix_duration()
                    .as_secs()
                    .try_into()
                    .unwrap_or(i64::MAX),
            )
        };
        let signature = parsed
            .signature()
            .as_bytes()
            .ok_or_else(|| malformed("signature bits"))?
            .to_vec();
        Ok(Certificate {
            der: der_bytes.to_vec(),
            tbs: tbs_tlv.raw.to_vec(),
            issuer: encode(tbs.issuer().to_der())?,
            subject: encode(tbs.subject().to_der())?,
            serial: tbs.serial_number().as_bytes().to_vec(),
            validity: TimeRange {
                start: time(&validity.not_before),
                end: Some(time(&validity.not_after)),
            },
            public_key: PublicKey::from_spki_der(&encode(tbs.subject_public_key_info().to_der())?)?,
            basic_constraints: decode(&extensions, BASIC_CONSTRAINTS)?,
            key_usage: decode(&extensions, KEY_USAGE)?,
            extended_key_usage: decode(&extensions, EXTENDED_KEY_USAGE)?,
            extensions,
            signature_hash,
            signature,
            subject_text: tbs.subject().to_string(),
        })
    }

    /// Parses all `CERTIFICATE` blocks of a PEM text, in order, at most `limit`.
    ///
    /// # Errors
    /// [`CertificateError`] for the first block that is none, or when there is no block or too many.
    pub fn chain_from_pem(text: &str, limit: usize) -> Result<Vec<Self>, CertificateError> {
        let malformed = |reason: String| CertificateError::Malformed { reason };
        let mut certificates = Vec::new();
        let mut rest = text;
        while rest.contains("-----BEGIN ") {
            let Some((label, der, after)) = pem::decode(rest) else {
                return Err(malformed("a PEM block cannot be read".to_owned()));
            };
            if label != "CERTIFICATE" {
                return Err(malformed(format!("a PEM block is a {label:.40}")));
            }
            if certificates.len() == limit {
                return Err(malformed(format!("more than {limit} certificates")));
            }
            certificates.push(Certificate::from_der(&der)?);
            rest = after;
        }
        if certificates.is_empty() {
            return Err(malformed("no PEM certificate".to_owned()));
        }
        Ok(certificates)
    }

    /// Returns the DER encoding.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Returns the certificate as PEM, 64 columns, with a final newline.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// Returns the TBSCertificate element, as it was signed.
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// Returns the DER issuer name.
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// Returns the DER subject name.
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// Returns the subject for people.
    pub fn subject_text(&self) -> &str {
        &self.subject_text
    }

    /// Returns the serial number's content octets.
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// Returns notBefore and notAfter.
    pub fn validity(&self) -> TimeRange {
        self.validity
    }

    /// Returns the subject's key.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns all extensions in order.
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// Returns the extension of the given identifier.
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<&Extension> {
        self.extensions
            .iter()
            .find(|extension| extension.oid == *oid)
    }

    /// Returns BasicConstraints, decoded.
    pub fn basic_constraints(&self) -> Option<&BasicConstraints> {
        self.basic_constraints.as_ref()
    }

    /// Returns KeyUsage, decoded.
    pub fn key_usage(&self) -> Option<&KeyUsage> {
        self.key_usage.as_ref()
    }

    /// Returns the purposes of ExtendedKeyUsage, `None` without that extension.
    pub fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.extended_key_usage
            .as_ref()
            .map(|usage| usage.0.as_slice())
    }

    /// Returns whether BasicConstraints makes this a CA certificate.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints
            .as_ref()
            .is_some_and(|constraints| constraints.ca)
    }

    /// Returns whether issuer and subject are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Verifies this certificate's signature with the issuer's key. Names are not compared.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_signed_by(&self, issuer: &Certificate) -> Result<(), BadSignature> {
        issuer
            .public_key
            .verify(self.signature_hash, &self.tbs, &self.signature)
    }

    /// Returns whether the issuer's key has signed this certificate, by `memo` if it has seen it before.
    pub fn is_signed_by(&self, issuer: &Certificate, memo: &SignatureMemo) -> bool {
        let key = &issuer.public_key;
        memo.verify(key, self.signature_hash, &self.tbs, &self.signature)
            .is_ok()
    }
}

/// Formats a DER name for people (RFC 4514); `None` if it is none.
pub fn name_text(name_der: &[u8]) -> Option<String> {
    let name = x509_cert::name::Name::from_der(name_der).ok()?;
    Some(name.to_string())
}

fn decode<T>(extensions: &[Extension], oid: ObjectIdentifier) -> Result<Option<T>, CertificateError>
where
    T: for<'a> der::Decode<'a>,
{
    let Some(extension) = extensions.iter().find(|extension| extension.oid == oid) else {
        return Ok(None);
    };
    T::from_der(&extension.value)
        .map(Some)
        .map_err(|_| CertificateError::Extension {
            oid: oid.to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signer's certificate, and the authority's, of a recorded answer.
    fn chain() -> Vec<Certificate> {
        let answer: serde_json::Value = serde_json::from_str(include_str!(
            "../../fixtures/captures/http/fulcio.blob.resp.json"
        ))
        .unwrap();
        let pem: String = answer
            .pointer("/signedCertificateEmbeddedSct/chain/certificates")
            .and_then(|list| list.as_array())
            .unwrap()
            .iter()
            .map(|pem| pem.as_str().unwrap())
            .collect();
        Certificate::chain_from_pem(&pem, 3).unwrap()
    }

    #[test]
    fn a_chain_is_certificates_and_no_more_than_asked_for() {
        let chain = chain();
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        let reason = |text: &str, limit| match Certificate::chain_from_pem(text, limit) {
            Err(CertificateError::Malformed { reason }) => reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            Certificate::chain_from_pem(&pem, chain.len()).unwrap(),
            chain
        );
        assert_eq!(reason(&pem, 1), "more than 1 certificates");
        assert_eq!(reason("", 1), "no PEM certificate");
        let key = chain[0].public_key().to_pem();
        assert_eq!(reason(&key, 1), "a PEM block is a PUBLIC KEY");
        assert_eq!(
            reason(&pem::encode("X", chain[0].der()), 1),
            "a PEM block is a X"
        );
        assert_eq!(reason(&pem[..100], 1), "a PEM block cannot be read");
    }

    #[test]
    fn certificates_are_equal_by_their_bytes() {
        let chain = chain();
        assert_eq!(chain[0], Certificate::from_der(chain[0].der()).unwrap());
        assert_ne!(chain[0], chain[1]);
        assert!(chain[1].subject_text().contains('='), "{:?}", chain[1]);
        let subject = name_text(chain[0].issuer());
        assert_eq!(subject.as_deref(), Some(chain[1].subject_text()));
        assert_eq!(name_text(b"no name"), None);
        assert!(chain[0].verify_signed_by(&chain[1]).is_ok());
        assert!(chain[1].verify_signed_by(&chain[0]).is_err());
    }

    #[test]
    fn a_signature_algorithm_names_its_hash() {
        let of = |oid: &str| signature_hash(&ObjectIdentifier::new_unwrap(oid));
        for (ecdsa, rsa, hash) in [(2, 11, 256), (3, 12, 384), (4, 13, 512)] {
            let hash = HashAlgorithm::from_name(&format!("sha{hash}"));
            assert_eq!(of(&format!("1.2.840.10045.4.3.{ecdsa}")), hash);
            assert_eq!(of(&format!("1.2.840.113549.1.1.{rsa}")), hash);
        }
        assert_eq!(of("1.3.101.112"), Some(HashAlgorithm::Sha512));
        assert_eq!(of("1.2.840.113549.1.1.5"), None, "SHA-1");
    }

    /// Puts together a certificate of the first version, which has no extensions (RFC 5280 §4.1.2.1), or has
    /// those of the third.
    fn first_version(of: &Certificate, with_extensions: bool) -> Vec<u8> {
        let outer = Tlv::only(of.der(), asn1::SEQUENCE).unwrap();
        let mut parts = outer.content;
        let mut fields = Tlv::expect(&mut parts, asn1::SEQUENCE).unwrap().content;
        Tlv::expect(&mut fields, asn1::CONTEXT_0).unwrap();
        let mut tbs = Vec::new();
        while let Some(field) = Tlv::read(&mut fields) {
            if field.tag != asn1::CONTEXT_3 || with_extensions {
                tbs.extend_from_slice(field.raw);
            }
        }
        let tbs = asn1::encode(asn1::SEQUENCE, &tbs);
        asn1::encode(asn1::SEQUENCE, &[&tbs, parts].concat())
    }

    #[test]
    fn a_version_without_extensions_has_none() {
        let [leaf, ..] = &chain()[..] else {
            panic!("no certificate");
        };
        let plain = Certificate::from_der(&first_version(leaf, false)).unwrap();
        assert!(plain.extensions().is_empty());
        let refused = Certificate::from_der(&first_version(leaf, true));
        assert!(
            matches!(refused, Err(CertificateError::Malformed { .. })),
            "{refused:?}"
        );
    }

    #[test]
    fn what_follows_a_certificate_is_refused() {
        let mut longer = chain()[0].der().to_vec();
        longer.push(0);
        assert!(matches!(
            Certificate::from_der(&longer),
            Err(CertificateError::Malformed { .. })
        ));
    }
}
