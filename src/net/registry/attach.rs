//! Attaching a bundle to an image: blobs, manifest, and the list in which others find it.

use std::time::Duration;

use bytes::Bytes;

use super::client::RegistryClient;
use super::error::RegistryError;
use super::fallback::FallbackWritten;
use super::reference::DigestReference;
use crate::format::oci::{Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, LegacyTag};
use crate::net::http::jitter;

/// How often blobs are looked after that the registry had, and then missed. docker-registry 2.8 does:
/// while several clients write one blob, its index of blobs is empty for a moment.
const BLOB_LOOKS: u32 = 5;
/// How often a registry that has the API is asked for a new entry it did not confirm.
const LISTING_LOOKS: u32 = 4;

/// A manifest whose config is the empty one, and the content of its only layer.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// What is attached, such as [`EncodedManifest::for_bundle`] makes it.
    pub manifest: EncodedManifest,
    /// The layer: the bundle's bytes.
    pub layer: Bytes,
}

/// How others will find what was attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// The registry lists it.
    ByApi,
    /// The registry has no referrers API; the fallback tag lists it.
    ByFallbackTag(FallbackWritten),
    /// It is in the form that is older than bundles, under a tag of the image's own.
    UnderTag(LegacyTag, FallbackWritten),
}

impl RegistryClient {
    /// Attaches to an image, in its own repository or in the one for signatures: both blobs at once, then the manifest, then, where the registry did not
    /// confirm the subject, the fallback tag. Repeating it is harmless, and repairs a list that lost
    /// the entry.
    ///
    /// # Errors
    /// As [`RegistryClient::upload_blob`], [`RegistryClient::push_manifest`] and
    /// [`RegistryClient::list_in_fallback`]; [`RegistryError::NotListed`].
    pub async fn attach(
        &self,
        subject: &DigestReference,
        attachment: &Attachment,
    ) -> Result<Attached, RegistryError> {
        let subject = &self.in_signature_repository(subject);
        let repository = subject.repository();
        let manifest = &attachment.manifest;
        let mut looks = 0;
        let pushed = loop {
            tokio::try_join!(
                self.upload_blob(repository, Bytes::from_static(EMPTY_CONFIG_BYTES)),
                self.upload_blob(repository, attachment.layer.clone()),
            )?;
            looks += 1;
            match self.push_manifest(repository, manifest).await {
                Err(RegistryError::NotFound { .. }) if looks < BLOB_LOOKS => {
                    tokio::time::sleep(jitter(Duration::from_millis(200) * looks)).await;
                }
                other => break other?,
            }
        };
        if pushed.subject_confirmed {
            return Ok(Attached::ByApi);
        }
        self.list_referrers(subject, std::slice::from_ref(&manifest.descriptor))
            .await
    }

    /// Makes sure that manifests are listed under their subject whose pushing the registry did not confirm:
    /// by itself, or under the fallback tag.
    ///
    /// # Errors
    /// As [`RegistryClient::list_in_fallback`]; [`RegistryError::NotListed`].
    pub async fn list_referrers(
        &self,
        subject: &DigestReference,
        manifests: &[Descriptor],
    ) -> Result<Attached, RegistryError> {
        let subject = &self.in_signature_repository(subject);
        let mut missing = None;
        // Some registries have the API and do not confirm. Readers will ask the API there, so an
        // entry under the fallback tag would not be seen.
        for look in 1..=LISTING_LOOKS {
            let Some(listed) = self.api_referrers(subject, None).await? else {
                let written = self.list_all_in_fallback(subject, manifests).await?;
                return Ok(Attached::ByFallbackTag(written));
            };
            missing = manifests
                .iter()
                .find(|manifest| {
                    let listed = &listed.descriptors;
                    !listed.iter().any(|d| d.digest == manifest.digest)
                })
                .map(|manifest| manifest.digest);
            // A list that was cut may hold it further on.
            if missing.is_none() || listed.cut.is_some() {
                return Ok(Attached::ByApi);
            }
            if look < LISTING_LOOKS {
                let pause = Duration::from_millis(150) * look;
                tokio::time::sleep(pause + jitter(pause)).await;
            }
        }
        Err(RegistryError::NotListed {
            manifest: match missing {
                Some(digest) => format!("{}@{digest}", subject.repository()),
                None => subject.to_string(),
            },
        })
    }
}
