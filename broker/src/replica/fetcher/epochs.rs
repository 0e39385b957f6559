//! Where a follower's log and its leader's part, in clusters whose leaders do not
//! say so in their answers to Fetch (before KIP-595): the follower asks by
//! OffsetForLeaderEpoch and cuts its log before it fetches (KIP-101, KIP-279).

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, TopicName as WireName,
};
use kafka_protocol::protocol::StrBytes;

use super::exchange::{Exchange, Outcome};
use super::lane::Asked;
use crate::log::EpochEndOffset;
use crate::model::{LeaderEpoch, TopicName, TopicPartition};
use crate::peer::Link;
use crate::replica::partition::Partition;

/// From here on, the follower tells the epoch in which it asks.
const CURRENT_EPOCH_FROM: i16 = 2;
/// From here on, it tells who it is.
const REPLICA_FROM: i16 = 3;

type Outcomes = Vec<(TopicPartition, LeaderEpoch, Outcome)>;

impl Exchange {
    /// Asks the leader and cuts. A log without epochs was cut at the high
    /// watermark already. `None` when the leader cannot be asked.
    pub(super) async fn settle(
        &self,
        link: &mut Link,
        version: i16,
        asked: BTreeMap<TopicPartition, Asked>,
    ) -> Option<Outcomes> {
        let is_told = |asked: &Asked| asked.position.last_epoch.is_some();
        let (asked, without): (BTreeMap<_, _>, BTreeMap<_, _>) =
            asked.into_iter().partition(|(_, asked)| is_told(asked));
        let settled =
            |(id, asked): (TopicPartition, Asked)| (id, asked.followed.epoch, Outcome::Settled);
        let mut outcomes: Outcomes = without.into_iter().map(settled).collect();
        if asked.is_empty() {
            return Some(outcomes);
        }
        let request = self.request(version, &asked);
        let answer = link.ask_leader_epochs(&self.address, version, &request);
        let answer = answer
            .await
            .inspect_err(|error| tracing::debug!(%error, "no epochs from the leader"))
            .ok()?;
        let work = move || cut_all(asked, answer);
        let done = common::task::spawn_blocking("settle", work).await;
        outcomes.extend(done.unwrap_or_default());
        Some(outcomes)
    }

    fn request(
        &self,
        version: i16,
        asked: &BTreeMap<TopicPartition, Asked>,
    ) -> OffsetForLeaderEpochRequest {
        let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
        let mut current = None;
        for (id, asked) in asked {
            if current != Some(&id.topic) {
                current = Some(&id.topic);
                let name = WireName(StrBytes::from_string(id.topic.to_string()));
                topics.push(OffsetForLeaderTopic::default().with_topic(name));
            }
            let partition = OffsetForLeaderPartition::default()
                .with_partition(id.partition)
                .with_current_leader_epoch(match version {
                    CURRENT_EPOCH_FROM.. => asked.followed.epoch,
                    _ => -1,
                })
                .with_leader_epoch(asked.position.last_epoch.unwrap_or(-1));
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(partition);
            }
        }
        let request = OffsetForLeaderEpochRequest::default().with_topics(topics);
        match version {
            REPLICA_FROM.. => request.with_replica_id(self.own_id.into()),
            _ => request,
        }
    }
}

fn cut_all(
    mut asked: BTreeMap<TopicPartition, Asked>,
    answer: OffsetForLeaderEpochResponse,
) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for topic in answer.topics {
        let Ok(name) = TopicName::new(&topic.topic) else {
            continue;
        };
        for part in topic.partitions {
            let id = TopicPartition::new(name.clone(), part.partition);
            let Some(asked) = asked.remove(&id) else {
                continue;
            };
            let epoch = asked.followed.epoch;
            let outcome = match part.error_code {
                0 => {
                    let leader = EpochEndOffset {
                        epoch: part.leader_epoch,
                        end_offset: part.end_offset,
                    };
                    cut(&asked.followed.partition, epoch, leader)
                }
                code => {
                    tracing::debug!(partition = %id, epoch, code, "the leader tells no epoch");
                    Outcome::Failed
                }
            };
            outcomes.push((id, epoch, outcome));
        }
    }
    let failed = |(id, asked): (TopicPartition, Asked)| (id, asked.followed.epoch, Outcome::Failed);
    outcomes.extend(asked.into_iter().map(failed));
    outcomes
}

/// Cuts as the leader's answer demands. While that names an epoch that the own
/// log does not have, the leader is asked again, about an older one (KIP-279).
pub(in crate::replica) fn cut(
    partition: &Partition,
    epoch: LeaderEpoch,
    leader: EpochEndOffset,
) -> Outcome {
    match partition.cut_where_it_diverges(epoch, leader) {
        Ok(cut) if cut.is_final => Outcome::Settled,
        Ok(_) => Outcome::Done,
        Err(error) => {
            tracing::debug!(partition = %partition.id(), %error, "the log was not cut");
            Outcome::Failed
        }
    }
}
