//! Moves replicas: between brokers (the controller) and between the directories
//! of one broker (that broker).

use std::collections::BTreeMap;

use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, BrokerId,
};
use kafka_protocol::protocol::StrBytes;

use super::consumer::TopicPartition;
use super::metadata::wire_name;
use super::{Client, Error, Lane};

impl Client {
    /// Starts moves to the given replicas, or stops those without; what failed.
    pub(crate) async fn reassign(
        &self,
        moves: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
    ) -> Result<BTreeMap<TopicPartition, Error>, Error> {
        let answer = self
            .ask_controller("alterPartitionReassignments", |timeout_ms| {
                let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
                for ((topic, partition), replicas) in moves {
                    let replicas = replicas
                        .as_ref()
                        .map(|ids| ids.iter().map(|id| BrokerId(*id)).collect());
                    let partition = ReassignablePartition::default()
                        .with_partition_index(*partition)
                        .with_replicas(replicas);
                    topics.entry(topic).or_default().push(partition);
                }
                let topics = topics.into_iter().map(|(topic, partitions)| {
                    ReassignableTopic::default()
                        .with_name(wire_name(topic))
                        .with_partitions(partitions)
                });
                AlterPartitionReassignmentsRequest::default()
                    .with_topics(topics.collect())
                    .with_timeout_ms(timeout_ms)
            })
            .await?;
        Error::check(answer.error_code, answer.error_message.as_deref())?;
        let mut errors = BTreeMap::new();
        for topic in &answer.responses {
            for partition in &topic.partitions {
                let at = (topic.name.0.to_string(), partition.partition_index);
                let message = partition.error_message.as_deref();
                if let Err(error) = Error::check(partition.error_code, message) {
                    errors.insert(at, error);
                }
            }
        }
        Ok(errors)
    }

    /// Asks `broker` to keep one of its replicas in another directory.
    pub(crate) async fn move_log(
        &self,
        broker: i32,
        (topic, partition): &TopicPartition,
        dir: &str,
    ) -> Result<(), Error> {
        let endpoint = self.broker(broker)?;
        let answer = self
            .call(&endpoint, Lane::Control, |_| {
                let topic = AlterReplicaLogDirTopic::default()
                    .with_name(wire_name(topic))
                    .with_partitions(vec![*partition]);
                let dir = AlterReplicaLogDir::default()
                    .with_path(StrBytes::from_string(dir.to_owned()))
                    .with_topics(vec![topic]);
                AlterReplicaLogDirsRequest::default().with_dirs(vec![dir])
            })
            .await?;
        answer
            .results
            .iter()
            .flat_map(|topic| &topic.partitions)
            .try_for_each(|partition| Error::check(partition.error_code, None))
    }
}
