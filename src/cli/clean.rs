//! `keyless clean`.

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::{Args, ValueEnum};

use super::arguments::{UsageError, images};
use super::registry_arguments::RegistryArguments;
use super::{Context, fail, fail_with, finish, note_exit, run_async};
use crate::diagnostic::Exit;
use crate::flow::clean::{CleanType, Why, carry_out, plan};
use crate::net::HttpClient;
use crate::output::attached::{clean_item, clean_plan_text, clean_stay, clean_text, cleaned};
use crate::output::{Format, note};

/// What is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Signatures: bundles, and the tag of cosign's older format.
    Signature,
    /// Attestations, likewise.
    Attestation,
    /// Everything that refers to the image by its manifest, bundles among it.
    Referrer,
    /// The SBOM that cosign attached under a tag.
    Sbom,
    /// Everything attached.
    All,
}

impl From<What> for CleanType {
    fn from(what: What) -> Self {
        match what {
            What::Signature => CleanType::Signature,
            What::Attestation => CleanType::Attestation,
            What::Referrer => CleanType::Referrer,
            What::Sbom => CleanType::Sbom,
            What::All => CleanType::All,
        }
    }
}

/// Delete what is attached to an image. The image itself is never deleted.
///
/// Manifests that refer to the image, their entries under the fallback tag, and the tags of cosign's older
/// formats. Only what says itself that it is this image's is deleted, and no manifest that another tag or an index
/// still names; what stays is shown with the reason. What goes is shown first; without --force, on a terminal, it
/// is asked for. Blobs are left to the registry's own collection, and log entries stay for ever.
///
/// Example: keyless clean registry.example/app:v1 --type attestation
#[derive(Debug, Args)]
pub(crate) struct CleanArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// What to delete.
    #[arg(long = "type", value_enum, default_value_t = What::All, value_name = "TYPE")]
    what: What,

    /// Of an index, clean its images too.
    #[arg(short, long)]
    recursive: bool,

    /// Do not ask.
    #[arg(short, long)]
    force: bool,

    /// Show what would be deleted and what would stay, and delete nothing.
    #[arg(long)]
    dry_run: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: CleanArguments, context: &Context) -> Exit {
    const COMMAND: &str = "clean";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let asks = !arguments.force && !arguments.dry_run;
    if asks && !io::stdin().is_terminal() {
        let error = UsageError::Conflict {
            what: "nobody is there to confirm what is deleted",
            hint: "pass --force, or run it on a terminal; --dry-run shows what would go",
        };
        return fail_with(output, COMMAND, &error);
    }
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|mut images| {
        let http = HttpClient::new();
        let registry = arguments.registry.client(&http, &images, context)?;
        Ok((registry, images.remove(0)))
    });
    let (registry, image) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let settled = run_async(plan(
        &registry,
        &image,
        arguments.what.into(),
        arguments.recursive,
    ));
    let plan = match settled {
        Ok(plan) => plan,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let mut exit = note_exit(&plan.problems.iter().collect::<Vec<_>>());
    for stay in &plan.stays {
        if let Why::Because(error) = &stay.why {
            exit = exit.worst(fail(error.as_ref()));
        }
    }
    if arguments.dry_run {
        for line in clean_plan_text(&plan) {
            output.line(line);
        }
        output.document(&cleaned(&arguments.image, &plan, None, exit));
        return finish(output, exit);
    }
    if asks && !plan.items.is_empty() {
        for item in &plan.items {
            note(clean_item(&plan, item));
        }
        for stay in &plan.stays {
            note(clean_stay(&plan, stay));
        }
        note(format!(
            "delete these {} from {}? [y/N]",
            plan.items.len(),
            plan.image
        ));
        if !confirmed() {
            let error = UsageError::Conflict {
                what: "not confirmed; nothing was deleted",
                hint: "answer y, or pass --force",
            };
            return fail_with(output, COMMAND, &error);
        }
    }
    let report = run_async(carry_out(&registry, &plan));
    for line in clean_text(&plan, &report) {
        output.line(line);
    }
    let errors = report
        .cleaned
        .iter()
        .filter_map(|cleaned| cleaned.outcome.as_ref().err())
        .chain(report.failed.iter().map(|(_, error)| error));
    for error in errors {
        exit = exit.worst(fail(error));
    }
    output.document(&cleaned(&arguments.image, &plan, Some(&report), exit));
    finish(output, exit)
}

fn confirmed() -> bool {
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(_) => matches!(answer.trim(), "y" | "Y" | "yes"),
        Err(_) => false,
    }
}
