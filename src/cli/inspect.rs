//! `keyless inspect`.

use std::path::Path;

use clap::Args;

use super::arguments::UsageError;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail, fail_with, finish, run_async};
use crate::diagnostic::Exit;
use crate::flow::inspect::inspect;
use crate::net::HttpClient;
use crate::net::registry::ImageReference;
use crate::output::Format;
use crate::output::inspect::{document, text};

/// Show what bundles, images and certificates say of themselves. Nothing is verified.
///
/// Who signed, through which issuer and workflow, when, and where it is logged; and the flags with which
/// `keyless verify` would accept that signer. A file is told by its content; what is no file is an image,
/// of which every attached bundle is shown. Needs no network for files.
///
/// Example: keyless inspect release.tar.gz.sigstore.json
#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// Bundle or certificate file (PEM, DER), - for standard input, or an image.
    #[arg(required = true, value_name = "BUNDLE|IMAGE|CERTIFICATE")]
    what: Vec<String>,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: InspectArguments, context: &Context) -> Exit {
    const COMMAND: &str = "inspect";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    if arguments.what.iter().filter(|what| *what == "-").count() > 1 {
        let error = UsageError::Conflict {
            what: "- is given more than once",
            hint: "standard input can be read only once",
        };
        return fail_with(output, COMMAND, &error);
    }
    let images: Vec<ImageReference> = arguments
        .what
        .iter()
        .filter(|what| !Path::new(what).exists())
        .filter_map(|what| what.parse().ok())
        .collect();
    let registry = arguments
        .registry
        .client(&HttpClient::new(), &images, context);
    let registry = match registry {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let inspected = run_async(inspect(&registry, &arguments.what));
    for line in text(&inspected) {
        output.line(line);
    }
    let errors = inspected.iter().filter_map(|one| one.error.as_ref());
    let exit = errors.fold(Exit::Accepted, |exit, error| exit.worst(fail(error)));
    output.document(&document(&inspected, exit));
    finish(output, exit)
}
