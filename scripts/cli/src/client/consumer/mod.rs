//! Reads records: from topics as a member of a group, or from one partition.
//!
//! Flow: `poll` → keep metadata fresh → be a member (join, heartbeat, commit) →
//! know the position of each partition → ask the leaders → records, which the
//! caller reports back with `delivered` as it uses them.
//!
//! **Invariant:** only positions behind delivered records are ever committed.
//! **Invariant:** dropping `poll` half-way loses no record: positions move only
//! when it returns.

mod assignor;
mod commit;
mod fetch;
mod group;
mod offsets;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use broker::record::Record;
use futures::future::join_all;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchResponse;
use regex::Regex;

pub(crate) use assignor::decode_assignment;
pub(crate) use offsets::Committer;
pub(crate) use settings::ConsumerSettings;

use super::metadata::{AutoCreate, Topics, topic_name};
use super::offsets::{EARLIEST, LATEST};
use super::{Client, Error, Lane, code_name};
use group::{Beat, Membership};
use settings::Reset;

/// With several leaders none may hold up the records of the others for long.
const SHARED_FETCH_WAIT: Duration = Duration::from_millis(100);

/// A topic's name and a partition's index.
pub(crate) type TopicPartition = (String, i32);

/// What to read.
#[derive(Debug, Clone)]
pub(crate) enum Subscription {
    Topics(Vec<String>),
    Pattern(Regex),
    Partition(TopicPartition, Start),
}

/// Where to begin with a partition chosen by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    Earliest,
    Latest,
    Offset(i64),
}

/// A record with where it came from.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerRecord {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) is_append_time: bool,
    pub(crate) leader_epoch: i32,
    pub(crate) record: Record,
}

/// Where a partition is read next, and up to where records were delivered.
#[derive(Debug, Clone, Copy)]
struct Position {
    read_from: i64,
    delivered: i64,
}

/// How the partitions of a member changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rebalance {
    Revoked(Vec<TopicPartition>),
    Assigned(Vec<TopicPartition>),
}

/// Why reading ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Client(#[from] Error),
    #[error("{topic}-{partition} at offset {offset}: {source}")]
    Corrupt {
        topic: String,
        partition: i32,
        offset: i64,
        source: broker::record::Error,
    },
    #[error(
        "Fetch position of partition {0}-{1} is out of range and no reset policy is configured"
    )]
    NoReset(String, i32),
}

/// A consumer of one subscription.
pub(crate) struct Consumer {
    client: Client,
    settings: ConsumerSettings,
    subscription: Subscription,
    membership: Membership,
    /// The topics subscribed to that exist, with their sizes when we joined.
    topics: BTreeMap<String, i32>,
    /// The partitions that are ours; `None` until their position is known.
    positions: BTreeMap<TopicPartition, Option<Position>>,
    refreshed_at: Option<Duration>,
    must_refresh: bool,
    correlation: u64,
    commit_at: Duration,
    joining: Duration,
    /// Since the last call of `rebalances`.
    rebalances: Vec<Rebalance>,
}

impl Consumer {
    pub(crate) fn new(
        client: Client,
        settings: ConsumerSettings,
        subscription: Subscription,
    ) -> Self {
        let positions = match &subscription {
            Subscription::Partition(at, _) => BTreeMap::from([(at.clone(), None)]),
            Subscription::Topics(_) | Subscription::Pattern(_) => BTreeMap::new(),
        };
        Self {
            commit_at: client.now() + settings.commit_interval,
            client,
            settings,
            subscription,
            membership: Membership::default(),
            topics: BTreeMap::new(),
            positions,
            refreshed_at: None,
            must_refresh: true,
            correlation: 0,
            joining: Duration::ZERO,
            rebalances: Vec::new(),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// How long it took, all in all, to join the group.
    pub(crate) fn joining(&self) -> Duration {
        self.joining
    }

    /// How our partitions changed since the last call.
    pub(crate) fn rebalances(&mut self) -> Vec<Rebalance> {
        std::mem::take(&mut self.rebalances)
    }

    /// The next records; none when nothing came within a fetch's wait.
    pub(crate) async fn poll(&mut self) -> Result<Vec<ConsumerRecord>, Stopped> {
        match self.try_poll().await {
            Err(Stopped::Client(error)) if error.is_retriable() => {
                self.must_refresh = true;
                self.client.tell_unreachable(&error);
                tokio::time::sleep(self.client.config().retry_backoff).await;
                Ok(Vec::new())
            }
            polled => polled,
        }
    }

    async fn try_poll(&mut self) -> Result<Vec<ConsumerRecord>, Stopped> {
        self.maybe_refresh().await?;
        if !matches!(self.subscription, Subscription::Partition(..)) {
            self.be_member().await?;
        }
        self.find_positions().await?;
        self.fetch().await
    }

    /// Says that the caller has used a record.
    pub(crate) fn delivered(&mut self, record: &ConsumerRecord) {
        let at = (record.topic.clone(), record.partition);
        if let Some(Some(position)) = self.positions.get_mut(&at) {
            position.delivered = record.record.offset + 1;
        }
    }

    /// Says that the caller has used every record it was given.
    pub(crate) fn delivered_all(&mut self) {
        for position in self.positions.values_mut().flatten() {
            position.delivered = position.read_from;
        }
    }

    /// Commits what was delivered, when the consumer does so itself, and leaves the group.
    pub(crate) async fn close(&mut self) -> Result<(), Error> {
        if self.membership.is_member() && self.settings.commits_itself {
            self.commit().await?;
        }
        self.revoke();
        self.membership.leave(&self.client, &self.settings).await
    }

    /// Gives up all partitions, as the eager protocol wants before a member joins again.
    fn revoke(&mut self) {
        let positions = std::mem::take(&mut self.positions);
        if !positions.is_empty() && !matches!(self.subscription, Subscription::Partition(..)) {
            let lost = positions.into_keys().collect();
            self.rebalances.push(Rebalance::Revoked(lost));
        }
    }

    /// Asks for the topics again when they may have changed.
    async fn maybe_refresh(&mut self) -> Result<(), Error> {
        let now = self.client.now();
        let backoff = self.client.config().retry_backoff;
        let is_due = self.refreshed_at.is_none_or(|at| {
            now >= at + self.client.config().metadata_max_age
                || (self.must_refresh && now >= at + backoff)
        });
        if !is_due {
            return Ok(());
        }
        self.refreshed_at = Some(now);
        let names: Vec<String> = match &self.subscription {
            Subscription::Topics(names) => names.clone(),
            Subscription::Partition((topic, _), _) => vec![topic.clone()],
            Subscription::Pattern(_) => Vec::new(),
        };
        let (wanted, create) = match self.subscription {
            Subscription::Pattern(_) => (Topics::All, AutoCreate::Never),
            _ if self.settings.may_create_topics => (Topics::Named(&names), AutoCreate::Allow),
            _ => (Topics::Named(&names), AutoCreate::Never),
        };
        let answer = self.client.refresh(wanted, create).await?;
        self.correlation += 1;
        self.must_refresh = false;
        let mut topics = BTreeMap::new();
        for topic in &answer.topics {
            let name = topic_name(topic);
            let is_wanted = match &self.subscription {
                Subscription::Pattern(pattern) => {
                    pattern.is_match(&name) && !(topic.is_internal && self.settings.hides_internal)
                }
                _ => true,
            };
            if is_wanted && topic.error_code != 0 {
                self.complain_of(&name, topic.error_code)?;
            } else if is_wanted {
                let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
                topics.insert(name, count);
            }
        }
        if topics != self.topics {
            self.topics = topics;
            // Positions are found anew after joining: what is not committed by then
            // would be delivered again.
            if self.membership.is_member() && self.settings.commits_itself {
                self.try_commit().await;
            }
            self.membership.must_rejoin();
        }
        Ok(())
    }

    fn complain_of(&mut self, topic: &str, code: i16) -> Result<(), Error> {
        self.must_refresh = true;
        self.client.warn(format_args!(
            "The metadata response from the cluster reported a recoverable issue with correlation id {} : {{{topic}={}}}",
            self.correlation,
            code_name(code)
        ));
        match ResponseError::try_from_code(code) {
            Some(ResponseError::InvalidTopicException) => {
                Err(Error::InvalidTopic(topic.to_owned()))
            }
            Some(error) if !error.is_retriable() => Error::check(code, None),
            _ => Ok(()),
        }
    }

    /// Joins when needed, says that we live, commits when it is time.
    async fn be_member(&mut self) -> Result<(), Error> {
        if self.membership.is_member() {
            let beat = self
                .membership
                .heartbeat(&self.client, &self.settings)
                .await?;
            let must_commit = beat == Beat::MustRejoin || self.client.now() >= self.commit_at;
            if self.settings.commits_itself && must_commit {
                self.commit_at = self.client.now() + self.settings.commit_interval;
                self.try_commit().await;
            }
        }
        let began = self.client.now();
        if !self.membership.is_member() {
            self.revoke();
        }
        while !self.membership.is_member() {
            let names = match &self.subscription {
                Subscription::Topics(names) => names.clone(),
                _ => self.topics.keys().cloned().collect(),
            };
            let joined = self
                .membership
                .join(&self.client, &self.settings, &names)
                .await;
            match joined {
                Ok(assignment) => {
                    self.positions = assignment
                        .into_iter()
                        .flat_map(|(topic, partitions)| {
                            partitions
                                .into_iter()
                                .map(move |index| ((topic.clone(), index), None))
                        })
                        .collect();
                    let ours = self.positions.keys().cloned().collect();
                    self.rebalances.push(Rebalance::Assigned(ours));
                }
                Err(error) if error.is(ResponseError::MemberIdRequired) => {}
                Err(error) if group::may_join_again(&error) => {
                    self.client.tell_unreachable(&error);
                    tokio::time::sleep(self.client.config().retry_backoff).await;
                }
                Err(error) => return Err(error),
            }
        }
        self.joining += self.client.now().saturating_sub(began);
        Ok(())
    }

    /// Finds where to begin with partitions that have no position.
    async fn find_positions(&mut self) -> Result<(), Stopped> {
        let unknown: Vec<TopicPartition> = self
            .positions
            .iter()
            .filter(|(_, position)| position.is_none())
            .map(|(at, _)| at.clone())
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let committed = match self.subscription {
            Subscription::Partition(..) => BTreeMap::new(),
            _ => {
                let group = self.settings.group_id.clone();
                let coordinator = self.membership.coordinator(&self.client, &group).await?;
                self.client
                    .committed(&coordinator, &group, Some(&unknown))
                    .await?
            }
        };
        for at in unknown {
            let offset = match (committed.get(&at), &self.subscription) {
                (Some(offset), _) => *offset,
                (None, Subscription::Partition(_, Start::Offset(offset))) => *offset,
                (None, Subscription::Partition(_, Start::Earliest)) => {
                    self.end(&at, EARLIEST).await?
                }
                (None, Subscription::Partition(_, Start::Latest)) => self.end(&at, LATEST).await?,
                (None, _) => self.reset(&at).await?,
            };
            self.set_position(at, offset);
        }
        Ok(())
    }

    fn set_position(&mut self, at: TopicPartition, offset: i64) {
        let position = Position {
            read_from: offset,
            delivered: offset,
        };
        self.positions.insert(at, Some(position));
    }

    async fn reset(&self, at: &TopicPartition) -> Result<i64, Stopped> {
        match self.settings.reset {
            Reset::Earliest => Ok(self.end(at, EARLIEST).await?),
            Reset::Latest => Ok(self.end(at, LATEST).await?),
            Reset::Never => Err(Stopped::NoReset(at.0.clone(), at.1)),
        }
    }

    async fn end(&self, (topic, partition): &TopicPartition, time: i64) -> Result<i64, Error> {
        let isolation_level = self.settings.isolation_level;
        let found = self
            .client
            .list_offset(topic, *partition, time, isolation_level)
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Asks each leader once for its partitions.
    async fn fetch(&mut self) -> Result<Vec<ConsumerRecord>, Stopped> {
        let mut of_leader: BTreeMap<i32, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for (at, position) in &self.positions {
            let Some(position) = position else { continue };
            match self.client.leader(&at.0, at.1) {
                Some(leader) => {
                    let wanted = of_leader.entry(leader).or_default();
                    wanted.push((at.clone(), position.read_from));
                }
                None => self.must_refresh = true,
            }
        }
        if of_leader.is_empty() {
            tokio::time::sleep(SHARED_FETCH_WAIT).await;
            return Ok(Vec::new());
        }
        let wait = match of_leader.len() {
            1 => self.settings.fetch_wait,
            _ => self.settings.fetch_wait.min(SHARED_FETCH_WAIT),
        };
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let (client, settings) = (&self.client, &self.settings);
        let requests = of_leader.iter().map(|(leader, wanted)| async move {
            let endpoint = client.broker(*leader)?;
            let build = |_| fetch::request(settings, wait_ms, wanted);
            client.call(&endpoint, Lane::Data, build).await
        });
        let answers = join_all(requests).await;
        let mut records = Vec::new();
        let mut failure = None;
        for answer in answers {
            let taken = match answer {
                Ok(answer) => self.take(answer, &mut records).await,
                Err(error) => Err(error.into()),
            };
            failure = failure.or_else(|| taken.err());
        }
        match failure {
            // What was read is delivered first; the failure shows again.
            Some(_) if !records.is_empty() => {
                self.must_refresh = true;
                Ok(records)
            }
            Some(error) => Err(error),
            None => Ok(records),
        }
    }

    async fn take(
        &mut self,
        answer: FetchResponse,
        records: &mut Vec<ConsumerRecord>,
    ) -> Result<(), Stopped> {
        Error::check(answer.error_code, None)?;
        for topic in answer.responses {
            for data in &topic.partitions {
                let at = (topic.topic.0.to_string(), data.partition_index);
                let Some(Some(position)) = self.positions.get_mut(&at) else {
                    continue;
                };
                match ResponseError::try_from_code(data.error_code) {
                    None => {
                        let from = position.read_from;
                        let level = self.settings.isolation_level;
                        let read = fetch::read(&at.0, data, from, level).map_err(|source| {
                            let (topic, partition) = at.clone();
                            Stopped::Corrupt {
                                topic,
                                partition,
                                offset: from,
                                source,
                            }
                        })?;
                        position.read_from = read.next_offset;
                        records.extend(read.records);
                    }
                    Some(ResponseError::OffsetOutOfRange) => {
                        let offset = self.reset(&at).await?;
                        self.set_position(at, offset);
                    }
                    Some(error) if error.is_retriable() => self.must_refresh = true,
                    Some(_) => Error::check(data.error_code, None)?,
                }
            }
        }
        Ok(())
    }
}
