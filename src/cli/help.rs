//! `keyless help`: of a command, of a topic, or of one error code. Topics are the Markdown pages in the folder
//! `help` beside this file, so that a terminal and a web reader see the same words.

use clap::{Args, CommandFactory as _};
use serde_json::{Value, json};

use super::{Cli, Context, finish};
use crate::diagnostic::{Diagnostic, Exit};
use crate::output::{Format, Output, document, failure};

/// Show help on a command, a topic, or an error code.
///
/// Topics are listed by `keyless help topics`.
///
/// Example: keyless help errors identity-mismatch
#[derive(Debug, Args)]
pub(crate) struct HelpArguments {
    /// A command, such as `policy init`; a topic, such as `errors`; or `errors CODE`.
    #[arg(value_name = "COMMAND|TOPIC")]
    words: Vec<String>,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
}

/// A page about something that is larger than one command.
struct Topic {
    name: &'static str,
    about: &'static str,
    page: &'static str,
}

/// All topics, in the order in which they are listed.
const TOPICS: [Topic; 1] = [Topic {
    name: "errors",
    about: "every error code: what it means, and what to do",
    page: include_str!("help/errors.md"),
}];

/// A row of the table of errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ErrorRow {
    /// The error's code.
    pub code: &'static str,
    /// Exit codes that it can end a command with.
    pub exits: Vec<u8>,
    /// What happened.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Reads the table of errors from its page.
pub(crate) fn error_rows() -> impl Iterator<Item = ErrorRow> {
    let page = include_str!("help/errors.md");
    page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        let code = cells.next()?.trim_end_matches('`');
        let exits = cells.next()?.split(", ").map(str::parse);
        Some(ErrorRow {
            code,
            exits: exits.collect::<Result<_, _>>().ok()?,
            meaning: cells.next()?,
            remedy: cells.next()?.trim_end_matches(" |"),
        })
    })
}

/// Asserts, where the program is not built for release, that an error is listed with its exit code.
pub(crate) fn assert_listed(error: &dyn Diagnostic) {
    debug_assert!(
        error_rows()
            .any(|row| row.code == error.code() && row.exits.contains(&error.exit().code())),
        "{} with exit {} is not in the table of errors",
        error.code(),
        error.exit()
    );
}

/// What is asked for is neither a command, nor a topic, nor a code.
#[derive(Debug, thiserror::Error)]
#[error("there is no help on `{found}`")]
struct NoSuchHelp {
    found: String,
    near: Vec<&'static str>,
}

impl Diagnostic for NoSuchHelp {
    fn code(&self) -> &'static str {
        "usage-help"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self.near.is_empty() {
            true => Vec::new(),
            false => vec![("similar", self.near.join(", "))],
        }
    }

    fn hint(&self) -> Option<String> {
        Some("`keyless help` lists the commands, `keyless help topics` the topics".to_owned())
    }
}

pub(crate) fn run(arguments: &HelpArguments, context: &Context) -> Exit {
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match show(&words, &mut output) {
        Ok(()) => finish(output, Exit::Accepted),
        Err(error) => {
            output.document(&failure("help", &error));
            finish(output, super::fail(&error))
        }
    }
}

fn show(words: &[&str], output: &mut Output) -> Result<(), NoSuchHelp> {
    let no_help = |near| NoSuchHelp {
        found: words.join(" "),
        near,
    };
    match words {
        ["topics"] => {
            for topic in &TOPICS {
                output.line(format!("{:<10} {}", topic.name, topic.about));
            }
            output.document(&document::head(
                "help",
                Exit::Accepted,
                [(
                    "topics",
                    TOPICS
                        .iter()
                        .map(|topic| json!({ "name": topic.name, "about": topic.about }))
                        .collect(),
                )],
            ));
            Ok(())
        }
        ["errors", code] => {
            let row = error_rows().find(|row| row.code == *code);
            let row = row.ok_or_else(|| {
                let codes = error_rows().map(|row| row.code);
                no_help(codes.filter(|known| is_near(known, code)).take(8).collect())
            })?;
            let exits: Vec<String> = row.exits.iter().map(u8::to_string).collect();
            output.line(format!("{} (exit {})", row.code, exits.join(" or ")));
            output.line(format!("  meaning: {}", row.meaning));
            output.line(format!("  to do:   {}", row.remedy));
            output.document(&errors_document([row]));
            Ok(())
        }
        [name] if TOPICS.iter().any(|topic| topic.name == *name) => {
            let mut pages = TOPICS.iter().filter(|topic| topic.name == *name);
            let page = pages.next().map_or("", |topic| topic.page);
            match (*name, output.format()) {
                ("errors", Format::Json) => output.document(&errors_document(error_rows())),
                _ => show_page(page, output),
            }
            Ok(())
        }
        words => {
            let mut command = Cli::command();
            command.build();
            for word in words {
                command = command
                    .find_subcommand(word)
                    .cloned()
                    .ok_or_else(|| no_help(Vec::new()))?;
            }
            show_page(&command.render_long_help().to_string(), output);
            Ok(())
        }
    }
}

fn show_page(page: &str, output: &mut Output) {
    page.lines().for_each(|line| output.line(line));
    output.document(&document::head(
        "help",
        Exit::Accepted,
        [("page", page.into())],
    ));
}

fn errors_document(rows: impl IntoIterator<Item = ErrorRow>) -> Value {
    let rows: Vec<Value> = rows
        .into_iter()
        .map(|row| {
            json!({
                "code": row.code,
                "exitCodes": row.exits,
                "meaning": row.meaning,
                "remedy": row.remedy,
            })
        })
        .collect();
    document::head("help", Exit::Accepted, [("errors", rows.into())])
}

/// Returns whether two codes have a word in common.
fn is_near(known: &str, asked: &str) -> bool {
    let mut words = asked.split('-').filter(|word| word.len() > 2);
    words.any(|word| known.split('-').any(|other| other == word))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    /// Codes in the bodies of `fn code`, wherever they are.
    fn codes_of_the_source() -> BTreeMap<String, PathBuf> {
        let mut paths = Vec::new();
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
            &mut paths,
        );
        let mut codes = BTreeMap::new();
        for path in paths
            .iter()
            .filter(|path| path.extension() == Some("rs".as_ref()))
        {
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
            for body in code.split("fn code(&self) -> &'static str {").skip(1) {
                // To the end of the function: its closing brace stands in the column of `fn`.
                let body = body.split("\n    }\n").next().unwrap();
                for literal in body.split('"').skip(1).step_by(2) {
                    codes.insert(literal.to_owned(), path.clone());
                }
            }
        }
        codes
    }

    #[test]
    fn every_code_has_one_row_and_every_row_a_code() {
        let codes = codes_of_the_source();
        assert!(codes.len() > 200, "{}", codes.len());
        let rows: Vec<ErrorRow> = error_rows().collect();
        for (code, path) in &codes {
            let count = rows.iter().filter(|row| row.code == code).count();
            assert_eq!(count, 1, "{code} of {}", path.display());
        }
        for row in &rows {
            assert!(codes.contains_key(row.code), "{} is no code", row.code);
            assert!(
                row.meaning.ends_with('.') && row.remedy.ends_with('.'),
                "{row:?}"
            );
        }
        let lines = include_str!("help/errors.md").lines();
        let listed = lines.filter(|line| line.starts_with("| `")).count();
        assert_eq!(listed, rows.len(), "every row can be read");
    }

    #[test]
    fn similar_codes_are_found() {
        assert!(is_near("identity-mismatch", "identity-missmatch"));
        assert!(!is_near("identity-mismatch", "log-unknown"));
    }
}
