//! `keyless tree` and `keyless triangulate`: what is attached, in either kind of registry; and what the tests of
//! the other commands attach.

use keyless::crypto::Digest;
use keyless::format::oci::{
    Descriptor, EMPTY_CONFIG, EMPTY_CONFIG_BYTES, LegacyTag, OCI_INDEX, OCI_MANIFEST, fallback_tag,
};
use keyless::sandbox::Service;
use keyless::sandbox::registry::{RegistryMode, SandboxRegistry};
use serde_json::{Value, json};

use crate::support::{Image, OwnRegistry, REPOSITORY, World, put_index};

pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// Puts a manifest with one layer of the given type and content; of a subject, if one is given.
pub fn put_artifact(
    registry: &SandboxRegistry,
    tag: Option<&str>,
    media_type: &str,
    content: &str,
    subject: Option<&Descriptor>,
) -> Descriptor {
    registry.put_blob(REPOSITORY, EMPTY_CONFIG_BYTES).unwrap();
    registry.put_blob(REPOSITORY, content.to_owned()).unwrap();
    let mut layer = Descriptor::of(media_type, content.as_bytes());
    if media_type == ENVELOPE {
        let predicate = ("predicateType".to_owned(), "https://p.test/v1".to_owned());
        layer.annotations.extend([predicate]);
    }
    if media_type == SIMPLE_SIGNING {
        let signature = "dev.cosignproject.cosign/signature".to_owned();
        layer.annotations.extend([(signature, "c2ln".to_owned())]);
    }
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": Descriptor::of(EMPTY_CONFIG, EMPTY_CONFIG_BYTES),
        "layers": [layer],
    });
    if let Some(subject) = subject {
        manifest["subject"] = serde_json::to_value(subject).unwrap();
        manifest["artifactType"] = media_type.into();
    }
    let text = manifest.to_string();
    registry
        .put_manifest(REPOSITORY, tag, OCI_MANIFEST, text.clone())
        .unwrap();
    Descriptor::of(OCI_MANIFEST, text.as_bytes())
}

/// An envelope around a statement that nobody signed.
pub fn envelope(predicate_type: &str, subject: &Digest) -> String {
    use keyless::format::protojson::encode_base64;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "x", "digest": { "sha256": subject.hex() } }],
        "predicateType": predicate_type,
        "predicate": {},
    });
    json!({
        "payloadType": "application/vnd.in-toto+json",
        "payload": encode_base64(statement.to_string().as_bytes()),
        "signatures": [{ "sig": "c2ln" }],
    })
    .to_string()
}

/// The payload of an older signature of an image.
pub fn simple_signing(subject: &Digest) -> String {
    let payload = keyless::format::legacy::simple_signing::SimpleSigning {
        docker_reference: String::new(),
        digest: *subject,
        annotations: std::collections::BTreeMap::new(),
    };
    String::from_utf8(payload.encode()).unwrap()
}

/// Puts cosign's older forms beside an image: signatures, attestations, an SBOM that is signed itself.
pub fn put_legacy(registry: &SandboxRegistry, image: &Descriptor) -> [Descriptor; 4] {
    let tag = |tag: LegacyTag| Some(tag.tag(&image.digest));
    let put = |tag: Option<String>, media_type: &str, content: &str| {
        put_artifact(registry, tag.as_deref(), media_type, content, None)
    };
    let sbom = put(tag(LegacyTag::Sbom), "text/spdx", "sbom");
    let of_sbom = Some(LegacyTag::Signatures.tag(&sbom.digest));
    let attestation = envelope("https://p.test/v1", &image.digest);
    [
        put(
            tag(LegacyTag::Signatures),
            SIMPLE_SIGNING,
            &simple_signing(&image.digest),
        ),
        put(tag(LegacyTag::Attestations), ENVELOPE, &attestation),
        put(of_sbom, SIMPLE_SIGNING, &simple_signing(&sbom.digest)),
        sbom,
    ]
}

/// Signs an image with the program.
#[track_caller]
pub fn sign(world: &World, image: &Image) {
    let run = world.keyless("sign -q").arg(image.by_digest());
    run.run().exits(0);
}

/// A registry with the API and one without.
pub fn both(world: &World) -> [OwnRegistry; 2] {
    [RegistryMode::default(), RegistryMode::without_referrers()]
        .map(|mode| OwnRegistry::start(world, mode))
}

fn tree(world: &World, image: &str) -> Value {
    let run = world.keyless("tree --output json").arg(image).run();
    run.exits(0).json()
}

#[test]
fn everything_attached_is_shown_with_what_it_says_of_itself() {
    for (own, place) in both(&World::new())
        .iter()
        .zip(["referrers-api", "fallback-tag"])
    {
        let world = World::new();
        let image = own.image("v1");
        sign(&world, &image);
        let [signatures, attestations, of_sbom, sbom] =
            put_legacy(&own.registry, &image.descriptor);
        let shown = tree(&world, &image.by_tag());
        assert_eq!(shown["verified"], false);
        assert_eq!(shown["result"], "shown");
        assert_eq!(shown["reference"], image.by_digest());
        let attached = shown["manifest"]["attached"].as_array().unwrap();
        let of = |n: usize| {
            let one = &attached[n];
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            (text("kind"), text("purpose"), text("place"))
        };
        let row = |kind: &str, purpose: &str, place: &str| {
            (kind.to_owned(), purpose.to_owned(), place.to_owned())
        };
        assert_eq!(attached.len(), 4);
        assert_eq!(of(0), row("bundle", "signature", place));
        assert_eq!(of(1), row("legacy-signatures", "signature", "legacy-tag"));
        assert_eq!(
            of(2),
            row("legacy-attestations", "attestation", "legacy-tag")
        );
        assert_eq!(of(3), row("sbom", "sbom", "legacy-tag"));
        assert_eq!(
            attached[0]["predicateTypes"],
            json!(["https://sigstore.dev/cosign/sign/v1"])
        );
        assert_eq!(
            attached[0]["manifest"]["artifactType"],
            "application/vnd.dev.sigstore.bundle.v0.3+json"
        );
        assert_eq!(
            attached[1]["manifest"]["digest"],
            signatures.digest.to_string()
        );
        assert_eq!(attached[2]["predicateTypes"], json!(["https://p.test/v1"]));
        assert_eq!(
            attached[2]["manifest"]["digest"],
            attestations.digest.to_string()
        );
        assert_eq!(attached[3]["manifest"]["digest"], sbom.digest.to_string());
        let below = &attached[3]["manifest"]["attached"];
        assert_eq!(below[0]["manifest"]["digest"], of_sbom.digest.to_string());
        let text = world.keyless("tree").arg(image.by_tag()).run().exits(0);
        let text = text
            .shows(&image.by_digest())
            .shows("not verified")
            .shows(&signatures.digest.to_string())
            .shows(&of_sbom.digest.to_string());
        assert_eq!(text.stdout.lines().count(), 7, "{text:#?}");
    }
}

#[test]
fn the_images_of_an_index_are_shown_when_asked_for() {
    let world = World::new();
    let child = world.image("v1");
    sign(&world, &child);
    let host = world.host(Service::Registry);
    let index = put_index(world.sandbox.registry(), &host, "index", &[&child]);
    let shown = tree(&world, &index.by_tag());
    assert_eq!(shown["manifest"]["children"], json!([]));
    assert_eq!(shown["manifest"]["attached"], json!([]));
    let text = world.keyless("tree").arg(index.by_tag()).run().exits(0);
    text.shows("--recursive").shows("nothing is attached");
    let run = world.keyless("tree --recursive --output json");
    let shown = run.arg(index.by_tag()).run().exits(0).json();
    let below = &shown["manifest"]["children"][0];
    assert_eq!(below["digest"], child.descriptor.digest.to_string());
    assert_eq!(below["attached"][0]["kind"], "bundle");
}

#[test]
fn what_a_list_says_is_not_what_is_believed() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::without_referrers());
    let (image, other) = (own.image("v1"), own.image("v2"));
    let true_one = put_artifact(&own.registry, None, "a/b", "x", Some(&image.descriptor));
    // cosign's wrong type; somebody else's referrer; an image; something that is not there.
    let stray = put_artifact(&own.registry, None, "c/d", "y", Some(&other.descriptor));
    let gone = Descriptor::of(OCI_MANIFEST, b"gone");
    let mut listed = [
        true_one.clone(),
        stray.clone(),
        other.descriptor.clone(),
        gone.clone(),
    ];
    for entry in &mut listed {
        entry.artifact_type = Some(EMPTY_CONFIG.to_owned());
    }
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed });
    let tag = fallback_tag(&image.descriptor.digest);
    own.registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, index.to_string())
        .unwrap();
    let run = world
        .keyless("tree --output json")
        .arg(image.by_tag())
        .run();
    let run = run.exits(0).says("is listed and not there");
    let shown = run.json();
    let attached = shown["manifest"]["attached"].as_array().unwrap();
    let types: Vec<&Value> = attached
        .iter()
        .map(|a| &a["manifest"]["artifactType"])
        .collect();
    assert_eq!(types[..2], [&json!("a/b"), &json!("c/d")]);
    let refers: Vec<&Value> = attached.iter().map(|a| &a["refersToSubject"]).collect();
    assert_eq!(refers, [&json!(true), &json!(false), &json!(false)]);
    let problems = &shown["manifest"]["problems"];
    assert_eq!(problems[0]["what"], gone.digest.to_string());
    assert_eq!(problems[0]["error"]["code"], "registry-object-missing");
    let text = world.keyless("tree").arg(image.by_tag()).run().exits(0);
    text.shows("REFERS TO SOMETHING ELSE");
}

#[test]
fn what_cannot_be_looked_at_is_a_problem_and_the_exit_code() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    let tag = LegacyTag::Signatures.tag(&image.descriptor.digest);
    registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_MANIFEST, "no manifest")
        .unwrap();
    let run = world
        .keyless("tree --output json")
        .arg(image.by_tag())
        .run();
    let run = run.exits(22).says("unusable manifest");
    let problems = &run.json()["manifest"]["problems"];
    assert_eq!(problems[0]["what"], tag);
    assert_eq!(problems[0]["error"]["code"], "registry-document-unusable");
    let none = format!("{}:none", image.repository);
    let run = world.keyless("tree --output json").arg(none).run();
    run.fails(11, "no-such-image");
}

#[test]
fn places_are_told_without_looking_whether_anything_is_there() {
    let world = World::new();
    let image = world.image("v1");
    let digest = image.descriptor.digest;
    let hex = digest.hex();
    for (kind, place) in [
        ("signature", format!(":sha256-{hex}.sig")),
        ("attestation", format!(":sha256-{hex}.att")),
        ("sbom", format!(":sha256-{hex}.sbom")),
        ("referrers", format!(":sha256-{hex}")),
        ("digest", format!("@{digest}")),
    ] {
        let place = format!("{}{place}", image.repository);
        let before = world.count(Service::Registry);
        let run = world.keyless("triangulate --type").arg(kind);
        let run = run.arg(image.by_digest()).run().exits(0);
        assert_eq!(run.stdout, format!("{place}\n"));
        assert_eq!(world.count(Service::Registry), before);
        let run = world.keyless("triangulate --output json --type").arg(kind);
        let run = run.arg(image.by_tag()).run().exits(0);
        assert_eq!(run.json()["place"], place);
        assert_eq!(run.json()["type"], kind);
    }
    let run = world.keyless("triangulate").arg(image.by_digest()).run();
    run.exits(0).shows(".sig");
    let none = format!("{}:none", image.repository);
    let run = world.keyless("triangulate --output json").arg(none).run();
    run.fails(11, "no-such-image");
    let elsewhere = format!("{}/signatures", world.host(Service::Registry));
    let run = world.keyless("triangulate").arg(image.by_digest());
    let run = run.env("COSIGN_REPOSITORY", &elsewhere).run().exits(0);
    run.shows(&format!("{elsewhere}:sha256-{hex}.sig"));
}

#[test]
fn referrers_of_referrers_end_somewhere() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    let chain = |length: usize| {
        let mut subject = image.descriptor.clone();
        for n in 0..length {
            let content = format!("{length}: {n}");
            subject = put_artifact(registry, None, "a/b", &content, Some(&subject));
        }
    };
    chain(8);
    let mut shown = tree(&world, &image.by_tag())["manifest"].clone();
    let mut depth = 0;
    while let Some(below) = shown["attached"].get(0) {
        shown = below["manifest"].clone();
        depth += 1;
    }
    assert_eq!(depth, 8);
    chain(9);
    let run = world
        .keyless("tree --output json")
        .arg(image.by_tag())
        .run();
    run.fails(42, "registry-too-many");
}
