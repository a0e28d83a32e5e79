//! Text for people. Whatever came from outside is shown without control characters.

use super::{document, policy};
use crate::diagnostic::{Diagnostic, clean, counted};
use crate::flow::discover::StoredForm;
use crate::flow::rules::Unmet;
use crate::flow::verify_image::{ImageError, ImageVerdict, Refusal};
use crate::flow::{Event, Stage};
use crate::format::certificate_identity::CertificateIdentity;
use crate::verify::error::{IF_INTENDED, signer_options};
use crate::verify::{MatchedSigner, VerifiedBundle};

/// Replaces control characters, so that no name can write to the terminal.
pub fn plain(text: &str) -> String {
    let unsafe_char = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|c| if unsafe_char(c) { '\u{fffd}' } else { c })
        .collect()
}

/// Formats an error: message, facts, hint.
pub fn error(error: &dyn Diagnostic) -> String {
    refusal(error, None)
}

/// Formats an error likewise; a command that would accept the signer takes the place of the hint that has a
/// part of it.
pub fn refusal(error: &dyn Diagnostic, accepting: Option<&str>) -> String {
    let mut out = format!("error: {}", plain(&error.to_string()));
    let details = error.details();
    let width = details
        .iter()
        .map(|(name, _)| name.len() + 1)
        .max()
        .unwrap_or(0);
    for (name, value) in &details {
        out.push_str(&format!(
            "\n  {:width$} {}",
            format!("{name}:"),
            plain(value)
        ));
    }
    let hint = error.hint();
    let is_part = |hint: &String| accepting.is_some() && hint.starts_with(IF_INTENDED);
    if let Some(hint) = hint.filter(|hint| !is_part(hint)) {
        out.push_str(&format!("\nhint: {}", plain(&hint)));
    }
    if let Some(command) = accepting {
        out.push_str(&format!("\nhint: {IF_INTENDED}{}", plain(command)));
    }
    out
}

/// Returns what an event warns of; `None` for one that does not.
pub fn warning(event: &Event) -> Option<String> {
    match event {
        Event::TagResolved { reference, pinned } => Some(format!(
            "{reference} is a tag and may point elsewhere later; this is about {pinned}"
        )),
        Event::Warning { text } => Some(text.clone()),
        _ => None,
    }
}

/// Formats an event.
pub fn event(event: &Event) -> String {
    match event {
        Event::TagResolved { .. } | Event::Warning { .. } => {
            let text = warning(event).unwrap_or_default();
            format!("warning: {}", plain(&text))
        }
        Event::RequestingCertificate { subject, url } => {
            format!(
                "requesting a certificate for {} from {}",
                plain(subject),
                plain(url)
            )
        }
        Event::Recording { signatures } => {
            let payloads = counted(*signatures, "payload");
            format!("signed {payloads}, the key is gone; timestamping and logging")
        }
        Event::Progress {
            stage,
            done,
            total,
            refused,
        } => {
            let what = match stage {
                Stage::Judged => "judged",
                Stage::LookedUp => "looked up",
                Stage::Logged => "logged",
                Stage::Attached => "attached",
            };
            let failed = match (refused, stage) {
                (0, _) => String::new(),
                (count, Stage::Judged) => format!(", {count} not accepted"),
                (count, _) => format!(", {count} failed"),
            };
            format!("{what} {done} of {total}{failed}")
        }
        Event::Transferring { what, bytes } => {
            format!("transferring {} ({} MB)", plain(what), bytes / 1_000_000)
        }
        Event::Attaching { image } => format!("attaching the signature to {}", plain(image)),
    }
}

/// Formats what a verdict found, one fact a line.
pub fn verified(bundle: &VerifiedBundle) -> Vec<String> {
    let mut lines = Vec::new();
    match bundle.signer() {
        MatchedSigner::Identity(identity) => {
            lines.push(format!("  identity   {}", plain(&identity.subject)));
            lines.push(format!("  issuer     {}", plain(&identity.issuer)));
        }
        MatchedSigner::Key(key) => lines.push(format!("  key        {}", key.fingerprint())),
    }
    for waiver in bundle.waivers() {
        lines.push(format!(
            "  WAIVED     {} ({})",
            waiver.meaning(),
            waiver.flag()
        ));
    }
    for entry in bundle.entries() {
        let how = match (entry.is_proven(), entry.promised_time()) {
            (true, Some(_)) => "inclusion proven and promised",
            (true, None) => "inclusion proven",
            (false, _) => "inclusion promised",
        };
        lines.push(format!(
            "  log index  {} in {} ({how})",
            entry.log_index(),
            plain(entry.log_url())
        ));
        if let Some(time) = entry.promised_time() {
            lines.push(format!("  logged     {time}"));
        }
    }
    for timestamp in bundle.timestamps() {
        lines.push(format!(
            "  timestamp  {} by {}",
            timestamp.time(),
            plain(timestamp.authority())
        ));
    }
    for (key, value) in bundle.annotations().iter().flatten() {
        lines.push(format!("  annotation {}={}", plain(key), plain(value)));
    }
    lines
}

/// Formats an image's verdict.
pub fn image_verdict(verdict: &ImageVerdict) -> Vec<String> {
    let shown = verdict
        .image
        .as_ref()
        .map_or_else(|| verdict.given.clone(), ToString::to_string);
    let outcome = match document::result(verdict.exit()) {
        "accepted" => "verified",
        "refused" => "refused",
        // Nobody knows; the registry could not be asked.
        _ => "not judged",
    };
    let mut lines = vec![format!("{outcome} {}", plain(&shown))];
    if let Some(listing) = &verdict.listed_by {
        let platform = listing.platform.as_ref();
        lines.push(format!(
            "  listed by  {}{}",
            listing.index,
            platform.map_or_else(String::new, |platform| format!(
                " for {}",
                plain(&platform.to_string())
            ))
        ));
        if listing.is_enough {
            lines.push("  unsigned   accepted with the index that lists it, as asked".to_owned());
        }
    }
    for (i, accepted) in verdict.accepted.iter().enumerate() {
        if i > 0 {
            lines.push(String::new());
        }
        if accepted.form == StoredForm::Legacy {
            lines
                .push("  form       legacy (older than bundles: no proof of inclusion)".to_owned());
        }
        lines.extend(verified(&accepted.verified));
        lines.extend(policy::met(&accepted.rules));
    }
    lines
}

/// Says that the index of an image without signature is accepted, which is not enough unless that was asked.
pub fn listed(verdict: &ImageVerdict, all: &[ImageVerdict]) -> Option<String> {
    let listing = verdict.listed_by.as_ref()?;
    let is_unsigned = matches!(
        &verdict.error,
        Some(ImageError::Unmet(Unmet::NoSignature { .. }))
    );
    let index = |verdict: &&ImageVerdict| {
        let image = verdict.image.as_ref();
        image.is_some_and(|image| image.digest() == listing.index)
    };
    let is_accepted = all
        .iter()
        .find(index)
        .is_some_and(|index| index.error.is_none());
    (is_unsigned && is_accepted).then(|| {
        "hint: only the index that lists it is signed; --accept-listed takes that as enough"
            .to_owned()
    })
}

/// Formats what was attached and not accepted; for standard error, and only where it explains a refusal.
pub fn refusals(verdict: &ImageVerdict) -> Vec<String> {
    verdict
        .refused
        .iter()
        .map(|refused| {
            let reason = match &refused.reason {
                Refusal::Verify(error) => with_what_differs(error),
                Refusal::Find(error) => with_what_differs(error),
                Refusal::OtherRule(other) => other.to_string(),
            };
            format!("  {}: {}", refused.manifest, plain(&reason))
        })
        .collect()
}

/// An error's message, with what was found.
fn with_what_differs(error: &dyn Diagnostic) -> String {
    let details = error.details();
    let found = details.iter().find(|(name, _)| *name == "found");
    match found {
        Some((_, found)) => format!("{error}: {}", clean(found, 200)),
        None => error.to_string(),
    }
}

/// Formats who claims to have signed, with the flags that would accept each. Nothing of it is verified.
pub fn claimed(signers: &[CertificateIdentity]) -> Vec<String> {
    signers
        .iter()
        .map(|identity| match signer_options(identity) {
            Some(options) => format!("  {options}"),
            None => format!(
                "  {} (issuer {}), which cannot be shown as it is",
                plain(&identity.subject),
                plain(&identity.issuer)
            ),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_shown_where_they_can_be_pasted() {
        let signer = |subject: &str| CertificateIdentity {
            subject: subject.to_owned(),
            issuer: "https://i".to_owned(),
            claims: Vec::new(),
        };
        let lines = claimed(&[signer("a@b"), signer("--x"), signer("a\u{1b}[2J")]);
        assert_eq!(
            lines,
            [
                "  --certificate-identity a@b --certificate-oidc-issuer https://i",
                "  --certificate-identity=--x --certificate-oidc-issuer https://i",
                "  a\u{fffd}[2J (issuer https://i), which cannot be shown as it is",
            ]
        );
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(
            plain("a\u{1b}[2Jb\nc\u{202e}d"),
            "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d"
        );
    }
}
