//! The log directories as clients see them.

use super::manager::Manager;
use crate::log::{DirDescription, LogDescription};
use crate::model::{Offset, TopicPartition};

/// Says that a lag is not known.
const NO_LAG: Offset = -1;

impl Manager {
    /// Every log directory with the logs in it that `is_wanted` names.
    #[must_use]
    pub fn describe_log_dirs(
        &self,
        is_wanted: &dyn Fn(&TopicPartition) -> bool,
    ) -> Vec<DirDescription> {
        self.logs().describe(is_wanted)
    }

    /// How far the log is behind: a future log behind the current one, any
    /// other behind its high watermark.
    #[must_use]
    pub fn log_end_offset_lag(&self, log: &LogDescription) -> Offset {
        let Ok(partition) = self.partition(&log.partition) else {
            return NO_LAG;
        };
        if partition.is_offline() {
            return NO_LAG;
        }
        match log.is_future {
            true => partition.extent().1 - log.log_end_offset,
            false => (partition.high_watermark() - log.log_end_offset).max(0),
        }
    }
}
