//! What brokers answer to the controller.

use super::active::{Active, Result};
use super::context::Replica;
use crate::model::BrokerId;
use crate::protocol::interbroker::{ControlRequest, ControlResponse, LeaderAndIsrRequest};

const STALE_BROKER_EPOCH: i16 = 77;
const STALE_CONTROLLER_EPOCH: i16 = 11;
const STORAGE_ERROR: i16 = 56;

impl Active {
    pub(super) async fn on_answer(
        &mut self,
        broker: BrokerId,
        request: &ControlRequest,
        response: &ControlResponse,
    ) -> Result<()> {
        let code = response.error_code;
        if matches!(code, STALE_BROKER_EPOCH | STALE_CONTROLLER_EPOCH) {
            // A newer incarnation or controller: its event is on the way.
            tracing::info!(broker, code, "the broker refused an outdated request");
        } else if code != 0 {
            tracing::error!(broker, code, "the broker refused a request");
        }
        match request {
            ControlRequest::LeaderAndIsr(request) if code == 0 => {
                self.on_leader_and_isr_answered(broker, request, response)
                    .await
            }
            ControlRequest::StopReplica(request) => {
                self.on_stop_answered(broker, request, response).await
            }
            ControlRequest::LeaderAndIsr(_) | ControlRequest::UpdateMetadata(_) => Ok(()),
        }
    }

    /// Storage errors name replicas on failed disks.
    async fn on_leader_and_isr_answered(
        &mut self,
        broker: BrokerId,
        request: &LeaderAndIsrRequest,
        response: &ControlResponse,
    ) -> Result<()> {
        let mut failed = Vec::new();
        let mut is_any_back = false;
        let known = self.context.offline_dirs.entry(broker).or_default();
        for state in &request.partitions {
            let partition = &state.topic_partition;
            let error = response
                .partition_errors
                .iter()
                .find(|(tp, _)| tp == partition);
            match error.map_or(0, |(_, code)| *code) {
                STORAGE_ERROR => {
                    if known.insert(partition.clone()) {
                        failed.push(Replica {
                            partition: partition.clone(),
                            broker,
                        });
                    }
                }
                // Or it has heard the same or more already.
                0 | STALE_CONTROLLER_EPOCH => is_any_back |= known.remove(partition),
                code => tracing::error!(broker, %partition, code, "the broker refused a partition"),
            }
        }
        if is_any_back {
            // A full disk has room again; nobody else may have been fit to lead.
            tracing::info!(broker, "replicas are on disks that work again");
            self.elect_missing_leaders().await?;
        }
        if failed.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            broker,
            replicas = failed.len(),
            "replicas are on failed disks"
        );
        self.on_replicas_offline(failed).await
    }
}
