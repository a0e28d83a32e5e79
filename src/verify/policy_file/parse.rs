//! The format of a trust policy file: TOML, version 1. Nothing unknown is passed over, nothing empty is yes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{PolicyFile, Requirement, Rule, SIGNATURE, VERSION};
use crate::crypto::PublicKey;
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::certificate_identity::claim_names;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::verify::glob::{Glob, GlobError};
use crate::verify::policy::{ClaimMatcher, PatternError, ValueMatcher};
use crate::verify::{ExpectedContent, IdentityMatcher, Policy, Thresholds};

/// Where in the file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

impl Position {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
        }
    }
}

/// Why a policy file was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault}", place(.position.as_ref()))]
pub struct PolicyFileError {
    /// Where, if that is known.
    pub position: Option<Position>,
    /// Why.
    pub fault: Fault,
}

fn place(position: Option<&Position>) -> String {
    match position {
        Some(Position { line, column }) => format!("line {line}, column {column}: "),
        None => String::new(),
    }
}

/// What is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not TOML, or not the members of a policy.
    #[error("{reason}")]
    Syntax {
        /// The parser's words.
        reason: String,
    },
    /// No version, or another.
    #[error("{}", .found.map_or("the policy has no version".to_owned(), |found| {
        format!("version {found} of the policy format is not known")
    }))]
    Version {
        /// As written.
        found: Option<i64>,
    },
    /// A list or value with nothing in it.
    #[error("{key} is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// No rule.
    #[error("the policy has no rule")]
    NoRule,
    /// A rule without patterns.
    #[error("a rule is about images or files, and this one is about neither")]
    NoPattern,
    /// A rule that trusts nobody.
    #[error("a rule needs a signer")]
    NoSigner,
    /// A signer that is none.
    #[error("{reason}")]
    Signer {
        /// Which rule of the format is broken.
        reason: &'static str,
    },
    /// A pattern of names.
    #[error("{0}")]
    Glob(#[from] GlobError),
    /// A regular expression.
    #[error("{0}")]
    Pattern(#[from] PatternError),
    /// A claim that certificates do not have.
    #[error("certificates have no claim {name:?}")]
    Claim {
        /// As written.
        name: String,
    },
    /// Two rules of one name.
    #[error("two rules are named {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// Something else than a signature or a predicate type, or the same twice.
    #[error("{found:?} {reason}")]
    Requires {
        /// As written.
        found: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Annotations where no signature of an image is asked for.
    #[error("annotations are of signatures of images, and this rule asks for something else too")]
    Annotations,
    /// A key that cannot be read.
    #[error("the key cannot be read: {reason}")]
    Key {
        /// Why.
        reason: String,
    },
    /// A threshold that could not be held to.
    #[error("a key has no certificate, and so no promise of a CT log")]
    SctOfKey,
}

impl Diagnostic for PolicyFileError {
    fn code(&self) -> &'static str {
        match &self.fault {
            Fault::Syntax { .. } => "policy-malformed",
            Fault::Version { .. } => "policy-version",
            Fault::Empty { .. } | Fault::NoRule => "policy-empty",
            Fault::NoPattern => "policy-rule-without-pattern",
            Fault::NoSigner => "policy-rule-without-signer",
            Fault::Signer { .. } => "policy-signer",
            Fault::Glob(_) => "policy-glob",
            Fault::Pattern(_) => "policy-regexp",
            Fault::Claim { .. } => "policy-claim",
            Fault::DuplicateName { .. } => "policy-duplicate-name",
            Fault::Requires { .. } => "policy-requires",
            Fault::Annotations => "policy-annotations",
            Fault::Key { .. } => "policy-key",
            Fault::SctOfKey => "policy-sct-threshold",
        }
    }

    fn exit(&self) -> Exit {
        Exit::TrustMaterial
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match &self.fault {
            Fault::Claim { .. } => vec![("names", claim_names().collect::<Vec<_>>().join(", "))],
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match &self.fault {
            Fault::Syntax { .. } => "README, \"Trust policy\", has an example",
            Fault::Version { found: None } => "write version = 1 above the rules",
            Fault::Version { .. } => "this program reads version = 1",
            Fault::Empty { .. } => "leave it out, or say what is meant",
            Fault::NoRule => "what no rule is about is refused, so such a policy accepts nothing",
            Fault::NoPattern => {
                "add images = [\"registry.example/org/**\"] or files = [\"dist/*\"]"
            }
            Fault::NoSigner => "add [[rule.signer]] with identity and issuer",
            Fault::Signer { .. } => {
                "identity or identity-regexp, and issuer or issuer-regexp, are needed; or a key alone"
            }
            Fault::Glob(_) => "* stands for anything within a component, ** for any components",
            Fault::Pattern(_) | Fault::Claim { .. } => return None,
            Fault::DuplicateName { .. } => "refusals name the rule, so names must differ",
            Fault::Requires { .. } => {
                "\"signature\", or the predicate type of an attestation, such as https://slsa.dev/provenance/v1"
            }
            Fault::Annotations => {
                "ask for attestations, and for files, in rules of their own; every rule that matches counts"
            }
            Fault::Key { .. } => "the text of a PEM file with one PUBLIC KEY block is expected",
            Fault::SctOfKey => "leave sct-threshold out",
        };
        Some(hint.to_owned())
    }
}

/// The version alone, so that a file of another version is told so whatever it holds.
#[derive(Deserialize)]
struct Head {
    version: Option<Spanned<i64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    #[serde(rename = "version")]
    _version: i64,
    #[serde(default)]
    rule: Vec<Spanned<RuleText>>,
}

type List = Option<Spanned<Vec<Spanned<String>>>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RuleText {
    name: Option<Spanned<String>>,
    images: List,
    files: List,
    requires: List,
    annotations: Option<Spanned<BTreeMap<String, String>>>,
    log_threshold: Option<NonZeroUsize>,
    timestamp_threshold: Option<usize>,
    sct_threshold: Option<Spanned<NonZeroUsize>>,
    #[serde(default)]
    signer: Vec<Spanned<SignerText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignerText {
    identity: Option<Spanned<String>>,
    identity_regexp: Option<Spanned<String>>,
    issuer: Option<Spanned<String>>,
    issuer_regexp: Option<Spanned<String>>,
    claims: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
    key: Option<Spanned<String>>,
}

/// A fault and the bytes it is about.
struct Found(Option<Range<usize>>, Fault);

trait At<T> {
    fn at(self, span: Range<usize>) -> Result<T, Found>;
}

impl<T, E: Into<Fault>> At<T> for Result<T, E> {
    fn at(self, span: Range<usize>) -> Result<T, Found> {
        self.map_err(|fault| Found(Some(span), fault.into()))
    }
}

impl From<toml::de::Error> for Found {
    fn from(error: toml::de::Error) -> Self {
        let reason = error.message().lines().collect::<Vec<_>>().join(", ");
        Found(error.span(), Fault::Syntax { reason })
    }
}

impl PolicyFile {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyFileError`], the first fault found.
    pub fn parse(text: &str) -> Result<Self, PolicyFileError> {
        read(text).map_err(|Found(span, fault)| PolicyFileError {
            position: span.map(|span| Position::of(text, span.start)),
            fault,
        })
    }
}

fn read(text: &str) -> Result<PolicyFile, Found> {
    let head: Head = toml::from_str(text)?;
    match head.version {
        None => return Err(Found(None, Fault::Version { found: None })),
        Some(version) if *version.get_ref() != VERSION => {
            let found = Some(*version.get_ref());
            return Err(Fault::Version { found }).at(version.span());
        }
        Some(_) => {}
    }
    let file: FileText = toml::from_str(text)?;
    if file.rule.is_empty() {
        return Err(Found(None, Fault::NoRule));
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (i, text) in file.rule.into_iter().enumerate() {
        let name_at = text
            .get_ref()
            .name
            .as_ref()
            .map_or(text.span(), Spanned::span);
        let rule = rule(text, i + 1)?;
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(Fault::DuplicateName { name: rule.name }).at(name_at);
        }
        rules.push(rule);
    }
    Ok(PolicyFile { rules })
}

fn rule(text: Spanned<RuleText>, number: usize) -> Result<Rule, Found> {
    let span = text.span();
    let text = text.into_inner();
    let name = match text.name {
        Some(name) => not_empty("name", name)?.0,
        None => format!("rule {number}"),
    };
    let images = globs("images", text.images, Glob::image)?;
    let files = globs("files", text.files, Glob::file)?;
    if images.is_empty() && files.is_empty() {
        return Err(Fault::NoPattern).at(span);
    }
    let requires = requires(text.requires)?;
    let annotations = match text.annotations {
        None => BTreeMap::new(),
        Some(given) => {
            let at = given.span();
            let given = given.into_inner();
            if given.is_empty() {
                return Err(Fault::Empty { key: "annotations" }).at(at);
            }
            if !files.is_empty() || requires != [SIGNATURE] {
                return Err(Fault::Annotations).at(at);
            }
            given
        }
    };
    if text.signer.is_empty() {
        return Err(Fault::NoSigner).at(span);
    }
    let signers = signers(text.signer)?;
    if let (Signers::Key(_), Some(threshold)) = (&signers, &text.sct_threshold) {
        return Err(Fault::SctOfKey).at(threshold.span());
    }
    let usual = Thresholds::default();
    let thresholds = Thresholds {
        log: text.log_threshold.unwrap_or(usual.log),
        timestamp: text.timestamp_threshold.unwrap_or(usual.timestamp),
        sct: text.sct_threshold.map_or(usual.sct, Spanned::into_inner),
    };
    let requirement = |content: &String, signature: &ExpectedContent| {
        let content = match content.as_str() {
            SIGNATURE => signature.clone(),
            predicate_type => ExpectedContent::Attestation {
                predicate_type: predicate_type.into(),
            },
        };
        let policy = signers.policy(content).ok_or(Fault::NoSigner);
        Ok::<_, Found>(Requirement {
            rule: Some(name.clone()),
            policy: policy.at(span.clone())?.with_thresholds(thresholds),
        })
    };
    let requirements = |patterns: &[Glob], signature: ExpectedContent| {
        let contents = requires.iter().filter(|_| !patterns.is_empty());
        contents
            .map(|content| requirement(content, &signature))
            .collect::<Result<Vec<_>, _>>()
    };
    let of_images = requirements(&images, ExpectedContent::Signature { annotations })?;
    let of_files = requirements(&files, ExpectedContent::ArtifactSignature)?;
    Ok(Rule {
        name,
        images,
        files,
        of_images,
        of_files,
    })
}

fn not_empty(key: &'static str, value: Spanned<String>) -> Result<(String, Range<usize>), Found> {
    let span = value.span();
    if value.get_ref().is_empty() {
        return Err(Fault::Empty { key }).at(span);
    }
    Ok((value.into_inner(), span))
}

/// Reads a list; one that is there is not empty.
fn list(key: &'static str, list: List) -> Result<Vec<Spanned<String>>, Found> {
    let Some(list) = list else {
        return Ok(Vec::new());
    };
    if list.get_ref().is_empty() {
        return Err(Fault::Empty { key }).at(list.span());
    }
    Ok(list.into_inner())
}

fn globs(
    key: &'static str,
    given: List,
    read: impl Fn(&str) -> Result<Glob, GlobError>,
) -> Result<Vec<Glob>, Found> {
    list(key, given)?
        .into_iter()
        .map(|pattern| read(pattern.get_ref()).at(pattern.span()))
        .collect()
}

/// Returns whether a text can be a predicate type here, which is a URI: a word without a scheme is a slip, and
/// would never be met.
pub fn is_predicate_type(text: &str) -> bool {
    let is_uri = text.split_once(':').is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && scheme.chars().all(char::is_alphanumeric) && !rest.is_empty()
    });
    is_uri && text != COSIGN_SIGN_V1
}

/// Reads what is required; a signature where nothing is said.
fn requires(given: List) -> Result<Vec<String>, Found> {
    let given = list("requires", given)?;
    if given.is_empty() {
        return Ok(vec![SIGNATURE.to_owned()]);
    }
    let mut requires = Vec::new();
    for one in given {
        let (span, found) = (one.span(), one.into_inner());
        let reason = if requires.contains(&found) {
            Some("is required twice")
        } else if found == COSIGN_SIGN_V1 {
            Some("is written \"signature\"")
        } else if found != SIGNATURE && !is_predicate_type(&found) {
            Some("is neither \"signature\" nor a predicate type, which is a URI")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(Fault::Requires { found, reason }).at(span);
        }
        requires.push(found);
    }
    Ok(requires)
}

enum Signers {
    Identities(Vec<IdentityMatcher>),
    Key(PublicKey),
}

impl Signers {
    fn policy(&self, content: ExpectedContent) -> Option<Policy> {
        match self {
            Signers::Identities(accepted) => Policy::identities(accepted.clone(), content),
            Signers::Key(key) => Some(Policy::key(key.clone(), content)),
        }
    }
}

fn signers(given: Vec<Spanned<SignerText>>) -> Result<Signers, Found> {
    let mut identities = Vec::new();
    let count = given.len();
    for signer in given {
        let span = signer.span();
        let signer = signer.into_inner();
        let is_identity = signer.identity.is_some()
            || signer.identity_regexp.is_some()
            || signer.issuer.is_some()
            || signer.issuer_regexp.is_some()
            || signer.claims.is_some();
        if let Some(key) = signer.key {
            if is_identity || count > 1 {
                let reason = "a key is the one signer of its rule, and has no identity";
                return Err(Fault::Signer { reason }).at(span);
            }
            let (pem, at) = not_empty("key", key)?;
            let key = PublicKey::from_pem(&pem).map_err(|error| Fault::Key {
                reason: error.to_string(),
            });
            return Ok(Signers::Key(key.at(at)?));
        }
        let subject = matcher(
            ("identity", signer.identity),
            ("identity-regexp", signer.identity_regexp),
            &span,
            "a signer has one identity",
        )?;
        let issuer = matcher(
            ("issuer", signer.issuer),
            ("issuer-regexp", signer.issuer_regexp),
            &span,
            "a signer has one issuer",
        )?;
        let claims = claims(signer.claims)?;
        identities.push(IdentityMatcher::new(subject, issuer).with_claims(claims));
    }
    Ok(Signers::Identities(identities))
}

type Given = (&'static str, Option<Spanned<String>>);

fn matcher(
    (exact_key, exact): Given,
    (pattern_key, pattern): Given,
    signer: &Range<usize>,
    reason: &'static str,
) -> Result<ValueMatcher, Found> {
    match (exact, pattern) {
        (Some(exact), None) => {
            let (value, at) = not_empty(exact_key, exact)?;
            ValueMatcher::exact(&value)
                .ok_or(Fault::Empty { key: exact_key })
                .at(at)
        }
        (None, Some(pattern)) => {
            let (source, at) = not_empty(pattern_key, pattern)?;
            ValueMatcher::pattern(&source).at(at)
        }
        _ => Err(Fault::Signer { reason }).at(signer.clone()),
    }
}

fn claims(
    given: Option<Spanned<BTreeMap<Spanned<String>, Spanned<String>>>>,
) -> Result<Vec<ClaimMatcher>, Found> {
    let Some(given) = given else {
        return Ok(Vec::new());
    };
    if given.get_ref().is_empty() {
        return Err(Fault::Empty { key: "claims" }).at(given.span());
    }
    let read = |(name, value): (Spanned<String>, Spanned<String>)| {
        let at = value.span();
        let value = ValueMatcher::exact(value.get_ref())
            .ok_or(Fault::Empty { key: "claim" })
            .at(at)?;
        let unknown = Fault::Claim {
            name: name.get_ref().clone(),
        };
        ClaimMatcher::new(name.get_ref(), value)
            .ok_or(unknown)
            .at(name.span())
    };
    given.into_inner().into_iter().map(read).collect()
}

#[cfg(test)]
mod tests;
