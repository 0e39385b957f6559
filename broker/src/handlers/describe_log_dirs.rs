//! DescribeLogDirs: the log directories, what lies in them, and what room is left.

use std::collections::{BTreeMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use super::wire::{text, topic_name};
use crate::log::{DirDescription, LogDescription};
use crate::model::{TopicName, TopicPartition};
use crate::replica::Manager;

/// Answers for the partitions of the request, or for all.
pub(crate) fn handle(
    replicas: &Manager,
    request: &DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let wanted = request.topics.as_ref().map(|topics| {
        let pairs = topics.iter().flat_map(|topic| {
            let name = TopicName::new(&topic.topic).ok();
            let partitions = topic.partitions.iter();
            partitions.filter_map(move |index| Some(TopicPartition::new(name.clone()?, *index)))
        });
        pairs.collect::<HashSet<_>>()
    });
    let is_wanted = |id: &TopicPartition| wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
    let dirs = replicas.describe_log_dirs(&is_wanted);
    let results = dirs.into_iter().map(|dir| result(replicas, dir));
    DescribeLogDirsResponse::default().with_results(results.collect())
}

fn result(replicas: &Manager, dir: DirDescription) -> DescribeLogDirsResult {
    let path = std::path::absolute(&dir.path).unwrap_or(dir.path);
    let result = DescribeLogDirsResult::default().with_log_dir(text(path.display().to_string()));
    let Some(space) = dir.space else {
        return result
            .with_error_code(ResponseError::KafkaStorageError.code())
            .with_total_bytes(-1)
            .with_usable_bytes(-1);
    };
    let mut topics: BTreeMap<TopicName, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for log in dir.logs {
        let described = partition(replicas, &log);
        topics
            .entry(log.partition.topic)
            .or_default()
            .push(described);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions)
    });
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    result
        .with_topics(topics.collect())
        .with_total_bytes(bytes(space.total))
        .with_usable_bytes(bytes(space.usable))
}

fn partition(replicas: &Manager, log: &LogDescription) -> DescribeLogDirsPartition {
    DescribeLogDirsPartition::default()
        .with_partition_index(log.partition.partition)
        .with_partition_size(i64::try_from(log.size).unwrap_or(i64::MAX))
        .with_offset_lag(replicas.log_end_offset_lag(log))
        .with_is_future_key(log.is_future)
}
