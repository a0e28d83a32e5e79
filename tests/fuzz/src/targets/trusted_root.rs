//! A trusted root. One that accepts a recorded bundle has the keys and certificates that it needs.

use keyless::format::bundle::KeyMaterial;
use keyless::format::limits;
use keyless::trust::TrustedRoot;

use super::captures::{genuine, judge, trust};
use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "trusted_root",
    run,
    grammar: Grammar::Json,
    max_len: 16 * 1024,
    limit: limits::TRUST_FILE_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    let root = match TrustedRoot::parse(data) {
        Ok(root) => root,
        Err(error) => return present(&error),
    };
    for log in root.logs.iter().chain(&root.ct_logs) {
        assert!(!log.party().is_empty() || log.log_id.is_empty());
    }
    for authority in &root.certificate_authorities {
        assert!(!authority.chain.is_empty());
    }
    for authority in &root.timestamp_authorities {
        assert!(!authority.leaf.is_ca());
        let _ = authority.party();
    }
    if root == *trust() {
        return;
    }
    // Rekor v2 with a timestamp: needs one of everything.
    let one = &genuine()[2];
    if judge(&one.bundle, &one.artifact, &root).is_err() {
        return;
    }
    let logs = one.bundle.log_entries.iter().map(|entry| entry.log_id);
    for id in logs {
        let key = |root: &TrustedRoot| {
            let mut listed = root.logs.iter().filter(|log| log.log_id == id);
            listed.next().map(|log| log.public_key.clone())
        };
        assert!(key(trust()).is_some() && key(&root) == key(trust()));
    }
    assert!(trust().ct_logs.iter().any(|known| {
        root.ct_logs
            .iter()
            .any(|log| log.public_key == known.public_key)
    }));
    let KeyMaterial::Certificate(leaf) = &one.bundle.key_material else {
        unreachable!("recorded with a certificate");
    };
    let issued = |root: &TrustedRoot| {
        let mut all = root.certificate_authorities.iter().flat_map(|a| &a.chain);
        all.find(|issuer| leaf.verify_signed_by(issuer).is_ok())
            .map(|issuer| issuer.public_key().clone())
    };
    assert!(issued(&root).is_some() && issued(&root) == issued(trust()));
    assert!(trust().timestamp_authorities.iter().any(|known| {
        root.timestamp_authorities
            .iter()
            .any(|authority| authority.leaf == known.leaf)
    }));
}
