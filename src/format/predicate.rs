//! Predicates of attestations: the names that cosign has for their types, and what each type asks for, by its
//! public specification.
//!
//! A predicate's bytes are never written anew: what is checked here stands in the statement as it was given,
//! unknown members included. Two types are no JSON when they are given, and are wrapped as cosign wraps them.

mod wanted;

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

pub use self::wanted::{NAMED, NamedType, WantedType};
use super::protojson::check_shape;
use super::statement::SPDX_DOCUMENT;
use crate::crypto::UnixTime;
use crate::diagnostic::{Diagnostic, Exit, clean};

/// Predicate type of what has no type of its own.
pub const CUSTOM: &str = "https://cosign.sigstore.dev/attestation/v1";
const SLSA_V02: &str = "https://slsa.dev/provenance/v0.2";
const SLSA_V1: &str = "https://slsa.dev/provenance/v1";
const LINK: &str = "https://in-toto.io/Link/v1";
const CYCLONEDX: &str = "https://cyclonedx.org/bom";
const VULN: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";
const OPENVEX: &str = "https://openvex.dev/ns";

/// Why a predicate was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PredicateError {
    /// The type is neither a name nor a URI.
    #[error("predicate type {given:?} is neither a known name nor a URI")]
    Type {
        /// As given.
        given: String,
    },
    /// It is not JSON, or has a member twice.
    #[error("the predicate is not JSON, or has a member twice")]
    Json {
        /// What the parser met.
        cause: String,
    },
    /// It is not text, where text is wrapped.
    #[error("the predicate is not UTF-8 text")]
    NotText,
    /// A member is missing, or of another kind.
    #[error("the predicate is not of type {predicate_type}: {member} is not {expected}")]
    Member {
        /// Predicate type.
        predicate_type: String,
        /// Path of the member.
        member: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
}

impl Diagnostic for PredicateError {
    fn code(&self) -> &'static str {
        match self {
            PredicateError::Type { .. } => "predicate-type",
            PredicateError::Json { .. } => "predicate-malformed",
            PredicateError::NotText => "predicate-not-text",
            PredicateError::Member { .. } => "predicate-invalid",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            PredicateError::Type { .. } => {
                let names: Vec<&str> = NAMED.iter().map(|named| named.name).collect();
                vec![("names", names.join(", "))]
            }
            PredicateError::Json { cause } => vec![("cause", cause.clone())],
            PredicateError::NotText => Vec::new(),
            PredicateError::Member { member, found, .. } => {
                vec![("member", member.clone()), ("found", found.clone())]
            }
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, PredicateError::Member { .. }).then(|| {
            "nothing was signed; a predicate of no known type is signed as it is with --type and a URI of \
             your own, or with --type custom"
                .to_owned()
        })
    }
}

/// Returns the URI of a type by its name; any other URI as it is.
///
/// # Errors
/// [`PredicateError::Type`].
pub fn type_uri(given: &str) -> Result<&str, PredicateError> {
    if let Some(named) = NAMED.iter().find(|named| named.name == given) {
        return Ok(named.uri);
    }
    let scheme = given.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_uri =
        is_scheme && given.len() > scheme.len() + 1 && given.bytes().all(|b| b.is_ascii_graphic());
    match is_uri {
        true => Ok(given),
        false => Err(PredicateError::Type {
            given: clean(given, 200),
        }),
    }
}

/// Makes the predicate of a type, by its name or URI: JSON, checked against the type where that is known, and
/// otherwise as it was given. `spdx` is text and becomes one string; `custom` is text, wrapped with the time,
/// as cosign does.
///
/// # Errors
/// [`PredicateError`].
pub fn predicate<'a>(
    given_type: &str,
    bytes: &'a [u8],
    now: UnixTime,
) -> Result<Cow<'a, str>, PredicateError> {
    let text = || std::str::from_utf8(bytes).map_err(|_| PredicateError::NotText);
    let string = |text: &str| serde_json::to_string(text).expect("text always serialises");
    Ok(match given_type {
        "custom" => {
            let (data, time) = (string(text()?), now.rfc3339());
            Cow::Owned(format!(r#"{{"Data":{data},"Timestamp":"{time}"}}"#))
        }
        "spdx" => Cow::Owned(string(text()?)),
        _ => {
            let raw: &RawValue = check_shape(bytes, &[], Some(&[]))
                .and_then(|()| serde_json::from_slice(bytes))
                .map_err(|error| PredicateError::Json {
                    cause: error.to_string(),
                })?;
            check(type_uri(given_type)?, raw.get())?;
            Cow::Borrowed(raw.get())
        }
    })
}

/// Checks a predicate of a statement that is given whole: JSON that has been read before.
///
/// # Errors
/// [`PredicateError::Member`].
pub fn check(uri: &str, predicate: &str) -> Result<(), PredicateError> {
    // SPDX in its tag-value form is one string.
    if uri == SPDX_DOCUMENT && predicate.starts_with('"') {
        return Ok(());
    }
    // What has no known schema is not taken apart.
    if !predicate.starts_with('{') || NAMED.iter().any(|named| named.uri == uri) {
        check_members(uri, predicate)?;
    }
    Ok(())
}

fn check_members(uri: &str, predicate: &str) -> Result<(), PredicateError> {
    let root = Members::of(uri, String::new(), predicate)?;
    match uri {
        SLSA_V02 => slsa_v02(&root),
        SLSA_V1 => slsa_v1(&root),
        LINK => link(&root),
        SPDX_DOCUMENT => spdx(&root),
        CYCLONEDX => cyclonedx(&root),
        VULN => vuln(&root),
        OPENVEX => openvex(&root),
        _ => Ok(()),
    }
}

/// Kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    List,
    Object,
    /// A list or an object: type versions differ.
    Collection,
    /// A string or an object: type versions differ.
    TextOrObject,
}

impl Kind {
    const fn words(self) -> &'static str {
        match self {
            Kind::Text => "a string with something in it",
            Kind::Number => "a number",
            Kind::List => "a list",
            Kind::Object => "an object",
            Kind::Collection => "a list or an object",
            Kind::TextOrObject => "a string or an object",
        }
    }

    fn fits(self, raw: &str) -> bool {
        let is_text = raw.starts_with('"') && raw != "\"\"";
        match self {
            Kind::Text => is_text,
            Kind::Number => raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()),
            Kind::List => raw.starts_with('['),
            Kind::Object => raw.starts_with('{'),
            Kind::Collection => raw.starts_with(['[', '{']),
            Kind::TextOrObject => is_text || raw.starts_with('{'),
        }
    }
}

fn kind_words(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') if raw == "\"\"" => "an empty string",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// The members of one object, unread. A large document is not taken apart further than is asked for.
struct Members<'a> {
    uri: &'a str,
    path: String,
    members: HashMap<String, &'a RawValue>,
}

impl<'a> Members<'a> {
    fn of(uri: &'a str, path: String, raw: &'a str) -> Result<Self, PredicateError> {
        match serde_json::from_str(raw) {
            Ok(members) if raw.starts_with('{') => Ok(Members { uri, path, members }),
            _ => Err(PredicateError::Member {
                predicate_type: uri.to_owned(),
                member: if path.is_empty() {
                    "the whole".to_owned()
                } else {
                    path
                },
                expected: Kind::Object.words(),
                found: kind_words(raw).to_owned(),
            }),
        }
    }

    fn path_of(&self, name: &str) -> String {
        match self.path.as_str() {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn wrong(&self, name: &str, expected: &'static str) -> PredicateError {
        PredicateError::Member {
            predicate_type: self.uri.to_owned(),
            member: self.path_of(name),
            expected,
            found: match self.members.get(name) {
                None => "no such member".to_owned(),
                Some(raw) if raw.get().len() <= 80 => clean(raw.get(), 80),
                Some(raw) => kind_words(raw.get()).to_owned(),
            },
        }
    }

    fn needs(&self, name: &str, kind: Kind) -> Result<&'a str, PredicateError> {
        match self.members.get(name) {
            Some(raw) if kind.fits(raw.get()) => Ok(raw.get()),
            _ => Err(self.wrong(name, kind.words())),
        }
    }

    /// A member that may be absent or null, and is otherwise of this kind.
    fn may_have(&self, name: &str, kind: Kind) -> Result<(), PredicateError> {
        match self.members.get(name) {
            None => Ok(()),
            Some(raw) if raw.get() == "null" || kind.fits(raw.get()) => Ok(()),
            Some(_) => Err(self.wrong(name, kind.words())),
        }
    }

    fn object(&self, name: &str) -> Result<Members<'a>, PredicateError> {
        let raw = self.needs(name, Kind::Object)?;
        Members::of(self.uri, self.path_of(name), raw)
    }

    /// A string that begins in a way.
    fn begins(
        &self,
        name: &str,
        prefix: &str,
        expected: &'static str,
    ) -> Result<(), PredicateError> {
        let raw = self
            .needs(name, Kind::Text)
            .map_err(|_| self.wrong(name, expected))?;
        let text: Result<String, _> = serde_json::from_str(raw);
        match text.is_ok_and(|text| text.starts_with(prefix)) {
            true => Ok(()),
            false => Err(self.wrong(name, expected)),
        }
    }

    fn list(&self, name: &str) -> Result<Vec<&'a RawValue>, PredicateError> {
        let raw = self.needs(name, Kind::List)?;
        serde_json::from_str(raw).map_err(|_| self.wrong(name, Kind::List.words()))
    }

    /// A list of objects.
    fn objects(&self, name: &str) -> Result<Vec<Members<'a>>, PredicateError> {
        let elements = self.list(name)?.into_iter().enumerate();
        elements
            .map(|(i, raw)| {
                Members::of(self.uri, format!("{}[{i}]", self.path_of(name)), raw.get())
            })
            .collect()
    }

    fn may_have_objects(&self, name: &str) -> Result<(), PredicateError> {
        match self.members.get(name).is_none_or(|raw| raw.get() == "null") {
            true => Ok(()),
            false => self.objects(name).map(|_| ()),
        }
    }
}

/// SLSA provenance v0.2, "Schema": a builder with an id, and the type of the build.
fn slsa_v02(root: &Members<'_>) -> Result<(), PredicateError> {
    root.object("builder")?.needs("id", Kind::Text)?;
    root.needs("buildType", Kind::Text)?;
    root.may_have("invocation", Kind::Object)?;
    root.may_have("buildConfig", Kind::Object)?;
    root.may_have("metadata", Kind::Object)?;
    root.may_have_objects("materials")
}

/// SLSA provenance v1, "Schema": what was built, and who ran it.
fn slsa_v1(root: &Members<'_>) -> Result<(), PredicateError> {
    let definition = root.object("buildDefinition")?;
    definition.needs("buildType", Kind::Text)?;
    definition.needs("externalParameters", Kind::Object)?;
    definition.may_have("internalParameters", Kind::Object)?;
    definition.may_have_objects("resolvedDependencies")?;
    let run = root.object("runDetails")?;
    run.object("builder")?.needs("id", Kind::Text)?;
    run.may_have("metadata", Kind::Object)?;
    run.may_have_objects("byproducts")
}

/// in-toto Link: the step's name, and what went in. Version 1 has materials by name, later ones list them.
fn link(root: &Members<'_>) -> Result<(), PredicateError> {
    root.needs("name", Kind::Text)?;
    root.needs("materials", Kind::Collection)?;
    root.may_have("command", Kind::List)?;
    root.may_have("byproducts", Kind::Object)?;
    root.may_have("environment", Kind::Object)
}

/// SPDX: a document of version 2 with what its JSON schema requires, or one of version 3, which is a graph.
fn spdx(root: &Members<'_>) -> Result<(), PredicateError> {
    if root.members.contains_key("@context") {
        return root.list("@graph").map(|_| ());
    }
    root.begins("spdxVersion", "SPDX-", "a version such as \"SPDX-2.3\"")?;
    for name in ["SPDXID", "name", "dataLicense"] {
        root.needs(name, Kind::Text)?;
    }
    let creation = root.object("creationInfo")?;
    creation.needs("created", Kind::Text)?;
    creation.needs("creators", Kind::List)?;
    root.may_have("documentNamespace", Kind::Text)?;
    root.may_have("packages", Kind::List)?;
    root.may_have("files", Kind::List)?;
    root.may_have("relationships", Kind::List)
}

/// CycloneDX JSON: its name and version; what else is required is so within what is optional.
fn cyclonedx(root: &Members<'_>) -> Result<(), PredicateError> {
    if root.needs("bomFormat", Kind::Text).ok() != Some("\"CycloneDX\"") {
        return Err(root.wrong("bomFormat", "\"CycloneDX\""));
    }
    root.needs("specVersion", Kind::Text)?;
    root.may_have("serialNumber", Kind::Text)?;
    root.may_have("version", Kind::Number)?;
    root.may_have("metadata", Kind::Object)?;
    for name in ["components", "services", "dependencies", "vulnerabilities"] {
        root.may_have(name, Kind::List)?;
    }
    Ok(())
}

/// cosign's vulnerability scan record, "Cosign Vulnerability Scan Record Attestation Specification".
fn vuln(root: &Members<'_>) -> Result<(), PredicateError> {
    root.may_have("invocation", Kind::Object)?;
    let scanner = root.object("scanner")?;
    scanner.needs("uri", Kind::Text)?;
    scanner.may_have("db", Kind::Object)?;
    let metadata = root.object("metadata")?;
    metadata.needs("scanStartedOn", Kind::Text)?;
    metadata.needs("scanFinishedOn", Kind::Text).map(|_| ())
}

/// OpenVEX v0.2.0, "Document" and "Statement".
fn openvex(root: &Members<'_>) -> Result<(), PredicateError> {
    const STATUS: &str = "one of not_affected, affected, fixed and under_investigation";
    root.begins(
        "@context",
        "https://openvex.dev/ns",
        "https://openvex.dev/ns, of a version",
    )?;
    for name in ["@id", "author", "timestamp"] {
        root.needs(name, Kind::Text)?;
    }
    for statement in root.objects("statements")? {
        statement.needs("vulnerability", Kind::TextOrObject)?;
        let status = statement.needs("status", Kind::Text).unwrap_or_default();
        let known = [
            "\"not_affected\"",
            "\"affected\"",
            "\"fixed\"",
            "\"under_investigation\"",
        ];
        if !known.contains(&status) {
            return Err(statement.wrong("status", STATUS));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
