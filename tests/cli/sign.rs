//! `keyless sign`.

use keyless::sandbox::registry::{AccessMode, Account, RegistryFaults, RegistryMode};
use keyless::sandbox::{RekorVersion, Service};
use serde_json::json;

use crate::support::{IDENTITY, OwnRegistry, World, put_index, sha256};

#[test]
fn an_image_is_signed_attached_and_verified() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &[]);
        let image = world.image("v1");
        let run = world
            .keyless("sign --output json")
            .arg(image.by_digest())
            .run()
            .exits(0)
            .does_not_say("warning");
        let document = run.json();
        assert_eq!(document["result"], "accepted");
        let signed = &document["images"][0];
        assert_eq!(signed["reference"], image.by_digest());
        assert_eq!(signed["attached"], json!({ "by": "referrers-api" }));
        assert_eq!(signed["signature"]["signer"]["identity"], IDENTITY);
        assert_eq!(world.count(Service::Fulcio), 1);
        assert_eq!(world.counts().rekor(), 1);
        assert_eq!(world.count(Service::Tsa), 1);
        world
            .keyless("verify")
            .arg(image.by_digest())
            .args(world.expecting())
            .run()
            .exits(0)
            .shows(IDENTITY);
    }
}

#[test]
fn an_unknown_image_costs_no_certificate() {
    let world = World::new();
    let image = world.image("v1");
    let absent = format!("{}@{}", image.repository, sha256("absent"));
    for reference in [
        format!("{}:absent", image.repository),
        format!("{}/other/app:v1", world.host(Service::Registry)),
        absent,
    ] {
        world
            .keyless("sign --output json")
            .args([&image.by_digest(), &reference])
            .run()
            .fails(11, "no-such-image")
            .says("nothing was published");
    }
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.counts().rekor(), 0);
    assert_eq!(world.count(Service::Tsa), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn a_registry_that_denies_access_costs_no_certificate() {
    let world = World::new();
    let account = Account {
        username: "ann".to_owned(),
        password: "the-password".to_owned(),
    };
    let own = OwnRegistry::start(
        &world,
        RegistryMode {
            access: AccessMode::Basic(account),
            ..RegistryMode::default()
        },
    );
    let image = own.image("v1");
    world
        .keyless("sign --output json")
        .arg(image.by_digest())
        .run()
        .fails(43, "registry-denied")
        .says("log in");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.counts().rekor(), 0);

    let config = json!({ "auths": { own.host.clone(): { "auth": "YW5uOnRoZS1wYXNzd29yZA==" } } });
    std::fs::create_dir(world.path_elsewhere("docker")).unwrap();
    std::fs::write(
        world.path_elsewhere("docker/config.json"),
        config.to_string(),
    )
    .unwrap();
    world.keep_secret("the-password");
    world.keep_secret("YW5uOnRoZS1wYXNzd29yZA==");
    world
        .keyless("sign")
        .arg(image.by_digest())
        .env(
            "DOCKER_CONFIG",
            world.path_elsewhere("docker").to_str().unwrap(),
        )
        .run()
        .exits(0);
}

#[test]
fn a_registry_that_serves_other_content_is_refused() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    let faults = |wrong_content, wrong_digest_header| {
        own.registry.set_faults(RegistryFaults {
            wrong_content,
            wrong_digest_header,
            ..RegistryFaults::default()
        });
    };
    for (content, header, reference) in [
        (true, false, image.by_digest()),
        (false, true, image.by_tag()),
    ] {
        faults(content, header);
        world
            .keyless("sign --output json")
            .arg(reference)
            .run()
            .fails(21, "registry-digest-mismatch");
    }
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(own.writes(), 0);
}

#[test]
fn a_tag_is_resolved_once_with_a_warning() {
    let world = World::new();
    let image = world.image("v1");
    let run = world
        .keyless("sign --quiet --output json")
        .arg(image.by_tag())
        .run()
        .exits(0)
        .says("is a tag and may point elsewhere later")
        .does_not_say("requesting");
    assert_eq!(run.json()["images"][0]["reference"], image.by_digest());
    let requests = world.sandbox.requests();
    let by_tag = requests.iter().filter(|r| r.path.ends_with("/v1")).count();
    assert_eq!(by_tag, 1);
}

#[test]
fn several_images_share_one_certificate() {
    let world = World::new();
    let images: Vec<_> = ["a", "b", "c"].map(|tag| world.image(tag)).into();
    let run = world
        .keyless("sign --output json --bundle all.jsonl")
        .args(images.iter().map(|image| image.by_digest()))
        // The same once more by its tag: signed once.
        .arg(images[0].by_tag())
        .run()
        .exits(0);
    let document = run.json();
    let references: Vec<_> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["reference"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        references,
        images.iter().map(|i| i.by_digest()).collect::<Vec<_>>()
    );
    assert_eq!(world.count(Service::Fulcio), 1);
    assert_eq!(world.entries_made(), 3);
    assert_eq!(world.read("all.jsonl").lines().count(), 3);
}

#[test]
fn one_bad_image_of_several_leaves_none_signed() {
    let world = World::new();
    let (good, bad) = (
        world.image("a"),
        format!("{}/no/such:v1", world.host(Service::Registry)),
    );
    world
        .keyless("sign")
        .args([good.by_digest(), bad])
        .run()
        .exits(11);
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn recursive_signs_an_index_and_its_children() {
    let world = World::new();
    let children = [world.image("amd64"), world.image("arm64")];
    let index = put_index(
        world.sandbox.registry(),
        &world.host(Service::Registry),
        "all",
        &[&children[0], &children[1]],
    );
    let run = world
        .keyless("sign --recursive --output json")
        .arg(index.by_digest())
        .run()
        .exits(0);
    assert_eq!(run.json()["images"].as_array().unwrap().len(), 3);
    assert_eq!(world.count(Service::Fulcio), 1);
    assert_eq!(world.entries_made(), 3);
    let all = [&index, &children[0], &children[1]].map(|image| image.by_digest());
    world
        .keyless("verify")
        .args(all)
        .args(world.expecting())
        .run()
        .exits(0);
}

#[test]
fn without_recursive_children_stay_unsigned() {
    let world = World::new();
    let child = world.image("amd64");
    let host = world.host(Service::Registry);
    let index = put_index(world.sandbox.registry(), &host, "all", &[&child]);
    world.keyless("sign").arg(index.by_digest()).run().exits(0);
    world
        .keyless("verify")
        .arg(child.by_digest())
        .args(world.expecting())
        .run()
        .exits(10);
}

#[test]
fn recursive_with_a_missing_child_signs_nothing() {
    let world = World::new();
    let mut child = world.image("amd64");
    child.descriptor.digest = sha256("absent").parse().unwrap();
    let host = world.host(Service::Registry);
    let index = put_index(world.sandbox.registry(), &host, "all", &[&child]);
    world
        .keyless("sign -r --output json")
        .arg(index.by_digest())
        .run()
        .fails(42, "registry-object-missing");
    assert_eq!(world.count(Service::Fulcio), 0);
}

#[test]
fn without_upload_the_registry_is_left_alone() {
    let world = World::new();
    let image = world.image("v1");
    let run = world
        .keyless("sign --upload=false --bundle app.json --output json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    assert_eq!(run.json()["images"][0]["attached"], json!(null));
    assert_eq!(world.registry_writes(), 0);
    assert_eq!(world.files(), ["app.json"]);
}

#[test]
fn without_upload_and_bundle_nothing_is_begun() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("sign --upload=false --output json")
        .arg(image.by_digest())
        .run()
        .fails(2, "usage-conflict");
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn an_existing_bundle_is_kept() {
    let world = World::new();
    let image = world.image("v1");
    world.write("app.json", "theirs");
    let sign = |more: &str| {
        world
            .keyless("sign --bundle app.json --output json")
            .arg(image.by_digest())
            .args(more.split_whitespace())
            .run()
    };
    sign("").fails(3, "file-exists");
    assert_eq!(world.counts().total(), 0);
    assert_eq!(world.read("app.json"), "theirs");
    sign("--overwrite").exits(0);
    assert!(world.read("app.json").contains("verificationMaterial"));
    assert_eq!(world.files(), ["app.json"]);
}

#[test]
fn an_unwritable_bundle_is_found_before_any_request() {
    let world = World::new();
    let image = world.image("v1");
    for path in ["no/such/folder/app.json", "."] {
        world
            .keyless("sign --output json --bundle")
            .args([path, &image.by_digest()])
            .run()
            .fails(3, "file-unwritable");
    }
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn bad_references_and_annotations_are_usage() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    for (arguments, code) in [
        ("sign not//an::image", "image-reference-malformed"),
        (
            &format!("sign {image} -a novalue") as &str,
            "usage-annotation",
        ),
        (&format!("sign {image} -a =x"), "usage-annotation"),
        (&format!("sign {image} -a k=1 -a k=2"), "usage-annotation"),
    ] {
        world
            .keyless(arguments)
            .args(["--output", "json"])
            .run()
            .fails(2, code);
    }
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn a_registry_without_the_referrers_api_gets_the_fallback_tag() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::without_referrers());
    let image = own.image("v1");
    for _ in 0..2 {
        let run = world
            .keyless("sign --output json")
            .arg(image.by_digest())
            .run()
            .exits(0);
        assert_eq!(
            run.json()["images"][0]["attached"]["by"],
            json!("fallback-tag")
        );
    }
    let run = world
        .keyless("verify --output json")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(0);
    let signatures = run.json()["images"][0]["signatures"].clone();
    assert_eq!(signatures.as_array().unwrap().len(), 2);
}

#[test]
fn another_identity_in_the_certificate_must_be_asked_for() {
    let world = World::with(&["fulcio-wrong-identity"]);
    let image = world.image("v1");
    let run = world
        .keyless("sign --output json")
        .arg(image.by_digest())
        .run()
        .fails(31, "certificate-other-identity");
    let found = run.json()["error"]["details"][1]["value"].clone();
    assert_eq!(world.counts().rekor(), 0);
    // An authority that maps identities in its own way; the user says so.
    world
        .keyless("sign --certificate-identity")
        .args([found.as_str().unwrap(), &image.by_digest()])
        .run()
        .exits(0);
}

#[test]
fn hostile_signing_material_is_refused_before_a_key_exists() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.write("bad.json", "{}");
    world.write("big.json", vec![b' '; 20 << 20]);
    for (flag, file, exit) in [
        ("--trusted-root", "bad.json", 30),
        ("--signing-config", "bad.json", 30),
        ("--trusted-root", "big.json", 3),
        ("--signing-config", "absent.json", 3),
    ] {
        world
            .keyless("sign --output json")
            .args([&image, flag, file])
            .run()
            .exits(exit);
    }
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.counts().rekor(), 0);
}
