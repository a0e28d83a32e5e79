//! Hosts that a registry leads to, by every way the protocol has: none of them gets credentials, whatever kind they
//! are. Tests with an advisory's id in their name replay it, each in more ways than it tells of.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use keyless::crypto::Secret;
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::format::oci::{Descriptor, OCI_MANIFEST};
use keyless::host::registry_auth::{Credential, RegistryAuth};
use keyless::net::registry::{RegistryClient, Repository};
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode};

use crate::support::*;

/// Everything that is secret here, as it would travel: the password as text and in `Basic`, the refresh token, and the
/// beginning of every token that is bought.
const SECRETS: [&str; 5] = [
    "authorization",
    "hunter2",
    "yw5uomh1bnrlcji",
    "refresh-me",
    "ready-made",
];

#[track_caller]
fn assert_nothing_secret(stranger: &Stranger) {
    for note in stranger.notes() {
        let everything = note.everything.to_ascii_lowercase();
        for secret in SECRETS {
            assert!(!everything.contains(secret), "{secret}: {note:?}");
        }
    }
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// Each kind of credential, and a registry that wants it.
fn kinds() -> Vec<(Credential, AccessMode)> {
    let account = Account {
        username: "ann".to_owned(),
        password: "hunter2".to_owned(),
    };
    let bearer = AccessMode::Bearer {
        account: account.clone(),
        refresh_token: Some("refresh-me".to_owned()),
        anonymous_pull: false,
        life: Duration::from_secs(60),
    };
    let password = Credential::Basic {
        username: "ann".to_owned(),
        password: secret("hunter2"),
    };
    vec![
        (password.clone(), AccessMode::Basic(account)),
        (password, bearer.clone()),
        (Credential::IdentityToken(secret("refresh-me")), bearer),
    ]
}

fn mode(access: &AccessMode) -> RegistryMode {
    RegistryMode {
        access: access.clone(),
        ..RegistryMode::default()
    }
}

fn client_of(credential: &Credential) -> RegistryClient {
    client_with(RegistryAuth::explicit(credential.clone()))
}

fn lead(status: u16, to: &str) -> Response {
    let to = HeaderValue::from_str(to).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::LOCATION, to)]).into_response()
}

/// Whether a request was let in: only then does the registry show its other face.
fn is_in(reply: &Response) -> bool {
    reply.status() != StatusCode::UNAUTHORIZED
}

/// Redirects of every status, to another port, another name, and with a user in the URL.
#[tokio::test]
async fn ghsa_vh4v_2xq2_g5cg_no_redirect_takes_credentials_along() {
    let stranger = Stranger::start(|| StatusCode::NOT_FOUND).await;
    let places = [
        format!("http://{}/there", stranger.server.host),
        format!("http://{}/there", stranger.server.localhost()),
        format!("http://ann:hunter2@{}/there", stranger.server.localhost()),
    ];
    for (credential, access) in kinds() {
        for (number, status) in [301, 302, 303, 307, 308].into_iter().enumerate() {
            let to = places[number % places.len()].clone();
            let registry = Registry::behind(mode(&access), move |router| {
                altered(router, move |_, path, reply| match is_in(&reply) {
                    true if !path.starts_with("/token") => lead(status, &to),
                    _ => reply,
                })
            })
            .await;
            let client = client_of(&credential);
            let repository = registry.server.repository();
            let before = stranger.notes().len();
            assert!(client.resolve(&registry.server.image(":v1")).await.is_err());
            let layer = Descriptor::of("x/y", b"files of version one");
            assert!(client.blob(&repository, &layer, 100).await.is_err());
            let _ = client.referrers(&registry.subject, None).await;
            assert!(
                stranger.notes().len() >= before + 3,
                "the redirects were followed"
            );
            // The registry itself was shown them: the test would pass for nothing otherwise.
            let sent = registry.sandbox.requests();
            assert!(sent.iter().any(|r| r.authorization.is_some()));
        }
    }
    assert_nothing_secret(&stranger);
}

/// What is written is written where it was meant to go.
#[tokio::test]
async fn ghsa_vh4v_2xq2_g5cg_no_write_is_redirected() {
    let stranger = Stranger::start(|| StatusCode::CREATED).await;
    let to = format!("http://{}/there", stranger.server.localhost());
    for (credential, access) in kinds() {
        let there = to.clone();
        let registry = Registry::behind(mode(&access), move |router| {
            altered(router, move |method, path, reply| {
                let writes = method == "PUT" || method == "POST";
                match writes && is_in(&reply) && !path.starts_with("/token") {
                    true => lead(307, &there),
                    false => reply,
                }
            })
        })
        .await;
        let client = client_of(&credential);
        let repository = registry.server.repository();
        let upload = client.upload_blob(&repository, Bytes::from_static(b"bundle"));
        assert_eq!(upload.await.unwrap_err().exit(), Exit::BadReply);
        registry.sandbox.put_blob(REPOSITORY, "{}").unwrap();
        let manifest = attachment(&registry.image, 1).manifest;
        let push = client.push_manifest(&repository, &manifest);
        assert_eq!(push.await.unwrap_err().exit(), Exit::BadReply);
    }
    assert!(stranger.notes().is_empty(), "{:?}", stranger.notes());
}

/// An upload may go on elsewhere, with the content, which is public, and with nothing else.
#[tokio::test]
async fn cve_2026_50151_no_upload_location_takes_credentials_along() {
    let stranger = Stranger::start(|| StatusCode::CREATED).await;
    let mut uploads = 0;
    for host in [stranger.server.host.clone(), stranger.server.localhost()] {
        for user in ["", "ann:hunter2@"] {
            for (credential, access) in kinds() {
                let location = format!("http://{user}{host}/take?session=1");
                let registry = Registry::behind(mode(&access), move |router| {
                    altered(router, move |method, path, reply| {
                        match method == "POST" && is_in(&reply) && !path.starts_with("/token") {
                            true => lead(202, &location),
                            false => reply,
                        }
                    })
                })
                .await;
                let client = client_of(&credential);
                let repository = registry.server.repository();
                let upload = client.upload_blob(&repository, Bytes::from_static(b"bundle"));
                upload.await.unwrap();
                uploads += 1;
            }
        }
    }
    assert_eq!(stranger.notes().len(), uploads);
    assert_nothing_secret(&stranger);
}

/// A realm that is another host's, in every spelling; and a token service of the registry's own that leads away.
#[tokio::test]
async fn cve_2026_48978_cve_2026_33540_cve_2019_10214_no_realm_elsewhere_is_shown_credentials() {
    let stranger = Stranger::start(|| axum::Json(serde_json::json!({"token": "t"}))).await;
    let (host, name) = (stranger.server.host.clone(), stranger.server.localhost());
    let port = host.rsplit_once(':').unwrap().1.to_owned();
    for realm in [
        format!("http://{name}/token"),
        format!("http://{name}/token?service=trusted"),
        format!("http://127.0.0.1@{name}/token"),
        format!("http://ann:hunter2@{name}/token"),
        format!("http://[::ffff:127.0.0.1]:{port}/token"),
        format!("HTTP://LOCALHOST:{port}/token"),
        format!("http://127.0.0.1.localhost.evil.test:{port}/token"),
        format!("https://{name}/token"),
        "/token".to_owned(),
        "token".to_owned(),
        String::new(),
        "file:///etc/passwd".to_owned(),
    ] {
        for (credential, _) in kinds() {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            let registry = Registry::behind(RegistryMode::default(), move |router| {
                altered(router, move |_, _, _| {
                    let challenge = HeaderValue::from_str(&challenge).unwrap();
                    let status = StatusCode::UNAUTHORIZED;
                    (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
                })
            })
            .await;
            let client = client_of(&credential);
            let error = client.resolve(&registry.server.image(":v1")).await;
            let error = error.unwrap_err();
            assert_eq!(
                (error.code(), error.exit()),
                ("registry-realm-foreign", Exit::Denied),
                "{realm}"
            );
        }
    }
    assert!(stranger.notes().is_empty(), "{:?}", stranger.notes());
    // The token service is the registry's own, and leads elsewhere with each status there is.
    for status in [301, 302, 303, 307, 308] {
        for (credential, access) in kinds().into_iter().skip(1) {
            let to = format!("http://{name}/token");
            let registry = Registry::behind(mode(&access), move |router| {
                altered(router, move |_, path, reply| {
                    match path.starts_with("/token") {
                        true => lead(status, &to),
                        false => reply,
                    }
                })
            })
            .await;
            let client = client_of(&credential);
            let error = client.resolve(&registry.server.image(":v1")).await;
            assert_ne!(error.unwrap_err().exit(), Exit::Accepted);
        }
    }
    assert!(stranger.notes().is_empty(), "{:?}", stranger.notes());
}

/// Whom the user trusts by name may have them over HTTPS; the name is compared whole.
#[tokio::test]
async fn a_trusted_realm_is_a_whole_name() {
    let stranger = Stranger::start(|| axum::Json(serde_json::json!({"token": "t"}))).await;
    let realm = format!("http://{}/token", stranger.server.localhost());
    let registry = Registry::behind(RegistryMode::default(), move |router| {
        altered(router, move |_, _, _| {
            let challenge = format!("Bearer realm=\"{realm}\"");
            let challenge = HeaderValue::from_str(&challenge).unwrap();
            let status = StatusCode::UNAUTHORIZED;
            (status, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        })
    })
    .await;
    for trusted in ["localhost", "host", "localhost.test"] {
        let options = keyless::net::registry::RegistryOptions {
            trusted_realms: vec![trusted.to_owned()],
            ..Default::default()
        };
        let auth = RegistryAuth::explicit(kinds()[0].0.clone());
        let client = RegistryClient::new(keyless::net::http::HttpClient::new(), auth, options);
        // Plain HTTP to another host is for nobody, trusted or not.
        let error = client
            .resolve(&registry.server.image(":v1"))
            .await
            .unwrap_err();
        assert_eq!(error.code(), "registry-realm-foreign", "{trusted}");
    }
    assert!(stranger.notes().is_empty());
}

/// Digests that are none, wherever a registry can put them: nothing is asked for by them.
#[tokio::test]
async fn cve_2024_3727_no_digest_that_is_none_becomes_a_path() {
    let hex = "a".repeat(64);
    for bad in [
        "sha256:../../../v2/other/app/manifests/latest".to_owned(),
        format!("sha256:{}", "A".repeat(64)),
        format!("SHA256:{hex}"),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}a"),
        format!("sha256:{}/", &hex[1..]),
        format!("sha256:{}%2e", &hex[3..]),
        format!("sha256: {}", &hex[1..]),
        format!("sha256{hex}"),
        format!("sha512:{hex}"),
        format!("sha1:{}", "a".repeat(40)),
        format!("md5:{}", "a".repeat(32)),
        format!("sha256+b64:{hex}"),
        "sha256:".to_owned(),
        String::new(),
    ] {
        let entry = serde_json::json!({"mediaType": OCI_MANIFEST, "size": 2, "digest": bad});
        let good = Descriptor::of("x/y", b"{}");
        let registry = Registry::start(RegistryMode::default()).await;
        for (name, document) in [
            ("config", serde_json::json!({"config": entry, "layers": []})),
            (
                "layers",
                serde_json::json!({"config": good, "layers": [entry]}),
            ),
            (
                "subject",
                serde_json::json!({"config": good, "layers": [], "subject": entry}),
            ),
            ("manifests", serde_json::json!({"manifests": [entry]})),
        ] {
            let media_type = match name {
                "manifests" => keyless::format::oci::OCI_INDEX,
                _ => OCI_MANIFEST,
            };
            registry
                .sandbox
                .put_manifest(REPOSITORY, Some(name), media_type, document.to_string())
                .unwrap();
            let tag = registry.server.image(&format!(":{name}"));
            let error = client().resolve(&tag).await.unwrap_err();
            assert_eq!(
                (error.code(), error.exit()),
                ("registry-document-unusable", Exit::Malformed),
                "{name} {bad}"
            );
        }
        let asked: Vec<String> = registry.paths();
        assert_eq!(asked.len(), 4, "{asked:?}");
        // In an image reference, as somebody may paste it.
        let reference = format!("{}/{REPOSITORY}@{bad}", registry.server.host);
        let parsed = reference.parse::<keyless::net::registry::ImageReference>();
        assert!(parsed.is_err(), "{reference}");
    }
}

/// A tag that points elsewhere at each request: what was resolved is what is used, and nothing is resolved twice.
#[tokio::test]
async fn a_tag_that_moves_between_two_requests_is_asked_once() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let kept = asked.clone();
    let registry = Registry::behind(RegistryMode::default(), move |router| {
        altered(router, move |_, path, reply| {
            kept.lock().unwrap().push(path.to_owned());
            reply
        })
    })
    .await;
    let client = client();
    let resolved = client.resolve(&registry.server.image(":v1")).await.unwrap();
    put_image(&registry.sandbox, "v1", b"somebody else's files");
    let attachment = attachment(&resolved.descriptor, 1);
    client
        .attach(&resolved.reference, &attachment)
        .await
        .unwrap();
    client.referrers(&resolved.reference, None).await.unwrap();
    let asked = asked.lock().unwrap();
    let by_tag = asked.iter().filter(|path| path.ends_with("/manifests/v1"));
    assert_eq!(by_tag.count(), 1, "{asked:?}");
    assert_eq!(resolved.reference, registry.subject);
}

// Tokens: for one origin and one scope.

fn bearer(anonymous_pull: bool) -> RegistryMode {
    let (_, access) = kinds().remove(1);
    let AccessMode::Bearer { account, life, .. } = access else {
        panic!("the second kind buys tokens");
    };
    RegistryMode {
        access: AccessMode::Bearer {
            account,
            refresh_token: None,
            anonymous_pull,
            life,
        },
        ..RegistryMode::default()
    }
}

#[tokio::test]
async fn a_token_is_for_its_repository() {
    let registry = Registry::start(bearer(false)).await;
    let client = client_of(&kinds()[0].0);
    client.resolve(&registry.server.image(":v1")).await.unwrap();
    registry.sandbox.forget_requests();
    let other: Repository = format!("{}/other/app", registry.server.host)
        .parse()
        .unwrap();
    let image = format!("{other}:v1").parse().unwrap();
    assert_eq!(
        client.resolve(&image).await.unwrap_err().code(),
        "no-such-image"
    );
    let requests = registry.sandbox.requests();
    // The first request to the other repository carries nothing of the first one.
    assert_eq!(requests[0].authorization, None, "{requests:?}");
    let sold: Vec<_> = requests
        .iter()
        .filter(|r| r.path.starts_with("/token"))
        .collect();
    assert_eq!(sold.len(), 1);
    assert!(sold[0].path.contains("other%2Fapp"), "{sold:?}");
}

#[tokio::test]
async fn a_token_is_for_its_origin() {
    let registry = Registry::start(bearer(false)).await;
    let client = client_of(&kinds()[0].0);
    client.resolve(&registry.server.image(":v1")).await.unwrap();
    registry.sandbox.forget_requests();
    // The same machine by another name is another registry.
    let image = format!("{}/{REPOSITORY}:v1", registry.server.localhost());
    client.resolve(&image.parse().unwrap()).await.unwrap();
    let requests = registry.sandbox.requests();
    assert_eq!(requests[0].authorization, None, "{requests:?}");
}

#[tokio::test]
async fn who_may_read_without_a_name_asks_for_more_to_write() {
    let registry = Registry::start(bearer(true)).await;
    let client = client_of(&kinds()[0].0);
    client.resolve(&registry.server.image(":v1")).await.unwrap();
    let attachment = attachment(&registry.image, 1);
    client.attach(&registry.subject, &attachment).await.unwrap();
    let paths = registry.paths();
    let scopes: Vec<_> = paths
        .iter()
        .filter_map(|path| path.split_once("scope=").map(|(_, scope)| scope))
        .collect();
    let pull = "repository%3Ateam%2Fapp%3Apull";
    assert_eq!(scopes, [pull, &format!("{pull}%2Cpush")]);
    // Whoever may write may read: nothing more is bought.
    registry.sandbox.forget_requests();
    client.resolve(&registry.server.image(":v1")).await.unwrap();
    assert_eq!(registry.paths(), ["GET manifests/v1"]);
}

/// 403 is no wish for another token: what may not be written is told, and the password is not shown again and again.
#[tokio::test]
async fn a_registry_that_forbids_is_believed() {
    let registry = Registry::behind(bearer(true), |router| {
        altered(router, |method, _, reply| match method {
            "POST" if is_in(&reply) => StatusCode::FORBIDDEN.into_response(),
            _ => reply,
        })
    })
    .await;
    let client = client_of(&kinds()[0].0);
    let repository = registry.server.repository();
    let upload = client.upload_blob(&repository, Bytes::from_static(b"x"));
    let error = upload.await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("registry-denied", Exit::Denied)
    );
    let sold = registry
        .paths()
        .iter()
        .filter(|p| p.contains("/token"))
        .count();
    assert_eq!(sold, 1);
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_is_replaced_where_it_is_needed() {
    let mut mode = bearer(false);
    if let AccessMode::Bearer { life, .. } = &mut mode.access {
        *life = Duration::from_millis(700);
    }
    let registry = Registry::start(mode).await;
    let client = client_of(&kinds()[0].0);
    for number in 0..4 {
        let attachment = attachment(&registry.image, number);
        client.attach(&registry.subject, &attachment).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let listed = client.referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors.len(), 4);
}

#[tokio::test]
async fn a_token_service_that_asks_to_slow_down_is_waited_for() {
    let asked = Arc::new(Mutex::new(0));
    let count = asked.clone();
    let registry = Registry::behind(bearer(false), move |router| {
        altered(router, move |_, path, reply| {
            if path.starts_with("/token") {
                let mut count = count.lock().unwrap();
                *count += 1;
                if *count == 1 {
                    let slow = [(header::RETRY_AFTER, "1")];
                    return (StatusCode::TOO_MANY_REQUESTS, slow).into_response();
                }
            }
            reply
        })
    })
    .await;
    let client = client_of(&kinds()[0].0);
    let started = std::time::Instant::now();
    client.resolve(&registry.server.image(":v1")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(*asked.lock().unwrap(), 2);
}

// Lists.

/// A filter of the server is used and not believed: what it leaves in is listed, and a list without it is whole.
#[tokio::test]
async fn a_filter_that_lies_hides_nothing_from_who_does_not_ask_for_it() {
    let registry = Registry::behind(RegistryMode::default(), |router| {
        altered(router, |_, path, reply| {
            match path.contains("artifactType=") {
                // Says that it filtered, and lists nothing.
                true => (
                    [("oci-filters-applied", "artifactType")],
                    r#"{"schemaVersion":2,"manifests":[]}"#,
                )
                    .into_response(),
                false => reply,
            }
        })
    })
    .await;
    registry.put_signatures(3);
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert_eq!(listed.descriptors.len(), 3);
    assert!(
        registry
            .paths()
            .iter()
            .all(|path| !path.contains("artifactType"))
    );
}

/// A thousand referrers of no use, then the good one, in pages of fifty: it is in the list.
#[tokio::test]
async fn a_thousand_before_the_good_one_do_not_hide_it() {
    let registry = Registry::start(RegistryMode {
        page_size: Some(50),
        ..RegistryMode::default()
    })
    .await;
    registry.sandbox.put_blob(REPOSITORY, "{}").unwrap();
    for number in 0..1000 {
        let junk = attachment(&registry.image, 10_000 + number).manifest.bytes;
        registry
            .sandbox
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, junk)
            .unwrap();
    }
    let good = attachment(&registry.image, 1);
    client().attach(&registry.subject, &good).await.unwrap();
    let listed = client().referrers(&registry.subject, None).await.unwrap();
    assert!(listed.too_many().is_none());
    assert_eq!(listed.descriptors.len(), 1001);
    let digest = good.manifest.descriptor.digest;
    assert_eq!(listed.descriptors.last().unwrap().digest, digest);
}

/// The list's memory has a cap whatever it is made of: entries that are rubbish, and descriptors of the costliest kind.
#[tokio::test]
async fn a_list_takes_so_much_memory_and_no_more() {
    let shortest = format!("{{\"manifests\":[{}]}}", vec!["1"; 2_000_000].join(","));
    let costly = |number: usize| {
        let mut entry = Descriptor::of(OCI_MANIFEST, number.to_string().as_bytes());
        entry.annotations = (0..250).map(|n| (n.to_string(), String::new())).collect();
        entry
    };
    let costly: Vec<_> = (0..1000).map(costly).collect();
    let costly = serde_json::json!({ "manifests": costly }).to_string();
    for (page, cap) in [
        (shortest, "--max-referrers"),
        (costly, "--max-referrers-size"),
    ] {
        assert!(page.len() < 4 << 20);
        let page = Bytes::from(page);
        let answer = move || {
            let page = page.clone();
            async move { page }
        };
        let server = Server::start(axum::Router::new().fallback(answer)).await;
        let digest = keyless::crypto::Digest::sha256(b"image");
        let subject = keyless::net::registry::DigestReference::new(server.repository(), digest);
        let listed = client().referrers(&subject, None).await.unwrap();
        let error = listed.too_many().unwrap();
        let told = error
            .details()
            .iter()
            .any(|(_, value)| value.starts_with(&format!("{cap} ")));
        assert!(told, "{:?}", error.details());
        let bytes: usize = listed.descriptors.iter().map(Descriptor::footprint).sum();
        assert!(bytes <= 12 << 20, "{bytes}");
    }
}

/// Signatures kept elsewhere are listed and written there, and the image's own repository is left alone.
#[tokio::test]
async fn another_repository_for_signatures_is_used_for_all_of_it() {
    for mode in [RegistryMode::default(), RegistryMode::without_referrers()] {
        let registry = Registry::start(mode).await;
        let elsewhere: Repository = format!("{}/signatures", registry.server.host)
            .parse()
            .unwrap();
        let there = elsewhere.clone();
        let client = client_that(move |options| options.signature_repository = Some(there));
        let attachment = attachment(&registry.image, 1);
        client.attach(&registry.subject, &attachment).await.unwrap();
        client.attach(&registry.subject, &attachment).await.unwrap();
        let listed = client.referrers(&registry.subject, None).await.unwrap();
        assert_eq!(listed.descriptors, [attachment.manifest.descriptor]);
        let own = registry.server.repository();
        assert_eq!(client.signatures_of(&own), elsewhere);
        assert_eq!(crate::support::client().signatures_of(&own), own);
        let requests = registry.sandbox.requests();
        assert!(
            requests
                .iter()
                .all(|r| r.path.starts_with("/v2/signatures/")),
            "{requests:?}"
        );
    }
}
