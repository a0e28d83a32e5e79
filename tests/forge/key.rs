//! Signing keys, made anew for every scene.

use std::rc::Rc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA256_ASN1_SIGNING,
    ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
    KeyPair as _, RSA_PKCS1_SHA256,
};
use ed25519_dalek::Digest as _;
use keyless::crypto::asn1::encode;
use keyless::crypto::{HashAlgorithm, PublicKey};

use crate::asn1::{oid, sequence};

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

/// SubjectPublicKeyInfo of a P-256 key up to its point.
const P256: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
/// SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes.
const ED25519: &str = "302a300506032b6570032100";

/// SubjectPublicKeyInfo of a P-384 key up to its point.
const P384: &str = "3076301006072a8648ce3d020106052b81040022036200";
/// SubjectPublicKeyInfo of a P-521 key up to its point.
const P521: &str = "30819b301006072a8648ce3d020106052b8104002303818600";

enum Pair {
    Ecdsa(EcdsaKeyPair, &'static str, HashAlgorithm),
    Ed25519(Ed25519KeyPair),
    /// Prehashed.
    Ed25519ph(ed25519_dalek::SigningKey),
    Rsa(rsa::KeyPair),
}

/// A key that signs: ECDSA over one hash, RSA over SHA-256, Ed25519 in one form.
#[derive(Clone)]
pub struct Key(Rc<Pair>);

impl Key {
    fn ecdsa(
        algorithm: &'static EcdsaSigningAlgorithm,
        prefix: &'static str,
        hash: HashAlgorithm,
    ) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        Key(Rc::new(Pair::Ecdsa(pair, prefix, hash)))
    }

    pub fn p256() -> Self {
        Key::ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, P256, HashAlgorithm::Sha256)
    }

    pub fn p384() -> Self {
        Key::ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, P384, HashAlgorithm::Sha384)
    }

    pub fn p521() -> Self {
        Key::ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING, P521, HashAlgorithm::Sha512)
    }

    /// P-521 over SHA-256, as old signers have it.
    pub fn p521_sha256() -> Self {
        Key::ecdsa(&ECDSA_P521_SHA256_ASN1_SIGNING, P521, HashAlgorithm::Sha256)
    }

    /// The same one in a test, for they are slow to make.
    pub fn rsa() -> Self {
        thread_local! {
            static MADE: Key = {
                let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
                Key(Rc::new(Pair::Rsa(pair)))
            };
        }
        MADE.with(Key::clone)
    }

    pub fn ed25519ph() -> Self {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).unwrap();
        Key(Rc::new(Pair::Ed25519ph(
            ed25519_dalek::SigningKey::from_bytes(&seed),
        )))
    }

    /// The hash that is signed.
    pub fn hash(&self) -> HashAlgorithm {
        match &*self.0 {
            Pair::Ecdsa(_, _, hash) => *hash,
            Pair::Rsa(_) => HashAlgorithm::Sha256,
            Pair::Ed25519(_) | Pair::Ed25519ph(_) => HashAlgorithm::Sha512,
        }
    }

    pub fn ed25519() -> Self {
        Key(Rc::new(Pair::Ed25519(Ed25519KeyPair::generate().unwrap())))
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &*self.0 {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Pair::Ed25519ph(key) => {
                let hashed = sha2::Sha512::new().chain_update(message);
                let signature = key.sign_prehashed(hashed, None).unwrap();
                signature.to_bytes().to_vec()
            }
            Pair::Ecdsa(pair, ..) => {
                let signature = pair.sign(&SystemRandom::new(), message).unwrap();
                signature.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    pub fn is_ed25519(&self) -> bool {
        matches!(&*self.0, Pair::Ed25519(_))
    }

    pub fn is_rsa(&self) -> bool {
        matches!(&*self.0, Pair::Rsa(_))
    }

    /// AlgorithmIdentifier of its signatures (RFC 5758 §3.2, RFC 8410 §3, RFC 4055 §5).
    pub fn signature_algorithm(&self) -> Vec<u8> {
        match (&*self.0, self.hash()) {
            (Pair::Ecdsa(..), HashAlgorithm::Sha256) => sequence(&[oid("1.2.840.10045.4.3.2")]),
            (Pair::Ecdsa(..), HashAlgorithm::Sha384) => sequence(&[oid("1.2.840.10045.4.3.3")]),
            (Pair::Ecdsa(..), HashAlgorithm::Sha512) => sequence(&[oid("1.2.840.10045.4.3.4")]),
            (Pair::Ed25519(_) | Pair::Ed25519ph(_), _) => sequence(&[oid("1.3.101.112")]),
            (Pair::Rsa(_), _) => sequence(&[oid("1.2.840.113549.1.1.11"), encode(5, &[])]),
        }
    }

    /// AlgorithmIdentifier of its hash.
    pub fn hash_algorithm(&self) -> Vec<u8> {
        sequence(&[oid(match self.hash() {
            HashAlgorithm::Sha256 => "2.16.840.1.101.3.4.2.1",
            HashAlgorithm::Sha384 => "2.16.840.1.101.3.4.2.2",
            HashAlgorithm::Sha512 => "2.16.840.1.101.3.4.2.3",
        })])
    }

    /// The key's bytes without a frame.
    pub fn raw(&self) -> Vec<u8> {
        match &*self.0 {
            Pair::Ecdsa(pair, ..) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Ed25519ph(key) => key.verifying_key().to_bytes().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> Vec<u8> {
        let prefix = match &*self.0 {
            Pair::Ecdsa(_, prefix, _) => prefix,
            Pair::Ed25519(_) | Pair::Ed25519ph(_) => ED25519,
            Pair::Rsa(_) => {
                let key = PublicKey::from_pkcs1_der(&self.raw()).unwrap();
                return key.spki_der().to_vec();
            }
        };
        [hex::decode(prefix).unwrap(), self.raw()].concat()
    }

    pub fn public(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.spki()).unwrap()
    }
}
