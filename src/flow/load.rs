//! `keyless load`: an image with everything attached, from a layout on disk into a registry.

use std::path::Path;
use std::sync::Arc;

use crate::flow::copy::{Copied, WHOLE};
use crate::flow::event::Reporter;
use crate::flow::push::{PushError, Selection, push};
use crate::flow::survey::{Origin, survey};
use crate::host::image_layout::{ImageLayout, LayoutImage};
use crate::net::registry::{ImageReference, RegistryClient};

/// What is loaded, and where.
#[derive(Debug)]
pub struct LoadRequest<'a> {
    /// The layout.
    pub folder: &'a Path,
    /// Name or digest of one of its images, where it has several.
    pub name: Option<&'a str>,
    /// Where it goes.
    pub destination: ImageReference,
    /// Whether tags may be pointed elsewhere.
    pub force: bool,
}

/// Loads an image. Digests are recomputed over everything that is sent.
///
/// # Errors
/// [`PushError`].
pub async fn load(
    registry: &RegistryClient,
    request: &LoadRequest<'_>,
    report: Reporter<'_>,
) -> Result<Copied, PushError> {
    let layout = ImageLayout::open(request.folder)?;
    let image = which(&layout, request.name)?;
    let origin = Origin::Layout(Arc::new(layout));
    let held = origin.manifest(&image.descriptor).await?;
    let survey = survey(origin, held, WHOLE).await?;
    let selection = Selection {
        force: request.force,
        ..Selection::default()
    };
    let done = push(&survey, registry, &request.destination, &selection, report).await?;
    Ok(Copied { survey, done })
}

fn which(layout: &ImageLayout, name: Option<&str>) -> Result<LayoutImage, PushError> {
    let mut images = layout.images()?;
    let ambiguous = |images: &[LayoutImage]| PushError::WhichImage {
        path: layout.path().display().to_string(),
        count: images.len(),
        found: images
            .iter()
            .take(20)
            .map(|image| match &image.name {
                Some(name) => format!("{name} ({})", image.descriptor.digest),
                None => image.descriptor.digest.to_string(),
            })
            .collect(),
    };
    if let Some(wanted) = name {
        let all = images.clone();
        images.retain(|image| {
            image.name.as_deref() == Some(wanted) || image.descriptor.digest.to_string() == wanted
        });
        if images.is_empty() {
            return Err(ambiguous(&all));
        }
    }
    // One image by two names is one image.
    images.dedup_by_key(|image| image.descriptor.digest);
    match images.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(ambiguous(&images)),
    }
}
