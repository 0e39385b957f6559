//! A connection for one user alone, for requests of the client protocol.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, RequestHeader, ResponseHeader,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::Error;
use super::connection::Connection;
use crate::model::BrokerId;
use crate::protocol::legacy::{leader_epoch, txn_markers};

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
    /// Of the socket, in bytes; the kernel's own size if `None`.
    receive_buffer: Option<usize>,
    open: Option<(Address, Connection)>,
}

/// What a request is, and the versions of the headers around it.
#[derive(Debug, Clone, Copy)]
struct Headers {
    key: i16,
    version: i16,
    request: i16,
    response: i16,
}

impl Link {
    #[must_use]
    pub fn new(broker: BrokerId, client_id: String, limit: Duration) -> Self {
        Self {
            broker,
            client_id,
            limit,
            receive_buffer: None,
            open: None,
        }
    }

    /// The same with a buffer of so many bytes for what is received.
    #[must_use]
    pub fn with_receive_buffer(mut self, bytes: Option<usize>) -> Self {
        self.receive_buffer = bytes;
        self
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
        let broker = self.broker;
        let codec = |reason: String| Error::Codec { broker, reason };
        let mut body = Vec::new();
        request
            .encode(&mut body, version)
            .map_err(|error| codec(error.to_string()))?;
        let headers = Headers {
            key: Q::KEY,
            version,
            request: Q::header_version(version),
            response: Q::Response::header_version(version),
        };
        let mut answer = self.limited(to, headers, &body).await?;
        Q::Response::decode(&mut answer, version).map_err(|error| {
            self.close();
            codec(error.to_string())
        })
    }

    /// Asks where epochs ended, in any version; the general codec has forgotten
    /// the first two.
    pub async fn ask_leader_epochs(
        &mut self,
        to: &Address,
        version: i16,
        request: &OffsetForLeaderEpochRequest,
    ) -> Result<OffsetForLeaderEpochResponse, Error> {
        if !leader_epoch::is_early(version) {
            return self.ask(to, version, request).await;
        }
        let broker = self.broker;
        let codec = |reason: String| Error::Codec { broker, reason };
        let body = leader_epoch::encode_request(request);
        let body = body.map_err(|error| codec(error.to_string()))?;
        let headers = Headers {
            key: OffsetForLeaderEpochRequest::KEY,
            version,
            request: 1,
            response: 0,
        };
        let answer = self.limited(to, headers, &body).await?;
        leader_epoch::decode_response(answer, version).map_err(|error| {
            self.close();
            codec(error.to_string())
        })
    }

    /// Sends the markers of transactions, in any version; the general codec has
    /// forgotten the first one.
    pub async fn ask_write_txn_markers(
        &mut self,
        to: &Address,
        version: i16,
        request: &WriteTxnMarkersRequest,
    ) -> Result<WriteTxnMarkersResponse, Error> {
        if version > 0 {
            return self.ask(to, version, request).await;
        }
        let broker = self.broker;
        let codec = |reason: String| Error::Codec { broker, reason };
        let body = txn_markers::encode_request(request);
        let body = body.map_err(|error| codec(error.to_string()))?;
        let headers = Headers {
            key: WriteTxnMarkersRequest::KEY,
            version,
            request: 1,
            response: 0,
        };
        let answer = self.limited(to, headers, &body).await?;
        txn_markers::decode_response(answer).map_err(|error| {
            self.close();
            codec(error.to_string())
        })
    }

    async fn limited(
        &mut self,
        to: &Address,
        headers: Headers,
        body: &[u8],
    ) -> Result<Bytes, Error> {
        let (broker, limit) = (self.broker, self.limit);
        let exchange = self.exchange(to, headers, body);
        match tokio::time::timeout(limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::TimedOut { broker, limit }),
        }
    }

    /// The body of the answer.
    async fn exchange(
        &mut self,
        to: &Address,
        headers: Headers,
        body: &[u8],
    ) -> Result<Bytes, Error> {
        let broker = self.broker;
        // Out of its place while it is in use: whatever ends this early closes it.
        let mut connection = match self.open.take() {
            Some((address, connection)) if address == *to => connection,
            _ => {
                let connection = Connection::open(broker, &to.host, to.port).await?;
                connection.receive_within(self.receive_buffer);
                connection
            }
        };
        let client_id = StrBytes::from_string(self.client_id.clone());
        let write = |correlation_id| {
            let mut out = Vec::with_capacity(body.len() + 64);
            RequestHeader::default()
                .with_request_api_key(headers.key)
                .with_request_api_version(headers.version)
                .with_correlation_id(correlation_id)
                .with_client_id(Some(client_id))
                .encode(&mut out, headers.request)
                .expect("a short header always fits");
            out.extend_from_slice(body);
            Bytes::from(out)
        };
        let mut answer = connection.call(write).await?;
        ResponseHeader::decode(&mut answer, headers.response).map_err(|error| Error::Codec {
            broker,
            reason: error.to_string(),
        })?;
        self.open = Some((to.clone(), connection));
        Ok(answer)
    }
}
