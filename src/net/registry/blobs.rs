//! Blobs: fetched and checked, or uploaded.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use url::Url;

use super::auth::Access;
use super::caps::Cap;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::Repository;
use super::transfer::ContentError;
use crate::crypto::Digest;
use crate::format::oci::Descriptor;
use crate::net::error::NetError;
use crate::net::http::{Method, Reply};

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

    /// Makes sure a blob is in the repository: one request if it is, else HEAD, POST, PUT. Otherwise as
    /// [`RegistryClient::push_blob`].
    ///
    /// # Errors
    /// [`RegistryError::Denied`], [`RegistryError::Unfollowed`] for an upload location that may not
    /// be followed, [`RegistryError::Net`].
    pub async fn upload_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, RegistryError> {
        self.bring_blob(repository, content, true).await
    }

    /// Uploads a blob, after asking whether it is there or without.
    pub(super) async fn bring_blob(
        &self,
        repository: &Repository,
        content: Bytes,
        is_asked: bool,
    ) -> Result<Digest, RegistryError> {
        let blob = Descriptor::of("application/octet-stream", &content);
        let pieces = move || stream::iter([Ok(content.clone())]).boxed();
        let pushed = match is_asked {
            true => self.push_blob(repository, &blob, None, &pieces).await,
            false => self.send_blob(repository, &blob, None, &pieces).await,
        };
        match pushed {
            Ok(_) => Ok(blob.digest),
            Err(ContentError::Registry(error)) => Err(error),
            Err(ContentError::Layout(_)) => unreachable!("what is in memory is in no layout"),
        }
    }
}

/// Adds `digest=` to a location that may have a query of its own, whose spelling stays as it is: some registries sign
/// it.
pub(super) fn append_digest(location: &mut Url, digest: &Digest) {
    let query = location.query().unwrap_or_default().trim_end_matches('&');
    let separator = if query.is_empty() { "" } else { "&" };
    let query = format!(
        "{query}{separator}digest={}",
        digest.to_string().replace(':', "%3A")
    );
    location.set_query(Some(&query));
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
            (
                "https://r.example.test/u/1?",
                format!("?digest=sha256%3A{hex}"),
            ),
            (
                "https://r.example.test/u/1?_state=a/b=&",
                format!("?_state=a/b=&digest=sha256%3A{hex}"),
            ),
        ] {
            let mut url: Url = location.parse().unwrap();
            append_digest(&mut url, &digest);
            let base = location.split('?').next().unwrap();
            assert_eq!(url.as_str(), format!("{base}{expected}"));
        }
    }
}
