//! A load client of the ZooKeeper protocol that costs little: one thread, prepared
//! frames, pipelining, no decoding beyond the header of a reply.
//!
//! `zk_load ADDRESS WORK [--clients N] [--in-flight N] [--ops N] [--pid SERVER]`
//! prints one line of JSON: operations per second, latencies, and per operation the
//! CPU time of the server (with `--pid`), that of itself, and the bytes by which the
//! server's memory grew. `coordinator.py` runs it.

#[path = "usage.rs"]
mod usage;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use clap::{Parser, ValueEnum};
use common::clock::SharedClock;
use common::jute::Record;
use common::zk::{
    Acl, CheckVersionRequest, ConnectRequest, CreateRequest, MultiOp, MultiRequest, OpCode,
    PASSWORD_LEN, PathWatchRequest, RequestHeader, SetDataRequest,
};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use usage::{Measured, Usage};

/// Everything is done below this node.
const TOP: &str = "/bench";
/// What Kafka's controller checks before each of its writes.
const EPOCH: &str = "/bench/epoch";
/// How many nodes each client sets and gets, in turn.
const NODES_PER_CLIENT: usize = 64;
/// Filling spreads the nodes over folders of this size.
const FOLDER: usize = 1000;
const HEADER_LEN: usize = 16;
const EVENT_XID: i32 = -1;
const NO_NODE: i32 = -101;
/// The handshakes that are under way together.
const HANDSHAKES: usize = 100;
const WATCH_ROUNDS: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Set,
    Create,
    /// A multi of check and setData.
    Multi,
    Get,
    /// Opens `--ops` sessions.
    Sessions,
    /// `--clients` sessions watch one node, which is then set.
    Watches,
    /// Leaves `--ops` watches, each on a path of its own.
    Watching,
    /// Creates `--ops` nodes in folders of a thousand.
    Fill,
}

#[derive(Debug, Parser)]
struct Arguments {
    address: SocketAddr,
    work: Work,
    #[arg(long, default_value_t = 1)]
    clients: usize,
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    #[arg(long, default_value_t = 10_000)]
    ops: usize,
    /// Bytes of data in a node.
    #[arg(long, default_value_t = 100)]
    data: usize,
    #[command(flatten)]
    measured: Measured,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let line = runtime.block_on(run(&arguments))?;
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
    Ok(())
}

async fn run(arguments: &Arguments) -> Result<String> {
    let bench = Bench {
        clock: common::clock::system(),
        data: Bytes::from(vec![b'x'; arguments.data]),
        arguments,
    };
    match arguments.work {
        Work::Sessions => bench.sessions().await,
        Work::Watches => bench.watches().await,
        _ => bench.throughput().await,
    }
}

struct Bench<'a> {
    clock: SharedClock,
    data: Bytes,
    arguments: &'a Arguments,
}

impl Bench<'_> {
    async fn throughput(&self) -> Result<String> {
        let (clients, ops) = (self.arguments.clients, self.arguments.ops);
        let mut connections = Vec::new();
        for _ in 0..clients {
            connections.push(Connection::open(self.arguments.address).await?);
        }
        self.prepare(&mut connections[0]).await?;
        let cpu = Both::now(&self.arguments.measured)?;
        let started = self.clock.monotonic();
        let each = ops / clients;
        let running = connections.iter_mut().enumerate();
        let running = running.map(|(client, connection)| {
            let frames = (0..each).map(move |number| self.frame(client, number));
            self.pipeline(connection, frames)
        });
        let latencies = try_join_all(running).await?.concat();
        let seconds = (self.clock.monotonic() - started).as_secs_f64();
        Ok(Both::now(&self.arguments.measured)?.report(&cpu, each * clients, seconds, latencies))
    }

    /// Makes the nodes that the work needs.
    async fn prepare(&self, connection: &mut Connection) -> Result<()> {
        let mut paths = vec![TOP.to_owned(), EPOCH.to_owned()];
        let (run, clients) = (self.arguments.measured.run, self.arguments.clients);
        for client in 0..clients {
            match self.arguments.work {
                Work::Watching => {}
                Work::Create => paths.push(format!("{TOP}/c{run}-{client}")),
                Work::Fill => {
                    let folders = self.arguments.ops / clients / FOLDER + 1;
                    paths.extend((0..folders).map(|n| format!("{TOP}/f{client}-{n}")));
                }
                _ => paths.extend((0..NODES_PER_CLIENT).map(|n| node(client, n))),
            }
        }
        for path in paths {
            let create = create(path, self.data.clone());
            // It may be there from an earlier run.
            connection.call(OpCode::Create, &create).await?;
        }
        Ok(())
    }

    /// The request `number` of a client.
    fn frame(&self, client: usize, number: usize) -> Bytes {
        let run = self.arguments.measured.run;
        let xid = i32::try_from(number).unwrap_or(i32::MAX);
        let set = || SetDataRequest {
            path: node(client, number % NODES_PER_CLIENT),
            data: Some(self.data.clone()),
            version: -1,
        };
        match self.arguments.work {
            Work::Set => frame(xid, OpCode::SetData, &set()),
            Work::Get => {
                let path = node(client, number % NODES_PER_CLIENT);
                frame(
                    xid,
                    OpCode::GetData,
                    &PathWatchRequest { path, watch: false },
                )
            }
            Work::Multi => {
                let check = CheckVersionRequest {
                    path: EPOCH.to_owned(),
                    version: 0,
                };
                let ops = vec![MultiOp::Check(check), MultiOp::SetData(set())];
                frame(xid, OpCode::Multi, &MultiRequest { ops })
            }
            Work::Watching => {
                let path = format!("{TOP}/watched/{client:04}/{number:08}");
                frame(xid, OpCode::Exists, &PathWatchRequest { path, watch: true })
            }
            Work::Fill => {
                let folder = number / FOLDER;
                let path = format!("{TOP}/f{client}-{folder}/n{:03}", number % FOLDER);
                frame(xid, OpCode::Create, &create(path, self.data.clone()))
            }
            Work::Create | Work::Sessions | Work::Watches => {
                let path = format!("{TOP}/c{run}-{client}/n{number:07}");
                frame(xid, OpCode::Create, &create(path, self.data.clone()))
            }
        }
    }

    /// Sends the frames, never more than `in_flight` unanswered; the latencies.
    async fn pipeline(
        &self,
        connection: &mut Connection,
        mut frames: impl Iterator<Item = Bytes>,
    ) -> Result<Vec<Duration>> {
        let mut sent: VecDeque<Duration> = VecDeque::new();
        let mut latencies = Vec::with_capacity(self.arguments.ops / self.arguments.clients);
        let mut out = BytesMut::new();
        loop {
            let now = self.clock.monotonic();
            while sent.len() < self.arguments.in_flight
                && let Some(frame) = frames.next()
            {
                out.put_slice(&frame);
                sent.push_back(now);
            }
            if sent.is_empty() {
                return Ok(latencies);
            }
            connection.stream.write_all(&out).await?;
            out.clear();
            connection.fill().await?;
            let now = self.clock.monotonic();
            while let Some(reply) = connection.next_frame()? {
                if reply.xid == EVENT_XID {
                    continue;
                }
                let is_missing = self.arguments.work == Work::Watching && reply.err == NO_NODE;
                ensure!(
                    reply.err == 0 || is_missing,
                    "error {} to request {}",
                    reply.err,
                    reply.xid
                );
                let since = sent.pop_front().context("a reply to nothing")?;
                latencies.push(now - since);
            }
        }
    }

    async fn sessions(&self) -> Result<String> {
        let ops = self.arguments.ops;
        let cpu = Both::now(&self.arguments.measured)?;
        let started = self.clock.monotonic();
        let mut open = Vec::with_capacity(ops);
        let lanes = (0..HANDSHAKES).map(|lane| async move {
            let mut opened = Vec::new();
            for _ in (lane..ops).step_by(HANDSHAKES) {
                opened.push(Connection::open(self.arguments.address).await?);
            }
            anyhow::Ok(opened)
        });
        open.extend(try_join_all(lanes).await?.into_iter().flatten());
        let seconds = (self.clock.monotonic() - started).as_secs_f64();
        Ok(Both::now(&self.arguments.measured)?.report(&cpu, open.len(), seconds, Vec::new()))
    }

    /// Every client watches one node; the time from its change to the last event.
    async fn watches(&self) -> Result<String> {
        let mut setter = Connection::open(self.arguments.address).await?;
        let path = format!("{TOP}/watched");
        for path in [TOP.to_owned(), path.clone()] {
            setter
                .call(OpCode::Create, &create(path, self.data.clone()))
                .await?;
        }
        let mut watchers = Vec::new();
        for _ in 0..self.arguments.clients {
            watchers.push(Connection::open(self.arguments.address).await?);
        }
        let watch = PathWatchRequest {
            path: path.clone(),
            watch: true,
        };
        let set = SetDataRequest {
            path,
            data: Some(self.data.clone()),
            version: -1,
        };
        let cpu = Both::now(&self.arguments.measured)?;
        let mut latencies = Vec::new();
        for _ in 0..WATCH_ROUNDS {
            for watcher in &mut watchers {
                watcher.call(OpCode::GetData, &watch).await?;
            }
            let started = self.clock.monotonic();
            let events = watchers.iter_mut().map(Connection::event);
            let (set, events) =
                tokio::join!(setter.call(OpCode::SetData, &set), try_join_all(events));
            ensure!(set? == 0, "the node could not be set");
            events?;
            latencies.push(self.clock.monotonic() - started);
        }
        let seconds: f64 = latencies.iter().map(Duration::as_secs_f64).sum();
        let ops = self.arguments.clients * WATCH_ROUNDS;
        Ok(Both::now(&self.arguments.measured)?.report(&cpu, ops, seconds, latencies))
    }
}

fn node(client: usize, number: usize) -> String {
    format!("{TOP}/s{client}-{number}")
}

fn create(path: String, data: Bytes) -> CreateRequest {
    CreateRequest {
        path,
        data: Some(data),
        acl: Acl::open(),
        flags: 0,
    }
}

fn frame(xid: i32, op: OpCode, body: &impl Record) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    out.put_i32(0);
    let header = RequestHeader { xid, op: op.code() };
    header.encode(&mut out);
    body.encode(&mut out);
    let length = i32::try_from(out.len() - 4).unwrap_or(i32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    out.freeze()
}

struct ReplyTo {
    xid: i32,
    err: i32,
}

struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Connects and shakes hands.
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let buffer = BytesMut::new();
        let mut connection = Self { stream, buffer };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: 0,
            timeout_ms: 30_000,
            session_id: 0,
            password: Some(Bytes::from(vec![0; PASSWORD_LEN])),
            read_only: Some(false),
            listens_at: None,
        };
        let body = request.to_bytes();
        let mut out = BytesMut::new();
        out.put_i32(i32::try_from(body.len())?);
        out.put_slice(&body);
        connection.stream.write_all(&out).await?;
        while connection.take()?.is_none() {
            connection.fill().await?;
        }
        Ok(connection)
    }

    /// Sends one request and waits for its reply's error code.
    async fn call(&mut self, op: OpCode, body: &impl Record) -> Result<i32> {
        self.stream.write_all(&frame(1, op, body)).await?;
        loop {
            while let Some(reply) = self.next_frame()? {
                if reply.xid != EVENT_XID {
                    return Ok(reply.err);
                }
            }
            self.fill().await?;
        }
    }

    /// Waits for a watch event.
    async fn event(&mut self) -> Result<()> {
        loop {
            while let Some(reply) = self.next_frame()? {
                if reply.xid == EVENT_XID {
                    return Ok(());
                }
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(16 << 10);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// The next whole frame, without its length.
    fn take(&mut self) -> Result<Option<BytesMut>> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = usize::try_from(i32::from_be_bytes(*prefix))?;
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length)))
    }

    fn next_frame(&mut self) -> Result<Option<ReplyTo>> {
        let Some(mut frame) = self.take()? else {
            return Ok(None);
        };
        ensure!(frame.len() >= HEADER_LEN, "a reply without a header");
        let (xid, _zxid, err) = (frame.get_i32(), frame.get_i64(), frame.get_i32());
        Ok(Some(ReplyTo { xid, err }))
    }
}

/// What the server and this program have used so far.
struct Both {
    server: Usage,
    client: Usage,
}

impl Both {
    fn now(measured: &Measured) -> Result<Self> {
        Ok(Self {
            server: measured.server()?,
            client: Usage::own()?,
        })
    }

    fn report(
        &self,
        before: &Self,
        ops: usize,
        seconds: f64,
        mut latencies: Vec<Duration>,
    ) -> String {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            let latency = latencies.get(index.min(latencies.len().saturating_sub(1)));
            latency.copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        let per_op = |seconds: f64| seconds * 1e6 / ops as f64;
        let report = serde_json::json!({
            "ops": ops,
            "seconds": seconds,
            "rate": ops as f64 / seconds,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
            "server_us": per_op(self.server.cpu_s - before.server.cpu_s),
            "client_us": per_op(self.client.cpu_s - before.client.cpu_s),
            "bytes": (self.server.rss_mb - before.server.rss_mb) * 1e6 / ops as f64,
        });
        format!("{report}\n")
    }
}
