//! `keyless trusted-root`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Context, fail};
use crate::diagnostic::Exit;
use crate::flow::author::{TrustedRootRequest, trusted_root};

/// Say which authorities and logs are trusted.
#[derive(Debug, Args)]
pub(crate) struct TrustedRootArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Create(Box<CreateArguments>),
}

/// Make a trusted root for a Sigstore instance; same flags and same file as cosign.
///
/// Example: keyless trusted-root create --fulcio "url=https://fulcio.example.com,certificate-chain=fulcio.pem"
/// --rekor "url=https://rekor.example.com,public-key=rekor.pub,start-time=2024-01-01T00:00:00Z"
/// --out trusted-root.json
#[derive(Debug, Args)]
struct CreateArguments {
    /// Certificate authority: url=URL,certificate-chain=PEM[,start-time=RFC3339][,end-time=RFC3339]. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    fulcio: Vec<String>,

    /// Transparency log: url=URL,public-key=PEM,start-time=RFC3339[,end-time=RFC3339][,origin=NAME]; Rekor
    /// v2 needs the origin. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    rekor: Vec<String>,

    /// Certificate transparency log; keys as for --rekor. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    ctfe: Vec<String>,

    /// Timestamp authority; keys as for --fulcio, the signer's certificate first. Repeatable.
    #[arg(long, value_name = "SERVICE")]
    tsa: Vec<String>,

    /// Start from the public-good instance, as built in; services given here replace its own.
    #[arg(long)]
    with_default_services: bool,

    /// Leave the default certificate authorities out.
    #[arg(long)]
    no_default_fulcio: bool,

    /// Leave the default logs out.
    #[arg(long)]
    no_default_rekor: bool,

    /// Leave the default certificate transparency logs out.
    #[arg(long)]
    no_default_ctfe: bool,

    /// Leave the default timestamp authorities out.
    #[arg(long)]
    no_default_tsa: bool,

    /// Write the file here instead of to standard output, replacing it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(arguments: TrustedRootArguments, context: &Context) -> Exit {
    let What::Create(arguments) = arguments.what;
    let without = [
        ("fulcio", arguments.no_default_fulcio),
        ("rekor", arguments.no_default_rekor),
        ("ctfe", arguments.no_default_ctfe),
        ("tsa", arguments.no_default_tsa),
    ];
    let request = TrustedRootRequest {
        fulcio: arguments.fulcio,
        rekor: arguments.rekor,
        ctfe: arguments.ctfe,
        tsa: arguments.tsa,
        with_default_services: arguments.with_default_services,
        without: without
            .into_iter()
            .filter(|(_, left_out)| *left_out)
            .map(|(name, _)| name)
            .collect(),
    };
    match trusted_root(&request) {
        Ok(json) => super::signing_config::write(context, arguments.out, &json),
        Err(error) => fail(&error),
    }
}
