//! Zig-zag variable-length integers, as in protocol buffers.

use super::Error;

const MALFORMED: Error = Error::Malformed("a variable-length integer is cut off or too long");

/// Reads a 32-bit integer from the front of `bytes` and advances it.
pub fn read_varint(bytes: &mut &[u8]) -> Result<i32, Error> {
    let raw = u32::try_from(read_unsigned(bytes, 5)?).map_err(|_| MALFORMED)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Reads a 64-bit integer from the front of `bytes` and advances it.
pub fn read_varlong(bytes: &mut &[u8]) -> Result<i64, Error> {
    let raw = read_unsigned(bytes, 10)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Appends a 32-bit integer.
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(
        out,
        u64::from(((value << 1) ^ (value >> 31)).cast_unsigned()),
    );
}

/// Appends a 64-bit integer.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

fn read_unsigned(bytes: &mut &[u8], length_max: usize) -> Result<u64, Error> {
    let mut value = 0_u64;
    for index in 0..length_max {
        let (&byte, rest) = bytes.split_first().ok_or(MALFORMED)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return Err(MALFORMED);
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MALFORMED)
}

fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        for (value, expected) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[126]),
            (64, &[0x80, 1]),
            (i32::MAX, &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i32::MIN, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, expected, "{value}");
        }
    }

    #[test]
    fn overlong_and_cut_integers_are_refused() {
        for bad in [
            &[][..],
            &[0x80],
            &[0xff; 5],
            &[0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            assert!(read_varint(&mut &*bad).is_err(), "{bad:?}");
        }
        assert!(read_varlong(&mut &[0xff_u8; 10][..]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(short in any::<i32>(), long in any::<i64>()) {
            let mut out = Vec::new();
            write_varint(&mut out, short);
            write_varlong(&mut out, long);
            let mut rest = &out[..];
            prop_assert_eq!(read_varint(&mut rest).unwrap(), short);
            prop_assert_eq!(read_varlong(&mut rest).unwrap(), long);
            prop_assert!(rest.is_empty());
        }
    }
}
