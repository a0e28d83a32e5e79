//! `keyless trusted-root create`.

use keyless::sandbox::{RekorVersion, Service};
use keyless::trust::TrustedRoot;

use crate::support::{Run, World};

const START: &str = "start-time=2024-01-01T00:00:00Z";

fn create(world: &World, arguments: &[String]) -> Run {
    world.keyless("trusted-root create").args(arguments).run()
}

/// Flags that describe the sandbox.
fn flags(world: &World) -> Vec<String> {
    let url = |service| world.sandbox.url(service);
    let file = |name: &str| world.sandbox.files().join(name).display().to_string();
    vec![
        format!(
            "--fulcio=url={},certificate-chain={}",
            url(Service::Fulcio),
            file("fulcio-chain.pem")
        ),
        format!(
            "--rekor=url={},public-key={},{START}",
            url(Service::RekorV1),
            file("rekor-v1.pub.pem")
        ),
        format!(
            "--rekor=url={},public-key={},{START},origin=127.0.0.1",
            url(Service::RekorV2),
            file("rekor-v2.pub.pem")
        ),
        format!(
            "--ctfe=url={},public-key={},{START}",
            url(Service::CtLog),
            file("ctlog.pub.pem")
        ),
        format!(
            "--tsa=url={},certificate-chain={}",
            url(Service::Tsa),
            file("tsa-chain.pem")
        ),
    ]
}

#[test]
fn what_was_made_signs_and_verifies() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = World::start(rekor, &[]);
        let mut arguments = flags(&world);
        arguments.extend(["--output-file".to_owned(), "root.json".to_owned()]);
        let run = create(&world, &arguments).exits(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
        TrustedRoot::parse(world.read("root.json").as_bytes()).unwrap();
        world.write("file", "content");
        for command in ["sign-blob", "verify-blob"] {
            let flags = match command {
                "verify-blob" => world.expecting(),
                _ => Vec::new(),
            };
            world
                .keyless(command)
                .args(["file", "--trusted-root", "root.json"])
                .args(flags)
                .env_remove("KEYLESS_TRUSTED_ROOT")
                .run()
                .exits(0);
        }
    }
}

#[test]
fn what_is_left_out_is_not_trusted() {
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    for (flag, exit) in [("--fulcio", 31), ("--rekor", 32), ("--ctfe", 34)] {
        let mut arguments = flags(&world);
        arguments.retain(|argument| !argument.starts_with(flag));
        arguments.push("--out=root.json".to_owned());
        create(&world, &arguments).exits(0);
        let run = world
            .keyless("verify-blob file --trusted-root root.json --output json")
            .args(world.expecting())
            .run();
        assert!(
            matches!(run.code, Some(code) if code == exit || code == 30),
            "{flag}: {run:#?}"
        );
    }
}

#[test]
fn bad_services_are_usage() {
    let world = World::new();
    let file = |name: &str| world.sandbox.files().join(name).display().to_string();
    let (key, chain, tsa) = (
        file("ctlog.pub.pem"),
        file("fulcio-chain.pem"),
        file("tsa-chain.pem"),
    );
    world.write("rubbish.pem", "rubbish");
    for (service, exit, problem) in [
        ("--rekor=".to_owned(), 2, "is not key=value"),
        (
            format!("--rekor=public-key={key},{START}"),
            2,
            "\"url\" is missing",
        ),
        (
            format!("--rekor=url=https://r.example,{START}"),
            2,
            "\"public-key\" is missing",
        ),
        (
            format!("--rekor=url=https://r.example,public-key={key}"),
            2,
            "\"start-time\" is missing",
        ),
        (
            format!("--rekor=url=https://r.example,public-key=rubbish.pem,{START}"),
            2,
            "rubbish.pem",
        ),
        (
            format!("--rekor=url=https://r.example,public-key=absent.pem,{START}"),
            3,
            "cannot read absent.pem",
        ),
        (
            "--fulcio=url=https://f.example,certificate-chain=rubbish.pem".to_owned(),
            2,
            "rubbish.pem",
        ),
        (
            format!("--fulcio=url=https://f.example,certificate-chain={tsa}"),
            2,
            "is not a CA certificate",
        ),
        (
            format!("--tsa=url=https://t.example,certificate-chain={chain}"),
            2,
            "must be the signer's",
        ),
    ] {
        let run = create(&world, &[service, "--out=root.json".to_owned()])
            .exits(exit)
            .says(problem);
        assert_eq!(run.stdout, "");
    }
    assert_eq!(world.files(), ["rubbish.pem"]);
}

#[test]
fn defaults_may_be_kept_or_left_out() {
    let world = World::new();
    let json = |flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        create(&world, &flags).exits(0).json()
    };
    let all = json(&["--with-default-services"]);
    for (flag, member) in [
        ("--no-default-fulcio", "certificateAuthorities"),
        ("--no-default-rekor", "tlogs"),
        ("--no-default-ctfe", "ctlogs"),
        ("--no-default-tsa", "timestampAuthorities"),
    ] {
        assert!(all[member].is_array(), "{member}");
        assert!(json(&["--with-default-services", flag])[member].is_null());
    }
}
