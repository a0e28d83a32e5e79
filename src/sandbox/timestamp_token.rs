//! RFC 3161 structures as the authority writes them: query, TSTInfo, and the CMS token around it.
//!
//! Built with `der` and `cms`, on purpose not with [`crate::format::timestamp`]: what that parses here
//! was written by another encoder.

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{Any, GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec, UtcTime};
use der::{Decode as _, Encode as _, Sequence};
use spki::AlgorithmIdentifierOwned;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::serial_number::SerialNumber;

use crate::crypto::{Digest, HashAlgorithm};

use super::keys::EcdsaKey;

/// Policy of Sigstore's timestamp authorities (sigstore/timestamp-authority).
pub(super) const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const HASHES: [(ObjectIdentifier, HashAlgorithm); 3] = [
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"),
        HashAlgorithm::Sha256,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"),
        HashAlgorithm::Sha384,
    ),
    (
        ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"),
        HashAlgorithm::Sha512,
    ),
];

fn sha256_identifier() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: HASHES[0].0,
        parameters: None,
    }
}

/// `MessageImprint` (RFC 3161 §2.4.1).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct MessageImprint {
    hash_algorithm: AlgorithmIdentifierOwned,
    hashed_message: OctetString,
}

impl MessageImprint {
    pub(super) fn new(digest: &Digest) -> der::Result<Self> {
        let (oid, _) = HASHES
            .iter()
            .find(|(_, algorithm)| *algorithm == digest.algorithm())
            .ok_or(der::ErrorKind::Failed)?;
        Ok(MessageImprint {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: *oid,
                parameters: Some(Any::null()),
            },
            hashed_message: OctetString::new(digest.as_bytes())?,
        })
    }

    /// Returns whether the hash is SHA-1.
    pub(super) fn is_weak(&self) -> bool {
        self.hash_algorithm.oid == SHA_1
    }

    /// Returns the digest. `None` for another hash than SHA-2 or a wrong length.
    pub(super) fn digest(&self) -> Option<Digest> {
        let (_, algorithm) = HASHES
            .iter()
            .find(|(oid, _)| *oid == self.hash_algorithm.oid)?;
        Digest::new(*algorithm, self.hashed_message.as_bytes())
    }
}

/// `TimeStampReq`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TimestampRequest {
    pub(super) version: u8,
    pub(super) message_imprint: MessageImprint,
    #[asn1(optional = "true")]
    pub(super) req_policy: Option<ObjectIdentifier>,
    #[asn1(optional = "true")]
    pub(super) nonce: Option<Int>,
    #[asn1(default = "Default::default")]
    pub(super) cert_req: bool,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) extensions: Option<Extensions>,
}

/// `Accuracy`, seconds only.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct Accuracy {
    seconds: u8,
}

/// `TSTInfo` (RFC 3161 §2.4.2).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: MessageImprint,
    serial_number: SerialNumber,
    gen_time: GeneralizedTime,
    accuracy: Accuracy,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    tsa: GeneralName,
}

/// `TimeStampResp`, status without text.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct TimestampResponse {
    status: StatusInfo,
    #[asn1(optional = "true")]
    token: Option<ContentInfo>,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct StatusInfo {
    status: u8,
}

/// `IssuerSerial`, `ESSCertIDv2` with its default hash SHA-256, `SigningCertificateV2` (RFC 5035 §3).
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct IssuerSerial {
    issuer: GeneralNames,
    serial_number: SerialNumber,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct EssCertIdV2 {
    cert_hash: OctetString,
    issuer_serial: IssuerSerial,
}

#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
struct SigningCertificateV2 {
    certs: Vec<EssCertIdV2>,
}

/// What a token states.
pub(super) struct Stamp {
    pub(super) imprint: MessageImprint,
    pub(super) nonce: Option<Int>,
    pub(super) serial: [u8; 20],
    /// Seconds since 1970.
    pub(super) time: u64,
    /// Whether to embed the signer's certificate.
    pub(super) with_certificate: bool,
    /// Whether to name the signer's certificate in the signed attributes.
    pub(super) with_signing_certificate: bool,
}

/// Encodes a response without a token.
pub(super) fn encode_rejection(status: u8) -> der::Result<Vec<u8>> {
    TimestampResponse {
        status: StatusInfo { status },
        token: None,
    }
    .to_der()
}

/// Encodes and signs a granted response.
pub(super) fn encode_response(
    stamp: Stamp,
    key: &EcdsaKey,
    certificate: &crate::crypto::Certificate,
) -> der::Result<Vec<u8>> {
    let signer = x509_cert::Certificate::from_der(certificate.der())?;
    let tbs = signer.tbs_certificate();
    let at = std::time::Duration::from_secs(stamp.time);
    let info = TstInfo {
        version: 1,
        policy: POLICY,
        message_imprint: stamp.imprint,
        serial_number: SerialNumber::new(&stamp.serial)?,
        gen_time: GeneralizedTime::from_unix_duration(at)?,
        accuracy: Accuracy { seconds: 1 },
        nonce: stamp.nonce,
        tsa: GeneralName::DirectoryName(tbs.subject().clone()),
    }
    .to_der()?;

    let digest = Digest::sha256(&info);
    let mut attributes = SetOfVec::new();
    attributes.insert(attribute(CONTENT_TYPE, &TST_INFO)?)?;
    attributes.insert(attribute(SIGNING_TIME, &UtcTime::from_unix_duration(at)?)?)?;
    let message_digest = OctetString::new(digest.as_bytes())?;
    attributes.insert(attribute(MESSAGE_DIGEST, &message_digest)?)?;
    if stamp.with_signing_certificate {
        let hash = Digest::sha256(certificate.der());
        let signing = SigningCertificateV2 {
            certs: vec![EssCertIdV2 {
                cert_hash: OctetString::new(hash.as_bytes())?,
                issuer_serial: IssuerSerial {
                    issuer: vec![GeneralName::DirectoryName(tbs.issuer().clone())],
                    serial_number: tbs.serial_number().clone(),
                },
            }],
        };
        attributes.insert(attribute(SIGNING_CERTIFICATE_V2, &signing)?)?;
    }
    // Signed as a SET OF, not under the implicit tag it has in SignerInfo (RFC 5652 §5.4).
    let signature = key.sign(&attributes.to_der()?);

    let signer_info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
            issuer: tbs.issuer().clone(),
            serial_number: tbs.serial_number().clone(),
        }),
        digest_alg: sha256_identifier(),
        signed_attrs: Some(attributes),
        signature_algorithm: AlgorithmIdentifierOwned {
            oid: ECDSA_WITH_SHA_256,
            parameters: None,
        },
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    // Present but empty without certReq, as Sigstore's own authority has it.
    let certificates = match stamp.with_certificate {
        true => vec![CertificateChoices::Certificate(signer)],
        false => Vec::new(),
    };
    let signed_data = SignedData {
        version: CmsVersion::V3,
        digest_algorithms: SetOfVec::try_from(vec![sha256_identifier()])?,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: TST_INFO,
            econtent: Some(Any::encode_from(&OctetString::new(info)?)?),
        },
        certificates: Some(CertificateSet::try_from(certificates)?),
        crls: None,
        signer_infos: SignerInfos::try_from(vec![signer_info])?,
    };
    TimestampResponse {
        status: StatusInfo { status: 0 },
        token: Some(ContentInfo {
            content_type: SIGNED_DATA,
            content: Any::encode_from(&signed_data)?,
        }),
    }
    .to_der()
}

fn attribute<T>(oid: ObjectIdentifier, value: &T) -> der::Result<Attribute>
where
    T: der::Tagged + der::EncodeValue,
{
    Ok(Attribute {
        oid,
        values: SetOfVec::try_from(vec![Any::encode_from(value)?])?,
    })
}
