//! Keeping credentials: in a credential helper where docker's `config.json` names one for the registry, else in
//! that file. The file is replaced whole, or not at all, and is the user's alone to read.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::edit::{Change, changed};
use super::file::{AuthFile, FILE_LIMIT, path_of};
use super::helper::Helpers;
use super::{HELPER_TIMEOUT, RegistryAuth, RegistryAuthError, ServerKey};
use crate::crypto::Secret;
use crate::host::files::read_bounded;

/// Times that a change is made anew because somebody else wrote the file meanwhile.
const MAX_TRIES: usize = 5;

/// Where credentials are kept, or were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a credential helper; holds its name without the prefix.
    Helper(String),
    /// In docker's file, which does not encrypt them.
    File(PathBuf),
}

/// Docker's `config.json`, to be changed.
#[derive(Debug)]
pub struct CredentialStore {
    path: PathBuf,
    helpers: Helpers,
}

impl CredentialStore {
    /// Finds docker's file: `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`. It need not exist.
    ///
    /// # Errors
    /// [`RegistryAuthError::NoPlace`] if neither folder is known.
    pub fn from_environment() -> Result<Self, RegistryAuthError> {
        let path = super::docker_config().ok_or(RegistryAuthError::NoPlace)?;
        Ok(CredentialStore {
            path,
            helpers: Helpers::new(None, HELPER_TIMEOUT),
        })
    }

    /// Keeps a user and password for a registry, `host` or `host:port` as in its URL; what was kept for it before
    /// is replaced.
    ///
    /// # Errors
    /// [`RegistryAuthError`]; the file is then as it was.
    pub async fn store(
        &self,
        registry: &str,
        username: &str,
        password: &Secret,
    ) -> Result<Place, RegistryAuthError> {
        let server = ServerKey::new(registry);
        let file = AuthFile::read(&self.path)?;
        let helper = file
            .as_ref()
            .and_then(|file| file.helpers_for(&server, "").next().map(str::to_owned));
        if let Some(name) = helper {
            self.helpers
                .store(&name, &server.sent, username, password)
                .await?;
            // A password in the file would be a second, and older, one.
            let of_registry = |key: &str| path_of(key, &server) == Some("");
            self.change(&Change::Empty(&of_registry))?;
            return Ok(Place::Helper(name));
        }
        let joined = Secret::new(format!("{username}:{}", password.expose()));
        let entry = serde_json::json!({ "auth": STANDARD.encode(joined.expose()) });
        self.change(&Change::Set(&server.sent, &entry))?;
        Ok(Place::File(self.path.clone()))
    }

    /// Forgets a registry, and returns from where.
    ///
    /// # Errors
    /// [`RegistryAuthError`].
    pub async fn erase(&self, registry: &str) -> Result<Vec<Place>, RegistryAuthError> {
        let server = ServerKey::new(registry);
        let mut erased = Vec::new();
        let file = AuthFile::read(&self.path)?;
        for name in file.iter().flat_map(|file| file.helpers_for(&server, "")) {
            if self.helpers.erase(name, &server.sent).await? {
                erased.push(Place::Helper(name.to_owned()));
            }
        }
        let of_registry = |key: &str| path_of(key, &server) == Some("");
        if file.is_some() && self.change(&Change::Remove(&of_registry))? {
            erased.push(Place::File(self.path.clone()));
        }
        Ok(erased)
    }

    /// Returns the first other file that holds credentials for a registry: podman's, or one that the environment
    /// names. They are not changed here.
    pub async fn kept_elsewhere(&self, registry: &str) -> Option<PathBuf> {
        for path in super::podman_files() {
            let found = RegistryAuth::from_files(vec![path.clone()])
                .credential_for(registry, "")
                .await;
            if found.is_ok_and(|credential| !credential.is_anonymous()) {
                return Some(path);
            }
        }
        None
    }

    /// Changes the file; says whether there was anything to change.
    fn change(&self, change: &Change<'_>) -> Result<bool, RegistryAuthError> {
        let unwritable = |source: io::Error| RegistryAuthError::Unwritable {
            path: self.path.clone(),
            cause: source.to_string(),
        };
        let path = followed(&self.path).map_err(unwritable)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        make_folder(folder).map_err(unwritable)?;
        let _turn = Turn::take(folder);
        for _ in 0..MAX_TRIES {
            let before = self.read(&path)?;
            let text = changed(
                before.as_ref().map_or(&[][..], |text| text.as_slice()),
                change,
            )
            .map_err(|e| RegistryAuthError::File {
                path: self.path.clone(),
                cause: format!("not an auth file: line {}, column {}", e.line(), e.column()),
            })?;
            let Some(text) = text else {
                return Ok(false);
            };
            let text = Secret::new(text);
            // Made readable for its owner alone (mode 0600), whatever the old file was.
            let mut temporary = tempfile::Builder::new()
                .prefix(".config.json-")
                .tempfile_in(folder)
                .map_err(unwritable)?;
            temporary
                .write_all(text.expose().as_bytes())
                .map_err(unwritable)?;
            temporary.as_file().sync_all().map_err(unwritable)?;
            // Tools that take no turns may have written meanwhile.
            if self.read(&path)? != before {
                continue;
            }
            temporary.persist(&path).map_err(|e| unwritable(e.error))?;
            return Ok(true);
        }
        Err(unwritable(io::Error::other(
            "somebody else writes it again and again",
        )))
    }

    fn read(&self, path: &Path) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>, RegistryAuthError> {
        if !path.exists() {
            return Ok(None);
        }
        match read_bounded(path, FILE_LIMIT) {
            Ok(text) => Ok(Some(text.into())),
            Err(error) => Err(RegistryAuthError::File {
                path: self.path.clone(),
                cause: error.to_string(),
            }),
        }
    }
}

/// Returns the file behind a link: the link stays, and what it leads to is replaced.
fn followed(path: &Path) -> io::Result<PathBuf> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => std::fs::canonicalize(path),
        _ => Ok(path.to_owned()),
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder)
}

/// A turn at the file among processes of this program: the folder is locked, which leaves nothing behind. Where
/// folders cannot be, nobody waits.
struct Turn {
    _folder: Option<std::fs::File>,
}

impl Turn {
    fn take(folder: &Path) -> Self {
        let folder = std::fs::File::open(folder)
            .ok()
            .filter(|folder| folder.lock().is_ok());
        Turn { _folder: folder }
    }
}

/// Returns what is wrong with a user name that cannot be kept: the file separates it from the password by a colon.
pub fn check_username(username: &str) -> Result<(), &'static str> {
    match username {
        "" => Err("it is empty"),
        name if name.contains(':') => Err("it has a colon"),
        name if name.chars().any(char::is_control) => Err("it has a control character"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
