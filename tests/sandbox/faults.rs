//! A fault spoils what it names and nothing else: the verdict says which.

use std::time::{Duration, Instant};

use keyless::sandbox::{RekorVersion, Service};

use crate::client::{
    ARTIFACT, BOTH, IDENTITY, Key, ask_fulcio, certificate_request, certify, entries_url,
    hashedrekord_v1, hashedrekord_v2, judge, send, sign, start, token,
};

#[tokio::test]
async fn every_lie_is_refused_for_what_it_is() {
    for (fault, rekor, code) in [
        ("fulcio-wrong-identity", None, "identity-mismatch"),
        ("fulcio-wrong-issuer", None, "identity-mismatch"),
        ("fulcio-bad-sct", None, "sct-untrusted"),
        ("fulcio-no-sct", None, "sct-untrusted"),
        ("fulcio-expired-cert", None, "certificate-not-valid-at"),
        (
            "rekor-bad-set",
            Some(RekorVersion::V1),
            "log-promise-invalid",
        ),
        ("rekor-bad-proof", None, "inclusion-proof-invalid"),
        ("rekor-wrong-body", None, "log-entry-mismatch"),
        ("rekor-bad-checkpoint", None, "checkpoint-signature"),
        ("tsa-wrong-imprint", None, "timestamp-imprint"),
        ("tsa-status-2", None, "timestamp-not-granted"),
        ("tsa-not-critical-eku", None, "timestamp-certificate"),
        ("tsa-two-ekus", None, "timestamp-certificate"),
        ("tsa-no-signing-certificate", None, "timestamp-invalid"),
    ] {
        let sandbox = start(&[fault]).await;
        for version in BOTH {
            if rekor.is_some_and(|only| only != version) {
                continue;
            }
            let bundle = sign(&sandbox, version, IDENTITY).await.unwrap();
            let found = judge(&sandbox, &bundle, IDENTITY);
            assert_eq!(found, code, "{fault} {version:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_fits_no_signature() {
    let sandbox = start(&["fulcio-wrong-key"]).await;
    for version in BOTH {
        // The logs find out before any client could.
        let refused = sign(&sandbox, version, IDENTITY).await.unwrap_err();
        assert_eq!(refused.status, 400);
    }
    let key = Key::new();
    let leaf = certify(&sandbox, &key, IDENTITY).await.remove(0);
    let leaf = keyless::crypto::Certificate::from_der(&leaf).unwrap();
    let mine = keyless::crypto::PublicKey::from_pem(&key.pem()).unwrap();
    assert_ne!(*leaf.public_key(), mine);
}

#[tokio::test]
async fn an_sct_may_come_beside_the_certificate() {
    let sandbox = start(&["fulcio-detached-sct"]).await;
    let body = certificate_request(&Key::new(), IDENTITY);
    let answer = ask_fulcio(&sandbox, &token(&sandbox, IDENTITY), body).await;
    let sct = answer.json()["signedCertificateDetachedSct"]["signedCertificateTimestamp"].clone();
    assert!(sct.as_str().is_some_and(|sct| sct.len() > 200), "{sct}");
}

#[tokio::test]
async fn a_lost_reply_was_carried_out() {
    for version in BOTH {
        let sandbox = start(&["rekor-lost-reply"]).await;
        let key = Key::new();
        let leaf = certify(&sandbox, &key, IDENTITY).await.remove(0);
        let signature = key.sign(ARTIFACT);
        let proposal = match version {
            RekorVersion::V1 => hashedrekord_v1(&leaf, &signature, ARTIFACT),
            RekorVersion::V2 => hashedrekord_v2(&leaf, &signature, ARTIFACT),
        };
        let url = entries_url(&sandbox, version);
        let lost = send(url.clone(), proposal.clone()).await.unwrap_err();
        assert!(lost.is_request() && lost.status().is_none(), "{lost:?}");
        let again = send(url, proposal).await.unwrap();
        assert_eq!(again.status, 409);
        assert_eq!(sandbox.request_counts().rekor(), 2);
        assert_eq!(
            sandbox
                .requests()
                .iter()
                .filter(|r| r.status == 201)
                .count(),
            1
        );
    }
}

#[tokio::test]
async fn failures_end_after_the_number_asked_for() {
    let sandbox = start(&["fulcio-5xx=2", "tsa-5xx"]).await;
    for status in [503, 503] {
        let refused = sign(&sandbox, RekorVersion::V1, IDENTITY)
            .await
            .unwrap_err();
        assert_eq!(refused.status, status);
    }
    certify(&sandbox, &Key::new(), IDENTITY).await;
    let refused = sign(&sandbox, RekorVersion::V1, IDENTITY)
        .await
        .unwrap_err();
    assert_eq!(refused.status, 503);
    assert_eq!(sandbox.request_counts().of(Service::Fulcio), 4);
    assert_eq!(sandbox.request_counts().of(Service::Tsa), 1);
    assert_eq!(sandbox.request_counts().rekor(), 0);
}

#[tokio::test]
async fn answers_are_slow_or_rubbish_when_asked() {
    let sandbox = start(&["fulcio-slow=0.3", "rekor-garbage"]).await;
    let before = Instant::now();
    certify(&sandbox, &Key::new(), IDENTITY).await;
    assert!(before.elapsed() >= Duration::from_millis(300));
    let url = entries_url(&sandbox, RekorVersion::V2);
    let answer = send(url, serde_json::json!({})).await.unwrap();
    assert_eq!(answer.status, 201);
    assert!(answer.body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn a_frozen_log_says_so() {
    let sandbox = start(&["rekor-frozen"]).await;
    let url = entries_url(&sandbox, RekorVersion::V2);
    let answer = send(url, serde_json::json!({})).await.unwrap();
    assert_eq!(answer.status, 405);
    let message = "This log has been frozen, please switch to the latest log.";
    assert_eq!(answer.json()["message"], message);
}

#[tokio::test]
async fn an_endless_answer_does_not_keep_the_sandbox_from_stopping() {
    use futures_util::StreamExt as _;
    let sandbox = start(&["tsa-huge", "fulcio-slow=60"]).await;
    let url = sandbox.url(Service::Tsa);
    let answer = crate::client::http().get(url).send().await.unwrap();
    let mut body = answer.bytes_stream();
    let mut read = 0;
    while read < 4 << 20 {
        read += body.next().await.unwrap().unwrap().len();
    }
    let fulcio = sandbox.url(Service::Fulcio);
    let waiting = tokio::spawn(async move { crate::client::http().get(fulcio).send().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    sandbox.stop().await;
    assert!(before.elapsed() < Duration::from_secs(5));
    waiting.abort();
}
