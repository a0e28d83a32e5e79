//! Log entries: about this signature, in this log, at a time that the log was trusted.

use keyless::crypto::UnixTime;
use keyless::format::bundle::InclusionProof;
use serde_json::{Value, json};

use crate::Change::{Forge as Before, Scene as After};
use crate::forge::{Forge, LONG_AGO, NOW, Scene};
use crate::key::{Key, sha256};
use crate::log::{Entry, Kind, Log, Rekor, base64, path, tree};
use crate::{Case, PASSES, judge};

fn proof(scene: &mut Scene) -> &mut InclusionProof {
    let entry = &mut scene.bundle.log_entries[0];
    entry.inclusion_proof.as_mut().unwrap()
}

fn set(body: &mut Value, pointer: &str, value: Value) {
    *body.pointer_mut(pointer).unwrap() = value;
}

fn other_hex(body: &mut Value, pointer: &str) {
    set(body, pointer, json!(hex::encode(sha256(b"other content"))));
}

fn other_base64(body: &mut Value, pointer: &str) {
    set(body, pointer, json!(base64(&sha256(b"other content"))));
}

fn pem_key(key: &Key) -> String {
    base64(key.public().to_pem().as_bytes())
}

/// Adds signature lines that are not the log's.
fn witness(scene: &mut Scene, lines: usize) {
    let line = format!("\u{2014} witness.test {}\n", base64(&[0; 68]));
    proof(scene).checkpoint.push_str(&line.repeat(lines));
}

/// Ends the trust in a log one second before the signature.
fn retire(scene: &mut Scene, log: usize) {
    scene.trust.logs[log].valid_for.end = Some(UnixTime::from_seconds(NOW - 1));
}

/// Adds the first entry again, its index moved.
fn repeat(scene: &mut Scene, by: u64) {
    let mut entry = scene.bundle.log_entries[0].clone();
    entry.log_index += by;
    scene.bundle.log_entries.push(entry);
}

/// A proof, sound in itself, that another leaf is in the tree.
fn prove_another_leaf(scene: &mut Scene) {
    let entry = &mut scene.bundle.log_entries[0];
    let proof = entry.inclusion_proof.as_mut().unwrap();
    let leaves = tree(&entry.canonicalized_body, 4);
    proof.hashes = path(&leaves, 2);
    proof.log_index = 2;
}

#[test]
fn the_body() {
    judge(&[
        Case(
            "digest-of-other-content",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| other_hex(body, "/spec/data/hash/value");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "digest-of-other-content-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| other_base64(body, "/spec/hashedRekordV002/data/digest");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "digest-of-other-content-v2-envelope",
            Forge::envelope2,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| other_base64(body, "/spec/hashedRekordV002/data/digest");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "payload-hash-of-other-content",
            Forge::envelope1,
            Before(|forge| {
                forge.entries[0].edit = |body| other_hex(body, "/spec/payloadHash/value");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "payload-hash-of-another-algorithm",
            Forge::envelope1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = "00".repeat(64);
                    let hash = json!({ "algorithm": "sha512", "value": other });
                    set(body, "/spec/payloadHash", hash);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "signature-differs",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| other_base64(body, "/spec/signature/content");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "signature-differs-dsse",
            Forge::envelope1,
            Before(|forge| {
                forge.entries[0].edit = |body| other_base64(body, "/spec/signatures/0/signature");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "signature-differs-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit =
                    |body| other_base64(body, "/spec/hashedRekordV002/signature/content");
            }),
            "log-entry-mismatch",
        ),
        Case(
            "verifier-is-another-key",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = json!(pem_key(&Key::p256()));
                    set(body, "/spec/signature/publicKey/content", other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "verifier-is-another-key-for-a-managed-key",
            Forge::key1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = json!(pem_key(&Key::p256()));
                    set(body, "/spec/signature/publicKey/content", other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "verifier-is-another-certificate-v2",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = Forge::blob2().leaf.issue();
                    let pointer =
                        "/spec/hashedRekordV002/signature/verifier/x509Certificate/rawBytes";
                    set(body, pointer, json!(base64(other.der())));
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "verifier-is-another-dsse",
            Forge::envelope1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let other = json!(pem_key(&Key::p256()));
                    set(body, "/spec/signatures/0/verifier", other);
                };
            }),
            "log-entry-mismatch",
        ),
        Case(
            "hashedrekord-1-for-an-envelope",
            Forge::envelope1,
            Before(|forge| forge.entries[0].kind = Kind::Hashedrekord1),
            "log-entry-mismatch",
        ),
        Case(
            "dsse-for-a-message",
            Forge::blob1,
            Before(|forge| forge.entries[0].kind = Kind::Dsse1),
            "log-entry-mismatch",
        ),
        Case(
            "version-differs-from-the-body",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].version = "0.0.2".to_owned()),
            "log-kind-mismatch",
        ),
        Case(
            "kind-differs-from-the-body",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].kind = "dsse".to_owned()),
            "log-kind-mismatch",
        ),
        Case(
            "body-differs-from-its-kind",
            Forge::blob2,
            Before(|forge| {
                forge.entries[0].edit = |body| set(body, "/apiVersion", json!("0.0.1"));
            }),
            "log-kind-mismatch",
        ),
        Case(
            "body-with-an-unknown-member",
            Forge::blob1,
            Before(|forge| forge.entries[0].edit = |body| body["spec"]["more"] = json!(1)),
            "log-body-malformed",
        ),
        Case(
            "body-with-two-signatures",
            Forge::envelope1,
            Before(|forge| {
                forge.entries[0].edit = |body| {
                    let signatures = body["spec"]["signatures"].as_array_mut().unwrap();
                    signatures.push(signatures[0].clone());
                };
            }),
            "log-body-malformed",
        ),
        Case(
            "body-changed-after-logging",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].canonicalized_body.push(b' ')),
            "log-promise-invalid",
        ),
        Case(
            "body-changed-after-logging-v2",
            Forge::blob2,
            After(|scene| scene.bundle.log_entries[0].canonicalized_body.push(b' ')),
            "inclusion-proof-invalid",
        ),
    ]);
}

#[test]
fn the_promise() {
    judge(&[
        Case(
            "promise-flipped",
            Forge::blob1,
            After(|scene| {
                let promise = &mut scene.bundle.log_entries[0].inclusion_promise;
                *promise.as_mut().unwrap().last_mut().unwrap() ^= 1;
            }),
            "log-promise-invalid",
        ),
        Case(
            "promise-of-another-time",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].integrated_time = Some(NOW + 1)),
            "log-promise-invalid",
        ),
        Case(
            "promise-of-another-index",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].log_index += 1),
            "log-promise-invalid",
        ),
        Case(
            "promise-of-the-largest-number-that-json-keeps",
            Forge::blob1,
            Before(|forge| forge.entries[0].earlier = (1 << 53) - 4),
            PASSES,
        ),
        Case(
            "promise-of-a-larger-number",
            Forge::blob1,
            Before(|forge| forge.entries[0].earlier = (1 << 53) - 3),
            "log-promise-invalid",
        ),
        Case(
            "promise-without-time",
            Forge::blob1,
            After(|scene| scene.bundle.log_entries[0].integrated_time = None),
            "log-promise-invalid",
        ),
        Case(
            "promise-without-proof",
            Forge::blob1,
            Before(|forge| forge.entries[0].proof = false),
            PASSES,
        ),
        Case(
            "proof-without-promise-or-timestamp",
            Forge::blob1,
            Before(|forge| forge.entries[0].promise = false),
            "no-trusted-time",
        ),
        Case(
            "proof-without-promise-beside-a-timestamp",
            Forge::stamped1,
            Before(|forge| forge.entries[0].promise = false),
            PASSES,
        ),
        Case(
            "neither-proof-nor-promise",
            Forge::blob1,
            Before(|forge| {
                forge.entries[0].proof = false;
                forge.entries[0].promise = false;
            }),
            "log-proof-missing",
        ),
        Case(
            "neither-proof-nor-promise-beside-a-timestamp",
            Forge::blob2,
            Before(|forge| forge.entries[0].proof = false),
            "log-proof-missing",
        ),
    ]);
}

#[test]
fn the_log() {
    judge(&[
        Case(
            "second-period-of-the-same-log-v2",
            Forge::blob2,
            After(|scene| {
                let log = scene.trust.logs[1].clone();
                retire(scene, 1);
                scene.trust.logs.push(log);
            }),
            PASSES,
        ),
        Case(
            "log-retired-before-another-logs-promise",
            Forge::logged_twice,
            After(|scene| retire(scene, 1)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-not-listed",
            Forge::blob1,
            After(|scene| {
                scene
                    .trust
                    .logs
                    .retain(|log| log.base_url.contains("rekor2"))
            }),
            "log-unknown",
        ),
        Case(
            "log-not-listed-v2",
            Forge::blob2,
            After(|scene| {
                scene
                    .trust
                    .logs
                    .retain(|log| log.base_url.contains("rekor1"))
            }),
            "log-unknown",
        ),
        Case(
            "log-not-listed-managed-key",
            Forge::key1,
            After(|scene| scene.trust.logs.clear()),
            "log-unknown",
        ),
        Case(
            "no-entry",
            Forge::stamped1,
            Before(|forge| forge.entries.clear()),
            "log-unknown",
        ),
        Case(
            "log-retired-before-the-promise",
            Forge::blob1,
            After(|scene| retire(scene, 0)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-not-begun-at-the-promise",
            Forge::blob1,
            After(|scene| {
                scene.trust.logs[0].valid_for.start = UnixTime::from_seconds(NOW + 1);
            }),
            "log-key-not-valid-at",
        ),
        Case(
            "log-retired-after-the-promise",
            Forge::blob1,
            After(|scene| {
                let end = UnixTime::from_seconds(NOW);
                scene.trust.logs[0].valid_for.end = Some(end);
            }),
            PASSES,
        ),
        Case(
            "log-retired-before-the-timestamp-v2",
            Forge::blob2,
            After(|scene| retire(scene, 1)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-not-begun-at-the-timestamp-v2",
            Forge::blob2,
            After(|scene| {
                scene.trust.logs[1].valid_for.start = UnixTime::from_seconds(NOW + 3);
            }),
            "log-key-not-valid-at",
        ),
        Case(
            "log-retired-managed-key",
            Forge::key1,
            After(|scene| retire(scene, 0)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-retired-managed-key-v2",
            Forge::key2,
            After(|scene| retire(scene, 1)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-retired-managed-key-without-time",
            Forge::timeless_key2,
            After(|scene| retire(scene, 1)),
            "log-key-not-valid-at",
        ),
        Case(
            "log-retired-beside-a-timestamp-v1",
            Forge::unpromised1,
            After(|scene| retire(scene, 0)),
            "log-key-not-valid-at",
        ),
        Case(
            "one-entry-twice",
            Forge::blob1,
            After(|scene| repeat(scene, 0)),
            "log-entry-repeated",
        ),
        Case(
            "one-leaf-twice-under-another-index",
            Forge::unpromised1,
            After(|scene| repeat(scene, 1)),
            "log-entry-repeated",
        ),
        Case(
            "one-leaf-twice-v2",
            Forge::blob2,
            After(|scene| repeat(scene, 0)),
            "log-entry-repeated",
        ),
        Case(
            "second-period-of-the-same-log",
            Forge::blob1,
            After(|scene| {
                let log = scene.trust.logs[0].clone();
                retire(scene, 0);
                scene.trust.logs.push(log);
            }),
            PASSES,
        ),
        Case(
            "second-entry-of-an-unlisted-log",
            Forge::blob1,
            Before(|forge| {
                let log = Log {
                    rekor: Rekor::V1,
                    name: "elsewhere.test",
                    key: forge.stranger.clone(),
                };
                forge
                    .entries
                    .push(Entry::new(&log, Kind::Hashedrekord1, NOW));
            }),
            PASSES,
        ),
        Case(
            "second-entry-of-a-listed-log-is-broken",
            Forge::stamped1,
            Before(|forge| {
                let mut entry = Entry::new(&forge.rekor2, Kind::Hashedrekord2, NOW);
                entry.checkpoint.signer = Key::ed25519();
                forge.entries.push(entry);
            }),
            "checkpoint-signature",
        ),
        Case(
            "trusted-for-long",
            Forge::blob1,
            After(|scene| {
                let start = UnixTime::from_seconds(LONG_AGO - 1);
                scene.trust.logs[0].valid_for.start = start;
            }),
            PASSES,
        ),
    ]);
}

#[test]
fn the_proof() {
    judge(&[
        Case(
            "root-hash-changed",
            Forge::blob1,
            After(|scene| proof(scene).root_hash[0] ^= 1),
            "checkpoint-mismatch",
        ),
        Case(
            "root-hash-changed-v2",
            Forge::blob2,
            After(|scene| proof(scene).root_hash[0] ^= 1),
            "checkpoint-mismatch",
        ),
        Case(
            "tree-size-changed",
            Forge::blob1,
            After(|scene| proof(scene).tree_size += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "tree-size-changed-v2",
            Forge::blob2,
            After(|scene| proof(scene).tree_size += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "index-of-the-proof-changed",
            Forge::blob1,
            After(|scene| proof(scene).log_index += 1),
            "inclusion-proof-invalid",
        ),
        Case(
            "index-of-the-proof-changed-v2",
            Forge::blob2,
            After(|scene| proof(scene).log_index += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "index-of-the-entry-changed-v2",
            Forge::blob2,
            After(|scene| scene.bundle.log_entries[0].log_index += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "index-of-the-entry-changed-v2-ecdsa",
            Forge::blob2_ecdsa,
            After(|scene| scene.bundle.log_entries[0].log_index += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "index-of-the-entry-changed-v2-older-kind",
            Forge::older_kind2,
            After(|scene| scene.bundle.log_entries[0].log_index += 1),
            "checkpoint-mismatch",
        ),
        Case(
            "index-outside-the-tree",
            Forge::blob1,
            After(|scene| proof(scene).log_index = 7),
            "inclusion-proof-invalid",
        ),
        Case(
            "proof-of-another-leaf",
            Forge::blob1,
            After(prove_another_leaf),
            "inclusion-proof-invalid",
        ),
        Case(
            "proof-of-another-leaf-v2",
            Forge::blob2,
            After(|scene| {
                prove_another_leaf(scene);
                scene.bundle.log_entries[0].log_index = 2;
            }),
            "inclusion-proof-invalid",
        ),
        Case(
            "hash-changed",
            Forge::blob2,
            After(|scene| proof(scene).hashes[1][31] ^= 1),
            "inclusion-proof-invalid",
        ),
        Case(
            "hash-too-few",
            Forge::blob2,
            After(|scene| proof(scene).hashes.truncate(1)),
            "inclusion-proof-invalid",
        ),
        Case(
            "hash-too-many",
            Forge::blob2,
            After(|scene| proof(scene).hashes.push([0; 32])),
            "inclusion-proof-invalid",
        ),
        Case(
            "last-leaf-of-the-tree",
            Forge::blob2,
            Before(|forge| forge.entries[0].place = 6),
            PASSES,
        ),
    ]);
}

#[test]
fn the_checkpoint() {
    judge(&[
        Case(
            "origin-of-another-log",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.origin = "other.test - 1".to_owned()),
            "checkpoint-signature",
        ),
        Case(
            "origin-longer-than-the-name",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.origin = "rekor1.test.evil".to_owned()),
            "checkpoint-signature",
        ),
        Case(
            "origin-is-the-name-v1",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.origin = "rekor1.test".to_owned()),
            PASSES,
        ),
        Case(
            "origin-of-another-log-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].checkpoint.origin = "other.test".to_owned()),
            "checkpoint-signature",
        ),
        Case(
            "origin-with-a-tree-number-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].checkpoint.origin = "rekor2.test - 1".to_owned()),
            "checkpoint-signature",
        ),
        Case(
            "name-changed-under-the-true-hint-v2",
            Forge::blob2,
            Before(|forge| {
                let checkpoint = &mut forge.entries[0].checkpoint;
                "other.test".clone_into(&mut checkpoint.name);
                "other.test".clone_into(&mut checkpoint.origin);
            }),
            "checkpoint-signature",
        ),
        Case(
            "hint-of-another-key",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.hint = Some([0; 4])),
            "checkpoint-signature",
        ),
        Case(
            "hint-of-another-key-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].checkpoint.hint = Some([0; 4])),
            "checkpoint-signature",
        ),
        Case(
            "signed-by-another-key",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.signer = forge.stranger.clone()),
            "checkpoint-signature",
        ),
        Case(
            "signed-by-another-key-v2",
            Forge::blob2,
            Before(|forge| forge.entries[0].checkpoint.signer = Key::ed25519()),
            "checkpoint-signature",
        ),
        Case(
            "text-changed-after-signing",
            Forge::blob2,
            After(|scene| {
                let checkpoint = &mut proof(scene).checkpoint;
                *checkpoint = checkpoint.replacen("\n\n", "\nmore\n\n", 1);
            }),
            "checkpoint-signature",
        ),
        Case(
            "no-signature-line",
            Forge::blob2,
            After(|scene| {
                let checkpoint = &mut proof(scene).checkpoint;
                let end = checkpoint.find("\n\n").unwrap() + 2;
                checkpoint.truncate(end);
            }),
            "checkpoint-malformed",
        ),
        Case(
            "control-character",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.origin = "rekor1.test - \t1".to_owned()),
            "checkpoint-malformed",
        ),
        Case(
            "no-origin",
            Forge::blob1,
            Before(|forge| forge.entries[0].checkpoint.origin.clear()),
            "checkpoint-malformed",
        ),
        Case(
            "signature-lines-101",
            Forge::blob1,
            After(|scene| witness(scene, 100)),
            "checkpoint-malformed",
        ),
        Case(
            "signature-lines-100",
            Forge::blob1,
            After(|scene| witness(scene, 99)),
            PASSES,
        ),
        Case(
            "longer-than-16-kib",
            Forge::blob1,
            Before(|forge| {
                let tail = "x".repeat(16 * 1024);
                forge.entries[0].checkpoint.origin.push_str(&tail);
            }),
            "checkpoint-malformed",
        ),
        Case(
            "size-with-a-leading-zero",
            Forge::blob2,
            After(|scene| {
                let checkpoint = &mut proof(scene).checkpoint;
                *checkpoint = checkpoint.replacen("\n7\n", "\n07\n", 1);
            }),
            "checkpoint-malformed",
        ),
    ]);
}
