//! Tiles of a log whose size and index anybody may have named, and bundles of its entries.

use keyless::crypto::merkle::{Hash, inclusion_proof, leaf_hash, root_from_inclusion};
use keyless::format::tile::{
    TILE_WIDTH, entries_path, entry_in_bundle, proof_from_tiles, tiles_of_proof,
};

use super::{Grammar, Target};

pub const TARGET: Target = Target {
    name: "tile",
    run,
    grammar: Grammar::Bytes,
    max_len: 4 * 1024,
    limit: 256 * 65_537, // `net::rekor_tiles`, a bundle of entries
    weight: 1,
};

fn run(data: &[u8]) {
    let Some((numbers, rest)) = data.split_first_chunk::<16>() else {
        return;
    };
    let (a, b) = numbers.split_at(8);
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b));
    let (index, size) = (number(a), number(b));
    entries(index, rest);
    if index >= size {
        return;
    }
    let (path, place) = entries_path(index, size);
    assert!(path.starts_with("tile/entries/") && place < TILE_WIDTH as usize);
    let tiles = tiles_of_proof(index, size);
    assert!(tiles.len() <= 64);
    for tile in &tiles {
        assert!((1..=TILE_WIDTH).contains(&tile.width) && tile.level < 8);
        assert!(tile.path().starts_with(&tile.full_path()));
    }
    let filled = |width: u64| vec![leaf_hash(rest); usize::try_from(width).unwrap_or(0)];
    let proof = proof_from_tiles(index, size, |tile| {
        assert!(tiles.contains(tile), "{tile:?} was not announced");
        Some(filled(tile.width))
    })
    .expect("every tile was there");
    // The proof has the shape of one.
    assert!(root_from_inclusion(index, size, leaf_hash(rest), &proof).is_ok());
    let missing = proof_from_tiles(index, size, |_| None);
    assert!(missing.is_none() || tiles.is_empty());
    let short = proof_from_tiles(index, size, |tile| Some(filled(tile.width - 1)));
    drop(short);
    if size <= 200 {
        let leaves: Vec<Hash> = (0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        assert_eq!(
            proof_from_tiles(index, size, |_| Some(leaves.clone())),
            inclusion_proof(&leaves, index as usize)
        );
    }
}

/// Cuts entries out, and finds each where the one before it ends.
fn entries(index: u64, bundle: &[u8]) {
    let _ = entry_in_bundle(bundle, (index % TILE_WIDTH) as usize);
    let mut at = 0;
    for place in 0..TILE_WIDTH as usize {
        let Some(entry) = entry_in_bundle(bundle, place) else {
            return;
        };
        at += 2;
        assert_eq!(bundle.get(at..at + entry.len()), Some(entry));
        at += entry.len();
    }
}
