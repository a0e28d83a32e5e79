//! How much evidence is asked for: thresholds over distinct operators, and what is waived.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use crate::verify::VerifyError;
use crate::verify::explain::{THRESHOLD, Trail};

/// How many distinct operators must vouch (Sigstore Client Spec 4.6, "Threshold verification"). Two
/// proofs of one operator count once; where the trusted root names no operator, the log's key or the authority's
/// address stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Operators of transparency logs that hold the signature.
    pub log: NonZeroUsize,
    /// Operators of timestamp authorities; none is asked for by itself, for a log may promise the time.
    pub timestamp: usize,
    /// Operators of CT logs that promised to publish the certificate.
    pub sct: NonZeroUsize,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            log: NonZeroUsize::MIN,
            timestamp: 0,
            sct: NonZeroUsize::MIN,
        }
    }
}

/// A check that is left out on request. Only the command line makes one, and every output shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waiver {
    /// Log entries are not looked at and vouch for nothing.
    TransparencyLog,
    /// The certificate need not have been promised to be public.
    SignedCertificateTimestamp,
}

impl Waiver {
    /// Returns the kebab-case name; part of the JSON output.
    pub fn name(self) -> &'static str {
        match self {
            Waiver::TransparencyLog => "transparency-log",
            Waiver::SignedCertificateTimestamp => "signed-certificate-timestamp",
        }
    }

    /// Returns the option that asks for it.
    pub fn flag(self) -> &'static str {
        match self {
            Waiver::TransparencyLog => "--insecure-ignore-tlog",
            Waiver::SignedCertificateTimestamp => "--insecure-ignore-sct",
        }
    }

    /// Returns what is given up.
    pub fn meaning(self) -> &'static str {
        match self {
            Waiver::TransparencyLog => "transparency log not checked",
            Waiver::SignedCertificateTimestamp => "certificate transparency not checked",
        }
    }
}

/// Evidence that a check made, or the waiver that stands in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence<T> {
    /// The check has run and held.
    Checked(T),
    /// It was waived and has not run.
    Waived(Waiver),
}

impl<T> Evidence<T> {
    /// Returns the evidence; `None` where the check was waived.
    pub fn checked(&self) -> Option<&T> {
        match self {
            Evidence::Checked(evidence) => Some(evidence),
            Evidence::Waived(_) => None,
        }
    }

    /// Returns the waiver, if there is one.
    pub fn waiver(&self) -> Option<Waiver> {
        match self {
            Evidence::Checked(_) => None,
            Evidence::Waived(waiver) => Some(*waiver),
        }
    }
}

/// Verifies that what was found is of as many distinct parties as are needed.
pub(super) fn verify_threshold(
    parties: impl Iterator<Item = String>,
    needed: usize,
    trail: &mut Trail,
    refusal: impl FnOnce(Vec<String>) -> VerifyError,
) -> Result<(), VerifyError> {
    trail.check(THRESHOLD, |trail| {
        let found: Vec<String> = parties.collect::<BTreeSet<_>>().into_iter().collect();
        if found.len() < needed {
            return Err(refusal(found));
        }
        trail.fact("expected", || operators(needed));
        trail.fact("found", || counted(&found));
        Ok(())
    })
}

/// Returns how many operators are asked for, in words.
pub(super) fn operators(needed: usize) -> String {
    match needed {
        1 => "1 operator".to_owned(),
        _ => format!("{needed} distinct operators"),
    }
}

/// Returns how many operators were found, and which.
pub(super) fn counted(found: &[String]) -> String {
    match found.is_empty() {
        true => "none".to_owned(),
        false => format!("{}: {}", found.len(), found.join(", ")),
    }
}
