//! What followers make of a leader's answer.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchResponse, ListOffsetsRequest, TopicName as WireName};
use kafka_protocol::protocol::StrBytes;

use super::lane::Asked;
use crate::log::EpochEndOffset;
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::peer::{Address, Link};
use crate::replica::partition::{Fetched, FollowError, Partition, Position};

const TOPIC_IDS_FROM: i16 = 13;
/// From here on, the follower tells the epoch in which it asks.
const EPOCH_FROM: i16 = 4;
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// What came of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) enum Outcome {
    Done,
    /// Asked again after a pause.
    Failed,
}

/// One leader's answer, and whom it came from.
pub(super) struct Exchange {
    pub(super) own_id: BrokerId,
    pub(super) address: Address,
    /// The version of ListOffsets.
    pub(super) offsets_version: i16,
}

/// A part of an answer with whom it belongs to.
struct Part {
    id: TopicPartition,
    asked: Asked,
    data: PartitionData,
}

impl Exchange {
    /// Hands every partition its part.
    pub(super) async fn take_in(
        &self,
        link: &mut Link,
        version: i16,
        asked: BTreeMap<TopicPartition, Asked>,
        answer: FetchResponse,
    ) -> Vec<(TopicPartition, LeaderEpoch, Outcome)> {
        let parts = parts(version, asked, answer);
        let is_out_of_range =
            |part: &Part| part.data.error_code == ResponseError::OffsetOutOfRange.code();
        let (out_of_range, parts): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_out_of_range);
        let work = move || -> Vec<_> {
            let outcome = |part: Part| {
                let Part { id, asked, data } = part;
                let epoch = asked.followed.epoch;
                let partition = &asked.followed.partition;
                let outcome = take_part(partition, epoch, asked.position, data);
                (id, epoch, outcome)
            };
            parts.into_iter().map(outcome).collect()
        };
        // Appends and cuts belong on a thread that may block.
        let done = common::task::spawn_blocking("replicate", work).await;
        let mut outcomes = done.unwrap_or_default();
        for part in out_of_range {
            let (id, epoch) = (part.id.clone(), part.asked.followed.epoch);
            let outcome = self.come_into_range(link, part).await;
            outcomes.push((id, epoch, outcome));
        }
        outcomes
    }

    /// The leader's log does not have the offset that comes next in ours.
    async fn come_into_range(&self, link: &mut Link, part: Part) -> Outcome {
        let (id, epoch) = (part.id, part.asked.followed.epoch);
        let own_end = part.asked.position.offset;
        let partition = part.asked.followed.partition;
        let Some(leader_end) = self.offset_of(link, &id, epoch, LATEST).await else {
            return Outcome::Failed;
        };
        let decision = if leader_end < own_end {
            Range::CutAt(leader_end)
        } else {
            match self.offset_of(link, &id, epoch, EARLIEST).await {
                None => return Outcome::Failed,
                Some(start) if start > own_end => Range::RestartAt(start),
                // It moved into range meanwhile.
                Some(_) => return Outcome::Done,
            }
        };
        tracing::warn!(partition = %id, own_end, ?decision, "the leader's log has another range");
        let work = move || apply(&partition, epoch, decision);
        let done = common::task::spawn_blocking("replicate", work).await;
        match done {
            Ok(Ok(())) => Outcome::Done,
            Ok(Err(error)) => failed(&id, &error),
            Err(_) => Outcome::Failed,
        }
    }

    async fn offset_of(
        &self,
        link: &mut Link,
        id: &TopicPartition,
        epoch: LeaderEpoch,
        timestamp: i64,
    ) -> Option<Offset> {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(id.partition)
            .with_current_leader_epoch(match self.offsets_version {
                EPOCH_FROM.. => epoch,
                _ => -1,
            })
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(WireName(StrBytes::from_string(id.topic.to_string())))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(self.own_id.into())
            .with_topics(vec![topic]);
        let answer = link
            .ask(&self.address, self.offsets_version, &request)
            .await;
        let answer = answer
            .inspect_err(|error| tracing::debug!(%error, "no offset"))
            .ok()?;
        let found = answer.topics.first()?.partitions.first()?;
        (found.error_code == 0 && found.offset >= 0).then_some(found.offset)
    }
}

/// How a log comes into its leader's range.
#[derive(Debug, Clone, Copy)]
enum Range {
    CutAt(Offset),
    RestartAt(Offset),
}

fn apply(partition: &Partition, epoch: LeaderEpoch, decision: Range) -> Result<(), FollowError> {
    match decision {
        Range::CutAt(offset) => partition.cut_at(epoch, offset).map(drop),
        Range::RestartAt(offset) => partition.restart_at(epoch, offset),
    }
}

/// The parts of an answer that were asked for.
fn parts(
    version: i16,
    mut asked: BTreeMap<TopicPartition, Asked>,
    answer: FetchResponse,
) -> Vec<Part> {
    let mut parts = Vec::with_capacity(asked.len());
    let names: std::collections::HashMap<_, _> = asked
        .iter()
        .map(|(id, asked)| (asked.topic_id, id.topic.clone()))
        .collect();
    for topic in answer.responses {
        let name = match version {
            TOPIC_IDS_FROM.. => names.get(&topic.topic_id).cloned(),
            _ => crate::model::TopicName::new(&topic.topic).ok(),
        };
        let Some(name) = name else { continue };
        for data in topic.partitions {
            let id = TopicPartition::new(name.clone(), data.partition_index);
            if let Some(asked) = asked.remove(&id) {
                parts.push(Part { id, asked, data });
            }
        }
    }
    parts
}

/// Appends or cuts, as the leader's answer demands.
pub(in crate::replica) fn take_part(
    partition: &Partition,
    epoch: LeaderEpoch,
    position: Position,
    data: PartitionData,
) -> Outcome {
    let id = partition.id();
    if data.error_code != 0 {
        // Leader and follower hear of a new epoch one after the other.
        let code = data.error_code;
        tracing::debug!(partition = %id, epoch, code, "the leader refused the follower");
        return Outcome::Failed;
    }
    if data.diverging_epoch.epoch >= 0 || data.diverging_epoch.end_offset >= 0 {
        let leader_end = EpochEndOffset {
            epoch: data.diverging_epoch.epoch,
            end_offset: data.diverging_epoch.end_offset,
        };
        return match partition.cut_where_it_diverges(epoch, leader_end) {
            // Nothing was cut: the same question would get the same answer.
            Ok(_) if partition.follow_position(epoch) == Some(position) => Outcome::Failed,
            Ok(_) => Outcome::Done,
            Err(error) => failed(id, &error),
        };
    }
    let records = data.records.unwrap_or_default();
    let (bytes, watermark) = (records.len(), data.high_watermark);
    let fetched = Fetched {
        epoch,
        offset: position.offset,
        records,
        high_watermark: data.high_watermark,
        log_start: data.log_start_offset,
    };
    match partition.follow(fetched) {
        Ok(()) => {
            partition.on_fetched(bytes, watermark);
            Outcome::Done
        }
        Err(error) => failed(id, &error),
    }
}

pub(super) fn failed(id: &TopicPartition, error: &FollowError) -> Outcome {
    match error {
        // The lane hears of the new epoch by itself.
        FollowError::Outdated => Outcome::Done,
        error => {
            tracing::error!(partition = %id, %error, "the replica cannot follow its leader");
            Outcome::Failed
        }
    }
}
