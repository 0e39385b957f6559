//! Blocks of producer ids, each handed to one broker.

use bytes::Bytes;

use super::znode::{ProducerIdBlock, path};
use super::{Error, Registry, at};
use crate::model::BrokerId;
use crate::zk::{self, ErrorCode};

impl Registry {
    /// Reserves the next block for `broker`. A block whose confirmation was
    /// lost is skipped, never handed out twice.
    pub async fn next_producer_id_block(&self, broker: BrokerId) -> Result<ProducerIdBlock, Error> {
        let path = path::PRODUCER_ID_BLOCK;
        loop {
            let Some((data, stat)) = self.read(path).await? else {
                self.client.create_recursive(path).await?;
                continue;
            };
            let last = match data.is_empty() {
                true => None,
                false => Some(at(path, ProducerIdBlock::decode(&data))?),
            };
            let block = ProducerIdBlock::after(last.as_ref(), broker)
                .ok_or(Error::ProducerIdsExhausted)?;
            match self.client.set_data(path, Bytes::from(block.encode()), stat.version).await {
                Ok(_) => return Ok(block),
                Err(zk::Error::ConnectionLoss) => {}
                Err(error) if error.is(ErrorCode::BadVersion) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
