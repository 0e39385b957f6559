//! After a crash: keep the whole batches at the front, cut the rest.

use std::io;

use super::Log;
use super::producer_state::ProducerState;
use super::segment::Segment;
use crate::model::Offset;
use crate::record;

/// Segments of this size take long enough for an operator to wonder.
const WORTH_A_LINE: u64 = 64 << 20;

/// What a load had to repair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    pub segments_scanned: usize,
    pub segments_deleted: usize,
    pub bytes_cut: u64,
    pub damage: Option<Damage>,
}

/// Why the log was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Offset that the first bad batch should have had.
    pub offset: Offset,
    pub error: record::Error,
    /// Whole batches lay behind the bad bytes: not the torn end of a crash,
    /// but records that were once written, perhaps committed.
    pub inside_the_log: bool,
}

impl Log {
    /// Checks every segment from the recovery point on, and any that lost an
    /// index or whose end is damaged in spite of a clean shutdown.
    pub(super) fn recover_segments(&mut self, clean: bool, now_ms: i64) -> io::Result<()> {
        let unflushed_from = self.floor_segment(self.recovery_point);
        let bases: Vec<_> = self.segments.keys().copied().collect();
        let last = bases.last().copied();
        let mut producers = None;
        for (index, base_offset) in bases.iter().copied().enumerate() {
            let bound = bases.get(index + 1).copied().unwrap_or(Offset::MAX);
            let Some(mut segment) = self.segments.remove(&base_offset) else {
                continue;
            };
            let suspect = !segment.has_sane_indexes()?
                || (!clean && base_offset >= unflushed_from)
                || (Some(base_offset) == last && has_damaged_end(&segment)?);
            let damage = match suspect {
                true => self.recover_segment(&mut segment, bound, &mut producers)?,
                false => None,
            };
            self.segments.insert(base_offset, segment);
            if let Some(damage) = damage {
                self.cut_behind(base_offset, damage, now_ms)?;
                break;
            }
        }
        // Written once for all segments; a failure here is not fatal, the next
        // start reads the log again.
        if let Err(error) = self.epochs.write_if_changed() {
            tracing::warn!(%error, "leader epochs not written after recovery");
        }
        Ok(())
    }

    /// Reads a segment as a whole and builds its indexes anew; no batch may reach
    /// `bound`, where the next one begins. `producers` is there once a transaction
    /// was seen, and then up to date.
    fn recover_segment(
        &mut self,
        segment: &mut Segment,
        bound: Offset,
        producers: &mut Option<ProducerState>,
    ) -> io::Result<Option<Damage>> {
        let interval = u64::try_from(self.config.index_interval_bytes).unwrap_or(0);
        self.recovery.segments_scanned += 1;
        if segment.size() >= WORTH_A_LINE {
            let (partition, base_offset) = (&self.partition, segment.base_offset());
            tracing::info!(%partition, base_offset, bytes = segment.size(), "recovering a segment");
        }
        segment.start_rebuild()?;
        let mut scan = segment.scan(0)?;
        let mut next_offset = segment.base_offset();
        let mut valid = 0;
        let mut disorder = None;
        while let Some((position, batch)) = scan.next_batch()? {
            let header = batch.header();
            let relative = header.last_offset() - segment.base_offset();
            if header.base_offset < next_offset || i32::try_from(relative).is_err() {
                disorder = Some(record::Error::Malformed("the offsets do not grow"));
                break;
            }
            if header.last_offset() >= bound {
                disorder = Some(record::Error::Malformed("the next segment has the offset"));
                break;
            }
            segment.index_batch(position, header, interval)?;
            if header.is_transactional() || header.is_control() {
                let state = match producers.take() {
                    Some(state) => state,
                    None => self.producers_before(segment.base_offset())?,
                };
                let state = producers.insert(state);
                if let Some(aborted) = state.replay(&batch) {
                    segment.note_aborted(aborted);
                }
            }
            self.epochs
                .insert(header.partition_leader_epoch, header.base_offset);
            next_offset = header.next_offset();
            valid = scan.position();
        }
        let error = disorder.or_else(|| scan.damage().cloned());
        let size = segment.size();
        let damage = match error {
            Some(error) => Some(Damage {
                offset: next_offset,
                inside_the_log: has_batch_after(segment, valid, next_offset)?,
                error,
            }),
            None => None,
        };
        segment.finish_rebuild(valid)?;
        self.recovery.bytes_cut += size - valid;
        Ok(damage)
    }

    /// Deletes the segments behind a damaged one and says what happened.
    fn cut_behind(
        &mut self,
        base_offset: Offset,
        mut damage: Damage,
        now_ms: i64,
    ) -> io::Result<()> {
        let removed = self.segments.split_off(&(base_offset + 1));
        self.recovery.segments_deleted = removed.len();
        self.recovery.bytes_cut += removed.values().map(|segment| segment.size()).sum::<u64>();
        damage.inside_the_log |= removed.values().any(|segment| segment.size() > 0);
        self.delete_segments(removed.into_values(), now_ms)?;
        self.storage.sync_dir(&self.dir)?;
        let (partition, error) = (&self.partition, &damage.error);
        let (offset, bytes_cut) = (damage.offset, self.recovery.bytes_cut);
        if damage.inside_the_log {
            tracing::error!(
                %partition, offset, bytes_cut, %error,
                "damage inside the log: records behind it were cut off"
            );
        } else {
            tracing::warn!(%partition, offset, bytes_cut, %error, "torn end of the log cut off");
        }
        self.recovery.damage = Some(damage);
        Ok(())
    }
}

fn has_damaged_end(segment: &Segment) -> io::Result<bool> {
    let next = segment.next_offset()?;
    let Some((position, _)) = segment.find(next - 1)? else {
        return Ok(segment.size() > 0);
    };
    let mut scan = segment.scan(position)?;
    while scan.next_header()?.is_some() {}
    Ok(scan.damage().is_some())
}

/// Looks for a whole valid batch behind the damage at `from`.
fn has_batch_after(segment: &Segment, from: u64, next_offset: Offset) -> io::Result<bool> {
    const SEARCHED_MAX: usize = 1 << 20;
    let rest = usize::try_from(segment.size().saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest.min(SEARCHED_MAX)];
    let slice = segment.slice(from, 0)?;
    let filled = super::storage::read_full(slice.file.as_ref(), from, &mut bytes)?;
    bytes.truncate(filled);
    let base_offsets = next_offset..next_offset.saturating_add(1 << 31);
    for (at, window) in bytes.windows(record::HEADER_SIZE).enumerate().skip(1) {
        let plausible = record::Header::decode(window)
            .is_ok_and(|header| base_offsets.contains(&header.base_offset));
        if !plausible {
            continue;
        }
        let mut scan = segment.scan(from + at as u64)?;
        if scan.next_batch()?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
