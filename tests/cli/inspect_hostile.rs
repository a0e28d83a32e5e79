//! `keyless inspect` of what is broken, hostile or too large: shown as far as it can be read, never obeyed.

use std::path::PathBuf;

use keyless::crypto::{Certificate, Digest, pem};
use keyless::diagnostic::Exit;
use keyless::flow::inspect::bundle::BundleFacts;
use keyless::flow::inspect::certificate::CertificateFacts;
use keyless::flow::inspect::{Inspected, Shown};
use keyless::format::bundle::Bundle;
use keyless::format::protojson::{decode_base64, encode_base64};
use serde_json::{Value, json};

use crate::inspect::{
    ENVELOPE, LEAF, MESSAGE, as_pem, assert_plain, authority, bundle, capture, capture_json,
    changed, fails, leaf, shown,
};
use crate::support::World;

const HOSTILE: &str = "\u{1b}[2J\u{9b}1m\u{7}\u{202e}";

#[test]
fn junk_of_every_kind() {
    let world = World::new();
    let chain = as_pem(&authority());
    let key = pem::encode("PRIVATE KEY", &[7; 100]);
    let twice = encode_base64(encode_base64(chain.as_bytes()).as_bytes());
    let deep = "[".repeat(100_000);
    let nested = format!(
        "{{\"mediaType\":{}1{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let message = String::from_utf8(capture(MESSAGE)).unwrap();
    let unknown = "neither-bundle-nor-certificate";
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], unknown),
        ("blank", b" \n\t ".to_vec(), unknown),
        ("text", b"hello".to_vec(), unknown),
        ("zero", b"0".to_vec(), unknown),
        ("NUL", vec![0; 1000], unknown),
        ("all bytes", (0..=255).collect(), unknown),
        ("UTF-16", b"\xff\xfe{\0}\0".to_vec(), unknown),
        ("escape", b"\x1b[2J".to_vec(), unknown),
        ("picture", b"\x89PNG\r\n\x1a\n".to_vec(), unknown),
        (
            "base64 of nothing known",
            encode_base64(b"junk").into_bytes(),
            unknown,
        ),
        ("base64 twice", twice.into_bytes(), unknown),
        ("number", b"1".to_vec(), unknown),
        ("null", b"null".to_vec(), unknown),
        ("object", b"{}".to_vec(), "bundle-version"),
        ("array", b"[]".to_vec(), "bundle-malformed"),
        ("open", b"{".to_vec(), "bundle-malformed"),
        ("deep", deep.into_bytes(), "bundle-malformed"),
        ("nested", nested.into_bytes(), "bundle-malformed"),
        ("cut", message[..2000].into(), "bundle-malformed"),
        (
            "indented and broken",
            message
                .replace(',', ",\n")
                .replacen("\"logIndex\"", "\"log\"", 1)
                .into(),
            "bundle-malformed",
        ),
        (
            "another version",
            message.replace("v0.3", "v9.3").into(),
            "bundle-version",
        ),
        (
            "no content",
            message.replace("messageSignature", "x").into(),
            "bundle-malformed",
        ),
        (
            "chain in v0.3",
            message
                .replace(
                    "\"certificate\":{\"rawBytes\":",
                    "\"x509CertificateChain\":{\"certificates\":",
                )
                .replacen("=\"},", "=\"}]},", 1)
                .into(),
            "bundle-malformed",
        ),
        (
            "trusted root",
            capture("trusted_root.json"),
            "bundle-version",
        ),
        (
            "not a certificate",
            b"\x30\x82\x00\x81junk".to_vec(),
            "certificate-malformed",
        ),
        (
            "certificate and more",
            [leaf(), vec![0]].concat(),
            "certificate-malformed",
        ),
        (
            "certificate cut",
            leaf()[..300].to_vec(),
            "certificate-malformed",
        ),
        (
            "PEM cut",
            chain.as_bytes()[..100].to_vec(),
            "certificate-malformed",
        ),
        ("PEM of a key", key.into_bytes(), "certificate-malformed"),
        (
            "PEM of nothing",
            pem::encode("CERTIFICATE", b"").into_bytes(),
            "certificate-malformed",
        ),
        (
            "a long label",
            pem::encode(&"\u{1b}[2J".repeat(2000), b"x").into_bytes(),
            "certificate-malformed",
        ),
    ];
    for (name, content, code) in cases {
        world.write("junk", content);
        let found = world.keyless("inspect -o json junk").run().json();
        assert_eq!(found["inspected"][0]["error"]["code"], code, "{name}");
        fails(&world, &["junk"], 22, code);
    }
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn limits() {
    let world = World::new();
    let sparse = |name: &str, len: u64, start: &str| {
        std::fs::write(world.path(name), start).unwrap();
        let file = std::fs::File::options()
            .write(true)
            .open(world.path(name))
            .unwrap();
        file.set_len(len).unwrap();
    };
    sparse("huge", (32 << 20) + 1, "{}");
    fails(&world, &["huge"], 3, "file-too-large");
    world.write("long.json", format!("{{{}}}", " ".repeat(9 << 20)));
    fails(&world, &["long.json"], 22, "bundle-too-large");
    sparse("long.pem", (1 << 20) + 1, &as_pem(&authority()));
    fails(&world, &["long.pem"], 3, "file-too-large");
    sparse("long.der", 1 << 17, "\x30\u{0}");
    fails(&world, &["long.der"], 22, "neither-bundle-nor-certificate");
    let lines = format!("{}\n", String::from_utf8(capture(MESSAGE)).unwrap().trim());
    world.write("many.jsonl", lines.repeat(1001));
    let inspect = |format: &str| {
        let run = world.keyless("inspect many.jsonl -o").arg(format).run();
        run.exits(22).says("more than 1000 bundles")
    };
    inspect("text")
        .shows("\nmany.jsonl: 50 of 1000\n")
        .shows("\nmany.jsonl: and 950 more; --output json shows them\n");
    let document = inspect("json").json();
    let bundles = &document["inspected"][0]["bundles"];
    assert_eq!(bundles.as_array().unwrap().len(), 1000);
}

/// A statement in the place of the captured one; nothing is verified, so that it is shown.
fn with_statement(statement: &Value) -> String {
    let payload = encode_base64(statement.to_string().as_bytes());
    changed(ENVELOPE, "/dsseEnvelope/payload", payload.into())
}

#[test]
fn long_lists_and_texts_are_cut_and_say_so() {
    let world = World::new();
    let digest = Digest::sha256(b"x").hex();
    let subjects: Vec<Value> = (0..1000)
        .map(
            |number| json!({ "name": format!("subject-{number}"), "digest": { "sha256": digest } }),
        )
        .collect();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "p".repeat(5000),
        "subject": subjects,
    });
    world.write("b.json", with_statement(&statement));
    let (run, document) = shown(&world, &["b.json"], 0);
    let run = run.shows("subject-19\n").shows(" and 980 more\n");
    assert!(!run.stdout.contains("subject-20"), "{run:#?}");
    assert!(run.stdout.lines().all(|line| line.chars().count() < 1200));
    let statement = &bundle(&document)["content"]["statement"];
    assert_eq!(statement["subjects"]["total"], 1000);
    assert_eq!(
        statement["subjects"]["items"].as_array().unwrap().len(),
        100
    );
    let predicate_type = statement["predicateType"].as_str().unwrap();
    assert_eq!(predicate_type, format!("{}…", "p".repeat(1024)));
    // One more subject than is read.
    let subjects: Vec<Value> = (0..1025).map(|_| json!({ "digest": {} })).collect();
    let statement = json!({ "_type": "https://in-toto.io/Statement/v1", "predicateType": "p", "subject": subjects });
    world.write("b.json", with_statement(&statement));
    let (run, document) = shown(&world, &["b.json"], 0);
    run.shows(" unreadable: malformed in-toto statement");
    assert!(bundle(&document)["content"]["statement"]["error"].is_string());
}

#[test]
fn control_characters_of_every_text_are_neutralised() {
    let world = World::new();
    // ESC is an IA5 character: Fulcio's name may hold it.
    let named = replaced(&leaf(), b"dev@test.invalid", b"\x1b[2J\x07@te.invalid");
    // In a claim, which is UTF-8: U+202E in the place of three characters.
    let claimed = replaced(
        &named,
        b"http://127.0.0.1:25557",
        "http://\u{202e}7.0.\u{9b}:25557".as_bytes(),
    );
    // In the issuer's name.
    let issued = replaced(
        &claimed,
        b"loopback-fulcio-intermediate",
        "l\u{1b}]0;x\u{7}fulcio-intermediate!!".as_bytes(),
    );
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": HOSTILE,
        "subject": [
            { "name": HOSTILE, "digest": {}, "annotations": { (HOSTILE): HOSTILE } },
        ],
    });
    let mut json: Value = serde_json::from_str(&with_statement(&statement)).unwrap();
    json["dsseEnvelope"]["signatures"][0]["keyid"] = HOSTILE.into();
    *json.pointer_mut(LEAF).unwrap() = encode_base64(&issued).into();
    let entry = "/verificationMaterial/tlogEntries/0";
    *json
        .pointer_mut(&format!("{entry}/kindVersion/kind"))
        .unwrap() = HOSTILE.into();
    let checkpoint = json
        .pointer_mut(&format!("{entry}/inclusionProof/checkpoint/envelope"))
        .unwrap();
    *checkpoint = checkpoint
        .as_str()
        .unwrap()
        .replace("127.0.0.1", "a\u{202e}b")
        .into();
    world.write("b.json", json.to_string());
    let (run, document) = shown(&world, &["b.json"], 0);
    let facts = bundle(&document);
    let certificate = &facts["certificate"];
    // The document has the very text, escaped; the flags would not survive being shown.
    assert_eq!(
        certificate["signer"]["identity"],
        "\u{1b}[2J\u{7}@te.invalid"
    );
    assert_eq!(certificate["signer"]["acceptWith"], Value::Null);
    let run = run
        .shows("    identity       \u{fffd}[2J\u{fffd}@te.invalid\n")
        .shows("    issuer         http://\u{fffd}7.0.\u{fffd}:25557\n")
        .shows("    accept with    no flags: the name cannot be shown whole\n")
        .shows("    annotation      \u{fffd}[2J\u{fffd}1m\u{fffd}\u{fffd}=\u{fffd}[2J\u{fffd}1m\u{fffd}\u{fffd}\n")
        .shows(r"CN=l\1b]0\;x\07fulcio-intermediate!!")
        .shows("a\u{fffd}b");
    assert_eq!(run.stderr, "");
    let raw = world.keyless("inspect -o json b.json").run().stdout;
    assert_plain(&raw);
    // Names of files and lines of errors.
    world.write(HOSTILE, capture(MESSAGE));
    shown(&world, &[HOSTILE], 0);
    world.write(HOSTILE, format!("{{\"{HOSTILE}\":1}}"));
    fails(&world, &[HOSTILE], 22, "bundle-malformed");
    // A hint of a managed key, and the type of a payload that is no statement.
    let mut json = capture_json(ENVELOPE);
    json["verificationMaterial"]["certificate"].take();
    json["verificationMaterial"]
        .as_object_mut()
        .unwrap()
        .remove("certificate");
    json["verificationMaterial"]["publicKey"] = json!({ "hint": HOSTILE });
    json["dsseEnvelope"]["payloadType"] = HOSTILE.into();
    world.write("b.json", json.to_string());
    let (run, _) = shown(&world, &["b.json"], 0);
    run.shows("    public key  hint \u{fffd}[2J")
        .shows("    payload type  \u{fffd}[2J");
}

#[test]
fn an_unreadable_part_does_not_hide_the_rest() {
    let world = World::new();
    let entry = "/verificationMaterial/tlogEntries/0";
    let stamps = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    let stamp = format!("{stamps}/0/signedTimestamp");
    let good_stamp = capture_json(MESSAGE).pointer(&stamp).unwrap().clone();
    let der = decode_base64(good_stamp.as_str().unwrap()).unwrap();
    let refused = encode_base64(&[0x30, 5, 0x30, 3, 2, 1, 2]);
    // The accuracy's seconds, INTEGER 1, made negative; the token stays a token.
    let odd = encode_base64(&replaced(&der, &[0x30, 3, 2, 1, 1], &[0x30, 3, 2, 1, 0x81]));
    let leaf = leaf();
    // Extension .1.8 as PrintableString instead of UTF8String.
    let untyped = replaced(
        &leaf,
        b"\x0c\x16http://127.0.0.1:25557",
        b"\x13\x16http://127.0.0.1:25557",
    );
    // Two issuers: .1.8 names another than .1.1.
    let torn = replaced(
        &leaf,
        b"\x0c\x16http://127.0.0.1:25557",
        b"\x0c\x16http://127.0.0.1:25558",
    );
    // The length of the one timestamp in the list, which no longer fits.
    let at = leaf.windows(3).position(|part| part == [0, 0x66, 0xf9]);
    let mut scts = leaf.clone();
    scts[at.unwrap() - 1] += 1;
    let text = |bytes: &[u8]| Value::from(encode_base64(bytes));
    let cases: Vec<(&str, String, &str, &str)> = vec![
        (
            MESSAGE,
            stamp.clone(),
            "MAA=",
            "\n  timestamp\n    token  unreadable: malformed timestamp: no status\n",
        ),
        (
            MESSAGE,
            stamp.clone(),
            &refused,
            "    token  unreadable: timestamp was not granted (PKIStatus 2)\n",
        ),
        (
            MESSAGE,
            stamp.clone(),
            &odd,
            " unreadable: malformed accuracy\n",
        ),
        (
            MESSAGE,
            format!("{entry}/canonicalizedBody"),
            "AAAA",
            " unreadable: malformed log entry body: ",
        ),
        (
            MESSAGE,
            format!("{entry}/kindVersion/version"),
            "9",
            " unreadable: log entry body is of another kind than its kindVersion\n",
        ),
        (
            MESSAGE,
            format!("{entry}/inclusionProof/checkpoint/envelope"),
            "nothing",
            " unreadable: malformed checkpoint: no blank line",
        ),
        (
            ENVELOPE,
            "/dsseEnvelope/payload".to_owned(),
            "AAAA",
            " unreadable: malformed in-toto statement: ",
        ),
    ];
    for (file, pointer, value, expected) in cases {
        world.write("b.json", changed(file, &pointer, value.into()));
        let (run, _) = shown(&world, &["b.json"], 0);
        run.shows(expected)
            .shows("    identity       dev@test.invalid\n")
            .shows("    log index  ")
            .shows("  bundle\n    version  v0.3\n");
    }
    for (certificate, expected) in [
        (
            &untyped,
            "    issuer         unreadable: certificate extension issuer is malformed\n",
        ),
        (
            &untyped,
            "    identity       unreadable: certificate extension issuer is malformed\n",
        ),
        (
            &torn,
            "    identity       unreadable: certificate names two issuers of the identity\n",
        ),
        (&torn, "    issuer         http://127.0.0.1:25558\n"),
        (&torn, "    issuer-v1      http://127.0.0.1:25557\n"),
        (
            &scts,
            "    SCT            unreadable: malformed signed certificate timestamp list: ",
        ),
    ] {
        world.write("b.json", changed(MESSAGE, LEAF, text(certificate)));
        let (run, _) = shown(&world, &["b.json"], 0);
        run.shows(expected)
            .shows("    name           e-mail dev@test.invalid\n")
            .shows("    token-subject  u-1\n")
            .shows("    log index  ");
        // The same as a file of its own.
        world.write("c.der", certificate);
        let (run, _) = shown(&world, &["c.der"], 0);
        run.shows(expected);
    }
    // One of several timestamps.
    let mut json = capture_json(MESSAGE);
    let list = json.pointer_mut(stamps).unwrap().as_array_mut().unwrap();
    list.insert(0, json!({ "signedTimestamp": "MAA=" }));
    world.write("b.json", json.to_string());
    let (run, document) = shown(&world, &["b.json"], 0);
    run.shows("\n  timestamp: 1 of 2\n    token  unreadable: ")
        .shows("\n  timestamp: 2 of 2\n    time ");
    let stamps = bundle(&document)["timestamps"].as_array().unwrap();
    assert_eq!(
        stamps[0],
        json!({ "error": "malformed timestamp: no status" })
    );
    assert!(stamps[1]["time"].is_string());
}

#[test]
fn times_without_promise_are_no_claim() {
    let world = World::new();
    let mut json = capture_json("blob/bundle.rekor2-tsa.json");
    let stamps = json
        .pointer_mut("/verificationMaterial/timestampVerificationData")
        .unwrap();
    stamps["rfc3161Timestamps"] = json!([]);
    json["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = "9223372036854775807".into();
    world.write("b.json", json.to_string());
    let (run, document) = shown(&world, &["b.json"], 0);
    let run = run.shows("    time            9223372036854775807s, not promised\n");
    assert!(!run.stdout.contains(" says the log"), "{run:#?}");
    assert_eq!(bundle(&document)["claimedTimes"], json!([]));
}

#[test]
fn lines_of_bundles_and_blocks_of_certificates() {
    let world = World::new();
    let one = String::from_utf8(capture(MESSAGE)).unwrap();
    let two = String::from_utf8(capture(ENVELOPE)).unwrap();
    world.write("both.jsonl", format!("{}\n\n{}\n", one.trim(), two.trim()));
    let (run, document) = shown(&world, &["both.jsonl"], 0);
    run.shows("\nboth.jsonl: 1 of 2\n")
        .shows("\nboth.jsonl: 2 of 2\n");
    let digest = Digest::sha256(two.trim().as_bytes()).to_string();
    assert_eq!(
        document["inspected"][0]["bundles"][1]["bundleDigest"],
        digest
    );
    world.write(
        "both.jsonl",
        format!("{}\n{{}}\n{}\n", one.trim(), two.trim()),
    );
    let (run, document) = shown(&world, &["both.jsonl"], 22);
    run.shows("\nboth.jsonl: 2 of 3\n  unreadable\n    reason  unsupported bundle media type")
        .shows("\nboth.jsonl: 3 of 3\n  signer\n")
        .says("error: both.jsonl, line 2: unsupported bundle media type");
    let item = &document["inspected"][0];
    assert_eq!(item["error"]["code"], "bundle-version");
    assert!(item["bundles"][1]["error"].is_string());
    world.write("both.jsonl", "{}\n{}\n");
    fails(&world, &["both.jsonl"], 22, "bundle-version");
    // An indented bundle is one.
    let indented = serde_json::to_string_pretty(&capture_json(MESSAGE)).unwrap();
    world.write("one.json", format!("\n {indented}\n"));
    let (_, document) = shown(&world, &["one.json"], 0);
    let bytes = Digest::sha256(world.read("one.json").as_bytes());
    assert_eq!(bundle(&document)["bundleDigest"], bytes.to_string());

    let chain = authority();
    let mixed = [
        as_pem(&chain[..1]),
        pem::encode("PUBLIC KEY", b"key"),
        as_pem(&chain[1..]),
    ];
    world.write("mixed.pem", mixed.concat());
    let (run, document) = shown(&world, &["mixed.pem"], 22);
    run.shows("\nmixed.pem: 2 of 3\n  unreadable\n    reason  malformed certificate: a PEM block is a PUBLIC KEY\n")
        .shows("\nmixed.pem: 3 of 3\n  certificate\n")
        .says("error: mixed.pem: malformed certificate: a PEM block is a PUBLIC KEY\n");
    assert_eq!(
        document["inspected"][0]["error"]["code"],
        "certificate-malformed"
    );
    world.write("mixed.pem", as_pem(&chain[..1]).repeat(60));
    let (run, _) = shown(&world, &["mixed.pem"], 0);
    run.shows("\nmixed.pem: and 10 more; --output json shows them\n");
}

/// Whatever can be parsed is shown: every byte of a certificate, a timestamp, a body flipped.
#[test]
fn flipped_bytes_never_stop_it() {
    let leaf = leaf();
    for at in 0..leaf.len() {
        for flip in [1, 0x80] {
            let mut der = leaf.clone();
            der[at] ^= flip;
            if let Ok(certificate) = Certificate::from_der(&der) {
                let facts = CertificateFacts::of(&certificate);
                show(Shown::Certificates(vec![Ok(facts)]));
            }
        }
    }
    let json = capture_json(MESSAGE);
    for pointer in [
        "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp",
        "/verificationMaterial/tlogEntries/0/canonicalizedBody",
    ] {
        let good = decode_base64(json.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
        for at in (0..good.len()).step_by(3) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x81;
            let json = changed(MESSAGE, pointer, encode_base64(&bytes).into());
            let bundle = Bundle::parse(json.as_bytes()).unwrap();
            let facts = BundleFacts::of(&bundle, Digest::sha256(json.as_bytes()));
            show(Shown::Bundles(vec![Ok(facts)]));
        }
    }
}

fn show(shown: Shown) {
    let inspected = [Inspected {
        argument: "x".to_owned(),
        shown,
        error: None,
    }];
    for line in keyless::output::inspect::text(&inspected) {
        assert_plain(&line);
    }
    keyless::output::inspect::document(&inspected, Exit::Accepted);
}

/// The public conformance suite, where it is at hand: all that parses is shown.
#[test]
fn bundles_of_the_conformance_suite() {
    let Some(folder) = std::env::var_os("KEYLESS_CONFORMANCE_DIR").map(PathBuf::from) else {
        return;
    };
    let world = World::new();
    let mut count = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let path = case.unwrap().path().join("bundle.sigstore.json");
        let Ok(json) = std::fs::read(&path) else {
            continue;
        };
        world.write("b.json", &json);
        match Bundle::parse(&json) {
            Ok(_) => drop(shown(&world, &["b.json"], 0)),
            Err(_) => world
                .keyless("inspect b.json")
                .run()
                .exits(22)
                .does_not_say("panic")
                .code
                .map_or((), drop),
        }
        count += 1;
    }
    assert!(count > 30, "{count}");
}

/// Replaces bytes by as many others, wherever they are.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let mut count = 0;
    for at in 0..=bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            out[at..at + from.len()].copy_from_slice(to);
            count += 1;
        }
    }
    assert!(count > 0, "nothing to replace");
    out
}
