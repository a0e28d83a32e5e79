//! `keyless sign`: images that exist, one certificate, one bundle for each, attached.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use crate::diagnostic::{Diagnostic, Exit};
use crate::flow::event::{Event, Reporter};
use crate::flow::publish::{self, PublishError, UnwrittenBundle};
use crate::flow::sign::{Payload, SignError, SignedBundle, SigningOptions, prepare};
use crate::format::oci::{Descriptor, Document};
use crate::format::statement::image_signature_payload;
use crate::host::files::OutputFile;
use crate::net::HttpClient;
use crate::net::registry::{
    Attached, DigestReference, ImageReference, RegistryClient, RegistryError, Target,
};
use crate::verify::ExpectedContent;

/// Children of one index that are signed with it; as many as an index may list.
const MAX_CHILDREN: usize = 10_000;

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
    /// Trust material and token.
    pub signing: SigningOptions,
}

/// Why an image was not signed, or its signature not attached.
#[derive(Debug, thiserror::Error)]
pub enum SignImageError {
    /// The image could not be resolved.
    #[error("{0}")]
    Registry(#[from] RegistryError),
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
            SignImageError::Registry(error) => error,
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
    let mut images = Vec::new();
    for reference in &request.images {
        resolve(registry, reference, request.recursive, &mut images, report).await?;
    }
    let preparation = prepare(http, &request.signing, report).await?;
    let payloads: Vec<Payload> = images
        .iter()
        .map(|pinned| Payload::Statement {
            payload: image_signature_payload(&pinned.image.digest(), &request.annotations),
            subject: pinned.image.digest(),
            expected: ExpectedContent::Signature {
                annotations: request.annotations.clone(),
            },
        })
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
            let result = publish::attach(
                registry,
                &image.image,
                &image.descriptor,
                &bundle.json,
                &bundle.verified,
            )
            .await;
            let attached = result.map(Some).map_err(|cause| PublishError {
                image: image.image.to_string(),
                cause: Box::new(cause),
                kept: kept.or_else(|| publish::keep(&image.image.digest(), &bundle.json)),
            });
            SignedImage {
                image,
                bundle,
                attached,
            }
        }
    });
    Ok(join_all(attach).await)
}

/// Looks an image up, once; what it points to now is what will be signed. Each digest is signed once.
pub(super) async fn resolve(
    registry: &RegistryClient,
    reference: &ImageReference,
    recursive: bool,
    images: &mut Vec<PinnedImage>,
    report: Reporter<'_>,
) -> Result<(), RegistryError> {
    let fetched = registry.resolve(reference).await?;
    let repository = fetched.reference.repository().clone();
    if let Target::Tag(_) = reference.target() {
        report(Event::TagResolved {
            reference: reference.to_string(),
            pinned: fetched.reference.to_string(),
        });
    }
    let mut add = |given: String, image: DigestReference, descriptor: Descriptor| {
        if !images.iter().any(|known| known.image == image) {
            images.push(PinnedImage {
                given,
                image,
                descriptor,
            });
        }
    };
    add(
        reference.to_string(),
        fetched.reference.clone(),
        fetched.descriptor.clone(),
    );
    // Children of children too: an index may list indexes.
    let mut pending = vec![fetched.document];
    let mut seen = 0;
    while let Some(document) = pending.pop() {
        let Document::Index(index) = document else {
            continue;
        };
        if !recursive {
            continue;
        }
        for child in &index.manifests {
            seen += 1;
            if seen > MAX_CHILDREN {
                return Err(RegistryError::TooMany {
                    what: "children of an index",
                    limit: MAX_CHILDREN,
                });
            }
            let fetched = registry.manifest(&repository, child).await?;
            add(
                fetched.reference.to_string(),
                fetched.reference.clone(),
                fetched.descriptor.clone(),
            );
            pending.push(fetched.document);
        }
    }
    Ok(())
}
