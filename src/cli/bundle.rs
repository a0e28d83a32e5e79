//! `keyless bundle`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use url::Url;

use super::arguments::{TrustArguments, UsageError};
use super::policy_arguments::read_key;
use super::{Context, boxed, fail_with, finish, run_async};
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::bundle_file::{Completion, MadeBundle, Parts, assemble, complete, read_any};
use crate::flow::sign_blob::BlobSource;
use crate::flow::trust;
use crate::format::bundle::{Bundle, BundleVersion};
use crate::host::files::OutputFile;
use crate::net::HttpClient;
use crate::output::document::{self, head};
use crate::output::human::{self, plain};
use crate::output::{Format, Output, escaped};

/// Make bundles of v0.3 out of what there is.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Create(Box<CreateArguments>),
    Upgrade(Box<UpgradeArguments>),
}

/// Make a bundle out of its parts: signature, certificate or key, log entry, timestamps.
///
/// Nothing is signed. A missing inclusion proof is fetched from --rekor-url. The bundle is verified before it is
/// written; who signed is shown, and not judged.
///
/// Example: keyless bundle create --artifact release.tar.gz --bundle release.tar.gz.bundle --rekor-url
/// https://rekor.sigstore.dev --out release.tar.gz.sigstore.json
#[derive(Debug, Args)]
struct CreateArguments {
    /// The statement that the signature is over, in an envelope.
    #[arg(long, value_name = "FILE", requires = "signature", conflicts_with_all = ["attestation", "bundle"])]
    statement: Option<PathBuf>,

    /// A DSSE envelope.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["signature", "bundle"])]
    attestation: Option<PathBuf>,

    /// The signature, base64 or as it is.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    signature: Option<PathBuf>,

    /// The signer's certificate: PEM, base64 of PEM, or DER.
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    certificate: Option<PathBuf>,

    /// Accepted so that scripts for cosign work: a bundle has no place for a chain, and trusts none.
    #[arg(long, value_name = "FILE")]
    certificate_chain: Option<PathBuf>,

    /// cosign's older JSON bundle.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,

    /// A log entry: an answer of Rekor, a TransparencyLogEntry, or cosign's older form. Repeatable.
    #[arg(long, value_name = "FILE")]
    rekor_entry: Vec<PathBuf>,

    /// An RFC 3161 timestamp: cosign's JSON, base64, or DER. Repeatable.
    #[arg(long, value_name = "FILE")]
    rfc3161_timestamp: Vec<PathBuf>,

    /// Make it without a log entry; only for a key, and only verifiers that ask for none accept it.
    #[arg(long, requires = "key")]
    insecure_ignore_tlog: bool,

    #[command(flatten)]
    common: CommonArguments,
}

/// Write a bundle of an older form anew as v0.3: of v0.1, v0.2, or cosign's JSON bundle.
///
/// Nothing is signed. A missing inclusion proof is fetched from --rekor-url. The bundle is verified before it is
/// written; who signed is shown, and not judged.
///
/// Example: keyless bundle upgrade old.sigstore.json --out new.sigstore.json
#[derive(Debug, Args)]
struct UpgradeArguments {
    /// The bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    #[command(flatten)]
    common: CommonArguments,
}

#[derive(Debug, Args)]
struct CommonArguments {
    /// The signed file, or sha256:… . Without it: what log entry or statement say.
    #[arg(long, value_name = "FILE")]
    artifact: Option<String>,

    /// The signer's public key, PEM, for what was not signed with a certificate.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The log to fetch missing inclusion proofs from, a Rekor v1.
    #[arg(long, value_name = "URL")]
    rekor_url: Option<Url>,

    /// Where to write the bundle. Without it: to standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file if it exists.
    #[arg(long)]
    overwrite: bool,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    trust: TrustArguments,
}

pub(crate) fn run(arguments: BundleArguments, context: &Context) -> Exit {
    match arguments.what {
        What::Create(arguments) => {
            let CreateArguments {
                statement,
                attestation,
                signature,
                certificate,
                certificate_chain: _,
                bundle,
                rekor_entry,
                rfc3161_timestamp,
                insecure_ignore_tlog,
                common,
            } = *arguments;
            let parts = Parts {
                statement,
                attestation,
                signature,
                certificate,
                older: bundle,
                log_entries: rekor_entry,
                timestamps: rfc3161_timestamp,
            };
            let signed = [&parts.attestation, &parts.signature, &parts.older];
            let is_signed = signed.iter().any(|part| part.is_some());
            make(
                "bundle create",
                common,
                insecure_ignore_tlog,
                context,
                || {
                    if !is_signed {
                        return Err(boxed(UsageError::Conflict {
                            what: "there is no signature",
                            hint: "give --signature, --attestation or --bundle",
                        }));
                    }
                    assemble(&parts).map_err(boxed)
                },
            )
        }
        What::Upgrade(arguments) => {
            let UpgradeArguments { bundle, common } = *arguments;
            make("bundle upgrade", common, false, context, || {
                read_any(&bundle).map_err(boxed)
            })
        }
    }
}

fn make(
    command: &str,
    arguments: CommonArguments,
    without_log: bool,
    context: &Context,
    read: impl FnOnce() -> Result<Bundle, Box<dyn Diagnostic>>,
) -> Exit {
    let output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    match made(&arguments, without_log, &output, read) {
        Ok((made, out)) => show(command, output, &made, out),
        Err(error) => fail_with(output, command, &*error),
    }
}

type Made = (MadeBundle, Option<OutputFile>);

fn made(
    arguments: &CommonArguments,
    without_log: bool,
    output: &Output,
    read: impl FnOnce() -> Result<Bundle, Box<dyn Diagnostic>>,
) -> Result<Made, Box<dyn Diagnostic>> {
    let out = arguments
        .out
        .as_deref()
        .map(|path| OutputFile::prepare(path, arguments.overwrite))
        .transpose()
        .map_err(boxed)?;
    if out.as_ref().is_some_and(|out| output.is_same_place(out)) {
        return Err(boxed(UsageError::Conflict {
            what: "--out and --output-file would be the same file",
            hint: "give each a name of its own",
        }));
    }
    let bundle = read()?;
    let key = arguments.key.as_deref().map(read_key);
    let trust = trust::trusted_root(&arguments.trust.source()).map_err(boxed)?;
    for warning in &trust.warnings {
        output.warn(warning);
    }
    let how = Completion {
        artifact: arguments.artifact.as_deref().map(BlobSource::parse),
        key: key.transpose().map_err(boxed)?,
        log: arguments.rekor_url.clone(),
        without_log,
        trust: &trust,
    };
    let made = run_async(complete(&HttpClient::new(), bundle, &how)).map_err(boxed)?;
    Ok((made, out))
}

fn show(command: &str, mut output: Output, made: &MadeBundle, out: Option<OutputFile>) -> Exit {
    let path = out.as_ref().map(|out| out.path().display().to_string());
    let written = match out {
        Some(out) => out.write(made.json.as_bytes()),
        None => Ok(()),
    };
    if let Err(error) = written {
        return fail_with(output, command, &error);
    }
    match &path {
        Some(path) => {
            output.line(plain(&format!("wrote {path}")));
            for line in human::verified(&made.verified) {
                output.line(line);
            }
        }
        None => output.line(escaped(&made.json)),
    }
    let from = match made.from {
        BundleVersion::V01 => "0.1",
        BundleVersion::V02 => "0.2",
        BundleVersion::V03 => "0.3",
    };
    let bundle: serde_json::Value =
        serde_json::from_str(&made.json).unwrap_or(serde_json::Value::Null);
    output.document(&head(
        command,
        Exit::Accepted,
        [
            ("path", path.into()),
            ("bundle", bundle),
            ("readAs", from.into()),
            ("proofsFetched", json!(made.proofs)),
            ("signature", document::verified(&made.verified)),
        ],
    ));
    finish(output, Exit::Accepted)
}
