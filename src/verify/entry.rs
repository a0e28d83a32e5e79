//! Transparency log entries: in a trusted log, provably, and about this signature (Sigstore Client Spec 4.4).

use crate::crypto::merkle::{Hash, leaf_hash, verify_inclusion};
use crate::crypto::{Digest, HashAlgorithm, PublicKey, SignatureMemo, UnixTime};
use crate::format::bundle::{Bundle, Content, InclusionProof, KeyMaterial, TransparencyLogEntry};
use crate::format::checkpoint::{Checkpoint, key_id};
use crate::format::log_entry::{self, LogBody, signed_entry_timestamp_input};
use crate::trust::trusted_root::LogInstance;
use crate::verify::explain::{self, Trail};
use crate::verify::requirements::verify_threshold;
use crate::verify::{
    JudgedTimestamps, Thresholds, VerifiedSignature, VerifiedTimestamp, Verifier, VerifyError,
};

/// The entry's body is about this bundle's signature, key and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BodyBound(());

/// The log's key vouches for the entry: a promise with its time, a proof, or both; never neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InLog {
    promised_time: Option<UnixTime>,
    proof: Option<ProvenInclusion>,
}

/// The entry's leaf is under a root that the log signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProvenInclusion {
    /// Index within the proof's tree.
    tree_index: u64,
}

/// A checkpoint that the log has signed.
struct LogCheckpoint(Checkpoint);

/// An entry of a trusted log that is about this bundle's signature, key and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundEntry {
    /// Periods in which the log was trusted, as far as the entry may be of them; never empty.
    logs: Vec<LogInstance>,
    log_index: u64,
    leaf: Hash,
    in_log: InLog,
    _body: BodyBound,
}

impl BoundEntry {
    /// Returns the log's address in the trusted root.
    pub fn log_url(&self) -> &str {
        &self.logs[0].base_url
    }

    /// Returns the log's key id.
    pub fn log_id(&self) -> &[u8] {
        &self.logs[0].log_id
    }

    /// Returns the entry's index, as far as the log vouches for it: over all shards of a v1 log under its
    /// promise, else within the tree of the proof.
    pub fn log_index(&self) -> u64 {
        match (self.in_log.promised_time, self.in_log.proof) {
            (None, Some(proof)) => proof.tree_index,
            _ => self.log_index,
        }
    }

    /// Returns the time that the log promised with its key; `None` where it made no promise.
    pub fn promised_time(&self) -> Option<UnixTime> {
        self.in_log.promised_time
    }

    /// Returns whether inclusion was proven by a checkpoint, and not only promised.
    pub fn is_proven(&self) -> bool {
        self.in_log.proof.is_some()
    }

    fn is_same_leaf(&self, other: &BoundEntry) -> bool {
        self.leaf == other.leaf && self.key() == other.key()
    }

    /// Returns the key that vouches for the entry; it is what tells one log from another.
    fn key(&self) -> &PublicKey {
        &self.logs[0].public_key
    }

    /// Keeps the periods that the times others vouch for are in, or without any those that have not ended:
    /// what is told of the log, and who counts as its operator, is of a period in which it was trusted. Where
    /// none is left all stay, and the check of the log at those times refuses.
    fn settle(&mut self, times: &[UnixTime]) {
        if self.promised_time().is_some() {
            return;
        }
        let fits = |log: &LogInstance| match times {
            [] => log.valid_for.end.is_none(),
            times => times.iter().any(|time| log.valid_for.contains(*time)),
        };
        if self.logs.iter().any(fits) {
            self.logs.retain(fits);
        }
    }

    /// Verifies that the log's key is trusted without end; for entries whose time nobody vouches for.
    pub(super) fn verify_log_still_trusted(&self) -> Result<(), VerifyError> {
        match self
            .logs
            .iter()
            .map(|log| log.valid_for.end)
            .collect::<Option<Vec<_>>>()
        {
            None => Ok(()),
            Some(ends) => Err(VerifyError::LogKeyNotValidAt {
                time: ends[0],
                valid_for: self.logs[0].valid_for,
            }),
        }
    }

    /// Verifies that the log's key was trusted at a time.
    pub(super) fn verify_log_trusted_at(&self, time: UnixTime) -> Result<(), VerifyError> {
        if self.logs.iter().any(|log| log.valid_for.contains(time)) {
            return Ok(());
        }
        trusted_at(&self.logs[0], time)
    }
}

/// Entries of as many operators' logs as were asked for; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundEntries(Vec<BoundEntry>);

impl BoundEntries {
    /// Returns the entries.
    pub fn all(&self) -> &[BoundEntry] {
        &self.0
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

/// Verifies every entry of a trusted log; they must be of as many operators as the policy asks for.
///
/// # Errors
/// [`VerifyError`] of the log class.
pub(super) fn verify_entries(
    bundle: &Bundle,
    key: &PublicKey,
    signature: &VerifiedSignature,
    timestamps: &JudgedTimestamps,
    thresholds: Thresholds,
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<BoundEntries, VerifyError> {
    let mut bound: Vec<BoundEntry> = Vec::new();
    for entry in &bundle.log_entries {
        let found = trail.check(explain::LOG_ENTRY, |trail| {
            verify_entry(entry, bundle, key, signature, verifier, trail)
        })?;
        let Some(entry) = found else { continue };
        // An index that nobody vouches for does not make one leaf two entries.
        if bound
            .iter()
            .any(|known: &BoundEntry| known.is_same_leaf(&entry))
        {
            return Err(VerifyError::EntryRepeated);
        }
        bound.push(entry);
    }
    if bound.is_empty() {
        let found = bundle
            .log_entries
            .iter()
            .map(|entry| hex::encode(entry.log_id))
            .collect();
        return Err(VerifyError::UnknownLog { found });
    }
    let promised = bound.iter().filter_map(BoundEntry::promised_time);
    let stamped = timestamps.counted().iter().map(VerifiedTimestamp::time);
    let times: Vec<UnixTime> = promised.chain(stamped).collect();
    for entry in &mut bound {
        entry.settle(&times);
    }
    let needed = thresholds.log.get();
    // One key is one log, however often the trusted root lists it.
    let mut keys: Vec<&PublicKey> = Vec::new();
    let parties = bound.iter().filter_map(|entry| {
        let is_new = !keys.contains(&entry.key());
        keys.push(entry.key());
        is_new.then(|| entry.logs[0].party())
    });
    verify_threshold(parties, needed, trail, |found| VerifyError::TooFewLogs {
        needed,
        found,
    })?;
    Ok(BoundEntries(bound))
}

/// Verifies one entry; `None` if it is of a log that the trusted root does not list.
fn verify_entry(
    entry: &TransparencyLogEntry,
    bundle: &Bundle,
    key: &PublicKey,
    signature: &VerifiedSignature,
    verifier: &Verifier<'_>,
    trail: &mut Trail,
) -> Result<Option<BoundEntry>, VerifyError> {
    trail.about(|| format!("{} {}", entry.kind, entry.version));
    trail.fact("log id", || hex::encode(entry.log_id));
    let logs: Vec<&LogInstance> = verifier
        .trust
        .logs
        .iter()
        .filter(|log| log.log_id == entry.log_id)
        .collect();
    if logs.is_empty() {
        trail.not_counted("the trusted root does not list this log");
        return Ok(None);
    }
    let body = trail.check(explain::ENTRY_BINDING, |_| {
        verify_binding(entry, bundle, key, signature)
    })?;
    let leaf = leaf_hash(&entry.canonicalized_body);
    // One key may be listed with several periods of trust; which of them it is, the times decide.
    let mut in_log = None;
    let mut periods: Vec<LogInstance> = Vec::new();
    let mut refusal = None;
    for log in logs {
        let found = trail.attempt(explain::LOG_KEY, |trail| {
            trail.about(|| log.base_url.clone());
            trail.fact("trusted", || log.valid_for.to_string());
            verify_in_log(entry, log, &verifier.memo, trail)
        });
        match found {
            Ok(found) => {
                in_log = Some(found);
                periods.push(log.clone());
            }
            Err(error) => refusal = Some(error),
        }
    }
    let Some(in_log) = in_log else {
        return Err(refusal.unwrap_or(VerifyError::NoProof));
    };
    let bound = BoundEntry {
        logs: periods,
        log_index: entry.log_index,
        leaf,
        in_log,
        _body: body,
    };
    // As far as the log vouches for it, and not as the bundle says.
    trail.fact("log index", || bound.log_index().to_string());
    Ok(Some(bound))
}

/// Verifies that the entry's body is about this signature (04 §8, 05 §3).
fn verify_binding(
    entry: &TransparencyLogEntry,
    bundle: &Bundle,
    key: &PublicKey,
    signature: &VerifiedSignature,
) -> Result<BodyBound, VerifyError> {
    let differs = |what| Err(VerifyError::EntryMismatch { what });
    let body = LogBody::parse(&entry.kind, &entry.version, &entry.canonicalized_body)?;
    let (logged_signature, verifier, key_kind) = match (&body, &bundle.content) {
        (
            LogBody::HashedRekord {
                digest,
                signature: logged,
                verifier,
                key_kind,
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
            (logged, verifier, key_kind)
        }
        (
            LogBody::Dsse {
                payload_hash,
                signature: logged,
                verifier,
                key_kind,
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
            (logged, verifier, key_kind)
        }
        (
            LogBody::StoredEnvelope {
                envelope_hash,
                payload_hash,
                verifier,
            },
            Content::DsseEnvelope(envelope),
        ) => {
            // The digest is of the envelope as it was stored, signature and all.
            let Some(stored) = &bundle.stored_envelope else {
                return differs("the kind of signature");
            };
            if *envelope_hash != envelope_hash.algorithm().digest(stored.bytes()) {
                return differs("the envelope's digest");
            }
            if payload_hash.is_some_and(|hash| hash != hash.algorithm().digest(&envelope.payload)) {
                return differs("the payload's digest");
            }
            (&envelope.signature, verifier, &None)
        }
        (LogBody::Dsse { .. } | LogBody::StoredEnvelope { .. }, _) => {
            return differs("the kind of signature");
        }
    };
    if logged_signature != bundle.content.signature() {
        return differs("the signature");
    }
    let same_key = match (verifier, &bundle.key_material) {
        (log_entry::Verifier::Certificate(der), KeyMaterial::Certificate(leaf)) => {
            der == leaf.der()
        }
        (log_entry::Verifier::PublicKey(spki), KeyMaterial::PublicKey { .. }) => {
            spki == key.spki_der()
        }
        _ => false,
    };
    if key_kind.is_some_and(|kind| kind != key.kind()) {
        return differs("the kind of key");
    }
    if same_key {
        Ok(BodyBound(()))
    } else {
        differs("the certificate or key")
    }
}

/// Verifies promise and proof under one instance of the log.
fn verify_in_log(
    entry: &TransparencyLogEntry,
    log: &LogInstance,
    memo: &SignatureMemo,
    trail: &mut Trail,
) -> Result<InLog, VerifyError> {
    let promised_time = match &entry.inclusion_promise {
        Some(promise) => Some(trail.check(explain::PROMISE, |trail| {
            let time = verify_promise(entry, promise, log)?;
            trail.fact("found", || time.to_string());
            Ok(time)
        })?),
        None => None,
    };
    let proof = match &entry.inclusion_proof {
        Some(proof) => Some(verify_proof(entry, proof, log, memo, trail)?),
        None => None,
    };
    if promised_time.is_none() && proof.is_none() {
        return Err(VerifyError::NoProof);
    }
    Ok(InLog {
        promised_time,
        proof,
    })
}

/// Verifies the signed entry timestamp (04 §5); its time counts only afterwards.
fn verify_promise(
    entry: &TransparencyLogEntry,
    promise: &[u8],
    log: &LogInstance,
) -> Result<UnixTime, VerifyError> {
    // Rekor v2 has no clock that anybody vouches for, and promises nothing.
    if is_v2(entry, log) || entry.log_index > LARGEST_NUMBER {
        return Err(VerifyError::PromiseInvalid);
    }
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

/// Largest number that the canonical JSON of a promise keeps its digits of (RFC 8785 §3.2.2.3).
const LARGEST_NUMBER: u64 = 1 << 53;

/// Returns whether an entry is of Rekor v2, by its version or by its log's id.
fn is_v2(entry: &TransparencyLogEntry, log: &LogInstance) -> bool {
    is_named(log) || entry.version == "0.0.2" && entry.kind != "intoto"
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
    memo: &SignatureMemo,
    trail: &mut Trail,
) -> Result<ProvenInclusion, VerifyError> {
    let LogCheckpoint(head) = trail.check(explain::CHECKPOINT, |trail| {
        verify_checkpoint(entry, proof, log, memo, trail)
    })?;
    trail.check(explain::INCLUSION, |trail| {
        trail.fact("found", || {
            format!("leaf {} of {}", proof.log_index, head.tree_size)
        });
        let leaf = leaf_hash(&entry.canonicalized_body);
        verify_inclusion(
            proof.log_index,
            head.tree_size,
            leaf,
            &proof.hashes,
            &head.root_hash,
        )?;
        Ok(ProvenInclusion {
            tree_index: proof.log_index,
        })
    })
}

/// Verifies that the log has signed the checkpoint, and that it is of the tree that the proof is of.
fn verify_checkpoint(
    entry: &TransparencyLogEntry,
    proof: &InclusionProof,
    log: &LogInstance,
    memo: &SignatureMemo,
    trail: &mut Trail,
) -> Result<LogCheckpoint, VerifyError> {
    let checkpoint = Checkpoint::parse(&proof.checkpoint)?;
    trail.about(|| checkpoint.origin.clone());
    let signed = verify_checkpoint_signature(checkpoint, log, memo)?;
    let head = &signed.0;
    let differs = |what| Err(VerifyError::CheckpointMismatch { what });
    if head.root_hash != proof.root_hash {
        return differs("root hash");
    }
    if head.tree_size != proof.tree_size {
        return differs("tree size");
    }
    // A sharded v1 log counts entries over all shards and leaves within one; v2 has one index.
    if is_v2(entry, log) && proof.log_index != entry.log_index {
        return differs("log index");
    }
    Ok(signed)
}

fn verify_checkpoint_signature(
    checkpoint: Checkpoint,
    log: &LogInstance,
    memo: &SignatureMemo,
) -> Result<LogCheckpoint, VerifyError> {
    let refuse = |reason| Err(VerifyError::CheckpointSignature { reason });
    let mut is_signed = false;
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
            // Rekor v1 signs as its host name and appends the tree's number to the origin. The key alone
            // decides whose checkpoint it is: the name is not part of what is signed.
            checkpoint.origin == line.name
                || checkpoint
                    .origin
                    .strip_prefix(&line.name)
                    .is_some_and(|rest| rest.starts_with(" - "))
        };
        if !origin_is_ours {
            return refuse("its origin is another log's");
        }
        if !line.verifies(&checkpoint.note, &log.public_key, memo) {
            return refuse("the signature does not verify");
        }
        is_signed = true;
    }
    if !is_signed {
        return refuse("no signature line is the log's");
    }
    Ok(LogCheckpoint(checkpoint))
}
