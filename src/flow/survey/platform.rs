//! Choosing one image of an index by its platform.

use crate::diagnostic::{Diagnostic, Exit};
use crate::format::oci::{Descriptor, Document, Platform, PlatformFilter};

/// Platforms that are named in a message.
const NAMED: usize = 20;

/// Why no image was chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} for {wanted}", match .count { 0 => "there is no image".to_owned(), n => format!("{n} images of the index are") })]
pub struct NotOne {
    /// As asked for.
    pub wanted: String,
    /// How many fit.
    pub count: usize,
    /// What there is; empty for an image that is no index.
    pub found: Vec<String>,
}

impl NotOne {
    /// Describes that nothing is for a platform.
    pub(crate) fn none<'a>(
        wanted: &PlatformFilter,
        listed: impl Iterator<Item = &'a Platform>,
    ) -> Self {
        NotOne {
            wanted: wanted.to_string(),
            count: 0,
            found: listed.take(NAMED).map(ToString::to_string).collect(),
        }
    }
}

impl Diagnostic for NotOne {
    fn code(&self) -> &'static str {
        "platform-not-found"
    }

    fn exit(&self) -> Exit {
        Exit::NoSuchImage
    }

    fn details(&self) -> Vec<(&'static str, String)> {
        let found = match self.found.as_slice() {
            [] => "one image, and no index of several".to_owned(),
            found => found.join(", "),
        };
        vec![("found", found)]
    }

    fn hint(&self) -> Option<String> {
        (self.count > 0).then(|| "name the variant too, or the image by its digest".to_owned())
    }
}

/// Chooses the one child of an index that fits; of an image that is no index, nothing does.
///
/// # Errors
/// [`NotOne`].
pub fn choose<'a>(
    filter: &PlatformFilter,
    document: &'a Document,
) -> Result<&'a Descriptor, NotOne> {
    let listed: &[Descriptor] = match document {
        Document::Index(index) => &index.manifests,
        Document::Manifest(_) => &[],
    };
    let mut fits = listed
        .iter()
        .filter(|child| filter.fits(child.platform.as_ref()));
    match (fits.next(), fits.count()) {
        (Some(child), 0) => Ok(child),
        (first, more) => Err(NotOne {
            wanted: filter.to_string(),
            count: usize::from(first.is_some()) + more,
            found: listed
                .iter()
                .filter_map(|child| child.platform.as_ref())
                .take(NAMED)
                .map(ToString::to_string)
                .collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::oci::{OCI_MANIFEST, Platform};

    #[test]
    fn one_image_fits_or_none_is_chosen() {
        let platforms = [
            ("linux", "amd64", None),
            ("linux", "arm", Some("v6")),
            ("linux", "arm", Some("v7")),
            ("unknown", "unknown", None),
        ];
        let children = platforms.map(|(os, architecture, variant)| Descriptor {
            platform: Some(Platform {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
                variant: variant.map(str::to_owned),
            }),
            ..Descriptor::of(
                OCI_MANIFEST,
                format!("{architecture}{variant:?}").as_bytes(),
            )
        });
        let text = serde_json::json!({ "manifests": children }).to_string();
        let index = Document::parse(text.as_bytes()).unwrap();
        let chosen = |text: &str| choose(&text.parse().unwrap(), &index);
        assert_eq!(chosen("linux/amd64"), Ok(&children[0]));
        assert_eq!(chosen("linux/arm/v7"), Ok(&children[2]));
        for (text, expected) in [("linux/arm", 2), ("linux/arm64", 0), ("linux/amd64/v2", 0)] {
            let refused = chosen(text).unwrap_err();
            assert_eq!(refused.count, expected, "{text}");
            assert_eq!(refused.code(), "platform-not-found");
        }
    }
}
