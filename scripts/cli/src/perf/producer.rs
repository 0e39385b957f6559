//! `kafka producer-perf-test`: produces records, and tells how fast.
//!
//! A batch is sent when it is full, or before waiting for `--throughput`; one
//! request is in flight, so each latency is that of the record's own request.

use std::time::Duration;

use bytes::Bytes;

use super::stats::Stats;
use crate::client::config::Settings;
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, Config};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::{admin, console, options, runtime};

const PURPOSE: &str = "This tool is used to verify the producer performance.";

fn parser() -> Parser {
    Parser::new()
        .text("topic", "TOPIC", "REQUIRED: The topic to produce to.")
        .long(
            "num-records",
            "NUM-RECORDS",
            "REQUIRED: How many records to produce.",
        )
        .int(
            "record-size",
            "RECORD-SIZE",
            "The bytes of a record; either this, --payload-file or --payload-monotonic.",
        )
        .text(
            "payload-file",
            "PAYLOAD-FILE",
            "A text file to choose records from.",
        )
        .text(
            "payload-delimiter",
            "PAYLOAD-DELIMITER",
            "What stands between the records of --payload-file.",
        )
        .or("\\n")
        .flag("payload-monotonic", "Records are the numbers from 0.")
        .text(
            "throughput",
            "THROUGHPUT",
            "REQUIRED: About how many records per second to produce; -1 is as many as possible.",
        )
        .text(
            "producer-props",
            "PROP-NAME=PROP-VALUE",
            "Settings of the producer, such as bootstrap.servers. Several may follow.",
        )
        .text(
            "producer.config",
            "CONFIG-FILE",
            "A properties file with settings of the producer.",
        )
}

/// What to produce.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Payload {
    Random(usize),
    Chosen(Vec<Bytes>),
    Numbers,
}

#[derive(Debug)]
struct Test {
    topic: String,
    count: u64,
    throughput: f64,
    payload: Payload,
    settings: Settings,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let parser = parser();
    let words = spread(words, "--producer-props");
    let Some(options) = admin::parse(&words, &parser, PURPOSE)? else {
        return Ok(());
    };
    let test = Test::of(&options)
        .map_err(|message| Failure::new(format!("producer-performance: error: {message}")))?;
    let config = Config::from_settings(&test.settings, "Producer", "perf-producer-client");
    let client = Client::new(config.map_err(Failure::new)?);
    let settings = ProducerSettings::new(&test.settings).map_err(Failure::new)?;
    runtime::block_on(async {
        let mut producer = Producer::new(client, settings, &test.topic);
        produce(&mut producer, &test).await
    })
}

/// `--x a b` → `--x a --x b`.
fn spread(words: &[String], option: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut is_within = false;
    for word in words {
        if word.starts_with("--") {
            is_within = word == option;
            if !is_within {
                out.push(word.clone());
            }
            continue;
        }
        if is_within {
            out.push(option.to_owned());
        }
        out.push(word.clone());
    }
    out
}

impl Test {
    fn of(options: &Options) -> Result<Self, String> {
        for name in ["topic", "num-records", "throughput"] {
            if !options.has(name) {
                return Err(format!("argument --{name} is required"));
            }
        }
        let number = |name: &str| -> Result<f64, String> {
            let text = options.text(name).unwrap_or_default();
            let wrong = || format!("argument --{name}: could not convert '{text}' to a number");
            text.parse().map_err(|_| wrong())
        };
        let count = options
            .i64("num-records")
            .map_err(|error| error.to_string())?;
        let payloads = ["record-size", "payload-file", "payload-monotonic"];
        if payloads.iter().filter(|name| options.has(name)).count() != 1 {
            return Err("one of the arguments --record-size --payload-file --payload-monotonic is required, and only one".to_owned());
        }
        if !options.has("producer-props") && !options.has("producer.config") {
            return Err(
                "Either --producer-props or --producer.config must be specified.".to_owned(),
            );
        }
        let mut settings = match options.text("producer.config") {
            Some(path) => Settings::load(path).map_err(|error| error.to_string())?,
            None => Settings::default(),
        };
        settings.extend(options::key_values(&options.all("producer-props")));
        Ok(Self {
            topic: options.text("topic").unwrap_or_default().to_owned(),
            count: u64::try_from(count.unwrap_or_default()).unwrap_or_default(),
            throughput: number("throughput")?,
            payload: Payload::of(options)?,
            settings,
        })
    }
}

impl Payload {
    fn of(options: &Options) -> Result<Self, String> {
        if options.has("payload-monotonic") {
            return Ok(Self::Numbers);
        }
        let Some(path) = options.text("payload-file") else {
            let size = options
                .i32("record-size")
                .map_err(|error| error.to_string())?;
            let size = usize::try_from(size.unwrap_or_default());
            return size
                .map(Self::Random)
                .map_err(|_| "the size of a record is negative".to_owned());
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.is_empty() {
            return Err("File does not exist or empty file provided.".to_owned());
        }
        let delimiter = options
            .text("payload-delimiter")
            .unwrap_or_default()
            .replace("\\n", "\n");
        let mut parts: Vec<Bytes> = text
            .split(&delimiter)
            .map(|part| Bytes::copy_from_slice(part.as_bytes()))
            .collect();
        while parts.len() > 1 && parts.last().is_some_and(Bytes::is_empty) {
            parts.pop();
        }
        console::say(format_args!("Reading payloads from: {path}"));
        console::say(format_args!("Number of messages read: {}", parts.len()));
        Ok(Self::Chosen(parts))
    }

    fn next(&self, index: u64, random: &mut Random) -> Bytes {
        match self {
            Self::Random(size) => (0..*size).map(|_| b'A' + random.below(26)).collect(),
            Self::Chosen(list) => {
                let length = u64::try_from(list.len()).unwrap_or(1);
                let chosen = usize::try_from(random.next() % length).unwrap_or_default();
                list[chosen].clone()
            }
            Self::Numbers => Bytes::from(index.to_string()),
        }
    }
}

/// Xorshift: the same records in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u8) -> u8 {
        u8::try_from(self.next() % u64::from(limit)).unwrap_or_default()
    }
}

async fn produce(producer: &mut Producer, test: &Test) -> Outcome {
    producer.watch();
    let started = producer.client().now();
    let mut stats = Stats::new(test.count, producer.client().wall_ms());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for index in 0..test.count {
        let record = NewRecord {
            value: Some(test.payload.next(index, &mut random)),
            ..NewRecord::default()
        };
        let lost = producer.send(record).await;
        tell(producer, &mut stats, &lost);
        let Some(due) = due(index + 1, test.throughput) else {
            continue;
        };
        let early = (started + due).saturating_sub(producer.client().now());
        if !early.is_zero() {
            let lost = producer.flush().await;
            tell(producer, &mut stats, &lost);
            tokio::time::sleep(early).await;
        }
    }
    let lost = producer.flush().await;
    tell(producer, &mut stats, &lost);
    let now = producer.client().wall_ms();
    console::say(stats.total(now));
    Ok(())
}

/// When the record after `count` others may be sent.
#[allow(clippy::cast_precision_loss, reason = "the rate is approximate")]
fn due(count: u64, throughput: f64) -> Option<Duration> {
    if throughput <= 0.0 {
        return None;
    }
    Duration::try_from_secs_f64(count as f64 / throughput).ok()
}

fn tell(producer: &mut Producer, stats: &mut Stats, lost: &[crate::client::producer::Failed]) {
    for record in lost {
        console::complain(format_args!("{}: {}", record.class, record.reason));
    }
    let now = producer.client().wall_ms();
    for stored in producer.stored() {
        let latency = u64::try_from(stored.stored_ms - stored.sent_ms).unwrap_or_default();
        let size = stored.value.as_ref().map_or(0, Bytes::len);
        let bytes = u64::try_from(size).unwrap_or_default();
        if let Some(line) = stats.record(latency, bytes, now) {
            console::say(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Test, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let words = spread(&words, "--producer-props");
        Test::of(&parser().parse(&words).unwrap())
    }

    #[test]
    fn several_properties_follow_one_option() {
        let test = read(
            "--topic t --num-records 5 --record-size 3 --producer-props bootstrap.servers=a:1 acks=1 --throughput -1",
        );
        let test = test.unwrap();
        assert_eq!(test.settings.get("acks"), Some("1"));
        assert_eq!(test.settings.get("bootstrap.servers"), Some("a:1"));
        assert_eq!((test.count, test.payload), (5, Payload::Random(3)));
        assert_eq!(due(5, test.throughput), None);
        assert_eq!(due(5, 10.0), Some(Duration::from_millis(500)));
    }

    #[test]
    fn what_is_missing_is_told() {
        for (line, text) in [
            (
                "--topic t --num-records 5",
                "argument --throughput is required",
            ),
            (
                "--topic t --num-records 5 --throughput 1",
                "one of the arguments --record-size",
            ),
            (
                "--topic t --num-records 5 --throughput 1 --payload-monotonic",
                "Either --producer-props or --producer.config must be specified.",
            ),
        ] {
            let told = read(line).unwrap_err();
            assert!(told.starts_with(text), "{told}");
        }
    }

    #[test]
    fn payloads() {
        let mut random = Random(1);
        let letters = Payload::Random(20).next(0, &mut random);
        assert_eq!(letters.len(), 20);
        assert!(letters.iter().all(u8::is_ascii_uppercase));
        assert_eq!(Payload::Numbers.next(7, &mut random), "7");
    }
}
