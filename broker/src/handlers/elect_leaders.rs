//! ElectLeaders (KIP-460): preferred or unclean elections on demand.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use tokio::time::timeout;

use super::error;
use super::topic_admin::limit;
use super::wire::{text, topic_name};
use crate::cluster::{Cluster, Snapshot};
use crate::controller::{ElectError, Elected, ElectionType, Handle};
use crate::model::{BrokerId, TopicName, TopicPartition};

/// Elects through the controller of this process, and waits until the metadata
/// shows the new leaders.
pub(crate) async fn handle(
    controller: &Handle,
    cluster: &Cluster,
    version: i16,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let response = ElectLeadersResponse::default();
    // Version 0 knows no other type.
    let election = match (version, request.election_type) {
        (0, _) | (_, 0) => ElectionType::Preferred,
        (_, 1) => ElectionType::Unclean,
        _ => return response.with_error_code(ResponseError::InvalidRequest.code()),
    };
    let is_everything = request.topic_partitions.is_none();
    let (partitions, invalid) = match &request.topic_partitions {
        None => (all(&cluster.snapshot()), Vec::new()),
        Some(topics) => {
            let named = topics
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|index| (&topic.topic, *index)));
            let mut partitions = Vec::new();
            let mut invalid = Vec::new();
            for (name, index) in named {
                match TopicName::new(name) {
                    Ok(topic) => partitions.push(TopicPartition::new(topic, index)),
                    Err(_) => invalid.push((name.clone(), index)),
                }
            }
            (partitions, invalid)
        }
    };
    let Some(outcomes) = controller.elect_leaders(election, partitions).await else {
        return response.with_error_code(ResponseError::NotController.code());
    };
    let leaders: Vec<(TopicPartition, BrokerId)> = outcomes
        .iter()
        .filter_map(|(id, outcome)| Some((id.clone(), *outcome.as_ref().ok()?)))
        .collect();
    let shows_all = |snapshot: &Snapshot| leaders.iter().all(|new| shows(snapshot, new));
    let is_known = timeout(limit(request.timeout_ms), cluster.wait_until(shows_all));
    let is_known = is_known.await.is_ok();
    let snapshot = cluster.snapshot();
    let mut topics: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
    for outcome in &outcomes {
        let is_late = !is_known && !is_shown(&snapshot, outcome);
        if let Some(result) = result(outcome, is_everything, is_late) {
            let topic = outcome.0.topic.to_string();
            topics.entry(topic).or_default().push(result);
        }
    }
    for (name, index) in invalid {
        let result = PartitionResult::default()
            .with_partition_id(index)
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
            .with_error_message(Some(text("The partition does not exist.")));
        topics.entry(name.to_string()).or_default().push(result);
    }
    let results = topics.into_iter().map(|(name, partitions)| {
        let result = ReplicaElectionResult::default().with_partition_result(partitions);
        match TopicName::new(&name) {
            Ok(name) => result.with_topic(topic_name(&name)),
            Err(_) => result.with_topic(kafka_protocol::messages::TopicName(text(name))),
        }
    });
    response.with_replica_election_results(results.collect())
}

fn all(snapshot: &Snapshot) -> Vec<TopicPartition> {
    let topics = snapshot.topics.iter();
    topics
        .flat_map(|(name, topic)| {
            let numbers = topic.partitions.keys();
            numbers.map(|number| TopicPartition::new(name.clone(), *number))
        })
        .collect()
}

fn shows(snapshot: &Snapshot, (id, leader): &(TopicPartition, BrokerId)) -> bool {
    let known = snapshot.partition(id.topic.as_str(), id.partition);
    known.is_some_and(|known| known.state.leader == *leader)
}

fn is_shown(snapshot: &Snapshot, (id, outcome): &Elected) -> bool {
    match outcome {
        Ok(leader) => shows(snapshot, &(id.clone(), *leader)),
        Err(_) => true,
    }
}

/// Who asks for everything does not want to hear of what is as it should be.
fn result((id, outcome): &Elected, is_everything: bool, is_late: bool) -> Option<PartitionResult> {
    let result = PartitionResult::default().with_partition_id(id.partition);
    match outcome {
        Err(ElectError::NotNeeded) if is_everything => None,
        Ok(_) if is_late => Some(result.with_error_code(ResponseError::RequestTimedOut.code())),
        Ok(_) => Some(result),
        Err(failed) => Some(
            result
                .with_error_code(error::elect(failed).code())
                .with_error_message(Some(text(failed.to_string()))),
        ),
    }
}
