//! `keyless verify --local-image`: images in folders, judged without any registry.

use std::fs;

use serde_json::Value;

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
