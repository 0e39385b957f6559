//! `GET /backup`: the state of this moment as a file that `coordinator restore` reads.
//!
//! The writer begins a new log, the snapshot up to there is written as any other,
//! and its file is sent.
//!
//! **Invariant:** only this machine is served: a backup holds every node, whoever
//! may read it.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use common::task;
use tokio::sync::{mpsc, oneshot};

use super::{Pages, Shared};
use crate::storage::SnapshotFile;

/// How much of the file is in memory: this many pieces of this size.
const PIECES: usize = 4;
const PIECE_LEN: usize = 64 << 10;

pub(super) async fn backup(
    State(admin): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return refuse(StatusCode::FORBIDDEN, "backups are for this machine only");
    }
    match snapshot(&admin).await {
        Ok(snapshot) => send(snapshot, HeaderMap::new()),
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, &why),
    }
}

/// A snapshot of what is committed now.
pub(super) async fn snapshot(admin: &Pages) -> Result<SnapshotFile, String> {
    let stopping = || "the server is stopping".to_owned();
    let (told, done) = oneshot::channel();
    admin
        .server
        .pipeline
        .snapshot(move |outcome| drop(told.send(outcome)))
        .map_err(|_| stopping())?;
    done.await.map_err(|_| stopping())?
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

/// Sends the file, with these headers and those that say what it is.
pub(super) fn send(snapshot: SnapshotFile, mut headers: HeaderMap) -> Response {
    let SnapshotFile { file, len, .. } = snapshot;
    let (sender, receiver) = mpsc::channel(PIECES);
    // Not waited for: it ends with the file, or when nobody listens any more.
    drop(task::spawn_blocking("backup", move || pump(file, &sender)));
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let kind = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, len.into());
    (headers, Body::from_stream(pieces)).into_response()
}

fn pump(mut file: File, sender: &mpsc::Sender<std::io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE_LEN];
        let read = file.read(&mut piece);
        let done = !matches!(read, Ok(1..));
        let piece = read.map(|len| {
            piece.truncate(len);
            Bytes::from(piece)
        });
        if matches!(&piece, Ok(piece) if piece.is_empty()) {
            return;
        }
        if sender.blocking_send(piece).is_err() || done {
            return;
        }
    }
}
