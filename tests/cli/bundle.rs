//! `keyless bundle create` and `keyless bundle upgrade`.

use keyless::crypto::pem;
use keyless::format::protojson::{decode_base64, encode_base64};
use keyless::sandbox::{RekorVersion, Service};
use serde_json::{Value, json};

use crate::support::{Run, World};
use crate::verify_blob::signed;

fn bundle(world: &World) -> Value {
    serde_json::from_str(&world.read("file.sigstore.json")).unwrap()
}

fn verify(world: &World, bundle: &str) -> Run {
    let run = world.keyless("verify-blob file --bundle").arg(bundle);
    run.args(world.expecting()).run()
}

/// The bundle as v0.1, with a chain, and without the proof.
fn older(world: &World) -> Value {
    let mut bundle = bundle(world);
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1".into();
    let material = bundle["verificationMaterial"].as_object_mut().unwrap();
    let leaf = material.remove("certificate").unwrap();
    let chain = json!({ "certificates": [leaf] });
    material.insert("x509CertificateChain".to_owned(), chain);
    material["tlogEntries"][0]
        .as_object_mut()
        .unwrap()
        .remove("inclusionProof")
        .unwrap();
    bundle
}

fn upgrade(world: &World, more: &str) -> Run {
    let rekor = world.sandbox.url(Service::RekorV1).to_owned();
    let run = world.keyless("bundle upgrade old.json --out new.json --output json");
    let run = run.args(more.split_whitespace());
    let run = match more.contains("--rekor-url") {
        true => run,
        false => run.arg("--rekor-url").arg(rekor),
    };
    run.run()
}

#[test]
fn an_older_bundle_gets_its_proof_and_verifies() {
    let world = signed(RekorVersion::V1);
    world.write("old.json", older(&world).to_string());
    let run = world.keyless("bundle upgrade old.json --output json").run();
    run.fails(32, "bundle-proof-missing");
    let before = world.count(Service::RekorV1);
    let document = upgrade(&world, "").exits(0).json();
    assert_eq!(world.count(Service::RekorV1), before + 1);
    assert_eq!(
        (&document["readAs"], &document["proofsFetched"]),
        (&json!("0.1"), &json!(1))
    );
    let made: Value = serde_json::from_str(&world.read("new.json")).unwrap();
    assert_eq!(document["bundle"], made);
    assert_eq!(made["mediaType"], bundle(&world)["mediaType"]);
    assert!(made["verificationMaterial"]["certificate"].is_object());
    verify(&world, "new.json").exits(0);
    upgrade(&world, "").fails(3, "file-exists");
    upgrade(&world, "--overwrite").exits(0);

    // What is new already stays what it is, and no log is asked.
    let run = world
        .keyless("bundle upgrade file.sigstore.json")
        .run()
        .exits(0);
    assert_eq!(
        serde_json::from_str::<Value>(&run.stdout).unwrap(),
        bundle(&world)
    );
}

#[test]
fn a_log_that_tells_of_another_entry_is_not_believed() {
    let world = signed(RekorVersion::V1);
    let old = older(&world);
    world.write("other", "other content");
    world.keyless("sign-blob other").run().exits(0);
    let index = old["verificationMaterial"]["tlogEntries"][0]["logIndex"]
        .as_str()
        .unwrap();
    let index: u64 = index.parse().unwrap();
    let mut wrong = old.clone();
    wrong["verificationMaterial"]["tlogEntries"][0]["logIndex"] = (index + 1).to_string().into();
    world.write("old.json", wrong.to_string());
    let run = upgrade(&world, "").fails(32, "log-entry-differs");
    assert!(run.stderr.contains("body"), "{run:#?}");
    assert!(!world.path("new.json").exists());
    let (_socket, nobody) = crate::support::nobody();
    world.write("old.json", old.to_string());
    upgrade(&world, &format!("--rekor-url http://{nobody}")).fails(40, "service-unreachable");
}

#[test]
fn what_would_not_verify_is_not_written() {
    let world = signed(RekorVersion::V1);
    let old = older(&world);
    let signature = old["messageSignature"]["signature"].as_str().unwrap();
    let mut bytes = decode_base64(signature).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut changed = old.clone();
    changed["messageSignature"]["signature"] = encode_base64(&bytes).into();
    world.write("old.json", changed.to_string());
    let run = upgrade(&world, "");
    assert!((20..40).contains(&run.code.unwrap()), "{run:#?}");
    assert!(run.stderr.contains("does not verify"), "{run:#?}");
    assert!(!world.path("new.json").exists());
    world.write("old.json", old.to_string());
    world.write("other", "other content");
    upgrade(&world, "--artifact other").fails(21, "artifact-mismatch");
    world.write("old.json", "{}");
    upgrade(&world, "").fails(22, "bundle-version");
}

/// The parts of a bundle, in files of their own.
fn parts(world: &World) -> Value {
    let bundle = bundle(world);
    let material = &bundle["verificationMaterial"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let leaf = decode_base64(&text(&material["certificate"]["rawBytes"])).unwrap();
    let signature = text(&bundle["messageSignature"]["signature"]);
    world.write("signature", format!("{signature}\n"));
    world.write("certificate", pem::encode("CERTIFICATE", &leaf));
    world.write("entry", material["tlogEntries"][0].to_string());
    let stamp = &material["timestampVerificationData"]["rfc3161Timestamps"][0];
    let stamp = json!({ "SignedRFC3161Timestamp": stamp["signedTimestamp"] });
    world.write("timestamp", stamp.to_string());
    bundle
}

fn create(world: &World, more: &str) -> Run {
    let run = world.keyless("bundle create --output json --artifact file --out made.json");
    run.args(more.split_whitespace()).run()
}

#[test]
fn a_bundle_is_made_of_its_parts() {
    for rekor in [RekorVersion::V1, RekorVersion::V2] {
        let world = signed(rekor);
        let bundle = parts(&world);
        let all = "--signature signature --certificate certificate --rekor-entry entry \
                   --rfc3161-timestamp timestamp";
        create(&world, all).exits(0);
        let made: Value = serde_json::from_str(&world.read("made.json")).unwrap();
        assert_eq!(made, bundle);
        verify(&world, "made.json").exits(0);
        world.write("file", "contenu");
        let run = create(&world, &format!("{all} --overwrite"));
        run.fails(20, "signature-invalid");
    }
}

#[test]
fn a_bundle_is_made_of_the_older_form_of_cosign() {
    let world = signed(RekorVersion::V1);
    let bundle = bundle(&world);
    let entry = &bundle["verificationMaterial"]["tlogEntries"][0];
    let number = |name: &str| entry[name].as_str().unwrap().parse::<i64>().unwrap();
    let id = decode_base64(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let leaf = bundle["verificationMaterial"]["certificate"]["rawBytes"]
        .as_str()
        .unwrap();
    let leaf = pem::encode("CERTIFICATE", &decode_base64(leaf).unwrap());
    let old = json!({
        "base64Signature": bundle["messageSignature"]["signature"],
        "cert": encode_base64(leaf.as_bytes()),
        "rekorBundle": {
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": number("integratedTime"),
                "logIndex": number("logIndex"),
                "logID": hex,
            },
        },
    });
    world.write("old.json", old.to_string());
    let rekor = world.sandbox.url(Service::RekorV1).to_owned();
    create(&world, "--bundle old.json").fails(32, "bundle-proof-missing");
    create(&world, &format!("--bundle old.json --rekor-url {rekor}")).exits(0);
    verify(&world, "made.json").exits(0);
    // `upgrade` reads it too, and takes the digest out of the log entry.
    upgrade(&world, "").exits(0);
    verify(&world, "new.json").exits(0);
}

#[test]
fn parts_that_are_something_else_are_told_by_their_file() {
    let world = signed(RekorVersion::V1);
    parts(&world);
    world.write("rubbish", "no such thing!");
    for (flags, exit, code) in [
        ("--rekor-entry rubbish", 22, "bundle-part-unknown"),
        ("--rfc3161-timestamp rubbish", 22, "bundle-part-unknown"),
        ("--rekor-entry none", 3, "file-not-found"),
    ] {
        let flags = format!("--signature signature --certificate certificate {flags}");
        create(&world, &flags).fails(exit, code);
    }
    let flags = "--signature signature --rekor-entry entry";
    create(&world, &format!("{flags} --certificate rubbish")).fails(22, "legacy-malformed");
    create(&world, "--attestation rubbish").fails(22, "legacy-malformed");
    create(&world, flags).fails(2, "bundle-key-needed");
    create(&world, "--certificate certificate").fails(2, "usage-conflict");
    create(&world, "--signature signature --bundle old.json").exits(2);
    let run = world.keyless("bundle create --output json --out x --output-file x");
    let run = run.args(["--signature", "signature", "--certificate", "certificate"]);
    run.run().exits(2).says("same file");
    assert!(!world.path("made.json").exists());
}
