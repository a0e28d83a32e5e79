//! Annex: a whole private Sigstore on loopback in one process, for demos and tests.
//!
//! Issuer, certificate authority with a certificate transparency log, transparency logs of both
//! versions, timestamp authority, TUF repository and registries, each on a port of its own. They check
//! what the public services check and refuse what those refuse; [`Faults`] make them misbehave. What is
//! missing is only who runs them: anybody gets a token for any identity.
//!
//! Start with [`Sandbox::start`]; one file per service, [`server`] under all of them.

mod ca;
mod clock;
mod config;
mod ct;
mod error;
mod faults;
mod fulcio;
mod identity;
mod keys;
mod material;
mod oidc;
pub mod registry;
mod rekor1;
mod rekor1_entry;
mod rekor2;
mod rekor2_entry;
mod reply;
mod request_log;
mod server;
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

use crate::crypto::{PublicKey, Secret};

use ca::Authority;
use ct::CtLog;
use fulcio::Fulcio;
use material::{Addresses, Material};
use oidc::Issuer;
use rekor1::RekorV1;
use rekor2::RekorV2;
use request_log::RequestLog;
use server::Ports;
use store::Store;
use tsa::Tsa;
use tuf::Tuf;

pub use config::{RekorVersion, SandboxConfig};
pub use error::SandboxError;
pub use faults::{Fault, Faults, PlainFault, Struck};
pub use oidc::{TokenKind, TokenRequest};
pub use request_log::{RequestCounts, RequestRecord, Service};

/// Longest that [`Sandbox::stop`] waits for answers that are under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it stops it too, without waiting for answers that are under way.
pub struct Sandbox {
    material: Material,
    issuer: Arc<Issuer>,
    tuf: Arc<Tuf>,
    identity: String,
    token: Secret,
    requests: RequestLog,
    files: PathBuf,
    /// Removed when the sandbox goes, if its files were not asked for.
    _temporary: Option<tempfile::TempDir>,
    stop: watch::Sender<bool>,
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
        let now = clock::now();
        let requests = RequestLog::default();
        let faults = &config.faults;
        let ports = Ports::bind(&store).await?;

        let issuer = Arc::new(Issuer::open(
            &store,
            ports.oidc.url(),
            config.identity.clone(),
            requests.clone(),
        )?);
        let token = issuer.mint(&TokenRequest {
            expires_in: config.token_lifetime,
            ..TokenRequest::new(config.identity.clone())
        })?;
        let root = Authority::open_root(&store, "fulcio-root", "sandbox root", 1, now)?;
        let intermediate = "fulcio-intermediate";
        let name = "sandbox intermediate";
        let authority = root.open_intermediate(&store, intermediate, name, now)?;
        let ct = Arc::new(CtLog::open(&store, root.certificate().clone())?);
        let fulcio = Arc::new(Fulcio {
            issuer: issuer.clone(),
            root: root.certificate().clone(),
            authority,
            ct: ct.clone(),
            faults: faults.clone(),
        });
        let name = ports.rekor_v1.authority();
        let rekor_v1 = Arc::new(RekorV1::open(&store, name, faults.clone())?);
        let rekor_v2 = Arc::new(RekorV2::open(&store, faults.clone())?);
        let tsa = Arc::new(Tsa::open(&store, faults.clone())?);

        let public =
            |spki: &[u8]| PublicKey::from_spki_der(spki).map_err(SandboxError::make("public key"));
        // The root certificate's start is the sandbox's birth, kept with it.
        let start = root.certificate().validity().start;
        let material = Material {
            addresses: Addresses {
                oidc: ports.oidc.url(),
                fulcio: ports.fulcio.url(),
                ctlog: ports.ctlog.url(),
                rekor_v1: ports.rekor_v1.url(),
                rekor_v2: ports.rekor_v2.url(),
                tsa: format!("{}/api/v1/timestamp", ports.tsa.url()),
                tuf: ports.tuf.url(),
                registry: ports.registry.authority(),
                registry_plain: ports.registry_plain.authority(),
            },
            rekor: config.rekor,
            start,
            rekor_v1_key: public(rekor_v1.key().spki())?,
            rekor_v2_key: rekor_v2.key().clone(),
            rekor_v2_origin: rekor2::ORIGIN,
            ctlog_key: public(ct.key().spki())?,
            fulcio_chain: fulcio.chain().map(Clone::clone).to_vec(),
            tsa_chain: tsa.chain().map(Clone::clone).to_vec(),
        };
        let tuf = Arc::new(Tuf::open(&store, start, &material.tuf_targets())?);

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
        let (stop, stopping) = watch::channel(false);
        let routers = [
            (ports.oidc, issuer.clone().router()),
            (ports.fulcio, fulcio.router()),
            (ports.ctlog, ct.router()),
            (ports.rekor_v1, rekor_v1.router()),
            (ports.rekor_v2, rekor_v2.router()),
            (ports.tsa, tsa.router()),
            (ports.tuf, tuf.clone().router()),
        ];
        let tasks = routers
            .into_iter()
            .map(|(bound, router)| bound.serve(router, faults, &requests, &stopping))
            .collect();
        let sandbox = Sandbox {
            material,
            issuer,
            tuf,
            identity: config.identity,
            token,
            requests,
            files,
            _temporary: temporary,
            stop,
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

    /// Stops every service and waits, not for long, until none answers any more.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        let ended = futures_util::future::join_all(tasks);
        // A client may hold an answer that never ends; it is left to the runtime.
        let _ = tokio::time::timeout(STOP_TIMEOUT, ended).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.files.display())
    }
}
