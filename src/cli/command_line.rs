//! A command line that cannot be read: what people are told, and the document where one is asked for.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory as _};

use super::{Cli, fail, finish};
use crate::diagnostic::{Diagnostic, Exit};
use crate::output::human::plain;
use crate::output::{Format, Output, Warnings, failure, note};

/// Why a command line cannot be read, in the words of the parser.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct CommandLineError {
    message: String,
    usage: Option<String>,
    tip: Option<String>,
}

impl Diagnostic for CommandLineError {
    fn code(&self) -> &'static str {
        "usage-command-line"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let usage = self.usage.iter();
        usage.map(|usage| ("usage", usage.clone())).collect()
    }

    fn hint(&self) -> Option<String> {
        self.tip.clone()
    }
}

impl CommandLineError {
    /// Takes the parser's text apart: the message with what belongs to it, tips, the usage.
    fn of(text: &str) -> Self {
        let mut message = String::new();
        let (mut usage, mut tip) = (None, None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(found) = line.strip_prefix("Usage: ") {
                usage = Some(plain(found));
            } else if let Some(found) = line.strip_prefix("tip: ") {
                tip.get_or_insert_with(|| plain(found));
            } else if usage.is_none() {
                let line = line.strip_prefix("error: ").unwrap_or(line);
                if !message.is_empty() {
                    message.push(' ');
                }
                message.push_str(&plain(line));
            }
        }
        CommandLineError {
            message: message.trim_end_matches(['.', ':']).to_owned(),
            usage,
            tip,
        }
    }
}

/// Ends a run whose command line cannot be read.
pub(super) fn refuse(mut error: clap::Error, arguments: &[OsString]) -> Exit {
    let mut root = Cli::command();
    root.build();
    let (names, mut command) = named(&root, arguments);
    if error.get(ContextKind::Usage).is_some() {
        // The parser's own line lists as needed whatever the environment sets.
        error.insert(
            ContextKind::Usage,
            ContextValue::StyledStr(command.render_usage()),
        );
    }
    let text = error.render().to_string();
    // The message repeats arguments as they came, and a terminal would obey them.
    for line in text.lines() {
        note(plain(line));
    }
    let asked = Asked::of(&command, arguments);
    if !asked.json {
        return Exit::Usage;
    }
    let file = asked.output_file.as_deref();
    let mut output = match Output::open(Format::Json, file, Warnings::default()) {
        Ok(output) => output,
        Err(error) => return fail(&error),
    };
    let error = CommandLineError::of(&text);
    output.document(&failure(&names.join(" "), &error));
    finish(output, Exit::Usage)
}

/// Finds the command that arguments name, as far as they name one.
fn named(root: &Command, arguments: &[OsString]) -> (Vec<String>, Command) {
    let mut names = Vec::new();
    let mut command = root;
    let mut skip = true;
    for argument in arguments {
        // The program's own name, and the value of the one option that may stand before a command.
        if std::mem::replace(&mut skip, argument == "--output-file") {
            continue;
        }
        let argument = argument.to_string_lossy();
        match command.find_subcommand(argument.as_ref()) {
            Some(found) => {
                names.push(found.get_name().to_owned());
                command = found;
            }
            None if argument.starts_with('-') && argument != "--" => {}
            None => break,
        }
    }
    (names, command.clone())
}

/// Where and in which form a command's result was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    json: bool,
    output_file: Option<PathBuf>,
}

impl Asked {
    fn of(command: &Command, arguments: &[OsString]) -> Self {
        let format = command
            .get_arguments()
            .find(|argument| argument.get_long() == Some("output"));
        let has_json = format.is_some_and(|format| {
            let values = format.get_possible_values();
            values.iter().any(|value| value.matches("json", false))
        });
        let short = format.and_then(|format| format.get_short());
        let short = short.map_or_else(|| "--output".to_owned(), |short| format!("-{short}"));
        let mut asked = Asked::default();
        let mut arguments = arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let text = argument.to_string_lossy();
            if text == "--" {
                break;
            } else if text == "--output" || text == short {
                asked.json = arguments.next().is_some_and(|value| value == "json");
            } else if text == "--output-file" {
                asked.output_file = arguments.next().map(PathBuf::from);
            } else if let Some(value) = text.strip_prefix("--output-file=") {
                asked.output_file = Some(Path::new(value).to_owned());
            } else if let Some(value) = text
                .strip_prefix("--output=")
                .or_else(|| text.strip_prefix(&short).filter(|_| short.len() == 2))
            {
                asked.json = value.trim_start_matches('=') == "json";
            }
        }
        asked.json &= has_json;
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_document_is_asked_for_in_every_way_that_options_are_written() {
        let mut root = Cli::command();
        root.build();
        for (line, names, json) in [
            ("keyless verify --output json --nonsense", "verify", true),
            ("keyless verify --output=json --nonsense", "verify", true),
            ("keyless verify -o json", "verify", true),
            ("keyless verify -ojson", "verify", true),
            ("keyless verify -o=json", "verify", true),
            ("keyless verify --output text", "verify", false),
            ("keyless verify --output", "verify", false),
            ("keyless verify", "verify", false),
            ("keyless verify -- --output json", "verify", false),
            ("keyless -q verify a --output json", "verify", true),
            ("keyless --output-file verify sign -o json", "sign", true),
            ("keyless attach bundle -o json", "attach bundle", true),
            ("keyless attach nonsense -o json", "attach", false),
            ("keyless nonsense --output json", "", false),
            ("keyless sandbox run --output json", "sandbox run", false),
        ] {
            let (found, command) = named(&root, &words(line));
            assert_eq!(found.join(" "), names, "{line}");
            assert_eq!(Asked::of(&command, &words(line)).json, json, "{line}");
        }
        let (_, command) = named(&root, &words("keyless verify"));
        for line in ["k verify --output-file x", "k verify --output-file=x"] {
            let asked = Asked::of(&command, &words(line));
            assert_eq!(asked.output_file.as_deref(), Some(Path::new("x")));
        }
    }

    #[test]
    fn the_parsers_text_is_taken_apart() {
        let error = CommandLineError::of(
            "error: unexpected argument '--ke\u{1b}y' found\n\n  tip: a similar argument exists: '--key'\n\n\
             Usage: keyless verify [OPTIONS]\n\nFor more information, try '--help'.\n",
        );
        assert_eq!(error.message, "unexpected argument '--ke\u{fffd}y' found");
        assert_eq!(error.usage.as_deref(), Some("keyless verify [OPTIONS]"));
        assert_eq!(
            error.tip.as_deref(),
            Some("a similar argument exists: '--key'")
        );
        let error = CommandLineError::of("error: these are missing:\n  <IMAGE>...\n  <FILE>\n");
        assert_eq!(error.message, "these are missing: <IMAGE>... <FILE>");
    }
}
