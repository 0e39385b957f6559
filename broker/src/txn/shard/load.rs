//! Reading a partition of the internal topic back into memory.

use super::Shard;
use crate::state_log;
use crate::txn::records::batch;
use crate::txn::state::Transaction;

impl Shard {
    /// Reads the partition from its start to its end, and goes on with what was
    /// decided.
    pub(super) async fn load(&mut self) -> Result<(), state_log::Error> {
        let log = self.parts.log.clone();
        let mut offset = log.log_start_offset(self.partition)?;
        loop {
            let size = self.parts.config.load_buffer_size;
            let chunk = match log.read(self.partition, offset, size).await {
                // Nothing tells where the next batch begins. As in Kafka, what was
                // read is served: the alternative is to serve nobody for ever.
                Err(error @ state_log::Error::Damaged) => {
                    let partition = self.partition;
                    tracing::error!(partition, offset, %error, "the rest of a transaction partition is not loaded");
                    break;
                }
                chunk => chunk?,
            };
            let mut records = Vec::new();
            let Some(next) = batch::decode(&chunk.batches, offset, &mut records) else {
                break;
            };
            for record in records {
                match record.metadata {
                    Some(metadata) => {
                        let loaded = Transaction::loaded(metadata);
                        self.transactions.insert(record.transactional_id, loaded);
                    }
                    None => {
                        self.transactions.remove(&record.transactional_id);
                    }
                }
            }
            offset = next;
        }
        tracing::debug!(
            partition = self.partition,
            epoch = self.coordinator_epoch,
            ids = self.transactions.len(),
            end = offset,
            "a transaction partition is loaded"
        );
        Ok(())
    }

    /// Carries out what was decided before this broker coordinated.
    pub(super) fn resume(&mut self) {
        let decided: Vec<String> = self
            .transactions
            .iter()
            .filter(|(_, known)| known.metadata().is_prepared())
            .map(|(id, _)| id.clone())
            .collect();
        for id in decided {
            tracing::info!(transactional_id = id, "a decided transaction goes on");
            self.carry_out(&id);
        }
    }
}
