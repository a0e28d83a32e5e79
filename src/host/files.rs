//! Files: read with a bound, written whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::crypto::{Digest, HashAlgorithm, Hasher};
use crate::diagnostic::{Diagnostic, Exit};

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file; `-` is standard input.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It is larger than what is read of such files.
    #[error("{path} is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: String,
        /// Bound in bytes.
        limit: u64,
    },
    /// Whoever writes to it did not end.
    #[error("{path} did not end within {seconds} s")]
    TooSlow {
        /// The file; `-` is standard input.
        path: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It is there already.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: String,
    },
    /// It cannot be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnostic for FileError {
    fn code(&self) -> &'static str {
        match self {
            FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "file-not-found"
            }
            FileError::Read { .. } => "file-unreadable",
            FileError::TooLarge { .. } => "file-too-large",
            FileError::TooSlow { .. } => "file-too-slow",
            FileError::Exists { .. } => "file-exists",
            FileError::Write { .. } => "file-unwritable",
        }
    }

    fn exit(&self) -> Exit {
        Exit::File
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            FileError::Read { source, .. } | FileError::Write { source, .. } => {
                vec![("cause", source.to_string())]
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FileError::Exists { .. } => {
                Some("pass --overwrite to replace it, or name another file".to_owned())
            }
            _ => None,
        }
    }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.display().to_string();
    move |source| FileError::Read { path, source }
}

/// Reads a whole file, or standard input for `-`, of at most `limit` bytes.
///
/// # Errors
/// [`FileError::Read`] and [`FileError::TooLarge`].
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(read_error(path))?;
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        bytes.reserve(usize::try_from(len.min(limit)).unwrap_or(0) + 1);
        Box::new(file)
    };
    reader
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(read_error(path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLarge {
            path: path.display().to_string(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads likewise, and waits no longer than `patience` for standard input, a pipe, or anything else that is no
/// regular file.
///
/// # Errors
/// [`FileError::Read`], [`FileError::TooLarge`] and [`FileError::TooSlow`].
pub fn read_bounded_within(
    path: &Path,
    limit: u64,
    patience: Duration,
) -> Result<Vec<u8>, FileError> {
    let is_stdin = path == Path::new("-");
    if !is_stdin && fs::metadata(path).is_ok_and(|metadata| metadata.is_file()) {
        return read_bounded(path, limit);
    }
    // Neither opening nor reading can be called off, so that a thread of its own is left to it.
    let (sender, receiver) = mpsc::channel();
    let owned = path.to_owned();
    std::thread::spawn(move || sender.send(read_bounded(&owned, limit)));
    receiver.recv_timeout(patience).unwrap_or_else(|_| {
        Err(FileError::TooSlow {
            path: path.display().to_string(),
            seconds: patience.as_secs(),
        })
    })
}

/// Finds out that a file can be read, without reading it.
///
/// # Errors
/// [`FileError::Read`]: it is not there, cannot be opened, or is a folder.
pub fn check_readable(path: &Path) -> Result<(), FileError> {
    let file = File::open(path).map_err(read_error(path))?;
    match file.metadata().is_ok_and(|found| found.is_dir()) {
        true => Err(read_error(path)(io::ErrorKind::IsADirectory.into())),
        false => Ok(()),
    }
}

/// Bytes read at a time while hashing: large enough that calls do not count, small enough for the cache.
const CHUNK: usize = 256 * 1024;

/// What hashing a file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// One digest for each algorithm asked for.
    pub digests: Vec<Digest>,
    /// The first bytes, at most [`HEAD`].
    pub head: Vec<u8>,
}

/// Number of first bytes that are kept of a hashed file.
pub const HEAD: usize = 16;

/// Hashes a file, or standard input for `-`, at constant memory.
///
/// # Errors
/// [`FileError::Read`].
pub fn digest(path: &Path, algorithms: &[HashAlgorithm]) -> Result<Hashed, FileError> {
    let mut reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(read_error(path))?)
    };
    let mut hashers: Vec<Hasher> = algorithms
        .iter()
        .map(|algorithm| Hasher::new(*algorithm))
        .collect();
    let mut chunk = vec![0; CHUNK];
    let mut head = Vec::new();
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => {
                let digests = hashers.into_iter().map(Hasher::finish).collect();
                return Ok(Hashed { digests, head });
            }
            Ok(count) => {
                if head.len() < HEAD {
                    head.extend_from_slice(&chunk[..count.min(HEAD - head.len())]);
                }
                hashers
                    .iter_mut()
                    .for_each(|hasher| hasher.update(&chunk[..count]));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(path)(error)),
        }
    }
}

/// An output file that was found to be writable before anything was done. Written whole by
/// [`OutputFile::write`], or never.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    overwrite: bool,
    temporary: tempfile::NamedTempFile,
}

impl OutputFile {
    /// Prepares to write a file: its folder takes files, and the file itself is not there, unless it may
    /// be overwritten.
    ///
    /// # Errors
    /// [`FileError::Exists`] and [`FileError::Write`].
    pub fn prepare(path: &Path, overwrite: bool) -> Result<Self, FileError> {
        let shown = || path.display().to_string();
        let write_error = |source| FileError::Write {
            path: shown(),
            source,
        };
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(write_error(io::Error::other("it is a folder")));
            }
            Ok(_) if !overwrite => return Err(FileError::Exists { path: shown() }),
            _ => {}
        }
        if path.file_name().is_none() {
            return Err(write_error(io::Error::other("it names no file")));
        }
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".keyless-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // As any new file: the user's umask decides.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let temporary = builder.tempfile_in(folder).map_err(write_error)?;
        Ok(OutputFile {
            path: path.to_owned(),
            overwrite,
            temporary,
        })
    }

    /// Returns where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether another output would be the same file, however its path is written.
    pub fn is_same_place(&self, other: &OutputFile) -> bool {
        let folder = |file: &OutputFile| {
            let folder = file.temporary.path().parent()?;
            fs::canonicalize(folder).ok()
        };
        self.path.file_name() == other.path.file_name() && folder(self) == folder(other)
    }

    /// Writes the content and puts the file in place.
    ///
    /// # Errors
    /// [`FileError::Exists`] if it has appeared meanwhile; [`FileError::Write`].
    pub fn write(mut self, content: &[u8]) -> Result<(), FileError> {
        let path = self.path.display().to_string();
        let write_error = |source| FileError::Write {
            path: path.clone(),
            source,
        };
        self.temporary.write_all(content).map_err(write_error)?;
        self.temporary.as_file().sync_all().map_err(write_error)?;
        if self.overwrite {
            self.temporary
                .persist(&self.path)
                .map_err(|e| write_error(e.error))?;
        } else {
            self.temporary
                .persist_noclobber(&self.path)
                .map_err(|e| match e.error.kind() {
                    io::ErrorKind::AlreadyExists => FileError::Exists { path: path.clone() },
                    _ => write_error(e.error),
                })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        drop(OutputFile::prepare(&path, false).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        OutputFile::prepare(&path, false)
            .unwrap()
            .write(b"one")
            .unwrap();
        assert_eq!(
            OutputFile::prepare(&path, false).unwrap_err().code(),
            "file-exists"
        );
        OutputFile::prepare(&path, true)
            .unwrap()
            .write(b"two")
            .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let nowhere = dir.path().join("no/such/folder");
        assert_eq!(
            OutputFile::prepare(&nowhere, false).unwrap_err().code(),
            "file-unwritable"
        );
        assert_eq!(
            OutputFile::prepare(dir.path(), true).unwrap_err().code(),
            "file-unwritable"
        );
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let output = OutputFile::prepare(&path, false).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert_eq!(output.write(b"ours").unwrap_err().code(), "file-exists");
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn reading_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in");
        fs::write(&path, [7; 100]).unwrap();
        assert_eq!(read_bounded(&path, 100).unwrap().len(), 100);
        assert_eq!(
            read_bounded(&path, 99).unwrap_err().code(),
            "file-too-large"
        );
        assert_eq!(
            read_bounded(&dir.path().join("no"), 9).unwrap_err().code(),
            "file-not-found"
        );
        let within = |limit| read_bounded_within(&path, limit, Duration::ZERO);
        assert_eq!(within(100).unwrap().len(), 100);
        assert_eq!(within(99).unwrap_err().code(), "file-too-large");
        let hashed = digest(&path, &[HashAlgorithm::Sha256, HashAlgorithm::Sha512]).unwrap();
        assert_eq!(hashed.head, [7; HEAD]);
        let found = hashed.digests;
        assert_eq!(found[0], Digest::sha256(&[7; 100]));
        assert_eq!(found[1], HashAlgorithm::Sha512.digest(&[7; 100]));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = dir.path().join(name);
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            assert!(made.unwrap().success());
            path
        };
        // Nobody writes to it, so that even opening it takes for ever.
        let silent = make("silent");
        let error = read_bounded_within(&silent, 9, Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.code(), "file-too-slow");
        let pipe = make("pipe");
        let writer = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::write(pipe, "what it says")
        });
        let bytes = read_bounded_within(&pipe, 12, Duration::from_secs(60)).unwrap();
        assert_eq!(bytes, b"what it says");
        writer.join().unwrap().unwrap();
    }
}
