//! Finding the bundles of an image: the list of referrers, then each manifest and its layer.

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::crypto::Digest;
use crate::diagnostic::Diagnostic;
use crate::format::bundle::{Bundle, BundleError, BundleVersion};
use crate::format::oci::{
    ANNOTATION_PREDICATE_TYPE, BUNDLE_TYPE_PREFIX, Descriptor, Document, EMPTY_CONFIG,
};
use crate::format::statement::COSIGN_SIGN_V1;
use crate::net::registry::{DigestReference, RegistryClient, RegistryError};

/// Objects of one image that are fetched at a time.
const CONCURRENCY: usize = 16;

/// What became of one referrer.
#[derive(Debug)]
pub struct Found {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// The bundle, or why there is none.
    pub bundle: Result<FoundBundle, FindError>,
}

/// A bundle as found.
#[derive(Debug)]
pub struct FoundBundle {
    /// Digest of the bundle's bytes.
    pub digest: Digest,
    /// The bundle.
    pub bundle: Bundle,
    /// Its bytes.
    pub json: Vec<u8>,
}

/// Why a referrer is no usable bundle.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be fetched.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// It is none.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// It is something else.
    #[error("not a Sigstore bundle of version 0.3")]
    NotABundle,
    /// It says that it is an attestation, and was not fetched.
    #[error("this is an attestation, not a signature")]
    Attestation {
        /// Predicate type.
        predicate_type: String,
    },
}

impl FindError {
    /// Returns the error's stable name.
    pub fn code(&self) -> &'static str {
        match self {
            FindError::Registry(error) => error.code(),
            FindError::Bundle(error) => error.code(),
            FindError::NotABundle => "not-a-bundle",
            FindError::Attestation { .. } => "not-a-signature",
        }
    }
}

/// Every bundle of an image that may be a signature, and what was left out.
#[derive(Debug)]
pub struct Discovery {
    /// Referrers in the registry's order.
    pub found: Vec<Found>,
    /// Set where the list was cut: what is beyond may be the signature.
    pub cut: Option<RegistryError>,
}

/// Finds an image's signature bundles: one request for the list, two for each candidate.
///
/// What the list says about an entry saves fetching what cannot be a signature; whatever it says, nothing
/// is believed because of it.
///
/// # Errors
/// [`RegistryError`] if the list cannot be had.
pub async fn discover(
    registry: &RegistryClient,
    image: &DigestReference,
) -> Result<Discovery, RegistryError> {
    let referrers = registry.referrers(image, None).await?;
    let cut = referrers.too_many();
    let found = stream::iter(referrers.descriptors)
        .map(|descriptor| async move {
            let manifest = descriptor.digest;
            let bundle = match passed_over(&descriptor) {
                Some(error) => Err(error),
                None => fetch(registry, image, &descriptor).await,
            };
            Found { manifest, bundle }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    Ok(Discovery { found, cut })
}

/// Judges an entry by what the list says. cosign writes the config's type into fallback indexes, so that
/// type says nothing.
fn passed_over(descriptor: &Descriptor) -> Option<FindError> {
    let artifact_type = descriptor.artifact_type.as_deref().unwrap_or_default();
    let may_be_bundle = artifact_type.is_empty()
        || artifact_type == EMPTY_CONFIG
        || artifact_type.starts_with(BUNDLE_TYPE_PREFIX);
    if !may_be_bundle {
        return Some(FindError::NotABundle);
    }
    match descriptor.annotations.get(ANNOTATION_PREDICATE_TYPE) {
        Some(predicate_type) if predicate_type != COSIGN_SIGN_V1 => Some(FindError::Attestation {
            predicate_type: predicate_type.chars().take(200).collect(),
        }),
        _ => None,
    }
}

async fn fetch(
    registry: &RegistryClient,
    image: &DigestReference,
    descriptor: &Descriptor,
) -> Result<FoundBundle, FindError> {
    let fetched = registry.manifest(image.repository(), descriptor).await?;
    let Document::Manifest(manifest) = fetched.document else {
        return Err(FindError::NotABundle);
    };
    let layer = manifest.bundle_layer().ok_or(FindError::NotABundle)?;
    let json = registry
        .blob(image.repository(), layer, registry.options().limits.bundle)
        .await?;
    let bundle = Bundle::parse(&json)?;
    if bundle.version < BundleVersion::V03 {
        return Err(FindError::NotABundle);
    }
    Ok(FoundBundle {
        digest: layer.digest,
        bundle,
        json: json.to_vec(),
    })
}
