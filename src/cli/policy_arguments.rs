//! Arguments that say whom and what is expected, and how much evidence.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::arguments::{Typed, UsageError};
use super::boxed;
use crate::crypto::PublicKey;
use crate::diagnostic::{Diagnostic, shell_option, shell_quoted};
use crate::flow::policy::read_policy;
use crate::format::certificate_identity::claim_names;
use crate::format::limits;
use crate::host::files::read_bounded;
use crate::verify::error::signer_options;
use crate::verify::policy::{ClaimMatcher, ValueMatcher};
use crate::verify::policy_file::Expectation;
use crate::verify::{
    ExpectedContent, ExpectedSigner, IdentityMatcher, Policy, Thresholds, VerifyError, Waiver,
};

/// Whose signature is accepted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who must have signed")]
pub(crate) struct IdentityArguments {
    /// Identity in the certificate: e-mail address, workflow or workload URI. Repeatable; one must match.
    #[arg(long, value_name = "IDENTITY")]
    pub certificate_identity: Vec<String>,

    /// Regular expression for the identity; must match the whole of it. Repeatable.
    #[arg(long, value_name = "REGEXP")]
    pub certificate_identity_regexp: Vec<String>,

    /// OIDC issuer that vouched for the identity. One serves all identities; several go with as many
    /// identities, in order.
    #[arg(long, value_name = "URL")]
    pub certificate_oidc_issuer: Vec<String>,

    /// Regular expression for the issuer; must match the whole of it. Repeatable, like the issuer.
    #[arg(long, value_name = "REGEXP")]
    pub certificate_oidc_issuer_regexp: Vec<String>,

    /// Claim in the certificate, such as source-repository-uri=https://github.com/org/repo. Repeatable;
    /// all must match.
    #[arg(long, value_name = "NAME=VALUE")]
    pub certificate_claim: Vec<String>,

    /// GitHub event that started the workflow, as in claim github-workflow-trigger.
    #[arg(long, value_name = "EVENT")]
    pub certificate_github_workflow_trigger: Option<String>,

    /// Commit that the workflow ran on, as in claim github-workflow-sha.
    #[arg(long, value_name = "SHA")]
    pub certificate_github_workflow_sha: Option<String>,

    /// Name of the GitHub workflow, as in claim github-workflow-name.
    #[arg(long, value_name = "NAME")]
    pub certificate_github_workflow_name: Option<String>,

    /// GitHub repository of the workflow, as in claim github-workflow-repository.
    #[arg(long, value_name = "OWNER/NAME")]
    pub certificate_github_workflow_repository: Option<String>,

    /// Git ref that the workflow ran on, as in claim github-workflow-ref.
    #[arg(long, value_name = "REF")]
    pub certificate_github_workflow_ref: Option<String>,

    /// Public key that must have signed, PEM; in place of an identity. For signatures without certificate.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "certificate_identity", "certificate_identity_regexp", "certificate_oidc_issuer",
        "certificate_oidc_issuer_regexp", "certificate_claim", "certificate_github_workflow_trigger",
        "certificate_github_workflow_sha", "certificate_github_workflow_name",
        "certificate_github_workflow_repository", "certificate_github_workflow_ref",
    ])]
    pub key: Option<PathBuf>,
}

impl IdentityArguments {
    /// Makes a policy: every identity given, through every issuer given, with all claims; or the key.
    pub fn policy(&self, content: ExpectedContent) -> Result<Policy, UsageError> {
        if let Some(path) = &self.key {
            return Ok(Policy::key(read_key(path)?, content));
        }
        let subjects = matchers(
            ("--certificate-identity", &self.certificate_identity),
            (
                "--certificate-identity-regexp",
                &self.certificate_identity_regexp,
            ),
        )?;
        let issuers = matchers(
            ("--certificate-oidc-issuer", &self.certificate_oidc_issuer),
            (
                "--certificate-oidc-issuer-regexp",
                &self.certificate_oidc_issuer_regexp,
            ),
        )?;
        let claims = self.claims()?;
        let missing = match (subjects.is_empty(), issuers.is_empty()) {
            (true, true) => "--certificate-identity and --certificate-oidc-issuer, or --key",
            (true, false) => "--certificate-identity, or --certificate-identity-regexp",
            (false, true) => "--certificate-oidc-issuer, or --certificate-oidc-issuer-regexp",
            (false, false) => "",
        };
        let identities = self
            .pairs(subjects, issuers)?
            .map(|(subject, issuer)| {
                IdentityMatcher::new(subject, issuer).with_claims(claims.clone())
            })
            .collect();
        Policy::identities(identities, content).ok_or(UsageError::NoIdentity { missing })
    }

    /// Pairs identities with issuers: one issuer serves all identities; several go with as many identities, in the
    /// order in which they are given. An identity that is expected of one issuer is never taken from another.
    fn pairs(
        &self,
        subjects: Vec<ValueMatcher>,
        issuers: Vec<ValueMatcher>,
    ) -> Result<impl Iterator<Item = (ValueMatcher, ValueMatcher)>, UsageError> {
        let (identities, count) = (subjects.len(), issuers.len());
        // Between two options there is no order that could be relied on.
        let is_mixed =
            |exact: &[String], patterns: &[String]| !exact.is_empty() && !patterns.is_empty();
        let has_order = !is_mixed(
            &self.certificate_identity,
            &self.certificate_identity_regexp,
        ) && !is_mixed(
            &self.certificate_oidc_issuer,
            &self.certificate_oidc_issuer_regexp,
        );
        // With nobody expected, what is missing is told instead.
        if count > 1 && identities > 0 && (count != identities || !has_order) {
            return Err(UsageError::Pairs {
                identities,
                issuers: count,
            });
        }
        let mut issuers = issuers.into_iter();
        let first = issuers.next();
        Ok(subjects
            .into_iter()
            .enumerate()
            .filter_map(move |(n, subject)| {
                let issuer = match (n, count) {
                    (1.., 2..) => issuers.next(),
                    _ => first.clone(),
                };
                Some((subject, issuer?))
            }))
    }

    /// Returns whether anything of this is given.
    pub fn is_given(&self) -> bool {
        let lists = [
            &self.certificate_identity,
            &self.certificate_identity_regexp,
            &self.certificate_oidc_issuer,
            &self.certificate_oidc_issuer_regexp,
            &self.certificate_claim,
        ];
        let has_github = self.github().iter().any(|(_, _, value)| value.is_some());
        self.key.is_some() || has_github || lists.iter().any(|list| !list.is_empty())
    }

    fn claims(&self) -> Result<Vec<ClaimMatcher>, UsageError> {
        let mut claims = Vec::new();
        for found in &self.certificate_claim {
            let wrong = || UsageError::Claim {
                found: found.clone(),
                known: claim_names().collect::<Vec<_>>().join(", "),
            };
            let (name, value) = found.split_once('=').ok_or_else(wrong)?;
            let value = ValueMatcher::exact(value).ok_or(UsageError::Empty {
                flag: "--certificate-claim",
            })?;
            claims.push(ClaimMatcher::new(name, value).ok_or_else(wrong)?);
        }
        for (name, flag, value) in self.github() {
            let Some(value) = value else { continue };
            let value = ValueMatcher::exact(value).ok_or(UsageError::Empty { flag })?;
            claims.extend(ClaimMatcher::new(name, value));
        }
        Ok(claims)
    }

    /// The claims that have options of their own: claim, option, value.
    fn github(&self) -> [(&'static str, &'static str, Option<&str>); 5] {
        [
            (
                "github-workflow-trigger",
                "--certificate-github-workflow-trigger",
                self.certificate_github_workflow_trigger.as_deref(),
            ),
            (
                "github-workflow-sha",
                "--certificate-github-workflow-sha",
                self.certificate_github_workflow_sha.as_deref(),
            ),
            (
                "github-workflow-name",
                "--certificate-github-workflow-name",
                self.certificate_github_workflow_name.as_deref(),
            ),
            (
                "github-workflow-repository",
                "--certificate-github-workflow-repository",
                self.certificate_github_workflow_repository.as_deref(),
            ),
            (
                "github-workflow-ref",
                "--certificate-github-workflow-ref",
                self.certificate_github_workflow_ref.as_deref(),
            ),
        ]
    }

    /// Returns the names of the claims that are asked for, each once.
    fn claims_asked_for(&self) -> BTreeSet<&str> {
        let given = self.certificate_claim.iter();
        let given = given.filter_map(|claim| claim.split_once('=').map(|(name, _)| name));
        let github = self.github().into_iter();
        let github = github.filter_map(|(name, _, value)| value.map(|_| name));
        given.chain(github).collect()
    }
}

pub(crate) fn read_key(path: &std::path::Path) -> Result<PublicKey, UsageError> {
    let malformed = |cause: String| UsageError::Key {
        path: path.display().to_string(),
        cause,
    };
    let bytes = read_bounded(path, limits::PEM_LEN as u64)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| malformed("it is not PEM".to_owned()))?;
    PublicKey::from_pem(text).map_err(|error| malformed(error.to_string()))
}

type Given<'a> = (&'static str, &'a [String]);

fn matchers<'a>(
    (exact_flag, exact): (&'static str, &'a Vec<String>),
    (pattern_flag, patterns): (&'static str, &'a Vec<String>),
) -> Result<Vec<ValueMatcher>, UsageError> {
    let (exact, patterns): (Given<'a>, Given<'a>) = ((exact_flag, exact), (pattern_flag, patterns));
    let mut matchers = Vec::new();
    for value in exact.1 {
        matchers.push(ValueMatcher::exact(value).ok_or(UsageError::Empty { flag: exact.0 })?);
    }
    for pattern in patterns.1 {
        let matcher = ValueMatcher::pattern(pattern);
        matchers.push(matcher.map_err(|error| UsageError::Pattern {
            flag: patterns.0,
            error,
        })?);
    }
    Ok(matchers)
}

/// How much evidence is asked for, and how much of it is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "How much evidence")]
pub(crate) struct EvidenceArguments {
    /// Transparency logs that must hold the signature, by distinct operators.
    #[arg(long, value_name = "N", default_value = "1")]
    pub log_threshold: NonZeroUsize,

    /// Timestamp authorities that must vouch for the time, by distinct operators.
    #[arg(long, value_name = "N", default_value = "0")]
    pub timestamp_threshold: usize,

    /// Certificate transparency logs that must have promised to publish the certificate, by distinct
    /// operators.
    #[arg(long, value_name = "N", default_value = "1")]
    pub sct_threshold: NonZeroUsize,

    /// Do not check the transparency log. Nobody may ever learn of such a signature; every output says so.
    #[arg(long)]
    pub insecure_ignore_tlog: bool,

    /// Do not check that the certificate was promised to be public; every output says so.
    #[arg(long)]
    pub insecure_ignore_sct: bool,

    /// Show every check that was made, with what was expected and what was found.
    #[arg(long)]
    pub explain: bool,
}

impl EvidenceArguments {
    /// Returns the options that change the verdict, as they would be typed.
    pub fn words(&self) -> Vec<Typed> {
        let mut words: Vec<Typed> = Vec::new();
        let counts = [
            ("--log-threshold", self.log_threshold.get(), 1),
            ("--timestamp-threshold", self.timestamp_threshold, 0),
            ("--sct-threshold", self.sct_threshold.get(), 1),
        ];
        for (flag, count, usual) in counts {
            if count != usual {
                words.push((flag, Some(count.to_string())));
            }
        }
        let waived = [
            (self.insecure_ignore_tlog, Waiver::TransparencyLog),
            (self.insecure_ignore_sct, Waiver::SignedCertificateTimestamp),
        ];
        for (_, waiver) in waived.iter().filter(|(asked, _)| *asked) {
            words.push((waiver.flag(), None));
        }
        words
    }

    /// Returns whether another number of operators is asked for than usual.
    pub fn has_thresholds(&self) -> bool {
        let one = NonZeroUsize::MIN;
        self.log_threshold > one || self.sct_threshold > one || self.timestamp_threshold > 0
    }

    /// Asks for this much evidence.
    pub fn apply(&self, policy: Policy) -> Result<Policy, UsageError> {
        let asks_for_scts = self.insecure_ignore_sct || self.sct_threshold > NonZeroUsize::MIN;
        if asks_for_scts && matches!(policy.signer(), ExpectedSigner::Key(_)) {
            return Err(UsageError::Conflict {
                what: "a key has no certificate that could have been promised to be public",
                hint: "leave out --sct-threshold and --insecure-ignore-sct with --key",
            });
        }
        let mut policy = policy.with_thresholds(Thresholds {
            log: self.log_threshold,
            timestamp: self.timestamp_threshold,
            sct: self.sct_threshold,
        });
        let waivers = [
            (
                self.insecure_ignore_tlog,
                self.log_threshold,
                Waiver::TransparencyLog,
            ),
            (
                self.insecure_ignore_sct,
                self.sct_threshold,
                Waiver::SignedCertificateTimestamp,
            ),
        ];
        for (asked, threshold, waiver) in waivers {
            if asked && threshold > NonZeroUsize::MIN {
                return Err(UsageError::Conflict {
                    what: "a threshold is given for a check that is to be left out",
                    hint: "leave out one of the two options",
                });
            }
            if asked {
                policy = policy.waive(waiver);
            }
        }
        Ok(policy)
    }
}

/// A policy file, in place of all that says whom and what is expected.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who must have signed")]
pub(crate) struct PolicyFileArguments {
    /// Trust policy: rules that say who signs which images and files. All that match must be met; what none
    /// matches is refused.
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "certificate_identity", "certificate_identity_regexp", "certificate_oidc_issuer",
        "certificate_oidc_issuer_regexp", "certificate_claim", "certificate_github_workflow_trigger",
        "certificate_github_workflow_sha", "certificate_github_workflow_name",
        "certificate_github_workflow_repository", "certificate_github_workflow_ref", "key",
        "log_threshold", "timestamp_threshold", "sct_threshold",
    ])]
    pub policy: Option<PathBuf>,
}

impl PolicyFileArguments {
    /// Reads the policy, with the checks left out that the command line asks to leave out.
    pub fn rules(
        path: &std::path::Path,
        evidence: &EvidenceArguments,
    ) -> Result<Expectation, Box<dyn Diagnostic>> {
        let mut file = read_policy(path).map_err(boxed)?;
        let waivers = [
            (evidence.insecure_ignore_tlog, Waiver::TransparencyLog),
            (
                evidence.insecure_ignore_sct,
                Waiver::SignedCertificateTimestamp,
            ),
        ];
        for (_, waiver) in waivers.iter().filter(|(asked, _)| *asked) {
            let conflict = || UsageError::Conflict {
                what: "a rule of the policy has a threshold for a check that is to be left out",
                hint: "leave out the option, or the threshold",
            };
            file = file.waive(*waiver).map_err(|_| boxed(conflict()))?;
        }
        Ok(Expectation::Rules(file))
    }
}

/// Returns the command that would accept the signer who was refused; `None` if the signer is not why, or if
/// a name cannot be shown as it is. Claims that were asked for are asked for as the certificate has them.
pub(crate) fn accepting_command(
    command: &str,
    target: &str,
    identity: &IdentityArguments,
    others: &[Typed],
    error: &VerifyError,
) -> Option<String> {
    let (VerifyError::IdentityMismatch { found, .. }
    | VerifyError::ClaimMismatch {
        identity: found, ..
    }) = error
    else {
        return None;
    };
    let mut words = vec![format!("keyless {command}")];
    // A target that looks like an option stands behind all of them.
    let is_option = target.starts_with('-') && target != "-";
    if !is_option {
        words.push(shell_quoted(target));
    }
    words.push(signer_options(found)?);
    for name in identity.claims_asked_for() {
        if let Some(value) = found.claim(name) {
            let claim = format!("{name}={value}");
            words.push(shell_option("--certificate-claim", &claim)?);
        }
    }
    for (flag, value) in others {
        words.push(match value {
            Some(value) => shell_option(flag, value)?,
            None => (*flag).to_owned(),
        });
    }
    if is_option {
        words.push(format!("-- {}", shell_quoted(target)));
    }
    Some(words.join(" "))
}
