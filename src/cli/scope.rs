//! Which images of an index a verdict is about.

use clap::Args;

use super::arguments::{Typed, UsageError};
use crate::flow::verify_image::Scope;
use crate::format::oci::PlatformFilter;

/// Index and children.
#[derive(Debug, Args)]
#[command(next_help_heading = "Index")]
pub(crate) struct ScopeArguments {
    /// Judge an index and every image in it, each by its own signatures.
    #[arg(short, long)]
    pub recursive: bool,

    /// Judge the images of this platform that an index lists; with --recursive the index too.
    /// OS/ARCHITECTURE[/VARIANT], repeatable.
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<PlatformFilter>,

    /// Take a listed image without any signature as signed if the index that lists it is accepted. Needs
    /// --recursive or --platform.
    #[arg(long)]
    pub accept_listed: bool,
}

impl ScopeArguments {
    /// Returns what is to be judged.
    pub fn scope(&self) -> Result<Scope, UsageError> {
        if self.accept_listed && !self.recursive && self.platform.is_empty() {
            return Err(UsageError::Conflict {
                what: "--accept-listed is about the images of an index, and none are asked for",
                hint: "add --recursive or --platform",
            });
        }
        Ok(Scope {
            recursive: self.recursive,
            platforms: self.platform.clone(),
            listed_is_enough: self.accept_listed,
        })
    }

    /// Returns the options as they would be typed.
    pub fn words(&self) -> Vec<Typed> {
        let flag = |name, given: bool| given.then_some((name, None));
        let platforms = self.platform.iter();
        let mut words: Vec<Typed> = platforms
            .map(|platform| ("--platform", Some(platform.to_string())))
            .collect();
        words.extend(flag("--recursive", self.recursive));
        words.extend(flag("--accept-listed", self.accept_listed));
        words
    }
}
