//! Listener strings: `NAME://host:port` (KIP-103).

use crate::protocol::interbroker::Endpoint;

/// One address of `listeners` or `advertised.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddress {
    /// Upper case.
    pub name: String,
    /// Empty for every address.
    pub host: String,
    pub port: u16,
}

/// Why a list of listeners is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("'{0}' is not NAME://host:port")]
    Syntax(String),
    #[error("'{0}' has no valid port")]
    Port(String),
    #[error("listener name {0} is there more than once")]
    DuplicateName(String),
    #[error("port {0} is there more than once")]
    DuplicatePort(u16),
    #[error("no security protocol is defined for listener {0} in listener.security.protocol.map")]
    NoProtocol(String),
    #[error("listener {name} needs {protocol}, and only PLAINTEXT is served")]
    Protocol { name: String, protocol: String },
    #[error("advertised.listeners names {0}, which is not among listeners")]
    NotListening(String),
    #[error("advertised.listeners cannot use 0.0.0.0 or an empty host")]
    Wildcard,
    #[error("'{0}' is not NAME:PROTOCOL")]
    Map(String),
    #[error("there is no listener")]
    None,
}

/// Parses `NAME://host:port`, with IPv6 hosts in brackets.
fn parse_one(text: &str) -> Result<ListenerAddress, Error> {
    let syntax = || Error::Syntax(text.to_owned());
    let (name, rest) = text.split_once("://").ok_or_else(syntax)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(syntax)?;
    if name.is_empty() || (host.contains(':') && !host.starts_with('[')) {
        return Err(syntax());
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(ListenerAddress {
        name: name.to_ascii_uppercase(),
        host: host.to_owned(),
        port: port.parse().map_err(|_| Error::Port(text.to_owned()))?,
    })
}

/// Parses a list whose names differ.
pub(super) fn parse(list: &[String]) -> Result<Vec<ListenerAddress>, Error> {
    let mut parsed: Vec<ListenerAddress> = Vec::new();
    for text in list {
        let address = parse_one(text)?;
        if parsed.iter().any(|other| other.name == address.name) {
            return Err(Error::DuplicateName(address.name));
        }
        parsed.push(address);
    }
    match parsed.is_empty() {
        true => Err(Error::None),
        false => Ok(parsed),
    }
}

/// Checks that ports differ (0 may repeat).
pub(super) fn check_ports(listeners: &[ListenerAddress]) -> Result<(), Error> {
    for (index, listener) in listeners.iter().enumerate() {
        let again = listeners[..index]
            .iter()
            .any(|other| other.port == listener.port);
        if listener.port != 0 && again {
            return Err(Error::DuplicatePort(listener.port));
        }
    }
    Ok(())
}

/// The security protocol of every listener name.
pub(super) fn protocol_map(list: &[String]) -> Result<Vec<(String, String)>, Error> {
    list.iter()
        .map(|entry| {
            let (name, protocol) = entry
                .split_once(':')
                .ok_or_else(|| Error::Map(entry.clone()))?;
            let upper = |text: &str| text.trim().to_ascii_uppercase();
            Ok((upper(name), upper(protocol)))
        })
        .collect()
}

/// Checks that `name` is served as plain text.
pub(super) fn check_protocol(name: &str, map: &[(String, String)]) -> Result<(), Error> {
    let protocol = map
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, protocol)| protocol)
        .ok_or_else(|| Error::NoProtocol(name.to_owned()))?;
    match protocol.as_str() {
        "PLAINTEXT" => Ok(()),
        other => Err(Error::Protocol {
            name: name.to_owned(),
            protocol: other.to_owned(),
        }),
    }
}

/// What is registered for clients: the advertised addresses, or the listeners
/// with the bound ports and `own_host` in place of a wildcard.
pub fn endpoints(
    listeners: &[ListenerAddress],
    advertised: &[ListenerAddress],
    bound_port: impl Fn(&str) -> u16,
    own_host: &str,
) -> Vec<Endpoint> {
    let source = match advertised.is_empty() {
        true => listeners,
        false => advertised,
    };
    source
        .iter()
        .map(|address| Endpoint {
            listener: address.name.clone(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: match is_wildcard(&address.host) {
                true => own_host.to_owned(),
                false => address.host.clone(),
            },
            port: match address.port {
                0 => bound_port(&address.name),
                port => port,
            },
        })
        .collect()
}

/// Says whether `host` stands for every address.
#[must_use]
pub fn is_wildcard(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split(',').map(str::to_owned).collect()
    }

    #[test]
    fn addresses() {
        let parsed = parse(&list("PLAINTEXT://:9092,internal://[::1]:9093")).unwrap();
        assert_eq!((parsed[0].host.as_str(), parsed[0].port), ("", 9092));
        assert_eq!(
            (parsed[1].name.as_str(), parsed[1].host.as_str()),
            ("INTERNAL", "::1")
        );
        for wrong in [
            "localhost:9092",
            "PLAINTEXT://x",
            "A://x:y",
            "A://::1:9",
            "://x:1",
        ] {
            assert!(parse(&list(wrong)).is_err(), "{wrong}");
        }
        let twice = parse(&list("A://x:1,a://y:2"));
        assert_eq!(twice, Err(Error::DuplicateName("A".to_owned())));
    }

    #[test]
    fn what_clients_are_told() {
        let listeners = parse(&list("A://:0,B://host:5")).unwrap();
        let told = endpoints(&listeners, &[], |_| 77, "me");
        assert_eq!((told[0].host.as_str(), told[0].port), ("me", 77));
        assert_eq!((told[1].host.as_str(), told[1].port), ("host", 5));
    }

    #[test]
    fn only_plain_text_is_served() {
        let map = protocol_map(&list("A:PLAINTEXT,S:SSL")).unwrap();
        assert!(check_protocol("A", &map).is_ok());
        assert!(matches!(
            check_protocol("S", &map),
            Err(Error::Protocol { .. })
        ));
        assert!(matches!(
            check_protocol("X", &map),
            Err(Error::NoProtocol(_))
        ));
    }
}
