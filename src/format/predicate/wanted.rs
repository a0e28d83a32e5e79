//! Which predicate types are meant: one by its URI, or those that a name stands for.
//!
//! Some types carry a version in their URI, and writers differ about whether they put it there. Whoever asks by
//! name means all versions of a type whose members stay what they are; whoever asks by URI means that URI.

use std::fmt;

use super::{
    CUSTOM, CYCLONEDX, LINK, OPENVEX, PredicateError, SLSA_V1, SLSA_V02, SPDX_DOCUMENT, VULN,
    type_uri,
};

/// A name that cosign has for a predicate type.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedType {
    /// The name.
    pub name: &'static str,
    /// The URI that is written.
    pub uri: &'static str,
    /// What else is read by that name.
    also: &'static [Also],
}

#[derive(Debug, PartialEq, Eq)]
enum Also {
    /// One more URI.
    Uri(&'static str),
    /// The URI followed by `/v` and any version.
    Version(&'static str),
    /// The URI, which ends with a major version, followed by `.` and a minor one.
    Minor(&'static str),
}

impl Also {
    fn meets(&self, found: &str) -> bool {
        let after = |uri: &str, separator: &str| {
            let rest = found.strip_prefix(uri)?.strip_prefix(separator)?;
            Some(is_version(rest))
        };
        match self {
            Also::Uri(uri) => found == *uri,
            Also::Version(uri) => after(uri, "/v").unwrap_or(false),
            Also::Minor(uri) => after(uri, ".").unwrap_or(false),
        }
    }
}

/// Numbers joined by dots.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 20 && text.split('.').all(is_number)
}

const fn named(name: &'static str, uri: &'static str, also: &'static [Also]) -> NamedType {
    NamedType { name, uri, also }
}

/// Names of predicate types, as cosign has them, with what they write and what is read by them.
///
/// - SLSA: the URI has the major version alone (slsa.dev/spec, "Provenance", `predicateType`). Provenance v0.1 and
///   v0.2 are of one generation; v1 has other members, and is another name in cosign too.
/// - SPDX, CycloneDX: in-toto/attestation, `spec/predicates/spdx.md` and `cyclonedx.md`, have the URI with the
///   version and without; GitHub's `actions/attest-sbom` writes `https://spdx.dev/Document/v2.3`.
/// - OpenVEX: `https://openvex.dev/ns` is the context's name, and `https://openvex.dev/ns/v0.2.0` that of a version
///   (openvex/spec, "OPENVEX-SPEC.md").
/// - Link: in-toto/attestation, `spec/predicates/link.md`, has the type at a place of its own.
/// - cosign's own two were written without `https://` by cosign 1.
pub const NAMED: [NamedType; 10] = [
    named(
        "slsaprovenance",
        SLSA_V02,
        &[Also::Uri("https://slsa.dev/provenance/v0.1")],
    ),
    named("slsaprovenance02", SLSA_V02, &[]),
    named("slsaprovenance1", SLSA_V1, &[Also::Minor(SLSA_V1)]),
    named(
        "link",
        LINK,
        &[
            Also::Minor(LINK),
            Also::Version("https://in-toto.io/attestation/link"),
        ],
    ),
    named("spdx", SPDX_DOCUMENT, &[Also::Version(SPDX_DOCUMENT)]),
    named("spdxjson", SPDX_DOCUMENT, &[Also::Version(SPDX_DOCUMENT)]),
    named("cyclonedx", CYCLONEDX, &[Also::Version(CYCLONEDX)]),
    named(
        "vuln",
        VULN,
        &[
            Also::Minor(VULN),
            Also::Uri("cosign.sigstore.dev/attestation/vuln/v1"),
        ],
    ),
    named("openvex", OPENVEX, &[Also::Version(OPENVEX)]),
    named(
        "custom",
        CUSTOM,
        &[
            Also::Minor(CUSTOM),
            Also::Uri("cosign.sigstore.dev/attestation/v1"),
        ],
    ),
];

/// The predicate type that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedType {
    /// This URI, to the letter.
    Uri(String),
    /// Whatever the name stands for.
    Named(&'static NamedType),
}

impl WantedType {
    /// Reads a name, or a URI.
    ///
    /// # Errors
    /// [`PredicateError::Type`].
    pub fn parse(given: &str) -> Result<Self, PredicateError> {
        match NAMED.iter().find(|named| named.name == given) {
            Some(named) => Ok(WantedType::Named(named)),
            None => Ok(WantedType::Uri(type_uri(given)?.to_owned())),
        }
    }

    /// Returns whether a type that was found is meant.
    pub fn meets(&self, found: &str) -> bool {
        match self {
            WantedType::Uri(uri) => uri == found,
            WantedType::Named(named) => {
                named.uri == found || named.also.iter().any(|also| also.meets(found))
            }
        }
    }

    /// Returns the URI; of a name, the one that is written.
    pub fn uri(&self) -> &str {
        match self {
            WantedType::Uri(uri) => uri,
            WantedType::Named(named) => named.uri,
        }
    }
}

impl From<&str> for WantedType {
    /// Asks for this URI.
    fn from(uri: &str) -> Self {
        WantedType::Uri(uri.to_owned())
    }
}

impl From<String> for WantedType {
    /// Asks for this URI.
    fn from(uri: String) -> Self {
        WantedType::Uri(uri)
    }
}

impl fmt::Display for WantedType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WantedType::Uri(uri) => f.write_str(uri),
            WantedType::Named(named) => write!(f, "{} ({})", named.name, named.uri),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_the_versions_of_its_type_and_a_uri_for_itself() {
        for (asked, found, expected) in [
            ("spdxjson", "https://spdx.dev/Document", true),
            ("spdxjson", "https://spdx.dev/Document/v2.3", true),
            ("spdx", "https://spdx.dev/Document/v3", true),
            ("spdxjson", "https://spdx.dev/Document/v3.0.1", true),
            ("spdxjson", "https://spdx.dev/Document/2.3", false),
            ("spdxjson", "https://spdx.dev/Document/v", false),
            ("spdxjson", "https://spdx.dev/Document/v2.", false),
            ("spdxjson", "https://spdx.dev/Document/v2.3/x", false),
            ("spdxjson", "https://spdx.dev/Documents", false),
            ("spdxjson", "https://cyclonedx.org/bom", false),
            ("cyclonedx", "https://cyclonedx.org/bom", true),
            ("cyclonedx", "https://cyclonedx.org/bom/v1.6", true),
            ("cyclonedx", "https://cyclonedx.org.evil.test/bom", false),
            ("openvex", "https://openvex.dev/ns", true),
            ("openvex", "https://openvex.dev/ns/v0.2.0", true),
            ("slsaprovenance", "https://slsa.dev/provenance/v0.1", true),
            ("slsaprovenance", "https://slsa.dev/provenance/v0.2", true),
            ("slsaprovenance", "https://slsa.dev/provenance/v1", false),
            ("slsaprovenance02", "https://slsa.dev/provenance/v0.2", true),
            (
                "slsaprovenance02",
                "https://slsa.dev/provenance/v0.1",
                false,
            ),
            ("slsaprovenance1", "https://slsa.dev/provenance/v1", true),
            ("slsaprovenance1", "https://slsa.dev/provenance/v1.1", true),
            ("slsaprovenance1", "https://slsa.dev/provenance/v10", false),
            ("slsaprovenance1", "https://slsa.dev/provenance/v0.2", false),
            ("link", "https://in-toto.io/Link/v1", true),
            ("link", "https://in-toto.io/attestation/link/v0.3", true),
            (
                "vuln",
                "https://cosign.sigstore.dev/attestation/vuln/v1",
                true,
            ),
            (
                "vuln",
                "https://cosign.sigstore.dev/attestation/vuln/v2",
                false,
            ),
            ("vuln", "cosign.sigstore.dev/attestation/vuln/v1", true),
            ("vuln", "https://cosign.sigstore.dev/attestation/v1", false),
            ("custom", "https://cosign.sigstore.dev/attestation/v1", true),
            ("custom", "cosign.sigstore.dev/attestation/v1", true),
            ("custom", "https://example.test/anything", false),
            (
                "https://spdx.dev/Document",
                "https://spdx.dev/Document",
                true,
            ),
            (
                "https://spdx.dev/Document",
                "https://spdx.dev/Document/v2.3",
                false,
            ),
            (
                "https://spdx.dev/Document/v2.3",
                "https://spdx.dev/Document",
                false,
            ),
            ("https://example.test/x", "https://example.test/x", true),
        ] {
            let wanted = WantedType::parse(asked).unwrap();
            assert_eq!(wanted.meets(found), expected, "{asked} on {found}");
        }
        assert!(WantedType::parse("nonsense").is_err());
    }

    #[test]
    fn every_name_meets_what_it_writes() {
        for named in &NAMED {
            let wanted = WantedType::parse(named.name).unwrap();
            assert_eq!(wanted, WantedType::Named(named));
            assert!(wanted.meets(named.uri), "{}", named.name);
            assert_eq!(wanted.uri(), named.uri);
        }
    }
}
