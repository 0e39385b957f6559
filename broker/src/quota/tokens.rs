//! A token bucket: a rate that may burst (KIP-599).

use super::rate::Windows;

/// What may still be spent; below zero nothing may.
#[derive(Debug, Clone, Default)]
pub(super) struct Tokens {
    left: f64,
    updated_ms: i64,
}

impl Tokens {
    /// Takes `amount`, which may leave less than nothing.
    pub(super) fn spend(&mut self, windows: Windows, bound: f64, amount: f64, now_ms: i64) {
        self.refill(windows, bound, now_ms);
        self.left = (self.left - amount).min(burst(windows, bound));
    }

    /// How long it takes until there is something to spend; `None` when there is.
    pub(super) fn pause_ms(&mut self, windows: Windows, bound: f64, now_ms: i64) -> Option<i64> {
        const MS: f64 = 1000.0;
        self.refill(windows, bound, now_ms);
        if self.left >= 0.0 {
            return None;
        }
        let pause = -self.left / bound * MS;
        match pause.is_finite() {
            #[allow(clippy::cast_possible_truncation)]
            true => Some((pause + 0.5).floor() as i64),
            false => None,
        }
    }

    fn refill(&mut self, windows: Windows, bound: f64, now_ms: i64) {
        const MS: f64 = 1000.0;
        let elapsed_ms = (now_ms - self.updated_ms).max(0);
        let earned = bound * elapsed_ms as f64 / MS;
        self.left = (self.left + earned).min(burst(windows, bound));
        self.updated_ms = now_ms;
    }
}

/// All that can be saved: what the windows bring.
fn burst(windows: Windows, bound: f64) -> f64 {
    const MS: f64 = 1000.0;
    windows.count as f64 * (windows.length_ms as f64 / MS) * bound
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEVEN: Windows = Windows {
        count: 11,
        length_ms: 1000,
    };

    /// The time since the epoch has filled a new bucket.
    const NOW: i64 = 1_000_000;

    #[test]
    fn bursts_are_paid_back() {
        let mut tokens = Tokens::default();
        assert_eq!(tokens.pause_ms(ELEVEN, 2.0, NOW), None);
        tokens.spend(ELEVEN, 2.0, 22.0, NOW);
        assert_eq!(tokens.pause_ms(ELEVEN, 2.0, NOW), None, "all was saved");
        tokens.spend(ELEVEN, 2.0, 5.0, NOW);
        assert_eq!(tokens.pause_ms(ELEVEN, 2.0, NOW), Some(2500));
        assert_eq!(tokens.pause_ms(ELEVEN, 2.0, NOW + 2000), Some(500));
        assert_eq!(tokens.pause_ms(ELEVEN, 2.0, NOW + 2500), None);
    }
}
