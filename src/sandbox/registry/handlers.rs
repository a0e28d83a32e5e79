//! The endpoints of distribution-spec 1.1.

mod blobs;
mod lists;
mod manifests;
mod manners;
mod table;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

pub use table::{HANDLERS, Handler};

use super::{LOG_LIMIT, RegistryRequest, SandboxRegistry, lock};
use crate::crypto::Digest;

/// Largest manifest, as distribution-spec asks registries to accept.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// Makes an error of the distribution-spec.
pub(super) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
    (status, axum::Json(body)).into_response()
}

fn not_found(code: &str) -> Response {
    refuse(StatusCode::NOT_FOUND, code, "not known to this registry")
}

/// What a path asks for.
enum Endpoint<'a> {
    Base,
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, u64),
    Referrers(&'a str, &'a str),
    Tags(&'a str),
    Token,
}

impl<'a> Endpoint<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        if path == "/token" {
            return Some(Endpoint::Token);
        }
        let rest = path.strip_prefix("/v2/")?;
        if rest.is_empty() {
            return Some(Endpoint::Base);
        }
        let split = |word: &str| {
            let (name, last) = rest.rsplit_once(word)?;
            (is_name(name) && !last.contains('/')).then_some((name, last))
        };
        if let Some((name, id)) = split("/blobs/uploads/") {
            return match id {
                "" => Some(Endpoint::Uploads(name)),
                id => Some(Endpoint::Upload(name, id.parse().ok()?)),
            };
        }
        if let Some(name) = rest.strip_suffix("/blobs/uploads").filter(|n| is_name(n)) {
            return Some(Endpoint::Uploads(name));
        }
        if let Some(name) = rest.strip_suffix("/tags/list").filter(|n| is_name(n)) {
            return Some(Endpoint::Tags(name));
        }
        if let Some((name, reference)) = split("/manifests/") {
            return Some(Endpoint::Manifest(name, reference));
        }
        if let Some((name, digest)) = split("/blobs/") {
            return Some(Endpoint::Blob(name, digest));
        }
        let (name, digest) = split("/referrers/")?;
        Some(Endpoint::Referrers(name, digest))
    }

    fn repository(&self) -> &'a str {
        match self {
            Endpoint::Base | Endpoint::Token => "",
            Endpoint::Manifest(name, _)
            | Endpoint::Blob(name, _)
            | Endpoint::Uploads(name)
            | Endpoint::Upload(name, _)
            | Endpoint::Referrers(name, _)
            | Endpoint::Tags(name) => name,
        }
    }
}

/// The grammar of repository names, which also keeps them harmless as paths.
fn is_name(name: &str) -> bool {
    name.len() <= 255
        && name.split('/').all(|part| {
            let ends = [part.bytes().next(), part.bytes().last()];
            ends.iter()
                .all(|b| b.is_some_and(|b| b.is_ascii_alphanumeric()))
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

/// What the faults ask for, for one request.
#[derive(Clone, Copy)]
struct Strikes {
    lose_reply: bool,
    wrong_digest_header: bool,
    wrong_content: bool,
}

/// Answers one request, faults and log included.
pub(super) async fn serve(registry: &SandboxRegistry, request: Request) -> Response {
    let method = request.method().clone();
    let path = request.uri().to_string();
    let authorization = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(' ').next().unwrap_or_default().to_owned());
    let delay = lock(&registry.faults).delay;
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let (strikes, answer) = registry.strike(&method);
    let response = match answer {
        Some(answer) => answer,
        None => registry.answer(request, &strikes).await,
    };
    let mut log = lock(&registry.log);
    if log.len() >= LOG_LIMIT {
        log.pop_front();
    }
    log.push_back(RegistryRequest {
        method: method.to_string(),
        path,
        authorization,
        status: response.status().as_u16(),
    });
    drop(log);
    if strikes.lose_reply {
        // A body that fails makes the server drop the connection.
        let lost = futures_util::stream::once(async {
            Err::<Bytes, _>(std::io::Error::other("reply lost by request"))
        });
        return Response::new(Body::from_stream(lost));
    }
    response
}

impl SandboxRegistry {
    fn strike(&self, method: &Method) -> (Strikes, Option<Response>) {
        let mut faults = lock(&self.faults);
        let mut take = |count: fn(&mut super::RegistryFaults) -> &mut u32| {
            let count = count(&mut faults);
            let strikes = *count > 0;
            *count = count.saturating_sub(1);
            strikes
        };
        let writes = !matches!(*method, Method::GET | Method::HEAD);
        let answer = if take(|f| &mut f.throttle) {
            let mut slow = refuse(
                StatusCode::TOO_MANY_REQUESTS,
                "TOOMANYREQUESTS",
                "slow down",
            );
            slow.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            Some(slow)
        } else if take(|f| &mut f.fail) {
            Some(refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "UNKNOWN",
                "out of order by request",
            ))
        } else {
            None
        };
        let strikes = Strikes {
            lose_reply: answer.is_none() && writes && take(|f| &mut f.lose_reply),
            wrong_digest_header: faults.wrong_digest_header,
            wrong_content: faults.wrong_content,
        };
        (strikes, answer)
    }

    async fn answer(&self, request: Request, strikes: &Strikes) -> Response {
        let (parts, body) = request.into_parts();
        let Some(endpoint) = Endpoint::parse(parts.uri.path()) else {
            return not_found("NAME_INVALID");
        };
        if !matches!(endpoint, Endpoint::Token)
            && let Some(refusal) =
                self.check_access(&parts.method, endpoint.repository(), &parts.headers)
        {
            return refusal;
        }
        let query = parts.uri.query().unwrap_or_default();
        let handler = Handler::of(&endpoint, &parts.method, query);
        let handler = handler.filter(|handler| !lock(&self.without).contains(handler));
        let Some(handler) = handler else {
            return refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "method not allowed",
            );
        };
        let limit = match endpoint {
            Endpoint::Uploads(_) | Endpoint::Upload(..) => self.mode.max_blob,
            _ => MAX_MANIFEST,
        };
        let Ok(body) = to_bytes(body, limit).await else {
            let message = format!("more than {limit} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", &message);
        };
        let headers = &parts.headers;
        if let Some(response) = self.in_its_manner(handler, headers, &body) {
            return response;
        }
        let outcome = match (handler, endpoint) {
            (Handler::Root, _) => Ok(axum::Json(serde_json::json!({})).into_response()),
            (Handler::TokenSale | Handler::TokenGrant, _) => {
                Ok(self.sell_token(&parts.method, query, headers, &body))
            }
            (Handler::ManifestGet | Handler::ManifestHead, Endpoint::Manifest(name, to)) => {
                Ok(self.get_manifest(name, to, strikes))
            }
            (Handler::ManifestPut, Endpoint::Manifest(name, to)) => {
                self.put(name, to, headers, body)
            }
            (Handler::ManifestDelete, Endpoint::Manifest(name, to)) => {
                self.delete_manifest(name, to)
            }
            (Handler::BlobGet | Handler::BlobHead, Endpoint::Blob(name, digest)) => {
                Ok(self.get_blob(name, digest, strikes))
            }
            (Handler::BlobDelete, Endpoint::Blob(name, digest)) => self.delete_blob(name, digest),
            (
                Handler::BlobMount | Handler::BlobPost | Handler::UploadPost,
                Endpoint::Uploads(name),
            ) => self.begin(name, query, headers, body),
            (Handler::UploadPatch, Endpoint::Upload(name, id)) => {
                self.append(name, id, headers, &body)
            }
            (Handler::UploadPut, Endpoint::Upload(name, id)) => self.finish(name, id, query, &body),
            (Handler::ReferrersGet, Endpoint::Referrers(name, digest))
                if self.mode.referrers_api =>
            {
                Ok(self.list_referrers(name, digest, query))
            }
            (Handler::TagsGet, Endpoint::Tags(name)) => Ok(self.list_tags(name, query)),
            // The referrers of a registry that is of the time before them.
            _ => Ok(StatusCode::NOT_FOUND.into_response()),
        };
        let mut response = outcome.unwrap_or_else(|e| {
            let full = e.kind() == std::io::ErrorKind::StorageFull;
            let status = if full {
                StatusCode::INSUFFICIENT_STORAGE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            refuse(status, "UNKNOWN", &e.to_string())
        });
        self.with_manners(&mut response, headers);
        response
    }
}

fn content(digest: &Digest, content: &Bytes, media_type: &str, strikes: &Strikes) -> Response {
    let mut body = content.to_vec();
    if let (true, Some(last)) = (strikes.wrong_content, body.last_mut()) {
        *last ^= 1;
    }
    let announced = if strikes.wrong_digest_header {
        Digest::sha256(b"something else")
    } else {
        *digest
    };
    let mut response = Response::new(Body::from(body));
    set(&mut response, header::CONTENT_TYPE, media_type);
    set(&mut response, DOCKER_CONTENT_DIGEST, &announced.to_string());
    response
}

/// Sets a header; text that cannot stand in one is left out.
fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_by_their_last_words() {
        let repository = |path: &str| Endpoint::parse(path).map(|e| e.repository().to_owned());
        assert_eq!(repository("/v2/").as_deref(), Some(""));
        assert_eq!(repository("/v2/a/b/manifests/v1").as_deref(), Some("a/b"));
        assert_eq!(
            repository("/v2/blobs/manifests/blobs/sha256:00").as_deref(),
            Some("blobs/manifests")
        );
        assert!(matches!(
            Endpoint::parse("/v2/a/blobs/uploads/"),
            Some(Endpoint::Uploads("a"))
        ));
        assert!(matches!(
            Endpoint::parse("/v2/a/blobs/uploads/7"),
            Some(Endpoint::Upload("a", 7))
        ));
        for none in [
            "/",
            "/v2/../manifests/x",
            "/v2/a",
            "/v2/A/tags/list",
            "/v2/_tags/tags/list",
            "/v2//manifests/x",
        ] {
            assert_eq!(repository(none), None, "{none}");
        }
    }
}
