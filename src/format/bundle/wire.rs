//! The message as it stands in JSON; bundles are strict, so unknown members are refused.
use serde::Deserialize;

use super::limits;
use crate::format::protojson::{Bounded, Bytes, EnumValue, Int64, null_as_default};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Bundle {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) media_type: String,
    pub(super) verification_material: Option<VerificationMaterial>,
    pub(super) message_signature: Option<MessageSignature>,
    pub(super) dsse_envelope: Option<Envelope>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct VerificationMaterial {
    pub(super) certificate: Option<X509Certificate>,
    pub(super) x509_certificate_chain: Option<X509CertificateChain>,
    pub(super) public_key: Option<PublicKeyIdentifier>,
    #[serde(default)]
    pub(super) tlog_entries: Bounded<TransparencyLogEntry, { limits::LOG_ENTRIES }>,
    pub(super) timestamp_verification_data: Option<TimestampVerificationData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct X509Certificate {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) raw_bytes: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct X509CertificateChain {
    #[serde(default)]
    pub(super) certificates: Bounded<X509Certificate, { limits::CHAIN_CERTIFICATES }>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PublicKeyIdentifier {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) hint: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TimestampVerificationData {
    #[serde(default)]
    pub(super) rfc3161_timestamps: Bounded<Rfc3161SignedTimestamp, { limits::TIMESTAMPS }>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Rfc3161SignedTimestamp {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) signed_timestamp: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct MessageSignature {
    pub(super) message_digest: Option<HashOutput>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) signature: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HashOutput {
    pub(super) algorithm: Option<EnumValue>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) digest: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Envelope {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) payload: Bytes,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) payload_type: String,
    #[serde(default)]
    pub(super) signatures: Bounded<Signature, 16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) sig: Bytes,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) keyid: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TransparencyLogEntry {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) log_index: Int64,
    pub(super) log_id: Option<LogId>,
    pub(super) kind_version: Option<KindVersion>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) integrated_time: Int64,
    pub(super) inclusion_promise: Option<InclusionPromise>,
    pub(super) inclusion_proof: Option<InclusionProof>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) canonicalized_body: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LogId {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) key_id: Bytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindVersion {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) kind: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InclusionPromise {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) signed_entry_timestamp: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InclusionProof {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) log_index: Int64,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) root_hash: Bytes,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) tree_size: Int64,
    #[serde(default)]
    pub(super) hashes: Bounded<Bytes, { limits::PROOF_HASHES }>,
    pub(super) checkpoint: Option<Checkpoint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checkpoint {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) envelope: String,
}
