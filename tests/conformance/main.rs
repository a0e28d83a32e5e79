//! The cases of the public client conformance suite, read where `KEYLESS_CONFORMANCE_DIR` says.
//!
//! Each case is judged twice, by the artifact's bytes and by its digest, and a refusal must be for the
//! reason that the case is about. Without the variable the test says so and passes: `.ci/run` sets it.

#[cfg(unix)]
mod adapter;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use keyless::crypto::{Digest, PublicKey};
use keyless::diagnostic::Diagnostic;
use keyless::format::bundle::Bundle;
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{Artifact, ExpectedContent, IdentityMatcher, Policy, verify};

/// The refusal that each must-fail case is about.
const REASONS: &str = include_str!("reasons.tsv");
/// What the command line says of a key that cannot be read; the library only says that it cannot.
const KEY_UNUSABLE: &str = "usage-key";

fn judge(dir: &Path, case: &serde_json::Value, by_digest: bool) -> Result<(), String> {
    let text = |name: &str| case[name].as_str();
    let read = |path: &str| std::fs::read(dir.join(path)).unwrap();
    let trust = TrustedRoot::parse(&read(text("trusted_root").unwrap()))
        .map_err(|e| e.code().to_owned())?;
    let bundle = Bundle::parse(&read(text("bundle").unwrap())).map_err(|e| e.code().to_owned())?;
    let digest = if by_digest {
        text("digest").unwrap().parse().unwrap()
    } else {
        Digest::sha256(&read(text("artifact").unwrap()))
    };
    let policy = match text("key") {
        Some(key) => {
            let pem = String::from_utf8(read(key)).map_err(|_| KEY_UNUSABLE.to_owned())?;
            let key = PublicKey::from_pem(&pem).map_err(|_| KEY_UNUSABLE.to_owned())?;
            Policy::key(key, ExpectedContent::Any)
        }
        None => Policy::identities(
            vec![IdentityMatcher::new(
                ValueMatcher::exact(text("identity").unwrap()).unwrap(),
                ValueMatcher::exact(text("issuer").unwrap()).unwrap(),
            )],
            ExpectedContent::Any,
        )
        .unwrap(),
    };
    verify(&bundle, &Artifact::from_digest(digest), &trust, &policy)
        .map(drop)
        .map_err(|e| e.code().to_owned())
}

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that judges nothing must say so"
)]
fn every_case_has_its_verdict_and_its_reason() {
    let Some(dir) = std::env::var_os("KEYLESS_CONFORMANCE_DIR").map(PathBuf::from) else {
        eprintln!("KEYLESS_CONFORMANCE_DIR is not set: the public conformance cases were not read");
        return;
    };
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("cases.json")).unwrap()).unwrap();
    let reasons: BTreeMap<_, _> = REASONS
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        for by_digest in [false, true] {
            judged += 1;
            let verdict = judge(&dir, case, by_digest);
            let expected = match case["expect"].as_str().unwrap() {
                "pass" => Ok(()),
                _ => Err(reasons
                    .get(name)
                    .copied()
                    .unwrap_or("no reason listed")
                    .to_owned()),
            };
            if verdict != expected {
                wrong.push(format!(
                    "{name} (by digest: {by_digest}): expected {expected:?}, found {verdict:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(judged, 86);
}
