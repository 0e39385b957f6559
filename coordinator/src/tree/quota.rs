//! Quotas: the texts of the nodes below `/zookeeper/quota`.
//!
//! The limits of `/a` are in `/zookeeper/quota/a/zookeeper_limits`, what is used
//! in `zookeeper_stats` beside it. Both hold one line of named numbers.

use std::collections::BTreeMap;
use std::fmt;

use super::QUOTA_PATH;

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";
const COUNT: &str = "count";
const BYTES: &str = "bytes";
const COUNT_HARD: &str = "countHardLimit";
const BYTES_HARD: &str = "byteHardLimit";
/// The value of a number that is not set.
const UNSET: i64 = -1;

/// What a node below `/zookeeper/quota` is for, with the path that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'a> {
    Limits(&'a str),
    Stats(&'a str),
}

/// `None` for nodes that are not about the quota of any path.
pub(super) fn role(path: &str) -> Option<Role<'_>> {
    let below = path.strip_prefix(QUOTA_PATH)?;
    let (about, name) = below.rsplit_once('/')?;
    if !about.starts_with('/') {
        return None;
    }
    match name {
        LIMITS => Some(Role::Limits(about)),
        STATS => Some(Role::Stats(about)),
        _ => None,
    }
}

/// The path that a node sets limits for, if it is there for that.
pub(crate) fn limited(path: &str) -> Option<&str> {
    match role(path) {
        Some(Role::Limits(about)) => Some(about),
        Some(Role::Stats(_)) | None => None,
    }
}

pub(crate) fn limits_path(about: &str) -> String {
    format!("{QUOTA_PATH}{about}/{LIMITS}")
}

pub(crate) fn stats_path(about: &str) -> String {
    format!("{QUOTA_PATH}{about}/{STATS}")
}

/// The numbers of one such node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Track(BTreeMap<String, i64>);

impl Track {
    /// The numbers of a text; what is no number is taken for unset.
    pub(crate) fn parse(data: Option<&[u8]>) -> Self {
        let text = String::from_utf8_lossy(data.unwrap_or_default());
        let pairs = text.split([',', ';']).filter(|pair| !pair.is_empty());
        let numbers = pairs.map(|pair| {
            let mut parts = pair.split('=');
            let name = parts.next().unwrap_or_default().to_owned();
            let value = parts.next().and_then(|value| value.parse().ok());
            (name, value.unwrap_or(UNSET))
        });
        Self(numbers.collect())
    }

    pub(crate) fn of(count: i64, bytes: i64) -> Self {
        let mut track = Self::default();
        track.set(count, bytes);
        track
    }

    fn set(&mut self, count: i64, bytes: i64) {
        self.0.insert(COUNT.to_owned(), count);
        self.0.insert(BYTES.to_owned(), bytes);
    }

    pub(crate) fn add(&mut self, count: i64, bytes: i64) {
        let (count, bytes) = (
            self.count().saturating_add(count),
            self.bytes().saturating_add(bytes),
        );
        self.set(count, bytes);
    }

    pub(crate) fn count(&self) -> i64 {
        self.number(COUNT)
    }

    pub(crate) fn bytes(&self) -> i64 {
        self.number(BYTES)
    }

    /// The limit of nodes that holds, and whether it is a hard one.
    pub(crate) fn count_limit(&self) -> Option<(i64, bool)> {
        self.limit(COUNT_HARD, COUNT)
    }

    /// The limit of bytes that holds, and whether it is a hard one.
    pub(crate) fn bytes_limit(&self) -> Option<(i64, bool)> {
        self.limit(BYTES_HARD, BYTES)
    }

    /// Where both are set the hard limit is the one that holds.
    fn limit(&self, hard: &str, soft: &str) -> Option<(i64, bool)> {
        let hard = Some((self.number(hard), true));
        let soft = Some((self.number(soft), false));
        let is_set = |limit: &(i64, bool)| limit.0 > UNSET;
        hard.filter(is_set).or_else(|| soft.filter(is_set))
    }

    fn number(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(UNSET)
    }
}

/// The first two numbers stand where servers up to 3.6 look for them; the second
/// `=` hides the others from those.
impl fmt::Display for Track {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{COUNT}={},{BYTES}={}", self.count(), self.bytes())?;
        let others = self.0.iter();
        let mut others = others.filter(|(name, _)| !matches!(name.as_str(), COUNT | BYTES));
        if let Some((name, value)) = others.next() {
            write!(f, "=;{name}={value}")?;
        }
        others.try_for_each(|(name, value)| write!(f, ";{name}={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_of_zookeeper() {
        let table = [
            ("", "count=-1,bytes=-1"),
            ("count=5,bytes=-1", "count=5,bytes=-1"),
            (
                "count=4,bytes=5=;countHardLimit=10;byteHardLimit=11",
                "count=4,bytes=5=;byteHardLimit=11;countHardLimit=10",
            ),
            ("bytes=;nonsense;count=x", "count=-1,bytes=-1=;nonsense=-1"),
        ];
        for (text, again) in table {
            let track = Track::parse(Some(text.as_bytes()));
            assert_eq!(track.to_string(), again, "{text}");
        }
        assert_eq!(Track::parse(None), Track::default());
        assert_eq!(Track::of(3, 7).to_string(), "count=3,bytes=7");
    }

    #[test]
    fn a_hard_limit_hides_a_soft_one() {
        let track = Track::parse(Some(b"count=4,bytes=5=;countHardLimit=10"));
        assert_eq!(track.count_limit(), Some((10, true)));
        assert_eq!(track.bytes_limit(), Some((5, false)));
        assert_eq!(Track::default().count_limit(), None);
    }

    #[test]
    fn nodes_are_about_the_path_behind_the_prefix() {
        let table = [
            (
                "/zookeeper/quota/a/b/zookeeper_limits",
                Some(Role::Limits("/a/b")),
            ),
            (
                "/zookeeper/quota/a/zookeeper_stats",
                Some(Role::Stats("/a")),
            ),
            ("/zookeeper/quota/zookeeper_limits", None),
            ("/zookeeper/quotax/a/zookeeper_limits", None),
            ("/zookeeper/quota/a", None),
            ("/a/zookeeper_limits", None),
        ];
        for (path, expected) in table {
            assert_eq!(role(path), expected, "{path}");
        }
    }
}
