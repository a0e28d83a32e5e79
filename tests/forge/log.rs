//! Transparency logs: bodies, a tree of eight leaves, promises and checkpoints.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyless::crypto::{Digest, HashAlgorithm, TimeRange, UnixTime};
use keyless::format::bundle::{InclusionProof, TransparencyLogEntry};
use keyless::trust::trusted_root::LogInstance;
use serde_json::{Value, json};

use crate::key::{Key, sha256};

/// Number of leaves in a tree.
const LEAVES: usize = 7;
/// Where a Rekor v1 log had its earlier shards end.
const EARLIER_SHARDS: u64 = 1000;

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Generation of Rekor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rekor {
    V1,
    V2,
}

/// A log with its key.
#[derive(Clone)]
pub struct Log {
    pub rekor: Rekor,
    pub name: &'static str,
    pub key: Key,
}

impl Log {
    /// Key id: over the key alone, but for Ed25519 over name and key (C2SP signed-note).
    pub fn id(&self) -> [u8; 32] {
        match self.key.is_ed25519() {
            false => sha256(&self.key.spki()),
            true => sha256(&[self.name.as_bytes(), b"\n\x01", &self.key.raw()[..]].concat()),
        }
    }

    pub fn instance(&self, start: i64) -> LogInstance {
        LogInstance {
            base_url: format!("https://{}", self.name),
            public_key: self.key.public(),
            valid_for: TimeRange {
                start: UnixTime::from_seconds(start),
                end: None,
            },
            log_id: self.id().to_vec(),
            operator: None,
        }
    }
}

/// Kind of body.
#[derive(Clone, Copy)]
pub enum Kind {
    Hashedrekord1,
    Dsse1,
    Intoto,
    Hashedrekord2,
    Dsse2,
}

/// What an entry is about.
pub struct Logged<'a> {
    /// Who signed.
    pub key: &'a Key,
    /// What was signed: the artifact, or a pre-authentication encoding.
    pub message: &'a [u8],
    /// The hash that was signed.
    pub hash: HashAlgorithm,
    /// Payload of an envelope.
    pub payload: &'a [u8],
    pub signature: &'a [u8],
    /// PEM label and DER of who signed.
    pub verifier: (&'static str, &'a [u8]),
}

/// What a checkpoint shall say.
#[derive(Clone)]
pub struct CheckpointText {
    pub origin: String,
    pub name: String,
    pub signer: Key,
    /// Lines behind the root hash.
    pub more: &'static str,
    /// Key hint; that of the log's id if none is given.
    pub hint: Option<[u8; 4]>,
}

/// What an entry shall be.
#[derive(Clone)]
pub struct Entry {
    pub log: Log,
    pub kind: Kind,
    /// Changes the body before it is logged.
    pub edit: fn(&mut Value),
    /// Writes the body; [`Value::to_string`] unless its text is what is wrong.
    pub write: Rc<dyn Fn(&Value) -> String>,
    /// Place in the tree.
    pub place: usize,
    /// Number of leaves in the tree.
    pub leaves: usize,
    /// Entries of earlier shards, for Rekor v1.
    pub earlier: u64,
    pub integrated_time: Option<i64>,
    pub promise: bool,
    pub proof: bool,
    pub checkpoint: CheckpointText,
}

impl Entry {
    pub fn new(log: &Log, kind: Kind, time: i64) -> Self {
        let v1 = log.rekor == Rekor::V1;
        Entry {
            log: log.clone(),
            kind,
            edit: |_| {},
            write: Rc::new(Value::to_string),
            place: 4,
            leaves: LEAVES,
            earlier: if v1 { EARLIER_SHARDS } else { 0 },
            integrated_time: v1.then_some(time),
            promise: v1,
            proof: true,
            checkpoint: CheckpointText {
                origin: match log.rekor {
                    Rekor::V1 => format!("{} - 1193050959916656506", log.name),
                    Rekor::V2 => log.name.to_owned(),
                },
                name: log.name.to_owned(),
                signer: log.key.clone(),
                more: "",
                hint: None,
            },
        }
    }

    pub fn issue(&self, logged: &Logged<'_>) -> TransparencyLogEntry {
        let mut body = body(self.kind, logged);
        (self.edit)(&mut body);
        let body = (self.write)(&body).into_bytes();
        let place = self.place as u64;
        let log_index = self.earlier + place;
        let log_id = self.log.id();
        let promise = self.promise.then(|| {
            let input = format!(
                r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{log_index}}}"#,
                base64(&body),
                self.integrated_time.unwrap_or_default(),
                hex::encode(log_id),
            );
            self.log.key.sign(input.as_bytes())
        });
        let (kind, version) = match self.kind {
            Kind::Hashedrekord1 => ("hashedrekord", "0.0.1"),
            Kind::Dsse1 => ("dsse", "0.0.1"),
            Kind::Intoto => ("intoto", "0.0.2"),
            Kind::Hashedrekord2 => ("hashedrekord", "0.0.2"),
            Kind::Dsse2 => ("dsse", "0.0.2"),
        };
        TransparencyLogEntry {
            log_index,
            log_id,
            kind: kind.to_owned(),
            version: version.to_owned(),
            integrated_time: self.integrated_time,
            inclusion_promise: promise,
            inclusion_proof: self.proof.then(|| self.prove(&body)),
            canonicalized_body: body,
        }
    }

    fn prove(&self, body: &[u8]) -> InclusionProof {
        let leaves = tree_of(body, self.place, self.leaves);
        let root_hash = root(&leaves);
        let note = format!(
            "{}\n{}\n{}\n{}",
            self.checkpoint.origin,
            self.leaves,
            base64(&root_hash),
            self.checkpoint.more,
        );
        let id = self.log.id();
        let hint = self.checkpoint.hint.unwrap_or([id[0], id[1], id[2], id[3]]);
        let signature = self.checkpoint.signer.sign(note.as_bytes());
        let line = base64(&[&hint[..], &signature].concat());
        InclusionProof {
            log_index: self.place as u64,
            root_hash,
            tree_size: self.leaves as u64,
            hashes: path(&leaves, self.place),
            checkpoint: format!("{note}\n\u{2014} {} {line}\n", self.checkpoint.name),
        }
    }
}

/// Leaf hashes of a tree with a body at a place.
pub fn tree(body: &[u8], place: usize) -> Vec<[u8; 32]> {
    tree_of(body, place, LEAVES)
}

fn tree_of(body: &[u8], place: usize, leaves: usize) -> Vec<[u8; 32]> {
    let leaf = |content: &[u8]| sha256(&[&[0], content].concat());
    (0..leaves)
        .map(|at| match at == place {
            true => leaf(body),
            false => leaf(format!("leaf {at}").as_bytes()),
        })
        .collect()
}

fn split(leaves: &[[u8; 32]]) -> usize {
    let mut at = 1;
    while at * 2 < leaves.len() {
        at *= 2;
    }
    at
}

fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    if let [leaf] = leaves {
        return *leaf;
    }
    let (left, right) = leaves.split_at(split(leaves));
    sha256(&[&[1], &root(left)[..], &root(right)].concat())
}

/// RFC 6962 §2.1.1.
pub fn path(leaves: &[[u8; 32]], at: usize) -> Vec<[u8; 32]> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves));
    let (mut hashes, sibling) = match at.checked_sub(left.len()) {
        None => (path(left, at), root(right)),
        Some(at) => (path(right, at), root(left)),
    };
    hashes.push(sibling);
    hashes
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn body(kind: Kind, logged: &Logged<'_>) -> Value {
    let (label, der) = logged.verifier;
    let hash =
        |digest: &Digest| json!({ "algorithm": digest.algorithm().name(), "value": digest.hex() });
    let verifier = base64(pem(label, der).as_bytes());
    let signature = base64(logged.signature);
    match kind {
        Kind::Hashedrekord1 => json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": hash(&logged.hash.digest(logged.message)) },
                "signature": { "content": signature, "publicKey": { "content": verifier } },
            },
        }),
        Kind::Dsse1 => json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(&Digest::sha256(b"the envelope as it was sent")),
                "payloadHash": hash(&Digest::sha256(logged.payload)),
                "signatures": [{ "signature": signature, "verifier": verifier }],
            },
        }),
        Kind::Intoto => json!({
            "apiVersion": "0.0.2",
            "kind": "intoto",
            "spec": { "content": {
                "envelope": {
                    "payloadType": "application/vnd.in-toto+json",
                    "signatures": [{
                        "sig": base64(signature.as_bytes()),
                        "publicKey": verifier,
                    }],
                },
                "hash": hash(&Digest::sha256(b"the envelope as it was sent")),
                "payloadHash": hash(&Digest::sha256(logged.payload)),
            } },
        }),
        Kind::Hashedrekord2 => {
            let (algorithm, signature) = signature2(logged);
            let digest = logged.hash.digest(logged.message);
            json!({
                "apiVersion": "0.0.2",
                "kind": "hashedrekord",
                "spec": { "hashedRekordV002": {
                    "data": { "algorithm": algorithm, "digest": base64(digest.as_bytes()) },
                    "signature": signature,
                } },
            })
        }
        Kind::Dsse2 => {
            let payload_hash = base64(&sha256(logged.payload));
            json!({
                "apiVersion": "0.0.2",
                "kind": "dsse",
                "spec": { "dsseV002": {
                    "payloadHash": { "algorithm": "SHA2_256", "digest": payload_hash },
                    "signatures": [signature2(logged).1],
                } },
            })
        }
    }
}

/// Hash and signature as Rekor v2 writes them.
fn signature2(logged: &Logged<'_>) -> (&'static str, Value) {
    let (label, der) = logged.verifier;
    let member = match label {
        "CERTIFICATE" => "x509Certificate",
        _ => "publicKey",
    };
    let (algorithm, details) = match logged.hash {
        _ if logged.key.is_rsa() => ("SHA2_256", "PKIX_RSA_PKCS1V15_2048_SHA256"),
        _ if logged.key.raw().len() == 32 => ("SHA2_512", "PKIX_ED25519_PH"),
        HashAlgorithm::Sha256 => ("SHA2_256", "PKIX_ECDSA_P256_SHA_256"),
        HashAlgorithm::Sha384 => ("SHA2_384", "PKIX_ECDSA_P384_SHA_384"),
        HashAlgorithm::Sha512 => ("SHA2_512", "PKIX_ECDSA_P521_SHA_512"),
    };
    let signature = json!({
        "content": base64(logged.signature),
        "verifier": { "keyDetails": details, member: { "rawBytes": base64(der) } },
    });
    (algorithm, signature)
}
