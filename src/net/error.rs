//! What can go wrong between this program and a service, and how URLs are shown to people.

use reqwest::StatusCode;
use url::Url;

use crate::diagnostic::{Diagnostic, Exit, clean};

/// A failed exchange with a service. URLs in it are already redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// No connection, or the connection broke before the whole reply was read.
    #[error("{service} cannot be reached")]
    Unreachable {
        /// The service, as shown to people.
        service: &'static str,
        /// Redacted URL.
        url: String,
        /// What the transport said.
        cause: String,
    },
    /// The time limit of one request passed.
    #[error("{service} did not answer within {seconds} s")]
    TimedOut {
        /// The service, as shown to people.
        service: &'static str,
        /// Redacted URL.
        url: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The reply is larger than it may be; nothing of it is used.
    #[error("reply of {service} exceeds {limit} bytes")]
    TooLarge {
        /// The service, as shown to people.
        service: &'static str,
        /// Redacted URL.
        url: String,
        /// The cap, in bytes.
        limit: u64,
    },
    /// The service answered with a status that is not success.
    #[error("{service} answered {status}")]
    Status {
        /// The service, as shown to people.
        service: &'static str,
        /// Redacted URL.
        url: String,
        /// HTTP status.
        status: u16,
        /// The service's own words, cleaned and cut; may be empty.
        message: String,
    },
    /// The reply is not what the protocol asks for.
    #[error("{service} answered something else than {expected}")]
    BadReply {
        /// The service, as shown to people.
        service: &'static str,
        /// Redacted URL.
        url: String,
        /// What the protocol asks for.
        expected: &'static str,
        /// What came, cleaned and cut.
        found: String,
    },
    /// The TLS trust anchors named by the environment cannot be loaded.
    #[error("the CA certificates of this host cannot be loaded")]
    NoTrustAnchors {
        /// What the TLS library said.
        cause: String,
    },
}

/// How the names of registries and of their token services begin.
const REGISTRY: &str = "registry";

impl NetError {
    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.exit().is_retryable()
    }
}

impl Diagnostic for NetError {
    fn code(&self) -> &'static str {
        match self {
            NetError::Unreachable { .. } => "service-unreachable",
            NetError::TimedOut { .. } => "service-timed-out",
            NetError::TooLarge { .. } => "reply-too-large",
            NetError::Status {
                status: 401 | 403, ..
            } => "service-denied",
            NetError::Status { .. } => match self.exit() {
                Exit::ServiceFailed => "service-failed",
                Exit::Refused => "service-refused",
                _ => "service-status-unexpected",
            },
            NetError::BadReply { .. } => "service-bad-reply",
            NetError::NoTrustAnchors { .. } => "tls-trust-anchors-unreadable",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            NetError::Unreachable { .. } | NetError::TimedOut { .. } => Exit::Unreachable,
            NetError::TooLarge { .. } | NetError::BadReply { .. } => Exit::BadReply,
            NetError::Status {
                service, status, ..
            } => match status {
                401 | 403 if service.starts_with(REGISTRY) => Exit::Denied,
                408 | 429 => Exit::ServiceFailed,
                400..=499 => Exit::Refused,
                500..=599 => Exit::ServiceFailed,
                _ => Exit::BadReply,
            },
            NetError::NoTrustAnchors { .. } => Exit::TrustMaterial,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            NetError::Unreachable { url, cause, .. } => {
                vec![("url", url.clone()), ("cause", cause.clone())]
            }
            NetError::TimedOut { url, .. } | NetError::TooLarge { url, .. } => {
                vec![("url", url.clone())]
            }
            NetError::Status { url, message, .. } => {
                let mut details = vec![("url", url.clone())];
                if !message.is_empty() {
                    details.push(("message", message.clone()));
                }
                details
            }
            NetError::BadReply {
                url,
                expected,
                found,
                ..
            } => vec![
                ("url", url.clone()),
                ("expected", (*expected).to_owned()),
                ("found", found.clone()),
            ],
            NetError::NoTrustAnchors { cause } => vec![("cause", cause.clone())],
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NetError::Unreachable { .. } | NetError::TimedOut { .. } => Some(
                "check the URL, the network and any proxy settings; the command may be repeated"
                    .to_owned(),
            ),
            NetError::Status { status: 429, .. } => {
                Some("the service asks to slow down; repeat the command later".to_owned())
            }
            NetError::NoTrustAnchors { .. } => {
                Some("SSL_CERT_FILE or SSL_CERT_DIR is set: correct or unset it".to_owned())
            }
            _ => None,
        }
    }
}

/// Query parameters whose values are never secret; every other value is hidden.
const SHOWN_PARAMETERS: [&str; 9] = [
    "digest",
    "artifactType",
    "service",
    "scope",
    "logIndex",
    "treeSize",
    "firstSize",
    "lastSize",
    "n",
];

/// Formats a URL for people and logs: no user, no password, no fragment, and of the query only the
/// values known to be harmless (upload locations and tokens travel in queries).
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail only for URLs that cannot hold credentials in the first place.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    if url.query().is_some() {
        shown.set_query(None);
        let pairs: Vec<String> = url
            .query_pairs()
            .map(|(name, value)| {
                if SHOWN_PARAMETERS.contains(&name.as_ref()) {
                    format!("{name}={value}")
                } else {
                    format!("{name}=..")
                }
            })
            .collect();
        return clean(&format!("{shown}?{}", pairs.join("&")), 400);
    }
    clean(shown.as_str(), 400)
}

/// Finds the service's own words in an error body: `{"message"}` (Fulcio, Rekor), `{"errors":[..]}`
/// (OCI distribution), `{"error","error_description"}` (OAuth 2), else short plain text.
pub(crate) fn message_of(status: StatusCode, body: &[u8]) -> String {
    const LONGEST: usize = 300;
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) {
        let text = |value: &serde_json::Value, name: &str| {
            value.get(name).and_then(|v| v.as_str()).map(str::to_owned)
        };
        if let Some(errors) = value.get("errors").and_then(|v| v.as_array()) {
            let parts: Vec<String> = errors
                .iter()
                .take(3)
                .map(|e| {
                    [text(e, "code"), text(e, "message")]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(": ")
                })
                .collect();
            return clean(&parts.join("; "), LONGEST);
        }
        let parts: Vec<String> = ["error", "error_description", "message"]
            .iter()
            .filter_map(|name| text(&value, name))
            .collect();
        return clean(&parts.join(": "), LONGEST);
    }
    match std::str::from_utf8(body) {
        Ok(text) if !text.trim_start().starts_with('<') => clean(text, LONGEST),
        _ => status.canonical_reason().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_credentials() {
        let url: Url = "https://ann:pw@registry.example.test/v2/a/blobs/uploads/1?_state=s3cret&digest=sha256:00#f"
            .parse()
            .unwrap();
        assert_eq!(
            redacted(&url),
            "https://registry.example.test/v2/a/blobs/uploads/1?_state=..&digest=sha256:00"
        );
    }

    #[test]
    fn foreign_words_are_cleaned_and_cut() {
        let body = b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"no\\u001b[31m \\n way\"}]}";
        assert_eq!(
            message_of(StatusCode::FORBIDDEN, body),
            "DENIED: no [31m way"
        );
        assert_eq!(
            message_of(StatusCode::BAD_GATEWAY, b"<html>x"),
            "Bad Gateway"
        );
        assert_eq!(
            message_of(
                StatusCode::BAD_REQUEST,
                br#"{"code":3,"message":"bad token"}"#
            ),
            "bad token"
        );
        assert_eq!(clean("abcdef", 3), "abc…");
    }

    #[test]
    fn a_status_has_its_row_of_the_exit_table() {
        for (service, status, exit) in [
            ("Rekor", 400, Exit::Refused),
            ("registry", 401, Exit::Denied),
            ("registry", 403, Exit::Denied),
            ("registry token service", 401, Exit::Denied),
            // No registry: nothing to log in to.
            ("Fulcio", 401, Exit::Refused),
            ("GitHub Actions token service", 403, Exit::Refused),
            ("Rekor", 404, Exit::Refused),
            ("Rekor", 429, Exit::ServiceFailed),
            ("Rekor", 503, Exit::ServiceFailed),
            ("Rekor", 302, Exit::BadReply),
        ] {
            let error = NetError::Status {
                service,
                url: String::new(),
                status,
                message: String::new(),
            };
            assert_eq!(error.exit(), exit, "{service} {status}");
        }
    }
}
