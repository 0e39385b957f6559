//! `kafka log-dirs`: what the brokers keep in which directory, as JSON.

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use serde_json::{Value, json};

use crate::client::metadata::{AutoCreate, Topics};
use crate::client::{Client, Error};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console, runtime, text};

const PURPOSE: &str = "This tool helps to query log directory usage on the specified brokers.";

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = Parser::new()
        .text(
            "bootstrap-server",
            "The server(s) to use for bootstrapping",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text(
            "command-config",
            "Admin client property file",
            "A properties file with settings for the connection to the brokers.",
        )
        .flag("describe", "Show what the directories of brokers hold.")
        .text(
            "topic-list",
            "Topic list",
            "The topics to show, as topic1,topic2; all if absent.",
        )
        .or("")
        .text(
            "broker-list",
            "Broker list",
            "The brokers to ask, as 0,1,2; all if absent.",
        )
        .or("");
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    options
        .require(&["bootstrap-server", "describe"])
        .map_err(|error| Failure::usage(&parser, error))?;
    let mut settings = admin::settings(&options, "command-config").map_err(Failure::new)?;
    settings.fill("client.id", "log-dirs-tool");
    let client = admin::connect(&settings).map_err(Failure::new)?;
    let topics = words_of(&options, "topic-list");
    let asked = words_of(&options, "broker-list")
        .iter()
        .map(|word| word.parse())
        .collect::<Result<BTreeSet<i32>, _>>()
        .map_err(|_| Failure::new("The brokers of --broker-list must be numbers"))?;
    runtime::block_on(async { describe(&client, &asked, &topics).await })
}

fn words_of(options: &Options, name: &str) -> Vec<String> {
    let list = options.text(name).unwrap_or_default();
    let words = list.split(',').filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

async fn describe(client: &Client, asked: &BTreeSet<i32>, topics: &[String]) -> Outcome {
    let failed = |error: Error| admin::thrown(&error.class(), &error.to_string());
    client
        .retrying("describeCluster", async || {
            let none = Topics::Named(&[]);
            client.refresh(none, AutoCreate::Never).await.map(|_| ())
        })
        .await
        .map_err(failed)?;
    let known: Vec<i32> = client.brokers().iter().map(|broker| broker.id).collect();
    let asked: Vec<i32> = match asked.is_empty() {
        true => known.clone(),
        false => asked.iter().copied().collect(),
    };
    let missing: Vec<i32> = asked
        .iter()
        .copied()
        .filter(|broker| !known.contains(broker))
        .collect();
    if !missing.is_empty() {
        return Err(Failure::new(format!(
            "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
            text::joined(&missing),
            text::joined(&known)
        )));
    }
    console::say("Querying brokers for log directories information");
    let mut brokers = Vec::new();
    for broker in &asked {
        let dirs = client.describe_log_dirs(*broker).await.map_err(failed)?;
        let dirs: Vec<Value> = dirs.iter().map(|dir| log_dir(dir, topics)).collect();
        brokers.push(json!({ "broker": broker, "logDirs": dirs }));
    }
    console::say(format_args!(
        "Received log directory information from brokers {}",
        text::joined(&asked)
    ));
    console::say(json!({ "brokers": brokers, "version": 1 }));
    Ok(())
}

/// The keys are in the order in which Kafka's tool happens to write them.
fn log_dir(dir: &DescribeLogDirsResult, topics: &[String]) -> Value {
    let mut partitions = Vec::new();
    for topic in &dir.topics {
        let name = topic.name.0.to_string();
        if !topics.is_empty() && !topics.contains(&name) {
            continue;
        }
        for partition in &topic.partitions {
            partitions.push(json!({
                "partition": format!("{name}-{}", partition.partition_index),
                "size": partition.partition_size,
                "offsetLag": partition.offset_lag,
                "isFuture": partition.is_future_key,
            }));
        }
    }
    let error = Error::check(dir.error_code, None).err();
    json!({
        "partitions": partitions,
        "error": error.map(|error| error.class()),
        "logDir": dir.log_dir.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsTopic,
    };
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    #[test]
    fn directories_as_kafka_prints_them() {
        let topic = |name: &'static str| {
            DescribeLogDirsTopic::default()
                .with_name(TopicName(StrBytes::from_static_str(name)))
                .with_partitions(vec![
                    DescribeLogDirsPartition::default().with_partition_size(5),
                ])
        };
        let dir = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_static_str("/d"))
            .with_topics(vec![topic("a"), topic("b")]);
        assert_eq!(
            log_dir(&dir, &["b".to_owned()]).to_string(),
            r#"{"partitions":[{"partition":"b-0","size":5,"offsetLag":0,"isFuture":false}],"error":null,"logDir":"/d"}"#
        );
        let offline = DescribeLogDirsResult::default().with_error_code(56);
        assert_eq!(
            log_dir(&offline, &[])["error"],
            "org.apache.kafka.common.errors.KafkaStorageException"
        );
    }
}
