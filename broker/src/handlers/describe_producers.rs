//! DescribeProducers (KIP-664): the idempotent producers of partitions.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use super::error;
use super::partitions::Partitions;
use super::wire::text;
use crate::log::ActiveProducer;
use crate::model::{TopicName, TopicPartition};

/// Answers from the logs of this broker, whatever role it has for a partition.
pub(crate) fn handle(
    known: &Partitions,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = partitions(known, &topic);
        TopicResponse::default()
            .with_name(topic.name)
            .with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn partitions(known: &Partitions, topic: &TopicRequest) -> Vec<PartitionResponse> {
    let partition = |index: i32| {
        let response = PartitionResponse::default().with_partition_index(index);
        let name = match TopicName::new(&topic.name) {
            Ok(name) => name,
            Err(invalid) => {
                return response
                    .with_error_code(ResponseError::InvalidTopicException.code())
                    .with_error_message(Some(text(invalid.to_string())));
            }
        };
        if known.snapshot().topic(name.as_str()).is_none() {
            let message = "This server does not host this topic-partition.";
            return response
                .with_error_code(ResponseError::UnknownTopicOrPartition.code())
                .with_error_message(Some(text(message)));
        }
        match known.replica(&TopicPartition::new(name, index)) {
            Ok(partition) => {
                let active = partition.active_producers().into_iter().map(state);
                response.with_active_producers(active.collect())
            }
            Err(failed) => response.with_error_code(error::replica(&failed).code()),
        }
    };
    topic
        .partition_indexes
        .iter()
        .copied()
        .map(partition)
        .collect()
}

fn state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(i32::from(producer.epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.txn_first_offset.unwrap_or(-1))
}
