//! LZ4 frames of message format 0, whose header checksum also covers the
//! frame's magic number: a mistake that is kept, since old clients check it.

use twox_hash::XxHash32;

use crate::record::{Compression, Error};

const MAGIC_SIZE: usize = 4;
const CONTENT_SIZE_FLAG: u8 = 0x08;
const DICTIONARY_FLAG: u8 = 0x01;
const BAD: Error = Error::BadCompression(Compression::Lz4);

/// The frame with the checksum that the format's authors meant; whatever stood
/// there is not looked at, as in Kafka.
pub(super) fn with_correct_checksum(frame: &[u8]) -> Result<Vec<u8>, Error> {
    let at = checksum_at(frame).ok_or(BAD)?;
    let mut frame = frame.to_vec();
    frame[at] = checksum(&frame[MAGIC_SIZE..at]);
    Ok(frame)
}

/// The frame with the checksum that readers of format 0 expect.
pub(super) fn with_broken_checksum(mut frame: Vec<u8>) -> Result<Vec<u8>, Error> {
    let at = checksum_at(&frame).ok_or(BAD)?;
    frame[at] = checksum(&frame[..at]);
    Ok(frame)
}

/// Where the header's checksum is: behind flags, block size and what they announce.
fn checksum_at(frame: &[u8]) -> Option<usize> {
    const FLAGS_AND_BLOCK_SIZE: usize = 2;
    const CONTENT_SIZE: usize = 8;
    const DICTIONARY_ID: usize = 4;
    let flags = *frame.get(MAGIC_SIZE)?;
    let mut at = MAGIC_SIZE + FLAGS_AND_BLOCK_SIZE;
    if flags & CONTENT_SIZE_FLAG != 0 {
        at += CONTENT_SIZE;
    }
    if flags & DICTIONARY_FLAG != 0 {
        at += DICTIONARY_ID;
    }
    (at < frame.len()).then_some(at)
}

/// The second byte of the hash.
fn checksum(bytes: &[u8]) -> u8 {
    const SEED: u32 = 0;
    let [.., second, _lowest] = XxHash32::oneshot(SEED, bytes).to_be_bytes();
    second
}
