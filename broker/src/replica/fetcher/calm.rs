//! A lane that asked and got nothing asks for the same again, and need not look
//! at its partitions for that as long as nothing happens to them.
//!
//! **Invariant:** whatever moves a partition's position or role wakes its
//! waiters, or came with an answer that was not empty.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::FutureExt;

use super::lane::Asked;
use crate::model::TopicPartition;
use crate::replica::wait::{Registration, Waiter};

/// Time alone may move the start of a log, and its leader wants to know it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Partitions that a lane asked for and got nothing of.
pub(super) struct Calm {
    waiter: Waiter,
    _registrations: Vec<Registration>,
    until: Duration,
}

impl Calm {
    /// `None` when a partition has moved since it was asked for.
    pub(super) fn of(asked: &BTreeMap<TopicPartition, Asked>, now: Duration) -> Option<Self> {
        let waiter = Waiter::default();
        let register = |asked: &Asked| asked.followed.partition.register(&waiter);
        let registrations = asked.values().map(register).collect();
        let is_as_asked = |asked: &Asked| {
            let followed = &asked.followed;
            followed.partition.follow_position(followed.epoch) == Some(asked.position)
        };
        asked.values().all(is_as_asked).then_some(Self {
            waiter,
            _registrations: registrations,
            until: now + LOOK_AGAIN,
        })
    }

    /// Says whether the same is to be asked for again.
    pub(super) fn lasts(&self, now: Duration) -> bool {
        let is_woken = self.waiter.progress().now_or_never().is_some();
        !is_woken && now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fetcher::lane::tests::asked;
    use crate::replica::partition::tests::follow_in;

    #[tokio::test]
    async fn calm_ends_with_what_happens_to_a_partition() {
        let now = Duration::from_secs(100);
        let mut all: BTreeMap<_, _> = [asked(0, 0), asked(1, 0)].into();
        assert!(Calm::of(&all, now).is_none(), "not followed in that epoch");
        for Asked {
            followed, position, ..
        } in all.values_mut()
        {
            follow_in(&followed.partition, followed.epoch);
            *position = followed.partition.follow_position(followed.epoch).unwrap();
        }
        let calm = Calm::of(&all, now).unwrap();
        assert!(calm.lasts(now + Duration::from_secs(4)));
        assert!(!calm.lasts(now + Duration::from_secs(5)));
        let calm = Calm::of(&all, now).unwrap();
        all.values().next().unwrap().followed.partition.stop();
        assert!(!calm.lasts(now));
        assert!(Calm::of(&all, now).is_none());
    }
}
