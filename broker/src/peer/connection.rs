//! One connection to another broker: a request, its answer, the next request.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes};
use common::frame::{self, FrameReader};
use common::net;
use common::wire::Frame;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Error;
use crate::model::BrokerId;
use crate::protocol::interbroker;

/// The largest answer that is read; real ones name some partitions, or carry
/// the records that were asked for.
const ANSWER_BYTES_MAX: usize = 100 << 20;

/// After this time without a word from the other machine, a cut network is
/// taken for what it is and another connection is tried, again and again: so
/// replication goes on soon after the network does.
const SILENCE_MAX: Duration = Duration::from_secs(5);

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
        let stream = net::connect_watched(host, port, SILENCE_MAX).await;
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

    /// Takes a buffer of so many bytes for what is received; the kernel's own if
    /// `None`. A connection without it serves as well.
    pub(super) fn receive_within(&self, bytes: Option<usize>) {
        if let Some(bytes) = bytes
            && let Err(error) = net::set_receive_buffer(self.write.as_ref(), bytes)
        {
            tracing::warn!(broker = self.broker, bytes, %error, "a socket keeps its buffer");
        }
    }

    /// Sends the request that `write` makes for a correlation id, and gives
    /// the whole answer, which begins with that id. After an error, or when
    /// dropped before its end, the connection must not be used again.
    pub(super) async fn call(&mut self, write: impl FnOnce(i32) -> Bytes) -> Result<Bytes, Error> {
        let broker = self.broker;
        let asked = self.correlation_id;
        self.correlation_id = asked.wrapping_add(1) & i32::MAX;
        let broken = |source: frame::Error| Error::Broken { broker, source };
        Frame::from(write(asked))
            .send(self.write.as_ref())
            .await
            .map_err(|error: io::Error| broken(error.into()))?;
        let answer = self.frames.next().await.map_err(broken)?;
        let answer = answer.ok_or(Error::Closed(broker))?;
        let got = (&answer[..]).try_get_i32().map_err(|_| Error::Message {
            broker,
            source: interbroker::Error::Truncated,
        })?;
        match got == asked {
            true => Ok(answer),
            false => Err(Error::Correlation { broker, asked, got }),
        }
    }
}
