//! Tiles of a log (C2SP tlog-tiles): paths, and which of them an inclusion proof needs.

use crate::crypto::merkle::{Hash, node_hash, root};

/// Hashes, or entries, of a full tile.
pub const TILE_WIDTH: u64 = 256;

/// Encodes a tile's number: groups of three digits, all but the last prefixed `x`.
pub fn index_path(number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    path
}

/// One tile of hashes, by level and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Level; 0 holds leaf hashes.
    pub level: u32,
    /// Number within the level.
    pub number: u64,
    /// Hashes in it, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// Returns the tile's path below the log's prefix.
    pub fn path(&self) -> String {
        let partial = if self.width < TILE_WIDTH {
            format!(".p/{}", self.width)
        } else {
            String::new()
        };
        format!("tile/{}/{}{partial}", self.level, index_path(self.number))
    }

    /// Returns the path of the full tile that may have replaced this partial one.
    pub fn full_path(&self) -> String {
        Tile {
            width: TILE_WIDTH,
            ..*self
        }
        .path()
    }
}

/// Returns the path of the bundle of entries that holds an index, and the entry's place in it.
pub fn entries_path(index: u64, tree_size: u64) -> (String, usize) {
    let number = index / TILE_WIDTH;
    let width = (tree_size - number * TILE_WIDTH).min(TILE_WIDTH);
    let partial = if width < TILE_WIDTH {
        format!(".p/{width}")
    } else {
        String::new()
    };
    (
        format!("tile/entries/{}{partial}", index_path(number)),
        (index % TILE_WIDTH) as usize,
    )
}

/// Cuts an entry out of a bundle of entries: each has its length in two bytes before it.
pub fn entry_in_bundle(mut bundle: &[u8], place: usize) -> Option<&[u8]> {
    for _ in 0..place {
        let (len, rest) = bundle.split_first_chunk::<2>()?;
        bundle = rest.get(usize::from(u16::from_be_bytes(*len))..)?;
    }
    let (len, rest) = bundle.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}

/// A complete subtree: `2^height` leaves from `index * 2^height` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subtree {
    height: u32,
    index: u64,
}

/// Splits the leaves `start..end` of a tree into the complete subtrees whose hashes make up its root.
fn complete_subtrees(mut start: u64, end: u64) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    while start < end {
        let aligned = if start == 0 {
            63
        } else {
            start.trailing_zeros()
        };
        let height = aligned.min((end - start).ilog2());
        subtrees.push(Subtree {
            height,
            index: start >> height,
        });
        start += 1 << height;
    }
    subtrees
}

/// Ranges of leaves whose roots are the inclusion proof of `index`, from the leaf up (RFC 6962 PATH).
fn proof_ranges(index: u64, size: u64) -> Vec<(u64, u64)> {
    let (mut start, mut end) = (0, size);
    let mut ranges = Vec::new();
    while end - start > 1 {
        let split = start + (1 << (end - start - 1).ilog2());
        if index < split {
            ranges.push((split, end));
            end = split;
        } else {
            ranges.push((start, split));
            start = split;
        }
    }
    ranges.reverse();
    ranges
}

fn tile_of(subtree: Subtree, size: u64) -> (Tile, usize, usize) {
    let level = subtree.height / 8;
    let span = 1u64 << (subtree.height % 8);
    let first = subtree.index * span;
    let number = first / TILE_WIDTH;
    let hashes = size >> (8 * level);
    let width = (hashes - number * TILE_WIDTH).min(TILE_WIDTH);
    (
        Tile {
            level,
            number,
            width,
        },
        (first % TILE_WIDTH) as usize,
        span as usize,
    )
}

/// Returns the tiles that an inclusion proof needs, each once.
pub fn tiles_of_proof(index: u64, size: u64) -> Vec<Tile> {
    let ranges = proof_ranges(index, size);
    let subtrees = ranges
        .into_iter()
        .flat_map(|(start, end)| complete_subtrees(start, end));
    let mut tiles: Vec<Tile> = subtrees.map(|subtree| tile_of(subtree, size).0).collect();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

/// Builds the inclusion proof from tiles. `None` if a tile is missing or short. The proof still has to be
/// verified: tiles are not authenticated.
pub fn proof_from_tiles(
    index: u64,
    size: u64,
    tile: impl Fn(&Tile) -> Option<Vec<Hash>>,
) -> Option<Vec<Hash>> {
    let hash = |subtree: Subtree| {
        let (wanted, first, span) = tile_of(subtree, size);
        Some(root(tile(&wanted)?.get(first..first + span)?))
    };
    let range_root = |(start, end)| {
        let hashes: Option<Vec<Hash>> = complete_subtrees(start, end)
            .into_iter()
            .map(hash)
            .collect();
        hashes?
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(&left, &right))
    };
    proof_ranges(index, size)
        .into_iter()
        .map(range_root)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::merkle::{inclusion_proof, leaf_hash};

    #[test]
    fn paths() {
        assert_eq!(index_path(5), "005");
        assert_eq!(index_path(999), "999");
        assert_eq!(index_path(1000), "x001/000");
        assert_eq!(index_path(1_234_067), "x001/x234/067");
        assert_eq!(
            entries_path(256, 300),
            ("tile/entries/001.p/44".to_owned(), 0)
        );
        assert_eq!(
            Tile {
                level: 0,
                number: 3,
                width: 256
            }
            .path(),
            "tile/0/003"
        );
        assert_eq!(
            Tile {
                level: 1,
                number: 0,
                width: 2
            }
            .path(),
            "tile/1/000.p/2"
        );
    }

    #[test]
    fn proofs_from_tiles_are_the_tree_s() {
        let leaves: Vec<Hash> = (0..70_000u32)
            .map(|i| leaf_hash(&i.to_be_bytes()))
            .collect();
        for size in [1, 2, 7, 255, 256, 257, 600, 65_536, 70_000usize] {
            let leaves = &leaves[..size];
            let tile = |tile: &Tile| {
                let span = 256usize.pow(tile.level);
                let start = (tile.number * TILE_WIDTH) as usize;
                let hashes =
                    (start..start + tile.width as usize).map(|i| &leaves[i * span..(i + 1) * span]);
                Some(hashes.map(root).collect::<Vec<Hash>>())
            };
            for index in [0, size / 2, size - 1] {
                let found = proof_from_tiles(index as u64, size as u64, tile).unwrap();
                assert_eq!(
                    found,
                    inclusion_proof(leaves, index).unwrap(),
                    "{index} of {size}"
                );
            }
        }
    }

    #[test]
    fn entries_are_cut_out() {
        let bundle = [0, 1, 7, 0, 0, 0, 2, 8, 9];
        assert_eq!(entry_in_bundle(&bundle, 0), Some(&[7][..]));
        assert_eq!(entry_in_bundle(&bundle, 1), Some(&[][..]));
        assert_eq!(entry_in_bundle(&bundle, 2), Some(&[8, 9][..]));
        assert_eq!(entry_in_bundle(&bundle, 3), None);
        assert_eq!(entry_in_bundle(&bundle[..8], 2), None);
    }

    #[test]
    fn paths_of_large_numbers_and_of_full_tiles() {
        assert_eq!(index_path(1_000_000_000), "x001/x000/x000/000");
        let full = Tile {
            level: 0,
            number: 3,
            width: 256,
        };
        assert_eq!(Tile { width: 7, ..full }.full_path(), full.path());
        assert_eq!(entries_path(255, 300), ("tile/entries/000".to_owned(), 255));
        assert_eq!(entries_path(0, 256), ("tile/entries/000".to_owned(), 0));
    }

    #[test]
    fn a_proof_names_each_tile_once() {
        let tile = |level, number, width| Tile {
            level,
            number,
            width,
        };
        assert_eq!(tiles_of_proof(0, 1), []);
        assert_eq!(tiles_of_proof(5, 200), [tile(0, 0, 200)]);
        let wanted = [tile(0, 0, 256), tile(0, 2, 88), tile(1, 0, 2)];
        assert_eq!(tiles_of_proof(3, 600), wanted);
        let wanted = [tile(0, 2, 88), tile(1, 0, 2)];
        assert_eq!(tiles_of_proof(599, 600), wanted);
    }
}
