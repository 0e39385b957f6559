//! ZooKeeper's snapshots, which all versions from 3.4 on write in the same form.
//!
//! ```text
//! header     magic "ZKSN" · version i32 = 2 · database id i64
//! sessions   count i32 · (id i64 · timeout i32)*
//! ACLs       count i32 · (number i64 · ACL)*
//! nodes      (path · data · ACL's number i64 · stat)*, parents first, the root's
//!            path empty · "/"
//! seal       Adler-32 of everything before it, as i64 · "/"
//! digest     zxid i64 · version i32 · sum i64 · seal              since 3.6
//! zxid       the last transaction, i64 · seal                     since 3.9
//! ```
//!
//! **Invariant:** what is written reads as what 3.9 writes; what is read is whole.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use common::jute::Record;
use common::zk::Acl;

use super::archive::{Archive, invalid};
use super::compression;
use super::image::{Image, Node, SharedAcl, Stat, digest_of};
use crate::storage::Error;
use crate::storage::snapshot::NodeRecord;

const MAGIC: &[u8; 4] = b"ZKSN";
const VERSION: i32 = 2;
/// What ZooKeeper writes too.
const DATABASE_ID: i64 = -1;
/// The number that stands for the ACL that lets everybody do everything.
const OPEN_ACL: i64 = -1;
const END: &str = "/";
/// The way of computing digests that is known here.
pub(super) const DIGEST_VERSION: i32 = 2;

/// The digest of the tree after one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) zxid: i64,
    pub(super) sum: i64,
}

/// Reads a snapshot, and its digest if it has one that can be compared.
pub(super) fn read(path: &Path) -> Result<(Image, Option<Digest>), Error> {
    let source = compression::open(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut archive = Archive::new(source);
    read_all(&mut archive).map_err(|source| Error::ForeignSnapshot {
        path: path.to_owned(),
        offset: archive.offset(),
        source,
    })
}

fn read_all<R: Read>(archive: &mut Archive<R>) -> io::Result<(Image, Option<Digest>)> {
    if &archive.array::<4>()? != MAGIC {
        return Err(invalid("it is no snapshot of ZooKeeper"));
    }
    if archive.i32()? != VERSION {
        return Err(invalid("its version is not known"));
    }
    archive.i64()?;
    let mut image = Image::default();
    for _ in 0..archive.i32()? {
        let id = archive.i64()?;
        let timeout_ms = archive.i32()?;
        image.sessions.insert(id, timeout_ms);
    }
    let acls = read_acls(archive)?;
    read_nodes(archive, &acls, &mut image)?;
    read_seal(archive)?;
    // Older versions end here or behind the digest, and newer ones may be told to.
    let Some(zxid) = archive.i64_or_end()? else {
        return Ok((image, None));
    };
    let digest = read_digest(archive, zxid)?;
    if archive.i64_or_end()?.is_some() {
        read_seal(archive)?;
    }
    Ok((image, digest))
}

fn read_acls<R: Read>(archive: &mut Archive<R>) -> io::Result<HashMap<i64, Arc<[Acl]>>> {
    let mut acls = HashMap::new();
    acls.insert(OPEN_ACL, Acl::open().into());
    for _ in 0..archive.i32()? {
        let number = archive.i64()?;
        acls.insert(number, archive.acl()?.into());
    }
    Ok(acls)
}

fn read_nodes<R: Read>(
    archive: &mut Archive<R>,
    acls: &HashMap<i64, Arc<[Acl]>>,
    image: &mut Image,
) -> io::Result<()> {
    loop {
        let path = match archive.string()? {
            path if path == END => break,
            path if path.is_empty() => "/".to_owned(),
            path => path,
        };
        let data = archive.buffer()?;
        let acl: SharedAcl = acls.get(&archive.i64()?).map(Arc::clone);
        let stat = read_stat(archive)?;
        let loaded = image.load(path, Node { data, acl, stat });
        loaded.map_err(|_| invalid("a node has no parent"))?;
    }
    if !image.nodes.contains_key("/") {
        return Err(invalid("it has no root"));
    }
    Ok(())
}

fn read_stat<R: Read>(archive: &mut Archive<R>) -> io::Result<Stat> {
    Ok(Stat {
        czxid: archive.i64()?,
        mzxid: archive.i64()?,
        ctime: archive.i64()?,
        mtime: archive.i64()?,
        version: archive.i32()?,
        cversion: archive.i32()?,
        aversion: archive.i32()?,
        owner: archive.i64()?,
        pzxid: archive.i64()?,
    })
}

fn read_seal<R: Read>(archive: &mut Archive<R>) -> io::Result<()> {
    let sum = archive.sum();
    if archive.i64()? != sum {
        return Err(invalid("its checksum is wrong"));
    }
    if archive.string()? != END {
        return Err(invalid("its seal is wrong"));
    }
    Ok(())
}

fn read_digest<R: Read>(archive: &mut Archive<R>, zxid: i64) -> io::Result<Option<Digest>> {
    let version = archive.i32()?;
    // The first version was a text in hexadecimal.
    let sum = match version < DIGEST_VERSION {
        true => archive.buffer().map(|_| 0)?,
        false => archive.i64()?,
    };
    read_seal(archive)?;
    let comparable = version == DIGEST_VERSION && zxid > 0;
    Ok(comparable.then_some(Digest { zxid, sum }))
}

/// Writes the whole of a snapshot.
pub(super) fn write(
    out: &mut dyn Write,
    zxid: i64,
    sessions: &[(i64, i32)],
    nodes: &[NodeRecord],
) -> io::Result<()> {
    let mut out = Sealing {
        out,
        sum: adler2::Adler32::new(),
        buffer: BytesMut::new(),
    };
    out.buffer.put_slice(MAGIC);
    out.buffer.put_i32(VERSION);
    out.buffer.put_i64(DATABASE_ID);
    out.count(sessions.len())?;
    for (id, timeout_ms) in sessions {
        out.buffer.put_i64(*id);
        out.buffer.put_i32(*timeout_ms);
    }
    let mut numbers: HashMap<&[Acl], i64> = HashMap::new();
    for node in nodes {
        let next = numbers.len() as i64 + 1;
        numbers.entry(&node.acl).or_insert(next);
    }
    out.count(numbers.len())?;
    for (acl, number) in &numbers {
        out.buffer.put_i64(*number);
        acl.to_vec().encode(&mut out.buffer);
    }
    let mut digest = 0_i64;
    for record in nodes {
        out.node(record, numbers[record.acl.as_slice()])?;
        digest = digest.wrapping_add(digest_of(&record.path, &foreign(record)));
    }
    END.to_owned().encode(&mut out.buffer);
    out.seal()?;
    out.buffer.put_i64(zxid);
    out.buffer.put_i32(DIGEST_VERSION);
    out.buffer.put_i64(digest);
    out.seal()?;
    out.buffer.put_i64(zxid);
    out.seal()
}

/// The node as ZooKeeper keeps it, without its ACL.
pub(super) fn foreign(record: &NodeRecord) -> Node {
    Node {
        data: record.data.clone(),
        acl: None,
        stat: Stat {
            czxid: record.czxid,
            mzxid: record.mzxid,
            ctime: record.ctime,
            mtime: record.mtime,
            version: record.version,
            cversion: record.cversion,
            aversion: record.aversion,
            owner: record.owner,
            pzxid: record.pzxid,
        },
    }
}

/// Sums up what it writes.
struct Sealing<'a> {
    out: &'a mut dyn Write,
    sum: adler2::Adler32,
    buffer: BytesMut,
}

impl Sealing<'_> {
    fn count(&mut self, count: usize) -> io::Result<()> {
        let count = i32::try_from(count).map_err(io::Error::other)?;
        self.buffer.put_i32(count);
        self.pass()
    }

    fn node(&mut self, record: &NodeRecord, acl: i64) -> io::Result<()> {
        let path = match record.path.as_str() {
            "/" => "",
            path => path,
        };
        let buffer = &mut self.buffer;
        path.to_owned().encode(buffer);
        record.data.encode(buffer);
        buffer.put_i64(acl);
        let stat = foreign(record).stat;
        for long in [stat.czxid, stat.mzxid, stat.ctime, stat.mtime] {
            buffer.put_i64(long);
        }
        for int in [stat.version, stat.cversion, stat.aversion] {
            buffer.put_i32(int);
        }
        buffer.put_i64(stat.owner);
        buffer.put_i64(stat.pzxid);
        self.pass()
    }

    fn seal(&mut self) -> io::Result<()> {
        self.pass()?;
        let sum = i64::from(self.sum.checksum());
        self.buffer.put_i64(sum);
        END.to_owned().encode(&mut self.buffer);
        self.pass()
    }

    fn pass(&mut self) -> io::Result<()> {
        let bytes: Bytes = self.buffer.split().freeze();
        self.sum.write_slice(&bytes);
        self.out.write_all(&bytes)
    }
}
