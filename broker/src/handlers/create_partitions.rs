//! CreatePartitions (KIP-195): more partitions for existing topics.

use std::collections::{BTreeSet, HashMap, HashSet};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::context::RequestContext;
use super::topic_admin::{TopicAdmin, limit};
use super::wire::text;
use super::{Role, error};
use crate::model::{BrokerId, TopicName};
use crate::registry::assignment::Candidate;
use crate::registry::{AddPartitionsError, Error as RegistryError, Mode};

/// Adds the partitions and waits until they have leaders.
pub(crate) async fn handle(
    admin: &TopicAdmin,
    role: Role,
    ctx: &RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for topic in &request.topics {
        *counts.entry(topic.name.as_str()).or_default() += 1;
    }
    let mut results = Vec::with_capacity(request.topics.len());
    let mut answered = HashSet::new();
    for topic in &request.topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let outcome = match (role, counts[topic.name.as_str()]) {
            (Role::Other, _) => Err((ResponseError::NotController, None)),
            (_, 1) => extend(admin, ctx, topic, &request).await,
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

/// What a broker checks, and says, before the checks that every tool shares.
fn check(
    current: usize,
    wanted: i32,
    assignments: Option<&[Vec<BrokerId>]>,
    brokers: &[Candidate],
) -> Result<(), Refusal> {
    let increase = i64::from(wanted) - i64::try_from(current).unwrap_or(i64::MAX);
    if increase <= 0 {
        let message = match increase {
            0 => format!("Topic already has {current} partitions."),
            _ => format!(
                "Topic currently has {current} partitions, which is higher than the requested \
                 {wanted}."
            ),
        };
        return Err((ResponseError::InvalidPartitions, Some(message)));
    }
    let Some(assignments) = assignments else {
        return Ok(());
    };
    let is_known = |id: &BrokerId| brokers.iter().any(|broker| broker.id == *id);
    let unknown: BTreeSet<_> = assignments
        .iter()
        .flatten()
        .filter(|id| !is_known(id))
        .map(BrokerId::to_string)
        .collect();
    let message = if !unknown.is_empty() {
        let unknown: Vec<_> = unknown.into_iter().collect();
        format!(
            "Unknown broker(s) in replica assignment: {}.",
            unknown.join(", ")
        )
    } else if i64::try_from(assignments.len()) != Ok(increase) {
        format!(
            "Increasing the number of partitions by {increase} but {} assignments provided.",
            assignments.len()
        )
    } else {
        return Ok(());
    };
    Err((ResponseError::InvalidReplicaAssignment, Some(message)))
}

/// From here on, what is beyond the quota of mutations is refused.
const STRICT_FROM: i16 = 3;

async fn extend(
    admin: &TopicAdmin,
    ctx: &RequestContext,
    topic: &CreatePartitionsTopic,
    request: &CreatePartitionsRequest,
) -> Result<(), Refusal> {
    if topic.name.is_empty() {
        // Kafka cannot read a node without a name.
        return Err((ResponseError::UnknownServerError, None));
    }
    let name = TopicName::new(&topic.name).map_err(|_| {
        let message = format!("The topic '{}' does not exist.", topic.name.as_str());
        (ResponseError::UnknownTopicOrPartition, Some(message))
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
    let brokers = admin.candidates();
    let refused = |failed: AddPartitionsError| {
        let message = Some(failed.to_string());
        (error::add_partitions(&failed), message)
    };
    let asked = |failed: RegistryError| refused(failed.into());
    let is_going = admin.registry.is_marked_for_deletion(&name).await;
    if is_going.map_err(asked)? {
        let message = Some("The topic is queued for deletion.".to_owned());
        return Err((ResponseError::InvalidTopicException, message));
    }
    let existing = admin.registry.topic(&name).await.map_err(asked)?;
    if let Some(existing) = &existing {
        let current = existing.partitions.len();
        check(current, topic.count, assignments.as_deref(), &brokers)?;
    }
    if let (Some(throttle), Mode::Apply) = (&ctx.throttle, mode) {
        let mode = Mode::ValidateOnly;
        let planned = admin.add_partitions(&name, topic.count, assignments.as_deref(), mode);
        planned.await.map_err(refused)?;
        let current = existing.map_or(0, |existing| existing.partitions.len());
        let wanted = usize::try_from(topic.count).unwrap_or(0);
        throttle.mutated(STRICT_FROM, wanted.saturating_sub(current))?;
    }
    admin
        .add_partitions(&name, topic.count, assignments.as_deref(), mode)
        .await
        .map_err(refused)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_the_brokers_words() {
        let brokers = [Candidate { id: 0, rack: None }];
        let check = |wanted, assignments: Option<&[Vec<BrokerId>]>| {
            check(3, wanted, assignments, &brokers).map_err(|(code, text)| (code, text.unwrap()))
        };
        assert_eq!(check(4, None), Ok(()));
        assert_eq!(check(4, Some(&[vec![0]])), Ok(()));
        let partitions = ResponseError::InvalidPartitions;
        let assignment = ResponseError::InvalidReplicaAssignment;
        for (wanted, assignments, code, text) in [
            (
                2,
                None,
                partitions,
                "Topic currently has 3 partitions, which is higher than the requested 2.",
            ),
            (3, None, partitions, "Topic already has 3 partitions."),
            (
                5,
                Some(&[vec![0], vec![7]][..]),
                assignment,
                "Unknown broker(s) in replica assignment: 7.",
            ),
            (
                5,
                Some(&[]),
                assignment,
                "Increasing the number of partitions by 2 but 0 assignments provided.",
            ),
        ] {
            assert_eq!(check(wanted, assignments), Err((code, text.to_owned())));
        }
    }
}
