//! Floor 6: what people and machines read. Data goes to standard output or to `--output-file`,
//! everything else to standard error.

pub mod attached;
pub mod attest;
pub mod document;
pub mod explain;
pub mod human;
pub mod inspect;
pub mod policy;
pub mod progress;
pub mod raw;
pub mod summary;

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::host::files::{FileError, OutputFile};

/// JSON Schema of every document, as `keyless schema` prints it.
pub const SCHEMA: &str = include_str!("schema.json");

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// What the user should know and that stops nothing: shown at once, and part of the JSON document.
#[derive(Debug, Clone, Default)]
pub struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    /// Warns.
    pub fn warn(&self, text: &str) {
        note(format!("warning: {}", human::plain(text)));
        let mut warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(text.to_owned());
    }

    fn json(&self) -> Value {
        let warnings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.as_slice().into()
    }
}

/// Collects a command's data and writes it once, whole.
#[derive(Debug)]
pub struct Output {
    format: Format,
    file: Option<OutputFile>,
    data: String,
    warnings: Warnings,
}

impl Output {
    /// Opens the output; a file is found writable before anything is done.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(
        format: Format,
        file: Option<&Path>,
        warnings: Warnings,
    ) -> Result<Self, FileError> {
        let file = file
            .map(|path| OutputFile::prepare(path, true))
            .transpose()?;
        Ok(Output {
            format,
            file,
            data: String::new(),
            warnings,
        })
    }

    /// Returns whether `--output-file` names the same file as another output.
    pub fn is_same_place(&self, other: &OutputFile) -> bool {
        self.file
            .as_ref()
            .is_some_and(|file| file.is_same_place(other))
    }

    /// Returns how results are shown.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Adds a line of text for people; nothing in JSON.
    pub fn line(&mut self, line: impl AsRef<str>) {
        if self.format == Format::Text {
            self.raw(line.as_ref());
            self.raw("\n");
        }
    }

    /// Adds data as it is, in either format.
    pub fn raw(&mut self, data: &str) {
        self.data.push_str(data);
    }

    /// Adds JSON that somebody else wrote, for people: as it is, unless it goes to a terminal, which would obey
    /// some characters. Those are escaped there.
    pub fn data(&mut self, json: &str) {
        if self.file.is_some() || !io::stdout().is_terminal() {
            return self.raw(json);
        }
        for piece in json.split_inclusive(['\t', '\r', '\n']) {
            let text = piece.trim_end_matches(['\t', '\r', '\n']);
            self.raw(&escaped(text));
            self.raw(&piece[text.len()..].replace('\r', ""));
        }
    }

    /// Warns, see [`Warnings`].
    pub fn warn(&self, text: &str) {
        self.warnings.warn(text);
    }

    /// Adds the JSON document with the warnings so far; nothing in text.
    pub fn document(&mut self, document: &Value) {
        self.document_with(document, &[]);
    }

    /// Adds the document likewise, with JSON that was signed in place of its [`raw::raw_member`]s.
    pub fn document_with(&mut self, document: &Value, raw: &[raw::Raw]) {
        if self.format == Format::Json {
            self.owned_document(document.clone(), raw);
        }
    }

    /// Adds the document likewise. One of ten thousand refusals is made once, and not for people.
    pub fn document_of(&mut self, document: impl FnOnce() -> Value) {
        if self.format == Format::Json {
            self.owned_document(document(), &[]);
        }
    }

    fn owned_document(&mut self, mut document: Value, raw: &[raw::Raw]) {
        document["warnings"] = self.warnings.json();
        let spliced = raw::Spliced {
            value: &document,
            raw,
        };
        let text = serde_json::to_string_pretty(&spliced).expect("a JSON value always serialises");
        drop(document);
        self.raw(&escaped(&text));
        self.raw("\n");
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// [`FileError::Write`]; a reader that went away early is none.
    pub fn finish(self) -> Result<(), FileError> {
        match self.file {
            Some(file) => file.write(self.data.as_bytes()),
            None => {
                let mut stdout = io::stdout().lock();
                let written = stdout
                    .write_all(self.data.as_bytes())
                    .and_then(|()| stdout.flush());
                match written {
                    Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
                        Err(FileError::Write {
                            path: "standard output".to_owned(),
                            source,
                        })
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Escapes what a terminal might obey and JSON allows as it is: DEL, C1, and what reorders text. Such
/// characters stand within strings only, so that the values stay the same.
pub(crate) fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let obeyed = !c.is_ascii_graphic() && !matches!(c, ' ' | '\n');
        if obeyed && human::plain(c.encode_utf8(&mut [0; 4])) != c.to_string() {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

/// Writes a line to standard error; one that is closed is no reason to stop.
pub fn note(line: impl AsRef<str>) {
    progress::write_above(line.as_ref());
}

/// Shows an error: message, facts, what to try.
pub fn show_error(error: &dyn Diagnostic) {
    note(human::error(error));
}

/// Returns the JSON document of a command that failed as a whole.
pub fn failure(command: &str, error: &dyn Diagnostic) -> Value {
    document::head(command, error.exit(), [("error", document::error(error))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_say_the_same_in_characters_that_no_terminal_obeys() {
        let hostile = "é\u{1b}[2J\u{7f}\u{9b}2J\u{202e}\n\u{2066}\"";
        let document = serde_json::json!({ "name\u{9b}": hostile });
        let text = escaped(&serde_json::to_string_pretty(&document).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
        assert!(text.contains('é'));
        for line in text.lines() {
            assert_eq!(human::plain(line), line);
        }
    }
}
