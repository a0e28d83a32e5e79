//! Files that name images: a plain list, Kubernetes manifests, a compose file, a Dockerfile.
//!
//! What is read is the images that the file's own tool would pull. Where that cannot be told from the file
//! alone (a variable without a default, a key that stands twice, a document of another kind) the file is
//! refused: an image that was overlooked would pass as judged. What is left out on purpose is a [`Remark`].
//! Whether a name is a good reference is not judged here.

mod compose;
mod detect;
mod dockerfile;
mod error;
mod kubernetes;
mod list;
mod remark;
mod variables;
mod yaml;

use std::collections::BTreeSet;
use std::fmt;

pub use error::ImageListError;
pub use remark::{Remark, RemarkKind};

use super::limits::{IMAGE_LIST_LEN, IMAGE_NAME_LEN, LISTED_IMAGES};
use crate::diagnostic::clean;

/// Longest that a name from the file is shown.
const SHOWN: usize = 80;

/// What kind of file names the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageListKind {
    /// One reference a line.
    List,
    /// Kubernetes manifests, YAML or JSON.
    Kubernetes,
    /// A compose file.
    Compose,
    /// A Dockerfile.
    Dockerfile,
}

impl fmt::Display for ImageListKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ImageListKind::List => "list of images",
            ImageListKind::Kubernetes => "Kubernetes manifest",
            ImageListKind::Compose => "compose file",
            ImageListKind::Dockerfile => "Dockerfile",
        })
    }
}

/// An image that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// The name, as the file's tool would read it; not yet a reference.
    pub reference: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// Where it stands, such as `service db`; empty in a plain list. Without control characters.
    pub place: String,
}

/// What a file says about images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageList {
    /// What the file was read as.
    pub kind: ImageListKind,
    /// The images in the file's order, each once; at least one.
    pub images: Vec<ListedImage>,
    /// What was left out, or taken for granted.
    pub remarks: Vec<Remark>,
}

impl ImageList {
    /// Reads a file, of a kind that is told by its name and content if none is given.
    ///
    /// # Errors
    /// [`ImageListError`]; a file that names no image is one.
    pub fn parse(
        bytes: &[u8],
        name: &str,
        kind: Option<ImageListKind>,
    ) -> Result<Self, ImageListError> {
        if bytes.len() > IMAGE_LIST_LEN {
            return Err(ImageListError::TooLarge {
                limit: IMAGE_LIST_LEN,
            });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ImageListError::NotText {
            line: line_at(bytes, error.valid_up_to()),
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let kind = match kind {
            Some(kind) => kind,
            None => detect::kind(text, name)?,
        };
        let mut found = Collector::default();
        match kind {
            ImageListKind::List => list::read(text, &mut found)?,
            ImageListKind::Kubernetes => kubernetes::read(text, &mut found)?,
            ImageListKind::Compose => compose::read(text, &mut found)?,
            ImageListKind::Dockerfile => dockerfile::read(text, &mut found)?,
        }
        if found.images.is_empty() {
            return Err(ImageListError::Empty { kind });
        }
        Ok(ImageList {
            kind,
            images: found.images,
            remarks: found.remarks,
        })
    }
}

/// Line of a place in bytes, from 1.
fn line_at(bytes: &[u8], place: usize) -> usize {
    1 + bytes[..place].iter().filter(|byte| **byte == b'\n').count()
}

/// Collects what a reader finds, within bounds.
#[derive(Debug, Default)]
struct Collector {
    images: Vec<ListedImage>,
    names: BTreeSet<String>,
    remarks: Vec<Remark>,
    defaults: BTreeSet<(String, String)>,
}

impl Collector {
    /// Adds an image, unless it is there already.
    fn image(&mut self, name: &str, line: usize, place: &str) -> Result<(), ImageListError> {
        let is_unfit = |c: char| c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > IMAGE_NAME_LEN || name.contains(is_unfit) {
            return Err(ImageListError::Name {
                line,
                found: clean(name, SHOWN),
            });
        }
        if self.names.contains(name) {
            return Ok(());
        }
        if self.images.len() >= LISTED_IMAGES {
            return Err(ImageListError::TooMany {
                what: "images",
                limit: LISTED_IMAGES,
            });
        }
        self.names.insert(name.to_owned());
        self.images.push(ListedImage {
            reference: name.to_owned(),
            line,
            place: place.to_owned(),
        });
        Ok(())
    }

    /// Adds a remark. That a variable has its default is told once, however often it is used.
    fn remark(&mut self, line: usize, kind: RemarkKind) -> Result<(), ImageListError> {
        if let RemarkKind::DefaultTaken { name, value } = &kind
            && !self.defaults.insert((name.clone(), value.clone()))
        {
            return Ok(());
        }
        if self.remarks.len() >= LISTED_IMAGES {
            return Err(ImageListError::TooMany {
                what: "things that are left out",
                limit: LISTED_IMAGES,
            });
        }
        self.remarks.push(Remark { line, kind });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
