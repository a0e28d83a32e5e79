//! `keyless clean`: deletes what is attached to an image, never the image.
//!
//! What is deleted is settled first, and shown before anything is done. A manifest is only deleted if it says
//! itself that it is the image's (`proof`): a list that clients can write, and a tag, may point to anything, the
//! image among it. And only if nothing else names it (`names`), as a registry that deletes a manifest takes every
//! tag that is on it. Right before the first deletion the names are read again, and each tag right before its own.

mod names;
mod proof;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use names::Names;
use proof::{Proof, proof};

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
    /// Whether it is the image's by what it holds; if not, only the tag goes, or the entry in the fallback index.
    pub ours: bool,
    /// Whether the manifest may be deleted by its digest: it is the image's, and nothing else names it.
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
    /// What was found at the image, is of the kind asked for, and stays.
    pub stays: Vec<Stay>,
    /// What could not be looked at, and stays.
    pub problems: Vec<Problem>,
}

/// Something that stays where it is.
#[derive(Debug, Clone)]
pub struct Stay {
    /// What it was found at.
    pub subject: Digest,
    /// A tag, or a manifest by its digest.
    pub target: Target,
    /// Digest of the manifest.
    pub manifest: Digest,
    /// What it is.
    pub kind: AttachedKind,
    /// Why it stays.
    pub why: Why,
}

/// Why something stays.
#[derive(Debug, Clone)]
pub enum Why {
    /// Nothing in it says that it is the image's, and no other name is left to it.
    NotOurs,
    /// Something attached to it stays.
    Holds,
    /// Something else names it, or what it holds or what names it could not be read.
    Because(Arc<ContentError>),
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
    let beside = registry.signatures_of(image.repository());
    let mut settling = Settling {
        what,
        kept: HashSet::new(),
        images: HashSet::new(),
        proofs: HashMap::new(),
        names: Ok(Names::default()),
        going: Going::default(),
        items: Vec::new(),
        stays: Vec::new(),
    };
    settling.images(&survey.root);
    settling
        .prove(&survey.origin.of_attached(), &survey.root, what)
        .await;
    let wanted: HashSet<Digest> = settling.proofs.keys().map(|(_, _, found)| *found).collect();
    if !wanted.is_empty() {
        let read = Names::read(registry, &beside, &wanted).await;
        settling.names = read.map_err(|error| Arc::new(error.into()));
    }
    settling.collect(&survey.root, what);
    let mut items = settling.items;
    let mut seen = HashSet::new();
    items.retain(|item| seen.insert((item.subject, item.target.clone())));
    Ok(CleanPlan {
        beside,
        image,
        items,
        stays: settling.stays,
        problems: survey.root.problems().into_iter().cloned().collect(),
    })
}

/// Tags that go, or whose lists lose what goes: names that keep nothing.
#[derive(Default)]
struct Going {
    tags: HashSet<String>,
    lists: HashSet<String>,
}

/// What is found out before it is settled what goes.
struct Settling {
    what: CleanType,
    /// The image, and everything that an index of it lists: these stay.
    kept: HashSet<Digest>,
    /// The image, and the children that are cleaned with it.
    images: HashSet<Digest>,
    /// Of each thing attached: subject, place and manifest.
    proofs: HashMap<(Digest, Target, Digest), Proof>,
    names: Result<Names, Arc<ContentError>>,
    going: Going,
    items: Vec<Item>,
    stays: Vec<Stay>,
}

fn target(attached: &Attached, subject: &Digest) -> Target {
    match attached.place {
        Place::Legacy(tag) => Target::Tag(tag.tag(subject)),
        _ => Target::Digest(attached.node.held.descriptor.digest),
    }
}

impl Settling {
    fn images(&mut self, node: &Node) {
        self.kept.insert(node.held.descriptor.digest);
        self.images.insert(node.held.descriptor.digest);
        if let Document::Index(index) = &node.held.document {
            let children = index.manifests.iter();
            self.kept.extend(children.map(|child| child.digest));
        }
        for child in &node.children {
            self.images(child);
        }
    }

    /// Reads what everything attached says of itself. Not of what is attached to what only looks attached: a tag
    /// may point to another image, with signatures of its own.
    fn prove<'a>(
        &'a mut self,
        beside: &'a Origin,
        node: &'a Node,
        what: CleanType,
    ) -> BoxFuture<'a, ()> {
        async move {
            let subject = node.held.descriptor.digest;
            self.going.lists.insert(fallback_tag(&subject));
            for attached in node.attached.iter().filter(|a| what.takes(a)) {
                let proof = proof(beside, attached, &subject, &self.images).await;
                let ours = matches!(proof, Proof::Ours);
                let target = target(attached, &subject);
                let manifest = attached.node.held.descriptor.digest;
                if let (true, Target::Tag(tag)) = (ours, &target) {
                    self.going.tags.insert(tag.clone());
                    self.going.lists.insert(tag.clone());
                }
                self.proofs.insert((subject, target, manifest), proof);
                if ours && !self.kept.contains(&manifest) {
                    self.prove(beside, &attached.node, CleanType::All).await;
                }
            }
            for child in &node.children {
                self.prove(beside, child, what).await;
            }
        }
        .boxed()
    }

    /// Returns why a manifest is not to be deleted by its digest.
    fn named(&self, manifest: &Digest) -> Option<Arc<ContentError>> {
        let by = match &self.names {
            Err(error) => return Some(Arc::clone(error)),
            Ok(_) if self.kept.contains(manifest) => "the image itself",
            Ok(names) => names.other(manifest, &self.going.tags, &self.going.lists)?,
        };
        let manifest = manifest.to_string();
        let by = by.to_owned();
        Some(Arc::new(RegistryError::StillNamed { manifest, by }.into()))
    }

    /// Collects what goes, what is attached to it before it; returns whether all goes that is this node's.
    fn collect(&mut self, node: &Node, what: CleanType) -> bool {
        let subject = node.held.descriptor.digest;
        let mut all = true;
        for attached in node.attached.iter().filter(|a| what.takes(a)) {
            all &= self.settle(subject, attached);
        }
        if matches!(what, CleanType::All | CleanType::Referrer) {
            let dangling = node.problems.iter().filter(|problem| problem.is_dangling());
            for manifest in dangling.filter_map(|problem| problem.what.parse::<Digest>().ok()) {
                if !self.kept.contains(&manifest) {
                    self.items.push(Item {
                        subject,
                        target: Target::Digest(manifest),
                        manifest,
                        kind: AttachedKind::Other,
                        ours: false,
                        deletes: false,
                        listed: true,
                    });
                }
            }
        }
        for child in &node.children {
            all &= self.collect(child, self.what);
        }
        all
    }

    fn settle(&mut self, subject: Digest, attached: &Attached) -> bool {
        let manifest = attached.node.held.descriptor.digest;
        let target = target(attached, &subject);
        let is_tag = matches!(target, Target::Tag(_));
        let named = self.named(&manifest);
        let key = (subject, target, manifest);
        let ours = matches!(self.proofs.get(&key), Some(Proof::Ours));
        let why = match self.proofs.get(&key) {
            Some(Proof::Unreadable(error)) => Some(Why::Because(Arc::clone(error))),
            Some(Proof::Ours) => match &named {
                // Its own tag goes; the manifest keeps the name that it has from others.
                Some(_) if is_tag => None,
                Some(error) => Some(Why::Because(Arc::clone(error))),
                None if self.collect(&attached.node, CleanType::All) => None,
                None => Some(Why::Holds),
            },
            // An entry of a list goes without harm, and so does a tag that is not the only one.
            _ if !is_tag => None,
            _ => match (&self.names, &key.1) {
                (Ok(names), Target::Tag(tag)) => {
                    let mut tags = self.going.tags.clone();
                    tags.insert(tag.clone());
                    let other = names.other(&manifest, &tags, &self.going.lists);
                    other.is_none().then_some(Why::NotOurs)
                }
                (Ok(_), Target::Digest(_)) => None,
                (Err(error), _) => Some(Why::Because(Arc::clone(error))),
            },
        };
        let (_, target, _) = key;
        if let Some(why) = why {
            self.stays.push(Stay {
                subject,
                target,
                manifest,
                kind: attached.kind,
                why,
            });
            return false;
        }
        self.items.push(Item {
            subject,
            target,
            manifest,
            kind: attached.kind,
            ours,
            deletes: ours && named.is_none(),
            listed: !is_tag,
        });
        true
    }
}

/// Reads the names again, and returns what may not be deleted after all, by the manifest.
async fn refused(
    registry: &RegistryClient,
    plan: &CleanPlan,
) -> (Option<Names>, HashMap<Digest, RegistryError>) {
    let mut refused = HashMap::new();
    let wanted: HashSet<Digest> = plan.items.iter().map(|item| item.manifest).collect();
    if wanted.is_empty() {
        return (None, refused);
    }
    let names = Names::read(registry, &plan.beside, &wanted).await;
    let going = plan.going();
    // What is attached to something comes before it in the list: the other way round, a refusal is passed on.
    for item in plan.items.iter().rev().filter(|item| item.deletes) {
        let error = match (&names, refused.get(&item.subject)) {
            (_, Some(error)) => Some(RegistryError::clone(error)),
            (Err(error), _) => Some(error.clone()),
            (Ok(names), _) => names
                .other(&item.manifest, &going.tags, &going.lists)
                .map(|by| RegistryError::StillNamed {
                    manifest: item.manifest.to_string(),
                    by: by.to_owned(),
                }),
        };
        if let Some(error) = error {
            refused.insert(item.manifest, error);
        }
    }
    (names.ok(), refused)
}

impl CleanPlan {
    fn going(&self) -> Going {
        let mut going = Going::default();
        for item in &self.items {
            going.lists.insert(fallback_tag(&item.subject));
            if let (Target::Tag(tag), true) = (&item.target, item.ours) {
                going.tags.insert(tag.clone());
                going.lists.insert(tag.clone());
            }
        }
        going
    }
}

/// Deletes one item.
async fn delete(
    registry: &RegistryClient,
    repository: &Repository,
    item: &Item,
    refused: Option<&RegistryError>,
) -> Result<bool, RegistryError> {
    let Target::Tag(tag) = &item.target else {
        return match (item.deletes, refused) {
            (false, _) => Ok(true),
            (true, Some(error)) => Err(error.clone()),
            (true, None) => registry.delete(repository, &item.target).await,
        };
    };
    match registry.pointed_to(repository, &item.target).await? {
        None => return Ok(false),
        Some(found) if found.digest != item.manifest => {
            return Err(RegistryError::TagMoved {
                tag: format!("{repository}:{tag}"),
            });
        }
        Some(_) => {}
    }
    match registry.delete(repository, &item.target).await {
        // Registries of before tags could be deleted: the manifest, if that takes nothing else.
        Err(RegistryError::DeletionDisabled { .. }) if item.deletes => match refused {
            Some(error) => Err(error.clone()),
            None => {
                let target = Target::Digest(item.manifest);
                registry.delete(repository, &target).await
            }
        },
        other => other,
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
    let (names, refused) = refused(registry, plan).await;
    for item in &plan.items {
        let outcome = delete(registry, repository, item, refused.get(&item.manifest)).await;
        let ends = match &outcome {
            Err(RegistryError::DeletionDisabled { .. }) => item.deletes,
            Err(RegistryError::Denied { .. }) => true,
            _ => false,
        };
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
        let listed = || {
            let of_it = report.cleaned.iter();
            of_it.filter(|cleaned| cleaned.item.subject == subject && cleaned.item.listed)
        };
        let mut gone: Vec<Digest> = listed()
            .filter(|cleaned| cleaned.outcome.is_ok())
            .map(|cleaned| cleaned.item.manifest)
            .collect();
        if gone.is_empty() {
            continue;
        }
        // An index that lists the image as its own referrer says nothing by it.
        gone.push(subject);
        let text = fallback_tag(&subject);
        // A list of this image's referrers, under its one tag. An index of images under that tag is none.
        let only_ours =
            listed().all(|cleaned| cleaned.item.ours || plan.is_dangling(&cleaned.item));
        let here = HashSet::from([text.clone()]);
        let only_here = |index: &Digest| {
            let other = names
                .as_ref()
                .map(|names| names.other(index, &here, &HashSet::new()));
            only_ours && matches!(other, Some(None))
        };
        let tag = format!("{repository}:{text}");
        let subject = DigestReference::new(plan.image.repository().clone(), subject);
        match registry
            .unlist_in_fallback(&subject, &gone, only_here)
            .await
        {
            Ok(Unlisted::NothingThere) => {}
            Ok(done) => report.indexes.push((tag, done)),
            Err(error) => report.failed.push((tag, error)),
        }
    }
    report
}

impl CleanPlan {
    /// Returns whether an item is of a list alone: there is no such manifest.
    fn is_dangling(&self, item: &Item) -> bool {
        let what = item.manifest.to_string();
        let mut problems = self.problems.iter().filter(|problem| problem.is_dangling());
        problems.any(|problem| problem.what == what)
    }
}
