//! The clock. Only flows read it, and hand the time down.

use crate::crypto::UnixTime;

/// Returns the time now.
pub fn now() -> UnixTime {
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => UnixTime::from_nanos(since.as_nanos() as i128),
        Err(before) => UnixTime::from_nanos(-(before.duration().as_nanos() as i128)),
    }
}
