//! DescribeConfigs (KIP-133) of topics and of this broker.

use std::collections::BTreeSet;

use common::config::Kind;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::context::RequestContext;
use super::topic_config::{self, Source, Synonym, TopicConfigs, broker_synonyms};
use super::wire::text;
use crate::cluster::Cluster;
use crate::config::catalog::{self, Entry, Mode, ValueType};
use crate::config::{self, Layers};
use crate::model::{BrokerId, TopicName};
use crate::registry::Registry;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
/// Kafka's own, which it does not show.
const HIDDEN: [&str; 1] = ["producer.id.expiration.check.interval.ms"];

/// What the handler works with.
pub(crate) struct DescribeConfigs<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) cluster: &'a Cluster,
    pub(crate) topics: &'a TopicConfigs,
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
                BROKER_LOGGER => self.loggers(&resource.resource_name),
                CLIENT_METRICS => refuse(match resource.resource_name.is_empty() {
                    true => "Client metrics subscription name must not be empty",
                    false => "Config type client-metrics is only supported on KRaft clusters",
                }),
                _ => refuse(MALFORMED),
            };
            results.push(result(resource, described));
        }
        DescribeConfigsResponse::default().with_results(results)
    }

    /// This broker has no loggers by Kafka's names.
    fn loggers(&self, name: &str) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        if name.is_empty() {
            return refuse("Broker id must not be empty");
        }
        match name.parse::<BrokerId>() {
            Ok(id) if id == self.broker_id => Ok(Vec::new()),
            Ok(_) => refuse(format!(
                "Unexpected broker id, expected {} but received {name}",
                self.broker_id
            )),
            Err(_) => refuse(format!("Broker id must be an integer, but it is: {name}")),
        }
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
        entry: topic_config::Entry,
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
            const OVERRIDE: &str = "For one topic: the broker's key ";
            result.config_type = entry.key.value_type as i8;
            let broker_key = entry.key.synonyms.first().map(|(name, _)| *name);
            let doc = match broker_key.and_then(|name| config::TABLE.get(name)) {
                Some(key) => format!("{OVERRIDE}{}. {}", key.name, key.doc),
                None => "A key of Kafka that has no effect in this broker.".to_owned(),
            };
            result.documentation = request.include_documentation.then(|| text(doc));
        }
        result
    }

    fn broker(
        &self,
        name: &str,
        request: &DescribeConfigsRequest,
    ) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
        let layers = self.topics.broker();
        if name.is_empty() {
            let set = layers.cluster.iter();
            let values = set.map(|(name, value)| (name.as_str(), Some(value.clone())));
            let entries = values.map(|(name, value)| {
                let mut synonyms = broker_synonyms(&layers, name);
                synonyms.retain(|(.., source)| *source == Source::DynamicDefaultBroker);
                self.broker_entry(name, value, synonyms, request)
            });
            return Ok(entries.collect());
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
        let known = catalog::entries().filter(|entry| entry.mode != Mode::Quota);
        let ours = config::TABLE.keys().iter();
        let mut names: BTreeSet<&str> = known.map(|entry| entry.name).collect();
        names.extend(ours.map(|key| key.name));
        names.extend(layers.raw().keys().map(String::as_str));
        names.retain(|name| !HIDDEN.contains(name));
        let entries = names.into_iter().map(|name| {
            let value = self.broker_value(&layers, name);
            let synonyms = match name {
                "node.id" => self.node_id_synonyms(&layers),
                _ => broker_synonyms(&layers, name),
            };
            self.broker_entry(name, value, synonyms, request)
        });
        Ok(entries.collect())
    }

    /// Kafka takes the number of `broker.id`, behind what nobody set.
    fn node_id_synonyms(&self, layers: &Layers) -> Vec<Synonym> {
        let mut synonyms = broker_synonyms(layers, "node.id");
        if layers.raw().contains_key("broker.id") && !layers.raw().contains_key("node.id") {
            let id = self.broker_id.to_string();
            synonyms.push(("node.id".to_owned(), id, Source::StaticBroker));
        }
        synonyms
    }

    /// What is in effect for `name`, as Kafka would print it.
    fn broker_value(&self, layers: &Layers, name: &str) -> Option<String> {
        if name == "broker.id" || name == "node.id" {
            return Some(self.broker_id.to_string());
        }
        let default = match catalog::lookup(name) {
            Some(known) => known.default,
            None => config::TABLE.get(name).and_then(|key| key.default),
        };
        let written = layers.raw().get(name).map(String::as_str);
        Some(printed(name, written.or(default)?))
    }

    fn broker_entry(
        &self,
        name: &str,
        value: Option<String>,
        synonyms: Vec<Synonym>,
        request: &DescribeConfigsRequest,
    ) -> DescribeConfigsResourceResult {
        let known = catalog::lookup(name);
        let ours = config::TABLE.get(name);
        let value_type = match (known, ours) {
            (Some(entry), _) => entry.value_type,
            (None, Some(key)) => type_of(key.kind),
            (None, None) => ValueType::Unknown,
        };
        // What nobody knows may be a secret.
        let is_secret = matches!(value_type, ValueType::Password | ValueType::Unknown);
        let source = match name {
            "node.id" => synonyms.last(),
            _ => synonyms.first(),
        };
        let source = source.map_or(Source::Default, |of| of.2);
        let synonyms = synonyms.into_iter().map(|(name, value, source)| {
            DescribeConfigsSynonym::default()
                .with_name(text(name))
                .with_value(Some(text(value)).filter(|_| !is_secret))
                .with_source(source as i8)
        });
        let mut result = DescribeConfigsResourceResult::default()
            .with_name(text(name))
            .with_value(value.map(text).filter(|_| !is_secret))
            .with_read_only(!known.is_some_and(Entry::is_dynamic))
            .with_is_sensitive(is_secret)
            .with_config_source(source as i8)
            .with_documentation(None);
        if request.include_synonyms {
            result.synonyms = synonyms.collect();
        }
        if self.ctx.api_version >= 3 {
            const WITHOUT_EFFECT: &str = "A key of Kafka that has no effect in this broker.";
            result.config_type = value_type as i8;
            let doc = match (ours, known) {
                (Some(key), _) => Some(key.doc),
                // Kafka has no words for them either.
                (None, Some(entry)) if entry.mode == Mode::Quota => None,
                (None, Some(_)) => Some(WITHOUT_EFFECT),
                (None, None) => None,
            };
            let wanted = doc.filter(|_| request.include_documentation);
            result.documentation = wanted.map(text);
        }
        result
    }
}

/// What Kafka says of a request that it did not expect.
const MALFORMED: &str = "This most likely occurs because of a request being malformed by the \
                         client library or the message was sent to an incompatible broker. See \
                         the broker logs for more details.";

fn refuse<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((ResponseError::InvalidRequest, message.into()))
}

/// The value as Kafka prints one of its type.
fn printed(name: &str, value: &str) -> String {
    let trimmed = value.trim();
    match catalog::lookup(name).map(|entry| entry.value_type) {
        Some(ValueType::Boolean) => trimmed.to_ascii_lowercase(),
        Some(ValueType::List) => {
            let items: Vec<&str> = trimmed.split(',').map(str::trim).collect();
            items.join(",")
        }
        Some(ValueType::Int | ValueType::Long | ValueType::Short) => {
            let number = trimmed.parse::<i64>();
            number.map_or_else(|_| trimmed.to_owned(), |number| number.to_string())
        }
        _ => trimmed.to_owned(),
    }
}

fn type_of(kind: Kind) -> ValueType {
    match kind {
        Kind::Bool => ValueType::Boolean,
        Kind::Int { .. } => ValueType::Int,
        Kind::Long { .. } => ValueType::Long,
        Kind::Double { .. } => ValueType::Double,
        Kind::Str | Kind::OneOf(_) => ValueType::String,
        Kind::List => ValueType::List,
        Kind::Password => ValueType::Password,
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
            let wanted = resource.configuration_keys.as_ref();
            if let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) {
                configs.retain(|config| wanted.contains(&config.name));
            }
            result.with_configs(configs)
        }
        Err((error, message)) => result
            .with_error_code(error.code())
            .with_error_message(Some(text(message))),
    }
}
