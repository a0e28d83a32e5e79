//! The client itself: one place where requests get their credentials and redirects are judged.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use reqwest::header::{AUTHORIZATION, LOCATION};
use url::Url;

use super::RegistryOptions;
use super::auth::{Access, Authorizer};
use super::challenge::challenges;
use super::error::RegistryError;
use super::reference::{DigestReference, Repository};
use super::transport::Transport;
use crate::host::registry_auth::RegistryAuth;
use crate::net::error::{NetError, redacted};
use crate::net::http::{
    HttpClient, Method, Reply, Request, RetryPolicy, is_this_machine, same_origin,
};

pub(super) const SERVICE: &str = "registry";

/// Redirects followed for one object; real registries use one.
const MAX_REDIRECTS: usize = 5;

/// A client for all registries of one invocation; cheap to clone, all clones share connections and
/// tokens. Every method may be called concurrently.
#[derive(Clone)]
pub struct RegistryClient(Arc<Inner>, Beside);

/// Where what is attached is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// Where the user wants it.
    AsNamed,
    /// With the image, whatever the user named.
    TheImage,
}

struct Inner {
    transport: Transport,
    options: RegistryOptions,
    authorizer: Authorizer,
    /// Scheme of hosts where it had to be found out.
    schemes: Mutex<HashMap<String, &'static str>>,
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RegistryClient(..)")
    }
}

impl RegistryClient {
    /// Makes a client; nothing is read or opened yet.
    pub fn new(http: HttpClient, auth: RegistryAuth, options: RegistryOptions) -> Self {
        let transport = Transport::new(http, options.tls.as_ref());
        let inner = Inner {
            authorizer: Authorizer::new(
                transport.clone(),
                auth,
                options.allow_http,
                options.trusted_realms.clone(),
            ),
            transport,
            options,
            schemes: Mutex::default(),
        };
        RegistryClient(Arc::new(inner), Beside::AsNamed)
    }

    /// Returns this client for a place to which things are copied: what is attached comes to be with its image
    /// there, wherever the user keeps it here.
    pub fn beside_images(&self) -> Self {
        RegistryClient(Arc::clone(&self.0), Beside::TheImage)
    }

    /// Returns the options it was made with.
    pub fn options(&self) -> &RegistryOptions {
        &self.0.options
    }

    /// Returns the repository in which what is attached to images of this one is kept: all that is attached,
    /// looked for, listed and fetched is there. It is the image's own unless the user named another.
    pub fn signatures_of(&self, repository: &Repository) -> Repository {
        let other = match self.1 {
            Beside::AsNamed => self.0.options.signature_repository.as_ref(),
            Beside::TheImage => None,
        };
        other.unwrap_or(repository).clone()
    }

    /// Names a digest in the repository where what is attached to it is kept.
    pub(super) fn in_signature_repository(&self, subject: &DigestReference) -> DigestReference {
        DigestReference::new(self.signatures_of(subject.repository()), subject.digest())
    }

    /// Returns the URL of something in a repository; `path` starts after the repository's name.
    pub(super) async fn url(
        &self,
        repository: &Repository,
        path: &str,
    ) -> Result<Url, RegistryError> {
        let origin = self.origin(repository).await?;
        origin
            .join(&format!("/v2/{}/{path}", repository.name()))
            .map_err(|e| RegistryError::Reference {
                found: repository.to_string(),
                cause: e.to_string(),
            })
    }

    /// Makes a request with this client's time limit and the cap of manifests.
    pub(super) fn request(&self, method: Method, url: Url) -> Request {
        Request::new(SERVICE, method, url)
            .timeout(self.0.options.timeout)
            .limit(self.0.options.limits.manifest)
    }

    /// HTTP on loopback, HTTPS elsewhere. Where plain HTTP is allowed, HTTPS is tried first, once, so
    /// that allowing it for one registry does not expose the credentials of the others. On loopback it is tried
    /// where the user said something about TLS, and plain HTTP is not where that says that TLS is wanted.
    pub(super) async fn origin(&self, repository: &Repository) -> Result<Url, RegistryError> {
        let (http, https) = (repository.origin("http")?, repository.origin("https")?);
        match (repository.is_loopback(), &self.0.options.tls) {
            (true, None) => return Ok(http),
            (true, Some(tls)) if tls.required => return Ok(https),
            (true, Some(_)) => {}
            (false, _) if !self.0.options.allow_http => return Ok(https),
            (false, _) => {}
        }
        let schemes = || {
            self.0
                .schemes
                .lock()
                .expect("nothing panics while holding it")
        };
        let known = schemes().get(repository.host()).copied();
        if let Some(scheme) = known {
            return repository.origin(scheme);
        }
        let probe = self
            .request(Method::GET, https.join("/v2/").unwrap_or(https.clone()))
            .retry(RetryPolicy::Never);
        let found = match self.0.transport.send(&https, probe).await {
            // A certificate is what only a host that speaks TLS has: one that is not believed is no reason to go
            // on without.
            Err(NetError::Unreachable { cause, .. }) if !is_about_certificate(&cause) => "http",
            _ => "https",
        };
        let scheme = *schemes()
            .entry(repository.host().to_owned())
            .or_insert(found);
        repository.origin(scheme)
    }

    /// Sends a request: credentials to the registry's own origin only, redirects of GET and HEAD
    /// followed without credentials once they leave it. Returns replies of every status but 401 and
    /// 403, which are errors: "not allowed to look" is never "not there".
    pub(super) async fn send(
        &self,
        repository: &Repository,
        access: Access,
        mut request: Request,
    ) -> Result<Reply, RegistryError> {
        let origin = self.origin(repository).await?;
        let mut own = true;
        for _ in 0..=MAX_REDIRECTS {
            own = own && same_origin(&origin, &request.url);
            let reply = if own {
                self.send_authorized(&origin, repository, access, &request)
                    .await?
            } else {
                self.0.transport.send(&origin, request.clone()).await?
            };
            if matches!(reply.status.as_u16(), 401 | 403) {
                return Err(RegistryError::Denied {
                    repository: repository.to_string(),
                    status: reply.status.as_u16(),
                    with_credentials: own
                        && self
                            .0
                            .authorizer
                            .at_hand(&origin, repository, access)
                            .is_some(),
                    message: match reply.error() {
                        NetError::Status { message, .. } => message,
                        _ => String::new(),
                    },
                });
            }
            let follows = request.method == Method::GET || request.method == Method::HEAD;
            if !follows || !matches!(reply.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(reply);
            }
            request.url = self.follow("redirect", &request.url, &reply)?;
        }
        Err(RegistryError::TooMany {
            what: "redirects",
            limit: MAX_REDIRECTS,
        })
    }

    /// Returns whether the registry's root was asked for with an answer to its challenge.
    pub(super) fn is_authorized(&self, origin: &Url, registry: &Repository) -> bool {
        let authorizer = &self.0.authorizer;
        authorizer.at_hand(origin, registry, Access::Root).is_some()
    }

    async fn send_authorized(
        &self,
        origin: &Url,
        repository: &Repository,
        access: Access,
        request: &Request,
    ) -> Result<Reply, RegistryError> {
        let authorizer = &self.0.authorizer;
        let mut header = authorizer.at_hand(origin, repository, access);
        // Twice: a kept token may have been refused, and the answer to that may be too.
        for _ in 0..2 {
            let reply = self.send_with(origin, request, header.clone()).await?;
            if reply.status.as_u16() != 401 {
                return Ok(reply);
            }
            let asked = challenges(&reply.headers);
            if asked.is_empty() {
                return Ok(reply);
            }
            header = Some(
                authorizer
                    .answer(origin, repository, access, &asked, header.as_ref(), &reply)
                    .await?,
            );
        }
        Ok(self.send_with(origin, request, header).await?)
    }

    async fn send_with(
        &self,
        origin: &Url,
        request: &Request,
        header: Option<reqwest::header::HeaderValue>,
    ) -> Result<Reply, NetError> {
        let mut request = request.clone();
        if let Some(value) = header {
            request.headers.insert(AUTHORIZATION, value);
        }
        self.0.transport.send(origin, request).await
    }

    /// Returns where a `Location` leads, if it may be followed from `from`.
    pub(super) fn follow(
        &self,
        what: &'static str,
        from: &Url,
        reply: &Reply,
    ) -> Result<Url, RegistryError> {
        let location = reply
            .header(LOCATION)
            .ok_or_else(|| reply.bad("a Location header", "none"))?;
        let to = from
            .join(location)
            .map_err(|e| reply.bad("a Location header", &e.to_string()))?;
        check_step(what, from, &to)?;
        Ok(to)
    }
}

/// Returns whether a connection broke over the server's certificate, by the words of the TLS library.
pub(super) fn is_about_certificate(cause: &str) -> bool {
    cause.contains("peer certificate")
}

/// Refuses steps that leave HTTPS, or that lead from elsewhere to this machine.
fn check_step(what: &'static str, from: &Url, to: &Url) -> Result<(), RegistryError> {
    let refuse = |rule| {
        Err(RegistryError::Unfollowed {
            what,
            from: redacted(from),
            to: redacted(to),
            rule,
        })
    };
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return refuse("https is not left for http"),
        _ => return refuse("only http and https are followed"),
    }
    if is_this_machine(to) && !is_this_machine(from) {
        return refuse("a registry elsewhere may not lead to loopback");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Diagnostic as _;

    #[test]
    fn steps_never_get_less_safe() {
        let step = |from: &str, to: &str| {
            check_step("redirect", &from.parse().unwrap(), &to.parse().unwrap())
        };
        for (from, to) in [
            ("https://r.example.test/a", "https://cdn.example.org/b"),
            ("http://127.0.0.1:5000/a", "http://127.0.0.1:5001/b"),
            ("http://r.example.test/a", "http://cdn.example.test/b"),
        ] {
            assert!(step(from, to).is_ok(), "{from} {to}");
        }
        for (from, to) in [
            ("https://r.example.test/a", "http://r.example.test/a"),
            ("https://r.example.test/a", "https://localhost/a"),
            ("https://r.example.test/a", "https://[::1]/a"),
            ("https://r.example.test/a", "https://0.0.0.0/a"),
            ("https://r.example.test/a", "https://[::]/a"),
            ("https://r.example.test/a", "https://2130706433/a"),
            ("https://r.example.test/a", "https://a.localhost/a"),
            ("http://127.0.0.1/a", "file:///etc/passwd"),
        ] {
            let error = step(from, to).unwrap_err();
            assert_eq!(error.code(), "registry-location-refused", "{from} {to}");
        }
    }

    #[tokio::test]
    async fn https_is_the_rule_off_loopback() {
        let client = RegistryClient::new(
            HttpClient::new(),
            RegistryAuth::anonymous(),
            RegistryOptions::default(),
        );
        for (repository, url) in [
            ("r.example.test/a", "https://r.example.test/v2/a/x"),
            ("localhost:5000/a/b", "http://localhost:5000/v2/a/b/x"),
            ("127.0.0.1:5000/a", "http://127.0.0.1:5000/v2/a/x"),
            (
                "localhost.example.test/a",
                "https://localhost.example.test/v2/a/x",
            ),
        ] {
            let repository: Repository = repository.parse().unwrap();
            assert_eq!(client.url(&repository, "x").await.unwrap().as_str(), url);
        }
    }
}
