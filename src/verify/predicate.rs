//! What a predicate must say: `PATH=VALUE` requirements and Rego policies, judged within the verdict and after
//! everything else, so that nobody's word is weighed before it is known whose word it is.
//!
//! ```text
//! requirement = path ( "=" | "!=" | ">=" | "<=" ) value
//! path        = segment *( "." name | "[" number "]" | "[*]" | "[?]" | "[" string "]" )
//! segment     = name | "[" ( number | "*" | "?" | string ) "]"
//! name        = one or more characters other than . [ ] = ! < > "
//! string      = a JSON string, such as "a.b"
//! value       = everything after the operator
//! ```
//!
//! The path begins at the predicate. `[*]` means every element of a list that has one, `[?]` at least one of
//! them. A path that leads nowhere refuses, whatever the operator. `=` and `!=` compare with a string of the
//! same characters, a number of the same value, `true`, `false` or `null`; a value in double quotes is a JSON
//! string and equals strings alone. `>=` and `<=` compare numbers, or times in RFC 3339.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde_json::{Number, Value};

use crate::crypto::UnixTime;
use crate::diagnostic::{Diagnostic, Exit, clean};
use crate::verify::explain::{self, Trail};
use crate::verify::rego::StatementPolicy;
use crate::verify::{VerifiedSignature, VerifyError};

/// Segments of one path; a predicate is no deeper than a JSON parser goes.
const SEGMENTS: usize = 128;

/// Why a requirement cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("requirement {given:?} cannot be read: {reason}")]
pub struct RequirementError {
    /// As given.
    pub given: String,
    /// Which rule is broken.
    pub reason: &'static str,
}

impl Diagnostic for RequirementError {
    fn code(&self) -> &'static str {
        "usage-requirement"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(
            "PATH=VALUE, such as buildDefinition.buildType=https://example.com/build@v1, or \
             scanner.result[*].level!=high"
                .to_owned(),
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Member(String),
    Element(usize),
    Every,
    Some,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    AtLeast,
    AtMost,
}

/// A requirement of one value in the predicate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    given: String,
    path: Vec<Segment>,
    operator: Operator,
    value: String,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.given)
    }
}

impl std::str::FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(given: &str) -> Result<Self, RequirementError> {
        let wrong = |reason| RequirementError {
            given: given.to_owned(),
            reason,
        };
        let mut path = Vec::new();
        let mut rest = given;
        loop {
            if path.len() > SEGMENTS {
                return Err(wrong("the path is too long"));
            }
            if let Some(inner) = rest.strip_prefix('[') {
                let (segment, after) = bracket(inner).map_err(wrong)?;
                path.push(segment);
                rest = after;
                continue;
            }
            let is_next = rest.strip_prefix('.').filter(|_| !path.is_empty());
            let name = match is_next {
                Some(name) => name,
                None if path.is_empty() => rest,
                None => break,
            };
            let end = name.find(NOT_IN_NAMES).unwrap_or(name.len());
            if end == 0 {
                return Err(wrong("a name of the path is empty"));
            }
            path.push(Segment::Member(name[..end].to_owned()));
            rest = &name[end..];
        }
        const OPERATORS: [(&str, Operator); 4] = [
            ("!=", Operator::NotEqual),
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            ("=", Operator::Equal),
        ];
        let (sign, operator) = OPERATORS
            .into_iter()
            .find(|(sign, _)| rest.starts_with(sign))
            .ok_or_else(|| wrong("after the path comes =, !=, >= or <="))?;
        let value = &rest[sign.len()..];
        if value.is_empty() {
            return Err(wrong("the value is empty; an empty string is written \"\""));
        }
        if value.starts_with('"') && string(value).is_none() {
            return Err(wrong("the value begins like a JSON string and is none"));
        }
        let is_ordered = number(value).is_some() || UnixTime::parse_rfc3339(value).is_some();
        if matches!(operator, Operator::AtLeast | Operator::AtMost) && !is_ordered {
            return Err(wrong(">= and <= compare numbers, or times in RFC 3339"));
        }
        Ok(Requirement {
            given: given.to_owned(),
            path,
            operator,
            value: value.to_owned(),
        })
    }
}

const NOT_IN_NAMES: [char; 8] = ['.', '[', ']', '=', '!', '<', '>', '"'];

/// Reads what stands after an opening bracket, and returns what follows the closing one.
fn bracket(inner: &str) -> Result<(Segment, &str), &'static str> {
    const UNCLOSED: &str = "a bracket holds a number, *, ? or a JSON string";
    for (sign, segment) in [("*]", Segment::Every), ("?]", Segment::Some)] {
        if let Some(rest) = inner.strip_prefix(sign) {
            return Ok((segment, rest));
        }
    }
    if inner.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let Some(Ok(name)) = values.next() else {
            return Err(UNCLOSED);
        };
        let rest = inner[values.byte_offset()..].strip_prefix(']');
        return rest
            .map(|rest| (Segment::Member(name), rest))
            .ok_or(UNCLOSED);
    }
    let (digits, rest) = inner.split_once(']').ok_or(UNCLOSED)?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(UNCLOSED);
    }
    let index = digits.parse().map_err(|_| UNCLOSED)?;
    Ok((Segment::Element(index), rest))
}

/// Reads a JSON string with nothing around it.
fn string(text: &str) -> Option<String> {
    let read = serde_json::from_str(text).ok();
    read.filter(|_| !text.ends_with(|c: char| c.is_ascii_whitespace()))
}

fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}

/// Compares numbers: whole ones exactly, others as far as a double goes.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

impl Requirement {
    /// Returns whether a predicate meets the requirement; what was found where it does not.
    fn judge(&self, predicate: &Value) -> Result<(), String> {
        self.walk(predicate, &self.path)
    }

    fn walk(&self, value: &Value, path: &[Segment]) -> Result<(), String> {
        let Some((segment, rest)) = path.split_first() else {
            return self.compare(value);
        };
        let nothing = || "nothing at this path".to_owned();
        match segment {
            Segment::Member(name) => {
                let members = value.as_object().ok_or_else(nothing)?;
                self.walk(members.get(name).ok_or_else(nothing)?, rest)
            }
            Segment::Element(index) => {
                let elements = value.as_array().ok_or_else(nothing)?;
                self.walk(elements.get(*index).ok_or_else(nothing)?, rest)
            }
            Segment::Every => {
                let elements = value.as_array().ok_or_else(nothing)?;
                if elements.is_empty() {
                    return Err("an empty list".to_owned());
                }
                elements.iter().try_for_each(|value| self.walk(value, rest))
            }
            Segment::Some => {
                let elements = value.as_array().ok_or_else(nothing)?;
                let mut refusal = "an empty list".to_owned();
                for element in elements {
                    match self.walk(element, rest) {
                        Ok(()) => return Ok(()),
                        Err(found) => refusal = found,
                    }
                }
                Err(refusal)
            }
        }
    }

    fn compare(&self, found: &Value) -> Result<(), String> {
        let refused = || Err(clean(&found.to_string(), 200));
        let is_met = match self.operator {
            // A list or an object is no value, and not being equal to one says nothing.
            _ if found.is_array() || found.is_object() => {
                return Err("a list or an object".to_owned());
            }
            Operator::Equal => self.equals(found),
            Operator::NotEqual => !self.equals(found),
            Operator::AtLeast => self.order(found).is_some_and(Ordering::is_ge),
            Operator::AtMost => self.order(found).is_some_and(Ordering::is_le),
        };
        if is_met { Ok(()) } else { refused() }
    }

    fn equals(&self, found: &Value) -> bool {
        if let Some(quoted) = self.value.starts_with('"').then(|| string(&self.value)) {
            return found.as_str() == quoted.as_deref();
        }
        match found {
            Value::String(found) => *found == self.value,
            Value::Number(found) => {
                number(&self.value).and_then(|value| compare(found, &value))
                    == Some(Ordering::Equal)
            }
            Value::Bool(found) => self.value == found.to_string(),
            Value::Null => self.value == "null",
            Value::Array(_) | Value::Object(_) => false,
        }
    }

    /// How what was found stands to the value; `None` where they cannot be compared.
    fn order(&self, found: &Value) -> Option<Ordering> {
        match found {
            Value::Number(found) => compare(found, &number(&self.value)?),
            Value::String(found) => {
                let found = UnixTime::parse_rfc3339(found)?;
                Some(found.cmp(&UnixTime::parse_rfc3339(&self.value)?))
            }
            _ => None,
        }
    }
}

/// Everything that a predicate must satisfy; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct PredicateChecks {
    /// Values that must be there, all of them.
    pub requirements: Vec<Requirement>,
    /// Policies, each of which must allow.
    pub policies: Vec<Arc<dyn StatementPolicy>>,
}

/// A predicate that says what it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedPredicate(());

impl PredicateChecks {
    /// Returns whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty() && self.policies.is_empty()
    }

    /// Judges the predicate of what was signed.
    ///
    /// # Errors
    /// [`VerifyError::PredicateRefused`]; a signature without statement says nothing, and is refused too.
    pub(super) fn verify(
        &self,
        signature: &VerifiedSignature,
        trail: &mut Trail,
    ) -> Result<MatchedPredicate, VerifyError> {
        if !self.is_empty() {
            trail.check(explain::PREDICATE, |trail| self.judge(signature, trail))?;
        }
        Ok(MatchedPredicate(()))
    }

    fn judge(&self, signature: &VerifiedSignature, trail: &mut Trail) -> Result<(), VerifyError> {
        let refused = |check: &str, found: String| VerifyError::PredicateRefused {
            check: check.to_owned(),
            found,
        };
        let first = || match (self.requirements.first(), self.policies.first()) {
            (Some(requirement), _) => requirement.to_string(),
            (None, Some(policy)) => policy.name().to_owned(),
            (None, None) => String::new(),
        };
        let Some(payload) = signature
            .payload()
            .and_then(|payload| std::str::from_utf8(payload).ok())
        else {
            return Err(refused(&first(), "no statement".to_owned()));
        };
        if !self.requirements.is_empty() {
            let predicate = signature.predicate().unwrap_or("null");
            let predicate: Value = serde_json::from_str(predicate)
                .map_err(|error| refused(&first(), clean(&error.to_string(), 200)))?;
            for requirement in &self.requirements {
                let shown = requirement.to_string();
                requirement
                    .judge(&predicate)
                    .map_err(|found| refused(&shown, found))?;
                trail.fact("required", || shown);
            }
        }
        for policy in &self.policies {
            policy
                .judge(payload)
                .map_err(|found| refused(policy.name(), found))?;
            trail.fact("allowed by", || policy.name().to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(requirement: &str, predicate: &Value) -> Result<(), String> {
        requirement
            .parse::<Requirement>()
            .unwrap_or_else(|error| panic!("{error}"))
            .judge(predicate)
    }

    #[test]
    fn a_value_is_found_by_its_path_and_compared() {
        let predicate = json!({
            "a": { "b": "c", "x.y": "dot", "n": 3, "f": 2.5, "t": true, "z": null, "s": "3" },
            "big": 9007199254740993_u64,
            "list": [{ "level": "low" }, { "level": "medium" }],
            "mixed": [{ "level": "low" }, {}],
            "empty": [],
            "nested": [[1, 2], [2, 3]],
            "when": "2026-11-01T12:00:00Z",
            "quote": "x\"", "bracket": ["x]"],
        });
        for met in [
            "quote=x\"",
            "quote=\"x\\\"\"",
            "bracket[0]=x]",
            "bracket[*]=x]",
            "a.b=c",
            "[\"a\"].b=c",
            "a[\"x.y\"]=dot",
            "a.n=3",
            "a.n=3.0",
            "a.s=3",
            "a.s=\"3\"",
            "a.b=\"c\"",
            "a.t=true",
            "a.z=null",
            "a.b!=d",
            "a.n!=4",
            "a.n>=3",
            "a.n<=3",
            "a.n>=2.5",
            "a.f<=2.5",
            "a.n>=-1",
            "big=9007199254740993",
            "big!=9007199254740992",
            "list[0].level=low",
            "list[*].level!=high",
            "list[?].level=medium",
            "mixed[?].level=low",
            "nested[*][?]=2",
            "nested[?][*]>=2",
            "when>=2026-11-01T12:00:00Z",
            "when<=2026-11-02T00:00:00+01:00",
        ] {
            assert_eq!(judge(met, &predicate), Ok(()), "{met}");
        }
        for unmet in [
            "a.b=d",
            "a.b=C",
            "a.b=\"d\"",
            "a.n=\"3\"",
            "a.n=4",
            "a.t=1",
            "a.t=\"true\"",
            "a.z=false",
            "a.b!=c",
            "a.n!=3",
            "a.n!=3.0",
            "a.n>=4",
            "a.n<=2",
            "a.s>=3",
            "a.b>=3",
            "a.t>=1",
            "big=9007199254740992",
            "big>=9007199254740994",
            "absent=x",
            "absent!=x",
            "a.absent!=x",
            "a.b.c!=x",
            "a=c",
            "a!=c",
            "list!=x",
            "list[2].level!=x",
            "list.0.level=low",
            "a[0]!=x",
            "a[*]!=x",
            "a[?]!=x",
            "list[*].level=low",
            "list[?].level=high",
            "mixed[*].level!=high",
            "empty[*]!=x",
            "empty[?]!=x",
            "nested[*][*]=2",
            "when>=2026-11-01T12:00:01Z",
            "when>=3",
            "when<=3",
            "a.n>=2026-11-01T12:00:00Z",
            "a.n<=2026-11-01T12:00:00Z",
            "a.b<=3",
            "a.t<=1",
        ] {
            assert!(judge(unmet, &predicate).is_err(), "{unmet}");
        }
        assert_eq!(judge("[*]=x", &json!(["x", "x"])), Ok(()));
        assert_eq!(judge("[0]=x", &json!(["x"])), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for wrong in [
            "",
            "a",
            "=x",
            ".a=x",
            "a.=x",
            "a..b=x",
            "a.b",
            "a=",
            "a!=",
            "a[",
            "a[]=x",
            "a[-1]=x",
            "a[+1]=x",
            "a[x]=x",
            "a[*=x",
            "a[\"b]=x",
            "a[\"b\"=x",
            "a[0]b=x",
            "a!x",
            "a>3",
            "a<3",
            "a>=x",
            "a<=\"3\"",
            "a=\"x",
            "a=\"x\" ",
            "a[99999999999999999999]=x",
            "a\"b\"=x",
        ] {
            let refused = wrong.parse::<Requirement>().map_err(|error| error.code());
            assert_eq!(refused, Err("usage-requirement"), "{wrong}");
        }
        let long = |segments: usize| {
            let path = format!("{}=x", vec!["a"; segments].join("."));
            path.parse::<Requirement>().is_ok()
        };
        assert!(long(SEGMENTS));
        assert!(!long(SEGMENTS + 1));
        for fine in ["a= x", "a==x", "a=x=y", "a=!x", "a-b/c=x", "ä=ö"] {
            assert!(fine.parse::<Requirement>().is_ok(), "{fine}");
        }
    }
}
