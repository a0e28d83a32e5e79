//! The adapter: what it makes of the protocol's command lines, and one signature made and verified through it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use keyless::crypto::Digest;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/client");
const KEYLESS: &str = env!("CARGO_BIN_EXE_keyless");

const BY: [&str; 4] = [
    "--certificate-identity",
    "me@example.test",
    "--certificate-oidc-issuer",
    "https://issuer.example.test",
];

/// Prints its arguments and its standard input, one a line.
const ECHO: &str = "#!/bin/sh\nprintf '%s\\n' \"$@\"\ncat\n";

fn client(work: &Path, arguments: &[&str]) -> Output {
    let echo = work.join("echo");
    std::fs::write(&echo, ECHO).unwrap();
    std::fs::set_permissions(&echo, std::fs::Permissions::from_mode(0o755)).unwrap();
    Command::new(CLIENT)
        .args(arguments)
        .current_dir(work)
        .env("KEYLESS", &echo)
        .env_remove("KEYLESS_STAGING_ROOT")
        .env_remove("KEYLESS_STAGING_SIGNING_CONFIG")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn becomes(work: &Path, arguments: &[&str], expected: &[&str]) {
    let output = client(work, arguments);
    let found = String::from_utf8(output.stdout).unwrap();
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    assert!(output.status.success());
}

#[track_caller]
fn refuses(work: &Path, arguments: &[&str], why: &str) {
    let output = client(work, arguments);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(told.contains(why), "{told}");
    assert!(output.stdout.is_empty());
}

#[test]
fn verifying_a_file() {
    let work = tempfile::tempdir().unwrap();
    let given = [
        &["verify-bundle", "--bundle", "b.json"][..],
        &BY,
        &["a.txt"],
    ]
    .concat();
    let made = [
        &[
            "verify-blob",
            "--output",
            "json",
            "--bundle",
            "b.json",
            "--any-statement",
        ][..],
        &BY,
        &["--", "./a.txt"],
    ];
    becomes(work.path(), &given, &made.concat());
}

#[test]
fn verifying_with_a_key_and_a_trusted_root() {
    let work = tempfile::tempdir().unwrap();
    let given = "verify-bundle --bundle b.json --key k.pub --trusted-root r.json /a/a.txt";
    let made = "verify-blob --output json --bundle b.json --trusted-root r.json --any-statement --key k.pub -- /a/a.txt";
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    becomes(work.path(), &words(given), &words(made));
}

#[test]
fn a_digest_is_one_only_in_full_and_only_if_no_such_file_exists() {
    let work = tempfile::tempdir().unwrap();
    let digest = format!("sha256:{}", "0f".repeat(32));
    let subject = |given: &str| {
        let arguments = [&["verify-bundle", "--bundle", "b.json"][..], &BY, &[given]].concat();
        let output = client(work.path(), &arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        told.lines().last().unwrap().to_owned()
    };
    assert_eq!(subject(&digest), digest);
    assert_eq!(subject(&digest[..70]), format!("./{}", &digest[..70]));
    assert_eq!(subject(&format!("{digest}0")), format!("./{digest}0"));
    assert_eq!(subject("-"), "./-");
    std::fs::write(work.path().join(&digest), "a file of that name").unwrap();
    assert_eq!(subject(&digest), format!("./{digest}"));
}

#[test]
fn the_token_is_handed_on_through_standard_input() {
    let work = tempfile::tempdir().unwrap();
    let given = "sign-bundle --identity-token TOKEN --bundle b.json --trusted-root r.json --signing-config s.json a.txt";
    let made = "sign-blob --output json --bundle b.json --trusted-root r.json --signing-config s.json --overwrite --identity-token - -- ./a.txt TOKEN";
    let words = |line: &'static str| line.split(' ').collect::<Vec<_>>();
    becomes(work.path(), &words(given), &words(made));
}

#[test]
fn staging_needs_a_trusted_root_and_a_signing_config() {
    let work = tempfile::tempdir().unwrap();
    let verify = [
        &["verify-bundle", "--staging", "--bundle", "b.json"][..],
        &BY,
        &["a.txt"],
    ]
    .concat();
    refuses(work.path(), &verify, "KEYLESS_STAGING_ROOT");
    let sign = ["sign-bundle", "--staging", "--identity-token", "TOKEN"];
    let sign = [
        &sign[..],
        &["--bundle", "b.json", "--trusted-root", "r.json", "a.txt"],
    ]
    .concat();
    refuses(work.path(), &sign, "KEYLESS_STAGING_SIGNING_CONFIG");
}

#[test]
fn what_it_does_not_know_is_refused() {
    let work = tempfile::tempdir().unwrap();
    refuses(work.path(), &["sign"], "unknown command");
    refuses(work.path(), &["verify-bundle", "--bundle"], "wants a value");
    refuses(work.path(), &["verify-bundle", "a", "b"], "one file");
    refuses(work.path(), &["verify-bundle", "a"], "no --bundle");
    let option = ["verify-bundle", "--identity-token", "TOKEN", "a"];
    refuses(work.path(), &option, "unknown option --identity-token");
    let statement = ["sign-bundle", "--in-toto", "--identity-token", "TOKEN"];
    let statement = [&statement[..], &["--bundle", "b.json", "a"]].concat();
    refuses(work.path(), &statement, "not offered yet");
}

#[test]
fn what_it_signs_it_verifies() {
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join("a.txt"), "content").unwrap();
    std::fs::write(work.path().join("b.txt"), "other content").unwrap();
    let script = r#"
        sign() { "$CLIENT" sign-bundle --identity-token "$SIGSTORE_ID_TOKEN" --bundle a.json --trusted-root "$KEYLESS_TRUSTED_ROOT" --signing-config "$KEYLESS_SIGNING_CONFIG" "$1"; }
        verify() { "$CLIENT" verify-bundle --bundle a.json --certificate-identity "$SANDBOX_IDENTITY" --certificate-oidc-issuer "$SANDBOX_ISSUER" --trusted-root "$KEYLESS_TRUSTED_ROOT" "$1"; }
        sign a.txt || exit 90
        verify a.txt || exit 91
        verify "$DIGEST" || exit 92
        verify b.txt
    "#;
    let output = Command::new(KEYLESS)
        .args(["sandbox", "run", "--", "bash", "-c", script])
        .current_dir(work.path())
        .env("CLIENT", CLIENT)
        .env("KEYLESS", KEYLESS)
        .env("DIGEST", Digest::sha256(b"content").to_string())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(21), "{output:?}");
}
