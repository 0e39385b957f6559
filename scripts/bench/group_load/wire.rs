//! The few requests of a group member, in old fixed encodings that every broker
//! since 2.3 serves: cheap to write, cheap to read, and nothing is checked twice.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Error codes of the protocol that a member acts on.
pub(crate) mod code {
    /// So says a Kafka that has just started and does not know its topics yet.
    pub(crate) const UNKNOWN_TOPIC: i16 = 3;
    pub(crate) const LOADING: i16 = 14;
    pub(crate) const NOT_AVAILABLE: i16 = 15;
    pub(crate) const NOT_COORDINATOR: i16 = 16;
    pub(crate) const ILLEGAL_GENERATION: i16 = 22;
    pub(crate) const UNKNOWN_MEMBER: i16 = 25;
    pub(crate) const REBALANCE: i16 = 27;
    pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;
}

const SESSION_TIMEOUT_MS: i32 = 30_000;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
/// An answer larger than this is not one.
const FRAME_MAX: usize = 64 * 1024 * 1024;

/// An error code of an answer, by the request that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{api} was answered with error {code}")]
pub(crate) struct Refused {
    pub(crate) api: &'static str,
    pub(crate) code: i16,
}

fn accepted(api: &'static str, code: i16) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Refused { api, code }.into()),
    }
}

/// The answer to a join.
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// Of everybody, for the leader alone.
    pub(crate) members: Vec<String>,
}

/// Who speaks.
pub(crate) struct Identity<'a> {
    pub(crate) group: &'a str,
    pub(crate) generation: i32,
    pub(crate) member_id: &'a str,
}

/// One connection with one request in flight.
pub(crate) struct Connection {
    stream: TcpStream,
    correlation: i32,
    buffer: BytesMut,
    /// What has come and is not taken yet.
    received: BytesMut,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            correlation: 0,
            buffer: BytesMut::new(),
            received: BytesMut::new(),
        })
    }

    async fn call(
        &mut self,
        key: i16,
        version: i16,
        body: impl FnOnce(&mut BytesMut),
    ) -> Result<Fields> {
        self.correlation += 1;
        self.buffer.clear();
        self.buffer.put_i32(0);
        self.buffer.put_i16(key);
        self.buffer.put_i16(version);
        self.buffer.put_i32(self.correlation);
        put_string(&mut self.buffer, "load");
        body(&mut self.buffer);
        let size = i32::try_from(self.buffer.len() - 4)?;
        self.buffer[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&self.buffer).await?;
        self.receive(4).await?;
        let size = usize::try_from(self.received.get_i32())?;
        ensure!(size <= FRAME_MAX, "an answer of {size} bytes");
        self.receive(size).await?;
        let mut fields = Fields(self.received.split_to(size).freeze());
        ensure!(fields.i32()? == self.correlation, "an answer out of order");
        Ok(fields)
    }

    /// Waits until so many bytes have come; an answer that came whole costs one read.
    async fn receive(&mut self, size: usize) -> Result<()> {
        while self.received.len() < size {
            self.received.reserve(size.max(256));
            let count = self.stream.read_buf(&mut self.received).await?;
            if count == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
        Ok(())
    }

    /// ApiVersions 0: the least that a server answers.
    pub(crate) async fn api_versions(&mut self) -> Result<()> {
        let mut answer = self.call(18, 0, |_| {}).await?;
        accepted("ApiVersions", answer.i16()?)
    }

    pub(crate) async fn find_coordinator(&mut self, group: &str) -> Result<(String, u16)> {
        let ask = |out: &mut BytesMut| {
            put_string(out, group);
            out.put_i8(0);
        };
        let mut answer = self.call(10, 1, ask).await?;
        answer.i32()?;
        accepted("FindCoordinator", answer.i16()?)?;
        answer.nullable_string()?;
        answer.i32()?;
        Ok((answer.string()?, u16::try_from(answer.i32()?)?))
    }

    pub(crate) async fn join(
        &mut self,
        group: &str,
        member_id: &str,
    ) -> Result<Result<Joined, String>> {
        let ask = |out: &mut BytesMut| {
            put_string(out, group);
            out.put_i32(SESSION_TIMEOUT_MS);
            out.put_i32(REBALANCE_TIMEOUT_MS);
            put_string(out, member_id);
            out.put_i16(-1);
            put_string(out, "consumer");
            out.put_i32(1);
            put_string(out, "range");
            put_bytes(out, &subscription());
        };
        let mut answer = self.call(11, 5, ask).await?;
        answer.i32()?;
        let code = answer.i16()?;
        let generation = answer.i32()?;
        answer.nullable_string()?;
        let leader = answer.string()?;
        let member_id = answer.string()?;
        if code == code::MEMBER_ID_REQUIRED {
            return Ok(Err(member_id));
        }
        accepted("JoinGroup", code)?;
        let members = answer.array(|of| {
            let id = of.string()?;
            of.nullable_string()?;
            of.bytes()?;
            Ok(id)
        })?;
        Ok(Ok(Joined {
            generation,
            leader,
            member_id,
            members,
        }))
    }

    /// The partitions assigned to this member.
    pub(crate) async fn sync(
        &mut self,
        who: &Identity<'_>,
        assignments: &[(String, Vec<i32>)],
    ) -> Result<Vec<i32>> {
        let ask = |out: &mut BytesMut| {
            put_identity(out, who);
            out.put_i32(i32::try_from(assignments.len()).unwrap_or(0));
            for (member_id, partitions) in assignments {
                put_string(out, member_id);
                put_bytes(out, &assignment(partitions));
            }
        };
        let mut answer = self.call(14, 3, ask).await?;
        answer.i32()?;
        accepted("SyncGroup", answer.i16()?)?;
        let mut assigned = Fields(answer.bytes()?);
        if assigned.0.is_empty() {
            return Ok(Vec::new());
        }
        assigned.i16()?;
        let topics = assigned.array(|of| {
            of.string()?;
            of.array(Fields::i32)
        })?;
        Ok(topics.concat())
    }

    pub(crate) async fn heartbeat(&mut self, who: &Identity<'_>) -> Result<()> {
        let mut answer = self.call(12, 3, |out| put_identity(out, who)).await?;
        answer.i32()?;
        accepted("Heartbeat", answer.i16()?)
    }

    pub(crate) async fn leave(&mut self, group: &str, member_id: &str) -> Result<()> {
        let ask = |out: &mut BytesMut| {
            put_string(out, group);
            put_string(out, member_id);
        };
        let mut answer = self.call(13, 2, ask).await?;
        answer.i32()?;
        accepted("LeaveGroup", answer.i16()?)
    }

    /// Commits one offset for each of the partitions; all or the first error.
    pub(crate) async fn commit(
        &mut self,
        who: &Identity<'_>,
        topic: &str,
        offsets: &[(i32, i64)],
    ) -> Result<()> {
        let ask = |out: &mut BytesMut| {
            put_identity(out, who);
            out.put_i32(1);
            put_string(out, topic);
            out.put_i32(i32::try_from(offsets.len()).unwrap_or(0));
            for (partition, offset) in offsets {
                out.put_i32(*partition);
                out.put_i64(*offset);
                out.put_i32(-1);
                out.put_i16(0);
            }
        };
        let mut answer = self.call(8, 7, ask).await?;
        answer.i32()?;
        let codes = answer.array(|of| {
            of.string()?;
            of.array(|of| {
                of.i32()?;
                of.i16()
            })
        })?;
        let code = codes.concat().into_iter().find(|code| *code != 0);
        accepted("OffsetCommit", code.unwrap_or(0))
    }

    /// The committed offsets of the partitions, -1 where there is none.
    pub(crate) async fn fetch(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, i64)>> {
        let ask = |out: &mut BytesMut| {
            put_string(out, group);
            out.put_i32(1);
            put_string(out, topic);
            out.put_i32(i32::try_from(partitions.len()).unwrap_or(0));
            for partition in partitions {
                out.put_i32(*partition);
            }
        };
        let mut answer = self.call(9, 5, ask).await?;
        answer.i32()?;
        let found = answer.array(|of| {
            of.string()?;
            of.array(|of| {
                let (partition, offset) = (of.i32()?, of.i64()?);
                of.i32()?;
                of.nullable_string()?;
                accepted("OffsetFetch", of.i16()?)?;
                Ok((partition, offset))
            })
        })?;
        accepted("OffsetFetch", answer.i16()?)?;
        Ok(found.concat())
    }
}

fn put_identity(out: &mut BytesMut, who: &Identity<'_>) {
    put_string(out, who.group);
    out.put_i32(who.generation);
    put_string(out, who.member_id);
    out.put_i16(-1);
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap_or(0));
    out.put_slice(text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(0));
    out.put_slice(bytes);
}

/// The consumer protocol's subscription to the one topic of the load.
fn subscription() -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(1);
    put_string(&mut out, super::TOPIC);
    out.put_i32(-1);
    out
}

fn assignment(partitions: &[i32]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(1);
    put_string(&mut out, super::TOPIC);
    out.put_i32(i32::try_from(partitions.len()).unwrap_or(0));
    for partition in partitions {
        out.put_i32(*partition);
    }
    out.put_i32(-1);
    out
}

/// Takes fields off the front.
struct Fields(Bytes);

impl Fields {
    fn need(&self, length: usize) -> Result<()> {
        ensure!(self.0.len() >= length, "an answer ends too early");
        Ok(())
    }

    fn i16(&mut self) -> Result<i16> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    fn i32(&mut self) -> Result<i32> {
        self.need(4)?;
        Ok(self.0.get_i32())
    }

    fn i64(&mut self) -> Result<i64> {
        self.need(8)?;
        Ok(self.0.get_i64())
    }

    fn nullable_string(&mut self) -> Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        self.need(length)?;
        let text = self.0.split_to(length);
        let text = std::str::from_utf8(&text).context("a string is not UTF-8")?;
        Ok(Some(text.to_owned()))
    }

    fn string(&mut self) -> Result<String> {
        Ok(self.nullable_string()?.unwrap_or_default())
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let length = usize::try_from(self.i32()?).unwrap_or(0);
        self.need(length)?;
        Ok(self.0.split_to(length))
    }

    fn array<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count > self.0.len() {
            bail!("an answer ends too early");
        }
        (0..count).map(|_| one(self)).collect()
    }
}
