//! One partition on this broker: its role, its log, its high watermark.

mod delete_records;

use std::sync::Arc;

use bytes::Bytes;
use common::clock::SharedClock;
use common::wire::{FileRange, Part};
use parking_lot::Mutex;

use super::error::{AppendError, Error};
use super::isolation::{Acks, Isolation};
use super::leader::LeaderState;
use super::wait::{Registration, Waiter, Waiters};
use crate::log::{
    AbortedTransaction, AppendOrigin, EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, Log, LogConfig,
    LogHandle, MAX_TIMESTAMP, ReadBounds, SegmentFile,
};
use crate::model::{BrokerId, LeaderEpoch, Offset, TopicId, TopicPartition};
use crate::protocol::interbroker::PartitionState;

pub use delete_records::DeleteRecordsError;

/// What the leader answers for an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the topic is stamped by the broker.
    pub log_append_time_ms: i64,
    pub log_start_offset: Offset,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    pub offset: Offset,
    pub bytes_max: usize,
    /// Return the first batch even when it is larger than `bytes_max`.
    pub whole_batch: bool,
    pub isolation: Isolation,
    /// The epoch in which the reader believes the leader to be.
    pub current_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that the reader has.
    pub last_epoch: Option<LeaderEpoch>,
}

/// What was read, and where the log stands.
#[derive(Debug, Clone)]
pub struct ReadResult {
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// Epoch and end offset at which the reader's log leaves this one.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// For a reader of committed records: what it must skip.
    pub aborted: Option<Vec<AbortedTransaction>>,
    pub records: Option<Part>,
}

/// A place in the log that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetQuery {
    Earliest,
    Latest,
    MaxTimestamp,
    /// The end of what a remote tier holds; there is none.
    LatestTiered,
    AtOrAfter(i64),
}

/// The answer to an `OffsetQuery`; the timestamp is -1 where there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAtTime {
    pub timestamp: i64,
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
}

/// One replica.
pub struct Partition {
    id: TopicPartition,
    own_id: BrokerId,
    clock: SharedClock,
    log: LogHandle,
    state: Mutex<State>,
    waiters: Waiters,
}

struct State {
    role: Role,
    high_watermark: Offset,
}

enum Role {
    Leader(LeaderState),
    Follower {
        epoch: LeaderEpoch,
    },
    /// Not told yet, or taken away.
    None,
}

impl Partition {
    pub(super) fn new(
        id: TopicPartition,
        own_id: BrokerId,
        clock: SharedClock,
        log: LogHandle,
        high_watermark: Offset,
    ) -> Self {
        let (start, end) = {
            let log = log.read();
            (log.log_start_offset(), log.log_end_offset())
        };
        let state = State {
            role: Role::None,
            high_watermark: high_watermark.clamp(start, end),
        };
        Self {
            id,
            own_id,
            clock,
            log,
            state: Mutex::new(state),
            waiters: Waiters::default(),
        }
    }

    #[must_use]
    pub fn id(&self) -> &TopicPartition {
        &self.id
    }

    /// The epoch in which this replica leads, if it does.
    #[must_use]
    pub fn leads_in(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower { .. } | Role::None => None,
        }
    }

    /// The newest epoch that this replica was told.
    pub(super) fn epoch(&self) -> Option<LeaderEpoch> {
        match &self.state.lock().role {
            Role::Leader(leader) => Some(leader.epoch),
            Role::Follower { epoch } => Some(*epoch),
            Role::None => None,
        }
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.state.lock().high_watermark
    }

    /// First and next offset of the log, and its size in bytes.
    #[must_use]
    pub fn extent(&self) -> (Offset, Offset, u64) {
        let log = self.log.read();
        (log.log_start_offset(), log.log_end_offset(), log.size())
    }

    /// Says whether the directory of the log failed.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.log.read().is_offline()
    }

    /// The id of the topic that the log belongs to, if it is known.
    pub(super) fn topic_id(&self) -> Option<TopicId> {
        self.log.read().topic_id()
    }

    /// The topic's configuration as it is now.
    #[must_use]
    pub fn config(&self) -> LogConfig {
        self.log.read().config().clone()
    }

    pub(super) fn set_config(&self, config: LogConfig) {
        self.log.write().reconfigure(config);
    }

    /// Takes the role that the controller decided.
    pub(super) fn become_leader(&self, decided: &PartitionState) -> Result<(), Error> {
        let mut state = self.state.lock();
        let leader = match &state.role {
            Role::Leader(leader) if leader.epoch == decided.leader_epoch => leader.with_replicas(
                decided.partition_epoch,
                &decided.isr,
                self.own_id,
                &decided.replicas,
            ),
            _ => LeaderState::new(
                self.own_id,
                decided.leader_epoch,
                decided.partition_epoch,
                &decided.isr,
                &decided.replicas,
            ),
        };
        let log_end = {
            let mut log = self.log.write();
            let log_end = log.log_end_offset();
            log.assign_epoch_start(decided.leader_epoch, log_end)?;
            log_end
        };
        state.advance(&leader, log_end);
        state.role = Role::Leader(leader);
        drop(state);
        self.waiters.wake();
        Ok(())
    }

    pub(super) fn become_follower(&self, epoch: LeaderEpoch) {
        self.state.lock().role = Role::Follower { epoch };
        self.waiters.wake();
    }

    pub(super) fn retire(&self) {
        self.state.lock().role = Role::None;
        self.waiters.wake();
    }

    /// Wakes `waiter` whenever offsets or role change.
    #[must_use]
    pub fn register(&self, waiter: &Waiter) -> Registration {
        self.waiters.register(waiter)
    }

    /// Appends a client's batch. With `Acks::All`, the second value is there
    /// while the in-sync replicas do not have it.
    pub fn append(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        self.append_from(records, acks, AppendOrigin::Client)
    }

    /// Appends a batch of one of this broker's coordinators.
    pub(crate) fn append_from(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
        origin: AppendOrigin,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        let mut state = self.state.lock();
        let Role::Leader(leader) = &state.role else {
            return Err(AppendError::NotLeader);
        };
        let leader = leader.clone();
        let (info, log_end, in_sync_min) = {
            let mut log = self.log.write();
            let in_sync_min = usize::try_from(log.config().min_insync_replicas).unwrap_or(1);
            if acks == Acks::All && leader.isr.len() < in_sync_min {
                return Err(AppendError::NotEnoughReplicas);
            }
            let info = log.append_as_leader(records, leader.epoch, origin, self.clock.wall_ms())?;
            (info, log.log_end_offset(), in_sync_min)
        };
        state.advance(&leader, log_end);
        let is_committed = state.high_watermark > info.last_offset;
        drop(state);
        self.waiters.wake();
        let pending = (acks == Acks::All && !is_committed).then(|| Pending {
            partition: self.clone(),
            last_offset: info.last_offset,
            epoch: leader.epoch,
            in_sync_min,
        });
        let appended = Appended {
            first_offset: info.first_offset,
            last_offset: info.last_offset,
            log_append_time_ms: info.log_append_time,
            log_start_offset: info.log_start_offset,
        };
        Ok((appended, pending))
    }

    /// Finds records from an offset on.
    pub fn read(&self, request: &ReadRequest) -> Result<ReadResult, Error> {
        let high_watermark = self.checked_high_watermark(request.current_epoch)?;
        let log = self.log.read();
        let mut result = ReadResult {
            high_watermark,
            last_stable_offset: log.last_stable_offset(high_watermark),
            log_start_offset: log.log_start_offset(),
            diverging: None,
            aborted: (request.isolation == Isolation::ReadCommitted).then(Vec::new),
            records: None,
        };
        if let Some(epoch) = request.last_epoch
            && let Some(diverging) = diverging(&log, epoch, request.offset)
        {
            result.diverging = Some(diverging);
            return Ok(result);
        }
        let upper_bound = match request.isolation {
            Isolation::LogEnd => log.log_end_offset(),
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => result.last_stable_offset,
        };
        let bounds = ReadBounds {
            max_bytes: request.bytes_max,
            upper_bound,
            at_least_one_batch: request.whole_batch,
        };
        let read = log.read(request.offset, bounds)?;
        if read.slice.is_some()
            && let Some(aborted) = &mut result.aborted
        {
            *aborted = log.aborted_transactions_of(&read, upper_bound)?;
        }
        drop(log);
        result.records = read.slice.map(|slice| {
            Part::File(FileRange {
                source: Arc::new(Source(slice.file)),
                position: slice.position,
                length: slice.length,
            })
        });
        Ok(result)
    }

    /// Finds an offset by time or by its place.
    pub fn offset_at(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<OffsetAtTime>, Error> {
        let high_watermark = self.checked_high_watermark(current_epoch)?;
        let log = self.log.read();
        let end = match isolation {
            Isolation::LogEnd => log.log_end_offset(),
            Isolation::ReadUncommitted => high_watermark,
            Isolation::ReadCommitted => log.last_stable_offset(high_watermark),
        };
        let timestamp = match query {
            OffsetQuery::Earliest => EARLIEST_TIMESTAMP,
            OffsetQuery::Latest => LATEST_TIMESTAMP,
            OffsetQuery::MaxTimestamp => MAX_TIMESTAMP,
            OffsetQuery::LatestTiered => return Ok(None),
            OffsetQuery::AtOrAfter(timestamp) => timestamp,
        };
        let found = log.offset_for_time(timestamp)?.map(|found| OffsetAtTime {
            timestamp: found.timestamp,
            offset: found.offset,
            leader_epoch: found.leader_epoch,
        });
        Ok(match query {
            OffsetQuery::Latest => found.map(|found| OffsetAtTime {
                offset: end,
                ..found
            }),
            // What is not committed yet has no offset for a client.
            _ => found.filter(|found| found.offset < end || query == OffsetQuery::Earliest),
        })
    }

    /// Where segments begin that were written before `timestamp`, and the end
    /// of what a reader may see; at most `count_max`, the latest first.
    pub fn offsets_before(
        &self,
        timestamp: i64,
        count_max: usize,
        isolation: Isolation,
    ) -> Result<Vec<Offset>, Error> {
        let high_watermark = self.checked_high_watermark(None)?;
        let now_ms = self.clock.wall_ms();
        let mut found = self
            .log
            .read()
            .offsets_before(timestamp, count_max, now_ms)?;
        if isolation != Isolation::LogEnd && found.first() > Some(&high_watermark) {
            found.retain(|offset| *offset <= high_watermark);
            found.insert(0, high_watermark);
        }
        Ok(found)
    }

    /// The largest epoch not above `epoch`, and where it ended.
    pub fn end_of_epoch(
        &self,
        epoch: LeaderEpoch,
        current_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<(LeaderEpoch, Offset)>, Error> {
        self.checked_high_watermark(current_epoch)?;
        Ok(self
            .log
            .read()
            .end_offset_for(epoch)
            .map(|end| (end.epoch, end.end_offset)))
    }

    /// The high watermark, if this replica leads in the epoch that is meant.
    fn checked_high_watermark(&self, meant: Option<LeaderEpoch>) -> Result<Offset, Error> {
        let state = self.state.lock();
        let Role::Leader(leader) = &state.role else {
            return Err(Error::NotLeader);
        };
        match meant {
            Some(epoch) if epoch < leader.epoch => Err(Error::FencedEpoch),
            Some(epoch) if epoch > leader.epoch => Err(Error::UnknownEpoch),
            _ => Ok(state.high_watermark),
        }
    }
}

impl State {
    fn advance(&mut self, leader: &LeaderState, log_end: Offset) {
        if let Some(reached) = leader.high_watermark(log_end) {
            self.high_watermark = self.high_watermark.max(reached);
        }
        debug_assert!(
            self.high_watermark <= log_end,
            "the high watermark passed the log's end"
        );
    }
}

/// Where a reader whose last record is of `epoch` and lies before `offset` left
/// this log (KIP-595).
fn diverging(log: &Log, epoch: LeaderEpoch, offset: Offset) -> Option<(LeaderEpoch, Offset)> {
    let known = log.end_offset_for(epoch)?;
    let diverges = known.epoch < epoch || known.end_offset < offset;
    diverges.then_some((known.epoch, known.end_offset))
}

/// An append that waits for its in-sync replicas.
pub struct Pending {
    partition: Arc<Partition>,
    last_offset: Offset,
    epoch: LeaderEpoch,
    in_sync_min: usize,
}

impl Pending {
    #[must_use]
    pub fn register(&self, waiter: &Waiter) -> Registration {
        self.partition.register(waiter)
    }

    /// What became of the append; `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), AppendError>> {
        let state = self.partition.state.lock();
        let Role::Leader(leader) = &state.role else {
            return Some(Err(AppendError::NotLeader));
        };
        if leader.epoch != self.epoch {
            return Some(Err(AppendError::NotLeader));
        }
        if state.high_watermark <= self.last_offset {
            return None;
        }
        Some(match leader.isr.len() < self.in_sync_min {
            true => Err(AppendError::NotEnoughReplicasAfterAppend),
            false => Ok(()),
        })
    }
}

/// A segment's file as the connections send it.
#[derive(Debug)]
struct Source(Arc<dyn SegmentFile>);

impl common::wire::Source for Source {
    fn as_file(&self) -> Option<&std::fs::File> {
        self.0.as_file()
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(position, buffer)
    }
}
