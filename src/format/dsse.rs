//! DSSE envelopes: what a signature over an in-toto statement covers (secure-systems-lab/dsse, `protocol.md`).

use bytes::Bytes;

use crate::crypto::{Digest, HashAlgorithm, Hasher};

/// Payload type of in-toto statements.
pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// First bytes of every pre-authentication encoding. A file that begins so is not signed as a file: on a
/// Rekor v2 log that signature could be put into an envelope, and say what nobody meant to say.
pub const PRE_AUTH_PREFIX: &[u8] = b"DSSEv1 ";

/// A DSSE envelope with its one signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Type of the payload, part of what is signed.
    pub payload_type: String,
    /// The payload's exact bytes; shared, since an attestation may have many.
    pub payload: Bytes,
    /// The signature's bytes.
    pub signature: Vec<u8>,
    /// Key hint; empty for keyless signatures.
    pub keyid: String,
}

impl Envelope {
    /// Returns the pre-authentication encoding, the bytes that are signed.
    pub fn pre_auth_encoding(&self) -> PreAuthEncoding<'_> {
        PreAuthEncoding {
            payload_type: &self.payload_type,
            payload: &self.payload,
        }
    }
}

/// `"DSSEv1" SP len(type) SP type SP len(body) SP body`, lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreAuthEncoding<'a> {
    payload_type: &'a str,
    payload: &'a [u8],
}

impl<'a> PreAuthEncoding<'a> {
    /// Describes the encoding of a payload.
    pub fn new(payload_type: &'a str, payload: &'a [u8]) -> Self {
        PreAuthEncoding {
            payload_type,
            payload,
        }
    }

    fn prefix(&self) -> String {
        format!(
            "DSSEv1 {} {} {} ",
            self.payload_type.len(),
            self.payload_type,
            self.payload.len()
        )
    }

    /// Returns the encoding as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        [self.prefix().as_bytes(), self.payload].concat()
    }

    /// Hashes the encoding without copying the payload.
    pub fn digest(&self, algorithm: HashAlgorithm) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(self.prefix().as_bytes());
        hasher.update(self.payload);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        let encoding = PreAuthEncoding::new("http://example.com/HelloWorld", b"hello world");
        assert_eq!(
            encoding.to_bytes(),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        assert_eq!(
            encoding.digest(HashAlgorithm::Sha256),
            Digest::sha256(&encoding.to_bytes())
        );
    }

    #[test]
    fn lengths_count_bytes_not_characters() {
        assert_eq!(
            PreAuthEncoding::new("é", "ü".as_bytes()).to_bytes(),
            "DSSEv1 2 é 2 ü".as_bytes()
        );
    }
}
