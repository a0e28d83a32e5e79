//! `keyless sign`: images that exist, one certificate, one bundle for each, attached.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::discover::Budget;
use crate::flow::event::{Event, Reporter, Stage};
use crate::flow::image_tree;
use crate::flow::publish::{self, PublishError, UnwrittenBundle};
use crate::flow::sign::{Payload, SignError, SignatureForm, SignedBundle, SigningOptions, prepare};
use crate::flow::store::{ImageStore, StoreError};
use crate::format::legacy::SimpleSigning;
use crate::format::oci::Descriptor;
use crate::format::statement::image_signature_payload;
use crate::host::files::OutputFile;
use crate::net::HttpClient;
use crate::net::registry::{Attached, DigestReference, ImageReference, RegistryClient, Target};
use crate::verify::ExpectedContent;

/// What `keyless sign` is asked to do.
#[derive(Debug)]
pub struct SignImageRequest {
    /// Images as given.
    pub images: Vec<ImageReference>,
    /// Annotations of each signature.
    pub annotations: BTreeMap<String, String>,
    /// Sign an index and everything it lists.
    pub recursive: bool,
    /// Where to write the bundles; several as JSON lines.
    pub bundle: Option<OutputFile>,
    /// Whether to attach the bundles.
    pub upload: bool,
    /// Images that are looked up, or attached to, at a time.
    pub jobs: usize,
    /// Trust material and token.
    pub signing: SigningOptions,
}

/// Why an image was not signed, or its signature not attached.
#[derive(Debug, thiserror::Error)]
pub enum SignImageError {
    /// The image could not be looked up.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Signing stopped; nothing was published.
    #[error("{0}")]
    Sign(#[from] SignError),
    /// The bundle file could not be written; nothing was published.
    #[error("{0}")]
    Unwritten(#[from] UnwrittenBundle),
    /// Signatures were made and some could not be attached.
    #[error("{0}")]
    Publish(#[from] PublishError),
}

impl SignImageError {
    fn inner(&self) -> &dyn Diagnostic {
        match self {
            SignImageError::Store(error) => error,
            SignImageError::Sign(error) => error,
            SignImageError::Unwritten(error) => error,
            SignImageError::Publish(error) => error,
        }
    }
}

impl Diagnostic for SignImageError {
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

/// One image, pinned to what it was when it was looked up.
#[derive(Debug, Clone)]
pub struct PinnedImage {
    /// As given; for a child, the index's with the child's digest.
    pub given: String,
    /// Repository and digest.
    pub image: DigestReference,
    /// Media type, size and digest.
    pub descriptor: Descriptor,
}

/// What happened to one image.
#[derive(Debug)]
pub struct SignedImage {
    /// The image.
    pub image: PinnedImage,
    /// The bundle and our verdict on it.
    pub bundle: SignedBundle,
    /// How it was attached; `None` if that was not asked for.
    pub attached: Result<Option<Attached>, PublishError>,
}

impl SignedImage {
    /// Returns the exit code of this image alone.
    pub fn exit(&self) -> Exit {
        match &self.attached {
            Ok(_) => Exit::Accepted,
            Err(error) => error.exit(),
        }
    }
}

/// Signs images.
///
/// # Errors
/// [`SignImageError`] where nothing was published; failures to attach are in each [`SignedImage`].
pub async fn sign_images(
    http: &HttpClient,
    registry: &RegistryClient,
    request: SignImageRequest,
    report: Reporter<'_>,
) -> Result<Vec<SignedImage>, SignImageError> {
    let images = look_up(
        registry,
        &request.images,
        request.recursive,
        request.jobs,
        report,
    )
    .await?;
    let preparation = prepare(http, &request.signing, report).await?;
    let payloads: Vec<Payload> = images
        .iter()
        .map(|pinned| payload(&request, pinned))
        .collect();
    let bundles = preparation.sign(&payloads, report).await?;
    let kept = request
        .bundle
        .as_ref()
        .map(|output| output.path().to_owned());
    if let Some(output) = request.bundle {
        let lines: Vec<&str> = bundles.iter().map(|bundle| bundle.json.as_str()).collect();
        let text = format!("{}\n", lines.join("\n"));
        output
            .write(text.as_bytes())
            .map_err(|error| UnwrittenBundle::keep(error, &images[0].image.digest(), &text))?;
    }
    let (total, done, failed) = (images.len(), AtomicUsize::new(0), AtomicUsize::new(0));
    let (done, failed) = (&done, &failed);
    let attach = images.into_iter().zip(bundles).map(|(image, bundle)| {
        let kept = kept.clone();
        async move {
            if !request.upload {
                return SignedImage {
                    image,
                    bundle,
                    attached: Ok(None),
                };
            }
            report(Event::Attaching {
                image: image.image.to_string(),
            });
            let result = publish::attach(registry, &image.image, &image.descriptor, &bundle).await;
            let attached = result
                .map(Some)
                .map_err(|cause| PublishError::of(&image.image, cause, &bundle, kept));
            let is_failed = usize::from(attached.is_err());
            report(Event::Progress {
                stage: Stage::Attached,
                done: done.fetch_add(1, Ordering::Relaxed) + 1,
                total,
                refused: failed.fetch_add(is_failed, Ordering::Relaxed) + is_failed,
            });
            SignedImage {
                image,
                bundle,
                attached,
            }
        }
    });
    Ok(stream::iter(attach)
        .buffered(request.jobs.max(1))
        .collect()
        .await)
}

/// Writes what is to be signed about an image.
fn payload(request: &SignImageRequest, image: &PinnedImage) -> Payload {
    let subject = image.image.digest();
    let annotations = request.annotations.clone();
    let expected = ExpectedContent::Signature {
        annotations: annotations.clone(),
    };
    match request.signing.form {
        SignatureForm::Bundle => Payload::Statement {
            payload: image_signature_payload(&subject, &annotations),
            subject,
            expected,
        },
        SignatureForm::Legacy => Payload::SimpleSigning {
            payload: SimpleSigning {
                docker_reference: image.image.repository().to_string(),
                digest: subject,
                annotations,
            }
            .encode(),
            subject,
            expected,
        },
    }
}

/// Looks images up, each once; what each points to now is what will be signed. Each digest of a repository is
/// there once; an index comes before what it lists.
///
/// # Errors
/// [`StoreError`], of the first image that cannot be looked up.
pub async fn look_up(
    registry: &RegistryClient,
    references: &[ImageReference],
    recursive: bool,
    jobs: usize,
    report: Reporter<'_>,
) -> Result<Vec<PinnedImage>, StoreError> {
    let budget = Budget::default();
    let (budget, done) = (&budget, &AtomicUsize::new(0));
    let found = references.iter().map(|reference| async move {
        let images = resolve(registry, reference, recursive, budget, report).await?;
        report(Event::Progress {
            stage: Stage::LookedUp,
            done: done.fetch_add(1, Ordering::Relaxed) + 1,
            total: references.len(),
            refused: 0,
        });
        Ok::<_, StoreError>(images)
    });
    let found: Vec<Vec<PinnedImage>> = stream::iter(found)
        .buffered(jobs.max(1))
        .try_collect()
        .await?;
    let mut known = HashSet::new();
    let images = found.into_iter().flatten();
    let images = images
        .filter(|image| known.insert(image.image.clone()))
        .collect();
    Ok(images)
}

async fn resolve(
    registry: &RegistryClient,
    reference: &ImageReference,
    recursive: bool,
    budget: &Budget,
    report: Reporter<'_>,
) -> Result<Vec<PinnedImage>, StoreError> {
    let fetched = registry.resolve(reference).await?;
    if let Target::Tag(_) = reference.target() {
        report(Event::TagResolved {
            reference: reference.to_string(),
            pinned: fetched.reference.to_string(),
        });
    }
    let image = fetched.reference.clone();
    let mut images = vec![PinnedImage {
        given: reference.to_string(),
        image: image.clone(),
        descriptor: fetched.descriptor.clone(),
    }];
    if recursive {
        let store = ImageStore::registry(registry, &image);
        let children = image_tree::children(&store, &fetched.into(), budget).await?;
        // What is signed must be there: an index may list what nobody has pushed.
        let checked = children.into_iter().map(|child| {
            let store = &store;
            async move {
                let _permit = budget.take(child.descriptor.size).await;
                store.child(&child.descriptor).await?;
                Ok::<_, StoreError>(child.descriptor)
            }
        });
        for descriptor in try_join_all(checked).await? {
            let image = DigestReference::new(image.repository().clone(), descriptor.digest);
            images.push(PinnedImage {
                given: image.to_string(),
                image,
                descriptor,
            });
        }
    }
    Ok(images)
}
