//! `kafka leader-election`: makes preferred replicas leaders again, or, when
//! no replica in sync is left, any that lives.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;

use crate::client::consumer::TopicPartition;
use crate::client::records::Election;
use crate::client::{Client, Error};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console, json, runtime};

const PURPOSE: &str = "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported are preferred replicas and unclean replicas.";
const REFUSED: &str = "org.apache.kafka.server.common.AdminCommandFailedException";
const TIMEOUT_MS: u32 = 30_000;

fn parser() -> Parser {
    Parser::new()
        .text("bootstrap-server", "host:port", "REQUIRED: One or more brokers, as host:port,host:port.")
        .text("admin.config", "config file", "A properties file with settings for the connection to the brokers.")
        .text("path-to-json-file", "Path to JSON file", "A file with the partitions: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}]}")
        .text("topic", "topic name", "The topic of the one partition to hold the election for.")
        .int("partition", "partition id", "The partition; with --topic.")
        .flag("all-topic-partitions", "Hold the election for every partition that it can be held for.")
        .text("election-type", "election type", "REQUIRED: preferred (give leadership back to the first replica) or unclean (choose among all that live where there is no leader).")
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    let refuse = |message: String| admin::thrown(REFUSED, &message);
    validate(&options).map_err(refuse)?;
    let election = election(&options).map_err(Failure::new)?;
    let partitions = partitions(&options).map_err(Failure::new)?;
    let mut settings = admin::settings(&options, "admin.config").map_err(Failure::new)?;
    settings.fill("default.api.timeout.ms", TIMEOUT_MS.to_string());
    settings.fill("request.timeout.ms", (TIMEOUT_MS / 2).to_string());
    let client = admin::connect(&settings).map_err(Failure::new)?;
    runtime::block_on(async { elect(&client, election, partitions.as_deref()).await })
}

fn validate(options: &Options) -> Result<(), String> {
    let required = ["bootstrap-server", "election-type"];
    let missing: Vec<&str> = required
        .into_iter()
        .filter(|name| !options.has(name))
        .collect();
    if !missing.is_empty() {
        return Err(format!(
            "Missing required option(s): {}",
            missing.join(", ")
        ));
    }
    let ways = ["topic", "all-topic-partitions", "path-to-json-file"];
    if ways.iter().filter(|way| options.has(way)).count() != 1 {
        return Err(format!(
            "One and only one of the following options is required: {}",
            ways.join(", ")
        ));
    }
    match (options.has("topic"), options.has("partition")) {
        (true, false) => Err("Missing required option(s): partition".to_owned()),
        (false, true) => Err("Option partition is only allowed if topic is used".to_owned()),
        _ => Ok(()),
    }
}

fn election(options: &Options) -> Result<Election, String> {
    let written = options.text("election-type").unwrap_or_default();
    match written.to_ascii_lowercase().as_str() {
        "preferred" => Ok(Election::Preferred),
        "unclean" => Ok(Election::Unclean),
        _ => Err(format!(
            "Cannot parse argument '{written}' of option election-type"
        )),
    }
}

/// The partitions to hold the election for; `None` is all.
fn partitions(options: &Options) -> Result<Option<Vec<TopicPartition>>, String> {
    if let Some(path) = options.text("path-to-json-file") {
        let text = json::read(path).map_err(|error| error.to_string())?;
        return listed(&text).map(Some);
    }
    let Some(topic) = options.text("topic") else {
        return Ok(None);
    };
    let partition = options
        .i32("partition")
        .map_err(|error| error.to_string())?;
    Ok(Some(vec![(
        topic.to_owned(),
        partition.unwrap_or_default(),
    )]))
}

fn listed(text: &str) -> Result<Vec<TopicPartition>, String> {
    let parsed = || {
        let value = json::parse(text, "Replica election data is empty")?;
        if value.get("partitions").is_none() {
            let missing = "Replica election data is missing \"partitions\" field";
            return Err(json::Error::Invalid(missing));
        }
        json::list(&value, "partitions")?
            .iter()
            .map(|of| Ok((json::text(of, "topic")?, json::i32(of, "partition")?)))
            .collect::<Result<Vec<_>, _>>()
    };
    let partitions: Vec<TopicPartition> = parsed().map_err(|error| error.to_string())?;
    let mut times: BTreeMap<&TopicPartition, usize> = BTreeMap::new();
    for at in &partitions {
        *times.entry(at).or_default() += 1;
    }
    let duplicates: Vec<&TopicPartition> = times
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(at, _)| at)
        .collect();
    match duplicates.is_empty() {
        true => Ok(partitions),
        false => Err(format!(
            "Replica election data contains duplicate partitions: [{}]",
            names(&duplicates)
        )),
    }
}

fn names(partitions: &[&TopicPartition]) -> String {
    let name = |(topic, partition): &&TopicPartition| format!("{topic}-{partition}");
    let names: Vec<String> = partitions.iter().map(name).collect();
    names.join(", ")
}

async fn elect(
    client: &Client,
    election: Election,
    partitions: Option<&[TopicPartition]>,
) -> Outcome {
    let kind = match election {
        Election::Preferred => "PREFERRED",
        Election::Unclean => "UNCLEAN",
    };
    let results = match client.elect_leaders(election, partitions).await {
        Ok(results) => results,
        Err(error) => {
            let message = if error.is(ResponseError::ClusterAuthorizationFailed) {
                "Not authorized to perform leader election"
            } else if error.is_connection()
                || error.is(ResponseError::RequestTimedOut)
                || matches!(error, Error::NoNode(_))
            {
                "Timeout waiting for election results"
            } else {
                return Err(admin::thrown(&error.class(), &error.to_string()));
            };
            console::say(message);
            return Err(admin::thrown(REFUSED, message));
        }
    };
    let report = report(kind, &results);
    console::print(format_args!("{}", report.text));
    match report.failed {
        0 => Ok(()),
        failed => Err(admin::thrown(
            REFUSED,
            &format!("{failed} replica(s) could not be elected"),
        )),
    }
}

struct Report {
    text: String,
    failed: usize,
}

fn report(kind: &str, results: &BTreeMap<TopicPartition, Result<(), Error>>) -> Report {
    let not_needed = |result: &Result<(), Error>| matches!(result, Err(error) if error.is(ResponseError::ElectionNotNeeded));
    let elected: Vec<&TopicPartition> = results
        .iter()
        .filter(|(_, result)| result.is_ok())
        .map(|(at, _)| at)
        .collect();
    let valid: Vec<&TopicPartition> = results
        .iter()
        .filter(|(_, result)| not_needed(result))
        .map(|(at, _)| at)
        .collect();
    let mut text = String::new();
    if !elected.is_empty() {
        text += &format!(
            "Successfully completed leader election ({kind}) for partitions {}\n",
            names(&elected)
        );
    }
    if !valid.is_empty() {
        text += &format!(
            "Valid replica already elected for partitions {}\n",
            names(&valid)
        );
    }
    let mut failed = 0;
    for (at, result) in results {
        let Err(error) = result else { continue };
        if !not_needed(result) {
            failed += 1;
            text += &format!(
                "Error completing leader election ({kind}) for partition: {}: {}: {error}\n",
                names(&[at]),
                error.class()
            );
        }
    }
    Report { text, failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parser().parse(&words).unwrap()
    }

    #[test]
    fn exactly_one_choice_of_partitions() {
        let check = |line: &str| {
            let line = format!("--bootstrap-server a:1 --election-type preferred {line}");
            validate(&options(&line)).err()
        };
        assert_eq!(check("--topic t --partition 0"), None);
        assert_eq!(check("--all-topic-partitions"), None);
        let only_one = "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file";
        assert_eq!(check("").as_deref(), Some(only_one));
        assert_eq!(
            check("--topic t --all-topic-partitions").as_deref(),
            Some(only_one)
        );
        assert_eq!(
            check("--topic t").as_deref(),
            Some("Missing required option(s): partition")
        );
        assert_eq!(
            validate(&options("--topic t")).unwrap_err(),
            "Missing required option(s): bootstrap-server, election-type"
        );
        assert_eq!(
            election(&options("--election-type PREFERRED")),
            Ok(Election::Preferred)
        );
        assert!(election(&options("--election-type x")).is_err());
    }

    #[test]
    fn results_as_kafka_tells_them() {
        let at = |partition| ("t".to_owned(), partition);
        let failure = |code| Error::check(code, Some("why"));
        let results = BTreeMap::from([
            (at(0), Ok(())),
            (at(1), failure(ResponseError::ElectionNotNeeded.code())),
            (
                at(2),
                failure(ResponseError::PreferredLeaderNotAvailable.code()),
            ),
            (at(3), Ok(())),
        ]);
        let report = report("PREFERRED", &results);
        assert_eq!(report.failed, 1);
        assert_eq!(
            report.text,
            "Successfully completed leader election (PREFERRED) for partitions t-0, t-3\n\
             Valid replica already elected for partitions t-1\n\
             Error completing leader election (PREFERRED) for partition: t-2: org.apache.kafka.common.errors.PreferredLeaderNotAvailableException: why\n"
        );
    }

    #[test]
    fn the_file_lists_each_partition_once() {
        let one = r#"{"topic":"a","partition":1}"#;
        assert_eq!(
            listed(&format!(r#"{{"partitions":[{one}]}}"#)),
            Ok(vec![("a".to_owned(), 1)])
        );
        assert_eq!(
            listed(&format!(r#"{{"partitions":[{one},{one}]}}"#)),
            Err("Replica election data contains duplicate partitions: [a-1]".to_owned())
        );
        assert!(listed("{}").unwrap_err().contains("missing \"partitions\""));
    }
}
