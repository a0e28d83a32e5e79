//! What a reader of images left out, or took for granted.

use std::fmt;

/// What the user should know about a file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Line of the file, from 1.
    pub line: usize,
    /// What.
    pub kind: RemarkKind,
}

/// Kinds of remarks. Names in them are cut and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemarkKind {
    /// A stage of a Dockerfile begins with nothing.
    Scratch,
    /// A stage of a Dockerfile begins with another, or copies from it.
    Stage {
        /// The other.
        name: String,
    },
    /// A Dockerfile names the image that reads it.
    Frontend {
        /// The image.
        image: String,
    },
    /// A compose service is built, and its image has no name.
    Built {
        /// The service.
        service: String,
    },
    /// A compose service takes its image from another service, file or provider.
    Elsewhere {
        /// The service.
        service: String,
    },
    /// A compose file includes others.
    Included,
    /// A container has no image.
    NoImage {
        /// The container.
        place: String,
    },
    /// A custom resource has an image outside containers.
    CustomResource {
        /// The resource.
        object: String,
        /// The image.
        image: String,
    },
    /// A variable was taken to have its default.
    DefaultTaken {
        /// The variable.
        name: String,
        /// The default.
        value: String,
    },
}

impl RemarkKind {
    /// Returns whether an image may have been overlooked, or taken for another: more than a thing that is no
    /// image at all.
    pub fn is_warning(&self) -> bool {
        match self {
            RemarkKind::Scratch | RemarkKind::Stage { .. } | RemarkKind::Built { .. } => false,
            RemarkKind::Frontend { .. }
            | RemarkKind::Elsewhere { .. }
            | RemarkKind::Included
            | RemarkKind::NoImage { .. }
            | RemarkKind::CustomResource { .. }
            | RemarkKind::DefaultTaken { .. } => true,
        }
    }
}

impl fmt::Display for RemarkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemarkKind::Scratch => write!(f, "left out scratch, which is no image"),
            RemarkKind::Stage { name } => write!(f, "left out {name}, a stage of the same file"),
            RemarkKind::Frontend { image } => write!(
                f,
                "left out {image}, which reads the Dockerfile and is no part of what is built"
            ),
            RemarkKind::Built { service } => {
                write!(f, "left out service {service}, which is built here")
            }
            RemarkKind::Elsewhere { service } => write!(
                f,
                "left out service {service}, whose image is not named in this file"
            ),
            RemarkKind::Included => write!(f, "left out the files that this one includes"),
            RemarkKind::NoImage { place } => write!(f, "left out {place}, which has no image"),
            RemarkKind::CustomResource { object, image } => write!(
                f,
                "left out {image} of {object}, a custom resource in which only containers are read"
            ),
            RemarkKind::DefaultTaken { name, value } => write!(
                f,
                "{name} was taken to be {value:?}, its default; with another value this may be another image"
            ),
        }
    }
}
