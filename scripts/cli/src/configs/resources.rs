//! Settings of topics, brokers, loggers and client metrics.

use super::arguments::{BROKERS, CLIENT_METRICS, Changes, Entities, LOGGERS, TOPICS};
use super::{Error, check_deleted, singular};
use crate::client::Client;
use crate::client::configs::{Entry, Kind, Resource, Source, Synonym};
use crate::client::metadata::{AutoCreate, Topics};
use crate::console;

/// The owner of settings that a type and a name stand for, and where those
/// that were changed come from.
fn resource(kind: &str, name: &str) -> (Resource, Option<Source>) {
    let (kind, changed) = match (kind, name) {
        (BROKERS, "") => (Kind::Broker, Some(Source::DEFAULT_BROKER)),
        (BROKERS, _) => (Kind::Broker, Some(Source::BROKER)),
        (LOGGERS, _) => (Kind::BrokerLogger, None),
        (CLIENT_METRICS, _) => (Kind::ClientMetrics, Some(Source::CLIENT_METRICS)),
        _ => (Kind::Topic, Some(Source::TOPIC)),
    };
    let name = name.to_owned();
    (Resource { kind, name }, changed)
}

pub(super) async fn describe(
    client: &Client,
    entities: &Entities,
    is_all: bool,
) -> Result<(), Error> {
    let kind = entities.types.first().copied().unwrap_or(TOPICS);
    let names = match entities.names.first() {
        Some(name) => vec![name.clone()],
        None => every_name(client, kind).await?,
    };
    for name in names {
        console::say(headline(kind, &name, is_all));
        for entry in changed(client, kind, &name, is_all).await? {
            console::say(line(&entry));
        }
    }
    Ok(())
}

async fn every_name(client: &Client, kind: &str) -> Result<Vec<String>, Error> {
    if kind == TOPICS {
        let listed = client.list_topics().await?;
        return Ok(listed.into_iter().map(|topic| topic.name).collect());
    }
    if kind == CLIENT_METRICS {
        return Err(Error::Refused(
            "The cluster does not support client-metrics: they need a KRaft controller".to_owned(),
        ));
    }
    client
        .retrying("describeCluster", async || {
            client
                .refresh(Topics::Named(&[]), AutoCreate::Never)
                .await
                .map(|_| ())
        })
        .await?;
    let mut names: Vec<String> = client
        .brokers()
        .iter()
        .map(|broker| broker.id.to_string())
        .collect();
    // Last, what holds for all of them.
    names.push(String::new());
    Ok(names)
}

/// The settings to show: all, or those that were changed at this very place.
async fn changed(
    client: &Client,
    kind: &str,
    name: &str,
    is_all: bool,
) -> Result<Vec<Entry>, Error> {
    let (resource, source) = resource(kind, name);
    let mut entries = client.describe_resource(&resource, true).await?;
    if let Some(source) = source.filter(|_| !is_all) {
        entries.retain(|entry| entry.source == source);
    }
    Ok(entries)
}

pub(super) async fn alter(
    client: &Client,
    entities: &Entities,
    changes: &Changes,
) -> Result<(), Error> {
    let kind = entities.types.first().copied().unwrap_or(TOPICS);
    let name = entities.names.first().map_or("", String::as_str);
    let set = changed(client, kind, name, false).await?;
    let is_set = |name: &str| set.iter().any(|entry| entry.name == name);
    if kind == LOGGERS {
        let all = changes.all();
        let unknown: Vec<&str> = all
            .iter()
            .map(|(name, _)| name.as_str())
            .filter(|name| !is_set(name))
            .collect();
        if !unknown.is_empty() {
            return Err(Error::Refused(format!(
                "Invalid broker logger(s): {}",
                unknown.join(",")
            )));
        }
    } else {
        check_deleted(changes, is_set)?;
    }
    let (resource, _) = resource(kind, name);
    Ok(client.alter_resource(&resource, &changes.all()).await?)
}

fn headline(kind: &str, name: &str, is_all: bool) -> String {
    let which = if is_all { "All" } else { "Dynamic" };
    match name {
        "" => format!("Default configs for {kind} in the cluster are:"),
        name => format!("{which} configs for {} {name} are:", singular(kind)),
    }
}

fn line(entry: &Entry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
    let synonym = |of: &Synonym| format!("{}:{}={}", of.source.name(), of.name, text(&of.value));
    let synonyms: Vec<String> = entry.synonyms.iter().map(synonym).collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        entry.name,
        text(&entry.value),
        entry.is_sensitive,
        synonyms.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_kafka_prints_them() {
        let synonym = |name: &str, value: &str, source| Synonym {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source,
        };
        let mut entry = Entry {
            name: "retention.ms".to_owned(),
            value: Some("1000".to_owned()),
            source: Source::TOPIC,
            is_sensitive: false,
            synonyms: vec![
                synonym("retention.ms", "1000", Source::TOPIC),
                synonym("log.retention.hours", "168", Source(5)),
            ],
        };
        assert_eq!(
            line(&entry),
            "  retention.ms=1000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=1000, DEFAULT_CONFIG:log.retention.hours=168}"
        );
        entry.value = None;
        entry.is_sensitive = true;
        entry.synonyms.clear();
        assert_eq!(
            line(&entry),
            "  retention.ms=null sensitive=true synonyms={}"
        );
    }

    #[test]
    fn headlines() {
        assert_eq!(
            headline(TOPICS, "t", false),
            "Dynamic configs for topic t are:"
        );
        assert_eq!(
            headline(BROKERS, "0", true),
            "All configs for broker 0 are:"
        );
        assert_eq!(
            headline(BROKERS, "", false),
            "Default configs for brokers in the cluster are:"
        );
    }
}
