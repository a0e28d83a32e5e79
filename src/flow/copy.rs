//! `keyless copy`: an image with everything attached, from one registry to another.

use crate::flow::event::{Event, Reporter};
use crate::flow::push::{Done, PushError, Selection, push};
use crate::flow::survey::{Extent, Held, Origin, Survey, choose, survey};
use crate::format::oci::PlatformFilter;
use crate::net::registry::{ImageReference, RegistryClient, Target};

/// What is copied, and where.
#[derive(Debug)]
pub struct CopyRequest {
    /// The image.
    pub source: ImageReference,
    /// Where it goes.
    pub destination: ImageReference,
    /// Of an index, only its image for this platform.
    pub platform: Option<PlatformFilter>,
    /// What of it.
    pub selection: Selection,
}

/// What was copied.
#[derive(Debug)]
pub struct Copied {
    /// The image with what was attached, and what could not be looked at.
    pub survey: Survey,
    /// What it took.
    pub done: Done,
}

/// Resolves an image once, and of an index the image for a platform, where one is asked for.
pub(super) async fn resolve(
    registry: &RegistryClient,
    reference: &ImageReference,
    platform: Option<&PlatformFilter>,
    report: Reporter<'_>,
) -> Result<(Origin, Held), PushError> {
    let (origin, held) = Origin::resolve(registry, reference).await?;
    if let Target::Tag(_) = reference.target() {
        report(Event::TagResolved {
            reference: reference.to_string(),
            pinned: format!("{}@{}", reference.repository(), held.descriptor.digest),
        });
    }
    match platform {
        None => Ok((origin, held)),
        Some(platform) => {
            let child = choose(platform, &held.document)?.clone();
            let held = origin.manifest(&child).await?;
            Ok((origin, held))
        }
    }
}

/// Everything that belongs to an image.
pub(super) const WHOLE: Extent = Extent {
    children: true,
    everything: true,
};

/// Copies an image. `to` speaks to the destination; it may be the same client.
///
/// # Errors
/// [`PushError`].
pub async fn copy(
    from: &RegistryClient,
    to: &RegistryClient,
    request: &CopyRequest,
    report: Reporter<'_>,
) -> Result<Copied, PushError> {
    let platform = request.platform.as_ref();
    let (origin, held) = resolve(from, &request.source, platform, report).await?;
    let survey = survey(origin, held, WHOLE).await?;
    let done = push(
        &survey,
        to,
        &request.destination,
        &request.selection,
        report,
    )
    .await?;
    Ok(Copied { survey, done })
}
