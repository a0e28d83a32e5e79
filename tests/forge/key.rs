//! Signing keys, made anew for every scene.

use std::rc::Rc;

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA256_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256,
};
use keyless::crypto::asn1::encode;
use keyless::crypto::{Digest, HashAlgorithm, PublicKey};

use crate::asn1::{bits, oid, sequence};

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

enum Pair {
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

/// A key that signs, always with the same hash.
#[derive(Clone)]
pub struct Key(Rc<Pair>, &'static Algorithm);

impl Key {
    fn ecdsa(
        algorithm: &'static EcdsaSigningAlgorithm,
        curve: &'static str,
        hash: &'static Algorithm,
    ) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        Key(Rc::new(Pair::Ecdsa(pair, curve)), hash)
    }

    pub fn p256() -> Self {
        let curve = "1.2.840.10045.3.1.7";
        Key::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, curve, &SHA256)
    }

    pub fn p384() -> Self {
        let curve = "1.3.132.0.34";
        Key::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, curve, &SHA384)
    }

    pub fn p521() -> Self {
        let curve = "1.3.132.0.35";
        Key::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, curve, &SHA512)
    }

    pub fn p521_sha256() -> Self {
        let curve = "1.3.132.0.35";
        Key::ecdsa(&ECDSA_P521_SHA256_ASN1_SIGNING, curve, &SHA256)
    }

    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Key(Rc::new(Pair::Ed25519(pair)), &SHA512)
    }

    /// The same one in a test, for they are slow to make.
    pub fn rsa() -> Self {
        thread_local! {
            static MADE: Key = {
                let pair = rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
                Key(Rc::new(Pair::Rsa(pair)), &SHA256)
            };
        }
        MADE.with(Key::clone)
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.0 {
            Pair::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }

    /// Digest of a message under the hash that the key signs with.
    pub fn digest(&self, message: &[u8]) -> Digest {
        let algorithm = match self.1.output_len() {
            32 => HashAlgorithm::Sha256,
            48 => HashAlgorithm::Sha384,
            _ => HashAlgorithm::Sha512,
        };
        Digest::new(algorithm, digest(self.1, message).as_ref()).unwrap()
    }

    pub fn is_ed25519(&self) -> bool {
        matches!(&*self.0, Pair::Ed25519(_))
    }

    pub fn is_rsa(&self) -> bool {
        matches!(&*self.0, Pair::Rsa(_))
    }

    /// AlgorithmIdentifier of its signatures.
    pub fn signature_algorithm(&self) -> Vec<u8> {
        let null = || encode(5, &[]);
        match (&*self.0, self.1.output_len()) {
            (Pair::Ecdsa(..), 32) => sequence(&[oid("1.2.840.10045.4.3.2")]),
            (Pair::Ecdsa(..), 48) => sequence(&[oid("1.2.840.10045.4.3.3")]),
            (Pair::Ecdsa(..), _) => sequence(&[oid("1.2.840.10045.4.3.4")]),
            (Pair::Ed25519(_), _) => sequence(&[oid("1.3.101.112")]),
            (Pair::Rsa(_), _) => sequence(&[oid("1.2.840.113549.1.1.11"), null()]),
        }
    }

    /// AlgorithmIdentifier of its hash.
    pub fn hash_algorithm(&self) -> Vec<u8> {
        sequence(&[oid(match self.1.output_len() {
            32 => "2.16.840.1.101.3.4.2.1",
            48 => "2.16.840.1.101.3.4.2.2",
            _ => "2.16.840.1.101.3.4.2.3",
        })])
    }

    /// The key's bytes without a frame.
    pub fn raw(&self) -> Vec<u8> {
        match &*self.0 {
            Pair::Ecdsa(pair, _) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let algorithm = match &*self.0 {
            Pair::Ecdsa(_, curve) => sequence(&[oid("1.2.840.10045.2.1"), oid(curve)]),
            Pair::Ed25519(_) => sequence(&[oid("1.3.101.112")]),
            Pair::Rsa(_) => sequence(&[oid("1.2.840.113549.1.1.1"), encode(5, &[])]),
        };
        sequence(&[algorithm, bits(&self.raw())])
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.spki()).unwrap()
    }
}
