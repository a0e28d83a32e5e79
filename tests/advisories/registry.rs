//! Hostile registries, as the whole program meets them.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use keyless::format::oci::{BUNDLE_ARTIFACT_TYPE, Descriptor, OCI_INDEX, OCI_MANIFEST};
use keyless::sandbox::registry::{AccessMode, Account, RegistryMode, SandboxRegistry};
use serde_json::json;

use crate::support::{OwnRegistry, REPOSITORY, World, put_image, serve};

/// Every page has a thousand referrers that are nowhere, and names a next one.
fn endless_page(number: usize) -> Response {
    let entries: Vec<Descriptor> = (0..1000)
        .map(|entry| Descriptor {
            artifact_type: Some(BUNDLE_ARTIFACT_TYPE.to_owned()),
            ..Descriptor::of(OCI_MANIFEST, format!("{number} {entry}").as_bytes())
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries });
    let mut reply = Response::new(Body::from(index.to_string()));
    let next = format!(
        "</v2/{REPOSITORY}/referrers/x?page={}>; rel=\"next\"",
        number + 1
    );
    reply
        .headers_mut()
        .insert(header::LINK, next.parse().unwrap());
    reply
}

#[test]
fn cve_2023_33957_cve_2023_33958_endless_signatures_are_cut_and_said_to_be() {
    let world = World::new();
    let registry = SandboxRegistry::new(RegistryMode::default()).unwrap();
    let endless = |request: Request, next: Next| async move {
        let path = request.uri().to_string();
        if !path.contains("/referrers/") {
            return next.run(request).await;
        }
        let page = path.rsplit_once("page=").map_or("0", |(_, page)| page);
        endless_page(page.parse().unwrap())
    };
    let router = registry.clone().router();
    let host = serve(&world, router.layer(axum::middleware::from_fn(endless)));
    let image = put_image(&registry, &host, REPOSITORY, "v1");
    let run = world
        .keyless("verify --output json")
        .args(world.expecting())
        .arg(image.by_digest())
        .run()
        .exits(42);
    let document = run.json();
    let image = &document["images"][0];
    assert_eq!(image["error"]["code"], "registry-too-many");
    assert!(registry.requests().len() <= 2100, "bounded");
}

#[test]
fn cve_2024_23332_what_was_verified_is_shown() {
    let world = World::new();
    let old = world.image("v1");
    world.keyless("sign").arg(old.by_digest()).run().exits(0);
    let new = world.image("v2");
    world.keyless("sign").arg(new.by_digest()).run().exits(0);
    // The registry rolls the tag back to what was signed long ago.
    let bytes = world
        .block_on(async {
            let url = format!("http://{}", old.by_digest().replacen('/', "/v2/", 1));
            let url = url.replace("@", "/manifests/");
            reqwest::get(url).await.unwrap().bytes().await
        })
        .unwrap();
    world
        .sandbox
        .registry()
        .put_manifest(REPOSITORY, Some("v2"), OCI_MANIFEST, bytes)
        .unwrap();
    let verify = |output: &str| {
        world
            .keyless("verify --output")
            .arg(output)
            .args(world.expecting())
            .arg(new.by_tag())
            .run()
            .exits(0)
    };
    for run in [verify("text"), verify("json")] {
        assert!(run.stdout.contains(&old.descriptor.digest.to_string()));
        assert!(!run.stdout.contains(&new.descriptor.digest.to_string()));
    }
}

#[test]
fn cve_2024_51491_no_folder_to_write_to() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.keyless("sign").arg(&image).run().exits(0);
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    for command in [format!("verify {image}"), "verify-blob file".to_owned()] {
        let mut run = world.keyless(&command).args(world.expecting());
        for folder in [
            "HOME",
            "TMPDIR",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_RUNTIME_DIR",
            "TUF_ROOT",
            "DOCKER_CONFIG",
        ] {
            run = run.env(folder, "/dev/null/nowhere");
        }
        run.run().exits(0);
    }
}

fn guarded(username: &str, password: &str) -> RegistryMode {
    RegistryMode {
        access: AccessMode::Basic(Account {
            username: username.to_owned(),
            password: password.to_owned(),
        }),
        ..RegistryMode::default()
    }
}

#[test]
fn cve_2025_27403_credentials_for_one_host_alone() {
    let world = World::new();
    let ours = OwnRegistry::start(&world, guarded("ann", "hunter2"));
    let theirs = OwnRegistry::start(&world, guarded("mallory", "x"));
    let config = json!({ "auths": { &ours.host: { "username": "ann", "password": "hunter2" } } });
    let folder = world.path_elsewhere("docker");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let images = [ours.image("v1").by_digest(), theirs.image("v1").by_digest()];
    let run = world
        .keyless("verify --output json")
        .env("DOCKER_CONFIG", folder.to_str().unwrap())
        .args(world.expecting())
        .args(&images)
        .run()
        .exits(10);
    let document = run.json();
    let codes: Vec<_> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["error"]["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes, ["no-signature", "registry-denied"]);
    let authorized = |registry: &OwnRegistry| {
        let requests = registry.registry.requests();
        requests
            .iter()
            .filter(|r| r.authorization.is_some())
            .count()
    };
    assert!(authorized(&ours) > 0);
    assert_eq!(authorized(&theirs), 0);
}
