//! An index and the images that it lists.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::crypto::Digest;
use crate::flow::discover::Budget;
use crate::flow::store::{ImageStore, StoreError, StoredManifest};
use crate::format::oci::{Descriptor, Document, Platform, PlatformFilter};
use crate::net::registry::RegistryError;

/// Images under one index; as many as an index may list.
const MAX_CHILDREN: usize = 10_000;
/// Indexes in indexes. Real ones have one level.
const MAX_DEPTH: usize = 8;
/// Bytes of indexes under one index. An entry has about 300, so ten thousand take 3 MiB.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// An image that an index lists.
#[derive(Debug, Clone)]
pub struct Child {
    /// The index that lists it.
    pub index: Digest,
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// Platform, as the index says.
    pub platform: Option<Platform>,
    /// Which of the platforms that were asked for it may be pulled for: their places in the list.
    pub taken_for: Vec<usize>,
}

/// Lists everything under an index, indexes in it before what they list; each digest once. Nothing of an image
/// that is no index. Only indexes are fetched: what an index says of an image is bound by its own digest.
///
/// For each platform it is told which of the images somebody may be given who pulls for it.
///
/// # Errors
/// [`StoreError`].
pub async fn children(
    store: &ImageStore<'_>,
    root: &StoredManifest,
    platforms: &[PlatformFilter],
    budget: &Budget,
) -> Result<Vec<Child>, StoreError> {
    let mut tree = Tree {
        platforms,
        known: HashMap::from([(root.descriptor.digest, None)]),
        found: Vec::new(),
    };
    let mut level = tree.list(root.descriptor.digest, &root.document)?;
    let mut spent: u64 = 0;
    for _ in 0..MAX_DEPTH {
        if level.is_empty() {
            return Ok(tree.found);
        }
        let mut next = Vec::new();
        // One after the other: what one holds in memory is many times its bytes.
        for descriptor in &level {
            spent = spent.saturating_add(descriptor.size);
            if spent > MAX_BYTES {
                return too_many("bytes of indexes in an index", MAX_BYTES as usize);
            }
            let _permit = budget.take(descriptor.size).await;
            let fetched = store.child(descriptor).await?;
            next.extend(tree.list(descriptor.digest, &fetched.document)?);
        }
        level = next;
    }
    match level.is_empty() {
        true => Ok(tree.found),
        false => too_many("indexes in indexes", MAX_DEPTH),
    }
}

fn too_many<T>(what: &'static str, limit: usize) -> Result<T, StoreError> {
    Err(StoreError::Registry(RegistryError::TooMany { what, limit }))
}

/// What is found of a tree.
struct Tree<'a> {
    platforms: &'a [PlatformFilter],
    /// Digests that were met, with their places in `found`; the root has none.
    known: HashMap<Digest, Option<usize>>,
    found: Vec<Child>,
}

impl Tree<'_> {
    /// Takes in what an index lists, and returns the indexes among it that are new.
    fn list(&mut self, parent: Digest, document: &Document) -> Result<Vec<Descriptor>, StoreError> {
        let Document::Index(index) = document else {
            return Ok(Vec::new());
        };
        let mut taken_for = vec![Vec::new(); index.manifests.len()];
        for (wanted, platform) in self.platforms.iter().enumerate() {
            for place in platform.taken(&index.manifests) {
                taken_for[place].push(wanted);
            }
        }
        let mut indexes = Vec::new();
        for (descriptor, taken_for) in index.manifests.iter().zip(taken_for) {
            let place = self.found.len();
            match self.known.entry(descriptor.digest) {
                Entry::Vacant(vacant) => drop(vacant.insert(Some(place))),
                Entry::Occupied(known) => {
                    // Listed again, perhaps for another platform.
                    let known = known.get().and_then(|place| self.found.get_mut(place));
                    if let Some(known) = known {
                        known.taken_for.extend(taken_for);
                        known.taken_for.sort_unstable();
                        known.taken_for.dedup();
                    }
                    continue;
                }
            }
            if place == MAX_CHILDREN {
                return too_many("children of an index", MAX_CHILDREN);
            }
            if descriptor.is_index() {
                indexes.push(descriptor.bare());
            }
            self.found.push(Child {
                index: parent,
                descriptor: descriptor.bare(),
                platform: descriptor.platform.clone(),
                taken_for,
            });
        }
        Ok(indexes)
    }
}
