//! `host:port,host:port/chroot`.

/// Port of servers named without one.
const DEFAULT_PORT: u16 = 2181;

/// Where the servers are, and under which node all paths of this client lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectString {
    pub hosts: Vec<(String, u16)>,
    /// Without a slash at the end; empty for the root.
    pub chroot: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectStringError {
    #[error("the connect string names no server")]
    NoServer,
    #[error("'{0}' is not host:port")]
    BadServer(String),
    #[error("the chroot '{0}' is not a valid path")]
    BadChroot(String),
}

impl std::str::FromStr for ConnectString {
    type Err = ConnectStringError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (servers, chroot) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        let chroot = chroot.trim_end_matches('/');
        if !chroot.is_empty() && common::zk::path::validate(chroot).is_err() {
            return Err(ConnectStringError::BadChroot(chroot.to_owned()));
        }
        let hosts = servers
            .split(',')
            .map(str::trim)
            .filter(|server| !server.is_empty())
            .map(|server| {
                parse_server(server)
                    .ok_or_else(|| ConnectStringError::BadServer(server.to_owned()))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(ConnectStringError::NoServer);
        }
        Ok(Self { hosts, chroot: chroot.to_owned() })
    }
}

fn parse_server(server: &str) -> Option<(String, u16)> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match server.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (server, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        None => DEFAULT_PORT,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<(String, u16)> {
        text.parse::<ConnectString>().unwrap().hosts
    }

    #[test]
    fn servers_and_chroot_are_told_apart() {
        let parsed: ConnectString = "a:1, b/kafka/east/".parse().unwrap();
        assert_eq!(parsed.hosts, [("a".into(), 1), ("b".into(), 2181)]);
        assert_eq!(parsed.chroot, "/kafka/east");
        assert_eq!(hosts("[::1]:2182"), [("::1".into(), 2182)]);
        assert_eq!(hosts("[::1]"), [("::1".into(), 2181)]);
        assert_eq!("a/".parse::<ConnectString>().unwrap().chroot, "");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in ["", ",", "/x", "a:b", "a:0", ":2181", "a:99999", "a:1//x", "a:1/x/../y", "[::1"] {
            assert!(bad.parse::<ConnectString>().is_err(), "{bad}");
        }
    }
}
