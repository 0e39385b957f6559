//! One connection to another broker: a request, its answer, the next request.

use std::io;

use bytes::Bytes;
use common::frame::{self, FrameReader};
use common::net;
use common::wire::Frame;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Error;
use crate::model::BrokerId;
use crate::protocol::interbroker::{self, InterbrokerKey};

/// The largest answer that is read; real ones name some partitions.
const ANSWER_BYTES_MAX: usize = 100 << 20;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    broker: BrokerId,
    frames: FrameReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    correlation_id: i32,
}

impl Connection {
    pub(super) async fn open(broker: BrokerId, host: &str, port: u16) -> Result<Self, Error> {
        let stream = net::connect(host, port).await;
        let stream = stream.map_err(|source| Error::Connect {
            broker,
            host: host.to_owned(),
            port,
            source,
        })?;
        let (read, write) = stream.into_split();
        Ok(Self {
            broker,
            frames: FrameReader::new(read, ANSWER_BYTES_MAX),
            write,
            correlation_id: 0,
        })
    }

    /// Sends a request and gives the body of its answer. After an error, or
    /// when dropped before its end, the connection must not be used again.
    pub(super) async fn call(
        &mut self,
        key: InterbrokerKey,
        client_id: &str,
        body: &[u8],
    ) -> Result<Bytes, Error> {
        let broker = self.broker;
        let asked = self.correlation_id;
        self.correlation_id = asked.wrapping_add(1) & i32::MAX;
        let request = interbroker::request(key, asked, client_id, body);
        let broken = |source: frame::Error| Error::Broken { broker, source };
        Frame::from(request)
            .send(self.write.as_ref())
            .await
            .map_err(|error: io::Error| broken(error.into()))?;
        let answer = self.frames.next().await.map_err(broken)?;
        let answer = answer.ok_or(Error::Closed(broker))?;
        let (got, body) = interbroker::split_response(answer)
            .map_err(|source| Error::Message { broker, source })?;
        match got == asked {
            true => Ok(body),
            false => Err(Error::Correlation { broker, asked, got }),
        }
    }
}
