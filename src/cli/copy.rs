//! `keyless copy`.

use clap::{Args, ValueEnum};

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, note_exit, run_async};
use crate::diagnostic::Exit;
use crate::flow::copy::{CopyRequest, copy};
use crate::flow::push::Selection;
use crate::flow::survey::Purpose;
use crate::format::oci::PlatformFilter;
use crate::net::HttpClient;
use crate::output::Format;
use crate::output::attached::{transfer, transfer_text};

/// Part of what is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Signatures: bundles, and cosign's older format.
    Sig,
    /// Attestations, likewise.
    Att,
    /// SBOMs that cosign attached.
    Sbom,
    /// Whatever else is attached.
    Other,
}

impl From<Only> for Purpose {
    fn from(only: Only) -> Self {
        match only {
            Only::Sig => Purpose::Signature,
            Only::Att => Purpose::Attestation,
            Only::Sbom => Purpose::Sbom,
            Only::Other => Purpose::Other,
        }
    }
}

/// Copy an image with everything attached to it to another place. Nothing is verified.
///
/// An index with all its images; signatures, attestations and whatever else refers to them, and the tags of
/// cosign's older formats. Exact bytes are copied, so digests stay and signatures hold. What is there is not
/// sent again; a tag that points to something else is not moved without --force.
///
/// Example: keyless copy registry.example/app:v1 mirror.example/app:v1
#[derive(Debug, Args)]
pub(crate) struct CopyArguments {
    /// The image.
    #[arg(value_name = "SOURCE")]
    source: String,

    /// Where it goes; without a tag, to `latest`.
    #[arg(value_name = "DESTINATION")]
    destination: String,

    /// Of an index, copy only its image for this platform, OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformFilter>,

    /// Copy only what is attached, and of it only this. Repeatable, or joined by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<Only>,

    /// Point tags elsewhere that point to something else.
    #[arg(short, long)]
    force: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: CopyArguments, context: &Context) -> Exit {
    const COMMAND: &str = "copy";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let given = [arguments.source, arguments.destination];
    let settled = images(&given).and_then(|mut images| {
        let http = HttpClient::new();
        let from = arguments.registry.client(&http, &images, context)?;
        let to = from.beside_images();
        let destination = images.remove(1);
        Ok((from, to, images.remove(0), destination))
    });
    let (from, to, source, destination) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let request = CopyRequest {
        source,
        destination,
        platform: arguments.platform,
        selection: Selection {
            only: arguments.only.into_iter().map(Purpose::from).collect(),
            force: arguments.force,
        },
    };
    let report = context.report();
    let copied = match run_async(copy(&from, &to, &request, &report)) {
        Ok(copied) => copied,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let exit = note_exit(&copied.survey.root.problems());
    let destination = request.destination.to_string();
    for line in transfer_text("copied", &copied.survey, &destination, &copied.done) {
        output.line(line);
    }
    output.document(&transfer(
        COMMAND,
        &copied.survey,
        &destination,
        &copied.done,
        exit,
    ));
    finish(output, exit)
}
