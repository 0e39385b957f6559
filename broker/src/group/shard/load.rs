//! Reading a partition of the internal topic back into memory.

use super::Shard;
use crate::group::records::batch::{self, Entry};
use crate::state_log;

impl Shard {
    /// Replays the partition from its start to its end and wakes the groups.
    pub(super) async fn load(&mut self) -> Result<(), state_log::Error> {
        let mut offset = self.log.log_start_offset(self.partition)?;
        loop {
            let size = self.config.load_buffer_size;
            let chunk = match self.log.read(self.partition, offset, size).await {
                // Nothing tells where the next batch begins. As in Kafka, what was
                // read is served: the alternative is to serve nobody for ever.
                Err(error @ state_log::Error::Damaged) => {
                    let partition = self.partition;
                    tracing::error!(partition, offset, %error, "the rest of a group partition is not loaded");
                    break;
                }
                chunk => chunk?,
            };
            let mut entries = Vec::new();
            let Some(next) = batch::decode(&chunk.batches, offset, &mut entries) else {
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
