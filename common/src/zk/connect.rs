//! The handshake, and the headers of everything after it.

use bytes::{Bytes, BytesMut};

use crate::jute::{Reader, Record, Result};

/// The length of a session's password.
pub const PASSWORD_LEN: usize = 16;

/// The first frame of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    pub protocol_version: i32,
    pub last_zxid_seen: i64,
    pub timeout_ms: i32,
    /// 0 asks for a new session.
    pub session_id: i64,
    pub password: Option<Bytes>,
    /// Absent in clients up to 3.3, which must not get the byte back either.
    pub read_only: Option<bool>,
    /// The port at which the client's process listens as long as it lives. Ours
    /// alone: ZooKeeper's servers ignore what follows the request.
    pub listens_at: Option<u16>,
}

/// Comes before the port, so that nothing else is taken for one.
const LISTENS_MARK: i64 = i64::from_be_bytes(*b"ListenAt");

/// The server's answer; a timeout of 0 says that the session is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectResponse {
    pub protocol_version: i32,
    pub timeout_ms: i32,
    pub session_id: i64,
    pub password: Option<Bytes>,
    pub read_only: Option<bool>,
}

/// What may follow the request; anything else there is nobody's business.
fn listening_port(reader: &mut Reader) -> Result<Option<u16>> {
    const LENGTH: usize = size_of::<i64>() + size_of::<i32>();
    if reader.remaining() < LENGTH || reader.read::<i64>()? != LISTENS_MARK {
        return Ok(None);
    }
    Ok(u16::try_from(reader.read::<i32>()?).ok())
}

fn optional_flag(reader: &mut Reader) -> Result<Option<bool>> {
    if reader.remaining() == 0 {
        return Ok(None);
    }
    reader.read().map(Some)
}

impl Record for ConnectRequest {
    const MIN_LEN: usize = 4 + 8 + 4 + 8 + 4;

    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.timeout_ms.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
            if let Some(port) = self.listens_at {
                LISTENS_MARK.encode(out);
                i32::from(port).encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(Self {
            protocol_version: reader.read()?,
            last_zxid_seen: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: optional_flag(reader)?,
            listens_at: listening_port(reader)?,
        })
    }
}

impl Record for ConnectResponse {
    const MIN_LEN: usize = 4 + 4 + 8 + 4;

    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.timeout_ms.encode(out);
        self.session_id.encode(out);
        self.password.encode(out);
        if let Some(read_only) = self.read_only {
            read_only.encode(out);
        }
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        Ok(Self {
            protocol_version: reader.read()?,
            timeout_ms: reader.read()?,
            session_id: reader.read()?,
            password: reader.read()?,
            read_only: optional_flag(reader)?,
        })
    }
}

crate::jute_record! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct RequestHeader {
        xid: i32,
        /// An [`OpCode`](super::OpCode), or one that we do not know.
        op: i32,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ReplyHeader {
        xid: i32,
        /// The last transaction that the server had applied.
        zxid: i64,
        /// 0, or an [`ErrorCode`](super::ErrorCode).
        err: i32,
    }
}
