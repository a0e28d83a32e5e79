//! Signed certificate timestamps: issuance was promised to be public (RFC 6962 section 3.2).

use crate::crypto::key::KeyKind;
use crate::crypto::{Certificate, SignatureMemo, UnixTime};
use crate::format::sct::{
    SctSignatureAlgorithm, SignedCertificateTimestamp, embedded, without_sct_list,
};
use crate::trust::trusted_root::LogInstance;
use crate::verify::explain::{self, Trail};
use crate::verify::requirements::verify_threshold;
use crate::verify::{Thresholds, VerifiedChain, Verifier, VerifyError};

/// Promises of trusted CT logs over this certificate; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SctEvidence {
    promises: Vec<(String, UnixTime)>,
}

impl SctEvidence {
    /// Returns each log's address with the time of its promise, one for each distinct log.
    pub fn promises(&self) -> &[(String, UnixTime)] {
        &self.promises
    }
}

/// Verifies the embedded timestamps; at least one must be by a trusted log and hold.
///
/// # Errors
/// [`VerifyError::Sct`] and [`VerifyError::NoTrustedSct`].
pub fn verify_sct(
    leaf: &Certificate,
    chain: &VerifiedChain,
    verifier: &Verifier<'_>,
) -> Result<SctEvidence, VerifyError> {
    let thresholds = Thresholds::default();
    verify_scts(leaf, chain, thresholds, verifier, &mut Trail::off())
}

/// Verifies likewise; the timestamps that hold must be of as many operators as the policy asks for.
pub(super) fn verify_scts(
    leaf: &Certificate,
    chain: &VerifiedChain,
    thresholds: Thresholds,
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<SctEvidence, VerifyError> {
    let timestamps = embedded(leaf)?;
    // Reading the list has shown that there is one; an unreadable TBS cannot have been parsed.
    let tbs = without_sct_list(leaf.tbs()).unwrap_or_default();
    let mut known = 0;
    let mut counted: Vec<&LogInstance> = Vec::new();
    let mut promises = Vec::new();
    for timestamp in &timestamps {
        let log = trail.check(explain::SCT, |trail| {
            trail.fact("log id", || hex::encode(timestamp.log_id));
            trail.fact("time", || timestamp.time().to_string());
            let found = find_log(timestamp, chain, &tbs, verifier, &mut known, trail);
            let is_new = |log: &&LogInstance| {
                // One key is one log, however often the trusted root lists it.
                counted.iter().all(|one| one.public_key != log.public_key)
            };
            if found.is_some_and(|log| !is_new(&log)) {
                trail.not_counted("a promise of this log counts already");
            }
            Ok(found.filter(is_new))
        })?;
        if let Some(log) = log {
            counted.push(log);
            promises.push((log.base_url.clone(), timestamp.time()));
        }
    }
    if promises.is_empty() {
        return Err(VerifyError::NoTrustedSct {
            found: timestamps.len(),
            known,
        });
    }
    let needed = thresholds.sct.get();
    let parties = counted.iter().map(|log| log.party());
    verify_threshold(parties, needed, trail, |found| VerifyError::TooFewScts {
        needed,
        found,
    })?;
    Ok(SctEvidence { promises })
}

/// Finds the trusted log whose promise this is; adds to `known` each that goes by its id.
fn find_log<'t>(
    timestamp: &SignedCertificateTimestamp,
    chain: &VerifiedChain,
    tbs: &[u8],
    verifier: &Verifier<'t>,
    known: &mut usize,
    trail: &mut Trail,
) -> Option<&'t LogInstance> {
    let mut reason = "the trusted root does not list this log";
    for log in &verifier.trust.ct_logs {
        if log.log_id != timestamp.log_id {
            continue;
        }
        *known += 1;
        trail.about(|| log.base_url.clone());
        if !log.valid_for.contains(timestamp.time()) {
            reason = "the log's key was not trusted at that time";
            continue;
        }
        let memo = &verifier.memo;
        let mut issuers = chain.issuers().iter();
        if issuers.all(|issuer| holds(timestamp, log, issuer, tbs, memo)) {
            return Some(log);
        }
        reason = "it does not verify under the log's key";
    }
    trail.not_counted(reason);
    None
}

fn holds(
    timestamp: &SignedCertificateTimestamp,
    log: &LogInstance,
    issuer: &Certificate,
    tbs: &[u8],
    memo: &SignatureMemo,
) -> bool {
    let key = &log.public_key;
    let fits = match timestamp.algorithm {
        SctSignatureAlgorithm::Rsa => key.kind() == KeyKind::Rsa,
        SctSignatureAlgorithm::Ecdsa => {
            matches!(
                key.kind(),
                KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521
            )
        }
    };
    let input = timestamp.signed_input(&issuer.public_key().fingerprint(), tbs);
    fits && memo
        .verify(key, timestamp.hash, &input, &timestamp.signature)
        .is_ok()
}
