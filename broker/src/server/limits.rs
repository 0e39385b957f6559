//! How many connections there may be (`max.connections`, `max.connections.per.ip` and
//! its overrides), and how fast they may come.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;

use crate::quota::ConnectionRates;

/// The bounds; Kafka's defaults are practically none.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    /// Instead of that, for single addresses.
    pub of_addresses: HashMap<IpAddr, usize>,
}

/// Counts the open connections of a broker.
#[derive(Clone)]
pub struct Limits {
    open: Arc<Mutex<Open>>,
    rates: Arc<ConnectionRates>,
    clock: SharedClock,
}

#[derive(Debug)]
struct Open {
    config: LimitsConfig,
    total: usize,
    /// Since the start.
    accepted: u64,
    per_ip: HashMap<IpAddr, usize>,
}

/// A counted connection; dropping it frees its place.
#[derive(Debug)]
pub struct Place {
    ip: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Limits {
    #[must_use]
    pub fn new(config: LimitsConfig, rates: Arc<ConnectionRates>, clock: SharedClock) -> Self {
        Self {
            rates,
            clock,
            open: Arc::new(Mutex::new(Open {
                config,
                total: 0,
                accepted: 0,
                per_ip: HashMap::new(),
            })),
        }
    }

    /// Takes other bounds; connections that are open stay.
    pub fn set(&self, config: LimitsConfig) {
        self.open.lock().config = config;
    }

    /// Counts an accepted connection; how long no other may be accepted.
    #[must_use]
    pub fn accept_pause(&self) -> Duration {
        millis(self.rates.accept(self.clock.wall_ms()))
    }

    /// `Err` when this address opens connections too fast: when to close it.
    pub fn admit(&self, ip: IpAddr) -> Result<(), Duration> {
        let admitted = self.rates.admit(ip.to_canonical(), self.clock.wall_ms());
        admitted.map_err(millis)
    }

    /// A place for a connection from `ip`, unless there are too many.
    #[must_use]
    pub fn enter(&self, ip: IpAddr) -> Option<Place> {
        // A socket for both families shows an IPv4 address inside an IPv6 one.
        let ip = ip.to_canonical();
        let mut open = self.open.lock();
        let here = open.per_ip.get(&ip).copied().unwrap_or(0);
        let here_max = open.config.of_addresses.get(&ip).copied();
        let here_max = here_max.unwrap_or(open.config.connections_per_ip_max);
        if open.total >= open.config.connections_max || here >= here_max {
            return None;
        }
        open.total += 1;
        open.accepted += 1;
        open.per_ip.insert(ip, here + 1);
        Some(Place {
            ip,
            open: self.open.clone(),
        })
    }

    /// Number of connections that ever had a place.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.open.lock().accepted
    }

    /// Number of open connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.lock().total
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.total -= 1;
        if let Some(here) = open.per_ip.get_mut(&self.ip) {
            *here -= 1;
            if *here == 0 {
                open.per_ip.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let windows = crate::quota::Windows {
            count: 11,
            length_ms: 1000,
        };
        let rates = Arc::new(ConnectionRates::new(windows, i32::MAX));
        let config = LimitsConfig {
            connections_max: 3,
            connections_per_ip_max: 2,
            of_addresses: HashMap::new(),
        };
        let limits = Limits::new(config, rates, common::clock::system());
        let [a, b] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let first = limits.enter(a).unwrap();
        let _second = limits.enter(a).unwrap();
        assert!(limits.enter(a).is_none(), "two from one address");
        let _third = limits.enter(b).unwrap();
        assert!(limits.enter(b).is_none(), "three in all");
        drop(first);
        assert!(limits.enter(b).is_some());
        assert_eq!(limits.count(), 2);
        limits.set(LimitsConfig {
            connections_max: 2,
            connections_per_ip_max: 2,
            of_addresses: HashMap::new(),
        });
        assert!(limits.enter(b).is_none(), "two in all");
    }

    #[test]
    fn single_addresses_have_bounds_of_their_own() {
        let windows = crate::quota::Windows {
            count: 11,
            length_ms: 1000,
        };
        let rates = Arc::new(ConnectionRates::new(windows, i32::MAX));
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let config = LimitsConfig {
            connections_max: 10,
            connections_per_ip_max: 1,
            of_addresses: HashMap::from([(a, 2), (b, 0)]),
        };
        let limits = Limits::new(config, rates, common::clock::system());
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
            IpAddr::V6(_) => ip,
        };
        let _first = limits.enter(a).unwrap();
        let second = limits.enter(mapped(a)).unwrap();
        assert!(limits.enter(a).is_none() && limits.enter(mapped(a)).is_none());
        assert!(limits.enter(b).is_none() && limits.enter(mapped(b)).is_none());
        let _of_another = limits.enter(c).unwrap();
        assert!(limits.enter(c).is_none(), "the bound of all others");
        drop(second);
        assert!(limits.enter(a).is_some());
    }
}
