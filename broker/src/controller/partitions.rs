//! Carries out what partitions need: first leaders and elections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::future::join_all;

use super::active::{Active, Result, ends_role};
use super::batch::{Batch, Novelty};
use super::context::Context;
use super::election::{Ballot, Elected, Strategy, elect};
use super::states::PartitionState;
use crate::metrics::Elections;
use crate::model::{BrokerId, TopicName, TopicPartition};
use crate::registry::znode::path;
use crate::registry::{Error, FencedWrite, LeaderAndIsr, LeaderRecoveryState, PartitionLeadership};
use crate::zk::ErrorCode;

/// What a conditional write of a partition's state came to.
pub(super) enum Cas {
    Written(LeaderAndIsr),
    /// Somebody else wrote since it was read.
    Outdated,
    Failed(Error),
}

impl Active {
    /// Takes `partitions` to online: new ones get their first leader, others
    /// an election. Returns those that an election changed.
    pub(super) async fn bring_online(
        &mut self,
        partitions: Vec<TopicPartition>,
        strategy: Strategy,
    ) -> Result<Vec<TopicPartition>> {
        let mut batch = Batch::default();
        let state = |partition: &TopicPartition| self.context.partition(partition).map(|p| p.state);
        let (new, others): (Vec<_>, Vec<_>) = partitions
            .into_iter()
            .partition(|p| state(p) == Some(PartitionState::New));
        let (others, _unknown): (Vec<_>, Vec<_>) = others.into_iter().partition(|p| {
            matches!(
                state(p),
                Some(PartitionState::Online | PartitionState::Offline)
            )
        });
        let outcome = self.initialize(new, &mut batch).await;
        let elected = match outcome {
            Ok(()) => self.run_elections(others, strategy, &mut batch).await,
            Err(error) => Err(error),
        };
        // What was written is told even if a later write failed.
        self.send(batch);
        elected
    }

    /// First leaders: the first live replica, all live replicas in sync.
    async fn initialize(
        &mut self,
        partitions: Vec<TopicPartition>,
        batch: &mut Batch,
    ) -> Result<()> {
        let plans = plan_first_leaders(&self.context, partitions);
        if plans.is_empty() {
            return Ok(());
        }
        let topics: BTreeSet<&TopicName> = plans.iter().map(|(tp, _)| &tp.topic).collect();
        let fence = self.context.fence;
        let ensure = |path| self.registry.ensure_fenced(fence, path);
        let parents = join_all(
            topics
                .into_iter()
                .map(|t| ensure(path::topic_partitions(t))),
        )
        .await;
        parents.into_iter().collect::<Result<()>>()?;
        let nodes = join_all(plans.iter().map(|(tp, _)| ensure(path::partition(tp)))).await;
        nodes.into_iter().collect::<Result<()>>()?;
        let written = join_all(plans.iter().map(|(tp, plan)| self.create_state(tp, plan))).await;

        for ((partition, leadership), outcome) in plans.into_iter().zip(written) {
            match outcome {
                Ok(()) => {}
                Err(error) if ends_role(&error) => return Err(error),
                Err(error) => {
                    tracing::error!(%partition, %error, "the first leader could not be written");
                    continue;
                }
            }
            let isr = leadership.state.isr.clone();
            self.context.set_leadership(&partition, leadership);
            self.context
                .move_partition(&partition, PartitionState::Online);
            batch.leader_and_isr(&self.context, &isr, &partition, Novelty::New);
        }
        Ok(())
    }

    async fn create_state(
        &self,
        partition: &TopicPartition,
        plan: &PartitionLeadership,
    ) -> Result<()> {
        let path = path::partition_state(partition);
        let write = FencedWrite::Create {
            path,
            data: Some(Bytes::from(plan.encode())),
        };
        match self.registry.write_fenced(self.context.fence, &write).await {
            Ok(_) => Ok(()),
            Err(Error::Zk(error)) if error.is(ErrorCode::NodeExists) => {
                // Ours, if the reply of the first attempt was lost.
                let found = self
                    .registry
                    .partition_states(std::slice::from_ref(partition))
                    .await?;
                match found.first() {
                    Some(Some(found)) if found == plan => Ok(()),
                    _ => Err(error.into()),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn count_election(&self, is_unclean: bool) {
        let elections = &self.config.metrics.elections;
        elections.add(Elections::All, 1);
        if is_unclean {
            elections.add(Elections::Unclean, 1);
        }
    }

    async fn run_elections(
        &mut self,
        partitions: Vec<TopicPartition>,
        strategy: Strategy,
        batch: &mut Batch,
    ) -> Result<Vec<TopicPartition>> {
        let mut remaining = partitions;
        let mut elected = Vec::new();
        while !remaining.is_empty() {
            let read = self.registry.partition_states(&remaining).await?;
            let read: Vec<_> = remaining.drain(..).zip(read).collect();
            let unclean = self.unclean_topics(strategy, &read).await?;
            let mut plans = plan_elections(&self.context, strategy, read, &unclean);
            if !self.registry.version().has_leader_recovery() {
                for plan in plans.values_mut() {
                    plan.state.recovery = LeaderRecoveryState::Recovered;
                }
            }
            let writes = plans.iter().map(|(tp, plan)| (tp, &plan.state));
            let written = self.write_states(writes).await;
            for ((partition, plan), outcome) in plans.into_iter().zip(written) {
                match outcome {
                    Cas::Written(state) => {
                        self.take_in(&partition, state);
                        self.count_election(plan.is_unclean);
                        self.context
                            .move_partition(&partition, PartitionState::Online);
                        let recipients = &plan.recipients;
                        batch.leader_and_isr(&self.context, recipients, &partition, Novelty::Known);
                        elected.push(partition);
                    }
                    Cas::Outdated => remaining.push(partition),
                    Cas::Failed(error) if ends_role(&error) => return Err(error),
                    Cas::Failed(error) => {
                        tracing::error!(%partition, %error, "the new leader could not be written");
                    }
                }
            }
        }
        Ok(elected)
    }

    /// The topics that allow a leader from outside the ISR; asked only where
    /// nothing else would help.
    async fn unclean_topics(
        &self,
        strategy: Strategy,
        read: &[(TopicPartition, Option<PartitionLeadership>)],
    ) -> Result<BTreeSet<TopicName>> {
        let mut unclean = BTreeSet::new();
        if strategy != Strategy::Offline {
            return Ok(unclean);
        }
        let is_stuck = |(tp, read): &(TopicPartition, Option<PartitionLeadership>)| {
            let isr = read.as_ref().map(|read| &read.state.isr);
            isr.is_some_and(|isr| !isr.iter().any(|id| self.context.is_online(*id, tp)))
        };
        let stuck: BTreeSet<&TopicName> = read
            .iter()
            .filter(|read| is_stuck(read))
            .map(|(tp, _)| &tp.topic)
            .collect();
        let configs = join_all(stuck.iter().map(|topic| self.registry.topic_config(topic))).await;
        for (topic, config) in stuck.into_iter().zip(configs) {
            let config = config?;
            let allowed = match config.get("unclean.leader.election.enable") {
                Some(value) => value.trim().eq_ignore_ascii_case("true"),
                None => self.config.unclean_leader_election.load(Ordering::Relaxed),
            };
            if allowed {
                unclean.insert(topic.clone());
            }
        }
        Ok(unclean)
    }

    /// Writes states if the partitions still have the version that was read.
    pub(super) async fn write_states<'a>(
        &self,
        states: impl Iterator<Item = (&'a TopicPartition, &'a LeaderAndIsr)>,
    ) -> Vec<Cas> {
        let fence = self.context.fence;
        let writes = states.map(|(partition, state)| async move {
            let leadership = PartitionLeadership {
                state: state.clone(),
                controller_epoch: fence.epoch,
            };
            let write = FencedWrite::Set {
                path: path::partition_state(partition),
                data: Bytes::from(leadership.encode()),
                version: state.partition_epoch,
            };
            match self.registry.write_fenced(fence, &write).await {
                Ok(stat) => {
                    let partition_epoch = stat.map_or(state.partition_epoch + 1, |s| s.version);
                    Cas::Written(LeaderAndIsr {
                        partition_epoch,
                        ..state.clone()
                    })
                }
                Err(Error::Zk(error)) if error.is(ErrorCode::BadVersion) => {
                    self.outdated_unless_ours(partition, &leadership).await
                }
                Err(error) => Cas::Failed(error),
            }
        });
        join_all(writes).await
    }

    /// A write whose reply was lost was repeated, and met what it had written.
    async fn outdated_unless_ours(
        &self,
        partition: &TopicPartition,
        wanted: &PartitionLeadership,
    ) -> Cas {
        let read = self
            .registry
            .partition_states(std::slice::from_ref(partition))
            .await;
        match read.map(|states| states.into_iter().next().flatten()) {
            Ok(Some(found)) if is_written(wanted, &found) => Cas::Written(found.state),
            Ok(_) => Cas::Outdated,
            Err(error) => Cas::Failed(error),
        }
    }

    /// Takes a state of this controller into the context.
    pub(super) fn take_in(&mut self, partition: &TopicPartition, state: LeaderAndIsr) {
        let controller_epoch = self.context.fence.epoch;
        tracing::info!(
            %partition,
            leader = state.leader,
            leader_epoch = state.leader_epoch,
            isr = ?state.isr,
            "the partition's leadership changed"
        );
        self.context.set_leadership(
            partition,
            PartitionLeadership {
                state,
                controller_epoch,
            },
        );
    }
}

/// Whether `found` is what writing `wanted` makes of the version it was for.
fn is_written(wanted: &PartitionLeadership, found: &PartitionLeadership) -> bool {
    let written = LeaderAndIsr {
        partition_epoch: wanted.state.partition_epoch + 1,
        ..wanted.state.clone()
    };
    found.state == written && found.controller_epoch == wanted.controller_epoch
}

/// The first state of partitions that have a live replica.
fn plan_first_leaders(
    context: &Context,
    partitions: Vec<TopicPartition>,
) -> Vec<(TopicPartition, PartitionLeadership)> {
    let plan = |partition: TopicPartition| {
        let assigned = context.replicas(&partition);
        let is_online = |id: &BrokerId| context.is_online(*id, &partition);
        let live: Vec<BrokerId> = assigned.iter().copied().filter(is_online).collect();
        let Some(leader) = live.first() else {
            tracing::warn!(%partition, ?assigned, "no assigned replica is alive, the partition waits");
            return None;
        };
        let state = LeaderAndIsr::initial(*leader, live);
        Some((
            partition,
            PartitionLeadership {
                state,
                controller_epoch: context.fence.epoch,
            },
        ))
    };
    partitions.into_iter().filter_map(plan).collect()
}

/// Who leads each partition, from the state that was just read.
fn plan_elections(
    context: &Context,
    strategy: Strategy,
    read: Vec<(TopicPartition, Option<PartitionLeadership>)>,
    unclean: &BTreeSet<TopicName>,
) -> BTreeMap<TopicPartition, Elected> {
    let mut plans = BTreeMap::new();
    let mut leaderless = Vec::new();
    for (partition, read) in read {
        let Some(read) = read else {
            tracing::error!(%partition, "the partition has no state to elect from");
            continue;
        };
        if read.controller_epoch > context.fence.epoch {
            let newer = read.controller_epoch;
            tracing::error!(%partition, newer, "a newer controller wrote the partition");
            continue;
        }
        let ballot = Ballot {
            assignment: context.replicas(&partition),
            live: &context.online_for(&partition),
            shutting_down: &context.leaving_for(&partition),
            unclean: unclean.contains(&partition.topic),
        };
        match elect(strategy, &read.state, &ballot) {
            Some(elected) => {
                plans.insert(partition, elected);
            }
            None => {
                tracing::debug!(%partition, ?strategy, isr = ?read.state.isr, "nobody can lead it");
                leaderless.push(partition);
            }
        }
    }
    // One line for a broker that went with many partitions.
    if let Some(first) = leaderless.first() {
        let count = leaderless.len();
        tracing::warn!(count, %first, ?strategy, "nobody can lead these partitions");
    }
    plans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A write is told from another's by all that it says, and by its turn.
    #[test]
    fn the_write_of_a_lost_reply_is_known_again() {
        let wanted = PartitionLeadership {
            state: LeaderAndIsr {
                partition_epoch: 4,
                ..LeaderAndIsr::initial(1, vec![1, 2])
            },
            controller_epoch: 7,
        };
        let found = |partition_epoch, isr: &[BrokerId], controller_epoch| PartitionLeadership {
            state: LeaderAndIsr {
                partition_epoch,
                ..LeaderAndIsr::initial(1, isr.to_vec())
            },
            controller_epoch,
        };
        assert!(is_written(&wanted, &found(5, &[1, 2], 7)));
        assert!(!is_written(&wanted, &found(6, &[1, 2], 7)));
        assert!(!is_written(&wanted, &found(5, &[1], 7)));
        assert!(!is_written(&wanted, &found(5, &[1, 2], 8)));
    }
}
