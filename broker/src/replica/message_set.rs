//! Appends of old producers: message sets become batches before the partition
//! is locked.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{AppendError, Error};
use super::isolation::Acks;
use super::partition::{Appended, Partition, Pending};
use crate::log;
use crate::metrics::Traffic;
use crate::record::NO_TIMESTAMP;
use crate::record::legacy::{UpConverted, up_convert};

/// Offset of records of which there are none.
const NO_OFFSET: i64 = -1;

impl Partition {
    /// Appends a set of message format 0 or 1 as one batch. A set without a
    /// whole message is taken as it is: as nothing.
    pub fn append_message_set(
        self: &Arc<Self>,
        set: Bytes,
        acks: Acks,
    ) -> Result<(Appended, Option<Pending>), AppendError> {
        let bytes = set.len() as u64;
        let refuse = |error: AppendError| {
            self.count(Traffic::ProduceRequests, 1);
            self.count_refused(&error, bytes);
            error
        };
        if self.leads_in().is_none() {
            return Err(refuse(Error::NotLeader.into()));
        }
        let config = self.config();
        let converted = up_convert(set, config.decompressed_bytes_max());
        match converted.map_err(|error| refuse(log::AppendError::from(error).into()))? {
            UpConverted::Nothing => {
                self.count(Traffic::ProduceRequests, 1);
                let (log_start_offset, ..) = self.extent();
                let nothing = Appended {
                    first_offset: NO_OFFSET,
                    last_offset: NO_OFFSET,
                    log_append_time_ms: NO_TIMESTAMP,
                    log_start_offset,
                };
                Ok((nothing, None))
            }
            UpConverted::Batch { batch, largest } => {
                let size_max = config.max_message_bytes;
                if i64::try_from(largest).unwrap_or(i64::MAX) > i64::from(size_max) {
                    let size = largest;
                    let error = log::AppendError::TooLarge { size, size_max };
                    return Err(refuse(error.into()));
                }
                self.append(batch, acks)
            }
        }
    }
}
