//! Tags beside an image: where cosign keeps its legacy signatures, attestations and SBOMs.

use crate::crypto::Digest;

/// What a tag `sha256-<hex>.<suffix>` holds for the manifest or index of that digest (cosign,
/// `specs/SIGNATURE_SPEC.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LegacyTag {
    /// `.sig`: simple-signing signatures, one for each layer.
    Signatures,
    /// `.att`: attestations, one for each layer.
    Attestations,
    /// `.sbom`: an unsigned SBOM.
    Sbom,
}

impl LegacyTag {
    /// All of them.
    pub const ALL: [LegacyTag; 3] = [
        LegacyTag::Signatures,
        LegacyTag::Attestations,
        LegacyTag::Sbom,
    ];

    /// Returns the end of the tag, dot included.
    pub fn suffix(self) -> &'static str {
        match self {
            LegacyTag::Signatures => ".sig",
            LegacyTag::Attestations => ".att",
            LegacyTag::Sbom => ".sbom",
        }
    }

    /// Returns the tag for a digest.
    pub fn tag(self, subject: &Digest) -> String {
        let (name, hex) = (subject.algorithm().name(), subject.hex());
        let (prefix, suffix) = (format!("{name}-"), self.suffix());
        // A tag has at most 128 characters; cosign uses SHA-256 only, whose tags are far shorter.
        let room = 128 - prefix.len() - suffix.len();
        format!("{prefix}{}{suffix}", &hex[..hex.len().min(room)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::HashAlgorithm;

    #[test]
    fn tags_are_those_of_cosign_and_never_too_long() {
        let digest = Digest::sha256(b"");
        let hex = digest.hex();
        let tags = LegacyTag::ALL.map(|tag| tag.tag(&digest));
        let expected = ["sig", "att", "sbom"].map(|end| format!("sha256-{hex}.{end}"));
        assert_eq!(tags, expected);
        for tag in LegacyTag::ALL {
            assert!(tag.tag(&HashAlgorithm::Sha512.digest(b"")).len() <= 128);
        }
    }
}
