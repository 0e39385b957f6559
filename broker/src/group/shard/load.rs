//! Reading a partition of the internal topic back into memory.

use std::collections::{HashMap, HashSet};

use super::Shard;
use crate::group::records::batch::{self, Entry};
use crate::group::records::{self, Record};
use crate::state_log;

/// Why a partition could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Log(#[from] state_log::Error),
    #[error(transparent)]
    Records(#[from] records::Error),
}

/// Groups with offsets inside open transactions, by producer id.
type OpenTransactions = HashMap<i64, HashSet<String>>;

impl Shard {
    /// Replays the partition from its start to its end and wakes the groups.
    pub(super) async fn load(&mut self) -> Result<(), Error> {
        let mut offset = self.log.log_start_offset(self.partition)?;
        let mut open = OpenTransactions::new();
        loop {
            let size = self.config.load_buffer_size;
            let chunk = self.log.read(self.partition, offset, size).await?;
            let mut entries = Vec::new();
            let Some(next) = batch::decode(&chunk.batches, offset, &mut entries)? else {
                break;
            };
            for entry in entries {
                self.replay_entry(entry, &mut open);
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

    fn replay_entry(&mut self, entry: Entry, open: &mut OpenTransactions) {
        match entry {
            Entry::Record { offset, record } => self.replay(record, offset),
            Entry::Transactional {
                offset,
                producer_id,
                record,
            } => match record {
                Record::Offset {
                    group_id,
                    partition,
                    commit,
                } => {
                    let group = self.group_of_record(&group_id);
                    group
                        .offsets
                        .replay_transactional(producer_id, partition, commit, offset);
                    open.entry(producer_id).or_default().insert(group_id);
                }
                metadata @ Record::Group { .. } => self.replay(metadata, offset),
            },
            Entry::Marker {
                producer_id,
                committed,
            } => {
                for group_id in open.remove(&producer_id).unwrap_or_default() {
                    let group = self.group_of_record(&group_id);
                    group.offsets.replay_marker(producer_id, committed);
                }
            }
        }
    }
}
