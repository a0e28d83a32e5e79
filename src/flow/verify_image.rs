//! `keyless verify`: who has signed these images.

use futures_util::future::join_all;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::discover::{Budget, FindError, discover};
use crate::format::bundle::{Bundle, KeyMaterial};
use crate::format::certificate_identity::CertificateIdentity;
use crate::net::registry::{DigestReference, ImageReference, RegistryClient, RegistryError};
use crate::trust::TrustedRoot;
use crate::verify::{Artifact, Explanation, Policy, VerifiedBundle, Verifier, VerifyError};

/// What one image's verdict is.
#[derive(Debug)]
pub struct ImageVerdict {
    /// As given.
    pub given: String,
    /// What it pointed to, if that is known.
    pub image: Option<DigestReference>,
    /// Signatures that hold.
    pub accepted: Vec<AcceptedSignature>,
    /// Everything else that was attached, the most telling first.
    pub refused: Vec<RefusedSignature>,
    /// Why there is no verdict, or no signature.
    pub error: Option<ImageError>,
}

/// A signature that holds.
#[derive(Debug)]
pub struct AcceptedSignature {
    /// Digest of the manifest that attaches it; `None` for a bundle from a file.
    pub manifest: Option<Digest>,
    /// Digest of the bundle's bytes.
    pub bundle: Digest,
    /// The verdict.
    pub verified: VerifiedBundle,
    /// Its checks, where they were asked for.
    pub explanation: Option<Explanation>,
}

/// A referrer that is not accepted, and why.
#[derive(Debug)]
pub struct RefusedSignature {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// Why.
    pub reason: Refusal,
    /// The checks that were made, where they were asked for.
    pub explanation: Option<Explanation>,
}

/// Why a referrer is not accepted.
#[derive(Debug)]
pub enum Refusal {
    /// It is no usable bundle, or could not be fetched.
    Find(FindError),
    /// It was judged and refused.
    Verify(VerifyError),
}

impl Refusal {
    fn rank(&self) -> u8 {
        match self {
            Refusal::Verify(error) => error.rank(),
            Refusal::Find(FindError::Registry(_)) => 2,
            Refusal::Find(_) => 0,
        }
    }
}

/// Why an image has no accepted signature.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry could not be asked.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// Nothing is attached that is a signature.
    #[error("no signature")]
    NoSignature {
        /// Attestations that are attached: their number.
        attestations: usize,
        /// Other referrers.
        others: usize,
    },
    /// Signatures are attached and none is accepted; the most telling refusal.
    #[error("{0}")]
    Refused(VerifyError),
    /// Nothing is accepted and something could not be read, so that there is no verdict.
    #[error("a signature could not be read: {0}")]
    Unreadable(String, &'static str, Exit),
}

impl Diagnostic for ImageError {
    fn code(&self) -> &'static str {
        match self {
            ImageError::Registry(error) => error.code(),
            ImageError::NoSignature { .. } => "no-signature",
            ImageError::Refused(error) => error.code(),
            ImageError::Unreadable(_, code, _) => code,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            ImageError::Registry(error) => error.exit(),
            ImageError::NoSignature { .. } => Exit::NoSignature,
            ImageError::Refused(error) => error.exit(),
            ImageError::Unreadable(_, _, exit) => *exit,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            ImageError::Registry(error) => error.details(),
            ImageError::NoSignature {
                attestations,
                others,
            } if attestations + others > 0 => {
                vec![(
                    "found",
                    format!("{attestations} attestations, {others} other referrers"),
                )]
            }
            ImageError::Refused(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ImageError::Registry(error) => error.hint(),
            ImageError::Refused(error) => error.hint(),
            ImageError::NoSignature {
                attestations: 1.., ..
            } => {
                Some("an attestation says something about an image; it does not sign it".to_owned())
            }
            ImageError::NoSignature { .. } => Some("sign it with `keyless sign`".to_owned()),
            ImageError::Unreadable(..) => None,
        }
    }
}

impl ImageVerdict {
    /// Returns the exit code of this image alone.
    pub fn exit(&self) -> Exit {
        match &self.error {
            None => Exit::Accepted,
            Some(error) => error.exit(),
        }
    }
}

/// How images are judged.
#[derive(Debug)]
pub struct ImageRequest<'a> {
    /// Whom and what to accept.
    pub policy: &'a Policy,
    /// Authorities and logs.
    pub trust: &'a TrustedRoot,
    /// Whether every check is to be told.
    pub explain: bool,
}

/// What all images of a run share.
struct Judge<'a> {
    policy: &'a Policy,
    explain: bool,
    verifier: Verifier<'a>,
    budget: Budget,
}

impl Judge<'_> {
    fn verdict(&self, bundle: &Bundle, artifact: &Artifact) -> Judged {
        if self.explain {
            let (verified, explanation) = self.verifier.explain(bundle, artifact, self.policy);
            return (verified, Some(explanation));
        }
        (self.verifier.verify(bundle, artifact, self.policy), None)
    }
}

type Judged = (Result<VerifiedBundle, VerifyError>, Option<Explanation>);

/// Judges every image; a fault of one does not keep the others from their verdict.
pub async fn verify_images(
    registry: &RegistryClient,
    images: &[ImageReference],
    request: &ImageRequest<'_>,
) -> Vec<ImageVerdict> {
    let judge = Judge {
        policy: request.policy,
        explain: request.explain,
        verifier: Verifier::new(request.trust),
        budget: Budget::default(),
    };
    join_all(
        images
            .iter()
            .map(|image| verify_image(registry, image, &judge)),
    )
    .await
}

async fn pin(
    registry: &RegistryClient,
    reference: &ImageReference,
) -> Result<DigestReference, RegistryError> {
    match reference.pinned() {
        Some(pinned) => Ok(pinned),
        None => Ok(registry.resolve(reference).await?.reference),
    }
}

async fn verify_image(
    registry: &RegistryClient,
    reference: &ImageReference,
    judge: &Judge<'_>,
) -> ImageVerdict {
    let mut verdict = ImageVerdict {
        given: reference.to_string(),
        image: None,
        accepted: Vec::new(),
        refused: Vec::new(),
        error: None,
    };
    if let Err(error) = verify_attached(registry, reference, judge, &mut verdict).await {
        verdict.error = Some(error);
    }
    verdict
}

async fn verify_attached(
    registry: &RegistryClient,
    reference: &ImageReference,
    judge: &Judge<'_>,
    verdict: &mut ImageVerdict,
) -> Result<(), ImageError> {
    let image = pin(registry, reference).await?;
    verdict.image = Some(image.clone());
    let artifact = Artifact::from_digest(image.digest());
    let discovery = discover(registry, &image, &judge.budget, |found| {
        (found.digest, judge.verdict(&found.bundle, &artifact))
    })
    .await?;
    for found in discovery.found {
        let (reason, explanation) = match found.outcome {
            Ok((bundle, (Ok(verified), explanation))) => {
                let manifest = Some(found.manifest);
                verdict.accepted.push(AcceptedSignature {
                    manifest,
                    bundle,
                    verified,
                    explanation,
                });
                continue;
            }
            Ok((_, (Err(error), explanation))) => (Refusal::Verify(error), explanation),
            Err(error) => (Refusal::Find(error), None),
        };
        verdict.refused.push(RefusedSignature {
            manifest: found.manifest,
            reason,
            explanation,
        });
    }
    verdict
        .refused
        .sort_by_key(|refused| std::cmp::Reverse(refused.reason.rank()));
    if !verdict.accepted.is_empty() {
        return Ok(());
    }
    refuse(registry, &image, reference, discovery.cut, &verdict.refused).await
}

/// Says why no signature was accepted.
async fn refuse(
    registry: &RegistryClient,
    image: &DigestReference,
    reference: &ImageReference,
    cut: Option<RegistryError>,
    refused: &[RefusedSignature],
) -> Result<(), ImageError> {
    if let Some(cut) = cut {
        return Err(cut.into());
    }
    let judged = refused.iter().find_map(|refused| match &refused.reason {
        Refusal::Verify(error) if error.exit() != Exit::NoSignature => Some(error),
        _ => None,
    });
    if let Some(error) = judged {
        return Err(ImageError::Refused(error.clone()));
    }
    let unreadable = refused.iter().find_map(|refused| match &refused.reason {
        Refusal::Find(FindError::Registry(error)) => {
            Some((error.to_string(), error.code(), error.exit()))
        }
        Refusal::Find(FindError::Bundle(error)) => {
            Some((error.to_string(), error.code(), error.exit()))
        }
        _ => None,
    });
    if let Some((message, code, exit)) = unreadable {
        return Err(ImageError::Unreadable(message, code, exit));
    }
    // An empty list is also what a registry gives for an image that is not there.
    if refused.is_empty() && reference.pinned().is_some() {
        registry.resolve(&image.clone().into()).await?;
    }
    let attestations = refused
        .iter()
        .filter(|refused| {
            matches!(
                refused.reason,
                Refusal::Verify(VerifyError::NotASignature { .. })
                    | Refusal::Find(FindError::Attestation { .. })
            )
        })
        .count();
    Err(ImageError::NoSignature {
        attestations,
        others: refused.len() - attestations,
    })
}

/// Says who claims to have signed an image, for people who have not said whom they expect. Nothing is
/// verified.
///
/// # Errors
/// [`RegistryError`].
pub async fn claimed_signers(
    registry: &RegistryClient,
    reference: &ImageReference,
) -> Result<Vec<CertificateIdentity>, RegistryError> {
    let image = pin(registry, reference).await?;
    let discovery = discover(registry, &image, &Budget::default(), |found| {
        match &found.bundle.key_material {
            KeyMaterial::Certificate(leaf) => CertificateIdentity::of(leaf).ok(),
            KeyMaterial::PublicKey { .. } => None,
        }
    })
    .await?;
    let mut signers: Vec<CertificateIdentity> = Vec::new();
    for identity in discovery
        .found
        .into_iter()
        .filter_map(|found| found.outcome.ok().flatten())
    {
        if !signers.contains(&identity) {
            signers.push(identity);
        }
    }
    Ok(signers)
}
