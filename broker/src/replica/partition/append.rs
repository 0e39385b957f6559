//! Appends to a leader, and what waits for their commitment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Partition, Role};
use crate::log::{self, AppendOrigin, Verification, VerificationGuard};
use crate::metrics::Traffic;
use crate::model::{LeaderEpoch, Offset};
use crate::record::EndTxnMarker;
use crate::replica::error::{AppendError, Error};
use crate::replica::isolation::Acks;
use crate::replica::wait::{Registration, Waiter};

/// What the leader answers for an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// -1 unless the topic is stamped by the broker.
    pub log_append_time_ms: i64,
    pub log_start_offset: Offset,
}

impl Appended {
    /// The number of records.
    fn count(&self) -> u64 {
        match self.first_offset < 0 || self.last_offset < 0 {
            true => 0,
            false => u64::try_from(self.last_offset - self.first_offset + 1).unwrap_or(0),
        }
    }
}

/// What a transaction coordinator writes to end a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnMarker {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Leader epoch of the coordinator's partition of `__transaction_state`.
    pub coordinator_epoch: i32,
    /// Else it is aborted.
    pub commit: bool,
}

impl Partition {
    /// Appends a client's batch. With `Acks::All`, the second value is there
    /// while the in-sync replicas do not have it.
    pub fn append(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        self.append_verified(records, acks, Verification::NotRequired)
    }

    /// The same for a batch that may begin a transaction (KIP-890).
    pub fn append_verified(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
        verification: Verification,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        self.append_from(records, acks, AppendOrigin::Client, verification)
    }

    /// A guard for the first batch of the producer's transaction in this
    /// partition; `None` while the transaction is open.
    pub fn begin_verification(
        &self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
    ) -> Result<Option<VerificationGuard>, Error> {
        let state = self.state.lock();
        let Role::Leader(_) = &state.role else {
            return Err(Error::NotLeader);
        };
        let now_ms = self.around.clock.wall_ms();
        let mut log = self.log.write();
        Ok(log.begin_verification(producer_id, epoch, sequence, now_ms))
    }

    /// Ends the transaction of a producer in this partition, for all in-sync
    /// replicas. An epoch older than what the partition knows, of the producer
    /// or of the transaction coordinator, is refused.
    pub fn append_marker(
        self: &Arc<Self>,
        marker: &TxnMarker,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        let TxnMarker {
            producer_id,
            producer_epoch,
            coordinator_epoch,
            commit,
        } = *marker;
        let marker = EndTxnMarker {
            commit,
            coordinator_epoch,
            timestamp: self.around.clock.wall_ms(),
        };
        let batch = marker.batch(producer_id, producer_epoch);
        let batch = batch.map_err(log::AppendError::from)?;
        self.append_coordinated(batch, Verification::NotRequired)
    }

    /// Appends a batch of one of this broker's coordinators.
    pub(crate) fn append_coordinated(
        self: &Arc<Self>,
        records: Bytes,
        verification: Verification,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        self.append_from(records, Acks::All, AppendOrigin::Coordinator, verification)
    }

    fn append_from(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
        origin: AppendOrigin,
        verification: Verification,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        let bytes = records.len() as u64;
        self.count(Traffic::ProduceRequests, 1);
        let outcome = self.append_now(records, acks, origin, verification);
        match &outcome {
            Ok((appended, _)) => {
                self.count(Traffic::BytesIn, bytes);
                self.count(Traffic::MessagesIn, appended.count());
            }
            Err(error) => self.count_refused(error, bytes),
        }
        outcome
    }

    fn append_now(
        self: &Arc<Self>,
        records: Bytes,
        acks: Acks,
        origin: AppendOrigin,
        verification: Verification,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        let mut state = self.state.lock();
        let Role::Leader(leader) = &state.role else {
            return Err(AppendError::NotLeader);
        };
        let epoch = leader.epoch;
        let info = {
            let mut log = self.log.write();
            let needed = leader.in_sync_needed(log.config().min_insync_replicas);
            if acks == Acks::All && leader.isr.len() < needed {
                return Err(AppendError::NotEnoughReplicas);
            }
            let now_ms = self.around.clock.wall_ms();
            let info = log.append_verified(records, epoch, origin, verification, now_ms)?;
            self.advance(&mut state, &log);
            info
        };
        let is_committed = state.high_watermark > info.last_offset;
        drop(state);
        self.waiters.wake();
        let pending = (acks == Acks::All && !is_committed).then(|| Pending {
            partition: self.clone(),
            last_offset: info.last_offset,
            epoch,
        });
        let appended = Appended {
            first_offset: info.first_offset,
            last_offset: info.last_offset,
            log_append_time_ms: info.log_append_time,
            log_start_offset: info.log_start_offset,
        };
        Ok((appended, pending))
    }
}

/// An append that waits for its in-sync replicas.
pub struct Pending {
    partition: Arc<Partition>,
    last_offset: Offset,
    epoch: LeaderEpoch,
}

impl Pending {
    #[must_use]
    pub fn register(&self, waiter: &Waiter) -> Registration {
        self.partition.register(waiter)
    }

    /// Resolves when the append is committed or cannot be, or after `limit`.
    pub async fn committed(self, limit: Duration) -> Result<(), AppendError> {
        let waiter = Waiter::default();
        let _registration = self.register(&waiter);
        let decided = async {
            loop {
                if let Some(outcome) = self.outcome() {
                    return outcome;
                }
                waiter.progress().await;
            }
        };
        tokio::time::timeout(limit, decided)
            .await
            .unwrap_or(Err(AppendError::TimedOut))
    }

    /// What became of the append; `None` while it is open.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), AppendError>> {
        let state = self.partition.state.lock();
        let Role::Leader(leader) = &state.role else {
            return Some(Err(AppendError::NotLeader));
        };
        // Whoever led in between may have cut it.
        if leader.since > self.epoch {
            return Some(Err(AppendError::NotLeader));
        }
        if state.high_watermark <= self.last_offset {
            return None;
        }
        let in_sync_min = self.partition.log.read().config().min_insync_replicas;
        let is_enough = leader.maximal_isr().len() >= leader.in_sync_needed(in_sync_min);
        Some(match is_enough {
            false => Err(AppendError::NotEnoughReplicasAfterAppend),
            true => Ok(()),
        })
    }
}
