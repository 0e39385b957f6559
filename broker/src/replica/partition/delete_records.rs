//! Letting go of records on a client's word (KIP-107).

use super::{Partition, Role};
use crate::log;
use crate::model::Offset;
use crate::replica::Error;

/// Why records were not deleted; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    #[error(transparent)]
    Replica(#[from] Error),
    #[error("Records of the partition can not be deleted due to the configured policy")]
    Policy,
    #[error("The offset {0} for the partition is not valid")]
    OutOfRange(Offset),
}

impl From<log::Error> for DeleteRecordsError {
    fn from(error: log::Error) -> Self {
        Self::Replica(error.into())
    }
}

impl Partition {
    /// Moves the start of the leader's log to `before`, or to the high
    /// watermark. Returns where it was to move.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<Offset, DeleteRecordsError> {
        let state = self.state.lock();
        let Role::Leader(_) = &state.role else {
            return Err(Error::NotLeader.into());
        };
        let high_watermark = state.high_watermark;
        let mut log = self.log.write();
        if !log.config().delete {
            return Err(DeleteRecordsError::Policy);
        }
        let before = before.unwrap_or(high_watermark);
        if !(0..=high_watermark).contains(&before) {
            return Err(DeleteRecordsError::OutOfRange(before));
        }
        log.maybe_increment_log_start_offset(before)?;
        drop((log, state));
        self.waiters.wake();
        Ok(before)
    }

    /// The smallest log start offset of the live replicas, as far as the leader
    /// knows: what lies before it is gone everywhere. -1 while one of them has
    /// not been heard of.
    pub fn low_watermark(&self) -> Result<Offset, Error> {
        match &self.state.lock().role {
            Role::Leader(leader) => {
                let own = self.log.read().log_start_offset();
                Ok(leader.low_watermark(own, &|id| self.is_alive(id)))
            }
            Role::Follower(_) | Role::Stopped { .. } | Role::None => Err(Error::NotLeader),
        }
    }
}
