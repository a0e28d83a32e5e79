//! A validator for as much of JSON Schema 2020-12 as the published schema uses. A keyword that it does not
//! know is an error, so that no part of the schema can go unchecked.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use keyless::crypto::UnixTime;
use serde_json::{Map, Value};

/// Keywords that say nothing about a value.
const ANNOTATIONS: [&str; 6] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "$defs",
];
/// Keywords that [`Schema::check`] checks.
const ASSERTIONS: [&str; 13] = [
    "$ref",
    "type",
    "const",
    "enum",
    "required",
    "properties",
    "additionalProperties",
    "items",
    "oneOf",
    "anyOf",
    "minimum",
    "maximum",
    "pattern",
];

/// A schema whose keywords are all known.
pub struct Schema {
    root: Value,
}

/// What `keyless schema` prints.
pub static PUBLISHED: LazyLock<Schema> = LazyLock::new(|| {
    let root = serde_json::from_str(keyless::output::SCHEMA).expect("the schema is JSON");
    Schema::new(root).expect("the schema uses known keywords")
});

impl Schema {
    pub fn new(root: Value) -> Result<Self, String> {
        let schema = Schema { root };
        schema.walk(&schema.root, &mut BTreeSet::new())?;
        Ok(schema)
    }

    pub fn root(&self) -> &Value {
        &self.root
    }

    fn resolve(&self, reference: &str) -> Option<&Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }

    /// Returns every reference that the root reaches.
    pub fn references(&self) -> BTreeSet<String> {
        let mut seen = BTreeSet::new();
        self.walk(&self.root, &mut seen).expect("walked before");
        seen
    }

    /// Asserts that every keyword within is known, and follows references; definitions that nobody refers
    /// to are not walked.
    fn walk(&self, schema: &Value, seen: &mut BTreeSet<String>) -> Result<(), String> {
        let Some(schema) = schema.as_object() else {
            return match schema.is_boolean() {
                true => Ok(()),
                false => Err(format!("{schema} is no schema")),
            };
        };
        for (keyword, value) in schema {
            let known = ANNOTATIONS.contains(&keyword.as_str())
                || ASSERTIONS.contains(&keyword.as_str())
                || keyword == "format" && value == "date-time";
            if !known {
                return Err(format!("unknown keyword {keyword}"));
            }
            match (keyword.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    let target = self.resolve(reference);
                    let target = target.ok_or(format!("{reference} leads nowhere"))?;
                    if seen.insert(reference.clone()) {
                        self.walk(target, seen)?;
                    }
                }
                ("pattern", Value::String(pattern)) => {
                    regex::Regex::new(pattern).map_err(|error| error.to_string())?;
                }
                ("properties", Value::Object(properties)) => {
                    properties
                        .values()
                        .try_for_each(|one| self.walk(one, seen))?;
                }
                ("items" | "additionalProperties", one) => self.walk(one, seen)?,
                ("oneOf" | "anyOf", Value::Array(all)) => {
                    all.iter().try_for_each(|one| self.walk(one, seen))?;
                }
                ("$ref" | "pattern" | "properties" | "oneOf" | "anyOf", _) => {
                    return Err(format!("{keyword}: {value}"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub fn validate(&self, value: &Value) -> Result<(), String> {
        self.check(&self.root, value, "")
    }

    /// Validates against one definition.
    pub fn validate_as(&self, definition: &str, value: &Value) -> Result<(), String> {
        let schema = self.resolve(&format!("#/$defs/{definition}"));
        self.check(schema.expect("a definition"), value, "")
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = match schema {
            Value::Bool(true) => return Ok(()),
            Value::Object(schema) => schema,
            _ => return Err(format!("{at}: nothing may be here")),
        };
        let wrong = |what: &str, rule: &Value| Err(format!("{at}: {value} is not {what} {rule}"));
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$ref" => {
                    let target = rule.as_str().and_then(|reference| self.resolve(reference));
                    self.check(target.expect("walked before"), value, at)?;
                }
                "type" => {
                    let names = rule
                        .as_array()
                        .map_or(std::slice::from_ref(rule), Vec::as_slice);
                    if !names.iter().any(|name| is_of_type(value, name)) {
                        return wrong("of type", rule);
                    }
                }
                "const" if value != rule => return wrong("", rule),
                "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                    return wrong("one of", rule);
                }
                "minimum" if value.as_i128() < rule.as_i128() => return wrong("at least", rule),
                "maximum" if value.as_i128() > rule.as_i128() => return wrong("at most", rule),
                "pattern" => {
                    let pattern = regex::Regex::new(rule.as_str().unwrap_or_default());
                    let is_match = |text| pattern.is_ok_and(|pattern| pattern.is_match(text));
                    if !value.as_str().is_none_or(is_match) {
                        return wrong("like", rule);
                    }
                }
                "format" if !value.as_str().is_none_or(is_time) => return wrong("a", rule),
                "required" => {
                    let names = rule.as_array().into_iter().flatten();
                    for name in names.filter_map(Value::as_str) {
                        if value
                            .as_object()
                            .is_some_and(|found| !found.contains_key(name))
                        {
                            return Err(format!("{at}: {name} is missing"));
                        }
                    }
                }
                "properties" | "additionalProperties" => self.check_members(schema, value, at)?,
                "items" => {
                    let items = value.as_array().into_iter().flatten().enumerate();
                    for (index, item) in items {
                        self.check(rule, item, &format!("{at}/{index}"))?;
                    }
                }
                "oneOf" | "anyOf" => {
                    let rules = rule.as_array().into_iter().flatten();
                    let found: Vec<_> = rules.map(|one| self.check(one, value, at)).collect();
                    let held = found.iter().filter(|found| found.is_ok()).count();
                    if held == 0 || held > 1 && keyword == "oneOf" {
                        let reasons: Vec<_> = found.into_iter().filter_map(Result::err).collect();
                        let reasons = reasons.join("\n  ");
                        return Err(format!("{at}: {held} of {keyword} hold:\n  {reasons}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_members(
        &self,
        schema: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        let listed = schema.get("properties").and_then(Value::as_object);
        for (name, member) in value.as_object().into_iter().flatten() {
            let at = format!("{at}/{name}");
            let rule = listed.and_then(|listed| listed.get(name));
            if let Some(rule) = rule.or(schema.get("additionalProperties")) {
                self.check(rule, member, &at)?;
            }
        }
        Ok(())
    }
}

trait Whole {
    fn as_i128(&self) -> Option<i128>;
}

impl Whole for Value {
    fn as_i128(&self) -> Option<i128> {
        let unsigned = self.as_u64().map(i128::from);
        unsigned.or_else(|| self.as_i64().map(i128::from))
    }
}

fn is_of_type(value: &Value, name: &Value) -> bool {
    match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.as_i128().is_some(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    }
}

fn is_time(text: &str) -> bool {
    UnixTime::parse_rfc3339(text).is_some()
}
