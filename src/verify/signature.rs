//! What was signed: the signature itself, and that it is about the artifact (Sigstore Client Spec 4.5).

use bytes::Bytes;

use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm, PublicKey};
use crate::format::bundle::Content;
use crate::format::dsse::IN_TOTO_PAYLOAD_TYPE;
use crate::format::legacy::SimpleSigning;
use crate::format::statement::{Statement, raw_predicate};
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
/// SHA-256 with every curve for years (Sigstore, `docs/algorithm-registry.md`).
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
        Content::SimpleSigning { .. } => vec![HashAlgorithm::Sha256],
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
    payload: Option<Bytes>,
    bytes: Vec<u8>,
    payload_digest: Option<Digest>,
    simple_signing: Option<SimpleSigning>,
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

    /// Returns the payload of an image signature that is older than bundles.
    pub fn simple_signing(&self) -> Option<&SimpleSigning> {
        self.simple_signing.as_ref()
    }

    /// Returns the signature's bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the exact bytes of the statement.
    pub fn payload(&self) -> Option<&Bytes> {
        self.payload.as_ref()
    }

    /// Returns the statement's predicate, byte for byte as it was signed.
    pub fn predicate(&self) -> Option<&str> {
        self.payload.as_deref().and_then(raw_predicate)
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
                trail.about(|| key.kind().name().to_owned());
                verify_over(key, signature, |hash| artifact.digest(hash))
            })?;
            Ok(VerifiedSignature {
                signed_digest,
                statement: None,
                payload: None,
                bytes: signature.clone(),
                payload_digest: None,
                simple_signing: None,
            })
        }
        Content::SimpleSigning { payload, signature } => {
            let signed_digest = trail.check(explain::KEY_SIGNED, |trail| {
                trail.about(|| key.kind().name().to_owned());
                verify_over(key, signature, |hash| Ok(hash.digest(payload)))
            })?;
            let simple_signing = trail.check(explain::SIMPLE_SIGNING, |trail| {
                let payload = SimpleSigning::parse(payload)?;
                trail.fact("repository", || payload.docker_reference.clone());
                Ok(payload)
            })?;
            trail.check(explain::SIMPLE_SIGNING_IMAGE, |trail| {
                if !artifact.digests.contains(&simple_signing.digest) {
                    return Err(VerifyError::ArtifactMismatch {
                        expected: artifact.digests.clone(),
                        found: vec![simple_signing.digest.to_string()],
                    });
                }
                trail.fact("found", || simple_signing.digest.to_string());
                Ok(())
            })?;
            Ok(VerifiedSignature {
                signed_digest,
                statement: None,
                payload: None,
                bytes: signature.clone(),
                payload_digest: None,
                simple_signing: Some(simple_signing),
            })
        }
        Content::DsseEnvelope(envelope) => {
            let encoding = envelope.pre_auth_encoding();
            let signed_digest = trail.check(explain::KEY_SIGNED, |trail| {
                trail.about(|| key.kind().name().to_owned());
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
                payload: Some(envelope.payload.clone()),
                bytes: envelope.signature.clone(),
                payload_digest: Some(Digest::sha256(&envelope.payload)),
                simple_signing: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with `openssl dgst -sha256 -sign` and a P-384 key, over "image A".
    const P384: &str = "3076301006072a8648ce3d020106052b810400220362000478b52a16c3e74c6d05c4d2a01e5021f8c523cbd10e57e42ff7f8216ee9aab18ac390a5a05da2921f5b3dea2ea1a1bc20c14fdd4c50d9211997e55334a9b95fcb082b3e1149fe0a6ce86209b61b622ea9f1184772e635a89112ff17b02166949b";
    const OVER_SHA256: &str = "306502307f55e77254e706172c62a8ed20e3e48a9ab91771a4784d6ad49d47200dc0e18a3b04ed8d52494042fa9e336ee6804b9f023100e562baa0a8e9ed4cb4cdc897ba8f5b1ac07d1aff953727ce9b7d64588a78ba6944976653a8323a933e35bc2502e6a105";

    #[test]
    fn a_longer_curve_may_have_signed_the_older_hash() {
        let key = PublicKey::from_spki_der(&hex::decode(P384).unwrap()).unwrap();
        let content = Content::MessageSignature {
            digest: None,
            signature: hex::decode(OVER_SHA256).unwrap(),
        };
        let hashes = needed_hashes(&content, key.kind());
        assert_eq!(hashes, [HashAlgorithm::Sha256, HashAlgorithm::Sha384]);
        let judge = |message: &[u8], hashes: &[HashAlgorithm]| {
            let digests = hashes.iter().map(|hash| hash.digest(message)).collect();
            let artifact = Artifact::from_digests(digests).unwrap();
            let verified = verify_signature(&content, &key, &artifact, &mut Trail::off());
            verified.map(|signature| *signature.signed_digest())
        };
        assert_eq!(judge(b"image A", &hashes), Ok(Digest::sha256(b"image A")));
        assert_eq!(
            judge(b"image A", &[HashAlgorithm::Sha256]),
            Ok(Digest::sha256(b"image A")),
            "the digest that was signed is all that is needed"
        );
        assert_eq!(
            judge(b"image B", &hashes),
            Err(VerifyError::SignatureInvalid)
        );
        assert_eq!(
            judge(b"image B", &[HashAlgorithm::Sha256]),
            Err(VerifyError::DigestNeeded {
                algorithm: "sha384"
            })
        );
    }
}
