//! What a follower does with what its leader sends.
//!
//! **Invariant:** every step is done only while this replica still follows in
//! the epoch in which the leader was asked; an answer of an older epoch
//! changes nothing.

use bytes::Bytes;

use super::{Partition, Role, State};
use crate::log::{self, EpochEndOffset};
use crate::metrics::Traffic;
use crate::model::{LeaderEpoch, Offset};
use crate::replica::follower::{self, Cut};

/// Where a follower goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) struct Position {
    pub(in crate::replica) offset: Offset,
    pub(in crate::replica) log_start: Offset,
    /// The epoch of the last record before `offset`.
    pub(in crate::replica) last_epoch: Option<LeaderEpoch>,
}

/// What a leader sent.
#[derive(Debug)]
pub(in crate::replica) struct Fetched {
    /// The epoch in which it was asked.
    pub(in crate::replica) epoch: LeaderEpoch,
    /// Where it was asked to go on.
    pub(in crate::replica) offset: Offset,
    pub(in crate::replica) records: Bytes,
    pub(in crate::replica) high_watermark: Offset,
    pub(in crate::replica) log_start: Offset,
}

/// Why a step of a follower was not done.
#[derive(Debug, thiserror::Error)]
pub(in crate::replica) enum FollowError {
    #[error("the replica does not follow in this epoch any more")]
    Outdated,
    #[error(transparent)]
    Append(#[from] log::AppendError),
    #[error(transparent)]
    Log(#[from] log::Error),
}

impl Partition {
    /// Where to go on in `epoch`; `None` when it is over.
    pub(in crate::replica) fn follow_position(&self, epoch: LeaderEpoch) -> Option<Position> {
        let state = self.state.lock();
        check(&state, epoch).ok()?;
        let log = self.log.read();
        Some(Position {
            offset: log.log_end_offset(),
            log_start: log.log_start_offset(),
            last_epoch: log.latest_epoch(),
        })
    }

    /// Appends what the leader sent and learns what is committed.
    pub(in crate::replica) fn follow(&self, fetched: Fetched) -> Result<(), FollowError> {
        let mut state = self.state.lock();
        check(&state, fetched.epoch)?;
        let mut log = self.log.write();
        if log.log_end_offset() != fetched.offset {
            return Err(FollowError::Outdated);
        }
        if !fetched.records.is_empty() {
            let bytes = fetched.records.len() as u64;
            log.append_as_follower(fetched.records, self.around.clock.wall_ms())?;
            self.count(Traffic::ReplicationBytesIn, bytes);
        }
        let reached = fetched.high_watermark.min(log.log_end_offset());
        let before = state.high_watermark;
        state.high_watermark = before.max(reached);
        if fetched.log_start > log.log_start_offset() && fetched.log_start <= state.high_watermark {
            log.maybe_increment_log_start_offset(fetched.log_start)?;
        }
        state.high_watermark = state.high_watermark.max(log.log_start_offset());
        drop(log);
        let has_moved = state.high_watermark != before;
        drop(state);
        if has_moved {
            self.waiters.wake();
        }
        Ok(())
    }

    /// Cuts the log so that it agrees with the leader's, which has `leader`
    /// last; says where that was.
    pub(in crate::replica) fn cut_where_it_diverges(
        &self,
        epoch: LeaderEpoch,
        leader: EpochEndOffset,
    ) -> Result<Cut, FollowError> {
        let mut state = self.state.lock();
        check(&state, epoch)?;
        let own = self.log.read().end_offset_for(leader.epoch);
        let (end, watermark) = (self.log.read().log_end_offset(), state.high_watermark);
        let cut = follower::cut(leader, own, end, watermark);
        self.cut(&mut state, cut.offset)?;
        Ok(cut)
    }

    /// Cuts to the high watermark: a log without epochs has no better mark.
    pub(super) fn cut_to_high_watermark(&self, epoch: LeaderEpoch) -> Result<Offset, FollowError> {
        let mut state = self.state.lock();
        check(&state, epoch)?;
        let watermark = state.high_watermark;
        self.cut(&mut state, watermark)
    }

    /// Cuts at `offset`, because the leader's log ends there.
    pub(in crate::replica) fn cut_at(
        &self,
        epoch: LeaderEpoch,
        offset: Offset,
    ) -> Result<Offset, FollowError> {
        let mut state = self.state.lock();
        check(&state, epoch)?;
        self.cut(&mut state, offset)
    }

    /// Starts anew at `offset`, because the leader's log begins only there.
    pub(in crate::replica) fn restart_at(
        &self,
        epoch: LeaderEpoch,
        offset: Offset,
    ) -> Result<(), FollowError> {
        let mut state = self.state.lock();
        check(&state, epoch)?;
        let now_ms = self.around.clock.wall_ms();
        self.log
            .write()
            .truncate_fully_and_start_at(offset, now_ms)?;
        state.high_watermark = offset;
        tracing::info!(partition = %self.id, epoch, offset, "started the log anew");
        Ok(())
    }

    fn cut(&self, state: &mut State, offset: Offset) -> Result<Offset, FollowError> {
        let mut log = self.log.write();
        let (from, watermark) = (log.log_end_offset(), state.high_watermark);
        if log.truncate_to(offset, self.around.clock.wall_ms())? {
            let to = log.log_end_offset();
            if to < watermark {
                tracing::error!(
                    partition = %self.id, from, to, watermark,
                    "records that were committed are cut: the leader was elected uncleanly"
                );
            } else {
                tracing::info!(partition = %self.id, from, to, watermark, "cut the log");
            }
        }
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        state.high_watermark = watermark.clamp(start, end);
        Ok(end)
    }
}

fn check(state: &State, epoch: LeaderEpoch) -> Result<(), FollowError> {
    match &state.role {
        Role::Follower(following) if following.epoch == epoch => Ok(()),
        _ => Err(FollowError::Outdated),
    }
}
