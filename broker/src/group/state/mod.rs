//! The classic group protocol as a pure state machine: `(group, event, now)`
//! gives the next state and the actions to take; nothing here does I/O.
//!
//! Flow: a consumer joins (`join`), the rebalance completes when all members
//! joined or time is up (`rebalance`), the leader's assignment is stored
//! (`sync`, [`Action::Store`]) and, once committed, given to all (`replay`,
//! `on_stored`). Heartbeats, leaving and expiry are in `presence`.
//!
//! A waiting request is known by its [`Token`]; the owner of the group keeps
//! the way back to the client.
//!
//! **Invariant:** every token given to the group is answered by exactly one
//! action, unless the whole group is dropped.
//! **Invariant:** the generation never falls while the group lives.
//! **Invariant:** the leader, if any, is a member.

mod join;
mod member;
mod presence;
mod rebalance;
mod replay;
mod sync;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use indexmap::IndexMap;

use super::api::{
    Description, JoinFailure, Joined, JoinedMember, MemberRef, Overview, Phase, SyncRequest, Synced,
};
use super::offsets::{Expiry, Offsets};
use super::records::GroupValue;
use super::subscription::{self, CONSUMER_PROTOCOL_TYPE};
use super::{Config, Error};
pub(super) use join::Join;
use member::{Member, Terms};

/// Names a request that waits for its answer.
pub(super) type Token = u64;

/// The time of an event, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) monotonic: Duration,
    pub(super) wall_ms: i64,
}

/// What the owner of the group has to do after an event.
#[derive(Debug)]
pub(super) enum Action {
    AnswerJoin(Token, Result<Joined, JoinFailure>),
    AnswerSync(Token, Result<Synced, Error>),
    /// Append the value; tell the outcome by `on_stored`.
    Store(GroupValue, Stored),
}

/// Why a group's metadata is stored, so that the outcome finds its way.
#[derive(Debug)]
pub(super) enum Stored {
    /// The last member is gone.
    Emptied,
    /// The leader brought the assignment of this generation.
    Assignment { generation: i32 },
    /// A static member came back under a new id.
    StaticRejoin(Box<StaticRejoin>),
}

/// How to answer a static member that came back, or to undo its return.
#[derive(Debug)]
pub(super) struct StaticRejoin {
    instance_id: String,
    old_id: String,
    new_id: String,
    old_terms: Terms,
    /// The leader's id before the member changed its own.
    leader_before: Option<String>,
    skip_assignment_supported: bool,
}

/// One step of the machine: when it happens, under which settings, and the
/// actions it has collected.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) config: &'a Config,
    pub(super) actions: Vec<Action>,
}

impl<'a> Step<'a> {
    pub(super) fn new(now: Now, config: &'a Config) -> Self {
        Self {
            now,
            config,
            actions: Vec::new(),
        }
    }

    fn after(&self, timeout: Duration) -> Duration {
        self.now.monotonic.saturating_add(timeout)
    }

    fn refuse_join(&mut self, token: Token, member_id: &str, error: Error) {
        let failure = JoinFailure {
            error,
            member_id: member_id.to_owned(),
        };
        self.actions.push(Action::AnswerJoin(token, Err(failure)));
    }

    fn refuse_sync(&mut self, token: Token, error: Error) {
        self.actions.push(Action::AnswerSync(token, Err(error)));
    }
}

/// When the running rebalance ends.
#[derive(Debug)]
struct JoinTimer {
    deadline: Duration,
    /// Set in the first rebalance of an empty group, which does not end early.
    initial: Option<InitialDelay>,
}

#[derive(Debug, Clone, Copy)]
struct InitialDelay {
    delay: Duration,
    remaining: Duration,
}

/// One group: its membership and its offsets.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) offsets: Offsets,
    phase: Phase,
    phase_since_ms: Option<i64>,
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    generation: i32,
    leader: Option<String>,
    members: IndexMap<String, Member>,
    /// Instance id to member id.
    static_members: HashMap<String, String>,
    /// Ids given out by KIP-394 and not used yet, with their deadline.
    pending_members: HashMap<String, Duration>,
    pending_sync: HashSet<String>,
    sync_deadline: Option<Duration>,
    join_timer: Option<JoinTimer>,
    /// Somebody joined since the initial delay began.
    new_member_added: bool,
    /// `None` when the broker cannot know.
    subscribed_topics: Option<HashSet<String>>,
    /// The log is being read back; records are taken as they are.
    loading: bool,
}

impl Group {
    pub(super) fn new(id: String, now: Now) -> Self {
        Self {
            id,
            offsets: Offsets::default(),
            phase: Phase::Empty,
            phase_since_ms: Some(now.wall_ms),
            protocol_type: None,
            protocol_name: None,
            generation: 0,
            leader: None,
            members: IndexMap::new(),
            static_members: HashMap::new(),
            pending_members: HashMap::new(),
            pending_sync: HashSet::new(),
            sync_deadline: None,
            join_timer: None,
            new_member_added: false,
            subscribed_topics: None,
            loading: false,
        }
    }

    /// A group that a record of the log speaks of for the first time.
    pub(super) fn loading(id: String, now: Now) -> Self {
        Self {
            loading: true,
            ..Self::new(id, now)
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    pub(super) fn overview(&self) -> Overview {
        Overview {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            phase: self.phase,
        }
    }

    pub(super) fn describe(&self) -> Description {
        let protocol = match self.phase {
            Phase::Stable => self.protocol_name.as_deref(),
            _ => None,
        };
        Description {
            phase: self.phase,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.unwrap_or_default().to_owned(),
            members: self
                .members
                .values()
                .map(|member| member.describe(protocol))
                .collect(),
        }
    }

    /// What makes this group's offsets expire.
    pub(super) fn expiry(&self) -> Expiry<'_> {
        match (&self.protocol_type, self.phase, &self.subscribed_topics) {
            (None, ..) => Expiry::SinceCommit,
            (Some(_), Phase::Empty, _) => Expiry::SinceEmpty(self.phase_since_ms),
            (Some(kind), Phase::Stable, Some(topics)) if kind == CONSUMER_PROTOCOL_TYPE => {
                Expiry::OutsideSubscription(topics)
            }
            _ => Expiry::Never,
        }
    }

    /// Says whether offsets of `topic` may not be deleted; true when unknown.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics
            .as_ref()
            .is_none_or(|topics| topics.contains(topic))
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// The group is about to be removed; `revive` takes that back.
    pub(super) fn become_dead(&mut self) {
        debug_assert_eq!(self.phase, Phase::Empty);
        self.phase = Phase::Dead;
    }

    /// The removal could not be stored.
    pub(super) fn revive(&mut self) {
        debug_assert_eq!(self.phase, Phase::Dead);
        self.phase = Phase::Empty;
    }

    /// Checks that offsets may be committed, which also is a sign of life.
    pub(super) fn check_commit(&mut self, now: Now, member: &MemberRef) -> Result<(), Error> {
        let outside = member.generation < 0;
        match self.phase {
            Phase::Dead => return Err(Error::CoordinatorNotAvailable),
            // A simple consumer may bring any member id.
            Phase::Empty if outside => return Ok(()),
            Phase::Empty
            | Phase::PreparingRebalance
            | Phase::CompletingRebalance
            | Phase::Stable => {}
        }
        if outside && member.member_id.is_empty() && member.instance_id.is_none() {
            return Err(Error::UnknownMemberId);
        }
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        self.check_generation(member.generation)?;
        if self.phase == Phase::CompletingRebalance {
            return Err(Error::RebalanceInProgress);
        }
        self.keep_session(&member.member_id, now);
        Ok(())
    }

    /// The same for offsets in a transaction. Old producers bring neither member
    /// nor generation (before KIP-447), and it is no sign of life.
    pub(super) fn check_transactional(&self, member: &MemberRef) -> Result<(), Error> {
        let outside = member.generation < 0;
        if self.phase == Phase::Dead {
            return Err(Error::CoordinatorNotAvailable);
        }
        let is_nobody = member.member_id.is_empty() && member.instance_id.is_none();
        if outside && (self.phase == Phase::Empty || is_nobody) {
            return Ok(());
        }
        self.check_member(&member.member_id, member.instance_id.as_deref())?;
        self.check_generation(member.generation)
    }

    fn check_generation(&self, generation: i32) -> Result<(), Error> {
        if generation == self.generation {
            Ok(())
        } else {
            Err(Error::IllegalGeneration)
        }
    }

    /// Checks that the member exists and was not replaced by a newer instance.
    fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), Error> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(Error::UnknownMemberId),
                Some(current) if current != member_id => return Err(Error::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(Error::UnknownMemberId)
        }
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn transition(&mut self, phase: Phase, now: Now) {
        let from: &[Phase] = match phase {
            Phase::Empty | Phase::CompletingRebalance => &[Phase::PreparingRebalance],
            Phase::Stable => &[Phase::CompletingRebalance],
            Phase::PreparingRebalance => &[Phase::Stable, Phase::CompletingRebalance, Phase::Empty],
            Phase::Dead => &[Phase::Empty],
        };
        debug_assert!(
            from.contains(&self.phase),
            "{:?} cannot become {phase:?}",
            self.phase
        );
        self.phase = phase;
        self.phase_since_ms = Some(now.wall_ms);
    }

    /// Moves the member's session deadline.
    fn keep_session(&mut self, member_id: &str, now: Now) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.session_deadline = now.monotonic.saturating_add(member.terms.session_timeout());
        }
    }

    fn insert_member(&mut self, member: Member, protocol_type: &str) {
        if let Some(instance_id) = &member.instance_id {
            let previous = self
                .static_members
                .insert(instance_id.clone(), member.id.clone());
            debug_assert!(
                previous.is_none(),
                "a static member is replaced, not added twice"
            );
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.to_owned());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending_members.remove(&member.id);
        self.members.insert(member.id.clone(), member);
    }

    /// Takes the member out and answers what it waits for with `error`.
    fn remove_member(&mut self, step: &mut Step<'_>, member_id: &str, error: Error) {
        self.pending_members.remove(member_id);
        self.pending_sync.remove(member_id);
        let Some(member) = self.members.shift_remove(member_id) else {
            return;
        };
        if let Some(token) = member.awaiting_join {
            step.refuse_join(token, "", error);
        }
        if let Some(token) = member.awaiting_sync {
            step.refuse_sync(token, error);
        }
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// Says whether a member with these protocols fits all others.
    fn supports(&self, protocol_type: &str, protocols: &[(String, bytes::Bytes)]) -> bool {
        if self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.all_support(name))
    }

    fn all_support(&self, protocol: &str) -> bool {
        self.members
            .values()
            .all(|member| member.terms.supports(protocol))
    }

    /// The protocol that most members prefer among those that all know; of
    /// equals the one voted for first.
    fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let candidates: HashSet<&str> = (first.terms.protocols.iter())
            .map(|(name, _)| name.as_str())
            .filter(|name| self.all_support(name))
            .collect();
        let mut votes: IndexMap<&str, usize> = IndexMap::new();
        for member in self.members.values() {
            let mut names = member.terms.protocols.iter().map(|(name, _)| name.as_str());
            if let Some(choice) = names.find(|name| candidates.contains(name)) {
                *votes.entry(choice).or_insert(0) += 1;
            }
        }
        let most = votes.values().copied().max()?;
        let winner = votes.iter().find(|(_, count)| **count == most)?;
        Some((*winner.0).to_owned())
    }

    fn rebalance_timeout(&self) -> Duration {
        let timeouts = self
            .members
            .values()
            .map(|member| member.terms.rebalance_timeout());
        timeouts.max().unwrap_or(Duration::ZERO)
    }

    fn compute_subscribed_topics(&self) -> Option<HashSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(HashSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut all = HashSet::new();
        for member in self.members.values() {
            all.extend(subscription::topics(&member.metadata(protocol))?);
        }
        Some(all)
    }

    /// The present generation as `member_id` sees it.
    fn joined(&self, member_id: &str) -> Joined {
        let members = if self.is_leader(member_id) {
            self.joined_members()
        } else {
            Vec::new()
        };
        Joined {
            member_id: member_id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members,
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let members = self.members.values();
        members
            .map(|member| JoinedMember {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                metadata: member.metadata(protocol),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
