//! What refers to an image: the referrers API, or the index under the fallback tag.
//!
//! The list is a hint for what to fetch and proves nothing. An empty list is only returned when the
//! registry said so; every error stays an error.

use std::collections::HashSet;
use std::time::Instant;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LINK};
use url::Url;

use super::auth::Access;
use super::caps::{Cap, RegistryLimits};
use super::client::RegistryClient;
use super::error::RegistryError;
use super::manifests::check_digest;
use super::reference::{DigestReference, Target};
use crate::crypto::Digest;
use crate::format::oci::{Descriptor, OCI_INDEX, OCI_MANIFEST, ReferrersIndex, fallback_tag};
use crate::net::error::{NetError, redacted};
use crate::net::http::{Method, Reply, same_origin};

/// Where a list of referrers came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferrersSource {
    /// The referrers API.
    Api,
    /// The index under the tag `sha256-<hex>`, on a registry without the API.
    FallbackTag,
}

/// The referrers of one image, as far as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// Each digest once, in the registry's order. Artifact types are what the writer of the list
    /// says; cosign 3.1 says it wrong in fallback indexes.
    pub descriptors: Vec<Descriptor>,
    /// Where the list came from.
    pub source: ReferrersSource,
    /// Entries that are no descriptors, left out.
    pub malformed: usize,
    /// The cap that ended reading early, if one did.
    pub cut: Option<Cut>,
}

/// Why a list was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    cap: Cap,
    limit: u64,
    found: Option<u64>,
}

impl Referrers {
    /// Returns the error for a list that was not read to its end. A verifier that found nothing good
    /// in the part it read must report this, never "no signature".
    pub fn too_many(&self) -> Option<RegistryError> {
        self.cut
            .map(|Cut { cap, limit, found }| RegistryError::OverCap {
                cap,
                what: "list of referrers",
                limit,
                found,
            })
    }
}

/// A list while it is read, within its caps.
struct Listing {
    limits: RegistryLimits,
    started: Instant,
    seen: HashSet<Digest>,
    /// Entries looked at, readable or not, and the memory that the readable ones take.
    entries: usize,
    bytes: u64,
    read: Referrers,
}

impl Listing {
    fn new(source: ReferrersSource, limits: RegistryLimits) -> Self {
        Listing {
            limits,
            started: Instant::now(),
            seen: HashSet::new(),
            entries: 0,
            bytes: 0,
            read: Referrers {
                descriptors: Vec::new(),
                source,
                malformed: 0,
                cut: None,
            },
        }
    }

    /// Adds a page; says whether more may be read.
    fn take(&mut self, index: &ReferrersIndex) -> bool {
        let listed = self.entries + index.len();
        for entry in index.descriptors() {
            if self.entries >= self.limits.referrers {
                break;
            }
            self.entries += 1;
            match entry {
                Some(descriptor) if self.seen.insert(descriptor.digest) => {
                    self.bytes += descriptor.footprint() as u64;
                    if self.bytes > self.limits.list {
                        return self.cut(Cap::List, self.limits.list, None);
                    }
                    self.read.descriptors.push(descriptor);
                }
                Some(_) => {}
                None => self.read.malformed += 1,
            }
        }
        if listed > self.limits.referrers {
            let limit = self.limits.referrers as u64;
            return self.cut(Cap::Referrers, limit, Some(listed as u64));
        }
        true
    }

    fn cut(&mut self, cap: Cap, limit: u64, found: Option<u64>) -> bool {
        self.read.cut = Some(Cut { cap, limit, found });
        false
    }
}

impl RegistryClient {
    /// Lists what refers to an image: one request, one more per further page; where the registry has
    /// no referrers API, one more for the fallback tag.
    ///
    /// `artifact_type` asks the server to filter, which saves pages; the answer may still hold other
    /// types, and lacks manifests whose type the registry has wrong. Verification passes `None`.
    ///
    /// # Errors
    /// [`RegistryError::Denied`], [`RegistryError::Unfollowed`] for a next page elsewhere,
    /// [`RegistryError::OverCap`], [`RegistryError::Document`], [`RegistryError::Net`].
    pub async fn referrers(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        match self.api_referrers(subject, artifact_type).await? {
            Some(referrers) => Ok(referrers),
            None => self.fallback_referrers(subject).await,
        }
    }

    /// Asks the referrers API; `None` if the registry has none.
    ///
    /// # Errors
    /// As [`RegistryClient::referrers`].
    pub async fn api_referrers(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
    ) -> Result<Option<Referrers>, RegistryError> {
        let limits = self.options().limits;
        let subject = &self.in_signature_repository(subject);
        let repository = subject.repository();
        let mut url = self
            .url(repository, &format!("referrers/{}", subject.digest()))
            .await?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        let mut listing = Listing::new(ReferrersSource::Api, limits);
        for page in 0..limits.pages {
            let request = self
                .request(Method::GET, url.clone())
                .header(ACCEPT, HeaderValue::from_static(OCI_INDEX));
            let reply = too_large_page(self.send(repository, Access::Pull, request).await)?;
            if page == 0 && lacks_api(&reply) {
                return Ok(None);
            }
            if reply.status.as_u16() != 200 {
                return Err(reply.error().into());
            }
            let index =
                ReferrersIndex::parse_up_to(&reply.body, limits.referrers).map_err(|cause| {
                    RegistryError::Document {
                        what: "list of referrers",
                        reference: subject.to_string(),
                        cause,
                    }
                })?;
            if !listing.take(&index) {
                return Ok(Some(listing.read));
            }
            let Some(next) = next_page(&reply.headers) else {
                return Ok(Some(listing.read));
            };
            url = join_page("next page of referrers", &url, &next, &reply)?;
            let took = listing.started.elapsed();
            if took > limits.listing {
                let (limit, took) = (limits.listing.as_secs(), took.as_secs());
                listing.cut(Cap::Listing, limit, Some(took));
                return Ok(Some(listing.read));
            }
        }
        listing.cut(Cap::Pages, limits.pages as u64, None);
        Ok(Some(listing.read))
    }

    /// Reads the index under the fallback tag; empty if there is no such tag.
    ///
    /// # Errors
    /// As [`RegistryClient::referrers`]; a tag that points to something else is
    /// [`RegistryError::Document`].
    pub async fn fallback_referrers(
        &self,
        subject: &DigestReference,
    ) -> Result<Referrers, RegistryError> {
        let mut listing = Listing::new(ReferrersSource::FallbackTag, self.options().limits);
        let subject = &self.in_signature_repository(subject);
        if let Some((index, _)) = self.fallback_index(subject).await? {
            listing.take(&index);
        }
        let image = subject.digest();
        listing.read.descriptors.retain(|one| one.digest != image);
        Ok(listing.read)
    }

    /// Reads the index under the fallback tag in the subject's own repository, with the reply it came in.
    ///
    /// `cosign copy` puts this tag on the image itself, which would hide its older signatures and let nobody sign
    /// it. That reads as an index of the image alone: what is written in its place still keeps the image.
    pub(super) async fn fallback_index(
        &self,
        subject: &DigestReference,
    ) -> Result<Option<(ReferrersIndex, Reply)>, RegistryError> {
        let target = Target::Tag(fallback_tag(&subject.digest()));
        let reply = self.manifest_reply(subject.repository(), &target).await?;
        let Some(reply) = reply else {
            return Ok(None);
        };
        check_digest(&target, &reply)?;
        if Digest::sha256(&reply.body) == subject.digest() {
            let stated = reply.headers.get(CONTENT_TYPE);
            let media_type = stated.and_then(|value| value.to_str().ok());
            let mut index = ReferrersIndex::empty();
            index.add(&Descriptor::of(
                media_type.unwrap_or(OCI_MANIFEST),
                &reply.body,
            ));
            return Ok(Some((index, reply)));
        }
        let index = ReferrersIndex::parse_up_to(&reply.body, self.options().limits.referrers)
            .map_err(|cause| RegistryError::Document {
                what: "index under the fallback tag",
                reference: format!("{}:{target}", subject.repository()),
                cause,
            })?;
        Ok(Some((index, reply)))
    }
}

fn too_large_page(reply: Result<Reply, RegistryError>) -> Result<Reply, RegistryError> {
    match reply {
        Err(RegistryError::Net(NetError::TooLarge { limit, .. })) => Err(RegistryError::OverCap {
            cap: Cap::Manifest,
            what: "list of referrers",
            limit,
            found: None,
        }),
        other => other,
    }
}

/// Statuses of registries that do not know the path, and web pages in place of an answer.
fn lacks_api(reply: &Reply) -> bool {
    match reply.status.as_u16() {
        400 | 404 | 405 | 406 | 501 => true,
        200 => reply.media_type() == "text/html",
        _ => false,
    }
}

/// Reads the target of `Link: <...>; rel="next"` (RFC 8288).
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(LINK)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| {
            let mut rest = value;
            while let Some((_, after)) = rest.split_once('<') {
                let (target, after) = after.split_once('>')?;
                let (parameters, more) = match after.find(", <").or_else(|| after.find(",<")) {
                    Some(end) => after.split_at(end),
                    None => (after, ""),
                };
                let is_next = parameters.split(';').any(|parameter| {
                    let (name, value) = parameter.split_once('=').unwrap_or_default();
                    name.trim().eq_ignore_ascii_case("rel")
                        && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
                });
                if is_next {
                    return Some(target.to_owned());
                }
                rest = more;
            }
            None
        })
}

/// Resolves a next page; it must be on the same host, as it is part of the same answer.
pub(super) fn join_page(
    what: &'static str,
    page: &Url,
    next: &str,
    reply: &Reply,
) -> Result<Url, RegistryError> {
    let url = page
        .join(next)
        .map_err(|e| reply.bad("a Link to the next page", &e.to_string()))?;
    if !same_origin(page, &url) {
        return Err(RegistryError::Unfollowed {
            what,
            from: redacted(page),
            to: redacted(&url),
            rule: "pages are on the registry itself",
        });
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, value.parse().unwrap());
            next_page(&headers)
        };
        assert_eq!(
            next("</v2/a/referrers/x?last=1>; rel=\"next\"").as_deref(),
            Some("/v2/a/referrers/x?last=1")
        );
        assert_eq!(
            next("</p>; rel=prev; title=\"a\", </n?a=1,2>; REL=Next").as_deref(),
            Some("/n?a=1,2")
        );
        for none in [
            "</p>; rel=\"prev\"",
            "</p>",
            "",
            "<unclosed; rel=next",
            "rel=next",
        ] {
            assert_eq!(next(none), None, "{none}");
        }
    }
}
