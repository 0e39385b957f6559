//! `--execute` and `--cancel`: starts and stops moves.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::error::ResponseError;

use super::plan::{Assignment, Plan, Replica, name, names, to_json};
use super::verify::{DirState, dir_states};
use super::{Error, generate, learn_brokers, throttles};
use crate::client::Client;
use crate::client::consumer::TopicPartition;
use crate::console;
use crate::options::Options;

/// How often a broker is asked to move a log that it does not have yet.
const ASK_AGAIN: Duration = Duration::from_millis(100);
const RUNNING: &str = "Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment.";
const MUST_VERIFY: &str = "Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.";

/// What the command line says about how to move; a negative rate is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    is_additional: bool,
    rate: i64,
    dir_rate: i64,
    timeout: Duration,
}

impl Limits {
    pub(super) fn of(options: &Options) -> Result<Self, Error> {
        let number = |name: &'static str| {
            let number = options.i64(name);
            number.map_err(|error| Error::Refused(error.to_string()))
        };
        let timeout = number("timeout")?.unwrap_or_default();
        Ok(Self {
            is_additional: options.has("additional"),
            rate: number("throttle")?.unwrap_or(-1),
            dir_rate: number("replica-alter-log-dirs-throttle")?.unwrap_or(-1),
            timeout: Duration::from_millis(u64::try_from(timeout).unwrap_or_default()),
        })
    }
}

pub(super) async fn run(client: &Client, plan: &Plan, limits: &Limits) -> Result<(), Error> {
    let running = client.reassignments().await?;
    if !limits.is_additional && !running.is_empty() {
        return Err(Error::Terse(RUNNING.to_owned()));
    }
    let proposed = plan.assignment();
    learn_brokers(client).await?;
    let known: Vec<i32> = client.brokers().iter().map(|broker| broker.id).collect();
    let unknown = proposed.values().flatten().find(|id| !known.contains(id));
    if let Some(id) = unknown {
        return Err(Error::Refused(format!("Unknown broker id {id}")));
    }
    let current = current(client, plan, &proposed).await?;
    console::say(format_args!(
        "Current partition replica assignment\n\n{}\n\nSave this to use as the --reassignment-json-file option during rollback",
        to_json(&current)
    ));
    if limits.rate >= 0 || limits.dir_rate >= 0 {
        console::say(MUST_VERIFY);
    }
    if limits.rate >= 0 {
        throttles::limit_moves(client, &running, &proposed, &current, limits.rate).await?;
    }
    if limits.dir_rate >= 0 {
        throttles::limit_dirs(client, plan, limits.dir_rate).await?;
    }
    let count = proposed.len();
    let told = names(proposed.keys());
    let moves = proposed.into_iter().map(|(at, ids)| (at, Some(ids)));
    let errors = client.reassign(&moves.collect()).await?;
    if !errors.is_empty() {
        return Err(failure("Error reassigning partition(s):", &errors));
    }
    console::say(format_args!(
        "Successfully started partition reassignment{} for {told}",
        plural(count)
    ));
    move_logs(client, plan.dirs.clone(), limits.timeout).await
}

/// Where the partitions of the plan are; each must be somewhere.
async fn current(client: &Client, plan: &Plan, proposed: &Assignment) -> Result<Assignment, Error> {
    let topics: Vec<String> = plan.topics().into_iter().collect();
    let mut current = generate::current(client, &topics).await?;
    current.retain(|at, _| proposed.contains_key(at));
    let missing: Vec<String> = proposed
        .keys()
        .filter(|at| !current.contains_key(*at))
        .map(name)
        .collect();
    match missing.is_empty() {
        true => Ok(current),
        false => Err(Error::Refused(format!(
            "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Unable to find partition: {}",
            missing.join(", ")
        ))),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn failure(headline: &str, errors: &BTreeMap<TopicPartition, crate::client::Error>) -> Error {
    let lines: Vec<String> = errors
        .iter()
        .map(|(at, error)| format!("{}: {error}", name(at)))
        .collect();
    Error::Terse(format!("{headline}\n{}", lines.join("\n")))
}

/// Asks brokers to move logs between directories; a broker that gets its
/// replica only now is asked again until `timeout`.
async fn move_logs(
    client: &Client,
    mut pending: BTreeMap<Replica, String>,
    timeout: Duration,
) -> Result<(), Error> {
    let deadline = client.now() + timeout;
    while !pending.is_empty() {
        let mut waiting = BTreeMap::new();
        for ((broker, at), dir) in pending {
            match client.move_log(broker, &at, &dir).await {
                Ok(()) => console::say(format_args!(
                    "Successfully started moving log directory to {dir} for replica {} with broker {broker} ",
                    name(&at)
                )),
                Err(error) if error.is(ResponseError::ReplicaNotAvailable) => {
                    waiting.insert((broker, at), dir);
                }
                Err(_) => {
                    let replica = format!("{}-{broker}", name(&at));
                    return Err(Error::Refused(format!("Failed to alter dir for {replica}")));
                }
            }
        }
        if !waiting.is_empty() && client.now() >= deadline {
            let replicas: Vec<String> = waiting
                .keys()
                .map(|(broker, at)| format!("{}-{broker}", name(at)))
                .collect();
            return Err(Error::Terse(format!(
                "Timed out before log directory move{} could be started for: {}",
                plural(replicas.len()),
                replicas.join(",")
            )));
        }
        pending = waiting;
        if !pending.is_empty() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
    Ok(())
}

pub(super) async fn cancel(
    client: &Client,
    plan: &Plan,
    keeps_throttles: bool,
    limits: &Limits,
) -> Result<(), Error> {
    let running = client.reassignments().await?;
    let stopped: BTreeMap<TopicPartition, Option<Vec<i32>>> = plan
        .assignment()
        .into_keys()
        .filter(|at| running.contains_key(at))
        .map(|at| (at, None))
        .collect();
    if stopped.is_empty() {
        console::say("None of the specified partition reassignments are active.");
    } else {
        let errors = client.reassign(&stopped).await?;
        if !errors.is_empty() {
            let headline = format!(
                "Error cancelling partition reassignment{} for:",
                plural(errors.len())
            );
            return Err(failure(&headline, &errors));
        }
        console::say(format_args!(
            "Successfully cancelled partition reassignment{} for: {}",
            plural(stopped.len()),
            names(stopped.keys())
        ));
    }
    // A log goes back by being moved to where it still is.
    let moving: BTreeMap<Replica, String> = dir_states(client, plan)
        .await?
        .into_iter()
        .filter_map(|(replica, state)| match state {
            DirState::Moving { from, .. } => Some((replica, from)),
            DirState::Missing | DirState::Kept(_) => None,
        })
        .collect();
    match moving.is_empty() {
        true => console::print(format_args!(
            "None of the specified partition moves are active."
        )),
        false => move_logs(client, moving, limits.timeout).await?,
    }
    if !keeps_throttles {
        throttles::clear(client, plan).await?;
    }
    Ok(())
}
