//! The replicas of this broker: who leads, how far they are committed, who waits.
//!
//! Flow: LeaderAndIsr -> `Manager` -> `Partition` becomes leader or follower;
//! produce -> `Partition::append` -> log -> high watermark -> waiters;
//! fetch -> `Partition::read`, bounded by the high watermark; a follower's
//! `fetcher` -> its leader's `Partition::read`, which notes what the follower
//! has (`leader`) -> high watermark, and `isr` when the ISR should change.
//! State: `Partition` owns role and log behind one lock that is never held
//! across an await; offsets are published to `wait::Waiters`.
//!
//! **Invariant:** the high watermark never falls while a leader leads, and
//! never passes the log end offset.
//! **Invariant:** nobody polls: progress wakes those who wait for it.

mod error;
mod fetcher;
mod follower;
mod isolation;
mod isr;
mod leader;
mod log_dirs;
mod manager;
mod message_set;
mod moves;
mod partition;
mod quota;
mod wait;

pub use error::{AppendError, Error};
pub use fetcher::FetchConfig;
pub use isolation::{Acks, Isolation};
pub use isr::{IsrChannel, IsrDecision, IsrFailure, IsrProposal};
pub use manager::{Manager, ManagerConfig, RoleChange, TopicConfigMap};
pub use moves::MoveReplicaError;
pub use partition::{
    Appended, DeleteRecordsError, OffsetAtTime, OffsetQuery, Partition, Pending, ReadRequest,
    ReadResult, Reader, Shape, Standing, TxnMarker,
};
pub use quota::{Quota, Quotas, Windows};
pub use wait::{Pulse, Registration, Waiter};
