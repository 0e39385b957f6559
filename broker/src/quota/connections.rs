//! How fast connections may be opened, by everybody, at each listener and by each
//! address (KIP-402, KIP-612).

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use super::rate::{Rate, Windows};

/// No bound, which is Kafka's default.
const UNBOUNDED: i32 = i32::MAX;
/// Addresses whose rates are kept; when there are more, the silent ones go.
const ADDRESSES_MAX: usize = 10_000;

/// Rates of opened connections; clones of the owner share them.
#[derive(Debug)]
pub struct ConnectionRates {
    windows: Windows,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `max.connection.creation.rate`.
    of_all: i32,
    /// `connection_creation_rate` of `<default>`.
    of_each: Option<i32>,
    of_some: HashMap<IpAddr, i32>,
    /// `listener.name.<name>.max.connection.creation.rate`.
    of_listeners: HashMap<String, i32>,
    /// The listener of brokers, if there are others: it has no part in the total.
    protected: Option<String>,
    total: Rate,
    by_listener: HashMap<String, Rate>,
    by_address: HashMap<IpAddr, (Rate, i64)>,
}

impl ConnectionRates {
    #[must_use]
    pub fn new(windows: Windows, of_all: i32) -> Self {
        Self {
            windows,
            state: Mutex::new(State {
                of_all,
                of_each: None,
                of_some: HashMap::new(),
                of_listeners: HashMap::new(),
                protected: None,
                by_listener: HashMap::new(),
                total: Rate::default(),
                by_address: HashMap::new(),
            }),
        }
    }

    /// Takes other rates, for all connections together and for those of some
    /// listeners; `protected` is the listener of brokers where there are others.
    pub fn set_of_listeners(
        &self,
        of_all: i32,
        of_listeners: HashMap<String, i32>,
        protected: Option<String>,
    ) {
        let mut state = self.state.lock();
        state.of_all = of_all;
        state.of_listeners = of_listeners;
        state.protected = protected;
    }

    /// Takes another rate for an address, or for each without one of its own.
    pub fn set_of(&self, address: Option<IpAddr>, per_second: Option<i32>) {
        let mut state = self.state.lock();
        match (address, per_second) {
            (None, rate) => state.of_each = rate,
            (Some(address), Some(rate)) => drop(state.of_some.insert(address, rate)),
            (Some(address), None) => drop(state.of_some.remove(&address)),
        }
    }

    /// Counts a connection that `listener` accepted; the pause before the next may
    /// be accepted there, in ms.
    pub fn accept(&self, listener: &str, now_ms: i64) -> i64 {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut pause = 0;
        if state.of_all != UNBOUNDED && state.protected.as_deref() != Some(listener) {
            let bound = f64::from(state.of_all);
            state.total.record(self.windows, 1.0, now_ms);
            let of_all = state.total.pause_ms(self.windows, bound, now_ms);
            pause = of_all.unwrap_or(0);
        }
        let bound = state.bound_of(listener);
        if bound != UNBOUNDED {
            let rate = state.by_listener.entry(listener.to_owned()).or_default();
            rate.record(self.windows, 1.0, now_ms);
            let of_listener = rate.pause_ms(self.windows, f64::from(bound), now_ms);
            pause = pause.max(of_listener.unwrap_or(0));
        }
        pause.min(self.windows.length_ms)
    }

    /// `Err` with a pause in ms when this address opens too many: then the
    /// connection is closed after that, and was not counted.
    pub fn admit(&self, listener: &str, address: IpAddr, now_ms: i64) -> Result<(), i64> {
        let mut state = self.state.lock();
        let of_some = state.of_some.get(&address).copied();
        let Some(bound) = of_some.or(state.of_each).filter(|rate| *rate != UNBOUNDED) else {
            return Ok(());
        };
        if state.by_address.len() >= ADDRESSES_MAX {
            let span_ms = i64::try_from(self.windows.count).unwrap_or(i64::MAX);
            let span_ms = span_ms.saturating_mul(self.windows.length_ms);
            state
                .by_address
                .retain(|_, (_, last_ms)| now_ms - *last_ms < span_ms);
        }
        let (rate, last_ms) = state.by_address.entry(address).or_default();
        *last_ms = now_ms;
        rate.record(self.windows, 1.0, now_ms);
        match rate.pause_ms(self.windows, f64::from(bound), now_ms) {
            None => Ok(()),
            Some(pause) => {
                rate.record(self.windows, -1.0, now_ms);
                state.forget(listener, self.windows, now_ms);
                Err(pause.min(self.windows.length_ms))
            }
        }
    }
}

impl State {
    /// A listener without a rate of its own has that of all.
    fn bound_of(&self, listener: &str) -> i32 {
        let own = self.of_listeners.get(listener).copied();
        own.unwrap_or(self.of_all)
    }

    /// A connection that was counted is closed at once.
    fn forget(&mut self, listener: &str, windows: Windows, now_ms: i64) {
        if self.of_all != UNBOUNDED && self.protected.as_deref() != Some(listener) {
            self.total.record(windows, -1.0, now_ms);
        }
        if let Some(rate) = self.by_listener.get_mut(listener) {
            rate.record(windows, -1.0, now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows {
        count: 11,
        length_ms: 1000,
    };

    #[test]
    fn addresses_have_rates_of_their_own() {
        let rates = ConnectionRates::new(WINDOWS, UNBOUNDED);
        let [a, b] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        assert!((0..100).all(|_| rates.admit("L", a, 0).is_ok()));
        rates.set_of(None, Some(1));
        rates.set_of(Some(b), Some(2));
        assert_eq!(
            (0..100).filter(|_| rates.admit("L", a, 0).is_ok()).count(),
            10
        );
        assert_eq!(
            (0..100).filter(|_| rates.admit("L", b, 0).is_ok()).count(),
            20
        );
        assert_eq!(rates.admit("L", a, 0), Err(1000));
        rates.set_of(None, None);
        assert_eq!(rates.admit("L", a, 0), Ok(()));
    }

    #[test]
    fn all_together_slow_the_listener() {
        let rates = ConnectionRates::new(WINDOWS, 1);
        assert!((0..10).all(|_| rates.accept("L", 0) == 0));
        assert_eq!(rates.accept("L", 0), 1000);
        rates.set_of_listeners(UNBOUNDED, HashMap::new(), None);
        assert_eq!(rates.accept("L", 0), 0);
    }

    #[test]
    fn listeners_have_rates_of_their_own_and_that_of_brokers_is_not_slowed_by_others() {
        let rates = ConnectionRates::new(WINDOWS, UNBOUNDED);
        let of_listeners = HashMap::from([("SLOW".to_owned(), 1)]);
        rates.set_of_listeners(2, of_listeners, Some("BROKERS".to_owned()));
        assert!((0..10).all(|_| rates.accept("SLOW", 0) == 0));
        assert_eq!(rates.accept("SLOW", 0), 1000);
        assert!((0..9).all(|_| rates.accept("FAST", 0) == 0));
        assert!(rates.accept("FAST", 0) > 0, "twenty in all");
        assert!((0..20).all(|_| rates.accept("BROKERS", 0) == 0));
        assert!(rates.accept("BROKERS", 0) > 0, "a rate as that of all");
    }
}
