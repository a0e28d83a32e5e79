//! Judges exported cases with sigstore-verify.
//!
//! Reads paths of case folders (`tests/forge/export.rs` says what is in them), one a line, and answers each
//! with a line of JSON: `verdict` is `accept`, `refuse`, `panic`, or `unable` where the crate has no way to
//! ask; `reason` is the crate's own.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::{Value, json};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Artifact, Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{Policy, PublicKeyVerificationPolicy, VerificationPolicy, verify};

type Reason = Box<dyn Error>;

/// What the case asks for, if it can be asked here.
fn policy(folder: &Path, case: &Value) -> Result<Option<Box<dyn Policy>>, Reason> {
    if case["key"] == json!(true) {
        let pem = std::fs::read_to_string(folder.join("key.pem"))?;
        let key = DerPublicKey::from_pem(&pem)?;
        return Ok(Some(Box::new(PublicKeyVerificationPolicy::new(key))));
    }
    let (identity, issuer) = (&case["identity"]["exact"], &case["issuer"]["exact"]);
    let (Some(identity), Some(issuer)) = (identity.as_str(), issuer.as_str()) else {
        return Ok(None);
    };
    Ok(Some(Box::new(VerificationPolicy::new(identity, issuer))))
}

fn digest(text: &str) -> Result<Option<Artifact<'static>>, Reason> {
    Ok(match text.split_once(':') {
        Some(("sha256", hex)) => Some(Sha256Hash::from_hex(hex)?.into()),
        _ => None,
    })
}

fn judge(folder: &Path) -> Result<&'static str, Reason> {
    let read = |name: &str| std::fs::read(folder.join(name));
    let case: Value = serde_json::from_slice(&read("case.json")?)?;
    let Some(policy) = policy(folder, &case)? else {
        return Ok("unable");
    };
    let bundle = Bundle::from_json(std::str::from_utf8(&read("bundle.json")?)?)?;
    let root = TrustedRoot::from_json(std::str::from_utf8(&read("trusted_root.json")?)?)?;
    let bytes = read("artifact").ok();
    let artifact = match &bytes {
        Some(bytes) => Some(Artifact::from(bytes.as_slice())),
        None => digest(case["digest"].as_str().unwrap_or_default())?,
    };
    let Some(artifact) = artifact else {
        return Ok("unable");
    };
    verify(artifact, &bundle, policy.as_ref(), &root)?;
    Ok("accept")
}

fn main() -> Result<(), Reason> {
    let mut out = std::io::stdout().lock();
    for folder in std::io::stdin().lock().lines() {
        let folder = folder?;
        let judged = catch_unwind(AssertUnwindSafe(|| {
            judge(Path::new(&folder)).map_err(|reason| reason.to_string())
        }));
        let (verdict, reason) = match judged {
            Ok(Ok(verdict)) => (verdict, String::new()),
            Ok(Err(reason)) => ("refuse", reason),
            Err(_) => ("panic", String::new()),
        };
        let answer = json!({ "verdict": verdict, "reason": reason });
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
