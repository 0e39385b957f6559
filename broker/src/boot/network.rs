//! The sockets of a broker: bound early, served late.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use common::config::Values;
use common::http;
use common::net::{BindError, Buffers};
use common::shutdown::Shutdown;
use common::task;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::config::{Config, ListenerBounds, connections_of_hosts, endpoints, is_wildcard, millis};
use crate::handlers::Handlers;
use crate::protocol::interbroker::Endpoint;
use crate::server::admin::{self, Status};
use crate::server::{self, Limits, LimitsConfig, Listener, RequestMemory};

/// Bound sockets that nobody is served on yet.
pub(super) struct Sockets {
    listeners: Vec<Listener>,
    admin: Option<TcpListener>,
}

/// What is being served.
pub(super) struct Serving {
    /// By the names of listeners.
    pub(super) ports: Vec<(String, u16)>,
    pub(super) admin_address: Option<SocketAddr>,
    pub(super) clients: Vec<JoinHandle<()>>,
    pub(super) admin: Option<JoinHandle<()>>,
}

impl Sockets {
    pub(super) async fn bind(config: &Config) -> Result<Self, BindError> {
        let size = |value: i32| usize::try_from(value).unwrap_or(0);
        let connection = server::Config {
            request_bytes_max: size(config.values.i32("socket.request.max.bytes")),
            idle_max: millis(&config.values, "connections.max.idle.ms"),
            memory: RequestMemory::new(config.values.i64("queued.max.request.bytes")),
            buffers: buffers(&config.values),
        };
        let mut listeners = Vec::new();
        for address in &config.listeners {
            let host = match is_wildcard(&address.host) {
                true => "",
                false => address.host.as_str(),
            };
            let listener = Listener::bind(&address.name, host, address.port, connection.clone());
            listeners.push(listener.await?);
        }
        let admin = match &config.admin {
            Some(admin) => {
                Some(http::bind_admin(admin.address, admin.port, admin.port_origin).await?)
            }
            None => None,
        };
        Ok(Self { listeners, admin })
    }

    /// What clients are told, with the ports that were bound.
    pub(super) fn endpoints(&self, config: &Config, own_host: &str) -> Vec<Endpoint> {
        let port = |name: &str| {
            let bound = self
                .listeners
                .iter()
                .find(|listener| listener.name() == name);
            bound.map_or(0, Listener::port)
        };
        endpoints(
            &config.listeners,
            &config.advertised_listeners,
            port,
            own_host,
        )
    }

    /// A port that is open from now on for as long as this process lives.
    pub(super) fn listens_at(&self, config: &Config) -> Option<SocketAddr> {
        let mut pairs = self.listeners.iter().zip(&config.listeners);
        pairs.find_map(|(listener, address)| {
            let ip = match is_wildcard(&address.host) {
                true => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                false => address.host.parse().ok()?,
            };
            Some(SocketAddr::new(ip, listener.port()))
        })
    }

    fn ports(&self) -> Vec<(String, u16)> {
        let listeners = self.listeners.iter();
        listeners.map(|l| (l.name().to_owned(), l.port())).collect()
    }

    fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.local_addr().ok()
    }

    /// Begins to serve clients and operators.
    pub(super) fn serve(
        self,
        handlers: &Arc<Handlers>,
        limits: &Limits,
        status: Arc<dyn Status>,
        clients_stop: &Shutdown,
        admin_stop: &Shutdown,
    ) -> Serving {
        let (ports, admin_address) = (self.ports(), self.admin_address());
        let clients = self.listeners.into_iter().map(|listener| {
            let run = listener.run(handlers.clone(), limits.clone(), clients_stop.clone());
            task::spawn("listener", run)
        });
        let clients = clients.collect();
        let admin = self.admin.map(|socket| {
            let pages = admin::router(status);
            task::spawn("admin", http::serve(socket, pages, admin_stop.clone()))
        });
        Serving {
            ports,
            admin_address,
            clients,
            admin,
        }
    }
}

/// Kafka's sizes of a socket's buffers and backlog; -1 leaves buffers to the kernel.
fn buffers(values: &Values) -> Buffers {
    let bytes = |key| u32::try_from(values.i32(key)).ok();
    Buffers {
        receive: bytes("socket.receive.buffer.bytes"),
        send: bytes("socket.send.buffer.bytes"),
        backlog: values
            .opt_i32("socket.listen.backlog.size")
            .and_then(|count| u32::try_from(count).ok()),
    }
}

/// The bounds on connections; hosts are looked up now.
pub(super) async fn limits(values: &Values, bounds: ListenerBounds) -> LimitsConfig {
    let count = |name| usize::try_from(values.i32(name)).unwrap_or(0);
    let mut of_addresses = HashMap::new();
    // What is not legal was refused when the values were read.
    for (host, bound) in connections_of_hosts(values).unwrap_or_default() {
        match tokio::net::lookup_host((host.as_str(), 0)).await {
            Ok(found) => of_addresses.extend(found.map(|at| (at.ip().to_canonical(), bound))),
            Err(error) => {
                let why = "a host has no bound of connections of its own: its address is unknown";
                tracing::warn!(host, %error, "{why}");
            }
        }
    }
    LimitsConfig {
        connections_max: count("max.connections"),
        connections_per_ip_max: count("max.connections.per.ip"),
        of_addresses,
        of_listeners: bounds.connections,
        protected: bounds.protected,
    }
}
