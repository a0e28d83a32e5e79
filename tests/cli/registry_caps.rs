//! Caps on what a registry may make us read: each ends reading, says so, and can be raised.

use axum::body::Bytes;
use keyless::format::oci::{
    BUNDLE_ARTIFACT_TYPE, Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, OCI_MANIFEST,
};
use keyless::sandbox::registry::RegistryMode;

use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World};

/// Lists `count` referrers that are of no use, and whose blobs are not there.
fn put_junk(own: &OwnRegistry, image: &Image, count: usize) {
    own.registry
        .put_blob(REPOSITORY, EMPTY_CONFIG_BYTES)
        .unwrap();
    for number in 0..count {
        let layer = Bytes::from(format!("junk {number}"));
        let bundle = Descriptor::of(BUNDLE_ARTIFACT_TYPE, &layer);
        let created = keyless::crypto::UnixTime::from_seconds(1_800_000_000);
        let predicate = "https://sigstore.dev/cosign/sign/v1";
        let manifest = EncodedManifest::for_bundle(&bundle, &image.descriptor, predicate, created);
        own.registry
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.bytes)
            .unwrap();
    }
}

fn verify(world: &World, image: &Image, flags: &[&str]) -> Run {
    let verify = world.keyless("verify --output json").arg(image.by_digest());
    verify.args(world.expecting()).args(flags).run()
}

/// The error of the only image: its code, cap, what was found, and the hint.
fn told(run: &Run) -> (String, String, String, String) {
    let error = &run.json()["images"][0]["error"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let detail = |name: &str| {
        let details = error["details"].as_array().unwrap();
        let found = details.iter().find(|detail| detail["name"] == name);
        found
            .map(|detail| text(&detail["value"]))
            .unwrap_or_default()
    };
    (
        text(&error["code"]),
        detail("cap"),
        detail("found"),
        text(&error["hint"]),
    )
}

#[test]
fn each_cap_says_its_value_what_was_found_and_what_raises_it() {
    let world = World::new();
    let own = OwnRegistry::start(
        &world,
        RegistryMode {
            page_size: Some(2),
            ..RegistryMode::default()
        },
    );
    let image = own.image("v1");
    put_junk(&own, &image, 5);
    for (flag, value, enough, code, found) in [
        (
            "--max-referrers",
            "4",
            "6",
            "registry-too-many",
            "5 referrers",
        ),
        (
            "--max-referrer-pages",
            "2",
            "3",
            "registry-too-many",
            "more",
        ),
        (
            "--max-referrers-size",
            "2k",
            "1MiB",
            "registry-too-many",
            "more",
        ),
        (
            "--max-listing-time",
            "0",
            "60",
            "registry-too-many",
            "0 seconds",
        ),
        (
            "--max-manifest-size",
            "500",
            "10k",
            "registry-object-too-large",
            "more",
        ),
    ] {
        let run = verify(&world, &image, &[flag, value]).exits(42);
        let (said, cap, seen, hint) = told(&run);
        assert_eq!(said, code, "{run:#?}");
        let bytes = if value == "2k" { "2000" } else { value };
        assert_eq!(cap, format!("{flag} {bytes}"));
        // The second page makes four, and a third is announced.
        let expected = if flag == "--max-referrers" {
            "more"
        } else {
            found
        };
        assert!(seen == found || seen == expected, "{flag}: {seen}");
        assert!(hint.contains(flag), "{hint}");
        assert!(run.stderr.contains(flag), "{run:#?}");
        // Raised, the whole list is read: the junk is judged, and there is no signature.
        let run = verify(&world, &image, &[flag, enough]);
        assert_ne!(told(&run).0, code, "{run:#?}");
    }
}

#[test]
fn a_good_signature_that_was_read_counts_whatever_is_beyond_the_cap() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    put_junk(&own, &image, 3);
    verify(&world, &image, &["--max-referrers", "2"]).exits(0);
}

#[test]
fn a_full_fallback_index_is_told_with_its_option() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::without_referrers());
    let image = own.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let again = |value: &str| {
        let sign = world.keyless("sign --max-referrers").arg(value);
        sign.arg(image.by_digest()).run()
    };
    again("1")
        .exits(42)
        .says("--max-referrers 1")
        .says("2 referrers");
    again("2").exits(0);
    let sign = world
        .keyless("sign --max-manifest-size 1k")
        .arg(image.by_digest());
    sign.run().exits(42).says("--max-manifest-size 1000");
}

#[test]
fn caps_are_numbers() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    for flags in [
        ["--max-referrers", "many"],
        ["--max-referrers", "-1"],
        ["--max-manifest-size", "4 furlongs"],
        ["--max-referrers-size", "99999999999999999999"],
        ["--max-listing-time", "1.5"],
    ] {
        let verify = world.keyless("verify").arg(&image).args(flags);
        verify.args(world.expecting()).run().exits(2);
    }
}
