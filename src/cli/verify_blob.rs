//! `keyless verify-blob`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{TrustArguments, UsageError};
use super::policy_arguments::{EvidenceArguments, IdentityArguments, accepting_command};
use super::{Context, fail, finish, refuse};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob::{VerifyBlobError, find_bundle, read_bundle, verify_blob};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::output::human::{self, plain};
use crate::output::{Format, Output, document, explain, failure, note};
use crate::verify::{ExpectedContent, Explanation};

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

    /// Accept an in-toto statement about the file too, whatever its predicate says. Without it, only a
    /// signature over the file itself.
    #[arg(long)]
    any_statement: bool,

    #[command(flatten)]
    identity: IdentityArguments,

    #[command(flatten)]
    evidence: EvidenceArguments,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,
}

const COMMAND: &str = "verify-blob";

pub(crate) fn run(arguments: VerifyBlobArguments, context: &Context) -> Exit {
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let blob = BlobSource::parse(&arguments.file);
    let bundle = match find_bundle(&blob, arguments.bundle.as_deref()) {
        Ok(bundle) => bundle,
        Err(error) => return fail_with(output, &error),
    };
    let content = if arguments.any_statement {
        ExpectedContent::Any
    } else {
        ExpectedContent::ArtifactSignature
    };
    let policy = arguments.identity.policy(content);
    let policy = match policy.and_then(|policy| arguments.evidence.apply(policy)) {
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
                let claimed: [document::Claimed<UsageError>; 1] =
                    [(arguments.file.clone(), Ok(signers))];
                output.document(&document::claimed(COMMAND, &error, &claimed));
                return finish(output, fail(&error));
            }
            return fail_with(output, &error);
        }
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, &error),
    };
    for warning in &trust.warnings {
        output.warn(warning);
    }
    let mut explanation = None;
    let told = arguments.evidence.explain.then_some(&mut explanation);
    match verify_blob(&blob, &bundle, &trust, &policy, told) {
        Ok(verdict) => {
            output.line(format!("verified {}", plain(&arguments.file)));
            for line in human::verified(&verdict.verified) {
                output.line(line);
            }
            for line in explanation.iter().flat_map(explain::lines) {
                output.line(line);
            }
            let document = document::verify_blob(&arguments.file, &verdict, explanation.as_ref());
            output.document(&document);
            finish(output, Exit::Accepted)
        }
        Err(error) => {
            for line in explanation.iter().flat_map(explain::lines) {
                note(line);
            }
            let accepting = arguments.accepting(&error);
            fail_told(output, &error, accepting, explanation.as_ref())
        }
    }
}

/// Ends a command that came to no verdict.
fn fail_with(output: Output, error: &dyn Diagnostic) -> Exit {
    fail_told(output, error, None, None)
}

fn fail_told(
    mut output: Output,
    error: &dyn Diagnostic,
    accepting: Option<String>,
    explanation: Option<&Explanation>,
) -> Exit {
    let mut document = failure(COMMAND, error);
    document["acceptingCommand"] = accepting.clone().into();
    document["checks"] = document::checks(explanation);
    output.document(&document);
    let exit = refuse(error, accepting.as_deref());
    finish(output, exit)
}

impl VerifyBlobArguments {
    /// Returns the command that would accept whoever signed, if that is all that keeps the file out.
    fn accepting(&self, error: &VerifyBlobError) -> Option<String> {
        let VerifyBlobError::Refused(error) = error else {
            return None;
        };
        let mut others = self.trust.words();
        if let Some(bundle) = &self.bundle {
            others.push(("--bundle", Some(bundle.display().to_string())));
        }
        if self.any_statement {
            others.push(("--any-statement", None));
        }
        others.extend(self.evidence.words());
        accepting_command(COMMAND, &self.file, &self.identity, &others, error)
    }
}
