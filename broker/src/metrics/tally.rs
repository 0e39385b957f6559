//! Counters that many threads add to at nearly no cost.

use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of a tally; threads that share one still count right.
const SHARDS: usize = 4;
/// Counters of one cache line.
const LINE: usize = 8;

/// What a tally counts: the values of an enum.
pub trait Count: Copy {
    const COUNT: usize;
    fn index(self) -> usize;
}

/// One counter for each value of `C`.
#[derive(Debug)]
pub struct Tally<C> {
    cells: Cells,
    of: PhantomData<fn(C)>,
}

impl<C: Count> Default for Tally<C> {
    fn default() -> Self {
        Self {
            cells: Cells::new(C::COUNT),
            of: PhantomData,
        }
    }
}

impl<C: Count> Tally<C> {
    pub fn add(&self, what: C, count: u64) {
        self.cells.add(what.index(), count);
    }

    #[must_use]
    pub fn get(&self, what: C) -> u64 {
        self.cells.sum(what.index())
    }
}

/// Counters by index. Each shard has all of them, side by side, so that a thread
/// which adds to several touches few cache lines, and other threads touch others.
#[derive(Debug)]
pub(super) struct Cells {
    stride: usize,
    cells: Box<[AtomicU64]>,
}

impl Cells {
    pub(super) fn new(count: usize) -> Self {
        let stride = count.next_multiple_of(LINE);
        let cells = (0..stride * SHARDS).map(|_| AtomicU64::new(0));
        Self {
            stride,
            cells: cells.collect(),
        }
    }

    /// An index that is not there counts nothing.
    pub(super) fn add(&self, index: usize, count: u64) {
        debug_assert!(index < self.stride, "no such counter");
        if let Some(cell) = self.cells.get(shard() * self.stride + index) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    pub(super) fn sum(&self, index: usize) -> u64 {
        let shards = self.cells.chunks_exact(self.stride);
        shards
            .filter_map(|shard| shard.get(index))
            .map(|cell| cell.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

/// The shard of this thread: its local data lie elsewhere than those of others.
fn shard() -> usize {
    thread_local! {
        static HERE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    HERE.with(|here| match here.get() {
        usize::MAX => {
            let address = std::ptr::from_ref(here).addr() as u64;
            let mixed = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let shard = usize::try_from(mixed).unwrap_or(0) % SHARDS;
            here.set(shard);
            shard
        }
        shard => shard,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Fruit {
        Apple,
        Pear,
    }

    impl Count for Fruit {
        const COUNT: usize = 2;

        fn index(self) -> usize {
            self as usize
        }
    }

    #[test]
    fn what_many_threads_add_is_there_to_the_last() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        tally.add(Fruit::Apple, 1);
                        tally.add(Fruit::Pear, 3);
                    }
                });
            }
        });
        assert_eq!(tally.get(Fruit::Apple), 80_000);
        assert_eq!(tally.get(Fruit::Pear), 240_000);
    }
}
