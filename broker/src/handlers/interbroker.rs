//! Requests of other brokers: the controller's, and those to the controller.
//!
//! As in Kafka, whoever reaches a listener can send them while there is no
//! authorizer; epochs keep out what is old, not what is forged.

use kafka_protocol::ResponseError;

use super::control::Control;
use super::error;
use crate::controller;
use crate::model::{BrokerEpoch, BrokerId};
use crate::protocol::interbroker::{
    self, AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest,
    ControlRequest, ControlledShutdownRequest, ControlledShutdownResponse, InterbrokerKey,
    ResponseForm,
};
use crate::protocol::{Error, InterbrokerFrame};
use crate::server::Reply;

/// Answers what brokers ask of each other.
pub(crate) struct Interbroker {
    pub(crate) control: Control,
    pub(crate) controller: controller::Handle,
}

impl Interbroker {
    pub(crate) async fn dispatch(&self, frame: InterbrokerFrame) -> Result<Reply, Error> {
        let InterbrokerFrame {
            key,
            version,
            correlation_id,
            body,
        } = frame;
        let malformed = |source| Error::Interbroker { key, source };
        let answer = match key {
            InterbrokerKey::LeaderAndIsr => {
                let request = ControlRequest::decode_leader_and_isr(body, version);
                self.control(request.map_err(malformed)?, version).await
            }
            InterbrokerKey::StopReplica => {
                let request = ControlRequest::decode_stop_replica(body, version);
                self.control(request.map_err(malformed)?, version).await
            }
            InterbrokerKey::UpdateMetadata => {
                let request = ControlRequest::decode_update_metadata(body, version);
                self.control(request.map_err(malformed)?, version).await
            }
            InterbrokerKey::ControlledShutdown => {
                let request = ControlledShutdownRequest::decode(body, version);
                let request = request.map_err(malformed)?;
                self.controlled_shutdown(request).await.encode(version)
            }
            InterbrokerKey::AlterPartition => {
                let request = AlterPartitionRequest::decode(body, version).map_err(malformed)?;
                let answer = self.controller.alter_partition(request, version).await;
                answer.encode(version)
            }
            InterbrokerKey::AllocateProducerIds => {
                let request = AllocateProducerIdsRequest::decode(body).map_err(malformed)?;
                self.allocate_producer_ids(request).await.encode()
            }
        };
        Ok(Reply::Now(
            interbroker::response(key, version, correlation_id, &answer).into(),
        ))
    }

    async fn control(&self, request: ControlRequest, version: i16) -> bytes::Bytes {
        let form = ResponseForm::of(&request, version);
        form.encode(&self.control.handle(request).await)
    }

    /// A block for another broker; the registry hands each out once.
    async fn allocate_producer_ids(
        &self,
        request: AllocateProducerIdsRequest,
    ) -> AllocateProducerIdsResponse {
        let refused = |error: ResponseError| AllocateProducerIdsResponse {
            error_code: error.code(),
            start: 0,
            length: 0,
        };
        if !self.controller.is_active() {
            return refused(ResponseError::NotController);
        }
        match self
            .is_current(request.broker_id, request.broker_epoch)
            .await
        {
            Ok(true) => {}
            Ok(false) => return refused(ResponseError::StaleBrokerEpoch),
            Err(error) => {
                tracing::warn!(%error, "no producer ids can be handed out");
                return refused(ResponseError::UnknownServerError);
            }
        }
        let block = self
            .control
            .registry
            .next_producer_id_block(request.broker_id);
        match block.await {
            Ok(block) => AllocateProducerIdsResponse {
                error_code: 0,
                start: block.start,
                length: i32::try_from(block.end - block.start + 1).unwrap_or(0),
            },
            Err(error) => {
                tracing::warn!(%error, "no producer ids can be handed out");
                refused(ResponseError::UnknownServerError)
            }
        }
    }

    async fn is_current(
        &self,
        id: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<bool, crate::registry::Error> {
        let registered = self.control.registry.broker(id, None).await?;
        Ok(registered.is_some_and(|(_, known)| known == epoch))
    }

    async fn controlled_shutdown(
        &self,
        request: ControlledShutdownRequest,
    ) -> ControlledShutdownResponse {
        let ControlledShutdownRequest {
            broker_id,
            broker_epoch,
        } = request;
        let asked = self.controller.controlled_shutdown(broker_id, broker_epoch);
        match asked.await {
            Ok(remaining) => ControlledShutdownResponse {
                error_code: 0,
                remaining,
            },
            Err(failed) => {
                tracing::info!(broker_id, error = %failed, "a broker's goodbye was refused");
                ControlledShutdownResponse {
                    error_code: error::controlled_shutdown(&failed).code(),
                    remaining: Vec::new(),
                }
            }
        }
    }
}
