//! Help as it is: what a command offers changes only on purpose. `KEYLESS_BLESS=1` writes the files anew.

use std::path::Path;

use crate::support::World;

#[test]
fn help_of_every_command() {
    let world = World::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden");
    let bless = std::env::var_os("KEYLESS_BLESS").is_some_and(|value| value == "1");
    let commands = [
        "",
        "sign",
        "verify",
        "sign-blob",
        "attest",
        "attest-blob",
        "verify-attestation",
        "verify-blob-attestation",
        "verify-blob",
        "inspect",
        "attach",
        "attach bundle",
        "tree",
        "download",
        "download signature",
        "download attestation",
        "download bundle",
        "triangulate",
        "bundle",
        "bundle create",
        "bundle upgrade",
        "clean",
        "copy",
        "save",
        "load",
        "policy",
        "policy init",
        "policy check",
        "login",
        "logout",
        "signing-config",
        "signing-config create",
        "trusted-root",
        "trusted-root create",
        "sandbox",
        "sandbox start",
        "sandbox run",
        "sandbox token",
        "sandbox demo",
        "schema",
        "version",
        "help",
    ];
    let mut expected = Vec::new();
    for command in commands {
        let run = world
            .keyless(command)
            .arg("--help")
            // Values of the environment are not part of the help.
            .env_remove("KEYLESS_TRUSTED_ROOT")
            .env_remove("KEYLESS_SIGNING_CONFIG")
            .env_remove("SANDBOX_OIDC_URL")
            .env("COLUMNS", "100")
            .run()
            .exits(0);
        assert_eq!(run.stderr, "");
        let name = match command {
            "" => "keyless.txt".to_owned(),
            command => format!("{}.txt", command.replace(' ', "-")),
        };
        let path = folder.join(&name);
        if bless {
            std::fs::write(&path, &run.stdout).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            run.stdout, golden,
            "tests/cli/golden/{name} differs; KEYLESS_BLESS=1 writes it anew"
        );
        // Every command that does something shows how.
        let does = !run.stdout.contains("\nCommands:\n") && command != "version";
        assert!(
            !does || run.stdout.contains("Example: keyless "),
            "{command}"
        );
        expected.push(name);
    }
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(
        found, expected,
        "a command without help file, or the reverse"
    );
}

#[test]
fn no_command_is_left_out() {
    let world = World::new();
    let run = world.keyless("help").run().exits(0);
    for command in run
        .stdout
        .split("\nCommands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|line| !line.is_empty())
        // Further lines of a description are indented deeper.
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !["", "help"].contains(name))
    {
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cli/golden/{command}.txt"));
        assert!(golden.exists(), "{command}");
    }
}

#[test]
fn help_on_commands_topics_and_errors() {
    let world = World::new();
    let shows = |words: &str| world.keyless(words).run().exits(0).stdout;
    assert!(shows("help policy init").contains("Usage: keyless policy init"));
    assert!(shows("help").contains("Usage: keyless "));
    assert!(shows("help topics").contains("errors"));
    let one = shows("help errors identity-mismatch");
    assert!(one.starts_with("identity-mismatch (exit 12)\n"), "{one}");
    assert!(shows("help errors").contains("| `log-unknown` | 32 |"));
    let document = world
        .keyless("help errors --output json")
        .run()
        .exits(0)
        .json();
    let errors = document["errors"].as_array().unwrap();
    let unknown = errors.iter().find(|row| row["code"] == "log-unknown");
    assert_eq!(unknown.unwrap()["exitCodes"], serde_json::json!([32]));
    for (words, similar) in [
        ("help errors identity-wrong", "identity-mismatch"),
        ("help errors x", "`errors x`"),
        ("help nothing", "`nothing`"),
    ] {
        let run = world.keyless(words).run().exits(2);
        assert!(run.stderr.contains(similar), "{}", run.stderr);
    }
}
