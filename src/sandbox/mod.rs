//! Annex: a whole private Sigstore on loopback in one process, for demos and tests.
//!
//! Issuer, certificate authority with a certificate transparency log, transparency logs of both
//! versions, timestamp authority, TUF repository and registries, each on a port of its own. They check
//! what the public services check and refuse what those refuse; [`Faults`] make them misbehave. What is
//! missing is only who runs them: anybody gets a token for any identity.
//!
//! Start with [`Sandbox::start`]; one file per service, `server` under all of them.

mod ca;
mod clock;
mod config;
mod ct;
mod error;
mod faults;
mod fulcio;
mod fulcio1;
mod gate;
mod identity;
mod keys;
mod leaf;
mod material;
mod oidc;
mod profile;
pub mod registry;
mod rekor1;
mod rekor1_entry;
mod rekor1_read;
mod rekor2;
mod rekor2_entry;
mod reply;
mod request_log;
mod server;
mod services;
mod store;
mod timestamp_token;
mod tree;
mod tsa;
mod tuf;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::crypto::Secret;

use material::Material;
use oidc::Issuer;
use registry::SandboxRegistry;
use request_log::RequestLog;
use server::{Phase, Ports};
use services::Services;
use store::Store;
use tuf::Tuf;

pub use crate::trust::signing_config::RekorVersion;
pub use config::SandboxConfig;
pub use error::SandboxError;
pub use faults::{Fault, Faults, PlainFault, Struck};
pub use oidc::{TokenKind, TokenRequest};
pub use request_log::{RequestCounts, RequestRecord, Service};

/// Longest that [`Sandbox::stop`] waits for answers that are under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it stops it too, cutting the answers that are under way.
pub struct Sandbox {
    material: Material,
    issuer: Arc<Issuer>,
    tuf: Arc<Tuf>,
    registry: Arc<SandboxRegistry>,
    registry_plain: Arc<SandboxRegistry>,
    identity: String,
    token: Secret,
    requests: RequestLog,
    files: PathBuf,
    /// Removed when the sandbox goes, if its files were not asked for.
    _temporary: Option<tempfile::TempDir>,
    phase: watch::Sender<Phase>,
    tasks: Vec<JoinHandle<()>>,
    /// Holds the lock of the directory.
    _store: Store,
}

impl Sandbox {
    /// Starts every service on a port of 127.0.0.1; they answer once this returns. Needs a tokio runtime
    /// with I/O and time, and runs on it.
    ///
    /// # Errors
    /// [`SandboxError`].
    pub async fn start(config: SandboxConfig) -> Result<Self, SandboxError> {
        let store = Store::open(config.dir.as_deref())?;
        let requests = RequestLog::default();
        let ports = Ports::bind(&store).await?;
        let services = Services::open(&store, &ports, &config, &requests)?;
        let material = services.material(&ports, &config)?;
        let targets = material.tuf_targets();
        let tuf = Arc::new(Tuf::open(&store, material.start, &targets)?);
        let token = services.issuer.mint(&TokenRequest {
            expires_in: config.token_lifetime,
            ..TokenRequest::new(config.identity.clone())
        })?;

        let (temporary, files) = match config.dir {
            Some(dir) => (None, dir),
            None => {
                let dir = tempfile::tempdir().map_err(|source| SandboxError::File {
                    path: std::env::temp_dir(),
                    source,
                })?;
                let path = dir.path().to_owned();
                (Some(dir), path)
            }
        };
        let (phase, phases) = watch::channel(Phase::Running);
        let Services {
            issuer,
            registry,
            registry_plain,
            ..
        } = services;
        let routers = [
            (ports.oidc, issuer.clone().router()),
            (ports.fulcio, services.fulcio.router()),
            (ports.ctlog, services.ct.router()),
            (ports.rekor_v1, services.rekor_v1.router()),
            (ports.rekor_v2, services.rekor_v2.router()),
            (ports.tsa, services.tsa.router()),
            (ports.tuf, tuf.clone().router()),
            (ports.registry, registry.clone().router()),
            (ports.registry_plain, registry_plain.clone().router()),
        ];
        let tasks = routers
            .into_iter()
            .map(|(bound, router)| bound.serve(router, &config.faults, &requests, &phases))
            .collect();
        let sandbox = Sandbox {
            material,
            issuer,
            tuf,
            registry,
            registry_plain,
            identity: config.identity,
            token,
            requests,
            files,
            _temporary: temporary,
            phase,
            tasks,
            _store: store,
        };
        sandbox.write_files(&sandbox.files)?;
        Ok(sandbox)
    }

    /// Returns the directory with the sandbox's files: that of the configuration, or a temporary one.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Returns the environment a client needs; the paths in it are under [`Sandbox::files`]. The token in
    /// it was made when the sandbox started.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.environment_in(&self.files)
    }

    fn environment_in(&self, dir: &Path) -> Vec<(String, String)> {
        self.material
            .environment(dir, self.token.expose(), &self.identity)
    }

    /// Writes the client's files into another directory: `trusted_root.json`, `signing_config.v0.2.json`,
    /// `client_trust_config.json`, PEM files, the TUF root, and `sandbox.env` with `export` lines whose
    /// paths are in that directory.
    ///
    /// # Errors
    /// [`SandboxError::File`].
    pub fn write_files(&self, dir: &Path) -> Result<(), SandboxError> {
        self.material
            .write(dir, self.tuf.root(), &self.environment_in(dir))
    }

    /// Makes an identity token.
    ///
    /// # Errors
    /// [`SandboxError::Identity`] for an identity that no token can carry.
    pub fn mint(&self, request: &TokenRequest) -> Result<Secret, SandboxError> {
        self.issuer.mint(request)
    }

    /// Returns the identity that the environment's token is for.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Returns the URL of the issuer.
    pub fn issuer(&self) -> &str {
        &self.material.addresses.oidc
    }

    /// Returns the URL of a service as a signing config has it: a base, but complete for the timestamp
    /// authority.
    pub fn url(&self, service: Service) -> String {
        let at = &self.material.addresses;
        match service {
            Service::Oidc => at.oidc.clone(),
            Service::Fulcio => at.fulcio.clone(),
            Service::CtLog => at.ctlog.clone(),
            Service::RekorV1 => at.rekor_v1.clone(),
            Service::RekorV2 => at.rekor_v2.clone(),
            Service::Tsa => at.tsa.clone(),
            Service::Tuf => at.tuf.clone(),
            Service::Registry => format!("http://{}", at.registry),
            Service::RegistryPlain => format!("http://{}", at.registry_plain),
        }
    }

    /// Returns the registry with the referrers API, to fill it or to switch its faults.
    pub fn registry(&self) -> &Arc<SandboxRegistry> {
        &self.registry
    }

    /// Returns the registry without the referrers API.
    pub fn registry_plain(&self) -> &Arc<SandboxRegistry> {
        &self.registry_plain
    }

    /// Returns `trusted_root.json`.
    pub fn trusted_root(&self) -> String {
        self.material.trusted_root().to_string()
    }

    /// Returns the signing config that names the given Rekor, whichever the sandbox was started with.
    pub fn signing_config(&self, rekor: RekorVersion) -> String {
        self.material.signing_config_for(rekor).to_string()
    }

    /// Returns how often each service was asked.
    pub fn request_counts(&self) -> RequestCounts {
        self.requests.counts()
    }

    /// Returns the requests in the order they were answered.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.requests.records()
    }

    /// Stops every service: no new requests, a short while for answers under way, then the connections
    /// that are left are cut.
    pub async fn stop(mut self) {
        self.phase.send_replace(Phase::Stopping);
        let ended = futures_util::future::join_all(std::mem::take(&mut self.tasks));
        // Those that take longer are cut by dropping.
        let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Cut);
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.files.display())
    }
}
