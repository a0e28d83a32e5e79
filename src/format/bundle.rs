//! The Sigstore bundle, versions 0.1 to 0.3 (protobuf-specs, `sigstore_bundle.proto`): parsed strictly, written as
//! v0.3.
//!
//! Parsing settles everything that can be judged without trust material: version rules, exactly one
//! member of each oneof, counts, lengths. What remains plain afterwards is meant to be plain.

use serde::Deserialize;

use super::dsse::Envelope;
use super::legacy::StoredEnvelope;
use super::limits;
use super::protojson::{Int64, check_shape};
use crate::crypto::certificate::{Certificate, CertificateError};
use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};

/// Media type of the bundles written here.
pub const MEDIA_TYPE_V03: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Bundle format versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BundleVersion {
    /// `version=0.1`: the inclusion promise is mandatory, the proof is not.
    V01,
    /// `version=0.2`: the inclusion proof is mandatory.
    V02,
    /// `version=0.3`: a single certificate instead of a chain.
    V03,
}

impl BundleVersion {
    fn from_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.dev.sigstore.bundle+json;version=0.1" => Some(BundleVersion::V01),
            "application/vnd.dev.sigstore.bundle+json;version=0.2" => Some(BundleVersion::V02),
            "application/vnd.dev.sigstore.bundle+json;version=0.3" | MEDIA_TYPE_V03 => {
                Some(BundleVersion::V03)
            }
            _ => None,
        }
    }
}

/// Why a bundle was refused before any signature was looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not JSON, not the message, a member unknown, twice or of the wrong type.
    #[error("malformed bundle: {reason}")]
    Json {
        /// Parser's message with line and column.
        reason: String,
    },
    /// Larger than is read: [`limits::BUNDLE_LEN`], unless another bound was asked for.
    #[error("bundle has {found} bytes, at most {limit} are read")]
    TooLarge {
        /// Size found.
        found: usize,
        /// Bound.
        limit: usize,
    },
    /// A media type of another version, or none of a bundle.
    #[error("unsupported bundle media type {found:?}")]
    UnsupportedVersion {
        /// Media type found.
        found: String,
    },
    /// A rule of `sigstore_bundle.proto` is broken.
    #[error("invalid bundle: {rule}")]
    Rule {
        /// The rule, as a fact about this bundle.
        rule: &'static str,
    },
    /// A certificate cannot be read.
    #[error("bundle certificate: {0}")]
    Certificate(#[from] CertificateError),
}

impl Diagnostic for BundleError {
    fn code(&self) -> &'static str {
        match self {
            BundleError::Json { .. } => "bundle-malformed",
            BundleError::TooLarge { .. } => "bundle-too-large",
            BundleError::UnsupportedVersion { .. } => "bundle-version",
            BundleError::Rule { .. } => "bundle-invalid",
            BundleError::Certificate(_) => "bundle-certificate",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Malformed
    }

    fn hint(&self) -> Option<String> {
        match self {
            BundleError::TooLarge { .. } => Some(limits::TO_RAISE.to_owned()),
            _ => None,
        }
    }
}

/// Who signed, as far as the bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// The Fulcio leaf. Further certificates of a v0.1 or v0.2 chain have to fit and are dropped: they are not trusted.
    Certificate(Box<Certificate>),
    /// A key the verifier must already have; the hint is not authenticated.
    PublicKey {
        /// Lookup hint, base64 of SHA-256 over the SubjectPublicKeyInfo where cosign wrote it.
        hint: String,
    },
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A signature over the artifact itself.
    MessageSignature {
        /// Digest of the artifact as the signer saw it: a hint, compared and never relied on.
        digest: Option<Digest>,
        /// The signature's bytes.
        signature: Vec<u8>,
    },
    /// A signature over an envelope that names the artifact.
    DsseEnvelope(Envelope),
    /// A signature over a simple signing payload that names the image; older than bundles, and in none.
    SimpleSigning {
        /// The payload's exact bytes.
        payload: Vec<u8>,
        /// The signature's bytes.
        signature: Vec<u8>,
    },
}

impl Content {
    /// Returns the signature's bytes, which timestamps cover.
    pub fn signature(&self) -> &[u8] {
        match self {
            Content::MessageSignature { signature, .. }
            | Content::SimpleSigning { signature, .. } => signature,
            Content::DsseEnvelope(envelope) => &envelope.signature,
        }
    }
}

/// Proof that an entry is in the log (RFC 9162 section 2.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// Index within the tree of the proof; differs from the entry's own where a log has shards.
    pub log_index: u64,
    /// Root of that tree.
    pub root_hash: [u8; 32],
    /// Size of that tree.
    pub tree_size: u64,
    /// Path from the leaf up.
    pub hashes: Vec<[u8; 32]>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

/// One transparency log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransparencyLogEntry {
    /// Index in the whole log.
    pub log_index: u64,
    /// Key id of the log.
    pub log_id: [u8; 32],
    /// Kind of the entry's body, such as `hashedrekord`.
    pub kind: String,
    /// Version of that kind.
    pub version: String,
    /// Seconds since 1970; means something only under a verified inclusion promise.
    pub integrated_time: Option<i64>,
    /// Signed entry timestamp of Rekor v1.
    pub inclusion_promise: Option<Vec<u8>>,
    /// Inclusion proof; absent only in v0.1.
    pub inclusion_proof: Option<InclusionProof>,
    /// The exact bytes that are the leaf.
    pub canonicalized_body: Vec<u8>,
}

/// A parsed bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Format version it was written in.
    pub version: BundleVersion,
    /// Certificate or key hint.
    pub key_material: KeyMaterial,
    /// Signature with what it covers.
    pub content: Content,
    /// Log entries, at least one unless signed with a managed key.
    pub log_entries: Vec<TransparencyLogEntry>,
    /// RFC 3161 responses, DER.
    pub timestamps: Vec<Vec<u8>>,
    /// The envelope as it was stored before there were bundles; `None` in a bundle. Timestamps and some log
    /// entries of that time are about these bytes.
    pub stored_envelope: Option<StoredEnvelope>,
}

mod encode;
mod wire;

fn unsupported(media_type: &str) -> BundleError {
    BundleError::UnsupportedVersion {
        found: media_type.chars().take(120).collect(),
    }
}

/// Tells a bundle of another version apart from a broken one.
fn unreadable(json: &[u8], error: &serde_json::Error) -> BundleError {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MediaType {
        media_type: String,
    }
    match serde_json::from_slice::<MediaType>(json) {
        Ok(MediaType { media_type }) if BundleVersion::from_media_type(&media_type).is_none() => {
            unsupported(&media_type)
        }
        _ => BundleError::Json {
            reason: error.to_string(),
        },
    }
}

const fn rule<T>(rule: &'static str) -> Result<T, BundleError> {
    Err(BundleError::Rule { rule })
}

impl Bundle {
    /// Returns whether this was read from the layer of a signature that is older than bundles.
    pub fn is_older_form(&self) -> bool {
        self.stored_envelope.is_some() || matches!(self.content, Content::SimpleSigning { .. })
    }

    /// Returns the bytes that a timestamp of this digest has to cover: the signature's, and of an older attestation
    /// the whole envelope's, unless it is the signature's. cosign 2.5 stamps the one and 3.1 the other;
    /// either tells that the signature was there.
    pub fn stamped(&self, imprint: &Digest) -> &[u8] {
        let signature = self.content.signature();
        match &self.stored_envelope {
            Some(stored) if *imprint != imprint.algorithm().digest(signature) => stored.bytes(),
            _ => signature,
        }
    }

    /// Parses a bundle and applies the version rules of `sigstore_bundle.proto`.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse(json: &[u8]) -> Result<Self, BundleError> {
        Bundle::parse_bounded(json, limits::BUNDLE_LEN)
    }

    /// Parses a bundle likewise, of at most `limit` bytes.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn parse_bounded(json: &[u8], limit: usize) -> Result<Self, BundleError> {
        if json.len() > limit {
            return Err(BundleError::TooLarge {
                found: json.len(),
                limit,
            });
        }
        const ARRAYS: [&str; 5] = [
            "tlogEntries",
            "certificates",
            "rfc3161Timestamps",
            "signatures",
            "hashes",
        ];
        let read = check_shape(json, &ARRAYS, None).and_then(|()| serde_json::from_slice(json));
        let message: wire::Bundle = match read {
            Ok(message) => message,
            Err(error) => return Err(unreadable(json, &error)),
        };
        let version = BundleVersion::from_media_type(&message.media_type)
            .ok_or_else(|| unsupported(&message.media_type))?;
        Bundle::from_wire(version, message)
    }

    fn from_wire(version: BundleVersion, message: wire::Bundle) -> Result<Self, BundleError> {
        let Some(material) = message.verification_material else {
            return rule("verificationMaterial is missing");
        };
        let content = content(message.message_signature, message.dsse_envelope)?;
        let key_material = key_material(
            version,
            material.certificate,
            material.x509_certificate_chain,
            material.public_key,
        )?;
        let mut log_entries: Vec<TransparencyLogEntry> = Vec::new();
        for entry in material.tlog_entries.0 {
            let entry = log_entry(version, entry)?;
            if log_entries
                .iter()
                .any(|seen| seen.log_id == entry.log_id && seen.log_index == entry.log_index)
            {
                return rule("two tlogEntries have the same logId and logIndex");
            }
            log_entries.push(entry);
        }
        if log_entries.is_empty() && matches!(key_material, KeyMaterial::Certificate(_)) {
            return rule("tlogEntries is empty");
        }
        let mut timestamps: Vec<Vec<u8>> = Vec::new();
        for timestamp in material
            .timestamp_verification_data
            .into_iter()
            .flat_map(|d| d.rfc3161_timestamps.0)
        {
            let der = timestamp.signed_timestamp.0;
            if der.is_empty() || der.len() > limits::TIMESTAMP_LEN {
                return rule("signedTimestamp is empty or longer than 64 KiB");
            }
            if timestamps.contains(&der) {
                return rule("two rfc3161Timestamps are the same");
            }
            timestamps.push(der);
        }
        Ok(Bundle {
            version,
            key_material,
            content,
            log_entries,
            timestamps,
            stored_envelope: None,
        })
    }
}

fn content(
    message: Option<wire::MessageSignature>,
    envelope: Option<wire::Envelope>,
) -> Result<Content, BundleError> {
    match (message, envelope) {
        (Some(_), Some(_)) => rule("both messageSignature and dsseEnvelope are set"),
        (None, None) => rule("neither messageSignature nor dsseEnvelope is set"),
        (Some(message), None) => {
            if message.signature.is_empty() {
                return rule("messageSignature.signature is missing");
            }
            let digest = message.message_digest.map(hash_output).transpose()?;
            Ok(Content::MessageSignature {
                digest,
                signature: message.signature.0,
            })
        }
        (None, Some(envelope)) => {
            let Ok([signature]) = <[wire::Signature; 1]>::try_from(envelope.signatures.0) else {
                return rule("dsseEnvelope must have exactly one signature");
            };
            if signature.sig.is_empty() {
                return rule("dsseEnvelope has an empty signature");
            }
            Ok(Content::DsseEnvelope(Envelope {
                payload_type: envelope.payload_type,
                payload: envelope.payload.0.into(),
                signature: signature.sig.0,
                keyid: signature.keyid,
            }))
        }
    }
}

/// HashAlgorithm of sigstore_common.proto.
pub(crate) const HASH_ALGORITHMS: [(&str, i64, HashAlgorithm); 3] = [
    ("SHA2_256", 1, HashAlgorithm::Sha256),
    ("SHA2_384", 2, HashAlgorithm::Sha384),
    ("SHA2_512", 3, HashAlgorithm::Sha512),
];

fn hash_output(output: wire::HashOutput) -> Result<Digest, BundleError> {
    output
        .algorithm
        .and_then(|name| name.find(&HASH_ALGORITHMS))
        .and_then(|algorithm| Digest::new(algorithm, &output.digest))
        .map_or(
            rule("messageDigest has an unsupported algorithm or the wrong length"),
            Ok,
        )
}

fn key_material(
    version: BundleVersion,
    certificate: Option<wire::X509Certificate>,
    chain: Option<wire::X509CertificateChain>,
    public_key: Option<wire::PublicKeyIdentifier>,
) -> Result<KeyMaterial, BundleError> {
    match (certificate, chain, public_key) {
        (Some(certificate), None, None) => Ok(KeyMaterial::Certificate(Box::new(
            Certificate::from_der(&certificate.raw_bytes)?,
        ))),
        (None, Some(chain), None) => {
            if version == BundleVersion::V03 {
                return rule("x509CertificateChain is not allowed in v0.3");
            }
            let certificates = chain.certificates.0.iter();
            let certificates: Result<Vec<Certificate>, _> = certificates
                .map(|certificate| Certificate::from_der(&certificate.raw_bytes))
                .collect();
            Ok(KeyMaterial::Certificate(Box::new(leaf_of(certificates?)?)))
        }
        (None, None, Some(public_key)) => Ok(KeyMaterial::PublicKey {
            hint: public_key.hint,
        }),
        (None, None, None) => rule("no certificate and no publicKey"),
        _ => rule("more than one of certificate, x509CertificateChain and publicKey is set"),
    }
}

/// Returns the leaf of a chain, which stands first. What follows is not trusted, and dropped once it was seen to
/// fit: each certificate issued by the next, so that all readers see one path. The last may be the root that the
/// path leads to, as npm's and the SLSA generators' provenance of v0.1 has it; a root elsewhere, or twice, is no
/// path. Whether a root is valid or known is not asked: the trusted root says what is.
fn leaf_of(certificates: Vec<Certificate>) -> Result<Certificate, BundleError> {
    let links = certificates.iter().zip(certificates.iter().skip(1));
    for (position, (certificate, issuer)) in links.enumerate() {
        if position > 0 && certificate.is_self_issued() {
            return rule("x509CertificateChain has a root certificate before its end");
        }
        if certificate.issuer() != issuer.subject() || certificate.verify_signed_by(issuer).is_err()
        {
            return rule("x509CertificateChain has a certificate that the next one did not issue");
        }
    }
    if let [_, .., last] = certificates.as_slice()
        && last.is_self_issued()
        && last.verify_signed_by(last).is_err()
    {
        return rule("x509CertificateChain ends with a root certificate that is not self-signed");
    }
    match certificates.into_iter().next() {
        Some(leaf) => Ok(leaf),
        None => rule("x509CertificateChain is empty"),
    }
}

fn hash(bytes: &[u8], what: &'static str) -> Result<[u8; 32], BundleError> {
    bytes.try_into().map_or(rule(what), Ok)
}

fn unsigned(value: Int64, what: &'static str) -> Result<u64, BundleError> {
    u64::try_from(value.0).map_or(rule(what), Ok)
}

fn log_entry(
    version: BundleVersion,
    entry: wire::TransparencyLogEntry,
) -> Result<TransparencyLogEntry, BundleError> {
    let inclusion_promise = entry
        .inclusion_promise
        .map(|promise| promise.signed_entry_timestamp.0);
    if version == BundleVersion::V01 && inclusion_promise.is_none() {
        return rule("a v0.1 log entry has no inclusionPromise");
    }
    if inclusion_promise.as_ref().is_some_and(Vec::is_empty) {
        return rule("inclusionPromise is empty");
    }
    let inclusion_proof = entry.inclusion_proof.map(inclusion_proof).transpose()?;
    if version != BundleVersion::V01 && inclusion_proof.is_none() {
        return rule("a log entry has no inclusionProof");
    }
    let Some(kind) = entry.kind_version else {
        return rule("a log entry has no kindVersion");
    };
    let Some(log_id) = entry.log_id else {
        return rule("a log entry has no logId");
    };
    if entry.canonicalized_body.is_empty() {
        return rule("a log entry has no canonicalizedBody");
    }
    if entry.integrated_time.0 < 0 {
        return rule("integratedTime is negative");
    }
    Ok(TransparencyLogEntry {
        log_index: unsigned(entry.log_index, "logIndex is negative")?,
        log_id: hash(&log_id.key_id, "logId.keyId has not 32 bytes")?,
        kind: kind.kind,
        version: kind.version,
        integrated_time: (entry.integrated_time.0 != 0).then_some(entry.integrated_time.0),
        inclusion_promise,
        inclusion_proof,
        canonicalized_body: entry.canonicalized_body.0,
    })
}

fn inclusion_proof(proof: wire::InclusionProof) -> Result<InclusionProof, BundleError> {
    let checkpoint = proof
        .checkpoint
        .map(|checkpoint| checkpoint.envelope)
        .unwrap_or_default();
    if checkpoint.is_empty() {
        return rule("inclusionProof has no checkpoint");
    }
    if checkpoint.len() > limits::CHECKPOINT_LEN {
        return rule("checkpoint is longer than 16 KiB");
    }
    Ok(InclusionProof {
        log_index: unsigned(proof.log_index, "inclusionProof.logIndex is negative")?,
        root_hash: hash(&proof.root_hash, "inclusionProof.rootHash has not 32 bytes")?,
        tree_size: unsigned(proof.tree_size, "inclusionProof.treeSize is negative")?,
        hashes: proof
            .hashes
            .0
            .iter()
            .map(|h| hash(h, "inclusionProof has a hash that has not 32 bytes"))
            .collect::<Result<_, _>>()?,
        checkpoint,
    })
}

/// Reads a `TransparencyLogEntry` message, as Rekor v2 answers with (`rekor_service.proto`). Unlike a bundle's it may
/// have members that a newer server added; like there, none twice.
///
/// # Errors
/// [`BundleError`], by the rules of v0.3.
pub fn parse_log_entry(json: &[u8]) -> Result<TransparencyLogEntry, BundleError> {
    const KNOWN: [&str; 7] = [
        "logIndex",
        "logId",
        "kindVersion",
        "integratedTime",
        "inclusionPromise",
        "inclusionProof",
        "canonicalizedBody",
    ];
    let syntax = |e: serde_json::Error| BundleError::Json {
        reason: e.to_string(),
    };
    check_shape(json, &["hashes"], Some(&KNOWN)).map_err(syntax)?;
    let mut object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(json).map_err(syntax)?;
    object.retain(|name, _| KNOWN.contains(&name.as_str()));
    let entry = serde_json::from_value(object.into()).map_err(syntax)?;
    log_entry(BundleVersion::V03, entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn capture() -> Value {
        serde_json::from_str(include_str!(
            "../../fixtures/captures/blob/bundle.rekor1-tsa.json"
        ))
        .unwrap()
    }

    fn parse(bundle: &Value) -> Result<Bundle, BundleError> {
        Bundle::parse(bundle.to_string().as_bytes())
    }

    #[test]
    fn a_bundle_has_a_bound() {
        let text = capture().to_string();
        let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        assert!(Bundle::parse(padded(limits::BUNDLE_LEN).as_bytes()).is_ok());
        let longer = Bundle::parse(padded(limits::BUNDLE_LEN + 1).as_bytes());
        assert!(matches!(longer, Err(BundleError::TooLarge { .. })));
    }

    #[test]
    fn a_newer_version_is_told_from_a_broken_bundle() {
        let mut bundle = capture();
        bundle["newer"] = json!(1);
        assert_eq!(parse(&bundle).unwrap_err().code(), "bundle-malformed");
        bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.9+json");
        assert_eq!(parse(&bundle).unwrap_err().code(), "bundle-version");
    }

    #[test]
    fn two_logs_may_have_an_entry_each_under_one_index() {
        let mut bundle = capture();
        let entries = bundle
            .pointer_mut("/verificationMaterial/tlogEntries")
            .unwrap()
            .as_array_mut()
            .unwrap();
        entries.push(entries[0].clone());
        let twice = "two tlogEntries have the same logId and logIndex";
        assert_eq!(parse(&bundle), rule(twice));
        let key_id = "/verificationMaterial/tlogEntries/1/logId/keyId";
        *bundle.pointer_mut(key_id).unwrap() = json!("A".repeat(43));
        assert_eq!(parse(&bundle).unwrap().log_entries.len(), 2);
    }

    #[test]
    fn the_longest_timestamp_and_checkpoint_are_read() {
        let mut bundle = capture();
        let timestamps =
            "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
        let mut timestamp = |len: usize| {
            let text = crate::format::protojson::encode_base64(&vec![1; len]);
            *bundle.pointer_mut(timestamps).unwrap() = json!(text);
            parse(&bundle)
        };
        assert!(timestamp(limits::TIMESTAMP_LEN).is_ok());
        let longer = "signedTimestamp is empty or longer than 64 KiB";
        assert_eq!(timestamp(limits::TIMESTAMP_LEN + 1), rule(longer));
        let mut bundle = capture();
        let checkpoints = "/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope";
        let mut checkpoint = |len: usize| {
            *bundle.pointer_mut(checkpoints).unwrap() = json!("x".repeat(len));
            parse(&bundle)
        };
        assert!(checkpoint(limits::CHECKPOINT_LEN).is_ok());
        let longer = "checkpoint is longer than 16 KiB";
        assert_eq!(checkpoint(limits::CHECKPOINT_LEN + 1), rule(longer));
    }

    #[test]
    fn a_bundle_without_signer_says_so() {
        let mut bundle = capture();
        bundle["verificationMaterial"]["certificate"] = Value::Null;
        assert_eq!(parse(&bundle), rule("no certificate and no publicKey"));
        bundle["verificationMaterial"]["publicKey"] = json!({ "hint": "x" });
        assert!(parse(&bundle).is_ok());
    }

    #[test]
    fn an_answer_of_a_log_may_have_members_of_a_newer_one() {
        let mut entry: Value = serde_json::from_str(include_str!(
            "../../fixtures/captures/http/rekor2.blob.resp.json"
        ))
        .unwrap();
        let known = parse_log_entry(entry.to_string().as_bytes()).unwrap();
        entry["newer"] = json!({ "a": [1] });
        assert_eq!(parse_log_entry(entry.to_string().as_bytes()), Ok(known));
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let mut bundle = parse(&capture()).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&bundle.encode()).unwrap(),
            capture()
        );
        bundle.timestamps.clear();
        assert!(!bundle.encode().contains("timestampVerificationData"));
        for (name, _, algorithm) in HASH_ALGORITHMS {
            bundle.content = Content::MessageSignature {
                digest: Some(algorithm.digest(b"x")),
                signature: vec![1],
            };
            let written: Value = serde_json::from_str(&bundle.encode()).unwrap();
            let message = &written["messageSignature"]["messageDigest"];
            assert_eq!(message["algorithm"], name);
            assert_eq!(
                Bundle::parse(bundle.encode().as_bytes()).as_ref(),
                Ok(&bundle)
            );
        }
    }
}
