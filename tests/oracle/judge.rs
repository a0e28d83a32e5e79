//! Judges exported cases with this project's library; for measuring, not for use.
//!
//! Reads paths of case folders (`tests/forge/export.rs` says what is in them), one a line, and answers each
//! with a line of JSON: `verdict` is `accept`, `refuse` or `panic`, `reason` the code of the refusal.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use keyless::crypto::PublicKey;
use keyless::diagnostic::Diagnostic;
use keyless::flow::sign_blob::BlobSource;
use keyless::flow::verify_blob::verify_blob;
use keyless::trust::TrustedRoot;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{ExpectedContent, IdentityMatcher, Policy};
use serde_json::Value;

type Judged = Result<(), String>;

fn refused(error: impl Diagnostic) -> String {
    error.code().to_owned()
}

fn matcher(asked: &Value) -> Result<ValueMatcher, Box<dyn Error>> {
    if let Some(pattern) = asked["pattern"].as_str() {
        return Ok(ValueMatcher::pattern(pattern)?);
    }
    let exact = asked["exact"].as_str().and_then(ValueMatcher::exact);
    exact.ok_or_else(|| "the case asks for nobody".into())
}

fn policy(folder: &Path, case: &Value) -> Result<Policy, Box<dyn Error>> {
    if case["key"].as_bool() == Some(true) {
        let pem = std::fs::read_to_string(folder.join("key.pem"))?;
        return Ok(Policy::key(
            PublicKey::from_pem(&pem)?,
            ExpectedContent::Any,
        ));
    }
    let asked = IdentityMatcher::new(matcher(&case["identity"])?, matcher(&case["issuer"])?);
    let policy = Policy::identities(vec![asked], ExpectedContent::Any);
    policy.ok_or_else(|| "the case asks for nobody".into())
}

fn judge(folder: &Path) -> Result<Judged, Box<dyn Error>> {
    let case: Value = serde_json::from_slice(&std::fs::read(folder.join("case.json"))?)?;
    let policy = policy(folder, &case)?;
    let artifact = folder.join("artifact");
    let blob = match artifact.exists() {
        true => BlobSource::File(artifact),
        false => BlobSource::parse(case["digest"].as_str().unwrap_or_default()),
    };
    let trust = match TrustedRoot::parse(&std::fs::read(folder.join("trusted_root.json"))?) {
        Ok(trust) => trust,
        Err(error) => return Ok(Err(refused(error))),
    };
    let verdict = verify_blob(&blob, &folder.join("bundle.json"), &trust, &policy, None);
    Ok(verdict.map(drop).map_err(refused))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for folder in std::io::stdin().lock().lines() {
        let folder = folder?;
        let judged = catch_unwind(AssertUnwindSafe(|| judge(Path::new(&folder))));
        let (verdict, reason) = match judged {
            Ok(judged) => match judged? {
                Ok(()) => ("accept", String::new()),
                Err(code) => ("refuse", code),
            },
            Err(_) => ("panic", String::new()),
        };
        let answer = serde_json::json!({ "verdict": verdict, "reason": reason });
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
