//! `keyless signing-config create`.

use keyless::sandbox::{RekorVersion, Service};
use serde_json::{Value, json};

use crate::support::{Run, World};

const START: &str = "start-time=2024-01-01T00:00:00Z,operator=example.com";

fn create(world: &World, arguments: &[&str]) -> Run {
    world.keyless("signing-config create").args(arguments).run()
}

#[test]
fn the_documented_command() {
    let world = World::new();
    let run = create(
        &world,
        &[
            "--fulcio=url=https://fulcio.example.com,api-version=1,start-time=2024-01-01T00:00:00Z,operator=example.com",
            "--rekor=url=https://rekor.example.com,api-version=2,start-time=2024-01-01T00:00:00Z,operator=example.com",
            "--rekor-config=ANY",
            "--tsa=url=https://tsa.example.com,api-version=1,start-time=2024-01-01T00:00:00Z,operator=example.com",
            "--tsa-config=ANY",
            "--output-file",
            "custom.signingconfig.json",
        ],
    )
    .exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert_eq!(world.files(), ["custom.signingconfig.json"]);
    let made: Value = serde_json::from_str(&world.read("custom.signingconfig.json")).unwrap();
    let service = |url: &str, version: u32| {
        json!([{
            "url": url,
            "majorApiVersion": version,
            "validFor": { "start": "2024-01-01T00:00:00Z" },
            "operator": "example.com",
        }])
    };
    assert_eq!(
        made,
        json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service("https://fulcio.example.com", 1),
            "rekorTlogUrls": service("https://rekor.example.com", 2),
            "tsaUrls": service("https://tsa.example.com", 1),
            "rekorTlogConfig": { "selector": "ANY" },
            "tsaConfig": { "selector": "ANY" },
        })
    );
    // Later runs replace it, as cosign does.
    create(&world, &["--output-file", "custom.signingconfig.json"]).exits(0);
    assert!(!world.read("custom.signingconfig.json").contains("caUrls"));
}

#[test]
fn an_image_is_signed_with_what_was_made() {
    for (rekor, service, version) in [
        (RekorVersion::V1, Service::RekorV1, 1),
        (RekorVersion::V2, Service::RekorV2, 2),
    ] {
        // The environment's config names the other log.
        let other = match rekor {
            RekorVersion::V1 => RekorVersion::V2,
            RekorVersion::V2 => RekorVersion::V1,
        };
        let world = World::start(other, &[]);
        let url = |service| world.sandbox.url(service);
        create(
            &world,
            &[
                &format!(
                    "--fulcio=url={},api-version=1,{START}",
                    url(Service::Fulcio)
                ),
                &format!("--rekor=url={},api-version={version},{START}", url(service)),
                "--rekor-config=EXACT:1",
                &format!("--tsa=url={},api-version=1,{START}", url(Service::Tsa)),
                "--tsa-config=ALL",
                &format!(
                    "--oidc-provider=url={},api-version=1,{START}",
                    url(Service::Oidc)
                ),
                "--out=made.json",
            ],
        )
        .exits(0);
        let image = world.image("v1");
        world
            .keyless("sign --signing-config made.json")
            .arg(image.by_digest())
            .run()
            .exits(0);
        assert_eq!(world.count(service), 1);
        assert_eq!(world.counts().rekor(), 1);
        world
            .keyless("verify")
            .arg(image.by_digest())
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

#[test]
fn services_out_of_their_time_or_version_are_not_used() {
    let world = World::new();
    world.write("file", "content");
    let fulcio = world.sandbox.url(Service::Fulcio);
    for (service, why) in [
        ("api-version=1,start-time=2999-01-01T00:00:00Z", "future"),
        (
            "api-version=1,start-time=2020-01-01T00:00:00Z,end-time=2021-01-01T00:00:00Z",
            "past",
        ),
        ("api-version=9,start-time=2020-01-01T00:00:00Z", "version"),
    ] {
        create(
            &world,
            &[
                &format!("--fulcio=url={fulcio},operator=o,{service}"),
                "--out=made.json",
            ],
        )
        .exits(0);
        let run = world
            .keyless("sign-blob file --signing-config made.json --output json")
            .run()
            .exits(30);
        assert!(run.json()["error"]["code"].is_string(), "{why}: {run:#?}");
    }
    assert_eq!(world.count(Service::Fulcio), 0);
}

#[test]
fn selectors() {
    let world = World::new();
    let rekor = format!("--rekor=url=https://r.example,api-version=1,{START}");
    for (selector, expected) in [
        ("ANY", json!({ "selector": "ANY" })),
        ("any", json!({ "selector": "ANY" })),
        ("ALL", json!({ "selector": "ALL" })),
        ("EXACT:2", json!({ "selector": "EXACT", "count": 2 })),
    ] {
        let run = create(&world, &[&rekor, "--rekor-config", selector]).exits(0);
        assert_eq!(run.json()["rekorTlogConfig"], expected);
    }
    for selector in [
        "",
        "SOME",
        "EXACT",
        "EXACT:",
        "EXACT:0",
        "EXACT:-1",
        "EXACT:99999999999",
    ] {
        create(&world, &[&rekor, "--rekor-config", selector])
            .exits(2)
            .says("--rekor-config");
    }
}

#[test]
fn bad_services_are_usage() {
    let world = World::new();
    for (service, problem) in [
        ("", "is not key=value"),
        ("url", "is not key=value"),
        ("url=https://f.example", "api-version"),
        (&format!("url=https://f.example,{START}"), "api-version"),
        (&format!("api-version=1,{START}"), "\"url\" is missing"),
        (&format!("url=,api-version=1,{START}"), "\"url\" is missing"),
        (
            &format!("url=https://f.example,api-version=x,{START}"),
            "not a number",
        ),
        (
            "url=https://f.example,api-version=1,operator=o",
            "\"start-time\" is missing",
        ),
        (
            "url=https://f.example,api-version=1,start-time=2024-01-01T00:00:00Z",
            "\"operator\" is missing",
        ),
        (
            "url=https://f.example,api-version=1,operator=o,start-time=yesterday",
            "not an RFC 3339 time",
        ),
        (
            "url=https://f.example,api-version=1,operator=o,start-time=2024-01-01T00:00:00Z,end-time=2023-01-01T00:00:00Z",
            "end-time lies before start-time",
        ),
        (
            &format!("url=https://f.example,url=x,api-version=1,{START}"),
            "given twice",
        ),
        (
            &format!("url=https://f.example,colour=red,{START}"),
            "unknown key",
        ),
    ] {
        let run = create(&world, &["--fulcio", service, "--out", "made.json"])
            .exits(2)
            .says("--fulcio")
            .says(problem);
        assert_eq!(run.stdout, "");
    }
    assert!(world.files().is_empty());
}

#[test]
fn defaults_may_be_kept_or_left_out() {
    let world = World::new();
    let run = create(&world, &["--with-default-services"]).exits(0);
    let all = run.json();
    for member in [
        "caUrls",
        "oidcUrls",
        "rekorTlogUrls",
        "tsaUrls",
        "rekorTlogConfig",
    ] {
        assert!(!all[member].is_null(), "{member}");
    }
    for (flag, member) in [
        ("--no-default-fulcio", "caUrls"),
        ("--no-default-oidc", "oidcUrls"),
        ("--no-default-rekor", "rekorTlogUrls"),
        ("--no-default-tsa", "tsaUrls"),
    ] {
        let run = create(&world, &["--with-default-services", flag]).exits(0);
        assert!(run.json()[member].is_null(), "{flag}");
    }
}

#[test]
fn an_unwritable_file() {
    let world = World::new();
    for flag in ["--out", "--output-file"] {
        create(&world, &[flag, "no/such/folder/made.json"])
            .exits(3)
            .says("cannot write");
    }
}
