//! Records in, records out: acknowledgements, waiting, offsets, duplicates.

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    DeleteTopicsRequest, InitProducerIdRequest, ListOffsetsRequest, ProduceRequest,
};

use crate::support::serving::{
    Client, Site, batch, batch_of, fetch_request, fetched, produce_request, produced, topic_name,
};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_TOPIC: i16 = 17;
const INVALID_REQUIRED_ACKS: i16 = 21;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
const INVALID_RECORD: i16 = 87;

async fn offset(client: &mut Client, topic: &str, timestamp: i64) -> (i16, i64) {
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(vec![
                    ListOffsetsPartition::default().with_timestamp(timestamp),
                ]),
        ]);
    let response = client.call(7, &request).await;
    let partition = &response.topics[0].partitions[0];
    (partition.error_code, partition.offset)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_acknowledgement_lands_in_the_log() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("acks", 1).await;
    assert_eq!(client.produce("acks", -1, batch(&["all"])).await, (0, 0));
    assert_eq!(client.produce("acks", 1, batch(&["one"])).await, (0, 1));
    client
        .send(9, &produce_request("acks", 0, batch(&["none"])))
        .await;
    // Answers keep the order of their requests, so the unanswered one is in.
    assert_eq!(
        client.fetch("acks", 0).await,
        (0, 3, vec!["all".into(), "one".into(), "none".into()])
    );
    let (error, _) = client.produce("acks", 2, batch(&["two"])).await;
    assert_eq!(error, INVALID_REQUIRED_ACKS);
    assert_eq!(offset(&mut client, "acks", -2).await, (0, 0));
    assert_eq!(offset(&mut client, "acks", -1).await, (0, 3));
    assert_eq!(offset(&mut client, "acks", 0).await, (0, 0));
    assert_eq!(offset(&mut client, "acks", i64::MAX).await, (0, -1));
    assert_eq!(
        offset(&mut client, "none", -1).await.0,
        UNKNOWN_TOPIC_OR_PARTITION
    );
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_produce_that_wants_no_answer_closes_the_connection() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client
        .send(9, &produce_request("nowhere", 0, batch(&["x"])))
        .await;
    assert!(client.answer().await.is_none());
    broker.stop().await;
}

/// The same records with a bit that fell over on the way.
fn flipped(records: Bytes) -> Bytes {
    let mut bytes = records.to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    bytes.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_produce_that_cannot_be_is_answered_as_by_kafka() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("strict", 1).await;
    let cases: [(&str, Bytes, i16); 6] = [
        ("nowhere", batch(&["x"]), UNKNOWN_TOPIC_OR_PARTITION),
        ("not a name", batch(&["x"]), UNKNOWN_TOPIC_OR_PARTITION),
        (
            "__consumer_offsets",
            batch(&["x"]),
            UNKNOWN_TOPIC_OR_PARTITION,
        ),
        ("strict", Bytes::new(), INVALID_RECORD),
        (
            "strict",
            [batch(&["a"]), batch(&["b"])].concat().into(),
            INVALID_RECORD,
        ),
        ("strict", flipped(batch(&["bit"])), CORRUPT_MESSAGE),
    ];
    for (topic, records, expected) in cases {
        let (error, offset) = client.produce(topic, -1, records.clone()).await;
        assert_eq!((error, offset), (expected, -1), "{topic} {records:?}");
    }
    client.create_topic("__consumer_offsets", 1).await;
    let (error, _) = client
        .produce("__consumer_offsets", -1, batch(&["x"]))
        .await;
    assert_eq!(error, INVALID_TOPIC);
    // No topics at all, and a timeout from nowhere.
    let empty = ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(i32::MIN);
    assert!(client.call(9, &empty).await.responses.is_empty());
    let patient = produce_request("strict", -1, batch(&["x"])).with_timeout_ms(i32::MAX);
    assert_eq!(produced(&client.call(9, &patient).await), (0, 0));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_fetch_is_woken_by_records_and_by_deletion() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("live", 1).await;
    let patient = fetch_request("live", 0).with_max_wait_ms(i32::MAX);
    let mut waiting = broker.client().await;
    let id = waiting.send(12, &patient).await;
    client.produce("live", 1, batch(&["here"])).await;
    let answer = waiting.receive::<kafka_protocol::messages::FetchRequest>(12, id);
    assert_eq!(fetched(&answer.await).2, ["here"]);

    let patient = fetch_request("live", 1).with_max_wait_ms(i32::MAX);
    let id = waiting.send(12, &patient).await;
    let delete = DeleteTopicsRequest::default()
        .with_topic_names(vec![topic_name("live")])
        .with_timeout_ms(20_000);
    client.call(5, &delete).await;
    let answer = waiting.receive::<kafka_protocol::messages::FetchRequest>(12, id);
    let (error, ..) = fetched(&answer.await);
    assert!([3, 6].contains(&error), "{error}");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_twice_is_there_once() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("once", 1).await;
    let init = client
        .call(
            4,
            &InitProducerIdRequest::default().with_transactional_id(None),
        )
        .await;
    assert_eq!(init.error_code, 0);
    let producer = (init.producer_id.0, init.producer_epoch);
    let first = batch_of(producer, 0, &["a", "b"]);
    assert_eq!(client.produce("once", -1, first.clone()).await, (0, 0));
    let second = batch_of(producer, 2, &["c"]);
    assert_eq!(client.produce("once", -1, second).await, (0, 2));
    assert_eq!(client.produce("once", -1, first).await, (0, 0), "as before");
    let gap = batch_of(producer, 7, &["lost"]);
    let (error, _) = client.produce("once", -1, gap).await;
    assert_eq!(error, OUT_OF_ORDER_SEQUENCE);
    assert_eq!(client.fetch("once", 0).await.2, ["a", "b", "c"]);
    broker.stop().await;
}
