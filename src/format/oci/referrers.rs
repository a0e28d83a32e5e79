//! Lists of what refers to a digest: the API's answer, and the index under the fallback tag.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::document::{MAX_INDEX_MANIFESTS, expect_type};
use super::{Descriptor, OCI_INDEX, OciError};
use crate::crypto::Digest;

/// Returns the tag under which a registry without the referrers API lists what refers to a digest:
/// `sha256-<hex>`, the algorithm cut to 32 and the digits to 64 characters (distribution-spec,
/// "Referrers Tag Schema").
pub fn fallback_tag(subject: &Digest) -> String {
    let hex = subject.hex();
    format!(
        "{}-{}",
        subject.algorithm().name(),
        &hex[..hex.len().min(64)]
    )
}

/// An index of referrers whose every field survives a round trip byte for byte, known or not.
#[derive(Debug, Clone)]
pub struct ReferrersIndex {
    /// All fields but `manifests`, in their order; `manifests` stands where it stood.
    fields: Vec<(String, Field)>,
    /// Entries beyond the cap, not kept: an index that has some is not encoded.
    beyond: usize,
}

#[derive(Debug, Clone)]
enum Field {
    Other(Box<RawValue>),
    Manifests(Vec<Box<RawValue>>),
}

/// The readable descriptors of a list of referrers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// In the order of the list, each digest once.
    pub descriptors: Vec<Descriptor>,
    /// Entries that are not descriptors (malformed digest, missing field). They are left out, so
    /// that a stranger's rubbish does not hide a good signature.
    pub malformed: usize,
    /// Entries beyond the cap, unread.
    pub beyond: usize,
}

impl ReferrersIndex {
    /// Makes an empty index.
    pub fn empty() -> Self {
        let raw = |text: &str| {
            Field::Other(
                RawValue::from_string(text.to_owned()).expect("the literals below are JSON"),
            )
        };
        ReferrersIndex {
            fields: vec![
                ("schemaVersion".to_owned(), raw("2")),
                ("mediaType".to_owned(), raw(&format!("\"{OCI_INDEX}\""))),
                ("manifests".to_owned(), Field::Manifests(Vec::new())),
            ],
            beyond: 0,
        }
    }

    /// Parses an index; each entry is kept as it stands, up to [`MAX_INDEX_MANIFESTS`].
    ///
    /// # Errors
    /// As [`ReferrersIndex::parse_up_to`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        ReferrersIndex::parse_up_to(bytes, MAX_INDEX_MANIFESTS)
    }

    /// Parses an index; the first `limit` entries are kept as they stand, the others are counted. Four megabytes
    /// of the shortest entries would take sixty in memory.
    ///
    /// # Errors
    /// [`OciError`] if this is not an OCI index: a document without `manifests`, with `config` or
    /// `layers`, or of another media type.
    pub fn parse_up_to(bytes: &[u8], limit: usize) -> Result<Self, OciError> {
        let malformed = |e: serde_json::Error| OciError::Malformed {
            what: "index of referrers",
            cause: e.to_string(),
        };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let index = Fields(limit)
            .deserialize(&mut deserializer)
            .map_err(malformed)?;
        deserializer.end().map_err(malformed)?;
        let has = |name: &str| index.fields.iter().any(|(n, _)| n == name);
        if !has("manifests") {
            return Err(OciError::Malformed {
                what: "index of referrers",
                cause: "missing field `manifests`".to_owned(),
            });
        }
        if has("config") || has("layers") {
            return Err(OciError::Ambiguous);
        }
        let stated = index.fields.iter().find_map(|(name, field)| match field {
            Field::Other(raw) if name == "mediaType" => {
                serde_json::from_str::<Option<String>>(raw.get()).ok()?
            }
            _ => None,
        });
        expect_type(stated.as_deref(), "an index", &[OCI_INDEX])?;
        Ok(index)
    }

    /// Reads up to `limit` descriptors.
    pub fn list(&self, limit: usize) -> Listed {
        let mut listed = Listed {
            beyond: self.len().saturating_sub(limit),
            ..Listed::default()
        };
        let mut seen = std::collections::HashSet::new();
        for entry in self.descriptors().take(limit) {
            match entry {
                Some(descriptor) if seen.insert(descriptor.digest) => {
                    listed.descriptors.push(descriptor);
                }
                Some(_) => {}
                None => listed.malformed += 1,
            }
        }
        listed
    }

    /// Reads the entries one by one, `None` for each that is no descriptor.
    pub fn descriptors(&self) -> impl Iterator<Item = Option<Descriptor>> + '_ {
        let entries = self.entries().iter();
        entries.map(|entry| serde_json::from_str(entry.get()).ok())
    }

    /// Returns the number of entries, readable or not.
    pub fn len(&self) -> usize {
        self.entries().len() + self.beyond
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Returns whether an entry has this digest.
    pub fn contains(&self, digest: &Digest) -> bool {
        #[derive(Deserialize)]
        struct Named {
            digest: Digest,
        }
        self.entries()
            .iter()
            .any(|e| serde_json::from_str::<Named>(e.get()).is_ok_and(|n| n.digest == *digest))
    }

    /// Adds a descriptor at the end, unless its digest is listed already; says whether it did.
    pub fn add(&mut self, descriptor: &Descriptor) -> bool {
        if self.contains(&descriptor.digest) {
            return false;
        }
        let entry = serde_json::value::to_raw_value(descriptor)
            .expect("strings, numbers and string maps always encode");
        for (_, field) in &mut self.fields {
            if let Field::Manifests(entries) = field {
                entries.push(entry);
                return true;
            }
        }
        unreachable!("both constructors make sure there is a `manifests` field")
    }

    /// Takes entries of these digests out, and says how many there were. Entries that cannot be read stay.
    pub fn remove(&mut self, digests: &[Digest]) -> usize {
        #[derive(Deserialize)]
        struct Named {
            digest: Digest,
        }
        let mut removed = 0;
        for (_, field) in &mut self.fields {
            if let Field::Manifests(entries) = field {
                let before = entries.len();
                entries.retain(|entry| {
                    !serde_json::from_str::<Named>(entry.get())
                        .is_ok_and(|named| digests.contains(&named.digest))
                });
                removed += before - entries.len();
            }
        }
        removed
    }

    /// Encodes the index.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert_eq!(self.beyond, 0, "entries would be lost");
        serde_json::to_vec(self).expect("raw JSON values always encode")
    }

    fn entries(&self) -> &[Box<RawValue>] {
        self.fields
            .iter()
            .find_map(|(_, field)| match field {
                Field::Manifests(entries) => Some(entries.as_slice()),
                Field::Other(_) => None,
            })
            .unwrap_or_default()
    }
}

/// Reads an index; holds how many entries are kept.
struct Fields(usize);

/// Reads a list of entries; holds how many are kept. Returns those, and the number of the others.
struct Entries(usize);

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = ReferrersIndex;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = ReferrersIndex;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an image index")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReferrersIndex, A::Error> {
        let mut fields: Vec<(String, Field)> = Vec::new();
        let mut beyond = 0;
        while let Some(name) = map.next_key::<String>()? {
            if fields.iter().any(|(n, _)| *n == name) {
                return Err(A::Error::custom("duplicate field"));
            }
            let field = if name == "manifests" {
                let (entries, more) = map.next_value_seed(Entries(self.0))?;
                beyond = more;
                Field::Manifests(entries)
            } else {
                Field::Other(map.next_value()?)
            };
            fields.push((name, field));
            if fields.len() > 64 {
                return Err(A::Error::custom("more than 64 fields"));
            }
        }
        Ok(ReferrersIndex { fields, beyond })
    }
}

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = (Vec<Box<RawValue>>, usize);
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = (Vec<Box<RawValue>>, usize);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of descriptors")
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok((Vec::new(), 0))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while entries.len() < self.0 {
            match seq.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok((entries, 0)),
            }
        }
        let mut beyond = 0;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            beyond += 1;
        }
        Ok((entries, beyond))
    }
}

impl Serialize for ReferrersIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (name, field) in &self.fields {
            match field {
                Field::Other(raw) => map.serialize_entry(name, raw)?,
                Field::Manifests(entries) => map.serialize_entry(name, entries)?,
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::OCI_MANIFEST;

    fn descriptor(content: &[u8]) -> Descriptor {
        Descriptor::of(OCI_MANIFEST, content)
    }

    #[test]
    fn nothing_is_left_out_where_there_is_nothing() {
        assert_eq!(ReferrersIndex::empty().beyond, 0);
        for text in [r#"{"manifests":null}"#, r#"{"manifests":[]}"#] {
            let index = ReferrersIndex::parse(text.as_bytes()).unwrap();
            assert_eq!(index.beyond, 0, "{text}");
        }
    }

    #[test]
    fn an_index_of_referrers_keeps_what_it_does_not_know() {
        let text = concat!(
            r#"{"manifests":[{"mediaType":"a/b","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
            r#""size":2,"x":1.50e1,"y":123456789012345678901234567890},{"broken":true}],"#,
            r#""annotations":{"z":"1","a":"2"},"schemaVersion":2,"unknown":[1e2]}"#
        );
        let mut index = ReferrersIndex::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(index.encode()).unwrap(), text);
        let listed = index.list(10);
        assert_eq!(
            (listed.descriptors.len(), listed.malformed, listed.beyond),
            (1, 1, 0)
        );
        assert_eq!(index.list(1).beyond, 1);
        let ours = descriptor(b"ours");
        assert!(index.add(&ours));
        assert!(!index.add(&ours));
        let grown = String::from_utf8(index.encode()).unwrap();
        let ours = serde_json::to_string(&ours).unwrap();
        assert_eq!(
            grown,
            text.replace(
                r#"{"broken":true}]"#,
                &format!(r#"{{"broken":true}},{ours}]"#)
            )
        );
    }

    #[test]
    fn only_an_index_is_an_index_of_referrers() {
        for bad in [
            r#"{"schemaVersion":2}"#,
            r#"{"manifests":[],"config":{}}"#,
            r#"{"manifests":[],"manifests":[]}"#,
            r#"{"manifests":[],"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#,
            "[]",
        ] {
            assert!(ReferrersIndex::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let mut null = ReferrersIndex::parse(br#"{"manifests":null}"#).unwrap();
        assert!(null.is_empty());
        assert!(null.add(&descriptor(b"x")));
    }

    #[test]
    fn the_fallback_tag_is_cut_as_specified() {
        let sha256 = Digest::sha256(b"");
        assert_eq!(fallback_tag(&sha256), format!("sha256-{}", sha256.hex()));
        let sha512 = crate::crypto::HashAlgorithm::Sha512.digest(b"");
        assert_eq!(
            fallback_tag(&sha512),
            format!("sha512-{}", &sha512.hex()[..64])
        );
    }

    #[test]
    fn what_stands_before_the_media_type_is_not_it() {
        let index = format!(r#"{{"artifactType":"a/b","mediaType":"{OCI_INDEX}","manifests":[]}}"#);
        assert!(ReferrersIndex::parse(index.as_bytes()).is_ok());
        let layers = br#"{"manifests":[],"layers":[]}"#;
        let refused = ReferrersIndex::parse(layers).unwrap_err();
        assert_eq!(refused, OciError::Ambiguous);
    }

    #[test]
    fn a_digest_listed_twice_is_one_referrer() {
        let ours = descriptor(b"ours");
        let text = serde_json::to_string(&ours).unwrap();
        let index = format!(r#"{{"manifests":[{text},{text},{{}}]}}"#);
        let index = ReferrersIndex::parse(index.as_bytes()).unwrap();
        assert_eq!(index.list(10).descriptors, [ours]);
        assert_eq!((index.len(), index.is_empty()), (3, false));
    }

    #[test]
    fn entries_beyond_the_cap_are_counted_and_not_kept() {
        let ours = serde_json::to_string(&descriptor(b"ours")).unwrap();
        let text = format!(r#"{{"manifests":[{ours},{{}},1,"x",[null]]}}"#);
        let index = ReferrersIndex::parse_up_to(text.as_bytes(), 2).unwrap();
        assert_eq!((index.len(), index.descriptors().count()), (5, 2));
        let listed = index.list(1);
        assert_eq!((listed.malformed, listed.beyond), (0, 4));
        assert!(ReferrersIndex::parse_up_to(b"{\"manifests\":[1,}", 0).is_err());
        assert!(ReferrersIndex::parse(b"{\"manifests\":[]} x").is_err());
    }

    #[test]
    fn annotations_are_counted() {
        let with = |count: usize| {
            let mut entry = descriptor(b"x");
            entry.annotations = (0..count).map(|n| (n.to_string(), String::new())).collect();
            let text = serde_json::json!({ "manifests": [entry] }).to_string();
            ReferrersIndex::parse(text.as_bytes()).unwrap().list(1)
        };
        let most = crate::format::oci::MAX_ANNOTATIONS;
        assert_eq!(with(most).descriptors.len(), 1);
        assert_eq!(with(most + 1).malformed, 1);
    }

    #[test]
    fn entries_are_taken_out_and_the_others_kept_as_they_stand() {
        let text = r#"{"manifests":[{"a":1.50,"digest":"DIGEST"},{"broken":true},{"z":0,"digest":"OTHER"}]}"#;
        let (ours, other) = (Digest::sha256(b"ours"), Digest::sha256(b"other"));
        let text = text.replace("DIGEST", &ours.to_string());
        let text = text.replace("OTHER", &other.to_string());
        let mut index = ReferrersIndex::parse(text.as_bytes()).unwrap();
        assert_eq!(index.remove(&[Digest::sha256(b"none")]), 0);
        assert_eq!(index.remove(&[ours]), 1);
        let left = format!(r#"{{"manifests":[{{"broken":true}},{{"z":0,"digest":"{other}"}}]}}"#);
        assert_eq!(String::from_utf8(index.encode()).unwrap(), left);
        assert!(!index.is_empty());
    }

    #[test]
    fn fields_are_counted() {
        let with = |count: usize| {
            let fields: String = (0..count).map(|n| format!(r#""f{n}":{n},"#)).collect();
            ReferrersIndex::parse(format!(r#"{{{fields}"manifests":[]}}"#).as_bytes())
        };
        assert!(with(63).is_ok());
        assert!(matches!(with(64), Err(OciError::Malformed { .. })));
    }
}
