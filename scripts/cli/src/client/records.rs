//! Deletes records, describes log directories, elects leaders: what an
//! administrator asks of single brokers and of the controller.

use std::collections::BTreeMap;

use kafka_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{DeleteRecordsRequest, DescribeLogDirsRequest, ElectLeadersRequest};

use super::consumer::TopicPartition;
use super::metadata::{AutoCreate, Topics, wire_name};
use super::{Client, Error, Lane};

/// Which replica an election may choose, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    Preferred = 0,
    Unclean = 1,
}

impl Client {
    /// Deletes what lies before `offset` (-1: everything); the new start.
    pub(crate) async fn delete_records(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<i64, Error> {
        let timeout_ms = self.request_timeout_ms();
        let limit = self.config().request_timeout * 2;
        self.retrying("deleteRecords", async || {
            let names = [topic.to_owned()];
            self.refresh(Topics::Named(&names), AutoCreate::Never)
                .await?;
            let leader = self.leader_endpoint(topic, partition)?;
            let answer = self
                .call_within(&leader, Lane::Control, limit, |_| {
                    let partition = DeleteRecordsPartition::default()
                        .with_partition_index(partition)
                        .with_offset(offset);
                    let topic = DeleteRecordsTopic::default()
                        .with_name(wire_name(topic))
                        .with_partitions(vec![partition]);
                    DeleteRecordsRequest::default()
                        .with_topics(vec![topic])
                        .with_timeout_ms(timeout_ms)
                })
                .await?;
            let of_topic = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let result = of_topic.into_iter().next();
            let result = result.ok_or(Error::UnknownBroker(-1))?;
            Error::check(result.error_code, None)?;
            Ok(result.low_watermark)
        })
        .await
    }

    /// What each of `brokers` keeps where.
    pub(crate) async fn describe_log_dirs(
        &self,
        broker: i32,
    ) -> Result<Vec<DescribeLogDirsResult>, Error> {
        self.retrying("describeLogDirs", async || {
            let endpoint = self.broker(broker)?;
            let request = |_| DescribeLogDirsRequest::default().with_topics(None);
            let answer = self.call(&endpoint, Lane::Control, request).await?;
            Error::check(answer.error_code, None)?;
            Ok(answer.results)
        })
        .await
    }

    /// Elects the leaders of `partitions`, or of all; why each failed, if it did.
    pub(crate) async fn elect_leaders(
        &self,
        election: Election,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, Result<(), Error>>, Error> {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in partitions.unwrap_or_default() {
            topics.entry(topic).or_default().push(*partition);
        }
        let answer = self
            .ask_controller("electLeaders", |timeout_ms| {
                let topics = topics.iter().map(|(topic, partitions)| {
                    TopicPartitions::default()
                        .with_topic(wire_name(topic))
                        .with_partitions(partitions.clone())
                });
                ElectLeadersRequest::default()
                    .with_election_type(election as i8)
                    .with_topic_partitions(partitions.map(|_| topics.collect()))
                    .with_timeout_ms(timeout_ms)
            })
            .await?;
        Error::check(answer.error_code, None)?;
        let mut results = BTreeMap::new();
        for topic in &answer.replica_election_results {
            for partition in &topic.partition_result {
                let at = (topic.topic.0.to_string(), partition.partition_id);
                let message = partition.error_message.as_deref();
                results.insert(at, Error::check(partition.error_code, message));
            }
        }
        Ok(results)
    }
}
