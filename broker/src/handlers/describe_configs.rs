//! DescribeConfigs (KIP-133) of topics and of this broker.

use common::config::{Key, Kind, Values};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::context::RequestContext;
use super::topic_config::{Entry, Source, TopicConfigs, ValueType};
use super::wire::text;
use crate::cluster::Cluster;
use crate::config;
use crate::model::{BrokerId, TopicName};
use crate::registry::Registry;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// What the handler works with.
pub(crate) struct DescribeConfigs<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) cluster: &'a Cluster,
    pub(crate) topics: &'a TopicConfigs,
    pub(crate) broker: &'a Values,
    pub(crate) broker_id: BrokerId,
    pub(crate) ctx: &'a RequestContext,
}

type Refusal = (ResponseError, String);

impl DescribeConfigs<'_> {
    pub(crate) async fn handle(&self, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let mut results = Vec::with_capacity(request.resources.len());
        for resource in &request.resources {
            let described = match resource.resource_type {
                TOPIC => self.topic(&resource.resource_name, &request).await,
                BROKER => self.broker(&resource.resource_name, &request),
                other => Err((
                    ResponseError::InvalidRequest,
                    format!("Unsupported resource type: {other}"),
                )),
            };
            results.push(result(resource, described));
        }
        DescribeConfigsResponse::default().with_results(results)
    }

    async fn topic(
        &self,
        name: &str,
        request: &DescribeConfigsRequest,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let name = TopicName::new(name)
            .map_err(|invalid| (ResponseError::InvalidTopicException, invalid.to_string()))?;
        if self.cluster.snapshot().topic(name.as_str()).is_none() {
            let error = ResponseError::UnknownTopicOrPartition;
            return Err((error, String::new()));
        }
        let overrides = self.registry.topic_config(&name).await.map_err(|failed| {
            tracing::warn!(topic = %name, error = %failed, "a configuration cannot be read");
            (ResponseError::UnknownServerError, failed.to_string())
        })?;
        let entries = self.topics.describe(&overrides).into_iter();
        Ok(entries
            .map(|entry| self.topic_entry(entry, request))
            .collect())
    }

    fn topic_entry(
        &self,
        entry: Entry,
        request: &DescribeConfigsRequest,
    ) -> DescribeConfigsResourceResult {
        let synonyms = match request.include_synonyms {
            true => entry.synonyms,
            false => Vec::new(),
        };
        let synonyms = synonyms.into_iter().map(|(name, value, source)| {
            DescribeConfigsSynonym::default()
                .with_name(text(name))
                .with_value(Some(text(value)))
                .with_source(source as i8)
        });
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(text(entry.key.name))
            .with_value(Some(text(entry.value)))
            .with_config_source(entry.source as i8)
            .with_documentation(None)
            .with_synonyms(synonyms.collect());
        if self.ctx.api_version >= 3 {
            result.config_type = entry.key.value_type as i8;
        }
        result
    }

    fn broker(
        &self,
        name: &str,
        request: &DescribeConfigsRequest,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        if name.is_empty() {
            // What brokers have in common by dynamic configuration: nothing.
            return Ok(Vec::new());
        }
        let Ok(id) = name.parse::<BrokerId>() else {
            let message = format!("Broker id must be an integer, but it is: {name}");
            return Err((ResponseError::InvalidRequest, message));
        };
        if id != self.broker_id {
            let message = format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                self.broker_id
            );
            return Err((ResponseError::InvalidRequest, message));
        }
        let keys = config::TABLE.keys().iter();
        Ok(keys.map(|key| self.broker_entry(key, request)).collect())
    }

    fn broker_entry(
        &self,
        key: &Key,
        request: &DescribeConfigsRequest,
    ) -> DescribeConfigsResourceResult {
        let is_secret = key.kind == Kind::Password;
        let value = self.broker.opt_str(key.name).filter(|_| !is_secret);
        let is_written = self.broker.is_set(key.name);
        let source = match is_written {
            true => Source::StaticBroker,
            false => Source::Default,
        };
        let written = is_written.then_some((value, Source::StaticBroker));
        let default = key.default.map(|value| (Some(value), Source::Default));
        let synonyms = written.into_iter().chain(default);
        let synonyms = synonyms.map(|(value, source)| {
            DescribeConfigsSynonym::default()
                .with_name(text(key.name))
                .with_value(value.map(text))
                .with_source(source as i8)
        });
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(text(key.name))
            .with_value(value.map(text))
            .with_read_only(true)
            .with_is_sensitive(is_secret)
            .with_config_source(source as i8)
            .with_documentation(None);
        if request.include_synonyms {
            result.synonyms = synonyms.collect();
        }
        if self.ctx.api_version >= 3 {
            result.config_type = type_code(key.kind);
            result.documentation = request.include_documentation.then(|| text(key.doc));
        }
        result
    }
}

fn type_code(kind: Kind) -> i8 {
    const PASSWORD: i8 = 9;
    match kind {
        Kind::Bool => ValueType::Boolean as i8,
        Kind::Int { .. } => ValueType::Int as i8,
        Kind::Long { .. } => ValueType::Long as i8,
        Kind::Double { .. } => ValueType::Double as i8,
        Kind::Str | Kind::OneOf(_) => ValueType::String as i8,
        Kind::List => ValueType::List as i8,
        Kind::Password => PASSWORD,
    }
}

fn result(
    resource: &DescribeConfigsResource,
    described: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match described {
        Ok(mut configs) => {
            if let Some(wanted) = &resource.configuration_keys {
                configs.retain(|config| wanted.contains(&config.name));
            }
            result.with_configs(configs)
        }
        Err((error, message)) => result
            .with_error_code(error.code())
            .with_error_message(Some(text(message))),
    }
}
