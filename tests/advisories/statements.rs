//! What was signed and who asks for what: statements, envelopes, predicate types, identities.

use std::collections::BTreeMap;

use keyless::crypto::Digest;
use keyless::format::bundle::Content;
use keyless::format::dsse::PreAuthEncoding;
use keyless::sandbox::TokenRequest;
use keyless::verify::policy::ValueMatcher;
use keyless::verify::{Artifact, ExpectedContent};
use serde_json::{Value, json};

use crate::forge::{ARTIFACT, COSIGN_SIGN, Forge, Scene, Signed, statement};
use crate::key::Key;
use crate::scene::{PASSES, changed, code, forged, rewritten};
use crate::support::{IDENTITY, World};

const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

fn any(scene: &mut Scene) {
    scene.content = ExpectedContent::Any;
}

fn of_type(predicate_type: &str) -> ExpectedContent {
    ExpectedContent::Attestation {
        predicate_type: predicate_type.into(),
    }
}

fn as_an_image(scene: &mut Scene) {
    let annotations = BTreeMap::new();
    scene.content = ExpectedContent::Signature { annotations };
}

/// The code for a payload that is signed and logged in order, whatever the statement's type.
fn code_for_payload(payload: &[u8]) -> &'static str {
    let mut forge = Forge::envelope2();
    forge.set_payload(payload.to_vec());
    let mut scene = forge.make();
    any(&mut scene);
    code(&scene)
}

#[test]
fn cve_2022_35929_attestation_of_another_type() {
    let attested = || {
        let mut forge = Forge::envelope2();
        forge.set_payload(statement(PROVENANCE, &[(ARTIFACT, "{}")]));
        forge
    };
    changed(Forge::envelope2, as_an_image, PASSES);
    let mut scene = attested().make();
    for (asked, expected) in [
        (ExpectedContent::Any, PASSES),
        (of_type(PROVENANCE), PASSES),
        (
            of_type("https://slsa.dev/provenance/v0.2"),
            "predicate-type-mismatch",
        ),
        (of_type(COSIGN_SIGN), "predicate-type-mismatch"),
        (of_type(""), "predicate-type-mismatch"),
    ] {
        scene.content = asked;
        assert_eq!(code(&scene), expected, "{:?}", scene.content);
    }
    as_an_image(&mut scene);
    assert_eq!(code(&scene), "not-a-signature");
}

#[test]
fn cve_2022_35929_cve_2025_25204_nothing_attached_is_not_accepted() {
    let world = World::new();
    let image = world.image("v1");
    world
        .keyless("verify --output json")
        .args(world.expecting())
        .arg(image.by_digest())
        .run()
        .exits(10);
    world.write("file", "content");
    world
        .keyless("verify-blob file --output json")
        .args(world.expecting())
        .run()
        .fails(10, "no-signature");
}

#[test]
fn cve_2026_39395_statement_that_cannot_be_read() {
    let good = statement(PROVENANCE, &[(ARTIFACT, "{}")]);
    assert_eq!(code_for_payload(&good), PASSES);
    for payload in [
        &b""[..],
        b"null",
        b"{}",
        b"[]",
        b"\"statement\"",
        &good[..good.len() - 1],
        &[&good[..], b"{}"].concat(),
    ] {
        assert_eq!(
            code_for_payload(payload),
            "statement-malformed",
            "{}",
            String::from_utf8_lossy(payload)
        );
    }
    let mut json: Value = serde_json::from_slice(&good).unwrap();
    for member in ["_type", "predicateType", "subject"] {
        let before = json[member].take();
        let found = code_for_payload(json.to_string().as_bytes());
        let expected = match member {
            "subject" => "artifact-mismatch",
            _ => "statement-malformed",
        };
        assert_eq!(found, expected, "{member} is null");
        json[member] = before;
    }
    json["_type"] = json!("https://in-toto.io/Statement/v9");
    assert_eq!(
        code_for_payload(json.to_string().as_bytes()),
        "statement-malformed"
    );
}

#[test]
fn sigstore_go_609_no_digest_is_no_artifact() {
    assert!(Artifact::from_digests(Vec::new()).is_none());
    // A digest of a kind that nobody signed decides nothing either.
    changed(
        Forge::blob2,
        |scene| {
            let digest = keyless::crypto::HashAlgorithm::Sha512.digest(ARTIFACT);
            scene.artifact = Artifact::from_digest(digest);
        },
        "digest-needed",
    );
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    for empty in ["sha256:", ""] {
        world
            .keyless("verify-blob --bundle file.sigstore.json --output json")
            .args(world.expecting())
            .arg(empty)
            .run()
            .fails(3, "file-not-found");
    }
}

#[test]
fn sigstore_go_600_message_digest_of_another_file() {
    changed(
        Forge::blob2,
        |scene| {
            if let Content::MessageSignature { digest, .. } = &mut scene.bundle.content {
                *digest = Some(Digest::sha256(b"image B"));
            }
        },
        "artifact-mismatch",
    );
}

#[test]
fn ghsa_52v5_jr5w_gjxr_every_policy_flag_refuses() {
    /// Flags that ask for nothing; those that ask for less say so in their name or help.
    const OTHERS: [&str; 16] = [
        "--local-image",
        "--any-statement",
        "--insecure-ignore-tlog",
        "--insecure-ignore-sct",
        "--explain",
        "--bundle",
        "--output-file",
        "--quiet",
        "--help",
        "--version",
        "--output",
        "--trusted-root",
        "--allow-http-registry",
        "--from",
        "--from-format",
        "--jobs",
    ];
    const WORKFLOW: &str = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
    /// Each policy flag with a value that the signature does not have; exit code and code of the refusal.
    const CASES: [(&str, &str, i32, &str); 16] = [
        ("--certificate-identity", IDENTITY, 12, "identity-mismatch"),
        (
            "--certificate-identity-regexp",
            "octo/app",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-oidc-issuer",
            "https://other.test",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-oidc-issuer-regexp",
            "http://127",
            12,
            "identity-mismatch",
        ),
        (
            "--certificate-claim",
            "source-repository-ref=refs/tags/v2",
            12,
            "claim-mismatch",
        ),
        (
            "--certificate-github-workflow-trigger",
            "other",
            12,
            "claim-mismatch",
        ),
        (
            "--certificate-github-workflow-sha",
            "other",
            12,
            "claim-mismatch",
        ),
        (
            "--certificate-github-workflow-name",
            "other",
            12,
            "claim-mismatch",
        ),
        (
            "--certificate-github-workflow-repository",
            "octo/ap",
            12,
            "claim-mismatch",
        ),
        (
            "--certificate-github-workflow-ref",
            "refs/tags/v",
            12,
            "claim-mismatch",
        ),
        ("--policy", "other.toml", 12, "identity-mismatch"),
        ("--key", "other.pub", 12, "certificate-not-key"),
        ("--annotations", "env=test", 12, "annotation-mismatch"),
        ("--log-threshold", "2", 32, "log-threshold"),
        ("--timestamp-threshold", "2", 33, "timestamp-threshold"),
        ("--sct-threshold", "2", 34, "sct-threshold"),
    ];
    let world = World::new();
    world.write("other.pub", Key::p256().public().to_pem());
    let somebody_else = r#"version = 1
[[rule]]
images = ["**"]
files = ["**"]
[[rule.signer]]
identity = "other@example.test"
issuer = "https://other.test"
"#;
    world.write("other.toml", somebody_else);
    for signer in [WORKFLOW, IDENTITY] {
        let image = world
            .image(if signer == WORKFLOW { "v1" } else { "v2" })
            .by_digest();
        let token = world.token(&TokenRequest::new(signer));
        world.write("file", "content");
        for command in ["sign-blob file --overwrite", "sign -a env=prod"] {
            let run = world.keyless(command).args(["--identity-token", &token]);
            let run = if command.contains("file") {
                run
            } else {
                run.arg(&image)
            };
            run.run().exits(0);
        }
        let issuer = world.sandbox.issuer().to_owned();
        for (command, subject) in [("verify", image.as_str()), ("verify-blob", "file")] {
            let run = |flags: &[&str]| {
                let run = world.keyless(command).args(["--output", "json"]);
                run.args(flags).arg(subject).run()
            };
            let who = ["--certificate-identity", signer];
            let through = ["--certificate-oidc-issuer", issuer.as_str()];
            run(&[who, through].concat()).exits(0);
            let help = world.keyless(command).arg("--help").run().exits(0).stdout;
            let help = crate::policy_help(&help);
            let flags: Vec<&str> = help
                .lines()
                .filter_map(|line| {
                    line.trim_start()
                        .trim_start_matches("-a, ")
                        .split(' ')
                        .next()
                })
                .map(|word| word.trim_end_matches(','))
                .filter(|word| word.starts_with("--") && !OTHERS.contains(word))
                .collect();
            assert!(flags.len() >= 14, "{flags:?}");
            for flag in flags {
                let Some((_, value, exit, code)) = CASES.iter().find(|case| case.0 == flag) else {
                    panic!("{command} {flag} has no case in which it refuses");
                };
                let value = match (*value, signer) {
                    // Somebody else, whoever has signed.
                    (IDENTITY, IDENTITY) => "other@example.test",
                    (value, _) => value,
                };
                // What is asked for twice would be one or the other.
                let mut asked = vec![flag, value];
                let replaces_both = ["--key", "--policy"].contains(&flag);
                if !flag.starts_with("--certificate-identity") && !replaces_both {
                    asked.extend(who);
                }
                if !flag.starts_with("--certificate-oidc-issuer") && !replaces_both {
                    asked.extend(through);
                }
                let refused = run(&asked).exits(*exit).json();
                let error = match command {
                    "verify" => &refused["images"][0]["error"]["code"],
                    _ => &refused["error"]["code"],
                };
                assert_eq!(error, code, "{command} {flag} {value}, signed by {signer}");
            }
        }
    }
}

#[test]
fn js_b5aa4f1_lengths_are_in_bytes() {
    assert_eq!(
        PreAuthEncoding::new("tüp", "ü".as_bytes()).to_bytes(),
        "DSSEv1 4 tüp 2 ü".as_bytes()
    );
    let set_type = |forge: &mut Forge| {
        if let Signed::Envelope { payload_type, .. } = &mut forge.signed {
            *payload_type = "application/vnd.in-toto+jsön".to_owned();
        }
    };
    // Signed over the length in bytes it verifies, and is refused for the type that it is.
    forged(Forge::envelope2, set_type, "payload-type");
    // Signed over the length in characters it does not verify.
    let mut forge = Forge::envelope2();
    set_type(&mut forge);
    let mut scene = forge.make();
    let Content::DsseEnvelope(envelope) = &mut scene.bundle.content else {
        panic!("an envelope");
    };
    let head = format!(
        "DSSEv1 {} {} {} ",
        envelope.payload_type.chars().count(),
        envelope.payload_type,
        envelope.payload.len()
    );
    envelope.signature = forge
        .key
        .sign(&[head.as_bytes(), &envelope.payload].concat());
    assert_eq!(code(&scene), "signature-invalid");
}

#[test]
fn tob_sigstore_5_unknown_and_missing_members() {
    for (pointer, gone) in [
        ("", "mediaType"),
        ("", "verificationMaterial"),
        ("/verificationMaterial/tlogEntries/0", "logId"),
        ("/verificationMaterial/tlogEntries/0", "kindVersion"),
        ("/verificationMaterial/tlogEntries/0", "canonicalizedBody"),
        ("/messageSignature", "signature"),
    ] {
        let expected = match gone {
            "mediaType" => "bundle-version",
            _ => "bundle-invalid",
        };
        rewritten(
            Forge::blob2,
            |json| {
                let object = json.pointer_mut(pointer).unwrap();
                object.as_object_mut().unwrap().remove(gone).unwrap();
            },
            expected,
        );
        rewritten(
            Forge::blob2,
            |json| json.pointer_mut(pointer).unwrap()["drift"] = json!(1),
            "bundle-malformed",
        );
    }
}

#[test]
fn tob_sigstore_9_exactly_one_signature() {
    fn signatures(json: &mut Value) -> &mut Vec<Value> {
        json["dsseEnvelope"]["signatures"].as_array_mut().unwrap()
    }
    rewritten(
        Forge::envelope2,
        |json| signatures(json).clear(),
        "bundle-invalid",
    );
    for bad_first in [false, true] {
        rewritten(
            Forge::envelope2,
            |json| {
                let mut bad = signatures(json)[0].clone();
                bad["sig"] = json!("AAAA");
                signatures(json).insert(usize::from(!bad_first), bad);
            },
            "bundle-invalid",
        );
    }
}

#[test]
fn cve_2026_44309_the_bytes_that_were_signed() {
    // Spaces are the signer's business.
    let text = String::from_utf8(statement(COSIGN_SIGN, &[(ARTIFACT, "{}")])).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let spaced = serde_json::to_string_pretty(&value).unwrap();
    assert_ne!(spaced, text);
    assert_eq!(code_for_payload(spaced.as_bytes()), PASSES);
    // The same value written in another way is other bytes.
    changed(
        Forge::envelope2,
        |scene| {
            if let Content::DsseEnvelope(envelope) = &mut scene.bundle.content {
                envelope.payload = [&*envelope.payload, b"\n"].concat().into();
            }
        },
        "signature-invalid",
    );
    // A member twice would be read in two ways.
    for (member, twice) in [
        (
            "\"predicateType\":",
            format!("\"predicateType\":\"{PROVENANCE}\",\"predicateType\":"),
        ),
        ("\"subject\":", "\"subject\":[],\"subject\":".to_owned()),
        (
            "\"sha256\":",
            format!("\"sha256\":\"{}\",\"sha256\":", "0".repeat(64)),
        ),
        (
            "\"predicate\":{",
            "\"predicate\":{\"a\":1,\"a\":2".to_owned(),
        ),
    ] {
        let doubled = text.replacen(member, &twice, 1);
        assert_ne!(doubled, text);
        assert_eq!(
            code_for_payload(doubled.as_bytes()),
            "statement-malformed",
            "{doubled}"
        );
    }
}

#[test]
fn cve_2026_44310_no_certificate_is_no_success() {
    rewritten(
        Forge::blob1,
        |json| {
            drop(
                json["verificationMaterial"]
                    .as_object_mut()
                    .unwrap()
                    .remove("certificate"),
            )
        },
        "bundle-invalid",
    );
    let world = World::new();
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    let mut json: Value = serde_json::from_str(&world.read("file.sigstore.json")).unwrap();
    json["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let material = json["verificationMaterial"].as_object_mut().unwrap();
    material.remove("certificate");
    for certificates in [json!([]), json!([{}]), json!([{ "rawBytes": "" }])] {
        material_with_chain(&mut json, certificates);
        world.write("file.sigstore.json", json.to_string());
        world
            .keyless("verify-blob file")
            .args(world.expecting())
            .run()
            .exits(22);
    }
}

fn material_with_chain(json: &mut Value, certificates: Value) {
    json["verificationMaterial"]["x509CertificateChain"] = json!({ "certificates": certificates });
}

#[test]
fn cve_2022_35930_a_signature_is_no_attestation_and_the_other_way_round() {
    let mut scene = Forge::blob2().make();
    as_an_image(&mut scene);
    assert_eq!(code(&scene), "not-a-signature");
    scene.content = of_type(PROVENANCE);
    assert_eq!(code(&scene), "not-an-attestation");
    let mut scene = Forge::envelope2().make();
    assert_eq!(code(&scene), PASSES, "an image's signature");
    scene.content = of_type(PROVENANCE);
    assert_eq!(code(&scene), "not-an-attestation");
    scene.content = ExpectedContent::ArtifactSignature;
    assert_eq!(code(&scene), "not-a-signature");
}

#[test]
fn ghsa_r2xv_vpr2_42m9_statement_about_another_subject() {
    let other: &[u8] = b"image B";
    for base in [Forge::envelope1, Forge::envelope2] {
        for subjects in [
            vec![],
            vec![(other, "{}")],
            vec![(other, "{}"), (&b"image C"[..], "{}")],
        ] {
            forged(
                base,
                |forge| forge.set_payload(statement(COSIGN_SIGN, &subjects)),
                "artifact-mismatch",
            );
        }
    }
}

#[test]
fn cve_2026_22772_ghsa_pmwq_pjrm_6p5r_cve_2021_41087_patterns_match_the_whole_value() {
    for (pattern, value, matches) in [
        ("https://issuer\\.test", "https://issuer.test", true),
        (
            "https://issuer\\.test",
            "https://issuer.test.evil.test",
            false,
        ),
        (
            "https://issuer\\.test",
            "https://evil.test/https://issuer.test",
            false,
        ),
        ("https://issuer.test", "https://issuerxtest", true),
        ("a|b", "ab", false),
        ("a|b", "b", true),
        ("^a$|^b$", "a\nb", false),
        ("(?m)^a$", "a\nevil", false),
        ("(?s).*", "a\nb", true),
        (".*", "a\nb", false),
        ("[^a]", "b", true),
        ("[^a]", "a", false),
        ("[!a]", "b", false),
        ("", "a", false),
        ("*", "a", false),
        (")|(.*", "a", false),
    ] {
        let expected = if matches { PASSES } else { "identity-mismatch" };
        let Ok(matcher) = ValueMatcher::pattern(pattern) else {
            assert!(!matches, "{pattern:?} does not compile");
            continue;
        };
        let mut forge = Forge::blob1();
        forge.leaf.names = vec![crate::certificate::Template::email(value)];
        let mut scene = forge.make();
        scene.subject = matcher;
        let found = code(&scene);
        let found = match found {
            // A name that is no name matches nothing either.
            "certificate-identity-malformed" => "identity-mismatch",
            found => found,
        };
        assert_eq!(found, expected, "{pattern:?} {value:?}");
    }
}
