//! By what requests are counted: their API, as Kafka names it.
//!
//! Fetches of consumers and of followers are counted apart, and shown together
//! under `Fetch` besides, as in Kafka.

use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::messages::ApiKey;

use crate::metrics::{self, Account, Metrics};
use crate::protocol::api::APIS;
use crate::protocol::codec::Prefix;
use crate::protocol::interbroker::InterbrokerKey;
use crate::server::Kind;

/// Place of a key that is not served.
const NONE: u8 = u8::MAX;

/// Every API with its versions; the last account is that of followers' fetches.
#[must_use]
pub fn accounts() -> Vec<Account> {
    let clients = APIS.iter().map(|api| Account {
        name: match api.key {
            ApiKey::Fetch => "FetchConsumer".to_owned(),
            key => format!("{key:?}"),
        },
        oldest: api.min,
        newest: api.max,
    });
    let brokers = InterbrokerKey::ALL.iter().map(|key| {
        let (oldest, newest) = key.versions();
        Account {
            name: format!("{key:?}"),
            oldest,
            newest,
        }
    });
    let fetches = APIS.iter().filter(|api| api.key == ApiKey::Fetch);
    let followers = fetches.map(|api| Account {
        name: "FetchFollower".to_owned(),
        oldest: api.min,
        newest: api.max,
    });
    clients.chain(brokers).chain(followers).collect()
}

/// Counts what the connections served.
pub(super) struct Accounts {
    metrics: Arc<Metrics>,
    /// The account of each key.
    places: Vec<u8>,
    of_followers: usize,
}

impl Accounts {
    /// `metrics` counts by [`accounts`].
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let clients = APIS.iter().map(|api| api.key as i16);
        let keys: Vec<i16> = clients
            .chain(InterbrokerKey::ALL.map(|key| key as i16))
            .collect();
        let largest = keys.iter().copied().max().unwrap_or(0);
        let mut places = vec![NONE; usize::try_from(largest).unwrap_or(0) + 1];
        for (place, key) in keys.iter().enumerate() {
            let at = usize::try_from(*key).ok();
            if let Some(entry) = at.and_then(|at| places.get_mut(at)) {
                *entry = u8::try_from(place).unwrap_or(NONE);
            }
        }
        Self {
            metrics,
            places,
            of_followers: keys.len(),
        }
    }

    /// Notes what the request is, if it is served at all.
    pub(super) fn note(&self, kind: &Kind, prefix: &Prefix) {
        let place = usize::try_from(prefix.key).ok();
        let place = place.and_then(|key| self.places.get(key));
        let account = usize::from(place.copied().unwrap_or(NONE));
        self.note_account(kind, account, prefix.version);
    }

    /// The fetch turned out to be a follower's.
    pub(super) fn note_follower(&self, kind: &Kind, version: i16) {
        self.note_account(kind, self.of_followers, version);
    }

    fn note_account(&self, kind: &Kind, account: usize, version: i16) {
        if let Some(counted) = self.metrics.requests.kind(account, version) {
            kind.set(counted.number());
        }
    }

    pub(super) fn served(&self, kind: u32, took: Duration) {
        let kind = metrics::Kind::from_number(kind);
        self.metrics.requests.served(kind, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_under_its_own_name() {
        let metrics = Metrics::new(accounts());
        let counting = Accounts::new(metrics.clone());
        for (key, version) in [(0, 13), (1, 4), (1, 12), (3, 0), (56, 3), (67, 0), (99, 0)] {
            let kind = Kind::default();
            let prefix = Prefix {
                key,
                version,
                correlation_id: 1,
            };
            counting.note(&kind, &prefix);
            if version == 12 {
                counting.note_follower(&kind, version);
            }
            if let Some(kind) = kind.get() {
                counting.served(kind, Duration::from_millis(1));
            }
        }
        let counts: Vec<_> = metrics.requests.counts().collect();
        let expected = [
            ("Produce", 13, 1),
            ("FetchConsumer", 4, 1),
            ("Metadata", 0, 1),
            ("AlterPartition", 3, 1),
            ("AllocateProducerIds", 0, 1),
            ("FetchFollower", 12, 1),
        ];
        assert_eq!(counts, expected);
    }
}
