//! StopReplica, versions 3 and 4.

use bytes::Bytes;

use super::control_header::Kind;
use super::fields::{Error, Reader, Writer};
use super::topics::{ResponseForm, by_topic};
use super::{ControlHeader, ControlResponse, StopPartition, StopReplicaRequest, control_header};
use crate::model::TopicPartition;

const KRAFT_FROM: i16 = 4;

pub(super) fn encode(request: &StopReplicaRequest, version: i16) -> Bytes {
    let mut out = Writer::default();
    control_header::put(&mut out, Kind::of(version, KRAFT_FROM), &request.header);
    let topics = by_topic(&request.partitions, |stop| &stop.topic_partition);
    out.count(topics.len());
    for (name, stops) in topics {
        out.string(name.as_str());
        out.count(stops.len());
        for (_, stop) in stops {
            out.i32(stop.topic_partition.partition);
            out.i32(stop.leader_epoch);
            out.bool(stop.delete);
            out.no_tags();
        }
        out.no_tags();
    }
    out.no_tags();
    out.finish()
}

pub(super) fn decode(body: Bytes, version: i16) -> Result<StopReplicaRequest, Error> {
    let mut from = Reader::new(body);
    let header: ControlHeader = control_header::take(&mut from, Kind::of(version, KRAFT_FROM))?;
    let mut partitions = Vec::new();
    from.each(|from| {
        let name = from.topic_name()?;
        from.each(|from| {
            partitions.push(StopPartition {
                topic_partition: TopicPartition::new(name.clone(), from.i32()?),
                leader_epoch: from.i32()?,
                delete: from.bool()?,
            });
            from.tags()
        })?;
        from.tags()
    })?;
    from.tags()?;
    from.end()?;
    Ok(StopReplicaRequest { header, partitions })
}

/// Every partition of the request is there.
pub(super) fn encode_response(form: &ResponseForm, response: &ControlResponse) -> Bytes {
    let mut out = Writer::default();
    out.i16(response.error_code);
    let answers = form.answers(response);
    out.count(answers.len());
    for (partition, code) in &answers {
        out.string(partition.topic.as_str());
        out.i32(partition.partition);
        out.i16(*code);
        out.no_tags();
    }
    out.no_tags();
    out.finish()
}

pub(super) fn decode_response(body: Bytes) -> Result<ControlResponse, Error> {
    let mut from = Reader::new(body);
    let mut response = ControlResponse {
        error_code: from.i16()?,
        partition_errors: Vec::new(),
    };
    from.each(|from| {
        let partition = TopicPartition::new(from.topic_name()?, from.i32()?);
        response.push_error(partition, from.i16()?);
        from.tags()
    })?;
    from.tags()?;
    from.end()?;
    Ok(response)
}
