//! The certificate chain of versions 0.1 and 0.2.
//!
//! Signers of that time put the issuers of their certificate into the bundle, and some the root too: npm's and the
//! SLSA generators' provenance does. The message's own documentation (`sigstore_bundle.proto`) asks verifiers to
//! treat such certificates as untrusted. Here they are read, checked to be one chain, and then dropped: an issuer
//! is only ever taken from the trusted root. For the same reason their validity periods are not judged. What counts
//! is whether the trusted authorities were valid when the signature was made; a copy of a root that has expired since
//! says nothing about them, and one that has not says no more.

use super::{BundleError, rule};
use crate::crypto::Certificate;

/// Returns the signer's certificate of a chain that is in order: the leaf first, each certificate issued by the
/// next, by name and signature. Only the last may be a root, which must have signed itself.
pub(super) fn leaf_of(certificates: Vec<Certificate>) -> Result<Certificate, BundleError> {
    for (certificate, issuer) in certificates.iter().zip(certificates.iter().skip(1)) {
        if !issuer.is_ca() {
            return rule("x509CertificateChain has an issuer that is no CA certificate");
        }
        if certificate.issuer() != issuer.subject() || certificate.verify_signed_by(issuer).is_err()
        {
            return rule(
                "x509CertificateChain is not in order: a certificate is not issued by the next one",
            );
        }
    }
    let above = certificates.get(1..).unwrap_or_default();
    if let Some((last, between)) = above.split_last() {
        if between.iter().any(Certificate::is_self_issued) {
            return rule("x509CertificateChain has a root certificate before its end");
        }
        if last.is_self_issued() && last.verify_signed_by(last).is_err() {
            return rule("x509CertificateChain ends with a root that has not signed itself");
        }
    }
    match certificates.into_iter().next() {
        Some(leaf) => Ok(leaf),
        None => rule("x509CertificateChain is empty"),
    }
}
