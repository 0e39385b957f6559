//! From a producer's message set to the one batch that the log keeps.

use bytes::Bytes;

use super::message::Message;
use super::{Format, lz4};
use crate::record::{BatchBuilder, Compression, Error, TimestampType, decompress};

/// What a set became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpConverted {
    /// There was no whole message in it.
    Nothing,
    Batch {
        batch: Bytes,
        /// Size of the largest message as it came, wrappers counted as one:
        /// what `max.message.bytes` bounds.
        largest: usize,
    },
}

/// Converts a set of format 0 or 1, as Kafka's LogValidator does: one codec,
/// one format, at most one wrapper; whatever offsets the producer wrote are
/// given up. Decompression stops at `limit` bytes.
pub fn up_convert(mut set: Bytes, limit: usize) -> Result<UpConverted, Error> {
    let mut messages = Vec::new();
    let mut largest = 0;
    loop {
        let before = set.len();
        let Some(message) = Message::split_from(&mut set)? else {
            break;
        };
        largest = largest.max(before - set.len());
        messages.push(message);
    }
    let Some(first) = messages.first() else {
        return Ok(UpConverted::Nothing);
    };
    let format = first.format;
    if messages.iter().any(|message| message.format != format) {
        return Err(Error::Malformed("messages of two formats are in one set"));
    }
    let (codec, messages) = unwrap(messages, limit)?;
    let mut builder = BatchBuilder::new(codec);
    for message in &messages {
        let (key, value) = (message.key.as_deref(), message.value.as_deref());
        if !builder.push(message.timestamp, key, value, &[]) {
            return Err(Error::Malformed("the messages do not fit one batch"));
        }
    }
    Ok(UpConverted::Batch {
        batch: builder.build()?,
        largest,
    })
}

/// The messages themselves, and the codec of the wrapper around them.
fn unwrap(messages: Vec<Message>, limit: usize) -> Result<(Compression, Vec<Message>), Error> {
    let mut codec = Compression::None;
    for message in &messages {
        match message.compression()? {
            Compression::None => {}
            found => codec = found,
        }
    }
    if codec == Compression::None {
        return Ok((codec, messages));
    }
    match &messages[..] {
        [wrapper] => {
            let inner = inner_messages(wrapper, codec, limit)?;
            if inner.iter().any(|message| message.format != wrapper.format) {
                return Err(Error::Malformed(
                    "a message's format is not that of its wrapper",
                ));
            }
            Ok((codec, inner))
        }
        _ => Err(Error::Malformed(
            "Compressed outer record has more than one batch",
        )),
    }
}

/// What lies in a wrapper, with offsets as they are written there.
pub(super) fn inner_messages(
    wrapper: &Message,
    codec: Compression,
    limit: usize,
) -> Result<Vec<Message>, Error> {
    let value = wrapper.value.as_deref().ok_or(Error::Malformed(
        "a wrapper of compressed messages has no value",
    ))?;
    let mut set = match (codec, wrapper.format) {
        (Compression::Zstd, _) => {
            return Err(Error::Malformed(
                "messages of formats 0 and 1 are not compressed with zstd",
            ));
        }
        (Compression::Lz4, Format::V0) => {
            decompress(codec, &lz4::with_correct_checksum(value)?, limit)
        }
        _ => decompress(codec, value, limit),
    }
    .map(Bytes::from)?;
    let mut messages = Vec::new();
    while let Some(mut message) = Message::split_from(&mut set)? {
        if message.compression()? != Compression::None {
            return Err(Error::Malformed(
                "a message in a compressed set is compressed itself",
            ));
        }
        if wrapper.timestamp_type() == TimestampType::LogAppendTime {
            message.timestamp = wrapper.timestamp;
        }
        messages.push(message);
    }
    let Some(last) = messages.last() else {
        return Err(Error::Malformed("a wrapper has no messages in it"));
    };
    // Offsets count from the wrapper's last one, except with certain versions
    // of librdkafka, which leave the wrapper's at 0.
    if wrapper.format == Format::V1 && wrapper.offset != 0 && wrapper.offset < last.offset {
        return Err(Error::Malformed(
            "a wrapper's offset is less than that of its last message",
        ));
    }
    Ok(messages)
}
