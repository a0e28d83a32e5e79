//! The one HTTP layer: every client of a service sends its requests through [`HttpClient::send`].
//!
//! It bounds every reply in bytes and in time, follows no redirect (the caller decides who may see
//! what), repeats only what is safe to repeat, and shows no credential in an error. It knows no
//! service and adds no credentials. Read [`super::error`] for what it reports.

mod message;
mod retry;
mod sent;
mod stream;
mod tls;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
pub use message::{REPLY_LIMIT, REQUEST_TIMEOUT, Reply, Request, secret_header};
pub use reqwest::{Method, StatusCode, header};
pub use retry::{Backoff, RetryPolicy, jitter};
use retry::{backoff_delay, is_transient, retry_after};
pub use sent::hide;
pub use stream::{Unread, Upload};
pub use tls::{TlsOptions, TlsTrust};
use url::{Host, Url};

use super::error::{NetError, redacted};
use crate::diagnostic::clean;

/// Time to establish a connection, name lookup and TLS included. Generous for a transcontinental
/// handshake, short beside the time that a whole request may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A lazily built HTTP client; cheap to clone, all clones share their connections.
///
/// Nothing happens before the first request: no CA store is read for a command that stays offline or
/// on loopback. TLS trusts the platform's roots; where the host has no CA store (scratch and
/// distroless images), the Mozilla roots of `webpki-root-certs`. Proxies of the environment are
/// honoured, except for loopback addresses.
#[derive(Clone, Default)]
pub struct HttpClient(Arc<Transports>);

#[derive(Default)]
struct Transports {
    /// Plain HTTP on loopback: needs neither roots nor proxy.
    plain_loopback: OnceLock<Result<reqwest::Client, NetError>>,
    /// HTTPS on loopback: never through a proxy.
    tls_loopback: OnceLock<Result<reqwest::Client, NetError>>,
    /// What services lead to: never an address of this machine, whatever its name.
    led: OnceLock<Result<reqwest::Client, NetError>>,
    /// Everything else.
    general: OnceLock<Result<reqwest::Client, NetError>>,
    tls: TlsOptions,
    /// HTTPS to hosts whose certificate is for another name, by host.
    renamed: Mutex<HashMap<String, reqwest::Client>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient(..)")
    }
}

impl HttpClient {
    /// Makes a client; nothing is read or opened yet.
    pub fn new() -> Self {
        HttpClient::default()
    }

    /// Makes a client that speaks TLS in a way of its own; nothing is read or opened yet. Plain HTTP is what it
    /// is everywhere.
    pub fn with_tls(tls: TlsOptions) -> Self {
        HttpClient(Arc::new(Transports {
            tls,
            ..Transports::default()
        }))
    }

    /// Sends a request and reads the whole reply, repeating as its [`RetryPolicy`] allows.
    ///
    /// Replies of every status are returned, redirects too. When attempts run out, the last outcome
    /// is returned, be it a reply or an error.
    ///
    /// # Errors
    /// [`NetError::Unreachable`], [`NetError::TimedOut`], [`NetError::TooLarge`],
    /// [`NetError::NoTrustAnchors`].
    pub async fn send(&self, request: Request) -> Result<Reply, NetError> {
        let backoff = request.retry.backoff_for(&request.method);
        let mut sensitive = request.headers.values().filter(|v| v.is_sensitive());
        let has_secrets = sensitive.next().is_some() || !request.secrets.is_empty();
        if has_secrets
            && !request.plain
            && request.url.scheme() == "http"
            && !is_loopback(&request.url)
        {
            return Err(NetError::NotEncrypted {
                service: request.service,
                url: redacted(&request.url),
            });
        }
        for value in request.headers.values().filter(|v| v.is_sensitive()) {
            sent::note_header(value.to_str().unwrap_or_default());
        }
        for secret in &request.secrets {
            sent::note(secret.expose());
        }
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let outcome = self.send_once(&request).await;
            let asked = match &outcome {
                Ok(reply) if is_transient(reply.status) => retry_after(&reply.headers),
                Err(NetError::Unreachable { .. }) => None,
                _ => return outcome,
            };
            let wait = asked.unwrap_or_else(|| backoff_delay(attempt));
            if attempt >= backoff.attempts || started.elapsed() + wait > backoff.deadline {
                return outcome;
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn send_once(&self, request: &Request) -> Result<Reply, NetError> {
        let mut url = request.url.clone();
        // Credentials travel in headers we chose, never because a URL happened to hold some.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let shown = redacted(&url);
        let client = self.transport(&url, request.led)?;
        let mut headers = request.headers.clone();
        if let Some(asked) = self.rename(&mut url) {
            headers.insert(header::HOST, asked);
        }
        let exchange = async {
            let sent = client.request(request.method.clone(), url).headers(headers);
            let sent = match &request.upload {
                Some(upload) => upload.fill(sent),
                None => sent.body(request.body.clone()),
            };
            let response = sent
                .send()
                .await
                .map_err(|e| transport_error(request, &shown, e))?;
            let status = response.status();
            let headers = response.headers().clone();
            let mut unread = Unread::default();
            let body = if request.method == Method::HEAD {
                Bytes::new()
            } else if request.leave_unread && status.is_success() {
                unread = Unread::holding(response);
                Bytes::new()
            } else {
                let body = read_bounded(response, request, &shown).await?;
                match status.is_success() {
                    true => body,
                    // Words of refusal are shown to people; some services repeat in them what they got.
                    false => without_secrets(body, &request.headers),
                }
            };
            Ok(Reply {
                service: request.service,
                url: shown.clone(),
                status,
                headers,
                body,
                unread,
            })
        };
        match tokio::time::timeout(request.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(NetError::TimedOut {
                service: request.service,
                url: shown.clone(),
                seconds: request.timeout.as_secs(),
            }),
        }
    }

    fn transport(&self, url: &Url, led: bool) -> Result<reqwest::Client, NetError> {
        let tls = &self.0.tls;
        if let ("https", Some(_), Some(host)) = (url.scheme(), &tls.server_name, url.host_str()) {
            let mut renamed = self
                .0
                .renamed
                .lock()
                .expect("nothing panics while holding it");
            if let Some(client) = renamed.get(host) {
                return Ok(client.clone());
            }
            // The name in brackets is an address; a resolver wants it without.
            let at = host.trim_matches(['[', ']']).to_owned();
            let client = with_roots(tls, || {
                builder()
                    .no_proxy()
                    .http1_only()
                    .dns_resolver(tls::AlwaysTo(at.clone()))
            })?;
            renamed.insert(host.to_owned(), client.clone());
            return Ok(client);
        }
        let cell = match (is_loopback(url), url.scheme()) {
            (true, "http") => self.0.plain_loopback.get_or_init(|| {
                builder()
                    .no_proxy()
                    .tls_certs_only([])
                    .build()
                    .map_err(no_trust_anchors)
            }),
            (true, _) => self
                .0
                .tls_loopback
                .get_or_init(|| with_roots(tls, || builder().no_proxy())),
            (false, _) if led => self
                .0
                .led
                .get_or_init(|| with_roots(tls, || builder().dns_resolver(tls::Elsewhere))),
            (false, _) => self.0.general.get_or_init(|| with_roots(tls, builder)),
        };
        cell.clone()
    }

    /// Puts the name on the certificate in the place of an https URL's host, if they differ, and returns the host
    /// and port that are asked for.
    fn rename(&self, url: &mut Url) -> Option<header::HeaderValue> {
        let name = self.0.tls.server_name.as_deref()?;
        if url.scheme() != "https" {
            return None;
        }
        let host = url.host_str()?;
        let asked = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        url.set_host(Some(name)).ok()?;
        asked.parse().ok()
    }
}

fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("keyless/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
}

/// Builds with the platform's roots. Without any, with the Mozilla roots, unless the environment
/// names a store: a store somebody chose is never silently replaced by another.
fn with_roots(
    tls: &TlsOptions,
    builder: impl Fn() -> reqwest::ClientBuilder,
) -> Result<reqwest::Client, NetError> {
    let error = match tls.apply(builder()).build() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let others = match &tls.trust {
        TlsTrust::System => &[][..],
        TlsTrust::SystemAnd(others) => others,
        TlsTrust::Only(_) | TlsTrust::Anyone => return Err(no_trust_anchors(error)),
    };
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if chosen {
        return Err(no_trust_anchors(error));
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok())
        .chain(others.iter().cloned())
        .collect();
    let tls = TlsOptions {
        trust: TlsTrust::Only(roots),
        ..tls.clone()
    };
    tls.apply(builder()).build().map_err(no_trust_anchors)
}

fn no_trust_anchors(error: reqwest::Error) -> NetError {
    NetError::NoTrustAnchors {
        cause: causes(error),
    }
}

/// Takes the request's own credentials out of a reply that is no success.
fn without_secrets(body: Bytes, headers: &header::HeaderMap) -> Bytes {
    /// Shorter words of a header are its scheme. A token's parts are hidden each by itself.
    const SHORTEST: usize = 8;
    let mut text = None;
    let secrets = headers
        .values()
        .filter(|value| value.is_sensitive())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([' ', '.']))
        .filter(|word| word.len() >= SHORTEST);
    for secret in secrets {
        let shown = text.get_or_insert_with(|| String::from_utf8_lossy(&body).into_owned());
        *shown = shown.replace(secret, "..");
    }
    text.map_or(body, Bytes::from)
}

/// Reads a body of at most the request's limit: an announced length beyond it is refused before the
/// first byte, an unannounced one as soon as it is exceeded.
async fn read_bounded(
    mut response: reqwest::Response,
    request: &Request,
    shown: &str,
) -> Result<Bytes, NetError> {
    let too_large = || NetError::TooLarge {
        service: request.service,
        url: shown.to_owned(),
        limit: request.limit,
    };
    if response
        .content_length()
        .is_some_and(|length| length > request.limit)
    {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| transport_error(request, shown, e))?
    {
        if (whole.len() + chunk.len()) as u64 > request.limit {
            return Err(too_large());
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole.freeze())
}

fn transport_error(request: &Request, shown: &str, error: reqwest::Error) -> NetError {
    if error.is_timeout() {
        return NetError::TimedOut {
            service: request.service,
            url: shown.to_owned(),
            seconds: CONNECT_TIMEOUT.as_secs(),
        };
    }
    NetError::Unreachable {
        service: request.service,
        url: shown.to_owned(),
        cause: causes(error),
    }
}

/// Joins an error's causes without its URL, which may hold secrets; the innermost says most.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = next {
        let line = cause.to_string();
        if !text.contains(&line) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&line);
        }
        next = cause.source();
    }
    clean(&text, 300)
}

/// Returns whether a URL's host is loopback by name or address; nothing is looked up.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Returns whether a URL's host is this machine, by name or address, as far as can be told without looking it up:
/// loopback, the unspecified address, which connects there, and every name that may be localhost's.
pub fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            is_localhost(name) || name.to_ascii_lowercase().ends_with(".localhost")
        }
        Some(Host::Ipv4(address)) => is_here(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_here(IpAddr::V6(address)),
        None => false,
    }
}

/// Returns whether an address is this machine's own: loopback, or the unspecified one. One that holds an address
/// of the older kind (RFC 4291 section 2.5.5) is that.
fn is_here(address: IpAddr) -> bool {
    let compatible = match address {
        IpAddr::V6(v6) => v6.to_ipv4().map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    let mapped = address.to_canonical();
    [Some(mapped), compatible]
        .into_iter()
        .flatten()
        .any(|address| address.is_loopback() || address.is_unspecified())
        || starts_with_zero(mapped)
}

/// "This network" (RFC 1122 section 3.2.1.3).
fn starts_with_zero(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0)
}

/// The name RFC 6761 section 6.3 reserves for loopback. Names under it are reserved too, but not
/// every resolver keeps to that, so they do not count.
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
}

/// Returns whether two URLs have the same scheme, host and port: the only place a credential meant
/// for one may be sent for the other.
pub fn same_origin(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn loopback_is_decided_by_the_whole_host() {
        for yes in [
            "http://localhost:5000/",
            "http://LOCALHOST/",
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://[::1]:80/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            assert!(is_loopback(&url(yes)), "{yes}");
        }
        for no in [
            "http://localhost.example.test/",
            "http://notlocalhost/",
            "http://127.0.0.1.example.test/",
            "http://128.0.0.1/",
            "http://[::2]/",
        ] {
            assert!(!is_loopback(&url(no)), "{no}");
        }
    }

    #[tokio::test]
    async fn a_secret_never_leaves_this_machine_unencrypted() {
        for (address, refused) in [
            ("http://fulcio.example.test/", true),
            ("http://192.0.2.1/", true),
            ("http://127.0.0.1:1/", false),
            ("http://[::1]:1/", false),
            ("http://localhost:1/", false),
        ] {
            let bearer = secret_header("Bearer correct-horse").unwrap();
            let request = Request::get("Fulcio", url(address))
                .header(header::AUTHORIZATION, bearer)
                .retry(RetryPolicy::Never);
            let error = HttpClient::new().send(request).await.unwrap_err();
            let found = matches!(error, NetError::NotEncrypted { .. });
            assert_eq!(found, refused, "{address}: {error}");
        }
    }

    #[test]
    fn this_machine_is_known_in_disguise() {
        for yes in [
            "http://localhost/",
            "http://localhost./",
            "http://a.localhost/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://0.0.0.0/",
            "http://0/",
            "http://0.1.2.3/",
            "https://[::]/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:0.0.0.0]/",
            "https://[::127.0.0.1]/",
        ] {
            assert!(is_this_machine(&url(yes)), "{yes}");
        }
        for no in [
            "https://localhost.example.test/",
            "https://128.0.0.1/",
            "https://[2001:db8::1]/",
            "https://[::2:1]/",
        ] {
            assert!(!is_this_machine(&url(no)), "{no}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let base = url("https://registry.example.test/v2/");
        assert!(same_origin(
            &base,
            &url("https://registry.example.test:443/x")
        ));
        for other in [
            "http://registry.example.test/",
            "https://registry.example.test:8443/",
            "https://registry.example.test.evil.test/",
            "https://example.test/",
        ] {
            assert!(!same_origin(&base, &url(other)), "{other}");
        }
    }
}
