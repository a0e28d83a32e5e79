//! Registries that want to know who asks.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use futures_util::future::join_all;
use keyless::crypto::Secret;
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::host::registry_auth::{Credential, RegistryAuth};
use keyless::net::registry::RegistryError;
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode};

use crate::support::*;

fn account() -> Account {
    Account {
        username: "ann".to_owned(),
        password: "hunter2".to_owned(),
    }
}

fn basic_mode() -> RegistryMode {
    RegistryMode {
        access: AccessMode::Basic(account()),
        ..RegistryMode::default()
    }
}

fn bearer_mode(life: Duration) -> RegistryMode {
    RegistryMode {
        access: AccessMode::Bearer {
            account: account(),
            refresh_token: Some("refresh-me".to_owned()),
            anonymous_pull: true,
            life,
        },
        ..RegistryMode::default()
    }
}

pub fn known_password(password: &str) -> RegistryAuth {
    RegistryAuth::explicit(Credential::Basic {
        username: "ann".to_owned(),
        password: Secret::new(password.to_owned()),
    })
}

/// An auth file with one entry of `auths`.
pub fn auth_file(folder: &tempfile::TempDir, key: &str, entry: serde_json::Value) -> PathBuf {
    let path = folder.path().join("config.json");
    let text = serde_json::json!({ "auths": { key: entry } }).to_string();
    std::fs::write(&path, text).unwrap();
    path
}

fn entry() -> serde_json::Value {
    let auth = base64::engine::general_purpose::STANDARD.encode("ann:hunter2");
    serde_json::json!({ "auth": auth })
}

#[tokio::test]
async fn basic_credentials_come_from_the_auth_file_and_only_when_asked_for() {
    let registry = Registry::start(basic_mode()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = auth_file(&folder, &registry.server.host, entry());
    let client = client_with(RegistryAuth::from_files(vec![path]));
    let attachment = attachment(&registry.image, 1);
    client.attach(&registry.subject, &attachment).await.unwrap();
    client.referrers(&registry.subject, None).await.unwrap();
    let requests = registry.sandbox.requests();
    assert_eq!(requests[0].authorization, None);
    let refused = requests.iter().filter(|r| r.status == 401).count();
    // The two uploads start together, then a read, which needs a header of its own.
    assert!((1..=3).contains(&refused), "{refused}");
    assert!(
        requests
            .iter()
            .all(|r| r.authorization.as_deref() != Some("Bearer"))
    );

    let open = Registry::start(RegistryMode::default()).await;
    let client = client_with(known_password("hunter2"));
    client.resolve(&open.server.image(":v1")).await.unwrap();
    assert!(
        open.sandbox
            .requests()
            .iter()
            .all(|r| r.authorization.is_none())
    );
}

#[tokio::test]
async fn denied_says_whether_credentials_were_sent() {
    let registry = Registry::start(basic_mode()).await;
    for (auth, sent) in [
        (RegistryAuth::anonymous(), false),
        (known_password("wrong"), true),
    ] {
        let error = client_with(auth)
            .resolve(&registry.server.image(":v1"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-denied", Exit::Denied)
        );
        let RegistryError::Denied {
            with_credentials, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(with_credentials, sent);
    }
    assert!(registry.paths().len() <= 4, "{:?}", registry.paths());
}

#[tokio::test]
async fn anybody_may_read_with_a_token_and_ann_may_write() {
    let registry = Registry::start(bearer_mode(Duration::from_secs(60))).await;
    let attachment = attachment(&registry.image, 1);
    client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap();
    assert_eq!(
        registry.paths(),
        [
            "GET manifests/v1",
            "GET /token?service=sandbox&scope=repository%3Ateam%2Fapp%3Apull",
            "GET manifests/v1"
        ]
    );
    let error = client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-denied");
    let ann = client_with(known_password("hunter2"));
    ann.attach(&registry.subject, &attachment).await.unwrap();
    let wrong = client_with(known_password("hunter3"));
    let error = wrong
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-denied");
}

#[tokio::test]
async fn a_refresh_token_is_posted_and_buys_a_token() {
    let registry = Registry::start(bearer_mode(Duration::from_secs(60))).await;
    for (token, good) in [("refresh-me", true), ("refresh-you", false)] {
        let folder = tempfile::tempdir().unwrap();
        let entry = serde_json::json!({ "identitytoken": token });
        let path = auth_file(&folder, &registry.server.host, entry);
        let client = client_with(RegistryAuth::from_files(vec![path]));
        let outcome = client
            .attach(&registry.subject, &attachment(&registry.image, 1))
            .await;
        assert_eq!(outcome.is_ok(), good, "{outcome:?}");
    }
    assert!(registry.paths().contains(&"POST /token".to_owned()));
}

#[tokio::test]
async fn a_hundred_requests_buy_one_token() {
    let registry = Registry::start(bearer_mode(Duration::from_secs(60))).await;
    registry.put_signatures(1);
    let client = client();
    let outcomes = join_all((0..100).map(|_| client.referrers(&registry.subject, None))).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let bought = registry
        .paths()
        .iter()
        .filter(|p| p.contains("/token"))
        .count();
    assert_eq!(bought, 1);
}

#[tokio::test]
async fn an_ended_token_is_replaced() {
    let registry = Registry::start(bearer_mode(Duration::from_millis(500))).await;
    let client = client();
    let image = registry.server.image(":v1");
    for _ in 0..2 {
        // The service says a second and means half of it: the first is refused, the next is bought.
        client.resolve(&image).await.unwrap();
        tokio::time::sleep(Duration::from_millis(550)).await;
    }
    let paths = registry.paths();
    let bought = paths.iter().filter(|p| p.contains("/token")).count();
    assert!(bought >= 2, "{paths:?}");
}
