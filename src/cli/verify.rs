//! `keyless verify`.

use clap::Args;

use super::arguments::{AnnotationArguments, TrustArguments, UsageError};
use super::images::ImagesArguments;
use super::policy_arguments::{
    EvidenceArguments, IdentityArguments, PolicyFileArguments, accepting_command,
};
use super::registry_arguments::RegistryArguments;
use super::scope::ScopeArguments;
use super::{Context, boxed, fail, fail_with, finish, refuse, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::image_list::NamedImages;
use crate::flow::rules::Unmet;
use crate::flow::store::StoreError;
use crate::flow::trust;
use crate::flow::verify_image::{
    ImageError, ImageRequest, ImageVerdict, claimed_signers, verify_images, verify_layout,
};
use crate::format::certificate_identity::CertificateIdentity;
use crate::host::image_layout::ImageLayout;
use crate::net::HttpClient;
use crate::net::registry::ImageReference;
use crate::output::human::{self, plain};
use crate::output::summary::Summary;
use crate::output::{Format, Output, document, explain, note, policy};
use crate::verify::ExpectedContent;
use crate::verify::policy_file::Expectation;

/// Verify that images are signed by the identities you expect.
///
/// All images are judged, and the most severe outcome is the exit code. An attestation is not a signature.
///
/// Example: keyless verify registry.example/app:1.2 --certificate-identity dev@example.com
/// --certificate-oidc-issuer https://accounts.google.com
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    images: ImagesArguments,

    #[command(flatten)]
    identity: IdentityArguments,

    #[command(flatten)]
    policy_file: PolicyFileArguments,

    #[command(flatten)]
    annotations: AnnotationArguments,

    #[command(flatten)]
    evidence: EvidenceArguments,

    #[command(flatten)]
    scope: ScopeArguments,

    /// The images lie in folders, as OCI image layouts such as `keyless save` and `cosign save` write. No
    /// registry is asked.
    #[arg(long, conflicts_with = "from")]
    local_image: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: VerifyArguments, context: &Context) -> Exit {
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    if arguments.local_image {
        return run_local(output, &arguments, context);
    }
    let named = match arguments.images.read(&output, context) {
        Ok(named) => named,
        Err(error) => return fail_with(output, "verify", error.as_ref()),
    };
    let references = &named.references;
    let scope = match arguments.scope.scope() {
        Ok(scope) => scope,
        Err(error) => return fail_with(output, "verify", &error),
    };
    let http = HttpClient::new();
    let registry = match arguments.registry.client(&http, references, context) {
        Ok(registry) => registry,
        Err(error) => return fail_with(output, "verify", &error),
    };
    let expectation = match arguments.expectation() {
        Ok(expectation) => expectation,
        Err(Unexpected::Nobody(error)) => {
            let claimed = run_async(show_claimed(references, |reference| {
                claimed_signers(&registry, reference)
            }));
            output.document(&document::claimed("verify", &error, &claimed));
            return finish(output, fail(&error));
        }
        Err(Unexpected::Unusable(error)) => {
            return fail_with(output, "verify", error.as_ref());
        }
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, "verify", &error),
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
    show(output, &verdicts, &named, &arguments, context)
}

/// Judges image layouts on disk.
fn run_local(output: Output, arguments: &VerifyArguments, context: &Context) -> Exit {
    if arguments.policy_file.policy.is_some() {
        let error = UsageError::Conflict {
            what: "a policy file is given for images in folders",
            hint: "rules are about names, and nobody vouches for the name of an image in a folder: say whom you \
                   expect with --certificate-identity and --certificate-oidc-issuer",
        };
        return fail_with(output, "verify", &error);
    }
    let settled = arguments.scope.scope().and_then(|scope| {
        let expectation = arguments.expectation();
        expectation
            .map(|expectation| (scope, expectation))
            .map_err(|error| match error {
                Unexpected::Nobody(error) => error,
                Unexpected::Unusable(error) => UsageError::Other(error),
            })
    });
    let (scope, expectation) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, "verify", &error),
    };
    let trust = match trust::trusted_root(&arguments.trust.source()) {
        Ok(trust) => trust,
        Err(error) => return fail_with(output, "verify", &error),
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
    let mut verdicts = Vec::new();
    for folder in &arguments.images.images {
        let judged = ImageLayout::open(folder.as_ref())
            .and_then(|layout| run_async(verify_layout(&layout, &request)));
        match judged {
            Ok(judged) => verdicts.extend(judged),
            Err(error) => verdicts.push(ImageVerdict::unreadable(folder.clone(), error)),
        }
    }
    let named = NamedImages::default();
    show(output, &verdicts, &named, arguments, context)
}

/// Why nobody is expected.
enum Unexpected {
    /// Nobody was named.
    Nobody(UsageError),
    /// What was named cannot be used.
    Unusable(Box<dyn Diagnostic>),
}

impl VerifyArguments {
    /// Returns whom and what the arguments expect.
    fn expectation(&self) -> Result<Expectation, Unexpected> {
        if let Some(path) = &self.policy_file.policy {
            if !self.annotations.annotations.is_empty() {
                return Err(Unexpected::Unusable(boxed(UsageError::Conflict {
                    what: "annotations are given beside a policy file",
                    hint: "ask for annotations in a rule of the policy",
                })));
            }
            let rules = PolicyFileArguments::rules(path, &self.evidence);
            return rules.map_err(Unexpected::Unusable);
        }
        let policy = self.annotations.map().and_then(|annotations| {
            let content = ExpectedContent::Signature { annotations };
            self.evidence.apply(self.identity.policy(content)?)
        });
        policy.map(Expectation::from).map_err(|error| match error {
            UsageError::NoIdentity { .. } => Unexpected::Nobody(error),
            error => Unexpected::Unusable(boxed(error)),
        })
    }

    /// Returns the command that would accept whoever signed an image, if that is all that keeps it out.
    fn accepting(&self, verdict: &ImageVerdict) -> Option<String> {
        let Some(ImageError::Unmet(Unmet::Refused(error))) = &verdict.error else {
            return None;
        };
        let mut others = self.trust.words();
        for annotation in &self.annotations.annotations {
            others.push(("--annotations", Some(annotation.clone())));
        }
        others.extend(self.evidence.words());
        if verdict.listed_by.is_none() {
            others.extend(self.scope.words());
        }
        if self.local_image {
            others.push(("--local-image", None));
        }
        others.extend(self.registry.words());
        accepting_command("verify", &verdict.given, &self.identity, &others, error)
    }
}

/// Lists who claims to have signed, so that the user can say whom to expect.
pub(super) async fn show_claimed<'r, F>(
    references: &'r [ImageReference],
    ask: impl Fn(&'r ImageReference) -> F,
) -> Vec<document::Claimed<StoreError>>
where
    F: Future<Output = Result<Vec<CertificateIdentity>, StoreError>>,
{
    let mut claimed = Vec::new();
    for reference in references {
        let found = ask(reference).await;
        match &found {
            Ok(signers) if signers.is_empty() => note(format!(
                "{}: no signer found",
                plain(&reference.to_string())
            )),
            Ok(signers) => {
                note(format!(
                    "{}: signed by, as the certificates say (not verified):",
                    plain(&reference.to_string())
                ));
                for line in human::claimed(signers) {
                    note(line);
                }
            }
            Err(error) => {
                fail(error);
            }
        }
        claimed.push((reference.to_string(), found));
    }
    claimed
}

/// Shows why an image is refused, and what else is attached; returns the exit code.
pub(super) fn show_refusal(
    verdict: &ImageVerdict,
    error: &ImageError,
    accepting: Option<&str>,
) -> Exit {
    let exit = refuse(error, accepting);
    for line in policy::unmet(&verdict.rules) {
        note(line);
    }
    if verdict.refused.len() > 1 {
        note("what is attached:");
        for line in human::refusals(verdict).iter().take(20) {
            note(line);
        }
        if verdict.refused.len() > 20 {
            note(format!(
                "  and {} more; --output json lists all",
                verdict.refused.len() - 20
            ));
        }
    }
    exit
}

fn show(
    mut output: Output,
    verdicts: &[ImageVerdict],
    named: &NamedImages,
    arguments: &VerifyArguments,
    context: &Context,
) -> Exit {
    let mut exit = Exit::Accepted;
    for verdict in verdicts {
        // What is not accepted is no data: its line goes with the error that explains it.
        for line in human::image_verdict(verdict) {
            match verdict.error {
                None => output.line(line),
                Some(_) => note(line),
            }
        }
        if arguments.evidence.explain {
            for accepted in &verdict.accepted {
                for line in explain::of_accepted(accepted) {
                    output.line(line);
                }
            }
            for line in verdict.refused.iter().flat_map(explain::of_refused) {
                note(line);
            }
        }
        if let Some(error) = &verdict.error {
            let accepting = arguments.accepting(verdict);
            exit = exit.worst(show_refusal(verdict, error, accepting.as_deref()));
            if let Some(origin) = named.origin(&verdict.given) {
                note(format!("  named in {}", plain(&origin.to_string())));
            }
            if let Some(line) = human::listed(verdict, verdicts) {
                note(line);
            }
        }
    }
    let summary = Summary::of(verdicts.iter().map(ImageVerdict::exit));
    if let Some(line) = summary.line("verified", "not judged") {
        context.note(&line);
    }
    let accepting = |verdict: &ImageVerdict| arguments.accepting(verdict);
    output.document_of(|| document::verify_images(verdicts, exit, &summary, named, accepting));
    finish(output, exit)
}
