//! `/consumers/<group>/offsets`: how far groups have come, as OffsetCommit and
//! OffsetFetch 0 and the consumers of Kafka 0.8 keep it.

use bytes::Bytes;

use super::znode::{self, path};
use super::{Error, Registry, at};
use crate::model::{Offset, TopicPartition};
use crate::zk::{self, CreateMode, ErrorCode};

impl Registry {
    /// The offset that `group` left for a partition.
    pub async fn consumer_offset(
        &self,
        group: &str,
        partition: &TopicPartition,
    ) -> Result<Option<Offset>, Error> {
        let path = path::consumer_offset(group, partition);
        match self.read(&path).await? {
            None => Ok(None),
            Some((data, _)) => Ok(Some(at(&path, znode::decode_consumer_offset(&data))?)),
        }
    }

    /// Leaves an offset for a partition, whatever was there.
    pub async fn set_consumer_offset(
        &self,
        group: &str,
        partition: &TopicPartition,
        offset: Offset,
    ) -> Result<(), Error> {
        let path = path::consumer_offset(group, partition);
        let data = Bytes::from(offset.to_string());
        loop {
            let set = || self.client.set_data(&path, data.clone(), zk::ANY_VERSION);
            if zk::optional(self.client.retry(set).await)?.is_some() {
                return Ok(());
            }
            if let Some(parent) = common::zk::path::parent(&path) {
                self.client.create_recursive(parent).await?;
            }
            let mode = CreateMode::Persistent;
            let create = || self.client.create(&path, Some(data.clone()), mode);
            match self.client.retry(create).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is(ErrorCode::NodeExists) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
