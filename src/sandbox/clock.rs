//! The sandbox's clock; it may look at the real one, unlike the floors below.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::crypto::UnixTime;

/// Returns the time now.
pub(super) fn now() -> UnixTime {
    // A clock before 1970 shows as 1970.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime::from_nanos(i128::try_from(since.as_nanos()).unwrap_or(i128::MAX))
}
