//! One ordered queue and task per live broker.
//!
//! A queue is not bounded by a number: it holds what the broker has to learn,
//! and it is dropped with the broker's registration, at the latest one session
//! timeout after the broker stopped answering.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::shutdown::Shutdown;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::handle::Event;
use crate::model::{BrokerId, ControllerEpoch};
use crate::peer::{ControlChannel, Error};
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
    /// The last attempt to send found the broker cut off.
    is_cut_off: AtomicBool,
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

    /// The brokers that do not hear what they are told, as far as was tried.
    pub(super) fn unreached(&self) -> BTreeSet<BrokerId> {
        let is_cut_off = |queue: &Queue| queue.is_cut_off.load(Ordering::Relaxed);
        let queues = self.queues.iter();
        queues
            .filter_map(|(id, (queue, _))| is_cut_off(queue).then_some(*id))
            .collect()
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

/// Whether the network is what fails. A refused connection comes from a machine
/// that can be reached: Kafka's brokers register before they listen, and of one
/// that died its session will tell.
fn is_cut_off(error: &Error) -> bool {
    let refused = std::io::ErrorKind::ConnectionRefused;
    !matches!(error, Error::Connect { source, .. } if source.kind() == refused)
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
            let sent = self.channel.send(&self.broker, request.clone()).await;
            let is_cut_off = sent.as_ref().is_err_and(is_cut_off);
            self.queue.is_cut_off.store(is_cut_off, Ordering::Relaxed);
            match sent {
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// Topics that were created while a broker of Kafka's started were led by the
    /// others alone.
    #[test]
    fn a_broker_that_does_not_listen_yet_is_not_cut_off() {
        let connect = |kind: ErrorKind| Error::Connect {
            broker: 1,
            host: "there".to_owned(),
            port: 9092,
            source: kind.into(),
        };
        assert!(!is_cut_off(&connect(ErrorKind::ConnectionRefused)));
        assert!(is_cut_off(&connect(ErrorKind::TimedOut)));
        assert!(is_cut_off(&connect(ErrorKind::HostUnreachable)));
    }
}
