//! ZooKeeper's transaction logs.
//!
//! ```text
//! header   magic "ZKLG" · version i32 = 2 · database id i64
//! entry    Adler-32 of the bytes, as i64 · length i32 · bytes · 'B'
//! bytes    session i64 · cxid i32 · zxid i64 · time i64 · type i32 · transaction ·
//!          since 3.6 the digest of the tree: version i32 · sum i64
//! ```
//!
//! Behind the last entry come zeros, or an entry that a crash cut short; a server
//! that starts again begins a new file.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::jute::{self, Reader, Record};
use common::zk::{Acl, Id};

use super::archive::{Archive, invalid};
use super::snapshot::DIGEST_VERSION;
use crate::storage::{Error, IoContext};

const MAGIC: &[u8; 4] = b"ZKLG";
const VERSION: i32 = 2;
const END_OF_ENTRY: u8 = b'B';
/// The length of an encoded digest.
const DIGEST_LEN: usize = 12;

/// What a transaction does, by ZooKeeper's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Txn {
    CreateSession {
        timeout_ms: i32,
    },
    CloseSession {
        /// The nodes that it deletes, if the server wrote that down.
        paths: Vec<String>,
    },
    Create(Create),
    Delete {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Bytes>,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: Vec<Acl>,
        version: i32,
    },
    /// A request that failed, or a check that held.
    Nothing,
    Multi(Vec<Txn>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Create {
    pub(super) path: String,
    pub(super) data: Option<Bytes>,
    pub(super) acl: Vec<Acl>,
    pub(super) kind: Kind,
    /// -1 if the server did not write it down.
    pub(super) parent_cversion: i32,
    /// Whether the parent is looked after if the node is there already; ZooKeeper
    /// does that for one of the four kinds of creation only.
    pub(super) mends_parent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Persistent,
    Ephemeral,
    Container,
    Ttl { ms: i64 },
}

/// A transaction in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) session: i64,
    pub(super) zxid: i64,
    pub(super) time_ms: i64,
    pub(super) txn: Txn,
    /// The digest of the tree behind it, if it can be compared.
    pub(super) digest: Option<i64>,
}

mod op {
    pub(super) const CREATE_SESSION: i32 = -10;
    pub(super) const CLOSE_SESSION: i32 = -11;
    pub(super) const ERROR: i32 = -1;
    pub(super) const CREATE: i32 = 1;
    pub(super) const DELETE: i32 = 2;
    pub(super) const SET_DATA: i32 = 5;
    pub(super) const SET_ACL: i32 = 7;
    pub(super) const CHECK: i32 = 13;
    pub(super) const MULTI: i32 = 14;
    pub(super) const CREATE2: i32 = 15;
    pub(super) const RECONFIG: i32 = 16;
    pub(super) const CREATE_CONTAINER: i32 = 19;
    pub(super) const DELETE_CONTAINER: i32 = 20;
    pub(super) const CREATE_TTL: i32 = 21;
}

/// Reads one file of a log.
#[derive(Debug)]
pub(super) struct LogReader {
    path: PathBuf,
    archive: Archive<BufReader<File>>,
    /// The transaction that was read last, for messages.
    last_zxid: i64,
}

impl LogReader {
    /// Opens a file; `None` if a crash left it before its header was written.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, Error> {
        let file = File::open(path).at(path)?;
        let mut reader = Self {
            path: path.to_owned(),
            archive: Archive::new(BufReader::new(file)),
            last_zxid: 0,
        };
        match reader.header() {
            Ok(()) => Ok(Some(reader)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(reader.damaged(0, source)),
        }
    }

    fn header(&mut self) -> io::Result<()> {
        match &self.archive.array::<4>()? {
            MAGIC => {}
            // Space that was reserved before anything was written.
            [0, 0, 0, 0] => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(invalid("it is no log of ZooKeeper")),
        }
        if self.archive.i32()? != VERSION {
            return Err(invalid("its version is not known"));
        }
        self.archive.i64().map(drop)
    }

    /// The next transaction; `None` where the file ends, also in the midst of one.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let begin = self.archive.offset();
        match self.entry() {
            Ok(entry) => {
                self.last_zxid = entry.as_ref().map_or(self.last_zxid, |entry| entry.zxid);
                Ok(entry)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(source) => Err(self.damaged(begin, source)),
        }
    }

    fn entry(&mut self) -> io::Result<Option<Entry>> {
        let sum = self.archive.i64()?;
        let bytes = match self.archive.buffer()? {
            Some(bytes) if !bytes.is_empty() => bytes,
            _ => return Ok(None),
        };
        if self.archive.array::<1>()? != [END_OF_ENTRY] {
            // The last one before a crash.
            return Ok(None);
        }
        if i64::from(adler2::adler32_slice(&bytes)) != sum {
            return Err(invalid("the checksum of a transaction is wrong"));
        }
        parse(bytes).map(Some).map_err(io::Error::other)
    }

    fn damaged(&self, offset: u64, source: io::Error) -> Error {
        Error::ForeignLog {
            path: self.path.clone(),
            offset,
            zxid: self.last_zxid,
            source,
        }
    }
}

/// A string, in which Java's mistakes with characters are forgiven.
struct Text(String);

impl Record for Text {
    const MIN_LEN: usize = 4;

    fn encode(&self, out: &mut bytes::BytesMut) {
        self.0.encode(out);
    }

    fn decode(reader: &mut Reader) -> jute::Result<Self> {
        let bytes: Bytes = reader.read()?;
        Ok(Self(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

struct AclText(Acl);

impl Record for AclText {
    const MIN_LEN: usize = 12;

    fn encode(&self, out: &mut bytes::BytesMut) {
        self.0.encode(out);
    }

    fn decode(reader: &mut Reader) -> jute::Result<Self> {
        let perms = reader.read()?;
        let (Text(scheme), Text(id)) = (reader.read()?, reader.read()?);
        Ok(Self(Acl::new(perms, Id::new(scheme, id))))
    }
}

fn text(reader: &mut Reader) -> jute::Result<String> {
    reader.read().map(|Text(text)| text)
}

/// A list of nothing at all is the ACL that lets everybody do everything.
fn acl(reader: &mut Reader) -> jute::Result<Vec<Acl>> {
    let acl: Option<Vec<AclText>> = reader.read()?;
    Ok(match acl {
        None => Acl::open(),
        Some(acl) => acl.into_iter().map(|AclText(acl)| acl).collect(),
    })
}

/// Reads the bytes of one entry.
pub(super) fn parse(bytes: Bytes) -> jute::Result<Entry> {
    let mut reader = Reader::new(bytes);
    let session = reader.read()?;
    let _cxid: i32 = reader.read()?;
    let zxid = reader.read()?;
    let time_ms = reader.read()?;
    let kind: i32 = reader.read()?;
    let txn = txn(kind, &mut reader)?;
    Ok(Entry {
        session,
        zxid,
        time_ms,
        txn,
        digest: digest(&mut reader)?,
    })
}

fn digest(reader: &mut Reader) -> jute::Result<Option<i64>> {
    if reader.remaining() < DIGEST_LEN {
        return Ok(None);
    }
    let version: i32 = reader.read()?;
    let sum: i64 = reader.read()?;
    Ok((version == DIGEST_VERSION).then_some(sum))
}

fn txn(kind: i32, reader: &mut Reader) -> jute::Result<Txn> {
    Ok(match kind {
        op::CREATE_SESSION => Txn::CreateSession {
            timeout_ms: reader.read()?,
        },
        op::CLOSE_SESSION => close_session(reader),
        op::CREATE | op::CREATE2 => create(kind, reader)?,
        op::CREATE_CONTAINER | op::CREATE_TTL => create_removable(kind, reader)?,
        op::DELETE | op::DELETE_CONTAINER => Txn::Delete {
            path: text(reader)?,
        },
        op::SET_DATA | op::RECONFIG => Txn::SetData {
            path: text(reader)?,
            data: reader.read()?,
            version: reader.read()?,
        },
        op::SET_ACL => Txn::SetAcl {
            path: text(reader)?,
            acl: acl(reader)?,
            version: reader.read()?,
        },
        op::CHECK => {
            text(reader)?;
            let _version: i32 = reader.read()?;
            Txn::Nothing
        }
        op::ERROR => {
            let _code: i32 = reader.read()?;
            Txn::Nothing
        }
        op::MULTI => multi(reader)?,
        value => {
            return Err(jute::Error::BadDiscriminant {
                what: "a transaction's type",
                value,
            });
        }
    })
}

/// Before 3.6 there is nothing, and since then there may be nothing but a digest.
fn close_session(reader: &mut Reader) -> Txn {
    let mut ahead = reader.clone();
    let paths = ahead.read::<Vec<Text>>();
    let left = ahead.remaining();
    match paths {
        Ok(paths) if left == 0 || left == DIGEST_LEN => {
            *reader = ahead;
            Txn::CloseSession {
                paths: paths.into_iter().map(|Text(path)| path).collect(),
            }
        }
        _ => Txn::CloseSession { paths: Vec::new() },
    }
}

fn create(kind: i32, reader: &mut Reader) -> jute::Result<Txn> {
    let (path, data, acl) = (text(reader)?, reader.read()?, acl(reader)?);
    let ephemeral: bool = reader.read()?;
    let parent_cversion = match reader.remaining() {
        // Before 3.4.
        0 => -1,
        _ => reader.read()?,
    };
    Ok(Txn::Create(Create {
        path,
        data,
        acl,
        kind: match ephemeral {
            true => Kind::Ephemeral,
            false => Kind::Persistent,
        },
        parent_cversion,
        mends_parent: kind == op::CREATE,
    }))
}

fn create_removable(kind: i32, reader: &mut Reader) -> jute::Result<Txn> {
    let (path, data, acl) = (text(reader)?, reader.read()?, acl(reader)?);
    let parent_cversion = reader.read()?;
    Ok(Txn::Create(Create {
        path,
        data,
        acl,
        kind: match kind {
            op::CREATE_TTL => Kind::Ttl { ms: reader.read()? },
            _ => Kind::Container,
        },
        parent_cversion,
        mends_parent: false,
    }))
}

common::jute_record! {
    /// One operation of a multi.
    struct Part { kind: i32, bytes: Bytes }
}

/// A multi of which one operation failed does nothing at all.
fn multi(reader: &mut Reader) -> jute::Result<Txn> {
    let parts: Vec<Part> = reader.read()?;
    if parts.iter().any(|part| part.kind == op::ERROR) {
        return Ok(Txn::Nothing);
    }
    let parts = parts.into_iter().map(|part| match part.kind {
        // One inside another is nothing that ZooKeeper writes.
        op::MULTI | op::CREATE_SESSION | op::CLOSE_SESSION => Err(jute::Error::BadDiscriminant {
            what: "an operation of a multi",
            value: part.kind,
        }),
        kind => txn(kind, &mut Reader::new(part.bytes)),
    });
    Ok(Txn::Multi(parts.collect::<jute::Result<_>>()?))
}
