//! Every request handler of the registry, in one table.

use axum::http::Method;

use super::{Endpoint, parameter};

/// One kind of request that the registry answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// The root, which says that this is a registry.
    Root,
    /// A token for user name and password, or for nobody.
    TokenSale,
    /// A token for a refresh token.
    TokenGrant,
    /// A manifest, by tag or digest.
    ManifestGet,
    /// Whether there is such a manifest.
    ManifestHead,
    /// A manifest is pushed.
    ManifestPut,
    /// A manifest or tag is deleted.
    ManifestDelete,
    /// A blob.
    BlobGet,
    /// Whether there is such a blob.
    BlobHead,
    /// A blob is deleted.
    BlobDelete,
    /// A blob of another repository is mounted.
    BlobMount,
    /// A blob is uploaded in one request.
    BlobPost,
    /// An upload begins.
    UploadPost,
    /// An upload goes on.
    UploadPatch,
    /// An upload ends.
    UploadPut,
    /// What refers to a manifest.
    ReferrersGet,
    /// The tags.
    TagsGet,
}

/// Every handler: name, method, path. A request that none of them is for is refused, 405 where the path is known and
/// 404 where it is not.
pub const HANDLERS: [(Handler, &str, &str, &str); 17] = [
    (Handler::Root, "root", "GET", "/v2/"),
    (Handler::TokenSale, "token-sale", "GET", "/token"),
    (Handler::TokenGrant, "token-grant", "POST", "/token"),
    (
        Handler::ManifestGet,
        "manifest-get",
        "GET",
        "/v2/<name>/manifests/<reference>",
    ),
    (
        Handler::ManifestHead,
        "manifest-head",
        "HEAD",
        "/v2/<name>/manifests/<reference>",
    ),
    (
        Handler::ManifestPut,
        "manifest-put",
        "PUT",
        "/v2/<name>/manifests/<reference>",
    ),
    (
        Handler::ManifestDelete,
        "manifest-delete",
        "DELETE",
        "/v2/<name>/manifests/<reference>",
    ),
    (
        Handler::BlobGet,
        "blob-get",
        "GET",
        "/v2/<name>/blobs/<digest>",
    ),
    (
        Handler::BlobHead,
        "blob-head",
        "HEAD",
        "/v2/<name>/blobs/<digest>",
    ),
    (
        Handler::BlobDelete,
        "blob-delete",
        "DELETE",
        "/v2/<name>/blobs/<digest>",
    ),
    (
        Handler::BlobMount,
        "blob-mount",
        "POST",
        "/v2/<name>/blobs/uploads/?mount=<digest>&from=<other>",
    ),
    (
        Handler::BlobPost,
        "blob-post",
        "POST",
        "/v2/<name>/blobs/uploads/?digest=<digest>",
    ),
    (
        Handler::UploadPost,
        "upload-post",
        "POST",
        "/v2/<name>/blobs/uploads/",
    ),
    (
        Handler::UploadPatch,
        "upload-patch",
        "PATCH",
        "/v2/<name>/blobs/uploads/<id>",
    ),
    (
        Handler::UploadPut,
        "upload-put",
        "PUT",
        "/v2/<name>/blobs/uploads/<id>?digest=<digest>",
    ),
    (
        Handler::ReferrersGet,
        "referrers-get",
        "GET",
        "/v2/<name>/referrers/<digest>",
    ),
    (Handler::TagsGet, "tags-get", "GET", "/v2/<name>/tags/list"),
];

impl Handler {
    /// Finds a handler by its name in [`HANDLERS`].
    pub fn named(name: &str) -> Option<Self> {
        let mut handlers = HANDLERS.iter();
        handlers
            .find(|(_, known, ..)| *known == name)
            .map(|row| row.0)
    }

    /// Finds the handler of a request.
    pub(super) fn of(endpoint: &Endpoint<'_>, method: &Method, query: &str) -> Option<Self> {
        let has = |name: &str| parameter(query, name).is_some();
        Some(match (endpoint, method.as_str()) {
            (Endpoint::Base, "GET" | "HEAD") => Handler::Root,
            (Endpoint::Token, "GET") => Handler::TokenSale,
            (Endpoint::Token, "POST") => Handler::TokenGrant,
            (Endpoint::Manifest(..), "GET") => Handler::ManifestGet,
            (Endpoint::Manifest(..), "HEAD") => Handler::ManifestHead,
            (Endpoint::Manifest(..), "PUT") => Handler::ManifestPut,
            (Endpoint::Manifest(..), "DELETE") => Handler::ManifestDelete,
            (Endpoint::Blob(..), "GET") => Handler::BlobGet,
            (Endpoint::Blob(..), "HEAD") => Handler::BlobHead,
            (Endpoint::Blob(..), "DELETE") => Handler::BlobDelete,
            (Endpoint::Uploads(_), "POST") if has("mount") && has("from") => Handler::BlobMount,
            (Endpoint::Uploads(_), "POST") if has("digest") => Handler::BlobPost,
            (Endpoint::Uploads(_), "POST") => Handler::UploadPost,
            (Endpoint::Upload(..), "PATCH") => Handler::UploadPatch,
            (Endpoint::Upload(..), "PUT") => Handler::UploadPut,
            (Endpoint::Referrers(..), "GET" | "HEAD") => Handler::ReferrersGet,
            (Endpoint::Tags(_), "GET" | "HEAD") => Handler::TagsGet,
            _ => return None,
        })
    }
}
