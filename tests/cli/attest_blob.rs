//! `keyless attest-blob` and `keyless verify-blob-attestation`.

use keyless::crypto::Digest;
use keyless::format::statement::raw_predicate;
use keyless::sandbox::{RekorVersion, Service};
use serde_json::{Value, json};

use crate::attest::{genuine, payload};
use crate::support::{IDENTITY, Run, World};

/// Attests the file `app` with the bundle `app.bundle`.
fn attested(world: &World, predicate_type: &str) {
    world.write("app", "content of app");
    world.write("predicate", genuine(predicate_type));
    world
        .keyless("attest-blob app --predicate predicate --bundle app.bundle --overwrite --type")
        .arg(predicate_type)
        .run()
        .exits(0)
        .shows("attested app")
        .shows("bundle     app.bundle");
}

fn verify(world: &World, arguments: &str) -> Run {
    world
        .keyless("verify-blob-attestation --output json --bundle app.bundle")
        .args(world.expecting())
        .args(arguments.split_whitespace())
        .run()
}

#[test]
fn a_file_is_attested_and_verified_under_both_logs() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &[]);
        attested(&world, "slsaprovenance1");
        let payload = payload(&world, "app.bundle");
        assert_eq!(
            raw_predicate(&payload),
            Some(genuine("slsaprovenance1").as_str())
        );
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let digest = Digest::sha256(b"content of app");
        assert_eq!(
            statement["subject"],
            json!([{ "name": "app", "digest": { "sha256": digest.hex() } }])
        );
        let run = verify(&world, "app --type slsaprovenance1").exits(0);
        let document = run.json();
        assert_eq!(document["blobs"][0]["blob"], "app");
        assert_eq!(
            document["blobs"][0]["signature"]["signer"]["identity"],
            IDENTITY
        );
        assert_eq!(
            document["attestations"][0]["predicate"]["runDetails"]["builder"]["id"],
            "https://builder.test"
        );
        verify(&world, &format!("{digest} --type slsaprovenance1")).exits(0);
        verify(
            &world,
            &format!("--digest {} --type slsaprovenance1", digest.hex()),
        )
        .exits(0);
        verify(
            &world,
            &format!(
                "--digest {} --digestAlg sha256 --type slsaprovenance1",
                digest.hex()
            ),
        )
        .exits(0);
        let run = world
            .keyless("verify-blob-attestation app --bundle app.bundle --type slsaprovenance1 --output predicate")
            .args(world.expecting())
            .run()
            .exits(0)
            .says("verified app");
        assert_eq!(run.stdout, format!("{}\n", genuine("slsaprovenance1")));
    }
}

#[test]
fn another_file_type_signer_or_digest_is_refused() {
    let world = World::new();
    attested(&world, "vuln");
    world.write("other", "other content");
    let hex = Digest::sha256(b"content of app").hex();
    for (arguments, exit, code) in [
        ("other --type vuln", 21, "artifact-mismatch"),
        ("app --type slsaprovenance1", 10, "predicate-type-mismatch"),
        ("app", 10, "predicate-type-mismatch"),
        (
            "app --type vuln --require scanner.version=2",
            12,
            "predicate-refused",
        ),
        ("app other --type vuln", 21, "artifact-mismatch"),
        ("app --type vuln --log-threshold 2", 32, "log-threshold"),
        (
            "app --type vuln --timestamp-threshold 2",
            33,
            "timestamp-threshold",
        ),
        ("app --type vuln --sct-threshold 2", 34, "sct-threshold"),
        ("absent --type vuln", 3, "file-not-found"),
        ("app --type nonsense", 2, "predicate-type"),
        (
            "app --type vuln --max-attachment-size 1kB",
            3,
            "file-too-large",
        ),
        ("app --type vuln --check-claims=false", 2, "usage-conflict"),
    ] {
        verify(&world, arguments).fails(exit, code);
    }
    verify(&world, &format!("--type vuln --digest {}", "00".repeat(32)))
        .fails(21, "artifact-mismatch");
    verify(
        &world,
        &format!("--type vuln --digest {hex} --digest-alg sha512"),
    )
    .fails(2, "usage-conflict");
    verify(
        &world,
        &format!("--type vuln --digest {hex} --digest-alg sha1"),
    )
    .fails(2, "usage-conflict");
    verify(&world, "--type vuln --digest 00").fails(2, "usage-conflict");
    verify(&world, &format!("app --type vuln --digest {hex}")).exits(2);
    verify(&world, "--type vuln").exits(2);
    let run = world
        .keyless("verify-blob-attestation app --output json --bundle app.bundle --type vuln")
        .args(world.expecting_of("other@example.test"))
        .run()
        .fails(12, "identity-mismatch");
    let document = run.json();
    let command = document["acceptingCommand"].as_str().unwrap();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    world.keyless("").args(words).run().exits(0);
    world
        .keyless("verify-blob-attestation app --output json --bundle app.bundle --type vuln")
        .run()
        .fails(2, "usage-identity-missing")
        .says(IDENTITY);
}

#[test]
fn a_signature_is_no_attestation_and_an_attestation_no_signature() {
    let world = World::new();
    attested(&world, "vuln");
    world
        .keyless("sign-blob app --bundle signature.bundle")
        .run()
        .exits(0);
    world
        .keyless("verify-blob-attestation app --output json --bundle signature.bundle --type vuln")
        .args(world.expecting())
        .run()
        .fails(10, "not-an-attestation");
    world
        .keyless("verify-blob app --output json --bundle app.bundle")
        .args(world.expecting())
        .run()
        .fails(10, "not-a-signature");
}

#[test]
fn several_files_are_subjects_of_one_statement() {
    let world = World::new();
    std::fs::create_dir(world.path("dist")).unwrap();
    world.write("dist/one", "1");
    world.write("two", "2");
    let three = Digest::sha256(b"3");
    let run = world
        .keyless(
            "attest-blob --output json dist/one two --type vuln --predicate - --bundle app.bundle",
        )
        .arg(three.to_string())
        .stdin(genuine("vuln"))
        .run()
        .exits(0);
    assert_eq!(run.json()["blobs"].as_array().unwrap().len(), 3);
    assert_eq!(world.counts().rekor(), 1);
    let statement: Value = serde_json::from_slice(&payload(&world, "app.bundle")).unwrap();
    let names: Vec<&Value> = statement["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["name"])
        .collect();
    assert_eq!(names, ["one", "two", ""]);
    let run = verify(&world, &format!("dist/one two {three} --type vuln")).exits(0);
    assert_eq!(run.json()["blobs"].as_array().unwrap().len(), 3);
    assert_eq!(run.json()["attestations"].as_array().unwrap().len(), 1);
    world.write("four", "4");
    verify(&world, "dist/one four --type vuln").fails(21, "artifact-mismatch");
}

#[test]
fn a_file_that_is_elsewhere_is_attested_by_its_digest() {
    let world = World::new();
    world.write("predicate", genuine("vuln"));
    let digest = Digest::sha256(b"elsewhere");
    for hash in [digest.to_string(), digest.hex()] {
        world
            .keyless("attest-blob folder/name --type vuln --predicate predicate --overwrite --bundle app.bundle --hash")
            .arg(&hash)
            .run()
            .exits(0);
        let statement: Value = serde_json::from_slice(&payload(&world, "app.bundle")).unwrap();
        assert_eq!(statement["subject"][0]["name"], "name");
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.hex());
        verify(&world, &format!("{digest} --type vuln")).exits(0);
    }
    let refused = |arguments: &[&str], code: &str| {
        world
            .keyless("attest-blob --output json --type vuln --predicate predicate --overwrite --bundle app.bundle")
            .args(arguments.iter().copied())
            .run()
            .fails(2, code);
    };
    refused(&["--hash", "sha256:00"], "usage-conflict");
    refused(&["--hash", "nonsense"], "usage-conflict");
    refused(&["a", "b", "--hash", &digest.hex()], "usage-conflict");
    let longer = keyless::crypto::HashAlgorithm::Sha512
        .digest(b"x")
        .to_string();
    refused(&["--hash", &longer], "digest-algorithm");
    refused(&[&longer], "digest-algorithm");
    let before = world.count(Service::Fulcio);
    assert_eq!(before, 2);
}

#[test]
fn a_whole_statement_is_about_the_file() {
    let world = World::new();
    world.write("app", "content of app");
    let digest = Digest::sha256(b"content of app");
    let whole = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "x", "digest": { "sha256": digest.hex() } }],
        "predicateType": "https://own.test/type",
        "predicate": { "n": 1 },
    });
    let text = format!("{whole:#}\n");
    world.write("statement", &text);
    let attest = |file: &str| {
        world
            .keyless(
                "attest-blob --output json --statement statement --overwrite --bundle app.bundle",
            )
            .arg(file)
            .run()
    };
    attest("app").exits(0);
    assert_eq!(payload(&world, "app.bundle"), text.as_bytes());
    verify(&world, "app --type https://own.test/type").exits(0);
    world.write("other", "other content");
    attest("other").fails(2, "statement-subject");
}

#[test]
fn nothing_is_made_of_what_is_refused() {
    let world = World::new();
    world.write("app", "content of app");
    world.write("predicate", r#"{"x":1}"#);
    let attest = |arguments: &str| {
        world
            .keyless("attest-blob --output json")
            .args(arguments.split_whitespace())
            .run()
    };
    attest("app --type slsaprovenance1 --predicate predicate --bundle b")
        .fails(2, "predicate-invalid");
    attest("absent --type https://own.test/x --predicate predicate --bundle b")
        .fails(3, "file-not-found");
    attest("- --type https://own.test/x --predicate - --bundle b").fails(2, "usage-conflict");
    attest("app --type https://own.test/x --predicate predicate --bundle b --output-file b")
        .exits(2);
    std::fs::remove_file(world.path("b")).unwrap();
    attest("app --type https://own.test/x --predicate predicate").exits(2);
    attest("app --type https://own.test/x --bundle b").exits(2);
    attest("--type https://own.test/x --predicate predicate --bundle b").exits(2);
    attest("app --replace --type https://own.test/x --predicate predicate --bundle b")
        .fails(2, "usage-conflict");
    attest("app --type https://own.test/x --predicate predicate --bundle app")
        .fails(3, "file-exists");
    // What is signed as a file could be passed off as a statement.
    world.write("encoding", "DSSEv1 4 type 2 {}");
    attest("encoding --type https://own.test/x --predicate predicate --bundle b")
        .fails(21, "blob-is-pre-auth-encoding");
    assert!(!world.files().contains(&"b".to_owned()));
    assert_eq!(world.count(Service::Fulcio), 0);
}

#[test]
fn a_large_predicate_is_attested_within_a_cap_that_is_raised() {
    let world = World::start(RekorVersion::V2, &[]);
    world.write("app", "content of app");
    let long = "x".repeat(9 << 20);
    world.write("large", format!("{{\"long\":\"{long}\"}}"));
    let attest = |flags: &str| {
        world
            .keyless("attest-blob app --output json --overwrite --bundle app.bundle --type https://own.test/x --predicate large")
            .args(flags.split_whitespace())
            .run()
    };
    attest("")
        .fails(3, "file-too-large")
        .says("--max-attachment-size");
    attest("--max-attachment-size 10MiB").fails(2, "bundle-too-large");
    attest("--max-attachment-size 16MiB").exits(0);
    verify(&world, "app --type https://own.test/x").fails(3, "file-too-large");
    let run = verify(
        &world,
        "app --type https://own.test/x --max-attachment-size 16MiB",
    )
    .exits(0);
    assert_eq!(run.json()["attestations"][0]["predicate"]["long"], long);
}

#[test]
fn a_trust_policy_says_whom_to_expect_of_files() {
    let world = World::new();
    attested(&world, "vuln");
    let rule = |identity: &str| {
        format!(
            "version = 1\n[[rule]]\nname = \"scan\"\nfiles = [\"app\"]\nrequires = [\"https://cosign.sigstore.dev/attestation/vuln/v1\"]\n[[rule.signer]]\nidentity = \"{identity}\"\nissuer = \"{}\"\n",
            world.sandbox.issuer()
        )
    };
    world.write("policy.toml", rule(IDENTITY));
    let judge = |flags: &str| {
        world
            .keyless("verify-blob-attestation app --output json --bundle app.bundle --policy policy.toml")
            .args(flags.split_whitespace())
            .run()
    };
    let run = judge("--type vuln").exits(0);
    assert_eq!(
        run.json()["attestations"][0]["predicate"]["scanner"]["uri"],
        "pkg:scanner"
    );
    judge("--type vuln --require scanner.version=2").fails(12, "predicate-refused");
    judge("--type custom").fails(15, "policy-no-rule");
    judge("other --type vuln").fails(2, "usage-conflict");
    judge("--type vuln --max-attachment-size 1kB").fails(3, "file-too-large");
    world.write("policy.toml", rule("other@example.test"));
    judge("--type vuln").fails(12, "identity-mismatch");
}
