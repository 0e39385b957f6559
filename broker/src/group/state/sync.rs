//! Synchronizing: the leader brings the assignment, all others fetch theirs.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Action, Group, Phase, Step, Stored, SyncRequest, Synced, Token};
use crate::group::Error;

impl Group {
    /// A member asks for its assignment; the answer may come with a later event.
    pub(in crate::group) fn sync(
        &mut self,
        step: &mut Step<'_>,
        request: &SyncRequest,
        token: Token,
    ) {
        match self.check_sync(request) {
            Err(error) => step.refuse_sync(token, error),
            Ok(()) if self.phase == Phase::Stable => {
                self.pending_sync.remove(&request.member_id);
                self.keep_session(&request.member_id, step.now);
                let synced = self.synced(&request.member_id);
                step.actions.push(Action::AnswerSync(token, Ok(synced)));
            }
            Ok(()) => self.await_assignment(step, request, token),
        }
        if self.pending_sync.is_empty() {
            self.sync_deadline = None;
        }
    }

    fn check_sync(&self, request: &SyncRequest) -> Result<(), Error> {
        if self.phase == Phase::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        let differs =
            |asked: &Option<String>, ours: &Option<String>| asked.is_some() && asked != ours;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol_name)
        {
            return Err(Error::InconsistentGroupProtocol);
        }
        match self.phase {
            Phase::Empty | Phase::Dead => Err(Error::UnknownMemberId),
            Phase::PreparingRebalance => Err(Error::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => Ok(()),
        }
    }

    fn await_assignment(&mut self, step: &mut Step<'_>, request: &SyncRequest, token: Token) {
        self.pending_sync.remove(&request.member_id);
        if let Some(member) = self.members.get_mut(&request.member_id)
            && let Some(abandoned) = member.awaiting_sync.replace(token)
        {
            step.refuse_sync(abandoned, Error::RebalanceInProgress);
        }
        if self.is_leader(&request.member_id) {
            let brought: HashMap<&str, &Bytes> = request
                .assignments
                .iter()
                .map(|(id, bytes)| (id.as_str(), bytes))
                .collect();
            let assignment_of = |id: &str| brought.get(id).copied().cloned().unwrap_or_default();
            let value = self.to_value(|member| assignment_of(&member.id));
            let stored = Stored::Assignment {
                generation: self.generation,
            };
            step.actions.push(Action::Store(value, stored));
        }
    }

    fn synced(&self, member_id: &str) -> Synced {
        let member = self.members.get(member_id);
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: member
                .map(|member| member.assignment.clone())
                .unwrap_or_default(),
        }
    }

    /// The value asked for by [`Action::Store`] is committed (and has been
    /// replayed), or could not be stored.
    pub(in crate::group) fn on_stored(
        &mut self,
        step: &mut Step<'_>,
        stored: Stored,
        result: Result<(), Error>,
    ) {
        match (stored, result) {
            (Stored::Emptied, Ok(())) => {}
            (Stored::Emptied, Err(error)) => {
                // As in Kafka: the members come back after a load and expire again.
                tracing::warn!(group = self.id, %error, "the empty group could not be stored");
            }
            (Stored::Assignment { generation }, Ok(())) => {
                if self.phase == Phase::Stable && generation == self.generation {
                    self.propagate_assignment(step);
                }
            }
            (Stored::Assignment { generation }, Err(error)) => {
                if self.phase == Phase::CompletingRebalance && generation == self.generation {
                    tracing::warn!(group = self.id, %error, "the assignment could not be stored");
                    self.fail_assignment(step, error);
                    self.maybe_prepare_rebalance(step);
                }
            }
            (Stored::StaticRejoin(rejoin), result) => {
                self.finish_static_rejoin(step, *rejoin, result);
            }
        }
    }

    fn propagate_assignment(&mut self, step: &mut Step<'_>) {
        for (member_id, token) in self.take_waiting_syncs() {
            let synced = self.synced(&member_id);
            step.actions.push(Action::AnswerSync(token, Ok(synced)));
            self.keep_session(&member_id, step.now);
        }
    }

    /// Takes every assignment back and tells those who wait for one.
    pub(super) fn fail_assignment(&mut self, step: &mut Step<'_>, error: Error) {
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for (member_id, token) in self.take_waiting_syncs() {
            step.refuse_sync(token, error);
            self.keep_session(&member_id, step.now);
        }
    }

    fn take_waiting_syncs(&mut self) -> Vec<(String, Token)> {
        let members = self.members.values_mut();
        members
            .filter_map(|member| Some((member.id.clone(), member.awaiting_sync.take()?)))
            .collect()
    }
}
