//! What a leader does for its ISR.

use super::{Partition, Role};
use crate::metrics::Traffic;
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId};
use crate::protocol::interbroker::AlteredIsr;
use crate::replica::error::Error;
use crate::replica::isr::IsrProposal;
use crate::replica::leader::{Answered, NotCounted, Progress};

impl Partition {
    /// Notes what a follower has, as it was read in `epoch`; this may commit
    /// records or make it fit for the ISR. Gives the high watermark.
    pub(super) fn on_follower_fetch(
        &self,
        id: BrokerId,
        epoch: LeaderEpoch,
        progress: &Progress,
    ) -> Result<Offset, Error> {
        let mut state = self.state.lock();
        let before = state.high_watermark;
        let Role::Leader(leader) = &mut state.role else {
            return Err(Error::NotLeader);
        };
        if leader.epoch != epoch {
            return Err(Error::FencedEpoch);
        }
        let has_new_start = leader.log_start_of(id) != Some(progress.log_start);
        leader.on_fetch(id, progress).map_err(|error| match error {
            NotCounted::NotAssigned => Error::UnknownEpoch,
            NotCounted::Stale => Error::NotLeader,
        })?;
        let is_proposed = leader.maybe_expand(id, before, &|id| self.is_alive(id));
        self.advance(&mut state, &self.log.read());
        let watermark = state.high_watermark;
        drop(state);
        if is_proposed {
            self.around.isr_queue.push(&self.id);
        }
        if watermark != before || has_new_start {
            self.waiters.wake();
        }
        Ok(watermark)
    }

    /// If this replica leads: the in-sync followers that have what comes at
    /// `offset`, with the ends of their logs.
    #[must_use]
    pub fn followers_with(&self, offset: Offset) -> Vec<(BrokerId, Offset)> {
        match &self.state.lock().role {
            Role::Leader(leader) => leader.followers_with(offset),
            _ => Vec::new(),
        }
    }

    /// Says whether this replica leads, has `id` in its ISR and waits for nobody: what
    /// is not committed yet may be so by a fetch that brings nothing new.
    #[must_use]
    pub fn is_settled_with(&self, id: BrokerId) -> bool {
        let state = self.state.lock();
        let log_end = self.log.read().log_end_offset();
        match &state.role {
            Role::Leader(leader) => leader.isr.contains(&id) && state.high_watermark == log_end,
            _ => false,
        }
    }

    /// Whoever was waited for may not be there any more: what the others have is
    /// committed then.
    pub(in crate::replica) fn look_again(&self) {
        let mut state = self.state.lock();
        let before = state.high_watermark;
        self.advance(&mut state, &self.log.read());
        let has_moved = state.high_watermark > before;
        drop(state);
        if has_moved {
            self.waiters.wake();
        }
    }

    /// Drops followers that lag for too long from the ISR.
    pub(in crate::replica) fn maybe_shrink_isr(&self) {
        let mut state = self.state.lock();
        let is_alive = |id| self.is_alive(id);
        let rules = self.rules(&self.log.read(), &is_alive);
        let Role::Leader(leader) = &mut state.role else {
            return;
        };
        if leader.maybe_shrink(&rules) {
            let isr = leader.proposal().map(|proposal| proposal.isr.clone());
            tracing::info!(
                partition = %self.id, from = ?leader.isr, to = ?isr,
                "replicas lag and leave the ISR"
            );
            drop(state);
            self.around.isr_queue.push(&self.id);
        }
    }

    /// The ISR that is to be asked for, if there is one.
    pub(in crate::replica) fn isr_proposal(&self) -> Option<IsrProposal> {
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else {
            return None;
        };
        let proposal = leader.proposal()?;
        Some(IsrProposal {
            partition: self.id.clone(),
            topic_id: self.log.read().topic_id().unwrap_or(TopicId::nil()),
            leader: self.around.own_id,
            leader_epoch: leader.epoch,
            isr: proposal.isr.clone(),
            recovery: leader.recovery,
            partition_epoch: leader.partition_epoch,
            controller_epoch: leader.controller_epoch,
            is_shrink: !proposal.is_expansion,
            number: proposal.number,
        })
    }

    /// Takes the answer to `proposal`; says whether to ask again.
    pub(in crate::replica) fn on_isr_decision(
        &self,
        proposal: &IsrProposal,
        decision: &Result<AlteredIsr, i16>,
    ) -> bool {
        let mut state = self.state.lock();
        let Role::Leader(leader) = &mut state.role else {
            return false;
        };
        if leader.epoch != proposal.leader_epoch {
            return false;
        }
        let answered = leader.on_answer(proposal.number, decision);
        match (answered, decision) {
            (Answered::Committed, _) => {
                self.count(
                    match proposal.is_shrink {
                        true => Traffic::IsrShrinks,
                        false => Traffic::IsrExpands,
                    },
                    1,
                );
                tracing::info!(
                    partition = %self.id, isr = ?leader.isr, epoch = leader.partition_epoch,
                    "the ISR changed"
                );
            }
            (_, Err(code)) => {
                self.count(Traffic::FailedIsrUpdates, 1);
                tracing::info!(partition = %self.id, isr = ?proposal.isr, code, "the ISR was refused");
            }
            (_, Ok(_)) => {}
        }
        if leader.proposal().is_none() {
            // Also when it was refused: nobody waits any more for who was to come in.
            self.advance(&mut state, &self.log.read());
            drop(state);
            self.waiters.wake();
        }
        answered == Answered::Retry
    }
}
