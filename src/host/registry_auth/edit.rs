//! Changing docker's `config.json` without losing anything in it: whatever is not changed stays as it is written,
//! members that nobody here knows and numbers that no type here holds too.

use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The members of an object, in their order, each value as it is written.
#[derive(Debug, Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_unit<E>(self) -> Result<Members, E> {
                Ok(Members::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom("a member is there twice"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl Members {
    /// Writes the object as docker does, one member a line, at a depth of so many tabs.
    fn encode(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let indent = "\t".repeat(depth);
        let lines: Vec<String> = self
            .0
            .iter()
            .map(|(name, value)| {
                let name = serde_json::Value::from(name.as_str());
                format!("{indent}\t{name}: {}", value.get())
            })
            .collect();
        format!("{{\n{}\n{indent}}}", lines.join(",\n"))
    }

    fn set(&mut self, name: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// What is changed in `auths`.
pub(super) enum Change<'a> {
    /// The entry with this key gets this content, whether or not it was there.
    Set(&'a str, &'a serde_json::Value),
    /// These entries are taken out.
    Remove(&'a dyn Fn(&str) -> bool),
    /// These entries are emptied: what they held is elsewhere now.
    Empty(&'a dyn Fn(&str) -> bool),
}

/// Changes the text of a file; an empty one is an empty object. Returns `None` if there is nothing to change.
pub(super) fn changed(
    text: &[u8],
    change: &Change<'_>,
) -> Result<Option<String>, serde_json::Error> {
    let text = if text.trim_ascii().is_empty() {
        b"{}"
    } else {
        text
    };
    let raw = |text: String| RawValue::from_string(text);
    let mut file: Members = serde_json::from_slice(text)?;
    let auths = file.0.iter().find(|(name, _)| name == "auths");
    let mut auths: Members = match auths {
        Some((_, auths)) => serde_json::from_str(auths.get())?,
        None => Members::default(),
    };
    let before = auths.0.len();
    let touched = match change {
        Change::Set(key, value) => {
            auths.set(key, raw(value.to_string())?);
            true
        }
        Change::Remove(of_registry) => {
            auths.0.retain(|(key, _)| !of_registry(key));
            auths.0.len() < before
        }
        Change::Empty(of_registry) => {
            let mut touched = false;
            for (_, value) in auths.0.iter_mut().filter(|(key, _)| of_registry(key)) {
                touched |= value.get() != "{}";
                *value = raw("{}".to_owned())?;
            }
            touched
        }
    };
    if !touched {
        return Ok(None);
    }
    file.set("auths", raw(auths.encode(1))?);
    Ok(Some(file.encode(0) + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = concat!(
        "{ \"credsStore\" :\"\",\"proxies\":{\"default\":{\"x\":1.50e1}},\n",
        "  \"auths\": {\"one.test\":{\"auth\":\"b25l\",\"future\":[1 , 2]},\"two.test/a\":{}},\n",
        "  \"big\": 123456789012345678901234567890, \"plugins\":{\"\\u00e9\":null}}"
    );

    fn change(text: &str, change: Change<'_>) -> Option<String> {
        changed(text.as_bytes(), &change).unwrap()
    }

    #[test]
    fn everything_else_stays_as_it_is_written() {
        let entry = serde_json::json!({"auth": "dHdv"});
        let text = change(FILE, Change::Set("two.test", &entry)).unwrap();
        for kept in [
            r#""proxies": {"default":{"x":1.50e1}}"#,
            r#""one.test": {"auth":"b25l","future":[1 , 2]}"#,
            r#""two.test/a": {}"#,
            r#""two.test": {"auth":"dHdv"}"#,
            r#""big": 123456789012345678901234567890"#,
            r#""plugins": {"\u00e9":null}"#,
        ] {
            assert!(text.contains(kept), "{kept} in {text}");
        }
        // The order too, and what was set comes out as it went in.
        let place = |what: &str| text.find(what).unwrap();
        assert!(place("credsStore") < place("auths") && place("auths") < place("plugins"));
        let without = change(&text, Change::Remove(&|key| key == "two.test")).unwrap();
        assert!(!without.contains("dHdv") && without.contains("one.test"));
    }

    #[test]
    fn an_entry_is_replaced_whole() {
        let entry = serde_json::json!({"auth": "bmV3"});
        let text = change(FILE, Change::Set("one.test", &entry)).unwrap();
        assert!(text.contains(r#""one.test": {"auth":"bmV3"}"#) && !text.contains("b25l"));
        assert_eq!(text.matches("one.test").count(), 1);
        let emptied = change(FILE, Change::Empty(&|key| key == "one.test")).unwrap();
        assert!(emptied.contains(r#""one.test": {}"#));
    }

    #[test]
    fn nothing_to_change_changes_nothing() {
        assert!(change(FILE, Change::Remove(&|key| key == "three.test")).is_none());
        assert!(change(FILE, Change::Empty(&|key| key == "two.test/a")).is_none());
        assert!(change("", Change::Remove(&|_| true)).is_none());
    }

    #[test]
    fn a_file_begins_with_one_entry() {
        let entry = serde_json::json!({});
        for nothing in ["", " \n", "{}", r#"{"auths":null}"#] {
            let text = change(nothing, Change::Set("a.test", &entry)).unwrap();
            assert_eq!(
                text, "{\n\t\"auths\": {\n\t\t\"a.test\": {}\n\t}\n}\n",
                "{nothing}"
            );
        }
    }

    #[test]
    fn what_is_no_auth_file_is_left_alone() {
        for bad in [
            "[]",
            "{",
            r#"{"auths":[]}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"auths":{"x":1,"x":2}}"#,
        ] {
            let entry = serde_json::json!({});
            assert!(
                changed(bad.as_bytes(), &Change::Set("a.test", &entry)).is_err(),
                "{bad}"
            );
        }
    }
}
