//! The README: its examples run, its output is real, and what it names exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::World;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The first block of a kind under a heading.
fn block(heading: &str, kind: &str) -> String {
    let readme = readme();
    let section = readme.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let block = section.split(&format!("```{kind}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_sandbox_example_runs() {
    let world = World::new();
    let script = block("Try it without any account", "sh");
    let program = Path::new(env!("CARGO_BIN_EXE_keyless")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = std::process::Command::new("sh")
        .args(["-ec", &script])
        .env_clear()
        .env("PATH", format!("{}:{path}", program.display()))
        .current_dir(world.path(""))
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(shown.contains("verified hello.txt\n"), "{shown}");
}

/// Lines of the README's explanation are lines of a recorded one, in that order; `…` stands for others.
#[test]
fn the_explanation_is_a_real_one() {
    let real = root().join("tests/cli/explain/refused-identity.rekor2-tsa.txt");
    let real = std::fs::read_to_string(real).unwrap();
    let mut rest = real.lines();
    for line in block("How a verdict is explained", "text").lines() {
        if line.trim() != "…" {
            assert!(rest.any(|found| found == line), "{line:?}");
        }
    }
}

#[test]
fn every_option_and_every_file_that_is_named_exists() {
    let mut help = String::new();
    for entry in std::fs::read_dir(root().join("tests/cli/golden")).unwrap() {
        help.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let is_option = |word: &&str| word.starts_with("--") && word.contains(char::is_alphanumeric);
    let splits = |c: char| !c.is_ascii_alphanumeric() && c != '-';
    let options = |text: &str| -> BTreeSet<String> {
        text.split(splits)
            .filter(is_option)
            .map(str::to_owned)
            .collect()
    };
    let mut known = options(&help);
    // Of cargo.
    known.extend(["--release".to_owned(), "--locked".to_owned()]);
    let unknown: Vec<String> = options(&readme()).difference(&known).cloned().collect();
    assert_eq!(unknown, [""; 0]);
    let readme = readme();
    let links = readme
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap());
    for link in links.filter(|link| !link.contains("://")) {
        assert!(root().join(link).exists(), "{link}");
    }
}
