//! The tree of checks, for people and as JSON.

use serde_json::{Value, json};

use super::human::plain;
use crate::verify::Explanation;
use crate::verify::explain::{Check, Outcome};

/// Longest fact shown to people, in characters; JSON has it whole.
const LONGEST_FACT: usize = 160;

/// Formats the tree, one check a line, its facts under it.
pub fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec!["checks:".to_owned()];
    for check in explanation.checks() {
        add(check, 1, &mut lines);
    }
    lines
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
        line.push_str(&format!(": {}", plain(about)));
    }
    match &check.outcome {
        Outcome::NotCounted { reason } => {
            line.push_str(&format!(" (no evidence: {})", plain(reason)))
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
        lines.push(format!("{beneath}{}", plain(message)));
    }
    for (name, value) in &check.facts {
        let mut value = plain(value);
        if let Some((end, _)) = value.char_indices().nth(LONGEST_FACT) {
            value.truncate(end);
            value.push('…');
        }
        lines.push(format!("{beneath}{name}: {value}"));
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
        Outcome::NotCounted { reason } => ("not-counted", None, Some(reason.as_str())),
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
