//! AllocateProducerIds, version 0: a broker asks for a block of producer ids.

use bytes::Bytes;

use super::fields::{Error, Reader, Writer};
use crate::model::{BrokerEpoch, BrokerId};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocateProducerIdsRequest {
    pub broker_id: BrokerId,
    pub broker_epoch: BrokerEpoch,
}

/// The block, of `length` ids from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocateProducerIdsResponse {
    pub error_code: i16,
    pub start: i64,
    pub length: i32,
}

impl AllocateProducerIdsRequest {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.i32(self.broker_id);
        out.i64(self.broker_epoch);
        out.no_tags();
        out.finish()
    }

    pub fn decode(body: Bytes) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        let request = Self {
            broker_id: from.i32()?,
            broker_epoch: from.i64()?,
        };
        from.tags()?;
        from.end()?;
        Ok(request)
    }
}

impl AllocateProducerIdsResponse {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        const THROTTLE_TIME_MS: i32 = 0;
        let mut out = Writer::default();
        out.i32(THROTTLE_TIME_MS);
        out.i16(self.error_code);
        out.i64(self.start);
        out.i32(self.length);
        out.no_tags();
        out.finish()
    }

    pub fn decode(body: Bytes) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        from.i32()?;
        let response = Self {
            error_code: from.i16()?,
            start: from.i64()?,
            length: from.i32()?,
        };
        from.tags()?;
        from.end()?;
        Ok(response)
    }
}
