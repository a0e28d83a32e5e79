//! Manifests and indexes as read from a registry: bounded, and never both at once.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::descriptor::{Descriptor, nullable};
use super::spelling::other_spelling;
use super::{BUNDLE_TYPE_PREFIX, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

/// Layers read from one manifest; cosign 3 stops at the same number.
pub const MAX_LAYERS: usize = 1000;
/// Manifests read from one index. Real multi-platform indexes have dozens; a fallback index of
/// referrers may hold more, and its own cap is applied where it is read.
pub const MAX_INDEX_MANIFESTS: usize = 10_000;

/// An image manifest, OCI or Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `mediaType`, where stated.
    pub media_type: Option<String>,
    /// What kind of artifact this is, where stated.
    pub artifact_type: Option<String>,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, at most [`MAX_LAYERS`].
    pub layers: Vec<Descriptor>,
    /// What this manifest refers to.
    pub subject: Option<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// An image index or manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// `mediaType`, where stated.
    pub media_type: Option<String>,
    /// What kind of artifact this is, where stated.
    pub artifact_type: Option<String>,
    /// The children, at most [`MAX_INDEX_MANIFESTS`].
    pub manifests: Vec<Descriptor>,
    /// What this index refers to.
    pub subject: Option<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest reference can point to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one per image, matched at once; boxes would only cost clarity
pub enum Document {
    /// One image or artifact.
    Manifest(Manifest),
    /// A list of them.
    Index(Index),
}

/// Why a document is neither a manifest nor an index that may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciError {
    /// Not JSON, or a field is missing or of the wrong form.
    #[error("malformed {what}: {cause}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// The parser's complaint.
        cause: String,
    },
    /// `config`/`layers` and `manifests` in one document: readers would disagree on what it is.
    #[error("document is both a manifest and an index")]
    Ambiguous,
    /// `mediaType` contradicts the content.
    #[error("media type {found} does not fit {expected}")]
    MediaType {
        /// What the content is.
        expected: &'static str,
        /// What it claims to be.
        found: String,
    },
}

/// Every field of either document, so that one look tells which it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_LAYERS>")]
    layers: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "bounded::<_, _, MAX_INDEX_MANIFESTS>")]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    subject: Option<Descriptor>,
    #[serde(default, deserialize_with = "nullable")]
    annotations: BTreeMap<String, String>,
}

impl Document {
    /// Parses a manifest or index and tells which it is by its content (image-spec; the ambiguity
    /// rule is that of GHSA-77vh-xpmg-72qh).
    ///
    /// # Errors
    /// [`OciError`]; counts beyond the caps are `Malformed`.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        let wire: Wire = serde_json::from_slice(bytes).map_err(|e| OciError::Malformed {
            what: "manifest",
            cause: e.to_string(),
        })?;
        if let Some(name) = other_spelling(bytes) {
            let name: String = name.chars().take(40).collect();
            return Err(OciError::Malformed {
                what: "manifest",
                cause: format!("field {name:?} is another one to readers that ignore case"),
            });
        }
        let stated = wire.media_type.as_deref();
        match (wire.config, wire.manifests) {
            (Some(config), None) => {
                expect_type(stated, "a manifest", &[OCI_MANIFEST, DOCKER_MANIFEST])?;
                Ok(Document::Manifest(Manifest {
                    media_type: wire.media_type,
                    artifact_type: wire.artifact_type,
                    config,
                    layers: wire.layers.unwrap_or_default(),
                    subject: wire.subject,
                    annotations: wire.annotations,
                }))
            }
            (None, Some(manifests)) if wire.layers.is_none() => {
                expect_type(stated, "an index", &[OCI_INDEX, DOCKER_LIST])?;
                Ok(Document::Index(Index {
                    media_type: wire.media_type,
                    artifact_type: wire.artifact_type,
                    manifests,
                    subject: wire.subject,
                    annotations: wire.annotations,
                }))
            }
            (_, Some(_)) => Err(OciError::Ambiguous),
            (None, None) => Err(OciError::Malformed {
                what: "manifest",
                cause: "neither config nor manifests".to_owned(),
            }),
        }
    }

    /// Returns the `mediaType` the document states.
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Document::Manifest(manifest) => manifest.media_type.as_deref(),
            Document::Index(index) => index.media_type.as_deref(),
        }
    }
}

pub(super) fn expect_type(
    stated: Option<&str>,
    expected: &'static str,
    allowed: &[&str],
) -> Result<(), OciError> {
    match stated {
        Some(found) if !allowed.contains(&found) => Err(OciError::MediaType {
            expected,
            found: found.chars().take(160).collect(),
        }),
        _ => Ok(()),
    }
}

impl Manifest {
    /// Returns the one layer that may hold a Sigstore bundle: exactly one layer, and its media type
    /// says so (the reading rule of cosign 3). The artifact type is not asked: writers differ.
    pub fn bundle_layer(&self) -> Option<&Descriptor> {
        match self.layers.as_slice() {
            [layer] if layer.media_type.starts_with(BUNDLE_TYPE_PREFIX) => Some(layer),
            _ => None,
        }
    }
}

/// Reads a list of at most `MAX` entries and stops at the next, before it takes memory.
fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Option<Vec<T>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX} entries")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while entries.len() < MAX {
                match seq.next_element()? {
                    Some(entry) => entries.push(entry),
                    None => return Ok(Some(entries)),
                }
            }
            match seq.next_element::<IgnoredAny>()? {
                None => Ok(Some(entries)),
                Some(_) => Err(A::Error::custom(format_args!("more than {MAX} entries"))),
            }
        }
    }
    deserializer.deserialize_any(Bounded::<T, MAX>(std::marker::PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::BUNDLE_ARTIFACT_TYPE;

    fn descriptor(content: &[u8]) -> Descriptor {
        Descriptor::of(OCI_MANIFEST, content)
    }

    #[test]
    fn a_document_is_one_thing() {
        let d = serde_json::to_string(&descriptor(b"x")).unwrap();
        let parse = |text: String| Document::parse(text.as_bytes());
        assert!(matches!(
            parse(format!(r#"{{"config":{d},"layers":[{d}],"future":1}}"#)),
            Ok(Document::Manifest(_))
        ));
        assert!(matches!(
            parse(format!(r#"{{"manifests":[{d}],"annotations":null}}"#)),
            Ok(Document::Index(_))
        ));
        for both in [
            format!(r#"{{"config":{d},"manifests":[{d}]}}"#),
            format!(r#"{{"layers":[{d}],"manifests":[{d}]}}"#),
        ] {
            assert_eq!(parse(both), Err(OciError::Ambiguous));
        }
        assert!(matches!(
            parse(format!(r#"{{"mediaType":"{OCI_INDEX}","config":{d}}}"#)),
            Err(OciError::MediaType { .. })
        ));
        assert!(matches!(
            parse(format!(
                r#"{{"mediaType":"{OCI_MANIFEST}","manifests":[]}}"#
            )),
            Err(OciError::MediaType { .. })
        ));
        for two in [
            format!(r#"{{"manifests":[{d}],"Manifests":[]}}"#),
            format!(r#"{{"config":{d},"layers":[],"LAYERS":[{d}]}}"#),
        ] {
            assert!(matches!(parse(two), Err(OciError::Malformed { .. })));
        }
    }

    #[test]
    fn counts_are_bounded_before_they_take_memory() {
        let d = serde_json::to_string(&descriptor(b"x")).unwrap();
        let layers = |n: usize| {
            let text = format!(
                r#"{{"config":{d},"layers":[{}]}}"#,
                vec![d.as_str(); n].join(",")
            );
            Document::parse(text.as_bytes())
        };
        assert!(layers(MAX_LAYERS).is_ok());
        let Err(OciError::Malformed { cause, .. }) = layers(MAX_LAYERS + 1) else {
            panic!("too many layers were read");
        };
        assert!(cause.contains("more than 1000 entries"), "{cause}");
    }

    #[test]
    fn digests_must_be_whole() {
        for bad in ["sha256:../../x", "sha256:00", "md5:00", ""] {
            let text = format!(
                r#"{{"config":{{"mediaType":"a/b","size":1,"digest":"{bad}"}},"layers":[]}}"#
            );
            assert!(
                matches!(
                    Document::parse(text.as_bytes()),
                    Err(OciError::Malformed { .. })
                ),
                "{bad}"
            );
        }
    }

    #[test]
    fn the_bundle_layer_is_the_only_layer() {
        let bundle = Descriptor {
            media_type: BUNDLE_ARTIFACT_TYPE.to_owned(),
            ..descriptor(b"b")
        };
        let mut manifest = Manifest {
            media_type: None,
            artifact_type: None,
            config: descriptor(b"c"),
            layers: vec![bundle.clone()],
            subject: None,
            annotations: BTreeMap::new(),
        };
        assert_eq!(manifest.bundle_layer(), Some(&bundle));
        manifest.layers.push(bundle);
        assert_eq!(manifest.bundle_layer(), None);
        manifest.layers = vec![descriptor(b"image layer")];
        assert_eq!(manifest.bundle_layer(), None);
    }

    #[test]
    fn the_media_type_is_the_one_stated() {
        let d = serde_json::to_string(&descriptor(b"x")).unwrap();
        for (text, stated) in [
            (
                format!(r#"{{"mediaType":"{OCI_MANIFEST}","config":{d}}}"#),
                Some(OCI_MANIFEST),
            ),
            (
                format!(r#"{{"mediaType":"{OCI_INDEX}","manifests":[]}}"#),
                Some(OCI_INDEX),
            ),
            (format!(r#"{{"config":{d}}}"#), None),
        ] {
            assert_eq!(
                Document::parse(text.as_bytes()).unwrap().media_type(),
                stated
            );
        }
    }
}
