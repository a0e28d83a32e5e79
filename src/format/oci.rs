//! OCI descriptors, manifests and indexes, and the manifest that carries a bundle.
//!
//! Reading is lenient about fields it does not know and strict about those it uses: digests are
//! whole, counts are bounded, a document that is both a manifest and an index is refused. Writing
//! produces the exact layout of cosign 3, so that both tools find each other's signatures. Nothing
//! here fetches; a document's digest is checked where its bytes arrive (`net::registry`).

mod bundle_manifest;
mod descriptor;
mod document;
mod layout;
mod legacy_tag;
mod platform;
mod referrers;
mod spelling;

pub use bundle_manifest::EncodedManifest;
pub use descriptor::{Descriptor, MAX_ANNOTATIONS, Platform};
pub use document::{Document, Index, MAX_INDEX_MANIFESTS, MAX_LAYERS, Manifest, OciError};
pub use layout::{
    ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME, LAYOUT_BLOBS, LAYOUT_INDEX, LAYOUT_MARKER,
    LAYOUT_MARKER_BYTES, LayoutKind, check_layout_marker, encode_layout_index, named,
    parse_layout_index,
};
pub use legacy_tag::LegacyTag;
pub use platform::{PlatformError, PlatformFilter};
pub use referrers::{Listed, ReferrersIndex, fallback_tag};

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of a Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Media type of the empty config (image-spec, "Guidance for an Empty Descriptor").
pub const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";
/// Content of the empty config.
pub const EMPTY_CONFIG_BYTES: &[u8] = b"{}";
/// Artifact type and layer media type of a Sigstore bundle, version 0.3.
pub const BUNDLE_ARTIFACT_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// What every bundle layer's media type starts with, whatever its version.
pub const BUNDLE_TYPE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";
/// Annotation: which kind of content the bundle holds.
pub const ANNOTATION_CONTENT: &str = "dev.sigstore.bundle.content";
/// Annotation: the predicate type of the statement inside. A hint for lists, never judged.
pub const ANNOTATION_PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// Annotation: when the manifest was made, RFC 3339.
pub const ANNOTATION_CREATED: &str = "org.opencontainers.image.created";
