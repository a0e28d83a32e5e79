//! `keyless load`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, note_exit, run_async};
use crate::diagnostic::Exit;
use crate::flow::load::{LoadRequest, load};
use crate::net::HttpClient;
use crate::output::Format;
use crate::output::attached::{transfer, transfer_text};

/// Load an image with everything attached to it from an OCI image layout into a registry. Nothing is verified.
///
/// Reads what `keyless save`, `cosign save`, oras and others write. No link in the folder is followed, and
/// every digest is recomputed. What is there is not sent again; a tag that points to something else is not
/// moved without --force.
///
/// Example: keyless load mirror.example/app:v1 --dir app
#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    /// Where the image goes; without a tag, to `latest`.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The folder with the layout.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,

    /// Of several images in the layout, the one with this name or digest.
    #[arg(long, value_name = "NAME|DIGEST")]
    name: Option<String>,

    /// Point tags elsewhere that point to something else.
    #[arg(short, long)]
    force: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: LoadArguments, context: &Context) -> Exit {
    const COMMAND: &str = "load";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|mut images| {
        let http = HttpClient::new();
        let registry = arguments.registry.client(&http, &images, context)?;
        Ok((registry, images.remove(0)))
    });
    let (registry, destination) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let registry = registry.beside_images();
    let request = LoadRequest {
        folder: &arguments.dir,
        name: arguments.name.as_deref(),
        destination,
        force: arguments.force,
    };
    let report = context.report();
    let loaded = match run_async(load(&registry, &request, &report)) {
        Ok(loaded) => loaded,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let exit = note_exit(&loaded.survey.root.problems());
    let destination = request.destination.to_string();
    for line in transfer_text("loaded", &loaded.survey, &destination, &loaded.done) {
        output.line(line);
    }
    output.document(&transfer(
        COMMAND,
        &loaded.survey,
        &destination,
        &loaded.done,
        exit,
    ));
    finish(output, exit)
}
