//! The controller, and the coordinators of groups and transactions.

use common::metrics::Page;

use super::Sources;
use crate::controller;
use crate::group::{self, Phase};
use crate::metrics::{Elections, Groups, Metrics, Transactions};
use crate::txn::{self, State};

/// Name, meaning and value of what the active controller counts.
type OfCluster = (&'static str, &'static str, fn(&controller::Census) -> usize);

const OF_CLUSTER: [OfCluster; 11] = [
    (
        "kafka_controller_kafkacontroller_activebrokercount",
        "Registered brokers",
        |census| census.brokers,
    ),
    (
        "kafka_controller_kafkacontroller_fencedbrokercount",
        "Registered brokers that may not serve, of which there are none",
        |_| 0,
    ),
    (
        "kafka_controller_kafkacontroller_globaltopiccount",
        "Topics of the cluster",
        |census| census.topics,
    ),
    (
        "kafka_controller_kafkacontroller_globalpartitioncount",
        "Partitions of the cluster",
        |census| census.partitions,
    ),
    (
        "kafka_controller_kafkacontroller_offlinepartitionscount",
        "Partitions without a leader",
        |census| census.offline_partitions,
    ),
    (
        "kafka_controller_kafkacontroller_preferredreplicaimbalancecount",
        "Partitions led by another than their first replica",
        |census| census.imbalanced_partitions,
    ),
    (
        "kafka_controller_kafkacontroller_topicstodeletecount",
        "Topics to be deleted",
        |census| census.topics_to_delete,
    ),
    (
        "kafka_controller_kafkacontroller_replicastodeletecount",
        "Replicas to be deleted",
        |census| census.replicas_to_delete,
    ),
    (
        "kafka_controller_kafkacontroller_topicsineligibletodeletecount",
        "Topics whose deletion waits",
        |census| census.ineligible_topics,
    ),
    (
        "kafka_controller_kafkacontroller_replicasineligibletodeletecount",
        "Replicas whose deletion waits",
        |census| census.ineligible_replicas,
    ),
    (
        "kafka_controller_reassignedpartitions",
        "Partitions whose replicas move",
        |census| census.reassigned_partitions,
    ),
];

/// As in Kafka, only the active controller counts; the others show zeros, so that
/// sums over all brokers are right.
pub(super) fn write_controller(
    page: &mut Page,
    sources: &Sources,
    census: Option<controller::Census>,
) {
    let census = census.unwrap_or_default();
    let is_active = usize::from(sources.controller.is_active());
    page.gauge(
        "kafka_controller_kafkacontroller_activecontrollercount",
        "1 on the controller",
        is_active,
    );
    for (name, help, count) in OF_CLUSTER {
        page.gauge(name, help, count(&census));
    }
    let elections = &sources.metrics.elections;
    page.counter(
        "kafka_controller_controllerstats_leaderelections",
        "Leaders that this broker elected as the controller",
        elections.get(Elections::All),
    );
    page.counter(
        "kafka_controller_controllerstats_uncleanleaderelections",
        "Those of them that were not in sync",
        elections.get(Elections::Unclean),
    );
    page.gauge(
        "kafka_cluster_brokers",
        "Live brokers of the cluster",
        sources.cluster.snapshot().brokers.len(),
    );
}

pub(super) fn write_groups(page: &mut Page, metrics: &Metrics, census: Option<group::Census>) {
    if let Some(census) = census {
        page.gauge(
            "kafka_coordinator_group_groupmetadatamanager_numgroups",
            "Groups that this broker coordinates",
            census.groups.values().sum::<usize>(),
        );
        page.gauge(
            "kafka_coordinator_group_groupmetadatamanager_numoffsets",
            "Their committed offsets",
            census.offsets,
        );
        for (phase, name) in [
            (
                Phase::PreparingRebalance,
                "kafka_coordinator_group_groupmetadatamanager_numgroupspreparingrebalance",
            ),
            (
                Phase::CompletingRebalance,
                "kafka_coordinator_group_groupmetadatamanager_numgroupscompletingrebalance",
            ),
            (
                Phase::Stable,
                "kafka_coordinator_group_groupmetadatamanager_numgroupsstable",
            ),
            (
                Phase::Empty,
                "kafka_coordinator_group_groupmetadatamanager_numgroupsempty",
            ),
            (
                Phase::Dead,
                "kafka_coordinator_group_groupmetadatamanager_numgroupsdead",
            ),
        ] {
            let count = census.groups.get(&phase).copied().unwrap_or(0);
            page.gauge(name, "Groups in this state", count);
        }
    }
    // Sensors of Kafka, whose totals the exporter shows as they are.
    for (what, name, help) in [
        (
            Groups::OffsetCommits,
            "kafka_server_group_coordinator_metrics_offset_commit_count",
            "Offsets that were committed",
        ),
        (
            Groups::OffsetExpirations,
            "kafka_server_group_coordinator_metrics_offset_expiration_count",
            "Offsets that were kept long enough",
        ),
        (
            Groups::OffsetDeletions,
            "kafka_server_group_coordinator_metrics_offset_deletion_count",
            "Offsets deleted on request",
        ),
        (
            Groups::CompletedRebalances,
            "kafka_server_group_coordinator_metrics_group_completed_rebalance_count",
            "Rebalances that ended with an assignment",
        ),
    ] {
        page.gauge(name, help, metrics.groups.get(what));
    }
}

/// Kafka counts nearly nothing here; the names are ours, in its manner.
pub(super) fn write_transactions(page: &mut Page, metrics: &Metrics, census: Option<txn::Census>) {
    if let Some(census) = census {
        let of_state = |state: State| {
            let count = census.ids.get(&state).copied().unwrap_or(0);
            let labels = vec![("state", state.name().to_owned())];
            (labels, i64::try_from(count).unwrap_or(i64::MAX))
        };
        page.gauges(
            "kafka_coordinator_transaction_transactionalids",
            "Transactional ids that this broker coordinates",
            State::ALL.map(of_state),
        );
        page.gauge(
            "kafka_coordinator_transaction_markerswaiting",
            "Partitions whose transactions have ended and that have no marker yet",
            census.markers_waiting,
        );
    }
    for (what, name, help) in [
        (
            Transactions::Committed,
            "kafka_coordinator_transaction_committed",
            "Transactions that were committed",
        ),
        (
            Transactions::Aborted,
            "kafka_coordinator_transaction_aborted",
            "Transactions that were aborted",
        ),
        (
            Transactions::TimedOut,
            "kafka_coordinator_transaction_timedout",
            "Those of them that were open for too long",
        ),
        (
            Transactions::ExpiredIds,
            "kafka_coordinator_transaction_expiredids",
            "Transactional ids removed because nobody used them",
        ),
    ] {
        page.counter(name, help, metrics.transactions.get(what));
    }
}
