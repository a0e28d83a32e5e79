//! Points in time as the formats of this field carry them. Nothing here reads a clock.

use std::fmt;

/// A point in time, in nanoseconds since 1970-01-01T00:00:00Z.
///
/// `integratedTime` has seconds, an SCT milliseconds, `validFor` and genTime fractions: one scale
/// holds them all, so comparisons never round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(i128);

const NANOS: i128 = 1_000_000_000;

impl UnixTime {
    /// Makes a time from whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        UnixTime(seconds as i128 * NANOS)
    }

    /// Makes a time from milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        UnixTime(millis as i128 * 1_000_000)
    }

    /// Makes a time from a number of nanoseconds.
    pub const fn from_nanos(nanos: i128) -> Self {
        UnixTime(nanos)
    }

    /// Returns whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS) as i64
    }

    /// Returns milliseconds, rounded down; 0 before 1970.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000_000)).unwrap_or(0)
    }

    /// Returns this time moved by a number of seconds.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        UnixTime(self.0 + seconds as i128 * NANOS)
    }

    /// Parses RFC 3339 with any offset and up to nine fraction digits.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        let timestamp: jiff::Timestamp = text.parse().ok()?;
        Some(UnixTime(timestamp.as_nanosecond()))
    }

    /// Formats as RFC 3339 in UTC, with a fraction only where there is one.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_nanosecond(self.0) {
            Ok(timestamp) => timestamp.to_string(),
            Err(_) => format!("{}s", self.seconds()),
        }
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

/// A span of validity; both ends belong to it, no end means "still valid".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First valid instant.
    pub start: UnixTime,
    /// Last valid instant, if any.
    pub end: Option<UnixTime>,
}

impl TimeRange {
    /// Returns whether the time lies in the range, ends included.
    pub fn contains(&self, time: UnixTime) -> bool {
        self.start <= time && self.end.is_none_or(|end| time <= end)
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "{} to {}", self.start, end),
            None => write!(f, "{} on", self.start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_with_offsets_and_fractions() {
        let plain = UnixTime::parse_rfc3339("2021-12-18T13:28:12Z").unwrap();
        assert_eq!(plain.seconds(), 1_639_834_092);
        assert_eq!(plain.rfc3339(), "2021-12-18T13:28:12Z");
        let offset = UnixTime::parse_rfc3339("2021-12-18T07:28:12.5-06:00").unwrap();
        assert_eq!(offset, UnixTime::from_millis(1_639_834_092_500));
        assert!(UnixTime::parse_rfc3339("2021-12-18").is_none());
    }

    #[test]
    fn both_ends_of_a_range_belong_to_it() {
        let range = TimeRange {
            start: UnixTime::from_seconds(10),
            end: Some(UnixTime::from_seconds(20)),
        };
        assert!(range.contains(UnixTime::from_seconds(10)));
        assert!(range.contains(UnixTime::from_seconds(20)));
        assert!(!range.contains(UnixTime::from_nanos(20_000_000_001)));
        assert!(!range.contains(UnixTime::from_seconds(9)));
    }

    #[test]
    fn milliseconds_round_down_and_end_at_1970() {
        assert_eq!(
            UnixTime::from_nanos(1_675_209_600_123_999_999).millis(),
            1_675_209_600_123
        );
        assert_eq!(UnixTime::from_millis(7).millis(), 7);
        assert_eq!(UnixTime::from_seconds(-1).millis(), 0);
    }
}
