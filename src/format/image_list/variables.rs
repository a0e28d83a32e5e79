//! Variables within an image's name, as compose files and Dockerfiles have them.
//!
//! Only the file speaks: no variable of the environment, no `.env` file, no build argument. One that has a
//! default is taken to have it, and that is told; one that has none stops the reading.

use std::collections::BTreeMap;

use super::remark::RemarkKind;
use super::{Collector, ImageListError, SHOWN};
use crate::diagnostic::clean;
use crate::format::limits::IMAGE_NAME_LEN;

/// Nesting of defaults within defaults.
pub(super) const MAX_DEPTH: usize = 8;

/// Length of a text with variables, in bytes.
pub(super) const MAX_LEN: usize = 4 * IMAGE_NAME_LEN;

/// How the text around variables is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// `$$` is a dollar sign; nothing else is special.
    Compose,
    /// As in a shell: quotes, and a character that takes the meaning from the next.
    Dockerfile {
        /// That character.
        escape: char,
    },
}

/// Values that variables have by the file's own word.
pub(super) type Values = BTreeMap<String, String>;

/// Puts values for the variables of a text.
pub(super) fn expand(
    text: &str,
    quoting: Quoting,
    values: &Values,
    line: usize,
    found: &mut Collector,
) -> Result<String, ImageListError> {
    if text.len() > MAX_LEN {
        return Err(ImageListError::Name {
            line,
            found: clean(text, SHOWN),
        });
    }
    let mut expander = Expander {
        rest: text,
        whole: text,
        quoting,
        values,
        line,
        defaults: Vec::new(),
    };
    let expanded = expander.until(None, 0)?;
    for (name, value) in expander.defaults {
        let (name, value) = (clean(&name, SHOWN), clean(&value, SHOWN));
        found.remark(line, RemarkKind::DefaultTaken { name, value })?;
    }
    Ok(expanded)
}

struct Expander<'a> {
    rest: &'a str,
    whole: &'a str,
    quoting: Quoting,
    values: &'a Values,
    line: usize,
    /// Variables that were used, with what they were taken for.
    defaults: Vec<(String, String)>,
}

impl Expander<'_> {
    fn form(&self) -> ImageListError {
        ImageListError::VariableForm {
            line: self.line,
            found: clean(self.whole, SHOWN),
        }
    }

    fn unset(&self, name: &str) -> ImageListError {
        ImageListError::Variable {
            line: self.line,
            name: clean(name, SHOWN),
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Reads up to a character, which is taken, or the end.
    fn until(&mut self, stop: Option<char>, depth: usize) -> Result<String, ImageListError> {
        if depth > MAX_DEPTH {
            return Err(self.form());
        }
        let mut out = String::new();
        let mut is_quoted = false;
        loop {
            if out.len() > IMAGE_NAME_LEN {
                return Err(ImageListError::Name {
                    line: self.line,
                    found: clean(&out, SHOWN),
                });
            }
            let Some(c) = self.next() else {
                let is_whole = stop.is_none() && !is_quoted;
                return if is_whole { Ok(out) } else { Err(self.form()) };
            };
            match (c, self.quoting) {
                (c, _) if Some(c) == stop && !is_quoted => return Ok(out),
                ('$', Quoting::Compose) if self.rest.starts_with('$') => {
                    self.next();
                    out.push('$');
                }
                ('$', _) => out.push_str(&self.variable(depth)?),
                ('"', Quoting::Dockerfile { .. }) => is_quoted = !is_quoted,
                ('\'', Quoting::Dockerfile { .. }) if !is_quoted => {
                    let (text, rest) = self.rest.split_once('\'').ok_or_else(|| self.form())?;
                    out.push_str(text);
                    self.rest = rest;
                }
                (c, Quoting::Dockerfile { escape }) if c == escape => {
                    out.push(self.next().ok_or_else(|| self.form())?);
                }
                (c, _) => out.push(c),
            }
        }
    }

    /// Reads a variable behind its dollar sign, and returns what stands for it.
    fn variable(&mut self, depth: usize) -> Result<String, ImageListError> {
        let is_braced = self.rest.starts_with('{');
        if is_braced {
            self.next();
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(self.form());
        }
        self.rest = rest;
        let value = self.values.get(name).cloned();
        if !is_braced {
            return self.taken(name, value);
        }
        let with_colon = self.rest.strip_prefix(':');
        self.rest = with_colon.unwrap_or(self.rest);
        // With a colon, an empty value is as good as none.
        let value = value.filter(|value| with_colon.is_none() || !value.is_empty());
        let taken = match (self.next(), with_colon.is_some()) {
            (Some('}'), false) => return self.taken(name, value),
            (Some('-'), _) => {
                let default = self.until(Some('}'), depth + 1)?;
                value.unwrap_or(default)
            }
            (Some('+'), _) => {
                let instead = self.until(Some('}'), depth + 1)?;
                value.map_or_else(String::new, |_| instead)
            }
            (Some('?'), _) => {
                // What it would say is not needed, only where it ends.
                self.rest = self.rest.split_once('}').ok_or_else(|| self.form())?.1;
                return self.taken(name, value);
            }
            _ => return Err(self.form()),
        };
        self.defaults.push((name.to_owned(), taken.clone()));
        Ok(taken)
    }

    fn taken(&mut self, name: &str, value: Option<String>) -> Result<String, ImageListError> {
        let value = value.ok_or_else(|| self.unset(name))?;
        self.defaults.push((name.to_owned(), value.clone()));
        Ok(value)
    }
}
