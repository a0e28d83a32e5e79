//! Checkpoints: C2SP signed notes whose text is a tree head (C2SP tlog-checkpoint).

use super::limits;
use super::protojson::{decode_base64, encode_base64};
use crate::crypto::key::KeyKind;
use crate::crypto::{Digest, HashAlgorithm, PublicKey, SignatureMemo};

/// Why a checkpoint could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed checkpoint: {reason}")]
pub struct CheckpointError {
    /// Which rule is broken.
    pub reason: &'static str,
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the signer.
    pub name: String,
    /// First four bytes of the key id.
    pub key_hint: [u8; 4],
    /// What follows the hint.
    pub signature: Vec<u8>,
}

/// A parsed checkpoint. Its signatures are not verified by parsing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// First line: the log's identity.
    pub origin: String,
    /// Number of leaves.
    pub tree_size: u64,
    /// Root of the tree.
    pub root_hash: [u8; 32],
    /// The exact text that is signed, final newline included.
    pub note: String,
    /// Signature lines in order.
    pub signatures: Vec<NoteSignature>,
}

const fn malformed<T>(reason: &'static str) -> Result<T, CheckpointError> {
    Err(CheckpointError { reason })
}

impl Checkpoint {
    /// Parses a signed note.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn parse(envelope: &str) -> Result<Self, CheckpointError> {
        if envelope.len() > limits::CHECKPOINT_LEN {
            return malformed("longer than 16 KiB");
        }
        if envelope.chars().any(|c| c.is_control() && c != '\n') {
            return malformed("it contains control characters");
        }
        let Some(split) = envelope.rfind("\n\n") else {
            return malformed("no blank line before the signatures");
        };
        let (note, rest) = envelope.split_at(split + 1);
        let mut lines = note.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return malformed("fewer than three lines");
        };
        if origin.is_empty() {
            return malformed("the origin is empty");
        }
        let canonical =
            size == "0" || (!size.starts_with('0') && size.bytes().all(|b| b.is_ascii_digit()));
        let Some(tree_size) = size.parse().ok().filter(|_| canonical && !size.is_empty()) else {
            return malformed("the tree size is not a decimal number");
        };
        let Some(root_hash) = decode_base64(root).and_then(|bytes| bytes.try_into().ok()) else {
            return malformed("the root hash is not base64 of 32 bytes");
        };
        Ok(Checkpoint {
            origin: origin.to_owned(),
            tree_size,
            root_hash,
            note: note.to_owned(),
            signatures: signature_lines(&rest[1..])?,
        })
    }

    /// Writes the text that a log signs: origin, size, root.
    pub fn note_text(origin: &str, tree_size: u64, root_hash: &[u8; 32]) -> String {
        format!("{origin}\n{tree_size}\n{}\n", encode_base64(root_hash))
    }

    /// Joins a note's text and one signature to an envelope.
    pub fn envelope(note: &str, signature: &NoteSignature) -> String {
        let blob = [&signature.key_hint[..], &signature.signature].concat();
        format!(
            "{note}\n\u{2014} {} {}\n",
            signature.name,
            encode_base64(&blob)
        )
    }
}

fn signature_lines(text: &str) -> Result<Vec<NoteSignature>, CheckpointError> {
    if text.is_empty() || !text.ends_with('\n') {
        return malformed("no signature line, or the last one is cut");
    }
    let mut signatures = Vec::new();
    for line in text.lines() {
        if signatures.len() == limits::CHECKPOINT_SIGNATURES {
            return malformed("more than 100 signature lines");
        }
        let parts = line
            .strip_prefix("\u{2014} ")
            .and_then(|rest| rest.split_once(' '));
        let Some((name, blob)) = parts.filter(|(name, _)| !name.is_empty()) else {
            return malformed("a signature line is not of the form \u{2014} name base64");
        };
        let Some(blob) = decode_base64(blob).filter(|blob| blob.len() >= 5) else {
            return malformed("a signature is not base64 of five bytes or more");
        };
        let (hint, signature) = blob.split_at(4);
        signatures.push(NoteSignature {
            name: name.to_owned(),
            key_hint: hint.try_into().expect("split at four"),
            signature: signature.to_vec(),
        });
    }
    Ok(signatures)
}

/// Computes the key id of a log key under a name: for Ed25519 as C2SP signed-note has it, over name and key;
/// for ECDSA over the SubjectPublicKeyInfo; for RSA over name, type and SubjectPublicKeyInfo (C2SP signed-note).
pub fn key_id(name: &str, key: &PublicKey) -> Digest {
    match key.kind() {
        KeyKind::Ed25519 => Digest::sha256(&[name.as_bytes(), b"\n\x01", key.raw()].concat()),
        KeyKind::Rsa => {
            let rest = [b"\n\xffPKIX-RSA-PKCS#1v1.5".as_slice(), key.spki_der()].concat();
            Digest::sha256(&[name.as_bytes(), &rest].concat())
        }
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => key.fingerprint(),
    }
}

impl NoteSignature {
    /// Returns whether this signature over the note verifies; ECDSA and RSA hash with SHA-256.
    pub fn verifies(&self, note: &str, key: &PublicKey, memo: &SignatureMemo) -> bool {
        memo.verify(key, HashAlgorithm::Sha256, note.as_bytes(), &self.signature)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSIGNED: &str = "log2025-alpha3.rekor.sigstage.dev\n4026479\n5iaX4xK6PMnp4ZFTP4iywMcwLgaTjzgRTkrTOUFIrfY=\n\n\u{2014} log2025-alpha3.rekor.sigstage.dev 09OnDHwVrKeXjBYQ4NJ5EoENdtpBwZcV3X8n+cAZFIk+8LBPKEpZcKqoN2CfjGw0zlQwt+U2pLt5UyYEFv+STPHPmQg=\n\u{2014} witness.stagemole.eu Z/euoAAAAABqBM+21mV7JbHwWmLP20ZSpNWneHMkITOPopt+Vj1MoJSILqOIPpx93pbRfA0U+Eq5IiJjEUhG1JwGhPCJEUT5yDcFDg==\n";

    /// Spec 11 §5: the log's own line verifies; the key id is the one of the note.
    #[test]
    fn a_cosigned_checkpoint_of_the_staging_log() {
        let checkpoint = Checkpoint::parse(COSIGNED).unwrap();
        assert_eq!(checkpoint.tree_size, 4_026_479);
        assert_eq!(checkpoint.signatures.len(), 2);
        let key = PublicKey::from_spki_der(
            &decode_base64("MCowBQYDK2VwAyEAlD3dVc8yaP25mPtT/sJ59D3LLxGBgW/qYrM6x6KmOqk=").unwrap(),
        )
        .unwrap();
        let memo = SignatureMemo::default();
        let log = &checkpoint.signatures[0];
        assert_eq!(log.key_hint, key_id(&log.name, &key).as_bytes()[..4]);
        assert!(log.verifies(&checkpoint.note, &key, &memo));
        assert!(!log.verifies(&checkpoint.note.replace("4026479", "4026480"), &key, &memo));
        assert!(!checkpoint.signatures[1].verifies(&checkpoint.note, &key, &memo));
        assert_eq!(
            Checkpoint::envelope(&checkpoint.note, log),
            COSIGNED.rsplit_once("\u{2014} witness").unwrap().0
        );
    }

    /// Spec 11 §4.
    #[test]
    fn key_id_of_the_public_log() {
        let key = PublicKey::from_spki_der(
            &decode_base64("MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244=").unwrap(),
        )
        .unwrap();
        assert_eq!(
            key_id("log2025-1.rekor.sigstore.dev", &key).hex(),
            "cf1199155bddd051268d1f16ac5c0c75c009f6fb5a63f4177f8e18d7051e3fa0"
        );
    }

    #[test]
    fn every_missing_part_is_refused() {
        let good = "o\n1\n5iaX4xK6PMnp4ZFTP4iywMcwLgaTjzgRTkrTOUFIrfY=\n\n\u{2014} o AAAAAAA=\n";
        assert!(Checkpoint::parse(good).is_ok());
        for (from, to) in [
            ("o\n1", "\n1"),
            ("\n1\n", "\n"),
            ("\n1\n", "\n01\n"),
            ("\n1\n", "\n+1\n"),
            ("5iaX4xK6PMnp4ZFTP4iywMcwLgaTjzgRTkrTOUFIrfY=", "5iaX"),
            ("AAAAAAA=\n", "AAAAAAA="),
            ("AAAAAAA=", "AAAAAA=="),
            ("\u{2014} o", "- o"),
            ("\u{2014} o ", "\u{2014} "),
            ("\n\n", "\n"),
            ("o\n1", "o\t\n1"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_empty_tree_and_a_long_note_are_read() {
        let root = "5iaX4xK6PMnp4ZFTP4iywMcwLgaTjzgRTkrTOUFIrfY=";
        let parse = |text: &str| Checkpoint::parse(text);
        let empty = parse(&format!("o\n0\n{root}\n\n\u{2014} o AAAAAAA=\n")).unwrap();
        assert_eq!(empty.tree_size, 0);
        assert_eq!(empty.note, Checkpoint::note_text("o", 0, &empty.root_hash));
        let long = |len: usize| {
            let rest = format!("o\n1\n{root}\n\n\n\u{2014} o AAAAAAA=\n");
            rest.replacen(
                "\n\n\n",
                &format!("\n{}\n\n", "x".repeat(len - rest.len())),
                1,
            )
        };
        assert_eq!(long(limits::CHECKPOINT_LEN).len(), limits::CHECKPOINT_LEN);
        assert!(parse(&long(limits::CHECKPOINT_LEN)).is_ok());
        let reason = "longer than 16 KiB";
        assert_eq!(
            parse(&long(limits::CHECKPOINT_LEN + 1)),
            Err(CheckpointError { reason })
        );
    }

    #[test]
    fn a_signature_line_has_a_name_without_blanks() {
        let good = "o\n1\n5iaX4xK6PMnp4ZFTP4iywMcwLgaTjzgRTkrTOUFIrfY=\n\n\u{2014} o AAAAAAA=\n";
        for line in ["\u{2014} o x AAAAAAA=", "\u{2014}  AAAAAAA="] {
            let bad = good.replace("\u{2014} o AAAAAAA=", line);
            assert!(Checkpoint::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
