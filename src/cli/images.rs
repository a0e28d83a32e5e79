//! Which images a command is about, and how many at a time.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::arguments::{DEFAULT_JOBS, UsageError};
use super::{Context, boxed};
use crate::diagnostic::Diagnostic;
use crate::flow::image_list::{ImageSources, NamedImages};
use crate::format::image_list::ImageListKind;
use crate::output::Output;

/// Kind of a file that names images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FromFormat {
    /// By name and content.
    Auto,
    /// One image a line; # begins a comment.
    List,
    /// Manifests, YAML or JSON: containers and image volumes, wherever a pod is described.
    Kubernetes,
    /// services.*.image.
    Compose,
    /// FROM, COPY --from and RUN --mount=from.
    Dockerfile,
}

/// Images, and how many at a time.
#[derive(Debug, Args)]
pub(crate) struct ImagesArguments {
    /// Images, best by digest.
    #[arg(required_unless_present = "from", value_name = "IMAGE")]
    pub images: Vec<String>,

    /// Also the images that this file names: a list, a Kubernetes manifest, a compose file or a Dockerfile; - is
    /// standard input. Repeatable.
    #[arg(long, value_name = "FILE")]
    pub from: Vec<PathBuf>,

    /// What kind of file --from names.
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        default_value_t = FromFormat::Auto,
        requires = "from"
    )]
    from_format: FromFormat,

    /// Images that are worked on at a time.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = DEFAULT_JOBS as u16,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    jobs: u16,
}

impl ImagesArguments {
    /// Returns how many images are worked on at a time.
    pub fn jobs(&self) -> usize {
        usize::from(self.jobs)
    }

    /// Returns whether standard input names images.
    pub fn reads_stdin(&self) -> bool {
        self.from.iter().any(|file| file == Path::new("-"))
    }

    /// Reads which images are meant, and tells what files left out.
    pub fn read(
        &self,
        output: &Output,
        context: &Context,
    ) -> Result<NamedImages, Box<dyn Diagnostic>> {
        let stdin = self.from.iter().filter(|file| *file == Path::new("-"));
        match stdin.count() {
            0 => {}
            1 if std::io::stdin().is_terminal() => {
                context.note("reading images from the terminal; end with Ctrl-D");
            }
            1 => {}
            _ => {
                return Err(boxed(UsageError::Conflict {
                    what: "standard input is given twice, and can be read once",
                    hint: "give --from - once",
                }));
            }
        }
        if let Some(file) = self.images.iter().find(|image| is_file(image)) {
            return Err(boxed(UsageError::IsFile {
                found: file.clone(),
            }));
        }
        let sources = ImageSources {
            given: self.images.clone(),
            files: self.from.clone(),
            kind: self.from_format.kind(),
        };
        let named = NamedImages::read(&sources).map_err(boxed)?;
        for remark in &named.remarks {
            match remark.remark.kind.is_warning() {
                true => output.warn(&remark.to_string()),
                false => context.note(&remark.to_string()),
            }
        }
        Ok(named)
    }
}

/// Tells a file that was given as an image: it is there, or can be nothing else. An image of its name is named with
/// its tag or digest.
fn is_file(text: &str) -> bool {
    let is_path = ["/", "./", "../"]
        .iter()
        .any(|start| text.starts_with(start));
    is_path || (!text.contains([':', '@']) && Path::new(text).is_file())
}

impl FromFormat {
    fn kind(self) -> Option<ImageListKind> {
        match self {
            FromFormat::Auto => None,
            FromFormat::List => Some(ImageListKind::List),
            FromFormat::Kubernetes => Some(ImageListKind::Kubernetes),
            FromFormat::Compose => Some(ImageListKind::Compose),
            FromFormat::Dockerfile => Some(ImageListKind::Dockerfile),
        }
    }
}
