//! Leaders that change their ISR themselves, as before AlterPartition.

use bytes::Bytes;

use super::znode::{PartitionLeadership, encode_isr_change, path};
use super::{Error, Registry};
use crate::model::TopicPartition;
use crate::zk::{self, CreateMode, ErrorCode};

impl Registry {
    /// Writes a partition's state if nobody wrote it since `state` was read;
    /// gives the new version of its node, `None` when somebody did.
    pub async fn write_isr(
        &self,
        partition: &TopicPartition,
        wanted: &PartitionLeadership,
    ) -> Result<Option<i32>, Error> {
        let path = path::partition_state(partition);
        let data = Bytes::from(wanted.encode());
        let version = wanted.state.partition_epoch;
        match self.client.set_data(&path, data, version).await {
            Ok(stat) => Ok(Some(stat.version)),
            Err(error) if error.is(ErrorCode::BadVersion) => self.is_ours(partition, wanted).await,
            Err(error) if error.is(ErrorCode::NoNode) => Ok(None),
            Err(zk::Error::ConnectionLoss) => {
                // The write may have happened.
                self.client.retry(|| async { Ok(()) }).await?;
                let retry = self
                    .client
                    .set_data(&path, Bytes::from(wanted.encode()), version);
                match retry.await {
                    Ok(stat) => Ok(Some(stat.version)),
                    Err(error) if error.is(ErrorCode::BadVersion) => {
                        self.is_ours(partition, wanted).await
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn is_ours(
        &self,
        partition: &TopicPartition,
        wanted: &PartitionLeadership,
    ) -> Result<Option<i32>, Error> {
        let found = self
            .partition_states(std::slice::from_ref(partition))
            .await?;
        let Some(Some(found)) = found.into_iter().next() else {
            return Ok(None);
        };
        let is_same = found.state.leader == wanted.state.leader
            && found.state.leader_epoch == wanted.state.leader_epoch
            && found.state.isr == wanted.state.isr;
        Ok(is_same.then_some(found.state.partition_epoch))
    }

    /// Tells the controller whose ISR changed.
    pub async fn note_isr_changes(&self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let path = format!("{}/{}", path::ISR_CHANGES, path::ISR_CHANGE_PREFIX);
        let data = Some(Bytes::from(encode_isr_change(partitions)));
        let mode = CreateMode::PersistentSequential;
        let create = || self.client.create(&path, data.clone(), mode);
        // Twice told is no harm.
        self.client.retry(create).await?;
        Ok(())
    }
}
