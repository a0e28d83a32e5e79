//! `keyless verify-blob`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{IdentityArguments, TrustArguments, UsageError};
use super::{Context, fail, fail_with, finish};
use crate::diagnostic::Exit;
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob::{find_bundle, read_bundle, verify_blob};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::output::human::{self, plain};
use crate::output::{Format, document, note};
use crate::verify::ExpectedContent;

/// Verify a file against its bundle. Needs no network.
///
/// Example: keyless verify-blob release.tar.gz --certificate-identity dev@example.com
/// --certificate-oidc-issuer https://accounts.google.com
#[derive(Debug, Args)]
pub(crate) struct VerifyBlobArguments {
    /// The file; - for standard input, or sha256:… for a file that is elsewhere.
    #[arg(value_name = "FILE")]
    file: String,

    /// The bundle. Without it: FILE.sigstore.json, then FILE.sigstore.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    identity: IdentityArguments,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,
}

pub(crate) fn run(arguments: VerifyBlobArguments, context: &Context) -> Exit {
    const COMMAND: &str = "verify-blob";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let blob = BlobSource::parse(&arguments.file);
    let bundle = match find_bundle(&blob, arguments.bundle.as_deref()) {
        Ok(bundle) => bundle,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let policy = match arguments
        .identity
        .policy(ExpectedContent::ArtifactSignature)
    {
        Ok(policy) => policy,
        Err(error) => {
            if let (UsageError::NoIdentity { .. }, Ok((bundle, _))) = (&error, read_bundle(&bundle))
                && let KeyMaterial::Certificate(leaf) = &bundle.key_material
                && let Ok(identity) = CertificateIdentity::of(leaf)
            {
                note("signed, by its own word and not verified, by");
                let signers = vec![identity];
                for line in human::claimed(&signers) {
                    note(line);
                }
                let claimed = [(arguments.file.clone(), signers)];
                output.document(&document::claimed(COMMAND, &error, &claimed));
                return finish(output, fail(&error));
            }
            return fail_with(output, COMMAND, &error);
        }
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    for warning in &trust.warnings {
        note(format!("warning: {}", plain(warning)));
    }
    match verify_blob(&blob, &bundle, &trust, &policy) {
        Ok(verdict) => {
            output.line(format!("verified {}", plain(&arguments.file)));
            for line in human::verified(&verdict.verified) {
                output.line(line);
            }
            output.document(&document::verify_blob(&arguments.file, &verdict));
            finish(output, Exit::Accepted)
        }
        Err(error) => fail_with(output, COMMAND, &error),
    }
}
