//! The fallback tag: nothing others wrote is lost, and what was lost to others is written again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::format::oci::{Descriptor, OCI_INDEX, OCI_MANIFEST, ReferrersIndex, fallback_tag};
use keyless::net::registry::{Attached, RegistryClient};
use keyless::sandbox::registry::{RegistryFaults, RegistryMode};

use crate::support::*;

fn mode(conditional: bool) -> RegistryMode {
    RegistryMode {
        conditional,
        ..RegistryMode::without_referrers()
    }
}

async fn listed(client: &RegistryClient, registry: &Registry) -> Vec<Descriptor> {
    let listed = client.fallback_referrers(&registry.subject).await.unwrap();
    listed.descriptors
}

fn index_with(entries: &[serde_json::Value]) -> String {
    serde_json::json!({"schemaVersion":2,"mediaType":OCI_INDEX,"manifests":entries}).to_string()
}

fn put_index(registry: &Registry, text: String) {
    let tag = fallback_tag(&registry.image.digest);
    registry
        .sandbox
        .put_manifest(REPOSITORY, Some(&tag), OCI_INDEX, text)
        .unwrap();
}

#[tokio::test]
async fn cosign_4641_an_entry_has_the_manifests_type_and_annotations() {
    let registry = Registry::start(mode(false)).await;
    let attachment = attachment(&registry.image, 1);
    let attached = client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    let Attached::ByFallbackTag(written) = attached else {
        panic!("{attached:?}");
    };
    assert_eq!((written.writes, written.settled), (1, true));
    assert_eq!(
        listed(&client(), &registry).await,
        std::slice::from_ref(&attachment.manifest.descriptor)
    );

    // Attaching it again repairs nothing, as nothing is broken: one look, no write.
    let written = client()
        .list_in_fallback(&registry.subject, &attachment.manifest.descriptor)
        .await
        .unwrap();
    assert_eq!((written.writes, written.settled), (0, true));
}

#[tokio::test]
async fn twelve_writers_at_once_all_survive() {
    for conditional in [false, true] {
        for round in 0..3 {
            let registry = Registry::start(mode(conditional)).await;
            // A network's round trip, so that reading and writing really overlap.
            registry.sandbox.set_faults(RegistryFaults {
                delay: Duration::from_millis(5),
                ..RegistryFaults::default()
            });
            let outcomes = join_all((0..12).map(|number| {
                // Each a client of its own, as twelve processes would have.
                let (client, subject) = (client(), registry.subject.clone());
                let attachment = attachment(&registry.image, number);
                tokio::spawn(async move { client.attach(&subject, &attachment).await })
            }))
            .await;
            for outcome in outcomes {
                outcome.unwrap().unwrap();
            }
            registry.sandbox.set_faults(RegistryFaults::default());
            let digests: HashSet<_> = listed(&client(), &registry)
                .await
                .iter()
                .map(|d| d.digest)
                .collect();
            assert_eq!(
                digests.len(),
                12,
                "round {round}, conditional {conditional}"
            );
        }
    }
}

#[tokio::test]
async fn entries_and_fields_of_others_stay_as_they_are() {
    let registry = Registry::start(mode(false)).await;
    let others = concat!(
        r#"{"x-first":[1.0,{"b":1,"a":2}],"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","#,
        r#""manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":887,"#,
        r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
        r#""artifactType":"application/vnd.oci.empty.v1+json","x-extra":1e3},{"mediaType":"x/y","size":0,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","annotations":null,"data":""}],"annotations":{"z":"z","a":"a"}}"#
    );
    put_index(&registry, others.to_owned());
    let attachment = attachment(&registry.image, 1);
    client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    let tag = fallback_tag(&registry.image.digest);
    let bytes = reqwest::get(format!(
        "http://{}/v2/{REPOSITORY}/manifests/{tag}",
        registry.server.host
    ))
    .await
    .unwrap()
    .text()
    .await
    .unwrap();
    let ours = serde_json::to_string(&attachment.manifest.descriptor).unwrap();
    assert_eq!(
        bytes,
        others.replace(
            r#"{"mediaType":"x/y","size":0,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","annotations":null,"data":""}]"#,
            &format!(r#"{{"mediaType":"x/y","size":0,"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","annotations":null,"data":""}},{ours}]"#)
        )
    );
}

#[tokio::test]
async fn an_entry_that_vanishes_is_written_again() {
    // A tool that does not look back: after our first write, the old index is there again.
    let lost = Arc::new(AtomicU32::new(0));
    let count = lost.clone();
    let registry = Registry::behind(mode(false), move |router| {
        altered(router, move |method, path, reply| {
            if method == "PUT" && path.contains("/manifests/sha256-") {
                count.fetch_add(1, Ordering::SeqCst);
            }
            reply
        })
    })
    .await;
    let other = serde_json::to_value(attachment(&registry.image, 99).manifest.descriptor).unwrap();
    put_index(&registry, index_with(&[]));
    let attachment = attachment(&registry.image, 1);
    let (client, subject, entry) = (
        client(),
        registry.subject.clone(),
        attachment.manifest.descriptor.clone(),
    );
    let writing = tokio::spawn(async move { client.list_in_fallback(&subject, &entry).await });
    while lost.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    put_index(&registry, index_with(std::slice::from_ref(&other)));
    let written = writing.await.unwrap().unwrap();
    assert_eq!((written.writes, written.settled), (2, true));
    let digests: Vec<_> = listed(&crate::support::client(), &registry).await;
    assert_eq!(digests.len(), 2);
    assert_eq!(serde_json::to_value(&digests[0]).unwrap(), other);
}

#[tokio::test]
async fn a_hopeless_contest_ends() {
    // Every write is accepted and has no effect.
    let registry = Registry::behind(mode(false), |router| {
        router.layer(axum::middleware::from_fn(
            |request: axum::extract::Request, next: axum::middleware::Next| async move {
                if request.method() == "PUT" && request.uri().path().contains("/manifests/sha256-")
                {
                    return StatusCode::CREATED.into_response();
                }
                next.run(request).await
            },
        ))
    })
    .await;
    let client = client_that(|options| options.fallback_deadline = Duration::from_secs(1));
    let entry = attachment(&registry.image, 1).manifest.descriptor;
    let error = client
        .list_in_fallback(&registry.subject, &entry)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-fallback-contended", Exit::ServiceFailed)
    );
    assert!(error.hint().unwrap().contains("keyless attach bundle"));
}

#[tokio::test]
async fn a_registry_that_refuses_every_condition_is_written_without() {
    let registry = Registry::behind(mode(false), |router| {
        router.layer(axum::middleware::from_fn(
            |request: axum::extract::Request, next: axum::middleware::Next| async move {
                let conditional = [header::IF_MATCH, header::IF_NONE_MATCH];
                if conditional
                    .iter()
                    .any(|name| request.headers().contains_key(name))
                {
                    return StatusCode::PRECONDITION_FAILED.into_response();
                }
                next.run(request).await
            },
        ))
    })
    .await;
    let attachment = attachment(&registry.image, 1);
    client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    assert_eq!(listed(&client(), &registry).await.len(), 1);
}

#[tokio::test]
async fn conditions_are_used_where_they_are_offered() {
    let registry = Registry::start(mode(true)).await;
    put_index(&registry, index_with(&[]));
    let seen = Arc::new(AtomicU32::new(0));
    let count = seen.clone();
    let guarded = Server::start(registry.sandbox.clone().router().layer(
        axum::middleware::from_fn(
            move |request: axum::extract::Request, next: axum::middleware::Next| {
                let count = count.clone();
                async move {
                    if request.headers().contains_key(header::IF_MATCH) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    next.run(request).await
                }
            },
        ),
    ))
    .await;
    let subject =
        keyless::net::registry::DigestReference::new(guarded.repository(), registry.image.digest);
    client()
        .attach(&subject, &attachment(&registry.image, 1))
        .await
        .unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_tag_that_is_no_index_is_left_alone() {
    let registry = Registry::start(mode(false)).await;
    let tag = fallback_tag(&registry.image.digest);
    let manifest = attachment(&registry.image, 7).manifest;
    registry
        .sandbox
        .put_manifest(REPOSITORY, Some(&tag), OCI_MANIFEST, manifest.bytes.clone())
        .unwrap();
    let error = client()
        .list_in_fallback(&registry.subject, &manifest.descriptor)
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-document-unusable", Exit::Malformed)
    );
    let error = client()
        .referrers(&registry.subject, None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-document-unusable");
    assert!(registry.paths().iter().all(|p| p.starts_with("GET")));
}

#[tokio::test]
async fn the_image_itself_under_the_tag_as_cosign_copy_puts_it_is_no_list() {
    let registry = Registry::start(mode(false)).await;
    let tag = fallback_tag(&registry.image.digest);
    let image = put_image(&registry.sandbox, &tag, b"files of version one");
    assert_eq!(image.digest, registry.image.digest);
    assert_eq!(listed(&client(), &registry).await, []);

    // Signing it replaces the tag by an index, in which the image still stands: a registry's collection of what has
    // no tag must not take it.
    let attachment = attachment(&registry.image, 1);
    client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    let expected = [attachment.manifest.descriptor.clone()];
    assert_eq!(listed(&client(), &registry).await, expected);
    let host = &registry.server.host;
    let reply = reqwest::get(format!("http://{host}/v2/{REPOSITORY}/manifests/{tag}"));
    let index = reply.await.unwrap().bytes().await.unwrap();
    let index = ReferrersIndex::parse(&index).unwrap();
    assert!(index.contains(&registry.image.digest));
}

#[tokio::test]
async fn a_full_index_is_not_made_unreadable() {
    let registry = Registry::start(mode(false)).await;
    let entries: Vec<_> = (0..3)
        .map(|n| serde_json::to_value(attachment(&registry.image, n).manifest.descriptor).unwrap())
        .collect();
    put_index(&registry, index_with(&entries));
    let client = client_that(|options| options.limits.referrers = 3);
    let entry = attachment(&registry.image, 9).manifest.descriptor;
    let error = client
        .list_in_fallback(&registry.subject, &entry)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-too-many");
    assert!(registry.paths().iter().all(|p| p.starts_with("GET")));
}
