//! The group and its record: what is written, and what a record changes.

use bytes::Bytes;

use super::{Group, Member, Now, Phase, Step};
use crate::group::records::{GroupValue, MemberValue};

impl Group {
    /// The group's record at this moment, with the given assignments.
    pub(super) fn to_value(&self, assignment_of: impl Fn(&Member) -> Bytes) -> GroupValue {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let member_value = |member| Member::to_value(member, protocol, assignment_of(member));
        GroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            state_timestamp_ms: self.phase_since_ms,
            members: self.members.values().map(member_value).collect(),
        }
    }

    /// Takes over a committed record. While loading, the group becomes what the
    /// record says; later, only an assignment that the group still waits for
    /// changes it, for everything else was decided before it was written.
    pub(in crate::group) fn replay(&mut self, value: GroupValue, now: Now) {
        if self.loading {
            self.restore(value);
        } else if self.phase == Phase::CompletingRebalance && value.generation == self.generation {
            for MemberValue {
                member_id,
                assignment,
                ..
            } in value.members
            {
                if let Some(member) = self.members.get_mut(&member_id) {
                    member.assignment = assignment;
                }
            }
            self.transition(Phase::Stable, now);
        }
    }

    /// Takes over the tombstone of the group's metadata; its offsets stay.
    pub(in crate::group) fn replay_tombstone(&mut self, now: Now) {
        if self.loading {
            let offsets = std::mem::take(&mut self.offsets);
            *self = Self::loading(std::mem::take(&mut self.id), now);
            self.offsets = offsets;
        }
    }

    fn restore(&mut self, value: GroupValue) {
        let protocol = value.protocol.unwrap_or_default();
        self.generation = value.generation;
        self.protocol_type = Some(value.protocol_type.clone()).filter(|kind| !kind.is_empty());
        self.protocol_name = Some(protocol.clone()).filter(|name| !name.is_empty());
        self.phase_since_ms = value.state_timestamp_ms;
        self.members.clear();
        self.static_members.clear();
        self.leader = None;
        for member in value.members {
            self.insert_member(Member::from_value(member, &protocol), &value.protocol_type);
        }
        self.phase = if self.members.is_empty() {
            Phase::Empty
        } else {
            Phase::Stable
        };
        let leads = |id: &String| self.members.contains_key(id);
        if let Some(leader) = value.leader.filter(leads) {
            self.leader = Some(leader);
        }
        self.subscribed_topics = self.compute_subscribed_topics();
    }

    /// The log is read to its end; from now on the group lives.
    pub(in crate::group) fn on_loaded(&mut self, step: &mut Step<'_>) {
        self.loading = false;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for member_id in ids {
            self.keep_session(&member_id, step.now);
        }
        if self.members.len() > step.config.size_max {
            tracing::info!(group = self.id, "a loaded group is too large");
            self.maybe_prepare_rebalance(step);
        }
    }

    /// Says whether the group may be removed once its offsets are gone.
    pub(in crate::group) fn is_removable(&self) -> bool {
        self.phase == Phase::Empty && self.pending_members.is_empty()
    }

    /// Says whether the group holds nothing that is worth a place in memory.
    pub(in crate::group) fn is_void(&self) -> bool {
        self.is_removable()
            && self.generation == 0
            && self.protocol_type.is_none()
            && self.offsets.is_empty()
    }
}
