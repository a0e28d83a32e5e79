//! `keyless sandbox`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};

use keyless::sandbox::TokenRequest;

use crate::support::{IDENTITY, World, wait};

const KEYLESS: &str = env!("CARGO_BIN_EXE_keyless");

/// A run that finds no sandbox in its environment.
fn keyless<'a>(world: &'a World, arguments: &str) -> crate::support::Keyless<'a> {
    let mut run = world.keyless(arguments);
    for (name, _) in world.sandbox.environment() {
        run = run.env_remove(&name);
    }
    run
}

#[test]
fn the_demo_signs_verifies_and_refuses() {
    let world = World::new();
    world.write("real.txt", "a real file");
    for rekor in ["v1", "v2"] {
        let run = keyless(&world, "sandbox demo real.txt --rekor")
            .arg(rekor)
            .run()
            .exits(0)
            .shows("app/real.txt (11 bytes)")
            .shows(&format!("identity   {IDENTITY}"))
            .shows("verdict    accepted (exit code 0)")
            .shows("REFUSED");
        assert!(run.stdout.ends_with("every forgery refused\n"), "{run:#?}");
        assert_eq!(run.stderr, "");
    }
    assert_eq!(world.files(), ["real.txt"]);
}

#[test]
fn the_demo_on_a_lying_service_fails() {
    let world = World::new();
    world.write("real.txt", "a real file");
    keyless(&world, "sandbox demo real.txt --fault fulcio-bad-sct")
        .run()
        .exits(34);
}

#[test]
fn a_command_runs_with_the_environment_and_needs_no_flags() {
    let world = World::new();
    world.write("file", "content");
    for rekor in ["v1", "v2"] {
        keyless(&world, "sandbox run --rekor")
            .args([rekor, "--identity", "ann@example.test", "--"])
            .args([KEYLESS, "sign-blob", "file", "--overwrite"])
            .run()
            .exits(0)
            .shows("ann@example.test");
    }
    let script = "\"$0\" verify-blob file --certificate-identity \"$SANDBOX_IDENTITY\" \
                  --certificate-oidc-issuer \"$SANDBOX_ISSUER\"";
    // Another sandbox: its root does not know the signature of the last.
    keyless(&world, "sandbox run -- /bin/sh -c")
        .args([script, KEYLESS])
        .run()
        .exits(32);
}

#[test]
fn the_exit_code_is_the_commands() {
    let world = World::new();
    for code in [0, 1, 7, 70] {
        keyless(&world, "sandbox run -- /bin/sh -c")
            .arg(format!("exit {code}"))
            .run()
            .exits(code);
    }
    keyless(&world, "sandbox run -- /bin/sh -c")
        .arg("kill -9 $$")
        .run()
        .exits(137);
    keyless(&world, "sandbox run -- ./absent")
        .run()
        .exits(3)
        .says("./absent");
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[test]
fn started_it_writes_its_environment_and_lasts_until_it_is_stopped() {
    let world = World::new();
    let kept = world.path_elsewhere("kept");
    let mut child = keyless(&world, "sandbox start --dir")
        .arg(&kept)
        .command()
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let environment: BTreeMap<String, String> = lines
        .by_ref()
        .take(21)
        .map(|line| {
            let line = line.unwrap();
            let (name, value) = line
                .strip_prefix("export ")
                .unwrap()
                .split_once('=')
                .unwrap();
            (name.to_owned(), value.trim_matches('\'').to_owned())
        })
        .collect();
    world.keep_secret(&environment["SIGSTORE_ID_TOKEN"]);
    let written = std::fs::read_to_string(kept.join("sandbox.env")).unwrap();
    assert_eq!(written.lines().count(), environment.len());

    world.write("file", "content");
    let mut sign = keyless(&world, "sign-blob file");
    for (name, value) in &environment {
        sign = sign.env(name, value);
    }
    sign.run().exits(0);
    let process = child.id().to_string();
    let killed = std::process::Command::new("/bin/sh")
        .args(["-c", "kill -TERM \"$0\"", &process])
        .status();
    assert!(killed.unwrap().success());
    wait(&mut child, "sandbox start");
    assert_eq!(child.wait().unwrap().code(), Some(0));

    // Started again on the folder, it trusts what was signed before.
    let script = "\"$0\" verify-blob file --certificate-identity \"$SANDBOX_IDENTITY\" \
                  --certificate-oidc-issuer \"$SANDBOX_ISSUER\"";
    keyless(&world, "sandbox run --dir")
        .arg(&kept)
        .args(["--", "/bin/sh", "-c", script, KEYLESS])
        .run()
        .exits(0);
}

#[test]
fn a_token_for_anybody() {
    let world = World::new();
    world.write("file", "content");
    // The token is what this command is for; it goes to standard output, and is none of the secrets.
    let run = world
        .keyless("sandbox token --identity bob@example.test")
        .run()
        .exits(0);
    let token = run.stdout.trim_end();
    assert_eq!(token.split('.').count(), 3, "{run:#?}");
    world
        .keyless("sign-blob file --identity-token")
        .arg(token)
        .run()
        .exits(0)
        .shows("bob@example.test");
    for (arguments, code) in [
        ("--audience other", "audience"),
        ("--expires-in -5", "expired"),
    ] {
        let run = world
            .keyless("sandbox token --identity bob@example.test")
            .args(arguments.split(' '))
            .run()
            .exits(0);
        world
            .keyless("sign-blob file --overwrite --output json --identity-token")
            .arg(run.stdout.trim_end())
            .run()
            .fails(14, &format!("identity-token-{code}"));
    }
}

#[test]
fn tokens_that_cannot_be_had() {
    let world = World::new();
    world
        .keyless("sandbox token --identity x --kind pope")
        .run()
        .exits(2)
        .says("unknown kind");
    keyless(&world, "sandbox token --identity x").run().exits(2);
    let (_kept, nobody) = crate::support::nobody();
    world
        .keyless("sandbox token --identity x")
        .env("SANDBOX_OIDC_URL", &format!("http://{nobody}"))
        .run()
        .exits(40)
        .says("is the sandbox running?");
    for (identity, kind) in [("x", "github"), ("", "email"), ("not a uri", "uri")] {
        let run = world
            .keyless("sandbox token --identity")
            .args([identity, "--kind", kind])
            .run();
        assert!(run.code != Some(0), "{run:#?}");
        assert_eq!(run.stdout, "");
    }
}

#[test]
fn unknown_faults_are_named() {
    let world = World::new();
    for fault in ["fulcio-explodes", "fulcio-slow", "rekor-5xx=x"] {
        keyless(&world, "sandbox demo --fault")
            .arg(fault)
            .run()
            .exits(2)
            .says(fault.split('=').next().unwrap());
    }
}

#[test]
fn its_folder_must_be_writable() {
    let world = World::new();
    world.write("plain", "");
    keyless(&world, "sandbox run --dir plain/sandbox -- /bin/true")
        .run()
        .exits(3);
}

#[test]
fn a_workflow_signs_as_a_workflow() {
    let world = World::new();
    world.write("file", "content");
    let workflow = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    let token = world.token(&TokenRequest::new(workflow));
    let run = world
        .keyless("sign-blob file --output json --identity-token")
        .arg(token)
        .run()
        .exits(0);
    let claims = &run.json()["blobs"][0]["signature"]["signer"]["claims"];
    assert!(claims.to_string().contains("octo/app"), "{claims}");
}
