//! When a broker may be called ready.
//!
//! A broker that was restarted is ready once the controller has told it of the
//! cluster and of every partition that lies in its directories, so that what it
//! led before is served again: a client that waited for it meets no partition
//! without a leader that merely has not been told yet.
//!
//! **Invariant:** what was waited for once is not waited for again; a broker
//! does not become unready because of a partition.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::log;
use crate::model::{BrokerId, NO_LEADER, TopicPartition};
use crate::replica::Manager;
use crate::zk;

/// What readiness is read from.
pub(super) struct Readiness {
    broker_id: BrokerId,
    cluster: Arc<Cluster>,
    replicas: Arc<Manager>,
    logs: Arc<log::Manager>,
    session: zk::Client,
    /// The partitions of the last run that have no role yet.
    awaited: Mutex<Vec<TopicPartition>>,
}

impl Readiness {
    /// `awaited` are the partitions whose roles the controller will tell.
    pub(super) fn new(
        broker_id: BrokerId,
        cluster: Arc<Cluster>,
        replicas: Arc<Manager>,
        logs: Arc<log::Manager>,
        session: zk::Client,
        awaited: Vec<TopicPartition>,
    ) -> Self {
        Self {
            broker_id,
            cluster,
            replicas,
            logs,
            session,
            awaited: Mutex::new(awaited),
        }
    }

    /// `Ok` when clients are served, otherwise why not.
    pub(super) fn check(&self) -> Result<(), String> {
        let state = self.session.status().borrow().state;
        if state != zk::State::Connected {
            return Err(format!("not connected to the coordinator ({state:?})"));
        }
        if !self
            .cluster
            .snapshot()
            .brokers
            .contains_key(&self.broker_id)
        {
            return Err("the controller has not told the cluster's metadata yet".to_owned());
        }
        let mut awaited = self.awaited.lock();
        awaited.retain(|partition| self.is_awaited(partition));
        match awaited.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{} partitions wait for their role, {first} is the first",
                awaited.len()
            )),
        }
    }

    fn is_awaited(&self, id: &TopicPartition) -> bool {
        // A partition that was deleted meanwhile gets no role.
        if self.logs.get(id).is_none() {
            return false;
        }
        let snapshot = self.cluster.snapshot();
        let Some(known) = snapshot.partition(id.topic.as_str(), id.partition) else {
            return true;
        };
        let state = &known.state;
        if state.leader == self.broker_id {
            return self.replicas.leader(id).is_err();
        }
        // It is about to be elected.
        state.leader == NO_LEADER && state.isr.contains(&self.broker_id)
    }

    /// Waits until the broker is ready, but not longer than `limit`: whoever
    /// holds up the controller must not hold up the start for ever.
    pub(super) async fn wait(&self, limit: Duration) {
        let ready = self.cluster.wait_until(|_| self.check().is_ok());
        if tokio::time::timeout(limit, ready).await.is_ok() {
            return;
        }
        if let Err(reason) = self.check() {
            tracing::warn!("going on although this broker is not ready: {reason}");
        }
        self.awaited.lock().clear();
    }
}
