//! What a layout is about: every image that a tool may take out of it, whatever the list says of its entries.
//!
//! Tools go by different marks. skopeo and oras take an entry by `org.opencontainers.image.ref.name`, containerd by
//! a name of its own, crane and `ctr image import` take all of them, cosign the first with its `kind`. So no
//! mark leaves an entry out. An entry is passed over only if its own manifest shows that it is something attached
//! to an image which nothing can run, and if no name lets a tool take it for an image.

use std::collections::HashSet;

use super::{ImageLayout, LayoutError, LayoutManifest, OpenFault, is_attached_name};
use crate::format::limits;
use crate::format::oci::{
    ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME, DOCKER_LIST, DOCKER_MANIFEST, Descriptor,
    Document, LayoutKind, Manifest, OCI_INDEX, OCI_MANIFEST, OciError,
};

/// Lists of images beside `index.json` that other tools read in its place: `docker load`, and skopeo's and podman's
/// `dir:`.
const OTHER_LISTS: [&str; 2] = ["manifest.json", "repositories"];
/// Config types of container images.
const IMAGE_CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// An image or index that a layout is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutImage {
    /// The entry of `index.json`.
    pub descriptor: Descriptor,
    /// Its tag, where it has one.
    pub name: Option<String>,
}

/// Everything that a tool may take out of a layout.
#[derive(Debug, Default)]
pub struct LayoutContents {
    /// Images and indexes in the order of `index.json`; each digest once for each name.
    pub images: Vec<LayoutImage>,
    /// What may be an image and cannot be looked at, and why.
    pub unusable: Vec<(String, LayoutError)>,
}

impl ImageLayout {
    /// Looks at every entry of `index.json`, and for other lists beside it.
    ///
    /// # Errors
    /// [`LayoutError::TooMany`], where looking would take too much.
    pub fn contents(&self) -> Result<LayoutContents, LayoutError> {
        let mut contents = LayoutContents::default();
        let mut seen = HashSet::new();
        let mut spent = 0;
        for entry in &self.entries {
            let name = self.name_of(entry);
            if !seen.insert((entry.digest, entry.size, name)) {
                continue;
            }
            match self.is_image(entry, &mut spent) {
                Ok(true) => contents.images.push(LayoutImage {
                    descriptor: entry.clone(),
                    name: name.map(str::to_owned),
                }),
                Ok(false) => {}
                Err(error @ LayoutError::TooMany { .. }) => return Err(error),
                Err(error) => contents.unusable.push((entry.digest.to_string(), error)),
            }
        }
        for name in OTHER_LISTS {
            if !matches!(self.folder.file(&[], name), Err(OpenFault::Missing)) {
                let what = name.to_owned();
                let error = LayoutError::OtherList { what: name };
                contents.unusable.push((what, error));
            }
        }
        Ok(contents)
    }

    /// Returns the images and indexes that `index.json` lists.
    ///
    /// # Errors
    /// As [`ImageLayout::listed_manifest`], for an entry that cannot be read.
    pub fn images(&self) -> Result<Vec<LayoutImage>, LayoutError> {
        let contents = self.contents()?;
        let unusable = contents.unusable.into_iter().map(|(_, error)| error);
        let mut entries = unusable.filter(|error| !matches!(error, LayoutError::OtherList { .. }));
        match entries.next() {
            Some(error) => Err(error),
            None => Ok(contents.images),
        }
    }

    /// Tells whether a tool may take an entry for an image.
    fn is_image(&self, entry: &Descriptor, spent: &mut u64) -> Result<bool, LayoutError> {
        let found = self.looked_at(entry, spent)?;
        let name = self.name_of(entry);
        let is_named = name.is_some_and(|name| !is_attached_name(name))
            || entry.annotations.contains_key(ANNOTATION_CONTAINERD_NAME);
        if is_named {
            return Ok(true);
        }
        let is_attached = match &found.document {
            Document::Manifest(manifest) => {
                let kind = LayoutKind::of(entry);
                let is_said = matches!(
                    kind,
                    Some(LayoutKind::Signatures | LayoutKind::Attestations)
                );
                (name.is_some() || is_said || manifest.subject.is_some()) && cannot_run(manifest)
            }
            // The list of what refers to an image, as it stands under the fallback tag.
            Document::Index(index) if name.is_some() => {
                let mut all = true;
                for child in &index.manifests {
                    let child = self.looked_at(child, spent)?;
                    all &= matches!(&child.document, Document::Manifest(manifest)
                        if manifest.subject.is_some() && cannot_run(manifest));
                }
                all
            }
            Document::Index(_) => false,
        };
        Ok(!is_attached)
    }

    /// Reads what an entry points to. What it is must be what the entry says: tools choose their reader by that.
    fn looked_at(
        &self,
        entry: &Descriptor,
        spent: &mut u64,
    ) -> Result<LayoutManifest, LayoutError> {
        *spent = spent.saturating_add(entry.size.min(limits::LAYOUT_MANIFEST_LEN as u64));
        if *spent > limits::LAYOUT_MANIFESTS_LEN {
            return Err(too_many_bytes());
        }
        let found = self.listed_manifest(entry)?;
        let (expected, allowed) = match &found.document {
            Document::Manifest(_) => ("a manifest", [OCI_MANIFEST, DOCKER_MANIFEST]),
            Document::Index(_) => ("an index", [OCI_INDEX, DOCKER_LIST]),
        };
        if !allowed.contains(&entry.media_type.as_str()) {
            return Err(LayoutError::Document {
                what: entry.digest.to_string(),
                cause: OciError::MediaType {
                    expected,
                    found: entry.media_type.chars().take(160).collect(),
                },
            });
        }
        Ok(found)
    }

    pub(super) fn name_of<'a>(&self, entry: &'a Descriptor) -> Option<&'a str> {
        let name = entry.annotations.get(ANNOTATION_REF_NAME)?;
        Some(name.as_str())
    }
}

/// The error for more manifests than are looked through.
pub(super) fn too_many_bytes() -> LayoutError {
    LayoutError::TooMany {
        what: "bytes of manifests",
        limit: limits::LAYOUT_MANIFESTS_LEN as usize,
    }
}

/// Returns whether nothing can run what a manifest holds: texts alone, or nothing and no image's config. What an
/// artifact type says of it is not asked, because what runs images does not ask either.
fn cannot_run(manifest: &Manifest) -> bool {
    let is_text = |media_type: &str| {
        media_type.starts_with("text/")
            || media_type == "application/cose"
            || ["+json", "/json", "+xml", "/xml"]
                .iter()
                .any(|end| media_type.ends_with(end))
    };
    match manifest.layers.as_slice() {
        [] => !IMAGE_CONFIGS.contains(&manifest.config.media_type.as_str()),
        layers => layers.iter().all(|layer| is_text(&layer.media_type)),
    }
}
