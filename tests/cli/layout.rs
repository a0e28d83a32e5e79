//! `keyless save` and `keyless load`: image layouts, written whole and read with suspicion.

use std::fs;
use std::path::{Path, PathBuf};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use keyless::format::oci::{Descriptor, LegacyTag, OCI_MANIFEST};
use keyless::host::image_layout::ImageLayout;
use keyless::sandbox::registry::RegistryMode;
use serde_json::{Value, json};

use crate::copy::{done, served, verify};
use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, answering, put_index};
use crate::tree::{both, put_legacy, sign};

fn save(world: &World, image: &str, more: &str) -> Run {
    let run = world.keyless(&format!("save --dir layout --output json {more}"));
    run.arg(image).run()
}

fn load(world: &World, image: &str, more: &str) -> Run {
    let run = world.keyless(&format!("load --dir layout --output json {more}"));
    run.arg(image).run()
}

fn blob(world: &World, descriptor: &Descriptor) -> PathBuf {
    let name = descriptor.digest.to_string().replace(':', "/");
    world.path("layout/blobs").join(name)
}

fn index(world: &World) -> Value {
    serde_json::from_str(&world.read("layout/index.json")).unwrap()
}

fn write_index(world: &World, index: &Value) {
    world.write("layout/index.json", index.to_string());
}

/// An image with a signature, saved; and an empty registry.
fn saved(world: &World) -> (Image, OwnRegistry) {
    let from = OwnRegistry::start(world, RegistryMode::default());
    let image = from.image("v1");
    sign(world, &image);
    save(world, &image.by_tag(), "").exits(0);
    (image, OwnRegistry::start(world, RegistryMode::default()))
}

#[test]
fn what_is_saved_is_loaded_whole_whatever_the_registries_are() {
    for n in 0..2 {
        let world = World::new();
        let from = &both(&world)[n];
        let child = from.image("v1");
        sign(&world, &child);
        let [signatures, ..] = put_legacy(&from.registry, &child.descriptor);
        let image = put_index(&from.registry, &from.host, "index", &[&child]);
        sign(&world, &image);
        let run = save(&world, &image.by_tag(), "").exits(0);
        assert_eq!((done(&run, "manifests"), done(&run, "attached")), (8, 6));
        let entries = index(&world)["manifests"].clone();
        assert_eq!(
            entries[0]["annotations"]["kind"],
            "dev.cosignproject.cosign/imageIndex"
        );
        assert_eq!(
            entries[0]["annotations"]["org.opencontainers.image.ref.name"],
            "index"
        );
        let layout = ImageLayout::open(&world.path("layout")).unwrap();
        let found = layout.legacy(&child.descriptor.digest, LegacyTag::Signatures);
        assert_eq!(found.unwrap().digest, signatures.digest);
        let referrers = layout.referrers_of(&image.descriptor.digest).unwrap();
        assert_eq!(referrers.descriptors.len(), 1);
        for to in &both(&world) {
            let destination = format!("{}/there/app:v3", to.host);
            let run = load(&world, &destination, "").exits(0);
            assert_eq!(done(&run, "attached"), 6);
            let of = |image: &Image| format!("{}/there/app@{}", to.host, image.descriptor.digest);
            for image in [destination.clone(), of(&image), of(&child)] {
                verify(&world, &image).exits(0);
            }
            let tag = LegacyTag::Signatures.tag(&child.descriptor.digest);
            assert_eq!(
                served(&world, &to.host, "there/app", &tag),
                served(&world, &from.host, REPOSITORY, &tag)
            );
            let run = load(&world, &destination, "").exits(0);
            assert_eq!((done(&run, "blobs"), done(&run, "bytes")), (0, 0));
        }
    }
}

#[test]
fn the_signatures_of_one_image_are_marked_as_cosign_marks_them() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    let [signatures, attestations, ..] = put_legacy(&from.registry, &image.descriptor);
    save(&world, &image.by_digest(), "").exits(0);
    let marked = |kind: &str| {
        let entries = index(&world)["manifests"].as_array().unwrap().clone();
        let of = |entry: &&Value| {
            entry["annotations"]["kind"] == format!("dev.cosignproject.cosign/{kind}")
        };
        let found: Vec<Value> = entries.iter().filter(of).cloned().collect();
        assert_eq!(found.len(), 1, "{kind}");
        found[0]["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(marked("image"), image.descriptor.digest.to_string());
    assert_eq!(marked("sigs"), signatures.digest.to_string());
    assert_eq!(marked("atts"), attestations.digest.to_string());
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let (image, other) = (from.image("v1"), from.image("v2"));
    fs::create_dir(world.path("layout")).unwrap();
    world.write("layout/notes", "mine");
    for more in ["", "--overwrite"] {
        save(&world, &image.by_tag(), more).fails(3, "layout-exists");
    }
    assert_eq!(world.files(), ["layout/notes"]);
    assert_eq!(from.registry.requests(), []);
    fs::remove_file(world.path("layout/notes")).unwrap();
    save(&world, &image.by_tag(), "").exits(0);
    let before = world.files();
    save(&world, &other.by_tag(), "").fails(3, "layout-exists");
    assert_eq!(world.files(), before);
    save(&world, &other.by_tag(), "--overwrite").exits(0);
    let layout = ImageLayout::open(&world.path("layout")).unwrap();
    assert_eq!(
        layout.images().unwrap()[0].descriptor.digest,
        other.descriptor.digest
    );
    assert!(
        !blob(&world, &image.descriptor).exists(),
        "blobs of what was there go"
    );
    assert_eq!(layout.blobs().unwrap().len(), 3);
    world.write("file", "x");
    let run = world
        .keyless("save --dir file --output json")
        .arg(image.by_tag());
    run.run().fails(3, "file-unwritable");
}

#[test]
fn an_interrupted_save_goes_on_and_leaves_nothing_half_written() {
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    let config = Descriptor::of("a/b", br#"{"architecture":"amd64","os":"linux"}"#);
    let layer = Descriptor::of("a/b", b"files of v1");
    let folder = world.path("layout/blobs/sha256");
    fs::create_dir_all(&folder).unwrap();
    // One whole, one of the right length and wrong, and what a crash left.
    fs::write(
        blob(&world, &config),
        r#"{"architecture":"amd64","os":"linux"}"#,
    )
    .unwrap();
    fs::write(blob(&world, &layer), "FILES of v1").unwrap();
    fs::write(folder.join(".keyless-x-1.part"), "half").unwrap();
    let refused = world.keyless("load --dir layout --output json");
    refused.arg(image.by_tag()).run().fails(3, "layout-missing");
    let run = save(&world, &image.by_tag(), "").exits(0);
    assert_eq!((done(&run, "blobsThere"), done(&run, "blobs")), (1, 1));
    assert_eq!(fs::read(blob(&world, &layer)).unwrap(), b"files of v1");
    assert!(!folder.join(".keyless-x-1.part").exists());
}

#[test]
fn content_that_is_not_what_it_should_be_is_not_saved() {
    let world = World::new();
    let layer = Descriptor::of("application/vnd.oci.image.layer.v1.tar", b"layer");
    let manifest = json!({
        "config": Descriptor::of("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [layer],
    })
    .to_string();
    let path = format!("/blobs/{}", layer.digest);
    let host = answering(&world, move |request: Request| {
        let asked = request.uri().path().to_owned();
        if asked.ends_with("/manifests/v1") {
            return ([(header::CONTENT_TYPE, OCI_MANIFEST)], manifest.clone()).into_response();
        }
        if asked.ends_with(&path) {
            return "lAyer".into_response();
        }
        match asked.contains("/blobs/") {
            true => "{}".into_response(),
            false => StatusCode::NOT_FOUND.into_response(),
        }
    });
    save(&world, &format!("{host}/app:v1"), "").fails(21, "registry-digest-mismatch");
    assert!(!world.path("layout/index.json").exists());
    assert!(!blob(&world, &layer).exists());
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let image = from.image("v1");
    let outside = world.path_elsewhere("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir(world.path("layout")).unwrap();
    symlink(&outside, world.path("layout/blobs")).unwrap();
    save(&world, &image.by_tag(), "").fails(3, "layout-link-refused");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    fs::remove_file(world.path("layout/blobs")).unwrap();

    // A link where a blob belongs is replaced, not written through.
    let target = outside.join("target");
    fs::write(&target, "theirs").unwrap();
    fs::create_dir_all(world.path("layout/blobs/sha256")).unwrap();
    let layer = Descriptor::of("a/b", b"files of v1");
    symlink(&target, blob(&world, &layer)).unwrap();
    save(&world, &image.by_tag(), "").exits(0);
    assert_eq!(fs::read(&target).unwrap(), b"theirs");
    assert_eq!(fs::read(blob(&world, &layer)).unwrap(), b"files of v1");
}

/// Loading is refused, and no manifest got there.
#[track_caller]
fn refuses(world: &World, to: &OwnRegistry, exit: i32, code: &str) {
    let destination = format!("{}/there/app:v1", to.host);
    load(world, &destination, "").fails(exit, code);
    let requests = to.registry.requests();
    let stored = requests
        .iter()
        .filter(|r| r.method == "PUT" && r.status == 201 && r.path.contains("/manifests/"));
    assert_eq!(stored.count(), 0, "{requests:#?}");
}

fn layer_of(world: &World, image: &Image) -> (PathBuf, Vec<u8>) {
    let text = fs::read(blob(world, &image.descriptor)).unwrap();
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    let layer: Descriptor = serde_json::from_value(manifest["layers"][0].clone()).unwrap();
    let path = blob(world, &layer);
    let content = fs::read(&path).unwrap();
    (path, content)
}

#[cfg(unix)]
#[test]
fn links_in_a_layout_are_not_followed() {
    use std::os::unix::fs::symlink;
    let world = World::new();
    let (image, to) = saved(&world);
    let (layer, content) = layer_of(&world, &image);
    // The very content, elsewhere; and a file of this machine.
    let outside = world.path_elsewhere("content");
    fs::write(&outside, &content).unwrap();
    for target in [outside.as_path(), Path::new("/etc/passwd")] {
        fs::remove_file(&layer).unwrap();
        symlink(target, &layer).unwrap();
        refuses(&world, &to, 3, "layout-link-refused");
    }
    fs::remove_file(&layer).unwrap();
    fs::create_dir(&layer).unwrap();
    refuses(&world, &to, 3, "layout-link-refused");
    fs::remove_dir(&layer).unwrap();
    refuses(&world, &to, 3, "layout-object-missing");
    // Another name for a file: its content must have the digest.
    let other = world.path_elsewhere("other");
    fs::write(&other, vec![b'x'; content.len()]).unwrap();
    if fs::hard_link(&other, &layer).is_ok() {
        refuses(&world, &to, 21, "registry-digest-mismatch");
        fs::remove_file(&layer).unwrap();
    }
    fs::write(&layer, &content).unwrap();
    let list = world.path("layout/index.json");
    fs::rename(&list, world.path_elsewhere("index")).unwrap();
    symlink(world.path_elsewhere("index"), &list).unwrap();
    refuses(&world, &to, 3, "layout-link-refused");
}

#[test]
fn what_is_not_what_its_name_says_is_not_loaded() {
    let world = World::new();
    let (image, to) = saved(&world);
    let (layer, content) = layer_of(&world, &image);
    let mut changed = content.clone();
    changed[0] ^= 1;
    fs::write(&layer, &changed).unwrap();
    refuses(&world, &to, 21, "registry-digest-mismatch");
    fs::write(&layer, [&content[..], b"x"].concat()).unwrap();
    refuses(&world, &to, 21, "layout-size-mismatch");
    fs::write(&layer, &content).unwrap();

    let path = blob(&world, &image.descriptor);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("tar"));
    fs::write(&path, text.replacen("tar", "rat", 1)).unwrap();
    refuses(&world, &to, 21, "layout-digest-mismatch");
    fs::write(&path, &text).unwrap();

    let good = index(&world);
    for bad in [
        "sha256:../../../etc/passwd",
        "sha256:00",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        let mut index = good.clone();
        index["manifests"][0]["digest"] = bad.into();
        write_index(&world, &index);
        refuses(&world, &to, 22, "layout-document-unusable");
    }
    let mut larger = good.clone();
    larger["manifests"][0]["size"] = (image.descriptor.size + 1).into();
    write_index(&world, &larger);
    refuses(&world, &to, 21, "layout-size-mismatch");
    write_index(&world, &good);
    let destination = format!("{}/there/app:v1", to.host);
    load(&world, &destination, "").exits(0);
}

#[test]
fn of_several_images_one_is_named() {
    let world = World::new();
    let (image, to) = saved(&world);
    let from = OwnRegistry::start(&world, RegistryMode::default());
    let other = from.image("v2");
    let config = br#"{"architecture":"amd64","os":"linux"}"#;
    let text = served(&world, &from.host, REPOSITORY, "v2").unwrap();
    for content in [&text[..], config, b"files of v2"] {
        fs::write(blob(&world, &Descriptor::of("a/b", content)), content).unwrap();
    }
    let mut index = index(&world);
    let mut entry = serde_json::to_value(&other.descriptor).unwrap();
    entry["annotations"] = json!({
        "kind": "dev.cosignproject.cosign/image",
        "org.opencontainers.image.ref.name": "v2",
    });
    index["manifests"].as_array_mut().unwrap().push(entry);
    write_index(&world, &index);
    let destination = format!("{}/there/app:v1", to.host);
    load(&world, &destination, "").fails(2, "layout-image-ambiguous");
    load(&world, &destination, "--name v3").fails(2, "layout-image-ambiguous");
    let run = load(&world, &destination, "--name v2").exits(0);
    assert_eq!(run.json()["digest"], other.descriptor.digest.to_string());
    let digest = image.descriptor.digest.to_string();
    load(&world, &destination, &format!("--name {digest}")).fails(44, "tag-exists");
    let run = load(&world, &destination, &format!("--force --name {digest}")).exits(0);
    assert_eq!(run.json()["digest"], digest);
}

#[test]
fn bundles_that_nobody_lists_are_found_among_the_blobs() {
    let world = World::new();
    let (_, to) = saved(&world);
    // As cosign saves them.
    let mut index = index(&world);
    index["manifests"].as_array_mut().unwrap().truncate(1);
    write_index(&world, &index);
    let destination = format!("{}/there/app:v1", to.host);
    let run = load(&world, &destination, "").exits(0);
    assert_eq!(done(&run, "attached"), 1);
    verify(&world, &destination).exits(0);
}
