//! Floor 6: the command line. Each command turns its arguments into a request, runs the flow, and shows
//! what came of it.

mod arguments;
mod attach;
mod attest;
mod attest_blob;
mod bundle;
mod clean;
mod command_line;
mod copy;
mod detached_arguments;
mod download;
mod images;
mod inspect;
mod limits;
mod load;
mod login;
mod policy;
mod policy_arguments;
mod predicate_arguments;
mod registry_arguments;
mod sandbox;
mod save;
mod schema;
mod scope;
mod sign;
mod sign_blob;
mod signing_config;
mod tree;
mod triangulate;
mod trusted_root;
mod verify;
mod verify_attestation;
mod verify_blob;
mod verify_blob_attestation;
mod version;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, Subcommand};

use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::Event;
use crate::flow::survey::Problem;
use crate::output::{self, Format, Output, Warnings};

/// Sign and verify container images and files with an identity instead of a key.
///
/// Example: keyless sandbox demo
#[derive(Debug, Parser)]
#[command(
    name = "keyless",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Write what would go to standard output to this file, replacing it.
    #[arg(long, global = true, value_name = "FILE", display_order = 900)]
    output_file: Option<PathBuf>,

    /// Say nothing on standard error but errors and warnings.
    #[arg(short, long, global = true, display_order = 901)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Sign(Box<sign::SignArguments>),
    Verify(Box<verify::VerifyArguments>),
    SignBlob(Box<sign_blob::SignBlobArguments>),
    VerifyBlob(Box<verify_blob::VerifyBlobArguments>),
    Attest(Box<attest::AttestArguments>),
    VerifyAttestation(Box<verify_attestation::VerifyAttestationArguments>),
    AttestBlob(Box<attest_blob::AttestBlobArguments>),
    VerifyBlobAttestation(Box<verify_blob_attestation::VerifyBlobAttestationArguments>),
    Inspect(inspect::InspectArguments),
    Attach(attach::AttachArguments),
    Tree(Box<tree::TreeArguments>),
    Download(download::DownloadArguments),
    Triangulate(Box<triangulate::TriangulateArguments>),
    Copy(Box<copy::CopyArguments>),
    Clean(Box<clean::CleanArguments>),
    Bundle(bundle::BundleArguments),
    Save(Box<save::SaveArguments>),
    Load(Box<load::LoadArguments>),
    Policy(policy::PolicyArguments),
    Login(login::LoginArguments),
    Logout(login::LogoutArguments),
    SigningConfig(signing_config::SigningConfigArguments),
    TrustedRoot(trusted_root::TrustedRootArguments),
    Sandbox(sandbox::SandboxArguments),
    Schema(schema::SchemaArguments),
    Version(version::VersionArguments),
}

/// What a command runs with.
pub(crate) struct Context {
    output_file: Option<PathBuf>,
    quiet: bool,
    warnings: Warnings,
}

impl Context {
    /// Opens the output of a command.
    fn output(&self, format: Format) -> Result<Output, Exit> {
        Output::open(format, self.output_file.as_deref(), self.warnings.clone())
            .map_err(|error| fail(&error))
    }

    /// Shows an event of a flow.
    fn report(&self) -> impl Fn(Event) + Sync + use<> {
        let quiet = self.quiet;
        let is_watched = !quiet && output::progress::is_watched();
        let shows_progress = AtomicBool::new(false);
        let warnings = self.warnings.clone();
        move |event: Event| match output::human::warning(&event) {
            Some(warning) => warnings.warn(&warning),
            None if quiet => {}
            None => match event {
                Event::Progress { done, total, .. } if is_watched && total > 1 => {
                    shows_progress.store(true, Ordering::Relaxed);
                    output::progress::show(&output::human::event(&event), done == total);
                }
                // The line counts them.
                Event::Attaching { .. } if shows_progress.load(Ordering::Relaxed) => {}
                Event::Progress { .. } => {}
                event => output::note(output::human::event(&event)),
            },
        }
    }

    /// Shows a line on standard error, unless the user wants errors and warnings only.
    fn note(&self, line: &str) {
        if !self.quiet {
            output::note(output::human::plain(line));
        }
    }
}

/// Shows an error and returns its exit code.
pub(crate) fn fail(error: &dyn Diagnostic) -> Exit {
    output::show_error(error);
    error.exit()
}

/// Shows why something was refused, with the command that would accept it if there is one; returns the exit
/// code.
pub(crate) fn refuse(error: &dyn Diagnostic, accepting: Option<&str>) -> Exit {
    output::note(output::human::refusal(error, accepting));
    error.exit()
}

/// Puts an error on the heap, where one of several kinds is meant.
pub(crate) fn boxed(error: impl Diagnostic + 'static) -> Box<dyn Diagnostic> {
    Box::new(error)
}

/// Ends a command that failed as a whole: the error for people, and the document for machines.
pub(crate) fn fail_with(mut output: Output, command: &str, error: &dyn Diagnostic) -> Exit {
    output.document(&output::failure(command, error));
    let exit = fail(error);
    finish(output, exit)
}

/// Says that a signing that stopped left nothing behind.
pub(crate) fn note_nothing_published() {
    output::note("nothing was published");
}

/// Shows what could not be looked at, and returns how bad that is: what is listed and not there is worth a
/// word, no more.
pub(crate) fn note_exit(problems: &[&Problem]) -> Exit {
    let mut exit = Exit::Accepted;
    for problem in problems {
        if problem.is_dangling() {
            let what = output::human::plain(&problem.what);
            output::note(format!("warning: {what} is listed and not there"));
        } else {
            exit = exit.worst(fail(problem.error.as_ref()));
        }
    }
    exit
}

/// Writes the output and returns the exit code; what was not written was not done.
pub(crate) fn finish(output: Output, exit: Exit) -> Exit {
    match output.finish() {
        Ok(()) => exit,
        Err(error) => exit.worst(fail(&error)),
    }
}

/// Runs asynchronous work of a command.
pub(crate) fn run_async<F: Future>(future: F) -> F::Output {
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system grants a process its event queue")
        .block_on(future);
    // What stopped on the way has left its line.
    output::progress::erase();
    result
}

/// Runs the program; returns its exit code.
pub fn main() -> Exit {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                return command_line::refuse(error, &arguments);
            }
            // Help and version are no errors; they go to standard output.
            let _ = error.print();
            return Exit::Accepted;
        }
    };
    let context = Context {
        output_file: cli.output_file,
        quiet: cli.quiet,
        warnings: Warnings::default(),
    };
    match cli.command {
        Command::Sign(arguments) => sign::run(*arguments, &context),
        Command::Verify(arguments) => verify::run(*arguments, &context),
        Command::SignBlob(arguments) => sign_blob::run(*arguments, &context),
        Command::VerifyBlob(arguments) => verify_blob::run(*arguments, &context),
        Command::Attest(arguments) => attest::run(*arguments, &context),
        Command::VerifyAttestation(arguments) => verify_attestation::run(*arguments, &context),
        Command::AttestBlob(arguments) => attest_blob::run(*arguments, &context),
        Command::VerifyBlobAttestation(arguments) => {
            verify_blob_attestation::run(*arguments, &context)
        }
        Command::Inspect(arguments) => inspect::run(arguments, &context),
        Command::Attach(arguments) => attach::run(arguments, &context),
        Command::Tree(arguments) => tree::run(*arguments, &context),
        Command::Download(arguments) => download::run(arguments, &context),
        Command::Triangulate(arguments) => triangulate::run(*arguments, &context),
        Command::Bundle(arguments) => bundle::run(arguments, &context),
        Command::Clean(arguments) => clean::run(*arguments, &context),
        Command::Copy(arguments) => copy::run(*arguments, &context),
        Command::Save(arguments) => save::run(*arguments, &context),
        Command::Load(arguments) => load::run(*arguments, &context),
        Command::Policy(arguments) => policy::run(arguments, &context),
        Command::Login(arguments) => login::log_in(arguments, &context),
        Command::Logout(arguments) => login::log_out(&arguments, &context),
        Command::SigningConfig(arguments) => signing_config::run(arguments, &context),
        Command::TrustedRoot(arguments) => trusted_root::run(arguments, &context),
        Command::Sandbox(arguments) => sandbox::run(arguments, &context),
        Command::Schema(_) => schema::run(&context),
        Command::Version(arguments) => version::run(&arguments, &context),
    }
}
