//! How much is read and written: arguments that several commands share.

use clap::Args;

use super::arguments::variable;
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::limits;
use crate::host::files::FileError;

/// Caps on what is read and written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// Bytes of one bundle that are read or written at most, such as 200MB or 64MiB. An attestation's bundle
    /// is a third larger than its predicate.
    #[arg(
        long,
        value_name = "SIZE",
        env = variable("COSIGN_MAX_ATTACHMENT_SIZE"),
        default_value = "8MiB",
        value_parser = size
    )]
    pub max_attachment_size: u64,
}

impl LimitArguments {
    /// Returns the options as they would be typed, where they are not the usual ones.
    pub fn words(&self) -> Vec<super::arguments::Typed> {
        let given = self.max_attachment_size;
        match given == limits::BUNDLE_LEN as u64 {
            true => Vec::new(),
            false => vec![("--max-attachment-size", Some(given.to_string()))],
        }
    }
}

/// A file that cannot be read; where it is too large, what allows more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Beyond(pub FileError);

impl Diagnostic for Beyond {
    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn exit(&self) -> Exit {
        self.0.exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.0.details()
    }

    fn hint(&self) -> Option<String> {
        match &self.0 {
            FileError::TooLarge { .. } => Some(limits::TO_RAISE.to_owned()),
            error => error.hint(),
        }
    }
}

/// Reads a size: whole bytes, or a number with a unit of a thousand or of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 12] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("ki", 1 << 10),
        ("mi", 1 << 20),
        ("gi", 1 << 30),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("k", 1_000),
        ("m", 1_000_000),
        ("g", 1_000_000_000),
    ];
    let wrong = || {
        "a size is a number of bytes above 0, or one with kB, MB, GB, KiB, MiB or GiB, such as 8MiB"
            .to_owned()
    };
    let lower = text.trim().to_ascii_lowercase();
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((lower.strip_suffix(name)?, *unit)))
        .unwrap_or((lower.strip_suffix('b').unwrap_or(&lower), 1));
    let digits = digits.trim_end();
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let bytes: Option<u64> = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("1", 1),
            ("128MiB", 128 << 20),
            ("128 MiB", 128 << 20),
            ("100MB", 100_000_000),
            ("1kB", 1000),
            ("5K", 5000),
            ("5Ki", 5120),
            ("2g", 2_000_000_000),
            ("1GiB", 1 << 30),
            ("12B", 12),
            ("12b", 12),
            ("4 mib", 4 << 20),
            ("128M", 128_000_000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in [
            "",
            "0",
            "-1",
            "1.5MB",
            "MB",
            "1TB",
            "1 2",
            "1mbb",
            "99999999999999999999",
            "99999999999G",
            "18446744073709551615k",
        ] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
