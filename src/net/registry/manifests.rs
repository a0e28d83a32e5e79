//! Manifests and indexes: fetched and checked, or pushed.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};

use super::auth::Access;
use super::caps::Cap;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::{DigestReference, ImageReference, Repository, Target};
use crate::crypto::Digest;
use crate::format::oci::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Document, EncodedManifest, OCI_INDEX, OCI_MANIFEST,
};
use crate::net::error::NetError;
use crate::net::http::{Method, Reply};

/// Every type a manifest may have; a registry converts or refuses what is not asked for.
pub(super) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A manifest or index whose bytes have the digest in its reference.
#[derive(Debug, Clone)]
pub struct FetchedManifest {
    /// Where it is; the digest was recomputed over `bytes`.
    pub reference: DigestReference,
    /// Media type, size and digest: what a `subject` says about it.
    pub descriptor: Descriptor,
    /// The parsed document.
    pub document: Document,
    /// The bytes as received.
    pub bytes: Bytes,
}

impl RegistryClient {
    /// Fetches what a reference points to, one request; a tag is thereby resolved.
    ///
    /// # Errors
    /// [`RegistryError::NoSuchImage`]; [`RegistryError::DigestMismatch`] if the bytes have another
    /// digest than was asked for or announced; [`RegistryError::Denied`],
    /// [`RegistryError::OverCap`], [`RegistryError::Document`], [`RegistryError::Net`].
    pub async fn resolve(
        &self,
        reference: &ImageReference,
    ) -> Result<FetchedManifest, RegistryError> {
        let repository = reference.repository();
        let reply = self.manifest_reply(repository, reference.target()).await?;
        match reply {
            Some(reply) => check(repository, reference.target(), reply),
            None => Err(RegistryError::NoSuchImage {
                reference: reference.to_string(),
            }),
        }
    }

    /// Fetches a manifest that something else lists, one request; its size must be as listed.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`], with [`RegistryError::NotFound`] for a missing one and
    /// [`RegistryError::SizeMismatch`] for one of another size.
    pub async fn manifest(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<FetchedManifest, RegistryError> {
        if descriptor.size > self.options().limits.manifest {
            return Err(RegistryError::OverCap {
                cap: Cap::Manifest,
                what: "manifest",
                limit: self.options().limits.manifest,
                found: Some(descriptor.size),
            });
        }
        let target = Target::Digest(descriptor.digest);
        let reply = self.manifest_reply(repository, &target).await?;
        let Some(reply) = reply else {
            return Err(RegistryError::NotFound {
                what: "manifest",
                reference: format!("{repository}@{}", descriptor.digest),
            });
        };
        let found = reply.body.len() as u64;
        if found != descriptor.size {
            return Err(RegistryError::SizeMismatch {
                what: "manifest",
                expected: descriptor.size,
                found: Some(found),
            });
        }
        check(repository, &target, reply)
    }

    /// Asks for a manifest; `None` if there is none.
    pub(super) async fn manifest_reply(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Option<Reply>, RegistryError> {
        let url = self.url(repository, &format!("manifests/{target}")).await?;
        let request = self
            .request(Method::GET, url)
            .header(ACCEPT, HeaderValue::from_static(ACCEPTED));
        let reply = match self.send(repository, Access::Pull, request).await {
            Err(RegistryError::Net(NetError::TooLarge { limit, .. })) => {
                return Err(RegistryError::OverCap {
                    cap: Cap::Manifest,
                    what: "manifest",
                    limit,
                    found: None,
                });
            }
            other => other?,
        };
        match reply.status.as_u16() {
            200 => Ok(Some(reply)),
            404 => Ok(None),
            _ => Err(reply.error().into()),
        }
    }

    /// Pushes a manifest by its digest; its blobs must be there. Repeating it is harmless. Whether the registry lists
    /// it under its subject is not told: what it says of that (`OCI-Subject`) is a claim.
    ///
    /// # Errors
    /// [`RegistryError::Denied`]; [`RegistryError::NotFound`] if the registry misses a blob of it;
    /// [`RegistryError::DigestMismatch`] if it says it stored something else;
    /// [`RegistryError::Net`].
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        manifest: &EncodedManifest,
    ) -> Result<(), RegistryError> {
        let digest = manifest.descriptor.digest;
        let url = self.url(repository, &format!("manifests/{digest}")).await?;
        let media_type = HeaderValue::from_str(&manifest.descriptor.media_type)
            .expect("media types here are constants");
        let request = self
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, media_type)
            .body(manifest.bytes.clone());
        let reply = self.send(repository, Access::PullPush, request).await?;
        if misses_blob(&reply) {
            return Err(RegistryError::NotFound {
                what: "blob of the pushed manifest",
                reference: format!("{repository}@{digest}"),
            });
        }
        if !reply.is_success() {
            return Err(reply.error().into());
        }
        if let Some(stored) = announced_digest(&reply)?
            && stored.algorithm() == digest.algorithm()
            && stored != digest
        {
            return Err(RegistryError::DigestMismatch {
                what: "pushed manifest",
                expected: Box::new(digest),
                found: Box::new(stored),
            });
        }
        Ok(())
    }
}

/// Returns whether a manifest was refused because a blob of it is not there (distribution-spec, error
/// code `MANIFEST_BLOB_UNKNOWN`), among whatever else the registry complains of.
fn misses_blob(reply: &Reply) -> bool {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Complaint>,
    }
    #[derive(serde::Deserialize)]
    struct Complaint {
        #[serde(default)]
        code: String,
    }
    reply.status.is_client_error()
        && serde_json::from_slice::<Errors>(&reply.body).is_ok_and(|e| {
            let mut codes = e.errors.iter().map(|complaint| complaint.code.as_str());
            codes.any(|code| matches!(code, "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN"))
        })
}

/// Reads `Docker-Content-Digest`; a malformed one is an error, as it could only mislead.
pub(super) fn announced_digest(reply: &Reply) -> Result<Option<Digest>, RegistryError> {
    match reply.headers.get(DOCKER_CONTENT_DIGEST) {
        None => Ok(None),
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .map(Some)
            .ok_or_else(|| {
                let found = String::from_utf8_lossy(value.as_bytes());
                reply
                    .bad("a digest in Docker-Content-Digest", &found)
                    .into()
            }),
    }
}

/// Compares the digest of the bytes with the one asked for and the one announced, and returns it.
pub(super) fn check_digest(target: &Target, reply: &Reply) -> Result<Digest, RegistryError> {
    let announced = announced_digest(reply)?;
    let asked = match target {
        Target::Digest(digest) => Some(*digest),
        Target::Tag(_) => None,
    };
    for expected in [asked, announced].into_iter().flatten() {
        let found = expected.algorithm().digest(&reply.body);
        if found != expected {
            return Err(RegistryError::DigestMismatch {
                what: "manifest",
                expected: Box::new(expected),
                found: Box::new(found),
            });
        }
    }
    Ok(asked
        .or(announced)
        .unwrap_or_else(|| Digest::sha256(&reply.body)))
}

pub(super) fn check(
    repository: &Repository,
    target: &Target,
    reply: Reply,
) -> Result<FetchedManifest, RegistryError> {
    let digest = check_digest(target, &reply)?;
    let document = Document::parse(&reply.body).map_err(|cause| RegistryError::Document {
        what: "manifest",
        reference: format!("{repository}@{digest}"),
        cause,
    })?;
    let announced = reply.media_type();
    let known = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];
    let media_type = match (document.media_type(), known.contains(&announced.as_str())) {
        (Some(stated), true) if stated != announced => {
            return Err(RegistryError::MediaTypeMismatch {
                stated: stated.to_owned(),
                announced,
            });
        }
        (Some(stated), _) => stated.to_owned(),
        (None, true) => {
            let index = matches!(document, Document::Index(_));
            if index != [OCI_INDEX, DOCKER_LIST].contains(&announced.as_str()) {
                return Err(RegistryError::MediaTypeMismatch {
                    stated: if index { "an index" } else { "a manifest" }.to_owned(),
                    announced,
                });
            }
            announced
        }
        // Registries on static file servers announce anything; the content says what it is.
        (None, false) => match document {
            Document::Manifest(_) => OCI_MANIFEST.to_owned(),
            Document::Index(_) => OCI_INDEX.to_owned(),
        },
    };
    Ok(FetchedManifest {
        reference: DigestReference::new(repository.clone(), digest),
        descriptor: Descriptor {
            digest,
            ..Descriptor::of(&media_type, &reply.body)
        },
        document,
        bytes: reply.body,
    })
}
