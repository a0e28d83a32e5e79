//! `keyless download`.

use clap::{Args, Subcommand};

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail, fail_with, finish, note_exit, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::download::{DownloadRequest, Wanted, download};
use crate::flow::image_tree::PlatformFilter;
use crate::format::predicate::WantedType;
use crate::net::HttpClient;
use crate::output::attached::{NOTICE, downloads};
use crate::output::{Format, escaped, note};

/// Print what is attached to an image, as it is stored. Nothing is verified.
#[derive(Debug, Args)]
pub(crate) struct DownloadArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print the signatures of an image, one JSON a line: bundles, and legacy signatures with their parts.
    ///
    /// Nothing is verified; `keyless verify` does.
    ///
    /// Example: keyless download signature registry.example/app:v1 > signatures.jsonl
    Signature(Box<SignatureArguments>),
    /// Print the attestations about an image, one JSON a line: bundles, and legacy envelopes.
    ///
    /// Nothing is verified; `keyless verify-attestation` does.
    ///
    /// Example: keyless download attestation registry.example/app:v1 --predicate-type slsaprovenance1
    Attestation(Box<AttestationArguments>),
    /// Print the bundles of an image, one JSON a line, whatever they are.
    ///
    /// Nothing is verified. `keyless attach bundle` attaches such a file elsewhere.
    ///
    /// Example: keyless download bundle registry.example/app:v1 > app.sigstore.jsonl
    Bundle(Box<AttestationArguments>),
}

#[derive(Debug, Args)]
struct SignatureArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// Of an index: what is attached to its image for this platform, OS/ARCHITECTURE or
    /// OS/ARCHITECTURE/VARIANT.
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<PlatformFilter>,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

#[derive(Debug, Args)]
struct AttestationArguments {
    /// Only those of this predicate type: one of cosign's names, or a URI.
    #[arg(long, value_name = "TYPE")]
    predicate_type: Option<String>,

    #[command(flatten)]
    common: SignatureArguments,
}

pub(crate) fn run(arguments: DownloadArguments, context: &Context) -> Exit {
    let (command, wanted, arguments, type_given) = match arguments.what {
        What::Signature(arguments) => ("download signature", Wanted::Signatures, *arguments, None),
        What::Attestation(arguments) => (
            "download attestation",
            Wanted::Attestations,
            arguments.common,
            arguments.predicate_type,
        ),
        What::Bundle(arguments) => (
            "download bundle",
            Wanted::Bundles,
            arguments.common,
            arguments.predicate_type,
        ),
    };
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
        Err(error) => return fail_with(output, command, &error),
    };
    let predicate_type = match type_given.as_deref().map(WantedType::parse).transpose() {
        Ok(wanted) => wanted,
        Err(error) => return fail_with(output, command, &error),
    };
    let request = DownloadRequest {
        image,
        wanted,
        platform: arguments.platform,
        predicate_type,
    };
    let downloaded = match run_async(download(&registry, &request)) {
        Ok(downloaded) => downloaded,
        Err(error) => return fail_with(output, command, &error),
    };
    for one in &downloaded.found {
        output.line(escaped(&one.line));
    }
    let mut exit = note_exit(&downloaded.survey.root.problems());
    for (digest, error) in &downloaded.failed {
        note(format!("{digest}:"));
        exit = exit.worst(fail(error as &dyn Diagnostic));
    }
    if !context.quiet {
        note(NOTICE);
    }
    output.document(&downloads(command, &downloaded, exit));
    finish(output, exit)
}
