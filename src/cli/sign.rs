//! `keyless sign`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::arguments::{
    AnnotationArguments, FormArgument, SigningArguments, TrustArguments, UsageError,
};
use super::images::ImagesArguments;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail, fail_with, finish, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::image_list::NamedImages;
use crate::flow::sign::SigningOptions;
use crate::flow::sign_image::{SignImageRequest, SignedImage, sign_images};
use crate::host::files::OutputFile;
use crate::host::hardening::harden;
use crate::net::HttpClient;
use crate::net::registry::Attached;
use crate::output::human::plain;
use crate::output::summary::Summary;
use crate::output::{Format, Output, document, human, note};

/// Sign images that exist in a registry, and attach the signatures.
///
/// Each tag is resolved once; its digest is signed. One key and one certificate serve all images of a call.
/// All or nothing: unless every signature is made, logged and verified, nothing is published.
///
/// Example: keyless sign registry.example/app@sha256:… --identity-token token.txt
#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    #[command(flatten)]
    images: ImagesArguments,

    #[command(flatten)]
    annotations: AnnotationArguments,

    /// Sign an index and every image in it, each by itself.
    #[arg(short, long)]
    recursive: bool,

    /// Form of the signature: a Sigstore bundle, or what cosign wrote before, for readers that know nothing
    /// else. The older form needs a Rekor v1 log.
    #[arg(long, value_enum, default_value_t = FormArgument::Bundle, value_name = "FORM")]
    format: FormArgument,

    /// Also write the bundle to this file; several as JSON lines.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// Replace the bundle file if it exists.
    #[arg(long)]
    overwrite: bool,

    /// Attach the signature to the image; --upload=false makes it without.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    upload: bool,

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

pub(crate) fn run(arguments: SignArguments, context: &Context) -> Exit {
    harden();
    let output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let (request, named) = match request(&arguments, &output, context) {
        Ok(request) => request,
        Err(error) => return fail_with(output, "sign", &*error),
    };
    let http = HttpClient::new();
    let registry = match arguments.registry.client(&http, &request.images, context) {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, "sign", &error),
    };
    let report = context.report();
    match run_async(sign_images(&http, &registry, request, &report)) {
        Ok(signed) => {
            let shown = Shown {
                command: "sign",
                verb: "signed",
                named: &named,
            };
            show_signed(output, &shown, &signed, context)
        }
        Err(error) => {
            note("nothing was published");
            fail_with(output, "sign", &error)
        }
    }
}

fn request(
    arguments: &SignArguments,
    shown: &Output,
    context: &Context,
) -> Result<(SignImageRequest, NamedImages), Box<dyn Diagnostic>> {
    if !arguments.upload && arguments.bundle.is_none() {
        return Err(Box::new(UsageError::Conflict {
            what: "--upload=false without --bundle would leave nothing behind",
            hint: "name a file with --bundle",
        }));
    }
    if arguments.images.reads_stdin() && arguments.signing.token_is_stdin() {
        return Err(Box::new(UsageError::Conflict {
            what: "standard input is to be both the images and the identity token",
            hint: "give the token in a file, or as SIGSTORE_ID_TOKEN",
        }));
    }
    let boxed = |error: UsageError| -> Box<dyn Diagnostic> { Box::new(error) };
    let bundle = arguments
        .bundle
        .as_deref()
        .map(|path| OutputFile::prepare(path, arguments.overwrite))
        .transpose()
        .map_err(|error| -> Box<dyn Diagnostic> { Box::new(error) })?;
    if bundle
        .as_ref()
        .is_some_and(|bundle| shown.is_same_place(bundle))
    {
        return Err(Box::new(UsageError::Conflict {
            what: "--bundle and --output-file would be the same file",
            hint: "give each a name of its own",
        }));
    }
    let annotations = arguments.annotations.map().map_err(boxed)?;
    let named = arguments.images.read(shown, context)?;
    let request = SignImageRequest {
        images: named.references.clone(),
        annotations,
        recursive: arguments.recursive,
        bundle,
        upload: arguments.upload,
        jobs: arguments.images.jobs(),
        signing: SigningOptions {
            form: arguments.format.into(),
            ..arguments.signing.options(&arguments.trust)
        },
    };
    Ok((request, named))
}

/// How a command shows what it made.
pub(super) struct Shown<'a> {
    /// The command, in the document.
    pub command: &'a str,
    /// What was done, in text.
    pub verb: &'a str,
    /// Where the images were named.
    pub named: &'a NamedImages,
}

/// Shows what became of each image.
pub(super) fn show_signed(
    mut output: Output,
    shown: &Shown<'_>,
    images: &[SignedImage],
    context: &Context,
) -> Exit {
    let mut exit = Exit::Accepted;
    for signed in images {
        match &signed.attached {
            Ok(how) => {
                output.line(format!(
                    "{} {}",
                    shown.verb,
                    plain(&signed.image.image.to_string())
                ));
                for line in human::verified(&signed.bundle.verified) {
                    output.line(line);
                }
                output.line(match how {
                    None => "  attached   no, as asked".to_owned(),
                    Some(Attached::ByApi) => "  attached   as a referrer".to_owned(),
                    Some(Attached::ByFallbackTag(_)) => {
                        "  attached   under the fallback tag (this registry has no referrers API)"
                            .to_owned()
                    }
                    Some(Attached::UnderTag(tag, _)) => format!(
                        "  attached   in the older form, under the tag {}",
                        tag.tag(&signed.image.image.digest())
                    ),
                });
                match how {
                    Some(Attached::ByFallbackTag(written)) if !written.settled => {
                        output.warn(&format!(
                            "other writers kept changing the fallback tag of {}; should the signature be lost \
                             there, `keyless attach bundle` puts it back",
                            signed.image.image
                        ));
                    }
                    Some(Attached::UnderTag(_, written)) if !written.settled => {
                        output.warn(&format!(
                            "other writers kept changing the tag with the signatures of {}; verify that this one \
                             is still there",
                            signed.image.image
                        ));
                    }
                    _ => {}
                }
            }
            Err(error) => {
                exit = exit.worst(fail(error));
                if let Some(origin) = shown.named.origin(&signed.image.given) {
                    note(format!("  named in {}", plain(&origin.to_string())));
                }
            }
        }
    }
    let summary = Summary::of(images.iter().map(SignedImage::exit));
    if let Some(line) = summary.line(shown.verb, "not attached") {
        context.note(&line);
    }
    output.document(&document::sign_images(
        shown.command,
        images,
        exit,
        &summary,
        shown.named,
    ));
    finish(output, exit)
}
