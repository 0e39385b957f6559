//! Offsets of partitions at their ends, or at a time.

use std::collections::BTreeMap;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest};

use super::consumer::TopicPartition;
use super::metadata::wire_name;
use super::{Client, Error, Lane};

/// The times that stand for the two ends of a partition.
pub(crate) const LATEST: i64 = -1;
pub(crate) const EARLIEST: i64 = -2;

impl Client {
    /// The offset for a time (or one of the special times), with its leader asked.
    ///
    /// `None` stands for "no such offset".
    pub(crate) async fn list_offset(
        &self,
        topic: &str,
        partition: i32,
        timestamp: i64,
        isolation_level: i8,
    ) -> Result<Option<i64>, Error> {
        let leader = self.leader_endpoint(topic, partition)?;
        let timeout_ms = self.request_timeout_ms();
        let answer = self
            .call(&leader, Lane::Control, |version| {
                let wanted = ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_timestamp(timestamp);
                let wanted = ListOffsetsTopic::default()
                    .with_name(wire_name(topic))
                    .with_partitions(vec![wanted]);
                ListOffsetsRequest::default()
                    .with_replica_id(BrokerId(-1))
                    .with_isolation_level(if version >= 2 { isolation_level } else { 0 })
                    .with_topics(vec![wanted])
                    .with_timeout_ms(timeout_ms)
            })
            .await?;
        let found = answer
            .topics
            .iter()
            .flat_map(|topic| &topic.partitions)
            .next();
        let Some(found) = found else {
            return Ok(None);
        };
        Error::check(found.error_code, None)?;
        Ok((found.offset >= 0).then_some(found.offset))
    }

    /// The offsets for a time or an end, as `list_offset` finds each; a partition
    /// without such an offset is not among them.
    pub(crate) async fn offsets_at(
        &self,
        partitions: &[TopicPartition],
        timestamp: i64,
        isolation_level: i8,
    ) -> Result<BTreeMap<TopicPartition, i64>, Error> {
        let mut found = BTreeMap::new();
        for (topic, partition) in partitions {
            if self.leader(topic, *partition).is_none() {
                self.describe_topics(std::slice::from_ref(topic)).await?;
            }
            let offset = self.retrying("listOffsets", async || {
                self.list_offset(topic, *partition, timestamp, isolation_level)
                    .await
            });
            if let Some(offset) = offset.await? {
                found.insert((topic.clone(), *partition), offset);
            }
        }
        Ok(found)
    }
}
