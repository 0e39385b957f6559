//! What the controller tells brokers in ZooKeeper mode, as plain structs.
//!
//! They follow Kafka's LeaderAndIsr, UpdateMetadata and StopReplica requests;
//! the controller hands them to a channel per broker, and the receiving
//! broker's handlers take exactly these types, whether they came over a wire
//! or from the controller in the same process. ControlledShutdown, AlterPartition
//! and AllocateProducerIds go the other way. The wire form of each is in a
//! module of its own.

mod allocate_producer_ids;
mod alter_partition;
mod codec;
mod control_header;
mod controlled_shutdown;
mod fields;
mod header;
mod leader_and_isr;
mod stop_replica;
#[cfg(test)]
mod tests;
mod topics;
mod update_metadata;

pub use allocate_producer_ids::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
pub use alter_partition::{
    AlterPartitionRequest, AlterPartitionResponse, AlteredIsr, IsrChange, IsrOutcome,
};
pub use fields::Error;
pub use header::{InterbrokerKey, request, response, split_response, version_in};
pub use stop_replica::stops_are_mixed;
pub use topics::ResponseForm;

use crate::model::{
    BrokerEpoch, BrokerId, ControllerEpoch, LeaderEpoch, PartitionEpoch, TopicId, TopicName,
    TopicPartition,
};

/// Who sends a control request and to which incarnation of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlHeader {
    pub controller_id: BrokerId,
    pub controller_epoch: ControllerEpoch,
    /// Epoch of the receiving broker; an older incarnation must refuse (KIP-380).
    pub broker_epoch: BrokerEpoch,
}

/// One partition as the controller decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub topic_partition: TopicPartition,
    /// Epoch of the controller that made the decision.
    pub controller_epoch: ControllerEpoch,
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub partition_epoch: PartitionEpoch,
    pub replicas: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    pub is_new: bool,
    /// 0 recovered, 1 recovering (after an unclean election).
    pub leader_recovery_state: i8,
}

/// Tells a broker which partitions it leads or follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsrRequest {
    pub header: ControlHeader,
    /// True for the first request after (re)registration: what is not in it is stray.
    pub is_full: bool,
    pub partitions: Vec<PartitionState>,
    /// Topic ids of the topics in `partitions`; zero when the topic has none.
    pub topic_ids: Vec<(TopicName, TopicId)>,
    pub live_leaders: Vec<LiveLeader>,
}

/// Where followers reach a leader: its address for other brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLeader {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
}

/// A registered broker with its listeners; the epoch is -1 where it came over
/// a wire, which does not carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveBroker {
    pub id: BrokerId,
    pub epoch: BrokerEpoch,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<String>,
}

/// One advertised listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Listener name, upper case, for example `PLAINTEXT`.
    pub listener: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    pub host: String,
    pub port: u16,
}

/// Feeds the metadata that a broker serves to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateMetadataRequest {
    pub header: ControlHeader,
    pub partitions: Vec<PartitionState>,
    /// Replicas that are offline, per partition, in the order of `partitions`.
    pub offline_replicas: Vec<Vec<BrokerId>>,
    pub topic_ids: Vec<(TopicName, TopicId)>,
    pub live_brokers: Vec<LiveBroker>,
}

/// Takes replicas away from a broker, with or without their data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReplicaRequest {
    pub header: ControlHeader,
    pub partitions: Vec<StopPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopPartition {
    pub topic_partition: TopicPartition,
    /// `-2` (`EPOCH_DURING_DELETE`) when the topic is being deleted.
    pub leader_epoch: LeaderEpoch,
    pub delete: bool,
}

/// Any request from the controller to a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlRequest {
    LeaderAndIsr(LeaderAndIsrRequest),
    UpdateMetadata(UpdateMetadataRequest),
    StopReplica(StopReplicaRequest),
}

/// The answer: one code for the request, and one per partition where it has any.
///
/// Codes are Kafka's error codes (0 = none, 11 stale controller epoch,
/// 56 storage error, 77 stale broker epoch, ...).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlResponse {
    pub error_code: i16,
    pub partition_errors: Vec<(TopicPartition, i16)>,
}

impl ControlResponse {
    /// Notes a partition's code, unless it says that all is well.
    fn push_error(&mut self, partition: TopicPartition, code: i16) {
        if code != 0 {
            self.partition_errors.push((partition, code));
        }
    }
}

/// A broker is going to stop and asks the controller to move its leaders away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlledShutdownRequest {
    pub broker_id: BrokerId,
    pub broker_epoch: BrokerEpoch,
}

/// What the stopping broker still leads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControlledShutdownResponse {
    pub error_code: i16,
    pub remaining: Vec<TopicPartition>,
}

/// Leader epoch that a StopReplica carries while its topic is being deleted.
pub const EPOCH_DURING_DELETE: LeaderEpoch = -2;
