//! `kafka verifiable-consumer`: reads a topic as a member of a group and tells
//! what it was assigned, what it read and what it committed.
//!
//! Flow: `poll` → an event for each change of the group → at most
//! `max.poll.records` records at a time → an event for them → a commit → its
//! event.
//!
//! **Invariant:** a signal never interrupts a commit.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use indexmap::IndexMap;
use kafka_protocol::error::ResponseError as E;
use serde::Serialize;

use super::{Nothing, Tool, count_max, number, read, require, set_brokers, tell};
use crate::client::config::Settings;
use crate::client::consumer::{
    Consumer, ConsumerRecord, ConsumerSettings, Rebalance, Subscription, TopicPartition,
};
use crate::client::{Client, Config, Error};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{console, runtime};

const LOGGER: &str = "org.apache.kafka.tools.VerifiableConsumer";
const RANGE: &str = "org.apache.kafka.clients.consumer.RangeAssignor";
/// How long leaving the group may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Run {
    topic: String,
    /// `None` is without end.
    count: Option<usize>,
    at_once: usize,
    is_verbose: bool,
    commits_itself: bool,
    settings: Settings,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(run) = read::<Run>(words)? else {
        return Ok(());
    };
    let id = format!(
        "consumer-{}-1",
        run.settings.get("group.id").unwrap_or_default()
    );
    let config = Config::from_settings(&run.settings, "Consumer", &id);
    let client = Client::new(config.map_err(Failure::new)?);
    let settings = ConsumerSettings::new(&run.settings).map_err(Failure::new)?;
    let topics = Subscription::Topics(vec![run.topic.clone()]);
    runtime::block_on(consume(Consumer::new(client, settings, topics), run))
}

impl Tool for Run {
    const PROGRAM: &'static str = "verifiable-consumer";
    const PURPOSE: &'static str =
        "This tool reads a topic as a member of a group and prints what happens as JSON.";

    fn options(parser: Parser) -> Parser {
        parser
            .text("topic", "TOPIC", "REQUIRED: The topic to read.")
            .text(
                "group-protocol",
                "GROUP_PROTOCOL",
                "Only classic: the groups of KIP-848 are not for clusters with ZooKeeper.",
            )
            .or("classic")
            .text(
                "group-remote-assignor",
                "GROUP_REMOTE_ASSIGNOR",
                "Accepted for compatibility; only for --group-protocol consumer.",
            )
            .text(
                "group-id",
                "GROUP_ID",
                "REQUIRED: The group to be a member of.",
            )
            .text(
                "group-instance-id",
                "GROUP_INSTANCE_ID",
                "The name of a static member.",
            )
            .int(
                "max-messages",
                "MAX-MESSAGES",
                "End after this many records; -1 is never.",
            )
            .or("-1")
            .int(
                "session-timeout",
                "TIMEOUT_MS",
                "After how long without a sign of life the group goes on without us.",
            )
            .or("30000")
            .flag("verbose", "Tell of each record.")
            .flag(
                "enable-autocommit",
                "Commit at intervals instead of after each poll.",
            )
            .text(
                "reset-policy",
                "RESETPOLICY",
                "Where to begin without a committed offset: earliest, latest or none.",
            )
            .or("earliest")
            .text(
                "assignment-strategy",
                "ASSIGNMENTSTRATEGY",
                "How the leader of the group shares out; only the default is known.",
            )
            .or(RANGE)
            .text(
                "consumer.config",
                "CONFIG_FILE",
                "A properties file with settings of the consumer; options go before it.",
            )
    }

    fn of(options: &Options) -> Result<Self, String> {
        let integer = |name| number::<i32>(options, name, "Integer");
        let mut settings = match options.text("consumer.config") {
            Some(path) => Settings::load(path).map_err(|error| error.to_string())?,
            None => Settings::default(),
        };
        set_brokers(&mut settings, options)?;
        for (option, only) in [
            ("group-protocol", "classic"),
            ("assignment-strategy", RANGE),
        ] {
            let given = require(options, option)?;
            if !given.eq_ignore_ascii_case(only) {
                return Err(format!("argument --{option}: this tool knows only {only}"));
            }
        }
        settings.set("group.id", require(options, "group-id")?);
        if let Some(id) = options.text("group-instance-id") {
            settings.set("group.instance.id", id);
        }
        let commits_itself = options.has("enable-autocommit");
        settings.set("enable.auto.commit", commits_itself.to_string());
        settings.set("auto.offset.reset", require(options, "reset-policy")?);
        let session = integer("session-timeout")?.unwrap_or_default();
        settings.set("session.timeout.ms", session.to_string());
        let at_once = settings.i32("max.poll.records", 500);
        let at_once = at_once.map_err(|error| error.to_string())?;
        Ok(Self {
            topic: require(options, "topic")?.to_owned(),
            count: count_max(options)?,
            at_once: usize::try_from(at_once).unwrap_or_default().max(1),
            is_verbose: options.has("verbose"),
            commits_itself,
            settings,
        })
    }
}

async fn consume(mut consumer: Consumer, run: Run) -> Outcome {
    tell("startup_complete", Nothing {});
    let outcome = consume_all(&mut consumer, &run).await;
    if let Ok(Err(error)) = tokio::time::timeout(CLOSE_LIMIT, consumer.close()).await {
        let text = format_args!("The consumer could not be closed: {error}");
        console::warn(text, LOGGER);
    }
    tell_rebalances(&mut consumer);
    tell("shutdown_complete", Nothing {});
    outcome
}

async fn consume_all(consumer: &mut Consumer, run: &Run) -> Outcome {
    let mut signalled = pin!(runtime::signalled());
    let mut consumed = 0;
    while run.count.is_none_or(|most| consumed < most) {
        let polled = tokio::select! {
            biased;
            code = signalled.as_mut() => return Err(Failure::silent(code)),
            polled = consumer.poll() => polled,
        };
        tell_rebalances(consumer);
        let records = match polled {
            Ok(records) => records,
            Err(error) => {
                console::error(
                    "Error during processing, terminating consumer process: ",
                    LOGGER,
                );
                console::complain(error);
                return Ok(());
            }
        };
        for some in records.chunks(run.at_once) {
            let left = run.count.map(|most| most.saturating_sub(consumed));
            if left == Some(0) {
                return Ok(());
            }
            let offsets = tell_records(some, left, run.is_verbose, &mut consumed);
            some.iter().for_each(|record| consumer.delivered(record));
            if !run.commits_itself {
                let result = commit(consumer, &offsets).await;
                tell_commit(&offsets, &result);
            }
        }
        consumer.delivered_all();
    }
    Ok(())
}

/// Tells of records, at most `left` of them; behind which offsets they end.
fn tell_records(
    records: &[ConsumerRecord],
    mut left: Option<usize>,
    is_verbose: bool,
    consumed: &mut usize,
) -> BTreeMap<TopicPartition, i64> {
    let mut by_partition: IndexMap<(&str, i32), Vec<&ConsumerRecord>> = IndexMap::new();
    for record in records {
        let at = (record.topic.as_str(), record.partition);
        by_partition.entry(at).or_default().push(record);
    }
    let mut partitions = Vec::new();
    let mut offsets = BTreeMap::new();
    for ((topic, partition), mut list) in by_partition {
        list.truncate(left.unwrap_or(usize::MAX));
        left = left.map(|left| left - list.len());
        let (Some(first), Some(last)) = (list.first(), list.last()) else {
            continue;
        };
        offsets.insert((topic.to_owned(), partition), last.record.offset + 1);
        partitions.push(Summary {
            topic,
            partition,
            count: list.len(),
            min_offset: first.record.offset,
            max_offset: last.record.offset,
        });
        if is_verbose {
            list.iter().for_each(|record| tell_record(record));
        }
        *consumed += list.len();
    }
    let count = records.len();
    tell("records_consumed", Consumed { count, partitions });
    offsets
}

fn tell_record(record: &ConsumerRecord) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let event = Data {
        key: record.record.key.as_deref().map(text),
        value: record.record.value.as_deref().map(text),
        topic: &record.topic,
        partition: record.partition,
        offset: record.record.offset,
    };
    tell("record_data", event);
}

fn tell_rebalances(consumer: &mut Consumer) {
    for change in consumer.rebalances() {
        let (name, partitions) = match change {
            Rebalance::Revoked(partitions) => ("partitions_revoked", partitions),
            Rebalance::Assigned(partitions) => ("partitions_assigned", partitions),
        };
        let partitions = partitions
            .into_iter()
            .map(|(topic, partition)| Place { topic, partition })
            .collect();
        tell(name, Partitions { partitions });
    }
}

/// Commits, again and again while that may help.
async fn commit(
    consumer: &mut Consumer,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<(), Error> {
    let deadline = consumer.client().now() + consumer.client().config().api_timeout;
    loop {
        match consumer.commit_offsets(offsets.clone()).await {
            Err(error)
                if error.is_retriable()
                    && !error.is(E::RebalanceInProgress)
                    && consumer.client().now() < deadline =>
            {
                tokio::time::sleep(consumer.client().config().retry_backoff).await;
            }
            done => return done,
        }
    }
}

fn tell_commit(offsets: &BTreeMap<TopicPartition, i64>, result: &Result<(), Error>) {
    let event = Committed {
        offsets: offsets
            .iter()
            .map(|((topic, partition), offset)| Offset {
                topic,
                partition: *partition,
                offset: *offset,
            })
            .collect(),
        error: result.as_ref().err().map(commit_message),
        success: result.is_ok(),
    };
    tell("offsets_committed", event);
}

/// What Kafka's consumer says of a commit that failed.
fn commit_message(error: &Error) -> String {
    match error.code() {
        Some(E::RebalanceInProgress) => "Offset commit cannot be completed since the consumer is undergoing a rebalance for auto partition assignment. You can try completing the rebalance by calling poll() and then retry the operation.".to_owned(),
        Some(E::IllegalGeneration | E::UnknownMemberId) => "Offset commit cannot be completed since the consumer is not part of an active group for auto partition assignment; it is likely that the consumer was kicked out of the group.".to_owned(),
        _ => error.to_string(),
    }
}

#[derive(Serialize)]
struct Place {
    topic: String,
    partition: i32,
}

#[derive(Serialize)]
struct Partitions {
    partitions: Vec<Place>,
}

#[derive(Serialize)]
struct Consumed<'a> {
    count: usize,
    partitions: Vec<Summary<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    topic: &'a str,
    partition: i32,
    count: usize,
    min_offset: i64,
    max_offset: i64,
}

#[derive(Serialize)]
struct Data<'a> {
    key: Option<String>,
    value: Option<String>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Committed<'a> {
    offsets: Vec<Offset<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    success: bool,
}

#[derive(Serialize)]
struct Offset<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifiable::read_line;

    #[test]
    fn options_become_settings() {
        let run =
            read_line::<Run>("--broker-list a:1 --topic t --group-id g --group-instance-id i");
        let run = run.unwrap();
        for (key, value) in [
            ("group.id", "g"),
            ("group.instance.id", "i"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "earliest"),
            ("session.timeout.ms", "30000"),
        ] {
            assert_eq!(run.settings.get(key), Some(value), "{key}");
        }
        assert_eq!((run.count, run.at_once), (None, 500));
    }

    #[test]
    fn what_is_missing_or_unknown_is_told() {
        for (line, text) in [
            (
                "--broker-list a:1 --topic t",
                "argument --group-id is required",
            ),
            (
                "--broker-list a:1 --topic t --group-id g --group-protocol consumer",
                "argument --group-protocol: this tool knows only classic",
            ),
        ] {
            assert_eq!(read_line::<Run>(line).unwrap_err(), text);
        }
    }
}
