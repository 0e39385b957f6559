//! CreateTopics: checked as in Kafka, written to the registry, awaited.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::context::RequestContext;
use super::topic_admin::{TopicAdmin, limit};
use super::topic_config::TopicConfigs;
use super::wire::text;
use super::{Role, error};
use crate::model::TopicName;
use crate::registry::{CreateTopicError, Mode, NewTopic, Placement, TopicAssignment};

/// What a topic gets when the request leaves it open.
#[derive(Debug, Clone, Copy)]
pub struct Defaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i32,
}

/// What the handler works with.
pub(crate) struct CreateTopics<'a> {
    pub(crate) admin: &'a TopicAdmin,
    pub(crate) configs: &'a TopicConfigs,
    pub(crate) defaults: Defaults,
    pub(crate) role: Role,
    pub(crate) ctx: &'a RequestContext,
}

/// From here on, what is beyond the quota of mutations is refused.
const STRICT_FROM: i16 = 6;

type Refusal = (ResponseError, Option<String>);

impl CreateTopics<'_> {
    /// Creates the topics and waits until their partitions have leaders.
    pub(crate) async fn handle(&self, request: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for topic in &request.topics {
            *counts.entry(topic.name.as_str()).or_default() += 1;
        }
        let mode = match request.validate_only {
            true => Mode::ValidateOnly,
            false => Mode::Apply,
        };
        let mut outcomes = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let outcome = match (self.role, counts[topic.name.as_str()]) {
                (Role::Other, _) => Err((ResponseError::NotController, None)),
                (_, 1) => self.create(topic, mode).await,
                _ => Err((
                    ResponseError::InvalidRequest,
                    Some("Found multiple entries for this topic.".to_owned()),
                )),
            };
            outcomes.push(outcome);
        }
        let mut results = Vec::with_capacity(outcomes.len());
        for (topic, outcome) in request.topics.iter().zip(outcomes) {
            results.push(self.result(topic, outcome, mode, request.timeout_ms).await);
        }
        CreateTopicsResponse::default().with_topics(results)
    }

    async fn create(
        &self,
        topic: &CreatableTopic,
        mode: Mode,
    ) -> Result<(NewTopic, TopicAssignment), Refusal> {
        if self.admin.cluster.snapshot().topic(&topic.name).is_some() {
            let message = format!("Topic '{}' already exists.", topic.name.as_str());
            return Err((ResponseError::TopicAlreadyExists, Some(message)));
        }
        let name = TopicName::new(&topic.name).map_err(|invalid| {
            (
                ResponseError::InvalidTopicException,
                Some(invalid.to_string()),
            )
        })?;
        let new = NewTopic {
            name,
            placement: self.placement(topic)?,
            config: self.config(topic)?,
        };
        let refused = |failed: CreateTopicError| {
            let message = Some(failed.to_string());
            (error::create_topic(&failed), message)
        };
        if let Some(throttle) = self.ctx.throttle.as_ref().filter(|_| mode == Mode::Apply) {
            let planned = self.admin.create(&new, Mode::ValidateOnly).await;
            let count = planned.map_err(refused)?.partitions.len();
            throttle.mutated(STRICT_FROM, count)?;
        }
        let created = self.admin.create(&new, mode).await;
        let assignment = created.map_err(refused)?;
        Ok((new, assignment))
    }

    fn placement(&self, topic: &CreatableTopic) -> Result<Placement, Refusal> {
        const LEFT_OPEN: i32 = -1;
        let invalid = |text: &str| (ResponseError::InvalidRequest, Some(text.to_owned()));
        let factor = i32::from(topic.replication_factor);
        if !topic.assignments.is_empty() {
            if topic.num_partitions != LEFT_OPEN || factor != LEFT_OPEN {
                return Err(invalid(
                    "Both numPartitions or replicationFactor and replicasAssignments were set. \
                     Both cannot be used at the same time.",
                ));
            }
            let assigned = topic.assignments.iter();
            let replicas: BTreeMap<_, Vec<_>> = assigned
                .map(|each| {
                    let ids = each.broker_ids.iter().map(|id| id.0).collect();
                    (each.partition_index, ids)
                })
                .collect();
            return Ok(Placement::Manual(replicas));
        }
        let or_default = |value: i32, default: i32| match value {
            LEFT_OPEN => default,
            value => value,
        };
        Ok(Placement::Automatic {
            partitions: or_default(topic.num_partitions, self.defaults.partitions),
            replication_factor: or_default(factor, self.defaults.replication_factor),
        })
    }

    fn config(&self, topic: &CreatableTopic) -> Result<IndexMap<String, String>, Refusal> {
        let mut config = IndexMap::new();
        let mut nulls = Vec::new();
        for entry in &topic.configs {
            match &entry.value {
                Some(value) => {
                    config.insert(entry.name.to_string(), value.to_string());
                }
                None => nulls.push(entry.name.to_string()),
            }
        }
        if !nulls.is_empty() {
            let message = format!(
                "Null value not supported for topic configs: {}",
                nulls.join(",")
            );
            return Err((ResponseError::InvalidConfig, Some(message)));
        }
        match self.configs.check(&config) {
            Ok(_) => Ok(config),
            Err(wrong) => Err((ResponseError::InvalidConfig, Some(wrong.to_string()))),
        }
    }

    async fn result(
        &self,
        topic: &CreatableTopic,
        outcome: Result<(NewTopic, TopicAssignment), Refusal>,
        mode: Mode,
        timeout_ms: i32,
    ) -> CreatableTopicResult {
        // Unlike its siblings, this text is not null unless it is made so.
        let result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_error_message(None);
        let (new, assignment) = match outcome {
            Ok(created) => created,
            Err((error, message)) => return refused(result, error, message),
        };
        let count = assignment.partitions.len();
        if mode == Mode::Apply
            && !self
                .admin
                .wait_for_leaders(&new.name, count, limit(timeout_ms))
                .await
        {
            return refused(result, ResponseError::RequestTimedOut, None);
        }
        self.created(result, &new, &assignment)
    }

    fn created(
        &self,
        mut result: CreatableTopicResult,
        new: &NewTopic,
        assignment: &TopicAssignment,
    ) -> CreatableTopicResult {
        if self.ctx.api_version >= 7
            && let Some(id) = assignment.topic_id
        {
            result.topic_id = id;
        }
        if self.ctx.api_version < 5 {
            return result;
        }
        let factor = assignment
            .partitions
            .values()
            .next()
            .map_or(0, |p| p.replicas.len());
        let entries = self.configs.describe(&new.config).into_iter();
        result
            .with_num_partitions(i32::try_from(assignment.partitions.len()).unwrap_or(i32::MAX))
            .with_replication_factor(i16::try_from(factor).unwrap_or(i16::MAX))
            .with_configs(Some(
                entries
                    .map(|entry| {
                        CreatableTopicConfigs::default()
                            .with_name(text(entry.key.name))
                            .with_value(Some(text(entry.value)))
                            .with_config_source(entry.source as i8)
                    })
                    .collect(),
            ))
    }
}

fn refused(
    result: CreatableTopicResult,
    error: ResponseError,
    message: Option<String>,
) -> CreatableTopicResult {
    result
        .with_error_code(error.code())
        .with_error_message(message.map(text))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
}
