//! Attestations as the program verifies them: types, statements that cannot be read, and nothing at all.

use keyless::crypto::Digest;
use keyless::format::dsse::{IN_TOTO_PAYLOAD_TYPE, PreAuthEncoding};
use keyless::format::protojson::encode_base64;
use keyless::sandbox::TokenRequest;
use serde_json::json;

use crate::key::Key;
use crate::support::{Run, World};

const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const SCAN: &str = r#"{"scanner":{"uri":"pkg:x"},"metadata":{"scanStartedOn":"2026-11-23T07:00:00Z","scanFinishedOn":"2026-11-23T07:00:00Z"}}"#;

/// An image with one attestation of type `vuln`, and a file with another in `file.bundle`.
fn attested(world: &World) -> String {
    let image = world.image("v1").by_digest();
    world.write("file", "content");
    world.write("scan", SCAN);
    world
        .keyless("attest --type vuln --predicate scan")
        .arg(&image)
        .run()
        .exits(0);
    world
        .keyless("attest-blob file --type vuln --predicate scan --bundle file.bundle")
        .run()
        .exits(0);
    image
}

fn of_image(world: &World, image: &str, kind: &str) -> Run {
    world
        .keyless("verify-attestation --output json --type")
        .args([kind, image])
        .args(world.expecting())
        .run()
}

fn of_file(world: &World, bundle: &str, kind: &str) -> Run {
    world
        .keyless("verify-blob-attestation file --output json --type")
        .args([kind, "--bundle", bundle])
        .args(world.expecting())
        .run()
}

#[track_caller]
fn is_no_attestation(run: Run) {
    let run = run.exits(10);
    let document = run.json();
    assert_eq!(
        document["images"][0]["error"]["code"], "no-attestation",
        "{run:#?}"
    );
    assert_eq!(document["attestations"], json!([]), "{run:#?}");
}

#[test]
fn ghsa_vjxv_45g9_9296_the_type_decides_and_nothing_attached_is_no_attestation() {
    let world = World::new();
    let image = attested(&world);
    of_image(&world, &image, "vuln").exits(0);
    of_image(&world, &image, VULN).exits(0);
    for other in [
        "custom",
        "slsaprovenance",
        "slsaprovenance1",
        "cyclonedx",
        &VULN[..VULN.len() - 1],
    ] {
        is_no_attestation(of_image(&world, &image, other));
        of_file(&world, "file.bundle", other).fails(10, "predicate-type-mismatch");
    }
    is_no_attestation(of_image(&world, &world.image("v2").by_digest(), "vuln"));
}

#[test]
fn cve_2025_25204_no_attestation_is_a_failure() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    for output in ["text", "json", "predicate", "statement", "envelope"] {
        let run = world
            .keyless("verify-attestation --type vuln --output")
            .args([output, &image])
            .args(world.expecting())
            .run()
            .exits(10);
        assert_eq!(run.stdout.is_empty(), output != "json", "{run:#?}");
    }
    // One of two is not enough.
    let attested = attested(&world);
    let other = world.image("v2").by_digest();
    for pair in [[&attested, &other], [&other, &attested]] {
        world
            .keyless("verify-attestation --type vuln")
            .args(pair)
            .args(world.expecting())
            .run()
            .exits(10)
            .shows("verified ")
            .says("refused ");
    }
}

#[test]
fn ghsa_739f_hw6h_7wq8_a_signature_is_no_attestation_and_the_other_way_round() {
    let world = World::new();
    let image = world.image("v3").by_digest();
    world.keyless("sign").arg(&image).run().exits(0);
    for kind in ["vuln", "custom"] {
        is_no_attestation(of_image(&world, &image, kind));
    }
    let attested = attested(&world);
    let run = world
        .keyless("verify --output json")
        .arg(&attested)
        .args(world.expecting())
        .run()
        .exits(10);
    assert_eq!(run.json()["images"][0]["error"]["code"], "no-signature");
    world
        .keyless("sign-blob file --bundle signature")
        .run()
        .exits(0);
    of_file(&world, "signature", "vuln").fails(10, "not-an-attestation");
    world
        .keyless("verify-blob file --bundle file.bundle --output json")
        .args(world.expecting())
        .run()
        .fails(10, "not-a-signature");
}

/// A bundle over any payload by a key of our own.
fn bundle_over(key: &Key, payload: &[u8]) -> String {
    let encoding = PreAuthEncoding::new(IN_TOTO_PAYLOAD_TYPE, payload);
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "own" } },
        "dsseEnvelope": {
            "payload": encode_base64(payload),
            "payloadType": IN_TOTO_PAYLOAD_TYPE,
            "signatures": [{ "sig": encode_base64(&key.sign(&encoding.to_bytes())) }],
        },
    })
    .to_string()
}

#[test]
fn ghsa_w6c6_c85g_mmv6_a_statement_that_cannot_be_read_is_refused() {
    let world = World::new();
    let key = Key::p256();
    world.write("key.pub", key.public().to_pem());
    world.write("file", "content");
    let hex = Digest::sha256(b"content").hex();
    let good = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"name":"file","digest":{{"sha256":"{hex}"}}}}],"predicateType":"{VULN}","predicate":{{"n":1}}}}"#
    );
    let verify = |payload: &str, flags: &str| {
        world.write("own.bundle", bundle_over(&key, payload.as_bytes()));
        world
            .keyless("verify-blob-attestation file --bundle own.bundle --key key.pub --insecure-ignore-tlog --output json --type vuln")
            .args(flags.split_whitespace())
            .run()
    };
    verify(&good, "").exits(0);
    verify(&good, "--require n=1").exits(0);
    for malformed in [
        "",
        "null",
        "{}",
        "[]",
        "\"statement\"",
        &good[..good.len() - 1],
        &format!("{good}{{}}"),
        &good.replace("Statement/v1", "Statement/v9"),
        &good.replace("{\"n\":1}", "[1]"),
        &good.replace("{\"n\":1}", "\"text\""),
        &good.replace("{\"n\":1}", "{\"n\":1,\"n\":2}"),
        &good.replace("\"predicateType\"", "\"predicatetype\""),
    ] {
        verify(malformed, "").fails(22, "statement-malformed");
        verify(malformed, "--require n=1").fails(22, "statement-malformed");
    }
    verify(&good.replace(VULN, "https://slsa.dev/provenance/v1"), "")
        .fails(10, "predicate-type-mismatch");
    verify(&good.replace(&hex, &Digest::sha256(b"other").hex()), "").fails(21, "artifact-mismatch");
    verify(&good.replace("sha256", "sha1"), "").fails(21, "artifact-mismatch");
}

#[test]
fn ghsa_52v5_jr5w_gjxr_every_policy_flag_of_attestations_refuses() {
    /// Flags that ask for nothing, or for less.
    const OTHERS: [&str; 16] = [
        "--from",
        "--from-format",
        "--jobs",
        "--insecure-ignore-tlog",
        "--insecure-ignore-sct",
        "--explain",
        "--bundle",
        "--output-file",
        "--quiet",
        "--help",
        "--version",
        "--output",
        "--trusted-root",
        "--allow-http-registry",
        "--digest-alg",
        "--max-attachment-size",
    ];
    const OTHER_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    const CLAIM: &str = "claim-mismatch";
    /// Each flag with a value that the attestation does not have; exit code and code of the refusal.
    const CASES: [(&str, &str, i32, &str); 18] = [
        (
            "--certificate-identity",
            "other@example.test",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-identity-regexp",
            "octo/app",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-oidc-issuer",
            "https://other.test",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-oidc-issuer-regexp",
            "http://127",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-claim",
            "source-repository-ref=refs/tags/v2",
            12,
            CLAIM,
        ),
        ("--certificate-github-workflow-trigger", "other", 12, CLAIM),
        ("--certificate-github-workflow-sha", "other", 12, CLAIM),
        ("--certificate-github-workflow-name", "other", 12, CLAIM),
        (
            "--certificate-github-workflow-repository",
            "octo/ap",
            12,
            CLAIM,
        ),
        (
            "--certificate-github-workflow-ref",
            "refs/tags/v",
            12,
            CLAIM,
        ),
        ("--key", "other.pub", 12, "certificate-not-key"),
        ("--log-threshold", "2", 32, "log-threshold"),
        ("--timestamp-threshold", "2", 33, "timestamp-threshold"),
        ("--sct-threshold", "2", 34, "sct-threshold"),
        ("--type", "custom", 10, ""),
        ("--require", "scanner.uri=pkg:y", 12, "predicate-refused"),
        ("--policy", "deny.rego", 12, "predicate-refused"),
        ("--digest", OTHER_DIGEST, 21, "artifact-mismatch"),
    ];
    const WORKFLOW: &str = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    let world = World::new();
    world.write("other.pub", Key::p256().public().to_pem());
    world.write("deny.rego", "package signature\ndefault allow = false\n");
    world.write("file", "content");
    world.write("scan", SCAN);
    let token = world.token(&TokenRequest::new(WORKFLOW));
    let image = world.image("v1").by_digest();
    for command in ["attest", "attest-blob --bundle file.bundle"] {
        let subject = if command == "attest" { &image } else { "file" };
        world
            .keyless(command)
            .args([
                subject,
                "--type",
                "vuln",
                "--predicate",
                "scan",
                "--identity-token",
                &token,
            ])
            .run()
            .exits(0);
    }
    let issuer = world.sandbox.issuer().to_owned();
    for (command, subject) in [
        ("verify-attestation", image.as_str()),
        ("verify-blob-attestation --bundle file.bundle", "file"),
    ] {
        let run = |flags: &[&str]| {
            let run = world
                .keyless(command)
                .args(["--output", "json"])
                .args(flags);
            match flags.contains(&"--digest") {
                true => run.run(),
                false => run.arg(subject).run(),
            }
        };
        let who = ["--certificate-identity", WORKFLOW];
        let through = ["--certificate-oidc-issuer", issuer.as_str()];
        run(&[who, through, ["--type", "vuln"]].concat()).exits(0);
        let help = world.keyless(command).arg("--help").run().exits(0).stdout;
        let help = crate::policy_help(&help);
        let words = help
            .lines()
            .filter_map(|line| line.trim_start().split(' ').next());
        let flags: Vec<&str> = words
            .map(|word| word.trim_end_matches(','))
            .filter(|word| word.starts_with("--") && !OTHERS.contains(word))
            .collect();
        assert!(flags.len() >= 17, "{flags:?}");
        for flag in flags {
            let Some((_, value, exit, code)) = CASES.iter().find(|case| case.0 == flag) else {
                panic!("{command} {flag} has no case in which it refuses");
            };
            // What is asked for twice would be one or the other.
            let mut asked = vec![flag, value];
            if flag != "--type" {
                asked.extend(["--type", "vuln"]);
            }
            if !flag.starts_with("--certificate-identity") && flag != "--key" {
                asked.extend(who);
            }
            if !flag.starts_with("--certificate-oidc-issuer") && flag != "--key" {
                asked.extend(through);
            }
            let refused = run(&asked).exits(*exit).json();
            let error = match command {
                "verify-attestation" => &refused["images"][0]["error"]["code"],
                _ => &refused["error"]["code"],
            };
            match (flag, command) {
                ("--type", "verify-attestation") => assert_eq!(error, "no-attestation"),
                ("--type", _) => assert_eq!(error, "predicate-type-mismatch"),
                _ => assert_eq!(error, code, "{command} {flag} {value}"),
            }
        }
    }
}
