//! Why a file that names images is not read.

use super::ImageListKind;
use crate::diagnostic::{Diagnostic, Exit};

/// Why a file that names images is not read. Messages name no file; whoever opened it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageListError {
    /// It is larger than what is read of such files.
    #[error("more than {limit} bytes")]
    TooLarge {
        /// Bound in bytes.
        limit: usize,
    },
    /// It has more of something than one run takes.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// Bound.
        limit: usize,
    },
    /// It is not UTF-8.
    #[error("not UTF-8 text")]
    NotText {
        /// Where.
        line: usize,
    },
    /// Nothing tells what kind of file it is.
    #[error("neither a Kubernetes manifest nor a compose file")]
    UnknownKind {
        /// Where.
        line: usize,
    },
    /// It names no image.
    #[error("the {kind} names no image")]
    Empty {
        /// What it was read as.
        kind: ImageListKind,
    },
    /// What should be an image's name cannot be one.
    #[error("not the name of an image: {found:?}")]
    Name {
        /// Where.
        line: usize,
        /// As found, cut.
        found: String,
    },
    /// It is not YAML.
    #[error("not YAML: {cause}")]
    Yaml {
        /// Where.
        line: usize,
        /// What the reader of YAML says.
        cause: String,
    },
    /// It is YAML of a form that its readers understand differently, or that no manifest needs.
    #[error("{what}")]
    Ambiguous {
        /// Where.
        line: usize,
        /// What it is.
        what: &'static str,
    },
    /// A key stands twice in one mapping.
    #[error("the key {key:?} stands twice")]
    DuplicateKey {
        /// Where it stands again.
        line: usize,
        /// The key, cut.
        key: String,
    },
    /// It is nested too deep.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// Where.
        line: usize,
        /// Bound.
        limit: usize,
    },
    /// It has too many values, or its aliases stand for too many.
    #[error("more than {limit} values{}", if *.aliases { ", counting what aliases stand for" } else { "" })]
    TooManyValues {
        /// Where.
        line: usize,
        /// Bound.
        limit: usize,
        /// Whether aliases were counted.
        aliases: bool,
    },
    /// It has not the shape of its kind.
    #[error("not a {kind}: {what}")]
    Shape {
        /// Where.
        line: usize,
        /// The kind.
        kind: ImageListKind,
        /// What is wrong.
        what: &'static str,
    },
    /// What it names depends on a variable without a default.
    #[error("the image depends on the variable {name}, which has no default")]
    Variable {
        /// Where.
        line: usize,
        /// The variable.
        name: String,
    },
    /// A variable is used in a form that is not read.
    #[error("the variable in {found:?} is of a form that is not read")]
    VariableForm {
        /// Where.
        line: usize,
        /// As found, cut.
        found: String,
    },
    /// A Dockerfile has an instruction that there is not.
    #[error("no instruction of a Dockerfile: {found:?}")]
    Instruction {
        /// Where.
        line: usize,
        /// As found, cut.
        found: String,
    },
}

impl ImageListError {
    /// Returns the line it is about, from 1; `None` where it is about the whole file.
    pub fn line(&self) -> Option<usize> {
        match self {
            ImageListError::TooLarge { .. }
            | ImageListError::TooMany { .. }
            | ImageListError::Empty { .. } => None,
            ImageListError::NotText { line }
            | ImageListError::UnknownKind { line }
            | ImageListError::Name { line, .. }
            | ImageListError::Yaml { line, .. }
            | ImageListError::Ambiguous { line, .. }
            | ImageListError::DuplicateKey { line, .. }
            | ImageListError::TooDeep { line, .. }
            | ImageListError::TooManyValues { line, .. }
            | ImageListError::Shape { line, .. }
            | ImageListError::Variable { line, .. }
            | ImageListError::VariableForm { line, .. }
            | ImageListError::Instruction { line, .. } => Some(*line),
        }
    }
}

impl Diagnostic for ImageListError {
    fn code(&self) -> &'static str {
        match self {
            ImageListError::TooLarge { .. } => "image-list-too-large",
            ImageListError::TooMany { .. } => "image-list-too-many",
            ImageListError::NotText { .. } => "image-list-not-text",
            ImageListError::UnknownKind { .. } => "image-list-kind-unknown",
            ImageListError::Empty { .. } => "image-list-empty",
            ImageListError::Name { .. } => "image-list-name",
            ImageListError::Yaml { .. } => "image-list-yaml",
            ImageListError::Ambiguous { .. } => "image-list-ambiguous",
            ImageListError::DuplicateKey { .. } => "image-list-duplicate-key",
            ImageListError::TooDeep { .. } => "image-list-too-deep",
            ImageListError::TooManyValues { .. } => "image-list-too-many-values",
            ImageListError::Shape { .. } => "image-list-shape",
            ImageListError::Variable { .. } => "image-list-variable",
            ImageListError::VariableForm { .. } => "image-list-variable-form",
            ImageListError::Instruction { .. } => "image-list-instruction",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            ImageListError::UnknownKind { .. }
            | ImageListError::Shape { .. }
            | ImageListError::Instruction { .. } => {
                "--from-format says what kind of file it is: list, kubernetes, compose or dockerfile"
            }
            ImageListError::Yaml { .. } | ImageListError::Ambiguous { .. } => {
                "a template is rendered first, as in: helm template … | keyless verify --from - …"
            }
            ImageListError::Variable { .. } => {
                "have its own tool fill it in first (docker compose config), or write a default, as in ${NAME:-value}"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
