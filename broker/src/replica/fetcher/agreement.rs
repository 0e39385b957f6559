//! Agreeing with a leader on the log before anything is fetched (KIP-101), for
//! leaders whose Fetch does not tell where two logs part.
//!
//! The leader is asked where the last epoch of the own log ends in its log; the
//! answer says where to cut. It is asked again while its answer names an epoch
//! that the own log does not have (KIP-279), each time with an older epoch.
//!
//! **Invariant:** nothing is fetched for a partition before its log agrees with
//! the leader's in the present epoch.

use std::collections::BTreeMap;

use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset as Told;
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, TopicName as WireName};
use kafka_protocol::protocol::StrBytes;

use super::exchange::{Outcome, failed};
use super::lane::Asked;
use crate::log::EpochEndOffset;
use crate::model::{BrokerId, LeaderEpoch, TopicName, TopicPartition};
use crate::peer::{self, Address, Link};
use crate::replica::partition::Partition;

/// Since this version the answer to a Fetch says where the logs part (KIP-595).
pub(super) const DIVERGING_FROM: i16 = 12;
/// Since this version the reader's own epoch is told, and its id since the next.
const REPLICA_ID_FROM: i16 = 3;

/// What came of asking about one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::replica) enum Agreement {
    Reached,
    /// The leader must be asked once more.
    Again,
    Failed,
}

/// Asks about all of `asked`, whose logs have epochs, and cuts the logs.
pub(super) async fn seek(
    link: &mut Link,
    address: &Address,
    own_id: BrokerId,
    version: i16,
    asked: BTreeMap<TopicPartition, Asked>,
) -> Result<Vec<(TopicPartition, LeaderEpoch, Agreement)>, peer::Error> {
    let request = request(own_id, version, &asked);
    let answer = link.ask_leader_epochs(address, version, &request).await?;
    let mut told = Vec::new();
    for topic in answer.topics {
        let Ok(name) = TopicName::new(&topic.topic) else {
            continue;
        };
        for partition in topic.partitions {
            told.push((
                TopicPartition::new(name.clone(), partition.partition),
                partition,
            ));
        }
    }
    let work = move || -> Vec<_> {
        let mut told: BTreeMap<_, _> = told.into_iter().collect();
        let each = asked.into_iter().map(|(id, asked)| {
            let (partition, epoch) = (&asked.followed.partition, asked.followed.epoch);
            let agreement = match told.remove(&id) {
                Some(told) => take_told(partition, epoch, &told),
                None => Agreement::Failed,
            };
            (id, epoch, agreement)
        });
        each.collect()
    };
    // Cuts belong on a thread that may block.
    let done = common::task::spawn_blocking("agree", work).await;
    Ok(done.unwrap_or_default())
}

fn request(
    own_id: BrokerId,
    version: i16,
    asked: &BTreeMap<TopicPartition, Asked>,
) -> OffsetForLeaderEpochRequest {
    let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
    for (id, asked) in asked {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(id.partition)
            .with_current_leader_epoch(asked.followed.epoch)
            .with_leader_epoch(asked.position.last_epoch.unwrap_or(-1));
        let is_same = topics
            .last()
            .is_some_and(|topic| topic.topic.as_str() == id.topic.as_str());
        if !is_same {
            let name = WireName(StrBytes::from_string(id.topic.to_string()));
            topics.push(OffsetForLeaderTopic::default().with_topic(name));
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition);
        }
    }
    let request = OffsetForLeaderEpochRequest::default().with_topics(topics);
    match version {
        REPLICA_ID_FROM.. => request.with_replica_id(own_id.into()),
        _ => request,
    }
}

/// Cuts the log as the leader's answer demands.
pub(in crate::replica) fn take_told(
    partition: &Partition,
    epoch: LeaderEpoch,
    told: &Told,
) -> Agreement {
    let id = partition.id();
    if told.error_code != 0 {
        let code = told.error_code;
        tracing::debug!(partition = %id, epoch, code, "the leader does not say where an epoch ends");
        return Agreement::Failed;
    }
    let leader_end = EpochEndOffset {
        epoch: told.leader_epoch,
        end_offset: told.end_offset,
    };
    match partition.cut_where_it_diverges(epoch, leader_end) {
        Ok(cut) if cut.is_final => Agreement::Reached,
        Ok(_) => Agreement::Again,
        Err(error) => match failed(id, &error) {
            Outcome::Done => Agreement::Again,
            Outcome::Failed => Agreement::Failed,
        },
    }
}
