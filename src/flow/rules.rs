//! Bundles under the rules of a policy file: what each bundle is to each rule, and whether the rules that are
//! about one image or file are all met.

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit, counted, shell_option};
use crate::flow::discover::FindError;
use crate::format::bundle::Bundle;
use crate::format::limits;
use crate::format::predicate::WantedType;
use crate::verify::policy_file::{self, Required, Requirement};
use crate::verify::{
    Artifact, ExpectedContent, Explanation, MatchedSigner, Nearness, VerifiedBundle, Verifier,
    VerifyError,
};

/// One bundle under one requirement.
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub outcome: Result<VerifiedBundle, VerifyError>,
    /// Its checks, where they were asked for.
    pub explanation: Option<Explanation>,
    /// How near the signer whom it names comes to who is asked for.
    pub near: Nearness,
}

/// Judges a bundle under each requirement. What does not depend on the requirement is computed once, see
/// [`Verifier`].
pub fn judge(
    verifier: &Verifier<'_>,
    bundle: &Bundle,
    artifact: &Artifact,
    required: &Required<'_>,
    explain: bool,
) -> Vec<Judged> {
    let one = |requirement: &&Requirement| {
        let near = requirement.policy().nearness(&bundle.key_material);
        if explain {
            let (outcome, explanation) = verifier.explain(bundle, artifact, requirement.policy());
            return Judged {
                outcome,
                explanation: Some(explanation),
                near,
            };
        }
        Judged {
            outcome: verifier.verify(bundle, artifact, requirement.policy()),
            explanation: None,
            near,
        }
    };
    required.all().iter().map(one).collect()
}

/// What a bundle is to a rule.
#[derive(Debug)]
pub struct RuleJudgement {
    /// The rule's name.
    pub rule: String,
    /// What it asks for: `signature`, or a predicate type.
    pub content: String,
    /// Why the bundle does not meet it; `None` if it does.
    pub refusal: Option<VerifyError>,
    /// The checks, where they were asked for.
    pub explanation: Option<Explanation>,
}

/// A bundle under all requirements together.
#[derive(Debug)]
pub struct Summary {
    /// The verdict under the first requirement that is met; else the most telling refusal.
    pub outcome: Result<VerifiedBundle, VerifyError>,
    /// How near its signer comes to who is asked for by that requirement.
    pub near: Nearness,
    /// The checks of that verdict, where no policy file is used.
    pub explanation: Option<Explanation>,
    /// The bundle under each rule; empty where no policy file is used.
    pub rules: Vec<RuleJudgement>,
}

impl Summary {
    /// Puts the judgements of a bundle together, those that [`judge`] made of these requirements.
    pub fn of(judged: Vec<Judged>, required: &Required<'_>) -> Self {
        let mut outcome: Option<(Result<VerifiedBundle, VerifyError>, Nearness)> = None;
        let mut alone = None;
        let mut rules = Vec::new();
        for (judged, requirement) in judged.into_iter().zip(required.all()) {
            let refusal = judged.outcome.as_ref().err().cloned();
            match requirement.rule() {
                None => alone = judged.explanation,
                Some(rule) => rules.push(RuleJudgement {
                    rule: rule.to_owned(),
                    content: requirement.content().to_owned(),
                    refusal,
                    explanation: judged.explanation,
                }),
            }
            let is_better = match (&outcome, &judged.outcome) {
                (None, _) | (Some((Err(_), _)), Ok(_)) => true,
                (Some((Ok(_), _)), _) => false,
                (Some((Err(known), near)), Err(error)) => {
                    let known = Reason::Verify(known, *near).rank();
                    Reason::Verify(error, judged.near).rank() > known
                }
            };
            if is_better {
                outcome = Some((judged.outcome, judged.near));
            }
        }
        let (outcome, near) = outcome.expect("what is required is never nothing, see Required");
        Summary {
            outcome,
            near,
            explanation: alone,
            rules,
        }
    }
}

/// A bundle meets a rule, and is not accepted because another rule is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("meets a rule of the policy, and another rule is not met")]
pub struct OtherRule;

impl Diagnostic for OtherRule {
    fn code(&self) -> &'static str {
        "policy-other-rule"
    }

    fn exit(&self) -> Exit {
        Exit::NoSignature
    }
}

/// A bundle that meets a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetBy {
    /// Digest of the manifest that attaches it; `None` for a bundle from a file.
    pub manifest: Option<Digest>,
    /// Digest of the bundle's bytes.
    pub bundle: Digest,
    /// Who signed.
    pub signer: MatchedSigner,
}

/// Whether a rule is met by what is attached to an image, or lies beside a file.
#[derive(Debug, Clone)]
pub struct RuleVerdict {
    /// The rule's name.
    pub rule: String,
    /// What it asks for: `signature`, or a predicate type.
    pub content: String,
    /// What meets it.
    pub met_by: Vec<MetBy>,
    /// Why nothing does.
    pub unmet: Option<Unmet>,
}

impl RuleVerdict {
    /// Sums up each requirement by what `found` has for it: what meets it, and why the rest does not.
    pub fn of_each<'f>(
        required: &Required<'_>,
        found: impl Fn(usize) -> (Vec<MetBy>, Vec<Reason<'f>>),
    ) -> Vec<Self> {
        let requirements = required.all().iter().enumerate();
        requirements
            .map(|(i, requirement)| {
                let (met_by, reasons) = found(i);
                RuleVerdict::of(requirement, met_by, reasons)
            })
            .collect()
    }

    /// Sums up what was found for a requirement: what meets it, and why the rest does not.
    fn of(requirement: &Requirement, met_by: Vec<MetBy>, mut reasons: Vec<Reason<'_>>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.rank()));
        RuleVerdict {
            rule: requirement.rule().unwrap_or_default().to_owned(),
            content: requirement.content().to_owned(),
            unmet: met_by.is_empty().then(|| Unmet::by(requirement, &reasons)),
            met_by,
        }
    }
}

/// What is there where no attestation of a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OthersThere {
    /// Predicate type asked for.
    wanted: WantedType,
    /// Other predicate types, each with the number of its attestations.
    types: Vec<(String, usize)>,
    /// Signatures.
    signatures: usize,
    /// Anything else.
    others: usize,
}

/// Predicate types that are listed at most.
const SHOWN_TYPES: usize = 10;

impl OthersThere {
    fn among(wanted: &WantedType, reasons: &[Reason<'_>]) -> Self {
        let mut there = OthersThere {
            wanted: wanted.clone(),
            types: Vec::new(),
            signatures: 0,
            others: 0,
        };
        for reason in reasons {
            let is_full = there.types.len() == SHOWN_TYPES;
            let found = match reason {
                Reason::Find(FindError::OtherAttestation { predicate_type }) => predicate_type,
                Reason::Verify(VerifyError::OtherPredicateType { found, .. }, _) => found,
                Reason::Verify(VerifyError::NotAnAttestation { .. }, _) => {
                    there.signatures += 1;
                    continue;
                }
                _ => {
                    there.others += 1;
                    continue;
                }
            };
            match there.types.iter_mut().find(|(known, _)| known == found) {
                Some((_, count)) => *count += 1,
                None if !is_full => there.types.push((found.clone(), 1)),
                None => there.others += 1,
            }
        }
        there
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let types = self.types.iter().map(|(found, count)| match count {
            1 => ("found", format!("an attestation of type {found}")),
            count => ("found", format!("{count} attestations of type {found}")),
        });
        let rest = [
            (self.signatures, "signature"),
            (self.others, "other referrer"),
        ];
        let rest = rest.into_iter().filter(|(count, _)| *count > 0);
        types
            .chain(rest.map(|(count, noun)| ("found", counted(count, noun))))
            .collect()
    }

    fn hint(&self) -> Option<String> {
        let options = self.types.iter();
        let options: Vec<String> = options
            .filter_map(|(found, _)| shell_option("--type", found))
            .collect();
        match options.as_slice() {
            [] => None,
            [one] => Some(format!("ask for the one that is there with {one}")),
            several => Some(format!(
                "ask for one that is there: {}",
                several.join(", or ")
            )),
        }
    }
}

/// What was found where a signature or attestation was looked for, and was not it.
#[derive(Debug, Clone, Copy)]
pub enum Reason<'a> {
    /// It is no usable bundle.
    Find(&'a FindError),
    /// It was judged and refused; how near its signer comes to who is asked for.
    Verify(&'a VerifyError, Nearness),
}

/// How much a reason tells whoever asked; the highest is told first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Whether it is what was asked for, and about what was asked.
    class: u8,
    near: Nearness,
    /// How late it failed.
    late: u8,
}

/// Why nothing meets a requirement.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unmet {
    /// Nothing is attached that is a signature.
    #[error("no signature")]
    NoSignature {
        /// Attestations that are attached: their number.
        attestations: usize,
        /// Other referrers.
        others: usize,
    },
    /// Nothing is attached that is an attestation of this type.
    #[error("no attestation of type {}", .0.wanted)]
    NoAttestation(OthersThere),
    /// Something is attached and refused; the most telling refusal.
    #[error("{0}")]
    Refused(VerifyError),
    /// Nothing is accepted and something could not be read, so that there is no verdict.
    #[error("a signature could not be read: {0}")]
    Unreadable(String, &'static str, Exit),
}

impl Reason<'_> {
    /// Orders reasons: first what its signer signed as asked for about this image or file, whoever comes nearest to
    /// who is asked for, and of two as near the one that failed later, see [`VerifyError::rank`]. A broken signature
    /// that names the right signer tells more than a good one of a stranger. What is about other content anybody can
    /// attach, so that it comes later.
    pub fn rank(self) -> Rank {
        let of_class = |class| Rank {
            class,
            near: Nearness::default(),
            late: 0,
        };
        match self {
            Reason::Verify(error, near) => {
                let class = match error.exit() {
                    Exit::NoSignature => 1,
                    Exit::ContentMismatch | Exit::Malformed | Exit::NoCertificate => 2,
                    _ => 3,
                };
                let late = error.rank();
                Rank { class, near, late }
            }
            Reason::Find(FindError::Store(_)) => of_class(2),
            Reason::Find(_) => of_class(0),
        }
    }
}

impl Unmet {
    /// Says why none of these is what a requirement asks for; the most telling first.
    pub fn by(requirement: &Requirement, reasons: &[Reason<'_>]) -> Self {
        let judged = reasons.iter().find_map(|reason| match reason {
            Reason::Verify(error, _) if error.exit() != Exit::NoSignature => Some(*error),
            _ => None,
        });
        if let Some(error) = judged {
            return Unmet::Refused(error.clone());
        }
        let unreadable = reasons.iter().find_map(|reason| match reason {
            Reason::Find(FindError::Store(error)) => {
                Some((error.to_string(), error.code(), error.exit()))
            }
            Reason::Find(FindError::Bundle(error)) => {
                Some((error.to_string(), error.code(), error.exit()))
            }
            Reason::Find(FindError::Legacy(error)) => {
                Some((error.to_string(), error.code(), error.exit()))
            }
            _ => None,
        });
        if let Some((message, code, exit)) = unreadable {
            return Unmet::Unreadable(message, code, exit);
        }
        match (requirement.policy().content(), reasons.first()) {
            (ExpectedContent::Attestation { predicate_type }, _) => {
                return Unmet::NoAttestation(OthersThere::among(predicate_type, reasons));
            }
            // Nothing is attached to a file; its bundle says what it is.
            (ExpectedContent::ArtifactSignature, Some(Reason::Verify(error, _))) => {
                return Unmet::Refused((*error).clone());
            }
            _ => {}
        }
        let is_attestation = |reason: &&Reason<'_>| {
            matches!(
                reason,
                Reason::Verify(VerifyError::NotASignature { .. }, _)
                    | Reason::Find(
                        FindError::Attestation { .. } | FindError::OtherAttestation { .. }
                    )
            )
        };
        let attestations = reasons.iter().filter(is_attestation).count();
        Unmet::NoSignature {
            attestations,
            others: reasons.len() - attestations,
        }
    }
}

impl Diagnostic for Unmet {
    fn code(&self) -> &'static str {
        match self {
            Unmet::NoSignature { .. } => "no-signature",
            Unmet::NoAttestation(_) => "no-attestation",
            Unmet::Refused(error) => error.code(),
            Unmet::Unreadable(_, code, _) => code,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Unmet::NoSignature { .. } | Unmet::NoAttestation(_) => Exit::NoSignature,
            Unmet::Refused(error) => error.exit(),
            Unmet::Unreadable(_, _, exit) => *exit,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            Unmet::NoSignature {
                attestations,
                others,
            } if attestations + others > 0 => {
                vec![(
                    "found",
                    format!(
                        "{}, {}",
                        counted(*attestations, "attestation"),
                        counted(*others, "other referrer")
                    ),
                )]
            }
            Unmet::NoAttestation(there) => there.details(),
            Unmet::Refused(error) => error.details(),
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Unmet::Refused(error) => error.hint(),
            Unmet::NoSignature {
                attestations: 1.., ..
            } => {
                Some("an attestation says something about an image; it does not sign it".to_owned())
            }
            Unmet::NoSignature { .. } => Some("sign it with `keyless sign`".to_owned()),
            Unmet::Unreadable(_, "registry-object-too-large", _) => {
                Some(limits::TO_RAISE.to_owned())
            }
            Unmet::NoAttestation(there) => there.hint(),
            Unmet::Unreadable(..) => None,
        }
    }
}

/// A rule that nothing meets, and the names of further ones.
#[derive(Debug, Clone, thiserror::Error)]
#[error("rule {rule:?} is not met: {unmet}")]
pub struct RuleError {
    /// The rule's name.
    pub rule: String,
    /// What it asks for.
    pub content: String,
    /// Why nothing meets it.
    pub unmet: Unmet,
    /// Other rules that are not met.
    pub also: Vec<String>,
}

impl RuleError {
    /// Leads with the rule whose refusal is the most severe; `None` if every rule is met.
    pub fn of(rules: &[RuleVerdict]) -> Option<Self> {
        let unmet = || {
            rules
                .iter()
                .filter_map(|rule| rule.unmet.as_ref().map(|why| (rule, why)))
        };
        let worst = unmet().fold(Exit::Accepted, |worst, (_, why)| worst.worst(why.exit()));
        let (leading, why) = unmet().find(|(_, why)| why.exit() == worst)?;
        let mut also: Vec<String> = Vec::new();
        for (rule, _) in unmet() {
            if rule.rule != leading.rule && !also.contains(&rule.rule) {
                also.push(rule.rule.clone());
            }
        }
        Some(RuleError {
            rule: leading.rule.clone(),
            content: leading.content.clone(),
            unmet: why.clone(),
            also,
        })
    }
}

impl Diagnostic for RuleError {
    fn code(&self) -> &'static str {
        self.unmet.code()
    }

    fn exit(&self) -> Exit {
        self.unmet.exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let mut details = vec![
            ("rule", self.rule.clone()),
            ("requires", self.content.clone()),
        ];
        details.extend(self.unmet.details());
        if !self.also.is_empty() {
            details.push(("also not met", self.also.join(", ")));
        }
        details
    }

    fn hint(&self) -> Option<String> {
        match &self.unmet {
            Unmet::Refused(error) => policy_file::hint(&self.rule, error),
            // The rule says which type, and no option.
            Unmet::NoAttestation(_) => None,
            other => other.hint(),
        }
    }
}
