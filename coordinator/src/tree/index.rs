//! Finds nodes by their paths.
//!
//! Many small hash tables instead of a large one: growing one of them moves a
//! thousandth of the entries, and so does copying one that a clone still shares.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::slab::{Id, Slab};

const SHARDS: usize = 1024;

#[derive(Debug, Clone)]
pub(super) struct Index {
    hasher: DefaultHashBuilder,
    shards: Vec<Arc<HashTable<Id>>>,
}

impl Default for Index {
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: vec![empty; SHARDS],
        }
    }
}

/// A table uses the lowest and the highest bits of the hash itself.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl Index {
    fn hash(&self, path: &[u8]) -> u64 {
        self.hasher.hash_one(path)
    }

    pub(super) fn find(&self, slab: &Slab, path: &str) -> Option<Id> {
        let path = path.as_bytes();
        let hash = self.hash(path);
        let shard = &self.shards[shard_of(hash)];
        let is_it = |id: &Id| slab.get(*id).body.path_bytes() == path;
        shard.find(hash, is_it).copied()
    }

    /// Takes in a node that `slab` has already; no other may have its path.
    pub(super) fn insert(&mut self, slab: &Slab, id: Id) {
        let Self { hasher, shards } = self;
        let hash_of = |id: &Id| hasher.hash_one(slab.get(*id).body.path_bytes());
        let hash = hash_of(&id);
        let shard = Arc::make_mut(&mut shards[shard_of(hash)]);
        shard.insert_unique(hash, id, hash_of);
    }

    pub(super) fn remove(&mut self, path: &str, id: Id) {
        let hash = self.hash(path.as_bytes());
        let shard = Arc::make_mut(&mut self.shards[shard_of(hash)]);
        if let Ok(entry) = shard.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
    }
}
