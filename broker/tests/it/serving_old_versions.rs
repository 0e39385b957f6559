//! Versions and message formats of old clients, as bytes on the socket.

use broker::record::legacy::{UpConverted, up_convert};
use broker::record::{Batch, BatchBuilder, Compression};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::support::serving::{Client, Site, batch};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const CORRUPT_MESSAGE: i16 = 2;
const UNSUPPORTED_COMPRESSION_TYPE: i16 = 76;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const UNSUPPORTED_VERSION: i16 = 35;

/// A message of format 0 or 1, its CRC in place.
fn message(format: u8, attributes: u8, value: &[u8]) -> Vec<u8> {
    let mut body = vec![format, attributes];
    if format == 1 {
        body.put_i64(1_000_000);
    }
    body.put_i32(-1);
    body.put_i32(i32::try_from(value.len()).unwrap());
    body.put_slice(value);
    let mut out = Vec::new();
    out.put_i64(-1);
    out.put_i32(i32::try_from(body.len() + 4).unwrap());
    out.put_u32(common::checksum::crc32(&body));
    out.put_slice(&body);
    out
}

fn text(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap());
    out.put_slice(text.as_bytes());
}

fn produce(topic: &str, set: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(-1);
    out.put_i32(5000);
    out.put_i32(1);
    text(&mut out, topic);
    out.put_i32(1);
    out.put_i32(0);
    out.put_i32(i32::try_from(set.len()).unwrap());
    out.put_slice(set);
    out
}

fn fetch(version: i16, topic: &str, offset: i64, bytes_max: i32) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i32(-1);
    out.put_i32(0);
    out.put_i32(1);
    if version >= 3 {
        out.put_i32(i32::MAX);
    }
    out.put_i32(1);
    text(&mut out, topic);
    out.put_i32(1);
    out.put_i32(0);
    out.put_i64(offset);
    out.put_i32(bytes_max);
    out
}

/// Error code and base offset of a Produce response below version 3.
async fn produced(client: &mut Client, version: i16, topic: &str, set: &[u8]) -> (i16, i64) {
    let mut answer = client
        .ask(PRODUCE, version, &produce(topic, set).freeze())
        .await;
    answer.advance(4 + 2 + topic.len() + 4 + 4);
    (answer.get_i16(), answer.get_i64())
}

/// Error code and records of a Fetch response below version 4.
async fn fetched(
    client: &mut Client,
    version: i16,
    topic: &str,
    offset: i64,
    bytes_max: i32,
) -> (i16, Bytes) {
    let request = fetch(version, topic, offset, bytes_max).freeze();
    let mut answer = client.ask(FETCH, version, &request).await;
    if version >= 1 {
        answer.advance(4);
    }
    answer.advance(4 + 2 + topic.len() + 4 + 4);
    let error = answer.get_i16();
    answer.advance(8);
    let length = usize::try_from(answer.get_i32()).unwrap();
    assert_eq!(answer.len(), length);
    (error, answer)
}

/// The values of a set.
fn values(set: Bytes) -> Vec<String> {
    match up_convert(set, 1 << 20).unwrap() {
        UpConverted::Nothing => Vec::new(),
        UpConverted::Batch { batch, .. } => {
            let records = Batch::only(batch).unwrap().records(1 << 20).unwrap();
            let values = records.map(|record| record.unwrap().value.unwrap());
            values
                .map(|value| String::from_utf8(value.to_vec()).unwrap())
                .collect()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn message_sets_are_taken_and_given_in_every_old_version() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("old", 1).await;
    let mut expected = Vec::new();
    for version in 0..=2 {
        for format in 0..=1 {
            let value = format!("{version} {format}");
            let set = [
                message(format, 0, value.as_bytes()),
                message(format, 0, b"2nd"),
            ];
            let next = i64::try_from(expected.len()).unwrap();
            let answer = produced(&mut client, version, "old", &set.concat()).await;
            assert_eq!(answer, (0, next));
            expected.extend([value, "2nd".to_owned()]);
        }
    }
    // A set without a whole message is nothing, and no error.
    assert_eq!(produced(&mut client, 0, "old", b"").await, (0, -1));
    let mut flipped = message(1, 0, b"x");
    *flipped.last_mut().unwrap() ^= 1;
    let (error, _) = produced(&mut client, 1, "old", &flipped).await;
    assert_eq!(error, CORRUPT_MESSAGE);
    // Newer clients see the same records.
    let (_, _, seen) = client.fetch("old", 0).await;
    assert_eq!(seen, expected);
    for version in 0..=3 {
        for offset in 0..expected.len() {
            let from = i64::try_from(offset).unwrap();
            let (error, set) = fetched(&mut client, version, "old", from, 1 << 20).await;
            let format = set[16];
            assert_eq!((error, format), (0, u8::from(version >= 2)));
            assert_eq!(set[..8], from.to_be_bytes(), "none before the offset");
            assert_eq!(values(set), expected[offset..]);
        }
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_readers_get_no_more_bytes_than_they_ask_for() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("cut", 1).await;
    let long = "v".repeat(500);
    client
        .produce("cut", -1, batch(&[&long, &long, &long]))
        .await;
    for version in 0..=2 {
        let (_, set) = fetched(&mut client, version, "cut", 0, 700).await;
        assert_eq!(
            set.len(),
            700,
            "a message that is cut off says: ask for more"
        );
        assert_eq!(values(set).len(), 1);
    }
    let (_, set) = fetched(&mut client, 3, "cut", 0, 700).await;
    assert_eq!(values(set).len(), 3, "version 3 gets the first batch whole");
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_old_readers_cannot_have_is_an_error() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("zstd", 1).await;
    let mut zstd = BatchBuilder::new(Compression::Zstd);
    assert!(zstd.push(1, None, Some(b"v"), &[]));
    let zstd = zstd.build().unwrap();
    assert_eq!(client.produce("zstd", -1, zstd).await, (0, 0));
    for version in 0..=3 {
        let (error, _) = fetched(&mut client, version, "zstd", 0, 1 << 20).await;
        assert_eq!(error, UNSUPPORTED_COMPRESSION_TYPE);
    }
    broker.stop().await;

    let unwilling = [("log.message.downconversion.enable", "false")];
    let broker = site.broker(&unwilling).await;
    let mut client = broker.client().await;
    let (error, _) = fetched(&mut client, 1, "zstd", 0, 1 << 20).await;
    assert_eq!(error, UNSUPPORTED_VERSION);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_of_version_0_lie_in_the_coordinators_znodes() {
    let site = Site::new().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    client.create_topic("seen", 1).await;
    let request = |index: i32, offset: Option<i64>| {
        let mut out = BytesMut::new();
        text(&mut out, "elders");
        out.put_i32(1);
        text(&mut out, "seen");
        out.put_i32(1);
        out.put_i32(index);
        if let Some(offset) = offset {
            out.put_i64(offset);
            text(&mut out, "lost");
        }
        out.freeze()
    };
    let head = 4 + 2 + "seen".len() + 4 + 4;
    let fetch_0 = async |client: &mut Client| {
        let mut answer = client.ask(OFFSET_FETCH, 0, &request(0, None)).await;
        answer.advance(head);
        answer.get_i64()
    };
    assert_eq!(fetch_0(&mut client).await, -1, "nothing yet");
    for committed in [7, 42] {
        let commit = request(0, Some(committed));
        let mut answer = client.ask(OFFSET_COMMIT, 0, &commit).await;
        answer.advance(head);
        assert_eq!(answer.get_i16(), 0);
        assert_eq!(fetch_0(&mut client).await, committed);
    }
    let mut answer = client.ask(OFFSET_COMMIT, 0, &request(1, Some(7))).await;
    answer.advance(head);
    assert_eq!(answer.get_i16(), UNKNOWN_TOPIC_OR_PARTITION);
    broker.stop().await;
    let broker = site.broker(&[]).await;
    let mut client = broker.client().await;
    assert_eq!(fetch_0(&mut client).await, 42, "znodes outlive the broker");
    broker.stop().await;
}
