//! The one HTTP layer: every client of a service sends its requests through [`HttpClient::send`].
//!
//! It bounds every reply in bytes and in time, follows no redirect (the caller decides who may see
//! what), repeats only what is safe to repeat, and shows no credential in an error. It knows no
//! service and adds no credentials. Read [`super::error`] for what it reports.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
pub use reqwest::{Method, StatusCode, header};
use url::{Host, Url};

use super::error::{NetError, message_of, redacted};
use crate::diagnostic::clean;

/// Time to establish a connection, name lookup and TLS included. Generous for a transcontinental
/// handshake, short beside the default `--timeout` of three minutes.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of one request unless the caller sets another.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Cap of a reply unless the caller sets another: ten times the largest honest reply of Fulcio,
/// Rekor or a timestamp authority in our captures (below 100 KiB).
pub const REPLY_LIMIT: u64 = 1024 * 1024;
/// Longest wait taken from a `Retry-After` header.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(30);
/// First wait between attempts; it doubles each time.
const BACKOFF_START: Duration = Duration::from_millis(200);

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
    /// Everything else.
    general: OnceLock<Result<reqwest::Client, NetError>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpClient(..)")
    }
}

/// How often and how long a request is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Attempts in all, the first included; 0 counts as 1.
    pub attempts: u32,
    /// No further attempt starts later than this after the first.
    pub deadline: Duration,
}

impl Default for Backoff {
    /// Four attempts within a minute.
    fn default() -> Self {
        Backoff {
            attempts: 4,
            deadline: Duration::from_secs(60),
        }
    }
}

/// Whether a request may be sent again after a connection error, 408, 429 or 5xx (not 501, 505).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Sent once.
    Never,
    /// Repeated if the method is idempotent (RFC 9110 section 9.2.2); a POST or PATCH is sent once.
    Idempotent(Backoff),
    /// The caller states that repeating is harmless, whatever the method.
    SafeToRepeat(Backoff),
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy::Idempotent(Backoff::default())
    }
}

impl RetryPolicy {
    /// Returns the back-off that applies to a method; one attempt where repeating is not safe.
    fn backoff_for(&self, method: &Method) -> Backoff {
        const ONCE: Backoff = Backoff {
            attempts: 1,
            deadline: Duration::ZERO,
        };
        match self {
            RetryPolicy::SafeToRepeat(backoff) => *backoff,
            RetryPolicy::Idempotent(backoff) if method.is_idempotent() => *backoff,
            RetryPolicy::Idempotent(_) | RetryPolicy::Never => ONCE,
        }
    }
}

/// One request. Fields are plain; the constructors fill in the defaults.
#[derive(Debug, Clone)]
pub struct Request {
    /// The service, as shown in errors: `"Fulcio"`, `"Rekor"`, `"registry"`.
    pub service: &'static str,
    /// Method.
    pub method: Method,
    /// Where to; user name and password in it are never sent.
    pub url: Url,
    /// Headers; secret values must be marked sensitive ([`secret_header`]).
    pub headers: HeaderMap,
    /// Body; cheap to clone for another attempt.
    pub body: Bytes,
    /// Limit of one attempt, from connecting to the last byte of the reply.
    pub timeout: Duration,
    /// Cap of the reply's body in bytes.
    pub limit: u64,
    /// Whether it may be repeated.
    pub retry: RetryPolicy,
}

impl Request {
    /// Makes a request without body: 30 s, 1 MiB, repeated if idempotent.
    pub fn new(service: &'static str, method: Method, url: Url) -> Self {
        Request {
            service,
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: REQUEST_TIMEOUT,
            limit: REPLY_LIMIT,
            retry: RetryPolicy::default(),
        }
    }

    /// Makes a GET.
    pub fn get(service: &'static str, url: Url) -> Self {
        Request::new(service, Method::GET, url)
    }

    /// Makes a POST of a body of the given type; sent once unless [`Request::retry`] says otherwise.
    pub fn post(
        service: &'static str,
        url: Url,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Request::new(service, Method::POST, url)
            .header(CONTENT_TYPE, HeaderValue::from_static(content_type))
            .body(body)
    }

    /// Sets a header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the limit of one attempt.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the cap of the reply's body in bytes.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Sets whether the request may be repeated.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }
}

/// Makes a header value that `Debug` does not show; `None` if it holds control characters.
pub fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A whole reply of any status: the caller judges it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The service that was asked.
    pub service: &'static str,
    /// Redacted URL that was asked.
    pub url: String,
    /// HTTP status.
    pub status: StatusCode,
    /// Headers as received.
    pub headers: HeaderMap,
    /// Body, within the request's limit; empty for HEAD.
    pub body: Bytes,
}

impl Reply {
    /// Returns a header that is readable text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the media type without parameters, in lower case; empty if the header is missing.
    pub fn media_type(&self) -> String {
        let value = self.header(CONTENT_TYPE).unwrap_or_default();
        let end = value.find(';').unwrap_or(value.len());
        value[..end].trim().to_ascii_lowercase()
    }

    /// Returns whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Makes the error for a status the caller does not accept, with the service's own words.
    pub fn error(&self) -> NetError {
        NetError::Status {
            service: self.service,
            url: self.url.clone(),
            status: self.status.as_u16(),
            message: message_of(self.status, &self.body),
        }
    }

    /// Makes the error for a reply of the right status that is not what the protocol asks for.
    pub fn bad(&self, expected: &'static str, found: &str) -> NetError {
        NetError::BadReply {
            service: self.service,
            url: self.url.clone(),
            expected,
            found: clean(found, 200),
        }
    }

    /// Returns the reply if its status is 2xx, else [`Reply::error`].
    ///
    /// # Errors
    /// [`NetError::Status`] for every other status.
    pub fn success(self) -> Result<Self, NetError> {
        if self.is_success() {
            Ok(self)
        } else {
            Err(self.error())
        }
    }

    /// Parses the body as JSON; `expected` names what it should be.
    ///
    /// # Errors
    /// [`NetError::BadReply`] with the parser's complaint.
    pub fn json<T: serde::de::DeserializeOwned>(
        &self,
        expected: &'static str,
    ) -> Result<T, NetError> {
        serde_json::from_slice(&self.body).map_err(|e| self.bad(expected, &e.to_string()))
    }
}

impl HttpClient {
    /// Makes a client; nothing is read or opened yet.
    pub fn new() -> Self {
        HttpClient::default()
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
        let client = self.transport(&url)?;
        let exchange = async {
            let response = client
                .request(request.method.clone(), url)
                .headers(request.headers.clone())
                .body(request.body.clone())
                .send()
                .await
                .map_err(|e| transport_error(request, &shown, e))?;
            let status = response.status();
            let headers = response.headers().clone();
            let body = if request.method == Method::HEAD {
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

    fn transport(&self, url: &Url) -> Result<&reqwest::Client, NetError> {
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
                .get_or_init(|| with_roots(|| builder().no_proxy())),
            (false, _) => self.0.general.get_or_init(|| with_roots(builder)),
        };
        cell.as_ref().map_err(Clone::clone)
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
fn with_roots(builder: impl Fn() -> reqwest::ClientBuilder) -> Result<reqwest::Client, NetError> {
    let error = match builder().build() {
        Ok(client) => return Ok(client),
        Err(error) => error,
    };
    let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()));
    if chosen {
        return Err(no_trust_anchors(error));
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .filter_map(|der| reqwest::Certificate::from_der(der).ok());
    builder()
        .tls_certs_only(roots)
        .build()
        .map_err(no_trust_anchors)
}

fn no_trust_anchors(error: reqwest::Error) -> NetError {
    NetError::NoTrustAnchors {
        cause: causes(error),
    }
}

/// Takes the request's own credentials out of a reply that is no success.
fn without_secrets(body: Bytes, headers: &HeaderMap) -> Bytes {
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

/// Statuses that may pass by themselves. 501 and 505 state a lack, not a mishap.
fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502..=504 | 506..=599)
}

/// Reads `Retry-After`, seconds or HTTP date (RFC 9110 section 10.2.3), capped at 30 s.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
            Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(RETRY_AFTER_CAP))
}

/// Doubles from 200 ms, at most 10 s, and takes a random point in the upper half, so that clients
/// that failed together do not return together.
fn backoff_delay(attempt: u32) -> Duration {
    let full = BACKOFF_START
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(Duration::from_secs(10));
    full / 2 + jitter(full / 2)
}

/// Returns a random duration below `range`.
pub fn jitter(range: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without a random source there is no jitter, which is harmless here.
    let _ = getrandom::fill(&mut bytes);
    range.mul_f64(f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn only_idempotent_requests_are_repeated_by_themselves() {
        let backoff = Backoff::default();
        let standard = RetryPolicy::Idempotent(backoff);
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            assert_eq!(standard.backoff_for(&method), backoff);
        }
        for method in [Method::POST, Method::PATCH] {
            assert_eq!(standard.backoff_for(&method).attempts, 1);
        }
        assert_eq!(
            RetryPolicy::SafeToRepeat(backoff).backoff_for(&Method::POST),
            backoff
        );
        assert_eq!(RetryPolicy::Never.backoff_for(&Method::GET).attempts, 1);
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

    #[test]
    fn retry_after_is_read_and_capped() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("2"), Some(Duration::from_secs(2)));
        assert_eq!(wait("86400"), Some(Duration::from_secs(30)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(
            wait("Fri, 01 Jan 2100 00:00:00 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(wait("soon"), None);
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for attempt in 1..40 {
            let delay = backoff_delay(attempt);
            assert!(delay >= Duration::from_millis(100) && delay <= Duration::from_secs(10));
        }
        assert!(backoff_delay(6) > backoff_delay(1));
    }
}
