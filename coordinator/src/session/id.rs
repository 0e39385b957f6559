//! Session ids.

use std::sync::atomic::{AtomicI64, Ordering};

/// Hands out ids as ZooKeeper does: the server in the top byte, then the time,
/// then a counter, so that ids of different servers and runs never meet.
#[derive(Debug)]
pub(crate) struct IdGenerator {
    next: AtomicI64,
}

impl IdGenerator {
    pub(crate) fn new(server: u8, wall_ms: i64) -> Self {
        let time = ((wall_ms << 24) as u64 >> 8) as i64;
        Self {
            next: AtomicI64::new(time | (i64::from(server) << 56)),
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
    fn ids_carry_server_and_time_and_differ() {
        let ids = IdGenerator::new(1, 0x0000_0190_1234_5678);
        let first = ids.next();
        assert_eq!(first, 0x0190_1234_5678_0000);
        assert_eq!(ids.next(), first + 1);
        let other_server = IdGenerator::new(2, 0x0000_0190_1234_5678).next();
        assert_eq!(other_server >> 56, 2);
    }
}
