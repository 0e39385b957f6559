//! Records for readers of message formats 0 and 1 (Fetch 0 to 3).

use std::io;

use bytes::Bytes;
use common::task;
use common::wire::{FileRange, Part};
use kafka_protocol::ResponseError;

use super::wanted::Wanted;
use super::{Fetch, Found};
use crate::model::TopicPartition;
use crate::protocol::fetch_response::{Partition, Response};
use crate::record;
use crate::record::legacy::{Format, down_convert};

/// How records are to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conversion {
    format: Format,
    /// A reader of Fetch 0 to 2 wants no byte more than it asked for, and
    /// takes a message that is cut off as a sign to ask for more.
    may_cut: bool,
}

impl Conversion {
    /// The conversion for a version, unless its readers know batches.
    pub(super) fn of(version: i16) -> Option<Self> {
        let (format, may_cut) = match version {
            ..=1 => (Format::V0, true),
            2 => (Format::V1, true),
            3 => (Format::V1, false),
            _ => return None,
        };
        Some(Self { format, may_cut })
    }

    pub(super) fn may_cut(self) -> bool {
        self.may_cut
    }

    /// Reads and converts where blocking is allowed, then answers.
    pub(super) async fn run(self, fetch: Fetch, mut found: Found) -> Response {
        let convert = move || {
            let results = std::mem::take(&mut found.results);
            let pairs = fetch.wanted.iter().zip(results);
            let results = pairs.map(|(wanted, result)| self.partition(&fetch, wanted, result));
            found.results = results.collect();
            fetch.answer(found)
        };
        match task::spawn_blocking("convert records", convert).await {
            Ok(response) => response,
            Err(error) => {
                tracing::error!(%error, "records were not converted");
                super::refused(ResponseError::UnknownServerError)
            }
        }
    }

    fn partition(self, fetch: &Fetch, wanted: &Wanted, mut result: Partition) -> Partition {
        let Some(records) = result.records.take() else {
            return result;
        };
        match self.records(fetch, wanted, records) {
            Ok(set) => {
                result.records = Some(Part::Memory(set));
                result
            }
            Err(error) => Partition::error(wanted.index, error.code()),
        }
    }

    fn records(
        self,
        fetch: &Fetch,
        wanted: &Wanted,
        records: Part,
    ) -> Result<Bytes, ResponseError> {
        let name = wanted.name.clone().ok_or_else(|| wanted.unknown())?;
        let id = TopicPartition::new(name, wanted.index);
        let partition = fetch.source.known.leader(&id);
        let partition = partition.map_err(|failed| fetch.code(&failed))?;
        let limit = partition.config().decompressed_bytes_max();
        let batches = bytes_of(records).map_err(|error| {
            tracing::warn!(partition = %id, %error, "records to convert cannot be read");
            ResponseError::NotLeaderOrFollower
        })?;
        let asked = usize::try_from(wanted.bytes_max).unwrap_or(0);
        let exceeds = batches.len() > asked;
        let converted = down_convert(batches, self.format, wanted.offset, limit);
        let converted = converted.map_err(|error| match error {
            record::Error::NotInFormat { .. } => ResponseError::UnsupportedCompressionType,
            error => {
                tracing::warn!(partition = %id, %error, "records cannot be converted");
                ResponseError::CorruptMessage
            }
        })?;
        let mut set = converted.set;
        if self.may_cut {
            // A batch that fitted before it grew is given whole, as in Kafka.
            let least = if exceeds { 0 } else { converted.first_length };
            set.truncate(asked.max(least));
        }
        Ok(Bytes::from(set))
    }
}

fn bytes_of(part: Part) -> io::Result<Bytes> {
    match part {
        Part::Memory(bytes) => Ok(bytes),
        Part::File(range) => read(&range),
    }
}

fn read(range: &FileRange) -> io::Result<Bytes> {
    let mut buffer = vec![0; range.length];
    let mut filled = 0;
    while filled < buffer.len() {
        let position = range.position + filled as u64;
        match range.source.read_at(position, &mut buffer[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Bytes::from(buffer))
}
