//! The search of ListOffsets 0: where segments begin, by the time at which
//! they were written last.

use std::io;
use std::time::UNIX_EPOCH;

use super::segment::{LOG_SUFFIX, Segment};
use super::{EARLIEST_TIMESTAMP, Error, LATEST_TIMESTAMP, Log};
use crate::model::Offset;

impl Log {
    /// At most `count_max` places where segments begin that were written
    /// before `timestamp`, and the log's end, the latest first.
    pub fn offsets_before(
        &self,
        timestamp: i64,
        count_max: usize,
        now_ms: i64,
    ) -> Result<Vec<Offset>, Error> {
        let places = self.places(now_ms);
        let places = self.io(places)?;
        Ok(before(&places, timestamp, count_max))
    }

    /// Where each segment begins and when it was written; and the log's end.
    fn places(&self, now_ms: i64) -> io::Result<Vec<(Offset, i64)>> {
        let mut places = Vec::with_capacity(self.segments.len() + 1);
        for segment in self.segments.values() {
            let begin = segment.base_offset().max(self.log_start_offset);
            places.push((begin, modified_ms(segment)?));
        }
        let last = self.segments.values().next_back();
        if last.is_some_and(|segment| segment.size() > 0) {
            places.push((self.log_end_offset, now_ms));
        }
        Ok(places)
    }
}

fn modified_ms(segment: &Segment) -> io::Result<i64> {
    let modified = segment.path(LOG_SUFFIX).metadata()?.modified()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn before(places: &[(Offset, i64)], timestamp: i64, count_max: usize) -> Vec<Offset> {
    let end = match timestamp {
        LATEST_TIMESTAMP => places.len(),
        EARLIEST_TIMESTAMP => places.len().min(1),
        timestamp => {
            let last = places
                .iter()
                .rposition(|(_, written)| *written <= timestamp);
            last.map_or(0, |last| last + 1)
        }
    };
    let newest_first = places[..end].iter().rev().take(count_max);
    newest_first.map(|(offset, _)| *offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_places_come_first_and_no_more_than_asked_for() {
        let places = [(0, 100), (10, 200), (20, 300), (25, 400)];
        for (timestamp, count_max, expected) in [
            (LATEST_TIMESTAMP, 1, &[25][..]),
            (LATEST_TIMESTAMP, 9, &[25, 20, 10, 0]),
            (EARLIEST_TIMESTAMP, 9, &[0]),
            (99, 9, &[]),
            (100, 9, &[0]),
            (299, 9, &[10, 0]),
            (300, 2, &[20, 10]),
            (1000, 0, &[]),
        ] {
            assert_eq!(
                before(&places, timestamp, count_max),
                expected,
                "{timestamp}"
            );
        }
    }
}
