//! `keyless verify-blob-attestation`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{TrustArguments, UsageError};
use super::limits::{Beyond, LimitArguments};
use super::policy_arguments::{EvidenceArguments, IdentityArguments, accepting_command};
use super::predicate_arguments::{AskedOfPredicate, PredicateArguments, UnusableExpectation};
use super::verify_attestation::document_format;
use super::{Context, boxed, fail, fail_with, finish, refuse};
use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob::{VerifiedBlob, VerifyBlobError, judge_blob, read_bundle_bounded};
use crate::flow::verify_blob_rules::{BlobRequest, verify_blob_by_rules};
use crate::format::bundle::KeyMaterial;
use crate::format::certificate_identity::CertificateIdentity;
use crate::output::attest::{self, AttestationFormat, Shown};
use crate::output::human::{self, plain};
use crate::output::{Output, document, explain, failure, note, policy};
use crate::trust::TrustedRoot;
use crate::verify::policy_file::Expectation;
use crate::verify::{Explanation, Policy};

/// Verify that a bundle attests something of a type about files, and show what it says. Needs no network.
///
/// What was attested goes to standard output, the predicate as it was signed; who attested it, to standard error.
/// Several files must all be subjects of the one statement.
///
/// Example: keyless verify-blob-attestation app.tar.gz --bundle app.provenance.sigstore.json --type
/// slsaprovenance1 --certificate-identity dev@example.com --certificate-oidc-issuer https://accounts.google.com
#[derive(Debug, Args)]
pub(crate) struct VerifyBlobAttestationArguments {
    /// Files; - for standard input, or sha256:… for a file that is elsewhere.
    #[arg(
        value_name = "FILE",
        required_unless_present = "digest",
        conflicts_with = "digest"
    )]
    files: Vec<String>,

    /// The bundle.
    #[arg(long, value_name = "FILE", required = true)]
    bundle: PathBuf,

    /// Digest of the file in hex, in place of the file.
    #[arg(long, value_name = "HEX")]
    digest: Option<String>,

    /// Algorithm of --digest: sha256, sha384 or sha512.
    #[arg(
        long,
        alias = "digestAlg",
        value_name = "NAME",
        default_value = "sha256"
    )]
    digest_alg: String,

    #[command(flatten)]
    predicate: PredicateArguments,

    #[command(flatten)]
    identity: IdentityArguments,

    #[command(flatten)]
    evidence: EvidenceArguments,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = AttestationFormat::Text, value_name = "FORMAT")]
    output: AttestationFormat,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(flatten)]
    trust: TrustArguments,
}

const COMMAND: &str = "verify-blob-attestation";

/// A file as given, its verdict, and the checks where they were asked for.
type Judged = (String, VerifiedBlob, Option<Explanation>);

pub(crate) fn run(arguments: VerifyBlobAttestationArguments, context: &Context) -> Exit {
    let output = match context.output(document_format(arguments.output)) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let read = arguments.blobs();
    let (blobs, asked) = match read.and_then(|read| Ok((read, arguments.predicate.read()?))) {
        Ok(read) => read,
        Err(error) => return end(output, &*error, None, None),
    };
    let expectation = match asked.expectation(&arguments.identity, &arguments.evidence) {
        Ok(expectation) => expectation,
        Err(UnusableExpectation::Nobody(error)) => {
            return show_claimed(output, &arguments, error);
        }
        Err(UnusableExpectation::Other(error)) => return end(output, &*error, None, None),
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return end(output, &error, None, None),
    };
    for warning in &trust.warnings {
        output.warn(warning);
    }
    match &expectation {
        Expectation::Policy(requirement) => {
            let policy = requirement.policy();
            run_policy(&arguments, &asked, &blobs, policy, &trust, output, context)
        }
        Expectation::Rules(_) => {
            run_rules(&arguments, &blobs, &expectation, &trust, output, context)
        }
    }
}

fn run_policy(
    arguments: &VerifyBlobAttestationArguments,
    asked: &AskedOfPredicate,
    blobs: &[BlobSource],
    policy: &Policy,
    trust: &TrustedRoot,
    mut output: Output,
    context: &Context,
) -> Exit {
    let path = arguments.bundle.as_path();
    let read = match read_bundle_bounded(path, arguments.limits.max_attachment_size) {
        Ok(read) => read,
        Err(VerifyBlobError::File(error)) => return end(output, &Beyond(error), None, None),
        Err(error) => return end(output, &error, None, None),
    };
    let mut judged: Vec<Judged> = Vec::new();
    for blob in blobs {
        let mut explanation = None;
        let told = arguments.evidence.explain.then_some(&mut explanation);
        match judge_blob(blob, path, &read, trust, policy, told) {
            Ok(verdict) => judged.push((blob.to_string(), verdict, explanation)),
            Err(error) => {
                for line in explanation.iter().flat_map(explain::lines) {
                    note(line);
                }
                let accepting = arguments.accepting(blob, asked, &error);
                return end(output, &error, accepting, explanation.as_ref());
            }
        }
    }
    for (blob, verdict, explanation) in &judged {
        let mut lines = vec![format!("verified {}", plain(blob))];
        lines.extend(human::verified(&verdict.verified));
        lines.extend(explanation.iter().flat_map(explain::lines));
        say(arguments.output, &lines, context);
    }
    // One statement is about all of the files.
    let shown: Vec<Shown<'_>> = judged
        .iter()
        .take(1)
        .map(|(blob, verdict, _)| Shown {
            subject: blob,
            bundle: verdict.bundle,
            verified: &verdict.verified,
        })
        .collect();
    attest::show(&mut output, arguments.output, &shown);
    if arguments.output == AttestationFormat::Json {
        let document = attest::verify_blobs(&judged, &shown);
        output.document_with(&document, &attest::predicates(&shown));
    }
    finish(output, Exit::Accepted)
}

/// Judges by the rules of a trust policy.
fn run_rules(
    arguments: &VerifyBlobAttestationArguments,
    blobs: &[BlobSource],
    expectation: &Expectation,
    trust: &TrustedRoot,
    mut output: Output,
    context: &Context,
) -> Exit {
    let [blob] = blobs else {
        let error = UsageError::Conflict {
            what: "several files are given with a trust policy",
            hint: "verify them one by one: its rules are about one file",
        };
        return end(output, &error, None, None);
    };
    let request = BlobRequest {
        expectation,
        trust,
        explain: arguments.evidence.explain,
        limit: arguments.limits.max_attachment_size,
    };
    let bundles = [arguments.bundle.clone()];
    let verdict = match verify_blob_by_rules(blob, &bundles, &request) {
        Ok(verdict) => verdict,
        Err(error) => return end(output, &error, None, None),
    };
    let name = blob.to_string();
    let held = verdict.bundles.iter().filter_map(|bundle| {
        let verified = bundle.outcome.as_ref().ok()?;
        Some(Shown {
            subject: &name,
            bundle: bundle.digest,
            verified,
        })
    });
    let shown: Vec<Shown<'_>> = match verdict.error {
        None => held.collect(),
        Some(_) => Vec::new(),
    };
    if arguments.output == AttestationFormat::Json {
        let document = attest::verify_blob_by_rules(&name, &verdict, &shown);
        output.document_with(&document, &attest::predicates(&shown));
    }
    let Some(error) = &verdict.error else {
        let mut lines = vec![format!("verified {}", plain(&name))];
        lines.extend(policy::blob_bundles(&verdict));
        say(arguments.output, &lines, context);
        attest::show(&mut output, arguments.output, &shown);
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

/// Says something to people, beside the data that stands on standard output.
fn say(format: AttestationFormat, lines: &[String], context: &Context) {
    if format != AttestationFormat::Json {
        lines.iter().for_each(|line| context.note(line));
    }
}

/// Ends a command that accepted nothing.
fn end(
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

/// Says who claims to have attested, so that the user can say whom to expect.
fn show_claimed(
    mut output: Output,
    arguments: &VerifyBlobAttestationArguments,
    error: UsageError,
) -> Exit {
    let limit = arguments.limits.max_attachment_size;
    let claimed = match read_bundle_bounded(&arguments.bundle, limit) {
        Ok((bundle, _)) => match &bundle.key_material {
            KeyMaterial::Certificate(leaf) => CertificateIdentity::of(leaf).ok(),
            KeyMaterial::PublicKey { .. } => None,
        },
        Err(_) => None,
    };
    let Some(identity) = claimed else {
        return fail_with(output, COMMAND, &error);
    };
    note("attested by, as its certificate says (not verified):");
    let signers = vec![identity];
    for line in human::claimed(&signers) {
        note(line);
    }
    let bundle = arguments.bundle.display().to_string();
    let claimed: [document::Claimed<UsageError>; 1] = [(bundle, Ok(signers))];
    output.document(&document::claimed(COMMAND, &error, &claimed));
    finish(output, fail(&error))
}

impl VerifyBlobAttestationArguments {
    /// Returns the files; where a digest is given, that.
    fn blobs(&self) -> Result<Vec<BlobSource>, Box<dyn Diagnostic>> {
        let Some(hex) = &self.digest else {
            return Ok(self
                .files
                .iter()
                .map(|file| BlobSource::parse(file))
                .collect());
        };
        let algorithm = HashAlgorithm::from_name(&self.digest_alg);
        let digest = algorithm.zip(hex::decode(hex).ok());
        match digest.and_then(|(algorithm, bytes)| Digest::new(algorithm, &bytes)) {
            Some(digest) => Ok(vec![BlobSource::Digest(digest)]),
            None => Err(boxed(UsageError::Conflict {
                what: "--digest is no hexadecimal digest of the algorithm in --digest-alg",
                hint: "sha256 has 64 hexadecimal digits, sha384 96, sha512 128; SHA-1 is not accepted",
            })),
        }
    }

    /// Returns the command that would accept whoever attested, if that is all that keeps the file out.
    fn accepting(
        &self,
        blob: &BlobSource,
        asked: &AskedOfPredicate,
        error: &VerifyBlobError,
    ) -> Option<String> {
        let VerifyBlobError::Refused(error) = error else {
            return None;
        };
        if asked.rules.is_some() || self.files.len() > 1 {
            return None;
        }
        let bundle = Path::new(&self.bundle).display().to_string();
        let mut others = self.trust.words();
        others.push(("--bundle", Some(bundle)));
        others.extend(self.predicate.words());
        others.extend(self.evidence.words());
        others.extend(self.limits.words());
        accepting_command(COMMAND, &blob.to_string(), &self.identity, &others, error)
    }
}
