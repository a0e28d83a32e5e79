//! What an attestation says: the statement, made of a predicate or given whole, and what is refused before a
//! key exists. `attest_image` and `attest_blob` sign it.

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::publish::{PublishError, UnwrittenBundle};
use crate::flow::sign::{Payload, SignError};
use crate::flow::sign_blob::BlobError;
use crate::flow::store::StoreError;
use crate::format::limits;
use crate::format::predicate::{self, PredicateError, WantedType};
use crate::format::statement::{COSIGN_SIGN_V1, Statement, StatementError, encode, raw_predicate};
use crate::host::clock;
use crate::host::files::FileError;
use crate::verify::ExpectedContent;

/// What is attested.
#[derive(Debug, Clone)]
pub enum Attested {
    /// A predicate: its type, by name or URI, and its bytes.
    Predicate {
        /// Type as given.
        predicate_type: String,
        /// Bytes as given.
        bytes: Vec<u8>,
    },
    /// A whole statement.
    Statement {
        /// Type that it must have, where one was given.
        predicate_type: Option<String>,
        /// Bytes as given; they are signed as they are.
        bytes: Vec<u8>,
    },
}

/// Why nothing was attested, or what was could not be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The predicate is none of its type.
    #[error("{0}")]
    Predicate(#[from] PredicateError),
    /// The statement given cannot be read.
    #[error("{0}")]
    Statement(#[from] StatementError),
    /// The statement given is about something else.
    #[error("the statement is not about {what}")]
    OtherSubject {
        /// The image or file.
        what: String,
        /// Its digest.
        expected: Digest,
        /// Digests in the statement, the first few.
        found: Vec<Digest>,
    },
    /// The statement given has another type than was asked for.
    #[error("the statement has another predicate type")]
    OtherType {
        /// Type asked for.
        expected: String,
        /// Type found.
        found: String,
    },
    /// The type is that of signatures.
    #[error("an attestation of type {COSIGN_SIGN_V1} would be a signature")]
    IsSignature,
    /// The bundle would be larger than is written and read.
    #[error("the bundle would have about {found} bytes, at most {limit} are written and read")]
    TooLarge {
        /// Size to expect.
        found: u64,
        /// Bound.
        limit: u64,
    },
    /// A digest that is not SHA-256.
    #[error("a file is attested by its SHA-256 digest")]
    DigestAlgorithm {
        /// The digest given.
        found: Digest,
    },
    /// A predicate or statement cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file cannot be read, or is not to be signed.
    #[error("{0}")]
    Blob(#[from] BlobError),
    /// The image could not be resolved.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Signing stopped; nothing was published.
    #[error("{0}")]
    Sign(Box<SignError>),
    /// The bundle file could not be written; nothing was published.
    #[error("{0}")]
    Unwritten(#[from] UnwrittenBundle),
    /// Attestations were made and some could not be attached.
    #[error("{0}")]
    Publish(#[from] PublishError),
}

impl AttestError {
    fn inner(&self) -> Option<&dyn Diagnostic> {
        match self {
            AttestError::Predicate(error) => Some(error),
            AttestError::File(error) => Some(error),
            AttestError::Blob(error) => Some(error),
            AttestError::Store(error) => Some(error),
            AttestError::Sign(error) => Some(error.as_ref()),
            AttestError::Unwritten(error) => Some(error),
            AttestError::Publish(error) => Some(error),
            AttestError::Statement(_)
            | AttestError::OtherSubject { .. }
            | AttestError::OtherType { .. }
            | AttestError::IsSignature
            | AttestError::TooLarge { .. }
            | AttestError::DigestAlgorithm { .. } => None,
        }
    }
}

impl From<SignError> for AttestError {
    fn from(error: SignError) -> Self {
        AttestError::Sign(Box::new(error))
    }
}

impl Diagnostic for AttestError {
    fn code(&self) -> &'static str {
        match self {
            AttestError::Statement(_) => "statement-malformed",
            AttestError::OtherSubject { .. } => "statement-subject",
            AttestError::OtherType { .. } => "statement-type",
            AttestError::IsSignature => "predicate-is-signature",
            AttestError::TooLarge { .. } => "bundle-too-large",
            AttestError::DigestAlgorithm { .. } => "digest-algorithm",
            _ => self.inner().map_or("attest", Diagnostic::code),
        }
    }

    fn exit(&self) -> Exit {
        self.inner().map_or(Exit::Usage, Diagnostic::exit)
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            AttestError::OtherSubject {
                expected, found, ..
            } => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                vec![
                    ("expected", expected.to_string()),
                    ("found", found.join(", ")),
                ]
            }
            AttestError::OtherType { expected, found } => {
                vec![("expected", expected.clone()), ("found", found.clone())]
            }
            AttestError::DigestAlgorithm { found } => vec![("found", found.to_string())],
            _ => self.inner().map(Diagnostic::details).unwrap_or_default(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            AttestError::IsSignature => Some("sign with `keyless sign`".to_owned()),
            AttestError::TooLarge { .. } => Some(limits::TO_RAISE.to_owned()),
            _ => self.inner().and_then(Diagnostic::hint),
        }
    }
}

/// Something that a statement is about: its name, and its digest.
pub type Named = (String, Digest);

/// What certificate, proofs and timestamps add to a bundle, generously; public-good bundles have 5 to 10 KiB of it.
const BESIDE_PAYLOAD: u64 = 32 * 1024;

impl Attested {
    /// Refuses what no subject could change, before anything is asked for.
    ///
    /// # Errors
    /// [`AttestError`].
    pub fn check(&self) -> Result<(), AttestError> {
        self.payload(&[], u64::MAX).map(|_| ())
    }

    /// Makes the payload about these subjects, all of them in one statement. A statement that was given must
    /// name each of them.
    ///
    /// # Errors
    /// [`AttestError`] of predicate, statement and size.
    pub fn payload(&self, subjects: &[Named], limit: u64) -> Result<Payload, AttestError> {
        let (payload, predicate_type) = match self {
            Attested::Predicate {
                predicate_type,
                bytes,
            } => {
                let uri = predicate::type_uri(predicate_type)?;
                let predicate = predicate::predicate(predicate_type, bytes, clock::now())?;
                (encode(subjects, uri, &predicate), uri.to_owned())
            }
            Attested::Statement {
                predicate_type,
                bytes,
            } => {
                let expected = predicate_type.as_deref().map(WantedType::parse);
                let found = given_statement(bytes, expected.transpose()?, subjects)?;
                (bytes.clone(), found)
            }
        };
        if predicate_type == COSIGN_SIGN_V1 {
            return Err(AttestError::IsSignature);
        }
        let found = (payload.len() as u64).div_ceil(3) * 4 + BESIDE_PAYLOAD;
        if found > limit {
            return Err(AttestError::TooLarge { found, limit });
        }
        let subject = match subjects {
            [(_, digest), ..] => *digest,
            [] => Digest::sha256(b""),
        };
        Ok(Payload::Statement {
            payload,
            subject,
            expected: ExpectedContent::Attestation {
                predicate_type: predicate_type.into(),
            },
        })
    }
}

/// Judges a statement that was given whole; returns its predicate type.
fn given_statement(
    bytes: &[u8],
    expected: Option<WantedType>,
    subjects: &[Named],
) -> Result<String, AttestError> {
    let statement = Statement::parse(bytes)?;
    let uri = statement.predicate_type.as_str();
    predicate::type_uri(uri)?;
    if let Some(expected) = expected.filter(|expected| !expected.meets(uri)) {
        return Err(AttestError::OtherType {
            expected: expected.to_string(),
            found: uri.chars().take(200).collect(),
        });
    }
    predicate::check(uri, raw_predicate(bytes).unwrap_or("{}"))?;
    for (what, digest) in subjects {
        if !statement.names_any(&[*digest]) {
            let found = statement.subjects.iter().flat_map(|s| &s.digests);
            return Err(AttestError::OtherSubject {
                what: what.clone(),
                expected: *digest,
                found: found.copied().take(8).collect(),
            });
        }
    }
    Ok(statement.predicate_type)
}

/// Warns of what other verifiers do not read.
pub fn warning(attested: &Attested) -> Option<&'static str> {
    match attested {
        Attested::Predicate { predicate_type, .. } if predicate_type == "spdx" => Some(
            "a predicate of type spdx is text, which other verifiers of bundles refuse, cosign 3 among them; \
             SPDX in JSON with --type spdxjson is read by all",
        ),
        _ => None,
    }
}
