//! Reading Rekor v1: entries by index, id or content, the tree's state, consistency proofs, the key.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crypto::merkle;

use super::rekor1::{RekorV1, one};
use super::{rekor1_entry, reply};

/// Entries in one `entries/retrieve` at most (sigstore/rekor openapi.yaml).
const RETRIEVED: usize = 10;

pub(super) fn routes() -> Router<Arc<RekorV1>> {
    Router::new()
        .route("/api/v1/log/entries", get(by_index))
        .route("/api/v1/log/entries/retrieve", post(retrieve))
        .route("/api/v1/log/entries/{id}", get(by_id))
        .route("/api/v1/log", get(tree_state))
        .route("/api/v1/log/proof", get(consistency))
        .route("/api/v1/log/publicKey", get(public_key))
}

fn not_found() -> Response {
    // The real server has no body here.
    StatusCode::NOT_FOUND.into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexQuery {
    log_index: usize,
}

async fn by_index(
    State(rekor): State<Arc<RekorV1>>,
    query: Result<Query<IndexQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        let message = "logIndex in query is required";
        return reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, 602, message);
    };
    match rekor.entry_json(&rekor.log(), query.log_index) {
        Some((id, value)) => Json(one(id, value)).into_response(),
        None => not_found(),
    }
}

fn is_id(id: &str) -> bool {
    matches!(id.len(), 64 | 80) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

async fn by_id(State(rekor): State<Arc<RekorV1>>, Path(id): Path<String>) -> Response {
    if !is_id(&id) {
        let message = "entryUUID in path should match '^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$'";
        return reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, 605, message);
    }
    let log = rekor.log();
    let entry = rekor.find(&log, &id);
    match entry.and_then(|index| rekor.entry_json(&log, index)) {
        Some((id, value)) => Json(one(id, value)).into_response(),
        None => not_found(),
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Retrieval {
    #[serde(rename = "entryUUIDs")]
    entry_uuids: Option<Vec<String>>,
    log_indexes: Option<Vec<usize>>,
    entries: Option<Vec<Value>>,
}

/// Entries by id, index or content; those that are not there are left out.
async fn retrieve(State(rekor): State<Arc<RekorV1>>, body: Bytes) -> Response {
    let wanted: Retrieval = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => {
            return reply::openapi_status(StatusCode::BAD_REQUEST, &error.to_string());
        }
    };
    let counts = [
        ("entryUUIDs", wanted.entry_uuids.as_ref().map(Vec::len)),
        ("logIndexes", wanted.log_indexes.as_ref().map(Vec::len)),
        ("entries", wanted.entries.as_ref().map(Vec::len)),
    ];
    for (name, count) in counts {
        let (code, message) = match count {
            Some(0) => (612, format!("{name} in body should have at least 1 items")),
            Some(RETRIEVED..) if count > Some(RETRIEVED) => (
                611,
                format!("{name} in body should have at most {RETRIEVED} items"),
            ),
            _ => continue,
        };
        return reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, code, &message);
    }
    let log = rekor.log();
    let mut found: Vec<Option<usize>> = Vec::new();
    for id in wanted.entry_uuids.iter().flatten() {
        if !is_id(id) {
            let message = "entryUUIDs in body should match '^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$'";
            return reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, 605, message);
        }
        found.push(rekor.find(&log, id));
    }
    found.extend(
        wanted
            .log_indexes
            .iter()
            .flatten()
            .map(|index| Some(*index)),
    );
    for proposed in wanted.entries.iter().flatten() {
        match rekor1_entry::canonicalize(proposed.to_string().as_bytes()) {
            Ok(body) => found.push(log.tree.position(&merkle::leaf_hash(&body))),
            Err(refusal) => return refusal.into_response(),
        }
    }
    let entries: Vec<_> = found
        .into_iter()
        .flatten()
        .filter_map(|index| rekor.entry_json(&log, index))
        .map(|(id, value)| one(id, value))
        .collect();
    Json(entries).into_response()
}

async fn tree_state(State(rekor): State<Arc<RekorV1>>) -> Json<Value> {
    let (root, size) = {
        let log = rekor.log();
        (log.tree.root(), log.tree.size())
    };
    Json(json!({
        "inactiveShards": null,
        "rootHash": hex::encode(root),
        "signedTreeHead": rekor.checkpoint(size, &root),
        "treeID": rekor.tree_id.to_string(),
        "treeSize": size,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofQuery {
    #[serde(default = "first_size")]
    first_size: usize,
    last_size: Option<usize>,
    #[serde(rename = "treeID")]
    tree_id: Option<String>,
}

fn first_size() -> usize {
    1
}

async fn consistency(
    State(rekor): State<Arc<RekorV1>>,
    query: Result<Query<ProofQuery>, QueryRejection>,
) -> Response {
    let unprocessable =
        |code, message| reply::openapi(StatusCode::UNPROCESSABLE_ENTITY, code, message);
    let Ok(Query(query)) = query else {
        return unprocessable(601, "firstSize and lastSize in query must be numbers");
    };
    let Some(last) = query.last_size else {
        return unprocessable(602, "lastSize in query is required");
    };
    let first = query.first_size;
    if last == 0 {
        return unprocessable(
            609,
            "lastSize in query should be greater than or equal to 1",
        );
    }
    if first == 0 {
        return unprocessable(
            609,
            "firstSize in query should be greater than or equal to 1",
        );
    }
    let bad = |message: String| reply::openapi_status(StatusCode::BAD_REQUEST, &message);
    if first > last {
        return bad(format!(
            "firstSize({first}) must be less than lastSize({last})"
        ));
    }
    if query
        .tree_id
        .is_some_and(|id| id != rekor.tree_id.to_string())
    {
        return not_found();
    }
    let log = rekor.log();
    let size = log.tree.hashes().len();
    if last > size {
        return bad(format!(
            "the tree size requested({last}) was greater than what is currently observable({size})"
        ));
    }
    let tree = &log.tree.hashes()[..last];
    let proof = merkle::consistency_proof(tree, first).unwrap_or_default();
    Json(json!({
        "hashes": proof.iter().map(hex::encode).collect::<Vec<_>>(),
        "rootHash": hex::encode(merkle::root(tree)),
    }))
    .into_response()
}

async fn public_key(State(rekor): State<Arc<RekorV1>>) -> Response {
    reply::text("application/x-pem-file", rekor.key().public_pem())
}
