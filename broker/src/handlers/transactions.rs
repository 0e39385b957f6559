//! Dispatch of what producers and operators ask of the transaction coordinator
//! besides InitProducerId; of these, AddOffsetsToTxn and EndTxn are answered here.

use std::sync::Arc;

use futures::FutureExt;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, EndTxnRequest, EndTxnResponse,
    ProducerId,
};

use super::add_partitions_to_txn;
use super::error;
use super::group_wire::owned;
use super::groups::existing_in;
use super::{later, transaction_listing};
use crate::cluster::Cluster;
use crate::group;
use crate::model::{GROUP_METADATA_TOPIC, TopicName, TopicPartition};
use crate::protocol::{Error, RequestFrame};
use crate::server::Reply;
use crate::state_log::partition_for;
use crate::txn::{End, Handle, Producer, TransactionRef};

/// From here on, a producer knows what it is to be fenced (KIP-588).
const FENCED_FROM: i16 = 2;

/// Where transactions and what they touch are.
pub(super) struct Transactions {
    pub(super) handle: Handle,
    pub(super) groups: group::Handle,
    pub(super) cluster: Arc<Cluster>,
    /// `offsets.topic.num.partitions`, for as long as the topic does not exist.
    pub(super) group_partition_count: i32,
}

/// Says whether an API is among these.
pub(super) fn serves(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::EndTxn
            | ApiKey::DescribeTransactions
            | ApiKey::ListTransactions
    )
}

/// Hands a request to its handler. Each may wait for the log, so each is a
/// future, which submits the request to the id's shard when it is first polled.
pub(super) fn dispatch(
    transactions: &Transactions,
    now_ms: i64,
    frame: &RequestFrame,
) -> Result<Reply, Error> {
    let handle = transactions.handle.clone();
    let version = frame.version;
    Ok(match frame.api.key {
        ApiKey::AddPartitionsToTxn => {
            let request = frame.decode()?;
            let find = existing_in(&transactions.cluster);
            let answer = async move {
                add_partitions_to_txn::handle(&handle, version, &find, request).await
            };
            later(frame, answer.boxed())
        }
        ApiKey::AddOffsetsToTxn => {
            let request: AddOffsetsToTxnRequest = frame.decode()?;
            let partition = transactions.group_partition(&request.group_id);
            let answer = async move { add_offsets(&handle, version, partition, request).await };
            later(frame, answer.boxed())
        }
        ApiKey::EndTxn => {
            let request = frame.decode()?;
            let answer = async move { end(&handle, version, request).await };
            later(frame, answer.boxed())
        }
        ApiKey::DescribeTransactions => {
            let request = frame.decode()?;
            let answer = async move { transaction_listing::describe(&handle, request).await };
            later(frame, answer.boxed())
        }
        ApiKey::ListTransactions => {
            let request = frame.decode()?;
            let answer = async move { transaction_listing::list(&handle, now_ms, request).await };
            later(frame, answer.boxed())
        }
        _ => return Err(Error::UnknownApi(frame.api.key as i16)),
    })
}

impl Transactions {
    /// The partition that holds the offsets of a group.
    fn group_partition(&self, group_id: &str) -> i32 {
        let partition = self.groups.partition_for(group_id);
        let configured = || partition_for(group_id, self.group_partition_count);
        partition.or_else(configured).unwrap_or(0)
    }
}

/// The transaction of a request.
pub(super) fn reference(
    transactional_id: String,
    producer_id: ProducerId,
    epoch: i16,
) -> TransactionRef {
    TransactionRef {
        transactional_id,
        producer: Producer {
            id: producer_id.0,
            epoch,
        },
    }
}

/// The offsets of a group are part of the transaction: so is their partition.
async fn add_offsets(
    transactions: &Handle,
    version: i16,
    partition: i32,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let transaction = reference(
        owned(&request.transactional_id),
        request.producer_id,
        request.producer_epoch,
    );
    let topic = TopicName::new(GROUP_METADATA_TOPIC).expect("Kafka's own topic name");
    let partition = TopicPartition::new(topic, partition);
    let added = transactions.add(transaction, [partition].into()).await;
    let code = added.err().map_or(0, |error| {
        error::transaction_in(error, version, FENCED_FROM)
    });
    AddOffsetsToTxnResponse::default().with_error_code(code)
}

/// Answers when the end is decided.
async fn end(transactions: &Handle, version: i16, request: EndTxnRequest) -> EndTxnResponse {
    let transaction = reference(
        owned(&request.transactional_id),
        request.producer_id,
        request.producer_epoch,
    );
    let end = match request.committed {
        true => End::Commit,
        false => End::Abort,
    };
    let ended = transactions.end(transaction, end).await;
    let code = ended.err().map_or(0, |error| {
        error::transaction_in(error, version, FENCED_FROM)
    });
    EndTxnResponse::default().with_error_code(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use kafka_protocol::ResponseError;
    use kafka_protocol::protocol::{Decodable, Encodable};

    #[test]
    fn every_version_can_be_encoded() {
        for version in 0..=4 {
            let mut bytes = BytesMut::new();
            let response = EndTxnResponse::default().with_error_code(47);
            response.encode(&mut bytes, version).unwrap();
            let read = EndTxnResponse::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read.error_code, 47, "version {version}");
            let mut bytes = BytesMut::new();
            let response = AddOffsetsToTxnResponse::default().with_error_code(51);
            response.encode(&mut bytes, version).unwrap();
            let read = AddOffsetsToTxnResponse::decode(&mut bytes.freeze(), version).unwrap();
            assert_eq!(read.error_code, 51, "version {version}");
        }
    }

    #[test]
    fn older_producers_hear_of_an_invalid_epoch() {
        let fenced = crate::txn::Error::ProducerFenced;
        let code = |version| error::transaction_in(fenced, version, FENCED_FROM);
        assert_eq!(code(1), ResponseError::InvalidProducerEpoch.code());
        assert_eq!(code(2), ResponseError::ProducerFenced.code());
    }
}
