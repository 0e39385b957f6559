//! The state log on top of this broker's replicas.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::task;
use common::wire::{FileRange, Part};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Chunk, Error, StateLog};
use crate::cluster::Cluster;
use crate::log::{AppendError as LogAppendError, ReadError, Verification};
use crate::model::{TopicName, TopicPartition};
use crate::replica::{
    AppendError, Error as ReplicaError, Isolation, Manager, Partition, ReadRequest, Reader,
};

/// An internal topic that this broker's coordinators write to and read from.
pub struct ReplicatedLog {
    topic: TopicName,
    cluster: Arc<Cluster>,
    replicas: Arc<Manager>,
    /// How long an append waits for its in-sync replicas.
    commit_timeout: Duration,
}

impl ReplicatedLog {
    #[must_use]
    pub fn new(
        topic: TopicName,
        cluster: Arc<Cluster>,
        replicas: Arc<Manager>,
        commit_timeout: Duration,
    ) -> Self {
        Self {
            topic,
            cluster,
            replicas,
            commit_timeout,
        }
    }

    fn leader(&self, partition: i32) -> Result<Arc<Partition>, Error> {
        let id = TopicPartition::new(self.topic.clone(), partition);
        self.replicas.leader(&id).map_err(|error| match error {
            crate::replica::Error::UnknownPartition => Error::UnknownPartition,
            _ => Error::NotLeader,
        })
    }
}

impl StateLog for ReplicatedLog {
    fn partition_count(&self) -> i32 {
        let snapshot = self.cluster.snapshot();
        let topic = snapshot.topic(self.topic.as_str());
        topic.map_or(0, |topic| {
            i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)
        })
    }

    fn append_verified(
        &self,
        partition: i32,
        batch: Bytes,
        verification: Verification,
    ) -> BoxFuture<'static, Result<i64, Error>> {
        let appended = self.leader(partition).and_then(|partition| {
            let appended = partition.append_coordinated(batch, verification);
            appended.map_err(|error| append_error(&error))
        });
        match appended {
            Err(error) => std::future::ready(Err(error)).boxed(),
            Ok((appended, None)) => std::future::ready(Ok(appended.first_offset)).boxed(),
            Ok((appended, Some(pending))) => {
                let committed = pending.committed(self.commit_timeout);
                let done = move |done: Result<(), AppendError>| {
                    done.map(|()| appended.first_offset)
                        .map_err(|error| append_error(&error))
                };
                committed.map(done).boxed()
            }
        }
    }

    fn log_start_offset(&self, partition: i32) -> Result<i64, Error> {
        let (start, ..) = self.leader(partition)?.extent();
        Ok(start)
    }

    fn read(
        &self,
        partition: i32,
        offset: i64,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Chunk, Error>> {
        let leader = self.leader(partition);
        // What is not known to be committed yet stays in the log as long as
        // this broker leads it.
        let request = ReadRequest {
            reader: Reader::Client,
            offset,
            bytes_max: max_bytes,
            whole_batch: true,
            isolation: Isolation::LogEnd,
            current_epoch: None,
            last_epoch: None,
        };
        let work = move || {
            let result = leader?.read(&request).map_err(|error| {
                tracing::error!(%error, "the state log cannot be read");
                match error {
                    ReplicaError::Read(ReadError::Damaged { .. }) => Error::Damaged,
                    _ => Error::Storage,
                }
            })?;
            let bytes = match result.records {
                None => Bytes::new(),
                Some(Part::Memory(bytes)) => bytes,
                Some(Part::File(range)) => load(&range)?,
            };
            let whole = crate::record::whole_batches_length(&bytes);
            if whole == 0 && !bytes.is_empty() {
                return Err(Error::Damaged);
            }
            Ok(Chunk {
                batches: bytes.slice(..whole),
                high_watermark: result.high_watermark,
            })
        };
        let reading = task::spawn_blocking("read state log", work);
        reading
            .map(|read| read.unwrap_or(Err(Error::Storage)))
            .boxed()
    }

    fn behind_damage(
        &self,
        partition: i32,
        offset: i64,
    ) -> BoxFuture<'static, Result<Option<i64>, Error>> {
        let leader = self.leader(partition);
        let work = move || {
            leader?.offset_behind_damage(offset).map_err(|error| {
                tracing::error!(%error, "the state log cannot be read");
                Error::Storage
            })
        };
        task::spawn_blocking("look behind damage", work)
            .map(|found| found.unwrap_or(Err(Error::Storage)))
            .boxed()
    }
}

/// Reads a range into memory.
fn load(range: &FileRange) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::zeroed(range.length);
    let mut filled = 0;
    while filled < range.length {
        let position = range.position + filled as u64;
        match range.source.read_at(position, &mut bytes[filled..]) {
            Ok(0) => return Err(Error::Storage),
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::error!(%error, "the state log cannot be read");
                return Err(Error::Storage);
            }
        }
    }
    Ok(bytes.freeze())
}

fn append_error(error: &AppendError) -> Error {
    match error {
        AppendError::UnknownPartition | AppendError::UnknownTopicId => Error::UnknownPartition,
        AppendError::NotEnoughReplicas | AppendError::NotEnoughReplicasAfterAppend => {
            Error::NotEnoughReplicas
        }
        AppendError::TimedOut => Error::Timeout,
        AppendError::NotLeader | AppendError::InternalTopic | AppendError::InvalidAcks => {
            Error::NotLeader
        }
        AppendError::Log(error) => log_error(error),
    }
}

fn log_error(error: &LogAppendError) -> Error {
    match error {
        LogAppendError::TooLarge { .. } | LogAppendError::LargerThanSegment { .. } => {
            Error::TooLarge
        }
        LogAppendError::InvalidProducerEpoch { .. } => Error::ProducerFenced,
        LogAppendError::CoordinatorFenced { .. } => Error::CoordinatorFenced,
        LogAppendError::InvalidTxnState { .. } | LogAppendError::NotVerified { .. } => {
            Error::NotInTransaction
        }
        other => {
            tracing::error!(error = %other, "the state log cannot be written");
            Error::Storage
        }
    }
}
