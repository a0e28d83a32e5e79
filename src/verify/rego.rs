//! Rego policies over a predicate, by the rules that cosign has for them: `input` is the whole statement, and
//! the rule `data.signature.allow` must be true, no more and no less.
//!
//! A policy sees nothing but the statement: no clock, no network, no file, no chance. What it may take is bounded
//! here as far as a pure function can: its length, its nesting, the time of its evaluation. The engine bounds neither
//! its memory nor its parser, so `flow::rego` has both in a process of their own.

mod nesting;
mod recursion;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, Value};
use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Exit, clean};
use crate::format::limits;

/// The rule that decides, as in cosign.
pub const ENTRY: &str = "data.signature.allow";
/// What a policy may take; those over an SBOM of megabytes take a tenth of it.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Steps between two looks at the time.
const CHECK_INTERVAL: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// What the engine says of a rule that is not there; a test notices should it change its words.
const NO_RULE: &str = "not a valid rule path";
/// Functions that policies do not have: by chance, and lists as long as somebody likes.
const LEFT_OUT: [&str; 2] = ["rand.intn", "numbers.range"];

/// How deep brackets may lie in brackets. Policies have four or five; the parser reads some kinds of them twice at
/// each level.
const MAX_NESTING: usize = 64;

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RegoError {
    /// It is longer than policies are.
    #[error("{name} has {found} bytes, at most {limit} are read of a policy")]
    TooLarge {
        /// The policy's name.
        name: String,
        /// Size found.
        found: usize,
        /// Bound.
        limit: usize,
    },
    /// It is not Rego.
    #[error("{name} is no Rego policy")]
    Malformed {
        /// The policy's name.
        name: String,
        /// What the parser met.
        cause: String,
    },
    /// It does not say whether anything is allowed.
    #[error("{name} has no rule `allow` in a package `signature`")]
    NoRule {
        /// The policy's name.
        name: String,
    },
    /// A function of it calls itself, which Rego does not have.
    #[error("{name} has a function that calls itself: {function}")]
    Recursion {
        /// The policy's name.
        name: String,
        /// The function.
        function: String,
    },
    /// It calls what is not offered.
    #[error("{name} calls {function}, which policies do not have here")]
    LeftOut {
        /// The policy's name.
        name: String,
        /// The function.
        function: String,
    },
    /// Brackets lie too deep in brackets.
    #[error("{name} has brackets more than {limit} deep in brackets")]
    TooDeep {
        /// The policy's name.
        name: String,
        /// Bound.
        limit: usize,
    },
    /// Reading it takes more than a policy may take.
    #[error("{name} is too much to read")]
    Unbounded {
        /// The policy's name.
        name: String,
        /// What it took.
        cause: String,
    },
    /// What reads and judges it cannot be started.
    #[error("{name} cannot be read")]
    NotRun {
        /// The policy's name.
        name: String,
        /// Why not.
        cause: String,
    },
}

impl Diagnostic for RegoError {
    fn code(&self) -> &'static str {
        match self {
            RegoError::TooLarge { .. } => "rego-too-large",
            RegoError::Malformed { .. } => "rego-malformed",
            RegoError::NoRule { .. } => "rego-no-rule",
            RegoError::Recursion { .. } => "rego-recursion",
            RegoError::LeftOut { .. } => "rego-function",
            RegoError::TooDeep { .. } => "rego-too-deep",
            RegoError::Unbounded { .. } => "rego-too-much",
            RegoError::NotRun { .. } => "rego-not-run",
        }
    }

    fn exit(&self) -> Exit {
        Exit::TrustMaterial
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            RegoError::Malformed { cause, .. }
            | RegoError::Unbounded { cause, .. }
            | RegoError::NotRun { cause, .. } => vec![("cause", clean(cause, 600))],
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            RegoError::NoRule { .. } => {
                Some("begin it with `package signature`, and define `allow`".to_owned())
            }
            RegoError::NotRun { .. } => Some(
                "policies are judged by this program in a process of its own: its file must still be where it was \
                 started from"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A policy over statements, wherever it is judged.
pub trait StatementPolicy: fmt::Debug + Send + Sync {
    /// Returns the policy's name.
    fn name(&self) -> &str;

    /// Judges a statement: its exact bytes, which are JSON.
    ///
    /// # Errors
    /// What the policy found instead of a yes, in words.
    fn judge(&self, statement: &str) -> Result<(), String>;
}

/// Checks what can be told of a policy at a glance: its length, and how deep it is nested.
///
/// # Errors
/// [`RegoError::TooLarge`], [`RegoError::TooDeep`].
pub fn check_size(name: &str, text: &str) -> Result<(), RegoError> {
    let name = || name.to_owned();
    if text.len() > limits::REGO_LEN {
        return Err(RegoError::TooLarge {
            name: name(),
            found: text.len(),
            limit: limits::REGO_LEN,
        });
    }
    if nesting::is_deeper_than(text, MAX_NESTING) {
        return Err(RegoError::TooDeep {
            name: name(),
            limit: MAX_NESTING,
        });
    }
    Ok(())
}

/// A policy that was read: Rego of version 0, as cosign takes it, or of version 1.
#[derive(Clone)]
pub struct RegoPolicy {
    name: String,
    engine: Engine,
}

impl fmt::Debug for RegoPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegoPolicy").field(&self.name).finish()
    }
}

impl RegoPolicy {
    /// Reads a policy. Its name appears in messages.
    ///
    /// # Errors
    /// [`RegoError`].
    pub fn parse(name: &str, text: &str) -> Result<Self, RegoError> {
        let own_name = || name.to_owned();
        check_size(name, text)?;
        if let Some(function) = names_left_out(text) {
            let (name, function) = (own_name(), function.to_owned());
            return Err(RegoError::LeftOut { name, function });
        }
        if let Some(function) = recursion::recursive_function(text) {
            let name = own_name();
            return Err(RegoError::Recursion { name, function });
        }
        let read = |is_v0: bool| -> Result<Engine, String> {
            let mut engine = Engine::new();
            engine.set_rego_v0(is_v0);
            engine.set_execution_timer_config(ExecutionTimerConfig {
                limit: TIME_LIMIT,
                check_interval: CHECK_INTERVAL,
            });
            let added = engine.add_policy(own_name(), text.to_owned());
            added.map(|_| engine).map_err(|error| error.to_string())
        };
        // The reader of either version refuses what is written in the other's way; what both can read means
        // the same in both. The first complaint is told of what neither reads.
        let engine = read(false)
            .or_else(|cause| read(true).map_err(|_| cause))
            .map_err(|cause| RegoError::Malformed {
                name: own_name(),
                cause,
            })?;
        let mut engine = engine;
        match engine.compile_with_entrypoint(&ENTRY.into()) {
            Ok(_) => Ok(RegoPolicy {
                name: own_name(),
                engine,
            }),
            Err(error) if error.to_string().contains(NO_RULE) => {
                Err(RegoError::NoRule { name: own_name() })
            }
            Err(error) => Err(RegoError::Malformed {
                name: own_name(),
                cause: error.to_string(),
            }),
        }
    }
}

impl StatementPolicy for RegoPolicy {
    fn name(&self) -> &str {
        &self.name
    }

    fn judge(&self, statement: &str) -> Result<(), String> {
        let mut engine = self.engine.clone();
        let input = Value::from_json_str(statement).map_err(|error| error.to_string())?;
        engine.set_input(input);
        match engine.eval_rule(ENTRY.to_owned()) {
            Ok(Value::Bool(true)) => Ok(()),
            Ok(Value::Undefined) => Err(format!("{ENTRY} is undefined")),
            Ok(Value::Bool(false)) => Err(format!("{ENTRY} is false")),
            Ok(_) => Err(format!("{ENTRY} is not true or false")),
            Err(error) => Err(clean(&error.to_string(), 600)),
        }
    }
}

/// Returns a function of [`LEFT_OUT`] that the text names, however it is spaced.
fn names_left_out(text: &str) -> Option<&'static str> {
    let bare: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .map(|c| if c == '`' { '"' } else { c })
        .collect();
    LEFT_OUT.into_iter().find(|function| {
        let quoted = function.replacen('.', "[\"", 1);
        bare.contains(function) || bare.contains(&quoted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> &'static str {
        RegoPolicy::parse("p.rego", text).unwrap_err().code()
    }

    fn judge(text: &str, statement: &str) -> Result<(), String> {
        RegoPolicy::parse("p.rego", text).unwrap().judge(statement)
    }

    #[test]
    fn only_true_allows() {
        let statement = r#"{"predicateType":"x","predicate":{"n":3,"list":["a","b"]}}"#;
        for (body, refusal) in [
            ("allow { input.predicate.n == 3 }", None),
            (
                "default allow = false\nallow { input.predicateType == \"x\" }",
                None,
            ),
            (
                "import rego.v1\nallow if { some v in input.predicate.list; v == \"b\" }",
                None,
            ),
            ("allow if input.predicate.n < 4", None),
            (
                "allow { count(input.predicate.list) == 2; regex.match(\"^x$\", input.predicateType) }",
                None,
            ),
            ("allow { input.predicate.n == 4 }", Some("undefined")),
            (
                "default allow = false\nallow { input.predicate.n == 4 }",
                Some("false"),
            ),
            ("allow = \"true\"", Some("not true or false")),
            ("allow = 1", Some("not true or false")),
            ("allow = {\"a\": true}", Some("not true or false")),
            (
                "allow[x] { x := input.predicate.list[_] }",
                Some("not true or false"),
            ),
            (
                "allow = true { true }\nallow = false { true }",
                Some("conflict"),
            ),
        ] {
            let verdict = judge(&format!("package signature\n{body}\n"), statement);
            match refusal {
                None => assert_eq!(verdict, Ok(()), "{body}"),
                Some(words) => {
                    let found = verdict.unwrap_err();
                    assert!(found.contains(words), "{body}: {found}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_decide_is_no_policy() {
        assert_eq!(code(""), "rego-malformed");
        assert_eq!(code("package signature\nallow {"), "rego-malformed");
        let unsafe_variable = "package signature\nallow { x > 1 }";
        assert_eq!(code(unsafe_variable), "rego-malformed");
        assert_eq!(code("package other\nallow { true }"), "rego-no-rule");
        assert_eq!(code("package signature\ndeny { true }"), "rego-no-rule");
        assert_eq!(code("package signature\nallowed { true }"), "rego-no-rule");
        let long = format!(
            "package signature\nallow {{ true }}\n{}",
            "#\n".repeat(limits::REGO_LEN / 2)
        );
        assert_eq!(code(&long), "rego-too-large");
        let mut longest = "package signature\nallow { true }\n".to_owned();
        let comment = format!("#{}\n", " ".repeat(98));
        let room = limits::REGO_LEN - longest.len();
        longest += &comment.repeat(room / comment.len());
        longest += &"\n".repeat(room % comment.len());
        assert!(RegoPolicy::parse("p.rego", &longest).is_ok());
        assert_eq!(code(&(longest + " ")), "rego-too-large");
    }

    #[test]
    fn nothing_is_left_to_chance_or_without_end() {
        for call in [
            "rand.intn(\"x\", 2) == 1",
            "rand [ \"intn\" ](\"x\", 2) == 1",
            "rand[`intn`](\"x\", 2) == 1",
            "count(numbers.range(1, 9000000000000000000)) > 1",
            "count(numbers.\nrange_step(1, 9000000000000000000, 1)) > 1",
        ] {
            let text = format!("package signature\nallow {{ {call} }}");
            assert_eq!(code(&text), "rego-function", "{call}");
        }
        let both = "package signature\nallow { numbers.range(1, 2); rand.intn(\"x\", 2) == 1 }";
        let refused = RegoPolicy::parse("p.rego", both).unwrap_err();
        assert!(
            refused.to_string().contains("calls rand.intn,"),
            "{refused}"
        );
        for absent in [
            "time.now_ns() > 0",
            "http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"}).status_code == 200",
            "opa.runtime().env.HOME != \"\"",
            "uuid.rfc4122(\"x\") != \"\"",
        ] {
            let text = format!("package signature\nallow {{ {absent} }}");
            assert!(judge(&text, "{}").is_err(), "{absent}");
        }
    }

    #[test]
    fn an_endless_policy_refuses() {
        let started = std::time::Instant::now();
        let list: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let list = list.join(",");
        let text = format!(
            "package signature\nl := [{list}]\nallow {{ l[_] + l[_] + l[_] + l[_] + l[_] + l[_] == -1 }}"
        );
        assert!(judge(&text, "{}").is_err());
        assert!(started.elapsed() < 4 * TIME_LIMIT);
        let recursive = "package signature\nf(x) = y { y := f(x + 1) }\nallow { f(1) == 2 }";
        assert_eq!(code(recursive), "rego-recursion");
    }
}
