//! The identity token: from where the user says, or from where the machine offers one.

use std::path::Path;

use url::Url;

use crate::crypto::{Secret, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::identity_token::{IdentityToken, IdentityTokenError};
use crate::format::limits;
use crate::host::files::{FileError, read_bounded};
use crate::net::{HttpClient, NetError, oidc};

/// Why there is no usable identity token.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// None was given and none is offered.
    #[error("no identity token")]
    None {
        /// On GitHub Actions without permission to ask for one.
        on_github: bool,
    },
    /// The file with it cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The CI system did not hand one out.
    #[error("{0}")]
    Net(#[from] NetError),
    /// The token is of no use.
    #[error("{0}")]
    Token(#[from] IdentityTokenError),
}

impl Diagnostic for IdentityError {
    fn code(&self) -> &'static str {
        match self {
            IdentityError::None { .. } => "identity-token-missing",
            IdentityError::File(error) => error.code(),
            IdentityError::Net(error) => error.code(),
            IdentityError::Token(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            IdentityError::None { .. } => Exit::Token,
            IdentityError::File(error) => error.exit(),
            IdentityError::Net(error) => error.exit(),
            IdentityError::Token(error) => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            IdentityError::None { .. } => vec![
                ("a", "--identity-token TOKEN, --identity-token FILE, or --identity-token - for stdin".to_owned()),
                ("b", "the environment variable SIGSTORE_ID_TOKEN".to_owned()),
                ("c", "GitHub Actions with `permissions: id-token: write`".to_owned()),
                ("d", "`keyless sandbox run -- CMD` to try things out".to_owned()),
            ],
            IdentityError::File(error) => error.details(),
            IdentityError::Net(error) => error.details(),
            IdentityError::Token(error) => error.details(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            IdentityError::None { on_github: true } => Some(
                "this is GitHub Actions: give the job `permissions: id-token: write`".to_owned(),
            ),
            IdentityError::None { on_github: false } => {
                Some("a token can come from a, b, c or d".to_owned())
            }
            IdentityError::File(error) => error.hint(),
            IdentityError::Net(NetError::Status {
                status: 401 | 403, ..
            }) => Some(
                "give the job `permissions: id-token: write`; the permission to ask ends with the job"
                    .to_owned(),
            ),
            IdentityError::Net(error) => error.hint(),
            IdentityError::Token(error) => error.hint(),
        }
    }
}

/// Where a token may come from; the first that is there is taken, and its faults are not passed over.
#[derive(Debug, Clone, Default)]
pub struct TokenSource {
    /// What `--identity-token` says: a token, a file, or `-`.
    pub given: Option<Secret>,
    /// `SIGSTORE_ID_TOKEN`.
    pub environment: Option<Secret>,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL` and `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub github: Option<(String, Secret)>,
    /// Whether `GITHUB_ACTIONS` is set.
    pub on_github: bool,
    /// Audience that the token must have.
    pub audience: String,
}

impl TokenSource {
    /// Gets a token and judges it; at most one request.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn token(
        &self,
        http: &HttpClient,
        now: UnixTime,
    ) -> Result<IdentityToken, IdentityError> {
        let raw = match (&self.given, &self.environment, &self.github) {
            (Some(given), ..) => read_given(given)?,
            (None, Some(token), _) => token.clone(),
            (None, None, Some((url, bearer))) => {
                let url: Url = url.parse().map_err(|_| NetError::BadReply {
                    service: "GitHub Actions token service",
                    url: "ACTIONS_ID_TOKEN_REQUEST_URL".to_owned(),
                    expected: "an address",
                    found: "something else".to_owned(),
                })?;
                oidc::github_actions_token(http, &url, bearer, &self.audience).await?
            }
            (None, None, None) => {
                return Err(IdentityError::None {
                    on_github: self.on_github,
                });
            }
        };
        Ok(IdentityToken::parse(&raw, &self.audience, now)?)
    }
}

/// Tells a file's name from a broken token: it has a folder or an ending, and no token begins so. A token's header is
/// an object of JSON in base64url (RFC 7515 section 3.1), so that it begins with `eyJ`.
fn looks_like_path(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    let has_ending = name.rsplit_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && (1..=8).contains(&ending.len())
            && ending.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    text.len() <= 255
        && !name.starts_with("eyJ")
        && name.split('.').count() < 4
        && (text.contains('/') || has_ending)
}

/// Reads what `--identity-token` names. Three parts joined by dots are a token, anything else a file; a
/// file's name is never shown where it might be a broken token.
fn read_given(given: &Secret) -> Result<Secret, IdentityError> {
    let text = given.expose();
    let path = Path::new(text);
    let looks_like_token = text.split('.').count() == 3 && text.len() > 60 && !text.contains('/');
    if text != "-" && (looks_like_token || !(path.exists() || looks_like_path(text))) {
        return Ok(given.clone());
    }
    let bytes = read_bounded(path, limits::IDENTITY_TOKEN_LEN as u64)?;
    let text = String::from_utf8(bytes).map_err(|_| IdentityTokenError::Malformed {
        reason: "the file holds no text",
    })?;
    Ok(Secret::new(text))
}
