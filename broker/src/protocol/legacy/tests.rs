use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, FetchRequest, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::*;
use crate::protocol::RequestFrame;

fn name(text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(text))
}

/// A body, written field by field.
#[derive(Default)]
struct Body(BytesMut);

impl Body {
    fn i8(mut self, value: i8) -> Self {
        self.0.put_i8(value);
        self
    }

    fn i16(mut self, value: i16) -> Self {
        self.0.put_i16(value);
        self
    }

    fn i32(mut self, value: i32) -> Self {
        self.0.put_i32(value);
        self
    }

    fn i64(mut self, value: i64) -> Self {
        self.0.put_i64(value);
        self
    }

    fn text(mut self, text: &str) -> Self {
        self.0.put_i16(i16::try_from(text.len()).unwrap());
        self.0.put_slice(text.as_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.put_i32(i32::try_from(bytes.len()).unwrap());
        self.0.put_slice(bytes);
        self
    }
}

/// The request that `body` is; every shorter body is refused.
fn request<R: OldRequest>(version: i16, body: Body) -> R {
    let bytes = body.0.freeze();
    for end in 0..bytes.len() {
        let mut cut = Fields::new(bytes.slice(..end));
        assert!(R::decode_old(&mut cut, version).is_err(), "cut at {end}");
    }
    R::decode_old(&mut Fields::new(bytes), version).unwrap()
}

fn answer<R: OldResponse>(version: i16, response: &R) -> Bytes {
    let mut out = BytesMut::new();
    encode(response, version, &mut out).unwrap();
    out.freeze()
}

#[test]
fn produce() {
    let body = || {
        let head = Body::default().i16(-1).i32(5000).i32(1).text("t");
        head.i32(1).i32(7).bytes(b"set")
    };
    for version in 0..=2 {
        let request: ProduceRequest = request(version, body());
        assert_eq!((request.acks, request.timeout_ms), (-1, 5000));
        assert_eq!(request.transactional_id, None);
        let partition = &request.topic_data[0].partition_data[0];
        assert_eq!(
            (partition.index, partition.records.as_deref()),
            (7, Some(&b"set"[..]))
        );
    }
    let partition = PartitionProduceResponse::default()
        .with_index(7)
        .with_error_code(3)
        .with_base_offset(42)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(9);
    let topic = TopicProduceResponse::default()
        .with_name(name("t"))
        .with_partition_responses(vec![partition]);
    let response = ProduceResponse::default().with_responses(vec![topic]);
    let begin = || {
        Body::default()
            .i32(1)
            .text("t")
            .i32(1)
            .i32(7)
            .i16(3)
            .i64(42)
    };
    assert_eq!(answer(0, &response), begin().0);
    assert_eq!(answer(1, &response), begin().i32(0).0);
    assert_eq!(answer(2, &response), begin().i64(-1).i32(0).0);
}

#[test]
fn fetch() {
    for version in 0..=3 {
        let mut body = Body::default().i32(-1).i32(100).i32(1);
        if version == 3 {
            body = body.i32(5000);
        }
        let body = body.i32(1).text("t").i32(1).i32(7).i64(42).i32(1000);
        let request: FetchRequest = request(version, body);
        assert_eq!(
            request.max_bytes,
            if version == 3 { 5000 } else { i32::MAX }
        );
        assert_eq!((request.session_id, request.session_epoch), (0, -1));
        let partition = &request.topics[0].partitions[0];
        assert_eq!(
            (partition.fetch_offset, partition.partition_max_bytes),
            (42, 1000)
        );
        assert_eq!(
            (partition.current_leader_epoch, partition.last_fetched_epoch),
            (-1, -1)
        );
    }
}

#[test]
fn list_offsets() {
    let body = Body::default().i32(-1).i32(1).text("t").i32(1);
    let body = body.i32(7).i64(-1).i32(2).0.freeze();
    let frame = RequestFrame {
        api: crate::protocol::api::lookup(2).unwrap(),
        version: 0,
        correlation_id: 5,
        client_id: None,
        body,
    };
    let wanted = PartitionV0 {
        index: 7,
        timestamp: -1,
        offsets_max: 2,
    };
    let topic = StrBytes::from_static_str("t");
    let request = ListOffsetsRequestV0::decode(&frame).unwrap();
    assert_eq!(request.topics, [(topic.clone(), vec![wanted])]);
    let response = ListOffsetsResponseV0 {
        topics: vec![(topic, vec![(7, 0, vec![9, 0])])],
    };
    let expected = Body::default().i32(5).i32(1).text("t").i32(1);
    let expected = expected.i32(7).i16(0).i32(2).i64(9).i64(0).0;
    assert_eq!(response.encode(&frame).unwrap(), expected);
}

#[test]
fn offset_commit() {
    let body = Body::default().text("g").i32(1).text("t").i32(1);
    let old: OffsetCommitRequest = request(0, body.i32(7).i64(42).text("m"));
    assert_eq!(old.group_id.as_str(), "g");
    assert_eq!(old.generation_id_or_member_epoch, -1);
    let body = Body::default().text("g").i32(3).text("me");
    let body = body
        .i32(1)
        .text("t")
        .i32(1)
        .i32(7)
        .i64(42)
        .i64(1000)
        .i16(-1);
    let dated: DatedOffsetCommit = request(1, body);
    assert_eq!(dated.commit_timestamps_ms, [1000]);
    let newer = dated.request;
    assert_eq!(newer.generation_id_or_member_epoch, 3);
    assert_eq!(newer.member_id.as_str(), "me");
    assert_eq!(newer.retention_time_ms, -1);
    let [old, newer] = [old, newer].map(|request| request.topics[0].partitions[0].clone());
    assert_eq!((old.committed_offset, newer.committed_offset), (42, 42));
    assert_eq!(old.committed_metadata.as_deref(), Some("m"));
    assert_eq!(newer.committed_metadata, None);

    let partition = OffsetCommitResponsePartition::default()
        .with_partition_index(7)
        .with_error_code(12);
    let topic = OffsetCommitResponseTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let response = OffsetCommitResponse::default().with_topics(vec![topic]);
    let expected = Body::default().i32(1).text("t").i32(1).i32(7).i16(12);
    assert_eq!(answer(1, &response), expected.0);
}

#[test]
fn offset_fetch() {
    let body = Body::default().text("g").i32(1).text("t");
    let request: OffsetFetchRequest = request(0, body.i32(2).i32(7).i32(8));
    assert_eq!(request.group_id.as_str(), "g");
    assert_eq!(request.topics.unwrap()[0].partition_indexes, [7, 8]);
    let partition = OffsetFetchResponsePartition::default()
        .with_partition_index(7)
        .with_committed_offset(42)
        .with_metadata(Some(StrBytes::from_static_str("m")));
    let topic = OffsetFetchResponseTopic::default()
        .with_name(name("t"))
        .with_partitions(vec![partition]);
    let response = OffsetFetchResponse::default().with_topics(vec![topic]);
    let expected = Body::default().i32(1).text("t").i32(1);
    assert_eq!(
        answer(0, &response),
        expected.i32(7).i64(42).text("m").i16(0).0
    );
}

#[test]
fn create_topics() {
    let topic = || {
        let topic = Body::default().i32(1).text("t").i32(-1).i16(-1);
        let topic = topic.i32(1).i32(0).i32(2).i32(1).i32(2);
        topic.i32(1).text("retention.ms").text("9").i32(500)
    };
    let old: CreateTopicsRequest = request(0, topic());
    let newer: CreateTopicsRequest = request(1, topic().i8(1));
    assert_eq!((old.validate_only, newer.validate_only), (false, true));
    assert_eq!(old.timeout_ms, 500);
    assert_eq!(old.topics, newer.topics);
    let topic = &old.topics[0];
    assert_eq!(topic.assignments[0].broker_ids, [1, 2]);
    assert_eq!(topic.configs[0].value.as_deref(), Some("9"));
    let result = CreatableTopicResult::default()
        .with_name(name("t"))
        .with_error_code(36)
        .with_error_message(Some(StrBytes::from_static_str("no")));
    let response = CreateTopicsResponse::default().with_topics(vec![result]);
    let begin = || Body::default().i32(1).text("t").i16(36);
    assert_eq!(answer(0, &response), begin().0);
    assert_eq!(answer(1, &response), begin().text("no").0);
}

#[test]
fn delete_topics() {
    let request: DeleteTopicsRequest = request(0, Body::default().i32(1).text("t").i32(500));
    assert_eq!(
        (request.topic_names, request.timeout_ms),
        (vec![name("t")], 500)
    );
    let result = DeletableTopicResult::default()
        .with_name(Some(name("t")))
        .with_error_code(41);
    let response = DeleteTopicsResponse::default().with_responses(vec![result]);
    assert_eq!(
        answer(0, &response),
        Body::default().i32(1).text("t").i16(41).0
    );
}

#[test]
fn describe_configs() {
    let body = Body::default().i32(2).i8(2).text("t").i32(1).text("a");
    let request: DescribeConfigsRequest = request(0, body.i8(4).text("1").i32(-1));
    assert_eq!(
        request.resources[0]
            .configuration_keys
            .as_ref()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(request.resources[1].configuration_keys, None);
    let entry = |source| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str("k"))
            .with_value(None)
            .with_read_only(true)
            .with_config_source(source)
    };
    let result = DescribeConfigsResult::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("t"))
        .with_error_message(None)
        .with_configs(vec![entry(5), entry(1)]);
    let response = DescribeConfigsResponse::default().with_results(vec![result]);
    let expected = Body::default()
        .i32(0)
        .i32(1)
        .i16(0)
        .i16(-1)
        .i8(2)
        .text("t")
        .i32(2);
    let expected = expected.text("k").i16(-1).i8(1).i8(1).i8(0);
    let expected = expected.text("k").i16(-1).i8(1).i8(0).i8(0);
    assert_eq!(answer(0, &response), expected.0);
}

#[test]
fn offset_for_leader_epoch() {
    let body = Body::default().i32(1).text("t").i32(1).i32(7).i32(3);
    let request: OffsetForLeaderEpochRequest = request(1, body);
    let partition = &request.topics[0].partitions[0];
    assert_eq!((partition.partition, partition.leader_epoch), (7, 3));
    assert_eq!(partition.current_leader_epoch, -1);
    let end = EpochEndOffset::default()
        .with_partition(7)
        .with_leader_epoch(2)
        .with_end_offset(42);
    let topic = OffsetForLeaderTopicResult::default()
        .with_topic(name("t"))
        .with_partitions(vec![end]);
    let response = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
    let begin = || Body::default().i32(1).text("t").i32(1).i16(0).i32(7);
    assert_eq!(answer(0, &response), begin().i64(42).0);
    assert_eq!(answer(1, &response), begin().i32(2).i64(42).0);
}

/// A count of elements that are not there allocates nothing.
#[test]
fn a_count_without_elements_is_refused() {
    let body = Body::default().i16(1).i32(0).i32(i32::MAX);
    let mut from = Fields::new(body.0.freeze());
    assert!(ProduceRequest::decode_old(&mut from, 0).is_err());
    let mut from = Fields::new(Body::default().i16(1).i32(0).i32(-2).0.freeze());
    assert!(ProduceRequest::decode_old(&mut from, 0).is_err());
}

#[test]
fn the_last_old_version_is_the_one_before_the_codecs_first() {
    for (key, first) in FIRST_KNOWN {
        assert!(is_old(*key, *first), "{key:?} {first}");
        assert!(!is_old(*key, key.valid_versions().min));
        let served = crate::protocol::api::lookup(*key as i16).unwrap();
        assert_eq!(served.min, *first);
    }
}
