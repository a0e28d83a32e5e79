//! The table in `fixtures/README.md`: every test that it names is there, and every test here is in it.

use std::collections::BTreeSet;
use std::path::Path;

fn collect(folder: &Path, code: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// Names of tests that begin with an advisory's id, in a piece of source.
fn named_by_an_id(code: &str) -> BTreeSet<String> {
    const IDS: [&str; 12] = [
        "cve_",
        "ghsa_",
        "rustsec_",
        "tob_sigstore_",
        "sigstore_go_",
        "cosign_3_",
        "cosign_4641_",
        "js_",
        "jans_",
        "rust_43a6a67_",
        "rust_ffd576f_",
        "rust_c09aeb1_",
    ];
    code.lines()
        .filter_map(|line| line.split_once("fn ")?.1.split_once("()"))
        .map(|(name, _)| name.to_owned())
        .filter(|name| IDS.iter().any(|id| name.starts_with(id)))
        .collect()
}

#[test]
fn the_table_names_every_test_and_no_other() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for folder in ["tests", "src"] {
        collect(&root.join(folder), &mut code);
    }
    let there = named_by_an_id(&code);
    let readme = std::fs::read_to_string(root.join("fixtures/README.md")).unwrap();
    let table = readme.split("## Advisories").nth(1).unwrap();
    let named: BTreeSet<String> = table
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.contains("::"))
        .map(|text| text.rsplit("::").next().unwrap().to_owned())
        .collect();
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "no such test: {missing:?}");
    let unlisted: Vec<_> = there.difference(&named).collect();
    assert!(unlisted.is_empty(), "not in the table: {unlisted:?}");
}
