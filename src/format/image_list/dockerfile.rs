//! A Dockerfile: the image of each `FROM`, `COPY --from` and `RUN --mount=…from=`.
//!
//! Lines are joined and cut as BuildKit does it, so that no instruction hides in what is read as a comment, a
//! here-document or another's continuation. Stages of the same file and `scratch` are left out and told, and so
//! is the frontend of `# syntax=`: it reads the file, and nothing of it is in what is built. An `ARG` before the
//! first `FROM` is taken to have its default. A build context that is given a name when building
//! (`--build-context`) is not seen here; its name is read as an image's.

mod lines;
mod words;

use std::collections::BTreeSet;

use super::remark::RemarkKind;
use super::variables::{Quoting, Values, expand};
use super::{Collector, ImageListError, ImageListKind, SHOWN};
use crate::diagnostic::clean;
use crate::format::limits::{DOCKERFILE_INSTRUCTIONS, IMAGE_LIST_ARGUMENTS};
use lines::{Instruction, Instructions};

/// Every instruction there is.
const INSTRUCTIONS: [&str; 18] = [
    "add",
    "arg",
    "cmd",
    "copy",
    "entrypoint",
    "env",
    "expose",
    "from",
    "healthcheck",
    "label",
    "maintainer",
    "onbuild",
    "run",
    "shell",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

pub(super) fn read(text: &str, found: &mut Collector) -> Result<(), ImageListError> {
    let (directives, instructions) = Instructions::of(text)?;
    if let Some((line, image)) = directives.syntax {
        let image = clean(&image, SHOWN);
        found.remark(line, RemarkKind::Frontend { image })?;
    }
    let instructions = instructions.take(DOCKERFILE_INSTRUCTIONS + 1);
    let instructions = instructions.collect::<Result<Vec<_>, _>>()?;
    if instructions.len() > DOCKERFILE_INSTRUCTIONS {
        return Err(ImageListError::TooMany {
            what: "instructions",
            limit: DOCKERFILE_INSTRUCTIONS,
        });
    }
    let mut reader = Reader {
        escape: directives.escape,
        arguments: Values::new(),
        stages: 0,
        all_stages: 0,
        names: BTreeSet::new(),
        all_names: BTreeSet::new(),
        found,
    };
    for instruction in &instructions {
        let (keyword, rest) = words::split_word(&instruction.text);
        if keyword.eq_ignore_ascii_case("from") {
            reader.all_stages += 1;
            let (_, name) = from(rest, instruction.line)?;
            reader.all_names.extend(name.map(str::to_lowercase));
        }
    }
    for instruction in &instructions {
        reader.instruction(instruction)?;
    }
    Ok(())
}

/// Reads the arguments of a FROM: the base, and the stage's name.
fn from(rest: &str, line: usize) -> Result<(&str, Option<&str>), ImageListError> {
    let (_, rest) = words::flags(rest);
    let words: Vec<&str> = rest.split_ascii_whitespace().take(4).collect();
    match words[..] {
        [base] => Ok((base, None)),
        [base, keyword, name] if keyword.eq_ignore_ascii_case("as") => Ok((base, Some(name))),
        _ => Err(shape(line, "a FROM that is not FROM IMAGE [AS NAME]")),
    }
}

struct Reader<'f> {
    /// Continues a line, and takes the meaning from a character.
    escape: char,
    /// Arguments from before the first stage, with their defaults.
    arguments: Values,
    /// Stages so far, and in the whole file.
    stages: usize,
    all_stages: usize,
    /// Names of the stages so far, and of the whole file, in lower case.
    names: BTreeSet<String>,
    all_names: BTreeSet<String>,
    found: &'f mut Collector,
}

fn shape(line: usize, what: &'static str) -> ImageListError {
    ImageListError::Shape {
        line,
        kind: ImageListKind::Dockerfile,
        what,
    }
}

impl Reader<'_> {
    fn quoting(&self) -> Quoting {
        Quoting::Dockerfile {
            escape: self.escape,
        }
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), ImageListError> {
        let line = instruction.line;
        let (keyword, rest) = words::split_word(&instruction.text);
        let keyword = keyword.to_ascii_lowercase();
        if !INSTRUCTIONS.contains(&keyword.as_str()) {
            return Err(ImageListError::Instruction {
                line,
                found: clean(&keyword, SHOWN),
            });
        }
        match keyword.as_str() {
            "from" => return self.from(rest, line),
            "arg" if self.stages == 0 => return self.argument(rest, line),
            _ if self.stages == 0 => {
                return Err(shape(line, "an instruction before the first FROM"));
            }
            _ => {}
        }
        let (keyword, rest) = match keyword.as_str() {
            "onbuild" => {
                let (inner, rest) = words::split_word(rest);
                (inner.to_ascii_lowercase(), rest)
            }
            _ => (keyword, rest),
        };
        let (flags, _) = words::flags(rest);
        for flag in flags {
            match (keyword.as_str(), flag.split_once('=')) {
                ("copy", Some(("--from", name))) => self.source(name, line, "COPY --from")?,
                ("run", Some(("--mount", mount))) => {
                    let fields = words::comma_separated(mount);
                    let fields = fields.ok_or_else(|| shape(line, "a mount with quotes"))?;
                    for field in fields {
                        if let Some((key, name)) = field.split_once('=')
                            && key.trim().eq_ignore_ascii_case("from")
                        {
                            self.source(name, line, "RUN --mount")?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn argument(&mut self, rest: &str, line: usize) -> Result<(), ImageListError> {
        let words = words::shell_words(rest, self.escape);
        for word in words.ok_or_else(|| shape(line, "an ARG with a quote that does not end"))? {
            let Some((name, default)) = word.split_once('=') else {
                // Without a default it hides none that was there before.
                continue;
            };
            // What a default is made of is told where it is used.
            let default = self.quietly(default, line)?;
            match default {
                Some(default) => self.arguments.insert(name.to_owned(), default),
                None => self.arguments.remove(name),
            };
            if self.arguments.len() > IMAGE_LIST_ARGUMENTS {
                return Err(ImageListError::TooMany {
                    what: "arguments",
                    limit: IMAGE_LIST_ARGUMENTS,
                });
            }
        }
        Ok(())
    }

    /// Puts values for variables without telling; `None` where one has no value. Most arguments are for no
    /// image, so that only the use of one may fail.
    fn quietly(&self, text: &str, line: usize) -> Result<Option<String>, ImageListError> {
        let mut untold = Collector::default();
        match expand(text, self.quoting(), &self.arguments, line, &mut untold) {
            Ok(value) => Ok(Some(value)),
            Err(
                ImageListError::Variable { .. }
                | ImageListError::VariableForm { .. }
                | ImageListError::Name { .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn from(&mut self, rest: &str, line: usize) -> Result<(), ImageListError> {
        let (base, name) = from(rest, line)?;
        let base = expand(base, self.quoting(), &self.arguments, line, self.found)?;
        // Only what was named before is a stage here.
        let is_stage = self.names.contains(&base.to_lowercase());
        let place = match name {
            Some(name) => format!("stage {}", clean(name, SHOWN)),
            None => format!("stage {}", self.stages),
        };
        self.stages += 1;
        self.pulled(&base, is_stage, line, &place)?;
        self.names.extend(name.map(str::to_lowercase));
        Ok(())
    }

    fn pulled(
        &mut self,
        name: &str,
        is_stage: bool,
        line: usize,
        place: &str,
    ) -> Result<(), ImageListError> {
        if is_stage {
            let name = clean(name, SHOWN);
            self.found.remark(line, RemarkKind::Stage { name })?;
        } else if name == "scratch" {
            self.found.remark(line, RemarkKind::Scratch)?;
        } else {
            self.found.image(name, line, place)?;
        }
        Ok(())
    }

    /// Tells an image from a stage where something is copied from: any stage of the file may be meant there,
    /// by its name or number.
    fn source(
        &mut self,
        name: &str,
        line: usize,
        what: &'static str,
    ) -> Result<(), ImageListError> {
        // BuildKit puts no values here.
        if name.contains('$') {
            return Err(ImageListError::VariableForm {
                line,
                found: clean(name, SHOWN),
            });
        }
        if name.is_empty() {
            return Ok(());
        }
        let is_stage = match name.parse::<i64>() {
            Err(_) => self.all_names.contains(&name.to_lowercase()),
            Ok(number) if usize::try_from(number).is_ok_and(|i| i < self.all_stages) => true,
            Ok(_) => return Err(shape(line, "the number of a stage that there is not")),
        };
        self.pulled(name, is_stage, line, what)
    }
}

#[cfg(test)]
mod tests;
