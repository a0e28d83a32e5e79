//! `keyless clean`: what is attached goes, the image never.

use keyless::format::oci::{Descriptor, LegacyTag, OCI_INDEX, OCI_MANIFEST, fallback_tag};
use keyless::sandbox::registry::RegistryMode;
use serde_json::{Value, json};

use crate::copy::{served, verify};
use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, put_index};
use crate::tree::{
    ENVELOPE, SIMPLE_SIGNING, both, envelope, put_artifact, put_legacy, sign, simple_signing,
};

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
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    let tag = LegacyTag::Signatures.tag(&image.descriptor.digest);
    let payload = simple_signing(&image.descriptor.digest);
    put_artifact(&own.registry, Some(&tag), SIMPLE_SIGNING, &payload, None);
    let host = by_digest_only(&world, &own);
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

/// The registry behind something that deletes by digest only, as docker's registry 2.8 does.
fn by_digest_only(world: &World, own: &OwnRegistry) -> String {
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    let gate = |request: axum::extract::Request, next: axum::middleware::Next| async move {
        let is_tag = request.method() == "DELETE" && !request.uri().path().contains("sha256:");
        match is_tag {
            true => StatusCode::BAD_REQUEST.into_response(),
            false => next.run(request).await,
        }
    };
    let router = own.registry.clone().router();
    crate::support::serve(world, router.layer(axum::middleware::from_fn(gate)))
}

/// What stands in a registry before it is cleaned.
struct Scene<'a> {
    own: &'a OwnRegistry,
    world: &'a World,
    image: Image,
    other: Image,
}

impl Scene<'_> {
    fn put(&self, tag: &str, reference: &str) {
        let text = served(self.world, &self.own.host, REPOSITORY, reference).unwrap();
        let value: Value = serde_json::from_slice(&text).unwrap();
        let media_type = value["mediaType"].as_str().unwrap().to_owned();
        let registry = &self.own.registry;
        let put = registry.put_manifest(REPOSITORY, Some(tag), &media_type, text);
        put.unwrap();
    }

    fn sig_of(&self, image: &Image, tag: Option<&str>) -> Descriptor {
        let payload = simple_signing(&image.descriptor.digest);
        put_artifact(&self.own.registry, tag, SIMPLE_SIGNING, &payload, None)
    }

    fn list(&self, tag: &str, entries: &[&Descriptor]) -> Descriptor {
        let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
        let registry = &self.own.registry;
        let put = registry.put_manifest(REPOSITORY, Some(tag), OCI_INDEX, index.to_string());
        put.unwrap();
        Descriptor::of(OCI_INDEX, index.to_string().as_bytes())
    }
}

/// Every way in which a tag or a list leads to what is not this image's, or is not its alone: what must be there
/// afterwards, under every kind of registry.
#[test]
fn what_is_not_proven_to_be_the_images_alone_stays() {
    type Put = fn(&Scene<'_>) -> Vec<String>;
    let table: [(&str, Put); 14] = [
        (".sig on the image itself", |s| {
            s.put(&LegacyTag::Signatures.tag(&s.image.descriptor.digest), "v1");
            vec![]
        }),
        (".sig on another image", |s| {
            s.put(&LegacyTag::Signatures.tag(&s.image.descriptor.digest), "v2");
            vec![]
        }),
        (".sig, .att and .sbom on the signatures of another", |s| {
            let theirs = LegacyTag::Signatures.tag(&s.other.descriptor.digest);
            let held = s.sig_of(&s.other, Some(&theirs));
            for tag in LegacyTag::ALL {
                s.put(&tag.tag(&s.image.descriptor.digest), &theirs);
            }
            vec![theirs, held.digest.to_string()]
        }),
        (".sig on signatures of another that have no tag", |s| {
            let held = s.sig_of(&s.other, None);
            let tag = LegacyTag::Signatures.tag(&s.image.descriptor.digest);
            s.put(&tag, &held.digest.to_string());
            vec![tag, held.digest.to_string()]
        }),
        (".att on the attestations of another", |s| {
            let theirs = LegacyTag::Attestations.tag(&s.other.descriptor.digest);
            let text = envelope("https://p.test/v1", &s.other.descriptor.digest);
            let held = put_artifact(&s.own.registry, Some(&theirs), ENVELOPE, &text, None);
            s.put(
                &LegacyTag::Attestations.tag(&s.image.descriptor.digest),
                &theirs,
            );
            vec![theirs, held.digest.to_string()]
        }),
        (".sbom on an image without a tag", |s| {
            let held = put_artifact(&s.own.registry, None, "application/x", "layer", None);
            let tag = LegacyTag::Sbom.tag(&s.image.descriptor.digest);
            s.put(&tag, &held.digest.to_string());
            vec![tag, held.digest.to_string()]
        }),
        ("signatures of the image with another tag", |s| {
            let tag = LegacyTag::Signatures.tag(&s.image.descriptor.digest);
            let held = s.sig_of(&s.image, Some(&tag));
            s.put("kept", &tag);
            vec!["kept".to_owned(), held.digest.to_string()]
        }),
        ("a referrer with a tag", |s| {
            let of = Some(&s.image.descriptor);
            let held = put_artifact(&s.own.registry, Some("kept"), "a/b", "x", of);
            vec!["kept".to_owned(), held.digest.to_string()]
        }),
        ("a referrer that an index lists", |s| {
            let of = Some(&s.image.descriptor);
            let held = put_artifact(&s.own.registry, None, "a/b", "x", of);
            s.list("kept", &[&held]);
            vec!["kept".to_owned(), held.digest.to_string()]
        }),
        (
            "a referrer to which something is attached that has a tag",
            |s| {
                let of = Some(&s.image.descriptor);
                let held = put_artifact(&s.own.registry, None, "a/b", "x", of);
                let above = put_artifact(&s.own.registry, Some("kept"), "a/b", "y", Some(&held));
                let left = [held.digest, above.digest].map(|digest| digest.to_string());
                left.into_iter().chain(["kept".to_owned()]).collect()
            },
        ),
        ("the fallback tag on the image itself", |s| {
            put_artifact(&s.own.registry, None, "a/b", "x", Some(&s.image.descriptor));
            s.put(&fallback_tag(&s.image.descriptor.digest), "v1");
            vec![]
        }),
        ("the fallback tag on an index of images", |s| {
            let of = [&s.image.descriptor, &s.other.descriptor];
            let index = s.list("index", &of);
            s.put(&fallback_tag(&s.image.descriptor.digest), "index");
            vec!["index".to_owned(), index.digest.to_string()]
        }),
        ("the fallback tag on an index that has no other tag", |s| {
            let index = s.list(
                &fallback_tag(&s.image.descriptor.digest),
                &[&s.image.descriptor, &s.other.descriptor],
            );
            vec![index.digest.to_string()]
        }),
        ("the fallback tag on the list of another", |s| {
            let of = Some(&s.other.descriptor);
            let held = put_artifact(&s.own.registry, None, "a/b", "x", of);
            let theirs = fallback_tag(&s.other.descriptor.digest);
            let index = s.list(&theirs, &[&held]);
            s.put(&fallback_tag(&s.image.descriptor.digest), &theirs);
            vec![theirs, index.digest.to_string(), held.digest.to_string()]
        }),
    ];
    let world = World::new();
    for (name, put) in table {
        for old in [false, true] {
            for own in &both(&world) {
                let (image, other) = (own.image("v1"), own.image("v2"));
                let host = match old {
                    true => by_digest_only(&world, own),
                    false => own.host.clone(),
                };
                let scene = Scene {
                    own,
                    world: &world,
                    image,
                    other,
                };
                let mut left = put(&scene);
                left.extend(["v1".to_owned(), "v2".to_owned()]);
                left.extend([&scene.image, &scene.other].map(|i| i.descriptor.digest.to_string()));
                let reference = format!("{host}/{REPOSITORY}:v1");
                let run = world
                    .keyless("clean --dry-run --output json")
                    .arg(&reference)
                    .run();
                let planned = run.json();
                assert_eq!(planned["dryRun"], true, "{name}");
                let items = planned["items"].as_array().unwrap();
                assert!(items.iter().all(|item| item["effect"] == "none"), "{name}");
                for more in ["", "--type signature", "--type referrer", "--recursive"] {
                    clean(&world, &reference, more);
                    for reference in &left {
                        let there = is_there(&world, own, reference);
                        assert!(there, "{name}, {more:?}, old {old}: {reference} is gone");
                    }
                }
            }
        }
    }
}

#[test]
fn what_stays_is_named_with_its_reason() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    let of = Some(&image.descriptor);
    let held = put_artifact(&own.registry, Some("kept"), "a/b", "x", of);
    let run = clean(&world, &image.by_tag(), "").exits(44);
    let stays = run.json()["stays"].clone();
    assert_eq!(stays[0]["manifest"], held.digest.to_string());
    assert_eq!(stays[0]["error"]["code"], "registry-still-named");
    assert_eq!(stays[0]["error"]["details"][0]["value"], "kept");
    let run = world.keyless("clean --dry-run").arg(image.by_tag()).run();
    run.exits(44).shows("stays ");
}

#[test]
fn a_repository_whose_tags_cannot_be_listed_loses_nothing_by_digest() {
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    sign(&world, &image);
    let gate = |request: axum::extract::Request, next: axum::middleware::Next| async move {
        match request.uri().path().ends_with("/tags/list") {
            true => StatusCode::NOT_FOUND.into_response(),
            false => next.run(request).await,
        }
    };
    let router = own.registry.clone().router();
    let host = crate::support::serve(&world, router.layer(axum::middleware::from_fn(gate)));
    clean(&world, &format!("{host}/{REPOSITORY}:v1"), "").exits(44);
    verify(&world, &image.by_tag()).exits(0);
}
