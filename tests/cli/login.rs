//! `keyless login` and `keyless logout`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyless::sandbox::registry::{AccessMode, Account, RegistryMode};
use serde_json::Value;

use crate::support::{OwnRegistry, REPOSITORY, Run, World};
use crate::tls::{Authority, Clients, TlsServer, pem_file};

const PASSWORD: &str = "correct-horse";

fn account() -> Account {
    Account {
        username: "ann".to_owned(),
        password: PASSWORD.to_owned(),
    }
}

fn basic() -> RegistryMode {
    RegistryMode {
        access: AccessMode::Basic(account()),
        ..RegistryMode::default()
    }
}

fn bearer() -> RegistryMode {
    RegistryMode {
        access: AccessMode::Bearer {
            account: account(),
            refresh_token: None,
            anonymous_pull: true,
            life: Duration::from_secs(60),
        },
        ..RegistryMode::default()
    }
}

/// A folder for docker's file, outside the folder that is searched for secrets.
fn docker(world: &World) -> PathBuf {
    world.keep_secret(PASSWORD);
    world.path_elsewhere("docker")
}

fn config(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join("config.json")).ok()
}

fn log_in(world: &World, folder: &Path, host: &str, password: &str) -> Run {
    let login = world.keyless("login --username ann --password-stdin --output json");
    let login = login.arg(host).stdin(format!("{password}\n"));
    login.env("DOCKER_CONFIG", folder.to_str().unwrap()).run()
}

#[test]
fn what_the_registry_accepts_is_stored_and_used() {
    for mode in [basic(), bearer()] {
        let world = World::new();
        let folder = docker(&world);
        let own = OwnRegistry::start(&world, mode);
        let image = own.image("v1");
        let run = log_in(&world, &folder, &own.host, PASSWORD).exits(0);
        let document = run.json();
        let path = folder.join("config.json");
        assert_eq!(document["registry"], own.host);
        assert_eq!(document["username"], "ann");
        assert_eq!(document["checked"], true);
        assert_eq!(document["stored"]["file"], path.to_str().unwrap());
        assert_eq!(document["stored"]["helper"], Value::Null);
        // It says that nothing encrypts it.
        run.says("unencrypted");
        let kept: Value = serde_json::from_str(&config(&folder).unwrap()).unwrap();
        assert_eq!(kept["auths"][&own.host]["auth"], "YW5uOmNvcnJlY3QtaG9yc2U=");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let sign = world.keyless("sign").arg(image.by_tag());
        let sign = sign.env("DOCKER_CONFIG", folder.to_str().unwrap());
        sign.run().exits(0);

        let logout = world.keyless("logout --output json").arg(&own.host);
        let logout = logout.env("DOCKER_CONFIG", folder.to_str().unwrap());
        let run = logout.run().exits(0);
        assert_eq!(run.json()["removed"][0]["file"], path.to_str().unwrap());
        assert!(!config(&folder).unwrap().contains("YW5u"));
        let sign = world.keyless("sign").arg(image.by_tag());
        let sign = sign.env("DOCKER_CONFIG", folder.to_str().unwrap());
        sign.run().exits(43);
    }
}

#[test]
fn what_it_refuses_changes_nothing() {
    for mode in [basic(), bearer()] {
        let world = World::new();
        let folder = docker(&world);
        let own = OwnRegistry::start(&world, mode);
        log_in(&world, &folder, &own.host, "wrong").fails(43, "registry-denied");
        assert!(!folder.exists(), "not even a folder");
        log_in(&world, &folder, &own.host, PASSWORD).exits(0);
        let before = config(&folder);
        log_in(&world, &folder, &own.host, "wrong").fails(43, "registry-denied");
        assert_eq!(config(&folder), before);
    }
}

#[test]
fn what_is_no_registry_gets_no_password() {
    let world = World::new();
    let folder = docker(&world);
    let page = crate::support::answering(&world, |_| {
        use axum::response::IntoResponse as _;
        axum::response::Html("<html>welcome</html>").into_response()
    });
    log_in(&world, &folder, &page, PASSWORD).fails(42, "service-bad-reply");
    let nobody = crate::support::answering(&world, |_| {
        use axum::response::IntoResponse as _;
        axum::http::StatusCode::NOT_FOUND.into_response()
    });
    log_in(&world, &folder, &nobody, PASSWORD).fails(44, "service-refused");
    assert!(!folder.exists());
}

#[test]
fn a_registry_that_does_not_ask_is_told_apart() {
    let world = World::new();
    let folder = docker(&world);
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let run = log_in(&world, &folder, &own.host, PASSWORD).exits(0);
    assert_eq!(run.json()["checked"], false);
    run.says("were not checked");
    let requests = own.registry.requests();
    assert!(
        requests.iter().all(|r| r.authorization.is_none()),
        "{requests:?}"
    );
}

#[test]
fn everything_else_in_the_file_stays() {
    let world = World::new();
    let folder = docker(&world);
    let own = OwnRegistry::start(&world, basic());
    std::fs::create_dir(&folder).unwrap();
    let before =
        r#"{"auths":{"other.test":{"auth":"eDp5","future":1.50}},"HttpHeaders":{"a":"b"},"n":1e2}"#;
    std::fs::write(folder.join("config.json"), before).unwrap();
    log_in(&world, &folder, &own.host, PASSWORD).exits(0);
    let after = config(&folder).unwrap();
    for kept in [
        r#"{"auth":"eDp5","future":1.50}"#,
        r#"{"a":"b"}"#,
        "1e2",
        &own.host,
    ] {
        assert!(after.contains(kept), "{kept} in {after}");
    }
    std::fs::write(folder.join("config.json"), "{ broken").unwrap();
    log_in(&world, &folder, &own.host, PASSWORD).fails(3, "registry-auth-file-unreadable");
    assert_eq!(config(&folder).as_deref(), Some("{ broken"));
}

#[cfg(unix)]
#[test]
fn a_credential_helper_keeps_it_where_one_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let folder = docker(&world);
    let own = OwnRegistry::start(&world, basic());
    let image = own.image("v1");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.json"), r#"{"credsStore":"keep"}"#).unwrap();
    let helper = folder.join("docker-credential-keep");
    let kept = folder.join("kept");
    let script = format!(
        "#!/bin/sh\ncase $1 in store) cat > {0};; get) cat {0} 2>/dev/null || {{ echo credentials not found in \
         native keychain; exit 1; }};; erase) rm {0};; esac\n",
        kept.display()
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let run = |arguments: &str, stdin: &str| {
        let run = world.keyless(arguments).arg(&own.host).stdin(stdin);
        let run = run.env("DOCKER_CONFIG", folder.to_str().unwrap());
        run.env("PATH", &path).run()
    };
    let login = "login --username ann --password-stdin --output json";
    run(login, "wrong").fails(43, "registry-denied");
    assert!(!kept.exists());
    let done = run(login, PASSWORD).exits(0);
    assert_eq!(done.json()["stored"]["helper"], "keep");
    done.does_not_say("unencrypted");
    assert!(std::fs::read_to_string(&kept).unwrap().contains(PASSWORD));
    assert_eq!(config(&folder).unwrap(), r#"{"credsStore":"keep"}"#);
    let sign = world.keyless("sign").arg(image.by_tag()).env("PATH", &path);
    let sign = sign.env("DOCKER_CONFIG", folder.to_str().unwrap());
    sign.run().exits(0);
    let done = run("logout --output json", "").exits(0);
    assert_eq!(done.json()["removed"][0]["helper"], "keep");
    assert!(!kept.exists());
    let done = run("logout --output json", "").exits(0);
    assert_eq!(done.json()["removed"], serde_json::json!([]));
}

#[test]
fn a_password_is_read_in_three_ways_and_never_shown() {
    let world = World::new();
    let folder = docker(&world);
    let own = OwnRegistry::start(&world, basic());
    let login = |arguments: &[&str], stdin: &str| {
        let login = world.keyless("login").arg(&own.host).args(arguments);
        let login = login.env("DOCKER_CONFIG", folder.to_str().unwrap());
        login.stdin(stdin).run()
    };
    login(&["-u", "ann", "-p", PASSWORD], "")
        .exits(0)
        .says("--password-stdin hides it");
    for line in ["", "\n", "\r\n"] {
        login(
            &["-u", "ann", "--password-stdin"],
            &format!("{PASSWORD}{line}"),
        )
        .exits(0);
    }
    for (arguments, stdin) in [
        (
            &["-u", "ann", "-p", PASSWORD, "--password-stdin"][..],
            PASSWORD,
        ),
        (&["--password-stdin"], PASSWORD),
        (&["-u", "ann", "--password-stdin"], ""),
        (&["-u", "ann", "--password-stdin"], "two\nlines"),
        (&["-u", "a:b", "--password-stdin"], PASSWORD),
        (&["-u", "", "--password-stdin"], PASSWORD),
    ] {
        login(arguments, stdin).exits(2);
    }
    let long = "x".repeat(70_000);
    login(&["-u", "ann", "--password-stdin"], &long).exits(2);
}

#[test]
fn a_registry_is_a_host() {
    let world = World::new();
    let folder = docker(&world);
    for wrong in [
        "",
        "registry",
        "r.test/app",
        "http://r.test",
        "r.test:port",
        "a b.test",
        "ftp://r.test",
    ] {
        let run = log_in(&world, &folder, wrong, PASSWORD);
        assert_eq!(run.code, Some(2), "{wrong}: {run:#?}");
    }
    let own = OwnRegistry::start(&world, basic());
    for same in [
        format!("https://{}/", own.host),
        format!("https://{}/v1/", own.host),
    ] {
        let run = log_in(&world, &folder, &same, PASSWORD).exits(0);
        assert_eq!(run.json()["registry"], own.host);
    }
    let kept: Value = serde_json::from_str(&config(&folder).unwrap()).unwrap();
    assert_eq!(kept["auths"].as_object().unwrap().len(), 1);
}

#[test]
fn credentials_that_remain_elsewhere_are_told() {
    let world = World::new();
    let folder = docker(&world);
    let podman = world.path_elsewhere("auth.json");
    std::fs::write(&podman, r#"{"auths":{"r.test":{"auth":"eDp5"}}}"#).unwrap();
    let logout = world.keyless("logout r.test");
    let logout = logout.env("DOCKER_CONFIG", folder.to_str().unwrap());
    let logout = logout.env("REGISTRY_AUTH_FILE", podman.to_str().unwrap());
    logout
        .run()
        .exits(0)
        .says("remain in")
        .shows("no credentials were stored");
}

#[test]
fn tls_options_are_those_of_every_command() {
    let world = World::new();
    let folder = docker(&world);
    let registry = keyless::sandbox::registry::SandboxRegistry::new(basic()).unwrap();
    let authority = Authority::new("ca");
    let own = authority.certify(&["127.0.0.1"]);
    let server = TlsServer::start(&world, registry.router(), &own, Clients::Anybody);
    let ca = pem_file(&world, "ca.pem", &authority.pem);
    let other = pem_file(&world, "other.pem", &Authority::new("other").pem);
    let login = |flags: &[&str]| {
        let login = world
            .keyless("login --username ann --password-stdin")
            .args(flags);
        let login = login.arg(server.loopback()).stdin(PASSWORD);
        login.env("DOCKER_CONFIG", folder.to_str().unwrap()).run()
    };
    login(&["--registry-cacert", other.to_str().unwrap()]).exits(40);
    assert!(!folder.exists());
    login(&["--registry-cacert", ca.to_str().unwrap()]).exits(0);
    login(&["--allow-insecure-registry"])
        .exits(0)
        .says("not checked");
    let image = format!("{}/{REPOSITORY}:v1", server.loopback());
    let verify = world
        .keyless("verify --registry-cacert")
        .arg(&ca)
        .arg(image);
    let verify = verify.env("DOCKER_CONFIG", folder.to_str().unwrap());
    verify.args(world.expecting()).run().exits(11);
}

#[test]
fn without_a_folder_nothing_is_asked() {
    let world = World::new();
    let own = OwnRegistry::start(&world, basic());
    let login = world.keyless("login --username ann --password-stdin --output json");
    let login = login.arg(&own.host).stdin(PASSWORD).env("HOME", "relative");
    login.run().fails(3, "registry-auth-file-nowhere");
    assert!(own.registry.requests().is_empty());
}
