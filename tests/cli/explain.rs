//! `--explain`: the tree of checks for people and in JSON, and the command that would accept the signer.
//! `KEYLESS_BLESS=1` writes the files in `explain/` anew; their data is recorded and does not change.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keyless::format::oci::{
    BUNDLE_ARTIFACT_TYPE, Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, OCI_MANIFEST,
};
use keyless::sandbox::{RekorVersion, TokenKind, TokenRequest};
use serde_json::{Value, json};

use crate::support::{IDENTITY, REPOSITORY, Run, World};

const CAPTURED_IDENTITY: &str = "dev@test.invalid";
const CAPTURED_ISSUER: &str = "http://127.0.0.1:25557";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Puts what cosign signed, and what it is judged against, into the work folder.
fn captured(world: &World, bundle: &str) {
    let captures = folder("fixtures/captures");
    for (from, to) in [
        ("blob/blob.bin".to_owned(), "blob.bin"),
        ("trusted_root.json".to_owned(), "root.json"),
        (format!("blob/bundle.{bundle}.json"), "bundle.json"),
    ] {
        world.write(to, std::fs::read(captures.join(from)).unwrap());
    }
}

fn judge_captured(world: &World, identity: &str, flags: &str) -> Run {
    world
        .keyless("verify-blob blob.bin --bundle bundle.json --trusted-root root.json")
        .args(["--certificate-identity", identity])
        .args(["--certificate-oidc-issuer", CAPTURED_ISSUER])
        .args(flags.split_whitespace())
        .run()
}

/// Compares a run with its file.
fn golden(name: &str, run: &Run) {
    let path = folder("tests/cli/explain").join(format!("{name}.txt"));
    let exit = run.code.unwrap();
    let found = format!("{}{}exit code {exit}\n", run.stdout, run.stderr);
    if std::env::var_os("KEYLESS_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "{name}.txt differs; KEYLESS_BLESS=1 writes it anew"
    );
}

#[test]
fn explanations_of_recorded_bundles() {
    let world = World::new();
    captured(&world, "rekor1-tsa");
    let run = judge_captured(&world, CAPTURED_IDENTITY, "--explain").exits(0);
    golden("accepted.rekor1-tsa", &run);
    captured(&world, "rekor2-tsa");
    let run = judge_captured(&world, "ci@test.invalid", "--explain").exits(12);
    golden("refused-identity.rekor2-tsa", &run);
    captured(&world, "rekor1");
    let flags = "--explain --insecure-ignore-sct";
    let text = world.read("bundle.json");
    let mut bundle: Value = serde_json::from_str(&text).unwrap();
    let promise = "/verificationMaterial/tlogEntries/0/inclusionPromise/signedEntryTimestamp";
    let promise = bundle.pointer_mut(promise).unwrap();
    *promise = promise.as_str().unwrap().replace("ME", "MF").into();
    world.write("bundle.json", bundle.to_string());
    let run = judge_captured(&world, CAPTURED_IDENTITY, flags).exits(32);
    golden("refused-promise.rekor1", &run);
    captured(&world, "attest.rekor2-tsa");
    let run = judge_captured(&world, CAPTURED_IDENTITY, "--explain").exits(10);
    golden("refused-attestation.rekor2-tsa", &run);
}

/// The checks of a document of one file or image, wherever they are.
fn checks(document: &Value) -> &Vec<Value> {
    let places = [
        "/checks",
        "/blobs/0/signature/checks",
        "/images/0/signatures/0/checks",
        "/images/0/refused/0/checks",
    ];
    let found = places
        .iter()
        .find_map(|place| document.pointer(place)?.as_array());
    found.unwrap_or_else(|| panic!("no checks in {document}"))
}

fn walk<'a>(checks: &'a [Value], found: &mut Vec<&'a Value>) {
    for check in checks {
        found.push(check);
        walk(check["checks"].as_array().unwrap(), found);
    }
}

/// Every check of the tree.
fn all(checks: &[Value]) -> Vec<&Value> {
    let mut found = Vec::new();
    walk(checks, &mut found);
    found
}

fn of_outcome<'a>(checks: &'a [Value], outcome: &str) -> Vec<&'a str> {
    let all = all(checks).into_iter();
    let such = all.filter(|check| check["outcome"] == outcome);
    such.map(|check| check["check"].as_str().unwrap()).collect()
}

#[test]
fn the_tree_for_people_and_the_one_for_machines_are_one() {
    let world = World::new();
    for (bundle, identity, flags) in [
        ("rekor1-tsa", CAPTURED_IDENTITY, ""),
        ("rekor2-tsa", "ci@test.invalid", ""),
        ("rekor1", CAPTURED_IDENTITY, "--insecure-ignore-tlog"),
        (
            "attest.rekor1-tsa",
            CAPTURED_IDENTITY,
            "--any-statement --insecure-ignore-sct",
        ),
        ("attest.rekor1", CAPTURED_IDENTITY, "--log-threshold 2"),
    ] {
        captured(&world, bundle);
        let text = judge_captured(&world, identity, &format!("{flags} --explain"));
        let json = judge_captured(
            &world,
            identity,
            &format!("{flags} --explain --output json"),
        );
        assert_eq!(text.code, json.code);
        let document = json.json();
        let all = all(checks(&document));
        let tree = format!("{}{}", text.stdout, text.stderr);
        let tree = tree.split("checks:\n").nth(1).unwrap();
        let lines: Vec<&str> = tree.lines().filter(|line| line.ends_with(']')).collect();
        assert_eq!(lines.len(), all.len(), "{text:#?}");
        for (line, check) in lines.iter().zip(&all) {
            let mark = match check["outcome"].as_str().unwrap() {
                "passed" => "  ok ",
                "refused" => "  REFUSED ",
                "not-counted" => "  - ",
                "waived" => "  WAIVED ",
                _ => "  not run ",
            };
            assert!(line.starts_with(mark), "{line:?}: {check}");
            assert!(
                line.contains(check["title"].as_str().unwrap()),
                "{line:?}: {check}"
            );
            let clause = check["clause"].as_str().unwrap();
            assert!(line.ends_with(&format!("[{clause}]")), "{line:?}: {check}");
        }
        for fact in all
            .iter()
            .flat_map(|check| check["facts"].as_array().unwrap())
        {
            let (name, value) = (
                fact["name"].as_str().unwrap(),
                fact["value"].as_str().unwrap(),
            );
            assert!(tree.contains(&format!(" {name}: {value}\n")), "{fact}");
        }
    }
}

/// A refusal is one path from the root to the check that refused, with the error's code all along; an
/// acceptance has none.
#[test]
fn what_is_refused_is_one_path() {
    let world = World::new();
    for (bundle, identity, flags, path) in [
        ("rekor1-tsa", CAPTURED_IDENTITY, "", &[][..]),
        ("rekor1-tsa", "ci@test.invalid", "", &["signer"]),
        ("attest.rekor1", CAPTURED_IDENTITY, "", &["content"]),
        (
            "rekor1",
            CAPTURED_IDENTITY,
            "--timestamp-threshold 1",
            &["timestamps", "threshold"],
        ),
        (
            "rekor2-tsa",
            CAPTURED_IDENTITY,
            "--log-threshold 2",
            &["log-entries", "threshold"],
        ),
        (
            "rekor2-tsa",
            CAPTURED_IDENTITY,
            "--sct-threshold 2",
            &["signed-certificate-timestamps", "threshold"],
        ),
    ] {
        captured(&world, bundle);
        let flags = format!("{flags} --explain --output json");
        let document = judge_captured(&world, identity, &flags).json();
        let checks = checks(&document);
        assert_eq!(of_outcome(checks, "refused"), path, "{bundle} {flags}");
        let code = &document["error"]["code"];
        for check in all(checks)
            .iter()
            .filter(|check| check["outcome"] == "refused")
        {
            assert_eq!(check["code"], *code);
            assert_eq!(check["message"], document["error"]["message"]);
        }
        // Nothing stands twice under one check.
        for check in all(checks) {
            let facts = check["facts"].as_array().unwrap();
            for (index, fact) in facts.iter().enumerate() {
                assert!(!facts[..index].contains(fact), "{check}");
            }
        }
    }
}

#[test]
fn what_comes_after_a_refusal_did_not_run() {
    let world = World::new();
    captured(&world, "rekor1");
    world.write("blob.bin", "other content");
    let flags = "--explain --output json --insecure-ignore-sct";
    let document = judge_captured(&world, CAPTURED_IDENTITY, flags).fails(21, "artifact-mismatch");
    let document = document.json();
    let checks = checks(&document);
    assert_eq!(of_outcome(checks, "passed"), [""; 0]);
    assert_eq!(
        of_outcome(checks, "refused"),
        ["signature", "message-digest"]
    );
    let waived = ["signed-certificate-timestamps"];
    assert_eq!(of_outcome(checks, "waived"), waived);
    assert_eq!(
        of_outcome(checks, "not-reached"),
        [
            "timestamps",
            "log-entries",
            "observed-times",
            "certificate",
            "content",
            "signer"
        ]
    );
}

#[test]
fn explaining_changes_no_verdict_and_is_only_added() {
    let world = World::new();
    for (bundle, identity) in [
        ("rekor1-tsa", CAPTURED_IDENTITY),
        ("rekor1", "ci@test.invalid"),
        ("attest.rekor2-tsa", CAPTURED_IDENTITY),
    ] {
        captured(&world, bundle);
        let brief = judge_captured(&world, identity, "");
        let told = judge_captured(&world, identity, "--explain");
        assert_eq!(brief.code, told.code);
        assert!(told.stdout.starts_with(&brief.stdout), "{told:#?}");
        assert!(told.stderr.ends_with(&brief.stderr), "{told:#?}");
        assert!(!brief.stdout.contains("checks") && !brief.stderr.contains("checks"));
        let mut document = judge_captured(&world, identity, "--explain --output json").json();
        let brief = judge_captured(&world, identity, "--output json").json();
        for place in ["/checks", "/blobs/0/signature/checks"] {
            if let Some(checks) = document.pointer_mut(place) {
                assert!(checks.is_array(), "{document}");
                *checks = Value::Null;
            }
        }
        assert_eq!(document, brief);
    }
}

/// The program ends before a verdict: the members are there and say nothing.
#[test]
fn without_a_verdict_there_is_nothing_to_explain() {
    let world = World::new();
    captured(&world, "rekor1");
    for (bundle, root, more, code) in [
        ("absent", "root.json", "", "file-not-found"),
        ("blob.bin", "root.json", "", "bundle-malformed"),
        ("bundle.json", "blob.bin", "", "trusted-root-malformed"),
        (
            "bundle.json",
            "root.json",
            "--insecure-ignore-tlog --log-threshold 2",
            "usage-conflict",
        ),
    ] {
        let run = world
            .keyless("verify-blob blob.bin --explain --output json")
            .args(["--bundle", bundle, "--trusted-root", root])
            .args([
                "--certificate-identity",
                "x",
                "--certificate-oidc-issuer",
                "y",
            ])
            .args(more.split_whitespace())
            .run();
        let document = run.json();
        assert_eq!(document["error"]["code"], code, "{run:#?}");
        assert_eq!(document["checks"], Value::Null);
        assert_eq!(document["acceptingCommand"], Value::Null);
        assert!(!run.stderr.contains("checks"), "{run:#?}");
    }
}

/// One of a log's periods of trust held: that another did not is no refusal, and nothing within it is.
#[test]
fn a_way_that_did_not_hold_is_no_refusal() {
    let world = World::new();
    captured(&world, "rekor1");
    let mut root: Value = serde_json::from_str(&world.read("root.json")).unwrap();
    let mut ended = root["tlogs"].as_array().unwrap().clone();
    for log in &mut ended {
        log["publicKey"]["validFor"] =
            json!({ "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z" });
    }
    let logs = root["tlogs"].as_array().unwrap();
    let both: Vec<Value> = ended.iter().chain(logs).cloned().collect();
    let mut judge = |logs: Vec<Value>| {
        root["tlogs"] = logs.into();
        world.write("root.json", root.to_string());
        judge_captured(&world, CAPTURED_IDENTITY, "--explain --output json")
    };
    let document = judge(both).exits(0).json();
    let found = checks(&document);
    assert_eq!(of_outcome(found, "refused"), [""; 0]);
    let no_evidence = ["timestamps", "log-key", "inclusion-promise"];
    assert_eq!(of_outcome(found, "not-counted"), no_evidence);
    for check in all(found)
        .iter()
        .filter(|check| check["outcome"] == "not-counted")
        .skip(1)
    {
        assert_eq!(check["code"], "log-key-not-valid-at");
    }
    // Alone, it is what refuses.
    let document = judge(ended).fails(32, "log-key-not-valid-at").json();
    let path = ["log-entries", "log-entry", "log-key", "inclusion-promise"];
    assert_eq!(of_outcome(checks(&document), "refused"), path);
}

#[test]
fn evidence_of_nobody_is_not_counted() {
    let world = World::new();
    captured(&world, "rekor1-tsa");
    let mut root: Value = serde_json::from_str(&world.read("root.json")).unwrap();
    root["timestampAuthorities"] = json!([]);
    world.write("root.json", root.to_string());
    let flags = "--explain --output json";
    let document = judge_captured(&world, CAPTURED_IDENTITY, flags)
        .exits(0)
        .json();
    let not_counted = ["timestamps", "timestamp"];
    assert_eq!(of_outcome(checks(&document), "not-counted"), not_counted);
    let run = judge_captured(&world, CAPTURED_IDENTITY, "--explain").exits(0);
    run.shows("  -         timestamps (no evidence: ");
    root["ctlogs"] = json!([]);
    world.write("root.json", root.to_string());
    let document = judge_captured(&world, CAPTURED_IDENTITY, flags).fails(34, "sct-untrusted");
    let document = document.json();
    let not_counted = ["timestamps", "timestamp", "signed-certificate-timestamp"];
    assert_eq!(of_outcome(checks(&document), "not-counted"), not_counted);
    assert_eq!(
        of_outcome(checks(&document), "refused"),
        ["signed-certificate-timestamps"]
    );
}

/// A log index that nobody signed for is not shown, wherever it stands in the bundle.
#[test]
fn an_index_that_nobody_vouches_for_is_not_shown() {
    let world = World::start(RekorVersion::V1, &[]);
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let mut bundle: Value = serde_json::from_str(&world.read("file.sigstore.json")).unwrap();
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    entry
        .as_object_mut()
        .unwrap()
        .shift_remove("inclusionPromise")
        .unwrap();
    entry["logIndex"] = "424242".into();
    world.write("file.sigstore.json", bundle.to_string());
    for flags in [&["--explain"][..], &["--explain", "--output", "json"]] {
        let run = world.keyless("verify-blob file").args(world.expecting());
        let run = run.args(flags).run().exits(0);
        assert!(!run.stdout.contains("424242"), "{run:#?}");
        assert!(run.stdout.contains("log index"), "{run:#?}");
    }
}

/// Attaches bytes as a bundle beside the registry's protocol.
fn put_bundle(world: &World, image: &crate::support::Image, bytes: &[u8]) {
    let registry = world.sandbox.registry();
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, bytes);
    let created = keyless::crypto::UnixTime::from_seconds(1_800_000_000);
    let predicate_type = "https://sigstore.dev/cosign/sign/v1";
    let manifest = EncodedManifest::for_bundle(&layer, &image.descriptor, predicate_type, created);
    registry.put_blob(REPOSITORY, EMPTY_CONFIG_BYTES).unwrap();
    registry.put_blob(REPOSITORY, bytes.to_vec()).unwrap();
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.bytes)
        .unwrap();
}

#[test]
fn each_signature_of_an_image_is_explained() {
    let world = World::new();
    let image = world.image("v1");
    let stranger = world.token(&TokenRequest::new("stranger@example.test"));
    for flags in [&[][..], &["--identity-token", &stranger]] {
        let run = world.keyless("sign").arg(image.by_digest()).args(flags);
        run.run().exits(0);
    }
    put_bundle(&world, &image, b"rubbish");
    let verify = |identity: &str, flags: &[&str]| {
        let run = world.keyless("verify").arg(image.by_digest());
        run.args(world.expecting_of(identity)).args(flags).run()
    };
    let document = verify(IDENTITY, &["--explain", "--output", "json"])
        .exits(0)
        .json();
    let verdict = &document["images"][0];
    let accepted = verdict["signatures"].as_array().unwrap();
    let refused = verdict["refused"].as_array().unwrap();
    assert_eq!((accepted.len(), refused.len()), (1, 2));
    assert_eq!(
        of_outcome(accepted[0]["checks"].as_array().unwrap(), "refused"),
        [""; 0]
    );
    assert_eq!(
        of_outcome(refused[0]["checks"].as_array().unwrap(), "refused"),
        ["signer"]
    );
    assert_eq!(refused[1]["checks"], Value::Null);
    assert_eq!(refused[1]["reason"]["code"], "bundle-malformed");
    let digest = |one: &Value| one["manifestDigest"].as_str().unwrap().to_owned();
    // What holds is on standard output, the rest beside it.
    let run = verify(IDENTITY, &["--explain"]).exits(0);
    let run = run.shows(&format!("checks of {}:\n", digest(&accepted[0])));
    let run = run.says(&format!("checks of {}:\n", digest(&refused[0])));
    let run = run.says(&format!("{} is not judged: ", digest(&refused[1])));
    assert_eq!(run.stdout.matches("checks of ").count(), 1);
    assert!(!run.stdout.contains("REFUSED") && run.stderr.contains("  REFUSED   who signed"));
    let run = verify(IDENTITY, &[]).exits(0);
    assert_eq!(run.stderr, "");
    let run = verify("nobody@example.test", &["--explain"]).exits(12);
    assert_eq!(run.stdout, "");
    assert_eq!(run.stderr.matches("checks of ").count(), 2);
}

/// Takes the suggested command from the text and from JSON, and gives it to a shell; returns both exit codes.
fn paste(world: &World, refused: impl Fn(&[&str]) -> Run) -> Vec<i32> {
    let text = refused(&[]);
    let hint = "hint: if this signer is intended: ";
    let hints: Vec<&str> = text
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix(hint))
        .collect();
    let [command] = hints[..] else {
        panic!("not one suggestion in {text:#?}");
    };
    let document = refused(&["--output", "json"]).json();
    let of_image = &document["images"][0]["acceptingCommand"];
    let of_blob = &document["acceptingCommand"];
    assert!(
        [of_image, of_blob].iter().any(|found| **found == command),
        "{document}"
    );
    let run = world.keyless("").command();
    let program = Path::new(env!("CARGO_BIN_EXE_keyless")).parent().unwrap();
    let mut codes = Vec::new();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for shell in ["/bin/sh", "/bin/bash"] {
        let Ok(mut child) = Command::new(shell)
            .args(["-c", command])
            .envs(
                run.get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .env("PATH", &path)
            .current_dir(world.path(""))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        else {
            continue;
        };
        codes.push(child.wait().unwrap().code().unwrap());
    }
    assert!(!codes.is_empty(), "there is a shell");
    codes.dedup();
    codes
}

#[test]
fn the_suggested_command_accepts_whoever_signed() {
    for signer in [
        "ann@example.test",
        "--insecure-ignore-tlog@example.test",
        "-x'`touch${IFS}pwned`'@example.test",
        "https://ci.example.test/$(touch${IFS}pwned)';touch${IFS}pwned;'",
        "=ls@example.test",
    ] {
        let world = World::new();
        let image = world.image("v1");
        let token = world.token(&TokenRequest::new(signer));
        for (name, bundle) in [("file", "b"), ("-x", "-b"), ("a b", "--key")] {
            world.write(name, "content");
            world
                .keyless("sign-blob --identity-token")
                .arg(&token)
                .args([&format!("--bundle={bundle}"), "--", name])
                .run()
                .exits(0);
            let expecting = world.expecting();
            let refused = |flags: &[&str]| {
                let run = world.keyless("verify-blob").args(&expecting).args(flags);
                let run = run.args(["--timestamp-threshold", "1", "--any-statement"]);
                let bundle = format!("--bundle={bundle}");
                run.args([&bundle, "--", name]).run().exits(12)
            };
            assert_eq!(paste(&world, refused), [0], "{signer} {name}");
        }
        world
            .keyless("sign -a k=v -a=-env=prod --identity-token")
            .args([token, image.by_digest()])
            .run()
            .exits(0);
        let refused = |flags: &[&str]| {
            let run = world.keyless("verify -a k=v --annotations=-env=prod");
            let run = run.arg(image.by_tag()).args(world.expecting()).args(flags);
            run.args(["--insecure-ignore-tlog"]).run().exits(12)
        };
        assert_eq!(paste(&world, refused), [0], "{signer}");
        assert!(!world.path("pwned").exists(), "{signer}");
    }
}

const WORKFLOW: &str = "https://github.com/org/app/.github/workflows/release.yml@refs/tags/v1";

/// A file signed by a workflow whose name is the stranger's choice.
fn signed_by_workflow(name: &str) -> World {
    let world = World::new();
    world.write("file", "content");
    let mut request = TokenRequest::new(WORKFLOW);
    request.kind = Some(TokenKind::GithubWorkflow);
    request.claims.insert("workflow".to_owned(), name.into());
    let token = world.token(&request);
    let run = world.keyless("sign-blob file --identity-token").arg(token);
    run.run().exits(0);
    world
}

/// Whoever asked for claims does not get a command that asks for none.
#[test]
fn the_suggested_command_asks_for_the_claims_that_were_asked_for() {
    let world = signed_by_workflow("it's $(touch pwned) --now");
    for (identity, claims) in [
        (
            WORKFLOW,
            vec!["--certificate-github-workflow-name", "other"],
        ),
        (
            IDENTITY,
            vec!["--certificate-github-workflow-name", "other"],
        ),
        (
            WORKFLOW,
            vec![
                "--certificate-claim=source-repository-ref=refs/tags/v2",
                "--certificate-claim=github-workflow-name=x",
                "--certificate-claim=deployment-environment=production",
            ],
        ),
    ] {
        let expecting = world.expecting_of(identity);
        let refused = |flags: &[&str]| {
            let run = world.keyless("verify-blob file").args(&expecting);
            run.args(&claims).args(flags).run().exits(12)
        };
        assert_eq!(paste(&world, refused), [0], "{claims:?}");
        let document = refused(&["--output", "json"]).json();
        let command = document["acceptingCommand"].as_str().unwrap();
        let name = r"--certificate-claim 'github-workflow-name=it'\''s $(touch pwned) --now'";
        assert!(command.contains(name), "{command}");
        let reference = "--certificate-claim source-repository-ref=refs/tags/v1";
        assert_eq!(command.contains(reference), claims.len() == 3, "{command}");
        assert!(!command.contains("deployment-environment"), "{command}");
    }
    assert!(!world.path("pwned").exists());
}

/// A command with what a terminal obeys or hides would not do what it seems to; none is suggested.
#[test]
fn a_name_that_cannot_be_shown_is_not_suggested() {
    for name in ["a\u{3}b", "a\nb", "a\u{1b}[2Jb", "a\u{202e}b", "a\u{200b}b"] {
        let world = signed_by_workflow(name);
        let run = |flags: &[&str]| {
            let run = world.keyless("verify-blob file --certificate-github-workflow-name x");
            run.args(world.expecting_of(WORKFLOW))
                .args(flags)
                .run()
                .exits(12)
        };
        let text = run(&[]);
        assert!(!text.stderr.contains("intended"), "{text:#?}");
        let document = run(&["--output", "json"]).json();
        assert_eq!(document["error"]["code"], "claim-mismatch");
        assert_eq!(document["acceptingCommand"], Value::Null);
        assert_eq!(document["error"]["hint"], Value::Null);
        // The machine reads what is there.
        let details = &document["error"]["details"];
        assert_eq!(details[1], json!({ "name": "found", "value": name }));
    }
}

#[test]
fn nothing_is_suggested_where_the_signer_is_not_why() {
    let world = World::new();
    captured(&world, "rekor1");
    for flags in ["--log-threshold 2", "--timestamp-threshold 1"] {
        let run = judge_captured(&world, CAPTURED_IDENTITY, flags);
        assert!(!run.stderr.contains("intended"), "{run:#?}");
        let run = judge_captured(&world, CAPTURED_IDENTITY, &format!("{flags} --output json"));
        assert_eq!(run.json()["acceptingCommand"], Value::Null);
    }
    // With a pattern that fits a part, both are offered: the pattern, and this signer alone.
    let run = world
        .keyless("verify-blob blob.bin --bundle bundle.json --trusted-root root.json")
        .args(["--certificate-identity", CAPTURED_IDENTITY])
        .args(["--certificate-oidc-issuer-regexp", "http:/"])
        .run()
        .exits(12);
    let run = run.says("hint: the pattern must match the whole value; this one would: http:/.*\n");
    run.says("hint: if this signer is intended: keyless verify-blob blob.bin ");
}

/// Text of a stranger is shown in part, and whole where a machine reads it.
#[test]
fn long_text_is_cut_for_people_alone() {
    let world = World::new();
    let long = format!("{}@example.test", "x".repeat(300));
    let token = world.token(&TokenRequest::new(long.clone()));
    world.write("file", "content");
    let run = world.keyless("sign-blob file --identity-token").arg(token);
    run.run().exits(0);
    let verify = |flags: &[&str]| {
        let run = world.keyless("verify-blob file --explain").args(flags);
        run.args(world.expecting_of(&long)).run().exits(0)
    };
    let text = verify(&[]);
    let tree = text.stdout.split("checks:").nth(1).unwrap();
    assert!(
        tree.contains("xxx…\n") && !tree.contains(&long),
        "{text:#?}"
    );
    assert!(
        verify(&["--output", "json"])
            .stdout
            .contains(&format!("{long} (issuer "))
    );
}
