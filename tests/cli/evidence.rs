//! How much evidence is asked for: thresholds, waivers, and claims of the certificate; on `verify-blob` and
//! on `verify`.

use keyless::crypto::Digest;
use keyless::format::bundle::{Bundle, Content, KeyMaterial};
use keyless::format::log_entry::propose_hashedrekord_v001;
use keyless::net::{HttpClient, rekor, tsa};
use keyless::sandbox::{RekorVersion, Service, TokenKind, TokenRequest};
use serde_json::{Value, json};

use crate::support::{Image, Run, World};

const WORKFLOW: &str = "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1";

/// A file and an image, signed by the sandbox's identity.
fn signed(rekor: RekorVersion) -> (World, Image) {
    let world = World::start(rekor, &[]);
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let image = world.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    (world, image)
}

/// Judges file and image with the same flags; the code of the refusal, empty where there is none.
fn judge_both(world: &World, image: &Image, flags: &str) -> (i32, String) {
    let by_digest = image.by_digest();
    let run = |command: &str, what: &str| {
        world
            .keyless(command)
            .arg(what)
            .args(["--output", "json"])
            .args(world.expecting())
            .args(flags.split_whitespace())
            .run()
    };
    let blob = run("verify-blob", "file");
    let found = outcome(&blob);
    let of_image = outcome(&run("verify", &by_digest));
    assert_eq!(found, of_image, "{flags}: verify-blob, verify");
    found
}

fn outcome(run: &Run) -> (i32, String) {
    let document = run.json();
    let error = match &document["images"][0]["error"] {
        Value::Null => &document["error"],
        error => error,
    };
    let code = error["code"].as_str().unwrap_or_default();
    (run.code.unwrap(), code.to_owned())
}

fn found(exit: i32, code: &str) -> (i32, String) {
    (exit, code.to_owned())
}

/// Changes the trusted root and writes it as `root.json`.
fn root_with(world: &World, change: impl FnOnce(&mut Value)) {
    let mut root: Value = serde_json::from_str(&world.sandbox.trusted_root()).unwrap();
    change(&mut root);
    world.write("root.json", root.to_string());
}

#[test]
fn one_operator_is_not_two() {
    let (world, image) = signed(RekorVersion::V1);
    let judge = |flags: &str| judge_both(&world, &image, flags);
    for passes in [
        "",
        "--log-threshold 1 --timestamp-threshold 1 --sct-threshold 1",
        "--timestamp-threshold 0",
    ] {
        assert_eq!(judge(passes), found(0, ""), "{passes}");
    }
    assert_eq!(judge("--log-threshold 2"), found(32, "log-threshold"));
    assert_eq!(
        judge("--timestamp-threshold 2"),
        found(33, "timestamp-threshold")
    );
    assert_eq!(judge("--sct-threshold 2"), found(34, "sct-threshold"));
    let run = world
        .keyless("verify-blob file --log-threshold 2")
        .args(world.expecting())
        .run()
        .exits(32);
    run.says("expected: 2 distinct operators\n  found:    1: ");
}

#[test]
fn a_timestamp_is_asked_for_where_a_log_promises_the_time() {
    let (world, image) = signed(RekorVersion::V1);
    root_with(&world, |root| root["timestampAuthorities"] = json!([]));
    let judge =
        |flags: &str| judge_both(&world, &image, &format!("{flags} --trusted-root root.json"));
    assert_eq!(judge(""), found(0, ""));
    assert_eq!(
        judge("--timestamp-threshold 1"),
        found(33, "timestamp-threshold")
    );
}

#[test]
fn thresholds_are_numbers_and_no_less_than_what_is_always_asked() {
    let (world, image) = signed(RekorVersion::V1);
    for flags in [
        "--log-threshold 0",
        "--sct-threshold 0",
        "--log-threshold -1",
        "--timestamp-threshold -1",
        "--timestamp-threshold x",
        "--log-threshold",
    ] {
        for (command, what) in [("verify-blob", "file"), ("verify", &image.by_digest())] {
            world
                .keyless(command)
                .arg(what)
                .args(world.expecting())
                .args(flags.split_whitespace())
                .run()
                .exits(2);
        }
    }
}

/// Another sandbox logs and stamps the same signature; both are trusted.
#[test]
fn two_operators_are_two_and_one_with_two_services_is_not() {
    let (world, other) = (World::new(), World::new());
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let mut bundle = Bundle::parse(world.read("file.sigstore.json").as_bytes()).unwrap();
    let signature = bundle.content.signature().to_vec();
    let KeyMaterial::Certificate(leaf) = &bundle.key_material else {
        panic!("sign-blob uses a certificate");
    };
    let proposal = propose_hashedrekord_v001(&Digest::sha256(b"content"), &signature, leaf);
    let log = other.sandbox.url(Service::RekorV1).parse().unwrap();
    let stamps: Value =
        serde_json::from_str(&other.sandbox.signing_config(RekorVersion::V1)).unwrap();
    let stamps = stamps["tsaUrls"][0]["url"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let (entry, timestamp) = other.block_on(async {
        let http = HttpClient::new();
        let entry = rekor::add_entry_v1(&http, &log, proposal).await.unwrap();
        let digest = Digest::sha256(&signature);
        let timestamp = tsa::request_timestamp(&http, &stamps, &digest).await;
        (entry, timestamp.unwrap())
    });
    bundle.log_entries.push(entry);
    bundle.timestamps.push(timestamp);
    world.write("two.json", bundle.encode());
    let theirs: Value = serde_json::from_str(&other.sandbox.trusted_root()).unwrap();
    let judge = |operators: [&str; 2], flags: &str| {
        root_with(&world, |root| {
            for section in ["tlogs", "timestampAuthorities"] {
                let set = |instances: &mut Vec<Value>, operator: &str| {
                    for instance in instances {
                        instance["operator"] = operator.into();
                    }
                };
                let mut theirs = theirs[section].as_array().unwrap().clone();
                let ours = root[section].as_array_mut().unwrap();
                set(ours, operators[0]);
                set(&mut theirs, operators[1]);
                ours.append(&mut theirs);
            }
        });
        let run = world
            .keyless("verify-blob file --bundle two.json --trusted-root root.json --output json")
            .args(world.expecting())
            .args(flags.split_whitespace())
            .run();
        outcome(&run)
    };
    let both = "--log-threshold 2 --timestamp-threshold 2";
    assert_eq!(judge(["a", "b"], both), found(0, ""));
    assert_eq!(
        judge(["a", "b"], "--log-threshold 3"),
        found(32, "log-threshold")
    );
    assert_eq!(
        judge(["a", "a"], "--log-threshold 2"),
        found(32, "log-threshold")
    );
    assert_eq!(
        judge(["a", "a"], "--timestamp-threshold 2"),
        found(33, "timestamp-threshold")
    );
}

/// Verifies the file with text output, then image and file with JSON; the waived checks of each must be
/// those.
fn shows_waivers(world: &World, image: &Image, flags: &str, waivers: &[(&str, &str)]) {
    let by_digest = image.by_digest();
    for (command, what) in [("verify-blob", "file"), ("verify", &by_digest)] {
        let run = |more: &[&str]| {
            world
                .keyless(command)
                .arg(what)
                .args(world.expecting())
                .args(flags.split_whitespace())
                .args(more)
                .run()
                .exits(0)
        };
        let text = run(&[]);
        let shown = text.stdout.matches("  WAIVED     ").count();
        assert_eq!(shown, waivers.len(), "{text:#?}");
        let told = run(&["--explain"]);
        let document = run(&["--output", "json", "--explain"]).json();
        let signature = match &document["images"][0]["signatures"][0] {
            Value::Null => &document["blobs"][0]["signature"],
            signature => signature,
        };
        let names: Vec<&str> = waivers.iter().map(|(name, _)| *name).collect();
        assert_eq!(signature["waived"], json!(names), "{flags}");
        let checks = signature["checks"].as_array().unwrap();
        let waived: Vec<&Value> = checks.iter().filter(|c| c["outcome"] == "waived").collect();
        assert_eq!(waived.len(), waivers.len(), "{flags}");
        for ((name, flag), check) in waivers.iter().zip(waived) {
            assert!(text.stdout.contains(&format!("({flag})")), "{text:#?}");
            assert!(told.stdout.contains(&format!(", {flag})")), "{told:#?}");
            assert_eq!(check["code"], *name);
            assert_eq!(check["checks"], json!([]), "nothing of it ran");
        }
        // What was not looked at is not reported as if it had been.
        if names.contains(&"transparency-log") {
            assert_eq!(signature["logEntries"], json!([]));
        }
        if names.contains(&"signed-certificate-timestamp") {
            assert_eq!(signature["signedCertificateTimestamps"], Value::Null);
        }
    }
}

const TLOG: (&str, &str) = ("transparency-log", "--insecure-ignore-tlog");
const SCT: (&str, &str) = ("signed-certificate-timestamp", "--insecure-ignore-sct");

#[test]
fn a_waived_log_is_not_looked_at_and_every_output_says_so() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let (world, image) = signed(rekor);
        root_with(&world, |root| root["tlogs"] = json!([]));
        let judge = |flags: &str| judge_both(&world, &image, flags);
        let root = "--trusted-root root.json";
        assert_eq!(judge(root), found(32, "log-unknown"));
        let waived = format!("{root} --insecure-ignore-tlog");
        assert_eq!(judge(&waived), found(0, ""));
        shows_waivers(&world, &image, &waived, &[TLOG]);
        shows_waivers(&world, &image, "", &[]);
        // Nothing else is waived with it.
        let scts = format!("{waived} --sct-threshold 2");
        assert_eq!(judge(&scts), found(34, "sct-threshold"));
    }
}

#[test]
fn a_waived_promise_is_not_looked_at_and_every_output_says_so() {
    let (world, image) = signed(RekorVersion::V1);
    root_with(&world, |root| root["ctlogs"] = json!([]));
    let judge = |flags: &str| judge_both(&world, &image, flags);
    let root = "--trusted-root root.json";
    assert_eq!(judge(root), found(34, "sct-untrusted"));
    let waived = format!("{root} --insecure-ignore-sct");
    assert_eq!(judge(&waived), found(0, ""));
    shows_waivers(&world, &image, &waived, &[SCT]);
    let logs = format!("{waived} --log-threshold 2");
    assert_eq!(judge(&logs), found(32, "log-threshold"));
    let both = "--insecure-ignore-sct --insecure-ignore-tlog";
    shows_waivers(&world, &image, both, &[TLOG, SCT]);
}

/// Without the log's promise the time must come from an authority, and never from a clock.
#[test]
fn a_waived_log_vouches_for_no_time() {
    let (world, image) = signed(RekorVersion::V1);
    root_with(&world, |root| root["timestampAuthorities"] = json!([]));
    let judge = |flags: &str| judge_both(&world, &image, flags);
    let root = "--trusted-root root.json";
    assert_eq!(judge(root), found(0, ""));
    assert_eq!(
        judge(&format!("{root} --insecure-ignore-tlog")),
        found(33, "no-trusted-time")
    );
}

#[test]
fn a_waiver_accepts_nothing_else() {
    let (world, image) = signed(RekorVersion::V1);
    let waived = "--insecure-ignore-tlog --insecure-ignore-sct";
    let judge = |flags: &str| judge_both(&world, &image, &format!("{waived} {flags}"));
    root_with(&world, |root| root["certificateAuthorities"] = json!([]));
    assert_eq!(
        judge("--trusted-root root.json"),
        found(31, "certificate-authority-not-valid-at")
    );
    let blob = |identity: &str| {
        world
            .keyless("verify-blob file --output json")
            .args(world.expecting_of(identity))
            .args(waived.split_whitespace())
            .run()
    };
    blob("other@example.test").fails(12, "identity-mismatch");
    world.write("file", "other content");
    blob(crate::support::IDENTITY).fails(21, "artifact-mismatch");
}

#[test]
fn a_check_is_either_waived_or_asked_more_of() {
    let (world, image) = signed(RekorVersion::V1);
    for flags in [
        "--insecure-ignore-tlog --log-threshold 2",
        "--insecure-ignore-sct --sct-threshold 2",
    ] {
        assert_eq!(
            judge_both(&world, &image, flags),
            found(2, "usage-conflict"),
            "{flags}"
        );
    }
}

/// Neither the environment nor a file may waive a check or lower a threshold: whoever sets those is not
/// whoever reads the command.
#[test]
fn nothing_but_the_command_line_waives() {
    let (world, image) = signed(RekorVersion::V1);
    root_with(&world, |root| {
        root["tlogs"] = json!([]);
        root["ctlogs"] = json!([]);
    });
    let options = [
        "insecure-ignore-tlog",
        "insecure-ignore-sct",
        "ignore-tlog",
        "ignore-sct",
        "log-threshold",
        "sct-threshold",
        "waive",
    ];
    let toml: String = options
        .iter()
        .map(|name| format!("{name} = true\n"))
        .collect();
    let elsewhere = world.path_elsewhere("");
    for file in [
        "keyless.toml",
        ".keyless.toml",
        ".keyless",
        "keyless.conf",
        ".keylessrc",
        ".config/keyless.toml",
        ".config/keyless/config.toml",
        ".sigstore/config.toml",
    ] {
        for folder in [world.path(""), elsewhere.clone()] {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &toml).unwrap();
        }
    }
    let judge = |root: &str, extra: &[&str]| {
        let by_digest = image.by_digest();
        [("verify-blob", "file"), ("verify", &by_digest)].map(|(command, what)| {
            let mut run = world
                .keyless(command)
                .args([what, "--output", "json", "--trusted-root", root])
                .args(world.expecting())
                .args(extra);
            let waives = ["--insecure-ignore-tlog --insecure-ignore-sct".to_owned()];
            for prefix in ["KEYLESS", "COSIGN", "SIGSTORE", "TUF", "CLAP", ""] {
                for option in options {
                    let name = option.replace('-', "_");
                    let name = format!("{prefix}_{name}")
                        .trim_start_matches('_')
                        .to_owned();
                    run = run.env(&name.to_uppercase(), "1").env(&name, "true");
                }
                for name in ["OPTIONS", "FLAGS", "ARGS", "EXPERIMENTAL", "CONFIG"] {
                    let name = format!("{prefix}_{name}");
                    run = run.env(name.trim_start_matches('_'), &waives[0]);
                }
            }
            let config = elsewhere.join(".config");
            run.env("XDG_CONFIG_HOME", config.to_str().unwrap()).run()
        })
    };
    for run in judge("root.json", &[]) {
        assert_eq!(outcome(&run), found(32, "log-unknown"), "{run:#?}");
    }
    for run in judge("root.json", &["--insecure-ignore-tlog"]) {
        assert_eq!(outcome(&run), found(34, "sct-untrusted"), "{run:#?}");
    }
    // Nor does anything of it show up where all is well.
    world.write("whole.json", world.sandbox.trusted_root());
    for run in judge("whole.json", &[]) {
        assert_eq!(outcome(&run), found(0, ""), "{run:#?}");
        assert!(!run.stdout.contains("insecure") && !run.stdout.contains("\"transparency-log\""));
    }
    // The environment stands for the options that the help says, and for no other: which Sigstore it is, and how a
    // registry is reached. Nothing of it waives.
    for command in [
        "verify",
        "verify-blob",
        "sign",
        "sign-blob",
        "attach bundle",
    ] {
        let help = world.keyless(command).arg("--help").run().exits(0);
        let variables = help.stdout.matches("[env: ");
        let known = [
            "KEYLESS_TRUSTED_ROOT=",
            "KEYLESS_SIGNING_CONFIG=",
            "COSIGN_REGISTRY_CACERT=",
            "COSIGN_REGISTRY_CLIENT_CERT=",
            "COSIGN_REGISTRY_CLIENT_KEY=",
            "COSIGN_REGISTRY_SERVER_NAME=",
            "COSIGN_REGISTRY_USERNAME]",
            "COSIGN_REGISTRY_PASSWORD]",
            "COSIGN_REGISTRY_TOKEN]",
            "COSIGN_REPOSITORY=",
            "COSIGN_MAX_ATTACHMENT_SIZE=",
            "KEYLESS_REGISTRY_TRUSTED_REALM=",
        ];
        let known = known.map(|name| help.stdout.matches(&format!("[env: {name}")).count());
        assert_eq!(variables.count(), known.iter().sum::<usize>());
    }
}

/// Signing and attaching verify too, and let nothing be left out.
#[test]
fn what_is_published_was_verified_whole() {
    let (world, image) = signed(RekorVersion::V1);
    let by_digest = image.by_digest();
    world
        .keyless("sign --upload=false --bundle kept.json")
        .arg(&by_digest)
        .run()
        .exits(0);
    let attach = format!("attach bundle {by_digest} kept.json");
    let expecting = world.expecting();
    let sign = format!("sign {by_digest}");
    let commands: [(&str, &[String]); 3] = [
        (&sign, &[]),
        ("sign-blob file --overwrite", &[]),
        (&attach, &expecting),
    ];
    for (command, flags) in commands {
        let run = |more: &[&str]| world.keyless(command).args(flags).args(more).run();
        for waiver in ["--insecure-ignore-tlog", "--insecure-ignore-sct"] {
            run(&[waiver]).exits(2).says("unexpected argument");
        }
        let text = run(&[]).exits(0);
        assert!(!text.stdout.contains("WAIVED"), "{text:#?}");
        let document = run(&["--output", "json"]).exits(0).json();
        let made = ["images", "blobs", "bundles"].map(|name| &document[name][0]["signature"]);
        let made: Vec<_> = made.iter().filter(|one| one.is_object()).collect();
        assert_eq!(made.len(), 1, "{command}");
        assert_eq!(made[0]["waived"], json!([]), "{command}");
    }
}

/// A file signed by a GitHub workflow of the sandbox.
fn signed_by_workflow() -> World {
    let world = World::new();
    world.write("file", "content");
    let mut request = TokenRequest::new(WORKFLOW);
    request.kind = Some(TokenKind::GithubWorkflow);
    let token = world.token(&request);
    let sign = world.keyless("sign-blob file --identity-token");
    sign.arg(token).run().exits(0);
    world
}

fn verify_workflow(world: &World, flags: &[&str]) -> Run {
    world
        .keyless("verify-blob file --output json")
        .args(world.expecting_of(WORKFLOW))
        .args(flags)
        .run()
}

#[test]
fn every_claim_that_a_certificate_has_can_be_asked_for() {
    let world = signed_by_workflow();
    let run = verify_workflow(&world, &[]).exits(0);
    let document = run.json();
    let claims = document["blobs"][0]["signature"]["signer"]["claims"]
        .as_object()
        .unwrap();
    assert!(claims.len() >= 20, "{claims:?}");
    for (name, value) in claims {
        let value = value.as_str().unwrap();
        let ask = |value: &str| {
            verify_workflow(&world, &["--certificate-claim", &format!("{name}={value}")])
        };
        ask(value).exits(0);
        let run = ask(&format!("{value}x")).fails(12, "claim-mismatch");
        let run = run.says(&format!("error: certificate claim {name} does not match"));
        assert_eq!(
            run.json()["error"]["details"],
            json!([
                { "name": "expected", "value": format!("{value}x") },
                { "name": "found", "value": value },
            ])
        );
    }
    // A claim that others have and this one lacks.
    let lacks = ["--certificate-claim", "deployment-environment=production"];
    let run = verify_workflow(&world, &lacks).fails(12, "claim-mismatch");
    run.says("found:    no such claim");
}

#[test]
fn cosigns_names_of_claims() {
    let world = signed_by_workflow();
    let document = verify_workflow(&world, &[]).exits(0).json();
    let claims = &document["blobs"][0]["signature"]["signer"]["claims"];
    for name in ["trigger", "sha", "name", "repository", "ref"] {
        let value = claims[format!("github-workflow-{name}")].as_str().unwrap();
        let flag = format!("--certificate-github-workflow-{name}");
        verify_workflow(&world, &[&flag, value]).exits(0);
        let other = format!("{value}x");
        let run = verify_workflow(&world, &[&flag, &other]).fails(12, "claim-mismatch");
        run.says(&format!("github-workflow-{name} does not match"));
        verify_workflow(&world, &[&flag, ""]).fails(2, "usage-empty-value");
    }
}

#[test]
fn all_claims_must_match() {
    let world = signed_by_workflow();
    let repository = "--certificate-claim=source-repository-uri=https://github.com/org/app";
    let reference = "--certificate-claim=source-repository-ref=refs/tags/v1";
    verify_workflow(&world, &[repository, reference]).exits(0);
    for wrong in [
        "--certificate-claim=source-repository-ref=refs/tags/v2",
        "--certificate-github-workflow-ref=refs/heads/main",
        // No prefix, no pattern, no other case.
        "--certificate-claim=source-repository-ref=refs/tags/v",
        "--certificate-claim=source-repository-ref=refs/tags/.*",
        "--certificate-claim=source-repository-ref=refs/tags/V1",
    ] {
        for flags in [[repository, wrong], [wrong, repository]] {
            verify_workflow(&world, &flags).fails(12, "claim-mismatch");
        }
    }
    // The identity is asked for as before.
    world
        .keyless("verify-blob file --output json")
        .args(world.expecting())
        .arg(repository)
        .run()
        .fails(12, "identity-mismatch");
    world
        .keyless("verify-blob file --output json")
        .arg(repository)
        .run()
        .fails(2, "usage-identity-missing");
}

#[test]
fn claims_of_images_are_checked_too() {
    let world = World::new();
    let image = world.image("v1");
    let mut request = TokenRequest::new(WORKFLOW);
    request.kind = Some(TokenKind::GithubWorkflow);
    let token = world.token(&request);
    world
        .keyless("sign --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
    let judge = |reference: &str| {
        let run = world
            .keyless("verify --output json --certificate-github-workflow-ref")
            .args([reference, &image.by_digest()])
            .args(world.expecting_of(WORKFLOW))
            .run();
        outcome(&run)
    };
    assert_eq!(judge("refs/tags/v1"), found(0, ""));
    assert_eq!(judge("refs/tags/v2"), found(12, "claim-mismatch"));
}

#[test]
fn a_claim_that_nobody_has_is_usage() {
    let world = signed_by_workflow();
    for (claim, code) in [
        ("source-repository", "usage-claim"),
        ("no-such-claim=x", "usage-claim"),
        ("Issuer=x", "usage-claim"),
        ("=x", "usage-claim"),
        ("", "usage-claim"),
        ("issuer=", "usage-empty-value"),
    ] {
        let run = verify_workflow(&world, &["--certificate-claim", claim]).fails(2, code);
        if code == "usage-claim" {
            run.says("source-repository-uri");
        }
    }
}

/// What the log, the authority and the key of a bundle vouch for stays tied to that bundle.
#[test]
fn evidence_of_another_signature_does_not_count() {
    let (world, other) = (World::new(), World::new());
    for each in [&world, &other] {
        each.write("file", "content");
        each.keyless("sign-blob file").run().exits(0);
    }
    let read = |world: &World| Bundle::parse(world.read("file.sigstore.json").as_bytes()).unwrap();
    let (mut bundle, theirs) = (read(&world), read(&other));
    assert!(matches!(bundle.content, Content::MessageSignature { .. }));
    bundle.log_entries.extend(theirs.log_entries);
    world.write("file.sigstore.json", bundle.encode());
    root_with(&world, |root| {
        let theirs: Value = serde_json::from_str(&other.sandbox.trusted_root()).unwrap();
        let theirs = theirs["tlogs"].as_array().unwrap().clone();
        root["tlogs"].as_array_mut().unwrap().extend(theirs);
    });
    world
        .keyless("verify-blob file --trusted-root root.json --log-threshold 2 --output json")
        .args(world.expecting())
        .run()
        .fails(32, "log-entry-mismatch");
}
