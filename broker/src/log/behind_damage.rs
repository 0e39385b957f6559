//! Where a log goes on behind bytes that are no batches.
//!
//! Headers tell where the next one is, so one that is damaged hides what follows;
//! the index of the segment and the next segment know other places.

use std::io;

use super::{Error, Log, Segment};
use crate::model::Offset;

impl Log {
    /// The nearest offset behind `offset` that is known to be in, or to begin, a
    /// stretch of batches; `None` when none is known. What lies between the two is
    /// not to be had.
    pub fn offset_behind_damage(&self, offset: Offset) -> Result<Option<Offset>, Error> {
        self.io(self.find_behind_damage(offset))
    }

    fn find_behind_damage(&self, offset: Offset) -> io::Result<Option<Offset>> {
        for (base_offset, segment) in self.segments.range(self.floor_segment(offset)..) {
            if *base_offset > offset {
                return Ok(Some(*base_offset));
            }
            if let Some(found) = indexed_behind(segment, offset)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The first entry of the index behind `offset` where a batch begins.
fn indexed_behind(segment: &Segment, offset: Offset) -> io::Result<Option<Offset>> {
    let mut last = offset;
    while let Some(entry) = segment.index_entry_behind(last)? {
        let batch = match entry.position < segment.size() {
            true => segment.scan(entry.position)?.next_batch()?,
            false => None,
        };
        let is_there = batch.is_some_and(|(_, batch)| {
            let header = batch.header();
            header.base_offset > offset && header.base_offset <= entry.offset
        });
        if is_there {
            return Ok(Some(entry.offset));
        }
        last = entry.offset;
    }
    Ok(None)
}
