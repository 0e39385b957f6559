//! The replicas of this broker: who leads, how far they are committed, who waits.
//!
//! Flow: LeaderAndIsr -> `Manager` -> `Partition` becomes leader or follower;
//! produce -> `Partition::append` -> log -> high watermark -> waiters;
//! fetch -> `Partition::read`, bounded by the high watermark.
//! State: `Partition` owns role and log behind one lock that is never held
//! across an await; offsets are published to `wait::Waiters`.
//!
//! **Invariant:** the high watermark never falls while a leader leads, and
//! never passes the log end offset.
//! **Invariant:** nobody polls: progress wakes those who wait for it.

mod error;
mod isolation;
mod leader;
mod log_dirs;
mod manager;
mod message_set;
mod partition;
mod wait;

pub use error::{AppendError, Error};
pub use isolation::{Acks, Isolation};
pub use manager::{Manager, ManagerConfig, RoleChange, TopicConfigMap};
pub use partition::{
    Appended, DeleteRecordsError, OffsetAtTime, OffsetQuery, Partition, Pending, ReadRequest,
    ReadResult,
};
pub use wait::{Registration, Waiter};
