//! One line of the log for all partitions that are read back together.
//!
//! A broker that starts or takes over reads dozens of them at once; what each
//! one held is said at DEBUG, the sum once the last of them is done.

use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

/// The rounds of loading of one broker, one after the other.
pub(super) struct Rounds {
    clock: SharedClock,
    round: Mutex<Round>,
}

/// What the present round has found so far.
#[derive(Debug, Default)]
struct Round {
    /// Parts that are not over yet.
    open_count: usize,
    began: Duration,
    total: Total,
}

/// What was read back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Total {
    partitions: usize,
    groups: usize,
    offsets: usize,
}

/// A part of a round; the round is over when its last part is dropped.
pub struct Loading(Arc<Rounds>);

impl Rounds {
    pub(super) fn new(clock: SharedClock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            round: Mutex::default(),
        })
    }

    /// Adds a part to the present round, or begins one.
    pub(super) fn begin(self: &Arc<Self>) -> Loading {
        let mut round = self.round.lock();
        if round.open_count == 0 {
            round.began = self.clock.monotonic();
        }
        round.open_count += 1;
        Loading(Arc::clone(self))
    }

    /// Ends a part; the sum, if it was the last one of a round that read anything.
    fn end(&self) -> Option<(Total, Duration)> {
        let mut round = self.round.lock();
        round.open_count -= 1;
        if round.open_count > 0 {
            return None;
        }
        let total = std::mem::take(&mut round.total);
        let took = self.clock.monotonic().saturating_sub(round.began);
        (total.partitions > 0).then_some((total, took))
    }
}

impl Loading {
    /// A partition was read to its end.
    pub(super) fn loaded(&self, groups: usize, offsets: usize) {
        let total = &mut self.0.round.lock().total;
        total.partitions += 1;
        total.groups += groups;
        total.offsets += offsets;
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if let Some((total, took)) = self.0.end() {
            tracing::info!(
                partitions = total.partitions,
                groups = total.groups,
                offsets = total.offsets,
                ms = took.as_millis(),
                "groups loaded"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_summed_up_once_when_its_last_part_ends() {
        let rounds = Rounds::new(common::clock::system());
        let all = rounds.begin();
        for partition in 0..3 {
            let part = rounds.begin();
            part.loaded(partition, 10);
            std::mem::forget(part);
            assert_eq!(rounds.end(), None);
        }
        std::mem::forget(all);
        let total = Total {
            partitions: 3,
            groups: 3,
            offsets: 30,
        };
        assert_eq!(rounds.end().map(|(total, _)| total), Some(total));
        std::mem::forget(rounds.begin());
        assert_eq!(rounds.end(), None, "nothing was read");
    }
}
