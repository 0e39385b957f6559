//! `--generate`: proposes an assignment as the controller would make it.

use std::collections::BTreeMap;

use broker::registry::assignment::{Candidate, Start, assign};

use super::plan::{Assignment, to_json};
use super::{Error, learn_brokers};
use crate::client::Client;
use crate::console;

pub(super) async fn run(
    client: &Client,
    topics: &[String],
    brokers: &[i32],
    is_rack_aware: bool,
) -> Result<(), Error> {
    let current = current(client, topics).await?;
    learn_brokers(client).await?;
    let mut candidates: Vec<Candidate> = client
        .brokers()
        .into_iter()
        .filter(|broker| brokers.contains(&broker.id))
        .map(|broker| Candidate {
            id: broker.id,
            rack: broker.rack.filter(|_| is_rack_aware),
        })
        .collect();
    candidates.sort_by_key(|candidate| candidate.id);
    let rackless = candidates
        .iter()
        .filter(|broker| broker.rack.is_none())
        .count();
    if is_rack_aware && rackless != 0 && rackless != candidates.len() {
        return Err(Error::Refused("Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.".to_owned()));
    }
    let start = || Start::random(candidates.len());
    let proposed = propose(&current, &candidates, start)?;
    console::say(format_args!(
        "Current partition replica assignment\n{}\n",
        to_json(&current)
    ));
    console::say(format_args!(
        "Proposed partition reassignment configuration\n{}",
        to_json(&proposed)
    ));
    Ok(())
}

/// Where the partitions of `topics` are; a topic that is not there is an error.
pub(super) async fn current(client: &Client, topics: &[String]) -> Result<Assignment, Error> {
    let mut assignment = Assignment::new();
    for topic in client.describe_topics(topics).await? {
        for partition in topic.partitions {
            assignment.insert((topic.name.clone(), partition.index), partition.replicas);
        }
    }
    Ok(assignment)
}

/// A new assignment with as many replicas as each topic's first partition has.
fn propose(
    current: &Assignment,
    brokers: &[Candidate],
    start: impl Fn() -> Start,
) -> Result<Assignment, Error> {
    let mut topics: BTreeMap<&str, (i32, i32)> = BTreeMap::new();
    for ((topic, _), replicas) in current {
        let factor = i32::try_from(replicas.len()).unwrap_or(i32::MAX);
        topics.entry(topic).or_insert((0, factor)).0 += 1;
    }
    let mut proposed = Assignment::new();
    for (topic, (partitions, factor)) in topics {
        let assigned = assign(brokers, partitions, factor, start())
            .map_err(|error| Error::Refused(error.to_string()))?;
        for (partition, replicas) in assigned {
            proposed.insert((topic.to_owned(), partition), replicas);
        }
    }
    Ok(proposed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_spreads_each_topic() {
        let at = |partition| ("t".to_owned(), partition);
        let current = Assignment::from([(at(0), vec![0, 1]), (at(1), vec![0, 1])]);
        let broker = |id| Candidate { id, rack: None };
        let start = || Start {
            index: 0,
            shift: 0,
            partition: 0,
        };
        let brokers = [broker(5), broker(6), broker(7)];
        let proposed = propose(&current, &brokers, start).unwrap();
        assert_eq!(proposed[&at(0)], [5, 6]);
        assert_eq!(proposed[&at(1)], [6, 7]);
        assert!(propose(&current, &brokers[..1], start).is_err());
    }
}
