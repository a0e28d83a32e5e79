//! What was signed: the signature itself, and that it is about the artifact (spec 07 §5 B, H, I).

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm, PublicKey};
use crate::format::bundle::Content;
use crate::format::dsse::IN_TOTO_PAYLOAD_TYPE;
use crate::format::statement::Statement;
use crate::verify::VerifyError;
use crate::verify::explain::{self, Trail};

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

/// Returns the hashes that a signature by such a key may be made with, the usual one first. Signers used
/// SHA-256 with every curve for years (spec 07 §6).
fn signing_hashes(key: KeyKind) -> &'static [HashAlgorithm] {
    match key {
        KeyKind::EcdsaP256 | KeyKind::Rsa => &[HashAlgorithm::Sha256],
        KeyKind::EcdsaP384 => &[HashAlgorithm::Sha384, HashAlgorithm::Sha256],
        KeyKind::EcdsaP521 => &[HashAlgorithm::Sha512, HashAlgorithm::Sha256],
        KeyKind::Ed25519 => &[HashAlgorithm::Sha512],
    }
}

/// Returns the hashes of an artifact that verifying this content with this kind of key needs.
pub fn needed_hashes(content: &Content, key: KeyKind) -> Vec<HashAlgorithm> {
    match content {
        Content::MessageSignature { digest, .. } => {
            let mut hashes = signing_hashes(key).to_vec();
            hashes.extend(digest.map(|digest| digest.algorithm()));
            hashes.sort_unstable();
            hashes.dedup();
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
    trail: &mut Trail,
) -> Result<VerifiedSignature, VerifyError> {
    match content {
        Content::MessageSignature { digest, signature } => {
            // The digest in the bundle is a hint: it is compared, and never verified against.
            if let Some(hint) = digest {
                trail.check(explain::MESSAGE_DIGEST, |trail| {
                    if artifact.digest(hint.algorithm())? != *hint {
                        return Err(VerifyError::ArtifactMismatch {
                            expected: artifact.digests.clone(),
                            found: vec![hint.to_string()],
                        });
                    }
                    trail.fact("found", || hint.to_string());
                    Ok(())
                })?;
            }
            let signed_digest = trail.check(explain::KEY_SIGNED, |trail| {
                trail.about(|| format!("{:?}", key.kind()));
                verify_over(key, signature, |hash| artifact.digest(hash))
            })?;
            Ok(VerifiedSignature {
                signed_digest,
                statement: None,
                payload_digest: None,
            })
        }
        Content::DsseEnvelope(envelope) => {
            let encoding = envelope.pre_auth_encoding();
            let signed_digest = trail.check(explain::KEY_SIGNED, |trail| {
                trail.about(|| format!("{:?}", key.kind()));
                if key.kind() == KeyKind::Ed25519 {
                    // Envelopes are signed with the pure form.
                    let hash = key.kind().artifact_hash();
                    key.verify(hash, &encoding.to_bytes(), &envelope.signature)
                        .map_err(|_| VerifyError::SignatureInvalid)?;
                    return Ok(encoding.digest(hash));
                }
                verify_over(key, &envelope.signature, |hash| Ok(encoding.digest(hash)))
            })?;
            let statement = trail.check(explain::STATEMENT, |trail| {
                if envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
                    let found = envelope.payload_type.chars().take(120).collect();
                    return Err(VerifyError::PayloadType { found });
                }
                let statement = Statement::parse(&envelope.payload)?;
                trail.fact("predicate type", || statement.predicate_type.clone());
                Ok(statement)
            })?;
            trail.check(explain::SUBJECT, |trail| {
                if !statement.names_any(&artifact.digests) {
                    let found = statement.subjects.iter().flat_map(|s| &s.digests);
                    return Err(VerifyError::ArtifactMismatch {
                        expected: artifact.digests.clone(),
                        found: found.take(8).map(ToString::to_string).collect(),
                    });
                }
                trail.fact("found", || {
                    let digests = artifact.digests.iter().map(ToString::to_string);
                    digests.collect::<Vec<_>>().join(", ")
                });
                Ok(())
            })?;
            Ok(VerifiedSignature {
                signed_digest,
                statement: Some(statement),
                payload_digest: Some(Digest::sha256(&envelope.payload)),
            })
        }
    }
}

/// Verifies a signature over whatever digest of the message the key may have signed; returns that digest.
fn verify_over(
    key: &PublicKey,
    signature: &[u8],
    digest: impl Fn(HashAlgorithm) -> Result<Digest, VerifyError>,
) -> Result<Digest, VerifyError> {
    let mut refusal = None;
    for hash in signing_hashes(key.kind()) {
        match digest(*hash) {
            Ok(digest) if key.verify_digest(&digest, signature).is_ok() => return Ok(digest),
            Ok(_) => refusal = refusal.or(Some(VerifyError::SignatureInvalid)),
            // Without the usual digest there is no verdict, unless the older one holds.
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or(VerifyError::SignatureInvalid))
}
