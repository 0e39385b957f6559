//! AlterConfigs and IncrementalAlterConfigs (KIP-133, KIP-339) of topics and
//! brokers.
//!
//! Flow: resource -> its new properties -> check -> `/config/...` and a note in
//! `/config/changes`, upon which every broker (this one too) puts them in effect.
//! Any broker serves topics and the cluster's default; a broker's own
//! configuration only that broker.
//!
//! **Invariant:** what is written was legal as a whole.
//! **Invariant:** two changes by this broker never lose one another.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse as OldResult;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use tokio::sync::Mutex;

use super::error;
use super::topic_config::{TopicConfigs, defaults_of, topic_key};
use super::wire::text;
use crate::cluster::Cluster;
use crate::config::catalog::{self, ValueType};
use crate::config::{Layers, Props, Scope};
use crate::model::{BrokerId, TopicName};
use crate::registry::{ConfigEntity, EntityType, Registry};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
/// How the znode of all brokers' common configuration is named.
const DEFAULT_NAME: &str = "<default>";

/// What the handler works with.
pub(crate) struct AlterConfigs<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) cluster: &'a Cluster,
    pub(crate) configs: &'a TopicConfigs,
    pub(crate) broker_id: BrokerId,
    /// Whose turn it is to read, change and write.
    pub(crate) turn: &'a Mutex<()>,
}

type Refusal = (ResponseError, Option<String>);

/// One change of one key, by Kafka's codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Set,
    Delete,
    Append,
    Subtract,
}

impl Operation {
    fn of(code: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract]
            .get(usize::try_from(code).ok()?)
            .copied()
    }
}

/// What a resource shall become.
enum Change {
    /// Exactly these properties.
    Replace(Props),
    /// What it has, changed key by key.
    Edit(Vec<(String, i8, Option<String>)>),
}

struct Resource {
    kind: i8,
    name: String,
    change: Change,
    /// What is wrong with the request itself.
    flaw: Option<Refusal>,
}

impl AlterConfigs<'_> {
    pub(crate) async fn replace(&self, request: AlterConfigsRequest) -> AlterConfigsResponse {
        let read = request.resources.iter().map(|resource| {
            let entries = resource.configs.iter();
            let pairs = entries.map(|entry| {
                let value = entry.value.as_ref().map(ToString::to_string);
                (entry.name.to_string(), value)
            });
            let pairs: Vec<_> = pairs.collect();
            let nulls = pairs.iter().filter(|(_, value)| value.is_none());
            let flaw = flaw(pairs.iter().map(|(name, _)| name), nulls.map(|(n, _)| n));
            let props = pairs.into_iter().filter_map(|(n, v)| Some((n, v?)));
            Resource {
                kind: resource.resource_type,
                name: resource.resource_name.to_string(),
                change: Change::Replace(props.collect()),
                flaw,
            }
        });
        let results = self.alter_all(read.collect(), request.validate_only).await;
        let responses = results.into_iter().map(|(kind, name, result)| {
            let (code, message) = answer(result);
            OldResult::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_error_code(code)
                .with_error_message(message.map(text))
        });
        AlterConfigsResponse::default().with_responses(responses.collect())
    }

    pub(crate) async fn edit(
        &self,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        const DELETE: i8 = 1;
        let read = request.resources.iter().map(|resource| {
            let entries = resource.configs.iter();
            let edits = entries.map(|entry| {
                let value = entry.value.as_ref().map(ToString::to_string);
                (entry.name.to_string(), entry.config_operation, value)
            });
            let edits: Vec<_> = edits.collect();
            let nulls = edits.iter();
            let nulls = nulls.filter(|(_, code, value)| *code != DELETE && value.is_none());
            let flaw = flaw(edits.iter().map(|(n, ..)| n), nulls.map(|(n, ..)| n));
            Resource {
                kind: resource.resource_type,
                name: resource.resource_name.to_string(),
                change: Change::Edit(edits),
                flaw,
            }
        });
        let results = self.alter_all(read.collect(), request.validate_only).await;
        let responses = results.into_iter().map(|(kind, name, result)| {
            let (code, message) = answer(result);
            AlterConfigsResourceResponse::default()
                .with_resource_type(kind)
                .with_resource_name(text(name))
                .with_error_code(code)
                .with_error_message(message.map(text))
        });
        IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
    }

    async fn alter_all(
        &self,
        resources: Vec<Resource>,
        validate_only: bool,
    ) -> Vec<(i8, String, Result<(), Refusal>)> {
        let mut seen = HashMap::new();
        for resource in &resources {
            *seen
                .entry((resource.kind, resource.name.clone()))
                .or_insert(0) += 1;
        }
        let _turn = self.turn.lock().await;
        let mut results = Vec::with_capacity(resources.len());
        for resource in resources {
            let result = match seen[&(resource.kind, resource.name.clone())] {
                1 => self.alter(&resource, validate_only).await,
                _ => invalid("Each resource must appear at most once."),
            };
            if let Err((code, message)) = &result {
                tracing::info!(kind = resource.kind, name = %resource.name, ?code, ?message,
                    "a configuration is not changed");
            }
            results.push((resource.kind, resource.name, result));
        }
        results
    }

    async fn alter(&self, resource: &Resource, validate_only: bool) -> Result<(), Refusal> {
        if let Some(flaw) = &resource.flaw {
            return Err(flaw.clone());
        }
        let is_edit = matches!(resource.change, Change::Edit(_));
        match resource.kind {
            TOPIC => self.alter_topic(resource, validate_only).await,
            BROKER => self.alter_broker(resource, validate_only).await,
            CLIENT_METRICS => invalid(
                "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS",
            ),
            BROKER_LOGGER if is_edit => self.refuse_logger(resource),
            kind => invalid(format!("Unknown resource type {kind}")),
        }
    }

    async fn alter_topic(&self, resource: &Resource, validate_only: bool) -> Result<(), Refusal> {
        if resource.name.is_empty() {
            return invalid("Default topic resources are not allowed.");
        }
        let unknown = || {
            let message = format!("The topic '{}' does not exist.", resource.name);
            (ResponseError::UnknownTopicOrPartition, Some(message))
        };
        let name = TopicName::new(&resource.name).map_err(|_| unknown())?;
        let entity = ConfigEntity {
            entity_type: EntityType::Topics,
            name: resource.name.clone(),
        };
        let list_default = |name: &str| {
            let key = topic_key(name)?;
            Some((key.value_type == ValueType::List).then_some(key.default))
        };
        let props = match &resource.change {
            Change::Replace(props) => props.clone(),
            Change::Edit(edits) => edited(self.stored(&entity).await?, edits, &list_default)?,
        };
        if self.cluster.snapshot().topic(name.as_str()).is_none() {
            return Err(unknown());
        }
        let config: IndexMap<_, _> = props.into_iter().collect();
        self.configs
            .check(&config)
            .map_err(|refused| error::topic_config(&refused, &resource.name))?;
        match validate_only {
            true => Ok(()),
            false => self.write(&entity, &config).await,
        }
    }

    async fn alter_broker(&self, resource: &Resource, validate_only: bool) -> Result<(), Refusal> {
        let scope = match resource.name.is_empty() {
            true => Scope::Cluster,
            false => {
                self.check_own_id(&resource.name)?;
                Scope::Broker
            }
        };
        let entity = ConfigEntity {
            entity_type: EntityType::Brokers,
            name: match scope {
                Scope::Cluster => DEFAULT_NAME.to_owned(),
                Scope::Broker => self.broker_id.to_string(),
            },
        };
        let list_default = |name: &str| {
            let entry = catalog::lookup(name).filter(|entry| entry.name == name)?;
            let default = entry.default.unwrap_or_default();
            Some((entry.value_type == ValueType::List).then_some(default))
        };
        let props = match &resource.change {
            Change::Replace(props) => props.clone(),
            Change::Edit(edits) => edited(self.stored(&entity).await?, edits, &list_default)?,
        };
        let layers = self.configs.broker();
        let next = layers.with(scope, &props).map_err(|r| illegal(&r))?;
        defaults_of(&next).map_err(|refused| illegal(&refused))?;
        if validate_only {
            return Ok(());
        }
        Layers::check_storable(&props).map_err(|refusal| {
            let name = &resource.name;
            let message = format!(
                "Invalid config value for resource ConfigResource(type=BROKER, name='{name}'): {refusal}"
            );
            (ResponseError::InvalidConfig, Some(message))
        })?;
        self.write(&entity, &props.into_iter().collect()).await
    }

    /// This broker has no loggers by Kafka's names.
    fn refuse_logger(&self, resource: &Resource) -> Result<(), Refusal> {
        if resource.name.is_empty() {
            return invalid("Node id must be an integer, but it is: ");
        }
        self.check_own_id(&resource.name)?;
        let Change::Edit(edits) = &resource.change else {
            return Ok(());
        };
        match edits.first() {
            None => Ok(()),
            Some((name, ..)) => Err((
                ResponseError::InvalidConfig,
                Some(format!("Logger {name} does not exist!")),
            )),
        }
    }

    fn check_own_id(&self, name: &str) -> Result<(), Refusal> {
        match name.parse::<BrokerId>() {
            Err(_) => invalid(format!("Node id must be an integer, but it is: {name}")),
            Ok(id) if id != self.broker_id => invalid(format!(
                "Unexpected broker id, expected {}, but received {name}",
                self.broker_id
            )),
            Ok(_) => Ok(()),
        }
    }

    async fn stored(&self, entity: &ConfigEntity) -> Result<Props, Refusal> {
        let stored = self.registry.config(entity).await;
        stored
            .map(|config| config.into_iter().collect())
            .map_err(|failed| error::config_znode(&failed))
    }

    async fn write(
        &self,
        entity: &ConfigEntity,
        config: &IndexMap<String, String>,
    ) -> Result<(), Refusal> {
        let written = self.registry.change_config(entity, config).await;
        written.map_err(|failed| error::config_znode(&failed))
    }
}

fn invalid<T>(message: impl Into<String>) -> Result<T, Refusal> {
    Err((ResponseError::InvalidRequest, Some(message.into())))
}

fn illegal(refusal: &dyn std::fmt::Display) -> Refusal {
    (ResponseError::InvalidRequest, Some(refusal.to_string()))
}

fn answer(result: Result<(), Refusal>) -> (i16, Option<String>) {
    match result {
        Ok(()) => (0, None),
        Err((error, message)) => (error.code(), message),
    }
}

/// What is wrong with the list of keys itself.
fn flaw<'a>(
    mut names: impl Iterator<Item = &'a String>,
    nulls: impl Iterator<Item = &'a String>,
) -> Option<Refusal> {
    let mut seen = BTreeSet::new();
    if !names.all(|name| seen.insert(name)) {
        return invalid::<()>("Error due to duplicate config keys").err();
    }
    let nulls: Vec<&str> = nulls.map(String::as_str).collect();
    match nulls.is_empty() {
        true => None,
        false => invalid::<()>(format!(
            "Null value not supported for : {}",
            nulls.join(", ")
        ))
        .err(),
    }
}

/// `props` with every edit made. `list_default` knows each key (`None`: no such
/// key; `Some(None)`: no list) and a list's default.
fn edited(
    mut props: Props,
    edits: &[(String, i8, Option<String>)],
    list_default: &dyn Fn(&str) -> Option<Option<&'static str>>,
) -> Result<Props, Refusal> {
    for (name, code, value) in edits {
        let value = value.as_deref().unwrap_or_default();
        let Some(operation) = Operation::of(*code) else {
            // Kafka fails here, and says no more.
            return Err((ResponseError::UnknownServerError, None));
        };
        let verb = match operation {
            Operation::Set => {
                props.insert(name.clone(), value.to_owned());
                continue;
            }
            Operation::Delete => {
                props.remove(name);
                continue;
            }
            Operation::Append => "append",
            Operation::Subtract => "subtract",
        };
        let default = match list_default(name) {
            // Kafka fails here, and says no more.
            None => return Err((ResponseError::UnknownServerError, None)),
            Some(None) => {
                let message = format!("Config value {verb} is not allowed for config key: {name}");
                return Err((ResponseError::InvalidConfig, Some(message)));
            }
            Some(Some(default)) => default,
        };
        let old = props.get(name).map_or(default, String::as_str);
        let mut items: Vec<&str> = old.split(',').collect();
        match operation {
            Operation::Subtract => {
                for gone in value.split(',') {
                    if let Some(at) = items.iter().position(|item| *item == gone) {
                        items.remove(at);
                    }
                }
            }
            _ => {
                items.retain(|item| !item.is_empty());
                let known = items.clone();
                items.extend(value.split(',').filter(|item| !known.contains(item)));
            }
        }
        let joined = items.join(",");
        props.insert(name.clone(), joined);
    }
    Ok(props)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(name: &str) -> Option<Option<&'static str>> {
        match name {
            "cleanup.policy" => Some(Some("delete")),
            "retention.ms" => Some(None),
            _ => None,
        }
    }

    fn edit(stored: &[(&str, &str)], name: &str, code: i8, value: &str) -> Result<Props, Refusal> {
        let stored = stored.iter();
        let stored = stored.map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let edits = [(name.to_owned(), code, Some(value.to_owned()))];
        edited(stored.collect(), &edits, &lists)
    }

    #[test]
    fn lists_grow_and_shrink_from_what_is_stored_or_the_default() {
        let policy = |stored: &[(&str, &str)], code, value| {
            edit(stored, "cleanup.policy", code, value).unwrap()["cleanup.policy"].clone()
        };
        assert_eq!(policy(&[], 2, "compact"), "delete,compact");
        assert_eq!(policy(&[], 2, "delete"), "delete");
        let both = [("cleanup.policy", "compact,delete")];
        assert_eq!(policy(&both, 3, "compact"), "delete");
        assert_eq!(policy(&both, 0, "compact"), "compact");
        assert!(edit(&both, "cleanup.policy", 1, "").unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_edited_is_refused_as_kafka_does() {
        let (code, message) = edit(&[], "retention.ms", 2, "1").unwrap_err();
        assert_eq!(code, ResponseError::InvalidConfig);
        let expected = "Config value append is not allowed for config key: retention.ms";
        assert_eq!(message.as_deref(), Some(expected));
        let (code, message) = edit(&[], "nonsense", 3, "1").unwrap_err();
        assert_eq!((code, message), (ResponseError::UnknownServerError, None));
        let (code, message) = edit(&[], "retention.ms", 9, "1").unwrap_err();
        assert_eq!((code, message), (ResponseError::UnknownServerError, None));
    }

    #[test]
    fn keys_come_once_and_with_values() {
        let names = ["a".to_owned(), "a".to_owned()];
        let twice = flaw(names.iter(), [].iter()).unwrap();
        assert_eq!(
            twice.1.as_deref(),
            Some("Error due to duplicate config keys")
        );
        let null = flaw(names[..1].iter(), names[..1].iter()).unwrap();
        assert_eq!(null.1.as_deref(), Some("Null value not supported for : a"));
        assert_eq!(flaw(names[..1].iter(), [].iter()), None);
    }
}
