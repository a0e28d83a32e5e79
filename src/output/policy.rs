//! Rules of a policy file, and what is judged by them, for people and as JSON.

use serde_json::{Map, Value, json};

use super::document::{self, checks, error, head};
use super::explain;
use super::human::{self, plain};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::rules::{RuleJudgement, RuleVerdict, Unmet};
use crate::flow::verify_blob_rules::BlobVerdict;
use crate::verify::glob::Glob;
use crate::verify::policy_file::{self, Rule};
use crate::verify::{MatchedSigner, VerifyError};

/// Why a bundle that meets a rule is not accepted.
pub const OTHER_RULE: &str = "meets a rule of the policy, and another rule is not met";

/// Formats which rules a bundle meets.
pub fn met(rules: &[RuleJudgement]) -> Vec<String> {
    rules
        .iter()
        .filter(|judged| judged.refusal.is_none())
        .map(|judged| {
            format!(
                "  rule       {}: {}",
                plain(&judged.rule),
                plain(&judged.content)
            )
        })
        .collect()
}

/// Formats the checks of a bundle under each rule.
pub fn explained(rules: &[RuleJudgement]) -> Vec<String> {
    let mut lines = Vec::new();
    for judged in rules {
        if let Some(told) = &judged.explanation {
            lines.push(format!(
                "rule {}, which requires {}:",
                plain(&judged.rule),
                plain(&judged.content)
            ));
            lines.extend(explain::lines(told));
        }
    }
    lines
}

fn signer(signer: &MatchedSigner) -> String {
    match signer {
        MatchedSigner::Identity(identity) => {
            format!("{} (issuer {})", identity.subject, identity.issuer)
        }
        MatchedSigner::Key(key) => format!("key {}", key.fingerprint()),
    }
}

/// Formats a verdict of each rule, one a line.
pub fn verdicts(rules: &[RuleVerdict]) -> Vec<String> {
    rules
        .iter()
        .map(|rule| {
            let mut by: Vec<String> = rule.met_by.iter().map(|met| signer(&met.signer)).collect();
            by.dedup();
            let verdict = match &rule.unmet {
                None => format!("met by {}", by.join(", and ")),
                Some(why) => format!("not met: {why}"),
            };
            plain(&format!("{}: {}: {verdict}", rule.rule, rule.content))
        })
        .collect()
}

/// A refusal under a rule: what helps is said in terms of the rule.
fn refusal(rule: &str, why: &VerifyError) -> Value {
    let mut value = error(why);
    value["hint"] = policy_file::hint(rule, why).into();
    value
}

fn unmet(rule: &str, why: &Unmet) -> Value {
    match why {
        Unmet::Refused(why) => refusal(rule, why),
        other => error(other),
    }
}

fn judgements(rules: &[RuleJudgement]) -> Value {
    rules
        .iter()
        .map(|judged| {
            json!({
                "rule": judged.rule,
                "requires": judged.content,
                "met": judged.refusal.is_none(),
                "reason": judged.refusal.as_ref().map(|why| refusal(&judged.rule, why)),
                "checks": checks(judged.explanation.as_ref()),
            })
        })
        .collect()
}

fn verdicts_json(rules: &[RuleVerdict]) -> Value {
    rules
        .iter()
        .map(|rule| {
            let met_by: Vec<Value> = rule
                .met_by
                .iter()
                .map(|met| {
                    json!({
                        "manifestDigest": met.manifest.map(|digest| digest.to_string()),
                        "bundleDigest": met.bundle.to_string(),
                        "signer": document::signer(&met.signer),
                    })
                })
                .collect();
            json!({
                "rule": rule.rule,
                "requires": rule.content,
                "met": rule.unmet.is_none(),
                "metBy": met_by,
                "reason": rule.unmet.as_ref().map(|why| unmet(&rule.rule, why)),
            })
        })
        .collect()
}

/// Adds what a bundle is to each rule, where a policy file is used.
pub fn with_judgements(mut value: Value, rules: &[RuleJudgement]) -> Value {
    if !rules.is_empty() {
        value["rules"] = judgements(rules);
    }
    value
}

/// Adds whether each rule is met, where a policy file is used.
pub fn with_verdicts(mut value: Value, rules: &[RuleVerdict]) -> Value {
    if !rules.is_empty() {
        value["rules"] = verdicts_json(rules);
    }
    value
}

/// Formats the bundles of a file that is accepted.
pub fn blob_bundles(verdict: &BlobVerdict) -> Vec<String> {
    let mut lines = Vec::new();
    for bundle in &verdict.bundles {
        if let Ok(verified) = &bundle.outcome {
            lines.extend(human::verified(verified));
            lines.extend(met(&bundle.rules));
        }
    }
    lines.extend(blob_explained(verdict));
    lines
}

/// Formats the checks of a file's bundles.
pub fn blob_explained(verdict: &BlobVerdict) -> Vec<String> {
    let mut lines = Vec::new();
    for bundle in &verdict.bundles {
        let told = explained(&bundle.rules);
        if !told.is_empty() {
            lines.push(format!("{}:", plain(&bundle.path.display().to_string())));
        }
        lines.extend(told);
    }
    lines
}

/// The document of `keyless verify-blob --policy`; members as without a policy file, and `rules`.
pub fn blob_document(blob: &str, verdict: &BlobVerdict) -> Value {
    let digests: Vec<String> = verdict.digests.iter().map(ToString::to_string).collect();
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for bundle in &verdict.bundles {
        let path = bundle.path.display().to_string();
        let digest = bundle.digest.to_string();
        let reason = match (&bundle.outcome, &verdict.error) {
            (Ok(verified), None) => {
                let signature = with_judgements(document::verified(verified), &bundle.rules);
                accepted.push(json!({
                    "blob": blob,
                    "digests": digests,
                    "bundle": path,
                    "bundleDigest": digest,
                    "signature": signature,
                }));
                continue;
            }
            (Ok(_), Some(_)) => json!({ "code": "policy-other-rule", "message": OTHER_RULE }),
            (Err(why), _) => error(why),
        };
        let refusal = json!({ "bundle": path, "bundleDigest": digest, "reason": reason });
        refused.push(with_judgements(refusal, &bundle.rules));
    }
    let exit = verdict
        .error
        .as_ref()
        .map_or(Exit::Accepted, Diagnostic::exit);
    let mut document = head("verify-blob", exit, [("blobs", accepted.into())]);
    document["refused"] = refused.into();
    if let Some(why) = &verdict.error {
        document["error"] = error(why);
    }
    with_verdicts(document, &verdict.rules)
}

/// Formats a rule, one fact a line.
pub fn rule(rule: &Rule) -> Vec<String> {
    let patterns = |globs: &[Glob]| {
        let sources: Vec<&str> = globs.iter().map(Glob::source).collect();
        sources.join(", ")
    };
    let mut lines = vec![format!("rule {}", rule.name())];
    for (name, globs) in [("images", rule.images()), ("files", rule.files())] {
        if !globs.is_empty() {
            lines.push(format!("  {name:<10} {}", patterns(globs)));
        }
    }
    lines.push(format!("  requires   {}", rule.requires().join(", and ")));
    for (key, value) in rule.annotations() {
        lines.push(format!("  annotation {key}={value}"));
    }
    for signer in rule.signers() {
        lines.push(format!("  signer     {signer}"));
    }
    let thresholds = rule.thresholds();
    lines.push(format!(
        "  operators  log {}, timestamp {}, sct {}",
        thresholds.log, thresholds.timestamp, thresholds.sct
    ));
    lines.iter().map(|line| plain(line)).collect()
}

fn rule_json(rule: &Rule) -> Value {
    let patterns = |globs: &[Glob]| -> Value { globs.iter().map(Glob::source).collect() };
    let thresholds = rule.thresholds();
    let annotations: Map<String, Value> = rule
        .annotations()
        .into_iter()
        .map(|(key, value)| (key.clone(), value.as_str().into()))
        .collect();
    json!({
        "rule": rule.name(),
        "images": patterns(rule.images()),
        "files": patterns(rule.files()),
        "requires": rule.requires(),
        "annotations": annotations,
        "signers": rule.signers(),
        "thresholds": {
            "log": thresholds.log,
            "timestamp": thresholds.timestamp,
            "sct": thresholds.sct,
        },
    })
}

/// An image or file, by the rules of a policy.
#[derive(Debug)]
pub struct CheckedTarget<'a> {
    /// As given.
    pub given: &'a str,
    /// Every rule of the file, with the pattern that matches, if one does.
    pub rules: Vec<(&'a Rule, Option<&'a Glob>)>,
    /// What became of those that match.
    pub verdicts: &'a [RuleVerdict],
    /// Why it would be refused.
    pub error: Option<&'a dyn Diagnostic>,
}

/// Formats which rules match a target, and what they would say.
pub fn checked(target: &CheckedTarget<'_>) -> Vec<String> {
    let would = match target.error {
        None => "would be accepted".to_owned(),
        Some(why) => format!("would be refused: {why}"),
    };
    let mut lines = vec![plain(&format!("{}: {would}", target.given))];
    for (rule, pattern) in &target.rules {
        let Some(pattern) = pattern else {
            lines.push(plain(&format!("  {}: does not match", rule.name())));
            continue;
        };
        lines.push(plain(&format!(
            "  {}: matches by {}",
            rule.name(),
            pattern.source()
        )));
        let of_rule = target.verdicts.iter().filter(|v| v.rule == rule.name());
        let of_rule: Vec<RuleVerdict> = of_rule.cloned().collect();
        for line in verdicts(&of_rule) {
            lines.push(format!("    {line}"));
        }
    }
    lines
}

/// The document of `keyless policy check`.
pub fn check_document(rules: &[Rule], targets: &[CheckedTarget<'_>], exit: Exit) -> Value {
    let listed: Vec<Value> = rules.iter().map(rule_json).collect();
    let targets: Vec<Value> = targets
        .iter()
        .map(|target| {
            let matches: Vec<Value> = target
                .rules
                .iter()
                .map(|(rule, pattern)| {
                    json!({
                        "rule": rule.name(),
                        "matches": pattern.is_some(),
                        "pattern": pattern.map(Glob::source),
                    })
                })
                .collect();
            json!({
                "target": target.given,
                "exitCode": target.error.map_or(Exit::Accepted, Diagnostic::exit).code(),
                "matches": matches,
                "rules": verdicts_json(target.verdicts),
                "error": target.error.map(error),
            })
        })
        .collect();
    head(
        "policy check",
        exit,
        [("policy", listed.into()), ("targets", targets.into())],
    )
}
