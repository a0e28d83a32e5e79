//! `keyless inspect`.

use std::collections::BTreeSet;
use std::path::Path;

use keyless::crypto::{Digest, UnixTime, pem};
use keyless::format::oci::{
    BUNDLE_ARTIFACT_TYPE, Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, OCI_MANIFEST,
};
use keyless::format::protojson::{decode_base64, encode_base64};
use keyless::sandbox::registry::SandboxRegistry;
use keyless::sandbox::{RekorVersion, TokenKind, TokenRequest};
use serde_json::{Value, json};

use crate::support::{IDENTITY, Image, REPOSITORY, Run, World, nobody};

const NOTICE: &str = "not verified: this is what the bundle says of itself";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn capture(name: &str) -> Vec<u8> {
    std::fs::read(root().join("fixtures/captures").join(name)).unwrap()
}

pub fn capture_json(name: &str) -> Value {
    serde_json::from_slice(&capture(name)).unwrap()
}

/// DER of the certificates of the recorded authority, issuing one first.
pub fn authority() -> Vec<Vec<u8>> {
    let root = capture_json("trusted_root.json");
    let chain = &root["certificateAuthorities"][0]["certChain"]["certificates"];
    chain.as_array().unwrap().iter().map(raw_bytes).collect()
}

fn raw_bytes(certificate: &Value) -> Vec<u8> {
    decode_base64(certificate["rawBytes"].as_str().unwrap()).unwrap()
}

pub const MESSAGE: &str = "blob/bundle.rekor1-tsa.json";
pub const ENVELOPE: &str = "oci/referrers-api/rekor1-tsa/sig0.layer0.json";
pub const LEAF: &str = "/verificationMaterial/certificate/rawBytes";

pub fn leaf() -> Vec<u8> {
    raw_bytes(&capture_json(MESSAGE)["verificationMaterial"]["certificate"])
}

pub fn as_pem(certificates: &[Vec<u8>]) -> String {
    let blocks = certificates
        .iter()
        .map(|der| pem::encode("CERTIFICATE", der));
    blocks.collect()
}

/// Compares with a file; `KEYLESS_BLESS=1` writes it anew.
#[track_caller]
fn golden(name: &str, found: &str) {
    let path = root().join("tests/cli/inspect").join(name);
    if std::env::var_os("KEYLESS_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "tests/cli/inspect/{name} differs; KEYLESS_BLESS=1 writes it anew"
    );
}

/// Inspects in both formats. The text must say first that nothing is verified, have nothing that a terminal
/// obeys, and no word that is neither in the document nor a label.
#[track_caller]
pub fn shown(world: &World, arguments: &[&str], exit: i32) -> (Run, Value) {
    let json = world.keyless("inspect -o json").args(arguments).run();
    let document = json.exits(exit).json();
    let run = world.keyless("inspect").args(arguments).run().exits(exit);
    assert_eq!(document["verified"], false);
    assert_eq!(document["exitCode"], exit);
    let first = run.stdout.lines().next().unwrap();
    assert!(first.starts_with("not verified: "), "{run:#?}");
    assert_eq!(document["notice"], first);
    assert_plain(&run.stdout);
    assert_plain(&run.stderr);
    assert_told_whole(&run.stdout, &document);
    (run, document)
}

#[track_caller]
pub fn assert_plain(text: &str) {
    let bad = text.chars().find(|c| {
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        (c.is_control() && *c != '\n') || reorders
    });
    assert_eq!(bad, None, "{text:?}");
}

/// Words of labels and between facts.
const LABELS: &str = "signer identity issuer signed says the log a timestamp accept with no flags name cannot \
    be shown whole public key hint content file not named signature statement unreadable predicate type \
    subject none SHA-2 digest annotation payload bytes certificate certificates e-mail issued by serial valid \
    to authority may issue usage purpose id SCT extension critical fingerprint entry index kind time promised \
    promise yes proof in tree of path checkpoint size body token stamped policy accuracy s came along bundle \
    version attached also rest others and more --output json shows them standard input given as reason \
    SHA2-digest hashes";

fn words(text: &str, found: &mut BTreeSet<String>) {
    let trimmed = text.split_whitespace().map(|word| {
        word.trim_start_matches('(')
            .trim_end_matches([',', ')', ':', ';'])
    });
    found.extend(trimmed.map(str::to_owned));
}

fn words_of(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                words(name, found);
                words_of(member, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words_of(item, found)),
        Value::String(text) => words(&keyless::output::human::plain(text), found),
        other => words(&other.to_string(), found),
    }
}

#[track_caller]
fn assert_told_whole(text: &str, document: &Value) {
    let mut known = BTreeSet::new();
    words(LABELS, &mut known);
    words_of(document, &mut known);
    let mut said = BTreeSet::new();
    for line in text.lines() {
        // In microseconds there; annotations are one word here and two members there.
        let line = line.trim_start();
        if line.starts_with("accuracy  ") {
            assert!(document.to_string().contains("accuracyMicroseconds"));
            continue;
        }
        words(
            &line.replacen('=', " ", line.starts_with("annotation ").into()),
            &mut said,
        );
    }
    let places: BTreeSet<String> = (1..=1100).map(|number| number.to_string()).collect();
    let missing: Vec<&String> = said
        .difference(&known)
        .filter(|word| !places.contains(*word))
        .collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

/// A bundle of the captures, changed.
pub fn changed(name: &str, pointer: &str, value: Value) -> String {
    let mut bundle = capture_json(name);
    *bundle.pointer_mut(pointer).unwrap() = value;
    bundle.to_string()
}

#[test]
fn captured_bundles_as_they_are_shown() {
    let world = World::new();
    for (name, file) in [
        ("message.rekor1", "blob/bundle.rekor1.json"),
        ("message.rekor1-tsa", MESSAGE),
        ("message.rekor2-tsa", "blob/bundle.rekor2-tsa.json"),
        (
            "attestation.rekor2-tsa",
            "blob/bundle.attest.rekor2-tsa.json",
        ),
        ("image.rekor1-tsa", ENVELOPE),
    ] {
        world.write("bundle.json", capture(file));
        let (run, document) = shown(&world, &["bundle.json"], 0);
        assert_eq!(run.stderr, "");
        assert_eq!(run.stdout.lines().next(), Some(NOTICE));
        golden(&format!("{name}.txt"), &run.stdout);
        let document = serde_json::to_string_pretty(&document).unwrap();
        golden(&format!("{name}.json"), &format!("{document}\n"));
    }
    assert_eq!(world.counts().total(), 0, "a file needs no network");
}

#[test]
fn certificates_in_every_form() {
    let world = World::new();
    let chain: Vec<Vec<u8>> = [leaf()].into_iter().chain(authority()).collect();
    let text = as_pem(&chain);
    world.write("chain.pem", &text);
    let (run, document) = shown(&world, &["chain.pem"], 0);
    let first = "not verified: this is what the certificate says of itself";
    assert_eq!(run.stdout.lines().next(), Some(first));
    golden("chain.txt", &run.stdout);
    let document = serde_json::to_string_pretty(&document).unwrap();
    golden("chain.json", &format!("{document}\n"));

    // One certificate says the same in every form, and so does standard input.
    let pem = as_pem(&chain[..1]);
    let with_text = format!("Certificate:\n    Data: \u{fffd}\n{pem}trailing");
    let base64 = encode_base64(&chain[0]);
    let wrapped: Vec<&str> = base64
        .as_bytes()
        .chunks(60)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    let forms: [Vec<u8>; 6] = [
        pem.clone().into_bytes(),
        pem.replace('\n', "\r\n").into_bytes(),
        with_text.into_bytes(),
        chain[0].clone(),
        wrapped.join("\n").into_bytes(),
        encode_base64(pem.as_bytes()).into_bytes(),
    ];
    let mut documents = BTreeSet::new();
    for form in forms {
        world.write("certificate", form.clone());
        let (_, document) = shown(&world, &["certificate"], 0);
        documents.insert(document["inspected"][0]["certificates"].to_string());
        let piped = world
            .keyless("inspect -o json -")
            .stdin(form)
            .run()
            .exits(0);
        let piped = piped.json()["inspected"][0]["certificates"].to_string();
        documents.insert(piped);
    }
    assert_eq!(documents.len(), 1, "{documents:#?}");
}

#[test]
fn standard_input_and_several_arguments() {
    let world = World::new();
    world.write("a.json", capture(MESSAGE));
    world.write("b", leaf());
    let run = world.keyless("inspect a.json b -").stdin(capture(ENVELOPE));
    let run = run
        .run()
        .exits(0)
        .shows("\na.json\n")
        .shows("\nb\n")
        .shows("\nstandard input\n");
    let notice = "not verified: this is what bundles and certificates say of themselves\n";
    assert!(run.stdout.starts_with(notice), "{run:#?}");
    let document = world
        .keyless("inspect a.json absent.pem b -o json")
        .run()
        .exits(3)
        .json();
    let found = document["inspected"].as_array().unwrap();
    let kinds: Vec<&Value> = found.iter().map(|one| &one["kind"]).collect();
    assert_eq!(
        kinds,
        [&json!("bundle"), &Value::Null, &json!("certificate")]
    );
    assert_eq!(found[1]["error"]["code"], "file-not-found");
    assert_eq!(found[2]["exitCode"], 0);
    assert_eq!(document["result"], "error");
    let run = world.keyless("inspect - - -o json").run();
    run.fails(2, "usage-conflict");
}

/// The whole of a document's one bundle.
pub fn bundle(document: &Value) -> &Value {
    &document["inspected"][0]["bundles"][0]
}

#[test]
fn the_flags_that_are_shown_accept_the_signer() {
    let world = World::start(RekorVersion::V2, &[]);
    world.write("file", "content");
    let hostile = "https://ci.example.test/$(touch${IFS}pwned)';x";
    let option = "--insecure-ignore-tlog@example.test";
    for identity in [IDENTITY, hostile, option] {
        let token = world.token(&TokenRequest::new(identity));
        world
            .keyless("sign-blob --overwrite --identity-token")
            .arg(token)
            .arg("file")
            .run()
            .exits(0);
        let (run, document) = shown(&world, &["file.sigstore.json"], 0);
        let signer = &bundle(&document)["certificate"]["signer"];
        assert_eq!(signer["identity"], identity);
        assert_eq!(signer["issuer"], world.sandbox.issuer());
        let flags = signer["acceptWith"].as_str().unwrap();
        assert!(run.stdout.contains("accept with  "), "{run:#?}");
        assert!(run.stdout.contains(flags), "{run:#?}");
        // Pasted into a shell, as they are for.
        let verify = world.keyless("verify-blob file");
        let program = verify.command();
        let mut shell = std::process::Command::new("sh");
        let line = format!(
            "{} verify-blob file {flags}",
            program.get_program().to_str().unwrap()
        );
        shell.args(["-c", &line]).current_dir(world.path(""));
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap());
        }
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(!world.files().contains(&"pwned".to_owned()));
}

#[test]
fn claims_of_a_workflow_in_the_order_people_ask() {
    let world = World::new();
    world.write("file", "content");
    let workflow = "https://github.com/octo/app/.github/workflows/w.yml@refs/heads/main";
    let mut request = TokenRequest::new(workflow);
    request.kind = Some(TokenKind::GithubWorkflow);
    let token = world.token(&request);
    world
        .keyless("sign-blob --identity-token")
        .args([&token, "file"])
        .run()
        .exits(0);
    let (run, document) = shown(&world, &["file.sigstore.json"], 0);
    let certificate = &bundle(&document)["certificate"];
    assert_eq!(certificate["signer"]["identity"], workflow);
    let names: Vec<&String> = certificate["claims"].as_object().unwrap().keys().collect();
    let place = |name: &str| {
        let found = names.iter().position(|known| *known == name);
        found.unwrap_or_else(|| panic!("no {name} in {names:?}"))
    };
    let asked = [
        "source-repository-uri",
        "source-repository-ref",
        "source-repository-digest",
        "build-signer-uri",
        "build-config-uri",
        "build-trigger",
        "run-invocation-uri",
        "runner-environment",
        "source-repository-owner-uri",
        "github-workflow-repository",
        "issuer",
    ];
    assert!(asked.is_sorted_by_key(|name| place(name)), "{names:?}");
    for name in asked.iter().filter(|name| **name != "issuer") {
        assert!(
            run.stdout.contains(&format!("\n    {name}  ")),
            "{name}: {run:#?}"
        );
    }
    assert_eq!(
        certificate["claims"]["github-workflow-repository"],
        "octo/app"
    );
}

/// Attaches bytes as a bundle beside the registry's protocol.
fn attach(registry: &SandboxRegistry, image: &Image, layer: &[u8], predicate_type: &str) -> Digest {
    let descriptor = Descriptor::of(BUNDLE_ARTIFACT_TYPE, layer);
    let created = UnixTime::from_seconds(1_800_000_000);
    let manifest =
        EncodedManifest::for_bundle(&descriptor, &image.descriptor, predicate_type, created);
    registry.put_blob(REPOSITORY, EMPTY_CONFIG_BYTES).unwrap();
    registry.put_blob(REPOSITORY, layer.to_vec()).unwrap();
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.bytes)
        .unwrap()
}

/// Attaches an SBOM, or whatever it is.
fn attach_other(registry: &SandboxRegistry, image: &Image, name: &str) -> Digest {
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/spdx+json",
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", EMPTY_CONFIG_BYTES),
        "layers": [Descriptor::of("application/spdx+json", EMPTY_CONFIG_BYTES)],
        "subject": image.descriptor,
        "annotations": { "name": name },
    });
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, manifest.to_string())
        .unwrap()
}

const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
const SLSA: &str = "https://slsa.dev/provenance/v1";

#[test]
fn an_image_with_two_signatures_an_attestation_and_more() {
    let world = World::new();
    let image = world.image("v1");
    for identity in [IDENTITY, "https://ci.example.test/second"] {
        let token = world.token(&TokenRequest::new(identity));
        world
            .keyless("sign -a env=prod --identity-token")
            .args([token, image.by_digest()])
            .run()
            .exits(0);
    }
    let registry = world.sandbox.registry();
    let attestation = capture("blob/bundle.attest.rekor2-tsa.json");
    let manifest = attach(registry, &image, &attestation, SLSA);
    let other = attach_other(registry, &image, "sbom");
    let broken = attach(registry, &image, b"{}", SIGN);

    let before = world.sandbox.requests().len();
    let run = world.keyless("inspect").arg(image.by_tag()).run().exits(0);
    let asked: Vec<String> = world.sandbox.requests()[before..]
        .iter()
        .map(|request| format!("{:?}", request))
        .collect();
    let of_tag = asked
        .iter()
        .filter(|request| request.contains("manifests/v1"))
        .count();
    assert_eq!(of_tag, 1, "a tag is resolved once: {asked:#?}");
    let heading = format!("{} (given as {})", image.by_digest(), image.by_tag());
    let run = run
        .shows(&format!("{heading}: 1 of 3\n"))
        .shows(&format!("{heading}: 3 of 3\n"))
        .shows(&format!("{heading}: also attached\n"))
        .shows(&format!("    identity       {IDENTITY}\n"))
        .shows("    annotation      env=prod\n")
        .shows(&format!("    predicate type  {SLSA}\n"))
        .shows(&format!(
            "    {other}  not a Sigstore bundle of version 0.3\n"
        ))
        .shows(&format!("    {broken}  unsupported bundle media type"));
    assert_eq!(run.stderr, "");

    let (_, document) = shown(&world, &[&image.by_digest()], 0);
    let item = &document["inspected"][0];
    assert_eq!(item["kind"], "image");
    assert_eq!(item["reference"], image.by_digest());
    assert_eq!(item["digest"], image.descriptor.digest.to_string());
    let bundles = item["bundles"].as_array().unwrap();
    let signers: BTreeSet<&str> = bundles
        .iter()
        .map(|bundle| {
            bundle["certificate"]["signer"]["identity"]
                .as_str()
                .unwrap()
        })
        .collect();
    let expected = [
        IDENTITY,
        "https://ci.example.test/second",
        "dev@test.invalid",
    ];
    assert_eq!(signers, BTreeSet::from(expected));
    let attested = bundles
        .iter()
        .find(|bundle| bundle["manifestDigest"] == manifest.to_string())
        .unwrap();
    assert_eq!(
        attested["bundleDigest"],
        Digest::sha256(&attestation).to_string()
    );
    assert_eq!(attested["content"]["statement"]["predicateType"], SLSA);
    let signed = bundles.iter().find(|bundle| *bundle != attested).unwrap();
    let subject = &signed["content"]["statement"]["subjects"]["items"][0];
    assert_eq!(
        subject["digests"],
        json!([image.descriptor.digest.to_string()])
    );
    assert_eq!(
        subject["annotations"]["items"][0],
        json!({ "name": "env", "value": "prod" })
    );
    let others: BTreeSet<(&str, &str)> = item["others"]
        .as_array()
        .unwrap()
        .iter()
        .map(|other| {
            let text = |value: &'_ Value| value.as_str().map(str::to_owned).unwrap().leak() as &str;
            (
                text(&other["manifestDigest"]),
                text(&other["reason"]["code"]),
            )
        })
        .collect();
    let (other, broken) = (other.to_string(), broken.to_string());
    let expected = [
        (other.as_str(), "not-a-bundle"),
        (broken.as_str(), "bundle-version"),
    ];
    assert_eq!(others, BTreeSet::from(expected));
}

#[test]
fn exit_codes_of_images() {
    let world = World::new();
    let registry = world.sandbox.registry();
    let absent = world.image("absent-after");
    let no_such = [
        format!("{}:absent", absent.repository),
        format!("{}@{}", absent.repository, Digest::sha256(b"absent")),
    ];
    for image in no_such {
        fails(&world, &[&image], 11, "no-such-image");
    }
    let bare = world.image("bare");
    for image in [bare.by_tag(), bare.by_digest()] {
        fails(&world, &[&image], 10, "no-signature");
    }
    let other = world.image("other");
    attach_other(registry, &other, "one");
    attach_other(registry, &other, "two");
    let run = fails(&world, &[&other.by_digest()], 10, "no-signature");
    assert_eq!(
        run["inspected"][0]["error"]["details"],
        json!([{ "name": "found", "value": "2 other referrers" }])
    );
    let broken = world.image("broken");
    attach(registry, &broken, b"{}", SIGN);
    attach_other(registry, &broken, "one");
    fails(&world, &[&broken.by_digest()], 22, "bundle-version");
    // A bundle of an older version is not what images carry.
    let older = world.image("older");
    let json = changed(
        MESSAGE,
        "/mediaType",
        "application/vnd.dev.sigstore.bundle+json;version=0.3".into(),
    );
    attach(registry, &older, json.as_bytes(), SIGN);
    shown(&world, &[&older.by_digest()], 0);
    let (_socket, host) = nobody();
    let unreachable = format!("{host}/app@{}", bare.descriptor.digest);
    let document = fails(&world, &[&unreachable], 40, "service-unreachable");
    assert_eq!(document["inspected"][0]["error"]["retryable"], true);
    // Several: the most severe, and each has its own.
    let both = [bare.by_digest(), broken.by_digest()];
    let run = world.keyless("inspect -o json").args(both).run().exits(22);
    let codes: Vec<i64> = run.json()["inspected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["exitCode"].as_i64().unwrap())
        .collect();
    assert_eq!(codes, [10, 22]);
}

#[test]
fn what_cannot_be_fetched_is_told_beside_what_can() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    attach(registry, &image, &capture(ENVELOPE), SIGN);
    // Listed, and its bundle is nowhere.
    let layer = Descriptor::of(BUNDLE_ARTIFACT_TYPE, b"lost");
    let created = UnixTime::from_seconds(1_800_000_000);
    let lost = EncodedManifest::for_bundle(&layer, &image.descriptor, SIGN, created);
    let lost = registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, lost.bytes)
        .unwrap();
    let by_digest = image.by_digest();
    let few = [by_digest.as_str(), "--max-referrers", "1000"];
    let (run, document) = shown(&world, &few, 42);
    run.shows("    identity       dev@test.invalid\n")
        .shows(&format!("    {lost}  registry does not hold the "))
        .says("error: registry does not hold the ");
    assert_eq!(
        document["inspected"][0]["error"]["code"],
        "registry-object-missing"
    );
    assert_eq!(
        document["inspected"][0]["bundles"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // Alone it is all there is to say.
    let image = world.image("v2");
    let lost = EncodedManifest::for_bundle(&layer, &image.descriptor, SIGN, created);
    registry
        .put_manifest(REPOSITORY, None, OCI_MANIFEST, lost.bytes)
        .unwrap();
    fails(&world, &[&image.by_digest()], 42, "registry-object-missing");
}

#[test]
fn more_referrers_than_are_looked_at() {
    let world = World::new();
    let image = world.image("v1");
    let registry = world.sandbox.registry();
    attach(registry, &image, &capture(ENVELOPE), SIGN);
    for number in 0..1000 {
        attach_other(registry, &image, &number.to_string());
    }
    let by_digest = image.by_digest();
    let few = [by_digest.as_str(), "--max-referrers", "1000"];
    let (run, document) = shown(&world, &few, 42);
    run.shows("    identity       dev@test.invalid\n")
        .shows("    others ")
        .shows(" and 979 more\n")
        .shows("    the rest ")
        .shows(" more than 1000 referrers\n")
        .says("error: more than 1000 referrers\n");
    let item = &document["inspected"][0];
    assert_eq!(item["error"]["code"], "registry-too-many");
    assert_eq!(item["listCut"]["code"], "registry-too-many");
    assert_eq!(item["others"].as_array().unwrap().len(), 999);
}

/// Nothing is shown: standard output is empty in text, and the document has the error at its argument.
#[track_caller]
pub fn fails(world: &World, arguments: &[&str], exit: i32, code: &str) -> Value {
    let run = world
        .keyless("inspect")
        .args(arguments)
        .run()
        .exits(exit)
        .says("error: ");
    assert_eq!(run.stdout, "", "{run:#?}");
    assert_plain(&run.stderr);
    let run = world
        .keyless("inspect -o json")
        .args(arguments)
        .run()
        .exits(exit);
    let document = run.json();
    let item = &document["inspected"][0];
    assert_eq!(item["error"]["code"], code, "{run:#?}");
    assert_eq!(item["error"]["exitCode"], exit, "{run:#?}");
    assert_eq!(item["kind"], Value::Null, "{run:#?}");
    assert_eq!(document["exitCode"], exit, "{run:#?}");
    assert_eq!(document["notice"], Value::Null, "{run:#?}");
    document
}

#[test]
fn what_is_neither_file_nor_image() {
    let world = World::new();
    for name in [
        "not//an::image",
        "Upper/Case",
        "a b",
        "",
        "\u{1b}[2J",
        &"x/".repeat(3000),
    ] {
        fails(&world, &[name], 2, "neither-file-nor-image");
    }
    let run = world.keyless("inspect").arg("not//an::image").run();
    run.exits(2)
        .says("error: \"not//an::image\" is neither a file nor an image reference\n")
        .says("  as a file:   not found\n")
        .says("  as an image: a repository is lower-case words");
    // What is named like a file is one, and nobody is asked for an image of that name.
    for name in [
        "app.sigstore.json",
        "no/such/cert.PEM",
        "./app",
        "../app",
        "/no/such/file",
        "x.der",
    ] {
        fails(&world, &[name], 3, "file-not-found");
    }
    let run = world.keyless("inspect app.json").run().exits(3);
    run.says("hint: an image of such a name is written with its tag or digest");
    assert_eq!(world.counts().total(), 0);
    // With a tag it is an image: nobody listens there, and that is the error.
    let (_socket, host) = nobody();
    fails(
        &world,
        &[&format!("{host}/app.json:v1")],
        40,
        "service-unreachable",
    );
    // A folder is no file; an image of its name is meant.
    std::fs::create_dir_all(world.path("Folder")).unwrap();
    fails(&world, &["Folder"], 3, "file-unreadable");
    let image = world.image("v1");
    std::fs::create_dir_all(world.path(&image.by_tag())).unwrap();
    fails(&world, &[&image.by_tag()], 10, "no-signature");
}
