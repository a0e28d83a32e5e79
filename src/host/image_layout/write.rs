//! An OCI image layout, written: blobs first, each whole or not at all, and `index.json` last.
//!
//! Until `index.json` is there, the folder is no layout; a run that was interrupted is taken up where it was.
//! No link in the folder is followed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::folder::{Folder, OpenFault};
use super::{LayoutError, within};
use crate::crypto::{Digest, HashAlgorithm, Hasher};
use crate::format::limits;
use crate::format::oci::{
    Descriptor, LAYOUT_BLOBS, LAYOUT_INDEX, LAYOUT_MARKER, LAYOUT_MARKER_BYTES, encode_layout_index,
};

/// Bytes read at a time while hashing.
const PIECE: usize = 256 * 1024;

/// A layout being written.
#[derive(Debug)]
pub struct LayoutWriter {
    path: PathBuf,
    folder: Folder,
    /// Blobs that belong to the image, written or found.
    kept: HashSet<Digest>,
    overwrite: bool,
}

/// A blob being written; dropped before [`LayoutWriter::finish_blob`] it leaves nothing but a temporary file,
/// which the next run removes.
#[derive(Debug)]
pub struct NewBlob {
    blob: Descriptor,
    file: File,
    temporary: String,
    hasher: Hasher,
    written: u64,
}

impl LayoutWriter {
    /// Begins a layout in a folder that is not there, is empty, holds an unfinished layout, or, to overwrite it,
    /// a finished one.
    ///
    /// # Errors
    /// [`LayoutError::NotEmpty`], [`LayoutError::NotAFile`] for a link where a folder should be,
    /// [`LayoutError::Write`].
    pub fn begin(path: &Path, overwrite: bool) -> Result<Self, LayoutError> {
        let shown = path.display().to_string();
        let write_error = |source| LayoutError::Write {
            path: shown.clone(),
            source,
        };
        std::fs::create_dir_all(path).map_err(write_error)?;
        let folder = Folder::open(path).map_err(|fault| match fault {
            OpenFault::Missing | OpenFault::NotAFile => {
                write_error(io::Error::other("it is no folder"))
            }
            OpenFault::Io(source) => write_error(source),
        })?;
        let writer = LayoutWriter {
            path: path.to_owned(),
            folder,
            kept: HashSet::new(),
            overwrite,
        };
        let names = writer.names(&[])?;
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        let not_empty = |is_layout| LayoutError::NotEmpty {
            path: shown.clone(),
            is_layout,
        };
        let ours = [LAYOUT_MARKER, LAYOUT_INDEX, LAYOUT_BLOBS];
        let is_ours = |name: &String| ours.contains(&name.as_str()) || is_temporary(name);
        if !names.iter().all(is_ours) {
            return Err(not_empty(false));
        }
        if has(LAYOUT_INDEX) && !overwrite {
            return Err(not_empty(true));
        }
        writer.make(&[], LAYOUT_BLOBS)?;
        writer.make(&[LAYOUT_BLOBS], HashAlgorithm::Sha256.name())?;
        writer.sweep(&[], &names)?;
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let folders = [LAYOUT_BLOBS, algorithm.name()];
            if let Ok(names) = writer.names(&folders) {
                writer.sweep(&folders, &names)?;
            }
        }
        Ok(writer)
    }

    /// Returns the folder as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether a blob is there already, by size and digest; it then belongs to the image.
    ///
    /// # Errors
    /// [`LayoutError::Read`].
    pub fn holds(&mut self, blob: &Descriptor) -> Result<bool, LayoutError> {
        if self.kept.contains(&blob.digest) {
            return Ok(true);
        }
        let (folders, name) = place(&blob.digest);
        let Ok(mut file) = self.folder.file(&folders, &name) else {
            return Ok(false);
        };
        let read_error = |source| LayoutError::Read {
            path: self
                .path
                .join(within(&folders, &name))
                .display()
                .to_string(),
            source,
        };
        if file.metadata().map_err(read_error)?.len() != blob.size {
            return Ok(false);
        }
        let mut hasher = Hasher::new(blob.digest.algorithm());
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => hasher.update(&piece[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(read_error(source)),
            }
        }
        let same = hasher.finish() == blob.digest;
        if same {
            self.kept.insert(blob.digest);
        }
        Ok(same)
    }

    /// Begins to write a blob.
    ///
    /// # Errors
    /// [`LayoutError::Write`].
    pub fn begin_blob(&self, blob: &Descriptor) -> Result<NewBlob, LayoutError> {
        let (folders, name) = place(&blob.digest);
        self.make(&[LAYOUT_BLOBS], folders[1])?;
        let temporary = temporary(&name);
        let file = self
            .folder
            .create(&folders, &temporary)
            .map_err(|fault| self.fault(&folders, &temporary, fault))?;
        Ok(NewBlob {
            blob: blob.clone(),
            file,
            temporary,
            hasher: Hasher::new(blob.digest.algorithm()),
            written: 0,
        })
    }

    /// Puts a blob in its place, once its size and digest are found to be as described.
    ///
    /// # Errors
    /// [`LayoutError::SizeMismatch`], [`LayoutError::DigestMismatch`], [`LayoutError::Write`]; nothing is in
    /// place then.
    pub fn finish_blob(&mut self, new: NewBlob) -> Result<(), LayoutError> {
        let (folders, name) = place(&new.blob.digest);
        let found = new.hasher.finish();
        let refused = if new.written != new.blob.size {
            Some(LayoutError::SizeMismatch {
                digest: Box::new(new.blob.digest),
                expected: new.blob.size,
                found: new.written,
            })
        } else if found != new.blob.digest {
            Some(LayoutError::DigestMismatch {
                expected: Box::new(new.blob.digest),
                found: Box::new(found),
            })
        } else {
            None
        };
        if let Some(error) = refused {
            let _ = self.folder.remove(&folders, &new.temporary);
            return Err(error);
        }
        self.put_in_place(&folders, &new.file, &new.temporary, &name)?;
        self.kept.insert(new.blob.digest);
        Ok(())
    }

    /// Writes a blob that is in memory, unless it is there.
    ///
    /// # Errors
    /// As [`LayoutWriter::finish_blob`].
    pub fn put(&mut self, blob: &Descriptor, content: &[u8]) -> Result<(), LayoutError> {
        if self.holds(blob)? {
            return Ok(());
        }
        let mut new = self.begin_blob(blob)?;
        self.append(&mut new, content)?;
        self.finish_blob(new)
    }

    /// Adds bytes to a blob being written.
    ///
    /// # Errors
    /// [`LayoutError::Write`].
    pub fn append(&self, new: &mut NewBlob, piece: &[u8]) -> Result<(), LayoutError> {
        new.hasher.update(piece);
        new.written += piece.len() as u64;
        let (folders, _) = place(&new.blob.digest);
        new.file
            .write_all(piece)
            .map_err(|source| self.write_error(&folders, &new.temporary, source))
    }

    /// Writes the list of the layout, which makes it one. Blobs of what was there before go after that.
    ///
    /// # Errors
    /// [`LayoutError::Write`].
    pub fn finish(self, entries: &[Descriptor]) -> Result<(), LayoutError> {
        let index = encode_layout_index(entries);
        for (name, content) in [
            (LAYOUT_MARKER, LAYOUT_MARKER_BYTES),
            (LAYOUT_INDEX, index.as_slice()),
        ] {
            let temporary = temporary(name);
            let mut file = self
                .folder
                .create(&[], &temporary)
                .map_err(|fault| self.fault(&[], &temporary, fault))?;
            file.write_all(content)
                .map_err(|source| self.write_error(&[], &temporary, source))?;
            self.put_in_place(&[], &file, &temporary, name)?;
        }
        if self.overwrite {
            self.remove_others()?;
        }
        Ok(())
    }

    /// Removes blobs that do not belong to the image. What has no name of a blob is not touched.
    fn remove_others(&self) -> Result<(), LayoutError> {
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let folders = [LAYOUT_BLOBS, algorithm.name()];
            let Ok(names) = self.names(&folders) else {
                continue;
            };
            for name in names {
                let digest: Option<Digest> = format!("{}:{name}", algorithm.name()).parse().ok();
                if digest.is_some_and(|digest| !self.kept.contains(&digest)) {
                    self.folder
                        .remove(&folders, &name)
                        .map_err(|fault| self.fault(&folders, &name, fault))?;
                }
            }
        }
        Ok(())
    }

    fn put_in_place(
        &self,
        folders: &[&str],
        file: &File,
        temporary: &str,
        name: &str,
    ) -> Result<(), LayoutError> {
        file.sync_all()
            .map_err(|source| self.write_error(folders, temporary, source))?;
        self.folder
            .rename(folders, temporary, name)
            .map_err(|fault| self.fault(folders, name, fault))
    }

    /// Removes what an interrupted run left.
    fn sweep(&self, folders: &[&str], names: &[String]) -> Result<(), LayoutError> {
        for name in names.iter().filter(|name| is_temporary(name)) {
            match self.folder.remove(folders, name) {
                Ok(()) | Err(OpenFault::Missing) => {}
                Err(fault) => return Err(self.fault(folders, name, fault)),
            }
        }
        Ok(())
    }

    fn make(&self, folders: &[&str], name: &str) -> Result<(), LayoutError> {
        self.folder
            .make(folders, name)
            .map_err(|fault| self.fault(folders, name, fault))
    }

    fn names(&self, folders: &[&str]) -> Result<Vec<String>, LayoutError> {
        let names = self
            .folder
            .names(folders, limits::LAYOUT_FILES)
            .map_err(|fault| self.fault(folders, "", fault))?;
        if names.len() > limits::LAYOUT_FILES {
            return Err(LayoutError::TooMany {
                what: "files",
                limit: limits::LAYOUT_FILES,
            });
        }
        Ok(names)
    }

    fn fault(&self, folders: &[&str], name: &str, fault: OpenFault) -> LayoutError {
        match fault {
            OpenFault::NotAFile => LayoutError::NotAFile {
                what: within(folders, name),
            },
            OpenFault::Missing => {
                self.write_error(folders, name, io::Error::from(io::ErrorKind::NotFound))
            }
            OpenFault::Io(source) => self.write_error(folders, name, source),
        }
    }

    fn write_error(&self, folders: &[&str], name: &str, source: io::Error) -> LayoutError {
        LayoutError::Write {
            path: self.path.join(within(folders, name)).display().to_string(),
            source,
        }
    }
}

fn place(digest: &Digest) -> ([&'static str; 2], String) {
    ([LAYOUT_BLOBS, digest.algorithm().name()], digest.hex())
}

/// Name of a file that is not whole yet. One program writes to a folder at a time.
fn temporary(name: &str) -> String {
    format!(".keyless-{name}-{}.part", std::process::id())
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(".keyless-") && name.ends_with(".part")
}
