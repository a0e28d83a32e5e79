//! An OCI registry in this process: distribution-spec 1.1, in memory or in a folder.
//!
//! Modes make it behave like registries of every age (no referrers API, no `OCI-Subject`, paginated
//! lists, conditional writes, three kinds of authentication); faults make it misbehave. It keeps a log
//! of its requests. Mount [`SandboxRegistry::router`] on a loopback listener.

mod access;
mod disk;
mod handlers;
mod manner;
mod store;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::routing::any;

use crate::crypto::Digest;
use access::Tokens;
use disk::Disk;
pub use handlers::{HANDLERS, Handler};
pub use manner::{MANNERS, Manner, NoSuchManner, UploadLocation};
use store::Store;

/// Requests kept in the log; older ones are dropped.
const LOG_LIMIT: usize = 100_000;

/// What a registry is like; fixed when it is made.
#[derive(Debug, Clone)]
pub struct RegistryMode {
    /// Answers `GET /v2/<name>/referrers/<digest>`; 404 otherwise.
    pub referrers_api: bool,
    /// Honours `artifactType=` of the referrers API, and says so.
    pub server_filter: bool,
    /// Referrers on one page; all on one if `None`.
    pub page_size: Option<usize>,
    /// Confirms a pushed `subject` with `OCI-Subject`.
    pub oci_subject: bool,
    /// Who may do what.
    pub access: AccessMode,
    /// Gives upload locations without scheme and host.
    pub relative_location: bool,
    /// Sends `ETag` with manifests and honours `If-Match` and `If-None-Match` on writing tags.
    pub conditional: bool,
    /// Allows DELETE.
    pub deletion: bool,
    /// Keeps everything in this folder, and starts with what is there.
    pub dir: Option<PathBuf>,
    /// Largest blob in bytes.
    pub max_blob: usize,
    /// Bytes of all manifests, blobs and uploads together.
    pub max_total: usize,
}

impl Default for RegistryMode {
    /// A modern registry without authentication, in memory.
    fn default() -> Self {
        RegistryMode {
            referrers_api: true,
            server_filter: true,
            page_size: None,
            oci_subject: true,
            access: AccessMode::Open,
            relative_location: false,
            conditional: false,
            deletion: true,
            dir: None,
            max_blob: 256 * 1024 * 1024,
            max_total: 1024 * 1024 * 1024,
        }
    }
}

impl RegistryMode {
    /// A registry of the time before the referrers API.
    pub fn without_referrers() -> Self {
        RegistryMode {
            referrers_api: false,
            oci_subject: false,
            ..RegistryMode::default()
        }
    }
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessMode {
    /// Everybody everything.
    Open,
    /// User name and password with every request.
    Basic(Account),
    /// Tokens from `/token`, sold for user name and password or for the refresh token.
    Bearer {
        /// Who gets tokens for everything.
        account: Account,
        /// What a refresh-token grant must bring; none is accepted if `None`.
        refresh_token: Option<String>,
        /// Sells tokens for reading to everybody.
        anonymous_pull: bool,
        /// Life of a token.
        life: Duration,
    },
}

/// The only account of a sandbox registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Misbehaviour, switched while it runs. Counters count down to nothing.
#[derive(Debug, Clone, Default)]
pub struct RegistryFaults {
    /// Requests to answer with 429 and `Retry-After: 1`.
    pub throttle: u32,
    /// Requests to answer with 503.
    pub fail: u32,
    /// Writing requests that are carried out without their reply arriving.
    pub lose_reply: u32,
    /// Wait before every answer.
    pub delay: Duration,
    /// Announces the digest of something else.
    pub wrong_digest_header: bool,
    /// Serves manifests and blobs with their last byte changed.
    pub wrong_content: bool,
}

/// One request, as logged. Nothing secret is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryRequest {
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Scheme of the `Authorization` header, if there was one.
    pub authorization: Option<String>,
    /// Status answered.
    pub status: u16,
}

/// A registry in this process.
#[derive(Debug)]
pub struct SandboxRegistry {
    mode: RegistryMode,
    store: Mutex<Store>,
    disk: Option<Disk>,
    conditional_writes: Mutex<()>,
    tokens: Mutex<Tokens>,
    faults: Mutex<RegistryFaults>,
    manners: Mutex<Vec<Manner>>,
    /// Lists of referrers asked for since the last one was pushed.
    lists: Mutex<u32>,
    log: Mutex<VecDeque<RegistryRequest>>,
    without: Mutex<Vec<Handler>>,
}

impl SandboxRegistry {
    /// Makes a registry; with a folder, it reads what is there.
    ///
    /// # Errors
    /// If the folder cannot be made or read, or holds something that is not its own.
    pub fn new(mode: RegistryMode) -> std::io::Result<Arc<Self>> {
        let mut store = Store::new(mode.max_total);
        let disk = match &mode.dir {
            Some(dir) => Some(Disk::open(dir, &mut store)?),
            None => None,
        };
        Ok(Arc::new(SandboxRegistry {
            mode,
            store: Mutex::new(store),
            disk,
            conditional_writes: Mutex::default(),
            tokens: Mutex::default(),
            faults: Mutex::default(),
            manners: Mutex::default(),
            lists: Mutex::default(),
            log: Mutex::default(),
            without: Mutex::default(),
        }))
    }

    /// Returns the routes: `/v2/` and everything under it, and `/token`.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/v2/", any(serve))
            .route("/v2/{*path}", any(serve))
            .route("/token", any(serve))
            .with_state(self)
    }

    /// Switches faults.
    pub fn set_faults(&self, faults: RegistryFaults) {
        *lock(&self.faults) = faults;
    }

    /// Gives it the manners of a registry in the field, in place of those it had.
    pub fn set_manners(&self, manners: impl IntoIterator<Item = Manner>) {
        *lock(&self.manners) = manners.into_iter().collect();
    }

    /// Takes a handler out, so that a test can show what needs it. No option of the program does so.
    pub fn take_out(&self, handler: Handler) {
        lock(&self.without).push(handler);
    }

    /// Returns the requests so far, in order.
    pub fn requests(&self) -> Vec<RegistryRequest> {
        lock(&self.log).iter().cloned().collect()
    }

    /// Empties the request log.
    pub fn forget_requests(&self) {
        lock(&self.log).clear();
    }

    /// Stores a blob without a request.
    ///
    /// # Errors
    /// If the registry is full or the folder cannot be written.
    pub fn put_blob(&self, repository: &str, content: impl Into<Bytes>) -> std::io::Result<Digest> {
        let content = content.into();
        let digest = Digest::sha256(&content);
        self.store_blob(repository, digest, content)?;
        Ok(digest)
    }

    /// Stores a manifest without a request and without looking at it, under a tag too if one is given.
    ///
    /// # Errors
    /// If the registry is full or the folder cannot be written.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> std::io::Result<Digest> {
        let content = content.into();
        let digest = Digest::sha256(&content);
        self.store_manifest(repository, tag, media_type, digest, content)?;
        Ok(digest)
    }
}

async fn serve(
    State(registry): State<Arc<SandboxRegistry>>,
    request: Request,
) -> axum::response::Response {
    handlers::serve(&registry, request).await
}

/// Locks state that no panic can leave half-changed: every change is one assignment or insertion.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
