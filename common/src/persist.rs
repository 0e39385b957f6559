//! The only user of bincode: our own disk formats' bodies.
//!
//! bincode is no longer maintained (RUSTSEC-2025-0141), so it stays behind
//! these two functions. Callers add magic, version and checksum.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not the value they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot be encoded: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    #[error("cannot be decoded: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    #[error("{0} bytes follow the value")]
    Trailing(usize),
}

/// How much larger than its encoding a value may be in memory. The limit that the
/// library knows is a constant, so there are a few of them: a length that lies
/// fails instead of allocating what the bytes do not bring.
const GROWTH_MAX: usize = 64;

/// Encodes `value` with fixed, documented settings (bincode 2 standard).
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    Ok(bincode::serde::encode_to_vec(
        value,
        bincode::config::standard(),
    )?)
}

/// Decodes a value that fills `bytes` exactly.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let (value, used) = match bytes.len().saturating_mul(GROWTH_MAX) {
        0..0x1_0000 => decode_limited::<T, 0x1_0000>(bytes)?,
        0x1_0000..0x10_0000 => decode_limited::<T, 0x10_0000>(bytes)?,
        0x10_0000..0x100_0000 => decode_limited::<T, 0x100_0000>(bytes)?,
        0x100_0000..0x1000_0000 => decode_limited::<T, 0x1000_0000>(bytes)?,
        _ => decode_limited::<T, 0x10_0000_0000>(bytes)?,
    };
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(Error::Trailing(rest)),
    }
}

fn decode_limited<T: DeserializeOwned, const LIMIT: usize>(
    bytes: &[u8],
) -> Result<(T, usize), Error> {
    let config = bincode::config::standard().with_limit::<LIMIT>();
    Ok(bincode::serde::decode_from_slice(bytes, config)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_lies_is_refused() {
        // 2^40 bytes are promised.
        let lie = [253, 0, 0, 0, 0, 0, 1, 0, 0, 7];
        assert!(decode::<Vec<u8>>(&lie).is_err());
        assert!(decode::<String>(&lie).is_err());
        for len in [3, 5000, 70_000, 1_100_000, 17_000_000] {
            let value = vec![7_u8; len];
            assert_eq!(decode::<Vec<u8>>(&encode(&value).unwrap()).unwrap(), value);
        }
    }

    #[test]
    fn round_trip_and_trailing_bytes() {
        let value = (7_u64, "path".to_owned(), vec![1_u8, 2]);
        let mut bytes = encode(&value).unwrap();
        assert_eq!(decode::<(u64, String, Vec<u8>)>(&bytes).unwrap(), value);
        bytes.push(0);
        let error = decode::<(u64, String, Vec<u8>)>(&bytes).unwrap_err();
        assert!(matches!(error, Error::Trailing(1)));
        assert!(decode::<(u64, String, Vec<u8>)>(&bytes[..3]).is_err());
    }
}
