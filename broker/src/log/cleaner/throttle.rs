//! Keeps the cleaners together below `log.cleaner.io.max.bytes.per.second`.

use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

/// Bytes are counted over this much time before anybody waits.
const WINDOW: Duration = Duration::from_millis(300);

pub(super) struct Throttle {
    bytes_per_second: f64,
    clock: SharedClock,
    window: Mutex<Window>,
}

struct Window {
    began: Duration,
    bytes: f64,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: f64, clock: SharedClock) -> Self {
        let window = Window {
            began: clock.monotonic(),
            bytes: 0.0,
        };
        Self {
            bytes_per_second,
            clock,
            window: Mutex::new(window),
        }
    }

    /// Counts `bytes` and says how long the caller must rest for them.
    pub(super) fn pause_after(&self, bytes: usize) -> Duration {
        let now = self.clock.monotonic();
        let mut window = self.window.lock();
        window.bytes += bytes as f64;
        let elapsed = now.saturating_sub(window.began);
        if elapsed < WINDOW {
            return Duration::ZERO;
        }
        let needed = window.bytes / self.bytes_per_second.max(1.0);
        let needed = Duration::try_from_secs_f64(needed).unwrap_or(Duration::MAX);
        let pause = needed.saturating_sub(elapsed);
        window.began = now.saturating_add(pause);
        window.bytes = 0.0;
        pause
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::clock::ManualClock;

    use super::*;

    #[test]
    fn the_pause_brings_the_rate_down_to_the_limit() {
        let clock = Arc::new(ManualClock::new());
        let throttle = Throttle::new(1000.0, clock.clone());
        assert_eq!(throttle.pause_after(500), Duration::ZERO, "within a window");
        clock.advance(Duration::from_millis(400));
        assert_eq!(throttle.pause_after(500), Duration::from_millis(600));
        clock.advance(Duration::from_millis(1000));
        assert_eq!(
            throttle.pause_after(100),
            Duration::ZERO,
            "slower than that"
        );
    }
}
