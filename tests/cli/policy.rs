//! `--policy` on `verify` and `verify-blob`.

use keyless::sandbox::registry::RegistryMode;
use keyless::sandbox::{Service, TokenKind, TokenRequest};
use keyless::verify::policy_file::PolicyFile;
use serde_json::{Value, json};

use crate::support::{IDENTITY, Image, OwnRegistry, Run, World, sha256};
use crate::verify::{attestation, put_bundle, sign_statements, sign_statements_with, signed};

const SLSA: &str = "https://slsa.dev/provenance/v1";
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const STRANGER: &str = "stranger@example.test";
const RELEASE: &str = "release@example.test";

/// A policy of these rules.
pub fn write_policy(world: &World, rules: &[String]) {
    let text = format!("version = 1\n{}", rules.join("\n"));
    PolicyFile::parse(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
    world.write("policy.toml", text);
}

/// A rule by the sandbox's issuer. `about` has the patterns, and whatever else the rule says.
pub fn rule(world: &World, name: &str, about: &str, identity: &str) -> String {
    format!(
        "[[rule]]\nname = {name:?}\n{about}\n[[rule.signer]]\nidentity = {identity:?}\nissuer = {:?}\n",
        world.sandbox.issuer()
    )
}

fn of_image(image: &Image) -> String {
    format!("images = [{:?}]", image.repository)
}

/// Verifies one image under the policy; the image's part of the document.
fn judge(world: &World, image: &str) -> (Run, Value) {
    let run = world
        .keyless("verify --policy policy.toml --output json")
        .arg(image)
        .run();
    let verdict = run.json()["images"][0].clone();
    (run, verdict)
}

#[track_caller]
fn refused(world: &World, image: &Image, exit: i32, code: &str, rule: &str) -> Run {
    let (run, verdict) = judge(world, &image.by_digest());
    let run = run.exits(exit);
    assert_eq!(verdict["result"], "refused", "{run:#?}");
    assert_eq!(verdict["error"]["code"], code, "{run:#?}");
    assert_eq!(verdict["signatures"], json!([]), "{run:#?}");
    let details = verdict["error"]["details"].as_array().unwrap();
    assert!(
        details.contains(&json!({ "name": "rule", "value": rule })),
        "{run:#?}"
    );
    run.says(&format!("error: rule {rule:?} is not met: "))
}

/// A token of a workflow with its claims, or of anybody else.
fn token_of(identity: &str) -> TokenRequest {
    let is_workflow = identity.contains("/.github/workflows/");
    TokenRequest {
        kind: is_workflow.then_some(TokenKind::GithubWorkflow),
        ..TokenRequest::new(identity)
    }
}

fn sign_as(world: &World, image: &Image, identity: &str) {
    let token = world.token(&token_of(identity));
    world
        .keyless("sign --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
}

/// Attaches an attestation by somebody.
fn attest_as(world: &World, image: &Image, identity: &str, predicate_type: &str) {
    let digest = image.descriptor.digest;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": predicate_type,
        "predicate": {},
    });
    let statements = vec![(digest, statement.to_string().into_bytes())];
    let bundle = sign_statements_with(world, &token_of(identity), statements).remove(0);
    put_bundle(
        world.sandbox.registry(),
        image,
        &bundle.json,
        predicate_type,
    );
}

#[test]
fn an_image_that_meets_its_rule() {
    let world = World::new();
    let image = signed(&world, "v1");
    write_policy(&world, &[rule(&world, "app", &of_image(&image), IDENTITY)]);
    for reference in [image.by_digest(), image.by_tag()] {
        world
            .keyless("verify --policy policy.toml")
            .arg(&reference)
            .run()
            .exits(0)
            .shows(&format!("verified {}", image.by_digest()))
            .shows(&format!("  identity   {IDENTITY}"))
            .shows("  rule       app: signature\n");
        let (run, verdict) = judge(&world, &reference);
        run.exits(0);
        let met = &verdict["rules"][0];
        assert_eq!(met["rule"], "app");
        assert_eq!(met["met"], true);
        assert_eq!(met["metBy"][0]["signer"]["identity"], IDENTITY);
        let signature = &verdict["signatures"][0];
        assert_eq!(
            met["metBy"][0]["manifestDigest"],
            signature["manifestDigest"]
        );
        assert_eq!(met["metBy"][0]["bundleDigest"], signature["bundleDigest"]);
        assert_eq!(signature["rules"][0]["rule"], "app");
        assert_eq!(signature["rules"][0]["met"], true);
        assert_eq!(signature["rules"][0]["checks"], Value::Null);
    }
}

#[test]
fn another_signer_is_refused_by_the_rule_s_name() {
    let world = World::new();
    let image = signed(&world, "v1");
    write_policy(&world, &[rule(&world, "app", &of_image(&image), RELEASE)]);
    let add = format!("add it to \"app\" as [[rule.signer]] with identity = \"{IDENTITY}\"");
    refused(&world, &image, 12, "identity-mismatch", "app")
        .says(&add)
        .does_not_say("--certificate-identity");
    let (_, verdict) = judge(&world, &image.by_digest());
    assert_eq!(verdict["acceptingCommand"], Value::Null);
    assert_eq!(verdict["rules"][0]["met"], false);
    assert_eq!(verdict["rules"][0]["reason"]["code"], "identity-mismatch");
    let refusal = &verdict["refused"][0]["rules"][0];
    assert_eq!(refusal["reason"]["code"], "identity-mismatch");
}

#[test]
fn an_image_that_no_rule_is_about_is_refused_without_a_request() {
    let world = World::new();
    let image = signed(&world, "v1");
    let elsewhere = "images = [\"registry.example.test/**\"]\nfiles = [\"**\"]";
    write_policy(&world, &[rule(&world, "other", elsewhere, IDENTITY)]);
    let before = world.counts();
    for reference in [image.by_digest(), image.by_tag()] {
        let (run, verdict) = judge(&world, &reference);
        run.exits(15).says("no rule of the policy is about");
        assert_eq!(verdict["result"], "refused");
        assert_eq!(verdict["error"]["code"], "policy-no-rule");
    }
    assert_eq!(world.counts(), before);
}

#[test]
fn nothing_attached_and_nothing_there() {
    let world = World::new();
    let image = world.image("v1");
    write_policy(&world, &[rule(&world, "app", &of_image(&image), IDENTITY)]);
    refused(&world, &image, 10, "no-signature", "app");
    let (run, verdict) = judge(
        &world,
        &format!("{}@{}", image.repository, sha256("absent")),
    );
    run.exits(11);
    assert_eq!(verdict["error"]["code"], "no-such-image");
}

#[test]
fn every_rule_that_matches_must_be_met() {
    let world = World::new();
    let image = signed(&world, "v1");
    let host = world.host(Service::Registry);
    let broad = rule(
        &world,
        "everything",
        &format!("images = [\"{host}/**\"]"),
        IDENTITY,
    );
    let narrow = rule(&world, "released", &of_image(&image), RELEASE);
    // One alone accepts; together, in either order, the second signer is missing.
    write_policy(&world, std::slice::from_ref(&broad));
    judge(&world, &image.by_digest()).0.exits(0);
    for rules in [[broad.clone(), narrow.clone()], [narrow, broad]] {
        write_policy(&world, &rules);
        refused(&world, &image, 12, "identity-mismatch", "released")
            .says(&format!(
                "  everything: signature: met by {IDENTITY} (issuer "
            ))
            .says("  released: signature: not met: certificate identity does not match");
        let (_, verdict) = judge(&world, &image.by_digest());
        assert_eq!(verdict["refused"][0]["reason"]["code"], "policy-other-rule");
    }
    sign_as(&world, &image, RELEASE);
    let (run, verdict) = judge(&world, &image.by_digest());
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 2);
    for rule in verdict["rules"].as_array().unwrap() {
        assert_eq!(rule["metBy"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn the_most_severe_of_unmet_rules_leads_and_names_the_others() {
    let world = World::new();
    let image = signed(&world, "v1");
    let about = of_image(&image);
    let provenance = format!("{about}\nrequires = [\"{SLSA}\"]");
    write_policy(
        &world,
        &[
            rule(&world, "provenance", &provenance, IDENTITY),
            rule(&world, "released", &about, RELEASE),
            rule(&world, "met", &about, IDENTITY),
        ],
    );
    refused(&world, &image, 12, "identity-mismatch", "released").says("also not met: provenance\n");
}

#[test]
fn any_signer_of_a_rule_meets_it() {
    let world = World::new();
    let image = signed(&world, "v1");
    let issuer = world.sandbox.issuer();
    let two = format!(
        "{}[[rule.signer]]\nidentity-regexp = 'dev@.*'\nissuer = {issuer:?}\n",
        rule(&world, "app", &of_image(&image), RELEASE)
    );
    write_policy(&world, &[two]);
    judge(&world, &image.by_digest()).0.exits(0);
}

#[test]
fn an_attestation_that_a_rule_requires() {
    let world = World::new();
    let image = signed(&world, "v1");
    let about = format!("{}\nrequires = [\"{SLSA}\"]", of_image(&image));
    write_policy(&world, &[rule(&world, "provenance", &about, IDENTITY)]);
    refused(&world, &image, 10, "no-attestation", "provenance").says(SLSA);
    attest_as(&world, &image, IDENTITY, VULN);
    refused(&world, &image, 10, "no-attestation", "provenance");
    attest_as(&world, &image, STRANGER, SLSA);
    refused(&world, &image, 12, "identity-mismatch", "provenance");
    // A manifest that says so makes no attestation of this type.
    let other = attestation(&world, &image, VULN);
    put_bundle(world.sandbox.registry(), &image, &other, SLSA);
    refused(&world, &image, 12, "identity-mismatch", "provenance");
    attest_as(&world, &image, IDENTITY, SLSA);
    let (run, verdict) = judge(&world, &image.by_digest());
    run.exits(0);
    assert_eq!(verdict["rules"][0]["requires"], SLSA);
    assert_eq!(verdict["signatures"][0]["predicateType"], SLSA);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn a_rule_may_require_several_things() {
    let world = World::new();
    let image = world.image("v1");
    let about = format!(
        "{}\nrequires = [\"signature\", \"{SLSA}\"]",
        of_image(&image)
    );
    write_policy(&world, &[rule(&world, "both", &about, IDENTITY)]);
    attest_as(&world, &image, IDENTITY, SLSA);
    refused(&world, &image, 10, "no-signature", "both")
        .says("  requires: signature")
        .says(&format!("  both: {SLSA}: met by {IDENTITY}"));
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    judge(&world, &image.by_digest()).0.exits(0);
}

#[test]
fn rules_cost_no_more_requests_than_flags() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    for predicate_type in [SLSA, VULN] {
        let json = attestation(&world, &image, predicate_type);
        put_bundle(&own.registry, &image, &json, predicate_type);
    }
    let about = of_image(&image);
    let requests = |rules: &[String]| {
        write_policy(&world, rules);
        own.registry.forget_requests();
        judge(&world, &image.by_digest()).0.exits(0);
        own.registry.requests().len()
    };
    let signature = rule(&world, "one", &about, IDENTITY);
    let again = rule(&world, "two", &about, IDENTITY);
    assert_eq!(requests(&[signature.clone(), again]), 3);
    // The attestation that is asked for is fetched, the other is not.
    let about = format!("{about}\nrequires = [\"{SLSA}\"]");
    let provenance = rule(&world, "provenance", &about, IDENTITY);
    assert_eq!(requests(&[signature, provenance]), 5);
}

#[test]
fn claims_annotations_and_thresholds_of_a_rule_are_asked_for() {
    let world = World::new();
    let image = world.image("v1");
    let workflow = "https://github.com/octo/app/.github/workflows/w.yml@refs/heads/main";
    let token = world.token(&token_of(workflow));
    world
        .keyless("sign -a env=prod --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
    let with = |about: &str, signer: &str| {
        let about = format!("{}\n{about}", of_image(&image));
        let rule = rule(&world, "app", &about, workflow);
        write_policy(&world, &[format!("{rule}{signer}\n")]);
    };
    for (about, signer) in [
        ("annotations = { env = \"prod\" }", ""),
        (
            "log-threshold = 1\ntimestamp-threshold = 1\nsct-threshold = 1",
            "",
        ),
        (
            "",
            "claims = { source-repository-uri = \"https://github.com/octo/app\" }",
        ),
    ] {
        with(about, signer);
        judge(&world, &image.by_digest()).0.exits(0);
    }
    for (exit, code, about, signer) in [
        (
            12,
            "annotation-mismatch",
            "annotations = { env = \"test\" }",
            "",
        ),
        (32, "log-threshold", "log-threshold = 2", ""),
        (33, "timestamp-threshold", "timestamp-threshold = 2", ""),
        (34, "sct-threshold", "sct-threshold = 2", ""),
        (
            12,
            "claim-mismatch",
            "",
            "claims = { source-repository-uri = \"https://github.com/octo/other\" }",
        ),
    ] {
        with(about, signer);
        let run = refused(&world, &image, exit, code, "app");
        if code == "claim-mismatch" {
            run.says("may ask for source-repository-uri = \"https://github.com/octo/app\"");
        }
    }
}

#[test]
fn a_rule_for_a_key_accepts_no_certificate() {
    let world = World::new();
    let image = signed(&world, "v1");
    let pem = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8aEXQsb4M50asUQgRPPs18He\n\
        LX5yiiZ+U4T4nDYW8P28Lw4YOF3SsHU1vnLkqHEGjNqJ4Cmuzm7dUjGwQg==\n\
        -----END PUBLIC KEY-----\n";
    let rule = format!(
        "[[rule]]\nname = \"app\"\n{}\nsigner = [{{ key = {pem:?} }}]\n",
        of_image(&image)
    );
    write_policy(&world, &[rule]);
    refused(&world, &image, 12, "certificate-not-key", "app");
}

#[test]
fn whatever_a_policy_says_cannot_be_said_beside_it() {
    let world = World::new();
    let image = world.image("v1");
    write_policy(&world, &[rule(&world, "app", &of_image(&image), IDENTITY)]);
    world.write("file", "content");
    let before = world.counts();
    for flags in [
        "--certificate-identity a",
        "--certificate-identity-regexp a",
        "--certificate-oidc-issuer a",
        "--certificate-oidc-issuer-regexp a",
        "--certificate-claim issuer=a",
        "--certificate-github-workflow-ref a",
        "--key a",
        "--log-threshold 1",
        "--timestamp-threshold 1",
        "--sct-threshold 1",
        "--any-statement",
        "-a a=b",
    ] {
        let image = image.by_digest();
        for (command, target) in [("verify", image.as_str()), ("verify-blob", "file")] {
            world
                .keyless(&format!("{command} --policy policy.toml {flags}"))
                .arg(target)
                .run()
                .exits(2);
        }
    }
    world
        .keyless("verify --policy policy.toml -a a=b --output json")
        .arg(image.by_digest())
        .run()
        .fails(2, "usage-conflict");
    world
        .keyless("verify-blob file --bundle a --bundle b --output json")
        .args(world.expecting())
        .run()
        .fails(2, "usage-conflict");
    assert_eq!(world.counts(), before);
}

#[test]
fn a_check_is_left_out_by_the_command_line_alone_and_shown() {
    let world = World::new();
    let image = signed(&world, "v1");
    let about = of_image(&image);
    write_policy(&world, &[rule(&world, "app", &about, IDENTITY)]);
    let verify = |flags: &str| {
        world
            .keyless(&format!("verify --policy policy.toml {flags}"))
            .arg(image.by_digest())
            .run()
    };
    let waived = ["--insecure-ignore-tlog", "--insecure-ignore-sct"];
    for flag in waived {
        verify(flag).exits(0).shows("WAIVED").shows(flag);
    }
    let all = verify(&waived.join(" ")).exits(0);
    assert_eq!(all.stdout.matches("WAIVED").count(), 2);
    for (flag, threshold) in waived.into_iter().zip(["log", "sct"]) {
        let about = format!("{about}\n{threshold}-threshold = 2");
        write_policy(&world, &[rule(&world, "app", &about, IDENTITY)]);
        verify(&format!("{flag} --output json")).fails(2, "usage-conflict");
    }
}

#[test]
fn a_policy_that_cannot_be_used_stops_everything() {
    let world = World::new();
    let image = signed(&world, "v1");
    world.write("file", "content");
    let good = format!(
        "version = 1\n{}",
        rule(&world, "app", &of_image(&image), IDENTITY)
    );
    let before = world.counts();
    let large = format!("{good}#{}", " ".repeat(1 << 20));
    for (exit, code, content) in [
        (
            30,
            "policy-malformed",
            "version = 1\nrules = []".as_bytes().to_vec(),
        ),
        (30, "policy-malformed", b"version = 1 # \xff".to_vec()),
        (30, "policy-version", b"version = 2".to_vec()),
        (30, "policy-empty", b"version = 1".to_vec()),
        (3, "file-too-large", large.into_bytes()),
    ] {
        world.write("policy.toml", content);
        for arguments in [
            "verify --policy policy.toml --output json IMAGE",
            "verify-blob --policy policy.toml --output json file",
            "policy check --policy policy.toml --output json",
        ] {
            world
                .keyless(&arguments.replace("IMAGE", &image.by_digest()))
                .run()
                .fails(exit, code);
        }
    }
    world
        .keyless("verify --policy absent.toml --output json")
        .arg(image.by_digest())
        .run()
        .fails(3, "file-not-found");
    world.write("policy.toml", good.replace("issuer", "isuer"));
    world
        .keyless("verify --policy policy.toml")
        .arg(image.by_digest())
        .run()
        .exits(30)
        .says("error: policy.toml: line 7, column 1: unknown field `isuer`");
    assert_eq!(world.counts(), before);
}

#[test]
fn the_checks_are_told_by_bundle_and_rule() {
    let world = World::new();
    let image = signed(&world, "v1");
    let about = of_image(&image);
    let provenance = format!("{about}\nrequires = [\"{SLSA}\"]");
    let rules = [
        rule(&world, "app", &about, IDENTITY),
        rule(&world, "provenance", &provenance, IDENTITY),
    ];
    write_policy(&world, &rules);
    let explain = || {
        world
            .keyless("verify --policy policy.toml --explain")
            .arg(image.by_digest())
            .run()
    };
    let refused = explain()
        .exits(10)
        .says(" under rule app, which requires signature:\n")
        .says(&format!(" under rule provenance, which requires {SLSA}:\n"));
    assert_eq!(refused.stdout, "");
    attest_as(&world, &image, IDENTITY, SLSA);
    let accepted = explain().exits(0);
    assert_eq!(accepted.stdout.matches("under rule app, which").count(), 2);
    assert_eq!(accepted.stdout.matches("\nchecks of sha256:").count(), 4);
    let run = world
        .keyless("verify --policy policy.toml --explain --output json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    for signature in run.json()["images"][0]["signatures"].as_array().unwrap() {
        for rule in signature["rules"].as_array().unwrap() {
            assert!(rule["checks"].as_array().unwrap().len() > 5, "{rule}");
            let met = rule["met"].as_bool().unwrap();
            assert_eq!(met, rule["reason"].is_null());
        }
    }
}

/// A file with its bundle, and rules about it.
fn with_file(rules: &[(&str, &str)]) -> World {
    let world = World::new();
    std::fs::create_dir(world.path("dist")).unwrap();
    world.write("dist/file", "content");
    world.keyless("sign-blob dist/file").run().exits(0);
    let rules: Vec<String> = rules
        .iter()
        .map(|(about, identity)| rule(&world, about, about, identity))
        .collect();
    write_policy(&world, &rules);
    world
}

fn judge_file(world: &World, arguments: &str) -> Run {
    world
        .keyless(&format!(
            "verify-blob --policy policy.toml --output json {arguments}"
        ))
        .run()
}

const DIST: &str = "files = [\"dist/*\"]";

#[test]
fn a_file_that_meets_its_rule() {
    let world = with_file(&[(DIST, IDENTITY)]);
    let before = world.counts();
    for path in ["dist/file", "./dist//file"] {
        let run = judge_file(&world, path).exits(0);
        let document = run.json();
        assert_eq!(document["result"], "accepted");
        assert_eq!(document["rules"][0]["met"], true);
        let blob = &document["blobs"][0];
        assert_eq!(blob["blob"], path);
        assert_eq!(blob["digests"], json!([sha256("content")]));
        assert_eq!(blob["signature"]["signer"]["identity"], IDENTITY);
        assert_eq!(blob["rules"][0]["met"], true);
    }
    world
        .keyless("verify-blob --policy policy.toml dist/file")
        .run()
        .exits(0)
        .shows("verified dist/file\n")
        .shows(": signature\n");
    assert_eq!(world.counts(), before);
    world.write("dist/file", "contenu");
    judge_file(&world, "dist/file").fails(21, "artifact-mismatch");
}

#[test]
fn a_file_that_no_rule_is_about() {
    let world = with_file(&[(DIST, IDENTITY), ("images = [\"**\"]", IDENTITY)]);
    world.write("file", "content");
    let bundle = "--bundle dist/file.sigstore.json";
    let absolute = world.path("dist/file").display().to_string();
    for file in [
        "file",
        "dist/../dist/file",
        "dist/../file",
        &absolute,
        "-",
        &sha256("content"),
    ] {
        judge_file(&world, &format!("{bundle} {file}")).fails(15, "policy-no-rule");
    }
    // The rule comes before the bundle: there may be none.
    judge_file(&world, "absent").fails(15, "policy-no-rule");
    judge_file(&world, "dist/absent").fails(10, "no-signature");
}

#[test]
fn content_without_a_name_matches_a_dash_alone() {
    let world = with_file(&[("files = [\"-\"]", IDENTITY)]);
    let bundle = "--bundle dist/file.sigstore.json";
    judge_file(&world, &format!("{bundle} {}", sha256("content"))).exits(0);
    world
        .keyless(&format!("verify-blob --policy policy.toml {bundle} -"))
        .stdin("content")
        .run()
        .exits(0);
    judge_file(&world, "dist/file").fails(15, "policy-no-rule");
    world.write("-", "content");
    judge_file(&world, &format!("{bundle} ./-")).fails(15, "policy-no-rule");
}

#[test]
fn every_rule_of_a_file_must_be_met() {
    let narrow = "files = [\"dist/file\"]";
    let world = with_file(&[(DIST, IDENTITY), (narrow, RELEASE)]);
    let run = judge_file(&world, "dist/file").fails(12, "identity-mismatch");
    let document = run.json();
    assert_eq!(document["blobs"], Value::Null);
    assert_eq!(document["rules"][0]["met"], true);
    assert_eq!(document["rules"][1]["met"], false);
    assert_eq!(
        document["refused"][0]["reason"]["code"],
        "policy-other-rule"
    );
    run.says("is not met: certificate identity does not match")
        .says("rules that are about it:");
    let token = world.token(&TokenRequest::new(RELEASE));
    world
        .keyless("sign-blob dist/file --bundle release.json --identity-token")
        .arg(token)
        .run()
        .exits(0);
    let both = "--bundle dist/file.sigstore.json --bundle release.json dist/file";
    let document = judge_file(&world, both).exits(0).json();
    assert_eq!(document["blobs"].as_array().unwrap().len(), 2);
    judge_file(&world, "--bundle release.json dist/file").fails(12, "identity-mismatch");
}

#[test]
fn an_attestation_of_a_file() {
    let about = format!("{DIST}\nrequires = [\"signature\", \"{SLSA}\"]");
    let world = with_file(&[(&about, IDENTITY)]);
    judge_file(&world, "dist/file").fails(10, "no-attestation");
    let digest = keyless::crypto::Digest::sha256(b"content");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": SLSA,
        "predicate": {},
    });
    let statements = vec![(digest, statement.to_string().into_bytes())];
    let bundle = sign_statements(&world, IDENTITY, statements).remove(0);
    world.write("slsa.json", bundle.json);
    judge_file(&world, "--bundle slsa.json dist/file").fails(10, "not-a-signature");
    let both = "--bundle slsa.json --bundle dist/file.sigstore.json dist/file";
    judge_file(&world, both).exits(0);
    world
        .keyless(&format!(
            "verify-blob --policy policy.toml --explain {both}"
        ))
        .run()
        .exits(0)
        .shows("checks of slsa.json under rule ")
        .shows(&format!(", which requires {SLSA}:\n  ok "));
}

#[test]
fn the_readme_s_example_works() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let section = readme.split("## Trust policy").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap();
    let example = example.split("```").next().unwrap();
    let world = World::new();
    world.write("policy.toml", example);
    world
        .keyless("policy check --policy policy.toml")
        .run()
        .exits(0);
    // The same on the sandbox: its registry, its issuer.
    let host = world.host(Service::Registry);
    let policy = example
        .replace("registry.example/org", &format!("{host}/team"))
        .replace("https://accounts.google.com", world.sandbox.issuer())
        .replace(
            "https://token.actions.githubusercontent.com",
            world.sandbox.issuer(),
        );
    assert!(policy.contains(&host), "{policy}");
    world.write("policy.toml", policy);
    let image = world.image("v1");
    let workflow = "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1.2";
    sign_as(&world, &image, "dev@example.com");
    refused(&world, &image, 12, "identity-mismatch", "released");
    sign_as(&world, &image, workflow);
    attest_as(&world, &image, workflow, SLSA);
    judge(&world, &image.by_digest()).0.exits(0);
}
