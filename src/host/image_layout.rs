//! An OCI image layout on disk, read: images, what is attached to them, and the bytes of both.
//!
//! A layout comes from somewhere else, so nothing in it is believed: no link is followed, within the folder
//! or out of it; names of files come from digests that were parsed; sizes and counts are bounded; every
//! digest is recomputed over the bytes read. A hard link is only another name: its content must have the
//! digest like any other's.
//!
//! What refers to an image is found as each writer leaves it: in `index.json` (oras, `keyless save`), or
//! unlisted among the blobs (`cosign save`). What it is worth is judged elsewhere.

mod contents;
mod folder;
mod write;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;

use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::limits;
use crate::format::oci::{
    ANNOTATION_CONTENT, ANNOTATION_PREDICATE_TYPE, Descriptor, Document, LAYOUT_BLOBS,
    LAYOUT_INDEX, LAYOUT_MARKER, LayoutKind, LegacyTag, OCI_INDEX, OCI_MANIFEST, OciError,
    check_layout_marker, parse_layout_index,
};
use crate::host::files::read_past;
use contents::too_many_bytes;
pub use contents::{LayoutContents, LayoutImage};
use folder::{Folder, OpenFault};
pub use write::{LayoutWriter, NewBlob};

/// Why a layout, or something in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The folder is no image layout.
    #[error("{path} is no OCI image layout")]
    NotALayout {
        /// The folder.
        path: String,
        /// What is missing or wrong.
        cause: String,
    },
    /// It lists something that it does not hold.
    #[error("the image layout does not hold {what}")]
    Missing {
        /// File within the layout, or digest.
        what: String,
    },
    /// A link, a device, or a folder where a file should be.
    #[error("{what} of the image layout is no regular file")]
    NotAFile {
        /// File within the layout.
        what: String,
    },
    /// The bytes do not have the digest in their name.
    #[error("content of the image layout does not match its digest")]
    DigestMismatch {
        /// The digest in the name.
        expected: Box<Digest>,
        /// The digest of the bytes.
        found: Box<Digest>,
    },
    /// The length differs from the descriptor's.
    #[error("size of {digest} does not match its descriptor")]
    SizeMismatch {
        /// Which object.
        digest: Box<Digest>,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The size found.
        found: u64,
    },
    /// It is no manifest or index.
    #[error("unusable {what} in the image layout")]
    Document {
        /// File within the layout, or digest.
        what: String,
        /// What is wrong with it.
        cause: OciError,
    },
    /// It is larger than it may be; nothing of it is used.
    #[error("{what} of the image layout exceeds {limit} bytes")]
    TooLarge {
        /// File within the layout, or digest.
        what: String,
        /// The cap in bytes.
        limit: u64,
    },
    /// There are more than are looked at.
    #[error("the image layout has more than {limit} {what}")]
    TooMany {
        /// What kind of object.
        what: &'static str,
        /// The cap.
        limit: usize,
    },
    /// Another list of images stands beside `index.json`.
    #[error("{what} beside index.json is another list of images, and they are not judged")]
    OtherList {
        /// The file.
        what: &'static str,
    },
    /// The folder has something else in it, or another image.
    #[error("{path} is not empty")]
    NotEmpty {
        /// The folder.
        path: String,
        /// Whether it is a layout, which may be written anew.
        is_layout: bool,
    },
    /// The system refuses to write.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// What it said.
        source: io::Error,
    },
    /// The system refuses.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: String,
        /// What it said.
        source: io::Error,
    },
}

impl Diagnostic for LayoutError {
    fn code(&self) -> &'static str {
        match self {
            LayoutError::NotALayout { .. } => "layout-missing",
            LayoutError::Missing { .. } => "layout-object-missing",
            LayoutError::NotAFile { .. } => "layout-link-refused",
            LayoutError::DigestMismatch { .. } => "layout-digest-mismatch",
            LayoutError::SizeMismatch { .. } => "layout-size-mismatch",
            LayoutError::Document { .. } => "layout-document-unusable",
            LayoutError::TooLarge { .. } => "layout-object-too-large",
            LayoutError::TooMany { .. } => "layout-too-many",
            LayoutError::OtherList { .. } => "layout-other-list",
            LayoutError::NotEmpty { .. } => "layout-exists",
            LayoutError::Write { .. } => "file-unwritable",
            LayoutError::Read { .. } => "file-unreadable",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            LayoutError::DigestMismatch { .. } | LayoutError::SizeMismatch { .. } => {
                Exit::ContentMismatch
            }
            LayoutError::Document { .. } => Exit::Malformed,
            _ => Exit::File,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            LayoutError::NotALayout { cause, .. } => vec![("cause", cause.clone())],
            LayoutError::Document { cause, .. } => vec![("cause", cause.to_string())],
            LayoutError::DigestMismatch { expected, found } => vec![
                ("expected", expected.to_string()),
                ("found", found.to_string()),
            ],
            LayoutError::SizeMismatch {
                expected, found, ..
            } => vec![
                ("expected", format!("{expected} bytes")),
                ("found", format!("{found} bytes")),
            ],
            LayoutError::Read { source, .. } | LayoutError::Write { source, .. } => {
                vec![("cause", source.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            LayoutError::NotALayout { .. } => {
                Some("keyless save IMAGE --dir FOLDER writes one".to_owned())
            }
            LayoutError::NotEmpty { is_layout, .. } => Some(match is_layout {
                true => "pass --overwrite to put this image in its place, or name another folder"
                    .to_owned(),
                false => "name a folder that is empty, or is not there yet".to_owned(),
            }),
            LayoutError::OtherList { .. } => Some(
                "docker load, and skopeo's and podman's dir:, read it in place of index.json: take the file out of \
                 the folder"
                    .to_owned(),
            ),
            LayoutError::NotAFile { .. } => {
                Some("nothing is read through links; copy the layout with its content".to_owned())
            }
            _ => None,
        }
    }
}

/// A manifest or index whose bytes have the digest in its descriptor.
#[derive(Debug, Clone)]
pub struct LayoutManifest {
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// The parsed document.
    pub document: Document,
    /// The bytes as they lie there.
    pub bytes: Bytes,
}

/// What refers to one digest in a layout.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LayoutReferrers {
    /// Each digest once: first those that `index.json` lists, in its order. Artifact type and annotations are
    /// those of the manifest itself, as far as they say whether it is worth reading.
    pub descriptors: Vec<Descriptor>,
    /// There are more than [`limits::LAYOUT_REFERRERS`]; those beyond are left out.
    pub cut: bool,
}

/// Bytes of an annotation or artifact type that is kept of each referrer.
const HINT_LEN: usize = 1024;

/// A layout. Reading one object does not read the others; what refers to what is looked up once.
#[derive(Debug)]
pub struct ImageLayout {
    path: PathBuf,
    folder: Folder,
    entries: Vec<Descriptor>,
    referrers: OnceLock<HashMap<Digest, LayoutReferrers>>,
}

impl ImageLayout {
    /// Opens a folder, checks that it is a layout, and reads its list.
    ///
    /// # Errors
    /// [`LayoutError::NotALayout`]; [`LayoutError::Document`] for an unusable `index.json`;
    /// [`LayoutError::NotAFile`], [`LayoutError::TooLarge`], [`LayoutError::Read`].
    pub fn open(path: &Path) -> Result<Self, LayoutError> {
        let shown = path.display().to_string();
        let no_layout = |cause: String| LayoutError::NotALayout {
            path: shown.clone(),
            cause,
        };
        let folder = Folder::open(path).map_err(|fault| match fault {
            OpenFault::Missing => no_layout("there is no such folder".to_owned()),
            OpenFault::NotAFile => no_layout("it is no folder".to_owned()),
            OpenFault::Io(source) => LayoutError::Read {
                path: shown.clone(),
                source,
            },
        })?;
        let mut layout = ImageLayout {
            path: path.to_owned(),
            folder,
            entries: Vec::new(),
            referrers: OnceLock::new(),
        };
        let text = |name: &str| match layout.read(&[], name, limits::LAYOUT_INDEX_LEN as u64) {
            Err(LayoutError::Missing { what }) => Err(no_layout(format!("it has no {what}"))),
            other => other,
        };
        check_layout_marker(&text(LAYOUT_MARKER)?).map_err(|cause| no_layout(cause.to_string()))?;
        let entries =
            parse_layout_index(&text(LAYOUT_INDEX)?).map_err(|cause| LayoutError::Document {
                what: LAYOUT_INDEX.to_owned(),
                cause,
            })?;
        layout.entries = entries;
        Ok(layout)
    }

    /// Returns the folder as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the entries of `index.json`.
    pub fn entries(&self) -> &[Descriptor] {
        &self.entries
    }

    /// Returns the legacy signatures, attestations or SBOM of a digest: the entry with the tag, or, for the one
    /// image of the layout, what cosign marks as its own.
    pub fn legacy(&self, subject: &Digest, tag: LegacyTag) -> Option<&Descriptor> {
        let name = tag.tag(subject);
        let tagged = |entry: &&Descriptor| self.name_of(entry) == Some(name.as_str());
        if let Some(entry) = self.entries.iter().find(tagged) {
            return Some(entry);
        }
        let kind = match tag {
            LegacyTag::Signatures => LayoutKind::Signatures,
            LegacyTag::Attestations => LayoutKind::Attestations,
            LegacyTag::Sbom => return None,
        };
        let of = |entry: &&Descriptor, kinds: &[LayoutKind]| {
            LayoutKind::of(entry).is_some_and(|kind| kinds.contains(&kind))
        };
        let images = [LayoutKind::Image, LayoutKind::Index];
        let mut images = self.entries.iter().filter(|entry| of(entry, &images));
        let only = images.next().filter(|_| images.next().is_none())?;
        if only.digest != *subject {
            return None;
        }
        let mut marked = self.entries.iter().filter(|entry| of(entry, &[kind]));
        marked.find(|entry| {
            // One that has a tag is another digest's.
            self.name_of(entry).is_none()
        })
    }

    /// Reads a manifest or index.
    ///
    /// # Errors
    /// [`LayoutError::Missing`], [`LayoutError::DigestMismatch`], [`LayoutError::Document`],
    /// [`LayoutError::TooLarge`] beyond [`limits::LAYOUT_MANIFEST_LEN`], [`LayoutError::NotAFile`],
    /// [`LayoutError::Read`].
    pub fn manifest(&self, digest: &Digest) -> Result<LayoutManifest, LayoutError> {
        let bytes = self.blob(digest, limits::LAYOUT_MANIFEST_LEN as u64)?;
        let document = Document::parse(&bytes).map_err(|cause| LayoutError::Document {
            what: digest.to_string(),
            cause,
        })?;
        let media_type = match (document.media_type(), &document) {
            (Some(stated), _) => stated.to_owned(),
            (None, Document::Manifest(_)) => OCI_MANIFEST.to_owned(),
            (None, Document::Index(_)) => OCI_INDEX.to_owned(),
        };
        Ok(LayoutManifest {
            descriptor: Descriptor {
                digest: *digest,
                ..Descriptor::of(&media_type, &bytes)
            },
            document,
            bytes,
        })
    }

    /// Reads a manifest that something else lists; its size must be as listed.
    ///
    /// # Errors
    /// As [`ImageLayout::manifest`], and [`LayoutError::SizeMismatch`].
    pub fn listed_manifest(&self, listed: &Descriptor) -> Result<LayoutManifest, LayoutError> {
        let manifest = self.manifest(&listed.digest)?;
        same_size(listed, manifest.descriptor.size)?;
        Ok(manifest)
    }

    /// Reads a blob of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`ImageLayout::manifest`], without [`LayoutError::Document`].
    pub fn blob(&self, digest: &Digest, limit: u64) -> Result<Bytes, LayoutError> {
        let (algorithm, hex) = (digest.algorithm(), digest.hex());
        let bytes = self.read(&[LAYOUT_BLOBS, algorithm.name()], &hex, limit)?;
        let found = algorithm.digest(&bytes);
        if found != *digest {
            return Err(LayoutError::DigestMismatch {
                expected: Box::new(*digest),
                found: Box::new(found),
            });
        }
        Ok(bytes.into())
    }

    /// Opens a blob for reading piece by piece; its size must be as described. The caller recomputes the
    /// digest.
    ///
    /// # Errors
    /// [`LayoutError::Missing`], [`LayoutError::SizeMismatch`], [`LayoutError::NotAFile`],
    /// [`LayoutError::Read`].
    pub fn open_blob(&self, blob: &Descriptor) -> Result<File, LayoutError> {
        let folders = [LAYOUT_BLOBS, blob.digest.algorithm().name()];
        let hex = blob.digest.hex();
        let file = self.open_file(&folders, &hex)?;
        let metadata = file
            .metadata()
            .map_err(|source| self.read_error(&folders, &hex, source))?;
        same_size(blob, metadata.len())?;
        Ok(file)
    }

    /// Returns what refers to a digest. The first call looks through `index.json` and the blobs.
    ///
    /// Files that are no manifests, and manifests that do not have the digest in their name, are passed over.
    ///
    /// # Errors
    /// [`LayoutError::TooMany`] beyond [`limits::LAYOUT_FILES`] and [`limits::LAYOUT_MANIFESTS_LEN`],
    /// [`LayoutError::Read`].
    pub fn referrers_of(&self, subject: &Digest) -> Result<LayoutReferrers, LayoutError> {
        let all = match self.referrers.get() {
            Some(all) => all,
            None => {
                let found = self.find_referrers()?;
                self.referrers.get_or_init(|| found)
            }
        };
        Ok(all.get(subject).cloned().unwrap_or_default())
    }

    fn find_referrers(&self) -> Result<HashMap<Digest, LayoutReferrers>, LayoutError> {
        let mut all: HashMap<Digest, LayoutReferrers> = HashMap::new();
        let mut seen = HashSet::new();
        let mut spent = 0;
        let mut consider = |digest: Digest| -> Result<(), LayoutError> {
            if !seen.insert(digest) {
                return Ok(());
            }
            if let Some((subject, descriptor)) = self.subject_of(&digest, &mut spent)? {
                let referrers = all.entry(subject).or_default();
                if referrers.descriptors.len() >= limits::LAYOUT_REFERRERS {
                    referrers.cut = true;
                } else {
                    referrers.descriptors.push(descriptor);
                }
            }
            Ok(())
        };
        for entry in &self.entries {
            consider(entry.digest)?;
        }
        for digest in self.blobs()? {
            consider(digest)?;
        }
        Ok(all)
    }

    /// Returns the digests of all blobs, as their names say, in the order of their names. Files of other
    /// names are passed over.
    ///
    /// # Errors
    /// [`LayoutError::TooMany`], [`LayoutError::Read`].
    pub fn blobs(&self) -> Result<Vec<Digest>, LayoutError> {
        let mut digests = Vec::new();
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let folders = [LAYOUT_BLOBS, algorithm.name()];
            let names = match self.folder.names(&folders, limits::LAYOUT_FILES) {
                Ok(names) => names,
                Err(OpenFault::Missing) => continue,
                Err(fault) => return Err(self.fault(&[LAYOUT_BLOBS], algorithm.name(), fault)),
            };
            if names.len() > limits::LAYOUT_FILES {
                return Err(LayoutError::TooMany {
                    what: "blobs",
                    limit: limits::LAYOUT_FILES,
                });
            }
            let named = |name: &String| -> Option<Digest> {
                format!("{}:{name}", algorithm.name()).parse().ok()
            };
            digests.extend(names.iter().filter_map(named));
        }
        Ok(digests)
    }

    /// Tells what a manifest refers to, and how a list of referrers describes it; `None` for what is no
    /// manifest or refers to nothing.
    fn subject_of(
        &self,
        digest: &Digest,
        spent: &mut u64,
    ) -> Result<Option<(Digest, Descriptor)>, LayoutError> {
        let bytes = match self.json_blob(digest) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(
                LayoutError::TooLarge { .. }
                | LayoutError::NotAFile { .. }
                | LayoutError::Missing { .. },
            ) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        *spent = spent.saturating_add(bytes.len() as u64);
        if *spent > limits::LAYOUT_MANIFESTS_LEN {
            return Err(too_many_bytes());
        }
        let Ok(document) = Document::parse(&bytes) else {
            return Ok(None);
        };
        if digest.algorithm().digest(&bytes) != *digest {
            return Ok(None);
        }
        let (subject, artifact_type, annotations, media_type) = match document {
            Document::Manifest(manifest) => (
                manifest.subject,
                manifest.artifact_type.or(Some(manifest.config.media_type)),
                manifest.annotations,
                manifest
                    .media_type
                    .unwrap_or_else(|| OCI_MANIFEST.to_owned()),
            ),
            Document::Index(index) => (
                index.subject,
                index.artifact_type,
                index.annotations,
                index.media_type.unwrap_or_else(|| OCI_INDEX.to_owned()),
            ),
        };
        Ok(subject.map(|subject| {
            let descriptor = Descriptor {
                digest: *digest,
                artifact_type: artifact_type.filter(|t| !t.is_empty() && t.len() <= HINT_LEN),
                annotations: hints(annotations),
                ..Descriptor::of(&media_type, &bytes)
            };
            (subject.digest, descriptor)
        }))
    }

    /// Reads a blob that begins like a JSON object; layers are left alone after their first byte.
    fn json_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LayoutError> {
        let folders = [LAYOUT_BLOBS, digest.algorithm().name()];
        let name = digest.hex();
        let mut file = self.open_file(&folders, &name)?;
        let mut bytes = vec![0; 1];
        let read_error = |source| self.read_error(&folders, &name, source);
        if file.read(&mut bytes).map_err(read_error)? == 0 || !b"{ \t\r\n".contains(&bytes[0]) {
            return Ok(None);
        }
        let limit = limits::LAYOUT_MANIFEST_LEN as u64;
        file.take(limit)
            .read_to_end(&mut bytes)
            .map_err(read_error)?;
        Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= limit))
    }

    fn read(&self, folders: &[&str], name: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let file = self.open_file(folders, name)?;
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let bytes = read_past(file, length, limit)
            .map_err(|source| self.read_error(folders, name, source))?;
        if bytes.len() as u64 > limit {
            return Err(LayoutError::TooLarge {
                what: within(folders, name),
                limit,
            });
        }
        Ok(bytes)
    }

    fn open_file(&self, folders: &[&str], name: &str) -> Result<File, LayoutError> {
        let opened = self.folder.file(folders, name);
        opened.map_err(|fault| self.fault(folders, name, fault))
    }

    fn fault(&self, folders: &[&str], name: &str, fault: OpenFault) -> LayoutError {
        let what = within(folders, name);
        match fault {
            OpenFault::Missing => LayoutError::Missing { what },
            OpenFault::NotAFile => LayoutError::NotAFile { what },
            OpenFault::Io(source) => self.read_error(folders, name, source),
        }
    }

    fn read_error(&self, folders: &[&str], name: &str, source: io::Error) -> LayoutError {
        let path = self.path.join(within(folders, name));
        LayoutError::Read {
            path: path.display().to_string(),
            source,
        }
    }
}

/// Keeps what tells a bundle's kind. The rest may be megabytes, and whoever wants it reads the manifest.
fn hints(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|name, value| {
        [ANNOTATION_CONTENT, ANNOTATION_PREDICATE_TYPE].contains(&name.as_str())
            && value.len() <= HINT_LEN
    });
    annotations
}

fn within(folders: &[&str], name: &str) -> String {
    let mut parts = folders.to_vec();
    parts.push(name);
    parts.join("/")
}

fn same_size(descriptor: &Descriptor, found: u64) -> Result<(), LayoutError> {
    if found == descriptor.size {
        return Ok(());
    }
    Err(LayoutError::SizeMismatch {
        digest: Box::new(descriptor.digest),
        expected: descriptor.size,
        found,
    })
}

/// Returns whether a name is a legacy tag or a fallback tag, which belong to another digest.
fn is_attached_name(name: &str) -> bool {
    let (algorithm, rest) = name.split_once('-').unwrap_or_default();
    let hex = LegacyTag::ALL
        .iter()
        .find_map(|tag| rest.strip_suffix(tag.suffix()))
        .unwrap_or(rest);
    HashAlgorithm::from_name(algorithm).is_some()
        && hex.len() >= 64
        && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests;
