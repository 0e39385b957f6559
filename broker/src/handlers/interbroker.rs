//! Requests of other brokers: the controller's, and goodbyes to the controller.
//!
//! As in Kafka, whoever reaches a listener can send them while there is no
//! authorizer; epochs keep out what is old, not what is forged.

use super::control::Control;
use super::error;
use crate::controller;
use crate::protocol::interbroker::{
    self, ControlRequest, ControlledShutdownRequest, ControlledShutdownResponse, InterbrokerKey,
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
            correlation_id,
            body,
        } = frame;
        let malformed = |source| Error::Interbroker { key, source };
        let request = match key {
            InterbrokerKey::LeaderAndIsr => ControlRequest::decode_leader_and_isr(body),
            InterbrokerKey::StopReplica => ControlRequest::decode_stop_replica(body),
            InterbrokerKey::UpdateMetadata => ControlRequest::decode_update_metadata(body),
            InterbrokerKey::ControlledShutdown => {
                let request = ControlledShutdownRequest::decode(body).map_err(malformed)?;
                let answer = self.controlled_shutdown(request).await.encode();
                return Ok(Reply::Now(
                    interbroker::response(correlation_id, &answer).into(),
                ));
            }
        };
        let request = request.map_err(malformed)?;
        let form = ResponseForm::of(&request);
        let answer = form.encode(&self.control.handle(request).await);
        Ok(Reply::Now(
            interbroker::response(correlation_id, &answer).into(),
        ))
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
