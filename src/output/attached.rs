//! What is attached to an image, for people and machines. Nothing of it is verified, and that is said.

use serde_json::{Value, json};

use super::document::{self, head};
use super::human::plain;
use crate::diagnostic::Exit;
use crate::flow::clean::{CleanPlan, CleanReport, Item, Stay, Why};
use crate::flow::download::{Download, Form};
use crate::flow::push::Done;
use crate::flow::survey::{Attached, AttachedKind, Node, Origin, Place, Purpose, Survey};
use crate::format::oci::Document;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::net::registry::{Target, Unlisted};

/// Said wherever something unverified is shown.
pub const NOTICE: &str = "not verified: this is what is attached, whoever attached it";

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Signature => "signature",
        Purpose::Attestation => "attestation",
        Purpose::Sbom => "sbom",
        Purpose::Other => "other",
    }
}

fn kind(kind: AttachedKind) -> &'static str {
    match kind {
        AttachedKind::Bundle => "bundle",
        AttachedKind::LegacySignatures => "legacy-signatures",
        AttachedKind::LegacyAttestations => "legacy-attestations",
        AttachedKind::Sbom => "sbom",
        AttachedKind::Other => "other",
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::ReferrersApi => "referrers-api",
        Place::FallbackTag => "fallback-tag",
        Place::Legacy(_) => "legacy-tag",
        Place::Layout => "layout",
    }
}

/// Returns an attachment as JSON; `subject` is what it is attached to.
fn attached(attached: &Attached, subject: &Node) -> Value {
    let digest = subject.held.descriptor.digest;
    let tag = match attached.place {
        Place::Legacy(tag) => Some(tag.tag(&digest)),
        Place::FallbackTag => Some(crate::format::oci::fallback_tag(&digest)),
        _ => None,
    };
    // The empty name stands for a signature over bytes, which has no statement.
    let types = attached.predicate_types.iter().filter(|t| !t.is_empty());
    json!({
        "kind": kind(attached.kind),
        "purpose": purpose(attached.purpose()),
        "place": place(attached.place),
        "tag": tag,
        "refersToSubject": attached.refers,
        "predicateTypes": types.collect::<Vec<_>>(),
        "contents": attached.node.held.contents(),
        "contentSize": content_size(&attached.node),
        "manifest": node(&attached.node),
    })
}

fn content_size(node: &Node) -> u64 {
    match &node.held.document {
        Document::Manifest(manifest) => manifest
            .layers
            .iter()
            .fold(0, |sum, layer| layer.size.saturating_add(sum)),
        Document::Index(_) => 0,
    }
}

/// Returns a manifest with what belongs to it as JSON.
fn node(node: &Node) -> Value {
    let descriptor = &node.held.descriptor;
    let platform = node.listed.as_ref().and_then(|l| l.platform.as_ref());
    let problems: Vec<Value> = node
        .problems
        .iter()
        .map(|problem| {
            json!({
                "what": problem.what,
                "error": document::error(problem.error.as_ref()),
            })
        })
        .collect();
    json!({
        "digest": descriptor.digest.to_string(),
        "mediaType": descriptor.media_type,
        "artifactType": descriptor.artifact_type,
        "size": descriptor.size,
        "platform": platform.map(ToString::to_string),
        "children": node.children.iter().map(self::node).collect::<Vec<_>>(),
        "attached": node.attached.iter().map(|a| attached(a, node)).collect::<Vec<_>>(),
        "problems": problems,
    })
}

/// Returns the document of `tree`.
pub fn document(given: &str, survey: &Survey, exit: Exit) -> Value {
    let mut document = head(
        "tree",
        exit,
        [
            ("verified", false.into()),
            ("notice", NOTICE.into()),
            ("image", given.into()),
            ("reference", name(survey).into()),
            ("manifest", node(&survey.root)),
        ],
    );
    if exit == Exit::Accepted {
        document["result"] = "shown".into();
    }
    document
}

fn name(survey: &Survey) -> String {
    let digest = survey.root.held.descriptor.digest;
    match &survey.origin {
        Origin::Registry(_, repository) => format!("{repository}@{digest}"),
        Origin::Layout(layout) => format!("{}@{digest}", layout.path().display()),
    }
}

/// Formats a tree for people, one manifest a line.
pub fn text(survey: &Survey, recursive: bool) -> Vec<String> {
    let mut lines = vec![plain(&name(survey))];
    let root = &survey.root;
    branches(root, "", &mut lines);
    if let (Document::Index(index), false) = (&root.held.document, recursive) {
        let count = index.manifests.len();
        lines.push(format!(
            "an index of {count}; --recursive shows what is attached to each"
        ));
    }
    let mut some = false;
    root.each(&mut |node| some |= !node.attached.is_empty());
    lines.push(match some {
        true => NOTICE.to_owned(),
        false => "nothing is attached".to_owned(),
    });
    lines
}

fn branches(node: &Node, indent: &str, lines: &mut Vec<String>) {
    let attached = node.attached.iter().map(|a| (line(a, node), &a.node));
    let children = node.children.iter().map(|child| (child_line(child), child));
    let all: Vec<(String, &Node)> = attached.chain(children).collect();
    let count = all.len();
    for (at, (line, below)) in all.into_iter().enumerate() {
        let (branch, trunk) = match at + 1 == count {
            true => ("└─ ", "   "),
            false => ("├─ ", "│  "),
        };
        lines.push(format!("{indent}{branch}{line}"));
        branches(below, &format!("{indent}{trunk}"), lines);
    }
}

fn child_line(node: &Node) -> String {
    let platform = node.listed.as_ref().and_then(|l| l.platform.as_ref());
    let shown = platform.map_or_else(|| "image".to_owned(), ToString::to_string);
    let digest = node.held.descriptor.digest;
    plain(&format!("{shown}  {digest}"))
}

fn line(attached: &Attached, subject: &Node) -> String {
    let held = &attached.node.held;
    let what = match attached.kind {
        AttachedKind::Bundle => "bundle".to_owned(),
        AttachedKind::LegacySignatures | AttachedKind::LegacyAttestations => {
            format!("legacy, {} in it", held.contents())
        }
        AttachedKind::Sbom | AttachedKind::Other => held
            .descriptor
            .artifact_type
            .clone()
            .unwrap_or_else(|| held.descriptor.media_type.clone()),
    };
    let types: Vec<&str> = attached
        .predicate_types
        .iter()
        .map(String::as_str)
        .filter(|t| !t.is_empty() && *t != COSIGN_SIGN_V1)
        .collect();
    let types = match types.is_empty() {
        true => String::new(),
        false => format!(", {}", types.join(", ")),
    };
    let place = match attached.place {
        Place::ReferrersApi => "by the referrers API".to_owned(),
        Place::FallbackTag => "by the fallback tag".to_owned(),
        Place::Legacy(tag) => format!("tag {}", tag.tag(&subject.held.descriptor.digest)),
        Place::Layout => "in the layout".to_owned(),
    };
    let stray = match attached.refers {
        true => "",
        false => ", LISTED HERE BUT REFERS TO SOMETHING ELSE",
    };
    plain(&format!(
        "{}  {}  {} bytes, {what}{types}, {place}{stray}",
        purpose(attached.purpose()),
        held.descriptor.digest,
        content_size(&attached.node),
    ))
}

/// Returns the document of `download`.
pub fn downloads(command: &str, download: &Download, exit: Exit) -> Value {
    let found: Vec<Value> = download
        .found
        .iter()
        .map(|one| {
            let content: Value = serde_json::from_str(&one.line).unwrap_or(Value::Null);
            json!({
                "manifest": one.manifest.to_string(),
                "digest": one.digest.to_string(),
                "form": match one.form {
                    Form::Bundle => "bundle",
                    Form::LegacySignature => "legacy-signature",
                    Form::Envelope => "dsse-envelope",
                },
                "predicateType": one.predicate_type,
                "content": content,
            })
        })
        .collect();
    let failed: Vec<Value> = download
        .failed
        .iter()
        .map(|(digest, error)| {
            json!({ "what": digest.to_string(), "error": document::error(error) })
        })
        .collect();
    let mut document = head(
        command,
        exit,
        [
            ("verified", false.into()),
            ("notice", NOTICE.into()),
            ("reference", download.image.to_string().into()),
            ("found", found.into()),
            ("problems", failed.into()),
        ],
    );
    if exit == Exit::Accepted {
        document["result"] = "shown".into();
    }
    document
}

/// Returns the document of `copy`, `save` and `load`.
pub fn transfer(command: &str, survey: &Survey, to: &str, done: &Done, exit: Exit) -> Value {
    let unlisted: Vec<String> = done.unlisted.iter().map(ToString::to_string).collect();
    let problems: Vec<Value> = survey
        .root
        .problems()
        .into_iter()
        .map(|problem| {
            json!({
                "what": problem.what,
                "error": document::error(problem.error.as_ref()),
            })
        })
        .collect();
    head(
        command,
        exit,
        [
            ("verified", false.into()),
            ("source", name(survey).into()),
            ("destination", to.into()),
            (
                "digest",
                survey.root.held.descriptor.digest.to_string().into(),
            ),
            (
                "done",
                json!({
                    "manifests": done.manifests,
                    "manifestsThere": done.manifests_there,
                    "blobs": done.blobs,
                    "blobsMounted": done.blobs_mounted,
                    "blobsThere": done.blobs_there,
                    "bytes": done.bytes,
                    "attached": done.attached,
                    "tags": done.tags,
                    "unlisted": unlisted,
                }),
            ),
            ("problems", problems.into()),
        ],
    )
}

/// Formats what `copy`, `save` and `load` did.
pub fn transfer_text(verb: &str, survey: &Survey, to: &str, done: &Done) -> Vec<String> {
    let mut lines = vec![
        plain(&format!("{verb} {} to {to}", name(survey))),
        format!("  attached   {}", done.attached),
        format!(
            "  manifests  {} sent, {} there",
            done.manifests, done.manifests_there
        ),
        format!(
            "  blobs      {} sent ({} bytes), {} mounted, {} there",
            done.blobs, done.bytes, done.blobs_mounted, done.blobs_there
        ),
    ];
    for tag in &done.tags {
        lines.push(plain(&format!("  tag        {tag}")));
    }
    for digest in &done.unlisted {
        lines.push(format!(
            "  unlisted   {digest}: it refers to something else than what listed it"
        ));
    }
    lines
}

fn target(plan: &CleanPlan, target: &Target) -> String {
    match target {
        Target::Tag(tag) => format!("{}:{tag}", plan.beside),
        Target::Digest(digest) => format!("{}@{digest}", plan.beside),
    }
}

fn effect(item: &Item) -> &'static str {
    match (&item.target, item.ours) {
        (Target::Tag(_), true) if item.deletes => "deleted",
        (Target::Tag(_), _) => "tag-deleted",
        (Target::Digest(_), true) => "deleted",
        (Target::Digest(_), false) => "entry-removed",
    }
}

/// Formats one thing that will be deleted.
pub fn clean_item(plan: &CleanPlan, item: &Item) -> String {
    let note = match (&item.target, item.ours) {
        (Target::Tag(_), false) => ", the tag alone: what it points to is not this image's",
        (Target::Tag(_), true) if !item.deletes => ", the tag alone: the manifest has other names",
        (Target::Digest(_), false) => ", only its entry: it is not what it is listed as",
        _ => "",
    };
    plain(&format!(
        "  {} ({}{note})",
        target(plan, &item.target),
        kind(item.kind)
    ))
}

fn why(stay: &Stay) -> String {
    match &stay.why {
        Why::NotOurs => "what it points to does not say that it is this image's".to_owned(),
        Why::Holds => "something that is attached to it stays".to_owned(),
        Why::Because(error) => error.to_string(),
    }
}

/// Formats one thing that stays.
pub fn clean_stay(plan: &CleanPlan, stay: &Stay) -> String {
    let (target, kind) = (target(plan, &stay.target), kind(stay.kind));
    plain(&format!("stays {target} ({kind}): {}", why(stay)))
}

/// Formats what was deleted.
pub fn clean_text(plan: &CleanPlan, report: &CleanReport) -> Vec<String> {
    let mut lines = Vec::new();
    for cleaned in &report.cleaned {
        let word = match &cleaned.outcome {
            Ok(true) => effect(&cleaned.item),
            Ok(false) => "was gone already",
            Err(_) => "NOT DELETED",
        };
        lines.push(plain(&format!(
            "{word} {}",
            target(plan, &cleaned.item.target)
        )));
    }
    for (tag, done) in &report.indexes {
        lines.push(plain(&match done {
            Unlisted::IndexDeleted => format!("deleted {tag}, the list, with nothing left in it"),
            Unlisted::TagDeleted => format!("tag-deleted {tag}, the list, with nothing left in it"),
            _ => format!("rewritten {tag}, the list"),
        }));
    }
    lines.extend(plan.stays.iter().map(|stay| clean_stay(plan, stay)));
    if lines.is_empty() {
        lines.push(plain(&format!("nothing to delete from {}", plan.image)));
    }
    lines
}

/// Formats what would be deleted, and what would stay.
pub fn clean_plan_text(plan: &CleanPlan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .items
        .iter()
        .map(|item| format!("would delete{}", clean_item(plan, item)))
        .collect();
    lines.extend(plan.stays.iter().map(|stay| clean_stay(plan, stay)));
    if plan.items.is_empty() {
        lines.push(plain(&format!("nothing to delete from {}", plan.image)));
    }
    lines
}

/// Returns the document of `clean`; without a report nothing was done.
pub fn cleaned(given: &str, plan: &CleanPlan, report: Option<&CleanReport>, exit: Exit) -> Value {
    let item = |item: &Item, done: &'static str, error: Option<Value>| {
        json!({
            "target": target(plan, &item.target),
            "subject": item.subject.to_string(),
            "manifest": item.manifest.to_string(),
            "kind": kind(item.kind),
            "planned": effect(item),
            "effect": done,
            "error": error,
        })
    };
    let items: Vec<Value> = match report {
        None => plan
            .items
            .iter()
            .map(|one| item(one, "none", None))
            .collect(),
        Some(report) => report
            .cleaned
            .iter()
            .map(|cleaned| {
                let done = match &cleaned.outcome {
                    Ok(true) => effect(&cleaned.item),
                    Ok(false) => "was-gone",
                    Err(_) => "none",
                };
                let error = cleaned.outcome.as_ref().err();
                item(
                    &cleaned.item,
                    done,
                    error.map(|error| document::error(error)),
                )
            })
            .collect(),
    };
    let stays: Vec<Value> = plan
        .stays
        .iter()
        .map(|stay| {
            json!({
                "target": target(plan, &stay.target),
                "subject": stay.subject.to_string(),
                "manifest": stay.manifest.to_string(),
                "kind": kind(stay.kind),
                "reason": why(stay),
                "error": match &stay.why {
                    Why::Because(error) => Some(document::error(error.as_ref())),
                    Why::NotOurs | Why::Holds => None,
                },
            })
        })
        .collect();
    let indexes = report.map(|report| report.indexes.as_slice());
    let rewritten = indexes.unwrap_or_default().iter().map(|(tag, done)| {
        let effect = match done {
            Unlisted::IndexDeleted => "deleted",
            Unlisted::TagDeleted => "tag-deleted",
            _ => "rewritten",
        };
        json!({ "tag": tag, "effect": effect, "error": null })
    });
    let failed = report.map(|report| report.failed.as_slice());
    let failed = failed.unwrap_or_default().iter().map(
        |(tag, error)| json!({ "tag": tag, "effect": "none", "error": document::error(error) }),
    );
    head(
        "clean",
        exit,
        [
            ("image", given.into()),
            ("reference", plan.image.to_string().into()),
            ("dryRun", report.is_none().into()),
            ("items", items.into()),
            ("stays", stays.into()),
            (
                "fallbackTags",
                rewritten.chain(failed).collect::<Vec<_>>().into(),
            ),
        ],
    )
}
