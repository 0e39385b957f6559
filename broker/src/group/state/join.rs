//! Joining: who is let in, under which id, and what it changes.

use std::time::Duration;

use super::{Action, Group, InitialDelay, Member, Phase, StaticRejoin, Step, Stored, Terms, Token};
use crate::group::Error;
use crate::group::api::JoinRequest;

/// How long a new member may wait for its first rebalance: its client has no
/// heartbeat yet, so an abandoned join is noticed by this alone.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A join together with what its owner prepared for it.
#[derive(Debug)]
pub(in crate::group) struct Join {
    pub(in crate::group) request: JoinRequest,
    /// The id to give if the member has none.
    pub(in crate::group) fresh_member_id: String,
    pub(in crate::group) token: Token,
}

impl Group {
    /// A consumer joins; the answer may come with a later event.
    pub(in crate::group) fn join(&mut self, step: &mut Step<'_>, join: &Join) {
        let member_id = &join.request.member_id;
        if !self.accepts(member_id, step.config.size_max) {
            self.remove_member(step, member_id, Error::GroupMaxSizeReached);
            step.refuse_join(join.token, "", Error::GroupMaxSizeReached);
        } else if member_id.is_empty() {
            self.join_as_new(step, join);
        } else {
            self.join_as_known(step, join);
        }
        self.maybe_complete_join(step);
    }

    /// Says whether there is room. While members rejoin, those that wait are
    /// counted, so that the last ones of a group that is too large are put out.
    fn accepts(&self, member_id: &str, size_max: usize) -> bool {
        match self.phase {
            Phase::Empty | Phase::Dead => true,
            Phase::PreparingRebalance => {
                let waits = |id| {
                    self.members
                        .get(id)
                        .is_some_and(|m| m.awaiting_join.is_some())
                };
                waits(member_id) || self.awaiting_join_count() < size_max
            }
            Phase::CompletingRebalance | Phase::Stable => {
                self.members.contains_key(member_id) || self.members.len() < size_max
            }
        }
    }

    fn join_as_new(&mut self, step: &mut Step<'_>, join: &Join) {
        let request = &join.request;
        if self.phase == Phase::Dead {
            return step.refuse_join(join.token, "", Error::CoordinatorNotAvailable);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return step.refuse_join(join.token, "", Error::InconsistentGroupProtocol);
        }
        let fresh_id = &join.fresh_member_id;
        if let Some(instance_id) = &request.instance_id {
            match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_static(step, join, instance_id, old_id),
                None => self.add_member(step, join, fresh_id.clone()),
            }
        } else if request.member_id_required {
            let deadline = step.after(super::member::duration_ms(request.session_timeout_ms));
            self.pending_members.insert(fresh_id.clone(), deadline);
            step.refuse_join(join.token, fresh_id, Error::MemberIdRequired);
        } else {
            self.add_member(step, join, fresh_id.clone());
        }
    }

    fn join_as_known(&mut self, step: &mut Step<'_>, join: &Join) {
        let request = &join.request;
        let member_id = &request.member_id;
        if self.phase == Phase::Dead {
            return step.refuse_join(join.token, member_id, Error::CoordinatorNotAvailable);
        }
        if !self.supports(&request.protocol_type, &request.protocols) {
            return step.refuse_join(join.token, member_id, Error::InconsistentGroupProtocol);
        }
        if self.pending_members.contains_key(member_id) && request.instance_id.is_none() {
            return self.add_member(step, join, member_id.clone());
        }
        if let Err(error) = self.check_member(member_id, request.instance_id.as_deref()) {
            return step.refuse_join(join.token, member_id, error);
        }
        self.rejoin(step, join);
    }

    fn rejoin(&mut self, step: &mut Step<'_>, join: &Join) {
        let member_id = &join.request.member_id;
        let is_unchanged = (self.members.get(member_id))
            .is_some_and(|member| member.terms.protocols == join.request.protocols);
        let knows_the_answer = match self.phase {
            Phase::PreparingRebalance => false,
            // It may have missed the answer to its first join.
            Phase::CompletingRebalance => is_unchanged,
            // The leader rejoins to make a new assignment.
            Phase::Stable => is_unchanged && !self.is_leader(member_id),
            Phase::Empty | Phase::Dead => {
                return step.refuse_join(join.token, member_id, Error::UnknownMemberId);
            }
        };
        if knows_the_answer {
            let joined = self.joined(member_id);
            step.actions
                .push(Action::AnswerJoin(join.token, Ok(joined)));
        } else {
            self.update_member(step, member_id, Terms::of(&join.request), join.token);
            self.maybe_prepare_rebalance(step);
        }
    }

    fn add_member(&mut self, step: &mut Step<'_>, join: &Join, member_id: String) {
        let mut member = Member::new(member_id, &join.request, join.token);
        member.session_deadline = step.after(NEW_MEMBER_JOIN_TIMEOUT);
        if self.phase == Phase::PreparingRebalance && self.generation == 0 {
            self.new_member_added = true;
        }
        tracing::info!(group = self.id, member = member.id, instance = ?member.instance_id,
            reason = join.request.reason, "a member joins");
        self.insert_member(member, &join.request.protocol_type);
        self.maybe_prepare_rebalance(step);
    }

    /// Lets the member wait under new terms. A join that waited before belongs
    /// to a connection that the client gave up; it is told to look again.
    fn update_member(&mut self, step: &mut Step<'_>, member_id: &str, terms: Terms, token: Token) {
        let Some(member) = self.members.get_mut(member_id) else {
            return;
        };
        member.terms = terms;
        if let Some(abandoned) = member.awaiting_join.replace(token) {
            step.refuse_join(abandoned, member_id, Error::CoordinatorNotAvailable);
        }
    }

    /// A static member is back under a new id: in a stable group it takes over
    /// its old assignment and nobody rebalances (KIP-345).
    fn replace_static(
        &mut self,
        step: &mut Step<'_>,
        join: &Join,
        instance_id: &str,
        old_id: String,
    ) {
        let new_id = join.fresh_member_id.clone();
        tracing::info!(
            group = self.id,
            instance = instance_id,
            from = old_id,
            to = new_id,
            "a static member is back"
        );
        let leader_before = self.leader.clone();
        let Some(old_terms) = self.members.get(&old_id).map(|member| member.terms.clone()) else {
            return step.refuse_join(join.token, "", Error::UnknownMemberId);
        };
        self.rename_static(step, instance_id, &old_id, &new_id);
        self.keep_session(&new_id, step.now);
        self.update_member(step, &new_id, Terms::of(&join.request), join.token);
        match self.phase {
            Phase::Stable if self.select_protocol() == self.protocol_name => {
                let rejoin = StaticRejoin {
                    instance_id: instance_id.to_owned(),
                    old_id,
                    new_id,
                    old_terms,
                    leader_before,
                    skip_assignment_supported: join.request.skip_assignment_supported,
                };
                let value = self.to_value(|member| member.assignment.clone());
                let stored = Stored::StaticRejoin(Box::new(rejoin));
                step.actions.push(Action::Store(value, stored));
            }
            Phase::Stable | Phase::CompletingRebalance => self.maybe_prepare_rebalance(step),
            Phase::PreparingRebalance | Phase::Empty | Phase::Dead => {}
        }
    }

    /// Gives a static member a new id in place; whoever waits under the old one
    /// is fenced.
    fn rename_static(
        &mut self,
        step: &mut Step<'_>,
        instance_id: &str,
        old_id: &str,
        new_id: &str,
    ) {
        let Some(index) = self.members.get_index_of(old_id) else {
            return;
        };
        let Some((_, mut member)) = self.members.shift_remove_index(index) else {
            return;
        };
        if let Some(token) = member.awaiting_join.take() {
            step.refuse_join(token, old_id, Error::FencedInstanceId);
        }
        if let Some(token) = member.awaiting_sync.take() {
            step.refuse_sync(token, Error::FencedInstanceId);
        }
        new_id.clone_into(&mut member.id);
        self.members.shift_insert(index, new_id.to_owned(), member);
        if self.is_leader(old_id) {
            self.leader = Some(new_id.to_owned());
        }
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.to_owned());
        }
        self.static_members
            .insert(instance_id.to_owned(), new_id.to_owned());
    }

    /// Answers a static member's return once its new id is committed, or takes
    /// the return back.
    pub(super) fn finish_static_rejoin(
        &mut self,
        step: &mut Step<'_>,
        rejoin: StaticRejoin,
        result: Result<(), Error>,
    ) {
        let StaticRejoin {
            instance_id,
            old_id,
            new_id,
            old_terms,
            leader_before,
            ..
        } = rejoin;
        let is_current = self.static_members.get(&instance_id) == Some(&new_id);
        let Some(member) = self.members.get_mut(&new_id).filter(|_| is_current) else {
            return;
        };
        if self.phase != Phase::Stable {
            // A rebalance began meanwhile and answers the join.
            return;
        }
        let Some(token) = member.awaiting_join.take() else {
            return;
        };
        match result {
            Ok(()) => {
                let is_leader = self.leader.as_deref() == Some(&new_id);
                let mut joined = self.joined(&new_id);
                if rejoin.skip_assignment_supported {
                    joined.skip_assignment = is_leader;
                } else {
                    // An old client that sees itself lead would make a new
                    // assignment, so it is shown the leader of before.
                    joined.leader = leader_before.unwrap_or_default();
                    joined.members = Vec::new();
                }
                step.actions.push(Action::AnswerJoin(token, Ok(joined)));
            }
            Err(error) => {
                member.terms = old_terms;
                step.refuse_join(token, "", error);
                self.rename_static(step, &instance_id, &new_id, &old_id);
                self.keep_session(&old_id, step.now);
            }
        }
    }

    pub(super) fn initial_delay(&self, step: &Step<'_>) -> InitialDelay {
        let delay = step.config.initial_rebalance_delay;
        InitialDelay {
            delay,
            remaining: self.rebalance_timeout().saturating_sub(delay),
        }
    }
}
