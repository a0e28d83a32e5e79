//! Which images a command is about: those of its arguments, and those that files name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Exit};
use crate::format::image_list::{ImageList, ImageListError, ImageListKind, Remark};
use crate::format::limits::{IMAGE_LIST_LEN, LISTED_IMAGES};
use crate::host::files::{FileError, read_bounded_within};
use crate::net::registry::{ImageReference, RegistryError};

/// Longest that standard input, or a pipe, is waited for: what writes to it may ask a cluster first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the images of a command are named.
#[derive(Debug, Clone, Default)]
pub struct ImageSources {
    /// References as given.
    pub given: Vec<String>,
    /// Files; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// What kind the files are of; told by name and content if none is given.
    pub kind: Option<ImageListKind>,
}

/// Images of a command.
#[derive(Debug, Default)]
pub struct NamedImages {
    /// The images in the order in which they are named, each once.
    pub references: Vec<ImageReference>,
    /// What files left out, or took for granted.
    pub remarks: Vec<FileRemark>,
    known: BTreeSet<String>,
    origins: BTreeMap<String, Origin>,
}

/// Where a file names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file; `-` is standard input.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What of the file it is, such as `service db`; may be empty.
    pub place: String,
}

/// A remark, and the file that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRemark {
    /// The file.
    pub file: String,
    /// What.
    pub remark: Remark,
}

/// Why it cannot be said which images are meant.
#[derive(Debug, thiserror::Error)]
pub enum NamedImagesError {
    /// A file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// A file names no images that could be told.
    #[error("{}{error}", at(.file, .error.line()))]
    List {
        /// The file.
        file: String,
        /// Why.
        error: ImageListError,
    },
    /// A name is no image reference.
    #[error("{}{error}", .origin.as_ref().map(|o| at(&o.file, Some(o.line))).unwrap_or_default())]
    Reference {
        /// Where a file has it.
        origin: Option<Origin>,
        /// Why.
        error: Box<RegistryError>,
    },
    /// All together they are more than one run takes.
    #[error("more than {limit} images")]
    TooMany {
        /// Bound.
        limit: usize,
    },
}

/// Begins a message about a place in a file.
fn at(file: &str, line: Option<usize>) -> String {
    let file = match file {
        "-" => "standard input",
        file => file,
    };
    match line {
        Some(line) => format!("{file}, line {line}: "),
        None => format!("{file}: "),
    }
}

impl Diagnostic for NamedImagesError {
    fn code(&self) -> &'static str {
        match self {
            NamedImagesError::File(error) => error.code(),
            NamedImagesError::List { error, .. } => error.code(),
            NamedImagesError::Reference { error, .. } => error.code(),
            NamedImagesError::TooMany { .. } => "image-list-too-many",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            NamedImagesError::File(error) => error.exit(),
            NamedImagesError::List { error, .. } => error.exit(),
            // Nothing was asked of a registry.
            NamedImagesError::Reference { .. } | NamedImagesError::TooMany { .. } => Exit::Usage,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            NamedImagesError::File(error) => error.details(),
            NamedImagesError::List { error, .. } => error.details(),
            NamedImagesError::Reference { origin, error } => {
                let place = origin.as_ref().map(|origin| origin.place.clone());
                let place = place.filter(|place| !place.is_empty());
                let place = place.into_iter().map(|place| ("place", place));
                place.chain(error.details()).collect()
            }
            NamedImagesError::TooMany { .. } => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            NamedImagesError::File(error) => error.hint(),
            NamedImagesError::List { error, .. } => error.hint(),
            NamedImagesError::Reference { error, .. } => error.hint(),
            NamedImagesError::TooMany { .. } => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(at(&self.file, Some(self.line)).trim_end_matches(": "))?;
        match self.place.as_str() {
            "" => Ok(()),
            place => write!(f, ", {place}"),
        }
    }
}

impl fmt::Display for FileRemark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remark { line, kind } = &self.remark;
        write!(f, "{}{kind}", at(&self.file, Some(*line)))
    }
}

impl NamedImages {
    /// Reads what is named; no registry is asked.
    ///
    /// # Errors
    /// [`NamedImagesError`]. One that cannot be told stops all: images that were left out would not be missed.
    pub fn read(sources: &ImageSources) -> Result<Self, NamedImagesError> {
        let mut named = NamedImages::default();
        for given in &sources.given {
            named.add(given, None)?;
        }
        for path in &sources.files {
            named.add_file(path, sources.kind)?;
        }
        Ok(named)
    }

    /// Returns where a file names an image; `None` for one that is an argument, or was found in an index.
    pub fn origin(&self, reference: &str) -> Option<&Origin> {
        self.origins.get(reference)
    }

    fn add_file(
        &mut self,
        path: &Path,
        kind: Option<ImageListKind>,
    ) -> Result<(), NamedImagesError> {
        let file = path.display().to_string();
        let bytes = read_bounded_within(path, IMAGE_LIST_LEN as u64, PATIENCE)?;
        let list = ImageList::parse(&bytes, &file, kind);
        let list = list.map_err(|error| NamedImagesError::List {
            file: file.clone(),
            error,
        })?;
        for image in list.images {
            let origin = Origin {
                file: file.clone(),
                line: image.line,
                place: image.place,
            };
            self.add(&image.reference, Some(origin))?;
        }
        self.remarks
            .extend(list.remarks.into_iter().map(|remark| FileRemark {
                file: file.clone(),
                remark,
            }));
        Ok(())
    }

    fn add(&mut self, text: &str, origin: Option<Origin>) -> Result<(), NamedImagesError> {
        let reference = match text.parse::<ImageReference>() {
            Ok(reference) => reference,
            Err(error) => {
                let error = Box::new(error);
                return Err(NamedImagesError::Reference { origin, error });
            }
        };
        let shown = reference.to_string();
        if self.known.contains(&shown) {
            return Ok(());
        }
        if self.references.len() >= LISTED_IMAGES {
            return Err(NamedImagesError::TooMany {
                limit: LISTED_IMAGES,
            });
        }
        if let Some(origin) = origin {
            self.origins.insert(shown.clone(), origin);
        }
        self.known.insert(shown);
        self.references.push(reference);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[&str], files: &[&Path]) -> Result<NamedImages, NamedImagesError> {
        NamedImages::read(&ImageSources {
            given: given.iter().map(|one| (*one).to_owned()).collect(),
            files: files.iter().map(|one| one.to_path_buf()).collect(),
            kind: None,
        })
    }

    #[test]
    fn arguments_come_first_and_each_image_once() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("list.txt");
        let compose = dir.path().join("compose.yaml");
        std::fs::write(&list, "docker.io/library/a:latest\nregistry.example/b:1\n").unwrap();
        std::fs::write(
            &compose,
            "services:\n  c: {image: registry.example/c}\n  d: {build: .}\n  b: {image: registry.example/b:1}\n",
        )
        .unwrap();
        let named = read(&["a", "a:latest"], &[&list, &compose]).unwrap();
        let shown: Vec<String> = named.references.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert_eq!(named.origin(&shown[0]), None);
        let of = |i: usize| named.origin(&shown[i]).unwrap().to_string();
        assert_eq!(of(1), format!("{}, line 2", list.display()));
        assert_eq!(of(2), format!("{}, line 2, service c", compose.display()));
        assert_eq!(
            named.remarks[0].to_string(),
            format!(
                "{}, line 3: left out service d, which is built here",
                compose.display()
            )
        );
    }

    #[test]
    fn a_fault_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("compose.yaml");
        let refused = |text: &str, code: &str, message: &str| {
            std::fs::write(&path, text).unwrap();
            let error = read(&["a"], &[&path]).unwrap_err();
            assert_eq!((error.code(), error.exit()), (code, Exit::Usage));
            let shown = error.to_string();
            let expected = format!("{}{message}", path.display());
            assert!(shown.starts_with(&expected), "{shown}");
        };
        refused(
            "services:\n  a:\n    image: a\n  b:\n    image: b\u{e9}\n",
            "image-reference-malformed",
            ", line 5: malformed image reference",
        );
        refused(
            "services: {a: {build: .}}",
            "image-list-empty",
            ": the compose file names no image",
        );
        refused(
            "services:\n  a: {image: $X}\n",
            "image-list-variable",
            ", line 2: the image depends on the variable X",
        );
        let error = read(&["A B"], &[]).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let error = read(&["a"], &[&dir.path().join("none")]).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("file-not-found", Exit::File));
    }

    #[test]
    fn all_files_together_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let list: String = (0..LISTED_IMAGES).map(|i| format!("a{i}\n")).collect();
        std::fs::write(&one, &list).unwrap();
        std::fs::write(&other, "a0\n").unwrap();
        assert_eq!(
            read(&["a1"], &[&one, &other]).unwrap().references.len(),
            LISTED_IMAGES
        );
        let error = read(&["b"], &[&one]).unwrap_err();
        assert_eq!(error.code(), "image-list-too-many");
    }
}
