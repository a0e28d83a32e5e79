//! The sandbox's own signing keys: ECDSA P-256 for authorities and Rekor v1, Ed25519 for Rekor v2 and TUF,
//! RSA for identity tokens.
//!
//! They live as long as the sandbox, unlike a signer's ephemeral key.

use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use zeroize::Zeroizing;

use crate::crypto::pem;

use super::error::SandboxError;
use super::store::Store;

/// An ECDSA P-256 key that signs with SHA-256.
#[derive(Clone)]
pub(super) struct EcdsaKey {
    key: SigningKey,
    spki: Vec<u8>,
}

impl EcdsaKey {
    /// Makes a key that nobody trusts.
    pub(super) fn generate() -> Result<Self, SandboxError> {
        EcdsaKey::new(SigningKey::generate())
    }

    /// Returns the key kept under a name; generates it the first time.
    pub(super) fn open(store: &Store, name: &str) -> Result<Self, SandboxError> {
        let text = store.text(name, || {
            SigningKey::generate()
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(SandboxError::make("key"))
        })?;
        let key = SigningKey::from_pkcs8_pem(&text)
            .map_err(|_| store.damaged(name, "not a P-256 key in PKCS#8 PEM"))?;
        EcdsaKey::new(key)
    }

    fn new(key: SigningKey) -> Result<Self, SandboxError> {
        let spki = key
            .verifying_key()
            .to_public_key_der()
            .map_err(SandboxError::make("public key"))?
            .into_vec();
        Ok(EcdsaKey { key, spki })
    }

    /// Returns the key in the form the certificate builder takes.
    pub(super) fn signer(&self) -> &SigningKey {
        &self.key
    }

    /// Signs a message; DER.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(message);
        signature.as_bytes().to_vec()
    }

    /// Returns the DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Returns the public key as PEM.
    pub(super) fn public_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }
}

/// An Ed25519 key.
pub(super) struct Ed25519Key(Ed25519KeyPair);

impl Ed25519Key {
    /// Makes a key that nobody trusts.
    pub(super) fn generate() -> Result<Self, SandboxError> {
        Ed25519KeyPair::generate()
            .map(Ed25519Key)
            .map_err(SandboxError::make("key"))
    }

    /// Returns the key kept under a name; generates it the first time. The file holds the seed in hex.
    pub(super) fn open(store: &Store, name: &str) -> Result<Self, SandboxError> {
        let text = store.text(name, || {
            let key = Ed25519Key::generate()?;
            let seed = key.0.seed().map_err(SandboxError::make("key"))?;
            let seed = seed.as_be_bytes().map_err(SandboxError::make("key"))?;
            Ok(Zeroizing::new(hex::encode(seed.as_ref())))
        })?;
        let damaged = || store.damaged(name, "not an Ed25519 seed in hex");
        let seed = Zeroizing::new(hex::decode(text.trim()).map_err(|_| damaged())?);
        Ed25519KeyPair::from_seed_unchecked(&seed)
            .map(Ed25519Key)
            .map_err(|_| damaged())
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }

    /// Returns the 32-byte public key.
    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// Returns the DER SubjectPublicKeyInfo.
    pub(super) fn spki(&self) -> Result<Vec<u8>, SandboxError> {
        let der = self
            .0
            .public_key()
            .as_der()
            .map_err(SandboxError::make("public key"))?;
        Ok(der.as_ref().to_vec())
    }
}

/// An RSA key of 2048 bits. Tokens are signed with it because cosign takes a token on its command line for
/// a file name unless it is signed with RS256.
pub(super) struct RsaKey {
    pkcs8_pem: Zeroizing<String>,
    pair: rsa::KeyPair,
}

impl RsaKey {
    /// Returns the key kept under a name; generates it the first time.
    pub(super) fn open(store: &Store, name: &str) -> Result<Self, SandboxError> {
        let pkcs8_pem = store.text(name, || {
            let pair =
                rsa::KeyPair::generate(rsa::KeySize::Rsa2048).map_err(SandboxError::make("key"))?;
            let der: Pkcs8V1Der<'_> = pair.as_der().map_err(SandboxError::make("key"))?;
            Ok(Zeroizing::new(pem::encode("PRIVATE KEY", der.as_ref())))
        })?;
        let damaged = || store.damaged(name, "not an RSA key in PKCS#8 PEM");
        let (_, der) = pem::decode_one(&pkcs8_pem).ok_or_else(damaged)?;
        let der = Zeroizing::new(der);
        let pair = rsa::KeyPair::from_pkcs8(&der).map_err(|_| damaged())?;
        Ok(RsaKey { pkcs8_pem, pair })
    }

    /// Returns the private key as PKCS#8 PEM.
    pub(super) fn pkcs8_pem(&self) -> &str {
        &self.pkcs8_pem
    }

    /// Returns the public key as PKCS#1 DER.
    pub(super) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Returns modulus and exponent, big-endian, without leading zeros.
    pub(super) fn components(&self) -> (&[u8], &[u8]) {
        let key = self.pair.public_key();
        (
            key.modulus().big_endian_without_leading_zero(),
            key.exponent().big_endian_without_leading_zero(),
        )
    }
}
