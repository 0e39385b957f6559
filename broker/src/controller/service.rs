//! The event loop: election, dispatch, resignation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use common::clock::SharedClock;
use common::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot, watch};

use super::active::{Active, ends_role};
use super::context::Context;
use super::handle::{Event, Handle, Reply, Status};
use super::sender::Senders;
use super::shutdown::ControlledShutdownError;
use crate::metrics::Metrics;
use crate::model::{BrokerEpoch, BrokerId, ControllerEpoch, TopicName, TopicPartition};
use crate::peer::ControlChannel;
use crate::protocol::interbroker::{
    AlterPartitionRequest, AlterPartitionResponse, InterbrokerKey, stops_are_mixed, version_in,
};
use crate::registry::{Change, Election, Error, Fence, Registry};
use crate::zk::{State, WatchEvent, Watcher};

/// Events that wait for the loop; senders wait beyond it.
const EVENTS_MAX: usize = 1024;
/// How long to wait before the election is tried again after an error.
const RETRY: Duration = Duration::from_secs(1);
/// How long a new controller waits before it first looks at the balance.
const FIRST_REBALANCE: Duration = Duration::from_secs(5);

/// What the controller needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub broker_id: BrokerId,
    /// The listener at which brokers reach each other.
    pub inter_broker_listener: String,
    /// `unclean.leader.election.enable`, where a topic does not say otherwise.
    /// Another configuration of the broker may change it.
    pub unclean_leader_election: Arc<AtomicBool>,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `None` unless `auto.leader.rebalance.enable`.
    pub rebalance: Option<Rebalance>,
    /// Where elections are counted.
    pub metrics: Arc<Metrics>,
}

/// When leaders are moved back to their preferred replicas.
#[derive(Debug, Clone, Copy)]
pub struct Rebalance {
    /// `leader.imbalance.check.interval.seconds`
    pub interval: Duration,
    /// `leader.imbalance.per.broker.percentage`
    pub percentage: i32,
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
    /// When the balance of leaders is looked at next.
    next_rebalance: Duration,
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
        let handle = Handle::new(events_sender.clone(), status_receiver);
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
            next_rebalance: Duration::MAX,
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
            let until_rebalance = self.until_rebalance();
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
                () = tokio::time::sleep(until_rebalance), if self.active.is_some() => {
                    self.rebalance().await;
                }
            }
        }
    }

    fn until_rebalance(&self) -> Duration {
        const FAR: Duration = Duration::from_secs(24 * 3600);
        let now = self.clock.monotonic();
        self.next_rebalance.saturating_sub(now).min(FAR)
    }

    async fn rebalance(&mut self) {
        let (Some(active), Some(rebalance)) = (&mut self.active, self.config.rebalance) else {
            return;
        };
        let now = self.clock.monotonic();
        if now < self.next_rebalance {
            return;
        }
        self.next_rebalance = now + rebalance.interval;
        let result = active.rebalance_leaders(rebalance.percentage).await;
        self.conclude(result).await;
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
        let mut context = Context::new(id, fence, self.config.inter_broker_listener.clone());
        let stop_version = version_in(self.registry.version(), InterbrokerKey::StopReplica);
        context.stops_are_mixed = stops_are_mixed(stop_version);
        let active = Active {
            config: self.config.clone(),
            registry: self.registry.clone(),
            watcher: self.watcher.clone(),
            context,
            senders: Senders::new(
                self.channel.clone(),
                self.events_sender.clone(),
                fence.epoch,
            ),
        };
        self.active.insert(active).take_over().await?;
        self.next_rebalance = match self.config.rebalance {
            Some(_) => self.clock.monotonic() + FIRST_REBALANCE,
            None => Duration::MAX,
        };
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
            Change::Reassignment => active.on_reassignment_request().await,
            Change::Controller | Change::ConfigNotes => Ok(()),
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
                self.on_controlled_shutdown(broker, epoch, reply).await;
            }
            Event::AlterPartition {
                request,
                version,
                reply,
            } => self.on_alter_partition(&request, version, reply).await,
            Event::AlterReassignments { wanted, reply } => {
                let outcome = match &mut self.active {
                    Some(active) => Some(active.on_alter_reassignments(wanted).await),
                    None => None,
                };
                self.answer(reply, outcome).await;
            }
            Event::ListReassignments { reply } => {
                let active = self.active.as_ref();
                let _ = reply.send(active.map(Active::reassignments));
            }
            Event::ElectLeaders {
                election,
                partitions,
                reply,
            } => {
                let outcome = match &mut self.active {
                    Some(active) => Some(active.on_elect_leaders(election, partitions).await),
                    None => None,
                };
                self.answer(reply, outcome).await;
            }
            Event::Count { reply } => {
                let active = self.active.as_ref();
                let _ = reply.send(active.map(|active| active.context.census()));
            }
            Event::UncleanElectionAllowed(topic) => self.elect_uncleanly(Some(topic)).await,
            Event::UncleanElectionsAllowed => self.elect_uncleanly(None).await,
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

    /// Elects for one topic, or for all.
    async fn elect_uncleanly(&mut self, topic: Option<TopicName>) {
        let Some(active) = &mut self.active else {
            return;
        };
        let result = match topic {
            Some(topic) => active.on_unclean_election_allowed(&topic).await,
            None => active.elect_missing_leaders().await.map(drop),
        };
        self.conclude(result).await;
    }

    async fn on_controlled_shutdown(
        &mut self,
        broker: BrokerId,
        epoch: BrokerEpoch,
        reply: oneshot::Sender<Result<Vec<TopicPartition>, ControlledShutdownError>>,
    ) {
        let result = match &mut self.active {
            Some(active) => active.on_controlled_shutdown(broker, epoch).await,
            None => Err(ControlledShutdownError::NotController),
        };
        let is_over = matches!(&result, Err(ControlledShutdownError::Registry(e)) if ends_role(e));
        let _ = reply.send(result);
        if is_over {
            self.compete().await;
        }
    }

    async fn on_alter_partition(
        &mut self,
        request: &AlterPartitionRequest,
        version: i16,
        reply: Reply<AlterPartitionResponse>,
    ) {
        let Some(active) = &mut self.active else {
            return drop(reply.send(None));
        };
        let result = match active.on_alter_partition(request, version).await {
            Ok((response, changed)) => {
                // The leader need not wait for what follows from it.
                let _ = reply.send(Some(response));
                active.maybe_complete_reassignments(&changed).await
            }
            Err(error) => {
                let _ = reply.send(None);
                Err(error)
            }
        };
        self.conclude(result).await;
    }

    /// Hands an answer out, `None` while this broker is not the controller.
    async fn answer<T>(&mut self, reply: Reply<T>, outcome: Option<Result<T, Error>>) {
        let (answer, result) = match outcome {
            None => (None, Ok(())),
            Some(Ok(answer)) => (Some(answer), Ok(())),
            Some(Err(error)) => (None, Err(error)),
        };
        let _ = reply.send(answer);
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
