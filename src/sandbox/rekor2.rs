//! The transparency log, version 2 (rekor-tiles, C2SP tlog-tiles): one way to write, static tiles to read.
//!
//! Every entry is integrated before it is answered, so the checkpoint is always of the newest tree.
//! Tiles and entry bundles are cut from memory when asked for.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::crypto::PublicKey;
use crate::crypto::merkle::{self, Hash};
use crate::format::checkpoint::key_id;
use crate::format::protojson::encode_base64;

use super::error::SandboxError;
use super::faults::{Faults, PlainFault};
use super::keys::Ed25519Key;
use super::reply::{self, Grpc};
use super::store::Store;
use super::tree::{self, Tree};
use super::{rekor1_entry, rekor2_entry};

/// Name of the log: clients compare it with the host of the URL, without its port (Sigstore Client Spec 4.4).
pub(super) const ORIGIN: &str = "127.0.0.1";

/// Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles).
const TILE: usize = 256;

/// The service.
pub(super) struct RekorV2 {
    key: Ed25519Key,
    stranger: Ed25519Key,
    public: PublicKey,
    log_id: Vec<u8>,
    faults: Faults,
    state: Mutex<Log>,
}

struct Log {
    tree: Tree,
    bodies: Vec<Vec<u8>>,
}

impl Log {
    fn append(&mut self, body: Vec<u8>) -> Result<usize, SandboxError> {
        let index = self.tree.append(merkle::leaf_hash(&body), &body)?;
        self.bodies.push(body);
        Ok(index)
    }
}

impl RekorV2 {
    pub(super) fn open(store: &Store, faults: Faults) -> Result<Self, SandboxError> {
        let key = Ed25519Key::open(store, "rekor-v2.key")?;
        let public =
            PublicKey::from_spki_der(&key.spki()?).map_err(SandboxError::make("public key"))?;
        let mut bodies = Vec::new();
        let tree = Tree::open(store, "rekor-v2.log", |body| {
            let hash = merkle::leaf_hash(&body);
            bodies.push(body);
            Some(hash)
        })?;
        let mut log = Log { tree, bodies };
        if log.bodies.is_empty() {
            log.append(rekor2_entry::first()?)?;
        }
        Ok(RekorV2 {
            log_id: key_id(ORIGIN, &public).as_bytes().to_vec(),
            key,
            stranger: Ed25519Key::generate()?,
            public,
            faults,
            state: Mutex::new(log),
        })
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.public
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.state.lock().expect("no holder of this lock panics")
    }

    fn has(&self, fault: PlainFault) -> bool {
        self.faults.has(fault)
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/api/v2/log/entries", post(create))
            .route("/api/v2/checkpoint", get(checkpoint))
            .route("/api/v2/tile/entries/{*path}", get(entry_bundle))
            .route("/api/v2/tile/{level}/{*path}", get(tile))
            .route(
                "/healthz",
                get(async || Json(json!({ "status": "SERVING" }))),
            )
            .fallback(reply::grpc_not_found)
            .method_not_allowed_fallback(reply::grpc_no_method)
            .with_state(self)
    }

    fn checkpoint(&self, size: u64, root: &Hash) -> String {
        let key = match self.has(PlainFault::RekorBadCheckpoint) {
            true => &self.stranger,
            false => &self.key,
        };
        tree::checkpoint(ORIGIN, ORIGIN, &self.log_id, size, root, |note| {
            key.sign(note)
        })
    }

    /// Writes an entry as the protobuf JSON of a TransparencyLogEntry, defaults included.
    fn entry_json(&self, log: &Log, index: usize) -> Value {
        let root = log.tree.root();
        let size = log.tree.size();
        let mut proof = merkle::inclusion_proof(log.tree.hashes(), index).unwrap_or_default();
        let mut claimed_root = root;
        if self.has(PlainFault::RekorBadProof) {
            match proof.first_mut() {
                Some(hash) => hash[0] ^= 1,
                None => claimed_root[0] ^= 1,
            }
        }
        json!({
            "logIndex": index.to_string(),
            "logId": { "keyId": encode_base64(&self.log_id) },
            "kindVersion": { "kind": "hashedrekord", "version": "0.0.2" },
            "integratedTime": "0",
            "inclusionPromise": null,
            "inclusionProof": {
                "logIndex": index.to_string(),
                "rootHash": encode_base64(&claimed_root),
                "treeSize": size.to_string(),
                "hashes": proof.iter().map(|hash| encode_base64(hash)).collect::<Vec<_>>(),
                "checkpoint": { "envelope": self.checkpoint(size, &root) },
            },
            "canonicalizedBody": encode_base64(&log.bodies[index]),
        })
    }

    fn create(&self, body: Vec<u8>) -> Result<Response, SandboxError> {
        let leaf = merkle::leaf_hash(&body);
        let mut log = self.log();
        if let Some(index) = log.tree.position(&leaf) {
            let message = format!(
                "an equivalent entry already exists in the transparency log with index {index}"
            );
            let mut response = reply::grpc(Grpc::AlreadyExists, &message);
            let name = HeaderName::from_static("x-log-index");
            response
                .headers_mut()
                .insert(name, HeaderValue::from(index));
            return Ok(response);
        }
        let index = log.append(body)?;
        let entry = self.entry_json(&log, index);
        Ok((StatusCode::CREATED, Json(entry)).into_response())
    }
}

async fn create(State(rekor): State<Arc<RekorV2>>, request: Bytes) -> Response {
    if rekor.has(PlainFault::RekorFrozen) {
        let message = "This log has been frozen, please switch to the latest log.";
        let mut response = reply::grpc(Grpc::Unimplemented, message);
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        return response;
    }
    let body = match rekor2_entry::canonicalize(&request) {
        Ok(body) if rekor.has(PlainFault::RekorWrongBody) => rekor1_entry::altered(&body),
        Ok(body) => body,
        Err(message) => return reply::grpc(Grpc::InvalidArgument, &message),
    };
    let failed = |_| reply::grpc(Grpc::Internal, "failed to integrate entry");
    rekor.create(body).unwrap_or_else(failed)
}

async fn checkpoint(State(rekor): State<Arc<RekorV2>>) -> Response {
    let (size, root) = {
        let log = rekor.log();
        (log.tree.size(), log.tree.root())
    };
    reply::text("text/plain; charset=utf-8", rekor.checkpoint(size, &root))
}

/// Where a tile lies, and how many entries of it are asked for.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    number: usize,
    width: usize,
}

impl Place {
    /// Parses `x001/x234/067` or `x001/x234/067.p/5`: groups of three digits, all but the last with an
    /// `x`, and only the spelling that a number has.
    fn parse(path: &str) -> Option<Self> {
        let (path, width) = match path.split_once(".p/") {
            None => (path, TILE),
            Some((path, width)) => {
                let parsed: usize = width.parse().ok()?;
                if !(1..TILE).contains(&parsed) || parsed.to_string() != width {
                    return None;
                }
                (path, parsed)
            }
        };
        let mut number = 0usize;
        for group in path.split('/') {
            let digits = group.strip_prefix('x').unwrap_or(group);
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            number = number
                .checked_mul(1000)?
                .checked_add(digits.parse().ok()?)?;
        }
        (Place::encode(number) == path).then_some(Place { number, width })
    }

    fn encode(number: usize) -> String {
        let last = format!("{:03}", number % 1000);
        let mut rest = number / 1000;
        let mut groups = vec![last];
        while rest > 0 {
            groups.push(format!("x{:03}", rest % 1000));
            rest /= 1000;
        }
        groups.reverse();
        groups.join("/")
    }

    /// Cuts the tile out of a row. `None` if the row does not reach so far.
    fn cut<'a, T>(&self, row: &'a [T]) -> Option<&'a [T]> {
        let start = self.number.checked_mul(TILE)?;
        row.get(start..start.checked_add(self.width)?)
    }
}

fn no_tile() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

fn bytes(body: Vec<u8>) -> Response {
    let kept = "public, max-age=31536000, immutable";
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, kept),
    ];
    (headers, body).into_response()
}

async fn tile(
    State(rekor): State<Arc<RekorV2>>,
    Path((level, path)): Path<(String, String)>,
) -> Response {
    let level: u32 = match level.parse() {
        Ok(number) if number < 8 && u32::to_string(&number) == level => number,
        _ => return no_tile(),
    };
    let Some(place) = Place::parse(&path) else {
        return no_tile();
    };
    let log = rekor.log();
    // A hash of level L is the root over 256^L leaves, of full subtrees only.
    let row: Vec<Hash> = match TILE.checked_pow(level) {
        Some(1) => log.tree.hashes().to_vec(),
        Some(span) => (log.tree.hashes().chunks_exact(span))
            .map(merkle::root)
            .collect(),
        None => Vec::new(),
    };
    match place.cut(&row) {
        Some(hashes) => bytes(hashes.concat()),
        None => no_tile(),
    }
}

async fn entry_bundle(State(rekor): State<Arc<RekorV2>>, Path(path): Path<String>) -> Response {
    let Some(place) = Place::parse(&path) else {
        return no_tile();
    };
    let log = rekor.log();
    let Some(bodies) = place.cut(&log.bodies) else {
        return no_tile();
    };
    let mut bundle = Vec::new();
    for body in bodies {
        let len = u16::try_from(body.len()).expect("longer entries are refused");
        bundle.extend_from_slice(&len.to_be_bytes());
        bundle.extend_from_slice(body);
    }
    bytes(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_paths_have_one_spelling() {
        for (number, path) in [
            (5, "005"),
            (999, "999"),
            (1000, "x001/000"),
            (1_234_067, "x001/x234/067"),
        ] {
            assert_eq!(Place::encode(number), path);
            assert_eq!(Place::parse(path).unwrap(), Place { number, width: 256 });
        }
        assert_eq!(Place::parse("000.p/255").unwrap().width, 255);
        for bad in [
            "",
            "5",
            "0005",
            "x000/005",
            "001/000",
            "x001",
            "000.p/0",
            "000.p/256",
            "000.p/07",
            "00a",
            "000/",
        ] {
            assert_eq!(Place::parse(bad), None, "{bad}");
        }
    }
}
