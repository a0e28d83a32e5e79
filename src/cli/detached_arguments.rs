//! Arguments for signatures whose parts are files of their own.

use std::path::PathBuf;

use clap::Args;
use url::Url;

use super::arguments::Typed;
use crate::flow::detached::Detached;

/// A signature and a certificate in place of a bundle.
#[derive(Debug, Args)]
#[command(next_help_heading = "Older form")]
pub(crate) struct DetachedArguments {
    /// The signature, as `cosign sign-blob --output-signature` wrote it: a file, or the base64 itself. An older
    /// JSON bundle is read with --bundle.
    #[arg(long, value_name = "FILE|BASE64", conflicts_with_all = ["bundle", "policy"], allow_hyphen_values = true)]
    signature: Option<String>,

    /// The signer's certificate, PEM or base64 of it.
    #[arg(long, value_name = "FILE", requires = "signature")]
    certificate: Option<PathBuf>,

    /// Accepted so that scripts for cosign work. A chain is never trusted, so it is not read: the authorities
    /// are those of the trusted root.
    #[arg(long, value_name = "FILE", requires = "signature")]
    certificate_chain: Option<PathBuf>,

    /// An RFC 3161 timestamp over the signature, DER or the JSON that cosign wrote.
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    rfc3161_timestamp: Option<PathBuf>,

    /// A Rekor v1 log to ask for the entry of a signature that has none beside it. Its answer is verified as
    /// if it had been.
    #[arg(long, value_name = "URL", conflicts_with = "policy")]
    rekor_url: Option<Url>,
}

impl DetachedArguments {
    /// Returns what was given.
    pub fn detached(&self) -> Detached {
        Detached {
            signature: self.signature.clone(),
            certificate: self.certificate.clone(),
            timestamp: self.rfc3161_timestamp.clone(),
            log: self.rekor_url.clone(),
        }
    }

    /// Returns the signature as given.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    /// Returns the options as they would be typed.
    pub fn words(&self) -> Vec<Typed> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        [
            ("--signature", self.signature.clone()),
            ("--certificate", path(&self.certificate)),
            ("--rfc3161-timestamp", path(&self.rfc3161_timestamp)),
            ("--rekor-url", self.rekor_url.as_ref().map(Url::to_string)),
        ]
        .into_iter()
        .filter(|(_, value)| value.is_some())
        .collect()
    }
}
