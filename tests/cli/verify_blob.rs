//! `keyless verify-blob`.

use keyless::format::bundle::Bundle;
use keyless::sandbox::RekorVersion;
use serde_json::{Value, json};

use crate::support::{IDENTITY, Run, World, sha256};

/// A file with its bundle.
pub fn signed(rekor: RekorVersion) -> World {
    let world = World::start(rekor, &[]);
    world.write("file", "content");
    world.keyless("sign-blob file").run().exits(0);
    world
}

fn verify(world: &World) -> Run {
    world
        .keyless("verify-blob file --output json")
        .args(world.expecting())
        .run()
}

#[test]
fn a_verdict_says_who_when_and_where() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = signed(rekor);
        let before = world.counts();
        let run = verify(&world).exits(0);
        let document = run.json();
        assert_eq!(document["result"], "accepted");
        let blob = &document["blobs"][0];
        assert_eq!(blob["digests"], json!([sha256("content")]));
        assert_eq!(blob["signature"]["signer"]["identity"], IDENTITY);
        assert_eq!(world.counts(), before, "verify-blob needs no network");
    }
}

#[test]
fn a_changed_file_is_refused() {
    let world = signed(RekorVersion::V1);
    for content in ["contenu", "content\n", ""] {
        world.write("file", content);
        verify(&world).fails(21, "artifact-mismatch");
    }
    world
        .keyless("verify-blob - --bundle file.sigstore.json --output json")
        .args(world.expecting())
        .stdin("contents")
        .run()
        .fails(21, "artifact-mismatch");
}

#[test]
fn another_digest_is_refused() {
    let world = signed(RekorVersion::V1);
    let check = |digest: String| {
        world
            .keyless("verify-blob --bundle file.sigstore.json --output json")
            .arg(digest)
            .args(world.expecting())
            .run()
    };
    check(sha256("contenu")).fails(21, "artifact-mismatch");
    let sha512 = keyless::crypto::HashAlgorithm::Sha512.digest(b"content");
    check(sha512.to_string()).exits(21);
}

#[test]
fn a_missing_bundle() {
    let world = signed(RekorVersion::V1);
    std::fs::remove_file(world.path("file.sigstore.json")).unwrap();
    verify(&world)
        .fails(10, "no-signature")
        .says("looked for: file.sigstore.json")
        .says("looked for: file.sigstore\n");
    world
        .keyless("verify-blob file --bundle absent --output json")
        .args(world.expecting())
        .run()
        .fails(3, "file-not-found");
}

#[test]
fn the_older_name_is_found_too() {
    let world = signed(RekorVersion::V1);
    std::fs::rename(
        world.path("file.sigstore.json"),
        world.path("file.sigstore"),
    )
    .unwrap();
    verify(&world).exits(0);
}

#[test]
fn identity_and_issuer_must_match() {
    let world = signed(RekorVersion::V1);
    let check = |flags: &[&str]| {
        world
            .keyless("verify-blob file --output json")
            .args(flags)
            .run()
    };
    let issuer = world.sandbox.issuer();
    let other = format!("{issuer}x");
    for (identity, issuer) in [("dev@example.tesy", issuer), (IDENTITY, &other)] {
        check(&[
            "--certificate-identity",
            identity,
            "--certificate-oidc-issuer",
            issuer,
        ])
        .fails(12, "identity-mismatch");
    }
    for flags in [
        &[][..],
        &["--certificate-identity", IDENTITY],
        &["--certificate-oidc-issuer-regexp", ".*"],
    ] {
        let run = check(flags)
            .fails(2, "usage-identity-missing")
            .says("not verified")
            .says(&format!(
                "--certificate-identity {IDENTITY} --certificate-oidc-issuer {issuer}"
            ));
        let claimed = &run.json()["claimedSigners"][0]["signers"][0];
        assert_eq!(claimed["identity"], IDENTITY);
    }
}

/// Changes one member of the bundle.
fn tampered(world: &World, pointer: &str, change: impl FnOnce(&mut Value)) -> Run {
    let good = world.read("file.sigstore.json");
    let mut bundle: Value = serde_json::from_str(&good).unwrap();
    change(
        bundle
            .pointer_mut(pointer)
            .unwrap_or_else(|| panic!("{pointer}")),
    );
    world.write("tampered.json", bundle.to_string());
    world
        .keyless("verify-blob file --bundle tampered.json --output json")
        .args(world.expecting())
        .run()
}

/// Changes one byte in the middle of a base64 member.
fn flip(value: &mut Value) {
    let mut text: Vec<char> = value.as_str().unwrap().chars().collect();
    let middle = text.len() / 2;
    text[middle] = if text[middle] == 'A' { 'B' } else { 'A' };
    *value = text.into_iter().collect::<String>().into();
}

#[test]
fn a_tampered_bundle_is_refused_for_what_was_changed() {
    let entry = "/verificationMaterial/tlogEntries/0";
    let at = |member: &str| format!("{entry}{member}");
    for (rekor, pointer, exit, code) in [
        (
            RekorVersion::V1,
            "/messageSignature/signature".to_owned(),
            20,
            "signature-invalid",
        ),
        (
            RekorVersion::V1,
            "/messageSignature/messageDigest/digest".to_owned(),
            21,
            "artifact-mismatch",
        ),
        (
            RekorVersion::V1,
            at("/inclusionPromise/signedEntryTimestamp"),
            32,
            "log-promise-invalid",
        ),
        (
            RekorVersion::V1,
            at("/inclusionProof/rootHash"),
            32,
            "checkpoint-mismatch",
        ),
        (
            RekorVersion::V2,
            at("/inclusionProof/rootHash"),
            32,
            "checkpoint-mismatch",
        ),
    ] {
        let world = signed(rekor);
        tampered(&world, &pointer, flip).fails(exit, code);
    }
}

#[test]
fn a_bundle_without_what_it_needs_is_refused() {
    let world = signed(RekorVersion::V1);
    let remove = |pointer: &str, member: &str| {
        let member = member.to_owned();
        tampered(&world, pointer, move |value| {
            value
                .as_object_mut()
                .unwrap()
                .shift_remove(&member)
                .unwrap();
        })
    };
    let entry = "/verificationMaterial/tlogEntries/0";
    remove("", "mediaType").fails(22, "bundle-version");
    remove("", "messageSignature").fails(22, "bundle-invalid");
    remove("/verificationMaterial", "certificate").fails(22, "bundle-invalid");
    remove(entry, "inclusionProof").fails(22, "bundle-invalid");
    // With a timestamp for the time, the promise is not needed.
    remove(entry, "inclusionPromise").exits(0);
    remove("/verificationMaterial", "timestampVerificationData").exits(0);
    let v2 = signed(RekorVersion::V2);
    tampered(&v2, "/verificationMaterial", |value| {
        let material = value.as_object_mut().unwrap();
        material.shift_remove("timestampVerificationData").unwrap();
    })
    .fails(33, "no-trusted-time");
}

#[test]
fn a_log_entry_of_another_bundle_is_refused() {
    let world = signed(RekorVersion::V1);
    world.write("other", "other content");
    world.keyless("sign-blob other").run().exits(0);
    let other: Value = serde_json::from_str(&world.read("other.sigstore.json")).unwrap();
    let material = "/verificationMaterial/tlogEntries";
    let run = tampered(&world, material, |value| {
        *value = other.pointer(material).unwrap().clone();
    });
    run.fails(32, "log-entry-mismatch");
    let material = "/verificationMaterial/timestampVerificationData";
    tampered(&world, material, |value| {
        *value = other.pointer(material).unwrap().clone();
    })
    .fails(33, "timestamp-imprint");
}

#[test]
fn rubbish_is_no_bundle() {
    let world = signed(RekorVersion::V1);
    let good = world.read("file.sigstore.json");
    for (rubbish, code) in [
        (String::new(), "bundle-malformed"),
        ("null".to_owned(), "bundle-malformed"),
        ("[]".to_owned(), "bundle-malformed"),
        ("[".repeat(100_000), "bundle-malformed"),
        (good[..good.len() - 1].to_owned(), "bundle-malformed"),
        (format!("{good}{good}"), "bundle-malformed"),
        (good.replace("v0.3", "v0.9"), "bundle-version"),
    ] {
        world.write("file.sigstore.json", rubbish);
        verify(&world).fails(22, code);
    }
    world.write("file.sigstore.json", vec![b' '; 32 << 20]);
    verify(&world).fails(3, "file-too-large");
    world.write("file.sigstore.json", [0xff, 0xfe, 0x00]);
    verify(&world).fails(22, "bundle-malformed");
}

#[test]
fn a_public_key_where_an_identity_is_expected() {
    let world = signed(RekorVersion::V1);
    let run = tampered(&world, "/verificationMaterial", |value| {
        let material = value.as_object_mut().unwrap();
        material.shift_remove("certificate").unwrap();
        material.insert("publicKey".to_owned(), json!({ "hint": "aGludA==" }));
    });
    run.fails(13, "no-certificate");
}

#[test]
fn the_public_good_instance_does_not_know_the_sandbox() {
    let world = signed(RekorVersion::V1);
    world
        .keyless("verify-blob file --output json")
        .env_remove("KEYLESS_TRUSTED_ROOT")
        .args(world.expecting())
        .run()
        .fails(32, "log-unknown")
        .says("--trusted-root");
}

#[test]
fn what_is_written_parses_as_what_it_is() {
    let world = signed(RekorVersion::V1);
    let text = world.read("file.sigstore.json");
    let bundle = Bundle::parse(text.as_bytes()).unwrap();
    assert_eq!(bundle.encode(), text);
}

#[test]
fn what_an_envelope_signs_is_not_verified_as_a_file() {
    let world = signed(RekorVersion::V2);
    world.write("file", "DSSEv1 28 application/vnd.in-toto+json 2 {}");
    verify(&world).fails(21, "blob-is-pre-auth-encoding");
}

/// Whoever plants a file must not decide what a digest stands for.
#[test]
fn a_digest_is_a_digest_even_where_a_file_has_its_name() {
    let world = signed(RekorVersion::V1);
    let evil = sha256("evil");
    world.write(&evil, "content");
    let judge = |file: &str| {
        world
            .keyless("verify-blob --bundle file.sigstore.json --output json")
            .arg(file)
            .args(world.expecting())
            .run()
    };
    judge(&evil).fails(21, "artifact-mismatch");
    judge(&format!("./{evil}")).exits(0);
}
