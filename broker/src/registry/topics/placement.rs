//! Where the replicas of new partitions go, and whether they may go there.

use std::collections::{BTreeMap, BTreeSet};

use super::{AddPartitionsError, CreateTopicError, Placement};
use crate::model::{BrokerId, TopicName};
use crate::registry::assignment::{self, Candidate, Start};
use crate::registry::znode::TopicAssignment;

/// Where the replicas of a new topic go.
pub(super) fn place(
    placement: &Placement,
    brokers: &[Candidate],
) -> Result<BTreeMap<i32, Vec<BrokerId>>, assignment::Error> {
    match placement {
        Placement::Manual(replicas) => Ok(replicas.clone()),
        Placement::Automatic {
            partitions,
            replication_factor,
        } => {
            let start = Start::random(brokers.len());
            assignment::assign(
                &usable_racks(brokers),
                *partitions,
                *replication_factor,
                start,
            )
        }
    }
}

/// Brokers by id; racks count only if every broker has one.
fn usable_racks(brokers: &[Candidate]) -> Vec<Candidate> {
    let all_have_racks = brokers.iter().all(|broker| broker.rack.is_some());
    let mut usable = brokers.to_vec();
    if !all_have_racks {
        usable.iter_mut().for_each(|broker| broker.rack = None);
    }
    usable.sort_unstable_by_key(|broker| broker.id);
    usable
}

/// Judges the replicas of a new topic.
pub(super) fn check_replicas(
    partitions: &BTreeMap<i32, Vec<BrokerId>>,
) -> Result<(), CreateTopicError> {
    let sizes: BTreeSet<usize> = partitions.values().map(Vec::len).collect();
    if sizes.len() != 1 {
        return Err(CreateTopicError::UnevenReplicas);
    }
    if sizes.contains(&0) {
        return Err(assignment::Error::NoReplicas.into());
    }
    if partitions.values().any(|replicas| has_duplicates(replicas)) {
        return Err(CreateTopicError::DuplicateReplicas(partitions.clone()));
    }
    if !partitions.keys().copied().eq((0..).take(partitions.len())) {
        return Err(CreateTopicError::PartitionsNotConsecutive);
    }
    Ok(())
}

fn has_duplicates(replicas: &[BrokerId]) -> bool {
    replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len()
}

/// The replicas of the partitions to add.
pub(super) fn extend(
    name: &TopicName,
    existing: &TopicAssignment,
    total: i32,
    new: Option<&[Vec<BrokerId>]>,
    brokers: &[Candidate],
) -> Result<BTreeMap<i32, Vec<BrokerId>>, AddPartitionsError> {
    let first = existing
        .partitions
        .get(&0)
        .ok_or_else(|| AddPartitionsError::NoFirstPartition(name.clone()))?;
    let current = existing.partitions.len();
    let first_new = i32::try_from(current).unwrap_or(i32::MAX);
    let added = total.saturating_sub(first_new);
    if added <= 0 {
        let topic = name.clone();
        return Err(AddPartitionsError::NoIncrease {
            topic,
            current,
            wanted: total,
        });
    }
    let factor = first.replicas.len();
    if let Some(new) = new {
        if usize::try_from(added) != Ok(new.len()) {
            let assigned = new.len();
            return Err(AddPartitionsError::WrongCount { added, assigned });
        }
        let proposed: BTreeMap<i32, Vec<BrokerId>> = (first_new..).zip(new.to_vec()).collect();
        check_added(&proposed, factor, brokers)?;
        return Ok(proposed);
    }
    let brokers = usable_racks(brokers);
    let head = first.replicas.first().copied().unwrap_or(0);
    let index = brokers
        .iter()
        .position(|broker| broker.id >= head)
        .unwrap_or(0);
    let start = Start {
        index,
        shift: index,
        partition: first_new,
    };
    let factor = i32::try_from(factor).unwrap_or(i32::MAX);
    Ok(assignment::assign(&brokers, added, factor, start)?)
}

fn check_added(
    proposed: &BTreeMap<i32, Vec<BrokerId>>,
    expected: usize,
    brokers: &[Candidate],
) -> Result<(), AddPartitionsError> {
    let available: BTreeSet<BrokerId> = brokers.iter().map(|broker| broker.id).collect();
    for (&partition, replicas) in proposed {
        if replicas.is_empty() {
            return Err(AddPartitionsError::NoReplicas(partition));
        }
        if has_duplicates(replicas) {
            let replicas = join(replicas);
            return Err(AddPartitionsError::DuplicateReplicas {
                partition,
                replicas,
            });
        }
        if !replicas.iter().all(|id| available.contains(id)) {
            return Err(AddPartitionsError::UnknownBrokers {
                partition,
                replicas: join(replicas),
                available: join(&available),
            });
        }
    }
    let uneven = proposed
        .iter()
        .filter(|(_, replicas)| replicas.len() != expected);
    let (partitions, factors): (Vec<i32>, Vec<usize>) = uneven
        .map(|(partition, replicas)| (*partition, replicas.len()))
        .unzip();
    if partitions.is_empty() {
        return Ok(());
    }
    Err(AddPartitionsError::UnevenReplicas {
        expected,
        partitions: join(&partitions),
        factors: join(&factors),
    })
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::znode::ReplicaAssignment;

    type Partitions<'a> = &'a [(i32, &'a [i32])];

    fn manual(partitions: Partitions<'_>) -> BTreeMap<i32, Vec<i32>> {
        partitions
            .iter()
            .map(|(p, replicas)| (*p, replicas.to_vec()))
            .collect()
    }

    fn candidates(ids: &[i32]) -> Vec<Candidate> {
        ids.iter()
            .map(|id| Candidate {
                id: *id,
                rack: None,
            })
            .collect()
    }

    #[test]
    fn manual_assignments_are_judged_as_in_kafka() {
        let table: [(Partitions<'_>, &str); 5] = [
            (
                &[],
                "All partitions should have the same number of replicas",
            ),
            (
                &[(0, &[1]), (1, &[1, 2])],
                "All partitions should have the same number of replicas",
            ),
            (
                &[(0, &[1, 1])],
                "Duplicate replica assignment found: HashMap(0 -> ArrayBuffer(1, 1))",
            ),
            (
                &[(1, &[1])],
                "partitions should be a consecutive 0-based integer sequence",
            ),
            (&[(0, &[])], "Replication factor must be larger than 0."),
        ];
        for (partitions, text) in table {
            assert_eq!(
                check_replicas(&manual(partitions)).unwrap_err().to_string(),
                text
            );
        }
        assert!(check_replicas(&manual(&[(0, &[1, 2]), (1, &[2, 1])])).is_ok());
    }

    #[test]
    fn added_partitions_are_judged_as_in_kafka() {
        let name = TopicName::new("t").unwrap();
        let existing = TopicAssignment {
            topic_id: None,
            partitions: BTreeMap::from([(0, ReplicaAssignment::of(vec![2]))]),
        };
        let brokers = candidates(&[1, 2, 3]);
        let refuse = |total, new: Option<&[Vec<i32>]>| {
            extend(&name, &existing, total, new, &brokers)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refuse(1, None),
            "The number of partitions for a topic can only be increased. Topic t currently has 1 \
             partitions, 1 would not be an increase."
        );
        assert_eq!(
            refuse(2, Some(&[vec![9]])),
            "Some brokers specified for partition id 1 are not available. Specified brokers: 9, \
             available brokers: 1, 2, 3."
        );
        assert_eq!(
            refuse(2, Some(&[vec![1, 2]])),
            "Inconsistent replication factor between partitions, partition 0 has 1 while \
             partitions [1] have replication factors [2], respectively."
        );
        assert_eq!(
            refuse(2, Some(&[vec![1, 1]])),
            "Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 1."
        );
        assert_eq!(
            refuse(2, Some(&[vec![]])),
            "Cannot have replication factor of 0 for partition id 1."
        );
        let added = extend(&name, &existing, 3, None, &brokers).unwrap();
        assert_eq!(added, manual(&[(1, &[3]), (2, &[1])]));
    }
}
