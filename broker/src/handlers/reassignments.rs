//! AlterPartitionReassignments and ListPartitionReassignments (KIP-455).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::error;
use super::wire::{broker_ids, text, topic_name};
use crate::cluster::Cluster;
use crate::controller::{Handle, Wanted};
use crate::model::{TopicName, TopicPartition};

/// Asks the controller of this process, which must be the active one.
pub(crate) async fn alter(
    controller: &Handle,
    cluster: &Cluster,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(request.allow_replication_factor_change);
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut unknown = Vec::new();
    for topic in &request.topics {
        let Ok(name) = TopicName::new(&topic.name) else {
            unknown.push(topic.clone());
            continue;
        };
        wanted.extend(topic.partitions.iter().map(|partition| {
            let replicas = partition.replicas.as_ref();
            let replicas = replicas.map(|ids| ids.iter().map(|id| id.0).collect());
            let id = TopicPartition::new(name.clone(), partition.partition_index);
            (id, replicas)
        }));
    }
    let mut refused = Vec::new();
    if !request.allow_replication_factor_change {
        (wanted, refused) = keep_factors(controller, cluster, wanted).await;
    }
    let Some(outcomes) = controller.alter_reassignments(wanted).await else {
        return response.with_error_code(ResponseError::NotController.code());
    };
    let mut topics: BTreeMap<TopicName, Vec<ReassignablePartitionResponse>> = BTreeMap::new();
    for (id, message) in refused {
        let answer = ReassignablePartitionResponse::default()
            .with_partition_index(id.partition)
            .with_error_code(ResponseError::InvalidReplicationFactor.code())
            .with_error_message(Some(text(message)));
        topics.entry(id.topic).or_default().push(answer);
    }
    for (id, outcome) in outcomes {
        // This text is not null unless it is made so.
        let mut answer = ReassignablePartitionResponse::default()
            .with_partition_index(id.partition)
            .with_error_message(None);
        if let Err(failed) = outcome {
            answer.error_code = error::reassign(&failed).code();
            answer.error_message = Some(text(failed.to_string()));
        }
        topics.entry(id.topic).or_default().push(answer);
    }
    let mut answers: Vec<ReassignableTopicResponse> = topics
        .into_iter()
        .map(|(name, partitions)| {
            ReassignableTopicResponse::default()
                .with_name(topic_name(&name))
                .with_partitions(partitions)
        })
        .collect();
    answers.extend(unknown.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                .with_error_message(Some(text("The partition does not exist.")))
        });
        ReassignableTopicResponse::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name)
    }));
    response.with_responses(answers)
}

/// Sorts out what would change the number of replicas, with what is said of it.
async fn keep_factors(
    controller: &Handle,
    cluster: &Cluster,
    wanted: Vec<Wanted>,
) -> (Vec<Wanted>, Vec<(TopicPartition, String)>) {
    let moving: HashMap<_, _> = controller
        .reassignments()
        .await
        .unwrap_or_default()
        .into_iter()
        .collect();
    let snapshot = cluster.snapshot();
    let size = |id: &TopicPartition| match moving.get(id) {
        // Those that it shall have at the end.
        Some(now) => {
            let all: BTreeSet<_> = now.replicas.iter().chain(&now.adding).collect();
            let leaving = now.removing.iter().collect();
            Some(all.difference(&leaving).count())
        }
        None => {
            let partition = snapshot.partition(id.topic.as_str(), id.partition)?;
            Some(partition.state.replicas.len())
        }
    };
    let mut kept = Vec::new();
    let mut refused = Vec::new();
    for (id, target) in wanted {
        match (&target, size(&id)) {
            (Some(target), Some(now)) if target.len() != now => {
                let target = target.len();
                let message = format!("The replication factor is changed from {now} to {target}");
                refused.push((id, message));
            }
            _ => kept.push((id, target)),
        }
    }
    (kept, refused)
}

/// Lists what the controller of this process knows to be under way.
pub(crate) async fn list(
    controller: &Handle,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let response = ListPartitionReassignmentsResponse::default();
    let Some(moving) = controller.reassignments().await else {
        return response.with_error_code(ResponseError::NotController.code());
    };
    let asked: Option<BTreeSet<(String, i32)>> = request.topics.map(|topics| {
        let pairs = topics.iter().flat_map(|topic| {
            let name = topic.name.to_string();
            let indexes = topic.partition_indexes.iter();
            indexes.map(move |index| (name.clone(), *index))
        });
        pairs.collect()
    });
    let is_asked = |id: &TopicPartition| {
        let key = (id.topic.to_string(), id.partition);
        asked.as_ref().is_none_or(|asked| asked.contains(&key))
    };
    let mut topics: BTreeMap<TopicName, Vec<OngoingPartitionReassignment>> = BTreeMap::new();
    for (id, assignment) in moving.into_iter().filter(|(id, _)| is_asked(id)) {
        let partition = OngoingPartitionReassignment::default()
            .with_partition_index(id.partition)
            .with_replicas(broker_ids(&assignment.replicas))
            .with_adding_replicas(broker_ids(&assignment.adding))
            .with_removing_replicas(broker_ids(&assignment.removing));
        topics.entry(id.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        OngoingTopicReassignment::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions)
    });
    response.with_topics(topics.collect())
}
