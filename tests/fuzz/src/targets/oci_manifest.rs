//! A manifest or index from a registry: one or the other, within the bounds.

use keyless::crypto::UnixTime;
use keyless::format::oci::{
    Descriptor, Document, EncodedManifest, MAX_INDEX_MANIFESTS, MAX_LAYERS, OCI_MANIFEST,
};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "oci_manifest",
    run,
    grammar: Grammar::Json,
    max_len: 8 * 1024,
    limit: 4 * 1024 * 1024, // `net::registry`, a manifest
    weight: 1,
};

fn run(data: &[u8]) {
    let document = match Document::parse(data) {
        Ok(document) => document,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let _ = document.media_type();
    match document {
        Document::Manifest(manifest) => {
            assert!(manifest.layers.len() <= MAX_LAYERS);
            if let Some(layer) = manifest.bundle_layer() {
                assert_eq!(manifest.layers.len(), 1);
                attach(layer);
            }
            manifest.subject.iter().for_each(attach);
        }
        Document::Index(index) => {
            assert!(index.manifests.len() <= MAX_INDEX_MANIFESTS);
            index.manifests.iter().for_each(|manifest| {
                let _ = manifest.platform.as_ref().map(ToString::to_string);
            });
            index.subject.iter().for_each(attach);
        }
    }
}

/// Attaches something to what a descriptor describes, and reads that back.
fn attach(subject: &Descriptor) {
    let bundle = Descriptor::of(OCI_MANIFEST, b"bundle");
    let encoded =
        EncodedManifest::for_bundle(&bundle, subject, "type", UnixTime::from_seconds(1 << 30));
    match Document::parse(&encoded.bytes) {
        Ok(Document::Manifest(again)) => assert_eq!(again.subject, Some(subject.bare())),
        other => panic!("attached as {other:?}"),
    }
}
