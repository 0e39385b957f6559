//! Reads: by offset, and offsets by time.

use std::io;

use super::storage::FileSlice;
use super::{Error, Log, Segment};
use crate::model::{LeaderEpoch, Offset};
use crate::record::{Batch, NO_TIMESTAMP};

/// Asks `offset_for_time` for the end of the log.
pub const LATEST_TIMESTAMP: i64 = -1;
/// Asks `offset_for_time` for the start of the log.
pub const EARLIEST_TIMESTAMP: i64 = -2;
/// Asks `offset_for_time` for the record with the largest timestamp.
pub const MAX_TIMESTAMP: i64 = -3;

/// Bound on a batch's records when a timestamp is searched in them.
const SEARCH_SIZE_MAX: usize = 1 << 30;

/// How far a read may go.
#[derive(Debug, Clone, Copy)]
pub struct ReadBounds {
    pub max_bytes: usize,
    /// No batch with this offset or a later one is returned: the high
    /// watermark, the last stable offset, or the log end offset.
    pub upper_bound: Offset,
    /// Return the first batch even if it is larger than `max_bytes`.
    pub at_least_one_batch: bool,
}

/// Bytes to hand to a reader.
#[derive(Debug, Clone)]
pub struct Read {
    /// Base offset of the first batch, which may lie before the offset asked for.
    pub start_offset: Offset,
    /// Begins at a batch; the last one may be cut off by `max_bytes`. `None`
    /// when there is nothing below the bound, or the first batch is too large.
    pub slice: Option<FileSlice>,
    /// Size of the first batch, 0 when there is none below the bound.
    pub first_batch_size: usize,
    /// Bytes from there to the bound or the end of the segment.
    pub available: usize,
    /// The bound lies in a newer segment.
    pub is_behind: bool,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(
        "offset {offset} is out of range; the log spans {log_start_offset} to {log_end_offset}"
    )]
    OutOfRange {
        offset: Offset,
        log_start_offset: Offset,
        log_end_offset: Offset,
    },
    /// The bytes at the offset are no batch: a bit flipped on the disk.
    #[error("the log is damaged at or before offset {offset}: {source}")]
    Damaged { offset: Offset, source: io::Error },
    #[error(transparent)]
    Storage(#[from] Error),
}

/// The answer to a search by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOffset {
    pub timestamp: i64,
    pub offset: Offset,
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Log {
    /// Finds the bytes from `offset` on, within one segment.
    pub fn read(&self, offset: Offset, bounds: ReadBounds) -> Result<Read, ReadError> {
        if self.is_offline() {
            self.check_usable()?;
        }
        if offset < self.log_start_offset || offset > self.log_end_offset {
            return Err(ReadError::OutOfRange {
                offset,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        match self.find_slice(offset, bounds) {
            Err(source) if source.kind() == io::ErrorKind::InvalidData => {
                Err(ReadError::Damaged { offset, source })
            }
            result => Ok(self.io(result)?),
        }
    }

    fn find_slice(&self, offset: Offset, bounds: ReadBounds) -> io::Result<Read> {
        let nothing = Read {
            start_offset: offset,
            slice: None,
            first_batch_size: 0,
            available: 0,
            is_behind: false,
        };
        let upper_bound = bounds.upper_bound.min(self.log_end_offset);
        if offset >= upper_bound {
            return Ok(nothing);
        }
        let floor = self.floor_segment(offset);
        for (base_offset, segment) in self.segments.range(floor..) {
            if *base_offset >= upper_bound {
                break;
            }
            // After compaction the offset may lie in no batch of its segment.
            let Some((position, first)) = segment.find_for_reader(offset)? else {
                continue;
            };
            let end = self.end_position(segment, upper_bound)?;
            let available = usize::try_from(end.saturating_sub(position)).unwrap_or(usize::MAX);
            if available < first.size() {
                return Ok(nothing);
            }
            let wanted = match bounds.at_least_one_batch {
                true => bounds.max_bytes.max(first.size()),
                false => bounds.max_bytes,
            };
            let slice = match wanted >= first.size() {
                true => Some(segment.slice(position, wanted.min(available))?),
                false => None,
            };
            return Ok(Read {
                start_offset: first.base_offset,
                slice,
                first_batch_size: first.size(),
                available,
                is_behind: *base_offset < self.floor_segment(upper_bound),
            });
        }
        Ok(nothing)
    }

    /// Where the batches below `upper_bound` end in `segment`.
    fn end_position(&self, segment: &Segment, upper_bound: Offset) -> io::Result<u64> {
        let next_base = (segment.base_offset() + 1)..;
        let is_last = self.segments.range(next_base.clone()).next().is_none();
        let next = self.segments.range(next_base).next();
        let beyond = next.is_some_and(|(&next_base, _)| next_base <= upper_bound);
        if beyond || (is_last && upper_bound >= self.log_end_offset) {
            return Ok(segment.size());
        }
        let found = segment.find(upper_bound)?;
        Ok(found.map_or_else(|| segment.size(), |(position, _)| position))
    }

    /// Base offset of the segment that would contain `offset`.
    pub(super) fn floor_segment(&self, offset: Offset) -> Offset {
        let floor = self.segments.range(..=offset).next_back();
        let first = self.segments.first_key_value();
        floor.or(first).map_or(0, |(&base_offset, _)| base_offset)
    }

    /// The first record at or after `timestamp`, or the place that one of the
    /// special timestamps stands for. `None` when there is no such record.
    pub fn offset_for_time(&self, timestamp: i64) -> Result<Option<TimedOffset>, Error> {
        match timestamp {
            EARLIEST_TIMESTAMP => Ok(Some(TimedOffset {
                timestamp: NO_TIMESTAMP,
                offset: self.log_start_offset,
                leader_epoch: self.epochs.epoch_for_offset(self.log_start_offset),
            })),
            LATEST_TIMESTAMP => Ok(Some(TimedOffset {
                timestamp: NO_TIMESTAMP,
                offset: self.log_end_offset,
                leader_epoch: self.epochs.latest(),
            })),
            MAX_TIMESTAMP => self.io(self.find_max_timestamp()),
            timestamp => self.io(self.find_by_time(timestamp)),
        }
    }

    fn find_max_timestamp(&self) -> io::Result<Option<TimedOffset>> {
        let mut best: Option<(i64, &Segment)> = None;
        for segment in self.segments.values() {
            let largest = segment.largest_timestamp()?.timestamp;
            if largest >= 0 && best.is_none_or(|(best, _)| largest > best) {
                best = Some((largest, segment));
            }
        }
        let Some((largest, segment)) = best else {
            return Ok(None);
        };
        self.find_in_segment(segment, largest)
    }

    fn find_by_time(&self, timestamp: i64) -> io::Result<Option<TimedOffset>> {
        for segment in self.segments.values() {
            if segment.largest_timestamp()?.timestamp < timestamp {
                continue;
            }
            if let Some(found) = self.find_in_segment(segment, timestamp)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find_in_segment(
        &self,
        segment: &Segment,
        timestamp: i64,
    ) -> io::Result<Option<TimedOffset>> {
        let start = segment.start_for_timestamp(timestamp, self.log_start_offset)?;
        let mut scan = segment.scan(start)?;
        while let Some((position, header)) = scan.next_header()? {
            if header.max_timestamp < timestamp || header.last_offset() < self.log_start_offset {
                continue;
            }
            let bytes = segment.slice(position, header.size())?.read()?;
            let Ok(records) = Batch::stored(bytes).and_then(|batch| batch.records(SEARCH_SIZE_MAX))
            else {
                continue;
            };
            let mut records = records.map_while(Result::ok);
            let found = records.find(|record| {
                record.timestamp >= timestamp && record.offset >= self.log_start_offset
            });
            if let Some(record) = found {
                let epoch = header.partition_leader_epoch;
                return Ok(Some(TimedOffset {
                    timestamp: record.timestamp,
                    offset: record.offset,
                    leader_epoch: (epoch >= 0).then_some(epoch),
                }));
            }
        }
        Ok(None)
    }
}
