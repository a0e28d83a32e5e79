//! Reading an entry back from a v2 log's tiles (C2SP tlog-tiles), for the one case where the log does not
//! hand out the proof itself: the answer to our POST got lost, and the repeated one says 409.

use std::collections::HashMap;
use std::time::Duration;

use url::Url;

use super::NetError;
use super::fulcio::join;
use super::http::{HttpClient, Reply, Request};
use super::rekor::SERVICE;
use crate::crypto::merkle::Hash;
use crate::format::bundle::{InclusionProof, TransparencyLogEntry};
use crate::format::checkpoint::Checkpoint;
use crate::format::limits;
use crate::format::tile::{Tile, entries_path, entry_in_bundle, proof_from_tiles, tiles_of_proof};

/// How often the checkpoint is asked for until it covers the entry, a second apart.
const CHECKPOINT_LOOKS: u32 = 20;
/// A bundle of 256 entries of 64 KiB.
const ENTRY_BUNDLE_LEN: u64 = 256 * 65_537;

async fn read(http: &HttpClient, base: &Url, path: &str, limit: u64) -> Result<Reply, NetError> {
    http.send(Request::get(SERVICE, join(base, &format!("api/v2/{path}"))).limit(limit))
        .await
}

/// Fetches the entry at an index with a proof to the current checkpoint. The log's id is taken from the
/// checkpoint's signature; the caller's verification settles whether it is one that is trusted.
pub(super) async fn entry_from_tiles(
    http: &HttpClient,
    base: &Url,
    index: u64,
) -> Result<TransparencyLogEntry, NetError> {
    let mut looks = 0;
    let (reply, checkpoint, envelope) = loop {
        looks += 1;
        let reply = read(http, base, "checkpoint", limits::CHECKPOINT_LEN as u64)
            .await?
            .success()?;
        let bad = |found: &str| reply.bad("a checkpoint", found);
        let envelope = std::str::from_utf8(&reply.body)
            .map_err(|_| bad("bytes that are no text"))?
            .to_owned();
        let checkpoint = Checkpoint::parse(&envelope).map_err(|error| bad(&error.to_string()))?;
        if checkpoint.tree_size > index {
            break (reply, checkpoint, envelope);
        }
        if looks == CHECKPOINT_LOOKS {
            return Err(reply.bad("a checkpoint that covers our entry", "an older one"));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let size = checkpoint.tree_size;
    let mut tiles: HashMap<Tile, Vec<Hash>> = HashMap::new();
    for tile in tiles_of_proof(index, size) {
        tiles.insert(tile, fetch_tile(http, base, &tile).await?);
    }
    let hashes = proof_from_tiles(index, size, |tile| tiles.get(tile).cloned())
        .ok_or_else(|| reply.bad("tiles that make up a proof", "short ones"))?;
    let body = fetch_entry(http, base, index, size).await?;
    let log_id = log_id_hint(&checkpoint);
    Ok(TransparencyLogEntry {
        log_index: index,
        log_id: log_id.ok_or_else(|| reply.bad("a checkpoint", "one without signature"))?,
        kind: "hashedrekord".to_owned(),
        version: "0.0.2".to_owned(),
        integrated_time: None,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: index,
            root_hash: checkpoint.root_hash,
            tree_size: size,
            hashes,
            checkpoint: envelope,
        }),
        canonicalized_body: body,
    })
}

/// The full id of a log stands nowhere in its files; the trusted root has it, by these four bytes of the log's
/// own signature line. A witness's line may stand before it.
fn log_id_hint(checkpoint: &Checkpoint) -> Option<[u8; 32]> {
    let own = checkpoint
        .signatures
        .iter()
        .find(|line| line.name == checkpoint.origin)?;
    let mut id = [0; 32];
    id[..4].copy_from_slice(&own.key_hint);
    Some(id)
}

async fn fetch_tile(http: &HttpClient, base: &Url, tile: &Tile) -> Result<Vec<Hash>, NetError> {
    let mut reply = read(http, base, &tile.path(), 256 * 32).await?;
    if reply.status.as_u16() == 404 {
        // A partial tile may be gone once the full one exists.
        reply = read(http, base, &tile.full_path(), 256 * 32).await?;
    }
    let reply = reply.success()?;
    let hashes = reply.body.chunks_exact(32).take(tile.width as usize);
    let hashes: Vec<Hash> = hashes
        .map(|hash| hash.try_into().expect("chunks of 32"))
        .collect();
    if hashes.len() as u64 != tile.width {
        return Err(reply.bad("a tile of hashes", "a shorter one"));
    }
    Ok(hashes)
}

async fn fetch_entry(
    http: &HttpClient,
    base: &Url,
    index: u64,
    size: u64,
) -> Result<Vec<u8>, NetError> {
    let (path, place) = entries_path(index, size);
    let mut reply = read(http, base, &path, ENTRY_BUNDLE_LEN).await?;
    if let (404, Some((full, _))) = (reply.status.as_u16(), path.split_once(".p/")) {
        reply = read(http, base, full, ENTRY_BUNDLE_LEN).await?;
    }
    let reply = reply.success()?;
    let entry = entry_in_bundle(&reply.body, place).map(<[u8]>::to_vec);
    entry.ok_or_else(|| reply.bad("a bundle of entries", "a shorter one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_before_the_log_is_not_the_log() {
        let note = Checkpoint::note_text("log.test", 1, &[7; 32]);
        let lines = "\u{2014} witness.test AQIDBAU=\n\u{2014} log.test BQYHCAk=\n";
        let checkpoint = Checkpoint::parse(&format!("{note}\n{lines}")).unwrap();
        assert_eq!(log_id_hint(&checkpoint).unwrap()[..4], [5, 6, 7, 8]);
        let foreign = lines.replace("log.test", "other.test");
        let checkpoint = Checkpoint::parse(&format!("{note}\n{foreign}")).unwrap();
        assert_eq!(log_id_hint(&checkpoint), None);
    }
}
