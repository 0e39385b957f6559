//! One ordered way to one leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::{FetchRequest, TopicName as WireName};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::exchange::{Exchange, Outcome};
use super::{FetchConfig, Fetchers};
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicPartition};
use crate::peer::Link;
use crate::replica::partition::{Partition, Position};

/// The first pause after a failure; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// From here on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;
/// From here on, the replica tells its broker's epoch.
const REPLICA_STATE_FROM: i16 = 15;

/// A partition that is fetched for.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: LeaderEpoch,
    failures: u32,
    not_before: Duration,
}

/// A partition of one request.
pub(super) struct Asked {
    pub(super) followed: Followed,
    pub(super) topic_id: TopicId,
    pub(super) position: Position,
}

pub(super) struct Lane {
    leader: BrokerId,
    index: usize,
    followed: Mutex<BTreeMap<TopicPartition, Followed>>,
    changed: Notify,
}

impl Followed {
    pub(super) fn new(partition: Arc<Partition>, epoch: LeaderEpoch) -> Self {
        Self {
            partition,
            epoch,
            failures: 0,
            not_before: Duration::ZERO,
        }
    }
}

impl Lane {
    pub(super) fn new(leader: BrokerId, index: usize) -> Self {
        Self {
            leader,
            index,
            followed: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn insert(&self, id: TopicPartition, followed: Followed) {
        self.followed.lock().insert(id, followed);
        self.changed.notify_one();
    }

    pub(super) fn remove(&self, id: &TopicPartition) {
        // Without a word: what arrives for it is refused by the partition.
        self.followed.lock().remove(id);
    }

    pub(super) async fn run(&self, fetchers: &Fetchers) {
        tokio::select! {
            () = fetchers.stop.requested() => {}
            () = self.fetch_for_ever(fetchers) => {}
        }
    }

    async fn fetch_for_ever(&self, fetchers: &Fetchers) {
        let own_id = fetchers.around.own_id;
        let client_id = format!("broker-{own_id}-fetcher-{}", self.index);
        let mut link = Link::new(self.leader, client_id, fetchers.config.timeout);
        let mut failures = 0;
        loop {
            let changed = self.changed.notified();
            let now = fetchers.around.clock.monotonic();
            let asked = self.due(now);
            if asked.is_empty() {
                if self.followed.lock().is_empty() {
                    link.close();
                }
                let pause = self.until_due(now);
                let _ = tokio::time::timeout(pause, changed).await;
                continue;
            }
            let done = tokio::select! {
                // Those who came must not wait for a long poll without them.
                () = changed => {
                    link.close();
                    continue;
                }
                done = self.fetch(fetchers, &mut link, asked) => done,
            };
            if done {
                failures = 0;
                continue;
            }
            let pause = backoff(failures, fetchers.config.backoff_max);
            failures += 1;
            let _ = tokio::time::timeout(pause, self.changed.notified()).await;
        }
    }

    /// The partitions that may be asked for now.
    fn due(&self, now: Duration) -> BTreeMap<TopicPartition, Asked> {
        let followed = self.followed.lock().clone();
        let due = followed.into_iter().filter_map(|(id, followed)| {
            if followed.not_before > now {
                return None;
            }
            // Its epoch may be over, and the news on its way here.
            let position = followed.partition.follow_position(followed.epoch)?;
            let topic_id = followed.partition.topic_id().unwrap_or(TopicId::nil());
            let asked = Asked {
                followed,
                topic_id,
                position,
            };
            Some((id, asked))
        });
        due.collect()
    }

    fn until_due(&self, now: Duration) -> Duration {
        const IDLE: Duration = Duration::from_secs(3600);
        let followed = self.followed.lock();
        let waits = followed.values().map(|f| f.not_before.saturating_sub(now));
        waits.filter(|wait| !wait.is_zero()).min().unwrap_or(IDLE)
    }

    /// One request and what came of it; false when the leader cannot be asked.
    async fn fetch(
        &self,
        fetchers: &Fetchers,
        link: &mut Link,
        asked: BTreeMap<TopicPartition, Asked>,
    ) -> bool {
        let Some(address) = fetchers.address(self.leader) else {
            return false;
        };
        let has_ids = asked.values().all(|asked| !asked.topic_id.is_nil());
        let version = match has_ids {
            true => fetchers.config.version,
            false => fetchers.config.version.min(TOPIC_IDS_FROM - 1),
        };
        let around = &fetchers.around;
        let epoch = around.broker_epoch();
        let request = request(&fetchers.config, (around.own_id, epoch), version, &asked);
        let answer = match link.ask(&address, version, &request).await {
            Ok(answer) if answer.error_code == 0 => answer,
            Ok(answer) => {
                let code = answer.error_code;
                tracing::warn!(leader = self.leader, code, "the leader refused a fetch");
                return false;
            }
            Err(error) => {
                tracing::debug!(leader = self.leader, %error, "cannot fetch from the leader");
                return false;
            }
        };
        let exchange = Exchange {
            own_id: around.own_id,
            address,
        };
        let outcomes = exchange.take_in(link, version, asked, answer).await;
        self.note(outcomes, fetchers);
        true
    }

    /// Lets those wait who failed.
    fn note(&self, outcomes: Vec<(TopicPartition, LeaderEpoch, Outcome)>, fetchers: &Fetchers) {
        let now = fetchers.around.clock.monotonic();
        let mut all = self.followed.lock();
        for (id, epoch, outcome) in outcomes {
            let Some(followed) = all.get_mut(&id).filter(|known| known.epoch == epoch) else {
                continue;
            };
            match outcome {
                Outcome::Done => followed.failures = 0,
                Outcome::Failed => {
                    let pause = backoff(followed.failures, fetchers.config.backoff_max);
                    followed.failures += 1;
                    followed.not_before = now + pause;
                }
            }
        }
    }
}

fn backoff(failures: u32, max: Duration) -> Duration {
    BACKOFF_MIN
        .saturating_mul(1 << failures.min(16))
        .min(max.max(BACKOFF_MIN))
}

fn request(
    config: &FetchConfig,
    (own_id, own_epoch): (BrokerId, i64),
    version: i16,
    asked: &BTreeMap<TopicPartition, Asked>,
) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    let mut current = None;
    for (id, asked) in asked {
        if current != Some(&id.topic) {
            current = Some(&id.topic);
            let mut topic = FetchTopic::default();
            match version {
                TOPIC_IDS_FROM.. => topic.topic_id = asked.topic_id,
                _ => topic.topic = WireName(StrBytes::from_string(id.topic.to_string())),
            }
            topics.push(topic);
        }
        let partition = FetchPartition::default()
            .with_partition(id.partition)
            .with_current_leader_epoch(asked.followed.epoch)
            .with_fetch_offset(asked.position.offset)
            .with_last_fetched_epoch(asked.position.last_epoch.unwrap_or(-1))
            .with_log_start_offset(asked.position.log_start)
            .with_partition_max_bytes(config.partition_bytes_max);
        topics
            .last_mut()
            .expect("pushed above")
            .partitions
            .push(partition);
    }
    let request = FetchRequest::default()
        .with_max_wait_ms(config.wait_max_ms)
        .with_min_bytes(config.bytes_min)
        .with_max_bytes(config.bytes_max)
        // No session: every request is complete.
        .with_session_id(0)
        .with_session_epoch(-1)
        .with_topics(topics);
    match version {
        REPLICA_STATE_FROM.. => request.with_replica_state(
            ReplicaState::default()
                .with_replica_id(own_id.into())
                .with_replica_epoch(own_epoch),
        ),
        _ => request.with_replica_id(own_id.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let max = Duration::from_secs(1);
        assert_eq!(backoff(0, max), BACKOFF_MIN);
        assert_eq!(backoff(1, max), BACKOFF_MIN * 2);
        assert_eq!(backoff(60, max), max);
        assert_eq!(backoff(60, Duration::ZERO), BACKOFF_MIN);
    }
}
