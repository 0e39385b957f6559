//! Batches that come after one for which the disk had no room.
//!
//! A producer has up to five batches under way. When the first finds no room,
//! the others are out of sequence, and a producer that hears so begins a new
//! epoch, in which it sends again whatever it is not sure of, also to other
//! partitions: what is there already is then there twice. The others have the
//! same cause as the first, so they get the same answer, and the producer sends
//! all of them again in order. Kafka's directory is offline by then, and
//! answers all of them alike too.

use std::io;

use super::{AppendError, Error, Log};
use crate::record::Header;

/// Batches that a producer may have under way behind the first.
const FOLLOWERS_MAX: u8 = 4;

/// The batch for which there was no room.
#[derive(Debug)]
pub(super) struct Refused {
    producer_id: i64,
    epoch: i16,
    sequence: i32,
    /// How many more may be answered alike: a producer that gave the first up
    /// must hear of the gap in the end.
    left: u8,
}

impl Log {
    /// Notes how a write of the batch ended.
    pub(super) fn note_write(&mut self, batch: &Header, written: &Result<(), AppendError>) {
        self.refused = match written {
            Err(AppendError::Storage(Error::Io { source, .. }))
                if source.kind() == io::ErrorKind::StorageFull && batch.has_producer_id() =>
            {
                Some(Refused {
                    producer_id: batch.producer_id,
                    epoch: batch.producer_epoch,
                    sequence: batch.base_sequence,
                    left: FOLLOWERS_MAX,
                })
            }
            _ => None,
        };
    }

    /// The error for a batch that cannot be appended because of `error`.
    pub(super) fn cause_of(&mut self, batch: &Header, error: AppendError) -> AppendError {
        let (AppendError::OutOfOrderSequence { .. }, Some(refused)) = (&error, &mut self.refused)
        else {
            return error;
        };
        let comes_after = batch.producer_id == refused.producer_id
            && batch.producer_epoch == refused.epoch
            && batch.base_sequence > refused.sequence;
        if !comes_after || refused.left == 0 {
            return error;
        }
        refused.left -= 1;
        Error::Io {
            dir: self.dir.clone(),
            source: io::ErrorKind::StorageFull.into(),
        }
        .into()
    }
}
