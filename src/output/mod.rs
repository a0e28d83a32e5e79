//! Floor 6: what people and machines read. Data goes to standard output or to `--output-file`,
//! everything else to standard error.

pub mod document;
pub mod explain;
pub mod human;
pub mod policy;

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use crate::diagnostic::Diagnostic;
use crate::host::files::{FileError, OutputFile};

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// Collects a command's data and writes it once, whole.
#[derive(Debug)]
pub struct Output {
    format: Format,
    file: Option<OutputFile>,
    data: String,
}

impl Output {
    /// Opens the output; a file is found writable before anything is done.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(format: Format, file: Option<&Path>) -> Result<Self, FileError> {
        let file = file
            .map(|path| OutputFile::prepare(path, true))
            .transpose()?;
        Ok(Output {
            format,
            file,
            data: String::new(),
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

    /// Adds the JSON document; nothing in text.
    pub fn document(&mut self, document: &Value) {
        if self.format == Format::Json {
            let text =
                serde_json::to_string_pretty(document).expect("a JSON value always serialises");
            self.raw(&text);
            self.raw("\n");
        }
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

/// Writes a line to standard error; one that is closed is no reason to stop.
pub fn note(line: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", line.as_ref());
}

/// Shows an error: message, facts, what to try.
pub fn show_error(error: &dyn Diagnostic) {
    note(human::error(error));
}

/// Returns the JSON document of a command that failed as a whole.
pub fn failure(command: &str, error: &dyn Diagnostic) -> Value {
    document::head(command, error.exit(), [("error", document::error(error))])
}
