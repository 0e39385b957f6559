//! The way of a leader's proposed ISR to the controller, wherever that is; or
//! to the state nodes, where the cluster's protocol is from before there was
//! a request for it.

mod past_controller;

pub use past_controller::{PATIENCE, PastController};

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::cluster::Cluster;
use crate::controller;
use crate::model::{BrokerEpoch, BrokerId, TopicId};
use crate::peer::Peers;
use crate::protocol::interbroker::{
    AlterPartitionRequest, AlterPartitionResponse, AlteredIsr, IsrChange,
};
use crate::registry::{self, LeaderAndIsr, LeaderRecoveryState, PartitionLeadership, Registry};
use crate::replica::{IsrChannel, IsrDecision, IsrFailure, IsrProposal};

/// From here on, topics are named by their ids.
const WITH_IDS: i16 = 2;
/// The newest version that names topics by their names.
const WITH_NAMES: i16 = 1;
const UNKNOWN_SERVER_ERROR: i16 = -1;
const INVALID_UPDATE_VERSION: i16 = 95;

/// Asks by AlterPartition.
#[derive(Clone)]
pub struct ByController {
    pub own_id: BrokerId,
    pub controller: controller::Handle,
    pub cluster: Arc<Cluster>,
    pub peers: Arc<Peers>,
    /// The newest version of AlterPartition that every broker knows.
    pub version: i16,
}

impl ByController {
    async fn send(
        &self,
        version: i16,
        request: AlterPartitionRequest,
    ) -> Result<AlterPartitionResponse, IsrFailure> {
        let id = self.controller.controller_id();
        let id = id.ok_or_else(|| IsrFailure("there is no controller now".to_owned()))?;
        if id == self.own_id {
            return Ok(self.controller.alter_partition(request, version).await);
        }
        let controller = self.cluster.snapshot().brokers.get(&id).cloned();
        let controller = controller
            .ok_or_else(|| IsrFailure(format!("controller {id} is not known to be alive")))?;
        let asked = self.peers.alter_partition(&controller, version, &request);
        let mut known = self.controller.clone();
        tokio::select! {
            answer = asked => answer.map_err(|error| IsrFailure(error.to_string())),
            // A controller that was cut off answers nobody; the next one does.
            _ = known.controller_changed(Some(id)) => {
                Err(IsrFailure(format!("{id} is not the controller any more")))
            }
        }
    }

    async fn decide(
        self,
        broker_epoch: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> Result<Vec<IsrDecision>, IsrFailure> {
        let has_ids = self.version >= WITH_IDS && proposals.iter().all(|p| !p.topic_id.is_nil());
        let version = match has_ids {
            true => self.version,
            false => self.version.min(WITH_NAMES),
        };
        let changes: Vec<IsrChange> = proposals.iter().map(|p| change(p, has_ids)).collect();
        let request = AlterPartitionRequest {
            broker_id: self.own_id,
            broker_epoch,
            changes: changes.clone(),
        };
        let answer = self.send(version, request).await?;
        if answer.error_code != 0 {
            let code = answer.error_code;
            return Err(IsrFailure(format!(
                "the controller answers with code {code}"
            )));
        }
        let decision = |change: &IsrChange| {
            let same = answer.outcomes.iter().find(|outcome| {
                outcome.partition == change.partition
                    && outcome.topic == change.topic
                    && outcome.topic_id == change.topic_id
            });
            same.map_or(Err(UNKNOWN_SERVER_ERROR), |outcome| outcome.result.clone())
        };
        Ok(changes.iter().map(decision).collect())
    }
}

fn change(proposal: &IsrProposal, by_id: bool) -> IsrChange {
    let (topic, topic_id) = match by_id {
        true => (None, proposal.topic_id),
        false => (Some(proposal.partition.topic.clone()), TopicId::nil()),
    };
    IsrChange {
        topic,
        topic_id,
        partition: proposal.partition.partition,
        leader_epoch: proposal.leader_epoch,
        isr: proposal.isr.clone(),
        recovery: proposal.recovery,
        partition_epoch: proposal.partition_epoch,
    }
}

impl IsrChannel for ByController {
    fn ask(
        &self,
        broker_epoch: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> BoxFuture<'static, Result<Vec<IsrDecision>, IsrFailure>> {
        Box::pin(self.clone().decide(broker_epoch, proposals))
    }
}

/// Writes the state nodes, and leaves notes for the controller.
#[derive(Clone)]
pub struct ByZnodes {
    pub registry: Registry,
}

impl ByZnodes {
    async fn decide(self, proposals: Vec<IsrProposal>) -> Result<Vec<IsrDecision>, IsrFailure> {
        let failed = |error: registry::Error| IsrFailure(error.to_string());
        let mut decisions = Vec::with_capacity(proposals.len());
        let mut changed = Vec::new();
        for proposal in &proposals {
            let wanted = PartitionLeadership {
                state: LeaderAndIsr {
                    leader: proposal.leader,
                    leader_epoch: proposal.leader_epoch,
                    isr: proposal.isr.clone(),
                    recovery: LeaderRecoveryState::Recovered,
                    partition_epoch: proposal.partition_epoch,
                },
                controller_epoch: proposal.controller_epoch,
            };
            let written = self.registry.write_isr(&proposal.partition, &wanted).await;
            decisions.push(match written.map_err(failed)? {
                None => Err(INVALID_UPDATE_VERSION),
                Some(partition_epoch) => {
                    changed.push(proposal.partition.clone());
                    Ok(AlteredIsr {
                        leader: proposal.leader,
                        leader_epoch: proposal.leader_epoch,
                        isr: proposal.isr.clone(),
                        recovery: 0,
                        partition_epoch,
                    })
                }
            });
        }
        if !changed.is_empty()
            && let Err(error) = self.registry.note_isr_changes(&changed).await
        {
            // The nodes are what counts; the controller reads them before it
            // elects.
            tracing::warn!(%error, "the controller was not told of changed ISRs");
        }
        Ok(decisions)
    }
}

impl IsrChannel for ByZnodes {
    fn ask(
        &self,
        _: BrokerEpoch,
        proposals: Vec<IsrProposal>,
    ) -> BoxFuture<'static, Result<Vec<IsrDecision>, IsrFailure>> {
        Box::pin(self.clone().decide(proposals))
    }
}
