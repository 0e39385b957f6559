//! A broker tells the controller that it lost a log directory.

use bytes::Bytes;

use super::znode::{encode_log_dir_event, path};
use super::{Error, Registry};
use crate::model::BrokerId;
use crate::zk::CreateMode;

impl Registry {
    /// Leaves a note; the controller asks this broker which replicas are gone.
    pub async fn note_log_dir_failure(&self, broker: BrokerId) -> Result<(), Error> {
        let note = format!("{}/{}", path::LOG_DIR_EVENTS, path::LOG_DIR_EVENT_PREFIX);
        let data = Bytes::from(encode_log_dir_event(broker));
        // A note that is left twice is read twice and does no harm.
        self.client
            .retry(|| {
                let mode = CreateMode::PersistentSequential;
                self.client.create(&note, Some(data.clone()), mode)
            })
            .await?;
        Ok(())
    }
}
