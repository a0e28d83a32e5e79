//! What the verifier asks for: who may have signed, and what (spec 07 §7).

use std::collections::BTreeMap;

use regex::Regex;

use crate::crypto::PublicKey;
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::verify::{Artifact, VerifiedSignature, VerifyError};

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

/// A pattern that does not compile, or is empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What the compiler met.
    pub reason: String,
}

impl ValueMatcher {
    /// Matches by equality; `None` for an empty value, which would match nothing on purpose.
    pub fn exact(value: &str) -> Option<Self> {
        (!value.is_empty()).then(|| ValueMatcher::Exact(value.to_owned()))
    }

    /// Compiles a pattern. It must match the whole value, whether or not it is anchored; it is compiled
    /// alone first, so that no bracket of it can escape the group (spec 07 §7).
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
                .map_err(|e| error(e.to_string()))
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

    fn matches(&self, value: &str) -> bool {
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

    /// A pattern for the whole value, where this one matches a part of it.
    fn completed(&self, value: &str) -> Option<String> {
        match self {
            ValueMatcher::Pattern {
                source,
                whole,
                anywhere,
            } if !whole.is_match(value) && anywhere.is_match(value) => {
                let body = source.trim_start_matches('^').trim_end_matches('$');
                let candidates = [
                    format!("{body}.*"),
                    format!(".*{body}"),
                    format!(".*{body}.*"),
                ];
                candidates.into_iter().find(|candidate| {
                    Regex::new(&format!(r"\A(?:{candidate})\z"))
                        .is_ok_and(|regex| regex.is_match(value))
                })
            }
            _ => None,
        }
    }
}

/// One accepted signer: a subject through an issuer. Both are always asked for.
#[derive(Debug, Clone)]
pub struct IdentityMatcher {
    /// Subject alternative name.
    pub subject: ValueMatcher,
    /// OIDC issuer.
    pub issuer: ValueMatcher,
}

impl IdentityMatcher {
    fn matches(&self, identity: &CertificateIdentity) -> bool {
        self.subject.matches(&identity.subject) && self.issuer.matches(&identity.issuer)
    }

    fn describe(&self) -> String {
        format!(
            "{} (issuer {})",
            self.subject.describe(),
            self.issuer.describe()
        )
    }
}

/// Who may have signed.
#[derive(Debug, Clone)]
pub enum ExpectedSigner {
    /// One of these identities; never empty, see [`Policy::identities`].
    Identities(Vec<IdentityMatcher>),
    /// The holder of this key.
    Key(Box<PublicKey>),
}

/// What may have been signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedContent {
    /// A signature: over the artifact itself, or a statement of cosign's signature type that carries these
    /// annotations. An attestation is refused.
    Signature {
        /// Annotations that must be there.
        annotations: BTreeMap<String, String>,
    },
    /// Any statement or signature about the artifact.
    Any,
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
}

impl Policy {
    /// Asks for one of several identities. `None` without any: empty is not yes.
    pub fn identities(identities: Vec<IdentityMatcher>, content: ExpectedContent) -> Option<Self> {
        (!identities.is_empty()).then_some(Policy {
            signer: ExpectedSigner::Identities(identities),
            content,
        })
    }

    /// Asks for one exact identity.
    pub fn identity(identity: &CertificateIdentity, content: ExpectedContent) -> Self {
        let matcher = IdentityMatcher {
            subject: ValueMatcher::Exact(identity.subject.clone()),
            issuer: ValueMatcher::Exact(identity.issuer.clone()),
        };
        Policy {
            signer: ExpectedSigner::Identities(vec![matcher]),
            content,
        }
    }

    /// Asks for a key.
    pub fn key(key: PublicKey, content: ExpectedContent) -> Self {
        Policy {
            signer: ExpectedSigner::Key(Box::new(key)),
            content,
        }
    }

    /// Returns who is asked for.
    pub fn signer(&self) -> &ExpectedSigner {
        &self.signer
    }

    /// Verifies that what was signed is what is asked for.
    pub(super) fn verify_content(
        &self,
        signature: &VerifiedSignature,
        artifact: &Artifact,
    ) -> Result<(), VerifyError> {
        let ExpectedContent::Signature { annotations } = &self.content else {
            return Ok(());
        };
        let carried = match signature.statement() {
            Some(statement) if statement.predicate_type != COSIGN_SIGN_V1 => {
                return Err(VerifyError::NotASignature {
                    expected: COSIGN_SIGN_V1.to_owned(),
                    found: statement.predicate_type.chars().take(200).collect(),
                });
            }
            // Annotations count on a subject that is the artifact, not on any other.
            Some(statement) => artifact
                .digests()
                .iter()
                .flat_map(|digest| statement.subjects_with(digest))
                .map(|subject| subject.annotations.clone())
                .collect::<Vec<_>>(),
            None => Vec::new(),
        };
        for (key, expected) in annotations {
            if !carried
                .iter()
                .any(|annotations| annotations.get(key) == Some(expected))
            {
                return Err(VerifyError::AnnotationMismatch {
                    key: key.clone(),
                    expected: expected.clone(),
                    found: carried
                        .iter()
                        .find_map(|annotations| annotations.get(key).cloned()),
                });
            }
        }
        Ok(())
    }

    /// Verifies who signed. The certificate has been verified before; the key has verified the signature.
    pub(super) fn verify_signer(
        &self,
        material: &KeyMaterial,
    ) -> Result<MatchedSigner, VerifyError> {
        match (&self.signer, material) {
            (ExpectedSigner::Identities(accepted), KeyMaterial::Certificate(leaf)) => {
                let identity = CertificateIdentity::of(leaf)?;
                if accepted.iter().any(|matcher| matcher.matches(&identity)) {
                    return Ok(MatchedSigner::Identity(identity));
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
                Ok(MatchedSigner::Key((**key).clone()))
            }
            (ExpectedSigner::Identities(_), KeyMaterial::PublicKey { .. }) => {
                Err(VerifyError::NoCertificate)
            }
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
            matcher.completed("https://github.com/org/x").as_deref(),
            Some("https://github.com/org.*")
        );
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
        let comment = ValueMatcher::pattern("(?x)a # note").unwrap();
        assert!(comment.matches("a") && !comment.matches("ab"));
    }

    #[test]
    fn empty_is_not_yes() {
        assert!(Policy::identities(Vec::new(), ExpectedContent::Any).is_none());
        assert!(ValueMatcher::exact("").is_none());
    }
}
