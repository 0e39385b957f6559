//! ListOffsets 0: up to so many offsets of segments before a time. It asks and
//! answers something else than its successors, so it has structs of its own.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::{Fields, Malformed, Writer};
use crate::protocol::{Error, RequestFrame};

/// What version 0 asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOffsetsRequestV0 {
    pub replica_id: i32,
    pub topics: Vec<(StrBytes, Vec<PartitionV0>)>,
}

/// One partition of a version 0 request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionV0 {
    pub index: i32,
    pub timestamp: i64,
    pub offsets_max: i32,
}

/// What version 0 answers: per partition an error code and offsets, descending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListOffsetsResponseV0 {
    pub topics: Vec<(StrBytes, Vec<AnswerV0>)>,
}

/// The answer for one partition: index, error code, offsets.
pub type AnswerV0 = (i32, i16, Vec<i64>);

impl ListOffsetsRequestV0 {
    pub fn decode(frame: &RequestFrame) -> Result<Self, Error> {
        let mut from = Fields::new(frame.body.clone());
        Self::from_fields(&mut from).map_err(|malformed| frame.malformed(malformed))
    }

    fn from_fields(from: &mut Fields) -> Result<Self, Malformed> {
        Ok(Self {
            replica_id: from.i32()?,
            topics: from.array(|from| {
                let name = from.string()?;
                let partitions = from.array(|from| {
                    Ok(PartitionV0 {
                        index: from.i32()?,
                        timestamp: from.i64()?,
                        offsets_max: from.i32()?,
                    })
                })?;
                Ok((name, partitions))
            })?,
        })
    }
}

impl ListOffsetsResponseV0 {
    /// Encodes header and body, without the length prefix.
    pub fn encode(&self, frame: &RequestFrame) -> Result<Bytes, Error> {
        let mut out = BytesMut::new();
        let mut writer = Writer(&mut out);
        writer.i32(frame.correlation_id);
        self.to_fields(&mut writer)
            .map_err(|malformed| Error::Encode {
                version: frame.version,
                reason: malformed.to_string(),
            })?;
        Ok(out.freeze())
    }

    fn to_fields(&self, out: &mut Writer<'_>) -> Result<(), Malformed> {
        out.array(&self.topics, |out, (name, partitions)| {
            out.string(name)?;
            out.array(partitions, |out, (index, error_code, offsets)| {
                out.i32(*index);
                out.i16(*error_code);
                out.array(offsets, |out, offset| {
                    out.i64(*offset);
                    Ok(())
                })
            })
        })
    }
}
