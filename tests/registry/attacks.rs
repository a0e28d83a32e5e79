//! Hostile registries: each of the published attacks on OCI clients, refused by its own code, with
//! nothing in the notes of the host the credentials were to go to. Tests with an advisory's id in their
//! name replay it; `fixtures/README.md` has the table.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use keyless::crypto::Secret;
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::format::oci::{BUNDLE_ARTIFACT_TYPE, Descriptor, OCI_INDEX, OCI_MANIFEST};
use keyless::host::registry_auth::{Credential, RegistryAuth};
use keyless::net::registry::RegistryError;
use keyless::sandbox::registry::{
    AccessMode, Account, RegistryFaults, RegistryMode, SandboxRegistry,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::authentication::{auth_file, known_password};
use crate::support::*;

fn basic_mode() -> RegistryMode {
    RegistryMode {
        access: AccessMode::Basic(Account {
            username: "ann".to_owned(),
            password: "hunter2".to_owned(),
        }),
        ..RegistryMode::default()
    }
}

/// The base64 of `ann:hunter2`, and the other secrets used here.
fn holds_a_secret(everything: &str) -> bool {
    let everything = everything.to_ascii_lowercase();
    ["authorization", "yw5uomh1bnrlcji", "hunter2", "refresh-me"]
        .iter()
        .any(|secret| everything.contains(secret))
}

fn redirect(to: &str) -> Response {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
}

// Where credentials would go.

#[tokio::test]
async fn cve_2026_50151_an_upload_location_elsewhere_gets_no_credentials() {
    let stranger = Stranger::start(|| StatusCode::CREATED).await;
    let location = format!("http://{}/take?x=1", stranger.server.host);
    let registry = Registry::behind(basic_mode(), move |router| {
        altered(router, move |method, _, mut reply| {
            if method == "POST" && reply.status() == StatusCode::ACCEPTED {
                let location = HeaderValue::from_str(&location).unwrap();
                reply.headers_mut().insert(header::LOCATION, location);
            }
            reply
        })
    })
    .await;
    let client = client_with(known_password("hunter2"));
    client
        .upload_blob(&registry.server.repository(), Bytes::from_static(b"bundle"))
        .await
        .unwrap();
    let notes = stranger.notes();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].path.starts_with("/take?x=1&digest=sha256%3A"));
    assert!(!holds_a_secret(&notes[0].everything), "{notes:?}");
    // The registry itself did get them: the test would pass for nothing otherwise.
    let sent = registry.sandbox.requests();
    assert!(
        sent.iter()
            .any(|r| r.authorization.is_some() && r.method == "POST")
    );
}

#[tokio::test]
async fn an_upload_location_of_another_scheme_is_refused() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |method, _, mut reply| {
            if method == "POST" {
                let location = HeaderValue::from_static("file:///etc/passwd");
                reply.headers_mut().insert(header::LOCATION, location);
            }
            reply
        })
    })
    .await;
    let error = client()
        .upload_blob(&registry.server.repository(), Bytes::from_static(b"bundle"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-location-refused", Exit::BadReply)
    );
}

#[tokio::test]
async fn ghsa_vh4v_2xq2_g5cg_a_redirect_elsewhere_gets_no_credentials() {
    for (kind, name) in [("manifests", true), ("blobs", false)] {
        for by_name in [false, true] {
            let target = Arc::new(std::sync::Mutex::new(String::new()));
            let to = target.clone();
            let registry = Registry::behind(basic_mode(), move |router| {
                altered(router, move |_, path, reply| {
                    if path.contains(kind) && reply.status() == StatusCode::OK {
                        return redirect(&to.lock().unwrap());
                    }
                    reply
                })
            })
            .await;
            // What is asked for is served elsewhere, so that the client is content.
            let manifest = {
                let plain = SandboxRegistry::new(RegistryMode::default()).unwrap();
                let server = Server::start(plain.clone().router()).await;
                put_image(&plain, "v1", b"files of version one");
                let url = format!("http://{}/v2/{REPOSITORY}/manifests/v1", server.host);
                reqwest::get(url).await.unwrap().bytes().await.unwrap()
            };
            let layer = Bytes::from_static(b"files of version one");
            let content = if name { manifest } else { layer.clone() };
            let stranger = Stranger::start(move || content.clone()).await;
            let host = if by_name {
                stranger.server.localhost()
            } else {
                stranger.server.host.clone()
            };
            *target.lock().unwrap() = format!("http://{host}/elsewhere");
            let client = client_with(known_password("hunter2"));
            let repository = registry.server.repository();
            if name {
                client.manifest(&repository, &registry.image).await.unwrap();
            } else {
                let layer = Descriptor::of("x/y", &layer);
                client.blob(&repository, &layer, 1 << 20).await.unwrap();
            }
            let notes = stranger.notes();
            assert_eq!(notes.len(), 1);
            assert!(!holds_a_secret(&notes[0].everything), "{notes:?}");
            assert!(
                registry
                    .sandbox
                    .requests()
                    .iter()
                    .any(|r| r.authorization.is_some())
            );
        }
    }
}

#[tokio::test]
async fn a_stranger_behind_a_redirect_cannot_ask_for_credentials() {
    let stranger = Stranger::start(|| {
        (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Basic realm=\"give\"")],
        )
    })
    .await;
    let to = format!("http://{}/elsewhere", stranger.server.host);
    let registry = Registry::behind(RegistryMode::default(), move |router| {
        altered(router, move |_, _, _| redirect(&to))
    })
    .await;
    let client = client_with(known_password("hunter2"));
    let error = client
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-denied", Exit::Denied)
    );
    assert_eq!(stranger.notes().len(), 1);
    assert!(!holds_a_secret(&stranger.notes()[0].everything));
}

#[tokio::test]
async fn redirects_end() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |_, path, _| redirect(path))
    })
    .await;
    let error = client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-too-many");
    assert!(registry.paths().len() <= 6);
}

#[tokio::test]
async fn cve_2026_48978_cve_2026_33540_a_token_service_elsewhere_gets_no_credentials() {
    for credential in [
        Credential::Basic {
            username: "ann".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        },
        Credential::IdentityToken(Secret::new("refresh-me".to_owned())),
    ] {
        let stranger = Stranger::start(|| axum::Json(serde_json::json!({"token": "t"}))).await;
        let realm = format!(
            "Bearer realm=\"http://{}/token\"",
            stranger.server.localhost()
        );
        let registry = Registry::behind(RegistryMode::default(), move |router| {
            altered(router, move |_, _, _| {
                (
                    StatusCode::UNAUTHORIZED,
                    [(header::WWW_AUTHENTICATE, realm.clone())],
                )
                    .into_response()
            })
        })
        .await;
        let client = client_with(RegistryAuth::explicit(credential));
        let error = client
            .resolve(&registry.server.image(":v1"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-realm-foreign", Exit::Denied)
        );
        assert!(stranger.notes().is_empty(), "{:?}", stranger.notes());
    }
}

#[tokio::test]
async fn a_refresh_token_is_no_password() {
    let registry = Registry::start(basic_mode()).await;
    let token = Credential::IdentityToken(Secret::new("refresh-me".to_owned()));
    let client = client_with(RegistryAuth::explicit(token));
    let error = client
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-denied");
    assert!(
        registry
            .sandbox
            .requests()
            .iter()
            .all(|r| r.authorization.is_none())
    );
}

#[tokio::test]
async fn js_85c5838_b855f46_credentials_of_a_similar_host_are_not_sent() {
    let registry = Registry::start(basic_mode()).await;
    let (address, port) = registry.server.host.rsplit_once(':').unwrap();
    for key in [
        address.to_owned(),
        format!("{address}:{port}0"),
        format!("{address}:{}", &port[..port.len() - 1]),
        format!("{address}:{port}.evil.test"),
        format!("1{address}:{port}"),
        format!("{}/other", registry.server.host),
        format!("{}/team/application", registry.server.host),
        format!("{}/team/ap", registry.server.host),
        registry.server.localhost(),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let entry = serde_json::json!({ "username": "ann", "password": "hunter2" });
        let path = auth_file(&folder, &key, entry);
        let client = client_with(RegistryAuth::from_files(vec![path]));
        let error = client
            .resolve(&registry.server.image(":v1"))
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                RegistryError::Denied {
                    with_credentials: false,
                    ..
                }
            ),
            "{key}: {error:?}"
        );
    }
    let sent = registry.sandbox.requests();
    assert!(sent.iter().all(|r| r.authorization.is_none()));
}

#[tokio::test]
async fn pages_elsewhere_are_not_asked_for() {
    let stranger = Stranger::start(|| StatusCode::OK).await;
    for host in [stranger.server.host.clone(), stranger.server.localhost()] {
        let link = format!("<http://{host}/next>; rel=\"next\"");
        let registry = Registry::behind(basic_mode(), move |router| {
            altered(router, move |_, path, mut reply| {
                if path.contains("/referrers/") {
                    let link = HeaderValue::from_str(&link).unwrap();
                    reply.headers_mut().insert(header::LINK, link);
                }
                reply
            })
        })
        .await;
        registry.put_signatures(1);
        let client = client_with(known_password("hunter2"));
        let error = client.referrers(&registry.subject, None).await.unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-location-refused", Exit::BadReply)
        );
    }
    assert!(stranger.notes().is_empty());
}

// What is served in place of what was asked for.

#[tokio::test]
async fn cve_2023_33959_other_content_is_not_taken() {
    let registry = Registry::start(RegistryMode::default()).await;
    let repository = registry.server.repository();
    let layer = Descriptor::of("x/y", b"files of version one");
    for (fault, blob_too) in [
        (
            RegistryFaults {
                wrong_content: true,
                ..RegistryFaults::default()
            },
            true,
        ),
        (
            RegistryFaults {
                wrong_digest_header: true,
                ..RegistryFaults::default()
            },
            false,
        ),
    ] {
        registry.sandbox.set_faults(fault);
        for reference in [format!("@{}", registry.image.digest), ":v1".to_owned()] {
            let error = client()
                .resolve(&registry.server.image(&reference))
                .await
                .unwrap_err();
            assert_eq!(
                (error.code(), error.exit()),
                ("registry-digest-mismatch", Exit::ContentMismatch),
                "{reference}"
            );
        }
        let blob = client().blob(&repository, &layer, 1 << 20).await;
        assert_eq!(blob.is_err(), blob_too);
        if let Err(error) = blob {
            assert_eq!(error.code(), "registry-digest-mismatch");
        }
    }
}

#[tokio::test]
async fn a_fallback_index_has_the_digest_it_is_announced_with() {
    let registry = Registry::start(RegistryMode::without_referrers()).await;
    let attachment = attachment(&registry.image, 1);
    client()
        .attach(&registry.subject, &attachment)
        .await
        .unwrap();
    registry.sandbox.set_faults(RegistryFaults {
        wrong_digest_header: true,
        ..RegistryFaults::default()
    });
    let error = client()
        .referrers(&registry.subject, None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
}

#[tokio::test]
async fn without_announced_digest_the_content_still_has_to_match() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |_, _, mut reply| {
            reply.headers_mut().remove("docker-content-digest");
            reply
        })
    })
    .await;
    let fetched = client()
        .resolve(&registry.server.image(":v1"))
        .await
        .unwrap();
    assert_eq!(fetched.reference, registry.subject);
    registry.sandbox.set_faults(RegistryFaults {
        wrong_content: true,
        ..RegistryFaults::default()
    });
    let pinned = registry
        .server
        .image(&format!("@{}", registry.image.digest));
    let error = client().resolve(&pinned).await.unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
}

#[tokio::test]
async fn cve_2023_33959_a_tag_that_moves_does_not_move_what_was_resolved() {
    let registry = Registry::start(RegistryMode::default()).await;
    let client = client();
    let first = client.resolve(&registry.server.image(":v1")).await.unwrap();
    let second = put_image(&registry.sandbox, "v1", b"files of another version");
    let again = client
        .resolve(&first.reference.clone().into())
        .await
        .unwrap();
    assert_eq!(again.reference, first.reference);
    let moved = client.resolve(&registry.server.image(":v1")).await.unwrap();
    assert_eq!(moved.reference.digest(), second.digest);

    // A registry that serves the tag's new content for the old digest.
    let new = moved.bytes.clone();
    let swapped = Server::start(Router::new().fallback(move || async move { new })).await;
    let error = client
        .resolve(&swapped.image(&format!("@{}", registry.image.digest)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
}

#[tokio::test]
async fn sizes_are_as_described() {
    let registry = Registry::start(RegistryMode::default()).await;
    let repository = registry.server.repository();
    for size in [registry.image.size - 1, registry.image.size + 1] {
        let described = Descriptor {
            size,
            ..registry.image.clone()
        };
        let error = client()
            .manifest(&repository, &described)
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-size-mismatch", Exit::ContentMismatch)
        );
    }
    let big = vec![b'x'; 100_000];
    registry.sandbox.put_blob(REPOSITORY, big.clone()).unwrap();
    for size in [10_000, 99_999, 100_001] {
        let described = Descriptor {
            size,
            ..Descriptor::of("x/y", &big)
        };
        let error = client()
            .blob(&repository, &described, 1 << 20)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "registry-size-mismatch", "{size}");
    }
}

#[tokio::test]
async fn cve_2024_3727_malformed_digests_go_nowhere() {
    for bad in [
        "sha256:../../x",
        "sha256:00",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "x",
    ] {
        let registry = Registry::behind(RegistryMode::default(), move |router| {
            altered(router, move |_, path, mut reply| {
                let digest = HeaderValue::from_str(bad).unwrap();
                reply.headers_mut().insert("docker-content-digest", digest);
                if path.contains("/referrers/") {
                    let entry = |digest: &str| {
                        serde_json::json!({"mediaType": OCI_MANIFEST, "size": 2, "digest": digest})
                    };
                    let good = format!("sha256:{}", "0".repeat(64));
                    let list = serde_json::json!({"manifests": [entry(bad), entry(&good)]});
                    return list.to_string().into_response();
                }
                reply
            })
        })
        .await;
        let error = client()
            .resolve(&registry.server.image(":v1"))
            .await
            .unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("service-bad-reply", Exit::BadReply),
            "{bad}"
        );
        // A stranger's rubbish in the list hides nothing.
        let listed = client().referrers(&registry.subject, None).await.unwrap();
        assert_eq!(
            (listed.descriptors.len(), listed.malformed),
            (1, 1),
            "{bad}"
        );
    }
    let registry = Registry::start(RegistryMode::default()).await;
    let layers = r#"[{"mediaType":"a/b","size":1,"digest":"sha256:../../x"}]"#;
    let config = serde_json::to_string(&empty_config()).unwrap();
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":{layers}}}"#);
    registry
        .sandbox
        .put_manifest(REPOSITORY, Some("bad"), OCI_MANIFEST, manifest)
        .unwrap();
    let error = client()
        .resolve(&registry.server.image(":bad"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-document-unusable", Exit::Malformed)
    );
}

#[tokio::test]
async fn a_registry_that_stored_something_else_is_told() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |method, _, mut reply| {
            if method == "PUT" {
                let other = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
                reply.headers_mut().insert("docker-content-digest", other);
            }
            reply
        })
    })
    .await;
    let repository = registry.server.repository();
    let attachment = attachment(&registry.image, 1);
    let error = client()
        .upload_blob(&repository, attachment.layer)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
    let error = client()
        .push_manifest(&repository, &attachment.manifest)
        .await
        .unwrap_err();
    // The blob arrived all the same, and the config is missing: the registry refuses by itself.
    assert_eq!(error.code(), "registry-object-missing");
    registry.sandbox.put_blob(REPOSITORY, "{}").unwrap();
    let error = client()
        .push_manifest(&repository, &attachment.manifest)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
}

// More than anybody wants to read.

/// Answers the first request on a connection with raw bytes, then `more` for ever if there are any.
async fn raw_server(head: String, more: &'static [u8]) -> (String, Arc<AtomicU32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let sent = Arc::new(AtomicU32::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let (head, count) = (head.clone(), count.clone());
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(head.as_bytes()).await;
                while !more.is_empty() && socket.write_all(more).await.is_ok() {
                    count.fetch_add(more.len() as u32, Ordering::SeqCst);
                }
            });
        }
    });
    (host, sent)
}

static MEGABYTE: [u8; 1 << 20] = [b' '; 1 << 20];

#[tokio::test]
async fn cve_2024_29902_cve_2023_25656_giant_replies_are_cut_off() {
    let image = |host: &str| format!("{host}/{REPOSITORY}:v1").parse().unwrap();
    // An honest length beyond the cap: nothing of the body is read.
    let honest = "HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n".to_owned();
    // No length: read up to the cap.
    let none = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned();
    for head in [honest, none] {
        let (host, sent) = raw_server(head.clone(), &MEGABYTE).await;
        let started = Instant::now();
        let error = client().resolve(&image(&host)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-object-too-large", Exit::BadReply)
        );
        assert!(started.elapsed() < Duration::from_secs(10));
        // The cap, and what fits the sockets' buffers.
        assert!(sent.load(Ordering::SeqCst) < 32 << 20, "{head}");
    }
    // It is refused by its announcement: here nothing would ever come.
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n".to_owned();
    let (host, _) = raw_server(announced, b"").await;
    let error = client().resolve(&image(&host)).await.unwrap_err();
    assert_eq!(error.code(), "registry-object-too-large");
    // A length that lies low: what is beyond it is not part of the reply, and the rest has no digest.
    let config = serde_json::to_string(&empty_config()).unwrap();
    let manifest = format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[]}}");
    let digest = keyless::crypto::Digest::sha256(format!("{manifest} ").as_bytes());
    let low = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{manifest}",
        manifest.len()
    );
    let (host, _) = raw_server(low, &MEGABYTE).await;
    let pinned = format!("{host}/{REPOSITORY}@{digest}").parse().unwrap();
    let error = client().resolve(&pinned).await.unwrap_err();
    assert_eq!(error.code(), "registry-digest-mismatch");
    // A length that lies high: the reply never ends, and the time limit does it.
    let high = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{manifest}");
    let (host, _) = raw_server(high, b"").await;
    let error = client().resolve(&image(&host)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-unreachable", Exit::Unreachable)
    );
}

#[tokio::test]
async fn cve_2024_29902_a_described_giant_is_not_asked_for() {
    let registry = Registry::start(RegistryMode::default()).await;
    let client = client();
    let repository = registry.server.repository();
    let giant = Descriptor {
        size: 300 << 20,
        ..Descriptor::of(BUNDLE_ARTIFACT_TYPE, b"")
    };
    let limit = client.options().limits.bundle;
    for error in [
        client.blob(&repository, &giant, limit).await.unwrap_err(),
        client.manifest(&repository, &giant).await.unwrap_err(),
    ] {
        assert_eq!(
            (error.code(), error.exit()),
            ("registry-object-too-large", Exit::BadReply)
        );
    }
    assert!(registry.paths().is_empty());
}

#[tokio::test]
async fn cve_2024_29903_a_manifest_with_a_million_layers_is_refused() {
    let registry = Registry::start(RegistryMode::default()).await;
    let layer = serde_json::to_string(&Descriptor::of("a/b", b"")).unwrap();
    let config = serde_json::to_string(&empty_config()).unwrap();
    let many = vec![layer.as_str(); (4 << 20) / (layer.len() + 1) - 10].join(",");
    let manifest = format!("{{\"config\":{config},\"layers\":[{many}]}}");
    registry
        .sandbox
        .put_manifest(REPOSITORY, Some("many"), OCI_MANIFEST, manifest)
        .unwrap();
    let error = client()
        .resolve(&registry.server.image(":many"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-document-unusable");
    assert!(format!("{:?}", error.details()).contains("more than 1000 entries"));
}

/// A page of `count` referrers that have never been there before.
fn page(start: usize, count: usize) -> String {
    let entries: Vec<_> = (start..start + count)
        .map(|n| Descriptor {
            artifact_type: Some("application/x".to_owned()),
            ..Descriptor::of(OCI_MANIFEST, n.to_string().as_bytes())
        })
        .collect();
    serde_json::json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        .to_string()
}

fn endless(per_page: usize, pages: Option<usize>) -> (Router, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let router = Router::new().fallback(move || {
        let number = count.fetch_add(1, Ordering::SeqCst) as usize;
        async move {
            let mut reply = Response::new(Body::from(page(number * per_page, per_page)));
            if pages.is_none_or(|pages| number + 1 < pages) {
                let link = format!("</v2/{REPOSITORY}/referrers/x?{number}>; rel=next");
                reply
                    .headers_mut()
                    .insert(header::LINK, link.parse().unwrap());
            }
            reply
        }
    });
    (router, asked)
}

#[tokio::test]
async fn cve_2023_46737_a_hundred_thousand_referrers_are_cut_and_said_to_be() {
    let (router, asked) = endless(100, Some(1000));
    let server = Server::start(router).await;
    let started = Instant::now();
    let listed = client()
        .referrers(&subject_on(&server), None)
        .await
        .unwrap();
    assert_eq!(listed.descriptors.len(), 10_000);
    let error = listed.too_many().unwrap();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-too-many", Exit::BadReply)
    );
    let told = ("cap", "--max-referrers 10000".to_owned());
    assert!(error.details().contains(&told), "{:?}", error.details());
    assert!(asked.load(Ordering::SeqCst) <= 101);
    assert!(started.elapsed() < Duration::from_secs(10));

    // The same number in one reply is larger than a list may be.
    let (router, _) = endless(100_000, Some(1));
    let server = Server::start(router).await;
    let error = client()
        .referrers(&subject_on(&server), None)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "registry-object-too-large");
}

#[tokio::test]
async fn cve_2023_2253_cve_2025_24976_cve_2026_35172_endless_pages_end() {
    for per_page in [0, 1] {
        let (router, asked) = endless(per_page, None);
        let server = Server::start(router).await;
        let listed = client()
            .referrers(&subject_on(&server), None)
            .await
            .unwrap();
        assert_eq!(listed.too_many().unwrap().code(), "registry-too-many");
        assert_eq!(asked.load(Ordering::SeqCst), 200);
    }
}

#[tokio::test]
async fn junk_around_a_good_signature_does_not_hide_it() {
    let registry = Registry::start(RegistryMode::default()).await;
    registry.put_signatures(1);
    for number in 0..500 {
        let junk = attachment(&registry.image, 1000 + number).manifest.bytes;
        registry
            .sandbox
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, junk)
            .unwrap();
    }
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors.len(), 501);
    assert!(listed.too_many().is_none());
}

fn subject_on(server: &Server) -> keyless::net::registry::DigestReference {
    let digest = keyless::crypto::Digest::sha256(b"image");
    keyless::net::registry::DigestReference::new(server.repository(), digest)
}
