//! A control channel that records, answers, and can be told to fail.

use std::collections::BTreeSet;

use broker::model::BrokerId;
use broker::peer::{ControlChannel, Error};
use broker::protocol::interbroker::{ControlRequest, ControlResponse, LiveBroker};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::LIMIT;

#[derive(Debug, Default, Clone)]
pub(crate) struct Log {
    pub(crate) requests: Vec<(BrokerId, ControlRequest)>,
    unreachable: BTreeSet<BrokerId>,
}

pub(crate) struct RecordingChannel {
    log: watch::Sender<Log>,
}

impl RecordingChannel {
    pub(crate) fn new() -> Self {
        Self {
            log: watch::channel(Log::default()).0,
        }
    }

    pub(crate) fn make_unreachable(&self, broker: BrokerId) {
        self.log.send_modify(|log| {
            log.unreachable.insert(broker);
        });
    }

    pub(crate) fn make_reachable(&self, broker: BrokerId) {
        self.log.send_modify(|log| {
            log.unreachable.remove(&broker);
        });
    }

    pub(crate) fn clear(&self) {
        self.log.send_modify(|log| log.requests.clear());
    }

    /// Waits until what was recorded satisfies `condition`; returns it.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        condition: impl Fn(&[(BrokerId, ControlRequest)]) -> bool,
    ) -> Vec<(BrokerId, ControlRequest)> {
        let mut log = self.log.subscribe();
        let waited =
            tokio::time::timeout(LIMIT, log.wait_for(|log| condition(&log.requests))).await;
        match waited {
            Ok(log) => log.unwrap().requests.clone(),
            Err(_) => panic!(
                "never said: {what}; said: {:#?}",
                self.log.borrow().requests
            ),
        }
    }
}

impl ControlChannel for RecordingChannel {
    fn send(
        &self,
        to: &LiveBroker,
        request: ControlRequest,
    ) -> BoxFuture<'static, Result<ControlResponse, Error>> {
        let id = to.id;
        let mut is_reachable = false;
        self.log.send_modify(|log| {
            is_reachable = !log.unreachable.contains(&id);
            if is_reachable {
                log.requests.push((id, request));
            }
        });
        let answer = if is_reachable {
            Ok(ControlResponse::default())
        } else {
            Err(Error::Unreachable(id))
        };
        async move { answer }.boxed()
    }
}
