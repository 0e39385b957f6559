//! Brings proposed ISRs to whoever decides on them.
//!
//! Flow: a partition proposes -> `Queue` -> `run` collects what is proposed at
//! that moment, asks once, and hands each partition its answer; what failed
//! without a decision is asked again after a pause.
//!
//! **Invariant:** one question is under way at a time, so answers come in the
//! order of the proposals.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::shutdown::Shutdown;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::manager::Manager;
use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId, TopicPartition,
};
use crate::protocol::interbroker::AlteredIsr;

/// Before a question that was not answered is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// An ISR that a leader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    pub partition: TopicPartition,
    /// Zero when the topic has none.
    pub topic_id: TopicId,
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub recovery: i8,
    pub partition_epoch: PartitionEpoch,
    pub controller_epoch: ControllerEpoch,
    /// Replicas leave, and none joins.
    pub is_shrink: bool,
    /// Counts the proposals of a leader.
    pub number: u64,
}

/// The decision on one proposal, or a code of Kafka.
pub type IsrDecision = Result<AlteredIsr, i16>;

/// Why nothing was decided; it is logged, and asked again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct IsrFailure(pub String);

/// Decides on ISRs: the controller, or the state nodes themselves.
pub trait IsrChannel: Send + Sync + 'static {
    /// The decisions in the order of `proposals`. Dropping the future leaves
    /// open whether they are decided.
    fn ask(
        &self,
        broker_epoch: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> BoxFuture<'static, Result<Vec<IsrDecision>, IsrFailure>>;
}

/// The partitions that have a proposal.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<BTreeSet<TopicPartition>>,
    arrived: Notify,
}

impl Queue {
    pub(super) fn push(&self, partition: &TopicPartition) {
        self.waiting.lock().insert(partition.clone());
        self.arrived.notify_one();
    }

    async fn take(&self) -> BTreeSet<TopicPartition> {
        loop {
            let arrived = self.arrived.notified();
            let waiting = std::mem::take(&mut *self.waiting.lock());
            if !waiting.is_empty() {
                return waiting;
            }
            arrived.await;
        }
    }
}

/// Asks until a stop.
pub(super) async fn run(manager: Arc<Manager>, channel: Arc<dyn IsrChannel>, stop: Shutdown) {
    let mut was_logged = false;
    loop {
        let waiting = tokio::select! {
            () = stop.requested() => return,
            waiting = manager.isr_queue().take() => waiting,
        };
        let proposals: Vec<IsrProposal> = waiting
            .iter()
            .filter_map(|id| manager.partition(id).ok()?.isr_proposal())
            .collect();
        if proposals.is_empty() {
            continue;
        }
        let asked = channel.ask(manager.broker_epoch(), proposals.clone());
        let decisions = tokio::select! {
            () = stop.requested() => return,
            decisions = asked => decisions,
        };
        let is_retry_due = match decisions {
            Ok(decisions) => {
                was_logged = false;
                take_in(&manager, &proposals, decisions)
            }
            Err(failure) => {
                if !std::mem::replace(&mut was_logged, true) {
                    tracing::warn!(%failure, "in-sync replicas cannot be changed now, trying again");
                }
                for proposal in &proposals {
                    manager.isr_queue().push(&proposal.partition);
                }
                true
            }
        };
        if is_retry_due {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
    }
}

/// Hands the answers out; says whether some must be asked for again.
fn take_in(manager: &Manager, proposals: &[IsrProposal], decisions: Vec<IsrDecision>) -> bool {
    let mut is_retry_due = false;
    for (proposal, decision) in proposals.iter().zip(decisions) {
        let id = &proposal.partition;
        let Ok(partition) = manager.partition(id) else {
            continue;
        };
        if partition.on_isr_decision(proposal, &decision) {
            is_retry_due = true;
            manager.isr_queue().push(id);
        }
    }
    is_retry_due
}
