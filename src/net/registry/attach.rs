//! Attaching a bundle to an image: blobs, manifest, and the list in which others find it.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::client::RegistryClient;
use super::error::RegistryError;
use super::fallback::FallbackWritten;
use super::reference::DigestReference;
use super::referrers::{ApiAnswer, Referrers};
use crate::crypto::Digest;
use crate::format::oci::{Descriptor, EMPTY_CONFIG_BYTES, EncodedManifest, LegacyTag};
use crate::net::http::jitter;

/// How often blobs are looked after that the registry had, and then missed. docker-registry 2.8 does:
/// while several clients write one blob, its index of blobs is empty for a moment.
const BLOB_LOOKS: u32 = 5;
/// How often a registry that has the API is asked for a new entry before the fallback tag is written: four looks
/// within two seconds.
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
    /// The registry lists it: it was read back from there.
    ByApi,
    /// The registry has no referrers API that lists it; the fallback tag does, and it was read back from there.
    ByFallbackTag(FallbackWritten),
    /// It is in the form that is older than bundles, under a tag of the image's own.
    UnderTag(LegacyTag, FallbackWritten),
}

impl RegistryClient {
    /// Attaches to an image, in its own repository or in the one for signatures: both blobs at once, then the
    /// manifest, then a look whether the way that a verifier goes finds it
    /// ([`RegistryClient::list_referrers`]). Repeating it is harmless, and repairs a list that lost the entry.
    ///
    /// # Errors
    /// As [`RegistryClient::store_attachment`] and [`RegistryClient::list_referrers`].
    pub async fn attach(
        &self,
        subject: &DigestReference,
        attachment: &Attachment,
    ) -> Result<Attached, RegistryError> {
        self.store_attachment(subject, attachment).await?;
        let manifest = std::slice::from_ref(&attachment.manifest.descriptor);
        self.list_referrers(subject, manifest).await
    }

    /// Stores what is to be attached, without a look whether it is listed: for several of one image, before
    /// [`RegistryClient::list_referrers`] is asked for all of them.
    ///
    /// # Errors
    /// As [`RegistryClient::upload_blob`] and [`RegistryClient::push_manifest`].
    pub async fn store_attachment(
        &self,
        subject: &DigestReference,
        attachment: &Attachment,
    ) -> Result<(), RegistryError> {
        let repository = &self.signatures_of(subject.repository());
        let mut looks = 0;
        loop {
            let config = Bytes::from_static(EMPTY_CONFIG_BYTES);
            let layer = attachment.layer.clone();
            // A registry that said it has them, and misses them now, is not asked again but sent them.
            let is_asked = looks == 0;
            tokio::try_join!(
                self.bring_blob(repository, config, is_asked),
                self.bring_blob(repository, layer, is_asked),
            )?;
            looks += 1;
            match self.push_manifest(repository, &attachment.manifest).await {
                Err(RegistryError::NotFound { .. }) if looks < BLOB_LOOKS => {
                    tokio::time::sleep(jitter(Duration::from_millis(200) * looks)).await;
                }
                other => return other,
            }
        }
    }

    /// Makes sure that manifests which are there are found by whoever looks for what refers to their subject: one
    /// request where the registry lists them. `OCI-Subject` is a claim, and nothing is taken for listed because of it.
    ///
    /// Some registries list a new referrer a moment later, so an API that lists others, or nothing, is asked a few
    /// times. One that still does not list them is treated as one without the API, or whose answer is no list: they
    /// are listed under the fallback tag, and read back from there. Readers ask for both.
    ///
    /// # Errors
    /// As [`RegistryClient::list_in_fallback`]; [`RegistryError::NotListed`].
    pub async fn list_referrers(
        &self,
        subject: &DigestReference,
        manifests: &[Descriptor],
    ) -> Result<Attached, RegistryError> {
        for look in 1..=LISTING_LOOKS {
            let ApiAnswer::Listed(listed) = self.ask_api(subject, None).await else {
                break;
            };
            if not_listed(&listed, manifests).is_none() {
                return Ok(Attached::ByApi);
            }
            // What a cap hides is hidden from the next reader too, however often it is asked for.
            if listed.cut.is_some() || listed.unread.is_some() {
                break;
            }
            if look < LISTING_LOOKS {
                let pause = Duration::from_millis(150) * look;
                tokio::time::sleep(pause + jitter(pause)).await;
            }
        }
        let written = self.list_all_in_fallback(subject, manifests).await?;
        let read = self.fallback_referrers(subject).await?;
        match not_listed(&read, manifests) {
            None => Ok(Attached::ByFallbackTag(written)),
            Some(missing) => Err(RegistryError::NotListed {
                manifest: format!("{}@{missing}", self.signatures_of(subject.repository())),
            }),
        }
    }
}

/// Returns the first of these manifests that a list lacks.
fn not_listed(list: &Referrers, manifests: &[Descriptor]) -> Option<Digest> {
    let listed: HashSet<Digest> = list.descriptors.iter().map(|one| one.digest).collect();
    let mut digests = manifests.iter().map(|manifest| manifest.digest);
    digests.find(|digest| !listed.contains(digest))
}
