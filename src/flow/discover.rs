//! Finding the bundles of an image: the list of referrers, then each manifest and its layer.

use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Semaphore;

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::format::bundle::{Bundle, BundleError, BundleVersion};
use crate::format::oci::{
    ANNOTATION_PREDICATE_TYPE, BUNDLE_TYPE_PREFIX, Descriptor, Document, EMPTY_CONFIG,
};
use crate::format::statement::COSIGN_SIGN_V1;
use crate::net::registry::{DigestReference, RegistryClient, RegistryError};

/// Objects of one image that are fetched at a time.
const CONCURRENCY: usize = 16;
/// Bytes of bundles that are in memory at a time, over all images of a call; in units of [`UNIT`].
const UNITS: usize = 16;
/// One unit of the budget, in bytes.
const UNIT: u64 = 1024 * 1024;
/// Bytes of bundles that are read for one image; real ones have about 10 KiB.
const IMAGE_BUDGET: u64 = 64 * 1024 * 1024;

/// What all images of one call share: how much may be in memory.
#[derive(Debug)]
pub struct Budget(Semaphore);

impl Default for Budget {
    fn default() -> Self {
        Budget(Semaphore::new(UNITS))
    }
}

/// What became of one referrer.
#[derive(Debug)]
pub struct Found<T> {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// What was made of the bundle, or why there is none.
    pub outcome: Result<T, FindError>,
}

/// A bundle as found.
#[derive(Debug)]
pub struct FoundBundle {
    /// Digest of the bundle's bytes.
    pub digest: Digest,
    /// The bundle.
    pub bundle: Bundle,
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

impl Diagnostic for FindError {
    fn code(&self) -> &'static str {
        match self {
            FindError::Registry(error) => error.code(),
            FindError::Bundle(error) => error.code(),
            FindError::NotABundle => "not-a-bundle",
            FindError::Attestation { .. } => "not-a-signature",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            FindError::Registry(error) => error.exit(),
            FindError::Bundle(error) => error.exit(),
            FindError::NotABundle | FindError::Attestation { .. } => Exit::NoSignature,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            FindError::Registry(error) => error.details(),
            FindError::Bundle(error) => error.details(),
            FindError::NotABundle => Vec::new(),
            FindError::Attestation { predicate_type } => vec![("found", predicate_type.clone())],
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FindError::Registry(error) => error.hint(),
            FindError::Bundle(error) => error.hint(),
            FindError::NotABundle | FindError::Attestation { .. } => None,
        }
    }
}

/// Every bundle of an image that may be a signature, and what was left out.
#[derive(Debug)]
pub struct Discovery<T> {
    /// Referrers in the registry's order.
    pub found: Vec<Found<T>>,
    /// Set where the list was cut: what is beyond may be the signature.
    pub cut: Option<RegistryError>,
}

/// Finds an image's signature bundles: one request for the list, two for each candidate. Each bundle is
/// handed to `judge` as it comes and dropped, so that a registry full of large ones fills no memory.
///
/// What the list says about an entry saves fetching what cannot be a signature; whatever it says, nothing
/// is believed because of it.
///
/// # Errors
/// [`RegistryError`] if the list cannot be had.
pub async fn discover<T>(
    registry: &RegistryClient,
    image: &DigestReference,
    budget: &Budget,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, RegistryError> {
    let passed_over = |descriptor: &Descriptor| other_type(descriptor).or(attestation(descriptor));
    search(registry, image, budget, passed_over, judge).await
}

/// Finds every bundle of an image, attestations too, for whoever wants to see what is there.
///
/// # Errors
/// As [`discover`].
pub async fn discover_all<T>(
    registry: &RegistryClient,
    image: &DigestReference,
    budget: &Budget,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, RegistryError> {
    search(registry, image, budget, other_type, judge).await
}

/// Finds an image's signature bundles, and attestations of these predicate types: requests as [`discover`].
///
/// # Errors
/// As [`discover`].
pub async fn discover_wanted<T>(
    registry: &RegistryClient,
    image: &DigestReference,
    budget: &Budget,
    predicate_types: &[&str],
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, RegistryError> {
    let unwanted = |descriptor: &Descriptor| {
        attestation(descriptor).filter(|_| {
            let said = descriptor.annotations.get(ANNOTATION_PREDICATE_TYPE);
            !said.is_some_and(|said| predicate_types.contains(&said.as_str()))
        })
    };
    let passed_over = |descriptor: &Descriptor| other_type(descriptor).or(unwanted(descriptor));
    search(registry, image, budget, passed_over, judge).await
}

async fn search<T>(
    registry: &RegistryClient,
    image: &DigestReference,
    budget: &Budget,
    passed_over: impl Fn(&Descriptor) -> Option<FindError>,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, RegistryError> {
    let referrers = registry.referrers(image, None).await?;
    let cut = referrers.too_many();
    let spent = AtomicU64::new(0);
    let found = stream::iter(referrers.descriptors)
        .map(|descriptor| {
            let (spent, judge, passed_over) = (&spent, &judge, &passed_over);
            async move {
                let manifest = descriptor.digest;
                let outcome = match passed_over(&descriptor) {
                    Some(error) => Err(error),
                    None => fetch(registry, image, &descriptor, budget, spent, judge).await,
                };
                Found { manifest, outcome }
            }
        })
        .buffered(CONCURRENCY)
        .collect()
        .await;
    Ok(Discovery { found, cut })
}

/// Judges an entry by what the list says. cosign writes the config's type into fallback indexes, so that
/// type says nothing.
fn other_type(descriptor: &Descriptor) -> Option<FindError> {
    let artifact_type = descriptor.artifact_type.as_deref().unwrap_or_default();
    let may_be_bundle = artifact_type.is_empty()
        || artifact_type == EMPTY_CONFIG
        || artifact_type.starts_with(BUNDLE_TYPE_PREFIX);
    (!may_be_bundle).then_some(FindError::NotABundle)
}

/// Tells an entry that says it is an attestation.
fn attestation(descriptor: &Descriptor) -> Option<FindError> {
    match descriptor.annotations.get(ANNOTATION_PREDICATE_TYPE) {
        Some(predicate_type) if predicate_type != COSIGN_SIGN_V1 => Some(FindError::Attestation {
            predicate_type: predicate_type.chars().take(200).collect(),
        }),
        _ => None,
    }
}

async fn fetch<T>(
    registry: &RegistryClient,
    image: &DigestReference,
    descriptor: &Descriptor,
    budget: &Budget,
    spent: &AtomicU64,
    judge: &impl Fn(FoundBundle) -> T,
) -> Result<T, FindError> {
    let fetched = registry.manifest(image.repository(), descriptor).await?;
    let Document::Manifest(manifest) = fetched.document else {
        return Err(FindError::NotABundle);
    };
    let layer = manifest.bundle_layer().ok_or(FindError::NotABundle)?;
    let limit = registry.options().limits.bundle;
    if layer.size <= limit
        && spent.fetch_add(layer.size, Ordering::Relaxed) + layer.size > IMAGE_BUDGET.max(2 * limit)
    {
        return Err(RegistryError::TooMany {
            what: "bytes of bundles",
            limit: IMAGE_BUDGET.max(2 * limit) as usize,
        }
        .into());
    }
    let units = layer.size.div_ceil(UNIT).clamp(1, UNITS as u64) as u32;
    // Never closed; were it, going on without a permit would only take more memory.
    let _permit = budget.0.acquire_many(units).await;
    let json = registry.blob(image.repository(), layer, limit).await?;
    let bundle = Bundle::parse_bounded(&json, json.len())?;
    if bundle.version < BundleVersion::V03 {
        return Err(FindError::NotABundle);
    }
    Ok(judge(FoundBundle {
        digest: layer.digest,
        bundle,
    }))
}
