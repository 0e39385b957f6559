//! Fetch sessions over the wire (KIP-227).

use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

use crate::support::serving::{Client, Site, batch, fetch_request, topic_name};

const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;

/// Fetches in a session; names only these partitions with their offsets.
async fn fetch(
    client: &mut Client,
    (session, epoch): (i32, i32),
    wanted: &[(i32, i64)],
    forgotten: &[i32],
) -> FetchResponse {
    let mut request = fetch_request("session", 0)
        .with_session_id(session)
        .with_session_epoch(epoch);
    let partitions = wanted.iter().map(|(index, offset)| {
        FetchPartition::default()
            .with_partition(*index)
            .with_fetch_offset(*offset)
            .with_partition_max_bytes(1 << 20)
    });
    request.topics = match wanted.is_empty() {
        true => Vec::new(),
        false => vec![
            FetchTopic::default()
                .with_topic(topic_name("session"))
                .with_partitions(partitions.collect()),
        ],
    };
    if !forgotten.is_empty() {
        request.forgotten_topics_data = vec![
            ForgottenTopic::default()
                .with_topic(topic_name("session"))
                .with_partitions(forgotten.to_vec()),
        ];
    }
    client.call(12, &request).await
}

/// The partitions of an answer, with the bytes of their records.
fn told(response: &FetchResponse) -> Vec<(i32, bool)> {
    let partitions = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            let records = partition.records.as_ref();
            (
                partition.partition_index,
                records.is_some_and(|r| !r.is_empty()),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_told_only_what_is_new() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("session", 2).await;
    let full = fetch(&mut client, (0, 0), &[(0, 0), (1, 0)], &[]).await;
    let id = full.session_id;
    assert!(id > 0);
    assert_eq!(told(&full), [(0, false), (1, false)]);
    let nothing = fetch(&mut client, (id, 1), &[], &[]).await;
    assert_eq!((nothing.session_id, told(&nothing)), (id, vec![]));

    client.produce("session", -1, batch(&["new"])).await;
    let records = fetch(&mut client, (id, 2), &[], &[]).await;
    assert_eq!(told(&records), [(0, true)]);
    let after = fetch(&mut client, (id, 3), &[(0, 1)], &[1]).await;
    assert_eq!(told(&after), []);

    let again = fetch(&mut client, (id, 3), &[], &[]).await;
    assert_eq!(again.error_code, INVALID_FETCH_SESSION_EPOCH);
    let strange = fetch(&mut client, (id ^ 1, 4), &[], &[]).await;
    assert_eq!(strange.error_code, FETCH_SESSION_ID_NOT_FOUND);
    // The last request of a session is answered like one without.
    let last = fetch(&mut client, (id, -1), &[(1, 0)], &[]).await;
    assert_eq!((last.session_id, told(&last)), (0, vec![(1, false)]));
    let gone = fetch(&mut client, (id, 4), &[], &[]).await;
    assert_eq!(gone.error_code, FETCH_SESSION_ID_NOT_FOUND);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_a_session_is_not_opened() {
    let site = Site::new().await;
    let slots = [("max.incremental.fetch.session.cache.slots", "1")];
    let broker = site.broker(&slots).await;
    let mut client = broker.client().await;
    client.create_topic("session", 1).await;
    let first = fetch(&mut client, (0, 0), &[(0, 0)], &[]).await;
    let second = fetch(&mut client, (0, 0), &[(0, 0)], &[]).await;
    assert!(first.session_id > 0);
    assert_eq!((second.session_id, told(&second)), (0, vec![(0, false)]));
    broker.stop().await;
}
