//! The floors of `src/lib.rs`, held to: direction, purity, and that the crates this project is meant to
//! stand on are really called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules that a module may use, beside its own. Anything else is a step up or aside.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("diagnostic", &[]),
    ("crypto", &["diagnostic"]),
    ("format", &["crypto", "diagnostic"]),
    ("trust", &["crypto", "diagnostic", "format"]),
    ("verify", &["crypto", "diagnostic", "format", "trust"]),
    (
        "sign",
        &["crypto", "diagnostic", "format", "trust", "verify"],
    ),
    // `net` finds registry credentials on `host`; both are floor 4.
    ("host", &["crypto", "diagnostic", "format", "trust"]),
    ("net", &["crypto", "diagnostic", "format", "trust", "host"]),
    ("sandbox", &["crypto", "diagnostic", "format", "trust"]),
    (
        "flow",
        &[
            "crypto",
            "diagnostic",
            "format",
            "trust",
            "verify",
            "sign",
            "host",
            "net",
        ],
    ),
    (
        "output",
        &[
            "crypto",
            "diagnostic",
            "format",
            "trust",
            "verify",
            "sign",
            "host",
            "net",
            "flow",
        ],
    ),
    (
        "cli",
        &[
            "crypto",
            "diagnostic",
            "format",
            "trust",
            "verify",
            "sign",
            "host",
            "net",
            "flow",
            "output",
            "sandbox",
        ],
    ),
];

const PURE: [&str; 6] = ["diagnostic", "crypto", "format", "trust", "verify", "sign"];

/// What a pure floor may not name: clock, socket, file, environment, runtime, terminal.
const IMPURE: [&str; 17] = [
    "SystemTime",
    "Instant::",
    "Timestamp::now",
    "Zoned::now",
    "std::fs",
    "std::net",
    "std::env::",
    "std::process",
    "std::io::stdin",
    "std::io::stdout",
    "std::thread",
    "tokio",
    "reqwest",
    "async fn",
    "println!",
    "eprintln!",
    "axum",
];

/// Crates that the project's user named.
const NAMED_CRATES: [&str; 12] = [
    "clap",
    "tokio",
    "reqwest",
    "p256",
    "ecdsa",
    "x509_cert",
    "serde",
    "serde_json",
    "sha2",
    "base64",
    "jsonwebtoken",
    "oci_distribution",
];

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Source files by module, with what is code: no comments, nothing from the unit tests on.
fn sources() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let mut modules: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for path in found {
        let relative = path.strip_prefix(&src).unwrap().to_owned();
        let first = relative
            .components()
            .next()
            .unwrap()
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let module = first.trim_end_matches(".rs").to_owned();
        // Unit tests that fill a file of their own.
        if path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        let text = text.split("\n#[cfg(all(test").next().unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect();
        modules
            .entry(module)
            .or_default()
            .push((relative, code.join("\n")));
    }
    modules
}

/// Names after `crate::` in a file.
fn used_modules(code: &str) -> Vec<String> {
    code.match_indices("crate::")
        .map(|(at, found)| {
            let rest = &code[at + found.len()..];
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

#[test]
fn nothing_reaches_up() {
    let may_use: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        if module == "lib" || module == "main" {
            continue;
        }
        let allowed = may_use
            .get(module.as_str())
            .unwrap_or_else(|| panic!("{module} is on no floor"));
        for (path, code) in files {
            for used in used_modules(&code) {
                // The demo is a story told on the annex's registry; it is handed its addresses.
                if used != module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("{} uses {used}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_floors_touch_nothing() {
    let mut wrong = Vec::new();
    let modules = sources();
    for module in PURE {
        for (path, code) in &modules[module] {
            for name in IMPURE {
                if code.contains(name) {
                    wrong.push(format!("{} names {name}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_roof_prints_and_only_flows_read_the_clock() {
    let mut wrong = Vec::new();
    for (module, files) in sources() {
        for (path, code) in files {
            let prints = ["io::stdout()", "io::stderr()"]
                .iter()
                .any(|name| code.contains(name));
            if prints && module != "output" {
                wrong.push(format!("{} prints", path.display()));
            }
            let allowed = ["host", "sandbox", "net"].contains(&module.as_str());
            if code.contains("SystemTime") && !allowed {
                wrong.push(format!("{} reads the clock", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A signer whom nobody expected is found for a draft of a policy, and for nothing else.
#[test]
fn no_command_that_verifies_accepts_whoever_signed() {
    let mut naming = Vec::new();
    for (_, files) in sources() {
        for (path, code) in files {
            let names = ["find_signer", "anyone()", "ExpectedSigner::Anyone"];
            if names.iter().any(|name| code.contains(name)) {
                naming.push(path.display().to_string());
            }
        }
    }
    naming.sort();
    let expected = [
        "flow/policy_init.rs",
        "verify/mod.rs",
        "verify/policy.rs",
        "verify/policy_file.rs",
    ];
    assert_eq!(naming, expected);
}

#[test]
fn every_named_crate_is_called() {
    let all: String = sources()
        .into_values()
        .flatten()
        .map(|(_, code)| code)
        .collect();
    for name in NAMED_CRATES {
        assert!(all.contains(&format!("{name}::")), "{name} is not called");
    }
}

#[test]
fn files_are_one_idea_each() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    for path in found {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines", path.display());
    }
}

/// A citation that a reader cannot open is none.
#[test]
fn comments_cite_what_everybody_can_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join("src"), &mut found);
    files(&root.join("tests"), &mut found);
    let mut wrong = Vec::new();
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let cites = |(at, word): (usize, &str)| {
                let mut next = line[at + word.len()..].chars();
                next.by_ref().take(2).all(|c| c.is_ascii_digit()) && next.next() != Some('.')
            };
            if line.match_indices("(spec ").any(cites) {
                wrong.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Rows of a table in a Markdown page: what stands between backticks, by column.
fn rows(page: &str) -> Vec<Vec<Vec<&str>>> {
    let row = |line: &'_ str| -> bool { line.starts_with("| `") };
    let cells = |line| -> Vec<Vec<&str>> {
        str::trim_matches(line, '|')
            .split('|')
            .map(|cell| cell.split('`').skip(1).step_by(2).collect())
            .collect()
    };
    page.lines().filter(|line| row(line)).map(cells).collect()
}

/// `.github/CHECKS.md` names the file and the tests of every step of the verdict.
#[test]
fn every_check_has_a_file_and_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        let found = std::fs::read_to_string(root.join(path));
        found.unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut found = Vec::new();
    files(&root.join("src"), &mut found);
    files(&root.join("tests"), &mut found);
    let code = found.iter().map(|path| read(path.to_str().unwrap()));
    let code: String = code.collect();
    // Each step is `pub const NAME: Step = step("name", …`, on one line or on several.
    let explain = read("src/verify/explain.rs");
    let mut steps = BTreeMap::new();
    let declared = explain.split("const ROOT").next().unwrap();
    for (at, _) in declared.match_indices(": Step = step(") {
        let constant = explain[..at].rsplit(' ').next().unwrap();
        let name = explain[at..].split('"').nth(1).unwrap();
        steps.insert(name, constant);
    }
    let page = read(".github/CHECKS.md");
    let rows = rows(&page);
    let listed: Vec<&str> = rows.iter().map(|row| row[0][0]).collect();
    for step in steps.keys() {
        let times = listed.iter().filter(|name| *name == step).count();
        assert_eq!(times, 1, "{step} has one row");
    }
    for row in &rows {
        let [step, file, tests] = row.as_slice() else {
            panic!("three columns: {row:?}");
        };
        let constant = steps
            .get(step[0])
            .unwrap_or_else(|| panic!("no step {}", step[0]));
        let runs = [
            format!("check(explain::{constant},"),
            format!("check({constant},"),
            format!("attempt(explain::{constant},"),
        ];
        let text: String = read(file[0]).split_whitespace().collect();
        assert!(
            runs.iter().any(|call| text.contains(call)),
            "{} does not run {constant}",
            file[0]
        );
        assert!(!tests.is_empty(), "{} has no test", step[0]);
        for test in tests {
            assert!(code.contains(&format!("fn {test}()")), "no test {test}");
        }
    }
}
