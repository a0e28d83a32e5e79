//! `--key`: signatures by a key that somebody manages, without a certificate.

use keyless::crypto::Digest;
use keyless::format::bundle::{Bundle, BundleVersion, Content, KeyMaterial};
use keyless::format::dsse::{Envelope, PreAuthEncoding};
use keyless::format::protojson::encode_base64;
use keyless::format::statement::image_signature_payload;
use keyless::net::{HttpClient, rekor, tsa};
use keyless::sandbox::{RekorVersion, Service};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use crate::support::{Image, Run, World};

/// A key that a test manages.
struct Key(SigningKey);

impl Key {
    fn new() -> Self {
        Key(SigningKey::generate())
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }

    fn pem(&self) -> String {
        let key = self.0.verifying_key();
        key.to_public_key_pem(LineEnding::LF).unwrap()
    }

    fn spki(&self) -> Vec<u8> {
        let key = self.0.verifying_key();
        key.to_public_key_der().unwrap().as_bytes().to_vec()
    }

    fn fingerprint(&self) -> String {
        Digest::sha256(&self.spki()).to_string()
    }

    /// Makes a bundle whose entry Rekor v1 has, by its own promise.
    fn bundle(&self, world: &World, content: Content, proposal: Value) -> Bundle {
        let log = world.sandbox.url(Service::RekorV1).parse().unwrap();
        let http = HttpClient::new();
        let entry = world.block_on(rekor::add_entry_v1(&http, &log, proposal.to_string()));
        Bundle {
            version: BundleVersion::V03,
            key_material: KeyMaterial::PublicKey {
                hint: encode_base64(Digest::sha256(&self.spki()).as_bytes()),
            },
            content,
            log_entries: vec![entry.unwrap()],
            timestamps: Vec::new(),
            stored_envelope: None,
        }
    }

    fn sign_blob(&self, world: &World, content: &[u8]) -> Bundle {
        let (digest, signature) = (Digest::sha256(content), self.sign(content));
        let proposal = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": digest.hex() } },
                "signature": {
                    "content": encode_base64(&signature),
                    "publicKey": { "content": encode_base64(self.pem().as_bytes()) },
                },
            },
        });
        let digest = Some(digest);
        self.bundle(
            world,
            Content::MessageSignature { digest, signature },
            proposal,
        )
    }

    fn sign_image(&self, world: &World, image: &Image) -> Bundle {
        let payload_type = "application/vnd.in-toto+json".to_owned();
        let digest = image.descriptor.digest;
        let payload = image_signature_payload(&digest, &Default::default());
        let message = PreAuthEncoding::new(&payload_type, &payload).to_bytes();
        let signature = self.sign(&message);
        let envelope = json!({
            "payload": encode_base64(&payload),
            "payloadType": payload_type,
            "signatures": [{ "sig": encode_base64(&signature) }],
        });
        let proposal = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": { "proposedContent": {
                "envelope": envelope.to_string(),
                "verifiers": [encode_base64(self.pem().as_bytes())],
            } },
        });
        let content = Content::DsseEnvelope(Envelope {
            payload_type,
            payload: payload.into(),
            signature,
            keyid: String::new(),
        });
        self.bundle(world, content, proposal)
    }
}

/// A file with a bundle by a key, and `key.pub`.
fn signed() -> (World, Key) {
    let (world, key) = (World::new(), Key::new());
    world.write("file", "content");
    let bundle = key.sign_blob(&world, b"content");
    world.write("file.sigstore.json", bundle.encode());
    world.write("key.pub", key.pem());
    (world, key)
}

fn verify(world: &World, flags: &str) -> Run {
    world
        .keyless("verify-blob file --key key.pub --output json")
        .args(flags.split_whitespace())
        .run()
}

#[test]
fn a_file_signed_by_the_key() {
    let (world, key) = signed();
    let before = world.counts();
    let document = verify(&world, "").exits(0).json();
    let signature = &document["blobs"][0]["signature"];
    assert_eq!(signature["signer"], json!({ "key": key.fingerprint() }));
    assert_eq!(signature["certificateAuthority"], Value::Null);
    assert_eq!(signature["signedCertificateTimestamps"], Value::Null);
    assert_eq!(signature["logEntries"].as_array().unwrap().len(), 1);
    let run = world
        .keyless("verify-blob file --key key.pub --explain")
        .run()
        .exits(0);
    let shown = format!("  key        {}\n", key.fingerprint());
    let run = run
        .shows(&shown)
        .shows(&format!("found: key {}", key.fingerprint()));
    // Nothing that only a certificate has is said to have been checked.
    for never in ["certificate", "public  [", "identity", "issuer"] {
        assert!(!run.stdout.contains(never), "{never}: {run:#?}");
    }
    assert_eq!(world.counts(), before, "verify-blob needs no network");
}

#[test]
fn another_key_is_refused() {
    let (world, _) = signed();
    world.write("key.pub", Key::new().pem());
    verify(&world, "").fails(20, "signature-invalid");
    // One key's signature in another's entry.
    let (one, other) = (Key::new(), Key::new());
    let mut bundle = one.sign_blob(&world, b"content");
    bundle.log_entries = other.sign_blob(&world, b"content").log_entries;
    world.write("file.sigstore.json", bundle.encode());
    world.write("key.pub", one.pem());
    verify(&world, "").fails(32, "log-entry-mismatch");
}

#[test]
fn other_content_is_refused() {
    let (world, _) = signed();
    world.write("file", "other content");
    verify(&world, "").fails(21, "artifact-mismatch");
}

/// The hint in a bundle is whoever's who wrote it.
#[test]
fn the_hint_decides_nothing() {
    let (world, key) = signed();
    let mut bundle = key.sign_blob(&world, b"content");
    bundle.key_material = KeyMaterial::PublicKey {
        hint: "another".to_owned(),
    };
    world.write("file.sigstore.json", bundle.encode());
    verify(&world, "").exits(0);
    let stranger = Key::new();
    let mut bundle = stranger.sign_blob(&world, b"content");
    bundle.key_material = KeyMaterial::PublicKey {
        hint: encode_base64(Digest::sha256(&key.spki()).as_bytes()),
    };
    world.write("file.sigstore.json", bundle.encode());
    verify(&world, "").fails(20, "signature-invalid");
}

#[test]
fn a_key_is_no_identity_and_an_identity_no_key() {
    let (world, _) = signed();
    world
        .keyless("verify-blob file --output json")
        .args(world.expecting())
        .run()
        .fails(13, "no-certificate");
    // Nobody claims to have signed.
    let run = world.keyless("verify-blob file --output json").run();
    run.fails(2, "usage-identity-missing").says("or --key");
    world.keyless("sign-blob file --overwrite").run().exits(0);
    verify(&world, "").fails(12, "certificate-not-key");
}

#[test]
fn a_key_and_an_identity_exclude_each_other() {
    let (world, _) = signed();
    for flags in [
        "--certificate-identity a@b",
        "--certificate-identity-regexp .*",
        "--certificate-oidc-issuer https://i",
        "--certificate-oidc-issuer-regexp .*",
        "--certificate-claim issuer=x",
        "--certificate-github-workflow-trigger x",
        "--certificate-github-workflow-sha x",
        "--certificate-github-workflow-name x",
        "--certificate-github-workflow-repository x",
        "--certificate-github-workflow-ref x",
    ] {
        for command in ["verify-blob file", "verify x/y", "attach bundle x/y file"] {
            let run = world.keyless(command).args(["--key", "key.pub"]);
            let run = run.args(flags.split_whitespace()).run().exits(2);
            run.says("cannot be used with");
        }
    }
}

/// A key has no certificate that could have been promised to be public: asking for promises, or waiving
/// them, would say that there was something to look at.
#[test]
fn a_key_has_no_promises() {
    let (world, _) = signed();
    for flags in ["--sct-threshold 2", "--insecure-ignore-sct"] {
        verify(&world, flags)
            .fails(2, "usage-conflict")
            .says("--key");
    }
    verify(&world, "--log-threshold 2").fails(32, "log-threshold");
    verify(&world, "--timestamp-threshold 1").fails(33, "timestamp-threshold");
}

#[test]
fn a_key_needs_no_time_and_a_waived_log_is_told() {
    let (world, _) = signed();
    let mut root: Value = serde_json::from_str(&world.sandbox.trusted_root()).unwrap();
    root["tlogs"] = json!([]);
    world.write("root.json", root.to_string());
    verify(&world, "--trusted-root root.json").fails(32, "log-unknown");
    let waived = "--trusted-root root.json --insecure-ignore-tlog --explain";
    let document = verify(&world, waived).exits(0).json();
    let signature = &document["blobs"][0]["signature"];
    assert_eq!(signature["waived"], json!(["transparency-log"]));
    assert_eq!(signature["observedTimes"], json!([]));
    let checks = signature["checks"].as_array().unwrap();
    let outcome = |name: &str| {
        let check = checks.iter().find(|check| check["check"] == name);
        check.map(|check| check["outcome"].as_str().unwrap())
    };
    assert_eq!(outcome("log-entries"), Some("waived"));
    assert_eq!(outcome("observed-times"), Some("not-counted"));
    assert_eq!(outcome("certificate"), None);
    assert_eq!(outcome("signed-certificate-timestamps"), None);
}

#[test]
fn a_timestamp_of_a_key_counts() {
    let (world, key) = signed();
    let mut bundle = key.sign_blob(&world, b"content");
    let config = world.sandbox.signing_config(RekorVersion::V1);
    let config: Value = serde_json::from_str(&config).unwrap();
    let url = config["tsaUrls"][0]["url"].as_str().unwrap();
    let digest = Digest::sha256(bundle.content.signature());
    let stamp = tsa::request_timestamp;
    let url = url.parse().unwrap();
    let http = HttpClient::new();
    let stamped = world.block_on(stamp(&http, &url, &digest)).unwrap();
    bundle.timestamps.push(stamped);
    world.write("file.sigstore.json", bundle.encode());
    verify(&world, "--timestamp-threshold 1").exits(0);
    verify(&world, "--timestamp-threshold 2").fails(33, "timestamp-threshold");
}

#[test]
fn an_image_signed_by_the_key() {
    let (world, key) = (World::new(), Key::new());
    let image = world.image("v1");
    world.write("key.pub", key.pem());
    world.write("other.pub", Key::new().pem());
    world.write("bundle.json", key.sign_image(&world, &image).encode());
    let by_digest = image.by_digest();
    let attach = |file: &str| {
        world
            .keyless("attach bundle")
            .args([&by_digest, "bundle.json", "--key", file, "--output", "json"])
            .run()
    };
    attach("other.pub").fails(20, "signature-invalid");
    assert_eq!(world.registry_writes(), 0);
    let document = attach("key.pub").exits(0).json();
    let signer = json!({ "key": key.fingerprint() });
    assert_eq!(document["bundles"][0]["signature"]["signer"], signer);
    let judge = |flags: &[&str]| {
        let run = world.keyless("verify --output json").arg(&by_digest);
        run.args(flags).run()
    };
    let accepted = judge(&["--key", "key.pub"]).exits(0).json();
    assert_eq!(accepted["images"][0]["signatures"][0]["signer"], signer);
    let run = judge(&["--key", "other.pub"]).exits(20);
    assert_eq!(
        run.json()["images"][0]["error"]["code"],
        "signature-invalid"
    );
    let expecting = world.expecting();
    let flags: Vec<&str> = expecting.iter().map(String::as_str).collect();
    let run = judge(&flags).exits(13);
    assert_eq!(run.json()["images"][0]["error"]["code"], "no-certificate");
}

#[test]
fn what_is_no_public_key() {
    let (world, key) = signed();
    let secret = key.0.to_pkcs8_pem(LineEnding::LF).unwrap().to_string();
    let body = secret.lines().nth(1).unwrap().to_owned();
    world.keep_secret(&body);
    let pem = key.pem();
    for rubbish in [
        String::new(),
        "rubbish".to_owned(),
        pem.replace("PUBLIC KEY", "CERTIFICATE"),
        pem.replace(
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE",
            "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAF",
        ),
        pem.lines().next().unwrap().to_owned(),
        format!("{pem}{pem}"),
    ] {
        world.write("key.pub", rubbish);
        verify(&world, "")
            .fails(2, "usage-key")
            .says("one PUBLIC KEY block");
    }
    world.write("key.pub", [0xff, 0xfe, 0x00]);
    verify(&world, "").fails(2, "usage-key");
    world.write("key.pub", vec![b'-'; 2 << 20]);
    verify(&world, "").fails(3, "file-too-large");
    std::fs::remove_file(world.path("key.pub")).unwrap();
    verify(&world, "").fails(3, "file-not-found");
    // A private key given by mistake is refused, and nothing of it is shown (nor left in a file).
    let path = world.path_elsewhere("key.pem");
    std::fs::write(&path, &secret).unwrap();
    world
        .keyless("verify-blob file --output json --key")
        .arg(path)
        .run()
        .fails(2, "usage-key");
}

/// The public suite has bundles by managed keys; read where `KEYLESS_CONFORMANCE_DIR` says.
#[test]
fn managed_keys_of_the_conformance_cases() {
    let Some(folder) = std::env::var_os("KEYLESS_CONFORMANCE_DIR") else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: Value = serde_json::from_slice(&cases).unwrap();
    let world = World::new();
    let mut judged = 0;
    for case in cases["cases"].as_array().unwrap() {
        let Some(key) = case["key"].as_str() else {
            continue;
        };
        let name = case["name"].as_str().unwrap();
        judged += 1;
        let path = |name: &str| folder.join(case[name].as_str().unwrap());
        let run = world
            .keyless("verify-blob --any-statement")
            .arg(path("artifact"))
            .arg("--bundle")
            .arg(path("bundle"))
            .arg("--trusted-root")
            .arg(path("trusted_root"))
            .arg("--key")
            .arg(folder.join(key))
            .run();
        assert_eq!(
            run.code == Some(0),
            case["expect"] == "pass",
            "{name}: {run:#?}"
        );
    }
    assert!(judged > 0, "the cases have managed keys");
}
