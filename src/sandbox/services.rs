//! All services of a sandbox, made from its store before any of them answers.

use std::sync::Arc;

use crate::crypto::PublicKey;

use super::ca::Authority;
use super::clock;
use super::config::SandboxConfig;
use super::ct::CtLog;
use super::error::SandboxError;
use super::fulcio::Fulcio;
use super::material::{Addresses, Material};
use super::oidc::Issuer;
use super::registry::{RegistryMode, SandboxRegistry};
use super::rekor1::RekorV1;
use super::rekor2::{self, RekorV2};
use super::request_log::{RequestLog, Service};
use super::server::Ports;
use super::store::Store;
use super::tsa::Tsa;

/// The services; the TUF repository comes after them, for it publishes their keys.
pub(super) struct Services {
    pub(super) issuer: Arc<Issuer>,
    pub(super) fulcio: Arc<Fulcio>,
    pub(super) ct: Arc<CtLog>,
    pub(super) rekor_v1: Arc<RekorV1>,
    pub(super) rekor_v2: Arc<RekorV2>,
    pub(super) tsa: Arc<Tsa>,
    pub(super) registry: Arc<SandboxRegistry>,
    pub(super) registry_plain: Arc<SandboxRegistry>,
}

impl Services {
    pub(super) fn open(
        store: &Store,
        ports: &Ports,
        config: &SandboxConfig,
        requests: &RequestLog,
    ) -> Result<Self, SandboxError> {
        let now = clock::now();
        let faults = &config.faults;
        let issuer = Arc::new(Issuer::open(
            store,
            ports.oidc.url(),
            config.identity.clone(),
            requests.clone(),
        )?);
        let root = Authority::open_root(store, "fulcio-root", "sandbox root", 1, now)?;
        let name = "sandbox intermediate";
        let authority = root.open_intermediate(store, "fulcio-intermediate", name, now)?;
        let ct = Arc::new(CtLog::open(store, root.certificate().clone())?);
        let fulcio = Arc::new(Fulcio {
            issuer: issuer.clone(),
            root: root.certificate().clone(),
            authority,
            ct: ct.clone(),
            faults: faults.clone(),
        });
        let name = ports.rekor_v1.authority();
        let plain = RegistryMode::without_referrers();
        let registry = |service, mode| {
            let registry = registry(store, service, mode)?;
            registry.set_manners(faults.manners());
            Ok::<_, SandboxError>(registry)
        };
        Ok(Services {
            issuer,
            fulcio,
            ct,
            rekor_v1: Arc::new(RekorV1::open(store, name, faults.clone())?),
            rekor_v2: Arc::new(RekorV2::open(store, faults.clone())?),
            tsa: Arc::new(Tsa::open(store, faults.clone())?),
            registry: registry(Service::Registry, RegistryMode::default())?,
            registry_plain: registry(Service::RegistryPlain, plain)?,
        })
    }

    /// Collects what a client must know and trust.
    pub(super) fn material(
        &self,
        ports: &Ports,
        config: &SandboxConfig,
    ) -> Result<Material, SandboxError> {
        let public =
            |spki: &[u8]| PublicKey::from_spki_der(spki).map_err(SandboxError::make("public key"));
        Ok(Material {
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
            // The root certificate's start is the sandbox's birth, kept with it.
            start: self.fulcio.root.validity().start,
            rekor_v1_key: public(self.rekor_v1.key().spki())?,
            rekor_v2_key: self.rekor_v2.key().clone(),
            rekor_v2_origin: rekor2::ORIGIN,
            ctlog_key: public(self.ct.key().spki())?,
            fulcio_chain: self.fulcio.chain().map(Clone::clone).to_vec(),
            tsa_chain: self.tsa.chain().map(Clone::clone).to_vec(),
        })
    }
}

fn registry(
    store: &Store,
    service: Service,
    mode: RegistryMode,
) -> Result<Arc<SandboxRegistry>, SandboxError> {
    let dir = store.dir(service.name());
    let path = dir.clone().unwrap_or_default();
    SandboxRegistry::new(RegistryMode { dir, ..mode })
        .map_err(|source| SandboxError::File { path, source })
}
