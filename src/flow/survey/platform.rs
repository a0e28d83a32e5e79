//! Choosing one image of an index by its platform.

use std::str::FromStr;

use crate::diagnostic::{Diagnostic, Exit};
use crate::format::oci::{Descriptor, Index, Platform};

/// A platform as people write it: `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformChoice {
    text: String,
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// Why no image was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// Not `os/architecture[/variant]`.
    #[error("platform {found:?} is not OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT")]
    Malformed {
        /// As given.
        found: String,
    },
    /// The image is no index.
    #[error("{image} is one image, not an index of several")]
    NotAnIndex {
        /// The image.
        image: String,
    },
    /// None, or several, fit.
    #[error("{count} images of the index are for {wanted}")]
    NotOne {
        /// As asked for.
        wanted: String,
        /// How many fit.
        count: usize,
        /// What there is.
        found: Vec<String>,
    },
}

impl Diagnostic for PlatformError {
    fn code(&self) -> &'static str {
        match self {
            PlatformError::Malformed { .. } => "usage-platform",
            PlatformError::NotAnIndex { .. } => "platform-of-one-image",
            PlatformError::NotOne { .. } => "platform-not-found",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            PlatformError::NotOne { .. } => Exit::NoSuchImage,
            _ => Exit::Usage,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            PlatformError::NotOne { found, .. } => vec![("found", found.join(", "))],
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            PlatformError::NotAnIndex { .. } => Some("leave --platform out".to_owned()),
            PlatformError::NotOne { count, .. } if *count > 1 => {
                Some("name the variant too, or the image by its digest".to_owned())
            }
            _ => None,
        }
    }
}

impl FromStr for PlatformChoice {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.len() <= 64 && part.chars().all(|c| c.is_ascii_graphic())
        };
        match parts.as_slice() {
            [os, architecture, rest @ ..] if rest.len() < 2 && parts.iter().all(word) => {
                Ok(PlatformChoice {
                    text: text.to_owned(),
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: rest.first().map(|variant| (*variant).to_owned()),
                })
            }
            _ => Err(PlatformError::Malformed {
                found: text.chars().take(80).collect(),
            }),
        }
    }
}

impl PlatformChoice {
    fn fits(&self, platform: &Platform) -> bool {
        platform.os == self.os
            && platform.architecture == self.architecture
            && (self.variant.is_none() || platform.variant == self.variant)
    }

    /// Chooses the one child that fits.
    ///
    /// # Errors
    /// [`PlatformError::NotOne`].
    pub fn choose<'a>(&self, index: &'a Index) -> Result<&'a Descriptor, PlatformError> {
        let fitting = |child: &&Descriptor| child.platform.as_ref().is_some_and(|p| self.fits(p));
        let mut fits = index.manifests.iter().filter(fitting);
        match (fits.next(), fits.count()) {
            (Some(child), 0) => Ok(child),
            (first, more) => Err(PlatformError::NotOne {
                wanted: self.text.clone(),
                count: usize::from(first.is_some()) + more,
                found: index
                    .manifests
                    .iter()
                    .filter_map(|child| child.platform.as_ref())
                    .take(20)
                    .map(ToString::to_string)
                    .collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::{Document, OCI_MANIFEST};

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> Index {
        let children: Vec<Descriptor> = platforms
            .iter()
            .map(|(os, architecture, variant)| Descriptor {
                platform: Some(Platform {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: variant.map(str::to_owned),
                }),
                ..Descriptor::of(OCI_MANIFEST, architecture.as_bytes())
            })
            .collect();
        let text = serde_json::json!({ "manifests": children }).to_string();
        match Document::parse(text.as_bytes()).unwrap() {
            Document::Index(index) => index,
            Document::Manifest(_) => unreachable!("it has manifests"),
        }
    }

    #[test]
    fn one_image_fits_or_none_is_chosen() {
        let index = index(&[
            ("linux", "amd64", None),
            ("linux", "arm", Some("v6")),
            ("linux", "arm", Some("v7")),
            ("unknown", "unknown", None),
        ]);
        let choose = |text: &str| text.parse::<PlatformChoice>().unwrap().choose(&index);
        assert_eq!(choose("linux/amd64"), Ok(&index.manifests[0]));
        assert_eq!(choose("linux/arm/v7"), Ok(&index.manifests[2]));
        for (text, expected) in [("linux/arm", 2), ("linux/arm64", 0), ("linux/amd64/v2", 0)] {
            let Err(PlatformError::NotOne { count, .. }) = choose(text) else {
                panic!("{text} is chosen");
            };
            assert_eq!(count, expected, "{text}");
        }
    }

    #[test]
    fn a_platform_has_two_or_three_words() {
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            let refused = bad.parse::<PlatformChoice>().unwrap_err();
            assert_eq!(refused.code(), "usage-platform", "{bad}");
        }
    }
}
