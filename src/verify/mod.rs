//! Floor 3: the judgement. Bytes, trust material and a policy go in, a typed verdict comes out.
//!
//! [`verify`] is the whole of it. Each step returns evidence that only its check can make, and
//! [`VerifiedBundle`] cannot be built without all of it: a step left out does not compile. Nothing here
//! reads a clock, a file or the network; times come from log promises and timestamps alone.
//!
//! What is decided where the specification leaves room (spec 07 §5 C, D):
//! - A timestamp by an authority that the trusted root does not list is no evidence and does not
//!   count; one by a listed authority, or one that cannot be read or covers another signature, refuses
//!   the bundle.
//! - A log entry of a log that is not listed is no evidence; one of a listed log must hold in full.
//! - Every observed time must fit the certificate, not just one.

pub mod chain;
pub mod entry;
pub mod error;
pub mod policy;
pub mod sct;
pub mod signature;
pub mod timestamp;

pub use chain::VerifiedChain;
pub use entry::BoundEntry;
pub use error::VerifyError;
pub use policy::{ExpectedContent, ExpectedSigner, IdentityMatcher, MatchedSigner, Policy};
pub use sct::SctEvidence;
pub use signature::{Artifact, VerifiedSignature};
pub use timestamp::VerifiedTimestamp;

use crate::crypto::UnixTime;
use crate::format::bundle::{Bundle, KeyMaterial};
use crate::trust::TrustedRoot;

/// Where an observed time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// Inclusion promise of a Rekor v1 log.
    LogPromise,
    /// RFC 3161 timestamp.
    TimestampAuthority,
}

/// Times at which the signature is known to have existed; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedTimes(Vec<(UnixTime, TimeSource)>);

impl ObservedTimes {
    /// Collects the times of bound entries and verified timestamps (spec 07 §5 E). A log that promises no
    /// time must have been trusted at every timestamped one.
    fn collect(
        entries: &[BoundEntry],
        timestamps: &[VerifiedTimestamp],
    ) -> Result<Self, VerifyError> {
        let mut times: Vec<(UnixTime, TimeSource)> = Vec::new();
        for entry in entries {
            match entry.promised_time() {
                Some(time) => times.push((time, TimeSource::LogPromise)),
                None => {
                    for timestamp in timestamps {
                        entry.verify_log_trusted_at(timestamp.time())?;
                    }
                }
            }
        }
        times.extend(
            timestamps
                .iter()
                .map(|t| (t.time(), TimeSource::TimestampAuthority)),
        );
        if times.is_empty() {
            return Err(VerifyError::NoTrustedTime);
        }
        Ok(ObservedTimes(times))
    }

    /// Returns all times with their sources.
    pub fn all(&self) -> &[(UnixTime, TimeSource)] {
        &self.0
    }

    /// Returns the earliest time.
    pub fn earliest(&self) -> UnixTime {
        self.0
            .iter()
            .map(|(time, _)| *time)
            .min()
            .expect("never empty, see collect")
    }
}

/// What the signer was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerEvidence {
    /// A certificate: its chain, its promise of transparency, and the identity that matched.
    Certificate {
        /// Path to a trusted authority at every observed time.
        chain: VerifiedChain,
        /// Promise of a trusted CT log.
        sct: SctEvidence,
    },
    /// A key that the policy named.
    ManagedKey,
}

/// A bundle that has passed every check of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    signer: MatchedSigner,
    signer_evidence: SignerEvidence,
    entries: Vec<BoundEntry>,
    timestamps: Vec<VerifiedTimestamp>,
    times: Option<ObservedTimes>,
    signature: VerifiedSignature,
}

impl VerifiedBundle {
    fn from_evidence(
        signer: MatchedSigner,
        signer_evidence: SignerEvidence,
        entries: Vec<BoundEntry>,
        timestamps: Vec<VerifiedTimestamp>,
        times: Option<ObservedTimes>,
        signature: VerifiedSignature,
    ) -> Self {
        VerifiedBundle {
            signer,
            signer_evidence,
            entries,
            timestamps,
            times,
            signature,
        }
    }

    /// Returns who signed.
    pub fn signer(&self) -> &MatchedSigner {
        &self.signer
    }

    /// Returns why the signer is believed.
    pub fn signer_evidence(&self) -> &SignerEvidence {
        &self.signer_evidence
    }

    /// Returns the log entries that counted.
    pub fn entries(&self) -> &[BoundEntry] {
        &self.entries
    }

    /// Returns the timestamps that counted.
    pub fn timestamps(&self) -> &[VerifiedTimestamp] {
        &self.timestamps
    }

    /// Returns the observed times; `None` only for a managed key, which needs none.
    pub fn times(&self) -> Option<&ObservedTimes> {
        self.times.as_ref()
    }

    /// Returns what was signed.
    pub fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }
}

/// Verifies a bundle against an artifact, trust material and a policy (spec 07 §5).
///
/// Not checked here: whether an artifact's name, tag or repository is the one meant; the caller decides
/// which digest to ask about.
///
/// # Errors
/// [`VerifyError`], the first check that refuses.
pub fn verify(
    bundle: &Bundle,
    artifact: &Artifact,
    trust: &TrustedRoot,
    policy: &Policy,
) -> Result<VerifiedBundle, VerifyError> {
    // A: parsing has settled the structure. B, H, I: what was signed.
    let key = match (&bundle.key_material, policy.signer()) {
        (KeyMaterial::Certificate(leaf), ExpectedSigner::Identities(_)) => leaf.public_key(),
        (KeyMaterial::PublicKey { .. }, ExpectedSigner::Key(key)) => key,
        (KeyMaterial::PublicKey { .. }, ExpectedSigner::Identities(_)) => {
            return Err(VerifyError::NoCertificate);
        }
        (KeyMaterial::Certificate(_), ExpectedSigner::Key(_)) => {
            return Err(VerifyError::CertificateNotKey);
        }
    };
    let signature = signature::verify_signature(&bundle.content, key, artifact)?;
    // C: timestamps over the signature.
    let timestamps = timestamp::verify_timestamps(bundle, trust)?;
    // D: log entries about this signature.
    let entries = entry::verify_entries(bundle, key, &signature, trust)?;
    let (signer_evidence, times) = match &bundle.key_material {
        KeyMaterial::Certificate(leaf) => {
            // E, F, G: times, the chain at each of them, the promise of transparency.
            let times = ObservedTimes::collect(&entries, &timestamps)?;
            let chain = chain::verify_chain(leaf, &times, trust)?;
            let sct = sct::verify_sct(leaf, &chain, trust)?;
            (SignerEvidence::Certificate { chain, sct }, Some(times))
        }
        KeyMaterial::PublicKey { .. } => (
            SignerEvidence::ManagedKey,
            ObservedTimes::collect(&entries, &timestamps).ok(),
        ),
    };
    // J: policy.
    policy.verify_content(&signature, artifact)?;
    let signer = policy.verify_signer(&bundle.key_material)?;
    Ok(VerifiedBundle::from_evidence(
        signer,
        signer_evidence,
        entries,
        timestamps,
        times,
        signature,
    ))
}
