//! Who is the controller: `/controller` and `/controller_epoch`.

use bytes::Bytes;

use super::znode::{
    ControllerRegistration, decode_controller_epoch, encode_controller_epoch, path,
};
use super::{Error, Fence, FencedWrite, Registry, at};
use crate::model::{BrokerId, ControllerEpoch};
use crate::zk::{CommitError, CreateMode, ErrorCode, Error as ZkError, OpResult, Transaction, Watcher};

/// The outcome of one attempt to become the controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Election {
    Won(Fence),
    /// Another broker was faster.
    Lost,
}

impl Registry {
    /// The controller; `watcher` hears when the node comes, changes or goes.
    pub async fn controller(
        &self,
        watcher: Option<&Watcher>,
    ) -> Result<Option<ControllerRegistration>, Error> {
        if watcher.is_some() {
            self.client.retry(|| self.client.exists(path::CONTROLLER, watcher)).await?;
        }
        match self.read(path::CONTROLLER).await? {
            None => Ok(None),
            Some((data, _)) => at(path::CONTROLLER, ControllerRegistration::decode(&data)).map(Some),
        }
    }

    /// The last controller's epoch with the version of its node.
    pub async fn controller_epoch(&self) -> Result<Option<(ControllerEpoch, i32)>, Error> {
        match self.read(path::CONTROLLER_EPOCH).await? {
            None => Ok(None),
            Some((data, stat)) => {
                let epoch = at(path::CONTROLLER_EPOCH, decode_controller_epoch(&data))?;
                Ok(Some((epoch, stat.version)))
            }
        }
    }

    /// One attempt: creates `/controller` and raises the epoch, both or none.
    pub async fn elect(&self, id: BrokerId) -> Result<Election, Error> {
        let (epoch, version) = self.controller_epoch_or_create().await?;
        let won = epoch + 1;
        let node = ControllerRegistration {
            broker: id,
            timestamp_ms: self.clock.wall_ms(),
            kraft_controller_epoch: None,
        };
        let node = Bytes::from(node.encode());
        let raised = Bytes::from(encode_controller_epoch(won));
        loop {
            let transaction = Transaction::new()
                .create(path::CONTROLLER, Some(node.clone()), CreateMode::Ephemeral)
                .set_data(path::CONTROLLER_EPOCH, raised.clone(), version);
            match self.client.commit(transaction).await {
                Ok(results) => {
                    return match results.last() {
                        Some(OpResult::Set(stat)) => {
                            Ok(Election::Won(Fence { epoch: won, version: stat.version }))
                        }
                        _ => Err(ZkError::UnexpectedReply.into()),
                    };
                }
                Err(CommitError { error: ZkError::ConnectionLoss, .. }) => {
                    self.client.retry(|| async { Ok(()) }).await?;
                }
                Err(CommitError { error, .. })
                    if error.is(ErrorCode::NodeExists) || error.is(ErrorCode::BadVersion) =>
                {
                    return self.was_it_us(id, won).await;
                }
                Err(CommitError { error, .. }) => return Err(error.into()),
            }
        }
    }

    /// After a lost reply the node may be ours: the epoch tells, since any
    /// later election would have raised it further.
    async fn was_it_us(&self, id: BrokerId, epoch: ControllerEpoch) -> Result<Election, Error> {
        let controller = self.controller(None).await?;
        if controller.is_none_or(|controller| controller.broker != id) {
            return Ok(Election::Lost);
        }
        Ok(match self.controller_epoch().await? {
            Some((current, version)) if current == epoch => {
                Election::Won(Fence { epoch, version })
            }
            _ => Election::Lost,
        })
    }

    async fn controller_epoch_or_create(&self) -> Result<(ControllerEpoch, i32), Error> {
        loop {
            if let Some(found) = self.controller_epoch().await? {
                return Ok(found);
            }
            let zero = Some(Bytes::from(encode_controller_epoch(0)));
            let mode = CreateMode::Persistent;
            let create = || self.client.create(path::CONTROLLER_EPOCH, zero.clone(), mode);
            match self.client.retry(create).await {
                Ok(_) => {}
                Err(error) if error.is(ErrorCode::NodeExists) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Gives the role up, unless another broker has it already.
    pub async fn resign(&self, fence: Fence) -> Result<(), Error> {
        let delete = FencedWrite::Delete { path: path::CONTROLLER.to_owned() };
        match self.write_fenced(fence, &delete).await {
            Ok(_) | Err(Error::ControllerMoved) => Ok(()),
            Err(Error::Zk(error)) if error.is(ErrorCode::NoNode) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
