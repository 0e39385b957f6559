//! A connection for one user alone, for requests of the client protocol.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::Error;
use super::connection::Connection;
use crate::model::BrokerId;

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// Asks one broker one request at a time; connects when it is needed.
#[derive(Debug)]
pub struct Link {
    broker: BrokerId,
    client_id: String,
    /// For connecting, sending and the answer.
    limit: Duration,
    open: Option<(Address, Connection)>,
}

impl Link {
    #[must_use]
    pub fn new(broker: BrokerId, client_id: String, limit: Duration) -> Self {
        Self {
            broker,
            client_id,
            limit,
            open: None,
        }
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// Sends a request and waits for its answer. Dropping the future closes
    /// the connection; so does an error.
    pub async fn ask<Q>(
        &mut self,
        to: &Address,
        version: i16,
        request: &Q,
    ) -> Result<Q::Response, Error>
    where
        Q: Request + Encodable + HeaderVersion,
        Q::Response: Decodable + HeaderVersion,
    {
        let (broker, limit) = (self.broker, self.limit);
        let exchange = self.exchange(to, version, request);
        match tokio::time::timeout(limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { broker, limit }),
        }
    }

    async fn exchange<Q>(
        &mut self,
        to: &Address,
        version: i16,
        request: &Q,
    ) -> Result<Q::Response, Error>
    where
        Q: Request + Encodable + HeaderVersion,
        Q::Response: Decodable + HeaderVersion,
    {
        let broker = self.broker;
        let codec = |reason: String| Error::Codec { broker, reason };
        let mut body = Vec::new();
        request
            .encode(&mut body, version)
            .map_err(|error| codec(error.to_string()))?;
        // Out of its place while it is in use: whatever ends this early closes it.
        let mut connection = match self.open.take() {
            Some((address, connection)) if address == *to => connection,
            _ => Connection::open(broker, &to.host, to.port).await?,
        };
        let client_id = StrBytes::from_string(self.client_id.clone());
        let write = |correlation_id| {
            let mut out = Vec::with_capacity(body.len() + 64);
            RequestHeader::default()
                .with_request_api_key(Q::KEY)
                .with_request_api_version(version)
                .with_correlation_id(correlation_id)
                .with_client_id(Some(client_id))
                .encode(&mut out, Q::header_version(version))
                .expect("a short header always fits");
            out.extend_from_slice(&body);
            Bytes::from(out)
        };
        let mut answer = connection.call(write).await?;
        ResponseHeader::decode(&mut answer, Q::Response::header_version(version))
            .map_err(|error| codec(error.to_string()))?;
        let answer =
            Q::Response::decode(&mut answer, version).map_err(|error| codec(error.to_string()))?;
        self.open = Some((to.clone(), connection));
        Ok(answer)
    }
}
