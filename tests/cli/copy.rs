//! `keyless copy`: everything, exactly, in an order that leaves nothing half there.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use keyless::format::oci::{
    Descriptor, EMPTY_CONFIG, LegacyTag, OCI_INDEX, OCI_MANIFEST, fallback_tag,
};
use keyless::format::protojson::encode_base64;
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode};
use serde_json::{Value, json};

use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, answering, put_index};
use crate::tree::{SIMPLE_SIGNING, both, put_artifact, put_legacy, sign};

/// Bytes of a manifest or tag, as a registry serves them.
pub fn served(world: &World, host: &str, repository: &str, reference: &str) -> Option<Vec<u8>> {
    let url = format!("http://{host}/v2/{repository}/manifests/{reference}");
    world.block_on(async {
        let request = keyless::net::http::Request::get("test", url.parse().unwrap());
        let reply = keyless::net::HttpClient::new().send(request).await.unwrap();
        reply.is_success().then(|| reply.body.to_vec())
    })
}

fn copy(world: &World, source: &str, destination: &str, more: &str) -> Run {
    let run = world.keyless(&format!("copy --output json {more}"));
    run.args([source, destination]).run()
}

pub fn verify(world: &World, image: &str) -> Run {
    let run = world.keyless("verify").arg(image);
    run.args(world.expecting()).run()
}

/// A number of what was done.
#[track_caller]
pub fn done(run: &Run, member: &str) -> u64 {
    run.json()["done"][member].as_u64().unwrap()
}

/// Writes the list of an image's referrers as cosign does: with the config's type, and no annotations.
fn lie(own: &OwnRegistry, world: &World, image: &Descriptor) {
    let tag = fallback_tag(&image.digest);
    let text = served(world, &own.host, REPOSITORY, &tag).unwrap();
    let mut index: Value = serde_json::from_slice(&text).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        entry["artifactType"] = EMPTY_CONFIG.into();
        entry.as_object_mut().unwrap().remove("annotations");
    }
    own.registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, index.to_string())
        .unwrap();
}

#[test]
fn everything_attached_arrives_and_verifies_whatever_the_registries_are() {
    let world = World::new();
    for from in &both(&world) {
        let child = from.image("v1");
        sign(&world, &child);
        let [signatures, attestations, _, sbom] = put_legacy(&from.registry, &child.descriptor);
        let index = put_index(&from.registry, &from.host, "index", &[&child]);
        // put_index names the sandbox's own repository; it is the same here.
        sign(&world, &index);
        if served(
            &world,
            &from.host,
            REPOSITORY,
            &fallback_tag(&child.descriptor.digest),
        )
        .is_some()
        {
            lie(from, &world, &child.descriptor);
        }
        for to in &both(&world) {
            let destination = format!("{}/there/copied:v2", to.host);
            let run = copy(&world, &index.by_tag(), &destination, "").exits(0);
            let document = run.json();
            assert_eq!(document["verified"], false);
            assert_eq!(document["digest"], index.descriptor.digest.to_string());
            assert_eq!(done(&run, "attached"), 6);
            let digest =
                |image: &Image| format!("{}/there/copied@{}", to.host, image.descriptor.digest);
            for image in [destination.clone(), digest(&index), digest(&child)] {
                verify(&world, &image).exits(0);
            }
            let there = |reference: &str| served(&world, &to.host, "there/copied", reference);
            let here = |reference: &str| served(&world, &from.host, REPOSITORY, reference).unwrap();
            assert_eq!(there("v2"), Some(here("index")));
            for (tag, legacy) in [
                (LegacyTag::Signatures, &signatures),
                (LegacyTag::Attestations, &attestations),
                (LegacyTag::Sbom, &sbom),
            ] {
                let tag = tag.tag(&child.descriptor.digest);
                assert_eq!(there(&tag), Some(here(&legacy.digest.to_string())), "{tag}");
            }
            let of_sbom = LegacyTag::Signatures.tag(&sbom.digest);
            assert_eq!(there(&of_sbom), Some(here(&of_sbom)));
            // A list of clients is written as it should be, wherever the source's lies.
            if let Some(list) = there(&fallback_tag(&child.descriptor.digest)) {
                let list: Value = serde_json::from_slice(&list).unwrap();
                let entry = &list["manifests"][0];
                assert_eq!(
                    entry["artifactType"],
                    "application/vnd.dev.sigstore.bundle.v0.3+json"
                );
                assert_eq!(
                    entry["annotations"]["dev.sigstore.bundle.predicateType"],
                    "https://sigstore.dev/cosign/sign/v1"
                );
            }
        }
    }
}

#[test]
fn within_one_registry_blobs_are_mounted() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    sign(&world, &image);
    own.registry.forget_requests();
    let destination = format!("{}/other/app:v1", own.host);
    let run = copy(&world, &image.by_tag(), &destination, "").exits(0);
    assert_eq!((done(&run, "blobsMounted"), done(&run, "blobs")), (4, 0));
    let requests = own.registry.requests();
    let reads = requests
        .iter()
        .filter(|r| r.method == "GET" && r.path.contains("/blobs/"));
    assert_eq!(reads.count(), 0);
    verify(&world, &destination).exits(0);
}

#[test]
fn a_second_copy_sends_nothing_again() {
    let world = World::new();
    for to in &both(&world) {
        let from = OwnRegistry::start(&world, RegistryMode::default());
        let image = from.image("v1");
        sign(&world, &image);
        put_legacy(&from.registry, &image.descriptor);
        let destination = format!("{}/there/app:v1", to.host);
        let run = copy(&world, &image.by_tag(), &destination, "").exits(0);
        assert!(done(&run, "blobs") > 0);
        to.registry.forget_requests();
        let run = copy(&world, &image.by_tag(), &destination, "").exits(0);
        assert_eq!((done(&run, "blobs"), done(&run, "bytes")), (0, 0));
        assert_eq!(run.json()["done"]["tags"], json!([]));
        let requests = to.registry.requests();
        let writes: Vec<_> = requests
            .iter()
            .filter(|r| !matches!(r.method.as_str(), "GET" | "HEAD"))
            .collect();
        // The one referrer, for the registry's word that it lists it.
        assert_eq!(writes.len(), 1, "{writes:#?}");
    }
}

#[test]
fn an_interrupted_copy_goes_on_where_it_was() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let to = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    sign(&world, &image);
    to.refuse_manifests(403);
    let destination = format!("{}/there/app:v1", to.host);
    copy(&world, &image.by_tag(), &destination, "").fails(43, "registry-denied");
    assert_eq!(served(&world, &to.host, "there/app", "v1"), None);
    to.refuse_manifests(0);
    let run = copy(&world, &image.by_tag(), &destination, "").exits(0);
    assert_eq!(done(&run, "blobsThere"), 2);
    assert_eq!(done(&run, "blobs"), 2);
    verify(&world, &destination).exits(0);
}

#[test]
fn a_tag_that_is_something_else_is_not_moved_unless_asked_for() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let to = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    put_legacy(&from.registry, &image.descriptor);
    // At the destination: the tag, and signatures that somebody else attached.
    let other = to.image("v1");
    let destination = other.by_tag();
    let refused = |run: Run, tag: &str| {
        let run = run.fails(44, "tag-exists");
        assert!(run.stderr.contains(tag), "{run:#?}");
        assert_eq!(to.writes(), 0);
    };
    // The same tag names the same files: nothing differs yet.
    let theirs = from.image("v2");
    refused(copy(&world, &theirs.by_tag(), &destination, ""), ":v1");
    let tag = LegacyTag::Signatures.tag(&image.descriptor.digest);
    put_artifact(
        &to.registry,
        Some(&tag),
        SIMPLE_SIGNING,
        "other payload",
        None,
    );
    let elsewhere = format!("{}/{REPOSITORY}:v9", to.host);
    refused(copy(&world, &image.by_tag(), &elsewhere, ""), &tag);
    let run = copy(&world, &image.by_tag(), &elsewhere, "--force").exits(0);
    assert_eq!(run.json()["done"]["tags"].as_array().unwrap().len(), 5);
    let there = served(&world, &to.host, REPOSITORY, &tag);
    assert_eq!(there, served(&world, &from.host, REPOSITORY, &tag));
    copy(&world, &theirs.by_tag(), &destination, "-f").exits(0);
    assert_eq!(
        served(&world, &to.host, REPOSITORY, "v1"),
        served(&world, &from.host, REPOSITORY, "v2")
    );
}

#[test]
fn a_destination_by_digest_is_held_to_it() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let to = OwnRegistry::start(&world, RegistryMode::default());
    let (image, other) = (from.image("v1"), from.image("v2"));
    let at = |digest: String| format!("{}/there/app@{digest}", to.host);
    let wrong = at(other.descriptor.digest.to_string());
    copy(&world, &image.by_tag(), &wrong, "").fails(21, "destination-digest-differs");
    assert_eq!(to.writes(), 0);
    let right = at(image.descriptor.digest.to_string());
    let run = copy(&world, &image.by_tag(), &right, "").exits(0);
    assert_eq!(run.json()["done"]["tags"], json!([]));
    let digest = image.descriptor.digest.to_string();
    assert!(served(&world, &to.host, "there/app", &digest).is_some());
}

/// A registry with one image of one layer, which it serves as it likes.
fn serving(world: &World, layer: &'static [u8], described: &Descriptor) -> String {
    let config = b"{}";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", config),
        "layers": [described],
    })
    .to_string();
    let layer_path = format!("/blobs/{}", described.digest);
    answering(world, move |request: Request| {
        let path = request.uri().path();
        if path.ends_with("/manifests/v1") {
            return ([(header::CONTENT_TYPE, OCI_MANIFEST)], manifest.clone()).into_response();
        }
        if path.ends_with(&layer_path) {
            return layer.into_response();
        }
        if path.contains("/blobs/") {
            return config[..].into_response();
        }
        StatusCode::NOT_FOUND.into_response()
    })
}

#[test]
fn content_that_is_not_what_it_should_be_is_stored_nowhere() {
    let world = World::new();
    for (content, described, code) in [
        (&b"layer"[..], b"lAyer", "registry-digest-mismatch"),
        (b"layer and more", b"layer", "registry-size-mismatch"),
        (b"lay", b"layer", "registry-size-mismatch"),
    ] {
        let described = Descriptor::of("application/vnd.oci.image.layer.v1.tar", &described[..]);
        let host = serving(&world, content, &described);
        let to = OwnRegistry::start(&world, RegistryMode::default());
        let destination = format!("{}/there/app:v1", to.host);
        let source = format!("{host}/app:v1");
        copy(&world, &source, &destination, "").fails(21, code);
        let requests = to.registry.requests();
        let stored = requests
            .iter()
            .filter(|r| r.method == "PUT" && r.status == 201)
            .filter(|r| r.path.contains("manifests") || r.path.contains(&described.digest.hex()));
        assert_eq!(stored.count(), 0, "{requests:#?}");
    }
}

#[test]
fn only_the_image_for_a_platform_is_copied() {
    let world = World::new();
    let [from, to] = both(&world);
    let (one, other) = (from.image("v1"), from.image("v2"));
    sign(&world, &one);
    let child = |image: &Image, architecture: &str| {
        let mut child = serde_json::to_value(&image.descriptor).unwrap();
        child["platform"] = json!({ "os": "linux", "architecture": architecture });
        child
    };
    let children = [child(&one, "amd64"), child(&other, "arm64")];
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children });
    from.registry
        .put_manifest(REPOSITORY, Some("index"), OCI_INDEX, index.to_string())
        .unwrap();
    let source = format!("{}/{REPOSITORY}:index", from.host);
    let destination = format!("{}/there/app:v1", to.host);
    let run = copy(&world, &source, &destination, "--platform linux/amd64").exits(0);
    assert_eq!(run.json()["digest"], one.descriptor.digest.to_string());
    verify(&world, &destination).exits(0);
    let digest = other.descriptor.digest.to_string();
    assert_eq!(served(&world, &to.host, "there/app", &digest), None);
    let run = copy(&world, &source, &destination, "--platform linux/s390x");
    run.fails(11, "platform-not-found");
}

#[test]
fn only_what_is_asked_for_is_copied() {
    let world = World::new();
    let [from, to] = both(&world);
    let image = from.image("v1");
    sign(&world, &image);
    put_legacy(&from.registry, &image.descriptor);
    let digest = image.descriptor.digest;
    let there = |reference: &str| served(&world, &to.host, "there/app", reference).is_some();
    let destination = format!("{}/there/app:v1", to.host);
    let run = copy(&world, &image.by_tag(), &destination, "--only att").exits(0);
    assert_eq!(done(&run, "attached"), 1);
    let tag = |tag: LegacyTag| tag.tag(&digest);
    assert!(there(&tag(LegacyTag::Attestations)));
    assert!(!there(&tag(LegacyTag::Signatures)) && !there(&fallback_tag(&digest)));
    let run = copy(&world, &image.by_tag(), &destination, "--only sig,sbom").exits(0);
    // The bundle, the older signature, the SBOM, and what signs that.
    assert_eq!(done(&run, "attached"), 4);
    assert!(there(&tag(LegacyTag::Signatures)) && there(&fallback_tag(&digest)));
    assert!(
        !there("v1") && !there(&digest.to_string()),
        "the image was not asked for"
    );
    let run = world
        .keyless("copy --only everything")
        .args([&image.by_tag(), &destination]);
    run.run().exits(2);
}

#[test]
fn what_is_listed_and_refers_to_something_else_is_no_obstacle() {
    let world = World::new();
    let [_, from] = both(&world);
    let (image, other) = (from.image("v1"), from.image("v2"));
    sign(&world, &image);
    let stray = put_artifact(&from.registry, None, "c/d", "y", Some(&other.descriptor));
    let gone = Descriptor::of(OCI_MANIFEST, b"gone");
    let tag = fallback_tag(&image.descriptor.digest);
    let text = served(&world, &from.host, REPOSITORY, &tag).unwrap();
    let mut index: Value = serde_json::from_slice(&text).unwrap();
    let listed = index["manifests"].as_array_mut().unwrap();
    listed.push(serde_json::to_value(&stray).unwrap());
    listed.push(serde_json::to_value(&gone).unwrap());
    from.registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, index.to_string())
        .unwrap();
    for (to, unlisted) in both(&world).iter().zip([1, 0]) {
        let destination = format!("{}/there/app:v1", to.host);
        let run = copy(&world, &image.by_tag(), &destination, "").exits(0);
        let run = run.says("is listed and not there");
        let listed = run.json()["done"]["unlisted"].as_array().unwrap().len();
        assert_eq!(listed, unlisted);
        verify(&world, &destination).exits(0);
        let digest = stray.digest.to_string();
        assert!(served(&world, &to.host, "there/app", &digest).is_some());
    }
}

fn with_password(world: &World, host: &str) -> String {
    let secret = encode_base64(b"ann:the-password");
    let config = json!({ "auths": { host: { "auth": secret } } });
    let folder = world.path_elsewhere("docker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    world.keep_secret("the-password");
    world.keep_secret(&secret);
    folder.to_str().unwrap().to_owned()
}

fn closed(world: &World) -> OwnRegistry {
    let account = Account {
        username: "ann".to_owned(),
        password: "the-password".to_owned(),
    };
    let mode = RegistryMode {
        access: AccessMode::Basic(account),
        ..RegistryMode::default()
    };
    OwnRegistry::start(world, mode)
}

#[test]
fn credentials_of_one_registry_are_never_shown_to_the_other() {
    let world = World::new();
    let (from, to) = (
        closed(&world),
        OwnRegistry::start(&world, RegistryMode::default()),
    );
    let image = from.image("v1");
    let destination = format!("{}/there/app:v1", to.host);
    let config = with_password(&world, &from.host);
    let run = world.keyless("copy").args([&image.by_tag(), &destination]);
    run.env("DOCKER_CONFIG", &config).run().exits(0);
    assert!(
        from.registry
            .requests()
            .iter()
            .any(|r| r.authorization.is_some())
    );
    let shown = to.registry.requests();
    assert!(
        shown.iter().all(|r| r.authorization.is_none()),
        "{shown:#?}"
    );
    let run = world
        .keyless("copy --output json")
        .args([&image.by_tag(), &destination]);
    run.run().fails(43, "registry-denied");
}

#[test]
fn an_upload_that_is_sent_elsewhere_gets_content_and_no_credentials() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let log = Arc::clone(&seen);
    let elsewhere = answering(&world, move |request: Request| {
        let shown = request.headers().contains_key(header::AUTHORIZATION);
        log.lock().unwrap().push(shown);
        StatusCode::CREATED.into_response()
    });
    let location = format!("http://{elsewhere}/store/1?key=x");
    let to = answering(&world, move |request: Request| {
        if !request.headers().contains_key(header::AUTHORIZATION) {
            let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        match request.method().as_str() {
            "POST" => {
                let location = [(header::LOCATION, location.clone())];
                (StatusCode::ACCEPTED, location).into_response()
            }
            "PUT" => StatusCode::CREATED.into_response(),
            _ => Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(Body::empty())
                .unwrap(),
        }
    });
    let config = with_password(&world, &to);
    let destination = format!("{to}/there/app:v1");
    let run = world.keyless("copy").args([&image.by_tag(), &destination]);
    run.env("DOCKER_CONFIG", &config).run().exits(0);
    assert_eq!(*seen.lock().unwrap(), [false, false], "config and layer");
}

#[test]
fn a_blob_larger_than_any_buffer_passes() {
    let world = World::new();
    let [from, to] = both(&world);
    let content: String = (0..4_000_000u32)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    let image = put_artifact(&from.registry, Some("big"), "x/y", &content, None);
    let source = format!("{}/{REPOSITORY}:big", from.host);
    let destination = format!("{}/there/app:v1", to.host);
    let run = copy(&world, &source, &destination, "").exits(0);
    assert_eq!(run.json()["digest"], image.digest.to_string());
    assert_eq!(done(&run, "bytes"), 4_000_002);
}
