//! What the manners of a registry make of its requests and answers.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::super::manner::{Manner, UploadLocation};
use super::super::{SandboxRegistry, lock};
use super::{DOCKER_CONTENT_DIGEST, Handler, refuse, set};

impl SandboxRegistry {
    /// Answers in the registry's own way, if it has one for this request.
    pub(super) fn in_its_manner(
        &self,
        handler: Handler,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<Response> {
        let conditions = [header::IF_MATCH, header::IF_NONE_MATCH];
        let is_conditional = conditions.iter().any(|name| headers.contains_key(name));
        let manners = lock(&self.manners).clone();
        manners.into_iter().find_map(|manner| {
            let status = match (manner, handler) {
                (Manner::Referrers(status), Handler::ReferrersGet)
                | (Manner::Head(status), Handler::ManifestHead | Handler::BlobHead)
                | (Manner::Mount(status), Handler::BlobMount)
                | (Manner::Delete(status), Handler::ManifestDelete | Handler::BlobDelete)
                | (Manner::Patch(status), Handler::UploadPatch) => status,
                (Manner::PutWithContent(status), Handler::UploadPut) if !body.is_empty() => status,
                (Manner::EntityTag(_), Handler::ManifestPut) if is_conditional => 412,
                (Manner::ReferrersAre(media_type, text), Handler::ReferrersGet) => {
                    let mut response = Response::new(Body::from(text));
                    set(&mut response, header::CONTENT_TYPE, media_type);
                    return Some(response);
                }
                _ => return None,
            };
            let status = StatusCode::from_u16(status).ok()?;
            Some(match status.is_success() {
                true => status.into_response(),
                false => refuse(status, "UNSUPPORTED", "this registry's manner"),
            })
        })
    }

    /// Changes an answer as the registry's manners are.
    pub(super) fn with_manners(&self, response: &mut Response, headers: &HeaderMap) {
        for manner in lock(&self.manners).iter() {
            match *manner {
                Manner::SubjectUnconfirmed => {
                    response.headers_mut().remove(super::OCI_SUBJECT);
                }
                Manner::Ok200 if response.status() == StatusCode::CREATED => {
                    *response.status_mut() = StatusCode::OK;
                }
                Manner::NoContentDigest => {
                    response.headers_mut().remove(DOCKER_CONTENT_DIGEST);
                }
                Manner::EntityTag(tag) if response.status() == StatusCode::OK => {
                    set(response, header::ETAG, tag);
                }
                _ => {}
            }
            if response.status() != StatusCode::ACCEPTED {
                continue;
            }
            match *manner {
                Manner::Location(at) => relocate(response, at, headers),
                Manner::Range(range) => set(response, header::RANGE, range),
                Manner::ChunkMinimum(least) => {
                    set(response, super::OCI_CHUNK_MIN_LENGTH, &least.to_string());
                }
                _ => {}
            }
        }
    }

    /// Returns the members of a token service's answer that sells to everybody, if this registry has one.
    pub(in super::super) fn token_manner(&self) -> Option<&'static str> {
        lock(&self.manners).iter().find_map(|manner| match manner {
            Manner::Token(members) => Some(*members),
            _ => None,
        })
    }

    /// Returns after how many lists a new referrer is on them.
    pub(super) fn lateness(&self) -> Option<u32> {
        lock(&self.manners).iter().find_map(|manner| match manner {
            Manner::ReferrersLate(lists) => Some(*lists),
            _ => None,
        })
    }

    /// Returns the least length of a chunk that is not the last.
    pub(super) fn chunk_minimum(&self) -> Option<usize> {
        lock(&self.manners).iter().find_map(|manner| match manner {
            Manner::ChunkMinimum(least) => Some(*least),
            _ => None,
        })
    }
}

/// Spells the location of an upload otherwise.
fn relocate(response: &mut Response, at: UploadLocation, headers: &HeaderMap) {
    let location = response.headers_mut().remove(header::LOCATION);
    let Some(path) = location.as_ref().and_then(|value| {
        let text = value.to_str().ok()?;
        let path = &text[text.find("/v2/")?..];
        Some(path.split('?').next().unwrap_or_default().to_owned())
    }) else {
        return;
    };
    let id = path.rsplit('/').next().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok());
    let other = host.unwrap_or_default().replace("127.0.0.1", "localhost");
    let spelled = match at {
        UploadLocation::Path => path,
        UploadLocation::Bare => id.to_owned(),
        UploadLocation::Query => format!("{path}?_state=a%2Bb%26c%3D&digest_hint=x"),
        UploadLocation::QuestionMark => format!("{path}?"),
        UploadLocation::Ampersand => format!("{path}?_state=x&"),
        UploadLocation::OtherName => format!("http://{other}{path}?_state=x"),
        UploadLocation::Missing => return,
    };
    set(response, header::LOCATION, &spelled);
}
