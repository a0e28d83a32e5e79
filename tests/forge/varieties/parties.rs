//! Keys of every kind for the other parties, and for signers in the other log; when a CT log promised.

use crate::Change::Forge as Before;
use crate::forge::Forge;
use crate::key::Key;
use crate::{Case, PASSES, judge};

/// Lets another key sign.
fn sign_with(forge: &mut Forge, key: Key) {
    forge.leaf.key = key.clone();
    forge.key = key;
}

/// Gives the intermediate another key.
fn issue_with(forge: &mut Forge, key: Key) {
    forge.intermediate.key = key.clone();
    forge.scts[0].issuer = key.clone();
    forge.leaf.signer = key;
}

fn stamp_with(forge: &mut Forge, key: Key) {
    forge.tokens[0].signer = key.clone();
    forge.tsa.key = key;
}

/// Keys of a Rekor v1 log: that of the log, of its entry, of its checkpoint.
fn log_with(forge: &mut Forge, key: Key) {
    forge.entries[0].log.key = key.clone();
    forge.entries[0].checkpoint.signer = key.clone();
    forge.rekor1.key = key;
}

fn promise_with(forge: &mut Forge, key: Key) {
    forge.scts[0].log = key.clone();
    forge.scts[0].signer = key.clone();
    forge.ct = key;
}

#[test]
fn keys_of_every_party() {
    judge(&[
        Case(
            "signer-p384-v2",
            Forge::blob2,
            Before(|forge| sign_with(forge, Key::p384())),
            PASSES,
        ),
        Case(
            "signer-p384-envelope",
            Forge::envelope1,
            Before(|forge| sign_with(forge, Key::p384())),
            PASSES,
        ),
        Case(
            "signer-p521",
            Forge::blob1,
            Before(|forge| sign_with(forge, Key::p521())),
            PASSES,
        ),
        Case(
            "signer-rsa-v2",
            Forge::blob2,
            Before(|forge| sign_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "signer-rsa-envelope",
            Forge::envelope1,
            Before(|forge| sign_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "managed-p384",
            Forge::key1,
            Before(|forge| forge.key = Key::p384()),
            PASSES,
        ),
        Case(
            "managed-rsa",
            Forge::key1,
            Before(|forge| forge.key = Key::rsa()),
            PASSES,
        ),
        Case(
            "managed-ed25519-envelope",
            Forge::key_envelope1,
            Before(|forge| forge.key = Key::ed25519()),
            PASSES,
        ),
        Case(
            "authority-p384",
            Forge::blob1,
            Before(|forge| issue_with(forge, Key::p384())),
            PASSES,
        ),
        Case(
            "authority-rsa",
            Forge::blob1,
            Before(|forge| issue_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "authority-ed25519",
            Forge::blob1,
            Before(|forge| issue_with(forge, Key::ed25519())),
            PASSES,
        ),
        Case(
            "stamper-p384",
            Forge::blob2,
            Before(|forge| stamp_with(forge, Key::p384())),
            PASSES,
        ),
        Case(
            "stamper-p521-over-sha256",
            Forge::blob2,
            Before(|forge| stamp_with(forge, Key::p521_sha256())),
            PASSES,
        ),
        Case(
            "stamper-rsa",
            Forge::blob2,
            Before(|forge| stamp_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "stamper-ed25519",
            Forge::blob2,
            Before(|forge| stamp_with(forge, Key::ed25519())),
            PASSES,
        ),
        Case(
            "log-p384",
            Forge::blob1,
            Before(|forge| log_with(forge, Key::p384())),
            "log-promise-invalid",
        ),
        Case(
            "log-p521-over-sha256",
            Forge::blob1,
            Before(|forge| log_with(forge, Key::p521_sha256())),
            PASSES,
        ),
        Case(
            "log-rsa",
            Forge::blob1,
            Before(|forge| log_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "ct-log-rsa",
            Forge::blob1,
            Before(|forge| promise_with(forge, Key::rsa())),
            PASSES,
        ),
        Case(
            "sct-with-extensions",
            Forge::blob1,
            Before(|forge| forge.scts[0].extensions = vec![0, 0, 5, 0, 0, 0, 0, 7]),
            PASSES,
        ),
        Case(
            "sct-before-the-certificate",
            Forge::blob1,
            Before(|forge| forge.scts[0].time -= 3_600_000),
            PASSES,
        ),
        Case(
            "sct-after-the-certificate",
            Forge::blob1,
            Before(|forge| forge.scts[0].time += 3_600_000),
            PASSES,
        ),
    ]);
}
