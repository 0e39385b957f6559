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

/// No value on disk is larger; a corrupt length fails instead of allocating.
const SIZE_MAX: usize = 1 << 30;

/// Encodes `value` with fixed, documented settings (bincode 2 standard).
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    Ok(bincode::serde::encode_to_vec(
        value,
        bincode::config::standard(),
    )?)
}

/// Decodes a value that fills `bytes` exactly.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let config = bincode::config::standard().with_limit::<SIZE_MAX>();
    let (value, used) = bincode::serde::decode_from_slice(bytes, config)?;
    match bytes.len() - used {
        0 => Ok(value),
        rest => Err(Error::Trailing(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
