//! Builds one batch, record by record.

use bytes::Bytes;

use super::header::{self, HEADER_SIZE, Header, LOG_OVERHEAD, TimestampType};
use super::varint::{write_varint, write_varlong};
use super::{
    Compression, Error, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    Record, RecordHeader, compress, compress_at,
};

/// Collects records for one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    compression: Compression,
    level: Option<i32>,
    timestamps: TimestampType,
    append_time: i64,
    transactional: bool,
    control: bool,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_offset: i64,
    leader_epoch: i32,
    size_max: usize,
    body: Vec<u8>,
    record_count: i32,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    last_offset: Option<i64>,
    delete_horizon_ms: Option<i64>,
}

impl BatchBuilder {
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            level: None,
            timestamps: TimestampType::CreateTime,
            append_time: NO_TIMESTAMP,
            transactional: false,
            control: false,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            base_offset: 0,
            leader_epoch: -1,
            size_max: usize::try_from(i32::MAX).unwrap_or(usize::MAX),
            body: Vec::new(),
            record_count: 0,
            last_offset_delta: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            last_offset: None,
            delete_horizon_ms: None,
        }
    }

    /// Compresses as hard as `level` says, where the codec has levels.
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Makes the batch part of an idempotent producer's sequence.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    #[must_use]
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    /// Gives every record the broker's time instead of its own.
    #[must_use]
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.timestamps = TimestampType::LogAppendTime;
        self.append_time = now_ms;
        self
    }

    /// Where the batch starts; 0 for a batch that a leader still has to place.
    #[must_use]
    pub fn base_offset(mut self, base_offset: i64, leader_epoch: i32) -> Self {
        self.base_offset = base_offset;
        self.leader_epoch = leader_epoch;
        self
    }

    /// The last offset that the batch stands for, also when its last record is
    /// an earlier one: what is left of a batch after compaction.
    #[must_use]
    pub fn last_offset(mut self, last_offset: i64) -> Self {
        self.last_offset = Some(last_offset);
        self
    }

    /// When the batch's tombstones or markers may go (KIP-534); it takes the
    /// place of the base timestamp.
    #[must_use]
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.delete_horizon_ms = Some(horizon_ms);
        self
    }

    /// Bounds the size of the batch before compression.
    #[must_use]
    pub fn size_max(mut self, size_max: usize) -> Self {
        self.size_max = size_max.min(self.size_max);
        self
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Adds a record at the next offset; false, and nothing changed, when the
    /// batch would grow beyond its bound.
    #[must_use]
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> bool {
        let delta = if self.record_count == 0 {
            0
        } else {
            self.last_offset_delta.saturating_add(1)
        };
        self.push_at(delta, timestamp, key, value, headers)
    }

    /// Adds a copy of `record` at its own distance from the base offset.
    #[must_use]
    pub fn push_record(&mut self, record: &Record) -> bool {
        let Ok(delta) = i32::try_from(record.offset - self.base_offset) else {
            return false;
        };
        if delta < 0 || (self.record_count > 0 && delta <= self.last_offset_delta) {
            return false;
        }
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.push_at(delta, record.timestamp, key, value, &record.headers)
    }

    fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> bool {
        let base_timestamp = match self.delete_horizon_ms {
            Some(horizon) => horizon,
            None if self.record_count == 0 => timestamp,
            None => self.base_timestamp,
        };
        let start = self.body.len();
        self.body.push(0); // attributes
        write_varlong(&mut self.body, timestamp.wrapping_sub(base_timestamp));
        write_varint(&mut self.body, offset_delta);
        let mut written = write_bytes(&mut self.body, key) && write_bytes(&mut self.body, value);
        let count = i32::try_from(headers.len());
        written &= count.is_ok();
        write_varint(&mut self.body, count.unwrap_or(0));
        for header in headers {
            written &= write_bytes(&mut self.body, Some(&header.key));
            written &= write_bytes(&mut self.body, header.value.as_deref());
        }
        // The length comes first, and is known last: its few bytes are turned to the front.
        let length = self.body.len() - start;
        write_varint(&mut self.body, i32::try_from(length).unwrap_or(i32::MAX));
        self.body[start..].rotate_left(length);
        if !written || HEADER_SIZE + self.body.len() > self.size_max {
            self.body.truncate(start);
            return false;
        }
        self.base_timestamp = base_timestamp;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.last_offset_delta = offset_delta;
        self.record_count += 1;
        true
    }

    /// The batch, with its CRC.
    pub fn build(self) -> Result<Bytes, Error> {
        const TOO_LARGE: Error = Error::Malformed("the batch is too large");
        let body = match self.compression {
            Compression::None => self.body,
            codec => match self.level {
                Some(level) => compress_at(codec, level, &self.body)?,
                None => compress(codec, &self.body)?,
            },
        };
        let length = HEADER_SIZE - LOG_OVERHEAD + body.len();
        let header = Header {
            magic: MAGIC,
            base_offset: self.base_offset,
            length: i32::try_from(length).map_err(|_| TOO_LARGE)?,
            partition_leader_epoch: self.leader_epoch,
            crc: 0,
            attributes: header::attributes(
                self.compression,
                self.timestamps,
                self.transactional,
                self.control,
            ) | header::delete_horizon_attribute(self.delete_horizon_ms),
            last_offset_delta: match self.last_offset {
                Some(last) => i32::try_from(last - self.base_offset).map_err(|_| TOO_LARGE)?,
                None => self.last_offset_delta,
            },
            base_timestamp: self.base_timestamp,
            max_timestamp: match self.timestamps {
                TimestampType::CreateTime => self.max_timestamp,
                TimestampType::LogAppendTime => self.append_time,
            },
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            record_count: self.record_count,
        };
        let mut bytes = Vec::with_capacity(HEADER_SIZE + body.len());
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&body);
        header::store_crc(&mut bytes);
        Ok(Bytes::from(bytes))
    }
}

/// What is left of a batch without records: its place and its producer.
#[must_use]
pub fn empty_batch(of: &Header) -> Bytes {
    let header = Header {
        length: i32::try_from(HEADER_SIZE - LOG_OVERHEAD).expect("the header is small"),
        attributes: header::attributes(
            Compression::None,
            of.timestamp_type(),
            of.is_transactional(),
            of.is_control(),
        ),
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*of
    };
    let mut bytes = header.encode();
    header::store_crc(&mut bytes);
    Bytes::copy_from_slice(&bytes)
}

/// False when the field is longer than the format can say.
fn write_bytes(out: &mut Vec<u8>, field: Option<&[u8]>) -> bool {
    let Some(field) = field else {
        write_varint(out, -1);
        return true;
    };
    let Ok(length) = i32::try_from(field.len()) else {
        return false;
    };
    write_varint(out, length);
    out.extend_from_slice(field);
    true
}
