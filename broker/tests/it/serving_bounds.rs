//! What no client may do to a broker: crash it, hold it up, fill its memory.

use std::time::Duration;

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::{ApiVersionsRequest, CreatePartitionsRequest};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::serving::{
    Client, Site, batch, create_topic_request, fetch_request, fetched, frame, topic_name,
};

const INVALID_PARTITIONS: i16 = 37;
const INVALID_REPLICA_ASSIGNMENT: i16 = 39;

/// A client's connection still works.
async fn is_served(client: &mut Client) -> bool {
    client
        .call(0, &ApiVersionsRequest::default())
        .await
        .error_code
        == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_closes_only_its_own_connection() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut bystander = broker.client().await;
    let garbage: [&[u8]; 7] = [
        // Negative and oversized lengths.
        &[0xff, 0xff, 0xff, 0xff, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff, 0, 0],
        // Shorter than a header.
        &[0, 0, 0, 2, 0, 18],
        // An unknown API, a version from the future, one from the past.
        &[0, 0, 0, 10, 0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
        &[0, 0, 0, 10, 0, 1, 0, 0, 0, 0, 0, 1, 0xff, 0xff],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = broker.client().await;
        client.raw(bytes).await;
        assert!(client.answer().await.is_none(), "{bytes:?}");
        assert!(is_served(&mut bystander).await);
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_that_the_bytes_cannot_hold_are_refused() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut bystander = broker.client().await;
    // Every API, in its oldest served version, with a body of huge counts.
    for api in broker::protocol::api::APIS {
        for fill in [0x7f_u8, 0xff, 0x00] {
            let mut bytes = vec![0, 0, 0, 0];
            bytes.extend((api.key as i16).to_be_bytes());
            bytes.extend(api.max.to_be_bytes());
            bytes.extend([0, 0, 0, 9, 0xff, 0xff]);
            bytes.extend([fill; 40]);
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_be_bytes());
            let mut client = broker.client().await;
            client.raw(&bytes).await;
            drop(client);
            assert!(is_served(&mut bystander).await);
        }
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_connections_leave_room_for_others() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut half_open = Vec::new();
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(("127.0.0.1", broker.port))
            .await
            .unwrap();
        stream.write_all(&[6, 0, 0]).await.unwrap();
        half_open.push(stream);
    }
    assert!(is_served(&mut broker.client().await).await);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_does_not_hold_up_a_stop() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("big", 1).await;
    let value = "x".repeat(900_000);
    for _ in 0..4 {
        client.produce("big", 1, batch(&[&value])).await;
    }
    let mut deaf = TcpStream::connect(("127.0.0.1", broker.port))
        .await
        .unwrap();
    let request = fetch_request("big", 0).with_max_bytes(50 << 20);
    // As many as it can send before the broker stops to read them.
    loop {
        let bytes = frame(12, 1, &request);
        let sent = deaf.write_all(&bytes);
        let pause = Duration::from_millis(200);
        if tokio::time::timeout(pause, sent).await.is_err() {
            break;
        }
    }
    assert!(is_served(&mut client).await);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_request_to_the_admin_port_does_not_hold_up_a_stop() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut half = TcpStream::connect(broker.admin).await.unwrap();
    half.write_all(b"GET /health HTTP/1.1\r\nHost:")
        .await
        .unwrap();
    let silent = TcpStream::connect(broker.admin).await.unwrap();
    broker.stop().await;
    drop((half, silent));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurd_number_of_partitions_is_refused() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    let response = client
        .call(7, &create_topic_request("absurd", i32::MAX))
        .await;
    assert_eq!(response.topics[0].error_code, INVALID_PARTITIONS);
    client.create_topic("small", 1).await;
    let request = CreatePartitionsRequest::default()
        .with_topics(vec![
            CreatePartitionsTopic::default()
                .with_name(topic_name("small"))
                .with_count(i32::MAX)
                .with_assignments(None),
        ])
        .with_timeout_ms(1000);
    let response = client.call(3, &request).await;
    assert_eq!(response.results[0].error_code, INVALID_PARTITIONS);
    // Two more partitions, but not a word on where they go.
    let mut unplaced = request;
    unplaced.topics[0].count = 3;
    unplaced.topics[0].assignments = Some(Vec::new());
    let response = client.call(3, &unplaced).await;
    assert_eq!(response.results[0].error_code, INVALID_REPLICA_ASSIGNMENT);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_numbers_in_a_fetch_are_taken_as_kafka_takes_them() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("odd", 1).await;
    client.produce("odd", 1, batch(&["first"])).await;
    client.produce("odd", 1, batch(&["second"])).await;
    // Room for nothing still gives the first batch.
    let none = fetch_request("odd", 0).with_max_bytes(0);
    assert_eq!(fetched(&client.call(12, &none).await).2, ["first"]);
    let mut narrow = fetch_request("odd", 0);
    narrow.topics[0].partitions[0].partition_max_bytes = 0;
    assert_eq!(fetched(&client.call(12, &narrow).await).2, ["first"]);
    // Negative waits and minima count as none.
    let negative = fetch_request("odd", 0)
        .with_max_wait_ms(-5)
        .with_min_bytes(-5)
        .with_max_bytes(-5);
    assert_eq!(fetched(&client.call(12, &negative).await).2, ["first"]);
    // A minimum beyond the maximum is met by the maximum.
    let greedy = fetch_request("odd", 0)
        .with_max_wait_ms(i32::MAX)
        .with_min_bytes(i32::MAX)
        .with_max_bytes(80);
    assert_eq!(fetched(&client.call(12, &greedy).await).2, ["first"]);
    assert_eq!(client.fetch("odd", -1).await.0, 1, "OFFSET_OUT_OF_RANGE");
    assert_eq!(client.fetch("odd", i64::MAX).await.0, 1);
    broker.stop().await;
}

/// Each end of a segment made a reader with a minimum wait for its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_wait_at_the_end_of_a_segment() {
    let site = Site::new().await;
    let broker = site.broker(&[("log.segment.bytes", "100")]).await;
    let mut client = broker.client().await;
    client.create_topic("rolled", 1).await;
    client.produce("rolled", 1, batch(&["first"])).await;
    client.produce("rolled", 1, batch(&["second"])).await;
    let patient = fetch_request("rolled", 0)
        .with_max_wait_ms(i32::MAX)
        .with_min_bytes(1000);
    assert_eq!(fetched(&client.call(12, &patient).await).2, ["first"]);
    broker.stop().await;
}
