//! The grammar of an OCI image layout: its marker, its `index.json`, and cosign's marks in it.
//!
//! image-spec, "OCI Image Layout Specification"; the marks are what `cosign save` writes (3.1.1) and all that
//! `cosign load` and `cosign verify --local-image` go by. cosign lists an image and its legacy signatures;
//! manifests that refer to the image lie among the blobs, unlisted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Descriptor, Document, OCI_INDEX, OciError};

/// Name of the file that makes a folder a layout.
pub const LAYOUT_MARKER: &str = "oci-layout";
/// Name of the file that lists what a layout is about.
pub const LAYOUT_INDEX: &str = "index.json";
/// Name of the folder that holds everything else, as `blobs/<algorithm>/<hex>`.
pub const LAYOUT_BLOBS: &str = "blobs";
/// Annotation: the tag of an entry.
pub const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Annotation: the name that containerd gives an entry that it imports, before any other.
pub const ANNOTATION_CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Content of the marker. Layouts of image-spec 1.0 and 1.1 have the same version.
pub const LAYOUT_MARKER_BYTES: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// cosign's annotation that says what an entry is.
const ANNOTATION_KIND: &str = "kind";

/// What cosign's `kind` says an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayoutKind {
    /// The image that was saved.
    Image,
    /// The index that was saved.
    Index,
    /// Its legacy signatures.
    Signatures,
    /// Its legacy attestations.
    Attestations,
}

impl LayoutKind {
    const ALL: [LayoutKind; 4] = [
        LayoutKind::Image,
        LayoutKind::Index,
        LayoutKind::Signatures,
        LayoutKind::Attestations,
    ];

    fn value(self) -> &'static str {
        match self {
            LayoutKind::Image => "dev.cosignproject.cosign/image",
            LayoutKind::Index => "dev.cosignproject.cosign/imageIndex",
            LayoutKind::Signatures => "dev.cosignproject.cosign/sigs",
            LayoutKind::Attestations => "dev.cosignproject.cosign/atts",
        }
    }

    /// Returns what an entry says it is; `None` if it says nothing, or something else.
    pub fn of(entry: &Descriptor) -> Option<Self> {
        let value = entry.annotations.get(ANNOTATION_KIND)?;
        LayoutKind::ALL
            .into_iter()
            .find(|kind| kind.value() == value)
    }

    /// Adds the mark to an entry.
    pub fn mark(self, entry: &mut Descriptor) {
        entry
            .annotations
            .insert(ANNOTATION_KIND.to_owned(), self.value().to_owned());
    }
}

/// Checks the marker of a layout.
///
/// # Errors
/// [`OciError::Malformed`] for another version, or something that is no marker.
pub fn check_layout_marker(bytes: &[u8]) -> Result<(), OciError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    let refuse = |cause: String| OciError::Malformed {
        what: LAYOUT_MARKER,
        cause,
    };
    let marker: Marker = serde_json::from_slice(bytes).map_err(|e| refuse(e.to_string()))?;
    if marker.image_layout_version != "1.0.0" {
        let found: String = marker.image_layout_version.chars().take(40).collect();
        return Err(refuse(format!("layout version {found:?} is not \"1.0.0\"")));
    }
    Ok(())
}

/// Parses `index.json` and returns its entries.
///
/// # Errors
/// [`OciError`] if this is no index.
pub fn parse_layout_index(bytes: &[u8]) -> Result<Vec<Descriptor>, OciError> {
    match Document::parse(bytes)? {
        Document::Index(index) => Ok(index.manifests),
        Document::Manifest(_) => Err(OciError::Malformed {
            what: LAYOUT_INDEX,
            cause: "it is a manifest".to_owned(),
        }),
    }
}

/// Encodes `index.json`.
pub fn encode_layout_index(entries: &[Descriptor]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Index<'a> {
        schema_version: u8,
        media_type: &'a str,
        manifests: &'a [Descriptor],
    }
    serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: OCI_INDEX,
        manifests: entries,
    })
    .expect("strings, numbers and string maps always encode")
}

/// Returns the annotations that name an entry.
pub fn named(tag: &str) -> BTreeMap<String, String> {
    [(ANNOTATION_REF_NAME.to_owned(), tag.to_owned())].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::OCI_MANIFEST;

    #[test]
    fn the_marker_has_the_one_version_there_is() {
        assert_eq!(check_layout_marker(LAYOUT_MARKER_BYTES), Ok(()));
        assert_eq!(
            check_layout_marker(b"{\n  \"imageLayoutVersion\": \"1.0.0\"\n}"),
            Ok(())
        );
        for bad in [
            &b"{\"imageLayoutVersion\":\"2.0.0\"}"[..],
            b"{\"imageLayoutVersion\":1}",
            b"{}",
            b"",
        ] {
            let refused = check_layout_marker(bad).unwrap_err();
            assert!(matches!(refused, OciError::Malformed { .. }), "{bad:?}");
        }
    }

    #[test]
    fn marks_and_names_survive_a_round_trip() {
        let mut image = Descriptor {
            annotations: named("v1"),
            ..Descriptor::of(OCI_MANIFEST, b"image")
        };
        assert_eq!(LayoutKind::of(&image), None);
        for kind in LayoutKind::ALL {
            kind.mark(&mut image);
            let text = encode_layout_index(std::slice::from_ref(&image));
            let entries = parse_layout_index(&text).unwrap();
            assert_eq!(entries, [image.clone()]);
            assert_eq!(LayoutKind::of(&entries[0]), Some(kind));
        }
        image
            .annotations
            .insert(ANNOTATION_KIND.to_owned(), "something".to_owned());
        assert_eq!(LayoutKind::of(&image), None);
    }

    #[test]
    fn a_list_says_its_type_and_names_its_entries() {
        let entry = Descriptor {
            annotations: named("v1"),
            ..Descriptor::of(OCI_MANIFEST, b"image")
        };
        let digest = &entry.digest;
        let expected = format!(
            concat!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#,
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":5,"digest":"{}","#,
                r#""annotations":{{"org.opencontainers.image.ref.name":"v1"}}}}]}}"#
            ),
            digest
        );
        let written = encode_layout_index(std::slice::from_ref(&entry));
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn only_an_index_is_the_list_of_a_layout() {
        let d = serde_json::to_string(&Descriptor::of(OCI_MANIFEST, b"x")).unwrap();
        assert!(parse_layout_index(br#"{"schemaVersion":2,"manifests":[]}"#).is_ok());
        for bad in [
            format!(r#"{{"config":{d},"layers":[]}}"#),
            format!(r#"{{"config":{d},"manifests":[]}}"#),
            r#"{"manifests":[{"mediaType":"a/b","size":1,"digest":"sha256:../../x"}]}"#.to_owned(),
            "{}".to_owned(),
        ] {
            assert!(parse_layout_index(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
