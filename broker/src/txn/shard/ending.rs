//! Decided ends are carried out: markers to every partition, then the record that
//! the transaction is complete.

use std::collections::VecDeque;
use std::time::Duration;

use super::Shard;
use super::writes::Then;
use crate::model::TopicPartition;
use crate::txn::markers::{Answer, Marker, MarkerOutcome, Order};
use crate::txn::state::Metadata;

/// The pause before markers are sent again, so that a leader that is on its way
/// is not asked in a tight loop.
const PAUSE: Duration = Duration::from_millis(20);

/// How long after a takeover a partition that is not known is waited for: what is
/// dropped by mistake would hold back readers of its committed records for ever.
const YOUTH: Duration = Duration::from_secs(10);

/// What is to be tried again, in the order of its time: all pauses are equal.
#[derive(Default)]
pub(super) struct Retries {
    queue: VecDeque<(Duration, Retry)>,
    /// What is written once the markers are, by transactional id.
    completions: std::collections::HashMap<String, Completion>,
}

/// A transaction whose markers are under way.
struct Completion {
    marker: Marker,
    next: Metadata,
}

enum Retry {
    Markers(String, Vec<TopicPartition>),
    Completion(String, Metadata),
}

impl Retries {
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }
}

impl Shard {
    /// The end of the id's transaction is committed.
    pub(super) fn carry_out(&mut self, transactional_id: &str) {
        let now_ms = self.now_ms();
        let Some(known) = self.transactions.get_mut(transactional_id) else {
            return;
        };
        let Some((end, next)) = known.prepare_complete(now_ms) else {
            return;
        };
        let metadata = known.metadata();
        let partitions: Vec<_> = metadata.partitions.iter().cloned().collect();
        let marker = Marker {
            producer: metadata.producer(),
            coordinator_epoch: self.coordinator_epoch,
            end,
            partitions: Vec::new(),
        };
        let completion = Completion { marker, next };
        let completions = &mut self.retries.completions;
        completions.insert(transactional_id.to_owned(), completion);
        self.send_markers(transactional_id, partitions);
    }

    fn send_markers(&mut self, transactional_id: &str, partitions: Vec<TopicPartition>) {
        let Some(completion) = self.retries.completions.get(transactional_id) else {
            return;
        };
        let markers = &self.parts.markers;
        if !markers.knows(self.partition, self.coordinator_epoch) {
            // The controller says who leads before it says where all others are.
            let retry = Retry::Markers(transactional_id.to_owned(), partitions);
            return self.retry_later(retry);
        }
        let mut found = markers.destinations(partitions);
        if self.is_young() {
            found.leaderless.append(&mut found.deleted);
        }
        for (broker, partitions) in found.by_leader {
            let marker = Marker {
                partitions,
                ..completion.marker.clone()
            };
            let order = Order {
                transactional_id: transactional_id.to_owned(),
                marker,
                answers: self.answers_to.clone(),
            };
            self.parts.markers.send(broker, order);
        }
        if !found.leaderless.is_empty() {
            let retry = Retry::Markers(transactional_id.to_owned(), found.leaderless);
            self.retry_later(retry);
        }
        for partition in &found.deleted {
            tracing::info!(transactional_id, %partition, "a partition of a transaction is gone");
            self.remove_partition(transactional_id, partition);
        }
        self.complete_if_done(transactional_id);
    }

    /// Says whether this broker coordinates for so short that it may not have heard
    /// of every partition.
    fn is_young(&self) -> bool {
        let age = self.parts.clock.monotonic().saturating_sub(self.began);
        age < YOUTH
    }

    fn retry_later(&mut self, retry: Retry) {
        let at = self.parts.clock.monotonic().saturating_add(PAUSE);
        self.retries.queue.push_back((at, retry));
    }

    /// Tries again what is due.
    pub(super) fn try_again(&mut self, now: Duration) {
        while self
            .retries
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            match self.retries.queue.pop_front() {
                Some((_, Retry::Markers(id, partitions))) => self.send_markers(&id, partitions),
                Some((_, Retry::Completion(id, next))) => self.append(id, next, Then::Completed),
                None => return,
            }
        }
    }

    /// The record that the transaction is complete could not be written.
    pub(super) fn complete_again(&mut self, transactional_id: String, next: Metadata) {
        self.retry_later(Retry::Completion(transactional_id, next));
    }

    /// A broker has answered, or has not.
    pub(super) fn on_answer(&mut self, answer: Answer) {
        let Answer {
            transactional_id,
            marker,
            result,
        } = answer;
        let current = self.retries.completions.get(&transactional_id);
        let is_current = current.is_some_and(|current| {
            (current.marker.producer, current.marker.end) == (marker.producer, marker.end)
        });
        if !is_current {
            return;
        }
        let Some(outcomes) = result else {
            let retry = Retry::Markers(transactional_id, marker.partitions);
            return self.retry_later(retry);
        };
        let mut again = Vec::new();
        for (partition, outcome) in outcomes {
            match outcome {
                MarkerOutcome::Written => self.remove_partition(&transactional_id, &partition),
                MarkerOutcome::Unsupported(code) => {
                    tracing::info!(transactional_id, %partition, code, "a marker is not possible");
                    self.remove_partition(&transactional_id, &partition);
                }
                MarkerOutcome::Retriable(code) => {
                    tracing::debug!(transactional_id, %partition, code, "a marker is sent again");
                    again.push(partition);
                }
                MarkerOutcome::Fenced(code) => {
                    // Another coordinator goes on with it.
                    tracing::info!(transactional_id, %partition, code, "a marker was refused");
                    self.retries.completions.remove(&transactional_id);
                    return;
                }
            }
        }
        if again.is_empty() {
            self.complete_if_done(&transactional_id);
        } else {
            self.retry_later(Retry::Markers(transactional_id, again));
        }
    }

    fn remove_partition(&mut self, transactional_id: &str, partition: &TopicPartition) {
        if let Some(known) = self.transactions.get_mut(transactional_id) {
            known.remove_partition(partition);
        }
    }

    fn complete_if_done(&mut self, transactional_id: &str) {
        let known = self.transactions.get(transactional_id);
        if known.is_none_or(|known| !known.metadata().partitions.is_empty()) {
            return;
        }
        if let Some(completion) = self.retries.completions.remove(transactional_id) {
            let id = transactional_id.to_owned();
            self.append(id, completion.next, Then::Completed);
        }
    }
}
