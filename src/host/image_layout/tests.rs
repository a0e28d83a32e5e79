use std::fs;

use serde_json::json;

use super::*;
use crate::format::oci::{LAYOUT_MARKER_BYTES, encode_layout_index, named};

const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A layout being put together.
struct Made {
    dir: tempfile::TempDir,
    entries: Vec<Descriptor>,
}

impl Made {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        fs::write(dir.path().join("oci-layout"), LAYOUT_MARKER_BYTES).unwrap();
        Made {
            dir,
            entries: Vec::new(),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string().replace(':', "/");
        self.dir.path().join("blobs").join(name)
    }

    fn blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::sha256(content);
        fs::write(self.path(&digest), content).unwrap();
        digest
    }

    /// An image; with a subject, something attached.
    fn image(&self, name: &str, subject: Option<&Descriptor>) -> Descriptor {
        let config = match subject {
            None => IMAGE_CONFIG,
            Some(_) => "application/vnd.oci.empty.v1+json",
        };
        self.manifest(name, config, &[], subject)
    }

    /// Signatures as cosign stores them under a tag.
    fn signatures(&self, name: &str) -> Descriptor {
        let layer = "application/vnd.dev.cosign.simplesigning.v1+json";
        self.manifest(name, IMAGE_CONFIG, &[layer], None)
    }

    fn manifest(
        &self,
        name: &str,
        config: &str,
        layers: &[&str],
        subject: Option<&Descriptor>,
    ) -> Descriptor {
        let config = Descriptor::of(config, name.as_bytes());
        let layers: Vec<Descriptor> = layers
            .iter()
            .map(|media_type| Descriptor::of(media_type, name.as_bytes()))
            .collect();
        self.blob(name.as_bytes());
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": format!("x/{name}"),
            "config": config, "layers": layers, "subject": subject,
            "annotations": { "name": name },
        });
        let text = manifest.to_string();
        self.blob(text.as_bytes());
        Descriptor::of(OCI_MANIFEST, text.as_bytes())
    }

    fn list(&mut self, mut entry: Descriptor, kind: Option<LayoutKind>, name: Option<&str>) {
        if let Some(name) = name {
            entry.annotations = named(name);
        }
        if let Some(kind) = kind {
            kind.mark(&mut entry);
        }
        self.entries.push(entry);
    }

    fn open(&self) -> Result<ImageLayout, LayoutError> {
        let index = encode_layout_index(&self.entries);
        fs::write(self.dir.path().join("index.json"), index).unwrap();
        ImageLayout::open(self.dir.path())
    }
}

#[test]
fn images_and_what_refers_to_them_are_found_however_they_are_listed() {
    let mut made = Made::new();
    let image = made.image("image", None);
    // As cosign leaves it: unlisted. As oras does: in the list.
    let unlisted = made.image("unlisted", Some(&image));
    let listed = made.image("listed", Some(&image));
    let of_listed = made.image("of-listed", Some(&listed));
    made.list(image.clone(), None, Some("v1"));
    made.list(listed.clone(), None, None);
    let layout = made.open().unwrap();
    let images = layout.images().unwrap();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0].descriptor.digest, image.digest);
    assert_eq!(images[0].name.as_deref(), Some("v1"));
    let digests = |of: &Digest| -> Vec<Digest> {
        let found = layout.referrers_of(of).unwrap();
        assert!(!found.cut);
        found.descriptors.iter().map(|d| d.digest).collect()
    };
    assert_eq!(digests(&image.digest), [listed.digest, unlisted.digest]);
    assert_eq!(digests(&listed.digest), [of_listed.digest]);
    assert!(digests(&unlisted.digest).is_empty());
    let first = &layout.referrers_of(&image.digest).unwrap().descriptors[0];
    assert_eq!(first.artifact_type.as_deref(), Some("x/listed"));
    assert!(
        first.annotations.is_empty(),
        "what does not tell its kind is not kept"
    );
}

#[test]
fn what_cosign_marks_is_what_it_says() {
    let mut made = Made::new();
    let (image, other) = (made.image("image", None), made.image("other", None));
    let (sigs, atts) = (made.signatures("sigs"), made.signatures("atts"));
    made.list(image.clone(), Some(LayoutKind::Image), None);
    made.list(sigs.clone(), Some(LayoutKind::Signatures), None);
    made.list(atts.clone(), Some(LayoutKind::Attestations), None);
    made.list(other.clone(), None, None);
    let layout = made.open().unwrap();
    let images = layout.images().unwrap();
    let images: Vec<Digest> = images.iter().map(|image| image.descriptor.digest).collect();
    assert_eq!(
        images,
        [image.digest, other.digest],
        "other tools take the one without a mark"
    );
    let of = |digest: &Digest, tag| layout.legacy(digest, tag).map(|entry| entry.digest);
    assert_eq!(of(&image.digest, LegacyTag::Signatures), Some(sigs.digest));
    assert_eq!(
        of(&image.digest, LegacyTag::Attestations),
        Some(atts.digest)
    );
    assert_eq!(of(&image.digest, LegacyTag::Sbom), None);
    assert_eq!(of(&other.digest, LegacyTag::Signatures), None);

    // A tag says whose signatures they are; a mark does not where there are two images.
    let tag = LegacyTag::Signatures.tag(&other.digest);
    made.list(atts.clone(), Some(LayoutKind::Signatures), Some(&tag));
    made.list(other.clone(), Some(LayoutKind::Image), None);
    let layout = made.open().unwrap();
    let of = |digest: &Digest| {
        let found = layout.legacy(digest, LegacyTag::Signatures);
        found.map(|entry| entry.digest)
    };
    assert_eq!(of(&other.digest), Some(atts.digest));
    assert_eq!(of(&image.digest), None);
}

#[test]
fn what_is_attached_is_no_image() {
    let mut made = Made::new();
    let image = made.image("image", None);
    let sigs = made.signatures("sigs");
    made.list(image.clone(), None, None);
    let tag = LegacyTag::Signatures.tag(&image.digest);
    made.list(sigs.clone(), None, Some(&tag));
    made.list(
        sigs,
        None,
        Some(&crate::format::oci::fallback_tag(&image.digest)),
    );
    let images = made.open().unwrap().images().unwrap();
    assert_eq!(images.len(), 1);
    assert_eq!(images[0].descriptor.digest, image.digest);
    assert!(!is_attached_name("v1"));
    assert!(!is_attached_name("sha256-0"));
}

#[test]
fn a_folder_that_is_no_layout_is_refused() {
    let made = Made::new();
    let refused = |path: &Path| ImageLayout::open(path).unwrap_err().code();
    assert_eq!(refused(made.dir.path()), "layout-missing");
    made.open().unwrap();
    assert_eq!(refused(&made.dir.path().join("none")), "layout-missing");
    assert_eq!(
        refused(&made.dir.path().join("index.json")),
        "layout-missing"
    );
    fs::write(made.dir.path().join("oci-layout"), "{}").unwrap();
    assert_eq!(refused(made.dir.path()), "layout-missing");
    fs::write(made.dir.path().join("oci-layout"), LAYOUT_MARKER_BYTES).unwrap();
    fs::write(made.dir.path().join("index.json"), "[]").unwrap();
    assert_eq!(refused(made.dir.path()), "layout-document-unusable");
    let long = vec![b' '; limits::LAYOUT_INDEX_LEN + 1];
    fs::write(made.dir.path().join("index.json"), long).unwrap();
    assert_eq!(refused(made.dir.path()), "layout-object-too-large");
}

#[test]
fn content_must_have_the_digest_of_its_name() {
    let mut made = Made::new();
    let image = made.image("image", None);
    let referrer = made.image("referrer", Some(&image));
    made.list(image.clone(), None, None);
    let layout = made.open().unwrap();
    assert_eq!(layout.manifest(&image.digest).unwrap().descriptor, image);
    assert!(layout.listed_manifest(&image).is_ok());
    let larger = Descriptor {
        size: image.size + 1,
        ..image.clone()
    };
    let refused = layout.listed_manifest(&larger).unwrap_err();
    assert_eq!(refused.code(), "layout-size-mismatch");
    let refused = layout.open_blob(&larger).unwrap_err();
    assert_eq!(refused.code(), "layout-size-mismatch");
    let refused = layout.blob(&image.digest, image.size - 1).unwrap_err();
    assert_eq!(refused.code(), "layout-object-too-large");
    let refused = layout.manifest(&Digest::sha256(b"none")).unwrap_err();
    assert_eq!(refused.code(), "layout-object-missing");
    let text = made.blob(b"text");
    let refused = layout.manifest(&text).unwrap_err();
    assert_eq!(refused.code(), "layout-document-unusable");

    // One character of its annotation: still a manifest, another digest.
    for digest in [image.digest, referrer.digest] {
        let text = fs::read_to_string(made.path(&digest)).unwrap();
        let name = if digest == image.digest {
            "\"image\""
        } else {
            "\"referrer\""
        };
        assert!(text.contains(name));
        fs::write(made.path(&digest), text.replacen(name, "\"other\"", 1)).unwrap();
    }
    let layout = made.open().unwrap();
    let refused = layout.manifest(&image.digest).unwrap_err();
    assert_eq!(refused.code(), "layout-digest-mismatch");
    assert_eq!(refused.exit(), Exit::ContentMismatch);
    let found = layout.referrers_of(&image.digest).unwrap();
    assert_eq!(found.descriptors, [], "a tampered manifest is nobody's");
}

#[cfg(unix)]
#[test]
fn no_link_is_followed() {
    use std::os::unix::fs::symlink;
    let mut made = Made::new();
    let image = made.image("image", None);
    made.list(image.clone(), None, None);
    made.open().unwrap();
    let outside = tempfile::tempdir().unwrap();

    // A blob that is a link to a file with the very content.
    let elsewhere = outside.path().join("manifest");
    fs::rename(made.path(&image.digest), &elsewhere).unwrap();
    symlink(&elsewhere, made.path(&image.digest)).unwrap();
    let layout = made.open().unwrap();
    let refused = layout.manifest(&image.digest).unwrap_err();
    assert_eq!(refused.code(), "layout-link-refused");
    assert_eq!(
        layout.open_blob(&image).unwrap_err().code(),
        "layout-link-refused"
    );

    // A hard link is another name of the same content, and content is what counts.
    fs::remove_file(made.path(&image.digest)).unwrap();
    fs::hard_link(&elsewhere, made.path(&image.digest)).unwrap();
    assert!(made.open().unwrap().manifest(&image.digest).is_ok());
    fs::write(&elsewhere, "secret").unwrap();
    let refused = made.open().unwrap().manifest(&image.digest).unwrap_err();
    assert_eq!(refused.code(), "layout-digest-mismatch");

    // The folder of blobs, the list, the marker.
    for name in ["blobs/sha256", "blobs", "index.json", "oci-layout"] {
        let made = Made::new();
        let image = made.image("image", None);
        made.open().unwrap();
        let (there, here) = (outside.path().join("moved"), made.dir.path().join(name));
        fs::rename(&here, &there).unwrap();
        symlink(&there, &here).unwrap();
        let refused = match ImageLayout::open(made.dir.path()) {
            Ok(layout) => layout.manifest(&image.digest).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(refused.code(), "layout-link-refused", "{name}");
        match there.is_dir() {
            true => fs::remove_dir_all(there).unwrap(),
            false => fs::remove_file(there).unwrap(),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_or_a_folder_is_no_blob() {
    let made = Made::new();
    let (pipe, folder) = (Digest::sha256(b"pipe"), Digest::sha256(b"folder"));
    rustix::fs::mknodat(
        rustix::fs::CWD,
        made.path(&pipe),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    fs::create_dir(made.path(&folder)).unwrap();
    let layout = made.open().unwrap();
    for digest in [pipe, folder] {
        let refused = layout.blob(&digest, 10).unwrap_err();
        assert_eq!(refused.code(), "layout-link-refused");
    }
    // They do not stop the search for referrers either.
    assert_eq!(layout.referrers_of(&pipe).unwrap().descriptors, []);
}

#[test]
fn files_and_referrers_are_counted() {
    let mut made = Made::new();
    let image = made.image("image", None);
    made.list(image.clone(), None, None);
    for n in 0..=limits::LAYOUT_REFERRERS {
        made.image(&format!("{n}"), Some(&image));
    }
    let found = made.open().unwrap().referrers_of(&image.digest).unwrap();
    assert!(found.cut);
    assert_eq!(found.descriptors.len(), limits::LAYOUT_REFERRERS);
    for n in 0..limits::LAYOUT_FILES {
        fs::write(made.dir.path().join(format!("blobs/sha256/{n}")), "").unwrap();
    }
    let refused = made
        .open()
        .unwrap()
        .referrers_of(&image.digest)
        .unwrap_err();
    assert_eq!(refused.code(), "layout-too-many");
}

#[test]
fn no_mark_keeps_an_image_out_of_sight() {
    let kinds = [
        None,
        Some(LayoutKind::Image),
        Some(LayoutKind::Index),
        Some(LayoutKind::Signatures),
        Some(LayoutKind::Attestations),
    ];
    let mut made = Made::new();
    let image = made.image("image", None);
    let tag = LegacyTag::Signatures.tag(&image.digest);
    let fallback = crate::format::oci::fallback_tag(&image.digest);
    let names = [
        None,
        Some("latest"),
        Some(tag.as_str()),
        Some(fallback.as_str()),
    ];
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let empty = "application/vnd.oci.empty.v1+json";
    let hidden = [
        made.manifest("a", IMAGE_CONFIG, &[layer], None),
        made.manifest("b", IMAGE_CONFIG, &[layer], Some(&image)),
        made.manifest("c", empty, &[layer], Some(&image)),
        made.manifest("d", empty, &[bundle, layer], Some(&image)),
        made.manifest("e", IMAGE_CONFIG, &[], Some(&image)),
        made.manifest("f", empty, &["application/wasm"], Some(&image)),
    ];
    made.list(image.clone(), Some(LayoutKind::Image), Some("v1"));
    let attached = made.manifest("g", empty, &[bundle], Some(&image));
    for kind in kinds {
        for name in names {
            let found = |made: &mut Made, entry: &Descriptor| {
                made.list(entry.clone(), kind, name);
                let images = made.open().unwrap().images().unwrap();
                made.entries.pop();
                let digests = images.iter().map(|image| image.descriptor.digest);
                digests.collect::<Vec<_>>()
            };
            for entry in &hidden {
                let found = found(&mut made, entry);
                assert_eq!(found, [image.digest, entry.digest], "{kind:?} {name:?}");
            }
            // Whatever it is, a tag of its own makes it what somebody takes.
            let expected = if name == Some("latest") { 2 } else { 1 };
            assert_eq!(
                found(&mut made, &attached).len(),
                expected,
                "{kind:?} {name:?}"
            );
        }
    }
    // containerd has a name of its own.
    let mut named_twice = attached.clone();
    let name = crate::format::oci::ANNOTATION_CONTAINERD_NAME.to_owned();
    named_twice
        .annotations
        .insert(name, "reg.test/app:v1".to_owned());
    made.entries.push(named_twice);
    assert_eq!(made.open().unwrap().images().unwrap().len(), 2);
}

#[test]
fn lists_of_what_is_attached_are_none_of_images() {
    let mut made = Made::new();
    let image = made.image("image", None);
    made.list(image.clone(), None, Some("v1"));
    let attached = made.image("attached", Some(&image));
    let other = made.image("other", None);
    let fallback = crate::format::oci::fallback_tag(&image.digest);
    for (children, expected) in [(vec![&attached], 1), (vec![&attached, &other], 2)] {
        let text = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children });
        let text = text.to_string();
        made.blob(text.as_bytes());
        made.list(
            Descriptor::of(OCI_INDEX, text.as_bytes()),
            None,
            Some(&fallback),
        );
        assert_eq!(made.open().unwrap().images().unwrap().len(), expected);
        made.entries.pop();
    }
}

#[test]
fn what_cannot_be_looked_at_is_told() {
    let mut made = Made::new();
    let image = made.image("image", None);
    made.list(image.clone(), None, Some("v1"));
    let codes = |made: &Made| -> Vec<&'static str> {
        let contents = made.open().unwrap().contents().unwrap();
        assert_eq!(contents.images.len(), 1);
        contents
            .unusable
            .iter()
            .map(|(_, error)| error.code())
            .collect()
    };
    let unusable = |entry: Descriptor| {
        let mut made = Made::new();
        let image = made.image("image", None);
        made.list(image, None, Some("v1"));
        made.blob(b"no manifest");
        made.entries.push(entry);
        let codes = codes(&made);
        assert!(made.open().unwrap().images().is_err());
        codes
    };
    let of = |media_type: &str, size: u64| Descriptor {
        media_type: media_type.to_owned(),
        size,
        ..image.clone()
    };
    let absent = Descriptor::of(OCI_MANIFEST, b"absent");
    assert_eq!(unusable(absent), ["layout-object-missing"]);
    assert_eq!(
        unusable(of(OCI_INDEX, image.size)),
        ["layout-document-unusable"]
    );
    assert_eq!(
        unusable(of("text/plain", image.size)),
        ["layout-document-unusable"]
    );
    assert_eq!(unusable(of(OCI_MANIFEST, 1)), ["layout-size-mismatch"]);
    let text = Descriptor::of(OCI_MANIFEST, b"no manifest");
    assert_eq!(unusable(text), ["layout-document-unusable"]);

    assert_eq!(codes(&made), [""; 0]);
    fs::write(made.dir.path().join("manifest.json"), "[]").unwrap();
    fs::create_dir(made.dir.path().join("repositories")).unwrap();
    assert_eq!(codes(&made), ["layout-other-list", "layout-other-list"]);
    assert_eq!(made.open().unwrap().images().unwrap().len(), 1);
}
