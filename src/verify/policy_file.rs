//! The trust policy file: which signers are expected of which images and files.
//!
//! Every rule that matches must be met, so that no rule loosens another and adding one never accepts more.
//! What no rule matches is refused. A waiver cannot be written into a policy, and nothing in it reaches
//! another file. `parse` has the format, `draft` writes a first one from what is signed already.

pub mod draft;
mod parse;

pub use parse::{Fault, PolicyFileError, Position, is_predicate_type};

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, Exit};
use crate::format::predicate::WantedType;
use crate::verify::error::{IF_INTENDED, VerifyError};
use crate::verify::glob::{FileName, Glob, image_name};
use crate::verify::policy::ExpectedSigner;
use crate::verify::{ExpectedContent, Policy, PredicateChecks, Thresholds, Waiver};

/// Version of the format.
pub const VERSION: i64 = 1;

/// The word that asks for a signature, in `requires`.
pub const SIGNATURE: &str = "signature";

/// What one bundle must meet: a policy, and the rule that asks for it.
#[derive(Debug, Clone)]
pub struct Requirement {
    rule: Option<String>,
    policy: Policy,
}

impl Requirement {
    /// Returns the name of the rule that asks for it; `None` where no policy file is used.
    pub fn rule(&self) -> Option<&str> {
        self.rule.as_deref()
    }

    /// Returns the policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns what is asked for: `signature`, or a predicate type.
    pub fn content(&self) -> &str {
        self.policy.content().describe()
    }
}

/// A rule: patterns, and what is required of whatever they match.
#[derive(Debug, Clone)]
pub struct Rule {
    name: String,
    images: Vec<Glob>,
    files: Vec<Glob>,
    of_images: Vec<Requirement>,
    of_files: Vec<Requirement>,
}

impl Rule {
    /// Returns the name, or what stands for it: `rule 2`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the patterns of images.
    pub fn images(&self) -> &[Glob] {
        &self.images
    }

    /// Returns the patterns of files.
    pub fn files(&self) -> &[Glob] {
        &self.files
    }

    /// Returns what is required of each image.
    pub fn of_images(&self) -> &[Requirement] {
        &self.of_images
    }

    /// Returns what is required of each file.
    pub fn of_files(&self) -> &[Requirement] {
        &self.of_files
    }

    /// Returns the pattern that an image matches.
    pub fn image_pattern(&self, registry: &str, repository: &str) -> Option<&Glob> {
        let mut patterns = self.images.iter();
        patterns.find(|glob| glob.matches_image(registry, repository))
    }

    /// Returns the pattern that a file matches.
    pub fn file_pattern(&self, name: FileName<'_>) -> Option<&Glob> {
        self.files.iter().find(|glob| glob.matches_file(name))
    }

    fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.of_images.iter().chain(&self.of_files)
    }

    /// Returns what the rule requires: `signature`, predicate types.
    pub fn requires(&self) -> Vec<&str> {
        let of_one = if self.of_images.is_empty() {
            &self.of_files
        } else {
            &self.of_images
        };
        of_one.iter().map(Requirement::content).collect()
    }

    /// Returns the signers in words; one of them must have signed.
    pub fn signers(&self) -> Vec<String> {
        match self.any_policy().signer() {
            ExpectedSigner::Identities(accepted) => {
                accepted.iter().map(|matcher| matcher.describe()).collect()
            }
            ExpectedSigner::Key(key) => vec![format!("key {}", key.fingerprint())],
            ExpectedSigner::Anyone => Vec::new(),
        }
    }

    /// Returns the annotations that a signature must carry.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        match self.any_policy().content() {
            ExpectedContent::Signature { annotations } => annotations.clone(),
            _ => BTreeMap::new(),
        }
    }

    /// Returns how many operators must vouch.
    pub fn thresholds(&self) -> Thresholds {
        self.any_policy().thresholds()
    }

    /// The policies of a rule differ in what must be signed, and in nothing else.
    fn any_policy(&self) -> &Policy {
        let first = self.requirements().next();
        first.expect("a rule requires something").policy()
    }
}

/// A policy file that has been read.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    rules: Vec<Rule>,
}

impl PolicyFile {
    /// Returns the rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Leaves a check out, for an explicit `--insecure-…` option. `Err` has the name of a rule that asks for
    /// several operators of what is to be left out.
    ///
    /// # Errors
    /// The name of that rule.
    pub fn waive(mut self, waiver: Waiver) -> Result<Self, String> {
        for rule in &mut self.rules {
            let thresholds = rule.thresholds();
            let asked = match waiver {
                Waiver::TransparencyLog => thresholds.log,
                Waiver::SignedCertificateTimestamp => thresholds.sct,
            };
            if asked.get() > 1 {
                return Err(rule.name.clone());
            }
            for requirement in rule.of_images.iter_mut().chain(&mut rule.of_files) {
                requirement.policy = requirement.policy.clone().waive(waiver);
            }
        }
        Ok(self)
    }
}

impl PolicyFile {
    /// Keeps of each rule what it requires of attestations of one type, and asks of their predicates what is
    /// to be asked besides. Rules that require nothing of that type go: they are about something else.
    pub fn for_attestations(mut self, wanted: &WantedType, checks: &PredicateChecks) -> Self {
        let is_asked = |requirement: &Requirement| {
            matches!(
                requirement.policy.content(),
                ExpectedContent::Attestation { predicate_type } if wanted.meets(predicate_type.uri())
            )
        };
        for rule in &mut self.rules {
            for requirements in [&mut rule.of_images, &mut rule.of_files] {
                requirements.retain(is_asked);
                for requirement in requirements {
                    let policy = requirement.policy.clone();
                    requirement.policy = policy.with_predicate_checks(checks.clone());
                }
            }
        }
        let is_empty = |rule: &Rule| rule.requirements().next().is_none();
        self.rules.retain(|rule| !is_empty(rule));
        self
    }
}

/// Whom and what is expected.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// The same of everything.
    Policy(Requirement),
    /// What the rules of a policy file say.
    Rules(PolicyFile),
}

impl From<Policy> for Expectation {
    fn from(policy: Policy) -> Self {
        Expectation::Policy(Requirement { rule: None, policy })
    }
}

impl Expectation {
    /// Returns what is required of an image.
    ///
    /// # Errors
    /// [`NoRule`].
    pub fn of_image(&self, registry: &str, repository: &str) -> Result<Required<'_>, NoRule> {
        let matching = |rule: &&Rule| rule.image_pattern(registry, repository).is_some();
        self.required(matching, Rule::of_images, "images", || {
            image_name(registry, repository)
        })
    }

    /// Returns what is required of a file.
    ///
    /// # Errors
    /// [`NoRule`].
    pub fn of_file(&self, name: FileName<'_>) -> Result<Required<'_>, NoRule> {
        let matching = |rule: &&Rule| rule.file_pattern(name).is_some();
        self.required(matching, Rule::of_files, "files", || match name {
            FileName::Path(path) => path.to_owned(),
            FileName::Nameless => "content without a name".to_owned(),
        })
    }

    fn required<'a>(
        &'a self,
        matching: impl Fn(&&'a Rule) -> bool,
        requirements: impl Fn(&'a Rule) -> &'a [Requirement],
        key: &'static str,
        target: impl Fn() -> String,
    ) -> Result<Required<'a>, NoRule> {
        let file = match self {
            Expectation::Policy(requirement) => return Ok(Required(vec![requirement])),
            Expectation::Rules(file) => file,
        };
        let required: Vec<&Requirement> = file
            .rules
            .iter()
            .filter(matching)
            .flat_map(requirements)
            .collect();
        if required.is_empty() {
            return Err(NoRule {
                target: target(),
                key,
                patterns: file.rules.len(),
            });
        }
        Ok(Required(required))
    }
}

/// All that is required of one image or file. Never nothing: what nothing is required of is refused.
#[derive(Debug, Clone)]
pub struct Required<'a>(Vec<&'a Requirement>);

impl<'a> Required<'a> {
    /// Returns the requirements.
    pub fn all(&self) -> &[&'a Requirement] {
        &self.0
    }

    /// Returns whether a policy file asks for them.
    pub fn by_rules(&self) -> bool {
        self.0
            .iter()
            .any(|requirement| requirement.rule().is_some())
    }

    /// Returns the predicate types of the attestations that are asked for.
    pub fn predicate_types(&self) -> Vec<&'a WantedType> {
        let attestation = |requirement: &&'a Requirement| match requirement.policy().content() {
            ExpectedContent::Attestation { predicate_type } => Some(predicate_type),
            _ => None,
        };
        self.0.iter().filter_map(attestation).collect()
    }
}

/// No rule of the policy is about an image or file; so nobody is trusted to sign it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no rule of the policy is about {target}")]
pub struct NoRule {
    /// The image's repository, or the file as given.
    pub target: String,
    /// Where a pattern for it would stand: `images` or `files`.
    pub key: &'static str,
    /// Number of rules that were looked at.
    pub patterns: usize,
}

impl Diagnostic for NoRule {
    fn code(&self) -> &'static str {
        "policy-no-rule"
    }

    fn exit(&self) -> Exit {
        Exit::NoRule
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        vec![("rules", self.patterns.to_string())]
    }

    fn hint(&self) -> Option<String> {
        Some(match (self.key, self.target.as_str()) {
            ("files", "content without a name") => {
                "standard input and digests match files = [\"-\"] alone".to_owned()
            }
            ("files", _) => {
                "files are matched by the path as given; `keyless policy check` lists the patterns"
                    .to_owned()
            }
            _ => "`keyless policy check` lists the patterns".to_owned(),
        })
    }
}

/// Returns what to try where a rule is not met: flags that would help without a policy file do not here.
pub fn hint(rule: &str, error: &VerifyError) -> Option<String> {
    match error {
        VerifyError::IdentityMismatch {
            suggestion: Some(_),
            ..
        } => error.hint(),
        VerifyError::IdentityMismatch { found, .. } => Some(format!(
            "{IF_INTENDED}add it to {rule:?} as [[rule.signer]] with identity = {} and issuer = {}",
            draft::quoted(&found.subject),
            draft::quoted(&found.issuer)
        )),
        // The rule says which type, and no option.
        VerifyError::OtherPredicateType { .. } | VerifyError::NotAnAttestation { .. } => None,
        VerifyError::ClaimMismatch {
            name,
            found: Some(found),
            ..
        } => Some(format!(
            "{IF_INTENDED}rule {rule:?} may ask for {name} = {}",
            draft::quoted(found)
        )),
        other => other.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        version = 1
        [[rule]]
        name = "all"
        images = ["reg.test/**"]
        files = ["dist/*", "-"]
        [[rule.signer]]
        identity = "dev@example.test"
        issuer = "https://issuer.example.test"
        [[rule]]
        name = "app"
        images = ["reg.test/app"]
        requires = ["signature", "https://slsa.dev/provenance/v1"]
        log-threshold = 2
        [[rule.signer]]
        identity = "release@example.test"
        issuer = "https://issuer.example.test"
    "#;

    fn names(required: Result<Required<'_>, NoRule>) -> Vec<String> {
        let name = |one: &Requirement| format!("{} {}", one.rule().unwrap(), one.content());
        required.unwrap().all().iter().copied().map(name).collect()
    }

    #[test]
    fn every_rule_that_matches_counts() {
        let rules = Expectation::Rules(PolicyFile::parse(TWO).unwrap());
        assert_eq!(
            names(rules.of_image("reg.test", "other")),
            ["all signature"]
        );
        assert_eq!(
            names(rules.of_image("reg.test", "app")),
            [
                "all signature",
                "app signature",
                "app https://slsa.dev/provenance/v1"
            ]
        );
        assert_eq!(
            names(rules.of_file(FileName::Path("dist/x"))),
            ["all signature"]
        );
        assert_eq!(names(rules.of_file(FileName::Nameless)), ["all signature"]);
    }

    #[test]
    fn what_no_rule_matches_is_refused() {
        let rules = Expectation::Rules(PolicyFile::parse(TWO).unwrap());
        for refused in [
            rules.of_image("other.test", "app"),
            rules.of_file(FileName::Path("src/x")),
        ] {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), "policy-no-rule");
            assert_eq!(error.exit().code(), 15);
        }
        let images_alone = TWO.replace("files = [\"dist/*\", \"-\"]", "");
        let rules = Expectation::Rules(PolicyFile::parse(&images_alone).unwrap());
        assert!(rules.of_file(FileName::Path("dist/x")).is_err());
        assert!(rules.of_file(FileName::Nameless).is_err());
    }

    #[test]
    fn a_file_is_asked_for_its_own_signature_and_an_image_for_an_images() {
        use crate::verify::ExpectedContent;
        let file = PolicyFile::parse(TWO).unwrap();
        let rule = &file.rules()[0];
        assert!(matches!(
            rule.of_images()[0].policy().content(),
            ExpectedContent::Signature { .. }
        ));
        assert_eq!(
            *rule.of_files()[0].policy().content(),
            ExpectedContent::ArtifactSignature
        );
    }

    #[test]
    fn a_waiver_reaches_every_requirement_and_no_threshold_is_lost() {
        let file = PolicyFile::parse(TWO).unwrap();
        let waiver = Waiver::SignedCertificateTimestamp;
        let waived = file.clone().waive(waiver).unwrap();
        for requirement in waived.rules().iter().flat_map(Rule::requirements) {
            assert_eq!(requirement.policy().waiver(waiver), Some(waiver));
        }
        for requirement in file.rules().iter().flat_map(Rule::requirements) {
            assert_eq!(requirement.policy().waiver(waiver), None);
        }
        assert_eq!(file.waive(Waiver::TransparencyLog).unwrap_err(), "app");
    }
}
