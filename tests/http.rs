//! The HTTP layer over loopback sockets: bounds, repeats, redirects, and what is never sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request as Asked;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use keyless::diagnostic::{Diagnostic as _, Exit};
use keyless::net::http::{Backoff, HttpClient, Method, Request, RetryPolicy};
use url::Url;

/// Serves one answer to everything, given how often it was asked before.
async fn server<R: IntoResponse>(
    answer: impl Fn(u32, Asked) -> R + Clone + Send + Sync + 'static,
) -> (Url, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let router = Router::new().fallback(move |request: Asked| {
        let before = count.fetch_add(1, Ordering::SeqCst);
        let response: Response = answer(before, request).into_response();
        async move { response }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url.parse().unwrap(), asked)
}

fn get(url: &Url) -> Request {
    Request::get("service", url.clone())
}

const QUICK: Backoff = Backoff {
    attempts: 3,
    deadline: Duration::from_secs(5),
};

#[tokio::test]
async fn only_what_is_safe_is_sent_again() {
    let client = HttpClient::new();
    for (method, retry, attempts) in [
        (Method::GET, RetryPolicy::Idempotent(QUICK), 3),
        (Method::PUT, RetryPolicy::Idempotent(QUICK), 3),
        (Method::GET, RetryPolicy::Never, 1),
        (Method::POST, RetryPolicy::Idempotent(QUICK), 1),
        (Method::POST, RetryPolicy::SafeToRepeat(QUICK), 3),
    ] {
        let (url, asked) = server(|_, _| StatusCode::SERVICE_UNAVAILABLE).await;
        let request = Request::new("service", method.clone(), url).retry(retry);
        let reply = client.send(request).await.unwrap();
        assert_eq!(reply.error().exit(), Exit::ServiceFailed);
        assert_eq!(asked.load(Ordering::SeqCst), attempts, "{method} {retry:?}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_not_sent_again() {
    for status in [400, 401, 403, 404, 409, 501, 200] {
        let (url, asked) = server(move |_, _| StatusCode::from_u16(status).unwrap()).await;
        let reply = HttpClient::new().send(get(&url)).await.unwrap();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{status}");
    }
}

#[tokio::test]
async fn the_wait_a_service_asks_for_is_kept_unless_it_is_too_long() {
    let slow = |seconds: &'static str| {
        move |before: u32, _: Asked| match before {
            0 => (
                StatusCode::TOO_MANY_REQUESTS,
                [(header::RETRY_AFTER, seconds)],
            )
                .into_response(),
            _ => StatusCode::OK.into_response(),
        }
    };
    let (url, _) = server(slow("1")).await;
    let started = Instant::now();
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    assert!(reply.is_success());
    assert!(started.elapsed() >= Duration::from_secs(1));

    let (url, asked) = server(slow("20")).await;
    let request = get(&url).retry(RetryPolicy::Idempotent(QUICK));
    let started = Instant::now();
    let reply = HttpClient::new().send(request).await.unwrap();
    assert_eq!(
        (reply.error().code(), reply.error().exit()),
        ("service-failed", Exit::ServiceFailed)
    );
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn redirects_are_the_callers_business() {
    let (url, asked) = server(|_, _| (StatusCode::FOUND, [(header::LOCATION, "/else")])).await;
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    assert_eq!(reply.header(header::LOCATION), Some("/else"));
    assert_eq!(reply.error().exit(), Exit::BadReply);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn credentials_in_a_url_are_neither_sent_nor_shown() {
    let (mut url, _) = server(|_, request| format!("{:?}", request.headers())).await;
    url.set_username("ann").unwrap();
    url.set_password(Some("hunter2")).unwrap();
    url.set_query(Some("token=hunter2"));
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    let sent = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(!sent.contains("authorization"), "{sent}");
    assert!(
        sent.contains(concat!("keyless/", env!("CARGO_PKG_VERSION"))),
        "{sent}"
    );
    assert!(!format!("{reply:?}").contains("hunter2"));
    let closed: Url = "http://ann:hunter2@127.0.0.1:1/?token=hunter2"
        .parse()
        .unwrap();
    let error = HttpClient::new()
        .send(get(&closed).retry(RetryPolicy::Never))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-unreachable", Exit::Unreachable)
    );
    assert!(
        !format!("{error:?}{error}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reply_has_a_largest_size() {
    let (url, _) = server(|_, _| vec![b'x'; 1000]).await;
    let client = HttpClient::new();
    assert_eq!(
        client.send(get(&url).limit(1000)).await.unwrap().body.len(),
        1000
    );
    let error = client.send(get(&url).limit(999)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("reply-too-large", Exit::BadReply)
    );

    // Without an announced length it is counted.
    let (url, _) = server(|_, _| {
        let chunks =
            futures_util::stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 100])));
        axum::body::Body::from_stream(chunks)
    })
    .await;
    assert_eq!(
        client.send(get(&url).limit(1000)).await.unwrap().body.len(),
        1000
    );
    let error = client.send(get(&url).limit(999)).await.unwrap_err();
    assert_eq!(error.code(), "reply-too-large");
}

#[tokio::test]
async fn a_reply_has_a_longest_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let request = get(&url).timeout(Duration::from_millis(200));
    let started = Instant::now();
    let error = HttpClient::new().send(request).await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit()),
        ("service-timed-out", Exit::Unreachable)
    );
    assert!(error.is_retryable());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_service_says_what_it_dislikes() {
    let (url, _) = server(|_, _| {
        (
            StatusCode::BAD_REQUEST,
            r#"{"code":3,"message":"the token is for somebody else"}"#,
        )
    })
    .await;
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    let error = reply.success().unwrap_err();
    assert_eq!(error.exit(), Exit::Refused);
    assert!(
        error
            .details()
            .contains(&("message", "the token is for somebody else".to_owned()))
    );
}

/// Runs one ignored test of this file in a process with another environment.
fn with_environment(test: &str, variables: &[(&str, &str)]) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--quiet"]);
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn a_proxy_is_not_for_loopback() {
    let nobody = "http://127.0.0.1:1";
    with_environment(
        "child_asks_loopback",
        &[
            ("HTTP_PROXY", nobody),
            ("http_proxy", nobody),
            ("ALL_PROXY", nobody),
            ("NO_PROXY", ""),
        ],
    );
}

#[tokio::test]
#[ignore = "run by a_proxy_is_not_for_loopback"]
async fn child_asks_loopback() {
    let (url, _) = server(|_, _| "here").await;
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    assert_eq!(&reply.body[..], b"here");
}

#[tokio::test]
async fn a_proxy_is_for_the_rest() {
    let (proxy, asked) = server(|_, request| request.uri().to_string()).await;
    let proxy = proxy.as_str().trim_end_matches('/').to_owned();
    let run = move || {
        with_environment(
            "child_asks_elsewhere",
            &[
                ("HTTP_PROXY", &proxy),
                ("http_proxy", &proxy),
                ("NO_PROXY", ""),
            ],
        );
    };
    tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
#[ignore = "run by a_proxy_is_for_the_rest"]
async fn child_asks_elsewhere() {
    let url: Url = "http://service.example.test/path".parse().unwrap();
    let reply = HttpClient::new().send(get(&url)).await.unwrap();
    assert_eq!(&reply.body[..], url.as_str().as_bytes());
}

#[test]
fn a_chosen_ca_store_is_not_replaced() {
    with_environment(
        "child_has_no_roots",
        &[
            ("SSL_CERT_FILE", "/nonexistent/ca.pem"),
            ("SSL_CERT_DIR", "/nonexistent"),
        ],
    );
}

#[tokio::test]
#[ignore = "run by a_chosen_ca_store_is_not_replaced"]
async fn child_has_no_roots() {
    let url: Url = "https://service.example.test/".parse().unwrap();
    let error = HttpClient::new().send(get(&url)).await.unwrap_err();
    assert_eq!(error.code(), "tls-trust-anchors-unreadable");
    // Plain HTTP on loopback needs no roots.
    let (url, _) = server(|_, _| "here").await;
    assert!(HttpClient::new().send(get(&url)).await.is_ok());
}
