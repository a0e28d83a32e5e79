//! `keyless policy init` and `keyless policy check`.

use keyless::format::oci::{Descriptor, OCI_MANIFEST};
use keyless::sandbox::TokenRequest;
use keyless::verify::policy_file::PolicyFile;
use serde_json::{Value, json};

use crate::policy::{rule, write_policy};
use crate::support::{IDENTITY, Image, REPOSITORY, Run, World, sha256};
use crate::verify::{attestation, put_bundle, sign_statements, signed};

const SLSA: &str = "https://slsa.dev/provenance/v1";
const STRANGER: &str = "stranger@example.test";
const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

fn init(world: &World, image: &str) -> Run {
    world
        .keyless("policy init --output-file policy.toml")
        .arg(image)
        .run()
}

fn verify(world: &World, image: &Image) -> Run {
    world
        .keyless("verify --policy policy.toml --output json")
        .arg(image.by_digest())
        .run()
}

#[test]
fn a_draft_accepts_what_it_was_made_from_and_nothing_else() {
    let world = World::new();
    let image = signed(&world, "v1");
    let run = init(&world, &image.by_tag()).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let text = world.read("policy.toml");
    assert!(text.contains("It says who HAS signed, not who may."));
    let file = PolicyFile::parse(&text).unwrap();
    let [rule] = file.rules() else {
        panic!("{text}");
    };
    assert_eq!(rule.name(), image.repository);
    assert_eq!(rule.requires(), ["signature"]);
    assert_eq!(
        rule.signers(),
        [format!("{IDENTITY} (issuer {})", world.sandbox.issuer())]
    );
    verify(&world, &image).exits(0);
    // The same repository by somebody else, and another repository.
    let other = world.image("v2");
    let token = world.token(&TokenRequest::new(STRANGER));
    world
        .keyless("sign --identity-token")
        .args([token, other.by_digest()])
        .run()
        .exits(0);
    verify(&world, &other).exits(12);
    let elsewhere = Image {
        repository: format!("{}2", image.repository),
        ..signed(&world, "v1")
    };
    verify(&world, &elsewhere).exits(15);
}

#[test]
fn everything_that_holds_is_in_the_draft_and_nothing_that_does_not() {
    let world = World::new();
    let image = signed(&world, "v1");
    let registry = world.sandbox.registry();
    let token = world.token(&TokenRequest::new(STRANGER));
    world
        .keyless("sign --identity-token")
        .args([&token, &image.by_digest()])
        .run()
        .exits(0);
    let slsa = attestation(&world, &image, SLSA);
    put_bundle(registry, &image, &slsa, SLSA);
    // For another image, and with a signature that does not verify.
    let other = attestation(&world, &world.image("v2"), SLSA);
    put_bundle(registry, &image, &other, SLSA);
    let mut broken: Value = serde_json::from_str(&slsa).unwrap();
    let statement = broken["dsseEnvelope"]["payload"].as_str().unwrap();
    broken["dsseEnvelope"]["payload"] = statement.replacen('e', "f", 1).into();
    put_bundle(registry, &image, &broken.to_string(), SLSA);
    put_bundle(registry, &image, "rubbish", COSIGN_SIGN);
    let run = init(&world, &image.by_digest())
        .exits(0)
        .says("warning: left out: ")
        .says("bundle is for another artifact")
        .says("malformed bundle");
    assert_eq!(run.stderr.matches("left out").count(), 3, "{run:#?}");
    let file = PolicyFile::parse(&world.read("policy.toml")).unwrap();
    let found: Vec<_> = file
        .rules()
        .iter()
        .map(|rule| (rule.requires(), rule.signers().len()))
        .collect();
    assert_eq!(found, [(vec!["signature"], 2), (vec![SLSA], 1)]);
    verify(&world, &image).exits(0);
}

#[test]
fn without_a_signature_that_holds_there_is_no_draft() {
    let world = World::new();
    let image = world.image("v1");
    let nothing = |world: &World, image: &str, exit: i32, said: &str| {
        init(world, image).exits(exit).says(said);
        assert!(!world.path("policy.toml").exists());
    };
    nothing(&world, &image.by_digest(), 10, "nothing is attached");
    let absent = format!("{}@{}", image.repository, sha256("absent"));
    nothing(&world, &absent, 11, "error: ");
    let other = attestation(&world, &world.image("v2"), SLSA);
    put_bundle(world.sandbox.registry(), &image, &other, SLSA);
    nothing(
        &world,
        &image.by_digest(),
        10,
        "bundle is for another artifact",
    );
    // Another Sigstore's signatures hold nothing here.
    let image = signed(&world, "v3");
    world
        .keyless("policy init")
        .arg(image.by_digest())
        .env_remove("KEYLESS_TRUSTED_ROOT")
        .run()
        .exits(10)
        .says("nothing to write a policy from: no signature holds");
    world.keyless("policy init").run().exits(2);
}

#[test]
fn a_signature_of_the_manifest_as_a_file_is_left_out() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("sign-blob --bundle bundle.json")
        .arg(image.descriptor.digest.to_string())
        .run()
        .exits(0);
    let registry = world.sandbox.registry();
    put_bundle(registry, &image, &world.read("bundle.json"), COSIGN_SIGN);
    init(&world, &image.by_digest())
        .exits(10)
        .says("a signature of another kind");
}

/// Whoever is beyond the list's end would be missing in the draft.
#[test]
fn a_list_that_was_cut_is_no_draft() {
    let world = World::new();
    let image = signed(&world, "v1");
    for number in 0..1000 {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/spdx+json",
            "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [Descriptor::of("application/spdx+json", number.to_string().as_bytes())],
            "subject": image.descriptor,
        });
        let registry = world.sandbox.registry();
        registry
            .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.to_string())
            .unwrap();
    }
    world
        .keyless("policy init --max-referrers 1000 --output-file policy.toml")
        .args([image.by_digest()])
        .run()
        .exits(42)
        .says("error: more than 1000 referrers\n");
}

#[test]
fn files_are_drafted_from_the_bundles_beside_them() {
    let world = World::new();
    for name in ["file", "other", "a*b"] {
        world.write(name, "content");
        world.keyless("sign-blob").arg(name).run().exits(0);
    }
    let before = world.counts();
    world
        .keyless("policy init --file file --output-file policy.toml")
        .run()
        .exits(0);
    let verify = |file: &str| {
        world
            .keyless("verify-blob --policy policy.toml")
            .arg(file)
            .run()
    };
    verify("file").exits(0);
    verify("other").exits(15);
    world
        .keyless("policy init --file a*b")
        .run()
        .exits(2)
        .says("no pattern can name \"a*b\"");
    world.keyless("policy init --file absent").run().exits(10);
    world.write("other", "changed");
    world
        .keyless("policy init --file other")
        .run()
        .exits(10)
        .says("found: other: ");
    // An attestation of a file is drafted as one.
    let digest = keyless::crypto::Digest::sha256(b"content");
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "digest": { "sha256": digest.hex() } }],
        "predicateType": SLSA,
        "predicate": {},
    });
    assert_eq!(world.counts(), before);
    let statements = vec![(digest, statement.to_string().into_bytes())];
    let bundle = sign_statements(&world, IDENTITY, statements).remove(0);
    world.write("file.sigstore.json", bundle.json);
    world
        .keyless("policy init --file file")
        .run()
        .exits(0)
        .shows(&format!("requires = [\"{SLSA}\"]"));
}

#[test]
fn a_policy_is_listed() {
    let world = World::new();
    let rules = [
        rule(&world, "app", "images = [\"reg.test/**\"]", IDENTITY),
        rule(
            &world,
            "dist",
            &format!("files = [\"dist/*\", \"-\"]\nrequires = [\"{SLSA}\"]\nlog-threshold = 2"),
            STRANGER,
        ),
    ];
    write_policy(&world, &rules);
    let issuer = world.sandbox.issuer();
    let run = world
        .keyless("policy check --policy policy.toml")
        .run()
        .exits(0);
    assert_eq!(
        run.stdout,
        format!(
            "rule app\n  images     reg.test/**\n  requires   signature\n  \
             signer     {IDENTITY} (issuer {issuer})\n  operators  log 1, timestamp 0, sct 1\n\
             rule dist\n  files      dist/*, -\n  requires   {SLSA}\n  \
             signer     {STRANGER} (issuer {issuer})\n  operators  log 2, timestamp 0, sct 1\n"
        )
    );
    let run = world
        .keyless("policy check --policy policy.toml --output json")
        .run()
        .exits(0);
    let document = run.json();
    assert_eq!(document["targets"], json!([]));
    assert_eq!(document["policy"][1]["files"], json!(["dist/*", "-"]));
    assert_eq!(document["policy"][1]["thresholds"]["log"], 2);
    assert_eq!(world.counts().total(), 0);
}

#[test]
fn what_would_become_of_images_and_files() {
    let world = World::new();
    let (good, unsigned) = (signed(&world, "good"), world.image("unsigned"));
    let rules = [
        rule(
            &world,
            "app",
            &format!("images = [{:?}]\nfiles = [\"signed\"]", good.repository),
            IDENTITY,
        ),
        rule(&world, "other", "images = [\"reg.test/**\"]", IDENTITY),
    ];
    write_policy(&world, &rules);
    world.write("signed", "content");
    world.keyless("sign-blob signed").run().exits(0);
    let check = |arguments: &[&str]| {
        world
            .keyless("policy check --policy policy.toml")
            .args(arguments)
            .run()
    };
    let issuer = world.sandbox.issuer();
    let good = good.by_digest();
    let met = format!("    app: signature: met by {IDENTITY} (issuer {issuer})\n");
    check(&[&good]).exits(0).shows(&format!(
        "{good}: would be accepted\n  app: matches by {}\n{met}  other: does not match\n",
        good.split('@').next().unwrap()
    ));
    let before = world.counts();
    check(&["--file", "signed"]).exits(0).shows(&format!(
        "signed: would be accepted\n  app: matches by signed\n{met}  other: does not match\n"
    ));
    check(&["--file", "absent"])
        .exits(15)
        .shows("absent: would be refused: no rule of the policy is about absent\n");
    assert_eq!(world.counts(), before);
    check(&[&unsigned.by_digest()])
        .exits(10)
        .shows("would be refused: rule \"app\" is not met: no signature\n")
        .shows("    app: signature: not met: no signature\n");
    // The worst is the exit code, as of verify.
    check(&[&good, &unsigned.by_digest(), "--file", "absent"]).exits(15);
    let document = check(&[&good, "--file", "absent", "--output", "json"])
        .exits(15)
        .json();
    assert_eq!(document["targets"][0]["error"]["code"], "policy-no-rule");
    let target = &document["targets"][1];
    assert_eq!(target["exitCode"], 0);
    let matching: Vec<_> = target["matches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["matches"].as_bool().unwrap())
        .collect();
    assert_eq!(matching, [true, false]);
    assert_eq!(
        target["rules"][0]["metBy"][0]["signer"]["identity"],
        IDENTITY
    );
}
