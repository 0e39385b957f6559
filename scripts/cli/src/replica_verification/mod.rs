//! `kafka replica-verification`: reads all replicas of topics side by side, and says
//! which differ and how far the slowest is behind.
//!
//! Flow: topics, their replicas and first offsets are looked up once → every round
//! asks each broker for what follows → `compare` → a report now and then. It goes on
//! until it is ended, or until replicas do not even agree on offsets.
//!
//! **Invariant:** nothing is written anywhere, and no group is joined.

mod compare;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ReplicaState};
use kafka_protocol::messages::{BrokerId, FetchRequest};

use crate::client::config::Settings;
use crate::client::consumer::TopicPartition;
use crate::client::metadata::wire_name;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::{Client, Endpoint, Error, Lane};
use crate::failure::{Failure, Outcome};
use crate::options::{Options, Parser};
use crate::text::TopicFilter;
use crate::{admin, console, runtime, text};
use compare::{Difference, Fetched, Worst, compare};

const PURPOSE: &str = "Validate that all replicas for a set of topics have the same data.";
const LOGGER: &str = "org.apache.kafka.tools.ReplicaVerificationTool";
/// The replica id of who looks at replicas without being one.
const DEBUGGER: BrokerId = BrokerId(-2);
/// From this version on, it stands elsewhere.
const REPLICA_STATE_FROM: i16 = 15;

fn parser() -> Parser {
    Parser::new()
        .text(
            "broker-list",
            "hostname:port,...,hostname:port",
            "REQUIRED: One or more brokers, as host:port,host:port.",
        )
        .int(
            "fetch-size",
            "bytes",
            "How much of a partition each request asks for.",
        )
        .or("1048576")
        .int(
            "max-wait-ms",
            "ms",
            "How long a request may wait for records.",
        )
        .or("1000")
        .text(
            "topic-white-list",
            "Java regex (String)",
            "The old name of --topics-include.",
        )
        .or(".*")
        .text(
            "topics-include",
            "Java regex (String)",
            "The topics, by a pattern that whole names must match.",
        )
        .or(".*")
        .long(
            "time",
            "timestamp/-1(latest)/-2(earliest)",
            "Where to begin: at the first record since a time, at the end or at the start.",
        )
        .or("-1")
        .long("report-interval-ms", "ms", "How often to report.")
        .or("30000")
}

/// What the command line asks for.
struct Wanted {
    topics: TopicFilter,
    fetch_bytes: i32,
    wait_ms: i32,
    time: i64,
    report_interval: Duration,
}

impl Wanted {
    fn of(options: &Options) -> Result<Self, Failure> {
        let integer = |name: &'static str| options.i32(name).map_err(Failure::new);
        let long = |name: &'static str| options.i64(name).map_err(Failure::new);
        let pattern = match options.has("topics-include") {
            true => options.text("topics-include"),
            false => options.text("topic-white-list"),
        };
        let pattern = pattern.unwrap_or_default();
        let invalid = format!("{pattern} is an invalid regex");
        let interval = long("report-interval-ms")?.unwrap_or_default();
        Ok(Self {
            topics: TopicFilter::new(pattern)
                .map_err(|_| admin::thrown("java.lang.RuntimeException", &invalid))?,
            fetch_bytes: integer("fetch-size")?.unwrap_or_default(),
            wait_ms: integer("max-wait-ms")?.unwrap_or_default(),
            time: long("time")?.unwrap_or(LATEST),
            report_interval: Duration::from_millis(u64::try_from(interval).unwrap_or_default()),
        })
    }
}

pub(crate) fn run(words: &[String]) -> Outcome {
    console::warn(
        "This tool is deprecated and may be removed in a future major release.",
        LOGGER,
    );
    let parser = parser();
    let options = parser.parse(words).map_err(Failure::new)?;
    if words.is_empty() || options.has("help") {
        return Err(Failure::usage(&parser, PURPOSE));
    }
    if options.has("version") {
        console::say(text::version());
        return Ok(());
    }
    let usage = |message: String| Failure::usage(&parser, message);
    options
        .require(&["broker-list"])
        .and_then(|()| options.forbid("topics-include", &["topic-white-list"]))
        .map_err(|error| usage(error.to_string()))?;
    let servers = options.text("broker-list").unwrap_or_default();
    text::validate_bootstrap(servers).map_err(usage)?;
    let wanted = Wanted::of(&options)?;
    let mut settings = Settings::default();
    settings.set("bootstrap.servers", servers);
    let client = admin::connect(&settings).map_err(Failure::new)?;
    runtime::block_on(async {
        tokio::select! {
            ended = verify(&client, &wanted) => ended,
            code = runtime::signalled() => Err(Failure::silent(code)),
        }
    })
}

async fn verify(client: &Client, wanted: &Wanted) -> Outcome {
    let mut verification = Verification::prepare(client, wanted).await?;
    say("verification process is started");
    loop {
        verification.round().await?;
    }
}

fn say(what: impl std::fmt::Display) {
    let now = console::timestamp(common::clock::system().wall_ms());
    console::say(format_args!("{now}: {what}"));
}

fn failed(error: &Error) -> Failure {
    let cause = format!("{}: {error}", error.class());
    admin::thrown("java.util.concurrent.ExecutionException", &cause)
}

/// A partition with what its replicas answered in this round.
struct Partition {
    next: i64,
    fetched: BTreeMap<i32, Fetched>,
}

struct Verification<'a> {
    client: &'a Client,
    wanted: &'a Wanted,
    brokers: BTreeMap<i32, (Endpoint, Vec<TopicPartition>)>,
    partitions: BTreeMap<TopicPartition, Partition>,
    worst: Worst<String>,
    reported_at: Duration,
}

impl<'a> Verification<'a> {
    /// Looks up what is to be compared, and from where on.
    async fn prepare(client: &'a Client, wanted: &'a Wanted) -> Result<Self, Failure> {
        let listed = client.list_topics().await.map_err(|error| failed(&error))?;
        let names = listed.into_iter().map(|topic| topic.name);
        let names: Vec<String> = names.filter(|name| wanted.topics.allows(name)).collect();
        if names.is_empty() {
            console::error(
                "No topics found. [topics-include] if specified, is either filtering out all topics or there is no topic.",
                LOGGER,
            );
            return Err(Failure::told());
        }
        let described = client.describe_topics(&names).await;
        let mut of_broker: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        let mut all = Vec::new();
        for topic in described.map_err(|error| failed(&error))? {
            for partition in topic.partitions {
                let at = (topic.name.clone(), partition.index);
                for replica in partition.replicas {
                    of_broker.entry(replica).or_default().push(at.clone());
                }
                all.push(at);
            }
        }
        let mut brokers = BTreeMap::new();
        for (id, partitions) in of_broker {
            let endpoint = client.broker(id).map_err(|_| {
                let missing =
                    format!("Broker {id} is not there: all brokers must be up at the start");
                admin::thrown("java.lang.NullPointerException", &missing)
            })?;
            brokers.insert(id, (endpoint, partitions));
        }
        let mut partitions = BTreeMap::new();
        let first = first_offsets(client, &all, wanted.time).await?;
        for (at, next) in first {
            let fetched = BTreeMap::new();
            partitions.insert(at, Partition { next, fetched });
        }
        Ok(Self {
            client,
            wanted,
            brokers,
            partitions,
            worst: Worst::default(),
            reported_at: client.now(),
        })
    }

    /// Asks every broker once, and compares what they have.
    async fn round(&mut self) -> Outcome {
        let asked = self
            .brokers
            .iter()
            .map(|(id, (endpoint, partitions))| async {
                (*id, self.fetch(endpoint, partitions).await)
            });
        let answers = join_all(asked).await;
        let mut must_pause = false;
        for (broker, answer) in answers {
            let answer = answer.unwrap_or_else(|error| {
                self.client.warn(error);
                Vec::new()
            });
            let mut answer: BTreeMap<_, _> = answer.into_iter().collect();
            for at in self.brokers.get(&broker).iter().flat_map(|(_, all)| all) {
                // What a broker does not tell of, it does not have.
                let fetched = answer.remove(at).unwrap_or(Fetched::NOTHING);
                must_pause |= fetched.high_watermark < 0;
                if let Some(partition) = self.partitions.get_mut(at) {
                    partition.fetched.insert(broker, fetched);
                }
            }
        }
        self.compare()?;
        self.maybe_report();
        // Whoever is not there would be asked again and again at once.
        if must_pause {
            tokio::time::sleep(self.client.config().retry_backoff).await;
        }
        Ok(())
    }

    fn compare(&mut self) -> Outcome {
        self.worst.begin();
        for ((topic, index), partition) in &mut self.partitions {
            let name = format!("{topic}-{index}");
            let fetched = std::mem::take(&mut partition.fetched);
            let compared = compare(partition.next, &fetched).map_err(|error| {
                let place = format!(
                    "Error in processing replica {} in partition {name} at offset {}",
                    error.replica, partition.next
                );
                Failure::new(format!("java.lang.RuntimeException: {place}: {error}"))
            });
            let (next, differences) = compared?;
            partition.next = next;
            for difference in differences {
                say(format_args!("partition {name}{difference}"));
                if matches!(difference, Difference::Offset { .. }) {
                    return Err(Failure::told());
                }
            }
            let high = fetched.values().map(|fetched| fetched.high_watermark);
            let high = high.max().unwrap_or(-1);
            self.worst.see(name, partition.next, high);
        }
        Ok(())
    }

    fn maybe_report(&mut self) {
        let now = self.client.now();
        if now - self.reported_at > self.wanted.report_interval {
            say(self.worst.report(self.partitions.len()));
            self.reported_at = now;
        }
    }

    /// What a broker has of its partitions. One of which it tells an error has nothing.
    async fn fetch(
        &self,
        endpoint: &Endpoint,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Fetched)>, Error> {
        let mut topics: BTreeMap<&str, Vec<FetchPartition>> = BTreeMap::new();
        for at in partitions {
            let Some(partition) = self.partitions.get(at) else {
                continue;
            };
            let wanted = FetchPartition::default()
                .with_partition(at.1)
                .with_fetch_offset(partition.next)
                .with_log_start_offset(0)
                .with_partition_max_bytes(self.wanted.fetch_bytes);
            topics.entry(&at.0).or_default().push(wanted);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            FetchTopic::default()
                .with_topic(wire_name(topic))
                .with_partitions(partitions)
        });
        let topics = topics.collect();
        let wait_ms = self.wanted.wait_ms;
        let request = |version| {
            let request = FetchRequest::default()
                .with_max_wait_ms(wait_ms)
                .with_min_bytes(1)
                .with_max_bytes(i32::MAX)
                .with_session_epoch(-1)
                .with_topics(topics);
            match version >= REPLICA_STATE_FROM {
                true => {
                    request.with_replica_state(ReplicaState::default().with_replica_id(DEBUGGER))
                }
                false => request.with_replica_id(DEBUGGER),
            }
        };
        let answer = self.client.call(endpoint, Lane::Data, request).await?;
        let mut found = Vec::new();
        for topic in answer.responses {
            for data in topic.partitions {
                let at = (topic.topic.0.to_string(), data.partition_index);
                let fetched = match data.error_code {
                    0 => Fetched {
                        high_watermark: data.high_watermark,
                        records: data.records.unwrap_or_default(),
                    },
                    _ => Fetched::NOTHING,
                };
                found.push((at, fetched));
            }
        }
        Ok(found)
    }
}

/// The offsets to begin at. A time that no record is as late as is an error.
async fn first_offsets(
    client: &Client,
    partitions: &[TopicPartition],
    time: i64,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let found = client.offsets_at(partitions, time, 0).await;
    let found = found.map_err(|error| admin::thrown(&error.class(), &error.to_string()))?;
    let has_all = found.len() == partitions.len();
    match has_all || [LATEST, EARLIEST].contains(&time) {
        true => Ok(found),
        false => Err(admin::thrown(
            "java.lang.NullPointerException",
            "Cannot invoke \"org.apache.kafka.clients.consumer.OffsetAndTimestamp.offset()\" because the return value of \"java.util.Map$Entry.getValue()\" is null",
        )),
    }
}
