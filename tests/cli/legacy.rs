//! Signatures and attestations in the form that is older than bundles: written for readers that know nothing
//! else, and read where no bundle is enough.

use keyless::crypto::Digest;
use keyless::format::bundle::Bundle;
use keyless::format::oci::{Descriptor, OCI_MANIFEST};
use keyless::host::registry_auth::RegistryAuth;
use keyless::net::HttpClient;
use keyless::net::registry::{RegistryClient, RegistryOptions};
use keyless::sandbox::registry::{RegistryFaults, RegistryMode};
use keyless::sandbox::{RekorVersion, Service, TokenRequest};
use serde_json::{Value, json};

use crate::support::{Image, OwnRegistry, REPOSITORY, Run, World, sha256};
use crate::verify::{attestation, put_bundle, sign_statements};

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const PROMISE: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// The tag that an image's older signatures are under.
fn tag_of(image: &Image, suffix: &str) -> String {
    format!("sha256-{}.{suffix}", image.descriptor.digest.hex())
}

fn manifest(world: &World, image: &Image, suffix: &str) -> Value {
    let client = RegistryClient::new(
        HttpClient::new(),
        RegistryAuth::anonymous(),
        RegistryOptions::default(),
    );
    let reference = format!("{}:{}", image.repository, tag_of(image, suffix));
    let fetched = world.block_on(client.resolve(&reference.parse().unwrap()));
    serde_json::from_slice(&fetched.unwrap().bytes).unwrap()
}

/// Puts a manifest in the place of what the tag points to.
fn replace(world: &World, image: &Image, suffix: &str, manifest: &Value) {
    let tag = tag_of(image, suffix);
    let text = manifest.to_string();
    let registry = world.sandbox.registry();
    registry
        .put_manifest(REPOSITORY, Some(&tag), OCI_MANIFEST, text)
        .unwrap();
}

fn annotation<'a>(manifest: &'a mut Value, layer: usize, name: &str) -> &'a mut Value {
    &mut manifest["layers"][layer]["annotations"][name]
}

fn sign(world: &World, image: &Image, flags: &[&str]) {
    world
        .keyless("sign --format legacy")
        .arg(image.by_digest())
        .args(flags)
        .run()
        .exits(0);
}

fn verify(world: &World, image: &Image, flags: &[&str]) -> (Run, Value) {
    let run = world
        .keyless("verify --output json")
        .arg(image.by_digest())
        .args(world.expecting())
        .args(flags)
        .run();
    let verdict = run.json()["images"][0].clone();
    (run, verdict)
}

fn code(world: &World, image: &Image, exit: i32) -> String {
    let (run, verdict) = verify(world, image, &[]);
    run.exits(exit);
    assert_eq!(verdict["signatures"], json!([]));
    verdict["error"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_signed_for_older_readers_is_verified() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &["-a", "env=prod"]);
    let (run, verdict) = verify(&world, &image, &["-a", "env=prod"]);
    run.exits(0);
    let signature = &verdict["signatures"][0];
    assert_eq!(signature["form"], "legacy");
    assert_eq!(signature["annotations"], json!({ "env": "prod" }));
    assert_eq!(signature["logEntries"][0]["inclusionProven"], false);
    assert_eq!(signature["predicateType"], Value::Null);
    let (run, verdict) = verify(&world, &image, &["-a", "env=test"]);
    run.exits(12);
    assert_eq!(verdict["error"]["code"], "annotation-mismatch");
    world
        .keyless("verify")
        .arg(image.by_digest())
        .args(world.expecting_of("dew@example.test"))
        .run()
        .exits(12);
    world
        .keyless("verify")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(0)
        .shows("  form       legacy");
    // What was signed is called what it is.
    let explained = world
        .keyless("verify --explain")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(0);
    let told = format!("{}{}", explained.stdout, explained.stderr);
    assert!(
        told.contains("found: an image signature of the older form"),
        "{told}"
    );
    assert!(
        told.contains("expected: the signature of an image, in either form"),
        "{told}"
    );
    assert!(!told.contains("over the file itself"), "{told}");
}

#[test]
fn each_part_of_an_older_signature_must_hold() {
    let world = World::new();
    let (image, other) = (world.image("v1"), world.image("v2"));
    sign(&world, &image, &[]);
    sign(&world, &other, &[]);
    let good = manifest(&world, &image, "sig");
    let mut foreign = manifest(&world, &other, "sig");
    let refused = |name: &str, exit: i32, value: Value| {
        let mut changed = good.clone();
        *annotation(&mut changed, 0, name) = value;
        replace(&world, &image, "sig", &changed);
        code(&world, &image, exit)
    };
    // CVE-2022-23649: a genuine promise, of another signature.
    let promise = annotation(&mut foreign, 0, PROMISE).clone();
    assert_eq!(refused(PROMISE, 32, promise), "log-entry-mismatch");
    let signature = annotation(&mut foreign, 0, SIGNATURE).clone();
    assert_eq!(refused(SIGNATURE, 20, signature), "signature-invalid");
    let certificate = annotation(&mut foreign, 0, CERTIFICATE).clone();
    assert_eq!(refused(CERTIFICATE, 20, certificate), "signature-invalid");
    let timestamp = annotation(&mut foreign, 0, TIMESTAMP).clone();
    assert_eq!(refused(TIMESTAMP, 33, timestamp), "timestamp-imprint");
    assert_eq!(refused(PROMISE, 32, json!("")), "log-unknown");
    assert_eq!(refused(CERTIFICATE, 13, json!("")), "no-certificate");
    assert_eq!(refused(PROMISE, 22, json!("{}")), "legacy-malformed");
    assert_eq!(refused(TIMESTAMP, 22, json!("{}")), "legacy-malformed");
    // What the log has promised cannot be moved in time.
    let mut moved: Value =
        serde_json::from_str(good["layers"][0]["annotations"][PROMISE].as_str().unwrap()).unwrap();
    let time = moved["Payload"]["integratedTime"].as_i64().unwrap();
    moved["Payload"]["integratedTime"] = (time + 1).into();
    let moved = json!(moved.to_string());
    assert_eq!(refused(PROMISE, 32, moved), "log-promise-invalid");
    // A signature of another image is none of this one.
    replace(&world, &image, "sig", &manifest(&world, &other, "sig"));
    assert_eq!(code(&world, &image, 21), "artifact-mismatch");
    replace(&world, &image, "sig", &good);
    verify(&world, &image, &[]).0.exits(0);
}

#[test]
fn bundles_are_asked_for_first() {
    let world = World::new();
    let image = world.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    sign(&world, &image, &[]);
    world.sandbox.registry().forget_requests();
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 1);
    assert_eq!(verdict["signatures"][0]["form"], "bundle");
    let asked = world.sandbox.registry().requests();
    assert_eq!(asked.len(), 3, "{asked:#?}");
}

#[test]
fn a_stranger_s_bundle_hides_no_older_signature() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &[]);
    let digest = image.descriptor.digest;
    let payload = keyless::format::statement::image_signature_payload(&digest, &Default::default());
    let stranger = sign_statements(&world, "eve@example.test", vec![(digest, payload)]).remove(0);
    let registry = world.sandbox.registry();
    let kind = "https://sigstore.dev/cosign/sign/v1";
    put_bundle(registry, &image, &stranger.json, kind);
    let attested = attestation(&world, &image, "https://example.test/report");
    put_bundle(registry, &image, &attested, "");
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 1);
    assert_eq!(verdict["signatures"][0]["form"], "legacy");
}

#[test]
fn each_image_is_judged_by_its_own_form() {
    let world = World::new();
    let (new, old) = (world.image("v1"), world.image("v2"));
    world.keyless("sign").arg(new.by_digest()).run().exits(0);
    sign(&world, &old, &[]);
    for images in [[&new, &old], [&old, &new]] {
        world
            .keyless("verify")
            .args(images.map(Image::by_digest))
            .args(world.expecting())
            .run()
            .exits(0);
    }
}

#[test]
fn an_older_attestation_is_no_signature_and_the_other_way_round() {
    let world = World::new();
    let (attested, signed) = (world.image("v1"), world.image("v2"));
    world.write("predicate.json", r#"{"found":[1.50,{"b":0,"a":0}]}"#);
    let kind = "https://example.test/report";
    world
        .keyless("attest --format legacy --predicate predicate.json --type")
        .args([kind, &attested.by_digest()])
        .run()
        .exits(0);
    sign(&world, &signed, &[]);
    let check = |image: &Image, kind: &str| {
        world
            .keyless("verify-attestation --output json --type")
            .args([kind, &image.by_digest()])
            .args(world.expecting())
            .run()
    };
    let found = check(&attested, kind).exits(0);
    assert!(
        found.stdout.contains(r#"{"found":[1.50,{"b":0,"a":0}]}"#),
        "{found:#?}"
    );
    check(&attested, "https://example.test/other").exits(10);
    check(&signed, kind).exits(10);
    assert_eq!(code(&world, &attested, 10), "no-signature");
    // Under the tag of signatures an attestation is still none.
    let envelope = manifest(&world, &attested, "att");
    replace(&world, &attested, "sig", &envelope);
    assert_eq!(code(&world, &attested, 10), "no-signature");
}

#[test]
fn the_older_form_needs_a_log_that_promises() {
    let world = World::start(RekorVersion::V2, &[]);
    let image = world.image("v1");
    world
        .keyless("sign --format legacy --output json")
        .arg(image.by_digest())
        .run()
        .exits(30)
        .says("nothing was published");
    assert_eq!(world.count(Service::Fulcio), 0);
    assert_eq!(world.registry_writes(), 0);
}

#[test]
fn signatures_of_the_experimental_mode_are_found() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &[]);
    let mut found = manifest(&world, &image, "sig");
    let kind = "application/vnd.dev.cosign.artifact.sig.v1+json";
    let registry = world.sandbox.registry();
    let config = Descriptor::of(kind, b"{}");
    registry.put_blob(REPOSITORY, &b"{}"[..]).unwrap();
    found["config"] = json!(config);
    found["artifactType"] = kind.into();
    found["subject"] = json!(image.descriptor);
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, found.to_string())
        .unwrap();
    // Nothing under the tag: the referrer alone.
    let empty = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [],
    });
    replace(&world, &image, "sig", &empty);
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(0);
    assert_eq!(verdict["signatures"][0]["form"], "legacy");
}

#[test]
fn one_payload_signed_twice_is_fetched_once() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &[]);
    sign(&world, &image, &[]);
    let found = manifest(&world, &image, "sig");
    assert_eq!(found["layers"].as_array().unwrap().len(), 2);
    world.sandbox.registry().forget_requests();
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 2);
    let asked = world.sandbox.registry().requests();
    // The list has no bundle, so the fallback tag is asked for too.
    assert_eq!(asked.len(), 4, "lists, manifest, payload: {asked:#?}");
}

#[test]
fn signers_side_by_side_take_nothing_from_each_other() {
    let world = World::new();
    let faults = RegistryFaults::default();
    let registry = OwnRegistry::start(&world, RegistryMode::without_referrers());
    registry.registry.set_faults(faults);
    let image = registry.image("v1");
    let signers: Vec<String> = (0..4).map(|i| format!("dev{i}@example.test")).collect();
    let children: Vec<_> = signers
        .iter()
        .map(|signer| {
            let token = world.token(&TokenRequest::new(signer));
            world
                .keyless("sign --format legacy --identity-token")
                .args([token, image.by_digest()])
                .command()
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        crate::support::wait(&mut child, "sign --format legacy");
        assert!(child.wait().unwrap().success());
    }
    for signer in &signers {
        world
            .keyless("verify")
            .arg(image.by_digest())
            .args(world.expecting_of(signer))
            .run()
            .exits(0);
    }
}

#[test]
fn a_file_signed_for_older_readers_is_verified() {
    let world = World::new();
    world.write("a.txt", "a");
    world
        .keyless("sign-blob --format legacy --bundle a.old.json --output-signature a.sig --output-certificate a.pem a.txt")
        .run()
        .exits(0);
    let old: Value = serde_json::from_str(&world.read("a.old.json")).unwrap();
    assert!(old["rekorBundle"]["SignedEntryTimestamp"].is_string());
    let check = |arguments: &str| {
        world
            .keyless("verify-blob --output json")
            .args(arguments.split_whitespace())
            .args(world.expecting())
            .run()
    };
    check("a.txt --bundle a.old.json").exits(0);
    world.write("b.txt", "b");
    check("b.txt --bundle a.old.json").fails(20, "signature-invalid");
    // Nothing beside the signature says when it was made; the log does, where it is asked.
    check("a.txt --signature a.sig --certificate a.pem").fails(32, "log-unknown");
    let log = world.sandbox.url(Service::RekorV1).to_owned();
    let asking = format!("--rekor-url {log}");
    let detached = "--signature a.sig --certificate a.pem";
    check(&format!("a.txt {detached} {asking}")).exits(0);
    let text = world.read("a.sig");
    check(&format!(
        "a.txt --signature {text} --certificate a.pem {asking}"
    ))
    .exits(0);
    // The log itself refuses to look for what does not verify.
    check(&format!("b.txt {detached} {asking}")).exits(44);
    // Another certificate of the same signer.
    world
        .keyless("sign-blob --bundle b.json --output-certificate b.pem b.txt")
        .run()
        .exits(0);
    check(&format!(
        "a.txt --signature a.sig --certificate b.pem {asking}"
    ))
    .exits(44);
    check(&format!("a.txt --signature a.sig {asking}")).fails(13, "no-certificate");
    check("a.txt --signature ? --certificate a.pem").fails(22, "legacy-malformed");
    let promise = old["rekorBundle"].clone();
    let mut stripped = old.clone();
    stripped["rekorBundle"]["Payload"]["logIndex"] = 7.into();
    world.write("moved.json", stripped.to_string());
    check("a.txt --bundle moved.json").fails(32, "log-promise-invalid");
    assert!(promise.is_object());
}

#[test]
fn a_timestamp_beside_an_older_signature_counts() {
    let world = World::new();
    world.write("a.txt", "a");
    world
        .keyless(
            "sign-blob --bundle a.json --output-signature a.sig --output-certificate a.pem a.txt",
        )
        .run()
        .exits(0);
    let bundle = Bundle::parse(world.read("a.json").as_bytes()).unwrap();
    world.write("a.tsr", &bundle.timestamps[0]);
    let check = |file: &str, timestamp: &str| {
        world
            .keyless("verify-blob --output json --insecure-ignore-tlog --timestamp-threshold 1 --signature a.sig --certificate a.pem")
            .args([file, "--rfc3161-timestamp", timestamp])
            .args(world.expecting())
            .run()
    };
    check("a.txt", "a.tsr").exits(0);
    world.write("b.txt", "b");
    world
        .keyless("sign-blob --bundle b.json b.txt")
        .run()
        .exits(0);
    let other = Bundle::parse(world.read("b.json").as_bytes()).unwrap();
    world.write("b.tsr", &other.timestamps[0]);
    check("a.txt", "b.tsr").fails(33, "timestamp-imprint");
    assert_eq!(sha256("a"), Digest::sha256(b"a").to_string());
}

const EXPERIMENTAL: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";

/// A referrer that says it is an older signature, with these layers.
fn put_older(world: &World, image: &Image, layers: &Value) -> Descriptor {
    let text = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": EXPERIMENTAL,
        "config": Descriptor::of(EXPERIMENTAL, b"{}"),
        "layers": layers,
        "subject": image.descriptor,
    })
    .to_string();
    let registry = world.sandbox.registry();
    registry.put_blob(REPOSITORY, &b"{}"[..]).unwrap();
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, text.clone())
        .unwrap();
    Descriptor::of(OCI_MANIFEST, text.as_bytes())
}

/// The codes of why what is attached is refused, each with how often.
fn refusals(verdict: &Value) -> std::collections::BTreeMap<String, usize> {
    let mut codes = std::collections::BTreeMap::new();
    for refused in verdict["refused"].as_array().unwrap() {
        let code = refused["reason"]["code"].as_str().unwrap().to_owned();
        *codes.entry(code).or_default() += 1;
    }
    codes
}

#[test]
fn manifests_of_older_signatures_have_a_bound() {
    let world = World::new();
    let image = world.image("v1");
    // Large by layers that are no signatures: what a list repeats of a manifest is its annotations alone.
    let manifests: Vec<Descriptor> = (0..3)
        .map(|n| {
            let mut layer = json!(Descriptor::of("text/plain", b"{}"));
            layer["annotations"] = json!({ "n": format!("{n}{}", "n".repeat(3000)) });
            put_older(&world, &image, &json!(vec![layer; 1000]))
        })
        .collect();
    world.sandbox.registry().forget_requests();
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(42);
    assert_eq!(verdict["error"]["code"], "registry-too-many");
    let asked = world.sandbox.registry().requests();
    let is_one = |path: &str| {
        let mut digests = manifests.iter().map(|one| one.digest.to_string());
        digests.any(|digest| path.ends_with(&digest))
    };
    let read = asked.iter().filter(|request| is_one(&request.path)).count();
    assert_eq!(read, 2, "8 MiB and no more");
}

#[test]
fn older_signatures_of_one_image_are_counted() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &[]);
    let good = manifest(&world, &image, "sig");
    // One blob under many annotations, so that counting is all that bounds it.
    let layers: Vec<Value> = (0..1000)
        .map(|n| {
            let mut layer = good["layers"][0].clone();
            layer["annotations"] = json!({ "n": n.to_string() });
            layer
        })
        .collect();
    let mut many = good.clone();
    many["layers"] = layers.into();
    replace(&world, &image, "sig", &many);
    put_older(&world, &image, &good["layers"]);
    let (run, verdict) = verify(&world, &image, &[]);
    run.exits(42);
    assert_eq!(verdict["error"]["code"], "registry-too-many");
    let counted = refusals(&verdict);
    assert_eq!(counted["legacy-malformed"], 1000, "{counted:?}");
    assert_eq!(counted["registry-too-many"], 1, "{counted:?}");
}

/// cosign 2 writes what Fulcio gave: the issuer first, the root last. Readers of containers/image build the
/// certificate's chain of it, and need no intermediate in their policy then.
#[test]
fn the_authoritys_certificates_stand_beside_the_signers() {
    let world = World::new();
    let image = world.image("v1");
    sign(&world, &image, &[]);
    world.write("predicate.json", "{\"x\":1}");
    let run = world.keyless("attest --format legacy --type custom --predicate predicate.json");
    run.arg(image.by_digest()).run().exits(0);
    for suffix in ["sig", "att"] {
        let mut manifest = manifest(&world, &image, suffix);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pem = text(annotation(&mut manifest, 0, "dev.sigstore.cosign/chain"));
        let leaf = text(annotation(&mut manifest, 0, CERTIFICATE));
        let chain = keyless::crypto::Certificate::chain_from_pem(&pem, 10).unwrap();
        let whole = keyless::crypto::Certificate::chain_from_pem(&(leaf + &pem), 10).unwrap();
        assert_eq!(
            whole.len(),
            1 + chain.len(),
            "PEM blocks stand on lines of their own"
        );
        assert_eq!(chain.len(), 2, "{pem}");
        assert!(chain.iter().all(keyless::crypto::Certificate::is_ca));
        assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
    }
}
