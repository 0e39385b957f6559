//! Compares what the replicas of a partition answered, batch by batch. Pure.
//!
//! **Invariant:** nothing at or behind a replica's high watermark is compared, and
//! the offset moves only over batches that every replica has.

use std::collections::BTreeMap;
use std::fmt;

use broker::record::Batches;
use bytes::Bytes;

/// What one replica answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fetched {
    /// -1 when nothing is known of it.
    pub(super) high_watermark: i64,
    pub(super) records: Bytes,
}

impl Fetched {
    /// Of a broker that does not answer.
    pub(super) const NOTHING: Self = Self {
        high_watermark: -1,
        records: Bytes::new(),
    };
}

/// Two replicas that are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// Their batches end elsewhere; there is no going on.
    Offset {
        first: (i32, i64),
        other: (i32, i64),
    },
    /// The bytes of a batch differ.
    Checksum {
        offset: i64,
        first: (i32, u32),
        other: (i32, u32),
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offset { first, other } => write!(
                f,
                ": replica {}'s offset {} doesn't match replica {}'s offset {}",
                first.0, first.1, other.0, other.1
            ),
            Self::Checksum {
                offset,
                first,
                other,
            } => write!(
                f,
                " has unmatched checksum at offset {offset}; replica {}'s checksum {}; replica {}'s checksum {}",
                first.0, first.1, other.0, other.1
            ),
        }
    }
}

/// Bytes of a replica that are no batches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source}")]
pub(super) struct Unreadable {
    pub(super) replica: i32,
    pub(super) source: broker::record::Error,
}

/// Compares the answers to a request for `from`; where to read on, and what differs.
/// An `Offset` among it is the last.
pub(super) fn compare(
    from: i64,
    replicas: &BTreeMap<i32, Fetched>,
) -> Result<(i64, Vec<Difference>), Unreadable> {
    let mut rest: Vec<(i32, i64, Batches)> = replicas
        .iter()
        .map(|(id, fetched)| {
            let batches = Batches::tolerant(fetched.records.clone());
            (*id, fetched.high_watermark, batches)
        })
        .collect();
    let mut next = from;
    let mut differences = Vec::new();
    loop {
        let mut first: Option<(i32, i64, u32)> = None;
        let mut is_in_all = true;
        for (replica, high_watermark, batches) in &mut rest {
            let batch = batches.next().transpose().map_err(|source| Unreadable {
                replica: *replica,
                source,
            })?;
            let Some(batch) = batch.filter(|batch| batch.header().last_offset() < *high_watermark)
            else {
                is_in_all = false;
                continue;
            };
            let (offset, crc) = (batch.header().last_offset(), batch.header().crc);
            match first {
                None => first = Some((*replica, offset, crc)),
                Some((id, at, _)) if at != offset => {
                    differences.push(Difference::Offset {
                        first: (id, at),
                        other: (*replica, offset),
                    });
                    return Ok((next, differences));
                }
                Some((id, _, sum)) if sum != crc => differences.push(Difference::Checksum {
                    offset,
                    first: (id, sum),
                    other: (*replica, crc),
                }),
                Some(_) => {}
            }
        }
        match first {
            Some((_, offset, _)) if is_in_all => next = offset + 1,
            _ => return Ok((next, differences)),
        }
    }
}

/// The partition whose verified offset is farthest behind its high watermark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Worst<P> {
    lag: Option<i64>,
    at: Option<(P, i64)>,
}

impl<P: fmt::Display> Worst<P> {
    /// Begins a new round. The partition is remembered, as in Kafka.
    pub(super) fn begin(&mut self) {
        self.lag = None;
    }

    pub(super) fn see(&mut self, partition: P, offset: i64, high_watermark: i64) {
        let lag = high_watermark - offset;
        if lag > self.lag.unwrap_or(-1) {
            self.lag = Some(lag);
            self.at = Some((partition, offset));
        }
    }

    /// The report over `count` partitions.
    pub(super) fn report(&self, count: usize) -> String {
        let lag = self.lag.unwrap_or(-1);
        let (partition, offset) = match &self.at {
            Some((partition, offset)) => (partition.to_string(), *offset),
            None => ("null".to_owned(), -1),
        };
        format!(
            "max lag is {lag} for partition {partition} at offset {offset} among {count} partitions"
        )
    }
}

#[cfg(test)]
mod tests {
    use broker::record::{BatchBuilder, Compression};
    use bytes::BytesMut;

    use super::*;

    fn batch(base: i64, values: &[&str]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None).base_offset(base, 0);
        for value in values {
            assert!(builder.push(1, None, Some(value.as_bytes()), &[]));
        }
        builder.build().unwrap()
    }

    fn fetched(high_watermark: i64, batches: &[Bytes]) -> Fetched {
        let mut records = BytesMut::new();
        for batch in batches {
            records.extend_from_slice(batch);
        }
        Fetched {
            high_watermark,
            records: records.freeze(),
        }
    }

    fn check(replicas: Vec<Fetched>) -> (i64, Vec<String>) {
        let replicas = (1..).zip(replicas).collect();
        let (next, differences) = compare(4, &replicas).unwrap();
        let told = differences.iter().map(ToString::to_string);
        (next, told.collect())
    }

    #[test]
    fn what_all_have_below_the_high_watermark_is_verified() {
        let (a, b) = (batch(4, &["a", "b"]), batch(6, &["c"]));
        let both = [a.clone(), b.clone()];
        let whole = |high_watermark| fetched(high_watermark, &both);
        assert_eq!(check(vec![whole(7), whole(7)]), (7, vec![]));
        assert_eq!(check(vec![whole(7), whole(6)]), (6, vec![]));
        assert_eq!(check(vec![whole(7), fetched(7, &both[..1])]), (6, vec![]));
        assert_eq!(check(vec![whole(7), Fetched::NOTHING]), (4, vec![]));
        // A batch that was cut off is not there.
        let cut = b.slice(..b.len() - 1);
        assert_eq!(check(vec![whole(7), fetched(7, &[a, cut])]), (6, vec![]));
    }

    #[test]
    fn differences_are_told_of_replicas() {
        let (a, x) = (batch(4, &["a"]), batch(4, &["x"]));
        let sums = [&a, &x].map(|bytes| {
            let batch = Batches::tolerant(bytes.clone()).next().unwrap().unwrap();
            batch.header().crc
        });
        let told = format!(
            " has unmatched checksum at offset 4; replica 1's checksum {}; replica 2's checksum {}",
            sums[0], sums[1]
        );
        let b = batch(5, &["b"]);
        let replicas = vec![fetched(6, &[a.clone(), b.clone()]), fetched(6, &[x, b])];
        assert_eq!(check(replicas), (6, vec![told]));
        let longer = batch(4, &["a", "b"]);
        let told = ": replica 1's offset 4 doesn't match replica 2's offset 5".to_owned();
        let replicas = vec![fetched(9, &[a]), fetched(9, &[longer])];
        assert_eq!(check(replicas), (4, vec![told]));
    }

    #[test]
    fn the_report_is_of_the_one_farthest_behind() {
        let mut worst = Worst::default();
        let none = "max lag is -1 for partition null at offset -1 among 2 partitions";
        assert_eq!(worst.report(2), none);
        worst.see("a-0", 10, 10);
        worst.see("a-1", 7, 10);
        worst.see("b-0", 8, 10);
        let far = "max lag is 3 for partition a-1 at offset 7 among 2 partitions";
        assert_eq!(worst.report(2), far);
        worst.begin();
        worst.see("b-0", 10, 10);
        let near = "max lag is 0 for partition b-0 at offset 10 among 2 partitions";
        assert_eq!(worst.report(2), near);
    }
}
