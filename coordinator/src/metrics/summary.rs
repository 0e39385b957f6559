//! Values that are summed up as they come: least, greatest, count, sum, and where
//! wanted their distribution.
//!
//! **Invariant:** adding costs a few relaxed atomics and never waits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Every power of two is cut into so many steps: a percentile is off by an eighth at most.
const STEPS: usize = 8;
const STEP_BITS: u32 = 3;
/// Up to 2^40 of the unit, which is twelve days in microseconds.
const BUCKETS: usize = STEPS * 39;

/// Least, greatest, count, sum and distribution. Times are kept in microseconds and
/// shown, as ZooKeeper does, in milliseconds.
#[derive(Debug)]
pub(crate) struct Summary {
    unit: Unit,
    level: Level,
    sum: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    /// How many values there were of about each size.
    buckets: Box<[AtomicU64]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Number,
    Time,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Basic,
    /// With percentiles.
    Advanced,
}

impl Unit {
    fn scale(self) -> f64 {
        match self {
            Self::Number => 1.0,
            Self::Time => 1000.0,
        }
    }
}

impl Summary {
    pub(crate) fn new(level: Level, unit: Unit) -> Self {
        Self {
            unit,
            level,
            sum: AtomicU64::new(0),
            min: AtomicU64::new(u64::MAX),
            max: AtomicU64::new(0),
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    pub(crate) fn add(&self, value: u64) {
        self.buckets[bucket_of(value)].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
        // Most values are neither, and a load is cheaper than an exchange.
        if value < self.min.load(Relaxed) {
            self.min.fetch_min(value, Relaxed);
        }
        if value > self.max.load(Relaxed) {
            self.max.fetch_max(value, Relaxed);
        }
    }

    pub(crate) fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX >> 1));
    }

    pub(crate) fn reset(&self) {
        for number in self.buckets.iter().chain([&self.sum, &self.max]) {
            number.store(0, Relaxed);
        }
        self.min.store(u64::MAX, Relaxed);
    }

    pub(crate) fn read(&self) -> Snapshot {
        let buckets: Vec<u64> = self
            .buckets
            .iter()
            .map(|count| count.load(Relaxed))
            .collect();
        Snapshot {
            unit: self.unit,
            level: self.level,
            count: buckets.iter().sum(),
            sum: self.sum.load(Relaxed),
            min: self.min.load(Relaxed),
            max: self.max.load(Relaxed),
            buckets,
        }
    }
}

/// A summary as it was at one moment. All numbers are in the unit shown.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    unit: Unit,
    level: Level,
    count: u64,
    sum: u64,
    min: u64,
    max: u64,
    buckets: Vec<u64>,
}

impl Snapshot {
    /// One that nothing was ever added to.
    pub(crate) fn empty(level: Level) -> Self {
        Self {
            unit: Unit::Number,
            level,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
            buckets: Vec::new(),
        }
    }

    /// Two summaries as if all had gone into one.
    pub(crate) fn merged(mut self, other: &Self) -> Self {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        let counts = self.buckets.iter_mut().zip(&other.buckets);
        counts.for_each(|(own, other)| *own += other);
        self
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn sum(&self) -> f64 {
        self.sum as f64 / self.unit.scale()
    }

    pub(crate) fn min(&self) -> f64 {
        match self.count {
            0 => 0.0,
            _ => self.min as f64 / self.unit.scale(),
        }
    }

    pub(crate) fn max(&self) -> f64 {
        self.max as f64 / self.unit.scale()
    }

    /// Rounded to four digits, as ZooKeeper does.
    pub(crate) fn avg(&self) -> f64 {
        match self.count {
            0 => 0.0,
            count => (self.sum() / count as f64 * 10_000.0).round() / 10_000.0,
        }
    }

    /// Least, greatest, count, sum and percentiles in whole numbers, named as `mntr`
    /// names them.
    pub(crate) fn whole_parts(&self) -> Vec<(&'static str, u64)> {
        let mut parts = vec![
            ("min", self.min() as u64),
            ("max", self.max() as u64),
            ("cnt", self.count),
            ("sum", self.sum() as u64),
        ];
        if self.level == Level::Advanced {
            for (name, share) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
                parts.push((name, self.quantile(share).unwrap_or(0.0) as u64));
            }
        }
        parts
    }

    /// The value that a share of all values does not exceed; none of no values.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let value = reached.map_or(self.max, top_of);
        Some(value.clamp(self.min, self.max) as f64 / self.unit.scale())
    }
}

/// Small values have a bucket each; above, the three bits below the highest decide.
fn bucket_of(value: u64) -> usize {
    let value = value.max(1);
    if value < STEPS as u64 {
        return value as usize;
    }
    let octave = value.ilog2();
    let step = (value >> (octave - STEP_BITS)) as usize & (STEPS - 1);
    ((octave - STEP_BITS + 1) as usize * STEPS + step).min(BUCKETS - 1)
}

/// The greatest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let (octave, step) = (bucket / STEPS - 1, bucket % STEPS);
    (((STEPS + step + 1) as u64) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_is_not_much_wider() {
        let mut before = 0;
        for value in (0..100_000).chain([1 << 30, 1 << 38, u64::MAX]) {
            let bucket = bucket_of(value);
            assert!(bucket >= before && bucket < BUCKETS, "{value}");
            before = bucket;
            if value < 1 << 38 {
                let top = top_of(bucket);
                assert!(
                    top >= value && top <= value + value / 8 + 1,
                    "{value} {top}"
                );
            }
        }
    }

    #[test]
    fn times_are_shown_in_milliseconds() {
        let summary = Summary::new(Level::Advanced, Unit::Time);
        for us in 1..=1000 {
            summary.add_time(Duration::from_micros(us * 10));
        }
        let read = summary.read();
        assert_eq!(read.count(), 1000);
        assert_eq!((read.min(), read.max()), (0.01, 10.0));
        assert_eq!(read.avg(), 5.005);
        let median = read.quantile(0.5).unwrap();
        assert!((4.9..5.7).contains(&median), "{median}");
        assert!(read.quantile(0.99).unwrap() >= 9.8);
        summary.reset();
        assert_eq!((summary.read().count(), summary.read().max()), (0, 0.0));
        assert_eq!(summary.read().quantile(0.5), None);
    }

    #[test]
    fn two_are_read_as_one() {
        let new = || Summary::new(Level::Basic, Unit::Number);
        let (a, b) = (new(), new());
        a.add(3);
        b.add(5);
        let both = a.read().merged(&b.read());
        assert_eq!((both.count(), both.min(), both.max()), (2, 3.0, 5.0));
        assert_eq!(both.avg(), 4.0);
        let empty = || Snapshot::empty(Level::Basic);
        let empty = empty().merged(&empty());
        assert_eq!((empty.min(), empty.avg()), (0.0, 0.0));
    }
}
