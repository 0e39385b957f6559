//! `kafka consumer-perf-test`: consumes records, and tells how fast.

use std::time::Duration;

use super::{mib, per_second};
use crate::client::config::Settings;
use crate::client::consumer::{Consumer, ConsumerSettings, Subscription};
use crate::client::{Client, Config};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console, runtime};

const PURPOSE: &str = "This tool is used to verify the consumer performance.";
const NEW_FIELDS: &str = "rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

fn parser() -> Parser {
    Parser::new()
        .text(
            "broker-list",
            "broker-list",
            "The old name of --bootstrap-server.",
        )
        .text(
            "bootstrap-server",
            "server to connect to",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .text("topic", "topic", "REQUIRED: The topic to consume.")
        .text(
            "group",
            "gid",
            "The group to consume as; one of its own if absent.",
        )
        .int(
            "fetch-size",
            "size",
            "The most bytes to fetch of a partition at once.",
        )
        .or("1048576")
        .flag(
            "from-latest",
            "Begin at the end where the group has no offset; at the start if absent.",
        )
        .int("socket-buffer-size", "size", "Accepted for compatibility.")
        .or("2097152")
        .int("threads", "count", "DEPRECATED AND IGNORED.")
        .or("10")
        .int("num-fetch-threads", "count", "DEPRECATED AND IGNORED.")
        .or("1")
        .text(
            "consumer.config",
            "config file",
            "A properties file with settings of the consumer.",
        )
        .flag("show-detailed-stats", "Tell how fast in each interval.")
        .long(
            "timeout",
            "milliseconds",
            "The longest time between records.",
        )
        .or("10000")
        .long(
            "messages",
            "count",
            "REQUIRED: How many records to consume.",
        )
        .long(
            "reporting-interval",
            "interval_ms",
            "How often --show-detailed-stats tells.",
        )
        .or("5000")
        .flag("hide-header", "Leave out the header.")
}

#[derive(Debug)]
struct Test {
    topic: String,
    count: u64,
    timeout_ms: u64,
    interval_ms: i64,
    is_detailed: bool,
    has_header: bool,
    settings: Settings,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let Some(options) = admin::parse(words, &parser, PURPOSE)? else {
        return Ok(());
    };
    if options.has("threads") || options.has("num-fetch-threads") {
        console::say(
            "WARNING: option [threads] and [num-fetch-threads] have been deprecated and will be ignored by the test",
        );
    }
    options
        .require(&["topic", "messages"])
        .map_err(|error| Failure::usage(&parser, error))?;
    let test = Test::of(&options).map_err(Failure::new)?;
    let config = Config::from_settings(&test.settings, "Consumer", "perf-consumer-client");
    let client = Client::new(config.map_err(Failure::new)?);
    let settings = ConsumerSettings::new(&test.settings).map_err(Failure::new)?;
    let topics = Subscription::Topics(vec![test.topic.clone()]);
    runtime::block_on(async {
        let mut consumer = Consumer::new(client, settings, topics);
        let consumed = consume(&mut consumer, &test).await;
        // Records were counted; that the group is left is no part of the test.
        let _ = consumer.close().await;
        consumed
    })
}

impl Test {
    fn of(options: &Options) -> Result<Self, String> {
        let text = |error: crate::options::Error| error.to_string();
        let number = |name: &'static str| -> Result<i64, String> {
            Ok(options.i64(name).map_err(text)?.unwrap_or_default())
        };
        let mut settings = match options.text("consumer.config") {
            Some(path) => Settings::load(path).map_err(|error| error.to_string())?,
            None => Settings::default(),
        };
        let servers = options
            .text("bootstrap-server")
            .or_else(|| options.text("broker-list"));
        settings.set("bootstrap.servers", servers.unwrap_or_default());
        let own = || format!("perf-consumer-{}", std::process::id());
        settings.set(
            "group.id",
            options.text("group").map_or_else(own, str::to_owned),
        );
        let size = options.text("fetch-size").unwrap_or_default();
        settings.set("max.partition.fetch.bytes", size);
        let reset = if options.has("from-latest") {
            "latest"
        } else {
            "earliest"
        };
        settings.set("auto.offset.reset", reset);
        let interval_ms = number("reporting-interval")?;
        if interval_ms <= 0 {
            return Err("Reporting interval must be greater than 0.".to_owned());
        }
        Ok(Self {
            topic: options.text("topic").unwrap_or_default().to_owned(),
            count: u64::try_from(number("messages")?).unwrap_or_default(),
            timeout_ms: u64::try_from(number("timeout")?).unwrap_or_default(),
            interval_ms,
            is_detailed: options.has("show-detailed-stats"),
            has_header: !options.has("hide-header"),
            settings,
        })
    }
}

/// What was read up to some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Read {
    at_ms: i64,
    records: u64,
    bytes: u64,
    joining_ms: i64,
}

async fn consume(consumer: &mut Consumer, test: &Test) -> Outcome {
    if test.has_header {
        let first = if test.is_detailed {
            "time, threadId"
        } else {
            "start.time, end.time"
        };
        console::say(format_args!(
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, {NEW_FIELDS}"
        ));
    }
    let start = Read {
        at_ms: consumer.client().wall_ms(),
        ..Read::default()
    };
    let (mut read, mut told) = (start, start);
    let mut last_at = consumer.client().now();
    let limit = Duration::from_millis(test.timeout_ms);
    while read.records < test.count && consumer.client().now().saturating_sub(last_at) <= limit {
        let records = consumer.poll().await.map_err(Failure::new)?;
        read.at_ms = consumer.client().wall_ms();
        read.joining_ms = i64::try_from(consumer.joining().as_millis()).unwrap_or(i64::MAX);
        if !records.is_empty() {
            last_at = consumer.client().now();
        }
        for record in &records {
            let size = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
            let (key, value) = (record.record.key.as_deref(), record.record.value.as_deref());
            read.records += 1;
            read.bytes += u64::try_from(size(key) + size(value)).unwrap_or_default();
        }
        consumer.delivered_all();
        if !records.is_empty() && read.at_ms - told.at_ms >= test.interval_ms {
            if test.is_detailed {
                console::say(progress(&told, &read));
            }
            told = read;
        }
    }
    if read.records < test.count {
        console::say(format_args!(
            "WARNING: Exiting before consuming the expected number of messages: timeout ({} ms) exceeded. You can use the --timeout option to increase the timeout.",
            test.timeout_ms
        ));
    }
    read.at_ms = consumer.client().wall_ms();
    if !test.is_detailed {
        console::say(total(&start, &read));
    }
    Ok(())
}

/// `2026-11-21 12:29:04:871`.
fn time(wall_ms: i64) -> String {
    console::timestamp(wall_ms).replace(',', ":")
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn progress(from: &Read, to: &Read) -> String {
    let elapsed = to.at_ms - from.at_ms;
    let joining = to.joining_ms - from.joining_ms;
    let fetching = elapsed - joining;
    let bytes = mib(to.bytes - from.bytes);
    let records = (to.records - from.records) as f64;
    let while_fetching = |count: f64| match fetching {
        ..=0 => 0.0,
        fetching => per_second(count, fetching),
    };
    format!(
        "{}, 0, {:.4}, {:.4}, {}, {:.4}, {joining}, {fetching}, {:.4}, {:.4}",
        time(to.at_ms),
        mib(to.bytes),
        per_second(bytes, elapsed),
        to.records,
        per_second(records, elapsed),
        while_fetching(bytes),
        while_fetching(records)
    )
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn total(start: &Read, end: &Read) -> String {
    let elapsed = end.at_ms - start.at_ms;
    let fetching = elapsed - end.joining_ms;
    let bytes = mib(end.bytes);
    let records = end.records as f64;
    format!(
        "{}, {}, {bytes:.4}, {:.4}, {}, {:.4}, {}, {fetching}, {:.4}, {:.4}",
        time(start.at_ms),
        time(end.at_ms),
        per_second(bytes, elapsed),
        end.records,
        per_second(records, elapsed),
        end.joining_ms,
        per_second(bytes, fetching),
        per_second(records, fetching)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_kafka_prints_them() {
        let start = Read::default();
        let end = Read {
            at_ms: 4000,
            records: 200,
            bytes: 2 * 1024 * 1024,
            joining_ms: 3000,
        };
        assert_eq!(
            total(&start, &end),
            "1970-01-01 00:00:00:000, 1970-01-01 00:00:04:000, 2.0000, 0.5000, 200, 50.0000, 3000, 1000, 2.0000, 200.0000"
        );
        assert_eq!(
            progress(&start, &end),
            "1970-01-01 00:00:04:000, 0, 2.0000, 0.5000, 200, 50.0000, 3000, 1000, 2.0000, 200.0000"
        );
    }

    #[test]
    fn options_become_settings() {
        let read = |line: &str| {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            Test::of(&parser().parse(&words).unwrap())
        };
        let test = read("--broker-list a:1 --topic t --messages 5 --group g").unwrap();
        assert_eq!(test.settings.get("bootstrap.servers"), Some("a:1"));
        assert_eq!(test.settings.get("group.id"), Some("g"));
        assert_eq!(test.settings.get("auto.offset.reset"), Some("earliest"));
        assert_eq!((test.count, test.timeout_ms), (5, 10_000));
        assert!(read("--reporting-interval 0").is_err());
    }
}
