//! Bundles and statements as JSON: the rules of each version, and shapes that are none of theirs.
//!
//! Shapes are tried at every level: each object of a good document is changed in turn.

use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::rc::Rc;

use keyless::crypto::asn1::encode;
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::Bundle;
use keyless::format::statement::Statement;
use serde_json::{Map, Value, json};

use crate::certificate::Template;
use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Scene, statement};
use crate::log::base64;
use crate::{Base, PASSES, export};

const V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";
const V02: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";

/// A bundle as JSON, and where it comes from.
struct Document {
    bundle: Value,
    forge: Forge,
    scene: Scene,
}

impl Deref for Document {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.bundle
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.bundle
    }
}

fn document(forge: Forge) -> Document {
    let scene = forge.make();
    Document {
        bundle: serde_json::from_str(&scene.bundle.encode()).unwrap(),
        forge,
        scene,
    }
}

/// Version 0.3, two observed times, blob.
fn blob() -> Document {
    document(Forge::stamped1())
}

fn envelope() -> Document {
    document(Forge::envelope2())
}

fn key() -> Document {
    document(Forge::key1())
}

/// A version that has a chain instead of a certificate.
fn older(media_type: &str) -> Document {
    let mut bundle = blob();
    bundle["mediaType"] = json!(media_type);
    chain(&mut bundle);
    bundle
}

fn v02() -> Document {
    older(V02)
}

fn v01() -> Document {
    older(V01)
}

fn chain(bundle: &mut Value) {
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    let certificate = material.remove("certificate").unwrap();
    let chain = json!({ "certificates": [certificate] });
    material.insert("x509CertificateChain".to_owned(), chain);
}

fn entry(bundle: &mut Value) -> &mut Map<String, Value> {
    let entry = &mut bundle["verificationMaterial"]["tlogEntries"][0];
    entry.as_object_mut().unwrap()
}

fn repeat(bundle: &mut Value, pointer: &str, times: usize) {
    let list = bundle.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
    let first = list[0].clone();
    list.extend(std::iter::repeat_n(first, times));
}

const ENTRIES: &str = "/verificationMaterial/tlogEntries";
const TIMESTAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";

fn set_timestamp(bundle: &mut Value, len: usize) {
    let text = base64(&vec![1; len]);
    bundle.pointer_mut(TIMESTAMPS).unwrap()[0]["signedTimestamp"] = json!(text);
}

fn code(json: &str) -> &'static str {
    Bundle::parse(json.as_bytes()).map_or_else(|error| error.code(), |_| PASSES)
}

/// Name, base, the one change, code.
type Rule = (&'static str, fn() -> Document, fn(&mut Value), &'static str);

#[track_caller]
fn judge(rules: &[Rule]) {
    let table = Location::caller();
    let mut wrong = Vec::new();
    for (name, base, change, expected) in rules {
        let mut bundle = base();
        let unchanged = bundle.to_string();
        let before = code(&unchanged);
        if before != PASSES {
            wrong.push(format!("{name}: the base is refused: {before}"));
        }
        change(&mut bundle);
        let changed = bundle.to_string();
        let found = code(&changed);
        if found != *expected {
            wrong.push(format!("{name}: expected {expected:?}, found {found:?}"));
        }
        let Document { forge, scene, .. } = &bundle;
        export::document(table, name, forge, scene, [&unchanged, &changed]);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn rules_of_the_versions() {
    judge(&[
        ("v0.3-with-a-chain", blob, chain, "bundle-invalid"),
        (
            "v0.3-without-proof",
            blob,
            |bundle| drop(entry(bundle).remove("inclusionProof")),
            "bundle-invalid",
        ),
        (
            "v0.3-without-promise",
            blob,
            |bundle| drop(entry(bundle).remove("inclusionPromise")),
            PASSES,
        ),
        (
            "v0.3-in-its-older-spelling",
            blob,
            |bundle| {
                bundle["mediaType"] = json!(V02.replace("0.2", "0.3"));
            },
            PASSES,
        ),
        (
            "v0.2-without-proof",
            v02,
            |bundle| drop(entry(bundle).remove("inclusionProof")),
            "bundle-invalid",
        ),
        (
            "v0.2-without-promise",
            v02,
            |bundle| drop(entry(bundle).remove("inclusionPromise")),
            PASSES,
        ),
        (
            "v0.1-without-promise",
            v01,
            |bundle| drop(entry(bundle).remove("inclusionPromise")),
            "bundle-invalid",
        ),
        (
            "v0.1-without-proof",
            v01,
            |bundle| drop(entry(bundle).remove("inclusionProof")),
            PASSES,
        ),
        (
            "v0.4",
            blob,
            |bundle| bundle["mediaType"] = json!("application/vnd.dev.sigstore.bundle.v0.4+json"),
            "bundle-version",
        ),
        (
            "no-media-type",
            blob,
            |bundle| drop(bundle.as_object_mut().unwrap().remove("mediaType")),
            "bundle-version",
        ),
        (
            "chain-with-a-root",
            v02,
            |bundle| {
                let root = Forge::blob1().root.issue();
                let list = bundle
                    .pointer_mut("/verificationMaterial/x509CertificateChain/certificates")
                    .unwrap();
                let list = list.as_array_mut().unwrap();
                list.push(json!({ "rawBytes": base64(root.der()) }));
            },
            "bundle-invalid",
        ),
        (
            "chain-empty",
            v02,
            |bundle| {
                bundle["verificationMaterial"]["x509CertificateChain"]["certificates"] = json!([]);
            },
            "bundle-invalid",
        ),
        (
            "certificate-not-der",
            blob,
            |bundle| {
                let text = base64(&encode(0x30, b"no certificate"));
                bundle["verificationMaterial"]["certificate"]["rawBytes"] = json!(text);
            },
            "bundle-certificate",
        ),
    ]);
}

/// What follows the leaf in a chain of v0.1 and v0.2; each is right but for its one thing.
#[test]
fn chains_of_the_older_versions() {
    type Chain = fn(&Forge) -> Vec<Template>;
    let chains: [(&str, Chain, &str); 16] = [
        ("leaf-alone", |_| Vec::new(), PASSES),
        ("intermediate", |f| vec![f.intermediate.clone()], PASSES),
        (
            "root-at-the-end",
            |f| vec![f.intermediate.clone(), f.root.clone()],
            PASSES,
        ),
        (
            "root-at-the-end-expired",
            |f| {
                let mut root = f.root.clone();
                (root.not_before, root.not_after) = (1, 2);
                vec![f.intermediate.clone(), root]
            },
            // It is not trusted, so its dates say nothing; the trusted root's own copy is judged.
            PASSES,
        ),
        (
            "root-cross-signed",
            |f| {
                let mut root = f.root.clone();
                root.issuer = "somebody else";
                root.signer = f.stranger.clone();
                vec![f.intermediate.clone(), root]
            },
            PASSES,
        ),
        (
            "root-twice",
            |f| vec![f.intermediate.clone(), f.root.clone(), f.root.clone()],
            "bundle-invalid",
        ),
        (
            "root-in-the-middle",
            |f| vec![f.root.clone(), f.intermediate.clone()],
            "bundle-invalid",
        ),
        (
            "root-after-the-leaf",
            |f| vec![f.root.clone()],
            "bundle-invalid",
        ),
        (
            "root-of-another-name",
            |f| {
                let mut root = f.root.clone();
                (root.subject, root.issuer) = ("another", "another");
                vec![f.intermediate.clone(), root]
            },
            "bundle-invalid",
        ),
        (
            "root-of-another-key",
            |f| {
                let mut root = f.root.clone();
                (root.key, root.signer) = (f.stranger.clone(), f.stranger.clone());
                vec![f.intermediate.clone(), root]
            },
            "bundle-invalid",
        ),
        (
            "root-not-self-signed",
            |f| {
                let mut root = f.root.clone();
                root.signer = f.stranger.clone();
                vec![f.intermediate.clone(), root]
            },
            "bundle-invalid",
        ),
        (
            "intermediate-twice",
            |f| vec![f.intermediate.clone(), f.intermediate.clone()],
            "bundle-invalid",
        ),
        (
            "intermediate-of-another-key",
            |f| {
                let mut intermediate = f.intermediate.clone();
                intermediate.key = f.stranger.clone();
                vec![intermediate, f.root.clone()]
            },
            "bundle-invalid",
        ),
        (
            "intermediate-of-another-name",
            |f| {
                let mut intermediate = f.intermediate.clone();
                intermediate.subject = "another";
                vec![intermediate, f.root.clone()]
            },
            "bundle-invalid",
        ),
        ("leaf-twice", |f| vec![f.leaf.clone()], "bundle-invalid"),
        (
            "eleven-certificates",
            |f| {
                // A path that fits: each of these authorities is issued by the next.
                let mut path: Vec<Template> = vec![f.intermediate.clone(); 10];
                for n in 0..10 {
                    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
                    path[n].signer = f.intermediate.key.clone();
                    path[n].issuer = names[n + 1];
                    if n > 0 {
                        path[n].subject = names[n];
                    }
                }
                path
            },
            "bundle-malformed",
        ),
    ];
    let mut wrong = Vec::new();
    for (version, base) in [("v0.1", v01 as fn() -> Document), ("v0.2", v02)] {
        for (name, following, expected) in &chains {
            let mut bundle = base();
            let following = following(&bundle.forge);
            let list = bundle
                .pointer_mut("/verificationMaterial/x509CertificateChain/certificates")
                .unwrap();
            for template in following {
                let certificate = template.issue();
                let member = json!({ "rawBytes": base64(certificate.der()) });
                list.as_array_mut().unwrap().push(member);
            }
            let found = code(&bundle.to_string());
            if found != *expected {
                wrong.push(format!(
                    "{version} {name}: expected {expected:?}, found {found:?}"
                ));
            }
            if *expected == PASSES {
                // It is the leaf that is judged, and nothing else of the chain.
                let parsed = Bundle::parse(bundle.to_string().as_bytes()).unwrap();
                assert_eq!(
                    parsed.key_material, bundle.scene.bundle.key_material,
                    "{name}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn members_and_counts() {
    judge(&[
        (
            "entry-twice",
            blob,
            |bundle| repeat(bundle, ENTRIES, 1),
            "bundle-invalid",
        ),
        (
            "timestamp-twice",
            blob,
            |bundle| repeat(bundle, TIMESTAMPS, 1),
            "bundle-invalid",
        ),
        (
            "entries-33",
            blob,
            |bundle| {
                repeat(bundle, ENTRIES, 32);
                let list = bundle.pointer_mut(ENTRIES).unwrap().as_array_mut().unwrap();
                for (at, entry) in list.iter_mut().enumerate() {
                    entry["logIndex"] = json!(at.to_string());
                }
            },
            "bundle-malformed",
        ),
        (
            "entries-32",
            blob,
            |bundle| {
                repeat(bundle, ENTRIES, 31);
                let list = bundle.pointer_mut(ENTRIES).unwrap().as_array_mut().unwrap();
                for (at, entry) in list.iter_mut().enumerate() {
                    entry["logIndex"] = json!(at.to_string());
                }
            },
            PASSES,
        ),
        (
            "timestamps-33",
            blob,
            |bundle| {
                repeat(bundle, TIMESTAMPS, 32);
                let list = bundle
                    .pointer_mut(TIMESTAMPS)
                    .unwrap()
                    .as_array_mut()
                    .unwrap();
                for (at, timestamp) in list.iter_mut().enumerate() {
                    timestamp["signedTimestamp"] = json!(base64(&[1, u8::try_from(at).unwrap()]));
                }
            },
            "bundle-malformed",
        ),
        (
            "timestamp-empty",
            blob,
            |bundle| set_timestamp(bundle, 0),
            "bundle-invalid",
        ),
        (
            "timestamp-over-64-kib",
            blob,
            |bundle| set_timestamp(bundle, 64 * 1024 + 1),
            "bundle-invalid",
        ),
        (
            "checkpoint-over-16-kib",
            blob,
            |bundle| {
                let text = "x".repeat(16 * 1024 + 1);
                entry(bundle)["inclusionProof"]["checkpoint"]["envelope"] = json!(text);
            },
            "bundle-invalid",
        ),
        (
            "bundle-over-8-mib",
            blob,
            |bundle| {
                let text = "x".repeat(8 * 1024 * 1024);
                entry(bundle)["inclusionProof"]["checkpoint"]["envelope"] = json!(text);
            },
            "bundle-too-large",
        ),
        (
            "no-entry",
            blob,
            |bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]),
            "bundle-invalid",
        ),
        (
            "no-entry-for-a-key",
            key,
            |bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]),
            PASSES,
        ),
        (
            "certificate-and-key",
            blob,
            |bundle| bundle["verificationMaterial"]["publicKey"] = json!({ "hint": "x" }),
            "bundle-invalid",
        ),
        (
            "certificate-and-chain",
            v02,
            |bundle| {
                let material = &mut bundle["verificationMaterial"];
                material["certificate"] =
                    material["x509CertificateChain"]["certificates"][0].clone();
            },
            "bundle-invalid",
        ),
        (
            "neither-certificate-nor-key",
            blob,
            |bundle| bundle["verificationMaterial"]["certificate"] = Value::Null,
            "bundle-invalid",
        ),
        (
            "message-and-envelope",
            blob,
            |bundle| bundle["dsseEnvelope"] = envelope()["dsseEnvelope"].clone(),
            "bundle-invalid",
        ),
        (
            "neither-message-nor-envelope",
            blob,
            |bundle| bundle["messageSignature"] = Value::Null,
            "bundle-invalid",
        ),
        (
            "no-verification-material",
            blob,
            |bundle| bundle["verificationMaterial"] = Value::Null,
            "bundle-invalid",
        ),
        (
            "two-signatures",
            envelope,
            |bundle| repeat(bundle, "/dsseEnvelope/signatures", 1),
            "bundle-invalid",
        ),
        (
            "no-signatures",
            envelope,
            |bundle| bundle["dsseEnvelope"]["signatures"] = json!([]),
            "bundle-invalid",
        ),
        (
            "signature-empty",
            envelope,
            |bundle| bundle["dsseEnvelope"]["signatures"][0]["sig"] = json!(""),
            "bundle-invalid",
        ),
        (
            "message-signature-empty",
            blob,
            |bundle| bundle["messageSignature"]["signature"] = json!(""),
            "bundle-invalid",
        ),
        (
            "digest-too-short",
            blob,
            |bundle| bundle["messageSignature"]["messageDigest"]["digest"] = json!("AAAA"),
            "bundle-invalid",
        ),
        (
            "digest-of-sha-1",
            blob,
            |bundle| bundle["messageSignature"]["messageDigest"]["algorithm"] = json!("SHA1"),
            "bundle-invalid",
        ),
    ]);
}

#[test]
fn members_of_an_entry() {
    judge(&[
        (
            "index-negative",
            blob,
            |bundle| entry(bundle)["logIndex"] = json!("-1"),
            "bundle-invalid",
        ),
        (
            "index-of-the-proof-negative",
            blob,
            |bundle| entry(bundle)["inclusionProof"]["logIndex"] = json!(-1),
            "bundle-invalid",
        ),
        (
            "tree-size-negative",
            blob,
            |bundle| entry(bundle)["inclusionProof"]["treeSize"] = json!("-7"),
            "bundle-invalid",
        ),
        (
            "time-negative",
            blob,
            |bundle| entry(bundle)["integratedTime"] = json!("-1"),
            "bundle-invalid",
        ),
        (
            "index-with-a-fraction",
            blob,
            |bundle| entry(bundle)["logIndex"] = json!(1.5),
            "bundle-malformed",
        ),
        (
            "index-with-a-sign",
            blob,
            |bundle| entry(bundle)["logIndex"] = json!("+1"),
            "bundle-malformed",
        ),
        (
            "index-over-63-bits",
            blob,
            |bundle| entry(bundle)["logIndex"] = json!("9223372036854775808"),
            "bundle-malformed",
        ),
        (
            "index-as-a-number",
            blob,
            |bundle| entry(bundle)["logIndex"] = json!(1004),
            PASSES,
        ),
        (
            "log-id-missing",
            blob,
            |bundle| drop(entry(bundle).remove("logId")),
            "bundle-invalid",
        ),
        (
            "log-id-too-short",
            blob,
            |bundle| entry(bundle)["logId"]["keyId"] = json!("AAAA"),
            "bundle-invalid",
        ),
        (
            "kind-missing",
            blob,
            |bundle| drop(entry(bundle).remove("kindVersion")),
            "bundle-invalid",
        ),
        (
            "body-missing",
            blob,
            |bundle| drop(entry(bundle).remove("canonicalizedBody")),
            "bundle-invalid",
        ),
        (
            "promise-empty",
            blob,
            |bundle| entry(bundle)["inclusionPromise"] = json!({}),
            "bundle-invalid",
        ),
        (
            "checkpoint-missing",
            blob,
            |bundle| entry(bundle)["inclusionProof"]["checkpoint"] = Value::Null,
            "bundle-invalid",
        ),
        (
            "root-hash-too-short",
            blob,
            |bundle| entry(bundle)["inclusionProof"]["rootHash"] = json!("AAAA"),
            "bundle-invalid",
        ),
        (
            "hash-too-short",
            blob,
            |bundle| entry(bundle)["inclusionProof"]["hashes"][0] = json!("AAAA"),
            "bundle-invalid",
        ),
        (
            "hashes-65",
            blob,
            |bundle| {
                let hashes = vec![base64(&[0; 32]); 65];
                entry(bundle)["inclusionProof"]["hashes"] = json!(hashes);
            },
            "bundle-malformed",
        ),
        (
            "base64-with-a-line-break",
            blob,
            |bundle| {
                let body = entry(bundle)["canonicalizedBody"].as_str().unwrap();
                let broken = format!("{}\n{}", &body[..4], &body[4..]);
                entry(bundle)["canonicalizedBody"] = json!(broken);
            },
            "bundle-malformed",
        ),
    ]);
}

/// Pointers to every object in a document.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.push(at.to_owned());
            for (name, value) in members {
                objects(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(elements) => {
            for (place, value) in elements.iter().enumerate() {
                objects(value, &format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// Documents with the object at each pointer changed in turn; the change may find nothing to do.
fn changed(
    document: &Value,
    change: fn(&Map<String, Value>) -> Option<Value>,
) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    objects(document, "", &mut pointers);
    let one = |pointer: String| {
        let mut changed = document.clone();
        let object = changed.pointer_mut(&pointer).unwrap();
        *object = change(object.as_object().unwrap())?;
        Some((pointer, changed))
    };
    pointers.into_iter().filter_map(one).collect()
}

/// Stands for a second member of the first member's name.
const AGAIN: &str = "@again";

/// The text of a document, with names marked [`AGAIN`] made duplicates.
fn text(document: &Value) -> String {
    document.to_string().replace(AGAIN, "")
}

fn as_array(object: &Map<String, Value>) -> Option<Value> {
    Some(object.values().cloned().collect())
}

fn with_unknown(object: &Map<String, Value>) -> Option<Value> {
    let mut object = object.clone();
    object.insert("unknown".to_owned(), json!("more"));
    Some(object.into())
}

fn with_duplicate(object: &Map<String, Value>) -> Option<Value> {
    let mut object = object.clone();
    let (name, value) = object.iter().next()?;
    let (name, value) = (format!("{AGAIN}{name}"), value.clone());
    object.insert(name, value);
    Some(object.into())
}

fn in_snake_case(object: &Map<String, Value>) -> Option<Value> {
    let snake = |name: &str| {
        name.chars().fold(String::new(), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        })
    };
    let (name, _) = object.iter().find(|(name, _)| snake(name) != **name)?;
    let renamed = object.iter().map(|(member, value)| {
        let member = match member == name {
            true => snake(member),
            false => member.clone(),
        };
        (member, value.clone())
    });
    Some(Value::Object(renamed.collect()))
}

/// Tries a change at every level of every kind of bundle; none may be read.
#[track_caller]
fn never_a_bundle(change: fn(&Map<String, Value>) -> Option<Value>, at_least: usize) {
    let mut tried = 0;
    let mut wrong = Vec::new();
    for (name, base) in [
        ("blob", blob as fn() -> Document),
        ("envelope", envelope),
        ("key", key),
        ("v0.2", v02),
    ] {
        let base = base();
        assert_eq!(code(&text(&base)), PASSES, "{name}");
        for (pointer, changed) in changed(&base, change) {
            tried += 1;
            let found = code(&text(&changed));
            if found != "bundle-malformed" {
                wrong.push(format!("{name} at {pointer:?}: found {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(tried >= at_least, "only {tried} documents were tried");
}

#[test]
fn unknown_members_of_a_bundle() {
    never_a_bundle(with_unknown, 40);
}

#[test]
fn duplicate_members_of_a_bundle() {
    never_a_bundle(with_duplicate, 40);
}

#[test]
fn snake_case_in_a_bundle() {
    never_a_bundle(in_snake_case, 20);
}

#[test]
fn arrays_for_objects_in_a_bundle() {
    never_a_bundle(as_array, 40);
}

#[test]
fn shapes_of_a_statement() {
    let payload = statement(COSIGN_SIGN, &[(ARTIFACT, r#"{"env":"prod"}"#)]);
    let mut base: Value = serde_json::from_slice(&payload).unwrap();
    base["predicate"] = json!({ "list": [[1]], "deep": { "more": 1 } });
    let table = Location::caller();
    let code = |name: &str, document: &Value| {
        let mut forge = Forge::envelope2();
        let unchanged = forge.clone();
        forge.set_payload(text(document).into_bytes());
        let scene = forge.make();
        export::scene(table, &format!("statement-{name}"), &unchanged, &scene);
        scene.verify().map_or_else(|error| error.code(), |_| PASSES)
    };
    assert_eq!(code("unchanged", &base), PASSES);
    for (pointer, changed) in changed(&base, as_array) {
        // What a predicate says is its own business, as long as it is an object.
        let expected = match pointer.starts_with("/predicate/") {
            true => PASSES,
            false => "statement-malformed",
        };
        let found = code(&format!("as-array{pointer}"), &changed);
        assert_eq!(found, expected, "{pointer:?} {changed}");
    }
    for (pointer, changed) in changed(&base, with_duplicate) {
        let found = code(&format!("duplicate{pointer}"), &changed);
        assert_eq!(found, "statement-malformed", "{pointer:?}");
    }
    for (pointer, changed) in changed(&base, with_unknown) {
        let found = code(&format!("unknown{pointer}"), &changed);
        assert_eq!(found, PASSES, "{pointer:?} {changed}");
    }
    assert!(Statement::parse(b"null").is_err());
}

#[test]
fn shapes_of_a_log_body() {
    type Shape = fn(&Map<String, Value>) -> Option<Value>;
    let shapes: [(&str, Shape); 3] = [
        ("as-array", as_array),
        ("unknown", with_unknown),
        ("duplicate", with_duplicate),
    ];
    let bases: [(&str, Base); 3] = [
        ("hashedrekord-1", Forge::blob1),
        ("dsse-1", Forge::envelope1),
        ("hashedrekord-2", Forge::blob2),
    ];
    let table = Location::caller();
    for (base_name, base) in bases {
        let body = base().make().bundle.log_entries.remove(0);
        let document: Value = serde_json::from_slice(&body.canonicalized_body).unwrap();
        for (shape_name, shape) in shapes {
            for (pointer, _) in changed(&document, shape) {
                let mut forge = base();
                let unchanged = forge.clone();
                let name = format!("body-{base_name}-{shape_name}{pointer}");
                forge.entries[0].write = Rc::new(move |body| {
                    let all = changed(body, shape);
                    let (_, one) = all.iter().find(|(at, _)| *at == pointer).unwrap();
                    text(one)
                });
                let scene = forge.make();
                let found = scene.verify().map_or_else(|error| error.code(), |_| PASSES);
                assert_eq!(found, "log-body-malformed", "{name}");
                export::scene(table, &name, &unchanged, &scene);
            }
        }
    }
}
