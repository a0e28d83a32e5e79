//! What hangs at an image under a tag of its own: signatures and attestations from before bundles.

use super::client::RegistryClient;
use super::error::RegistryError;
use super::manifests::{FetchedManifest, check};
use super::reference::{DigestReference, Target};
use crate::format::oci::LegacyTag;

impl RegistryClient {
    /// Fetches what stands under such a tag of an image; `None` if there is nothing. One request.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`], but for an image that is not there.
    pub async fn tagged(
        &self,
        image: &DigestReference,
        tag: LegacyTag,
    ) -> Result<Option<FetchedManifest>, RegistryError> {
        let repository = &self.signatures_of(image.repository());
        let target = Target::Tag(tag.tag(&image.digest()));
        match self.manifest_reply(repository, &target).await? {
            Some(reply) => check(repository, &target, reply).map(Some),
            None => Ok(None),
        }
    }
}
