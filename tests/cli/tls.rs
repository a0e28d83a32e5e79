//! Registries that speak TLS, with authorities of their own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use der::asn1::Ia5String;
use der::{Decode as _, Encode as _, EncodePem as _};
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{self, Builder as _, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::ext::{Extension, ToExtension as _};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::Validity;

use crate::support::World;

/// What a certificate is for: an authority if there are no names.
struct Purpose {
    issuer: Name,
    subject: Name,
    names: Vec<GeneralName>,
}

impl BuilderProfile for Purpose {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> builder::Result<Vec<Extension>> {
        let constraints = BasicConstraints {
            ca: self.names.is_empty(),
            path_len_constraint: None,
        };
        let mut extensions = vec![(&constraints).to_extension(tbs.subject(), &[])?];
        if !self.names.is_empty() {
            let names = SubjectAltName(self.names.clone());
            extensions.push((&names).to_extension(tbs.subject(), &extensions)?);
        }
        Ok(extensions)
    }
}

/// An authority for TLS certificates, of servers and clients.
pub struct Authority {
    key: SigningKey,
    name: Name,
    pub pem: String,
}

/// A certificate and its key, PEM.
pub struct Certified {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = SigningKey::generate();
        let name: Name = format!("CN={name}").parse().unwrap();
        let pem = issue(&key, &name, &key, &name, Vec::new());
        Authority { key, name, pem }
    }

    /// Certifies a new key for host names and addresses.
    pub fn certify(&self, names: &[&str]) -> Certified {
        let key = SigningKey::generate();
        let alternatives = names.iter().map(|name| match name.parse::<IpAddr>() {
            Ok(address) => GeneralName::from(address),
            Err(_) => GeneralName::DnsName(Ia5String::new(name).unwrap()),
        });
        let subject: Name = "CN=subject".parse().unwrap();
        Certified {
            certificate: issue(
                &self.key,
                &self.name,
                &key,
                &subject,
                alternatives.collect(),
            ),
            key: key.to_pkcs8_pem(LineEnding::LF).unwrap().to_string(),
        }
    }
}

fn issue(
    signer: &SigningKey,
    issuer: &Name,
    key: &SigningKey,
    subject: &Name,
    names: Vec<GeneralName>,
) -> String {
    let purpose = Purpose {
        issuer: issuer.clone(),
        subject: subject.clone(),
        names,
    };
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).unwrap();
    serial[0] = serial[0] & 0x3f | 0x40;
    let spki = key.verifying_key().to_public_key_der().unwrap();
    let spki = SubjectPublicKeyInfoOwned::from_der(spki.as_bytes()).unwrap();
    let builder = CertificateBuilder::new(
        purpose,
        SerialNumber::new(&serial).unwrap(),
        Validity::from_now(Duration::from_secs(3600)).unwrap(),
        spki,
    )
    .unwrap();
    let certificate = builder.build::<_, DerSignature>(signer).unwrap();
    assert!(!certificate.to_der().unwrap().is_empty());
    certificate.to_pem(LineEnding::LF).unwrap()
}

/// One TLS connection that was made.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The name that was asked for (SNI).
    pub server_name: Option<String>,
    /// Whether a client certificate came.
    pub client_certificate: bool,
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    log: Arc<Mutex<Vec<Handshake>>>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let handshake =
                tokio::time::timeout(Duration::from_secs(5), self.acceptor.accept(stream));
            // Who does not like the certificate goes away.
            let Ok(Ok(stream)) = handshake.await else {
                continue;
            };
            let (_, session) = stream.get_ref();
            self.log.lock().unwrap().push(Handshake {
                server_name: session.server_name().map(str::to_owned),
                client_certificate: session.peer_certificates().is_some(),
            });
            return (stream, address);
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// Whether a server asks its clients for certificates.
pub enum Clients<'a> {
    Anybody,
    /// Asked for; who has none may come in all the same.
    Asked(&'a Authority),
    Certified(&'a Authority),
}

/// A server on every address of this machine, as long as the world lasts.
pub struct TlsServer {
    port: u16,
    log: Arc<Mutex<Vec<Handshake>>>,
}

impl TlsServer {
    pub fn start(world: &World, router: Router, own: &Certified, clients: Clients<'_>) -> Self {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let verifier = |authority: &Authority, optional: bool| {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
            roots.add(root).unwrap();
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let builder = match optional {
                true => builder.allow_unauthenticated(),
                false => builder,
            };
            builder.build().unwrap()
        };
        let config = match clients {
            Clients::Anybody => config.with_no_client_auth(),
            Clients::Asked(authority) => {
                config.with_client_cert_verifier(verifier(authority, true))
            }
            Clients::Certified(authority) => {
                config.with_client_cert_verifier(verifier(authority, false))
            }
        };
        let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
        let config = config.with_single_cert(vec![certificate], key).unwrap();
        let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let log: Arc<Mutex<Vec<Handshake>>> = Arc::default();
        let kept = log.clone();
        world.spawn(async move {
            let listener = TlsListener {
                listener: TcpListener::from_std(listener).unwrap(),
                acceptor: TlsAcceptor::from(Arc::new(config)),
                log: kept,
            };
            axum::serve(listener, router).await.unwrap();
        });
        TlsServer { port, log }
    }

    /// Its address by a name that the program does not take for loopback, though it is.
    pub fn elsewhere(&self) -> String {
        format!("0.0.0.0:{}", self.port)
    }

    pub fn loopback(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn localhost(&self) -> String {
        format!("localhost:{}", self.port)
    }

    pub fn handshakes(&self) -> Vec<Handshake> {
        self.log.lock().unwrap().clone()
    }
}

/// Writes a PEM file where no secret is looked for.
pub fn pem_file(world: &World, name: &str, pem: &str) -> PathBuf {
    let path = world.path_elsewhere(name);
    std::fs::write(&path, pem).unwrap();
    path
}
