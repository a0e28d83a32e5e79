//! A Merkle tree of log entries that is kept: what Rekor v1, Rekor v2 and their checkpoints stand on.

use std::collections::HashMap;

use crate::crypto::merkle::{self, Hash};
use crate::format::checkpoint::{Checkpoint, NoteSignature};

use super::error::SandboxError;
use super::store::{RecordLog, Store};

/// Leaves with the record each came from.
pub(super) struct Tree {
    records: RecordLog,
    hashes: Vec<Hash>,
    index: HashMap<Hash, usize>,
}

impl Tree {
    /// Opens the tree kept under a name. `leaf` reads the leaf's bytes out of a record.
    pub(super) fn open(
        store: &Store,
        name: &str,
        mut leaf: impl FnMut(Vec<u8>) -> Option<Hash>,
    ) -> Result<Self, SandboxError> {
        let (records, kept) = store.log(name)?;
        let mut tree = Tree {
            records,
            hashes: Vec::new(),
            index: HashMap::new(),
        };
        for record in kept {
            let hash =
                leaf(record).ok_or_else(|| store.damaged(name, "a record is no log entry"))?;
            tree.push(hash);
        }
        Ok(tree)
    }

    fn push(&mut self, hash: Hash) {
        self.index.insert(hash, self.hashes.len());
        self.hashes.push(hash);
    }

    /// Appends a leaf; its record is kept before this returns.
    pub(super) fn append(&mut self, hash: Hash, record: &[u8]) -> Result<usize, SandboxError> {
        self.records.append(record)?;
        self.push(hash);
        Ok(self.hashes.len() - 1)
    }

    /// Looks a leaf up.
    pub(super) fn position(&self, hash: &Hash) -> Option<usize> {
        self.index.get(hash).copied()
    }

    /// Returns all leaf hashes.
    pub(super) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    pub(super) fn root(&self) -> Hash {
        merkle::root(&self.hashes)
    }

    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.hashes.len()).expect("a log size fits u64")
    }
}

/// Writes a signed checkpoint.
pub(super) fn checkpoint(
    origin: &str,
    name: &str,
    key_id: &[u8],
    size: u64,
    root: &Hash,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let note = Checkpoint::note_text(origin, size, root);
    let signature = NoteSignature {
        name: name.to_owned(),
        key_hint: *key_id.first_chunk().expect("a key id has 32 bytes"),
        signature: sign(note.as_bytes()),
    };
    Checkpoint::envelope(&note, &signature)
}
