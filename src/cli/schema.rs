//! `keyless schema`.

use clap::Args;

use super::{Context, finish};
use crate::diagnostic::Exit;
use crate::output::{Format, SCHEMA};

/// Print the JSON Schema of every document.
///
/// It describes what each command prints with --output json, JSON Schema 2020-12.
///
/// Example: keyless schema --output-file keyless.schema.json
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {}

pub(crate) fn run(context: &Context) -> Exit {
    match context.output(Format::Text) {
        Ok(mut output) => {
            output.raw(SCHEMA);
            finish(output, Exit::Accepted)
        }
        Err(exit) => exit,
    }
}
