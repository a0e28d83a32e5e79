//! Inclusion proofs: arbitrary ones do no harm; in a real tree each leaf is proven and nothing else is.

use keyless::crypto::merkle::{
    Hash, consistency_proof, inclusion_proof, leaf_hash, root, root_from_inclusion,
    verify_inclusion,
};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "merkle",
    run,
    grammar: Grammar::Bytes,
    max_len: 4 * 1024,
    limit: 16 + 64 * 32,
    weight: 1,
};

fn run(data: &[u8]) {
    if let Some((index, rest)) = data.split_first_chunk::<8>()
        && let Some((size, rest)) = rest.split_first_chunk::<8>()
    {
        arbitrary(u64::from_be_bytes(*index), u64::from_be_bytes(*size), rest);
    }
    if let Some((numbers, rest)) = data.split_first_chunk::<4>() {
        let [a, b, c, d] = *numbers;
        in_a_tree(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), rest);
    }
}

fn arbitrary(index: u64, size: u64, rest: &[u8]) {
    let (hashes, _) = rest.as_chunks::<32>();
    let leaf = leaf_hash(rest);
    if let Ok(found) = root_from_inclusion(index, size, leaf, hashes) {
        assert!(index < size && hashes.len() <= 64);
        assert!(verify_inclusion(index, size, leaf, hashes, &found).is_ok());
        assert!(verify_inclusion(index, size, leaf, hashes, &leaf_hash(&found)).is_err());
        for longer in [&[found][..], &[found, leaf]] {
            let longer = [hashes, longer].concat();
            assert!(root_from_inclusion(index, size, leaf, &longer).is_err());
        }
    }
}

fn in_a_tree(size: u16, index: u16, changes: &[u8]) {
    let size = usize::from(size) % 256 + 1;
    let index = usize::from(index) % size;
    let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let root = root(&leaves);
    let proof = inclusion_proof(&leaves, index).expect("the index is in the tree");
    let (i, n) = (index as u64, size as u64);
    assert!(verify_inclusion(i, n, leaves[index], &proof, &root).is_ok());
    assert!(consistency_proof(&leaves, index + 1).is_some());
    // Changes: a place and what is added to its byte.
    let mut changed = proof.clone();
    let mut leaf = leaves[index];
    for pair in changes.chunks_exact(2).take(32) {
        match changed.get_mut(usize::from(pair[0]) / 32) {
            Some(hash) => hash[usize::from(pair[0]) % 32] ^= pair[1],
            None => leaf[usize::from(pair[0]) % 32] ^= pair[1],
        }
    }
    let same = changed == proof && leaf == leaves[index];
    assert_eq!(
        verify_inclusion(i, n, leaf, &changed, &root).is_ok(),
        same,
        "a changed proof"
    );
    let other = (index + 1 + changes.len()) % size;
    if other != index {
        assert!(verify_inclusion(i, n, leaves[other], &proof, &root).is_err());
        assert!(verify_inclusion(other as u64, n, leaves[index], &proof, &root).is_err());
    }
}
