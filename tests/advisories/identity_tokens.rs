//! Identity tokens: judged before they are spent, and shown to nobody but the certificate authority.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode};
use keyless::sandbox::{Service, TokenRequest};
use serde_json::Value;

use crate::support::{IDENTITY, OwnRegistry, World, answering, serve};

/// What a host was sent, headers and body.
type Notes = Arc<Mutex<Vec<String>>>;

/// Serves a host that takes notes and passes everything on.
fn noting(world: &World, before: &str, notes: &Notes) -> String {
    let (target, notes) = (before.to_owned(), notes.clone());
    let router = Router::new().fallback(move |request: Request| {
        let (target, notes) = (target.clone(), notes.clone());
        async move {
            let (mut parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 8 << 20).await.unwrap();
            let text = String::from_utf8_lossy(&body);
            let note = format!("{} {} {:?} {text}", parts.method, parts.uri, parts.headers);
            notes.lock().unwrap().push(note);
            parts.headers.remove(header::HOST);
            let reply = reqwest::Client::new()
                .request(parts.method, format!("http://{target}{}", parts.uri))
                .headers(parts.headers)
                .body(body)
                .send()
                .await
                .unwrap();
            let (status, mut headers) = (reply.status(), reply.headers().clone());
            headers.remove(header::CONTENT_LENGTH);
            headers.remove(header::TRANSFER_ENCODING);
            (status, headers, reply.bytes().await.unwrap()).into_response()
        }
    });
    serve(world, router)
}

/// The sandbox's signing config with the host of a service replaced by what `change` makes of it; its file.
fn signing_config(world: &World, change: impl Fn(&str, &str) -> String) -> String {
    let file = world.sandbox.files().join("signing_config.v0.2.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for service in ["caUrls", "rekorTlogUrls", "tsaUrls"] {
        let url = &mut config[service][0]["url"];
        let mut parsed: url::Url = url.as_str().unwrap().parse().unwrap();
        let host = format!("{}:{}", parsed.host_str().unwrap(), parsed.port().unwrap());
        let host = change(service, &host);
        let (name, port) = host.split_once(':').unwrap();
        parsed.set_host(Some(name)).unwrap();
        parsed.set_port(Some(port.parse().unwrap())).unwrap();
        *url = parsed.to_string().into();
    }
    let path = world.path_elsewhere("signing_config.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn cve_2026_48501_no_service_gets_anothers_token() {
    let world = World::new();
    let account = Account {
        username: "ann".to_owned(),
        password: "hunter2-of-the-registry".to_owned(),
    };
    let basic = base64::engine::general_purpose::STANDARD
        .encode(format!("{}:{}", account.username, account.password));
    let registry = OwnRegistry::start(
        &world,
        RegistryMode {
            access: AccessMode::Basic(account),
            ..RegistryMode::default()
        },
    );
    let docker = world.path_elsewhere("docker");
    std::fs::create_dir(&docker).unwrap();
    let auths = serde_json::json!({ "auths": { &registry.host: { "auth": &basic } } });
    std::fs::write(docker.join("config.json"), auths.to_string()).unwrap();
    let (fulcio, others) = (Notes::default(), Notes::default());
    let config = signing_config(&world, |service, host| {
        let notes = if service == "caUrls" {
            &fulcio
        } else {
            &others
        };
        noting(&world, host, notes)
    });
    let token = world.token(&TokenRequest::new(IDENTITY));
    let image = registry.image("v1").by_digest();
    world
        .keyless("sign --signing-config")
        .args([&config, "--identity-token", &token, &image])
        .env("DOCKER_CONFIG", docker.to_str().unwrap())
        .run()
        .exits(0);
    let (fulcio, others) = (fulcio.lock().unwrap(), others.lock().unwrap());
    assert!(fulcio.iter().any(|note| note.contains(&token)));
    assert_eq!(others.len(), 2, "the log and the timestamp authority");
    for note in others.iter() {
        assert!(!note.contains(&token), "{note}");
        assert!(
            !note.to_ascii_lowercase().contains("authorization"),
            "{note}"
        );
    }
    for note in fulcio.iter().chain(others.iter()) {
        assert!(
            !note.contains(&basic) && !note.contains("hunter2"),
            "{note}"
        );
    }
    let requests = registry.registry.requests();
    let shown: Vec<_> = requests
        .iter()
        .filter_map(|r| r.authorization.as_ref())
        .collect();
    assert!(!shown.is_empty(), "the registry got its own");
}

#[test]
fn cve_2026_49478_a_token_follows_no_redirect() {
    let world = World::new();
    world.write("file", "content");
    let notes = Notes::default();
    let kept = notes.clone();
    let stranger = answering(&world, move |request| {
        kept.lock().unwrap().push(format!("{request:?}"));
        StatusCode::OK.into_response()
    });
    let to = format!("http://{stranger}/elsewhere");
    for status in [StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT] {
        let to = to.clone();
        let redirecting = answering(&world, move |_| {
            (status, [(header::LOCATION, to.clone())]).into_response()
        });
        // The certificate authority, which gets the identity token.
        let config = signing_config(&world, |service, host| match service {
            "caUrls" => redirecting.clone(),
            _ => host.to_owned(),
        });
        world
            .keyless("sign-blob file --output json --signing-config")
            .arg(&config)
            .run()
            .fails(42, "service-status-unexpected");
        // GitHub's token service, which gets the runner's.
        world
            .keyless("sign-blob file --output json")
            .env_remove("SIGSTORE_ID_TOKEN")
            .env(
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                &format!("http://{redirecting}/token"),
            )
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "runner-secret-0123456789")
            .run()
            .fails(42, "service-status-unexpected");
    }
    assert!(notes.lock().unwrap().is_empty());
    assert_eq!(world.files(), ["file"]);
}

#[test]
fn cve_2025_66506_a_giant_token_is_not_parsed() {
    let world = World::new();
    world.write("file", "content");
    let giant = "a".repeat(100_000);
    let dots = ".".repeat(60_000);
    let parts = format!(
        "{}.{}.{}",
        "a".repeat(30_000),
        "b".repeat(30_000),
        "c".repeat(30_000)
    );
    for token in [&giant, &dots, &parts] {
        let started = Instant::now();
        world
            .keyless("sign-blob file --output json")
            .env("SIGSTORE_ID_TOKEN", token)
            .run()
            .fails(14, "identity-token-malformed");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    let good = world.token(&TokenRequest::new(IDENTITY));
    let (head, rest) = good.split_once('.').unwrap();
    let long = format!("{head}{}.{rest}", "A".repeat(64 * 1024));
    world
        .keyless("sign-blob file --output json")
        .env("SIGSTORE_ID_TOKEN", &long)
        .run()
        .fails(14, "identity-token-malformed")
        .says("64 KiB");
    assert_eq!(world.count(Service::Fulcio), 0);
}
