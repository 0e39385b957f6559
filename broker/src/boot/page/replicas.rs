//! Replicas, their logs, and what goes through them.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::metrics::{Labels, Page};

use super::{Sources, of_topic};
use crate::metrics::Traffic;
use crate::model::TopicPartition;
use crate::replica::{Partition, Standing};

/// A metric of `BrokerTopicMetrics`: in all, and by topic.
const TRAFFIC: [(Traffic, &str, &str); 10] = [
    (
        Traffic::MessagesIn,
        "kafka_server_brokertopicmetrics_messagesin",
        "Records appended by producers and coordinators",
    ),
    (
        Traffic::BytesIn,
        "kafka_server_brokertopicmetrics_bytesin",
        "Bytes of them",
    ),
    (
        Traffic::BytesOut,
        "kafka_server_brokertopicmetrics_bytesout",
        "Bytes of records given to consumers",
    ),
    (
        Traffic::BytesRejected,
        "kafka_server_brokertopicmetrics_bytesrejected",
        "Bytes of batches that were too large for their topic",
    ),
    (
        Traffic::ProduceRequests,
        "kafka_server_brokertopicmetrics_totalproducerequests",
        "Partitions that were to be written",
    ),
    (
        Traffic::FailedProduceRequests,
        "kafka_server_brokertopicmetrics_failedproducerequests",
        "Partitions that were not, for an unusual reason",
    ),
    (
        Traffic::FetchRequests,
        "kafka_server_brokertopicmetrics_totalfetchrequests",
        "Reads of partitions for consumers and followers",
    ),
    (
        Traffic::FailedFetchRequests,
        "kafka_server_brokertopicmetrics_failedfetchrequests",
        "Reads that found damage",
    ),
    (
        Traffic::ReplicationBytesIn,
        "kafka_server_brokertopicmetrics_replicationbytesin",
        "Bytes of records fetched from leaders",
    ),
    (
        Traffic::ReplicationBytesOut,
        "kafka_server_brokertopicmetrics_replicationbytesout",
        "Bytes of records given to followers",
    ),
];

/// A replica as it is now.
struct Seen {
    id: TopicPartition,
    standing: Option<Standing>,
    log_start: i64,
    log_end: i64,
    last_stable_lag: i64,
    size: u64,
    segments: usize,
    producers: usize,
}

impl Seen {
    fn of(partition: &Partition) -> Self {
        let shape = partition.shape();
        Self {
            id: partition.id().clone(),
            standing: partition.standing(),
            log_start: shape.log_start_offset,
            log_end: shape.log_end_offset,
            last_stable_lag: shape.last_stable_lag,
            size: shape.size,
            segments: shape.segments,
            producers: shape.producers,
        }
    }

    fn labels(&self) -> Labels {
        vec![
            ("partition", self.id.partition.to_string()),
            ("topic", self.id.topic.as_str().to_owned()),
        ]
    }

    fn leads(&self, holds: impl Fn(&Standing) -> bool) -> bool {
        self.standing.as_ref().is_some_and(holds)
    }
}

fn is_under_replicated(standing: &Standing) -> bool {
    standing.in_sync < standing.replicas
}

fn is_under_min(standing: &Standing) -> bool {
    standing.in_sync < standing.in_sync_min
}

fn is_at_min(standing: &Standing) -> bool {
    standing.in_sync == standing.in_sync_min
}

pub(super) fn write(page: &mut Page, sources: &Sources) {
    let partitions = sources.replicas.partitions();
    let mut seen: Vec<Seen> = partitions.iter().map(|p| Seen::of(p)).collect();
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    write_counts(page, sources, &partitions, &seen);
    write_traffic(page, sources, &partitions);
    write_each(page, &seen);
}

fn write_counts(page: &mut Page, sources: &Sources, partitions: &[Arc<Partition>], seen: &[Seen]) {
    let count = |holds: fn(&Standing) -> bool| seen.iter().filter(|one| one.leads(holds)).count();
    page.gauge(
        "kafka_server_replicamanager_partitioncount",
        "Replicas on this broker",
        seen.len(),
    );
    page.gauge(
        "kafka_server_replicamanager_leadercount",
        "Partitions that this broker leads",
        count(|_| true),
    );
    page.gauge(
        "kafka_server_replicamanager_offlinereplicacount",
        "Replicas in failed log directories",
        partitions.iter().filter(|p| p.is_offline()).count(),
    );
    page.gauge(
        "kafka_server_replicamanager_underreplicatedpartitions",
        "Partitions led here with followers that are not in sync",
        count(is_under_replicated),
    );
    page.gauge(
        "kafka_server_replicamanager_underminisrpartitioncount",
        "Partitions led here that take no records with acks=all",
        count(is_under_min),
    );
    page.gauge(
        "kafka_server_replicamanager_atminisrpartitioncount",
        "Partitions led here that would not if one more replica went",
        count(is_at_min),
    );
    page.gauge(
        "kafka_server_replicamanager_produceridcount",
        "Producers that the logs of this broker remember",
        seen.iter().map(|one| one.producers).sum::<usize>(),
    );
    page.gauge(
        "kafka_log_size_bytes",
        "Bytes in all logs of this broker",
        seen.iter().map(|one| one.size).sum::<u64>(),
    );
    let traffic = &sources.metrics.traffic;
    for (what, name, help) in [
        (
            Traffic::IsrExpands,
            "kafka_server_replicamanager_isrexpands",
            "ISRs that a replica came into",
        ),
        (
            Traffic::IsrShrinks,
            "kafka_server_replicamanager_isrshrinks",
            "ISRs that a replica dropped out of",
        ),
        (
            Traffic::FailedIsrUpdates,
            "kafka_server_replicamanager_failedisrupdates",
            "Changes of ISRs that were refused",
        ),
    ] {
        page.counter(name, help, traffic.get(what));
    }
}

/// The first sample, without a topic, is of all: also of those that are gone.
fn write_traffic(page: &mut Page, sources: &Sources, partitions: &[Arc<Partition>]) {
    for (what, name, help) in TRAFFIC {
        let mut topics: BTreeMap<&str, u64> = BTreeMap::new();
        if Traffic::OF_PARTITIONS.contains(&what) {
            for partition in partitions {
                let counted = partition.counted(what);
                if counted > 0 {
                    *topics.entry(partition.id().topic.as_str()).or_default() += counted;
                }
            }
        }
        let all = (Labels::new(), sources.metrics.traffic.get(what));
        let topics = topics.into_iter();
        let topics = topics.map(|(topic, count)| (of_topic(topic), count));
        page.counters(name, help, std::iter::once(all).chain(topics));
    }
}

fn write_each(page: &mut Page, seen: &[Seen]) {
    let leader =
        |value: fn(&Standing) -> i64| move |one: &Seen| one.standing.as_ref().map_or(0, value);
    let mut each = |name, help, value: &dyn Fn(&Seen) -> i64| {
        let samples = seen.iter().map(|one| (one.labels(), value(one)));
        page.gauges(name, help, samples);
    };
    let whole = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    each(
        "kafka_cluster_partition_replicascount",
        "Assigned replicas, where this broker leads",
        &leader(|standing| i64::try_from(standing.replicas).unwrap_or(i64::MAX)),
    );
    each(
        "kafka_cluster_partition_insyncreplicascount",
        "In-sync replicas, where this broker leads",
        &leader(|standing| i64::try_from(standing.in_sync).unwrap_or(i64::MAX)),
    );
    each(
        "kafka_cluster_partition_underreplicated",
        "1 where a follower is not in sync",
        &leader(|standing| i64::from(is_under_replicated(standing))),
    );
    each(
        "kafka_cluster_partition_underminisr",
        "1 where too few replicas are in sync",
        &leader(|standing| i64::from(is_under_min(standing))),
    );
    each(
        "kafka_cluster_partition_atminisr",
        "1 where just enough replicas are in sync",
        &leader(|standing| i64::from(is_at_min(standing))),
    );
    each(
        "kafka_cluster_partition_laststableoffsetlag",
        "Records behind the first open transaction",
        &|one| one.last_stable_lag,
    );
    each("kafka_log_log_size", "Bytes", &|one| {
        i64::try_from(one.size).unwrap_or(i64::MAX)
    });
    each("kafka_log_log_numlogsegments", "Segments", &|one| {
        whole(one.segments)
    });
    each("kafka_log_log_logstartoffset", "First offset", &|one| {
        one.log_start
    });
    each("kafka_log_log_logendoffset", "Next offset", &|one| {
        one.log_end
    });
}
