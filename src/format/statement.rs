//! In-toto statements (in-toto attestation framework, `spec/v1/statement.md`): written byte-exactly, read with their
//! subjects bounded.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::limits;
use super::protojson::{Bounded, UniqueMap, check_shape, null_as_default};
use crate::crypto::{Digest, HashAlgorithm};

/// Statement type written here.
pub const STATEMENT_V1: &str = "https://in-toto.io/Statement/v1";
/// Statement type that cosign writes.
pub const STATEMENT_V01: &str = "https://in-toto.io/Statement/v0.1";
/// Predicate type of an image signature: this, and nothing else, says "signed".
pub const COSIGN_SIGN_V1: &str = "https://sigstore.dev/cosign/sign/v1";
/// Predicate type of SPDX documents, the only one whose predicate may be text instead of an object: cosign
/// writes SPDX in its tag-value form as one JSON string.
pub const SPDX_DOCUMENT: &str = "https://spdx.dev/Document";

/// Why a statement was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not JSON, or not the shape of a statement.
    #[error("malformed in-toto statement: {reason}")]
    Malformed {
        /// What the parser met.
        reason: String,
    },
    /// `_type` is not a statement's.
    #[error("unsupported statement type {found:?}")]
    UnsupportedType {
        /// The type found.
        found: String,
    },
}

/// One subject of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Name; empty in image signatures.
    pub name: String,
    /// Digests under algorithms accepted here; others, SHA-1 among them, are left out.
    pub digests: Vec<Digest>,
    /// String annotations, `-a key=value` of a signature.
    pub annotations: BTreeMap<String, String>,
}

/// A parsed statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Subjects, at least one when anything is to match.
    pub subjects: Vec<Subject>,
    /// What the statement says about them.
    pub predicate_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(rename = "_type")]
    statement_type: String,
    #[serde(default, deserialize_with = "null_as_default")]
    subject: Bounded<WireSubject, { limits::SUBJECTS }>,
    predicate_type: String,
    #[serde(default, borrow)]
    predicate: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireSubject {
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    digest: UniqueMap<String, { limits::SUBJECT_DIGESTS }>,
    #[serde(default, deserialize_with = "null_as_default")]
    annotations: UniqueMap<serde_json::Value, 1024>,
}

impl Statement {
    /// Parses a statement of version 1 or 0.1. Duplicate members are refused at every depth, the predicate's
    /// too.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let wire: Wire<'_> = check_shape(
            payload,
            &["subject"],
            Some(&["_type", "predicateType", "name", "digest"]),
        )
        .and_then(|()| serde_json::from_slice(payload))
        .map_err(|e| StatementError::Malformed {
            reason: e.to_string(),
        })?;
        if wire.statement_type != STATEMENT_V1 && wire.statement_type != STATEMENT_V01 {
            let found = wire.statement_type.chars().take(120).collect();
            return Err(StatementError::UnsupportedType { found });
        }
        let predicate = wire.predicate.map(RawValue::get);
        let is_text = wire.predicate_type == SPDX_DOCUMENT
            && predicate.is_some_and(|predicate| predicate.starts_with('"'));
        if predicate.is_some_and(|predicate| !predicate.starts_with('{')) && !is_text {
            return Err(StatementError::Malformed {
                reason: "predicate is not an object".to_owned(),
            });
        }
        let subjects = wire.subject.0.into_iter().map(|subject| Subject {
            name: subject.name,
            digests: subject
                .digest
                .0
                .iter()
                .filter_map(|(name, value)| digest(name, value))
                .collect(),
            annotations: subject
                .annotations
                .0
                .into_iter()
                .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                .collect(),
        });
        Ok(Statement {
            subjects: subjects.collect(),
            predicate_type: wire.predicate_type,
        })
    }

    /// Returns the subjects that carry this digest, under its own algorithm.
    pub fn subjects_with(&self, digest: &Digest) -> impl Iterator<Item = &Subject> {
        self.subjects
            .iter()
            .filter(move |subject| subject.digests.contains(digest))
    }

    /// Returns whether some subject carries one of the digests.
    pub fn names_any(&self, digests: &[Digest]) -> bool {
        digests
            .iter()
            .any(|digest| self.subjects_with(digest).next().is_some())
    }
}

/// Returns the predicate of a statement, byte for byte as it was signed; `None` where there is none. The
/// payload has been parsed before, see [`Statement::parse`].
pub fn raw_predicate(payload: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Predicate<'a> {
        #[serde(default, borrow)]
        predicate: Option<&'a RawValue>,
    }
    let read: Predicate<'_> = serde_json::from_slice(payload).ok()?;
    read.predicate.map(RawValue::get)
}

/// Writes a statement of version 1 about subjects, each with its name and one digest. The predicate is a
/// JSON value and stands in the statement as it is, byte for byte.
pub fn encode(subjects: &[(String, Digest)], predicate_type: &str, predicate: &str) -> Vec<u8> {
    let text = |text: &str| serde_json::to_string(text).expect("text always serialises");
    let subjects: Vec<String> = subjects
        .iter()
        .map(|(name, digest)| {
            format!(
                r#"{{"name":{},"digest":{{"{}":"{}"}}}}"#,
                text(name),
                digest.algorithm().name(),
                digest.hex()
            )
        })
        .collect();
    let mut payload = format!(
        r#"{{"_type":"{STATEMENT_V1}","subject":[{}],"predicateType":{},"predicate":"#,
        subjects.join(","),
        text(predicate_type)
    )
    .into_bytes();
    payload.reserve_exact(predicate.len() + 1);
    payload.extend_from_slice(predicate.as_bytes());
    payload.push(b'}');
    payload
}

/// Reads `sha256: <hex>`: whole, any case (in-toto, `spec/v1/digest_set.md`).
fn digest(name: &str, value: &str) -> Option<Digest> {
    Digest::new(HashAlgorithm::from_name(name)?, &hex::decode(value).ok()?)
}

/// Writes the payload of an image signature, byte for byte as cosign 3 does.
pub fn image_signature_payload(digest: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let annotations =
        serde_json::to_string(annotations).expect("a map of strings always serialises");
    format!(
        r#"{{"_type":"{STATEMENT_V1}","subject":[{{"digest":{{"{}":"{}"}},"annotations":{annotations}}}],"predicateType":"{COSIGN_SIGN_V1}","predicate":{{}}}}"#,
        digest.algorithm().name(),
        digest.hex(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_what_cosign_signs() {
        let digest: Digest =
            "sha256:c27eb145bbf8848f10b48f0f6755facbdfe01f7ba06864cb95fcb996a2857187"
                .parse()
                .unwrap();
        assert_eq!(
            image_signature_payload(&digest, &BTreeMap::new()),
            br#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"c27eb145bbf8848f10b48f0f6755facbdfe01f7ba06864cb95fcb996a2857187"},"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}"#
        );
        let annotations = BTreeMap::from([("env".to_owned(), "pr\"od".to_owned())]);
        let payload = image_signature_payload(&digest, &annotations);
        let statement = Statement::parse(&payload).unwrap();
        assert_eq!(statement.predicate_type, COSIGN_SIGN_V1);
        assert_eq!(
            statement.subjects_with(&digest).next().unwrap().annotations,
            annotations
        );
    }

    #[test]
    fn only_whole_known_digests_count() {
        let parse = |digest: &str| {
            Statement::parse(
                format!(
                    r#"{{"_type":"{STATEMENT_V1}","subject":[{{"digest":{digest}}}],"predicateType":"x"}}"#
                )
                .as_bytes(),
            )
        };
        let hello = Digest::sha256(b"hello");
        let upper = hello.hex().to_uppercase();
        assert!(
            parse(&format!(r#"{{"sha256":"{upper}"}}"#))
                .unwrap()
                .names_any(&[hello])
        );
        assert!(
            !parse(&format!(r#"{{"sha512":"{upper}"}}"#))
                .unwrap()
                .names_any(&[hello])
        );
        assert!(
            !parse(&format!(r#"{{"sha256":"{}"}}"#, &upper[..62]))
                .unwrap()
                .names_any(&[hello])
        );
        assert!(!parse("{}").unwrap().names_any(&[hello]));
        assert!(!parse("null").unwrap().names_any(&[hello]));
        assert!(
            parse(&format!(r#"{{"sha256":"{upper}","sha256":"00"}}"#)).is_err(),
            "duplicate"
        );
    }

    #[test]
    fn other_types_are_refused() {
        let other =
            br#"{"_type":"https://in-toto.io/Statement/v2","subject":[],"predicateType":"x"}"#;
        assert!(matches!(
            Statement::parse(other),
            Err(StatementError::UnsupportedType { .. })
        ));
        let list = r#"["https://in-toto.io/Statement/v1",[["n",{"sha256":"00"},{}]],"x"]"#;
        assert!(Statement::parse(list.as_bytes()).is_err());
        let twice = r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"x","predicate":{"a":1,"a":2}}"#;
        assert!(Statement::parse(twice.as_bytes()).is_err());
        assert!(Statement::parse(b"[]").is_err());
        assert!(Statement::parse(b"null").is_err());
    }

    #[test]
    fn a_predicate_is_written_and_read_byte_for_byte() {
        let predicate = "{ \"b\" : 1.0e2,\n\"a\":\"\\u00e9\", \"n\": 12345678901234567890123 }";
        let subjects = [
            ("a \"b\"".to_owned(), Digest::sha256(b"a")),
            ("c".to_owned(), Digest::sha256(b"c")),
        ];
        let payload = encode(&subjects, "https://x.test/\"y", predicate);
        assert_eq!(raw_predicate(&payload), Some(predicate));
        let statement = Statement::parse(&payload).unwrap();
        assert_eq!(statement.predicate_type, "https://x.test/\"y");
        assert_eq!(statement.subjects[0].name, "a \"b\"");
        assert!(statement.names_any(&[Digest::sha256(b"c")]));
        assert_eq!(raw_predicate(b"{}"), None);
        assert_eq!(raw_predicate(br#"{"predicate":null}"#), None);
    }

    #[test]
    fn a_predicate_is_an_object_and_only_spdx_may_be_text() {
        let parse = |kind: &str, predicate: &str| {
            let payload = encode(&[], kind, predicate);
            Statement::parse(&payload).map(|_| ())
        };
        assert!(parse("x", "{}").is_ok());
        assert!(parse("x", "null").is_ok());
        for other in ["\"text\"", "[]", "1", "true"] {
            assert!(parse("x", other).is_err(), "{other}");
        }
        assert!(parse(SPDX_DOCUMENT, "\"SPDXVersion: SPDX-2.3\"").is_ok());
        assert!(parse(SPDX_DOCUMENT, "[]").is_err());
    }

    #[test]
    fn one_of_several_digests_of_the_artifact_is_enough() {
        let hello = Digest::sha256(b"hello");
        let longer = HashAlgorithm::Sha512.digest(b"hello");
        let statement =
            Statement::parse(&image_signature_payload(&hello, &BTreeMap::new())).unwrap();
        assert!(statement.names_any(&[longer, hello]));
        assert!(!statement.names_any(&[longer]));
        assert!(!statement.names_any(&[]));
    }
}
