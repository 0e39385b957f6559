//! Elections that somebody or the clock asks for.

use std::collections::BTreeMap;

use super::active::{Active, Result};
use super::context::Context;
use super::election::Strategy;
use crate::model::{BrokerId, TopicPartition};

/// Which leaders are wanted (KIP-460).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica of each assignment, if it is in sync.
    Preferred,
    /// Any live replica, where no other can lead.
    Unclean,
}

impl ElectionType {
    fn strategy(self) -> Strategy {
        match self {
            Self::Preferred => Strategy::Preferred,
            Self::Unclean => Strategy::Unclean,
        }
    }

    /// As Kafka calls it in its messages.
    fn strategy_name(self) -> &'static str {
        match self {
            Self::Preferred => "PreferredReplicaPartitionLeaderElectionStrategy",
            Self::Unclean => "OfflinePartitionLeaderElectionStrategy(true)",
        }
    }
}

/// Why a partition keeps its leader, or its lack of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectError {
    #[error("Leader election not needed for topic partition.")]
    NotNeeded,
    #[error("The topic is being deleted")]
    BeingDeleted,
    #[error("The partition does not exist.")]
    UnknownPartition,
    #[error("Failed to elect leader for partition {partition} under strategy {}", election.strategy_name())]
    NoneEligible {
        election: ElectionType,
        partition: TopicPartition,
    },
}

/// The new leader, or why there is none.
pub type Elected = (TopicPartition, std::result::Result<BrokerId, ElectError>);

impl Active {
    pub(super) async fn on_elect_leaders(
        &mut self,
        election: ElectionType,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<Elected>> {
        let mut outcomes = Vec::new();
        let mut electable = Vec::new();
        for partition in partitions {
            match refusal(&self.context, election, &partition) {
                Some(error) => outcomes.push((partition, Err(error))),
                None => electable.push(partition),
            }
        }
        let strategy = election.strategy();
        let elected = self.bring_online(electable.clone(), strategy).await?;
        for partition in electable {
            let leader = self.context.leader(&partition);
            let outcome = match leader {
                Some(leader) if elected.contains(&partition) => Ok(leader),
                _ => Err(ElectError::NoneEligible {
                    election,
                    partition: partition.clone(),
                }),
            };
            outcomes.push((partition, outcome));
        }
        Ok(outcomes)
    }

    /// Moves leaders back to brokers that lead too few of what they should.
    pub(super) async fn rebalance_leaders(&mut self, percentage: i32) -> Result<()> {
        let moves = imbalanced(&self.context, percentage);
        if moves.is_empty() {
            return Ok(());
        }
        tracing::info!(
            partitions = moves.len(),
            "moving leaders back to their preferred replicas"
        );
        self.bring_online(moves, Strategy::Preferred)
            .await
            .map(drop)
    }
}

fn refusal(
    context: &Context,
    election: ElectionType,
    partition: &TopicPartition,
) -> Option<ElectError> {
    let Some(leader) = context.leader(partition) else {
        return Some(ElectError::UnknownPartition);
    };
    if context.is_to_delete(&partition.topic) {
        return Some(ElectError::BeingDeleted);
    }
    let is_fine = match election {
        ElectionType::Preferred => context.replicas(partition).first() == Some(&leader),
        ElectionType::Unclean => {
            context.brokers.contains_key(&leader) && !context.shutting_down.contains(&leader)
        }
    };
    is_fine.then_some(ElectError::NotNeeded)
}

/// The partitions to move back: those of brokers of which others lead more than
/// `percentage` percent of what they are preferred for, where they can lead.
fn imbalanced(context: &Context, percentage: i32) -> Vec<TopicPartition> {
    let mut preferred: BTreeMap<BrokerId, (usize, Vec<TopicPartition>)> = BTreeMap::new();
    for partition in context.all_partitions() {
        if context.is_to_delete(&partition.topic) {
            continue;
        }
        let Some(broker) = context.replicas(&partition).first().copied() else {
            continue;
        };
        let (count, elsewhere) = preferred.entry(broker).or_default();
        *count += 1;
        let leader = context.leader(&partition);
        if leader.is_some_and(|leader| leader != broker) {
            elsewhere.push(partition);
        }
    }
    let mut moves = Vec::new();
    for (broker, (count, elsewhere)) in preferred {
        let allowed = usize::try_from(percentage).unwrap_or(0) * count;
        if elsewhere.len() * 100 <= allowed {
            continue;
        }
        moves.extend(elsewhere.into_iter().filter(|partition| {
            let isr = context.leadership(partition).map(|known| &known.state.isr);
            context.is_online(broker, partition) && isr.is_some_and(|isr| isr.contains(&broker))
        }));
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicName;
    use crate::protocol::interbroker::LiveBroker;
    use crate::registry::{
        Fence, LeaderAndIsr, PartitionLeadership, ReplicaAssignment, TopicAssignment,
    };

    /// Ten partitions that broker 1 should lead; `elsewhere` of them are led
    /// by 2.
    fn context(elsewhere: i32, isr: &[BrokerId]) -> Context {
        let fence = Fence {
            epoch: 1,
            version: 1,
        };
        let mut context = Context::new(1, fence, "PLAINTEXT".to_owned());
        for id in [1, 2] {
            let broker = LiveBroker {
                id,
                epoch: 1,
                endpoints: Vec::new(),
                rack: None,
            };
            context.brokers.insert(id, broker);
        }
        let topic = TopicName::new("t").unwrap();
        let assignment = TopicAssignment {
            topic_id: None,
            partitions: (0..10)
                .map(|number| (number, ReplicaAssignment::of(vec![1, 2])))
                .collect(),
        };
        context.add_topic(&topic, assignment);
        for number in 0..10 {
            let leader = if number < elsewhere { 2 } else { 1 };
            let leadership = PartitionLeadership {
                state: LeaderAndIsr::initial(leader, isr.to_vec()),
                controller_epoch: 1,
            };
            let partition = TopicPartition::new(topic.clone(), number);
            context.set_leadership(&partition, leadership);
        }
        context
    }

    #[test]
    fn leaders_move_back_when_too_many_are_elsewhere() {
        assert_eq!(imbalanced(&context(1, &[1, 2]), 10).len(), 0);
        assert_eq!(imbalanced(&context(2, &[1, 2]), 10).len(), 2);
        assert_eq!(imbalanced(&context(2, &[2]), 10).len(), 0, "not in sync");
        let mut down = context(5, &[1, 2]);
        down.brokers.remove(&1);
        assert_eq!(imbalanced(&down, 10).len(), 0);
    }

    #[test]
    fn what_needs_no_election_is_told_so() {
        let context = context(1, &[1, 2]);
        let topic = TopicName::new("t").unwrap();
        let tp = |number| TopicPartition::new(topic.clone(), number);
        let preferred = |number| refusal(&context, ElectionType::Preferred, &tp(number));
        assert_eq!(preferred(0), None);
        assert_eq!(preferred(1), Some(ElectError::NotNeeded));
        assert_eq!(preferred(10), Some(ElectError::UnknownPartition));
        let unclean = refusal(&context, ElectionType::Unclean, &tp(0));
        assert_eq!(unclean, Some(ElectError::NotNeeded));
    }
}
