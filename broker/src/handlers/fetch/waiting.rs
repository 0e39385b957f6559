//! A fetch that waits for more.
//!
//! Flow: registers with every partition -> reads again after each progress until
//! it is enough or time is over -> a session that stayed quiet keeps its waiter
//! for the next request (`watch`).

use std::time::Duration;

use kafka_protocol::ResponseError;

use super::reader::Fetcher;
use super::wanted::Wanted;
use super::watch::{Watch, Watcher};
use super::{Fetch, Found};
use crate::model::TopicPartition;
use crate::protocol::fetch_response::Response;
use crate::replica::{Registration, Waiter};

impl Fetch {
    /// Enough is: the bytes asked for, also where the answer has no room for
    /// them; a segment that ends, for the next answer begins in another one;
    /// something wrong with a partition; or nothing to wait for.
    pub(super) fn is_enough(&self, found: &Found) -> bool {
        let mut bytes = 0;
        let mut may_come = false;
        for result in &found.results {
            if !self.fetcher.is_follower() && is_unknown(result.error_code) {
                continue;
            }
            let is_elsewhere = result.preferred_read_replica >= 0;
            if result.error_code != 0 || result.diverging_epoch.is_some() || is_elsewhere {
                return true;
            }
            may_come = true;
            bytes += result.records_length();
        }
        !may_come || found.is_behind || bytes.max(found.available) >= self.bytes_min
    }

    pub(super) async fn wait_and_answer(
        self,
        wait_max: Duration,
        found: Found,
        pulse: u64,
    ) -> Response {
        let found = self.wait(wait_max, found, pulse).await;
        match self.conversion {
            None => self.answer(found),
            Some(conversion) => conversion.run(self, found).await,
        }
    }

    /// Goes on with the waiter of the session's last request.
    pub(super) async fn go_on_watching(mut self, watch: Watch, wait_max: Duration) -> Response {
        let began = self.source.sessions.now();
        let progress = tokio::time::timeout(wait_max, watch.waiter.progress());
        if progress.await.is_err() {
            self.opened.keep(watch);
            return self.answer(Found::default());
        }
        drop(watch);
        self.wanted = self.opened.wanted(&self.source.known.snapshot());
        let pulse = self.source.known.replicas.pulse().count();
        let found = self.read();
        let waited = self.source.sessions.now().saturating_sub(began);
        let rest = wait_max.saturating_sub(waited);
        self.wait_and_answer(rest, found, pulse).await
    }

    /// `found` was read after the pulse had this count. Without progress there
    /// is nothing new to read, neither now nor when the time is over.
    async fn wait(&self, wait_max: Duration, mut found: Found, pulse: u64) -> Found {
        let waiter = Waiter::default();
        let registrations = self.register(&waiter);
        if self.source.known.replicas.pulse().count() != pulse {
            found = self.read();
        }
        let enough = async {
            while !self.is_enough(&found) {
                waiter.progress().await;
                found = self.read();
            }
        };
        let in_time = tokio::time::timeout(wait_max, enough).await.is_ok();
        // Without more, what there is must do.
        if !in_time && self.is_quiet(&found) {
            let watcher = Watcher {
                fetcher: self.fetcher,
                isolation: self.isolation,
            };
            let sessions = &self.source.sessions;
            self.opened.keep(Watch {
                watcher,
                waiter,
                _registrations: registrations,
                until: sessions.now() + sessions.watch_max(),
            });
        }
        found
    }

    /// Says whether nothing was found, and nothing but progress changes that.
    fn is_quiet(&self, found: &Found) -> bool {
        let quotas = self.source.known.replicas.quotas();
        if self.conversion.is_some() || self.fetcher.is_follower() && quotas.leader.is_exceeded() {
            return false;
        }
        let mut both = self.wanted.iter().zip(&found.results);
        both.all(|(wanted, result)| {
            let is_elsewhere = result.preferred_read_replica >= 0;
            let has_nothing = result.error_code == 0 && result.records_length() == 0;
            let agrees = result.diverging_epoch.is_none() && !is_elsewhere;
            has_nothing && agrees && self.is_settled(wanted)
        })
    }

    /// A follower that is not, yet, may become so by its next fetch, and what is not
    /// committed yet may be so.
    fn is_settled(&self, wanted: &Wanted) -> bool {
        let (Fetcher::Follower { id, .. }, Some(name)) = (self.fetcher, &wanted.name) else {
            return true;
        };
        let partition = TopicPartition::new(name.clone(), wanted.index);
        let partition = self.source.known.replicas.partition(&partition);
        partition.is_ok_and(|partition| partition.is_settled_with(id))
    }

    fn register(&self, waiter: &Waiter) -> Vec<Registration> {
        let mut registrations = Vec::new();
        for wanted in &self.wanted {
            let Some(name) = &wanted.name else { continue };
            let id = TopicPartition::new(name.clone(), wanted.index);
            if let Ok(partition) = self.source.known.replica(&id) {
                registrations.push(partition.register(waiter));
            }
        }
        registrations
    }
}

/// Partitions that do not exist are no reason to answer a consumer early: the
/// others are waited for, as in Kafka. A follower is ahead of its leader, which
/// will hear of the partition at any moment, and must not wait for it.
fn is_unknown(error_code: i16) -> bool {
    [
        ResponseError::UnknownTopicOrPartition.code(),
        ResponseError::UnknownTopicId.code(),
    ]
    .contains(&error_code)
}
