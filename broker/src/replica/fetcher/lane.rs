//! One ordered way to one leader.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Fetchers;
use super::agreement::{self, Agreement};
use super::calm::Calm;
use super::exchange::{Exchange, Outcome};
use super::request::Request;
use super::session::Session;
use crate::model::{BrokerId, LeaderEpoch, TopicId, TopicPartition};
use crate::peer::{Address, Link};
use crate::replica::partition::{Partition, Position};

/// The first pause after a failure; each further one is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(20);
/// Before a throttled partition is looked at again.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);
/// From here on, a leader remembers what it was told.
const SESSIONS_FROM: i16 = 7;
/// From here on, topics are named by their ids.
pub(super) const TOPIC_IDS_FROM: i16 = 13;

/// A partition that is fetched for.
#[derive(Clone)]
pub(super) struct Followed {
    pub(super) partition: Arc<Partition>,
    pub(super) epoch: LeaderEpoch,
    failures: u32,
    not_before: Duration,
    /// The log was compared with the leader's.
    agrees: bool,
}

/// A partition of one request.
pub(super) struct Asked {
    pub(super) followed: Followed,
    pub(super) topic_id: TopicId,
    pub(super) position: Position,
}

/// How a request differs from the one before.
struct Call {
    /// It asks for the same.
    is_same: bool,
    /// Whoever pauses after a failure must not wait for a long poll without it.
    wait_max: Duration,
}

/// What came of one request.
enum Round {
    /// The leader cannot be asked.
    Failed,
    Done,
    /// There was nothing for those who were asked for.
    Quiet(BTreeMap<TopicPartition, Asked>),
}

pub(super) struct Lane {
    leader: BrokerId,
    index: usize,
    followed: Mutex<BTreeMap<TopicPartition, Followed>>,
    changed: Notify,
}

impl Followed {
    pub(super) fn new(partition: Arc<Partition>, epoch: LeaderEpoch) -> Self {
        Self {
            partition,
            epoch,
            failures: 0,
            not_before: Duration::ZERO,
            agrees: false,
        }
    }
}

impl Lane {
    pub(super) fn new(leader: BrokerId, index: usize) -> Self {
        Self {
            leader,
            index,
            followed: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) fn insert(&self, id: TopicPartition, followed: Followed) {
        self.followed.lock().insert(id, followed);
        self.changed.notify_one();
    }

    pub(super) fn remove(&self, id: &TopicPartition) {
        // Without a word: what arrives for it is refused by the partition.
        self.followed.lock().remove(id);
    }

    /// Gives away the partitions that are not to stay.
    pub(super) fn take_unless(
        &self,
        stays: impl Fn(&TopicPartition) -> bool,
    ) -> BTreeMap<TopicPartition, Followed> {
        let mut followed = self.followed.lock();
        let (staying, leaving) = std::mem::take(&mut *followed)
            .into_iter()
            .partition(|(id, _)| stays(id));
        *followed = staying;
        leaving
    }

    pub(super) async fn run(&self, fetchers: &Fetchers) {
        tokio::select! {
            () = fetchers.stop.requested() => {}
            () = self.fetch_for_ever(fetchers) => {}
        }
    }

    async fn fetch_for_ever(&self, fetchers: &Fetchers) {
        let own_id = fetchers.around.own_id;
        let client_id = format!("broker-{own_id}-fetcher-{}", self.index);
        let mut link = Link::new(self.leader, client_id, fetchers.config.timeout)
            .with_receive_buffer(fetchers.config.receive_buffer);
        let mut session = Session::default();
        let mut failures = 0;
        let mut quiet: Option<(Calm, BTreeMap<TopicPartition, Asked>)> = None;
        loop {
            let changed = self.changed.notified();
            let now = fetchers.around.clock.monotonic();
            let (calm, asked) = match quiet.take().filter(|(calm, _)| calm.lasts(now)) {
                Some((calm, asked)) => (Some(calm), asked),
                None => (None, self.due(now)),
            };
            if asked.is_empty() {
                if self.followed.lock().is_empty() {
                    link.close();
                }
                let pause = self.until_due(now);
                let _ = tokio::time::timeout(pause, changed).await;
                continue;
            }
            let call = Call {
                is_same: calm.is_some(),
                wait_max: self.until_due(now),
            };
            let round = tokio::select! {
                // Those who came must not wait for a long poll without them.
                () = changed => {
                    link.close();
                    session.reset();
                    continue;
                }
                round = self.fetch(fetchers, &mut link, &mut session, asked, call) => round,
            };
            match round {
                Round::Failed => {
                    session.reset();
                    let pause = backoff(failures, fetchers.config.backoff_max);
                    failures += 1;
                    let _ = tokio::time::timeout(pause, self.changed.notified()).await;
                    continue;
                }
                Round::Quiet(asked) if session.is_open() => {
                    let is_all = || asked.len() == self.followed.lock().len();
                    let calm = calm.or_else(|| Calm::of(&asked, now).filter(|_| is_all()));
                    quiet = calm.map(|calm| (calm, asked));
                }
                Round::Quiet(_) | Round::Done => {}
            }
            failures = 0;
        }
    }

    /// The partitions that may be asked for now.
    fn due(&self, now: Duration) -> BTreeMap<TopicPartition, Asked> {
        let followed = self.followed.lock().clone();
        let due = followed.into_iter().filter_map(|(id, followed)| {
            if followed.not_before > now || followed.partition.is_held_back() {
                return None;
            }
            // Its epoch may be over, and the news on its way here.
            let position = followed.partition.follow_position(followed.epoch)?;
            let topic_id = followed.partition.topic_id().unwrap_or(TopicId::nil());
            let asked = Asked {
                followed,
                topic_id,
                position,
            };
            Some((id, asked))
        });
        due.collect()
    }

    fn until_due(&self, now: Duration) -> Duration {
        const IDLE: Duration = Duration::from_secs(3600);
        let followed = self.followed.lock();
        let wait = |followed: &Followed| match followed.not_before.saturating_sub(now) {
            Duration::ZERO if followed.partition.is_held_back() => THROTTLED_PAUSE,
            wait => wait,
        };
        let waits = followed.values().map(wait);
        waits.filter(|wait| !wait.is_zero()).min().unwrap_or(IDLE)
    }

    /// One request and what came of it.
    async fn fetch(
        &self,
        fetchers: &Fetchers,
        link: &mut Link,
        session: &mut Session,
        asked: BTreeMap<TopicPartition, Asked>,
        call: Call,
    ) -> Round {
        let Some(address) = fetchers.address(self.leader) else {
            return Round::Failed;
        };
        let exchange = Exchange {
            own_id: fetchers.around.own_id,
            address: address.clone(),
            offsets_version: fetchers.config.version.list_offsets_version(),
        };
        let asked = match fetchers.config.version.has_diverging_epochs() {
            true => asked,
            false => match self.agreed(fetchers, link, &address, asked).await {
                Some(asked) if asked.is_empty() => return Round::Done,
                Some(asked) => asked,
                None => return Round::Failed,
            },
        };
        let has_ids = asked.values().all(|asked| !asked.topic_id.is_nil());
        let newest = fetchers.config.version.fetch_version();
        let version = match has_ids {
            true => newest,
            false => newest.min(TOPIC_IDS_FROM - 1),
        };
        let around = &fetchers.around;
        let epoch = around.broker_epoch();
        if version < SESSIONS_FROM {
            session.reset();
        }
        let difference = match call.is_same {
            true => session.nothing_new(),
            false => session.next(version >= TOPIC_IDS_FROM, &asked),
        };
        let request = Request {
            config: &fetchers.config,
            own: (around.own_id, epoch),
            version,
            wait_max: call.wait_max,
        };
        let request = request.build(&difference, &asked);
        let answer = match link.ask(&address, version, &request).await {
            Ok(answer) if answer.error_code == 0 => {
                session.on_answer(answer.session_id);
                answer
            }
            Ok(answer) => {
                // Mostly a session that the leader has forgotten.
                let code = answer.error_code;
                tracing::debug!(leader = self.leader, code, "the leader refused a fetch");
                return Round::Failed;
            }
            Err(error) => {
                tracing::debug!(leader = self.leader, %error, "cannot fetch from the leader");
                return Round::Failed;
            }
        };
        if answer.responses.is_empty() {
            return Round::Quiet(asked);
        }
        let outcomes = exchange.take_in(link, version, asked, answer).await;
        self.note(outcomes, fetchers);
        Round::Done
    }

    /// Compares the logs that were not compared yet with the leader's; gives
    /// those that were, and may be fetched for, or `None` when the leader cannot
    /// be asked.
    async fn agreed(
        &self,
        fetchers: &Fetchers,
        link: &mut Link,
        address: &Address,
        asked: BTreeMap<TopicPartition, Asked>,
    ) -> Option<BTreeMap<TopicPartition, Asked>> {
        // A log without epochs was cut to its high watermark.
        let agrees = |asked: &Asked| asked.followed.agrees || asked.position.last_epoch.is_none();
        let (agreed, open): (BTreeMap<_, _>, BTreeMap<_, _>) =
            asked.into_iter().partition(|(_, asked)| agrees(asked));
        if open.is_empty() {
            return Some(agreed);
        }
        let (own_id, version) = (
            fetchers.around.own_id,
            fetchers.config.version.leader_epoch_version(),
        );
        let sought = agreement::seek(link, address, own_id, version, open).await;
        let sought = sought
            .inspect_err(|error| {
                tracing::debug!(leader = self.leader, %error, "cannot compare with the leader");
            })
            .ok()?;
        let mut outcomes = Vec::with_capacity(sought.len());
        let mut all = self.followed.lock();
        for (id, epoch, agreement) in sought {
            let known = all.get_mut(&id).filter(|known| known.epoch == epoch);
            if let Some(known) = known {
                known.agrees = agreement == Agreement::Reached;
            }
            outcomes.push((
                id,
                epoch,
                match agreement {
                    Agreement::Reached | Agreement::Again => Outcome::Done,
                    Agreement::Failed => Outcome::Failed,
                },
            ));
        }
        drop(all);
        self.note(outcomes, fetchers);
        Some(agreed)
    }

    /// Lets those wait who failed.
    fn note(&self, outcomes: Vec<(TopicPartition, LeaderEpoch, Outcome)>, fetchers: &Fetchers) {
        let now = fetchers.around.clock.monotonic();
        let mut all = self.followed.lock();
        for (id, epoch, outcome) in outcomes {
            let Some(followed) = all.get_mut(&id).filter(|known| known.epoch == epoch) else {
                continue;
            };
            match outcome {
                Outcome::Done => followed.failures = 0,
                Outcome::Failed => {
                    let pause = backoff(followed.failures, fetchers.config.backoff_max);
                    followed.failures += 1;
                    followed.not_before = now + pause;
                }
            }
        }
    }
}

fn backoff(failures: u32, max: Duration) -> Duration {
    BACKOFF_MIN
        .saturating_mul(1 << failures.min(16))
        .min(max.max(BACKOFF_MIN))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::replica::partition::tests::any_partition;

    /// A partition of one topic that is asked for from `offset` on.
    pub(in crate::replica::fetcher) fn asked(index: i32, offset: i64) -> (TopicPartition, Asked) {
        let (id, partition) = any_partition(index);
        let asked = Asked {
            followed: Followed::new(partition, 3),
            topic_id: TopicId::from_u128(7),
            position: Position {
                offset,
                log_start: 0,
                last_epoch: Some(2),
            },
        };
        (id, asked)
    }

    #[test]
    fn pauses_grow_to_their_bound() {
        let max = Duration::from_secs(1);
        assert_eq!(backoff(0, max), BACKOFF_MIN);
        assert_eq!(backoff(1, max), BACKOFF_MIN * 2);
        assert_eq!(backoff(60, max), max);
        assert_eq!(backoff(60, Duration::ZERO), BACKOFF_MIN);
    }
}
