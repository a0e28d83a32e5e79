//! `keyless verify-blob`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{TrustArguments, UsageError};
use super::detached_arguments::DetachedArguments;
use super::policy_arguments::{
    EvidenceArguments, IdentityArguments, PolicyFileArguments, accepting_command,
};
use super::{Context, boxed, fail, finish, refuse, run_async};
use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob::{VerifyBlobError, find_bundle, judge_blob, read_bundle};
use crate::flow::verify_blob_rules::{BlobRequest, verify_blob_by_rules};
use crate::format::bundle::Bundle;
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::format::limits;
use crate::net::HttpClient;
use crate::output::human::{self, plain};
use crate::output::{Format, Output, document, explain, failure, note, policy};
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

    /// The bundle. Without it: FILE.sigstore.json, then FILE.sigstore. Repeatable with --policy, whose rules
    /// may ask for several.
    #[arg(long, value_name = "FILE")]
    bundle: Vec<PathBuf>,

    #[command(flatten)]
    detached: DetachedArguments,

    /// Accept an in-toto statement about the file too, whatever its predicate says. Without it, only a
    /// signature over the file itself.
    #[arg(long, conflicts_with = "policy")]
    any_statement: bool,

    #[command(flatten)]
    identity: IdentityArguments,

    #[command(flatten)]
    policy_file: PolicyFileArguments,

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
    if let Some(path) = &arguments.policy_file.policy {
        return run_rules(&arguments, path, &blob, output);
    }
    if arguments.bundle.len() > 1 {
        let error = UsageError::Conflict {
            what: "several bundles are given without a policy file",
            hint: "one bundle is judged at a time; rules of a policy may ask for several",
        };
        return fail_with(output, &error);
    }
    let place = match arguments.detached.signature() {
        Some(signature) => PathBuf::from(signature),
        None => match find_bundle(&blob, arguments.bundle.first().map(PathBuf::as_path)) {
            Ok(bundle) => bundle,
            Err(error) => return fail_with(output, &error),
        },
    };
    let content = if arguments.any_statement {
        ExpectedContent::Any
    } else {
        ExpectedContent::ArtifactSignature
    };
    let expected = arguments.identity.policy(content);
    let expected = match expected.and_then(|policy| arguments.evidence.apply(policy)) {
        Ok(policy) => policy,
        Err(error) => {
            if let UsageError::NoIdentity { .. } = &error
                && let Ok((bundle, _)) = read(&arguments, &blob, &place)
                && let KeyMaterial::Certificate(leaf) = &bundle.key_material
                && let Ok(identity) = CertificateIdentity::of(leaf)
            {
                note("signed by, as its certificate says (not verified):");
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
    let read = match read(&arguments, &blob, &place) {
        Ok(read) => read,
        Err(error) => return fail_with(output, error.as_ref()),
    };
    match judge_blob(&blob, &place, &read, &trust, &expected, told) {
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

/// Reads the bundle, or puts one together. The network is only used where a log was named.
fn read(
    arguments: &VerifyBlobArguments,
    blob: &BlobSource,
    place: &PathBuf,
) -> Result<(Bundle, Digest), Box<dyn Diagnostic>> {
    let detached = arguments.detached.detached();
    if detached.is_none() {
        return read_bundle(place).map_err(boxed);
    }
    let http = HttpClient::new();
    run_async(detached.assemble(blob, Some(place), &http)).map_err(boxed)
}

/// Judges by the rules of a policy file.
fn run_rules(
    arguments: &VerifyBlobArguments,
    path: &Path,
    blob: &BlobSource,
    mut output: Output,
) -> Exit {
    let expectation = match PolicyFileArguments::rules(path, &arguments.evidence) {
        Ok(expectation) => expectation,
        Err(error) => return fail_with(output, error.as_ref()),
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, &error),
    };
    for warning in &trust.warnings {
        output.warn(warning);
    }
    let request = BlobRequest {
        expectation: &expectation,
        trust: &trust,
        explain: arguments.evidence.explain,
        limit: limits::BUNDLE_LEN as u64,
    };
    let verdict = match verify_blob_by_rules(blob, &arguments.bundle, &request) {
        Ok(verdict) => verdict,
        Err(error) => return fail_with(output, &error),
    };
    output.document(&policy::blob_document(&arguments.file, &verdict));
    let Some(error) = &verdict.error else {
        output.line(format!("verified {}", plain(&arguments.file)));
        for line in policy::blob_bundles(&verdict) {
            output.line(line);
        }
        return finish(output, Exit::Accepted);
    };
    for line in policy::blob_explained(&verdict) {
        note(line);
    }
    let exit = fail(error);
    for line in policy::unmet(&verdict.rules) {
        note(line);
    }
    finish(output, exit)
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
    document["rules"] = policy::verdicts_json(&[]);
    document["refused"] = Vec::<()>::new().into();
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
        for bundle in &self.bundle {
            others.push(("--bundle", Some(bundle.display().to_string())));
        }
        if self.any_statement {
            others.push(("--any-statement", None));
        }
        others.extend(self.detached.words());
        others.extend(self.evidence.words());
        accepting_command(COMMAND, &self.file, &self.identity, &others, error)
    }
}
