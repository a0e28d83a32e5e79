//! `keyless verify`: who has signed these images.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::discover::{
    Budget, FindError, Found, FoundBundle, StoredForm, discover, discover_legacy, discover_wanted,
};
use crate::flow::event::{Event, Reporter, Stage};
use crate::flow::image_tree::{self, PlatformFilter};
use crate::flow::rules::{
    Judged, MetBy, OtherRule, Rank, Reason, RuleError, RuleJudgement, RuleVerdict, Summary, Unmet,
    judge,
};
use crate::flow::store::{ImageStore, PlacedImage, StoreError, StoredManifest};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::oci::{Document, LegacyTag, Platform};
use crate::host::image_layout::{ImageLayout, LayoutError};
use crate::net::registry::{DigestReference, ImageReference, RegistryClient, RegistryError};
use crate::trust::TrustedRoot;
use crate::verify::policy_file::{Expectation, NoRule, Required};
use crate::verify::{
    Artifact, ExpectedContent, Explanation, Nearness, VerifiedBundle, Verifier, VerifyError,
};

/// What one image's verdict is.
#[derive(Debug)]
pub struct ImageVerdict {
    /// As given.
    pub given: String,
    /// What it pointed to, if that is known.
    pub image: Option<PlacedImage>,
    /// Of a child: the index that lists it.
    pub listed_by: Option<Listing>,
    /// Signatures that hold; none where the image is refused.
    pub accepted: Vec<AcceptedSignature>,
    /// Everything else that was attached, the most telling first.
    pub refused: Vec<RefusedSignature>,
    /// The rules of the policy file that are about the image; empty where none is used.
    pub rules: Vec<RuleVerdict>,
    /// Why there is no verdict, or no signature.
    pub error: Option<ImageError>,
}

/// How an index lists an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Digest of the index.
    pub index: Digest,
    /// The image's platform, as the index says.
    pub platform: Option<Platform>,
    /// The index is accepted, the image has no signature that is, and that was asked to be enough.
    pub is_enough: bool,
}

/// A signature that holds.
#[derive(Debug)]
pub struct AcceptedSignature {
    /// Digest of the manifest that attaches it; `None` for a bundle from a file.
    pub manifest: Option<Digest>,
    /// Digest of the bundle's bytes; of an older signature, of its layer.
    pub bundle: Digest,
    /// Form in which it is stored.
    pub form: StoredForm,
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
    /// Form in which it is stored.
    pub form: StoredForm,
    /// Why.
    pub reason: Refusal,
    /// How near its signer comes to who is asked for.
    pub near: Nearness,
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

impl RefusedSignature {
    /// Orders what is refused as reasons are; what meets a rule is no reason.
    fn rank(&self) -> Option<Rank> {
        match &self.reason {
            Refusal::Verify(error) => Some(Reason::Verify(error, self.near).rank()),
            Refusal::Find(error) => Some(Reason::Find(error).rank()),
            Refusal::OtherRule(_) => None,
        }
    }
}

/// Why an image has no accepted signature.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The registry could not be asked, or the layout not read.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The policy file has no rule for it.
    #[error("{0}")]
    NoRule(#[from] NoRule),
    /// Nothing attached is what is asked for.
    #[error("{0}")]
    Unmet(#[from] Unmet),
    /// A rule of the policy file is not met.
    #[error("{0}")]
    Rule(#[from] Box<RuleError>),
    /// It has no image of a platform that was asked for.
    #[error("{0}")]
    Platform(#[from] NoPlatform),
}

/// An image has nothing of a platform that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no image of platform {wanted}")]
pub struct NoPlatform {
    /// The platform asked for.
    pub wanted: String,
    /// What the index lists; empty for an image that is no index.
    pub found: Vec<String>,
}

impl Diagnostic for NoPlatform {
    fn code(&self) -> &'static str {
        "platform-missing"
    }

    fn exit(&self) -> Exit {
        Exit::NoSuchImage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let found = match self.found.as_slice() {
            [] => "one image, and no index of several".to_owned(),
            found => found.join(", "),
        };
        vec![("found", found)]
    }
}

impl ImageError {
    fn diagnostic(&self) -> &dyn Diagnostic {
        match self {
            ImageError::Store(error) => error,
            ImageError::NoRule(error) => error,
            ImageError::Unmet(error) => error,
            ImageError::Rule(error) => error.as_ref(),
            ImageError::Platform(error) => error,
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
    /// What of an index is judged.
    pub scope: Scope,
    /// Images that are judged at a time; what each needs is fetched at once.
    pub jobs: usize,
}

/// What of an index is judged. An image that is no index is judged by itself.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The index, and every image that it lists.
    pub recursive: bool,
    /// Of the images that it lists, those of these platforms; of the index itself only with `recursive`.
    pub platforms: Vec<PlatformFilter>,
    /// A listed image without a signature of its own is accepted with the index.
    pub listed_is_enough: bool,
}

impl Scope {
    fn is_plain(&self) -> bool {
        !self.recursive && self.platforms.is_empty()
    }
}

/// What all images of a run share.
struct Judge<'a> {
    expectation: &'a Expectation,
    explain: bool,
    scope: &'a Scope,
    verifier: Verifier<'a>,
    budget: Budget,
}

impl<'a> Judge<'a> {
    fn new(request: &'a ImageRequest<'a>) -> Self {
        Judge {
            expectation: request.expectation,
            explain: request.explain,
            scope: &request.scope,
            verifier: Verifier::new(request.trust),
            budget: Budget::default(),
        }
    }
}

/// Judges every image; a fault of one does not keep the others from their verdict. The images of an index come
/// after it.
pub async fn verify_images(
    registry: &RegistryClient,
    images: &[ImageReference],
    request: &ImageRequest<'_>,
    report: Reporter<'_>,
) -> Vec<ImageVerdict> {
    let judge = Judge::new(request);
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (judge, done, refused) = (&judge, &done, &refused);
    let verdicts = images.iter().map(|image| async move {
        let verdicts = judge.reference(registry, image).await;
        let is_refused = usize::from(verdicts.iter().any(|verdict| verdict.error.is_some()));
        report(Event::Progress {
            stage: Stage::Judged,
            done: done.fetch_add(1, Ordering::Relaxed) + 1,
            total: images.len(),
            refused: refused.fetch_add(is_refused, Ordering::Relaxed) + is_refused,
        });
        verdicts
    });
    let verdicts: Vec<Vec<ImageVerdict>> = stream::iter(verdicts)
        .buffered(request.jobs.max(1))
        .collect()
        .await;
    verdicts.into_iter().flatten().collect()
}

/// Judges the images of a layout on disk. A layout's own names for them are nobody's word, so no rule of a
/// policy file is about them.
///
/// # Errors
/// [`LayoutError`] if the layout cannot be read, or is about no image.
pub async fn verify_layout(
    layout: &ImageLayout,
    request: &ImageRequest<'_>,
) -> Result<Vec<ImageVerdict>, LayoutError> {
    let images = layout.images()?;
    if images.is_empty() {
        return Err(LayoutError::NotALayout {
            path: layout.path().display().to_string(),
            cause: "it lists no image".to_owned(),
        });
    }
    let judge = Judge::new(request);
    let store = ImageStore::Layout(layout);
    let mut verdicts = Vec::new();
    for image in images {
        let subject = Subject {
            given: store.name(image.descriptor.digest).to_string(),
            name: None,
            digest: image.descriptor.digest,
            is_looked_up: true,
        };
        verdicts.extend(judge.tree(&store, subject, None).await);
    }
    Ok(verdicts)
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

/// An image to be judged.
#[derive(Debug, Clone)]
struct Subject {
    /// As given.
    given: String,
    /// Registry and repository, as far as rules may be about them.
    name: Option<(String, String)>,
    digest: Digest,
    /// It is known to be there.
    is_looked_up: bool,
}

impl ImageVerdict {
    fn undecided(given: String) -> Self {
        ImageVerdict {
            given,
            image: None,
            listed_by: None,
            accepted: Vec::new(),
            refused: Vec::new(),
            rules: Vec::new(),
            error: None,
        }
    }

    /// Returns the verdict on a layout that cannot be read.
    pub fn unreadable(given: String, error: LayoutError) -> Self {
        ImageVerdict::failed(given, StoreError::from(error).into())
    }

    fn failed(given: String, error: ImageError) -> Self {
        let mut verdict = ImageVerdict::undecided(given);
        verdict.error = Some(error);
        verdict
    }
}

impl Judge<'_> {
    /// Judges what was named, and what of it the scope asks for.
    async fn reference(
        &self,
        registry: &RegistryClient,
        reference: &ImageReference,
    ) -> Vec<ImageVerdict> {
        let given = reference.to_string();
        let repository = reference.repository();
        let name = (
            repository.registry().to_owned(),
            repository.name().to_owned(),
        );
        // A rule that is not there is told before the registry is asked.
        if let Err(error) = self.expectation.of_image(&name.0, &name.1) {
            return vec![ImageVerdict::failed(given, error.into())];
        }
        let (pinned, root) = match reference.pinned() {
            Some(pinned) => (pinned, None),
            None => match registry.resolve(reference).await {
                Ok(fetched) => (fetched.reference.clone(), Some(fetched.into())),
                Err(error) => {
                    return vec![ImageVerdict::failed(given, StoreError::from(error).into())];
                }
            },
        };
        let store = ImageStore::registry(registry, &pinned);
        let subject = Subject {
            given,
            name: Some(name),
            digest: pinned.digest(),
            is_looked_up: root.is_some(),
        };
        self.tree(&store, subject, root).await
    }

    async fn tree(
        &self,
        store: &ImageStore<'_>,
        subject: Subject,
        root: Option<StoredManifest>,
    ) -> Vec<ImageVerdict> {
        if self.scope.is_plain() {
            return vec![self.image(store, subject, None).await];
        }
        match self.members(store, &subject, root).await {
            Ok(members) => {
                let judged = members
                    .into_iter()
                    .map(|(subject, listing)| self.image(store, subject, listing));
                let mut verdicts = join_all(judged).await;
                if self.scope.listed_is_enough {
                    accept_listed(&mut verdicts);
                }
                verdicts
            }
            Err(error) => vec![ImageVerdict::failed(subject.given, error)],
        }
    }

    /// Lists what is to be judged: the index, then what it lists, each once.
    async fn members(
        &self,
        store: &ImageStore<'_>,
        subject: &Subject,
        root: Option<StoredManifest>,
    ) -> Result<Vec<(Subject, Option<Listing>)>, ImageError> {
        let root = match root {
            Some(root) => root,
            None => store.image(&subject.digest).await?,
        };
        let is_index = matches!(root.document, Document::Index(_));
        let children = image_tree::children(store, &root, &self.budget).await?;
        let platforms = &self.scope.platforms;
        for wanted in platforms {
            let mut found = children.iter().map(|child| child.platform.as_ref());
            if !found.any(|found| wanted.matches(found)) {
                let listed = children.iter().filter_map(|child| child.platform.as_ref());
                return Err(NoPlatform {
                    wanted: wanted.to_string(),
                    found: listed.map(ToString::to_string).collect(),
                }
                .into());
            }
        }
        let mut members = Vec::new();
        // Where a listed image may be accepted with the index, the index is judged in any case.
        if self.scope.recursive || self.scope.listed_is_enough || !is_index {
            let mut subject = subject.clone();
            subject.is_looked_up = true;
            members.push((subject, None));
        }
        for child in children {
            let is_wanted = |wanted: &PlatformFilter| wanted.matches(child.platform.as_ref());
            if platforms.is_empty() || platforms.iter().any(is_wanted) {
                let listing = Listing {
                    index: child.index,
                    platform: child.platform,
                    is_enough: false,
                };
                let digest = child.descriptor.digest;
                let subject = Subject {
                    given: store.name(digest).to_string(),
                    name: subject.name.clone(),
                    digest,
                    is_looked_up: false,
                };
                members.push((subject, Some(listing)));
            }
        }
        Ok(members)
    }

    async fn image(
        &self,
        store: &ImageStore<'_>,
        subject: Subject,
        listing: Option<Listing>,
    ) -> ImageVerdict {
        let mut verdict = ImageVerdict::undecided(subject.given.clone());
        verdict.listed_by = listing;
        if let Err(error) = self.attached(store, &subject, &mut verdict).await {
            verdict.error = Some(error);
        }
        verdict
    }
}

/// Accepts images that have no signature at all, where an accepted index lists them. One that has a signature
/// and is refused stays refused: somebody else's word about it is no reason to look away from its own.
fn accept_listed(verdicts: &mut [ImageVerdict]) {
    let digest = |verdict: &ImageVerdict| verdict.image.as_ref().map(PlacedImage::digest);
    // In their order: an index stands before what it lists.
    for i in 0..verdicts.len() {
        let Some(listing) = &verdicts[i].listed_by else {
            continue;
        };
        let index = listing.index;
        let is_accepted = verdicts[..i]
            .iter()
            .any(|verdict| verdict.error.is_none() && digest(verdict) == Some(index));
        let is_unsigned = matches!(
            &verdicts[i].error,
            Some(ImageError::Unmet(Unmet::NoSignature { .. }))
        );
        if is_accepted && is_unsigned {
            verdicts[i].error = None;
            if let Some(listing) = &mut verdicts[i].listed_by {
                listing.is_enough = true;
            }
        }
    }
}

/// A bundle's digest, and what it is to each requirement.
type JudgedBundle = (Digest, Vec<Judged>);

impl Judge<'_> {
    async fn attached(
        &self,
        store: &ImageStore<'_>,
        subject: &Subject,
        verdict: &mut ImageVerdict,
    ) -> Result<(), ImageError> {
        let (registry, name) = match &subject.name {
            Some((registry, name)) => (registry.as_str(), name.as_str()),
            None => ("", ""),
        };
        let required = self.expectation.of_image(registry, name)?;
        let image = subject.digest;
        verdict.image = Some(store.name(image));
        let artifact = Artifact::from_digest(image);
        let wanted = required.predicate_types();
        let judge_found = |found: FoundBundle| {
            let judged = judge(
                &self.verifier,
                &found.bundle,
                &artifact,
                &required,
                self.explain,
            );
            (found.digest, judged)
        };
        let discovery = discover_wanted(store, &image, &self.budget, &wanted, judge_found).await?;
        let mut found = discovery.found;
        let mut rules = RuleVerdict::of_each(&required, |i| what_is_found(i, &found));
        let mut unmet = RuleError::of(&rules);
        if unmet.is_some() {
            // Bundles are asked for first; what is older, where no bundle is enough.
            let tags = older_tags(&required, &rules);
            let older = discover_legacy(
                store,
                &image,
                &tags,
                &discovery.older,
                &self.budget,
                judge_found,
            )
            .await?;
            if !older.is_empty() {
                found.extend(older);
                rules = RuleVerdict::of_each(&required, |i| what_is_found(i, &found));
                unmet = RuleError::of(&rules);
            }
        }
        let is_empty = found.is_empty();
        for found in found {
            sort_in(found, &required, unmet.is_none(), verdict);
        }
        verdict
            .refused
            .sort_by_key(|refused| std::cmp::Reverse(refused.rank()));
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
        if is_empty && !subject.is_looked_up {
            store.image(&image).await?;
        }
        if required.by_rules() {
            Err(Box::new(unmet).into())
        } else {
            Err(unmet.unmet.into())
        }
    }
}

/// Returns the tags under which something older may meet what is not met.
fn older_tags(required: &Required<'_>, rules: &[RuleVerdict]) -> Vec<LegacyTag> {
    let mut tags = Vec::new();
    for (requirement, rule) in required.all().iter().zip(rules) {
        if rule.unmet.is_none() {
            continue;
        }
        let tag = match requirement.policy().content() {
            ExpectedContent::Signature { .. } | ExpectedContent::ArtifactSignature => {
                LegacyTag::Signatures
            }
            ExpectedContent::Attestation { .. } | ExpectedContent::Any => LegacyTag::Attestations,
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
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
            Err(error) => reasons.push(Reason::Verify(error, judged.near)),
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
    let mut near = Nearness::default();
    let (reason, explanation, rules) = match found.outcome {
        Err(error) => (Refusal::Find(error), None, Vec::new()),
        Ok((bundle, judged)) => {
            let summary = Summary::of(judged, required);
            near = summary.near;
            match summary.outcome {
                Ok(verified) if is_accepted => {
                    verdict.accepted.push(AcceptedSignature {
                        manifest: Some(found.manifest),
                        bundle,
                        form: found.form,
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
        form: found.form,
        reason,
        near,
        explanation,
        rules,
    });
}

/// Says who claims to have signed an image, for people who have not said whom they expect. Nothing is
/// verified.
///
/// # Errors
/// [`StoreError`].
pub async fn claimed_signers(
    registry: &RegistryClient,
    reference: &ImageReference,
) -> Result<Vec<CertificateIdentity>, StoreError> {
    let image = pin(registry, reference).await?;
    let budget = Budget::default();
    let identity = |found: FoundBundle| match &found.bundle.key_material {
        KeyMaterial::Certificate(leaf) => CertificateIdentity::of(leaf).ok(),
        KeyMaterial::PublicKey { .. } => None,
    };
    let store = ImageStore::registry(registry, &image);
    let image = image.digest();
    let discovery = discover(&store, &image, &budget, identity).await?;
    let mut found = discovery.found;
    let tags = [LegacyTag::Signatures];
    found
        .extend(discover_legacy(&store, &image, &tags, &discovery.older, &budget, identity).await?);
    let mut signers: Vec<CertificateIdentity> = Vec::new();
    for identity in found
        .into_iter()
        .filter_map(|found| found.outcome.ok().flatten())
    {
        if !signers.contains(&identity) {
            signers.push(identity);
        }
    }
    Ok(signers)
}
