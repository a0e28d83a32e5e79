//! `keyless policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::{DEFAULT_JOBS, TrustArguments, images};
use super::registry_arguments::RegistryArguments;
use super::{Context, boxed, fail, fail_with, finish, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::policy::read_policy;
use crate::flow::policy_init::draft_policy;
use crate::flow::rules::RuleVerdict;
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::flow::verify_blob_rules::{BlobRequest, file_name, verify_blob_by_rules};
use crate::flow::verify_image::{ImageRequest, ImageVerdict, Scope, verify_images};
use crate::format::limits;
use crate::net::HttpClient;
use crate::net::registry::{ImageReference, RegistryClient};
use crate::output::policy::{self, CheckedTarget};
use crate::output::{Format, Output};
use crate::trust::TrustedRoot;
use crate::verify::glob::Glob;
use crate::verify::policy_file::{Expectation, PolicyFile, Rule};

/// Write and try out trust policies: files that say who signs which images and files.
#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(InitArguments),
    Check(CheckArguments),
}

/// Draft a policy from the signatures that are there.
///
/// Every signature that holds is in it, by whomever. It is meant to be read, and cut, before it is used.
///
/// Example: keyless policy init registry.example/app:1.2 --file dist/app.tar.gz --output-file policy.toml
#[derive(Debug, Args)]
struct InitArguments {
    /// Images.
    #[arg(value_name = "IMAGE", required_unless_present = "files")]
    images: Vec<String>,

    /// File with its bundle beside it, as FILE.sigstore.json or FILE.sigstore. Repeatable.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<String>,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

/// Show what a policy says: its rules, or what becomes of images and files under them.
///
/// The exit code is that of verify and verify-blob with the same policy.
///
/// Example: keyless policy check --policy policy.toml registry.example/app:1.2
#[derive(Debug, Args)]
struct CheckArguments {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    /// Images to try.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,

    /// File to try, with its bundle beside it. Repeatable.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<String>,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: PolicyArguments, context: &Context) -> Exit {
    match arguments.what {
        What::Init(arguments) => init(&arguments, context),
        What::Check(arguments) => check(&arguments, context),
    }
}

fn trusted_root(
    arguments: &TrustArguments,
    output: &Output,
) -> Result<TrustedRoot, Box<dyn Diagnostic>> {
    let trust = trust::trusted_root(&arguments.source()).map_err(boxed)?;
    for warning in &trust.warnings {
        output.warn(warning);
    }
    Ok(trust)
}

fn init(arguments: &InitArguments, context: &Context) -> Exit {
    let mut output = match context.output(Format::Text) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let references = match images(&arguments.images) {
        Ok(references) => references,
        Err(error) => return fail(&error),
    };
    let trust = match trusted_root(&arguments.trust, &output) {
        Ok(trust) => trust,
        Err(error) => return fail(error.as_ref()),
    };
    let registry = arguments
        .registry
        .client(&HttpClient::new(), &references, context);
    let registry = match registry {
        Ok(registry) => registry,
        Err(error) => return fail(&error),
    };
    let drafting = draft_policy(&registry, &references, &arguments.files, &trust);
    match run_async(drafting) {
        Ok(draft) => {
            for left_out in &draft.left_out {
                output.warn(&format!("left out: {left_out}"));
            }
            output.raw(&draft.text);
            finish(output, Exit::Accepted)
        }
        Err(error) => fail(&error),
    }
}

/// What became of an image or file.
struct Tried {
    given: String,
    patterns: Vec<Option<Glob>>,
    verdicts: Vec<RuleVerdict>,
    error: Option<Box<dyn Diagnostic>>,
}

fn check(arguments: &CheckArguments, context: &Context) -> Exit {
    const COMMAND: &str = "policy check";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let references = match images(&arguments.images) {
        Ok(references) => references,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let file = match read_policy(&arguments.policy) {
        Ok(file) => file,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let mut tried = Vec::new();
    if !references.is_empty() || !arguments.files.is_empty() {
        let trust = match trusted_root(&arguments.trust, &output) {
            Ok(trust) => trust,
            Err(error) => return fail_with(output, COMMAND, error.as_ref()),
        };
        tried = try_files(&arguments.files, &file, &trust);
        let registry = arguments
            .registry
            .client(&HttpClient::new(), &references, context);
        let registry = match registry {
            Ok(registry) => registry,
            Err(error) => return fail_with(output, COMMAND, &error),
        };
        tried.extend(try_images(&registry, &references, &file, &trust));
    }
    let targets: Vec<CheckedTarget<'_>> = tried
        .iter()
        .map(|tried| CheckedTarget {
            given: &tried.given,
            rules: file
                .rules()
                .iter()
                .zip(tried.patterns.iter().map(Option::as_ref))
                .collect(),
            verdicts: &tried.verdicts,
            error: tried.error.as_deref(),
        })
        .collect();
    if targets.is_empty() {
        for line in file.rules().iter().flat_map(policy::rule) {
            output.line(line);
        }
    }
    let mut exit = Exit::Accepted;
    for target in &targets {
        for line in policy::checked(target) {
            output.line(line);
        }
        if let Some(error) = target.error {
            exit = exit.worst(fail(error));
        }
    }
    output.document(&policy::check_document(file.rules(), &targets, exit));
    finish(output, exit)
}

fn patterns(file: &PolicyFile, matching: impl Fn(&Rule) -> Option<&Glob>) -> Vec<Option<Glob>> {
    let rules = file.rules().iter();
    rules.map(|rule| matching(rule).cloned()).collect()
}

fn try_files(files: &[String], file: &PolicyFile, trust: &TrustedRoot) -> Vec<Tried> {
    let request = BlobRequest {
        expectation: &Expectation::Rules(file.clone()),
        trust,
        explain: false,
        limit: limits::BUNDLE_LEN as u64,
    };
    let one = |given: &String| {
        let blob = BlobSource::parse(given);
        let patterns = patterns(file, |rule| rule.file_pattern(file_name(&blob)));
        let (verdicts, error) = match verify_blob_by_rules(&blob, &[], &request) {
            Ok(verdict) => (verdict.rules, verdict.error.map(boxed)),
            Err(error) => (Vec::new(), Some(boxed(error))),
        };
        Tried {
            given: given.clone(),
            patterns,
            verdicts,
            error,
        }
    };
    files.iter().map(one).collect()
}

fn try_images(
    registry: &RegistryClient,
    references: &[ImageReference],
    file: &PolicyFile,
    trust: &TrustedRoot,
) -> Vec<Tried> {
    let request = ImageRequest {
        expectation: &Expectation::Rules(file.clone()),
        trust,
        explain: false,
        scope: Scope::default(),
        jobs: DEFAULT_JOBS,
    };
    let verdicts = run_async(verify_images(registry, references, &request, &|_| {}));
    let one = |(verdict, reference): (ImageVerdict, &ImageReference)| {
        let repository = reference.repository();
        Tried {
            patterns: patterns(file, |rule| {
                rule.image_pattern(repository.registry(), repository.name())
            }),
            given: verdict.given,
            verdicts: verdict.rules,
            error: verdict.error.map(boxed),
        }
    };
    verdicts.into_iter().zip(references).map(one).collect()
}
