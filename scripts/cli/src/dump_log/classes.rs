//! The classes of Kafka that read keys and values, by their names.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;

use crate::failure::Failure;

const API: &str = "org.apache.kafka.tools.api.";
const DEPRECATED: &str = "kafka.serializer.";
pub(super) const TEXT: &str = "org.apache.kafka.tools.api.StringDecoder";

/// Bytes that are not what the class reads.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{needed} bytes are needed, and there are {held}")]
pub(super) struct Error {
    needed: usize,
    held: usize,
}

/// How the bytes of a key or a value are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Text,
    Int,
    Long,
    /// A JVM shows no more of an array than its type and a number.
    Bytes,
}

impl Class {
    /// The class of this name.
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        let simple = name.strip_prefix(DEPRECATED);
        Ok(match simple.or_else(|| name.strip_prefix(API)) {
            Some("StringDecoder") => Self::Text,
            Some("IntegerDecoder") => Self::Int,
            Some("LongDecoder") => Self::Long,
            Some("DefaultDecoder") => Self::Bytes,
            _ => {
                let thrown = "Exception in thread \"main\" java.lang.ClassNotFoundException";
                return Err(Failure::new(format!("{thrown}: {name}")));
            }
        })
    }

    /// What Kafka says of a name that it gave up.
    pub(super) fn advice(name: &str) -> Option<String> {
        let simple = name.strip_prefix(DEPRECATED)?;
        Some(format!(
            "{name} is deprecated. Please use {API}{simple} instead"
        ))
    }

    /// The text of a key or value that is there.
    pub(super) fn decode(self, bytes: Option<&Bytes>) -> Result<Option<String>, Error> {
        let decode = |bytes: &Bytes| match self {
            Self::Text => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Self::Int => first(bytes).map(|bytes| i32::from_be_bytes(bytes).to_string()),
            Self::Long => first(bytes).map(|bytes| i64::from_be_bytes(bytes).to_string()),
            Self::Bytes => {
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                Ok(format!("[B@{:x}", hasher.finish() & 0x7fff_ffff))
            }
        };
        bytes.map(decode).transpose()
    }
}

fn first<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.first_chunk().copied().ok_or(Error {
        needed: N,
        held: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_either_name() {
        for (name, class) in [
            (TEXT, Class::Text),
            ("kafka.serializer.IntegerDecoder", Class::Int),
            ("org.apache.kafka.tools.api.LongDecoder", Class::Long),
            ("org.apache.kafka.tools.api.DefaultDecoder", Class::Bytes),
        ] {
            assert_eq!(Class::named(name), Ok(class), "{name}");
        }
        assert!(Class::named("com.example.Mine").is_err());
        assert_eq!(Class::advice(TEXT), None);
        assert_eq!(
            Class::advice("kafka.serializer.LongDecoder").unwrap(),
            "kafka.serializer.LongDecoder is deprecated. Please use org.apache.kafka.tools.api.LongDecoder instead"
        );
    }

    #[test]
    fn numbers_need_their_bytes() {
        let bytes = Bytes::from_static(&[0, 0, 1, 2]);
        let text = |class: Class| class.decode(Some(&bytes));
        assert_eq!(text(Class::Int), Ok(Some("258".to_owned())));
        assert_eq!(text(Class::Long), Err(Error { needed: 8, held: 4 }));
        assert_eq!(Class::Long.decode(None), Ok(None));
        let shown = text(Class::Bytes).unwrap().unwrap();
        assert!(shown.starts_with("[B@"));
    }
}
