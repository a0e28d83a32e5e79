//! Signed certificate timestamps: issuance was promised to be public (spec 03 §5).

use crate::crypto::key::KeyKind;
use crate::crypto::{Certificate, UnixTime};
use crate::format::sct::{
    SctSignatureAlgorithm, SignedCertificateTimestamp, embedded, without_sct_list,
};
use crate::trust::TrustedRoot;
use crate::trust::trusted_root::LogInstance;
use crate::verify::{VerifiedChain, VerifyError};

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
    trust: &TrustedRoot,
) -> Result<SctEvidence, VerifyError> {
    let timestamps = embedded(leaf)?;
    // Reading the list has shown that there is one; an unreadable TBS cannot have been parsed.
    let tbs = without_sct_list(leaf.tbs()).unwrap_or_default();
    let mut known = 0;
    let mut counted: Vec<&[u8]> = Vec::new();
    let mut promises = Vec::new();
    for timestamp in &timestamps {
        for log in trust
            .ct_logs
            .iter()
            .filter(|log| log.log_id == timestamp.log_id)
        {
            known += 1;
            if !log.valid_for.contains(timestamp.time()) || counted.contains(&log.log_id.as_slice())
            {
                continue;
            }
            if chain
                .issuers()
                .iter()
                .all(|issuer| holds(timestamp, log, issuer, &tbs))
            {
                counted.push(&log.log_id);
                promises.push((log.base_url.clone(), timestamp.time()));
            }
        }
    }
    if promises.is_empty() {
        return Err(VerifyError::NoTrustedSct {
            found: timestamps.len(),
            known,
        });
    }
    Ok(SctEvidence { promises })
}

fn holds(
    timestamp: &SignedCertificateTimestamp,
    log: &LogInstance,
    issuer: &Certificate,
    tbs: &[u8],
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
    fits && key
        .verify(timestamp.hash, &input, &timestamp.signature)
        .is_ok()
}
