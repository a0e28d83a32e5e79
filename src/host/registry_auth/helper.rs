//! The credential helper protocol: `docker-credential-<name> get`, the server on standard input,
//! JSON on standard output.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

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
    pub(super) async fn run(
        &self,
        name: &str,
        server: &str,
    ) -> Result<Credential, RegistryAuthError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(allowed) {
            return Err(RegistryAuthError::HelperName {
                name: name.chars().take(64).collect(),
            });
        }
        match tokio::time::timeout(self.timeout, self.exchange(name, server)).await {
            Ok(answer) => answer,
            // Dropping the exchange ends the program (`kill_on_drop`).
            Err(_) => Err(RegistryAuthError::HelperTimedOut {
                name: name.to_owned(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }

    async fn exchange(&self, name: &str, server: &str) -> Result<Credential, RegistryAuthError> {
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
            .arg("get")
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
        let _ = stdin.write_all(server.as_bytes()).await;
        drop(stdin);
        let (stdout, stderr) = tokio::join!(bounded(stdout), bounded(stderr));
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(fail(format!("more than {OUTPUT_LIMIT} bytes of output")));
        };
        let status = child.wait().await.map_err(|e| fail(e.to_string()))?;
        if !status.success() {
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
                return Ok(Credential::Anonymous);
            }
            let said = clean(&String::from_utf8_lossy(&stderr), 200);
            return Err(fail(format!("{status}: {said}")));
        }
        // What a helper prints may be a secret, so it is never quoted.
        let answer: Answer = serde_json::from_slice(&stdout)
            .map_err(|_| fail("its output is not the JSON the protocol asks for".to_owned()))?;
        Ok(match (answer.username.as_str(), answer.secret) {
            ("", secret) if secret.is_empty() => Credential::Anonymous,
            ("<token>", secret) => Credential::IdentityToken(Secret::new(secret)),
            (username, secret) => Credential::Basic {
                username: username.to_owned(),
                password: Secret::new(secret),
            },
        })
    }
}

/// Reads all output; `None` beyond the cap.
async fn bounded(stream: impl AsyncRead + Unpin) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut limited = stream.take(OUTPUT_LIMIT + 1);
    // An unreadable pipe ends the output; the exit status then tells.
    let _ = limited.read_to_end(&mut output).await;
    (output.len() as u64 <= OUTPUT_LIMIT).then_some(output)
}
