//! What clients used, and how long they must pause for it.
//!
//! State: per kind of quota its limits, and what each group of sharers used.
//! Nothing is counted for clients without a quota.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

use super::limits::{Entity, Limits, Sharers};
use super::rate::{Rate, Windows};
use super::tokens::Tokens;

/// What is forgotten of sharers that were silent for so long.
const IDLE_MAX_MS: i64 = 3_600_000;
/// How often that is looked for.
const PURGE_INTERVAL_MS: i64 = 60_000;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of Produce requests.
    Produce,
    /// Bytes of Fetch responses.
    Fetch,
    /// Per cent of a thread's time.
    Request,
    /// Partitions created and deleted.
    Mutation,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Produce, Self::Fetch, Self::Request, Self::Mutation];

    /// The key that sets it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Produce => super::PRODUCER_BYTE_RATE,
            Self::Fetch => super::CONSUMER_BYTE_RATE,
            Self::Request => super::REQUEST_PERCENTAGE,
            Self::Mutation => super::CONTROLLER_MUTATION_RATE,
        }
    }
}

/// Whether a mutation beyond the quota is refused or only paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    Strict,
    Permissive,
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    pub user: &'a str,
    pub client_id: &'a str,
}

#[derive(Debug, Default)]
struct Used {
    rate: Rate,
    tokens: Tokens,
    last_ms: i64,
}

#[derive(Debug, Default)]
struct Counted {
    by_sharers: HashMap<Sharers, Used>,
    purged_ms: i64,
}

impl Counted {
    fn of(&mut self, sharers: Sharers, now_ms: i64) -> &mut Used {
        if now_ms - self.purged_ms >= PURGE_INTERVAL_MS {
            self.purged_ms = now_ms;
            self.by_sharers
                .retain(|_, used| now_ms - used.last_ms < IDLE_MAX_MS);
        }
        let used = self.by_sharers.entry(sharers).or_default();
        used.last_ms = now_ms;
        used
    }
}

#[derive(Debug, Default)]
struct Quota {
    limits: RwLock<Limits>,
    counted: Mutex<Counted>,
}

/// The quotas of all clients of a broker.
#[derive(Debug)]
pub struct ClientQuotas {
    windows: Windows,
    mutation_windows: Windows,
    quotas: [Quota; 4],
    /// Whether anything is limited: where nothing is, this is all that is read.
    is_any: AtomicBool,
}

impl ClientQuotas {
    /// `windows` for bytes and time, `mutation_windows` for mutations.
    #[must_use]
    pub fn new(windows: Windows, mutation_windows: Windows) -> Self {
        Self {
            windows,
            mutation_windows,
            quotas: Default::default(),
            is_any: AtomicBool::new(false),
        }
    }

    /// Says whether any client has any quota.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Sets or takes away the quota of an entity.
    pub fn set(&self, kind: Kind, entity: &Entity, bound: Option<f64>) {
        self.quota(kind).limits.write().set(entity.clone(), bound);
        let is_set = |quota: &Quota| !quota.limits.read().is_empty();
        let is_any = self.quotas.iter().any(is_set);
        self.is_any.store(is_any, Ordering::Relaxed);
    }

    fn quota(&self, kind: Kind) -> &Quota {
        &self.quotas[kind as usize]
    }

    fn of(&self, kind: Kind, client: Client<'_>) -> Option<(Sharers, f64)> {
        let limits = self.quota(kind).limits.read();
        limits.of(client.user, client.client_id)
    }

    /// Counts what a client used; the pause that it has to make in ms.
    pub fn charge(&self, kind: Kind, client: Client<'_>, amount: f64, now_ms: i64) -> i64 {
        let Some((sharers, bound)) = self.of(kind, client) else {
            return 0;
        };
        let mut counted = self.quota(kind).counted.lock();
        let rate = &mut counted.of(sharers, now_ms).rate;
        rate.record(self.windows, amount, now_ms);
        let pause = rate.pause_ms(self.windows, bound, now_ms).unwrap_or(0);
        match kind {
            // Time is paid back within a window.
            Kind::Request => pause.min(self.windows.length_ms),
            Kind::Produce | Kind::Fetch | Kind::Mutation => pause,
        }
    }

    /// Takes back what was counted for nothing.
    pub fn refund(&self, kind: Kind, client: Client<'_>, amount: f64, now_ms: i64) {
        if let Some((sharers, _)) = self.of(kind, client) {
            let mut counted = self.quota(kind).counted.lock();
            let rate = &mut counted.of(sharers, now_ms).rate;
            rate.record(self.windows, -amount, now_ms);
        }
    }

    /// The most that a client may use at once without a pause; `None`: no bound.
    #[must_use]
    pub fn most_at_once(&self, kind: Kind, client: Client<'_>) -> Option<f64> {
        const MS: f64 = 1000.0;
        let (_, bound) = self.of(kind, client)?;
        let windows = self.windows.count.saturating_sub(1) as f64;
        Some(bound * windows * (self.windows.length_ms as f64 / MS))
    }

    /// Charges for partitions: the pause in ms, or, when it is strict and there
    /// was nothing left to spend, how long that will be so.
    pub fn mutate(
        &self,
        strictness: Strictness,
        client: Client<'_>,
        partitions: f64,
        now_ms: i64,
    ) -> Result<i64, i64> {
        let Some((sharers, bound)) = self.of(Kind::Mutation, client) else {
            return Ok(0);
        };
        let windows = self.mutation_windows;
        let mut counted = self.quota(Kind::Mutation).counted.lock();
        let tokens = &mut counted.of(sharers, now_ms).tokens;
        if strictness == Strictness::Strict {
            if let Some(pause) = tokens.pause_ms(windows, bound, now_ms) {
                return Err(pause);
            }
            tokens.spend(windows, bound, partitions, now_ms);
            return Ok(0);
        }
        tokens.spend(windows, bound, partitions, now_ms);
        Ok(tokens.pause_ms(windows, bound, now_ms).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::Of;
    use super::*;

    const NOW: i64 = 10_000_000;
    const ALICE: Client<'_> = Client {
        user: "alice",
        client_id: "c",
    };

    fn quotas() -> ClientQuotas {
        let windows = Windows {
            count: 11,
            length_ms: 1000,
        };
        ClientQuotas::new(windows, windows)
    }

    fn all_clients() -> Entity {
        Entity {
            user: None,
            client_id: Some(Of::Default),
        }
    }

    #[test]
    fn clients_share_what_is_set_for_all_of_them_one_by_one() {
        let quotas = quotas();
        assert!(!quotas.is_any());
        assert_eq!(quotas.charge(Kind::Produce, ALICE, 1e9, NOW), 0);
        quotas.set(Kind::Produce, &all_clients(), Some(1000.0));
        assert!(quotas.is_any());
        assert_eq!(quotas.charge(Kind::Produce, ALICE, 20_000.0, NOW), 10_000);
        let bob = Client {
            client_id: "other",
            ..ALICE
        };
        assert_eq!(quotas.charge(Kind::Produce, bob, 10_000.0, NOW), 0);
        assert_eq!(quotas.charge(Kind::Fetch, ALICE, 1e9, NOW), 0);
        assert_eq!(quotas.most_at_once(Kind::Produce, bob), Some(10_000.0));
        quotas.refund(Kind::Produce, ALICE, 20_000.0, NOW);
        assert_eq!(quotas.charge(Kind::Produce, ALICE, 10_000.0, NOW), 0);
        quotas.set(Kind::Produce, &all_clients(), None);
        assert!(!quotas.is_any());
    }

    #[test]
    fn time_is_paid_back_within_a_window() {
        let quotas = quotas();
        quotas.set(Kind::Request, &all_clients(), Some(1.0));
        assert_eq!(quotas.charge(Kind::Request, ALICE, 1000.0, NOW), 1000);
    }

    #[test]
    fn mutations_are_refused_or_paid_for() {
        let quotas = quotas();
        quotas.set(Kind::Mutation, &all_clients(), Some(1.0));
        let mutate =
            |strictness, partitions, now_ms| quotas.mutate(strictness, ALICE, partitions, now_ms);
        assert_eq!(mutate(Strictness::Strict, 13.0, NOW), Ok(0));
        assert_eq!(mutate(Strictness::Strict, 1.0, NOW), Err(2000));
        assert_eq!(mutate(Strictness::Permissive, 1.0, NOW), Ok(3000));
        assert_eq!(mutate(Strictness::Strict, 1.0, NOW + 3000), Ok(0));
    }
}
