//! Blobs: read, uploaded, mounted, deleted.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::disk::file_name;
use super::super::{SandboxRegistry, lock};
use super::{DOCKER_CONTENT_DIGEST, Strikes, content, not_found, parameter, refuse, set};
use crate::crypto::Digest;

impl SandboxRegistry {
    pub(super) fn get_blob(&self, name: &str, digest: &str, strikes: &Strikes) -> Response {
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

    pub(super) fn delete_blob(&self, name: &str, digest: &str) -> std::io::Result<Response> {
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
    pub(super) fn begin(
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

    pub(super) fn append(
        &self,
        name: &str,
        id: u64,
        headers: &HeaderMap,
        body: &[u8],
    ) -> std::io::Result<Response> {
        if let Some(least) = self.chunk_minimum() {
            // A second chunk shows that the first was not the last.
            let before = lock(&self.store).append(name, id, &[])?;
            if before.is_some_and(|before| before > 0 && before < least) {
                let short = "a chunk but the last is too short";
                return Ok(refuse(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "SIZE_INVALID",
                    short,
                ));
            }
        }
        let length = lock(&self.store).append(name, id, body)?;
        Ok(match length {
            Some(length) => self.accepted(name, id, length, headers),
            None => not_found("BLOB_UPLOAD_UNKNOWN"),
        })
    }

    pub(super) fn finish(
        &self,
        name: &str,
        id: u64,
        query: &str,
        body: &[u8],
    ) -> std::io::Result<Response> {
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

    pub(super) fn store_checked(
        &self,
        name: &str,
        digest: &str,
        content: Bytes,
    ) -> std::io::Result<Response> {
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

    pub(super) fn accepted(
        &self,
        name: &str,
        id: u64,
        length: usize,
        headers: &HeaderMap,
    ) -> Response {
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
