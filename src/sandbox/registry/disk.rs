//! A sandbox registry's folder: one file per object, read whole at the start.
//!
//! Under `repositories/<name>/`: `_manifests/<algorithm>-<hex>` (media type, line feed, content),
//! `_blobs/<algorithm>-<hex>`, `_tags/<tag>` (the digest). Names of repositories have no component
//! that begins with an underscore.

use std::fs;
use std::io::{Error, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use axum::body::Bytes;

use super::store::{Store, Stored};
use crate::crypto::Digest;

/// Deepest nesting of repository names that is read.
const MAX_DEPTH: usize = 32;

/// The folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Opens a folder, made if needed, and reads it into a store.
    pub(super) fn open(dir: &Path, store: &mut Store) -> Result<Self, Error> {
        let root = dir.join("repositories");
        fs::create_dir_all(&root)?;
        read_folder(&root, "", store, 0)?;
        Ok(Disk { root })
    }

    pub(super) fn write_blob(
        &self,
        repository: &str,
        digest: &Digest,
        content: &[u8],
    ) -> Result<(), Error> {
        self.write(repository, "_blobs", &file_name(digest), content)
    }

    pub(super) fn write_manifest(
        &self,
        repository: &str,
        digest: &Digest,
        stored: &Stored,
    ) -> Result<(), Error> {
        let content = [stored.media_type.as_bytes(), b"\n", &stored.content].concat();
        self.write(repository, "_manifests", &file_name(digest), &content)
    }

    pub(super) fn write_tag(
        &self,
        repository: &str,
        tag: &str,
        digest: &Digest,
    ) -> Result<(), Error> {
        self.write(repository, "_tags", tag, digest.to_string().as_bytes())
    }

    /// Removes a file; one that is not there is no fault.
    pub(super) fn remove(&self, repository: &str, kind: &str, name: &str) -> Result<(), Error> {
        match fs::remove_file(self.root.join(repository).join(kind).join(name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Writes a file as a whole: a reader, or a crash, never meets half of it.
    fn write(&self, repository: &str, kind: &str, name: &str, content: &[u8]) -> Result<(), Error> {
        let folder = self.root.join(repository).join(kind);
        fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(content)?;
        file.persist(folder.join(name)).map_err(|e| e.error)?;
        Ok(())
    }
}

/// Returns the file name of a digest; a colon is not allowed everywhere.
pub(super) fn file_name(digest: &Digest) -> String {
    digest.to_string().replacen(':', "-", 1)
}

fn read_folder(folder: &Path, name: &str, store: &mut Store, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(foreign(folder));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let own = entry.file_name();
        let own = own.to_str().ok_or_else(|| foreign(&path))?;
        match own {
            "_blobs" | "_manifests" | "_tags" if !name.is_empty() => {
                for file in fs::read_dir(&path)? {
                    read_file(own, &file?.path(), name, store)?;
                }
            }
            _ if own.starts_with('_') => return Err(foreign(&path)),
            _ => {
                let name = if name.is_empty() {
                    own.to_owned()
                } else {
                    format!("{name}/{own}")
                };
                read_folder(&path, &name, store, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn read_file(kind: &str, path: &Path, repository: &str, store: &mut Store) -> Result<(), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| foreign(path))?;
    if name.starts_with(".tmp") {
        return Ok(()); // left by a crash while writing
    }
    let content = fs::read(path)?;
    if kind == "_tags" {
        let digest = std::str::from_utf8(&content)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| foreign(path))?;
        let tags = &mut store.repository(repository).tags;
        tags.insert(name.to_owned(), digest);
        return Ok(());
    }
    let digest: Digest = name
        .replacen('-', ":", 1)
        .parse()
        .map_err(|_| foreign(path))?;
    let (media_type, content) = if kind == "_manifests" {
        let end = content.iter().position(|b| *b == b'\n');
        let end = end.ok_or_else(|| foreign(path))?;
        let media_type = String::from_utf8(content[..end].to_vec()).map_err(|_| foreign(path))?;
        (media_type, Bytes::from(content[end + 1..].to_vec()))
    } else {
        (String::new(), Bytes::from(content))
    };
    if digest.algorithm().digest(&content) != digest {
        return Err(foreign(path));
    }
    if kind == "_manifests" {
        let stored = Stored {
            media_type,
            content,
        };
        store.insert_manifest(repository, digest, stored)
    } else {
        store.insert_blob(repository, digest, content)
    }
}

fn foreign(path: &Path) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("{} is not a file of a sandbox registry", path.display()),
    )
}
