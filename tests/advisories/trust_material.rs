//! Keys and authorities: trusted for a time, from the trusted root alone, and never by default.

use keyless::crypto::UnixTime;
use keyless::diagnostic::Diagnostic as _;
use keyless::sandbox::Service;
use keyless::trust::TrustedRoot;
use serde_json::{Value, json};

use crate::forge::{Forge, NOW, Scene};
use crate::scene::changed;
use crate::support::World;

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

#[test]
fn cve_2026_54787_keys_that_had_ended_before_the_signature() {
    type Change = fn(&mut Scene, Option<UnixTime>);
    type Made = (&'static str, fn() -> Forge, Change, &'static str);
    let cases: [Made; 6] = [
        (
            "log, by its promise",
            Forge::blob1,
            |scene, end| scene.trust.logs[0].valid_for.end = end,
            "log-key-not-valid-at",
        ),
        (
            "log, by a timestamp",
            Forge::blob2,
            |scene, end| scene.trust.logs[1].valid_for.end = end,
            "log-key-not-valid-at",
        ),
        (
            "log, for a managed key",
            Forge::key2,
            |scene, end| scene.trust.logs[1].valid_for.end = end,
            "log-key-not-valid-at",
        ),
        (
            "timestamp authority",
            Forge::blob2,
            |scene, end| scene.trust.timestamp_authorities[0].valid_for.end = end,
            "timestamp-authority-not-valid-at",
        ),
        (
            "certificate authority",
            Forge::blob2,
            |scene, end| scene.trust.certificate_authorities[0].valid_for.end = end,
            "certificate-authority-not-valid-at",
        ),
        (
            "CT log",
            Forge::blob1,
            |scene, end| scene.trust.ct_logs[0].valid_for.end = end,
            "sct-untrusted",
        ),
    ];
    for (name, base, change, expected) in cases {
        let mut scene = base().make();
        change(&mut scene, Some(at(NOW + 2)));
        assert!(scene.verify().is_ok(), "{name}: ended later");
        change(&mut scene, Some(at(NOW - 61)));
        let error = scene.verify().unwrap_err();
        assert_eq!(error.code(), expected, "{name}");
    }
}

#[test]
fn rust_c09aeb1_what_is_not_listed_is_not_trusted() {
    changed(
        Forge::blob2,
        |scene| scene.trust.timestamp_authorities.clear(),
        "no-trusted-time",
    );
    changed(
        Forge::blob2,
        |scene| scene.trust.certificate_authorities.clear(),
        "certificate-authority-not-valid-at",
    );
    changed(
        Forge::blob2,
        |scene| scene.trust.logs.clear(),
        "log-unknown",
    );
    changed(
        Forge::blob2,
        |scene| scene.trust.ct_logs.clear(),
        "sct-untrusted",
    );
    changed(
        Forge::blob2,
        |scene| scene.trust = TrustedRoot::default(),
        "log-unknown",
    );
    // An authority without certificates is none.
    let world = World::new();
    let file = world.sandbox.files().join("trusted_root.json");
    let mut root: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    root["timestampAuthorities"][0]["certChain"] = json!({ "certificates": [] });
    let error = TrustedRoot::parse(root.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.code(), "trusted-root-invalid");
}

/// The sandbox's trusted root, changed; its file.
fn trusted_root(world: &World, change: impl FnOnce(&mut Value)) -> String {
    let file = world.sandbox.files().join("trusted_root.json");
    let mut root: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut root);
    let path = world.path_elsewhere("root.json");
    std::fs::write(&path, root.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn cve_2023_47122_no_key_from_the_log_that_is_judged() {
    let world = World::new();
    world.write("file", "content");
    let without_logs = trusted_root(&world, |root| root["tlogs"] = json!([]));
    world
        .keyless("sign-blob file --output json --trusted-root")
        .arg(&without_logs)
        .run()
        .fails(32, "log-unknown");
    assert!(!world.files().contains(&"file.sigstore.json".to_owned()));
    world.keyless("sign-blob file").run().exits(0);
    let before = world.counts().total();
    world
        .keyless("verify-blob file --output json --trusted-root")
        .arg(&without_logs)
        .args(world.expecting())
        .run()
        .fails(32, "log-unknown");
    assert_eq!(world.counts().total(), before, "verifying asks nobody");
    let asked = world.sandbox.requests();
    let keys = [
        "publickey",
        "trustbundle",
        "rootcert",
        "certchain",
        "get-roots",
    ];
    for request in asked {
        let path = request.path.to_ascii_lowercase();
        assert!(!keys.iter().any(|key| path.contains(key)), "{path}");
    }
}

#[test]
fn cve_2024_51746_another_entry_in_the_logs_answer() {
    use keyless::sandbox::RekorVersion;
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &["rekor-wrong-body"]);
        world.write("file", "content");
        world
            .keyless("sign-blob file --output json")
            .run()
            .fails(32, "log-entry-mismatch");
        assert_eq!(world.files(), ["file"]);
        // Nothing searches a log for what might be meant.
        assert!(
            world
                .sandbox
                .requests()
                .iter()
                .filter(|r| matches!(r.service, Service::RekorV1 | Service::RekorV2))
                .all(|r| !r.path.contains("retrieve") && !r.path.contains("index"))
        );
    }
}

#[test]
fn rust_ffd576f_nonce_of_another_timestamp_request() {
    let world = World::with(&["tsa-wrong-nonce"]);
    world.write("file", "content");
    world
        .keyless("sign-blob file --output json")
        .run()
        .fails(42, "service-bad-reply")
        .says("nonce");
    assert_eq!(world.files(), ["file"]);
}

/// Minimal versions in which the advisories of RustSec, as of 2026-08-21, are mended.
const MENDED: [(&str, [u32; 3], &str); 5] = [
    (
        "rustls-webpki",
        [0, 103, 13],
        "2026-0049, -0098, -0099, -0104",
    ),
    ("h2", [0, 4, 16], "2026-0258"),
    ("aws-lc-sys", [0, 39, 0], "2026-0044 to -0048"),
    ("time", [0, 3, 47], "2026-0009"),
    ("tar", [0, 4, 45], "2026-0067, -0068"),
];

#[test]
fn rustsec_the_locked_crates_are_mended() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap();
    let versions = |name: &str| -> Vec<Vec<u32>> {
        let head = format!("name = \"{name}\"\nversion = \"");
        lock.match_indices(&head)
            .map(|(at, _)| {
                let version = lock[at + head.len()..].split('"').next().unwrap();
                version
                    .split('.')
                    .map(|part| part.parse().unwrap())
                    .collect()
            })
            .collect()
    };
    for (name, mended, ids) in MENDED {
        for locked in versions(name) {
            assert!(
                locked >= mended.to_vec(),
                "{name} {locked:?}: RUSTSEC-{ids}"
            );
        }
    }
    // RUSTSEC-2023-0071 has no mended version.
    assert!(versions("rsa").is_empty());
    assert!(
        !versions("aws-lc-sys").is_empty(),
        "the lock file is not read"
    );
}
