//! `keyless verify`: who has signed these images.

use futures_util::future::join_all;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::discover::{Budget, FindError, Found, discover, discover_wanted};
use crate::flow::rules::{
    Judged, MetBy, OtherRule, Reason, RuleError, RuleJudgement, RuleVerdict, Summary, Unmet, judge,
};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::net::registry::{DigestReference, ImageReference, RegistryClient, RegistryError};
use crate::trust::TrustedRoot;
use crate::verify::policy_file::{Expectation, NoRule, Required};
use crate::verify::{Artifact, Explanation, VerifiedBundle, Verifier, VerifyError};

/// What one image's verdict is.
#[derive(Debug)]
pub struct ImageVerdict {
    /// As given.
    pub given: String,
    /// What it pointed to, if that is known.
    pub image: Option<DigestReference>,
    /// Signatures that hold; none where the image is refused.
    pub accepted: Vec<AcceptedSignature>,
    /// Everything else that was attached, the most telling first.
    pub refused: Vec<RefusedSignature>,
    /// The rules of the policy file that are about the image; empty where none is used.
    pub rules: Vec<RuleVerdict>,
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
    /// Its checks, where they were asked for and no policy file is used.
    pub explanation: Option<Explanation>,
    /// What it is to each rule; empty where no policy file is used.
    pub rules: Vec<RuleJudgement>,
}

/// A referrer that is not accepted, and why.
#[derive(Debug)]
pub struct RefusedSignature {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// Why.
    pub reason: Refusal,
    /// The checks that were made, where they were asked for and no policy file is used.
    pub explanation: Option<Explanation>,
    /// What it is to each rule; empty where no policy file is used, or it could not be judged.
    pub rules: Vec<RuleJudgement>,
}

/// Why a referrer is not accepted.
#[derive(Debug)]
pub enum Refusal {
    /// It is no usable bundle, or could not be fetched.
    Find(FindError),
    /// It was judged and refused.
    Verify(VerifyError),
    /// It meets a rule, and another rule is not met.
    OtherRule(OtherRule),
}

impl Refusal {
    fn rank(&self) -> u8 {
        match self {
            Refusal::Verify(error) => Reason::Verify(error).rank(),
            Refusal::Find(error) => Reason::Find(error).rank(),
            Refusal::OtherRule(_) => 0,
        }
    }
}

/// Why an image has no accepted signature.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry could not be asked.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The policy file has no rule for it.
    #[error("{0}")]
    NoRule(#[from] NoRule),
    /// Nothing attached is what is asked for.
    #[error("{0}")]
    Unmet(#[from] Unmet),
    /// A rule of the policy file is not met.
    #[error("{0}")]
    Rule(#[from] Box<RuleError>),
}

impl ImageError {
    fn diagnostic(&self) -> &dyn Diagnostic {
        match self {
            ImageError::Registry(error) => error,
            ImageError::NoRule(error) => error,
            ImageError::Unmet(error) => error,
            ImageError::Rule(error) => error.as_ref(),
        }
    }
}

impl Diagnostic for ImageError {
    fn code(&self) -> &'static str {
        self.diagnostic().code()
    }

    fn exit(&self) -> Exit {
        self.diagnostic().exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.diagnostic().details()
    }

    fn hint(&self) -> Option<String> {
        self.diagnostic().hint()
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
    pub expectation: &'a Expectation,
    /// Authorities and logs.
    pub trust: &'a TrustedRoot,
    /// Whether every check is to be told.
    pub explain: bool,
}

/// What all images of a run share.
struct Judge<'a> {
    expectation: &'a Expectation,
    explain: bool,
    verifier: Verifier<'a>,
    budget: Budget,
}

/// Judges every image; a fault of one does not keep the others from their verdict.
pub async fn verify_images(
    registry: &RegistryClient,
    images: &[ImageReference],
    request: &ImageRequest<'_>,
) -> Vec<ImageVerdict> {
    let judge = Judge {
        expectation: request.expectation,
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

pub(super) async fn pin(
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
        rules: Vec::new(),
        error: None,
    };
    if let Err(error) = verify_attached(registry, reference, judge, &mut verdict).await {
        verdict.error = Some(error);
    }
    verdict
}

/// A bundle's digest, and what it is to each requirement.
type JudgedBundle = (Digest, Vec<Judged>);

async fn verify_attached(
    registry: &RegistryClient,
    reference: &ImageReference,
    shared: &Judge<'_>,
    verdict: &mut ImageVerdict,
) -> Result<(), ImageError> {
    let repository = reference.repository();
    let required = shared
        .expectation
        .of_image(repository.registry(), repository.name())?;
    let image = pin(registry, reference).await?;
    verdict.image = Some(image.clone());
    let artifact = Artifact::from_digest(image.digest());
    let wanted = required.predicate_types();
    let discovery = discover_wanted(registry, &image, &shared.budget, &wanted, |found| {
        let (bundle, explain) = (&found.bundle, shared.explain);
        let judged = judge(&shared.verifier, bundle, &artifact, &required, explain);
        (found.digest, judged)
    })
    .await?;
    let rules = RuleVerdict::of_each(&required, |i| what_is_found(i, &discovery.found));
    let unmet = RuleError::of(&rules);
    let is_empty = discovery.found.is_empty();
    for found in discovery.found {
        sort_in(found, &required, unmet.is_none(), verdict);
    }
    verdict
        .refused
        .sort_by_key(|refused| std::cmp::Reverse(refused.reason.rank()));
    if required.by_rules() {
        verdict.rules = rules;
    }
    let Some(unmet) = unmet else {
        return Ok(());
    };
    if let Some(cut) = discovery.cut {
        return Err(cut.into());
    }
    // An empty list is also what a registry gives for an image that is not there.
    if is_empty && reference.pinned().is_some() {
        registry.resolve(&image.into()).await?;
    }
    if required.by_rules() {
        Err(Box::new(unmet).into())
    } else {
        Err(unmet.unmet.into())
    }
}

/// Sorts everything that was found by one requirement, the i-th.
fn what_is_found(i: usize, found: &[Found<JudgedBundle>]) -> (Vec<MetBy>, Vec<Reason<'_>>) {
    let mut met_by = Vec::new();
    let mut reasons = Vec::new();
    for found in found {
        let (bundle, judged) = match &found.outcome {
            Ok((bundle, judged)) => (*bundle, &judged[i]),
            Err(error) => {
                reasons.push(Reason::Find(error));
                continue;
            }
        };
        match &judged.outcome {
            Ok(verified) => met_by.push(MetBy {
                manifest: Some(found.manifest),
                bundle,
                signer: verified.signer().clone(),
            }),
            Err(error) => reasons.push(Reason::Verify(error)),
        }
    }
    (met_by, reasons)
}

/// Lists a referrer among the accepted or the refused. Nothing of an image that is refused is accepted.
fn sort_in(
    found: Found<JudgedBundle>,
    required: &Required<'_>,
    is_accepted: bool,
    verdict: &mut ImageVerdict,
) {
    let (reason, explanation, rules) = match found.outcome {
        Err(error) => (Refusal::Find(error), None, Vec::new()),
        Ok((bundle, judged)) => {
            let summary = Summary::of(judged, required);
            match summary.outcome {
                Ok(verified) if is_accepted => {
                    verdict.accepted.push(AcceptedSignature {
                        manifest: Some(found.manifest),
                        bundle,
                        verified,
                        explanation: summary.explanation,
                        rules: summary.rules,
                    });
                    return;
                }
                Ok(_) => (
                    Refusal::OtherRule(OtherRule),
                    summary.explanation,
                    summary.rules,
                ),
                Err(error) => (Refusal::Verify(error), summary.explanation, summary.rules),
            }
        }
    };
    verdict.refused.push(RefusedSignature {
        manifest: found.manifest,
        reason,
        explanation,
        rules,
    });
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
