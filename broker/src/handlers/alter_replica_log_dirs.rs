//! AlterReplicaLogDirs: replicas of this broker move to other directories of it
//! (KIP-113).

use std::collections::BTreeMap;
use std::sync::Arc;

use common::task;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName,
};

use super::error;
use crate::model::TopicPartition;
use crate::replica::Manager;

/// Begins the moves; each goes on after the answer.
pub(crate) async fn handle(
    replicas: &Arc<Manager>,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let replicas = replicas.clone();
    let work = move || begin(&replicas, request);
    let results = task::spawn_blocking("alter log dirs", work).await;
    AlterReplicaLogDirsResponse::default().with_results(results.unwrap_or_default())
}

fn begin(
    replicas: &Manager,
    request: AlterReplicaLogDirsRequest,
) -> Vec<AlterReplicaLogDirTopicResult> {
    let mut topics: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for index in topic.partitions {
                let code = begin_one(replicas, &topic.name, index, &dir.path);
                let result = AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(code);
                topics.entry(topic.name.clone()).or_default().push(result);
            }
        }
    }
    let result = |(name, partitions)| {
        AlterReplicaLogDirTopicResult::default()
            .with_topic_name(name)
            .with_partitions(partitions)
    };
    topics.into_iter().map(result).collect()
}

fn begin_one(replicas: &Manager, topic: &TopicName, index: i32, path: &str) -> i16 {
    let Ok(name) = crate::model::TopicName::new(topic) else {
        return ResponseError::InvalidTopicException.code();
    };
    let id = TopicPartition::new(name, index);
    match replicas.move_replica(&id, path) {
        Ok(()) => 0,
        Err(failed) => {
            tracing::info!(partition = %id, path, error = %failed, "the replica is not moved now");
            error::move_replica(&failed).code()
        }
    }
}
