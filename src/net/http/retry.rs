//! When a request is sent again, and after what wait.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};

/// Longest wait taken from a `Retry-After` header.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(30);
/// First wait between attempts; it doubles each time.
const BACKOFF_START: Duration = Duration::from_millis(200);

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
    pub(super) fn backoff_for(&self, method: &Method) -> Backoff {
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

/// Statuses that may pass by themselves. 501 and 505 state a lack, not a mishap.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502..=504 | 506..=599)
}

/// Reads `Retry-After`, seconds or HTTP date (RFC 9110 section 10.2.3), capped at 30 s.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
pub(super) fn backoff_delay(attempt: u32) -> Duration {
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
