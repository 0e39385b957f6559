//! Presence: heartbeats, leaving, and what happens when a deadline passes.

use std::time::Duration;

use super::{Group, MemberRef, Phase, Step};
use crate::group::Error;
use crate::group::api::LeavingMember;

impl Group {
    /// A sign of life; the error tells the member what to do next.
    pub(in crate::group) fn heartbeat(
        &mut self,
        step: &Step<'_>,
        member: &MemberRef,
    ) -> Result<(), Error> {
        if self.phase == Phase::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        self.check_generation(member.generation)?;
        match self.phase {
            Phase::Empty | Phase::Dead => return Err(Error::UnknownMemberId),
            Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable => {}
        }
        self.keep_session(&member.member_id, step.now);
        if self.phase == Phase::PreparingRebalance {
            return Err(Error::RebalanceInProgress);
        }
        Ok(())
    }

    /// Members leave, each with its own outcome.
    pub(in crate::group) fn leave(
        &mut self,
        step: &mut Step<'_>,
        leaving: &[LeavingMember],
    ) -> Result<Vec<Result<(), Error>>, Error> {
        if self.phase == Phase::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        Ok(leaving
            .iter()
            .map(|member| self.leave_one(step, member))
            .collect())
    }

    fn leave_one(&mut self, step: &mut Step<'_>, leaving: &LeavingMember) -> Result<(), Error> {
        let instance_id = leaving.instance_id.as_deref();
        if leaving.member_id.is_empty() {
            // An administrator removes a static member by its instance id.
            let current = instance_id
                .and_then(|id| self.static_members.get(id))
                .cloned();
            let current = current.ok_or(Error::UnknownMemberId)?;
            self.put_out(step, &current);
        } else if self.pending_members.remove(&leaving.member_id).is_some() {
            self.maybe_complete_join(step);
        } else {
            self.check_member(&leaving.member_id, instance_id)?;
            tracing::info!(
                group = self.id,
                member = leaving.member_id,
                reason = leaving.reason,
                "a member leaves"
            );
            self.put_out(step, &leaving.member_id);
        }
        Ok(())
    }

    /// Removes a member and rebalances the rest.
    fn put_out(&mut self, step: &mut Step<'_>, member_id: &str) {
        self.remove_member(step, member_id, Error::UnknownMemberId);
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance => self.maybe_prepare_rebalance(step),
            Phase::PreparingRebalance => self.maybe_complete_join(step),
            Phase::Empty | Phase::Dead => {}
        }
    }

    /// The next moment at which `on_deadline` has something to do.
    pub(in crate::group) fn next_deadline(&self) -> Option<Duration> {
        if self.phase == Phase::Dead {
            return None;
        }
        let sessions = self.members.values().filter_map(super::Member::expires_at);
        let pending = self.pending_members.values().copied();
        let join = self.join_timer.as_ref().map(|timer| timer.deadline);
        sessions
            .chain(pending)
            .chain(join)
            .chain(self.sync_deadline)
            .min()
    }

    /// Does what is due.
    pub(in crate::group) fn on_deadline(&mut self, step: &mut Step<'_>) {
        let now = step.now.monotonic;
        let pending_before = self.pending_members.len();
        self.pending_members.retain(|_, deadline| *deadline > now);
        if self.pending_members.len() != pending_before {
            self.maybe_complete_join(step);
        }
        let is_silent = |member: &&super::Member| member.expires_at().is_some_and(|at| at <= now);
        let silent: Vec<String> = self
            .members
            .values()
            .filter(is_silent)
            .map(|member| member.id.clone())
            .collect();
        for member_id in silent {
            // An earlier one of them may have ended a wait and so renewed this one.
            if self.members.get(&member_id).as_ref().is_some_and(is_silent) {
                tracing::info!(group = self.id, member = member_id, "a session expires");
                self.put_out(step, &member_id);
            }
        }
        if self.sync_deadline.is_some_and(|at| at <= now) {
            self.on_sync_deadline(step);
        }
        if self
            .join_timer
            .as_ref()
            .is_some_and(|timer| timer.deadline <= now)
        {
            self.on_join_deadline(step);
        }
    }

    /// Members that did not ask for their assignment in time are put out.
    fn on_sync_deadline(&mut self, step: &mut Step<'_>) {
        self.sync_deadline = None;
        let late: Vec<String> = self.pending_sync.drain().collect();
        if late.is_empty() {
            return;
        }
        for member_id in late {
            tracing::info!(
                group = self.id,
                member = member_id,
                "a member did not sync in time"
            );
            self.remove_member(step, &member_id, Error::UnknownMemberId);
        }
        self.maybe_prepare_rebalance(step);
    }
}
