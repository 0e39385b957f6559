//! The four codecs, bounded on the way out.
//!
//! **Invariant:** decompression never produces more than the caller's limit,
//! however small the input.

use std::fmt;
use std::io::{Cursor, Read, Write};

use super::Error;

/// Xerial's framing of snappy, which Java clients write.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_VERSION: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_BLOCK_SIZE: usize = 32 * 1024;
/// gzip's level where nothing else is said.
pub const GZIP_LEVEL_DEFAULT: i32 = 6;
/// zstd's level where nothing else is said.
pub const ZSTD_LEVEL_DEFAULT: i32 = 3;
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How the records of a batch are compressed; the discriminants are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    pub fn from_id(id: u8) -> Result<Self, Error> {
        match id {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(Error::UnknownCompression(other)),
        }
    }

    #[must_use]
    pub fn id(self) -> u8 {
        self as u8
    }

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name as configuration keys use it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "none" | "uncompressed" => Some(Self::None),
            "gzip" => Some(Self::Gzip),
            "snappy" => Some(Self::Snappy),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decompresses `input` into at most `limit` bytes.
pub fn decompress(codec: Compression, input: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    match codec {
        Compression::None => Ok(input.to_vec()),
        Compression::Snappy => decompress_snappy(input, limit),
        Compression::Gzip | Compression::Lz4 | Compression::Zstd => {
            drain(codec, reader(codec, input, limit)?, limit)
        }
    }
}

/// Decompresses `input` as it is read; only snappy, whose format gives its
/// data back whole, is bounded by `limit`.
pub(super) fn reader<'a>(
    codec: Compression,
    input: &'a [u8],
    limit: usize,
) -> Result<Box<dyn Read + 'a>, Error> {
    let bad = |_| Error::BadCompression(codec);
    Ok(match codec {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
        Compression::Snappy => Box::new(Cursor::new(decompress_snappy(input, limit)?)),
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(input)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(bad)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(bad)?;
            Box::new(decoder)
        }
    })
}

/// Compresses `input` so that Kafka's own clients and brokers can read it.
pub fn compress(codec: Compression, input: &[u8]) -> Result<Vec<u8>, Error> {
    let level = match codec {
        Compression::Zstd => ZSTD_LEVEL_DEFAULT,
        _ => GZIP_LEVEL_DEFAULT,
    };
    compress_at(codec, level, input)
}

/// The same as hard as `level` says, where the codec has levels.
pub fn compress_at(codec: Compression, level: i32, input: &[u8]) -> Result<Vec<u8>, Error> {
    let bad = |_| Error::BadCompression(codec);
    match codec {
        Compression::None => Ok(input.to_vec()),
        Compression::Gzip => {
            let level = flate2::Compression::new(u32::try_from(level).unwrap_or(0).min(9));
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(input).map_err(bad)?;
            encoder.finish().map_err(bad)
        }
        Compression::Snappy => compress_snappy(input),
        Compression::Lz4 => {
            let mut frame = lz4_flex::frame::FrameInfo::new();
            frame.block_size = lz4_flex::frame::BlockSize::Max64KB;
            frame.block_mode = lz4_flex::frame::BlockMode::Independent;
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            encoder.write_all(input).map_err(bad)?;
            encoder.finish().map_err(|_| Error::BadCompression(codec))
        }
        Compression::Zstd => zstd::stream::encode_all(input, level).map_err(bad),
    }
}

fn drain(codec: Compression, reader: impl Read, limit: usize) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(bound)
        .read_to_end(&mut out)
        .map_err(|_| Error::BadCompression(codec))?;
    if out.len() > limit {
        return Err(Error::DecompressedTooLarge { limit });
    }
    Ok(out)
}

fn decompress_snappy(input: &[u8], limit: usize) -> Result<Vec<u8>, Error> {
    const BAD: Error = Error::BadCompression(Compression::Snappy);
    let mut out = Vec::new();
    let Some(mut rest) = input.strip_prefix(&XERIAL_MAGIC) else {
        append_snappy_block(input, &mut out, limit)?;
        return Ok(out);
    };
    rest = rest.get(XERIAL_VERSION.len()..).ok_or(BAD)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(BAD)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| BAD)?;
        let (block, after) = after.split_at_checked(length).ok_or(BAD)?;
        append_snappy_block(block, &mut out, limit)?;
        rest = after;
    }
    Ok(out)
}

fn append_snappy_block(block: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
    const BAD: Error = Error::BadCompression(Compression::Snappy);
    // A snappy element of three bytes yields at most 64, so a length beyond
    // that ratio is a lie and is refused before anything is allocated for it.
    const RATIO_MAX: usize = 32;
    let length = snap::raw::decompress_len(block).map_err(|_| BAD)?;
    if out.len().saturating_add(length) > limit {
        return Err(Error::DecompressedTooLarge { limit });
    }
    if length > block.len().saturating_mul(RATIO_MAX) {
        return Err(BAD);
    }
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(|_| BAD)?;
    Ok(())
}

fn compress_snappy(input: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(input.len() / 2 + XERIAL_MAGIC.len());
    out.extend_from_slice(&XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION);
    let mut encoder = snap::raw::Encoder::new();
    for block in input.chunks(XERIAL_BLOCK_SIZE) {
        let block = encoder
            .compress_vec(block)
            .map_err(|_| Error::BadCompression(Compression::Snappy))?;
        let length = i32::try_from(block.len()).expect("a block of 32 KiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 5] = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];

    #[test]
    fn every_codec_gives_back_what_it_got() {
        for size in [0, 1, 1000, 200_000] {
            let input: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
            for codec in CODECS {
                let packed = compress(codec, &input).unwrap();
                assert_eq!(
                    decompress(codec, &packed, 1 << 20).unwrap(),
                    input,
                    "{codec}"
                );
            }
        }
    }

    #[test]
    fn snappy_without_xerials_frame_is_read_too() {
        let packed = snap::raw::Encoder::new()
            .compress_vec(b"hello hello hello")
            .unwrap();
        let got = decompress(Compression::Snappy, &packed, 100).unwrap();
        assert_eq!(got, b"hello hello hello");
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let input = vec![0_u8; 10 << 20];
        for codec in &CODECS[1..] {
            let packed = compress(*codec, &input).unwrap();
            let limit = 1 << 20;
            let refused = decompress(*codec, &packed, limit);
            assert_eq!(
                refused,
                Err(Error::DecompressedTooLarge { limit }),
                "{codec}"
            );
        }
    }

    #[test]
    fn cut_or_flipped_input_never_panics() {
        let input = b"some text that compresses, some text that compresses".repeat(20);
        for codec in &CODECS[1..] {
            let packed = compress(*codec, &input).unwrap();
            for end in 0..packed.len() {
                let _ = decompress(*codec, &packed[..end], 1 << 16);
            }
            for at in 0..packed.len() {
                for bit in 0..8 {
                    let mut flipped = packed.clone();
                    flipped[at] ^= 1 << bit;
                    let _ = decompress(*codec, &flipped, 1 << 16);
                }
            }
        }
    }
}
