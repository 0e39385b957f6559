//! ListTransactions and DescribeTransactions (KIP-664): the transactional ids that
//! this broker coordinates.

use std::collections::BTreeMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::list_transactions_response::TransactionState as ListedState;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TransactionalId,
};
use regex::Regex;

use super::error;
use super::wire::{text, topic_name};
use crate::txn::{Description, Error, Handle, State};

pub(super) async fn list(
    transactions: &Handle,
    now_ms: i64,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    answer(transactions.list().await, now_ms, request)
}

fn answer(
    listed: Result<Vec<Description>, Error>,
    now_ms: i64,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let refused =
        |error: ResponseError| ListTransactionsResponse::default().with_error_code(error.code());
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or("");
    let pattern = match Regex::new(&format!("^(?:{pattern})$")) {
        Ok(_) if pattern.is_empty() => None,
        Ok(whole) => Some(whole),
        Err(error) => {
            tracing::debug!(pattern, %error, "not a pattern of transactional ids");
            return refused(ResponseError::InvalidRegularExpression);
        }
    };
    let listed = match listed {
        Ok(listed) => listed,
        Err(failed) => return refused(error::transaction(failed)),
    };
    let mut unknown = request.state_filters.clone();
    unknown.retain(|name| State::from_name(name).is_none());
    let is_wanted = |known: &Description| {
        let name = known.state.name();
        let age_ms = now_ms.saturating_sub(known.started_ms);
        let ids = &request.producer_id_filters;
        known.state != State::Dead
            && (ids.is_empty() || ids.contains(&ProducerId(known.producer.id)))
            && (request.state_filters.is_empty()
                || request.state_filters.iter().any(|wanted| wanted == name))
            && (request.duration_filter < 0 || age_ms > request.duration_filter)
            && pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(&known.transactional_id))
    };
    let state = |known: Description| {
        ListedState::default()
            .with_transactional_id(TransactionalId(text(known.transactional_id)))
            .with_producer_id(ProducerId(known.producer.id))
            .with_transaction_state(text(known.state.name()))
    };
    let states = listed.into_iter().filter(is_wanted).map(state).collect();
    ListTransactionsResponse::default()
        .with_unknown_state_filters(unknown)
        .with_transaction_states(states)
}

pub(super) async fn describe(
    transactions: &Handle,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let described = match transactions.describe(id.as_str().to_owned()).await {
            // It is being removed.
            Ok(known) if known.state == State::Dead => Err(Error::TransactionalIdNotFound),
            described => described,
        };
        states.push(state(id, described));
    }
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn state(id: TransactionalId, described: Result<Description, Error>) -> TransactionState {
    let state = TransactionState::default().with_transactional_id(id);
    let known = match described {
        Ok(known) => known,
        Err(failed) => return state.with_error_code(error::transaction(failed).code()),
    };
    let mut topics: BTreeMap<_, Vec<i32>> = BTreeMap::new();
    for partition in &known.partitions {
        let indexes = topics.entry(&partition.topic).or_default();
        indexes.push(partition.partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        TopicData::default()
            .with_topic(topic_name(name))
            .with_partitions(partitions)
    });
    state
        .with_producer_id(ProducerId(known.producer.id))
        .with_producer_epoch(known.producer.epoch)
        .with_transaction_state(text(known.state.name()))
        .with_transaction_timeout_ms(known.timeout_ms)
        .with_transaction_start_time_ms(known.started_ms)
        .with_topics(topics.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TopicName, TopicPartition};
    use crate::txn::Producer;

    fn known(id: &str, state: State, started_ms: i64) -> Description {
        let partition = |topic, index| TopicPartition::new(TopicName::new(topic).unwrap(), index);
        Description {
            transactional_id: id.to_owned(),
            producer: Producer {
                id: i64::try_from(id.len()).unwrap(),
                epoch: 4,
            },
            state,
            timeout_ms: 60_000,
            started_ms,
            partitions: vec![partition("a", 0), partition("a", 2), partition("b", 1)],
        }
    }

    fn listed(request: ListTransactionsRequest) -> Vec<String> {
        let all = vec![
            known("a", State::Ongoing, 100),
            known("bb", State::CompleteAbort, 400),
            known("a-bb", State::Empty, -1),
            known("gone", State::Dead, 100),
        ];
        let states = answer(Ok(all), 500, request).transaction_states;
        let ids = states
            .iter()
            .map(|state| state.transactional_id.to_string());
        ids.collect()
    }

    #[test]
    fn filters_are_joined() {
        let all = ListTransactionsRequest::default().with_duration_filter(-1);
        assert_eq!(listed(all.clone()), ["a", "bb", "a-bb"]);
        let states = |names: &[&str]| {
            let names = names.iter().map(|name| text(*name)).collect();
            listed(all.clone().with_state_filters(names))
        };
        assert_eq!(states(&["Ongoing", "Empty"]), ["a", "a-bb"]);
        assert!(states(&["ongoing"]).is_empty(), "names have their case");
        let ids = |ids: &[i64]| {
            let ids = ids.iter().copied().map(ProducerId).collect();
            listed(all.clone().with_producer_id_filters(ids))
        };
        assert_eq!(ids(&[2, 9]), ["bb"]);
        let longer = |ms| listed(all.clone().with_duration_filter(ms));
        assert_eq!(longer(100), ["a", "a-bb"], "exactly as long is not longer");
        assert_eq!(longer(0), ["a", "bb", "a-bb"]);
        let matching = |pattern: &str| {
            let pattern = Some(text(pattern));
            listed(all.clone().with_transactional_id_pattern(pattern))
        };
        assert_eq!(matching("a.*"), ["a", "a-bb"]);
        assert_eq!(matching("b"), Vec::<String>::new(), "the whole id");
        assert_eq!(matching(""), ["a", "bb", "a-bb"]);
    }

    #[test]
    fn what_cannot_be_filtered_by_is_said() {
        let names = vec![text("Ongoing"), text("Odd")];
        let request = ListTransactionsRequest::default().with_state_filters(names);
        let answered = answer(Ok(Vec::new()), 0, request);
        assert_eq!(answered.unknown_state_filters, [text("Odd")]);
        let request =
            ListTransactionsRequest::default().with_transactional_id_pattern(Some(text("(")));
        let answered = answer(Ok(Vec::new()), 0, request);
        let expected = ResponseError::InvalidRegularExpression.code();
        assert_eq!(answered.error_code, expected);
        let loading = Err(Error::CoordinatorLoadInProgress);
        let answered = answer(loading, 0, ListTransactionsRequest::default());
        let expected = ResponseError::CoordinatorLoadInProgress.code();
        assert_eq!(answered.error_code, expected);
    }

    #[test]
    fn a_description_groups_partitions_by_topic() {
        let id = TransactionalId(text("a"));
        let described = state(id.clone(), Ok(known("a", State::Ongoing, 7)));
        assert_eq!(described.error_code, 0);
        assert_eq!(described.transaction_state.as_str(), "Ongoing");
        assert_eq!((described.producer_id.0, described.producer_epoch), (1, 4));
        assert_eq!(described.transaction_start_time_ms, 7);
        let topics: Vec<_> = described
            .topics
            .iter()
            .map(|topic| (topic.topic.as_str(), topic.partitions.clone()))
            .collect();
        assert_eq!(topics, [("a", vec![0, 2]), ("b", vec![1])]);
        let missing = state(id, Err(Error::TransactionalIdNotFound));
        let expected = ResponseError::TransactionalIdNotFound.code();
        assert_eq!(missing.error_code, expected);
    }
}
