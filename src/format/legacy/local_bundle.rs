//! The JSON bundle that cosign wrote beside files before the Sigstore bundle.

use serde::{Deserialize, Serialize};

use super::layer::StoredEnvelope;
use super::promise::LogPromise;
use super::{LegacyError, key_material, malformed};
use crate::format::bundle::{Bundle, BundleVersion, Content, KeyMaterial};
use crate::format::limits;
use crate::format::protojson::{check_shape, decode_base64, encode_base64};

const WHAT: &str = "older JSON bundle";

/// Signature, certificate and log promise of a file, as cosign wrote them before the Sigstore bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalBundle {
    #[serde(rename = "base64Signature")]
    signature: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    cert: String,
    #[serde(
        default,
        rename = "rekorBundle",
        skip_serializing_if = "Option::is_none"
    )]
    promise: Option<LogPromise>,
}

impl LocalBundle {
    /// Returns whether this JSON has the form's own member, whatever else may be wrong with it.
    pub fn is_one(json: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Mark {
            #[serde(rename = "base64Signature")]
            _signature: serde::de::IgnoredAny,
        }
        serde_json::from_slice::<Mark>(json).is_ok()
    }

    /// Parses the JSON.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn parse(json: &[u8]) -> Result<Self, LegacyError> {
        if json.len() > limits::BUNDLE_LEN {
            return malformed(WHAT, "longer than a bundle may be");
        }
        check_shape(json, &[], None)
            .and_then(|()| serde_json::from_slice(json))
            .or_else(|e| malformed(WHAT, e.to_string()))
    }

    /// Reads it as a bundle; what it lacks, the bundle lacks. A signature that is an envelope makes an
    /// attestation.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn bundle(self) -> Result<Bundle, LegacyError> {
        let log_entries = self.promise.map(LogPromise::entry).transpose()?;
        let bundle = from_parts(&self.signature, &self.cert)?;
        Ok(Bundle {
            log_entries: log_entries.into_iter().collect(),
            ..bundle
        })
    }

    /// Writes a bundle in this form. `None` if an older reader could not verify it: no promise by a log.
    pub fn of(bundle: &Bundle) -> Option<Self> {
        let [entry] = bundle.log_entries.as_slice() else {
            return None;
        };
        let KeyMaterial::Certificate(leaf) = &bundle.key_material else {
            return None;
        };
        let signature = match &bundle.content {
            Content::MessageSignature { signature, .. }
            | Content::SimpleSigning { signature, .. } => encode_base64(signature),
            Content::DsseEnvelope(envelope) => encode_base64(StoredEnvelope::of(envelope).bytes()),
        };
        Some(LocalBundle {
            signature,
            cert: encode_base64(leaf.to_pem().as_bytes()),
            promise: Some(LogPromise::of(entry)?),
        })
    }

    /// Encodes it; compact JSON without a final newline.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("strings and numbers always serialise")
    }
}

/// Makes a bundle of a detached signature and certificate: base64 of the signature, or of an envelope; PEM, or
/// base64 of PEM. There is no log entry and no timestamp in it.
///
/// # Errors
/// [`LegacyError`].
pub fn from_parts(signature: &str, certificate: &str) -> Result<Bundle, LegacyError> {
    let key_material = match certificate.trim() {
        "" => KeyMaterial::PublicKey {
            hint: String::new(),
        },
        text if text.starts_with("-----BEGIN ") => key_material(text)?,
        text => {
            let pem = decode_base64(text).and_then(|pem| String::from_utf8(pem).ok());
            match pem {
                Some(pem) => key_material(&pem)?,
                None => return malformed(WHAT, "the certificate is neither PEM nor base64 of it"),
            }
        }
    };
    let signature = signature.trim();
    let bytes = decode_base64(signature).unwrap_or_default();
    if bytes.is_empty() {
        return malformed(WHAT, "the signature is no base64");
    }
    // No signature begins like JSON: ECDSA's are DER, RSA's and Ed25519's have a fixed length.
    let stored_envelope = match bytes.first() {
        Some(b'{') => StoredEnvelope::parse(&bytes).ok(),
        _ => None,
    };
    Ok(Bundle {
        version: BundleVersion::V01,
        key_material,
        content: match &stored_envelope {
            Some(stored) => Content::DsseEnvelope(stored.envelope().clone()),
            None => Content::MessageSignature {
                digest: None,
                signature: bytes,
            },
        },
        log_entries: Vec::new(),
        timestamps: Vec::new(),
        stored_envelope,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic as _;
    use crate::format::legacy::Layer;
    use crate::format::oci::Document;

    /// What cosign attached to an image: its signature, and an attestation.
    fn attached() -> [Bundle; 2] {
        let signature = (
            &include_bytes!(
                "../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.manifest.json"
            )[..],
            &include_bytes!(
                "../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.layer0.json"
            )[..],
        );
        let attestation = (
            &include_bytes!(
                "../../../fixtures/captures/oci/referrers-api/legacy/tag.att.manifest.json"
            )[..],
            &include_bytes!(
                "../../../fixtures/captures/oci/referrers-api/legacy/tag.att.layer0.json"
            )[..],
        );
        [signature, attestation].map(|(manifest, content)| {
            let Ok(Document::Manifest(manifest)) = Document::parse(manifest) else {
                panic!("a manifest of cosign's does not parse");
            };
            let descriptor = manifest.layers[0].clone();
            let content = content.to_vec();
            Layer {
                descriptor,
                content,
            }
            .bundle()
            .unwrap()
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bundle in attached() {
            let written = LocalBundle::of(&bundle).unwrap();
            let text = written.encode();
            assert!(LocalBundle::is_one(text.as_bytes()));
            assert_eq!(LocalBundle::parse(text.as_bytes()), Ok(written.clone()));
            let read = written.bundle().unwrap();
            // A file's form cannot say that the signature is an image's.
            let expected = match &bundle.content {
                Content::SimpleSigning { signature, .. } => Content::MessageSignature {
                    digest: None,
                    signature: signature.clone(),
                },
                other => other.clone(),
            };
            assert_eq!(
                read,
                Bundle {
                    content: expected,
                    ..bundle.clone()
                }
            );
            assert!(bundle.is_older_form());
            assert_eq!(read.is_older_form(), read.stored_envelope.is_some());
            let unlogged = Bundle {
                log_entries: Vec::new(),
                ..bundle
            };
            assert_eq!(LocalBundle::of(&unlogged), None);
        }
    }

    #[test]
    fn a_certificate_is_pem_or_base64_of_it() {
        let [bundle, _] = attached();
        let KeyMaterial::Certificate(leaf) = &bundle.key_material else {
            panic!("signed with a key");
        };
        let pem = leaf.to_pem();
        for text in [&pem, &format!("\n{pem}\n"), &encode_base64(pem.as_bytes())] {
            let read = from_parts("AA==", text).unwrap();
            assert_eq!(read.key_material, bundle.key_material, "{text}");
        }
        let key = leaf.public_key().to_pem();
        for text in ["", " \n", &key, &encode_base64(key.as_bytes())] {
            let read = from_parts("AA==", text).unwrap();
            assert!(matches!(read.key_material, KeyMaterial::PublicKey { .. }));
        }
        for text in ["?", &encode_base64(b"\xff"), "-----BEGIN X-----"] {
            let refused = from_parts("AA==", text).unwrap_err();
            assert_eq!(refused.code(), "legacy-malformed", "{text}");
        }
    }

    #[test]
    fn it_is_no_longer_than_a_bundle() {
        let mut text = br#"{"base64Signature":"AA=="}"#.to_vec();
        text.resize(limits::BUNDLE_LEN, b' ');
        assert!(LocalBundle::parse(&text).is_ok());
        text.push(b' ');
        let refused = LocalBundle::parse(&text).unwrap_err();
        assert!(refused.to_string().contains("longer"), "{refused}");
    }

    #[test]
    fn only_its_own_form_is_read() {
        assert!(LocalBundle::is_one(br#"{"base64Signature":1}"#));
        assert!(!LocalBundle::is_one(b"{}"));
        for bad in [
            r#"{"base64Signature":1}"#,
            r#"{"base64Signature":"AA==","base64Signature":"AA=="}"#,
            r#"{"base64Signature":"AA==","cert":"AA==","rekorBundle":{}}"#,
            "[]",
        ] {
            assert!(LocalBundle::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let read = |text: &str| LocalBundle::parse(text.as_bytes()).unwrap().bundle();
        assert!(read(r#"{"base64Signature":"AA=="}"#).is_ok());
        assert!(read(r#"{"base64Signature":""}"#).is_err());
        assert!(read(r#"{"base64Signature":"AA==","cert":"AA=="}"#).is_err());
        assert!(read(r#"{"base64Signature":"AA==","cert":"?"}"#).is_err());
    }
}
