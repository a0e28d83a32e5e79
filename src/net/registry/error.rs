//! What can go wrong with a registry.

use super::caps::Cap;
use super::client::is_about_certificate;
use super::reference::foreign_prefix;
use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit, counted};
use crate::format::oci::OciError;
use crate::host::registry_auth::RegistryAuthError;
use crate::net::error::NetError;

/// A refusal by or of a registry. URLs in it are redacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Not an image reference.
    #[error("malformed image reference {found:?}")]
    Reference {
        /// The text as given, cut.
        found: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The image, or its repository, is not there.
    #[error("no such image: {reference}")]
    NoSuchImage {
        /// The reference that was asked for.
        reference: String,
    },
    /// Something the registry itself listed, or confirmed to have, is not there.
    #[error("registry does not hold the {what}")]
    NotFound {
        /// What kind of object.
        what: &'static str,
        /// Repository and digest.
        reference: String,
    },
    /// The bytes do not have the digest they were asked for, or announced, by.
    #[error("content of the {what} does not match its digest")]
    DigestMismatch {
        /// What kind of object.
        what: &'static str,
        /// The digest asked for or announced.
        expected: Box<Digest>,
        /// The digest of the bytes received.
        found: Box<Digest>,
    },
    /// The length differs from the descriptor's.
    #[error("size of the {what} does not match its descriptor")]
    SizeMismatch {
        /// What kind of object.
        what: &'static str,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The size received; what exceeded the descriptor was not read.
        found: Option<u64>,
    },
    /// `Content-Type` and `mediaType` contradict each other.
    #[error("manifest is announced as one media type and states another")]
    MediaTypeMismatch {
        /// `Content-Type` of the reply.
        announced: String,
        /// `mediaType` in the document.
        stated: String,
    },
    /// The document is no manifest or index.
    #[error("unusable {what}")]
    Document {
        /// Which document.
        what: &'static str,
        /// Repository and tag or digest.
        reference: String,
        /// What is wrong with it.
        cause: OciError,
    },
    /// The registry wants credentials, or refuses those it got.
    #[error("access to {repository} denied")]
    Denied {
        /// The repository.
        repository: String,
        /// HTTP status.
        status: u16,
        /// Whether credentials for this registry were known and sent.
        with_credentials: bool,
        /// The registry's words; may be empty.
        message: String,
    },
    /// The registry names a token service that may not see the credentials kept for the registry.
    #[error("registry {registry} asks to send its credentials to {realm}")]
    ForeignRealm {
        /// The registry.
        registry: String,
        /// The token service, redacted.
        realm: String,
        /// Which rule it breaks.
        rule: &'static str,
    },
    /// The registry points to a place that may not be followed.
    #[error("{what} leads to a place that is not followed")]
    Unfollowed {
        /// Redirect, upload location or next page.
        what: &'static str,
        /// The registry's URL, redacted.
        from: String,
        /// Where it leads, redacted.
        to: String,
        /// Which rule it breaks.
        rule: &'static str,
    },
    /// An object is larger than it may be; nothing of it is used.
    #[error("{what} exceeds {limit} bytes")]
    TooLarge {
        /// What kind of object.
        what: &'static str,
        /// The cap in bytes.
        limit: u64,
    },
    /// A cap that the user may raise is exceeded.
    #[error("{}", cap.exceeded(what, *limit))]
    OverCap {
        /// The cap.
        cap: Cap,
        /// What exceeds it.
        what: &'static str,
        /// Its value, in its unit.
        limit: u64,
        /// What was found, in the same unit; `None` if it was not read to its end.
        found: Option<u64>,
    },
    /// There are more objects than are looked at.
    #[error("more than {limit} {what}")]
    TooMany {
        /// What kind of object.
        what: &'static str,
        /// The cap.
        limit: usize,
    },
    /// The fallback tag could not be brought to hold the entry.
    #[error("fallback tag {tag} keeps losing the new entry")]
    FallbackContended {
        /// Repository and tag.
        tag: String,
        /// How often it was written.
        writes: u32,
        /// For how long, in seconds.
        seconds: u64,
    },
    /// The registry accepted a referrer and does not list it.
    #[error("registry accepted {manifest} and does not list it")]
    NotListed {
        /// Repository and digest of the new manifest.
        manifest: String,
    },
    /// The registry deletes nothing, or not this way.
    #[error("registry refuses to delete {reference}")]
    DeletionDisabled {
        /// Repository and tag or digest.
        reference: String,
        /// HTTP status.
        status: u16,
        /// The registry's words; may be empty.
        message: String,
    },
    /// Stored credentials cannot be used.
    #[error(transparent)]
    Credentials(#[from] RegistryAuthError),
    /// The exchange failed below the registry's protocol.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Diagnostic for RegistryError {
    fn code(&self) -> &'static str {
        match self {
            RegistryError::Reference { .. } => "image-reference-malformed",
            RegistryError::NoSuchImage { .. } => "no-such-image",
            RegistryError::NotFound { .. } => "registry-object-missing",
            RegistryError::DigestMismatch { .. } => "registry-digest-mismatch",
            RegistryError::SizeMismatch { .. } => "registry-size-mismatch",
            RegistryError::MediaTypeMismatch { .. } => "registry-media-type-mismatch",
            RegistryError::Document { .. } => "registry-document-unusable",
            RegistryError::Denied { .. } => "registry-denied",
            RegistryError::ForeignRealm { .. } => "registry-realm-foreign",
            RegistryError::Unfollowed { .. } => "registry-location-refused",
            RegistryError::TooLarge { .. } => "registry-object-too-large",
            RegistryError::OverCap { cap, .. } if cap.is_of_object() => "registry-object-too-large",
            RegistryError::OverCap { .. } | RegistryError::TooMany { .. } => "registry-too-many",
            RegistryError::FallbackContended { .. } => "registry-fallback-contended",
            RegistryError::NotListed { .. } => "registry-referrer-not-listed",
            RegistryError::DeletionDisabled { .. } => "registry-deletion-disabled",
            RegistryError::Credentials(error) => error.code(),
            RegistryError::Net(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            RegistryError::Reference { .. } => Exit::Usage,
            RegistryError::NoSuchImage { .. } => Exit::NoSuchImage,
            RegistryError::DigestMismatch { .. } | RegistryError::SizeMismatch { .. } => {
                Exit::ContentMismatch
            }
            RegistryError::Document { .. } => Exit::Malformed,
            RegistryError::Denied { .. } | RegistryError::ForeignRealm { .. } => Exit::Denied,
            RegistryError::NotFound { .. }
            | RegistryError::MediaTypeMismatch { .. }
            | RegistryError::Unfollowed { .. }
            | RegistryError::TooLarge { .. }
            | RegistryError::OverCap { .. }
            | RegistryError::TooMany { .. } => Exit::BadReply,
            RegistryError::FallbackContended { .. } | RegistryError::NotListed { .. } => {
                Exit::ServiceFailed
            }
            RegistryError::DeletionDisabled { .. } => Exit::Refused,
            RegistryError::Credentials(error) => error.exit(),
            RegistryError::Net(error) => error.exit(),
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            RegistryError::Reference { cause, .. } => vec![("cause", cause.clone())],
            RegistryError::NotFound { reference, .. } => vec![("reference", reference.clone())],
            RegistryError::DigestMismatch {
                expected, found, ..
            } => vec![
                ("expected", expected.to_string()),
                ("found", found.to_string()),
            ],
            RegistryError::SizeMismatch {
                expected, found, ..
            } => vec![
                ("expected", format!("{expected} bytes")),
                (
                    "found",
                    match found {
                        Some(found) => format!("{found} bytes"),
                        None => "more".to_owned(),
                    },
                ),
            ],
            RegistryError::MediaTypeMismatch { announced, stated } => {
                vec![("announced", announced.clone()), ("stated", stated.clone())]
            }
            RegistryError::Document {
                reference, cause, ..
            } => vec![
                ("reference", reference.clone()),
                ("cause", cause.to_string()),
            ],
            RegistryError::Denied {
                status, message, ..
            }
            | RegistryError::DeletionDisabled {
                status, message, ..
            } => {
                let mut details = vec![("status", status.to_string())];
                if !message.is_empty() {
                    details.push(("message", message.clone()));
                }
                details
            }
            RegistryError::OverCap {
                cap, limit, found, ..
            } => vec![
                ("cap", format!("{} {limit}", cap.flag())),
                (
                    "found",
                    match found {
                        Some(found) => format!("{found} {}", cap.unit()),
                        None => "more".to_owned(),
                    },
                ),
            ],
            RegistryError::ForeignRealm { rule, .. } => vec![("rule", (*rule).to_owned())],
            RegistryError::Unfollowed { from, to, rule, .. } => vec![
                ("from", from.clone()),
                ("to", to.clone()),
                ("rule", (*rule).to_owned()),
            ],
            RegistryError::FallbackContended {
                writes, seconds, ..
            } => vec![(
                "tried",
                format!("{} in {seconds} s", counted(*writes as usize, "write")),
            )],
            RegistryError::Credentials(error) => error.details(),
            RegistryError::Net(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RegistryError::Reference { found, .. } => {
                let prefix = foreign_prefix(found)?;
                let rest = found.get(prefix.len()..).unwrap_or_default();
                match prefix {
                    "oci:" | "dir:" | "oci-archive:" | "docker-archive:" => {
                        "images are named as REGISTRY/NAME:TAG; `keyless verify --local-image FOLDER` \
                         verifies those of an OCI layout"
                            .to_owned()
                    }
                    "docker-daemon:" | "containers-storage:" => format!(
                        "leave {prefix} out: {rest} is then asked for in its registry, where signatures are"
                    ),
                    _ => format!("leave {prefix} out: {rest}"),
                }
                .into()
            }
            RegistryError::Denied {
                with_credentials: false,
                ..
            } => Some(
                "no credentials are known for this registry; log in with keyless login, docker or podman"
                    .to_owned(),
            ),
            RegistryError::Denied { .. } => Some(
                "the credentials were refused or do not allow this; log in again".to_owned(),
            ),
            RegistryError::ForeignRealm { .. } => Some(
                "if that is right, --registry-trusted-realm names the host that may have them"
                    .to_owned(),
            ),
            RegistryError::OverCap { cap, .. } => {
                Some(format!("a larger {} lets it through", cap.flag()))
            }
            RegistryError::Net(NetError::Unreachable { cause, .. })
                if is_about_certificate(cause) =>
            {
                Some(
                    "--registry-cacert FILE names the authority of the registry's certificate"
                        .to_owned(),
                )
            }
            RegistryError::FallbackContended { .. } => Some(
                "the registry has no referrers API and others write to the same tag; the signature \
                 is stored, `keyless attach bundle` lists it again"
                    .to_owned(),
            ),
            RegistryError::DeletionDisabled { .. } => Some(
                "many registries allow no deletion, or only by their own interface; ask whoever runs it"
                    .to_owned(),
            ),
            RegistryError::Credentials(error) => error.hint(),
            RegistryError::Net(error) => error.hint(),
            _ => None,
        }
    }
}
