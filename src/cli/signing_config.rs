//! `keyless signing-config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Context, fail, finish};
use crate::diagnostic::Exit;
use crate::flow::author::{SigningConfigRequest, signing_config};
use crate::host::files::OutputFile;
use crate::output::Format;

/// Say which services sign.
#[derive(Debug, Args)]
pub(crate) struct SigningConfigArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Create(Box<CreateArguments>),
}

/// Make a signing config for a Sigstore instance; same flags and same file as cosign.
///
/// A service is a list: url=URL,api-version=N,start-time=RFC3339,operator=NAME[,end-time=RFC3339].
///
/// Example: keyless signing-config create
/// --fulcio="url=https://fulcio.example.com,api-version=1,start-time=2024-01-01T00:00:00Z,operator=example.com"
/// --output-file custom.signingconfig.json
#[derive(Debug, Args)]
struct CreateArguments {
    /// Certificate authority. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    fulcio: Vec<String>,

    /// OIDC provider for interactive logins. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    oidc_provider: Vec<String>,

    /// Transparency log. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    rekor: Vec<String>,

    /// How many logs: ANY, ALL or EXACT:<count>.
    #[arg(long, value_name = "SELECTOR")]
    rekor_config: Option<String>,

    /// Timestamp authority; its url is complete. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    tsa: Vec<String>,

    /// How many timestamp authorities: ANY, ALL or EXACT:<count>.
    #[arg(long, value_name = "SELECTOR")]
    tsa_config: Option<String>,

    /// Start from the public-good instance, as built in; services given here replace its own.
    #[arg(long)]
    with_default_services: bool,

    /// Leave the default certificate authorities out.
    #[arg(long)]
    no_default_fulcio: bool,

    /// Leave the default OIDC providers out.
    #[arg(long)]
    no_default_oidc: bool,

    /// Leave the default logs out.
    #[arg(long)]
    no_default_rekor: bool,

    /// Leave the default timestamp authorities out.
    #[arg(long)]
    no_default_tsa: bool,

    /// Write the file here instead of to standard output, replacing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: SigningConfigArguments, context: &Context) -> Exit {
    let What::Create(arguments) = arguments.what;
    let without = [
        ("fulcio", arguments.no_default_fulcio),
        ("oidc", arguments.no_default_oidc),
        ("rekor", arguments.no_default_rekor),
        ("tsa", arguments.no_default_tsa),
    ];
    let request = SigningConfigRequest {
        fulcio: arguments.fulcio,
        oidc_provider: arguments.oidc_provider,
        rekor: arguments.rekor,
        rekor_config: arguments.rekor_config,
        tsa: arguments.tsa,
        tsa_config: arguments.tsa_config,
        with_default_services: arguments.with_default_services,
        without: without
            .into_iter()
            .filter(|(_, left_out)| *left_out)
            .map(|(name, _)| name)
            .collect(),
    };
    match signing_config(&request) {
        Ok(json) => write(context, arguments.out, &json),
        Err(error) => fail(&error),
    }
}

/// Writes a file that was made: to `--out`, else to where data goes.
pub(super) fn write(context: &Context, out: Option<PathBuf>, json: &str) -> Exit {
    if let Some(path) = out {
        return match OutputFile::prepare(&path, true).and_then(|file| file.write(json.as_bytes())) {
            Ok(()) => Exit::Accepted,
            Err(error) => fail(&error),
        };
    }
    match context.output(Format::Text) {
        Ok(mut output) => {
            output.raw(json);
            output.raw("\n");
            finish(output, Exit::Accepted)
        }
        Err(exit) => exit,
    }
}
