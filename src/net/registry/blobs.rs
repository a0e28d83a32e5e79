//! Blobs: fetched and checked, or uploaded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::auth::Access;
use super::caps::Cap;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::Repository;
use crate::crypto::Digest;
use crate::format::oci::Descriptor;
use crate::net::error::NetError;
use crate::net::http::{Backoff, Method, Reply, RetryPolicy, jitter};

/// Uploads begun for one blob: the first, and two more after a fault that may pass.
const MAX_UPLOADS: u32 = 3;

impl RegistryClient {
    /// Fetches a blob of at most `limit` bytes, one request; size and digest must be as described.
    ///
    /// # Errors
    /// [`RegistryError::OverCap`] before anything is asked, if the descriptor says so;
    /// [`RegistryError::SizeMismatch`], [`RegistryError::DigestMismatch`],
    /// [`RegistryError::NotFound`], [`RegistryError::Denied`], [`RegistryError::Net`].
    pub async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        const WHAT: &str = "blob";
        if descriptor.size > limit {
            return Err(RegistryError::OverCap {
                cap: Cap::Attachment,
                what: WHAT,
                limit,
                found: Some(descriptor.size),
            });
        }
        let wrong_size = |found| RegistryError::SizeMismatch {
            what: WHAT,
            expected: descriptor.size,
            found,
        };
        let url = self
            .url(repository, &format!("blobs/{}", descriptor.digest))
            .await?;
        // An error's body may be longer than a small blob, and should still be told.
        let request = self
            .request(Method::GET, url)
            .limit(descriptor.size.max(4096));
        let reply = match self.send(repository, Access::Pull, request).await {
            Err(RegistryError::Net(NetError::TooLarge { .. })) => return Err(wrong_size(None)),
            other => other?,
        };
        match reply.status.as_u16() {
            200 => {}
            404 => {
                return Err(RegistryError::NotFound {
                    what: WHAT,
                    reference: format!("{repository}@{}", descriptor.digest),
                });
            }
            _ => return Err(reply.error().into()),
        }
        let size = reply.body.len() as u64;
        if size != descriptor.size {
            return Err(wrong_size(Some(size)));
        }
        let found = descriptor.digest.algorithm().digest(&reply.body);
        if found != descriptor.digest {
            return Err(RegistryError::DigestMismatch {
                what: WHAT,
                expected: Box::new(descriptor.digest),
                found: Box::new(found),
            });
        }
        Ok(reply.body)
    }

    /// Makes sure a blob is in the repository: one request if it is, else HEAD, POST, PUT.
    ///
    /// Faults that may pass begin the upload anew; a lost last reply is made up for by asking
    /// whether the blob arrived.
    ///
    /// # Errors
    /// [`RegistryError::Denied`], [`RegistryError::Unfollowed`] for an upload location that may not
    /// be followed, [`RegistryError::Net`].
    pub async fn upload_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::sha256(&content);
        let mut begun = 0;
        loop {
            if self.has_blob(repository, &digest).await? {
                return Ok(digest);
            }
            begun += 1;
            match self.upload_once(repository, &digest, content.clone()).await {
                Ok(()) => return Ok(digest),
                Err(RegistryError::Net(e)) if e.is_retryable() && begun < MAX_UPLOADS => {
                    tokio::time::sleep(jitter(Duration::from_millis(400) * begun)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        let url = self.url(repository, &format!("blobs/{digest}")).await?;
        // The token is bought for the upload that follows at once.
        let request = self.request(Method::HEAD, url);
        let reply = self.send(repository, Access::PullPush, request).await?;
        match reply.status.as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(reply.error().into()),
        }
    }

    async fn upload_once(
        &self,
        repository: &Repository,
        digest: &Digest,
        content: Bytes,
    ) -> Result<(), RegistryError> {
        let start = self.url(repository, "blobs/uploads/").await?;
        // An upload that is begun twice leaves an empty session behind, which registries expire.
        let request = self
            .request(Method::POST, start.clone())
            .retry(RetryPolicy::SafeToRepeat(Backoff::default()));
        let begun = self.send(repository, Access::PullPush, request).await?;
        if begun.status.as_u16() != 202 {
            return Err(begun.error().into());
        }
        let mut location = self.follow("upload location", &start, &begun)?;
        append_digest(&mut location, digest);
        // A location elsewhere gets the content, which is public, and no credentials: `send` knows
        // the registry's own origin.
        let request = self
            .request(Method::PUT, location)
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            )
            .body(content)
            .retry(RetryPolicy::Never);
        let done = self.send(repository, Access::PullPush, request).await?;
        if !done.is_success() {
            return Err(done.error().into());
        }
        check_stored(&done, digest)
    }
}

/// Adds `digest=` to a location that may have a query of its own.
pub(super) fn append_digest(location: &mut Url, digest: &Digest) {
    location
        .query_pairs_mut()
        .append_pair("digest", &digest.to_string());
}

/// The final reply needs no `Location` and no digest; one that is there must be ours.
pub(super) fn check_stored(reply: &Reply, digest: &Digest) -> Result<(), RegistryError> {
    match super::manifests::announced_digest(reply)? {
        Some(found) if found.algorithm() == digest.algorithm() && found != *digest => {
            Err(RegistryError::DigestMismatch {
                what: "uploaded blob",
                expected: Box::new(*digest),
                found: Box::new(found),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_keeps_its_query() {
        let digest = Digest::sha256(b"");
        let hex = digest.hex();
        for (location, expected) in [
            (
                "https://r.example.test/u/1",
                format!("?digest=sha256%3A{hex}"),
            ),
            (
                "https://r.example.test/u/1?_state=a%2Bb%3D",
                format!("?_state=a%2Bb%3D&digest=sha256%3A{hex}"),
            ),
        ] {
            let mut url: Url = location.parse().unwrap();
            append_digest(&mut url, &digest);
            let base = location.split('?').next().unwrap();
            assert_eq!(url.as_str(), format!("{base}{expected}"));
        }
    }
}
