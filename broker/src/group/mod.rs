//! The coordinators of consumer groups: membership and committed offsets.
//!
//! Flow: `Handle` (routes by group id) -> the shard of that partition of
//! `__consumer_offsets` -> decide on the group's pure state -> append through
//! `state_log` -> replay when committed -> answer. `Handle::load` replays the
//! same records when this broker becomes the partition's leader.
//! State: each shard is owned by one task, which `state_log` runs.
//!
//! **Invariant:** what a client was told to be committed is in the log.
//! **Invariant:** nothing here knows Kafka's wire types or sockets.

mod api;
mod config;
mod error;
mod offsets;
mod records;
mod service;
mod shard;
mod state;
mod subscription;

pub use api::{
    Census, CommitRequest, CommittedOffset, Description, FetchRequest, FetchedOffsets, JoinFailure,
    JoinRequest, Joined, JoinedMember, LeavingMember, Listing, MemberDescription, MemberRef,
    OffsetToCommit, Overview, PartitionOutcomes, Phase, SyncRequest, Synced, Transaction,
    TransactionEnd,
};
pub use config::Config;
pub use error::Error;
pub use service::{Handle, Service};
pub use shard::Found;
