//! One member of a group: it joins, commits and beats as a consumer does, and
//! goes through rebalances, coordinators that move and brokers that restart.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use common::clock::SharedClock;
use tokio::sync::watch;
use tokio::time::Instant;

use super::TOPIC;
use super::wire::{Connection, Identity, Joined, Refused, code};

const RETRY: Duration = Duration::from_millis(50);
/// An answer takes no longer, except that to a join.
const PATIENCE: Duration = Duration::from_secs(30);
/// Members that leave before the rebalance end their wait by this.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// How the members of a run behave.
pub(crate) struct Plan {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) clock: SharedClock,
    /// From when the members' phases count.
    pub(crate) began: Instant,
    pub(crate) heartbeat: Duration,
    /// Zero commits as soon as the last commit is answered.
    pub(crate) commit: Duration,
    /// Set while nobody is to commit.
    pub(crate) quiet: Cell<bool>,
    /// Set while latencies are noted.
    pub(crate) measuring: Cell<bool>,
    pub(crate) latencies: RefCell<Vec<Duration>>,
    pub(crate) tally: Tally,
}

impl Plan {
    /// When a member of `phase` (0 to 1) does next what it does every `interval`, after
    /// `now`. Real consumers do not beat in time: all phases are equally frequent.
    fn next(&self, interval: Duration, phase: f64, now: Instant) -> Instant {
        if interval.is_zero() {
            return now;
        }
        let first = self.began + interval.mul_f64(phase);
        let past = now.saturating_duration_since(first).as_secs_f64();
        first + interval.mul_f64((past / interval.as_secs_f64()).ceil())
    }
}

/// What happened to all members together.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) commits: Cell<u64>,
    /// Commits that were refused, other than for a rebalance.
    pub(crate) refused: Cell<u64>,
    pub(crate) joins: Cell<u64>,
    pub(crate) reconnects: Cell<u64>,
    /// Fetched offsets behind one whose commit was acknowledged.
    pub(crate) lost: Cell<u64>,
}

fn count(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// One group with what was acknowledged to it.
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) partitions: i32,
    /// By partition, the highest offset whose commit was acknowledged.
    acknowledged: RefCell<Vec<i64>>,
    /// By number of the member, the generation it works in and its partitions.
    working: RefCell<Vec<Option<(i32, usize)>>>,
    /// Changes whenever `working` does.
    pub(crate) changed: watch::Sender<u64>,
}

impl Group {
    pub(crate) fn new(id: String, partitions: i32, members: usize) -> Rc<Self> {
        let count = usize::try_from(partitions).unwrap_or(0);
        Rc::new(Self {
            id,
            partitions,
            acknowledged: RefCell::new(vec![-1; count]),
            working: RefCell::new(vec![None; members]),
            changed: watch::Sender::new(0),
        })
    }

    /// All `members` work in one generation and share out every partition.
    pub(crate) fn is_settled(&self, members: usize) -> bool {
        let working = self.working.borrow();
        let mut at_work = working.iter().flatten();
        let Some((generation, _)) = at_work.next() else {
            return members == 0;
        };
        let partitions: usize = working.iter().flatten().map(|(_, count)| count).sum();
        working.iter().flatten().count() == members
            && at_work.all(|(each, _)| each == generation)
            && i32::try_from(partitions) == Ok(self.partitions)
    }

    fn set_working(&self, member: usize, state: Option<(i32, usize)>) {
        self.working.borrow_mut()[member] = state;
        self.changed.send_modify(|version| *version += 1);
    }

    fn acknowledge(&self, offsets: &[(i32, i64)]) {
        let mut acknowledged = self.acknowledged.borrow_mut();
        for (partition, offset) in offsets {
            if let Ok(index) = usize::try_from(*partition) {
                acknowledged[index] = acknowledged[index].max(*offset);
            }
        }
    }

    /// How many of the fetched offsets are behind an acknowledged one.
    fn behind(&self, fetched: &[(i32, i64)]) -> usize {
        let acknowledged = self.acknowledged.borrow();
        let is_behind = |(partition, offset): &&(i32, i64)| {
            usize::try_from(*partition).is_ok_and(|index| *offset < acknowledged[index])
        };
        fetched.iter().filter(is_behind).count()
    }

    /// Compares what the server has with what it acknowledged.
    pub(crate) async fn audit(&self, plan: &Plan) -> Result<usize> {
        let all: Vec<i32> = (0..self.partitions).collect();
        loop {
            let attempt = async {
                let mut connection = coordinator(plan, &self.id).await?;
                connection.fetch(&self.id, TOPIC, &all).await
            };
            match attempt.await {
                Ok(fetched) => return Ok(self.behind(&fetched)),
                Err(error) if is_transient(&error) => tokio::time::sleep(RETRY).await,
                Err(error) => return Err(error),
            }
        }
    }
}

/// A member; `run` ends when `leaving` is set, with a request to leave.
pub(crate) struct Member {
    pub(crate) plan: Rc<Plan>,
    pub(crate) group: Rc<Group>,
    pub(crate) number: usize,
    /// Where in its interval it commits and beats, from 0 to 1.
    pub(crate) phase: f64,
    pub(crate) leaving: watch::Receiver<bool>,
}

/// What a member knows of itself between connections.
#[derive(Default)]
struct Own {
    member_id: String,
    generation: i32,
    partitions: Vec<i32>,
    position: i64,
}

impl Member {
    /// Goes on through everything that a consumer goes on through.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut own = Own::default();
        loop {
            let mut leaving = self.leaving.clone();
            let outcome = tokio::select! {
                biased;
                _ = leaving.wait_for(|leaves| *leaves) => return self.leave(&own).await,
                outcome = self.work(&mut own) => outcome,
            };
            match outcome {
                Ok(()) => {}
                Err(error) if is_transient(&error) => {
                    count(&self.plan.tally.reconnects);
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error.context(self.group.id.clone())),
            }
        }
    }

    async fn leave(&self, own: &Own) -> Result<()> {
        self.group.set_working(self.number, None);
        if own.member_id.is_empty() {
            return Ok(());
        }
        let mut connection = coordinator(&self.plan, &self.group.id).await?;
        connection.leave(&self.group.id, &own.member_id).await
    }

    /// Works on one connection until something is wrong with it.
    async fn work(&mut self, own: &mut Own) -> Result<()> {
        let mut connection = coordinator(&self.plan, &self.group.id).await?;
        if own.generation > 0 {
            // The membership outlives the connection.
            match self.consume(&mut connection, own).await {
                Err(error) if wants_join(&error, own) => {}
                other => return other,
            }
        }
        loop {
            match self.join(&mut connection, own).await {
                Err(error) if wants_join(&error, own) => continue,
                other => other?,
            }
            match self.consume(&mut connection, own).await {
                Err(error) if wants_join(&error, own) => {}
                other => return other,
            }
        }
    }

    async fn join(&self, connection: &mut Connection, own: &mut Own) -> Result<()> {
        self.group.set_working(self.number, None);
        own.generation = 0;
        count(&self.plan.tally.joins);
        let joining = connection.join(&self.group.id, &own.member_id);
        let joined = match tokio::time::timeout(JOIN_PATIENCE, joining).await?? {
            Ok(joined) => joined,
            Err(member_id) => {
                own.member_id = member_id;
                let joining = connection.join(&self.group.id, &own.member_id);
                let joined = tokio::time::timeout(JOIN_PATIENCE, joining).await??;
                joined.ok().context("an id was required twice")?
            }
        };
        own.member_id.clone_from(&joined.member_id);
        let who = Identity {
            group: &self.group.id,
            generation: joined.generation,
            member_id: &joined.member_id,
        };
        let assignments = match joined.leader == joined.member_id {
            true => share_out(&joined, self.group.partitions),
            false => Vec::new(),
        };
        let syncing = connection.sync(&who, &assignments);
        own.partitions = tokio::time::timeout(JOIN_PATIENCE, syncing).await??;
        let fetching = connection.fetch(&self.group.id, TOPIC, &own.partitions);
        let fetched = tokio::time::timeout(PATIENCE, fetching).await??;
        let behind = self.group.behind(&fetched) as u64;
        let lost = &self.plan.tally.lost;
        lost.set(lost.get() + behind);
        let furthest = fetched.iter().map(|(_, offset)| *offset).max();
        own.position = furthest.unwrap_or(-1);
        own.generation = joined.generation;
        let state = (own.generation, own.partitions.len());
        self.group.set_working(self.number, Some(state));
        Ok(())
    }

    /// Commits and beats until the coordinator wants something else.
    async fn consume(&self, connection: &mut Connection, own: &mut Own) -> Result<()> {
        let (plan, start) = (&self.plan, now());
        let mut beat = plan.next(plan.heartbeat, self.phase, start);
        let mut commit = plan.next(plan.commit, self.phase, start);
        loop {
            let commits = !own.partitions.is_empty() && !self.plan.quiet.get();
            if commits && commit <= beat {
                tokio::time::sleep_until(commit).await;
                self.commit(connection, own, commit).await?;
                // Open loop: a late answer does not make the next commit later.
                commit += self.plan.commit;
                if self.plan.commit.is_zero() {
                    commit = now();
                }
            } else {
                // Woken in time to see that it may commit again.
                let until = beat.min(now() + Duration::from_millis(500));
                tokio::time::sleep_until(until).await;
                if until < beat {
                    commit = plan.next(plan.commit, self.phase, until);
                    continue;
                }
                let who = self.identity(own);
                tokio::time::timeout(PATIENCE, connection.heartbeat(&who)).await??;
                beat += self.plan.heartbeat;
            }
        }
    }

    async fn commit(&self, connection: &mut Connection, own: &mut Own, due: Instant) -> Result<()> {
        own.position += 1;
        let all = own.partitions.iter();
        let offsets: Vec<_> = all.map(|partition| (*partition, own.position)).collect();
        let who = self.identity(own);
        let committing = connection.commit(&who, TOPIC, &offsets);
        let outcome = tokio::time::timeout(PATIENCE, committing).await?;
        if outcome.is_ok() {
            self.group.acknowledge(&offsets);
            count(&self.plan.tally.commits);
            if self.plan.measuring.get() {
                self.plan.latencies.borrow_mut().push(due.elapsed());
            }
            return Ok(());
        }
        if let Err(error) = &outcome
            && error
                .downcast_ref::<Refused>()
                .is_some_and(|refused| refused.code != code::REBALANCE)
        {
            count(&self.plan.tally.refused);
        }
        outcome
    }

    fn identity<'a>(&'a self, own: &'a Own) -> Identity<'a> {
        Identity {
            group: &self.group.id,
            generation: own.generation,
            member_id: &own.member_id,
        }
    }
}

fn now() -> Instant {
    Instant::from_std(real_now())
}

#[expect(clippy::disallowed_methods, reason = "a load has the real time")]
pub(crate) fn real_now() -> std::time::Instant {
    std::time::Instant::now()
}

/// Every partition to one member, in turn.
fn share_out(joined: &Joined, partitions: i32) -> Vec<(String, Vec<i32>)> {
    let mut shares: Vec<_> = (joined.members.iter())
        .map(|id| (id.clone(), Vec::new()))
        .collect();
    let count = shares.len().max(1);
    for (partition, share) in (0..partitions).zip((0..count).cycle()) {
        shares[share].1.push(partition);
    }
    shares
}

/// A connection to the group's coordinator, by way of any server that answers.
async fn coordinator(plan: &Plan, group: &str) -> Result<Connection> {
    let mut last = None;
    for server in &plan.servers {
        let found = async {
            let mut any = Connection::open(*server).await?;
            let (host, port) = any.find_coordinator(group).await?;
            let address: SocketAddr = format!("{host}:{port}").parse()?;
            match address == *server {
                true => Ok(any),
                false => Connection::open(address).await,
            }
        };
        match tokio::time::timeout(PATIENCE, found).await? {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some(error),
        }
    }
    Err(last.context("no servers")?)
}

/// Says whether the same is to be tried again on a new connection.
fn is_transient(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Refused>() {
        Some(refused) => matches!(
            refused.code,
            code::UNKNOWN_TOPIC | code::LOADING | code::NOT_AVAILABLE | code::NOT_COORDINATOR
        ),
        None => {
            error.downcast_ref::<std::io::Error>().is_some()
                || error
                    .downcast_ref::<tokio::time::error::Elapsed>()
                    .is_some()
        }
    }
}

/// Says whether to join anew, and forgets an id that is not known any more.
fn wants_join(error: &anyhow::Error, own: &mut Own) -> bool {
    match error.downcast_ref::<Refused>().map(|refused| refused.code) {
        Some(code::REBALANCE) => true,
        Some(code::ILLEGAL_GENERATION | code::UNKNOWN_MEMBER) => {
            own.member_id.clear();
            true
        }
        _ => false,
    }
}
