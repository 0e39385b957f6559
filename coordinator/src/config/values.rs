//! Makes of the values what the modules take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use common::config::{Origin, Values};
use common::http::PortOrigin;

use super::{Admin, Error};
use crate::storage::Options;

/// ZooKeeper's own floors: what is written below them counts as them.
const SNAP_COUNT_MIN: i32 = 2;
const RETAIN_MIN: usize = 3;
/// The pages of the admin port besides the commands.
pub(crate) const PAGES: [&str; 13] = [
    "backup",
    "broker",
    "brokers",
    "config",
    "controller",
    "health",
    "metrics",
    "ready",
    "sessions",
    "snapshot",
    "topics",
    "tree",
    "watches",
];
const PROMETHEUS: &str = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider";

/// A number that its kind has shown not to be negative.
pub(super) fn unsigned(values: &Values, name: &str) -> usize {
    usize::try_from(values.i32(name)).unwrap_or(0)
}

pub(super) fn storage(values: &Values) -> Result<Options, Error> {
    let data_dir = PathBuf::from(values.opt_str("dataDir").ok_or(Error::NoDataDir)?);
    let log_dir = values.opt_str("dataLogDir").map(PathBuf::from);
    Ok(Options {
        log_dir: log_dir.unwrap_or_else(|| data_dir.clone()),
        data_dir,
        preallocate: unsigned(values, "preAllocSize") as u64 * 1024,
        snap_count: u32::try_from(values.i32("snapCount").max(SNAP_COUNT_MIN)).unwrap_or(u32::MAX),
        retain: unsigned(values, "autopurge.snapRetainCount").max(RETAIN_MIN),
        sync: values.str("forceSync") == "yes",
    })
}

pub(super) fn client_address(values: &Values) -> Result<SocketAddr, Error> {
    let port = port(values, "clientPort");
    let ip = match values.opt_str("clientPortAddress") {
        Some(_) => address(values, "clientPortAddress")?,
        None if has_ipv6() => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(ip, port))
}

/// With IPv6 one socket serves both families.
fn has_ipv6() -> bool {
    std::net::TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}

fn address(values: &Values, key: &'static str) -> Result<IpAddr, Error> {
    use std::net::ToSocketAddrs;
    let value = values.str(key);
    let resolved = (value, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    resolved
        .map(|address| address.ip())
        .ok_or_else(|| Error::Address {
            key,
            value: value.to_owned(),
        })
}

pub(super) fn admin(values: &Values) -> Result<Option<Admin>, Error> {
    if !values.bool("admin.enableServer") {
        return Ok(None);
    }
    Ok(Some(Admin {
        address: address(values, "admin.serverAddress")?,
        port: port(values, "admin.serverPort"),
        origin: match values.is_set("admin.serverPort") {
            true => PortOrigin::Configured,
            false => PortOrigin::Default,
        },
        command_url: command_url(values)?,
        idle_timeout: millis(values, "admin.idleTimeout"),
        snapshots: values.bool("admin.snapshot.enabled"),
        snapshot_interval: millis(values, "admin.rateLimiterIntervalInMS"),
    }))
}

/// A path that no page of our own has.
fn command_url(values: &Values) -> Result<String, Error> {
    let key = "admin.commandURL";
    let path = values.str(key).trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    let first = path.split('/').next().unwrap_or_default();
    if !path.is_empty() && path.chars().all(plain) && !PAGES.contains(&first) {
        return Ok(format!("/{path}"));
    }
    Err(Error::Problem {
        origin: values.origin(key).cloned().unwrap_or(Origin::CommandLine),
        key: key.to_owned(),
        value: values.str(key).to_owned(),
        problem: "expected a path of letters, digits and _.- that is not one of the other pages",
    })
}

/// Where Prometheus has a port of its own.
pub(super) fn metrics(values: &Values) -> Result<Option<SocketAddr>, Error> {
    if values.str("metricsProvider.className") != PROMETHEUS {
        return Ok(None);
    }
    let ip = address(values, "metricsProvider.httpHost")?;
    Ok(Some(SocketAddr::new(
        ip,
        port(values, "metricsProvider.httpPort"),
    )))
}

/// The four-letter words that are answered. ZooKeeper's own scripts need `srvr`,
/// and clients of read-only servers ask `isro`.
pub(super) fn words(values: &Values) -> Vec<String> {
    let mut words = values.list("4lw.commands.whitelist");
    words.push("srvr".to_owned());
    if values.str("readonlymode.enabled") == "true" {
        words.push("isro".to_owned());
    }
    words
}

/// What a value is taken for when it is not what was written.
pub(super) fn notes(values: &Values) -> Vec<String> {
    let floor = |key, floor: i32| {
        let written = values.i32(key);
        (written < floor).then(|| format!("{key}={written} counts as {floor}"))
    };
    let retain = floor("autopurge.snapRetainCount", 3);
    retain.into_iter().chain(floor("snapCount", 2)).collect()
}

pub(super) fn millis(values: &Values, name: &str) -> Duration {
    Duration::from_millis(unsigned(values, name) as u64)
}

fn port(values: &Values, name: &str) -> u16 {
    u16::try_from(values.i32(name)).unwrap_or_default()
}
