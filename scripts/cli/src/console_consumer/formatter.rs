//! How a record is printed: `DefaultMessageFormatter`'s properties. Pure.

use bytes::Bytes;

use crate::client::config::Settings;
use crate::client::consumer::ConsumerRecord;

/// How bytes become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoder {
    Bytes,
    Long,
    Integer,
    Short,
    Double,
    Float,
    Uuid,
}

impl Decoder {
    fn named(class: &str) -> Result<Self, String> {
        let name = class.rsplit('.').next().unwrap_or_default();
        Ok(match name {
            "StringDeserializer"
            | "ByteArrayDeserializer"
            | "BytesDeserializer"
            | "ByteBufferDeserializer" => Self::Bytes,
            "LongDeserializer" => Self::Long,
            "IntegerDeserializer" => Self::Integer,
            "ShortDeserializer" => Self::Short,
            "DoubleDeserializer" => Self::Double,
            "FloatDeserializer" => Self::Float,
            "UUIDDeserializer" => Self::Uuid,
            _ => return Err(class.to_owned()),
        })
    }

    fn write(self, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), String> {
        let size = |expected: usize, name: &str| {
            format!(
                "Size of data received by {name} is not {expected} (it is {})",
                bytes.len()
            )
        };
        let text = match self {
            Self::Bytes | Self::Uuid => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Long => {
                i64::from_be_bytes(bytes.try_into().map_err(|_| size(8, "LongDeserializer"))?)
                    .to_string()
            }
            Self::Integer => i32::from_be_bytes(
                bytes
                    .try_into()
                    .map_err(|_| size(4, "IntegerDeserializer"))?,
            )
            .to_string(),
            Self::Short => {
                i16::from_be_bytes(bytes.try_into().map_err(|_| size(2, "ShortDeserializer"))?)
                    .to_string()
            }
            Self::Double => format!(
                "{:?}",
                f64::from_be_bytes(
                    bytes
                        .try_into()
                        .map_err(|_| size(8, "DoubleDeserializer"))?
                )
            ),
            Self::Float => format!(
                "{:?}",
                f32::from_be_bytes(bytes.try_into().map_err(|_| size(4, "FloatDeserializer"))?)
            ),
        };
        out.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Prints the parts of a record that were asked for.
#[derive(Debug)]
pub(super) struct Formatter {
    timestamp: bool,
    key: bool,
    value: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    partition: bool,
    headers: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    key_decoder: Decoder,
    value_decoder: Decoder,
    headers_decoder: Decoder,
}

impl Formatter {
    pub(super) fn new(properties: &Settings) -> Result<Self, String> {
        let flag = |key, default: bool| {
            properties
                .get(key)
                .map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let text = |key, default: &str| properties.get(key).unwrap_or(default).to_owned();
        let decoder = |key| match properties.get(key) {
            Some(class) if !class.is_empty() => Decoder::named(class),
            _ => Ok(Decoder::Bytes),
        };
        Ok(Self {
            timestamp: flag("print.timestamp", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            partition: flag("print.partition", false),
            headers: flag("print.headers", false),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            key_decoder: decoder("key.deserializer")?,
            value_decoder: decoder("value.deserializer")?,
            headers_decoder: decoder("headers.deserializer")?,
        })
    }

    /// Appends the record. Fields are joined by the key separator; the last one
    /// is followed by the line separator.
    pub(super) fn write(&self, out: &mut Vec<u8>, from: &ConsumerRecord) -> Result<(), String> {
        let record = &from.record;
        let mut fields: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            fields.push(match (record.timestamp, from.is_append_time) {
                (-1, _) => b"NO_TIMESTAMP".to_vec(),
                (time, true) => format!("LogAppendTime:{time}").into_bytes(),
                (time, false) => format!("CreateTime:{time}").into_bytes(),
            });
        }
        if self.partition {
            fields.push(format!("Partition:{}", from.partition).into_bytes());
        }
        if self.offset {
            fields.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.delivery {
            fields.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            fields.push(format!("Epoch:{}", from.leader_epoch).into_bytes());
        }
        if self.headers {
            fields.push(self.headers(from)?);
        }
        if self.key {
            fields.push(self.decoded(self.key_decoder, record.key.as_ref())?);
        }
        if self.value {
            fields.push(self.decoded(self.value_decoder, record.value.as_ref())?);
        }
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(self.key_separator.as_bytes());
            }
            out.extend_from_slice(field);
        }
        if !fields.is_empty() {
            out.extend_from_slice(self.line_separator.as_bytes());
        }
        Ok(())
    }

    fn headers(&self, from: &ConsumerRecord) -> Result<Vec<u8>, String> {
        if from.record.headers.is_empty() {
            return Ok(b"NO_HEADERS".to_vec());
        }
        let mut out = Vec::new();
        for (index, header) in from.record.headers.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(self.headers_separator.as_bytes());
            }
            out.extend_from_slice(&header.key);
            out.push(b':');
            out.extend(self.decoded(self.headers_decoder, header.value.as_ref())?);
        }
        Ok(out)
    }

    fn decoded(&self, decoder: Decoder, bytes: Option<&Bytes>) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        match bytes {
            Some(bytes) => decoder.write(&mut out, bytes)?,
            None => out.extend_from_slice(self.null_literal.as_bytes()),
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use broker::record::{Record, RecordHeader};

    use super::*;

    fn record() -> ConsumerRecord {
        let header = |key: &'static str, value: Option<&'static str>| RecordHeader {
            key: Bytes::from_static(key.as_bytes()),
            value: value.map(|value| Bytes::from_static(value.as_bytes())),
        };
        ConsumerRecord {
            topic: "t".to_owned(),
            partition: 3,
            is_append_time: false,
            leader_epoch: 7,
            record: Record {
                offset: 5,
                timestamp: 1000,
                key: None,
                value: Some(Bytes::from_static(b"v")),
                headers: vec![header("a", Some("1")), header("b", None)],
            },
        }
    }

    fn print(properties: &[(&str, &str)], record: &ConsumerRecord) -> Result<String, String> {
        let mut settings = Settings::default();
        for (key, value) in properties {
            settings.set(key, *value);
        }
        let mut out = Vec::new();
        Formatter::new(&settings)?.write(&mut out, record)?;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn the_parts_of_a_record() {
        let all: Vec<(&str, &str)> = [
            "timestamp",
            "key",
            "offset",
            "epoch",
            "partition",
            "headers",
            "delivery",
        ]
        .iter()
        .map(|part| (*part, "true"))
        .collect();
        let keys: Vec<String> = all
            .iter()
            .map(|(part, _)| format!("print.{part}"))
            .collect();
        let all: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "true")).collect();
        assert_eq!(
            print(&all, &record()).unwrap(),
            "CreateTime:1000\tPartition:3\tOffset:5\tDelivery:NOT_PRESENT\tEpoch:7\ta:1,b:null\tnull\tv\n"
        );
        assert_eq!(print(&[], &record()).unwrap(), "v\n");
        let key_only = [
            ("print.key", "true"),
            ("print.value", "false"),
            ("null.literal", "NIL"),
        ];
        assert_eq!(print(&key_only, &record()).unwrap(), "NIL\n");
        let separated = [
            ("print.key", "true"),
            ("key.separator", "|"),
            ("line.separator", "$"),
        ];
        assert_eq!(print(&separated, &record()).unwrap(), "null|v$");
    }

    #[test]
    fn times_and_missing_headers() {
        let mut record = record();
        record.record.headers.clear();
        record.is_append_time = true;
        let wanted = [("print.timestamp", "true"), ("print.headers", "TRUE")];
        assert_eq!(
            print(&wanted, &record).unwrap(),
            "LogAppendTime:1000\tNO_HEADERS\tv\n"
        );
        record.record.timestamp = -1;
        assert_eq!(
            print(&wanted, &record).unwrap(),
            "NO_TIMESTAMP\tNO_HEADERS\tv\n"
        );
    }

    #[test]
    fn numbers_are_decoded() {
        let long = [(
            "value.deserializer",
            "org.apache.kafka.common.serialization.LongDeserializer",
        )];
        let mut record = record();
        assert!(print(&long, &record).is_err());
        record.record.value = Some(Bytes::copy_from_slice(&42_i64.to_be_bytes()));
        assert_eq!(print(&long, &record).unwrap(), "42\n");
        assert_eq!(
            print(&[("key.deserializer", "a.B")], &record).unwrap_err(),
            "a.B"
        );
    }
}
