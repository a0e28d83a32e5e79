//! An index and the images that it lists.

use std::fmt;
use std::str::FromStr;

use futures_util::future::try_join_all;

use crate::crypto::Digest;
use crate::flow::discover::Budget;
use crate::flow::store::{ImageStore, StoreError, StoredManifest};
use crate::format::oci::{Descriptor, Document, Platform};
use crate::net::registry::RegistryError;

/// Images under one index; as many as an index may list.
const MAX_CHILDREN: usize = 10_000;
/// Indexes in indexes. Real ones have one level.
const MAX_DEPTH: usize = 8;

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

impl PlatformFilter {
    /// Returns whether an image of this platform is asked for. Without a variant any is.
    pub fn matches(&self, platform: Option<&Platform>) -> bool {
        let wanted = &self.0;
        platform.is_some_and(|found| {
            found.os == wanted.os
                && found.architecture == wanted.architecture
                && (wanted.variant.is_none() || found.variant == wanted.variant)
        })
    }
}

impl fmt::Display for PlatformFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An image that an index lists.
#[derive(Debug, Clone)]
pub struct Child {
    /// The index that lists it.
    pub index: Digest,
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// Platform, as the index says.
    pub platform: Option<Platform>,
}

/// Lists everything under an index, indexes in it before what they list; each digest once. Nothing of an image
/// that is no index. Only indexes are fetched: what an index says of an image is bound by its own digest.
///
/// # Errors
/// [`StoreError`].
pub async fn children(
    store: &ImageStore<'_>,
    root: &StoredManifest,
    budget: &Budget,
) -> Result<Vec<Child>, StoreError> {
    let mut found: Vec<Child> = Vec::new();
    let mut level = vec![(root.descriptor.digest, root.document.clone())];
    for _ in 0..=MAX_DEPTH {
        let mut indexes: Vec<Descriptor> = Vec::new();
        for (parent, document) in level {
            let Document::Index(index) = document else {
                continue;
            };
            for descriptor in index.manifests {
                let digest = descriptor.digest;
                let is_known = digest == root.descriptor.digest
                    || found.iter().any(|child| child.descriptor.digest == digest);
                if is_known {
                    continue;
                }
                if found.len() == MAX_CHILDREN {
                    return Err(StoreError::Registry(RegistryError::TooMany {
                        what: "children of an index",
                        limit: MAX_CHILDREN,
                    }));
                }
                if descriptor.is_index() {
                    indexes.push(descriptor.clone());
                }
                found.push(Child {
                    index: parent,
                    descriptor: descriptor.bare(),
                    platform: descriptor.platform,
                });
            }
        }
        if indexes.is_empty() {
            return Ok(found);
        }
        let fetched = indexes.iter().map(|descriptor| async move {
            let _permit = budget.take(descriptor.size).await;
            let fetched = store.child(descriptor).await?;
            Ok::<_, StoreError>((descriptor.digest, fetched.document))
        });
        level = try_join_all(fetched).await?;
    }
    Err(StoreError::Registry(RegistryError::TooMany {
        what: "indexes in indexes",
        limit: MAX_DEPTH,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_matched() {
        let of = |text: &str| text.parse::<PlatformFilter>();
        let platform = |os: &str, architecture: &str, variant: Option<&str>| Platform {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            variant: variant.map(str::to_owned),
        };
        let arm = of("linux/arm64").unwrap();
        assert!(arm.matches(Some(&platform("linux", "arm64", None))));
        assert!(arm.matches(Some(&platform("linux", "arm64", Some("v8")))));
        assert!(!arm.matches(Some(&platform("linux", "amd64", None))));
        assert!(!arm.matches(Some(&platform("windows", "arm64", None))));
        assert!(!arm.matches(None));
        let v8 = of("linux/arm64/v8").unwrap();
        assert!(v8.matches(Some(&platform("linux", "arm64", Some("v8")))));
        assert!(!v8.matches(Some(&platform("linux", "arm64", None))));
        assert_eq!(v8.to_string(), "linux/arm64/v8");
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/amd 64"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
