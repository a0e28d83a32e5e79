//! Functions of a policy that call themselves. Rego has no recursion; the engine would follow it until the
//! stack ends, and the program with it.

use std::collections::{BTreeMap, BTreeSet};

/// Returns a function that calls itself, directly or through others; `None` if none does.
///
/// What is read is the text: a name in the body of a rule counts as a use of that name, unless a string,
/// a comment, or a member of something else has it.
pub(super) fn recursive_function(policy: &str) -> Option<String> {
    let text = without_strings(policy);
    let mut functions: BTreeSet<String> = BTreeSet::new();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current: Option<String> = None;
    let mut depth = 0usize;
    for line in text.lines() {
        let mut body = line;
        let is_head = depth == 0 && line.starts_with(|c: char| c.is_alphabetic() || c == '_');
        if is_head {
            let name: String = line.chars().take_while(|c| is_word(*c)).collect();
            body = &line[name.len()..];
            if body.trim_start().starts_with('(') {
                functions.insert(name.clone());
            }
            current = Some(name);
        }
        if let Some(name) = &current {
            uses.entry(name.clone()).or_default().extend(words(body));
        }
        for c in line.chars() {
            match c {
                '{' | '[' | '(' => depth += 1,
                '}' | ']' | ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    functions
        .into_iter()
        .find(|function| reaches(function, &uses))
}

/// Follows what a function uses; true if that leads back to it.
fn reaches(function: &str, uses: &BTreeMap<String, BTreeSet<String>>) -> bool {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut pending: Vec<&str> = vec![function];
    while let Some(name) = pending.pop() {
        for used in uses.get(name).into_iter().flatten() {
            if used == function {
                return true;
            }
            if seen.insert(used) {
                pending.push(used);
            }
        }
    }
    false
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Returns the names in a text that are not members of something else.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut before = ' ';
    let mut word = String::new();
    let mut is_member = false;
    text.chars().chain([' ']).filter_map(move |c| {
        let ended = if is_word(c) {
            if word.is_empty() {
                is_member = before == '.';
            }
            word.push(c);
            None
        } else {
            let ended = std::mem::take(&mut word);
            (!ended.is_empty() && !is_member).then_some(ended)
        };
        before = c;
        ended
    })
}

/// Blanks strings and comments, line breaks kept.
pub(super) fn without_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '#' => {
                let rest = characters.by_ref().take_while(|c| *c != '\n');
                rest.for_each(drop);
                out.push('\n');
            }
            '"' => {
                out.push(' ');
                while let Some(c) = characters.next() {
                    match c {
                        '\\' => drop(characters.next()),
                        '"' | '\n' => break,
                        _ => {}
                    }
                }
            }
            '`' => {
                for c in characters.by_ref().take_while(|c| *c != '`') {
                    if c == '\n' {
                        out.push('\n');
                    }
                }
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::recursive_function;

    #[test]
    fn functions_that_call_themselves_are_found() {
        for policy in [
            "f(x) = y { y := f(x + 1) }",
            "f(x) = y {\n  y := g(x)\n}\n\ng(x) = f(x)",
            "f(x) { a }\na { b }\nb { f(1) }",
            "f(x) := y if {\n  y := [z |\n    z := f(x)][0]\n}",
            "f(1) = 2\nf(x) = f(x - 1) { x > 1 }",
        ] {
            assert_eq!(recursive_function(policy).as_deref(), Some("f"), "{policy}");
        }
    }

    #[test]
    fn a_rule_begins_at_the_margin_outside_of_brackets() {
        for (policy, function) in [
            ("f(x) {\nz := f(x)\n}", "f"),
            ("f(x) := 1 if\n  f(x) == 2", "f"),
            ("g(x) { x }\nf(x) { f(x) }", "f"),
            ("f(x) {\n  a := [ {\n1 } ]\nz := f(x)\n}", "f"),
            ("_f(x) { _f(x) }", "_f"),
            ("a_b(x) { a_b(x) }", "a_b"),
            // A circle beside the way ends the search of the first.
            ("f(x) { g(x) }\ng(x) { h(x) }\nh(x) { g(x) }", "g"),
        ] {
            let found = recursive_function(policy);
            assert_eq!(found.as_deref(), Some(function), "{policy}");
        }
    }

    #[test]
    fn comments_and_strings_end_where_they_do() {
        for policy in [
            "# c\nf(x) { f(x) }",
            "a := 1 # c\nf(x) { f(x) }",
            "a := \"s\"\nf(x) { f(x) }",
            "a := `s`\nf(x) { f(x) }",
            "f(x) { g\"s\"f(x) }",
        ] {
            assert_eq!(recursive_function(policy).as_deref(), Some("f"), "{policy}");
        }
        for policy in [
            "f(x) { x } # x f(2)",
            "f(x) { x == `a f(1)` }",
            "ff(x) = y { y := x.ff }",
        ] {
            assert_eq!(recursive_function(policy), None, "{policy}");
        }
    }

    #[test]
    fn others_are_not() {
        for policy in [
            "f(x) = y { y := g(x) }\ng(x) = x",
            "f(x) = y { y := x.f }",
            "f(x) = y { y := \"f(1)\" } # f(2)",
            "f(x) = y { y := `f(\n1)` }",
            "allow { f(1) }\nf(x) { x == 1 }",
            "ff(x) { f(x) }\nf(x) { x == \"a \\\" ff(x)\" }",
        ] {
            assert_eq!(recursive_function(policy), None, "{policy}");
        }
    }
}
