//! What a bundle says, part by part. A part that cannot be read is its error, and does not hide the others.

use super::certificate::{CertificateFacts, shown_name};
use super::part::{List, Part, cut, unreadable};
use crate::crypto::{Digest, UnixTime};
use crate::format::bundle::{
    Bundle, BundleVersion, Content, InclusionProof, KeyMaterial, TransparencyLogEntry,
};
use crate::format::checkpoint::Checkpoint;
use crate::format::dsse::{Envelope, IN_TOTO_PAYLOAD_TYPE};
use crate::format::log_entry::{LogBody, Verifier};
use crate::format::statement::Statement;
use crate::format::timestamp::{SignerIdentifier, TimestampResponse};

/// What a bundle says.
#[derive(Debug, Clone)]
pub struct BundleFacts {
    /// Format version.
    pub version: &'static str,
    /// Digest of the bundle's bytes.
    pub digest: Digest,
    /// Who signed.
    pub key: KeyFacts,
    /// What was signed.
    pub content: ContentFacts,
    /// Log entries.
    pub entries: Vec<EntryFacts>,
    /// Timestamps.
    pub timestamps: Vec<Part<TimestampFacts>>,
}

/// What a bundle says about the key.
#[derive(Debug, Clone)]
pub enum KeyFacts {
    /// The leaf certificate.
    Certificate(Box<CertificateFacts>),
    /// A hint at a key that the verifier has.
    Hint(String),
}

/// What was signed.
#[derive(Debug, Clone)]
pub enum ContentFacts {
    /// An artifact.
    Message {
        /// Its digest, as the signer saw it.
        digest: Option<Digest>,
        /// SHA-256 over the signature.
        signature: Digest,
    },
    /// An envelope.
    Envelope {
        /// Type of the payload.
        payload_type: String,
        /// Length of the payload in bytes.
        payload_len: usize,
        /// SHA-256 over the payload.
        payload: Digest,
        /// Key hint of the envelope; mostly empty.
        keyid: String,
        /// The in-toto statement; `None` for another payload.
        statement: Option<Part<StatementFacts>>,
        /// SHA-256 over the signature.
        signature: Digest,
    },
}

/// What a statement says.
#[derive(Debug, Clone)]
pub struct StatementFacts {
    /// Predicate type.
    pub predicate_type: String,
    /// What it is about.
    pub subjects: List<SubjectFacts>,
}

/// What a statement is about.
#[derive(Debug, Clone)]
pub struct SubjectFacts {
    /// Name; empty in image signatures.
    pub name: String,
    /// Digests under algorithms that count here.
    pub digests: Vec<Digest>,
    /// String annotations.
    pub annotations: List<(String, String)>,
}

/// A log entry.
#[derive(Debug, Clone)]
pub struct EntryFacts {
    /// Kind and version, such as `hashedrekord 0.0.1`.
    pub kind: String,
    /// Key id of the log, hex.
    pub log_id: String,
    /// Index in the log.
    pub index: u64,
    /// When it says that it was logged.
    pub time: Option<UnixTime>,
    /// Whether an inclusion promise is there, which alone could vouch for the time.
    pub promised: bool,
    /// The inclusion proof.
    pub proof: Option<ProofFacts>,
    /// What the logged body names.
    pub body: Part<BodyFacts>,
}

/// An inclusion proof.
#[derive(Debug, Clone)]
pub struct ProofFacts {
    /// Index within the tree of the proof.
    pub index: u64,
    /// Size of that tree.
    pub tree_size: u64,
    /// Number of hashes in the path.
    pub hashes: usize,
    /// The checkpoint.
    pub checkpoint: Part<CheckpointFacts>,
}

/// A checkpoint.
#[derive(Debug, Clone)]
pub struct CheckpointFacts {
    /// The log's name of itself.
    pub origin: String,
    /// Size of the tree.
    pub tree_size: u64,
    /// Names on the signature lines: the log's, and witnesses.
    pub signers: List<String>,
}

/// What the body of a log entry names.
#[derive(Debug, Clone)]
pub struct BodyFacts {
    /// What the digest is of.
    pub what: &'static str,
    /// The digest.
    pub digest: Digest,
    /// `certificate` or `public key`.
    pub verifier: &'static str,
    /// SHA-256 over the DER of certificate or SubjectPublicKeyInfo.
    pub verifier_fingerprint: Digest,
    /// SHA-256 over the signature; `None` where the entry is about an envelope as a whole.
    pub signature: Option<Digest>,
}

/// An RFC 3161 timestamp.
#[derive(Debug, Clone)]
pub struct TimestampFacts {
    /// The time.
    pub time: UnixTime,
    /// Digest that was stamped.
    pub imprint: Digest,
    /// The authority's certificate, as the token names it.
    pub signer: String,
    /// Serial number of the token, hex.
    pub serial: String,
    /// Policy, dotted.
    pub policy: Part<String>,
    /// Accuracy in microseconds.
    pub accuracy: Option<Part<u64>>,
    /// Certificates that came along.
    pub certificates: usize,
}

impl BundleFacts {
    /// Gathers what a bundle says; `digest` is of its bytes.
    pub fn of(bundle: &Bundle, digest: Digest) -> Self {
        BundleFacts {
            version: match bundle.version {
                _ if bundle.is_older_form() => "legacy",
                BundleVersion::V01 => "v0.1",
                BundleVersion::V02 => "v0.2",
                BundleVersion::V03 => "v0.3",
            },
            digest,
            key: match &bundle.key_material {
                KeyMaterial::Certificate(leaf) => {
                    KeyFacts::Certificate(Box::new(CertificateFacts::of(leaf)))
                }
                KeyMaterial::PublicKey { hint } => KeyFacts::Hint(cut(hint)),
            },
            content: content(&bundle.content),
            entries: bundle.log_entries.iter().map(entry).collect(),
            timestamps: bundle.timestamps.iter().map(|t| timestamp(t)).collect(),
        }
    }
}

fn content(content: &Content) -> ContentFacts {
    let signature = Digest::sha256(content.signature());
    match content {
        Content::MessageSignature { digest, .. } => ContentFacts::Message {
            digest: *digest,
            signature,
        },
        // In no bundle, so of none that is inspected; what it is over is told.
        Content::SimpleSigning { payload, .. } => ContentFacts::Message {
            digest: Some(Digest::sha256(payload)),
            signature,
        },
        Content::DsseEnvelope(envelope) => ContentFacts::Envelope {
            payload_type: cut(&envelope.payload_type),
            payload_len: envelope.payload.len(),
            payload: Digest::sha256(&envelope.payload),
            keyid: cut(&envelope.keyid),
            statement: (envelope.payload_type == IN_TOTO_PAYLOAD_TYPE).then(|| statement(envelope)),
            signature,
        },
    }
}

fn statement(envelope: &Envelope) -> Part<StatementFacts> {
    let statement = Statement::parse(&envelope.payload).map_err(unreadable)?;
    let subjects = statement.subjects.into_iter().map(|subject| SubjectFacts {
        name: cut(&subject.name),
        digests: subject.digests,
        annotations: subject
            .annotations
            .iter()
            .map(|(key, value)| (cut(key), cut(value)))
            .collect(),
    });
    Ok(StatementFacts {
        predicate_type: cut(&statement.predicate_type),
        subjects: subjects.collect(),
    })
}

fn entry(entry: &TransparencyLogEntry) -> EntryFacts {
    EntryFacts {
        kind: cut(&format!("{} {}", entry.kind, entry.version)),
        log_id: hex::encode(entry.log_id),
        index: entry.log_index,
        time: entry.integrated_time.map(UnixTime::from_seconds),
        promised: entry.inclusion_promise.is_some(),
        proof: entry.inclusion_proof.as_ref().map(proof),
        body: body(entry),
    }
}

fn proof(proof: &InclusionProof) -> ProofFacts {
    let checkpoint = Checkpoint::parse(&proof.checkpoint).map_err(unreadable);
    ProofFacts {
        index: proof.log_index,
        tree_size: proof.tree_size,
        hashes: proof.hashes.len(),
        checkpoint: checkpoint.map(|checkpoint| CheckpointFacts {
            origin: cut(&checkpoint.origin),
            tree_size: checkpoint.tree_size,
            signers: checkpoint.signatures.iter().map(|s| cut(&s.name)).collect(),
        }),
    }
}

fn body(entry: &TransparencyLogEntry) -> Part<BodyFacts> {
    let body = LogBody::parse(&entry.kind, &entry.version, &entry.canonicalized_body);
    let (what, digest, signature, verifier) = match body.map_err(unreadable)? {
        LogBody::HashedRekord {
            digest,
            signature,
            verifier,
            ..
        } => ("signed content", digest, Some(signature), verifier),
        LogBody::Dsse {
            payload_hash,
            signature,
            verifier,
            ..
        } => ("payload", payload_hash, Some(signature), verifier),
        LogBody::StoredEnvelope {
            envelope_hash,
            verifier,
            ..
        } => ("envelope", envelope_hash, None, verifier),
    };
    let (verifier, der) = match &verifier {
        Verifier::Certificate(der) => ("certificate", der),
        Verifier::PublicKey(der) => ("public key", der),
    };
    Ok(BodyFacts {
        what,
        digest,
        verifier,
        verifier_fingerprint: Digest::sha256(der),
        signature: signature.map(|signature| Digest::sha256(&signature)),
    })
}

fn timestamp(der: &[u8]) -> Part<TimestampFacts> {
    let response = TimestampResponse::parse(der).map_err(unreadable)?;
    let accuracy = response.accuracy.as_ref().map(|_| {
        let micros = response.accuracy_micros();
        micros.ok_or_else(|| "malformed accuracy".to_owned())
    });
    Ok(TimestampFacts {
        time: response.time,
        imprint: response.imprint,
        signer: match &response.signer {
            SignerIdentifier::IssuerAndSerial { issuer, serial } => cut(&format!(
                "serial {} of {}",
                hex::encode(serial),
                shown_name(issuer)
            )),
            SignerIdentifier::SubjectKeyIdentifier(id) => cut(&format!("key {}", hex::encode(id))),
        },
        serial: cut(&hex::encode(&response.serial)),
        policy: response
            .policy_text()
            .ok_or_else(|| "malformed policy".to_owned()),
        accuracy,
        certificates: response.certificates.len(),
    })
}
