//! Session ids.

use std::sync::atomic::{AtomicI64, Ordering};

/// Hands out ids as ZooKeeper does: the server in the top byte, then the time,
/// then a counter, so that ids of different servers and runs never meet.
#[derive(Debug)]
pub(crate) struct IdGenerator {
    next: AtomicI64,
}

impl IdGenerator {
    /// `known` are the ids that are in use: should the clock have gone back since
    /// they were given, the new ones still come after them.
    pub(crate) fn new(server: u8, wall_ms: i64, known: impl Iterator<Item = i64>) -> Self {
        let time = ((wall_ms << 24) as u64 >> 8) as i64;
        let first = time | (i64::from(server) << 56);
        let own = known.filter(|id| id >> 56 == i64::from(server));
        let after = own.max().map_or(first, |newest| newest + 1);
        Self {
            next: AtomicI64::new(first.max(after)),
        }
    }

    pub(crate) fn next(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_is_given_twice_after_the_clock_went_back() {
        let at = 0x0000_0190_1234_5678;
        let newest = IdGenerator::new(1, at, [].into_iter()).next();
        let known = [newest, 0x0f00_0000_0000_0000];
        let ids = IdGenerator::new(1, at - 3_600_000, known.into_iter());
        assert_eq!(ids.next(), newest + 1);
    }

    #[test]
    fn ids_carry_server_and_time_and_differ() {
        let ids = IdGenerator::new(1, 0x0000_0190_1234_5678, [].into_iter());
        let first = ids.next();
        assert_eq!(first, 0x0190_1234_5678_0000);
        assert_eq!(ids.next(), first + 1);
        let other_server = IdGenerator::new(2, 0x0000_0190_1234_5678, [].into_iter()).next();
        assert_eq!(other_server >> 56, 2);
    }
}
