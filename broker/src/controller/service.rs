//! The event loop: election, dispatch, resignation.

use std::sync::Arc;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot, watch};

use super::active::{Active, ends_role};
use super::alter_partition::not_controller;
use super::context::Context;
use super::sender::Senders;
use super::shutdown::ControlledShutdownError;
use crate::model::{BrokerEpoch, BrokerId, ControllerEpoch, TopicPartition};
use crate::peer::ControlChannel;
use crate::protocol::interbroker::{
    AlterPartitionRequest, AlterPartitionResponse, ControlRequest, ControlResponse,
};
use crate::registry::{Change, Election, Error, Fence, Registry};
use crate::zk::{State, WatchEvent, Watcher};

/// Events that wait for the loop; senders wait beyond it.
const EVENTS_MAX: usize = 1024;
/// How long to wait before the election is tried again after an error.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// What the controller needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub broker_id: BrokerId,
    /// The listener at which brokers reach each other.
    pub inter_broker_listener: String,
    /// `unclean.leader.election.enable`, where a topic does not say otherwise.
    pub unclean_leader_election: bool,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
}

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
        reply: oneshot::Sender<AlterPartitionResponse>,
    },
    SessionRenewed,
}

/// Competes for the controller's role, and fills it.
pub struct Service {
    config: Config,
    registry: Registry,
    channel: Arc<dyn ControlChannel>,
    clock: SharedClock,
    watcher: Arc<Watcher>,
    events: mpsc::Receiver<Event>,
    events_sender: mpsc::Sender<Event>,
    status: watch::Sender<Status>,
    active: Option<Active>,
    /// The last session in which the service competed.
    generation: u64,
    /// The election failed and is due again.
    is_retry_due: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    controller: Option<BrokerId>,
    epoch: Option<ControllerEpoch>,
}

/// Asks and watches the controller of this process; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    events: mpsc::Sender<Event>,
    status: watch::Receiver<Status>,
}

impl Handle {
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
        let (reply, answered) = oneshot::channel();
        let event = Event::AlterPartition {
            request,
            version,
            reply,
        };
        if self.events.send(event).await.is_err() {
            return not_controller();
        }
        answered.await.unwrap_or_else(|_| not_controller())
    }

    /// The owner has a new session and registered the broker in it.
    pub async fn session_renewed(&self) {
        // An error means that the service stopped.
        let _ = self.events.send(Event::SessionRenewed).await;
    }
}

impl Service {
    #[must_use]
    pub fn new(
        config: Config,
        registry: Registry,
        channel: Arc<dyn ControlChannel>,
        clock: SharedClock,
    ) -> (Self, Handle) {
        let (events_sender, events) = mpsc::channel(EVENTS_MAX);
        let (status, status_receiver) = watch::channel(Status {
            controller: None,
            epoch: None,
        });
        let handle = Handle {
            events: events_sender.clone(),
            status: status_receiver,
        };
        let service = Self {
            watcher: Arc::new(registry.client().watcher()),
            config,
            registry,
            channel,
            clock,
            events,
            events_sender,
            status,
            active: None,
            generation: 0,
            is_retry_due: false,
        };
        (service, handle)
    }

    /// Runs until `shutdown`. On the way out an active controller gives its
    /// role up, so that another broker takes over at once.
    pub async fn run(mut self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.requested() => {}
            () = self.serve() => {}
        }
        if let Some(active) = self.active.take() {
            let fence = active.context.fence;
            drop(active);
            self.set_status(None, None);
            let limit = tokio::time::timeout(RETRY, self.registry.resign(fence)).await;
            if !matches!(limit, Ok(Ok(()))) {
                tracing::warn!("the controller's role ends with the session");
            }
        }
    }

    async fn serve(&mut self) {
        let mut status = self.registry.client().status();
        self.compete().await;
        loop {
            tokio::select! {
                event = self.watcher.next() => self.on_watch(event).await,
                Some(event) = self.events.recv() => self.on_event(event).await,
                changed = status.changed() => {
                    let state = status.borrow_and_update().state;
                    if changed.is_err() || state == State::Closed {
                        return;
                    }
                    if matches!(state, State::Expired | State::AuthFailed) {
                        self.step_down("the session ended");
                        self.set_status(None, None);
                    }
                }
                () = tokio::time::sleep(RETRY), if self.is_retry_due => self.compete().await,
            }
        }
    }

    /// Becomes the controller if nobody is; always leaves the watch behind.
    async fn compete(&mut self) {
        self.is_retry_due = false;
        match self.try_compete().await {
            Ok(()) => {}
            Err(error) if ends_role(&error) => self.step_down("the controller moved"),
            Err(error) => {
                tracing::error!(%error, "cannot become or find the controller, trying again");
                self.give_up_role().await;
                self.is_retry_due = true;
            }
        }
    }

    async fn try_compete(&mut self) -> Result<(), Error> {
        loop {
            let controller = self.registry.controller(Some(&self.watcher)).await?;
            self.generation = self.registry.client().generation();
            if let Some(controller) = controller {
                let id = controller.broker;
                if self.active.is_some() && id != self.config.broker_id {
                    self.step_down("another broker is the controller");
                }
                let is_idle = self.active.is_none() && id == self.config.broker_id;
                if is_idle && self.registry.remove_own_controller().await? {
                    tracing::info!("removed the controller's node of an earlier run");
                    continue;
                }
                let epoch = self.status.borrow().epoch.filter(|_| self.active.is_some());
                self.set_status(Some(id), epoch);
                return Ok(());
            }
            self.step_down("the controller's node is gone");
            self.set_status(None, None);
            match self.registry.elect(self.config.broker_id).await? {
                Election::Won(fence) => return self.take_over(fence).await,
                // The winner's node tells who it is.
                Election::Lost => {}
            }
        }
    }

    async fn take_over(&mut self, fence: Fence) -> Result<(), Error> {
        let id = self.config.broker_id;
        let started = self.clock.monotonic();
        tracing::info!(id, epoch = fence.epoch, "elected as the controller");
        let active = Active {
            config: self.config.clone(),
            registry: self.registry.clone(),
            watcher: self.watcher.clone(),
            context: Context::new(id, fence, self.config.inter_broker_listener.clone()),
            senders: Senders::new(
                self.channel.clone(),
                self.events_sender.clone(),
                fence.epoch,
            ),
        };
        self.active.insert(active).take_over().await?;
        let took_ms = (self.clock.monotonic() - started).as_millis();
        tracing::debug!(took_ms, "took over");
        self.set_status(Some(id), Some(fence.epoch));
        Ok(())
    }

    fn step_down(&mut self, reason: &str) {
        if let Some(active) = self.active.take() {
            tracing::info!(
                epoch = active.context.fence.epoch,
                reason,
                "resigned as the controller"
            );
            let controller = self.status.borrow().controller;
            self.set_status(controller.filter(|id| *id != self.config.broker_id), None);
        }
    }

    /// Steps down and lets the others elect.
    async fn give_up_role(&mut self) {
        let fence = self.active.as_ref().map(|active| active.context.fence);
        self.step_down("an error");
        if let Some(fence) = fence
            && let Err(error) = self.registry.resign(fence).await
        {
            tracing::error!(%error, "cannot give the controller's role up");
        }
    }

    fn set_status(&self, controller: Option<BrokerId>, epoch: Option<ControllerEpoch>) {
        let new = Status { controller, epoch };
        self.status
            .send_if_modified(|status| std::mem::replace(status, new) != new);
    }

    async fn on_watch(&mut self, event: WatchEvent) {
        if event.generation != self.generation {
            return;
        }
        let Some(change) = Change::of(&event) else {
            return;
        };
        if change == Change::Controller {
            if self.is_retry_due {
                // The timer competes; a role that cannot be filled is not
                // taken and given up in a tight loop.
                return;
            }
            return self.compete().await;
        }
        let Some(active) = &mut self.active else {
            return;
        };
        let result = match &change {
            Change::Brokers => active.on_brokers_changed().await,
            Change::Broker(id) => active.on_broker_modified(*id).await,
            Change::Topics => active.on_topics_changed().await,
            Change::TopicPartitions(topic) => active.on_topic_modified(topic).await,
            Change::TopicsToDelete => active.on_deletions_changed().await,
            Change::IsrNotes => active.on_isr_notes().await,
            Change::LogDirNotes => active.on_log_dir_notes().await,
            Change::PreferredElection => active.on_preferred_election().await,
            Change::Controller | Change::Reassignment | Change::ConfigNotes => Ok(()),
        };
        self.conclude(result).await;
    }

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::SessionRenewed => {
                self.step_down("a new session");
                self.compete().await;
            }
            Event::ControlledShutdown {
                broker,
                epoch,
                reply,
            } => {
                let result = match &mut self.active {
                    Some(active) => active.on_controlled_shutdown(broker, epoch).await,
                    None => Err(ControlledShutdownError::NotController),
                };
                let is_over =
                    matches!(&result, Err(ControlledShutdownError::Registry(e)) if ends_role(e));
                let _ = reply.send(result);
                if is_over {
                    self.compete().await;
                }
            }
            Event::AlterPartition {
                request,
                version,
                reply,
            } => self.on_alter_partition(&request, version, reply).await,
            Event::Answered {
                epoch,
                broker,
                broker_epoch,
                request,
                response,
            } => {
                let Some(active) = &mut self.active else {
                    return;
                };
                let known = active
                    .context
                    .brokers
                    .get(&broker)
                    .map(|broker| broker.epoch);
                if active.context.fence.epoch != epoch || known != Some(broker_epoch) {
                    return;
                }
                let result = active.on_answer(broker, &request, &response).await;
                self.conclude(result).await;
            }
        }
    }

    async fn on_alter_partition(
        &mut self,
        request: &AlterPartitionRequest,
        version: i16,
        reply: oneshot::Sender<AlterPartitionResponse>,
    ) {
        let Some(active) = &mut self.active else {
            let _ = reply.send(not_controller());
            return;
        };
        let result = match active.on_alter_partition(request, version).await {
            Ok((response, _changed)) => {
                let _ = reply.send(response);
                Ok(())
            }
            Err(error) => {
                let _ = reply.send(not_controller());
                Err(error)
            }
        };
        self.conclude(result).await;
    }

    /// An event failed: the role may be over; anything else is logged, since
    /// the next event starts from what the registry has.
    async fn conclude(&mut self, result: Result<(), Error>) {
        match result {
            Ok(()) => {}
            Err(error) if ends_role(&error) => {
                self.step_down("the controller moved");
                self.compete().await;
            }
            Err(error) => tracing::error!(%error, "the controller could not finish an event"),
        }
    }
}
