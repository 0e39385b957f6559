//! A load of consumer groups that costs its own side little: one thread, a few
//! fixed encodings, one connection for each member as real consumers have it.
//!
//! `group_load SERVER[,SERVER...] WORK [options] [--pid BROKER]` prints one line of
//! JSON. The topic `group-load` must exist with `--partitions` partitions.
//!
//!   rebalance  all members join at once, work for `--seconds`, then every third
//!              leaves at once; what was acknowledged is compared with what is there
//!   commits    all members join, then each commits every `--commit-ms` (0: as
//!              soon as the last commit is answered) for `--seconds`
//!   bounce     members work, "settled" on the standard error says since when; somebody
//!              else restarts brokers, writes a line, and they work for `--seconds` more
//!   idle       opens `--connections` connections that ask once and then say nothing

mod member;
#[path = "../usage.rs"]
mod usage;
mod wire;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use futures::future::join_all;
use tokio::sync::watch;
use tokio::task::{JoinHandle, LocalSet};

use member::{Group, Member, Plan, Tally};
use usage::{Measured, Usage};
use wire::Connection;

/// What everybody consumes.
const TOPIC: &str = "group-load";
/// Members that connect at the same time.
const CONNECTING_MAX: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    Rebalance,
    Commits,
    Bounce,
    Idle,
}

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(required = true, value_delimiter = ',')]
    servers: Vec<SocketAddr>,
    work: Work,
    #[arg(long, default_value_t = 200)]
    groups: usize,
    /// Members of each group.
    #[arg(long, default_value_t = 10)]
    members: usize,
    #[arg(long, default_value_t = 12)]
    partitions: i32,
    #[arg(long, default_value_t = 3000)]
    heartbeat_ms: u64,
    #[arg(long, default_value_t = 1000)]
    commit_ms: u64,
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of commits before those that count: a JVM compiles what is hot.
    #[arg(long, default_value_t = 2)]
    warm_s: u64,
    #[arg(long, default_value_t = 5000)]
    connections: usize,
    /// A phase that takes longer has groups that are stuck.
    #[arg(long, default_value_t = 180)]
    patience_s: u64,
    #[command(flatten)]
    measured: Measured,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build()?;
    let local = LocalSet::new();
    let told = local.block_on(&runtime, run(&arguments))?;
    std::io::Write::write_all(&mut std::io::stdout(), format!("{told}\n").as_bytes())?;
    // Thousands of members need not leave one by one.
    std::process::exit(0)
}

async fn run(arguments: &Arguments) -> Result<serde_json::Value> {
    match arguments.work {
        Work::Idle => idle(arguments).await,
        Work::Rebalance => rebalance(arguments).await,
        Work::Commits => commits(arguments).await,
        Work::Bounce => bounce(arguments).await,
    }
}

/// All groups of a run, at work.
struct Load<'a> {
    arguments: &'a Arguments,
    plan: Rc<Plan>,
    groups: Vec<Rc<Group>>,
    leaving: Vec<watch::Sender<bool>>,
    members: Vec<JoinHandle<Result<()>>>,
}

impl<'a> Load<'a> {
    fn start(arguments: &'a Arguments) -> Self {
        let plan = Rc::new(Plan {
            servers: arguments.servers.clone(),
            clock: common::clock::system(),
            began: tokio::time::Instant::from_std(member::real_now()),
            heartbeat: Duration::from_millis(arguments.heartbeat_ms),
            commit: Duration::from_millis(arguments.commit_ms),
            quiet: Cell::new(arguments.work == Work::Commits),
            measuring: Cell::new(false),
            latencies: RefCell::default(),
            tally: Tally::default(),
        });
        let group = |number| {
            let id = format!("load-{}-{number}", arguments.measured.run);
            Group::new(id, arguments.partitions, arguments.members)
        };
        let groups: Vec<_> = (0..arguments.groups).map(group).collect();
        let (mut leaving, mut members) = (Vec::new(), Vec::new());
        for number in 0..arguments.members {
            for group in &groups {
                let (leave, told) = watch::channel(false);
                // Multiples of the golden ratio fill the interval evenly.
                let phase = (members.len() as f64 * 0.618_033_988_75) % 1.0;
                let member = Member {
                    plan: Rc::clone(&plan),
                    group: Rc::clone(group),
                    number,
                    phase,
                    leaving: told,
                };
                leaving.push(leave);
                members.push(tokio::task::spawn_local(member.run()));
            }
        }
        Self {
            arguments,
            plan,
            groups,
            leaving,
            members,
        }
    }

    /// Waits until every group has its members at work; how many have not in time.
    async fn settle(&mut self, members: usize) -> Result<usize> {
        let limit = Duration::from_secs(self.arguments.patience_s);
        let settled = self.groups.iter().map(|group| async move {
            let mut changed = group.changed.subscribe();
            let wait = changed.wait_for(|_| group.is_settled(members));
            tokio::time::timeout(limit, wait).await.is_err()
        });
        let stuck = join_all(settled).await.into_iter().filter(|is| *is).count();
        self.failures().await?;
        Ok(stuck)
    }

    /// The first error with which a member gave up.
    async fn failures(&mut self) -> Result<()> {
        let over = |member: &JoinHandle<_>| member.is_finished();
        while let Some(index) = self.members.iter().position(over) {
            self.members.swap_remove(index).await??;
        }
        Ok(())
    }

    /// Nobody commits any more, and no commit is on its way.
    async fn hush(&self) {
        self.plan.quiet.set(true);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// How many partitions are behind an acknowledged commit, at joins or now.
    async fn lost(&self) -> Result<u64> {
        let mut lost = self.plan.tally.lost.get();
        for group in &self.groups {
            lost += group.audit(&self.plan).await? as u64;
        }
        Ok(lost)
    }

    fn elapsed(&self, since: Duration) -> f64 {
        (self.plan.clock.monotonic() - since).as_secs_f64()
    }

    fn now(&self) -> Duration {
        self.plan.clock.monotonic()
    }

    /// Lets the members work; (CPU seconds a second, commits a second).
    async fn work(&self) -> Result<(f64, f64)> {
        let (cpu, commits) = (
            self.arguments.measured.server()?,
            self.plan.tally.commits.get(),
        );
        let started = self.now();
        tokio::time::sleep(Duration::from_secs(self.arguments.seconds)).await;
        let seconds = self.elapsed(started);
        let used = self.arguments.measured.server()?.cpu_s - cpu.cpu_s;
        let done = self.plan.tally.commits.get() - commits;
        Ok((used / seconds, done as f64 / seconds))
    }
}

async fn rebalance(arguments: &Arguments) -> Result<serde_json::Value> {
    let before = arguments.measured.server()?;
    let mut load = Load::start(arguments);
    let started = load.now();
    let stuck_joining = load.settle(arguments.members).await?;
    let join_s = load.elapsed(started);
    let joined = arguments.measured.server()?;
    let (steady_cpu, commits_per_s) = load.work().await?;
    let leaving_before = arguments.measured.server()?;
    let joins_before = load.plan.tally.joins.get();
    let started = load.now();
    let third = arguments.members.div_ceil(3);
    for leave in &load.leaving[..third * arguments.groups] {
        leave.send_replace(true);
    }
    let stuck_leaving = load.settle(arguments.members - third).await?;
    let leave_s = load.elapsed(started);
    let left = arguments.measured.server()?;
    load.hush().await;
    let tally = &load.plan.tally;
    Ok(serde_json::json!({
        "join_s": join_s,
        "leave_s": leave_s,
        "stuck": stuck_joining + stuck_leaving,
        "lost": load.lost().await?,
        "commits": tally.commits.get(),
        "refused": tally.refused.get(),
        "joins": joins_before,
        "rejoins": tally.joins.get() - joins_before,
        "commits_per_s": commits_per_s,
        "join_cpu_s": joined.cpu_s - before.cpu_s,
        "steady_cpu": steady_cpu,
        "leave_cpu_s": left.cpu_s - leaving_before.cpu_s,
        "cpu_s": left.cpu_s - before.cpu_s,
        "rss_mb": left.rss_mb,
        "grown_mb": left.rss_mb - before.rss_mb,
        "load_cpu_s": Usage::own()?.cpu_s,
    }))
}

async fn commits(arguments: &Arguments) -> Result<serde_json::Value> {
    let mut load = Load::start(arguments);
    let stuck = load.settle(arguments.members).await?;
    load.plan.quiet.set(false);
    tokio::time::sleep(Duration::from_secs(arguments.warm_s)).await;
    load.plan.measuring.set(true);
    let before = arguments.measured.server()?;
    let own = Usage::own()?;
    let (cpu, per_s) = load.work().await?;
    load.plan.measuring.set(false);
    let after = arguments.measured.server()?;
    let own_s = Usage::own()?.cpu_s - own.cpu_s;
    load.hush().await;
    load.failures().await?;
    let mut latencies = load.plan.latencies.take();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies
            .get(index)
            .map_or(0.0, |each| each.as_secs_f64() * 1e3)
    };
    let count = latencies.len().max(1) as f64;
    Ok(serde_json::json!({
        "commits_per_s": per_s,
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "p999_ms": at(0.999),
        "cpu": cpu,
        "cpu_us": (after.cpu_s - before.cpu_s) / count * 1e6,
        "load_us": own_s / count * 1e6,
        "rss_mb": after.rss_mb,
        "stuck": stuck,
        "lost": load.lost().await?,
        "refused": load.plan.tally.refused.get(),
    }))
}

async fn bounce(arguments: &Arguments) -> Result<serde_json::Value> {
    let mut load = Load::start(arguments);
    let mut stuck = load.settle(arguments.members).await?;
    let joins = load.plan.tally.joins.get();
    std::io::Write::write_all(&mut std::io::stderr(), b"settled\n")?;
    let line = || std::io::stdin().read_line(&mut String::new());
    common::task::spawn_blocking("wait for the restart", line).await??;
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    stuck += load.settle(arguments.members).await?;
    load.hush().await;
    let tally = &load.plan.tally;
    Ok(serde_json::json!({
        "stuck": stuck,
        "lost": load.lost().await?,
        "commits": tally.commits.get(),
        "refused": tally.refused.get(),
        "rejoins": tally.joins.get() - joins,
        "reconnects": tally.reconnects.get(),
    }))
}

async fn idle(arguments: &Arguments) -> Result<serde_json::Value> {
    let Some(&server) = arguments.servers.first() else {
        bail!("no server");
    };
    let mut connections = Vec::with_capacity(arguments.connections);
    let open = async || {
        let mut connection = Connection::open(server).await?;
        connection.api_versions().await?;
        Ok::<_, anyhow::Error>(connection)
    };
    // What the first connections cost once is not theirs.
    for _ in 0..CONNECTING_MAX {
        connections.push(open().await?);
    }
    let before = arguments.measured.server()?;
    while connections.len() < arguments.connections + CONNECTING_MAX {
        for opened in join_all((0..CONNECTING_MAX).map(|_| open())).await {
            connections.push(opened.context("a connection is refused")?);
        }
    }
    let after = arguments.measured.server()?;
    let opened = (connections.len() - CONNECTING_MAX) as f64;
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let later = arguments.measured.server()?;
    Ok(serde_json::json!({
        "connections": opened,
        "kb_each": (after.rss_mb - before.rss_mb) * 1e3 / opened,
        "cpu_us_each": (after.cpu_s - before.cpu_s) / opened * 1e6,
        "idle_cpu": (later.cpu_s - after.cpu_s) / (arguments.seconds.max(1) as f64),
        "rss_mb": later.rss_mb,
    }))
}
