//! A listening service: its port, the gate every request passes, and a wire that a fault can cut.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::error::SandboxError;
use super::faults::{Fault, Faults};
use super::request_log::{RequestLog, RequestRecord, Service};
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

    /// Starts to answer, behind the gate, until `stop` turns true.
    pub(super) fn serve(
        self,
        router: Router,
        faults: &Faults,
        log: &RequestLog,
        stop: &watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let gate = Arc::new(Gate::new(self.service, faults, log.clone(), stop.clone()));
        let app = router
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(axum::middleware::from_fn_with_state(gate, Gate::pass))
            .into_make_service_with_connect_info::<Wire>();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let stopped = async move {
                // An error means that the sandbox itself is gone.
                let _ = stop.wait_for(|stopped| *stopped).await;
            };
            // Accept errors are retried inside; serving ends by the signal only.
            let _ = axum::serve(WireListener(self.listener), app)
                .with_graceful_shutdown(stopped)
                .await;
        })
    }
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

/// Records each request and applies the faults that are the same for every service.
struct Gate {
    service: Service,
    log: RequestLog,
    slow: Option<Duration>,
    /// Requests still to be refused with 503; `u32::MAX` stands for all.
    unavailable: AtomicU32,
    garbage: bool,
    huge: bool,
    lose_reply: AtomicBool,
    stop: watch::Receiver<bool>,
}

impl Gate {
    fn new(
        service: Service,
        faults: &Faults,
        log: RequestLog,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut gate = Gate {
            service,
            log,
            slow: None,
            unavailable: AtomicU32::new(0),
            garbage: false,
            huge: false,
            lose_reply: AtomicBool::new(false),
            stop,
        };
        for fault in faults.general(service) {
            match *fault {
                Fault::Slow(_, time) => gate.slow = Some(time),
                Fault::Unavailable(_, first) => {
                    gate.unavailable = AtomicU32::new(first.unwrap_or(u32::MAX));
                }
                Fault::Garbage(_) => gate.garbage = true,
                Fault::Huge(_) => gate.huge = true,
                Fault::LostReply(_) => gate.lose_reply = AtomicBool::new(true),
                Fault::Plain(_) => {}
            }
        }
        gate
    }

    async fn pass(
        State(gate): State<Arc<Gate>>,
        ConnectInfo(wire): ConnectInfo<Wire>,
        request: Request,
        next: Next,
    ) -> Response {
        let method = request.method().clone();
        let path = request
            .uri()
            .path_and_query()
            .map_or_else(String::new, ToString::to_string);
        // Looking at the record is not part of it.
        if gate.service == Service::Oidc && path == "/requests" {
            return next.run(request).await;
        }
        let response = gate.answer(&method, &wire, request, next).await;
        gate.log.record(RequestRecord {
            service: gate.service,
            method: method.to_string(),
            path,
            status: response.status().as_u16(),
        });
        response
    }

    async fn answer(&self, method: &Method, wire: &Wire, request: Request, next: Next) -> Response {
        if let Some(time) = self.slow {
            let mut stop = self.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        }
        if self.is_unavailable() {
            let body = r#"{"code":503,"message":"unavailable by --fault"}"#;
            let json = [(header::CONTENT_TYPE, "application/json")];
            return (StatusCode::SERVICE_UNAVAILABLE, json, body).into_response();
        }
        let success = match self.service {
            Service::RekorV1 | Service::RekorV2 if method == Method::POST => StatusCode::CREATED,
            _ => StatusCode::OK,
        };
        if self.garbage {
            let html = [(header::CONTENT_TYPE, "text/html")];
            return (success, html, "<!doctype html><p>Welcome.\n").into_response();
        }
        if self.huge {
            let chunk = Bytes::from_static(&[b' '; 64 * 1024]);
            let endless = futures_util::stream::repeat_with(move || {
                Ok::<_, std::convert::Infallible>(chunk.clone())
            });
            return (success, Body::from_stream(endless)).into_response();
        }
        let is_write = match self.service {
            Service::Registry | Service::RegistryPlain => {
                method == Method::PUT && request.uri().path().contains("/manifests/")
            }
            _ => method == Method::POST,
        };
        let response = next.run(request).await;
        if is_write
            && response.status().is_success()
            && self.lose_reply.swap(false, Ordering::Relaxed)
        {
            wire.cut();
        }
        response
    }

    fn is_unavailable(&self) -> bool {
        let spend = |left: u32| match left {
            0 => None,
            u32::MAX => Some(u32::MAX),
            left => Some(left - 1),
        };
        self.unavailable
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend)
            .is_ok()
    }
}

/// A connection's switch: once cut, nothing more is written and the peer sees it close.
#[derive(Clone, Default)]
struct Wire(Arc<AtomicBool>);

impl Wire {
    fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

struct WireListener(TcpListener);

struct WireStream {
    stream: TcpStream,
    wire: Wire,
}

impl Listener for WireListener {
    type Io = WireStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (WireStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Answers are small; without this a reply may wait for the delayed acknowledgement.
        let _ = stream.set_nodelay(true);
        let wire = Wire::default();
        (WireStream { stream, wire }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
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
