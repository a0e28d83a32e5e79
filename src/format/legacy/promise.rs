//! The log's promise as cosign stored it before the bundle: the annotation `dev.sigstore.cosign/bundle`, and
//! `rekorBundle` of the older JSON bundle.

use serde::{Deserialize, Serialize};

use super::{LegacyError, malformed};
use crate::format::bundle::TransparencyLogEntry;
use crate::format::log_entry::LogBody;
use crate::format::protojson::{Bytes, check_shape};

const WHAT: &str = "log promise of an older signature";

/// A signed entry timestamp with what it is over: no proof that the entry is in the log, but the log's signed
/// word that it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct LogPromise {
    signed_entry_timestamp: Bytes,
    payload: Payload,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    body: Bytes,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

impl LogPromise {
    /// Parses the JSON of the annotation.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn parse(json: &[u8]) -> Result<Self, LegacyError> {
        check_shape(json, &[], None)
            .and_then(|()| serde_json::from_slice(json))
            .or_else(|e| malformed(WHAT, e.to_string()))
    }

    /// Reads it as a log entry without proof.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn entry(self) -> Result<TransparencyLogEntry, LegacyError> {
        let id = hex::decode(&self.payload.log_id).ok();
        let Some(log_id) = id.and_then(|id| <[u8; 32]>::try_from(id).ok()) else {
            return malformed(WHAT, "logID is not the hex of 32 bytes");
        };
        if self.signed_entry_timestamp.is_empty() {
            return malformed(WHAT, "SignedEntryTimestamp is empty");
        }
        let (kind, version) =
            LogBody::kind_of(&self.payload.body).or_else(|e| malformed(WHAT, e.to_string()))?;
        Ok(TransparencyLogEntry {
            log_index: self.payload.log_index,
            log_id,
            kind,
            version,
            integrated_time: Some(self.payload.integrated_time),
            inclusion_promise: Some(self.signed_entry_timestamp.0),
            inclusion_proof: None,
            canonicalized_body: self.payload.body.0,
        })
    }

    /// Takes the promise out of an entry; `None` if its log made none, as Rekor v2 makes none.
    pub fn of(entry: &TransparencyLogEntry) -> Option<Self> {
        Some(LogPromise {
            signed_entry_timestamp: Bytes(entry.inclusion_promise.clone()?),
            payload: Payload {
                body: Bytes(entry.canonicalized_body.clone()),
                integrated_time: entry.integrated_time?,
                log_index: entry.log_index,
                log_id: hex::encode(entry.log_id),
            },
        })
    }

    /// Encodes the annotation's JSON, byte for byte as cosign does.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}
