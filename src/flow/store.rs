//! Where an image and what is attached to it lie: in a repository of a registry, or in an OCI image layout on
//! disk. Whatever reads them does not care which.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::oci::{Descriptor, Document, LegacyTag};
use crate::host::image_layout::{ImageLayout, LayoutError};
use crate::net::registry::{
    DigestReference, Referrers, RegistryClient, RegistryError, RegistryLimits, Repository,
};

/// Why something cannot be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The registry.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The image layout.
    #[error("{0}")]
    Layout(Arc<LayoutError>),
}

impl From<LayoutError> for StoreError {
    fn from(error: LayoutError) -> Self {
        StoreError::Layout(Arc::new(error))
    }
}

impl StoreError {
    fn inner(&self) -> &dyn Diagnostic {
        match self {
            StoreError::Registry(error) => error,
            StoreError::Layout(error) => error.as_ref(),
        }
    }
}

impl Diagnostic for StoreError {
    fn code(&self) -> &'static str {
        self.inner().code()
    }

    fn exit(&self) -> Exit {
        self.inner().exit()
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        self.inner().details()
    }

    fn hint(&self) -> Option<String> {
        self.inner().hint()
    }
}

/// One image's place.
#[derive(Debug, Clone)]
pub enum ImageStore<'a> {
    /// A repository.
    Registry {
        /// The client.
        client: &'a RegistryClient,
        /// The image's repository.
        repository: Repository,
    },
    /// A layout.
    Layout(&'a ImageLayout),
}

/// A manifest or index whose bytes have the digest in its descriptor.
#[derive(Debug, Clone)]
pub struct StoredManifest {
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// The parsed document.
    pub document: Document,
}

/// An image by its place and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedImage {
    place: String,
    digest: Digest,
}

impl PlacedImage {
    /// Returns the digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl fmt::Display for PlacedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.place, self.digest)
    }
}

/// What refers to an image.
#[derive(Debug, Clone)]
pub struct ListedReferrers {
    /// Each digest once.
    pub descriptors: Vec<Descriptor>,
    /// Set where the list was not read to its end.
    pub cut: Option<StoreError>,
    /// Set where a place that may list something could not be read.
    pub unread: Option<StoreError>,
    /// Whether every place was asked for.
    pub is_whole: bool,
}

impl ListedReferrers {
    fn of(referrers: Referrers, is_whole: bool) -> Self {
        ListedReferrers {
            cut: referrers.too_many().map(StoreError::from),
            unread: referrers.unread.map(StoreError::from),
            descriptors: referrers.descriptors,
            is_whole,
        }
    }
}

impl<'a> ImageStore<'a> {
    /// Describes the place of an image in a registry.
    pub fn registry(client: &'a RegistryClient, image: &DigestReference) -> Self {
        ImageStore::Registry {
            client,
            repository: image.repository().clone(),
        }
    }

    /// Names an image here.
    pub fn name(&self, digest: Digest) -> PlacedImage {
        let place = match self {
            ImageStore::Registry { repository, .. } => repository.to_string(),
            ImageStore::Layout(layout) => layout.path().display().to_string(),
        };
        PlacedImage { place, digest }
    }

    /// Returns the caps on what is read.
    pub fn limits(&self) -> RegistryLimits {
        match self {
            ImageStore::Registry { client, .. } => client.options().limits,
            ImageStore::Layout(_) => RegistryLimits::default(),
        }
    }

    /// Lists what refers to an image, in the first place that has any bundle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn referrers(&self, image: &Digest) -> Result<ListedReferrers, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let subject = DigestReference::new(repository.clone(), *image);
                let referrers = client.readable_referrers(&subject).await?;
                let is_whole = referrers.is_whole;
                Ok(ListedReferrers::of(referrers, is_whole))
            }
            ImageStore::Layout(layout) => {
                let referrers = layout.referrers_of(image)?;
                let limit = crate::format::limits::LAYOUT_REFERRERS;
                let cut = RegistryError::TooMany {
                    what: "referrers in an image layout",
                    limit,
                };
                Ok(ListedReferrers {
                    cut: referrers.cut.then(|| cut.into()),
                    descriptors: referrers.descriptors,
                    unread: None,
                    is_whole: true,
                })
            }
        }
    }

    /// Lists what refers to an image in every place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn all_referrers(&self, image: &Digest) -> Result<ListedReferrers, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let subject = DigestReference::new(repository.clone(), *image);
                let lists = client.referrer_lists(&subject).await?;
                let missing = lists.missing();
                let mut listed = ListedReferrers::of(lists.merged(), true);
                listed.unread = missing.map(StoreError::from);
                Ok(listed)
            }
            ImageStore::Layout(_) => self.referrers(image).await,
        }
    }

    /// Lists what the fallback tag of an image has; a layout has one list, which [`ImageStore::referrers`] reads.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn fallback_referrers(&self, image: &Digest) -> Result<ListedReferrers, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let subject = DigestReference::new(repository.clone(), *image);
                let referrers = client.fallback_referrers(&subject).await?;
                Ok(ListedReferrers::of(referrers, true))
            }
            ImageStore::Layout(_) => Ok(ListedReferrers {
                descriptors: Vec::new(),
                cut: None,
                unread: None,
                is_whole: true,
            }),
        }
    }

    /// Fetches a manifest that refers to an image; its size must be as listed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn referrer(&self, descriptor: &Descriptor) -> Result<StoredManifest, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let repository = client.signatures_of(repository);
                Ok(client.manifest(&repository, descriptor).await?.into())
            }
            ImageStore::Layout(layout) => Ok(layout.listed_manifest(descriptor)?.into()),
        }
    }

    /// Fetches a manifest that an index lists; its size must be as listed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn child(&self, descriptor: &Descriptor) -> Result<StoredManifest, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                Ok(client.manifest(repository, descriptor).await?.into())
            }
            ImageStore::Layout(layout) => Ok(layout.listed_manifest(descriptor)?.into()),
        }
    }

    /// Fetches an image or index by its digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn image(&self, digest: &Digest) -> Result<StoredManifest, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let reference = DigestReference::new(repository.clone(), *digest);
                Ok(client.resolve(&reference.into()).await?.into())
            }
            ImageStore::Layout(layout) => Ok(layout.manifest(digest)?.into()),
        }
    }

    /// Fetches what stands under a tag that belongs to an image; `None` if there is nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tagged(
        &self,
        image: &Digest,
        tag: LegacyTag,
    ) -> Result<Option<StoredManifest>, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let reference = DigestReference::new(repository.clone(), *image);
                Ok(client.tagged(&reference, tag).await?.map(Into::into))
            }
            ImageStore::Layout(layout) => match layout.legacy(image, tag) {
                Some(descriptor) => Ok(Some(layout.listed_manifest(descriptor)?.into())),
                None => Ok(None),
            },
        }
    }

    /// Fetches a layer of what is attached; its size and digest must be as described.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn layer(&self, layer: &Descriptor, limit: u64) -> Result<Bytes, StoreError> {
        match self {
            ImageStore::Registry { client, repository } => {
                let repository = client.signatures_of(repository);
                Ok(client.blob(&repository, layer, limit).await?)
            }
            ImageStore::Layout(layout) => {
                let wrong_size = |found| LayoutError::SizeMismatch {
                    digest: Box::new(layer.digest),
                    expected: layer.size,
                    found,
                };
                let bytes = layout.blob(&layer.digest, limit)?;
                if bytes.len() as u64 != layer.size {
                    return Err(wrong_size(bytes.len() as u64).into());
                }
                Ok(bytes)
            }
        }
    }
}

impl From<crate::net::registry::FetchedManifest> for StoredManifest {
    fn from(fetched: crate::net::registry::FetchedManifest) -> Self {
        StoredManifest {
            descriptor: fetched.descriptor,
            document: fetched.document,
        }
    }
}

impl From<crate::host::image_layout::LayoutManifest> for StoredManifest {
    fn from(read: crate::host::image_layout::LayoutManifest) -> Self {
        StoredManifest {
            descriptor: read.descriptor,
            document: read.document,
        }
    }
}
