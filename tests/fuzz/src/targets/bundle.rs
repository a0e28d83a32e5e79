//! A bundle, as JSON. What is read can be written and read again, and stays within the bounds.

use keyless::format::bundle::{Bundle, BundleVersion};
use keyless::format::limits;

use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "bundle",
    run,
    grammar: Grammar::Json,
    max_len: 16 * 1024,
    limit: limits::BUNDLE_LEN,
    weight: 2,
};

fn run(data: &[u8]) {
    let bundle = match Bundle::parse(data) {
        Ok(bundle) => bundle,
        Err(error) => return present(&error),
    };
    assert!(bundle.log_entries.len() <= limits::LOG_ENTRIES);
    assert!(bundle.timestamps.len() <= limits::TIMESTAMPS);
    assert!(!bundle.content.signature().is_empty());
    for proof in bundle
        .log_entries
        .iter()
        .filter_map(|e| e.inclusion_proof.as_ref())
    {
        assert!(proof.hashes.len() <= limits::PROOF_HASHES);
        assert!(proof.checkpoint.len() <= limits::CHECKPOINT_LEN);
    }
    let encoded = bundle.encode();
    let unproven = bundle
        .log_entries
        .iter()
        .any(|entry| entry.inclusion_proof.is_none());
    match Bundle::parse(encoded.as_bytes()) {
        Ok(mut again) => {
            assert_eq!(again.version, BundleVersion::V03);
            assert_eq!(again.encode(), encoded);
            again.version = bundle.version;
            assert_eq!(again, bundle);
        }
        // A v0.1 bundle may lack a proof; it cannot be written as v0.3. Base64 makes some longer than the limit.
        Err(error) => assert!(
            unproven || encoded.len() > limits::BUNDLE_LEN,
            "written and not read: {error}"
        ),
    }
}
