//! What the sandbox was asked: one record a request, so that a test can say "Fulcio was not asked".

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Requests kept; a sandbox that runs for days forgets the oldest beyond this.
const KEPT: usize = 20_000;

/// A service of the sandbox; each has a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// OpenID Connect issuer.
    Oidc,
    /// Certificate authority.
    Fulcio,
    /// Certificate transparency log.
    CtLog,
    /// Transparency log, version 1.
    RekorV1,
    /// Transparency log, version 2.
    RekorV2,
    /// Timestamp authority.
    Tsa,
    /// TUF repository.
    Tuf,
    /// OCI registry with the referrers API.
    Registry,
    /// OCI registry without the referrers API.
    RegistryPlain,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 9] = [
        Service::Oidc,
        Service::Fulcio,
        Service::CtLog,
        Service::RekorV1,
        Service::RekorV2,
        Service::Tsa,
        Service::Tuf,
        Service::Registry,
        Service::RegistryPlain,
    ];

    /// Returns the name used in `/requests` and in the sandbox's directory.
    pub fn name(self) -> &'static str {
        match self {
            Service::Oidc => "oidc",
            Service::Fulcio => "fulcio",
            Service::CtLog => "ctlog",
            Service::RekorV1 => "rekor-v1",
            Service::RekorV2 => "rekor-v2",
            Service::Tsa => "tsa",
            Service::Tuf => "tuf",
            Service::Registry => "registry",
            Service::RegistryPlain => "registry-plain",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Service asked.
    pub service: Service,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// HTTP status of the answer; of the answer that was withheld, where a fault cut the connection.
    pub status: u16,
}

/// How often each service was asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCounts(BTreeMap<Service, u64>);

impl RequestCounts {
    /// Returns the number of requests a service was sent.
    pub fn of(&self, service: Service) -> u64 {
        self.0.get(&service).copied().unwrap_or(0)
    }

    /// Returns the number of requests that both Rekor versions were sent.
    pub fn rekor(&self) -> u64 {
        self.of(Service::RekorV1) + self.of(Service::RekorV2)
    }

    /// Returns the number of requests that all services were sent.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The record of all requests, shared by the services.
#[derive(Clone, Default)]
pub(super) struct RequestLog(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    counts: BTreeMap<Service, u64>,
    records: std::collections::VecDeque<RequestRecord>,
}

impl RequestLog {
    pub(super) fn record(&self, record: RequestRecord) {
        let mut kept = self.0.lock().expect("no holder of this lock panics");
        *kept.counts.entry(record.service).or_default() += 1;
        if kept.records.len() == KEPT {
            kept.records.pop_front();
        }
        kept.records.push_back(record);
    }

    pub(super) fn counts(&self) -> RequestCounts {
        let kept = self.0.lock().expect("no holder of this lock panics");
        RequestCounts(kept.counts.clone())
    }

    pub(super) fn records(&self) -> Vec<RequestRecord> {
        let kept = self.0.lock().expect("no holder of this lock panics");
        kept.records.iter().cloned().collect()
    }

    /// The answer of `GET /requests`: `counts` has every service, `requests` those kept, oldest first.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let counts = self.counts();
        let named: serde_json::Map<String, serde_json::Value> = Service::ALL
            .iter()
            .map(|service| (service.name().to_owned(), counts.of(*service).into()))
            .collect();
        let requests: Vec<_> = self
            .records()
            .iter()
            .map(|record| {
                serde_json::json!({
                    "service": record.service.name(),
                    "method": record.method,
                    "path": record.path,
                    "status": record.status,
                })
            })
            .collect();
        serde_json::json!({ "counts": named, "requests": requests })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_request_and_names_every_service() {
        let log = RequestLog::default();
        for status in [500, 200] {
            log.record(RequestRecord {
                service: Service::RekorV2,
                method: "POST".to_owned(),
                path: "/api/v2/log/entries".to_owned(),
                status,
            });
        }
        assert_eq!(log.counts().of(Service::RekorV2), 2);
        assert_eq!(log.counts().rekor(), 2);
        assert_eq!(log.counts().of(Service::Fulcio), 0);
        let json = log.to_json();
        assert_eq!(json["counts"]["fulcio"], 0);
        assert_eq!(json["requests"][0]["status"], 500);
        assert_eq!(
            json["counts"].as_object().unwrap().len(),
            Service::ALL.len()
        );
    }
}
