//! The controller while it is one: context, fence, senders.

use std::sync::Arc;

use super::batch::Batch;
use super::context::Context;
use super::sender::Senders;
use super::service::Config;
use crate::model::{BrokerId, TopicPartition};
use crate::registry::{self, Registry};
use crate::zk::Watcher;

/// The active controller. Its methods, one topic per file, carry out events;
/// an error ends the event, and `registry::Error::ControllerMoved` the role.
pub(super) struct Active {
    pub(super) config: Config,
    pub(super) registry: Registry,
    pub(super) watcher: Arc<Watcher>,
    pub(super) context: Context,
    pub(super) senders: Senders,
}

pub(super) type Result<T> = std::result::Result<T, registry::Error>;

impl Active {
    /// Queues the batch for the brokers that it concerns.
    pub(super) fn send(&mut self, batch: Batch) {
        for (broker, request) in batch.into_requests(&self.context) {
            self.senders.send(broker, request);
        }
    }

    pub(super) fn send_metadata(&mut self, to: &[BrokerId], partitions: &[TopicPartition]) {
        let mut batch = Batch::default();
        batch.update_metadata(&self.context, to, partitions);
        self.send(batch);
    }
}

/// Whether an error means that this broker must not go on as controller.
pub(super) fn ends_role(error: &registry::Error) -> bool {
    use crate::zk::Error as Zk;
    matches!(
        error,
        registry::Error::ControllerMoved
            | registry::Error::Zk(Zk::SessionExpired | Zk::AuthFailed | Zk::Closed)
    )
}
