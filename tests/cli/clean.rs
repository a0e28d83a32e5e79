//! `keyless clean`: what is attached goes, the image never.

use keyless::format::oci::{Descriptor, LegacyTag, OCI_INDEX, OCI_MANIFEST, fallback_tag};
use keyless::sandbox::registry::RegistryMode;
use serde_json::{Value, json};

use crate::copy::{served, verify};
use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, put_index};
use crate::tree::{SIMPLE_SIGNING, both, put_artifact, put_legacy, sign};

fn clean(world: &World, image: &str, more: &str) -> Run {
    let run = world.keyless(&format!("clean --force --output json {more}"));
    run.arg(image).run()
}

/// Number of things attached to an image.
fn attached(world: &World, image: &Image) -> usize {
    let run = world
        .keyless("tree --output json")
        .arg(image.by_digest())
        .run();
    let document = run.exits(0).json();
    document["manifest"]["attached"].as_array().unwrap().len()
}

fn is_there(world: &World, own: &OwnRegistry, reference: &str) -> bool {
    served(world, &own.host, REPOSITORY, reference).is_some()
}

#[test]
fn everything_attached_goes_and_the_image_stays() {
    let world = World::new();
    for own in &both(&world) {
        let image = own.image("v1");
        sign(&world, &image);
        sign(&world, &image);
        put_legacy(&own.registry, &image.descriptor);
        verify(&world, &image.by_tag()).exits(0);
        assert_eq!(attached(&world, &image), 5);
        let run = clean(&world, &image.by_tag(), "").exits(0);
        let items = run.json()["items"].as_array().unwrap().clone();
        assert_eq!(items.len(), 6, "the signature of the SBOM too");
        assert!(
            items.iter().all(|item| item["effect"] == "deleted"),
            "{items:#?}"
        );
        assert_eq!(attached(&world, &image), 0);
        let tag = fallback_tag(&image.descriptor.digest);
        assert!(
            !is_there(&world, own, &tag),
            "an index with nothing in it goes"
        );
        assert!(is_there(&world, own, "v1"));
        assert!(is_there(&world, own, &image.descriptor.digest.to_string()));
        verify(&world, &image.by_tag()).exits(10);
        let run = world.keyless("clean -f").arg(image.by_tag()).run().exits(0);
        run.shows("nothing to delete");
    }
}

#[test]
fn one_kind_goes_and_the_others_stay() {
    let world = World::new();
    for own in &both(&world) {
        for (n, (kind, left)) in [
            ("signature", 2),
            ("attestation", 3),
            ("sbom", 3),
            ("referrer", 3),
        ]
        .into_iter()
        .enumerate()
        {
            let image = own.image(&format!("v{n}"));
            sign(&world, &image);
            put_legacy(&own.registry, &image.descriptor);
            clean(&world, &image.by_tag(), &format!("--type {kind}")).exits(0);
            assert_eq!(attached(&world, &image), left, "{kind}");
        }
    }
    let own = &both(&world)[0];
    let run = world
        .keyless("clean --force --type image")
        .arg(own.image("v1").by_tag());
    run.run().exits(2);
}

#[test]
fn other_entries_of_the_list_stay_as_they_are() {
    let world = World::new();
    let [_, own] = both(&world);
    let image = own.image("v1");
    sign(&world, &image);
    let kept = put_artifact(&own.registry, None, "a/b", "kept", Some(&image.descriptor));
    let tag = fallback_tag(&image.descriptor.digest);
    let text = served(&world, &own.host, REPOSITORY, &tag).unwrap();
    let mut index: Value = serde_json::from_slice(&text).unwrap();
    let mut entry = serde_json::to_value(&kept).unwrap();
    entry["unknown"] = json!([1e2]);
    index["manifests"]
        .as_array_mut()
        .unwrap()
        .push(entry.clone());
    own.registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, index.to_string())
        .unwrap();
    let run = clean(&world, &image.by_tag(), "--type signature").exits(0);
    assert_eq!(run.json()["fallbackTags"][0]["effect"], "rewritten");
    let text = served(&world, &own.host, REPOSITORY, &tag).unwrap();
    let index: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(index["manifests"], json!([entry]));
    assert!(is_there(&world, &own, &kept.digest.to_string()));
}

#[test]
fn a_list_or_a_tag_that_names_an_image_deletes_none() {
    let world = World::new();
    let [_, own] = both(&world);
    let (image, other) = (own.image("v1"), own.image("v2"));
    let theirs = put_artifact(&own.registry, None, "c/d", "y", Some(&other.descriptor));
    let gone = Descriptor::of(OCI_MANIFEST, b"gone");
    let listed = [&image.descriptor, &other.descriptor, &theirs, &gone];
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed });
    let put = |tag: &str, media_type: &str, text: Vec<u8>| {
        own.registry
            .put_manifest(REPOSITORY, Some(tag), media_type, text)
            .unwrap();
    };
    let tag = fallback_tag(&image.descriptor.digest);
    put(&tag, OCI_INDEX, index.to_string().into_bytes());
    let text = |tag: &str| served(&world, &own.host, REPOSITORY, tag).unwrap();
    let digest = image.descriptor.digest;
    put(
        &LegacyTag::Signatures.tag(&digest),
        OCI_MANIFEST,
        text("v1"),
    );
    put(
        &LegacyTag::Attestations.tag(&digest),
        OCI_MANIFEST,
        text("v2"),
    );
    let run = clean(&world, &image.by_tag(), "").exits(0);
    let items = run.json()["items"].as_array().unwrap().clone();
    let effects: Vec<&str> = items
        .iter()
        .map(|i| i["effect"].as_str().unwrap())
        .collect();
    assert!(!effects.contains(&"deleted"), "{items:#?}");
    for reference in [
        "v1".to_owned(),
        "v2".to_owned(),
        digest.to_string(),
        other.descriptor.digest.to_string(),
        theirs.digest.to_string(),
    ] {
        assert!(is_there(&world, &own, &reference), "{reference}");
    }
    assert!(!is_there(&world, &own, &tag));
    assert!(!is_there(&world, &own, &LegacyTag::Signatures.tag(&digest)));
}

#[test]
fn what_is_attached_to_another_image_stays_whatever_points_there() {
    let world = World::new();
    for own in &both(&world) {
        let (image, other) = (own.image("v1"), own.image("v2"));
        sign(&world, &other);
        let text = served(&world, &own.host, REPOSITORY, "v2").unwrap();
        for tag in LegacyTag::ALL {
            let tag = tag.tag(&image.descriptor.digest);
            own.registry
                .put_manifest(REPOSITORY, Some(&tag), OCI_MANIFEST, text.clone())
                .unwrap();
        }
        clean(&world, &image.by_tag(), "").exits(0);
        assert_eq!(attached(&world, &image), 0);
        verify(&world, &other.by_tag()).exits(0);
    }
}

#[test]
fn the_images_of_an_index_are_cleaned_when_asked_for() {
    let world = World::new();
    for own in &both(&world) {
        let child = own.image("v1");
        sign(&world, &child);
        let index = put_index(&own.registry, &own.host, "index", &[&child]);
        sign(&world, &index);
        clean(&world, &index.by_tag(), "").exits(0);
        assert_eq!((attached(&world, &index), attached(&world, &child)), (0, 1));
        clean(&world, &index.by_tag(), "--recursive").exits(0);
        assert_eq!(attached(&world, &child), 0);
        assert!(is_there(&world, own, "v1") && is_there(&world, own, "index"));
    }
}

#[test]
fn nothing_is_deleted_unless_somebody_says_so() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    sign(&world, &image);
    own.registry.forget_requests();
    for input in ["", "y\n"] {
        let run = world.keyless("clean --output json").arg(image.by_tag());
        run.stdin(input).run().fails(2, "usage-conflict");
    }
    assert_eq!(own.registry.requests(), []);
}

#[test]
fn a_registry_that_deletes_nothing_is_told_apart() {
    let world = World::new();
    for mode in [RegistryMode::default(), RegistryMode::without_referrers()] {
        let mode = RegistryMode {
            deletion: false,
            ..mode
        };
        let own = OwnRegistry::start(&world, mode);
        let image = own.image("v1");
        sign(&world, &image);
        let run = clean(&world, &image.by_tag(), "").exits(44);
        let run = run.says("refuses to delete");
        assert_eq!(
            run.json()["items"][0]["error"]["code"],
            "registry-deletion-disabled"
        );
        assert_eq!(attached(&world, &image), 1);
        verify(&world, &image.by_tag()).exits(0);
    }
}

#[test]
fn a_tag_that_cannot_be_deleted_goes_by_its_manifest() {
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    let tag = LegacyTag::Signatures.tag(&image.descriptor.digest);
    put_artifact(&own.registry, Some(&tag), SIMPLE_SIGNING, "payload", None);
    // In front of it: a registry of before tags could be deleted.
    let gate = |request: axum::extract::Request, next: axum::middleware::Next| async move {
        let is_tag = request.method() == "DELETE" && !request.uri().path().contains("sha256:");
        match is_tag {
            true => StatusCode::BAD_REQUEST.into_response(),
            false => next.run(request).await,
        }
    };
    let router = own.registry.clone().router();
    let host = crate::support::serve(&world, router.layer(axum::middleware::from_fn(gate)));
    let reference = format!("{host}/{REPOSITORY}:v1");
    let run = clean(&world, &reference, "").exits(0);
    assert_eq!(run.json()["items"][0]["effect"], "deleted");
    assert!(!is_there(&world, &own, &tag) && is_there(&world, &own, "v1"));

    // Not where the tag is on something else than signatures.
    let text = served(&world, &own.host, REPOSITORY, "v1").unwrap();
    own.registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_MANIFEST, text)
        .unwrap();
    clean(&world, &reference, "").exits(44);
    assert!(is_there(&world, &own, "v1"));
}
