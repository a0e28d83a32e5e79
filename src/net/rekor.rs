//! Rekor v1 and v2: adding an entry (sigstore/rekor, `openapi.yaml`; rekor-tiles, `rekor_service.proto`). Nothing of
//! the answer is verified here.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::NetError;
use super::fulcio::join;
use super::http::{Backoff, HttpClient, Reply, Request, RetryPolicy, header};
use super::rekor_tiles::entry_from_tiles;
use crate::format::bundle::{InclusionProof, TransparencyLogEntry, parse_log_entry};
use crate::format::limits;
use crate::format::protojson::decode_base64;

/// The service's name in errors.
pub(super) const SERVICE: &str = "Rekor";

/// A v2 log answers when a checkpoint covers the entry, which takes up to ten seconds (rekor-tiles, "checkpoint
/// interval").
const V2_TIMEOUT: Duration = Duration::from_secs(45);

fn post(url: Url, body: String) -> Request {
    let backoff = Backoff {
        attempts: 4,
        deadline: Duration::from_secs(60),
    };
    Request::post(SERVICE, url, "application/json", body)
        .limit(limits::SERVICE_REPLY_LEN as u64)
        .retry(RetryPolicy::SafeToRepeat(backoff))
}

/// Adds an entry to a v1 log. Repeated where the answer got lost: the log then says 409 and where the entry
/// is, which is fetched instead.
///
/// # Errors
/// [`NetError`].
pub async fn add_entry_v1(
    http: &HttpClient,
    base: &Url,
    proposal: String,
) -> Result<TransparencyLogEntry, NetError> {
    let reply = http
        .send(post(join(base, "api/v1/log/entries"), proposal))
        .await?;
    let reply = match reply.status.as_u16() {
        409 => {
            let url = existing_entry(base, &reply).ok_or_else(|| reply.error())?;
            let request = Request::get(SERVICE, url).limit(limits::SERVICE_REPLY_LEN as u64);
            http.send(request).await?.success()?
        }
        _ => reply.success()?,
    };
    parse_v1(&reply)
}

/// Where a 409 says that the entry is: by its id, under the log's own address and nowhere else.
fn existing_entry(base: &Url, reply: &Reply) -> Option<Url> {
    let location = reply.header(header::LOCATION)?;
    let id = location.rsplit('/').next()?;
    let is_id = (id.len() == 64 || id.len() == 80) && id.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| join(base, &format!("api/v1/log/entries/{id}")))
}

/// Fetches an entry of a v1 log by its index, with its proof as of now.
///
/// # Errors
/// [`NetError`].
pub async fn fetch_entry_v1(
    http: &HttpClient,
    base: &Url,
    log_index: u64,
) -> Result<TransparencyLogEntry, NetError> {
    let mut url = join(base, "api/v1/log/entries");
    url.query_pairs_mut()
        .append_pair("logIndex", &log_index.to_string());
    let request = Request::get(SERVICE, url).limit(limits::SERVICE_REPLY_LEN as u64);
    parse_v1(&http.send(request).await?.success()?)
}

/// Reads an answer of a v1 log that somebody kept; `None` if it is none, or has no proof.
pub fn parse_entry_v1(json: &[u8]) -> Option<TransparencyLogEntry> {
    let entries: HashMap<String, EntryV1> = serde_json::from_slice(json).ok()?;
    let mut entries = entries.into_values();
    let entry = entries.next().filter(|_| entries.next().is_none())?;
    entry_v1(entry)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryV1 {
    body: String,
    integrated_time: i64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Option<VerificationV1>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VerificationV1 {
    inclusion_proof: Option<ProofV1>,
    signed_entry_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProofV1 {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

fn hash(text: &str) -> Option<[u8; 32]> {
    hex::decode(text).ok()?.try_into().ok()
}

fn parse_v1(reply: &Reply) -> Result<TransparencyLogEntry, NetError> {
    let entries: HashMap<String, EntryV1> = reply.json("a log entry")?;
    let bad = |found: &str| reply.bad("a log entry with its proof and promise", found);
    if entries.len() != 1 {
        return Err(bad("not exactly one entry"));
    }
    let entry = entries
        .into_values()
        .next()
        .ok_or_else(|| bad("no entry"))?;
    entry_v1(entry).ok_or_else(|| bad("an entry whose members cannot be read"))
}

fn entry_v1(entry: EntryV1) -> Option<TransparencyLogEntry> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        kind: String,
        api_version: String,
    }
    let body = decode_base64(&entry.body)?;
    let kind: Kind = serde_json::from_slice(&body).ok()?;
    let verification = entry.verification?;
    let proof = verification.inclusion_proof?;
    if proof.hashes.len() > limits::PROOF_HASHES {
        return None;
    }
    Some(TransparencyLogEntry {
        log_index: entry.log_index,
        log_id: hash(&entry.log_id)?,
        kind: kind.kind,
        version: kind.api_version,
        integrated_time: Some(entry.integrated_time),
        inclusion_promise: Some(decode_base64(&verification.signed_entry_timestamp?)?),
        inclusion_proof: Some(InclusionProof {
            log_index: proof.log_index,
            root_hash: hash(&proof.root_hash)?,
            tree_size: proof.tree_size,
            hashes: proof
                .hashes
                .iter()
                .map(|text| hash(text))
                .collect::<Option<_>>()?,
            checkpoint: proof.checkpoint,
        }),
        canonicalized_body: body,
    })
}

/// Adds an entry to a v2 log. Where the answer got lost and the log says 409, the entry and its proof are
/// taken from the log's tiles.
///
/// # Errors
/// [`NetError`].
pub async fn add_entry_v2(
    http: &HttpClient,
    base: &Url,
    proposal: String,
) -> Result<TransparencyLogEntry, NetError> {
    let request = post(join(base, "api/v2/log/entries"), proposal).timeout(V2_TIMEOUT);
    let reply = http.send(request).await?;
    if reply.status.as_u16() == 409 {
        let index = reply
            .header("x-log-index")
            .and_then(|text| text.parse().ok());
        return match index {
            Some(index) => entry_from_tiles(http, base, index).await,
            None => Err(reply.error()),
        };
    }
    let reply = reply.success()?;
    parse_log_entry(&reply.body)
        .map_err(|error| reply.bad("a log entry with its proof", &error.to_string()))
}

/// Looks for the entry that a v1 log has for a proposal; `None` if it has none. The log finds it by the leaf that
/// the proposal would make, so there is at most one.
///
/// # Errors
/// [`NetError`].
pub async fn find_entry_v1(
    http: &HttpClient,
    base: &Url,
    proposal: &str,
) -> Result<Option<TransparencyLogEntry>, NetError> {
    let query = format!(r#"{{"entries":[{proposal}]}}"#);
    let url = join(base, "api/v1/log/entries/retrieve");
    let reply = http.send(post(url, query)).await?.success()?;
    let found: Vec<HashMap<String, EntryV1>> = reply.json("a list of log entries")?;
    let mut entries = found.into_iter().flatten().map(|(_, entry)| entry);
    let (first, second) = (entries.next(), entries.next());
    let bad = |found: &str| reply.bad("the one entry of a proposal", found);
    match (first, second) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(bad("several")),
        (Some(entry), None) => entry_v1(entry)
            .map(Some)
            .ok_or_else(|| bad("an entry whose members cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every recorded answer of the real log becomes an entry.
    #[test]
    fn recorded_answers_parse() {
        for file in [
            "blob",
            "dsse-image",
            "attest",
            "legacy-sign",
            "legacy-attest",
        ] {
            let path = format!(
                "{}/fixtures/captures/http/rekor1.{file}.resp.json",
                env!("CARGO_MANIFEST_DIR")
            );
            let mut entries: HashMap<String, EntryV1> =
                serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            let key = entries.keys().next().unwrap().clone();
            let entry = entry_v1(entries.remove(&key).unwrap()).unwrap();
            assert_eq!(entry.version, "0.0.1");
            assert!(
                entry
                    .inclusion_proof
                    .unwrap()
                    .checkpoint
                    .contains("\u{2014}")
            );
        }
    }
}
