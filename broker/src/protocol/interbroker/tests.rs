//! The bytes of each message, as Kafka 3.9.1's own classes write them.

use std::fmt::Debug;

use bytes::Bytes;

use super::*;
use crate::protocol::InterbrokerFrame;

const CORRELATION_ID: i32 = 42;
const CLIENT_ID: &str = "7";

const LEADER_AND_ISR: &str = "\
    000400070000002a0001370000000007000000000500000001000000020203076f7264657273010203040506\
    0708090a0b0c0d0e0f1003000000000000000600000001000000090300000001000000020000000b04000000\
    0100000002000000030200000003020000000201010000000001000000060000000100000009030000000100\
    0000020000000b04000000010000000200000003020000000302000000020000000002740000000000000000\
    000000000000000002000000030000000600000001000000090300000001000000020000000b040000000100\
    000002000000030200000003020000000200000000020000000107686f73742d31000023840000\
    ";
const LEADER_AND_ISR_ANSWER: &str = "\
    0000002a000000030102030405060708090a0b0c0d0e0f100300000000003800000000010000000000000000\
    0000000000000000000000000200000003004a000000\
    ";
const UPDATE_METADATA: &str = "\
    000600080000002a00013700000000070000000005000000010000000203076f726465727301020304050607\
    08090a0b0c0d0e0f1003000000000000000600000001000000090300000001000000020000000b0400000001\
    00000002000000030200000003000000000100000006fffffffe000000090300000001000000020000000b04\
    0000000100000002000000030100000274000000000000000000000000000000000200000003000000060000\
    0001000000090300000001000000020000000b04000000010000000200000003010000030000000103000023\
    8407686f73742d310a504c41494e544558540000000000ffff043a3a31055341464500030003723100000000\
    0201000000\
    ";
const UPDATE_METADATA_TYPED: &str =
    "000600080000002a000137000000000700000000050000000000000003010101000102";
const UPDATE_METADATA_KRAFT: &str =
    "000600080000002a00013700000000070100000000ffffffffffffffff010100";
const UPDATE_METADATA_ANSWER: &str = "0000002a00004d00";
const STOP_REPLICA: &str = "\
    000500040000002a00013700000000070000000005000000010000000203076f72646572730300000000ffff\
    fffe01000000000100000009000000027402000000030000000100000000\
    ";
const STOP_REPLICA_ANSWER: &str = "\
    0000002a00000004076f726465727300000000003800076f726465727300000001000000027400000003004a\
    0000\
    ";
const CONTROLLED_SHUTDOWN: &str = "000700030000002a0001370000000002000000010000000200";
const CONTROLLED_SHUTDOWN_ANSWER: &str = "0000002a00000002076f7264657273000000010000";

fn bytes(hex: &str) -> Bytes {
    let digit = |index: usize| u8::from_str_radix(&hex[index..index + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn orders() -> TopicName {
    TopicName::new("orders").unwrap()
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), partition)
}

fn orders_id() -> TopicId {
    TopicId::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)
}

fn header() -> ControlHeader {
    ControlHeader {
        controller_id: 7,
        controller_epoch: 5,
        broker_epoch: 0x1_0000_0002,
    }
}

fn state(topic: &str, index: i32) -> PartitionState {
    PartitionState {
        topic_partition: partition(topic, index),
        controller_epoch: 6,
        leader: 1,
        leader_epoch: 9,
        isr: vec![1, 2],
        partition_epoch: 11,
        replicas: vec![1, 2, 3],
        adding_replicas: vec![3],
        removing_replicas: vec![2],
        is_new: index == 0,
        leader_recovery_state: i8::from(index == 0),
    }
}

fn leader_and_isr() -> ControlRequest {
    ControlRequest::LeaderAndIsr(LeaderAndIsrRequest {
        header: header(),
        is_full: true,
        partitions: vec![state("orders", 0), state("orders", 1), state("t", 3)],
        topic_ids: vec![
            (orders(), orders_id()),
            (TopicName::new("t").unwrap(), TopicId::nil()),
        ],
        live_leaders: vec![LiveLeader {
            id: 1,
            host: "host-1".to_owned(),
            port: 9092,
        }],
    })
}

fn update_metadata() -> ControlRequest {
    let shown = |topic, index| PartitionState {
        leader: if index == 1 { -2 } else { 1 },
        adding_replicas: Vec::new(),
        removing_replicas: Vec::new(),
        is_new: false,
        leader_recovery_state: 0,
        ..state(topic, index)
    };
    let endpoint = |listener: &str, protocol: &str, host: &str, port| Endpoint {
        listener: listener.to_owned(),
        security_protocol: protocol.to_owned(),
        host: host.to_owned(),
        port,
    };
    let broker = |id, endpoints, rack: Option<&str>| LiveBroker {
        id,
        epoch: -1,
        endpoints,
        rack: rack.map(str::to_owned),
    };
    let endpoints = vec![
        endpoint("PLAINTEXT", "PLAINTEXT", "host-1", 9092),
        endpoint("SAFE", "SASL_SSL", "::1", 65535),
    ];
    ControlRequest::UpdateMetadata(UpdateMetadataRequest {
        header: header(),
        partitions: vec![shown("orders", 0), shown("orders", 1), shown("t", 3)],
        offline_replicas: vec![vec![3], Vec::new(), Vec::new()],
        topic_ids: vec![(orders(), orders_id())],
        live_brokers: vec![
            broker(1, endpoints, Some("r1")),
            broker(2, Vec::new(), None),
        ],
    })
}

fn stop_replica() -> ControlRequest {
    let stop = |topic, index, leader_epoch, delete| StopPartition {
        topic_partition: partition(topic, index),
        leader_epoch,
        delete,
    };
    ControlRequest::StopReplica(StopReplicaRequest {
        header: header(),
        partitions: vec![
            stop("orders", 0, EPOCH_DURING_DELETE, true),
            stop("orders", 1, 9, false),
            stop("t", 3, 1, false),
        ],
    })
}

fn decode(key: InterbrokerKey, body: Bytes) -> Result<ControlRequest, Error> {
    decode_in(key, key.version(), body)
}

fn decode_in(key: InterbrokerKey, version: i16, body: Bytes) -> Result<ControlRequest, Error> {
    match key {
        InterbrokerKey::LeaderAndIsr => ControlRequest::decode_leader_and_isr(body, version),
        InterbrokerKey::UpdateMetadata => ControlRequest::decode_update_metadata(body, version),
        InterbrokerKey::StopReplica => ControlRequest::decode_stop_replica(body, version),
        InterbrokerKey::ControlledShutdown
        | InterbrokerKey::AlterPartition
        | InterbrokerKey::AllocateProducerIds => panic!("not the controller's"),
    }
}

/// Every cut of `body` is an error, as is a byte too many.
fn assert_cuts_fail<T: Debug>(body: &Bytes, decode: impl Fn(Bytes) -> Result<T, Error>) {
    for cut in 0..body.len() {
        let cut = decode(body.slice(..cut));
        assert!(cut.is_err(), "{cut:?}");
    }
    let longer: Bytes = body.iter().copied().chain([0]).collect();
    assert_eq!(decode(longer).unwrap_err(), Error::Trailing(1));
}

#[test]
fn the_controllers_requests_have_kafkas_bytes() {
    let requests = [
        (LEADER_AND_ISR, leader_and_isr()),
        (UPDATE_METADATA, update_metadata()),
        (STOP_REPLICA, stop_replica()),
    ];
    for (golden, value) in requests {
        let golden = bytes(golden);
        let body = value.encode(value.key().version()).unwrap();
        let sent = request(
            value.key(),
            value.key().version(),
            CORRELATION_ID,
            CLIENT_ID,
            &body,
        );
        assert_eq!(sent, golden, "{:?}", value.key());
        let frame = InterbrokerFrame::parse(&golden).unwrap().unwrap();
        assert_eq!(
            (frame.key, frame.correlation_id),
            (value.key(), CORRELATION_ID)
        );
        assert_eq!(decode(frame.key, frame.body.clone()).unwrap(), value);
        assert_cuts_fail(&frame.body, |body| decode(frame.key, body));
        for cut in 0..golden.len() - frame.body.len() {
            assert!(InterbrokerFrame::parse(&golden.slice(..cut)).is_err());
        }
    }
}

/// What clusters of older protocols speak, as Kafka 3.9.1's own classes write it.
#[test]
fn every_version_has_kafkas_bytes() {
    let mut seen = Vec::new();
    for line in include_str!("kafka-3.9.1.hex").lines() {
        let [key, version, asked, answered] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let (key, version): (i16, i16) = (key.parse().unwrap(), version.parse().unwrap());
        let key = InterbrokerKey::of(key).unwrap();
        seen.push((key as i16, version));
        let (asked, answered) = (bytes(asked), bytes(answered));
        let mut value = match key {
            InterbrokerKey::LeaderAndIsr => leader_and_isr(),
            InterbrokerKey::UpdateMetadata => update_metadata(),
            _ => stop_replica(),
        };
        if let (ControlRequest::StopReplica(request), false) =
            (&mut value, stops_are_mixed(version))
        {
            request
                .partitions
                .iter_mut()
                .for_each(|stop| stop.delete = true);
        }
        assert_eq!(value.encode(version).unwrap(), asked, "{key:?} {version}");
        let decoded = decode_in(key, version, asked.clone()).unwrap();
        assert_eq!(decoded.encode(version).unwrap(), asked, "{key:?} {version}");
        assert_cuts_fail(&asked, |body| decode_in(key, version, body));

        let form = ResponseForm::of(&value, version);
        let answer = ControlResponse {
            error_code: 0,
            partition_errors: match key {
                InterbrokerKey::UpdateMetadata => Vec::new(),
                _ => vec![(partition("orders", 0), 56), (partition("t", 3), 74)],
            },
        };
        assert_eq!(form.encode(&answer), answered, "{key:?} {version}");
        assert_eq!(form.decode(answered.clone()).unwrap(), answer);
        assert_cuts_fail(&answered, |body| form.decode(body));
    }
    let all = [(4, 7), (5, 4), (6, 8)];
    let all = all.map(|(key, newest)| (0..=newest).map(move |version| (key, version)));
    assert_eq!(seen, all.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn goodbyes_of_every_version_have_kafkas_bytes() {
    let key = InterbrokerKey::ControlledShutdown;
    let answer = ControlledShutdownResponse {
        error_code: 0,
        remaining: vec![partition("orders", 1)],
    };
    let plain_answer = "0000002a00000000000100066f726465727300000001";
    for (version, sent, answered) in [
        (0, "000700000000002a00000002", plain_answer),
        (1, "000700010000002a00013700000002", plain_answer),
        (
            2,
            "000700020000002a000137000000020000000100000002",
            plain_answer,
        ),
        (3, CONTROLLED_SHUTDOWN, CONTROLLED_SHUTDOWN_ANSWER),
    ] {
        let goodbye = ControlledShutdownRequest {
            broker_id: 2,
            broker_epoch: if version < 2 { -1 } else { 0x1_0000_0002 },
        };
        let (golden, answered) = (bytes(sent), bytes(answered));
        let body = goodbye.encode(version);
        let written = request(key, version, CORRELATION_ID, CLIENT_ID, &body);
        assert_eq!(written, golden, "{version}");
        let frame = InterbrokerFrame::parse(&golden).unwrap().unwrap();
        let decode = |body| ControlledShutdownRequest::decode(body, version);
        assert_eq!(decode(frame.body.clone()), Ok(goodbye));
        assert_cuts_fail(&frame.body, decode);

        let written = response(key, version, CORRELATION_ID, &answer.encode(version));
        assert_eq!(written, answered, "{version}");
        let (_, body) = split_response(key, version, answered).unwrap();
        let decode = |body| ControlledShutdownResponse::decode(body, version);
        assert_eq!(decode(body.clone()), Ok(answer.clone()));
        assert_cuts_fail(&body, decode);
    }
}

#[test]
fn answers_have_kafkas_bytes_and_name_every_partition() {
    let refused = |topic, index, code| (partition(topic, index), code);
    let of_partitions = ControlResponse {
        error_code: 0,
        partition_errors: vec![refused("orders", 0, 56), refused("t", 3, 74)],
    };
    let stale = ControlResponse {
        error_code: 77,
        partition_errors: Vec::new(),
    };
    let answers = [
        (LEADER_AND_ISR_ANSWER, leader_and_isr(), &of_partitions),
        (UPDATE_METADATA_ANSWER, update_metadata(), &stale),
        (STOP_REPLICA_ANSWER, stop_replica(), &of_partitions),
    ];
    for (golden, request, value) in answers {
        let (golden, form) = (
            bytes(golden),
            ResponseForm::of(&request, request.key().version()),
        );
        let (key, version) = (request.key(), request.key().version());
        let written = response(key, version, CORRELATION_ID, &form.encode(value));
        assert_eq!(written, golden);
        let (correlation_id, body) = split_response(key, version, golden).unwrap();
        assert_eq!(correlation_id, CORRELATION_ID);
        assert_eq!(form.decode(body.clone()).unwrap(), *value);
        assert_cuts_fail(&body, |body| form.decode(body));
    }
}

#[test]
fn an_answer_about_another_topic_is_an_error() {
    let (_, body) = split_response(
        InterbrokerKey::LeaderAndIsr,
        7,
        bytes(LEADER_AND_ISR_ANSWER),
    )
    .unwrap();
    let form = ResponseForm::of(&stop_replica(), 4);
    assert!(form.decode(body.clone()).is_err());
    let mut other = leader_and_isr();
    if let ControlRequest::LeaderAndIsr(request) = &mut other {
        request.topic_ids.remove(0);
    }
    let unknown = ResponseForm::of(&other, 7).decode(body).unwrap_err();
    assert_eq!(unknown, Error::UnknownTopicId(orders_id()));
}

#[test]
fn tagged_fields_are_skipped_and_kraft_controllers_refused() {
    let typed = InterbrokerFrame::parse(&bytes(UPDATE_METADATA_TYPED))
        .unwrap()
        .unwrap();
    let request = decode(typed.key, typed.body.clone()).unwrap();
    assert!(matches!(request, ControlRequest::UpdateMetadata(_)));
    assert_cuts_fail(&typed.body, |body| decode(typed.key, body));
    let kraft = InterbrokerFrame::parse(&bytes(UPDATE_METADATA_KRAFT))
        .unwrap()
        .unwrap();
    assert_eq!(decode(kraft.key, kraft.body), Err(Error::KraftController));
}

#[test]
fn a_large_count_is_an_error_before_it_makes_room() {
    let mut body = bytes("0000000700000000050000000100000002");
    body = [body.as_ref(), &[0xff, 0xff, 0xff, 0xff, 0x0f]]
        .concat()
        .into();
    let error = decode(InterbrokerKey::StopReplica, body).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Count {
                count: 4_294_967_294,
                remaining: 0
            }
        ),
        "{error:?}"
    );
}

#[test]
fn other_versions_are_refused_by_name() {
    let mut new = bytes(LEADER_AND_ISR).to_vec();
    new[3] = 8;
    let error = InterbrokerFrame::parse(&new.into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "version 8 of LeaderAndIsr is not served here"
    );
    let produce = Bytes::from_static(&[0, 0, 0, 3, 0, 0, 0, 1]);
    assert!(InterbrokerFrame::parse(&produce).unwrap().is_none());
}
