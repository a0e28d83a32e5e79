//! More than anybody wants to read: refused at a fixed bound, in bounded time.

use std::time::{Duration, Instant};

use keyless::crypto::{Certificate, PublicKey};
use keyless::diagnostic::Diagnostic as _;
use keyless::format::bundle::Bundle;
use keyless::format::checkpoint::Checkpoint;
use keyless::format::timestamp::TimestampResponse;
use serde_json::{Value, json};

use crate::forge::{Forge, Scene};
use crate::log::base64;
use crate::scene::{changed, rewritten};
use crate::support::World;

/// Far below what reading everything would take, far above what a busy machine needs to refuse.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn cve_2024_45395_a_hundred_thousand_entries_or_timestamps() {
    let scene = Forge::stamped1().make();
    let good: Value = serde_json::from_str(&scene.bundle.encode()).unwrap();
    const TIMESTAMPS: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps";
    for pointer in ["/verificationMaterial/tlogEntries", TIMESTAMPS] {
        let mut json = good.clone();
        *json.pointer_mut(pointer).unwrap() = json!(vec![json!({}); 100_000]);
        let text = json.to_string();
        let started = Instant::now();
        let error = Bundle::parse(text.as_bytes()).unwrap_err();
        assert!(started.elapsed() < SOON);
        assert_eq!(error.code(), "bundle-malformed", "{pointer}");
        assert!(error.to_string().contains("32"), "{error}");
    }
}

fn checkpoint(scene: &mut Scene) -> &mut String {
    let entry = &mut scene.bundle.log_entries[0];
    &mut entry.inclusion_proof.as_mut().unwrap().checkpoint
}

#[test]
fn js_e66d99f_04ea25a_giant_checkpoints_and_lengths_in_der() {
    let started = Instant::now();
    rewritten(
        Forge::blob2,
        |json| {
            let entry = &mut json["verificationMaterial"]["tlogEntries"][0];
            let text = "x\n".repeat(2 << 20);
            entry["inclusionProof"]["checkpoint"]["envelope"] = json!(text);
        },
        "bundle-invalid",
    );
    changed(
        Forge::blob2,
        |scene| {
            let line = format!("\u{2014} witness.test {}\n", base64(&[0; 68]));
            checkpoint(scene).push_str(&line.repeat(101));
        },
        "checkpoint-malformed",
    );
    for text in [
        "",
        "\n",
        "\n\n",
        "\n\n\u{2014} ",
        "log\n1\n",
        "log\n99999999999999999999\nAAAA\n\n\u{2014} log AAAA\n",
        "log\n1\nAAAA\n\n\u{2014} log AAAA\n",
    ] {
        assert!(Checkpoint::parse(text).is_err(), "{text:?}");
    }
    // Lengths that promise what is not there, of four, eight and more bytes, and without an end.
    for head in [
        &[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff][..],
        &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x30, 0xff],
        &[0x30, 0x80],
        &[0x30],
        &[0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        for rest in [&[][..], &[0x30; 40_000]] {
            let der = [head, rest].concat();
            assert!(Certificate::from_der(&der).is_err());
            assert!(TimestampResponse::parse(&der).is_err());
            assert!(PublicKey::from_spki_der(&der).is_err());
        }
    }
    // A sequence in a sequence, ten thousand times.
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested = keyless::crypto::asn1::encode(0x30, &nested);
    }
    assert!(Certificate::from_der(&nested).is_err());
    assert!(TimestampResponse::parse(&nested).is_err());
    assert!(started.elapsed() < SOON);
}

#[test]
fn cve_2025_66564_cve_2026_49835_an_endless_answer_of_a_timestamp_authority() {
    let world = World::with(&["tsa-huge"]);
    world.write("file", "content");
    let started = Instant::now();
    world
        .keyless("sign-blob file --output json")
        .run()
        .fails(42, "reply-too-large");
    assert!(started.elapsed() < Duration::from_secs(30));
    assert_eq!(world.files(), ["file"]);
}
