//! The auth file of docker (`config.json`) and podman (`auth.json`).

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::{Credential, RegistryAuthError, ServerKey};
use crate::crypto::Secret;

/// Cap of an auth file in bytes; one with a hundred registries has about 20 KiB.
pub(super) const FILE_LIMIT: u64 = 1024 * 1024;

/// One parsed auth file.
#[derive(Debug)]
pub(super) struct AuthFile {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(..)")
    }
}

impl AuthFile {
    /// Reads a file; `None` if there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, RegistryAuthError> {
        let refuse = |cause: String| RegistryAuthError::File {
            path: path.to_owned(),
            cause,
        };
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(refuse(e.to_string())),
        };
        let mut text = Vec::new();
        file.take(FILE_LIMIT + 1)
            .read_to_end(&mut text)
            .map_err(|e| refuse(e.to_string()))?;
        if text.len() as u64 > FILE_LIMIT {
            return Err(refuse(format!("larger than {FILE_LIMIT} bytes")));
        }
        // The parser's complaint names a line and a type, never a value of a well-typed file; still,
        // only the position is passed on, as a mistyped secret could be quoted.
        let content = serde_json::from_slice(&text).map_err(|e| {
            refuse(format!(
                "not an auth file: line {}, column {}",
                e.line(),
                e.column()
            ))
        })?;
        Ok(Some(AuthFile {
            path: path.to_owned(),
            content,
        }))
    }

    /// Returns the helpers to ask, the host's own before the general store.
    pub(super) fn helpers_for<'a>(
        &'a self,
        server: &ServerKey,
        repository: &str,
    ) -> impl Iterator<Item = &'a str> {
        best(&self.content.cred_helpers, server, repository)
            .map(|(_, name)| name.as_str())
            .into_iter()
            .chain(self.content.creds_store.as_deref())
            .filter(|name| !name.is_empty())
    }

    /// Returns the credential of the best matching entry of `auths`.
    pub(super) fn entry_for(
        &self,
        server: &ServerKey,
        repository: &str,
    ) -> Result<Credential, RegistryAuthError> {
        let Some((key, entry)) = best(&self.content.auths, server, repository) else {
            return Ok(Credential::Anonymous);
        };
        let secret = |text: &str| Secret::new(text.to_owned());
        if !entry.registrytoken.is_empty() {
            return Ok(Credential::RegistryToken(secret(&entry.registrytoken)));
        }
        if !entry.identitytoken.is_empty() {
            return Ok(Credential::IdentityToken(secret(&entry.identitytoken)));
        }
        if !entry.auth.is_empty() {
            return decode(&entry.auth).ok_or_else(|| RegistryAuthError::Entry {
                path: self.path.clone(),
                key: key.to_owned(),
            });
        }
        if !entry.username.is_empty() {
            return Ok(Credential::Basic {
                username: entry.username.clone(),
                password: secret(&entry.password),
            });
        }
        Ok(Credential::Anonymous)
    }
}

/// Decodes `auth`: base64 of `user:password`, padded with NUL by some writers.
fn decode(auth: &str) -> Option<Credential> {
    let bytes = STANDARD
        .decode(auth)
        .or_else(|_| STANDARD_NO_PAD.decode(auth))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    if username.is_empty() {
        return None;
    }
    Some(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password.trim_end_matches('\0').to_owned()),
    })
}

/// Finds the entry whose key matches, the longest path winning; among spellings of one host, docker's own.
///
/// Key forms: `host`, `https://host`, `https://host/v1/` (docker), `host/path` (podman: applies to
/// repositories under the path). Hosts are compared whole, port included.
fn best<'a, T>(
    entries: &'a BTreeMap<String, T>,
    server: &ServerKey,
    repository: &str,
) -> Option<(&'a str, &'a T)> {
    entries
        .iter()
        .filter_map(|(key, entry)| {
            let path = path_of(key, server)?;
            let fits = path.is_empty()
                || repository
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            fits.then_some((path.len(), *key == server.sent, key.as_str(), entry))
        })
        .max_by_key(|(length, exact, _, _)| (*length, *exact))
        .map(|(_, _, key, entry)| (key, entry))
}

/// Returns the path a key is limited to, empty for the whole host; `None` if it is another host's.
pub(super) fn path_of<'a>(key: &'a str, server: &ServerKey) -> Option<&'a str> {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    if !server.hosts.iter().any(|h| h.eq_ignore_ascii_case(host)) {
        return None;
    }
    match path.trim_matches('/') {
        "v1" | "v2" => Some(""),
        path => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> AuthFile {
        AuthFile {
            path: PathBuf::from("config.json"),
            content: serde_json::from_str(text).unwrap(),
        }
    }

    fn user(file: &AuthFile, registry: &str, repository: &str) -> String {
        match file
            .entry_for(&ServerKey::new(registry), repository)
            .unwrap()
        {
            Credential::Basic { username, .. } => username,
            Credential::Anonymous => String::new(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_host_is_compared_whole() {
        let file = file(r#"{"auths":{"example.com":{"username":"u","password":"p"}}}"#);
        assert_eq!(user(&file, "example.com", "a"), "u");
        assert_eq!(user(&file, "EXAMPLE.com", "a"), "u");
        for other in [
            "example.com.evil",
            "notexample.com",
            "example.com:5000",
            "sub.example.com",
            "example.co",
            "com",
        ] {
            assert_eq!(user(&file, other, "a"), "", "{other}");
        }
    }

    #[test]
    fn every_key_form_names_its_host() {
        for key in [
            "r.example.test:5000",
            "https://r.example.test:5000",
            "https://r.example.test:5000/",
            "https://r.example.test:5000/v1/",
            "http://r.example.test:5000/v2/",
        ] {
            let file = file(&format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#));
            assert_eq!(user(&file, "r.example.test:5000", "a/b"), "u", "{key}");
            assert_eq!(user(&file, "r.example.test", "a/b"), "", "{key}");
        }
    }

    #[test]
    fn the_spelling_that_docker_writes_wins() {
        for (host, other) in [
            ("a.test", "https://a.test"),
            ("z.test", "https://z.test/v1/"),
        ] {
            let file = file(&format!(
                r#"{{"auths":{{"{host}":{{"auth":"bmV3OnA="}},"{other}":{{"auth":"b2xkOnA="}}}}}}"#
            ));
            assert_eq!(user(&file, host, "x"), "new", "{other}");
        }
    }

    #[test]
    fn the_longest_path_wins_at_component_borders() {
        let file = file(
            r#"{"auths":{"r.example.test":{"username":"host"},"r.example.test/a":{"username":"a"},
                "r.example.test/a/b":{"username":"ab"}}}"#,
        );
        assert_eq!(user(&file, "r.example.test", "a/b/c"), "ab");
        assert_eq!(user(&file, "r.example.test", "a/b"), "ab");
        assert_eq!(user(&file, "r.example.test", "a/bc"), "a");
        assert_eq!(user(&file, "r.example.test", "ab"), "host");
    }

    #[test]
    fn entries_hold_four_kinds_of_credential() {
        let file = file(
            r#"{"auths":{"a.test":{"auth":"dTpwOnE="},"b.test":{"identitytoken":"i","auth":"dTpw"},
                "c.test":{"registrytoken":"r"},"d.test":{},"e.test":{"auth":"!"},"f.test":{"auth":"OnA="}},"unknown":1}"#,
        );
        let entry = |host: &str| file.entry_for(&ServerKey::new(host), "x");
        let Ok(Credential::Basic { username, password }) = entry("a.test") else {
            panic!("no basic credential");
        };
        assert_eq!((username.as_str(), password.expose()), ("u", "p:q"));
        assert!(matches!(entry("b.test"), Ok(Credential::IdentityToken(_))));
        assert!(matches!(entry("c.test"), Ok(Credential::RegistryToken(_))));
        assert!(matches!(entry("d.test"), Ok(Credential::Anonymous)));
        assert!(matches!(
            entry("e.test"),
            Err(RegistryAuthError::Entry { .. })
        ));
        assert!(matches!(
            entry("f.test"),
            Err(RegistryAuthError::Entry { .. })
        ));
    }
}
