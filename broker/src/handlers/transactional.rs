//! What a produce request's transaction must be before its records are taken.

use std::collections::{HashMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ProduceRequest;

use super::partitions::Partitions;
use super::verification::{InTransaction, Verifier};
use crate::log::Verification;
use crate::model::{TopicName, TopicPartition};
use crate::record::{self, Header};

/// From here on, topics are named by their ids.
const TOPIC_IDS_FROM: i16 = 13;
/// From here on, clients know `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 11;

/// Why records are not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: ResponseError,
    pub(super) message: Option<String>,
}

/// What the records of a partition bring with them, or why they are not taken;
/// partitions that need nothing are not there.
pub(super) type Verified = HashMap<TopicPartition, Result<Verification, Refusal>>;

/// The check of a request that names no transaction, which asks nobody; `None` for one
/// that does.
pub(super) fn check_without_id(request: &ProduceRequest) -> Option<Result<Verified, Refusal>> {
    if request.transactional_id.is_some() {
        return None;
    }
    let is_refused = partitions(request).any(|(_, _, records)| is_transactional(records));
    Some(match is_refused {
        true => Err(Refusal {
            code: ResponseError::TransactionalIdAuthorizationFailed,
            message: None,
        }),
        false => Ok(Verified::new()),
    })
}

/// Checks a request with records of a transaction, and asks its coordinator
/// about them. An error is about the whole request.
pub(super) async fn check(
    known: &Partitions,
    verifier: &Verifier,
    version: i16,
    request: &ProduceRequest,
) -> Result<Verified, Refusal> {
    let Some(transactional_id) = &request.transactional_id else {
        return Ok(Verified::new());
    };
    let mut producers = HashSet::new();
    let mut batches = Vec::new();
    for (topic, index, records) in partitions(request) {
        let Some(header) = transactional_header(records) else {
            continue;
        };
        let name = match version >= TOPIC_IDS_FROM {
            true => known.snapshot().topic_name(topic.topic_id).cloned(),
            false => TopicName::new(&topic.name).ok(),
        };
        let id = name.map(|name| TopicPartition::new(name, index));
        // What does not exist is refused as that.
        let existing = id.filter(|id| {
            let snapshot = known.snapshot();
            snapshot
                .partition(id.topic.as_str(), id.partition)
                .is_some()
        });
        if let Some(id) = existing {
            producers.insert((header.producer_id, header.producer_epoch));
            batches.push((id, header.base_sequence));
        }
    }
    if producers.len() > 1 {
        return Err(Refusal {
            code: ResponseError::InvalidProducerIdMapping,
            message: Some("Transactional records contained more than one producer ID".to_owned()),
        });
    }
    let Some((producer_id, producer_epoch)) = producers.into_iter().next() else {
        return Ok(Verified::new());
    };
    if !verifier.is_enabled() {
        return Ok(Verified::new());
    }
    let transaction = InTransaction {
        transactional_id: transactional_id.0.clone(),
        producer_id,
        producer_epoch,
        knows_abortable: version >= ABORTABLE_FROM,
    };
    Ok(verified(known, verifier, &transaction, &batches).await)
}

async fn verified(
    known: &Partitions,
    verifier: &Verifier,
    transaction: &InTransaction,
    batches: &[(TopicPartition, i32)],
) -> Verified {
    let mut verified = Verified::new();
    let mut leaders = Vec::new();
    for (id, sequence) in batches {
        match known.leader(id) {
            Ok(leader) => leaders.push((id, leader, *sequence)),
            Err(error) => {
                let refusal = refusal(super::error::replica(&error));
                verified.insert(id.clone(), Err(refusal));
            }
        }
    }
    let asked = leaders
        .iter()
        .map(|(id, leader, sequence)| (*id, &**leader, *sequence));
    let answers = verifier.verify(transaction, asked.collect()).await;
    for (id, answer) in answers {
        verified.insert(id, answer.map_err(refusal));
    }
    verified
}

/// The coordinator's error as producers understand it: what may go away is what
/// lets every producer send again without asking for metadata first.
fn refusal(error: ResponseError) -> Refusal {
    use ResponseError as E;
    match error {
        E::InvalidTxnState => Refusal {
            code: error,
            message: Some("Partition was not added to the transaction".to_owned()),
        },
        E::ConcurrentTransactions
        | E::NetworkException
        | E::CoordinatorLoadInProgress
        | E::CoordinatorNotAvailable
        | E::NotCoordinator => Refusal {
            code: E::NotEnoughReplicas,
            message: Some(format!(
                "Unable to verify the partition has been added to the transaction. Underlying \
                 error: {}",
                name(error)
            )),
        },
        code => Refusal {
            code,
            message: None,
        },
    }
}

/// Kafka's name of an error that is named in a text.
fn name(error: ResponseError) -> &'static str {
    use ResponseError as E;
    match error {
        E::ConcurrentTransactions => "CONCURRENT_TRANSACTIONS",
        E::NetworkException => "NETWORK_EXCEPTION",
        E::CoordinatorLoadInProgress => "COORDINATOR_LOAD_IN_PROGRESS",
        E::CoordinatorNotAvailable => "COORDINATOR_NOT_AVAILABLE",
        _ => "NOT_COORDINATOR",
    }
}

fn partitions(
    request: &ProduceRequest,
) -> impl Iterator<
    Item = (
        &kafka_protocol::messages::produce_request::TopicProduceData,
        i32,
        &[u8],
    ),
> {
    request.topic_data.iter().flat_map(|topic| {
        topic.partition_data.iter().map(move |data| {
            let records = data.records.as_deref().unwrap_or_default();
            (topic, data.index, records)
        })
    })
}

/// Looks at the attributes alone: every produce request comes by here.
fn is_transactional(records: &[u8]) -> bool {
    const MAGIC_AT: usize = 16;
    const ATTRIBUTES_AT: usize = 22;
    const TRANSACTIONAL: u8 = 0x10;
    records.get(MAGIC_AT).copied() == Some(record::MAGIC.cast_unsigned())
        && records.get(ATTRIBUTES_AT).copied().unwrap_or(0) & TRANSACTIONAL != 0
}

fn transactional_header(records: &[u8]) -> Option<Header> {
    let header = is_transactional(records).then(|| Header::decode(records).ok())??;
    header.has_producer_id().then_some(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, Compression};

    #[test]
    fn a_batch_of_a_transaction_is_known_by_its_attributes() {
        let build = |builder: BatchBuilder| {
            let mut builder = builder;
            assert!(builder.push(5, None, Some(b"v"), &[]));
            builder.build().unwrap()
        };
        let plain = build(BatchBuilder::new(Compression::None).producer(7, 1, 0));
        let inside = BatchBuilder::new(Compression::None).producer(7, 1, 4);
        let inside = build(inside.transactional());
        assert!(!is_transactional(&plain));
        assert!(is_transactional(&inside));
        for end in 0..inside.len().min(22) {
            assert!(!is_transactional(&inside[..end]));
        }
        let header = transactional_header(&inside).unwrap();
        assert_eq!((header.producer_id, header.base_sequence), (7, 4));
        assert!(transactional_header(&plain).is_none());
    }

    #[test]
    fn refusals_are_kafkas() {
        let again = refusal(ResponseError::NotCoordinator);
        assert_eq!(again.code, ResponseError::NotEnoughReplicas);
        assert_eq!(
            again.message.unwrap(),
            "Unable to verify the partition has been added to the transaction. Underlying error: \
             NOT_COORDINATOR"
        );
        let fatal = refusal(ResponseError::InvalidProducerIdMapping);
        assert_eq!(fatal.code, ResponseError::InvalidProducerIdMapping);
        assert_eq!(fatal.message, None);
    }
}
