//! Requests and replies, whole and in memory.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use url::Url;

use super::retry::RetryPolicy;
use super::stream::{Unread, Upload};
use crate::crypto::Secret;
use crate::diagnostic::clean;
use crate::net::error::{NetError, message_of};

/// Time limit of one request unless the caller sets another.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Cap of a reply unless the caller sets another: ten times the largest honest reply of Fulcio,
/// Rekor or a timestamp authority in our captures (below 100 KiB).
pub const REPLY_LIMIT: u64 = 1024 * 1024;
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
    /// Secrets in the body, which no error may repeat.
    pub secrets: Vec<Secret>,
    /// Whether a service, and not the user, named the host: it is then none of this machine's.
    pub led: bool,
    /// Whether secrets may travel unencrypted off this machine: who sends it has a rule of its own.
    pub plain: bool,
    /// Body that is sent piece by piece, in the place of `body`.
    pub upload: Option<Upload>,
    /// Whether the body of a success is left for the caller to read, see [`Unread`]. Neither `limit` nor
    /// `timeout` then bounds it; the caller does.
    pub leave_unread: bool,
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
            secrets: Vec::new(),
            led: false,
            plain: false,
            upload: None,
            leave_unread: false,
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

    /// Says that the body holds a secret.
    pub fn secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
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

    /// Sets a body that is sent piece by piece.
    pub fn upload(mut self, upload: Upload) -> Self {
        self.upload = Some(upload);
        self
    }

    /// Leaves the body of a success for the caller to read.
    pub fn leave_unread(mut self) -> Self {
        self.leave_unread = true;
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
    /// Body, within the request's limit; empty for HEAD, and where it was left unread.
    pub body: Bytes,
    /// The body, where the request asked to leave it unread and was a success.
    pub unread: Unread,
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
