//! Merkle trees of transparency logs (RFC 6962 §2.1, RFC 9162 §2.1), over SHA-256.
//!
//! The verifying half takes proofs; the building half is what a log, and the sandbox's logs, need.

use super::digest::Digest;

/// A node of the tree.
pub type Hash = [u8; 32];

/// Why a proof was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// The leaf index lies outside the tree.
    #[error("leaf index {index} is outside a tree of {size}")]
    IndexOutside {
        /// Index given.
        index: u64,
        /// Tree size given.
        size: u64,
    },
    /// The proof has too many or too few hashes for the position.
    #[error("proof of {found} hashes does not fit leaf {index} in a tree of {size}")]
    Length {
        /// Number of hashes.
        found: usize,
        /// Index given.
        index: u64,
        /// Tree size given.
        size: u64,
    },
    /// The root computed from the proof is another.
    #[error("the proof leads to another root")]
    RootMismatch {
        /// Root that the checkpoint states.
        expected: Hash,
        /// Root computed.
        found: Hash,
    },
}

fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = super::digest::Hasher::new(super::digest::HashAlgorithm::Sha256);
    for part in parts {
        hasher.update(part);
    }
    to_hash(&hasher.finish())
}

fn to_hash(digest: &Digest) -> Hash {
    digest.as_bytes().try_into().expect("SHA-256 has 32 bytes")
}

/// Hashes a leaf: `SHA-256(0x00 ‖ leaf)`.
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    sha256(&[&[0], leaf])
}

/// Hashes two nodes: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left, right])
}

/// Computes the root that an inclusion proof leads to (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`MerkleError::IndexOutside`] and [`MerkleError::Length`].
pub fn root_from_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
) -> Result<Hash, MerkleError> {
    if index >= size {
        return Err(MerkleError::IndexOutside { index, size });
    }
    let wrong_length = MerkleError::Length {
        found: proof.len(),
        index,
        size,
    };
    let (mut first, mut last, mut root) = (index, size - 1, leaf);
    for node in proof {
        if last == 0 {
            return Err(wrong_length);
        }
        if first & 1 == 1 || first == last {
            root = node_hash(node, &root);
            while first & 1 == 0 && first != 0 {
                first >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, node);
        }
        first >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(wrong_length);
    }
    Ok(root)
}

/// Verifies that a leaf is in the tree of the given size and root.
///
/// # Errors
/// [`MerkleError`].
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: Hash,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), MerkleError> {
    let found = root_from_inclusion(index, size, leaf, proof)?;
    if found != *root {
        return Err(MerkleError::RootMismatch {
            expected: *root,
            found,
        });
    }
    Ok(())
}

/// Largest power of two smaller than `n`; `n` must be at least 2.
fn split_point(n: usize) -> usize {
    1 << (usize::BITS - 1 - (n - 1).leading_zeros())
}

/// Computes the root of a tree over leaf hashes (RFC 6962 MTH); the empty tree has SHA-256 of nothing.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split_point(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// Builds the inclusion proof (RFC 6962 PATH) of a leaf, from the leaf upwards. `None` if the index lies
/// outside the tree.
pub fn inclusion_proof(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    if leaves.len() == 1 {
        return Some(Vec::new());
    }
    let (left, right) = leaves.split_at(split_point(leaves.len()));
    let (mut proof, sibling) = if index < left.len() {
        (inclusion_proof(left, index)?, root(right))
    } else {
        (inclusion_proof(right, index - left.len())?, root(left))
    };
    proof.push(sibling);
    Some(proof)
}

/// Builds the consistency proof (RFC 6962 PROOF) from the tree of the first `old` leaves to the whole.
/// `None` unless `old` is between 1 and the size.
pub fn consistency_proof(leaves: &[Hash], old: usize) -> Option<Vec<Hash>> {
    fn subproof(leaves: &[Hash], old: usize, whole: bool) -> Vec<Hash> {
        if old == leaves.len() {
            return if whole {
                Vec::new()
            } else {
                vec![root(leaves)]
            };
        }
        let (left, right) = leaves.split_at(split_point(leaves.len()));
        let (mut proof, sibling) = if old <= left.len() {
            (subproof(left, old, whole), root(right))
        } else {
            (subproof(right, old - left.len(), false), root(left))
        };
        proof.push(sibling);
        proof
    }
    (1..=leaves.len())
        .contains(&old)
        .then(|| subproof(leaves, old, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(n: u8) -> Vec<Hash> {
        (0..n).map(|b| leaf_hash(&[b])).collect()
    }

    fn hashes(text: &str) -> Vec<Hash> {
        text.split_whitespace()
            .map(|h| hex::decode(h).unwrap().try_into().unwrap())
            .collect()
    }

    /// Known answers of RFC 6962 trees over the single bytes 0, 1, 2 and so on.
    #[test]
    fn known_roots_and_proofs() {
        assert_eq!(
            hex::encode(root(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            hex::encode(root(&leaves(1))),
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
        );
        assert_eq!(
            hex::encode(root(&leaves(7))),
            "3560191803028444b232018ac047fdb561c09c23a7a6876c85e08b5e4d48e9f3"
        );
        assert_eq!(
            inclusion_proof(&leaves(7), 2).unwrap(),
            hashes(
                "583c7dfb7b3055d99465544032a571e10a134b1b6f769422bbb71fd7fa167a5d \
                 a20bf9a7cc2dc8a08f5f415a71b19f6ac427bab54d24eec868b5d3103449953a \
                 89c929834ed1459b07f65b5e1a2143a8cf5d8efdf30f49ffffa328bb1d9133bb"
            )
        );
        assert_eq!(
            inclusion_proof(&leaves(7), 6).unwrap(),
            hashes(
                "4b8c129ed14cce2c08cfc6766db7f8cdb133b5f698b8de3d5890ea7ff7f0a8d1 \
                 9bcd51240af4005168f033121ba85be5a6ed4f0e6a5fac262066729b8fbfdecb"
            )
        );
        assert_eq!(
            consistency_proof(&leaves(7), 3).unwrap(),
            hashes(
                "fcf0a6c700dd13e274b6fba8deea8dd9b26e4eedde3495717cac8408c9c5177f \
                 583c7dfb7b3055d99465544032a571e10a134b1b6f769422bbb71fd7fa167a5d \
                 a20bf9a7cc2dc8a08f5f415a71b19f6ac427bab54d24eec868b5d3103449953a \
                 89c929834ed1459b07f65b5e1a2143a8cf5d8efdf30f49ffffa328bb1d9133bb"
            )
        );
        assert_eq!(consistency_proof(&leaves(7), 4).unwrap().len(), 1);
    }

    #[test]
    fn every_position_verifies_and_no_other() {
        for size in 1..=17u8 {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..leaves.len() {
                let proof = inclusion_proof(&leaves, index).unwrap();
                let (i, n) = (index as u64, u64::from(size));
                verify_inclusion(i, n, leaves[index], &proof, &root).unwrap();
                assert!(verify_inclusion(n, n, leaves[index], &proof, &root).is_err());
                assert!(verify_inclusion(i, n, leaf_hash(b"x"), &proof, &root).is_err());
                let mut longer = proof.clone();
                longer.push(root);
                assert!(verify_inclusion(i, n, leaves[index], &longer, &root).is_err());
                if !proof.is_empty() {
                    assert!(verify_inclusion(i, n, leaves[index], &proof[1..], &root).is_err());
                }
            }
        }
    }

    #[test]
    fn a_proof_of_another_length_is_refused_as_such() {
        let leaves = leaves(6);
        let root = root(&leaves);
        for index in 0..6 {
            let proof = inclusion_proof(&leaves, index).unwrap();
            let verify = |proof: &[Hash]| {
                verify_inclusion(index as u64, 6, leaves[index], proof, &root).unwrap_err()
            };
            let longer = [&proof[..], &[root]].concat();
            assert!(
                matches!(verify(&longer), MerkleError::Length { found, .. } if found == longer.len())
            );
            assert!(matches!(verify(&proof[1..]), MerkleError::Length { .. }));
        }
    }

    #[test]
    fn nothing_is_proven_about_what_is_not_in_the_tree() {
        assert!(inclusion_proof(&[], 0).is_none());
        assert!(inclusion_proof(&leaves(7), 7).is_none());
        assert!(inclusion_proof(&leaves(7), 8).is_none());
        assert!(consistency_proof(&leaves(7), 0).is_none());
        assert!(consistency_proof(&leaves(7), 8).is_none());
        assert!(consistency_proof(&leaves(7), 7).unwrap().is_empty());
        let leaves = leaves(7);
        let from_the_first = [leaves[1], root(&leaves[2..4]), root(&leaves[4..7])];
        assert_eq!(consistency_proof(&leaves, 1).unwrap(), from_the_first);
    }
}
