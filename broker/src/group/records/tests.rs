//! Golden bytes, made by Kafka's own generated classes.

use super::*;
use crate::group::Config;
use crate::group::api::CommittedOffset;
use crate::model::{NEWEST, TopicName};
use crate::state_log::fields;
use crate::state_log::records::Entry;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn partition() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), 2)
}

fn commit(leader_epoch: Option<i32>, expire_timestamp_ms: Option<i64>) -> Commit {
    Commit {
        committed: CommittedOffset {
            offset: 42,
            leader_epoch,
            metadata: "meta".into(),
        },
        commit_timestamp_ms: 1_700_000_000_000,
        expire_timestamp_ms,
    }
}

fn group(instance_id: Option<&str>, rebalance_ms: i32, since_ms: Option<i64>) -> GroupValue {
    GroupValue {
        protocol_type: "consumer".into(),
        generation: 5,
        protocol: Some("range".into()),
        leader: Some("m-1".into()),
        state_timestamp_ms: since_ms,
        members: vec![MemberValue {
            member_id: "m-1".into(),
            instance_id: instance_id.map(str::to_owned),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            rebalance_timeout_ms: rebalance_ms,
            session_timeout_ms: 10_000,
            subscription: Bytes::from_static(&[1, 2]),
            assignment: Bytes::from_static(&[3]),
        }],
    }
}

const OFFSET_KEY: &str = "0001000367727000017400000002";
const GROUP_KEY: &str = "00020003677270";
const OFFSET_VALUES: [&str; 5] = [
    "0000000000000000002a00046d6574610000018bcfe56800",
    "0001000000000000002a00046d6574610000018bcfe568000000018bcfe57b88",
    "0002000000000000002a00046d6574610000018bcfe56800",
    "0003000000000000002a0000000700046d6574610000018bcfe56800",
    "0004000000000000002a00000007056d6574610000018bcfe5680000",
];
const GROUP_VALUES: [&str; 5] = [
    "00000008636f6e73756d657200000005000572616e676500036d2d310000000100036d2d31000163000a\
     2f3132372e302e302e31000027100000000201020000000103",
    "00010008636f6e73756d657200000005000572616e676500036d2d310000000100036d2d31000163000a\
     2f3132372e302e302e310000ea60000027100000000201020000000103",
    "00020008636f6e73756d657200000005000572616e676500036d2d310000018bcfe56800000000010003\
     6d2d31000163000a2f3132372e302e302e310000ea60000027100000000201020000000103",
    "00030008636f6e73756d657200000005000572616e676500036d2d310000018bcfe56800000000010003\
     6d2d31000169000163000a2f3132372e302e302e310000ea60000027100000000201020000000103",
    "000409636f6e73756d6572000000050672616e6765046d2d310000018bcfe5680002046d2d3102690263\
     0b2f3132372e302e302e310000ea600000271003010202030000",
];
const EMPTY_GROUP_VALUE: &str = "00030008636f6e73756d657200000006ffffffff0000018bcfe5680000000000";

fn offset_record(commit: Option<Commit>) -> Record {
    Record::Offset {
        group_id: "grp".into(),
        partition: partition(),
        commit,
    }
}

fn group_record(value: Option<GroupValue>) -> Record {
    Record::Group {
        group_id: "grp".into(),
        value,
    }
}

#[test]
fn every_version_is_read() {
    let offsets = [
        commit(None, None),
        commit(None, Some(1_700_000_005_000)),
        commit(None, None),
        commit(Some(7), None),
        commit(Some(7), None),
    ];
    for (hex, expected) in OFFSET_VALUES.iter().zip(offsets) {
        let read = Record::decode(&bytes(OFFSET_KEY), Some(&bytes(hex)));
        assert_eq!(read, Ok(Some(offset_record(Some(expected)))), "{hex}");
    }
    let since = Some(1_700_000_000_000);
    let groups = [
        group(None, 10_000, None),
        group(None, 60_000, None),
        group(None, 60_000, since),
        group(Some("i"), 60_000, since),
        group(Some("i"), 60_000, since),
    ];
    for (hex, expected) in GROUP_VALUES.iter().zip(groups) {
        let read = Record::decode(&bytes(GROUP_KEY), Some(&bytes(hex)));
        assert_eq!(read, Ok(Some(group_record(Some(expected)))), "{hex}");
    }
    let old_key = format!("0000{}", &OFFSET_KEY[4..]);
    let read = Record::decode(&bytes(&old_key), None);
    assert_eq!(read, Ok(Some(offset_record(None))));
}

#[test]
fn the_bytes_written_are_kafkas() {
    let empty = GroupValue {
        protocol_type: "consumer".into(),
        generation: 6,
        state_timestamp_ms: Some(1_700_000_000_000),
        ..GroupValue::default()
    };
    let full = group(Some("i"), 60_000, Some(1_700_000_000_000));
    let cases = [
        (
            offset_record(Some(commit(Some(7), None))),
            OFFSET_KEY,
            Some(OFFSET_VALUES[3]),
        ),
        (
            offset_record(Some(commit(None, Some(1_700_000_005_000)))),
            OFFSET_KEY,
            Some(OFFSET_VALUES[1]),
        ),
        (offset_record(None), OFFSET_KEY, None),
        (group_record(Some(full)), GROUP_KEY, Some(GROUP_VALUES[3])),
        (
            group_record(Some(empty)),
            GROUP_KEY,
            Some(EMPTY_GROUP_VALUE),
        ),
        (group_record(None), GROUP_KEY, None),
    ];
    for (record, key, value) in cases {
        let written = record.encode(NEWEST).unwrap();
        assert_eq!(written.key, bytes(key));
        assert_eq!(written.value, value.map(bytes), "{record:?}");
    }
}

/// What the brokers of an older cluster can read.
#[test]
fn older_clusters_are_written_for() {
    let since = Some(1_700_000_000_000);
    for (cluster, value) in [("2.6", 3), ("2.2", 2), ("2.0", 1), ("0.11.0", 1)] {
        let record = group_record(Some(group(Some("i"), 60_000, since)));
        let written = record.encode(cluster.parse().unwrap()).unwrap();
        assert_eq!(
            written.value.unwrap(),
            bytes(GROUP_VALUES[value]),
            "{cluster}"
        );
    }
    let record = offset_record(Some(commit(Some(7), None)));
    let written = |cluster: &str| {
        let written = record.encode(cluster.parse().unwrap()).unwrap();
        written.value.unwrap()
    };
    assert_eq!(written("2.1"), bytes(OFFSET_VALUES[3]));
    assert_eq!(written("2.1-IV0"), bytes(OFFSET_VALUES[2]));
    let without_expiry = "0001000000000000002a00046d6574610000018bcfe56800ffffffffffffffff";
    assert_eq!(written("1.1"), bytes(without_expiry));
}

#[test]
fn damage_is_an_error_never_a_panic() {
    for (key, values) in [(OFFSET_KEY, OFFSET_VALUES), (GROUP_KEY, GROUP_VALUES)] {
        let key = bytes(key);
        for cut in 0..key.len() {
            assert!(Record::decode(&key[..cut], None).is_err());
        }
        for hex in values {
            let value = bytes(hex);
            for cut in 0..value.len() {
                assert!(
                    Record::decode(&key, Some(&value[..cut])).is_err(),
                    "{hex} at {cut}"
                );
            }
            for at in 0..value.len() {
                let mut damaged = value.clone();
                damaged[at] ^= 0xff;
                let _ = Record::decode(&key, Some(&damaged));
            }
        }
    }
    assert_eq!(
        Record::decode(&[0, 3, 0, 0], None),
        Ok(None),
        "an unknown kind"
    );
    let unknown = Record::decode(&bytes(GROUP_KEY), Some(&[0, 9]));
    assert_eq!(unknown, Err(Error::UnknownValueVersion(9)));
    let group_id = "x".repeat(40_000);
    let record = Record::Group {
        group_id,
        value: None,
    };
    let too_long = Error::Fields(fields::Error::StringTooLong);
    assert_eq!(record.encode(NEWEST), Err(too_long));
}

#[test]
fn batches_carry_records_and_markers() {
    let written = [
        offset_record(Some(commit(Some(7), None))),
        group_record(None),
    ];
    let encoded = written
        .each_ref()
        .map(|record| record.encode(NEWEST).unwrap());
    let plain = encode(&encoded, None, 5, &Config::default()).unwrap();
    let transactional = {
        let mut builder = BatchBuilder::new(crate::record::Compression::None).base_offset(2, 0);
        builder = builder.producer(9, 0, 0).transactional();
        let KeyValue { key, value } = &encoded[0];
        assert!(builder.push(5, Some(key), value.as_deref(), &[]));
        builder.build().unwrap()
    };
    let marker = {
        let mut builder = BatchBuilder::new(crate::record::Compression::None).base_offset(3, 0);
        builder = builder.producer(9, 0, -1).transactional().control();
        let value = [0, 0, 0, 0, 0, 1];
        assert!(builder.push(5, Some(&[0, 0, 0, 1]), Some(&value), &[]));
        builder.build().unwrap()
    };
    let all = Bytes::from([plain, transactional, marker].concat());
    let mut entries = Vec::new();
    let next = records::decode(&all, 1, |entry| entries.push(entry));
    assert_eq!(next, Some(4));
    let [_, tombstone] = &written;
    let expected = [
        Entry::Record {
            offset: 1,
            record: tombstone.clone(),
        },
        Entry::Transactional {
            offset: 2,
            producer_id: 9,
            record: written[0].clone(),
        },
        Entry::Marker {
            producer_id: 9,
            committed: true,
        },
    ];
    assert_eq!(entries, expected);
    let unread = |_: Entry<Record>| {};
    assert_eq!(records::decode(&Bytes::new(), 0, unread), None);
    // A batch that is not what was written counts for nothing; what follows does.
    let mut damaged = all.to_vec();
    let in_first_batch = 90;
    damaged[in_first_batch] ^= 1;
    let mut rest = Vec::new();
    let next = records::decode(&damaged.into(), 0, |entry| rest.push(entry));
    assert_eq!(next, Some(4));
    assert_eq!(rest, expected[1..]);
}
