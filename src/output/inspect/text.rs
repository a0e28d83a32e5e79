//! The text of `keyless inspect`: sections of labelled lines. Whatever is shown passes [`plain`] in one
//! place, [`Sheet::lines`].

use super::{BY_LOG, claimed_times, flags, names_signer, notice};
use crate::crypto::Digest;
use crate::flow::inspect::bundle::{
    BundleFacts, ContentFacts, EntryFacts, KeyFacts, ProofFacts, StatementFacts, TimestampFacts,
};
use crate::flow::inspect::certificate::CertificateFacts;
use crate::flow::inspect::part::{List, Part, cut};
use crate::flow::inspect::{ImageFacts, Inspected, Shown};
use crate::output::human::plain;

/// Items of a list that people see; the document has more.
const LIST_SHOWN: usize = 20;
/// Bundles and certificates of one argument that people see.
const FOUND_SHOWN: usize = 50;

/// A section: its title, and lines of label and value.
struct Section {
    title: String,
    rows: Vec<(String, String)>,
}

impl Section {
    fn new(title: impl Into<String>) -> Self {
        Section {
            title: title.into(),
            rows: Vec::new(),
        }
    }

    fn row(&mut self, label: impl Into<String>, value: impl Into<String>) {
        self.rows.push((label.into(), value.into()));
    }

    /// Adds what a part says, or that it cannot be read.
    fn part<T>(&mut self, label: &str, part: &Part<T>, show: impl FnOnce(&mut Self, &T)) {
        match part {
            Ok(facts) => show(self, facts),
            Err(error) => self.row(label, format!("unreadable: {error}")),
        }
    }

    /// Adds the first items of a list, one a line, and how many are left out.
    fn list<T>(&mut self, label: &str, list: &List<T>, show: impl Fn(&mut Self, &T)) {
        let shown = list.items.len().min(LIST_SHOWN);
        for item in &list.items[..shown] {
            show(self, item);
        }
        if list.total > shown {
            self.row(label, format!("and {} more", list.total - shown));
        }
    }
}

/// What is shown under one heading.
struct Sheet {
    heading: String,
    sections: Vec<Section>,
}

impl Sheet {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![plain(&self.heading)];
        for section in &self.sections {
            let rows = &section.rows;
            let width = rows.iter().map(|(label, _)| label.chars().count()).max();
            let width = width.unwrap_or(0);
            lines.push(format!("  {}", plain(&section.title)));
            for (label, value) in rows {
                let line = format!("    {:width$}  {}", plain(label), plain(value));
                lines.push(line.trim_end().to_owned());
            }
        }
        lines
    }
}

/// Formats what was read; nothing where there is nothing.
pub fn text(inspected: &[Inspected]) -> Vec<String> {
    let Some(notice) = notice(inspected) else {
        return Vec::new();
    };
    let mut lines = vec![notice.to_owned()];
    for sheet in inspected.iter().flat_map(sheets) {
        lines.push(String::new());
        lines.extend(sheet.lines());
    }
    lines
}

fn sheets(inspected: &Inspected) -> Vec<Sheet> {
    let argument = match inspected.argument.as_str() {
        "-" => "standard input",
        argument => argument,
    };
    match &inspected.shown {
        Shown::Nothing => Vec::new(),
        Shown::Bundles(bundles) => found(argument, bundles, |bundle| match bundle {
            Ok(bundle) => bundle_sections(None, bundle),
            Err(error) => vec![unreadable_section(error)],
        }),
        Shown::Certificates(certificates) => {
            found(argument, certificates, |certificate| match certificate {
                Ok(certificate) => certificate_sections(certificate),
                Err(error) => vec![unreadable_section(error)],
            })
        }
        Shown::Image(facts) => image_sheets(argument, facts),
    }
}

fn image_sheets(argument: &str, facts: &ImageFacts) -> Vec<Sheet> {
    let image = facts.image.to_string();
    let name = match argument == image {
        true => image,
        false => format!("{image} (given as {argument})"),
    };
    let mut sheets = found(&name, &facts.bundles, |(manifest, bundle)| {
        bundle_sections(Some(manifest), bundle)
    });
    let mut section = Section::new("not shown");
    for (manifest, reason) in facts.others.iter().take(LIST_SHOWN) {
        section.row(manifest.to_string(), reason.to_string());
    }
    if facts.others.len() > LIST_SHOWN {
        let more = facts.others.len() - LIST_SHOWN;
        section.row("others", format!("and {more} more"));
    }
    if let Some(cut) = &facts.cut {
        section.row("the rest", cut.to_string());
    }
    if !section.rows.is_empty() {
        sheets.push(Sheet {
            heading: format!("{name}: also attached"),
            sections: vec![section],
        });
    }
    sheets
}

/// Makes a sheet of each item, of the first [`FOUND_SHOWN`].
fn found<T>(name: &str, items: &[T], sections: impl Fn(&T) -> Vec<Section>) -> Vec<Sheet> {
    let mut sheets: Vec<Sheet> = items
        .iter()
        .take(FOUND_SHOWN)
        .enumerate()
        .map(|(index, item)| Sheet {
            heading: numbered(name, index, items.len()),
            sections: sections(item),
        })
        .collect();
    if items.len() > FOUND_SHOWN {
        let more = items.len() - FOUND_SHOWN;
        sheets.push(Sheet {
            heading: format!("{name}: and {more} more; --output json shows them"),
            sections: Vec::new(),
        });
    }
    sheets
}

fn unreadable_section(error: &str) -> Section {
    let mut section = Section::new("unreadable");
    section.row("reason", error);
    section
}

fn certificate_sections(certificate: &CertificateFacts) -> Vec<Section> {
    let mut sections = Vec::new();
    if names_signer(certificate) {
        sections.push(signer_section(certificate, &[]));
    }
    sections.push(certificate_section(certificate));
    sections
}

fn numbered(name: &str, index: usize, total: usize) -> String {
    match total {
        1 => name.to_owned(),
        _ => format!("{name}: {} of {total}", index + 1),
    }
}

fn bundle_sections(manifest: Option<&Digest>, bundle: &BundleFacts) -> Vec<Section> {
    let mut sections = Vec::new();
    let times: Vec<String> = claimed_times(bundle)
        .into_iter()
        .map(|(time, source)| match source {
            BY_LOG => format!("{time} says the log"),
            _ => format!("{time} says a timestamp"),
        })
        .collect();
    match &bundle.key {
        KeyFacts::Certificate(certificate) => {
            sections.push(signer_section(certificate, &times));
            sections.push(content_section(&bundle.content));
            sections.push(certificate_section(certificate));
        }
        KeyFacts::Hint(hint) => {
            let mut section = Section::new("signer");
            let shown = match hint.as_str() {
                "" => "no hint".to_owned(),
                hint => format!("hint {hint}"),
            };
            section.row("public key", shown);
            for time in &times {
                section.row("signed", time);
            }
            sections.push(section);
            sections.push(content_section(&bundle.content));
        }
    }
    for (index, entry) in bundle.entries.iter().enumerate() {
        let title = numbered("log entry", index, bundle.entries.len());
        sections.push(entry_section(title, entry));
    }
    for (index, stamp) in bundle.timestamps.iter().enumerate() {
        let title = numbered("timestamp", index, bundle.timestamps.len());
        sections.push(timestamp_section(title, stamp));
    }
    let mut section = Section::new("bundle");
    section.row("version", bundle.version);
    section.row("digest", bundle.digest.to_string());
    if let Some(manifest) = manifest {
        section.row("attached by", manifest.to_string());
    }
    sections.push(section);
    sections
}

fn signer_section(certificate: &CertificateFacts, times: &[String]) -> Section {
    let mut section = Section::new("signer");
    section.part("identity", &certificate.signer, |section, signer| {
        section.row("identity", cut(&signer.identity));
        section.row("issuer", cut(&signer.issuer));
    });
    for time in times {
        section.row("signed", time);
    }
    for (name, value) in &certificate.claims {
        // Shown above; without a signer the two issuers may be the reason.
        if certificate.signer.is_ok() && matches!(*name, "issuer" | "issuer-v1") {
            continue;
        }
        section.part(name, value, |section, value| section.row(*name, value));
    }
    if let Ok(signer) = &certificate.signer {
        let flags = flags(signer);
        let flags = flags.unwrap_or_else(|| "no flags: the name cannot be shown whole".to_owned());
        section.row("accept with", flags);
    }
    section
}

fn certificate_section(certificate: &CertificateFacts) -> Section {
    let mut section = Section::new("certificate");
    if !certificate.subject.is_empty() {
        section.row("subject", &certificate.subject);
    }
    section.part("name", &certificate.names, |section, names| {
        section.list("name", names, |section, (kind, value)| {
            section.row("name", format!("{kind} {value}"));
        });
    });
    section.row("issued by", &certificate.issuer);
    section.row("serial", &certificate.serial);
    section.row("valid", certificate.validity.to_string());
    if certificate.is_ca {
        section.row("authority", "may issue certificates");
    }
    let key = certificate.key;
    section.row("key", format!("{key}, {}", certificate.key_fingerprint));
    if !certificate.key_usage.is_empty() {
        section.row("key usage", certificate.key_usage.join(", "));
    }
    section.list(
        "purpose",
        &certificate.extended_key_usage,
        |section, usage| {
            section.row("purpose", usage);
        },
    );
    if let Some(id) = &certificate.subject_key_id {
        section.row("key id", id);
    }
    if let Some(id) = &certificate.authority_key_id {
        section.row("issuer key id", id);
    }
    section.part("SCT", &certificate.scts, |section, scts| {
        for sct in scts {
            section.row("SCT", format!("{} by log {}", sct.time, sct.log_id));
        }
    });
    section.list(
        "extension",
        &certificate.other_extensions,
        |section, extension| {
            let critical = if extension.critical { "critical, " } else { "" };
            let shown = format!("{} ({critical}{} bytes)", extension.oid, extension.len);
            section.row("extension", shown);
        },
    );
    section.row("fingerprint", certificate.fingerprint.to_string());
    section
}

fn content_section(content: &ContentFacts) -> Section {
    let mut section = Section::new("content");
    match content {
        ContentFacts::Message { digest, signature } => {
            let shown = digest.map_or_else(|| "not named".to_owned(), |digest| digest.to_string());
            section.row("file", shown);
            section.row("signature", signature.to_string());
        }
        ContentFacts::Envelope {
            payload_type,
            payload_len,
            payload,
            keyid,
            statement,
            signature,
        } => {
            if let Some(statement) = statement {
                section.part("statement", statement, statement_rows);
            }
            section.row("payload type", payload_type);
            section.row("payload", format!("{payload_len} bytes, {payload}"));
            if !keyid.is_empty() {
                section.row("key hint", keyid);
            }
            section.row("signature", signature.to_string());
        }
    }
    section
}

fn statement_rows(section: &mut Section, statement: &StatementFacts) {
    section.row("predicate type", &statement.predicate_type);
    if statement.subjects.total == 0 {
        section.row("subject", "none");
    }
    section.list("subject", &statement.subjects, |section, subject| {
        let mut words: Vec<String> = subject.digests.iter().map(ToString::to_string).collect();
        if words.is_empty() {
            words.push("no SHA-2 digest".to_owned());
        }
        if !subject.name.is_empty() {
            words.push(subject.name.clone());
        }
        section.row("subject", words.join(" "));
        section.list(
            "annotation",
            &subject.annotations,
            |section, (name, value)| {
                section.row("annotation", format!("{name}={value}"));
            },
        );
    });
}

fn entry_section(title: String, entry: &EntryFacts) -> Section {
    let mut section = Section::new(title);
    section.row("log index", entry.index.to_string());
    section.row("log id", &entry.log_id);
    section.row("kind", &entry.kind);
    if let Some(time) = entry.time {
        let unpromised = if entry.promised { "" } else { ", not promised" };
        section.row("time", format!("{time}{unpromised}"));
    }
    section.row("promise", if entry.promised { "yes" } else { "none" });
    match &entry.proof {
        None => section.row("proof", "none"),
        Some(proof) => proof_rows(&mut section, proof),
    }
    section.part("body", &entry.body, |section, body| {
        section.row(body.what, body.digest.to_string());
        if let Some(signature) = &body.signature {
            section.row("signature", signature.to_string());
        }
        section.row(body.verifier, body.verifier_fingerprint.to_string());
    });
    section
}

fn proof_rows(section: &mut Section, proof: &ProofFacts) {
    section.row(
        "proof",
        format!(
            "index {} in a tree of {}, path of {}",
            proof.index, proof.tree_size, proof.hashes
        ),
    );
    section.part("checkpoint", &proof.checkpoint, |section, checkpoint| {
        section.row(
            "checkpoint",
            format!("{}, size {}", checkpoint.origin, checkpoint.tree_size),
        );
        section.list("signed by", &checkpoint.signers, |section, signer| {
            section.row("signed by", signer);
        });
    });
}

fn timestamp_section(title: String, stamp: &Part<TimestampFacts>) -> Section {
    let mut section = Section::new(title);
    section.part("token", stamp, |section, stamp| {
        section.row("time", stamp.time.to_string());
        section.row("stamped", stamp.imprint.to_string());
        section.row("signer", &stamp.signer);
        section.row("serial", &stamp.serial);
        section.part("policy", &stamp.policy, |section, policy| {
            section.row("policy", policy);
        });
        if let Some(accuracy) = &stamp.accuracy {
            section.part("accuracy", accuracy, |section, micros| {
                let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
                let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
                section.row("accuracy", format!("{seconds} s"));
            });
        }
        if stamp.certificates > 0 {
            section.row("certificates", format!("{} came along", stamp.certificates));
        }
    });
    section
}
