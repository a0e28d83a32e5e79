//! Which connection a request of a registry goes over: what the user said of a registry's TLS is about that host,
//! and never about the hosts it leads to.

use url::Url;

use crate::net::error::NetError;
use crate::net::http::{HttpClient, Reply, Request, TlsOptions, TlsTrust, is_this_machine};

/// TLS of registries, as the user wants it.
#[derive(Debug, Clone)]
pub struct RegistryTls {
    /// For the registry's host, whichever the port.
    pub options: TlsOptions,
    /// Whether the user counts on TLS: a registry on loopback is then not spoken to in plain HTTP.
    pub required: bool,
}

/// Connections to registries, and to where they lead.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    registry: HttpClient,
    elsewhere: HttpClient,
}

impl Transport {
    /// Divides: a client certificate, another server name and blind trust are for the registry's own host.
    /// Authorities that the user named are believed elsewhere too, beside the system's: a registry's token service
    /// and its storage are often of the same house.
    pub(super) fn new(http: HttpClient, tls: Option<&RegistryTls>) -> Self {
        let Some(RegistryTls { options, .. }) = tls else {
            return Transport {
                registry: http.clone(),
                elsewhere: http,
            };
        };
        let elsewhere = match &options.trust {
            TlsTrust::SystemAnd(authorities) | TlsTrust::Only(authorities) => {
                HttpClient::with_tls(TlsOptions {
                    trust: TlsTrust::SystemAnd(authorities.clone()),
                    ..TlsOptions::default()
                })
            }
            TlsTrust::System | TlsTrust::Anyone => http,
        };
        Transport {
            registry: HttpClient::with_tls(options.clone()),
            elsewhere,
        }
    }

    /// Sends a request on behalf of the registry at `origin`.
    pub(super) async fn send(&self, origin: &Url, mut request: Request) -> Result<Reply, NetError> {
        // Whether a registry is spoken to in plain HTTP is settled before anything is sent to it.
        request.plain = true;
        request.led = origin.host() != request.url.host() && !is_this_machine(origin);
        if origin.host() == request.url.host() {
            self.registry.send(request).await
        } else {
            self.elsewhere.send(request).await
        }
    }
}
