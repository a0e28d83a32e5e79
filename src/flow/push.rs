//! Bringing an image with everything attached into a registry, from another one or from a layout on disk.
//!
//! Children come before the index that lists them, blobs before their manifest, the image before what refers
//! to it, and the tag comes last: whoever sees the tag finds everything. Exact bytes are sent, so that digests
//! stay. What is there already is not sent again, so that an interrupted copy goes on where it was. A tag that
//! points to something else is not moved unless that is asked for, and that is found out before anything is
//! sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all, try_join_all};
use tokio::sync::{OnceCell, Semaphore};

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit, counted};
use crate::flow::event::{Event, Reporter};
use crate::flow::survey::{Attached, Node, NotOne, Origin, Place, Purpose, Survey};
use crate::format::oci::{Descriptor, EncodedManifest};
use crate::host::image_layout::LayoutError;
use crate::net::http::jitter;
use crate::net::registry::{
    ContentError, DigestReference, ImageReference, Pushed, RegistryClient, RegistryError,
    Repository, Target,
};

/// Requests at a time, beside blobs.
const CONCURRENCY: usize = 8;
/// Blobs that stream at a time.
const STREAMS: usize = 4;
/// How often blobs are looked after that a registry had, and then missed, as docker-registry 2.8 does.
const BLOB_LOOKS: u32 = 5;
/// Blobs beyond this size are announced, in bytes.
const WORTH_A_WORD: u64 = 16 * 1024 * 1024;

/// Why nothing, or not everything, was brought over.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It cannot be had, or not be stored.
    #[error("{0}")]
    Content(#[from] ContentError),
    /// No image is for the platform.
    #[error("{0}")]
    Platform(#[from] NotOne),
    /// A tag points to something else.
    #[error("{reference} already points to another image")]
    WouldOverwrite {
        /// The tag.
        reference: String,
        /// What it points to.
        found: Box<Digest>,
        /// What it would point to.
        wanted: Box<Digest>,
    },
    /// The destination names a digest that the image does not have.
    #[error("the image does not have the digest that the destination names")]
    OtherDigest {
        /// As named.
        expected: Box<Digest>,
        /// The image's.
        found: Box<Digest>,
    },
    /// The layout has no image, or several, and none is chosen.
    #[error("{path} has {}{}", counted(*count, "image"), if *.count == 0 { "" } else { ", and it is not said which" })]
    WhichImage {
        /// The layout.
        path: String,
        /// How many.
        count: usize,
        /// Names and digests.
        found: Vec<String>,
    },
}

impl From<RegistryError> for PushError {
    fn from(error: RegistryError) -> Self {
        PushError::Content(error.into())
    }
}

impl From<LayoutError> for PushError {
    fn from(error: LayoutError) -> Self {
        PushError::Content(error.into())
    }
}

impl Diagnostic for PushError {
    fn code(&self) -> &'static str {
        match self {
            PushError::Content(error) => error.code(),
            PushError::Platform(error) => error.code(),
            PushError::WouldOverwrite { .. } => "tag-exists",
            PushError::OtherDigest { .. } => "destination-digest-differs",
            PushError::WhichImage { .. } => "layout-image-ambiguous",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            PushError::Content(error) => error.exit(),
            PushError::Platform(error) => error.exit(),
            // Our own refusal, as that to replace a file: nobody else was asked for anything.
            PushError::WouldOverwrite { .. } => Exit::Usage,
            PushError::OtherDigest { .. } => Exit::ContentMismatch,
            PushError::WhichImage { .. } => Exit::Usage,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            PushError::Content(error) => error.details(),
            PushError::Platform(error) => error.details(),
            PushError::WouldOverwrite { found, wanted, .. } => {
                vec![("found", found.to_string()), ("wanted", wanted.to_string())]
            }
            PushError::OtherDigest { expected, found } => vec![
                ("expected", expected.to_string()),
                ("found", found.to_string()),
            ],
            PushError::WhichImage { found, .. } => vec![("found", found.join(", "))],
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PushError::Content(error) => error.hint(),
            PushError::Platform(error) => error.hint(),
            PushError::WouldOverwrite { .. } => {
                Some("pass --force to point it elsewhere; nothing was sent".to_owned())
            }
            PushError::OtherDigest { .. } => None,
            PushError::WhichImage { count: 0, .. } => None,
            PushError::WhichImage { .. } => {
                Some("pass --name with the name or the digest of one".to_owned())
            }
        }
    }
}

/// What of an image is brought over.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only what is attached, and of it what is for these purposes; everything if empty.
    pub only: Vec<Purpose>,
    /// Whether tags may be pointed elsewhere.
    pub force: bool,
}

impl Selection {
    fn images(&self) -> bool {
        self.only.is_empty()
    }

    fn takes(&self, attached: &Attached) -> bool {
        self.only.is_empty() || self.only.contains(&attached.purpose())
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// Manifests and indexes that were sent.
    pub manifests: usize,
    /// Those that were there.
    pub manifests_there: usize,
    /// Blobs that were sent.
    pub blobs: usize,
    /// Blobs that the registry took over from another repository of its own.
    pub blobs_mounted: usize,
    /// Blobs that were there.
    pub blobs_there: usize,
    /// Bytes of the blobs that were sent.
    pub bytes: u64,
    /// Things attached that are now there: signatures, attestations, whatever was asked for.
    pub attached: usize,
    /// Tags that were written.
    pub tags: Vec<String>,
    /// Digests of manifests that refer to something else than what listed them; the destination's own list
    /// does not have them.
    pub unlisted: Vec<Digest>,
}

/// Brings a surveyed image to a registry. Without a tag, by its digest alone.
///
/// # Errors
/// [`PushError`]. What was sent before stays there and is found the next time.
pub async fn push(
    survey: &Survey,
    client: &RegistryClient,
    destination: &ImageReference,
    selection: &Selection,
    report: Reporter<'_>,
) -> Result<Done, PushError> {
    let repository = destination.repository();
    let digest = survey.root.held.descriptor.digest;
    if let Target::Digest(expected) = destination.target()
        && *expected != digest
    {
        return Err(PushError::OtherDigest {
            expected: Box::new(*expected),
            found: Box::new(digest),
        });
    }
    let pusher = Pusher {
        beside: survey.origin.of_attached(),
        client,
        repository,
        selection,
        requests: Semaphore::new(CONCURRENCY),
        streams: Semaphore::new(STREAMS),
        blobs: Mutex::default(),
        done: Mutex::default(),
        report,
    };
    let tag = match destination.target() {
        Target::Tag(tag) if selection.images() => Some(tag.as_str()),
        _ => None,
    };
    pusher.look_at_tags(&survey.root, tag).await?;
    pusher.node(&survey.root, &survey.origin, true).await?;
    if let Some(tag) = tag {
        pusher.tag(tag, &survey.root).await?;
    }
    let mut done = pusher
        .done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    done.tags.sort();
    Ok(done)
}

struct Pusher<'a> {
    /// Where what is attached comes from.
    beside: Origin,
    client: &'a RegistryClient,
    repository: &'a Repository,
    selection: &'a Selection,
    requests: Semaphore,
    streams: Semaphore,
    /// Each blob is brought over once, however many manifests have it.
    blobs: Mutex<HashMap<Digest, Arc<OnceCell<()>>>>,
    done: Mutex<Done>,
    report: Reporter<'a>,
}

impl Pusher<'_> {
    fn done(&self, change: impl FnOnce(&mut Done)) {
        change(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn turn<T>(&self, work: impl Future<Output = T>) -> T {
        // Never closed; were it, going on without a turn would only be faster.
        let _turn = self.requests.acquire().await;
        work.await
    }

    /// Refuses where a tag that would be written points to something else.
    async fn look_at_tags(&self, root: &Node, tag: Option<&str>) -> Result<(), PushError> {
        if self.selection.force {
            return Ok(());
        }
        let mut tags: Vec<(String, Digest)> = Vec::new();
        tags.extend(tag.map(|tag| (tag.to_owned(), root.held.descriptor.digest)));
        root.each(&mut |node| {
            for attached in &node.attached {
                if let (Place::Legacy(tag), true) = (attached.place, self.selection.takes(attached))
                {
                    let wanted = attached.node.held.descriptor.digest;
                    tags.push((tag.tag(&node.held.descriptor.digest), wanted));
                }
            }
        });
        let looks = tags.into_iter().map(|(tag, wanted)| async move {
            let found = self
                .turn(self.client.find_tag(self.repository, &tag))
                .await?;
            match found.map(|found| found.descriptor.digest) {
                Some(found) if found != wanted => Err(PushError::WouldOverwrite {
                    reference: format!("{}:{tag}", self.repository),
                    found: Box::new(found),
                    wanted: Box::new(wanted),
                }),
                _ => Ok(()),
            }
        });
        try_join_all(looks).await?;
        Ok(())
    }

    /// Brings a manifest over with its children and everything attached; an image only where images are wanted.
    fn node<'s>(
        &'s self,
        node: &'s Node,
        from: &'s Origin,
        is_image: bool,
    ) -> BoxFuture<'s, Result<(), PushError>> {
        async move {
            let children = node.children.iter();
            try_join_all(children.map(|child| self.node(child, from, true))).await?;
            if !is_image || self.selection.images() {
                self.manifest(node, from).await?;
            }
            self.attached(node).await
        }
        .boxed()
    }

    /// Brings one manifest over, unless it is there; says whether the registry confirmed what it refers to.
    async fn manifest(&self, node: &Node, from: &Origin) -> Result<bool, PushError> {
        let held = &node.held;
        let digest = held.descriptor.digest;
        // A referrer is sent again, for the registry's word that it lists it.
        if held.subject().is_none()
            && self
                .turn(self.client.holds_manifest(self.repository, &digest))
                .await?
        {
            self.done(|done| done.manifests_there += 1);
            return Ok(true);
        }
        let encoded = EncodedManifest {
            bytes: held.bytes.to_vec(),
            descriptor: held.descriptor.clone(),
        };
        let mut looks = 0;
        loop {
            self.blobs(node, from, looks > 0).await?;
            looks += 1;
            let pushed = self.turn(self.client.push_manifest(self.repository, &encoded));
            match pushed.await {
                Err(RegistryError::NotFound { .. }) if looks < BLOB_LOOKS => {
                    tokio::time::sleep(jitter(Duration::from_millis(200) * looks)).await;
                }
                other => {
                    let pushed = other?;
                    self.done(|done| done.manifests += 1);
                    return Ok(pushed.subject_confirmed);
                }
            }
        }
    }

    async fn blobs(&self, node: &Node, from: &Origin, again: bool) -> Result<(), PushError> {
        let blobs = node.held.blobs().into_iter().filter(|blob| {
            // Layers that are fetched from elsewhere (image-spec, "Non-Distributable Layers").
            !blob.media_type.contains("nondistributable") && !blob.media_type.contains(".foreign.")
        });
        let each = blobs.map(|blob| async move {
            let once = {
                let mut known = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
                if again {
                    known.remove(&blob.digest);
                }
                Arc::clone(known.entry(blob.digest).or_default())
            };
            once.get_or_try_init(|| self.blob(blob, from)).await?;
            Ok::<_, PushError>(())
        });
        try_join_all(each).await?;
        Ok(())
    }

    async fn blob(&self, blob: &Descriptor, from: &Origin) -> Result<(), PushError> {
        // Never closed; were it, going on without a turn would only take more connections.
        let _turn = self.streams.acquire().await;
        if blob.size > WORTH_A_WORD {
            (self.report)(Event::Transferring {
                what: blob.digest.to_string(),
                bytes: blob.size,
            });
        }
        let near = match from {
            Origin::Registry(_, repository) if repository != self.repository => Some(repository),
            _ => None,
        };
        let (origin, described) = (from.clone(), blob.clone());
        let content = move || origin.pieces(&described);
        let pushed = self
            .client
            .push_blob(self.repository, blob, near, &content)
            .await?;
        self.done(|done| match pushed {
            Pushed::WasThere => done.blobs_there += 1,
            Pushed::Mounted => done.blobs_mounted += 1,
            Pushed::Sent => {
                done.blobs += 1;
                done.bytes += blob.size;
            }
        });
        Ok(())
    }

    /// Brings over what is attached to a manifest that is there, and makes sure that it is found.
    async fn attached(&self, node: &Node) -> Result<(), PushError> {
        let subject = node.held.descriptor.digest;
        let wanted: Vec<&Attached> = node
            .attached
            .iter()
            .filter(|attached| self.selection.takes(attached))
            .collect();
        let each = wanted.iter().map(|attached| async move {
            let below = &attached.node;
            let children = below.children.iter();
            try_join_all(children.map(|child| self.node(child, &self.beside, false))).await?;
            let confirmed = match attached.place {
                Place::Legacy(tag) => {
                    self.blobs(below, &self.beside, false).await?;
                    self.tag(&tag.tag(&subject), below).await?;
                    true
                }
                _ => self.manifest(below, &self.beside).await? && attached.refers,
            };
            self.attached_below(below).await?;
            self.done(|done| done.attached += 1);
            Ok::<_, PushError>((!confirmed).then_some(attached))
        });
        let unconfirmed: Vec<&Attached> = join_all(each)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .copied()
            .collect();
        self.list(subject, &unconfirmed).await
    }

    fn attached_below<'s>(&'s self, node: &'s Node) -> BoxFuture<'s, Result<(), PushError>> {
        self.attached(node).boxed()
    }

    async fn list(&self, subject: Digest, unconfirmed: &[&Attached]) -> Result<(), PushError> {
        let subject = DigestReference::new(self.repository.clone(), subject);
        let (referring, stray): (Vec<&&Attached>, Vec<_>) =
            unconfirmed.iter().partition(|attached| attached.refers);
        let described = |attached: &[&&Attached]| -> Vec<Descriptor> {
            let all = attached.iter();
            all.map(|attached| attached.node.held.descriptor.clone())
                .collect()
        };
        let referring = described(&referring);
        if !referring.is_empty() {
            self.client.list_referrers(&subject, &referring).await?;
        }
        let stray = described(&stray);
        if stray.is_empty() {
            return Ok(());
        }
        // Only a list that clients write can have what refers to something else.
        match self.client.api_referrers(&subject, None).await? {
            None => {
                self.client.list_all_in_fallback(&subject, &stray).await?;
            }
            Some(_) => self.done(|done| done.unlisted.extend(stray.iter().map(|d| d.digest))),
        }
        Ok(())
    }

    async fn tag(&self, tag: &str, node: &Node) -> Result<(), PushError> {
        let held = &node.held;
        let there = self.turn(self.client.find_tag(self.repository, tag)).await;
        // One that cannot be read is written anew, where that was asked for.
        if let Ok(Some(found)) = &there
            && found.descriptor.digest == held.descriptor.digest
        {
            return Ok(());
        }
        let push = self
            .client
            .push_tag(self.repository, tag, &held.descriptor, held.bytes.clone());
        self.turn(push).await?;
        let reference = format!("{}:{tag}", self.repository);
        self.done(|done| done.tags.push(reference));
        Ok(())
    }
}
