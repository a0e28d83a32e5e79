//! Certification paths (a subset of RFC 5280 §6): from a leaf through given authorities to an anchor.
//!
//! The authorities come from the trusted root alone; nothing a bundle carries is ever an authority.
//! Names are compared as DER bytes. Extensions that are critical and not understood refuse the path.

use der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::KeyUsages;

use super::certificate::Certificate;
use super::memo::SignatureMemo;
use super::time::{TimeRange, UnixTime};

/// Extended key usage: code signing.
pub const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// Extended key usage: time stamping.
pub const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ANY_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Extensions whose meaning is honoured here or in `verify`: subjectAltName, basicConstraints, keyUsage,
/// extKeyUsage.
const UNDERSTOOD: [&str; 4] = ["2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37"];

const NAME_CONSTRAINTS: &str = "2.5.29.30";

/// Why a path, or a certificate in it, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No authority given has issued this certificate.
    #[error("no trusted authority has issued the certificate")]
    NoPath {
        /// Issuer of the last certificate reached.
        subject: String,
    },
    /// A certificate of the path is not valid at the time asked for.
    #[error("certificate is not valid at the time of signing")]
    NotValidAt {
        /// Subject of the certificate.
        subject: String,
        /// The time.
        time: UnixTime,
        /// Its validity.
        validity: TimeRange,
    },
    /// An authority's certificate may not issue certificates.
    #[error("authority certificate may not issue: {reason}")]
    NotAnAuthority {
        /// Subject of the certificate.
        subject: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The leaf may not sign for this purpose.
    #[error("certificate may not sign: {reason}")]
    NotASigner {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A critical extension is not understood.
    #[error("critical extension {oid} is not understood")]
    CriticalExtension {
        /// Object identifier.
        oid: String,
    },
}

/// What a leaf is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Signing code: a Fulcio leaf (Fulcio, `docs/certificate-specification.md`).
    CodeSigning,
    /// Timestamping: RFC 3161 §2.3, the usage critical and alone.
    TimeStamping,
}

/// A leaf that may sign for the purpose it was checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafProfile(());

/// Checks what the leaf itself must be, whatever its issuer.
///
/// # Errors
/// [`ChainError::NotASigner`] and [`ChainError::CriticalExtension`].
pub fn verify_leaf_profile(
    leaf: &Certificate,
    purpose: Purpose,
) -> Result<LeafProfile, ChainError> {
    let refuse = |reason| Err(ChainError::NotASigner { reason });
    if leaf.is_ca() {
        return refuse("it is a CA certificate");
    }
    let usage = leaf.extended_key_usage().unwrap_or_default();
    match purpose {
        Purpose::CodeSigning => {
            if !usage.contains(&CODE_SIGNING) {
                return refuse("extended key usage lacks code signing");
            }
            if !leaf
                .key_usage()
                .is_some_and(|usage| usage.0.contains(KeyUsages::DigitalSignature))
            {
                return refuse("key usage lacks digital signature");
            }
        }
        Purpose::TimeStamping => {
            let critical = leaf
                .extension(&ObjectIdentifier::new_unwrap("2.5.29.37"))
                .is_some_and(|extension| extension.critical);
            if usage != [TIME_STAMPING] || !critical {
                return refuse("extended key usage is not time stamping, critical and alone");
            }
            if leaf.key_usage().is_some_and(|usage| {
                !usage.0.contains(KeyUsages::DigitalSignature)
                    && !usage.0.contains(KeyUsages::NonRepudiation)
            }) {
                return refuse("key usage lacks digital signature");
            }
        }
    }
    verify_critical(leaf)?;
    Ok(LeafProfile(()))
}

fn verify_critical(certificate: &Certificate) -> Result<(), ChainError> {
    for extension in certificate.extensions() {
        let oid = extension.oid.to_string();
        // Name constraints narrow what an authority may certify; not applied here, so never passed over.
        if oid == NAME_CONSTRAINTS {
            return Err(ChainError::CriticalExtension { oid });
        }
        if extension.critical && !UNDERSTOOD.contains(&oid.as_str()) {
            return Err(ChainError::CriticalExtension { oid });
        }
    }
    Ok(())
}

fn verify_valid_at(certificate: &Certificate, time: UnixTime) -> Result<(), ChainError> {
    if certificate.validity().contains(time) {
        return Ok(());
    }
    Err(ChainError::NotValidAt {
        subject: certificate.subject_text().to_owned(),
        time,
        validity: certificate.validity(),
    })
}

fn verify_authority(
    authority: &Certificate,
    time: UnixTime,
    below: usize,
    purpose: Purpose,
    is_anchor: bool,
) -> Result<(), ChainError> {
    let refuse = |reason| {
        Err(ChainError::NotAnAuthority {
            subject: authority.subject_text().to_owned(),
            reason,
        })
    };
    verify_valid_at(authority, time)?;
    let Some(constraints) = authority
        .basic_constraints()
        .filter(|constraints| constraints.ca)
    else {
        return refuse("it is not a CA certificate");
    };
    if constraints
        .path_len_constraint
        .is_some_and(|limit| below > usize::from(limit))
    {
        return refuse("the path below it is longer than it allows");
    }
    if !authority
        .key_usage()
        .is_some_and(|usage| usage.0.contains(KeyUsages::KeyCertSign))
    {
        return refuse("key usage lacks certificate signing");
    }
    if !is_anchor && let Some(usage) = authority.extended_key_usage() {
        let needed = match purpose {
            Purpose::CodeSigning => CODE_SIGNING,
            Purpose::TimeStamping => TIME_STAMPING,
        };
        if !usage.contains(&needed) && !usage.contains(&ANY_EXTENDED_KEY_USAGE) {
            return refuse("its extended key usage does not allow this purpose");
        }
    }
    verify_critical(authority)
}

/// Verifies the path from the leaf through `authorities` to the anchor, the last of them, at one time.
///
/// `authorities` is ordered from the issuer of leaves to the anchor, as a trusted root lists them
/// (`CertificateAuthority` of `sigstore_trustroot.proto`); authorities that are not on the path are passed over.
/// Returns the certificate that issued the leaf. The leaf's profile is *not* judged here, see
/// [`verify_leaf_profile`].
///
/// # Errors
/// [`ChainError`]; the first fault met going up.
pub fn verify_path<'a>(
    leaf: &Certificate,
    authorities: &'a [Certificate],
    time: UnixTime,
    purpose: Purpose,
    memo: &SignatureMemo,
) -> Result<&'a Certificate, ChainError> {
    verify_valid_at(leaf, time)?;
    let anchor = authorities.len().checked_sub(1);
    let mut issuer_of_leaf = None;
    let mut current = leaf;
    let mut remaining = authorities.iter().enumerate();
    let mut below = 0;
    loop {
        let step = remaining.find(|(_, candidate)| {
            candidate.subject() == current.issuer() && current.is_signed_by(candidate, memo)
        });
        let Some((position, authority)) = step else {
            return Err(ChainError::NoPath {
                subject: current.subject_text().to_owned(),
            });
        };
        let is_anchor = Some(position) == anchor;
        verify_authority(authority, time, below, purpose, is_anchor)?;
        issuer_of_leaf.get_or_insert(authority);
        if is_anchor {
            break;
        }
        if !authority.is_self_issued() {
            below += 1;
        }
        current = authority;
    }
    issuer_of_leaf.ok_or(ChainError::NoPath {
        subject: leaf.subject_text().to_owned(),
    })
}
