//! `keyless verify`.

use std::collections::BTreeMap;

use keyless::crypto::{Digest, Secret};
use keyless::flow::identity::TokenSource;
use keyless::flow::sign::{Payload, SignatureForm, SignedBundle, SigningOptions, prepare};
use keyless::flow::trust::TrustSource;
use keyless::format::oci::{
    BUNDLE_ARTIFACT_TYPE, Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, OCI_MANIFEST,
};
use keyless::format::statement::image_signature_payload;
use keyless::net::HttpClient;
use keyless::sandbox::registry::{RegistryMode, SandboxRegistry};
use keyless::sandbox::{Service, TokenRequest};
use keyless::verify::ExpectedContent;
use serde_json::{Value, json};

use crate::support::{IDENTITY, Image, OwnRegistry, REPOSITORY, Run, World, put_index, sha256};

const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Signs statements through the library; as many bundles, one certificate.
pub fn sign_statements(
    world: &World,
    identity: &str,
    statements: Vec<(Digest, Vec<u8>)>,
) -> Vec<SignedBundle> {
    sign_statements_with(world, &TokenRequest::new(identity), statements)
}

pub fn sign_statements_with(
    world: &World,
    token: &TokenRequest,
    statements: Vec<(Digest, Vec<u8>)>,
) -> Vec<SignedBundle> {
    let token = world.token(token);
    let files = world.sandbox.files();
    let options = SigningOptions {
        trusted_root: TrustSource::File(files.join("trusted_root.json")),
        signing_config: TrustSource::File(files.join("signing_config.v0.2.json")),
        token: TokenSource {
            given: Some(Secret::new(token)),
            audience: "sigstore".to_owned(),
            ..TokenSource::default()
        },
        expected_identity: None,
        form: SignatureForm::Bundle,
    };
    let payloads: Vec<Payload> = statements
        .into_iter()
        .map(|(subject, payload)| Payload::Statement {
            payload,
            subject,
            expected: ExpectedContent::Any,
        })
        .collect();
    world.block_on(async {
        let preparation = prepare(&HttpClient::new(), &options, &|_| ())
            .await
            .unwrap();
        preparation.sign(&payloads, &|_| ()).await.unwrap()
    })
}

/// A bundle over an in-toto statement of some predicate type.
pub fn attestation(world: &World, image: &Image, predicate_type: &str) -> String {
    let digest = image.descriptor.digest;
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": predicate_type,
        "predicate": {},
    });
    let statements = vec![(digest, statement.to_string().into_bytes())];
    sign_statements(world, IDENTITY, statements).remove(0).json
}

/// Attaches bytes as a bundle beside the registry's protocol, saying that it is of this predicate type.
pub fn put_bundle(registry: &SandboxRegistry, image: &Image, json: &str, predicate_type: &str) {
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, json.as_bytes());
    let created = keyless::crypto::UnixTime::from_seconds(1_800_000_000);
    let manifest = EncodedManifest::for_bundle(&layer, &image.descriptor, predicate_type, created);
    registry.put_blob(REPOSITORY, EMPTY_CONFIG_BYTES).unwrap();
    registry.put_blob(REPOSITORY, json.to_owned()).unwrap();
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.bytes)
        .unwrap();
}

/// An image that the sandbox's identity has signed.
pub fn signed(world: &World, tag: &str) -> Image {
    let image = world.image(tag);
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    image
}

/// Verifies one image with these flags; the image's part of the document.
fn judge(world: &World, image: &Image, flags: &[&str]) -> (Run, Value) {
    let run = world
        .keyless("verify --output json")
        .arg(image.by_digest())
        .args(flags)
        .run();
    let verdict = run.json()["images"][0].clone();
    (run, verdict)
}

fn refused(world: &World, image: &Image, flags: &[&str], exit: i32, code: &str) -> Run {
    let (run, verdict) = judge(world, image, flags);
    let run = run.exits(exit);
    assert_eq!(verdict["result"], "refused", "{run:#?}");
    assert_eq!(verdict["exitCode"], exit, "{run:#?}");
    assert_eq!(verdict["error"]["code"], code, "{run:#?}");
    assert_eq!(verdict["signatures"], json!([]), "{run:#?}");
    run
}

#[test]
fn a_verdict_says_who_when_and_where() {
    let world = World::new();
    let image = signed(&world, "v1");
    let run = world
        .keyless("verify")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(0)
        .shows(&format!("verified {}", image.by_digest()))
        .shows(&format!("  identity   {IDENTITY}"))
        .shows(&format!("  issuer     {}", world.sandbox.issuer()))
        .shows("  log index  1 in ")
        .shows("  logged     ");
    assert_eq!(run.stderr, "");
    let flags = world.expecting();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (_, verdict) = judge(&world, &image, &flags);
    let signature = &verdict["signatures"][0];
    assert_eq!(signature["signer"]["identity"], IDENTITY);
    assert_eq!(signature["logEntries"][0]["logIndex"], 1);
    assert_eq!(signature["logEntries"][0]["inclusionProven"], true);
    assert_eq!(signature["predicateType"], COSIGN_SIGN);
    assert!(signature["observedTimes"][0]["time"].is_string());
    assert!(signature["timestamps"][0]["time"].is_string());
}

#[test]
fn identity_and_issuer_must_match_to_the_character() {
    let world = World::new();
    let image = signed(&world, "v1");
    let issuer = world.sandbox.issuer();
    let other_issuer = format!("{issuer}/");
    for (identity, issuer) in [
        ("dev@example.tes", issuer),
        ("dev@example.testt", issuer),
        ("Dev@example.test", issuer),
        ("dew@example.test", issuer),
        (IDENTITY, &other_issuer),
        (IDENTITY, &issuer[..issuer.len() - 1]),
    ] {
        let flags = [
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            issuer,
        ];
        let run = refused(&world, &image, &flags, 12, "identity-mismatch");
        run.says(&format!("found:    {IDENTITY}"));
    }
}

#[test]
fn a_pattern_must_match_the_whole_value() {
    let world = World::new();
    let image = signed(&world, "v1");
    let issuer = world.sandbox.issuer();
    let check = |pattern: &str| {
        let flags = [
            "--certificate-identity-regexp",
            pattern,
            "--certificate-oidc-issuer",
            issuer,
        ];
        judge(&world, &image, &flags).0
    };
    for pattern in [r"dev@.*", r".*@example\.test", r"^dev@example\.test$"] {
        check(pattern).exits(0);
    }
    for part in ["@example", "^dev@", "dev@.*x|nobody"] {
        // A suggestion here would let in whoever has an address that begins so.
        check(part).exits(12).does_not_say("this one would");
    }
    check(r"dev|dev@example\.test").exits(0);
}

#[test]
fn a_pattern_of_a_part_of_a_path_is_completed() {
    let world = World::new();
    let image = world.image("v1");
    let workflow = "https://github.com/octo/app/.github/workflows/w.yml@refs/heads/main";
    let token = world.token(&TokenRequest::new(workflow));
    world
        .keyless("sign --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
    let check = |pattern: &str| {
        let flags = [
            "--certificate-identity-regexp",
            pattern,
            "--certificate-oidc-issuer",
            world.sandbox.issuer(),
        ];
        judge(&world, &image, &flags).0
    };
    for (part, completed) in [
        ("https://github.com/octo/", "https://github.com/octo/.*"),
        ("^https://github.com/octo", "^https://github.com/octo/.*"),
    ] {
        check(part)
            .exits(12)
            .says(&format!("this one would: {completed}"));
        check(completed).exits(0);
    }
    check("https://github.com/oct")
        .exits(12)
        .does_not_say("this one would");
}

#[test]
fn bad_patterns_and_empty_values_are_usage() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    let issuer = world.sandbox.issuer();
    for (flag, value, code) in [
        ("--certificate-identity-regexp", "(", "usage-pattern"),
        ("--certificate-identity-regexp", ")(", "usage-pattern"),
        ("--certificate-identity-regexp", "", "usage-pattern"),
        ("--certificate-identity", "", "usage-empty-value"),
    ] {
        world
            .keyless("verify --output json --certificate-oidc-issuer")
            .args([issuer, &image, flag, value])
            .run()
            .fails(2, code);
    }
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn without_an_expected_signer_nothing_is_verified_and_the_signers_are_listed() {
    let world = World::new();
    let image = signed(&world, "v1");
    let issuer = world.sandbox.issuer().to_owned();
    let pin = format!("--certificate-identity {IDENTITY} --certificate-oidc-issuer {issuer}");
    for flags in [
        vec![],
        vec!["--certificate-identity", IDENTITY],
        vec!["--certificate-identity-regexp", ".*"],
        vec!["--certificate-oidc-issuer", &issuer],
    ] {
        let claimed = world
            .keyless("verify --output json")
            .arg(image.by_digest())
            .args(flags)
            .run()
            .fails(2, "usage-identity-missing")
            .says("not verified")
            .says(&pin)
            .json()["claimedSigners"][0]
            .clone();
        assert_eq!(claimed["signed"], image.by_digest());
        assert_eq!(claimed["signers"][0]["identity"], IDENTITY);
        assert_eq!(claimed["signers"][0]["issuer"], issuer);
    }
}

#[test]
fn several_identities_may_be_expected() {
    let world = World::new();
    let image = signed(&world, "v1");
    let issuer = world.sandbox.issuer();
    let flags = [
        "--certificate-identity",
        "ann@example.test",
        "--certificate-identity",
        IDENTITY,
        "--certificate-oidc-issuer",
        "https://issuer.example.test",
        "--certificate-oidc-issuer",
        issuer,
    ];
    let (run, _) = judge(&world, &image, &flags);
    run.exits(0);
}

#[test]
fn annotations_must_be_in_the_signature() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("sign -a env=prod -a team=core")
        .arg(image.by_digest())
        .run()
        .exits(0);
    let verify = |annotations: &str| {
        let expecting = world.expecting();
        let flags: Vec<&str> = annotations
            .split_whitespace()
            .chain(expecting.iter().map(String::as_str))
            .collect();
        judge(&world, &image, &flags)
    };
    for matching in ["", "-a env=prod", "-a env=prod -a team=core"] {
        let (run, verdict) = verify(matching);
        run.exits(0);
        let annotations = &verdict["signatures"][0]["annotations"];
        assert_eq!(*annotations, json!({ "env": "prod", "team": "core" }));
    }
    for (other, found) in [
        ("-a env=test", "prod"),
        ("-a env=prod -a stage=1", "no such annotation"),
    ] {
        let (run, verdict) = verify(other);
        run.exits(12);
        assert_eq!(verdict["error"]["code"], "annotation-mismatch");
        assert_eq!(verdict["error"]["details"][1]["value"], found);
    }
}

fn expecting(world: &World) -> Vec<String> {
    world.expecting()
}

/// Flags as the functions above take them.
macro_rules! flags {
    ($world:expr) => {
        &expecting($world)
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()[..]
    };
}

#[test]
fn an_image_without_signature() {
    let world = World::new();
    let image = world.image("v1");
    refused(&world, &image, flags!(&world), 10, "no-signature");
    let mut absent = world.image("v1");
    absent.descriptor.digest = sha256("absent").parse().unwrap();
    refused(&world, &absent, flags!(&world), 11, "no-such-image");
}

#[test]
fn an_attestation_is_no_signature() {
    let world = World::new();
    let image = world.image("v1");
    let json = attestation(&world, &image, "https://slsa.dev/provenance/v1");
    let registry = world.sandbox.registry();
    put_bundle(registry, &image, &json, "https://slsa.dev/provenance/v1");
    let run = refused(&world, &image, flags!(&world), 10, "no-signature");
    run.says("1 attestation, 0 other referrers")
        .says("does not sign it");
    // One that calls itself a signature in its manifest is found out by what was signed.
    put_bundle(registry, &image, &json, COSIGN_SIGN);
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(10);
    assert_eq!(verdict["error"]["code"], "no-signature");
    let reasons: Vec<_> = verdict["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| refused["reason"]["code"].clone())
        .collect();
    assert_eq!(reasons, ["not-a-signature", "not-a-signature"]);
}

#[test]
fn a_signature_for_another_image_is_none() {
    let world = World::new();
    let (image, other) = (world.image("v1"), world.image("v2"));
    let digest = other.descriptor.digest;
    let payload = image_signature_payload(&digest, &BTreeMap::new());
    let bundle = sign_statements(&world, IDENTITY, vec![(digest, payload)]).remove(0);
    put_bundle(world.sandbox.registry(), &image, &bundle.json, COSIGN_SIGN);
    refused(&world, &image, flags!(&world), 21, "artifact-mismatch");
}

#[test]
fn a_stranger_never_hides_a_good_signature() {
    let world = World::new();
    let image = world.image("v1");
    let stranger = world.token(&TokenRequest::new("stranger@example.test"));
    let sign = |token: Option<&str>| {
        world
            .keyless("sign")
            .arg(image.by_digest())
            .args(token.map(|token| format!("--identity-token={token}")))
            .run()
            .exits(0);
    };
    sign(Some(&stranger));
    refused(&world, &image, flags!(&world), 12, "identity-mismatch")
        .says("--certificate-identity stranger@example.test");
    sign(None);
    sign(Some(&stranger));
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 1);
    assert_eq!(verdict["refused"].as_array().unwrap().len(), 2);
}

#[test]
fn rubbish_beside_a_good_signature_is_passed_over() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    for rubbish in [
        "",
        "{}",
        "null",
        "[[[[",
        "\u{1b}[2J",
        "{\"mediaType\":\"x\"}",
    ] {
        put_bundle(registry, &image, rubbish, COSIGN_SIGN);
    }
    // A manifest whose layer is not there, and one that is no bundle.
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, b"absent");
    let created = keyless::crypto::UnixTime::from_seconds(0);
    let absent = EncodedManifest::for_bundle(&layer, &image.descriptor, COSIGN_SIGN, created);
    let other = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/spdx+json",
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [Descriptor::of("application/spdx+json", b"{}")],
        "subject": image.descriptor,
    });
    for manifest in [absent.bytes.to_vec(), other.to_string().into_bytes()] {
        registry
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest)
            .unwrap();
    }
    let (run, verdict) = judge(&world, &image, flags!(&world));
    assert!(run.code != Some(0), "{run:#?}");
    assert_eq!(verdict["refused"].as_array().unwrap().len(), 8);
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn all_images_are_judged_and_the_worst_is_the_exit_code() {
    let world = World::new();
    let good = signed(&world, "good");
    let unsigned = world.image("unsigned");
    let strange = world.image("strange");
    let stranger = world.token(&TokenRequest::new("stranger@example.test"));
    world
        .keyless("sign --identity-token")
        .args([&stranger, &strange.by_digest()])
        .run()
        .exits(0);
    let absent = format!("{}:absent", good.repository);
    let run = world
        .keyless("verify --output json")
        .args([
            &unsigned.by_digest(),
            &good.by_digest(),
            &strange.by_digest(),
            &absent,
        ])
        .args(world.expecting())
        .run()
        .exits(12);
    let document = run.json();
    assert_eq!(document["exitCode"], 12);
    let codes: Vec<_> = document["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["exitCode"].as_u64().unwrap())
        .collect();
    assert_eq!(codes, [10, 0, 12, 11]);
}

#[test]
fn each_error_of_several_images_names_its_image() {
    let world = World::new();
    let (good, unsigned) = (signed(&world, "good"), world.image("unsigned"));
    let run = world
        .keyless("verify")
        .args([good.by_digest(), unsigned.by_digest()])
        .args(world.expecting())
        .run()
        .exits(10)
        .shows(&format!("verified {}", good.by_digest()))
        .says(&unsigned.by_digest());
    assert!(!run.stdout.contains(&unsigned.by_digest()), "{run:#?}");
}

#[test]
fn a_tag_is_judged_for_what_it_points_to() {
    let world = World::new();
    let image = signed(&world, "v1");
    let run = world
        .keyless("verify --output json")
        .arg(image.by_tag())
        .args(world.expecting())
        .run()
        .exits(0);
    assert_eq!(run.json()["images"][0]["reference"], image.by_digest());
}

#[test]
fn an_index_is_judged_as_itself() {
    let world = World::new();
    let child = signed(&world, "amd64");
    let host = world.host(Service::Registry);
    let index = put_index(world.sandbox.registry(), &host, "all", &[&child]);
    refused(&world, &index, flags!(&world), 10, "no-signature");
}

#[test]
fn one_signature_by_digest_costs_three_requests() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    own.registry.forget_requests();
    let (run, _) = judge(&world, &image, flags!(&world));
    run.exits(0);
    assert_eq!(own.registry.requests().len(), 3);
    assert_eq!(world.count(Service::Tuf), 0);
}

#[test]
fn a_hundred_signatures_cost_two_hundred_and_one_requests() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    let digest = image.descriptor.digest;
    let statements = (0..100)
        .map(|number| {
            let annotations = BTreeMap::from([("number".to_owned(), number.to_string())]);
            (digest, image_signature_payload(&digest, &annotations))
        })
        .collect();
    for bundle in sign_statements(&world, IDENTITY, statements) {
        put_bundle(&own.registry, &image, &bundle.json, COSIGN_SIGN);
    }
    own.registry.forget_requests();
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(0);
    assert_eq!(verdict["signatures"].as_array().unwrap().len(), 100);
    assert_eq!(own.registry.requests().len(), 201);
}

#[test]
fn a_refusal_lists_no_more_than_twenty_and_json_all() {
    let world = World::new();
    let image = world.image("v1");
    let stranger = "stranger@example.test";
    let digest = image.descriptor.digest;
    let statements = (0..25)
        .map(|number| {
            let annotations = BTreeMap::from([("number".to_owned(), number.to_string())]);
            (digest, image_signature_payload(&digest, &annotations))
        })
        .collect();
    for bundle in sign_statements(&world, stranger, statements) {
        put_bundle(world.sandbox.registry(), &image, &bundle.json, COSIGN_SIGN);
    }
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(12).says("  and 5 more; --output json lists all");
    assert_eq!(verdict["refused"].as_array().unwrap().len(), 25);
}

#[test]
fn a_registry_that_serves_other_content_is_not_believed() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    let image = own.image("v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    own.registry
        .set_faults(keyless::sandbox::registry::RegistryFaults {
            wrong_content: true,
            ..Default::default()
        });
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(21);
    assert_eq!(verdict["error"]["code"], "registry-digest-mismatch");
}

#[test]
fn a_registry_that_is_not_there() {
    let world = World::new();
    let (_kept, nobody) = crate::support::nobody();
    let image = format!("{nobody}/team/app@{}", sha256("x"));
    let run = world
        .keyless("verify --output json")
        .arg(image)
        .args(world.expecting())
        .run()
        .exits(40);
    assert_eq!(run.json()["result"], "error");
    assert_eq!(
        run.json()["images"][0]["error"]["code"],
        "service-unreachable"
    );
}

/// Large referrers are read up to a budget, and what lies beyond is told: it may be the signature.
#[test]
fn the_bytes_of_an_image_s_bundles_have_a_bound() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    registry.put_blob(REPOSITORY, EMPTY_CONFIG_BYTES).unwrap();
    let mut paths = Vec::new();
    for second in 0..9 {
        // Each its own: what several name is fetched once.
        let mut junk = vec![b' '; 8 * 1024 * 1024];
        junk[0] = b'0' + u8::try_from(second).unwrap();
        let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, &junk);
        registry.put_blob(REPOSITORY, junk).unwrap();
        paths.push(format!("/blobs/{}", layer.digest));
        let created = keyless::crypto::UnixTime::from_seconds(second);
        let manifest = EncodedManifest::for_bundle(&layer, &image.descriptor, COSIGN_SIGN, created);
        registry
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.bytes)
            .unwrap();
    }
    let (run, verdict) = judge(&world, &image, flags!(&world));
    run.exits(42);
    assert_eq!(verdict["error"]["code"], "registry-too-many");
    let requests = world.sandbox.requests();
    let is_layer = |path: &str| paths.iter().any(|layer| path.ends_with(layer.as_str()));
    let read = requests.iter().filter(|r| is_layer(&r.path)).count();
    assert_eq!(read, 8, "64 MiB and no more");
}
