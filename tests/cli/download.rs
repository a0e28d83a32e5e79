//! `keyless download`: stored bytes, one JSON a line.

use keyless::format::oci::{Descriptor, LegacyTag, OCI_INDEX};
use keyless::sandbox::Service;
use serde_json::{Value, json};

use crate::support::{REPOSITORY, World};
use crate::tree::{both, envelope, put_artifact, put_legacy, sign};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

#[test]
fn signatures_are_printed_in_either_form() {
    let world = World::new();
    for own in both(&world) {
        let image = own.image("v1");
        sign(&world, &image);
        put_legacy(&own.registry, &image.descriptor);
        let run = world.keyless("download signature").arg(image.by_tag());
        let run = run.run().exits(0).says("not verified");
        let lines: Vec<Value> = run
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{run:#?}");
        assert_eq!(lines[0]["mediaType"], BUNDLE);
        assert_eq!(lines[1]["Base64Signature"], "c2ln");
        let payload = lines[1]["Payload"].as_str().unwrap();
        let payload = keyless::format::protojson::decode_base64(payload).unwrap();
        let payload = String::from_utf8(payload).unwrap();
        assert!(
            payload.contains(&image.descriptor.digest.to_string()),
            "{payload}"
        );
        assert!(lines[1]["Cert"].is_null());

        // The stored bytes, so that the file can be attached or verified elsewhere.
        let bundle = run.stdout.lines().next().unwrap();
        let run = world
            .keyless("download bundle --output json")
            .arg(image.by_tag());
        let document = run.run().exits(0).json();
        let found = document["found"].as_array().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["digest"], crate::support::sha256(bundle));
        assert_eq!(found[0]["form"], "bundle");
        assert_eq!(found[0]["content"], lines[0]);
    }
}

#[test]
fn attestations_are_chosen_by_what_they_say_themselves() {
    let world = World::new();
    let own = &both(&world)[0];
    let image = own.image("v1");
    let registry = &own.registry;
    put_legacy(registry, &image.descriptor);
    // Says in a list that it is something else.
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": { "publicKey": { "hint": "x" } },
        "dsseEnvelope": serde_json::from_str::<Value>(
            &envelope("https://slsa.dev/provenance/v1", &image.descriptor.digest)
        ).unwrap(),
    });
    let pretty = serde_json::to_string_pretty(&bundle).unwrap();
    put_artifact(registry, None, BUNDLE, &pretty, Some(&image.descriptor));
    let types = |arguments: &str| {
        let run = world.keyless(&format!("download {arguments} --output json"));
        let document = run.arg(image.by_tag()).run().exits(0).json();
        assert_eq!(document["verified"], false);
        let found = document["found"].as_array().unwrap().iter();
        let types = found.map(|one| one["predicateType"].as_str().unwrap_or("none").to_owned());
        types.collect::<Vec<_>>()
    };
    let (slsa, other) = ("https://slsa.dev/provenance/v1", "https://p.test/v1");
    assert_eq!(types("attestation"), [slsa, other]);
    assert_eq!(
        types("attestation --predicate-type slsaprovenance1"),
        [slsa]
    );
    assert_eq!(
        types("attestation --predicate-type https://p.test/v1"),
        [other]
    );
    assert_eq!(types("bundle"), [slsa]);
    assert_eq!(types("signature"), ["none"]);
    let run = world.keyless("download attestation").arg(image.by_tag());
    let run = run.run().exits(0);
    assert_eq!(run.stdout.lines().next(), Some(bundle.to_string().as_str()));
    let run = world.keyless("download attestation --output json --predicate-type slsaprovenance9");
    run.arg(image.by_tag()).run().exits(2);
    let run = world.keyless("download attestation --output json --predicate-type spdx");
    run.arg(image.by_tag()).run().fails(10, "nothing-attached");
}

#[test]
fn what_is_no_bundle_is_told_and_does_not_hide_the_others() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image);
    let registry = world.sandbox.registry();
    let bad = put_artifact(registry, None, BUNDLE, "{}", Some(&image.descriptor));
    let run = world
        .keyless("download bundle --output json")
        .arg(image.by_tag());
    let run = run.run().exits(22);
    let document = run.json();
    assert_eq!(document["found"].as_array().unwrap().len(), 1);
    let problem = &document["problems"][0];
    assert_eq!(problem["error"]["code"], "attached-unreadable", "{bad:?}");
}

#[test]
fn what_is_too_large_does_not_hide_the_others() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image);
    let registry = world.sandbox.registry();
    registry.put_blob(REPOSITORY, "{}").unwrap();
    for n in 0..3u64 {
        let mut layer = Descriptor::of(BUNDLE, format!("{n}").as_bytes());
        layer.size = 200_000_000 + n;
        let manifest = json!({
            "schemaVersion": 2,
            "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [layer],
            "subject": image.descriptor,
        });
        let media_type = keyless::format::oci::OCI_MANIFEST;
        registry
            .put_manifest(REPOSITORY, None, media_type, manifest.to_string())
            .unwrap();
    }
    let run = world
        .keyless("download bundle --output json")
        .arg(image.by_tag());
    let document = run.run().exits(42).json();
    assert_eq!(document["found"].as_array().unwrap().len(), 1);
    let problems = document["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 3);
    assert_eq!(problems[0]["error"]["code"], "registry-object-too-large");
}

#[test]
fn nothing_attached_is_no_empty_answer() {
    let world = World::new();
    let image = world.image("v1");
    for what in ["signature", "attestation", "bundle"] {
        let run = world.keyless(&format!("download {what} --output json"));
        run.arg(image.by_tag()).run().fails(10, "nothing-attached");
    }
}

#[test]
fn of_an_index_the_image_for_a_platform_is_taken() {
    let world = World::new();
    let (one, other) = (world.image("v1"), world.image("v2"));
    sign(&world, &one);
    let child = |descriptor: &Descriptor, architecture: &str| {
        let mut child = serde_json::to_value(descriptor).unwrap();
        child["platform"] = json!({ "os": "linux", "architecture": architecture });
        child
    };
    let children = [
        child(&one.descriptor, "amd64"),
        child(&other.descriptor, "arm64"),
    ];
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children });
    let registry = world.sandbox.registry();
    registry
        .put_manifest(REPOSITORY, Some("index"), OCI_INDEX, index.to_string())
        .unwrap();
    let index = format!("{}/{REPOSITORY}:index", world.host(Service::Registry));
    let download = |platform: &str| {
        let run = world.keyless("download signature --output json --platform");
        run.arg(platform).arg(&index).run()
    };
    let document = download("linux/amd64").exits(0).json();
    assert_eq!(document["reference"], one.by_digest());
    download("linux/arm64").fails(10, "nothing-attached");
    download("linux/s390x").fails(11, "platform-not-found");
    download("linux").exits(2);
    let run = world.keyless("download signature --output json --platform linux/amd64");
    run.arg(one.by_tag()).run().fails(11, "platform-not-found");
}

#[test]
fn a_legacy_signature_with_a_broken_part_is_told() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    registry.put_blob(REPOSITORY, "{}").unwrap();
    registry.put_blob(REPOSITORY, "payload").unwrap();
    let mut layer = Descriptor::of(crate::tree::SIMPLE_SIGNING, b"payload");
    let broken = ("dev.sigstore.cosign/bundle".to_owned(), "{".to_owned());
    layer.annotations.extend([broken]);
    let manifest = json!({
        "schemaVersion": 2,
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [layer],
    });
    let tag = LegacyTag::Signatures.tag(&image.descriptor.digest);
    let media_type = keyless::format::oci::OCI_MANIFEST;
    registry
        .put_manifest(REPOSITORY, Some(&tag), media_type, manifest.to_string())
        .unwrap();
    let run = world
        .keyless("download signature --output json")
        .arg(image.by_tag());
    let run = run.run().exits(22);
    let problem = &run.json()["problems"][0];
    assert_eq!(problem["error"]["code"], "attached-unreadable");
}
