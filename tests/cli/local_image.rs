//! `keyless verify --local-image`: images in folders, judged without any registry.

use std::fs;

use keyless::format::oci::{Descriptor, OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::support::{Image, Run, World, put_index};

fn signed(world: &World) -> (Image, Image) {
    let child = world.image("v1");
    let host = child.repository.split('/').next().unwrap();
    let index = put_index(world.sandbox.registry(), host, "index", &[&child]);
    let run = world.keyless("sign --recursive").arg(index.by_digest());
    run.run().exits(0);
    let run = world.keyless("save --dir saved").arg(index.by_digest());
    run.run().exits(0);
    (index, child)
}

fn verify(world: &World, flags: &str) -> (Run, Value) {
    let before = world.counts().total();
    let run = world
        .keyless("verify --output json --local-image saved")
        .args(world.expecting())
        .args(flags.split_whitespace())
        .run();
    assert_eq!(world.counts().total(), before, "nobody is asked");
    let images = run.json()["images"].clone();
    (run, images)
}

#[test]
fn an_index_in_a_folder_is_judged_with_all_it_lists() {
    let world = World::new();
    let (index, child) = signed(&world);
    let (run, images) = verify(&world, "");
    run.exits(0);
    assert_eq!(images.as_array().unwrap().len(), 1);
    assert_eq!(images[0]["digest"], index.descriptor.digest.to_string());
    assert!(
        images[0]["reference"]
            .as_str()
            .unwrap()
            .starts_with("saved@")
    );
    let (run, images) = verify(&world, "--recursive");
    run.exits(0);
    assert_eq!(images[1]["digest"], child.descriptor.digest.to_string());
    assert_eq!(images[1]["signatures"].as_array().unwrap().len(), 1);
    world
        .keyless("verify --local-image saved")
        .args(world.expecting_of("dew@example.test"))
        .run()
        .exits(12);
}

#[test]
fn a_folder_that_was_changed_is_not_believed() {
    let world = World::new();
    let (_, images) = {
        signed(&world);
        verify(&world, "")
    };
    let bundle = images[0]["signatures"][0]["bundleDigest"].as_str().unwrap();
    let path = world.path("saved/blobs").join(bundle.replace(':', "/"));
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (run, images) = verify(&world, "");
    run.exits(21);
    assert_eq!(images[0]["error"]["code"], "layout-digest-mismatch");
    fs::remove_file(&path).unwrap();
    let (run, images) = verify(&world, "");
    assert_eq!(images[0]["result"], "error", "{run:#?}");
    assert_eq!(images[0]["signatures"].as_array().unwrap().len(), 0);
}

#[test]
fn the_name_of_a_folder_is_nobody_s_word() {
    let world = World::new();
    signed(&world);
    world.write(
        "policy.toml",
        "version = 1\n[[rule]]\nimages = [\"**\"]\n[[rule.signer]]\nidentity = \"a\"\nissuer = \"https://b.test\"\n",
    );
    world
        .keyless("verify --output json --local-image saved --policy policy.toml")
        .run()
        .fails(2, "usage-conflict")
        .says("nobody vouches for the name");
    let absent = world.keyless("verify --output json --local-image absent");
    let run = absent.args(world.expecting()).run().exits(3);
    assert_eq!(run.json()["images"][0]["error"]["code"], "layout-missing");
    let nobody = world.keyless("verify --output json --local-image saved");
    nobody.run().fails(2, "usage-identity-missing");
}

/// Adds an unsigned image to the folder and returns its entry.
fn unsigned(world: &World, subject: Option<&Value>) -> Value {
    let put = |media_type: &str, content: &str| {
        let descriptor = Descriptor::of(media_type, content.as_bytes());
        let name = descriptor.digest.to_string().replace(':', "/");
        fs::write(world.path("saved/blobs").join(name), content).unwrap();
        json!(descriptor)
    };
    let config = put("application/vnd.oci.image.config.v1+json", "{}");
    let layer = put("application/vnd.oci.image.layer.v1.tar", "files");
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        "artifactType": "application/vnd.dev.sigstore.bundle.v0.3+json",
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.clone();
    }
    put(OCI_MANIFEST, &manifest.to_string())
}

#[test]
fn no_image_in_a_folder_is_passed_over_for_what_its_entry_says() {
    let world = World::new();
    signed(&world);
    verify(&world, "").0.exits(0);
    let original: Value = serde_json::from_str(&world.read("saved/index.json")).unwrap();
    let image = original["manifests"][0].clone();
    let name = "org.opencontainers.image.ref.name";
    let digest = image["digest"].as_str().unwrap().to_owned();
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let other = unsigned(
        &world,
        Some(&json!({
            "mediaType": image["mediaType"], "digest": image["digest"], "size": image["size"],
        })),
    );
    for annotations in [
        json!(null),
        json!({}),
        json!({ name: "latest" }),
        json!({ name: "latest", "dev.sigstore.cosign/signature": "x" }),
        json!({ name: tag }),
        json!({ name: digest.replace(':', "-") }),
        json!({ "kind": "dev.cosignproject.cosign/sigs" }),
        json!({ "kind": "dev.cosignproject.cosign/sigs", name: "latest" }),
        json!({ "kind": "dev.cosignproject.cosign/atts" }),
        json!({ "kind": "something" }),
        json!({ "dev.sigstore.cosign/signature": "x" }),
        json!({ "io.containerd.image.name": "reg.test/app:latest" }),
    ] {
        for is_first in [true, false] {
            let mut entry = other.clone();
            entry["annotations"] = annotations.clone();
            let mut index = original.clone();
            let list = index["manifests"].as_array_mut().unwrap();
            list.insert(if is_first { 0 } else { list.len() }, entry);
            world.write("saved/index.json", index.to_string());
            let (run, images) = verify(&world, "");
            run.exits(10);
            let of = |image: &&Value| image["digest"] == other["digest"];
            let refused = images.as_array().unwrap().iter().find(of);
            assert_eq!(refused.unwrap()["result"], "refused", "{annotations}");
        }
    }
}

#[test]
fn what_a_folder_has_beside_its_images_is_named() {
    let world = World::new();
    signed(&world);
    let original: Value = serde_json::from_str(&world.read("saved/index.json")).unwrap();
    let named = |code: &str, exit: i32| {
        let (run, images) = verify(&world, "");
        run.exits(exit);
        let images = images.as_array().unwrap();
        assert_eq!(images[0]["result"], "accepted");
        assert_eq!(images.last().unwrap()["error"]["code"], code);
    };
    // What `docker load` reads.
    world.write("saved/manifest.json", "[]");
    named("layout-other-list", 3);
    fs::remove_file(world.path("saved/manifest.json")).unwrap();
    let add = |entry: Value| {
        let mut index = original.clone();
        index["manifests"].as_array_mut().unwrap().push(entry);
        world.write("saved/index.json", index.to_string());
    };
    add(json!(Descriptor::of(OCI_MANIFEST, b"not there")));
    named("layout-object-missing", 3);
    let mut lie = unsigned(&world, None);
    lie["mediaType"] = OCI_INDEX.into();
    add(lie);
    named("layout-document-unusable", 22);
}
