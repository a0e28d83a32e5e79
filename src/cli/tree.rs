//! `keyless tree`.

use clap::Args;

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, note_exit, run_async};
use crate::diagnostic::Exit;
use crate::flow::survey::{Extent, Origin, Survey, survey};
use crate::net::HttpClient;
use crate::output::Format;
use crate::output::attached::{document, text};

/// Show everything that is attached to an image. Nothing is verified.
///
/// Bundles and other referrers, by the referrers API or the fallback tag, and the tags of cosign's older
/// formats; with what each says of itself. Whoever can write to the registry can attach anything.
///
/// Example: keyless tree registry.example/app:v1 --recursive
#[derive(Debug, Args)]
pub(crate) struct TreeArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Show the images of an index too, and what is attached to each.
    #[arg(short, long)]
    recursive: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: TreeArguments, context: &Context) -> Exit {
    const COMMAND: &str = "tree";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|images| {
        let http = HttpClient::new();
        let registry = arguments.registry.client(&http, &images, context)?;
        Ok((registry, images))
    });
    let (registry, images) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let extent = Extent {
        children: arguments.recursive,
        everything: false,
    };
    let surveyed = run_async(async {
        let (origin, held) = Origin::resolve(&registry, &images[0]).await?;
        survey(origin, held, extent).await
    });
    let surveyed: Survey = match surveyed {
        Ok(surveyed) => surveyed,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    for line in text(&surveyed, arguments.recursive) {
        output.line(line);
    }
    let exit = note_exit(&surveyed.root.problems());
    output.document(&document(&arguments.image, &surveyed, exit));
    finish(output, exit)
}
