//! Requests beyond `jute.maxbuffer`.
//!
//! ZooKeeper closes the connection of whoever sends one, and its clients (and their
//! own tests) know that as a lost connection. So does this server, but it says in
//! the log which request of whom it was. Where `jute.maxbuffer.refuse` is set the
//! request is answered with an error instead, and the connection goes on: a client
//! that tries again whenever it loses its connection would do so for ever.
//!
//! **Invariant:** no more of such a request is kept than what names it.

use std::sync::Arc;

use bytes::Bytes;
use common::frame::{self, FrameReader};
use common::jute::Reader;
use common::zk::{ErrorCode, MultiHeader, OpCode, RequestHeader};
use tokio::net::tcp::OwnedReadHalf;

use super::connection::Task;
use super::error::Error;
use crate::pipeline::{Arrival, Read, Request};

/// A longer request is no request.
const SKIPPED_MAX: usize = 64 << 20;
/// As much is kept of a request as its header and its path may need.
const KEPT: usize = 1 << 10;
/// As much of a path is shown.
const SHOWN: usize = 256;

impl Task<'_> {
    /// Names the request whose frame was found to be too large, and refuses it.
    pub(super) async fn refuse_oversized(
        &mut self,
        frames: &mut FrameReader<OwnedReadHalf>,
        (length, limit): (usize, usize),
    ) -> Result<(), Error> {
        let too_large = frame::Error::TooLarge { length, limit };
        let Some(session) = self
            .connection
            .session
            .get()
            .filter(|_| length <= SKIPPED_MAX)
        else {
            return Err(too_large.into());
        };
        let session = Arc::clone(session);
        let start = frames.skip(KEPT).await?;
        let received = self.server.clock.monotonic();
        session.touch(received);
        self.connection.count_received(length + frame::PREFIX);
        self.server.stats.large_requests.increment();
        let named = Named::parse(start).map_err(Error::Header)?;
        tracing::warn!(
            peer = %self.connection.peer,
            session = format_args!("{:#x}", session.id),
            op = ?named.op,
            path = named.path,
            "a request of {length} bytes is refused: jute.maxbuffer is {limit}"
        );
        if !self.server.config.refuse_oversized {
            return Err(too_large.into());
        }
        let arrival = Arrival {
            at: received,
            op: named.op,
        };
        if !self.is_admitted(named.xid, arrival) {
            return Ok(());
        }
        let refused = Request::Read(Read::Refused(ErrorCode::BadArguments));
        self.dispatch(session, named.xid, arrival, refused).await
    }
}

/// What the first bytes of a request say about it.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    xid: i32,
    op: Option<OpCode>,
    /// Of a multi, that of its first operation.
    path: String,
}

impl Named {
    fn parse(start: Bytes) -> common::jute::Result<Self> {
        let mut reader = Reader::new(start);
        let header: RequestHeader = reader.read()?;
        let op = OpCode::from_code(header.op);
        if matches!(op, Some(OpCode::Multi | OpCode::MultiRead)) {
            let _: common::jute::Result<MultiHeader> = reader.read();
        }
        // A path that is longer than what was kept is of no use either.
        let path: String = reader.read().unwrap_or_default();
        Ok(Self {
            xid: header.xid,
            op,
            path: path.chars().take(SHOWN).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;
    use common::jute::Record;
    use common::zk::{Acl, CreateRequest, MultiOp, MultiRequest};

    fn start_of(op: OpCode, body: &impl Record) -> Bytes {
        let mut bytes = BytesMut::new();
        let op = op.code();
        RequestHeader { xid: 9, op }.encode(&mut bytes);
        body.encode(&mut bytes);
        bytes.freeze()
    }

    #[test]
    fn a_request_is_named_by_its_first_bytes() {
        let create = CreateRequest {
            path: "/a".into(),
            data: None,
            acl: Acl::open(),
            flags: 0,
        };
        let named = |op| Named {
            xid: 9,
            op: Some(op),
            path: "/a".into(),
        };
        let start = start_of(OpCode::Create, &create);
        assert_eq!(Named::parse(start), Ok(named(OpCode::Create)));
        let multi = MultiRequest {
            ops: vec![MultiOp::Create(create)],
        };
        let start = start_of(OpCode::Multi, &multi);
        assert_eq!(Named::parse(start), Ok(named(OpCode::Multi)));
        assert!(Named::parse(Bytes::from_static(b"abc")).is_err());
        let garbage = Named::parse(Bytes::from_static(&[0xff; 40])).unwrap();
        assert_eq!((garbage.op, garbage.path.as_str()), (None, ""));
    }
}
