//! Descriptors: what an object is, how large, and its digest.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::crypto::Digest;

/// Annotations of one object; real ones have up to thirty. Small strings take ten times their JSON in memory.
pub const MAX_ANNOTATIONS: usize = 256;

/// What an object in a registry is, how large, and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the content.
    pub media_type: String,
    /// Length of the content in bytes.
    pub size: u64,
    /// Digest of the content.
    pub digest: Digest,
    /// Annotations; in a list of referrers, those of the manifest.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "nullable"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Platform, on the children of an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// In a list of referrers, the artifact type of the manifest. Writers get it wrong, so it is a
    /// hint: look at the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Describes content.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Descriptor {
            media_type: media_type.to_owned(),
            size: content.len() as u64,
            digest: Digest::sha256(content),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
        }
    }

    /// Returns whether this is said to be an index, OCI or Docker.
    pub fn is_index(&self) -> bool {
        [super::OCI_INDEX, super::DOCKER_LIST].contains(&self.media_type.as_str())
    }

    /// Returns whether a list that says this may mean a bundle. cosign writes the config's type into fallback indexes,
    /// so that type says nothing.
    pub fn may_be_bundle(&self) -> bool {
        let artifact_type = self.artifact_type.as_deref().unwrap_or_default();
        artifact_type.is_empty()
            || artifact_type == super::EMPTY_CONFIG
            || artifact_type.starts_with(super::BUNDLE_TYPE_PREFIX)
    }

    /// Returns about how much memory it takes, in bytes: the structure, its strings, the nodes of its map. Tests
    /// beside the registry client measure it.
    pub fn footprint(&self) -> usize {
        // An allocation's own overhead, and that of its rounding.
        const ALLOCATION: usize = 24;
        // A node of a map of strings has room for eleven pairs, and is half full on average.
        const PAIR: usize = 2 * (2 * size_of::<String>() + 8);
        const NODE: usize = 11 * 2 * size_of::<String>() + ALLOCATION;
        let text = |text: &str| text.len() + ALLOCATION;
        let annotations: usize = self
            .annotations
            .iter()
            .map(|(name, value)| PAIR + text(name) + text(value))
            .sum();
        let platform = self.platform.as_ref().map_or(0, |platform| {
            let variant = platform.variant.as_deref().unwrap_or_default();
            text(&platform.architecture) + text(&platform.os) + text(variant)
        });
        size_of::<Descriptor>()
            + text(&self.media_type)
            + text(self.artifact_type.as_deref().unwrap_or_default())
            + platform
            + annotations.max(if self.annotations.is_empty() { 0 } else { NODE })
    }

    /// Keeps media type, size and digest: the form of a `subject`.
    pub fn bare(&self) -> Self {
        Descriptor {
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            ..self.clone()
        }
    }
}

/// The platform of one child of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture, a GOARCH value.
    pub architecture: String,
    /// Operating system, a GOOS value.
    pub os: String,
    /// CPU variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Reads `null` as the empty map, as Go writers produce it, and stops at the cap.
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Bounded;
    impl<'de> Visitor<'de> for Bounded {
        type Value = BTreeMap<String, String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_ANNOTATIONS} annotations")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((name, value)) = map.next_entry()? {
                found.insert(name, value);
                if found.len() > MAX_ANNOTATIONS {
                    let more = format_args!("more than {MAX_ANNOTATIONS} annotations");
                    return Err(A::Error::custom(more));
                }
            }
            Ok(found)
        }
    }
    deserializer.deserialize_any(Bounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

    #[test]
    fn an_index_is_ocis_or_dockers() {
        for index in [OCI_INDEX, DOCKER_LIST] {
            assert!(Descriptor::of(index, b"x").is_index(), "{index}");
        }
        for other in [OCI_MANIFEST, DOCKER_MANIFEST, ""] {
            assert!(!Descriptor::of(other, b"x").is_index(), "{other}");
        }
    }

    /// That the estimate is near what is really taken, tests beside the registry client measure; here, that
    /// every text of a descriptor is in it.
    #[test]
    fn a_footprint_grows_with_every_text() {
        let small = Descriptor::of("a/b", b"x");
        let size = small.footprint();
        // Two texts, one of them empty, each in an allocation of its own.
        assert_eq!(size, size_of::<Descriptor>() + "a/b".len() + 2 * 24);
        let text = "t".repeat(1000);
        let pair = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let platform = |os: &str, architecture: &str, variant: &str| {
            Some(Platform {
                architecture: architecture.to_owned(),
                os: os.to_owned(),
                variant: Some(variant.to_owned()),
            })
        };
        type Change<'a> = Box<dyn Fn(&mut Descriptor) + 'a>;
        let changes: [(&str, Change<'_>); 7] = [
            ("media type", Box::new(|d| d.media_type = text.clone())),
            (
                "artifact type",
                Box::new(|d| d.artifact_type = Some(text.clone())),
            ),
            ("name", Box::new(|d| d.annotations = pair(&text, ""))),
            ("value", Box::new(|d| d.annotations = pair("", &text))),
            ("os", Box::new(|d| d.platform = platform(&text, "", ""))),
            (
                "architecture",
                Box::new(|d| d.platform = platform("", &text, "")),
            ),
            (
                "variant",
                Box::new(|d| d.platform = platform("", "", &text)),
            ),
        ];
        for (what, change) in changes {
            let mut larger = small.clone();
            change(&mut larger);
            let grown = larger.footprint() - size;
            assert!((990..2000).contains(&grown), "{what}: {grown}");
        }
        // One annotation takes a node of the map, and so do the next few.
        let mut one = small.clone();
        one.annotations = pair("a", "b");
        assert!(one.footprint() > size + 11 * 2 * size_of::<String>());
        one.annotations.insert("c".to_owned(), "d".to_owned());
        assert_eq!(
            one.footprint(),
            small.footprint() + 11 * 2 * size_of::<String>() + 24
        );
    }
}
