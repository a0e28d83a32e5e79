//! Signing keys, made anew for every scene.

use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use keyless::crypto::PublicKey;

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// SubjectPublicKeyInfo of a P-256 key up to its point.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes.
const ED25519: &str = "302a300506032b6570032100";

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that signs: ECDSA over SHA-256, or Ed25519.
#[derive(Clone)]
pub struct Key(Rc<Pair>);

impl Key {
    pub fn p256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        Key(Rc::new(Pair::Ecdsa(pair)))
    }

    pub fn ed25519() -> Self {
        Key(Rc::new(Pair::Ed25519(Ed25519KeyPair::generate().unwrap())))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.0 {
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                signature.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub fn is_ed25519(&self) -> bool {
        matches!(&*self.0, Pair::Ed25519(_))
    }

    /// The key's bytes without a frame.
    pub fn raw(&self) -> Vec<u8> {
        match &*self.0 {
            Pair::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let prefix = match &*self.0 {
            Pair::Ecdsa(_) => P256,
            Pair::Ed25519(_) => ED25519,
        };
        [hex::decode(prefix).unwrap(), self.raw()].concat()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.spki()).unwrap()
    }
}
