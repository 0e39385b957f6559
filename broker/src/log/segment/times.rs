//! What a segment knows of its records' timestamps.

use std::io;

use super::{Descriptor, Segment};
use crate::log::index::TimestampOffset;
use crate::model::Offset;
use crate::record::NO_TIMESTAMP;

impl Segment {
    /// The largest timestamp in the segment and its batch's last offset.
    pub(in crate::log) fn largest_timestamp(&self) -> io::Result<TimestampOffset> {
        if let Some(known) = *self.max_timestamp.lock() {
            return Ok(known);
        }
        let mut largest = TimestampOffset {
            timestamp: NO_TIMESTAMP,
            offset: self.base_offset,
        };
        // The last entry is believed when the batch at its offset has its
        // timestamp; then only what follows must be read.
        let last = self.times.last();
        let mut start = 0;
        if last.timestamp >= 0
            && let Some((position, header)) = self.find(last.offset)?
            && header.last_offset() == last.offset
            && header.max_timestamp == last.timestamp
        {
            largest = last;
            start = position;
        } else if last.timestamp < 0 && self.is_without_times()? {
            return Ok(largest);
        }
        let mut scan = self.scan(start)?;
        while let Some((_, header)) = scan.next_header()? {
            if header.max_timestamp > largest.timestamp {
                largest = TimestampOffset {
                    timestamp: header.max_timestamp,
                    offset: header.last_offset(),
                };
            }
        }
        *self.max_timestamp.lock() = Some(largest);
        Ok(largest)
    }

    /// Says whether all of a closed segment is of format 0, which has no times:
    /// then its index of times is there and has no entry.
    fn is_without_times(&self) -> io::Result<bool> {
        if matches!(*self.descriptor.lock(), Descriptor::Active(_)) || !self.times.file().exists() {
            return Ok(false);
        }
        let first = self.scan(0)?.next_header()?;
        Ok(first.is_some_and(|(_, header)| header.magic == 0))
    }

    /// Where a search for a record with at least `timestamp` may begin.
    pub(in crate::log) fn start_for_timestamp(
        &self,
        timestamp: i64,
        from: Offset,
    ) -> io::Result<u64> {
        let before = match self.times.lookup_before(timestamp)? {
            Some(entry) => match self.find(entry.offset)? {
                Some((_, header)) if header.max_timestamp == entry.timestamp => entry.offset,
                _ => self.base_offset,
            },
            None => self.base_offset,
        };
        let found = self.find(before.max(from))?;
        Ok(found.map_or(self.size, |(position, _)| position))
    }

    /// Maximum timestamp of the first batch, -1 when there is none.
    pub(in crate::log) fn first_timestamp(&self) -> io::Result<i64> {
        if let Some(first) = *self.first_timestamp.lock() {
            return Ok(first);
        }
        let first = self.scan(0)?.next_header()?;
        let Some((_, header)) = first else {
            return Ok(NO_TIMESTAMP);
        };
        *self.first_timestamp.lock() = Some(header.max_timestamp);
        Ok(header.max_timestamp)
    }

    /// Time that retention compares: the largest timestamp, or for records
    /// without one the time of the last write.
    pub(in crate::log) fn retention_time(&self) -> io::Result<i64> {
        let largest = self.largest_timestamp()?;
        if largest.timestamp >= 0 {
            return Ok(largest.timestamp);
        }
        let modified = self.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH);
        let since = since.unwrap_or_default().as_millis();
        Ok(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
