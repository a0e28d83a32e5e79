//! How deep a policy is nested, told without parsing it.

use super::recursion::without_strings;

/// Returns whether brackets of any kind lie deeper in each other than this; strings and comments have none. Brackets
/// that do not fit each other are counted all the same: the parser may find that out too late.
pub(super) fn is_deeper_than(policy: &str, most: usize) -> bool {
    let mut depth = 0usize;
    for c in without_strings(policy).chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > most {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_deeper_than;

    #[test]
    fn brackets_of_every_kind_are_counted() {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("{", "}"),
            ("f(", ")"),
            ("[x | x := ", "]"),
            ("{1: [", "]}"),
            ("not {", "}"),
            ("-(", ")"),
            ("a[", "]"),
        ] {
            let nested = |n: usize| {
                let text = format!(
                    "package signature\nallow {{ x := {}1{} }}",
                    open.repeat(n),
                    close.repeat(n)
                );
                is_deeper_than(&text, 20)
            };
            let kinds = open.matches(['(', '[', '{']).count();
            assert!(!nested(19 / kinds), "{open}");
            assert!(nested(19 / kinds + 1), "{open}");
        }
        let long = "(".repeat(30);
        for none in [
            format!("# {long}"),
            format!("x := \"{long}\""),
            format!("x := `{long}`"),
            format!("x := \"\\\"{long}\""),
        ] {
            assert!(!is_deeper_than(&none, 20), "{none}");
        }
        assert!(!is_deeper_than(&"()[]{}".repeat(1000), 20));
        assert!(is_deeper_than(&format!("{}{long}", ")".repeat(30)), 20));
    }
}
