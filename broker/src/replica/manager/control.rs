//! Whose requests are taken.

use super::code;
use crate::model::{BrokerEpoch, ControllerEpoch};
use crate::protocol::interbroker::{ControlHeader, ControlResponse};

#[derive(Debug, Default)]
pub(super) struct Control {
    controller_epoch: ControllerEpoch,
}

impl Control {
    /// The answer to a request of an older controller, or for an older
    /// incarnation of this broker.
    pub(super) fn refusal(
        &mut self,
        header: &ControlHeader,
        broker_epoch: BrokerEpoch,
    ) -> Option<ControlResponse> {
        let refused = |error_code| {
            Some(ControlResponse {
                error_code,
                partition_errors: Vec::new(),
            })
        };
        if header.controller_epoch < self.controller_epoch {
            return refused(code::STALE_CONTROLLER_EPOCH);
        }
        if header.broker_epoch >= 0 && header.broker_epoch < broker_epoch {
            return refused(code::STALE_BROKER_EPOCH);
        }
        self.controller_epoch = header.controller_epoch;
        None
    }
}
