//! The end of replicas: StopReplica.

use super::{Manager, RoleChange, code};
use crate::protocol::interbroker::{ControlResponse, EPOCH_DURING_DELETE, StopReplicaRequest};

impl Manager {
    /// Gives replicas up, with or without their data.
    pub fn stop_replicas(
        &self,
        request: &StopReplicaRequest,
    ) -> (ControlResponse, Vec<RoleChange>) {
        let mut control = self.control.lock();
        if let Some(refusal) = self.refuse(&mut control, &request.header) {
            return (refusal, Vec::new());
        }
        let mut response = ControlResponse::default();
        let mut changes = Vec::new();
        for stop in &request.partitions {
            let id = &stop.topic_partition;
            let known = self
                .partition(id)
                .ok()
                .and_then(|partition| partition.epoch());
            let is_old = stop.leader_epoch != EPOCH_DURING_DELETE
                && stop.leader_epoch >= 0
                && known.is_some_and(|known| stop.leader_epoch < known);
            if is_old {
                response
                    .partition_errors
                    .push((id.clone(), code::FENCED_LEADER_EPOCH));
                continue;
            }
            self.fetchers.unfollow(id);
            if let Ok(partition) = self.partition(id) {
                let led = partition.leads_in().is_some();
                partition.stop();
                changes.extend(led.then(|| RoleChange {
                    partition: id.clone(),
                    leads_in: None,
                }));
            }
            if stop.delete {
                self.cancel_move(id);
                self.partitions.remove(id);
            }
            if stop.delete
                && let Err(error) = self.logs.delete_async(id, self.clock.wall_ms())
            {
                tracing::error!(partition = %id, %error, "the log cannot be deleted");
                response
                    .partition_errors
                    .push((id.clone(), code::STORAGE_ERROR));
            }
        }
        (response, changes)
    }
}
