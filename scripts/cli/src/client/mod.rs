//! A small Kafka client: what the tools need to talk to a cluster.
//!
//! Flow: `Client::call` takes a connection of the wanted lane from the pool
//! (or opens one and learns the broker's versions), sends one request, waits
//! for its answer and puts the connection back.
//!
//! **Invariant:** one request is in flight per connection; a connection whose
//! answer was not read to its end never returns to the pool.
//! **Invariant:** knows nothing of command lines, and prints only what Kafka's
//! own clients log.

pub(crate) mod admin;
pub(crate) mod config;
pub(crate) mod configs;
mod connection;

pub(crate) mod consumer;
mod error;
pub(crate) mod groups;
pub(crate) mod metadata;
mod moves;
pub(crate) mod offsets;
pub(crate) mod producer;
pub(crate) mod quotas;
pub(crate) mod records;
pub(crate) mod tokens;
pub(crate) mod transactions;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::clock::SharedClock;
use kafka_protocol::protocol::Request;

pub(crate) use config::Config;
#[cfg(test)]
pub(crate) use connection::VersionRange;
pub(crate) use connection::Versions;
pub(crate) use error::{Error, code_name};

use crate::console;
use connection::Connection;
use metadata::Metadata;

const NETWORK_CLIENT: &str = "org.apache.kafka.clients.NetworkClient";
/// How often a broker that is not there is mentioned.
const TELL_INTERVAL: Duration = Duration::from_secs(1);

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Requests that may wait long have a connection of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    Control,
    Data,
    Group,
}

/// One cluster as one tool sees it.
pub(crate) struct Client {
    config: Config,
    clock: SharedClock,
    pool: Mutex<HashMap<(Endpoint, Lane), Connection>>,
    metadata: Mutex<Metadata>,
    last_told: Mutex<Option<Duration>>,
}

impl Client {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            clock: common::clock::system(),
            pool: Mutex::default(),
            metadata: Mutex::default(),
            last_told: Mutex::default(),
        }
    }

    /// Logs under the name of Kafka's network client.
    pub(crate) fn warn(&self, text: impl fmt::Display) {
        let context = &self.config.log_context;
        console::warn(format_args!("[{context}] {text}"), NETWORK_CLIENT);
    }

    /// Says that a broker is not there, at most once a second.
    fn tell_unreachable(&self, error: &Error) {
        let Error::Unreachable(endpoint, _) = error else {
            return;
        };
        let now = self.now();
        let mut last = self
            .last_told
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| now >= last + TELL_INTERVAL) {
            *last = Some(now);
            self.warn(format_args!(
                "Connection to node -1 ({endpoint}) could not be established. Node may not be available."
            ));
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Time since some moment in the past; never goes back.
    pub(crate) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(crate) fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Sends what `build` makes for the version agreed on, and reads the answer.
    pub(crate) async fn call<R: Request>(
        &self,
        to: &Endpoint,
        lane: Lane,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        self.call_within(to, lane, self.config.request_timeout, build)
            .await
    }

    /// As `call`, with its own limit of time.
    pub(crate) async fn call_within<R: Request>(
        &self,
        to: &Endpoint,
        lane: Lane,
        limit: Duration,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, Error> {
        let work = async {
            let mut connection = self.connection(to, lane).await?;
            let answer = connection.call(build).await?;
            self.pool().insert((to.clone(), lane), connection);
            Ok(answer)
        };
        match tokio::time::timeout(limit, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Disconnected(to.clone())),
        }
    }

    /// Sends a request that the broker does not answer (produce with acks 0).
    pub(crate) async fn send_only<R: Request>(
        &self,
        to: &Endpoint,
        lane: Lane,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(), Error> {
        let mut connection = self.connection(to, lane).await?;
        connection.send_only(build).await?;
        self.pool().insert((to.clone(), lane), connection);
        Ok(())
    }

    /// Which APIs a broker offers, and in which versions.
    pub(crate) async fn versions(&self, of: &Endpoint) -> Result<Versions, Error> {
        let connection = self.connection(of, Lane::Control).await?;
        let versions = connection.versions().clone();
        self.pool().insert((of.clone(), Lane::Control), connection);
        Ok(versions)
    }

    async fn connection(&self, to: &Endpoint, lane: Lane) -> Result<Connection, Error> {
        let pooled = self.pool().remove(&(to.clone(), lane));
        match pooled {
            Some(connection) if !connection.is_closed() => Ok(connection),
            _ => Connection::open(to, &self.config.client_id, self.config.request_timeout).await,
        }
    }

    fn pool(&self) -> MutexGuard<'_, HashMap<(Endpoint, Lane), Connection>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats `attempt` while its failure may pass, up to the API timeout.
    pub(crate) async fn retrying<T>(
        &self,
        call: &'static str,
        attempt: impl AsyncFn() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = self.now() + self.config.api_timeout;
        let mut backoff = self.config.retry_backoff;
        loop {
            let error = match attempt().await {
                Err(error) if error.is_retriable() => error,
                done => return done,
            };
            if self.now() + backoff >= deadline {
                return Err(match error {
                    error if error.is_connection() => Error::NoNode(call),
                    error => error,
                });
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(self.config.retry_backoff_max);
        }
    }
}
