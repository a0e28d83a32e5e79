//! Deleting manifests and tags.

use super::auth::Access;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::{Repository, Target};
use crate::net::error::NetError;
use crate::net::http::Method;

impl RegistryClient {
    /// Deletes a manifest by its digest, or a tag; says whether there was one. Blobs are left to the
    /// registry's own collection. A registry that answers 404 may not have it, or not know the request: it is asked
    /// for what should be gone.
    ///
    /// # Errors
    /// [`RegistryError::DeletionDisabled`] if the registry allows none; [`RegistryError::Denied`],
    /// [`RegistryError::Net`].
    pub async fn delete(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<bool, RegistryError> {
        let url = self.url(repository, &format!("manifests/{target}")).await?;
        let request = self.request(Method::DELETE, url);
        let reply = self.send(repository, Access::Delete, request).await?;
        match reply.status.as_u16() {
            200..=299 => Ok(true),
            404 | 410 if !matches!(self.manifest_reply(repository, target).await, Ok(Some(_))) => {
                Ok(false)
            }
            // 405 is what distribution-spec asks for; the others are what some say of tags, or of all.
            status @ (400 | 404 | 405 | 406 | 409 | 410 | 415 | 501) => {
                Err(RegistryError::DeletionDisabled {
                    reference: match target {
                        Target::Tag(tag) => format!("{repository}:{tag}"),
                        Target::Digest(digest) => format!("{repository}@{digest}"),
                    },
                    status,
                    message: match reply.error() {
                        NetError::Status { message, .. } => message,
                        _ => String::new(),
                    },
                })
            }
            _ => Err(reply.error().into()),
        }
    }
}
