//! Reading a partition of the internal topic back into memory.

use super::Shard;
use crate::group::records;
use crate::group::records::batch::{self, Entry};
use crate::state_log;

/// Why a partition could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] state_log::Error),
    #[error(transparent)]
    Records(#[from] records::Error),
}

impl Shard {
    /// Replays the partition from its start to its end and wakes the groups.
    pub(super) async fn load(&mut self) -> Result<(), Error> {
        let mut offset = self.log.log_start_offset(self.partition)?;
        loop {
            let size = self.config.load_buffer_size;
            let chunk = self.log.read(self.partition, offset, size).await?;
            let mut entries = Vec::new();
            let Some(next) = batch::decode(&chunk.batches, offset, &mut entries)? else {
                break;
            };
            for entry in entries {
                self.replay_entry(entry);
            }
            offset = next;
        }
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for group_id in &ids {
            self.step(group_id, |group, step| group.on_loaded(step));
        }
        tracing::debug!(
            partition = self.partition,
            groups = self.groups.len(),
            end = offset,
            "a group partition is loaded"
        );
        Ok(())
    }

    fn replay_entry(&mut self, entry: Entry) {
        match entry {
            Entry::Record { offset, record } => self.replay(record, offset),
            Entry::Transactional {
                offset,
                producer_id,
                record,
            } => self.replay_inside(producer_id, record, offset),
            Entry::Marker {
                producer_id,
                committed,
            } => self.end_transaction(producer_id, committed),
        }
    }
}
