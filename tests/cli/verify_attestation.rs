//! `keyless verify-attestation`.

use keyless::format::protojson::decode_base64;
use keyless::sandbox::Service;
use serde_json::{Value, json};

use crate::attest::{attested, genuine};
use crate::policy::{rule, write_policy};
use crate::support::{IDENTITY, Image, Run, World};
use crate::verify::{attestation, put_bundle, signed};

/// Verifies one image with these flags.
fn judge(world: &World, image: &Image, flags: &str) -> Run {
    world
        .keyless("verify-attestation --output json")
        .arg(image.by_digest())
        .args(world.expecting())
        .args(flags.split_whitespace())
        .run()
}

#[track_caller]
pub fn refused(run: Run, exit: i32, code: &str) -> Run {
    let document = run.json();
    let run = run.exits(exit);
    assert_eq!(document["images"][0]["error"]["code"], code, "{run:#?}");
    assert_eq!(document["images"][0]["signatures"], json!([]), "{run:#?}");
    assert_eq!(document["attestations"], json!([]), "{run:#?}");
    run
}

#[test]
fn a_signature_is_no_attestation_and_an_attestation_no_signature() {
    let world = World::new();
    let image = signed(&world, "v1");
    refused(judge(&world, &image, ""), 10, "no-attestation");
    refused(
        judge(&world, &image, "--type slsaprovenance1"),
        10,
        "no-attestation",
    );
    // One that says in the registry's list to be an attestation is judged by what was signed.
    let other = world.image("v2");
    let signature = attestation(&world, &other, "https://sigstore.dev/cosign/sign/v1");
    put_bundle(
        world.sandbox.registry(),
        &other,
        &signature,
        "https://slsa.dev/provenance/v1",
    );
    refused(
        judge(&world, &other, "--type slsaprovenance1"),
        10,
        "no-attestation",
    );
    let third = attested(&world, "v3", "vuln", &genuine("vuln"));
    world
        .keyless("verify --output json")
        .arg(third.by_digest())
        .args(world.expecting())
        .run()
        .exits(10);
    judge(&world, &third, "--type https://sigstore.dev/cosign/sign/v1").fails(2, "usage-conflict");
}

#[test]
fn an_attestation_of_another_type_is_not_this_one() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    judge(&world, &image, "--type vuln").exits(0);
    judge(
        &world,
        &image,
        "--type https://cosign.sigstore.dev/attestation/vuln/v1",
    )
    .exits(0);
    for other in [
        "custom",
        "slsaprovenance1",
        "https://cosign.sigstore.dev/attestation/vuln/v2",
    ] {
        refused(
            judge(&world, &image, &format!("--type {other}")),
            10,
            "no-attestation",
        );
    }
    // Without --type it is custom, as in cosign.
    refused(judge(&world, &image, ""), 10, "no-attestation");
    judge(&world, &image, "--type nonsense").fails(2, "predicate-type");
}

#[test]
fn what_was_signed_is_shown_byte_for_byte() {
    let world = World::new();
    let text = genuine("slsaprovenance1");
    let image = attested(&world, "v1", "slsaprovenance1", &text);
    let shown = |format: &str| {
        world
            .keyless("verify-attestation --type slsaprovenance1 --output")
            .args([format, &image.by_digest()])
            .args(world.expecting())
            .run()
            .exits(0)
    };
    let run = shown("predicate");
    assert_eq!(run.stdout, format!("{text}\n"));
    run.says("verified ").says(IDENTITY);
    let statement: Value = serde_json::from_str(&shown("statement").stdout).unwrap();
    assert_eq!(statement["predicateType"], "https://slsa.dev/provenance/v1");
    assert!(shown("statement").stdout.contains(&text));
    let envelope: Value = serde_json::from_str(&shown("envelope").stdout).unwrap();
    assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
    let payload = decode_base64(envelope["payload"].as_str().unwrap()).unwrap();
    assert_eq!(payload, shown("statement").stdout.trim_end().as_bytes());
    assert!(
        !envelope["signatures"][0]["sig"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    let run = judge(&world, &image, "--type slsaprovenance1");
    // Numbers keep their digits.
    run.json();
    assert!(
        run.stdout
            .contains("[1.50e2,\"\\u00e9<&>\",12345678901234567890]"),
        "{run:#?}"
    );
    let attestation = &run.json()["attestations"][0];
    assert_eq!(attestation["subject"], image.by_digest());
    assert_eq!(
        attestation["predicateType"],
        "https://slsa.dev/provenance/v1"
    );
    assert_eq!(
        attestation["predicate"]["runDetails"]["metadata"]["invocationId"],
        "7"
    );
    // Text for people has the predicate as data, and the verdict beside it.
    let run = shown("text");
    assert_eq!(run.stdout, format!("{text}\n"));
    run.says("verified ").says(IDENTITY);
}

#[test]
fn nothing_is_shown_of_what_is_refused() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    for format in ["predicate", "statement", "envelope", "text"] {
        let run = world
            .keyless("verify-attestation --type vuln --output")
            .args([format, &image.by_digest()])
            .args(world.expecting_of("other@example.test"))
            .run()
            .exits(12)
            .says("refused ");
        assert_eq!(run.stdout, "", "{format}");
    }
}

#[test]
fn one_that_holds_is_enough_and_only_it_is_shown() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    let stranger = world.token(&keyless::sandbox::TokenRequest::new(
        "stranger@example.test",
    ));
    let text = genuine("vuln").replace("pkg:scanner", "pkg:theirs");
    world.write("theirs", &text);
    world
        .keyless("attest --type vuln --predicate theirs --identity-token")
        .args([&stranger, &image.by_digest()])
        .run()
        .exits(0);
    let run = judge(&world, &image, "--type vuln").exits(0);
    assert_eq!(run.json()["attestations"].as_array().unwrap().len(), 1);
    assert_eq!(
        run.json()["attestations"][0]["predicate"]["scanner"]["uri"],
        "pkg:scanner"
    );
    assert_eq!(
        run.json()["images"][0]["refused"].as_array().unwrap().len(),
        1
    );
}

#[test]
fn who_claims_to_have_attested_is_shown_where_nobody_is_expected() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    let ask = |kind: &str| {
        world
            .keyless("verify-attestation --output json --type")
            .args([kind, &image.by_digest()])
            .run()
            .fails(2, "usage-identity-missing")
    };
    let run = ask("vuln")
        .says("signed by, as the certificates say (not verified)")
        .says(IDENTITY);
    let signers = &run.json()["claimedSigners"][0]["signers"];
    assert_eq!(signers[0]["identity"], IDENTITY);
    assert_eq!(
        ask("custom").json()["claimedSigners"][0]["signers"],
        json!([])
    );
}

#[test]
fn the_command_that_would_accept_is_complete() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    let run = world
        .keyless("verify-attestation --output json --type vuln --require scanner.version=1 --max-attachment-size 9MiB")
        .arg(image.by_digest())
        .args(world.expecting_of("other@example.test"))
        .run();
    let run = refused(run, 12, "identity-mismatch");
    let document = run.json();
    let command = document["images"][0]["acceptingCommand"].as_str().unwrap();
    for part in [
        "verify-attestation",
        "--type vuln",
        "--require scanner.version=1",
        "--max-attachment-size 9437184",
    ] {
        assert!(command.contains(part), "{command}");
    }
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    world.keyless("").args(words).run().exits(0);
}

#[test]
fn a_trust_policy_says_whom_to_expect_of_a_type() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    let about = format!(
        "images = [{:?}]\nrequires = [\"https://cosign.sigstore.dev/attestation/vuln/v1\"]",
        image.repository
    );
    let ours = rule(&world, "scan", &about, IDENTITY);
    let signed = rule(
        &world,
        "sign",
        &format!("images = [{:?}]", image.repository),
        IDENTITY,
    );
    write_policy(&world, &[ours.clone(), signed]);
    let verify = |flags: &str| {
        world
            .keyless("verify-attestation --output json --policy policy.toml")
            .arg(image.by_digest())
            .args(flags.split_whitespace())
            .run()
    };
    let run = verify("--type vuln").exits(0);
    assert_eq!(run.json()["images"][0]["rules"][0]["rule"], "scan");
    assert_eq!(
        run.json()["attestations"][0]["predicate"]["scanner"]["uri"],
        "pkg:scanner"
    );
    // What the predicate must say is asked of it too.
    verify("--type vuln --require scanner.version=1").exits(0);
    refused(
        verify("--type vuln --require scanner.version=2"),
        12,
        "predicate-refused",
    );
    // No rule is about another type.
    refused(verify("--type custom"), 15, "policy-no-rule");
    verify("--type vuln --certificate-identity x").fails(2, "usage-conflict");
    verify("--type vuln --log-threshold 2").fails(2, "usage-conflict");
    verify("--type vuln --policy policy.toml").fails(2, "usage-conflict");
    write_policy(&world, &[ours.replace(IDENTITY, "other@example.test")]);
    refused(verify("--type vuln"), 12, "identity-mismatch");
}

#[test]
fn what_is_asked_of_evidence_is_asked_of_attestations() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    refused(
        judge(&world, &image, "--type vuln --log-threshold 2"),
        32,
        "log-threshold",
    );
    refused(
        judge(&world, &image, "--type vuln --timestamp-threshold 2"),
        33,
        "timestamp-threshold",
    );
    refused(
        judge(&world, &image, "--type vuln --sct-threshold 2"),
        34,
        "sct-threshold",
    );
    let run = judge(&world, &image, "--type vuln --insecure-ignore-tlog").exits(0);
    assert_eq!(
        run.json()["images"][0]["signatures"][0]["waived"],
        json!(["transparency-log"])
    );
    judge(&world, &image, "--type vuln --check-claims=true").exits(0);
    judge(&world, &image, "--type vuln --check-claims=false").fails(2, "usage-conflict");
    world
        .keyless("verify-attestation --type vuln --output json")
        .arg(format!("{}:absent", image.repository))
        .args(world.expecting())
        .run()
        .exits(11);
    assert_eq!(world.count(Service::Fulcio), 1);
}
