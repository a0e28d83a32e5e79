//! Each request handler of the sandbox's registry, needed: the product, or where only other tools send such a
//! request, the request as they send it. Each test is named after its handler, and `delete_handlers.py` shows that it
//! fails without it: the handler that `KEYLESS_TEST_WITHOUT_HANDLER` names is taken out of every registry here.

use std::time::Duration;

use axum::body::Bytes;
use keyless::crypto::{Digest, Secret};
use keyless::format::oci::Descriptor;
use keyless::host::registry_auth::{Credential, RegistryAuth};
use keyless::net::registry::{Attached, Login, Pushed, ReferrersSource, Repository, Target};
use keyless::sandbox::registry::{
    AccessMode, Account, HANDLERS, Handler, RegistryMode, SandboxRegistry,
};

use crate::authentication::known_password;
use crate::support::*;

async fn registry(mode: RegistryMode) -> Registry {
    let registry = Registry::start(mode).await;
    if let Ok(name) = std::env::var("KEYLESS_TEST_WITHOUT_HANDLER") {
        registry.sandbox.take_out(Handler::named(&name).unwrap());
    }
    registry
}

fn bearer() -> RegistryMode {
    RegistryMode {
        access: AccessMode::Bearer {
            account: Account {
                username: "ann".to_owned(),
                password: "hunter2".to_owned(),
            },
            refresh_token: Some("refresh-me".to_owned()),
            anonymous_pull: false,
            life: Duration::from_secs(60),
        },
        ..RegistryMode::default()
    }
}

/// A request as it is, for those that only other tools send.
async fn raw(
    registry: &Registry,
    method: &str,
    path: &str,
    body: &'static str,
) -> reqwest::Response {
    let url = format!("http://{}/v2/{REPOSITORY}/{path}", registry.server.host);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.request(method.parse().unwrap(), url).body(body);
    request.send().await.unwrap()
}

#[test]
fn every_handler_has_a_test() {
    let tests = include_str!("handlers.rs");
    for (handler, name, method, path) in HANDLERS {
        let test = format!("async fn {}() {{", name.replace('-', "_"));
        assert_eq!(tests.matches(&test).count(), 1, "{name}: {method} {path}");
        assert_eq!(Handler::named(name), Some(handler));
    }
    let names: std::collections::HashSet<_> = HANDLERS.iter().map(|row| row.1).collect();
    assert_eq!(names.len(), HANDLERS.len());
    assert_eq!(Handler::named("none"), None);
}

#[tokio::test]
async fn what_is_taken_out_is_not_answered() {
    let registry = Registry::start(RegistryMode::default()).await;
    registry.sandbox.take_out(Handler::TagsGet);
    let status = raw(&registry, "GET", "tags/list", "").await.status();
    assert_eq!(status, 405);
    let status = raw(&registry, "GET", "manifests/v1", "").await.status();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn root() {
    let registry = registry(bearer()).await;
    let host = Repository::of_registry(&registry.server.host).unwrap();
    let said = client_with(known_password("hunter2")).log_in(&host).await;
    assert_eq!(said, Ok(Login::Accepted));
}

#[tokio::test]
async fn token_sale() {
    let registry = registry(bearer()).await;
    let client = client_with(known_password("hunter2"));
    let image = registry.server.image(":v1");
    assert_eq!(
        client.resolve(&image).await.unwrap().reference,
        registry.subject
    );
}

#[tokio::test]
async fn token_grant() {
    let registry = registry(bearer()).await;
    let token = Credential::IdentityToken(Secret::new("refresh-me".to_owned()));
    let client = client_with(RegistryAuth::explicit(token));
    let image = registry.server.image(":v1");
    assert_eq!(
        client.resolve(&image).await.unwrap().reference,
        registry.subject
    );
}

#[tokio::test]
async fn manifest_get() {
    let registry = registry(RegistryMode::default()).await;
    let image = registry.server.image(":v1");
    let fetched = client().resolve(&image).await.unwrap();
    assert_eq!(fetched.descriptor, registry.image);
}

/// Before a copy: what is there is not sent again.
#[tokio::test]
async fn manifest_head() {
    let registry = registry(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let absent = Digest::sha256(b"absent");
    for (digest, held) in [(registry.image.digest, true), (absent, false)] {
        let found = client().holds_manifest(&repository, &digest).await;
        assert_eq!(found, Ok(held));
    }
}

#[tokio::test]
async fn manifest_put() {
    let registry = registry(RegistryMode::default()).await;
    let attachment = attachment(&registry.image, 1);
    for content in [Bytes::from_static(b"{}"), attachment.layer.clone()] {
        registry.sandbox.put_blob(REPOSITORY, content).unwrap();
    }
    let repository = registry.server.repository();
    client()
        .push_manifest(&repository, &attachment.manifest)
        .await
        .unwrap();
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors, [attachment.manifest.descriptor]);
}

#[tokio::test]
async fn manifest_delete() {
    let registry = registry(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let target = Target::Digest(registry.image.digest);
    for was_there in [true, false] {
        let deleted = client().delete(&repository, &target).await;
        assert_eq!(deleted, Ok(was_there));
    }
    let gone = client().resolve(&registry.server.image(":v1")).await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn blob_get() {
    let registry = registry(RegistryMode::default()).await;
    let layer = Descriptor::of("x/y", b"files of version one");
    let repository = registry.server.repository();
    let blob = client().blob(&repository, &layer, 1 << 20).await.unwrap();
    assert_eq!(&blob[..], b"files of version one");
}

/// What is there is not uploaded again.
#[tokio::test]
async fn blob_head() {
    let registry = registry(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let layer = Bytes::from_static(b"files of version one");
    client().upload_blob(&repository, layer).await.unwrap();
    assert_eq!(registry.paths().len(), 1);
}

/// `oras blob delete` does so.
#[tokio::test]
async fn blob_delete() {
    let registry = registry(RegistryMode::default()).await;
    let layer = Descriptor::of("x/y", b"files of version one");
    let path = format!("blobs/{}", layer.digest);
    assert_eq!(raw(&registry, "DELETE", &path, "").await.status(), 202);
    assert_eq!(raw(&registry, "GET", &path, "").await.status(), 404);
}

/// A copy within a registry sends no layer.
#[tokio::test]
async fn blob_mount() {
    let registry = registry(RegistryMode::default()).await;
    registry.sandbox.put_blob("other/app", "theirs").unwrap();
    let blob = Descriptor::of("x/y", b"theirs");
    let (to, from) = (
        registry.server.repository(),
        format!("{}/other/app", registry.server.host),
    );
    let from: Repository = from.parse().unwrap();
    let client = client();
    let (source, place, described) = (client.clone(), from.clone(), blob.clone());
    let content = move || source.blob_pieces(&place, &described);
    let pushed = client.push_blob(&to, &blob, Some(&from), &content).await;
    assert!(matches!(pushed, Ok(Pushed::Mounted)), "{pushed:?}");
    let blob = client.blob(&to, &blob, 100).await.unwrap();
    assert_eq!(&blob[..], b"theirs");
}

/// oras does so with small blobs.
#[tokio::test]
async fn blob_post() {
    let registry = registry(RegistryMode::default()).await;
    let digest = Digest::sha256(b"whole");
    let path = format!("blobs/uploads/?digest={digest}");
    assert_eq!(raw(&registry, "POST", &path, "whole").await.status(), 201);
    let blob = raw(&registry, "GET", &format!("blobs/{digest}"), "").await;
    assert_eq!(&blob.bytes().await.unwrap()[..], b"whole");
}

#[tokio::test]
async fn upload_post() {
    let registry = registry(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let content = Bytes::from_static(b"new");
    let uploaded = client().upload_blob(&repository, content).await;
    assert_eq!(uploaded.unwrap(), Digest::sha256(b"new"));
}

/// cosign and crane send the content so.
#[tokio::test]
async fn upload_patch() {
    let registry = registry(RegistryMode::default()).await;
    let begun = raw(&registry, "POST", "blobs/uploads/", "").await;
    assert_eq!(begun.status(), 202);
    let location = begun.headers()["location"].to_str().unwrap();
    let at = location.find("blobs/uploads/").unwrap();
    let path = location[at..].to_owned();
    for part in ["first ", "second"] {
        assert_eq!(raw(&registry, "PATCH", &path, part).await.status(), 202);
    }
    let digest = Digest::sha256(b"first second");
    let last = format!("{path}&digest={digest}");
    assert_eq!(raw(&registry, "PUT", &last, "").await.status(), 201);
}

#[tokio::test]
async fn upload_put() {
    let registry = registry(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let layer = Bytes::from_static(b"another");
    client()
        .upload_blob(&repository, layer.clone())
        .await
        .unwrap();
    let described = Descriptor::of("x/y", &layer);
    let blob = client().blob(&repository, &described, 100).await.unwrap();
    assert_eq!(blob, layer);
}

#[tokio::test]
async fn referrers_get() {
    let registry = registry(RegistryMode::default()).await;
    let attached = client()
        .attach(&registry.subject, &attachment(&registry.image, 1))
        .await
        .unwrap();
    assert_eq!(attached, Attached::ByApi);
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(
        (listed.source, listed.descriptors.len()),
        (ReferrersSource::Api, 1)
    );
}

/// `crane ls` and `oras repo tags` do so.
#[tokio::test]
async fn tags_get() {
    let registry = registry(RegistryMode::default()).await;
    put_image(&registry.sandbox, "v2", b"files of version two");
    let listed = raw(&registry, "GET", "tags/list", "").await;
    let listed: serde_json::Value = serde_json::from_slice(&listed.bytes().await.unwrap()).unwrap();
    assert_eq!(listed["tags"], serde_json::json!(["v1", "v2"]));
}

/// Nothing else is answered: neither another method nor another path.
#[tokio::test]
async fn the_table_is_all_there_is() {
    let registry = Registry::start(RegistryMode::default()).await;
    for (method, path, status) in [
        ("PATCH", "manifests/v1", 405),
        ("POST", "manifests/v1", 405),
        ("PUT", "tags/list", 405),
        ("DELETE", "blobs/uploads/1", 405),
        ("GET", "blobs/uploads/1", 405),
        ("POST", "referrers/sha256:0", 405),
        ("GET", "other/v1", 404),
    ] {
        let reply = raw(&registry, method, path, "").await;
        assert_eq!(reply.status(), status, "{method} {path}");
    }
    let empty = SandboxRegistry::new(RegistryMode::default()).unwrap();
    assert!(empty.requests().is_empty());
}
