//! The rebalance: it begins, waits for the members, and makes a generation.

use super::{Action, Group, InitialDelay, JoinTimer, Phase, Step, Stored};
use crate::group::Error;

impl Group {
    pub(super) fn awaiting_join_count(&self) -> usize {
        let waits = |member: &&super::Member| member.awaiting_join.is_some();
        self.members.values().filter(waits).count()
    }

    /// Begins a rebalance unless one has begun or the group is gone.
    pub(super) fn maybe_prepare_rebalance(&mut self, step: &mut Step<'_>) {
        match self.phase {
            Phase::Empty | Phase::CompletingRebalance | Phase::Stable => {
                self.prepare_rebalance(step)
            }
            Phase::PreparingRebalance | Phase::Dead => {}
        }
    }

    fn prepare_rebalance(&mut self, step: &mut Step<'_>) {
        if self.phase == Phase::CompletingRebalance {
            self.fail_assignment(step, Error::RebalanceInProgress);
        }
        self.pending_sync.clear();
        self.sync_deadline = None;
        let initial = (self.phase == Phase::Empty).then(|| self.initial_delay(step));
        let timeout = initial.map_or_else(|| self.rebalance_timeout(), |initial| initial.delay);
        self.join_timer = Some(JoinTimer {
            deadline: step.after(timeout),
            initial,
        });
        self.new_member_added = false;
        self.transition(Phase::PreparingRebalance, step.now);
        tracing::info!(
            group = self.id,
            generation = self.generation,
            "preparing to rebalance"
        );
        self.maybe_complete_join(step);
    }

    /// Ends the waiting early when everybody is there.
    pub(super) fn maybe_complete_join(&mut self, step: &mut Step<'_>) {
        let may_end_early = self.phase == Phase::PreparingRebalance
            && self
                .join_timer
                .as_ref()
                .is_some_and(|timer| timer.initial.is_none());
        let all_joined =
            self.pending_members.is_empty() && self.awaiting_join_count() == self.members.len();
        if may_end_early && all_joined {
            self.complete_join(step);
        }
    }

    /// The time to join is up.
    pub(super) fn on_join_deadline(&mut self, step: &mut Step<'_>) {
        let Some(timer) = self.join_timer.take() else {
            return;
        };
        match timer.initial {
            Some(initial) if self.new_member_added && !initial.remaining.is_zero() => {
                self.new_member_added = false;
                let delay = step.config.initial_rebalance_delay.min(initial.remaining);
                let remaining = initial.remaining.saturating_sub(initial.delay);
                self.join_timer = Some(JoinTimer {
                    deadline: step.after(delay),
                    initial: Some(InitialDelay { delay, remaining }),
                });
            }
            _ => self.complete_join(step),
        }
    }

    /// Goes on with those who joined. Static members may be late; they keep
    /// their place until their session ends.
    fn complete_join(&mut self, step: &mut Step<'_>) {
        self.join_timer = None;
        let is_late = |member: &&super::Member| {
            member.awaiting_join.is_none() && member.instance_id.is_none()
        };
        let late: Vec<String> = self
            .members
            .values()
            .filter(is_late)
            .map(|member| member.id.clone())
            .collect();
        for member_id in late {
            tracing::info!(
                group = self.id,
                member = member_id,
                "a member did not rejoin in time"
            );
            self.remove_member(step, &member_id, Error::UnknownMemberId);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            let deadline = step.after(self.rebalance_timeout());
            self.join_timer = Some(JoinTimer {
                deadline,
                initial: None,
            });
            return;
        }
        self.begin_generation(step);
    }

    /// Makes sure that a member who joined leads; false when nobody joined.
    fn elect_joined_leader(&mut self) -> bool {
        let leader = self.leader.as_ref().and_then(|id| self.members.get(id));
        if leader.is_some_and(|member| member.awaiting_join.is_some()) {
            return true;
        }
        let joined = self
            .members
            .values()
            .find(|member| member.awaiting_join.is_some());
        let Some(joined) = joined.map(|member| member.id.clone()) else {
            return false;
        };
        self.leader = Some(joined);
        true
    }

    fn begin_generation(&mut self, step: &mut Step<'_>) {
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        tracing::info!(
            group = self.id,
            generation = self.generation,
            members = self.members.len(),
            "generation begins"
        );
        if self.members.is_empty() {
            self.transition(Phase::Empty, step.now);
            let value = self.to_value(|_| bytes::Bytes::new());
            step.actions.push(Action::Store(value, Stored::Emptied));
            return;
        }
        self.transition(Phase::CompletingRebalance, step.now);
        self.answer_joins(step);
        self.sync_deadline = Some(step.after(self.rebalance_timeout()));
    }

    fn answer_joins(&mut self, step: &mut Step<'_>) {
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            let joined = self.joined(&member_id);
            self.keep_session(&member_id, step.now);
            if let Some(member) = self.members.get_mut(&member_id) {
                member.is_new = false;
                if let Some(token) = member.awaiting_join.take() {
                    step.actions.push(Action::AnswerJoin(token, Ok(joined)));
                }
            }
            self.pending_sync.insert(member_id);
        }
    }
}
