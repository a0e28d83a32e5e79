//! What else names a manifest: tags, and the indexes that tags lead to.
//!
//! A registry that deletes a manifest by its digest takes every tag that is on it, and breaks every index that
//! lists it. Neither is told of by the manifest, so all tags of the repository are looked at.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::crypto::Digest;
use crate::net::registry::{PointedTo, RegistryClient, RegistryError, Repository, Target};

/// Tags of a repository that are looked at. In one with more, nothing is deleted by its digest.
const MAX_TAGS: usize = 10_000;
/// Indexes within indexes that are looked at.
const MAX_INDEXES: usize = 2_000;
/// Requests at a time.
const CONCURRENCY: usize = 16;

/// The names of the manifests in a repository.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Tags on each manifest.
    tags: HashMap<Digest, Vec<String>>,
    /// Tags whose index lists each manifest, itself or through another index.
    lists: HashMap<Digest, Vec<String>>,
}

impl Names {
    /// Looks at every tag; of what indexes list, only `wanted` is kept.
    pub(super) async fn read(
        registry: &RegistryClient,
        repository: &Repository,
        wanted: &HashSet<Digest>,
    ) -> Result<Self, RegistryError> {
        let tags = registry.list_tags(repository, MAX_TAGS).await?;
        let looks = tags.into_iter().map(|tag| async move {
            let found = registry
                .pointed_to(repository, &Target::Tag(tag.clone()))
                .await?;
            Ok::<_, RegistryError>((tag, found))
        });
        let mut names = Names::default();
        let mut looks = stream::iter(looks).buffer_unordered(CONCURRENCY);
        let mut below: Vec<(String, Digest)> = Vec::new();
        let mut queued = HashSet::new();
        while let Some(look) = looks.next().await {
            let (tag, found) = look?;
            if let Some(found) = found {
                names
                    .tags
                    .entry(found.digest)
                    .or_default()
                    .push(tag.clone());
                names.note(&tag, found, wanted, &mut below, &mut queued)?;
            }
        }
        while let Some((tag, digest)) = below.pop() {
            let found = registry
                .pointed_to(repository, &Target::Digest(digest))
                .await?;
            if let Some(found) = found {
                names.note(&tag, found, wanted, &mut below, &mut queued)?;
            }
        }
        Ok(names)
    }

    fn note(
        &mut self,
        tag: &str,
        found: PointedTo,
        wanted: &HashSet<Digest>,
        below: &mut Vec<(String, Digest)>,
        queued: &mut HashSet<Digest>,
    ) -> Result<(), RegistryError> {
        for entry in found.lists {
            if wanted.contains(&entry.digest) {
                let lists = self.lists.entry(entry.digest).or_default();
                lists.push(tag.to_owned());
            }
            if entry.is_index() && queued.insert(entry.digest) {
                if queued.len() > MAX_INDEXES {
                    return Err(RegistryError::TooMany {
                        what: "indexes in one repository",
                        limit: MAX_INDEXES,
                    });
                }
                below.push((tag.to_owned(), entry.digest));
            }
        }
        Ok(())
    }

    /// Returns a tag that is on a manifest, other than `tags`, or whose index lists it, other than `lists`.
    pub(super) fn other(
        &self,
        manifest: &Digest,
        tags: &HashSet<String>,
        lists: &HashSet<String>,
    ) -> Option<&str> {
        let on = self.tags.get(manifest).into_iter().flatten();
        let listing = self.lists.get(manifest).into_iter().flatten();
        on.filter(|tag| !tags.contains(*tag))
            .chain(listing.filter(|tag| !lists.contains(*tag)))
            .map(String::as_str)
            .next()
    }
}
