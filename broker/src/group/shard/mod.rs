//! One partition of the internal topic with the groups that hash to it.
//!
//! Flow: a [`Command`] is decided on the group (`state`), what must last is
//! appended (`writes`), replayed once committed, and answered. A load reads the
//! same records back through the same `replay` (`life`).
//! State: the task that `state_log` runs owns a shard.
//!
//! **Invariant:** offsets change by `replay` alone.
//! **Invariant:** records are replayed in the order of the log.
//! **Invariant:** a group is removed only after its tombstones are committed.

mod cleanup;
mod commit;
mod life;
mod writes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;

use super::api::{
    Census, CommitRequest, Description, FetchRequest, FetchedOffsets, JoinFailure, JoinRequest,
    Joined, LeavingMember, MemberRef, Overview, PartitionOutcomes, SyncRequest, Synced,
    TransactionEnd,
};
use super::records::Record;
use super::state::{Action, Group, Join, Now, Step, Stored, Token};
use super::{Config, Error};
use crate::metrics::{Groups, Metrics};
use crate::model::TopicPartition;
use crate::state_log::{self, Reply, StateLog};
pub use life::Found;
use writes::{Then, Writes};

/// What a shard is asked to do.
pub(super) enum Command {
    Join {
        request: Box<JoinRequest>,
        fresh_member_id: String,
        reply: Reply<Result<Joined, JoinFailure>>,
    },
    Sync {
        request: Box<SyncRequest>,
        reply: Reply<Result<Synced, Error>>,
    },
    Heartbeat {
        member: MemberRef,
        reply: Reply<Result<(), Error>>,
    },
    Leave {
        group_id: String,
        members: Vec<LeavingMember>,
        reply: Reply<Result<Vec<Result<(), Error>>, Error>>,
    },
    Commit {
        request: CommitRequest,
        reply: Reply<PartitionOutcomes>,
    },
    EndTransaction {
        end: TransactionEnd,
        reply: Reply<Result<(), state_log::Error>>,
    },
    Fetch {
        request: FetchRequest,
        reply: Reply<FetchedOffsets>,
    },
    Describe {
        group_id: String,
        reply: Reply<Option<Description>>,
    },
    List {
        reply: Reply<Vec<Overview>>,
    },
    /// How much there is of what.
    Count {
        reply: Reply<Census>,
    },
    Delete {
        group_id: String,
        reply: Reply<Result<(), Error>>,
    },
    DeleteOffsets {
        group_id: String,
        partitions: Vec<TopicPartition>,
        reply: Reply<Result<PartitionOutcomes, Error>>,
    },
    /// Drop the offsets of partitions that no longer exist.
    ForgetPartitions {
        partitions: Arc<[TopicPartition]>,
    },
    /// Drop what has outlived its retention.
    Expire,
}

/// What all shards of a broker share.
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) clock: SharedClock,
    pub(super) log: Arc<dyn StateLog>,
    pub(super) metrics: Arc<Metrics>,
}

/// The groups of one partition of the internal topic.
pub(super) struct Shard {
    partition: i32,
    config: Arc<Config>,
    clock: SharedClock,
    log: Arc<dyn StateLog>,
    metrics: Arc<Metrics>,
    groups: HashMap<String, Group>,
    /// Groups with offsets inside open transactions, by producer id.
    transactions: HashMap<i64, HashSet<String>>,
    deadlines: Deadlines,
    waiting: Waiting,
    writes: Writes,
}

/// Requests whose answer comes with a later event.
#[derive(Default)]
struct Waiting {
    last_token: Token,
    joins: HashMap<Token, Reply<Result<Joined, JoinFailure>>>,
    syncs: HashMap<Token, Reply<Result<Synced, Error>>>,
}

impl Waiting {
    fn next_token(&mut self) -> Token {
        self.last_token += 1;
        self.last_token
    }
}

/// The next deadline of each group, earliest first. A sign of life makes it later
/// without being noted here: the group is then looked at once too often.
#[derive(Default)]
struct Deadlines {
    ordered: BTreeSet<(Duration, String)>,
    of: HashMap<String, Duration>,
}

impl Deadlines {
    fn set(&mut self, group_id: &str, deadline: Option<Duration>) {
        if self.of.get(group_id).copied() == deadline {
            return;
        }
        if let Some(old) = self.of.remove(group_id) {
            self.ordered.remove(&(old, group_id.to_owned()));
        }
        if let Some(deadline) = deadline {
            self.of.insert(group_id.to_owned(), deadline);
            self.ordered.insert((deadline, group_id.to_owned()));
        }
    }

    fn first(&self) -> Option<Duration> {
        self.ordered.first().map(|(deadline, _)| *deadline)
    }

    fn due(&self, now: Duration) -> Vec<String> {
        let due = self
            .ordered
            .iter()
            .take_while(|(deadline, _)| *deadline <= now);
        due.map(|(_, group_id)| group_id.clone()).collect()
    }
}

impl Shard {
    pub(super) fn new(partition: i32, parts: Parts) -> Self {
        let Parts {
            config,
            clock,
            log,
            metrics,
        } = parts;
        Self {
            partition,
            config,
            clock,
            log,
            metrics,
            groups: HashMap::new(),
            transactions: HashMap::new(),
            deadlines: Deadlines::default(),
            waiting: Waiting::default(),
            writes: Writes::default(),
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.clock.monotonic(),
            wall_ms: self.clock.wall_ms(),
        }
    }

    /// Decides one command. A reply that nobody waits for any more is dropped.
    fn decide(&mut self, command: Command) {
        match command {
            Command::Join {
                request,
                fresh_member_id,
                reply,
            } => {
                self.join(*request, fresh_member_id, reply);
            }
            Command::Sync { request, reply } => self.sync(&request, reply),
            Command::Heartbeat { member, reply } => {
                let outcome = self.run(&member.group_id, |group, step| {
                    group.heartbeat(step, &member)
                });
                let _ = reply.send(outcome.unwrap_or(Err(Error::UnknownMemberId)));
            }
            Command::Leave {
                group_id,
                members,
                reply,
            } => {
                let outcome = self.step(&group_id, |group, step| group.leave(step, &members));
                let nobody = || Ok(vec![Err(Error::UnknownMemberId); members.len()]);
                let _ = reply.send(outcome.unwrap_or_else(nobody));
            }
            Command::Commit { request, reply } => self.commit(request, reply),
            Command::EndTransaction { end, reply } => self.append_marker(&end, reply),
            Command::Fetch { request, reply } => {
                let _ = reply.send(self.fetch(request));
            }
            Command::Describe { group_id, reply } => {
                let _ = reply.send(self.groups.get(&group_id).map(Group::describe));
            }
            Command::List { reply } => {
                let _ = reply.send(self.groups.values().map(Group::overview).collect());
            }
            Command::Count { reply } => {
                let _ = reply.send(self.census());
            }
            Command::Delete { group_id, reply } => self.delete(&group_id, reply),
            Command::DeleteOffsets {
                group_id,
                partitions,
                reply,
            } => {
                self.delete_offsets(&group_id, partitions, reply);
            }
            Command::ForgetPartitions { partitions } => self.forget_partitions(&partitions),
            Command::Expire => self.expire(),
        }
    }

    fn join(
        &mut self,
        request: JoinRequest,
        fresh_member_id: String,
        reply: Reply<Result<Joined, JoinFailure>>,
    ) {
        let group_id = request.group_id.clone();
        if request.member_id.is_empty() {
            self.group_or_new(&group_id);
        }
        let token = self.waiting.next_token();
        self.waiting.joins.insert(token, reply);
        let join = Join {
            request,
            fresh_member_id,
            token,
        };
        let decided = self.step(&group_id, |group, step| group.join(step, &join));
        if decided.is_none()
            && let Some(reply) = self.waiting.joins.remove(&token)
        {
            let member_id = join.request.member_id;
            let _ = reply.send(Err(JoinFailure {
                error: Error::UnknownMemberId,
                member_id,
            }));
        }
    }

    fn sync(&mut self, request: &SyncRequest, reply: Reply<Result<Synced, Error>>) {
        let token = self.waiting.next_token();
        self.waiting.syncs.insert(token, reply);
        let decided = self.step(&request.group_id, |group, step| {
            group.sync(step, request, token)
        });
        if decided.is_none()
            && let Some(reply) = self.waiting.syncs.remove(&token)
        {
            let _ = reply.send(Err(Error::UnknownMemberId));
        }
    }

    fn group_or_new(&mut self, group_id: &str) {
        if !self.groups.contains_key(group_id) {
            let group = Group::new(group_id.to_owned(), self.now());
            self.groups.insert(group_id.to_owned(), group);
        }
    }

    /// Runs one event on a group, does what it asks for and looks at its deadline;
    /// `None` when there is no such group.
    fn step<R>(
        &mut self,
        group_id: &str,
        event: impl FnOnce(&mut Group, &mut Step<'_>) -> R,
    ) -> Option<R> {
        let result = self.run(group_id, event);
        self.reschedule(group_id);
        result
    }

    /// The same for an event that brings no deadline forward: a sign of life.
    fn run<R>(
        &mut self,
        group_id: &str,
        event: impl FnOnce(&mut Group, &mut Step<'_>) -> R,
    ) -> Option<R> {
        let now = self.now();
        let group = self.groups.get_mut(group_id)?;
        let mut step = Step::new(now, &self.config);
        let result = event(group, &mut step);
        let actions = step.actions;
        for action in actions {
            self.act(group_id, action);
        }
        Some(result)
    }

    fn act(&mut self, group_id: &str, action: Action) {
        match action {
            Action::AnswerJoin(token, answer) => {
                if let Some(reply) = self.waiting.joins.remove(&token) {
                    let _ = reply.send(answer);
                }
            }
            Action::AnswerSync(token, answer) => {
                if let Some(reply) = self.waiting.syncs.remove(&token) {
                    let _ = reply.send(answer);
                }
            }
            Action::Store(value, stored) => {
                let record = Record::Group {
                    group_id: group_id.to_owned(),
                    value: Some(value),
                };
                if matches!(stored, Stored::Assignment { .. }) {
                    self.metrics.groups.add(Groups::CompletedRebalances, 1);
                }
                self.append(group_id, vec![record], Then::Stored(stored));
            }
        }
    }

    fn census(&self) -> Census {
        let mut census = Census::default();
        for group in self.groups.values() {
            census.offsets += group.offsets.committed_count();
            *census.groups.entry(group.phase()).or_default() += 1;
        }
        census
    }

    /// Keeps the group's deadline, or forgets a group that holds nothing.
    fn reschedule(&mut self, group_id: &str) {
        let deadline = self.groups.get(group_id).and_then(Group::next_deadline);
        self.deadlines.set(group_id, deadline);
        self.forget_if_void(group_id);
    }

    /// Forgets a group that holds nothing.
    fn forget_if_void(&mut self, group_id: &str) {
        let is_void = self.groups.get(group_id).is_some_and(Group::is_void);
        if is_void && !self.writes.concerns(group_id) {
            self.groups.remove(group_id);
        }
    }
}
