//! LeaderAndIsr, versions 0 to 7.

use std::collections::HashMap;

use bytes::Bytes;

use super::control_header::Since;
use super::fields::{Error, Form, Reader, Writer};
use super::topics::{ResponseForm, TopicIds, by_topic};
use super::{
    ControlHeader, ControlResponse, LeaderAndIsrRequest, LiveLeader, PartitionState,
    control_header, stop_replica,
};
use crate::model::{BrokerId, TopicId, TopicName, TopicPartition};

/// The request names every replica of its receiver.
const FULL: i8 = 2;
const UNSPECIFIED: i8 = 0;
const SINCE: Since = Since {
    broker_epoch: 2,
    kraft: 7,
};
const IS_NEW_FROM: i16 = 1;
/// From here on, partitions stand under their topics.
const BY_TOPIC_FROM: i16 = 2;
const REASSIGNMENT_FROM: i16 = 3;
const FLEXIBLE_FROM: i16 = 4;
const TOPIC_IDS_FROM: i16 = 5;
const RECOVERY_FROM: i16 = 6;

pub(super) fn encode(request: &LeaderAndIsrRequest, version: i16) -> Bytes {
    let mut out = Writer::of(Form::of(version, FLEXIBLE_FROM));
    control_header::put(&mut out, version, SINCE, &request.header);
    if version >= TOPIC_IDS_FROM {
        out.i8(if request.is_full { FULL } else { UNSPECIFIED });
    }
    if version >= BY_TOPIC_FROM {
        put_topics(&mut out, request, version);
    } else {
        out.count(request.partitions.len());
        for state in &request.partitions {
            out.string(state.topic_partition.topic.as_str());
            put_state(&mut out, state, version);
        }
    }
    out.count(request.live_leaders.len());
    for leader in &request.live_leaders {
        out.i32(leader.id);
        out.string(&leader.host);
        out.i32(i32::from(leader.port));
        out.no_tags();
    }
    out.no_tags();
    out.finish()
}

fn put_topics(out: &mut Writer, request: &LeaderAndIsrRequest, version: i16) {
    let topics = by_topic(&request.partitions, |state| &state.topic_partition);
    let ids = TopicIds::new(&request.topic_ids);
    out.count(topics.len());
    for (name, states) in topics {
        out.string(name.as_str());
        if version >= TOPIC_IDS_FROM {
            out.uuid(ids.of(name));
        }
        out.count(states.len());
        for (_, state) in states {
            put_state(out, state, version);
        }
        out.no_tags();
    }
}

fn put_state(out: &mut Writer, state: &PartitionState, version: i16) {
    out.i32(state.topic_partition.partition);
    out.i32(state.controller_epoch);
    out.i32(state.leader);
    out.i32(state.leader_epoch);
    out.i32s(&state.isr);
    out.i32(state.partition_epoch);
    out.i32s(&state.replicas);
    if version >= REASSIGNMENT_FROM {
        out.i32s(&state.adding_replicas);
        out.i32s(&state.removing_replicas);
    }
    if version >= IS_NEW_FROM {
        out.bool(state.is_new);
    }
    if version >= RECOVERY_FROM {
        out.i8(state.leader_recovery_state);
    }
    out.no_tags();
}

pub(super) fn decode(body: Bytes, version: i16) -> Result<LeaderAndIsrRequest, Error> {
    let mut from = Reader::of(body, Form::of(version, FLEXIBLE_FROM));
    let header: ControlHeader = control_header::take(&mut from, version, SINCE)?;
    let is_full = version >= TOPIC_IDS_FROM && from.i8()? == FULL;
    let mut request = LeaderAndIsrRequest {
        header,
        is_full,
        partitions: Vec::new(),
        topic_ids: Vec::new(),
        live_leaders: Vec::new(),
    };
    if version >= BY_TOPIC_FROM {
        take_topics(&mut from, &mut request, version)?;
    } else {
        from.each(|from| {
            let name = from.topic_name()?;
            request.partitions.push(take_state(from, &name, version)?);
            Ok(())
        })?;
    }
    from.each(|from| {
        request.live_leaders.push(LiveLeader {
            id: from.i32()?,
            host: from.string()?,
            port: from.port()?,
        });
        from.tags()
    })?;
    from.tags()?;
    from.end()?;
    Ok(request)
}

fn take_topics(
    from: &mut Reader,
    request: &mut LeaderAndIsrRequest,
    version: i16,
) -> Result<(), Error> {
    from.each(|from| {
        let name = from.topic_name()?;
        if version >= TOPIC_IDS_FROM {
            request.topic_ids.push((name.clone(), from.uuid()?));
        }
        from.each(|from| {
            request.partitions.push(take_state(from, &name, version)?);
            Ok(())
        })?;
        from.tags()
    })
}

fn take_state(from: &mut Reader, name: &TopicName, version: i16) -> Result<PartitionState, Error> {
    let state = PartitionState {
        topic_partition: TopicPartition::new(name.clone(), from.i32()?),
        controller_epoch: from.i32()?,
        leader: from.i32()?,
        leader_epoch: from.i32()?,
        isr: from.i32s()?,
        partition_epoch: from.i32()?,
        replicas: from.i32s()?,
        adding_replicas: take_moves(from, version)?,
        removing_replicas: take_moves(from, version)?,
        is_new: version >= IS_NEW_FROM && from.bool()?,
        leader_recovery_state: match version {
            RECOVERY_FROM.. => from.i8()?,
            _ => 0,
        },
    };
    from.tags()?;
    Ok(state)
}

fn take_moves(from: &mut Reader, version: i16) -> Result<Vec<BrokerId>, Error> {
    match version {
        REASSIGNMENT_FROM.. => from.i32s(),
        _ => Ok(Vec::new()),
    }
}

/// Topics are named by their ids once there are any, and every partition of the
/// request is there.
pub(super) fn encode_response(form: &ResponseForm, response: &ControlResponse) -> Bytes {
    if form.version < TOPIC_IDS_FROM {
        let form_of_bytes = Form::of(form.version, FLEXIBLE_FROM);
        return stop_replica::encode_answers(form, response, form_of_bytes);
    }
    let mut out = Writer::default();
    out.i16(response.error_code);
    let answers = form.answers(response);
    let topics = by_topic(&answers, |(partition, _)| partition);
    let ids = TopicIds::new(&form.topic_ids);
    out.count(topics.len());
    for (name, partitions) in topics {
        out.uuid(ids.of(name));
        out.count(partitions.len());
        for (_, (partition, code)) in partitions {
            out.i32(partition.partition);
            out.i16(*code);
            out.no_tags();
        }
        out.no_tags();
    }
    out.no_tags();
    out.finish()
}

pub(super) fn decode_response(form: &ResponseForm, body: Bytes) -> Result<ControlResponse, Error> {
    if form.version < TOPIC_IDS_FROM {
        // Both name every partition with its topic.
        return stop_replica::decode_answers(body, Form::of(form.version, FLEXIBLE_FROM));
    }
    let names: HashMap<TopicId, &TopicName> = form
        .topic_ids
        .iter()
        .map(|(name, id)| (*id, name))
        .collect();
    let mut from = Reader::new(body);
    let mut response = ControlResponse {
        error_code: from.i16()?,
        partition_errors: Vec::new(),
    };
    from.each(|from| {
        let id = from.uuid()?;
        let name = names.get(&id).copied().ok_or(Error::UnknownTopicId(id))?;
        from.each(|from| {
            let partition = TopicPartition::new(name.clone(), from.i32()?);
            response.push_error(partition, from.i16()?);
            from.tags()
        })?;
        from.tags()
    })?;
    from.tags()?;
    from.end()?;
    Ok(response)
}
