//! Attaching a signature in the form that is older than bundles: a layer of the manifest under a tag of the
//! image's own.
//!
//! The manifest is read, the layer added, and the whole written again, so two writers can take each other's
//! layers away. It is treated as the fallback tag is (`fallback`): written on the condition that it is as it was
//! read, where the registry offers that; watched until it has stood still with our layer in it; and written
//! again where the layer vanished.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::auth::Access;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::fallback::FallbackWritten;
use super::manifests::check;
use super::reference::{DigestReference, Target};
use crate::crypto::Digest;
use crate::format::legacy::{Layer, LegacyManifest};
use crate::format::oci::{Document, LegacyTag, Manifest, OCI_MANIFEST, OciError};
use crate::net::http::{Method, RetryPolicy, jitter};

/// Reads in a row that must show the layer, once it was written.
const QUIET_READS: u32 = 3;
/// The same, once another writer was noticed.
const QUIET_READS_CONTENDED: u32 = 6;
/// Shortest and longest distance of two such reads.
const PAUSE: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(120));

/// The tag as last read.
struct Seen {
    manifest: Option<Manifest>,
    digest: Option<Digest>,
    etag: Option<HeaderValue>,
}

impl RegistryClient {
    /// Attaches a layer under a tag of an image, beside those that are there. Repeating it is harmless.
    ///
    /// # Errors
    /// [`RegistryError::FallbackContended`] if the layer did not stay within the deadline;
    /// [`RegistryError::Document`] if the tag points to an index; [`RegistryError::Denied`],
    /// [`RegistryError::Net`].
    pub async fn attach_layer(
        &self,
        image: &DigestReference,
        tag: LegacyTag,
        layer: &Layer,
    ) -> Result<FallbackWritten, RegistryError> {
        let repository = self.signatures_of(image.repository());
        let tag = tag.tag(&image.digest());
        self.upload_blob(&repository, Bytes::from(layer.content.clone()))
            .await?;
        let started = Instant::now();
        let deadline = self.options().fallback_deadline;
        let (mut writes, mut quiet, mut faults) = (0, 0, 0);
        let (mut contended, mut conditional) = (false, true);
        let mut write_took = Duration::ZERO;
        let mut last = None;
        loop {
            let asked = Instant::now();
            let seen = self.look_at_tag(&repository, &tag).await?;
            let next = LegacyManifest::add(seen.manifest.as_ref(), layer);
            let is_late = started.elapsed() > deadline;
            let Some(next) = next else {
                contended |= quiet > 0 && seen.digest != last;
                quiet = if quiet > 0 && seen.digest != last {
                    1
                } else {
                    quiet + 1
                };
                last = seen.digest;
                let needed = match (writes, contended) {
                    (0, _) => 1,
                    (_, false) => QUIET_READS,
                    (_, true) => QUIET_READS_CONTENDED,
                };
                if quiet >= needed || is_late {
                    let settled = quiet >= needed;
                    return Ok(FallbackWritten { writes, settled });
                }
                tokio::time::sleep(PAUSE.0 + jitter(PAUSE.1 - PAUSE.0) + write_took).await;
                continue;
            };
            if is_late {
                return Err(RegistryError::FallbackContended {
                    tag: format!("{repository}:{tag}"),
                    writes,
                    seconds: started.elapsed().as_secs(),
                });
            }
            if writes > 0 && quiet > 0 {
                // It was there and vanished: writers that collided once should not meet again.
                contended = true;
                quiet = 0;
                tokio::time::sleep(jitter(PAUSE.1)).await;
                continue;
            }
            quiet = 0;
            self.upload_blob(&repository, Bytes::from(next.config.clone()))
                .await?;
            writes += 1;
            let url = self.url(&repository, &format!("manifests/{tag}")).await?;
            let mut request = self
                .request(Method::PUT, url)
                .header(CONTENT_TYPE, HeaderValue::from_static(OCI_MANIFEST))
                .body(next.manifest.bytes)
                .retry(RetryPolicy::Never);
            if conditional {
                match (&seen.etag, seen.digest) {
                    (Some(etag), _) => {
                        request.headers.insert(IF_MATCH, etag.clone());
                    }
                    (None, None) => {
                        let nothing = HeaderValue::from_static("*");
                        request.headers.insert(IF_NONE_MATCH, nothing);
                    }
                    (None, Some(_)) => {}
                }
            }
            let outcome = self.send(&repository, Access::PullPush, request).await;
            write_took = asked.elapsed().min(Duration::from_secs(2));
            match outcome {
                Ok(reply) if reply.is_success() => {}
                // Somebody was faster. If nobody was, the registry means something else by it.
                Ok(reply) if reply.status.as_u16() == 412 && conditional => {
                    contended = true;
                    let now = self.look_at_tag(&repository, &tag).await?;
                    conditional = now.digest != seen.digest;
                }
                Ok(reply) => return Err(reply.error().into()),
                Err(RegistryError::Net(e)) if e.is_retryable() && faults < 3 => {
                    faults += 1;
                    tokio::time::sleep(jitter(Duration::from_millis(500) * faults)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn look_at_tag(
        &self,
        repository: &super::reference::Repository,
        tag: &str,
    ) -> Result<Seen, RegistryError> {
        let target = Target::Tag(tag.to_owned());
        let Some(reply) = self.manifest_reply(repository, &target).await? else {
            return Ok(Seen {
                manifest: None,
                digest: None,
                etag: None,
            });
        };
        // A weak tag never matches (RFC 9110 section 13.1.1).
        let etag = reply
            .headers
            .get(ETAG)
            .filter(|tag| !tag.as_bytes().starts_with(b"W/"))
            .cloned();
        let fetched = check(repository, &target, reply)?;
        match fetched.document {
            Document::Manifest(manifest) => Ok(Seen {
                manifest: Some(manifest),
                digest: Some(fetched.descriptor.digest),
                etag,
            }),
            Document::Index(_) => Err(RegistryError::Document {
                what: "manifest of older signatures",
                reference: format!("{repository}:{tag}"),
                cause: OciError::MediaType {
                    expected: "a manifest",
                    found: fetched.descriptor.media_type,
                },
            }),
        }
    }
}
