//! The topics inside a consumer's subscription, the one thing that the broker
//! reads out of the metadata that members exchange.

use std::collections::HashSet;

/// The protocol type of Kafka's consumers.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// The subscribed topics, or `None` when the bytes do not follow the consumer
/// protocol; its versions only ever append fields behind the topics.
pub(super) fn topics(metadata: &[u8]) -> Option<HashSet<String>> {
    let (version, rest) = metadata.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) < 0 {
        return None;
    }
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    if count > rest.len() / 2 {
        return None;
    }
    let mut topics = HashSet::with_capacity(count);
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

#[cfg(test)]
pub(super) fn encode(topics: &[&str]) -> bytes::Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_and_damage_is_noticed() {
        let good = encode(&["a", "bc"]);
        let expected: HashSet<String> = ["a".to_owned(), "bc".to_owned()].into();
        assert_eq!(topics(&good), Some(expected));
        assert_eq!(topics(&encode(&[])), Some(HashSet::new()));
        let body = 2 + 4 + 3 + 4;
        for cut in 0..body {
            assert_eq!(topics(&good[..cut]), None, "cut at {cut}");
        }
        assert_eq!(topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(topics(&[0xff, 0xff, 0, 0, 0, 0]), None);
    }
}
