//! Rules of a policy file, and what is judged by them, for people and as JSON.

use serde_json::{Map, Value, json};

use super::document::{self, checks, error, head};
use super::explain;
use super::failure;
use super::human::{self, plain};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::rules::{OtherRule, RuleJudgement, RuleVerdict, Unmet};
use crate::flow::verify_blob_rules::BlobVerdict;
use crate::verify::glob::Glob;
use crate::verify::policy_file::{self, Rule};
use crate::verify::{MatchedSigner, VerifyError};

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

/// Formats the verdict of each rule where it is not met or others are; for standard error.
pub fn unmet(rules: &[RuleVerdict]) -> Vec<String> {
    if rules.len() < 2 {
        return Vec::new();
    }
    let head = "rules that are about it:".to_owned();
    let lines = verdicts(rules).into_iter().map(|line| format!("  {line}"));
    std::iter::once(head).chain(lines).collect()
}

/// A refusal under a rule: what helps is said in terms of the rule.
fn refusal(rule: &str, why: &VerifyError) -> Value {
    let mut value = error(why);
    value["hint"] = policy_file::hint(rule, why).into();
    value
}

fn unmet_json(rule: &str, why: &Unmet) -> Value {
    match why {
        Unmet::Refused(why) => refusal(rule, why),
        other => error(other),
    }
}

/// What a bundle is to each rule; null where no policy file is used, or nothing could be judged.
pub fn judgements_json(rules: &[RuleJudgement]) -> Value {
    if rules.is_empty() {
        return Value::Null;
    }
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

/// Whether each rule is met; null where no policy file is used, or nothing could be judged.
pub fn verdicts_json(rules: &[RuleVerdict]) -> Value {
    if rules.is_empty() {
        return Value::Null;
    }
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
                "reason": rule.unmet.as_ref().map(|why| unmet_json(&rule.rule, why)),
            })
        })
        .collect()
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
    let bundles = verdict.bundles.iter();
    bundles
        .flat_map(|bundle| explain::of_rules(&bundle.path.display().to_string(), &bundle.rules))
        .collect()
}

/// The document of `keyless verify-blob --policy`; members as without a policy file.
pub fn blob_document(blob: &str, verdict: &BlobVerdict) -> Value {
    let digests: Vec<String> = verdict.digests.iter().map(ToString::to_string).collect();
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for bundle in &verdict.bundles {
        let path = bundle.path.display().to_string();
        let digest = bundle.digest.to_string();
        let rules = judgements_json(&bundle.rules);
        let reason = match (&bundle.outcome, &verdict.error) {
            (Ok(verified), None) => {
                accepted.push(json!({
                    "blob": blob,
                    "digests": digests,
                    "bundle": path,
                    "bundleDigest": digest,
                    "signature": document::verified(verified),
                    "rules": rules,
                }));
                continue;
            }
            (Ok(_), Some(_)) => error(&OtherRule),
            (Err(why), _) => error(why),
        };
        refused.push(json!({
            "bundle": path,
            "bundleDigest": digest,
            "reason": reason,
            "rules": rules,
        }));
    }
    let mut document = match &verdict.error {
        None => head("verify-blob", Exit::Accepted, [("blobs", accepted.into())]),
        Some(why) => {
            let mut document = failure("verify-blob", why);
            document["acceptingCommand"] = Value::Null;
            document["checks"] = Value::Null;
            document
        }
    };
    document["rules"] = verdicts_json(&verdict.rules);
    document["refused"] = refused.into();
    document
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
