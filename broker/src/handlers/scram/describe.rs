//! DescribeUserScramCredentials: mechanisms and iterations, never the keys.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use kafka_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};

use super::credential::iterations_of;
use super::{Mechanism, NAMELESS, Refusal, node_of, unreadable};
use crate::handlers::wire::text;
use crate::registry::znode::desanitize;
use crate::registry::{EntityType, Registry};

/// Answers from the znodes: of all users who have credentials, or of those named.
pub(crate) async fn handle(
    registry: &Registry,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let response = DescribeUserScramCredentialsResponse::default();
    let named: Vec<&str> = request.users.iter().flatten().map(|u| &*u.name).collect();
    if !named.is_empty() {
        return response.with_results(of_users(registry, &named).await);
    }
    match of_everybody(registry).await {
        Ok(results) => response.with_results(results),
        Err((code, message)) => response
            .with_error_code(code.code())
            .with_error_message(message.map(text)),
    }
}

async fn of_everybody(
    registry: &Registry,
) -> Result<Vec<DescribeUserScramCredentialsResult>, Refusal> {
    let all = registry.configs_of(EntityType::Users).await;
    let all = all.map_err(|failed| unreadable(&failed))?.into_iter();
    let mut named: Vec<_> = all
        .filter_map(|(node, config)| Some((desanitize(&node)?, config)))
        .collect();
    named.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    let results = named
        .into_iter()
        .filter_map(|(user, config)| described(&user, &config));
    Ok(results.collect())
}

async fn of_users(registry: &Registry, users: &[&str]) -> Vec<DescribeUserScramCredentialsResult> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for user in users {
        *counts.entry(*user).or_default() += 1;
    }
    let mut seen = HashSet::new();
    let mut results = Vec::new();
    for user in users.iter().copied().filter(|user| seen.insert(*user)) {
        results.push(match (user, counts[user]) {
            ("", _) => refused(user, ResponseError::ResourceNotFound, NAMELESS),
            (_, 1) => of_user(registry, user).await,
            _ => {
                let message = format!(
                    "Cannot describe SCRAM credentials for the same user twice in a single \
                     request: {user}"
                );
                refused(user, ResponseError::DuplicateResource, message)
            }
        });
    }
    results
}

async fn of_user(registry: &Registry, user: &str) -> DescribeUserScramCredentialsResult {
    match registry.config(&node_of(user)).await {
        Ok(config) => described(user, &config).unwrap_or_else(|| {
            let message =
                format!("Attempt to describe a user credential that does not exist: {user}");
            refused(user, ResponseError::ResourceNotFound, message)
        }),
        Err(failed) => {
            let (code, message) = unreadable(&failed);
            refused(user, code, message.unwrap_or_default())
        }
    }
}

/// `None` for a user without credentials.
fn described(
    user: &str,
    config: &IndexMap<String, String>,
) -> Option<DescribeUserScramCredentialsResult> {
    const FAILED: &str = "The server experienced an unexpected error when processing the request.";
    let mut infos = Vec::new();
    for mechanism in Mechanism::ALL {
        let Some(stored) = config.get(mechanism.name()) else {
            continue;
        };
        let Some(iterations) = iterations_of(stored) else {
            return Some(refused(user, ResponseError::UnknownServerError, FAILED));
        };
        infos.push(
            CredentialInfo::default()
                .with_mechanism(mechanism as i8)
                .with_iterations(iterations),
        );
    }
    let result = DescribeUserScramCredentialsResult::default().with_user(text(user));
    (!infos.is_empty()).then(|| result.with_credential_infos(infos))
}

fn refused(
    user: &str,
    code: ResponseError,
    message: impl Into<String>,
) -> DescribeUserScramCredentialsResult {
    DescribeUserScramCredentialsResult::default()
        .with_user(text(user))
        .with_error_code(code.code())
        .with_error_message(Some(text(message)))
}
