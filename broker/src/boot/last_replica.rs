//! The last in-sync replica, if it may have lost its tail, looks whether
//! another replica has more than is left here.
//!
//! A replica that is alone in the ISR cannot leave it, and whoever else is
//! elected may lack committed records. But if this one lost its tail, another
//! that is behind in the ISR's eyes may be ahead of what is left. Leading then
//! would make it cut what perhaps nobody else has any more.
//!
//! The order is that of elections in Raft: the epoch of the last record, then
//! the end of the log. A replica that has a record of a later epoch has all that
//! was committed before that epoch; of two with the same last epoch, the shorter
//! log is a prefix of the longer. So whoever is ahead in this order has every
//! committed record that is left here.
//!
//! The other replicas are asked what any consumer may ask of a follower: to read
//! after a record of some epoch at an offset that no log has. The answer says
//! where the largest epoch up to that one ends (KIP-595), or refuses an epoch
//! beyond all that the log has; so the last epoch is found in a few steps.
//! Kafka's brokers answer alike, since Fetch 12.
//!
//! Who does not answer is not waited for: nothing can be known of it.

use std::time::Duration;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{FetchRequest, TopicName as WireName};
use kafka_protocol::protocol::StrBytes;

use crate::model::{BrokerId, LeaderEpoch, Offset, TopicPartition};
use crate::peer::{Address, Link};

/// Names topics, and carries the epoch of the last record.
const FETCH_VERSION: i16 = 12;
const OUT_OF_RANGE: i16 = 1;
/// For one question, with the connection that it may need.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The epoch of a log that has none.
const NO_EPOCH: LeaderEpoch = -1;

/// The epoch of the last record of a log, and the log's end: what orders logs.
pub(super) type LogEnd = (LeaderEpoch, Offset);

/// Those of `others` that have the most, if that is more than `own`.
pub(super) fn ahead_of(own: LogEnd, others: &[(BrokerId, LogEnd)]) -> Vec<BrokerId> {
    let best = others.iter().map(|(_, end)| *end).max();
    let Some(best) = best.filter(|best| *best > own) else {
        return Vec::new();
    };
    let is_best = others.iter().filter(|(_, end)| *end == best);
    is_best.map(|(id, _)| *id).collect()
}

/// Another broker that is asked about its replicas.
pub(super) struct Peer {
    pub(super) id: BrokerId,
    address: Address,
    link: Link,
}

/// What a replica says of an epoch.
enum Told {
    /// The largest epoch that it has up to that one, and where it ends.
    Has(LogEnd),
    /// All of its epochs are smaller.
    Beyond,
}

impl Peer {
    pub(super) fn new(id: BrokerId, address: Address, own_id: BrokerId) -> Self {
        let link = Link::new(id, format!("broker-{own_id}-tails"), ANSWER_MAX);
        Self { id, address, link }
    }

    /// Where its log of `partition` ends, if it is not behind `own`; epochs
    /// beyond `epoch_max` do not exist. `None` when it is behind, or does not
    /// answer.
    pub(super) async fn log_end(
        &mut self,
        partition: &TopicPartition,
        own: LogEnd,
        epoch_max: LeaderEpoch,
    ) -> Option<LogEnd> {
        let mut known = own.0.max(0);
        let Told::Has(mut end) = self.ask(partition, known).await? else {
            return None;
        };
        let (mut step, mut unknown) = (1, epoch_max.checked_add(1)?);
        // In growing steps, then by halves: mostly the first guess is right.
        while unknown - known > 1 {
            let guess = known
                .saturating_add(step)
                .min(known + (unknown - known) / 2);
            let guess = guess.max(known + 1);
            match self.ask(partition, guess).await? {
                Told::Has(found) => (known, end, step) = (guess, found, step.saturating_mul(2)),
                Told::Beyond => (unknown, step) = (guess, 1),
            }
        }
        (end.0 == known).then_some(end)
    }

    async fn ask(&mut self, partition: &TopicPartition, epoch: LeaderEpoch) -> Option<Told> {
        let asked = FetchPartition::default()
            .with_partition(partition.partition)
            .with_fetch_offset(Offset::MAX)
            .with_last_fetched_epoch(epoch)
            .with_partition_max_bytes(1);
        let topic = FetchTopic::default()
            .with_topic(WireName(StrBytes::from_string(partition.topic.to_string())))
            .with_partitions(vec![asked]);
        // A consumer without a session.
        let request = FetchRequest::default()
            .with_replica_id(BrokerId::from(-1).into())
            .with_max_bytes(1)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        let answer = self.link.ask(&self.address, FETCH_VERSION, &request).await;
        let answer = answer
            .inspect_err(
                |error| tracing::info!(%partition, %error, "a replica does not say what it has"),
            )
            .ok()?;
        let told = answer.responses.first()?.partitions.first()?;
        let diverging = &told.diverging_epoch;
        match told.error_code {
            0 if diverging.epoch > NO_EPOCH => {
                Some(Told::Has((diverging.epoch, diverging.end_offset)))
            }
            OUT_OF_RANGE => Some(Told::Beyond),
            code => {
                tracing::info!(%partition, broker = self.id, code, "a replica does not say what it has");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_epoch_counts_before_a_longer_log() {
        let own = (3, 10);
        type Case<'a> = (&'a [(BrokerId, LogEnd)], &'a [BrokerId]);
        let table: [Case<'_>; 6] = [
            (&[], &[]),
            (&[(2, (3, 10)), (3, (3, 9))], &[]),
            (&[(2, (3, 11)), (3, (3, 12))], &[3]),
            (&[(2, (4, 5)), (3, (3, 99))], &[2]),
            (&[(2, (4, 5)), (3, (4, 5))], &[2, 3]),
            (&[(2, (2, 99))], &[]),
        ];
        for (others, expected) in table {
            assert_eq!(ahead_of(own, others), expected, "{others:?}");
        }
        assert_eq!(ahead_of((NO_EPOCH, 0), &[(2, (0, 1))]), [2], "a wiped disk");
    }
}
