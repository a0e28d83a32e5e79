//! Published advisories against tools of this field, replayed: one test for each, named by its id.
//!
//! `fixtures/README.md` has the table: what went wrong there, the test here, or why it cannot hit this
//! client. Attacks on a registry's client are in `tests/registry` under the same kind of name. Forged
//! bundles come from `tests/forge`, the built program and its sandbox from `tests/cli`.

#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/asn1.rs"]
mod asn1;
#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/certificate.rs"]
mod certificate;
#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/forge.rs"]
mod forge;
#[allow(dead_code, reason = "shared with tests/cli")]
#[path = "../cli/json_schema.rs"]
mod json_schema;
#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/key.rs"]
mod key;
#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/log.rs"]
mod log;
#[allow(dead_code, reason = "shared with tests/cli")]
#[path = "../cli/support.rs"]
mod support;
#[allow(dead_code, reason = "shared with tests/forge")]
#[path = "../forge/token.rs"]
mod token;

mod attestations;
mod bounds;
mod identity_tokens;
mod registry;
mod scene;
mod statements;
mod table;
mod trust_material;
mod verification;

/// The part of a help text that is about what is accepted: not how registries are spoken to, which images of an
/// index are judged (`cli/recursive.rs`), how much is read, or where an older signature lies.
pub fn policy_help(help: &str) -> String {
    const OTHERS: [&str; 7] = [
        "Index:",
        "Registry:",
        "Registry transport:",
        "Registry caps:",
        "Limits:",
        "Older form:",
        "Trust:",
    ];
    let mut is_other = false;
    let mut kept = String::new();
    for line in help.lines() {
        if line.ends_with(':') && !line.starts_with(' ') {
            is_other = OTHERS.contains(&line);
        }
        if !is_other {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
