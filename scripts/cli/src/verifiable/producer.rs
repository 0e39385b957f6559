//! `kafka verifiable-producer`: produces growing numbers and tells of each
//! record whether it was stored.
//!
//! Flow: the next number → the client's producer → what it stored or lost → an
//! event each. A signal or the last number ends it: what is open is sent first.
//!
//! A record is sent once and never again, unless the file of settings says so.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use serde::Serialize;

use super::{Nothing, Tool, count_max, number, read, require, set_brokers, tell};
use crate::client::config::Settings;
use crate::client::producer::{Failed, NewRecord, Producer, ProducerSettings};
use crate::client::{Client, Config};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::runtime;

#[derive(Debug)]
struct Run {
    topic: String,
    /// `None` is without end.
    count: Option<u64>,
    /// Negative is as many as possible.
    throughput: i32,
    create_ms: Option<i64>,
    prefix: Option<i32>,
    keys: Option<i32>,
    settings: Settings,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let Some(run) = read::<Run>(words)? else {
        return Ok(());
    };
    let config = Config::from_settings(&run.settings, "Producer", "producer-1");
    let client = Client::new(config.map_err(Failure::new)?);
    let settings = ProducerSettings::new(&run.settings).map_err(Failure::new)?;
    runtime::block_on(async {
        let mut producer = Producer::new(client, settings, &run.topic);
        producer.watch();
        produce(producer, run).await
    })
}

impl Tool for Run {
    const PROGRAM: &'static str = "verifiable-producer";
    const PURPOSE: &'static str =
        "This tool produces increasing integers to a topic and prints what became of each as JSON.";

    fn options(parser: Parser) -> Parser {
        parser
            .text("topic", "TOPIC", "REQUIRED: The topic to produce to.")
            .int(
                "max-messages",
                "MAX-MESSAGES",
                "How many records to produce; -1 is without end.",
            )
            .or("-1")
            .int(
                "throughput",
                "THROUGHPUT",
                "About how many records per second to produce; -1 is as many as possible.",
            )
            .or("-1")
            .int(
                "acks",
                "ACKS",
                "Whose acknowledgement a record waits for: 0, 1 or -1.",
            )
            .or("-1")
            .text(
                "producer.config",
                "CONFIG_FILE",
                "A properties file with settings of the producer.",
            )
            .long(
                "message-create-time",
                "CREATETIME",
                "The time of the first record, in milliseconds since 1970; later ones follow it.",
            )
            .or("-1")
            .int(
                "value-prefix",
                "VALUE-PREFIX",
                "A number that stands before each value, and a dot.",
            )
            .int(
                "repeating-keys",
                "REPEATING-KEYS",
                "Give the records the keys from 0 to below this number, again and again.",
            )
    }

    fn of(options: &Options) -> Result<Self, String> {
        let integer = |name| number::<i32>(options, name, "Integer");
        let acks = match require(options, "acks")? {
            acks @ ("0" | "1" | "-1") => acks,
            other => {
                return Err(format!(
                    "argument --acks: invalid choice: '{other}' (choose from {{0,1,-1}})"
                ));
            }
        };
        let create_ms: Option<i64> = number(options, "message-create-time", "Long")?;
        let mut settings = Settings::default();
        set_brokers(&mut settings, options)?;
        settings.set("acks", acks);
        settings.set("retries", "0");
        if let Some(path) = options.text("producer.config") {
            let file = Settings::load(path).map_err(|error| error.to_string())?;
            settings.extend(file.into_pairs());
        }
        Ok(Self {
            topic: require(options, "topic")?.to_owned(),
            count: count_max(options)?,
            throughput: integer("throughput")?.unwrap_or(-1),
            create_ms: create_ms.filter(|at| *at != -1),
            prefix: integer("value-prefix")?,
            keys: integer("repeating-keys")?,
            settings,
        })
    }
}

impl Run {
    fn value(&self, index: u64) -> Bytes {
        Bytes::from(match self.prefix {
            Some(prefix) => format!("{prefix}.{index}"),
            None => index.to_string(),
        })
    }

    /// The time from the start after which the record behind `index` may follow;
    /// `None` is at once, the longest duration never.
    fn due(&self, index: u64) -> Option<Duration> {
        let per_second = f64::from(self.throughput);
        if per_second < 0.0 || index == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "the rate is approximate")]
        let seconds = index as f64 / per_second;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// The keys from 0 to below a number, again and again.
struct Keys {
    next: i32,
    end: Option<i32>,
}

impl Keys {
    fn next(&mut self) -> Option<Bytes> {
        let end = self.end?;
        let key = self.next;
        self.next = match key.wrapping_add(1) {
            next if next == end => 0,
            next => next,
        };
        Some(Bytes::from(key.to_string()))
    }
}

async fn produce(mut producer: Producer, run: Run) -> Outcome {
    let mut signalled = pin!(runtime::signalled());
    let (started_ms, started) = (producer.client().wall_ms(), producer.client().now());
    let mut keys = Keys {
        next: 0,
        end: run.keys,
    };
    let mut create_ms = run.create_ms;
    let (mut sent, mut acked) = (0, 0);
    let mut outcome = Ok(());
    tell("startup_complete", Nothing {});
    for index in 0..run.count.unwrap_or(u64::MAX) {
        if let Some(code) = signalled.as_mut().now_or_never() {
            outcome = Err(Failure::silent(code));
            break;
        }
        let record = NewRecord {
            key: keys.next(),
            value: Some(run.value(index)),
            timestamp_ms: create_ms,
            ..NewRecord::default()
        };
        // As Kafka's tool counts time: each record is further from the one before.
        let age_ms = producer.client().wall_ms() - started_ms;
        create_ms = create_ms.map(|at| at.saturating_add(age_ms));
        sent += 1;
        let lost = producer.send(record).await;
        acked += report(&mut producer, &run.topic, &lost);
        let elapsed = producer.client().now().saturating_sub(started);
        let Some(early) = run.due(index).and_then(|due| due.checked_sub(elapsed)) else {
            continue;
        };
        let lost = producer.flush().await;
        acked += report(&mut producer, &run.topic, &lost);
        tokio::select! {
            biased;
            code = signalled.as_mut() => {
                outcome = Err(Failure::silent(code));
                break;
            }
            () = tokio::time::sleep(early) => {}
        }
    }
    let lost = producer.flush().await;
    acked += report(&mut producer, &run.topic, &lost);
    tell("shutdown_complete", Nothing {});
    let elapsed_ms = producer.client().wall_ms() - started_ms;
    tell("tool_data", summary(&run, sent, acked, elapsed_ms));
    outcome
}

/// Tells what became of records; how many were stored.
fn report(producer: &mut Producer, topic: &str, lost: &[Failed]) -> u64 {
    let mut count = 0;
    for stored in producer.stored() {
        count += 1;
        let event = Success {
            key: stored.key.as_ref().map(text),
            value: stored.value.as_ref().map(text),
            offset: stored.offset,
            topic,
            partition: stored.partition,
        };
        tell("producer_send_success", event);
    }
    for record in lost {
        let event = Lost {
            topic,
            key: record.key.as_ref().map(text),
            value: record.value.as_ref().map(text),
            exception: format!("class {}", record.class),
            message: &record.reason,
        };
        tell("producer_send_error", event);
    }
    count
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn summary(run: &Run, sent: u64, acked: u64, elapsed_ms: i64) -> Summary {
    Summary {
        sent,
        acked,
        target_throughput: run.throughput,
        avg_throughput: 1000.0 * (acked as f64 / elapsed_ms.max(1) as f64),
    }
}

#[derive(Serialize)]
struct Success<'a> {
    key: Option<String>,
    value: Option<String>,
    offset: i64,
    topic: &'a str,
    partition: i32,
}

#[derive(Serialize)]
struct Lost<'a> {
    topic: &'a str,
    key: Option<String>,
    value: Option<String>,
    exception: String,
    message: &'a str,
}

#[derive(Serialize)]
struct Summary {
    sent: u64,
    acked: u64,
    target_throughput: i32,
    avg_throughput: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifiable::read_line;

    #[test]
    fn lines_are_refused_in_kafkas_words() {
        for (line, text) in [
            (
                "--topic t",
                "one of the arguments --bootstrap-server --broker-list is required",
            ),
            (
                "--topic t --broker-list a:1 --bootstrap-server b:1",
                "argument --broker-list: not allowed with argument --bootstrap-server",
            ),
            ("--broker-list a:1", "argument --topic is required"),
            (
                "--broker-list a:1 --topic t --acks 3",
                "argument --acks: invalid choice: '3' (choose from {0,1,-1})",
            ),
            (
                "--broker-list a:1 --topic t --max-messages x",
                "argument --max-messages: could not convert 'x' to Integer (For input string: \"x\")",
            ),
        ] {
            assert_eq!(read_line::<Run>(line).unwrap_err(), text);
        }
    }

    #[test]
    fn a_record_is_sent_once() {
        let run = read_line::<Run>("--broker-list a:1 --topic t").unwrap();
        assert_eq!(run.settings.get("retries"), Some("0"));
        assert_eq!(run.settings.get("acks"), Some("-1"));
        assert_eq!((run.count, run.due(5)), (None, None));
    }

    #[test]
    fn values_keys_and_times() {
        let run = read_line::<Run>("--broker-list a:1 --topic t --value-prefix 7 --throughput 2");
        let run = run.unwrap();
        assert_eq!(run.value(3), "7.3");
        assert_eq!(run.due(0), None);
        assert_eq!(run.due(3), Some(Duration::from_millis(1500)));
        let stopped = read_line::<Run>("--broker-list a:1 --topic t --throughput 0").unwrap();
        assert_eq!(stopped.due(1), Some(Duration::MAX));
        let mut keys = Keys {
            next: 0,
            end: Some(2),
        };
        let three: Vec<_> = (0..3).filter_map(|_| keys.next()).collect();
        assert_eq!(three, ["0", "1", "0"]);
    }
}
