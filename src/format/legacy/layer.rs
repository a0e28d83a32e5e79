//! One signature as cosign stored it before the bundle: a layer, and annotations beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::promise::LogPromise;
use super::simple_signing::{SIMPLE_SIGNING_TYPE, SimpleSigning};
use super::{LegacyError, key_material, malformed};
use crate::crypto::Certificate;
use crate::format::bundle::{Bundle, BundleVersion, Content, KeyMaterial};
use crate::format::dsse::Envelope;
use crate::format::limits;
use crate::format::oci::Descriptor;
use crate::format::protojson::{Bounded, Bytes, check_shape, decode_base64, encode_base64};

/// Media type of an envelope as a layer.
pub const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Annotation: the signature, base64; empty beside an envelope, which has its own.
pub const ANNOTATION_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// Annotation: the signer's certificate, PEM.
pub const ANNOTATION_CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
/// Annotation: the authority's certificates, PEM, the issuer first and the root last. Never trusted, so never read;
/// written for readers that build the certificate's chain of it.
pub const ANNOTATION_CHAIN: &str = "dev.sigstore.cosign/chain";
/// Annotation: the log's promise.
pub const ANNOTATION_BUNDLE: &str = "dev.sigstore.cosign/bundle";
/// Annotation: an RFC 3161 timestamp.
pub const ANNOTATION_TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
/// Annotation: the predicate type, beside an envelope. A hint.
pub const ANNOTATION_PREDICATE_TYPE: &str = "predicateType";

/// An envelope with the bytes it was stored as: older timestamps and log entries are about those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEnvelope {
    bytes: Vec<u8>,
    envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEnvelope {
    payload_type: String,
    payload: Bytes,
    signatures: Bounded<WireSignature, 16>,
}

#[derive(Deserialize, Serialize)]
struct WireSignature {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
    sig: Bytes,
}

impl StoredEnvelope {
    /// Parses an envelope's JSON; it must have exactly one signature.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn parse(json: &[u8]) -> Result<Self, LegacyError> {
        const WHAT: &str = "DSSE envelope";
        let wire: WireEnvelope = check_shape(json, &["signatures"], None)
            .and_then(|()| serde_json::from_slice(json))
            .or_else(|e| malformed(WHAT, e.to_string()))?;
        let Ok([signature]) = <[WireSignature; 1]>::try_from(wire.signatures.0) else {
            return malformed(WHAT, "not exactly one signature");
        };
        if signature.sig.is_empty() {
            return malformed(WHAT, "the signature is empty");
        }
        Ok(StoredEnvelope {
            bytes: json.to_vec(),
            envelope: Envelope {
                payload_type: wire.payload_type,
                payload: wire.payload.0.into(),
                signature: signature.sig.0,
                keyid: signature.keyid,
            },
        })
    }

    /// Encodes an envelope as cosign stores it.
    pub fn of(envelope: &Envelope) -> Self {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Layout<'a> {
            payload: Bytes,
            payload_type: &'a str,
            signatures: [WireSignature; 1],
        }
        let layout = Layout {
            payload: Bytes(envelope.payload.to_vec()),
            payload_type: &envelope.payload_type,
            signatures: [WireSignature {
                keyid: envelope.keyid.clone(),
                sig: Bytes(envelope.signature.clone()),
            }],
        };
        StoredEnvelope {
            bytes: serde_json::to_vec(&layout).expect("strings always serialise"),
            envelope: envelope.clone(),
        }
    }

    /// Returns the bytes as stored.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }
}

/// A layer with its annotations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it is: media type, size, digest and annotations.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub content: Vec<u8>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredTimestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    response: Bytes,
}

/// Returns whether a layer's media type is one that signatures were stored as.
pub fn is_signature_layer(descriptor: &Descriptor) -> bool {
    [SIMPLE_SIGNING_TYPE, ENVELOPE_TYPE].contains(&descriptor.media_type.as_str())
}

impl Layer {
    /// Reads the layer as a bundle. What it lacks, the bundle lacks.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn bundle(&self) -> Result<Bundle, LegacyError> {
        let annotation = |name: &str| {
            let found = self.descriptor.annotations.get(name);
            found.map(String::as_str).filter(|text| !text.is_empty())
        };
        let key_material = match annotation(ANNOTATION_CERTIFICATE) {
            Some(pem) => key_material(pem)?,
            None => KeyMaterial::PublicKey {
                hint: String::new(),
            },
        };
        let (content, stored_envelope) = match self.descriptor.media_type.as_str() {
            SIMPLE_SIGNING_TYPE => {
                let signature = annotation(ANNOTATION_SIGNATURE).and_then(decode_base64);
                let Some(signature) = signature.filter(|signature| !signature.is_empty()) else {
                    return malformed("signature annotation", "it is missing, or no base64");
                };
                let payload = self.content.clone();
                (Content::SimpleSigning { payload, signature }, None)
            }
            ENVELOPE_TYPE => {
                let stored = StoredEnvelope::parse(&self.content)?;
                let content = Content::DsseEnvelope(stored.envelope.clone());
                (content, Some(stored))
            }
            _ => return malformed("layer", "its media type is not a signature's"),
        };
        let entry = annotation(ANNOTATION_BUNDLE)
            .map(|json| LogPromise::parse(json.as_bytes()).and_then(LogPromise::entry))
            .transpose()?;
        let timestamp = annotation(ANNOTATION_TIMESTAMP)
            .map(timestamp)
            .transpose()?;
        Ok(Bundle {
            version: BundleVersion::V01,
            key_material,
            content,
            log_entries: entry.into_iter().collect(),
            timestamps: timestamp.into_iter().collect(),
            stored_envelope,
        })
    }

    /// Writes a bundle as a layer, as cosign does. `None` if an older reader could not verify it: no
    /// promise by a log, a signature over a mere file, or more than one entry or timestamp.
    pub fn of(bundle: &Bundle) -> Option<Self> {
        let [entry] = bundle.log_entries.as_slice() else {
            return None;
        };
        let KeyMaterial::Certificate(leaf) = &bundle.key_material else {
            return None;
        };
        let mut annotations = BTreeMap::new();
        let mut set = |name: &str, value: String| annotations.insert(name.to_owned(), value);
        let (media_type, content) = match &bundle.content {
            Content::SimpleSigning { payload, signature } => {
                set(ANNOTATION_SIGNATURE, encode_base64(signature));
                (SIMPLE_SIGNING_TYPE, payload.clone())
            }
            Content::DsseEnvelope(envelope) => {
                let stored = StoredEnvelope::of(envelope);
                set(ANNOTATION_SIGNATURE, String::new());
                if let Ok(statement) = super::super::statement::Statement::parse(&envelope.payload)
                {
                    set(ANNOTATION_PREDICATE_TYPE, statement.predicate_type);
                }
                (ENVELOPE_TYPE, stored.bytes)
            }
            Content::MessageSignature { .. } => return None,
        };
        set(ANNOTATION_BUNDLE, LogPromise::of(entry)?.encode());
        set(ANNOTATION_CERTIFICATE, leaf.to_pem());
        match bundle.timestamps.as_slice() {
            [] => {}
            [response] => {
                let stored = StoredTimestamp {
                    response: Bytes(response.clone()),
                };
                let json = serde_json::to_string(&stored).expect("strings always serialise");
                set(ANNOTATION_TIMESTAMP, json);
            }
            _ => return None,
        }
        let descriptor = Descriptor {
            annotations,
            ..Descriptor::of(media_type, &content)
        };
        Some(Layer {
            descriptor,
            content,
        })
    }

    /// Adds the authority's certificates, as Fulcio sent them.
    #[must_use]
    pub fn with_chain(mut self, chain: &[Certificate]) -> Self {
        if !chain.is_empty() {
            let pem: String = chain.iter().map(Certificate::to_pem).collect();
            let annotations = &mut self.descriptor.annotations;
            annotations.insert(ANNOTATION_CHAIN.to_owned(), pem);
        }
        self
    }

    /// Returns the payload of an image signature.
    pub fn simple_signing(&self) -> Option<SimpleSigning> {
        SimpleSigning::parse(&self.content).ok()
    }
}

fn timestamp(json: &str) -> Result<Vec<u8>, LegacyError> {
    timestamp_response(json.as_bytes())
}

/// Reads the JSON that an older timestamp was stored as.
///
/// # Errors
/// [`LegacyError`].
pub fn timestamp_response(json: &[u8]) -> Result<Vec<u8>, LegacyError> {
    const WHAT: &str = "timestamp of an older signature";
    let stored: StoredTimestamp = check_shape(json, &[], None)
        .and_then(|()| serde_json::from_slice(json))
        .or_else(|e| malformed(WHAT, e.to_string()))?;
    let der = stored.response.0;
    if der.is_empty() || der.len() > limits::TIMESTAMP_LEN {
        return malformed(WHAT, "it is empty or longer than 64 KiB");
    }
    Ok(der)
}
