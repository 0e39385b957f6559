//! ControlledShutdown, versions 0 to 3: a broker tells the controller that it goes.

use bytes::Bytes;

use super::fields::{Error, Form, Reader, Writer};
use super::{ControlledShutdownRequest, ControlledShutdownResponse};
use crate::model::{BrokerEpoch, TopicPartition};

const EPOCH_FROM: i16 = 2;
const FLEXIBLE_FROM: i16 = 3;
/// Of a broker that does not tell its epoch.
const UNKNOWN_EPOCH: BrokerEpoch = -1;

impl ControlledShutdownRequest {
    #[must_use]
    pub fn encode(&self, version: i16) -> Bytes {
        let mut out = Writer::of(Form::of(version, FLEXIBLE_FROM));
        out.i32(self.broker_id);
        if version >= EPOCH_FROM {
            out.i64(self.broker_epoch);
        }
        out.no_tags();
        out.finish()
    }

    pub fn decode(body: Bytes, version: i16) -> Result<Self, Error> {
        let mut from = Reader::of(body, Form::of(version, FLEXIBLE_FROM));
        let request = Self {
            broker_id: from.i32()?,
            broker_epoch: match version {
                EPOCH_FROM.. => from.i64()?,
                _ => UNKNOWN_EPOCH,
            },
        };
        from.tags()?;
        from.end()?;
        Ok(request)
    }
}

impl ControlledShutdownResponse {
    #[must_use]
    pub fn encode(&self, version: i16) -> Bytes {
        let mut out = Writer::of(Form::of(version, FLEXIBLE_FROM));
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

    pub fn decode(body: Bytes, version: i16) -> Result<Self, Error> {
        let mut from = Reader::of(body, Form::of(version, FLEXIBLE_FROM));
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
