//! Collects what one decision tells the brokers; pure.
//!
//! **Invariant:** per broker LeaderAndIsr comes first, then UpdateMetadata,
//! then StopReplica.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use crate::model::{BrokerId, LEADER_DURING_DELETE, TopicId, TopicName, TopicPartition};
use crate::protocol::interbroker::{
    ControlHeader, ControlRequest, LeaderAndIsrRequest, LiveBroker, LiveLeader, PartitionState,
    StopPartition, StopReplicaRequest, UpdateMetadataRequest,
};

/// Whether a replica is created by the request that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Novelty {
    New,
    Known,
}

/// Whether StopReplica takes the data away too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Keep,
    Delete,
}

#[derive(Debug, Default)]
pub(super) struct Batch {
    leader_and_isr: BTreeMap<BrokerId, BTreeMap<TopicPartition, PartitionState>>,
    metadata_to: BTreeSet<BrokerId>,
    metadata: BTreeMap<TopicPartition, (PartitionState, Vec<BrokerId>)>,
    stop: BTreeMap<BrokerId, BTreeMap<TopicPartition, StopPartition>>,
}

impl Batch {
    /// Tells `brokers` about the leadership of `partition` as the context has
    /// it, and every live broker about the metadata.
    pub(super) fn leader_and_isr(
        &mut self,
        context: &Context,
        brokers: &[BrokerId],
        partition: &TopicPartition,
        novelty: Novelty,
    ) {
        let Some(mut state) = partition_state(context, partition) else {
            return;
        };
        state.is_new = novelty == Novelty::New;
        for broker in brokers {
            let states = self.leader_and_isr.entry(*broker).or_default();
            let was_new = states.get(partition).is_some_and(|state| state.is_new);
            let is_new = state.is_new || was_new;
            states.insert(
                partition.clone(),
                PartitionState {
                    is_new,
                    ..state.clone()
                },
            );
        }
        self.update_metadata(
            context,
            &context.broker_ids(),
            std::slice::from_ref(partition),
        );
    }

    /// Tells `brokers` who is alive and the state of `partitions`.
    pub(super) fn update_metadata(
        &mut self,
        context: &Context,
        brokers: &[BrokerId],
        partitions: &[TopicPartition],
    ) {
        self.metadata_to.extend(brokers);
        for partition in partitions {
            let Some(mut state) = partition_state(context, partition) else {
                continue;
            };
            if context.is_to_delete(&partition.topic) {
                state.leader = LEADER_DURING_DELETE;
                state.leader_epoch = 0;
                state.partition_epoch = 0;
            }
            let mut offline = state.replicas.clone();
            offline.retain(|id| !context.is_online(*id, partition));
            self.metadata.insert(partition.clone(), (state, offline));
        }
    }

    pub(super) fn stop_replica(
        &mut self,
        context: &Context,
        broker: BrokerId,
        partition: &TopicPartition,
        stop: Stop,
    ) {
        let stops = self.stop.entry(broker).or_default();
        let deletes = stops.get(partition).is_some_and(|stop| stop.delete);
        let request = StopPartition {
            topic_partition: partition.clone(),
            leader_epoch: context.stop_epoch(partition),
            delete: deletes || stop == Stop::Delete,
        };
        stops.insert(partition.clone(), request);
    }

    /// The requests in the order of sending; brokers that are gone get none.
    pub(super) fn into_requests(self, context: &Context) -> Vec<(BrokerId, ControlRequest)> {
        let mut requests = Vec::new();
        for (broker, states) in self.leader_and_isr {
            let Some(header) = header(context, broker) else {
                continue;
            };
            let leaders: BTreeSet<BrokerId> = states.values().map(|state| state.leader).collect();
            let live_leaders = leaders.iter().filter_map(|id| live_leader(context, *id));
            let request = LeaderAndIsrRequest {
                header,
                // Only a migration from KRaft sends full requests.
                is_full: false,
                topic_ids: topic_ids(context, states.keys(), Unknown::AsZero),
                live_leaders: live_leaders.collect(),
                partitions: states.into_values().collect(),
            };
            requests.push((broker, ControlRequest::LeaderAndIsr(request)));
        }
        let topic_ids = topic_ids(context, self.metadata.keys(), Unknown::Omitted);
        let live_brokers: Vec<LiveBroker> = context.brokers.values().cloned().collect();
        let (partitions, offline_replicas): (Vec<_>, Vec<_>) = self.metadata.into_values().unzip();
        for broker in self.metadata_to {
            let Some(header) = header(context, broker) else {
                continue;
            };
            let request = UpdateMetadataRequest {
                header,
                partitions: partitions.clone(),
                offline_replicas: offline_replicas.clone(),
                topic_ids: topic_ids.clone(),
                live_brokers: live_brokers.clone(),
            };
            requests.push((broker, ControlRequest::UpdateMetadata(request)));
        }
        for (broker, stops) in self.stop {
            let Some(header) = header(context, broker) else {
                continue;
            };
            let all: Vec<StopPartition> = stops.into_values().collect();
            let kinds = match context.stops_are_mixed {
                true => vec![all],
                false => {
                    let (deleted, kept) = all.into_iter().partition(|stop| stop.delete);
                    vec![deleted, kept]
                }
            };
            for partitions in kinds.into_iter().filter(|kind| !kind.is_empty()) {
                let request = StopReplicaRequest { header, partitions };
                requests.push((broker, ControlRequest::StopReplica(request)));
            }
        }
        requests
    }
}

fn header(context: &Context, to: BrokerId) -> Option<ControlHeader> {
    Some(ControlHeader {
        controller_id: context.id,
        controller_epoch: context.fence.epoch,
        broker_epoch: context.brokers.get(&to)?.epoch,
    })
}

fn live_leader(context: &Context, id: BrokerId) -> Option<LiveLeader> {
    let endpoints = &context.brokers.get(&id)?.endpoints;
    let endpoint = endpoints
        .iter()
        .find(|endpoint| endpoint.listener == context.inter_broker_listener)?;
    Some(LiveLeader {
        id,
        host: endpoint.host.clone(),
        port: endpoint.port,
    })
}

fn partition_state(context: &Context, partition: &TopicPartition) -> Option<PartitionState> {
    let known = context.partition(partition)?;
    let leadership = known.leadership.as_ref()?;
    let state = &leadership.state;
    Some(PartitionState {
        topic_partition: partition.clone(),
        controller_epoch: leadership.controller_epoch,
        leader: state.leader,
        leader_epoch: state.leader_epoch,
        isr: state.isr.clone(),
        partition_epoch: state.partition_epoch,
        replicas: known.assignment.replicas.clone(),
        adding_replicas: known.assignment.adding.clone(),
        removing_replicas: known.assignment.removing.clone(),
        is_new: false,
        leader_recovery_state: state.recovery.code(),
    })
}

#[derive(PartialEq, Clone, Copy)]
enum Unknown {
    AsZero,
    Omitted,
}

fn topic_ids<'a>(
    context: &Context,
    partitions: impl Iterator<Item = &'a TopicPartition>,
    unknown: Unknown,
) -> Vec<(TopicName, TopicId)> {
    let names: BTreeSet<&TopicName> = partitions.map(|partition| &partition.topic).collect();
    let ids = names.into_iter().filter_map(|name| {
        match context.topics.get(name).and_then(|topic| topic.id) {
            Some(id) => Some((name.clone(), id)),
            None if unknown == Unknown::AsZero => Some((name.clone(), TopicId::nil())),
            None => None,
        }
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::interbroker::Endpoint;
    use crate::registry::{
        Fence, LeaderAndIsr, PartitionLeadership, ReplicaAssignment, TopicAssignment,
    };

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new(TopicName::new("t").unwrap(), partition)
    }

    /// Brokers 1 and 2 are alive, 3 is not; t-0 is on all of them, led by 1.
    fn context() -> Context {
        let fence = Fence {
            epoch: 7,
            version: 9,
        };
        let mut context = Context::new(1, fence, "PLAINTEXT".to_owned());
        for id in [1, 2] {
            let broker = LiveBroker {
                id,
                epoch: i64::from(id) * 100,
                endpoints: vec![Endpoint {
                    listener: "PLAINTEXT".to_owned(),
                    security_protocol: "PLAINTEXT".to_owned(),
                    host: format!("host-{id}"),
                    port: 9092,
                }],
                rack: None,
            };
            context.brokers.insert(id, broker);
        }
        let replicas = ReplicaAssignment::of(vec![1, 2, 3]);
        let assignment = TopicAssignment {
            topic_id: Some(TopicId::from_u128(5)),
            partitions: [(0, replicas.clone()), (1, replicas)].into(),
        };
        context.add_topic(&tp(0).topic, assignment);
        let leadership = PartitionLeadership {
            state: LeaderAndIsr::initial(1, vec![1, 2]),
            controller_epoch: 6,
        };
        context.set_leadership(&tp(0), leadership);
        context
    }

    fn kinds(requests: &[(BrokerId, ControlRequest)]) -> Vec<(BrokerId, &'static str)> {
        let kind = |request: &ControlRequest| match request {
            ControlRequest::LeaderAndIsr(_) => "leader and isr",
            ControlRequest::UpdateMetadata(_) => "metadata",
            ControlRequest::StopReplica(_) => "stop",
        };
        requests
            .iter()
            .map(|(to, request)| (*to, kind(request)))
            .collect()
    }

    #[test]
    fn requests_leave_in_their_order_and_only_to_live_brokers() {
        let context = context();
        let mut batch = Batch::default();
        batch.stop_replica(&context, 2, &tp(0), Stop::Keep);
        batch.stop_replica(&context, 3, &tp(0), Stop::Keep);
        batch.leader_and_isr(&context, &[2, 3], &tp(0), Novelty::Known);
        let requests = batch.into_requests(&context);
        let expected = [
            (2, "leader and isr"),
            (1, "metadata"),
            (2, "metadata"),
            (2, "stop"),
        ];
        assert_eq!(kinds(&requests), expected);
        let ControlRequest::LeaderAndIsr(request) = &requests[0].1 else {
            panic!("checked above");
        };
        let header = ControlHeader {
            controller_id: 1,
            controller_epoch: 7,
            broker_epoch: 200,
        };
        assert_eq!(request.header, header);
        assert_eq!(request.topic_ids, [(tp(0).topic, TopicId::from_u128(5))]);
        assert_eq!(request.partitions[0].controller_epoch, 6);
        let leaders: Vec<_> = request.live_leaders.iter().map(|b| b.id).collect();
        assert_eq!(leaders, [1]);
        let ControlRequest::UpdateMetadata(request) = &requests[1].1 else {
            panic!("checked above");
        };
        assert_eq!(request.offline_replicas, [vec![3]]);
        assert_eq!(request.live_brokers.len(), 2);
    }

    #[test]
    fn new_and_delete_stick() {
        let context = context();
        let mut batch = Batch::default();
        batch.leader_and_isr(&context, &[1], &tp(0), Novelty::New);
        batch.leader_and_isr(&context, &[1], &tp(0), Novelty::Known);
        batch.stop_replica(&context, 1, &tp(0), Stop::Delete);
        batch.stop_replica(&context, 1, &tp(0), Stop::Keep);
        let requests = batch.into_requests(&context);
        let ControlRequest::LeaderAndIsr(request) = &requests[0].1 else {
            panic!("{requests:?}");
        };
        assert!(request.partitions[0].is_new);
        let Some((1, ControlRequest::StopReplica(request))) = requests.last() else {
            panic!("{requests:?}");
        };
        assert!(request.partitions[0].delete);
        assert_eq!(request.partitions[0].leader_epoch, 0);
    }

    #[test]
    fn old_clusters_hear_apart_of_what_is_kept_and_what_is_deleted() {
        let mut context = context();
        let mut batch = Batch::default();
        batch.stop_replica(&context, 1, &tp(0), Stop::Delete);
        batch.stop_replica(&context, 1, &tp(1), Stop::Keep);
        context.stops_are_mixed = false;
        let requests = batch.into_requests(&context);
        assert_eq!(kinds(&requests), [(1, "stop"), (1, "stop")]);
        for (_, request) in requests {
            let ControlRequest::StopReplica(request) = request else {
                panic!("checked above");
            };
            assert_eq!(request.partitions.len(), 1);
        }
    }

    #[test]
    fn a_topic_that_is_deleted_has_no_leader_any_more() {
        let mut context = context();
        context.to_delete.insert(tp(0).topic);
        let mut batch = Batch::default();
        batch.update_metadata(&context, &[1], &[tp(0), tp(1)]);
        batch.stop_replica(&context, 1, &tp(0), Stop::Delete);
        let requests = batch.into_requests(&context);
        let ControlRequest::UpdateMetadata(request) = &requests[0].1 else {
            panic!("{requests:?}");
        };
        assert_eq!(request.partitions.len(), 1, "t-1 never had a state");
        assert_eq!(request.partitions[0].leader, LEADER_DURING_DELETE);
        let ControlRequest::StopReplica(request) = &requests[1].1 else {
            panic!("{requests:?}");
        };
        assert_eq!(request.partitions[0].leader_epoch, -2);
    }

    #[test]
    fn brokers_alone_are_told_without_partitions() {
        let context = context();
        let mut batch = Batch::default();
        batch.update_metadata(&context, &[2], &[]);
        assert_eq!(kinds(&batch.into_requests(&context)), [(2, "metadata")]);
    }
}
