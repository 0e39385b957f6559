//! UpdateMetadata, versions 6 to 8.

use bytes::Bytes;

use super::control_header::Kind;
use super::fields::{Error, Reader, Writer};
use super::topics::{TopicIds, by_topic};
use super::{
    ControlHeader, ControlResponse, Endpoint, LiveBroker, PartitionState, UpdateMetadataRequest,
    control_header,
};
use crate::model::{BrokerId, TopicId, TopicName, TopicPartition};

/// The security protocols by their numbers.
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const TOPIC_IDS_FROM: i16 = 7;
const KRAFT_FROM: i16 = 8;
/// The request does not tell the epochs of brokers.
const UNKNOWN_EPOCH: i64 = -1;

pub(super) fn encode(request: &UpdateMetadataRequest, version: i16) -> Result<Bytes, Error> {
    let mut out = Writer::default();
    control_header::put(&mut out, Kind::of(version, KRAFT_FROM), &request.header);
    let topics = by_topic(&request.partitions, |state| &state.topic_partition);
    let ids = TopicIds::new(&request.topic_ids);
    out.count(topics.len());
    for (name, states) in topics {
        out.string(name.as_str());
        if version >= TOPIC_IDS_FROM {
            out.uuid(ids.of(name));
        }
        out.count(states.len());
        for (index, state) in states {
            let offline = request.offline_replicas.get(index);
            put_state(&mut out, state, offline.map_or(&[], Vec::as_slice));
        }
        out.no_tags();
    }
    out.count(request.live_brokers.len());
    for broker in &request.live_brokers {
        put_broker(&mut out, broker)?;
    }
    out.no_tags();
    Ok(out.finish())
}

fn put_state(out: &mut Writer, state: &PartitionState, offline: &[BrokerId]) {
    out.i32(state.topic_partition.partition);
    out.i32(state.controller_epoch);
    out.i32(state.leader);
    out.i32(state.leader_epoch);
    out.i32s(&state.isr);
    out.i32(state.partition_epoch);
    out.i32s(&state.replicas);
    out.i32s(offline);
    out.no_tags();
}

fn put_broker(out: &mut Writer, broker: &LiveBroker) -> Result<(), Error> {
    out.i32(broker.id);
    out.count(broker.endpoints.len());
    for endpoint in &broker.endpoints {
        let protocol = &endpoint.security_protocol;
        let number = PROTOCOLS.iter().position(|known| known == protocol);
        let number = number.ok_or_else(|| Error::NamelessProtocol(protocol.clone()))?;
        out.i32(i32::from(endpoint.port));
        out.string(&endpoint.host);
        out.string(&endpoint.listener);
        out.i16(number as i16);
        out.no_tags();
    }
    out.nullable_string(broker.rack.as_deref());
    out.no_tags();
    Ok(())
}

pub(super) fn decode(body: Bytes, version: i16) -> Result<UpdateMetadataRequest, Error> {
    let mut from = Reader::new(body);
    let header: ControlHeader = control_header::take(&mut from, Kind::of(version, KRAFT_FROM))?;
    let mut request = UpdateMetadataRequest {
        header,
        partitions: Vec::new(),
        offline_replicas: Vec::new(),
        topic_ids: Vec::new(),
        live_brokers: Vec::new(),
    };
    from.each(|from| {
        let name = from.topic_name()?;
        let id = match version {
            TOPIC_IDS_FROM.. => from.uuid()?,
            _ => TopicId::nil(),
        };
        if !id.is_nil() {
            request.topic_ids.push((name.clone(), id));
        }
        from.each(|from| {
            let (state, offline) = take_state(from, &name)?;
            request.partitions.push(state);
            request.offline_replicas.push(offline);
            Ok(())
        })?;
        from.tags()
    })?;
    from.each(|from| {
        request.live_brokers.push(take_broker(from)?);
        Ok(())
    })?;
    // The tagged type tells apart what only a KRaft controller sends.
    from.tags()?;
    from.end()?;
    Ok(request)
}

fn take_state(
    from: &mut Reader,
    name: &TopicName,
) -> Result<(PartitionState, Vec<BrokerId>), Error> {
    let state = PartitionState {
        topic_partition: TopicPartition::new(name.clone(), from.i32()?),
        controller_epoch: from.i32()?,
        leader: from.i32()?,
        leader_epoch: from.i32()?,
        isr: from.i32s()?,
        partition_epoch: from.i32()?,
        replicas: from.i32s()?,
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
        is_new: false,
        leader_recovery_state: 0,
    };
    let offline = from.i32s()?;
    from.tags()?;
    Ok((state, offline))
}

fn take_broker(from: &mut Reader) -> Result<LiveBroker, Error> {
    let id = from.i32()?;
    let mut endpoints = Vec::new();
    from.each(|from| {
        let (port, host, listener) = (from.port()?, from.string()?, from.string()?);
        let number = from.i16()?;
        let protocol = usize::try_from(number).ok().and_then(|n| PROTOCOLS.get(n));
        let protocol = protocol.ok_or(Error::SecurityProtocol(number))?;
        endpoints.push(Endpoint {
            listener,
            security_protocol: (*protocol).to_owned(),
            host,
            port,
        });
        from.tags()
    })?;
    let rack = from.nullable_string()?;
    from.tags()?;
    Ok(LiveBroker {
        id,
        epoch: UNKNOWN_EPOCH,
        endpoints,
        rack,
    })
}

pub(super) fn encode_response(response: &ControlResponse) -> Bytes {
    let mut out = Writer::default();
    out.i16(response.error_code);
    out.no_tags();
    out.finish()
}

pub(super) fn decode_response(body: Bytes) -> Result<ControlResponse, Error> {
    let mut from = Reader::new(body);
    let error_code = from.i16()?;
    from.tags()?;
    from.end()?;
    Ok(ControlResponse {
        error_code,
        partition_errors: Vec::new(),
    })
}
