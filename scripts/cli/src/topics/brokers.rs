//! Topic commands through the brokers.

use kafka_protocol::error::ResponseError;

use super::arguments::{Action, Arguments};
use super::description::{self, MIN_ISR, PartitionLine, Report, Selection, TopicLines};
use super::{Error, warn_of_collision};
use crate::client::admin::{ConfigEntry, NewPartitions, NewTopic, Topic};
use crate::client::config::Settings;
use crate::client::{Client, Config};
use crate::{console, text};

pub(super) async fn run(arguments: &Arguments, settings: &Settings) -> Result<(), Error> {
    let config = Config::from_settings(settings, "AdminClient", "adminclient-1")?;
    let client = Client::new(config);
    match arguments.action {
        Action::Create => create(arguments, &client).await,
        Action::List => list(arguments, &client).await,
        Action::Describe => describe(arguments, &client).await,
        Action::Alter => alter(arguments, &client).await,
        Action::Delete => delete(arguments, &client).await,
    }
}

async fn create(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    let name = arguments.topic().unwrap_or_default();
    let partitions = arguments.partitions()?;
    let replication_factor = arguments.replication_factor()?;
    let assignment = arguments.replica_assignment()?;
    let configs = arguments.configs()?;
    warn_of_collision(name);
    let replication_factor = replication_factor
        .map(|factor| {
            i16::try_from(factor)
                .ok()
                .filter(|factor| *factor >= 1)
                .ok_or_else(|| {
                    let most = i16::MAX;
                    Error::Refused(format!(
                        "The replication factor must be between 1 and {most} inclusive"
                    ))
                })
        })
        .transpose()?;
    if partitions.is_some_and(|count| count < 1) {
        return Err(Error::Refused(
            "The partitions must be greater than 0".to_owned(),
        ));
    }
    let topic = NewTopic {
        name: name.to_owned(),
        partitions,
        replication_factor,
        assignment,
        configs,
    };
    match client.create_topic(&topic).await {
        Err(error)
            if arguments.has("if-not-exists") && error.is(ResponseError::TopicAlreadyExists) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(()) => {
            console::say(format_args!("Created topic {name}."));
            Ok(())
        }
    }
}

async fn list(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    console::say(chosen(arguments, client).await?.join("\n"));
    Ok(())
}

async fn alter(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    let count = arguments.partitions()?.unwrap_or_default();
    let assignment = arguments.replica_assignment()?;
    let names = existing(arguments, client).await?;
    if names.is_empty() {
        return Ok(());
    }
    let mut counts = Vec::new();
    for topic in client.describe_topics(&names).await? {
        let added = assignment.get(topic.partitions.len()..).unwrap_or_default();
        let added = (!assignment.is_empty()).then(|| added.to_vec());
        counts.push(NewPartitions {
            topic: topic.name,
            count,
            added,
        });
    }
    Ok(client.create_partitions(&counts).await?)
}

async fn delete(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    let names = existing(arguments, client).await?;
    if names.is_empty() {
        return Ok(());
    }
    Ok(client.delete_topics(&names).await?)
}

async fn describe(arguments: &Arguments, client: &Client) -> Result<(), Error> {
    let topics = match arguments.topic_id()? {
        Some(id) => {
            let listed = client.list_topics().await?;
            if listed.iter().any(|topic| topic.id == id) {
                client.describe_topic_id(id).await?
            } else if arguments.has("if-exists") {
                Vec::new()
            } else {
                return Err(Error::NoTopicId(text::topic_id(id)));
            }
        }
        None => {
            let names = existing(arguments, client).await?;
            match names.is_empty() {
                true => Vec::new(),
                false => client.describe_topics(&names).await?,
            }
        }
    };
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut configs = client.describe_topic_configs(&names).await?;
    let mut moves = client.reassignments().await?;
    let selection = selection(arguments, client);
    for topic in topics {
        let configs = configs.remove(&topic.name).unwrap_or_default();
        let mut lines = lines_of(topic, configs);
        for partition in &mut lines.partitions {
            partition.reassignment = moves.remove(&(lines.name.clone(), partition.index));
        }
        console::print(format_args!(
            "{}",
            description::describe(&lines, &selection)
        ));
    }
    Ok(())
}

fn selection(arguments: &Arguments, client: &Client) -> Selection {
    Selection {
        reports: reports(arguments),
        only_overridden: arguments.has("topics-with-overrides"),
        live_brokers: client.brokers().iter().map(|broker| broker.id).collect(),
        with_elr: true,
    }
}

/// The reports that the command line asks for.
pub(super) fn reports(arguments: &Arguments) -> Vec<Report> {
    [
        ("under-replicated-partitions", Report::UnderReplicated),
        ("unavailable-partitions", Report::Unavailable),
        ("under-min-isr-partitions", Report::UnderMinIsr),
        ("at-min-isr-partitions", Report::AtMinIsr),
    ]
    .into_iter()
    .filter(|(option, _)| arguments.has(option))
    .map(|(_, report)| report)
    .collect()
}

fn lines_of(topic: Topic, configs: Vec<ConfigEntry>) -> TopicLines {
    let min_isr = configs
        .iter()
        .find(|entry| entry.name == MIN_ISR)
        .and_then(|entry| entry.value.parse().ok());
    TopicLines {
        name: topic.name,
        id: (!topic.id.is_nil()).then(|| text::topic_id(topic.id)),
        configs: configs
            .into_iter()
            .filter(|entry| !entry.is_default)
            .map(|entry| (entry.name, entry.value))
            .collect(),
        min_isr,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| PartitionLine {
                index: partition.index,
                leader: partition.leader,
                replicas: partition.replicas,
                isr: partition.isr,
                reassignment: None,
            })
            .collect(),
        is_marked_for_deletion: false,
    }
}

/// The topics the command is about; none is an error unless it may be.
async fn existing(arguments: &Arguments, client: &Client) -> Result<Vec<String>, Error> {
    let names = chosen(arguments, client).await?;
    match arguments.topic() {
        Some(topic) if names.is_empty() && !topic.is_empty() && !arguments.has("if-exists") => {
            // Kafka 3.9 prints the name in the wrapping of its language.
            Err(Error::NoTopic(format!("Optional[{topic}]")))
        }
        _ => Ok(names),
    }
}

async fn chosen(arguments: &Arguments, client: &Client) -> Result<Vec<String>, Error> {
    let listed = client.list_topics().await?;
    arguments.chosen(
        listed
            .into_iter()
            .map(|topic| (topic.name, topic.is_internal)),
    )
}
