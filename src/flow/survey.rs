//! What an image has attached to it, in a registry or in a layout on disk: for showing, copying and deleting.
//!
//! Nothing here is verified. Every manifest is fetched and its digest recomputed, and what it is is read in
//! it, not in the list that named it: cosign writes a wrong artifact type into fallback indexes.

mod platform;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt as _, try_join};
use tokio::sync::Semaphore;

use crate::crypto::Digest;
use crate::format::bundle::{Bundle, Content};
use crate::format::legacy::layer::{
    ANNOTATION_PREDICATE_TYPE as ANNOTATION_LAYER_PREDICATE, ENVELOPE_TYPE,
};
use crate::format::legacy::manifest::EXPERIMENTAL_SIGNATURE;
use crate::format::legacy::simple_signing::SIMPLE_SIGNING_TYPE;
use crate::format::oci::{
    ANNOTATION_CONTENT, ANNOTATION_PREDICATE_TYPE, Descriptor, Document, LegacyTag, Manifest,
};
use crate::format::statement::{COSIGN_SIGN_V1, Statement};
use crate::host::image_layout::{ImageLayout, LayoutError};
use crate::net::registry::{
    ContentError, DigestReference, FetchedManifest, ImageReference, Pieces, ReferrersSource,
    RegistryClient, RegistryError, Repository, file_pieces,
};
pub use platform::{NotOne, choose};

/// Requests of one survey at a time.
const CONCURRENCY: usize = 16;
/// Manifests in one survey: ten of the largest indexes.
const MAX_MANIFESTS: usize = 10_000;
/// Bytes of manifests in one survey; real ones have about 1 KiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How deep indexes lie in indexes, and referrers refer to referrers.
const MAX_DEPTH: usize = 8;

/// Artifact type of an SBOM in cosign's first attempt at referrers.
const EXPERIMENTAL_SBOM: &str = "application/vnd.dev.cosign.artifact.sbom.v1+json";

/// Where an image and what is attached to it are.
#[derive(Debug, Clone)]
pub enum Origin {
    /// A repository of a registry.
    Registry(RegistryClient, Repository),
    /// A folder.
    Layout(Arc<ImageLayout>),
}

/// Where something attached was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the registry's own list of referrers.
    ReferrersApi,
    /// In the index under the fallback tag.
    FallbackTag,
    /// Under a tag of cosign's legacy formats.
    Legacy(LegacyTag),
    /// In a layout on disk.
    Layout,
}

/// What something attached is, by its own manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachedKind {
    /// A Sigstore bundle.
    Bundle,
    /// Simple-signing signatures.
    LegacySignatures,
    /// Attestations in cosign's older format.
    LegacyAttestations,
    /// An SBOM that cosign attached, unsigned.
    Sbom,
    /// Anything else.
    Other,
}

/// What something attached is for, by what it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It says that somebody stands for the image.
    Signature,
    /// It says something about the image.
    Attestation,
    /// A list of what is in the image.
    Sbom,
    /// Anything else, or what does not say.
    Other,
}

/// A manifest, whole.
#[derive(Debug, Clone)]
pub struct Held {
    /// Media type, size, digest; artifact type and annotations as a list of referrers has them.
    pub descriptor: Descriptor,
    /// The parsed document.
    pub document: Document,
    /// The exact bytes.
    pub bytes: Bytes,
}

/// A manifest or index with what belongs to it.
#[derive(Debug, Clone)]
pub struct Node {
    /// The manifest.
    pub held: Held,
    /// The entry of the index that lists it, for a child.
    pub listed: Option<Descriptor>,
    /// Children of an index, where they were asked for.
    pub children: Vec<Node>,
    /// What is attached.
    pub attached: Vec<Attached>,
    /// What could not be looked at.
    pub problems: Vec<Problem>,
}

/// Something attached.
#[derive(Debug, Clone)]
pub struct Attached {
    /// Where it was found.
    pub place: Place,
    /// What it is.
    pub kind: AttachedKind,
    /// Whether its manifest refers to what lists it, or is not meant to: legacy formats do not.
    pub refers: bool,
    /// Predicate types of its statements; a hint, as whoever attached it wrote them.
    pub predicate_types: Vec<String>,
    /// Its manifest, and what is attached to that.
    pub node: Node,
}

/// Something that is listed and could not be looked at.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What it is about: a digest or a tag.
    pub what: String,
    /// Why.
    pub error: Arc<ContentError>,
    /// The registry lists what refers to it nowhere, and its answer does not say that nothing does.
    is_nowhere: bool,
}

impl Problem {
    /// Returns whether something is listed that is not there, as after somebody deleted it.
    pub fn is_dangling(&self) -> bool {
        matches!(
            *self.error,
            ContentError::Registry(RegistryError::NotFound { .. })
                | ContentError::Layout(LayoutError::Missing { .. })
        )
    }
}

impl Node {
    fn forget_nowhere(&mut self) {
        self.problems.retain(|problem| !problem.is_nowhere);
        let attached = self.attached.iter_mut().map(|attached| &mut attached.node);
        for node in self.children.iter_mut().chain(attached) {
            node.forget_nowhere();
        }
    }
}

impl Attached {
    /// Returns what it is for.
    pub fn purpose(&self) -> Purpose {
        match self.kind {
            AttachedKind::LegacySignatures => Purpose::Signature,
            AttachedKind::LegacyAttestations => Purpose::Attestation,
            AttachedKind::Sbom => Purpose::Sbom,
            AttachedKind::Other => Purpose::Other,
            AttachedKind::Bundle => match self.predicate_types.first().map(String::as_str) {
                Some("" | COSIGN_SIGN_V1) => Purpose::Signature,
                Some(_) => Purpose::Attestation,
                None => Purpose::Other,
            },
        }
    }
}

impl Node {
    /// Calls a function with this manifest, its children and everything attached, each manifest before what
    /// it lists and what is attached to it.
    pub fn each<'a>(&'a self, found: &mut impl FnMut(&'a Node)) {
        found(self);
        for child in &self.children {
            child.each(found);
        }
        for attached in &self.attached {
            attached.node.each(found);
        }
    }

    /// Returns every problem, of this manifest and of all below it.
    pub fn problems(&self) -> Vec<&Problem> {
        let mut all = Vec::new();
        self.each(&mut |node| all.extend(&node.problems));
        all
    }
}

/// An image, what is attached to it, and where both are.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Where they are.
    pub origin: Origin,
    /// The image or index that was asked for.
    pub root: Node,
}

/// How much is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The children of an index, and what is attached to them.
    pub children: bool,
    /// What refers to bundles and legacy signatures, too: nothing does as a rule, and asking costs a request
    /// each.
    pub everything: bool,
}

impl Origin {
    /// Fetches what a reference points to.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`].
    pub async fn resolve(
        registry: &RegistryClient,
        reference: &ImageReference,
    ) -> Result<(Origin, Held), RegistryError> {
        let fetched = registry.resolve(reference).await?;
        let repository = fetched.reference.repository().clone();
        let origin = Origin::Registry(registry.clone(), repository);
        Ok((origin, fetched.into()))
    }

    /// Returns where what is attached is kept: there too, unless the user named another repository.
    pub fn of_attached(&self) -> Origin {
        match self {
            Origin::Registry(client, repository) => {
                Origin::Registry(client.clone(), client.signatures_of(repository))
            }
            Origin::Layout(layout) => Origin::Layout(Arc::clone(layout)),
        }
    }

    /// Fetches a manifest that something lists.
    ///
    /// # Errors
    /// As [`RegistryClient::manifest`] and [`ImageLayout::listed_manifest`].
    pub async fn manifest(&self, listed: &Descriptor) -> Result<Held, ContentError> {
        Ok(match self {
            Origin::Registry(client, repository) => {
                client.manifest(repository, listed).await?.into()
            }
            Origin::Layout(layout) => {
                let found = layout.listed_manifest(listed)?;
                Held::new(found.descriptor, found.document, found.bytes)
            }
        })
    }

    /// Reads a blob piece by piece; the last item is an error unless size and digest are as described.
    pub fn pieces(&self, blob: &Descriptor) -> Pieces {
        match self {
            Origin::Registry(client, repository) => client.blob_pieces(repository, blob),
            Origin::Layout(layout) => file_pieces(layout.open_blob(blob), blob),
        }
    }

    /// Fetches a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`RegistryClient::blob`] and [`ImageLayout::blob`].
    pub async fn blob(&self, blob: &Descriptor, limit: u64) -> Result<Bytes, ContentError> {
        Ok(match self {
            Origin::Registry(client, repository) => client.blob(repository, blob, limit).await?,
            Origin::Layout(layout) => layout.blob(&blob.digest, limit)?,
        })
    }

    async fn referrers(&self, subject: &Digest) -> Result<Listed, ContentError> {
        let mut listed = Listed::default();
        match self {
            Origin::Layout(layout) => {
                let found = layout.referrers_of(subject)?;
                let entries = found.descriptors.into_iter();
                listed.entries = entries.map(|entry| (Place::Layout, entry)).collect();
                if found.cut {
                    let limit = crate::format::limits::LAYOUT_REFERRERS;
                    let error = LayoutError::TooMany {
                        what: "referrers of one image",
                        limit,
                    };
                    listed.cut = Some(error.into());
                }
            }
            Origin::Registry(client, repository) => {
                let subject = DigestReference::new(repository.clone(), *subject);
                // The fallback tag's is left from the time before the registry had the API, or by a client that
                // does not know it, or there because the API does not list what is attached.
                let lists = client.referrer_lists(&subject).await?;
                listed.cut = lists.missing().map(ContentError::from);
                (listed.is_nowhere, listed.is_by_tag) = (lists.is_nowhere(), lists.is_by_tag());
                for list in [lists.api, lists.fallback].into_iter().flatten() {
                    if let Some(error) = list.too_many() {
                        listed.cut = Some(error.into());
                    }
                    let place = match list.source {
                        ReferrersSource::Api => Place::ReferrersApi,
                        ReferrersSource::FallbackTag => Place::FallbackTag,
                    };
                    for entry in list.descriptors {
                        let mut known = listed.entries.iter().map(|(_, known)| known.digest);
                        if !known.any(|known| known == entry.digest) {
                            listed.entries.push((place, entry));
                        }
                    }
                }
            }
        }
        Ok(listed)
    }

    async fn legacy(&self, subject: &Digest, tag: LegacyTag) -> Result<Option<Held>, ContentError> {
        Ok(match self {
            Origin::Registry(client, repository) => {
                let subject = DigestReference::new(repository.clone(), *subject);
                client.tagged(&subject, tag).await?.map(Held::from)
            }
            Origin::Layout(layout) => match layout.legacy(subject, tag) {
                Some(entry) => Some(self.manifest(entry).await?),
                None => None,
            },
        })
    }
}

#[derive(Default)]
struct Listed {
    entries: Vec<(Place, Descriptor)>,
    cut: Option<ContentError>,
    is_nowhere: bool,
    is_by_tag: bool,
}

impl From<FetchedManifest> for Held {
    fn from(fetched: FetchedManifest) -> Self {
        Held::new(fetched.descriptor, fetched.document, fetched.bytes)
    }
}

impl Held {
    fn new(descriptor: Descriptor, document: Document, bytes: Bytes) -> Self {
        let (artifact_type, annotations) = match &document {
            Document::Manifest(manifest) => (
                manifest
                    .artifact_type
                    .clone()
                    .or_else(|| Some(manifest.config.media_type.clone())),
                manifest.annotations.clone(),
            ),
            Document::Index(index) => (index.artifact_type.clone(), index.annotations.clone()),
        };
        Held {
            descriptor: Descriptor {
                artifact_type: artifact_type.filter(|t| !t.is_empty()),
                annotations,
                ..descriptor.bare()
            },
            document,
            bytes,
        }
    }

    /// Returns what it refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match &self.document {
            Document::Manifest(manifest) => manifest.subject.as_ref(),
            Document::Index(index) => index.subject.as_ref(),
        }
    }

    /// Returns the number of layers, which is that of signatures or attestations in the older formats.
    pub fn contents(&self) -> usize {
        match &self.document {
            Document::Manifest(manifest) => manifest.layers.len(),
            Document::Index(_) => 0,
        }
    }

    /// Returns the blobs it needs: config and layers, each once.
    pub fn blobs(&self) -> Vec<&Descriptor> {
        let Document::Manifest(manifest) = &self.document else {
            return Vec::new();
        };
        let mut seen = HashSet::new();
        std::iter::once(&manifest.config)
            .chain(&manifest.layers)
            .filter(|blob| seen.insert(blob.digest))
            .collect()
    }
}

/// Looks at everything attached to a manifest.
///
/// # Errors
/// [`ContentError`], where a list cannot be had or there is too much; what concerns one entry is a
/// [`Problem`] of its subject.
pub async fn survey(origin: Origin, held: Held, extent: Extent) -> Result<Survey, ContentError> {
    let surveyor = Surveyor {
        origin: &origin,
        beside: origin.of_attached(),
        extent,
        turns: Semaphore::new(CONCURRENCY),
        manifests: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
        seen: Mutex::default(),
        by_tag: AtomicBool::new(false),
    };
    let mut root = surveyor.node(held, None, 0, true).await?;
    // Where one fallback tag has a list, the registry's clients attach so, and where there is no such tag, nothing is.
    if surveyor.by_tag.load(Ordering::Relaxed) {
        root.forget_nowhere();
    }
    Ok(Survey { origin, root })
}

struct Surveyor<'a> {
    origin: &'a Origin,
    /// Where what is attached is kept.
    beside: Origin,
    extent: Extent,
    turns: Semaphore,
    manifests: AtomicUsize,
    bytes: AtomicU64,
    /// Digests whose attachments were looked at: an index may list a child twice.
    seen: Mutex<HashSet<Digest>>,
    /// The API's answer was no list, and a fallback tag had one.
    by_tag: AtomicBool,
}

impl Surveyor<'_> {
    fn node(
        &self,
        held: Held,
        listed: Option<Descriptor>,
        depth: usize,
        attachments: bool,
    ) -> BoxFuture<'_, Result<Node, ContentError>> {
        async move {
            self.count(&held, depth)?;
            let digest = held.descriptor.digest;
            let first = self
                .seen
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(digest);
            let listed_children = match &held.document {
                Document::Index(index) if self.extent.children => index.manifests.clone(),
                _ => Vec::new(),
            };
            let children = async {
                let fetched = listed_children.into_iter().map(|child| async move {
                    let held = self.turn(self.origin.manifest(&child)).await;
                    match held {
                        Ok(held) => Ok(Ok(self.node(held, Some(child), depth + 1, true).await?)),
                        Err(error) => Ok(Err((child.digest, error))),
                    }
                });
                collect(join_all(fetched).await)
            };
            let attached = async {
                match attachments && first {
                    true => self.attached(digest, depth).await,
                    false => Ok((Vec::new(), Vec::new())),
                }
            };
            let ((children, mut problems), (attached, more)) = try_join!(children, attached)?;
            problems.extend(more);
            Ok(Node {
                held,
                listed,
                children,
                attached,
                problems,
            })
        }
        .boxed()
    }

    async fn attached(
        &self,
        subject: Digest,
        depth: usize,
    ) -> Result<(Vec<Attached>, Vec<Problem>), ContentError> {
        let referrers = async {
            let listed = self.turn(self.origin.referrers(&subject)).await?;
            let (cut, is_nowhere) = (listed.cut, listed.is_nowhere);
            self.by_tag.fetch_or(listed.is_by_tag, Ordering::Relaxed);
            let fetched = listed.entries.into_iter().map(|(place, entry)| async move {
                match self.turn(self.beside.manifest(&entry)).await {
                    Ok(held) => {
                        let refers = held.subject().is_some_and(|s| s.digest == subject);
                        Ok(Ok(self.attachment(place, held, refers, depth).await?))
                    }
                    Err(error) => Ok(Err((entry.digest, error))),
                }
            });
            let (attached, mut problems) = collect(join_all(fetched).await)?;
            problems.extend(cut.map(|error| Problem {
                what: subject.to_string(),
                error: Arc::new(error),
                is_nowhere,
            }));
            Ok::<_, ContentError>((attached, problems))
        };
        let legacy = async {
            let fetched = LegacyTag::ALL.map(|tag| async move {
                match self.turn(self.origin.legacy(&subject, tag)).await {
                    Ok(Some(held)) => {
                        let place = Place::Legacy(tag);
                        Ok(Some(Ok(self.attachment(place, held, true, depth).await?)))
                    }
                    Ok(None) => Ok(None),
                    Err(error) => Ok(Some(Err((tag.tag(&subject), error)))),
                }
            });
            let found = join_all(fetched).await;
            let found: Result<Vec<_>, ContentError> = found.into_iter().collect();
            collect(found?.into_iter().flatten().map(Ok).collect())
        };
        let ((mut attached, mut problems), (more, other)) = try_join!(referrers, legacy)?;
        attached.extend(more);
        problems.extend(other);
        Ok((attached, problems))
    }

    async fn attachment(
        &self,
        place: Place,
        held: Held,
        refers: bool,
        depth: usize,
    ) -> Result<Attached, ContentError> {
        let kind = kind_of(place, &held.document);
        let predicate_types = self.predicate_types(kind, &held).await;
        // Nobody signs a signature; an SBOM is signed like an image.
        let look =
            self.extent.everything || matches!(kind, AttachedKind::Sbom | AttachedKind::Other);
        let node = self.node(held, None, depth + 1, look).await?;
        Ok(Attached {
            place,
            kind,
            refers,
            predicate_types,
            node,
        })
    }

    /// Returns the predicate types that manifest and layers name; a bundle that is not described is opened.
    /// The empty name stands for a signature over bytes.
    async fn predicate_types(&self, kind: AttachedKind, held: &Held) -> Vec<String> {
        let Document::Manifest(manifest) = &held.document else {
            return Vec::new();
        };
        let short = |text: &String| text.chars().take(400).collect();
        match kind {
            AttachedKind::Bundle => {
                if let Some(said) = manifest.annotations.get(ANNOTATION_PREDICATE_TYPE) {
                    return vec![short(said)];
                }
                let content = manifest.annotations.get(ANNOTATION_CONTENT);
                if content.is_some_and(|content| content == "message-signature") {
                    return vec![String::new()];
                }
                self.opened(manifest).await.into_iter().collect()
            }
            AttachedKind::LegacyAttestations => {
                let mut types: Vec<String> = Vec::new();
                for layer in &manifest.layers {
                    if let Some(said) = layer.annotations.get(ANNOTATION_LAYER_PREDICATE).map(short)
                        && !types.contains(&said)
                    {
                        types.push(said);
                    }
                }
                types
            }
            _ => Vec::new(),
        }
    }

    async fn opened(&self, manifest: &Manifest) -> Option<String> {
        let limit = match self.origin {
            Origin::Registry(client, _) => client.options().limits.bundle,
            Origin::Layout(_) => crate::format::limits::BUNDLE_LEN as u64,
        };
        let layer = manifest.bundle_layer()?;
        let bytes = self.turn(self.beside.blob(layer, limit)).await.ok()?;
        match Bundle::parse_bounded(&bytes, bytes.len()).ok()?.content {
            Content::MessageSignature { .. } | Content::SimpleSigning { .. } => Some(String::new()),
            Content::DsseEnvelope(envelope) => {
                let statement = Statement::parse(&envelope.payload).ok()?;
                Some(statement.predicate_type.chars().take(400).collect())
            }
        }
    }

    async fn turn<T>(&self, work: impl Future<Output = T>) -> T {
        // Never closed; were it, going on without a turn would only be faster.
        let _turn = self.turns.acquire().await;
        work.await
    }

    fn count(&self, held: &Held, depth: usize) -> Result<(), ContentError> {
        let too_many = |what, limit| Err(RegistryError::TooMany { what, limit }.into());
        let bytes = held.bytes.len() as u64;
        if depth > MAX_DEPTH {
            return too_many("levels of manifests", MAX_DEPTH);
        }
        if self.manifests.fetch_add(1, Ordering::Relaxed) >= MAX_MANIFESTS {
            return too_many("manifests of one image", MAX_MANIFESTS);
        }
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > MAX_BYTES {
            return too_many("bytes of manifests", MAX_BYTES as usize);
        }
        Ok(())
    }
}

/// Outcomes of several lookups: faults of the whole, faults of one, and what was found.
type Outcome<T, W> = Result<Result<T, (W, ContentError)>, ContentError>;

fn collect<T, W: ToString>(
    outcomes: Vec<Outcome<T, W>>,
) -> Result<(Vec<T>, Vec<Problem>), ContentError> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome? {
            Ok(one) => found.push(one),
            Err((what, error)) => problems.push(Problem {
                what: what.to_string(),
                error: Arc::new(error),
                is_nowhere: false,
            }),
        }
    }
    Ok((found, problems))
}

/// Tells what a manifest is by its own content, and by the tag it was found under.
fn kind_of(place: Place, document: &Document) -> AttachedKind {
    let Document::Manifest(manifest) = document else {
        return AttachedKind::Other;
    };
    if manifest.bundle_layer().is_some() {
        return AttachedKind::Bundle;
    }
    let stated = |wanted: &str| {
        manifest.artifact_type.as_deref() == Some(wanted) || manifest.config.media_type == wanted
    };
    let all = |media_type: &str| {
        !manifest.layers.is_empty() && manifest.layers.iter().all(|l| l.media_type == media_type)
    };
    if stated(EXPERIMENTAL_SIGNATURE) || all(SIMPLE_SIGNING_TYPE) {
        return AttachedKind::LegacySignatures;
    }
    if all(ENVELOPE_TYPE) {
        return AttachedKind::LegacyAttestations;
    }
    match place {
        _ if stated(EXPERIMENTAL_SBOM) => AttachedKind::Sbom,
        Place::Legacy(LegacyTag::Sbom) => AttachedKind::Sbom,
        _ => AttachedKind::Other,
    }
}
