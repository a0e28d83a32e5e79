//! JSON that stands in a document as it was signed: numbers keep their digits and members their order, which
//! a value read and written anew would not.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// Name of the member that stands for raw JSON in a document; nothing from outside is ever an object there.
const NAME: &str = "$raw";

/// JSON from outside, without the white space around its tokens.
#[derive(Debug)]
pub struct Raw(Box<RawValue>);

impl Raw {
    /// Takes JSON that has been read before.
    pub fn of(json: &str) -> Self {
        Raw(RawValue::from_string(without_space(json)).unwrap_or_default())
    }
}

/// What stands in a document for the raw JSON of this number.
pub fn raw_member(i: usize) -> Value {
    json!({ NAME: i })
}

/// Drops white space between tokens, tabs among it, which a terminal would obey.
fn without_space(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        if is_string {
            out.push(c);
            is_string = is_escaped || c != '"';
            is_escaped = c == '\\' && !is_escaped;
        } else if !c.is_ascii_whitespace() {
            out.push(c);
            is_string = c == '"';
        }
    }
    out
}

/// A document with its raw parts.
pub(super) struct Spliced<'a> {
    pub(super) value: &'a Value,
    pub(super) raw: &'a [Raw],
}

impl Serialize for Spliced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = self.raw;
        match self.value {
            Value::Object(members) => {
                let number = members.get(NAME).and_then(Value::as_u64);
                if let Some(part) = number.and_then(|i| raw.get(i as usize)) {
                    return part.0.serialize(serializer);
                }
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, &Spliced { value, raw })?;
                }
                map.end()
            }
            Value::Array(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(&Spliced { value, raw })?;
                }
                seq.end()
            }
            other => other.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_signed_keeps_its_digits_and_its_order() {
        let signed =
            "{ \"b\" :\t1.0e2,\r\n \"a \\\" b\\\\\": [ 12345678901234567890123 , \"\\u00e9 \" ] }";
        let document = json!({ "n": [raw_member(0), 1], "x": raw_member(1) });
        let raw = [Raw::of(signed), Raw::of("null")];
        let spliced = Spliced {
            value: &document,
            raw: &raw,
        };
        assert_eq!(
            serde_json::to_string(&spliced).unwrap(),
            r#"{"n":[{"b":1.0e2,"a \" b\\":[12345678901234567890123,"\u00e9 "]},1],"x":null}"#
        );
    }
}
