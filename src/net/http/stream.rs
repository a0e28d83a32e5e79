//! Bodies that pass through piece by piece, for what does not fit in memory.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::header::CONTENT_LENGTH;

use super::causes;
use crate::net::error::NetError;

/// Pieces of a body.
type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// A request's body of known length that is made anew for every attempt. A piece that fails breaks the
/// connection, so that the receiver never takes a part for the whole.
#[derive(Clone)]
pub struct Upload {
    length: u64,
    open: Arc<dyn Fn() -> Pieces + Send + Sync>,
}

impl Upload {
    /// Makes a body of `length` bytes; `open` begins it from its start.
    pub fn new(length: u64, open: impl Fn() -> Pieces + Send + Sync + 'static) -> Self {
        Upload {
            length,
            open: Arc::new(open),
        }
    }

    /// Gives a request its body.
    pub(super) fn fill(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .header(CONTENT_LENGTH, self.length)
            .body(reqwest::Body::wrap_stream((self.open)()))
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({} bytes)", self.length)
    }
}

/// A reply's body that nobody has read yet; empty for every other reply. Clones share it.
#[derive(Clone, Default)]
pub struct Unread(Arc<Mutex<Option<reqwest::Response>>>);

impl Unread {
    pub(super) fn holding(response: reqwest::Response) -> Self {
        Unread(Arc::new(Mutex::new(Some(response))))
    }

    /// Reads the next piece, waiting at most `idle` for it; `None` at the end.
    ///
    /// # Errors
    /// [`NetError::Unreachable`], [`NetError::TimedOut`], both with the given service and URL.
    pub async fn next(
        &self,
        service: &'static str,
        url: &str,
        idle: Duration,
    ) -> Result<Option<Bytes>, NetError> {
        let taken = self.lock().take();
        let Some(mut response) = taken else {
            return Ok(None);
        };
        let read = tokio::time::timeout(idle, response.chunk()).await;
        let Ok(piece) = read else {
            return Err(NetError::TimedOut {
                service,
                url: url.to_owned(),
                seconds: idle.as_secs(),
            });
        };
        let piece = piece.map_err(|error| NetError::Unreachable {
            service,
            url: url.to_owned(),
            cause: causes(error),
        })?;
        if piece.is_some() {
            *self.lock() = Some(response);
        }
        Ok(piece)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<reqwest::Response>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unread(..)")
    }
}
