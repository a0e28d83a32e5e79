//! What was signed: the signature itself, and that it is about the artifact (spec 07 §5 B, H, I).

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm, PublicKey};
use crate::format::bundle::Content;
use crate::format::dsse::IN_TOTO_PAYLOAD_TYPE;
use crate::format::statement::Statement;
use crate::verify::VerifyError;

/// The artifact asked about, by its digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    digests: Vec<Digest>,
}

impl Artifact {
    /// Describes an artifact by one digest.
    pub fn from_digest(digest: Digest) -> Self {
        Artifact {
            digests: vec![digest],
        }
    }

    /// Describes an artifact by several digests of the same bytes; `None` without any.
    pub fn from_digests(digests: Vec<Digest>) -> Option<Self> {
        (!digests.is_empty()).then_some(Artifact { digests })
    }

    /// Returns the digests.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    fn digest(&self, algorithm: HashAlgorithm) -> Result<Digest, VerifyError> {
        self.digests
            .iter()
            .find(|digest| digest.algorithm() == algorithm)
            .copied()
            .ok_or(VerifyError::DigestNeeded {
                algorithm: algorithm.name(),
            })
    }
}

/// Returns the hashes of an artifact that verifying this content with this kind of key needs.
pub fn needed_hashes(content: &Content, key: KeyKind) -> Vec<HashAlgorithm> {
    match content {
        Content::MessageSignature { digest, .. } => {
            let mut hashes = vec![key.artifact_hash()];
            hashes.extend(
                digest
                    .map(|d| d.algorithm())
                    .filter(|a| *a != key.artifact_hash()),
            );
            hashes
        }
        Content::DsseEnvelope(envelope) => {
            let mut hashes: Vec<_> = Statement::parse(&envelope.payload)
                .map(|statement| statement.subjects)
                .unwrap_or_default()
                .iter()
                .flat_map(|subject| subject.digests.iter().map(Digest::algorithm))
                .collect();
            hashes.sort_unstable();
            hashes.dedup();
            if hashes.is_empty() {
                hashes.push(HashAlgorithm::Sha256);
            }
            hashes
        }
    }
}

/// A signature that verifies, with what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSignature {
    signed_digest: Digest,
    statement: Option<Statement>,
    payload_digest: Option<Digest>,
}

impl VerifiedSignature {
    /// Returns the digest that was signed: the artifact's, or the pre-authentication encoding's.
    pub fn signed_digest(&self) -> &Digest {
        &self.signed_digest
    }

    /// Returns the statement of an envelope.
    pub fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Returns the digest of an envelope's payload under an algorithm; SHA-256 is the only one that
    /// Rekor v1 writes.
    pub fn payload_digest(&self) -> Option<&Digest> {
        self.payload_digest.as_ref()
    }
}

/// Verifies the signature and that its content is about the artifact.
///
/// # Errors
/// [`VerifyError`] of the signature and content classes.
pub(super) fn verify_signature(
    content: &Content,
    key: &PublicKey,
    artifact: &Artifact,
) -> Result<VerifiedSignature, VerifyError> {
    match content {
        Content::MessageSignature { digest, signature } => {
            if key.kind() == KeyKind::Ed25519 {
                return Err(VerifyError::UnsupportedKey {
                    kind: "Ed25519".to_owned(),
                });
            }
            // The digest in the bundle is a hint: it is compared, and never verified against.
            if let Some(hint) = digest
                && artifact.digest(hint.algorithm())? != *hint
            {
                return Err(VerifyError::ArtifactMismatch {
                    expected: artifact.digests.clone(),
                    found: vec![hint.to_string()],
                });
            }
            let signed_digest = artifact.digest(key.kind().artifact_hash())?;
            key.verify_digest(&signed_digest, signature)
                .map_err(|_| VerifyError::SignatureInvalid)?;
            Ok(VerifiedSignature {
                signed_digest,
                statement: None,
                payload_digest: None,
            })
        }
        Content::DsseEnvelope(envelope) => {
            let encoding = envelope.pre_auth_encoding();
            let hash = key.kind().artifact_hash();
            let signed_digest = encoding.digest(hash);
            let verified = if key.kind() == KeyKind::Ed25519 {
                key.verify(hash, &encoding.to_bytes(), &envelope.signature)
            } else {
                key.verify_digest(&signed_digest, &envelope.signature)
            };
            verified.map_err(|_| VerifyError::SignatureInvalid)?;
            if envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
                let found = envelope.payload_type.chars().take(120).collect();
                return Err(VerifyError::PayloadType { found });
            }
            let statement = Statement::parse(&envelope.payload)?;
            if !statement.names_any(&artifact.digests) {
                let found = statement.subjects.iter().flat_map(|s| &s.digests);
                return Err(VerifyError::ArtifactMismatch {
                    expected: artifact.digests.clone(),
                    found: found.take(8).map(ToString::to_string).collect(),
                });
            }
            Ok(VerifiedSignature {
                signed_digest,
                statement: Some(statement),
                payload_digest: Some(Digest::sha256(&envelope.payload)),
            })
        }
    }
}
