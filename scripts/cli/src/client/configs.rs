//! The settings of topics, brokers and loggers: describes and changes them.
//!
//! **Invariant:** what concerns one broker is asked of that broker; a change
//! is sent once.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::metadata::{AutoCreate, Topics};
use super::{Client, Endpoint, Error, Lane};

/// What settings belong to, with its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Topic = 2,
    Broker = 4,
    BrokerLogger = 8,
    ClientMetrics = 16,
}

/// One owner of settings; a broker without a name stands for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// Where a value was set, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source(pub(crate) i8);

impl Source {
    pub(crate) const TOPIC: Self = Self(1);
    pub(crate) const BROKER: Self = Self(2);
    pub(crate) const DEFAULT_BROKER: Self = Self(3);
    pub(crate) const CLIENT_METRICS: Self = Self(7);

    /// The name in Kafka's `ConfigEntry.ConfigSource`.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            1 => "DYNAMIC_TOPIC_CONFIG",
            2 => "DYNAMIC_BROKER_CONFIG",
            3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            4 => "STATIC_BROKER_CONFIG",
            5 => "DEFAULT_CONFIG",
            6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
            7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
            8 => "DYNAMIC_GROUP_CONFIG",
            _ => "UNKNOWN",
        }
    }
}

/// A setting and every place it could come from, the one that counts first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
    pub(crate) is_sensitive: bool,
    pub(crate) synonyms: Vec<Synonym>,
}

/// One place a setting could come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synonym {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) source: Source,
}

impl Client {
    /// All settings of `resource`, by name.
    pub(crate) async fn describe_resource(
        &self,
        resource: &Resource,
        with_synonyms: bool,
    ) -> Result<Vec<Entry>, Error> {
        let answer = self
            .retrying("describeConfigs", async || {
                let broker = self.keeper(resource).await?;
                self.call(&broker, Lane::Control, |version| {
                    let wanted = DescribeConfigsResource::default()
                        .with_resource_type(resource.kind as i8)
                        .with_resource_name(StrBytes::from_string(resource.name.clone()))
                        .with_configuration_keys(None);
                    DescribeConfigsRequest::default()
                        .with_resources(vec![wanted])
                        .with_include_synonyms(with_synonyms && version >= 1)
                })
                .await
            })
            .await?;
        let mut entries = Vec::new();
        for result in answer.results {
            Error::check(result.error_code, result.error_message.as_deref())?;
            entries.extend(result.configs.into_iter().map(entry));
        }
        entries.sort_by(|a: &Entry, b: &Entry| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Sets each name with a value, and takes back each without one.
    pub(crate) async fn alter_resource(
        &self,
        resource: &Resource,
        changes: &[(String, Option<String>)],
    ) -> Result<(), Error> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let broker = self
            .retrying("incrementalAlterConfigs", async || {
                self.keeper(resource).await
            })
            .await?;
        let answer = self
            .call(&broker, Lane::Control, |_| {
                let configs = changes.iter().map(|(name, value)| {
                    AlterableConfig::default()
                        .with_name(StrBytes::from_string(name.clone()))
                        .with_config_operation(if value.is_some() { SET } else { DELETE })
                        .with_value(Some(StrBytes::from_string(
                            value.clone().unwrap_or_default(),
                        )))
                });
                let resource = AlterConfigsResource::default()
                    .with_resource_type(resource.kind as i8)
                    .with_resource_name(StrBytes::from_string(resource.name.clone()))
                    .with_configs(configs.collect());
                IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
            })
            .await?;
        answer
            .responses
            .iter()
            .try_for_each(|of| Error::check(of.error_code, of.error_message.as_deref()))
    }

    /// The broker that knows the settings of `resource`.
    async fn keeper(&self, resource: &Resource) -> Result<Endpoint, Error> {
        self.refresh(Topics::Named(&[]), AutoCreate::Never).await?;
        let is_of_one = matches!(resource.kind, Kind::Broker | Kind::BrokerLogger);
        match resource.name.parse() {
            Ok(id) if is_of_one => self.broker(id),
            _ => self.any_broker(),
        }
    }
}

fn entry(result: DescribeConfigsResourceResult) -> Entry {
    let value = |value: Option<StrBytes>| value.map(|value| value.to_string());
    Entry {
        name: result.name.to_string(),
        value: value(result.value),
        source: Source(result.config_source),
        is_sensitive: result.is_sensitive,
        synonyms: result
            .synonyms
            .into_iter()
            .map(|synonym| Synonym {
                name: synonym.name.to_string(),
                value: value(synonym.value),
                source: Source(synonym.source),
            })
            .collect(),
    }
}
