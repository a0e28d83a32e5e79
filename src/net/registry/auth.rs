//! Credentials towards a registry: who may see what, and the tokens bought with them.
//!
//! The rules, in one place:
//! - nothing is sent before the registry's own 401;
//! - a password goes to the registry's origin (scheme, host, port), or to a token service that the
//!   registry names and [`realm_rule`] allows; a refresh token only to the latter;
//! - a token goes to the origin it was bought for, nowhere else, redirect or not;
//! - over plain HTTP only on loopback, or where the user allowed it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::{Host, Url};

use super::challenge::Challenge;
use super::error::RegistryError;
use super::reference::Repository;
use super::transport::Transport;
use crate::crypto::Secret;
use crate::host::registry_auth::{Credential, RegistryAuth};
use crate::net::error::{NetError, redacted};
use crate::net::http::{Reply, Request, is_loopback, is_this_machine, secret_header};

const SERVICE: &str = "registry token service";

/// What a request needs to be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Ask for the registry's root, which is in no repository.
    Root,
    /// Read.
    Pull,
    /// Read and write.
    PullPush,
    /// Read, write and delete.
    Delete,
}

impl Access {
    fn scope(self, repository: &Repository) -> String {
        let actions = match self {
            Access::Root => return String::new(),
            Access::Pull => "pull",
            Access::PullPush => "pull,push",
            Access::Delete => "pull,push,delete",
        };
        format!("repository:{}:{actions}", repository.name())
    }
}

/// Answers challenges and keeps what it got for it.
#[derive(Debug)]
pub(super) struct Authorizer {
    transport: Transport,
    auth: RegistryAuth,
    allow_http: bool,
    trusted_realms: Vec<String>,
    kept: Mutex<HashMap<Key, Kept>>,
    /// Held while a token is bought, so that a hundred requests refused at once buy one.
    buying: tokio::sync::Mutex<()>,
}

/// Tokens are kept per origin and scope.
type Key = (String, String);

#[derive(Debug, Clone)]
struct Kept {
    value: HeaderValue,
    /// When it is not used any longer; `None` for a password.
    until: Option<Instant>,
}

/// What a token service answers (distribution "token" specification, RFC 6749 section 5.1).
#[derive(Deserialize)]
struct TokenReply {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default, deserialize_with = "lifetime")]
    expires_in: Option<u64>,
}

/// Reads a lifetime in seconds. Services write text, fractions, negative numbers and numbers that no type holds; what
/// cannot be read is as if it were not there, and no reason to refuse a good token.
fn lifetime<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let said = Option::<Box<RawValue>>::deserialize(deserializer)?;
    Ok(said.and_then(|said| said.get().parse().ok()))
}

impl Authorizer {
    pub(super) fn new(
        transport: Transport,
        auth: RegistryAuth,
        allow_http: bool,
        trusted_realms: Vec<String>,
    ) -> Self {
        Authorizer {
            transport,
            auth,
            allow_http,
            trusted_realms,
            kept: Mutex::default(),
            buying: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the header for an origin if one is at hand; one that allows more will do.
    pub(super) fn at_hand(
        &self,
        origin: &Url,
        repository: &Repository,
        access: Access,
    ) -> Option<HeaderValue> {
        let kept = self.kept.lock().expect("nothing panics while holding it");
        [access, Access::PullPush].into_iter().find_map(|access| {
            let found = kept.get(&(origin.to_string(), access.scope(repository)))?;
            let fresh = found.until.is_none_or(|until| Instant::now() < until);
            fresh.then(|| found.value.clone())
        })
    }

    /// Answers the challenges of a 401. `refused` is the header that was refused, if one was sent.
    pub(super) async fn answer(
        &self,
        origin: &Url,
        repository: &Repository,
        access: Access,
        challenges: &[Challenge],
        refused: Option<&HeaderValue>,
        denied: &Reply,
    ) -> Result<HeaderValue, RegistryError> {
        let _turn = self.buying.lock().await;
        if let Some(value) = self.at_hand(origin, repository, access)
            && Some(&value) != refused
        {
            return Ok(value);
        }
        let credential = self
            .auth
            .credential_for(repository.host(), repository.name())
            .await?;
        let no_way = || RegistryError::Denied {
            repository: repository.to_string(),
            status: denied.status.as_u16(),
            with_credentials: !credential.is_anonymous(),
            message: match denied.error() {
                NetError::Status { message, .. } => message,
                _ => String::new(),
            },
        };
        let mut answered = None;
        for challenge in challenges {
            answered = match (challenge, &credential) {
                (Challenge::Bearer { .. }, Credential::RegistryToken(token)) => {
                    secret_header(&format!("Bearer {}", token.expose()))
                        .map(|value| Kept { value, until: None })
                }
                (Challenge::Bearer { realm, service }, credential) => Some(
                    self.buy(
                        origin,
                        repository,
                        access,
                        realm,
                        service.as_deref(),
                        credential,
                    )
                    .await?,
                ),
                (Challenge::Basic, Credential::Basic { username, password }) => Some(Kept {
                    value: basic(username, password).ok_or_else(no_way)?,
                    until: None,
                }),
                (Challenge::Basic, _) => None,
            };
            if answered.is_some() {
                break;
            }
        }
        let kept = answered.ok_or_else(no_way)?;
        if Some(&kept.value) == refused {
            return Err(no_way());
        }
        let value = kept.value.clone();
        self.kept
            .lock()
            .expect("nothing panics while holding it")
            .insert((origin.to_string(), access.scope(repository)), kept);
        Ok(value)
    }

    /// Buys a token from the service the registry names.
    async fn buy(
        &self,
        origin: &Url,
        repository: &Repository,
        access: Access,
        realm: &str,
        service: Option<&str>,
        credential: &Credential,
    ) -> Result<Kept, RegistryError> {
        let foreign = |shown: String, rule| RegistryError::ForeignRealm {
            registry: repository.registry().to_owned(),
            realm: shown,
            rule,
        };
        let mut url: Url = realm
            .parse()
            .map_err(|_| foreign("an unreadable URL".to_owned(), "the realm must be a URL"))?;
        match realm_rule(origin, &url, self.allow_http, &self.trusted_realms) {
            RealmRule::Refused(rule) => return Err(foreign(redacted(&url), rule)),
            RealmRule::AnonymousOnly(rule) if !credential.is_anonymous() => {
                return Err(foreign(redacted(&url), rule));
            }
            RealmRule::AnonymousOnly(_) | RealmRule::Credentials => {}
        }
        let scope = access.scope(repository);
        let request = match credential {
            Credential::IdentityToken(token) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                form.append_pair("grant_type", "refresh_token")
                    .append_pair("service", service.unwrap_or_default())
                    .append_pair("client_id", "keyless");
                if !scope.is_empty() {
                    form.append_pair("scope", &scope);
                }
                let form = form.append_pair("refresh_token", token.expose()).finish();
                Request::post(SERVICE, url, "application/x-www-form-urlencoded", form).secret(token)
            }
            _ => {
                if let Some(service) = service {
                    url.query_pairs_mut().append_pair("service", service);
                }
                if !scope.is_empty() {
                    url.query_pairs_mut().append_pair("scope", &scope);
                }
                let request = Request::get(SERVICE, url);
                match credential {
                    Credential::Basic { username, password } => {
                        let value =
                            basic(username, password).ok_or_else(|| RegistryError::Denied {
                                repository: repository.to_string(),
                                status: 401,
                                with_credentials: true,
                                message: String::new(),
                            })?;
                        request.header(AUTHORIZATION, value)
                    }
                    _ => request,
                }
            }
        };
        let reply = self.transport.send(origin, request).await?;
        if matches!(reply.status.as_u16(), 400 | 401 | 403) {
            let message = match reply.error() {
                NetError::Status { message, .. } => message,
                _ => String::new(),
            };
            return Err(RegistryError::Denied {
                repository: repository.to_string(),
                status: reply.status.as_u16(),
                with_credentials: !credential.is_anonymous(),
                message,
            });
        }
        let reply = reply.success()?;
        let answer: TokenReply = reply.json("a token")?;
        let token = answer
            .token
            .filter(|token| !token.is_empty())
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| reply.bad("a token", "neither token nor access_token"))?;
        let token = Secret::new(token);
        let value = secret_header(&format!("Bearer {}", token.expose()))
            .ok_or_else(|| reply.bad("a token", "a token with control characters"))?;
        Ok(Kept {
            value,
            until: Some(Instant::now() + usable_for(answer.expires_in)),
        })
    }
}

/// How long a token is used: a quarter of its life, but at most ten seconds, is left for requests
/// under way. The token specification sets 60 s where nothing is said, and at most a day is believed.
fn usable_for(expires_in: Option<u64>) -> Duration {
    let seconds = expires_in.filter(|s| *s > 0).unwrap_or(60).min(86_400);
    let life = Duration::from_secs(seconds);
    life - (life / 4).min(Duration::from_secs(10))
}

fn basic(username: &str, password: &Secret) -> Option<HeaderValue> {
    let joined = Secret::new(format!("{username}:{}", password.expose()));
    let encoded = Secret::new(STANDARD.encode(joined.expose()));
    secret_header(&format!("Basic {}", encoded.expose()))
}

/// What may be sent to a token service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RealmRule {
    /// The registry's credentials.
    Credentials,
    /// A request without credentials only; says why.
    AnonymousOnly(&'static str),
    /// Nothing at all; says why.
    Refused(&'static str),
}

/// Decides about a token service a registry names.
///
/// Credentials go to the registry's own host; over HTTPS to a host of the same site (`auth.` and
/// `registry.` of one domain) or one the user trusts; never over plain HTTP to another host. A
/// registry elsewhere cannot make us talk to loopback, nor to plain HTTP.
fn realm_rule(registry: &Url, realm: &Url, allow_http: bool, trusted: &[String]) -> RealmRule {
    let (Some(registry_host), Some(realm_host)) = (registry.host(), realm.host()) else {
        return RealmRule::Refused("the realm must be a URL with a host");
    };
    if is_this_machine(realm) && !is_this_machine(registry) {
        return RealmRule::Refused("a registry elsewhere may not name a token service on loopback");
    }
    let same_host = registry_host == realm_host;
    match realm.scheme() {
        "http" if registry.scheme() != "http" => {
            RealmRule::Refused("the token service of an https registry must use https")
        }
        "http" if same_host && (is_loopback(realm) || allow_http) => RealmRule::Credentials,
        "http" if is_loopback(realm) => {
            RealmRule::AnonymousOnly("credentials go to another host over https only")
        }
        "http" => RealmRule::Refused("a token service on another host must use https"),
        "https" if same_host || same_site(&registry_host, &realm_host) => RealmRule::Credentials,
        "https" if trusted.iter().any(|host| realm.host_str() == Some(host)) => {
            RealmRule::Credentials
        }
        "https" => RealmRule::AnonymousOnly(
            "credentials go to the registry's own site, or to token services that are trusted by name",
        ),
        _ => RealmRule::Refused("the realm must be an https URL"),
    }
}

/// Returns whether two names are under one domain, judged without a list of public suffixes: one is
/// the other's parent domain, or both have the same parent. A parent has at least two labels, and
/// three where it looks like `co.uk`.
fn same_site(one: &Host<&str>, other: &Host<&str>) -> bool {
    let (Host::Domain(one), Host::Domain(other)) = (one, other) else {
        return false;
    };
    let is_site = |name: &str| match name.split('.').collect::<Vec<_>>().as_slice() {
        [] | [_] => false,
        [second, top] => {
            top.len() != 2 || !["ac", "co", "com", "edu", "gov", "net", "org"].contains(second)
        }
        _ => true,
    };
    let within = |name: &str, site: &str| {
        is_site(site)
            && name
                .strip_suffix(site)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let parent = |name: &str| name.split_once('.').map(|(_, parent)| parent.to_owned());
    within(one, other)
        || within(other, one)
        || parent(one).is_some_and(|parent| within(other, &parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(registry: &str, realm: &str, allow_http: bool) -> RealmRule {
        realm_rule(
            &registry.parse().unwrap(),
            &realm.parse().unwrap(),
            allow_http,
            &["login.example.org".to_owned()],
        )
    }

    #[test]
    fn cve_2019_10214_credentials_stay_on_the_registrys_site() {
        let registry = "https://registry.example.test/";
        for own in [
            "https://registry.example.test/token",
            "https://registry.example.test:8443/token",
            "https://auth.example.test/token",
            "https://example.test/jwt/auth",
            "https://login.example.org/token",
        ] {
            assert_eq!(rule(registry, own, false), RealmRule::Credentials, "{own}");
        }
        for foreign in [
            "https://evil.test/token",
            "https://registry.example.test.evil.test/token",
            "https://evilexample.test/token",
            "https://sub.login.example.org/token",
        ] {
            assert!(
                matches!(rule(registry, foreign, false), RealmRule::AnonymousOnly(_)),
                "{foreign}"
            );
        }
        for never in [
            "http://registry.example.test/token",
            "http://127.0.0.1/token",
            "https://localhost/token",
            "ftp://registry.example.test/token",
            "data:text/plain,x",
        ] {
            for allow_http in [false, true] {
                assert!(
                    matches!(rule(registry, never, allow_http), RealmRule::Refused(_)),
                    "{never}"
                );
            }
        }
    }

    #[test]
    fn plain_http_is_for_loopback_and_where_allowed() {
        let loopback = "http://127.0.0.1:5000/";
        assert_eq!(
            rule(loopback, "http://127.0.0.1:5001/t", false),
            RealmRule::Credentials
        );
        assert!(matches!(
            rule(loopback, "http://localhost:5000/t", false),
            RealmRule::AnonymousOnly(_)
        ));
        let plain = "http://r.example.test/";
        assert_eq!(
            rule(plain, "http://r.example.test/t", true),
            RealmRule::Credentials
        );
        assert!(matches!(
            rule(plain, "http://r.example.test/t", false),
            RealmRule::Refused(_)
        ));
        assert!(matches!(
            rule(plain, "http://auth.example.test/t", true),
            RealmRule::Refused(_)
        ));
    }

    #[test]
    fn a_public_suffix_is_no_site() {
        for (one, other, same) in [
            ("registry.example.test", "auth.example.test", true),
            ("example.test", "auth.example.test", true),
            ("one.test", "other.test", false),
            ("shop.co.uk", "evil.co.uk", false),
            ("r.shop.co.uk", "auth.shop.co.uk", true),
            ("registry.test", "test", false),
        ] {
            let hosts = (Host::Domain(one), Host::Domain(other));
            assert_eq!(same_site(&hosts.0, &hosts.1), same, "{one} {other}");
            assert_eq!(same_site(&hosts.1, &hosts.0), same, "{other} {one}");
        }
        let address = Host::Ipv4("192.0.2.1".parse().unwrap());
        assert!(!same_site(&address, &Host::Domain("2.1")));
    }

    #[test]
    fn a_lifetime_that_cannot_be_read_is_the_default() {
        for (said, seconds) in [
            (r#","expires_in":300"#, Some(300)),
            (r#","expires_in":18446744073709551615"#, Some(u64::MAX)),
            ("", None),
            (r#","expires_in":null"#, None),
            (r#","expires_in":"300""#, None),
            (r#","expires_in":299.5"#, None),
            (r#","expires_in":3e2"#, None),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":18446744073709551616"#, None),
            (r#","expires_in":1e999"#, None),
            (r#","expires_in":[300]"#, None),
            (r#","expires_in":true,"issued_at":{"x":1}"#, None),
        ] {
            let text = format!("{{\"token\":\"t\"{said}}}");
            let reply: TokenReply = serde_json::from_str(&text).unwrap();
            assert_eq!(reply.expires_in, seconds, "{text}");
        }
    }

    #[test]
    fn tokens_are_left_before_they_end() {
        assert_eq!(usable_for(None), Duration::from_secs(50));
        assert_eq!(usable_for(Some(4)), Duration::from_secs(3));
        assert_eq!(usable_for(Some(0)), Duration::from_secs(50));
        assert_eq!(usable_for(Some(u64::MAX)), Duration::from_secs(86_390));
    }
}
