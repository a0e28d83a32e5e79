//! TLS other than the system's, for services of which the user said so.
//!
//! Nothing here decides to whom it applies: an [`super::HttpClient`] that was made with it uses it for every
//! request it sends, and no other client does.

use std::fmt;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, ClientBuilder, Identity};

/// Which servers are believed to be who they say.
#[derive(Debug, Clone, Default)]
pub enum TlsTrust {
    /// Those with a certificate of the system's authorities.
    #[default]
    System,
    /// Those, and those of these authorities.
    SystemAnd(Vec<Certificate>),
    /// Those of these authorities and of no others.
    Only(Vec<Certificate>),
    /// Whoever answers, with any certificate. What is sent is encrypted, and nobody knows for whom.
    Anyone,
}

/// How TLS is spoken.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Which servers are believed.
    pub trust: TlsTrust,
    /// The client certificate and its key.
    pub identity: Option<Identity>,
    /// The name that the server's certificate is for, sent as the one that is wanted (SNI), instead of the URL's.
    /// The connection goes to the URL's host all the same, and never through a proxy.
    pub server_name: Option<String>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsOptions(..)")
    }
}

impl TlsOptions {
    /// Reads the authorities of a PEM file; `None` if there is none in it, or something else.
    pub fn authorities(pem: &[u8]) -> Option<Vec<Certificate>> {
        let found = Certificate::from_pem_bundle(pem).ok()?;
        let usable = !found.is_empty()
            && reqwest::Client::builder()
                .tls_certs_only(found.clone())
                .build()
                .is_ok();
        usable.then_some(found)
    }

    /// Reads a client certificate, with its chain if that is in the file too, and its key; `None` if they are not
    /// that, or not of each other.
    pub fn client_certificate(certificate: &[u8], key: &[u8]) -> Option<Identity> {
        let mut pem = zeroize::Zeroizing::new(certificate.to_vec());
        pem.push(b'\n');
        pem.extend_from_slice(key);
        let found = Identity::from_pem(&pem).ok()?;
        let usable = reqwest::Client::builder()
            .tls_certs_only([])
            .identity(found.clone())
            .build()
            .is_ok();
        usable.then_some(found)
    }

    pub(super) fn apply(&self, builder: ClientBuilder) -> ClientBuilder {
        let builder = match &self.trust {
            TlsTrust::System => builder,
            TlsTrust::SystemAnd(authorities) => builder.tls_certs_merge(authorities.clone()),
            TlsTrust::Only(authorities) => builder.tls_certs_only(authorities.clone()),
            TlsTrust::Anyone => builder.tls_danger_accept_invalid_certs(true),
        };
        match &self.identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    }
}

/// Resolves names, but for those that lead to this machine. The name localhost is let through: no target has it
/// here, but a proxy may.
pub(super) struct Elsewhere;

impl Resolve for Elsewhere {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let is_proxy = super::is_localhost(&host);
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            if !is_proxy && found.iter().any(|address| super::is_here(address.ip())) {
                return Err(LedHere.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// A name that a service led to is an address of this machine.
#[derive(Debug, thiserror::Error)]
#[error("a service elsewhere may not lead to loopback, which this name stands for")]
struct LedHere;

/// Resolves every name to the addresses of one host: the name is the one on the certificate.
pub(super) struct AlwaysTo(pub(super) String);

impl Resolve for AlwaysTo {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
