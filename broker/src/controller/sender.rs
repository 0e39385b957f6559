//! One ordered queue and task per live broker.
//!
//! A queue is not bounded by a number: it holds what the broker has to learn,
//! and it is dropped with the broker's registration, at the latest one session
//! timeout after the broker stopped answering.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::handle::Event;
use crate::model::{BrokerId, ControllerEpoch};
use crate::peer::ControlChannel;
use crate::protocol::interbroker::{ControlRequest, LiveBroker};

const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The senders of one controller epoch; dropping it stops them.
pub(super) struct Senders {
    channel: Arc<dyn ControlChannel>,
    events: mpsc::Sender<Event>,
    epoch: ControllerEpoch,
    queues: BTreeMap<BrokerId, (Arc<Queue>, Shutdown)>,
}

#[derive(Default)]
struct Queue {
    requests: Mutex<VecDeque<ControlRequest>>,
    arrived: Notify,
}

impl Senders {
    pub(super) fn new(
        channel: Arc<dyn ControlChannel>,
        events: mpsc::Sender<Event>,
        epoch: ControllerEpoch,
    ) -> Self {
        Self {
            channel,
            events,
            epoch,
            queues: BTreeMap::new(),
        }
    }

    /// Starts a queue for this incarnation of a broker; an older one is dropped.
    pub(super) fn add(&mut self, broker: LiveBroker) {
        self.remove(broker.id);
        let (queue, stop) = (Arc::new(Queue::default()), Shutdown::new());
        let task = Task {
            channel: self.channel.clone(),
            events: self.events.clone(),
            epoch: self.epoch,
            queue: queue.clone(),
            broker,
        };
        self.queues.insert(task.broker.id, (queue, stop.clone()));
        common::task::spawn("control sender", async move {
            tokio::select! {
                () = stop.requested() => {}
                () = task.run() => {}
            }
        });
    }

    pub(super) fn remove(&mut self, broker: BrokerId) {
        if let Some((_, stop)) = self.queues.remove(&broker) {
            stop.request();
            self.channel.disconnect(broker);
        }
    }

    pub(super) fn send(&self, to: BrokerId, request: ControlRequest) {
        if let Some((queue, _)) = self.queues.get(&to) {
            queue.requests.lock().push_back(request);
            queue.arrived.notify_one();
        }
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        for (broker, (_, stop)) in &self.queues {
            stop.request();
            self.channel.disconnect(*broker);
        }
    }
}

struct Task {
    channel: Arc<dyn ControlChannel>,
    events: mpsc::Sender<Event>,
    epoch: ControllerEpoch,
    queue: Arc<Queue>,
    broker: LiveBroker,
}

impl Task {
    async fn run(self) {
        loop {
            let arrived = self.queue.arrived.notified();
            let next = self.queue.requests.lock().pop_front();
            let Some(request) = next else {
                arrived.await;
                continue;
            };
            let response = self.deliver(&request).await;
            let event = Event::Answered {
                epoch: self.epoch,
                broker: self.broker.id,
                broker_epoch: self.broker.epoch,
                request,
                response,
            };
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }

    async fn deliver(
        &self,
        request: &ControlRequest,
    ) -> crate::protocol::interbroker::ControlResponse {
        let mut backoff = BACKOFF;
        let mut was_logged = false;
        loop {
            match self.channel.send(&self.broker, request.clone()).await {
                Ok(response) => {
                    if was_logged {
                        tracing::info!(broker = self.broker.id, "the broker can be reached again");
                    }
                    return response;
                }
                Err(error) if !was_logged => {
                    was_logged = true;
                    tracing::warn!(broker = self.broker.id, %error, "will keep trying");
                }
                Err(error) => tracing::debug!(broker = self.broker.id, %error, "still trying"),
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }
}
