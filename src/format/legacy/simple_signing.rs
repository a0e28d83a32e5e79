//! The payload of cosign's older image signatures: "simple signing", a JSON document that names the image's
//! digest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{LegacyError, malformed};
use crate::crypto::Digest;
use crate::format::protojson::{UniqueMap, check_shape, null_as_default};

/// Media type of the payload as a layer.
pub const SIMPLE_SIGNING_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Value of `critical.type`: this, and nothing else, says that an image is signed.
pub const SIGNATURE_TYPE: &str = "cosign container image signature";
/// A payload, in bytes; real ones have 250.
pub const SIMPLE_SIGNING_LEN: usize = 256 * 1024;

const WHAT: &str = "simple signing payload";

/// A parsed payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimpleSigning {
    /// The repository as the signer named it. Says nothing that is believed: an image may be copied.
    pub docker_reference: String,
    /// Digest of the signed manifest or index.
    pub digest: Digest,
    /// String annotations of `optional`, `-a key=value` of a signature.
    pub annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Wire {
    critical: Critical,
    #[serde(default, deserialize_with = "null_as_default")]
    optional: UniqueMap<serde_json::Value, 1024>,
}

#[derive(Deserialize)]
struct Critical {
    #[serde(default, deserialize_with = "null_as_default")]
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize, Default)]
struct Identity {
    #[serde(
        default,
        rename = "docker-reference",
        deserialize_with = "null_as_default"
    )]
    docker_reference: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

impl SimpleSigning {
    /// Parses a payload. Duplicate members are refused at every depth, and so is another `type`.
    ///
    /// # Errors
    /// [`LegacyError`].
    pub fn parse(payload: &[u8]) -> Result<Self, LegacyError> {
        if payload.len() > SIMPLE_SIGNING_LEN {
            return malformed(WHAT, "longer than 256 KiB");
        }
        const KNOWN: [&str; 6] = [
            "critical",
            "identity",
            "image",
            "type",
            "docker-reference",
            "docker-manifest-digest",
        ];
        let wire: Wire = check_shape(payload, &[], Some(&KNOWN))
            .and_then(|()| serde_json::from_slice(payload))
            .or_else(|e| malformed(WHAT, e.to_string()))?;
        if wire.critical.kind != SIGNATURE_TYPE {
            let found: String = wire.critical.kind.chars().take(120).collect();
            return malformed(WHAT, format!("type {found:?} is not {SIGNATURE_TYPE:?}"));
        }
        let Ok(digest) = wire.critical.image.docker_manifest_digest.parse() else {
            return malformed(WHAT, "docker-manifest-digest is no digest");
        };
        let annotations = wire.optional.0.into_iter();
        Ok(SimpleSigning {
            docker_reference: wire.critical.identity.docker_reference,
            digest,
            annotations: annotations
                .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                .collect(),
        })
    }

    /// Writes the payload byte for byte as cosign does.
    pub fn encode(&self) -> Vec<u8> {
        let text = |text: &str| serde_json::to_string(text).expect("a string always serialises");
        let optional = match self.annotations.is_empty() {
            true => "null".to_owned(),
            false => serde_json::to_string(&self.annotations).expect("so does a map of strings"),
        };
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":{}}},"image":{{"docker-manifest-digest":"{}"}},"type":"{SIGNATURE_TYPE}"}},"optional":{optional}}}"#,
            text(&self.docker_reference),
            self.digest,
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPTURED: &[u8] =
        include_bytes!("../../../fixtures/captures/oci/referrers-api/legacy/tag.sig.layer0.json");

    #[test]
    fn what_cosign_wrote_is_read_and_written_again() {
        let read = SimpleSigning::parse(CAPTURED).unwrap();
        assert_eq!(read.docker_reference, "127.0.0.1:26502/leg");
        assert_eq!(
            read.digest.hex(),
            "c27eb145bbf8848f10b48f0f6755facbdfe01f7ba06864cb95fcb996a2857187"
        );
        assert!(read.annotations.is_empty());
        assert_eq!(read.encode(), CAPTURED);
    }

    #[test]
    fn annotations_are_strings() {
        let with = |optional: &str| {
            let text = String::from_utf8(CAPTURED.to_vec()).unwrap();
            let text = text.replace(r#""optional":null"#, &format!(r#""optional":{optional}"#));
            SimpleSigning::parse(text.as_bytes())
        };
        let read = with(r#"{"env":"prod","timestamp":1,"b":"\"x"}"#).unwrap();
        let expected = [("b", "\"x"), ("env", "prod")].map(|(k, v)| (k.into(), v.into()));
        assert_eq!(read.annotations, BTreeMap::from(expected));
        assert_eq!(SimpleSigning::parse(&read.encode()), Ok(read));
        assert!(with(r#"{"env":"prod","env":"test"}"#).is_err(), "twice");
        assert!(with("[]").is_err());
    }

    #[test]
    fn other_payloads_are_refused() {
        let text = String::from_utf8(CAPTURED.to_vec()).unwrap();
        let changed = |from: &str, to: &str| {
            assert!(text.contains(from));
            SimpleSigning::parse(text.replacen(from, to, 1).as_bytes())
        };
        for (from, to) in [
            (
                "cosign container image signature",
                "atomic container signature",
            ),
            ("sha256:c27e", "sha256:C27E"),
            ("sha256:c27e", "sha256:c27"),
            ("docker-manifest-digest", "Docker-manifest-digest"),
            (r#""critical":{"#, r#""critical":{"type":"x","#),
            (r#""optional":null"#, r#""optional":null,"critical":null"#),
            ("}", ""),
        ] {
            assert!(changed(from, to).is_err(), "{from} {to}");
        }
        let long = format!("{}{}", " ".repeat(SIMPLE_SIGNING_LEN), text);
        assert!(SimpleSigning::parse(long.as_bytes()).is_err());
    }
}
