//! Tags: what they point to, and pointing them elsewhere.

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::auth::Access;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::manifests::{FetchedManifest, announced_digest};
use super::reference::{ImageReference, Repository};
use crate::format::oci::Descriptor;

impl RegistryClient {
    /// Fetches what a tag points to; `None` if there is no such tag, or the name is none.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`], without [`RegistryError::NoSuchImage`].
    pub async fn find_tag(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<FetchedManifest>, RegistryError> {
        let Some(reference) = ImageReference::tagged(repository.clone(), tag) else {
            return Ok(None);
        };
        match self.resolve(&reference).await {
            Ok(found) => Ok(Some(found)),
            Err(RegistryError::NoSuchImage { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points a tag to a manifest, whose exact bytes are sent. Whoever calls has looked at what it points to.
    ///
    /// # Errors
    /// [`RegistryError::Denied`]; [`RegistryError::DigestMismatch`] if the registry says it stored something
    /// else; [`RegistryError::Net`].
    pub async fn push_tag(
        &self,
        repository: &Repository,
        tag: &str,
        descriptor: &Descriptor,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let url = self.url(repository, &format!("manifests/{tag}")).await?;
        let media_type = HeaderValue::from_str(&descriptor.media_type).map_err(|_| {
            RegistryError::MediaTypeMismatch {
                announced: "a header".to_owned(),
                stated: crate::diagnostic::clean(&descriptor.media_type, 160),
            }
        })?;
        let request = self
            .request(reqwest::Method::PUT, url)
            .header(CONTENT_TYPE, media_type)
            .body(bytes);
        let reply = self.send(repository, Access::PullPush, request).await?;
        if !reply.is_success() {
            return Err(reply.error().into());
        }
        match announced_digest(&reply)? {
            Some(stored)
                if stored.algorithm() == descriptor.digest.algorithm()
                    && stored != descriptor.digest =>
            {
                Err(RegistryError::DigestMismatch {
                    what: "tagged manifest",
                    expected: Box::new(descriptor.digest),
                    found: Box::new(stored),
                })
            }
            _ => Ok(()),
        }
    }
}
