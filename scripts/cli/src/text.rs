//! Small pieces of text in Kafka's forms, shared by the commands.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::Regex;
use uuid::Uuid;

/// The release of Kafka whose tools these follow.
const FOLLOWS: &str = "3.9.1";

/// What `--version` prints: Kafka's version first, as scripts expect it.
pub(crate) fn version() -> String {
    format!("{FOLLOWS} (Odradek {})", env!("CARGO_PKG_VERSION"))
}

/// A topic id as Kafka writes it: base64url of the 16 bytes.
pub(crate) fn topic_id(id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode(id.as_bytes())
}

/// Reads what `topic_id` writes.
pub(crate) fn parse_topic_id(text: &str) -> Option<Uuid> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    Uuid::from_slice(&bytes).ok()
}

/// Numbers with commas between them.
pub(crate) fn joined(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

/// A double as Java writes it: `1024.0`, `1.2E7`.
pub(crate) fn java_double(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() || size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

/// Whether a list of broker addresses is one, in the words of Kafka's tools.
pub(crate) fn validate_bootstrap(list: &str) -> Result<(), String> {
    if list.trim().is_empty() {
        return Err("Error while validating the bootstrap address\n".to_owned());
    }
    let all_are = list
        .split(',')
        .all(|address| crate::client::config::endpoint(address.trim()).is_some());
    match all_are {
        true => Ok(()),
        false => Err("Please provide valid host:port like host1:9091,host2:9092\n ".to_owned()),
    }
}

/// Chooses topics by a pattern; `a,b` means either, and the whole name must fit.
#[derive(Debug)]
pub(crate) struct TopicFilter {
    pattern: Regex,
}

impl TopicFilter {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let written = text.trim();
        let alternatives = written
            .replace(',', "|")
            .replace(' ', "")
            .trim_start_matches(['"', '\''])
            .trim_end_matches(['"', '\''])
            .to_owned();
        let pattern = Regex::new(&format!("^(?:{alternatives})$"))
            .map_err(|_| format!("{written} is an invalid regex."))?;
        Ok(Self { pattern })
    }

    /// The pattern, which fits whole names.
    pub(crate) fn into_pattern(self) -> Regex {
        self.pattern
    }

    pub(crate) fn allows(&self, topic: &str) -> bool {
        self.pattern.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_are_base64url() {
        let id = parse_topic_id("3R84BlpKSS2Dtk098i3Hrw").unwrap();
        assert_eq!(id.to_string(), "dd1f3806-5a4a-492d-83b6-4d3df22dc7af");
        assert_eq!(topic_id(id), "3R84BlpKSS2Dtk098i3Hrw");
        assert_eq!(topic_id(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(parse_topic_id("short"), None);
    }

    #[test]
    fn doubles_as_java_writes_them() {
        for (value, text) in [
            (1024.0, "1024.0"),
            (0.5, "0.5"),
            (1e7, "1.0E7"),
            (12_345_678.5, "1.23456785E7"),
            (0.0001, "1.0E-4"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }

    #[test]
    fn filters_match_whole_names() {
        let filter = TopicFilter::new("conf.*,a\\.b").unwrap();
        for (name, fits) in [
            ("conf", true),
            ("conf2", true),
            ("a.b", true),
            ("axb", false),
        ] {
            assert_eq!(filter.allows(name), fits, "{name}");
        }
        assert!(!TopicFilter::new("b").unwrap().allows("abc"));
        assert_eq!(TopicFilter::new("(").unwrap_err(), "( is an invalid regex.");
    }

    #[test]
    fn bootstrap_lists() {
        assert!(validate_bootstrap("a:1,b:2").is_ok());
        assert!(
            validate_bootstrap("foo")
                .unwrap_err()
                .starts_with("Please provide valid")
        );
        assert!(
            validate_bootstrap("")
                .unwrap_err()
                .starts_with("Error while validating")
        );
    }
}
