//! What stands around signing: the issuer, the TUF repository, files and environment.

use std::collections::BTreeMap;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use keyless::crypto::Digest;
use keyless::sandbox::{RekorVersion, Service};
use keyless::trust::{SigningConfig, TrustedRoot};
use serde_json::{Value, json};

use crate::client::{Answer, IDENTITY, fetch, http, start};

#[tokio::test]
async fn a_token_verifies_with_the_published_keys() {
    let sandbox = start(&[]).await;
    let url = sandbox.issuer().to_owned();
    let discovery = fetch(format!("{url}/.well-known/openid-configuration"))
        .await
        .json();
    assert_eq!(discovery["issuer"], url);
    let keys = fetch(discovery["jwks_uri"].as_str().unwrap().to_owned()).await;
    let keys: JwkSet = serde_json::from_slice(&keys.body).unwrap();

    // As GitHub's runners ask: the audience is appended to a URL that has a query.
    let mint = format!("{url}/token?identity=https://ci.example.test/1&audience=sigstore");
    let request = http().get(mint).bearer_auth("anything");
    let token = Answer::of(request).await.unwrap().json()["value"].clone();
    let token = token.as_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["sigstore"]);
    validation.set_issuer(&[&url]);
    let key = DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], "https://ci.example.test/1");

    for (query, status) in [
        ("", 200),
        ("format=text", 200),
        (
            "kind=github&identity=https://github.com/o/r/w.yml@refs/heads/main",
            200,
        ),
        ("kind=github&identity=https://example.test/", 400),
        ("kind=passport", 400),
        ("identity=nobody", 400),
        ("expires_in=soon", 400),
    ] {
        let answer = fetch(format!("{url}/token?{query}")).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn requests_are_counted_but_not_the_looking() {
    let sandbox = start(&[]).await;
    let url = format!("{}/requests", sandbox.issuer());
    fetch(format!("{}/api/v1/log?x=1", sandbox.url(Service::RekorV1))).await;
    for _ in 0..2 {
        let answer = fetch(url.clone()).await.json();
        assert_eq!(answer["counts"]["rekor-v1"], 1);
        assert_eq!(answer["counts"]["oidc"], 0);
        assert_eq!(answer["counts"]["fulcio"], 0);
        let record = json!({
            "service": "rekor-v1", "method": "GET", "path": "/api/v1/log?x=1", "status": 200,
        });
        assert_eq!(answer["requests"], json!([record]));
    }
}

#[tokio::test]
async fn the_tuf_repository_leads_to_both_targets() {
    let sandbox = start(&[]).await;
    let base = sandbox.url(Service::Tuf);
    let root = fetch(format!("{base}/1.root.json")).await;
    assert_eq!(
        root.body,
        std::fs::read(sandbox.files().join("root.json")).unwrap()
    );
    assert_eq!(fetch(format!("{base}/2.root.json")).await.status, 404);
    let timestamp = fetch(format!("{base}/timestamp.json")).await.json();
    let listed = &timestamp["signed"]["meta"]["snapshot.json"];
    let snapshot = fetch(format!("{base}/1.snapshot.json")).await;
    assert_eq!(
        listed["hashes"]["sha256"],
        Digest::sha256(&snapshot.body).hex()
    );
    assert_eq!(listed["length"], snapshot.body.len());
    let targets = fetch(format!("{base}/1.targets.json")).await.json();
    for (name, expected) in [
        ("trusted_root.json", sandbox.trusted_root()),
        (
            "signing_config.v0.2.json",
            sandbox.signing_config(RekorVersion::V1),
        ),
    ] {
        let hash = targets["signed"]["targets"][name]["hashes"]["sha256"].clone();
        let url = format!("{base}/targets/{}.{name}", hash.as_str().unwrap());
        let target = fetch(url).await;
        assert_eq!(Digest::sha256(&target.body).hex(), hash);
        assert_eq!(
            target.json(),
            serde_json::from_str::<Value>(&expected).unwrap()
        );
    }
}

#[tokio::test]
async fn files_and_environment_fit_together() {
    let sandbox = start(&[]).await;
    let environment: BTreeMap<_, _> = sandbox.environment().into_iter().collect();
    let read = |name: &str| std::fs::read(&environment[name]).unwrap();
    let trust = TrustedRoot::parse(&read("KEYLESS_TRUSTED_ROOT")).unwrap();
    drop(trust);
    let config = SigningConfig::parse(&read("KEYLESS_SIGNING_CONFIG")).unwrap();
    drop(config);
    for name in ["SANDBOX_CTLOG_KEY", "SANDBOX_REKOR_KEY"] {
        let pem = String::from_utf8(read(name)).unwrap();
        keyless::crypto::PublicKey::from_pem(&pem).unwrap();
    }
    for name in ["SANDBOX_FULCIO_CHAIN", "SANDBOX_TSA_CHAIN"] {
        let pem = String::from_utf8(read(name)).unwrap();
        let chain = keyless::crypto::Certificate::chain_from_pem(&pem, 9).unwrap();
        assert_eq!(chain.len(), 2);
    }
    assert_eq!(environment["SANDBOX_IDENTITY"], IDENTITY);
    assert!(environment["SANDBOX_TSA_URL"].ends_with("/api/v1/timestamp"));
    assert_eq!(environment["SANDBOX_ISSUER"], sandbox.issuer());

    let elsewhere = tempfile::tempdir().unwrap();
    let dir = elsewhere.path().join("it's here");
    sandbox.write_files(&dir).unwrap();
    let script = ". \"$1\"/sandbox.env; printf %s \"$KEYLESS_TRUSTED_ROOT\"";
    let output = std::process::Command::new("sh")
        .args(["-c", script, "sh"])
        .arg(&dir)
        .output()
        .unwrap();
    let path = String::from_utf8(output.stdout).unwrap();
    assert_eq!(std::path::Path::new(&path), dir.join("trusted_root.json"));
    let kept = sandbox.files().to_owned();
    sandbox.stop().await;
    assert!(
        !kept.exists(),
        "a temporary directory goes with its sandbox"
    );
    assert!(dir.exists());
}

#[tokio::test]
async fn both_registries_answer_each_in_its_way() {
    let sandbox = start(&["registry-5xx=1"]).await;
    let subject = format!("sha256:{}", "0".repeat(64));
    let with = sandbox.url(Service::Registry);
    let without = sandbox.url(Service::RegistryPlain);
    assert_eq!(fetch(format!("{with}/v2/")).await.status, 503);
    assert_eq!(fetch(format!("{without}/v2/")).await.status, 503);
    for (url, status) in [(with, 200), (without, 404)] {
        assert_eq!(fetch(format!("{url}/v2/")).await.status, 200);
        let referrers = format!("{url}/v2/app/referrers/{subject}");
        assert_eq!(fetch(referrers).await.status, status);
    }
    assert_eq!(sandbox.request_counts().of(Service::Registry), 3);
    let blob = sandbox.registry().put_blob("app", "content").unwrap();
    let url = format!("{}/v2/app/blobs/{blob}", sandbox.url(Service::Registry));
    assert_eq!(fetch(url).await.body, b"content");
}
