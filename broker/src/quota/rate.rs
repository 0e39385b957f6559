//! A rate over the last windows, and the pause that brings it back (KIP-13).

/// How a rate is sampled: `quota.window.num` samples of
/// `quota.window.size.seconds` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    pub count: usize,
    pub length_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    start_ms: i64,
    last_ms: i64,
    sum: f64,
}

impl Sample {
    fn new(now_ms: i64) -> Self {
        Self {
            start_ms: now_ms,
            last_ms: now_ms,
            sum: 0.0,
        }
    }
}

/// What was counted lately, in a ring of samples.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    samples: Vec<Sample>,
    current: usize,
}

impl Rate {
    /// Counts `amount`; a negative one takes back what was counted.
    pub(super) fn record(&mut self, windows: Windows, amount: f64, now_ms: i64) {
        if self.samples.is_empty() {
            self.samples.push(Sample::new(now_ms));
        }
        if now_ms - self.samples[self.current].start_ms >= windows.length_ms {
            // One more than counts, for the one that reaches out of the windows.
            self.current = (self.current + 1) % (windows.count + 1);
            match self.samples.get_mut(self.current) {
                Some(oldest) => *oldest = Sample::new(now_ms),
                None => {
                    self.samples.push(Sample::new(now_ms));
                    self.current = self.samples.len() - 1;
                }
            }
        }
        let sample = &mut self.samples[self.current];
        sample.sum += amount;
        sample.last_ms = now_ms;
    }

    /// What was counted per second.
    pub(super) fn per_second(&mut self, windows: Windows, now_ms: i64) -> f64 {
        const MS: f64 = 1000.0;
        let span_ms = self.span_ms(windows, now_ms);
        let sum: f64 = self.samples.iter().map(|sample| sample.sum).sum();
        sum / (span_ms as f64 / MS)
    }

    /// The time that the samples stand for: at least all windows but the last.
    fn span_ms(&mut self, windows: Windows, now_ms: i64) -> i64 {
        let count = i64::try_from(windows.count).unwrap_or(i64::MAX);
        let expired = count.saturating_mul(windows.length_ms);
        for sample in &mut self.samples {
            if now_ms - sample.last_ms >= expired {
                *sample = Sample::new(now_ms);
            }
        }
        let starts = self.samples.iter().map(|sample| sample.start_ms);
        let elapsed = now_ms - starts.min().unwrap_or(now_ms);
        let missing = (count - 1 - elapsed / windows.length_ms).max(0);
        (elapsed + missing * windows.length_ms).max(1)
    }

    /// How long nothing must be counted until the rate is `bound` again; `None`
    /// while it is not above it. A bound of zero asks for no pause, as in Kafka.
    pub(super) fn pause_ms(&mut self, windows: Windows, bound: f64, now_ms: i64) -> Option<i64> {
        let rate = self.per_second(windows, now_ms);
        if rate <= bound {
            return None;
        }
        let pause = (rate - bound) / bound * self.span_ms(windows, now_ms) as f64;
        match pause.is_finite() {
            #[allow(clippy::cast_possible_truncation)]
            true => Some((pause + 0.5).floor() as i64),
            false => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEVEN: Windows = Windows {
        count: 11,
        length_ms: 1000,
    };

    /// As Kafka's `Rate`: a first second counts as ten.
    #[test]
    fn a_rate_is_taken_over_whole_windows() {
        let mut rate = Rate::default();
        rate.record(ELEVEN, 1000.0, 0);
        assert_eq!(rate.per_second(ELEVEN, 0), 100.0);
        assert_eq!(rate.per_second(ELEVEN, 999), 1000.0 / 10.999);
        rate.record(ELEVEN, 1000.0, 1000);
        assert_eq!(rate.per_second(ELEVEN, 1000), 200.0);
        // After eleven windows the first sample is gone, and then the second.
        assert_eq!(rate.per_second(ELEVEN, 11_000), 100.0);
        assert_eq!(rate.per_second(ELEVEN, 12_000), 0.0);
    }

    #[test]
    fn the_pause_brings_the_rate_back() {
        let mut rate = Rate::default();
        rate.record(ELEVEN, 10_000.0, 5000);
        assert_eq!(rate.pause_ms(ELEVEN, 1000.0, 5000), None);
        assert_eq!(rate.pause_ms(ELEVEN, 500.0, 5000), Some(10_000));
        assert_eq!(rate.pause_ms(ELEVEN, 999.0, 5000), Some(10));
        // That much later it is just what it should be.
        assert_eq!(rate.per_second(ELEVEN, 5010), 10_000.0 / 10.01);
        assert_eq!(rate.pause_ms(ELEVEN, 0.0, 5000), None);
    }

    #[test]
    fn what_is_taken_back_was_not_counted() {
        let mut rate = Rate::default();
        rate.record(ELEVEN, 300.0, 0);
        rate.record(ELEVEN, 700.0, 10);
        rate.record(ELEVEN, -700.0, 10);
        assert_eq!(rate.per_second(ELEVEN, 10), 300.0 / 10.01);
    }

    #[test]
    fn memory_is_bounded_by_the_windows() {
        let mut rate = Rate::default();
        for second in 0..1000 {
            rate.record(ELEVEN, 1.0, second * 1000);
        }
        assert_eq!(rate.samples.len(), 12);
        let per_second = rate.per_second(ELEVEN, 999_000);
        assert!((0.9..=1.2).contains(&per_second), "{per_second}");
    }
}
