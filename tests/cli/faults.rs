//! Services that lie, fail, are slow, or lose their replies: refused for what it is, and nothing published.

use std::time::{Duration, Instant};

use axum::response::IntoResponse as _;
use keyless::sandbox::{RekorVersion, Sandbox, Service};
use serde_json::Value;

use crate::support::{IDENTITY, Run, World, answering, nobody};

const BOTH: [RekorVersion; 2] = [RekorVersion::V1, RekorVersion::V2];

/// Signs an image on a sandbox with a fault.
fn sign(world: &World) -> Run {
    let image = world.image("v1");
    world
        .keyless("sign --output json")
        .arg(image.by_digest())
        .run()
}

/// Asserts that signing fails so, and that nothing is published or left behind.
fn refused(fault: &str, rekor: RekorVersion, exit: i32, code: &str) -> World {
    let world = World::start(rekor, &[fault]);
    sign(&world).fails(exit, code).says("nothing was published");
    assert_eq!(world.registry_writes(), 0, "{fault}");
    world.write("file", "content");
    world
        .keyless("sign-blob file --output json")
        .run()
        .fails(exit, code)
        .says("no bundle was written");
    assert_eq!(world.files(), ["file"], "{fault}");
    world
}

/// A certificate that is not what was asked for: nothing is signed, so nothing is timestamped or logged.
fn refused_certificate(fault: &str, exit: i32, code: &str) {
    let world = refused(fault, RekorVersion::V1, exit, code);
    assert_eq!(world.counts().rekor(), 0, "{fault}");
    assert_eq!(world.count(Service::Tsa), 0, "{fault}");
    assert_eq!(world.count(Service::Fulcio), 2, "{fault}");
}

#[test]
fn certificate_for_another_identity() {
    refused_certificate("fulcio-wrong-identity", 31, "certificate-other-identity");
}

#[test]
fn certificate_of_another_issuer() {
    refused_certificate("fulcio-wrong-issuer", 31, "certificate-other-issuer");
}

#[test]
fn certificate_for_another_key() {
    refused_certificate("fulcio-wrong-key", 31, "certificate-other-key");
}

#[test]
fn certificate_with_a_bad_sct() {
    refused_certificate("fulcio-bad-sct", 34, "sct-untrusted");
}

#[test]
fn certificate_without_sct() {
    refused_certificate("fulcio-no-sct", 34, "sct-untrusted");
}

#[test]
fn certificate_with_a_detached_sct() {
    refused_certificate("fulcio-detached-sct", 34, "fulcio-detached-sct");
}

#[test]
fn certificate_that_has_expired() {
    refused_certificate("fulcio-expired-cert", 31, "certificate-not-valid-at");
}

#[test]
fn certificate_that_is_rubbish() {
    refused_certificate("fulcio-garbage", 42, "service-bad-reply");
}

#[test]
fn certificate_that_never_ends() {
    refused_certificate("fulcio-huge", 42, "reply-too-large");
}

#[test]
fn log_entries_that_do_not_hold() {
    for (fault, only, exit, code) in [
        (
            "rekor-bad-set",
            Some(RekorVersion::V1),
            32,
            "log-promise-invalid",
        ),
        ("rekor-bad-proof", None, 32, "inclusion-proof-invalid"),
        ("rekor-bad-checkpoint", None, 32, "checkpoint-signature"),
        ("rekor-wrong-body", None, 32, "log-entry-mismatch"),
        ("rekor-garbage", None, 42, "service-bad-reply"),
        ("rekor-huge", None, 42, "reply-too-large"),
        (
            "rekor-frozen",
            Some(RekorVersion::V2),
            44,
            "service-refused",
        ),
    ] {
        for rekor in BOTH {
            if only.is_none_or(|only| only == rekor) {
                refused(fault, rekor, exit, code);
            }
        }
    }
}

#[test]
fn timestamps_that_do_not_hold() {
    for (fault, exit, code) in [
        ("tsa-wrong-imprint", 42, "service-bad-reply"),
        ("tsa-wrong-nonce", 42, "service-bad-reply"),
        ("tsa-status-2", 42, "service-bad-reply"),
        ("tsa-not-critical-eku", 33, "timestamp-certificate"),
        ("tsa-two-ekus", 33, "timestamp-certificate"),
        ("tsa-no-signing-certificate", 33, "timestamp-invalid"),
        ("tsa-garbage", 42, "service-bad-reply"),
        ("tsa-huge", 42, "reply-too-large"),
    ] {
        refused(fault, RekorVersion::V1, exit, code);
    }
}

#[test]
fn the_step_that_failed_is_named() {
    for (fault, step) in [
        ("fulcio-garbage", "getting a certificate"),
        ("rekor-garbage", "recording in the transparency log"),
        ("tsa-garbage", "timestamping"),
        ("rekor-bad-proof", "verifying our own bundle"),
    ] {
        let world = World::with(&[fault]);
        let run = sign(&world).exits(if fault == "rekor-bad-proof" { 32 } else { 42 });
        let details = run.json()["error"]["details"].clone();
        let named =
            details.as_array().unwrap().iter().any(|detail| {
                detail["name"] == "while" && detail["value"].as_str().unwrap() == step
            });
        assert!(named, "{fault}: {run:#?}");
    }
}

#[test]
fn a_service_that_keeps_failing_is_given_up() {
    for (fault, service) in [
        ("fulcio-5xx", Service::Fulcio),
        ("rekor-5xx", Service::RekorV1),
        ("tsa-5xx", Service::Tsa),
    ] {
        let world = World::with(&[fault]);
        let run = sign(&world).fails(41, "service-failed");
        assert_eq!(run.json()["error"]["retryable"], true);
        assert_eq!(world.count(service), 4, "{fault}");
        assert_eq!(world.registry_writes(), 0);
    }
}

#[test]
fn a_service_that_fails_twice_is_asked_again() {
    let world = World::with(&["fulcio-5xx=2", "rekor-5xx=2", "tsa-5xx=2"]);
    sign(&world).exits(0);
    assert_eq!(world.count(Service::Fulcio), 3);
    assert_eq!(world.count(Service::RekorV1), 3);
    assert_eq!(world.count(Service::Tsa), 3);
    assert_eq!(world.entries_made(), 1);
}

/// Signs with a signing config in which one service's address is another.
fn sign_elsewhere(world: &World, member: &str, url: &str) -> Run {
    let text = world.sandbox.signing_config(RekorVersion::V1);
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config[member][0]["url"] = url.into();
    world.write("config.json", config.to_string());
    let image = world.image("v1");
    world
        .keyless("sign --output json --signing-config config.json")
        .arg(image.by_digest())
        .run()
}

#[test]
fn a_service_that_is_not_there() {
    for member in ["caUrls", "rekorTlogUrls", "tsaUrls"] {
        let world = World::new();
        let (_kept, nobody) = nobody();
        let run = sign_elsewhere(&world, member, &format!("http://{nobody}"));
        let run = run.fails(40, "service-unreachable");
        assert_eq!(run.json()["error"]["retryable"], true);
        assert_eq!(world.registry_writes(), 0);
        assert_eq!(world.files(), ["config.json"]);
    }
}

#[test]
fn an_address_that_is_none() {
    for member in ["caUrls", "rekorTlogUrls", "tsaUrls"] {
        let world = World::new();
        for url in ["", "no address", "file:///etc/passwd", "ftp://h.example"] {
            sign_elsewhere(&world, member, url).exits(30);
        }
        assert_eq!(world.count(Service::Fulcio), 0);
    }
}

#[test]
fn a_slow_service_is_waited_for() {
    let world = World::with(&["fulcio-slow=0.4", "rekor-slow=0.4", "tsa-slow=0.4"]);
    let started = Instant::now();
    sign(&world).exits(0);
    assert!(started.elapsed() > Duration::from_millis(800));
}

#[test]
fn a_lost_reply_of_the_log_makes_no_second_entry() {
    for rekor in BOTH {
        let world = World::start(rekor, &["rekor-lost-reply"]);
        let image = world.image("v1");
        world.keyless("sign").arg(image.by_digest()).run().exits(0);
        assert_eq!(world.entries_made(), 1, "{rekor:?}");
        world
            .keyless("verify")
            .arg(image.by_digest())
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

#[test]
fn lost_replies_of_the_others_are_made_good() {
    for fault in ["fulcio-lost-reply", "tsa-lost-reply", "registry-lost-reply"] {
        let world = World::with(&[fault]);
        sign(&world).exits(0);
        assert_eq!(world.entries_made(), 1, "{fault}");
    }
}

#[test]
fn a_log_that_sends_no_headers_is_understood() {
    for rekor in BOTH {
        let world = World::start(rekor, &["rekor-no-headers"]);
        sign(&world).exits(0);
        assert_eq!(world.entries_made(), 1);
    }
}

#[test]
fn a_failing_registry_is_asked_again() {
    let world = World::with(&["registry-5xx=2"]);
    sign(&world).exits(0);
}

#[test]
fn a_registry_of_rubbish() {
    for (fault, exit) in [
        ("registry-garbage", 21),
        ("registry-huge", 42),
        ("registry-5xx", 41),
    ] {
        let world = World::with(&[fault]);
        sign(&world).exits(exit);
        assert_eq!(world.count(Service::Fulcio), 0, "{fault}");
        let image = world.image("v1");
        let run = world
            .keyless("verify --output json")
            .arg(image.by_digest())
            .args(world.expecting())
            .run();
        assert!(run.code != Some(0), "{fault}: {run:#?}");
        assert_eq!(run.json()["images"][0]["signatures"], serde_json::json!([]));
    }
}

#[test]
fn words_of_a_service_cannot_write_to_the_terminal() {
    let world = World::new();
    let host = answering(&world, |_| {
        let body = r#"{"code":3,"message":"no\u001b[2J\u202eway"}"#;
        (axum::http::StatusCode::BAD_REQUEST, body).into_response()
    });
    let run =
        sign_elsewhere(&world, "caUrls", &format!("http://{host}")).fails(44, "service-refused");
    assert!(run.stderr.contains("no"), "{run:#?}");
    assert!(!run.stderr.contains(['\u{1b}', '\u{202e}']), "{run:#?}");
}

#[test]
fn a_service_that_echoes_the_token_does_not_make_us_show_it() {
    let world = World::new();
    let host = answering(&world, |request| {
        let authorization = request.headers()["authorization"].to_str().unwrap();
        // A part of it: what is shown of a reply is too short for all.
        let claims = authorization.split('.').nth(1).unwrap();
        let body = serde_json::json!({ "message": format!("not for {claims}") });
        (axum::http::StatusCode::FORBIDDEN, axum::Json(body)).into_response()
    });
    // `run` looks for the token in everything.
    sign_elsewhere(&world, "caUrls", &format!("http://{host}"))
        .fails(44, "service-denied")
        .says("message: not for ..");
}

#[test]
fn a_signature_of_a_sandbox_is_worth_nothing_elsewhere() {
    let (world, other) = (World::new(), World::new());
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let stranger: &Sandbox = &other.sandbox;
    world.write("other.json", stranger.trusted_root());
    world
        .keyless("verify-blob file --output json --trusted-root other.json")
        .args(world.expecting_of(IDENTITY))
        .run()
        .exits(32);
}

#[test]
fn a_log_that_lost_its_reply_and_its_headers_is_told_as_it_is() {
    // The entry is there and cannot be named: no bundle, no second entry, and a reason.
    for rekor in BOTH {
        let world = World::start(rekor, &["rekor-lost-reply", "rekor-no-headers"]);
        let run = sign(&world);
        assert!(matches!(run.code, Some(0 | 40..=44)), "{run:#?}");
        assert_eq!(world.entries_made(), 1, "{rekor:?}");
    }
}
