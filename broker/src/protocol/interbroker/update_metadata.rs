//! UpdateMetadata, versions 0 to 8.

use bytes::Bytes;

use super::control_header::Since;
use super::fields::{Error, Form, Reader, Writer};
use super::topics::{ResponseForm, TopicIds, by_topic};
use super::{
    ControlHeader, ControlResponse, Endpoint, LiveBroker, PartitionState, UpdateMetadataRequest,
    control_header,
};
use crate::model::{BrokerId, TopicId, TopicName, TopicPartition};

/// The security protocols by their numbers.
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
const PLAINTEXT: &str = "PLAINTEXT";
const SINCE: Since = Since {
    broker_epoch: 5,
    kraft: 8,
};
/// Before, a broker has one address, for clients in the clear.
const ENDPOINTS_FROM: i16 = 1;
const RACK_FROM: i16 = 2;
/// Before, a listener is named by its protocol.
const LISTENER_FROM: i16 = 3;
const OFFLINE_FROM: i16 = 4;
/// From here on, partitions stand under their topics.
const BY_TOPIC_FROM: i16 = 5;
const FLEXIBLE_FROM: i16 = 6;
const TOPIC_IDS_FROM: i16 = 7;
/// The request does not tell the epochs of brokers.
const UNKNOWN_EPOCH: i64 = -1;

pub(super) fn encode(request: &UpdateMetadataRequest, version: i16) -> Result<Bytes, Error> {
    let mut out = Writer::of(Form::of(version, FLEXIBLE_FROM));
    control_header::put(&mut out, version, SINCE, &request.header);
    if version >= BY_TOPIC_FROM {
        put_topics(&mut out, request, version);
    } else {
        out.count(request.partitions.len());
        for (index, state) in request.partitions.iter().enumerate() {
            out.string(state.topic_partition.topic.as_str());
            put_state(&mut out, state, offline(request, index), version);
        }
    }
    out.count(request.live_brokers.len());
    for broker in &request.live_brokers {
        put_broker(&mut out, broker, version)?;
    }
    out.no_tags();
    Ok(out.finish())
}

fn put_topics(out: &mut Writer, request: &UpdateMetadataRequest, version: i16) {
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
            put_state(out, state, offline(request, index), version);
        }
        out.no_tags();
    }
}

fn offline(request: &UpdateMetadataRequest, index: usize) -> &[BrokerId] {
    let offline = request.offline_replicas.get(index);
    offline.map_or(&[], Vec::as_slice)
}

fn put_state(out: &mut Writer, state: &PartitionState, offline: &[BrokerId], version: i16) {
    out.i32(state.topic_partition.partition);
    out.i32(state.controller_epoch);
    out.i32(state.leader);
    out.i32(state.leader_epoch);
    out.i32s(&state.isr);
    out.i32(state.partition_epoch);
    out.i32s(&state.replicas);
    if version >= OFFLINE_FROM {
        out.i32s(offline);
    }
    out.no_tags();
}

fn put_broker(out: &mut Writer, broker: &LiveBroker, version: i16) -> Result<(), Error> {
    out.i32(broker.id);
    if version < ENDPOINTS_FROM {
        let mut endpoints = broker.endpoints.iter();
        let plain = endpoints.find(|endpoint| endpoint.security_protocol == PLAINTEXT);
        out.string(plain.map_or("", |endpoint| &endpoint.host));
        out.i32(plain.map_or(-1, |endpoint| i32::from(endpoint.port)));
        return Ok(());
    }
    out.count(broker.endpoints.len());
    for endpoint in &broker.endpoints {
        put_endpoint(out, endpoint, version)?;
    }
    if version >= RACK_FROM {
        out.nullable_string(broker.rack.as_deref());
    }
    out.no_tags();
    Ok(())
}

fn put_endpoint(out: &mut Writer, endpoint: &Endpoint, version: i16) -> Result<(), Error> {
    let protocol = &endpoint.security_protocol;
    let number = PROTOCOLS.iter().position(|known| known == protocol);
    let number = number.ok_or_else(|| Error::NamelessProtocol(protocol.clone()))?;
    out.i32(i32::from(endpoint.port));
    out.string(&endpoint.host);
    if version >= LISTENER_FROM {
        out.string(&endpoint.listener);
    }
    out.i16(number as i16);
    out.no_tags();
    Ok(())
}

pub(super) fn decode(body: Bytes, version: i16) -> Result<UpdateMetadataRequest, Error> {
    let mut from = Reader::of(body, Form::of(version, FLEXIBLE_FROM));
    let header: ControlHeader = control_header::take(&mut from, version, SINCE)?;
    let mut request = UpdateMetadataRequest {
        header,
        partitions: Vec::new(),
        offline_replicas: Vec::new(),
        topic_ids: Vec::new(),
        live_brokers: Vec::new(),
    };
    from.each(|from| {
        let name = from.topic_name()?;
        if version < BY_TOPIC_FROM {
            return take_state(from, &name, version, &mut request);
        }
        let id = match version {
            TOPIC_IDS_FROM.. => from.uuid()?,
            _ => TopicId::nil(),
        };
        if !id.is_nil() {
            request.topic_ids.push((name.clone(), id));
        }
        from.each(|from| take_state(from, &name, version, &mut request))?;
        from.tags()
    })?;
    from.each(|from| {
        request.live_brokers.push(take_broker(from, version)?);
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
    version: i16,
    request: &mut UpdateMetadataRequest,
) -> Result<(), Error> {
    request.partitions.push(PartitionState {
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
    });
    request.offline_replicas.push(match version {
        OFFLINE_FROM.. => from.i32s()?,
        _ => Vec::new(),
    });
    from.tags()
}

fn take_broker(from: &mut Reader, version: i16) -> Result<LiveBroker, Error> {
    let id = from.i32()?;
    let mut endpoints = Vec::new();
    if version < ENDPOINTS_FROM {
        let (host, port) = (from.string()?, from.i32()?);
        // A broker without such an address has no host and no port.
        endpoints.extend(u16::try_from(port).ok().map(|port| Endpoint {
            listener: PLAINTEXT.to_owned(),
            security_protocol: PLAINTEXT.to_owned(),
            host,
            port,
        }));
    } else {
        from.each(|from| {
            endpoints.push(take_endpoint(from, version)?);
            Ok(())
        })?;
    }
    let rack = match version {
        RACK_FROM.. => from.nullable_string()?,
        _ => None,
    };
    from.tags()?;
    Ok(LiveBroker {
        id,
        epoch: UNKNOWN_EPOCH,
        endpoints,
        rack,
    })
}

fn take_endpoint(from: &mut Reader, version: i16) -> Result<Endpoint, Error> {
    let (port, host) = (from.port()?, from.string()?);
    let listener = match version {
        LISTENER_FROM.. => Some(from.string()?),
        _ => None,
    };
    let number = from.i16()?;
    let protocol = usize::try_from(number).ok().and_then(|n| PROTOCOLS.get(n));
    let protocol = (*protocol.ok_or(Error::SecurityProtocol(number))?).to_owned();
    from.tags()?;
    Ok(Endpoint {
        listener: listener.unwrap_or_else(|| protocol.clone()),
        security_protocol: protocol,
        host,
        port,
    })
}

pub(super) fn encode_response(form: &ResponseForm, response: &ControlResponse) -> Bytes {
    let mut out = Writer::of(Form::of(form.version, FLEXIBLE_FROM));
    out.i16(response.error_code);
    out.no_tags();
    out.finish()
}

pub(super) fn decode_response(form: &ResponseForm, body: Bytes) -> Result<ControlResponse, Error> {
    let mut from = Reader::of(body, Form::of(form.version, FLEXIBLE_FROM));
    let error_code = from.i16()?;
    from.tags()?;
    from.end()?;
    Ok(ControlResponse {
        error_code,
        partition_errors: Vec::new(),
    })
}
