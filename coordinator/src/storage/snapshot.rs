//! Snapshots: the whole state after one transaction.
//!
//! ```text
//! file    magic "ODRKTSNP" · version u32 · chunks
//! chunk   length u32 · CRC-32C of the payload u32 · payload
//! ```
//!
//! A payload is a [`Chunk`] in the encoding of `common::persist`: the head, then
//! the nodes in the order of their paths, so that parents come before their
//! children, then a count of the nodes.
//!
//! Flow: [`Writer`] and [`Reader`] pass nodes on one chunk at a time, so nobody
//! needs the whole state in memory who only copies it; [`write`] and [`read`] are
//! for those who have or want it.
//!
//! **Invariant:** a file gets its name only when it is complete and synced.
//! **Invariant:** a length is believed only up to what the file still holds.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::checksum::crc32c;
use common::fs::rename_durably;
use common::zk::Acl;
use serde::{Deserialize, Serialize};

use super::{Error, IoContext, nodes};
use crate::session::Secret;
use crate::txn::State;

const MAGIC: &[u8; 8] = b"ODRKTSNP";
const VERSION: u32 = 1;
/// A chunk of nodes ends at this many, or at this many bytes of data.
const NODES_PER_CHUNK: usize = 256;
const CHUNK_DATA_MAX: usize = 1 << 20;
/// So much is brought to the disk at a time: a whole snapshot at once would make
/// the log wait, which shares the disk with it.
const UNSYNCED_MAX: usize = 4 << 20;

/// The parts of a snapshot, in this order; the variants are part of the format.
#[derive(Debug, Serialize, Deserialize)]
enum Chunk {
    Head {
        zxid: i64,
        secret: Secret,
        sessions: Vec<(i64, i32)>,
    },
    Nodes(Vec<NodeRecord>),
    End {
        nodes: u64,
    },
    /// Follows the head if there are any: the sessions that were imported.
    Imported(Vec<i64>),
}

/// What a snapshot knows beside its nodes.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) zxid: i64,
    pub(crate) secret: Secret,
    /// The sessions and their timeouts.
    pub(crate) sessions: Vec<(i64, i32)>,
    pub(crate) imported: Vec<i64>,
}

impl Head {
    pub(super) fn of(state: &State) -> Self {
        Self {
            zxid: state.zxid,
            secret: state.secret.clone(),
            sessions: state.sessions.iter().map(|(id, ms)| (*id, *ms)).collect(),
            imported: state.imported.iter().copied().collect(),
        }
    }
}

/// A node as snapshots keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeRecord {
    pub(crate) path: String,
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) pzxid: i64,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) version: i32,
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) owner: i64,
}

pub(super) fn file_name(zxid: i64) -> String {
    format!("snapshot.{zxid:016x}")
}

/// Writes the snapshot of `state` and gives it its name.
pub(super) fn write(dir: &Path, state: &State) -> Result<PathBuf, Error> {
    let mut writer = Writer::create(dir, &Head::of(state))?;
    for record in nodes::sorted(&state.tree) {
        writer.node(record)?;
    }
    writer.finish()
}

/// Reads a snapshot and checks that it is whole.
pub(super) fn read(path: &Path) -> Result<State, Error> {
    let mut reader = Reader::open(path)?;
    let mut builder = nodes::Builder::new(reader.head.clone());
    while let Some(chunk) = reader.next()? {
        let added = chunk.records.iter().try_for_each(|r| builder.add(r));
        added.map_err(|_| reader.damaged("a node has no parent"))?;
    }
    builder
        .finish()
        .map_err(|_| reader.damaged("an ephemeral node has no session"))
}

/// Writes a snapshot node by node. A file that is not finished is deleted.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    out: Option<BufWriter<File>>,
    pending: Vec<NodeRecord>,
    pending_data: usize,
    unsynced: usize,
    nodes: u64,
}

impl Writer {
    pub(crate) fn create(dir: &Path, head: &Head) -> Result<Self, Error> {
        let path = dir.join(file_name(head.zxid));
        let temporary = path.with_extension("tmp");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(&temporary).at(&temporary)?;
        let mut writer = Self {
            path,
            temporary,
            out: Some(BufWriter::new(file)),
            pending: Vec::new(),
            pending_data: 0,
            unsynced: 0,
            nodes: 0,
        };
        writer.bytes(MAGIC)?;
        writer.bytes(&VERSION.to_be_bytes())?;
        writer.chunk(&Chunk::Head {
            zxid: head.zxid,
            secret: head.secret.clone(),
            sessions: head.sessions.clone(),
        })?;
        if !head.imported.is_empty() {
            writer.chunk(&Chunk::Imported(head.imported.clone()))?;
        }
        Ok(writer)
    }

    /// Adds a node behind all that come before it in the order of paths.
    pub(crate) fn node(&mut self, record: NodeRecord) -> Result<(), Error> {
        self.pending_data += record.data.as_ref().map_or(0, Bytes::len);
        self.pending.push(record);
        if self.pending.len() < NODES_PER_CHUNK && self.pending_data < CHUNK_DATA_MAX {
            return Ok(());
        }
        self.flush_nodes()
    }

    /// Passes on a chunk of nodes as it was read.
    pub(super) fn unchanged(&mut self, chunk: &NodeChunk<'_>) -> Result<(), Error> {
        self.flush_nodes()?;
        self.nodes += chunk.records.len() as u64;
        self.payload(chunk.payload)
    }

    /// Ends the file, syncs it and gives it its name.
    pub(crate) fn finish(mut self) -> Result<PathBuf, Error> {
        self.flush_nodes()?;
        let nodes = self.nodes;
        self.chunk(&Chunk::End { nodes })?;
        if let Some(out) = self.out.take() {
            let file = out.into_inner().map_err(io::IntoInnerError::into_error);
            let synced = file.and_then(|file| file.sync_all());
            let named = synced.and_then(|()| rename_durably(&self.temporary, &self.path));
            if named.is_err() {
                self.discard();
            }
            named.at(&self.temporary)?;
        }
        tracing::info!(path = %self.path.display(), nodes, "snapshot written");
        Ok(self.path.clone())
    }

    fn flush_nodes(&mut self) -> Result<(), Error> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.nodes += self.pending.len() as u64;
        self.pending_data = 0;
        let chunk = Chunk::Nodes(std::mem::take(&mut self.pending));
        self.chunk(&chunk)
    }

    fn chunk(&mut self, chunk: &Chunk) -> Result<(), Error> {
        let payload = common::persist::encode(chunk)?;
        self.payload(&payload)
    }

    fn payload(&mut self, payload: &[u8]) -> Result<(), Error> {
        let length = u32::try_from(payload.len()).map_err(|_| Error::Failed)?;
        self.bytes(&length.to_be_bytes())?;
        self.bytes(&crc32c(payload).to_be_bytes())?;
        self.bytes(payload)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(out) = &mut self.out else {
            return Err(Error::Failed);
        };
        out.write_all(bytes).at(&self.temporary)?;
        self.unsynced += bytes.len();
        if self.unsynced >= UNSYNCED_MAX {
            self.unsynced = 0;
            out.flush().at(&self.temporary)?;
            out.get_ref().sync_data().at(&self.temporary)?;
        }
        Ok(())
    }

    fn discard(&self) {
        if let Err(error) = std::fs::remove_file(&self.temporary) {
            tracing::warn!(path = %self.temporary.display(), %error, "an unfinished snapshot stays");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            // What is buffered need not be written any more.
            drop(out.into_parts());
            self.discard();
        }
    }
}

/// A chunk of nodes, decoded and as it is in the file.
#[derive(Debug)]
pub(super) struct NodeChunk<'a> {
    pub(super) records: Vec<NodeRecord>,
    payload: &'a [u8],
}

/// Reads a snapshot chunk by chunk.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) head: Head,
    source: Source,
    nodes: u64,
    /// A chunk that was read to see what it is.
    peeked: Option<Chunk>,
    ended: bool,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut source = Source::open(path)?;
        let Chunk::Head {
            zxid,
            secret,
            sessions,
        } = source.chunk()?
        else {
            return Err(source.damaged("it does not begin with its head"));
        };
        let (imported, peeked) = match source.chunk()? {
            Chunk::Imported(imported) => (imported, None),
            other => (Vec::new(), Some(other)),
        };
        Ok(Self {
            head: Head {
                zxid,
                secret,
                sessions,
                imported,
            },
            source,
            nodes: 0,
            peeked,
            ended: false,
        })
    }

    /// The next chunk of nodes; `None` behind the last, if the file is complete.
    pub(super) fn next(&mut self) -> Result<Option<NodeChunk<'_>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let chunk = match self.peeked.take() {
            Some(chunk) => chunk,
            None => self.source.chunk()?,
        };
        match chunk {
            Chunk::Nodes(records) => {
                self.nodes += records.len() as u64;
                let payload = &self.source.payload;
                Ok(Some(NodeChunk { records, payload }))
            }
            Chunk::End { nodes } if nodes == self.nodes && self.source.left == 0 => {
                self.ended = true;
                Ok(None)
            }
            Chunk::End { .. } => Err(self.damaged("it is not complete")),
            Chunk::Head { .. } | Chunk::Imported(_) => Err(self.damaged("it has two heads")),
        }
    }

    /// How many nodes were read so far.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes
    }

    pub(super) fn damaged(&self, reason: &'static str) -> Error {
        self.source.damaged(reason)
    }
}

#[derive(Debug)]
struct Source {
    path: PathBuf,
    input: BufReader<File>,
    offset: u64,
    left: u64,
    payload: Vec<u8>,
}

impl Source {
    /// Opens a file and checks that it is a snapshot.
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).at(path)?;
        let left = file.metadata().at(path)?.len();
        let mut source = Self {
            path: path.to_owned(),
            input: BufReader::new(file),
            offset: 0,
            left,
            payload: Vec::new(),
        };
        if &source.take::<8>()? != MAGIC {
            return Err(source.damaged("it is no snapshot"));
        }
        let version = u32::from_be_bytes(source.take()?);
        if version != VERSION {
            return Err(Error::Version {
                path: source.path,
                version,
                known: VERSION,
            });
        }
        Ok(source)
    }

    fn damaged(&self, reason: &'static str) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            reason,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.left < N as u64 {
            return Err(self.damaged("it ends too early"));
        }
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).at(&self.path)?;
        self.left -= N as u64;
        self.offset += N as u64;
        Ok(bytes)
    }

    /// Reads the next chunk; its payload can be had until the one behind it is read.
    fn chunk(&mut self) -> Result<Chunk, Error> {
        let length = u64::from(u32::from_be_bytes(self.take()?));
        let crc = u32::from_be_bytes(self.take()?);
        if length > self.left {
            return Err(self.damaged("it ends too early"));
        }
        self.payload.clear();
        self.payload
            .resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        self.input.read_exact(&mut self.payload).at(&self.path)?;
        if crc32c(&self.payload) != crc {
            return Err(self.damaged("the checksum of a chunk is wrong"));
        }
        let chunk = common::persist::decode(&self.payload)
            .map_err(|_| self.damaged("a chunk cannot be decoded"))?;
        self.left -= length;
        self.offset += length;
        Ok(chunk)
    }
}
