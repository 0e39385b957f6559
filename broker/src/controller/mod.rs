//! The controller: the one broker that decides who leads what.
//!
//! Flow: watches and requests become events of one loop (`service`); while this
//! broker is the controller (`active`), an event reads what it needs from the
//! registry (pipelined), decides with pure functions over the `context`
//! (`election`, `states`, `brokers`, `deletion`), writes the decision fenced,
//! takes it into the context, and queues it for the brokers (`batch`, one
//! ordered `sender` per live broker).
//!
//! State: the loop's task owns everything; the `Handle` reads watch channels
//! and posts events.
//!
//! Sessions: when the client's session expires the service resigns at once and
//! rests. The owner renews the session, registers the broker again and calls
//! [`Handle::session_renewed`]; then the service competes again. Watch events
//! of an older session and answers to requests of an older controller epoch are
//! dropped.
//!
//! **Invariant:** every write is `multi[check /controller_epoch, write]`.
//! **Invariant:** brokers learn a decision only after it was written.
//! **Invariant:** per broker: LeaderAndIsr, then UpdateMetadata, then
//! StopReplica of one batch, and batches in order.
//! **Invariant:** a broker that cannot be reached delays nobody but itself.
//! **Invariant:** this module knows nothing of logs and replicas.

mod active;
mod alter_partition;
mod answers;
mod batch;
mod brokers;
mod census;
mod context;
mod deletion;
mod election;
mod failover;
mod handle;
mod leader_election;
mod partitions;
mod reassignment;
mod replicas;
mod sender;
mod service;
mod shutdown;
mod states;
mod topics;

pub use census::Census;
pub use handle::Handle;
pub use leader_election::{ElectError, Elected, ElectionType};
pub use reassignment::{ReassignError, Reassigned, Wanted};
pub use service::{Config, Rebalance, Service};
pub use shutdown::ControlledShutdownError;
