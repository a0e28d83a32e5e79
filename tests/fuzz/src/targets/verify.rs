//! The whole verdict over a changed bundle: it is accepted only if it means what a recorded one means.

use keyless::crypto::{PublicKey, SignatureMemo};
use keyless::format::bundle::{Bundle, Content, TransparencyLogEntry};
use keyless::format::checkpoint::Checkpoint;
use keyless::format::limits;
use keyless::format::timestamp::TimestampResponse;
use keyless::verify::timestamp::verify_timestamp;
use keyless::verify::{Artifact, VerifiedBundle, Verifier};

use super::captures::{Genuine, genuine, judge, trust};
use super::{Grammar, Target, present};

pub const TARGET: Target = Target {
    name: "verify",
    run,
    grammar: Grammar::Json,
    max_len: 16 * 1024,
    limit: limits::BUNDLE_LEN,
    weight: 4,
};

fn run(data: &[u8]) {
    let Ok(bundle) = Bundle::parse(data) else {
        return;
    };
    let mut artifacts: Vec<&Artifact> = Vec::new();
    for one in genuine() {
        if !artifacts.contains(&&one.artifact) {
            artifacts.push(&one.artifact);
        }
    }
    for artifact in artifacts {
        match judge(&bundle, artifact, trust()) {
            Ok(verdict) => {
                let one = genuine()
                    .iter()
                    .find(|one| {
                        one.artifact == *artifact
                            && one.bundle.content.signature() == bundle.content.signature()
                    })
                    .expect("a signature that nobody made was accepted");
                same_meaning(&bundle, one);
                same_verdict(&verdict, one);
            }
            Err(error) => present(&error),
        }
    }
}

/// Everything that a signature covers stands as it was signed; the rest may be gone, and nothing may be new.
fn same_meaning(bundle: &Bundle, one: &Genuine) {
    assert_eq!(bundle.key_material, one.bundle.key_material);
    match (&bundle.content, &one.bundle.content) {
        (
            Content::MessageSignature { digest, .. },
            Content::MessageSignature {
                digest: genuine, ..
            },
        ) => assert!(digest.is_none() || digest == genuine),
        (Content::DsseEnvelope(envelope), Content::DsseEnvelope(genuine)) => {
            assert_eq!(envelope.payload_type, genuine.payload_type);
            assert_eq!(envelope.payload, genuine.payload);
        }
        _ => panic!("accepted as another kind of content"),
    }
    for entry in &bundle.log_entries {
        let Some(log) = trust().logs.iter().find(|log| log.log_id == entry.log_id) else {
            continue;
        };
        same_entry(entry, &one.bundle.log_entries, &log.public_key);
    }
    for der in bundle
        .timestamps
        .iter()
        .filter(|der| !one.bundle.timestamps.contains(der))
    {
        let response = TimestampResponse::parse(der).expect("accepted with one that is none");
        let signature = bundle.content.signature();
        if let Some(verified) = verify_timestamp(&response, signature, &Verifier::new(trust()))
            .expect("accepted with a bad one")
        {
            assert!(one.verdict.timestamps().contains(&verified));
        }
    }
}

fn same_entry(entry: &TransparencyLogEntry, genuine: &[TransparencyLogEntry], key: &PublicKey) {
    let one = genuine
        .iter()
        .find(|one| {
            (&one.log_id, &one.canonicalized_body) == (&entry.log_id, &entry.canonicalized_body)
        })
        .expect("an entry that the log does not have was accepted");
    assert_eq!((&entry.kind, &entry.version), (&one.kind, &one.version));
    assert!(entry.inclusion_promise.is_some() || entry.inclusion_proof.is_some());
    if entry.inclusion_promise.is_some() {
        assert_eq!(entry.inclusion_promise, one.inclusion_promise);
        assert_eq!(entry.integrated_time, one.integrated_time);
        assert_eq!(entry.log_index, one.log_index);
    }
    if let (Some(proof), Some(known)) = (&entry.inclusion_proof, &one.inclusion_proof) {
        assert_eq!(
            (proof.log_index, proof.tree_size, proof.root_hash),
            (known.log_index, known.tree_size, known.root_hash)
        );
        assert_eq!(proof.hashes, known.hashes);
        let memo = SignatureMemo::default();
        let note = |text: &str| {
            let checkpoint = Checkpoint::parse(text).expect("accepted with one that is none");
            let signed = checkpoint
                .signatures
                .iter()
                .any(|line| line.verifies(&checkpoint.note, key, &memo));
            assert!(
                signed,
                "accepted with a checkpoint that the log has not signed"
            );
            checkpoint.note
        };
        assert_eq!(note(&proof.checkpoint), note(&known.checkpoint));
    }
}

/// The verdict says no more than that over the recorded bundle.
fn same_verdict(verdict: &VerifiedBundle, one: &Genuine) {
    let known = &one.verdict;
    assert_eq!(verdict.artifact(), known.artifact());
    assert_eq!(verdict.signer(), known.signer());
    assert_eq!(verdict.signature(), known.signature());
    assert_eq!(verdict.annotations(), known.annotations());
    let times = |verdict: &VerifiedBundle| verdict.times().map(|t| t.all().to_vec());
    let known_times = times(known).unwrap_or_default();
    let found_times = times(verdict).unwrap_or_default();
    assert!(!found_times.is_empty());
    assert!(found_times.iter().all(|time| known_times.contains(time)));
    assert!(!verdict.entries().is_empty());
    for entry in verdict.entries() {
        let known = known
            .entries()
            .iter()
            .find(|known| known.log_id() == entry.log_id())
            .expect("an entry of another log counts");
        let indices = one.bundle.log_entries.iter().flat_map(|entry| {
            let proof = entry.inclusion_proof.as_ref();
            [Some(entry.log_index), proof.map(|proof| proof.log_index)]
        });
        assert!(indices.flatten().any(|index| index == entry.log_index()));
        assert!(entry.promised_time().is_none() || entry.promised_time() == known.promised_time());
        assert!(known.is_proven() || !entry.is_proven());
    }
    for timestamp in verdict.timestamps() {
        assert!(known.timestamps().contains(timestamp));
    }
}
