//! `keyless triangulate`.

use clap::{Args, ValueEnum};

use super::arguments::images;
use super::registry_arguments::RegistryArguments;
use super::{Context, fail_with, finish, run_async};
use crate::diagnostic::Exit;
use crate::format::oci::{LegacyTag, fallback_tag};
use crate::net::HttpClient;
use crate::output::Format;
use crate::output::document::head;
use crate::output::human::plain;

/// Which place is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlaceKind {
    /// Tag of legacy signatures.
    Signature,
    /// Tag of legacy attestations.
    Attestation,
    /// Tag of an attached SBOM.
    Sbom,
    /// Tag under which registries without the referrers API list bundles.
    Referrers,
    /// The image itself, by its digest.
    Digest,
}

/// Print where something of an image would be. Whether it is there, `keyless tree` shows.
///
/// Bundles have no tag of their own: they refer to the image, and the registry lists them. The tags are
/// those of cosign's older formats, and of registries without the referrers API.
///
/// Example: keyless triangulate registry.example/app:v1 --type attestation
#[derive(Debug, Args)]
pub(crate) struct TriangulateArguments {
    /// The image.
    #[arg(value_name = "IMAGE")]
    image: String,

    /// What to locate.
    #[arg(long = "type", value_enum, default_value_t = PlaceKind::Signature, value_name = "TYPE")]
    kind: PlaceKind,

    /// How to show the result.
    #[arg(short, long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    output: Format,

    #[command(flatten)]
    registry: RegistryArguments,
}

pub(crate) fn run(arguments: TriangulateArguments, context: &Context) -> Exit {
    const COMMAND: &str = "triangulate";
    let mut output = match context.output(arguments.output) {
        Ok(output) => output,
        Err(exit) => return exit,
    };
    let settled = images(std::slice::from_ref(&arguments.image)).and_then(|mut images| {
        let http = HttpClient::new();
        let registry = arguments.registry.client(&http, &images, context)?;
        Ok((registry, images.remove(0)))
    });
    let (registry, image) = match settled {
        Ok(settled) => settled,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let pinned = match image.pinned() {
        Some(pinned) => Ok(pinned),
        None => run_async(registry.resolve(&image)).map(|fetched| fetched.reference),
    };
    let pinned = match pinned {
        Ok(pinned) => pinned,
        Err(error) => return fail_with(output, COMMAND, &error),
    };
    let digest = pinned.digest();
    let beside = registry.signatures_of(pinned.repository());
    let tag = match arguments.kind {
        PlaceKind::Signature => Some(LegacyTag::Signatures.tag(&digest)),
        PlaceKind::Attestation => Some(LegacyTag::Attestations.tag(&digest)),
        PlaceKind::Sbom => Some(LegacyTag::Sbom.tag(&digest)),
        PlaceKind::Referrers => Some(fallback_tag(&digest)),
        PlaceKind::Digest => None,
    };
    let place = match tag {
        Some(tag) => format!("{beside}:{tag}"),
        None => pinned.to_string(),
    };
    output.line(plain(&place));
    let kind = arguments.kind.to_possible_value();
    output.document(&head(
        COMMAND,
        Exit::Accepted,
        [
            ("image", arguments.image.as_str().into()),
            ("reference", pinned.to_string().into()),
            (
                "type",
                kind.map_or_else(String::new, |v| v.get_name().to_owned())
                    .into(),
            ),
            ("place", place.into()),
        ],
    ));
    finish(output, Exit::Accepted)
}
