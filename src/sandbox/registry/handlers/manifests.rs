//! Manifests: read, pushed, deleted.

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::disk::file_name;
use super::super::{SandboxRegistry, lock};
use super::{DOCKER_CONTENT_DIGEST, OCI_SUBJECT, Strikes, content, is_tag, not_found, refuse, set};
use crate::crypto::Digest;
use crate::format::oci::Document;

impl SandboxRegistry {
    pub(super) fn get_manifest(&self, name: &str, reference: &str, strikes: &Strikes) -> Response {
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

    pub(super) fn put(
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
        if subject.is_some() {
            *lock(&self.lists) = 0;
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
    pub(super) fn store_if(
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

    pub(super) fn delete_manifest(&self, name: &str, reference: &str) -> std::io::Result<Response> {
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
}
