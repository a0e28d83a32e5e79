//! The JSON mapping of protocol buffers, as far as Sigstore's messages use it (protobuf.dev, "ProtoJSON Format").
//!
//! 64-bit integers are strings or numbers, bytes are base64 in any of its four spellings, enums are
//! names or numbers, `null` means absent. Unknown and duplicate members are the business of each
//! message's derive.

use std::fmt;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use super::limits;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Decodes base64, standard or URL-safe, padded or not. Line breaks are refused.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    // Nearly all is of the first alphabet, and what both refuse is in neither.
    let standard = STANDARD.decode(text);
    standard.or_else(|_| URL_SAFE.decode(text)).ok()
}

/// Encodes bytes as standard base64 with padding.
pub fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A bytes field.
#[derive(Clone, PartialEq, Eq, Default, Hash)]
pub struct Bytes(pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_base64(&self.0))
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes(bytes)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode_base64(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64 text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Bytes, E> {
                decode_base64(text)
                    .map(Bytes)
                    .ok_or_else(|| E::custom("malformed base64"))
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// An int64 field: a decimal string, or a number. Written as a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Int64(pub i64);

impl Serialize for Int64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Integer;
        impl Visitor<'_> for Integer {
            type Value = Int64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a 64-bit integer, as string or number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Int64, E> {
                let digits = text.strip_prefix('-').unwrap_or(text);
                if digits.is_empty()
                    || digits.len() > 19
                    || digits.len() > 1 && digits.starts_with('0')
                    || !digits.bytes().all(|b| b.is_ascii_digit())
                {
                    return Err(E::invalid_value(de::Unexpected::Str(text), &self));
                }
                text.parse()
                    .map(Int64)
                    .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Int64, E> {
                Ok(Int64(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Int64, E> {
                i64::try_from(value)
                    .map(Int64)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }
        }
        deserializer.deserialize_any(Integer)
    }
}

/// An enum field as it stood: a name or a number. What it means is decided by its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnumValue {
    /// The value's name.
    Name(String),
    /// The value's number.
    Number(i64),
}

impl EnumValue {
    /// Looks the value up in a table of names and numbers.
    pub fn find<T: Copy>(&self, table: &[(&str, i64, T)]) -> Option<T> {
        table
            .iter()
            .find(|(name, number, _)| match self {
                EnumValue::Name(found) => found == name,
                EnumValue::Number(found) => found == number,
            })
            .map(|(_, _, value)| *value)
    }
}

impl fmt::Display for EnumValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnumValue::Name(name) => f.write_str(name),
            EnumValue::Number(number) => write!(f, "{number}"),
        }
    }
}

impl<'de> Deserialize<'de> for EnumValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrNumber;
        impl Visitor<'_> for NameOrNumber {
            type Value = EnumValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an enum value, as name or number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnumValue, E> {
                Ok(EnumValue::Name(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<EnumValue, E> {
                Ok(EnumValue::Number(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<EnumValue, E> {
                i64::try_from(value)
                    .map(EnumValue::Number)
                    .map_err(|_| E::custom("enum value out of range"))
            }
        }
        deserializer.deserialize_any(NameOrNumber)
    }
}

/// A repeated field that refuses its element number `LIMIT + 1` while reading, not after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded<T, const LIMIT: usize>(pub Vec<T>);

impl<T, const LIMIT: usize> Default for Bounded<T, LIMIT> {
    fn default() -> Self {
        Bounded(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for Bounded<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const LIMIT: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for List<T, LIMIT> {
            type Value = Bounded<T, LIMIT>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {LIMIT} elements")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Bounded::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == LIMIT {
                        return Err(de::Error::custom(format_args!(
                            "more than {LIMIT} elements"
                        )));
                    }
                    items.push(item);
                }
                Ok(Bounded(items))
            }
        }
        deserializer.deserialize_any(List::<T, LIMIT>(PhantomData))
    }
}

/// A map that refuses a key met twice, and its entry number `LIMIT + 1`. Order is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueMap<T, const LIMIT: usize>(pub Vec<(String, T)>);

impl<T, const LIMIT: usize> Default for UniqueMap<T, LIMIT> {
    fn default() -> Self {
        UniqueMap(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for UniqueMap<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<T, const LIMIT: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const LIMIT: usize> Visitor<'de> for Map<T, LIMIT> {
            type Value = UniqueMap<T, LIMIT>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {LIMIT} members")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if entries.len() == LIMIT {
                        return Err(de::Error::custom(format_args!("more than {LIMIT} members")));
                    }
                    if !seen.insert(key.clone()) {
                        return Err(de::Error::custom(format_args!("duplicate member {key:?}")));
                    }
                    entries.push((key, value));
                }
                Ok(UniqueMap(entries))
            }
        }
        deserializer.deserialize_map(Map::<T, LIMIT>(PhantomData))
    }
}

/// Checks what a derived reader does not: that no object anywhere has a member twice, that arrays stand only
/// under the names given (serde reads a struct from an array too), and that no object has more members than
/// [`limits::MEMBERS`]. With `known`, members of other names are somebody else's; within them arrays may stand
/// anywhere and objects be of any size.
///
/// # Errors
/// The parser's, with line and column.
pub fn check_shape(
    json: &[u8],
    arrays: &[&str],
    known: Option<&[&str]>,
) -> Result<(), serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let shape = Shape {
        arrays,
        known,
        at: Place::Root,
    };
    de::DeserializeSeed::deserialize(shape, &mut reader)?;
    reader.end()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The document itself: an object.
    Root,
    /// A member under which arrays may stand.
    List,
    /// Anything else.
    Plain,
    /// Within a member that is somebody else's.
    Opaque,
}

#[derive(Clone, Copy)]
struct Shape<'a> {
    arrays: &'a [&'a str],
    known: Option<&'a [&'a str]>,
    at: Place,
}

impl<'de> de::DeserializeSeed<'de> for Shape<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.at == Place::Root {
            "an object"
        } else {
            "an object or a value, not an array"
        })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let at = match self.at {
                Place::Opaque => Place::Opaque,
                _ if self.arrays.contains(&key.as_str()) => Place::List,
                _ if self
                    .known
                    .is_some_and(|known| !known.contains(&key.as_str())) =>
                {
                    Place::Opaque
                }
                _ => Place::Plain,
            };
            if self.at != Place::Opaque && seen.len() == limits::MEMBERS {
                return Err(de::Error::custom("more than 1024 members in an object"));
            }
            if let Some(key) = seen.replace(key) {
                return Err(de::Error::custom(format_args!("duplicate member {key:?}")));
            }
            map.next_value_seed(Shape { at, ..self })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let at = match self.at {
            Place::Opaque => Place::Opaque,
            Place::List => Place::Plain,
            Place::Root | Place::Plain => {
                return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
            }
        };
        while seq.next_element_seed(Shape { at, ..self })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

impl Shape<'_> {
    fn scalar<E: de::Error>(&self) -> Result<(), E> {
        match self.at {
            Place::Root => Err(E::custom("the document is no object")),
            _ => Ok(()),
        }
    }
}

/// Reads a field that may be `null`, which means its default.
///
/// # Errors
/// Those of the field's own type.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_in_four_spellings_and_no_fifth() {
        for text in ["+/8=", "+/8", "-_8=", "-_8"] {
            assert_eq!(decode_base64(text).unwrap(), [0xfb, 0xff], "{text}");
        }
        for text in ["+_8=", "+/8=\n", "+/8==", "+/9", " ", "a"] {
            assert!(decode_base64(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn integers_as_string_or_number() {
        let read = |text: &str| serde_json::from_str::<Int64>(text).map(|i| i.0);
        assert_eq!(read("\"79571823\"").unwrap(), 79_571_823);
        assert_eq!(read("79571823").unwrap(), 79_571_823);
        assert_eq!(read("\"-1\"").unwrap(), -1);
        for bad in [
            "\"\"",
            "\"1e3\"",
            "1.5",
            "\"99999999999999999999\"",
            "18446744073709551615",
            "true",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn arrays_stand_where_they_belong_and_members_once() {
        let check = |json: &str| check_shape(json.as_bytes(), &["list"], Some(&["x", "a"])).is_ok();
        assert!(check(
            r#"{"list":[{"a":1},"b"],"x":{"list":[]},"free":{"any":[[1]]}}"#
        ));
        for bad in [
            "[]",
            "1",
            r#"{"x":[]}"#,
            r#"{"list":[[]]}"#,
            r#"{"list":[{"x":[1]}]}"#,
            r#"{"a":1,"a":1}"#,
            r#"{"free":{"deep":[{"a":1,"a":2}]}}"#,
            r#"{"a":1} x"#,
        ] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn objects_of_a_message_have_a_bound() {
        let object = |count: usize| {
            let members: Vec<String> = (0..count).map(|i| format!("\"m{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        let check = |json: &str, known| check_shape(json.as_bytes(), &[], known).is_ok();
        assert!(check(&object(limits::MEMBERS), None));
        assert!(!check(&object(limits::MEMBERS + 1), None));
        let inner = format!("{{\"free\":{}}}", object(limits::MEMBERS + 1));
        assert!(!check(&inner, None));
        assert!(check(&inner, Some(&["a"])));
    }

    #[test]
    fn lists_are_cut_while_reading() {
        type Three = Bounded<u8, 3>;
        assert_eq!(
            serde_json::from_str::<Three>("[1,2,3]").unwrap().0,
            [1, 2, 3]
        );
        assert!(serde_json::from_str::<Three>("null").unwrap().0.is_empty());
        assert!(serde_json::from_str::<Three>("[1,2,3,4]").is_err());
    }

    #[test]
    fn integers_have_at_most_nineteen_digits() {
        let read = |text: &str| serde_json::from_str::<Int64>(text).map(|i| i.0);
        assert_eq!(read("\"9223372036854775807\"").unwrap(), i64::MAX);
        assert_eq!(read("\"-9223372036854775808\"").unwrap(), i64::MIN);
        assert_eq!((read("\"0\"").unwrap(), read("\"-7\"").unwrap()), (0, -7));
        for bad in [
            "\"00000000000000000001\"",
            "\"01\"",
            "\"00\"",
            "\"-007\"",
            "\"+1\"",
            "\"-\"",
            "\"--1\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn enums_by_name_or_number() {
        let table = [("ONE", 1, 'a'), ("TWO", 2, 'b')];
        let find = |json: &str| {
            serde_json::from_str::<EnumValue>(json)
                .unwrap()
                .find(&table)
        };
        assert_eq!((find("\"TWO\""), find("2")), (Some('b'), Some('b')));
        assert_eq!((find("\"ONE\""), find("1")), (Some('a'), Some('a')));
        assert_eq!((find("\"two\""), find("-1")), (None, None));
    }

    #[test]
    fn maps_have_each_key_once_and_an_end() {
        type Two = UniqueMap<u8, 2>;
        let read = |json: &str| serde_json::from_str::<Two>(json);
        assert_eq!(
            read(r#"{"a":1,"b":2}"#).unwrap().0,
            [("a".to_owned(), 1), ("b".to_owned(), 2)]
        );
        assert!(read(r#"{"a":1,"a":2}"#).is_err());
        assert!(read(r#"{"a":1,"b":2,"c":3}"#).is_err());
    }

    #[test]
    fn a_document_is_an_object() {
        for scalar in ["true", "-1", "1", "1.5", "\"s\"", "null"] {
            assert!(
                check_shape(scalar.as_bytes(), &[], None).is_err(),
                "{scalar}"
            );
        }
        // Within what is somebody else's, our names mean nothing.
        let foreign = br#"{"free":{"x":[1],"deep":{"x":[1]}}}"#;
        assert!(check_shape(foreign, &["list"], Some(&["x"])).is_ok());
    }
}
