//! `keyless attest`.

use keyless::crypto::Digest;
use keyless::format::predicate::NAMED;
use keyless::format::protojson::decode_base64;
use keyless::format::statement::raw_predicate;
use keyless::sandbox::{RekorVersion, Service};
use serde_json::{Value, json};

use crate::support::{IDENTITY, Image, OwnRegistry, World, put_index};

/// A genuine predicate of each type, with members that its type does not have.
pub fn genuine(name: &str) -> String {
    let value = match name {
        "slsaprovenance" | "slsaprovenance02" => json!({
            "builder": { "id": "https://builder.test" }, "buildType": "https://builder.test/type@v1",
            "materials": [{ "uri": "git+https://source.test", "digest": { "sha1": "00" } }],
        }),
        "slsaprovenance1" => json!({
            "buildDefinition": {
                "buildType": "https://builder.test/type@v1", "externalParameters": { "ref": "main" },
                "resolvedDependencies": [{ "uri": "git+https://source.test", "digest": { "sha256": "00" } }],
            },
            "runDetails": { "builder": { "id": "https://builder.test" }, "metadata": { "invocationId": "7" } },
        }),
        "link" => json!({
            "name": "build", "command": ["make"], "materials": {}, "byproducts": {}, "environment": {},
        }),
        "spdxjson" => json!({
            "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app", "dataLicense": "CC0-1.0",
            "documentNamespace": "https://sbom.test/app",
            "creationInfo": { "created": "2026-11-23T07:00:00Z", "creators": ["Tool: test"] }, "packages": [],
        }),
        "cyclonedx" => json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [],
        }),
        "vuln" => json!({
            "invocation": {}, "scanner": { "uri": "pkg:scanner", "version": "1", "db": {}, "result": { "high": 0 } },
            "metadata": { "scanStartedOn": "2026-11-23T07:00:00Z", "scanFinishedOn": "2026-11-23T07:01:00Z" },
        }),
        "openvex" => json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://vex.test/1", "author": "a",
            "timestamp": "2026-11-23T07:00:00Z", "version": 1,
            "statements": [{ "vulnerability": { "name": "CVE-2026-1" }, "status": "fixed" }],
        }),
        _ => return "text of <any> kind & \"quotes\"\n".to_owned(),
    };
    let mut text = value.to_string();
    // Spelled in ways that a value read and written anew would not keep.
    text.replace_range(
        text.len() - 1..,
        ", \"x-own\" : [ 1.50e2,\t\"\\u00e9<&>\", 12345678901234567890 ] }",
    );
    text
}

/// The payload of the bundle in a file.
pub fn payload(world: &World, name: &str) -> Vec<u8> {
    let bundle: Value = serde_json::from_str(&world.read(name)).unwrap();
    decode_base64(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap()
}

/// An image with one attestation by the sandbox's identity.
pub fn attested(world: &World, tag: &str, predicate_type: &str, predicate: &str) -> Image {
    let image = world.image(tag);
    world.write("attested.predicate", predicate);
    world
        .keyless("attest --predicate attested.predicate --type")
        .args([predicate_type, &image.by_digest()])
        .run()
        .exits(0);
    image
}

#[test]
fn every_type_is_attested_with_the_bytes_of_its_predicate_and_verified() {
    let world = World::new();
    for (i, (name, uri)) in NAMED
        .iter()
        .map(|named| (named.name, named.uri))
        .chain([("https://own.test/type", "https://own.test/type")])
        .enumerate()
    {
        let image = world.image(&format!("v{i}"));
        let text = match name.starts_with("https") {
            true => genuine("vuln"),
            false => genuine(name),
        };
        world.write("predicate", format!(" \n{text}\n"));
        let bundle = format!("bundle-{i}.json");
        let run = world
            .keyless("attest --output json --predicate predicate --type")
            .args([name, "--bundle", &bundle, &image.by_digest()])
            .run()
            .exits(0);
        let attested = &run.json()["images"][0];
        assert_eq!(attested["digest"], image.descriptor.digest.to_string());
        assert_eq!(attested["attached"], json!({ "by": "referrers-api" }));
        assert_eq!(attested["signature"]["predicateType"], uri);
        assert_eq!(attested["signature"]["signer"]["identity"], IDENTITY);
        let payload = payload(&world, &bundle);
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(statement["predicateType"], uri);
        assert_eq!(
            statement["subject"],
            json!([{ "name": image.repository, "digest": { "sha256": image.descriptor.digest.hex() } }])
        );
        let predicate = raw_predicate(&payload).unwrap();
        match name {
            "custom" => {
                let wrapped: Value = serde_json::from_str(predicate).unwrap();
                assert_eq!(wrapped["Data"], format!(" \n{text}\n"));
                assert!(wrapped["Timestamp"].as_str().unwrap().ends_with('Z'));
                assert_eq!(wrapped.as_object().unwrap().len(), 2);
            }
            "spdx" => {
                assert_eq!(
                    serde_json::from_str::<Value>(predicate).unwrap(),
                    format!(" \n{text}\n")
                );
                run.says("spdxjson");
            }
            _ => assert_eq!(predicate, text, "{name}"),
        }
        world
            .keyless("verify-attestation --type")
            .args([name, &image.by_digest()])
            .args(world.expecting())
            .run()
            .exits(0)
            .says("verified ")
            .says(IDENTITY);
    }
}

#[test]
fn both_logs_take_attestations() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &[]);
        let image = attested(&world, "v1", "slsaprovenance1", &genuine("slsaprovenance1"));
        world
            .keyless("verify-attestation --type slsaprovenance1")
            .arg(image.by_digest())
            .args(world.expecting())
            .run()
            .exits(0);
        assert_eq!(world.count(Service::Fulcio), 1);
        assert_eq!(world.counts().rekor(), 1);
    }
}

#[test]
fn what_is_no_predicate_of_its_type_costs_no_certificate() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    for (name, predicate, code) in [
        ("slsaprovenance1", r#"{"x":1}"#, "predicate-invalid"),
        ("slsaprovenance", r#"{"x":1}"#, "predicate-invalid"),
        ("vuln", r#"{"x":1}"#, "predicate-invalid"),
        ("spdxjson", r#"{"x":1}"#, "predicate-invalid"),
        ("cyclonedx", r#"{"x":1}"#, "predicate-invalid"),
        ("openvex", r#"{"x":1}"#, "predicate-invalid"),
        ("link", r#"{"x":1}"#, "predicate-invalid"),
        (
            "https://own.test/type",
            r#"{"x":1,"x":2}"#,
            "predicate-malformed",
        ),
        (
            "https://own.test/type",
            r#"{"a":[{"x":1,"x":2}]}"#,
            "predicate-malformed",
        ),
        ("https://own.test/type", "not JSON", "predicate-malformed"),
        ("https://own.test/type", "[]", "predicate-malformed"),
        ("https://own.test/type", "", "predicate-malformed"),
        ("slsa", "{}", "predicate-type"),
        (
            "https://sigstore.dev/cosign/sign/v1",
            "{}",
            "predicate-is-signature",
        ),
    ] {
        world.write("predicate", predicate);
        world
            .keyless("attest --output json --predicate predicate --type")
            .args([name, &image])
            .run()
            .fails(2, code)
            .says("nothing was published");
    }
    world.write("predicate", [b'"', 0xff, b'"']);
    for name in ["custom", "spdx"] {
        world
            .keyless("attest --output json --predicate predicate --type")
            .args([name, &image])
            .run()
            .fails(2, "predicate-not-text");
    }
    world
        .keyless("attest --output json --predicate absent")
        .arg(&image)
        .run()
        .fails(3, "file-not-found");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.counts().rekor(), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn a_member_that_is_wrong_is_named() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.write("predicate", r#"{"buildDefinition":{"buildType":"t","externalParameters":{}},"runDetails":{"builder":{"id":7}}}"#);
    world
        .keyless("attest --type slsaprovenance1 --predicate predicate")
        .arg(&image)
        .run()
        .exits(2)
        .says("runDetails.builder.id")
        .says("found:  7");
}

#[test]
fn several_images_have_a_statement_each_and_one_certificate() {
    let world = World::new();
    let images = [world.image("v1"), world.image("v2")];
    let run = world
        .keyless("attest --output json --type vuln --predicate - --bundle bundles.jsonl")
        .args([images[0].by_digest(), images[1].by_digest()])
        .stdin(genuine("vuln"))
        .run()
        .exits(0);
    assert_eq!(run.json()["images"].as_array().unwrap().len(), 2);
    assert_eq!(world.count(Service::Fulcio), 1);
    let lines = world.read("bundles.jsonl");
    for (line, image) in lines.lines().zip(&images) {
        let bundle: Value = serde_json::from_str(line).unwrap();
        let payload = decode_base64(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        let statement: Value = serde_json::from_slice(&payload).unwrap();
        let subjects = statement["subject"].as_array().unwrap();
        assert_eq!(subjects.len(), 1);
        assert_eq!(
            subjects[0]["digest"]["sha256"],
            image.descriptor.digest.hex()
        );
    }
    world
        .keyless("verify-attestation --type vuln")
        .args([images[0].by_digest(), images[1].by_digest()])
        .args(world.expecting())
        .run()
        .exits(0);
}

#[test]
fn an_index_is_attested_with_everything_in_it() {
    let world = World::new();
    let children = [world.image("one"), world.image("two")];
    let host = world.host(Service::Registry);
    let registry = world.sandbox.registry();
    let index = put_index(registry, &host, "all", &[&children[0], &children[1]]);
    world.write("predicate", genuine("vuln"));
    let run = world
        .keyless("attest --recursive --output json --type vuln --predicate predicate")
        .arg(index.by_digest())
        .run()
        .exits(0);
    assert_eq!(run.json()["images"].as_array().unwrap().len(), 3);
    for image in [&index, &children[0], &children[1]] {
        world
            .keyless("verify-attestation --type vuln")
            .arg(image.by_digest())
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

fn statement(predicate_type: &str, digests: &[&Digest], predicate: &str) -> String {
    let subjects: Vec<Value> = digests
        .iter()
        .map(|digest| json!({ "name": "own", "digest": { "sha256": digest.hex() } }))
        .collect();
    format!(
        "{{ \"_type\" : \"https://in-toto.io/Statement/v0.1\", \"predicateType\":\"{predicate_type}\",\n \"subject\":{}, \"predicate\":{predicate} }}\n",
        Value::from(subjects)
    )
}

#[test]
fn a_whole_statement_is_signed_as_it_is() {
    let world = World::new();
    let image = world.image("v1");
    let other = Digest::sha256(b"other");
    let whole = statement(
        "https://slsa.dev/provenance/v1",
        &[&other, &image.descriptor.digest],
        &genuine("slsaprovenance1"),
    );
    world.write("statement", &whole);
    for (i, flags) in ["", "--type slsaprovenance1"].into_iter().enumerate() {
        let bundle = format!("bundle-{i}.json");
        world
            .keyless("attest --statement statement --bundle")
            .args([bundle.as_str(), &image.by_digest()])
            .args(flags.split_whitespace())
            .run()
            .exits(0);
        assert_eq!(payload(&world, &bundle), whole.as_bytes());
    }
    world
        .keyless("verify-attestation --type slsaprovenance1")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(0);
}

#[test]
fn a_statement_about_something_else_is_refused() {
    let world = World::new();
    let image = world.image("v1");
    let digest = image.descriptor.digest;
    let fine = statement("https://own.test/type", &[&digest], "{}");
    for (whole, flags, code) in [
        (
            statement("https://own.test/type", &[&Digest::sha256(b"other")], "{}"),
            "",
            "statement-subject",
        ),
        (
            statement("https://own.test/type", &[], "{}"),
            "",
            "statement-subject",
        ),
        (fine.clone(), "--type vuln", "statement-type"),
        (
            statement("https://slsa.dev/provenance/v1", &[&digest], "{\"x\":1}"),
            "",
            "predicate-invalid",
        ),
        (
            statement("https://slsa.dev/provenance/v1", &[&digest], "null"),
            "",
            "predicate-invalid",
        ),
        (
            statement("https://sigstore.dev/cosign/sign/v1", &[&digest], "{}"),
            "",
            "predicate-is-signature",
        ),
        (statement("no type", &[&digest], "{}"), "", "predicate-type"),
        (
            statement("https://own.test/type", &[&digest], "[]"),
            "",
            "statement-malformed",
        ),
        (
            statement("https://own.test/type", &[&digest], "{\"a\":1,\"a\":2}"),
            "",
            "statement-malformed",
        ),
        (
            fine.replace("Statement/v0.1", "Statement/v9"),
            "",
            "statement-malformed",
        ),
        ("{}".to_owned(), "", "statement-malformed"),
        (
            fine.trim_end().trim_end_matches('}').to_owned(),
            "",
            "statement-malformed",
        ),
    ] {
        world.write("statement", &whole);
        world
            .keyless("attest --output json --statement statement")
            .arg(image.by_digest())
            .args(flags.split_whitespace())
            .run()
            .fails(2, code);
    }
    // One of two images is not what the statement is about.
    world.write("statement", &fine);
    world
        .keyless("attest --output json --statement statement")
        .args([image.by_digest(), world.image("v2").by_digest()])
        .run()
        .fails(2, "statement-subject");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn flags_that_would_do_harm_are_refused_and_others_of_cosign_accepted() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.write("predicate", genuine("vuln"));
    let attest = |flags: &str| {
        world
            .keyless("attest --type vuln --predicate predicate")
            .arg(&image)
            .args(flags.split_whitespace())
            .run()
    };
    attest("--replace --output json").fails(2, "usage-conflict");
    attest("--replace=true --output json").fails(2, "usage-conflict");
    attest("--statement predicate").exits(2);
    attest("--no-upload --output json").fails(2, "usage-conflict");
    attest("--upload=false --output json").fails(2, "usage-conflict");
    attest("--output json --bundle same --output-file same").exits(2);
    world.write("kept", "");
    attest("--output json --bundle kept").fails(3, "file-exists");
    world
        .keyless("attest --type vuln")
        .arg(&image)
        .run()
        .exits(2);
    assert_eq!(world.count(Service::Fulcio), 0);
    attest("--replace=false -y --no-upload --bundle kept --overwrite")
        .exits(0)
        .shows("attached   no, as asked");
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn a_predicate_beyond_the_cap_needs_the_cap_to_be_raised() {
    let world = World::start(RekorVersion::V2, &[]);
    let image = world.image("v1").by_digest();
    let long = "x".repeat(7 << 20);
    world.write("large", format!("{{\"long\":\"{long}\"}}"));
    let attest = |flags: &str| {
        world
            .keyless("attest --output json --type https://own.test/large --predicate large")
            .arg(&image)
            .args(flags.split_whitespace())
            .run()
    };
    // The predicate is below the cap and its bundle is not.
    attest("")
        .fails(2, "bundle-too-large")
        .says("--max-attachment-size");
    // The predicate itself is beyond it.
    attest("--max-attachment-size 1MiB").fails(3, "file-too-large");
    assert_eq!(world.count(Service::Fulcio), 0);
    attest("--max-attachment-size 12MiB").exits(0);
    let verify = |flags: &str| {
        world
            .keyless("verify-attestation --output json --type https://own.test/large")
            .arg(&image)
            .args(world.expecting())
            .args(flags.split_whitespace())
    };
    let run = verify("").run();
    assert_eq!(
        run.json()["images"][0]["error"]["code"],
        "registry-object-too-large",
        "{run:#?}"
    );
    run.says("--max-attachment-size");
    let run = verify("")
        .env("COSIGN_MAX_ATTACHMENT_SIZE", "12MiB")
        .run()
        .exits(0);
    assert_eq!(run.json()["attestations"][0]["predicate"]["long"], long);
    verify("--max-attachment-size 12MiB").run().exits(0);
    verify("--max-attachment-size none").run().exits(2);
}

#[test]
fn a_log_that_takes_the_whole_envelope_is_not_sent_too_much() {
    let world = World::start(RekorVersion::V1, &[]);
    let long = "x".repeat(25 << 20);
    world.write("large", format!("{{\"long\":\"{long}\"}}"));
    world
        .keyless("attest --output json --max-attachment-size 100MB --type https://own.test/large --predicate large")
        .arg(world.image("v1").by_digest())
        .run()
        .fails(2, "log-entry-too-large")
        .says("Rekor v2");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn an_attestation_that_cannot_be_attached_is_kept() {
    let world = World::new();
    let own = OwnRegistry::start(&world, Default::default());
    let image = own.image("v1").by_digest();
    own.refuse_manifests(500);
    world.write("predicate", genuine("vuln"));
    let run = world
        .keyless("attest --output json --type vuln --predicate predicate")
        .arg(&image)
        .run()
        .exits(41);
    let error = &run.json()["images"][0]["error"];
    let details = error["details"].as_array().unwrap();
    assert!(
        details.iter().any(|detail| detail["name"] == "bundle"),
        "{run:#?}"
    );
}
