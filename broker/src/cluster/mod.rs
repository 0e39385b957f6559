//! What this broker knows of the cluster: an immutable snapshot, swapped whole.
//!
//! Flow: UpdateMetadata from the controller -> `Cluster::apply` -> readers.
//! State: `Cluster` owns the current snapshot; readers hold theirs as long as
//! they need it.
//!
//! **Invariant:** a snapshot never changes after it was published.
//! **Invariant:** this module never asks the coordinator for anything.

mod snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use snapshot::{Partition, Snapshot, Topic};

use crate::model::{LEADER_DURING_DELETE, TopicPartition};
use crate::protocol::interbroker::UpdateMetadataRequest;

/// The current snapshot and the news that it changed.
#[derive(Debug)]
pub struct Cluster {
    current: ArcSwap<Snapshot>,
    version: watch::Sender<u64>,
    writer: parking_lot::Mutex<()>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            current: ArcSwap::from_pointee(Snapshot::default()),
            version: watch::Sender::new(0),
            writer: parking_lot::Mutex::new(()),
        }
    }
}

impl Cluster {
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Publishes the next snapshot; gives the partitions that are gone.
    pub fn apply(&self, update: &UpdateMetadataRequest) -> Vec<TopicPartition> {
        let _one_writer = self.writer.lock();
        let next = self.current.load().updated(update);
        self.current.store(Arc::new(next));
        self.version.send_modify(|version| *version += 1);
        let deleted = update.partitions.iter().filter(|state| state.leader == LEADER_DURING_DELETE);
        deleted.map(|state| state.topic_partition.clone()).collect()
    }

    /// Waits until `holds` is true of the snapshot; cancel safe.
    pub async fn wait_until(&self, holds: impl Fn(&Snapshot) -> bool) {
        let mut version = self.version.subscribe();
        while !holds(&self.snapshot()) {
            if version.changed().await.is_err() {
                return;
            }
        }
    }
}
