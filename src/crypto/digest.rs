//! Digests that carry their algorithm and length.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// Hash functions accepted anywhere in this program. SHA-1 is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HashAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// Returns the length of a digest in bytes.
    pub const fn digest_len(self) -> usize {
        match self {
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha384 => 48,
            HashAlgorithm::Sha512 => 64,
        }
    }

    /// Returns the OCI and in-toto name, `sha256` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            HashAlgorithm::Sha256 => "sha256",
            HashAlgorithm::Sha384 => "sha384",
            HashAlgorithm::Sha512 => "sha512",
        }
    }

    /// Looks an OCI or in-toto name up; exact, lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(HashAlgorithm::Sha256),
            "sha384" => Some(HashAlgorithm::Sha384),
            "sha512" => Some(HashAlgorithm::Sha512),
            _ => None,
        }
    }

    /// Hashes bytes in memory.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

/// A digest: algorithm and exactly as many bytes as it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: HashAlgorithm,
    bytes: [u8; 64],
}

impl Digest {
    /// Wraps raw bytes; `None` if their number is not the algorithm's.
    pub fn new(algorithm: HashAlgorithm, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != algorithm.digest_len() {
            return None;
        }
        let mut padded = [0; 64];
        padded[..bytes.len()].copy_from_slice(bytes);
        Some(Digest {
            algorithm,
            bytes: padded,
        })
    }

    /// Hashes bytes with SHA-256.
    pub fn sha256(bytes: &[u8]) -> Self {
        HashAlgorithm::Sha256.digest(bytes)
    }

    /// Returns the hash function.
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// Returns the raw digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.digest_len()]
    }

    /// Returns the digest in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a digest string was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "malformed digest {found:?}: expected sha256:, sha384: or sha512: and that many lower-case hex digits"
)]
pub struct DigestError {
    /// The string as given, cut to a printable length.
    pub found: String,
}

impl FromStr for Digest {
    type Err = DigestError;

    /// Parses `sha256:<64 hex>` and the like (OCI image-spec, descriptor digests): lower case, whole.
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let refuse = || DigestError {
            found: text.chars().take(160).collect(),
        };
        let (name, digits) = text.split_once(':').ok_or_else(refuse)?;
        let algorithm = HashAlgorithm::from_name(name).ok_or_else(refuse)?;
        if digits.len() != algorithm.digest_len() * 2
            || !digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        {
            return Err(refuse());
        }
        let bytes = hex::decode(digits).map_err(|_| refuse())?;
        Digest::new(algorithm, &bytes).ok_or_else(refuse)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hashes a stream at constant memory.
#[derive(Clone)]
pub struct Hasher(Inner);

#[derive(Clone)]
enum Inner {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts a digest.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Hasher(match algorithm {
            HashAlgorithm::Sha256 => Inner::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha384 => Inner::Sha384(sha2::Sha384::new()),
            HashAlgorithm::Sha512 => Inner::Sha512(sha2::Sha512::new()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Sha256(hasher) => hasher.update(bytes),
            Inner::Sha384(hasher) => hasher.update(bytes),
            Inner::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Ends the stream.
    pub fn finish(self) -> Digest {
        match self.0 {
            Inner::Sha256(hasher) => Digest::new(HashAlgorithm::Sha256, &hasher.finalize()),
            Inner::Sha384(hasher) => Digest::new(HashAlgorithm::Sha384, &hasher.finalize()),
            Inner::Sha512(hasher) => Digest::new(HashAlgorithm::Sha512, &hasher.finalize()),
        }
        .expect("a hasher returns as many bytes as its algorithm has")
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_whole_lower_case_digests() {
        let good = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let digest: Digest = good.parse().unwrap();
        assert_eq!(digest, Digest::sha256(b"hello"));
        assert_eq!(digest.to_string(), good);
        for bad in [
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b982",
            "sha256:2CF24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "sha1:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c",
            "sha256:../../etc/passwd",
            "sha512:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_algorithm_has_its_name_and_length() {
        for (name, len) in [("sha256", 32), ("sha384", 48), ("sha512", 64)] {
            let algorithm = HashAlgorithm::from_name(name).unwrap();
            assert_eq!((algorithm.name(), algorithm.digest_len()), (name, len));
            let digest = algorithm.digest(b"hello");
            assert_eq!(digest.as_bytes().len(), len);
            assert_eq!(digest.to_string().parse(), Ok(digest));
            assert!(Digest::new(algorithm, &vec![0; len + 1]).is_none());
        }
        assert!(HashAlgorithm::from_name("SHA256").is_none());
    }
}
