//! The controller's requests and their answers, between structs and bytes.

use bytes::Bytes;

use super::fields::Error;
use super::header::InterbrokerKey;
use super::topics::{Kind, ResponseForm};
use super::{ControlRequest, ControlResponse, leader_and_isr, stop_replica, update_metadata};

impl ControlRequest {
    #[must_use]
    pub fn key(&self) -> InterbrokerKey {
        match self {
            Self::LeaderAndIsr(_) => InterbrokerKey::LeaderAndIsr,
            Self::UpdateMetadata(_) => InterbrokerKey::UpdateMetadata,
            Self::StopReplica(_) => InterbrokerKey::StopReplica,
        }
    }

    /// The body; fails when a registration has a security protocol that
    /// Kafka does not know.
    pub fn encode(&self, version: i16) -> Result<Bytes, Error> {
        match self {
            Self::LeaderAndIsr(request) => Ok(leader_and_isr::encode(request, version)),
            Self::UpdateMetadata(request) => update_metadata::encode(request, version),
            Self::StopReplica(request) => Ok(stop_replica::encode(request, version)),
        }
    }

    pub fn decode_leader_and_isr(body: Bytes, version: i16) -> Result<Self, Error> {
        leader_and_isr::decode(body, version).map(Self::LeaderAndIsr)
    }

    pub fn decode_update_metadata(body: Bytes, version: i16) -> Result<Self, Error> {
        update_metadata::decode(body, version).map(Self::UpdateMetadata)
    }

    pub fn decode_stop_replica(body: Bytes, version: i16) -> Result<Self, Error> {
        stop_replica::decode(body, version).map(Self::StopReplica)
    }
}

impl ResponseForm {
    #[must_use]
    pub fn encode(&self, response: &ControlResponse) -> Bytes {
        match self.kind {
            Kind::LeaderAndIsr => leader_and_isr::encode_response(self, response),
            Kind::UpdateMetadata => update_metadata::encode_response(self, response),
            Kind::StopReplica => stop_replica::encode_response(self, response),
        }
    }

    pub fn decode(&self, body: Bytes) -> Result<ControlResponse, Error> {
        match self.kind {
            Kind::LeaderAndIsr => leader_and_isr::decode_response(self, body),
            Kind::UpdateMetadata => update_metadata::decode_response(self, body),
            Kind::StopReplica => stop_replica::decode_response(self, body),
        }
    }
}
