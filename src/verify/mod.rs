//! Floor 3: the judgement. Bytes, trust material and a policy go in, a typed verdict comes out.
//!
//! [`Verifier::verify`] is the whole of it. Each step returns evidence that only its check can make (private
//! fields, one constructor), and [`VerifiedBundle`] cannot be built without all of it: a step left out of
//! [`verify`] does not compile. Nothing here
//! reads a clock, a file or the network; times come from log promises and timestamps alone.
//!
//! What is decided where the specification leaves room (Sigstore Client Spec 4.2 and 4.4):
//! - A timestamp by an authority that the trusted root does not list is no evidence and does not
//!   count; one by a listed authority, or one that cannot be read or covers another signature, refuses
//!   the bundle.
//! - A log entry of a log that is not listed is no evidence; one of a listed log must hold in full.
//! - Every observed time must fit the certificate, not just one.
//! - A v0.1 bundle may lack the inclusion proof; its promise is then the log's word, and outputs say that
//!   inclusion was promised and not proven. Whoever rewrites a v0.3 bundle that way gains nothing: what
//!   remains is still signed by the log.

pub mod chain;
pub mod entry;
pub mod error;
pub mod explain;
pub mod glob;
pub mod nearness;
pub mod policy;
pub mod policy_file;
pub mod predicate;
pub mod rego;
pub mod requirements;
pub mod sct;
pub mod signature;
pub mod timestamp;

pub use chain::VerifiedChain;
pub use entry::{BoundEntries, BoundEntry};
pub use error::VerifyError;
pub use explain::Explanation;
pub use nearness::Nearness;
pub use policy::{
    ExpectedContent, ExpectedSigner, IdentityMatcher, MatchedContent, MatchedSigner, Policy,
};
pub use predicate::{MatchedPredicate, PredicateChecks};
pub use requirements::{Evidence, Thresholds, Waiver};
pub use sct::SctEvidence;
pub use signature::{Artifact, VerifiedSignature};
pub use timestamp::{JudgedTimestamps, VerifiedTimestamp};

use std::collections::BTreeMap;

use crate::crypto::{SignatureMemo, UnixTime};
use crate::format::bundle::{Bundle, Content, KeyMaterial};
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::legacy::StoredEnvelope;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::trust::TrustedRoot;
use crate::verify::explain::Trail;

/// Where an observed time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeSource {
    /// Inclusion promise of a Rekor v1 log.
    LogPromise,
    /// RFC 3161 timestamp.
    TimestampAuthority,
}

impl TimeSource {
    fn words(self) -> &'static str {
        match self {
            TimeSource::LogPromise => "a log's promise",
            TimeSource::TimestampAuthority => "a timestamp authority",
        }
    }
}

/// Times at which the signature is known to have existed; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedTimes(Vec<(UnixTime, TimeSource)>);

impl ObservedTimes {
    /// Collects the times of bound entries and verified timestamps (Sigstore Client Spec 4.2). A log that promises no
    /// time must have been trusted at every time that others vouch for.
    fn collect(
        entries: &[BoundEntry],
        timestamps: &JudgedTimestamps,
        trail: &mut Trail,
    ) -> Result<Self, VerifyError> {
        let promised = entries.iter().filter_map(BoundEntry::promised_time);
        let stamped = timestamps.counted().iter().map(VerifiedTimestamp::time);
        let times: Vec<(UnixTime, TimeSource)> = promised
            .map(|time| (time, TimeSource::LogPromise))
            .chain(stamped.map(|time| (time, TimeSource::TimestampAuthority)))
            .collect();
        if times.is_empty() {
            return Err(VerifyError::NoTrustedTime);
        }
        for (time, source) in &times {
            trail.fact("found", || format!("{time} by {}", source.words()));
        }
        for entry in entries
            .iter()
            .filter(|entry| entry.promised_time().is_none())
        {
            trail.check(explain::LOG_AT_TIMES, |trail| {
                trail.about(|| entry.log_url().to_owned());
                times
                    .iter()
                    .try_for_each(|(time, _)| entry.verify_log_trusted_at(*time))
            })?;
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

/// Why the signer is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerEvidence {
    /// A certificate stood at every observed time, and was promised to be public.
    Certificate(CertificateEvidence),
    /// A key that the policy named.
    Key(KeyEvidence),
}

/// What makes a certificate believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEvidence {
    times: ObservedTimes,
    chain: VerifiedChain,
    sct: Evidence<SctEvidence>,
}

impl CertificateEvidence {
    /// Returns the path to a trusted authority at every observed time.
    pub fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// Returns the promises of trusted CT logs, unless they were waived.
    pub fn sct(&self) -> &Evidence<SctEvidence> {
        &self.sct
    }
}

/// A key needs no time; where there is one it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEvidence {
    times: Option<ObservedTimes>,
}

/// A bundle that has passed every check of [`verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBundle {
    artifact: Artifact,
    signer: MatchedSigner,
    signer_evidence: SignerEvidence,
    entries: Evidence<BoundEntries>,
    timestamps: JudgedTimestamps,
    signature: VerifiedSignature,
    content: MatchedContent,
    predicate: MatchedPredicate,
}

impl VerifiedBundle {
    #[allow(clippy::too_many_arguments)] // one for each check
    fn from_evidence(
        artifact: &Artifact,
        signer: MatchedSigner,
        signer_evidence: SignerEvidence,
        entries: Evidence<BoundEntries>,
        timestamps: JudgedTimestamps,
        signature: VerifiedSignature,
        content: MatchedContent,
        predicate: MatchedPredicate,
    ) -> Self {
        let artifact = artifact.clone();
        VerifiedBundle {
            artifact,
            signer,
            signer_evidence,
            entries,
            timestamps,
            signature,
            content,
            predicate,
        }
    }

    /// Returns the artifact that the verdict is about.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Returns who signed.
    pub fn signer(&self) -> &MatchedSigner {
        &self.signer
    }

    /// Returns why the signer is believed.
    pub fn signer_evidence(&self) -> &SignerEvidence {
        &self.signer_evidence
    }

    /// Returns the log entries that counted; none where the transparency log was waived.
    pub fn entries(&self) -> &[BoundEntry] {
        self.entries.checked().map_or(&[], BoundEntries::all)
    }

    /// Returns the checks that were left out on request.
    pub fn waivers(&self) -> Vec<Waiver> {
        let sct = match &self.signer_evidence {
            SignerEvidence::Certificate(evidence) => evidence.sct.waiver(),
            SignerEvidence::Key(_) => None,
        };
        self.entries.waiver().into_iter().chain(sct).collect()
    }

    /// Returns the timestamps that counted.
    pub fn timestamps(&self) -> &[VerifiedTimestamp] {
        self.timestamps.counted()
    }

    /// Returns the observed times; `None` only for a managed key that nobody vouches a time for.
    pub fn times(&self) -> Option<&ObservedTimes> {
        match &self.signer_evidence {
            SignerEvidence::Certificate(evidence) => Some(&evidence.times),
            SignerEvidence::Key(evidence) => evidence.times.as_ref(),
        }
    }

    /// Returns the annotations of the statement's subjects that are the artifact; of no others.
    pub fn annotations(&self) -> &[BTreeMap<String, String>] {
        self.content.annotations()
    }

    /// Returns what was signed.
    pub fn signature(&self) -> &VerifiedSignature {
        &self.signature
    }
}

/// Who signed, where nobody was expected. Whoever holds a certificate could be it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSigner {
    /// The identity in the certificate.
    pub identity: CertificateIdentity,
    /// Predicate type of the statement that was signed; `None` for a signature over the bytes.
    pub predicate_type: Option<String>,
    /// The earliest time at which the signature is known to have existed.
    pub time: Option<UnixTime>,
}

/// Judges bundles under one trusted root, and remembers which signatures have verified: what many bundles
/// share is computed once.
#[derive(Debug)]
pub struct Verifier<'t> {
    trust: &'t TrustedRoot,
    memo: SignatureMemo,
}

impl<'t> Verifier<'t> {
    /// Judges under this trusted root.
    pub fn new(trust: &'t TrustedRoot) -> Self {
        Verifier {
            trust,
            memo: SignatureMemo::default(),
        }
    }

    /// Verifies a bundle against an artifact and a policy (Sigstore Client Spec 4).
    ///
    /// Not checked here: whether an artifact's name, tag or repository is the one meant; the caller decides
    /// which digest to ask about.
    ///
    /// # Errors
    /// [`VerifyError`], the first check that refuses.
    pub fn verify(
        &self,
        bundle: &Bundle,
        artifact: &Artifact,
        policy: &Policy,
    ) -> Result<VerifiedBundle, VerifyError> {
        self.judge(bundle, artifact, policy, &mut Trail::off())
    }

    /// Verifies likewise, and tells which checks were made, with what was expected and found.
    pub fn explain(
        &self,
        bundle: &Bundle,
        artifact: &Artifact,
        policy: &Policy,
    ) -> (Result<VerifiedBundle, VerifyError>, Explanation) {
        let mut trail = Trail::recording();
        let verdict = self.judge(bundle, artifact, policy, &mut trail);
        let has_certificate = matches!(bundle.key_material, KeyMaterial::Certificate(_));
        (verdict, trail.finish(has_certificate, policy))
    }

    /// Finds out who signed, by a bundle that holds whoever that is. This is no verdict: nobody was expected,
    /// and what comes of it is no [`VerifiedBundle`]. For a person who writes a policy.
    ///
    /// # Errors
    /// [`VerifyError`]; a signature under a key without certificate names nobody.
    pub fn find_signer(
        &self,
        bundle: &Bundle,
        artifact: &Artifact,
    ) -> Result<FoundSigner, VerifyError> {
        let found = self.verify(bundle, artifact, &Policy::anyone())?;
        let MatchedSigner::Identity(identity) = found.signer() else {
            return Err(VerifyError::NoCertificate);
        };
        let signature = found.signature();
        Ok(FoundSigner {
            identity: identity.clone(),
            predicate_type: match (signature.statement(), signature.simple_signing()) {
                (Some(statement), _) => Some(statement.predicate_type.clone()),
                // What a bundle says with this type.
                (None, Some(_)) => Some(COSIGN_SIGN_V1.to_owned()),
                (None, None) => None,
            },
            time: found.times().map(ObservedTimes::earliest),
        })
    }

    fn judge(
        &self,
        bundle: &Bundle,
        artifact: &Artifact,
        policy: &Policy,
        trail: &mut Trail,
    ) -> Result<VerifiedBundle, VerifyError> {
        // A: parsing has settled the structure. B, H, I: what was signed.
        let (key, signature) = trail.check(explain::SIGNATURE, |trail| {
            let key = match (&bundle.key_material, policy.signer()) {
                (
                    KeyMaterial::Certificate(leaf),
                    ExpectedSigner::Identities(_) | ExpectedSigner::Anyone,
                ) => leaf.public_key(),
                (KeyMaterial::PublicKey { .. }, ExpectedSigner::Key(key)) => key,
                (
                    KeyMaterial::PublicKey { .. },
                    ExpectedSigner::Identities(_) | ExpectedSigner::Anyone,
                ) => return Err(VerifyError::NoCertificate),
                (KeyMaterial::Certificate(_), ExpectedSigner::Key(_)) => {
                    return Err(VerifyError::CertificateNotKey);
                }
            };
            let is_as_stored = |stored: &StoredEnvelope| matches!(&bundle.content, Content::DsseEnvelope(envelope) if envelope == stored.envelope());
            if !bundle.stored_envelope.as_ref().is_none_or(is_as_stored) {
                return Err(VerifyError::EntryMismatch {
                    what: "the stored envelope",
                });
            }
            let signature = signature::verify_signature(&bundle.content, key, artifact, trail)?;
            Ok((key, signature))
        })?;
        // C: timestamps over the signature.
        let timestamps = trail.check(explain::TIMESTAMPS, |trail| {
            timestamp::verify_timestamps(bundle, policy.thresholds(), self, trail)
        })?;
        // D: log entries about this signature.
        let entries = match policy.waiver(Waiver::TransparencyLog) {
            Some(waiver) => {
                trail.waived(explain::LOG_ENTRIES, waiver);
                Evidence::Waived(waiver)
            }
            None => Evidence::Checked(trail.check(explain::LOG_ENTRIES, |trail| {
                let thresholds = policy.thresholds();
                entry::verify_entries(
                    bundle,
                    key,
                    &signature,
                    &timestamps,
                    thresholds,
                    self,
                    trail,
                )
            })?),
        };
        let bound = entries.checked().map_or(&[][..], BoundEntries::all);
        let signer_evidence = match &bundle.key_material {
            KeyMaterial::Certificate(leaf) => {
                // E, F, G: times, the chain at each of them, the promise of transparency.
                let times = trail.check(explain::TIMES, |trail| {
                    ObservedTimes::collect(bound, &timestamps, trail)
                })?;
                let chain = trail.check(explain::CERTIFICATE, |trail| {
                    chain::verify_chain(leaf, &times, self, trail)
                })?;
                let sct = match policy.waiver(Waiver::SignedCertificateTimestamp) {
                    Some(waiver) => {
                        trail.waived(explain::SCTS, waiver);
                        Evidence::Waived(waiver)
                    }
                    None => Evidence::Checked(trail.check(explain::SCTS, |trail| {
                        sct::verify_scts(leaf, &chain, policy.thresholds(), self, trail)
                    })?),
                };
                SignerEvidence::Certificate(CertificateEvidence { times, chain, sct })
            }
            KeyMaterial::PublicKey { .. } => {
                // A key needs no time; a log that has ended does, or whoever holds its key could still write.
                let times = trail.check(explain::TIMES, |trail| {
                    match ObservedTimes::collect(bound, &timestamps, trail) {
                        Ok(times) => Ok(Some(times)),
                        Err(VerifyError::NoTrustedTime) => {
                            trail.not_counted("nobody vouches for a time, and a key needs none");
                            bound
                                .iter()
                                .try_for_each(BoundEntry::verify_log_still_trusted)?;
                            Ok(None)
                        }
                        Err(error) => Err(error),
                    }
                })?;
                SignerEvidence::Key(KeyEvidence { times })
            }
        };
        // J: policy.
        let content = trail.check(explain::CONTENT, |trail| {
            let content = policy.verify_content(&signature, artifact)?;
            policy.tell_content(&signature, trail);
            Ok(content)
        })?;
        let signer = trail.check(explain::SIGNER, |trail| {
            policy.verify_signer(&bundle.key_material, trail)
        })?;
        let predicate = policy.predicate_checks().verify(&signature, trail)?;
        Ok(VerifiedBundle::from_evidence(
            artifact,
            signer,
            signer_evidence,
            entries,
            timestamps,
            signature,
            content,
            predicate,
        ))
    }
}

/// Verifies one bundle, see [`Verifier::verify`].
///
/// # Errors
/// [`VerifyError`], the first check that refuses.
pub fn verify(
    bundle: &Bundle,
    artifact: &Artifact,
    trust: &TrustedRoot,
    policy: &Policy,
) -> Result<VerifiedBundle, VerifyError> {
    Verifier::new(trust).verify(bundle, artifact, policy)
}
