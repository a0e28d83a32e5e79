//! Caps on what a registry may make us read: their defaults, where those come from, and the options that raise them.

use std::time::Duration;

/// Caps on what a registry may make us read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryLimits {
    /// A manifest, an index, or one page of referrers, in bytes. 4 MiB is what distribution-spec
    /// ("Pushing Manifests") asks registries to accept, so no honest document is larger.
    pub manifest: u64,
    /// A bundle, in bytes: a bundle with its certificate, proofs and timestamps has about 10 KiB, the
    /// rest is room for an attestation's payload. cosign has no cap here and took 703 MB.
    pub bundle: u64,
    /// Referrers of one image that are listed: as many as an index has children. What is read of each is
    /// a descriptor; fetching them has a cap of its own.
    pub referrers: usize,
    /// Pages of referrers of one image. Registries that paginate serve 50 and more per page.
    pub pages: usize,
    /// Memory that the list of one image's referrers may take, in bytes; ten thousand of cosign's take 11 MiB.
    pub list: u64,
    /// Longest time spent on listing the referrers of one image.
    pub listing: Duration,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        RegistryLimits {
            manifest: 4 * 1024 * 1024,
            bundle: 8 * 1024 * 1024,
            referrers: 10_000,
            pages: 200,
            list: 12 * 1024 * 1024,
            listing: Duration::from_secs(60),
        }
    }
}

/// A cap that the user may raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// [`RegistryLimits::manifest`].
    Manifest,
    /// [`RegistryLimits::bundle`].
    Attachment,
    /// [`RegistryLimits::referrers`].
    Referrers,
    /// [`RegistryLimits::pages`].
    Pages,
    /// [`RegistryLimits::list`].
    List,
    /// [`RegistryLimits::listing`], in seconds.
    Listing,
}

impl Cap {
    /// Returns the option that raises it.
    pub fn flag(self) -> &'static str {
        match self {
            Cap::Manifest => "--max-manifest-size",
            Cap::Attachment => "--max-attachment-size",
            Cap::Referrers => "--max-referrers",
            Cap::Pages => "--max-referrer-pages",
            Cap::List => "--max-referrers-size",
            Cap::Listing => "--max-listing-time",
        }
    }

    pub(super) fn unit(self) -> &'static str {
        match self {
            Cap::Manifest | Cap::Attachment | Cap::List => "bytes",
            Cap::Referrers => "referrers",
            Cap::Pages => "pages",
            Cap::Listing => "seconds",
        }
    }

    pub(super) fn exceeded(self, what: &str, limit: u64) -> String {
        match self {
            Cap::Manifest | Cap::Attachment => format!("{what} exceeds {limit} bytes"),
            Cap::Referrers => format!("more than {limit} referrers"),
            Cap::Pages => format!("more than {limit} pages of referrers"),
            Cap::List => format!("{what} takes more than {limit} bytes of memory"),
            Cap::Listing => format!("listing the referrers took more than {limit} s"),
        }
    }

    /// Returns whether it is about the size of one object, and not about how many there are.
    pub(super) fn is_of_object(self) -> bool {
        matches!(self, Cap::Manifest | Cap::Attachment)
    }
}
