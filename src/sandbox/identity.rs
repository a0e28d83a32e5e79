//! From an identity to the claims of a token, and from claims to what a certificate says.
//!
//! The real Fulcio knows an issuer's type by its configuration. Here one issuer stands for all of
//! them, so the claims decide: a workflow's, else an e-mail address, else a URI as subject.

use der::asn1::{Ia5String, ObjectIdentifier};
use serde_json::{Map, Value};
use x509_cert::ext::pkix::name::GeneralName;

use crate::crypto::{Digest, asn1};

use super::error::SandboxError;
use super::oidc::TokenKind;

/// Arc of Fulcio's certificate extensions.
const FULCIO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1");

/// The CI claims Fulcio copies from a GitHub token: extension, prefix put before, claim
/// (sigstore/fulcio's configuration of GitHub Actions).
const GITHUB_CLAIMS: [(u32, &str, &str); 19] = [
    (2, "", "event_name"),
    (3, "", "sha"),
    (4, "", "workflow"),
    (5, "", "repository"),
    (6, "", "ref"),
    (9, GITHUB, "job_workflow_ref"),
    (10, "", "job_workflow_sha"),
    (11, "", "runner_environment"),
    (12, GITHUB, "repository"),
    (13, "", "sha"),
    (14, "", "ref"),
    (15, "", "repository_id"),
    (16, GITHUB, "repository_owner"),
    (17, "", "repository_owner_id"),
    (18, GITHUB, "workflow_ref"),
    (19, "", "workflow_sha"),
    (20, "", "event_name"),
    (22, "", "repository_visibility"),
    (23, "", "environment"),
];
const GITHUB: &str = "https://github.com/";

/// Returns the claims that say who somebody is; times, issuer and audience are added by the issuer.
pub(super) fn claims(
    identity: &str,
    kind: Option<TokenKind>,
) -> Result<Map<String, Value>, SandboxError> {
    let refuse = || SandboxError::Identity {
        identity: identity.to_owned(),
    };
    let kind = match kind {
        Some(kind) => kind,
        None if is_email(identity) => TokenKind::Email,
        None => TokenKind::Uri,
    };
    let mut claims = Map::new();
    match kind {
        TokenKind::Email if is_email(identity) => {
            claims.insert("email".to_owned(), identity.into());
            claims.insert("email_verified".to_owned(), true.into());
            claims.insert("sub".to_owned(), identity.into());
        }
        TokenKind::Uri if is_uri(identity) => {
            claims.insert("sub".to_owned(), identity.into());
        }
        TokenKind::GithubWorkflow => {
            let reference = identity.strip_prefix(GITHUB).ok_or_else(refuse)?;
            claims = workflow_claims(reference).ok_or_else(refuse)?;
        }
        _ => return Err(refuse()),
    }
    Ok(claims)
}

/// Claims of a workflow `OWNER/REPO/PATH@REF`; numbers and commits are made up but stable.
fn workflow_claims(reference: &str) -> Option<Map<String, Value>> {
    let (path, git_ref) = reference.split_once('@')?;
    let mut parts = path.splitn(3, '/');
    let (owner, repository, file) = (parts.next()?, parts.next()?, parts.next()?);
    if owner.is_empty() || repository.is_empty() || file.is_empty() || git_ref.is_empty() {
        return None;
    }
    let slug = format!("{owner}/{repository}");
    let digest = |text: &str| Digest::sha256(text.as_bytes()).hex();
    let number = |text: &str| {
        let digest = Digest::sha256(text.as_bytes());
        let bytes = digest.as_bytes();
        u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]).to_string()
    };
    let commit = digest(reference)[..40].to_owned();
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.split('.').next().unwrap_or(name);
    let claims = [
        ("sub", format!("repo:{slug}:ref:{git_ref}")),
        ("job_workflow_ref", reference.to_owned()),
        ("job_workflow_sha", commit.clone()),
        ("workflow_ref", reference.to_owned()),
        ("workflow_sha", commit.clone()),
        ("workflow", name.to_owned()),
        ("repository", slug.clone()),
        ("repository_id", number(&slug)),
        ("repository_owner", owner.to_owned()),
        ("repository_owner_id", number(owner)),
        ("repository_visibility", "public".to_owned()),
        ("runner_environment", "github-hosted".to_owned()),
        ("event_name", "push".to_owned()),
        ("sha", commit),
        ("ref", git_ref.to_owned()),
        ("run_id", "1".to_owned()),
        ("run_attempt", "1".to_owned()),
    ];
    Some(
        claims
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
    )
}

/// What a certificate will say about the bearer of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Principal {
    /// The one SubjectAltName.
    pub(super) name: SubjectName,
    /// What the proof of possession signs (`fulcio.proto`).
    pub(super) challenge: String,
    /// Issuer of the token.
    pub(super) issuer: String,
    /// `sub` of the token.
    pub(super) subject: String,
    /// Further Fulcio extensions: last arc and value.
    pub(super) extensions: Vec<(u32, String)>,
}

/// A SubjectAltName as Fulcio gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SubjectName {
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
}

impl SubjectName {
    /// Returns the name as X.509 has it. `None` if it is not ASCII.
    pub(super) fn general_name(&self) -> Option<GeneralName> {
        match self {
            SubjectName::Email(email) => Ia5String::new(email).ok().map(GeneralName::Rfc822Name),
            SubjectName::Uri(uri) => Ia5String::new(uri)
                .ok()
                .map(GeneralName::UniformResourceIdentifier),
        }
    }
}

impl Principal {
    /// Reads the claims of an authenticated token. `None` where Fulcio refuses them: no usable
    /// identity, or an address that the issuer has not verified.
    pub(super) fn from_claims(claims: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let subject = text("sub")?.to_owned();
        let issuer = text("iss")?.to_owned();
        let mut extensions = Vec::new();
        let (name, challenge) = if let Some(workflow) = text("job_workflow_ref") {
            for (arc, prefix, claim) in GITHUB_CLAIMS {
                match text(claim) {
                    Some("") => {}
                    Some(value) => extensions.push((arc, format!("{prefix}{value}"))),
                    // A job without a deployment environment has no such claim.
                    None if claim == "environment" => {}
                    None => return None,
                }
            }
            let run = format!(
                "{GITHUB}{}/actions/runs/{}/attempts/{}",
                text("repository")?,
                text("run_id")?,
                text("run_attempt")?
            );
            extensions.push((21, run));
            let uri = format!("{GITHUB}{workflow}");
            (SubjectName::Uri(uri), subject.clone())
        } else if let Some(email) = text("email") {
            let verified = match claims.get("email_verified")? {
                Value::Bool(verified) => *verified,
                Value::String(text) => text.eq_ignore_ascii_case("true"),
                _ => false,
            };
            if !verified || !is_email(email) {
                return None;
            }
            (SubjectName::Email(email.to_owned()), email.to_owned())
        } else {
            if !is_uri(&subject) {
                return None;
            }
            (SubjectName::Uri(subject.clone()), subject.clone())
        };
        Some(Principal {
            name,
            challenge,
            issuer,
            subject,
            extensions,
        })
    }

    /// Returns the Fulcio extensions in the order of their arcs: identifier and content of extnValue.
    /// Up to .6 the value is bare text, from .8 on a UTF8String (Fulcio, `docs/oid-info.md`).
    pub(super) fn fulcio_extensions(&self) -> Vec<(ObjectIdentifier, Vec<u8>)> {
        let mut all = self.extensions.clone();
        all.push((1, self.issuer.clone()));
        all.push((8, self.issuer.clone()));
        all.push((24, self.subject.clone()));
        all.sort();
        all.into_iter()
            .map(|(arc, value)| {
                let oid = FULCIO.push_arc(arc).expect("one more arc fits");
                let value = match arc {
                    ..8 => value.into_bytes(),
                    _ => asn1::encode(asn1::UTF8_STRING, value.as_bytes()),
                };
                (oid, value)
            })
            .collect()
    }
}

fn is_email(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"/".contains(c);
    match text.split_once('@') {
        Some((local, domain)) => {
            !local.is_empty()
                && !domain.is_empty()
                && !domain.contains('@')
                && text.chars().all(allowed)
        }
        None => false,
    }
}

fn is_uri(text: &str) -> bool {
    text.is_ascii()
        && url::Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "https" | "http" | "spiffe") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(identity: &str, kind: Option<TokenKind>) -> Option<Principal> {
        let mut claims = claims(identity, kind).ok()?;
        claims.insert("iss".to_owned(), "https://issuer.test".into());
        Principal::from_claims(&claims)
    }

    #[test]
    fn the_looks_of_an_identity_decide() {
        let email = principal("dev@example.test", None).unwrap();
        assert_eq!(email.name, SubjectName::Email("dev@example.test".into()));
        assert_eq!(email.challenge, "dev@example.test");
        for uri in ["https://ci.test/job/1", "spiffe://domain.test/build"] {
            let principal = principal(uri, None).unwrap();
            assert_eq!(principal.name, SubjectName::Uri(uri.to_owned()));
            assert_eq!(principal.challenge, uri);
        }
        for refused in [
            "dev",
            "",
            "dev@",
            "a@b@c",
            "a b@c",
            "ftp://x.test/",
            "https://",
        ] {
            assert!(principal(refused, None).is_none(), "{refused}");
        }
        assert!(principal("https://ci.test/", Some(TokenKind::Email)).is_none());
    }

    #[test]
    fn a_workflow_gets_the_extensions_of_one() {
        let identity = "https://github.com/octo/app/.github/workflows/release.yml@refs/tags/v1";
        let principal = principal(identity, Some(TokenKind::GithubWorkflow)).unwrap();
        assert_eq!(principal.name, SubjectName::Uri(identity.to_owned()));
        assert_eq!(principal.challenge, "repo:octo/app:ref:refs/tags/v1");
        let extensions = principal.fulcio_extensions();
        let value = |arc: &str| {
            let oid = ObjectIdentifier::new_unwrap(&format!("{FULCIO}.{arc}"));
            let found = extensions.iter().find(|(found, _)| *found == oid);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(value("4").unwrap(), b"release");
        assert_eq!(value("5").unwrap(), b"octo/app");
        assert_eq!(value("14").unwrap(), b"\x0c\x0crefs/tags/v1");
        assert_eq!(value("12").unwrap()[2..], *b"https://github.com/octo/app");
        assert!(value("23").is_none());
        assert!(extensions.is_sorted_by_key(|(oid, _)| oid.arcs().last()));
    }

    #[test]
    fn an_unverified_address_is_refused() {
        let mut claims = claims("dev@example.test", None).unwrap();
        claims.insert("iss".to_owned(), "https://issuer.test".into());
        for (verified, accepted) in [
            (Value::from(true), true),
            ("True".into(), true),
            (false.into(), false),
            ("false".into(), false),
            (1.into(), false),
        ] {
            claims.insert("email_verified".to_owned(), verified);
            assert_eq!(Principal::from_claims(&claims).is_some(), accepted);
        }
    }
}
