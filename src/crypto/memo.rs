//! Remembers signatures that have verified, so that what many bundles share is computed once: an
//! authority's certificate, a leaf that signed several images, a checkpoint.
//!
//! Whether a signature verifies under a key depends on key, hash, message and signature alone. All four go
//! into the name under which a success is remembered, through SHA-256; failures are not remembered.

use std::collections::HashSet;
use std::sync::Mutex;

use super::digest::{Digest, HashAlgorithm};
use super::key::{BadSignature, PublicKey};

/// Most signatures remembered; at 32 bytes each. When they are this many, all are forgotten.
const MOST: usize = 4096;

/// Signatures that have verified.
#[derive(Debug, Default)]
pub struct SignatureMemo(Mutex<HashSet<[u8; 32]>>);

impl SignatureMemo {
    /// Verifies a signature over a message, as [`PublicKey::verify`] does.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(
        &self,
        key: &PublicKey,
        hash: HashAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        let name = name(key, hash, message, signature);
        if self.locked().contains(&name) {
            return Ok(());
        }
        key.verify(hash, message, signature)?;
        let mut seen = self.locked();
        if seen.len() >= MOST {
            seen.clear();
        }
        seen.insert(name);
        Ok(())
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        // Whoever panicked while holding it has at most left one name out.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn name(key: &PublicKey, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> [u8; 32] {
    let mut text = Vec::with_capacity(key.spki_der().len() + signature.len() + 80);
    for part in [
        key.spki_der(),
        hash.name().as_bytes(),
        Digest::sha256(message).as_bytes(),
        signature,
    ] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    let mut name = [0; 32];
    name.copy_from_slice(Digest::sha256(&text).as_bytes());
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::signature::Signer as _;
    use p256::ecdsa::{DerSignature, SigningKey};
    use p256::elliptic_curve::Generate as _;
    use p256::pkcs8::EncodePublicKey as _;

    fn key() -> (SigningKey, PublicKey) {
        let key = SigningKey::generate();
        let spki = key.verifying_key().to_public_key_der().unwrap();
        (key, PublicKey::from_spki_der(spki.as_bytes()).unwrap())
    }

    #[test]
    fn what_has_verified_says_nothing_about_anything_else() {
        let memo = SignatureMemo::default();
        let (signing, public) = key();
        let (_, other) = key();
        let signature: DerSignature = signing.sign(b"message");
        let signature = signature.as_bytes();
        let hash = HashAlgorithm::Sha256;
        for _ in 0..2 {
            assert!(memo.verify(&public, hash, b"message", signature).is_ok());
            assert!(memo.verify(&public, hash, b"massage", signature).is_err());
            assert!(memo.verify(&other, hash, b"message", signature).is_err());
            assert!(
                memo.verify(&public, HashAlgorithm::Sha384, b"message", signature)
                    .is_err()
            );
            let mut longer = signature.to_vec();
            longer.push(0);
            assert!(memo.verify(&public, hash, b"message", &longer).is_err());
            assert_eq!(memo.locked().len(), 1);
        }
    }

    #[test]
    fn what_is_remembered_has_an_end() {
        let memo = SignatureMemo::default();
        memo.locked().extend((0..MOST).map(|n| {
            let mut name = [0; 32];
            name[..8].copy_from_slice(&(n as u64).to_be_bytes());
            name
        }));
        let (signing, public) = key();
        let signature: DerSignature = signing.sign(b"m");
        memo.verify(&public, HashAlgorithm::Sha256, b"m", signature.as_bytes())
            .unwrap();
        assert_eq!(memo.locked().len(), 1);
        let another: DerSignature = signing.sign(b"n");
        memo.verify(&public, HashAlgorithm::Sha256, b"n", another.as_bytes())
            .unwrap();
        assert_eq!(memo.locked().len(), 2);
    }
}
