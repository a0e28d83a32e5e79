//! What every command promises about standard output, standard error and exit codes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use keyless::diagnostic::Exit;
use keyless::sandbox::TokenRequest;
use serde_json::Value;

use crate::support::{IDENTITY, World, sha256, wait};

/// Commands that fail, each for another reason, with their exit codes.
fn failing(world: &World) -> Vec<(i32, Vec<String>)> {
    let image = world.image("unsigned");
    let expecting = world.expecting();
    let with = |command: &str, more: &[String]| {
        let mut arguments: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        arguments.extend_from_slice(more);
        arguments
    };
    let absent = format!("{}:absent", image.repository);
    world.write("file", "content");
    world.write("rubbish", "rubbish");
    vec![
        (2, with("verify", &[image.by_digest()])),
        (2, with("verify not//an::image", &expecting)),
        (2, with("sign --upload=false", &[image.by_digest()])),
        (2, with("sign-blob -", &[])),
        (3, with("sign-blob absent", &[])),
        (3, with("sign-blob file --bundle no/such/folder/b", &[])),
        (3, with("verify-blob file --bundle absent", &expecting)),
        (
            10,
            with(&format!("verify {}", image.by_digest()), &expecting),
        ),
        (10, with("verify-blob file", &expecting)),
        (11, with(&format!("verify {absent}"), &expecting)),
        (11, with(&format!("sign {absent}"), &[])),
        (
            11,
            with(&format!("attach bundle {absent} rubbish"), &expecting),
        ),
        (2, with("inspect not//an::image", &[])),
        (3, with("inspect absent.pem", &[])),
        (10, with("inspect", &[image.by_digest()])),
        (11, with("inspect", std::slice::from_ref(&absent))),
        (22, with("inspect rubbish", &[])),
        (14, with("sign-blob file --identity-token x", &[])),
        (22, with("verify-blob file --bundle rubbish", &expecting)),
        (30, with("sign-blob file --trusted-root rubbish", &[])),
        (
            30,
            with(
                "verify-blob file --bundle rubbish --trusted-root rubbish",
                &expecting,
            ),
        ),
    ]
}

#[test]
fn data_is_on_standard_output_and_errors_are_not() {
    let world = World::new();
    for (exit, arguments) in failing(&world) {
        let run = world.keyless("").args(&arguments).run().exits(exit);
        assert_eq!(run.stdout, "", "{run:#?}");
        assert!(run.stderr.contains("error: "), "{run:#?}");
    }
}

#[test]
fn errors_are_whole_json_documents() {
    let world = World::new();
    for (exit, arguments) in failing(&world) {
        let run = world
            .keyless("")
            .args(&arguments)
            .args(["--output", "json"])
            .run()
            .exits(exit);
        let document = run.json();
        assert_eq!(document["schemaVersion"], 1, "{run:#?}");
        assert_eq!(document["exitCode"], exit, "{run:#?}");
        let result = if (10..40).contains(&exit) {
            "refused"
        } else {
            "error"
        };
        assert_eq!(document["result"], result, "{run:#?}");
        let error = match &document["error"] {
            Value::Null if document["images"].is_array() => &document["images"][0]["error"],
            Value::Null => &document["inspected"][0]["error"],
            error => error,
        };
        assert_eq!(error["exitCode"], exit, "{run:#?}");
        for member in ["code", "message"] {
            let text = error[member].as_str().unwrap();
            assert!(!text.is_empty() && !text.ends_with('.'), "{run:#?}");
        }
        assert!(error["retryable"].is_boolean(), "{run:#?}");
        assert!(error["details"].is_array(), "{run:#?}");
    }
}

#[test]
fn output_goes_to_a_file_when_asked() {
    let world = World::new();
    let quiet = |arguments: &str| {
        let run = world.keyless(arguments).run();
        assert_eq!(run.stdout, "", "{run:#?}");
        run.code
    };
    assert_eq!(quiet("version --output-file out"), Some(0));
    assert_eq!(
        world.read("out"),
        format!("keyless {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert_eq!(quiet("--output-file out version --output json"), Some(0));
    let document: Value = serde_json::from_str(&world.read("out")).unwrap();
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    // Errors too are documents, and replace what was there.
    assert_eq!(
        quiet("verify-blob absent --bundle absent --output json --output-file out"),
        Some(2)
    );
    let document: Value = serde_json::from_str(&world.read("out")).unwrap();
    assert_eq!(document["error"]["code"], "usage-identity-missing");
    assert_eq!(world.files(), ["out"]);
}

#[test]
fn an_unwritable_output_file_is_found_before_any_request() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.write("file", "content");
    let expecting = world.expecting();
    for (command, flags) in [
        (format!("sign {image}"), &[][..]),
        ("sign-blob file".to_owned(), &[]),
        (format!("verify {image}"), &expecting),
        (format!("inspect {image}"), &[]),
        (format!("attach bundle {image} file"), &expecting),
        ("version".to_owned(), &[]),
    ] {
        let run = world
            .keyless(&command)
            .args(flags)
            .args(["--output-file", "no/such/folder/out"])
            .run()
            .exits(3)
            .says("cannot write");
        assert_eq!(run.stdout, "");
    }
    assert_eq!(world.counts().total(), 0);
    assert_eq!(world.files(), ["file"]);
}

#[test]
fn quiet_leaves_errors_and_warnings() {
    let world = World::new();
    let image = world.image("v1");
    let sign =
        |more: &[&str], image: &str| world.keyless("sign").arg(image).args(more).run().exits(0);
    assert!(sign(&[], &image.by_digest()).stderr.contains("requesting"));
    assert_eq!(sign(&["--quiet"], &image.by_digest()).stderr, "");
    let run = sign(&["-q"], &image.by_tag());
    assert!(run.stderr.starts_with("warning: "), "{run:#?}");
    assert_eq!(run.stderr.lines().count(), 1);
    world
        .keyless("sign --quiet")
        .arg(format!("{}:absent", image.repository))
        .run()
        .exits(11)
        .says("error: ");
}

const HOSTILE: &str = "a\u{1b}[2J\u{7}\u{202e}b";

#[test]
fn control_characters_of_names_never_reach_the_terminal() {
    let world = World::new();
    let expecting = world.expecting();
    world.write(HOSTILE, "content");
    let image = world.image("v1");
    let by_digest = image.by_digest();
    let none: &[String] = &[];
    let runs: Vec<(Vec<&str>, &[String])> = vec![
        (vec!["sign-blob", HOSTILE], none),
        (vec!["sign-blob", HOSTILE], none),
        (vec!["verify-blob", HOSTILE], &expecting),
        (
            vec!["verify-blob", HOSTILE, "--bundle", HOSTILE],
            &expecting,
        ),
        (vec!["verify-blob", "\u{1b}c"], &expecting),
        (vec!["verify", HOSTILE], &expecting),
        (vec!["verify", &by_digest, "-a", HOSTILE], &expecting),
        (
            vec![
                "verify",
                &by_digest,
                "--certificate-identity-regexp",
                "\u{1b}(",
            ],
            &expecting,
        ),
        (vec!["sign", &by_digest, "-a", "k=\u{1b}[2J\u{202e}"], none),
        (vec!["verify", &by_digest], &expecting),
        (vec!["verify", &by_digest, "-a", "k=\u{1b}[1J"], &expecting),
        (vec!["sign", &by_digest, "--identity-token", HOSTILE], none),
        (vec!["sign", &by_digest, "--trusted-root", HOSTILE], none),
        (
            vec!["sandbox", "token", "--identity", "x", "--kind", HOSTILE],
            none,
        ),
        (vec!["inspect", HOSTILE, &by_digest], none),
        (vec!["inspect", "\u{1b}c", "file.json\u{9b}"], none),
        (vec!["sandbox", "demo", "--fault", HOSTILE], none),
        (vec!["sandbox", "run", "--", HOSTILE], none),
        (vec!["signing-config", "create", "--fulcio", HOSTILE], none),
        (
            vec!["signing-config", "create", "--rekor-config", HOSTILE],
            none,
        ),
        (vec!["trusted-root", "create", "--rekor", HOSTILE], none),
        (vec![HOSTILE], none),
        (vec!["verify", "--\u{1b}[2J"], none),
        (vec!["verify", "x", "--output", HOSTILE], none),
    ];
    for (arguments, more) in runs {
        let run = world.keyless("").args(arguments).args(more).run();
        for text in [&run.stdout, &run.stderr] {
            let bad = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'));
            assert_eq!(bad, None, "{run:#?}");
        }
    }
}

#[test]
fn a_stranger_cannot_suggest_a_command_line() {
    // A certificate's identity is its owner's choice; what is suggested with it can be pasted.
    let world = World::new();
    let image = world.image("v1");
    let hostile = "https://ci.example.test/$(touch${IFS}pwned)';x";
    let token = world.token(&TokenRequest::new(hostile));
    world
        .keyless("sign --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
    let quoted = r"--certificate-identity 'https://ci.example.test/$(touch${IFS}pwned)'\'';x' ";
    let run = world.keyless("verify").arg(image.by_digest()).run();
    run.exits(2).says(quoted);
    let run = world.keyless("verify").arg(image.by_digest());
    let run = run.args(world.expecting()).run();
    run.exits(12).says(quoted);
}

#[test]
fn a_closed_standard_output_or_error_is_no_panic() {
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let verify = |stdout: Stdio, stderr: Stdio| {
        let mut child = world
            .keyless("verify-blob file")
            .args(world.expecting())
            .command()
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .unwrap();
        // Readers that are gone before the first byte.
        drop(child.stdout.take());
        drop(child.stderr.take());
        wait(&mut child, "verify-blob");
        child.wait().unwrap().code()
    };
    assert_eq!(verify(Stdio::piped(), Stdio::piped()), Some(0));
    let full = || match std::fs::OpenOptions::new().write(true).open("/dev/full") {
        Ok(file) => Stdio::from(file),
        Err(_) => Stdio::piped(),
    };
    if Path::new("/dev/full").exists() {
        assert_eq!(verify(full(), full()), Some(3));
    }
    for arguments in ["--help", "verify", "version --output json"] {
        let mut child = world.keyless(arguments).command().spawn().unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());
        wait(&mut child, arguments);
        assert!(matches!(child.wait().unwrap().code(), Some(0 | 2)));
    }
}

#[test]
fn usage_errors_of_the_command_line() {
    let world = World::new();
    for arguments in [
        "",
        "verify",
        "sign",
        "frobnicate",
        "verify x --no-such-flag",
        "attach",
    ] {
        let run = world.keyless(arguments).run().exits(2);
        assert_eq!(run.stdout, "");
        assert!(!run.stderr.is_empty());
    }
    for arguments in [
        "--help",
        "help",
        "--version",
        "sign --version",
        "version",
        "help sign",
    ] {
        let run = world.keyless(arguments).run().exits(0);
        assert_eq!(run.stderr, "");
        assert!(!run.stdout.is_empty());
    }
}

const EXITS: [Exit; 23] = [
    Exit::Accepted,
    Exit::Usage,
    Exit::File,
    Exit::NoSignature,
    Exit::NoSuchImage,
    Exit::IdentityMismatch,
    Exit::NoCertificate,
    Exit::Token,
    Exit::NoRule,
    Exit::SignatureInvalid,
    Exit::ContentMismatch,
    Exit::Malformed,
    Exit::TrustMaterial,
    Exit::Certificate,
    Exit::Log,
    Exit::Timestamp,
    Exit::Sct,
    Exit::Unreachable,
    Exit::ServiceFailed,
    Exit::BadReply,
    Exit::Denied,
    Exit::Refused,
    Exit::Internal,
];

#[test]
fn every_exit_code_is_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join("src/diagnostic.rs")).unwrap();
    let declared = source
        .split("pub enum Exit {")
        .nth(1)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    assert_eq!(
        declared.matches(" = ").count(),
        EXITS.len(),
        "EXITS is not whole"
    );
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let table: BTreeMap<u8, &str> = readme
        .split("## Exit codes")
        .nth(1)
        .expect("the README has a table of exit codes")
        .lines()
        .filter_map(|line| {
            let (code, meaning) = line.strip_prefix('|')?.split_once('|')?;
            Some((code.trim().trim_matches('`').parse().ok()?, meaning))
        })
        .collect();
    for exit in EXITS {
        assert!(
            table.contains_key(&exit.code()),
            "exit code {exit} is not in the README"
        );
    }
    for code in table.keys().filter(|code| !(50..60).contains(*code)) {
        let known = EXITS.iter().any(|exit| exit.code() == *code);
        assert!(
            known,
            "the README has exit code {code}, and nothing ends with it"
        );
    }
}

#[test]
fn no_run_writes_more_than_it_was_asked_to() {
    let world = World::new();
    world.write("file", "content");
    for (_, arguments) in failing(&world) {
        world.keyless("").args(arguments).run();
    }
    assert_eq!(world.files(), ["file", "rubbish"]);
    // Nor does it read secrets it was not given: the token of the environment is of no use to verify.
    world
        .keyless("verify-blob --bundle rubbish")
        .arg(sha256("x"))
        .args(world.expecting_of(IDENTITY))
        .env("SIGSTORE_ID_TOKEN", "not-a-token")
        .run()
        .exits(22);
}
