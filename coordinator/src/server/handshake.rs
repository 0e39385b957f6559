//! The first bytes of a connection: a four-letter word, or a session taken or taken up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::frame::{self, FrameReader};
use common::jute::Record;
use common::zk::{ConnectRequest, ConnectResponse, OpCode, PASSWORD_LEN};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::oneshot;

use super::connection::Task;
use super::death::Listens;
use super::error::Error;
use super::four_letter;
use crate::pipeline::{Arrival, Client, Request, Write};
use crate::session::Session;

/// The room for what arrives; most requests fit, so that one read brings a whole one.
const READ_BUFFER: usize = 8 << 10;

impl Task<'_> {
    /// Reads the first bytes; `None` if they wanted no session or got none.
    pub(super) async fn open(
        &mut self,
        mut source: OwnedReadHalf,
    ) -> Result<Option<FrameReader<OwnedReadHalf>>, Error> {
        let mut first = BytesMut::with_capacity(READ_BUFFER);
        while first.len() < four_letter::LEN {
            if source.read_buf(&mut first).await? == 0 {
                return Ok(None);
            }
        }
        if let Some(word) = four_letter::Word::parse(&first[..four_letter::LEN]) {
            self.connection.count_received(four_letter::LEN);
            let argument = self.argument(&mut source, &mut first, word).await?;
            let text = four_letter::answer(self.server, word, &argument);
            if !text.is_empty() {
                self.connection.count_sent();
            }
            self.connection.outbound.push_text(&text);
            self.flush().await?;
            return Ok(None);
        }
        let length_max = self.server.config.frame_max;
        let mut frames = FrameReader::with_buffer(source, length_max, first);
        let Some(frame) = frames.next().await? else {
            return Ok(None);
        };
        let received = self.server.clock.monotonic();
        self.connection.count_received(frame.len() + frame::PREFIX);
        let metrics = self.server.pipeline.metrics();
        metrics.connection_request_count.increment();
        let request = ConnectRequest::from_bytes(frame).map_err(Error::Handshake)?;
        let here = self.server.pipeline.with_state(|state| state.zxid);
        if request.last_zxid_seen > here {
            return Err(Error::ClientIsAhead {
                seen: request.last_zxid_seen,
                here,
            });
        }
        let session = self.session(&request, received).await?;
        self.welcome(&request, session.as_deref()).await?;
        let Some(session) = session else {
            return Ok(None);
        };
        let client: Arc<dyn Client> = Arc::clone(&self.connection) as _;
        let id = session.id;
        if self.connection.session.set(session).is_err() {
            return Err(Error::Stopping);
        }
        self.server.pipeline.attach(id, client);
        let peer = self.connection.peer.ip();
        let listens_at = request.listens_at.map(|port| SocketAddr::new(peer, port));
        self.listens = listens_at.map(Listens::at);
        Ok(Some(frames))
    }

    /// The bytes that a word brings along, as far as they come.
    async fn argument(
        &self,
        source: &mut OwnedReadHalf,
        first: &mut BytesMut,
        word: four_letter::Word,
    ) -> Result<BytesMut, Error> {
        let wanted = four_letter::LEN + word.argument_len();
        while word.is_allowed(self.server) && first.len() < wanted {
            if source.read_buf(first).await? == 0 {
                break;
            }
        }
        first.truncate(wanted);
        Ok(first.split_off(four_letter::LEN.min(first.len())))
    }

    /// The session that the request wants; `None` if it may not have it.
    async fn session(
        &mut self,
        request: &ConnectRequest,
        received: Duration,
    ) -> Result<Option<Arc<Session>>, Error> {
        let config = &self.server.config;
        let timeout_ms = request
            .timeout_ms
            .clamp(config.session_timeout_ms_min, config.session_timeout_ms_max);
        if request.session_id == 0 {
            return self.new_session(timeout_ms, received).await.map(Some);
        }
        let id = request.session_id;
        let password = request.password.as_deref().unwrap_or_default();
        let pipeline = &self.server.pipeline;
        if !pipeline.with_state(|state| state.verify_password(id, password)) {
            tracing::warn!(peer = %self.connection.peer, session = format_args!("{id:#x}"), "wrong session password");
            return Ok(None);
        }
        let sessions = self.server.pipeline.sessions();
        let Some(session) = sessions.get(id).filter(|session| !session.is_closing()) else {
            return Ok(None);
        };
        sessions.reattach(&session, timeout_ms, received);
        let metrics = self.server.pipeline.metrics();
        metrics.connection_revalidate_count.increment();
        Ok(Some(session))
    }

    async fn new_session(
        &mut self,
        timeout_ms: i32,
        received: Duration,
    ) -> Result<Arc<Session>, Error> {
        let (sender, opened) = oneshot::channel();
        *self.connection.opened.lock() = Some(sender);
        let request = Request::Write(Write::CreateSession { timeout_ms });
        let session = Session::requested(self.server.session_ids.next(), timeout_ms);
        let received = Arrival {
            at: received,
            op: Some(OpCode::CreateSession),
        };
        self.submit(session, 0, received, request).await?;
        self.submit_burst()?;
        opened.await.map_err(|_| Error::Stopping)
    }

    async fn welcome(
        &mut self,
        request: &ConnectRequest,
        session: Option<&Session>,
    ) -> Result<(), Error> {
        let password = match session {
            Some(session) => {
                let pipeline = &self.server.pipeline;
                pipeline.with_state(|state| state.password(session.id))
            }
            None => [0; PASSWORD_LEN],
        };
        let response = ConnectResponse {
            protocol_version: 0,
            timeout_ms: session.map_or(0, Session::timeout_ms),
            session_id: session.map_or(0, |session| session.id),
            password: Some(Bytes::copy_from_slice(&password)),
            read_only: request.read_only.map(|_| false),
        };
        self.connection.outbound.push(|out| response.encode(out));
        self.connection.count_sent();
        self.flush().await?;
        Ok(())
    }
}
