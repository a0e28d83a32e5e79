//! Listing a referrer on a registry without the referrers API: the index under the fallback tag.
//!
//! The protocol offers a read, a write, and nothing between: two writers that read the same index
//! each write it without the other's entry, and the last one wins. What can be done is done here.
//! The index is read just before it is written; where the registry gives an ETag the write is
//! conditional; afterwards it is watched until it has stood still, with our entry in it, for several
//! reads at random distances, longer than a write takes. A writer whose entry vanished adds it to what
//! it finds. Writers that all do so all survive; one that stalls between reading and writing for
//! longer than the others watch, or a tool that does not look back, can still take entries away.
//! Attaching the bundle again repairs that.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::auth::Access;
use super::caps::Cap;
use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::DigestReference;
use crate::crypto::Digest;
use crate::format::oci::{Descriptor, OCI_INDEX, ReferrersIndex, fallback_tag};
use crate::net::http::{Method, Reply, RetryPolicy, jitter};

/// Reads in a row that must show the same index with our entry.
const QUIET_READS: u32 = 3;
/// The same, once another writer was noticed.
const QUIET_READS_CONTENDED: u32 = 6;
/// Shortest and longest distance of two such reads, beside the time a write was seen to take.
const PAUSE: (Duration, Duration) = (Duration::from_millis(30), Duration::from_millis(120));
/// Oldest a read may be when its successor is written; an older one is read again.
const STALE: Duration = Duration::from_millis(20);

/// What listing an entry took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FallbackWritten {
    /// How often the index was written; 0 if the entry was there already.
    pub writes: u32,
    /// Whether the index stood still with the entry in it. If not, time ran out under contention
    /// with the entry there at the last look.
    pub settled: bool,
}

/// The index as last read.
pub(super) struct Seen {
    pub(super) index: ReferrersIndex,
    /// Digest of its bytes; `None` if there is no such tag yet.
    pub(super) digest: Option<Digest>,
    etag: Option<HeaderValue>,
    /// When the read began, and when its reply was there.
    asked: Instant,
    at: Instant,
}

impl RegistryClient {
    /// Lists a referrer under the fallback tag of its subject, keeping every other entry and every
    /// unknown field as they stand.
    ///
    /// # Errors
    /// [`RegistryError::FallbackContended`] if the entry did not stay within the deadline;
    /// [`RegistryError::OverCap`] if the index is full; [`RegistryError::Document`] if the tag points
    /// to something else; [`RegistryError::Denied`], [`RegistryError::Net`].
    pub async fn list_in_fallback(
        &self,
        subject: &DigestReference,
        entry: &Descriptor,
    ) -> Result<FallbackWritten, RegistryError> {
        self.list_all_in_fallback(subject, std::slice::from_ref(entry))
            .await
    }

    /// Lists several referrers of one subject at once, as [`RegistryClient::list_in_fallback`] does one.
    ///
    /// # Errors
    /// As there.
    pub async fn list_all_in_fallback(
        &self,
        subject: &DigestReference,
        entries: &[Descriptor],
    ) -> Result<FallbackWritten, RegistryError> {
        let subject = &self.in_signature_repository(subject);
        let started = Instant::now();
        let deadline = self.options().fallback_deadline;
        let mut writes = 0;
        let mut faults = 0;
        let mut quiet = 0;
        let mut contended = false;
        let mut conditional = true;
        let mut write_took = Duration::ZERO;
        let mut last: Option<Digest> = None;
        loop {
            let mut seen = self.look(subject).await?;
            let listed = entries
                .iter()
                .all(|entry| seen.index.contains(&entry.digest));
            if listed {
                // Someone else's write that kept our entry starts the watch again.
                if quiet > 0 && seen.digest != last {
                    contended = true;
                    quiet = 0;
                }
                quiet += 1;
                last = seen.digest;
                let needed = match (writes, contended) {
                    (0, _) => 1,
                    (_, false) => QUIET_READS,
                    (_, true) => QUIET_READS_CONTENDED,
                };
                if quiet >= needed {
                    return Ok(FallbackWritten {
                        writes,
                        settled: true,
                    });
                }
            }
            if started.elapsed() > deadline {
                if listed {
                    return Ok(FallbackWritten {
                        writes,
                        settled: false,
                    });
                }
                return Err(RegistryError::FallbackContended {
                    tag: format!(
                        "{}:{}",
                        subject.repository(),
                        fallback_tag(&subject.digest())
                    ),
                    writes,
                    seconds: started.elapsed().as_secs(),
                });
            }
            if listed {
                let range = PAUSE.1 - PAUSE.0;
                tokio::time::sleep(PAUSE.0 + jitter(range) + write_took).await;
                continue;
            }
            quiet = 0;
            if writes > 0 {
                contended = true;
                // Writers that collided once should not meet again.
                tokio::time::sleep(jitter(PAUSE.1)).await;
                seen = self.look(subject).await?;
            }
            if seen.at.elapsed() > STALE {
                seen = self.look(subject).await?;
            }
            let mut added = false;
            for entry in entries {
                added |= seen.index.add(entry);
            }
            if !added {
                continue;
            }
            self.check_room(&seen.index)?;
            writes += 1;
            let outcome = self.write(subject, &seen, conditional).await;
            write_took = seen.asked.elapsed().min(Duration::from_secs(2));
            match outcome {
                Ok(reply) if reply.is_success() => {}
                // Somebody was faster. If nobody was, the registry means something else by it.
                Ok(reply) if reply.status.as_u16() == 412 && conditional => {
                    contended = true;
                    let now = self.look(subject).await?;
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

    /// Refuses to write an index that readers with the same caps would not read.
    pub(super) fn check_room(&self, index: &ReferrersIndex) -> Result<(), RegistryError> {
        const WHAT: &str = "index under the fallback tag";
        let limits = self.options().limits;
        let over = |cap, limit, found| RegistryError::OverCap {
            cap,
            what: WHAT,
            limit,
            found: Some(found),
        };
        let (limit, entries) = (limits.referrers as u64, index.len() as u64);
        if entries > limit {
            return Err(over(Cap::Referrers, limit, entries));
        }
        let bytes = index.encode().len() as u64;
        if bytes > limits.manifest {
            return Err(over(Cap::Manifest, limits.manifest, bytes));
        }
        Ok(())
    }

    pub(super) async fn look(&self, subject: &DigestReference) -> Result<Seen, RegistryError> {
        let asked = Instant::now();
        let found = self.fallback_index(subject).await?;
        let at = Instant::now();
        Ok(match found {
            Some((index, reply)) => Seen {
                index,
                digest: Some(Digest::sha256(&reply.body)),
                // A weak tag never matches (RFC 9110 section 13.1.1).
                etag: reply
                    .headers
                    .get(ETAG)
                    .filter(|tag| !tag.as_bytes().starts_with(b"W/"))
                    .cloned(),
                asked,
                at,
            },
            None => Seen {
                index: ReferrersIndex::empty(),
                digest: None,
                etag: None,
                asked,
                at,
            },
        })
    }

    /// Writes once: a repeated write could undo what others wrote in between.
    pub(super) async fn write(
        &self,
        subject: &DigestReference,
        seen: &Seen,
        conditional: bool,
    ) -> Result<Reply, RegistryError> {
        let repository = subject.repository();
        let tag = fallback_tag(&subject.digest());
        let url = self.url(repository, &format!("manifests/{tag}")).await?;
        let mut request = self
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, HeaderValue::from_static(OCI_INDEX))
            .body(seen.index.encode())
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
        self.send(repository, Access::PullPush, request).await
    }
}
