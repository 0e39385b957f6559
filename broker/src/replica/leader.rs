//! What a leader knows of its followers, and what follows from it: the high
//! watermark, and who belongs into the ISR.
//!
//! The rules are Kafka's. A proposed ISR counts at once where that is the
//! stricter reading (an added replica is waited for) and only when it is
//! committed where it is not (a removed one is waited for until then), so that
//! a record is committed under whichever of the two the controller has.
//!
//! **Invariant:** pure: no log, no clock, no I/O.
//! **Invariant:** nothing is committed while the ISR is smaller than
//! `min.insync.replicas` (KIP-966): a replica that is alone cannot commit what
//! only it has.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, Offset, PartitionEpoch};
use crate::protocol::interbroker::{AlteredIsr, PartitionState};

/// A follower that has not asked for so long may be gone. It asks twice a
/// second when there is nothing to read.
const HEIR_SILENCE_MAX: Duration = Duration::from_secs(2);

/// Codes of a refused ISR.
mod code {
    pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(super) const INVALID_REQUEST: i16 = 42;
    pub(super) const OPERATION_NOT_ATTEMPTED: i16 = 55;
    pub(super) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(super) const INVALID_UPDATE_VERSION: i16 = 95;
    pub(super) const UNKNOWN_TOPIC_ID: i16 = 100;
    pub(super) const INELIGIBLE_REPLICA: i16 = 107;
    pub(super) const NEW_LEADER_ELECTED: i16 = 108;
}

/// The leader's view of its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaderState {
    pub(super) epoch: LeaderEpoch,
    pub(super) partition_epoch: PartitionEpoch,
    /// The first of the epochs in which it has led without a break.
    pub(super) since: LeaderEpoch,
    /// Of the controller that made it leader.
    pub(super) controller_epoch: ControllerEpoch,
    /// As it is committed.
    pub(super) isr: Vec<BrokerId>,
    pub(super) recovery: i8,
    /// Where the log ended when this epoch began.
    start_offset: Offset,
    proposal: Option<Proposal>,
    /// Counts proposals, so that late answers are told apart.
    proposals: u64,
    /// The controller was told that another replica is to lead.
    hands_over: bool,
    followers: BTreeMap<BrokerId, Follower>,
}

/// An ISR that the controller has been, or will be, asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) number: u64,
    pub(super) isr: Vec<BrokerId>,
    pub(super) is_expansion: bool,
}

/// What a follower's fetches told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Follower {
    /// Unknown until it fetches in this epoch.
    log_end: Option<Offset>,
    log_start: Offset,
    last_caught_up: Option<Duration>,
    last_fetch: Duration,
    leader_end_at_last_fetch: Offset,
    broker_epoch: BrokerEpoch,
}

/// One fetch of a follower.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) broker_epoch: BrokerEpoch,
    /// Where it wants to go on: it has everything before.
    pub(super) log_end: Offset,
    pub(super) log_start: Offset,
    /// The leader's log end when it was read.
    pub(super) leader_end: Offset,
    pub(super) now: Duration,
}

/// What the rules depend on beside the leader's view.
pub(super) struct Rules<'a> {
    pub(super) log_end: Offset,
    /// `min.insync.replicas`.
    pub(super) in_sync_min: i32,
    /// `replica.lag.time.max.ms`.
    pub(super) lag_max: Duration,
    pub(super) now: Duration,
    pub(super) is_alive: &'a dyn Fn(BrokerId) -> bool,
}

/// What is to be done after the controller's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// The ISR changed: the high watermark may.
    Committed,
    Retry,
    Nothing,
}

/// Why a fetch does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotCounted {
    /// Not one of the replicas that the controller told of.
    NotAssigned,
    /// An incarnation of the broker that was replaced meanwhile.
    Stale,
}

impl LeaderState {
    /// A new leader knows nothing of how far its followers are.
    pub(super) fn new(
        own_id: BrokerId,
        decided: &PartitionState,
        start_offset: Offset,
        now: Duration,
    ) -> Self {
        let others = decided.replicas.iter().copied().filter(|id| *id != own_id);
        let follower = |id: BrokerId| {
            let in_sync = decided.isr.contains(&id);
            let follower = Follower {
                log_end: None,
                log_start: -1,
                last_caught_up: in_sync.then_some(now),
                last_fetch: Duration::ZERO,
                leader_end_at_last_fetch: start_offset,
                broker_epoch: -1,
            };
            (id, follower)
        };
        Self {
            epoch: decided.leader_epoch,
            since: decided.leader_epoch,
            partition_epoch: decided.partition_epoch,
            controller_epoch: decided.controller_epoch,
            isr: decided.isr.clone(),
            // A leader that has its log needs no further recovery.
            recovery: 0,
            start_offset,
            proposal: None,
            proposals: 0,
            hands_over: false,
            followers: others.map(follower).collect(),
        }
    }

    /// The same leader in a newer epoch, with other replicas or another ISR:
    /// what it heard stays true, since it never cut its log.
    pub(super) fn continued(
        &self,
        own_id: BrokerId,
        decided: &PartitionState,
        start_offset: Offset,
        now: Duration,
    ) -> Self {
        let mut next = Self::new(own_id, decided, start_offset, now);
        next.proposals = self.proposals;
        next.since = self.since;
        for (id, known) in &mut next.followers {
            if let Some(before) = self.followers.get(id) {
                let last_caught_up = known.last_caught_up;
                *known = Follower {
                    last_caught_up,
                    last_fetch: last_caught_up.unwrap_or_default(),
                    leader_end_at_last_fetch: start_offset,
                    ..before.clone()
                };
            }
        }
        next
    }

    /// Whether a replica is there that can lead instead of this one: in sync,
    /// alive, and heard of lately.
    pub(super) fn has_heir(&self, now: Duration, is_alive: &dyn Fn(BrokerId) -> bool) -> bool {
        let can_lead = |id: &BrokerId| {
            self.followers.get(id).is_some_and(|follower| {
                let silence = now.saturating_sub(follower.last_fetch);
                follower.log_end.is_some() && silence < HEIR_SILENCE_MAX && is_alive(*id)
            })
        };
        // With an ISR in question nobody knows who may be elected.
        self.proposal.is_none() && self.isr.iter().any(can_lead)
    }

    /// Says whether to hand over, which is for the controller to do. Until it
    /// has, the ISR does not shrink: the heir may be the last besides.
    pub(super) fn hand_over(&mut self, now: Duration, is_alive: &dyn Fn(BrokerId) -> bool) -> bool {
        self.hands_over = self.has_heir(now, is_alive);
        self.hands_over
    }

    /// It leads on: the reason to hand over is gone.
    pub(super) fn stay(&mut self) {
        self.hands_over = false;
    }

    /// Where the log ended when this epoch began.
    pub(super) fn start_offset(&self) -> Offset {
        self.start_offset
    }

    /// How many replicas there should be.
    pub(super) fn replica_count(&self) -> usize {
        self.followers.len() + 1
    }

    /// How many in-sync replicas a commit needs; not more than there are
    /// replicas.
    pub(super) fn in_sync_needed(&self, configured: i32) -> usize {
        let configured = usize::try_from(configured).unwrap_or(1);
        configured.min(self.replica_count())
    }

    /// Whoever may be in the ISR, whatever becomes of the proposal.
    pub(super) fn maximal_isr(&self) -> &[BrokerId] {
        match &self.proposal {
            Some(proposal) if proposal.is_expansion => &proposal.isr,
            _ => &self.isr,
        }
    }

    /// The offset that every in-sync replica has reached, and every replica
    /// that is about to come into the ISR; `None` while nothing can be
    /// committed or one of them has not been heard of.
    pub(super) fn high_watermark(&self, rules: &Rules<'_>) -> Option<Offset> {
        if self.isr.len() < self.in_sync_needed(rules.in_sync_min) {
            return None;
        }
        let mut lowest = rules.log_end;
        for (id, follower) in &self.followers {
            if follower.log_end.is_some_and(|end| end >= lowest) {
                continue;
            }
            let is_member = self.maximal_isr().contains(id);
            let joins_soon = || follower.is_caught_up(rules) && (rules.is_alive)(*id);
            if is_member {
                lowest = lowest.min(follower.log_end?);
            } else if let Some(end) = follower.log_end
                && joins_soon()
            {
                lowest = lowest.min(end);
            }
        }
        Some(lowest)
    }

    /// The in-sync followers that have what comes at `offset`, with the ends of
    /// their logs.
    pub(super) fn followers_with(&self, offset: Offset) -> Vec<(BrokerId, Offset)> {
        let known = self.followers.iter().filter_map(|(id, follower)| {
            let end = follower.log_end?;
            let has = self.isr.contains(id) && end >= offset && follower.log_start <= offset;
            has.then_some((*id, end))
        });
        known.collect()
    }

    /// Where the log of a follower begins, as it told.
    pub(super) fn log_start_of(&self, id: BrokerId) -> Option<Offset> {
        Some(self.followers.get(&id)?.log_start)
    }

    /// Where the log of the live replica begins that has kept the most.
    pub(super) fn low_watermark(
        &self,
        own_start: Offset,
        is_alive: &dyn Fn(BrokerId) -> bool,
    ) -> Offset {
        let live = self.followers.iter().filter(|(id, _)| is_alive(**id));
        live.map(|(_, follower)| follower.log_start)
            .fold(own_start, Offset::min)
    }

    /// Whether there are other replicas.
    pub(super) fn has_followers(&self) -> bool {
        !self.followers.is_empty()
    }

    /// Whether `id` is one of the other replicas.
    pub(super) fn is_follower(&self, id: BrokerId) -> bool {
        self.followers.contains_key(&id)
    }

    pub(super) fn on_fetch(&mut self, id: BrokerId, progress: &Progress) -> Result<(), NotCounted> {
        let follower = self.followers.get_mut(&id).ok_or(NotCounted::NotAssigned)?;
        let epoch = progress.broker_epoch;
        if epoch >= 0 && epoch < follower.broker_epoch {
            return Err(NotCounted::Stale);
        }
        let caught_up_at = if progress.log_end >= progress.leader_end {
            Some(progress.now)
        } else if progress.log_end >= follower.leader_end_at_last_fetch {
            Some(follower.last_fetch)
        } else {
            None
        };
        follower.last_caught_up = follower.last_caught_up.max(caught_up_at);
        follower.log_end = Some(progress.log_end);
        follower.log_start = progress.log_start;
        follower.last_fetch = progress.now;
        follower.leader_end_at_last_fetch =
            follower.leader_end_at_last_fetch.max(progress.leader_end);
        follower.broker_epoch = epoch.max(follower.broker_epoch);
        Ok(())
    }

    /// Proposes to take `id` into the ISR once it has everything that is
    /// committed, and everything from before this epoch. Says whether it did.
    pub(super) fn maybe_expand(
        &mut self,
        id: BrokerId,
        high_watermark: Offset,
        is_alive: &dyn Fn(BrokerId) -> bool,
    ) -> bool {
        let reached = self.followers.get(&id).and_then(|known| known.log_end);
        let is_in_sync =
            reached.is_some_and(|end| end >= high_watermark && end >= self.start_offset);
        if self.proposal.is_some() || self.isr.contains(&id) || !is_in_sync || !is_alive(id) {
            return false;
        }
        let mut isr = self.isr.clone();
        isr.push(id);
        self.propose(isr, true);
        true
    }

    /// Proposes to drop those who did not catch up for too long. Says whether
    /// it did.
    pub(super) fn maybe_shrink(&mut self, rules: &Rules<'_>) -> bool {
        if self.proposal.is_some() || self.hands_over {
            return false;
        }
        let is_behind = |id: &BrokerId| {
            let known = self.followers.get(id);
            known.is_some_and(|follower| !follower.is_caught_up(rules))
        };
        let isr: Vec<BrokerId> = self
            .isr
            .iter()
            .copied()
            .filter(|id| !is_behind(id))
            .collect();
        if isr.len() == self.isr.len() {
            return false;
        }
        self.propose(isr, false);
        true
    }

    fn propose(&mut self, isr: Vec<BrokerId>, is_expansion: bool) {
        self.proposals += 1;
        self.proposal = Some(Proposal {
            number: self.proposals,
            isr,
            is_expansion,
        });
    }

    /// What the controller is to be asked.
    pub(super) fn proposal(&self) -> Option<&Proposal> {
        self.proposal.as_ref()
    }

    /// Takes the controller's answer to the proposal with this number.
    pub(super) fn on_answer(&mut self, number: u64, answer: &Result<AlteredIsr, i16>) -> Answered {
        if self.proposal.as_ref().is_none_or(|p| p.number != number) {
            return Answered::Nothing;
        }
        match answer {
            Ok(altered) if altered.leader_epoch != self.epoch => Answered::Nothing,
            Ok(altered) if altered.partition_epoch < self.partition_epoch => Answered::Nothing,
            Ok(altered) => {
                self.isr.clone_from(&altered.isr);
                self.recovery = altered.recovery;
                self.partition_epoch = altered.partition_epoch;
                self.proposal = None;
                Answered::Committed
            }
            // It was certainly not applied.
            Err(code::OPERATION_NOT_ATTEMPTED | code::INELIGIBLE_REPLICA) => {
                self.proposal = None;
                Answered::Nothing
            }
            // The controller knows better, and what it knows is on its way.
            Err(
                code::UNKNOWN_TOPIC_OR_PARTITION
                | code::UNKNOWN_TOPIC_ID
                | code::FENCED_LEADER_EPOCH
                | code::INVALID_UPDATE_VERSION
                | code::INVALID_REQUEST
                | code::NEW_LEADER_ELECTED,
            ) => Answered::Nothing,
            Err(_) => Answered::Retry,
        }
    }

    #[cfg(test)]
    fn follower_end(&self, id: BrokerId) -> Option<Offset> {
        self.followers.get(&id)?.log_end
    }
}

impl Follower {
    fn is_caught_up(&self, rules: &Rules<'_>) -> bool {
        self.log_end == Some(rules.log_end)
            || self
                .last_caught_up
                .is_some_and(|at| rules.now.saturating_sub(at) <= rules.lag_max)
    }
}

#[cfg(test)]
mod tests;
