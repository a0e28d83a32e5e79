//! A sandbox in a directory goes on where it ended.

use keyless::diagnostic::Diagnostic as _;
use keyless::sandbox::{Sandbox, SandboxConfig, SandboxError, Service};

use crate::client::{BOTH, IDENTITY, fetch, judge, sign};

async fn start(dir: &std::path::Path) -> Result<Sandbox, SandboxError> {
    Sandbox::start(SandboxConfig {
        dir: Some(dir.to_owned()),
        ..SandboxConfig::default()
    })
    .await
}

async fn size(sandbox: &Sandbox) -> u64 {
    let url = format!("{}/api/v1/log", sandbox.url(Service::RekorV1));
    fetch(url).await.json()["treeSize"].as_u64().unwrap()
}

#[tokio::test]
async fn keys_ports_and_logs_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path()).await.unwrap();
    let root = first.trusted_root();
    let mut bundles = Vec::new();
    for rekor in BOTH {
        bundles.push(sign(&first, rekor, IDENTITY).await.unwrap());
    }
    let blob = first.registry().put_blob("app", "content").unwrap();
    let locked = start(dir.path()).await.unwrap_err();
    assert_eq!(locked.code(), "sandbox-locked");
    first.stop().await;

    let second = start(dir.path()).await.unwrap();
    assert_eq!(second.trusted_root(), root);
    assert_eq!(size(&second).await, 2);
    let url = format!("{}/v2/app/blobs/{blob}", second.url(Service::Registry));
    assert_eq!(fetch(url).await.body, b"content");
    for bundle in &bundles {
        assert_eq!(judge(&second, bundle, IDENTITY), "accepted");
    }
    for rekor in BOTH {
        let bundle = sign(&second, rekor, IDENTITY).await.unwrap();
        let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
        assert_eq!(entry["logIndex"], "2");
        assert_eq!(judge(&second, &bundle, IDENTITY), "accepted");
    }
    let tuf = second.url(Service::Tuf);
    assert_eq!(fetch(format!("{tuf}/2.targets.json")).await.status, 200);
    assert_eq!(fetch(format!("{tuf}/2.root.json")).await.status, 404);
    second.stop().await;

    // The last entry of Rekor v1 was cut short by a crash.
    let log = dir.path().join("state/rekor-v1.log");
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() - 7]).unwrap();
    let third = start(dir.path()).await.unwrap();
    assert_eq!(size(&third).await, 2);
    let bundle = sign(&third, BOTH[0], IDENTITY).await.unwrap();
    assert_eq!(judge(&third, &bundle, IDENTITY), "accepted");
    assert_eq!(size(&third).await, 3);
    third.stop().await;

    std::fs::write(dir.path().join("state/tsa.key.pem"), "rubbish").unwrap();
    let damaged = start(dir.path()).await.unwrap_err();
    assert_eq!(damaged.code(), "sandbox-damaged");
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = start(dir.path()).await.unwrap();
    let fulcio = sandbox.url(Service::Fulcio);
    sandbox.stop().await;
    let taken = std::net::TcpListener::bind(fulcio.trim_start_matches("http://")).unwrap();
    let error = start(dir.path()).await.unwrap_err();
    assert_eq!(error.code(), "sandbox-port-taken");
    let port = taken.local_addr().unwrap().port();
    assert!(error.to_string().contains(&port.to_string()));
}
