//! The way to the controller's loop, for the rest of the process.

use tokio::sync::{mpsc, oneshot, watch};

use super::alter_partition::not_controller;
use super::census::Census;
use super::leader_election::{Elected, ElectionType};
use super::reassignment::{Reassigned, Wanted};
use super::shutdown::ControlledShutdownError;
use crate::model::{BrokerEpoch, BrokerId, ControllerEpoch, TopicName, TopicPartition};
use crate::protocol::interbroker::{
    AlterPartitionRequest, AlterPartitionResponse, ControlRequest, ControlResponse,
};
use crate::registry::ReplicaAssignment;

/// Where an answer goes; `None` where this broker is not the controller.
pub(super) type Reply<T> = oneshot::Sender<Option<T>>;

/// What reaches the loop besides watch events.
pub(super) enum Event {
    /// A broker answered a control request.
    Answered {
        epoch: ControllerEpoch,
        broker: BrokerId,
        broker_epoch: BrokerEpoch,
        request: ControlRequest,
        response: ControlResponse,
    },
    ControlledShutdown {
        broker: BrokerId,
        epoch: BrokerEpoch,
        reply: oneshot::Sender<Result<Vec<TopicPartition>, ControlledShutdownError>>,
    },
    AlterPartition {
        request: AlterPartitionRequest,
        version: i16,
        reply: Reply<AlterPartitionResponse>,
    },
    AlterReassignments {
        wanted: Vec<Wanted>,
        reply: Reply<Vec<Reassigned>>,
    },
    ListReassignments {
        reply: Reply<Vec<(TopicPartition, ReplicaAssignment)>>,
    },
    ElectLeaders {
        election: ElectionType,
        partitions: Vec<TopicPartition>,
        reply: Reply<Vec<Elected>>,
    },
    /// How much there is of what.
    Count {
        reply: Reply<Census>,
    },
    /// A topic now allows a leader from outside the ISR.
    UncleanElectionAllowed(TopicName),
    /// Topics that do not say otherwise now do.
    UncleanElectionsAllowed,
    SessionRenewed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) controller: Option<BrokerId>,
    pub(super) epoch: Option<ControllerEpoch>,
}

/// Asks and watches the controller of this process; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    status: watch::Receiver<Status>,
}

impl Handle {
    pub(super) fn new(events: mpsc::Sender<Event>, status: watch::Receiver<Status>) -> Self {
        Self { events, status }
    }

    /// Who is the controller of the cluster, as far as this broker knows.
    #[must_use]
    pub fn controller_id(&self) -> Option<BrokerId> {
        self.status.borrow().controller
    }

    /// Resolves when the controller is another one than `known`; cancel safe.
    pub async fn controller_changed(&mut self, known: Option<BrokerId>) -> Option<BrokerId> {
        match self
            .status
            .wait_for(|status| status.controller != known)
            .await
        {
            Ok(status) => status.controller,
            Err(_) => None,
        }
    }

    /// Whether this broker is the controller and took over completely.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.epoch().is_some()
    }

    /// The controller epoch of this broker while it is the controller.
    #[must_use]
    pub fn epoch(&self) -> Option<ControllerEpoch> {
        self.status.borrow().epoch
    }

    /// Moves leaders away from a broker that is going to stop; returns the
    /// partitions that it still leads, for which nobody else can.
    pub async fn controlled_shutdown(
        &self,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Result<Vec<TopicPartition>, ControlledShutdownError> {
        let (reply, answered) = oneshot::channel();
        let event = Event::ControlledShutdown {
            broker,
            epoch,
            reply,
        };
        if self.events.send(event).await.is_err() {
            return Err(ControlledShutdownError::NotController);
        }
        answered
            .await
            .unwrap_or(Err(ControlledShutdownError::NotController))
    }

    /// Asks for other ISRs, in this version of the request.
    pub async fn alter_partition(
        &self,
        request: AlterPartitionRequest,
        version: i16,
    ) -> AlterPartitionResponse {
        let event = |reply| Event::AlterPartition {
            request,
            version,
            reply,
        };
        self.ask(event).await.unwrap_or_else(not_controller)
    }

    /// Begins, changes or cancels reassignments; `None` where this broker is
    /// not the controller.
    pub async fn alter_reassignments(&self, wanted: Vec<Wanted>) -> Option<Vec<Reassigned>> {
        let event = |reply| Event::AlterReassignments { wanted, reply };
        self.ask(event).await
    }

    /// The partitions whose replicas move; `None` where this broker is not the
    /// controller.
    pub async fn reassignments(&self) -> Option<Vec<(TopicPartition, ReplicaAssignment)>> {
        self.ask(|reply| Event::ListReassignments { reply }).await
    }

    /// Elects leaders; `None` where this broker is not the controller.
    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Vec<TopicPartition>,
    ) -> Option<Vec<Elected>> {
        let event = |reply| Event::ElectLeaders {
            election,
            partitions,
            reply,
        };
        self.ask(event).await
    }

    /// How much there is of what in the cluster; `None` where this broker is not the
    /// controller.
    pub async fn census(&self) -> Option<Census> {
        self.ask(|reply| Event::Count { reply }).await
    }

    async fn ask<T>(&self, event: impl FnOnce(Reply<T>) -> Event) -> Option<T> {
        let (reply, answered) = oneshot::channel();
        self.events.send(event(reply)).await.ok()?;
        answered.await.ok().flatten()
    }

    /// A topic was configured to allow a leader from outside the ISR: the
    /// controller elects one at once where there is none.
    pub async fn unclean_election_allowed(&self, topic: TopicName) {
        // An error means that the service stopped.
        let _ = self.events.send(Event::UncleanElectionAllowed(topic)).await;
    }

    /// The default of all topics was configured so.
    pub async fn unclean_elections_allowed(&self) {
        // An error means that the service stopped.
        let _ = self.events.send(Event::UncleanElectionsAllowed).await;
    }

    /// The owner has a new session and registered the broker in it.
    pub async fn session_renewed(&self) {
        // An error means that the service stopped.
        let _ = self.events.send(Event::SessionRenewed).await;
    }
}
