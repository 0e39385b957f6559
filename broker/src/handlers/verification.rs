//! Asks the coordinator of a transaction whether partitions are in it, before
//! the first batch of the transaction comes into their logs (KIP-890).
//!
//! Flow: a guard from each partition -> `Verifier::verify` -> the batch with its
//! guard, or the coordinator's refusal.
//!
//! **Invariant:** who cannot be asked has not agreed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;

use super::add_partitions_to_txn;
use super::groups::existing_in;
use super::topic_config::TopicConfigs;
use super::wire::topic_name;
use crate::cluster::{Cluster, Snapshot};
use crate::log::Verification;
use crate::model::{BrokerId, TRANSACTION_STATE_TOPIC, TopicName, TopicPartition};
use crate::peer::{Address, Link};
use crate::replica::Partition;
use crate::state_log::partition_for;
use crate::txn;

const ENABLED: &str = "transaction.partition.verification.enable";
/// The version in which this broker asks itself.
const OWN_VERSION: i16 = 5;

/// How transaction coordinators are asked.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    pub own_id: BrokerId,
    /// The listener of other brokers that is connected to.
    pub listener: String,
    /// `request.timeout.ms`: for connecting, sending and the answer.
    pub timeout: Duration,
    /// The version of the question that every broker of the cluster speaks;
    /// `None` where some may be too old for it.
    pub version: Option<i16>,
}

/// Who asks.
pub(crate) struct Verifier {
    config: VerifierConfig,
    cluster: Arc<Cluster>,
    transactions: txn::Handle,
    topic_configs: TopicConfigs,
    /// One connection for each broker; whoever asks holds its lock.
    links: Mutex<HashMap<BrokerId, Arc<tokio::sync::Mutex<Link>>>>,
}

/// The transaction to which records are written.
#[derive(Debug, Clone)]
pub(crate) struct InTransaction {
    pub(crate) transactional_id: StrBytes,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// The client knows `TRANSACTION_ABORTABLE`.
    pub(crate) knows_abortable: bool,
}

/// What is to be written to, with the sequence of its first record.
pub(crate) type ToVerify<'a> = (&'a TopicPartition, &'a Partition, i32);

/// For each partition what its batch must bring, or why it cannot be written.
pub(crate) type Verified = HashMap<TopicPartition, Result<Verification, ResponseError>>;

impl Verifier {
    pub(crate) fn new(
        config: VerifierConfig,
        cluster: Arc<Cluster>,
        transactions: txn::Handle,
        topic_configs: TopicConfigs,
    ) -> Self {
        Self {
            config,
            cluster,
            transactions,
            topic_configs,
            links: Mutex::default(),
        }
    }

    /// Whether the operator wants it.
    pub(crate) fn is_enabled(&self) -> bool {
        self.topic_configs.broker().values().bool(ENABLED)
    }

    /// Asks about the partitions in which the transaction has no record yet.
    pub(crate) async fn verify(
        &self,
        transaction: &InTransaction,
        partitions: Vec<ToVerify<'_>>,
    ) -> Verified {
        let mut verified = Verified::new();
        let mut unknown = Vec::new();
        for (id, partition, sequence) in partitions {
            let (producer_id, epoch) = (transaction.producer_id, transaction.producer_epoch);
            let outcome = match partition.begin_verification(producer_id, epoch, sequence) {
                Ok(guard) => {
                    unknown.extend(guard.is_some().then(|| id.clone()));
                    Ok(Verification::Required(guard))
                }
                Err(error) => Err(super::error::replica(&error)),
            };
            verified.insert(id.clone(), outcome);
        }
        if !unknown.is_empty() {
            for (id, error) in self.refusals(transaction, &unknown).await {
                verified.insert(id, Err(error));
            }
        }
        verified
    }

    /// The partitions that are not in the transaction, or of which that is not
    /// known.
    async fn refusals(
        &self,
        transaction: &InTransaction,
        partitions: &[TopicPartition],
    ) -> Vec<(TopicPartition, ResponseError)> {
        let all = |error| partitions.iter().map(|id| (id.clone(), error)).collect();
        let snapshot = self.cluster.snapshot();
        let Some(coordinator) = coordinator(&snapshot, &transaction.transactional_id) else {
            return all(ResponseError::CoordinatorNotAvailable);
        };
        let asked = self.ask(&snapshot, coordinator, request(transaction, partitions));
        match asked.await {
            Ok(Some(answer)) => refused(&answer, partitions, transaction.knows_abortable),
            // Nobody would answer: the records are taken as before KIP-890.
            Ok(None) => Vec::new(),
            Err(error) => all(error),
        }
    }

    async fn ask(
        &self,
        snapshot: &Snapshot,
        coordinator: BrokerId,
        request: AddPartitionsToTxnRequest,
    ) -> Result<Option<AddPartitionsToTxnResponse>, ResponseError> {
        if coordinator == self.config.own_id {
            let find = existing_in(&self.cluster);
            let answer =
                add_partitions_to_txn::handle(&self.transactions, OWN_VERSION, &find, request);
            let answer = tokio::time::timeout(self.config.timeout, answer).await;
            return answer
                .map(Some)
                .map_err(|_| ResponseError::NetworkException);
        }
        let Some(version) = self.config.version else {
            return Ok(None);
        };
        let endpoint = snapshot.endpoint(coordinator, &self.config.listener);
        let address = endpoint.map(|endpoint| Address {
            host: endpoint.host.clone(),
            port: endpoint.port,
        });
        let address = address.ok_or(ResponseError::CoordinatorNotAvailable)?;
        let link = self.link(coordinator);
        let mut link = link.lock().await;
        match link.ask(&address, version, &request).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => {
                tracing::warn!(coordinator, %error, "a transaction cannot be verified");
                Err(ResponseError::NetworkException)
            }
        }
    }

    fn link(&self, to: BrokerId) -> Arc<tokio::sync::Mutex<Link>> {
        let mut links = self.links.lock();
        let link = links.entry(to).or_insert_with(|| {
            let client_id = self.config.own_id.to_string();
            let link = Link::new(to, client_id, self.config.timeout);
            Arc::new(tokio::sync::Mutex::new(link))
        });
        Arc::clone(link)
    }
}

/// The living broker that coordinates the transactional id.
fn coordinator(snapshot: &Snapshot, transactional_id: &str) -> Option<BrokerId> {
    let topic = snapshot.topic(TRANSACTION_STATE_TOPIC)?;
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let partition = topic
        .partitions
        .get(&partition_for(transactional_id, count)?)?;
    let leader = partition.state.leader;
    snapshot.brokers.contains_key(&leader).then_some(leader)
}

fn request(
    transaction: &InTransaction,
    partitions: &[TopicPartition],
) -> AddPartitionsToTxnRequest {
    let mut topics: Vec<(&TopicName, Vec<i32>)> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.iter_mut().find(|(name, _)| *name == topic) {
            Some((_, indexes)) => indexes.push(*partition),
            None => topics.push((topic, vec![*partition])),
        }
    }
    let topics = topics.into_iter().map(|(name, indexes)| {
        AddPartitionsToTxnTopic::default()
            .with_name(topic_name(name))
            .with_partitions(indexes)
    });
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(transaction.transactional_id.clone()))
        .with_producer_id(ProducerId(transaction.producer_id))
        .with_producer_epoch(transaction.producer_epoch)
        .with_verify_only(true)
        .with_topics(topics.collect());
    AddPartitionsToTxnRequest::default().with_transactions(vec![transaction])
}

/// What the coordinator refused. A partition that its answer does not name is
/// taken for agreed, as in Kafka.
fn refused(
    answer: &AddPartitionsToTxnResponse,
    asked: &[TopicPartition],
    knows_abortable: bool,
) -> Vec<(TopicPartition, ResponseError)> {
    if answer.error_code != 0 {
        let error = match ResponseError::try_from_code(answer.error_code) {
            // What brokers may do is nothing that a client could mend.
            Some(ResponseError::ClusterAuthorizationFailed) => ResponseError::InvalidTxnState,
            other => other.unwrap_or(ResponseError::UnknownServerError),
        };
        return asked.iter().map(|id| (id.clone(), error)).collect();
    }
    let mut refused = Vec::new();
    for transaction in &answer.results_by_transaction {
        for topic in &transaction.topic_results {
            for result in &topic.results_by_partition {
                let id = asked.iter().find(|id| {
                    id.topic.as_str() == topic.name.as_str()
                        && id.partition == result.partition_index
                });
                let error = match ResponseError::try_from_code(result.partition_error_code) {
                    None => continue,
                    Some(ResponseError::ProducerFenced) => ResponseError::InvalidProducerEpoch,
                    Some(ResponseError::TransactionAbortable) if !knows_abortable => {
                        ResponseError::InvalidTxnState
                    }
                    Some(error) => error,
                };
                refused.extend(id.map(|id| (id.clone(), error)));
            }
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    };

    fn partition(topic: &str, index: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new(topic).unwrap(), index)
    }

    fn answer(codes: &[(i32, i16)]) -> AddPartitionsToTxnResponse {
        let results = codes.iter().map(|&(index, code)| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(index)
                .with_partition_error_code(code)
        });
        let topic = AddPartitionsToTxnTopicResult::default()
            .with_name(topic_name(&TopicName::new("t").unwrap()))
            .with_results_by_partition(results.collect());
        let result = AddPartitionsToTxnResult::default().with_topic_results(vec![topic]);
        AddPartitionsToTxnResponse::default().with_results_by_transaction(vec![result])
    }

    #[test]
    fn refusals_become_what_producers_know() {
        let asked: Vec<_> = (0..4).map(|index| partition("t", index)).collect();
        let answered = answer(&[(0, 0), (1, 120), (2, 90), (3, 49), (9, 49)]);
        let codes = |knows| -> Vec<(i32, i16)> {
            let refused = refused(&answered, &asked, knows);
            let codes = refused.iter();
            codes
                .map(|(id, error)| (id.partition, error.code()))
                .collect()
        };
        assert_eq!(codes(true), [(1, 120), (2, 47), (3, 49)]);
        assert_eq!(codes(false), [(1, 48), (2, 47), (3, 49)]);
        let unauthorized = AddPartitionsToTxnResponse::default().with_error_code(31);
        let refused = refused(&unauthorized, &asked, true);
        assert!(refused.iter().all(|(_, error)| error.code() == 48));
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn a_question_names_partitions_by_topic() {
        let transaction = InTransaction {
            transactional_id: StrBytes::from_static_str("id"),
            producer_id: 7,
            producer_epoch: 1,
            knows_abortable: true,
        };
        let partitions = [partition("a", 1), partition("b", 0), partition("a", 0)];
        let request = request(&transaction, &partitions);
        let [asked] = &request.transactions[..] else {
            panic!("{request:?}");
        };
        assert!(asked.verify_only);
        assert_eq!((asked.producer_id.0, asked.producer_epoch), (7, 1));
        let topics: Vec<_> = asked
            .topics
            .iter()
            .map(|topic| (topic.name.as_str(), &topic.partitions[..]))
            .collect();
        assert_eq!(topics, [("a", &[1, 0][..]), ("b", &[0][..])]);
    }
}
