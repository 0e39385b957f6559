//! Reads by offset, and offsets by time or epoch.

use std::sync::Arc;

use common::wire::{FileRange, Part};

use super::{Partition, Role};
use crate::log::{
    self, AbortedTransaction, EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, Log, MAX_TIMESTAMP, ReadBounds,
    SegmentFile,
};
use crate::metrics::Traffic;
use crate::model::{BrokerEpoch, BrokerId, LeaderEpoch, Offset};
use crate::replica::error::Error;
use crate::replica::isolation::Isolation;
use crate::replica::leader::Progress;

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Of the leader only.
    Client,
    /// Of the replica next to it, whatever its role.
    ClientOfAnyReplica,
    /// A follower, which tells by it what it has.
    Follower {
        id: BrokerId,
        broker_epoch: BrokerEpoch,
        log_start: Offset,
    },
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    pub reader: Reader,
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
    /// Bytes from the offset on that the reader may see, in that segment.
    pub available: usize,
    /// What the reader may see goes on in a newer segment.
    pub is_behind: bool,
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

/// A replica's role as a reader sees it.
struct Seen {
    epoch: LeaderEpoch,
    high_watermark: Offset,
    /// Where the leader's epoch began.
    epoch_start: Offset,
}

fn part_of(slice: log::FileSlice) -> Part {
    Part::File(FileRange {
        source: Arc::new(Source(slice.file)),
        position: slice.position,
        length: slice.length,
    })
}

impl Partition {
    /// Finds records from an offset on.
    pub fn read(&self, request: &ReadRequest) -> Result<ReadResult, Error> {
        self.count(Traffic::FetchRequests, 1);
        self.read_now(request).inspect_err(|error| {
            // What tells a reader where to go on is no failure, nor is a failed disk,
            // which has a metric of its own.
            if let Error::Read(log::ReadError::Damaged { .. }) = error {
                self.count(Traffic::FailedFetchRequests, 1);
            }
        })
    }

    fn read_now(&self, request: &ReadRequest) -> Result<ReadResult, Error> {
        let seen = self.seen(request.reader, request.current_epoch)?;
        let high_watermark = seen.high_watermark;
        let is_held_back = match request.reader {
            Reader::Follower { id, .. } => self.holds_back(id),
            Reader::Client | Reader::ClientOfAnyReplica => false,
        };
        let log = self.log.read();
        let mut result = ReadResult {
            high_watermark,
            last_stable_offset: log.last_stable_offset(high_watermark),
            log_start_offset: log.log_start_offset(),
            diverging: None,
            aborted: (request.isolation == Isolation::ReadCommitted).then(Vec::new),
            records: None,
            available: 0,
            is_behind: false,
        };
        if let Some(epoch) = request.last_epoch
            && let Some(diverging) = diverging(&log, epoch, request.offset)?
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
            max_bytes: match is_held_back {
                true => 0,
                false => request.bytes_max,
            },
            upper_bound,
            at_least_one_batch: request.whole_batch && !is_held_back,
        };
        let read = log.read(request.offset, bounds)?;
        if read.slice.is_some()
            && let Some(aborted) = &mut result.aborted
        {
            *aborted = log.aborted_transactions_of(&read, upper_bound)?;
        }
        let leader_end = log.log_end_offset();
        drop(log);
        if let Reader::Follower {
            id,
            broker_epoch,
            log_start,
        } = request.reader
        {
            let progress = Progress {
                broker_epoch,
                log_end: request.offset,
                log_start,
                leader_end,
                now: self.around.clock.monotonic(),
            };
            result.high_watermark = self.on_follower_fetch(id, seen.epoch, &progress)?;
        }
        if read.slice.is_some() {
            (result.available, result.is_behind) = (read.available, read.is_behind);
        }
        result.records = read.slice.map(part_of);
        Ok(result)
    }

    /// Finds an offset by time or by its place.
    pub fn offset_at(
        &self,
        query: OffsetQuery,
        isolation: Isolation,
        current_epoch: Option<LeaderEpoch>,
    ) -> Result<Option<OffsetAtTime>, Error> {
        let seen = self.seen(Reader::Client, current_epoch)?;
        let log = self.log.read();
        let end = match isolation {
            Isolation::LogEnd => log.log_end_offset(),
            Isolation::ReadUncommitted => seen.high_watermark,
            Isolation::ReadCommitted => log.last_stable_offset(seen.high_watermark),
        };
        // A new leader does not know yet what the old one committed (KIP-207).
        let is_end_known =
            isolation == Isolation::LogEnd || seen.high_watermark >= seen.epoch_start;
        let timestamp = match query {
            OffsetQuery::Earliest => EARLIEST_TIMESTAMP,
            OffsetQuery::Latest if !is_end_known => return Err(Error::OffsetNotAvailable),
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
        match (query, found) {
            (OffsetQuery::Latest, found) => Ok(found.map(|found| OffsetAtTime {
                offset: end,
                ..found
            })),
            (OffsetQuery::Earliest, found) => Ok(found),
            (_, Some(found)) if found.offset >= end && !is_end_known => {
                Err(Error::OffsetNotAvailable)
            }
            // What is not committed yet has no offset for a client.
            (_, found) => Ok(found.filter(|found| found.offset < end)),
        }
    }

    /// Where segments begin that were written before `timestamp`, and the end
    /// of what a reader may see; at most `count_max`, the latest first.
    pub fn offsets_before(
        &self,
        timestamp: i64,
        count_max: usize,
        isolation: Isolation,
    ) -> Result<Vec<Offset>, Error> {
        let high_watermark = self.seen(Reader::Client, None)?.high_watermark;
        let now_ms = self.around.clock.wall_ms();
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
        self.seen(Reader::Client, current_epoch)?;
        Ok(self
            .log
            .read()
            .end_offset_for(epoch)
            .map(|end| (end.epoch, end.end_offset)))
    }

    /// Where the log goes on behind damage at `offset`; see [`Log`].
    pub fn offset_behind_damage(&self, offset: Offset) -> Result<Option<Offset>, Error> {
        Ok(self.log.read().offset_behind_damage(offset)?)
    }

    /// What `reader` sees, if this replica has the role and is in the epoch
    /// that is meant.
    fn seen(&self, reader: Reader, meant: Option<LeaderEpoch>) -> Result<Seen, Error> {
        let state = self.state.lock();
        let (epoch, epoch_start) = match &state.role {
            Role::Leader(leader) => (leader.epoch, leader.start_offset()),
            Role::Follower(following) => (following.epoch, 0),
            Role::Stopped { .. } | Role::None => return Err(Error::NotLeader),
        };
        match meant {
            Some(meant) if meant < epoch => return Err(Error::FencedEpoch),
            Some(meant) if meant > epoch => return Err(Error::UnknownEpoch),
            _ => {}
        }
        match (&state.role, reader) {
            (Role::Leader(leader), Reader::Follower { id, .. }) if !leader.is_follower(id) => {
                return Err(Error::UnknownEpoch);
            }
            (Role::Leader(_), _) | (_, Reader::ClientOfAnyReplica) => {}
            (_, Reader::Client | Reader::Follower { .. }) => return Err(Error::NotLeader),
        }
        Ok(Seen {
            epoch,
            high_watermark: state.high_watermark,
            epoch_start,
        })
    }
}

/// Where a reader whose last record is of `epoch` and lies before `offset` left
/// this log (KIP-595).
fn diverging(
    log: &Log,
    epoch: LeaderEpoch,
    offset: Offset,
) -> Result<Option<(LeaderEpoch, Offset)>, Error> {
    let known = log.end_offset_for(epoch);
    let (Some(known), true) = (known, offset >= log.log_start_offset()) else {
        return Err(Error::Read(log::ReadError::OutOfRange {
            offset,
            log_start_offset: log.log_start_offset(),
            log_end_offset: log.log_end_offset(),
        }));
    };
    let diverges = known.epoch < epoch || known.end_offset < offset;
    Ok(diverges.then_some((known.epoch, known.end_offset)))
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
