//! What is told where a command is given something else than it takes: the right thing, by its name.

use std::collections::BTreeSet;

use keyless::sandbox::registry::RegistryMode;
use keyless::sandbox::{Service, TokenRequest};
use serde_json::{Value, json};

use crate::attest::{attested, genuine};
use crate::support::{IDENTITY, OwnRegistry, REPOSITORY, Run, World};
use crate::verify::{put_bundle, signed};

/// The code of what a command was ended by, be it about one image or all.
fn code(run: &Run) -> Value {
    let document = run.json();
    let places = [
        &document["error"]["code"],
        &document["images"][0]["error"]["code"],
        &document["inspected"][0]["error"]["code"],
    ];
    let found = places.into_iter().find(|code| code.is_string());
    found.cloned().unwrap_or_default()
}

#[test]
fn what_is_wrong_is_named() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    world.write("file", "content");
    world.write("empty", "");
    world.write("app.tar.gz", "content");
    std::fs::create_dir(world.path("folder")).unwrap();
    let who = world.expecting().join(" ");
    // A command, its exit code, its error's code, and what is said.
    let cases = [
        ("verify-blob nosuch WHO", 3, "file-not-found", "cannot read nosuch"),
        ("verify-blob folder WHO", 3, "file-unreadable", "cannot read folder"),
        ("verify-blob file WHO", 10, "no-signature", "no bundle for file"),
        ("verify-blob file --bundle nosuch WHO", 3, "file-not-found", "cannot read nosuch"),
        ("verify-blob file --bundle folder WHO", 3, "file-unreadable", "cannot read folder"),
        ("verify-blob file --bundle empty WHO", 22, "bundle-invalid", "empty"),
        ("verify-blob file --key nosuch", 10, "no-signature", "no bundle for file"),
        ("verify-blob file --bundle file --key nosuch", 3, "file-not-found", "nosuch"),
        ("verify-blob file --bundle file --trusted-root nosuch WHO", 3, "file-not-found", "nosuch"),
        ("verify-blob-attestation file --bundle nosuch WHO", 3, "file-not-found", "nosuch"),
        ("sign-blob nosuch", 3, "file-not-found", "cannot read nosuch"),
        ("sign-blob folder", 3, "file-unreadable", "cannot read folder"),
        ("sign-blob file --identity-token nosuch.txt", 3, "file-not-found", "nosuch.txt"),
        ("sign-blob file --identity-token no/such", 3, "file-not-found", "no/such"),
        ("sign-blob file --identity-token ./nosuch", 3, "file-not-found", "./nosuch"),
        ("sign-blob file --identity-token folder", 3, "file-unreadable", "folder"),
        ("sign-blob file --identity-token empty", 14, "identity-token-malformed", "error: "),
        ("sign-blob file --identity-token x", 14, "identity-token-malformed", "error: "),
        ("sign-blob file --identity-token eyJhbGciOiJSUzI1NiJ9.e30", 14, "identity-token-malformed", "error: "),
        ("sign-blob file --signing-config nosuch", 3, "file-not-found", "nosuch"),
        ("attest-blob file --predicate nosuch --bundle b", 3, "file-not-found", "nosuch"),
        ("attest IMAGE --predicate nosuch", 3, "file-not-found", "nosuch"),
        ("sign IMAGE --identity-token nosuch.jwt", 3, "file-not-found", "nosuch.jwt"),
        ("sign --from nosuch", 3, "file-not-found", "nosuch"),
        ("verify --from nosuch WHO", 3, "file-not-found", "nosuch"),
        ("verify --from folder WHO", 3, "file-unreadable", "folder"),
        ("verify app.tar.gz WHO", 2, "usage-image-is-file", "verify-blob"),
        ("verify ./nosuch WHO", 2, "usage-image-is-file", "verify-blob"),
        ("verify file WHO", 2, "usage-image-is-file", "verify-blob"),
        ("sign app.tar.gz", 2, "usage-image-is-file", "sign-blob"),
        ("attest app.tar.gz --predicate file", 2, "usage-image-is-file", "attest-blob"),
        ("verify-attestation app.tar.gz WHO", 2, "usage-image-is-file", "verify-blob-attestation"),
        ("verify docker://IMAGE WHO", 2, "image-reference-malformed", "leave docker:// out: IMAGE"),
        ("verify oci://IMAGE WHO", 2, "image-reference-malformed", "leave oci:// out: IMAGE"),
        ("verify https://IMAGE WHO", 2, "image-reference-malformed", "leave https:// out: IMAGE"),
        ("verify HTTPS://IMAGE WHO", 2, "image-reference-malformed", "leave https:// out: IMAGE"),
        ("verify docker-daemon:app:v1 WHO", 2, "image-reference-malformed", "leave docker-daemon: out"),
        ("verify docker-daemon:app WHO", 2, "image-reference-malformed", "leave docker-daemon: out"),
        ("verify oci:folder WHO", 2, "image-reference-malformed", "--local-image"),
        ("tree docker://IMAGE", 2, "image-reference-malformed", "leave docker:// out: IMAGE"),
        ("copy docker://IMAGE IMAGE", 2, "image-reference-malformed", "leave docker:// out: IMAGE"),
        ("attach bundle IMAGE nosuch WHO", 3, "file-not-found", "nosuch"),
        ("attach bundle IMAGE folder WHO", 3, "file-unreadable", "folder"),
        ("attach bundle IMAGE empty WHO", 22, "bundle-invalid", "empty"),
        ("inspect nosuch.json", 3, "file-not-found", "nosuch.json"),
        ("verify --policy nosuch IMAGE", 3, "file-not-found", "nosuch"),
        ("policy check --policy nosuch", 3, "file-not-found", "nosuch"),
    ];
    for (line, exit, expected, said) in cases {
        let line = line.replace("WHO", &who).replace("IMAGE", &image);
        let before = world.sandbox.requests().len();
        let run = world.keyless(&line).args(["--output", "json"]).run();
        let run = run.exits(exit).says(&said.replace("IMAGE", &image));
        assert_eq!(code(&run), expected, "{run:#?}");
        if exit == 2 {
            assert_eq!(world.sandbox.requests().len(), before, "asked: {line}");
        }
    }
}

#[test]
fn a_folder_or_an_image_of_docker_hub_is_no_file() {
    let world = World::new();
    std::fs::create_dir(world.path("app")).unwrap();
    world.write("file", "content");
    // Nothing is there to answer for Docker Hub; what counts is that it is asked.
    for image in ["app", "file:latest", "docker:dind"] {
        let verify = world.keyless("verify --output json").arg(image);
        let run = verify
            .args(world.expecting())
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .run();
        let run = run.exits(40).says("not judged docker.io/library/");
        assert_eq!(code(&run), "service-unreachable");
    }
}

/// Names of environment variables that help names.
fn variables() -> BTreeSet<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/golden");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let command = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("[env: ").skip(1) {
            let name = part.split([']', '=']).next().unwrap();
            found.insert((name.to_owned(), command.clone()));
        }
    }
    found
}

#[test]
fn an_empty_variable_is_as_one_that_is_not_set() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    let found = variables();
    let names: BTreeSet<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.len() >= 13, "{names:?}");
    assert!(found.contains(&("COSIGN_REPOSITORY".to_owned(), "verify".to_owned())));
    for name in names {
        let line = match name {
            "SANDBOX_OIDC_URL" => "sandbox token --identity x".to_owned(),
            _ => format!("verify {image} {} --output json", world.expecting().join(" ")),
        };
        let unset = world.keyless(&line).env_remove(name).run();
        let empty = world.keyless(&line).env(name, "").run();
        assert_eq!(empty.code, unset.code, "{name}: {empty:#?}");
        assert_eq!(empty.stderr, unset.stderr, "{name}");
        assert_eq!(empty.stdout, unset.stdout, "{name}");
    }
    // Those that no option stands for.
    for name in ["SIGSTORE_ID_TOKEN", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "SSL_CERT_FILE"] {
        let line = format!("verify {image} {}", world.expecting().join(" "));
        world.keyless(&line).env(name, "").run().exits(10);
    }
}

#[test]
fn a_command_line_that_cannot_be_read_is_a_document_too() {
    let world = World::new();
    for (line, command, message) in [
        ("verify --output json", "verify", "required arguments were not provided"),
        ("verify x --nonsense --output json", "verify", "unexpected argument '--nonsense'"),
        ("verify-blob --output json", "verify-blob", "required arguments were not provided"),
        ("verify-blob-attestation x --output json", "verify-blob-attestation", "--bundle"),
        ("sign x --jobs 0 --output json", "sign", "invalid value '0' for '--jobs <NUMBER>'"),
        ("attach bundle --output json", "attach bundle", "required arguments"),
        ("download bundle --output json", "download bundle", "required arguments"),
        ("tree --output json", "tree", "required arguments"),
        ("inspect --output json", "inspect", "required arguments"),
        ("copy x --output json", "copy", "required arguments"),
        ("verify x --max-manifest-size 0 --output json", "verify", "invalid value '0'"),
        ("verify x --max-attachment-size 0 --output json", "verify", "invalid value '0'"),
    ] {
        let run = world.keyless(line).run().fails(2, "usage-command-line");
        let document = run.json();
        assert_eq!(document["command"], command, "{run:#?}");
        let found = document["error"]["message"].as_str().unwrap();
        assert!(found.contains(message), "{run:#?}");
    }
    // Without being asked for, there is none; and where it was asked for in a file, it is there.
    let run = world.keyless("verify --nonsense").run().exits(2);
    assert_eq!(run.stdout, "", "{run:#?}");
    let line = "verify --nonsense -o json --output-file out";
    assert_eq!(world.keyless(line).run().exits(2).stdout, "");
    let document: Value = serde_json::from_str(&world.read("out")).unwrap();
    assert_eq!(document["error"]["code"], "usage-command-line");
}

#[test]
fn what_the_environment_sets_is_not_listed_as_needed() {
    let world = World::new();
    let run = world
        .keyless("verify")
        .env("COSIGN_REPOSITORY", "127.0.0.1:1/x")
        .env("COSIGN_REGISTRY_USERNAME", "dev")
        .run()
        .exits(2);
    run.says("Usage: keyless verify [OPTIONS] [IMAGE]...")
        .does_not_say("--signature-repository")
        .does_not_say("--registry-username");
}

#[test]
fn the_nearest_signer_leads_and_no_stranger_is_proposed() {
    let world = World::new();
    let image = world.image("v1");
    let release = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    // Three signers, the near one neither first nor last.
    for identity in ["zoe@example.test", release, "ann@example.test"] {
        let token = world.token(&TokenRequest::new(identity));
        world
            .keyless("sign --identity-token")
            .args([token, image.by_digest()])
            .run()
            .exits(0);
    }
    let issuer = world.sandbox.issuer().to_owned();
    let other = release.replace("v1", "v2");
    let cases: [(&[&str], &str, &str); 5] = [
        (
            &["--certificate-identity", release, "--certificate-github-workflow-ref", "refs/tags/v2"],
            &issuer,
            "certificate claim github-workflow-ref does not match",
        ),
        (&["--certificate-identity", &other], &issuer, release),
        (
            &["--certificate-identity-regexp", "octo/app/"],
            &issuer,
            "must match the whole value",
        ),
        (&["--certificate-identity", release], "https://other.test", release),
        (&["--certificate-identity-regexp", "release\\.yml"], "https://other.test", release),
    ];
    for (flags, issuer, said) in cases {
        let run = world
            .keyless("verify --output json")
            .arg(image.by_digest())
            .args(flags)
            .args(["--certificate-oidc-issuer", issuer])
            .run()
            .exits(12)
            .says(said);
        let verdict = &run.json()["images"][0];
        // No word of the lead, and no proposal at all, is about somebody else.
        let lead = run.stderr.split("what is attached:").next().unwrap();
        for stranger in ["zoe@", "ann@"] {
            assert!(!lead.contains(stranger), "{run:#?}");
            let command = verdict["acceptingCommand"].as_str().unwrap_or_default();
            assert!(!command.contains(stranger), "{run:#?}");
            for refused in verdict["refused"].as_array().unwrap() {
                let hint = refused["reason"]["hint"].as_str().unwrap_or_default();
                assert!(!hint.contains(stranger), "{run:#?}");
            }
        }
        // All of them are listed, with who they are.
        run.says("zoe@example.test").says("ann@example.test");
    }
}

#[test]
fn a_broken_signature_of_the_right_signer_leads_before_a_good_one_of_a_stranger() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("sign --upload=false --bundle good.json")
        .arg(image.by_digest())
        .run()
        .exits(0);
    let mut broken: Value = serde_json::from_str(&world.read("good.json")).unwrap();
    let entry = &mut broken["verificationMaterial"]["tlogEntries"][0];
    let hashes = entry["inclusionProof"]["rootHash"].clone();
    entry["inclusionProof"]["rootHash"] = "AAAA".into();
    assert_ne!(hashes, json!("AAAA"));
    entry["inclusionProof"]["rootHash"] = "A".repeat(43).into();
    let broken = broken.to_string().replace(&"A".repeat(43), &format!("{}=", "A".repeat(43)));
    put_bundle(
        world.sandbox.registry(),
        &image,
        broken,
        "https://sigstore.dev/cosign/sign/v1",
    );
    let token = world.token(&TokenRequest::new("stranger@example.test"));
    world
        .keyless("sign --identity-token")
        .args([token, image.by_digest()])
        .run()
        .exits(0);
    let run = world
        .keyless("verify")
        .arg(image.by_digest())
        .args(world.expecting())
        .run()
        .exits(32);
    let lead = run.stderr.split("what is attached:").next().unwrap();
    assert!(!lead.contains("stranger@"), "{run:#?}");
}

#[test]
fn predicate_types_that_are_there_are_listed_with_the_flag_for_them() {
    let world = World::new();
    let image = attested(&world, "v1", "vuln", &genuine("vuln"));
    let verify = |kind: &str| {
        let verify = world.keyless("verify-attestation --output json --type").arg(kind);
        verify.arg(image.by_digest()).args(world.expecting()).run()
    };
    let run = verify("spdxjson").exits(10);
    run.says("error: no attestation of type spdxjson (https://spdx.dev/Document)")
        .says("an attestation of type https://cosign.sigstore.dev/attestation/vuln/v1")
        .says("--type https://cosign.sigstore.dev/attestation/vuln/v1")
        .does_not_say("not a signature");
    let reasons = verify("custom").json()["images"][0]["refused"].clone();
    assert_eq!(reasons[0]["reason"]["code"], "predicate-type-mismatch");
    // The proposed flag works.
    verify("https://cosign.sigstore.dev/attestation/vuln/v1").exits(0);
    let signature = signed(&world, "v2");
    let run = world
        .keyless("verify-attestation --type vuln")
        .arg(signature.by_digest())
        .args(world.expecting())
        .run()
        .exits(10);
    run.says("1 signature").does_not_say("--type");
}

#[test]
fn a_name_meets_the_versions_of_its_type() {
    let world = World::new();
    let spdx = genuine("spdxjson");
    for (i, (uri, name, exit)) in [
        ("https://spdx.dev/Document/v2.3", "spdxjson", 0),
        ("https://spdx.dev/Document/v2.3", "spdx", 0),
        ("https://spdx.dev/Document/v2.3", "https://spdx.dev/Document", 10),
        ("https://cyclonedx.org/bom/v1.6", "cyclonedx", 0),
        ("https://cyclonedx.org/bom/v1.6", "spdxjson", 10),
        ("https://openvex.dev/ns/v0.2.0", "openvex", 0),
        ("https://slsa.dev/provenance/v1", "slsaprovenance", 10),
        ("https://slsa.dev/provenance/v0.2", "slsaprovenance1", 10),
    ]
    .into_iter()
    .enumerate()
    {
        let image = world.image(&format!("v{i}"));
        world.write("statement", {
            let hex = image.descriptor.digest.hex();
            let predicate: Value = serde_json::from_str(&match uri.contains("slsa") {
                true if uri.ends_with("v1") => genuine("slsaprovenance1"),
                true => genuine("slsaprovenance"),
                false => spdx.clone(),
            })
            .unwrap();
            json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{ "name": REPOSITORY, "digest": { "sha256": hex } }],
                "predicateType": uri,
                "predicate": predicate,
            })
            .to_string()
        });
        world
            .keyless("attest --statement statement")
            .arg(image.by_digest())
            .run()
            .exits(0);
        let verify = world.keyless("verify-attestation --type");
        let verify = verify.args([name, &image.by_digest()]).args(world.expecting());
        verify.run().exits(exit);
        // What lists types, or downloads by type, means the same by a name.
        let download = world.keyless("download attestation --predicate-type");
        let run = download.args([name, &image.by_digest()]).run();
        assert_eq!(run.code, Some(exit), "{run:#?}");
    }
}

#[test]
fn the_command_after_a_failed_upload_works_as_it_is() {
    let world = World::new();
    let own = OwnRegistry::start(&world, RegistryMode::default());
    for (command, large) in [
        ("sign", false),
        ("attest --type vuln --predicate predicate", false),
        ("attest --type https://own.test/large --predicate large --max-attachment-size 64MiB", true),
    ] {
        let image = own.image(if large { "large" } else { "v1" });
        world.write("predicate", genuine("vuln"));
        if large {
            let text = json!({ "x": "a".repeat(9 << 20) }).to_string();
            world.write("large", text);
        }
        own.refuse_manifests(500);
        let run = world.keyless(command).arg(image.by_digest()).run();
        let run = run.exits(41).says("could not be attached");
        own.refuse_manifests(0);
        let hint = run.stderr.lines().find_map(|line| {
            line.strip_prefix("hint: no new signature is needed: keyless ")
        });
        let hint = hint.unwrap_or_else(|| panic!("{run:#?}")).to_owned();
        world.keyless(&hint).run().exits(0);
        // It asks for the very signer, and what it kept can be looked at.
        assert!(hint.contains(IDENTITY), "{hint}");
        let kept = hint.split(' ').nth(3).unwrap();
        let inspect = world.keyless("inspect").arg(kept);
        inspect
            .args(large.then_some("--max-attachment-size=64MiB"))
            .run()
            .exits(0);
        if large {
            let run = world.keyless("inspect").arg(kept).run();
            run.exits(22).says("--max-attachment-size");
        }
        let wrong = world.keyless("attach bundle").args([&image.by_digest(), kept]);
        let wrong = wrong.args(world.expecting_of("other@example.test"));
        let run = wrong.args(large.then_some("--max-attachment-size=64MiB")).run();
        run.exits(12);
        if command.starts_with("attest") {
            // Annotations are those of signatures.
            let asked = world.keyless("attach bundle -a a=b").args([&image.by_digest(), kept]);
            let asked = asked.args(large.then_some("--max-attachment-size=64MiB"));
            asked.args(world.expecting()).run().exits(10);
        }
    }
}

#[test]
fn the_copy_that_would_move_a_tag_is_our_own_refusal() {
    let world = World::new();
    let (one, two) = (world.image("v1"), world.image("v2"));
    let run = world
        .keyless("copy --output json")
        .args([one.by_tag(), two.by_tag()])
        .run()
        .fails(2, "tag-exists");
    run.says("already points to another image").says("--force");
}

#[test]
fn several_signatures_stand_apart() {
    let world = World::new();
    let image = signed(&world, "v1");
    world.keyless("sign").arg(image.by_digest()).run().exits(0);
    let verify = world.keyless("verify").arg(image.by_digest());
    let run = verify.args(world.expecting()).run().exits(0);
    assert_eq!(run.stdout.matches("\n\n  identity").count(), 1, "{run:#?}");
    assert!(world.count(Service::Fulcio) >= 2);
}

#[test]
fn a_pattern_error_is_one_line_without_replacements() {
    let world = World::new();
    let image = world.image("v1").by_digest();
    for pattern in ["(", "a\t[", "[z-a]", "\u{1b}("] {
        let run = world
            .keyless("verify --certificate-oidc-issuer x --certificate-identity-regexp")
            .args([pattern, &image])
            .run()
            .exits(2);
        assert!(!run.stderr.contains('\u{fffd}'), "{run:#?}");
        run.says("error: --certificate-identity-regexp: invalid regular expression");
    }
}

#[test]
fn a_signature_without_a_log_entry_says_so() {
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let mut bundle: Value = serde_json::from_str(&world.read("file.sigstore.json")).unwrap();
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    world.write("file.sigstore.json", bundle.to_string());
    let verify = world.keyless("verify-blob file").args(world.expecting());
    verify.run().exits(32).says("found log id: no log entry");
}
