//! `keyless attest`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::arguments::{FormArgument, SigningArguments, TrustArguments, UsageError};
use super::images::ImagesArguments;
use super::predicate_arguments::AttestedArguments;
use super::registry_arguments::RegistryArguments;
use super::sign::{Shown, show_signed};
use super::{Context, boxed, fail_with, note_nothing_published, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::attest_image::{AttestImageRequest, attest_images};
use crate::flow::image_list::NamedImages;
use crate::flow::sign::SigningOptions;
use crate::host::files::OutputFile;
use crate::host::hardening::harden;
use crate::net::HttpClient;
use crate::output::{Format, Output};

/// Attest something about images that exist in a registry, and attach the attestations.
///
/// One statement for each image, with the predicate as it is given. A predicate of a known type is checked
/// against it first. One key and one certificate serve all images of a call. All or nothing: unless every
/// attestation is made, logged and verified, nothing is published.
///
/// Example: keyless attest registry.example/app@sha256:… --type cyclonedx --predicate sbom.json
#[derive(Debug, Args)]
pub(crate) struct AttestArguments {
    #[command(flatten)]
    images: ImagesArguments,

    #[command(flatten)]
    attested: AttestedArguments,

    /// Attest an index and every image in it, each by itself.
    #[arg(short, long)]
    recursive: bool,

    /// Form of the attestation: a Sigstore bundle, or what cosign wrote before, for readers that know nothing
    /// else. The older form needs a Rekor v1 log.
    #[arg(long, value_enum, default_value_t = FormArgument::Bundle, value_name = "FORM")]
    format: FormArgument,

    /// Also write the bundle to this file; several as JSON lines.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// Replace the bundle file if it exists.
    #[arg(long)]
    overwrite: bool,

    /// Attach the attestation to the image; --upload=false makes it without.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    upload: bool,

    /// As --upload=false; accepted so that scripts for cosign work.
    #[arg(long, hide = true)]
    no_upload: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

const COMMAND: &str = "attest";

pub(crate) fn run(arguments: AttestArguments, context: &Context) -> Exit {
    harden();
    let output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let (request, named) = match request(&arguments, &output, context) {
        Ok(request) => request,
        Err(error) => return fail_with(output, COMMAND, &*error),
    };
    let http = HttpClient::new();
    let registry = match arguments.registry.client(&http, &request.images, context) {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let report = context.report();
    match run_async(attest_images(&http, &registry, request, &report)) {
        Ok(attested) => {
            let shown = Shown {
                command: COMMAND,
                verb: "attested",
                named: &named,
            };
            show_signed(output, &shown, &attested, context)
        }
        Err(error) => {
            note_nothing_published();
            fail_with(output, COMMAND, &error)
        }
    }
}

fn request(
    arguments: &AttestArguments,
    shown: &Output,
    context: &Context,
) -> Result<(AttestImageRequest, NamedImages), Box<dyn Diagnostic>> {
    let conflict = |what, hint| boxed(UsageError::Conflict { what, hint });
    let upload = arguments.upload && !arguments.no_upload;
    if !upload && arguments.bundle.is_none() {
        return Err(conflict(
            "--upload=false without --bundle would leave nothing behind",
            "name a file with --bundle",
        ));
    }
    let bundle = arguments.bundle.as_deref();
    let bundle = bundle
        .map(|path| OutputFile::prepare(path, arguments.overwrite))
        .transpose()
        .map_err(boxed)?;
    if bundle
        .as_ref()
        .is_some_and(|bundle| shown.is_same_place(bundle))
    {
        return Err(conflict(
            "--bundle and --output-file would be the same file",
            "give each a name of its own",
        ));
    }
    let named = arguments.images.read(shown, context)?;
    let request = AttestImageRequest {
        images: named.references.clone(),
        attested: arguments
            .attested
            .read(arguments.registry.attachments.max_attachment_size)?,
        recursive: arguments.recursive,
        bundle,
        upload,
        jobs: arguments.images.jobs(),
        signing: SigningOptions {
            form: arguments.format.into(),
            ..arguments.signing.options(&arguments.trust)
        },
    };
    Ok((request, named))
}
