//! Key -> latest offset, in bounded memory: 24 bytes for each key, of which 16
//! are a hash. Two keys with one hash would lose records, so the hash is a
//! cryptographic one.

use sha2::{Digest, Sha256};

use crate::model::Offset;

/// Bytes that one key takes.
pub(super) const ENTRY_SIZE: usize = 24;
const HASH_SIZE: usize = 16;
const EMPTY: Offset = -1;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: [u8; HASH_SIZE],
    offset: Offset,
}

/// **Invariant:** at least one slot stays empty, so every probe ends.
#[derive(Debug)]
pub(super) struct OffsetMap {
    slots: Vec<Slot>,
    entries: usize,
    entries_max: usize,
    latest_offset: Offset,
}

/// There was no room for a key that is new.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

impl OffsetMap {
    /// Takes at most `memory` bytes, of which `load_factor` are used, and no
    /// more than `keys_max` keys need.
    pub(super) fn new(memory: usize, load_factor: f64, keys_max: u64) -> Self {
        let slots_max = memory / ENTRY_SIZE;
        let usable = |slots: usize| (slots as f64 * load_factor) as usize;
        let wanted = (keys_max as f64 / load_factor.clamp(0.1, 1.0)) as usize;
        let slots = slots_max.min(wanted.saturating_add(2)).max(2);
        let empty = Slot {
            hash: [0; HASH_SIZE],
            offset: EMPTY,
        };
        Self {
            slots: vec![empty; slots],
            entries: 0,
            entries_max: usable(slots).clamp(1, slots - 1),
            latest_offset: EMPTY,
        }
    }

    /// Notes that `key` has a record at `offset`, the latest so far.
    pub(super) fn put(&mut self, key: &[u8], offset: Offset) -> Result<(), Full> {
        if self.entries >= self.entries_max {
            return Err(Full);
        }
        let hash = hash_of(key);
        let at = self.find(&hash);
        let slot = &mut self.slots[at];
        if slot.offset == EMPTY {
            slot.hash = hash;
            self.entries += 1;
        }
        slot.offset = offset;
        self.latest_offset = offset;
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.find(&hash_of(key))];
        (slot.offset != EMPTY).then_some(slot.offset)
    }

    /// The slot that holds `hash`, or the empty one where it would go.
    fn find(&self, hash: &[u8; HASH_SIZE]) -> usize {
        let [first @ .., _, _, _, _, _, _, _, _] = *hash;
        let count = self.slots.len();
        let mut at = (u64::from_be_bytes(first) % count as u64) as usize;
        while self.slots[at].offset != EMPTY && self.slots[at].hash != *hash {
            at = (at + 1) % count;
        }
        at
    }

    /// Everything up to here was looked at; -1 if nothing was.
    pub(super) fn latest_offset(&self) -> Offset {
        self.latest_offset
    }

    pub(super) fn set_latest_offset(&mut self, offset: Offset) {
        self.latest_offset = offset;
    }

    /// How much of the slots is used, from 0 to 1.
    pub(super) fn utilization(&self) -> f64 {
        self.entries as f64 / self.slots.len() as f64
    }
}

fn hash_of(key: &[u8]) -> [u8; HASH_SIZE] {
    let mut hash = [0; HASH_SIZE];
    hash.copy_from_slice(&Sha256::digest(key)[..HASH_SIZE]);
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn it_agrees_with_a_hash_map_up_to_its_bound() {
        let mut map = OffsetMap::new(100 * ENTRY_SIZE, 0.9, u64::MAX);
        let mut model = HashMap::new();
        let mut offset = 0;
        for round in 0..3 {
            for key in 0..30 {
                let key = format!("key-{}", key * (round + 1));
                assert_eq!(map.put(key.as_bytes(), offset), Ok(()));
                model.insert(key, offset);
                offset += 1;
            }
        }
        for (key, offset) in &model {
            assert_eq!(map.get(key.as_bytes()), Some(*offset), "{key}");
        }
        assert_eq!(map.get(b"key"), None);
        assert_eq!(map.latest_offset(), offset - 1);
        let room = 90 - model.len();
        for index in 0..room {
            assert_eq!(map.put(format!("new-{index}").as_bytes(), offset), Ok(()));
        }
        assert_eq!(map.put(b"one too many", offset), Err(Full));
        assert_eq!(map.put(b"key-0", offset), Err(Full), "as in Kafka");
        assert!(map.utilization() > 0.89);
    }

    #[test]
    fn little_work_takes_little_memory() {
        let map = OffsetMap::new(128 << 20, 0.9, 100);
        assert!(map.slots.len() < 120);
        let tiny = OffsetMap::new(0, 0.9, 100);
        assert_eq!(tiny.slots.len(), 2);
    }
}
