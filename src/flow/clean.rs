//! `keyless clean`: deletes what is attached to an image, never the image.
//!
//! What is deleted is settled first, and shown before anything is done. A manifest is only deleted if it says
//! itself that it refers to the image: a list that clients can write, and a tag, may point to anything, the
//! image among it.

use std::collections::HashSet;

use crate::crypto::Digest;
use crate::flow::survey::{
    Attached, AttachedKind, Extent, Node, Origin, Place, Problem, Purpose, survey,
};
use crate::format::oci::{Document, fallback_tag};
use crate::net::registry::{
    ContentError, DigestReference, ImageReference, RegistryClient, RegistryError, Repository,
    Target, Unlisted,
};

/// What is deleted, as cosign names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanType {
    /// Signatures: bundles, and the tag of cosign's older format.
    Signature,
    /// Attestations, likewise.
    Attestation,
    /// Everything that refers to the image by its manifest, bundles among it.
    Referrer,
    /// The SBOM that cosign attached under a tag.
    Sbom,
    /// Everything attached.
    All,
}

/// Something that will be deleted.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is attached to.
    pub subject: Digest,
    /// A tag, or a manifest by its digest.
    pub target: Target,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// What it is.
    pub kind: AttachedKind,
    /// Whether the manifest may be deleted; if not, only its entry in the fallback index goes.
    pub deletes: bool,
    /// Whether a fallback index may list it.
    pub listed: bool,
}

/// What will be deleted.
#[derive(Debug)]
pub struct CleanPlan {
    /// The image.
    pub image: DigestReference,
    /// Where what is attached is.
    pub beside: Repository,
    /// What goes, in order.
    pub items: Vec<Item>,
    /// What could not be looked at, and stays.
    pub problems: Vec<Problem>,
}

/// What became of one item.
#[derive(Debug)]
pub struct Cleaned {
    /// The item.
    pub item: Item,
    /// Whether it was there; or why it is still there.
    pub outcome: Result<bool, RegistryError>,
}

/// What was done.
#[derive(Debug)]
pub struct CleanReport {
    /// Each item.
    pub cleaned: Vec<Cleaned>,
    /// Fallback tags that were written anew, or deleted as nothing was left.
    pub indexes: Vec<(String, Unlisted)>,
    /// Fallback tags that could not be.
    pub failed: Vec<(String, RegistryError)>,
}

impl CleanType {
    fn takes(self, attached: &Attached) -> bool {
        let is_tag = matches!(attached.place, Place::Legacy(_));
        match self {
            CleanType::All => true,
            CleanType::Referrer => !is_tag,
            CleanType::Signature => attached.purpose() == Purpose::Signature,
            CleanType::Attestation => attached.purpose() == Purpose::Attestation,
            CleanType::Sbom => attached.purpose() == Purpose::Sbom,
        }
    }
}

/// Settles what would be deleted; nothing is.
///
/// # Errors
/// [`ContentError`].
pub async fn plan(
    registry: &RegistryClient,
    reference: &ImageReference,
    what: CleanType,
    recursive: bool,
) -> Result<CleanPlan, ContentError> {
    let (origin, held) = Origin::resolve(registry, reference).await?;
    let image = DigestReference::new(reference.repository().clone(), held.descriptor.digest);
    let extent = Extent {
        children: recursive,
        everything: true,
    };
    let survey = survey(origin, held, extent).await?;
    let mut kept = HashSet::new();
    images(&survey.root, &mut kept);
    let mut items = Vec::new();
    collect(&survey.root, what, &kept, &mut items);
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert((item.subject, item.target.clone())));
    Ok(CleanPlan {
        beside: registry.signatures_of(image.repository()),
        image,
        items,
        problems: survey.root.problems().into_iter().cloned().collect(),
    })
}

/// Collects the digests of the image and of everything that an index lists: these stay.
fn images(node: &Node, kept: &mut HashSet<Digest>) {
    kept.insert(node.held.descriptor.digest);
    if let Document::Index(index) = &node.held.document {
        kept.extend(index.manifests.iter().map(|child| child.digest));
    }
    for child in &node.children {
        images(child, kept);
    }
}

/// Collects what goes, what is attached to it before it.
fn collect(node: &Node, what: CleanType, kept: &HashSet<Digest>, items: &mut Vec<Item>) {
    let subject = node.held.descriptor.digest;
    for attached in node.attached.iter().filter(|a| what.takes(a)) {
        let manifest = attached.node.held.descriptor.digest;
        let (target, known) = match attached.place {
            Place::Legacy(tag) => (
                Target::Tag(tag.tag(&subject)),
                attached.kind != AttachedKind::Other,
            ),
            _ => (Target::Digest(manifest), attached.refers),
        };
        let deletes = known && !kept.contains(&manifest);
        if deletes {
            // Not of what only looks attached: a tag may point to another image, with signatures of its own.
            collect(&attached.node, CleanType::All, kept, items);
        }
        items.push(Item {
            subject,
            target,
            manifest,
            kind: attached.kind,
            deletes,
            listed: !matches!(attached.place, Place::Legacy(_)),
        });
    }
    if matches!(what, CleanType::All | CleanType::Referrer) {
        let dangling = node.problems.iter().filter(|problem| problem.is_dangling());
        for manifest in dangling.filter_map(|problem| problem.what.parse::<Digest>().ok()) {
            if !kept.contains(&manifest) {
                items.push(Item {
                    subject,
                    target: Target::Digest(manifest),
                    manifest,
                    kind: AttachedKind::Other,
                    deletes: false,
                    listed: true,
                });
            }
        }
    }
    for child in &node.children {
        collect(child, what, kept, items);
    }
}

/// Deletes what was settled. The first refusal to delete anything at all ends it.
pub async fn carry_out(registry: &RegistryClient, plan: &CleanPlan) -> CleanReport {
    let repository = &plan.beside;
    let mut report = CleanReport {
        cleaned: Vec::new(),
        indexes: Vec::new(),
        failed: Vec::new(),
    };
    for item in &plan.items {
        let outcome = match (&item.target, item.deletes) {
            (Target::Digest(_), false) => Ok(true),
            (Target::Digest(_), true) => registry.delete(repository, &item.target).await,
            (Target::Tag(_), deletes) => {
                match registry.delete(repository, &item.target).await {
                    // Registries of before tags could be deleted: the manifest, if it is what the tag says.
                    Err(RegistryError::DeletionDisabled { .. }) if deletes => {
                        let target = Target::Digest(item.manifest);
                        registry.delete(repository, &target).await
                    }
                    other => other,
                }
            }
        };
        let ends = matches!(
            outcome,
            Err(RegistryError::DeletionDisabled { .. } | RegistryError::Denied { .. })
        );
        report.cleaned.push(Cleaned {
            item: item.clone(),
            outcome,
        });
        if ends {
            break;
        }
    }
    let mut subjects: Vec<Digest> = Vec::new();
    for cleaned in &report.cleaned {
        if !subjects.contains(&cleaned.item.subject) {
            subjects.push(cleaned.item.subject);
        }
    }
    for subject in subjects {
        let mut gone: Vec<Digest> = report
            .cleaned
            .iter()
            .filter(|cleaned| cleaned.item.subject == subject && cleaned.outcome.is_ok())
            .filter(|cleaned| cleaned.item.listed)
            .map(|cleaned| cleaned.item.manifest)
            .collect();
        if gone.is_empty() {
            continue;
        }
        // An index that lists the image as its own referrer says nothing by it.
        gone.push(subject);
        let tag = format!("{repository}:{}", fallback_tag(&subject));
        let subject = DigestReference::new(plan.image.repository().clone(), subject);
        match registry.unlist_in_fallback(&subject, &gone).await {
            Ok(Unlisted::NothingThere) => {}
            Ok(done) => report.indexes.push((tag, done)),
            Err(error) => report.failed.push((tag, error)),
        }
    }
    report
}
