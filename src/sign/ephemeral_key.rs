//! One P-256 key, boxed from birth, never exported, wiped after its one use.

use std::hint::black_box;

use ecdsa::der::Signature as DerSignature;
use ecdsa::signature::hazmat::PrehashSigner;
use p256::NistP256;
use p256::ecdsa::SigningKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::EncodePublicKey as _;
use zeroize::Zeroize as _;

use crate::crypto::{Certificate, Digest, HashAlgorithm, PublicKey, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::certificate_identity::{CertificateIdentity, IdentityError};
use crate::format::identity_token::IdentityToken;
use crate::trust::TrustedRoot;
use crate::verify::Verifier;
use crate::verify::VerifyError;
use crate::verify::chain::verify_chain_at;
use crate::verify::sct::verify_sct;

/// Why a certificate was not accepted for a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertifyError {
    /// The certificate is for another key.
    #[error("certificate is for another key")]
    OtherKey,
    /// Chain or SCT do not hold.
    #[error("certificate is refused: {0}")]
    Refused(VerifyError),
    /// The certificate names nobody.
    #[error("certificate is refused: {0}")]
    Identity(#[from] IdentityError),
    /// The certificate names somebody else than the token.
    #[error("certificate names another identity than the token")]
    OtherIdentity {
        /// Who the token is for.
        expected: String,
        /// Whom the certificate names.
        found: String,
    },
    /// The certificate names another issuer than the token.
    #[error("certificate names another issuer than the token")]
    OtherIssuer {
        /// Issuers that the token allows.
        expected: Vec<String>,
        /// Issuer that the certificate names.
        found: String,
    },
}

impl Diagnostic for CertifyError {
    fn code(&self) -> &'static str {
        match self {
            CertifyError::OtherKey => "certificate-other-key",
            CertifyError::Refused(error) => error.code(),
            CertifyError::Identity(_) => "certificate-identity-malformed",
            CertifyError::OtherIdentity { .. } => "certificate-other-identity",
            CertifyError::OtherIssuer { .. } => "certificate-other-issuer",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            CertifyError::Refused(error) => error.exit(),
            _ => Exit::Certificate,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            CertifyError::Refused(error) => error.details(),
            CertifyError::OtherIdentity { expected, found } => {
                vec![("expected", expected.clone()), ("found", found.clone())]
            }
            CertifyError::OtherIssuer { expected, found } => {
                vec![
                    ("expected", expected.join(", or ")),
                    ("found", found.clone()),
                ]
            }
            _ => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CertifyError::Refused(error) => error.hint(),
            CertifyError::OtherIdentity { .. } => Some(
                "if this certificate authority maps identities in its own way, state the identity to \
                 expect with --certificate-identity"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// A fresh signing key. There is no way to copy, show or export it.
pub struct EphemeralKey(Box<SigningKey>);

impl std::fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EphemeralKey(..)")
    }
}

impl EphemeralKey {
    /// Makes a key from the machine's randomness.
    pub fn generate() -> Self {
        #[inline(never)]
        fn boxed() -> Box<SigningKey> {
            Box::new(SigningKey::generate())
        }
        let key = boxed();
        overwrite_stack();
        EphemeralKey(key)
    }

    /// Returns the public half.
    pub fn public_key(&self) -> PublicKey {
        let der = self
            .0
            .verifying_key()
            .to_public_key_der()
            .expect("a P-256 key always encodes");
        PublicKey::from_spki_der(der.as_bytes()).expect("what was encoded parses")
    }

    /// Signs a challenge, the token's e-mail address or subject, so that Fulcio sees that the key is ours
    /// (Fulcio API, `proofOfPossession`). Returns a DER signature over SHA-256.
    pub fn prove_possession(&self, challenge: &str) -> Vec<u8> {
        let proof = sign(&self.0, &Digest::sha256(challenge.as_bytes()));
        overwrite_stack();
        proof
    }

    /// Accepts a certificate for this key: same key, trusted chain now, an SCT of a trusted log, and the
    /// identity and issuer that the token earns (Sigstore Client Spec 2.1.3).
    ///
    /// `expected` replaces the identity derived from the token where an authority maps identities in its
    /// own way.
    ///
    /// # Errors
    /// [`CertifyError`]; the key is wiped then.
    pub fn certify(
        self,
        certificate: Certificate,
        token: &IdentityToken,
        expected: Option<&str>,
        trust: &TrustedRoot,
        now: UnixTime,
    ) -> Result<CertifiedKey, CertifyError> {
        if *certificate.public_key() != self.public_key() {
            return Err(CertifyError::OtherKey);
        }
        let verifier = Verifier::new(trust);
        let chain =
            verify_chain_at(&certificate, &[now], &verifier).map_err(CertifyError::Refused)?;
        verify_sct(&certificate, &chain, &verifier).map_err(CertifyError::Refused)?;
        let identity = CertificateIdentity::of(&certificate)?;
        let fits = match expected {
            Some(expected) => identity.subject == expected,
            None => token.may_be_certified_as(&identity.subject),
        };
        if !fits {
            return Err(CertifyError::OtherIdentity {
                expected: expected.unwrap_or(token.subject()).to_owned(),
                found: identity.subject,
            });
        }
        let issuers = token.certificate_issuers();
        if !issuers.contains(&identity.issuer) {
            return Err(CertifyError::OtherIssuer {
                expected: issuers,
                found: identity.issuer,
            });
        }
        Ok(CertifiedKey {
            key: self,
            certificate,
            identity,
        })
    }
}

/// A key with a certificate that stands. Signing consumes it.
#[derive(Debug)]
pub struct CertifiedKey {
    key: EphemeralKey,
    certificate: Certificate,
    identity: CertificateIdentity,
}

/// What is left when the key has signed and is gone.
#[derive(Debug, Clone)]
pub struct SignedPayloads {
    /// The certificate for the signatures.
    pub certificate: Certificate,
    /// Whom it names.
    pub identity: CertificateIdentity,
    /// One DER signature for each digest, in order.
    pub signatures: Vec<Vec<u8>>,
}

impl CertifiedKey {
    /// Signs every digest and wipes the key.
    pub fn sign_each(self, digests: &[Digest]) -> SignedPayloads {
        let signatures = digests
            .iter()
            .map(|digest| sign(&self.key.0, digest))
            .collect();
        let CertifiedKey {
            key,
            certificate,
            identity,
        } = self;
        drop(key); // SigningKey zeroizes itself on drop
        overwrite_stack();
        SignedPayloads {
            certificate,
            identity,
            signatures,
        }
    }
}

/// Signs a SHA-256 digest. The signature is checked to be one before anybody sees it.
#[inline(never)]
fn sign(key: &SigningKey, digest: &Digest) -> Vec<u8> {
    debug_assert_eq!(digest.algorithm(), HashAlgorithm::Sha256);
    let signature: DerSignature<NistP256> = key
        .sign_prehash(digest.as_bytes())
        .expect("P-256 signs every digest of 32 bytes");
    signature.as_bytes().to_vec()
}

/// Overwrites the part of the stack that key generation and signing used: their temporaries (the scalar
/// before it was boxed, the nonce) are plain values that nobody else wipes.
#[inline(never)]
fn overwrite_stack() {
    let mut area = [0xa5_u8; 128 * 1024];
    black_box(&mut area);
    area.zeroize();
    black_box(&area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_verify_under_the_public_half() {
        let key = EphemeralKey::generate();
        let proof = key.prove_possession("dev@example.test");
        let public = key.public_key();
        public
            .verify(HashAlgorithm::Sha256, b"dev@example.test", &proof)
            .unwrap();
        assert!(
            public
                .verify(HashAlgorithm::Sha256, b"dev@example.tes", &proof)
                .is_err()
        );
        assert_ne!(EphemeralKey::generate().public_key(), public);
        assert_eq!(format!("{key:?}"), "EphemeralKey(..)");
    }
}
