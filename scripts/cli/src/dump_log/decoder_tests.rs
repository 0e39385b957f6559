use bytes::BufMut as _;

use super::*;

fn record(key: Vec<u8>, value: Option<Vec<u8>>) -> Record {
    Record {
        offset: 9,
        timestamp: 0,
        key: Some(key.into()),
        value: value.map(Into::into),
        headers: Vec::new(),
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap());
    out.put_slice(text.as_bytes());
}

fn compact(out: &mut Vec<u8>, text: &str) {
    out.put_u8(u8::try_from(text.len() + 1).unwrap());
    out.put_slice(text.as_bytes());
}

fn offset_key_bytes() -> Vec<u8> {
    let mut key = vec![0, 1];
    text(&mut key, "g");
    text(&mut key, "t");
    key.put_i32(2);
    key
}

const OFFSET_KEY: &str = r#"{"type":"1","data":{"group":"g","topic":"t","partition":2}}"#;

fn decoded(decoder: Decoder, record: &Record) -> (String, String) {
    let (key, value) = decoder.decode(record).unwrap();
    (key.unwrap_or_default(), value.unwrap_or_default())
}

#[test]
fn committed_offsets_in_each_version() {
    let key = offset_key_bytes();
    let mut old = vec![0, 1];
    old.put_i64(5);
    text(&mut old, "m");
    old.put_i64(7);
    old.put_i64(8);
    let mut new = vec![0, 3];
    new.put_i64(5);
    new.put_i32(6);
    text(&mut new, "m");
    new.put_i64(7);
    let mut newest = vec![0, 4];
    newest.put_i64(5);
    newest.put_i32(6);
    compact(&mut newest, "m");
    newest.put_i64(7);
    newest.put_u8(0);
    let fields = r#""offset":5,"leaderEpoch":6,"metadata":"m","commitTimestamp":7"#;
    for (value, told) in [
        (Some(new), format!(r#"{{"version":"3","data":{{{fields}}}}}"#)),
        (Some(newest), format!(r#"{{"version":"4","data":{{{fields}}}}}"#)),
        (
            Some(old),
            r#"{"version":"1","data":{"offset":5,"metadata":"m","commitTimestamp":7,"expireTimestamp":8}}"#.to_owned(),
        ),
        (None, "<DELETE>".to_owned()),
    ] {
        let found = decoded(Decoder::Offsets, &record(key.clone(), value));
        assert_eq!(found, (OFFSET_KEY.to_owned(), told));
    }
}

#[test]
fn groups_and_their_members() {
    let mut key = vec![0, 2];
    text(&mut key, "g");
    let mut value = vec![0, 3];
    text(&mut value, "consumer");
    value.put_i32(4);
    text(&mut value, "range");
    text(&mut value, "m-1");
    value.put_i64(99);
    value.put_i32(1);
    text(&mut value, "m-1");
    value.put_i16(-1);
    text(&mut value, "c");
    text(&mut value, "/h");
    value.put_i32(300);
    value.put_i32(45);
    // Version 0: one topic, no user data.
    let subscription = [0, 0, 0, 0, 0, 1, 0, 1, b't', 0xFF, 0xFF, 0xFF, 0xFF];
    value.put_i32(i32::try_from(subscription.len()).unwrap());
    value.put_slice(&subscription);
    // No assignment yet.
    value.put_i32(0);
    let (name, told) = decoded(Decoder::Offsets, &record(key, Some(value)));
    assert_eq!(name, r#"{"type":"2","data":{"group":"g"}}"#);
    assert_eq!(
        told,
        r#"{"version":"3","data":{"protocolType":"consumer","generation":4,"protocol":"range","leader":"m-1","currentStateTimestamp":99,"members":[{"memberId":"m-1","groupInstanceId":null,"clientId":"c","clientHost":"/h","rebalanceTimeout":300,"sessionTimeout":45,"subscription":{"topics":["t"],"userData":null},"assignment":""}]}}"#
    );
}

#[test]
fn transactions() {
    let mut key = vec![0, 0];
    text(&mut key, "x");
    let mut value = vec![0, 0];
    value.put_i64(7);
    value.put_i16(1);
    value.put_i32(60_000);
    value.put_i8(1);
    value.put_i32(1);
    text(&mut value, "t");
    value.put_i32(2);
    value.put_i32(0);
    value.put_i32(3);
    value.put_i64(11);
    value.put_i64(10);
    let (name, told) = decoded(Decoder::Transactions, &record(key, Some(value)));
    assert_eq!(name, "transaction_metadata::transactionalId=x");
    assert_eq!(
        told,
        "producerId:7,producerEpoch:1,state=Ongoing,partitions=[t-0,t-3],txnLastUpdateTimestamp=11,txnTimeoutMs=60000"
    );
    let (name, told) = decoded(Decoder::Transactions, &record(vec![0, 5], None));
    assert_eq!((name.as_str(), told.as_str()), ("unknown::version=5", ""));
}

#[test]
fn cut_bytes_are_told() {
    let whole = offset_key_bytes();
    for length in 0..whole.len() {
        let cut = record(whole[..length].to_vec(), None);
        let (name, _) = decoded(Decoder::Offsets, &cut);
        assert!(name.starts_with("Error at offset 9, skipping. "), "{name}");
    }
    // A list of two thousand million members in four bytes.
    let mut key = vec![0, 2];
    text(&mut key, "g");
    let mut value = vec![0, 0];
    text(&mut value, "consumer");
    value.put_i32(1);
    value.put_i16(-1);
    value.put_i16(-1);
    value.put_i32(i32::MAX);
    let (name, _) = decoded(Decoder::Offsets, &record(key, Some(value)));
    assert!(
        name.contains("the buffer ends before its fields do"),
        "{name}"
    );
    let (name, _) = decoded(Decoder::Offsets, &record(vec![0, 3], None));
    assert_eq!(name, "Unknown record type 3 at offset 9, skipping.");
}
