//! Identity tokens: where they come from, and that a useless one is found out before anybody is asked for
//! a certificate.

use axum::response::IntoResponse as _;
use keyless::sandbox::{Service, TokenRequest};
use serde_json::{Value, json};

use crate::support::{IDENTITY, World, answering};

fn request(change: impl FnOnce(&mut TokenRequest)) -> TokenRequest {
    let mut request = TokenRequest::new(IDENTITY);
    change(&mut request);
    request
}

/// Signs a file with a token and asserts that it is refused before any service is asked.
fn refused_token(world: &World, token: &str, code: &str) {
    let image = world.image("v1");
    let run = world
        .keyless("sign --output json --identity-token")
        .args([token, &image.by_digest()])
        .run()
        .fails(14, code);
    assert_eq!(
        run.json()["error"]["details"].as_array().unwrap().last(),
        Some(&json!({ "name": "while", "value": "getting an identity token" }))
    );
    world.write("file", "content");
    world
        .keyless("sign-blob file --output json --identity-token")
        .arg(token)
        .run()
        .fails(14, code);
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.counts().rekor(), 0);
    assert_eq!(world.files(), ["file"]);
}

#[test]
fn wrong_audience() {
    let world = World::new();
    let token = world.token(&request(|r| r.audience = "somebody-else".to_owned()));
    refused_token(&world, &token, "identity-token-audience");
}

#[test]
fn expired() {
    let world = World::new();
    let token = world.token(&request(|r| r.expires_in = -5));
    refused_token(&world, &token, "identity-token-expired");
}

#[test]
fn not_yet_valid() {
    let world = World::new();
    let token = world.token(&request(|r| {
        r.claims.insert("nbf".to_owned(), json!(4_000_000_000_i64));
    }));
    refused_token(&world, &token, "identity-token-not-yet-valid");
}

#[test]
fn address_not_verified() {
    let world = World::new();
    let token = world.token(&request(|r| {
        r.claims.insert("email_verified".to_owned(), json!(false));
    }));
    refused_token(&world, &token, "identity-token-email-not-verified");
}

#[test]
fn without_identity_or_expiry() {
    for claim in ["email", "exp", "iss", "aud"] {
        let world = World::new();
        let token = world.token(&request(|r| {
            r.claims.insert(claim.to_owned(), Value::Null);
            r.claims.insert("sub".to_owned(), Value::Null);
        }));
        refused_token(&world, &token, "identity-token-malformed");
    }
}

#[test]
fn malformed() {
    let world = World::new();
    let good = world.token(&request(|_| ()));
    let (head, _) = good.rsplit_once('.').unwrap();
    let claims = head.split_once('.').unwrap().1;
    for token in [
        "not-a-token-and-no-file",
        head,
        &format!("{good}.more"),
        &format!("x.{claims}.y"),
        "a.b.c",
        "-x",
    ] {
        refused_token(&world, token, "identity-token-malformed");
    }
}

#[test]
fn a_broken_token_is_not_shown() {
    let world = World::new();
    let good = world.token(&request(|_| ()));
    world.write("file", "content");
    for token in [format!("{good}.{good}"), good[1..].to_owned()] {
        world
            .keyless("sign-blob file --identity-token")
            .arg(token)
            .run()
            .exits(14);
    }
    assert_eq!(world.count(Service::Fulcio), 0);
}

#[test]
fn missing_lists_the_ways() {
    let world = World::new();
    world.write("file", "content");
    let run = world
        .keyless("sign-blob file --output json")
        .env_remove("SIGSTORE_ID_TOKEN")
        .run()
        .fails(14, "identity-token-missing");
    for way in [
        "--identity-token",
        "SIGSTORE_ID_TOKEN",
        "id-token: write",
        "keyless sandbox run",
    ] {
        assert!(run.stderr.contains(way), "{way}: {run:#?}");
    }
    // An empty variable is none.
    world
        .keyless("sign-blob file --output json")
        .env("SIGSTORE_ID_TOKEN", "")
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", "")
        .run()
        .fails(14, "identity-token-missing");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.files(), ["file"]);
}

#[test]
fn missing_on_github_names_the_permission() {
    let world = World::new();
    world.write("file", "content");
    world
        .keyless("sign-blob file")
        .env_remove("SIGSTORE_ID_TOKEN")
        .env("GITHUB_ACTIONS", "true")
        .run()
        .exits(14)
        .says("hint: this is GitHub Actions");
}

#[test]
fn from_the_environment() {
    let world = World::new();
    world.write("file", "content");
    world
        .keyless("sign-blob file")
        .run()
        .exits(0)
        .shows(IDENTITY);
}

#[test]
fn from_the_argument_file_or_standard_input() {
    let world = World::new();
    let token = world.token(&TokenRequest::new("ann@example.test"));
    let file = world.path_elsewhere("token.txt");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    for given in [token.as_str(), file.to_str().unwrap(), "-"] {
        world.write("file", "content");
        world
            .keyless("sign-blob file --overwrite --identity-token")
            .arg(given)
            // What is given goes before what is in the environment.
            .stdin(format!("{token}\n"))
            .run()
            .exits(0)
            .shows("ann@example.test");
    }
    assert_eq!(world.count(Service::Fulcio), 3);
}

#[test]
fn a_token_file_has_a_bound() {
    let world = World::new();
    world.write("file", "content");
    world.write("token.txt", vec![b'a'; 70_000]);
    world
        .keyless("sign-blob file --output json --identity-token token.txt")
        .run()
        .fails(3, "file-too-large");
    assert_eq!(world.count(Service::Fulcio), 0);
}

#[test]
fn standard_input_is_read_once() {
    let world = World::new();
    world
        .keyless("sign-blob - --bundle b --identity-token - --output json")
        .stdin("content")
        .run()
        .fails(2, "usage-conflict");
    assert_eq!(world.count(Service::Fulcio), 0);
}

/// Answers as GitHub's token service does, to who brings the bearer.
fn github(world: &World, token: &str, bearer: &'static str) -> String {
    let token = token.to_owned();
    answering(world, move |request| {
        let authorization = request.headers().get("authorization");
        let authorized = authorization
            .is_some_and(|value| value.as_bytes() == format!("bearer {bearer}").as_bytes());
        let query = request.uri().query().unwrap_or_default();
        match authorized && query == "api-version=2.0&audience=sigstore" {
            true => axum::Json(json!({ "value": token })).into_response(),
            false => axum::http::StatusCode::UNAUTHORIZED.into_response(),
        }
    })
}

#[test]
fn from_github_actions() {
    let world = World::new();
    let workflow = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    let token = world.token(&TokenRequest::new(workflow));
    let bearer = "runner-secret-0123456789";
    world.keep_secret(bearer);
    let host = github(&world, &token, bearer);
    world.write("file", "content");
    let github = |bearer: &str| {
        world
            .keyless("sign-blob file --overwrite --output json")
            .env_remove("SIGSTORE_ID_TOKEN")
            .env("GITHUB_ACTIONS", "true")
            .env(
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                &format!("http://{host}/token?api-version=2.0"),
            )
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", bearer)
    };
    let run = github(bearer).run().exits(0);
    let signer = &run.json()["blobs"][0]["signature"]["signer"];
    assert_eq!(signer["identity"], workflow);
    github("wrong")
        .run()
        .fails(44, "service-denied")
        .says("id-token: write");
    assert_eq!(world.count(Service::Fulcio), 1);
    world
        .keyless("verify-blob file")
        .args(world.expecting_of(workflow))
        .run()
        .exits(0);
}

#[test]
fn rubbish_from_github_actions_is_refused() {
    let world = World::new();
    world.write("file", "content");
    let sign = |url: &str| {
        world
            .keyless("sign-blob file --output json")
            .env_remove("SIGSTORE_ID_TOKEN")
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
            .run()
    };
    let host = answering(&world, |_| "<html>".into_response());
    sign(&format!("http://{host}/")).fails(42, "service-bad-reply");
    let host = answering(&world, |_| {
        axum::Json(json!({ "value": "rubbish" })).into_response()
    });
    sign(&format!("http://{host}/")).fails(14, "identity-token-malformed");
    sign("no address").fails(42, "service-bad-reply");
    assert_eq!(world.count(Service::Fulcio), 0);
}
