//! Honest registries of every kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::format::oci::{BUNDLE_ARTIFACT_TYPE, Document};
use keyless::net::registry::{Attached, ReferrersSource, RegistryClient, RegistryError};
use keyless::sandbox::registry::{RegistryFaults, RegistryMode};

use crate::support::*;

/// Reads every bundle of an image as a verifier does: list, then manifests, then bundles.
async fn read_bundles(client: &RegistryClient, registry: &Registry) -> usize {
    let repository = registry.server.repository();
    let listed = client.referrers(&registry.subject, None).await.unwrap();
    let bundles = join_all(listed.descriptors.iter().map(|descriptor| async {
        let fetched = client.manifest(&repository, descriptor).await.unwrap();
        let Document::Manifest(manifest) = fetched.document else {
            panic!("a bundle's manifest is no index");
        };
        let layer = manifest.bundle_layer().unwrap();
        let limit = client.options().limits.bundle;
        client.blob(&repository, layer, limit).await.unwrap()
    }))
    .await;
    bundles.len()
}

#[tokio::test]
async fn one_signature_costs_three_requests_and_a_hundred_201() {
    for (count, requests) in [(1, 3), (100, 201)] {
        let registry = Registry::start(RegistryMode::default()).await;
        registry.put_signatures(count);
        assert_eq!(read_bundles(&client(), &registry).await, count);
        let paths = registry.paths();
        assert_eq!(paths.len(), requests, "{:?}", &paths[..paths.len().min(9)]);
        let unique: std::collections::HashSet<_> = paths.iter().collect();
        assert_eq!(unique.len(), requests, "something was asked twice");
    }
}

#[tokio::test]
async fn a_tag_resolves_with_one_request() {
    let registry = Registry::start(RegistryMode::default()).await;
    let fetched = client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap();
    assert_eq!(fetched.reference, registry.subject);
    assert_eq!(fetched.descriptor, registry.image);
    assert_eq!(registry.paths(), ["GET manifests/v1"]);
}

#[tokio::test]
async fn what_is_not_there_has_its_own_exit_code() {
    let registry = Registry::start(RegistryMode::default()).await;
    let absent = format!("@sha256:{}", "0".repeat(64));
    for reference in [":v2", absent.as_str()] {
        let error = client()
            .resolve(&registry.server.image(reference))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("no-such-image", Exit::NoSuchImage)
        );
    }
    let repository = registry.server.repository();
    let mut listed = registry.image.clone();
    listed.digest = absent[1..].parse().unwrap();
    let error = client().manifest(&repository, &listed).await.unwrap_err();
    assert_eq!(error.code(), "registry-object-missing");
    let error = client()
        .blob(&repository, &listed, 1 << 20)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-object-missing");
}

#[tokio::test]
async fn nobody_at_the_other_end_is_exit_40() {
    let server = Server::start(axum::Router::new()).await;
    let image = server.image(":v1");
    drop(server);
    let error = client().resolve(&image).await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-unreachable", Exit::Unreachable)
    );
}

#[tokio::test]
async fn what_is_attached_is_read_back_with_one_request() {
    let registry = Registry::start(RegistryMode::default()).await;
    let attachment = attachment(&registry.image, 1);
    let attached = client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    assert_eq!(attached, Attached::ByApi);
    let paths = registry.paths();
    assert_eq!(paths.len(), 8, "{paths:?}");
    let manifest = attachment.manifest.descriptor.clone();
    assert_eq!(paths[6], format!("PUT manifests/{}", manifest.digest));
    assert_eq!(paths[7], format!("GET referrers/{}", registry.image.digest));
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors, [manifest]);
    assert_eq!(listed.source, ReferrersSource::Api);

    // Once more: nothing is uploaded again, and nothing is listed twice.
    registry.sandbox.forget_requests();
    client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    assert_eq!(registry.paths().len(), 4);
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors.len(), 1);
}

#[tokio::test]
async fn a_registry_that_lists_without_confirming_is_asked() {
    let registry = Registry::start(RegistryMode {
        oci_subject: false,
        ..RegistryMode::default()
    })
    .await;
    let attached = client()
        .attach(&registry.subject, &attachment(&registry.image, 1))
        .await
        .unwrap();
    assert_eq!(attached, Attached::ByApi);
    let writes_of_tags = registry
        .paths()
        .iter()
        .filter(|p| p.starts_with("PUT manifests/sha256-"))
        .count();
    assert_eq!(writes_of_tags, 0);
}

#[tokio::test]
async fn a_registry_that_accepts_and_does_not_list_has_the_fallback_tag_written() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |_, path, mut reply| {
            reply.headers_mut().remove("oci-subject");
            if path.contains("/referrers/") {
                return (
                    [(
                        header::CONTENT_TYPE,
                        "application/vnd.oci.image.index.v1+json",
                    )],
                    r#"{"schemaVersion":2,"manifests":[]}"#,
                )
                    .into_response();
            }
            reply
        })
    })
    .await;
    let attachment = attachment(&registry.image, 1);
    let attached = client().attach(&registry.subject, &attachment).await;
    assert!(matches!(attached, Ok(Attached::ByFallbackTag(_))));
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors, [attachment.manifest.descriptor]);
    let asked = registry.paths();
    let asked = asked
        .iter()
        .filter(|path| path.starts_with("GET referrers/"));
    assert_eq!(asked.count(), 5, "four looks, and the reader's");
}

#[tokio::test]
async fn referrers_come_in_pages() {
    let registry = Registry::start(RegistryMode {
        page_size: Some(3),
        ..RegistryMode::default()
    })
    .await;
    registry.put_signatures(10);
    let listed = client()
        .referrers(&registry.subject, Some(BUNDLE_ARTIFACT_TYPE))
        .await
        .unwrap();
    assert_eq!(listed.descriptors.len(), 10);
    assert!(listed.too_many().is_none());
    let paths = registry.paths();
    assert_eq!(paths.len(), 4);
    assert!(paths.iter().all(|path| path.contains("artifactType=")));
}

#[tokio::test]
async fn a_filter_is_a_wish() {
    for (server_filter, expected) in [(true, 0), (false, 2)] {
        let registry = Registry::start(RegistryMode {
            server_filter,
            ..RegistryMode::default()
        })
        .await;
        registry.put_signatures(2);
        let listed = client()
            .referrers(&registry.subject, Some("application/x"))
            .await
            .unwrap();
        assert_eq!(listed.descriptors.len(), expected);
    }
}

#[tokio::test]
async fn registries_without_the_api_answer_in_many_ways() {
    for status in [400, 404, 405, 406, 501, 200] {
        let registry = Registry::behind(RegistryMode::without_referrers(), move |router| {
            altered(router, move |_, path, reply| {
                if path.contains("/referrers/") {
                    let status = StatusCode::from_u16(status).unwrap();
                    let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
                    return (status, html, "<html></html>").into_response();
                }
                reply
            })
        })
        .await;
        // 404 says that there is no API; whatever else is no list may hide one.
        let listed = client().referrers(&registry.subject, None).await;
        match status {
            404 => assert_eq!(listed.unwrap().descriptors, []),
            _ => assert!(listed.is_err(), "{status}"),
        }
        let attachment = attachment(&registry.image, 1);
        let attached = client().attach(&registry.subject, &attachment).await;
        assert!(
            matches!(attached, Ok(Attached::ByFallbackTag(_))),
            "{status}"
        );
        let listed = client().referrers(&registry.subject, None).await.unwrap();
        assert_eq!(listed.source, ReferrersSource::FallbackTag, "{status}");
        assert_eq!(listed.descriptors, [attachment.manifest.descriptor]);
        assert_eq!(listed.unread.is_none(), status == 404);
    }
}

#[tokio::test]
async fn an_error_is_never_an_empty_list() {
    for (status, code, exit) in [
        (401, "registry-denied", Exit::Denied),
        (403, "registry-denied", Exit::Denied),
        (500, "service-failed", Exit::ServiceFailed),
        (502, "service-failed", Exit::ServiceFailed),
        (418, "service-refused", Exit::Refused),
    ] {
        for path in ["/referrers/", "/manifests/sha256-"] {
            let registry = Registry::behind(RegistryMode::without_referrers(), move |router| {
                altered(router, move |_, asked, reply| {
                    if asked.contains(path) {
                        return StatusCode::from_u16(status).unwrap().into_response();
                    }
                    reply
                })
            })
            .await;
            let error = client()
                .referrers(&registry.subject, None)
                .await
                .unwrap_err();
            assert_eq!(
                (error.code(), error.exit()),
                (code, exit),
                "{status} {path}"
            );
        }
    }
}

#[tokio::test]
async fn passing_faults_are_sat_out() {
    let faults = [
        RegistryFaults {
            throttle: 1,
            ..RegistryFaults::default()
        },
        RegistryFaults {
            fail: 2,
            ..RegistryFaults::default()
        },
        // The replies to: one POST or PUT of a blob, then whatever comes next.
        RegistryFaults {
            lose_reply: 1,
            ..RegistryFaults::default()
        },
        RegistryFaults {
            lose_reply: 4,
            ..RegistryFaults::default()
        },
    ];
    let modes = [RegistryMode::default(), RegistryMode::without_referrers()];
    let cases = modes
        .iter()
        .flat_map(|mode| faults.iter().map(move |fault| (mode, fault)));
    join_all(cases.map(|(mode, fault)| async move {
        let registry = Registry::start(RegistryMode {
            relative_location: fault.fail > 0,
            ..mode.clone()
        })
        .await;
        registry.sandbox.set_faults(fault.clone());
        let attachment = attachment(&registry.image, 1);
        let attached = client().attach(&registry.subject, &attachment).await;
        assert!(attached.is_ok(), "{fault:?}: {attached:?}");
        let listed = client().referrers(&registry.subject, None).await.unwrap();
        assert_eq!(listed.descriptors.len(), 1, "{fault:?}");
    }))
    .await;
}

#[tokio::test]
async fn a_lasting_fault_is_told() {
    let registry = Registry::start(RegistryMode::default()).await;
    registry.sandbox.set_faults(RegistryFaults {
        fail: u32::MAX,
        ..RegistryFaults::default()
    });
    let error = client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-failed", Exit::ServiceFailed)
    );
    assert_eq!(registry.paths().len(), 4);
}

#[tokio::test]
async fn slowness_has_a_limit() {
    let registry = Registry::start(RegistryMode::default()).await;
    registry.sandbox.set_faults(RegistryFaults {
        delay: Duration::from_secs(30),
        ..RegistryFaults::default()
    });
    let started = Instant::now();
    let client = client_that(|options| options.timeout = Duration::from_millis(300));
    let error = client
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-timed-out", Exit::Unreachable)
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_registry_in_a_folder_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mode = RegistryMode {
        dir: Some(folder.path().to_owned()),
        ..RegistryMode::default()
    };
    let registry = Registry::start(mode.clone()).await;
    client()
        .attach(&registry.subject, &attachment(&registry.image, 1))
        .await
        .unwrap();
    drop(registry);
    let again = Registry::start(mode.clone()).await;
    assert_eq!(read_bundles(&client(), &again).await, 1);
    assert!(client().resolve(&again.server.image(":v1")).await.is_ok());
    drop(again);

    let blobs = folder.path().join("repositories/team/app/_blobs");
    let blob = std::fs::read_dir(blobs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(blob, b"changed").unwrap();
    assert!(keyless::sandbox::registry::SandboxRegistry::new(mode).is_err());
}

#[tokio::test]
async fn announced_and_stated_media_types_agree() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |_, _, mut reply| {
            reply.headers_mut().insert(
                header::CONTENT_TYPE,
                "application/vnd.oci.image.index.v1+json".parse().unwrap(),
            );
            reply
        })
    })
    .await;
    let error = client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RegistryError::MediaTypeMismatch { .. }),
        "{error:?}"
    );
    assert_eq!(error.exit(), Exit::BadReply);
}

#[tokio::test]
async fn a_blob_the_registry_forgets_for_a_moment_is_looked_after() {
    for (refusals, good) in [(2, true), (u32::MAX, false)] {
        let refused = Arc::new(AtomicU32::new(0));
        let count = refused.clone();
        let registry = Registry::behind(RegistryMode::default(), move |router| {
            altered(router, move |method, path, reply| {
                if method == "PUT" && path.contains("/manifests/") {
                    let before = count.fetch_add(1, Ordering::SeqCst);
                    if before < refusals {
                        let body = r#"{"errors":[{"code":"DIGEST_INVALID"},{"code":"MANIFEST_BLOB_UNKNOWN"}]}"#;
                        return (StatusCode::BAD_REQUEST, body).into_response();
                    }
                }
                reply
            })
        })
        .await;
        let attached = client()
            .attach(&registry.subject, &attachment(&registry.image, 1))
            .await;
        assert_eq!(attached.is_ok(), good, "{attached:?}");
        if let Err(error) = attached {
            assert_eq!(error.code(), "registry-object-missing");
            assert_eq!(refused.load(Ordering::SeqCst), 5);
        }
    }
}
