//! `keyless verify-blob`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{TrustArguments, UsageError};
use super::policy_arguments::{EvidenceArguments, IdentityArguments, accepting_command};
use super::{Context, fail, fail_with, finish};
use crate::diagnostic::Exit;
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob::{VerifyBlobError, find_bundle, read_bundle, verify_blob};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::output::human::{self, plain};
use crate::output::{Format, document, explain, failure, note};
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
            let mut document = failure(COMMAND, &error);
            document["acceptingCommand"] = accepting.clone().into();
            document["checks"] = document::checks(explanation.as_ref());
            output.document(&document);
            let exit = fail(&error);
            if let Some(command) = accepting {
                note(format!("if this signer is intended: {}", plain(&command)));
            }
            finish(output, exit)
        }
    }
}

impl VerifyBlobArguments {
    /// Returns the command that would accept whoever signed, if that is all that keeps the file out.
    fn accepting(&self, error: &VerifyBlobError) -> Option<String> {
        let VerifyBlobError::Refused(error) = error else {
            return None;
        };
        let mut others = self.trust.words();
        if let Some(bundle) = &self.bundle {
            others.extend(["--bundle".to_owned(), bundle.display().to_string()]);
        }
        if self.any_statement {
            others.push("--any-statement".to_owned());
        }
        others.extend(self.evidence.words());
        accepting_command("verify-blob", &self.file, &others, error)
    }
}
