//! The gate that every request passes: it is recorded, and struck by the faults that are the same for
//! every service.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;

use super::faults::{Fault, Faults};
use super::request_log::{RequestLog, RequestRecord, Service};
use super::server::{Phase, Wire};

/// Records each request and applies the faults that are the same for every service.
pub(super) struct Gate {
    service: Service,
    log: RequestLog,
    slow: Option<Duration>,
    /// Requests still to be refused with 503; `u32::MAX` stands for all.
    unavailable: AtomicU32,
    garbage: bool,
    huge: bool,
    lose_reply: AtomicBool,
    phase: watch::Receiver<Phase>,
}

impl Gate {
    pub(super) fn new(
        service: Service,
        faults: &Faults,
        log: RequestLog,
        phase: watch::Receiver<Phase>,
    ) -> Self {
        let mut gate = Gate {
            service,
            log,
            slow: None,
            unavailable: AtomicU32::new(0),
            garbage: false,
            huge: false,
            lose_reply: AtomicBool::new(false),
            phase,
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
                Fault::Plain(_) | Fault::Manner(_) => {}
            }
        }
        gate
    }

    pub(super) async fn pass(
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
            let mut phase = self.phase.clone();
            tokio::select! {
                () = tokio::time::sleep(time) => {}
                _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
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
