//! `keyless save`: an image with everything attached, from a registry into a layout on disk.
//!
//! The layout is what `cosign load` and `cosign verify --local-image` read: the image and its legacy signatures
//! marked as cosign marks them, bundles among the blobs. They are listed besides, as oras lists them, and the
//! legacy signatures of an index's images by their tags.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::flow::copy::{WHOLE, resolve};
use crate::flow::event::{Event, Reporter};
use crate::flow::push::{Done, PushError};
use crate::flow::survey::{Node, Origin, Place, Survey, survey};
use crate::format::oci::PlatformFilter;
use crate::format::oci::{Descriptor, Document, LayoutKind, LegacyTag, named};
use crate::host::image_layout::LayoutWriter;
use crate::net::registry::{ImageReference, RegistryClient, Target};

/// Blobs that stream at a time.
const STREAMS: usize = 4;
/// Blobs beyond this size are announced, in bytes.
const WORTH_A_WORD: u64 = 16 * 1024 * 1024;

/// What is saved, and where.
#[derive(Debug)]
pub struct SaveRequest {
    /// The image.
    pub image: ImageReference,
    /// The folder.
    pub folder: PathBuf,
    /// Of an index, only its image for this platform.
    pub platform: Option<PlatformFilter>,
    /// Whether a layout that is there is written anew.
    pub overwrite: bool,
}

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// The image with what was attached, and what could not be looked at.
    pub survey: Survey,
    /// What it took.
    pub done: Done,
}

/// Saves an image. Until everything is there, the folder is no layout.
///
/// # Errors
/// [`PushError`].
pub async fn save(
    registry: &RegistryClient,
    request: &SaveRequest,
    report: Reporter<'_>,
) -> Result<Saved, PushError> {
    // Before anything is fetched.
    let writer = LayoutWriter::begin(&request.folder, request.overwrite)?;
    let platform = request.platform.as_ref();
    let (origin, held) = resolve(registry, &request.image, platform, report).await?;
    let survey = survey(origin, held, WHOLE).await?;
    let name = match request.image.target() {
        Target::Tag(tag) => Some(tag.as_str()),
        Target::Digest(_) => None,
    };
    let writer = Mutex::new(writer);
    let done = Mutex::new(Done::default());
    let beside = survey.origin.of_attached();
    let mut blobs: Vec<(&Descriptor, &Origin)> = Vec::new();
    let mut manifests: Vec<&Node> = Vec::new();
    collect(
        &survey.root,
        &survey.origin,
        &beside,
        &mut manifests,
        &mut blobs,
    );
    let mut seen = HashSet::new();
    blobs.retain(|(blob, _)| seen.insert(blob.digest));
    stream::iter(blobs)
        .map(|(blob, from)| write(&writer, &done, blob, from, report))
        .buffer_unordered(STREAMS)
        .try_collect::<Vec<()>>()
        .await?;
    let mut seen = HashSet::new();
    manifests.retain(|node| seen.insert(node.held.descriptor.digest));
    for node in manifests {
        lock(&writer).put(&node.held.descriptor, &node.held.bytes)?;
        lock(&done).manifests += 1;
    }
    let mut entries = Vec::new();
    let mut root = survey.root.held.descriptor.bare();
    if let Some(name) = name {
        root.annotations = named(name);
    }
    match survey.root.held.document {
        Document::Manifest(_) => LayoutKind::Image.mark(&mut root),
        Document::Index(_) => LayoutKind::Index.mark(&mut root),
    }
    entries.push(root);
    list(&survey.root, true, &mut entries);
    let mut seen = HashSet::new();
    entries.retain(|entry| seen.insert((entry.digest, entry.annotations.clone())));
    let writer = writer.into_inner().unwrap_or_else(PoisonError::into_inner);
    writer.finish(&entries)?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    survey
        .root
        .each(&mut |node| done.attached += node.attached.len());
    Ok(Saved { survey, done })
}

/// Lists every manifest, and every blob with where it comes from.
fn collect<'a>(
    node: &'a Node,
    from: &'a Origin,
    beside: &'a Origin,
    manifests: &mut Vec<&'a Node>,
    blobs: &mut Vec<(&'a Descriptor, &'a Origin)>,
) {
    manifests.push(node);
    let distributable = |blob: &&Descriptor| {
        !blob.media_type.contains("nondistributable") && !blob.media_type.contains(".foreign.")
    };
    let own = node.held.blobs().into_iter().filter(distributable);
    blobs.extend(own.map(|blob| (blob, from)));
    for child in &node.children {
        collect(child, from, beside, manifests, blobs);
    }
    for attached in &node.attached {
        collect(&attached.node, beside, beside, manifests, blobs);
    }
}

/// Lists what is attached, so that it is found again by whoever reads the list only.
fn list(node: &Node, is_root: bool, entries: &mut Vec<Descriptor>) {
    let digest = node.held.descriptor.digest;
    for attached in &node.attached {
        // Without its annotations: one of them could say that it is the image.
        let mut entry = attached.node.held.descriptor.bare();
        if let Place::Legacy(tag) = attached.place {
            entry.annotations = named(&tag.tag(&digest));
            match tag {
                LegacyTag::Signatures if is_root => LayoutKind::Signatures.mark(&mut entry),
                LegacyTag::Attestations if is_root => LayoutKind::Attestations.mark(&mut entry),
                _ => {}
            }
        } else {
            entry.artifact_type = attached.node.held.descriptor.artifact_type.clone();
        }
        entries.push(entry);
        list(&attached.node, false, entries);
    }
    for child in &node.children {
        list(child, false, entries);
    }
}

async fn write(
    writer: &Mutex<LayoutWriter>,
    done: &Mutex<Done>,
    blob: &Descriptor,
    from: &Origin,
    report: Reporter<'_>,
) -> Result<(), PushError> {
    if lock(writer).holds(blob)? {
        lock(done).blobs_there += 1;
        return Ok(());
    }
    if blob.size > WORTH_A_WORD {
        report(Event::Transferring {
            what: blob.digest.to_string(),
            bytes: blob.size,
        });
    }
    let mut new = lock(writer).begin_blob(blob)?;
    let mut pieces = from.pieces(blob);
    while let Some(piece) = pieces.next().await {
        lock(writer).append(&mut new, &piece?)?;
    }
    lock(writer).finish_blob(new)?;
    let mut done = lock(done);
    done.blobs += 1;
    done.bytes += blob.size;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
