//! Registry credentials this machine keeps: auth files of docker and podman, credential helpers.
//!
//! Nothing is read before a registry asks for credentials. A credential is found for one host by
//! exact comparison, never by prefix or substring; where it may be sent is decided in
//! `net::registry::auth`. Only [`store`] writes.

mod edit;
mod file;
mod helper;
pub mod store;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oci_distribution::Reference;
use tokio::sync::OnceCell;

use crate::crypto::Secret;
use crate::diagnostic::{Diagnostic, Exit};
use file::AuthFile;
use helper::Helpers;

/// What a registry accepts as proof of who asks.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    Anonymous,
    /// User name and password.
    Basic {
        /// User name.
        username: String,
        /// Password or access token.
        password: Secret,
    },
    /// An OAuth 2 refresh token, exchanged at the registry's token service.
    IdentityToken(Secret),
    /// A bearer token, sent as it is.
    RegistryToken(Secret),
}

impl Credential {
    /// Returns whether there is anything to send.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Credential::Anonymous)
    }
}

/// Where credentials come from; cheap to clone.
#[derive(Debug, Clone)]
pub struct RegistryAuth(Arc<Source>);

#[derive(Debug)]
enum Source {
    Explicit(Credential),
    /// For one registry, by `host` or `host:port`; for all others, what follows.
    Only(String, Credential, RegistryAuth),
    Files {
        paths: Vec<PathBuf>,
        helpers: Helpers,
        read: OnceCell<Vec<AuthFile>>,
    },
}

/// Why stored credentials cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryAuthError {
    /// The file exists but cannot be read, is too large, or is not the JSON it should be.
    #[error("unreadable registry auth file {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The file cannot be written.
    #[error("registry auth file {} cannot be written", path.display())]
    Unwritable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// There is no folder for docker's file.
    #[error("no folder for docker's config.json is known")]
    NoPlace,
    /// `auth` is not base64 of `user:password`.
    #[error("malformed credentials for {key} in {}", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// The key of the entry.
        key: String,
    },
    /// The name in `credHelpers` or `credsStore` would not name a program in the usual way.
    #[error("credential helper name {name:?} is not allowed")]
    HelperName {
        /// The name as given.
        name: String,
    },
    /// The helper cannot be run, or failed.
    #[error("credential helper docker-credential-{name} gave no answer")]
    Helper {
        /// Name without the prefix.
        name: String,
        /// What it said, or what the system said.
        cause: String,
    },
    /// The helper took too long and was ended.
    #[error("credential helper docker-credential-{name} did not answer within {seconds} s")]
    HelperTimedOut {
        /// Name without the prefix.
        name: String,
        /// The limit.
        seconds: u64,
    },
}

impl Diagnostic for RegistryAuthError {
    fn code(&self) -> &'static str {
        match self {
            RegistryAuthError::File { .. } => "registry-auth-file-unreadable",
            RegistryAuthError::Unwritable { .. } => "registry-auth-file-unwritable",
            RegistryAuthError::NoPlace => "registry-auth-file-nowhere",
            RegistryAuthError::Entry { .. } => "registry-auth-entry-malformed",
            RegistryAuthError::HelperName { .. } => "credential-helper-name-refused",
            RegistryAuthError::Helper { .. } => "credential-helper-failed",
            RegistryAuthError::HelperTimedOut { .. } => "credential-helper-timed-out",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            RegistryAuthError::File { .. }
            | RegistryAuthError::Unwritable { .. }
            | RegistryAuthError::NoPlace
            | RegistryAuthError::Entry { .. }
            | RegistryAuthError::HelperName { .. } => Exit::File,
            RegistryAuthError::Helper { .. } | RegistryAuthError::HelperTimedOut { .. } => {
                Exit::Denied
            }
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            RegistryAuthError::File { cause, .. }
            | RegistryAuthError::Unwritable { cause, .. }
            | RegistryAuthError::Helper { cause, .. } => {
                vec![("cause", cause.clone())]
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RegistryAuthError::NoPlace => Some("set HOME or DOCKER_CONFIG".to_owned()),
            RegistryAuthError::HelperName { .. } => {
                Some("a helper name has letters, digits, - and _ only".to_owned())
            }
            RegistryAuthError::Helper { .. } | RegistryAuthError::HelperTimedOut { .. } => Some(
                "install the helper, remove it from the auth file, or set DOCKER_CONFIG to a \
                 folder with another config.json"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Longest run of a credential helper. Some ask a cloud service, or the person at the keyboard.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

impl RegistryAuth {
    /// Uses no credentials.
    pub fn anonymous() -> Self {
        RegistryAuth::explicit(Credential::Anonymous)
    }

    /// Uses a credential for one registry, `host` or `host:port` as in its URL, and something else for all others.
    pub fn only_for(registry: &str, credential: Credential, others: RegistryAuth) -> Self {
        RegistryAuth(Arc::new(Source::Only(
            registry.to_ascii_lowercase(),
            credential,
            others,
        )))
    }

    /// Uses one credential for every registry.
    pub fn explicit(credential: Credential) -> Self {
        RegistryAuth(Arc::new(Source::Explicit(credential)))
    }

    /// Uses the files of the environment, the first that knows a host winning:
    /// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, `$REGISTRY_AUTH_FILE`,
    /// `$XDG_RUNTIME_DIR/containers/auth.json`. Only the variables are read now.
    pub fn from_environment() -> Self {
        let paths = docker_config().into_iter().chain(podman_files()).collect();
        RegistryAuth::from_files(paths)
    }

    /// Uses auth files in this order; files that do not exist are passed over.
    pub fn from_files(paths: Vec<PathBuf>) -> Self {
        RegistryAuth::with_helpers(paths, Helpers::new(None, HELPER_TIMEOUT))
    }

    fn with_helpers(paths: Vec<PathBuf>, helpers: Helpers) -> Self {
        RegistryAuth(Arc::new(Source::Files {
            paths,
            helpers,
            read: OnceCell::new(),
        }))
    }

    /// Finds the credential for a repository of a registry; `registry` is `host` or `host:port` as
    /// in its URL. Within one file: `credHelpers`, then `credsStore`, then `auths`.
    ///
    /// # Errors
    /// [`RegistryAuthError`] if a file or helper that should answer cannot: going on without
    /// credentials would only hide the reason.
    pub async fn credential_for(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Credential, RegistryAuthError> {
        let (paths, helpers, read) = match &*self.0 {
            Source::Explicit(credential) => return Ok(credential.clone()),
            Source::Only(own, credential, _) if registry.eq_ignore_ascii_case(own) => {
                return Ok(credential.clone());
            }
            Source::Only(_, _, others) => {
                return Box::pin(others.credential_for(registry, repository)).await;
            }
            Source::Files {
                paths,
                helpers,
                read,
            } => (paths, helpers, read),
        };
        let files = read
            .get_or_try_init(|| async {
                paths
                    .iter()
                    .filter_map(|path| AuthFile::read(path).transpose())
                    .collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let server = ServerKey::new(registry);
        for file in files {
            for name in file.helpers_for(&server, repository) {
                let found = helpers.get(name, &server.sent).await?;
                if !found.is_anonymous() {
                    return Ok(found);
                }
            }
            let found = file.entry_for(&server, repository)?;
            if !found.is_anonymous() {
                return Ok(found);
            }
        }
        Ok(Credential::Anonymous)
    }
}

fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn docker_config() -> Option<PathBuf> {
    let folder = variable("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".docker")).filter(|path| path.is_absolute()));
    folder.map(|folder| folder.join("config.json"))
}

fn podman_files() -> impl Iterator<Item = PathBuf> {
    let named = variable("REGISTRY_AUTH_FILE").map(PathBuf::from);
    let runtime = variable("XDG_RUNTIME_DIR")
        .map(|folder| PathBuf::from(folder).join("containers/auth.json"));
    [named, runtime].into_iter().flatten()
}

/// How a registry is called in auth files and towards helpers.
struct ServerKey {
    /// Hosts whose entries apply, lower case: the registry's own; for Docker Hub its three names.
    hosts: Vec<String>,
    /// What a helper is asked for.
    sent: String,
}

impl ServerKey {
    fn new(registry: &str) -> Self {
        let host = registry.to_ascii_lowercase();
        let hub = docker_hub();
        let aliases = [
            hub.clone(),
            format!("index.{hub}"),
            format!("registry-1.{hub}"),
        ];
        if aliases.contains(&host) {
            ServerKey {
                // The name docker itself files the hub under.
                sent: format!("https://index.{hub}/v1/"),
                hosts: aliases.into(),
            }
        } else {
            ServerKey {
                sent: host.clone(),
                hosts: vec![host],
            }
        }
    }
}

/// The registry of references that name none, as the reference parser knows it.
fn docker_hub() -> String {
    "image"
        .parse::<Reference>()
        .map(|reference| reference.registry().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hub_goes_by_three_names() {
        let hub = docker_hub();
        let key = ServerKey::new(&format!("INDEX.{hub}"));
        assert_eq!(key.sent, format!("https://index.{hub}/v1/"));
        assert_eq!(key.hosts.len(), 3);
        assert_eq!(
            ServerKey::new("Registry.example.test:5000").hosts,
            ["registry.example.test:5000"]
        );
        assert_eq!(ServerKey::new(&format!("evil-{hub}")).hosts.len(), 1);
    }

    #[tokio::test]
    async fn one_registrys_credential_is_no_others() {
        let token = |text: &str| Credential::RegistryToken(Secret::new(text.to_owned()));
        let others = RegistryAuth::explicit(token("theirs"));
        let auth = RegistryAuth::only_for("R.example.test:5000", token("ours"), others);
        let found = async |registry: &str| match auth.credential_for(registry, "a").await {
            Ok(Credential::RegistryToken(token)) => token.expose().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(found("r.example.test:5000").await, "ours");
        assert_eq!(found("r.EXAMPLE.test:5000").await, "ours");
        for other in [
            "r.example.test",
            "r.example.test:443",
            "r.example.test:50000",
            "r.example.test:5000.evil.test",
            "sub.r.example.test:5000",
            "example.test:5000",
        ] {
            assert_eq!(found(other).await, "theirs", "{other}");
        }
    }

    #[tokio::test]
    async fn files_are_asked_in_order_and_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let first = write(
            "a.json",
            r#"{"auths":{"one.example.test":{"registrytoken":"1"}}}"#,
        );
        let second = write(
            "b.json",
            r#"{"auths":{"one.example.test":{"registrytoken":"2"},"two.example.test":{"registrytoken":"2"}}}"#,
        );
        let auth = RegistryAuth::from_files(vec![folder.path().join("none.json"), first, second]);
        let token = async |registry: &str| match auth.credential_for(registry, "a").await.unwrap() {
            Credential::RegistryToken(token) => token.expose().to_owned(),
            other => format!("{other:?}"),
        };
        assert_eq!(token("one.example.test").await, "1");
        assert_eq!(token("two.example.test").await, "2");
        assert_eq!(token("three.example.test").await, "Anonymous");

        let broken = write("c.json", "{");
        let auth = RegistryAuth::from_files(vec![broken]);
        let error = auth
            .credential_for("one.example.test", "a")
            .await
            .unwrap_err();
        assert_eq!(error.code(), "registry-auth-file-unreadable");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn helpers_come_before_entries_and_know_nothing_quietly() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = folder.path().join(format!("docker-credential-{name}"));
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        script(
            "knows",
            "#!/bin/sh\nread -r host\nprintf '{\"ServerURL\":\"%s\",\"Username\":\"%s\",\"Secret\":\"s\"}' \"$host\" \"$host-$1\"\n",
        );
        script(
            "token",
            "#!/bin/sh\ncat >/dev/null\necho '{\"Username\":\"<token>\",\"Secret\":\"refresh\"}'\n",
        );
        script(
            "empty",
            "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n",
        );
        script("fails", "#!/bin/sh\necho 'no session bus' >&2\nexit 1\n");
        script(
            "floods",
            "#!/bin/sh\nwhile :; do echo 0123456789012345678901234567890123456789; done\n",
        );
        script("hangs", "#!/bin/sh\nexec sleep 60\n");
        let path = folder.path().join("config.json");
        std::fs::write(
            &path,
            r#"{"credHelpers":{"knows.example.test":"knows","token.example.test":"token",
                "fails.example.test":"fails","floods.example.test":"floods","hangs.example.test":"hangs",
                "absent.example.test":"absent","name.example.test":"../x"},
                "credsStore":"empty",
                "auths":{"knows.example.test":{"registrytoken":"entry"},"entry.example.test":{"registrytoken":"entry"}}}"#,
        )
        .unwrap();
        let auth = RegistryAuth::with_helpers(
            vec![path],
            Helpers::new(Some(folder.path().to_owned()), Duration::from_millis(1500)),
        );
        let Credential::Basic { username, password } = auth
            .credential_for("knows.example.test", "a")
            .await
            .unwrap()
        else {
            panic!("the helper was not asked");
        };
        assert_eq!(
            (username.as_str(), password.expose()),
            ("knows.example.test-get", "s")
        );
        assert!(matches!(
            auth.credential_for("token.example.test", "a").await,
            Ok(Credential::IdentityToken(_))
        ));
        assert!(matches!(
            auth.credential_for("entry.example.test", "a").await,
            Ok(Credential::RegistryToken(_))
        ));
        for (host, code) in [
            ("fails.example.test", "credential-helper-failed"),
            ("floods.example.test", "credential-helper-failed"),
            ("hangs.example.test", "credential-helper-timed-out"),
            ("absent.example.test", "credential-helper-failed"),
            ("name.example.test", "credential-helper-name-refused"),
        ] {
            let error = auth.credential_for(host, "a").await.unwrap_err();
            assert_eq!(error.code(), code, "{host}: {error:?}");
        }
    }
}
