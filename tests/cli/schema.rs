//! `keyless schema`: the published schema, and that it is as strict as it says. Every document that any
//! test here makes the program print is validated against it too, see `support`.

use std::collections::BTreeSet;

use axum::response::IntoResponse as _;
use keyless::format::certificate_identity::claim_names;
use keyless::format::protojson::decode_base64;
use keyless::output::SCHEMA;
use keyless::sandbox::Service;
use keyless::sandbox::registry::RegistryMode;
use serde_json::{Map, Value, json};

use crate::json_schema::{PUBLISHED, Schema};
use crate::policy::{rule as policy_rule, write_policy};
use crate::support::{IDENTITY, OwnRegistry, World, answering};

#[test]
fn it_is_printed_whole() {
    let world = World::new();
    assert_eq!(world.keyless("schema").run().exits(0).stdout, SCHEMA);
    let run = world.keyless("schema --output-file out").run().exits(0);
    assert_eq!(run.stdout, "");
    assert_eq!(world.read("out"), SCHEMA);
    world
        .keyless("schema --output-file no/such/out")
        .run()
        .exits(3);
}

/// Objects of the schema, wherever they are.
fn objects<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
    match schema {
        Value::Object(members) => {
            if members.get("type") == Some(&json!("object")) {
                found.push(schema);
            }
            members.values().for_each(|member| objects(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        _ => {}
    }
}

#[test]
fn it_is_closed_and_every_definition_is_used() {
    let root = PUBLISHED.root();
    let draft = "https://json-schema.org/draft/2020-12/schema";
    assert_eq!(root["$schema"], draft);
    let definitions = root["$defs"].as_object().unwrap().keys();
    let definitions: BTreeSet<String> = definitions.map(|name| format!("#/$defs/{name}")).collect();
    assert_eq!(PUBLISHED.references(), definitions);
    let mut found = Vec::new();
    objects(root, &mut found);
    assert!(found.len() > 20);
    for object in found {
        let additional = &object["additionalProperties"];
        // Annotations are named by whoever signs.
        let is_map =
            *additional == json!({ "type": "string" }) && object.get("properties").is_none();
        assert!(*additional == json!(false) || is_map, "{object}");
    }
}

#[test]
fn the_validator_knows_every_keyword_or_says_so() {
    for bad in [
        json!({ "minLength": 1 }),
        json!({ "properties": { "a": { "uniqueItems": true } } }),
        json!({ "oneOf": [{ "unevaluatedProperties": false }] }),
        json!({ "items": { "format": "uri" } }),
        json!({ "$ref": "#/$defs/absent" }),
        json!({ "$defs": { "a": { "not": {} } }, "$ref": "#/$defs/a" }),
        json!({ "pattern": "(" }),
        json!(1),
    ] {
        assert!(Schema::new(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn the_validator_refuses_what_it_should() {
    let refused = |schema: Value, value: Value| {
        let schema = Schema::new(schema).unwrap();
        assert!(schema.validate(&value).is_err(), "{value}");
    };
    let accepted = |schema: Value, value: Value| {
        Schema::new(schema).unwrap().validate(&value).unwrap();
    };
    for (name, good, bad) in [
        ("null", json!(null), json!(0)),
        ("boolean", json!(false), json!("false")),
        ("integer", json!(-1), json!(1.5)),
        ("string", json!(""), json!(null)),
        ("array", json!([]), json!({})),
        ("object", json!({}), json!([])),
    ] {
        accepted(json!({ "type": name }), good.clone());
        refused(json!({ "type": name }), bad);
        accepted(json!({ "type": [name, "null"] }), good);
        accepted(json!({ "type": [name, "null"] }), json!(null));
    }
    for (schema, good, bad) in [
        (json!({ "const": 1 }), json!(1), json!(2)),
        (json!({ "enum": [1, 2] }), json!(2), json!(3)),
        (json!({ "minimum": 1 }), json!(1), json!(0)),
        (json!({ "maximum": 1 }), json!(1), json!(2)),
        (json!({ "pattern": "^a$" }), json!("a"), json!("ab")),
        (
            json!({ "format": "date-time" }),
            json!("2026-01-01T00:00:00Z"),
            json!("yesterday"),
        ),
        (json!({ "required": ["a"] }), json!({ "a": 1 }), json!({})),
        (
            json!({ "properties": { "a": { "const": 1 } } }),
            json!({ "a": 1, "b": 2 }),
            json!({ "a": 2 }),
        ),
        (
            json!({ "properties": { "a": {} }, "additionalProperties": false }),
            json!({ "a": 1 }),
            json!({ "a": 1, "b": 2 }),
        ),
        (
            json!({ "items": { "const": 1 } }),
            json!([1, 1]),
            json!([1, 2]),
        ),
        (
            json!({ "oneOf": [{ "minimum": 1 }, { "maximum": 2 }] }),
            json!(0),
            json!(1),
        ),
        (
            json!({ "anyOf": [{ "maximum": 1 }, { "minimum": 3 }] }),
            json!(3),
            json!(2),
        ),
        (
            json!({ "$defs": { "a": { "const": 1 } }, "$ref": "#/$defs/a" }),
            json!(1),
            json!(2),
        ),
    ] {
        accepted(schema.clone(), good);
        refused(schema, bad);
    }
}

/// Runs every command so that each kind of document is printed at least once.
fn documents() -> Vec<Value> {
    let world = World::new();
    world.write("file", "content");
    let image = world.image("v1");
    let (by_digest, by_tag) = (image.by_digest(), image.by_tag());
    let expecting = world.expecting();
    let none: &[String] = &[];
    let mut documents = Vec::new();
    let mut print = |command: &str, flags: &[String]| {
        let run = world
            .keyless(command)
            .args(["--output", "json"])
            .args(flags);
        documents.push(run.run().json());
    };
    print("version", none);
    print("help topics", none);
    print("help errors no-signature", none);
    print("help version", none);
    print("sign-blob file", none);
    print("sign-blob absent", none);
    print("verify-blob file --explain", &expecting);
    print(
        "verify-blob file",
        &world.expecting_of("other@example.test"),
    );
    print("verify-blob file --explain --log-threshold 2", &expecting);
    print("verify-blob file", none);
    print("verify-blob absent", &expecting);
    let certificate = json_of(&world.read("file.sigstore.json"));
    let certificate = &certificate["verificationMaterial"]["certificate"]["rawBytes"];
    let certificate = decode_base64(certificate.as_str().unwrap()).unwrap();
    world.write("leaf.der", certificate);
    print("inspect leaf.der", none);
    print(&format!("sign {by_tag} -a k=v --bundle kept.json"), none);
    print(&format!("sign {by_tag}x"), none);
    print(&format!("attach bundle {by_tag} kept.json"), &expecting);
    print("attach bundle x/y absent", &expecting);
    print(&format!("verify {by_digest} --explain"), &expecting);
    print("verify not//an::image", &expecting);
    print(&format!("verify {by_digest} {by_tag}x"), none);
    world.write("rubbish", "rubbish");
    let files = "file.sigstore.json rubbish absent";
    print(&format!("inspect {by_digest} {files} {by_tag}x"), none);
    print("inspect - -", none);
    // A registry without the referrers API, and one that takes no signature.
    let plain = OwnRegistry::start(
        &world,
        RegistryMode {
            referrers_api: false,
            ..RegistryMode::default()
        },
    );
    let on_plain = plain.image("v1").by_digest();
    print(&format!("sign {on_plain}"), none);
    plain.refuse_manifests(403);
    print(&format!("sign {on_plain}"), none);
    // Accepted, refused, absent, and nobody there.
    let broken = answering(&world, |_| "<html>".into_response());
    let all = format!("verify {by_digest} {by_tag}x {broken}/a/b:c --explain");
    print(&all, &world.expecting_of("other@example.test"));
    // Under a policy: met, not met, no rule; by an image and by a file.
    let rules = [
        policy_rule(
            &world,
            "app",
            "images = [\"**\"]\nfiles = [\"file\"]",
            IDENTITY,
        ),
        policy_rule(
            &world,
            "other",
            "images = [\"**/app\"]",
            "other@example.test",
        ),
        policy_rule(
            &world,
            "release",
            "files = [\"file\"]",
            "other@example.test",
        ),
    ];
    for some in [&rules[..1], &rules[..]] {
        write_policy(&world, some);
        print(
            &format!("verify --policy policy.toml {by_digest} --explain"),
            none,
        );
        print("verify-blob --policy policy.toml file --explain", none);
        let targets = format!("{by_digest} --file file --file absent");
        print(
            &format!("policy check --policy policy.toml {targets}"),
            none,
        );
    }
    print("verify-blob --policy policy.toml absent", none);
    print("policy check --policy absent", none);
    let host = world.host(Service::Registry);
    print(&format!("login {host} -u ann -p secret"), none);
    print(&format!("logout {host}"), none);
    // Attestations, in both forms; an index; what is around an image.
    world.write("predicate", r#"{"found":[1,{"b":2}]}"#);
    let kind = "https://own.test/report";
    let said = format!("--type {kind} --predicate predicate");
    print(&format!("attest {by_digest} {said}"), none);
    print(&format!("attest {by_digest} {said} --format legacy"), none);
    print(
        &format!("attest {by_digest} --type {kind} --predicate absent"),
        none,
    );
    print(&format!("attest-blob file {said} --bundle file.att"), none);
    print(
        &format!("attest-blob absent {said} --bundle other.att"),
        none,
    );
    let asked = format!("verify-attestation {by_digest} --type");
    print(&format!("{asked} {kind} --explain"), &expecting);
    print(&format!("{asked} {kind}/other"), &expecting);
    print(&format!("{asked} {kind}"), none);
    let asked = format!("verify-blob-attestation --bundle file.att --type {kind}");
    print(&format!("{asked} file --explain"), &expecting);
    print(&format!("{asked} absent"), &expecting);
    print(&format!("{asked} file"), none);
    print(&format!("sign {by_digest} --format legacy"), none);
    print(&format!("verify {by_digest} --recursive"), &expecting);
    print(&format!("tree {by_digest}"), none);
    for what in ["signature", "attestation", "bundle"] {
        print(&format!("download {what} {by_digest}"), none);
    }
    print(&format!("triangulate {by_digest}"), none);
    print(&format!("copy {by_digest} {host}/there/app:v1"), none);
    print(&format!("save {by_digest} --dir saved"), none);
    print(&format!("load {host}/there/app:v2 --dir saved"), none);
    print("verify --local-image saved", &expecting);
    print(&format!("clean {host}/there/app:v1 --force"), none);
    let parts = "--output-signature file.sig --output-certificate file.pem";
    let old = "--format legacy --bundle file.old.json";
    print(&format!("sign-blob file {old} {parts}"), none);
    print("verify-blob file --bundle file.old.json", &expecting);
    let log = world.sandbox.url(Service::RekorV1).to_owned();
    print(
        &format!("bundle upgrade file.old.json --out file.new.json --rekor-url {log}"),
        none,
    );
    documents
}

#[test]
fn every_kind_of_document_is_described_and_nothing_may_be_added_or_left_out() {
    let documents = documents();
    let kinds = PUBLISHED.root()["oneOf"].as_array().unwrap();
    let kinds = kinds.iter().map(|kind| kind["$ref"].as_str().unwrap());
    let kinds: Vec<&str> = kinds
        .map(|kind| kind.trim_start_matches("#/$defs/"))
        .collect();
    for kind in kinds {
        let is_one = |document: &&Value| PUBLISHED.validate_as(kind, document).is_ok();
        assert!(
            documents.iter().any(|one| is_one(&one)),
            "nothing prints {kind}"
        );
    }
    let (mut changed, mut seen) = (0, BTreeSet::new());
    for document in &documents {
        PUBLISHED.validate(document).unwrap();
        let mut places = Vec::new();
        pointers(document, String::new(), &mut places);
        // What a predicate says is free, and so is what is shown as it is attached.
        let command = document["command"].as_str().unwrap();
        let free = match command.split(' ').next() {
            Some("download") => "content",
            Some("bundle") => "bundle",
            _ => "predicate",
        };
        let is_free = |place: &String| place.split('/').any(|part| part == free);
        for place in places.into_iter().filter(|place| !is_free(place)) {
            let members = document.pointer(&place).unwrap().as_object().unwrap();
            let names: Vec<String> = members.keys().cloned().collect();
            // One of each shape: indices and what else the document has do not matter.
            let shape = place.replace(|c: char| c.is_ascii_digit(), "");
            if !seen.insert((document["command"].to_string(), shape, names.clone())) {
                continue;
            }
            let change = |change: &dyn Fn(&mut Map<String, Value>)| {
                let mut changed = document.clone();
                let object = changed.pointer_mut(&place).unwrap();
                change(object.as_object_mut().unwrap());
                PUBLISHED.validate(&changed)
            };
            let more = change(&|object| drop(object.insert("extra".to_owned(), json!(1))));
            assert!(more.is_err(), "{place}/extra: {document}");
            // What a certificate or an annotation says is there or is not.
            let is_map = ["claims", "annotations"]
                .iter()
                .any(|map| place.ends_with(map))
                || place.contains("/subjectAnnotations/");
            // `verify` without `claimedSigners` is a command that failed as a whole.
            for name in names
                .iter()
                .filter(|name| !is_map && *name != "claimedSigners")
            {
                let less = change(&|object| drop(object.shift_remove(name).unwrap()));
                assert!(less.is_err(), "{place} without {name}: {document}");
                changed += 1;
            }
        }
    }
    assert!(changed > 300, "{changed}");
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Where objects are.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, format!("{at}/{name}"), found);
            }
            found.push(at);
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

#[test]
fn it_lists_every_claim_and_every_check() {
    let definitions = &PUBLISHED.root()["$defs"];
    let claims = definitions["identity"]["properties"]["claims"]["properties"].as_object();
    let listed: Vec<&str> = claims.unwrap().keys().map(String::as_str).collect();
    assert_eq!(listed, claim_names().collect::<Vec<_>>());
    let source = include_str!("../../src/verify/explain.rs");
    let steps = source.split("Step = step(").skip(1);
    let steps: BTreeSet<&str> = steps.map(|rest| rest.split('"').nth(1).unwrap()).collect();
    let listed = definitions["check"]["properties"]["check"]["enum"].as_array();
    let mut listed: BTreeSet<&str> = listed.unwrap().iter().filter_map(Value::as_str).collect();
    // The root of the tree is no check of its own.
    listed.insert("verdict");
    assert_eq!(listed, steps);
}

/// An image whose signers cannot be read is in the document, with the reason that people are told.
#[test]
fn claimed_signers_have_their_errors() {
    let world = World::new();
    let image = world.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let absent = format!("{}:absent", image.repository);
    let run = world.keyless("verify --output json");
    let run = run.args([&image.by_digest(), &absent]).run();
    let document = run.fails(2, "usage-identity-missing").json();
    let [signed, unknown] = &document["claimedSigners"].as_array().unwrap()[..] else {
        panic!("{document}");
    };
    assert_eq!(signed["error"], Value::Null);
    assert_eq!(signed["signers"].as_array().unwrap().len(), 1);
    assert_eq!(unknown["signed"], absent);
    assert_eq!(unknown["signers"], json!([]));
    assert_eq!(unknown["error"]["exitCode"], 11);
}

/// What people are warned of, a machine reads too.
#[test]
fn warnings_are_part_of_the_document() {
    let world = World::new();
    let image = world.image("v1");
    let sign = |image: &str| {
        let run = world.keyless("sign --output json").arg(image).run();
        run.exits(0).json()["warnings"].clone()
    };
    assert_eq!(sign(&image.by_digest()), json!([]));
    let warned = sign(&image.by_tag());
    let text = warned[0].as_str().unwrap();
    assert!(
        text.contains("is a tag and may point elsewhere later"),
        "{text}"
    );
    let mut root: Value = serde_json::from_str(&world.sandbox.trusted_root()).unwrap();
    let mut odd = root["tlogs"][0].clone();
    odd["hashAlgorithm"] = "SHA2_512".into();
    root["tlogs"].as_array_mut().unwrap().push(odd);
    world.write("root.json", root.to_string());
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    for (command, what) in [("verify-blob", "file"), ("verify", &image.by_digest())] {
        let run = world
            .keyless(command)
            .args([what, "--trusted-root", "root.json", "--output", "json"])
            .args(world.expecting())
            .run()
            .exits(0);
        let document = run.json();
        let [warning] = &document["warnings"].as_array().unwrap()[..] else {
            panic!("{run:#?}");
        };
        let line = format!("warning: {}\n", warning.as_str().unwrap());
        assert!(run.stderr.contains(&line), "{run:#?}");
    }
}
