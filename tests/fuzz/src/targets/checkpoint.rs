//! A checkpoint: what it says stands in its note, and each of its signatures makes a checkpoint of its own.

use std::sync::OnceLock;

use keyless::crypto::{PublicKey, SignatureMemo};
use keyless::format::checkpoint::{Checkpoint, key_id};
use keyless::format::limits;

use super::captures::{genuine, trust};
use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "checkpoint",
    run,
    grammar: Grammar::Text,
    max_len: 4 * 1024,
    limit: limits::CHECKPOINT_LEN,
    weight: 1,
};

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let checkpoint = match Checkpoint::parse(text) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return assert!(!error.reason.is_empty()),
    };
    assert!(text.starts_with(&checkpoint.note));
    assert!(checkpoint.note.ends_with('\n'));
    assert!((1..=limits::CHECKPOINT_SIGNATURES).contains(&checkpoint.signatures.len()));
    let Checkpoint {
        origin,
        tree_size,
        root_hash,
        ..
    } = &checkpoint;
    let plain = Checkpoint::note_text(origin, *tree_size, root_hash);
    for line in &checkpoint.signatures {
        for note in [&checkpoint.note, &plain] {
            let alone = Checkpoint::parse(&Checkpoint::envelope(note, line))
                .expect("one line of a checkpoint makes a checkpoint");
            assert_eq!(
                (&alone.origin, &alone.tree_size, &alone.root_hash),
                (origin, tree_size, root_hash)
            );
            assert_eq!(&alone.note, note);
            assert_eq!(alone.signatures, std::slice::from_ref(line));
        }
        let memo = SignatureMemo::default();
        for log in &trust().logs {
            let _ = key_id(&line.name, &log.public_key);
            if line.verifies(&checkpoint.note, &log.public_key, &memo) {
                assert!(is_recorded(&checkpoint.note, &log.public_key));
            }
        }
    }
}

/// Returns whether the log has really signed this, as far as the captures have it.
fn is_recorded(note: &str, key: &PublicKey) -> bool {
    static NOTES: OnceLock<Vec<Checkpoint>> = OnceLock::new();
    let notes = NOTES.get_or_init(|| {
        let others = [
            include_str!("../../../../fixtures/captures/rekor2/checkpoint").to_owned(),
            signed_tree_head(),
        ];
        let entries = genuine().iter().flat_map(|one| &one.bundle.log_entries);
        entries
            .filter_map(|entry| Some(entry.inclusion_proof.as_ref()?.checkpoint.clone()))
            .chain(others)
            .chain(recorded_answers())
            .map(|text| Checkpoint::parse(&text).expect("a recorded checkpoint parses"))
            .collect()
    });
    let memo = SignatureMemo::default();
    notes
        .iter()
        .any(|known| known.note == note && known.signatures[0].verifies(note, key, &memo))
}

fn signed_tree_head() -> String {
    let info: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../fixtures/captures/rekor1/loginfo.json"
    ))
    .expect("it is JSON");
    info["signedTreeHead"]
        .as_str()
        .expect("it is text")
        .to_owned()
}

/// Checkpoints in the recorded answers of the logs, which are seeds.
pub fn recorded_answers() -> Vec<String> {
    macro_rules! answer {
        ($name:literal) => {
            include_str!(concat!("../../../../fixtures/captures/http/", $name))
        };
    }
    fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::String(text) if text.contains("\n\n\u{2014} ") => {
                found.push(text.clone());
            }
            serde_json::Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
            serde_json::Value::Object(members) => members.values().for_each(|v| collect(v, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for json in [
        answer!("rekor1.blob.resp.json"),
        answer!("rekor1.dsse-image.resp.json"),
        answer!("rekor1.attest.resp.json"),
        answer!("rekor1.legacy-sign.resp.json"),
        answer!("rekor1.legacy-attest.resp.json"),
        answer!("rekor2.blob.resp.json"),
        answer!("rekor2.dsse-image.resp.json"),
        answer!("rekor2.attest.resp.json"),
        include_str!("../../../../fixtures/captures/rekor1/entry0.json"),
    ] {
        collect(
            &serde_json::from_str(json).expect("an answer is JSON"),
            &mut found,
        );
    }
    found
}
