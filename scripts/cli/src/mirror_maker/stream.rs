//! One stream: a member of the source's group and its own producers, one per topic.

use std::collections::BTreeMap;
use std::time::Duration;

use broker::record::NO_TIMESTAMP;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::arguments::{Arguments, OnLoss};
use crate::client::Client;
use crate::client::consumer::{Consumer, ConsumerRecord};
use crate::client::producer::{Failed, NewRecord, Producer};
use crate::console;

const THREAD: &str = "kafka.tools.MirrorMaker$MirrorMakerThread";
const CALLBACK: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";
/// How often a member says that it lives while the target keeps it waiting.
const STAY: Duration = Duration::from_secs(1);

/// A stream that ended and was not asked to; it was told why.
#[derive(Debug)]
pub(super) struct Broken;

pub(super) struct Stream<'a> {
    number: usize,
    consumer: Consumer,
    producers: BTreeMap<String, Producer>,
    arguments: &'a Arguments,
}

impl<'a> Stream<'a> {
    pub(super) fn new(number: usize, consumer: Consumer, arguments: &'a Arguments) -> Self {
        Self {
            number,
            consumer,
            producers: BTreeMap::new(),
            arguments,
        }
    }

    /// Copies until it is ended or cannot go on; what was acknowledged is committed.
    pub(super) async fn run(mut self, ending: &CancellationToken) -> Result<(), Broken> {
        let copied = match self.arguments.reading.group_id.as_str() {
            "" => Err(self.broken(
                "org.apache.kafka.common.errors.InvalidGroupIdException: To use the group management or offset commit APIs, you must provide a valid group.id in the consumer configuration.",
            )),
            _ => self.copy(ending).await,
        };
        if let Err(error) = self.consumer.close().await {
            console::warn(format_args!("{error} (while leaving the group)"), THREAD);
        }
        copied
    }

    async fn copy(&mut self, ending: &CancellationToken) -> Result<(), Broken> {
        while !ending.is_cancelled() {
            let polled = tokio::select! {
                polled = self.consumer.poll() => polled,
                () = ending.cancelled() => return Ok(()),
            };
            let records = polled.map_err(|error| self.broken(&error.to_string()))?;
            if records.is_empty() {
                continue;
            }
            let must_rejoin = self.store(records).await?;
            self.consumer.delivered_all();
            // Others wait for our partitions: they go on where we stopped.
            if must_rejoin {
                self.consumer.commit_delivered().await;
            }
        }
        Ok(())
    }

    /// Sends records and waits for every acknowledgement; whether the group wants us
    /// to join again meanwhile.
    async fn store(&mut self, records: Vec<ConsumerRecord>) -> Result<bool, Broken> {
        let Self {
            consumer,
            producers,
            arguments,
            ..
        } = self;
        let mut must_rejoin = false;
        let lost = {
            let sending = send(producers, arguments, records);
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    lost = &mut sending => break lost,
                    () = tokio::time::sleep(STAY), if !must_rejoin => {
                        must_rejoin = consumer.stay().await;
                    }
                }
            }
        };
        for (topic, failed) in &lost {
            complain(topic, failed);
        }
        match lost.is_empty() || self.arguments.on_loss == OnLoss::LeaveOut {
            true => Ok(must_rejoin),
            false => {
                Err(self
                    .broken("a record could not be stored, and --abort.on.send.failure is true"))
            }
        }
    }

    fn broken(&self, why: &str) -> Broken {
        let name = format!("mirrormaker-thread-{}", self.number);
        console::fatal(
            format_args!("[{name}] Mirror maker thread failure due to {why}"),
            THREAD,
        );
        console::fatal(
            format_args!(
                "[{name}] Mirror maker thread exited abnormally, stopping the whole mirror maker."
            ),
            THREAD,
        );
        Broken
    }
}

/// What was not stored of these records, by topic.
async fn send(
    producers: &mut BTreeMap<String, Producer>,
    arguments: &Arguments,
    records: Vec<ConsumerRecord>,
) -> Vec<(String, Failed)> {
    let mut lost = Vec::new();
    for read in records {
        let topic = read.topic;
        let producer = producers.entry(topic.clone()).or_insert_with(|| {
            let client = Client::new(arguments.target.clone());
            Producer::new(client, arguments.writing.clone(), &topic)
        });
        let record = NewRecord {
            key: read.record.key,
            value: read.record.value,
            headers: read.record.headers,
            timestamp_ms: Some(read.record.timestamp).filter(|time| *time != NO_TIMESTAMP),
        };
        let failed = producer.send(record).await;
        lost.extend(failed.into_iter().map(|failed| (topic.clone(), failed)));
    }
    let flushed = producers.iter_mut().map(|(topic, producer)| async move {
        let failed = producer.flush().await;
        failed.into_iter().map(|failed| (topic.clone(), failed))
    });
    lost.extend(join_all(flushed).await.into_iter().flatten());
    lost
}

fn complain(topic: &str, failed: &Failed) {
    let size = |bytes: &Option<bytes::Bytes>| {
        let size = bytes.as_ref().map(|bytes| format!("{} bytes", bytes.len()));
        size.unwrap_or_else(|| "null".to_owned())
    };
    let (key, value) = (size(&failed.key), size(&failed.value));
    console::error(
        format_args!(
            "Error when sending message to topic {topic} with key: {key}, value: {value} with error:"
        ),
        CALLBACK,
    );
    console::complain(format_args!("{}: {}", failed.class, failed.reason));
}
