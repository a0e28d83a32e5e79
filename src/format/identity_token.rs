//! OIDC identity tokens, as a client may judge them before it spends anything (OpenID Connect Core 2; Fulcio,
//! `docs/oidc.md`).
//!
//! The issuer's signature is Fulcio's to verify; what is settled here is that the token is one, is
//! meant for Sigstore, has not run out, and says whom the certificate will name.

use serde::Deserialize;

use super::limits;
use super::protojson::decode_base64;
use crate::crypto::{Secret, UnixTime};
use crate::diagnostic::{Diagnostic, Exit};

/// Audience that Fulcio instances expect unless configured otherwise.
pub const DEFAULT_AUDIENCE: &str = "sigstore";

/// Why an identity token is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityTokenError {
    /// Not a JWS in compact form with a JSON claim set.
    #[error("identity token is malformed: {reason}")]
    Malformed {
        /// What is wrong; never a part of the token.
        reason: &'static str,
    },
    /// The token has run out.
    #[error("identity token has expired")]
    Expired {
        /// End of its validity.
        expired: UnixTime,
        /// Now.
        now: UnixTime,
    },
    /// The token is not valid yet.
    #[error("identity token is not valid yet")]
    NotYetValid {
        /// Start of its validity.
        not_before: UnixTime,
        /// Now.
        now: UnixTime,
    },
    /// The token is meant for somebody else.
    #[error("identity token is meant for another audience")]
    WrongAudience {
        /// Audience needed.
        expected: String,
        /// Audiences of the token.
        found: Vec<String>,
    },
    /// The token's address has not been verified by its issuer.
    #[error("identity token has an e-mail address that its issuer did not verify")]
    EmailNotVerified {
        /// The address.
        email: String,
    },
}

impl Diagnostic for IdentityTokenError {
    fn code(&self) -> &'static str {
        match self {
            IdentityTokenError::Malformed { .. } => "identity-token-malformed",
            IdentityTokenError::Expired { .. } => "identity-token-expired",
            IdentityTokenError::NotYetValid { .. } => "identity-token-not-yet-valid",
            IdentityTokenError::WrongAudience { .. } => "identity-token-audience",
            IdentityTokenError::EmailNotVerified { .. } => "identity-token-email-not-verified",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Token
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            IdentityTokenError::Expired { expired, now } => {
                vec![("expired", expired.to_string()), ("now", now.to_string())]
            }
            IdentityTokenError::NotYetValid { not_before, now } => {
                vec![
                    ("valid from", not_before.to_string()),
                    ("now", now.to_string()),
                ]
            }
            IdentityTokenError::WrongAudience { expected, found } => {
                vec![("expected", expected.clone()), ("found", found.join(", "))]
            }
            IdentityTokenError::EmailNotVerified { email } => vec![("found", email.clone())],
            IdentityTokenError::Malformed { .. } => Vec::new(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            IdentityTokenError::Malformed { .. } => {
                "pass the token itself, a file that holds it, or - to read it from standard input"
                    .to_owned()
            }
            IdentityTokenError::Expired { .. } => {
                "fetch a fresh token right before signing".to_owned()
            }
            IdentityTokenError::NotYetValid { .. } => "check this machine's clock".to_owned(),
            IdentityTokenError::WrongAudience { expected, .. } => {
                format!("ask the issuer for a token with audience {expected:?}")
            }
            IdentityTokenError::EmailNotVerified { .. } => {
                "verify the address with the issuer first".to_owned()
            }
        })
    }
}

/// A token that has passed these checks.
#[derive(Debug, Clone)]
pub struct IdentityToken {
    raw: Secret,
    claims: Claims,
}

#[derive(Debug, Clone, Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<serde_json::Value>,
    #[serde(default)]
    federated_claims: Option<FederatedClaims>,
    #[serde(flatten)]
    rest: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct FederatedClaims {
    #[serde(default)]
    connector_id: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn all(&self) -> Vec<String> {
        match self {
            Audience::One(one) => vec![one.clone()],
            Audience::Many(many) => many.clone(),
        }
    }
}

const fn malformed<T>(reason: &'static str) -> Result<T, IdentityTokenError> {
    Err(IdentityTokenError::Malformed { reason })
}

impl IdentityToken {
    /// Reads a token and judges what a client can judge at this time.
    ///
    /// # Errors
    /// [`IdentityTokenError`].
    pub fn parse(raw: &Secret, audience: &str, now: UnixTime) -> Result<Self, IdentityTokenError> {
        let text = raw.expose().trim();
        if text.is_empty() {
            return malformed("it is empty");
        }
        if text.len() > limits::IDENTITY_TOKEN_LEN {
            return malformed("it is longer than 64 KiB");
        }
        let base64url = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() != 3 || !parts.iter().all(|part| base64url(part)) {
            return malformed("it is not three base64url parts joined by dots");
        }
        type Object = serde_json::Map<String, serde_json::Value>;
        let header = decode_base64(parts[0]);
        if header.is_none_or(|json| serde_json::from_slice::<Object>(&json).is_err()) {
            return malformed("its header is no JSON object");
        }
        let Ok(claims) = jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(text) else {
            return malformed("its claim set cannot be read, or lacks iss, aud or exp");
        };
        let token = IdentityToken {
            raw: Secret::new(text.to_owned()),
            claims,
        };
        token.judge(audience, now)?;
        Ok(token)
    }

    fn judge(&self, audience: &str, now: UnixTime) -> Result<(), IdentityTokenError> {
        let claims = &self.claims;
        let found = claims.aud.all();
        if !found.iter().any(|one| one == audience) {
            return Err(IdentityTokenError::WrongAudience {
                expected: audience.to_owned(),
                found,
            });
        }
        let time = |seconds: f64| UnixTime::from_seconds(seconds as i64);
        if time(claims.exp) <= now {
            return Err(IdentityTokenError::Expired {
                expired: time(claims.exp),
                now,
            });
        }
        // Issuers' clocks run ahead of ours by a little now and then; Fulcio has the last word.
        if let Some(not_before) = claims.nbf.map(time).filter(|t| *t > now.plus_seconds(60)) {
            return Err(IdentityTokenError::NotYetValid { not_before, now });
        }
        if let Some(email) = self.email() {
            let verified = match &claims.email_verified {
                Some(serde_json::Value::Bool(verified)) => *verified,
                Some(serde_json::Value::String(text)) => text.eq_ignore_ascii_case("true"),
                _ => false,
            };
            if !verified {
                return Err(IdentityTokenError::EmailNotVerified {
                    email: email.to_owned(),
                });
            }
        } else if claims.sub.as_deref().unwrap_or_default().is_empty() {
            return malformed("it has neither an email nor a sub claim");
        }
        Ok(())
    }

    fn email(&self) -> Option<&str> {
        self.claims
            .email
            .as_deref()
            .filter(|email| !email.is_empty())
    }

    /// Shows the token to the code that sends it to Fulcio.
    pub fn expose(&self) -> &str {
        self.raw.expose()
    }

    /// Returns the claim whose value proves possession of the key (`fulcio.proto`): the e-mail address where
    /// there is one, the subject otherwise.
    pub fn challenge(&self) -> &str {
        self.email()
            .or(self.claims.sub.as_deref())
            .unwrap_or_default()
    }

    /// Returns who the token speaks for, for people.
    pub fn subject(&self) -> &str {
        self.challenge()
    }

    /// Returns the issuers that the certificate may name: the token's own, or the upstream one that a
    /// federating issuer states (Fulcio, `docs/oidc.md`).
    pub fn certificate_issuers(&self) -> Vec<String> {
        let upstream = self
            .claims
            .federated_claims
            .as_ref()
            .and_then(|claims| claims.connector_id.clone());
        match upstream {
            Some(upstream) => vec![upstream, self.claims.iss.clone()],
            None => vec![self.claims.iss.clone()],
        }
    }

    /// Returns whether a certificate with this subject alternative name is one that this token earns
    /// (Fulcio, `docs/oidc.md`): its e-mail address, its subject, `subject!domain`, or its CI provider's or
    /// cluster's URI.
    pub fn may_be_certified_as(&self, identity: &str) -> bool {
        if let Some(email) = self.email() {
            return identity == email
                || self
                    .workload_identities()
                    .iter()
                    .any(|known| known == identity);
        }
        let sub = self.claims.sub.as_deref().unwrap_or_default();
        identity == sub
            || identity
                .strip_prefix(sub)
                .is_some_and(|rest| rest.len() > 1 && rest.starts_with('!'))
            || self
                .workload_identities()
                .iter()
                .any(|known| known == identity)
    }

    /// Identities that the templates of known CI providers and Kubernetes make of the claims.
    fn workload_identities(&self) -> Vec<String> {
        let claim = |name: &str| self.claims.rest.get(name).and_then(|value| value.as_str());
        let mut identities = Vec::new();
        if let Some(workflow) = claim("job_workflow_ref") {
            identities.push(format!("https://github.com/{workflow}"));
        }
        if let Some(config) = claim("ci_config_ref_uri") {
            identities.push(format!("https://{config}"));
        }
        if let (Some(organization), Some(pipeline)) =
            (claim("organization_slug"), claim("pipeline_slug"))
        {
            identities.push(format!("https://buildkite.com/{organization}/{pipeline}"));
        }
        if let (Some(account), Some(pipeline), Some(account_id), Some(pipeline_id)) = (
            claim("account_name"),
            claim("pipeline_name"),
            claim("account_id"),
            claim("pipeline_id"),
        ) {
            let platform = claim("platform_url").unwrap_or("https://g.codefresh.io");
            identities.push(format!(
                "{platform}/{account}/{pipeline}:{account_id}/{pipeline_id}"
            ));
        }
        if let (Some(project), Some(definition)) = (
            claim("oidc.circleci.com/project-id"),
            claim("oidc.circleci.com/pipeline-definition-id"),
        ) {
            identities.push(format!(
                "https://circleci.com/api/v2/projects/{project}/pipeline-definitions/{definition}"
            ));
        }
        if let Some(kubernetes) = self.claims.rest.get("kubernetes.io") {
            let namespace = kubernetes.get("namespace").and_then(|value| value.as_str());
            let account = kubernetes
                .pointer("/serviceaccount/name")
                .and_then(|value| value.as_str());
            if let (Some(namespace), Some(account)) = (namespace, account) {
                identities.push(format!(
                    "https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"
                ));
            }
        }
        identities
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW: UnixTime = UnixTime::from_seconds(1_700_000_000);

    fn token(claims: serde_json::Value) -> Secret {
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = serde_json::json!({"alg": "ES256", "typ": "JWT"});
        Secret::new(format!("{}.{}.c2ln\n", encode(&header), encode(&claims)))
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({
            "iss": "https://oidc.test", "aud": "sigstore", "sub": "user-1", "email": "dev@example.test",
            "email_verified": true, "iat": 1_699_999_990, "exp": 1_700_000_600,
        })
    }

    fn parse(claims: serde_json::Value) -> Result<IdentityToken, IdentityTokenError> {
        IdentityToken::parse(&token(claims), DEFAULT_AUDIENCE, NOW)
    }

    fn code(claims: serde_json::Value) -> &'static str {
        parse(claims).unwrap_err().code()
    }

    #[test]
    fn good_tokens() {
        let mut claims = claims();
        let email = parse(claims.clone()).unwrap();
        assert_eq!(email.challenge(), "dev@example.test");
        assert!(email.may_be_certified_as("dev@example.test"));
        assert!(!email.may_be_certified_as("user-1"));
        assert!(!email.may_be_certified_as("dev@example.tes"));
        claims["aud"] = serde_json::json!(["other", "sigstore"]);
        claims["email_verified"] = serde_json::json!("True");
        parse(claims.clone()).unwrap();
        claims["email"] = serde_json::Value::Null;
        claims["job_workflow_ref"] =
            serde_json::json!("o/r/.github/workflows/w.yml@refs/heads/main");
        let ci = parse(claims).unwrap();
        assert_eq!(ci.challenge(), "user-1");
        assert!(
            ci.may_be_certified_as(
                "https://github.com/o/r/.github/workflows/w.yml@refs/heads/main"
            )
        );
        assert!(ci.may_be_certified_as("user-1!example.test"));
        assert!(!ci.may_be_certified_as("user-1!"));
        assert!(!ci.may_be_certified_as("user-12"));
    }

    #[test]
    fn a_federated_token_names_its_upstream_issuer() {
        let mut claims = claims();
        claims["federated_claims"] = serde_json::json!({"connector_id": "https://accounts.test"});
        assert_eq!(
            parse(claims).unwrap().certificate_issuers()[0],
            "https://accounts.test"
        );
    }

    #[test]
    fn each_fault_has_its_code() {
        let with = |name: &str, value: serde_json::Value| {
            let mut claims = claims();
            claims[name] = value;
            code(claims)
        };
        assert_eq!(
            with("exp", serde_json::json!(1_700_000_000)),
            "identity-token-expired"
        );
        assert_eq!(
            with("nbf", serde_json::json!(1_700_000_061)),
            "identity-token-not-yet-valid"
        );
        assert_eq!(
            with("aud", serde_json::json!("sigstore2")),
            "identity-token-audience"
        );
        assert_eq!(
            with("aud", serde_json::json!([])),
            "identity-token-audience"
        );
        assert_eq!(
            with("email_verified", serde_json::json!(false)),
            "identity-token-email-not-verified"
        );
        assert_eq!(
            with("email_verified", serde_json::Value::Null),
            "identity-token-email-not-verified"
        );
        assert_eq!(
            with("iss", serde_json::Value::Null),
            "identity-token-malformed"
        );
        let mut anonymous = claims();
        anonymous["email"] = serde_json::json!("");
        anonymous["sub"] = serde_json::json!("");
        assert_eq!(code(anonymous), "identity-token-malformed");
        for bad in ["", "a.b", "a.b.c.d", "a.b.c", "a.b.", "a.b c.d"] {
            let refused = IdentityToken::parse(&Secret::new(bad.to_owned()), DEFAULT_AUDIENCE, NOW);
            assert_eq!(
                refused.unwrap_err().code(),
                "identity-token-malformed",
                "{bad}"
            );
        }
    }

    fn reason(text: &str) -> &'static str {
        match IdentityToken::parse(&Secret::new(text.to_owned()), DEFAULT_AUDIENCE, NOW) {
            Err(IdentityTokenError::Malformed { reason }) => reason,
            Err(other) => other.code(),
            Ok(_) => "",
        }
    }

    #[test]
    fn a_token_is_three_base64url_parts() {
        let good = token(claims()).expose().trim().to_owned();
        let (signed, _) = good.rsplit_once('.').unwrap();
        assert_eq!(reason(&format!("{signed}.a-b_c9ZA")), "");
        let parts = "it is not three base64url parts joined by dots";
        for signature in ["", "a+b/", "YQ==", "a b", "a.b", "-\u{e9}"] {
            assert_eq!(
                reason(&format!("{signed}.{signature}")),
                parts,
                "{signature:?}"
            );
        }
        assert_eq!(reason(signed), parts);
        assert_eq!(reason(""), "it is empty");
        assert_eq!(reason(" \n"), "it is empty");
        let (_, claims) = signed.split_once('.').unwrap();
        for header in ["bm90IGpzb24", "W10", "e30x", "A"] {
            let refused = reason(&format!("{header}.{claims}.c2ln"));
            assert_eq!(refused, "its header is no JSON object", "{header}");
        }
        let padded = |len: usize| format!("{good}{}", "A".repeat(len - good.len()));
        assert_eq!(reason(&padded(limits::IDENTITY_TOKEN_LEN)), "");
        let longer = padded(limits::IDENTITY_TOKEN_LEN + 1);
        assert_eq!(reason(&longer), "it is longer than 64 KiB");
    }

    #[test]
    fn clocks_may_differ_by_a_minute() {
        for (not_before, accepted) in [(0, true), (60, true), (61, false)] {
            let mut claims = claims();
            claims["nbf"] = serde_json::json!(NOW.seconds() + not_before);
            assert_eq!(parse(claims).is_ok(), accepted, "{not_before}");
        }
    }

    #[test]
    fn what_is_shown_is_the_token() {
        let secret = token(claims());
        let token = IdentityToken::parse(&secret, DEFAULT_AUDIENCE, NOW).unwrap();
        assert_eq!(token.expose(), secret.expose().trim());
        assert_eq!(token.subject(), "dev@example.test");
        assert_eq!(token.certificate_issuers(), ["https://oidc.test"]);
    }

    #[test]
    fn workloads_are_certified_by_their_claims() {
        let job = "o/r/.github/workflows/w.yml@refs/heads/main";
        let codefresh = serde_json::json!({
            "account_name": "a", "pipeline_name": "p/q", "account_id": "1", "pipeline_id": "2",
        });
        let mut hosted = codefresh.clone();
        hosted["platform_url"] = serde_json::json!("https://cf.test");
        for (more, identity) in [
            (
                serde_json::json!({"job_workflow_ref": job}),
                format!("https://github.com/{job}"),
            ),
            (
                serde_json::json!({"ci_config_ref_uri": "gitlab.test/g/p//.gitlab-ci.yml@refs/heads/main"}),
                "https://gitlab.test/g/p//.gitlab-ci.yml@refs/heads/main".to_owned(),
            ),
            (
                serde_json::json!({"organization_slug": "o", "pipeline_slug": "p"}),
                "https://buildkite.com/o/p".to_owned(),
            ),
            (codefresh, "https://g.codefresh.io/a/p/q:1/2".to_owned()),
            (hosted, "https://cf.test/a/p/q:1/2".to_owned()),
            (
                serde_json::json!({"oidc.circleci.com/project-id": "p", "oidc.circleci.com/pipeline-definition-id": "d"}),
                "https://circleci.com/api/v2/projects/p/pipeline-definitions/d".to_owned(),
            ),
            (
                serde_json::json!({"kubernetes.io": {"namespace": "n", "serviceaccount": {"name": "s"}}}),
                "https://kubernetes.io/namespaces/n/serviceaccounts/s".to_owned(),
            ),
        ] {
            let mut with_email = claims();
            let object = with_email.as_object_mut().unwrap();
            object.extend(more.as_object().unwrap().clone());
            let mut without = with_email.clone();
            without["email"] = serde_json::Value::Null;
            // One more workload, so that each is one of several.
            without["ci_config_ref_uri"] = with_email
                .get("ci_config_ref_uri")
                .cloned()
                .unwrap_or_else(|| serde_json::json!("another.test"));
            for claims in [with_email, without] {
                let token = parse(claims).unwrap();
                assert!(token.may_be_certified_as(&identity), "{identity}");
                assert!(!token.may_be_certified_as(&format!("{identity}x")));
                assert!(!token.may_be_certified_as("nobody"));
            }
        }
    }

    #[test]
    fn a_subject_is_certified_as_itself_or_with_a_domain() {
        let mut claims = claims();
        claims["email"] = serde_json::Value::Null;
        let token = parse(claims).unwrap();
        for earned in ["user-1", "user-1!d", "user-1!example.test"] {
            assert!(token.may_be_certified_as(earned), "{earned}");
        }
        for other in [
            "user", "user-12", "user-123", "user-1!", "!user-1", "x-user-1",
        ] {
            assert!(!token.may_be_certified_as(other), "{other}");
        }
    }
}
