//! OffsetCommit 0 and OffsetFetch 0: offsets in the coordinator's znodes, where
//! consumers of Kafka 0.8 look for them. They know no members, no generations.

use common::config::Values;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::group_wire::FindPartition;
use crate::model::TopicPartition;
use crate::registry::Registry;

/// The version that means the znodes.
pub(crate) const ZNODES_VERSION: i16 = 0;

/// Reads and writes offsets in the znodes.
#[derive(Clone)]
pub(crate) struct OffsetZnodes {
    registry: Registry,
    /// `offset.metadata.max.bytes`; there is no place for metadata, but Kafka
    /// looks at its size all the same.
    metadata_bytes_max: usize,
}

impl OffsetZnodes {
    pub(crate) fn new(registry: Registry, values: &Values) -> Self {
        let metadata_bytes_max = values.i32("offset.metadata.max.bytes");
        Self {
            registry,
            metadata_bytes_max: usize::try_from(metadata_bytes_max).unwrap_or(0),
        }
    }

    pub(crate) async fn commit(
        &self,
        find: FindPartition<'_>,
        request: OffsetCommitRequest,
    ) -> OffsetCommitResponse {
        let group = request.group_id.as_str();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for asked in &topic.partitions {
                let metadata = asked.committed_metadata.as_ref();
                let is_too_large =
                    metadata.is_some_and(|text| text.len() > self.metadata_bytes_max);
                let code = match find(topic.name.as_str(), asked.partition_index) {
                    None => ResponseError::UnknownTopicOrPartition.code(),
                    Some(_) if is_too_large => ResponseError::OffsetMetadataTooLarge.code(),
                    Some(partition) => self.write(group, &partition, asked.committed_offset).await,
                };
                partitions.push(
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(asked.partition_index)
                        .with_error_code(code),
                );
            }
            topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        OffsetCommitResponse::default().with_topics(topics)
    }

    async fn write(&self, group: &str, partition: &TopicPartition, offset: i64) -> i16 {
        if !is_node_name(group) {
            return ResponseError::InvalidGroupId.code();
        }
        let written = self.registry.set_consumer_offset(group, partition, offset);
        match written.await {
            Ok(()) => 0,
            Err(error) => {
                tracing::warn!(group, %partition, %error, "an offset was not written to its znode");
                ResponseError::UnknownServerError.code()
            }
        }
    }

    pub(crate) async fn fetch(
        &self,
        find: FindPartition<'_>,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let group = request.group_id.as_str();
        let asked = request.topics.unwrap_or_default();
        let mut topics = Vec::with_capacity(asked.len());
        for topic in &asked {
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for &index in &topic.partition_indexes {
                let found = match find(topic.name.as_str(), index) {
                    Some(partition) => self.read(group, &partition).await,
                    None => Err(ResponseError::UnknownTopicOrPartition),
                };
                partitions.push(
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(index)
                        .with_committed_offset(found.as_ref().map_or(-1, |offset| *offset))
                        .with_metadata(Some(StrBytes::new()))
                        .with_error_code(found.err().map_or(0, |error| error.code())),
                );
            }
            topics.push(
                OffsetFetchResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        OffsetFetchResponse::default().with_topics(topics)
    }

    /// What is not there is answered like a partition that is not.
    async fn read(&self, group: &str, partition: &TopicPartition) -> Result<i64, ResponseError> {
        if !is_node_name(group) {
            return Err(ResponseError::InvalidGroupId);
        }
        let found = self.registry.consumer_offset(group, partition).await;
        match found {
            Ok(found) => found.ok_or(ResponseError::UnknownTopicOrPartition),
            Err(error) => {
                tracing::warn!(group, %partition, %error, "an offset cannot be read from its znode");
                Err(ResponseError::UnknownServerError)
            }
        }
    }
}

/// A group whose name is no name of a znode has no place there.
fn is_node_name(group: &str) -> bool {
    !matches!(group, "" | "." | "..") && !group.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_cannot_be_znodes() {
        for bad in ["", ".", "..", "a/b", "/"] {
            assert!(!is_node_name(bad), "{bad:?}");
        }
        assert!(is_node_name("console-consumer-1"));
    }
}
