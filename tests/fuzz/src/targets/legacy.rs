//! What cosign wrote before bundles: what is read is written, and read again as the same.

use keyless::format::bundle::Content;
use keyless::format::legacy::{
    Layer, LegacyManifest, LocalBundle, LogPromise, SimpleSigning, StoredEnvelope,
};
use keyless::format::oci::Document;

use super::{Grammar, SHORT, Target, present};

pub const TARGET: Target = Target {
    name: "legacy",
    run,
    grammar: Grammar::Json,
    max_len: 16 * 1024,
    limit: keyless::format::limits::BUNDLE_LEN,
    weight: 2,
};

const PAYLOAD: &[u8] =
    include_bytes!("../../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.layer0.json");
const ENVELOPE: &[u8] =
    include_bytes!("../../../../fixtures/captures/oci/referrers-api/legacy/tag.att.layer0.json");

fn run(data: &[u8]) {
    match SimpleSigning::parse(data) {
        Ok(payload) => assert_eq!(SimpleSigning::parse(&payload.encode()), Ok(payload)),
        Err(error) => present(&error),
    }
    match StoredEnvelope::parse(data) {
        Ok(stored) => {
            assert_eq!(stored.bytes(), data);
            let again = StoredEnvelope::of(stored.envelope());
            let again = StoredEnvelope::parse(again.bytes()).expect("what is written is read");
            assert_eq!(again.envelope(), stored.envelope());
        }
        Err(error) => present(&error),
    }
    match LogPromise::parse(data).and_then(LogPromise::entry) {
        Ok(entry) => {
            let promise = LogPromise::of(&entry).expect("an entry of a promise has one");
            let again = LogPromise::parse(promise.encode().as_bytes());
            assert_eq!(again.and_then(LogPromise::entry), Ok(entry));
        }
        Err(error) => present(&error),
    }
    if LocalBundle::parse(data).is_ok() {
        assert!(LocalBundle::is_one(data));
    }
    match LocalBundle::parse(data).and_then(LocalBundle::bundle) {
        Ok(bundle) => {
            if let Some(stored) = &bundle.stored_envelope {
                let Content::DsseEnvelope(envelope) = &bundle.content else {
                    panic!("an envelope was stored, and the content is none");
                };
                assert_eq!(envelope, stored.envelope());
            }
            if let Some(file) = LocalBundle::of(&bundle) {
                let again = LocalBundle::parse(file.encode().as_bytes());
                let again = again.and_then(LocalBundle::bundle).expect("it is read");
                assert_eq!(again.content, bundle.content);
                assert_eq!(again.key_material, bundle.key_material);
                assert_eq!(again.log_entries, bundle.log_entries);
            }
        }
        Err(error) => present(&error),
    }
    if data.len() > SHORT {
        return;
    }
    let Ok(Document::Manifest(manifest)) = Document::parse(data) else {
        return;
    };
    for descriptor in manifest.legacy_layers().take(8) {
        for content in [PAYLOAD, ENVELOPE] {
            let layer = Layer {
                descriptor: descriptor.clone(),
                content: content.to_vec(),
            };
            match layer.bundle() {
                Ok(bundle) => {
                    let Some(written) = Layer::of(&bundle) else {
                        continue;
                    };
                    let again = written.bundle().expect("what is written is read");
                    assert_eq!(again.content, bundle.content);
                    assert_eq!(again.log_entries, bundle.log_entries);
                    assert_eq!(again.timestamps, bundle.timestamps);
                    let added = LegacyManifest::add(Some(&manifest), &written);
                    assert_eq!(
                        added.is_none(),
                        manifest.layers.contains(&written.descriptor)
                    );
                }
                Err(error) => present(&error),
            }
        }
    }
}
