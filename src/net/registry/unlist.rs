//! Taking entries out of the index under a fallback tag; `fallback` puts them in.

use std::time::{Duration, Instant};

use super::client::RegistryClient;
use super::error::RegistryError;
use super::reference::{DigestReference, Target};
use crate::crypto::Digest;
use crate::format::oci::fallback_tag;
use crate::net::http::jitter;

/// What became of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlisted {
    /// It had none of the entries, or there is no such tag.
    NothingThere,
    /// It was written without the entries.
    Rewritten,
    /// Nothing else was in it, and it is deleted.
    IndexDeleted,
    /// Nothing else was in it, and the tag is gone; the document has, or may have, other uses.
    TagDeleted,
}

impl RegistryClient {
    /// Takes entries out of the index under the fallback tag of their subject, keeping every other entry as it
    /// stands; an index with nothing left is deleted, or left empty where the registry deletes nothing.
    ///
    /// A document may stand under other tags too, all of which go when it is deleted by its digest: that is
    /// only done to one of which `only_here` says that it is this list and nothing else. Where the tag is on the
    /// image itself there is no list.
    ///
    /// # Errors
    /// [`RegistryError::FallbackContended`] if others keep putting them back; [`RegistryError::Document`] if
    /// the tag points to something else; [`RegistryError::Denied`], [`RegistryError::Net`].
    pub async fn unlist_in_fallback(
        &self,
        subject: &DigestReference,
        gone: &[Digest],
        only_here: impl Fn(&Digest) -> bool,
    ) -> Result<Unlisted, RegistryError> {
        let subject = &self.in_signature_repository(subject);
        let repository = subject.repository();
        let started = Instant::now();
        let mut outcome = Unlisted::NothingThere;
        let mut writes = 0;
        let mut conditional = true;
        while started.elapsed() <= self.options().fallback_deadline {
            let mut seen = self.look(subject).await?;
            let Some(index) = seen.digest else {
                return Ok(outcome);
            };
            if index == subject.digest() {
                return Ok(outcome);
            }
            // An index that was not read to its end cannot be written anew.
            self.check_room(&seen.index)?;
            if seen.index.remove(gone) == 0 {
                return Ok(outcome);
            }
            writes += 1;
            if seen.index.is_empty() {
                // By its digest: an index that somebody has written meanwhile has another one.
                let (target, done) = match only_here(&index) {
                    true => (Target::Digest(index), Unlisted::IndexDeleted),
                    false => {
                        let tag = fallback_tag(&subject.digest());
                        (Target::Tag(tag), Unlisted::TagDeleted)
                    }
                };
                match self.delete(repository, &target).await {
                    Ok(_) => {
                        outcome = done;
                        continue;
                    }
                    // Who may not delete may be allowed to write.
                    Err(RegistryError::DeletionDisabled { .. } | RegistryError::Denied { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let reply = self.write(subject, &seen, conditional).await?;
            match reply.status.as_u16() {
                200..=299 => outcome = Unlisted::Rewritten,
                // Somebody was faster; what they wrote is looked at. If nobody was, the registry means something else
                // by it.
                412 if conditional => {
                    tokio::time::sleep(jitter(Duration::from_millis(120))).await;
                    conditional = self.look(subject).await?.digest != seen.digest;
                }
                _ => return Err(reply.error().into()),
            }
        }
        Err(RegistryError::FallbackContended {
            tag: format!("{repository}:{}", fallback_tag(&subject.digest())),
            writes,
            seconds: started.elapsed().as_secs(),
        })
    }
}
