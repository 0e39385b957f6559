use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::*;

const IDLE_MAX: Duration = Duration::from_secs(60);

/// Answers a frame with itself, in the way that its first byte says.
struct Echo {
    permits: Arc<Semaphore>,
    /// Kinds of the requests that were answered.
    served: Served,
}

type Served = Arc<Mutex<Vec<u32>>>;

impl Service for Echo {
    fn call<'a>(&'a self, _: &'a Peer, frame: Bytes, kind: &'a Kind) -> Call<'a> {
        if let [_, number, ..] = frame[..] {
            kind.set(number.into());
        }
        let permits = self.permits.clone();
        let answer = async move {
            match frame.first() {
                Some(b'n') => Reply::Now(frame.into()),
                Some(b'w') => {
                    permits.acquire().await.unwrap().forget();
                    Reply::Now(frame.into())
                }
                Some(b'm') => {
                    let pause = Duration::from_secs(3600);
                    Reply::Muting(Box::new(Reply::Now(frame.into())), pause)
                }
                Some(b'l') => Reply::Later(Box::pin(async move {
                    permits.acquire().await.unwrap().forget();
                    Outcome::Answer(frame.into())
                })),
                _ => Reply::Close,
            }
        };
        Call::Waits(answer.boxed())
    }

    fn served(&self, kind: u32, _: Duration) {
        self.served.lock().push(kind);
    }
}

/// A client's end, and what lets the service go on.
async fn start() -> (TcpStream, Arc<Semaphore>) {
    start_within(RequestMemory::default()).await
}

async fn start_within(memory: RequestMemory) -> (TcpStream, Arc<Semaphore>) {
    start_telling(memory, Served::default()).await
}

async fn start_telling(memory: RequestMemory, served: Served) -> (TcpStream, Arc<Semaphore>) {
    let listener = common::net::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = common::net::connect("127.0.0.1", address.port())
        .await
        .unwrap();
    let (server, address) = listener.accept().await.unwrap();
    let permits = Arc::new(Semaphore::new(0));
    let service = Echo {
        permits: permits.clone(),
        served,
    };
    common::task::spawn("serve", async move {
        let peer = Peer {
            address,
            listener: "test".into(),
        };
        let config = Config {
            request_bytes_max: 100,
            idle_max: IDLE_MAX,
            memory,
            buffers: common::net::Buffers::default(),
        };
        serve(server, &peer, &service, &config, Shutdown::default()).await
    });
    (client, permits)
}

async fn send(client: &mut TcpStream, frames: &[&[u8]]) {
    let mut all = Vec::new();
    for frame in frames {
        all.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_be_bytes());
        all.extend_from_slice(frame);
    }
    client.write_all(&all).await.unwrap();
}

async fn expect(client: &mut TcpStream, frames: &[&[u8]]) {
    for frame in frames {
        let mut got = vec![0; 4 + frame.len()];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got[4..], *frame);
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_later_requests() {
    let (mut client, permits) = start().await;
    send(&mut client, &[b"n1", b"n2", b"w3", b"n4"]).await;
    expect(&mut client, &[b"n1", b"n2"]).await;
    permits.add_permits(1);
    expect(&mut client, &[b"w3", b"n4"]).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_quiet_connection_is_idle() {
    let (mut client, _permits) = start().await;
    for _ in 0..3 {
        tokio::time::sleep(IDLE_MAX * 2 / 3).await;
        send(&mut client, &[b"n1"]).await;
        expect(&mut client, &[b"n1"]).await;
    }
    let mut byte = [0];
    let almost = IDLE_MAX - Duration::from_secs(1);
    let early = tokio::time::timeout(almost, client.read(&mut byte));
    assert!(early.await.is_err());
    let closed = tokio::time::timeout(Duration::from_secs(2), client.read(&mut byte));
    assert_eq!(closed.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn without_memory_the_requests_of_others_wait() {
    let memory = RequestMemory::new(1);
    let (mut first, permits) = start_within(memory.clone()).await;
    let (mut second, _permits) = start_within(memory.clone()).await;
    send(&mut first, &[b"w1"]).await;
    // Once its memory is taken, nobody else gets any.
    while memory.lease(1).now_or_never().is_some() {
        tokio::task::yield_now().await;
    }
    send(&mut second, &[b"n2"]).await;
    let answered = expect(&mut second, &[b"n2"]);
    tokio::pin!(answered);
    assert!((&mut answered).now_or_never().is_none());
    permits.add_permits(1);
    expect(&mut first, &[b"w1"]).await;
    answered.await;
}

#[tokio::test]
async fn who_used_too_much_is_answered_and_not_read_for_a_while() {
    let (mut client, _permits) = start().await;
    send(&mut client, &[b"n1", b"m2", b"n3"]).await;
    expect(&mut client, &[b"n1", b"m2"]).await;
    let answered = expect(&mut client, &[b"n3"]);
    tokio::pin!(answered);
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(
            (&mut answered).now_or_never().is_none(),
            "an hour is not over"
        );
    }
}

#[tokio::test]
async fn answers_keep_the_order_of_their_requests() {
    let served = Served::default();
    let (mut client, permits) = start_telling(RequestMemory::default(), served.clone()).await;
    send(&mut client, &[b"n1", b"l2", b"n3", b"l4", b"n5"]).await;
    expect(&mut client, &[b"n1"]).await;
    permits.add_permits(2);
    expect(&mut client, &[b"l2", b"n3", b"l4", b"n5"]).await;
    let (mut other, _permits) = start().await;
    while served.lock().len() < 5 {
        send(&mut other, &[b"n1"]).await;
        expect(&mut other, &[b"n1"]).await;
    }
    assert_eq!(*served.lock(), b"12345".map(u32::from), "each is told once");
}

#[tokio::test]
async fn answers_before_a_refused_request_are_sent() {
    let (mut client, _permits) = start().await;
    send(&mut client, &[b"n1", b"n2", b"x"]).await;
    expect(&mut client, &[b"n1", b"n2"]).await;
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}
