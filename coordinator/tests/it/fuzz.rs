//! Streams of a client that are damaged at random: whatever comes, the server goes
//! on, and nobody else notices.
//!
//! `FUZZ_ROUNDS=100000 cargo test -p coordinator --test it fuzz` is the long form;
//! `FUZZ_SEED` repeats a run, whose seed a failure names.

use bytes::{BufMut, Bytes, BytesMut};
use common::jute::Record;
use common::zk::CreateMode::*;
use common::zk::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::*;

/// How many damaged streams there are between two looks at the server.
const STREAMS_PER_LOOK: u64 = 20;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(6) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
            2 => bytes.truncate(at.max(1)),
            3 if bytes.len() > 20 => drop(bytes.drain(at..(at + 5).min(bytes.len()))),
            4 => {
                let end = (at + 1 + self.below(60)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => drop(bytes.splice(at..at, [0xff; 4])),
        }
    }
}

fn number(name: &str, default: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A frame with a request.
fn request(xid: i32, op: OpCode, body: &impl Record) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(xid);
    frame.put_i32(op.code());
    body.encode(&mut frame);
    framed(&frame)
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

/// The frames of a client that does a bit of everything, the hello first.
fn frames() -> Vec<Vec<u8>> {
    let path_watch = |path: &str| PathWatchRequest {
        path: path.into(),
        watch: true,
    };
    let watches = SetWatches2 {
        relative_zxid: 0,
        data_watches: vec!["/f".into()],
        exist_watches: vec!["/g".into()],
        child_watches: vec!["/".into()],
        persistent_watches: vec!["/p".into()],
        persistent_recursive_watches: vec!["/r".into()],
    };
    let auth = AuthPacket {
        auth_type: 0,
        scheme: Some("digest".into()),
        auth: Some(Bytes::from_static(b"user:password")),
    };
    let set = SetDataRequest {
        path: "/f".into(),
        data: Some(Bytes::from_static(b"new")),
        version: -1,
    };
    let delete = DeleteRequest {
        path: "/f".into(),
        version: -1,
    };
    let multi = MultiRequest {
        ops: vec![
            MultiOp::Create(create_request("/m", Persistent)),
            MultiOp::SetData(set.clone()),
            MultiOp::Delete(DeleteRequest {
                path: "/m".into(),
                version: -1,
            }),
        ],
    };
    vec![
        framed(&hello(4000).to_bytes()),
        request(1, OpCode::Create, &create_request("/f", Persistent)),
        request(2, OpCode::Create2, &create_request("/e", Ephemeral)),
        request(xid::AUTH, OpCode::Auth, &auth),
        request(3, OpCode::GetData, &path_watch("/f")),
        request(4, OpCode::GetChildren2, &path_watch("/")),
        request(xid::SET_WATCHES, OpCode::SetWatches2, &watches),
        request(5, OpCode::SetData, &set),
        request(6, OpCode::Multi, &multi),
        request(7, OpCode::Delete, &delete),
        framed(&[255, 255, 255, 254, 0, 0, 0, 11]),
    ]
}

/// Sends a stream.
async fn say(server: &Fresh, stream: &[u8]) -> TcpStream {
    let address = server.daemon.client_address();
    let mut socket = TcpStream::connect(address).await.unwrap();
    // The server may have hung up already; what counts is that it goes on.
    drop(socket.write_all(stream).await);
    socket
}

/// What comes back until the server hangs up.
async fn answers(mut socket: TcpStream) -> Option<Vec<u8>> {
    let mut answers = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answers)).await;
    ended.ok().map(|_| answers)
}

/// How many frames were answered.
fn count(mut answers: &[u8]) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = answers.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
        answers = &rest[length..];
        count += 1;
    }
    count
}

#[tokio::test]
async fn damaged_streams_harm_nobody_else() {
    let server = fresh().await;
    let seed = number("FUZZ_SEED", 1);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut witness = server.client().await;
    witness.create("/witness", Persistent).await.unwrap();
    let frames = frames();
    let undamaged = answers(say(&server, &frames.concat()).await).await.unwrap();
    // Three of the changes were watched.
    assert!(count(&undamaged) >= frames.len(), "{}", count(&undamaged));
    for round in 0..number("FUZZ_ROUNDS", 300) {
        // Mostly a good hello, so that what comes behind it is looked at.
        let mut stream = frames[0].clone();
        for _ in 0..1 + random.below(4) {
            let mut frame = frames[random.below(frames.len())].clone();
            if random.below(3) > 0 {
                random.damage(&mut frame);
            }
            stream.extend(frame);
        }
        if random.below(8) == 0 {
            random.damage(&mut stream);
        }
        let mut socket = say(&server, &stream).await;
        drop(socket.shutdown().await);
        let ended = answers(socket).await;
        assert!(ended.is_some(), "seed {seed}, round {round}: still open");
        if round % STREAMS_PER_LOOK == 0 {
            let found = witness.exists("/witness", false).await;
            assert!(found.is_ok(), "seed {seed}, round {round}: {found:?}");
        }
    }
    let stopped = server.daemon.stop().await;
    assert!(stopped.is_ok(), "seed {seed}: {stopped:?}");
}
