//! `keyless version`.

use clap::Args;
use serde_json::json;

use super::{Context, finish};
use crate::diagnostic::Exit;
use crate::output::{Format, document};

/// Show the version.
#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,
}

pub(crate) fn run(arguments: &VersionArguments, context: &Context) -> Exit {
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let version = env!("CARGO_PKG_VERSION");
    output.line(format!("keyless {version}"));
    output.document(&document::head(
        "version",
        Exit::Accepted,
        [("version", json!(version))],
    ));
    finish(output, Exit::Accepted)
}
