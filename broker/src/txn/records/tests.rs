//! Golden bytes, laid out as Kafka's `TransactionLogKey` and `TransactionLogValue`
//! say.

use super::*;
use crate::state_log::records::Entry;
use crate::txn::state::NO_TIME;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digits).collect()
}

fn partition(topic: &str, index: i32) -> TopicPartition {
    TopicPartition::new(TopicName::new(topic).unwrap(), index)
}

fn ongoing() -> Metadata {
    Metadata {
        producer_id: 4_000,
        last_producer_id: NO_PRODUCER_ID,
        producer_epoch: 3,
        last_producer_epoch: NO_EPOCH,
        timeout_ms: 60_000,
        state: State::Ongoing,
        partitions: [partition("b", 0), partition("a", 1), partition("a", 0)].into(),
        started_ms: 5,
        updated_ms: 7,
    }
}

const KEY: &str = "0000 0003 747874";
const ONGOING: &str = "0000 0000000000000fa0 0003 0000ea60 01
    00000002 0001 61 00000002 00000000 00000001 0001 62 00000001 00000000
    0000000000000007 0000000000000005";
const ONGOING_FLEXIBLE: &str = "0001 0000000000000fa0 0003 0000ea60 01
    03 02 61 03 00000000 00000001 00 02 62 02 00000000 00
    0000000000000007 0000000000000005 00";
const EMPTY: &str = "0000 0000000000000fa0 0003 0000ea60 00 ffffffff
    0000000000000007 ffffffffffffffff";
const EMPTY_FLEXIBLE: &str = "0001 0000000000000fa0 0003 0000ea60 00 00
    0000000000000007 ffffffffffffffff 00";

fn record(metadata: Option<Metadata>) -> Record {
    Record {
        transactional_id: "txt".to_owned(),
        metadata,
    }
}

fn empty() -> Metadata {
    Metadata {
        state: State::Empty,
        partitions: BTreeSet::new(),
        started_ms: NO_TIME,
        ..ongoing()
    }
}

#[test]
fn records_are_written_as_kafka_does() {
    for (metadata, value) in [
        (Some(ongoing()), Some(bytes(ONGOING))),
        (Some(empty()), Some(bytes(EMPTY))),
        (None, None),
    ] {
        let written = record(metadata).encode().unwrap();
        assert_eq!(written.key, bytes(KEY));
        assert_eq!(written.value.map(|value| value.to_vec()), value);
    }
}

#[test]
fn both_versions_are_read() {
    for (hex, metadata) in [
        (ONGOING, ongoing()),
        (ONGOING_FLEXIBLE, ongoing()),
        (EMPTY, empty()),
        (EMPTY_FLEXIBLE, empty()),
    ] {
        let read = Record::decode(&bytes(KEY), Some(&bytes(hex)));
        assert_eq!(read, Ok(Some(record(Some(metadata)))));
    }
    let tombstone = Record::decode(&bytes(KEY), None);
    assert_eq!(tombstone, Ok(Some(record(None))));
}

#[test]
fn what_is_not_known_is_told_apart_from_what_is_damaged() {
    let unknown_key = Record::decode(&[0, 9, 0, 0], None);
    assert_eq!(unknown_key, Ok(None));
    let unknown_value = Record::decode(&bytes(KEY), Some(&[0, 9]));
    assert_eq!(unknown_value, Err(Error::UnknownValueVersion(9)));
    let mut state = bytes(EMPTY);
    state[16] = 8;
    let unknown_state = Record::decode(&bytes(KEY), Some(&state));
    assert_eq!(unknown_state, Err(fields::Error::UnknownValue(8).into()));
    for hex in [ONGOING, ONGOING_FLEXIBLE, EMPTY, EMPTY_FLEXIBLE] {
        let whole = bytes(hex);
        for length in 0..whole.len() {
            let cut = Record::decode(&bytes(KEY), Some(&whole[..length]));
            assert!(cut.is_err(), "{hex} cut to {length}");
        }
    }
}

#[test]
fn an_id_that_no_record_holds_is_refused() {
    let mut record = record(None);
    record.transactional_id = "x".repeat(40_000);
    let refused = Error::Fields(fields::Error::StringTooLong);
    assert_eq!(record.encode(), Err(refused));
}

#[test]
fn batches_carry_records_in_order() {
    let written = [record(Some(empty())), record(Some(ongoing())), record(None)];
    let batch = encode(&written, 9).unwrap();
    let mut read = Vec::new();
    let next = records::decode(&batch, 1, |entry| read.push(entry));
    assert_eq!(next, Some(3));
    let [_, second, third] = written;
    let expected = [(1, second), (2, third)];
    assert_eq!(
        read,
        expected.map(|(offset, record)| Entry::Record { offset, record })
    );
}
