//! The message as it is written: members in the order of the protobuf, defaults left out.
use serde::Serialize;

use super::{Content, HASH_ALGORITHMS, KeyMaterial, MEDIA_TYPE_V03, TransparencyLogEntry};
use crate::crypto::Digest;
use crate::format::protojson::{Bytes, Int64, encode_base64};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleMessage<'a> {
    media_type: &'static str,
    verification_material: VerificationMaterial<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_signature: Option<MessageSignature<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dsse_envelope: Option<Envelope>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<RawBytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_verification_data: Option<Timestamps>,
}

#[derive(Serialize)]
struct Hint<'a> {
    hint: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawBytes {
    raw_bytes: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timestamps {
    rfc3161_timestamps: Vec<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timestamp {
    signed_timestamp: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MessageSignature<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_digest: Option<HashOutput<'a>>,
    signature: Bytes,
}

#[derive(Serialize)]
struct HashOutput<'a> {
    algorithm: &'a str,
    digest: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    /// Base64.
    payload: String,
    payload_type: String,
    signatures: [Signature; 1],
}

#[derive(Serialize)]
struct Signature {
    sig: Bytes,
    #[serde(skip_serializing_if = "String::is_empty")]
    keyid: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    log_index: String,
    log_id: KeyId,
    kind_version: KindVersion<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrated_time: Option<Int64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_promise: Option<Promise>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inclusion_proof: Option<Proof<'a>>,
    canonicalized_body: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyId {
    key_id: Bytes,
}

#[derive(Serialize)]
struct KindVersion<'a> {
    kind: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Promise {
    signed_entry_timestamp: Bytes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proof<'a> {
    log_index: String,
    root_hash: Bytes,
    tree_size: String,
    hashes: Vec<Bytes>,
    checkpoint: Checkpoint<'a>,
}

#[derive(Serialize)]
struct Checkpoint<'a> {
    envelope: &'a str,
}

fn entry_message(entry: &TransparencyLogEntry) -> Entry<'_> {
    Entry {
        log_index: entry.log_index.to_string(),
        log_id: KeyId {
            key_id: Bytes(entry.log_id.to_vec()),
        },
        kind_version: KindVersion {
            kind: &entry.kind,
            version: &entry.version,
        },
        integrated_time: entry.integrated_time.map(Int64),
        inclusion_promise: entry.inclusion_promise.as_ref().map(|set| Promise {
            signed_entry_timestamp: Bytes(set.clone()),
        }),
        inclusion_proof: entry.inclusion_proof.as_ref().map(|proof| Proof {
            log_index: proof.log_index.to_string(),
            root_hash: Bytes(proof.root_hash.to_vec()),
            tree_size: proof.tree_size.to_string(),
            hashes: proof
                .hashes
                .iter()
                .map(|hash| Bytes(hash.to_vec()))
                .collect(),
            checkpoint: Checkpoint {
                envelope: &proof.checkpoint,
            },
        }),
        canonicalized_body: Bytes(entry.canonicalized_body.clone()),
    }
}

impl TransparencyLogEntry {
    /// Encodes the entry as the protojson message that Rekor v2 answers with.
    pub fn encode(&self) -> String {
        serde_json::to_string(&entry_message(self)).expect("strings and numbers always serialise")
    }
}

impl super::Bundle {
    /// Encodes the bundle as v0.3, whatever it was read as; compact JSON without a final newline.
    pub fn encode(&self) -> String {
        let (message_signature, dsse_envelope) = match &self.content {
            Content::MessageSignature { digest, signature } => (
                Some(MessageSignature {
                    message_digest: digest.map(|digest| HashOutput {
                        algorithm: HASH_ALGORITHMS
                            .iter()
                            .find(|(_, _, algorithm)| *algorithm == digest.algorithm())
                            .map_or("SHA2_256", |(name, _, _)| name),
                        digest: Bytes(digest.as_bytes().to_vec()),
                    }),
                    signature: Bytes(signature.clone()),
                }),
                None,
            ),
            // There is no member for it; what it is, is a signature over the payload.
            Content::SimpleSigning { payload, signature } => (
                Some(MessageSignature {
                    message_digest: Some(HashOutput {
                        algorithm: "SHA2_256",
                        digest: Bytes(Digest::sha256(payload).as_bytes().to_vec()),
                    }),
                    signature: Bytes(signature.clone()),
                }),
                None,
            ),
            Content::DsseEnvelope(envelope) => (
                None,
                Some(Envelope {
                    payload: encode_base64(&envelope.payload),
                    payload_type: envelope.payload_type.clone(),
                    signatures: [Signature {
                        sig: Bytes(envelope.signature.clone()),
                        keyid: envelope.keyid.clone(),
                    }],
                }),
            ),
        };
        let (certificate, public_key) = match &self.key_material {
            KeyMaterial::Certificate(leaf) => (
                Some(RawBytes {
                    raw_bytes: Bytes(leaf.der().to_vec()),
                }),
                None,
            ),
            KeyMaterial::PublicKey { hint } => (None, Some(Hint { hint })),
        };
        let message = BundleMessage {
            media_type: MEDIA_TYPE_V03,
            verification_material: VerificationMaterial {
                certificate,
                public_key,
                tlog_entries: self.log_entries.iter().map(entry_message).collect(),
                timestamp_verification_data: (!self.timestamps.is_empty()).then(|| Timestamps {
                    rfc3161_timestamps: self
                        .timestamps
                        .iter()
                        .map(|der| Timestamp {
                            signed_timestamp: Bytes(der.clone()),
                        })
                        .collect(),
                }),
            },
            message_signature,
            dsse_envelope,
        };
        serde_json::to_string(&message).expect("strings and numbers always serialise")
    }
}
