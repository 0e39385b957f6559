//! Finds nodes by their paths.
//!
//! Many small hash tables instead of a large one: when one of them grows, only a
//! thousandth of the nodes waits for it. An entry is a node's number alone; the
//! path is compared name by name, from the node up to the root.

use std::hash::BuildHasher;

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

impl Index {
    pub(super) fn find(&self, slab: &Slab, path: &str) -> Option<Id> {
        let hash = self.hasher.hash_one(path);
        let shard = &self.shards[shard_of(hash)];
        shard.find(hash, |id| slab.has_path(*id, path)).copied()
    }

    /// Takes in a node that `slab` has already; no other may have its path.
    pub(super) fn insert(&mut self, slab: &Slab, path: &str, id: Id) {
        let Self { hasher, shards } = self;
        let hash = hasher.hash_one(path);
        let rehash = |id: &Id| hasher.hash_one(slab.path(*id).as_str());
        shards[shard_of(hash)].insert_unique(hash, id, rehash);
    }

    pub(super) fn remove(&mut self, path: &str, id: Id) {
        let hash = self.hasher.hash_one(path);
        let shard = &mut self.shards[shard_of(hash)];
        if let Ok(entry) = shard.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }
}
