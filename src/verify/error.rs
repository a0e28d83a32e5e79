//! Why a bundle was refused: one variant for each check, with the facts.

use crate::crypto::chain::ChainError;
use crate::crypto::merkle::MerkleError;
use crate::crypto::{Digest, TimeRange, UnixTime};
pub use crate::diagnostic::shell_quoted;
use crate::diagnostic::{Diagnostic, Exit, shell_option};
use crate::format::certificate_identity::{CertificateIdentity, IdentityError};
use crate::format::checkpoint::CheckpointError;
use crate::format::legacy::LegacyError;
use crate::format::log_entry::LogBodyError;
use crate::format::sct::SctError;
use crate::format::statement::StatementError;
use crate::format::timestamp::TimestampError;
use crate::verify::policy::CompletedPattern;
use crate::verify::requirements::{counted, operators};

/// Why [`crate::verify::verify`] refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The signature does not verify over the artifact or envelope.
    #[error("signature does not verify")]
    SignatureInvalid,
    /// A digest of the artifact under this algorithm is needed and was not given.
    #[error("the {algorithm} digest of the artifact is needed")]
    DigestNeeded {
        /// Hash algorithm.
        algorithm: &'static str,
    },
    /// The bundle says that it is for another artifact.
    #[error("bundle is for another artifact")]
    ArtifactMismatch {
        /// Digests of the artifact asked about.
        expected: Vec<Digest>,
        /// What the bundle names.
        found: Vec<String>,
    },
    /// The envelope's payload is not an in-toto statement.
    #[error("envelope payload type is not in-toto's")]
    PayloadType {
        /// Payload type found.
        found: String,
    },
    /// The statement cannot be read.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// The payload of an older image signature cannot be read.
    #[error("{0}")]
    SimpleSigning(#[from] LegacyError),
    /// An attestation, or a signature of another kind, where a signature is asked for.
    #[error("signed, but not as what is asked for: an attestation, or a signature of another kind")]
    NotASignature {
        /// What is asked for.
        expected: String,
        /// What was found: a predicate type, or words.
        found: String,
    },
    /// An attestation, and not of the type that is asked for.
    #[error("an attestation of another type")]
    OtherPredicateType {
        /// Type asked for.
        expected: String,
        /// Type found.
        found: String,
    },
    /// A signature, where an attestation is asked for.
    #[error("a signature, and not an attestation")]
    NotAnAttestation {
        /// Type asked for.
        expected: String,
        /// What was found, in words.
        found: &'static str,
    },
    /// An annotation asked for is missing or has another value.
    #[error("annotation {key} does not match")]
    AnnotationMismatch {
        /// Name of the annotation.
        key: String,
        /// Value asked for.
        expected: String,
        /// Value found.
        found: Option<String>,
    },
    /// The predicate does not say what it must.
    #[error("the predicate does not say what is asked for")]
    PredicateRefused {
        /// The requirement as given, or the name of the policy.
        check: String,
        /// What was found instead.
        found: String,
    },
    /// Signed with a key, where an identity is asked for.
    #[error("signed with a key, and without the certificate that is asked for")]
    NoCertificate,
    /// Signed with a certificate, where a key is asked for.
    #[error("signed with a certificate, and not with the key that is asked for")]
    CertificateNotKey,
    /// The certificate names nobody.
    #[error("{0}")]
    Identity(#[from] IdentityError),
    /// The certificate names somebody else.
    #[error("certificate identity does not match")]
    IdentityMismatch {
        /// Identities asked for.
        expected: Vec<String>,
        /// Identity found.
        found: Box<CertificateIdentity>,
        /// What would match the whole value, where a pattern matched a part.
        suggestion: Option<CompletedPattern>,
    },
    /// The certificate lacks a claim that was asked for, or has it with another value.
    #[error("certificate claim {name} does not match")]
    ClaimMismatch {
        /// Name of the claim.
        name: &'static str,
        /// Value asked for.
        expected: String,
        /// Value found.
        found: Option<String>,
        /// Identity found.
        identity: Box<CertificateIdentity>,
    },
    /// The certificate or its path is refused.
    #[error("{0}")]
    Chain(ChainError),
    /// No trusted authority covers an observed time.
    #[error("no certificate authority was trusted at the time of signing")]
    NoAuthorityAt {
        /// The time.
        time: UnixTime,
    },
    /// No entry is in a log that is trusted.
    #[error("no log entry is in a trusted log")]
    UnknownLog {
        /// Key ids found, hex.
        found: Vec<String>,
    },
    /// The logs that hold the signature are of fewer operators than were asked for.
    #[error("too few transparency logs hold the signature")]
    TooFewLogs {
        /// Operators asked for.
        needed: usize,
        /// Operators found.
        found: Vec<String>,
    },
    /// The timestamps are of fewer operators than were asked for.
    #[error("too few timestamp authorities vouch for the time")]
    TooFewTimestamps {
        /// Operators asked for.
        needed: usize,
        /// Operators found.
        found: Vec<String>,
    },
    /// The signed certificate timestamps are of fewer operators than were asked for.
    #[error("too few CT logs promised to publish the certificate")]
    TooFewScts {
        /// Operators asked for.
        needed: usize,
        /// Operators found.
        found: Vec<String>,
    },
    /// The entry's body cannot be used.
    #[error("{0}")]
    LogBody(#[from] LogBodyError),
    /// The entry is about something else.
    #[error("log entry does not match the bundle: {what} differs")]
    EntryMismatch {
        /// What differs.
        what: &'static str,
    },
    /// The inclusion promise does not verify, or has no time.
    #[error("inclusion promise (signed entry timestamp) does not verify")]
    PromiseInvalid,
    /// The log's key was not trusted at that time.
    #[error("log key was not trusted at the time of the entry")]
    LogKeyNotValidAt {
        /// The time.
        time: UnixTime,
        /// When the key was trusted.
        valid_for: TimeRange,
    },
    /// The checkpoint cannot be read.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointError),
    /// The checkpoint is not signed by the log.
    #[error("checkpoint is not signed by the log: {reason}")]
    CheckpointSignature {
        /// Which rule is broken.
        reason: &'static str,
    },
    /// The checkpoint is of another tree than the proof.
    #[error("checkpoint and inclusion proof disagree about the {what}")]
    CheckpointMismatch {
        /// What differs.
        what: &'static str,
    },
    /// The entry is not in the tree.
    #[error("inclusion proof: {0}")]
    Inclusion(#[from] MerkleError),
    /// Two entries are the same leaf of the same log.
    #[error("two log entries are the same leaf of one log")]
    EntryRepeated,
    /// No proof and no promise.
    #[error("log entry has neither a usable promise nor a proof")]
    NoProof,
    /// The timestamp cannot be read.
    #[error("{0}")]
    Timestamp(#[from] TimestampError),
    /// The timestamp covers another signature.
    #[error("timestamp is for another signature")]
    TimestampImprint {
        /// Digest of the signature.
        expected: Box<Digest>,
        /// Digest in the timestamp.
        found: Box<Digest>,
    },
    /// The timestamp's signature or its signed attributes do not hold.
    #[error("timestamp does not verify: {reason}")]
    TimestampInvalid {
        /// Which rule is broken.
        reason: &'static str,
    },
    /// The timestamp authority's certificate is refused.
    #[error("timestamp authority: {0}")]
    TimestampChain(ChainError),
    /// The timestamp lies outside of the authority's time.
    #[error("timestamp authority was not trusted at the time of the timestamp")]
    TimestampAuthorityNotValidAt {
        /// The time.
        time: UnixTime,
        /// When the authority was trusted.
        valid_for: TimeRange,
    },
    /// Nothing trusted says when the signature was made.
    #[error(
        "no trusted time of signing: neither a log's promise nor a timestamp of a trusted authority counts"
    )]
    NoTrustedTime,
    /// The list of signed certificate timestamps cannot be read.
    #[error("{0}")]
    Sct(#[from] SctError),
    /// No SCT of a trusted CT log verifies.
    #[error("no signed certificate timestamp of a trusted CT log verifies")]
    NoTrustedSct {
        /// Number of timestamps in the certificate.
        found: usize,
        /// Number by known logs.
        known: usize,
    },
}

impl From<ChainError> for VerifyError {
    fn from(error: ChainError) -> Self {
        VerifyError::Chain(error)
    }
}

impl VerifyError {
    /// Orders refusals by how much they tell: a bundle that failed late says more about what is asked than
    /// one that failed early. The highest leads the report (`rank` in STYLE).
    pub fn rank(&self) -> u8 {
        // Found out before anything is checked.
        if matches!(self, VerifyError::CertificateNotKey) {
            return 2;
        }
        match self.exit() {
            Exit::IdentityMismatch => 9,
            Exit::Sct => 7,
            Exit::Certificate => 6,
            Exit::Timestamp => 5,
            Exit::Log => 4,
            Exit::SignatureInvalid => 3,
            Exit::ContentMismatch => 2,
            Exit::NoSignature => 1,
            _ => 2,
        }
    }
}

fn join(digests: &[Digest]) -> String {
    digests
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Diagnostic for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            VerifyError::SignatureInvalid => "signature-invalid",
            VerifyError::DigestNeeded { .. } => "digest-needed",
            VerifyError::ArtifactMismatch { .. } => "artifact-mismatch",
            VerifyError::PayloadType { .. } => "payload-type",
            VerifyError::Statement(_) => "statement-malformed",
            VerifyError::SimpleSigning(_) => "simple-signing-malformed",
            VerifyError::NotASignature { .. } => "not-a-signature",
            VerifyError::OtherPredicateType { .. } => "predicate-type-mismatch",
            VerifyError::NotAnAttestation { .. } => "not-an-attestation",
            VerifyError::AnnotationMismatch { .. } => "annotation-mismatch",
            VerifyError::PredicateRefused { .. } => "predicate-refused",
            VerifyError::NoCertificate => "no-certificate",
            VerifyError::CertificateNotKey => "certificate-not-key",
            VerifyError::Identity(_) => "certificate-identity-malformed",
            VerifyError::IdentityMismatch { .. } => "identity-mismatch",
            VerifyError::ClaimMismatch { .. } => "claim-mismatch",
            VerifyError::TooFewLogs { .. } => "log-threshold",
            VerifyError::TooFewTimestamps { .. } => "timestamp-threshold",
            VerifyError::TooFewScts { .. } => "sct-threshold",
            VerifyError::Chain(error) => match error {
                ChainError::NoPath { .. } => "certificate-untrusted",
                ChainError::NotValidAt { .. } => "certificate-not-valid-at",
                ChainError::NotAnAuthority { .. } => "certificate-authority-invalid",
                ChainError::NotASigner { .. } => "certificate-profile",
                ChainError::CriticalExtension { .. } => "certificate-critical-extension",
            },
            VerifyError::NoAuthorityAt { .. } => "certificate-authority-not-valid-at",
            VerifyError::UnknownLog { .. } => "log-unknown",
            VerifyError::LogBody(LogBodyError::KindMismatch { .. }) => "log-kind-mismatch",
            VerifyError::LogBody(LogBodyError::Unsupported { .. }) => "log-kind-unsupported",
            VerifyError::LogBody(LogBodyError::Malformed { .. }) => "log-body-malformed",
            VerifyError::EntryMismatch { .. } => "log-entry-mismatch",
            VerifyError::PromiseInvalid => "log-promise-invalid",
            VerifyError::LogKeyNotValidAt { .. } => "log-key-not-valid-at",
            VerifyError::Checkpoint(_) => "checkpoint-malformed",
            VerifyError::CheckpointSignature { .. } => "checkpoint-signature",
            VerifyError::CheckpointMismatch { .. } => "checkpoint-mismatch",
            VerifyError::Inclusion(_) => "inclusion-proof-invalid",
            VerifyError::EntryRepeated => "log-entry-repeated",
            VerifyError::NoProof => "log-proof-missing",
            VerifyError::Timestamp(TimestampError::NotGranted { .. }) => "timestamp-not-granted",
            VerifyError::Timestamp(TimestampError::Malformed { .. }) => "timestamp-malformed",
            VerifyError::TimestampImprint { .. } => "timestamp-imprint",
            VerifyError::TimestampInvalid { .. } => "timestamp-invalid",
            VerifyError::TimestampChain(_) => "timestamp-certificate",
            VerifyError::TimestampAuthorityNotValidAt { .. } => "timestamp-authority-not-valid-at",
            VerifyError::NoTrustedTime => "no-trusted-time",
            VerifyError::Sct(_) => "sct-malformed",
            VerifyError::NoTrustedSct { .. } => "sct-untrusted",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            VerifyError::SignatureInvalid => Exit::SignatureInvalid,
            VerifyError::ArtifactMismatch { .. } | VerifyError::DigestNeeded { .. } => {
                Exit::ContentMismatch
            }
            VerifyError::PayloadType { .. }
            | VerifyError::Statement(_)
            | VerifyError::SimpleSigning(_) => Exit::Malformed,
            VerifyError::NotASignature { .. }
            | VerifyError::OtherPredicateType { .. }
            | VerifyError::NotAnAttestation { .. } => Exit::NoSignature,
            // Signed, but by somebody else than the holder of the key.
            VerifyError::CertificateNotKey
            | VerifyError::AnnotationMismatch { .. }
            | VerifyError::PredicateRefused { .. }
            | VerifyError::IdentityMismatch { .. }
            | VerifyError::ClaimMismatch { .. } => Exit::IdentityMismatch,
            VerifyError::NoCertificate => Exit::NoCertificate,
            VerifyError::Identity(_)
            | VerifyError::Chain(_)
            | VerifyError::NoAuthorityAt { .. } => Exit::Certificate,
            VerifyError::UnknownLog { .. }
            | VerifyError::TooFewLogs { .. }
            | VerifyError::LogBody(_)
            | VerifyError::EntryMismatch { .. }
            | VerifyError::PromiseInvalid
            | VerifyError::LogKeyNotValidAt { .. }
            | VerifyError::Checkpoint(_)
            | VerifyError::CheckpointSignature { .. }
            | VerifyError::CheckpointMismatch { .. }
            | VerifyError::Inclusion(_)
            | VerifyError::EntryRepeated
            | VerifyError::NoProof => Exit::Log,
            VerifyError::Timestamp(_)
            | VerifyError::TimestampImprint { .. }
            | VerifyError::TimestampInvalid { .. }
            | VerifyError::TimestampChain(_)
            | VerifyError::TimestampAuthorityNotValidAt { .. }
            | VerifyError::TooFewTimestamps { .. }
            | VerifyError::NoTrustedTime => Exit::Timestamp,
            VerifyError::Sct(_)
            | VerifyError::NoTrustedSct { .. }
            | VerifyError::TooFewScts { .. } => Exit::Sct,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            VerifyError::ArtifactMismatch { expected, found } => {
                vec![("expected", join(expected)), ("found", found.join(", "))]
            }
            VerifyError::PayloadType { found } => vec![("found", found.clone())],
            VerifyError::NotASignature { expected, found }
            | VerifyError::OtherPredicateType { expected, found } => {
                vec![("expected", expected.clone()), ("found", found.clone())]
            }
            VerifyError::NotAnAttestation { expected, found } => {
                vec![
                    ("expected", expected.clone()),
                    ("found", (*found).to_owned()),
                ]
            }
            VerifyError::AnnotationMismatch {
                expected, found, ..
            } => vec![
                ("expected", expected.clone()),
                (
                    "found",
                    found
                        .clone()
                        .unwrap_or_else(|| "no such annotation".to_owned()),
                ),
            ],
            VerifyError::PredicateRefused { check, found } => {
                vec![("expected", check.clone()), ("found", found.clone())]
            }
            VerifyError::ClaimMismatch {
                expected, found, ..
            } => vec![
                ("expected", expected.clone()),
                (
                    "found",
                    found.clone().unwrap_or_else(|| "no such claim".to_owned()),
                ),
            ],
            VerifyError::TooFewLogs { needed, found }
            | VerifyError::TooFewTimestamps { needed, found }
            | VerifyError::TooFewScts { needed, found } => {
                vec![("expected", operators(*needed)), ("found", counted(found))]
            }
            VerifyError::IdentityMismatch {
                expected, found, ..
            } => vec![
                ("expected", expected.join(", or ")),
                (
                    "found",
                    format!("{} (issuer {})", found.subject, found.issuer),
                ),
            ],
            VerifyError::Chain(ChainError::NotValidAt {
                subject,
                time,
                validity,
            })
            | VerifyError::TimestampChain(ChainError::NotValidAt {
                subject,
                time,
                validity,
            }) => vec![
                (
                    "certificate",
                    if subject.is_empty() {
                        "the signer's".to_owned()
                    } else {
                        subject.clone()
                    },
                ),
                ("valid", validity.to_string()),
                ("time", time.to_string()),
            ],
            VerifyError::NoAuthorityAt { time } => vec![("time", time.to_string())],
            VerifyError::UnknownLog { found } => {
                let found = match found.as_slice() {
                    [] => "no log entry".to_owned(),
                    found => found.join(", "),
                };
                vec![("found log id", found)]
            }
            VerifyError::LogBody(LogBodyError::KindMismatch { expected, found }) => {
                vec![("kindVersion", expected.clone()), ("body", found.clone())]
            }
            VerifyError::LogKeyNotValidAt { time, valid_for }
            | VerifyError::TimestampAuthorityNotValidAt { time, valid_for } => {
                vec![
                    ("trusted", valid_for.to_string()),
                    ("time", time.to_string()),
                ]
            }
            VerifyError::Inclusion(MerkleError::RootMismatch { expected, found }) => {
                vec![
                    ("expected root", hex::encode(expected)),
                    ("found root", hex::encode(found)),
                ]
            }
            VerifyError::TimestampImprint { expected, found } => {
                vec![
                    ("expected", expected.to_string()),
                    ("found", found.to_string()),
                ]
            }
            VerifyError::NoTrustedSct { found, known } => vec![
                ("in the certificate", found.to_string()),
                ("by CT logs of the trusted root", known.to_string()),
            ],
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            VerifyError::IdentityMismatch {
                suggestion: Some(CompletedPattern::Beneath(pattern)),
                ..
            } => {
                format!("the pattern must match the whole value; this one would: {pattern}")
            }
            VerifyError::IdentityMismatch {
                suggestion: Some(CompletedPattern::Exact(pattern)),
                ..
            } => format!(
                "the pattern must match the whole value, and matches a part of it; if this signer is intended: \
                 {pattern}"
            ),
            VerifyError::IdentityMismatch { found, .. } => {
                format!("{IF_INTENDED}{}", signer_options(found)?)
            }
            VerifyError::ClaimMismatch {
                name,
                found: Some(found),
                ..
            } => {
                let claim = format!("{name}={found}");
                format!("{IF_INTENDED}{}", shell_option("--certificate-claim", &claim)?)
            }
            VerifyError::UnknownLog { .. }
            | VerifyError::Chain(ChainError::NoPath { .. })
            | VerifyError::NoTrustedSct { .. } => {
                "signed on another Sigstore instance? give its trusted root with --trusted-root"
                    .to_owned()
            }
            VerifyError::OtherPredicateType { found, .. } => {
                format!(
                    "if that is meant: {}",
                    shell_option("--type", found)?
                )
            }
            VerifyError::CertificateNotKey => {
                "expect the signer by --certificate-identity and --certificate-oidc-issuer in place of --key; \
                 `keyless inspect` shows who it is"
                    .to_owned()
            }
            VerifyError::NoCertificate => {
                "expect the key with --key in place of an identity".to_owned()
            }
            VerifyError::NotAnAttestation { .. } => {
                "signatures are verified by `keyless verify` and `keyless verify-blob`".to_owned()
            }
            VerifyError::NoTrustedTime => {
                "a timestamp counts if the trusted root lists its authority, a promise if the log is checked"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

/// How a suggestion begins that accepts whoever signed.
pub const IF_INTENDED: &str = "if this signer is intended: ";

/// Returns the options that accept a signer; `None` where a name cannot be shown as it is.
pub fn signer_options(signer: &CertificateIdentity) -> Option<String> {
    let subject = shell_option("--certificate-identity", &signer.subject)?;
    let issuer = shell_option("--certificate-oidc-issuer", &signer.issuer)?;
    Some(format!("{subject} {issuer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_more_leads() {
        let path = ChainError::NoPath {
            subject: String::new(),
        };
        let annotation = VerifyError::AnnotationMismatch {
            key: String::new(),
            expected: String::new(),
            found: None,
        };
        let other = VerifyError::NotASignature {
            expected: String::new(),
            found: String::new(),
        };
        let digest = VerifyError::DigestNeeded {
            algorithm: "sha256",
        };
        let scts = VerifyError::NoTrustedSct { found: 0, known: 0 };
        let by_rank = [
            &annotation,
            &scts,
            &VerifyError::Chain(path),
            &VerifyError::NoTrustedTime,
            &VerifyError::EntryRepeated,
            &VerifyError::SignatureInvalid,
            &digest,
            &other,
        ];
        for pair in by_rank.windows(2) {
            assert!(pair[0].rank() > pair[1].rank(), "{} {}", pair[0], pair[1]);
        }
        assert_eq!(VerifyError::NoCertificate.rank(), digest.rank());
    }

    #[test]
    fn what_a_shell_would_read_is_quoted() {
        for plain in [
            "a",
            "Z9",
            "dev@example.test",
            "https://x.test/a_b-c,d=e%2f+g:h",
        ] {
            assert_eq!(shell_quoted(plain), plain);
        }
        for (text, quoted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("$(x)", "'$(x)'"),
            ("a;b", "'a;b'"),
            ("*", "'*'"),
            ("~", "'~'"),
            ("\u{e9}", "'\u{e9}'"),
            ("it's", r"'it'\''s'"),
        ] {
            assert_eq!(shell_quoted(text), quoted);
        }
    }

    #[test]
    fn digests_are_listed() {
        let found = [Digest::sha256(b"a"), Digest::sha256(b"b")];
        assert_eq!(join(&found), format!("{}, {}", found[0], found[1]));
    }
}
