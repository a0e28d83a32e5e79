//! Descriptors: what an object is, how large, and its digest.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::crypto::Digest;

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

/// Reads `null` as the empty map, as Go writers produce it.
pub(super) fn nullable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
