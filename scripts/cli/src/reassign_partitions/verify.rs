//! `--verify` and `--list`: what has become of moves.

use std::collections::BTreeMap;

use super::plan::{Plan, Replica, name};
use super::{Error, learn_brokers, throttles};
use crate::client::Client;
use crate::client::admin::Reassignment;
use crate::client::consumer::TopicPartition;
use crate::{console, text};

pub(super) async fn list(client: &Client) -> Result<(), Error> {
    let running = client.reassignments().await?;
    console::say(listing(&running));
    Ok(())
}

fn listing(running: &BTreeMap<TopicPartition, Reassignment>) -> String {
    if running.is_empty() {
        return "No partition reassignments found.".to_owned();
    }
    let part = |word: &str, ids: &[i32]| match ids.is_empty() {
        true => String::new(),
        false => format!(" {word}: {}.", text::joined(ids)),
    };
    let mut lines = String::from("Current partition reassignments:");
    for (at, of) in running {
        lines += &format!(
            "\n{}:{}{}{}",
            name(at),
            format_args!(" replicas: {}.", text::joined(&of.replicas)),
            part("adding", &of.adding),
            part("removing", &of.removing)
        );
    }
    lines
}

pub(super) async fn run(client: &Client, plan: &Plan, keeps_throttles: bool) -> Result<(), Error> {
    let running = client.reassignments().await?;
    let mut lines = String::from("Status of partition reassignment:");
    for (at, target) in plan.assignment() {
        let state = match running.contains_key(&at) {
            true => State::Running,
            false => State::Stays(replicas(client, &at).await?),
        };
        lines += "\n";
        lines += &state.line(&name(&at), &target);
    }
    console::say(lines);
    let dirs = dir_states(client, plan).await?;
    let told: Vec<String> = dirs
        .iter()
        .map(|(replica, state)| {
            state.line(replica, plan.dirs.get(replica).map_or("", String::as_str))
        })
        .collect();
    console::say(told.join("\n"));
    let is_moving = dirs
        .values()
        .any(|state| matches!(state, DirState::Moving { .. }));
    if running.is_empty() && !is_moving && !keeps_throttles {
        throttles::clear(client, plan).await?;
    }
    Ok(())
}

/// The replicas of a partition; none if it is not there.
async fn replicas(client: &Client, (topic, partition): &TopicPartition) -> Result<Vec<i32>, Error> {
    use kafka_protocol::error::ResponseError;

    let names = [topic.clone()];
    let described = match client.describe_topics(&names).await {
        Err(error) if error.is(ResponseError::UnknownTopicOrPartition) => return Ok(Vec::new()),
        described => described?,
    };
    let mut partitions = described.into_iter().flat_map(|topic| topic.partitions);
    let found = partitions.find(|found| found.index == *partition);
    Ok(found.map(|found| found.replicas).unwrap_or_default())
}

enum State {
    Running,
    Stays(Vec<i32>),
}

impl State {
    fn line(&self, name: &str, target: &[i32]) -> String {
        match self {
            Self::Running => format!("Reassignment of partition {name} is still in progress."),
            Self::Stays(current) if current == target => {
                format!("Reassignment of partition {name} is completed.")
            }
            Self::Stays(current) => format!(
                "There is no active reassignment of partition {name}, but replica set is {} rather than {}.",
                text::joined(current),
                text::joined(target)
            ),
        }
    }
}

/// Where a replica is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DirState {
    Missing,
    Kept(String),
    Moving { from: String, to: String },
}

impl DirState {
    fn line(&self, (broker, at): &Replica, target: &str) -> String {
        let partition = name(at);
        let replica = format!("{partition}-{broker}");
        match self {
            Self::Missing => format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline log directory on the broker."
            ),
            Self::Kept(dir) if dir == target => {
                format!("Reassignment of replica {replica} completed successfully.")
            }
            Self::Kept(dir) => format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {dir} to {target}."
            ),
            Self::Moving { to, .. } if to == target => {
                format!("Reassignment of replica {replica} is still in progress.")
            }
            Self::Moving { to, .. } => format!(
                "Partition {partition} on broker {broker} is being moved to log dir {to} instead of {target}."
            ),
        }
    }
}

/// Where the replicas are that the plan wants in a certain directory.
pub(super) async fn dir_states(
    client: &Client,
    plan: &Plan,
) -> Result<BTreeMap<Replica, DirState>, Error> {
    let mut states: BTreeMap<Replica, DirState> = plan
        .dirs
        .keys()
        .map(|replica| (replica.clone(), DirState::Missing))
        .collect();
    if states.is_empty() {
        return Ok(states);
    }
    learn_brokers(client).await?;
    let mut brokers: Vec<i32> = plan.dirs.keys().map(|(broker, _)| *broker).collect();
    brokers.dedup();
    for broker in brokers {
        let mut current = BTreeMap::new();
        let mut future = BTreeMap::new();
        for dir in client.describe_log_dirs(broker).await? {
            for topic in &dir.topics {
                for partition in &topic.partitions {
                    let at = (topic.name.0.to_string(), partition.partition_index);
                    let found = if partition.is_future_key {
                        &mut future
                    } else {
                        &mut current
                    };
                    found.insert(at, dir.log_dir.to_string());
                }
            }
        }
        for ((_, at), state) in states.iter_mut().filter(|((of, _), _)| *of == broker) {
            *state = match (current.remove(at), future.remove(at)) {
                (None, _) => DirState::Missing,
                (Some(dir), None) => DirState::Kept(dir),
                (Some(from), Some(to)) => DirState::Moving { from, to },
            };
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_as_kafka_tells_them() {
        let line = |state: State| state.line("t-0", &[1, 2]);
        assert_eq!(
            line(State::Running),
            "Reassignment of partition t-0 is still in progress."
        );
        assert_eq!(
            line(State::Stays(vec![1, 2])),
            "Reassignment of partition t-0 is completed."
        );
        assert_eq!(
            line(State::Stays(vec![3])),
            "There is no active reassignment of partition t-0, but replica set is 3 rather than 1,2."
        );
        let replica = (4, ("t".to_owned(), 0));
        assert_eq!(
            DirState::Kept("/d".to_owned()).line(&replica, "/d"),
            "Reassignment of replica t-0-4 completed successfully."
        );
        assert!(
            DirState::Kept("/x".to_owned())
                .line(&replica, "/d")
                .contains("is not being moved")
        );
    }

    #[test]
    fn moves_are_listed() {
        let running = BTreeMap::from([(
            ("t".to_owned(), 0),
            Reassignment {
                replicas: vec![1, 2, 3],
                adding: vec![3],
                removing: Vec::new(),
            },
        )]);
        assert_eq!(
            listing(&running),
            "Current partition reassignments:\nt-0: replicas: 1,2,3. adding: 3."
        );
        assert_eq!(
            listing(&BTreeMap::new()),
            "No partition reassignments found."
        );
    }
}
