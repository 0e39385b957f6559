//! What Kafka keeps in each znode: path, encoding and decoding, in one place.
//!
//! Pure: nothing here talks to a server. Writers produce the bytes that Kafka
//! 3.9 produces, down to the order of keys, because people diff them; readers
//! accept every older version and ignore what they do not know.
//!
//! **Invariant:** bytes from a znode never panic; they decode or say what is wrong.

mod admin;
mod broker;
mod config;
mod consumer_offset;
mod controller;
mod feature;
mod json;
mod notes;
mod partition_state;
pub mod path;
mod producer_ids;
mod sanitized;
mod topic;

pub use admin::{decode_preferred_election, decode_reassignment, encode_reassignment};
pub use broker::BrokerRegistration;
pub use config::{ConfigEntity, EntityType, decode_change_note, encode_change_note};
pub use config::{decode_config, encode_config};
pub use consumer_offset::decode_consumer_offset;
pub use controller::{
    ControllerRegistration, decode_cluster_id, decode_controller_epoch, encode_cluster_id,
    encode_controller_epoch,
};
pub use feature::FeatureNode;
pub use json::Malformed;
pub use notes::{decode_isr_change, decode_log_dir_event, encode_isr_change, encode_log_dir_event};
pub use partition_state::{LeaderAndIsr, LeaderRecoveryState, PartitionLeadership};
pub use producer_ids::{PRODUCER_ID_BLOCK_SIZE, ProducerIdBlock};
pub use sanitized::{desanitize, sanitize};
pub use topic::{ReplicaAssignment, TopicAssignment, decode_topic_id, encode_topic_id};
