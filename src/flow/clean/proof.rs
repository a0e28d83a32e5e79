//! Whether something attached is this image's, by what it holds: a tag and a list may point to anything.
//!
//! A manifest says it by its `subject` (OCI image-spec). cosign's older forms have none: there the payload of
//! each signature names the image's digest, or the statement of each attestation has it as a subject.

use std::collections::HashSet;
use std::sync::Arc;

use crate::crypto::Digest;
use crate::flow::survey::{Attached, AttachedKind, Origin, Place};
use crate::format::legacy::layer::StoredEnvelope;
use crate::format::legacy::simple_signing::{SIMPLE_SIGNING_LEN, SimpleSigning};
use crate::format::oci::{Document, LegacyTag, Manifest};
use crate::format::statement::Statement;
use crate::net::registry::ContentError;

/// Older signatures and attestations of one manifest that are read.
const MAX_LAYERS: usize = 1_000;
/// Bytes of them.
const MAX_BYTES: u64 = 128 * 1024 * 1024;
/// Largest of them, as far as attestations go.
const MAX_ENVELOPE: u64 = 16 * 1024 * 1024;
/// Media types that `cosign attach sbom` writes.
const SBOM_TYPES: [&str; 6] = [
    "text/spdx",
    "text/spdx+xml",
    "text/spdx+json",
    "application/vnd.cyclonedx+xml",
    "application/vnd.cyclonedx+json",
    "application/vnd.syft+json",
];

/// What a manifest shows of what it is attached to.
#[derive(Debug)]
pub(super) enum Proof {
    /// It is attached to the image, by its own content.
    Ours,
    /// It says nothing of the image, or names another too.
    NotOurs,
    /// What it holds could not be read.
    Unreadable(Arc<ContentError>),
}

/// Reads whether something is attached to `subject`. What is signed for several of `images` at once is that of
/// each.
pub(super) async fn proof(
    beside: &Origin,
    attached: &Attached,
    subject: &Digest,
    images: &HashSet<Digest>,
) -> Proof {
    let held = &attached.node.held;
    if let Some(named) = held.subject() {
        return match named.digest == *subject {
            true => Proof::Ours,
            false => Proof::NotOurs,
        };
    }
    let (Place::Legacy(tag), Document::Manifest(manifest)) = (attached.place, &held.document)
    else {
        return Proof::NotOurs;
    };
    match (tag, attached.kind) {
        (LegacyTag::Sbom, AttachedKind::Sbom) => match manifest.layers.as_slice() {
            [one] if SBOM_TYPES.contains(&one.media_type.as_str()) => Proof::Ours,
            _ => Proof::NotOurs,
        },
        (_, AttachedKind::LegacySignatures | AttachedKind::LegacyAttestations) => {
            match names_all(beside, manifest, attached.kind, subject, images).await {
                Ok(true) => Proof::Ours,
                Ok(false) => Proof::NotOurs,
                Err(error) => Proof::Unreadable(Arc::new(error)),
            }
        }
        _ => Proof::NotOurs,
    }
}

/// Returns whether every layer names one of the images, and some layer the subject.
async fn names_all(
    beside: &Origin,
    manifest: &Manifest,
    kind: AttachedKind,
    subject: &Digest,
    images: &HashSet<Digest>,
) -> Result<bool, ContentError> {
    let bytes = manifest
        .layers
        .iter()
        .fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    if manifest.layers.is_empty() || manifest.layers.len() > MAX_LAYERS || bytes > MAX_BYTES {
        return Ok(false);
    }
    let mut some = false;
    for layer in &manifest.layers {
        let named = match kind {
            AttachedKind::LegacySignatures => {
                let content = beside.blob(layer, SIMPLE_SIGNING_LEN as u64).await?;
                SimpleSigning::parse(&content).map(|payload| vec![payload.digest])
            }
            _ => {
                let content = beside.blob(layer, MAX_ENVELOPE).await?;
                StoredEnvelope::parse(&content).map(|stored| {
                    let statement = Statement::parse(&stored.envelope().payload);
                    let subjects = statement.map(|s| s.subjects).unwrap_or_default();
                    subjects.into_iter().flat_map(|s| s.digests).collect()
                })
            }
        };
        let Ok(named) = named else {
            return Ok(false);
        };
        let is_cleaned = |digest: &Digest| digest == subject || images.contains(digest);
        if !named.iter().any(is_cleaned) {
            return Ok(false);
        }
        some |= named.contains(subject);
    }
    Ok(some)
}
