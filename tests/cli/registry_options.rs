//! Options about registries, on the commands that talk to one: TLS, credentials, other repositories. What is given
//! for a registry reaches that registry and nobody else.
//!
//! 0.0.0.0 leads to this machine and is no loopback address, so it stands for a registry elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use keyless::sandbox::Service;
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode, SandboxRegistry};

use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, answering, put_image, serve};
use crate::tls::{Authority, Certified, Clients, TlsServer, pem_file};

const EVERY_NAME: [&str; 3] = ["0.0.0.0", "127.0.0.1", "localhost"];

struct Secure {
    registry: Arc<SandboxRegistry>,
    server: TlsServer,
}

fn secure(world: &World, own: &Certified, clients: Clients<'_>) -> Secure {
    let registry = SandboxRegistry::new(RegistryMode {
        relative_location: true,
        ..RegistryMode::default()
    })
    .unwrap();
    let server = TlsServer::start(world, registry.clone().router(), own, clients);
    Secure { registry, server }
}

impl Secure {
    fn image(&self, host: &str) -> Image {
        put_image(&self.registry, host, REPOSITORY, "v1")
    }
}

/// Signs an image, then verifies it if that went well.
fn sign_and_verify(world: &World, image: &Image, flags: &[&str]) -> Run {
    let run = world.keyless("sign").arg(image.by_tag()).args(flags).run();
    if run.code == Some(0) {
        let verify = world.keyless("verify").arg(image.by_digest());
        verify.args(world.expecting()).args(flags).run().exits(0);
    }
    run
}

fn basic(world: &World, password: &str) -> RegistryMode {
    world.keep_secret(password);
    RegistryMode {
        access: AccessMode::Basic(Account {
            username: "ann".to_owned(),
            password: password.to_owned(),
        }),
        ..RegistryMode::default()
    }
}

fn authorized(registry: &SandboxRegistry) -> usize {
    let requests = registry.requests();
    requests
        .iter()
        .filter(|r| r.authorization.is_some())
        .count()
}

// TLS.

#[cfg(target_os = "linux")]
#[test]
fn registry_cacert_alone_is_believed() {
    let world = World::new();
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let secure = secure(&world, &ours.certify(&EVERY_NAME), Clients::Anybody);
    let ours = pem_file(&world, "ours.pem", &ours.pem);
    let theirs = pem_file(&world, "theirs.pem", &theirs.pem);
    let (ours, theirs) = (ours.to_str().unwrap(), theirs.to_str().unwrap());
    for host in [secure.server.elsewhere(), secure.server.loopback()] {
        let image = secure.image(&host);
        sign_and_verify(&world, &image, &["--registry-cacert", theirs])
            .exits(40)
            .says("certificate")
            .says("--registry-cacert FILE");
        sign_and_verify(&world, &image, &["--registry-cacert", ours]).exits(0);
        let run = world.keyless("sign").arg(image.by_tag());
        run.env("COSIGN_REGISTRY_CACERT", ours).run().exits(0);
    }
    // What the system believes counts without the option, and not beside it.
    let image = secure.image(&secure.server.elsewhere());
    let sign = |flags: &[&str], roots: &str| {
        let sign = world.keyless("sign").arg(image.by_tag()).args(flags);
        sign.env("SSL_CERT_FILE", roots).run()
    };
    sign(&[], theirs).exits(40).says("certificate");
    sign(&[], ours).exits(0);
    sign(&["--registry-cacert", theirs], ours).exits(40);
}

#[cfg(target_os = "linux")]
#[test]
fn allow_insecure_registry_is_said_and_is_about_the_certificate_only() {
    let world = World::new();
    let stranger = Authority::new("stranger");
    for names in [&EVERY_NAME[..], &["other.example.test"]] {
        let secure = secure(&world, &stranger.certify(names), Clients::Anybody);
        for host in [secure.server.elsewhere(), secure.server.loopback()] {
            let image = secure.image(&host);
            let flags = ["--allow-insecure-registry"];
            sign_and_verify(&world, &image, &flags)
                .exits(0)
                .says("warning: --allow-insecure-registry");
        }
        let image = secure.image(&secure.server.elsewhere());
        sign_and_verify(&world, &image, &[])
            .exits(40)
            .says("certificate");
    }
    // No plain HTTP off loopback; and plain HTTP on loopback goes on.
    let plain = OwnRegistry::start(&world, RegistryMode::default());
    let image = plain.image("v1");
    sign_and_verify(&world, &image, &["--allow-insecure-registry"]).exits(0);
    let port = plain.host.rsplit_once(':').unwrap().1;
    let image = put_image(
        &plain.registry,
        &format!("0.0.0.0:{port}"),
        REPOSITORY,
        "v1",
    );
    sign_and_verify(&world, &image, &["--allow-insecure-registry"]).exits(40);
}

/// The option is for registries: services that sign are believed by the system's authorities, whatever it says.
#[test]
fn registry_options_are_never_about_fulcio_rekor_and_the_timestamp_authority() {
    let world = World::new();
    let stranger = Authority::new("stranger");
    let certified = stranger.certify(&EVERY_NAME);
    let ca = pem_file(&world, "ca.pem", &stranger.pem);
    let client = pem_file(&world, "client.pem", &certified.certificate);
    let key = pem_file(&world, "client.key", &certified.key);
    let image = world.image("v1");
    let config = world
        .keyless("version")
        .command()
        .get_envs()
        .find_map(|(name, value)| {
            (name == "KEYLESS_SIGNING_CONFIG").then(|| value.unwrap().to_owned())
        });
    let config = std::fs::read_to_string(config.unwrap()).unwrap();
    for service in [Service::Fulcio, Service::RekorV1, Service::Tsa] {
        let http = answering(&world, |_| StatusCode::OK.into_response());
        assert!(!http.is_empty());
        let router = axum::Router::new().fallback(|| async { StatusCode::OK });
        let server = TlsServer::start(&world, router, &certified, Clients::Asked(&stranger));
        let url = world.sandbox.url(service);
        assert!(config.contains(&url), "{service:?} is not in {config}");
        let other = config.replace(&url, &format!("https://{}", server.loopback()));
        let other_file = world.write("other-config.json", other);
        for flags in [
            vec!["--allow-insecure-registry"],
            vec!["--registry-cacert", ca.to_str().unwrap()],
            vec![
                "--allow-insecure-registry",
                "--registry-client-cert",
                client.to_str().unwrap(),
                "--registry-client-key",
                key.to_str().unwrap(),
            ],
        ] {
            // The registry itself is on plain HTTP, which some of them refuse on loopback: sign without it.
            let run = world.keyless("sign").arg(image.by_digest()).args(&flags);
            let run = run
                .args(["--signing-config", other_file.to_str().unwrap()])
                .run();
            if flags[0] == "--allow-insecure-registry" && flags.len() == 1 {
                run.exits(40)
                    .says("certificate")
                    .says("nothing was published");
            } else {
                assert_ne!(run.code, Some(0), "{run:#?}");
            }
            assert!(server.handshakes().is_empty(), "{service:?} {flags:?}");
        }
    }
}

#[test]
fn a_client_certificate_is_for_the_registry_alone() {
    let world = World::new();
    let (servers, clients, others) = (
        Authority::new("servers"),
        Authority::new("clients"),
        Authority::new("others"),
    );
    let own = servers.certify(&EVERY_NAME);
    let secure = secure(&world, &own, Clients::Certified(&clients));
    let image = secure.image(&secure.server.loopback());
    let file = |name: &str, pem: &str| pem_file(&world, name, pem).display().to_string();
    let ca = file("ca.pem", &servers.pem);
    let (client, stranger) = (clients.certify(&["ann"]), others.certify(&["ann"]));
    let certificate = file("client.pem", &client.certificate);
    let key = file("client.key", &client.key);
    let wrong = file("stranger.pem", &stranger.certificate);
    let wrong_key = file("stranger.key", &stranger.key);
    let flags = |certificate: &str, key: &str| {
        [
            "--registry-cacert",
            &ca,
            "--registry-client-cert",
            certificate,
            "--registry-client-key",
            key,
        ]
        .map(str::to_owned)
    };
    let sign = |flags: &[String]| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        sign_and_verify(&world, &image, &flags)
    };
    sign(&flags(&certificate, &key)).exits(0);
    assert!(
        secure
            .server
            .handshakes()
            .iter()
            .all(|h| h.client_certificate)
    );
    sign(&flags(&certificate, &key)[..2]).exits(40);
    sign(&flags(&wrong, &wrong_key)).exits(40);
    // What belongs together is given together.
    sign(&flags(&certificate, &key)[..4])
        .exits(2)
        .says("belong together");
    sign(&flags(&certificate, &key)[4..])
        .exits(2)
        .says("belong together");
    sign(&flags(&certificate, &wrong_key))
        .exits(2)
        .says("not a certificate");
    sign(&flags(&key, &key)).exits(2);

    // Elsewhere: a host that the registry leads to asks for one, and gets none.
    let elsewhere = TlsServer::start(
        &world,
        axum::Router::new().fallback(|| async { StatusCode::OK }),
        &own,
        Clients::Asked(&clients),
    );
    for (from, to) in [
        (secure.server.loopback(), elsewhere.localhost()),
        (secure.server.localhost(), elsewhere.loopback()),
    ] {
        let location = format!("https://{to}/elsewhere");
        let router = axum::Router::new().fallback(move || {
            let location = HeaderValue::from_str(&location).unwrap();
            async {
                (
                    StatusCode::TEMPORARY_REDIRECT,
                    [(header::LOCATION, location)],
                )
            }
        });
        let port = from.split(':').next().unwrap().to_owned();
        let leading = TlsServer::start(&world, router, &own, Clients::Certified(&clients));
        let host = match port.as_str() {
            "localhost" => leading.localhost(),
            _ => leading.loopback(),
        };
        let image = format!("{host}/{REPOSITORY}:v1");
        let run = world.keyless("inspect").arg(&image);
        let run = run.args(flags(&certificate, &key)).run();
        assert_ne!(run.code, Some(0));
        assert!(leading.handshakes().iter().all(|h| h.client_certificate));
    }
    let made = elsewhere.handshakes();
    assert!(
        made.len() >= 2 && made.iter().all(|h| !h.client_certificate),
        "{made:?}"
    );
}

#[test]
fn registry_server_name_is_the_one_on_the_certificate() {
    let world = World::new();
    let authority = Authority::new("ca");
    let own = authority.certify(&["registry.internal.test"]);
    let secure = secure(&world, &own, Clients::Anybody);
    let ca = pem_file(&world, "ca.pem", &authority.pem);
    let ca = ca.to_str().unwrap();
    let image = secure.image(&secure.server.loopback());
    let flags = |name| ["--registry-cacert", ca, "--registry-server-name", name];
    sign_and_verify(&world, &image, &flags("registry.internal.test")).exits(0);
    let made = secure.server.handshakes();
    let named = |name: &Option<String>| name.as_deref() == Some("registry.internal.test");
    assert!(
        !made.is_empty() && made.iter().all(|h| named(&h.server_name)),
        "{made:?}"
    );
    sign_and_verify(&world, &image, &flags("other.internal.test"))
        .exits(40)
        .says("certificate");
    sign_and_verify(&world, &image, &flags("x")[..2])
        .exits(40)
        .says("certificate");
    // An address would be connected to, in place of the registry.
    for wrong in ["192.0.2.1", "::1", "a.test:443", "a.test/x", ""] {
        sign_and_verify(&world, &image, &flags(wrong)).exits(2);
    }
    let other = OwnRegistry::start(&world, RegistryMode::default()).image("v1");
    let run = world
        .keyless("verify")
        .args([image.by_tag(), other.by_tag()]);
    run.args(flags("registry.internal.test"))
        .args(world.expecting())
        .run()
        .exits(2);
}

#[test]
fn the_registry_is_told_its_own_name_whatever_the_certificate_says() {
    let world = World::new();
    let authority = Authority::new("ca");
    let hosts: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = hosts.clone();
    let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
        let host = request.headers()[header::HOST].to_str().unwrap().to_owned();
        kept.lock().unwrap().push(host);
        async { StatusCode::NOT_FOUND }
    });
    let own = authority.certify(&["registry.internal.test"]);
    let server = TlsServer::start(&world, router, &own, Clients::Anybody);
    let ca = pem_file(&world, "ca.pem", &authority.pem);
    let run = world
        .keyless("verify --registry-server-name registry.internal.test --registry-cacert")
        .arg(&ca)
        .arg(format!("{}/{REPOSITORY}:v1", server.loopback()));
    run.args(world.expecting()).run().exits(11);
    let hosts = hosts.lock().unwrap();
    assert!(
        !hosts.is_empty() && hosts.iter().all(|host| *host == server.loopback()),
        "{hosts:?}"
    );
}

#[test]
fn files_for_tls_hold_what_they_should() {
    let world = World::new();
    let image = world.image("v1").by_tag();
    let sign = |flags: &[&str]| {
        let sign = world.keyless("sign --output json").arg(&image);
        sign.args(flags).run()
    };
    sign(&["--registry-cacert", "no-such-file"]).fails(3, "file-not-found");
    for text in [
        "",
        "rubbish",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let path = world.write("bad.pem", text);
        sign(&["--registry-cacert", path.to_str().unwrap()]).fails(2, "usage-tls-file");
    }
    let authority = Authority::new("ca");
    let path = pem_file(&world, "ca.pem", &authority.pem);
    let both = [
        "--allow-insecure-registry",
        "--registry-cacert",
        path.to_str().unwrap(),
    ];
    sign(&both).fails(2, "usage-conflict");
}

#[cfg(target_os = "linux")]
#[test]
fn allow_http_registry_goes_without_tls_where_there_is_none() {
    let world = World::new();
    let registry = SandboxRegistry::new(RegistryMode {
        relative_location: true,
        ..RegistryMode::default()
    })
    .unwrap();
    let host = serve(&world, registry.clone().router());
    let port = host.rsplit_once(':').unwrap().1;
    let image = put_image(&registry, &format!("0.0.0.0:{port}"), REPOSITORY, "v1");
    sign_and_verify(&world, &image, &[]).exits(40);
    sign_and_verify(&world, &image, &["--allow-http-registry"]).exits(0);
    // A certificate that is not believed is no missing TLS.
    let stranger = Authority::new("stranger");
    let secure = secure(&world, &stranger.certify(&EVERY_NAME), Clients::Anybody);
    let image = secure.image(&secure.server.elsewhere());
    sign_and_verify(&world, &image, &["--allow-http-registry"])
        .exits(40)
        .says("certificate");
}

/// Who counts on TLS does not get plain HTTP because the registry is on this machine.
#[test]
fn tls_that_is_wanted_is_not_left_on_loopback() {
    let world = World::new();
    let image = world.image("v1");
    let authority = Authority::new("ca");
    let certified = authority.certify(&["ann"]);
    let file = |name: &str, pem: &str| pem_file(&world, name, pem).display().to_string();
    let ca = file("ca.pem", &authority.pem);
    let (certificate, key) = (
        file("c.pem", &certified.certificate),
        file("c.key", &certified.key),
    );
    for flags in [
        vec!["--registry-cacert", &ca],
        vec![
            "--registry-client-cert",
            &certificate,
            "--registry-client-key",
            &key,
        ],
        vec!["--registry-server-name", "registry.test"],
    ] {
        let before = world.count(Service::Registry);
        sign_and_verify(&world, &image, &flags).exits(40);
        assert_eq!(world.count(Service::Registry), before, "{flags:?}");
    }
    sign_and_verify(&world, &image, &[]).exits(0);
}

// Credentials.

#[test]
fn credentials_of_the_command_line_are_used() {
    let world = World::new();
    let own = OwnRegistry::start(&world, basic(&world, "hunter2-long"));
    let image = own.image("v1");
    let given = [
        "--registry-username",
        "ann",
        "--registry-password",
        "hunter2-long",
    ];
    sign_and_verify(&world, &image, &[])
        .exits(43)
        .says("keyless login");
    sign_and_verify(&world, &image, &given).exits(0);
    let wrong = [
        "--registry-username",
        "ann",
        "--registry-password",
        "hunter3",
    ];
    sign_and_verify(&world, &image, &wrong).exits(43);
    // As cosign has it: every option is a variable too.
    let verify = world.keyless("verify").arg(image.by_digest());
    let verify = verify.args(world.expecting());
    verify
        .env("COSIGN_REGISTRY_USERNAME", "ann")
        .env("COSIGN_REGISTRY_PASSWORD", "hunter2-long")
        .run()
        .exits(0);
    // Half of it is a mistake, and so is too much.
    for flags in [
        &given[..2],
        &given[2..],
        &[
            given[0],
            given[1],
            given[2],
            given[3],
            "--registry-token",
            "x",
        ],
        &["--registry-token", "x", "--registry-username", "ann"],
    ] {
        sign_and_verify(&world, &image, flags).exits(2);
    }
}

#[test]
fn a_token_of_the_command_line_is_sent_as_it_is() {
    let world = World::new();
    world.keep_secret("hunter2-long");
    let mode = RegistryMode {
        access: AccessMode::Bearer {
            account: Account {
                username: "ann".to_owned(),
                password: "hunter2-long".to_owned(),
            },
            refresh_token: None,
            anonymous_pull: false,
            life: Duration::from_secs(300),
        },
        ..RegistryMode::default()
    };
    let own = OwnRegistry::start(&world, mode);
    let image = own.image("v1");
    let url = format!(
        "http://{}/token?service=sandbox&scope=repository:{REPOSITORY}:pull,push",
        own.host
    );
    let token = world.block_on(async {
        let client = reqwest::Client::builder().build().unwrap();
        let asked = client
            .get(url)
            .header("authorization", "Basic YW5uOmh1bnRlcjItbG9uZw==");
        let sold: serde_json::Value =
            serde_json::from_slice(&asked.send().await.unwrap().bytes().await.unwrap()).unwrap();
        sold["token"].as_str().unwrap().to_owned()
    });
    world.keep_secret(&token);
    sign_and_verify(&world, &image, &["--registry-token", "rubbish"]).exits(43);
    own.registry.forget_requests();
    sign_and_verify(&world, &image, &["--registry-token", &token]).exits(0);
    // Nothing was bought with it.
    assert!(
        own.registry
            .requests()
            .iter()
            .all(|r| !r.path.starts_with("/token"))
    );
}

#[test]
fn credentials_of_the_command_line_are_for_one_registry() {
    let world = World::new();
    let one = OwnRegistry::start(&world, basic(&world, "hunter2-long"));
    let other = OwnRegistry::start(&world, basic(&world, "hunter2-long"));
    let (ours, theirs) = (one.image("v1"), other.image("v1"));
    let given = [
        "--registry-username",
        "ann",
        "--registry-password",
        "hunter2-long",
    ];
    let both = world.keyless("verify --output json");
    let both = both.args([ours.by_tag(), theirs.by_tag()]);
    both.args(given)
        .args(world.expecting())
        .run()
        .fails(2, "usage-conflict");
    assert!(one.registry.requests().is_empty() && other.registry.requests().is_empty());
    // The same machine by another name is another registry.
    let localhost = ours.by_tag().replace("127.0.0.1", "localhost");
    let both = world.keyless("verify --output json");
    let both = both.args([ours.by_tag(), localhost]);
    both.args(given)
        .args(world.expecting())
        .run()
        .fails(2, "usage-conflict");

    // Signatures in a registry that no image is on: it gets what is stored for it, and that is nothing.
    let run = world.keyless("sign").arg(ours.by_tag()).args(given);
    let run = run.env("COSIGN_REPOSITORY", &format!("{}/signatures", other.host));
    run.run().exits(43).says("could not be attached");
    assert!(authorized(&one.registry) > 0);
    assert_eq!(
        authorized(&other.registry),
        0,
        "{:?}",
        other.registry.requests()
    );
    assert!(!other.registry.requests().is_empty());
}

#[test]
fn the_password_goes_to_nobody_the_registry_leads_to() {
    let world = World::new();
    world.keep_secret("hunter2-long");
    let notes: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let kept = notes.clone();
    let stranger = answering(&world, move |request| {
        let noted = format!("{} {:?}", request.uri(), request.headers());
        kept.lock().unwrap().push(noted);
        StatusCode::NOT_FOUND.into_response()
    });
    let by_name = stranger.replace("127.0.0.1", "localhost");
    let given = [
        "--registry-username",
        "ann",
        "--registry-password",
        "hunter2-long",
    ];
    for (host, refusal) in [(&stranger, false), (&by_name, false), (&by_name, true)] {
        let location = format!("http://{host}/there");
        let leading = answering(&world, move |request| {
            let asked = HeaderValue::from_str(&match refusal {
                true => format!("Bearer realm=\"{location}\""),
                false => "Basic realm=\"x\"".to_owned(),
            });
            match request.headers().contains_key(header::AUTHORIZATION) {
                false => (
                    StatusCode::UNAUTHORIZED,
                    [(header::WWW_AUTHENTICATE, asked.unwrap())],
                )
                    .into_response(),
                true => {
                    let there = HeaderValue::from_str(&location).unwrap();
                    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, there)]).into_response()
                }
            }
        });
        let image = format!("{leading}/{REPOSITORY}:v1");
        let run = world.keyless("verify").arg(image).args(given);
        let run = run.args(world.expecting()).run();
        assert_ne!(run.code, Some(0));
    }
    let notes = notes.lock().unwrap();
    assert_eq!(notes.len(), 2, "{notes:?}");
    let secrets = ["authorization", "hunter2", "YW5uOmh1bnRlcjItbG9uZw"];
    assert!(
        notes
            .iter()
            .all(|note| secrets.iter().all(|secret| !note.contains(secret))),
        "{notes:?}"
    );
}

#[test]
fn credentials_beside_files_are_for_nobody() {
    let world = World::new();
    let signed = world.write("a.txt", "a");
    world
        .keyless("sign-blob --bundle a.json")
        .arg(&signed)
        .run()
        .exits(0);
    let run = world.keyless("inspect a.json");
    run.env("COSIGN_REGISTRY_USERNAME", "ann")
        .env("COSIGN_REGISTRY_PASSWORD", "hunter2-long")
        .run()
        .exits(0);
}

#[test]
fn registry_referrers_mode_is_accepted_and_k8s_keychain_explained() {
    let world = World::new();
    let image = world.image("v1");
    for mode in ["legacy", "oci-1-1"] {
        sign_and_verify(&world, &image, &["--registry-referrers-mode", mode]).exits(0);
    }
    sign_and_verify(&world, &image, &["--registry-referrers-mode", "other"]).exits(2);
    sign_and_verify(&world, &image, &["--k8s-keychain"])
        .exits(2)
        .says("credential helper");
}

// Signatures in another repository.

#[test]
fn cosign_repository_holds_the_signatures() {
    let world = World::new();
    for service in [Service::Registry, Service::RegistryPlain] {
        let host = world.host(service);
        let registry = match service {
            Service::Registry => world.sandbox.registry(),
            _ => world.sandbox.registry_plain(),
        };
        let image = put_image(registry, &host, REPOSITORY, "v1");
        let elsewhere = format!("{host}/signatures/of/all");
        registry.forget_requests();
        let sign = world.keyless("sign").arg(image.by_digest());
        sign.env("COSIGN_REPOSITORY", &elsewhere).run().exits(0);
        let requests = registry.requests();
        let beside = format!("/v2/{REPOSITORY}/");
        for request in requests
            .iter()
            .filter(|r| !["GET", "HEAD"].contains(&r.method.as_str()))
        {
            assert!(!request.path.starts_with(&beside), "{request:?}");
        }
        let verify = |flags: &[&str]| {
            let verify = world.keyless("verify").arg(image.by_digest());
            verify.args(world.expecting()).args(flags).run()
        };
        verify(&[]).exits(10);
        verify(&["--signature-repository", &elsewhere]).exits(0);
        verify(&[
            "--signature-repository",
            &format!("{host}/signatures/of/none"),
        ])
        .exits(10);
        let inspect = world.keyless("inspect").arg(image.by_digest());
        let inspect = inspect.args(["--signature-repository", &elsewhere]).run();
        inspect.exits(0).shows("dev@example.test");
    }
    // A repository is one: no tag, no digest.
    let image = world.image("v1");
    for wrong in [
        "r.example.test/a:tag",
        "r.example.test/A",
        "r.example.test/",
    ] {
        let run = world.keyless("sign --output json").arg(image.by_digest());
        run.env("COSIGN_REPOSITORY", wrong)
            .run()
            .fails(2, "image-reference-malformed");
    }
    let run = world.keyless("sign").arg(image.by_digest());
    run.env("COSIGN_REPOSITORY", "").run().exits(0);
}

#[test]
fn a_bundle_is_attached_in_the_other_repository_too() {
    let world = World::new();
    let image = world.image("v1");
    let elsewhere = format!("{}/signatures", world.host(Service::Registry));
    let sign = world.keyless("sign --upload=false --bundle app.json");
    sign.arg(image.by_digest()).run().exits(0);
    let attach = world
        .keyless("attach bundle")
        .args([&image.by_digest(), "app.json"]);
    let attach = attach.args(["--signature-repository", &elsewhere]);
    attach.args(world.expecting()).run().exits(0);
    let verify = world.keyless("verify").arg(image.by_digest());
    verify.args(world.expecting()).run().exits(10);
    let verify = world.keyless("verify").arg(image.by_digest());
    let verify = verify.env("COSIGN_REPOSITORY", &elsewhere);
    verify.args(world.expecting()).run().exits(0);
}

/// The command that would accept a signer can be typed as it stands, and holds no secret.
#[test]
fn the_command_that_is_offered_has_the_options_and_no_secret() {
    let world = World::new();
    let own = OwnRegistry::start(&world, basic(&world, "hunter2-long"));
    let image = own.image("v1");
    let given = [
        "--registry-username",
        "ann",
        "--registry-password",
        "hunter2-long",
    ];
    sign_and_verify(&world, &image, &given).exits(0);
    let verify =
        world.keyless("verify --max-referrers 7 --allow-http-registry --signature-repository");
    let verify = verify.arg(format!("{}/{REPOSITORY}", own.host));
    let verify = verify.arg(image.by_digest()).args(given);
    let verify = verify.args([
        "--certificate-identity",
        "x",
        "--certificate-oidc-issuer",
        "y",
    ]);
    let run = verify.run().exits(12);
    let run = run
        .says("--max-referrers 7")
        .says("--allow-http-registry")
        .says("--signature-repository");
    run.does_not_say("hunter2");
}
