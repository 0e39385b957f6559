//! One line of the log for all partitions that are read back together.
//!
//! A broker that starts or takes over reads dozens of them at once; that each one
//! is there is said at DEBUG, the sum once the last of them is done.

use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

/// What was read back from a partition, or from several of them.
pub trait Found: Default + AddAssign + Send + 'static {
    /// Says so in the log.
    fn report(&self, partitions: usize, took: Duration);
}

/// The rounds of loading of one coordinator, one after the other.
pub(super) struct Rounds<F> {
    clock: SharedClock,
    round: Mutex<Round<F>>,
}

/// What the present round has found so far.
#[derive(Default)]
struct Round<F> {
    /// Parts that are not over yet.
    open_count: usize,
    began: Duration,
    partitions: usize,
    found: F,
}

/// A part of a round; the round is over when its last part is dropped.
pub struct Loading<F: Found>(Arc<Rounds<F>>);

impl<F: Found> Rounds<F> {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            round: Mutex::default(),
        })
    }

    /// Adds a part to the present round, or begins one.
    pub(super) fn begin(self: &Arc<Self>) -> Loading<F> {
        let mut round = self.round.lock();
        if round.open_count == 0 {
            round.began = self.clock.monotonic();
        }
        round.open_count += 1;
        Loading(Arc::clone(self))
    }

    /// Ends a part.
    fn end(&self) {
        let mut round = self.round.lock();
        round.open_count -= 1;
        if round.open_count > 0 || round.partitions == 0 {
            return;
        }
        let Round {
            partitions,
            found,
            began,
            ..
        } = std::mem::take(&mut *round);
        drop(round);
        let took = self.clock.monotonic().saturating_sub(began);
        found.report(partitions, took);
    }
}

impl<F: Found> Loading<F> {
    /// A partition was read to its end.
    pub(super) fn loaded(&self, found: F) {
        let mut round = self.0.round.lock();
        round.partitions += 1;
        round.found += found;
    }
}

impl<F: Found> Drop for Loading<F> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static REPORTS: RefCell<Vec<(usize, usize)>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Default)]
    struct Records(usize);

    impl AddAssign for Records {
        fn add_assign(&mut self, other: Self) {
            self.0 += other.0;
        }
    }

    impl Found for Records {
        fn report(&self, partitions: usize, _took: Duration) {
            REPORTS.with_borrow_mut(|reports| reports.push((partitions, self.0)));
        }
    }

    #[test]
    fn a_round_is_summed_up_once_when_its_last_part_ends() {
        let rounds = Rounds::new(common::clock::system());
        let all = rounds.begin();
        for _partition in 0..3 {
            rounds.begin().loaded(Records(10));
        }
        assert_eq!(REPORTS.take(), []);
        drop(all);
        assert_eq!(REPORTS.take(), [(3, 30)]);
        drop(rounds.begin());
        assert_eq!(REPORTS.take(), [], "nothing was read");
        rounds.begin().loaded(Records(1));
        assert_eq!(REPORTS.take(), [(1, 1)], "each round begins at nothing");
    }
}
