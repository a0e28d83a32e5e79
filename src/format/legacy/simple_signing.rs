//! The payload of cosign's older image signatures: "simple signing", a JSON document that names the image's
//! digest.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// Where a payload names the image.
const IMAGE_DIGEST: [&str; 3] = ["critical", "image", "docker-manifest-digest"];

/// Returns whether some reader may take this for a payload, at constant memory whatever the length: JSON whose
/// `critical.image.docker-manifest-digest` says something. Judged as leniently as the most lenient reader, Go's
/// `encoding/json`: members in any case and order, repeated, among others, at any depth of those; with a byte order
/// mark before it, or something after it. What this does not recognise nobody reads as a payload.
pub fn may_be_read_as_payload(content: impl Read) -> bool {
    let mut content = content;
    let mut start = Vec::new();
    let mark = "\u{feff}".as_bytes();
    if (&mut content)
        .take(mark.len() as u64)
        .read_to_end(&mut start)
        .is_err()
    {
        return false;
    }
    if start == mark {
        start.clear();
    }
    let found = Cell::new(false);
    let content = std::io::BufReader::new(start.as_slice().chain(content));
    let mut json = serde_json::Deserializer::from_reader(content);
    // What was found before the JSON breaks off counts: another reader may not mind.
    let _ = Follow {
        path: &IMAGE_DIGEST,
        found: &found,
    }
    .deserialize(&mut json);
    found.get()
}

/// Follows a path of members, through all that have the name, and notes whether it leads anywhere.
struct Follow<'a> {
    path: &'a [&'a str],
    found: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            self.found.set(true);
            // Skipped without recursion, so that no depth hides what follows.
            return json.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Member(name)) = members.next_key()? {
            match folded(&name) == self.path[0] {
                true => members.next_value_seed(Follow {
                    path: &self.path[1..],
                    found: self.found,
                })?,
                false => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name as it stands, UTF-8 or not.
struct Member(Vec<u8>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_bytes<E>(self, name: &[u8]) -> Result<Member, E> {
                Ok(Member(name.to_vec()))
            }

            fn visit_str<E>(self, name: &str) -> Result<Member, E> {
                Ok(Member(name.as_bytes().to_vec()))
            }
        }
        json.deserialize_bytes(Bytes)
    }
}

/// A name as readers compare it that mind no case (Go's `encoding/json` folds by Unicode: the long s is an s, and
/// the sign for kelvin a k).
fn folded(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    name.replace('\u{17f}', "s").replace('\u{212a}', "k")
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
        let padded = |len: usize| format!("{text}{}", " ".repeat(len - text.len()));
        assert!(SimpleSigning::parse(padded(SIMPLE_SIGNING_LEN).as_bytes()).is_ok());
        assert!(SimpleSigning::parse(padded(SIMPLE_SIGNING_LEN + 1).as_bytes()).is_err());
    }

    #[test]
    fn whatever_a_lenient_reader_takes_for_a_payload_is_one() {
        let digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let image = format!(r#""image":{{"docker-manifest-digest":"{digest}"}}"#);
        let plain = format!(r#"{{"critical":{{{image}}}}}"#);
        let deep = format!(
            r#"{{"a":{}{},"critical":{{{image}}}}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        let mut invalid = br#"{"optional":{"a":""#.to_vec();
        invalid.push(0xff);
        invalid.extend_from_slice(format!(r#""}},"critical":{{{image}}}}}"#).as_bytes());
        let mut invalid_name = b"{\"".to_vec();
        invalid_name.push(0xff);
        invalid_name.extend_from_slice(format!(r#"":1,"critical":{{{image}}}}}"#).as_bytes());
        let long = format!(
            r#"{{"optional":"{}","critical":{{{image}}}}}"#,
            "x".repeat(1 << 20)
        );
        let taken: [(&str, Vec<u8>); 19] = [
            ("bare", plain.clone().into()),
            (
                "another type",
                format!(r#"{{"critical":{{"type":"x",{image}}}}}"#).into(),
            ),
            (
                "optional first",
                format!(r#"{{"optional":{{}},"critical":{{"identity":{{}},{image}}}}}"#).into(),
            ),
            ("white space", format!("\n\t {plain}").into()),
            ("byte order mark", format!("\u{feff}{plain}").into()),
            ("upper case", plain.replace("critical", "CRITICAL").into()),
            ("long s", plain.replace("digest", "dige\u{17f}t").into()),
            ("kelvin", plain.replace("docker", "doc\u{212a}er").into()),
            (
                "escaped name",
                plain.replace("critical", "\\u0063ritical").into(),
            ),
            (
                "after one that is none",
                format!(r#"{{"critical":1,"critical":{{{image}}}}}"#).into(),
            ),
            (
                "before one that is none",
                format!(r#"{{"critical":{{{image}}},"critical":1}}"#).into(),
            ),
            (
                "image twice",
                format!(r#"{{"critical":{{"image":{{}},{image}}}}}"#).into(),
            ),
            ("something after it", format!("{plain}garbage").into()),
            ("broken off", plain[..plain.len() - 2].into()),
            (
                "a number for the digest",
                br#"{"critical":{"image":{"docker-manifest-digest":1}}}"#.to_vec(),
            ),
            ("deep", deep.into()),
            ("invalid text", invalid),
            ("invalid name", invalid_name),
            ("long", long.into()),
        ];
        for (name, content) in &taken {
            assert!(may_be_read_as_payload(content.as_slice()), "{name}");
        }
        let other: [&[u8]; 12] = [
            b"",
            b"\xef\xbb",
            b"text",
            b"{",
            b"[]",
            b"{}",
            br#"{"critical":{"type":"cosign container image signature"}}"#,
            br#"{"critical":{"image":"app"}}"#,
            br#"{"critical":[{"image":{"docker-manifest-digest":""}}]}"#,
            br#"{"image":{"docker-manifest-digest":""}}"#,
            br#"{"a":{"critical":{"image":{"docker-manifest-digest":""}}}}"#,
            br#""critical""#,
        ];
        for content in other {
            assert!(!may_be_read_as_payload(content), "{content:?}");
        }
    }
}
