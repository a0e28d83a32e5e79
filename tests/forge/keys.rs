//! Signers' keys of every kind, and the hashes they sign.

use keyless::crypto::{Digest, HashAlgorithm};
use keyless::verify::Artifact;

use crate::Change::{Forge as Before, Scene as After};
use crate::forge::{ARTIFACT, Forge};
use crate::key::Key;
use crate::{Case, PASSES, judge};

fn by(forge: &mut Forge, key: Key) {
    forge.leaf.key = key.clone();
    forge.key = key;
}

fn p384() -> Forge {
    let mut forge = Forge::blob1();
    by(&mut forge, Key::p384());
    forge
}

fn prehashed() -> Forge {
    let mut forge = Forge::blob2();
    by(&mut forge, Key::ed25519ph());
    forge
}

fn only_sha256() -> Artifact {
    Artifact::from_digest(Digest::sha256(ARTIFACT))
}

#[test]
fn every_kind_of_key_signs_files_and_envelopes() {
    judge(&[
        Case("p384", Forge::blob1, Before(|f| by(f, Key::p384())), PASSES),
        Case("p521", Forge::blob2, Before(|f| by(f, Key::p521())), PASSES),
        Case("rsa", Forge::blob1, Before(|f| by(f, Key::rsa())), PASSES),
        Case(
            "p384-envelope",
            Forge::envelope2,
            Before(|f| by(f, Key::p384())),
            PASSES,
        ),
        Case(
            "p521-envelope",
            Forge::envelope1,
            Before(|f| by(f, Key::p521())),
            PASSES,
        ),
        Case(
            "rsa-envelope",
            Forge::envelope2,
            Before(|f| by(f, Key::rsa())),
            PASSES,
        ),
        Case(
            "p521-over-sha256",
            Forge::blob1,
            Before(|f| by(f, Key::p521_sha256())),
            PASSES,
        ),
        Case(
            "p521-envelope-over-sha256",
            Forge::envelope1,
            Before(|f| by(f, Key::p521_sha256())),
            PASSES,
        ),
        Case(
            "ed25519-envelope",
            Forge::envelope1,
            Before(|f| by(f, Key::ed25519())),
            PASSES,
        ),
        Case(
            "ed25519-file-prehashed",
            Forge::blob1,
            Before(|f| by(f, Key::ed25519ph())),
            PASSES,
        ),
        Case(
            "ed25519-file-of-which-sha256-alone-is-known",
            prehashed,
            After(|scene| scene.artifact = only_sha256()),
            "digest-needed",
        ),
        Case(
            "p384-file-of-which-sha256-alone-is-known",
            p384,
            After(|scene| scene.artifact = only_sha256()),
            "digest-needed",
        ),
    ]);
}

#[test]
fn a_key_signs_in_one_form() {
    judge(&[
        Case(
            "ed25519-file-in-the-pure-form",
            prehashed,
            Before(|f| by(f, Key::ed25519())),
            "signature-invalid",
        ),
        Case(
            "ed25519-envelope-prehashed",
            Forge::envelope1,
            Before(|f| by(f, Key::ed25519ph())),
            "signature-invalid",
        ),
        Case(
            "ed25519-file-is-another",
            prehashed,
            After(|scene| {
                scene.artifact = Artifact::from_digest(HashAlgorithm::Sha512.digest(b"another"));
            }),
            "artifact-mismatch",
        ),
    ]);
}
