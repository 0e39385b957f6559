//! Makes a record of a line: headers, key and value, split where the user says.
//!
//! **Invariant:** pure; a line's number is only for messages.

use broker::record::RecordHeader;
use bytes::Bytes;
use regex::Regex;

use crate::client::config::Settings;
use crate::client::producer::NewRecord;

/// How lines are read: `LineMessageReader`'s properties.
#[derive(Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

impl LineReader {
    pub(super) fn new(properties: &Settings) -> Result<Self, String> {
        let text = |key, default: &str| properties.get(key).unwrap_or(default).to_owned();
        let flag = |key| {
            let value = properties.get(key).unwrap_or_default();
            value.trim().eq_ignore_ascii_case("true")
        };
        let key_separator = text("key.separator", "\t");
        let delimiter = text("headers.delimiter", "\t");
        let separator = text("headers.separator", ",");
        let in_header = text("headers.key.separator", ":");
        let null_marker = properties.get("null.marker").map(str::to_owned);
        let marker = null_marker.as_deref();
        let pairs = [
            (
                "headers.delimiter and headers.separator",
                delimiter == separator,
            ),
            (
                "headers.delimiter and headers.key.separator",
                delimiter == in_header,
            ),
            (
                "headers.separator and headers.key.separator",
                separator == in_header,
            ),
            (
                "null.marker and key.separator",
                marker == Some(key_separator.as_str()),
            ),
            (
                "null.marker and headers.separator",
                marker == Some(separator.as_str()),
            ),
            (
                "null.marker and headers.delimiter",
                marker == Some(delimiter.as_str()),
            ),
            (
                "null.marker and headers.key.separator",
                marker == Some(in_header.as_str()),
            ),
        ];
        if let Some((names, _)) = pairs.iter().find(|(_, are_equal)| *are_equal) {
            return Err(format!("{names} may not be equal"));
        }
        Ok(Self {
            parse_key: flag("parse.key"),
            key_separator,
            parse_headers: flag("parse.headers"),
            headers_delimiter: delimiter,
            headers_separator: Regex::new(&separator).map_err(|error| error.to_string())?,
            headers_key_separator: in_header,
            ignore_error: flag("ignore.error"),
            null_marker,
        })
    }

    /// The record of a line, which must not end in its newline.
    pub(super) fn record(&self, line: &str, number: usize) -> Result<NewRecord, String> {
        let mut rest = line;
        let headers = match self.parse_headers {
            true => self.cut(
                line,
                &mut rest,
                &self.headers_delimiter,
                ("headers delimiter", number),
            )?,
            false => None,
        };
        let key = match self.parse_key {
            true => self.cut(
                line,
                &mut rest,
                &self.key_separator,
                ("key separator", number),
            )?,
            false => None,
        };
        let headers = headers.filter(|headers| !self.is_null(headers));
        Ok(NewRecord {
            key: key.and_then(|key| self.bytes(key)),
            value: self.bytes(rest),
            headers: match headers {
                Some(headers) => self.headers(headers, number)?,
                None => Vec::new(),
            },
            timestamp_ms: None,
        })
    }

    /// Takes what stands before `separator` off `rest`.
    fn cut<'a>(
        &self,
        line: &str,
        rest: &mut &'a str,
        separator: &str,
        (name, number): (&str, usize),
    ) -> Result<Option<&'a str>, String> {
        match rest.split_once(separator) {
            Some((part, after)) => {
                *rest = after;
                Ok(Some(part))
            }
            None if self.ignore_error => Ok(None),
            None => Err(format!("No {name} found on line number {number}: '{line}'")),
        }
    }

    fn headers(&self, text: &str, number: usize) -> Result<Vec<RecordHeader>, String> {
        let mut pairs: Vec<&str> = self.headers_separator.split(text).collect();
        while pairs.len() > 1 && pairs.last().is_some_and(|last| last.is_empty()) {
            pairs.pop();
        }
        pairs
            .into_iter()
            .map(|pair| self.header(pair, number))
            .collect()
    }

    fn header(&self, pair: &str, number: usize) -> Result<RecordHeader, String> {
        let Some((key, value)) = pair.split_once(&self.headers_key_separator) else {
            return match self.ignore_error {
                true => Ok(header(pair, None)),
                false => Err(format!(
                    "No header key separator found in pair '{pair}' on line number {number}"
                )),
            };
        };
        match &self.null_marker {
            Some(marker) if key == marker => Err(format!(
                "Header keys should not be equal to the null marker '{marker}' as they can't be null"
            )),
            _ => Ok(header(key, self.bytes(value))),
        }
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn bytes(&self, text: &str) -> Option<Bytes> {
        (!self.is_null(text)).then(|| Bytes::copy_from_slice(text.as_bytes()))
    }
}

fn header(key: &str, value: Option<Bytes>) -> RecordHeader {
    RecordHeader {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[(&str, &str)]) -> Result<LineReader, String> {
        let mut settings = Settings::default();
        for (key, value) in properties {
            settings.set(key, *value);
        }
        LineReader::new(&settings)
    }

    /// Headers, key and value as text; null is `-`.
    fn read(properties: &[(&str, &str)], line: &str) -> Result<String, String> {
        let record = reader(properties)?.record(line, 1)?;
        let text = |bytes: Option<&Bytes>| {
            bytes.map_or_else(
                || "-".to_owned(),
                |bytes| String::from_utf8_lossy(bytes).into_owned(),
            )
        };
        let headers: Vec<String> = record
            .headers
            .iter()
            .map(|header| {
                format!(
                    "{}={}",
                    text(Some(&header.key)),
                    text(header.value.as_ref())
                )
            })
            .collect();
        Ok(format!(
            "{}|{}|{}",
            headers.join(";"),
            text(record.key.as_ref()),
            text(record.value.as_ref())
        ))
    }

    /// Properties, a line, and what comes of it.
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
    );

    const KEYED: (&str, &str) = ("parse.key", "true");
    const HEADED: (&str, &str) = ("parse.headers", "true");

    #[test]
    fn lines_become_records() {
        let cases: &[Case] = &[
            (&[], "a\tb", "|-|a\tb"),
            (&[], "", "|-|"),
            (&[KEYED], "k\tv", "|k|v"),
            (&[KEYED, ("key.separator", "::")], "k::v::w", "|k|v::w"),
            (&[HEADED], "h:1,g:2\tv", "h=1;g=2|-|v"),
            (&[HEADED, KEYED], "h:1,h:2\tk\tv", "h=1;h=2|k|v"),
            (
                &[HEADED, KEYED, ("null.marker", "NULL")],
                "h:NULL\tNULL\tNULL",
                "h=-|-|-",
            ),
            (&[HEADED, ("null.marker", "NULL")], "NULL\tv", "|-|v"),
            (&[KEYED, ("ignore.error", "true")], "nokey", "|-|nokey"),
            (&[HEADED, ("ignore.error", "true")], "h\tv", "h=-|-|v"),
        ];
        for (properties, line, record) in cases {
            assert_eq!(read(properties, line).as_deref(), Ok(*record), "{line}");
        }
    }

    #[test]
    fn bad_lines_fail_in_kafkas_words() {
        let cases: &[Case] = &[
            (
                &[KEYED],
                "nokey",
                "No key separator found on line number 1: 'nokey'",
            ),
            (
                &[HEADED],
                "x",
                "No headers delimiter found on line number 1: 'x'",
            ),
            (
                &[HEADED],
                "h\tv",
                "No header key separator found in pair 'h' on line number 1",
            ),
            (
                &[HEADED, ("null.marker", "N")],
                "N:1\tv",
                "Header keys should not be equal to the null marker 'N' as they can't be null",
            ),
        ];
        for (properties, line, error) in cases {
            assert_eq!(read(properties, line).unwrap_err(), *error, "{line}");
        }
    }

    #[test]
    fn separators_must_differ() {
        assert_eq!(
            reader(&[("headers.separator", ":")]).unwrap_err(),
            "headers.separator and headers.key.separator may not be equal"
        );
        assert_eq!(
            reader(&[("null.marker", "\t")]).unwrap_err(),
            "null.marker and key.separator may not be equal"
        );
    }
}
