//! A TUF repository (specification 1.0) with the trusted root and the signing config as targets.
//!
//! One Ed25519 key signs all four roles: what a client must check is the same, and a sandbox has nobody
//! to share keys with. Written anew at every start, with consistent snapshots.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::crypto::{Digest, UnixTime};

use super::clock;
use super::error::SandboxError;
use super::keys::Ed25519Key;
use super::store::Store;

/// Ten years, as the authorities' certificates.
const LIFETIME: i64 = 10 * 365 * 86_400;

/// The repository, every file by its path.
pub(super) struct Tuf {
    root: Vec<u8>,
    files: BTreeMap<String, Vec<u8>>,
}

impl Tuf {
    /// Builds the repository of this start. Every start of a kept sandbox has the next version, so that a
    /// client of an earlier one sees no rollback; the root stays the same file.
    pub(super) fn open(
        store: &Store,
        born: UnixTime,
        targets: &[(&str, Vec<u8>)],
    ) -> Result<Self, SandboxError> {
        let key = Ed25519Key::open(store, "tuf.key")?;
        let before = match store.read("tuf.version")? {
            None => 0,
            Some(text) => text
                .parse::<u32>()
                .map_err(|_| store.damaged("tuf.version", "not a number"))?,
        };
        let version = before + 1;
        store.write("tuf.version", &version.to_string())?;
        Ok(Tuf::new(&key, version, born, clock::now(), targets))
    }

    fn new(
        key: &Ed25519Key,
        version: u32,
        born: UnixTime,
        now: UnixTime,
        targets: &[(&str, Vec<u8>)],
    ) -> Self {
        let public = json!({
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": { "public": hex::encode(key.public()) },
        });
        let key_id = Digest::sha256(canonical(&public).as_bytes()).hex();
        let expires = |from: UnixTime| whole_seconds(from.plus_seconds(LIFETIME));
        let signed = |value: Value| {
            let signature = hex::encode(key.sign(canonical(&value).as_bytes()));
            let envelope = json!({
                "signatures": [{ "keyid": key_id, "sig": signature }],
                "signed": value,
            });
            serde_json::to_vec(&envelope).expect("JSON values serialise")
        };
        let role = json!({ "keyids": [key_id], "threshold": 1 });
        let root = signed(json!({
            "_type": "root",
            "spec_version": "1.0.31",
            "version": 1,
            "expires": expires(born),
            "consistent_snapshot": true,
            "keys": { key_id.as_str(): public },
            "roles": { "root": role, "timestamp": role, "snapshot": role, "targets": role },
        }));
        let mut files = BTreeMap::from([("1.root.json".to_owned(), root.clone())]);
        let mut listed = serde_json::Map::new();
        for (name, bytes) in targets {
            let digest = Digest::sha256(bytes).hex();
            let entry = json!({ "length": bytes.len(), "hashes": { "sha256": digest } });
            listed.insert((*name).to_owned(), entry);
            files.insert(format!("targets/{digest}.{name}"), bytes.clone());
        }
        let metadata = |kind: &str, rest: (&str, Value)| {
            let mut value = json!({
                "_type": kind,
                "spec_version": "1.0.31",
                "version": version,
                "expires": expires(now),
            });
            value[rest.0] = rest.1;
            signed(value)
        };
        let targets = metadata("targets", ("targets", Value::Object(listed)));
        let meta = json!({ "targets.json": { "version": version } });
        let snapshot = metadata("snapshot", ("meta", meta));
        let meta = json!({ "snapshot.json": {
            "version": version,
            "length": snapshot.len(),
            "hashes": { "sha256": Digest::sha256(&snapshot).hex() },
        } });
        files.insert(
            "timestamp.json".to_owned(),
            metadata("timestamp", ("meta", meta)),
        );
        files.insert(format!("{version}.snapshot.json"), snapshot);
        files.insert(format!("{version}.targets.json"), targets);
        Tuf { root, files }
    }

    /// Returns the root a client starts from.
    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new().route("/{*path}", get(file)).with_state(self)
    }
}

async fn file(State(tuf): State<Arc<Tuf>>, Path(path): Path<String>) -> Response {
    match tuf.files.get(&path) {
        Some(bytes) => {
            let json = [(header::CONTENT_TYPE, "application/json")];
            (json, bytes.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// TUF wants no fraction in a time.
fn whole_seconds(time: UnixTime) -> String {
    UnixTime::from_seconds(time.seconds()).rfc3339()
}

/// Writes OLPC canonical JSON: members sorted, no spaces, only quote and backslash escaped. Not RFC 8785:
/// a newline stays a newline (OLPC canonical JSON, as securesystemslib has it).
fn canonical(value: &Value) -> String {
    match value {
        Value::String(text) => canonical_text(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let members: Vec<_> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", canonical_text(name), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        // null, booleans and integers; no metadata has a fraction.
        plain => plain.to_string(),
    }
}

fn canonical_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_keeps_newlines() {
        let value = json!({ "b": [1, true, null], "a": "x\n\"\\é" });
        assert_eq!(
            canonical(&value),
            "{\"a\":\"x\n\\\"\\\\é\",\"b\":[1,true,null]}"
        );
    }

    #[test]
    fn a_later_start_has_the_same_root_and_higher_versions() {
        let key = Ed25519Key::generate().unwrap();
        let born = UnixTime::from_seconds(1_000_000);
        let first = Tuf::new(&key, 1, born, born, &[("t", b"1".to_vec())]);
        let later = born.plus_seconds(1);
        let second = Tuf::new(&key, 2, born, later, &[("t", b"2".to_vec())]);
        assert_eq!(first.root(), second.root());
        assert!(first.files.contains_key("1.snapshot.json"));
        assert!(second.files.contains_key("2.targets.json"));
        let digest = Digest::sha256(b"2").hex();
        assert_eq!(second.files[&format!("targets/{digest}.t")], b"2");
    }
}
