//! What `keyless inspect` shows. Everything comes from outside and nothing is verified; both outputs say so
//! first. The document has every fact that the text has, in the same words.

mod document;
mod text;

use crate::diagnostic::shell_option;
use crate::flow::inspect::bundle::{BundleFacts, EntryFacts};
use crate::flow::inspect::certificate::{CertificateFacts, Signer};
use crate::flow::inspect::part::cut;
use crate::flow::inspect::{Inspected, Shown};
use crate::output::human::plain;

pub use document::document;
pub use text::text;

/// Says that nothing is verified; `None` where nothing is shown.
fn notice(inspected: &[Inspected]) -> Option<&'static str> {
    let (mut bundles, mut certificates) = (false, false);
    for one in inspected {
        match &one.shown {
            Shown::Nothing => {}
            Shown::Bundles(_) | Shown::Image(_) => bundles = true,
            Shown::Certificates(_) => certificates = true,
        }
    }
    match (bundles, certificates) {
        (true, true) => {
            Some("not verified: this is what bundles and certificates say of themselves")
        }
        (true, false) => Some("not verified: this is what the bundle says of itself"),
        (false, true) => Some("not verified: this is what the certificate says of itself"),
        (false, false) => None,
    }
}

/// Returns the flags that would accept a signer; `None` if they would not survive being shown, for then
/// they would accept another.
fn flags(signer: &Signer) -> Option<String> {
    let survives = |text: &String| plain(text) == *text && cut(text) == *text;
    if !survives(&signer.identity) || !survives(&signer.issuer) {
        return None;
    }
    let identity = shell_option("--certificate-identity", &signer.identity)?;
    let issuer = shell_option("--certificate-oidc-issuer", &signer.issuer)?;
    Some(format!("{identity} {issuer}"))
}

/// Whether a certificate could name a signer: it may not issue others, or says something that Fulcio says.
fn names_signer(certificate: &CertificateFacts) -> bool {
    certificate.signer.is_ok() || !certificate.is_ca || !certificate.claims.is_empty()
}

/// Where a claimed time comes from.
const BY_LOG: &str = "log-promise";
const BY_AUTHORITY: &str = "timestamp-authority";

/// Lists when a bundle says that it was signed, and who says so.
fn claimed_times(bundle: &BundleFacts) -> Vec<(String, &'static str)> {
    let promised = |entry: &EntryFacts| entry.time.filter(|_| entry.promised);
    let logged = bundle.entries.iter().filter_map(promised);
    let stamped = bundle.timestamps.iter().flatten().map(|stamp| stamp.time);
    logged
        .map(|time| (time.rfc3339(), BY_LOG))
        .chain(stamped.map(|time| (time.rfc3339(), BY_AUTHORITY)))
        .collect()
}
