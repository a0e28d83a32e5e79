//! Public keys and signature verification.
//!
//! The hash is always named by the caller, never derived from the curve: Sigstore data mixes P-384
//! keys with SHA-256 (timestamp authorities) and P-256 keys with SHA-384 (protobuf-specs, `PublicKeyDetails`).

use aws_lc_rs::digest as aws_digest;
use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};
use der::Decode as _;
use der::asn1::ObjectIdentifier;

use super::digest::{Digest, HashAlgorithm};
use super::pem;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Kinds of key the formats of this field allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// RSA, PKCS#1 v1.5 signatures, 2048 to 8192 bits.
    Rsa,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

/// A SHA-512 digest where Ed25519ph wants a hash that has taken in its message.
#[derive(Clone)]
struct Prehashed([u8; 64]);

impl Default for Prehashed {
    fn default() -> Self {
        Prehashed([0; 64])
    }
}

impl sha2::digest::HashMarker for Prehashed {}

impl sha2::digest::OutputSizeUser for Prehashed {
    type OutputSize = sha2::digest::consts::U64;
}

impl sha2::digest::Update for Prehashed {
    fn update(&mut self, _: &[u8]) {}
}

impl sha2::digest::FixedOutput for Prehashed {
    fn finalize_into(self, out: &mut sha2::digest::Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl KeyKind {
    /// Returns the algorithm's name, for people.
    pub fn name(self) -> &'static str {
        match self {
            KeyKind::EcdsaP256 => "ECDSA P-256",
            KeyKind::EcdsaP384 => "ECDSA P-384",
            KeyKind::EcdsaP521 => "ECDSA P-521",
            KeyKind::Rsa => "RSA",
            KeyKind::Ed25519 => "Ed25519",
        }
    }

    /// Returns the hash that an artifact signature by such a key uses (Sigstore, `docs/algorithm-registry.md`);
    /// Ed25519 hashes by itself, its prehashed form with SHA-512. Old signatures by longer curves may use SHA-256.
    pub fn artifact_hash(self) -> HashAlgorithm {
        match self {
            KeyKind::EcdsaP256 | KeyKind::Rsa => HashAlgorithm::Sha256,
            KeyKind::EcdsaP384 => HashAlgorithm::Sha384,
            KeyKind::EcdsaP521 | KeyKind::Ed25519 => HashAlgorithm::Sha512,
        }
    }
}

/// Why a public key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a SubjectPublicKeyInfo (RFC 5280 §4.1), or not one of our PEM forms.
    #[error("malformed public key")]
    Malformed,
    /// Well-formed, but of an algorithm or curve that the formats do not use.
    #[error("unsupported public key algorithm {algorithm}")]
    Unsupported {
        /// Object identifier found.
        algorithm: String,
    },
}

/// The signature does not verify under the key and hash given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// A parsed public key. Equality is equality of the SubjectPublicKeyInfo.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    /// EC point, Ed25519 key, or PKCS#1 RSAPublicKey.
    raw: Vec<u8>,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {})", self.kind, self.fingerprint())
    }
}

impl PublicKey {
    /// Parses a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// [`KeyError`] for anything else, trailing bytes included.
    pub fn from_spki_der(spki_der: &[u8]) -> Result<Self, KeyError> {
        let spki =
            spki::SubjectPublicKeyInfoRef::from_der(spki_der).map_err(|_| KeyError::Malformed)?;
        let raw = spki
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Malformed)?
            .to_vec();
        let unsupported = |oid: ObjectIdentifier| KeyError::Unsupported {
            algorithm: oid.to_string(),
        };
        let (kind, len) = match spki.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = spki
                    .algorithm
                    .parameters
                    .and_then(|p| p.decode_as::<ObjectIdentifier>().ok())
                    .ok_or(KeyError::Malformed)?;
                match curve {
                    SECP256R1 => (KeyKind::EcdsaP256, Some(65)),
                    SECP384R1 => (KeyKind::EcdsaP384, Some(97)),
                    SECP521R1 => (KeyKind::EcdsaP521, Some(133)),
                    other => return Err(unsupported(other)),
                }
            }
            RSA_ENCRYPTION => (KeyKind::Rsa, None),
            ED25519 if spki.algorithm.parameters.is_none() => (KeyKind::Ed25519, Some(32)),
            other => return Err(unsupported(other)),
        };
        let is_point = matches!(
            kind,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521
        );
        if len.is_some_and(|len| raw.len() != len) || (is_point && raw[0] != 4) {
            return Err(KeyError::Malformed);
        }
        Ok(PublicKey {
            kind,
            spki: spki_der.to_vec(),
            raw,
        })
    }

    /// Parses a DER PKCS#1 RSAPublicKey, as old CT log entries of a trusted root have it (`PKCS1_RSA_PKCS1V5` of
    /// protobuf-specs).
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if it is none.
    pub fn from_pkcs1_der(pkcs1_der: &[u8]) -> Result<Self, KeyError> {
        use super::asn1::{SEQUENCE, Tlv, encode};
        Tlv::only(pkcs1_der, SEQUENCE).ok_or(KeyError::Malformed)?;
        // AlgorithmIdentifier { rsaEncryption, NULL }
        const ALGORITHM: [u8; 15] = [
            0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
        ];
        let mut bits = vec![0];
        bits.extend_from_slice(pkcs1_der);
        let spki = encode(SEQUENCE, &[&ALGORITHM[..], &encode(0x03, &bits)].concat());
        PublicKey::from_spki_der(&spki)
    }

    /// Parses a PEM file with one `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS#1) block.
    ///
    /// # Errors
    /// [`KeyError`] for anything else.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem::decode_one(text).ok_or(KeyError::Malformed)?;
        match label {
            "PUBLIC KEY" => PublicKey::from_spki_der(&der),
            "RSA PUBLIC KEY" => PublicKey::from_pkcs1_der(&der),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Returns the kind of key.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// Returns the key itself: EC point, Ed25519 key, or PKCS#1 RSAPublicKey.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// Returns the key as PEM, 64 columns, with a final newline.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.spki)
    }

    /// Returns SHA-256 over the SubjectPublicKeyInfo: the log id of Rekor v1 and CT logs.
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(&self.spki)
    }

    fn algorithm(&self, hash: HashAlgorithm) -> &'static dyn VerificationAlgorithm {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        match (self.kind, hash) {
            (KeyKind::EcdsaP256, Sha256) => &aws::ECDSA_P256_SHA256_ASN1,
            (KeyKind::EcdsaP256, Sha384) => &aws::ECDSA_P256_SHA384_ASN1,
            (KeyKind::EcdsaP256, Sha512) => &aws::ECDSA_P256_SHA512_ASN1,
            (KeyKind::EcdsaP384, Sha256) => &aws::ECDSA_P384_SHA256_ASN1,
            (KeyKind::EcdsaP384, Sha384) => &aws::ECDSA_P384_SHA384_ASN1,
            (KeyKind::EcdsaP384, Sha512) => &aws::ECDSA_P384_SHA512_ASN1,
            (KeyKind::EcdsaP521, Sha256) => &aws::ECDSA_P521_SHA256_ASN1,
            (KeyKind::EcdsaP521, Sha384) => &aws::ECDSA_P521_SHA384_ASN1,
            (KeyKind::EcdsaP521, Sha512) => &aws::ECDSA_P521_SHA512_ASN1,
            (KeyKind::Rsa, Sha256) => &aws::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa, Sha384) => &aws::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa, Sha512) => &aws::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::Ed25519, _) => &aws::ED25519,
        }
    }

    /// Verifies a signature over a message. ECDSA signatures are DER; RSA is PKCS#1 v1.5; Ed25519 is
    /// pure and takes no hash.
    ///
    /// # Errors
    /// [`BadSignature`], with no reason: there is none worth telling.
    pub fn verify(
        &self,
        hash: HashAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        if self.kind == KeyKind::Ed25519 {
            return UnparsedPublicKey::new(&aws::ED25519, &self.raw)
                .verify(message, signature)
                .map_err(|_| BadSignature);
        }
        self.verify_digest(&hash.digest(message), signature)
    }

    /// Verifies a signature over a digest; the digest's algorithm is the signature's hash. Ed25519 is
    /// prehashed then, Ed25519ph with SHA-512 and no context; its pure form needs the message.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_digest(&self, digest: &Digest, signature: &[u8]) -> Result<(), BadSignature> {
        if self.kind == KeyKind::Ed25519 {
            return self.verify_prehashed(digest, signature);
        }
        let algorithm = match digest.algorithm() {
            HashAlgorithm::Sha256 => &aws_digest::SHA256,
            HashAlgorithm::Sha384 => &aws_digest::SHA384,
            HashAlgorithm::Sha512 => &aws_digest::SHA512,
        };
        let imported = aws_digest::Digest::import_less_safe(digest.as_bytes(), algorithm)
            .map_err(|_| BadSignature)?;
        UnparsedPublicKey::new(self.algorithm(digest.algorithm()), &self.raw)
            .verify_digest(&imported, signature)
            .map_err(|_| BadSignature)
    }

    fn verify_prehashed(&self, digest: &Digest, signature: &[u8]) -> Result<(), BadSignature> {
        let key = self.raw.as_slice().try_into().map_err(|_| BadSignature)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| BadSignature)?;
        let hash = digest.as_bytes().try_into().map_err(|_| BadSignature)?;
        key.verify_prehashed_strict(Prehashed(hash), None, &signature)
            .map_err(|_| BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExRRST79+PsrRBnGAI4cMu6Omz2JhfwlMW+gIutNKVRaMyS4rQKvgngc5p8UbLj55pVHhIoAxi/SRgURZI0J3Xw==";
    const SIGNATURE: &str = "MEUCIQCACfhpIX3+zVXJjwEeIS0yFTK2jRfBjduXAaLHJSARHAIgSUdTM+S5xucODRFtrGHN2uClS0MRPhqZm76g0ZHEQ5c=";
    const DIGEST: &str = "sha256:a0cfc71271d6e278e57cd332ff957c3f7043fdda354c4cbb190a30d56efa01bf";

    #[test]
    fn verifies_a_recorded_signature_and_refuses_its_neighbours() {
        let key = PublicKey::from_spki_der(&STANDARD.decode(SPKI).unwrap()).unwrap();
        let signature = STANDARD.decode(SIGNATURE).unwrap();
        let digest: Digest = DIGEST.parse().unwrap();
        assert_eq!(key.kind(), KeyKind::EcdsaP256);
        assert!(key.verify_digest(&digest, &signature).is_ok());
        assert!(
            key.verify_digest(&Digest::sha256(b"other"), &signature)
                .is_err()
        );
        let mut flipped = signature.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(key.verify_digest(&digest, &flipped).is_err());
        let mut longer = signature.clone();
        longer.push(0);
        assert!(
            key.verify_digest(&digest, &longer).is_err(),
            "trailing byte"
        );
    }

    /// RFC 8032 7.3: Ed25519ph over "abc".
    #[test]
    fn prehashed_ed25519_of_the_rfc() {
        let key = [
            hex::decode("302a300506032b6570032100").unwrap(),
            hex::decode("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf")
                .unwrap(),
        ]
        .concat();
        let key = PublicKey::from_spki_der(&key);
        let signature = hex::decode("98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406").unwrap();
        let digest = HashAlgorithm::Sha512.digest(b"abc");
        let key = key.unwrap();
        assert!(key.verify_digest(&digest, &signature).is_ok());
        let pure = key.verify(HashAlgorithm::Sha512, b"abc", &signature);
        assert!(pure.is_err(), "the two forms are not the same");
        let other = HashAlgorithm::Sha512.digest(b"abd");
        assert!(key.verify_digest(&other, &signature).is_err());
        assert!(
            key.verify_digest(&Digest::sha256(b"abc"), &signature)
                .is_err()
        );
    }

    #[test]
    fn pem_round_trip() {
        let key = PublicKey::from_spki_der(&STANDARD.decode(SPKI).unwrap()).unwrap();
        assert_eq!(PublicKey::from_pem(&key.to_pem()).unwrap(), key);
        assert_eq!(
            PublicKey::from_pem("-----BEGIN X-----\nAA==\n-----END X-----"),
            Err(KeyError::Malformed)
        );
    }

    #[test]
    fn refuses_foreign_and_broken_keys() {
        let mut spki = STANDARD.decode(SPKI).unwrap();
        spki.push(0);
        assert_eq!(PublicKey::from_spki_der(&spki), Err(KeyError::Malformed));
        // secp256k1
        let k1 = hex::decode("3056301006072a8648ce3d020106052b8104000a034200").unwrap();
        let k1 = [k1, vec![4; 65]].concat();
        assert!(matches!(
            PublicKey::from_spki_der(&k1),
            Err(KeyError::Unsupported { .. })
        ));
    }

    /// A SubjectPublicKeyInfo around the bytes of a key.
    fn info(algorithm: &[ObjectIdentifier], null: bool, key: &[u8]) -> Vec<u8> {
        use crate::crypto::asn1::{OBJECT_IDENTIFIER, SEQUENCE, encode};
        let mut identifier: Vec<u8> = algorithm
            .iter()
            .flat_map(|oid| encode(OBJECT_IDENTIFIER, oid.as_bytes()))
            .collect();
        if null {
            identifier.extend([5, 0]);
        }
        let bits = encode(3, &[&[0], key].concat());
        encode(SEQUENCE, &[encode(SEQUENCE, &identifier), bits].concat())
    }

    #[test]
    fn keys_of_every_curve_verify() {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        use aws::KeyPair as _;
        let random = aws_lc_rs::rand::SystemRandom::new();
        for (signing, curve, kind, hash) in [
            (
                &aws::ECDSA_P256_SHA256_ASN1_SIGNING,
                SECP256R1,
                KeyKind::EcdsaP256,
                Sha256,
            ),
            (
                &aws::ECDSA_P384_SHA384_ASN1_SIGNING,
                SECP384R1,
                KeyKind::EcdsaP384,
                Sha384,
            ),
            (
                &aws::ECDSA_P521_SHA256_ASN1_SIGNING,
                SECP521R1,
                KeyKind::EcdsaP521,
                Sha256,
            ),
            (
                &aws::ECDSA_P521_SHA384_ASN1_SIGNING,
                SECP521R1,
                KeyKind::EcdsaP521,
                Sha384,
            ),
            (
                &aws::ECDSA_P521_SHA512_ASN1_SIGNING,
                SECP521R1,
                KeyKind::EcdsaP521,
                Sha512,
            ),
        ] {
            let pair = aws::EcdsaKeyPair::generate(signing).unwrap();
            let point = pair.public_key().as_ref();
            let algorithm = [ID_EC_PUBLIC_KEY, curve];
            let key = PublicKey::from_spki_der(&info(&algorithm, false, point)).unwrap();
            assert_eq!((key.kind(), key.raw()), (kind, point));
            let signature = pair.sign(&random, b"message").unwrap();
            assert!(key.verify(hash, b"message", signature.as_ref()).is_ok());
            assert!(key.verify(hash, b"massage", signature.as_ref()).is_err());
            // A point cut, prolonged, or compressed is none.
            let longer = [point, &[0]].concat();
            let compressed = [&[2], &point[1..]].concat();
            for bad in [&point[..point.len() - 1], &longer, &compressed, &[]] {
                let refused = PublicKey::from_spki_der(&info(&algorithm, false, bad));
                assert_eq!(
                    refused,
                    Err(KeyError::Malformed),
                    "{kind:?}, {} bytes",
                    bad.len()
                );
            }
        }
    }

    #[test]
    fn ed25519_has_no_parameters_and_32_bytes() {
        assert!(PublicKey::from_spki_der(&info(&[ED25519], false, &[7; 32])).is_ok());
        assert!(matches!(
            PublicKey::from_spki_der(&info(&[ED25519], true, &[7; 32])),
            Err(KeyError::Unsupported { .. })
        ));
        let refused = PublicKey::from_spki_der(&info(&[ED25519], false, &[7; 31]));
        assert_eq!(refused, Err(KeyError::Malformed));
    }

    #[test]
    fn an_rsa_key_is_one_in_both_forms() {
        use crate::crypto::asn1::{INTEGER, SEQUENCE, encode};
        let modulus = encode(INTEGER, &[&[0], &[0xa5; 256][..]].concat());
        let pkcs1 = encode(SEQUENCE, &[modulus, encode(INTEGER, &[1, 0, 1])].concat());
        let spki = info(&[RSA_ENCRYPTION], true, &pkcs1);
        let key = PublicKey::from_spki_der(&spki).unwrap();
        assert_eq!((key.kind(), key.raw()), (KeyKind::Rsa, pkcs1.as_slice()));
        assert_eq!(PublicKey::from_pkcs1_der(&pkcs1), Ok(key.clone()));
        let pem = pem::encode("RSA PUBLIC KEY", &pkcs1);
        assert_eq!(PublicKey::from_pem(&pem), Ok(key));
        for bad in [&pkcs1[1..], &[&pkcs1[..], &[0]].concat(), &[]] {
            assert_eq!(PublicKey::from_pkcs1_der(bad), Err(KeyError::Malformed));
        }
    }
}
