//! Which broker gets which replica of a new partition; pure.
//!
//! Kafka's algorithm (KIP-36): first replicas go round robin from a random
//! broker, the others follow with a shift that grows with each round; with
//! racks, brokers are taken alternately from each rack and a rack gets a second
//! replica only when every rack has one.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::BrokerId;

/// The most partitions that a topic can have: its znode, of at most a MiB,
/// takes more than ten bytes for each.
const PARTITIONS_MAX: i32 = 100_000;

/// A broker that may get replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub id: BrokerId,
    pub rack: Option<String>,
}

/// Where the round robin starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub index: usize,
    pub shift: usize,
    /// The first partition to assign; those before exist.
    pub partition: i32,
}

/// The texts are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("Number of partitions must be larger than 0.")]
    NoPartitions,
    #[error("Number of partitions must not be larger than {PARTITIONS_MAX}.")]
    TooManyPartitions,
    #[error("Replication factor must be larger than 0.")]
    NoReplicas,
    #[error("Replication factor: {factor} larger than available brokers: {brokers}.")]
    TooFewBrokers { factor: i32, brokers: usize },
    #[error("Not all brokers have rack information for replica rack aware assignment.")]
    RacksIncomplete,
}

impl Start {
    /// A random start among `brokers`, for a new topic.
    #[must_use]
    pub fn random(brokers: usize) -> Self {
        let random = || getrandom::u32().unwrap_or(0) as usize % brokers.max(1);
        Self {
            index: random(),
            shift: random(),
            partition: 0,
        }
    }
}

/// Assigns `partitions` new partitions of `factor` replicas each to `brokers`
/// (sorted by id).
pub fn assign(
    brokers: &[Candidate],
    partitions: i32,
    factor: i32,
    start: Start,
) -> Result<BTreeMap<i32, Vec<BrokerId>>, Error> {
    if partitions <= 0 {
        return Err(Error::NoPartitions);
    }
    // Before anything is allocated: the number is a client's.
    if start.partition.saturating_add(partitions) > PARTITIONS_MAX {
        return Err(Error::TooManyPartitions);
    }
    let replicas = match usize::try_from(factor) {
        Ok(0) | Err(_) => return Err(Error::NoReplicas),
        Ok(replicas) => replicas,
    };
    if replicas > brokers.len() {
        return Err(Error::TooFewBrokers {
            factor,
            brokers: brokers.len(),
        });
    }
    let layout = if brokers.iter().all(|broker| broker.rack.is_none()) {
        let ids: Vec<_> = brokers.iter().map(|broker| broker.id).collect();
        let racks = ids.iter().map(|_| None).collect();
        Layout {
            ids,
            racks,
            rack_count: 0,
        }
    } else {
        alternate_racks(brokers)?
    };
    let mut shift = start.shift;
    let mut assigned = BTreeMap::new();
    for partition in start.partition..start.partition.saturating_add(partitions) {
        let ordinal = usize::try_from(partition).unwrap_or(0);
        if ordinal > 0 && ordinal % layout.ids.len() == 0 {
            shift += 1;
        }
        let first = (ordinal + start.index) % layout.ids.len();
        assigned.insert(partition, layout.replicas(first, shift, replicas));
    }
    Ok(assigned)
}

/// Brokers in the order of the round robin, each with its rack.
struct Layout<'a> {
    ids: Vec<BrokerId>,
    racks: Vec<Option<&'a str>>,
    rack_count: usize,
}

impl Layout<'_> {
    fn replicas(&self, first: usize, shift: usize, count: usize) -> Vec<BrokerId> {
        let mut replicas = vec![self.ids[first]];
        let mut racks: BTreeSet<Option<&str>> = BTreeSet::from([self.racks[first]]);
        let mut step = 0;
        while replicas.len() < count {
            let shift = if self.rack_count > 0 {
                shift * self.rack_count
            } else {
                shift
            };
            let index = self.follower(first, shift + step);
            step += 1;
            let (id, rack) = (self.ids[index], self.racks[index]);
            let rack_is_full =
                self.rack_count > 0 && racks.contains(&rack) && racks.len() < self.rack_count;
            if rack_is_full || replicas.contains(&id) {
                continue;
            }
            racks.insert(rack);
            replicas.push(id);
        }
        replicas
    }

    fn follower(&self, first: usize, shift: usize) -> usize {
        let distance = 1 + shift % (self.ids.len() - 1);
        (first + distance) % self.ids.len()
    }
}

/// Takes a broker from each rack in turn, as long as there are any.
fn alternate_racks(brokers: &[Candidate]) -> Result<Layout<'_>, Error> {
    let mut by_rack: BTreeMap<&str, Vec<BrokerId>> = BTreeMap::new();
    for broker in brokers {
        let rack = broker.rack.as_deref().ok_or(Error::RacksIncomplete)?;
        by_rack.entry(rack).or_default().push(broker.id);
    }
    for ids in by_rack.values_mut() {
        ids.sort_unstable();
    }
    let longest = by_rack.values().map(Vec::len).max().unwrap_or(0);
    let mut layout = Layout {
        ids: Vec::new(),
        racks: Vec::new(),
        rack_count: by_rack.len(),
    };
    for turn in 0..longest {
        for (rack, ids) in &by_rack {
            if let Some(id) = ids.get(turn) {
                layout.ids.push(*id);
                layout.racks.push(Some(rack));
            }
        }
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(ids: impl IntoIterator<Item = BrokerId>) -> Vec<Candidate> {
        ids.into_iter()
            .map(|id| Candidate { id, rack: None })
            .collect()
    }

    const ZERO: Start = Start {
        index: 0,
        shift: 0,
        partition: 0,
    };

    #[test]
    fn the_documented_example_comes_out() {
        let assigned = assign(&plain(0..5), 10, 3, ZERO).unwrap();
        let expected: Vec<Vec<i32>> = vec![
            vec![0, 1, 2],
            vec![1, 2, 3],
            vec![2, 3, 4],
            vec![3, 4, 0],
            vec![4, 0, 1],
            vec![0, 2, 3],
            vec![1, 3, 4],
            vec![2, 4, 0],
            vec![3, 0, 1],
            vec![4, 1, 2],
        ];
        assert_eq!(assigned.into_values().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn added_partitions_go_on_where_the_old_ended() {
        let start = Start {
            index: 1,
            shift: 1,
            partition: 3,
        };
        let assigned = assign(&plain([1, 2, 3]), 2, 2, start).unwrap();
        assert_eq!(assigned, BTreeMap::from([(3, vec![2, 3]), (4, vec![3, 1])]));
    }

    #[test]
    fn each_rack_gets_a_replica_before_any_gets_two() {
        let rack = |id: i32| Candidate {
            id,
            rack: Some(format!("rack{}", id % 3)),
        };
        let brokers: Vec<_> = (0..6).map(rack).collect();
        for index in 0..6 {
            for shift in 0..6 {
                let start = Start {
                    index,
                    shift,
                    partition: 0,
                };
                for replicas in assign(&brokers, 12, 3, start).unwrap().values() {
                    let racks: BTreeSet<_> = replicas.iter().map(|id| id % 3).collect();
                    assert_eq!(racks.len(), 3, "{replicas:?}");
                }
                for replicas in assign(&brokers, 6, 5, start).unwrap().values() {
                    assert_eq!(replicas.iter().collect::<BTreeSet<_>>().len(), 5);
                }
            }
        }
    }

    #[test]
    fn impossible_wishes_are_refused_in_kafkas_words() {
        let refuse = |brokers: &[Candidate], partitions, factor| {
            assign(brokers, partitions, factor, ZERO)
                .unwrap_err()
                .to_string()
        };
        let one = plain([1]);
        assert_eq!(
            refuse(&one, 0, 1),
            "Number of partitions must be larger than 0."
        );
        assert_eq!(
            refuse(&one, 1, 0),
            "Replication factor must be larger than 0."
        );
        assert_eq!(
            refuse(&one, 1, 2),
            "Replication factor: 2 larger than available brokers: 1."
        );
        let mixed = [
            Candidate {
                id: 1,
                rack: Some("a".into()),
            },
            Candidate { id: 2, rack: None },
        ];
        assert_eq!(
            refuse(&mixed, 1, 1),
            "Not all brokers have rack information for replica rack aware assignment."
        );
        assert_eq!(
            assign(&one, 2, 1, ZERO).unwrap(),
            BTreeMap::from([(0, vec![1]), (1, vec![1])])
        );
    }
}
