//! Arguments that say what is attested, and what a predicate must say.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use super::arguments::{Typed, UsageError};
use super::boxed;
use super::limits::Beyond;
use super::policy_arguments::{EvidenceArguments, IdentityArguments, PolicyFileArguments};
use crate::diagnostic::Diagnostic;
use crate::flow::attest::Attested;
use crate::flow::policy::read_rego;
use crate::format::predicate::WantedType;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::host::files::read_bounded;
use crate::verify::policy_file::Expectation;
use crate::verify::{ExpectedContent, PredicateChecks};

/// What is attested.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is attested")]
pub(crate) struct AttestedArguments {
    /// Type of the predicate: slsaprovenance, slsaprovenance1, link, spdx, spdxjson, cyclonedx, vuln, openvex,
    /// custom, or a URI. Without it: custom, which is any text.
    #[arg(long = "type", value_name = "TYPE")]
    pub predicate_type: Option<String>,

    /// The predicate; - for standard input. Its bytes are signed as they are.
    #[arg(long, value_name = "FILE|-", required_unless_present = "statement")]
    pub predicate: Option<PathBuf>,

    /// A whole in-toto statement instead; it must be about what is attested. Its bytes are signed as they are.
    #[arg(long, value_name = "FILE|-", conflicts_with = "predicate")]
    pub statement: Option<PathBuf>,

    /// Attestations are never replaced; accepted as --replace=false alone.
    #[arg(long, hide = true, action = ArgAction::Set, default_value_t = false, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub replace: bool,
}

impl AttestedArguments {
    /// Reads what is attested, of at most `limit` bytes.
    pub fn read(&self, limit: u64) -> Result<Attested, Box<dyn Diagnostic>> {
        if self.replace {
            return Err(boxed(UsageError::Conflict {
                what: "an attestation that was made is not replaced",
                hint: "attest again without --replace: verification accepts one that holds among several",
            }));
        }
        let read = |path: &Path| read_bounded(path, limit).map_err(|error| boxed(Beyond(error)));
        Ok(match (&self.statement, &self.predicate) {
            (Some(statement), _) => Attested::Statement {
                predicate_type: self.predicate_type.clone(),
                bytes: read(statement)?,
            },
            (None, predicate) => Attested::Predicate {
                predicate_type: self.predicate_type.clone().unwrap_or("custom".to_owned()),
                bytes: read(predicate.as_deref().unwrap_or(Path::new("-")))?,
            },
        })
    }
}

/// What a predicate must say.
#[derive(Debug, Args)]
#[command(next_help_heading = "What it must say")]
pub(crate) struct PredicateArguments {
    /// Type of the predicate: a name as in attest, of any version where the type has several, or a URI, to the
    /// letter. Nothing of another type is accepted.
    #[arg(long = "type", value_name = "TYPE", default_value = "custom")]
    pub predicate_type: String,

    /// Value that the predicate must have: PATH=VALUE, with !=, >= or <= too. [*] in a path is every element
    /// of a list that has one, [?] at least one. A path that leads nowhere refuses. Repeatable; all must hold.
    #[arg(long, value_name = "PATH=VALUE")]
    pub require: Vec<String>,

    /// Policy. FILE.rego: data.signature.allow must be true of the statement; each one given must allow.
    /// FILE.toml: trust policy, whose rules about this type say who must have attested. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub policy: Vec<PathBuf>,

    /// Whether the statement is about the image or file is always checked; accepted as true alone.
    #[arg(long, hide = true, action = ArgAction::Set, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub check_claims: bool,
}

/// What was read of the arguments.
pub(crate) struct AskedOfPredicate {
    /// Predicate type.
    pub wanted: WantedType,
    /// Requirements and policies.
    pub checks: PredicateChecks,
    /// The trust policy.
    pub rules: Option<PathBuf>,
}

impl PredicateArguments {
    /// Returns the options as they would be typed.
    pub fn words(&self) -> Vec<Typed> {
        let mut words = vec![("--type", Some(self.predicate_type.clone()))];
        let require = self.require.iter();
        words.extend(require.map(|requirement| ("--require", Some(requirement.clone()))));
        let policies = self.policy.iter().map(|path| path.display().to_string());
        words.extend(policies.map(|path| ("--policy", Some(path))));
        words
    }

    /// Reads what is asked for.
    pub fn read(&self) -> Result<AskedOfPredicate, Box<dyn Diagnostic>> {
        let conflict = |what, hint| boxed(UsageError::Conflict { what, hint });
        if !self.check_claims {
            return Err(conflict(
                "an attestation about something else is never accepted",
                "leave out --check-claims",
            ));
        }
        let wanted = WantedType::parse(&self.predicate_type).map_err(boxed)?;
        if wanted.uri() == COSIGN_SIGN_V1 {
            return Err(conflict(
                "that is the type of signatures, not of attestations",
                "verify signatures with `keyless verify`",
            ));
        }
        let mut checks = PredicateChecks::default();
        for requirement in &self.require {
            checks
                .requirements
                .push(requirement.parse().map_err(boxed)?);
        }
        let mut rules = None;
        for path in &self.policy {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("rego") => checks.policies.push(read_rego(path).map_err(boxed)?),
                Some("toml") if rules.is_none() => rules = Some(path.clone()),
                Some("toml") => {
                    return Err(conflict(
                        "several trust policies are given",
                        "put the rules into one file",
                    ));
                }
                Some("cue") => {
                    return Err(conflict(
                        "policies in CUE are not read",
                        "write it in Rego, which cosign reads too, or ask for values with --require PATH=VALUE",
                    ));
                }
                _ => {
                    return Err(conflict(
                        "a policy is neither a .rego nor a .toml file",
                        "name it by its language: FILE.rego, or FILE.toml for a trust policy",
                    ));
                }
            }
        }
        Ok(AskedOfPredicate {
            wanted,
            checks,
            rules,
        })
    }
}

impl AskedOfPredicate {
    /// Returns whom and what to expect: by the trust policy, or by identity or key.
    pub fn expectation(
        &self,
        identity: &IdentityArguments,
        evidence: &EvidenceArguments,
    ) -> Result<Expectation, UnusableExpectation> {
        let Some(rules) = &self.rules else {
            let content = ExpectedContent::Attestation {
                predicate_type: self.wanted.clone(),
            };
            let policy = identity.policy(content);
            let policy = policy.and_then(|policy| evidence.apply(policy))?;
            return Ok(policy.with_predicate_checks(self.checks.clone()).into());
        };
        if identity.is_given() || evidence.has_thresholds() {
            return Err(UnusableExpectation::Other(boxed(UsageError::Conflict {
                what: "identities, a key or thresholds are given beside a trust policy",
                hint: "the rules of the policy say whom and how much to expect",
            })));
        }
        let read = PolicyFileArguments::rules(rules, evidence);
        Ok(match read.map_err(UnusableExpectation::Other)? {
            Expectation::Rules(file) => {
                Expectation::Rules(file.for_attestations(&self.wanted, &self.checks))
            }
            other => other,
        })
    }
}

/// Why nobody is expected.
pub(crate) enum UnusableExpectation {
    /// Nobody was named.
    Nobody(UsageError),
    /// What was named cannot be used.
    Other(Box<dyn Diagnostic>),
}

impl From<UsageError> for UnusableExpectation {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::NoIdentity { .. } => UnusableExpectation::Nobody(error),
            error => UnusableExpectation::Other(boxed(error)),
        }
    }
}
