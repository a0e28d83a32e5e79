//! A listening service: its port, and connections that can be cut in the middle of an answer.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::SandboxError;
use super::faults::Faults;
use super::gate::Gate;
use super::request_log::{RequestLog, Service};
use super::store::Store;

/// Largest request body taken; Rekor v1 entries may carry whole attestations.
const MAX_BODY: usize = 32 << 20;

/// A service that has its port but does not answer yet; its URL goes into keys and certificates.
pub(super) struct Bound {
    service: Service,
    listener: TcpListener,
    port: u16,
}

impl Bound {
    /// Binds an ephemeral port of 127.0.0.1, or the one that the service had before.
    pub(super) async fn bind(service: Service, before: Option<u16>) -> Result<Self, SandboxError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, before.unwrap_or(0)));
        let failed = |source: io::Error| match before {
            Some(port) if source.kind() == io::ErrorKind::AddrInUse => {
                SandboxError::PortTaken { service, port }
            }
            _ => SandboxError::Listen { service, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        Ok(Bound {
            service,
            listener,
            port,
        })
    }

    /// Returns `127.0.0.1:PORT`.
    pub(super) fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns `http://127.0.0.1:PORT`.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Starts to answer, behind the gate, until the phase says otherwise.
    pub(super) fn serve(
        self,
        router: Router,
        faults: &Faults,
        log: &RequestLog,
        phase: &watch::Receiver<Phase>,
    ) -> JoinHandle<()> {
        let gate = Arc::new(Gate::new(self.service, faults, log.clone(), phase.clone()));
        let app = router
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(axum::middleware::from_fn_with_state(gate, Gate::pass))
            .into_make_service_with_connect_info::<Wire>();
        let mut stopping = phase.clone();
        let listener = WireListener {
            listener: self.listener,
            phase: phase.clone(),
        };
        tokio::spawn(async move {
            let stopped = async move {
                // An error means that the sandbox itself is gone.
                let _ = stopping.wait_for(|phase| *phase != Phase::Running).await;
            };
            // Accept errors are retried inside; serving ends by the signal only.
            let _ = axum::serve(listener, app)
                .with_graceful_shutdown(stopped)
                .await;
        })
    }
}

/// What a running sandbox is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Answering.
    Running,
    /// Ending the answers under way, taking no new requests.
    Stopping,
    /// Cutting the connections that are left.
    Cut,
}

/// The ports of all services. They are bound before anything is made, for URLs go into certificates.
pub(super) struct Ports {
    pub(super) oidc: Bound,
    pub(super) fulcio: Bound,
    pub(super) ctlog: Bound,
    pub(super) rekor_v1: Bound,
    pub(super) rekor_v2: Bound,
    pub(super) tsa: Bound,
    pub(super) tuf: Bound,
    pub(super) registry: Bound,
    pub(super) registry_plain: Bound,
}

const PORTS_FILE: &str = "ports.json";

impl Ports {
    /// Binds every port: those of the last start, where the store remembers one.
    pub(super) async fn bind(store: &Store) -> Result<Self, SandboxError> {
        let before = store.read(PORTS_FILE)?;
        let before: BTreeMap<String, u16> = match &before {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|_| store.damaged(PORTS_FILE, "not an object of port numbers"))?,
        };
        let bind = |service: Service| Bound::bind(service, before.get(service.name()).copied());
        let ports = Ports {
            oidc: bind(Service::Oidc).await?,
            fulcio: bind(Service::Fulcio).await?,
            ctlog: bind(Service::CtLog).await?,
            rekor_v1: bind(Service::RekorV1).await?,
            rekor_v2: bind(Service::RekorV2).await?,
            tsa: bind(Service::Tsa).await?,
            tuf: bind(Service::Tuf).await?,
            registry: bind(Service::Registry).await?,
            registry_plain: bind(Service::RegistryPlain).await?,
        };
        let bound = [
            &ports.oidc,
            &ports.fulcio,
            &ports.ctlog,
            &ports.rekor_v1,
            &ports.rekor_v2,
            &ports.tsa,
            &ports.tuf,
            &ports.registry,
            &ports.registry_plain,
        ];
        let now: BTreeMap<_, _> = bound
            .iter()
            .map(|bound| (bound.service.name(), bound.port))
            .collect();
        let text = serde_json::to_string(&now).expect("names and numbers serialise");
        store.write(PORTS_FILE, &text)?;
        Ok(ports)
    }
}

/// A connection's switch: once cut, nothing more is written and the peer sees it close.
#[derive(Clone)]
pub(super) struct Wire {
    cut: Arc<AtomicBool>,
    phase: watch::Receiver<Phase>,
}

impl Wire {
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) || *self.phase.borrow() == Phase::Cut {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

struct WireListener {
    listener: TcpListener,
    phase: watch::Receiver<Phase>,
}

struct WireStream {
    stream: TcpStream,
    wire: Wire,
}

impl Listener for WireListener {
    type Io = WireStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (WireStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are small; without this a reply may wait for the delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let wire = Wire {
            cut: Arc::default(),
            phase: self.phase.clone(),
        };
        (WireStream { stream, wire }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, WireListener>> for Wire {
    fn connect_info(stream: IncomingStream<'_, WireListener>) -> Self {
        stream.io().wire.clone()
    }
}

impl AsyncRead for WireStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WireStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wire.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
