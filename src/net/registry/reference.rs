//! Image references: as people write them, and pinned to a digest.
//!
//! A tag is resolved once, to a [`DigestReference`]; everything after takes that type.

use std::fmt;
use std::str::FromStr;

use oci_distribution::Reference;
use url::Url;

use super::error::RegistryError;
use crate::crypto::Digest;
use crate::net::http::is_loopback;

/// A repository of a registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    /// The registry as shown and signed: `host` or `host:port`.
    registry: String,
    /// The host that is asked; differs from `registry` for Docker Hub only.
    host: String,
    /// Name within the registry, such as `library/alpine`.
    name: String,
}

impl Repository {
    /// Returns the registry as shown to people.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Returns `host` or `host:port` of the registry's URL.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the name within the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the registry is on loopback, where plain HTTP is the rule.
    pub fn is_loopback(&self) -> bool {
        self.origin("http").is_ok_and(|url| is_loopback(&url))
    }

    /// Returns the registry's URL.
    pub(super) fn origin(&self, scheme: &str) -> Result<Url, RegistryError> {
        format!("{scheme}://{}/", self.host)
            .parse()
            .map_err(|e: url::ParseError| RegistryError::Reference {
                found: self.to_string(),
                cause: e.to_string(),
            })
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.name)
    }
}

impl FromStr for Repository {
    type Err = RegistryError;

    /// Parses a repository without tag or digest.
    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let parsed = ImageReference::from_str(text)?;
        let plain = parsed.repository.to_string();
        if parsed.to_string() != format!("{plain}:latest") || text.ends_with(":latest") {
            return Err(RegistryError::Reference {
                found: text.chars().take(200).collect(),
                cause: "a repository has no tag and no digest".to_owned(),
            });
        }
        Ok(parsed.repository)
    }
}

/// What within a repository a reference points to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A tag, which may point elsewhere the next moment.
    Tag(String),
    /// A digest.
    Digest(Digest),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tag(tag) => f.write_str(tag),
            Target::Digest(digest) => digest.fmt(f),
        }
    }
}

/// An image reference as people write it: `[host[:port]/]path[:tag][@digest]`.
///
/// Without a host it is on Docker Hub, without tag and digest it is `latest`. Where both a tag and a
/// digest are given the digest counts; the tag is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ImageReference {
    repository: Repository,
    target: Target,
}

impl ImageReference {
    /// Names a tag of a repository; `None` if the tag breaks the grammar.
    pub fn tagged(repository: Repository, tag: &str) -> Option<Self> {
        // distribution-spec: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let bytes = tag.as_bytes();
        let fits = (1..=128).contains(&bytes.len())
            && word(bytes[0])
            && bytes.iter().all(|b| word(*b) || *b == b'.' || *b == b'-');
        fits.then(|| ImageReference {
            repository,
            target: Target::Tag(tag.to_owned()),
        })
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns what it points to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Returns the pinned reference if this one names a digest; no request is needed then.
    pub fn pinned(&self) -> Option<DigestReference> {
        match &self.target {
            Target::Digest(digest) => Some(DigestReference {
                repository: self.repository.clone(),
                digest: *digest,
            }),
            Target::Tag(_) => None,
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Target::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

impl FromStr for ImageReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let refuse = |cause: String| RegistryError::Reference {
            found: text.chars().take(200).collect(),
            cause,
        };
        let parsed: Reference = text
            .parse()
            .map_err(|e: oci_distribution::ParseError| refuse(e.to_string()))?;
        let repository = Repository {
            registry: parsed.registry().to_owned(),
            host: parsed.resolve_registry().to_owned(),
            name: parsed.repository().to_owned(),
        };
        repository.origin("https")?;
        let target = match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => Target::Digest(
                digest
                    .parse()
                    .map_err(|e: crate::crypto::digest::DigestError| refuse(e.to_string()))?,
            ),
            (None, Some(tag)) => Target::Tag(tag.to_owned()),
            (None, None) => return Err(refuse("neither tag nor digest".to_owned())),
        };
        Ok(ImageReference { repository, target })
    }
}

/// A repository and a digest: what is signed, and what is verified.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestReference {
    repository: Repository,
    digest: Digest,
}

impl DigestReference {
    /// Pins a repository's content.
    pub fn new(repository: Repository, digest: Digest) -> Self {
        DigestReference { repository, digest }
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for DigestReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

impl From<DigestReference> for ImageReference {
    fn from(reference: DigestReference) -> Self {
        ImageReference {
            repository: reference.repository,
            target: Target::Digest(reference.digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn parse(text: &str) -> Result<ImageReference, RegistryError> {
        text.parse()
    }

    #[test]
    fn defaults_are_docker_hub_and_latest() {
        let plain = parse("alpine").unwrap();
        let whole = plain.to_string();
        assert!(whole.ends_with("/library/alpine:latest"), "{whole}");
        assert_eq!(parse(&whole).unwrap(), plain);
        assert_eq!(
            plain.repository().host(),
            format!("index.{}", plain.repository().registry())
        );
        assert_eq!(
            parse("localhost/a").unwrap().repository().host(),
            "localhost"
        );
        assert_eq!(parse("r:5000/a/b:c").unwrap().repository().host(), "r:5000");
    }

    #[test]
    fn a_digest_counts_more_than_a_tag() {
        let both = parse(&format!("r.example.test/a:v1@sha256:{HEX}")).unwrap();
        assert_eq!(both.to_string(), format!("r.example.test/a@sha256:{HEX}"));
        let pinned = both.pinned().unwrap();
        assert_eq!(pinned.digest().hex(), HEX);
        assert_eq!(ImageReference::from(pinned), both);
        assert!(parse("r.example.test/a:v1").unwrap().pinned().is_none());
    }

    #[test]
    fn malformed_references_are_refused() {
        for bad in [
            "",
            "a/UPPER",
            "a b",
            "a:",
            "a@",
            "../a",
            "https://r.example.test/a",
            "r.example.test/a@sha256:00",
            "r.example.test:99999999/a",
        ] {
            assert!(
                matches!(parse(bad), Err(RegistryError::Reference { .. })),
                "{bad:?}"
            );
        }
        // The parser underneath allows upper-case digits; a digest here is one string only.
        assert!(parse(&format!("r.example.test/a@sha256:{}", HEX.to_uppercase())).is_err());
    }

    #[test]
    fn loopback_is_recognised() {
        for (text, loopback) in [
            ("localhost:5000/a", true),
            ("127.0.0.1:5000/a", true),
            ("localhost.example.test/a", false),
            ("r.example.test/a", false),
        ] {
            assert_eq!(parse(text).unwrap().repository().is_loopback(), loopback);
        }
    }

    #[test]
    fn repositories_and_tags_have_a_grammar() {
        let repository: Repository = "r.example.test/a/b".parse().unwrap();
        assert_eq!(repository.to_string(), "r.example.test/a/b");
        for bad in [
            "r.example.test/a:b",
            "r.example.test/a:latest",
            "r.example.test/a@sha256:00",
        ] {
            assert!(bad.parse::<Repository>().is_err(), "{bad}");
        }
        assert!(ImageReference::tagged(repository.clone(), &format!("sha256-{HEX}.sig")).is_some());
        for bad in ["", ".x", "a/b", "a?b", &"x".repeat(129)] {
            assert!(
                ImageReference::tagged(repository.clone(), bad).is_none(),
                "{bad}"
            );
        }
    }
}
