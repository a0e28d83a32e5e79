//! What the verifier asks for: who may have signed, and what.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::crypto::PublicKey;
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::{CertificateIdentity, claim_name};
use crate::format::predicate::WantedType;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::verify::explain::Trail;
use crate::verify::predicate::PredicateChecks;
use crate::verify::{Artifact, Thresholds, VerifiedSignature, VerifyError, Waiver};

/// Signed as a file, and not as a statement, in words.
const OVER_FILE: &str = "a signature over the file itself";
/// Signed as an image, and not as a statement, in words.
const OVER_IMAGE: &str = "an image signature of the older form";

/// Matches one value: exactly, or by a pattern that must match the whole of it.
#[derive(Debug, Clone)]
pub enum ValueMatcher {
    /// Byte equality.
    Exact(String),
    /// A regular expression and its source text.
    Pattern {
        /// As the user wrote it.
        source: String,
        /// Compiled to match the whole value.
        whole: Regex,
        /// Compiled to match anywhere; for the message alone.
        anywhere: Regex,
    },
}

/// A pattern for a whole value, made of one that matches a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompletedPattern {
    /// It goes on with whatever follows a `/`.
    Beneath(String),
    /// It matches this value, and no other that differs outside of the part.
    Exact(String),
}

/// A pattern that does not compile, or is empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What the compiler met.
    pub reason: String,
}

/// The compiler draws a picture over several lines; its last has the reason.
fn one_line(text: &str) -> String {
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    last.trim().trim_start_matches("error: ").to_owned()
}

impl ValueMatcher {
    /// Matches by equality; `None` for an empty value, which would match nothing on purpose.
    pub fn exact(value: &str) -> Option<Self> {
        (!value.is_empty()).then(|| ValueMatcher::Exact(value.to_owned()))
    }

    /// Compiles a pattern. It must match the whole value, whether or not it is anchored; it is compiled
    /// alone first, so that no bracket of it can escape the group.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn pattern(source: &str) -> Result<Self, PatternError> {
        let error = |reason: String| PatternError {
            pattern: source.to_owned(),
            reason,
        };
        if source.is_empty() {
            return Err(error("it is empty".to_owned()));
        }
        let compile = |text: &str| {
            regex::RegexBuilder::new(text)
                .size_limit(1 << 20)
                .build()
                .map_err(|e| error(one_line(&e.to_string())))
        };
        let anywhere = compile(source)?;
        // A comment in verbose mode would swallow the closing bracket; there, a line break ends it.
        let whole = compile(&format!(r"\A(?:{source})\z"))
            .or_else(|_| compile(&format!("\\A(?:{source}\n)\\z")))?;
        Ok(ValueMatcher::Pattern {
            source: source.to_owned(),
            whole,
            anywhere,
        })
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match self {
            ValueMatcher::Exact(expected) => expected == value,
            ValueMatcher::Pattern { whole, .. } => whole.is_match(value),
        }
    }

    fn describe(&self) -> String {
        match self {
            ValueMatcher::Exact(value) => value.clone(),
            ValueMatcher::Pattern { source, .. } => format!("/{source}/"),
        }
    }

    /// A pattern for the whole value, where this one matches a part of it. One that ends before a `/` goes on with
    /// whatever follows; any other is completed with this very value's rest, for whoever wrote the value would choose
    /// what else a looser one lets in.
    fn completed(&self, value: &str) -> Option<CompletedPattern> {
        let ValueMatcher::Pattern {
            source,
            whole,
            anywhere,
        } = self
        else {
            return None;
        };
        if whole.is_match(value) || value.chars().any(char::is_control) {
            return None;
        }
        let found = anywhere.find(value)?;
        let rest = &value[found.end()..];
        let bare = source.trim_end_matches('$');
        let beneath = match (found.start(), found.as_str().ends_with('/')) {
            (0, true) => Some(format!("{bare}.*")),
            (0, false) if rest.starts_with('/') => Some(format!("{bare}/.*")),
            _ => None,
        };
        let bare = bare.trim_start_matches('^');
        let bare = match bare.contains('|') {
            true => format!("(?:{bare})"),
            false => bare.to_owned(),
        };
        let before = regex::escape(&value[..found.start()]);
        let anchored = format!("^{before}{bare}{}$", regex::escape(rest));
        let letter_for_letter = format!("^{}$", regex::escape(value));
        let holds = |candidate: &String| {
            ValueMatcher::pattern(candidate).is_ok_and(|pattern| pattern.matches(value))
        };
        if let Some(beneath) = beneath.filter(holds) {
            return Some(CompletedPattern::Beneath(beneath));
        }
        let exact = [anchored, letter_for_letter].into_iter().find(holds)?;
        Some(CompletedPattern::Exact(exact))
    }
}

/// A claim that the certificate must carry (Fulcio, `docs/oid-info.md`).
#[derive(Debug, Clone)]
pub struct ClaimMatcher {
    name: &'static str,
    value: ValueMatcher,
}

impl ClaimMatcher {
    /// Asks for a claim by its name; `None` for a name that Fulcio does not have.
    pub fn new(name: &str, value: ValueMatcher) -> Option<Self> {
        claim_name(name).map(|name| ClaimMatcher { name, value })
    }

    fn verify(&self, identity: &CertificateIdentity) -> Result<(), VerifyError> {
        let found = identity.claim(self.name);
        if found.is_some_and(|found| self.value.matches(found)) {
            return Ok(());
        }
        Err(VerifyError::ClaimMismatch {
            name: self.name,
            expected: self.value.describe(),
            found: found.map(str::to_owned),
            identity: Box::new(identity.clone()),
        })
    }
}

/// One accepted signer: a subject through an issuer, both always asked for, and claims.
#[derive(Debug, Clone)]
pub struct IdentityMatcher {
    pub(super) subject: ValueMatcher,
    pub(super) issuer: ValueMatcher,
    claims: Vec<ClaimMatcher>,
}

impl IdentityMatcher {
    /// Accepts a subject through an issuer.
    pub fn new(subject: ValueMatcher, issuer: ValueMatcher) -> Self {
        IdentityMatcher {
            subject,
            issuer,
            claims: Vec::new(),
        }
    }

    /// Asks for claims too, all of them.
    pub fn with_claims(mut self, claims: Vec<ClaimMatcher>) -> Self {
        self.claims.extend(claims);
        self
    }

    fn matches(&self, identity: &CertificateIdentity) -> bool {
        self.subject.matches(&identity.subject) && self.issuer.matches(&identity.issuer)
    }

    fn verify_claims(&self, identity: &CertificateIdentity) -> Result<(), VerifyError> {
        self.claims
            .iter()
            .try_for_each(|claim| claim.verify(identity))
    }

    /// Returns how many of the claims that are asked for an identity has.
    pub(super) fn claims_met(&self, identity: &CertificateIdentity) -> usize {
        let claims = self.claims.iter();
        claims
            .filter(|claim| claim.verify(identity).is_ok())
            .count()
    }

    /// Describes an identity as far as it is asked about.
    fn describe_found(&self, identity: &CertificateIdentity) -> String {
        let mut text = format!("{} (issuer {})", identity.subject, identity.issuer);
        for claim in &self.claims {
            let found = identity.claim(claim.name).unwrap_or_default();
            text.push_str(&format!(", {}={found}", claim.name));
        }
        text
    }

    /// Returns the matcher in words; a pattern stands between slashes.
    pub fn describe(&self) -> String {
        let mut text = format!(
            "{} (issuer {})",
            self.subject.describe(),
            self.issuer.describe()
        );
        for claim in &self.claims {
            text.push_str(&format!(", {}={}", claim.name, claim.value.describe()));
        }
        text
    }
}

/// Who may have signed.
#[derive(Debug, Clone)]
pub enum ExpectedSigner {
    /// One of these identities; never empty, see [`Policy::identities`].
    Identities(Vec<IdentityMatcher>),
    /// The holder of this key.
    Key(Box<PublicKey>),
    /// Whoever has a certificate. No verdict comes of it, see [`crate::verify::Verifier::find_signer`].
    Anyone,
}

/// What may have been signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedContent {
    /// The signature of an image: a statement of cosign's signature type about it, which carries these
    /// annotations. An attestation is refused, and so is a signature over the manifest as a mere file.
    Signature {
        /// Annotations that one subject must carry, all of them.
        annotations: BTreeMap<String, String>,
    },
    /// The signature of a file: over its bytes. Statements are refused.
    ArtifactSignature,
    /// An attestation: a statement of this predicate type about the artifact.
    Attestation {
        /// Which types.
        predicate_type: WantedType,
    },
    /// Any statement or signature about the artifact.
    Any,
}

impl ExpectedContent {
    /// Returns what is asked for in a word: `signature`, a predicate type, or `anything`.
    pub fn describe(&self) -> &str {
        match self {
            ExpectedContent::Signature { .. } | ExpectedContent::ArtifactSignature => "signature",
            ExpectedContent::Attestation { predicate_type } => predicate_type.uri(),
            ExpectedContent::Any => "anything",
        }
    }
}

/// Content that is what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedContent {
    annotations: Vec<BTreeMap<String, String>>,
}

impl MatchedContent {
    /// Returns the annotations of each subject that is the artifact.
    pub fn annotations(&self) -> &[BTreeMap<String, String>] {
        &self.annotations
    }
}

/// Who matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatchedSigner {
    /// An identity in a certificate.
    Identity(CertificateIdentity),
    /// The key asked for.
    Key(PublicKey),
}

/// A policy that asks for somebody.
#[derive(Debug, Clone)]
pub struct Policy {
    signer: ExpectedSigner,
    content: ExpectedContent,
    thresholds: Thresholds,
    waivers: BTreeSet<Waiver>,
    predicate: PredicateChecks,
}

impl Policy {
    fn new(signer: ExpectedSigner, content: ExpectedContent) -> Self {
        Policy {
            signer,
            content,
            thresholds: Thresholds::default(),
            waivers: BTreeSet::new(),
            predicate: PredicateChecks::default(),
        }
    }

    /// Asks for one of several identities. `None` without any: empty is not yes.
    pub fn identities(identities: Vec<IdentityMatcher>, content: ExpectedContent) -> Option<Self> {
        (!identities.is_empty())
            .then(|| Policy::new(ExpectedSigner::Identities(identities), content))
    }

    /// Asks for one exact identity.
    pub fn identity(identity: &CertificateIdentity, content: ExpectedContent) -> Self {
        let subject = ValueMatcher::Exact(identity.subject.clone());
        let issuer = ValueMatcher::Exact(identity.issuer.clone());
        let matcher = IdentityMatcher::new(subject, issuer);
        Policy::new(ExpectedSigner::Identities(vec![matcher]), content)
    }

    /// Asks for a key.
    pub fn key(key: PublicKey, content: ExpectedContent) -> Self {
        Policy::new(ExpectedSigner::Key(Box::new(key)), content)
    }

    /// Asks for nobody: for finding out who has signed, never for accepting it. No other module can make
    /// one, and [`crate::verify::Verifier::find_signer`] gives no verdict away.
    pub(super) fn anyone() -> Self {
        Policy::new(ExpectedSigner::Anyone, ExpectedContent::Any)
    }

    /// Asks for other content of the same signer, on the same evidence.
    pub fn with_content(mut self, content: ExpectedContent) -> Self {
        self.content = content;
        self
    }

    /// Asks for evidence of several operators.
    pub fn with_thresholds(mut self, thresholds: Thresholds) -> Self {
        self.thresholds = thresholds;
        self
    }

    /// Leaves a check out. For an explicit `--insecure-…` option alone.
    pub fn waive(mut self, waiver: Waiver) -> Self {
        self.waivers.insert(waiver);
        self
    }

    /// Asks for what the predicate must say.
    pub fn with_predicate_checks(mut self, checks: PredicateChecks) -> Self {
        self.predicate = checks;
        self
    }

    /// Returns what the predicate must say.
    pub fn predicate_checks(&self) -> &PredicateChecks {
        &self.predicate
    }

    /// Returns how many operators must vouch.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Returns the waiver if it was asked for.
    pub fn waiver(&self, waiver: Waiver) -> Option<Waiver> {
        self.waivers.get(&waiver).copied()
    }

    /// Returns who is asked for.
    pub fn signer(&self) -> &ExpectedSigner {
        &self.signer
    }

    /// Returns what is asked for.
    pub fn content(&self) -> &ExpectedContent {
        &self.content
    }

    /// Verifies that what was signed is what is asked for.
    pub(super) fn verify_content(
        &self,
        signature: &VerifiedSignature,
        artifact: &Artifact,
    ) -> Result<MatchedContent, VerifyError> {
        // Annotations count on a subject that is the artifact, not on any other.
        let carried: Vec<BTreeMap<String, String>> = signature
            .statement()
            .into_iter()
            .flat_map(|statement| &statement.subjects)
            .filter(|subject| {
                artifact
                    .digests()
                    .iter()
                    .any(|digest| subject.digests.contains(digest))
            })
            .map(|subject| subject.annotations.clone())
            // A payload of the older form names one image, and is refused before if it is another.
            .chain(
                signature
                    .simple_signing()
                    .map(|payload| payload.annotations.clone()),
            )
            .collect();
        let is_simple_signing = signature.simple_signing().is_some();
        let predicate_type = signature
            .statement()
            .map(|statement| statement.predicate_type.as_str());
        let not_asked_for = |expected: &str, found: &str| {
            Err(VerifyError::NotASignature {
                expected: expected.to_owned(),
                found: found.chars().take(200).collect(),
            })
        };
        let annotations = match (&self.content, predicate_type) {
            (ExpectedContent::ArtifactSignature, None) if is_simple_signing => {
                return not_asked_for(OVER_FILE, OVER_IMAGE);
            }
            (ExpectedContent::Any, _) | (ExpectedContent::ArtifactSignature, None) => {
                return Ok(MatchedContent {
                    annotations: carried,
                });
            }
            (ExpectedContent::Attestation { predicate_type }, found) => {
                let expected = predicate_type.to_string();
                let found = match found {
                    Some(found) if predicate_type.meets(found) => {
                        return Ok(MatchedContent {
                            annotations: carried,
                        });
                    }
                    Some(found) if found != COSIGN_SIGN_V1 => {
                        return Err(VerifyError::OtherPredicateType {
                            expected,
                            found: found.chars().take(200).collect(),
                        });
                    }
                    Some(_) => "the signature of an image",
                    None if is_simple_signing => OVER_IMAGE,
                    None => OVER_FILE,
                };
                return Err(VerifyError::NotAnAttestation { expected, found });
            }
            (ExpectedContent::ArtifactSignature, Some(found)) => {
                return not_asked_for(OVER_FILE, found);
            }
            (ExpectedContent::Signature { annotations }, None) if is_simple_signing => annotations,
            (ExpectedContent::Signature { .. }, None) => {
                return not_asked_for(COSIGN_SIGN_V1, "a signature over the manifest as a file");
            }
            (ExpectedContent::Signature { .. }, Some(found)) if found != COSIGN_SIGN_V1 => {
                return not_asked_for(COSIGN_SIGN_V1, found);
            }
            (ExpectedContent::Signature { annotations }, Some(_)) => annotations,
        };
        // One subject must carry all of them: requirements are not put together from several.
        let satisfies = |one: &BTreeMap<String, String>| {
            annotations
                .iter()
                .all(|(key, expected)| one.get(key) == Some(expected))
        };
        if annotations.is_empty() || carried.iter().any(satisfies) {
            return Ok(MatchedContent {
                annotations: carried,
            });
        }
        let unmatched = |(key, expected): &(&String, &String)| {
            !carried.iter().any(|one| one.get(*key) == Some(*expected))
        };
        let (key, expected) = annotations
            .iter()
            .find(unmatched)
            .or_else(|| annotations.iter().next())
            .expect("annotations are asked for");
        Err(VerifyError::AnnotationMismatch {
            key: key.clone(),
            expected: expected.clone(),
            found: carried.iter().find_map(|one| one.get(key).cloned()),
        })
    }

    /// Tells what was asked for and what was found, once it is known that they match.
    pub(super) fn tell_content(&self, signature: &VerifiedSignature, trail: &mut Trail) {
        let statement = signature.statement();
        let found = statement.map(|statement| statement.predicate_type.as_str());
        let (expected, annotations) = match &self.content {
            ExpectedContent::Any => ("any statement or signature about the artifact", None),
            ExpectedContent::ArtifactSignature => (OVER_FILE, None),
            ExpectedContent::Attestation { predicate_type } => (predicate_type.uri(), None),
            ExpectedContent::Signature { annotations } => (COSIGN_SIGN_V1, Some(annotations)),
        };
        trail.fact("expected", || expected.to_owned());
        trail.fact("found", || found.unwrap_or(OVER_FILE).to_owned());
        for (key, value) in annotations.into_iter().flatten() {
            trail.fact("annotation", || format!("{key}={value}"));
        }
    }

    /// Verifies who signed. The certificate has been verified before; the key has verified the signature.
    pub(super) fn verify_signer(
        &self,
        material: &KeyMaterial,
        trail: &mut Trail,
    ) -> Result<MatchedSigner, VerifyError> {
        match (&self.signer, material) {
            (ExpectedSigner::Identities(accepted), KeyMaterial::Certificate(leaf)) => {
                let identity = CertificateIdentity::of(leaf)?;
                let mut refusal = None;
                for matcher in accepted.iter().filter(|matcher| matcher.matches(&identity)) {
                    match matcher.verify_claims(&identity) {
                        Ok(()) => {
                            trail.fact("expected", || matcher.describe());
                            trail.fact("found", || matcher.describe_found(&identity));
                            return Ok(MatchedSigner::Identity(identity));
                        }
                        Err(error) => refusal = Some(error),
                    }
                }
                if let Some(refusal) = refusal {
                    return Err(refusal);
                }
                let suggestion = accepted.iter().find_map(|matcher| {
                    let subject = matcher.subject.completed(&identity.subject);
                    subject.or_else(|| matcher.issuer.completed(&identity.issuer))
                });
                Err(VerifyError::IdentityMismatch {
                    expected: accepted.iter().map(IdentityMatcher::describe).collect(),
                    found: Box::new(identity),
                    suggestion,
                })
            }
            (ExpectedSigner::Key(key), KeyMaterial::PublicKey { .. }) => {
                trail.fact("found", || format!("key {}", key.fingerprint()));
                Ok(MatchedSigner::Key((**key).clone()))
            }
            (ExpectedSigner::Anyone, KeyMaterial::Certificate(leaf)) => {
                Ok(MatchedSigner::Identity(CertificateIdentity::of(leaf)?))
            }
            (
                ExpectedSigner::Identities(_) | ExpectedSigner::Anyone,
                KeyMaterial::PublicKey { .. },
            ) => Err(VerifyError::NoCertificate),
            (ExpectedSigner::Key(_), KeyMaterial::Certificate(_)) => {
                Err(VerifyError::CertificateNotKey)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_must_match_the_whole_value() {
        let matcher = ValueMatcher::pattern("https://github.com/org").unwrap();
        assert!(matcher.matches("https://github.com/org"));
        assert!(!matcher.matches("https://evil.test/?https://github.com/org"));
        assert!(!matcher.matches("https://github.com/org/x"));
        assert_eq!(
            matcher.completed("https://github.com/org/x"),
            Some(CompletedPattern::Beneath(
                "https://github.com/org/.*".to_owned()
            ))
        );
        // What is no folder of it is met letter for letter, and nothing beside it.
        for (other, completed) in [
            (
                "https://github.com/org-evil",
                r"^https://github.com/org\-evil$",
            ),
            (
                "https://evil.test/?https://github.com/org",
                r"^https://evil\.test/\?https://github.com/org$",
            ),
        ] {
            let expected = CompletedPattern::Exact(completed.to_owned());
            assert_eq!(matcher.completed(other), Some(expected));
            let completed = ValueMatcher::pattern(completed).unwrap();
            assert!(completed.matches(other) && !completed.matches(&format!("{other}x")));
        }
        let either = ValueMatcher::pattern("a|b").unwrap();
        assert!(either.matches("a") && either.matches("b") && !either.matches("ab"));
        assert!(!ValueMatcher::pattern("a").unwrap().matches("a\n"));
        let multiline = ValueMatcher::pattern("(?m)^a$").unwrap();
        assert!(multiline.matches("a") && !multiline.matches("a\nb"));
    }

    #[test]
    fn a_pattern_cannot_escape_its_group() {
        assert!(ValueMatcher::pattern(")|(?:.*").is_err());
        assert!(ValueMatcher::pattern("").is_err());
        for (pattern, message) in [
            ("(", r#"invalid regular expression "(": unclosed group"#),
            (
                "a\t[",
                r#"invalid regular expression "a\t[": unclosed character class"#,
            ),
        ] {
            let error = ValueMatcher::pattern(pattern).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        let comment = ValueMatcher::pattern("(?x)a # note").unwrap();
        assert!(comment.matches("a") && !comment.matches("ab"));
    }

    #[test]
    fn empty_is_not_yes() {
        assert!(Policy::identities(Vec::new(), ExpectedContent::Any).is_none());
        assert!(ValueMatcher::exact("").is_none());
    }

    #[test]
    fn what_is_suggested_begins_where_the_pattern_does_and_matches() {
        let completed = |pattern: &str, value: &str| {
            let matcher = ValueMatcher::pattern(pattern).unwrap();
            matcher.completed(value)
        };
        let some = |text: &str| Some(CompletedPattern::Beneath(text.to_owned()));
        let exact = |text: &str| Some(CompletedPattern::Exact(text.to_owned()));
        assert_eq!(completed("https://x/", "https://x/y"), some("https://x/.*"));
        assert_eq!(completed("https://x$", "https://x"), None);
        assert_eq!(
            completed("^https://x/", "https://x/y"),
            some("^https://x/.*")
        );
        assert_eq!(completed("https://x/", "https://x/"), None, "it matches");
        assert_eq!(completed("https://x", "https://x/a\nb"), None);
        assert_eq!(completed("x", "/x"), exact("^/x$"));
        assert_eq!(completed("@x\\.y$", "a.b@x.y"), exact(r"^a\.b@x\.y$"));
        assert_eq!(completed("x|y", "axb"), exact("^a(?:x|y)b$"));
        assert_eq!(completed("(?-u:x)(?i)y", "axYb"), exact("^a(?-u:x)(?i)yb$"));
        assert_eq!(completed("x", "y"), None, "no part of it");
        assert_eq!(ValueMatcher::exact("a").unwrap().completed("a/b"), None);
    }

    #[test]
    fn who_is_asked_for_in_words() {
        let subject = ValueMatcher::exact("a@b.test").unwrap();
        let issuer = ValueMatcher::pattern("https://.*").unwrap();
        let claim = ValueMatcher::exact("push").unwrap();
        let claim = ClaimMatcher::new("build-trigger", claim).unwrap();
        let matcher = IdentityMatcher::new(subject, issuer).with_claims(vec![claim]);
        assert_eq!(
            matcher.describe(),
            "a@b.test (issuer /https://.*/), build-trigger=push"
        );
        let any = ValueMatcher::pattern(".*").unwrap();
        assert!(ClaimMatcher::new("no-such-claim", any).is_none());
    }
}
