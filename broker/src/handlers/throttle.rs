//! What a request costs its client, and the pause that it has to make for it.
//!
//! Flow: `Throttle::of` where any quota is set -> the handler charges for bytes
//! or partitions through the context -> `finish` charges for the time, writes
//! the pause into the answer and mutes the connection (KIP-219).
//!
//! **Invariant:** where no client has a quota, nothing is measured.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use common::clock::SharedClock;
use common::wire::Frame;
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::protocol::{RequestFrame, with_throttle_time};
use crate::quota::{Client, ClientQuotas, Kind, Strictness};
use crate::server::{Outcome, Reply};

/// Who everybody is on a listener that asks nobody.
const USER: &str = "ANONYMOUS";

/// What clients are measured with.
#[derive(Clone)]
pub(crate) struct Meter {
    pub(crate) quotas: Arc<ClientQuotas>,
    pub(crate) clock: SharedClock,
}

/// The account of one request.
pub(crate) struct Throttle {
    meter: Meter,
    client_id: String,
    key: ApiKey,
    version: i16,
    /// Bytes of the request, with its header.
    request_bytes: usize,
    /// The longest pause so far.
    pause_ms: AtomicI64,
    /// Whether the time is not charged.
    is_exempt: AtomicBool,
}

impl Throttle {
    /// `None` while nobody has a quota.
    pub(crate) fn of(
        meter: &Meter,
        frame: &RequestFrame,
        request_bytes: usize,
    ) -> Option<Arc<Self>> {
        meter.quotas.is_any().then(|| {
            Arc::new(Self {
                meter: meter.clone(),
                client_id: frame.client_id.as_deref().unwrap_or_default().to_owned(),
                key: frame.api.key,
                version: frame.version,
                request_bytes,
                pause_ms: AtomicI64::new(0),
                is_exempt: AtomicBool::new(false),
            })
        })
    }

    fn client(&self) -> Client<'_> {
        Client {
            user: USER,
            client_id: &self.client_id,
        }
    }

    fn now_ms(&self) -> i64 {
        self.meter.clock.wall_ms()
    }

    fn note(&self, pause_ms: i64) -> i32 {
        self.pause_ms.fetch_max(pause_ms, Ordering::Relaxed);
        i32::try_from(pause_ms).unwrap_or(i32::MAX)
    }

    /// Charges for the records that were produced: the pause in ms.
    pub(crate) fn produced(&self) -> i32 {
        let amount = self.request_bytes as f64;
        let quotas = &self.meter.quotas;
        self.note(quotas.charge(Kind::Produce, self.client(), amount, self.now_ms()))
    }

    /// Charges for what is to be fetched; `Some` pause when it must not be
    /// given out, and then was not charged.
    pub(crate) fn fetched(&self, bytes: usize) -> Option<i32> {
        let (amount, now_ms) = (bytes as f64, self.now_ms());
        let quotas = &self.meter.quotas;
        let pause = quotas.charge(Kind::Fetch, self.client(), amount, now_ms);
        if pause <= 0 {
            return None;
        }
        quotas.refund(Kind::Fetch, self.client(), amount, now_ms);
        Some(self.note(pause))
    }

    /// The most bytes that may be fetched at once.
    pub(crate) fn fetch_bytes_max(&self) -> Option<usize> {
        let most = self.meter.quotas.most_at_once(Kind::Fetch, self.client())?;
        // As Kafka turns it into an int.
        #[allow(clippy::cast_possible_truncation)]
        let most = most as i32;
        Some(usize::try_from(most).unwrap_or(0))
    }

    /// Charges for partitions that are created or deleted. `Err` when this
    /// version is refused for it.
    pub(crate) fn mutated(
        &self,
        strict_from: i16,
        partitions: usize,
    ) -> Result<(), (ResponseError, Option<String>)> {
        let strictness = match self.version >= strict_from {
            true => Strictness::Strict,
            false => Strictness::Permissive,
        };
        let partitions = partitions as f64;
        let quotas = &self.meter.quotas;
        match quotas.mutate(strictness, self.client(), partitions, self.now_ms()) {
            Ok(pause) => {
                self.note(pause);
                Ok(())
            }
            Err(pause) => {
                self.note(pause);
                Err((ResponseError::ThrottlingQuotaExceeded, None))
            }
        }
    }

    /// Followers do not pay for their time.
    pub(crate) fn exempt(&self) {
        self.is_exempt.store(true, Ordering::Relaxed);
    }

    /// The longest pause, with that for the time that was spent.
    fn settle(&self, spent: Duration) -> Option<Duration> {
        const PER_CENT: f64 = 100.0;
        if !self.is_exempt.load(Ordering::Relaxed) {
            let amount = spent.as_secs_f64() * PER_CENT;
            let quotas = &self.meter.quotas;
            self.note(quotas.charge(Kind::Request, self.client(), amount, self.now_ms()));
        }
        let pause_ms = u64::try_from(self.pause_ms.load(Ordering::Relaxed)).unwrap_or(0);
        (pause_ms > 0).then(|| Duration::from_millis(pause_ms))
    }

    fn answer(&self, frame: Frame, pause: Duration) -> Frame {
        let ms = i32::try_from(pause.as_millis()).unwrap_or(i32::MAX);
        frame.map_first(|first| with_throttle_time(self.key, self.version, first, ms))
    }

    /// Serves the request, and makes its client pay.
    pub(crate) async fn metered<E>(
        self: Arc<Self>,
        serving: BoxFuture<'_, Result<Reply, E>>,
    ) -> Result<Reply, E> {
        let clock = self.meter.clock.clone();
        let (reply, spent) = Timed::new(serving, clock.clone()).await;
        Ok(match reply? {
            Reply::Now(frame) => match self.settle(spent) {
                None => Reply::Now(frame),
                Some(pause) => {
                    let frame = self.answer(frame, pause);
                    Reply::Muting(Box::new(Reply::Now(frame)), pause)
                }
            },
            Reply::Later(waiting) => Reply::Later(
                async move {
                    let (outcome, later) = Timed::new(waiting, clock).await;
                    match (outcome, self.settle(spent + later)) {
                        (Outcome::Answer(frame), Some(pause)) => {
                            Outcome::Muting(self.answer(frame, pause), pause)
                        }
                        (outcome, _) => outcome,
                    }
                }
                .boxed(),
            ),
            // Nobody is told, so the time is not charged either.
            Reply::Nothing => {
                self.exempt();
                match self.settle(spent) {
                    None => Reply::Nothing,
                    Some(pause) => Reply::Muting(Box::new(Reply::Nothing), pause),
                }
            }
            other => other,
        })
    }
}

/// A future that knows how long it was worked on, without its waits.
struct Timed<'a, T> {
    inner: BoxFuture<'a, T>,
    clock: SharedClock,
    spent: Duration,
}

impl<'a, T> Timed<'a, T> {
    fn new(inner: BoxFuture<'a, T>, clock: SharedClock) -> Self {
        Self {
            inner,
            clock,
            spent: Duration::ZERO,
        }
    }
}

impl<T> Future for Timed<'_, T> {
    type Output = (T, Duration);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let before = self.clock.monotonic();
        let polled = self.inner.poll_unpin(context);
        let took = self.clock.monotonic().saturating_sub(before);
        self.spent += took;
        polled.map(|output| (output, self.spent))
    }
}
