//! Makes of the values what the modules take.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use common::config::Values;
use common::http::PortOrigin;

use super::{Admin, Error};
use crate::storage::Options;

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
        snap_count: u32::try_from(values.i32("snapCount")).unwrap_or(u32::MAX),
        retain: unsigned(values, "autopurge.snapRetainCount"),
        sync: values.str("forceSync") == "yes",
    })
}

pub(super) fn client_address(values: &Values) -> Result<SocketAddr, Error> {
    let port = u16::try_from(values.i32("clientPort")).unwrap_or_default();
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
        port: u16::try_from(values.i32("admin.serverPort")).unwrap_or_default(),
        origin: match values.is_set("admin.serverPort") {
            true => PortOrigin::Configured,
            false => PortOrigin::Default,
        },
    }))
}
