//! Where a sandbox keeps keys and logs: in memory, or in a directory so that a restart continues.
//!
//! Secrets are files of mode 0600. A log is one file of records, each with its length and a checksum,
//! synced before the entry is answered; what a crash left half-written at the end is dropped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::crypto::Digest;

use super::error::SandboxError;

/// Keys, certificates, ports and logs of one sandbox.
pub(super) struct Store {
    dir: Option<PathBuf>,
    /// Held for as long as the sandbox runs.
    _lock: Option<File>,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> SandboxError + '_ {
    move |source| SandboxError::File {
        path: path.to_owned(),
        source,
    }
}

impl Store {
    /// Opens a directory, made where it is missing, or a store that forgets.
    pub(super) fn open(dir: Option<&Path>) -> Result<Self, SandboxError> {
        let Some(dir) = dir else {
            return Ok(Store {
                dir: None,
                _lock: None,
            });
        };
        let state = dir.join("state");
        std::fs::create_dir_all(&state).map_err(file_error(&state))?;
        let path = state.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(file_error(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SandboxError::Locked {
                    path: dir.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(file_error(&path)(source)),
        }
        Ok(Store {
            dir: Some(state),
            _lock: Some(lock),
        })
    }

    /// Returns the text kept under a name; makes and keeps it the first time.
    pub(super) fn text(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Zeroizing<String>, SandboxError>,
    ) -> Result<Zeroizing<String>, SandboxError> {
        if let Some(text) = self.read(name)? {
            return Ok(text);
        }
        let text = make()?;
        self.write(name, &text)?;
        Ok(text)
    }

    /// Returns the text kept under a name.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, SandboxError> {
        let Some(path) = self.dir.as_ref().map(|dir| dir.join(name)) else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path)(error)),
        }
    }

    /// Keeps a text under a name.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), SandboxError> {
        match &self.dir {
            Some(dir) => write_file(&dir.join(name), text.as_bytes(), Access::Owner),
            None => Ok(()),
        }
    }

    /// Returns the directory kept under a name.
    pub(super) fn dir(&self, name: &str) -> Option<PathBuf> {
        self.dir.as_ref().map(|dir| dir.join(name))
    }

    /// Says that what is kept under a name cannot be used.
    pub(super) fn damaged(&self, name: &str, reason: &'static str) -> SandboxError {
        SandboxError::Damaged {
            path: self.dir.as_deref().unwrap_or(Path::new("")).join(name),
            reason,
        }
    }

    /// Opens a log and returns it with the records it holds.
    pub(super) fn log(&self, name: &str) -> Result<(RecordLog, Vec<Vec<u8>>), SandboxError> {
        match &self.dir {
            None => Ok((RecordLog { file: None }, Vec::new())),
            Some(dir) => RecordLog::open(dir.join(name)),
        }
    }
}

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The owner only.
    Owner,
    /// Everyone.
    World,
}

/// Writes a file whole or not at all.
pub(super) fn write_file(path: &Path, bytes: &[u8], access: Access) -> Result<(), SandboxError> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let write = || {
        // Created with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        #[cfg(unix)]
        if access == Access::World {
            use std::os::unix::fs::PermissionsExt as _;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(file_error(path))
}

/// An append-only file of records: `u32be length ‖ first 8 bytes of SHA-256 ‖ record`.
pub(super) struct RecordLog {
    file: Option<(PathBuf, File)>,
}

const HEADER: usize = 12;

fn checksum(record: &[u8]) -> [u8; 8] {
    let digest = Digest::sha256(record);
    digest.as_bytes()[..8]
        .try_into()
        .expect("a SHA-256 digest has more than 8 bytes")
}

impl RecordLog {
    fn open(path: PathBuf) -> Result<(Self, Vec<Vec<u8>>), SandboxError> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(file_error(&path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(file_error(&path))?;
        let mut records = Vec::new();
        let mut rest = &bytes[..];
        while let Some((header, after)) = rest.split_first_chunk::<HEADER>() {
            let len = u32::from_be_bytes(*header.first_chunk().expect("a header has 4 bytes"));
            let len = usize::try_from(len).expect("usize has at least 32 bits");
            let Some((record, after)) = after.split_at_checked(len) else {
                break;
            };
            if checksum(record) != header[4..] {
                // A write cut short shows at the end of the file, as a short or zero-filled record.
                if after.is_empty() || rest.iter().all(|byte| *byte == 0) {
                    break;
                }
                return Err(SandboxError::Damaged {
                    path,
                    reason: "a record in the middle of the log has another checksum",
                });
            }
            records.push(record.to_vec());
            rest = after;
        }
        let good = bytes.len() - rest.len();
        if !rest.is_empty() {
            let keep = u64::try_from(good).expect("a file length fits u64");
            file.set_len(keep)
                .and_then(|()| file.sync_all())
                .map_err(file_error(&path))?;
        }
        file.seek(SeekFrom::End(0)).map_err(file_error(&path))?;
        Ok((
            RecordLog {
                file: Some((path, file)),
            },
            records,
        ))
    }

    /// Appends a record; it is on disk when this returns. After a failed write the end of the file is
    /// put back, so that the next append does not follow half a record.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), SandboxError> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        let mut append = || {
            let end = file.stream_position()?;
            let len = u32::try_from(record.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            let mut framed = Vec::with_capacity(HEADER + record.len());
            framed.extend_from_slice(&len.to_be_bytes());
            framed.extend_from_slice(&checksum(record));
            framed.extend_from_slice(record);
            let written = file.write_all(&framed).and_then(|()| file.sync_data());
            if written.is_err() {
                file.set_len(end)?;
                file.seek(SeekFrom::Start(end))?;
            }
            written
        };
        append().map_err(file_error(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic as _;

    fn log_of(dir: &Path, records: &[&[u8]]) -> PathBuf {
        let store = Store::open(Some(dir)).unwrap();
        let (mut log, _) = store.log("log").unwrap();
        for record in records {
            log.append(record).unwrap();
        }
        dir.join("state/log")
    }

    fn reopen(dir: &Path) -> Result<Vec<Vec<u8>>, SandboxError> {
        Store::open(Some(dir))?
            .log("log")
            .map(|(_, records)| records)
    }

    #[test]
    fn a_log_is_continued_and_a_torn_end_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = log_of(dir.path(), &[b"one", b"two"]);
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..=HEADER + 2 {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(reopen(dir.path()).unwrap(), [b"one".to_vec()], "{cut}");
        }
        std::fs::write(&path, [&whole[..], &[0; 20]].concat()).unwrap();
        assert_eq!(reopen(dir.path()).unwrap().len(), 2, "zero-filled end");
        log_of(dir.path(), &[b"three"]);
        assert_eq!(reopen(dir.path()).unwrap()[2], b"three");
    }

    #[test]
    fn a_changed_record_in_the_middle_is_not_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = log_of(dir.path(), &[b"one", b"two"]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEADER] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(reopen(dir.path()).unwrap_err().code(), "sandbox-damaged");
    }

    #[test]
    fn one_sandbox_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Store::open(Some(dir.path())).unwrap();
        let second = Store::open(Some(dir.path()));
        assert_eq!(second.err().unwrap().code(), "sandbox-locked");
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_the_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path())).unwrap();
        let made = store.text("key", || Ok(Zeroizing::new("secret".to_owned())));
        let kept = store.text("key", || Ok(Zeroizing::new("other".to_owned())));
        assert_eq!(*made.unwrap(), *kept.unwrap());
        let mode = std::fs::metadata(dir.path().join("state/key")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}
