//! `kafka e2e-latency`: how long a record takes from a producer to a consumer.
//!
//! Flow: one record after the other is sent, acknowledged and read back by a consumer
//! of the partition that it went to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::client::admin::NewTopic;
use crate::client::config::Settings;
use crate::client::consumer::{Consumer, ConsumerRecord, ConsumerSettings, Start, Subscription};
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, Config};
use crate::failure::{Failure, Outcome};
use crate::{admin, console, runtime, text};

const USAGE: &str = "USAGE: java org.apache.kafka.tools.EndToEndLatency broker_list topic num_messages producer_acks message_size_bytes [optional] properties_file";
const ILLEGAL: &str = "java.lang.IllegalArgumentException";
const NO_NUMBER: &str = "java.lang.NumberFormatException";
const RUNTIME: &str = "java.lang.RuntimeException";
const POLL_LIMIT: Duration = Duration::from_secs(60);
/// A line of progress for every so many records.
const REPORT_EACH: usize = 1000;

/// What is asked for.
#[derive(Debug)]
struct Test {
    topic: String,
    count: usize,
    record_bytes: usize,
    settings: Settings,
}

pub(crate) fn run(words: &[String]) -> Outcome {
    let test = Test::read(words)?;
    runtime::block_on(async { test.run().await })
}

impl Test {
    fn read(words: &[String]) -> Result<Self, Failure> {
        let (servers, topic, count, acks, size, file) = match words {
            [servers, topic, count, acks, size] => (servers, topic, count, acks, size, ""),
            [servers, topic, count, acks, size, file] => {
                (servers, topic, count, acks, size, file.trim())
            }
            _ => return Err(Failure::new(USAGE)),
        };
        let number = |written: &String| {
            let parsed: Result<i32, _> = written.parse();
            let what = format!("For input string: \"{written}\"");
            parsed.map_err(|_| admin::thrown(NO_NUMBER, &what))
        };
        let (count, size) = (number(count)?, number(size)?);
        if !["1", "all"].contains(&acks.as_str()) {
            return Err(admin::thrown(
                ILLEGAL,
                "Latency testing requires synchronous acknowledgement. Please use 1 or all",
            ));
        }
        let mut settings = match file {
            "" => Settings::default(),
            path => Settings::load(path).map_err(Failure::new)?,
        };
        settings.set("bootstrap.servers", servers);
        settings.set("acks", acks);
        settings.set("linger.ms", "0");
        // Nothing waits for more records.
        settings.set("fetch.max.wait.ms", "0");
        Ok(Self {
            topic: topic.clone(),
            count: usize::try_from(count).unwrap_or_default(),
            record_bytes: usize::try_from(size).unwrap_or_default(),
            settings,
        })
    }

    async fn run(&self) -> Outcome {
        self.maybe_create().await?;
        let mut consumers = self.consumers().await?;
        let producer = ProducerSettings::new(&self.settings).map_err(Failure::new)?;
        let mut producer = Producer::new(self.client("producer-1")?, producer, &self.topic);
        producer.watch();
        let mut latencies = Vec::with_capacity(self.count);
        for number in 0..self.count {
            let value = self.value(number);
            let began = producer.client().now();
            let partition = send(&mut producer, value.clone()).await?;
            let consumer = consumers.get_mut(&partition);
            let consumer = consumer.ok_or_else(|| {
                admin::thrown(
                    RUNTIME,
                    &format!("partition {partition} was added meanwhile"),
                )
            })?;
            let records = receive(consumer).await?;
            let took = producer.client().now().saturating_sub(began);
            check(&value, &records)?;
            if number % REPORT_EACH == 0 {
                let ms = text::java_double(took.as_secs_f64() * 1000.0);
                console::say(format_args!("{number}\t{ms}"));
            }
            latencies.push(took);
        }
        tell(latencies);
        Ok(())
    }

    fn client(&self, name: &str) -> Result<Client, Failure> {
        let config = Config::from_settings(&self.settings, "Producer", name);
        config.map(Client::new).map_err(Failure::new)
    }

    async fn maybe_create(&self) -> Outcome {
        let client = self.client("adminclient-1")?;
        let listed = client.list_topics().await.map_err(Failure::new)?;
        if listed.iter().any(|listing| listing.name == self.topic) {
            return Ok(());
        }
        console::say(format_args!(
            "Topic \"{}\" does not exist. Will create topic with 1 partition(s) and replication factor = 1",
            self.topic
        ));
        let new = NewTopic {
            name: self.topic.clone(),
            partitions: Some(1),
            replication_factor: Some(1),
            assignment: Vec::new(),
            configs: Vec::new(),
        };
        client.create_topic(&new).await.map_err(|error| {
            console::say(format_args!("Creation of topic {} failed", self.topic));
            admin::thrown(RUNTIME, &format!("{}: {error}", error.class()))
        })
    }

    /// One for each partition, behind all records that are there.
    async fn consumers(&self) -> Result<BTreeMap<i32, Consumer>, Failure> {
        let client = self.client("consumer-1")?;
        let names = [self.topic.clone()];
        let described = client.describe_topics(&names).await.map_err(Failure::new)?;
        let partitions = described.iter().flat_map(|topic| &topic.partitions);
        let mut consumers = BTreeMap::new();
        for partition in partitions {
            let settings = ConsumerSettings::new(&self.settings).map_err(Failure::new)?;
            let at = (self.topic.clone(), partition.index);
            let from = Subscription::Partition(at, Start::Latest);
            let mut consumer = Consumer::new(self.client("consumer-1")?, settings, from);
            // Finds the end.
            consumer.poll().await.map_err(Failure::new)?;
            consumers.insert(partition.index, consumer);
        }
        Ok(consumers)
    }

    /// Bytes that are not those of the record before.
    fn value(&self, number: usize) -> Bytes {
        let letter = b'A' + u8::try_from(number % 26).unwrap_or_default();
        Bytes::from(vec![letter; self.record_bytes])
    }
}

/// Sends a record; the partition that has it.
async fn send(producer: &mut Producer, value: Bytes) -> Result<i32, Failure> {
    let record = NewRecord {
        value: Some(value),
        ..NewRecord::default()
    };
    let mut lost = producer.send(record).await;
    lost.extend(producer.flush().await);
    if let Some(lost) = lost.first() {
        let cause = format!("{}: {}", lost.class, lost.reason);
        return Err(admin::thrown(
            "java.util.concurrent.ExecutionException",
            &cause,
        ));
    }
    let stored = producer.stored();
    let stored = stored.first().map(|stored| stored.partition);
    stored.ok_or_else(|| admin::thrown(RUNTIME, "nobody told where the record is"))
}

/// What comes next; nothing when that takes too long.
async fn receive(consumer: &mut Consumer) -> Result<Vec<ConsumerRecord>, Failure> {
    let deadline = consumer.client().now() + POLL_LIMIT;
    loop {
        let records = consumer.poll().await.map_err(Failure::new)?;
        if !records.is_empty() || consumer.client().now() >= deadline {
            return Ok(records);
        }
    }
}

/// Exactly the record that was sent must have come.
fn check(sent: &Bytes, records: &[ConsumerRecord]) -> Outcome {
    let thrown = |message: String| Err(admin::thrown(RUNTIME, &message));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Some(first) = records.first() else {
        let limit_ms = POLL_LIMIT.as_millis();
        return thrown(format!(
            "poll() timed out before finding a result (timeout:[{limit_ms}])"
        ));
    };
    let read = first.record.value.clone().unwrap_or_default();
    if read != *sent {
        return thrown(format!(
            "The message read [{}] did not match the message sent [{}]",
            text(&read),
            text(sent)
        ));
    }
    match records.len() {
        1 => Ok(()),
        count => thrown(format!(
            "Only one result was expected during this test. We found [{count}]"
        )),
    }
}

fn tell(mut latencies: Vec<Duration>) {
    if latencies.is_empty() {
        return;
    }
    let total: Duration = latencies.iter().sum();
    let count = u32::try_from(latencies.len()).unwrap_or(u32::MAX);
    let average_ms = total.as_secs_f64() * 1000.0 / f64::from(count);
    console::say(format_args!("Avg latency: {average_ms:.4} ms"));
    latencies.sort_unstable();
    let at = |thousandths: usize| {
        let place = latencies.len() * thousandths / 1000;
        latencies.get(place).map_or(0, Duration::as_millis)
    };
    console::say(format_args!(
        "Percentiles: 50th = {}, 99th = {}, 99.9th = {}",
        at(500),
        at(990),
        at(999)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> Failure {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Test::read(&words).unwrap_err()
    }

    #[test]
    fn what_is_wrong_is_said_before_anybody_is_asked() {
        assert_eq!(refusal("h:1 t 5"), Failure::new(USAGE));
        let no_number = admin::thrown(NO_NUMBER, "For input string: \"x\"");
        assert_eq!(refusal("h:1 t x 1 5"), no_number);
        assert_eq!(refusal("h:1 t 1 1 x"), no_number);
        let acks = "Latency testing requires synchronous acknowledgement. Please use 1 or all";
        assert_eq!(refusal("h:1 t 1 0 5"), admin::thrown(ILLEGAL, acks));
    }
}
