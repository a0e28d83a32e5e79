//! The certificate transparency log (RFC 6962): signs SCTs, keeps the entries, answers monitors.
//!
//! Only the sandbox's own Fulcio adds to it, in process; there is no add-chain over HTTP.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::crypto::merkle::{self, Hash};
use crate::crypto::{Certificate, Digest, HashAlgorithm};
use crate::format::sct::{SctSignatureAlgorithm, SignedCertificateTimestamp};

use super::clock;
use super::error::SandboxError;
use super::keys::EcdsaKey;
use super::store::{RecordLog, Store};

/// Entries in one `get-entries` answer at most.
const PAGE: usize = 256;

/// The log.
pub(super) struct CtLog {
    key: EcdsaKey,
    /// Not in any trusted root; signs what a fault spoils.
    stranger: EcdsaKey,
    root: Certificate,
    entries: Mutex<Entries>,
}

struct Entries {
    records: RecordLog,
    entries: Vec<Entry>,
    hashes: Vec<Hash>,
}

struct Entry {
    leaf_input: Vec<u8>,
    extra_data: Vec<u8>,
}

/// What an SCT is about (RFC 6962 §3.2).
pub(super) enum Subject<'a> {
    /// A certificate to be: the TBSCertificate, without poison and SCT list.
    Precertificate {
        tbs: &'a [u8],
        precertificate: &'a [u8],
    },
    /// A certificate that is.
    Certificate(&'a [u8]),
}

fn u24(bytes: &[u8]) -> Vec<u8> {
    let len = u32::try_from(bytes.len()).expect("a certificate is shorter than 4 GiB");
    [&len.to_be_bytes()[1..], bytes].concat()
}

impl CtLog {
    pub(super) fn open(store: &Store, root: Certificate) -> Result<Self, SandboxError> {
        let (records, kept) = store.log("ctlog.log")?;
        let mut entries = Entries {
            records,
            entries: Vec::new(),
            hashes: Vec::new(),
        };
        for record in kept {
            let entry = Entry::decode(&record)
                .ok_or_else(|| store.damaged("ctlog.log", "a record is no log entry"))?;
            entries.hashes.push(merkle::leaf_hash(&entry.leaf_input));
            entries.entries.push(entry);
        }
        Ok(CtLog {
            key: EcdsaKey::open(store, "ctlog.key.pem")?,
            stranger: EcdsaKey::generate()?,
            root,
            entries: Mutex::new(entries),
        })
    }

    pub(super) fn key(&self) -> &EcdsaKey {
        &self.key
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().expect("no holder of this lock panics")
    }

    /// Enters a certificate and returns the SCT for it. With `spoiled`, the signature is by a key that is
    /// not the log's.
    pub(super) fn submit(
        &self,
        subject: &Subject<'_>,
        issuer: &Certificate,
        spoiled: bool,
    ) -> Result<SignedCertificateTimestamp, SandboxError> {
        let log_id = Digest::sha256(self.key.spki());
        let mut sct = SignedCertificateTimestamp {
            log_id: log_id.as_bytes().try_into().expect("SHA-256 has 32 bytes"),
            timestamp: clock::now().millis(),
            extensions: Vec::new(),
            hash: HashAlgorithm::Sha256,
            algorithm: SctSignatureAlgorithm::Ecdsa,
            signature: Vec::new(),
        };
        let chain = u24(&[u24(issuer.der()), u24(self.root.der())].concat());
        // What is signed and what is hashed into the tree begin alike: version 0, type 0 (RFC 6962 §3.2, §3.4).
        let (leaf_input, extra_data) = match subject {
            Subject::Precertificate {
                tbs,
                precertificate,
            } => (
                sct.signed_input(&issuer.public_key().fingerprint(), tbs),
                [u24(precertificate), chain].concat(),
            ),
            Subject::Certificate(der) => {
                let timestamp = sct.timestamp.to_be_bytes();
                let parts = [&[0, 0], &timestamp[..], &[0, 0], &u24(der), &[0, 0]];
                (parts.concat(), chain)
            }
        };
        let key = if spoiled { &self.stranger } else { &self.key };
        sct.signature = key.sign(&leaf_input);
        self.entries().append(Entry {
            leaf_input,
            extra_data,
        })?;
        Ok(sct)
    }

    pub(super) fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/ct/v1/get-sth", get(sth))
            .route("/ct/v1/get-entries", get(entries))
            .route("/ct/v1/get-sth-consistency", get(consistency))
            .route("/ct/v1/get-proof-by-hash", get(proof_by_hash))
            .route("/ct/v1/get-roots", get(roots))
            .with_state(self)
    }
}

impl Entries {
    fn append(&mut self, entry: Entry) -> Result<(), SandboxError> {
        self.records.append(&entry.encode())?;
        self.hashes.push(merkle::leaf_hash(&entry.leaf_input));
        self.entries.push(entry);
        Ok(())
    }
}

impl Entry {
    fn encode(&self) -> Vec<u8> {
        [u24(&self.leaf_input), self.extra_data.clone()].concat()
    }

    fn decode(record: &[u8]) -> Option<Self> {
        let (len, rest) = record.split_first_chunk::<3>()?;
        let len = usize::try_from(u32::from_be_bytes([0, len[0], len[1], len[2]])).ok()?;
        let (leaf_input, extra_data) = rest.split_at_checked(len)?;
        Some(Entry {
            leaf_input: leaf_input.to_vec(),
            extra_data: extra_data.to_vec(),
        })
    }
}

/// `DigitallySigned`: SHA-256, ECDSA, signature (RFC 5246 §4.7).
fn digitally_signed(signature: &[u8]) -> Vec<u8> {
    let len = u16::try_from(signature.len()).expect("an ECDSA signature is short");
    [&[4, 3], &len.to_be_bytes()[..], signature].concat()
}

/// The JSON that add-chain answers; Fulcio passes it on for an SCT beside the certificate.
pub(super) fn add_chain_response(sct: &SignedCertificateTimestamp) -> String {
    json!({
        "sct_version": 0,
        "id": STANDARD.encode(sct.log_id),
        "timestamp": sct.timestamp,
        "extensions": "",
        "signature": STANDARD.encode(digitally_signed(&sct.signature)),
    })
    .to_string()
}

async fn sth(State(log): State<Arc<CtLog>>) -> Json<serde_json::Value> {
    let (root, size) = {
        let entries = log.entries();
        (merkle::root(&entries.hashes), entries.hashes.len())
    };
    let timestamp = clock::now().millis();
    let size = u64::try_from(size).expect("a log size fits u64");
    let signed = [
        &[0, 1],
        &timestamp.to_be_bytes()[..],
        &size.to_be_bytes(),
        &root,
    ]
    .concat();
    Json(json!({
        "tree_size": size,
        "timestamp": timestamp,
        "sha256_root_hash": STANDARD.encode(root),
        "tree_head_signature": STANDARD.encode(digitally_signed(&log.key.sign(&signed))),
    }))
}

fn refuse(message: &str) -> Response {
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::BAD_REQUEST, text, format!("{message}\n")).into_response()
}

#[derive(serde::Deserialize)]
struct Range {
    start: usize,
    end: usize,
}

async fn entries(State(log): State<Arc<CtLog>>, Query(range): Query<Range>) -> Response {
    let kept = log.entries();
    if range.start > range.end || range.start >= kept.entries.len() {
        return refuse("need tree size > start <= end");
    }
    let end = (range.end.saturating_add(1))
        .min(kept.entries.len())
        .min(range.start + PAGE);
    let entries: Vec<_> = kept.entries[range.start..end]
        .iter()
        .map(|entry| {
            json!({
                "leaf_input": STANDARD.encode(&entry.leaf_input),
                "extra_data": STANDARD.encode(&entry.extra_data),
            })
        })
        .collect();
    Json(json!({ "entries": entries })).into_response()
}

fn base64_hashes(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

#[derive(serde::Deserialize)]
struct Sizes {
    first: usize,
    second: usize,
}

async fn consistency(State(log): State<Arc<CtLog>>, Query(sizes): Query<Sizes>) -> Response {
    let kept = log.entries();
    if sizes.first > sizes.second || sizes.second > kept.hashes.len() {
        return refuse("need first <= second <= tree size");
    }
    let proof = match sizes.first {
        0 => Vec::new(),
        first => merkle::consistency_proof(&kept.hashes[..sizes.second], first).unwrap_or_default(),
    };
    Json(json!({ "consistency": base64_hashes(&proof) })).into_response()
}

#[derive(serde::Deserialize)]
struct LeafQuery {
    hash: String,
    tree_size: usize,
}

async fn proof_by_hash(State(log): State<Arc<CtLog>>, Query(query): Query<LeafQuery>) -> Response {
    let kept = log.entries();
    let Ok(hash) = STANDARD.decode(query.hash.replace(' ', "+")) else {
        return refuse("hash is not base64");
    };
    if query.tree_size == 0 || query.tree_size > kept.hashes.len() {
        return refuse("need 1 <= tree_size <= tree size");
    }
    let tree = &kept.hashes[..query.tree_size];
    let Some(index) = tree.iter().position(|leaf| leaf[..] == hash) else {
        return (StatusCode::NOT_FOUND, "no such leaf\n").into_response();
    };
    let path = merkle::inclusion_proof(tree, index).unwrap_or_default();
    Json(json!({ "leaf_index": index, "audit_path": base64_hashes(&path) })).into_response()
}

async fn roots(State(log): State<Arc<CtLog>>) -> Json<serde_json::Value> {
    Json(json!({ "certificates": [STANDARD.encode(log.root.der())] }))
}
