//! Undoes the compression of a snapshot, which its file's name tells.
//!
//! ```text
//! snapshot.HEX          plain
//! snapshot.HEX.gz       gzip
//! snapshot.HEX.snappy   the stream of Java's snappy: a header of 16 bytes, then
//!                       blocks, each a length u32 and a block of raw snappy
//! ```

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::archive::invalid;

const SNAPPY_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Behind the magic: a version and the oldest one that can read it, four bytes each.
const SNAPPY_VERSIONS_LEN: usize = 8;
/// No element of raw snappy makes more than 64 bytes, and none is shorter than 2.
const SNAPPY_RATIO_MAX: usize = 32;
/// No writer makes blocks of this size, so one that claims it is damaged.
const SNAPPY_BLOCK_MAX: u64 = 1 << 30;

/// Opens a snapshot for reading, whatever its compression.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    Ok(match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
        Some("snappy") => Box::new(Snappy::new(file)),
        _ => Box::new(file),
    })
}

/// Reads the stream that Java's snappy writes.
#[derive(Debug)]
struct Snappy<R> {
    source: R,
    block: Vec<u8>,
    taken: usize,
    begun: bool,
}

impl<R: Read> Snappy<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            block: Vec::new(),
            taken: 0,
            begun: false,
        }
    }

    /// Unpacks the next block; `false` at the end of the stream.
    fn next_block(&mut self) -> io::Result<bool> {
        let mut four = [0; 4];
        loop {
            if !read_or_end(&mut self.source, &mut four)? {
                return Ok(false);
            }
            // A header may come again where streams were put behind each other.
            if four != SNAPPY_MAGIC[..4] {
                break;
            }
            let mut rest = [0; 4 + SNAPPY_VERSIONS_LEN];
            self.source.read_exact(&mut rest)?;
            if rest[..4] != SNAPPY_MAGIC[4..] {
                return Err(invalid("the header of snappy is wrong"));
            }
            self.begun = true;
        }
        let length = u64::from(u32::from_be_bytes(four));
        if !self.begun || length > SNAPPY_BLOCK_MAX {
            return Err(invalid("it is no stream of snappy"));
        }
        let mut packed = Vec::new();
        let read = (&mut self.source).take(length).read_to_end(&mut packed)?;
        if (read as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let unpacked = snap::raw::decompress_len(&packed).map_err(io::Error::other)?;
        if unpacked > packed.len().saturating_mul(SNAPPY_RATIO_MAX) {
            return Err(invalid("a block of snappy promises too much"));
        }
        let mut decoder = snap::raw::Decoder::new();
        self.block = decoder.decompress_vec(&packed).map_err(io::Error::other)?;
        self.taken = 0;
        Ok(true)
    }
}

/// Fills `buffer`, or says that the source had ended before.
fn read_or_end(source: &mut impl Read, buffer: &mut [u8; 4]) -> io::Result<bool> {
    let mut filled = Vec::new();
    source.take(4).read_to_end(&mut filled)?;
    match filled.len() {
        0 => Ok(false),
        4 => {
            buffer.copy_from_slice(&filled);
            Ok(true)
        }
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl<R: Read> Read for Snappy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let available = &self.block[self.taken..];
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(parts: &[&[u8]]) -> Vec<u8> {
        let mut stream = SNAPPY_MAGIC.to_vec();
        stream.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        for part in parts {
            let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
            stream.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
            stream.extend_from_slice(&block);
        }
        stream
    }

    fn unpack(stream: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Snappy::new(stream).read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn blocks_and_streams_follow_each_other() {
        let mut two = packed(&[b"one ", &[b'x'; 5000]]);
        two.extend(packed(&[b" end"]));
        let expected = [b"one ".to_vec(), vec![b'x'; 5000], b" end".to_vec()].concat();
        assert_eq!(unpack(&two).unwrap(), expected);
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        let good = packed(&[b"some text"]);
        for cut in 1..good.len() {
            // Only the end of the header is the end of a (shorter) stream.
            assert_eq!(unpack(&good[..cut]).is_ok(), cut == 16, "{cut}");
        }
        assert!(unpack(b"no snappy at all").is_err());
        let mut lies = good[..16].to_vec();
        // A block of five bytes that claims to hold 2 GiB.
        lies.extend_from_slice(&[0, 0, 0, 5, 255, 255, 255, 255, 7]);
        assert!(unpack(&lies).is_err());
    }
}
