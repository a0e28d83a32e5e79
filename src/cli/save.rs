//! `keyless save`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, note_exit, run_async};
use crate::diagnostic::Exit;
use crate::flow::save::{SaveRequest, save};
use crate::format::oci::PlatformFilter;
use crate::net::HttpClient;
use crate::output::Format;
use crate::output::attached::{transfer, transfer_text};

/// Save an image with everything attached to it as an OCI image layout. Nothing is verified.
///
/// The folder can be carried to where there is no network, verified there with `keyless verify --local-image`,
/// and loaded into another registry, by `keyless load` or `cosign load`. An interrupted save goes on where it
/// was.
///
/// Example: keyless save registry.example/app:v1 --dir app
#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The folder; made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,

    /// Of an index, save only its image for this platform, OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformFilter>,

    /// Put the image in the place of the layout that is in the folder.
    #[arg(long)]
    overwrite: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: SaveArguments, context: &Context) -> Exit {
    const COMMAND: &str = "save";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|mut images| {
        let http = HttpClient::new();
        let registry = arguments.registry.client(&http, &images, context)?;
        Ok((registry, images.remove(0)))
    });
    let (registry, image) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let request = SaveRequest {
        image,
        folder: arguments.dir,
        platform: arguments.platform,
        overwrite: arguments.overwrite,
    };
    let report = context.report();
    let saved = match run_async(save(&registry, &request, &report)) {
        Ok(saved) => saved,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let exit = note_exit(&saved.survey.root.problems());
    let folder = request.folder.display().to_string();
    for line in transfer_text("saved", &saved.survey, &folder, &saved.done) {
        output.line(line);
    }
    output.document(&transfer(
        COMMAND,
        &saved.survey,
        &folder,
        &saved.done,
        exit,
    ));
    finish(output, exit)
}
