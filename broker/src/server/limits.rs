//! How many connections there may be (`max.connections`, of the broker and of each
//! listener, `max.connections.per.ip` and its overrides), and how fast they may come.
//!
//! As in Kafka, one more than an address may have is closed at once, and one more
//! than the listener or the broker may have waits until another goes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use common::clock::SharedClock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::quota::ConnectionRates;

/// The bounds; Kafka's defaults are practically none.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    pub connections_max: usize,
    pub connections_per_ip_max: usize,
    /// Instead of that, for single addresses.
    pub of_addresses: HashMap<IpAddr, usize>,
    /// Bounds of single listeners.
    pub of_listeners: HashMap<String, usize>,
    /// A listener that `connections_max` does not bound: that of brokers.
    pub protected: Option<String>,
}

/// Counts the open connections of a broker.
#[derive(Clone)]
pub struct Limits {
    shared: Arc<Shared>,
    rates: Arc<ConnectionRates>,
    clock: SharedClock,
}

#[derive(Debug)]
struct Shared {
    open: Mutex<Open>,
    /// A place is free, or there are other bounds.
    freed: Notify,
}

#[derive(Debug)]
struct Open {
    config: LimitsConfig,
    total: usize,
    /// Since the start.
    accepted: u64,
    per_ip: HashMap<IpAddr, usize>,
    per_listener: HashMap<Arc<str>, usize>,
}

/// A counted connection; dropping it frees its place.
#[derive(Debug)]
pub struct Place {
    ip: IpAddr,
    listener: Arc<str>,
    shared: Arc<Shared>,
}

/// The address has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

impl Limits {
    #[must_use]
    pub fn new(config: LimitsConfig, rates: Arc<ConnectionRates>, clock: SharedClock) -> Self {
        Self {
            rates,
            clock,
            shared: Arc::new(Shared {
                open: Mutex::new(Open {
                    config,
                    total: 0,
                    accepted: 0,
                    per_ip: HashMap::new(),
                    per_listener: HashMap::new(),
                }),
                freed: Notify::new(),
            }),
        }
    }

    /// Takes other bounds; connections that are open stay.
    pub fn set(&self, config: LimitsConfig) {
        self.shared.open.lock().config = config;
        self.shared.freed.notify_waiters();
    }

    /// Counts a connection that `listener` accepted; how long it must wait.
    #[must_use]
    pub fn accept_pause(&self, listener: &str) -> Duration {
        millis(self.rates.accept(listener, self.clock.wall_ms()))
    }

    /// `Err` when this address opens connections too fast: when to close it.
    pub fn admit(&self, listener: &str, ip: IpAddr) -> Result<(), Duration> {
        let ip = ip.to_canonical();
        let admitted = self.rates.admit(listener, ip, self.clock.wall_ms());
        admitted.map_err(millis)
    }

    /// A place for a connection from `ip`, once there is one; cancel safe.
    pub async fn enter(&self, listener: &Arc<str>, ip: IpAddr) -> Result<Place, TooMany> {
        // A socket for both families shows an IPv4 address inside an IPv6 one.
        let ip = ip.to_canonical();
        let mut waits = false;
        loop {
            let mut freed = pin!(self.shared.freed.notified());
            freed.as_mut().enable();
            if self.shared.open.lock().has_slot(listener) {
                return self.take(listener, ip);
            }
            if !std::mem::replace(&mut waits, true) {
                tracing::warn!(%listener, "as many connections as may be: others wait");
            }
            freed.await;
        }
    }

    fn take(&self, listener: &Arc<str>, ip: IpAddr) -> Result<Place, TooMany> {
        self.shared.open.lock().add(listener, ip)?;
        Ok(Place {
            ip,
            listener: listener.clone(),
            shared: self.shared.clone(),
        })
    }

    /// Number of connections that ever had a place.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.open.lock().accepted
    }

    /// Number of open connections.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.open.lock().total
    }
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Open {
    /// Whether the listener may take one more connection.
    fn has_slot(&self, listener: &str) -> bool {
        let config = &self.config;
        let here = self.per_listener.get(listener).copied().unwrap_or(0);
        let own_max = config.of_listeners.get(listener).copied();
        if here >= own_max.unwrap_or(config.connections_max) {
            return false;
        }
        config.protected.as_deref() == Some(listener) || self.total < config.connections_max
    }

    fn add(&mut self, listener: &Arc<str>, ip: IpAddr) -> Result<(), TooMany> {
        let here = self.per_ip.get(&ip).copied().unwrap_or(0);
        let here_max = self.config.of_addresses.get(&ip).copied();
        if here >= here_max.unwrap_or(self.config.connections_per_ip_max) {
            return Err(TooMany);
        }
        self.total += 1;
        self.accepted += 1;
        self.per_ip.insert(ip, here + 1);
        *self.per_listener.entry(listener.clone()).or_default() += 1;
        Ok(())
    }

    fn remove(&mut self, listener: &str, ip: IpAddr) {
        self.total -= 1;
        if let Some(here) = self.per_listener.get_mut(listener) {
            *here -= 1;
        }
        if let Some(here) = self.per_ip.get_mut(&ip) {
            *here -= 1;
            if *here == 0 {
                self.per_ip.remove(&ip);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.listener, self.ip);
        self.shared.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn listener() -> Arc<str> {
        Arc::from("L")
    }

    fn bounds(connections_max: usize, connections_per_ip_max: usize) -> LimitsConfig {
        LimitsConfig {
            connections_max,
            connections_per_ip_max,
            of_addresses: HashMap::new(),
            of_listeners: HashMap::new(),
            protected: None,
        }
    }

    fn limits(config: LimitsConfig) -> Limits {
        let windows = crate::quota::Windows {
            count: 11,
            length_ms: 1000,
        };
        let rates = Arc::new(ConnectionRates::new(windows, i32::MAX));
        Limits::new(config, rates, common::clock::system())
    }

    /// `None` while the connection waits.
    fn enter(limits: &Limits, name: &str, ip: IpAddr) -> Option<Result<Place, TooMany>> {
        limits.enter(&Arc::from(name), ip).now_or_never()
    }

    #[test]
    fn an_address_has_no_more_than_its_own() {
        let limits = limits(bounds(10, 2));
        let [a, b] = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
        let first = enter(&limits, "L", a).unwrap().unwrap();
        let _second = enter(&limits, "L", a).unwrap().unwrap();
        assert_eq!(enter(&limits, "L", a).unwrap().unwrap_err(), TooMany);
        let _third = enter(&limits, "L", b).unwrap().unwrap();
        drop(first);
        let _again = enter(&limits, "L", a).unwrap().unwrap();
        assert_eq!((limits.count(), limits.accepted()), (3, 4));
    }

    #[tokio::test]
    async fn one_more_than_may_be_waits_until_another_goes_or_more_may_be() {
        let limits = limits(bounds(1, 100));
        let ip = IpAddr::from([127, 0, 0, 1]);
        let first = limits.enter(&listener(), ip).await.unwrap();
        let (here, waiting) = (limits.clone(), listener());
        let mut second = Box::pin(async move { here.enter(&waiting, ip).await });
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let second = second.await.unwrap();
        let (here, waiting) = (limits.clone(), listener());
        let mut third = Box::pin(async move { here.enter(&waiting, ip).await });
        assert!((&mut third).now_or_never().is_none());
        limits.set(bounds(2, 100));
        third.await.unwrap();
        drop(second);
    }

    #[test]
    fn listeners_have_bounds_of_their_own_and_brokers_are_let_in() {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let limits = limits(LimitsConfig {
            of_listeners: HashMap::from([("SMALL".to_owned(), 1)]),
            protected: Some("BROKERS".to_owned()),
            ..bounds(2, 100)
        });
        let _small = enter(&limits, "SMALL", ip).unwrap().unwrap();
        assert!(enter(&limits, "SMALL", ip).is_none());
        let _large = enter(&limits, "LARGE", ip).unwrap().unwrap();
        assert!(enter(&limits, "LARGE", ip).is_none(), "two in all");
        let _broker = enter(&limits, "BROKERS", ip).unwrap().unwrap();
        let _another = enter(&limits, "BROKERS", ip).unwrap().unwrap();
        assert!(enter(&limits, "BROKERS", ip).is_none(), "as many as in all");
    }

    #[test]
    fn single_addresses_have_bounds_of_their_own() {
        let [a, b, c] = [1, 2, 3].map(|last| IpAddr::from([127, 0, 0, last]));
        let limits = limits(LimitsConfig {
            of_addresses: HashMap::from([(a, 2), (b, 0)]),
            ..bounds(10, 1)
        });
        let mapped = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
            IpAddr::V6(_) => ip,
        };
        let enters = |ip| enter(&limits, "L", ip).unwrap();
        let _first = enters(a).unwrap();
        let second = enters(mapped(a)).unwrap();
        assert!(enters(a).is_err() && enters(mapped(a)).is_err());
        assert!(enters(b).is_err() && enters(mapped(b)).is_err());
        let _of_another = enters(c).unwrap();
        assert!(enters(c).is_err(), "the bound of all others");
        drop(second);
        assert!(enters(a).is_ok());
    }
}
