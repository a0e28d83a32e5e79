//! The manifest that attaches a bundle to an image.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    ANNOTATION_CONTENT, ANNOTATION_CREATED, ANNOTATION_PREDICATE_TYPE, BUNDLE_ARTIFACT_TYPE,
    Descriptor, EMPTY_CONFIG, EMPTY_CONFIG_BYTES, OCI_MANIFEST,
};
use crate::crypto::UnixTime;

/// A manifest ready to be pushed: its exact bytes, and how a list of referrers describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedManifest {
    /// The bytes to push; their digest is in the descriptor.
    pub bytes: Vec<u8>,
    /// Media type, size, digest, artifact type and annotations (distribution-spec, "Pushing
    /// Manifests with Subject").
    pub descriptor: Descriptor,
}

impl EncodedManifest {
    /// Encodes the manifest that attaches a DSSE bundle to an image: the field order of cosign 3,
    /// without its stray `config.artifactType`.
    ///
    /// `bundle` describes the bundle's bytes; `subject` the signed image or index.
    pub fn for_bundle(
        bundle: &Descriptor,
        subject: &Descriptor,
        predicate_type: &str,
        created: UnixTime,
    ) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Layout<'a> {
            schema_version: u8,
            media_type: &'a str,
            config: Descriptor,
            layers: [Descriptor; 1],
            annotations: &'a BTreeMap<String, String>,
            subject: Descriptor,
            artifact_type: &'a str,
        }
        let annotations: BTreeMap<String, String> = [
            (ANNOTATION_CONTENT, "dsse-envelope".to_owned()),
            (ANNOTATION_PREDICATE_TYPE, predicate_type.to_owned()),
            (
                ANNOTATION_CREATED,
                UnixTime::from_seconds(created.seconds()).rfc3339(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let bytes = serde_json::to_vec(&Layout {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: Descriptor::of(EMPTY_CONFIG, EMPTY_CONFIG_BYTES),
            layers: [bundle.bare()],
            annotations: &annotations,
            subject: subject.bare(),
            artifact_type: BUNDLE_ARTIFACT_TYPE,
        })
        .expect("strings, numbers and string maps always encode");
        let descriptor = Descriptor {
            annotations,
            artifact_type: Some(BUNDLE_ARTIFACT_TYPE.to_owned()),
            ..Descriptor::of(OCI_MANIFEST, &bytes)
        };
        EncodedManifest { bytes, descriptor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Digest;
    use crate::format::oci::Document;

    fn descriptor(content: &[u8]) -> Descriptor {
        Descriptor::of(OCI_MANIFEST, content)
    }

    #[test]
    fn the_bundle_manifest_has_the_layout_of_cosign_3() {
        let bundle = descriptor(b"bundle");
        let subject = Descriptor {
            artifact_type: Some("x/y".to_owned()),
            ..descriptor(b"image")
        };
        let created = UnixTime::parse_rfc3339("2026-11-22T23:10:25.75Z").unwrap();
        let encoded = EncodedManifest::for_bundle(
            &bundle,
            &subject,
            "https://sigstore.dev/cosign/sign/v1",
            created,
        );
        let expected = format!(
            concat!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                r#""config":{{"mediaType":"application/vnd.oci.empty.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}},"#,
                r#""layers":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":6,"digest":"{}"}}],"#,
                r#""annotations":{{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":"https://sigstore.dev/cosign/sign/v1","org.opencontainers.image.created":"2026-11-22T23:10:25Z"}},"#,
                r#""subject":{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":5,"digest":"{}"}},"#,
                r#""artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"}}"#
            ),
            bundle.digest, subject.digest
        );
        assert_eq!(String::from_utf8(encoded.bytes.clone()).unwrap(), expected);
        assert_eq!(encoded.descriptor.digest, Digest::sha256(&encoded.bytes));
        assert_eq!(
            encoded.descriptor.artifact_type.as_deref(),
            Some(BUNDLE_ARTIFACT_TYPE)
        );
        assert_eq!(encoded.descriptor.annotations.len(), 3);
        let Ok(Document::Manifest(manifest)) = Document::parse(&encoded.bytes) else {
            panic!("own manifest does not parse");
        };
        assert_eq!(manifest.subject, Some(subject.bare()));
    }
}
