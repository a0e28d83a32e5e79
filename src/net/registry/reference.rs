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
    /// Names a registry itself and no repository in it: `HOST` or `HOST:PORT`, as docker keeps it in its file too
    /// (`https://HOST/v1/`). Logging in takes one.
    ///
    /// # Errors
    /// [`RegistryError::Reference`].
    pub fn of_registry(text: &str) -> Result<Self, RegistryError> {
        let refuse = || RegistryError::Reference {
            found: text.chars().take(200).collect(),
            cause: "a registry is HOST or HOST:PORT, and a HOST other than localhost has a dot"
                .to_owned(),
        };
        let bare = text.strip_prefix("https://").unwrap_or(text);
        let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
        let is_host = is_domain(host) && (host.contains(['.', ':']) || host == "localhost");
        if !is_host || !["", "v1", "v2", "v1/", "v2/"].contains(&path) {
            return Err(refuse());
        }
        let any = ImageReference::from_str(&format!("{host}/any"))?;
        Ok(Repository {
            name: String::new(),
            ..any.repository
        })
    }

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
        match self.name.as_str() {
            "" => f.write_str(&self.registry),
            name => write!(f, "{}/{name}", self.registry),
        }
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
        is_tag(tag).then(|| ImageReference {
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

/// What addresses and the names of other programs' stores begin with. Some of them would read as images of Docker
/// Hub, `oci:app` as the tag `app` of `docker.io/library/oci`; who means that writes it whole.
const FOREIGN_PREFIXES: [&str; 10] = [
    "docker://",
    "oci://",
    "https://",
    "http://",
    "docker-daemon:",
    "docker-archive:",
    "oci-archive:",
    "containers-storage:",
    "oci:",
    "dir:",
];

/// Returns what a text begins with that is no part of an image's name.
pub(super) fn foreign_prefix(text: &str) -> Option<&'static str> {
    let begins = |prefix: &&&str| {
        let start = text.get(..prefix.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    FOREIGN_PREFIXES.iter().find(begins).copied()
}

/// A reference taken apart by the grammar of distribution (`reference.go`), Docker Hub's defaults filled in.
struct Parts<'a> {
    registry: String,
    name: String,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

/// Hosts that answer for Docker Hub; a name without a host is there too.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Longest name, in characters.
const MAX_NAME: usize = 255;

impl<'a> Parts<'a> {
    fn split(text: &'a str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("the tag is not one to 128 letters, digits, '.', '_' and '-'");
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
                (Some(first), path)
            }
            _ => (None, name),
        };
        if domain.is_some_and(|domain| !is_domain(domain)) {
            return Err("the registry is not HOST or HOST:PORT");
        }
        if !path.split('/').all(is_component) {
            return Err("a repository is lower-case words joined by '/', '.', '_', '__' and '-'");
        }
        let domain = domain.map(str::to_ascii_lowercase);
        let domain = domain.filter(|domain| {
            let host = domain.strip_suffix(":443").unwrap_or(domain);
            !DOCKER_HUB.contains(&host)
        });
        let (registry, name) = match domain {
            Some(domain) => (domain, path.to_owned()),
            None if path.contains('/') => ("docker.io".to_owned(), path.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{path}")),
        };
        if name.len() > MAX_NAME {
            return Err("the repository is longer than 255 characters");
        }
        Ok(Parts {
            registry,
            name,
            tag,
            digest,
        })
    }
}

fn is_tag(tag: &str) -> bool {
    // distribution-spec: [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    (1..=128).contains(&bytes.len())
        && word(bytes[0])
        && bytes.iter().all(|b| word(*b) || *b == b'.' || *b == b'-')
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = domain
        .split_once(':')
        .map_or((domain, None), |(host, port)| (host, Some(port)));
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(is_label)
        && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// Lower-case words joined by one '.', one or two '_', or any number of '-'.
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut bytes = component.bytes();
    if !bytes.next().is_some_and(word) || !component.bytes().next_back().is_some_and(word) {
        return false;
    }
    let separators = component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators
        .filter(|s| !s.is_empty())
        .all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

impl FromStr for ImageReference {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let refuse = |cause: String| RegistryError::Reference {
            found: text.chars().take(200).collect(),
            cause,
        };
        if let Some(prefix) = foreign_prefix(text) {
            return Err(refuse(format!("{prefix} is no part of an image's name")));
        }
        let parts = Parts::split(text).map_err(|cause| refuse(cause.to_owned()))?;
        // The crate knows which host stands for Docker Hub. Its parser is not called: compiling its regular
        // expression takes ten times as long as everything else that a verification does by itself.
        let known = Reference::with_tag(parts.registry, parts.name, String::new());
        let repository = Repository {
            registry: known.registry().to_owned(),
            host: known.resolve_registry().to_owned(),
            name: known.repository().to_owned(),
        };
        let origin = repository.origin("https")?;
        let asked = match (origin.host_str().unwrap_or_default(), origin.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        // One server by two names would be two to a policy: 127.1, 0x7f.1, a port with zeros before it.
        if repository
            .host
            .strip_suffix(":443")
            .unwrap_or(&repository.host)
            != asked
        {
            return Err(refuse(format!("the registry is written as {asked}")));
        }
        let target = match (parts.digest, parts.tag) {
            (Some(digest), _) => Target::Digest(
                digest
                    .parse()
                    .map_err(|e: crate::crypto::digest::DigestError| refuse(e.to_string()))?,
            ),
            (None, Some(tag)) => Target::Tag(tag.to_owned()),
            (None, None) => Target::Tag("latest".to_owned()),
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
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the crate's parser makes of a text, ours makes of it too.
        #[test]
        fn agrees_with_the_oci_crate(
            text in "(([a-zA-Z0-9-]{1,4}(\\.[a-z0-9-]{1,3})?|localhost|docker\\.io|index\\.docker\\.io)(:[0-9]{0,3})?/)?[a-z0-9._/-]{0,8}(:[A-Za-z0-9_.-]{0,4})?(@sha256:[0-9a-f]{64})?"
        ) {
            let theirs = text.parse::<Reference>();
            let ours = text.parse::<ImageReference>();
            match (theirs, ours) {
                (Ok(theirs), Ok(ours)) => {
                    // It tells registries apart by letter case, and Docker Hub by the port that is asked anyway.
                    let registry = theirs.registry().to_ascii_lowercase();
                    if !DOCKER_HUB.contains(&registry.trim_end_matches(":443")) {
                        prop_assert_eq!(&registry, ours.repository.registry());
                        prop_assert_eq!(theirs.resolve_registry().to_ascii_lowercase(), ours.repository.host());
                        prop_assert_eq!(theirs.repository(), ours.repository.name());
                    } else {
                        prop_assert_eq!("docker.io", ours.repository.registry());
                        prop_assert!(ours.repository.name().ends_with(theirs.repository()));
                    }
                    let expected = theirs.digest().or(theirs.tag()).unwrap_or("latest").to_owned();
                    prop_assert_eq!(expected, ours.target.to_string());
                }
                (Err(_), Err(_)) => {}
                // It lets a first component that looks like a host and is none pass for a repository, and takes
                // hosts for which there is no URL (`a.0`, whose last label makes it an IPv4 address that is none)
                // or one that is written otherwise (`0.1`, or a port with zeros before it).
                (Ok(theirs), Err(ours)) => {
                    let asked = Url::parse(&format!("https://{}/", theirs.resolve_registry()));
                    let asked = asked.map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned());
                    prop_assert!(
                        !theirs.repository().split('/').all(is_component)
                            || asked != Ok(theirs.resolve_registry().to_ascii_lowercase()),
                        "only theirs: {} ({:?})", theirs, ours
                    );
                }
                (Err(theirs), Ok(ours)) => prop_assert!(false, "only ours: {} ({})", ours, theirs),
            }
        }
    }

    const HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn parse(text: &str) -> Result<ImageReference, RegistryError> {
        text.parse()
    }

    #[test]
    fn a_registry_has_one_name() {
        for other in [
            "127.1:5000/a",
            "0x7f.1/a",
            "127.0.0.1:05000/a",
            "r.test:0443/a",
            "2130706433:5000/a",
        ] {
            assert!(parse(other).is_err(), "{other}");
        }
        let hub = parse("alpine").unwrap();
        for same in [
            "index.docker.io/alpine",
            "INDEX.docker.io/library/alpine",
            "registry-1.docker.io/library/alpine",
            "docker.io:443/alpine",
        ] {
            assert_eq!(parse(same).unwrap(), hub, "{same}");
        }
        assert_eq!(parse("R.test/a").unwrap(), parse("r.test/a").unwrap());
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
