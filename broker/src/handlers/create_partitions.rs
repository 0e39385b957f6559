//! CreatePartitions (KIP-195): more partitions for existing topics.

use std::collections::HashMap;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::topic_admin::{TopicAdmin, limit};
use super::wire::text;
use super::{Role, error};
use crate::model::{BrokerId, TopicName};
use crate::registry::Mode;

/// Adds the partitions and waits until they have leaders.
pub(crate) async fn handle(
    admin: &TopicAdmin,
    role: Role,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let outcome = match (role, counts[topic.name.as_str()]) {
            (Role::Other, _) => Err((ResponseError::NotController, None)),
            (_, 1) => extend(admin, topic, &request).await,
            _ => Err((
                ResponseError::InvalidRequest,
                Some("Duplicate topic in request.".to_owned()),
            )),
        };
        let mut result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
        if let Err((error, message)) = outcome {
            result.error_code = error.code();
            result.error_message = message.map(text);
        }
        results.push(result);
    }
    CreatePartitionsResponse::default().with_results(results)
}

type Refusal = (ResponseError, Option<String>);

async fn extend(
    admin: &TopicAdmin,
    topic: &CreatePartitionsTopic,
    request: &CreatePartitionsRequest,
) -> Result<(), Refusal> {
    let name = TopicName::new(&topic.name).map_err(|invalid| {
        let message = Some(invalid.to_string());
        (ResponseError::InvalidTopicException, message)
    })?;
    let assignments: Option<Vec<Vec<BrokerId>>> = topic.assignments.as_ref().map(|assignments| {
        let ids =
            |ids: &Vec<kafka_protocol::messages::BrokerId>| ids.iter().map(|id| id.0).collect();
        assignments
            .iter()
            .map(|each| ids(&each.broker_ids))
            .collect()
    });
    let mode = match request.validate_only {
        true => Mode::ValidateOnly,
        false => Mode::Apply,
    };
    admin
        .add_partitions(&name, topic.count, assignments.as_deref(), mode)
        .await
        .map_err(|failed| (error::add_partitions(&failed), Some(failed.to_string())))?;
    if mode == Mode::ValidateOnly {
        return Ok(());
    }
    let wanted = usize::try_from(topic.count).unwrap_or(0);
    match admin
        .wait_for_leaders(&name, wanted, limit(request.timeout_ms))
        .await
    {
        true => Ok(()),
        false => Err((ResponseError::RequestTimedOut, None)),
    }
}
