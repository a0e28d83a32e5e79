//! What a certificate says of itself, extension by extension.

use der::Decode as _;
use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, KeyUsages, SubjectAltName, SubjectKeyIdentifier,
};

use super::part::{List, Part, cut, unreadable};
use crate::crypto::certificate::{SCT_LIST, SUBJECT_ALT_NAME, name_text};
use crate::crypto::{Certificate, Digest, TimeRange, UnixTime};
use crate::format::certificate_identity::{self, CertificateIdentity};
use crate::format::sct;

/// What a certificate says.
#[derive(Debug, Clone)]
pub struct CertificateFacts {
    /// SHA-256 over the DER certificate.
    pub fingerprint: Digest,
    /// Subject; empty in Fulcio's leaves.
    pub subject: String,
    /// Name of the authority.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// From when to when it is valid, both ends included.
    pub validity: TimeRange,
    /// Kind of the key.
    pub key: &'static str,
    /// SHA-256 over the SubjectPublicKeyInfo.
    pub key_fingerprint: Digest,
    /// Whether it may issue certificates.
    pub is_ca: bool,
    /// What the key is for.
    pub key_usage: Vec<&'static str>,
    /// What the certificate is for; by number where the purpose has no name here.
    pub extended_key_usage: List<String>,
    /// Identifier of the key, hex.
    pub subject_key_id: Option<String>,
    /// Identifier of the authority's key, hex.
    pub authority_key_id: Option<String>,
    /// Subject alternative names: kind and value.
    pub names: Part<List<(&'static str, String)>>,
    /// Whom a policy can accept.
    pub signer: Part<Signer>,
    /// Fulcio's claims, by name, those that people ask for first.
    pub claims: Vec<(&'static str, Part<String>)>,
    /// Signed certificate timestamps that are embedded.
    pub scts: Part<Vec<SctFacts>>,
    /// Extensions that nothing of the above comes from.
    pub other_extensions: List<ExtensionFacts>,
}

/// Whom a certificate names, and who vouched. Whole: cut, it would name somebody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The identity.
    pub identity: String,
    /// The OIDC issuer.
    pub issuer: String,
}

/// A signed certificate timestamp.
#[derive(Debug, Clone)]
pub struct SctFacts {
    /// Key id of the log, hex.
    pub log_id: String,
    /// When the log promised to include the certificate.
    pub time: UnixTime,
}

/// An extension that is not decoded.
#[derive(Debug, Clone)]
pub struct ExtensionFacts {
    /// Object identifier.
    pub oid: String,
    /// Whether whoever does not know it must refuse the certificate.
    pub critical: bool,
    /// Length of the value in bytes.
    pub len: usize,
}

/// A name for people, or its bytes.
pub(super) fn shown_name(der: &[u8]) -> String {
    cut(&name_text(der).unwrap_or_else(|| hex::encode(der)))
}

const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
/// Type of the otherName that holds a username (Fulcio, `docs/oid-info.md`).
const USERNAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
/// Extensions that have members of their own: keyUsage, basicConstraints, extendedKeyUsage, and the rest.
const DECODED: [ObjectIdentifier; 7] = [
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
    SUBJECT_ALT_NAME,
    SCT_LIST,
    SUBJECT_KEY_ID,
    AUTHORITY_KEY_ID,
];

/// Claims in the order in which people ask: what was built, from which commit, by which workflow, in which
/// run; then identifiers; then the deprecated claims, which say the same again.
const CLAIM_ORDER: [&str; 23] = [
    "source-repository-uri",
    "source-repository-ref",
    "source-repository-digest",
    "build-signer-uri",
    "build-signer-digest",
    "build-config-uri",
    "build-config-digest",
    "build-trigger",
    "run-invocation-uri",
    "runner-environment",
    "deployment-environment",
    "source-repository-visibility-at-signing",
    "source-repository-owner-uri",
    "source-repository-identifier",
    "source-repository-owner-identifier",
    "token-subject",
    "github-workflow-name",
    "github-workflow-repository",
    "github-workflow-ref",
    "github-workflow-sha",
    "github-workflow-trigger",
    "issuer",
    "issuer-v1",
];

impl CertificateFacts {
    /// Gathers what a certificate says.
    pub fn of(certificate: &Certificate) -> Self {
        let signer = CertificateIdentity::of(certificate)
            .map(|identity| Signer {
                identity: identity.subject,
                issuer: identity.issuer,
            })
            .map_err(unreadable);
        let scts = sct::embedded(certificate).map_err(unreadable).map(|scts| {
            let facts = scts.iter().map(|sct| SctFacts {
                log_id: hex::encode(sct.log_id),
                time: sct.time(),
            });
            facts.collect()
        });
        let mut claims: Vec<(&'static str, Part<String>)> =
            certificate_identity::claims(certificate)
                .map(|(name, value)| (name, value.map(|v| cut(&v)).map_err(unreadable)))
                .collect();
        let place = |name: &str| CLAIM_ORDER.iter().position(|known| *known == name);
        claims.sort_by_key(|(name, _)| place(name).unwrap_or(CLAIM_ORDER.len()));
        CertificateFacts {
            fingerprint: Digest::sha256(certificate.der()),
            subject: cut(certificate.subject_text()),
            issuer: shown_name(certificate.issuer()),
            serial: hex::encode(certificate.serial()),
            validity: certificate.validity(),
            key: certificate.public_key().kind().name(),
            key_fingerprint: certificate.public_key().fingerprint(),
            is_ca: certificate.is_ca(),
            key_usage: key_usage(certificate),
            extended_key_usage: certificate
                .extended_key_usage()
                .unwrap_or_default()
                .iter()
                .map(purpose)
                .collect(),
            subject_key_id: certificate
                .extension(&SUBJECT_KEY_ID)
                .and_then(|e| SubjectKeyIdentifier::from_der(&e.value).ok())
                .map(|id| cut(&hex::encode(id.0.as_bytes()))),
            authority_key_id: certificate
                .extension(&AUTHORITY_KEY_ID)
                .and_then(|e| AuthorityKeyIdentifier::from_der(&e.value).ok())
                .and_then(|id| Some(cut(&hex::encode(id.key_identifier?.as_bytes())))),
            names: names(certificate),
            signer,
            claims,
            scts,
            other_extensions: certificate
                .extensions()
                .iter()
                .filter(|e| !DECODED.contains(&e.oid))
                .filter(|e| certificate_identity::extension_claim(&e.oid).is_none())
                .map(|e| ExtensionFacts {
                    oid: e.oid.to_string(),
                    critical: e.critical,
                    len: e.value.len(),
                })
                .collect(),
        }
    }
}

fn key_usage(certificate: &Certificate) -> Vec<&'static str> {
    let usages = certificate.key_usage().map(|usage| usage.0);
    usages
        .into_iter()
        .flatten()
        .map(|usage| match usage {
            KeyUsages::DigitalSignature => "digital signature",
            KeyUsages::NonRepudiation => "non-repudiation",
            KeyUsages::KeyEncipherment => "key encipherment",
            KeyUsages::DataEncipherment => "data encipherment",
            KeyUsages::KeyAgreement => "key agreement",
            KeyUsages::KeyCertSign => "certificate signing",
            KeyUsages::CRLSign => "CRL signing",
            KeyUsages::EncipherOnly => "encipher only",
            KeyUsages::DecipherOnly => "decipher only",
        })
        .collect()
}

/// Names a purpose of extendedKeyUsage (RFC 5280 §4.2.1.12).
fn purpose(oid: &ObjectIdentifier) -> String {
    let text = oid.to_string();
    match text.as_str() {
        "1.3.6.1.5.5.7.3.1" => "server authentication",
        "1.3.6.1.5.5.7.3.2" => "client authentication",
        "1.3.6.1.5.5.7.3.3" => "code signing",
        "1.3.6.1.5.5.7.3.4" => "e-mail protection",
        "1.3.6.1.5.5.7.3.8" => "timestamping",
        "1.3.6.1.5.5.7.3.9" => "OCSP signing",
        "2.5.29.37.0" => "any purpose",
        _ => return text,
    }
    .to_owned()
}

fn names(certificate: &Certificate) -> Part<List<(&'static str, String)>> {
    let Some(extension) = certificate.extension(&SUBJECT_ALT_NAME) else {
        return Ok(List::from_iter([]));
    };
    let names = SubjectAltName::from_der(&extension.value)
        .map_err(|_| "malformed subject alternative name".to_owned())?;
    let shown = names.0.iter().map(|name| match name {
        GeneralName::Rfc822Name(email) => ("e-mail", cut(email.as_str())),
        GeneralName::UniformResourceIdentifier(uri) => ("URI", cut(uri.as_str())),
        GeneralName::DnsName(host) => ("DNS", cut(host.as_str())),
        GeneralName::DirectoryName(name) => ("directory name", cut(&name.to_string())),
        GeneralName::IpAddress(address) => ("IP address", cut(&hex::encode(address.as_bytes()))),
        GeneralName::RegisteredId(oid) => ("registered id", oid.to_string()),
        GeneralName::OtherName(other) => {
            let value = other.value.value();
            let text =
                std::str::from_utf8(value).map_or_else(|_| hex::encode(value), str::to_owned);
            match other.type_id {
                USERNAME => ("username", cut(&text)),
                type_id => ("other name", cut(&format!("{type_id} {text}"))),
            }
        }
        GeneralName::EdiPartyName(_) => ("EDI party name", "not decoded".to_owned()),
    });
    Ok(shown.collect())
}
