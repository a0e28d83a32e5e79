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
    fn other_layers_are_no_signatures() {
        let (manifest, layer) = captured(SIG, SIG_LAYER);
        let mut mixed = manifest.clone();
        mixed.layers.insert(0, Descriptor::of("text/spdx", b"sbom"));
        mixed.layers.push(captured(ATT, ATT_LAYER).1.descriptor);
        let found: Vec<_> = mixed.legacy_layers().collect();
        assert_eq!(found, [&layer.descriptor, &mixed.layers[2]]);
        mixed.layers.truncate(1);
        assert_eq!(mixed.legacy_layers().count(), 0);
    }

    #[test]
    fn a_payload_is_an_image_signatures() {
        let payload = captured(SIG, SIG_LAYER).1.simple_signing();
        assert_eq!(
            payload.map(|payload| payload.encode()),
            Some(SIG_LAYER.to_vec())
        );
        assert_eq!(captured(ATT, ATT_LAYER).1.simple_signing(), None);
    }

    #[test]
    fn empty_annotations_say_nothing_and_a_key_is_a_hint() {
        use super::super::layer::*;
        use crate::format::bundle::KeyMaterial;
        let (_, mut layer) = captured(SIG, SIG_LAYER);
        let KeyMaterial::Certificate(leaf) = layer.bundle().unwrap().key_material else {
            panic!("signed with a key");
        };
        for other in ["", &leaf.public_key().to_pem()] {
            let annotations = &mut layer.descriptor.annotations;
            annotations.insert(ANNOTATION_CERTIFICATE.to_owned(), other.to_owned());
            annotations.insert(ANNOTATION_TIMESTAMP.to_owned(), String::new());
            let read = layer.bundle().unwrap();
            assert!(matches!(read.key_material, KeyMaterial::PublicKey { .. }));
            assert!(read.timestamps.is_empty());
        }
    }

    #[test]
    fn one_timestamp_of_a_size_is_carried() {
        use crate::format::limits::TIMESTAMP_LEN;
        let (_, layer) = captured(SIG, SIG_LAYER);
        let mut bundle = layer.bundle().unwrap();
        let mut carried = |timestamps: Vec<Vec<u8>>| {
            bundle.timestamps = timestamps.clone();
            let read = Layer::of(&bundle)?.bundle();
            Some(read.map(|read| assert_eq!(read.timestamps, timestamps)))
        };
        assert_eq!(carried(vec![b"stamp".to_vec()]), Some(Ok(())));
        assert_eq!(carried(vec![vec![7; TIMESTAMP_LEN]]), Some(Ok(())));
        let longer = carried(vec![vec![7; TIMESTAMP_LEN + 1]]);
        assert!(matches!(longer, Some(Err(_))), "{longer:?}");
        assert_eq!(carried(vec![b"one".to_vec(), b"two".to_vec()]), None);
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
        assert!(refused(&|layer| {
            let promise = layer.descriptor.annotations.get_mut(ANNOTATION_BUNDLE);
            let promise = promise.unwrap();
            let mut json: serde_json::Value = serde_json::from_str(promise).unwrap();
            json["SignedEntryTimestamp"] = "".into();
            *promise = json.to_string();
        }));
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
