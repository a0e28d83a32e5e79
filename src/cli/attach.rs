//! `keyless attach bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::{AnnotationArguments, TrustArguments, images};
use super::policy_arguments::IdentityArguments;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, run_async};
use crate::diagnostic::Exit;
use crate::flow::attach::attach_bundle;
use crate::flow::trust;
use crate::net::HttpClient;
use crate::output::human::{self, plain};
use crate::output::{Format, document};
use crate::verify::ExpectedContent;

/// Attach what was signed before.
#[derive(Debug, Args)]
pub(crate) struct AttachArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Bundle(Box<BundleArguments>),
}

/// Attach a bundle from a file to its image; no new signature is made.
///
/// The bundle, a signature or an attestation, is verified first. Finishes a `keyless sign` or `keyless attest` whose
/// upload failed, and puts back an entry that
/// a registry without the referrers API lost to another writer.
///
/// Example: keyless attach bundle registry.example/app@sha256:… app.sigstore.json --certificate-identity
/// dev@example.com --certificate-oidc-issuer https://accounts.google.com
#[derive(Debug, Args)]
struct BundleArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// The bundle, or several as JSON lines.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    identity: IdentityArguments,

    #[command(flatten)]
    annotations: AnnotationArguments,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: AttachArguments, context: &Context) -> Exit {
    let What::Bundle(arguments) = arguments.what;
    const COMMAND: &str = "attach bundle";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|references| {
        let annotations = arguments.annotations.map()?;
        Ok((
            references,
            arguments
                .identity
                .policy(ExpectedContent::Signature { annotations })?,
        ))
    });
    let (references, policy) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    for warning in &trust.warnings {
        output.warn(warning);
    }
    let http = HttpClient::new();
    let registry = match arguments.registry.client(&http, &references, context) {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let report = context.report();
    let attach = attach_bundle(
        &registry,
        &references[0],
        &arguments.file,
        &trust,
        &policy,
        &report,
    );
    match run_async(attach) {
        Ok(attached) => {
            for bundle in &attached {
                output.line(format!(
                    "attached {} to {}",
                    bundle.bundle,
                    plain(&bundle.image.to_string())
                ));
                for line in human::verified(&bundle.verified) {
                    output.line(line);
                }
            }
            output.document(&document::attach_bundle(&attached));
            finish(output, Exit::Accepted)
        }
        Err(error) => fail_with(output, COMMAND, &error),
    }
}
