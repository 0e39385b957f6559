//! Leaders ask for other ISRs.

use std::collections::BTreeSet;

use super::active::{Active, Result, ends_role};
use super::partitions::Cas;
use crate::model::{BrokerId, TopicPartition};
use crate::protocol::interbroker::{
    AlterPartitionRequest, AlterPartitionResponse, AlteredIsr, IsrChange, IsrOutcome,
};
use crate::registry::{LeaderAndIsr, LeaderRecoveryState};

/// Codes of the answers.
mod code {
    pub(super) const UNKNOWN_SERVER_ERROR: i16 = -1;
    pub(super) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    pub(super) const NOT_CONTROLLER: i16 = 41;
    pub(super) const INVALID_REQUEST: i16 = 42;
    pub(super) const OPERATION_NOT_ATTEMPTED: i16 = 55;
    pub(super) const FENCED_LEADER_EPOCH: i16 = 74;
    pub(super) const STALE_BROKER_EPOCH: i16 = 77;
    pub(super) const INVALID_UPDATE_VERSION: i16 = 95;
    pub(super) const UNKNOWN_TOPIC_ID: i16 = 100;
    pub(super) const INELIGIBLE_REPLICA: i16 = 107;
}

/// From here on there is a code for replicas that may not join.
const INELIGIBLE_FROM: i16 = 2;

/// What a controller that is none answers.
pub(super) fn not_controller() -> AlterPartitionResponse {
    AlterPartitionResponse::refused(code::NOT_CONTROLLER)
}

/// What to do about one change; pure.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refuse(i16),
    /// It is so already, perhaps by an earlier attempt.
    AlreadySo,
    Write(LeaderAndIsr),
}

fn judge(
    now: &LeaderAndIsr,
    leader: BrokerId,
    change: &IsrChange,
    live: &BTreeSet<BrokerId>,
    version: i16,
) -> Verdict {
    let Some(recovery) = recovery(change.recovery) else {
        return Verdict::Refuse(code::INVALID_REQUEST);
    };
    if change.partition_epoch > now.partition_epoch || change.leader_epoch > now.leader_epoch {
        // The leader heard from a newer controller.
        return Verdict::Refuse(code::NOT_CONTROLLER);
    }
    if change.leader_epoch < now.leader_epoch {
        return Verdict::Refuse(code::FENCED_LEADER_EPOCH);
    }
    let is_so = leader == now.leader && change.isr == now.isr && recovery == now.recovery;
    if is_so {
        return Verdict::AlreadySo;
    }
    if change.partition_epoch < now.partition_epoch {
        return Verdict::Refuse(code::INVALID_UPDATE_VERSION);
    }
    let recovers = recovery == LeaderRecoveryState::Recovering;
    if recovers && (change.isr.len() > 1 || now.recovery == LeaderRecoveryState::Recovered) {
        return Verdict::Refuse(code::INVALID_REQUEST);
    }
    if !change.isr.iter().all(|id| live.contains(id)) {
        return Verdict::Refuse(match version {
            INELIGIBLE_FROM.. => code::INELIGIBLE_REPLICA,
            _ => code::OPERATION_NOT_ATTEMPTED,
        });
    }
    Verdict::Write(LeaderAndIsr {
        leader,
        leader_epoch: change.leader_epoch,
        isr: change.isr.clone(),
        recovery,
        partition_epoch: change.partition_epoch,
    })
}

fn recovery(code: i8) -> Option<LeaderRecoveryState> {
    match code {
        0 => Some(LeaderRecoveryState::Recovered),
        1 => Some(LeaderRecoveryState::Recovering),
        _ => None,
    }
}

fn altered(state: &LeaderAndIsr) -> AlteredIsr {
    AlteredIsr {
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        recovery: state.recovery.code(),
        partition_epoch: state.partition_epoch,
    }
}

impl Active {
    /// Decides on every change; an error ends the role, and the leader asks
    /// the next controller. The second value names the partitions whose ISR
    /// changed.
    pub(super) async fn on_alter_partition(
        &mut self,
        request: &AlterPartitionRequest,
        version: i16,
    ) -> Result<(AlterPartitionResponse, Vec<TopicPartition>)> {
        let known = self.context.brokers.get(&request.broker_id);
        if known.map(|broker| broker.epoch) != Some(request.broker_epoch) {
            let (id, epoch) = (request.broker_id, request.broker_epoch);
            tracing::info!(id, epoch, "a broker of another epoch asked for ISRs");
            let refusal = AlterPartitionResponse::refused(code::STALE_BROKER_EPOCH);
            return Ok((refusal, Vec::new()));
        }
        let mut live: BTreeSet<BrokerId> = self.context.brokers.keys().copied().collect();
        live.retain(|id| !self.context.shutting_down.contains(id));

        let mut outcomes = Vec::with_capacity(request.changes.len());
        let mut writes = Vec::new();
        for change in &request.changes {
            let (id, verdict) = self.verdict(request.broker_id, change, &live, version);
            let result = match (&id, verdict) {
                (Some(id), Verdict::Write(state)) => {
                    writes.push((outcomes.len(), id.clone(), state));
                    Err(code::UNKNOWN_SERVER_ERROR)
                }
                (Some(id), Verdict::AlreadySo) => match self.context.leadership(id) {
                    Some(known) => Ok(altered(&known.state)),
                    None => Err(code::UNKNOWN_TOPIC_OR_PARTITION),
                },
                (_, Verdict::Refuse(code)) => Err(code),
                (None, _) => Err(code::UNKNOWN_TOPIC_OR_PARTITION),
            };
            outcomes.push(IsrOutcome {
                topic: change.topic.clone(),
                topic_id: change.topic_id,
                partition: change.partition,
                result,
            });
        }
        let changed = self.write_isrs(writes, &mut outcomes).await?;
        let response = AlterPartitionResponse {
            error_code: 0,
            outcomes,
        };
        Ok((response, changed))
    }

    fn verdict(
        &self,
        leader: BrokerId,
        change: &IsrChange,
        live: &BTreeSet<BrokerId>,
        version: i16,
    ) -> (Option<TopicPartition>, Verdict) {
        let topic = match &change.topic {
            Some(topic) => Some(topic.clone()),
            None => self.context.topic_of(change.topic_id),
        };
        let Some(topic) = topic else {
            return (None, Verdict::Refuse(code::UNKNOWN_TOPIC_ID));
        };
        let id = TopicPartition::new(topic, change.partition);
        let verdict = match self.context.leadership(&id) {
            Some(known) => judge(&known.state, leader, change, live, version),
            None => Verdict::Refuse(code::UNKNOWN_TOPIC_OR_PARTITION),
        };
        (Some(id), verdict)
    }

    async fn write_isrs(
        &mut self,
        writes: Vec<(usize, TopicPartition, LeaderAndIsr)>,
        outcomes: &mut [IsrOutcome],
    ) -> Result<Vec<TopicPartition>> {
        let states = writes.iter().map(|(_, id, state)| (id, state));
        let written = self.write_states(states).await;
        let mut changed = Vec::new();
        let mut failure = None;
        for ((index, id, _), outcome) in writes.into_iter().zip(written) {
            outcomes[index].result = match outcome {
                Cas::Written(state) => {
                    let result = Ok(altered(&state));
                    self.take_in(&id, state);
                    changed.push(id);
                    result
                }
                Cas::Outdated => Err(code::INVALID_UPDATE_VERSION),
                Cas::Failed(error) if ends_role(&error) => {
                    failure = Some(error);
                    Err(code::NOT_CONTROLLER)
                }
                Cas::Failed(error) => {
                    tracing::error!(partition = %id, %error, "the ISR could not be written");
                    Err(code::UNKNOWN_SERVER_ERROR)
                }
            };
        }
        let all = self.context.broker_ids();
        if !changed.is_empty() {
            self.send_metadata(&all, &changed);
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicId;

    fn now(isr: &[BrokerId]) -> LeaderAndIsr {
        LeaderAndIsr {
            leader_epoch: 4,
            partition_epoch: 9,
            ..LeaderAndIsr::initial(1, isr.to_vec())
        }
    }

    fn change(leader_epoch: i32, partition_epoch: i32, isr: &[BrokerId]) -> IsrChange {
        IsrChange {
            topic: None,
            topic_id: TopicId::from_u128(1),
            partition: 0,
            leader_epoch,
            isr: isr.to_vec(),
            recovery: 0,
            partition_epoch,
        }
    }

    #[test]
    fn changes_are_judged_as_in_kafka() {
        use Verdict::{AlreadySo, Refuse};
        let live: BTreeSet<BrokerId> = [1, 2].into();
        let table = [
            (change(4, 10, &[1, 2]), Refuse(41)),
            (change(5, 9, &[1, 2]), Refuse(41)),
            (change(3, 9, &[1, 2]), Refuse(74)),
            (change(4, 9, &[1]), AlreadySo),
            (change(4, 8, &[1]), AlreadySo),
            (change(4, 8, &[1, 2]), Refuse(95)),
            (change(4, 9, &[1, 3]), Refuse(107)),
            (
                change(4, 9, &[1, 2]),
                Verdict::Write(LeaderAndIsr {
                    isr: vec![1, 2],
                    ..now(&[1])
                }),
            ),
        ];
        for (change, expected) in table {
            assert_eq!(
                judge(&now(&[1]), 1, &change, &live, 3),
                expected,
                "{change:?}"
            );
        }
        let absent = change(4, 9, &[1, 3]);
        assert_eq!(judge(&now(&[1]), 1, &absent, &live, 1), Refuse(55));
    }

    #[test]
    fn a_leader_recovers_alone_and_only_once() {
        let live: BTreeSet<BrokerId> = [1, 2].into();
        let recovering = |isr: &[BrokerId]| IsrChange {
            recovery: 1,
            ..change(4, 9, isr)
        };
        let refused = Verdict::Refuse(code::INVALID_REQUEST);
        assert_eq!(judge(&now(&[1]), 1, &recovering(&[1]), &live, 3), refused);
        let unclean = LeaderAndIsr {
            recovery: LeaderRecoveryState::Recovering,
            ..now(&[1])
        };
        assert_eq!(judge(&unclean, 1, &recovering(&[1, 2]), &live, 3), refused);
        let verdict = judge(&unclean, 1, &change(4, 9, &[1, 2]), &live, 3);
        assert!(matches!(verdict, Verdict::Write(_)), "{verdict:?}");
    }
}
