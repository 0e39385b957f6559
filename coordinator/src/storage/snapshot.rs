//! Snapshots: the whole state after one transaction.
//!
//! ```text
//! file    magic "ODRKTSNP" · version u32 · chunks
//! chunk   length u32 · CRC-32C of the payload u32 · payload
//! ```
//!
//! A payload is a [`Chunk`] in the encoding of `common::persist`. The last chunk
//! counts the nodes. A file gets its name only when it is complete and synced.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use common::checksum::crc32c;
use common::fs::rename_durably;
use common::zk::Acl;
use serde::{Deserialize, Serialize};

use super::{Error, IoContext};
use crate::session::Secret;
use crate::tree::{Node, Stored, Tree};
use crate::txn::State;

const MAGIC: &[u8; 8] = b"ODRKTSNP";
const VERSION: u32 = 1;
/// How many nodes share a chunk.
const NODES_PER_CHUNK: usize = 256;

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
}

#[derive(Debug, Serialize, Deserialize)]
struct NodeRecord {
    path: String,
    data: Option<Bytes>,
    acl: Vec<Acl>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    version: i32,
    cversion: i32,
    aversion: i32,
    owner: i64,
}

pub(super) fn file_name(zxid: i64) -> String {
    format!("snapshot.{zxid:016x}")
}

/// Writes the snapshot of `state` and gives it its name.
pub(super) fn write(dir: &Path, state: &State) -> Result<PathBuf, Error> {
    let path = dir.join(file_name(state.zxid));
    let temporary = path.with_extension("tmp");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&temporary).at(&temporary)?;
    let mut out = BufWriter::new(file);
    write_state(&mut out, state, &temporary)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error);
    file.at(&temporary)?.sync_all().at(&temporary)?;
    rename_durably(&temporary, &path).at(&path)?;
    tracing::info!(path = %path.display(), "snapshot written");
    Ok(path)
}

fn write_state(out: &mut impl Write, state: &State, path: &Path) -> Result<(), Error> {
    out.write_all(MAGIC).at(path)?;
    out.write_all(&VERSION.to_be_bytes()).at(path)?;
    let head = Chunk::Head {
        zxid: state.zxid,
        secret: state.secret.clone(),
        sessions: state.sessions.iter().map(|(id, ms)| (*id, *ms)).collect(),
    };
    write_chunk(out, &head, path)?;
    let mut nodes = state.tree.iter();
    loop {
        let part: Vec<_> = nodes.by_ref().take(NODES_PER_CHUNK).map(record).collect();
        if part.is_empty() {
            break;
        }
        write_chunk(out, &Chunk::Nodes(part), path)?;
    }
    let nodes = state.tree.len() as u64;
    write_chunk(out, &Chunk::End { nodes }, path)
}

fn write_chunk(out: &mut impl Write, chunk: &Chunk, path: &Path) -> Result<(), Error> {
    let payload = common::persist::encode(chunk)?;
    let length = u32::try_from(payload.len()).map_err(|_| Error::Failed)?;
    out.write_all(&length.to_be_bytes()).at(path)?;
    out.write_all(&crc32c(&payload).to_be_bytes()).at(path)?;
    out.write_all(&payload).at(path)
}

fn record(node: Node<'_>) -> NodeRecord {
    NodeRecord {
        path: node.path().to_owned(),
        data: node.data().map(Bytes::copy_from_slice),
        acl: node.acl().to_vec(),
        czxid: node.czxid,
        mzxid: node.mzxid,
        pzxid: node.pzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: node.cversion,
        aversion: node.aversion,
        owner: node.owner,
    }
}

/// Reads a snapshot and checks that it is whole.
pub(super) fn read(path: &Path) -> Result<State, Error> {
    let file = File::open(path).at(path)?;
    let left = file.metadata().at(path)?.len();
    let mut source = Source {
        path,
        input: BufReader::new(file),
        offset: 0,
        left,
    };
    source.magic_and_version()?;
    let Chunk::Head {
        zxid,
        secret,
        sessions,
    } = source.chunk()?
    else {
        return Err(source.damaged("it does not begin with its head"));
    };
    let mut tree = Tree::empty();
    let nodes = loop {
        match source.chunk()? {
            Chunk::Nodes(records) => {
                for record in records {
                    restore(&mut tree, &record)
                        .map_err(|_| source.damaged("a node has no parent"))?;
                }
            }
            Chunk::End { nodes } => break nodes,
            Chunk::Head { .. } => return Err(source.damaged("it has two heads")),
        }
    };
    if nodes != tree.len() as u64 || source.left != 0 {
        return Err(source.damaged("it is not complete"));
    }
    let sessions: std::collections::BTreeMap<_, _> = sessions.into_iter().collect();
    if tree
        .ephemerals()
        .keys()
        .any(|id| !sessions.contains_key(id))
    {
        return Err(source.damaged("an ephemeral node has no session"));
    }
    Ok(State {
        tree,
        sessions,
        zxid,
        secret,
    })
}

fn restore(tree: &mut Tree, record: &NodeRecord) -> Result<(), crate::tree::Inconsistent> {
    let node = Stored {
        data: record.data.as_deref(),
        acl: &record.acl,
        czxid: record.czxid,
        mzxid: record.mzxid,
        pzxid: record.pzxid,
        ctime: record.ctime,
        mtime: record.mtime,
        version: record.version,
        cversion: record.cversion,
        aversion: record.aversion,
        owner: record.owner,
    };
    tree.restore(&record.path, &node)
}

struct Source<'a> {
    path: &'a Path,
    input: BufReader<File>,
    offset: u64,
    left: u64,
}

impl Source<'_> {
    fn damaged(&self, reason: &'static str) -> Error {
        Error::Damaged {
            path: self.path.to_owned(),
            offset: self.offset,
            reason,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        if self.left < N as u64 {
            return Err(self.damaged("it ends too early"));
        }
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).at(self.path)?;
        self.left -= N as u64;
        self.offset += N as u64;
        Ok(bytes)
    }

    fn magic_and_version(&mut self) -> Result<(), Error> {
        if &self.take::<8>()? != MAGIC {
            return Err(self.damaged("it is no snapshot"));
        }
        let version = u32::from_be_bytes(self.take()?);
        if version != VERSION {
            return Err(Error::Version {
                path: self.path.to_owned(),
                version,
                known: VERSION,
            });
        }
        Ok(())
    }

    fn chunk(&mut self) -> Result<Chunk, Error> {
        let length = u64::from(u32::from_be_bytes(self.take()?));
        let crc = u32::from_be_bytes(self.take()?);
        if length > self.left {
            return Err(self.damaged("it ends too early"));
        }
        let mut payload = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.input.read_exact(&mut payload).at(self.path)?;
        if crc32c(&payload) != crc {
            return Err(self.damaged("the checksum of a chunk is wrong"));
        }
        let chunk = common::persist::decode(&payload)
            .map_err(|_| self.damaged("a chunk cannot be decoded"))?;
        self.left -= length;
        self.offset += length;
        Ok(chunk)
    }
}
