//! Making a segment's indexes anew while its batches are read.

use std::io;

use super::Segment;
use crate::log::index::{OffsetPosition, TimestampOffset};
use crate::record::Header;

impl Segment {
    /// Starts a rebuild: empties the indexes. `index_batch` and
    /// `finish_rebuild` do the rest.
    pub(in crate::log) fn start_rebuild(&mut self) -> io::Result<()> {
        self.offsets.start_rebuild();
        self.times.start_rebuild();
        self.transactions.reset()?;
        self.bytes_since_index = 0;
        *self.first_timestamp.lock() = None;
        *self.max_timestamp.lock() = Some(self.times.last());
        Ok(())
    }

    /// Enters a batch of a segment that is being rebuilt.
    pub(in crate::log) fn index_batch(
        &mut self,
        position: u64,
        header: &Header,
        index_interval: u64,
    ) -> io::Result<()> {
        let largest = self.note_timestamp(TimestampOffset {
            timestamp: header.max_timestamp,
            offset: header.last_offset(),
        })?;
        if self.bytes_since_index > index_interval {
            let offset = header.last_offset();
            self.add_index_entries(OffsetPosition { offset, position }, largest);
        }
        self.bytes_since_index += header.size() as u64;
        Ok(())
    }

    /// Cuts the file behind the last valid batch and closes the indexes.
    pub(in crate::log) fn finish_rebuild(&mut self, valid: u64) -> io::Result<()> {
        let largest = self.largest_timestamp()?;
        if valid != self.size {
            self.cut(valid)?;
        }
        *self.max_timestamp.lock() = Some(largest);
        self.synced = false;
        self.close()
    }
}
