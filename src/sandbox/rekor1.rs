//! The transparency log, version 1 (sigstore/rekor, `openapi.yaml`): one tree, an inclusion promise with every entry.
//!
//! An entry is taken only if its signature verifies. Statuses and messages are those Rekor 1.5.3
//! answered when asked; reading entries back is here too, searching them is not.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::crypto::Digest;
use crate::crypto::merkle::{self, Hash};
use crate::format::log_entry::signed_entry_timestamp_input;
use crate::format::protojson::encode_base64;

use super::clock;
use super::error::SandboxError;
use super::faults::{Faults, PlainFault};
use super::keys::EcdsaKey;
use super::rekor1_entry;
use super::rekor1_read;
use super::reply;
use super::store::Store;
use super::tree::{self, Tree};

/// The service.
pub(super) struct RekorV1 {
    key: EcdsaKey,
    stranger: EcdsaKey,
    log_id: [u8; 32],
    pub(super) tree_id: u64,
    /// Name under which checkpoints are signed: host and port, as the real server is configured.
    name: String,
    faults: Faults,
    state: Mutex<Log>,
}

pub(super) struct Log {
    pub(super) tree: Tree,
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    integrated_time: i64,
    body: Vec<u8>,
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        [&self.integrated_time.to_be_bytes()[..], &self.body].concat()
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (time, body) = record.split_first_chunk()?;
        Some(Entry {
            integrated_time: i64::from_be_bytes(*time),
            body: body.to_vec(),
        })
    }
}

impl Log {
    fn append(&mut self, body: Vec<u8>) -> Result<usize, SandboxError> {
        let entry = Entry {
            integrated_time: clock::now().seconds(),
            body,
        };
        let leaf = merkle::leaf_hash(&entry.body);
        let index = self.tree.append(leaf, &entry.encode())?;
        self.entries.push(entry);
        Ok(index)
    }
}

impl RekorV1 {
    pub(super) fn open(store: &Store, name: String, faults: Faults) -> Result<Self, SandboxError> {
        let key = EcdsaKey::open(store, "rekor-v1.key.pem")?;
        let tree_id = store.text("rekor-v1.tree-id", || {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(SandboxError::make("tree id"))?;
            let id = u64::from_be_bytes(bytes) >> 1 | 1 << 60;
            Ok(id.to_string().into())
        })?;
        let tree_id = tree_id
            .parse()
            .map_err(|_| store.damaged("rekor-v1.tree-id", "not a number"))?;
        let mut entries = Vec::new();
        let tree = Tree::open(store, "rekor-v1.log", |record| {
            let entry = Entry::decode(&record)?;
            let hash = merkle::leaf_hash(&entry.body);
            entries.push(entry);
            Some(hash)
        })?;
        let log_id = Digest::sha256(key.spki());
        let mut log = Log { tree, entries };
        if log.entries.is_empty() {
            log.append(rekor1_entry::first()?)?;
        }
        Ok(RekorV1 {
            log_id: log_id.as_bytes().try_into().expect("SHA-256 has 32 bytes"),
            key,
            stranger: EcdsaKey::generate()?,
            tree_id,
            name,
            faults,
            state: Mutex::new(log),
        })
    }

    pub(super) fn key(&self) -> &EcdsaKey {
        &self.key
    }

    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn has(&self, fault: PlainFault) -> bool {
        self.faults.has(fault)
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/log/entries", post(create))
            .merge(rekor1_read::routes())
            .fallback(reply::openapi_not_found)
            .method_not_allowed_fallback(reply::openapi_no_method)
            .with_state(self)
    }

    /// 16 hex digits of the tree, 64 of the leaf.
    fn entry_id(&self, leaf: &Hash) -> String {
        format!("{:016x}{}", self.tree_id, hex::encode(leaf))
    }

    pub(super) fn checkpoint(&self, size: u64, root: &Hash) -> String {
        let origin = format!("{} - {}", self.name, self.tree_id);
        let key = match self.has(PlainFault::RekorBadCheckpoint) {
            true => &self.stranger,
            false => &self.key,
        };
        tree::checkpoint(&origin, &self.name, &self.log_id, size, root, |note| {
            key.sign(note)
        })
    }

    /// Writes an entry as every reading and writing operation answers it, with a proof for the tree as
    /// it is now.
    pub(super) fn entry_json(&self, log: &Log, index: usize) -> Option<(String, Value)> {
        let entry = log.entries.get(index)?;
        let leaf = log.tree.hashes()[index];
        let root = log.tree.root();
        let size = log.tree.size();
        let log_index = u64::try_from(index).ok()?;
        let promised = match self.has(PlainFault::RekorBadSet) {
            true => log_index + 1,
            false => log_index,
        };
        let mut proof = merkle::inclusion_proof(log.tree.hashes(), index)?;
        let mut claimed_root = root;
        if self.has(PlainFault::RekorBadProof) {
            // A tree of one leaf has no proof to spoil, only a root.
            match proof.first_mut() {
                Some(hash) => hash[0] ^= 1,
                None => claimed_root[0] ^= 1,
            }
        }
        let promise = signed_entry_timestamp_input(
            &entry.body,
            entry.integrated_time,
            &self.log_id,
            promised,
        );
        let value = json!({
            "body": encode_base64(&entry.body),
            "integratedTime": entry.integrated_time,
            "logID": hex::encode(self.log_id),
            "logIndex": log_index,
            "verification": {
                "inclusionProof": {
                    "checkpoint": self.checkpoint(size, &root),
                    "hashes": proof.iter().map(hex::encode).collect::<Vec<_>>(),
                    "logIndex": log_index,
                    "rootHash": hex::encode(claimed_root),
                    "treeSize": size,
                },
                "signedEntryTimestamp": encode_base64(&self.key.sign(&promise)),
            },
        });
        Some((self.entry_id(&leaf), value))
    }

    fn create(&self, body: Vec<u8>) -> Result<Response, SandboxError> {
        let leaf = merkle::leaf_hash(&body);
        let id = self.entry_id(&leaf);
        let location = format!("/api/v1/log/entries/{id}");
        let header = |text: &str| HeaderValue::from_str(text).expect("ids are hex digits");
        let mut log = self.log();
        if log.tree.position(&leaf).is_some() {
            let message = format!(
                "an equivalent entry already exists in the transparency log with UUID {id}"
            );
            let mut response = reply::openapi_status(StatusCode::CONFLICT, &message);
            response
                .headers_mut()
                .insert(header::LOCATION, header(&location));
            return Ok(response);
        }
        let index = log.append(body)?;
        let (id, value) = self
            .entry_json(&log, index)
            .expect("the entry was appended just now");
        let mut response = (StatusCode::CREATED, Json(one(id.clone(), value))).into_response();
        if !self.has(PlainFault::RekorNoHeaders) {
            let headers = response.headers_mut();
            headers.insert(header::LOCATION, header(&location));
            headers.insert(header::ETAG, header(&id));
        }
        Ok(response)
    }

    /// Finds the entry of a 64- or 80-digit id.
    pub(super) fn find(&self, log: &Log, id: &str) -> Option<usize> {
        let (tree_id, uuid) = id.split_at(id.len() - 64);
        if !tree_id.is_empty() && u64::from_str_radix(tree_id, 16) != Ok(self.tree_id) {
            return None;
        }
        let hash: Hash = hex::decode(uuid).ok()?.try_into().ok()?;
        log.tree.position(&hash)
    }
}

/// Makes the answer of one entry: an object whose only member is named by the entry's id.
pub(super) fn one(id: String, value: Value) -> Value {
    Value::Object(Map::from_iter([(id, value)]))
}

async fn create(State(rekor): State<Arc<RekorV1>>, headers: HeaderMap, body: Bytes) -> Response {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/json");
    if media_type.split(';').next().map(str::trim) != Some("application/json") {
        let message =
            format!("unsupported media type {media_type:?}, only [application/json] are allowed");
        return reply::openapi_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, &message);
    }
    if rekor.has(PlainFault::RekorFrozen) {
        let message = "this log takes no new entries";
        return reply::openapi_status(StatusCode::METHOD_NOT_ALLOWED, message);
    }
    let canonical = match rekor1_entry::canonicalize(&body) {
        Ok(canonical) if rekor.has(PlainFault::RekorWrongBody) => rekor1_entry::altered(&canonical),
        Ok(canonical) => canonical,
        Err(refusal) => return refusal.into_response(),
    };
    rekor.create(canonical).unwrap_or_else(|_| {
        let message = "unexpected error communicating with transparency log";
        reply::openapi_status(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}
