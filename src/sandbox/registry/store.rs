//! What a sandbox registry holds.

use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind};

use axum::body::Bytes;

use super::{SandboxRegistry, lock};
use crate::crypto::Digest;
use crate::format::oci::{Descriptor, Document};

/// Uploads open at a time in one repository; the oldest is given up for a new one.
const MAX_UPLOADS: usize = 64;

/// All repositories.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) repositories: BTreeMap<String, Repository>,
    next_upload: u64,
    bytes: usize,
    max_bytes: usize,
}

/// One repository.
#[derive(Debug, Default)]
pub(super) struct Repository {
    pub(super) manifests: HashMap<Digest, Stored>,
    pub(super) tags: BTreeMap<String, Digest>,
    pub(super) blobs: HashMap<Digest, Bytes>,
    /// By subject, in the order of arrival.
    pub(super) referrers: HashMap<Digest, Vec<Descriptor>>,
    pub(super) uploads: BTreeMap<u64, Vec<u8>>,
}

/// A manifest as pushed.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) media_type: String,
    pub(super) content: Bytes,
}

impl Store {
    pub(super) fn new(max_bytes: usize) -> Self {
        Store {
            repositories: BTreeMap::new(),
            next_upload: 1,
            bytes: 0,
            max_bytes,
        }
    }

    pub(super) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), Error> {
        let total = self.bytes + bytes;
        if total > self.max_bytes {
            return Err(Error::new(
                ErrorKind::StorageFull,
                format!(
                    "the sandbox registry is limited to {} bytes",
                    self.max_bytes
                ),
            ));
        }
        self.bytes = total;
        Ok(())
    }

    fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(super) fn insert_blob(
        &mut self,
        name: &str,
        digest: Digest,
        content: Bytes,
    ) -> Result<(), Error> {
        if !self.repository(name).blobs.contains_key(&digest) {
            self.reserve(content.len())?;
            self.repository(name).blobs.insert(digest, content);
        }
        Ok(())
    }

    pub(super) fn insert_manifest(
        &mut self,
        name: &str,
        digest: Digest,
        stored: Stored,
    ) -> Result<(), Error> {
        if self.repository(name).manifests.contains_key(&digest) {
            return Ok(());
        }
        self.reserve(stored.content.len())?;
        if let Some((subject, descriptor)) = describe(&digest, &stored) {
            let listed = self.repository(name).referrers.entry(subject).or_default();
            listed.push(descriptor);
        }
        self.repository(name).manifests.insert(digest, stored);
        Ok(())
    }

    /// Removes a manifest with its tags and its place among the referrers.
    pub(super) fn remove_manifest(&mut self, name: &str, digest: &Digest) -> bool {
        let repository = self.repository(name);
        let Some(stored) = repository.manifests.remove(digest) else {
            return false;
        };
        repository.tags.retain(|_, target| target != digest);
        for listed in repository.referrers.values_mut() {
            listed.retain(|descriptor| descriptor.digest != *digest);
        }
        self.release(stored.content.len());
        true
    }

    pub(super) fn remove_blob(&mut self, name: &str, digest: &Digest) -> bool {
        match self.repository(name).blobs.remove(digest) {
            Some(content) => {
                self.release(content.len());
                true
            }
            None => false,
        }
    }

    pub(super) fn begin_upload(&mut self, name: &str) -> u64 {
        let id = self.next_upload;
        self.next_upload += 1;
        let uploads = &mut self.repository(name).uploads;
        let oldest = if uploads.len() >= MAX_UPLOADS {
            uploads.pop_first()
        } else {
            None
        };
        uploads.insert(id, Vec::new());
        self.release(oldest.map_or(0, |(_, bytes)| bytes.len()));
        id
    }

    /// Adds bytes to an upload and returns its length; `None` if there is no such upload.
    pub(super) fn append(
        &mut self,
        name: &str,
        id: u64,
        bytes: &[u8],
    ) -> Result<Option<usize>, Error> {
        if !self.repository(name).uploads.contains_key(&id) {
            return Ok(None);
        }
        self.reserve(bytes.len())?;
        Ok(self.repository(name).uploads.get_mut(&id).map(|upload| {
            upload.extend_from_slice(bytes);
            upload.len()
        }))
    }

    /// Takes an upload out.
    pub(super) fn end_upload(&mut self, name: &str, id: u64) -> Option<Vec<u8>> {
        let upload = self.repository(name).uploads.remove(&id)?;
        self.release(upload.len());
        Some(upload)
    }
}

/// Says how a manifest is listed under its subject (distribution-spec, "Listing Referrers").
fn describe(digest: &Digest, stored: &Stored) -> Option<(Digest, Descriptor)> {
    let (subject, artifact_type, annotations) = match Document::parse(&stored.content).ok()? {
        Document::Manifest(manifest) => (
            manifest.subject?,
            manifest.artifact_type.unwrap_or(manifest.config.media_type),
            manifest.annotations,
        ),
        Document::Index(index) => (
            index.subject?,
            index.artifact_type.unwrap_or_default(),
            index.annotations,
        ),
    };
    Some((
        subject.digest,
        Descriptor {
            digest: *digest,
            annotations,
            artifact_type: Some(artifact_type).filter(|t| !t.is_empty()),
            ..Descriptor::of(&stored.media_type, &stored.content)
        },
    ))
}

impl SandboxRegistry {
    pub(super) fn store_blob(
        &self,
        repository: &str,
        digest: Digest,
        content: Bytes,
    ) -> Result<(), Error> {
        lock(&self.store).insert_blob(repository, digest, content.clone())?;
        match &self.disk {
            Some(disk) => disk.write_blob(repository, &digest, &content),
            None => Ok(()),
        }
    }

    pub(super) fn store_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        digest: Digest,
        content: Bytes,
    ) -> Result<(), Error> {
        let stored = Stored {
            media_type: media_type.to_owned(),
            content,
        };
        // Held over the files too: a tag on disk must not be older than the one in memory.
        let mut store = lock(&self.store);
        store.insert_manifest(repository, digest, stored.clone())?;
        if let Some(tag) = tag {
            let tags = &mut store.repository(repository).tags;
            tags.insert(tag.to_owned(), digest);
        }
        if let Some(disk) = &self.disk {
            disk.write_manifest(repository, &digest, &stored)?;
            if let Some(tag) = tag {
                disk.write_tag(repository, tag, &digest)?;
            }
        }
        Ok(())
    }
}
