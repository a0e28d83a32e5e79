//! `keyless attest`: images that exist, one certificate, one statement and one bundle for each, attached.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt as _, stream};

use crate::flow::attest::{AttestError, Attested, Named, warning};
use crate::flow::event::{Event, Reporter, Stage};
use crate::flow::publish::{self, PublishError, UnwrittenBundle};
use crate::flow::sign::{SignedBundle, SigningOptions, prepare};
use crate::flow::sign_image::{PinnedImage, SignedImage, look_up};
use crate::host::files::OutputFile;
use crate::net::HttpClient;
use crate::net::registry::{ImageReference, RegistryClient};

/// What `keyless attest` is asked to do.
#[derive(Debug)]
pub struct AttestImageRequest {
    /// Images as given.
    pub images: Vec<ImageReference>,
    /// What is attested of each.
    pub attested: Attested,
    /// Attest an index and everything it lists.
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

/// Attests images.
///
/// # Errors
/// [`AttestError`] where nothing was published; failures to attach are in each [`SignedImage`].
pub async fn attest_images(
    http: &HttpClient,
    registry: &RegistryClient,
    request: AttestImageRequest,
    report: Reporter<'_>,
) -> Result<Vec<SignedImage>, AttestError> {
    request.attested.check()?;
    if let Some(text) = warning(&request.attested) {
        report(Event::Warning {
            text: text.to_owned(),
        });
    }
    let images = look_up(
        registry,
        &request.images,
        request.recursive,
        request.jobs,
        report,
    )
    .await?;
    let limit = registry.options().limits.bundle;
    let payloads = images
        .iter()
        .map(|pinned| request.attested.payload(&[named(pinned)], limit))
        .collect::<Result<Vec<_>, _>>()?;
    let preparation = prepare(http, &request.signing, report).await?;
    let bundles = preparation.sign(&payloads, report).await?;
    drop(payloads);
    let kept = request
        .bundle
        .as_ref()
        .map(|output| output.path().to_owned());
    if let Some(output) = request.bundle {
        let mut text = String::new();
        for bundle in &bundles {
            text.push_str(&bundle.json);
            text.push('\n');
        }
        output
            .write(text.as_bytes())
            .map_err(|error| UnwrittenBundle::keep(error, &images[0].image.digest(), &text))?;
    }
    let total = images.len();
    let (done, failed) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    let attach = images.into_iter().zip(bundles).map(|(image, bundle)| {
        let kept = kept.clone();
        async move {
            let attached = match request.upload {
                false => Ok(None),
                true => attach(registry, &image, &bundle, kept, report).await,
            };
            if request.upload {
                let is_failed = usize::from(attached.is_err());
                report(Event::Progress {
                    stage: Stage::Attached,
                    done: done.fetch_add(1, Ordering::Relaxed) + 1,
                    total,
                    refused: failed.fetch_add(is_failed, Ordering::Relaxed) + is_failed,
                });
            }
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

/// The subject of an image's statement: its repository, and its digest.
fn named(pinned: &PinnedImage) -> Named {
    let name = pinned.image.repository().to_string();
    (name, pinned.image.digest())
}

async fn attach(
    registry: &RegistryClient,
    image: &PinnedImage,
    bundle: &SignedBundle,
    kept: Option<std::path::PathBuf>,
    report: Reporter<'_>,
) -> Result<Option<crate::net::registry::Attached>, PublishError> {
    report(Event::Attaching {
        image: image.image.to_string(),
    });
    let result = publish::attach(registry, &image.image, &image.descriptor, bundle).await;
    result
        .map(Some)
        .map_err(|cause| PublishError::of(&image.image, cause, bundle, kept))
}
