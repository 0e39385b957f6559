//! `/consumers/<group>/offsets/<topic>/<partition>`: a decimal number.

use super::json::Malformed;
use crate::model::Offset;

/// Decodes the offset as Kafka does: nothing but its digits may be there.
pub fn decode_consumer_offset(data: &[u8]) -> Result<Offset, Malformed> {
    let text = std::str::from_utf8(data).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or(Malformed::Field {
            what: "a consumer's offset",
            field: "offset",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_its_digits() {
        assert_eq!(decode_consumer_offset(b"42").unwrap(), 42);
        assert_eq!(decode_consumer_offset(b"-1").unwrap(), -1);
        for bad in [&b""[..], b"4 2", b"x", &[0xff]] {
            assert!(decode_consumer_offset(bad).is_err(), "{bad:?}");
        }
    }
}
