//! `/brokers/ids/<id>`: this broker is alive.

use std::time::Duration;

use bytes::Bytes;

use super::znode::{BrokerRegistration, path};
use super::{Error, Registry};
use crate::model::{BrokerEpoch, BrokerId};
use crate::zk::{self, CommitError, CreateMode, ErrorCode, OpResult, Transaction};

/// Why a broker could not register.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error(
        "Error while creating ephemeral at {path}, node already exists and owner \
         '0x{owner:x}' does not match current session '0x{own:x}': another broker with \
         id {id} is running, or the session of a killed one has not expired yet"
    )]
    Occupied {
        path: String,
        id: BrokerId,
        owner: i64,
        own: i64,
    },
    #[error(transparent)]
    Registry(#[from] Error),
}

impl From<zk::Error> for RegisterError {
    fn from(error: zk::Error) -> Self {
        Self::Registry(error.into())
    }
}

impl Registry {
    /// Registers this broker and returns its epoch.
    ///
    /// A registration of another session is waited for up to `wait_max`: after
    /// a kill -9 it vanishes with that session. A node left by an earlier run
    /// in this very session (after a re-attach), or by `previous_session` (an
    /// expired one of this process), is replaced. The data tells runs apart, so
    /// `broker.timestamp_ms` must be the time of this start.
    pub async fn register_broker(
        &self,
        broker: &BrokerRegistration,
        previous_session: Option<i64>,
        wait_max: Duration,
    ) -> Result<BrokerEpoch, RegisterError> {
        let deadline = self.clock.monotonic() + wait_max;
        let path = path::broker(broker.id);
        let data = Bytes::from(broker.encode_for(self.version));
        loop {
            let transaction = Transaction::new()
                .create(&path, None, CreateMode::Ephemeral)
                .set_data(&path, data.clone(), 0);
            let epoch = match self.client.commit(transaction).await {
                Ok(results) => match results.last() {
                    Some(OpResult::Set(stat)) => Some(stat.czxid),
                    _ => return Err(zk::Error::UnexpectedReply.into()),
                },
                Err(CommitError {
                    error: zk::Error::ConnectionLoss,
                    ..
                }) => {
                    self.client.retry(|| async { Ok(()) }).await?;
                    None
                }
                Err(CommitError { error, .. }) if error.is(ErrorCode::NodeExists) => {
                    let left = deadline.saturating_sub(self.clock.monotonic());
                    self.on_occupied(broker.id, &data, previous_session, left)
                        .await?
                }
                Err(CommitError { error, .. }) => return Err(error.into()),
            };
            if let Some(epoch) = epoch {
                let endpoints: Vec<String> = broker
                    .endpoints
                    .iter()
                    .map(|e| format!("{}://{}:{}", e.listener, e.host, e.port))
                    .collect();
                tracing::info!(id = broker.id, epoch, ?endpoints, "registered the broker");
                return Ok(epoch);
            }
        }
    }

    /// The epoch if the node is ours; `None` when it is worth trying again.
    async fn on_occupied(
        &self,
        id: BrokerId,
        data: &Bytes,
        previous_session: Option<i64>,
        left: Duration,
    ) -> Result<Option<BrokerEpoch>, RegisterError> {
        let path = path::broker(id);
        let watcher = self.client.watcher();
        let exists = || self.client.exists(&path, Some(&watcher));
        let Some(stat) = self.client.retry(exists).await? else {
            return Ok(None);
        };
        let owner = stat.ephemeral_owner;
        let own = self.client.session().map_or(0, |session| session.id);
        if owner == own
            && self
                .read(&path)
                .await?
                .is_some_and(|(found, _)| found == *data)
        {
            // The reply to an earlier attempt was lost.
            return Ok(Some(stat.czxid));
        }
        if owner == own || previous_session == Some(owner) {
            // A new epoch is what tells the controller that this broker
            // started again, so a node from before is not kept.
            tracing::info!(id, "replacing the registration of an earlier run");
            let delete = || self.client.delete(&path, zk::ANY_VERSION);
            zk::optional(self.client.retry(delete).await)?;
            return Ok(None);
        }
        if left.is_zero() {
            return Err(RegisterError::Occupied {
                path,
                id,
                owner,
                own,
            });
        }
        tracing::warn!(
            id,
            owner = format_args!("0x{owner:x}"),
            wait_max_ms = left.as_millis(),
            "the broker id is still registered by another session; waiting for it to end"
        );
        // Whether it ends or the time does, the next attempt tells.
        let _ = tokio::time::timeout(left, watcher.next()).await;
        Ok(None)
    }

    /// Waits up to `wait_max` until no session has `id` registered.
    pub async fn until_unregistered(
        &self,
        id: BrokerId,
        wait_max: Duration,
    ) -> Result<(), RegisterError> {
        let deadline = self.clock.monotonic() + wait_max;
        let path = path::broker(id);
        loop {
            let watcher = self.client.watcher();
            let exists = || self.client.exists(&path, Some(&watcher));
            let Some(stat) = self.client.retry(exists).await? else {
                return Ok(());
            };
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Err(RegisterError::Occupied {
                    path,
                    id,
                    owner: stat.ephemeral_owner,
                    own: self.client.session().map_or(0, |session| session.id),
                });
            }
            let _ = tokio::time::timeout(left, watcher.next()).await;
        }
    }

    /// Takes this broker's registration away before an orderly stop.
    pub async fn deregister(&self, id: BrokerId) -> Result<(), Error> {
        let path = path::broker(id);
        let exists = self
            .client
            .retry(|| self.client.exists(&path, None))
            .await?;
        let own = self.client.session().map(|session| session.id);
        if exists.map(|stat| stat.ephemeral_owner) != own {
            return Ok(());
        }
        let delete = || self.client.delete(&path, zk::ANY_VERSION);
        zk::optional(self.client.retry(delete).await)?;
        Ok(())
    }
}
