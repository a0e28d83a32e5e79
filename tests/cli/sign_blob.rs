//! `keyless sign-blob`.

use std::io::{BufRead as _, BufReader};

use keyless::sandbox::{RekorVersion, Service};

use crate::support::{IDENTITY, Keyless, World, sha256, wait};

#[test]
fn a_file_is_signed_beside_itself() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &[]);
        world.write("file", "content");
        let run = world.keyless("sign-blob file --output json").run().exits(0);
        let blob = &run.json()["blobs"][0];
        assert_eq!(blob["bundle"], "file.sigstore.json");
        assert_eq!(blob["digest"], sha256("content"));
        assert_eq!(blob["signature"]["signer"]["identity"], IDENTITY);
        assert_eq!(world.files(), ["file", "file.sigstore.json"]);
        let bundle: serde_json::Value =
            serde_json::from_str(&world.read("file.sigstore.json")).unwrap();
        assert_eq!(
            bundle["mediaType"],
            "application/vnd.dev.sigstore.bundle.v0.3+json"
        );
        assert!(bundle["messageSignature"]["signature"].is_string());
        world
            .keyless("verify-blob file")
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

#[test]
fn several_files_share_one_certificate() {
    let world = World::new();
    let names = ["a", "b", "c"];
    for name in names {
        world.write(name, format!("content of {name}"));
    }
    let run = world
        .keyless("sign-blob a b c --output json")
        .run()
        .exits(0);
    assert_eq!(run.json()["blobs"].as_array().unwrap().len(), 3);
    assert_eq!(world.count(Service::Fulcio), 1);
    assert_eq!(world.entries_made(), 3);
    for name in names {
        world
            .keyless("verify-blob")
            .arg(name)
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

#[test]
fn an_existing_bundle_is_replaced_only_when_asked() {
    let world = World::new();
    world.write("file", "content");
    world.write("file.sigstore.json", "theirs");
    world
        .keyless("sign-blob file --output json")
        .run()
        .fails(3, "file-exists")
        .says("--overwrite");
    assert_eq!(world.read("file.sigstore.json"), "theirs");
    assert_eq!(world.counts().total(), 0);
    world.keyless("sign-blob file --overwrite").run().exits(0);
    assert!(
        world
            .read("file.sigstore.json")
            .contains("messageSignature")
    );
    assert_eq!(world.files(), ["file", "file.sigstore.json"]);
}

#[test]
fn one_existing_bundle_of_several_stops_all() {
    let world = World::new();
    world.write("a", "a");
    world.write("b", "b");
    world.write("b.sigstore.json", "theirs");
    world.keyless("sign-blob a b").run().exits(3);
    assert_eq!(world.counts().total(), 0);
    assert_eq!(world.files(), ["a", "b", "b.sigstore.json"]);
}

#[test]
fn one_place_for_two_bundles_is_usage() {
    let world = World::new();
    world.write("a", "a");
    for arguments in [
        "sign-blob a a",
        "sign-blob a ./a",
        "sign-blob a b --bundle x",
        "sign-blob a --bundle x --output-file x",
    ] {
        world.write("b", "b");
        let run = world
            .keyless(arguments)
            .args(["--output", "json"])
            .run()
            .exits(2);
        assert!(run.stderr.contains("error: "), "{run:#?}");
        assert_eq!(world.counts().total(), 0, "{arguments}");
        assert_eq!(
            world
                .files()
                .iter()
                .filter(|f| f.contains("sigstore"))
                .count(),
            0
        );
    }
}

#[test]
fn a_failed_signing_leaves_the_old_bundle_and_no_other_file() {
    let world = World::with(&["rekor-garbage"]);
    world.write("file", "content");
    world.write("file.sigstore.json", "theirs");
    world.keyless("sign-blob file --overwrite").run().exits(42);
    assert_eq!(world.read("file.sigstore.json"), "theirs");
    assert_eq!(world.files(), ["file", "file.sigstore.json"]);
}

#[test]
fn unwritable_output_is_found_before_any_request() {
    let world = World::new();
    world.write("file", "content");
    world.write("plain", "");
    for path in ["no/such/folder/b.json", "plain/b.json", "."] {
        world
            .keyless("sign-blob file --output json --bundle")
            .arg(path)
            .run()
            .fails(3, "file-unwritable");
    }
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn unreadable_input_is_found_before_any_certificate() {
    let world = World::new();
    std::fs::create_dir(world.path("folder")).unwrap();
    world
        .keyless("sign-blob absent --output json")
        .run()
        .fails(3, "file-not-found");
    world
        .keyless("sign-blob folder --output json")
        .run()
        .fails(3, "file-unreadable");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert!(world.files().is_empty());
}

#[test]
fn standard_input_and_digests_need_a_name_for_the_bundle() {
    let world = World::new();
    let digest = sha256("content");
    for blob in ["-", &digest] {
        world
            .keyless("sign-blob --output json")
            .arg(blob)
            .run()
            .fails(2, "usage-conflict");
    }
    assert_eq!(world.counts().total(), 0);
    for (blob, bundle) in [("-", "stdin.json"), (digest.as_str(), "digest.json")] {
        let run = world
            .keyless("sign-blob --output json --bundle")
            .args([bundle, blob])
            .stdin("content")
            .run()
            .exits(0);
        assert_eq!(run.json()["blobs"][0]["digest"], digest);
        for verified in ["-", &digest] {
            world
                .keyless("verify-blob --bundle")
                .args([bundle, verified])
                .args(world.expecting())
                .stdin("content")
                .run()
                .exits(0);
        }
    }
}

#[test]
fn a_digest_that_is_not_sha256_is_usage() {
    let world = World::new();
    world
        .keyless("sign-blob --bundle b.json --output json")
        .arg(format!("sha512:{}", "00".repeat(64)))
        .run()
        .fails(2, "digest-algorithm");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert!(world.files().is_empty());
}

#[test]
fn five_megabytes() {
    let world = World::new();
    let content: Vec<u8> = (0..5 << 20).map(|i: u32| (i % 251) as u8).collect();
    world.write("file", &content);
    let run = world.keyless("sign-blob file --output json").run().exits(0);
    assert_eq!(run.json()["blobs"][0]["digest"], sha256(&content));
    world
        .keyless("verify-blob file")
        .args(world.expecting())
        .run()
        .exits(0);
}

#[test]
fn confirmation_flags_of_scripts_are_accepted() {
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob -y file").run().exits(0);
    world
        .keyless("sign-blob --yes --overwrite file")
        .run()
        .exits(0);
}

/// Runs a signing on a slow Fulcio and has its bundle's place taken meanwhile.
fn outrun(world: &World, run: Keyless<'_>, place: &str) -> (Option<i32>, String) {
    let mut child = run.command().spawn().unwrap();
    drop(child.stdin.take());
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let begun = lines.find(|line| line.as_ref().unwrap().starts_with("requesting"));
    assert!(begun.is_some());
    world.write(place, "theirs");
    wait(&mut child, "sign");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    (child.wait().unwrap().code(), rest.join("\n"))
}

/// The file that an error names for a bundle.
fn kept(stderr: &str) -> &str {
    let line = stderr
        .lines()
        .find_map(|line| line.strip_prefix("  bundle: "));
    line.unwrap_or_else(|| panic!("{stderr}"))
}

#[test]
fn a_bundle_whose_place_was_taken_meanwhile_is_kept() {
    let world = World::with(&["fulcio-slow=0.5"]);
    world.write("a", "content");
    world.write("b", "content of b");
    let (code, stderr) = outrun(&world, world.keyless("sign-blob a b"), "a.sigstore.json");
    assert_eq!(code, Some(3), "{stderr}");
    assert_eq!(world.read("a.sigstore.json"), "theirs");
    assert!(!stderr.contains("no bundle was written"), "{stderr}");
    let verify = |arguments: [&str; 2]| {
        world
            .keyless("verify-blob")
            .args(arguments)
            .args(world.expecting())
            .run()
            .exits(0)
    };
    verify(["a", &format!("--bundle={}", kept(&stderr).trim_start())]);
    verify(["b", "--bundle=b.sigstore.json"]);

    let image = world.image("v1");
    let sign = world
        .keyless("sign --bundle app.json")
        .arg(image.by_digest());
    let (code, stderr) = outrun(&world, sign, "app.json");
    assert_eq!(code, Some(3), "{stderr}");
    assert_eq!(world.registry_writes(), 0);
    world
        .keyless("attach bundle")
        .args([&image.by_digest(), kept(&stderr).trim_start()])
        .args(world.expecting())
        .run()
        .exits(0);
}

/// On Rekor v2 such a signature could be put into an envelope and pass for that of the statement within.
#[test]
fn what_an_envelope_signs_is_not_signed_as_a_file() {
    let world = World::start(RekorVersion::V2, &[]);
    world.write("file", "DSSEv1 28 application/vnd.in-toto+json 2 {}");
    let run = world.keyless("sign-blob file --output json").run();
    run.fails(21, "blob-is-pre-auth-encoding");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.files(), ["file"]);
}
