//! Tags: what they point to, and pointing them elsewhere.

use std::collections::HashSet;
use std::time::Instant;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::auth::Access;
use super::caps::Cap;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::manifests::{FetchedManifest, announced_digest, check_digest};
use super::reference::{ImageReference, Repository, Target};
use super::referrers::{join_page, next_page};
use crate::crypto::Digest;
use crate::format::oci::{Descriptor, Document};
use crate::net::http::Method;

/// What a tag or digest leads to, by name alone.
#[derive(Debug, Clone)]
pub struct PointedTo {
    /// Digest of the document there.
    pub digest: Digest,
    /// What it lists, if it is an index.
    pub lists: Vec<Descriptor>,
}

impl RegistryClient {
    /// Lists all tags of a repository, at most so many.
    ///
    /// # Errors
    /// [`RegistryError::TooMany`], [`RegistryError::OverCap`], [`RegistryError::Unfollowed`] for a next page
    /// elsewhere, [`RegistryError::Denied`], [`RegistryError::Net`].
    pub async fn list_tags(
        &self,
        repository: &Repository,
        limit: usize,
    ) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Page {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let limits = self.options().limits;
        let started = Instant::now();
        let (mut tags, mut seen) = (Vec::new(), HashSet::new());
        let mut url = self.url(repository, "tags/list").await?;
        for _ in 0..limits.pages {
            let request = self.request(Method::GET, url.clone());
            let reply = self.send(repository, Access::Pull, request).await?;
            if reply.status.as_u16() != 200 {
                return Err(reply.error().into());
            }
            let page: Page = reply.json("a list of tags")?;
            for tag in page.tags.unwrap_or_default() {
                if seen.insert(tag.clone()) {
                    tags.push(tag);
                }
            }
            if tags.len() > limit {
                return Err(RegistryError::TooMany {
                    what: "tags in one repository",
                    limit,
                });
            }
            let Some(next) = next_page(&reply.headers) else {
                return Ok(tags);
            };
            url = join_page("next page of tags", &url, &next, &reply)?;
            let took = started.elapsed();
            if took > limits.listing {
                return Err(RegistryError::OverCap {
                    cap: Cap::Listing,
                    what: "list of tags",
                    limit: limits.listing.as_secs(),
                    found: Some(took.as_secs()),
                });
            }
        }
        Err(RegistryError::TooMany {
            what: "pages of tags",
            limit: limits.pages,
        })
    }

    /// Returns what a tag or digest leads to; `None` if there is nothing. What is there need not be a manifest
    /// that is read here.
    ///
    /// # Errors
    /// [`RegistryError::DigestMismatch`], [`RegistryError::OverCap`], [`RegistryError::Denied`],
    /// [`RegistryError::Net`].
    pub async fn pointed_to(
        &self,
        repository: &Repository,
        target: &Target,
    ) -> Result<Option<PointedTo>, RegistryError> {
        let Some(reply) = self.manifest_reply(repository, target).await? else {
            return Ok(None);
        };
        let lists = match Document::parse(&reply.body) {
            Ok(Document::Index(index)) => index.manifests,
            _ => Vec::new(),
        };
        Ok(Some(PointedTo {
            digest: check_digest(target, &reply)?,
            lists,
        }))
    }

    /// Fetches what a tag points to; `None` if there is no such tag, or the name is none.
    ///
    /// # Errors
    /// As [`RegistryClient::resolve`], without [`RegistryError::NoSuchImage`].
    pub async fn find_tag(
        &self,
        repository: &Repository,
        tag: &str,
    ) -> Result<Option<FetchedManifest>, RegistryError> {
        let Some(reference) = ImageReference::tagged(repository.clone(), tag) else {
            return Ok(None);
        };
        match self.resolve(&reference).await {
            Ok(found) => Ok(Some(found)),
            Err(RegistryError::NoSuchImage { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Points a tag to a manifest, whose exact bytes are sent. Whoever calls has looked at what it points to.
    ///
    /// # Errors
    /// [`RegistryError::Denied`]; [`RegistryError::DigestMismatch`] if the registry says it stored something
    /// else; [`RegistryError::Net`].
    pub async fn push_tag(
        &self,
        repository: &Repository,
        tag: &str,
        descriptor: &Descriptor,
        bytes: Bytes,
    ) -> Result<(), RegistryError> {
        let url = self.url(repository, &format!("manifests/{tag}")).await?;
        let media_type = HeaderValue::from_str(&descriptor.media_type).map_err(|_| {
            RegistryError::MediaTypeMismatch {
                announced: "a header".to_owned(),
                stated: crate::diagnostic::clean(&descriptor.media_type, 160),
            }
        })?;
        let request = self
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, media_type)
            .body(bytes);
        let reply = self.send(repository, Access::PullPush, request).await?;
        if !reply.is_success() {
            return Err(reply.error().into());
        }
        match announced_digest(&reply)? {
            Some(stored)
                if stored.algorithm() == descriptor.digest.algorithm()
                    && stored != descriptor.digest =>
            {
                Err(RegistryError::DigestMismatch {
                    what: "tagged manifest",
                    expected: Box::new(descriptor.digest),
                    found: Box::new(stored),
                })
            }
            _ => Ok(()),
        }
    }
}
