//! Keeps followers in step: fetches from their leaders.
//!
//! Flow: `Manager` -> `Fetchers::follow` -> the lane of that leader -> Fetch ->
//! `exchange` hands each partition its part -> the partition appends or cuts.
//! With older leaders `agreement` comes first.
//! State: a lane owns its list of partitions and one connection; positions are
//! read from the logs each time.
//!
//! **Invariant:** a partition is in one lane at most, and a lane has one
//! request under way, so a log is appended to in order.
//! **Invariant:** a change of a lane's partitions does not wait for the answer
//! that is under way.

pub(in crate::replica) mod agreement;
mod calm;
pub(in crate::replica) mod exchange;
mod lane;
mod request;
mod session;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::shutdown::Shutdown;
use parking_lot::Mutex;

use self::lane::{Followed, Lane};
use super::partition::{Following, Partition, Surroundings};
use crate::model::{BrokerId, MetadataVersion, TopicPartition};
use crate::peer::Address;

/// How followers fetch.
#[derive(Debug, Clone)]
pub struct FetchConfig {
    /// `num.replica.fetchers`: lanes to each leader, at first.
    pub lanes: usize,
    /// `replica.fetch.wait.max.ms`
    pub wait_max_ms: i32,
    /// `replica.fetch.min.bytes`
    pub bytes_min: i32,
    /// `replica.fetch.response.max.bytes`
    pub bytes_max: i32,
    /// `replica.fetch.max.bytes`
    pub partition_bytes_max: i32,
    /// `replica.fetch.backoff.ms`: the longest pause after a failure.
    pub backoff_max: Duration,
    /// `replica.socket.timeout.ms`
    pub timeout: Duration,
    /// `replica.socket.receive.buffer.bytes`; the kernel's own if `None`.
    pub receive_buffer: Option<usize>,
    /// `inter.broker.protocol.version`: what every broker knows.
    pub version: MetadataVersion,
}

/// All lanes of a broker.
pub(super) struct Fetchers {
    config: FetchConfig,
    /// Lanes to each leader now.
    width: AtomicUsize,
    around: Arc<Surroundings>,
    addresses: Mutex<HashMap<BrokerId, Address>>,
    lanes: Mutex<HashMap<(BrokerId, usize), Arc<Lane>>>,
    stop: Shutdown,
}

impl Fetchers {
    pub(super) fn new(config: FetchConfig, around: Arc<Surroundings>, stop: Shutdown) -> Arc<Self> {
        Arc::new(Self {
            width: AtomicUsize::new(config.lanes),
            config,
            around,
            addresses: Mutex::default(),
            lanes: Mutex::default(),
            stop,
        })
    }

    /// Where leaders are, as the controller told.
    pub(super) fn know(&self, leader: BrokerId, address: Address) {
        self.addresses.lock().insert(leader, address);
    }

    fn address(&self, leader: BrokerId) -> Option<Address> {
        self.addresses.lock().get(&leader).cloned()
    }

    /// Fetches for `partition` from whom it follows now.
    pub(super) fn follow(self: &Arc<Self>, partition: &Arc<Partition>, following: Following) {
        let id = partition.id();
        self.unfollow(id);
        if following.leader < 0 || following.leader == self.around.own_id {
            return;
        }
        let lane = self.lane(
            following.leader,
            lane_of(id, self.width.load(Ordering::Relaxed)),
        );
        lane.insert(
            id.clone(),
            Followed::new(partition.clone(), following.epoch),
        );
    }

    /// Spreads the partitions over so many lanes to each leader. Nobody may follow
    /// or unfollow meanwhile. What a partition's former lane still gets for it is
    /// refused by the log once the other one appended at the same offset.
    pub(super) fn spread(self: &Arc<Self>, lanes: usize) {
        if self.width.swap(lanes, Ordering::Relaxed) == lanes {
            return;
        }
        let running = self.lanes.lock().clone();
        for ((leader, index), lane) in running {
            for (id, followed) in lane.take_unless(|id| lane_of(id, lanes) == index) {
                self.lane(leader, lane_of(&id, lanes)).insert(id, followed);
            }
        }
    }

    pub(super) fn unfollow(&self, id: &TopicPartition) {
        for lane in self.lanes.lock().values() {
            lane.remove(id);
        }
    }

    fn lane(self: &Arc<Self>, leader: BrokerId, index: usize) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        let lane = lanes.entry((leader, index)).or_insert_with(|| {
            let lane = Arc::new(Lane::new(leader, index));
            let (fetchers, run) = (self.clone(), lane.clone());
            common::task::spawn("fetcher", async move { run.run(&fetchers).await });
            lane
        });
        lane.clone()
    }
}

/// The lane of a partition, as Kafka spreads them.
fn lane_of(id: &TopicPartition, lanes: usize) -> usize {
    let units = id.topic.as_str().encode_utf16();
    let hash = units.fold(0_i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    let sum = hash.wrapping_mul(31).wrapping_add(id.partition);
    // As Kafka's Utils.abs, for which the smallest number counts as 0.
    let positive = sum.checked_abs().unwrap_or(0);
    usize::try_from(positive).unwrap_or(0) % lanes.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;

    #[test]
    fn partitions_are_spread_over_the_lanes() {
        let topic = TopicName::new("orders").unwrap();
        let lanes: Vec<usize> = (0..4)
            .map(|index| lane_of(&TopicPartition::new(topic.clone(), index), 2))
            .collect();
        assert_ne!(lanes[0], lanes[1]);
        assert_eq!((lanes[0], lanes[1]), (lanes[2], lanes[3]));
    }
}
