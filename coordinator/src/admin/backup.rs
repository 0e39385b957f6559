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
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use common::task;
use tokio::sync::{mpsc, oneshot};

use super::Shared;

/// How much of the file is in memory: this many pieces of this size.
const PIECES: usize = 4;
const PIECE_LEN: usize = 64 << 10;

pub(super) async fn backup(
    State(server): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
) -> Response {
    if !peer.ip().to_canonical().is_loopback() {
        return refuse(StatusCode::FORBIDDEN, "backups are for this machine only");
    }
    let (told, done) = oneshot::channel();
    let requested = server
        .pipeline
        .snapshot(move |outcome| drop(told.send(outcome)));
    if requested.is_err() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    }
    match done.await {
        Ok(Ok((file, len))) => send(file, len),
        Ok(Err(error)) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

fn send(file: File, len: u64) -> Response {
    let (sender, receiver) = mpsc::channel(PIECES);
    // Not waited for: it ends with the file, or when nobody listens any more.
    drop(task::spawn_blocking("backup", move || pump(file, &sender)));
    let pieces = futures::stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, len.to_string()),
    ];
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
