//! StopReplica, versions 0 to 4.
//!
//! Up to version 2 a request deletes all of its replicas or none, and tells no
//! leader epoch; the controller keeps the two kinds apart.

use bytes::Bytes;

use super::control_header::Since;
use super::fields::{Error, Form, Reader, Writer};
use super::topics::{ResponseForm, by_topic};
use super::{ControlHeader, ControlResponse, StopPartition, StopReplicaRequest, control_header};
use crate::model::{LeaderEpoch, TopicName, TopicPartition};

const SINCE: Since = Since {
    broker_epoch: 1,
    kraft: 4,
};
/// From here on, partitions stand under their topics.
const BY_TOPIC_FROM: i16 = 1;
const FLEXIBLE_FROM: i16 = 2;
/// From here on, every partition tells its leader epoch and whether it is
/// deleted.
const PER_PARTITION_FROM: i16 = 3;
/// Of a partition whose leader epoch is not told.
const NO_EPOCH: LeaderEpoch = -1;

/// Whether a request in this version keeps or deletes each of its replicas,
/// and not all of them.
#[must_use]
pub fn stops_are_mixed(version: i16) -> bool {
    version >= PER_PARTITION_FROM
}

pub(super) fn encode(request: &StopReplicaRequest, version: i16) -> Bytes {
    let mut out = Writer::of(Form::of(version, FLEXIBLE_FROM));
    control_header::put(&mut out, version, SINCE, &request.header);
    if !stops_are_mixed(version) {
        out.bool(request.partitions.iter().any(|stop| stop.delete));
    }
    if version >= BY_TOPIC_FROM {
        put_topics(&mut out, request, version);
    } else {
        out.count(request.partitions.len());
        for stop in &request.partitions {
            out.string(stop.topic_partition.topic.as_str());
            out.i32(stop.topic_partition.partition);
        }
    }
    out.no_tags();
    out.finish()
}

fn put_topics(out: &mut Writer, request: &StopReplicaRequest, version: i16) {
    let topics = by_topic(&request.partitions, |stop| &stop.topic_partition);
    out.count(topics.len());
    for (name, stops) in topics {
        out.string(name.as_str());
        out.count(stops.len());
        for (_, stop) in stops {
            out.i32(stop.topic_partition.partition);
            if stops_are_mixed(version) {
                out.i32(stop.leader_epoch);
                out.bool(stop.delete);
                out.no_tags();
            }
        }
        out.no_tags();
    }
}

pub(super) fn decode(body: Bytes, version: i16) -> Result<StopReplicaRequest, Error> {
    let mut from = Reader::of(body, Form::of(version, FLEXIBLE_FROM));
    let header: ControlHeader = control_header::take(&mut from, version, SINCE)?;
    let deletes_all = !stops_are_mixed(version) && from.bool()?;
    let mut partitions = Vec::new();
    from.each(|from| {
        let name = from.topic_name()?;
        let one = |from: &mut Reader| take_stop(from, &name, version, deletes_all);
        if version < BY_TOPIC_FROM {
            partitions.push(one(from)?);
            return Ok(());
        }
        from.each(|from| {
            partitions.push(one(from)?);
            Ok(())
        })?;
        from.tags()
    })?;
    from.tags()?;
    from.end()?;
    Ok(StopReplicaRequest { header, partitions })
}

fn take_stop(
    from: &mut Reader,
    topic: &TopicName,
    version: i16,
    deletes_all: bool,
) -> Result<StopPartition, Error> {
    let topic_partition = TopicPartition::new(topic.clone(), from.i32()?);
    if !stops_are_mixed(version) {
        return Ok(StopPartition {
            topic_partition,
            leader_epoch: NO_EPOCH,
            delete: deletes_all,
        });
    }
    let stop = StopPartition {
        topic_partition,
        leader_epoch: from.i32()?,
        delete: from.bool()?,
    };
    from.tags()?;
    Ok(stop)
}

pub(super) fn encode_response(form: &ResponseForm, response: &ControlResponse) -> Bytes {
    encode_answers(form, response, Form::of(form.version, FLEXIBLE_FROM))
}

pub(super) fn decode_response(form: &ResponseForm, body: Bytes) -> Result<ControlResponse, Error> {
    decode_answers(body, Form::of(form.version, FLEXIBLE_FROM))
}

/// Every partition of the request is there.
pub(super) fn encode_answers(
    form: &ResponseForm,
    response: &ControlResponse,
    bytes: Form,
) -> Bytes {
    let mut out = Writer::of(bytes);
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

pub(super) fn decode_answers(body: Bytes, bytes: Form) -> Result<ControlResponse, Error> {
    let mut from = Reader::of(body, bytes);
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
