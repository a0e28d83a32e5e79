//! The tree of checks, for people and as JSON.

use crate::flow::rules::RuleJudgement;
use crate::flow::verify_image::{AcceptedSignature, Refusal, RefusedSignature};

use serde_json::{Value, json};

use super::human::plain;
use crate::verify::Explanation;
use crate::verify::explain::{Check, Outcome};

/// Longest text shown to people, in characters; JSON has it whole.
const LONGEST: usize = 160;

/// Formats the tree, one check a line, its facts under it.
pub fn lines(explanation: &Explanation) -> Vec<String> {
    tree("checks:".to_owned(), explanation)
}

/// Formats the checks of a signature that an image carries; nothing where they were not recorded.
pub fn of_accepted(accepted: &AcceptedSignature) -> Vec<String> {
    let manifest = accepted.manifest.map(|digest| format!(" of {digest}"));
    let head = format!("checks{}:", manifest.unwrap_or_default());
    let told = accepted.explanation.iter();
    let what = accepted
        .manifest
        .map_or(String::new(), |digest| digest.to_string());
    told.flat_map(|told| tree(head.clone(), told))
        .chain(of_rules(&what, &accepted.rules))
        .collect()
}

/// Formats the checks of a bundle under each rule of a policy file, where they were recorded.
pub fn of_rules(what: &str, rules: &[RuleJudgement]) -> Vec<String> {
    let one = |judged: &RuleJudgement| {
        let head = format!(
            "checks of {what} under rule {}, which requires {}:",
            judged.rule, judged.content
        );
        let told = judged.explanation.as_ref();
        told.map_or(Vec::new(), |told| tree(plain(&head), told))
    };
    rules.iter().flat_map(one).collect()
}

/// Formats likewise for what was refused; where nothing could be judged, why.
pub fn of_refused(refused: &RefusedSignature) -> Vec<String> {
    match (&refused.reason, &refused.explanation) {
        (_, Some(told)) => tree(format!("checks of {}:", refused.manifest), told),
        (Refusal::Find(error), None) => {
            vec![format!(
                "{} is not judged: {}",
                refused.manifest,
                shown(&error.to_string())
            )]
        }
        (Refusal::Verify(_) | Refusal::OtherRule(_), None) => {
            of_rules(&refused.manifest.to_string(), &refused.rules)
        }
    }
}

fn tree(head: String, explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![head];
    for check in explanation.checks() {
        add(check, 1, &mut lines);
    }
    lines
}

fn shown(text: &str) -> String {
    let mut text = plain(text);
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn add(check: &Check, depth: usize, lines: &mut Vec<String>) {
    let mark = match &check.outcome {
        Outcome::Passed => "ok      ",
        Outcome::Refused { .. } => "REFUSED ",
        Outcome::NotCounted { .. } => "-       ",
        Outcome::Waived(_) => "WAIVED  ",
        Outcome::NotReached => "not run ",
    };
    let indent = "  ".repeat(depth);
    let mut line = format!("  {mark}{indent}{}", check.step.title);
    if let Some(about) = &check.about {
        line.push_str(&format!(": {}", shown(about)));
    }
    match &check.outcome {
        Outcome::NotCounted { reason, .. } => {
            line.push_str(&format!(" (no evidence: {})", shown(reason)));
        }
        Outcome::Waived(waiver) => {
            line.push_str(&format!(" ({}, {})", waiver.meaning(), waiver.flag()));
        }
        _ => {}
    }
    line.push_str(&format!("  [{}]", check.step.clause));
    lines.push(line);
    let beneath = format!("          {indent}  ");
    if let Outcome::Refused { message, .. } = &check.outcome
        && check
            .parts
            .iter()
            .all(|part| !matches!(part.outcome, Outcome::Refused { .. }))
    {
        lines.push(format!("{beneath}{}", shown(message)));
    }
    for (name, value) in &check.facts {
        lines.push(format!("{beneath}{name}: {}", shown(value)));
    }
    for part in &check.parts {
        add(part, depth + 1, lines);
    }
}

/// The tree as JSON.
pub fn json(explanation: &Explanation) -> Value {
    explanation.checks().iter().map(check_json).collect()
}

fn check_json(check: &Check) -> Value {
    let facts: Vec<Value> = check
        .facts
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let (outcome, code, message) = match &check.outcome {
        Outcome::Passed => ("passed", None, None),
        Outcome::Refused { code, message } => ("refused", Some(*code), Some(message.as_str())),
        Outcome::NotCounted { code, reason } => ("not-counted", *code, Some(reason.as_str())),
        Outcome::Waived(waiver) => ("waived", Some(waiver.name()), Some(waiver.meaning())),
        Outcome::NotReached => ("not-reached", None, None),
    };
    json!({
        "check": check.step.name,
        "title": check.step.title,
        "clause": check.step.clause,
        "about": check.about,
        "outcome": outcome,
        "code": code,
        "message": message,
        "facts": facts,
        "checks": check.parts.iter().map(check_json).collect::<Vec<_>>(),
    })
}
