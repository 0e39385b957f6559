//! Chooses the partition of a record as Kafka's Java client does.
//!
//! **Invariant:** records with equal keys go to one partition as long as the
//! number of partitions stays.

use bytes::Bytes;

/// Keyed records by hash; the others stay with one partition until a batch's
/// worth of bytes went there (KIP-794).
#[derive(Debug)]
pub(super) struct Partitioner {
    batch_size: usize,
    sticky: Option<i32>,
    produced: usize,
    random: u64,
}

impl Partitioner {
    pub(super) fn new(batch_size: usize, seed: u64) -> Self {
        Self {
            batch_size,
            sticky: None,
            produced: 0,
            random: seed | 1,
        }
    }

    /// The partition of a record of `size` bytes among `count`.
    pub(super) fn choose(&mut self, key: Option<&Bytes>, size: usize, count: i32) -> i32 {
        if let Some(key) = key {
            let positive = murmur2(key) & 0x7fff_ffff;
            return i32::try_from(positive).map_or(0, |hash| hash % count.max(1));
        }
        let is_spent = self.produced >= self.batch_size;
        let partition = match self.sticky {
            Some(partition) if !is_spent && partition < count => partition,
            _ => {
                self.produced = 0;
                self.next_random(count)
            }
        };
        self.sticky = Some(partition);
        self.produced += size;
        partition
    }

    fn next_random(&mut self, count: i32) -> i32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let count = u64::try_from(count.max(1)).unwrap_or(1);
        i32::try_from(self.random % count).unwrap_or_default()
    }
}

/// The hash of Kafka's default partitioner.
pub(super) fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = word
            .iter()
            .rev()
            .fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest
            .iter()
            .rev()
            .fold(0, |k: u32, byte| (k << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::cast_possible_wrap)]
    fn hashes_of_kafkas_client() {
        let cases: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (data, hash) in cases {
            assert_eq!(murmur2(data) as i32, hash, "{data:?}");
        }
    }

    #[test]
    fn records_without_key_stay_until_a_batch_is_full() {
        let mut partitioner = Partitioner::new(100, 42);
        let first = partitioner.choose(None, 50, 1000);
        assert_eq!(partitioner.choose(None, 50, 1000), first);
        let later: Vec<i32> = (0..20)
            .map(|_| partitioner.choose(None, 100, 1000))
            .collect();
        assert!(
            later.iter().any(|partition| *partition != first),
            "{later:?}"
        );
        assert!(later.iter().all(|partition| (0..1000).contains(partition)));
    }

    #[test]
    fn equal_keys_meet() {
        let mut partitioner = Partitioner::new(1, 7);
        let key = Bytes::from_static(b"21");
        let expected = (-973_932_308_i32 & 0x7fff_ffff) % 7;
        for _ in 0..3 {
            assert_eq!(partitioner.choose(Some(&key), 9, 7), expected);
        }
    }
}
