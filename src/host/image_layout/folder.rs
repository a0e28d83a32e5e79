//! A folder whose files are opened without following any link, so that nothing outside it is ever read.

use std::fs::File;
use std::io;
use std::path::Path;

/// Why a file of the folder was not opened.
#[derive(Debug)]
pub(super) enum OpenFault {
    /// There is no such file.
    Missing,
    /// It, or a folder on the way to it, is a link, a device, or anything else than what is expected.
    NotAFile,
    /// The system refuses.
    Io(io::Error),
}

impl From<io::Error> for OpenFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => OpenFault::Missing,
            // What `O_NOFOLLOW` says of a link, and `O_DIRECTORY` of what is no folder.
            io::ErrorKind::NotADirectory => OpenFault::NotAFile,
            _ if is_loop(&error) => OpenFault::NotAFile,
            _ => OpenFault::Io(error),
        }
    }
}

#[cfg(unix)]
fn is_loop(error: &io::Error) -> bool {
    // FreeBSD says EMLINK.
    use rustix::io::Errno;
    let code = error.raw_os_error();
    code == Some(Errno::LOOP.raw_os_error()) || code == Some(Errno::MLINK.raw_os_error())
}

#[cfg(not(unix))]
fn is_loop(_: &io::Error) -> bool {
    false
}

/// The folder, held open: renaming or replacing it changes nothing for whoever reads.
#[derive(Debug)]
pub(super) struct Folder {
    #[cfg(unix)]
    root: rustix::fd::OwnedFd,
    #[cfg(not(unix))]
    root: std::path::PathBuf,
}

#[cfg(unix)]
impl Folder {
    /// Opens the folder. Its own path may have links in it: the user wrote it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenFault> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from)?;
        Ok(Folder { root })
    }

    fn folder(&self, names: &[&str]) -> Result<rustix::fd::OwnedFd, OpenFault> {
        use rustix::fs::{Mode, OFlags, openat};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut at = self.root.try_clone()?;
        for name in names {
            at = openat(&at, *name, flags, Mode::empty()).map_err(io::Error::from)?;
        }
        Ok(at)
    }

    /// Opens a regular file by the names on the way to it.
    pub(super) fn file(&self, folders: &[&str], name: &str) -> Result<File, OpenFault> {
        use rustix::fs::{Mode, OFlags, openat};
        let folder = self.folder(folders)?;
        // Opening a pipe would wait for whoever writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&folder, name, flags, Mode::empty()).map_err(io::Error::from)?;
        regular(File::from(opened))
    }

    /// Makes a folder, unless it is there.
    pub(super) fn make(&self, folders: &[&str], name: &str) -> Result<(), OpenFault> {
        use rustix::fs::{Mode, mkdirat};
        match mkdirat(self.folder(folders)?, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        // What is there may be a link.
        let mut all = folders.to_vec();
        all.push(name);
        self.folder(&all).map(|_| ())
    }

    /// Makes a new file; one of that name must not be there.
    pub(super) fn create(&self, folders: &[&str], name: &str) -> Result<File, OpenFault> {
        use rustix::fs::{Mode, OFlags, openat};
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = self.folder(folders)?;
        let opened = openat(&folder, name, flags, Mode::from_raw_mode(0o666));
        Ok(File::from(opened.map_err(io::Error::from)?))
    }

    /// Gives a file another name, in the place of whatever has it; a link of that name is replaced, not
    /// followed.
    pub(super) fn rename(&self, folders: &[&str], from: &str, to: &str) -> Result<(), OpenFault> {
        let folder = self.folder(folders)?;
        rustix::fs::renameat(&folder, from, &folder, to).map_err(io::Error::from)?;
        Ok(())
    }

    /// Removes a file, or a link itself.
    pub(super) fn remove(&self, folders: &[&str], name: &str) -> Result<(), OpenFault> {
        use rustix::fs::{AtFlags, unlinkat};
        unlinkat(self.folder(folders)?, name, AtFlags::empty()).map_err(io::Error::from)?;
        Ok(())
    }

    /// Lists the names in a folder, sorted, at most `limit` and one more.
    pub(super) fn names(&self, folders: &[&str], limit: usize) -> Result<Vec<String>, OpenFault> {
        let folder = self.folder(folders)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder).map_err(io::Error::from)? {
            let entry = entry.map_err(io::Error::from)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
            if names.len() > limit {
                break;
            }
        }
        names.sort();
        Ok(names)
    }
}

#[cfg(not(unix))]
impl Folder {
    /// Opens the folder. Its own path may have links in it: the user wrote it.
    pub(super) fn open(path: &Path) -> Result<Self, OpenFault> {
        if !std::fs::metadata(path)?.is_dir() {
            return Err(OpenFault::NotAFile);
        }
        Ok(Folder {
            root: path.to_owned(),
        })
    }

    fn folder(&self, names: &[&str]) -> Result<std::path::PathBuf, OpenFault> {
        let mut at = self.root.clone();
        for name in names {
            at.push(name);
            if !std::fs::symlink_metadata(&at)?.is_dir() {
                return Err(OpenFault::NotAFile);
            }
        }
        Ok(at)
    }

    /// Opens a regular file by the names on the way to it.
    pub(super) fn file(&self, folders: &[&str], name: &str) -> Result<File, OpenFault> {
        let path = self.folder(folders)?.join(name);
        if !std::fs::symlink_metadata(&path)?.is_file() {
            return Err(OpenFault::NotAFile);
        }
        regular(File::open(path)?)
    }

    /// Makes a folder, unless it is there.
    pub(super) fn make(&self, folders: &[&str], name: &str) -> Result<(), OpenFault> {
        match std::fs::create_dir(self.folder(folders)?.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let mut all = folders.to_vec();
        all.push(name);
        self.folder(&all).map(|_| ())
    }

    /// Makes a new file; one of that name must not be there.
    pub(super) fn create(&self, folders: &[&str], name: &str) -> Result<File, OpenFault> {
        Ok(File::create_new(self.folder(folders)?.join(name))?)
    }

    /// Gives a file another name, in the place of whatever has it.
    pub(super) fn rename(&self, folders: &[&str], from: &str, to: &str) -> Result<(), OpenFault> {
        let folder = self.folder(folders)?;
        Ok(std::fs::rename(folder.join(from), folder.join(to))?)
    }

    /// Removes a file, or a link itself.
    pub(super) fn remove(&self, folders: &[&str], name: &str) -> Result<(), OpenFault> {
        Ok(std::fs::remove_file(self.folder(folders)?.join(name))?)
    }

    /// Lists the names in a folder, sorted, at most `limit` and one more.
    pub(super) fn names(&self, folders: &[&str], limit: usize) -> Result<Vec<String>, OpenFault> {
        let folder = std::fs::read_dir(self.folder(folders)?)?;
        let mut names = Vec::new();
        for entry in folder.take(limit.saturating_add(1)) {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

fn regular(file: File) -> Result<File, OpenFault> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(OpenFault::NotAFile),
    }
}
