//! Transparency log entries: in a trusted log, provably, and about this signature (spec 04, 05).

use crate::crypto::merkle::{leaf_hash, verify_inclusion};
use crate::crypto::{Digest, HashAlgorithm, PublicKey, UnixTime};
use crate::format::bundle::{Bundle, Content, InclusionProof, KeyMaterial, TransparencyLogEntry};
use crate::format::checkpoint::{Checkpoint, key_id};
use crate::format::log_entry::{LogBody, Verifier, signed_entry_timestamp_input};
use crate::trust::TrustedRoot;
use crate::trust::trusted_root::LogInstance;
use crate::verify::{VerifiedSignature, VerifyError};

/// An entry of a trusted log that is about this bundle's signature, key and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundEntry {
    log: LogInstance,
    log_index: u64,
    promised_time: Option<UnixTime>,
    proven: bool,
}

impl BoundEntry {
    /// Returns the log's address in the trusted root.
    pub fn log_url(&self) -> &str {
        &self.log.base_url
    }

    /// Returns the log's key id.
    pub fn log_id(&self) -> &[u8] {
        &self.log.log_id
    }

    /// Returns the entry's index in the log.
    pub fn log_index(&self) -> u64 {
        self.log_index
    }

    /// Returns the time that the log promised with its key; `None` where it made no promise.
    pub fn promised_time(&self) -> Option<UnixTime> {
        self.promised_time
    }

    /// Returns whether inclusion was proven by a checkpoint, and not only promised.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// Verifies that the log's key was trusted at a time.
    pub(super) fn verify_log_trusted_at(&self, time: UnixTime) -> Result<(), VerifyError> {
        trusted_at(&self.log, time)
    }
}

fn trusted_at(log: &LogInstance, time: UnixTime) -> Result<(), VerifyError> {
    if log.valid_for.contains(time) {
        return Ok(());
    }
    Err(VerifyError::LogKeyNotValidAt {
        time,
        valid_for: log.valid_for,
    })
}

/// Verifies every entry of a trusted log; at least one must be.
///
/// # Errors
/// [`VerifyError`] of the log class.
pub(super) fn verify_entries(
    bundle: &Bundle,
    key: &PublicKey,
    signature: &VerifiedSignature,
    trust: &TrustedRoot,
) -> Result<Vec<BoundEntry>, VerifyError> {
    let mut bound = Vec::new();
    for entry in &bundle.log_entries {
        let mut logs = trust
            .logs
            .iter()
            .filter(|log| log.log_id == entry.log_id)
            .peekable();
        if logs.peek().is_none() {
            continue;
        }
        verify_binding(entry, bundle, key, signature)?;
        // One key may be listed with several periods of trust.
        let mut refusal = None;
        let found = logs.find_map(|log| match verify_in_log(entry, log) {
            Ok((promised_time, proven)) => Some(BoundEntry {
                log: log.clone(),
                log_index: entry.log_index,
                promised_time,
                proven,
            }),
            Err(error) => {
                refusal = Some(error);
                None
            }
        });
        match (found, refusal) {
            (Some(entry), _) => bound.push(entry),
            (None, Some(error)) => return Err(error),
            (None, None) => {}
        }
    }
    if bound.is_empty() {
        let found = bundle
            .log_entries
            .iter()
            .map(|entry| hex::encode(entry.log_id))
            .collect();
        return Err(VerifyError::UnknownLog { found });
    }
    Ok(bound)
}

/// Verifies that the entry's body is about this signature (04 §8, 05 §3).
fn verify_binding(
    entry: &TransparencyLogEntry,
    bundle: &Bundle,
    key: &PublicKey,
    signature: &VerifiedSignature,
) -> Result<(), VerifyError> {
    let differs = |what| Err(VerifyError::EntryMismatch { what });
    let body = LogBody::parse(&entry.kind, &entry.version, &entry.canonicalized_body)?;
    let (logged_signature, verifier) = match (&body, &bundle.content) {
        (
            LogBody::HashedRekord {
                digest,
                signature: logged,
                verifier,
            },
            content,
        ) => {
            // 0.0.1 logs artifacts only; 0.0.2 also the pre-authentication encoding of an envelope.
            if matches!(content, Content::DsseEnvelope(_)) && entry.version == "0.0.1" {
                return differs("the kind of signature");
            }
            if digest != signature.signed_digest() {
                return differs("the digest");
            }
            (logged, verifier)
        }
        (
            LogBody::Dsse {
                payload_hash,
                signature: logged,
                verifier,
            },
            Content::DsseEnvelope(envelope),
        ) => {
            let expected = match (payload_hash.algorithm(), signature.payload_digest()) {
                (HashAlgorithm::Sha256, Some(digest)) => *digest,
                (algorithm, _) => algorithm.digest(&envelope.payload),
            };
            if *payload_hash != expected {
                return differs("the payload's digest");
            }
            (logged, verifier)
        }
        (LogBody::Dsse { .. }, Content::MessageSignature { .. }) => {
            return differs("the kind of signature");
        }
    };
    if logged_signature != bundle.content.signature() {
        return differs("the signature");
    }
    let same_key = match (verifier, &bundle.key_material) {
        (Verifier::Certificate(der), KeyMaterial::Certificate(leaf)) => der == leaf.der(),
        (Verifier::PublicKey(spki), KeyMaterial::PublicKey { .. }) => spki == key.spki_der(),
        _ => false,
    };
    if same_key {
        Ok(())
    } else {
        differs("the certificate or key")
    }
}

/// Verifies promise and proof under one instance of the log; returns the promised time, and whether
/// inclusion is proven.
fn verify_in_log(
    entry: &TransparencyLogEntry,
    log: &LogInstance,
) -> Result<(Option<UnixTime>, bool), VerifyError> {
    let promised_time = match &entry.inclusion_promise {
        Some(promise) => Some(verify_promise(entry, promise, log)?),
        None => None,
    };
    match &entry.inclusion_proof {
        Some(proof) => verify_proof(entry, proof, log)?,
        None if promised_time.is_some() => {}
        None => return Err(VerifyError::NoProof),
    }
    Ok((promised_time, entry.inclusion_proof.is_some()))
}

/// Verifies the signed entry timestamp (04 §5); its time counts only afterwards.
fn verify_promise(
    entry: &TransparencyLogEntry,
    promise: &[u8],
    log: &LogInstance,
) -> Result<UnixTime, VerifyError> {
    let integrated_time = entry.integrated_time.ok_or(VerifyError::PromiseInvalid)?;
    let input = signed_entry_timestamp_input(
        &entry.canonicalized_body,
        integrated_time,
        &entry.log_id,
        entry.log_index,
    );
    log.public_key
        .verify(HashAlgorithm::Sha256, &input, promise)
        .map_err(|_| VerifyError::PromiseInvalid)?;
    let time = UnixTime::from_seconds(integrated_time);
    trusted_at(log, time)?;
    Ok(time)
}

/// Returns whether the log's id depends on its name: Rekor v2 (05 §4).
fn is_named(log: &LogInstance) -> bool {
    log.log_id != log.public_key.fingerprint().as_bytes()
}

/// Verifies checkpoint and inclusion (04 §7, 05 §4 to §6).
fn verify_proof(
    entry: &TransparencyLogEntry,
    proof: &InclusionProof,
    log: &LogInstance,
) -> Result<(), VerifyError> {
    let checkpoint = Checkpoint::parse(&proof.checkpoint)?;
    verify_checkpoint_signature(&checkpoint, log)?;
    let differs = |what| Err(VerifyError::CheckpointMismatch { what });
    if checkpoint.root_hash != proof.root_hash {
        return differs("root hash");
    }
    if checkpoint.tree_size != proof.tree_size {
        return differs("tree size");
    }
    // A sharded v1 log counts entries over all shards and leaves within one; v2 has one index.
    if is_named(log) && proof.log_index != entry.log_index {
        return differs("log index");
    }
    verify_inclusion(
        proof.log_index,
        checkpoint.tree_size,
        leaf_hash(&entry.canonicalized_body),
        &proof.hashes,
        &checkpoint.root_hash,
    )?;
    Ok(())
}

fn verify_checkpoint_signature(
    checkpoint: &Checkpoint,
    log: &LogInstance,
) -> Result<(), VerifyError> {
    let refuse = |reason| Err(VerifyError::CheckpointSignature { reason });
    let mut verified = false;
    for line in checkpoint
        .signatures
        .iter()
        .filter(|line| log.log_id.starts_with(&line.key_hint))
    {
        let origin_is_ours = if is_named(log) {
            // The id is over name and key, so the name cannot be another log's.
            let id: Digest = key_id(&line.name, &log.public_key);
            if id.as_bytes() != log.log_id {
                continue;
            }
            checkpoint.origin == line.name
        } else {
            // Rekor v1 signs as its host name and appends the tree's number to the origin.
            checkpoint.origin == line.name
                || checkpoint
                    .origin
                    .strip_prefix(&line.name)
                    .is_some_and(|rest| rest.starts_with(" - "))
        };
        if !origin_is_ours {
            return refuse("its origin is another log's");
        }
        if !line.verifies(&checkpoint.note, &log.public_key) {
            return refuse("the signature does not verify");
        }
        verified = true;
    }
    if verified {
        Ok(())
    } else {
        refuse("no signature line is the log's")
    }
}
