//! What refers to an image: the referrers API, or the index under the fallback tag.
//!
//! The list is a hint for what to fetch and proves nothing.
//!
//! What the API's answer is taken for:
//! - 404: there is no API (distribution-spec 1.1, "Listing Referrers"); the fallback tag is asked.
//! - 200 with an OCI index: the list. Where it has nothing that may be a bundle, the fallback tag is asked too: it may
//!   be of the time before the API, or the registry takes a `subject` and lists it nowhere.
//! - Anything else is no list: 400, 405, 406 and 501 of registries that do not know the path, 403, 5xx, web pages,
//!   other JSON, another media type. The fallback tag is asked, and that the API could not be read is kept
//!   ([`Referrers::unread`]): whoever finds nothing good elsewhere could not look everywhere. oras takes 404 alone for
//!   "no API", and cosign 404, 400 and 406; both end there, with an error or with "no signatures".
//!
//! A place that cannot be read does not hide what another holds.

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
    /// Why a place is not in this list, or not all of it, that should be: what is there may be the signature.
    pub unread: Option<RegistryError>,
    /// Whether both places were asked for.
    pub is_whole: bool,
}

/// Why a list was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    cap: Cap,
    limit: u64,
    found: Option<u64>,
}

/// What both places list, each by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrerLists {
    /// The API's list; `None` if there is no API, or if its answer is no list.
    pub api: Option<Referrers>,
    /// The fallback tag's; `None` if there is no such tag, if it cannot be read, or if nobody asked.
    pub fallback: Option<Referrers>,
    /// Why the API's list could not be read, or not to its end.
    pub api_unread: Option<RegistryError>,
    /// Why the fallback tag's could not be read.
    pub fallback_unread: Option<RegistryError>,
    /// Whether the fallback tag was asked for.
    pub asked_fallback: bool,
}

impl ReferrerLists {
    /// Returns why something that is attached may be missing here. Where the API's answer is no list, and there is a
    /// list under the fallback tag, that is where this registry's clients attach.
    pub fn missing(&self) -> Option<RegistryError> {
        let of_api = self.api_unread.as_ref().filter(|_| !self.is_by_tag());
        self.fallback_unread.as_ref().or(of_api).cloned()
    }

    /// Returns whether the API's answer is no list, and the fallback tag has one.
    pub fn is_by_tag(&self) -> bool {
        self.api.is_none() && self.api_unread.is_some() && self.fallback.is_some()
    }

    /// Returns whether neither place has a list, and the API's answer says nothing.
    pub fn is_nowhere(&self) -> bool {
        self.api.is_none() && self.fallback.is_none() && self.fallback_unread.is_none()
    }

    /// Makes one list of both: the API's, then what the fallback tag has beside it.
    pub fn merged(self) -> Referrers {
        let mut lists = [self.api, self.fallback].into_iter().flatten();
        let nothing = || Listing::new(ReferrersSource::FallbackTag, RegistryLimits::default()).read;
        let mut all = lists.next().unwrap_or_else(nothing);
        for more in lists {
            if all.descriptors.is_empty() {
                all.source = more.source;
            }
            let known: HashSet<Digest> = all.descriptors.iter().map(|one| one.digest).collect();
            let new = more.descriptors.into_iter();
            all.descriptors
                .extend(new.filter(|one| !known.contains(&one.digest)));
            all.malformed += more.malformed;
            all.cut = all.cut.or(more.cut);
        }
        all.unread = self.api_unread.or(self.fallback_unread);
        all.is_whole = self.asked_fallback;
        all
    }
}

/// What the referrers API answered.
pub(super) enum ApiAnswer {
    /// A list.
    Listed(Referrers),
    /// There is no API.
    NoApi,
    /// Something that is no list.
    NoList(RegistryError),
}

impl Referrers {
    /// Returns whether anything listed may be a bundle, by what the list says.
    fn may_have_bundle(&self) -> bool {
        self.descriptors.iter().any(Descriptor::may_be_bundle)
    }

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
                unread: None,
                is_whole: false,
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
    /// Lists what refers to an image: one request, one more per further page; where the API lists no bundle, or
    /// cannot be read, or is not there, one more for the fallback tag.
    ///
    /// `artifact_type` asks the server to filter, which saves pages; the answer may still hold other
    /// types, and lacks manifests whose type the registry has wrong. Verification passes `None`.
    ///
    /// # Errors
    /// [`RegistryError`] if nothing is listed and a place could not be read, or the API's list not to its end: an empty
    /// list is only returned where every place said so. Beside what the fallback tag lists, an API whose answer is no
    /// list is told in [`Referrers::unread`].
    pub async fn referrers(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        let lists = self.lists(subject, artifact_type, false).await?;
        let is_cut_off = lists.api.is_some();
        let listed = lists.merged();
        match listed.unread {
            Some(error) if is_cut_off || listed.descriptors.is_empty() => Err(error),
            _ => Ok(listed),
        }
    }

    /// Lists what refers to an image as [`RegistryClient::referrers`] does, for a reader that looks elsewhere where
    /// nothing is listed.
    ///
    /// # Errors
    /// [`RegistryError`] if the registry cannot be asked at all.
    pub async fn readable_referrers(
        &self,
        subject: &DigestReference,
    ) -> Result<Referrers, RegistryError> {
        Ok(self.lists(subject, None, false).await?.merged())
    }

    /// Lists what refers to an image in both places, whatever the API says.
    ///
    /// # Errors
    /// As [`RegistryClient::referrers`].
    pub async fn referrer_lists(
        &self,
        subject: &DigestReference,
    ) -> Result<ReferrerLists, RegistryError> {
        self.lists(subject, None, true).await
    }

    async fn lists(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
        both: bool,
    ) -> Result<ReferrerLists, RegistryError> {
        let (api, api_unread) = match self.ask_api(subject, artifact_type).await {
            ApiAnswer::Listed(listed) => {
                let unread = listed.unread.clone();
                (Some(listed), unread)
            }
            ApiAnswer::NoApi => (None, None),
            ApiAnswer::NoList(error) => (None, Some(error)),
        };
        // A list that was cut is told to be; it is not made longer here.
        let is_enough = |listed: &Referrers| listed.may_have_bundle() || listed.cut.is_some();
        let asked_fallback = both || !api.as_ref().is_some_and(is_enough);
        let fallback = match asked_fallback {
            true => self.tagged_referrers(subject).await,
            false => Ok(None),
        };
        let unreachable = |error: &RegistryError| {
            matches!(error, RegistryError::Net(NetError::Unreachable { .. }))
        };
        let (fallback, fallback_unread) = match fallback {
            Ok(found) => (found, None),
            // Nobody is there to be asked.
            Err(error) if unreachable(&error) && api.is_none() => return Err(error),
            Err(error) => (None, Some(error)),
        };
        Ok(ReferrerLists {
            api,
            fallback,
            api_unread,
            fallback_unread,
            asked_fallback,
        })
    }

    /// Returns whether the referrers API answers for an image with a list: one request.
    pub async fn has_referrers_api(&self, subject: &DigestReference) -> bool {
        matches!(self.ask_api(subject, None).await, ApiAnswer::Listed(_))
    }

    /// Asks the referrers API.
    pub(super) async fn ask_api(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
    ) -> ApiAnswer {
        let limits = self.options().limits;
        let mut listing = Listing::new(ReferrersSource::Api, limits);
        match self.read_api(subject, artifact_type, &mut listing).await {
            Ok(true) => ApiAnswer::Listed(listing.read),
            Ok(false) => ApiAnswer::NoApi,
            Err(error) if listing.read.descriptors.is_empty() => ApiAnswer::NoList(error),
            // What was read before a page failed is a hint as good as any.
            Err(error) => {
                listing.read.unread = Some(error);
                ApiAnswer::Listed(listing.read)
            }
        }
    }

    /// Reads the API's pages; says whether there is an API.
    async fn read_api(
        &self,
        subject: &DigestReference,
        artifact_type: Option<&str>,
        listing: &mut Listing,
    ) -> Result<bool, RegistryError> {
        let limits = listing.limits;
        let subject = &self.in_signature_repository(subject);
        let repository = subject.repository();
        let mut url = self
            .url(repository, &format!("referrers/{}", subject.digest()))
            .await?;
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut()
                .append_pair("artifactType", artifact_type);
        }
        for page in 0..limits.pages {
            let request = self
                .request(Method::GET, url.clone())
                .header(ACCEPT, HeaderValue::from_static(OCI_INDEX));
            let reply = too_large_page(self.send(repository, Access::Pull, request).await)?;
            match reply.status.as_u16() {
                200 => {}
                404 if page == 0 => return Ok(false),
                _ if reply.is_success() => {
                    let found = format!("status {}", reply.status.as_u16());
                    return Err(reply.bad("a list of referrers", &found).into());
                }
                _ => return Err(reply.error().into()),
            }
            if reply.media_type() == "text/html" {
                return Err(reply.bad("a list of referrers", "a web page").into());
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
                return Ok(true);
            }
            let Some(next) = next_page(&reply.headers) else {
                // What is listed is a hint whatever it is called; that nothing is, has to be said properly.
                let media_type = reply.media_type();
                if listing.read.descriptors.is_empty() && media_type != OCI_INDEX {
                    return Err(reply.bad("a list of referrers", &media_type).into());
                }
                return Ok(true);
            };
            url = join_page("next page of referrers", &url, &next, &reply)?;
            let took = listing.started.elapsed();
            if took > limits.listing {
                let (limit, took) = (limits.listing.as_secs(), took.as_secs());
                listing.cut(Cap::Listing, limit, Some(took));
                return Ok(true);
            }
        }
        listing.cut(Cap::Pages, limits.pages as u64, None);
        Ok(true)
    }

    /// Reads the index under the fallback tag; empty if there is no such tag.
    ///
    /// # Errors
    /// [`RegistryError::Denied`], [`RegistryError::OverCap`], [`RegistryError::Net`]; a tag that points to something
    /// else is [`RegistryError::Document`].
    pub async fn fallback_referrers(
        &self,
        subject: &DigestReference,
    ) -> Result<Referrers, RegistryError> {
        let nothing = || Listing::new(ReferrersSource::FallbackTag, self.options().limits).read;
        let found = self.tagged_referrers(subject).await?;
        Ok(found.unwrap_or_else(nothing))
    }

    /// Reads the index under the fallback tag; `None` if there is no such tag.
    async fn tagged_referrers(
        &self,
        subject: &DigestReference,
    ) -> Result<Option<Referrers>, RegistryError> {
        let mut listing = Listing::new(ReferrersSource::FallbackTag, self.options().limits);
        let subject = &self.in_signature_repository(subject);
        let Some((index, _)) = self.fallback_index(subject).await? else {
            return Ok(None);
        };
        listing.take(&index);
        let image = subject.digest();
        listing.read.descriptors.retain(|one| one.digest != image);
        Ok(Some(listing.read))
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
