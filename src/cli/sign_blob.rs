//! `keyless sign-blob`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{FormArgument, SigningArguments, TrustArguments, UsageError};
use super::{Context, fail_with, finish, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign::SigningOptions;
use crate::flow::sign_blob::{BlobSource, SignBlobError, SignBlobRequest, sign_blobs};
use crate::flow::verify_blob::default_bundle_path;
use crate::host::files::{FileError, OutputFile};
use crate::host::hardening::harden;
use crate::net::HttpClient;
use crate::output::human::{self, plain};
use crate::output::{Format, Output, document, note};

/// Sign files; the bundle of FILE is written to FILE.sigstore.json.
///
/// Files are read once, at constant memory, whatever their size.
///
/// Example: keyless sign-blob release.tar.gz
#[derive(Debug, Args)]
pub(crate) struct SignBlobArguments {
    /// Files; - for standard input, or sha256:… for a file that is elsewhere.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,

    /// Where to write the bundle, for one file.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// Form of the bundle: a Sigstore bundle, or the JSON that cosign wrote before, for readers that know
    /// nothing else. The older form needs a Rekor v1 log.
    #[arg(long, value_enum, default_value_t = FormArgument::Bundle, value_name = "FORM")]
    format: FormArgument,

    /// Also write the signature to this file, base64; for one file.
    #[arg(long, value_name = "FILE")]
    output_signature: Option<PathBuf>,

    /// Also write the certificate to this file, PEM; for one file.
    #[arg(long, value_name = "FILE")]
    output_certificate: Option<PathBuf>,

    /// Replace bundles that exist.
    #[arg(long)]
    overwrite: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    trust: TrustArguments,
}

pub(crate) fn run(arguments: SignBlobArguments, context: &Context) -> Exit {
    harden();
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let request = match request(&arguments, &output) {
        Ok(request) => request,
        Err(error) => return fail_with(output, "sign-blob", &*error),
    };
    let report = context.report();
    match run_async(sign_blobs(&HttpClient::new(), request, &report)) {
        Ok(signed) => {
            for blob in &signed {
                output.line(format!(
                    "signed {} ({})",
                    plain(&blob.source.to_string()),
                    blob.digest
                ));
                output.line(format!(
                    "  bundle     {}",
                    plain(&blob.path.display().to_string())
                ));
                for line in human::verified(&blob.bundle.verified) {
                    output.line(line);
                }
            }
            output.document(&document::sign_blobs(&signed));
            finish(output, Exit::Accepted)
        }
        Err(error) => {
            if !matches!(error, SignBlobError::Unwritten(_)) {
                note("no bundle was written");
            }
            fail_with(output, "sign-blob", &error)
        }
    }
}

fn request(
    arguments: &SignBlobArguments,
    shown: &Output,
) -> Result<SignBlobRequest, Box<dyn Diagnostic>> {
    let conflict = |what, hint| -> Result<PathBuf, Box<dyn Diagnostic>> {
        Err(Box::new(UsageError::Conflict { what, hint }))
    };
    let stdin = |name: &&String| name.as_str() == "-";
    if arguments.files.iter().filter(stdin).count()
        + usize::from(
            arguments
                .signing
                .identity_token
                .as_ref()
                .is_some_and(|token| token.expose() == "-"),
        )
        > 1
    {
        conflict(
            "standard input can be read once",
            "give the token in a file",
        )?;
    }
    let mut blobs = Vec::new();
    for name in &arguments.files {
        let source = BlobSource::parse(name);
        let path = match (&arguments.bundle, &source) {
            (Some(_), _) if arguments.files.len() > 1 => conflict(
                "--bundle names one file, and several are to be signed",
                "leave --bundle out",
            )?,
            (Some(path), _) => path.clone(),
            (None, BlobSource::File(path)) if path != Path::new("-") => default_bundle_path(path),
            (None, _) => conflict(
                "a digest and standard input have no name for their bundle",
                "name a file with --bundle",
            )?,
        };
        if let BlobSource::File(path) = &source
            && path != Path::new("-")
        {
            // Found unreadable here, before a token or certificate is spent on it.
            std::fs::File::open(path).map_err(|source| -> Box<dyn Diagnostic> {
                Box::new(FileError::Read {
                    path: path.display().to_string(),
                    source,
                })
            })?;
        }
        let output = OutputFile::prepare(&path, arguments.overwrite)
            .map_err(|error| -> Box<dyn Diagnostic> { Box::new(error) })?;
        let taken = |(_, other): &(BlobSource, OutputFile)| other.is_same_place(&output);
        if shown.is_same_place(&output) || blobs.iter().any(taken) {
            conflict(
                "two outputs would be the same file",
                "give each file once, and each output a name of its own",
            )?;
        }
        blobs.push((source, output));
    }
    let mut detached = Vec::new();
    for path in [&arguments.output_signature, &arguments.output_certificate] {
        let Some(path) = path else {
            detached.push(None);
            continue;
        };
        if blobs.len() > 1 {
            conflict(
                "--output-signature and --output-certificate name one file each, and several are to be signed",
                "leave them out: the bundles hold both",
            )?;
        }
        let output = OutputFile::prepare(path, arguments.overwrite)
            .map_err(|error| -> Box<dyn Diagnostic> { Box::new(error) })?;
        let others = blobs.iter().map(|(_, other)| other);
        let mut others = others.chain(detached.iter().flatten());
        if shown.is_same_place(&output) || others.any(|other| other.is_same_place(&output)) {
            conflict(
                "two outputs would be the same file",
                "give each output a name of its own",
            )?;
        }
        detached.push(Some(output));
    }
    let certificate = detached.pop().flatten();
    let signature = detached.pop().flatten();
    Ok(SignBlobRequest {
        blobs,
        signature,
        certificate,
        signing: SigningOptions {
            form: arguments.format.into(),
            ..arguments.signing.options(&arguments.trust)
        },
    })
}
