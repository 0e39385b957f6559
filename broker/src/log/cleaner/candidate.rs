//! Which log to clean next, and what part of it.

use std::io;

use super::super::{Error, Log, Segment};
use crate::model::Offset;

/// What can be cleaned of one log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// Everything before it was cleaned.
    pub(super) first_dirty: Offset,
    /// Base offset of the first segment that may not be cleaned yet.
    pub(super) first_uncleanable: Offset,
    pub(super) clean_bytes: u64,
    pub(super) cleanable_bytes: u64,
    /// Records wait for longer than `max.compaction.lag.ms`.
    pub(super) is_overdue: bool,
    pub(super) dirty_ratio_min: f64,
}

impl Candidate {
    pub(super) fn dirty_ratio(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        match total {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        (self.is_overdue && self.cleanable_bytes > 0) || self.dirty_ratio() > self.dirty_ratio_min
    }
}

/// The index of the candidate with the largest part to clean, if one is due.
pub(super) fn filthiest<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Option<usize> {
    let due = candidates.enumerate().filter(|(_, c)| c.is_due());
    let ratio = |candidate: &Candidate| candidate.dirty_ratio();
    due.max_by(|(_, a), (_, b)| ratio(a).total_cmp(&ratio(b)))
        .map(|(index, _)| index)
}

impl Log {
    /// What can be cleaned now, given where the log is stable.
    pub(super) fn cleaning_candidate(
        &self,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<Candidate, Error> {
        let first_dirty = self.first_dirty_offset();
        let last_stable = self.last_stable_offset(high_watermark);
        let found = self.find_candidate(first_dirty, last_stable, now_ms);
        self.io(found)
    }

    /// Where the last cleaning ended; the start of the log when that is
    /// unknown or lies outside of it.
    fn first_dirty_offset(&self) -> Offset {
        let home = self.home.as_ref();
        let known = home.and_then(|home| home.cleaner_checkpoint.get(&self.partition));
        let range = self.log_start_offset..=self.log_end_offset;
        known
            .filter(|offset| range.contains(offset))
            .unwrap_or(self.log_start_offset)
    }

    fn find_candidate(
        &self,
        first_dirty: Offset,
        last_stable: Offset,
        now_ms: i64,
    ) -> io::Result<Candidate> {
        let config = &self.config;
        let active = self.active_base_offset();
        let mut limit = last_stable.min(active);
        let newest = now_ms.saturating_sub(config.min_compaction_lag_ms);
        let overdue_before = now_ms.saturating_sub(config.max_compaction_lag_ms);
        let mut is_overdue = false;
        for segment in self.closed_segments_from(first_dirty) {
            let first = segment.first_timestamp()?;
            is_overdue |= first > 0 && first < overdue_before;
            let lags = config.min_compaction_lag_ms > 0 && segment.retention_time()? > newest;
            if lags {
                limit = limit.min(segment.base_offset());
            }
        }
        let limit = limit.max(first_dirty);
        let first_uncleanable = self
            .closed_segments_from(limit)
            .next()
            .map_or(active, Segment::base_offset);
        let size_of = |from: Offset, to: Offset| -> u64 {
            let segments = self.segments_between(from, to);
            segments.map(Segment::size).sum()
        };
        Ok(Candidate {
            first_dirty,
            first_uncleanable,
            clean_bytes: size_of(0, first_dirty),
            cleanable_bytes: size_of(first_dirty, first_uncleanable),
            is_overdue,
            dirty_ratio_min: config.min_cleanable_dirty_ratio,
        })
    }

    pub(super) fn active_base_offset(&self) -> Offset {
        self.segments.last_key_value().map_or(0, |(&base, _)| base)
    }

    /// The segments before the active one, from that with `offset` on.
    fn closed_segments_from(&self, offset: Offset) -> impl Iterator<Item = &Segment> {
        self.segments_between(offset, self.active_base_offset())
    }

    /// The segments from that with `from` on that begin before `to`.
    pub(super) fn segments_between(
        &self,
        from: Offset,
        to: Offset,
    ) -> impl Iterator<Item = &Segment> {
        let from = self.floor_segment(from).min(to);
        let segments = self.segments.range(from..to);
        segments.map(|(_, segment)| segment.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(clean_bytes: u64, cleanable_bytes: u64) -> Candidate {
        Candidate {
            first_dirty: 10,
            first_uncleanable: 20,
            clean_bytes,
            cleanable_bytes,
            is_overdue: false,
            dirty_ratio_min: 0.5,
        }
    }

    #[test]
    fn the_dirtiest_log_that_is_due_comes_first() {
        let overdue = Candidate {
            is_overdue: true,
            ..candidate(90, 10)
        };
        let nothing = Candidate {
            is_overdue: true,
            ..candidate(90, 0)
        };
        for (candidates, expected) in [
            (vec![], None),
            (vec![candidate(50, 50)], None),
            (vec![candidate(0, 0)], None),
            (vec![candidate(10, 50), candidate(10, 90)], Some(1)),
            (vec![candidate(0, 1), candidate(10, 90)], Some(0)),
            (vec![candidate(60, 40), overdue], Some(1)),
            (vec![nothing], None),
        ] {
            assert_eq!(filthiest(candidates.iter()), expected, "{candidates:?}");
        }
    }
}
