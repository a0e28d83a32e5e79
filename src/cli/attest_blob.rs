//! `keyless attest-blob`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{SigningArguments, TrustArguments, UsageError};
use super::limits::LimitArguments;
use super::predicate_arguments::AttestedArguments;
use super::{Context, boxed, fail_with, finish, note_nothing_published, run_async};
use crate::crypto::{Digest, HashAlgorithm};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::attest_blob::{AttestBlobRequest, attest_blobs};
use crate::flow::sign_blob::BlobSource;
use crate::host::files::OutputFile;
use crate::host::hardening::harden;
use crate::net::HttpClient;
use crate::output::human::{self, plain};
use crate::output::{Format, Output, attest};

/// Attest something about files: one statement about all of them, in one bundle.
///
/// The predicate is signed as it is given; one of a known type is checked against it first.
///
/// Example: keyless attest-blob app.tar.gz --type slsaprovenance1 --predicate provenance.json --bundle
/// app.provenance.sigstore.json
#[derive(Debug, Args)]
pub(crate) struct AttestBlobArguments {
    /// Files; - for standard input, or sha256:… for a file that is elsewhere. A file's name is the subject's.
    #[arg(value_name = "FILE", required_unless_present = "hash")]
    files: Vec<String>,

    #[command(flatten)]
    attested: AttestedArguments,

    /// Digest of the file, which is then not read: sha256:…, or the hex alone.
    #[arg(long, value_name = "DIGEST")]
    hash: Option<String>,

    /// File for the bundle.
    #[arg(long, value_name = "FILE", required = true)]
    bundle: PathBuf,

    /// Replace the bundle file if it exists.
    #[arg(long)]
    overwrite: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    limits: LimitArguments,

    #[command(flatten)]
    signing: SigningArguments,

    #[command(flatten)]
    trust: TrustArguments,
}

const COMMAND: &str = "attest-blob";

pub(crate) fn run(arguments: AttestBlobArguments, context: &Context) -> Exit {
    harden();
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let request = match request(&arguments, &output) {
        Ok(request) => request,
        Err(error) => return fail_with(output, COMMAND, &*error),
    };
    let report = context.report();
    match run_async(attest_blobs(&HttpClient::new(), request, &report)) {
        Ok(attested) => {
            for (source, _) in &attested.blobs {
                output.line(format!("attested {}", plain(&source.to_string())));
            }
            for line in human::verified(&attested.bundle.verified) {
                output.line(line);
            }
            let path = attested.path.display().to_string();
            output.line(format!("  bundle     {}", plain(&path)));
            output.document(&attest::attest_blobs(&attested));
            finish(output, Exit::Accepted)
        }
        Err(error) => {
            note_nothing_published();
            fail_with(output, COMMAND, &error)
        }
    }
}

fn request(
    arguments: &AttestBlobArguments,
    shown: &Output,
) -> Result<AttestBlobRequest, Box<dyn Diagnostic>> {
    let conflict = |what, hint| boxed(UsageError::Conflict { what, hint });
    let given = &arguments.attested;
    let from_stdin = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new("-"));
    let is_stdin_taken = from_stdin(&given.predicate) || from_stdin(&given.statement);
    let stdins = arguments.files.iter().filter(|file| *file == "-").count();
    if stdins + usize::from(is_stdin_taken) > 1 {
        return Err(conflict(
            "standard input is given more than once",
            "name files for all but one",
        ));
    }
    let attested = given.read(arguments.limits.max_attachment_size)?;
    let bundle = OutputFile::prepare(&arguments.bundle, arguments.overwrite).map_err(boxed)?;
    if shown.is_same_place(&bundle) {
        return Err(conflict(
            "--bundle and --output-file would be the same file",
            "give each a name of its own",
        ));
    }
    Ok(AttestBlobRequest {
        blobs: blobs(arguments)?,
        attested,
        bundle,
        limit: arguments.limits.max_attachment_size,
        signing: arguments.signing.options(&arguments.trust),
    })
}

/// Returns the files with their names.
fn blobs(
    arguments: &AttestBlobArguments,
) -> Result<Vec<(BlobSource, String)>, Box<dyn Diagnostic>> {
    let Some(hash) = &arguments.hash else {
        let named = |text: &String| {
            let source = BlobSource::parse(text);
            let name = match &source {
                BlobSource::Digest(_) => String::new(),
                BlobSource::File(path) => name(path),
            };
            (source, name)
        };
        return Ok(arguments.files.iter().map(named).collect());
    };
    let digest = hash.parse::<Digest>().ok().or_else(|| {
        let bytes = hex::decode(hash).ok()?;
        Digest::new(HashAlgorithm::Sha256, &bytes)
    });
    let Some(digest) = digest else {
        return Err(boxed(UsageError::Conflict {
            what: "--hash is not a digest",
            hint: "write sha256: and 64 hexadecimal digits, or the digits alone",
        }));
    };
    if arguments.files.len() > 1 {
        return Err(boxed(UsageError::Conflict {
            what: "--hash is the digest of one file, and several are given",
            hint: "give each file's digest in its place: sha256:…",
        }));
    }
    let name = arguments.files.first().map(|file| name(Path::new(file)));
    Ok(vec![(BlobSource::Digest(digest), name.unwrap_or_default())])
}

/// Returns a file's name without its folders, as cosign names subjects.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
