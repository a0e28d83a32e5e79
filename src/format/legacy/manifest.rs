//! The manifests that older signatures are layers of, and the tags that lead to them.

use serde::Serialize;

use super::layer::{Layer, is_signature_layer};
use crate::format::oci::{Descriptor, EncodedManifest, Manifest, OCI_MANIFEST};

/// Media type of the config of such a manifest.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Artifact type of a signature attached by cosign's experimental OCI 1.1 mode.
pub const EXPERIMENTAL_SIGNATURE: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// A manifest of older signatures, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyManifest {
    /// The config's bytes: an image config that names the layers and says nothing else.
    pub config: Vec<u8>,
    /// The manifest.
    pub manifest: EncodedManifest,
}

impl LegacyManifest {
    /// Adds a layer to those that are there; `None` if it is among them.
    ///
    /// What was there is kept as it was: media type, size, digest and annotations.
    pub fn add(present: Option<&Manifest>, layer: &Layer) -> Option<Self> {
        let mut layers: Vec<Descriptor> = present
            .map(|manifest| manifest.layers.clone())
            .unwrap_or_default();
        if layers.contains(&layer.descriptor) {
            return None;
        }
        layers.push(layer.descriptor.clone());
        Some(LegacyManifest::of(&layers))
    }

    /// Writes a manifest of these layers, the fields in cosign's order.
    fn of(layers: &[Descriptor]) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Layout<'a> {
            schema_version: u8,
            media_type: &'a str,
            config: Descriptor,
            layers: &'a [Descriptor],
        }
        let config = config(layers);
        let bytes = serde_json::to_vec(&Layout {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: Descriptor::of(IMAGE_CONFIG, &config),
            layers,
        })
        .expect("strings, numbers and string maps always encode");
        let descriptor = Descriptor::of(OCI_MANIFEST, &bytes);
        LegacyManifest {
            config,
            manifest: EncodedManifest { bytes, descriptor },
        }
    }
}

/// Writes the config as cosign does: a time of its own for each layer, the zero time of Go.
fn config(layers: &[Descriptor]) -> Vec<u8> {
    const ZERO: &str = "0001-01-01T00:00:00Z";
    let history = vec![format!(r#"{{"created":"{ZERO}"}}"#); layers.len()].join(",");
    let digests: Vec<String> = layers
        .iter()
        .map(|layer| format!("\"{}\"", layer.digest))
        .collect();
    format!(
        r#"{{"architecture":"","created":"{ZERO}","history":[{history}],"os":"","rootfs":{{"type":"layers","diff_ids":[{}]}},"config":{{}}}}"#,
        digests.join(",")
    )
    .into_bytes()
}

impl Manifest {
    /// Returns the layers that are older signatures or attestations.
    pub fn legacy_layers(&self) -> impl Iterator<Item = &Descriptor> {
        self.layers.iter().filter(|layer| is_signature_layer(layer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Digest;
    use crate::format::oci::Document;

    const SIG: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.manifest.json");
    const SIG_LAYER: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.layer0.json");
    const SIG_CONFIG: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.config.json");
    const ATT: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.att.manifest.json");
    const ATT_LAYER: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.att.layer0.json");

    fn captured(manifest: &[u8], content: &[u8]) -> (Manifest, Layer) {
        let Ok(Document::Manifest(manifest)) = Document::parse(manifest) else {
            panic!("a manifest of cosign's does not parse");
        };
        let descriptor = manifest.layers[0].clone();
        let content = content.to_vec();
        let layer = Layer {
            descriptor,
            content,
        };
        (manifest, layer)
    }

    #[test]
    fn a_timestamp_of_an_attestation_is_over_the_envelope_or_its_signature() {
        let bundle = captured(ATT, ATT_LAYER).1.bundle().unwrap();
        let signature = bundle.content.signature();
        assert_eq!(bundle.stamped(&Digest::sha256(signature)), signature);
        for covered in [ATT_LAYER, b"anything else"] {
            assert_eq!(bundle.stamped(&Digest::sha256(covered)), ATT_LAYER);
        }
        // Of an image's signature, nothing but the signature is.
        let bundle = captured(SIG, SIG_LAYER).1.bundle().unwrap();
        let signature = bundle.content.signature();
        assert_eq!(bundle.stamped(&Digest::sha256(SIG_LAYER)), signature);
    }

    #[test]
    fn manifests_of_cosign_are_read_and_written_again() {
        for (bytes, content) in [(SIG, SIG_LAYER), (ATT, ATT_LAYER)] {
            let (manifest, layer) = captured(bytes, content);
            assert_eq!(manifest.legacy_layers().count(), 1);
            let bundle = layer.bundle().unwrap();
            let mut written = Layer::of(&bundle).unwrap();
            assert_eq!(written.content, content);
            // cosign leaves an empty chain behind; nobody reads it.
            let chain = super::super::layer::ANNOTATION_CHAIN.to_owned();
            let empty = written.descriptor.annotations.insert(chain, String::new());
            assert_eq!(empty, None);
            assert_eq!(written.descriptor, layer.descriptor);
            let again = LegacyManifest::add(None, &written).unwrap();
            assert_eq!(
                String::from_utf8(again.manifest.bytes).unwrap(),
                String::from_utf8(bytes.to_vec()).unwrap()
            );
        }
        let (manifest, layer) = captured(SIG, SIG_LAYER);
        assert_eq!(
            LegacyManifest::add(None, &layer).unwrap().config,
            SIG_CONFIG
        );
        assert_eq!(LegacyManifest::add(Some(&manifest), &layer), None, "twice");
    }

    #[test]
    fn what_was_there_stays() {
        let (manifest, layer) = captured(SIG, SIG_LAYER);
        let (_, other) = captured(ATT, ATT_LAYER);
        let both = LegacyManifest::add(Some(&manifest), &other).unwrap();
        let Ok(Document::Manifest(read)) = Document::parse(&both.manifest.bytes) else {
            panic!("own manifest does not parse");
        };
        assert_eq!(read.layers, [layer.descriptor, other.descriptor]);
        assert_eq!(read.config.digest, Digest::sha256(&both.config));
        let config: serde_json::Value = serde_json::from_slice(&both.config).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn layers_that_are_no_signature_are_refused() {
        let (_, layer) = captured(SIG, SIG_LAYER);
        let refused = |change: &dyn Fn(&mut Layer)| {
            let mut changed = layer.clone();
            change(&mut changed);
            changed.bundle().is_err()
        };
        assert!(!refused(&|_| {}));
        let set = |name: &'static str, value: &'static str| {
            move |layer: &mut Layer| {
                let annotations = &mut layer.descriptor.annotations;
                annotations.insert(name.to_owned(), value.to_owned());
            }
        };
        use super::super::layer::*;
        assert!(refused(&set(ANNOTATION_SIGNATURE, "")));
        assert!(refused(&set(ANNOTATION_SIGNATURE, "?")));
        assert!(refused(&set(ANNOTATION_CERTIFICATE, "?")));
        assert!(refused(&set(ANNOTATION_BUNDLE, "{}")));
        assert!(refused(&set(
            ANNOTATION_BUNDLE,
            r#"{"SignedEntryTimestamp":"","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"00"}}"#
        )));
        assert!(refused(&set(ANNOTATION_TIMESTAMP, "{}")));
        assert!(refused(&set(
            ANNOTATION_TIMESTAMP,
            r#"{"SignedRFC3161Timestamp":""}"#
        )));
        assert!(refused(
            &|layer| layer.descriptor.media_type = "text/plain".into()
        ));
        assert!(refused(
            &|layer| layer.descriptor.media_type = ENVELOPE_TYPE.into()
        ));
    }

    #[test]
    fn an_envelope_has_one_signature() {
        let text = String::from_utf8(ATT_LAYER.to_vec()).unwrap();
        assert!(super::super::StoredEnvelope::parse(ATT_LAYER).is_ok());
        let start = text.find(r#"{"sig""#).unwrap();
        let end = text.rfind(']').unwrap();
        let signature = &text[start..end];
        let with = |signatures: &str| {
            let changed = text.replace(signature, signatures);
            super::super::StoredEnvelope::parse(changed.as_bytes())
        };
        assert!(with(signature).is_ok());
        assert!(with(&format!("{signature},{signature}")).is_err());
        assert!(with("").is_err());
        assert!(with(r#"{"sig":""}"#).is_err());
    }
}
