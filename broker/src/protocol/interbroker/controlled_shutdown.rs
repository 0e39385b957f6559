//! ControlledShutdown, version 3: a broker tells the controller that it goes.

use bytes::Bytes;

use super::fields::{Error, Reader, Writer};
use super::{ControlledShutdownRequest, ControlledShutdownResponse};
use crate::model::TopicPartition;

impl ControlledShutdownRequest {
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

impl ControlledShutdownResponse {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::default();
        out.i16(self.error_code);
        out.count(self.remaining.len());
        for partition in &self.remaining {
            out.string(partition.topic.as_str());
            out.i32(partition.partition);
            out.no_tags();
        }
        out.no_tags();
        out.finish()
    }

    pub fn decode(body: Bytes) -> Result<Self, Error> {
        let mut from = Reader::new(body);
        let error_code = from.i16()?;
        let mut remaining = Vec::new();
        from.each(|from| {
            remaining.push(TopicPartition::new(from.topic_name()?, from.i32()?));
            from.tags()
        })?;
        from.tags()?;
        from.end()?;
        Ok(Self {
            error_code,
            remaining,
        })
    }
}
