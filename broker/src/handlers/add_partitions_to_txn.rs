//! AddPartitionsToTxn: a producer's next partitions, one transaction at a time;
//! from version 4 on, brokers ask about several, most often whether partitions
//! are in them already (KIP-890).

use std::collections::BTreeSet;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::error;
use super::group_wire::{ByTopic, FindPartition, owned};
use super::transactions::reference;
use crate::model::{TopicPartition, is_internal_topic};
use crate::txn::Handle;

/// From here on, several transactions come in one request.
const BATCHED_FROM: i16 = 4;

/// Answers when what was added is committed.
pub(crate) async fn handle(
    transactions: &Handle,
    version: i16,
    find: FindPartition<'_>,
    request: AddPartitionsToTxnRequest,
) -> AddPartitionsToTxnResponse {
    let asker = Asker {
        transactions,
        version,
        find,
    };
    if version >= BATCHED_FROM {
        let mut results: Vec<AddPartitionsToTxnResult> = Vec::new();
        for transaction in request.transactions {
            let known = |result: &AddPartitionsToTxnResult| {
                result.transactional_id == transaction.transactional_id
            };
            // A transaction that is named twice is answered once, as in Kafka.
            if !results.iter().any(known) {
                results.push(asker.transaction(transaction).await);
            }
        }
        return AddPartitionsToTxnResponse::default().with_results_by_transaction(results);
    }
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(request.v3_and_below_transactional_id)
        .with_producer_id(request.v3_and_below_producer_id)
        .with_producer_epoch(request.v3_and_below_producer_epoch)
        .with_topics(request.v3_and_below_topics);
    let result = asker.transaction(transaction).await;
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(result.topic_results)
}

struct Asker<'a> {
    transactions: &'a Handle,
    version: i16,
    find: FindPartition<'a>,
}

impl Asker<'_> {
    async fn transaction(
        &self,
        transaction: AddPartitionsToTxnTransaction,
    ) -> AddPartitionsToTxnResult {
        let codes = match self.existing(&transaction.topics) {
            Ok(partitions) => self.codes(&transaction, partitions).await,
            Err(codes) => codes,
        };
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id)
            .with_topic_results(topic_results(codes))
    }

    /// The partitions, or a code for each when one of them cannot be: then
    /// none of them is added.
    fn existing(
        &self,
        topics: &[AddPartitionsToTxnTopic],
    ) -> Result<Vec<TopicPartition>, ByTopic<i16>> {
        let mut partitions = Vec::new();
        let mut codes = ByTopic::default();
        let mut is_complete = true;
        for topic in topics {
            for index in &topic.partitions {
                let code = match (self.find)(&topic.name, *index) {
                    _ if self.is_forbidden(&topic.name) => ResponseError::TopicAuthorizationFailed,
                    Some(id) => {
                        partitions.push(id);
                        ResponseError::OperationNotAttempted
                    }
                    None => ResponseError::UnknownTopicOrPartition,
                };
                is_complete &= code == ResponseError::OperationNotAttempted;
                codes.push(topic.name.clone(), *index, code.code());
            }
        }
        match is_complete {
            true => Ok(partitions),
            false => Err(codes),
        }
    }

    /// Producers may not write to internal topics; brokers ask about all.
    fn is_forbidden(&self, topic: &str) -> bool {
        self.version < BATCHED_FROM && is_internal_topic(topic)
    }

    async fn codes(
        &self,
        asked: &AddPartitionsToTxnTransaction,
        partitions: Vec<TopicPartition>,
    ) -> ByTopic<i16> {
        let transaction = reference(
            owned(&asked.transactional_id),
            asked.producer_id,
            asked.producer_epoch,
        );
        let mut codes = ByTopic::default();
        if asked.verify_only {
            let verified = self.transactions.verify(transaction, partitions.clone());
            let verified = verified.await;
            for (index, partition) in partitions.iter().enumerate() {
                let code = match &verified {
                    Ok(found) if found.get(index) == Some(&true) => 0,
                    Ok(_) => ResponseError::TransactionAbortable.code(),
                    Err(error) => error::transaction(*error).code(),
                };
                codes.push_partition(partition, code);
            }
            return codes;
        }
        let added: BTreeSet<_> = partitions.iter().cloned().collect();
        let added = self.transactions.add(transaction, added).await;
        let code = added.err().map_or(0, |error| {
            error::transaction_in(error, self.version, FENCED_FROM)
        });
        for partition in &partitions {
            codes.push_partition(partition, code);
        }
        codes
    }
}

/// From here on, a producer knows what it is to be fenced (KIP-588).
const FENCED_FROM: i16 = 2;

fn topic_results(codes: ByTopic<i16>) -> Vec<AddPartitionsToTxnTopicResult> {
    let partition = |(index, code)| {
        AddPartitionsToTxnPartitionResult::default()
            .with_partition_index(index)
            .with_partition_error_code(code)
    };
    let topics = codes.into_topics().map(|(name, partitions)| {
        AddPartitionsToTxnTopicResult::default()
            .with_name(name)
            .with_results_by_partition(partitions.into_iter().map(partition).collect())
    });
    topics.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::wire::text;
    use bytes::BytesMut;
    use kafka_protocol::messages::TopicName as WireTopicName;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        for version in 0..=5 {
            let mut codes = ByTopic::default();
            codes.push(WireTopicName(text("t")), 0, 0);
            codes.push(WireTopicName(text("t")), 1, 48);
            let topics = topic_results(codes);
            let response = match version >= BATCHED_FROM {
                true => {
                    let result = AddPartitionsToTxnResult::default().with_topic_results(topics);
                    AddPartitionsToTxnResponse::default().with_results_by_transaction(vec![result])
                }
                false => {
                    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics)
                }
            };
            let mut bytes = BytesMut::new();
            response.encode(&mut bytes, version).unwrap();
            let read = AddPartitionsToTxnResponse::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read, response, "version {version}");
        }
    }
}
