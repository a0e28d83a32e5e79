//! Lines of a Dockerfile joined to instructions: continuations, comments, here-documents, directives.
//!
//! After BuildKit's parser, which is what reads these files.

use std::iter::Peekable;

use super::{shape, words};
use crate::format::image_list::ImageListError;
use crate::format::limits::DOCKERFILE_INSTRUCTION_LEN;

/// One instruction with all its continuations, without what its here-documents hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instruction {
    pub line: usize,
    pub text: String,
}

/// What the comments at the head of the file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directives {
    /// Continues a line, and takes the meaning from a character.
    pub escape: char,
    /// Image of the frontend, and its line.
    pub syntax: Option<(usize, String)>,
}

type Lines<'a> = Peekable<std::iter::Enumerate<std::str::Split<'a, char>>>;

/// Instructions in their order.
pub(super) struct Instructions<'a> {
    lines: Lines<'a>,
    escape: char,
}

impl<'a> Instructions<'a> {
    /// Reads the directives, and prepares to read the rest.
    pub(super) fn of(text: &'a str) -> Result<(Directives, Self), ImageListError> {
        let mut lines: Lines<'a> = text.split('\n').enumerate().peekable();
        let mut directives = Directives {
            escape: '\\',
            syntax: None,
        };
        // A script's first line may come before them.
        lines.next_if(|(_, line)| line.starts_with("#!"));
        let mut escapes = 0;
        while let Some((i, (name, value))) = lines
            .peek()
            .and_then(|(i, line)| Some((*i, directive(line)?)))
        {
            lines.next();
            match name.to_ascii_lowercase().as_str() {
                "syntax" if directives.syntax.is_none() => {
                    directives.syntax = Some((i + 1, value.to_owned()));
                }
                "escape" => {
                    escapes += 1;
                    directives.escape = match value {
                        "\\" => '\\',
                        "`" => '`',
                        _ => return Err(shape(i + 1, "an escape directive that is not \\ or `")),
                    };
                }
                _ => {}
            }
            if escapes > 1 {
                return Err(shape(i + 1, "two escape directives"));
            }
        }
        let escape = directives.escape;
        Ok((directives, Instructions { lines, escape }))
    }

    /// Reads one instruction; `None` at the end.
    fn instruction(&mut self) -> Result<Option<Instruction>, ImageListError> {
        let Some((line, mut text, mut is_whole)) = self.first() else {
            return Ok(None);
        };
        while !is_whole {
            let Some((_, next)) = self.lines.next() else {
                break;
            };
            if is_comment(next) || next.trim().is_empty() {
                continue;
            }
            let (part, ends) = self.without_continuation(next);
            text.push_str(part);
            is_whole = ends;
            if text.len() > DOCKERFILE_INSTRUCTION_LEN {
                break;
            }
        }
        if text.len() > DOCKERFILE_INSTRUCTION_LEN {
            return Err(shape(line, "an instruction longer than a command can be"));
        }
        for (name, strips_tabs) in words::heredocs(&text)
            .ok_or_else(|| shape(line, "a here-document whose end cannot be told"))?
        {
            let ends = |body: &str| match strips_tabs {
                true => body.trim_start_matches('\t') == name,
                false => body == name,
            };
            if !self.lines.any(|(_, body)| ends(without_return(body))) {
                return Err(shape(line, "a here-document that does not end"));
            }
        }
        Ok(Some(Instruction { line, text }))
    }

    /// Finds the line that begins the next instruction.
    fn first(&mut self) -> Option<(usize, String, bool)> {
        loop {
            let (i, line) = self.lines.next()?;
            if is_comment(line) {
                continue;
            }
            let (text, ends) = self.without_continuation(line.trim_start());
            if !(ends && text.trim().is_empty()) {
                return Some((i + 1, text.to_owned(), ends));
            }
        }
    }

    /// Cuts off the mark that a line goes on; returns whether it ends instead.
    fn without_continuation<'l>(&self, line: &'l str) -> (&'l str, bool) {
        let line = without_return(line);
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(self.escape) {
            // Twice, it is the character itself.
            Some(text) if !text.ends_with(self.escape) => (text, false),
            _ => (line, true),
        }
    }
}

impl Iterator for Instructions<'_> {
    type Item = Result<Instruction, ImageListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.instruction().transpose()
    }
}

fn without_return(line: &str) -> &str {
    line.strip_suffix('\r').unwrap_or(line)
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Reads `# name = value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then_some((name, value))
}
