//! Segments that shrank are put together again.

use std::ops::Range;
use std::time::SystemTime;

use super::super::config::LogConfig;
use super::super::segment::Segment;
use crate::model::Offset;

/// A segment that is to be copied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Source {
    pub(super) base_offset: Offset,
    /// Base offset of the next segment.
    pub(super) end_offset: Offset,
    pub(super) size: u64,
    pub(super) index_sizes: [usize; 2],
    pub(super) modified: SystemTime,
}

/// Splits `sources` into runs that fit one segment each: by size, by size of
/// the indexes, and by what four bytes of relative offset can say.
pub(super) fn groups(sources: &[Source], config: &LogConfig) -> Vec<Range<usize>> {
    let size_max = u64::try_from(config.segment_bytes).unwrap_or(0);
    let index_max = usize::try_from(config.segment_index_bytes).unwrap_or(0);
    let mut groups: Vec<Range<usize>> = Vec::new();
    let (mut first_base, mut size, mut index_sizes) = (0, 0, [0, 0]);
    for (at, source) in sources.iter().enumerate() {
        let grown = [0, 1].map(|i| index_sizes[i] + source.index_sizes[i]);
        let span = source.end_offset - 1 - first_base;
        let fits = size + source.size <= size_max
            && grown.iter().all(|grown| *grown <= index_max)
            && (source.size == 0 || i32::try_from(span).is_ok());
        match groups.last_mut() {
            Some(group) if fits => {
                group.end = at + 1;
                (size, index_sizes) = (size + source.size, grown);
            }
            _ => {
                groups.push(at..at + 1);
                first_base = source.base_offset;
                (size, index_sizes) = (source.size, source.index_sizes);
            }
        }
    }
    groups
}

impl Source {
    pub(super) fn of(segment: &Segment, end_offset: Offset) -> std::io::Result<Self> {
        Ok(Self {
            base_offset: segment.base_offset(),
            end_offset,
            size: segment.size(),
            index_sizes: segment.index_sizes(),
            modified: segment.modified()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[(Offset, u64, usize)], expected: &[Range<usize>]) {
        let config = LogConfig {
            segment_bytes: 100,
            segment_index_bytes: 50,
            ..LogConfig::default()
        };
        let source = |(index, &(base_offset, size, index_size)): (usize, &(_, _, usize))| Source {
            base_offset,
            end_offset: sizes.get(index + 1).map_or(base_offset + 10, |next| next.0),
            size,
            index_sizes: [index_size, index_size / 2],
            modified: SystemTime::UNIX_EPOCH,
        };
        let sources: Vec<_> = sizes.iter().enumerate().map(source).collect();
        assert_eq!(groups(&sources, &config), expected, "{sizes:?}");
    }

    #[test]
    fn groups_keep_every_limit() {
        const FAR: Offset = 1 << 31;
        check(&[], &[]);
        check(&[(0, 60, 0), (10, 40, 0), (20, 1, 0)], &[0..2, 2..3]);
        check(&[(0, 1, 30), (10, 1, 30), (20, 1, 20)], &[0..1, 1..3]);
        check(&[(0, 500, 0), (10, 500, 0)], &[0..1, 1..2]);
        check(&[(0, 1, 0), (5, 1, 0), (FAR, 1, 0)], &[0..2, 2..3]);
        check(&[(0, 1, 0), (FAR, 0, 0), (FAR + 1, 101, 0)], &[0..2, 2..3]);
    }
}
