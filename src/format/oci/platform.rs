//! Platforms as those who pull images compare them.
//!
//! An index may spell a platform in many ways, and which of its images a puller gets is decided by the puller.
//! Three rules cover those in use. containerd, and Docker with it, brings spellings together, then takes the image
//! for just this platform, or else one for an older or smaller machine of the family. Podman and skopeo compare
//! spellings as they stand, with a list of variants that go down in the same way. crane takes the first image
//! whose spelling fits, and an image without a platform for `linux/amd64`. Where nothing fits, most take an image
//! that has no platform at all.

use std::fmt;
use std::str::FromStr;

use super::{Descriptor, Platform};

/// Variants of 32-bit ARM, the newest first: each runs what is written for those after it.
const ARM: [&str; 4] = ["v8", "v7", "v6", "v5"];

/// A platform as a person asks for it: `os/architecture`, or with a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformFilter(Platform);

/// A platform that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("platform {found:?} is not OS/ARCHITECTURE, such as linux/amd64 or linux/arm64/v8")]
pub struct PlatformError {
    /// As given.
    pub found: String,
}

impl FromStr for PlatformFilter {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_name = |part: &&str| {
            !part.is_empty()
                && part.len() <= 64
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let platform = match parts.as_slice() {
            [os, architecture] => (os, architecture, None),
            [os, architecture, variant] => (os, architecture, Some((*variant).to_owned())),
            _ => {
                return Err(PlatformError {
                    found: text.to_owned(),
                });
            }
        };
        if !parts.iter().all(is_name) {
            return Err(PlatformError {
                found: text.to_owned(),
            });
        }
        let (os, architecture, variant) = platform;
        Ok(PlatformFilter(Platform {
            architecture: (*architecture).to_owned(),
            os: (*os).to_owned(),
            variant,
        }))
    }
}

impl fmt::Display for PlatformFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A platform in containerd's one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Normal {
    /// Empty for "that of whoever pulls".
    os: String,
    architecture: String,
    variant: String,
}

impl Normal {
    fn of(platform: &Platform) -> Self {
        let lower = |text: &str| text.to_lowercase();
        let os = match lower(&platform.os).as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let architecture = lower(&platform.architecture);
        let variant = lower(platform.variant.as_deref().unwrap_or_default());
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
            ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "" | "7") => ("arm", "v7"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        Normal {
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
            os,
        }
    }

    fn has_os_of(&self, wanted: &Normal) -> bool {
        self.os.is_empty() || self.os == wanted.os
    }

    /// Returns whether a machine of the wanted platform may be given this for want of its own.
    fn stands_in_for(&self, wanted: &Normal) -> bool {
        if !self.has_os_of(wanted) {
            return false;
        }
        let (own, asked) = (self.variant.as_str(), wanted.variant.as_str());
        match (self.architecture.as_str(), wanted.architecture.as_str()) {
            ("386", "amd64") => own.is_empty(),
            // Without a variant, the first level.
            ("amd64", "amd64") => is_before(amd64_level(own), amd64_level(asked)),
            ("arm", "arm") => is_before(arm_level(asked), arm_level(own)),
            ("arm", "arm64") => ARM.contains(&own) && is_arm64_version(asked),
            ("arm64", "arm64") => {
                is_arm64_version(own) && is_arm64_version(asked) && arm64(own) <= arm64(asked)
            }
            _ => false,
        }
    }
}

fn is_before<T: Ord>(first: Option<T>, second: Option<T>) -> bool {
    first.is_some() && first < second
}

/// The level of a variant of amd64; without one, the first.
fn amd64_level(variant: &str) -> Option<u32> {
    match variant.trim_start_matches('v') {
        "" => Some(1),
        level => level.parse().ok(),
    }
}

/// Where a variant stands in [`ARM`]; one that is not there runs nothing else's, and nothing runs it.
fn arm_level(variant: &str) -> Option<usize> {
    ARM.iter().position(|known| *known == variant)
}

fn is_arm64_version(variant: &str) -> bool {
    variant.is_empty() || variant.starts_with("v8") || variant.starts_with("v9")
}

/// Major and minor version; v9.0 has what v8.5 has, so by the larger part alone the order is too generous, which only
/// has more images judged.
fn arm64(variant: &str) -> (u32, u32) {
    let digits = variant.trim_start_matches('v');
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    (major.parse().unwrap_or(8), minor.parse().unwrap_or(0))
}

impl PlatformFilter {
    /// Returns whether an image is for this platform, however that is spelled. Without a variant, any is meant.
    pub fn fits(&self, platform: Option<&Platform>) -> bool {
        let wanted = Normal::of(&self.0);
        platform.is_some_and(|found| {
            let found = Normal::of(found);
            let is_any = self.0.variant.is_none() || found.variant == wanted.variant;
            found.has_os_of(&wanted) && found.architecture == wanted.architecture && is_any
        })
    }

    /// Returns the places of those entries of one index that somebody who pulls for this platform may be given,
    /// whatever they pull with.
    pub fn taken(&self, entries: &[Descriptor]) -> Vec<usize> {
        let wanted = Normal::of(&self.0);
        let fits: Vec<bool> = entries
            .iter()
            .map(|entry| self.fits(entry.platform.as_ref()))
            .collect();
        let has_own = fits.contains(&true);
        let has_spelled = entries.iter().any(|entry| self.is_spelled(entry));
        // crane's guess at an image that has no platform.
        let is_guess = wanted.os == "linux" && wanted.architecture == "amd64";
        let is_guess = is_guess && wanted.variant.is_empty();
        let mut is_guess_past = false;
        let mut taken = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let is_taken = match entry.platform.as_ref() {
                _ if fits[place] => true,
                None => !has_spelled || is_guess && !is_guess_past,
                Some(platform) => {
                    let found = Normal::of(platform);
                    let is_of_family = found.architecture == wanted.architecture;
                    let is_wanting = !has_own || is_of_family && !has_spelled;
                    let is_open = platform.variant.as_deref().unwrap_or_default().is_empty();
                    is_wanting && found.stands_in_for(&wanted)
                        || !has_spelled && is_open && self.has_spelled_name(entry)
                }
            };
            if is_taken {
                taken.push(place);
            }
            is_guess_past |= self.has_spelled_name(entry);
        }
        taken
    }

    /// Returns whether an entry names system and architecture as they were asked for, letter by letter.
    fn has_spelled_name(&self, entry: &Descriptor) -> bool {
        entry
            .platform
            .as_ref()
            .is_some_and(|found| found.os == self.0.os && found.architecture == self.0.architecture)
    }

    /// Returns whether an entry is the one for those who compare letters. Without a variant they take an entry that
    /// has none, or one of a few.
    fn is_spelled(&self, entry: &Descriptor) -> bool {
        let variant = entry.platform.as_ref().and_then(|p| p.variant.as_deref());
        let is_variant = match self.0.variant.as_deref() {
            None => match (variant.unwrap_or_default(), self.0.architecture.as_str()) {
                ("", _) | ("v8", "arm64") => true,
                (variant, "arm") => ARM.contains(&variant),
                _ => false,
            },
            asked => variant == asked,
        };
        is_variant && self.has_spelled_name(entry)
    }
}

#[cfg(test)]
mod tests;
