//! The endpoints of distribution-spec 1.1.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::disk::file_name;
use super::{LOG_LIMIT, RegistryRequest, SandboxRegistry, lock};
use crate::crypto::Digest;
use crate::format::oci::{Document, OCI_INDEX};

/// Largest manifest, as distribution-spec asks registries to accept.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
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
        let limit = match endpoint {
            Endpoint::Uploads(_) | Endpoint::Upload(..) => self.mode.max_blob,
            _ => MAX_MANIFEST,
        };
        let Ok(body) = to_bytes(body, limit).await else {
            let message = format!("more than {limit} bytes");
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID", &message);
        };
        let query = parts.uri.query().unwrap_or_default();
        let headers = &parts.headers;
        let method = &parts.method;
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let outcome = match endpoint {
            Endpoint::Base => Ok(axum::Json(serde_json::json!({})).into_response()),
            Endpoint::Token => Ok(self.sell_token(method, query, headers, &body)),
            Endpoint::Manifest(name, to) if reads => Ok(self.get_manifest(name, to, strikes)),
            Endpoint::Manifest(name, to) if method == Method::PUT => {
                self.put(name, to, headers, body)
            }
            Endpoint::Manifest(name, to) if method == Method::DELETE => {
                self.delete_manifest(name, to)
            }
            Endpoint::Blob(name, digest) if reads => Ok(self.get_blob(name, digest, strikes)),
            Endpoint::Blob(name, digest) if method == Method::DELETE => {
                self.delete_blob(name, digest)
            }
            Endpoint::Uploads(name) if method == Method::POST => {
                self.begin(name, query, headers, body)
            }
            Endpoint::Upload(name, id) if method == Method::PATCH => {
                self.append(name, id, headers, &body)
            }
            Endpoint::Upload(name, id) if method == Method::PUT => {
                self.finish(name, id, query, &body)
            }
            Endpoint::Referrers(name, digest) if reads && self.mode.referrers_api => {
                Ok(self.list_referrers(name, digest, query))
            }
            Endpoint::Referrers(..) => Ok(StatusCode::NOT_FOUND.into_response()),
            Endpoint::Tags(name) if reads => Ok(self.list_tags(name, query)),
            _ => Ok(refuse(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "method not allowed",
            )),
        };
        outcome.unwrap_or_else(|e| {
            let full = e.kind() == std::io::ErrorKind::StorageFull;
            let status = if full {
                StatusCode::INSUFFICIENT_STORAGE
            } else {
                StatusCode::INTERNAL_SERVER_ERROR
            };
            refuse(status, "UNKNOWN", &e.to_string())
        })
    }

    fn get_manifest(&self, name: &str, reference: &str, strikes: &Strikes) -> Response {
        let mut store = lock(&self.store);
        let repository = store.repository(name);
        let digest = match reference.parse() {
            Ok(digest) => Some(digest),
            Err(_) => repository.tags.get(reference).copied(),
        };
        let found = digest.and_then(|digest| Some((digest, repository.manifests.get(&digest)?)));
        let Some((digest, stored)) = found else {
            return not_found("MANIFEST_UNKNOWN");
        };
        let mut response = content(&digest, &stored.content, &stored.media_type, strikes);
        if self.mode.conditional {
            set(&mut response, header::ETAG, &format!("\"{digest}\""));
        }
        response
    }

    fn get_blob(&self, name: &str, digest: &str, strikes: &Strikes) -> Response {
        let Ok(digest) = digest.parse() else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "malformed digest",
            );
        };
        let mut store = lock(&self.store);
        match store.repository(name).blobs.get(&digest) {
            Some(blob) => content(&digest, blob, "application/octet-stream", strikes),
            None => not_found("BLOB_UNKNOWN"),
        }
    }

    fn put(
        &self,
        name: &str,
        reference: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> std::io::Result<Response> {
        let invalid =
            |message: &str| Ok(refuse(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message));
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let document = match Document::parse(&body) {
            Ok(document) => document,
            Err(e) => return invalid(&e.to_string()),
        };
        if document
            .media_type()
            .is_some_and(|stated| stated != media_type)
        {
            return invalid("Content-Type and mediaType differ");
        }
        let digest = match reference.parse::<Digest>() {
            Ok(digest) if digest.algorithm().digest(&body) == digest => digest,
            Ok(_) => {
                return Ok(refuse(
                    StatusCode::BAD_REQUEST,
                    "DIGEST_INVALID",
                    "content has another digest",
                ));
            }
            Err(_) if is_tag(reference) => Digest::sha256(&body),
            Err(_) => {
                return Ok(refuse(
                    StatusCode::BAD_REQUEST,
                    "TAG_INVALID",
                    "malformed tag",
                ));
            }
        };
        let tag = Some(reference).filter(|r| is_tag(r));
        let subject = {
            let mut store = lock(&self.store);
            let repository = store.repository(name);
            if let Document::Manifest(manifest) = &document {
                let mut needed = manifest.layers.iter().chain([&manifest.config]);
                if !needed.all(|blob| repository.blobs.contains_key(&blob.digest)) {
                    return Ok(not_found("MANIFEST_BLOB_UNKNOWN"));
                }
            }
            match document {
                Document::Manifest(manifest) => manifest.subject,
                Document::Index(index) => index.subject,
            }
        };
        if !self.store_if(name, tag, headers, &media_type, digest, body)? {
            return Ok(refuse(
                StatusCode::PRECONDITION_FAILED,
                "DENIED",
                "the tag has changed",
            ));
        }
        let mut response = StatusCode::CREATED.into_response();
        set(
            &mut response,
            header::LOCATION,
            &format!("/v2/{name}/manifests/{digest}"),
        );
        set(&mut response, DOCKER_CONTENT_DIGEST, &digest.to_string());
        if let Some(subject) = subject
            && self.mode.oci_subject
            && self.mode.referrers_api
        {
            set(&mut response, OCI_SUBJECT, &subject.digest.to_string());
        }
        Ok(response)
    }

    /// Stores a manifest if the conditions of the request hold; comparing and storing are one step.
    fn store_if(
        &self,
        name: &str,
        tag: Option<&str>,
        headers: &HeaderMap,
        media_type: &str,
        digest: Digest,
        content: Bytes,
    ) -> std::io::Result<bool> {
        if let (true, Some(tag)) = (self.mode.conditional, tag) {
            // One writer of conditional tags at a time: the store's own lock is taken again below.
            let _turn = lock(&self.conditional_writes);
            let current = lock(&self.store)
                .repository(name)
                .tags
                .get(tag)
                .map(|digest| format!("\"{digest}\""));
            let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
            let holds = match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
                (Some("*"), _) => current.is_some(),
                (Some(expected), _) => current.as_deref() == Some(expected),
                (None, Some("*")) => current.is_none(),
                (None, Some(unwanted)) => current.as_deref() != Some(unwanted),
                (None, None) => true,
            };
            if holds {
                self.store_manifest(name, Some(tag), media_type, digest, content)?;
            }
            return Ok(holds);
        }
        self.store_manifest(name, tag, media_type, digest, content)?;
        Ok(true)
    }

    fn delete_manifest(&self, name: &str, reference: &str) -> std::io::Result<Response> {
        if !self.mode.deletion {
            return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
        }
        let mut store = lock(&self.store);
        let removed = match reference.parse::<Digest>() {
            Ok(digest) => {
                let tags = &store.repository(name).tags;
                let tags: Vec<String> = tags
                    .iter()
                    .filter(|(_, target)| **target == digest)
                    .map(|(tag, _)| tag.clone())
                    .collect();
                if let Some(disk) = &self.disk {
                    disk.remove(name, "_manifests", &file_name(&digest))?;
                    for tag in &tags {
                        disk.remove(name, "_tags", tag)?;
                    }
                }
                store.remove_manifest(name, &digest)
            }
            Err(_) => {
                if let Some(disk) = self.disk.as_ref().filter(|_| is_tag(reference)) {
                    disk.remove(name, "_tags", reference)?;
                }
                store.repository(name).tags.remove(reference).is_some()
            }
        };
        Ok(match removed {
            true => StatusCode::ACCEPTED.into_response(),
            false => not_found("MANIFEST_UNKNOWN"),
        })
    }

    fn delete_blob(&self, name: &str, digest: &str) -> std::io::Result<Response> {
        if !self.mode.deletion {
            return Ok(StatusCode::METHOD_NOT_ALLOWED.into_response());
        }
        let Ok(digest) = digest.parse::<Digest>() else {
            return Ok(refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "malformed digest",
            ));
        };
        if let Some(disk) = &self.disk {
            disk.remove(name, "_blobs", &file_name(&digest))?;
        }
        Ok(match lock(&self.store).remove_blob(name, &digest) {
            true => StatusCode::ACCEPTED.into_response(),
            false => not_found("BLOB_UNKNOWN"),
        })
    }

    /// POST: mounts, takes a whole blob at once, or opens an upload.
    fn begin(
        &self,
        name: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> std::io::Result<Response> {
        if let (Some(Ok(digest)), Some(from)) = (
            parameter(query, "mount").map(|d| d.parse::<Digest>()),
            parameter(query, "from"),
        ) {
            let found = lock(&self.store)
                .repository(&from)
                .blobs
                .get(&digest)
                .cloned();
            if let Some(blob) = found {
                self.store_blob(name, digest, blob)?;
                return Ok(created(name, &digest));
            }
        }
        if let Some(digest) = parameter(query, "digest") {
            return self.store_checked(name, &digest, body);
        }
        let id = lock(&self.store).begin_upload(name);
        Ok(self.accepted(name, id, 0, headers))
    }

    fn append(
        &self,
        name: &str,
        id: u64,
        headers: &HeaderMap,
        body: &[u8],
    ) -> std::io::Result<Response> {
        let length = lock(&self.store).append(name, id, body)?;
        Ok(match length {
            Some(length) => self.accepted(name, id, length, headers),
            None => not_found("BLOB_UPLOAD_UNKNOWN"),
        })
    }

    fn finish(&self, name: &str, id: u64, query: &str, body: &[u8]) -> std::io::Result<Response> {
        let mut store = lock(&self.store);
        if store.append(name, id, body)?.is_none() {
            return Ok(not_found("BLOB_UPLOAD_UNKNOWN"));
        }
        let Some(whole) = store.end_upload(name, id) else {
            return Ok(not_found("BLOB_UPLOAD_UNKNOWN"));
        };
        drop(store);
        if whole.len() > self.mode.max_blob {
            return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
        }
        let digest = parameter(query, "digest").unwrap_or_default();
        self.store_checked(name, &digest, whole.into())
    }

    fn store_checked(&self, name: &str, digest: &str, content: Bytes) -> std::io::Result<Response> {
        match digest.parse::<Digest>() {
            Ok(digest) if digest.algorithm().digest(&content) == digest => {
                self.store_blob(name, digest, content)?;
                Ok(created(name, &digest))
            }
            _ => Ok(refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "content has another digest",
            )),
        }
    }

    fn accepted(&self, name: &str, id: u64, length: usize, headers: &HeaderMap) -> Response {
        let mut location = format!("/v2/{name}/blobs/uploads/{id}");
        let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
        if let (false, Some(host)) = (self.mode.relative_location, host) {
            location = format!("http://{host}{location}?_state=x");
        }
        let mut response = StatusCode::ACCEPTED.into_response();
        set(&mut response, header::LOCATION, &location);
        let range = format!("0-{}", length.saturating_sub(1));
        set(&mut response, header::RANGE, &range);
        response
    }

    fn list_referrers(&self, name: &str, digest: &str, query: &str) -> Response {
        let Ok(digest) = digest.parse::<Digest>() else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "DIGEST_INVALID",
                "malformed digest",
            );
        };
        let wanted = parameter(query, "artifactType");
        let filter = wanted.as_ref().filter(|_| self.mode.server_filter);
        let mut listed = {
            let mut store = lock(&self.store);
            let referrers = &store.repository(name).referrers;
            referrers.get(&digest).cloned().unwrap_or_default()
        };
        listed.retain(|d| filter.is_none_or(|wanted| d.artifact_type.as_ref() == Some(wanted)));
        let start = parameter(query, "start")
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let size = self.mode.page_size.unwrap_or(usize::MAX).max(1);
        let total = listed.len();
        let page: Vec<_> = listed.into_iter().skip(start).take(size).collect();
        let end = start.saturating_add(page.len());
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": page,
        });
        let mut response = index.to_string().into_response();
        set(&mut response, header::CONTENT_TYPE, OCI_INDEX);
        if filter.is_some() {
            set(&mut response, OCI_FILTERS_APPLIED, "artifactType");
        }
        if end < total {
            let mut next = url::form_urlencoded::Serializer::new(String::new());
            if let Some(wanted) = &wanted {
                next.append_pair("artifactType", wanted);
            }
            let next = next.append_pair("start", &end.to_string()).finish();
            let link = format!("</v2/{name}/referrers/{digest}?{next}>; rel=\"next\"");
            set(&mut response, header::LINK, &link);
        }
        response
    }

    fn list_tags(&self, name: &str, query: &str) -> Response {
        let mut store = lock(&self.store);
        let last = parameter(query, "last").unwrap_or_default();
        let count = parameter(query, "n")
            .and_then(|n| n.parse().ok())
            .unwrap_or(1000);
        let tags: Vec<String> = store
            .repository(name)
            .tags
            .keys()
            .filter(|tag| last.is_empty() || **tag > last)
            .take(count)
            .cloned()
            .collect();
        axum::Json(serde_json::json!({ "name": name, "tags": tags })).into_response()
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

fn created(name: &str, digest: &Digest) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    set(
        &mut response,
        header::LOCATION,
        &format!("/v2/{name}/blobs/{digest}"),
    );
    set(&mut response, DOCKER_CONTENT_DIGEST, &digest.to_string());
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
