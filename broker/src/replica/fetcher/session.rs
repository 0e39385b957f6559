//! The follower's side of a fetch session (KIP-227): the leader is told a
//! partition again only when something about it changed.

use std::collections::BTreeMap;

use super::lane::Asked;
use crate::model::{LeaderEpoch, TopicId, TopicPartition};
use crate::replica::partition::Position;

/// The epoch of a request that opens a session.
const OPENING: i32 = 0;
const NO_SESSION: i32 = 0;

/// What the leader was told of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    topic_id: TopicId,
    epoch: LeaderEpoch,
    position: Position,
}

/// The session with one leader.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    /// Whether topics were named by ids.
    by_id: bool,
    told: BTreeMap<TopicPartition, Told>,
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) session_id: i32,
    pub(super) session_epoch: i32,
    pub(super) changed: Vec<TopicPartition>,
    pub(super) forgotten: Vec<(TopicPartition, TopicId)>,
}

impl Told {
    fn of(asked: &Asked) -> Self {
        Self {
            topic_id: asked.topic_id,
            epoch: asked.followed.epoch,
            position: asked.position,
        }
    }
}

impl Session {
    /// Whatever the leader knows is told anew with the next request.
    pub(super) fn reset(&mut self) {
        self.epoch = OPENING;
        self.told.clear();
    }

    /// Compares what is asked for with what the leader knows.
    pub(super) fn next(
        &mut self,
        by_id: bool,
        asked: &BTreeMap<TopicPartition, Asked>,
    ) -> Difference {
        if self.by_id != by_id {
            self.reset();
            self.by_id = by_id;
        }
        let mut changed = Vec::new();
        for (id, asked) in asked {
            let now = Told::of(asked);
            if self.told.insert(id.clone(), now) != Some(now) {
                changed.push(id.clone());
            }
        }
        let mut forgotten = Vec::new();
        self.told.retain(|id, told| {
            let stays = asked.contains_key(id);
            if !stays {
                forgotten.push((id.clone(), told.topic_id));
            }
            stays
        });
        Difference {
            session_id: self.id,
            session_epoch: self.epoch,
            changed,
            forgotten,
        }
    }

    /// Says whether the leader remembers what it was told.
    pub(super) fn is_open(&self) -> bool {
        self.id != NO_SESSION && self.epoch != OPENING
    }

    /// What is to be sent when all is as it was.
    pub(super) fn nothing_new(&self) -> Difference {
        Difference {
            session_id: self.id,
            session_epoch: self.epoch,
            changed: Vec::new(),
            forgotten: Vec::new(),
        }
    }

    /// The leader answered; it may have opened a session, or have none to give.
    pub(super) fn on_answer(&mut self, session_id: i32) {
        if session_id == NO_SESSION {
            self.id = NO_SESSION;
            return self.reset();
        }
        self.id = session_id;
        self.epoch = match self.epoch {
            i32::MAX => 1,
            epoch => epoch + 1,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::fetcher::lane::tests::asked;

    fn ids(partitions: &[i32]) -> Vec<TopicPartition> {
        partitions.iter().map(|index| asked(*index, 0).0).collect()
    }

    fn all(offsets: &[i64]) -> BTreeMap<TopicPartition, Asked> {
        (0..)
            .zip(offsets)
            .map(|(index, offset)| asked(index, *offset))
            .collect()
    }

    #[test]
    fn only_what_changed_is_told_again() {
        let mut session = Session::default();
        let first = session.next(true, &all(&[0, 0, 0]));
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(first.changed, ids(&[0, 1, 2]));
        session.on_answer(9);
        let second = session.next(true, &all(&[0, 5, 0]));
        assert_eq!((second.session_id, second.session_epoch), (9, 1));
        assert_eq!(second.changed, ids(&[1]));
        session.on_answer(9);
        let same = session.nothing_new();
        assert_eq!((same.session_id, same.session_epoch), (9, 2));
        assert!(session.is_open() && same.changed.is_empty());
        let third = session.next(true, &all(&[0]));
        assert_eq!((third.session_epoch, third.changed.len()), (2, 0));
        assert_eq!(third.forgotten.len(), 2);
    }

    #[test]
    fn after_a_failure_all_is_told_and_the_old_session_replaced() {
        let mut session = Session::default();
        session.next(true, &all(&[0, 0]));
        session.on_answer(9);
        session.reset();
        assert!(!session.is_open(), "all is to be told");
        let again = session.next(true, &all(&[0, 0]));
        assert_eq!((again.session_id, again.session_epoch), (9, 0));
        assert_eq!(again.changed.len(), 2);
        session.on_answer(0);
        let without = session.next(true, &all(&[0, 0]));
        assert_eq!((without.session_id, without.session_epoch), (0, 0));
        assert_eq!(
            without.changed.len(),
            2,
            "no session: all is told each time"
        );
        session.on_answer(4);
        let renamed = session.next(false, &all(&[0, 0]));
        assert_eq!((renamed.session_epoch, renamed.changed.len()), (0, 2));
    }
}
