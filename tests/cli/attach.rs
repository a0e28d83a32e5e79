//! `keyless attach bundle`, and what `keyless sign` leaves for it when a registry fails.

use keyless::sandbox::registry::RegistryMode;
use keyless::sandbox::{Service, TokenRequest};
use serde_json::Value;

use crate::support::{IDENTITY, Image, OwnRegistry, Run, World};

fn attach(world: &World, image: &Image, file: &str) -> Run {
    world
        .keyless("attach bundle --output json")
        .args([&image.by_digest(), file])
        .args(world.expecting())
        .run()
}

fn verify(world: &World, image: &Image) -> Run {
    world
        .keyless("verify")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
}

#[test]
fn a_failed_publication_is_finished_from_the_named_bundle() {
    for (status, exit) in [(403, 43), (500, 41), (400, 44)] {
        let world = World::new();
        let own = OwnRegistry::start(&world, RegistryMode::default());
        let image = own.image("v1");
        own.refuse_manifests(status);
        let run = world
            .keyless("sign --bundle app.json --output json")
            .arg(image.by_digest())
            .run()
            .exits(exit)
            .says("could not be attached")
            .says("keyless attach bundle")
            .does_not_say("nothing was published");
        let error = &run.json()["images"][0]["error"];
        assert_eq!(error["exitCode"], exit, "{run:#?}");
        assert!(run.json()["images"][0]["attached"].is_null());
        verify(&world, &image).exits(10);

        let before = world.counts();
        own.refuse_manifests(0);
        attach(&world, &image, "app.json").exits(0);
        assert_eq!(world.counts(), before, "no service is asked again");
        verify(&world, &image).exits(0);
    }
}

#[test]
fn a_failed_publication_keeps_the_bundle_without_being_asked() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    own.refuse_manifests(403);
    let run = world
        .keyless("sign --output json")
        .arg(image.by_digest())
        .run()
        .exits(43);
    let details = run.json()["images"][0]["error"]["details"].clone();
    let kept = details
        .as_array()
        .unwrap()
        .iter()
        .find(|detail| detail["name"] == "bundle")
        .unwrap()["value"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(run.stderr.contains(&kept), "{run:#?}");
    own.refuse_manifests(0);
    let before = world.counts();
    attach(&world, &image, &kept).exits(0);
    assert_eq!(world.counts(), before);
    verify(&world, &image).exits(0);
}

#[test]
fn one_failure_of_several_is_told_apart() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let (there, here) = (own.image("v1"), world.image("v2"));
    own.refuse_manifests(403);
    let run = world
        .keyless("sign --output json --bundle both.jsonl")
        .args([there.by_digest(), here.by_digest()])
        .run()
        .exits(43);
    let images = run.json()["images"].clone();
    assert_eq!(images[0]["error"]["code"], "registry-denied", "{run:#?}");
    assert!(images[1]["error"].is_null());
    assert_eq!(images[1]["attached"]["by"], "referrers-api");
    verify(&world, &here).exits(0);
    // The file holds both; the one that is this image's is taken.
    own.refuse_manifests(0);
    let run = attach(&world, &there, "both.jsonl").exits(0);
    assert_eq!(run.json()["bundles"].as_array().unwrap().len(), 1);
    verify(&world, &there).exits(0);
}

/// An image and a bundle for it in `app.json`, nothing attached.
fn made(world: &World) -> (OwnRegistry, Image) {
    let own = OwnRegistry::start(world, RegistryMode::default());
    let image = own.image("v1");
    world
        .keyless("sign --upload=false --bundle app.json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    (own, image)
}

#[test]
fn for_another_image_it_is_refused() {
    let world = World::new();
    let (own, _) = made(&world);
    let other = own.image("v2");
    attach(&world, &other, "app.json").fails(21, "artifact-mismatch");
    assert_eq!(own.writes(), 0);
}

#[test]
fn of_another_signer_it_is_refused() {
    let world = World::new();
    let (own, image) = made(&world);
    world
        .keyless("attach bundle --output json")
        .args([&image.by_digest(), "app.json"])
        .args(world.expecting_of("dew@example.test"))
        .run()
        .fails(12, "identity-mismatch");
    for flags in [&[][..], &["--certificate-identity", IDENTITY]] {
        world
            .keyless("attach bundle --output json")
            .args([&image.by_digest(), "app.json"])
            .args(flags)
            .run()
            .fails(2, "usage-identity-missing");
    }
    world
        .keyless("attach bundle --output json -a env=prod")
        .args([&image.by_digest(), "app.json"])
        .args(world.expecting())
        .run()
        .fails(12, "annotation-mismatch");
    assert_eq!(own.writes(), 0);
}

#[test]
fn tampered_with_it_is_refused() {
    let world = World::new();
    let (own, image) = made(&world);
    let good = world.read("app.json");
    let mut bundle: Value = serde_json::from_str(&good).unwrap();
    let signature = bundle
        .pointer_mut("/dsseEnvelope/signatures/0/sig")
        .unwrap();
    let text = signature.as_str().unwrap();
    // A signature is drawn anew each time; its tenth character is one of its bytes whatever it is.
    let other = if text[9..].starts_with('A') { "B" } else { "A" };
    let flipped = format!("{}{other}{}", &text[..9], &text[10..]);
    *signature = flipped.into();
    world.write("tampered.json", bundle.to_string());
    let run = attach(&world, &image, "tampered.json");
    assert!(matches!(run.code, Some(20..=39)), "{run:#?}");
    for (content, code) in [("", "bundle-invalid"), ("{}", "bundle-version")] {
        world.write("tampered.json", content);
        attach(&world, &image, "tampered.json").fails(22, code);
    }
    attach(&world, &image, "absent.json").fails(3, "file-not-found");
    assert_eq!(own.writes(), 0);
}

#[test]
fn an_unknown_image_gets_nothing() {
    let world = World::new();
    let (own, image) = made(&world);
    world
        .keyless("attach bundle --output json")
        .args([&format!("{}:absent", image.repository), "app.json"])
        .args(world.expecting())
        .run()
        .fails(11, "no-such-image");
    assert_eq!(own.writes(), 0);
}

#[test]
fn twice_is_as_good_as_once() {
    let world = World::new();
    for mode in [RegistryMode::default(), RegistryMode::without_referrers()] {
        let own = OwnRegistry::start(&world, mode);
        let image = own.image("v1");
        world
            .keyless("sign --bundle app.json --overwrite")
            .arg(image.by_digest())
            .run()
            .exits(0);
        attach(&world, &image, "app.json").exits(0);
        verify(&world, &image).exits(0);
    }
}

#[test]
fn a_lost_entry_of_the_fallback_tag_is_put_back() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::without_referrers());
    let image = own.image("v1");
    world
        .keyless("sign --bundle app.json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    let tag = keyless::format::oci::fallback_tag(&image.descriptor.digest);
    let empty = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    own.registry
        .put_manifest(
            crate::support::REPOSITORY,
            Some(&tag),
            keyless::format::oci::OCI_INDEX,
            empty,
        )
        .unwrap();
    verify(&world, &image).exits(10);
    attach(&world, &image, "app.json").exits(0);
    verify(&world, &image).exits(0);
    assert_eq!(world.count(Service::Fulcio), 1);
}

#[test]
fn by_a_tag_with_a_warning() {
    let world = World::new();
    let (_own, image) = made(&world);
    world
        .keyless("attach bundle")
        .args([&image.by_tag(), "app.json"])
        .args(world.expecting())
        .run()
        .exits(0)
        .says("is a tag")
        .shows("attached sha256:");
}

#[test]
fn of_several_signers_the_expected_one_is_attached() {
    let world = World::new();
    let (_own, image) = made(&world);
    let stranger = world.token(&TokenRequest::new("stranger@example.test"));
    world
        .keyless("sign --upload=false --bundle other.json --identity-token")
        .args([&stranger, &image.by_digest()])
        .run()
        .exits(0);
    let both = format!("{}{}", world.read("other.json"), world.read("app.json"));
    world.write("both.jsonl", both);
    let run = attach(&world, &image, "both.jsonl").exits(0);
    let bundles = run.json()["bundles"].clone();
    assert_eq!(bundles.as_array().unwrap().len(), 1);
    assert_eq!(bundles[0]["signature"]["signer"]["identity"], IDENTITY);
}

#[test]
fn only_what_verify_reads_is_attached() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("sign --upload=false --bundle app.json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    let good = world.read("app.json");
    let writes = world.registry_writes();
    // An older format, which an image does not carry.
    let mut older: Value = serde_json::from_str(&good).unwrap();
    older["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2".into();
    world.write("older.json", older.to_string());
    attach(&world, &image, "older.json").fails(22, "bundle-invalid");
    // The manifest signed as a mere file.
    world
        .keyless("sign-blob --bundle blob.json")
        .arg(image.descriptor.digest.to_string())
        .run()
        .exits(0);
    attach(&world, &image, "blob.json").fails(10, "not-a-signature");
    // One line too many: told, not dropped.
    let stranger = world.image("other");
    world
        .keyless("sign --upload=false --bundle other.json")
        .arg(stranger.by_digest())
        .run()
        .exits(0);
    let lines = world.read("other.json").repeat(1000) + &good;
    world.write("many.jsonl", lines);
    attach(&world, &image, "many.jsonl").fails(22, "bundle-invalid");
    assert_eq!(
        world.registry_writes(),
        writes,
        "nothing is sent to the registry"
    );
    attach(&world, &image, "app.json").exits(0);
}
