//! Finding the bundles of an image: the list of referrers, then each manifest and its layer; and what is
//! older than bundles, under tags of its own.
//!
//! However many there are, the requests that wait for each other are three: the list, the manifests, the
//! layers.

use futures_util::future::join_all;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::crypto::Digest;
use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::store::{ImageStore, StoreError};
use crate::format::bundle::{Bundle, BundleError, BundleVersion};
use crate::format::legacy::manifest::EXPERIMENTAL_SIGNATURE;
use crate::format::legacy::{Layer, LegacyError};
use crate::format::oci::{
    ANNOTATION_PREDICATE_TYPE, BUNDLE_TYPE_PREFIX, Descriptor, Document, EMPTY_CONFIG, LegacyTag,
    MAX_LAYERS, Manifest,
};
use crate::format::predicate::WantedType;
use crate::format::statement::COSIGN_SIGN_V1;
use crate::net::registry::RegistryError;

/// Objects that are fetched at a time, over all images of a call, and 64 KiB of what is in memory each.
const UNITS: usize = 128;
/// One unit of the budget, in bytes.
const UNIT: u64 = 64 * 1024;
/// Bytes of bundles that are read for one image, or the largest single one that is allowed; real ones have
/// about 10 KiB.
const IMAGE_BUDGET: u64 = 64 * 1024 * 1024;
/// Referrers of one image that are fetched. What says that it is asked for comes first.
const CANDIDATES: usize = 2000;
/// Bytes of manifests of older signatures that are read for one image; one manifest has a few KiB a signature.
const OLDER_MANIFESTS: u64 = 8 * 1024 * 1024;

/// What all images of one call share: how many requests there may be at a time, and how much in memory.
#[derive(Debug)]
pub struct Budget(Semaphore);

impl Default for Budget {
    fn default() -> Self {
        Budget(Semaphore::new(UNITS))
    }
}

impl Budget {
    /// Waits until something of this size may be fetched. What is larger than the budget waits for all of it.
    pub(super) async fn take(&self, bytes: u64) -> Option<SemaphorePermit<'_>> {
        let units = bytes.div_ceil(UNIT).clamp(1, UNITS as u64) as u32;
        // Never closed; were it, going on without a permit would only take more memory.
        self.0.acquire_many(units).await.ok()
    }
}

/// Form in which a signature was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredForm {
    /// A Sigstore bundle.
    Bundle,
    /// What cosign wrote before there were bundles.
    Legacy,
}

impl StoredForm {
    /// Returns the form's name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            StoredForm::Bundle => "bundle",
            StoredForm::Legacy => "legacy",
        }
    }
}

/// What became of one referrer.
#[derive(Debug)]
pub struct Found<T> {
    /// Digest of the manifest that attaches it.
    pub manifest: Digest,
    /// Form in which it is stored.
    pub form: StoredForm,
    /// What was made of the bundle, or why there is none.
    pub outcome: Result<T, FindError>,
}

/// A bundle as found.
#[derive(Debug)]
pub struct FoundBundle {
    /// Digest of the bundle's bytes; of an older signature, of its layer.
    pub digest: Digest,
    /// The bundle.
    pub bundle: Bundle,
}

/// Why a referrer is no usable bundle.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be had.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// It is none.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// It is an older signature, and cannot be read.
    #[error("{0}")]
    Legacy(#[from] LegacyError),
    /// It is something else.
    #[error("not a Sigstore bundle of version 0.3")]
    NotABundle,
    /// It says that it is an attestation, and was not fetched.
    #[error("this is an attestation, not a signature")]
    Attestation {
        /// Predicate type.
        predicate_type: String,
    },
    /// It says that it is an attestation of another type than is asked for, and was not fetched.
    #[error("an attestation of another type")]
    OtherAttestation {
        /// Predicate type.
        predicate_type: String,
    },
}

impl Diagnostic for FindError {
    fn code(&self) -> &'static str {
        match self {
            FindError::Store(error) => error.code(),
            FindError::Bundle(error) => error.code(),
            FindError::Legacy(error) => error.code(),
            FindError::NotABundle => "not-a-bundle",
            FindError::Attestation { .. } => "not-a-signature",
            FindError::OtherAttestation { .. } => "predicate-type-mismatch",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            FindError::Store(error) => error.exit(),
            FindError::Bundle(error) => error.exit(),
            FindError::Legacy(error) => error.exit(),
            FindError::NotABundle
            | FindError::Attestation { .. }
            | FindError::OtherAttestation { .. } => Exit::NoSignature,
        }
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        match self {
            FindError::Store(error) => error.details(),
            FindError::Bundle(error) => error.details(),
            FindError::Legacy(error) => error.details(),
            FindError::NotABundle => Vec::new(),
            FindError::Attestation { predicate_type }
            | FindError::OtherAttestation { predicate_type } => {
                vec![("found", predicate_type.clone())]
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FindError::Store(error) => error.hint(),
            FindError::Bundle(error) => error.hint(),
            FindError::Legacy(error) => error.hint(),
            FindError::NotABundle
            | FindError::Attestation { .. }
            | FindError::OtherAttestation { .. } => None,
        }
    }
}

/// Every bundle of an image that may be a signature, and what was left out.
#[derive(Debug)]
pub struct Discovery<T> {
    /// Referrers in the registry's order.
    pub found: Vec<Found<T>>,
    /// Set where the list was cut: what is beyond may be the signature.
    pub cut: Option<StoreError>,
    /// Referrers that say they are older signatures; not fetched, see [`discover_legacy`].
    pub older: Vec<Descriptor>,
}

/// Finds an image's signature bundles: one request for the list, two for each candidate. Each bundle is
/// handed to `judge` as it comes and dropped, so that a registry full of large ones fills no memory.
///
/// What the list says about an entry saves fetching what cannot be a signature; whatever it says, nothing
/// is believed because of it.
///
/// # Errors
/// [`StoreError`] if the list cannot be had.
pub async fn discover<T>(
    store: &ImageStore<'_>,
    image: &Digest,
    budget: &Budget,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, StoreError> {
    let passed_over = |descriptor: &Descriptor| other_type(descriptor).or(attestation(descriptor));
    search(store, image, budget, passed_over, judge).await
}

/// Finds every bundle of an image, attestations too, for whoever wants to see what is there.
///
/// # Errors
/// As [`discover`].
pub async fn discover_all<T>(
    store: &ImageStore<'_>,
    image: &Digest,
    budget: &Budget,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, StoreError> {
    search(store, image, budget, other_type, judge).await
}

/// Finds an image's signature bundles, and attestations of these predicate types: requests as [`discover`].
///
/// # Errors
/// As [`discover`].
pub async fn discover_wanted<T>(
    store: &ImageStore<'_>,
    image: &Digest,
    budget: &Budget,
    wanted: &[&WantedType],
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, StoreError> {
    let unwanted = |descriptor: &Descriptor| {
        let error = attestation(descriptor)?;
        let said = descriptor.annotations.get(ANNOTATION_PREDICATE_TYPE)?;
        match (error, wanted) {
            _ if wanted.iter().any(|wanted| wanted.meets(said)) => None,
            (FindError::Attestation { predicate_type }, [_, ..]) => {
                Some(FindError::OtherAttestation { predicate_type })
            }
            (error, _) => Some(error),
        }
    };
    let passed_over = |descriptor: &Descriptor| other_type(descriptor).or(unwanted(descriptor));
    search(store, image, budget, passed_over, judge).await
}

async fn search<T>(
    store: &ImageStore<'_>,
    image: &Digest,
    budget: &Budget,
    passed_over: impl Fn(&Descriptor) -> Option<FindError>,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Discovery<T>, StoreError> {
    let referrers = store.referrers(image).await?;
    let cut = referrers.cut;
    let (older, listed): (Vec<_>, Vec<_>) =
        referrers.descriptors.into_iter().partition(is_older_form);
    let passed: Vec<Option<FindError>> = listed.iter().map(&passed_over).collect();
    let beyond = beyond_candidates(&listed, &passed);
    let cut = cut.or_else(|| beyond.contains(&true).then(too_many_candidates));
    // A future for each that is fetched, and for no other: ten thousand of them take more than they fetch.
    let fetched = (0..listed.len()).filter(|i| passed[*i].is_none() && !beyond[*i]);
    let fetched = join_all(fetched.map(|i| bundle_layer(store, &listed[i], budget))).await;
    let mut fetched = fetched.into_iter();
    let layers = passed.into_iter().zip(beyond).map(|(passed, is_beyond)| {
        let beyond = || FindError::from(too_many_candidates());
        match passed {
            Some(error) => Err(error),
            None if is_beyond => Err(beyond()),
            None => fetched.next().unwrap_or_else(|| Err(beyond())),
        }
    });
    let layers = layers.collect();
    let outcomes = fetch_layers(store, layers, budget, |layer, json| {
        let bundle = Bundle::parse_bounded(json, json.len())?;
        if bundle.version < BundleVersion::V03 {
            return Err(FindError::NotABundle);
        }
        Ok(judge(FoundBundle {
            digest: layer.digest,
            bundle,
        }))
    })
    .await;
    let manifests = listed.into_iter().map(|descriptor| descriptor.digest);
    Ok(Discovery {
        found: manifests
            .zip(outcomes)
            .map(|(manifest, outcome)| Found {
                manifest,
                form: StoredForm::Bundle,
                outcome,
            })
            .collect(),
        cut,
        older,
    })
}

fn too_many_candidates() -> StoreError {
    StoreError::Registry(RegistryError::TooMany {
        what: "referrers that may be signatures",
        limit: CANDIDATES,
    })
}

/// Marks the referrers that are not fetched because enough others are; first come those that say what they are.
fn beyond_candidates(listed: &[Descriptor], passed: &[Option<FindError>]) -> Vec<bool> {
    let says = |i: &usize| {
        let annotations = &listed[*i].annotations;
        annotations.contains_key(ANNOTATION_PREDICATE_TYPE)
    };
    let mut order: Vec<usize> = (0..listed.len()).filter(|i| passed[*i].is_none()).collect();
    order.sort_by_key(|i| !says(i));
    let mut beyond = vec![false; listed.len()];
    for i in order.into_iter().skip(CANDIDATES) {
        beyond[i] = true;
    }
    beyond
}

/// Finds what is older than bundles: under these tags of the image, and among `older`, the referrers of
/// [`Discovery::older`]. One request for each manifest, one for each layer.
///
/// # Errors
/// [`StoreError`] if a tag cannot be asked for; one that is not there holds nothing.
pub async fn discover_legacy<T>(
    store: &ImageStore<'_>,
    image: &Digest,
    tags: &[LegacyTag],
    older: &[Descriptor],
    budget: &Budget,
    judge: impl Fn(FoundBundle) -> T,
) -> Result<Vec<Found<T>>, StoreError> {
    let tagged = join_all(tags.iter().map(|tag| async {
        let _permit = budget.take(UNIT).await;
        store.tagged(image, *tag).await
    }));
    let mut spent: u64 = 0;
    let referring = join_all(older.iter().map(|descriptor| {
        spent = spent.saturating_add(descriptor.size);
        let is_beyond = spent > OLDER_MANIFESTS;
        async move {
            if is_beyond {
                return Err(StoreError::Registry(RegistryError::TooMany {
                    what: "bytes of manifests of older signatures",
                    limit: OLDER_MANIFESTS as usize,
                }));
            }
            let _permit = budget.take(descriptor.size).await;
            store.referrer(descriptor).await
        }
    }));
    let (tagged, referring) = tokio::join!(tagged, referring);
    let mut found: Vec<Found<T>> = Vec::new();
    let mut manifests: Vec<(Digest, Manifest)> = Vec::new();
    let mut fetched: Vec<(Digest, Result<Document, StoreError>)> = Vec::new();
    for tagged in tagged {
        if let Some(tagged) = tagged? {
            fetched.push((tagged.descriptor.digest, Ok(tagged.document)));
        }
    }
    for (descriptor, referring) in older.iter().zip(referring) {
        fetched.push((descriptor.digest, referring.map(|found| found.document)));
    }
    let mut fail = |manifest, error| {
        found.push(Found {
            manifest,
            form: StoredForm::Legacy,
            outcome: Err(error),
        });
    };
    for (digest, document) in fetched {
        match document {
            Ok(Document::Manifest(manifest)) => manifests.push((digest, manifest)),
            Ok(Document::Index(_)) => fail(digest, FindError::NotABundle),
            Err(error) => fail(digest, error.into()),
        }
    }
    // One signature may hang at an image in both ways; it is judged once.
    let mut layers: Vec<(Digest, Descriptor)> = Vec::new();
    for (digest, manifest) in &manifests {
        for layer in manifest.legacy_layers() {
            if layers.iter().any(|(_, known)| known == layer) {
                continue;
            }
            if layers.len() == MAX_LAYERS {
                let error = StoreError::Registry(RegistryError::TooMany {
                    what: "older signatures",
                    limit: MAX_LAYERS,
                });
                fail(*digest, error.into());
                break;
            }
            layers.push((*digest, layer.clone()));
        }
    }
    let wanted = layers.iter().map(|(_, layer)| Ok(layer.clone())).collect();
    let outcomes = fetch_layers(store, wanted, budget, |descriptor, content| {
        let layer = Layer {
            descriptor: descriptor.clone(),
            content: content.to_vec(),
        };
        Ok(judge(FoundBundle {
            digest: descriptor.digest,
            bundle: layer.bundle()?,
        }))
    })
    .await;
    let judged = layers.into_iter().zip(outcomes);
    found.extend(judged.map(|((manifest, _), outcome)| Found {
        manifest,
        form: StoredForm::Legacy,
        outcome,
    }));
    Ok(found)
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

/// Tells an entry that says it is a signature of cosign's experimental OCI 1.1 mode.
fn is_older_form(descriptor: &Descriptor) -> bool {
    descriptor.artifact_type.as_deref() == Some(EXPERIMENTAL_SIGNATURE)
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

/// Fetches a referrer's manifest and returns its layer, if that is a bundle's.
async fn bundle_layer(
    store: &ImageStore<'_>,
    descriptor: &Descriptor,
    budget: &Budget,
) -> Result<Descriptor, FindError> {
    let _permit = budget.take(descriptor.size).await;
    let fetched = store.referrer(descriptor).await?;
    let Document::Manifest(manifest) = fetched.document else {
        return Err(FindError::NotABundle);
    };
    let layer = manifest.bundle_layer().ok_or(FindError::NotABundle)?;
    // What else is said of it takes memory, and nothing reads it.
    Ok(layer.bare())
}

/// Fetches layers and hands each to `read`; the outcomes are in the layers' order. What several name is fetched
/// once. Small ones come first where not all may be fetched: what is large is no reason to pass over what is
/// not.
async fn fetch_layers<T>(
    store: &ImageStore<'_>,
    layers: Vec<Result<Descriptor, FindError>>,
    budget: &Budget,
    read: impl Fn(&Descriptor, &[u8]) -> Result<T, FindError>,
) -> Vec<Result<T, FindError>> {
    let limit = store.limits().bundle;
    let allowed = IMAGE_BUDGET.max(2 * limit);
    let mut wanted: Vec<(&Descriptor, Vec<usize>)> = Vec::new();
    for (i, layer) in layers.iter().enumerate() {
        let Ok(layer) = layer else { continue };
        let is_same = |known: &Descriptor| known.digest == layer.digest && known.size == layer.size;
        match wanted.iter_mut().find(|(known, _)| is_same(known)) {
            Some((_, places)) => places.push(i),
            None => wanted.push((layer, vec![i])),
        }
    }
    wanted.sort_by_key(|(layer, _)| layer.size);
    let mut spent: u64 = 0;
    let fetch = wanted.iter().map(|(layer, places)| {
        if layer.size <= limit {
            spent = spent.saturating_add(layer.size);
        }
        let is_beyond = layer.size <= limit && spent > allowed;
        let (read, layers) = (&read, &layers);
        async move {
            let fetched = if is_beyond {
                Err(StoreError::Registry(RegistryError::TooMany {
                    what: "bytes of bundles",
                    limit: allowed as usize,
                }))
            } else {
                let _permit = budget.take(layer.size.min(limit)).await;
                store.layer(layer, limit).await
            };
            let outcomes = places.iter().map(|i| {
                let outcome = match (&fetched, &layers[*i]) {
                    (Ok(content), Ok(layer)) => read(layer, content),
                    (Err(error), _) => Err(error.clone().into()),
                    (Ok(_), Err(_)) => Err(FindError::NotABundle),
                };
                (*i, outcome)
            });
            outcomes.collect::<Vec<_>>()
        }
    });
    let mut read: Vec<(usize, Result<T, FindError>)> =
        join_all(fetch).await.into_iter().flatten().collect();
    drop(wanted);
    let unfetched = layers.into_iter().enumerate();
    read.extend(unfetched.filter_map(|(i, layer)| Some((i, Err(layer.err()?)))));
    read.sort_by_key(|(i, _)| *i);
    read.into_iter().map(|(_, outcome)| outcome).collect()
}
