//! Finds nodes by their paths.
//!
//! Many small hash tables instead of a large one: when one of them grows, only a
//! thousandth of the nodes waits for it. An entry is a node's number alone; paths
//! are hashed and compared name by name, from the node up to the root.

use std::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Id, Slab};

const SHARDS: usize = 1024;

#[derive(Debug)]
pub(super) struct Index {
    hasher: DefaultHashBuilder,
    shards: Vec<HashTable<Id>>,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: vec![HashTable::new(); SHARDS],
        }
    }
}

/// A table uses the lowest and the highest bits of the hash itself.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// The hash of a path, from its names, the last one first.
fn hash<'a>(hasher: &DefaultHashBuilder, names: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = hasher.build_hasher();
    names.for_each(|name| hasher.write(name));
    hasher.finish()
}

/// The names of a path, the last one first.
fn names(path: &str) -> impl Iterator<Item = &[u8]> {
    let names = path.strip_prefix('/').filter(|names| !names.is_empty());
    names
        .into_iter()
        .flat_map(|names| names.rsplit('/'))
        .map(str::as_bytes)
}

impl Index {
    pub(super) fn find(&self, slab: &Slab, path: &str) -> Option<Id> {
        let hash = hash(&self.hasher, names(path));
        let shard = &self.shards[shard_of(hash)];
        shard.find(hash, |id| slab.has_path(*id, path)).copied()
    }

    /// Takes in a node that `slab` has already; no other may have its path.
    pub(super) fn insert(&mut self, slab: &Slab, path: &str, id: Id) {
        let Self { hasher, shards } = self;
        let hash_of = |id: &Id| hash(hasher, slab.names_upwards(*id));
        let hash = hash(hasher, names(path));
        shards[shard_of(hash)].insert_unique(hash, id, hash_of);
    }

    pub(super) fn remove(&mut self, path: &str, id: Id) {
        let hash = hash(&self.hasher, names(path));
        let shard = &mut self.shards[shard_of(hash)];
        if let Ok(entry) = shard.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }
}
