//! The credential helper protocol: `docker-credential-<name> get`, the server on standard input,
//! JSON on standard output; `store`, JSON on standard input; `erase`, the server again.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{Credential, RegistryAuthError};
use crate::crypto::Secret;
use crate::diagnostic::clean;

/// Cap of a helper's output in bytes; the largest real secrets (cloud tokens) have about 5 KiB.
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// How helpers are run.
#[derive(Debug)]
pub(super) struct Helpers {
    /// The folder they are in; `None` for the search path.
    folder: Option<PathBuf>,
    timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helpers {
    pub(super) fn new(folder: Option<PathBuf>, timeout: Duration) -> Self {
        Helpers { folder, timeout }
    }

    /// Asks a helper for a server's credential; `Anonymous` if it has none.
    pub(super) async fn get(
        &self,
        name: &str,
        server: &str,
    ) -> Result<Credential, RegistryAuthError> {
        let Some(stdout) = self.run(name, "get", server.as_bytes()).await? else {
            return Ok(Credential::Anonymous);
        };
        // What a helper prints may be a secret, so it is never quoted.
        let answer: Answer =
            serde_json::from_slice(&stdout).map_err(|_| RegistryAuthError::Helper {
                name: name.to_owned(),
                cause: "its output is not the JSON the protocol asks for".to_owned(),
            })?;
        Ok(match (answer.username.as_str(), answer.secret) {
            ("", secret) if secret.is_empty() => Credential::Anonymous,
            ("<token>", secret) => Credential::IdentityToken(Secret::new(secret)),
            (username, secret) => Credential::Basic {
                username: username.to_owned(),
                password: Secret::new(secret),
            },
        })
    }

    /// Has a helper keep a user and password for a server.
    pub(super) async fn store(
        &self,
        name: &str,
        server: &str,
        username: &str,
        password: &Secret,
    ) -> Result<(), RegistryAuthError> {
        let question = serde_json::json!({
            "ServerURL": server,
            "Username": username,
            "Secret": password.expose(),
        });
        let question = Secret::new(question.to_string());
        self.run(name, "store", question.expose().as_bytes())
            .await?;
        Ok(())
    }

    /// Has a helper forget a server; says whether it knew it.
    pub(super) async fn erase(&self, name: &str, server: &str) -> Result<bool, RegistryAuthError> {
        // Some helpers forget what they never knew without a word, so it is asked for first.
        if self.get(name, server).await?.is_anonymous() {
            return Ok(false);
        }
        let answer = self.run(name, "erase", server.as_bytes()).await?;
        Ok(answer.is_some())
    }

    /// Runs a helper and returns its output; `None` if it says that it knows no such server.
    async fn run(
        &self,
        name: &str,
        verb: &'static str,
        input: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, RegistryAuthError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return Err(RegistryAuthError::HelperName {
                name: name.chars().take(64).collect(),
            });
        }
        match tokio::time::timeout(self.timeout, self.exchange(name, verb, input)).await {
            Ok(answer) => answer,
            // Dropping the exchange ends the program (`kill_on_drop`).
            Err(_) => Err(RegistryAuthError::HelperTimedOut {
                name: name.to_owned(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }

    async fn exchange(
        &self,
        name: &str,
        verb: &'static str,
        input: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, RegistryAuthError> {
        let fail = |cause: String| RegistryAuthError::Helper {
            name: name.to_owned(),
            cause,
        };
        let program = format!("docker-credential-{name}");
        let program = match &self.folder {
            Some(folder) => folder.join(program),
            None => PathBuf::from(program),
        };
        let mut child = Command::new(program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| fail(e.to_string()))?;
        let mut stdin = child.stdin.take().expect("stdin was asked to be piped");
        let stdout = child.stdout.take().expect("stdout was asked to be piped");
        let stderr = child.stderr.take().expect("stderr was asked to be piped");
        // A helper that answers without reading its input breaks the pipe, which is no fault.
        let _ = stdin.write_all(input).await;
        drop(stdin);
        let (stdout, stderr) = tokio::join!(bounded(stdout), bounded(stderr));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(fail(format!("more than {OUTPUT_LIMIT} bytes of output")));
        };
        let status = child.wait().await.map_err(|e| fail(e.to_string()))?;
        if status.success() {
            return Ok(Some(stdout));
        }
        // Helpers put "not found" on either stream; only stderr is quoted, as standard output
        // may hold a secret.
        let says = |stream: &[u8], words: &str| {
            String::from_utf8_lossy(stream)
                .to_ascii_lowercase()
                .contains(words)
        };
        if [&stdout, &stderr]
            .iter()
            .any(|stream| says(stream, "credentials not found"))
        {
            return Ok(None);
        }
        let said = clean(&String::from_utf8_lossy(&stderr), 200);
        Err(fail(format!("{status}: {said}")))
    }
}

/// Reads all output; `None` beyond the cap.
async fn bounded(stream: impl AsyncRead + Unpin) -> Option<Zeroizing<Vec<u8>>> {
    let mut output = Zeroizing::new(Vec::new());
    let mut limited = stream.take(OUTPUT_LIMIT + 1);
    // An unreadable pipe ends the output; the exit status then tells.
    let _ = limited.read_to_end(&mut output).await;
    (output.len() as u64 <= OUTPUT_LIMIT).then_some(output)
}
