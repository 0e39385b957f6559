//! ListTransactions and DescribeTransactions (KIP-664) of a broker that
//! coordinates no transaction.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse,
};

/// The states that a filter may name.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "PrepareEpochFence",
    "Dead",
];

/// Nothing is listed; only names of states that there are not come back.
pub(crate) fn list(request: ListTransactionsRequest) -> ListTransactionsResponse {
    let pattern = request.transactional_id_pattern.as_deref().unwrap_or("");
    if let Err(error) = regex::Regex::new(pattern) {
        tracing::debug!(pattern, %error, "not a pattern of transactional ids");
        return ListTransactionsResponse::default()
            .with_error_code(ResponseError::InvalidRegularExpression.code());
    }
    let mut unknown = request.state_filters;
    unknown.retain(|state| !STATES.contains(&state.as_str()));
    ListTransactionsResponse::default().with_unknown_state_filters(unknown)
}

pub(crate) fn describe(request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let error = match id.is_empty() {
            true => ResponseError::InvalidRequest,
            false => ResponseError::NotCoordinator,
        };
        TransactionState::default()
            .with_transactional_id(id)
            .with_error_code(error.code())
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}
