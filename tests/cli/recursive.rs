//! `keyless verify --recursive`, `--platform` and `--accept-listed`: an index and the images in it.

use keyless::format::oci::{Descriptor, OCI_INDEX};
use keyless::sandbox::TokenRequest;
use serde_json::{Value, json};

use crate::support::{Image, REPOSITORY, Run, World};

/// An index of two images, for amd64 and arm64.
struct Tree {
    world: World,
    index: Image,
    amd: Image,
    arm: Image,
}

impl Tree {
    fn new() -> Self {
        let world = World::new();
        let (amd, arm) = (world.image("amd"), world.image("arm"));
        let child = |image: &Image, architecture: &str, variant: Option<&str>| {
            let mut child = json!(image.descriptor);
            child["platform"] = json!({ "os": "linux", "architecture": architecture });
            if let Some(variant) = variant {
                child["platform"]["variant"] = variant.into();
            }
            child
        };
        let text = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [child(&amd, "amd64", None), child(&arm, "arm64", Some("v8"))],
        })
        .to_string();
        world
            .sandbox
            .registry()
            .put_manifest(REPOSITORY, Some("all"), OCI_INDEX, text.clone())
            .unwrap();
        let index = Image {
            repository: amd.repository.clone(),
            tag: "all".to_owned(),
            descriptor: Descriptor::of(OCI_INDEX, text.as_bytes()),
        };
        Tree {
            world,
            index,
            amd,
            arm,
        }
    }

    fn sign(&self, image: &Image, flags: &[&str]) {
        let world = &self.world;
        let run = world.keyless("sign").arg(image.by_digest()).args(flags);
        run.run().exits(0);
    }

    fn verify(&self, flags: &str) -> (Run, Vec<Value>) {
        let run = self
            .world
            .keyless("verify --output json")
            .arg(self.index.by_digest())
            .args(self.world.expecting())
            .args(flags.split_whitespace())
            .run();
        let images = run.json()["images"].as_array().cloned();
        (run, images.unwrap_or_default())
    }
}

fn digests(images: &[Value]) -> Vec<&str> {
    images
        .iter()
        .map(|image| image["digest"].as_str().unwrap_or("none"))
        .collect()
}

#[test]
fn an_index_and_each_image_in_it_are_judged() {
    let tree = Tree::new();
    tree.sign(&tree.index, &["--recursive"]);
    let (run, images) = tree.verify("--recursive");
    run.exits(0);
    let all = [&tree.index, &tree.amd, &tree.arm].map(|image| image.descriptor.digest.to_string());
    assert_eq!(digests(&images), all);
    assert_eq!(images[0]["listedBy"], Value::Null);
    let listed = &images[2]["listedBy"];
    assert_eq!(listed["index"], all[0]);
    assert_eq!(listed["platform"], "linux/arm64/v8");
    assert_eq!(listed["isEnough"], false);
    assert_eq!(images[2]["signatures"].as_array().unwrap().len(), 1);
    // Without it, the index alone.
    assert_eq!(tree.verify("").1.len(), 1);
}

#[test]
fn an_index_alone_is_not_enough_unless_that_is_asked() {
    let tree = Tree::new();
    tree.sign(&tree.index, &[]);
    let (run, images) = tree.verify("--recursive");
    let run = run.exits(10).says("only the index that lists it is signed");
    assert_eq!(images[0]["result"], "accepted");
    for child in &images[1..] {
        assert_eq!(child["result"], "refused");
        assert_eq!(child["error"]["code"], "no-signature");
    }
    drop(run);
    let (run, images) = tree.verify("--recursive --accept-listed");
    run.exits(0);
    for child in &images[1..] {
        assert_eq!(child["result"], "accepted");
        assert_eq!(child["signatures"], json!([]));
        assert_eq!(child["listedBy"]["isEnough"], true);
    }
}

#[test]
fn an_index_that_is_not_accepted_speaks_for_nobody() {
    let tree = Tree::new();
    tree.sign(&tree.amd, &[]);
    let (run, images) = tree.verify("--recursive --accept-listed");
    run.exits(10);
    let results: Vec<&Value> = images.iter().map(|image| &image["result"]).collect();
    assert_eq!(results, ["refused", "accepted", "refused"]);
}

#[test]
fn an_image_signed_by_somebody_else_is_not_taken_with_its_index() {
    let tree = Tree::new();
    tree.sign(&tree.index, &[]);
    let token = tree.world.token(&TokenRequest::new("eve@example.test"));
    tree.sign(&tree.arm, &["--identity-token", &token]);
    let (run, images) = tree.verify("--recursive --accept-listed");
    run.exits(12);
    assert_eq!(images[1]["result"], "accepted");
    assert_eq!(images[2]["error"]["code"], "identity-mismatch");
}

#[test]
fn a_platform_is_judged_by_itself() {
    let tree = Tree::new();
    tree.sign(&tree.arm, &[]);
    for platform in ["linux/arm64", "linux/arm64/v8"] {
        let (run, images) = tree.verify(&format!("--platform {platform}"));
        run.exits(0);
        assert_eq!(digests(&images), [tree.arm.descriptor.digest.to_string()]);
    }
    let (run, images) = tree.verify("--platform linux/amd64");
    run.exits(10);
    assert_eq!(digests(&images), [tree.amd.descriptor.digest.to_string()]);
    let (run, images) = tree.verify("--platform linux/arm64 --recursive");
    run.exits(10);
    assert_eq!(images.len(), 2, "the index too");
    for absent in ["linux/riscv64", "linux/arm64/v7", "windows/amd64"] {
        let (run, images) = tree.verify(&format!("--platform {absent}"));
        run.exits(11).says("linux/amd64, linux/arm64/v8");
        assert_eq!(images[0]["error"]["code"], "platform-not-found");
    }
    for bad in ["linux", "linux/", "a/b/c/d"] {
        let world = &tree.world;
        let run = world.keyless("verify --platform").arg(bad);
        let run = run.arg(tree.index.by_digest()).args(world.expecting());
        run.run().exits(2).says("is not OS/ARCHITECTURE");
    }
    // An image that is no index has no platforms to choose from.
    tree.world
        .keyless("verify --platform linux/arm64")
        .arg(tree.arm.by_digest())
        .args(tree.world.expecting())
        .run()
        .exits(11);
}

#[test]
fn what_is_listed_is_only_taken_where_it_is_looked_at() {
    let tree = Tree::new();
    tree.sign(&tree.index, &[]);
    tree.verify("--accept-listed").0.fails(2, "usage-conflict");
    let (run, images) = tree.verify("--platform linux/amd64 --accept-listed");
    run.exits(0);
    assert_eq!(images.len(), 2, "the index that it is taken with, too");
}

#[test]
fn an_index_in_an_index_is_looked_into() {
    let tree = Tree::new();
    let outer = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [tree.index.descriptor, tree.amd.descriptor],
    })
    .to_string();
    let registry = tree.world.sandbox.registry();
    registry
        .put_manifest(REPOSITORY, Some("outer"), OCI_INDEX, outer)
        .unwrap();
    let outer = format!("{}:outer", tree.index.repository);
    tree.world
        .keyless("sign --recursive")
        .arg(&outer)
        .run()
        .exits(0);
    let run = tree
        .world
        .keyless("verify --recursive --output json")
        .arg(&outer)
        .args(tree.world.expecting())
        .run()
        .exits(0);
    assert_eq!(run.json()["images"].as_array().unwrap().len(), 4);
}

#[test]
fn indexes_in_indexes_end_somewhere() {
    let tree = Tree::new();
    let registry = tree.world.sandbox.registry();
    let mut inner = tree.index.descriptor.clone();
    for level in 0..10 {
        let outer = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX,
            "manifests": [inner], "annotations": { "level": level.to_string() },
        })
        .to_string();
        inner = Descriptor::of(OCI_INDEX, outer.as_bytes());
        registry
            .put_manifest(REPOSITORY, Some("deep"), OCI_INDEX, outer)
            .unwrap();
    }
    for command in ["verify", "sign"] {
        let run = tree
            .world
            .keyless(command)
            .args(["--recursive", "--output", "json"])
            .arg(format!("{}:deep", tree.index.repository));
        let run = match command {
            "verify" => run.args(tree.world.expecting()),
            _ => run,
        };
        let document = run.run().exits(42).json();
        let error = match command {
            "verify" => &document["images"][0]["error"],
            _ => &document["error"],
        };
        assert_eq!(error["code"], "registry-too-many", "{document:#}");
    }
}

/// Puts an index of these entries, each a signed image or one that is not, by platform.
fn index_of(world: &World, entries: &[(&Image, Value)]) -> String {
    let children: Vec<Value> = entries
        .iter()
        .map(|(image, platform)| {
            let mut child = json!(image.descriptor);
            if !platform.is_null() {
                child["platform"] = platform.clone();
            }
            child
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children });
    let registry = world.sandbox.registry();
    registry
        .put_manifest(REPOSITORY, Some("all"), OCI_INDEX, index.to_string())
        .unwrap();
    format!("{}:all", entries[0].0.repository)
}

#[test]
fn every_image_that_may_be_pulled_for_a_platform_is_judged() {
    let world = World::new();
    let (good, bad) = (world.image("good"), world.image("bad"));
    world.keyless("sign").arg(good.by_digest()).run().exits(0);
    let platform = |os: &str, architecture: &str, variant: Option<&str>| {
        let mut platform = json!({ "os": os, "architecture": architecture });
        if let Some(variant) = variant {
            platform["variant"] = variant.into();
        }
        platform
    };
    let verify = |index: &str, wanted: &str| {
        let run = world.keyless("verify --output json --platform").arg(wanted);
        run.arg(index).args(world.expecting()).run()
    };
    // The second is what some puller may be given in place of the first.
    for (wanted, first, second) in [
        (
            "linux/amd64",
            platform("linux", "amd64", None),
            platform("linux", "x86_64", None),
        ),
        (
            "linux/amd64",
            platform("linux", "amd64", None),
            platform("Linux", "amd64", None),
        ),
        (
            "linux/x86_64",
            platform("linux", "amd64", None),
            platform("linux", "x86_64", None),
        ),
        (
            "linux/arm64",
            platform("linux", "arm64", None),
            platform("linux", "arm64", Some("v8")),
        ),
        (
            "linux/arm64",
            platform("linux", "arm64", Some("v8")),
            platform("linux", "aarch64", None),
        ),
        (
            "linux/arm/v7",
            platform("linux", "arm", Some("v7")),
            platform("linux", "armhf", None),
        ),
        (
            "linux/arm64",
            platform("linux", "aarch64", None),
            Value::Null,
        ),
        ("linux/amd64", Value::Null, platform("linux", "amd64", None)),
        ("linux/riscv64", Value::Null, Value::Null),
    ] {
        let index = index_of(&world, &[(&good, first.clone()), (&bad, second.clone())]);
        let run = verify(&index, wanted).exits(10);
        let images = run.json()["images"].as_array().unwrap().clone();
        assert_eq!(images.len(), 2, "{wanted} {first} {second}");
        for image in &images {
            assert_eq!(
                image["listedBy"]["takenFor"],
                json!([{ "platform": wanted, "images": 2 }])
            );
        }
        let run = world.keyless("verify --platform").arg(wanted).arg(&index);
        let run = run.args(world.expecting()).run().exits(10);
        run.says(&format!("one of 2 images that may be pulled for {wanted}"));
    }
    // Listed for another platform, and again for the one that is asked for.
    let (amd, arm) = (
        platform("linux", "amd64", None),
        platform("linux", "arm64", None),
    );
    let index = index_of(&world, &[(&good, amd.clone()), (&bad, amd), (&bad, arm)]);
    let images = verify(&index, "linux/arm64").exits(10).json()["images"].clone();
    assert_eq!(images.as_array().unwrap().len(), 1);
    // One image that is written for a smaller machine, where the index has no other.
    let index = index_of(&world, &[(&good, platform("linux", "386", None))]);
    let images = verify(&index, "linux/amd64").exits(0).json()["images"].clone();
    assert_eq!(images[0]["listedBy"]["takenFor"][0]["images"], 1);
}

#[test]
fn an_index_that_two_readers_read_differently_is_refused() {
    let world = World::new();
    let image = world.image("good");
    let entry = json!(image.descriptor);
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{entry}],"Manifests":[]}}"#
    );
    let registry = world.sandbox.registry();
    registry
        .put_manifest(REPOSITORY, Some("all"), OCI_INDEX, text)
        .unwrap();
    let run = world.keyless("verify --recursive --output json");
    let run = run.arg(format!("{}:all", image.repository));
    run.args(world.expecting()).run().says("ignore case");
}

#[test]
fn indexes_in_an_index_are_bounded_in_bytes() {
    let world = World::new();
    let registry = world.sandbox.registry();
    let inner: Vec<Descriptor> = (0..20)
        .map(|n| {
            let text = json!({
                "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [],
                "annotations": { "filled": format!("{n}{}", "x".repeat(3_500_000)) },
            })
            .to_string();
            let descriptor = Descriptor::of(OCI_INDEX, text.as_bytes());
            registry
                .put_manifest(REPOSITORY, None, OCI_INDEX, text)
                .unwrap();
            descriptor
        })
        .collect();
    let image = world.image("v1");
    let index = |inner: &[Descriptor]| {
        let text = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": inner });
        registry
            .put_manifest(REPOSITORY, Some("filled"), OCI_INDEX, text.to_string())
            .unwrap();
        format!("{}:filled", image.repository)
    };
    for flags in ["verify --recursive", "verify --platform linux/amd64"] {
        let run = world.keyless(flags).args(["--output", "json"]);
        let run = run.arg(index(&inner)).args(world.expecting()).run();
        let error = run.exits(42).json()["images"][0]["error"].clone();
        assert_eq!(error["code"], "registry-too-many");
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("bytes of indexes")
        );
    }
    for command in [
        "sign --recursive --output json",
        "attest --recursive --type custom --predicate p.json --output json",
    ] {
        world.write("p.json", "{}");
        let run = world.keyless(command).arg(index(&inner)).run();
        run.fails(42, "registry-too-many");
    }
    // What is within the bound is looked into.
    let run = world.keyless("sign --recursive").arg(index(&inner[..2]));
    run.run().exits(0);
}
