//! A thin OCI registry client: what signing and verifying need, and no more.
//!
//! Every digest is recomputed over the bytes received, every reply has a bound, credentials go to the
//! registry that asked for them and to the token service it may name, and "no signatures" is only said
//! when the registry said so. What a manifest or bundle is worth is judged elsewhere.
//!
//! Requests: nothing is probed. A signature found by digest costs three (referrers, manifest,
//! bundle); a registry that wants a token adds its first refusal and the token.
//!
//! Read [`mod@reference`], then `client`; `auth` holds the rules for credentials, `fallback` the only
//! part that is best effort by the protocol.

mod attach;
mod auth;
mod blobs;
mod caps;
mod challenge;
mod client;
mod delete;
mod error;
mod fallback;
mod login;
mod manifests;
mod older_form;
pub mod reference;
mod referrers;
mod tagged;
mod tags;
mod transfer;
mod transport;
mod unlist;

use std::time::Duration;

pub use attach::{Attached, Attachment};
pub use caps::{Cap, RegistryLimits};
pub use client::RegistryClient;
pub use error::RegistryError;
pub use fallback::FallbackWritten;
pub use login::Login;
pub use manifests::FetchedManifest;
pub use reference::{DigestReference, ImageReference, Repository, Target};
pub use referrers::{Cut, ReferrerLists, Referrers, ReferrersSource};
pub use tags::PointedTo;
pub use transfer::{ContentError, Pieces, Pushed, file_pieces};
pub use transport::RegistryTls;
pub use unlist::Unlisted;

/// How the client treats registries; the same for all of them.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Caps on what is read.
    pub limits: RegistryLimits,
    /// Allows plain HTTP to hosts that are not loopback, where HTTPS does not answer.
    pub allow_http: bool,
    /// TLS of the registries' own hosts; the system's if `None`.
    pub tls: Option<RegistryTls>,
    /// The repository in which everything that is attached is kept, and looked for; that of the image if `None`.
    pub signature_repository: Option<Repository>,
    /// Hosts whose token services may receive credentials of any registry that names them, beyond
    /// the registry's own host and site.
    pub trusted_realms: Vec<String>,
    /// Time limit of one request.
    pub timeout: Duration,
    /// Longest time spent on one entry of a fallback tag.
    pub fallback_deadline: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        RegistryOptions {
            limits: RegistryLimits::default(),
            allow_http: false,
            tls: None,
            signature_repository: None,
            trusted_realms: Vec::new(),
            timeout: Duration::from_secs(60),
            fallback_deadline: Duration::from_secs(60),
        }
    }
}
