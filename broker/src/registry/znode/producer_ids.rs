//! `/latest_producer_id_block`: the block of producer ids handed out last.

use serde::Deserialize;
use serde_json::json;

use super::json::{Malformed, decode, object, to_bytes};
use crate::model::BrokerId;

const WHAT: &str = "/latest_producer_id_block";
/// Producer ids per block, as in Kafka.
pub const PRODUCER_ID_BLOCK_SIZE: i64 = 1000;

/// Producer ids `start..=end`, reserved for one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub broker: BrokerId,
    pub start: i64,
    pub end: i64,
}

impl ProducerIdBlock {
    /// The block after `last`, or the first one; `None` when ids ran out.
    #[must_use]
    pub fn after(last: Option<&Self>, broker: BrokerId) -> Option<Self> {
        let start = match last {
            None => 0,
            Some(last) => last.end.checked_add(1)?,
        };
        let end = start.checked_add(PRODUCER_ID_BLOCK_SIZE - 1)?;
        Some(Self { broker, start, end })
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_bytes(object([
            ("version", json!(1)),
            ("broker", json!(self.broker)),
            ("block_start", json!(self.start.to_string())),
            ("block_end", json!(self.end.to_string())),
        ]))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        #[derive(Deserialize)]
        struct Raw {
            broker: BrokerId,
            block_start: String,
            block_end: String,
        }
        let raw: Raw = decode(WHAT, bytes)?;
        let number = |text: &str, field| {
            let parsed = text.parse::<i64>().ok().filter(|id| *id >= 0);
            parsed.ok_or(Malformed::Field { what: WHAT, field })
        };
        Ok(Self {
            broker: raw.broker,
            start: number(&raw.block_start, "block_start")?,
            end: number(&raw.block_end, "block_end")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other() {
        let first = ProducerIdBlock::after(None, 1).unwrap();
        assert_eq!(
            first.encode(),
            br#"{"version":1,"broker":1,"block_start":"0","block_end":"999"}"#
        );
        let second = ProducerIdBlock::after(Some(&first), 2).unwrap();
        assert_eq!((second.start, second.end), (1000, 1999));
        assert_eq!(ProducerIdBlock::decode(&second.encode()).unwrap(), second);
        let last = ProducerIdBlock { broker: 1, start: 0, end: i64::MAX - 5 };
        assert_eq!(ProducerIdBlock::after(Some(&last), 1), None);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(ProducerIdBlock::decode(br#"{"broker":1,"block_start":"x","block_end":"9"}"#).is_err());
        assert!(ProducerIdBlock::decode(br#"{"broker":1,"block_start":"0","block_end":"-9"}"#).is_err());
    }
}
