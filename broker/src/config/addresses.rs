//! `max.connections.per.ip.overrides`: how many connections single hosts may open.

use common::config::Values;

const OVERRIDES: &str = "max.connections.per.ip.overrides";
const PER_IP: &str = "max.connections.per.ip";

/// What is wrong with the bounds of addresses, in Kafka's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Error parsing configuration property '{OVERRIDES}': {0} is no host:count")]
    NoPair(String),
    #[error("For input string: \"{0}\"")]
    NoNumber(String),
    #[error("{OVERRIDES} contains invalid addresses : {0}")]
    Hosts(String),
    #[error("requirement failed: {PER_IP} can be set to zero only if {OVERRIDES} property is set.")]
    NobodyAtAll,
}

/// Hosts, by name or address, and the connections that each may have.
pub fn connections_of_hosts(values: &Values) -> Result<Vec<(String, usize)>, Error> {
    let mut found = Vec::new();
    let mut wrong = Vec::new();
    for pair in values.list(OVERRIDES) {
        // An IPv6 address has colons of its own.
        let parts = pair.rsplit_once(':');
        let (host, count) = parts.ok_or_else(|| Error::NoPair(pair.clone()))?;
        let (host, count) = (host.trim(), count.trim());
        let number: i32 = count
            .parse()
            .map_err(|_| Error::NoNumber(count.to_owned()))?;
        let may_be_in_a_host = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
        match host.chars().all(may_be_in_a_host) {
            true => found.push((host.to_owned(), usize::try_from(number).unwrap_or(0))),
            false => wrong.push(host.to_owned()),
        }
    }
    if values.i32(PER_IP) == 0 && found.is_empty() && wrong.is_empty() {
        return Err(Error::NobodyAtAll);
    }
    match wrong.is_empty() {
        true => Ok(found),
        false => Err(Error::Hosts(wrong.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use common::config::{Origin, Properties};

    use super::*;
    use crate::config::TABLE;

    fn read(text: &str) -> Result<Vec<(String, usize)>, Error> {
        let origin = Origin::File(PathBuf::from("f"));
        let properties = Properties::parse(text.as_bytes(), origin).unwrap();
        connections_of_hosts(&TABLE.resolve(&properties).unwrap().0)
    }

    #[test]
    fn hosts_have_counts_and_ipv6_has_colons() {
        let pair = |host: &str, count| (host.to_owned(), count);
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(
            read("max.connections.per.ip.overrides=localhost:2, 10.0.0.1:0 ,fe80::1:7"),
            Ok(vec![
                pair("localhost", 2),
                pair("10.0.0.1", 0),
                pair("fe80::1", 7)
            ])
        );
    }

    #[test]
    fn refusals_are_kafkas() {
        for (text, refusal) in [
            ("max.connections.per.ip=0", Error::NobodyAtAll),
            (
                "max.connections.per.ip.overrides=a b:1,c:2,d/e:3",
                Error::Hosts("a b,d/e".to_owned()),
            ),
            (
                "max.connections.per.ip.overrides=a",
                Error::NoPair("a".to_owned()),
            ),
            (
                "max.connections.per.ip.overrides=a:many",
                Error::NoNumber("many".to_owned()),
            ),
        ] {
            assert_eq!(read(text), Err(refusal), "{text}");
        }
        let one = read("max.connections.per.ip=0\nmax.connections.per.ip.overrides=a:1");
        assert_eq!(one.unwrap().len(), 1);
    }
}
