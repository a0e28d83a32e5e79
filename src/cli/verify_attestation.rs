//! `keyless verify-attestation`.

use clap::Args;

use super::arguments::TrustArguments;
use super::images::ImagesArguments;
use super::policy_arguments::{EvidenceArguments, IdentityArguments, accepting_command};
use super::predicate_arguments::{AskedOfPredicate, PredicateArguments, UnusableExpectation};
use super::registry_arguments::RegistryArguments;
use super::scope::ScopeArguments;
use super::verify::{show_claimed, show_refusal};
use super::{Context, fail, fail_with, finish, run_async};
use crate::diagnostic::Exit;
use crate::flow::image_list::NamedImages;
use crate::flow::rules::Unmet;
use crate::flow::trust;
use crate::flow::verify_attestation::claimed_attesters;
use crate::flow::verify_image::{ImageError, ImageRequest, ImageVerdict, verify_images};
use crate::net::HttpClient;
use crate::output::attest::{self, AttestationFormat};
use crate::output::human::plain;
use crate::output::summary::Summary;
use crate::output::{Format, Output, document, explain, human, note};

/// Verify that images carry attestations of a type by the identities you expect, and show what they say.
///
/// What was attested goes to standard output, the predicates as they were signed; who attested it, to standard error.
///
/// All images are judged, and the most severe outcome is the exit code. A signature is not an attestation, and
/// an attestation of another type is not this one.
///
/// Example: keyless verify-attestation registry.example/app:1.2 --type slsaprovenance1 --output predicate
/// --certificate-identity dev@example.com --certificate-oidc-issuer https://accounts.google.com
#[derive(Debug, Args)]
pub(crate) struct VerifyAttestationArguments {
    #[command(flatten)]
    images: ImagesArguments,

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
    trust: TrustArguments,

    #[command(flatten)]
    scope: ScopeArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

const COMMAND: &str = "verify-attestation";

pub(crate) fn run(arguments: VerifyAttestationArguments, context: &Context) -> Exit {
    let mut output = match context.output(document_format(arguments.output)) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let read = arguments.images.read(&output, context);
    let (named, asked) = match read.and_then(|read| Ok((read, arguments.predicate.read()?))) {
        Ok(read) => read,
        Err(error) => return fail_with(output, COMMAND, &*error),
    };
    let references = &named.references;
    let http = HttpClient::new();
    let registry = match arguments.registry.client(&http, references, context) {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let scope = match arguments.scope.scope() {
        Ok(scope) => scope,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let expectation = match asked.expectation(&arguments.identity, &arguments.evidence) {
        Ok(expectation) => expectation,
        Err(UnusableExpectation::Nobody(error)) => {
            let claimed = run_async(show_claimed(references, |reference| {
                claimed_attesters(&registry, reference, &asked.wanted)
            }));
            output.document(&document::claimed(COMMAND, &error, &claimed));
            return finish(output, fail(&error));
        }
        Err(UnusableExpectation::Other(error)) => return fail_with(output, COMMAND, &*error),
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    for warning in &trust.warnings {
        output.warn(warning);
    }
    let request = ImageRequest {
        expectation: &expectation,
        trust: &trust,
        explain: arguments.evidence.explain,
        scope,
        jobs: arguments.images.jobs(),
    };
    let report = context.report();
    let verdicts = run_async(verify_images(&registry, references, &request, &report));
    show(output, &verdicts, &named, &asked, &arguments, context)
}

/// What goes to standard output beside the raw formats.
pub(super) fn document_format(format: AttestationFormat) -> Format {
    match format {
        AttestationFormat::Json => Format::Json,
        _ => Format::Text,
    }
}

impl VerifyAttestationArguments {
    /// Returns the command that would accept whoever attested, if that is all that keeps an image out.
    fn accepting(&self, verdict: &ImageVerdict, asked: &AskedOfPredicate) -> Option<String> {
        let Some(ImageError::Unmet(Unmet::Refused(error))) = &verdict.error else {
            return None;
        };
        if asked.rules.is_some() {
            return None;
        }
        let mut others = self.trust.words();
        others.extend(self.predicate.words());
        others.extend(self.evidence.words());
        if verdict.listed_by.is_none() {
            others.extend(self.scope.words());
        }
        others.extend(self.registry.words());
        accepting_command(COMMAND, &verdict.given, &self.identity, &others, error)
    }
}

fn show(
    mut output: Output,
    verdicts: &[ImageVerdict],
    named: &NamedImages,
    asked: &AskedOfPredicate,
    arguments: &VerifyAttestationArguments,
    context: &Context,
) -> Exit {
    let mut exit = Exit::Accepted;
    for verdict in verdicts {
        let mut lines = human::image_verdict(verdict);
        if arguments.evidence.explain {
            lines.extend(verdict.accepted.iter().flat_map(explain::of_accepted));
        }
        for line in lines {
            // Standard output has what was attested, and nothing else.
            match (&verdict.error, arguments.output) {
                (None, AttestationFormat::Json) => {}
                (None, _) => context.note(&line),
                (Some(_), _) => note(line),
            }
        }
        if arguments.evidence.explain {
            for line in verdict.refused.iter().flat_map(explain::of_refused) {
                note(line);
            }
        }
        if let Some(error) = &verdict.error {
            let accepting = arguments.accepting(verdict, asked);
            exit = exit.worst(show_refusal(verdict, error, accepting.as_deref()));
            if let Some(origin) = named.origin(&verdict.given) {
                note(format!("  named in {}", plain(&origin.to_string())));
            }
        }
    }
    let summary = Summary::of(verdicts.iter().map(ImageVerdict::exit));
    if let Some(line) = summary.line("verified", "not judged") {
        context.note(&line);
    }
    let shown = attest::of_images(verdicts);
    attest::show(&mut output, arguments.output, &shown);
    if arguments.output == AttestationFormat::Json {
        let accepting = |verdict: &ImageVerdict| arguments.accepting(verdict, asked);
        let document = attest::verify_images(verdicts, &shown, exit, named, accepting);
        output.document_with(&document, &attest::predicates(&shown));
    }
    finish(output, exit)
}
