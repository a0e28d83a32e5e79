//! The signer's certificate: its profile, and a path to a trusted authority at every observed time
//! (Sigstore Client Spec 4.3).

use crate::crypto::chain::{ChainError, LeafProfile, Purpose, verify_leaf_profile, verify_path};
use crate::crypto::{Certificate, UnixTime};
use crate::verify::explain::{self, Trail};
use crate::verify::{ObservedTimes, Verifier, VerifyError};

/// A path that holds at every observed time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedChain {
    issuers: Vec<Certificate>,
    authority: String,
    _profile: LeafProfile,
}

impl VerifiedChain {
    /// Returns the certificates that issued the leaf, one for each distinct path.
    pub fn issuers(&self) -> &[Certificate] {
        &self.issuers
    }

    /// Returns the authority's address in the trusted root.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Verifies the leaf at every observed time.
///
/// # Errors
/// [`VerifyError`] of the certificate class; the first time that does not fit refuses.
pub(super) fn verify_chain(
    leaf: &Certificate,
    times: &ObservedTimes,
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<VerifiedChain, VerifyError> {
    let times: Vec<UnixTime> = times.all().iter().map(|(time, _)| *time).collect();
    judge_chain(leaf, &times, verifier, trail)
}

/// Verifies the leaf at given times; for a certificate that has signed nothing yet, now.
///
/// # Errors
/// [`VerifyError`] of the certificate class.
pub fn verify_chain_at(
    leaf: &Certificate,
    times: &[UnixTime],
    verifier: &Verifier<'_>,
) -> Result<VerifiedChain, VerifyError> {
    judge_chain(leaf, times, verifier, &mut Trail::off())
}

fn judge_chain(
    leaf: &Certificate,
    times: &[UnixTime],
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<VerifiedChain, VerifyError> {
    let profile = trail.check(explain::PROFILE, |_| {
        Ok(verify_leaf_profile(leaf, Purpose::CodeSigning)?)
    })?;
    let mut issuers: Vec<Certificate> = Vec::new();
    let mut address = String::new();
    for time in times {
        let (issuer, authority) = trail.check(explain::PATH, |trail| {
            trail.about(|| time.to_string());
            let (issuer, authority) = verify_at(leaf, *time, verifier)?;
            trail.fact("certificate valid", || leaf.validity().to_string());
            trail.fact("found", || {
                format!("issued by {} ({authority})", issuer.subject_text())
            });
            Ok((issuer, authority))
        })?;
        if !issuers.contains(issuer) {
            issuers.push(issuer.clone());
        }
        address = authority.to_owned();
    }
    if issuers.is_empty() {
        return Err(VerifyError::NoTrustedTime);
    }
    Ok(VerifiedChain {
        issuers,
        authority: address,
        _profile: profile,
    })
}

fn verify_at<'a>(
    leaf: &Certificate,
    time: UnixTime,
    verifier: &Verifier<'a>,
) -> Result<(&'a Certificate, &'a str), VerifyError> {
    let mut refusal = VerifyError::NoAuthorityAt { time };
    for authority in &verifier.trust.certificate_authorities {
        if !authority.valid_for.contains(time) {
            continue;
        }
        let memo = &verifier.memo;
        match verify_path(leaf, &authority.chain, time, Purpose::CodeSigning, memo) {
            Ok(issuer) => return Ok((issuer, &authority.uri)),
            // "No path" through one authority says little; a fault on the right path says more.
            Err(error @ ChainError::NoPath { .. }) => {
                if matches!(refusal, VerifyError::NoAuthorityAt { .. }) {
                    refusal = VerifyError::Chain(error);
                }
            }
            Err(error) => refusal = VerifyError::Chain(error),
        }
    }
    Err(refusal)
}
